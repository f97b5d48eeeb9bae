"""Functionals: a voice track, or a window of it -> one number for each thing that can be said of its voice.

The 88 of the extended Geneva set (eGeMAPSv02, Eyben et al. 2016, doi 10.1109/TAFFC.2015.2457417) under the names
openSMILE gives them, from the low-level measures of :mod:`painsense.voice`, and beside them :data:`NONVERBAL`: what
moans, cries and breath are made of. ``docs/voice-functionals.md`` holds the 88 against openSMILE's own figures and says
where and why they differ.

What could not be measured is NaN: everything of pitch without voice, a deviation of a single value, a slope of a pitch
that never moves. Counts per second are 0 where there was sound to count in. Loudness, flux and levels depend on the
microphone and its distance: compare them within a recording only.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from painsense.tracks import BoolArray, Column, Track, runs
from painsense.voice_spectrum import LINE_HZ, SLOPE_BANDS_HZ

if TYPE_CHECKING:
    from painsense.voice_segments import Segment

STEP_S = 0.010

_TURN = 0.1  # of the range: smaller turns of a contour are no peaks
_SHORTEST = 3  # frames: shorter stretches are no segments
_PAUSE_S, _SHORTEST_VOCALISATION_S = 0.2, 0.08  # shorter breaks are closures within speech; shorter voice is a click
_TURN_SEMITONES = 1.0
_SUBHARMONIC = 0.1  # of the power, 10 dB under the voice: plain to hear

_EYBEN = "Eyben et al. 2016, doi 10.1109/TAFFC.2015.2457417"
_RAINE = "Raine, Pisanski, Simner & Reby 2019, doi 10.1080/09524622.2018.1463295"
_FITCH = "Fitch, Neubauer & Herzel 2002, doi 10.1006/anbe.2001.1912"
_ARNAL = "Arnal et al. 2015, doi 10.1016/j.cub.2015.06.043"
_CPP = "Hillenbrand, Cleveland & Erickson 1994, doi 10.1044/jshr.3704.769"

Array = npt.NDArray[np.float64]

#: eGeMAPS name -> column of the voice track, in openSMILE's order
_IN_VOICE = {
    "jitterLocal": "jitter_local",
    "shimmerLocaldB": "shimmer_db",
    "logRelF0-H1-H2": "h1_h2_db",
    "logRelF0-H1-A3": "h1_a3_db",
    **{
        f"F{k}{theirs}": f"f{k}_{ours}"
        for k in (1, 2, 3)
        for theirs, ours in (("frequency", "hz"), ("bandwidth", "bandwidth_hz"), ("amplitudeLogRelF0", "level_db"))
    },
}
_CEPSTRUM = {f"mfcc{k}": f"mfcc_{k}" for k in (1, 2, 3, 4)}
_BALANCE = {
    "alphaRatio": "alpha_ratio_db",
    "hammarbergIndex": "hammarberg_db",
    "slope{}0-500": "slope_0_500",
    "slope{}500-1500": "slope_500_1500",
    "spectralFlux": "spectral_flux",
}

#: columns that are known to be 0 in digital silence: there is nothing to hear, and nothing that changes
_HEARD = {"loudness", "spectral_flux"}

#: slope -> its band in Hz, and the column that has the level of that band
_SLOPES = {f"slope_{low}_{high}": ((low, high), f"level_{low}_{high}_db") for low, high in SLOPE_BANDS_HZ}

NONVERBAL = (
    Column("voiced_share", "1", "voiced time over recorded time", 0.0, 1.0, _EYBEN),
    Column(
        "vocalisations_per_min",
        "1/min",
        f"stretches of voice of at least {_SHORTEST_VOCALISATION_S} s, breaks up to {_PAUSE_S} s bridged",
        0.0,
        None,
        _RAINE,
    ),
    Column("vocalisation_mean_s", "s", "their mean length", 0.0, None, _RAINE),
    Column("vocalisation_longest_s", "s", "the longest of them", 0.0, None, _RAINE),
    Column("pauses_per_min", "1/min", f"breaks of more than {_PAUSE_S} s between vocalisations", 0.0, None, _EYBEN),
    Column("pause_mean_s", "s", "their mean length", 0.0, None, _EYBEN),
    Column("breaths_per_min", "1/min", "audible breaths: stretches told as sigh, gasp or sniff", 0.0, None),
    Column("nonverbal_share", "1", "time told as moan, groan, cry or scream over recorded time", 0.0, 1.0, _RAINE),
    Column("nonverbal_mean_s", "s", "mean length of such stretches", 0.0, None, _RAINE),
    Column("f0_median_hz", "Hz", "median pitch of the voice", 0.0, None, _RAINE),
    Column("f0_highest_hz", "Hz", "95th percentile of the pitch", 0.0, None, _RAINE),
    Column("f0_range_semitones", "semitones", "5th to 95th percentile of the pitch", 0.0, None, _RAINE),
    Column(
        "f0_rise_semitones_per_s",
        "semitones/s",
        f"mean slope of the pitch's rises of at least {_TURN_SEMITONES:.0f} semitone within unbroken voice",
        0.0,
        None,
        _EYBEN,
    ),
    Column("f0_fall_semitones_per_s", "semitones/s", "the same of its falls, as a positive number", 0.0, None, _EYBEN),
    Column("level_range_db", "dB", "5th to 95th percentile of the level of the voice", 0.0, None, _EYBEN),
    Column("cpp_mean_db", "dB", "mean cepstral peak prominence: low in a breathy or rough voice", None, None, _CPP),
    Column("roughness_mean", "1", "mean roughness of the voice", 0.0, None, _ARNAL),
    Column(
        "subharmonic_share",
        "1",
        f"share of the voice in which subharmonics hold more than {_SUBHARMONIC:.0%} of the power",
        0.0,
        1.0,
        _FITCH,
    ),
    Column("biphonation_mean", "1", "mean share of a second pitch in the power of the voice", 0.0, 1.0, _FITCH),
    Column("chaos_mean", "1", "mean share of what follows no period", 0.0, 1.0, _FITCH),
)


def of_track(
    track: Track,
    start_s: float | None = None,
    stop_s: float | None = None,
    *,
    segments: Sequence[Segment] | None = None,
) -> dict[str, float]:
    """The functionals of a voice track, or of its samples with ``start_s <= time < stop_s``.

    Every recorded sample counts, whatever stands against it in the track's reasons: whether a window is good enough to
    be judged is for the caller to say. A column that the track does not have gives NaN.

    Parameters
    ----------
    segments : what :func:`painsense.voice_segments.of_track` says of this track, where it is known already

    Returns
    -------
    dict : the 88 names of eGeMAPSv02 in openSMILE's order, then the names of :data:`NONVERBAL`
    """
    if segments is None:
        from painsense import voice_segments  # loads a network

        segments = voice_segments.of_track(track)
    first = 0 if start_s is None else int(np.searchsorted(track.time_s, start_s))
    stop = len(track) if stop_s is None else int(np.searchsorted(track.time_s, stop_s))
    window = _Window(track, slice(first, stop))
    if len(track):
        edge_s = track.time_s[0] - STEP_S / 2
        segments = _cut(segments, edge_s + first * STEP_S, edge_s + stop * STEP_S)
    return {**_egemaps(window), **_nonverbal(window, segments)}


@functools.cache
def columns() -> tuple[Column, ...]:
    """What :func:`of_track` gives, in its order, each with its unit, meaning and source."""
    from painsense import voice  # which stands on this file

    units = {column.name: column.unit for column in voice.COLUMNS} | {_HARMONICITY: "dB"}
    nothing = Track("voice", (), (), np.empty(0), np.empty((0, 0), np.float32), np.empty(0, np.uint32))
    names = _egemaps(_Window(nothing, slice(0, 0)))
    return (*(_described(name, units) for name in names), *NONVERBAL)


def _described(name: str, units: Mapping[str, str]) -> Column:
    """One of the 88, told from the parts of its name; ``units`` are those of the track's columns."""
    measure, _, statistic = name.rpartition("_")
    if measure in _MEASURED:
        (column, where), (what, unit) = _MEASURED[measure], _STATISTICS[statistic]
        return Column(name, unit.format(units[column]), f"{what} of {column}{where}", None, None, _EYBEN)
    unit, meaning = _OTHERS[name]
    return Column(name, unit, meaning, None, None, _EYBEN)


