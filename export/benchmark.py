"""Size and speed of the action unit network on one core, in batches of 32 as a clip is scored.

    python -m export.benchmark [--model FILE]

The yardstick is the least that any network of its size can take: one matrix product by NumPy with as many
multiplications as the file has weights, timed in turn with it.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

#: NumPy's and the runtime's libraries read these when they are loaded
ONE_THREAD = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
MODEL = Path(__file__).resolve().parent.parent / "painsense" / "weights" / "action_units.onnx"
BATCH = 32
ROUNDS = 200
MOST_MS = 0.2
MOST_MB = 2.0


@dataclass(frozen=True)
class Speed:
    """What was measured: time a frame in ms of the network in batches, frame by frame, and of the yardstick; size."""

    batch_ms: float
    single_ms: float
    yardstick_ms: float
    size_mb: float


def measure(model: Path = MODEL, rounds: int = ROUNDS) -> Speed:
    """Medians over ``rounds`` runs of each, in turn, so that a busy moment meets all alike."""
    import numpy as np

    from painsense import providers

    onnxruntime = providers.runtime()

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    names = [node.name for node in session.get_inputs()]
    width = session.get_inputs()[0].shape[1]
    rng = np.random.default_rng(0)
    faces = {name: rng.normal(size=(BATCH, width)).astype(np.float32) for name in names}
    one = {name: values[:1] for name, values in faces.items()}
    size_bytes = model.stat().st_size
    rows = rng.normal(size=(BATCH, width)).astype(np.float32)
    weights = rng.normal(size=(width, max(1, size_bytes // 4 // width))).astype(np.float32)
    ways: dict[str, Callable[[], object]] = {
        "batch": lambda: session.run(None, faces),
        "single": lambda: session.run(None, one),
        "yardstick": lambda: rows @ weights,
    }
    times_s: dict[str, list[float]] = {name: [] for name in ways}
    for turn in range(rounds + 5):  # the first few warm up caches and buffers
        for name, way in ways.items():
            start_s = time.perf_counter()
            way()
            if turn >= 5:
                times_s[name].append(time.perf_counter() - start_s)
    ms = {name: 1000 * statistics.median(values) for name, values in times_s.items()}
    return Speed(ms["batch"] / BATCH, ms["single"], ms["yardstick"] / BATCH, size_bytes / 1e6)


def main(arguments: Sequence[str] = ()) -> int:
    """Command line: see the module's docstring. Exit code 1 when a target is missed."""
    parser = argparse.ArgumentParser(prog="python -m export.benchmark", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)  # fmt: skip
    parser.add_argument("--model", type=Path, default=MODEL)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    options = parser.parse_args(arguments)
    os.environ.update(dict.fromkeys(ONE_THREAD, "1"))
    speed = measure(options.model, options.rounds)
    rows = (
        (f"one core, batches of {BATCH}", speed.batch_ms, "ms a frame", MOST_MS),
        ("file", speed.size_mb, "MB", MOST_MB),
    )
    for what, came, unit, most in rows:
        print(f"{what}: {came:.4f} {unit} (target: under {most:g}): {'met' if came < most else 'MISSED'}")
    print(f"one core, frame by frame: {speed.single_ms:.4f} ms a frame")
    print(f"yardstick, a matrix product of this size: {speed.yardstick_ms:.4f} ms a frame; the network takes "
          f"{speed.batch_ms / speed.yardstick_ms:.1f} times that")  # fmt: skip
    return 0 if speed.batch_ms < MOST_MS and speed.size_mb < MOST_MB else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
