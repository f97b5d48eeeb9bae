"""Compute providers: what is said to work has computed something, and what does not is explained."""

from __future__ import annotations

import importlib.metadata
import subprocess
import sys
from typing import Any

import numpy as np
import onnxruntime
import pytest

from painsense import providers
from painsense.errors import ProviderError


def test_the_cpu_computes() -> None:
    assert providers.check("cpu") == "CPUExecutionProvider"
    assert providers.providers()["cpu"] == ""


def test_the_network_written_by_hand_doubles() -> None:
    session = onnxruntime.InferenceSession(providers.doubling_network(), providers=["CPUExecutionProvider"])
    (given,), (made,) = session.get_inputs(), session.get_outputs()
    assert (given.name, given.type, given.shape) == ("x", "tensor(float)", [2])
    assert (made.name, made.type, made.shape) == ("y", "tensor(float)", [2])
    (answer,) = session.run(None, {"x": np.array([0.1, 3e20], np.float32)})
    np.testing.assert_array_equal(answer, np.array([0.2, 6e20], np.float32))


def test_an_unknown_name_is_explained() -> None:
    with pytest.raises(ProviderError, match="cpu or cuda was expected, 'tpu' came"):
        providers.check("tpu")


@pytest.fixture
def cpu_build(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: ["CPUExecutionProvider"])


@pytest.mark.usefixtures("cpu_build")
@pytest.mark.parametrize(
    ("gpu_package", "advice"), [(False, r"painsense\[gpu\]"), (True, "--force-reinstall --no-deps")]
)
def test_a_runtime_without_cuda_says_what_to_install(
    gpu_package: bool, advice: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def version(_: str) -> str:
        if not gpu_package:
            raise importlib.metadata.PackageNotFoundError
        return "1.31"

    monkeypatch.setattr("importlib.metadata.version", version)
    with pytest.raises(ProviderError, match=rf"cuda: .*{advice}.*--provider cpu"):
        providers.check("cuda")


class Session:
    """A session that came to be although its provider did not start: what ONNX Runtime makes without a driver."""

    started: tuple[str, ...] = ("CPUExecutionProvider",)
    answer: Any = np.array([3.0, -4.0], np.float32)

    def __init__(self, *_: object, **__: object) -> None:
        """Whatever is asked for."""

    def run(self, *_: object) -> list[Any]:
        if isinstance(self.answer, Exception):
            raise self.answer
        return [self.answer]

    def get_providers(self) -> list[str]:
        return list(self.started)


@pytest.mark.parametrize(
    ("started", "answer", "message"),
    [
        ("CPUExecutionProvider", Session.answer, "cannot start it"),
        ("CUDAExecutionProvider", np.zeros(2, np.float32), r"gave \[0.0, 0.0\]"),
        ("CUDAExecutionProvider", RuntimeError("CUDA error 35: driver too old\nin some file"), "driver too old;"),
    ],
    ids=["fell back", "wrong sum", "failed"],
)
def test_cuda_that_does_not_really_compute_is_refused(
    started: str, answer: object, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: list(providers.NAMES.values()))
    monkeypatch.setattr(onnxruntime, "InferenceSession", Session)
    monkeypatch.setattr(onnxruntime, "preload_dlls", lambda: print("Failed to load libcudart"))
    monkeypatch.setattr(Session, "started", (started,))
    monkeypatch.setattr(Session, "answer", answer)
    with pytest.raises(ProviderError, match=rf"cuda: .*{message}.*nvidia-smi.*--provider cpu"):
        providers.check("cuda")


def test_cuda_that_computes_is_named_and_quiet(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: list(providers.NAMES.values()))
    monkeypatch.setattr(onnxruntime, "InferenceSession", Session)
    monkeypatch.setattr(onnxruntime, "preload_dlls", lambda: print("Failed to load libcudart"))
    monkeypatch.setattr(Session, "started", tuple(providers.NAMES.values()))
    assert providers.check("cuda") == "CUDAExecutionProvider"
    assert capfd.readouterr() == ("", "")


def test_nothing_reaches_the_terminal() -> None:
    code = "from painsense import providers; providers.providers()"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("", "")