class _Window:
    """The columns of a window, and which of its frames are recorded and voiced."""

    def __init__(self, track: Track, rows: slice) -> None:
        self._values, self._names = track.values[rows], track.names
        flag = self._column("voiced")
        self.recorded: BoolArray = np.isfinite(flag)
        self.voiced: BoolArray = flag == 1
        self.unvoiced: BoolArray = flag == 0
        self.seconds = float(self.recorded.sum() * STEP_S)
        self._dead = self.recorded & ~np.isfinite(self._column("level_dbfs"))

    def _column(self, name: str) -> Array:
        """A copy; NaN where the track has no such column. One at a time, for two hours of all of them is much."""
        if name not in self._names:
            return np.full(len(self._values), np.nan)
        return self._values[:, self._names.index(name)].astype(np.float64)

    def of(self, name: str, where: BoolArray | None = None) -> Array:
        """A column, NaN where it is not asked for."""
        values = self._column(name)
        if name in _HEARD and name in self._names:
            values[self._dead] = 0.0
        if name in _SLOPES:
            values = _as_published(values, self._column(_SLOPES[name][1]), *_SLOPES[name][0])
        return values if where is None else np.where(where, values, np.nan)

    def smooth(self, name: str, where: BoolArray | None = None) -> Array:
        """The finite values of a column, in order, each averaged with its neighbours (those asked for and finite)."""
        return _averaged(self.of(name, where))

    def per_s(self, count: int) -> float:
        return count / self.seconds if self.seconds else np.nan


