"""Small ONNX networks with the contract of the network of sounds."""

from __future__ import annotations

import json

import numpy as np
from onnx import TensorProto, helper, numpy_helper

from painsense.voice_segments import FEATURES, INPUT, KINDS, METADATA_KEY, OUTPUT


def sounds_network(
    features: tuple[str, ...] = FEATURES, kinds: tuple[str, ...] = KINDS, says: str | None = None
) -> bytes:
    """An ONNX file that finds every kind equally likely. ``says`` stands in its metadata; None: its contract."""
    weight = numpy_helper.from_array(np.zeros((len(features), len(kinds)), np.float32), "weight")
    nodes = [
        helper.make_node("MatMul", [INPUT, "weight"], ["logits"]),
        helper.make_node("Softmax", ["logits"], [OUTPUT], axis=1),
    ]
    graph = helper.make_graph(
        nodes,
        "sounds",
        [helper.make_tensor_value_info(INPUT, TensorProto.FLOAT, ["n", len(features)])],
        [helper.make_tensor_value_info(OUTPUT, TensorProto.FLOAT, ["n", len(kinds)])],
        [weight],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    contract = json.dumps({"features": features, "kinds": kinds})
    helper.set_model_props(model, {METADATA_KEY: contract if says is None else says})
    return bytes(model.SerializeToString())
