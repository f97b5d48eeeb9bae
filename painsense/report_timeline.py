"""Tracks -> what the timeline of the HTML report draws: a limited number of points, states, and SVG path data.

A picture cannot show more points than it has columns, so a long recording is gathered into bins of equal length; mean
and maximum of each are kept. A short one is drawn frame by frame.
"""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from painsense.report_mesh import step
from painsense.tracks import BoolArray, FloatArray, TimeArray, Track, reason_mask, seconds_per_sample
from painsense.words import clock, reason_words, uncertain

MOST_POINTS = 1500
USABLE, UNCERTAIN, UNUSABLE = 0, 1, 2
#: Remarks that are drawn in a lane of their own, in this order
REMARKS = ("speaking", "blink", "target_jump", "other_face")
#: Width of the drawings in their own units; the browser stretches it to the width there is
WIDTH = 10_000

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Area:
    """A hatched stretch, in percent of the width. ``kind``: "uncertain" or "unusable"."""

    x: float
    width: float
    kind: str
    text: str


@dataclass(frozen=True)
class Lane:
    """One part of the timeline: SVG paths with their CSS classes in a drawing ``height`` units high.

    ``name`` chooses the look; ``rows`` are (name, words) of the rows of a part that has several;
    ``top`` and ``bottom`` are the ends of the axis in words; ``areas`` are hatched.
    """

    name: str
    label: str
    note: str
    height: int
    paths: tuple[tuple[str, str], ...]
    description: str
    top: str = ""
    bottom: str = ""
    rows: tuple[tuple[str, str], ...] = ()
    areas: tuple[Area, ...] = ()


@dataclass(frozen=True)
class Points:
    """What happened in n stretches of time, in order; between two of them may be a gap.

    Attributes
    ----------
    start_s, end_s : ndarray [shape=(n,), s]
    mean, high : dict of ndarray [shape=(n,)], mean and maximum of each column's usable values, NaN where there is none
    usable : ndarray [shape=(n,), bool], at least half of the stretch's samples are usable
    reasons : what was said about most of the unusable samples of an unusable stretch, else about any sample; codes
    binned : True when a stretch stands for several samples
    """

    start_s: TimeArray
    end_s: TimeArray
    mean: dict[str, Floats]
    high: dict[str, Floats]
    usable: BoolArray
    reasons: tuple[tuple[str, ...], ...]
    binned: bool

    def __len__(self) -> int:
        return len(self.start_s)

    def said(self, code: str) -> BoolArray:
        """Where a reason was given, ndarray [shape=(n,), bool]."""
        return np.array([code in codes for codes in self.reasons], bool)


def points(track: Track, columns: Iterable[str], duration_s: float, most: int = MOST_POINTS) -> Points:
    """The named columns of a track (those it has) as at most ``most`` points."""
    names = [name for name in columns if name in track.names]
    seconds = np.maximum(seconds_per_sample(track.time_s), 1e-3)
    if len(track) <= most:
        group = np.arange(len(track))
        start_s, end_s = track.time_s, track.time_s + seconds
    else:
        bin_s = max(duration_s, float(track.time_s[-1] + seconds[-1])) / most
        number, group = np.unique((track.time_s / bin_s).astype(int).clip(0, most - 1), return_inverse=True)
        start_s, end_s = number * bin_s, (number + 1) * bin_s
    mean, high = {}, {}
    for name in names:
        mean[name], high[name] = _gather(track.column(name), track.valid, group, len(start_s))
    share = np.bincount(group, track.valid, len(start_s)) / np.maximum(np.bincount(group, minlength=len(start_s)), 1)
    usable = share >= 0.5
    return Points(start_s, end_s, mean, high, usable, _codes(track, group, usable), len(track) > most)


def _gather(values: FloatArray, valid: BoolArray, group: npt.NDArray[np.intp], n: int) -> tuple[Floats, Floats]:
    """Mean and maximum of the valid values of each group, ndarray [shape=(n,)] each."""
    good = valid & np.isfinite(values)
    taken, where = values[good].astype(np.float64), group[good]
    count = np.bincount(where, minlength=n)
    mean = np.full(n, np.nan)
    np.divide(np.bincount(where, taken, n), count, out=mean, where=count > 0)
    high = np.full(n, -np.inf)
    np.maximum.at(high, where, taken)
    return mean, np.where(count > 0, high, np.nan)


def _codes(track: Track, group: npt.NDArray[np.intp], usable: BoolArray) -> tuple[tuple[str, ...], ...]:
    """Reason codes of each group: any remark, and the blocking reasons where the group is unusable."""
    n = len(usable)
    blocking = int(reason_mask(track.reasons))
    bits = np.zeros(n, np.uint32)
    np.bitwise_or.at(bits, group, track.reason_bits)
    bits = np.where(usable, bits & np.uint32(~blocking & 0xFFFFFFFF), bits)
    spelled = {}
    for value in np.unique(bits).tolist():
        spelled[value] = tuple(reason.code for k, reason in enumerate(track.reasons) if value >> k & 1)
    return tuple(spelled[value] for value in bits.tolist())


