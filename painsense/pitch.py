"""Pitch: frames of sound -> level, pitch and periodicity, for :mod:`painsense.voice`.

The autocorrelation of a compressed power spectrum, so that a loud formant or rumble does not pass for a pitch; eight
candidates a frame; one path through them. In the manner of Boersma 1993 (Proc. Inst. Phonetic Sciences Amsterdam 17,
97-110) and Tolonen & Karjalainen 2000 (doi 10.1109/89.876309).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from painsense.tracks import FloatArray

SAMPLE_RATE_HZ = 16_000
HOP = 160  # samples from one frame to the next: 10 ms
WINDOW = 816  # samples, 51 ms: three periods of 60 Hz, as Boersma 1993 asks for
LOOK_AHEAD = 50  # frames the path sees beyond what it decides

#: bits of a frame's flags: one spectral line holds nearly all power; nearly all of it lies under 400 Hz
PURE, LOW = np.uint8(4), np.uint8(8)

_FFT = 1152  # more than window + longest lag, and a size the FFT is fast at
_SEARCH_LOW_HZ, _SEARCH_HIGH_HZ = 46.0, 1080.0  # wider than any voice: a 50 Hz hum must be known as what it is
_FINER = 2  # periodicity is read at 32 kHz: between samples of 16 kHz the tops of sharp peaks are lost
_COMPRESSION = 0.625  # exponent on the power spectrum before the autocorrelation; see `candidates` when changing it
_ROLL_OFF_HZ = (2000.0, 4500.0)  # what lies above is mostly noise; periodicity still uses all of it
_CANDIDATES = 8
_SUSTAIN_S = 0.008  # a pitch must still be there this much later: formant ringing is not
_OCTAVE_COST = 0.08  # times the frame's best strength, per octave of lag: prefers the shortest period that explains it
_JUMP_COST = 1.0  # times the weaker strength, per octave between neighbouring frames

Array = npt.NDArray[Any]

_HANN = np.hanning(WINDOW + 2)[1:-1].astype(np.float32)
_BIN_HZ = np.fft.rfftfreq(_FFT, 1 / SAMPLE_RATE_HZ)
_WEIGHT = (
    np.clip((_ROLL_OFF_HZ[1] - _BIN_HZ) / (_ROLL_OFF_HZ[1] - _ROLL_OFF_HZ[0]), 0, 1)
    * np.clip((_BIN_HZ - 30) / 20, 0, 1)  # rumble and what is left of DC
).astype(np.float32)
_HEARD = int(np.flatnonzero(_WEIGHT)[-1]) + 1  # bins with any weight
_LAGS = int(SAMPLE_RATE_HZ / _SEARCH_LOW_HZ) + 4


def windows(y: FloatArray, width: int) -> FloatArray:
    """All stretches of ``width`` samples, a view [shape=(len(y) - width + 1, width)], at little cost a call."""
    step = y.strides[0]
    return np.ndarray((len(y) - width + 1, width), y.dtype, y, 0, (step, step))


def _window_correlation(exponent: float, finer: int) -> FloatArray:
    """Autocorrelation of the window itself, by which Boersma 1993 divides; [shape=(finer * _LAGS,)]."""
    spectrum = np.abs(np.fft.rfft(_HANN, _FFT)) ** (2 * exponent)
    correlation = np.fft.irfft(spectrum, finer * _FFT)[: finer * _LAGS]
    return np.asarray(correlation / correlation[0], np.float32)


_COMPRESSED_WINDOW = _window_correlation(_COMPRESSION, 1)
_TAPER = _COMPRESSED_WINDOW**0.5  # takes half of that division back in the heights: at long lags it lifts noise too
_OCTAVES = np.log2(np.maximum(np.arange(_LAGS), 1) / int(SAMPLE_RATE_HZ / _SEARCH_HIGH_HZ)).astype(np.float32)
_COMPLETE_WINDOW = _window_correlation(1.0, _FINER)


@dataclass(frozen=True)
class Candidates:
    """Pitch candidates of n frames: all [shape=(n, _CANDIDATES), float32]."""

    f0_hz: FloatArray
    strength: FloatArray
    periodicity: FloatArray
    worth: FloatArray  # strength less the octave cost: what the path adds up

    def part(self, rows: slice) -> Candidates:
        return Candidates(self.f0_hz[rows], self.strength[rows], self.periodicity[rows], self.worth[rows])


def _join(first: Candidates, then: Candidates) -> Candidates:
    return Candidates(
        np.concatenate([first.f0_hz, then.f0_hz]),
        np.concatenate([first.strength, then.strength]),
        np.concatenate([first.periodicity, then.periodicity]),
        np.concatenate([first.worth, then.worth]),
    )


def candidates(frames: FloatArray) -> tuple[FloatArray, Candidates, npt.NDArray[np.uint8]]:
    """Level, pitch candidates and tone flags of each frame.

    frames : ndarray [shape=(n, 816)]

    Returns
    -------
    level_dbfs : ndarray [shape=(n,)]
    candidates : the eight best peaks of the autocorrelation of the compressed, low-passed spectrum
    flags : ndarray [shape=(n,), uint8] PURE: one spectral line holds nearly all power; LOW: it lies under 400 Hz
    """
    import scipy.fft  # seven times as fast as NumPy's on many short frames; imported late, for it takes 0.3 s

    padded = np.zeros((len(frames), _FFT), np.float32)  # here and below: wide enough to be transformed without a copy
    x = padded[:, :WINDOW]
    np.subtract(frames, frames.mean(axis=1, keepdims=True), out=x)
    x *= _HANN
    power = np.maximum(np.einsum("ij,ij->i", x, x) / np.float32(np.square(_HANN).sum()), np.float32(1e-12))
    level = 10 * np.log10(power)
    x *= (1 / np.sqrt(power))[:, None]  # so that powers of powers stay in float32
    spectrum = scipy.fft.rfft(padded, axis=1)
    wide = np.zeros((len(frames), _FINER * _FFT // 2 + 1), np.float32)
    energy = wide[:, : spectrum.shape[1]]  # (n, 577)
    np.square(spectrum.real, out=energy)
    energy += np.square(spectrum.imag)

    root = np.sqrt(energy[:, :_HEARD] * _WEIGHT[:_HEARD])
    narrow = np.zeros((len(frames), _FFT // 2 + 1), np.float32)
    np.multiply(root, np.sqrt(np.sqrt(root)), out=narrow[:, :_HEARD])  # to the 0.625, cheaper than a power
    compressed = _autocorrelation(narrow, _LAGS) / _COMPRESSED_WINDOW
    complete = _autocorrelation(wide, _FINER * _LAGS) / _COMPLETE_WINDOW
    low, high = int(SAMPLE_RATE_HZ / _SEARCH_HIGH_HZ), _LAGS - 2
    here = compressed[:, low:high]
    rises = compressed[:, low : high + 1] > compressed[:, low - 1 : high]
    top = rises[:, :-1] & ~rises[:, 1:] & (here > 0)  # (n, high - low)
    height = here * top
    height *= _TAPER[low:high]
    rank = height - (_OCTAVE_COST * height.max(axis=1, keepdims=True)) * _OCTAVES[low:high]
    rank[~top] = -9
    row = np.arange(len(frames))[:, None]
    best, found = np.empty((len(frames), _CANDIDATES), np.intp), np.empty((len(frames), _CANDIDATES), bool)
    for k in range(_CANDIDATES):  # eight times the best is quicker than sorting
        rank.argmax(axis=1, out=best[:, k])
        found[:, k] = rank[row[:, 0], best[:, k]] > -9
        rank[row[:, 0], best[:, k]] = -9
    lag = best + low
    at = row * compressed.shape[1] + lag
    left, middle, right = (compressed.ravel()[at + k] for k in (-1, 0, 1))
    peak, shift = _summit(left, middle, right)
    lag = lag + np.where(found, shift, 0)  # in samples of 16 kHz, (n, 8)
    total, count = np.where(found, peak, 0), np.ones_like(peak)
    for k in range(2, int(_SUSTAIN_S * _SEARCH_HIGH_HZ) + 1):
        rows, places = np.nonzero(found & (k * lag <= _SUSTAIN_S * SAMPLE_RATE_HZ))
        if not len(rows):
            break
        total[rows, places] += _height_near(compressed, rows, k * lag[rows, places])
        count[rows, places] += 1
    strength = np.where(found, total / count, 0) * _TAPER[best + low]
    scale = np.maximum(strength.max(axis=1, keepdims=True), np.float32(0.05))
    periodicity = np.zeros_like(strength)
    rows, places = np.nonzero(found)
    periodicity[rows, places] = np.clip(_height_near(complete, rows, _FINER * lag[rows, places]), 0, 1)
    best_peaks = Candidates(
        f0_hz=(SAMPLE_RATE_HZ / lag).astype(np.float32),
        strength=strength.astype(np.float32),
        periodicity=periodicity.astype(np.float32),
        worth=np.where(found, strength - _OCTAVE_COST * scale * np.log2(lag / low), -1).astype(np.float32),
    )
    summed = np.maximum(energy.sum(axis=1), np.float32(1e-9))
    loudest = np.clip(energy.argmax(axis=1), 4, energy.shape[1] - 5)
    line = energy[row, loudest[:, None] + np.arange(-4, 5)].sum(axis=1)
    under = energy[:, : int(400 / _BIN_HZ[1])].sum(axis=1)
    flags = (line > 0.98 * summed) * PURE + (under > 0.9 * summed) * LOW
    return level, best_peaks, flags.astype(np.uint8)


def _autocorrelation(energy: FloatArray, lags: int) -> FloatArray:
    """Normalised autocorrelation from the power spectrum, [shape=(n, bins)] -> [shape=(n, lags)]."""
    import scipy.fft

    # a power spectrum is real and even: its Fourier transform is a cosine transform, at half the work
    correlation = scipy.fft.dct(energy, 1, axis=1)[:, :lags]
    return np.asarray(correlation / np.maximum(correlation[:, :1], np.float32(1e-12)), np.float32)


def _summit(left: Array, top: Array, right: Array) -> tuple[Array, Array]:
    """Height and place (relative to ``top``, in steps) of the parabola through three points around a peak."""
    bend = left - 2 * top + right
    shift = np.minimum(np.maximum(0.5 * (left - right) / np.where(bend < 0, bend, -np.inf), -0.5), 0.5)
    return top - 0.25 * (left - right) * shift, shift


def _height_near(correlation: FloatArray, rows: Array, lag: Array) -> Array:
    """Height of the peak within a step of ``lag`` in the given rows: all [shape=(m,)]."""
    middle = np.minimum(np.rint(lag).astype(np.intp), correlation.shape[1] - 3)
    at = rows * correlation.shape[1] + middle
    flat = correlation.ravel()
    a, b, c, d, e = (flat[at + k] for k in (-2, -1, 0, 1, 2))
    up, down = (b > c) & (b >= d), (d > c) & (d > b)
    left, top = np.where(up, a, np.where(down, c, b)), np.where(up, b, np.where(down, d, c))
    return _summit(left, top, np.where(up, c, np.where(down, e, d)))[0]


class PitchPath:
    """One candidate per frame: strong ones, few leaps (dynamic programming, decided with a look-ahead of 0.5 s)."""

    def __init__(self) -> None:
        self._open: Candidates | None = None
        self._sum = np.zeros(_CANDIDATES)  # best total of any path that ends in each candidate of the last frame
        self._back: list[npt.NDArray[np.intp]] = []  # per open frame: which candidate came before

    def push(self, new: Candidates) -> FloatArray:
        """Add frames; returns those decided: ndarray [shape=(m, 3)] of f0 in Hz, strength, periodicity."""
        self._extend(new)
        return self._decide(len(self._back) - LOOK_AHEAD)

    def finish(self) -> FloatArray:
        return self._decide(len(self._back))

    def _extend(self, new: Candidates) -> None:
        last = self._open.part(slice(-1, None)) if self._open is not None else new.part(slice(0, 1))
        both = _join(last, new)
        octave = np.log2(both.f0_hz.astype(np.float64))
        leap = np.abs(octave[1:, :, None] - octave[:-1, None, :])
        # a leap costs only where there is pitch on both sides of it
        cost = _JUMP_COST * leap * np.minimum(both.strength[1:, :, None], both.strength[:-1, None, :])
        came_from = np.empty((len(leap), _CANDIDATES), np.intp)
        row = np.arange(_CANDIDATES) * _CANDIDATES
        total = np.empty((_CANDIDATES, _CANDIDATES))
        flat, best = total.reshape(-1), self._sum
        for now, step, worth in zip(came_from, cost, new.worth.astype(np.float64), strict=True):
            np.subtract(best, step, out=total)
            total.argmax(axis=1, out=now)
            best = flat.take(row + now)
            best += worth
        self._sum = best
        self._back.extend(came_from)
        self._sum -= self._sum.max()
        self._open = new if self._open is None else _join(self._open, new)

    def _decide(self, count: int) -> FloatArray:
        if self._open is None or count <= 0:
            return np.empty((0, 3), np.float32)
        chosen = np.empty(len(self._back), np.intp)
        chosen[-1] = self._sum.argmax()
        for k in range(len(self._back) - 1, 0, -1):
            chosen[k - 1] = self._back[k][chosen[k]]
        rows = np.arange(count)
        done = [part[rows, chosen[:count]] for part in (self._open.f0_hz, self._open.strength, self._open.periodicity)]
        self._open, self._back = self._open.part(slice(count, None)), self._back[count:]
        return np.stack(done, axis=1)
