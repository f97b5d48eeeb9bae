"""Where the ONNX networks can be computed on this machine: proved by computing something there.

ONNX Runtime lists providers that its build contains, and quietly goes on with the CPU when one of them cannot start
(no driver, a missing library). A result must not say "cuda" in that case, so :func:`check` runs a small network on the
provider alone and looks at the answer.
"""

from __future__ import annotations

import contextlib
import importlib.metadata
import io
import os
from collections.abc import Iterator
from typing import Any

from painsense.errors import ModelError, ProviderError

#: What --provider takes -> ONNX Runtime's name
NAMES = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider"}
#: ONNX Runtime's log levels
_WARNINGS, _FATAL_ONLY = 2, 4


def runtime() -> Any:
    """The module ``onnxruntime``, kept from talking to anybody. Nothing in painsense imports it in another way.

    Since version 1.29 its official builds tell Microsoft that and how they are used, beginning with the import, and
    keep a number for this machine in the user's cache folder. This variable, set before the import, is the only thing
    that turns all of it off (https://github.com/microsoft/onnxruntime/pull/27379); on Windows, where the system
    collects such events, the call does.
    """
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"
    import onnxruntime

    onnxruntime.disable_telemetry_events()
    return onnxruntime


def check(provider: str) -> str:
    """Compute something on ``provider`` alone; its ONNX Runtime name, e.g. "CUDAExecutionProvider", when that worked.

    For "cuda" this also loads CUDA's libraries into the process: call it before opening a session of one's own.

    Raises
    ------
    ProviderError : it did not work; the message says what to do
    """
    if provider not in NAMES:
        raise ProviderError(f"provider: {' or '.join(NAMES)} was expected, {provider!r} came")
    import numpy as np

    onnxruntime = runtime()
    if NAMES[provider] not in onnxruntime.get_available_providers():
        raise ProviderError(f"{provider}: {_not_built_in()}; or use --provider cpu")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = _FATAL_ONLY  # what goes wrong is raised; log lines would spoil the terminal
    with _cuda_libraries() if provider == "cuda" else contextlib.nullcontext():
        try:
            session = onnxruntime.InferenceSession(
                doubling_network(), options, providers=[NAMES[provider]], enable_fallback=0
            )
            (answer,) = session.run(None, {"x": np.array([1.5, -2.0], np.float32)})
        except Exception as error:  # the runtime raises types of its own, by provider
            raise ProviderError(f"{provider}: {_first_line(error)}{_advice(provider)}") from error
    if NAMES[provider] not in session.get_providers():
        raise ProviderError(
            f"{provider}: the installed ONNX Runtime contains it but cannot start it{_advice(provider)}"
        )
    if answer.tolist() != [3.0, -4.0]:
        raise ProviderError(f"{provider}: doubling 1.5 and -2 gave {answer.tolist()}{_advice(provider)}")
    return NAMES[provider]


def session(content: bytes, provider: str, network: str, remedy: str) -> Any:
    """A network of ONNX on ``provider`` and nowhere else, on one thread: the work is milliseconds.

    ``network`` and ``remedy`` are for the messages: what it is, and what helps when it cannot be loaded.

    Raises
    ------
    ModelError : the file cannot be loaded
    ProviderError : ``provider`` does not work on this machine
    """
    # loading the CPU's network is the proof that it works; CUDA wants its libraries loaded first
    name = NAMES["cpu"] if provider == "cpu" else check(provider)
    onnxruntime = runtime()
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    # TF32 would round to three digits what the CPU computes to seven
    chosen = (name, {"use_tf32": "0"}) if provider == "cuda" else name
    try:
        opened = onnxruntime.InferenceSession(content, options, providers=[chosen], enable_fallback=0)
    except Exception as error:  # the runtime raises types of its own, by provider
        raise ModelError(
            f"{network}: an ONNX file was expected, and it cannot be loaded ({_first_line(error)}); {remedy}"
        ) from error
    if name not in opened.get_providers():  # it quietly goes on with the CPU
        raise ProviderError(f"{provider}: the network {network} cannot be computed there; use --provider cpu")
    return opened


def providers() -> dict[str, str]:
    """Every provider name with the empty string where it works, else with the reason why not."""
    result = {}
    for provider in NAMES:
        try:
            check(provider)
            result[provider] = ""
        except ProviderError as error:
            result[provider] = str(error)
    return result


def doubling_network() -> bytes:
    """An ONNX file that computes y = x + x for two floats, written out by hand so that no ONNX library is needed.

    An ONNX file is a protocol buffer (https://onnx.ai/onnx/repo-docs/IR.html): each field is a byte that holds the
    field's number and kind, then either a number or a length and that many bytes. Format 7 with operator set 13 is read
    by every ONNX Runtime since 2020.
    """

    def number(field: int, value: int) -> bytes:
        return bytes([field << 3, value])

    def content(field: int, *parts: bytes) -> bytes:
        inner = b"".join(parts)
        return bytes([field << 3 | 2, len(inner)]) + inner

    shape = content(2, content(1, number(1, 2)))  # one dimension, of 2
    float_pair = content(2, content(1, number(1, 1), shape))  # a tensor of 32-bit floats
    add = content(1, content(1, b"x"), content(1, b"x"), content(2, b"y"), content(4, b"Add"))
    graph = content(
        7,
        add,
        content(2, b"twice"),
        content(11, content(1, b"x"), float_pair),
        content(12, content(1, b"y"), float_pair),
    )
    return number(1, 7) + graph + content(8, number(2, 13))


@contextlib.contextmanager
def _cuda_libraries() -> Iterator[None]:
    """CUDA's libraries loaded from installed packages where there are such, and what the runtime prints kept away."""
    onnxruntime = runtime()
    onnxruntime.set_default_logger_severity(_FATAL_ONLY)
    try:
        with contextlib.redirect_stdout(io.StringIO()):  # says "Failed to load ..." with print
            onnxruntime.preload_dlls()
        yield
    finally:
        onnxruntime.set_default_logger_severity(_WARNINGS)


def _not_built_in() -> str:
    """Why the runtime has no CUDA, and what to install."""
    try:
        importlib.metadata.version("onnxruntime-gpu")
    except importlib.metadata.PackageNotFoundError:
        return "the installed ONNX Runtime is the CPU build; pip install 'painsense[gpu]'"
    # both packages own the folder "onnxruntime", and the one unpacked last is the one that runs
    return (
        "the CPU build of ONNX Runtime lies over the installed GPU build; "
        "pip install --force-reinstall --no-deps onnxruntime-gpu"
    )


def _advice(provider: str) -> str:
    if provider == "cpu":
        return "; install onnxruntime again"
    return (
        "; see that nvidia-smi lists a GPU, and that its driver and the CUDA and cuDNN libraries suit the installed "
        "onnxruntime-gpu (pip install 'painsense[gpu]' brings the libraries); or use --provider cpu"
    )


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:300]
