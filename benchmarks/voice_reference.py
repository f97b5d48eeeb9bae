"""The voice beside openSMILE's and Praat's figures of recorded voices: writes ``docs/voice-functionals.md``.

``python -m benchmarks.voice_reference --data FOLDER [--out FILE]``. The folder holds ``clips/*.mpg``, ``voice/`` and
``reference/``: what openSMILE 2.6.0 and Praat say of those files at 16 kHz mono. The 88 functionals make the page; how
the track's own columns stand to Praat is printed, for ``docs/voice.md``. Fails when a functional that ranks the
recordings otherwise (Spearman under 0.8) has no reason beside it.
"""

from __future__ import annotations

import argparse
import csv
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from painsense import media, voice, voice_functionals
from painsense.tracks import Track

ROOT = Path(__file__).resolve().parent.parent
OPENSMILE = "opensmile_egemapsv02_functionals.csv"
ENOUGH = 0.8  # Spearman

_PITCH = "a few frames in which the two pitches lie far apart decide a spread, and so does which weak frames are voiced"
_CONTOUR = (
    "voiced frames are taken one after the other, across pauses, and a turn counts from a tenth of the range, so which "
    "frames are voiced decides; openSMILE leaves out weak ones and the edges of voice"
)
_VOICING = "openSMILE cuts a syllable into several pieces and drops weak voice; here gaps of 30 ms are bridged"
_QUOTIENT = (
    "the mean is close to 0 in some recordings and so decides the quotient, and weak frames that only one of the two "
    "calls voiced lie far off; the deviation alone: see below"
)
_SILENCE = (
    "digital silence has no spectrum and is left out here; openSMILE gives it one; without such recordings: see below"
)
_PERIODS = "other periods, and openSMILE's zeros where it finds none; Praat and openSMILE differ likewise: see below"
_FORMANTS = (
    "openSMILE's formants are broad (mean bandwidth about 1 kHz), here a formant is at most 800 Hz wide; Praat and "
    "openSMILE differ likewise: see below"
)
_AMPLITUDES = (
    "openSMILE writes -201 dB where there is no pitch and averages that too, so its figure says how much is voiced; "
    "here voiced frames only"
)
#: what a functional's name begins with -> why it differs; the longest beginning counts
REASONS = {
    "F0semitoneFrom27.5Hz_sma3nz_stddevNorm": _PITCH,
    "F0semitoneFrom27.5Hz_sma3nz_pctlrange0-2": _PITCH,
    "F0semitoneFrom27.5Hz_sma3nz_meanRisingSlope": _CONTOUR,
    "F0semitoneFrom27.5Hz_sma3nz_stddevRisingSlope": _CONTOUR,
    "F0semitoneFrom27.5Hz_sma3nz_meanFallingSlope": _CONTOUR,
    "F0semitoneFrom27.5Hz_sma3nz_stddevFallingSlope": _CONTOUR,
    "jitterLocal": _PERIODS,
    "shimmerLocaldB": _PERIODS,
    "HNRdBACF_sma3nz_stddevNorm": "the frames only one of the two calls voiced have the lowest values",
    "logRelF0-H1-H2": "here the first harmonic (at F0) over the second; openSMILE's figure follows the second over the "
    "third frame by frame, and this difference not at all",
    "logRelF0-H1-A3": "other third formant, other frames called voiced",
    **{f"F{k}{what}": _FORMANTS for k in (1, 2, 3) for what in ("frequency", "bandwidth")},
    **{f"F{k}amplitudeLogRelF0": _AMPLITUDES for k in (1, 2, 3)},
    **{f"mfcc{k}V_sma3nz_stddevNorm": _QUOTIENT for k in (1, 2, 3, 4)},
    "alphaRatioV_sma3nz_stddevNorm": _QUOTIENT,
    "slopeV0-500_sma3nz_stddevNorm": _QUOTIENT,
    "slopeV500-1500_sma3nz_stddevNorm": _QUOTIENT,
    "mfcc1_sma3_stddevNorm": _SILENCE,
    "slopeUV0-500_sma3nz_amean": _SILENCE,
    "slopeUV500-1500_sma3nz_amean": _SILENCE,
    "VoicedSegmentsPerSec": _VOICING,
    "MeanVoicedSegmentLengthSec": _VOICING,
    "StddevVoicedSegmentLengthSec": _VOICING,
    "MeanUnvoicedSegmentLength": _VOICING,
    "StddevUnvoicedSegmentLength": _VOICING,
}
#: functional -> the column of Praat's figures that means the same
PRAAT = {
    "F0semitoneFrom27.5Hz_sma3nz_percentile50.0": "f0_median_hz",
    "jitterLocal_sma3nz_amean": "jitter_local",
    "shimmerLocaldB_sma3nz_amean": "shimmer_local_db",
    "HNRdBACF_sma3nz_amean": "hnr_mean_db",
    "F1frequency_sma3nz_amean": "f1_median_hz",
    "F2frequency_sma3nz_amean": "f2_median_hz",
    "F3frequency_sma3nz_amean": "f3_median_hz",
}

