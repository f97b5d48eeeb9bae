"""The voice's functionals against openSMILE's eGeMAPSv02 functionals: processor time on the same recording.

``python -m benchmarks.voice [--minutes 10] [--repeat 3]``. The recording is made by repeating half a minute of
generated voice. openSMILE may not be used in products and is no part of painsense: it lives in an environment of its
own, ``.venv-opensmile``, made at the first run (``PAINSENSE_OPENSMILE_PYTHON`` names another). One line a figure: name,
value, target, and whether it is met.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
import venv
from pathlib import Path

import numpy as np
import numpy.typing as npt

ROOT = Path(__file__).resolve().parent.parent
OPENSMILE = ROOT / ".venv-opensmile"
OPENSMILE_VERSION = "2.6.0"
SAMPLE_RATE_HZ = 16_000
UNIT_S = 30.0
TARGET = 1.0  # times openSMILE's processor time; half of it is the goal


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.voice", description=__doc__)
    parser.add_argument("--minutes", type=float, default=10.0, help="length of the recording [%(default)g]")
    parser.add_argument("--repeat", type=int, default=3, metavar="N", help="measure N times, print medians")
    parser.add_argument("--measure", type=Path, metavar="FILE", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.measure is not None:
        print(json.dumps(measure(np.load(arguments.measure))))
        return 0
    python = opensmile_python()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "voice.npy"
        y = recording(60 * arguments.minutes)
        np.save(path, y)
        seconds_s = len(y) / SAMPLE_RATE_HZ
        theirs, ours = [], []
        for _ in range(arguments.repeat):  # in turn, so that a busy moment meets both
            theirs.append(run(python, str(ROOT / "benchmarks" / "voice_yardstick.py"), str(path))["seconds"])
            ours.append(run(sys.executable, "-m", "benchmarks.voice", "--measure", str(path)))
    whole = [found["low_level"] + found["functionals"] for found in ours]
    ratio = statistics.median(a / b for a, b in zip(whole, theirs, strict=True))
    print(f"# {seconds_s / 60:g} minutes, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}")
    print(f"opensmile_times_real_time {seconds_s / statistics.median(theirs):.0f}")
    print(f"painsense_times_real_time {seconds_s / statistics.median(whole):.0f}")
    for part in ("low_level", "functionals"):
        print(f"{part}_cpu_s {statistics.median(found[part] for found in ours):.2f}")
    print(f"voice_cpu_ratio {ratio:.2f} <={TARGET:g} {'ok' if ratio <= TARGET else 'MISS'}")
    return 0


def recording(seconds: float) -> npt.NDArray[np.float32]:
    """Generated speech, moans, groans, a scream and breath with pauses, repeated; [shape=(n,), 16 kHz]."""
    from training.simulate import voice as simulated

    rng = np.random.default_rng(1)
    pause = np.zeros(SAMPLE_RATE_HZ // 2)
    parts = []
    for kind in ("man", "woman", "old"):
        who = simulated.speaker(rng, kind)
        parts += [simulated.speech(5.0, rng, speaker=who).y, pause, simulated.moan(1.5, rng, speaker=who).y, pause]
        parts += [simulated.groan(1.2, rng, speaker=who).y, pause]
    parts += [simulated.scream(1.0, rng).y, pause]
    unit = np.concatenate(parts)[: round(UNIT_S * SAMPLE_RATE_HZ)]
    unit = unit + 10 ** (-60 / 20) * rng.normal(size=len(unit))
    return np.resize(unit, round(seconds * SAMPLE_RATE_HZ)).astype(np.float32)


def measure(y: npt.NDArray[np.float32]) -> dict[str, float]:
    """Processor seconds of the low-level measures and of the functionals with the segments they need."""
    from painsense import voice, voice_functionals

    voice.functionals(y[:SAMPLE_RATE_HZ], SAMPLE_RATE_HZ)  # what is loaded once
    start_s = time.process_time()
    track = voice.low_level(y, SAMPLE_RATE_HZ)
    middle_s = time.process_time()
    voice_functionals.of_track(track)
    return {"low_level": middle_s - start_s, "functionals": time.process_time() - middle_s}


def run(python: str, *arguments: str) -> dict[str, float]:
    """Run Python on one thread, so that threads that spin are not counted; what it prints is JSON."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    done = subprocess.run([python, *arguments], cwd=ROOT, env=environment, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{' '.join(arguments)}: exit code {done.returncode}\n{done.stderr}")
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def opensmile_python() -> str:
    """The interpreter of an environment that has openSMILE; made if there is none."""
    if named := os.environ.get("PAINSENSE_OPENSMILE_PYTHON"):
        return named
    python = OPENSMILE / "bin" / "python"
    if not (OPENSMILE / ".made").exists():
        print(f"Installing openSMILE into {OPENSMILE.name}; this takes a minute, once ...", file=sys.stderr)
        venv.create(OPENSMILE, with_pip=True)
        subprocess.run([python, "-m", "pip", "install", "-qq", f"opensmile=={OPENSMILE_VERSION}"], check=True)
        (OPENSMILE / ".made").touch()
    return str(python)


if __name__ == "__main__":
    sys.exit(main())
