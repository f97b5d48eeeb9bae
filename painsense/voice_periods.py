"""Glottal periods in the waveform -> jitter, shimmer, harmonics-to-noise ratio, and what breaks the rhythm.

The decided pitch says where to look; the periods themselves are found one after another by cross-correlation, in the
wave less most of the tract's ringing, so that jitter is that of the larynx and not of a frame-wise pitch. Conventions
as in Boersma & Weenink's manual of Praat: local jitter and shimmer, neighbouring periods of a ratio up to 1.3,
neighbouring amplitudes up to 1.6.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from painsense.pitch import HOP, SAMPLE_RATE_HZ, windows
from painsense.tracks import Column, FloatArray, runs

Array = npt.NDArray[Any]

REACH = 13  # frames of pitch and sound that are looked at on either side

_SHORTEST, _LONGEST = 0.8, 1.25  # of the decided period: where the next one is looked for
_PERIOD_RATIO, _AMPLITUDE_RATIO = 1.3, 1.6
_LEAST_ALIKE = (0.5, 0.75)  # correlation of a period and the next for jitter and for shimmer: below, no repetition
_LEAST_PAIRS = 3  # periods compared before a frame has a jitter
_NEAR_S = 0.100  # jitter and shimmer: periods up to this far from the middle of a frame
_CLOSE_S = 0.018  # harmonics-to-noise ratio
_NARROWEST = 32  # samples compared at least, 2 ms: a period of a scream has too few
_HNR_WIDTH = 1.6  # of a period: what is compared for the harmonics-to-noise ratio; shorter finds likeness in noise
_TEMPLATE = 2  # periods on either side that tell what a period looks like
_FAR_S, _FAR_WIDTH = 0.008, 120  # what rings in a formant is alike one short period later: noise is not that long
_STILL = 0.0005  # relative; periods are compared that far apart only where the pitch has hardly moved in between
_FOREIGN_CAP = 0.44  # share of the amplitudes' variance that may be put down to noise and ringing, not to the larynx

_EDGE = 180  # samples: half the longest period
_LONGEST_PERIOD = 512  # samples of sound that a period and the search for the next take up
_ORDER, _WINDOW, _FFT = 16, 480, 512  # linear prediction that flattens the spectrum, 30 ms
_FLATTEN = 0.9  # 1: all of the tract is taken out, and noise is lifted; 0: nothing
_SPLIT_HZ, _SPLIT_TAPS = (1000.0, 5500.0), 63  # noise under the first is not the noise between the two

_BOERSMA = "Boersma 1993, Proc. Inst. Phonetic Sciences Amsterdam 17, 97-110"
_PRAAT = "conventions of Boersma & Weenink, Praat manual, 'Voice 2. Jitter', 'Voice 3. Shimmer'; " + _BOERSMA

COLUMNS = (
    Column(
        "jitter_local",
        "1",
        "mean |T(i+1) - T(i)| over mean T of the glottal periods within 100 ms; missing without voice or with fewer "
        "than three comparable pairs",
        0.0,
        0.3,
        _PRAAT,
    ),
    Column(
        "shimmer_local",
        "1",
        "mean |A(i+1) - A(i)| over mean A of the periods' amplitudes within 100 ms, less what does not change low and "
        "high frequencies alike (noise, ringing; at most 44% of the variance); missing as jitter is",
        0.0,
        0.6,
        _PRAAT,
    ),
    Column(
        "shimmer_db",
        "dB",
        "mean |20 log10(A(i+1) / A(i))| of the same; missing as jitter is",
        0.0,
        4.1,
        _PRAAT,
    ),
    Column(
        "hnr_db",
        "dB",
        "harmonics-to-noise ratio: 10 log10(r / (1 - r)), r the mean cross-correlation within 18 ms of neighbouring "
        "periods, or of those 8 ms apart where the pitch is held still; missing without a pitch",
        -30.0,
        50.0,
        _BOERSMA,
    ),
    Column(
        "subharmonics",
        "1",
        "share of the power that repeats every second or third period only (lines at multiples of F0/2 or F0/3); "
        "missing without voice",
        0.0,
        1.0,
        "Fitch, Neubauer & Herzel 2002, doi 10.1006/anbe.2001.1912; from r at one, two and three periods",
    ),
)
NAMES = tuple(column.name for column in COLUMNS)


def _low_pass(hz: float) -> FloatArray:
    """Windowed-sinc filter that keeps what lies under ``hz``, [shape=(63,)]."""
    at = np.arange(_SPLIT_TAPS) - _SPLIT_TAPS // 2
    taps = np.sinc(2 * hz / SAMPLE_RATE_HZ * at) * np.hamming(_SPLIT_TAPS)
    return np.asarray(taps / taps.sum(), np.float32)


_LOW_BAND = _low_pass(_SPLIT_HZ[0])
_HIGH_BAND = _low_pass(_SPLIT_HZ[1]) - _LOW_BAND


@dataclass(frozen=True)
class Periods:
    """Neighbouring glottal periods: arrays [shape=(m,)], one entry for each period that was found.

    ``mark`` where it begins, in samples (the same phase in every period of a run); ``length`` in samples;
    ``correlation`` with the next period, ``likeness`` the same within one period's width only; ``gain_db`` of the next
    period's amplitude over its own, ``low_db`` in what lies under 1 kHz, ``high_db`` in what excites the tract above;
    ``distant`` the correlation with the period 8 ms later, NaN where the pitch moves; ``subharmonic`` the power share
    of what repeats after two or three periods only; ``linked`` says that the next entry is the period after it.
    """

    mark: Array
    length: Array
    correlation: Array
    likeness: Array
    gain_db: Array
    low_db: Array
    high_db: Array
    distant: Array
    subharmonic: Array
    linked: npt.NDArray[np.bool_]


def measure(y: FloatArray, f0_hz: FloatArray) -> FloatArray:
    """Jitter, shimmer, harmonics-to-noise ratio and subharmonics of consecutive frames.

    Parameters
    ----------
    y : ndarray [shape=(160 * (n + 2 * REACH),)], no NaN, 16 kHz
    f0_hz : ndarray [shape=(n + 2 * REACH,), Hz], the decided pitch of the same stretch, NaN where there is none

    Returns
    -------
    ndarray [shape=(n, 5)] in the order of :data:`COLUMNS`, NaN where missing
    """
    n = len(f0_hz) - 2 * REACH
    out = np.full((n, len(COLUMNS)), np.nan, np.float32)
    pitched = np.isfinite(f0_hz)
    if not pitched[REACH:-REACH].any():
        return out
    found = periods(y, f0_hz)
    if not len(found.mark):
        return out
    centre = (np.arange(n) + REACH + 0.5) * HOP
    here = pitched[REACH:-REACH]

    def mean(at: Array, values: Array, use: Array, near_s: float, least: int) -> Array:
        """Mean of the used values within ``near_s`` of each frame's middle; NaN with fewer than ``least``."""
        at, values = at[use], values[use]
        total = np.concatenate([[0.0], np.cumsum(values, dtype=np.float64)])
        low = np.searchsorted(at, centre - near_s * SAMPLE_RATE_HZ)
        high = np.searchsorted(at, centre + near_s * SAMPLE_RATE_HZ, side="right")
        count = high - low
        return np.where(here & (count >= least), (total[high] - total[low]) / np.maximum(count, 1), np.nan)

    length, mark = found.length, found.mark
    ratio = length[1:] / length[:-1]
    even = found.linked[:-1] & (np.maximum(ratio, 1 / ratio) <= _PERIOD_RATIO)
    like = found.likeness >= _LEAST_ALIKE[0]
    even &= like[:-1] & like[1:]
    step = np.abs(np.diff(length))
    turn = mark[1:]
    out[:, 0] = mean(turn, step, even, _NEAR_S, _LEAST_PAIRS) / mean(
        turn, 0.5 * (length[1:] + length[:-1]), even, _NEAR_S, _LEAST_PAIRS
    )
    ratio = np.concatenate([ratio, [1.0]])
    steady = np.isfinite(found.gain_db) & (np.abs(found.gain_db) <= 20 * np.log10(_AMPLITUDE_RATIO))
    steady &= found.likeness >= _LEAST_ALIKE[1]
    steady &= ~found.linked | (np.maximum(ratio, 1 / ratio) <= _PERIOD_RATIO)
    close = mark + length
    change = mean(close, np.abs(found.gain_db), steady, _NEAR_S, _LEAST_PAIRS)
    square = mean(close, np.square(found.gain_db), steady, _NEAR_S, _LEAST_PAIRS)
    # what changes low and high alike is the larynx; noise and the ringing of the tract differ in them
    low_db, high_db = (np.clip(np.nan_to_num(part), -8, 8) for part in (found.low_db, found.high_db))
    common = mean(close, low_db * high_db, steady, _NEAR_S, _LEAST_PAIRS)
    keep = np.sqrt(np.clip(common / np.maximum(square, 1e-9), 1 - _FOREIGN_CAP, 1))
    tilt = np.abs(np.tanh(found.gain_db * (np.log(10) / 40))) * 2  # |A2 - A1| over their mean
    out[:, 1] = mean(close, tilt, steady, _NEAR_S, _LEAST_PAIRS) * keep
    out[:, 2] = change * keep
    r = np.where(np.isfinite(found.distant), found.distant, found.correlation)
    r = mean(close, r, np.isfinite(r), _CLOSE_S, 1)
    r = np.clip(r, 0.001, 0.99999)
    out[:, 3] = 10 * np.log10(r / (1 - r))
    out[:, 4] = np.clip(mean(close, found.subharmonic, np.isfinite(found.subharmonic), _NEAR_S, _LEAST_PAIRS), 0, 1)
    return out