#: column of the track -> of Praat's figures
PRAAT_COLUMNS = {
    "jitter_local": "jitter_local",
    "shimmer_local": "shimmer_local",
    "shimmer_db": "shimmer_local_db",
    "hnr_db": "hnr_mean_db",
    "f1_hz": "f1_median_hz",
    "f2_hz": "f2_median_hz",
    "f3_hz": "f3_median_hz",
}
PRAAT_HIGHEST_HZ = 600.0  # where its search for the pitch ended

Figures = dict[str, dict[str, float]]  # file -> name -> value


@dataclass(frozen=True)
class Agreement:
    """One functional over the recordings: rank correlation, medians of both, and in how many both have a value."""

    name: str
    spearman: float
    ours: float
    theirs: float
    count: int


def main() -> int:
    """Measure and write."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.voice_reference", description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder of the recordings and the reference")
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "voice-functionals.md", help="[%(default)s]")
    arguments = parser.parse_args()
    of = tracks(arguments.data)
    ours = {name: voice_functionals.of_track(track, segments=()) for name, track in of.items()}
    theirs, praat = (figures(arguments.data / "reference" / name) for name in (OPENSMILE, "praat.csv"))
    found = agreement(ours, theirs)
    without = [row.name for row in found if not row.spearman >= ENOUGH and not reason(row.name)]
    if without:
        print(f"no reason given for {', '.join(without)}", file=sys.stderr)
        return 1
    arguments.out.write_text(document(found, checks(of, ours, theirs, praat)))
    print("\n".join(beside_praat(of, praat)))
    print(f"{sum(row.spearman >= ENOUGH for row in found)} of {len(found)} at Spearman {ENOUGH} or more")
    return 0


def tracks(data: Path) -> dict[str, Track]:
    """The voice track of every recording, by file name."""
    files = [*(data / "voice").rglob("*.mp3"), *(data / "voice").rglob("*.flac"), *(data / "clips").glob("*.mpg")]
    found = {}
    for path in sorted(files):
        stream = voice.VoiceStream()
        for start_s, samples in media.read_audio(media.open_media(path)):
            stream.push(start_s, samples)
        found[path.name] = stream.finish()
    return found


def figures(path: Path) -> Figures:
    """A table of reference figures by file name; NaN where a field is empty."""
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    return {row.pop("file"): {name: float(value) if value else np.nan for name, value in row.items()} for row in rows}


def agreement(ours: Figures, theirs: Figures) -> list[Agreement]:
    """The 88 functionals against the reference, in its order."""
    found = []
    for name in next(iter(theirs.values())):
        pairs = _pairs([(ours[file][name], theirs[file][name]) for file in ours])
        x, y = np.median(pairs, axis=0)
        found.append(Agreement(name, spearman(pairs), float(x), float(y), len(pairs)))
    return found


def checks(of: dict[str, Track], ours: Figures, theirs: Figures, praat: Figures) -> list[str]:
    """Tables that bear out the reasons."""
    lines = ["| against Praat, Spearman | painsense | openSMILE |", "|---|---|---|"]
    for name, column in PRAAT.items():
        here = spearman(_pairs([(ours[file][name], praat[file][column]) for file in ours]))
        there = spearman(_pairs([(theirs[file][name], praat[file][column]) for file in ours]))
        lines.append(f"| `{column}` | {here:.2f} | {there:.2f} |")
    recorded = [name for name, track in of.items() if np.isnan(track.column("level_dbfs")).mean() < 0.01]
    lines += [
        "",
        f"| painsense against openSMILE in the {len(recorded)} recordings without digital silence | Spearman |",
    ]
    lines += ["|---|---|"]
    for name in (name for name, why in REASONS.items() if why is _SILENCE):
        lines.append(f"| `{name}` | {spearman(_pairs([(ours[f][name], theirs[f][name]) for f in recorded])):.2f} |")
    lines += ["", "| painsense against openSMILE: the deviation, not divided by the mean | Spearman |", "|---|---|"]
    for name in (name for name, why in REASONS.items() if why is _QUOTIENT):
        mean = name.replace("stddevNorm", "amean")
        pairs = [tuple(values[f][name] * values[f][mean] for values in (ours, theirs)) for f in ours]
        lines.append(f"| `{name.removesuffix('Norm')}` | {spearman(_pairs(pairs)):.2f} |")
    return lines


def beside_praat(of: dict[str, Track], praat: Figures) -> list[str]:
    """The columns of the track against Praat's figures, over the recordings in which both found voice."""
    heard = {file: track.values[track.column("voiced") == 1] for file, track in of.items()}
    both = [file for file, values in heard.items() if len(values) and np.isfinite(praat[file]["f0_median_hz"])]

    names = [column.name for column in voice.COLUMNS]

    def pairs(name: str, column: str) -> npt.NDArray[np.float64]:
        middle = np.nanmedian if name.endswith("_hz") else np.nanmean
        k = names.index(name)
        return np.array([(middle(heard[file][:, k]), praat[file][column]) for file in both], np.float64)

    pitch = pairs("f0_hz", "f0_median_hz")
    low = np.array([np.mean(heard[file][:, names.index("f0_hz")] > PRAAT_HIGHEST_HZ) < 0.1 for file in both])
    within = np.mean(np.abs(pitch[low, 0] / pitch[low, 1] - 1) < 0.05)
    r, r_low = (np.corrcoef(part.T)[0, 1] for part in (pitch, pitch[low]))
    lines = [f"median pitch: r = {r:.3f} over {len(both)}, {r_low:.3f} over {low.sum()} with {within:.0%} within 5%"]
    for name, column in PRAAT_COLUMNS.items():
        found = pairs(name, column)
        ours, theirs = found.T
        apart = f"{np.median(ours - theirs):+.1f} dB" if name == "hnr_db" else f"{np.median(ours / theirs):.2f}"
        lines.append(f"{name}: Spearman {spearman(found):.2f}, {apart}")
    voiced_s = np.array([(len(heard[file]) * voice.STEP_S, praat[file]["voiced_s"]) for file in of])
    more = voiced_s[:, 0].sum() / voiced_s[:, 1].sum() - 1
    return [*lines, f"seconds of voice: r = {np.corrcoef(voiced_s.T)[0, 1]:.2f}, {more:+.0%}"]


