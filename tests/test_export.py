"""Exported networks: the same answers as torch's, the same bytes every time, and what ships is what was measured."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest

from export import benchmark, model_card, parity
from painsense.assets import Entry
from painsense.errors import ModelError
from painsense.spec import ModelSpec
from training import document

PROJECT = Path(__file__).resolve().parent.parent
FEATURES = ("shape_even_00", "shape_odd_00", "yaw_deg", "browDownLeft", "browDownRight")
TARGETS = ("AU4", "AU43")
Samples = tuple[np.ndarray, np.ndarray]


def spec(**changes: Any) -> ModelSpec:
    usual = ModelSpec(
        name="action_units",
        version="test-1",
        licence="Apache-2.0",
        features=FEATURES,
        targets=TARGETS,
        outputs={"intensity": "[n, 3, 2], 0-5", "spread": "[n, 3, 2], ≥ 0"},
        requires={},
        training={"recipe": "none", "seed": 7},
        calibration={case: {"pspi_low": -1.5, "pspi_high": 1.75} for case in ("with_neutral", "without_neutral")},
        notes="Not for use.",
    )
    return dataclasses.replace(usual, **changes)


def network() -> Any:
    """A network of the contract's kind: it takes NaN for a neutral that is not there, and knows left from right."""
    import torch
    from torch import Tensor, nn

    class Small(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.hidden = nn.Linear(2 * len(FEATURES) + 1, 16)
            self.out = nn.Linear(16, len(TARGETS))
            self.register_buffer("source", torch.tensor([0, 1, 2, 4, 3]))
            self.register_buffer("sign", torch.tensor([1.0, -1.0, -1.0, 1.0, 1.0]))

        def side(self, face: Tensor, change: Tensor, known: Tensor) -> Tensor:
            return self.out(torch.tanh(self.hidden(torch.cat([face, change, known], 1))))

        def forward(self, face: Tensor, neutral: Tensor) -> tuple[Tensor, Tensor]:
            nothing = torch.isnan(neutral[:, :1])
            change = face - torch.where(nothing, face, neutral)
            known = torch.where(nothing, 0.0, 1.0)
            left = self.side(face, change, known)
            right = self.side(face[:, self.source] * self.sign, change[:, self.source] * self.sign, known)
            views = torch.stack([(left + right) / 2, left, right], 1)
            return views.clamp(0, 5), nn.functional.softplus(views)

    torch.manual_seed(0)
    return Small().eval()


@pytest.fixture(scope="module")
def samples() -> Samples:
    rng = np.random.default_rng(3)
    face = (3 * rng.standard_normal((70, len(FEATURES)))).astype(np.float32)
    neutral = rng.standard_normal(face.shape).astype(np.float32)
    neutral[::4] = np.nan
    return face, neutral


def example(samples: Samples, rows: int = 3) -> tuple[Any, ...]:
    import torch

    return tuple(torch.from_numpy(values[:rows]) for values in samples)


@pytest.fixture(scope="module")
def exported(samples: Samples, tmp_path_factory: pytest.TempPathFactory) -> Path:
    from export import to_onnx

    path = tmp_path_factory.mktemp("weights") / "action_units.onnx"
    sha256 = to_onnx.export(network(), spec(), example(samples), path)
    assert sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert [file.name for file in path.parent.iterdir()] == [path.name]  # the weights are in it, not beside it
    return path


# ------------------------------------------------------------------------------------------------------ the file


def test_the_file_carries_its_spec_and_takes_any_number_of_faces(exported: Path, samples: Samples) -> None:
    session = onnxruntime.InferenceSession(exported, providers=["CPUExecutionProvider"])
    assert ModelSpec.from_session(session) == spec()
    assert [(node.name, node.shape) for node in session.get_inputs()] == [("face", ["n", 5]), ("neutral", ["n", 5])]
    for rows in (1, 2, 70):
        given = {name: values[:rows] for name, values in zip(("face", "neutral"), samples, strict=True)}
        intensity, spread = session.run(("intensity", "spread"), given)
        assert intensity.shape == spread.shape == (rows, 3, 2)
        assert np.isfinite(intensity).all() and np.isfinite(spread).all()  # the neutrals of NaN included


def test_a_neutral_changes_what_the_file_says(exported: Path, samples: Samples) -> None:
    """The branch for a missing neutral is really in the graph, and is not merely a 0 put in."""
    nobody, at_zero = np.full_like(samples[1], np.nan), np.zeros_like(samples[1])
    (_, without), (_, with_zero) = (parity.run_onnx(exported, (samples[0], other))[0] for other in (nobody, at_zero))
    assert np.abs(without - with_zero).max() > 0.01


def test_the_same_network_gives_the_same_bytes(exported: Path, samples: Samples, tmp_path: Path) -> None:
    from export import to_onnx

    again = tmp_path / "again.onnx"
    to_onnx.export(network(), spec(), example(samples, rows=4), again)  # whatever it was shown as an example
    assert again.read_bytes() == exported.read_bytes()


def test_nothing_of_the_machine_that_made_it_is_in_the_file(exported: Path) -> None:
    import onnx

    content = exported.read_bytes()
    for trace in (b"torch", b"aten", b".py", str(PROJECT).encode(), b"test_export"):
        assert trace not in content
    model = onnx.load_model_from_string(content)
    assert [prop.key for prop in model.metadata_props] == ["painsense.spec"]
    assert [(used.domain, used.version) for used in model.opset_import] == [("", 18)]
    assert model.ir_version <= 10  # what ONNX Runtime 1.21 reads
    assert not any(node.metadata_props or node.doc_string or node.name for node in model.graph.node)


def test_what_cannot_be_exported_is_refused_and_the_old_file_stays(
    exported: Path, samples: Samples, tmp_path: Path
) -> None:
    from export import to_onnx

    path = tmp_path / "action_units.onnx"
    shutil.copy(exported, path)
    before = path.read_bytes()
    with pytest.raises(to_onnx.ExportError, match=r"training mode.*call \.eval\(\)"):
        to_onnx.export(network().train(), spec(), example(samples), path)
    with pytest.raises(to_onnx.ExportError, match=r"two or more rows and 5 features were expected.*\(1, 5\)"):
        to_onnx.export(network(), spec(), example(samples, rows=1), path)
    with pytest.raises(to_onnx.ExportError, match=r"4 features were expected.*\(3, 5\)"):
        to_onnx.export(network(), spec(features=FEATURES[:4]), example(samples), path)
    with pytest.raises(
        to_onnx.ExportError, match=r"'intensity': \('n', 3, 1\).* were expected, .*\('n', 3, 2\).* came"
    ):
        to_onnx.export(network(), spec(targets=("AU4",)), example(samples), path)
    with pytest.raises(ModelError, match="each name once"):
        to_onnx.export(network(), spec(targets=("AU4", "AU4")), example(samples), path)
    assert path.read_bytes() == before


def test_a_finished_file_is_held_against_the_contract(exported: Path) -> None:
    import onnx

    from export import to_onnx

    content = exported.read_bytes()
    to_onnx.verify(content, spec())
    with pytest.raises(to_onnx.ExportError, match=r"the spec names \{'intensity': '0-5'\}"):
        to_onnx.verify(content, spec(outputs={"intensity": "0-5"}))
    with pytest.raises(to_onnx.ExportError, match="not the one that went in"):
        to_onnx.verify(content, spec(version="test-2"))
    model = onnx.load_model_from_string(content)
    model.opset_import[0].version = 21
    with pytest.raises(to_onnx.ExportError, match=r"version 18 .* were expected, \{'': 21\}.*ONNX Runtime 1.21"):
        to_onnx.verify(model.SerializeToString(), spec())
    model = onnx.load_model_from_string(content)
    del model.graph.node[0]
    with pytest.raises(onnx.checker.ValidationError):
        to_onnx.verify(model.SerializeToString(), spec())


# ------------------------------------------------------------------------------------------------------ parity


def test_torch_and_the_file_agree_on_every_sample(exported: Path, samples: Samples) -> None:
    found = parity.check(network(), exported, samples)
    assert found.samples == 70
    assert found.max_abs < 1e-5


def test_another_network_does_not_pass_for_this_one(exported: Path, samples: Samples) -> None:
    import torch

    changed = network()
    with torch.no_grad():
        changed.hidden.weight[0, 0] += 0.01
    with pytest.raises(
        parity.ParityError, match=r"differences up to 0.0001 were expected, .* came \(sample \d+ of 70\)"
    ):
        parity.check(changed, exported, samples)
    with pytest.raises(parity.ParityError, match="training mode"):
        parity.check(network().train(), exported, samples)


def test_the_largest_difference_decides_and_its_sample_is_named() -> None:
    expected = np.zeros((100, 3, 2), np.float32), np.zeros((100, 3, 2), np.float32)
    near, far = (tuple(values.copy() for values in expected) for _ in range(2))
    near[1][41, 2, 1] = 9e-5
    assert parity.compare(expected, [expected, near]) == parity.Parity(pytest.approx(9e-5, rel=1e-3), 41, 100)
    far[0][7, 0, 0] = 2e-4  # one value of 1200, in one of two batch sizes
    with pytest.raises(parity.ParityError, match="sample 7 of 100"):
        parity.compare(expected, [near, far])


def test_a_comparison_of_nothing_or_with_nan_does_not_pass() -> None:
    one, none = np.zeros((1, 3, 2), np.float32), np.zeros((0, 3, 2), np.float32)
    nan = np.full_like(one, np.nan)
    with pytest.raises(parity.ParityError, match="nothing was compared"):
        parity.compare((none, none), [(none, none)])
    with pytest.raises(parity.ParityError, match="nothing was compared"):
        parity.compare((one, one), [])
    for expected, came in ((one, nan), (nan, one)):
        with pytest.raises(parity.ParityError, match="inf came"):
            parity.compare((expected, expected), [(came, came)])
    assert parity.compare((nan, nan), [(nan, nan)]).max_abs == 0
    with pytest.raises(parity.ParityError, match="the same shape"):
        parity.compare((one, one), [(one[..., :1], one)])


# ------------------------------------------------------------------------------------------------------ golden set


@pytest.fixture(scope="module")
def golden(samples: Samples, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("golden") / "golden.npz"
    parity.write_golden(network(), samples, path)
    return path


def test_the_golden_set_holds_without_torch(exported: Path, golden: Path, tmp_path: Path) -> None:
    """In a Python that cannot import torch, as in a clinic."""
    (tmp_path / "torch.py").write_text("raise ImportError('torch is not installed here')\n")
    command = [sys.executable, "-m", "export.parity", "--model", str(exported), "--golden", str(golden)]
    found = subprocess.run(
        command, cwd=PROJECT, env={"PYTHONPATH": f"{tmp_path}:{PROJECT}"}, capture_output=True, text=True, check=True
    )
    assert "70 samples, largest difference" in found.stdout


def test_the_command_fails_when_the_file_says_something_else(
    exported: Path, golden: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with np.load(golden) as stored:
        arrays = dict(stored)
    arrays["spread"][11, 0, 1] += 0.001
    np.savez(tmp_path / "changed.npz", **arrays)
    assert parity.main(["--model", str(exported), "--golden", str(tmp_path / "changed.npz")]) == 1
    assert "sample 11 of 70" in capsys.readouterr().err
    assert parity.main(["--model", str(exported), "--golden", str(tmp_path / "none.npz")]) == 1
    assert "none.npz" in capsys.readouterr().err


def test_a_golden_set_is_small_and_the_same_every_time(golden: Path, samples: Samples, tmp_path: Path) -> None:
    parity.write_golden(network(), samples, tmp_path / "again.npz")
    assert (tmp_path / "again.npz").read_bytes() == golden.read_bytes()
    many = tuple(np.random.default_rng(0).random((10_000, 5), np.float32) for _ in range(2))
    with pytest.raises(parity.ParityError, match=r"at most 200000 bytes.*10000 samples take.*keep fewer"):
        parity.write_golden(network(), many, tmp_path / "many.npz")
    assert not (tmp_path / "many.npz").exists()


# ------------------------------------------------------------------------------------------------------ manifest


def test_stamp_replaces_a_line_in_its_place_and_adds_a_new_one(exported: Path, tmp_path: Path) -> None:
    from export import to_onnx

    manifest = tmp_path / "manifest.json"
    shutil.copy(PROJECT / "painsense" / "weights" / "manifest.json", manifest)
    before = json.loads(manifest.read_text(encoding="utf-8"))
    line = to_onnx.entry(exported, "action_units", "test-1", "Apache-2.0", "a test")
    to_onnx.stamp(manifest, line)
    to_onnx.stamp(manifest, dataclasses.replace(line, name="another", file="another.npz"))
    after = json.loads(manifest.read_text(encoding="utf-8"))
    names = [entry["name"] for entry in before["installed"]]
    assert [entry["name"] for entry in after["installed"]] == [*names, "another"]
    stamped = Entry(**after["installed"][names.index("action_units")])
    assert stamped == line
    assert (stamped.size_bytes, stamped.sha256) == (
        exported.stat().st_size, hashlib.sha256(exported.read_bytes()).hexdigest()
    )  # fmt: skip
    untouched = [entry for entry in after["installed"] if entry["name"] not in ("action_units", "another")]
    assert untouched == [entry for entry in before["installed"] if entry["name"] != "action_units"]
    assert after["external"] == before["external"]


# ------------------------------------------------------------------------------------------------------ speed


def test_the_benchmark_measures_and_says_when_a_target_is_missed(
    exported: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    speed = benchmark.measure(exported, rounds=3)
    assert speed.size_mb == exported.stat().st_size / 1e6
    assert 0 < speed.batch_ms < speed.single_ms  # a batch spares most of what every call costs
    for name in benchmark.ONE_THREAD:
        monkeypatch.setenv(name, "1")  # so that it is put back afterwards
    assert benchmark.main(["--model", str(exported), "--rounds", "3"]) == 0
    assert "ms a frame (target: under 0.2): met" in capsys.readouterr().out
    monkeypatch.setattr(benchmark, "MOST_MB", 1e-6)
    assert benchmark.main(["--model", str(exported), "--rounds", "3"]) == 1
    assert "MB (target: under 1e-06): MISSED" in capsys.readouterr().out


# ------------------------------------------------------------------------------------------------------ what ships


def test_the_shipped_network_says_what_torch_said() -> None:
    found = parity.check_golden()
    assert found.samples >= 32
    assert parity.MODEL.stat().st_size < 2e6
    assert parity.GOLDEN.stat().st_size < parity.MOST_BYTES


def test_the_documents_are_what_the_metrics_make() -> None:
    metrics = json.loads(model_card.METRICS.read_text(encoding="utf-8"))
    assert (PROJECT / "docs" / "action-units.md").read_text(encoding="utf-8") == document.document(metrics)
    of_network, files = model_card.shipped()
    assert model_card.CARD.read_text(encoding="utf-8") == model_card.card(of_network, metrics, files)
