"""Measure painsense and print one line a figure: name, value, target, and whether it is met.

Every figure that depends on the machine's speed is a ratio to a yardstick measured in the same run, or a time a person
waits. See README.md for what each line means.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import operator
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import painsense
from benchmarks.clips import FPS, looped
from painsense import assets

ROOT = Path(__file__).resolve().parent.parent
SAMPLE = ROOT / "samples" / "episode.mp4"
REFERENCE = ROOT / ".venv-mediapipe"
STARTS = 7  # runs whose median is the time of a start

TARGETS = {
    "score_fps_ratio": (">=", 2.8),
    "score_fps_ratio_under_way": (">=", 3.0),
    "answer_10s_s": ("<=", 4.0),
    "import_painsense_s": ("<=", 0.3),
    "help_s": ("<=", 0.5),
    "same_bytes": ("=", 1),
    "peak_memory_60min_mib": ("<", 1024),
    "peak_memory_ratio": ("<=", 1.1),
}
COMPARE = {">=": operator.ge, "<=": operator.le, "<": operator.lt, "=": operator.eq}


@dataclass(frozen=True)
class Run:
    """A finished command: how long it took, and the most memory it ever held."""

    seconds: float
    peak_mib: float
    output: str


def main() -> int:
    """Run the benchmarks asked for."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--only", choices=["speed", "start", "bytes", "memory"], help="just these figures")
    parser.add_argument("--long", action="store_true", help="also peak memory, on a recording of an hour (10 minutes)")
    parser.add_argument("--repeat", type=int, default=1, metavar="N", help="measure speed N times, print the medians")
    parser.add_argument("--source", type=Path, default=SAMPLE, help="the clip that is repeated [the bundled one]")
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()) / "painsense-bench",
                        help="where the long clips are kept [%(default)s]")  # fmt: skip
    arguments = parser.parse_args()
    usual = {"start", "bytes", "speed"} | ({"memory"} if arguments.long else set())
    wanted = {arguments.only} if arguments.only else usual
    print(f"# {_machine()}", flush=True)
    if "start" in wanted:
        start()
    if "bytes" in wanted:
        same_bytes(arguments.source)
    if "speed" in wanted:
        speed(arguments.source, arguments.folder, arguments.repeat)
    if "memory" in wanted:
        memory(arguments.source, arguments.folder)
    return 0


def start() -> None:
    """How long one waits before anything happens."""
    timed = "import time; start = time.perf_counter(); import painsense; print(time.perf_counter() - start)"
    show("import_painsense_s", statistics.median(float(run("-c", timed).output) for _ in range(STARTS)))
    show("help_s", statistics.median(run("-m", "painsense", "--help").seconds for _ in range(STARTS)))


def same_bytes(source: Path) -> None:
    """Whether the CSV files are the same for one and two workers, and for two runs."""
    results = []
    for workers in (1, 2, 2):
        with tempfile.TemporaryDirectory() as out:
            score(source, Path(out), "--format", "csv", "--workers", str(workers))
            results.append({file.name: file.read_bytes() for file in Path(out).iterdir()})
    show("same_bytes", int(bool(results[0]) and results[0] == results[1] == results[2]))


def speed(source: Path, folder: Path, repeat: int) -> None:
    """The whole ``score`` command against a bare loop of MediaPipe's FaceLandmarker on the same clip."""
    python, model = reference_python(), assets.face_model().path
    ten, one, five = (looped(source, seconds, folder) for seconds in (10, 60, 300))
    bare, whole, under_way, answer = [], [], [], []
    for _ in range(repeat):
        loop = json.loads(run(str(ROOT / "benchmarks" / "yardstick.py"), str(five), str(model), python=python).output)
        short_s, long_s = (scored(clip).seconds for clip in (one, five))
        bare.append(loop["frames"] / loop["seconds"])
        whole.append(300 * FPS / long_s / bare[-1])
        under_way.append(240 * FPS / (long_s - short_s) / bare[-1])
        answer.append(scored(ten).seconds)
    show("mediapipe_fps", statistics.median(bare))
    show("score_fps", statistics.median(ratio * fps for ratio, fps in zip(whole, bare, strict=True)))
    show("score_fps_ratio", statistics.median(whole))
    show("score_fps_ratio_under_way", statistics.median(under_way))
    show("answer_10s_s", statistics.median(answer))


def memory(source: Path, folder: Path) -> None:
    """The most memory the ``score`` command holds on an hour's recording, and on a minute's."""
    minute, hour = (scored(looped(source, seconds, folder)).peak_mib for seconds in (60, 3600))
    show("peak_memory_1min_mib", minute)
    show("peak_memory_60min_mib", hour)
    show("peak_memory_ratio", hour / minute)


def scored(clip: Path) -> Run:
    """The whole command as a user gives it: all modalities, all reports."""
    with tempfile.TemporaryDirectory() as out:
        return score(clip, Path(out))


def score(clip: Path, out: Path, *options: str) -> Run:
    """``painsense score``."""
    return run("-m", "painsense", "score", str(clip), "--out", str(out), "--quiet", *options)


def run(*arguments: str, python: str = sys.executable) -> Run:
    """Run Python and wait; what it says on standard error is shown only when it fails."""
    # The peak also covers the moment between fork and exec, when the child still shares this process's memory. That is
    # far less than painsense needs, as long as nothing large is loaded here.
    with tempfile.TemporaryFile("w+") as output, tempfile.TemporaryFile("w+") as errors:
        start_s = time.perf_counter()
        process = subprocess.Popen([python, *arguments], cwd=ROOT, stdout=output, stderr=errors)
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - start_s
        process.returncode = os.waitstatus_to_exitcode(status)
        output.seek(0)
        errors.seek(0)
        if process.returncode:
            raise SystemExit(f"{' '.join(arguments)}: exit code {process.returncode}\n{errors.read()}")
        peak_bytes = usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024)
        return Run(seconds, peak_bytes / 2**20, output.read())


def show(name: str, value: float) -> None:
    """Print one figure."""
    text = f"{value:.0f}" if name == "same_bytes" or value >= 100 else f"{value:.2f}"
    if name in TARGETS:
        relation, target = TARGETS[name]
        text += f" {relation}{target:g} {'ok' if COMPARE[relation](value, target) else 'MISS'}"
    print(f"{name} {text}", flush=True)


def reference_python() -> str:
    """The interpreter of an environment that has mediapipe; made if there is none."""
    if named := os.environ.get("PAINSENSE_REFERENCE_PYTHON"):
        return named
    if not (REFERENCE / ".reference").exists():
        subprocess.run(["make", f"{REFERENCE.name}/.reference"], cwd=ROOT, check=True, stdout=sys.stderr)
    return str(REFERENCE / "bin" / "python")


def _machine() -> str:
    """What the figures were measured on, and how busy it was."""
    load = f", load {os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else ""
    versions = (f"{name} {importlib.metadata.version(name)}" for name in ("ai-edge-litert", "av", "numpy"))
    return (
        f"painsense {painsense.__version__}, python {platform.python_version()}, {', '.join(versions)}; "
        f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores{load}"
    )


if __name__ == "__main__":
    sys.exit(main())
