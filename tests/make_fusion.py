"""Small tracks, and a small ONNX network with the contract of the fusion network and answers that are known."""

from __future__ import annotations

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from painsense import assets, voice
from painsense.action_units import COLUMNS as FACE_COLUMNS
from painsense.face import REASONS as FACE_REASONS
from painsense.fusion import FACE, FEATURES, LEVELS, STEPS, VOICE
from painsense.spec import METADATA_KEY, ModelSpec
from painsense.tracks import Track, reason_index

FPS = 25.0


def face_track(seconds: float, **values: float | np.ndarray) -> Track:
    """A face track at 25 frames a second: everything 0 but what is given."""
    time_s = (np.arange(round(seconds * FPS)) + 0.5) / FPS
    table = np.zeros((len(time_s), len(FACE_COLUMNS)), np.float32)
    for name, value in values.items():
        table[:, [column.name for column in FACE_COLUMNS].index(name)] = value
    return Track("face", FACE_COLUMNS, FACE_REASONS, time_s, table, np.zeros(len(time_s), np.uint32))


def voice_track(seconds: float, voiced: np.ndarray | bool = True, **values: float | np.ndarray) -> Track:
    """A voice track every 10 ms: steady voice of 110 Hz where ``voiced``, else silence, with what is given changed."""
    time_s = (np.arange(round(seconds * 100)) + 0.5) / 100
    usual = {"f0_hz": 110.0, "f0_semitone": 24.0, "loudness": 1.0, "spectral_flux": 0.1, "level_dbfs": -20.0}
    names = [column.name for column in voice.COLUMNS]
    table = np.full((len(time_s), len(names)), 0.5, np.float32)
    for name, value in (usual | values).items():
        table[:, names.index(name)] = value
    on = np.broadcast_to(np.asarray(voiced, bool), len(time_s))
    table[~on] = np.nan
    table[~on, names.index("level_dbfs")] = -70.0
    table[:, names.index("voiced")] = on
    bits = np.where(on, 0, 1 << reason_index(voice.REASONS, "silent")).astype(np.uint32)
    return Track("voice", voice.COLUMNS, voice.REASONS, time_s, table, bits)


def make_spec(**changes: object) -> ModelSpec:
    """A spec that fits this version of painsense, with some fields changed."""
    fields: dict[str, object] = {
        "name": "fusion-test",
        "version": "1",
        "licence": "Apache-2.0",
        "features": FEATURES,
        "targets": ("score",),
        "outputs": {name: "" for name in ("score", "low", "high", "weights", "pspi", "levels")},
        "requires": {"action_units": assets.sha256_by_name()["action_units"]},
        "training": {"label_kind": "vas", "label_low": 0.0, "label_high": 10.0},
        "calibration": {
            "with_neutral": {"pspi_low": -1.0, "pspi_high": 1.0},
            "without_neutral": {"pspi_low": -2.0, "pspi_high": 2.0},
            "score": {"abstain_width": 4.0},
        },
        "notes": "for tests",
    }
    return ModelSpec(**(fields | changes))  # type: ignore[arg-type]


def make_network(spec: ModelSpec, *, stored: str | None = None, steps: int = STEPS) -> bytes:
    """An ONNX file: the score is AU4 of the last step, the interval reaches AU6 of it either way, PSPI is twice AU4.

    The face weighs all; where AU4 is missing, it weighs nothing and there is no score.
    """
    faces = sum(name.startswith("face:") for name in spec.features)
    voices = len(spec.features) - faces
    au4, au6 = (spec.features.index(f"face:{name}") for name in ("AU4", "AU6"))
    constants = {
        "last": np.array([steps - 1]),
        "au4": np.array([au4]),
        "au6": np.array([au6]),
        "flat": np.array([-1]),
        "two": np.array(2, np.float32),
        "one": np.array([[1]], np.float32),
        "nought": np.array([[0]], np.float32),
        "spread": np.zeros((1, LEVELS), np.float32),
        "column": np.array([-1, 1]),
    }

    def node(op: str, inputs: list[str], output: str, **attributes: int) -> onnx.NodeProto:
        return helper.make_node(op, inputs, [output], **attributes)

    nodes = [
        node("Gather", ["face", "last"], "step", axis=1),
        node("Gather", ["step", "au4"], "a", axis=2),
        node("Gather", ["step", "au6"], "b", axis=2),
        node("Reshape", ["a", "flat"], "score"),
        node("Reshape", ["b", "flat"], "half"),
        node("Sub", ["score", "half"], "low"),
        node("Add", ["score", "half"], "high"),
        node("Mul", ["score", "two"], "pspi"),
        node("Reshape", ["a", "column"], "tall"),
        node("IsNaN", ["tall"], "gone"),
        node("Where", ["gone", "nought", "one"], "of_face"),
        node("Mul", ["of_face", "nought"], "of_voice"),
        node("Concat", ["of_face", "of_voice"], "weights", axis=1),
        node("Add", ["of_voice", "spread"], "levels"),
    ]

    def tensor(name: str, shape: list[str | int]) -> onnx.ValueInfoProto:
        return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)

    graph = helper.make_graph(
        nodes,
        "fusion",
        [tensor("face", ["n", steps, faces]), tensor("voice", ["n", steps, voices])],
        [
            *(tensor(name, ["n"]) for name in ("score", "low", "high")),
            tensor("weights", ["n", 2]),
            tensor("pspi", ["n"]),
            tensor("levels", ["n", LEVELS]),
        ],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    helper.set_model_props(model, {METADATA_KEY: spec.to_json() if stored is None else stored})
    onnx.checker.check_model(model)
    return model.SerializeToString()


assert len(FACE) + len(VOICE) == len(FEATURES)