def periods(y: FloatArray, f0_hz: FloatArray) -> Periods:
    """The glottal periods of every stretch with a pitch: ``y`` [shape=(160 * n,)], ``f0_hz`` [shape=(n,)]."""
    pitched = np.isfinite(f0_hz)
    flat = _flattened(y, pitched)
    margin = int(4 * SAMPLE_RATE_HZ / 46)
    wave = np.pad(np.asarray(y, np.float32), margin)
    low, high = np.zeros_like(wave), np.zeros_like(wave)
    parts = []
    for first, last in runs(pitched):
        marks = _chain(flat, f0_hz, first, last)
        if len(marks) >= 3:
            near = slice(max(first * HOP - _LONGEST_PERIOD, 0), last * HOP + _LONGEST_PERIOD)
            here = slice(near.start + margin, min(near.stop, len(flat)) + margin)
            low[here] = np.convolve(wave[here], _LOW_BAND, "same")
            high[here] = np.convolve(flat[near], _HIGH_BAND, "same")
            frame = np.clip((marks / HOP).astype(np.intp), first, last - 1) - first
            parts.append(_compare((wave, low, high), marks, _still(f0_hz[first:last])[frame], margin))
    if not parts:
        return Periods(*(np.empty(0, bool if name == "linked" else float) for name in Periods.__dataclass_fields__))
    return Periods(*(np.concatenate([getattr(part, name) for part in parts]) for name in Periods.__dataclass_fields__))


