"""Small ONNX networks with the contract of the action unit network and answers that are known."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from painsense import assets
from painsense.action_units import NAMES
from painsense.spec import METADATA_KEY, ModelSpec

SIDES = ("both", "left", "right")


def make_spec(**changes: object) -> ModelSpec:
    """A spec that fits this version of painsense, with some fields changed."""
    fields: dict[str, object] = {
        "name": "action_units",
        "version": "test-1",
        "licence": "Apache-2.0",
        "features": ("browDownLeft", "browDownRight", "mouthSmileLeft", "eyeBlinkLeft", "brow_gap", "yaw_deg"),
        "targets": tuple(NAMES),
        "outputs": {"intensity": "[n, 3, 19], FACS intensity 0-5", "spread": "[n, 3, 19], standard deviation"},
        "requires": {"face_shape": assets.sha256_by_name()["face_shape"]},
        "training": {"recipe": "none", "seed": 0},
        "calibration": {
            "with_neutral": {"pspi_low": -1.5, "pspi_high": 2.0},
            "without_neutral": {"pspi_low": -1.0, "pspi_high": 3.0},
        },
        "notes": "for tests",
    }
    return ModelSpec(**(fields | changes))  # type: ignore[arg-type]


def make_network(
    spec: ModelSpec,
    gains: Mapping[tuple[str, str], tuple[str, float]],
    spread: float = 0.4,
    stored: str | None = None,
    inputs: int | None = None,
) -> bytes:
    """An ONNX file that computes intensity = gain * (feature - the neutral's) and a constant spread.

    gains : (action unit, "both", "left" or "right") -> (feature, gain); without a neutral 0 is taken away
    stored : what stands in the metadata; None: the spec
    inputs : number of inputs; None: as many as the spec has features
    """
    count, units = inputs or len(spec.features), len(spec.targets)
    weights = np.zeros((count, len(SIDES), units), np.float32)
    for (unit, side), (feature, gain) in gains.items():
        weights[spec.features.index(feature), SIDES.index(side), spec.targets.index(unit)] = gain
    constants = {
        "weights": weights.reshape(count, -1),
        "nothing": np.zeros((count, len(SIDES) * units), np.float32),
        "spread_each": np.full(len(SIDES) * units, spread, np.float32),
        "zero": np.array(0, np.float32),
        "shape": np.array([-1, len(SIDES), units]),
    }
    nodes = [
        helper.make_node("IsNaN", ["neutral"], ["unknown"]),
        helper.make_node("Where", ["unknown", "zero", "neutral"], ["known"]),
        helper.make_node("Sub", ["face", "known"], ["change"]),
        helper.make_node("MatMul", ["change", "weights"], ["flat"]),
        helper.make_node("Reshape", ["flat", "shape"], ["intensity"]),
        helper.make_node("MatMul", ["face", "nothing"], ["none"]),
        helper.make_node("Add", ["none", "spread_each"], ["flat_spread"]),
        helper.make_node("Reshape", ["flat_spread", "shape"], ["spread"]),
    ]

    def tensor(name: str, shape: list[str | int]) -> onnx.ValueInfoProto:
        return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)

    graph = helper.make_graph(
        nodes,
        "action_units",
        [tensor("face", ["n", count]), tensor("neutral", ["n", count])],
        [tensor(name, ["n", len(SIDES), units]) for name in ("intensity", "spread")],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    helper.set_model_props(model, {METADATA_KEY: spec.to_json() if stored is None else stored})
    onnx.checker.check_model(model)
    return model.SerializeToString()
