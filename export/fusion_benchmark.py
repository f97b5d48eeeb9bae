"""Speed and memory of a fusion model by batch size, on the CPU and, where there is one, on a GPU.

    python -m export.fusion_benchmark [--model FILE ...] [--provider cpu cuda] [--threads 1] [--out bench.json]

For each batch size: median and 95th percentile of the latency of a call, windows a second, and what memory the process
held more at its end. A provider is what the session says it computes on, not what was asked for. Several models (its
float16 and int8 variants) are timed in turn, so that a busy moment meets all alike.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

MODEL = Path(__file__).resolve().parent.parent / "painsense" / "weights" / "fusion.onnx"
#: NumPy's and the runtime's libraries read these when they are loaded
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
BATCHES = (1, 8, 32, 128, 512, 2048)
SECONDS = 1.5  # of calls for each batch size and model
LEAST_CALLS, MOST_CALLS = 5, 1000
MOST_SINGLE_MS, LEAST_PER_SECOND, MOST_MB = 1.0, 10_000, 5.0


@dataclass(frozen=True)
class Row:
    """One batch size of one model on one provider.

    ``resident_mb`` : most memory the process held by then; ``device_mb`` : of the GPU it held, None on the CPU
    """

    model: str
    provider: str
    batch: int
    calls: int
    p50_ms: float
    p95_ms: float
    per_second: float
    resident_mb: float
    device_mb: float | None


def measure(models: Sequence[Path], provider: str, threads: int, batches: Sequence[int] = BATCHES) -> list[Row]:
    """All rows of one provider. ProviderError when it does not work here."""
    import numpy as np

    from painsense import providers
    from painsense.fusion import INPUTS, OUTPUTS

    name = providers.check(provider)
    runtime = providers.runtime()
    options = runtime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    chosen = (name, {"use_tf32": "0"}) if provider == "cuda" else name
    sessions = {path.name: runtime.InferenceSession(path, options, providers=[chosen]) for path in models}
    rng = np.random.default_rng(0)
    rows = []
    for batch in batches:
        taken: dict[str, list[float]] = {each: [] for each in sessions}
        given: dict[str, dict[str, Any]] = {}
        for each, session in sessions.items():
            shapes = {node.name: tuple(node.shape[1:]) for node in session.get_inputs()}
            given[each] = {key: rng.random((batch, *shapes[key]), np.float32) for key in INPUTS}
            session.run(OUTPUTS, given[each])  # the first call makes room
        end = time.perf_counter() + SECONDS * len(sessions)
        calls = 0
        while calls < LEAST_CALLS or (time.perf_counter() < end and calls < MOST_CALLS):
            for each, session in sessions.items():
                start = time.perf_counter()
                session.run(OUTPUTS, given[each])
                taken[each].append(time.perf_counter() - start)
            calls += 1
        for each, session in sessions.items():
            p50, p95 = (1000 * float(np.quantile(taken[each], share)) for share in (0.5, 0.95))
            rows.append(
                Row(each, session.get_providers()[0], batch, calls, p50, p95, 1000 * batch / p50, _resident_mb(),
                    _device_mb() if provider == "cuda" else None)
            )  # fmt: skip
    return rows


def _resident_mb() -> float:
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most / (1e6 if sys.platform == "darwin" else 1e3)  # bytes there, kilobytes elsewhere


def _device_mb() -> float | None:
    """GPU memory of this process as the driver counts it; None where it does not say."""
    command = ["nvidia-smi", "--query-compute-apps=pid,used_memory", "--format=csv,noheader,nounits"]
    try:
        said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        return None
    found = [line.split(",") for line in said.splitlines() if line.count(",") == 1]
    mine = [float(used) for pid, used in found if int(pid) == os.getpid() and used.strip().replace(".", "").isdigit()]
    return sum(mine) if mine else None


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line: see the module's docstring."""
    parser = argparse.ArgumentParser(prog="python -m export.fusion_benchmark", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)  # fmt: skip
    parser.add_argument("--model", type=Path, nargs="+", default=[MODEL])
    parser.add_argument("--provider", nargs="+", choices=("cpu", "cuda"), default=["cpu", "cuda"])
    parser.add_argument("--threads", type=int, default=1, help="of the CPU")
    parser.add_argument("--batches", type=int, nargs="+", default=list(BATCHES))
    parser.add_argument("--out", type=Path, help="JSON with all rows")
    options = parser.parse_args(arguments)
    for name in THREADS:
        os.environ[name] = str(options.threads)
    from painsense.errors import PainsenseError, ProviderError
    from painsense.output import write_together

    rows: list[Row] = []
    try:
        for provider in options.provider:
            try:
                rows += measure(options.model, provider, options.threads, options.batches)
            except ProviderError as error:
                print(f"{provider}: not measured ({error})")
        if not rows:
            return 1
        for row in rows:
            memory = f"{row.resident_mb:.0f} MB" + (f", GPU {row.device_mb:.0f} MB" if row.device_mb else "")
            print(
                f"{row.model:24s} {row.provider:22s} batch {row.batch:5d}: p50 {row.p50_ms:8.3f} ms, p95 "
                f"{row.p95_ms:8.3f} ms, {row.per_second:9.0f} windows/s, {memory}"
            )
        if options.out:
            about = {"machine": platform.processor() or platform.machine(), "threads": options.threads}
            content = json.dumps(about | {"rows": [asdict(row) for row in rows]}, indent=1) + "\n"
            write_together(options.out.parent, {options.out.name: [content.encode()]})
    except (PainsenseError, OSError) as error:
        print(error, file=sys.stderr)
        return 1
    return _verdict(rows, options.model[0])


def _verdict(rows: Sequence[Row], model: Path) -> int:
    """0 when the first model meets the targets on the CPU."""
    mine = [row for row in rows if row.model == model.name and row.provider == "CPUExecutionProvider"]
    if not mine:
        return 0
    size_mb = model.stat().st_size / 1e6
    goals = [(f"size {size_mb:.2f} MB (target: under {MOST_MB:g})", size_mb < MOST_MB)]
    for row in mine:
        if row.batch == 1:
            goals.append(
                (f"a window in {row.p50_ms:.2f} ms (target: under {MOST_SINGLE_MS:g})", row.p50_ms < MOST_SINGLE_MS)
            )
    best = max(row.per_second for row in mine)
    goals.append((f"{best:.0f} windows a second in batches (target: {LEAST_PER_SECOND})", best >= LEAST_PER_SECOND))
    for text, met in goals:
        print(f"{text}: {'met' if met else 'MISSED'}")
    return 0 if all(met for _, met in goals) else 1


if __name__ == "__main__":
    sys.exit(main())
