"""A torch network -> an ONNX file with its ModelSpec inside, and that file's line in the manifest.

The same network and the same versions of torch and onnx give the same bytes: what the exporter adds of its own (stack
traces, paths of source files, names that count up) is taken out again, so that a changed hash means a changed network.
"""

from __future__ import annotations

import hashlib
import json
import warnings
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import onnx
import torch
from onnx import ModelProto, helper

from export.parity import INPUTS, OUTPUTS, ExportError
from painsense import providers
from painsense.assets import Entry
from painsense.output import write_together
from painsense.spec import METADATA_KEY, ModelSpec

BATCH = "n"  # name of the first dimension, which may have any size
OPSET = 18  # read by ONNX Runtime since 1.14
IR_VERSION = 10  # read by ONNX Runtime since 1.18


def export(module: torch.nn.Module, spec: ModelSpec, example: tuple[torch.Tensor, ...], path: Path) -> str:
    """Write the network with its spec to ``path``, whole or not at all; the SHA-256 of the file.

    Parameters
    ----------
    module : takes face and neutral [shape=(n, D)], gives intensity and spread [shape=(n, 3, m)]; in evaluation mode
    example : a face and a neutral of at least two rows, on the CPU, as :data:`export.parity.INPUTS`

    Raises
    ------
    ExportError : the module is in training mode, or the file would not have the inputs and outputs of the contract
    ModelError : the spec does not fit itself or the network
    """
    if module.training:
        raise ExportError("the network is in training mode, in which it adds noise of its own; call .eval() first")
    shapes = [tuple(tensor.shape) for tensor in example]
    if len(example[0]) < 2 or shapes != [(len(example[0]), len(spec.features))] * len(INPUTS):
        wanted = f"{' and '.join(INPUTS)} of two or more rows and {len(spec.features)} features"
        raise ExportError(f"example: {wanted} were expected, {shapes} came")
    spec.check()
    model = canonical(exported(module, example))
    helper.set_model_props(model, {METADATA_KEY: spec.to_json()})
    content = model.SerializeToString(deterministic=True)
    verify(content, spec)
    write_together(path.parent, {path.name: [content]})
    return hashlib.sha256(content).hexdigest()


def verify(content: bytes, spec: ModelSpec) -> None:
    """Check a finished file: valid ONNX, operators that runtimes know, the contract's inputs and outputs, the spec."""
    model = onnx.load_model_from_string(content)
    onnx.checker.check_model(model, full_check=True)
    sets = {used.domain: used.version for used in model.opset_import}
    if sets != {"": OPSET} or model.functions or model.ir_version > IR_VERSION:
        raise ExportError(
            f"operators: ONNX's own of version {OPSET} and format {IR_VERSION} were expected, {sets} and format "
            f"{model.ir_version} came; ONNX Runtime 1.21 has to read it"
        )
    d, m = len(spec.features), len(spec.targets)
    wanted = {name: (BATCH, d) for name in INPUTS} | {name: (BATCH, 3, m) for name in OUTPUTS}
    came = {node.name: _shape(node) for node in (*model.graph.input, *model.graph.output)}
    if came != wanted or set(spec.outputs) != set(OUTPUTS):
        raise ExportError(f"inputs and outputs: {wanted} were expected, {came} came; the spec names {spec.outputs}")
    session = providers.runtime().InferenceSession(content, providers=["CPUExecutionProvider"])
    if ModelSpec.from_session(session) != spec:
        raise ExportError("the spec that is read back from the file is not the one that went in")


def entry(path: Path, name: str, version: str, licence: str, source: str) -> Entry:
    """A file's line for the manifest: what painsense will hold it against."""
    content = path.read_bytes()
    return Entry(name, path.name, version, len(content), hashlib.sha256(content).hexdigest(), licence, source)


def stamp(manifest: Path, line: Entry) -> None:
    """Put a shipped file's line into the manifest, in the place of an earlier one of its name, else at the end."""
    content = json.loads(manifest.read_text(encoding="utf-8"))
    fields = {key: value for key, value in asdict(line).items() if key != "url"}  # what is shipped has no address
    installed = content["installed"]
    places = [k for k, other in enumerate(installed) if other["name"] == line.name]
    if places:
        installed[places[0]] = fields
    else:
        installed.append(fields)
    text = json.dumps(content, indent=2, ensure_ascii=False) + "\n"
    write_together(manifest.parent, {manifest.name: [text.encode()]})


def exported(
    module: torch.nn.Module,
    example: tuple[torch.Tensor, ...],
    inputs: Sequence[str] = INPUTS,
    outputs: Sequence[str] = OUTPUTS,
) -> ModelProto:
    """What torch makes of a network whose first dimension may have any size."""
    any_rows = {0: torch.export.Dim.DYNAMIC}
    with warnings.catch_warnings(), torch.no_grad():
        # torch 2.12 copies its own trees by a name it has since deprecated
        warnings.filterwarnings("ignore", "`isinstance\\(treespec, LeafSpec\\)`", FutureWarning)
        program = torch.onnx.export(
            module,
            example,
            input_names=inputs,
            output_names=outputs,
            opset_version=OPSET,
            dynamic_shapes=tuple(any_rows for _ in example),
            external_data=False,
            verbose=False,
        )
    if program is None:
        raise ExportError("torch.onnx.export gave nothing; torch 2.12 with onnxscript was expected")
    return program.model_proto


def canonical(model: ModelProto) -> ModelProto:
    """The same computation without what the exporter says about itself, its values named in their order."""
    graph = model.graph
    model.ClearField("producer_version")
    model.producer_name = "painsense"
    model.ir_version = min(model.ir_version, IR_VERSION)
    graph.name = "network"
    for part in (model, graph):
        part.ClearField("doc_string")
        part.ClearField("metadata_props")
    del graph.value_info[:]  # shapes in between, which every runtime works out for itself
    kept = {node.name for node in (*graph.input, *graph.output)}
    names: dict[str, str] = {}

    def renamed(name: str, letter: str) -> str:
        if name in kept or not name:
            return name
        return names.setdefault(name, f"{letter}{len(names)}")

    for tensor in graph.initializer:
        tensor.name = renamed(tensor.name, "c")
        tensor.ClearField("doc_string")
        tensor.ClearField("metadata_props")
    for node in graph.node:
        if any(attribute.HasField("g") or attribute.graphs for attribute in node.attribute):
            raise ExportError(
                f"{node.op_type}: the network has a branch or loop, which painsense's export does not know"
            )
        for field in ("name", "doc_string", "metadata_props"):
            node.ClearField(field)
        node.input[:] = [renamed(name, "v") for name in node.input]
        node.output[:] = [renamed(name, "v") for name in node.output]
    for value in (*graph.input, *graph.output):
        value.ClearField("doc_string")
        value.ClearField("metadata_props")
        dimensions: Sequence[onnx.TensorShapeProto.Dimension] = value.type.tensor_type.shape.dim
        if dimensions and dimensions[0].dim_param:
            dimensions[0].dim_param = BATCH
    return model


def _shape(value: onnx.ValueInfoProto) -> tuple[str | int, ...]:
    return tuple(part.dim_param or part.dim_value for part in value.type.tensor_type.shape.dim)