def _averaged(values: Array) -> Array:
    """The finite values, each averaged with its finite neighbours."""
    known = np.isfinite(values)
    padded = np.pad(np.where(known, values, 0), 1)
    counts = np.pad(known.astype(np.float64), 1)
    total, count = (x[:-2] + x[1:-1] + x[2:] for x in (padded, counts))
    return np.asarray(total[known] / count[known])


# --- eGeMAPSv02 -------------------------------------------------------------------------------------------------------


def _of_state(name: str, state: str) -> str:
    """``alphaRatio`` and ``slope{}0-500`` of voiced (V) or unvoiced (UV) frames."""
    return name.format(state) if "{}" in name else name + state


_HARMONICITY = "the harmonics-to-noise ratio (from periodicity)"
_IN_VOICED, _IN_UNVOICED = " in voiced frames", " in unvoiced frames"
#: what stands before the last "_" of a name -> column of the voice track, and the frames that count
_MEASURED = {
    "F0semitoneFrom27.5Hz_sma3nz": ("f0_semitone", _IN_VOICED),
    "loudness_sma3": ("loudness", ""),
    "HNRdBACF_sma3nz": (_HARMONICITY, _IN_VOICED),
    **{f"{theirs}_sma3": (ours, "") for theirs, ours in {"spectralFlux": "spectral_flux", **_CEPSTRUM}.items()},
    **{f"{theirs}_sma3nz": (ours, _IN_VOICED) for theirs, ours in _IN_VOICE.items()},
    **{f"{_of_state(name, 'V')}_sma3nz": (ours, _IN_VOICED) for name, ours in {**_BALANCE, **_CEPSTRUM}.items()},
    **{f"{_of_state(name, 'UV')}_sma3nz": (ours, _IN_UNVOICED) for name, ours in _BALANCE.items()},
}
#: what stands behind it -> what is done to their values, and the unit that comes of theirs
_STATISTICS = {
    "amean": ("mean", "{}"),
    "stddevNorm": ("standard deviation over the mean", "1"),
    "percentile20.0": ("20th percentile", "{}"),
    "percentile50.0": ("median", "{}"),
    "percentile80.0": ("80th percentile", "{}"),
    "pctlrange0-2": ("80th less 20th percentile", "{}"),
    "meanRisingSlope": ("mean slope of the rises", "{}/s"),
    "stddevRisingSlope": ("standard deviation of the slopes of the rises", "{}/s"),
    "meanFallingSlope": ("mean slope (above 0) of the falls", "{}/s"),
    "stddevFallingSlope": ("standard deviation of the slopes of the falls", "{}/s"),
}
_OTHERS = {
    "loudnessPeaksPerSec": ("1/s", "peaks of loudness in a second"),
    "VoicedSegmentsPerSec": ("1/s", "voiced stretches in a second"),
    "MeanVoicedSegmentLengthSec": ("s", "mean length of voiced stretches"),
    "StddevVoicedSegmentLengthSec": ("s", "standard deviation of the length of voiced stretches"),
    "MeanUnvoicedSegmentLength": ("s", "mean length of unvoiced stretches"),
    "StddevUnvoicedSegmentLength": ("s", "standard deviation of the length of unvoiced stretches"),
    "equivalentSoundLevel_dBp": ("dBFS", "level of the mean power"),
}


