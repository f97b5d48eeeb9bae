"""Proof that the ONNX file says what the torch network says, and goes on saying it.

    python -m export.parity          the shipped network against the committed golden set, with onnxruntime alone

When a network is exported, :func:`check` compares both on every sample, alone, in batches of 32 and all at once, and
:func:`write_golden` keeps some samples with what torch made of them. The largest difference decides, not the mean.
"""

from __future__ import annotations

import argparse
import io
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from painsense import providers
from painsense.output import write_together

if TYPE_CHECKING:
    import torch

FloatArray = npt.NDArray[np.float32]

ROOT = Path(__file__).resolve().parent.parent
MODEL = ROOT / "painsense" / "weights" / "action_units.onnx"
GOLDEN = ROOT / "tests" / "data" / "action_units_golden.npz"
INPUTS = ("face", "neutral")
OUTPUTS = ("intensity", "spread")
TOLERANCE = 1e-4  # intensity levels; both sum the same 32-bit products in different order
BATCHES = (1, 32)  # and all at once
MOST_BYTES = 200_000


class ParityError(Exception):
    """Two ways of computing the same network disagree, or nothing was compared."""


class ExportError(Exception):
    """A network cannot be exported, or its file does not say what it must."""


@dataclass(frozen=True)
class Parity:
    """How far apart two computations are: the largest difference, of which sample, over how many samples."""

    max_abs: float
    worst_sample: int
    samples: int


def check(module: torch.nn.Module, path: Path, samples: tuple[FloatArray, FloatArray]) -> Parity:
    """Torch against onnxruntime on every sample and for every batch size.

    Parameters
    ----------
    samples : faces and neutrals, ndarray [shape=(n, D)] each; with some rows of NaN among the neutrals

    Raises
    ------
    ParityError : they differ by more than :data:`TOLERANCE`, one has NaN where the other has none, or n is 0
    """
    return compare(run_torch(module, samples), run_onnx(path, samples))


def check_golden(path: Path = MODEL, golden: Path = GOLDEN) -> Parity:
    """An ONNX file against what torch made of the golden samples, with onnxruntime alone. ParityError as in check."""
    with np.load(golden) as stored:
        samples = stored[INPUTS[0]], stored[INPUTS[1]]
        expected = stored[OUTPUTS[0]], stored[OUTPUTS[1]]
    return compare(expected, run_onnx(path, samples))


def write_golden(module: torch.nn.Module, samples: tuple[FloatArray, FloatArray], path: Path = GOLDEN) -> None:
    """Keep samples with what torch makes of them; the same content gives the same bytes.

    ParityError when the file would be larger than :data:`MOST_BYTES`: fewer samples do.
    """
    buffer = io.BytesIO()
    arrays = dict(zip((*INPUTS, *OUTPUTS), (*samples, *run_torch(module, samples)), strict=True))
    np.savez_compressed(
        buffer, allow_pickle=False, **{name: values.astype(np.float32) for name, values in arrays.items()}
    )
    if buffer.tell() > MOST_BYTES:
        raise ParityError(
            f"{path.name}: at most {MOST_BYTES} bytes were expected, {len(samples[0])} samples take {buffer.tell()}; "
            "keep fewer"
        )
    write_together(path.parent, {path.name: [buffer.getvalue()]})


def run_torch(module: torch.nn.Module, samples: tuple[FloatArray, FloatArray]) -> tuple[FloatArray, FloatArray]:
    """What the torch network says of all samples at once."""
    import torch

    if module.training:
        raise ParityError("the network is in training mode, in which it adds noise of its own; call .eval() first")
    with torch.no_grad():
        intensity, spread = module(*(torch.from_numpy(np.asarray(values, np.float32)) for values in samples))
    return intensity.numpy(), spread.numpy()


def run_onnx(path: Path, samples: tuple[FloatArray, FloatArray]) -> list[tuple[FloatArray, FloatArray]]:
    """What the ONNX file says of the samples, once for each batch size."""
    session = providers.runtime().InferenceSession(path, providers=["CPUExecutionProvider"])
    results = []
    for size in (*BATCHES, max(len(samples[0]), 1)):
        parts = [
            session.run(
                OUTPUTS, {name: values[start : start + size] for name, values in zip(INPUTS, samples, strict=True)}
            )
            for start in range(0, len(samples[0]), size)
        ]
        if parts:
            results.append((np.concatenate([part[0] for part in parts]), np.concatenate([part[1] for part in parts])))
    return results


def compare(expected: tuple[FloatArray, FloatArray], results: Iterable[tuple[FloatArray, FloatArray]]) -> Parity:
    """The largest difference of any result from what was expected; ParityError as in :func:`check`."""
    n = len(expected[0])
    apart = np.zeros(n)
    compared = 0
    for result in results:
        for wanted, came in zip(expected, result, strict=True):
            if wanted.shape != came.shape:
                raise ParityError(f"the same shape was expected, {wanted.shape} and {came.shape} came")
            compared += wanted.size
            same = (wanted == came) | (np.isnan(wanted) & np.isnan(came))
            with np.errstate(invalid="ignore"):
                difference = np.where(same, 0.0, np.abs(wanted.astype(np.float64) - came))
            difference[np.isnan(difference)] = np.inf  # one of the two has no number
            apart = np.maximum(apart, difference.max(axis=tuple(range(1, difference.ndim)), initial=0.0))
    if not compared:
        raise ParityError("at least one sample was expected, none came: nothing was compared")
    parity = Parity(float(apart.max()), int(apart.argmax()), n)
    if parity.max_abs > TOLERANCE:
        raise ParityError(
            f"differences up to {TOLERANCE:g} were expected, {parity.max_abs:.3g} came (sample {parity.worst_sample} "
            f"of {n}); export the network again, and the golden set with it"
        )
    return parity


def main(arguments: Sequence[str] = ()) -> int:
    """Command line: see the module's docstring."""
    parser = argparse.ArgumentParser(prog="python -m export.parity", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)  # fmt: skip
    parser.add_argument("--model", type=Path, default=MODEL)
    parser.add_argument("--golden", type=Path, default=GOLDEN)
    options = parser.parse_args(arguments)
    try:
        parity = check_golden(options.model, options.golden)
    except (ParityError, OSError, KeyError) as error:
        print(f"{options.model}: {error}", file=sys.stderr)
        return 1
    print(f"{options.model}: {parity.samples} samples, largest difference {parity.max_abs:.2g}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