def states(found: Points) -> npt.NDArray[np.int_]:
    """USABLE, UNCERTAIN (the 90% interval of PSPI leaves too much open) or UNUSABLE, ndarray [shape=(n,)]."""
    wide = np.zeros(len(found), bool)
    if "pspi_low" in found.mean and "pspi_high" in found.mean:
        pairs = zip(found.mean["pspi_low"].tolist(), found.mean["pspi_high"].tolist(), strict=True)
        wide = np.array([uncertain(low, high) for low, high in pairs], bool)  # False where NaN
    return np.where(~found.usable, UNUSABLE, np.where(wide, UNCERTAIN, USABLE))


@dataclass(frozen=True)
class Stretch:
    """A stretch of time in one state, with its reason codes."""

    start_s: float
    end_s: float
    state: int
    codes: tuple[str, ...]

    @property
    def seconds(self) -> float:
        return self.end_s - self.start_s


def stretches(found: Points, remarks: Sequence[str] = REMARKS) -> list[Stretch]:
    """Neighbouring points of the same state and reasons, joined; the usable ones are left out."""
    state = states(found)
    keys = [
        (int(s), tuple(c for c in codes if c not in remarks)) for s, codes in zip(state, found.reasons, strict=True)
    ]
    result = []
    for (kind, codes), members in itertools.groupby(range(len(found)), lambda k: keys[k]):
        index = list(members)
        if kind != USABLE:
            result.append(Stretch(float(found.start_s[index[0]]), float(found.end_s[index[-1]]), kind, codes))
    return result


def lost(found: Points) -> list[Stretch]:
    """Stretches without a usable point, whatever the reasons; all of these are named."""
    whole: list[Stretch] = []
    for stretch in stretches(found):
        if stretch.state != UNUSABLE:
            continue
        if whole and stretch.start_s <= whole[-1].end_s + 1e-6:
            before = whole.pop()
            codes = tuple(dict.fromkeys(before.codes + stretch.codes))
            whole.append(Stretch(before.start_s, stretch.end_s, UNUSABLE, codes))
        else:
            whole.append(stretch)
    return whole


def stretch_text(stretch: Stretch, track: Track) -> str:
    """Why: "turned away, blurred", or that the interval is wide."""
    if stretch.state == UNCERTAIN:
        return "wide interval"
    return ", ".join(reason_words(code, track.reasons).label for code in stretch.codes) or "not measured"


class Scale:
    """Turns seconds and values into the whole numbers of a drawing ``WIDTH`` wide and ``height`` high."""

    def __init__(self, duration_s: float, low: float, high: float, height: int) -> None:
        self._per_s = WIDTH / duration_s
        self._low, self._per_unit, self._height = low, height / (high - low), height

    def x(self, seconds: Floats) -> npt.NDArray[np.int_]:
        return np.rint(np.clip(seconds * self._per_s, 0, WIDTH)).astype(int)

    def y(self, values: Floats) -> npt.NDArray[np.int_]:
        return np.rint(np.clip(self._height - (values - self._low) * self._per_unit, 0, self._height)).astype(int)


def pieces(found: Points, values: Floats) -> list[slice]:
    """Uninterrupted stretches of values: the curve breaks where a value is missing or time is."""
    there = np.isfinite(values)
    joined = there[1:] & there[:-1] & (found.start_s[1:] <= found.end_s[:-1] + 1e-6)
    result, start = [], None
    for k, good in enumerate(there):
        if start is not None and not (good and joined[k - 1]):
            result.append(slice(start, k))
            start = None
        if good and start is None:
            start = k
    return result if start is None else [*result, slice(start, len(there))]


def curve(found: Points, values: Floats, scale: Scale) -> str:
    """SVG path of a value over time, through the middle of each point; a lone point is a short dash."""
    parts = []
    for piece in pieces(found, values):
        x, y = _corners(found, values, piece, scale)
        parts.append(_path(x, y))
    return "".join(parts)


def band(found: Points, low: Floats, high: Floats, scale: Scale) -> str:
    """SVG path of the area between two values."""
    parts = []
    for piece in pieces(found, low + high):
        x, top = _corners(found, high, piece, scale)
        _, bottom = _corners(found, low, piece, scale)
        parts.append(_path(np.concatenate([x, x[::-1]]), np.concatenate([top, bottom[::-1]])) + "z")
    return "".join(parts)