def _egemaps(window: _Window) -> dict[str, float]:
    """The 88, in openSMILE's order. ``sma3``: averaged over three frames; ``nz``: over those where it is defined."""
    voiced, unvoiced = window.voiced, window.unvoiced
    loudness = window.smooth("loudness")
    out = {
        **_contour("F0semitoneFrom27.5Hz_sma3nz", window.smooth("f0_semitone", voiced)),
        **_contour("loudness_sma3", loudness),
    }
    for theirs, ours in {"spectralFlux": "spectral_flux", **_CEPSTRUM}.items():
        out |= _mean_and_variation(f"{theirs}_sma3", window.smooth(ours))
    for theirs, ours in _IN_VOICE.items():
        out |= _mean_and_variation(f"{theirs}_sma3nz", window.smooth(ours, voiced))
        if theirs == "shimmerLocaldB":  # the one that is not a column: of the autocorrelation, as its name says
            out |= _mean_and_variation("HNRdBACF_sma3nz", _averaged(_harmonicity(window.of("periodicity", voiced))))
    for theirs, ours in {**_BALANCE, **_CEPSTRUM}.items():
        out |= _mean_and_variation(f"{_of_state(theirs, 'V')}_sma3nz", window.smooth(ours, voiced))
    for theirs, ours in _BALANCE.items():
        out[f"{_of_state(theirs, 'UV')}_sma3nz_amean"] = _mean(window.smooth(ours, unvoiced))
    peaks = sum(turn > 0 for _, turn in _turns(loudness, _TURN))
    out["loudnessPeaksPerSec"] = window.per_s(peaks) if len(loudness) else np.nan
    stretches = _lengths_s(voiced)
    out["VoicedSegmentsPerSec"] = window.per_s(len(stretches))
    out["MeanVoicedSegmentLengthSec"], out["StddevVoicedSegmentLengthSec"] = _mean(stretches), _deviation(stretches)
    breaks = _lengths_s(unvoiced)
    out["MeanUnvoicedSegmentLength"], out["StddevUnvoicedSegmentLength"] = _mean(breaks), _deviation(breaks)
    out["equivalentSoundLevel_dBp"] = _equivalent_level(window)
    return out


def _as_published(slope: Array, level: Array, low_hz: float, high_hz: float) -> Array:
    """A slope as openSMILE publishes it.

    Its figures are those of a least-squares line over n spectral lines in which n - 1 stands for n: the slope comes out
    steeper, and the level of the band weighs in. (Found from its output; a column of the track is the plain slope.)
    """
    x = np.arange(low_hz, high_hz + LINE_HZ / 2, LINE_HZ)
    n, total, squares = len(x), x.sum(), np.square(x).sum()
    scale = squares - total**2 / (n - 1)
    return np.asarray(((squares - total**2 / n) * slope - total / (n - 1) * level) / scale)