def _still(f0_hz: FloatArray) -> npt.NDArray[np.bool_]:
    """Frames of one stretch, [shape=(n,)], in which the pitch hardly moves: its slope over 80 ms, times the 8 ms."""
    octave = np.log(f0_hz.astype(np.float64))
    index = np.arange(len(octave))
    before, after = np.maximum(index - 4, 0), np.minimum(index + 4, len(octave) - 1)
    slope = np.abs(octave[after] - octave[before]) / (np.maximum(after - before, 1) * HOP / SAMPLE_RATE_HZ)
    return np.asarray(slope * _FAR_S <= _STILL)


def _flattened(y: FloatArray, wanted: npt.NDArray[np.bool_]) -> FloatArray:
    """``y`` less most of what the vocal tract did; each hop has its own linear predictor.

    The ringing of one period reaches into the next and hides a part of its shift; noise between the harmonics must not
    be lifted either, so the predictor's roots are drawn in.
    """
    import scipy.fft  # seven times as fast as NumPy's on many short frames

    near = wanted.copy()
    near[1:] |= wanted[:-1]
    near[:-1] |= wanted[1:]
    hops = np.flatnonzero(near)
    out = np.zeros(len(y), np.float32)
    if not len(hops):
        return out
    side = (_WINDOW - HOP) // 2
    padded = np.pad(np.asarray(y, np.float32), side)
    frames = windows(padded, _WINDOW)[::HOP][hops]
    spectrum = scipy.fft.rfft(frames * np.hanning(_WINDOW).astype(np.float32), _FFT, axis=1)
    power = np.square(spectrum.real) + np.square(spectrum.imag)
    correlation = scipy.fft.irfft(power, axis=1)[:, : _ORDER + 1]
    taps = levinson(correlation.astype(np.float64)) * _FLATTEN ** np.arange(_ORDER + 1)
    error = np.zeros((len(hops), HOP), np.float32)
    for k, tap in enumerate(taps.astype(np.float32).T):
        error += tap[:, None] * frames[:, side - k : side - k + HOP]
    out.reshape(-1, HOP)[hops] = error
    return out


