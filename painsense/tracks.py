"""Track: what every modality becomes. Named values with units on the media clock.

Whatever comes after (windows, fusion, report) treats the face, the voice and any later modality alike, because each is
a :class:`Track`: where a value could not be measured it is NaN, ``valid`` is False and a reason says why. Never a 0.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float32]
TimeArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]
BitArray = npt.NDArray[np.uint32]


@dataclass(frozen=True)
class Column:
    """One named value of a track: a row of the data dictionary.

    ``low`` and ``high`` bound the values that can occur (None: no bound); ``source`` is the paper or standard.
    """

    name: str
    unit: str
    meaning: str
    low: float | None = None
    high: float | None = None
    source: str = ""


@dataclass(frozen=True)
class Reason:
    """A reason code. A blocking reason makes the sample unusable; others are kept as a remark beside a usable value."""

    code: str
    meaning: str
    blocking: bool = True


@dataclass(frozen=True)
class Track:
    """Values of one modality on the media clock.

    Attributes
    ----------
    modality : "face", "voice", ...
    columns : the d columns, in the order of ``values``
    reasons : the reason codes; bit k of ``reason_bits`` stands for ``reasons[k]``
    time_s : ndarray [shape=(n,), float64, seconds on the media clock], strictly increasing
    values : ndarray [shape=(n, d), float32], NaN where missing
    reason_bits : ndarray [shape=(n,), uint32]
    """

    modality: str
    columns: tuple[Column, ...]
    reasons: tuple[Reason, ...]
    time_s: TimeArray
    values: FloatArray
    reason_bits: BitArray

    def __post_init__(self) -> None:
        n = len(self.time_s)
        if self.values.shape != (n, len(self.columns)):
            raise ValueError(f"{self.modality}: values are {self.values.shape}, expected {(n, len(self.columns))}")
        if self.reason_bits.shape != (n,):
            raise ValueError(f"{self.modality}: reason_bits are {self.reason_bits.shape}, expected {(n,)}")
        if len(self.reasons) > 32:
            raise ValueError(f"{self.modality}: at most 32 reason codes, got {len(self.reasons)}")
        if n > 1 and not np.all(np.diff(self.time_s) > 0):
            raise ValueError(f"{self.modality}: times must rise strictly")

    def __len__(self) -> int:
        return len(self.time_s)

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(column.name for column in self.columns)

    @property
    def valid(self) -> BoolArray:
        """Ndarray [shape=(n,), bool]: no blocking reason stands against the sample."""
        return np.asarray((self.reason_bits & reason_mask(self.reasons)) == 0)

    def column(self, name: str) -> FloatArray:
        """The values of one column, ndarray [shape=(n,)]. KeyError when there is none of that name."""
        try:
            return self.values[:, self.names.index(name)]
        except ValueError:
            raise KeyError(f"{self.modality}: no column {name!r}; there are {', '.join(self.names)}") from None

    def has_reason(self, code: str) -> BoolArray:
        """Ndarray [shape=(n,), bool]: where the reason ``code`` was given."""
        return np.asarray((self.reason_bits & np.uint32(1 << reason_index(self.reasons, code))) != 0)

    def reason_text(self, index: int) -> str:
        """The reason codes of one sample, joined by spaces; empty when there is none."""
        bits = int(self.reason_bits[index])
        return " ".join(reason.code for k, reason in enumerate(self.reasons) if bits >> k & 1)


def reason_index(reasons: Sequence[Reason], code: str) -> int:
    """Position (and so bit number) of a reason code."""
    return [reason.code for reason in reasons].index(code)


def reason_mask(reasons: Sequence[Reason]) -> np.uint32:
    """The bits of all blocking reasons."""
    return np.uint32(sum(1 << k for k, reason in enumerate(reasons) if reason.blocking))


def sample_period_s(time_s: TimeArray) -> float:
    """Typical distance of two samples in seconds (the median, so that gaps do not count); 0 for fewer than two."""
    return float(np.median(np.diff(time_s))) if len(time_s) > 1 else 0.0


def seconds_per_sample(time_s: TimeArray, limit: float = 3.0) -> TimeArray:
    """How much media time each sample stands for, ndarray [shape=(n,), s].

    The distance to the next sample, at most ``limit`` typical distances: a hole in the recording is nobody's time.
    """
    period = sample_period_s(time_s)
    if len(time_s) < 2:
        return np.zeros(len(time_s))
    steps = np.append(np.diff(time_s), period)
    return np.asarray(np.minimum(steps, limit * period))


def runs(flags: BoolArray) -> list[tuple[int, int]]:
    """Start and stop (exclusive) of each stretch of True."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], flags, [False]]).astype(np.int8)))
    return [(int(a), int(b)) for a, b in zip(edges[::2], edges[1::2], strict=True)]
