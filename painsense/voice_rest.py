"""The voice at rest: what a baseline keeps of it, and the measures that are compared with it, with their words.

Loudness is told as a change only: what a microphone writes down depends on its distance and gain.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from painsense.tracks import BoolArray, Track
from painsense.voice_gain import automatic_gain

STEP_S = 0.010

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Limits:
    """How much voice a comparison needs, and when loudness can be compared across two recordings. Proposals."""

    least_rest_voice_s: float = 1.0  # in a rest recording: prosody of less is that of one word
    least_own_voice_s: float = 2.0  # in a recording that is compared with itself
    least_voice_s: float = 0.5  # in a stretch of 2 s that is compared
    max_room_difference_db: float = 6.0  # noise floors further apart: another microphone, gain, distance or room


LIMITS = Limits()


@dataclass(frozen=True)
class Measure:
    """One measure of the voice that is compared.

    Attributes
    ----------
    name : its column
    unit : of the change; "times" where the ratio of two values is what counts
    error : standard deviation of the median over one second of unchanged voice, in ``unit`` ("times": octaves)
    least : smallest change worth telling, in ``unit`` ("times": octaves)
    more, less : words for a higher and a lower value, with the change, both values and where the other is from
    """

    name: str
    unit: str
    error: float
    least: float
    more: str
    less: str
    show: Callable[[float], str] = "{:.1f}".format


def _hz(semitones: float) -> str:
    return f"{27.5 * 2 ** (semitones / 12):.0f}"


#: ``error``: from stretches of GRID's talkers and of generated speech at one effort (docs/report.md says how), rounded
#: up; ``least``: proposals, about what a listener notices
MEASURES = (
    Measure(
        "f0_semitone",
        "semitones",
        1.0,
        2.0,
        "pitch {change} semitones higher than {where} ({value} Hz against {rest} Hz)",
        "pitch {change} semitones lower than {where} ({value} Hz against {rest} Hz)",
        _hz,
    ),
    Measure(
        "loudness",
        "dB",
        2.5,
        4.0,
        "voice {change} dB louder than {where}",
        "voice {change} dB softer than {where}",
    ),
    Measure(
        "hnr_db",
        "dB",
        2.0,
        4.0,
        "less noise in the voice: harmonics-to-noise ratio {change} dB higher than {where} ({value} against {rest} dB)",
        "rougher: harmonics-to-noise ratio {change} dB lower than {where} ({value} against {rest} dB)",
    ),
    Measure(
        "cpp_db",
        "dB",
        1.0,
        2.0,
        "clearer voice: cepstral peak {change} dB higher than {where} ({value} against {rest} dB)",
        "breathier or hoarser: cepstral peak {change} dB lower than {where} ({value} against {rest} dB)",
    ),
    Measure(
        "jitter_local",
        "times",
        0.4,
        0.6,
        "less steady pitch: jitter {change} times as much as {where} ({value} against {rest}%)",
        "steadier pitch: jitter {change} times as much as {where} ({value} against {rest}%)",
        lambda value: f"{100 * 2**value:.1f}",
    ),
    Measure(
        "shimmer_db",
        "times",
        0.25,
        0.6,
        "less steady strength: shimmer {change} times as much as {where} ({value} against {rest} dB)",
        "steadier strength: shimmer {change} times as much as {where} ({value} against {rest} dB)",
        lambda value: f"{2**value:.2f}",
    ),
    Measure(
        "roughness",
        "1",
        0.04,
        0.1,
        "rougher: ripple of the loudness {value} against {rest} {where}",
        "smoother: ripple of the loudness {value} against {rest} {where}",
        "{:.2f}".format,
    ),
    Measure(
        "alpha_ratio_db",
        "dB",
        2.5,
        4.0,
        "sharper: {change} dB more sound above 1 kHz than {where}",
        "duller: {change} dB less sound above 1 kHz than {where}",
    ),
)
NAMES = tuple(measure.name for measure in MEASURES)
_LOUDNESS_EXPONENT = 0.33  # loudness follows power to this: Eyben et al. 2016, doi 10.1109/TAFFC.2015.2457417


@dataclass(frozen=True)
class Rest:
    """The voice at rest: what :func:`at_rest` said of a rest clip. ``kind``: "rest_clip" or "saved"."""

    kind: str
    source: str
    values: dict[str, float]


def at_rest(voice: Track) -> dict[str, float]:
    """What a baseline keeps of the voice in a rest clip; all but the first entries are missing without voice in it.

    ``voiced_s``, ``voiced_share`` of the recorded time; ``noise_floor_dbfs`` and ``automatic_gain`` (1 or 0) where they
    are known; the median of each column of the voice track over the usable voice, and for the columns that are
    compared the 5th and 95th percentile (``f0_semitone_p5`` ...).
    """
    use = usable_voice(voice)
    recorded_s = float((~voice.has_reason("no_audio")).sum()) * STEP_S
    found = {"voiced_s": float(use.sum()) * STEP_S}
    if recorded_s:
        found["voiced_share"] = found["voiced_s"] / recorded_s
    floor = room_noise_dbfs(voice)
    if math.isfinite(floor):
        found["noise_floor_dbfs"] = floor
    if (gain := automatic_gain(voice)) is not None:
        found["automatic_gain"] = float(gain)
    for name in voice.names:
        values = finite(voice.column(name)[use])
        if name == "voiced" or not len(values):
            continue
        found[name] = float(np.median(values))
        if name in NAMES:
            found[f"{name}_p5"], found[f"{name}_p95"] = map(float, np.percentile(values, [5, 95]))
    return {name: round(value, 6) for name, value in found.items()}


def usable_voice(voice: Track) -> BoolArray:
    """Frames of voice that may be compared, ndarray [shape=(n,)]: nothing stands against them, nor is it another's."""
    use = voice.valid & (voice.column("voiced") == 1)
    others = any(reason.code == "lips_still" for reason in voice.reasons)
    return np.asarray(use & ~voice.has_reason("lips_still") if others else use)


def scaled(name: str, values: npt.ArrayLike) -> Floats:
    """Values of a column on the scale on which changes are differences: dB for loudness, octaves for ratios."""
    x = np.asarray(values, np.float64)
    unit = next(measure.unit for measure in MEASURES if measure.name == name)
    with np.errstate(divide="ignore", invalid="ignore"):
        if name == "loudness":  # the gain in dB that would make this loudness of another
            x = 10 / _LOUDNESS_EXPONENT * np.log10(x)
        elif unit == "times":
            x = np.log2(x)
    return np.where(np.isfinite(x), x, np.nan)


def loudness_of(db: float) -> float:
    """The other way: the loudness that stands for so many dB."""
    return float(10 ** (db * _LOUDNESS_EXPONENT / 10))


def room_noise_dbfs(voice: Track) -> float:
    """Noise floor of the recording; NaN when it has no pause to hear it in."""
    from painsense.voice_gates import noise_floor  # brings pitch.py along: not before there is sound

    return noise_floor(voice.column("level_dbfs")[voice.column("voiced") != 1])


def finite(values: npt.NDArray[np.floating[Any]]) -> npt.NDArray[np.floating[Any]]:
    """The values that are there, ndarray [shape=(k,)]."""
    return np.asarray(values[np.isfinite(values)])
