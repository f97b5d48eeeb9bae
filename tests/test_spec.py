"""A model's own contract: read back as written, and refused with the reason where it does not fit."""

from __future__ import annotations

import dataclasses
import json

import onnxruntime
import pytest
from make_network import make_network, make_spec

from painsense.errors import ModelError
from painsense.spec import ModelSpec


def session(content: bytes) -> onnxruntime.InferenceSession:
    return onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])


def test_read_back_as_written() -> None:
    spec = make_spec(notes="größer als ≥ 40°")
    assert ModelSpec.from_json(spec.to_json()) == spec
    assert json.loads(spec.to_json())["targets"][:2] == ["AU1", "AU2"]


def test_a_network_carries_its_spec() -> None:
    spec = make_spec()
    assert ModelSpec.from_session(session(make_network(spec, {}))) == spec


@pytest.mark.parametrize("name", [field.name for field in dataclasses.fields(ModelSpec)])
def test_a_missing_key_is_named(name: str) -> None:
    content = json.loads(make_spec().to_json())
    del content[name]
    with pytest.raises(ModelError, match=rf"missing: {name};.*install painsense again"):
        ModelSpec.from_json(json.dumps(content))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "cannot be read"),
        ("[1]", "an object was expected, list came"),
        (make_spec().to_json().replace('"notes"', '"remarks"'), "missing: notes"),
        (make_spec().to_json()[:-1] + ', "speed": 1}', "not known: speed"),
    ],
)
def test_other_text_is_refused(text: str, message: str) -> None:
    with pytest.raises(ModelError, match=message):
        ModelSpec.from_json(text)


BOTH_CASES = make_spec().calibration


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"version": 3}, "version: expected text, got 3"),
        ({"features": []}, "features: expected a list of names"),
        ({"features": ["brow_gap", "brow_gap"]}, "features: expected each name once, got brow_gap more than once"),
        ({"targets": "AU4"}, "targets: expected a list of names"),
        ({"outputs": ["intensity"]}, "outputs: expected a table"),
        ({"training": {"seed": [1]}}, "training: expected a table"),
        ({"requires": {"face_shape": "abc"}}, "requires face_shape: expected a SHA-256, got 'abc'"),
        ({"calibration": {}}, r"expected with_neutral\.pspi_low, with_neutral\.pspi_high, got"),
        (
            {"calibration": BOTH_CASES | {"without_neutral": {"pspi_low": -1}}},
            r"expected without_neutral\.pspi_high, got",
        ),
        ({"calibration": BOTH_CASES | {"with_neutral": {"pspi_low": 1, "pspi_high": -1}}}, "pspi_low below pspi_high"),
        ({"calibration": BOTH_CASES | {"with_neutral": {"pspi_low": "a", "pspi_high": 1}}}, "two numbers"),
    ],
)
def test_what_is_wrong_with_a_field_is_said(changes: dict[str, object], message: str) -> None:
    content = json.loads(make_spec().to_json()) | changes
    with pytest.raises(ModelError, match=message):
        ModelSpec.from_json(json.dumps(content))


def test_held_against_what_is_there() -> None:
    spec = make_spec(requires={"face_shape": "ab" * 32})
    spec.check(columns=("unused", *spec.features), targets=spec.targets[::-1], files={"face_shape": "ab" * 32})
    with pytest.raises(ModelError, match="features: expected names that painsense measures, got brow_gap"):
        spec.check(columns=[name for name in spec.features if name != "brow_gap"])
    with pytest.raises(ModelError, match="targets: expected AU4, AU99, got AU1, AU2"):
        spec.check(targets=("AU4", "AU99"))
    with pytest.raises(ModelError, match=r"file face_shape: expected SHA-256 abababababab\.\.\., got cdcdcdcdcdcd"):
        spec.check(files={"face_shape": "cd" * 32})
    with pytest.raises(ModelError, match=r"file face_shape: .* got none\.\.\."):
        spec.check(files={})


def test_a_network_that_is_not_what_its_spec_says() -> None:
    spec = make_spec()
    with pytest.raises(ModelError, match="carries none"):
        ModelSpec.from_session(session(without_spec(spec)))
    with pytest.raises(ModelError, match=r"input 'face': expected \[n, 6\], got \['n', 7\]"):
        ModelSpec.from_session(session(make_network(spec, {}, inputs=7)))
    fewer = make_spec(targets=("AU4", "AU6"))
    with pytest.raises(ModelError, match=r"output 'intensity': expected \[\.\.\., 2\], got"):
        ModelSpec.from_session(session(make_network(spec, {}, stored=fewer.to_json())))
    renamed = make_spec(outputs={"intensity": "", "doubt": ""})
    with pytest.raises(ModelError, match="outputs: expected intensity, doubt, got intensity, spread"):
        ModelSpec.from_session(session(make_network(spec, {}, stored=renamed.to_json())))


def without_spec(spec: ModelSpec) -> bytes:
    import onnx

    model = onnx.load_from_string(make_network(spec, {}))
    del model.metadata_props[:]
    return model.SerializeToString()