def _pairs(values: Sequence[Sequence[float]]) -> npt.NDArray[np.float64]:
    pairs = np.array(values, np.float64)
    return np.asarray(pairs[np.isfinite(pairs).all(axis=1)])


def spearman(pairs: npt.NDArray[np.float64]) -> float:
    """Rank correlation of pairs, [shape=(n, 2)]."""
    return float(np.corrcoef(_ranks(pairs[:, 0]), _ranks(pairs[:, 1]))[0, 1])


def _ranks(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Ranks; equal values share their mean rank."""
    _, group, size = np.unique(values, return_inverse=True, return_counts=True)
    return np.asarray((np.cumsum(size) - (size - 1) / 2)[group], np.float64)


def reason(name: str) -> str:
    """Why a functional differs, empty where no reason is known."""
    beginnings = [begin for begin in REASONS if name.startswith(begin)]
    return REASONS[max(beginnings, key=len)] if beginnings else ""


def document(found: list[Agreement], evidence: list[str]) -> str:
    """The whole page."""
    good = sum(row.spearman >= ENOUGH for row in found)
    lines = [_BEFORE.format(count=max(row.count for row in found), good=good, all=len(found))]
    lines += ["| functional | Spearman | median here | median openSMILE | why it differs |", "|---|---|---|---|---|"]
    for row in found:
        why = reason(row.name) if row.spearman < ENOUGH else ""
        lines.append(f"| `{row.name}` | {row.spearman:.2f} | {row.ours:.4g} | {row.theirs:.4g} | {why} |")
    lines += [_EVIDENCE, *evidence, _BETWEEN, "| name | unit | what | source |", "|---|---|---|---|"]
    for column in voice_functionals.NONVERBAL:
        lines.append(f"| `{column.name}` | {column.unit} | {column.meaning} | {column.source} |")
    return "\n".join(lines) + "\n" + _AFTER


_BEFORE = """# Functionals of the voice

*Written by `python -m benchmarks.voice_reference --data FOLDER`; change that, not this page.*

```python
from painsense import voice, voice_functionals

voice.functionals(y, sr)                                  # dict: 88 names of eGeMAPSv02, then the non-verbal ones
voice_functionals.of_track(track, start_s=10, stop_s=15)  # of a window of a track that is there already
```

NaN where nothing could be measured. Loudness, flux, slopes and levels change with the microphone and its distance:
compare within a recording.

## How the 88 are made

- The track's columns are averaged over three frames (`sma3`); what is only defined in voice over the voiced ones among
  them (`sma3nz`). `V` and `UV` are voiced and unvoiced frames.
- `stddevNorm` is the standard deviation over the mean, with the mean's sign. Percentiles are interpolated.
- A contour rises or falls from one turn to the next; turns smaller than a tenth of its range are none. What follows the
  last turn counts as well. Peaks of loudness are such turns.
- Segments are runs of at least three frames.
- Digital silence counts as loudness 0 and flux 0, and as no power in the equivalent level. It has no spectrum.
- The alpha ratio is high over low frequencies, as openSMILE gives it: negative in most voices.
- `slope...` is scaled as in openSMILE, whose figures are those of a line over n spectral lines with n - 1 in the place
  of n: it is steeper and takes in the level of the band. The columns `slope_0_500` and `slope_500_1500` of the track
  are plain slopes.

## Beside openSMILE

{count} recordings (six people reading, five acted cries, 72 sentences acted in six emotions), openSMILE 2.6.0:
{good} of {all} rank them alike (Spearman 0.8 or more). openSMILE's code was not read: the reasons follow from its
published settings and from its output.
"""

_EVIDENCE = """
Where the two standards differ, jitter, shimmer and formants here lie nearer to Praat:
"""

_BETWEEN = """
## Beyond eGeMAPS
"""

_AFTER = """
Kinds of sound (breath, non-verbal voice) are those of `painsense.voice_segments`.
"""


if __name__ == "__main__":
    sys.exit(main())
