"""Tracks -> one grid of windows: means of each value over the usable part, and how much of each window was usable."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from painsense.tracks import BoolArray, FloatArray, TimeArray, Track, seconds_per_sample

LENGTH_S = 2.0
STEP_S = 0.5


@dataclass(frozen=True)
class Windows:
    """The grid: ``start_s`` and ``end_s``, ndarray [shape=(n,), s on the media clock]."""

    start_s: TimeArray
    end_s: TimeArray

    def __len__(self) -> int:
        return len(self.start_s)


def grid(duration_s: float) -> Windows:
    """Windows of 2 s every 0.5 s; a shorter recording is one window, a still picture none."""
    if duration_s <= 0:
        return Windows(np.zeros(0), np.zeros(0))
    count = max(1, int(np.floor((duration_s - LENGTH_S) / STEP_S + 1e-6)) + 1)
    start = np.arange(count, dtype=np.float64) * STEP_S
    return Windows(start, np.asarray(np.minimum(start + LENGTH_S, duration_s), np.float64))


def usable_share(track: Track, windows: Windows, also: BoolArray | None = None) -> TimeArray:
    """Share of each window's time that usable samples stand for, ndarray [shape=(n,), 0-1].

    ``also`` narrows it further, for example to voiced samples.
    """
    use = track.valid if also is None else track.valid & also
    seconds = seconds_per_sample(track.time_s) * use
    covered = _sums(track.time_s, seconds, windows)
    return np.clip(covered / (windows.end_s - windows.start_s), 0, 1)


def means(track: Track, names: Sequence[str], windows: Windows) -> FloatArray:
    """Time-weighted means over the usable samples of each window, ndarray [shape=(n, len(names))]; NaN without any."""
    seconds = seconds_per_sample(track.time_s)
    result = np.full((len(windows), len(names)), np.nan, np.float32)
    for k, name in enumerate(names):
        values = track.column(name).astype(np.float64)
        use = track.valid & np.isfinite(values)
        weight = np.where(use, seconds, 0.0)
        total = _sums(track.time_s, weight, windows)
        some = total > 0
        result[some, k] = _sums(track.time_s, weight * np.where(use, values, 0.0), windows)[some] / total[some]
    return result


def seconds_by_reason(track: Track, windows: Windows) -> dict[str, TimeArray]:
    """Seconds of each window under each reason code that occurs, by code."""
    seconds = seconds_per_sample(track.time_s)
    found = {}
    for reason in track.reasons:
        where = track.has_reason(reason.code)
        if where.any():
            found[reason.code] = _sums(track.time_s, seconds * where, windows)
    return found


def _sums(time_s: TimeArray, values: TimeArray, windows: Windows) -> TimeArray:
    """Sum of values in each window [start, end)."""
    running = np.concatenate([[0.0], np.cumsum(values)])
    first, last = (np.searchsorted(time_s, edge, side="left") for edge in (windows.start_s, windows.end_s))
    return np.asarray(running[last] - running[first])