def _harmonicity(r: Array) -> Array:
    """Harmonics-to-noise ratio in dB of a normalised autocorrelation at the pitch period."""
    r = np.clip(r, 1e-3, 0.9999)
    return np.asarray(10 * np.log10(r / (1 - r)))


def _contour(name: str, values: Array) -> dict[str, float]:
    """The ten of pitch and loudness. Slopes are per second, over the values that are defined one after the other."""
    low, middle, high = np.percentile(values, [20, 50, 80]) if len(values) else (np.nan,) * 3
    slopes = _slopes(values, _TURN)
    rising, falling = slopes[slopes > 0], -slopes[slopes < 0]
    return {
        **_mean_and_variation(name, values),
        f"{name}_percentile20.0": float(low),
        f"{name}_percentile50.0": float(middle),
        f"{name}_percentile80.0": float(high),
        f"{name}_pctlrange0-2": float(high - low),
        f"{name}_meanRisingSlope": _mean(rising),
        f"{name}_stddevRisingSlope": _deviation(rising),
        f"{name}_meanFallingSlope": _mean(falling),
        f"{name}_stddevFallingSlope": _deviation(falling),
    }


def _mean_and_variation(name: str, values: Array) -> dict[str, float]:
    """Mean, and standard deviation over the mean (its sign stays, as in openSMILE)."""
    mean = _mean(values)
    variation = _deviation(values) / mean if mean else np.nan
    return {f"{name}_amean": mean, f"{name}_stddevNorm": variation}


def _equivalent_level(window: _Window) -> float:
    """Level in dB of the mean power, re full scale. Digital silence is known to hold none."""
    level = window.of("level_dbfs")
    if not (np.isfinite(level) & window.recorded).any():
        return float("nan")
    power = np.where(np.isfinite(level), 10 ** (level / 10), 0)[window.recorded]
    return float(10 * np.log10(power.mean()))


# --- beyond eGeMAPS ---------------------------------------------------------------------------------------------------


def _nonverbal(window: _Window, segments: Sequence[Segment]) -> dict[str, float]:
    """The measures of :data:`NONVERBAL`."""
    voiced = window.voiced
    pitch, level = _finite(window.of("f0_hz", voiced)), _finite(window.of("level_dbfs", voiced))
    utterances, pauses = _vocalisations(window)
    rises = _glides(window)
    nonverbal = np.array([s.end_s - s.start_s for s in segments if s.kind == "nonverbal"])
    subharmonics = _finite(window.of("subharmonics", voiced))

    def spread(values: Array) -> float:
        return float(np.ptp(np.percentile(values, [5, 95]))) if len(values) else np.nan

    return {
        "voiced_share": window.per_s(int(voiced.sum())) * STEP_S,
        "vocalisations_per_min": 60 * window.per_s(len(utterances)),
        "vocalisation_mean_s": _mean(utterances),
        "vocalisation_longest_s": float(utterances.max()) if len(utterances) else np.nan,
        "pauses_per_min": 60 * window.per_s(len(pauses)),
        "pause_mean_s": _mean(pauses),
        "breaths_per_min": 60 * window.per_s(sum(s.kind == "breath" for s in segments)),
        "nonverbal_share": nonverbal.sum() / window.seconds if window.seconds else np.nan,
        "nonverbal_mean_s": _mean(nonverbal),
        "f0_median_hz": float(np.median(pitch)) if len(pitch) else np.nan,
        "f0_highest_hz": float(np.percentile(pitch, 95)) if len(pitch) else np.nan,
        "f0_range_semitones": spread(12 * np.log2(pitch)),
        "f0_rise_semitones_per_s": _mean(rises[rises > 0]),
        "f0_fall_semitones_per_s": _mean(-rises[rises < 0]),
        "level_range_db": spread(level),
        "cpp_mean_db": _mean(_finite(window.of("cpp_db", voiced))),
        "roughness_mean": _mean(_finite(window.of("roughness", voiced))),
        "subharmonic_share": _mean((subharmonics > _SUBHARMONIC).astype(np.float64)),
        "biphonation_mean": _mean(_finite(window.of("biphonation", voiced))),
        "chaos_mean": _mean(_finite(window.of("chaos", voiced))),
    }