def levinson(correlation: Array) -> Array:
    """Predictor polynomials (1, a1, .. ap) of autocorrelations, both [shape=(n, p + 1)]; Makhoul 1975.

    A floor of -50 dB white noise keeps silence and pure tones solvable.
    """
    n, order = correlation.shape[0], correlation.shape[1] - 1
    a = np.zeros((n, order + 1))
    a[:, 0] = 1.0
    error = correlation[:, 0] * (1 + 1e-5) + 1e-12
    for i in range(1, order + 1):
        reflection = -(correlation[:, i:0:-1] * a[:, :i]).sum(axis=1) / error
        a[:, 1 : i + 1] += reflection[:, None] * a[:, i - 1 :: -1][:, :i]
        error = error * np.maximum(1 - reflection * reflection, 1e-9)
    return a


def _chain(flat: FloatArray, f0_hz: FloatArray, first: int, last: int) -> Array:
    """Marks in samples, one in each period of the frames ``first`` to ``last``.

    From the strongest excitation in them both ways, as in Praat: at an onset the glottis' closing is hard to tell.
    """
    length = (SAMPLE_RATE_HZ / f0_hz[first:last].astype(np.float64)).tolist()
    start, stop = first * HOP, last * HOP
    begin, end = max(start - _LONGEST_PERIOD, 0), min(stop + _LONGEST_PERIOD, len(flat))
    near = flat[begin:end]
    low, high = max(start - begin, _EDGE), min(stop - begin, len(near) - _EDGE)  # half a period must fit on either side
    if high <= low:
        return np.empty(0)
    anchor = low + int(np.argmax(np.abs(near[low:high])))
    onward = _walk(near, length, anchor, start - begin, stop - begin)
    turn = len(near) - 1
    back = _walk(near[::-1].copy(), length[::-1], turn - anchor, end - stop, end - start)
    return np.concatenate([turn - back[:0:-1], onward]) + begin