def _corners(
    found: Points, values: Floats, piece: slice, scale: Scale
) -> tuple[npt.NDArray[np.int_], npt.NDArray[np.int_]]:
    """Coordinates of one piece: from the start of its first point through all middles to the end of its last."""
    start, end = found.start_s[piece], found.end_s[piece]
    seconds = np.concatenate([start[:1], (start + end) / 2, end[-1:]])
    taken = values[piece]
    return scale.x(seconds), scale.y(np.concatenate([taken[:1], taken, taken[-1:]]))


def _path(x: npt.NDArray[np.int_], y: npt.NDArray[np.int_]) -> str:
    steps = " ".join(f"{a} {b}" for a, b in zip(np.diff(x), np.diff(y), strict=True))
    return f"M{x[0]} {y[0]}l{steps}"


def bars(found: Points, where: BoolArray, scale: Scale, top: int, height: int) -> str:
    """SVG path of bars where something holds."""
    x0, x1 = scale.x(found.start_s), scale.x(found.end_s)
    parts = []
    for flag, members in itertools.groupby(range(len(found)), lambda k: bool(where[k])):
        index = list(members)
        if flag:
            width = max(x1[index[-1]] - x0[index[0]], 1)
            parts.append(f"M{x0[index[0]]} {top}h{width}v{height}h{-width}z")
    return "".join(parts)


def heat(found: Points, unit_names: Sequence[str], scale: Scale, row_height: int) -> list[tuple[int, str]]:
    """The heat strip: (colour step 1-10, SVG path of its cells), a row for each action unit, from the maxima."""
    cells: dict[int, list[str]] = {}
    for row, name in enumerate(unit_names):
        steps = np.array([step(name, value) for value in found.high[name]], int)
        for colour in range(1, int(steps.max(initial=0)) + 1):
            path = bars(found, steps == colour, scale, row * row_height, row_height)
            if path:
                cells.setdefault(colour, []).append(path)
    return [(colour, "".join(cells[colour])) for colour in sorted(cells)]


def spans(stretches_s: Iterable[tuple[float, float]], scale: Scale, top: int, height: int) -> str:
    """SVG path of bars from one time to another."""
    parts = []
    for start_s, end_s in stretches_s:
        x0, x1 = (int(x) for x in scale.x(np.array([start_s, end_s])))
        parts.append(f"M{x0} {top}h{max(x1 - x0, 1)}v{height}h{-max(x1 - x0, 1)}z")
    return "".join(parts)


def level_band(low: float, high: float, scale: Scale) -> str:
    """SVG path of the area between two values, over the whole width."""
    bottom, top = (int(y) for y in scale.y(np.array([low, high])))
    return f"M0 {top}h{WIDTH}v{max(bottom - top, 1)}h{-WIDTH}z"


def level_line(value: float, scale: Scale) -> str:
    """SVG path of a value that holds over the whole width."""
    return f"M0 {int(scale.y(np.array([value]))[0])}h{WIDTH}"


def percent(seconds: float, end_s: float) -> float:
    """A time as a place in percent of the width."""
    return round(min(max(100 * seconds / end_s, 0.0), 100.0), 3)


def hatched(found: Points, track: Track, end_s: float) -> tuple[Area, ...]:
    """The stretches to be hatched."""
    return tuple(
        Area(
            x=percent(s.start_s, end_s),
            width=percent(s.seconds, end_s),
            kind="unusable" if s.state == UNUSABLE else "uncertain",
            text=f"{clock(s.start_s)} to {clock(s.end_s)}: {stretch_text(s, track)}",
        )
        for s in stretches(found)
    )


def numbers(values: npt.NDArray[np.floating[Any]], per_unit: int = 100) -> list[int | None]:
    """Numbers for the script: whole hundredths, null where missing."""
    return [round(value * per_unit) if math.isfinite(value) else None for value in values.tolist()]


def times(found: Points) -> dict[str, list[int]]:
    """Start and end of each point for the script, in whole milliseconds."""
    return {key: np.rint(t * 1000).astype(int).tolist() for key, t in (("start", found.start_s), ("end", found.end_s))}


def spelled(found: Points, track: Track) -> dict[str, Any]:
    """Reason codes of each point as a number in a list of phrases."""
    phrases = {codes: ", ".join(reason_words(c, track.reasons).label for c in codes) for codes in found.reasons}
    listed = list(dict.fromkeys(phrases.values()))
    return {"phrases": listed, "why": [listed.index(phrases[codes]) for codes in found.reasons]}


def unit_names(track: Track) -> list[str]:
    """The action units of a face track, in its order."""
    return [name for name in track.names if re.fullmatch(r"AU\d+", name)]


def tick_step_s(duration_s: float, most: int = 6) -> float:
    """A round distance of the time axis' labels, in seconds, so that there are at most ``most`` + 1."""
    steps = (0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400)
    return next((step_s for step_s in steps if duration_s / step_s <= most), float(steps[-1]))