def _vocalisations(window: _Window) -> tuple[Array, Array]:
    """Lengths of vocalisations and of the pauses between them in seconds; a hole in the recording is no pause."""
    joined: list[tuple[int, int]] = []
    for a, b in runs(window.voiced):
        near = bool(joined) and (a - joined[-1][1]) * STEP_S <= _PAUSE_S + 1e-9
        if near and window.recorded[joined[-1][1] : a].all():
            joined[-1] = (joined[-1][0], b)
        else:
            joined.append((a, b))
    kept = [(a, b) for a, b in joined if (b - a) * STEP_S >= _SHORTEST_VOCALISATION_S - 1e-9]
    pauses = [a - b for (_, b), (a, _) in pairwise(kept) if window.recorded[b:a].all()]
    return np.array([b - a for a, b in kept]) * STEP_S, np.array(pauses) * STEP_S


def _glides(window: _Window) -> Array:
    """Slopes of the rises and falls of the pitch within unbroken voice, semitones per second."""
    semitones = 12 * np.log2(window.of("f0_hz", window.voiced))
    parts = [_slopes(semitones[a:b], None) for a, b in runs(np.isfinite(semitones))]
    return np.concatenate([np.empty(0), *parts])


def _cut(segments: Sequence[Segment], start_s: float, stop_s: float) -> list[Segment]:
    """The parts of segments within a window."""
    inside = [s for s in segments if s.end_s > start_s + 1e-6 and s.start_s < stop_s - 1e-6]
    return [replace(s, start_s=max(s.start_s, start_s), end_s=min(s.end_s, stop_s)) for s in inside]


# --- one row of numbers -----------------------------------------------------------------------------------------------


def _finite(values: Array) -> Array:
    return values[np.isfinite(values)]


def _mean(values: npt.NDArray[Any]) -> float:
    return float(values.mean()) if len(values) else float("nan")


def _deviation(values: npt.NDArray[Any]) -> float:
    """Standard deviation of the values there are; one value has none."""
    return float(values.std()) if len(values) > 1 else float("nan")


def _lengths_s(flags: BoolArray) -> Array:
    lengths = np.array([b - a for a, b in runs(flags)])
    return np.asarray(lengths[lengths >= _SHORTEST] * STEP_S)


def _turns(values: Array, share: float | None) -> list[tuple[int, int]]:
    """Peaks (+1) and valleys (-1) of a contour, in turn, with their places.

    A turn counts when the contour has gone back from it by ``share`` of its range (None: by a semitone); the last
    extreme counts as well.
    """
    least = _TURN_SEMITONES if share is None else share * float(np.ptp(values)) if len(values) else 0.0
    if least <= 0:
        return []
    found: list[tuple[int, int]] = []
    heights = values.tolist()  # single numbers are read faster from a list
    low = high = going = 0
    for at, height in enumerate(heights):
        if height > heights[high]:
            high = at
        if height < heights[low]:
            low = at
        if going >= 0 and heights[high] - height >= least:
            found.append((high, 1))
            low, high, going = at, at, -1
        elif going <= 0 and height - heights[low] >= least:
            found.append((low, -1))
            low, high, going = at, at, 1
    if going:
        found.append((high, 1) if going > 0 else (low, -1))
    return found


def _slopes(values: Array, share: float | None) -> Array:
    """Slopes between one turn and the next, and from the last to the end, per second: rising above 0, falling below."""
    places = [at for at, _ in _turns(values, share)]
    if places and places[-1] < len(values) - 1:
        places.append(len(values) - 1)
    slopes = [(values[b] - values[a]) / ((b - a) * STEP_S) for a, b in pairwise(places)]
    return np.asarray(slopes, np.float64)