def _walk(flat: FloatArray, length: list[float], at: float, start: int, stop: int) -> Array:
    """Marks from ``at`` to ``stop``, each from the one before; ``length`` of a period by frame, from ``start`` on."""
    energy = np.concatenate([[0.0], np.cumsum(np.square(flat), dtype=np.float64)])
    scales: dict[int, Array] = {}  # by half width: 1 / norm of the window around each sample, from the half width on
    marks = [at]
    while True:
        period = length[min(max(int(at - start) // HOP, 0), len(length) - 1)]
        half = max(round(period / 8) * 4, _NARROWEST // 2)
        low, high = int(_SHORTEST * period), int(_LONGEST * period) + 2
        middle = int(at + 0.5)
        if at + period > stop or middle < half or middle + half + high > len(flat):
            break
        if half not in scales:
            scales[half] = 1 / np.sqrt(energy[2 * half :] - energy[: -2 * half] + 1e-20)
        one = flat[middle - half : middle + half]
        r = np.correlate(flat[middle - half + low : middle + half + high - 1], one, "valid")
        r = r * scales[half][middle - half + low :][: len(r)]  # but for its own norm
        top = int(r.argmax())
        shift = 0.0
        if 0 < top < len(r) - 1:
            left, here, right = r[top - 1 : top + 2].tolist()
            bend = left - 2 * here + right
            shift = 0.5 * (left - right) / bend if bend < 0 else 0.0
        at += low + top + shift
        marks.append(at)
    return np.array(marks)


def _compare(sounds: tuple[FloatArray, ...], marks: Array, still: npt.NDArray[np.bool_], margin: int) -> Periods:
    """What neighbouring periods of one run have in common.

    ``sounds`` as it was recorded, under 1 kHz, and above less the tract; ``still`` says at which marks the pitch stays
    """
    wave = sounds[0]
    length = np.diff(marks)
    half = max(int(np.median(length) / 2), _NARROWEST // 2)
    width = 2 * half + 1
    place = np.rint(marks).astype(np.intp) + margin
    weight = np.hanning(width + 2)[1:-1].astype(np.float32)

    # how alike a period and the next are
    now = _around(wave, place[:-1], max(round(_HNR_WIDTH * np.median(length) / 2), _NARROWEST // 2))
    own = np.einsum("ij,ij->i", now, now)
    begins, step = place[:-1], np.rint(length).astype(np.intp)
    correlation = _alike(wave, now, own, begins + step)
    narrow = _around(wave, begins, half)
    likeness = _alike(wave, narrow, np.einsum("ij,ij->i", narrow, narrow), begins + step)

    # what alternates: r at two or three periods above r at one (lines at odd multiples of F0/2: 1 - 2q against 1)
    subharmonic = np.full(len(length), np.nan)
    for many, factor in ((2, 2.0), (3, 1.5)):
        m = len(marks) - many
        if m > 0:
            span = np.rint(marks[many:] - marks[:-many]).astype(np.intp)
            again = _alike(wave, now[:m], own[:m], place[:m] + span)
            subharmonic[:m] = np.fmax(subharmonic[:m], (again - correlation[:m]) / factor)

    # the same 8 ms later, by when noise that rang in a formant has died away
    distant = np.full(len(length), np.nan)
    many = int(np.ceil(_FAR_S * SAMPLE_RATE_HZ / np.median(length)))
    if 1 < many < len(marks) and still.any():
        m = len(marks) - many
        use = np.flatnonzero(still[:m])
        piece = _around(wave, place[use], max(now.shape[1], _FAR_WIDTH) // 2)
        own = np.einsum("ij,ij->i", piece, piece)
        span = np.rint(marks[use + many] - marks[use]).astype(np.intp)
        distant[use + many // 2] = _alike(wave, piece, own, place[use] + span)

    gain_db, low_db, high_db = (_gains(part, place, half, weight) for part in sounds)
    return Periods(
        mark=marks[:-1],
        length=length,
        correlation=correlation,
        likeness=likeness,
        gain_db=gain_db,
        low_db=low_db,
        high_db=high_db,
        distant=distant,
        subharmonic=subharmonic,
        linked=np.append(np.ones(len(length) - 1, bool), False),
    )


def _around(sound: FloatArray, place: Array, half: int) -> FloatArray:
    """Pieces of sound, [shape=(m, 2 half + 1)]."""
    return np.asarray(windows(sound, 2 * half + 1)[place - half])


def _gains(sound: FloatArray, place: Array, half: int, weight: FloatArray) -> Array:
    """Change in dB from each period to the next, of its projection on what the periods around it look like."""
    pieces = _around(sound, place, half)
    total = np.concatenate([np.zeros((1, len(weight)), np.float32), np.cumsum(pieces, axis=0)])
    index = np.arange(len(place))
    low, high = np.maximum(index - _TEMPLATE, 0), np.minimum(index + _TEMPLATE + 1, len(place))
    form = (total[high] - total[low] - pieces) / (high - low - 1)[:, None].astype(np.float32)
    weighted = form * weight
    norm = np.maximum(np.einsum("ij,ij->i", form, weighted), np.float32(1e-20)).astype(np.float64)
    scale = np.einsum("ij,ij->i", pieces, weighted) / norm
    size = 20 * np.log10(np.maximum(scale, 1e-3) * np.sqrt(norm))
    return np.where(scale[1:] > 0, np.diff(size), np.nan)


def _alike(wave: FloatArray, one: FloatArray, own: Array, place: Array) -> Array:
    """Normalised correlation of pieces with the sound around ``place``, at the best fraction of a sample nearby."""
    width = one.shape[1]
    last = len(wave) - width // 2 - 2
    wide = _around(wave, np.minimum(place, last), width // 2 + 1)  # (m, width + 2)
    heights = []
    for k in range(3):
        other = wide[:, k : k + width]
        norm = np.einsum("ij,ij->i", other, other)
        heights.append(np.einsum("ij,ij->i", one, other) / np.sqrt(own * norm + np.float32(1e-20)))
    left, here, right = (height.astype(np.float64) for height in heights)
    bend = left - 2 * here + right
    shift = np.clip(0.5 * (left - right) / np.where(bend < 0, bend, -np.inf), -0.5, 0.5)
    return np.asarray(np.maximum(here - 0.25 * (left - right) * shift, np.maximum(left, right)))
