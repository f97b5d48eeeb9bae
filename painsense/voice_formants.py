"""Spectrum of a voiced frame -> formants, harmonics, cepstral peak, and what moves between or beside the harmonics.

Everything here is defined in voice only, and computed only where a pitch was decided.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from painsense.pitch import HOP, SAMPLE_RATE_HZ, WINDOW, windows
from painsense.tracks import Column, FloatArray
from painsense.voice_periods import levinson

Array = npt.NDArray[Any]

REACH = 4  # frames of sound that are looked at on either side of a frame

_FFT = 1152
_BIN_HZ = SAMPLE_RATE_HZ / _FFT
_HANN = np.hanning(WINDOW + 2)[1:-1].astype(np.float32)

# Formants: linear prediction of the band under 5.5 kHz
_FORMANT_WINDOW, _FORMANT_FFT = 512, 512  # 32 ms
_TOP_HZ = 5500.0
_ORDER = 11
_EMPHASIS_HZ = 50.0
_LOWEST_HZ, _HIGHEST_HZ, _WIDEST_HZ = 150.0, 5450.0, 800.0
_FORMANTS = 3

# Cepstrum
_QUEFRENCIES_S = (0.001, 0.0175)  # the regression line's range; the peak is looked for around the pitch period

# Modulation
_ENVELOPE = 16  # samples a value of the envelope stands for: 1 kHz
_MODULATION_FFT = 128
_ROUGH_HZ = (20.0, 150.0)

_EYBEN = "Eyben et al. 2016, doi 10.1109/TAFFC.2015.2457417"
_MAKHOUL = "linear prediction of a band: Makhoul 1975, doi 10.1109/PROC.1975.9792; roots: Markel & Gray 1976"
_FITCH = "Fitch, Neubauer & Herzel 2002, doi 10.1006/anbe.2001.1912"


def _formant_columns() -> tuple[Column, ...]:
    columns = []
    for k in range(1, _FORMANTS + 1):
        columns += [
            Column(
                f"f{k}_hz",
                "Hz",
                f"formant {k}: angle of the predictor's root number {k} from {_LOWEST_HZ:.0f} to {_HIGHEST_HZ:.0f} Hz "
                f"with a bandwidth up to {_WIDEST_HZ:.0f} Hz; missing without voice",
                _LOWEST_HZ,
                _HIGHEST_HZ,
                _MAKHOUL,
            ),
            Column(
                f"f{k}_bandwidth_hz",
                "Hz",
                f"its bandwidth, from the root's radius: -ln|z| / pi times the sample rate; missing as f{k}_hz is",
                0.0,
                _WIDEST_HZ,
                _MAKHOUL,
            ),
            Column(
                f"f{k}_level_db",
                "dB",
                f"strongest harmonic near formant {k} over the first harmonic; missing as f{k}_hz is",
                -120.0,
                120.0,
                _EYBEN,
            ),
        ]
    return tuple(columns)


COLUMNS = (
    *_formant_columns(),
    Column(
        "h1_h2_db",
        "dB",
        "first harmonic over the second; missing without voice",
        -120.0,
        120.0,
        "Hanson 1997, doi 10.1121/1.417991 (uncorrected for formants); " + _EYBEN,
    ),
    Column(
        "h1_a3_db",
        "dB",
        "first harmonic over the strongest one near the third formant; missing without voice or third formant",
        -120.0,
        120.0,
        "Hanson 1997, doi 10.1121/1.417991; " + _EYBEN,
    ),
    Column(
        "cpp_db",
        "dB",
        "cepstral peak at the pitch period over the regression line of the cepstrum in dB from 1 to 17.5 ms; missing "
        "without voice",
        -20.0,
        60.0,
        "Hillenbrand, Cleveland & Erickson 1994, doi 10.1044/jshr.3704.769",
    ),
    Column(
        "roughness",
        "1",
        "depth of the loudness's own ripple: amplitude modulation between 20 and 150 Hz (at most 0.7 F0) over the "
        "mean, 128 ms; 1 is a voice that comes and goes fully; missing without voice",
        0.0,
        3.0,
        "Arnal et al. 2015, doi 10.1016/j.cub.2015.06.043",
    ),
    Column(
        "biphonation",
        "1",
        "share of the power that a comb at the pitch leaves over and that repeats at another period, none of 2 or 3 "
        "pitch periods; missing without voice",
        0.0,
        1.0,
        _FITCH,
    ),
    Column(
        "chaos",
        "1",
        "share of the power under 2.5 kHz that follows no period: neither F0 nor its subharmonics nor a second pitch; "
        "breath noise counts as well; missing without voice",
        0.0,
        1.0,
        _FITCH + "; Riede et al. 2001, doi 10.1121/1.1398052",
    ),
)
NAMES = tuple(column.name for column in COLUMNS)


def measure(y: FloatArray, f0_hz: FloatArray) -> FloatArray:
    """All columns of consecutive frames.

    Parameters
    ----------
    y : ndarray [shape=(160 * (n + 2 * REACH),)], no NaN, 16 kHz
    f0_hz : ndarray [shape=(n,), Hz], the decided pitch, NaN where there is none

    Returns
    -------
    ndarray [shape=(n, 15)] in the order of :data:`COLUMNS`, NaN where there is no pitch
    """
    out = np.full((len(f0_hz), len(COLUMNS)), np.nan, np.float32)
    rows = np.flatnonzero(np.isfinite(f0_hz))
    if not len(rows):
        return out
    f0 = f0_hz[rows].astype(np.float64)
    centre = (rows + REACH) * HOP + HOP // 2
    spectrum = _power(_frames(y, centre, WINDOW))
    hz, width = formants(_frames(y, centre, _FORMANT_WINDOW))
    lines = _Lines(spectrum, f0)
    first = lines.level_db(np.ones(len(rows)))
    values = np.empty((len(rows), len(COLUMNS)))
    for k in range(_FORMANTS):
        near = lines.strongest_near_db(hz[:, k])
        values[:, 3 * k : 3 * k + 3] = np.stack([hz[:, k], width[:, k], near - first], axis=1)
    at = 3 * _FORMANTS
    values[:, at] = first - lines.level_db(np.full(len(rows), 2.0))
    values[:, at + 1] = first - near
    values[:, at + 2] = _cepstral_peak(spectrum, f0)
    values[:, at + 3] = _roughness(y, centre, f0)
    values[:, at + 4 :] = _beside_the_pitch(y, spectrum, centre, f0)
    out[rows] = values
    return out


def _frames(y: FloatArray, centre: Array, length: int) -> FloatArray:
    """Frames of ``length`` samples around ``centre``, [shape=(m, length)]."""
    return np.asarray(windows(np.ascontiguousarray(y, np.float32), length)[centre - length // 2])


def _power(frames: FloatArray) -> FloatArray:
    """Power spectrum of Hann-windowed frames, [shape=(m, 816)] -> [shape=(m, 577)]."""
    import scipy.fft  # seven times as fast as NumPy's on many short frames

    spectrum = scipy.fft.rfft((frames - frames.mean(axis=1, keepdims=True)) * _HANN, _FFT, axis=1)
    return np.asarray(np.square(spectrum.real) + np.square(spectrum.imag), np.float32)


# --- formants ---------------------------------------------------------------------------------------------------------


def _band_cosines() -> Array:
    """Power of the bins under 5.5 kHz, pre-emphasised -> autocorrelation at 11 kHz, [shape=(bins, order + 1)]."""
    bins = int(_TOP_HZ * _FORMANT_FFT / SAMPLE_RATE_HZ)
    hz = np.arange(bins + 1) * SAMPLE_RATE_HZ / _FORMANT_FFT
    keep = np.exp(-2 * np.pi * _EMPHASIS_HZ / SAMPLE_RATE_HZ)
    emphasis = 1 + keep**2 - 2 * keep * np.cos(2 * np.pi * hz / SAMPLE_RATE_HZ)
    weight = np.full(bins + 1, 2.0)
    weight[[0, -1]] = 1.0
    return np.asarray(
        (weight * emphasis)[:, None] * np.cos(np.pi * np.outer(hz / hz[-1], np.arange(_ORDER + 1))), np.float64
    )


_COSINES = _band_cosines()
_BAND_HZ = 2 * (len(_COSINES) - 1) * SAMPLE_RATE_HZ / _FORMANT_FFT  # the sample rate the band would have
_FORMANT_TAPER = np.hamming(_FORMANT_WINDOW).astype(np.float32)


def formants(frames: FloatArray) -> tuple[Array, Array]:
    """Frequencies and bandwidths in Hz of the first three formants, ndarrays [shape=(m, 3)], NaN where missing.

    frames : ndarray [shape=(m, 512), 16 kHz]
    """
    import scipy.fft

    spectrum = scipy.fft.rfft((frames - frames.mean(axis=1, keepdims=True)) * _FORMANT_TAPER, _FORMANT_FFT, axis=1)
    power = np.square(spectrum.real[:, : len(_COSINES)]) + np.square(spectrum.imag[:, : len(_COSINES)])
    predictor = levinson(power.astype(np.float64) @ _COSINES)
    companion = np.zeros((len(frames), _ORDER, _ORDER))
    companion[:, 0] = -predictor[:, 1:]
    companion[:, np.arange(1, _ORDER), np.arange(_ORDER - 1)] = 1.0
    roots = np.linalg.eigvals(companion)
    hz = np.angle(roots) * (_BAND_HZ / (2 * np.pi))
    width = -np.log(np.maximum(np.abs(roots), 1e-9)) * (_BAND_HZ / np.pi)
    good = (hz >= _LOWEST_HZ) & (hz <= _HIGHEST_HZ) & (width <= _WIDEST_HZ)
    order = np.argsort(np.where(good, hz, np.inf), axis=1, kind="stable")[:, :_FORMANTS]
    found = np.take_along_axis(good, order, axis=1)
    return tuple(np.where(found, np.take_along_axis(part, order, axis=1), np.nan) for part in (hz, width))  # type: ignore[return-value]


# --- harmonics --------------------------------------------------------------------------------------------------------


class _Lines:
    """Power of the harmonics of each frame, from running sums of the power spectrum."""

    def __init__(self, spectrum: FloatArray, f0: Array) -> None:
        self._sum = np.zeros((len(spectrum), spectrum.shape[1] + 1))
        np.cumsum(spectrum, axis=1, dtype=np.float64, out=self._sum[:, 1:])
        self._flat, self._row = self._sum.reshape(-1), np.arange(len(f0)) * self._sum.shape[1]
        self._f0 = f0
        self._half = np.maximum(0.25 * f0, 1.5 * _BIN_HZ) / _BIN_HZ  # bins on either side that belong to a harmonic

    def _below(self, place: Array) -> Array:
        """Power below a fractional bin."""
        width = self._sum.shape[1]
        place = np.clip(place, 0, width - 1.001)
        whole = place.astype(np.intp)
        at = whole + self._row
        low = self._flat[at]
        return np.asarray(low + (place - whole) * (self._flat[at + 1] - low))

    def level_db(self, number: Array) -> Array:
        """Level of harmonic ``number`` [shape=(m,)]."""
        middle = number * self._f0 / _BIN_HZ + 0.5
        power = self._below(middle + self._half) - self._below(middle - self._half)
        return np.asarray(10 * np.log10(np.maximum(power, 1e-12)))

    def strongest_near_db(self, hz: Array) -> Array:
        """Level of the strongest of the three harmonics nearest ``hz``; NaN where ``hz`` is."""
        nearest = np.maximum(np.rint(np.nan_to_num(hz, nan=1000.0) / self._f0), 1)
        best = np.maximum.reduce([self.level_db(np.maximum(nearest + k, 1)) for k in (-1, 0, 1)])
        return np.where(np.isfinite(hz), best, np.nan)


def _cepstral_peak(spectrum: FloatArray, f0: Array) -> Array:
    """Height in dB of the cepstrum at the pitch period over its regression line, [shape=(m,)]."""
    import scipy.fft

    log = np.log(np.maximum(spectrum, spectrum.max(axis=1, keepdims=True) * np.float32(1e-9) + np.float32(1e-20)))
    low, high = (round(q * SAMPLE_RATE_HZ) for q in _QUEFRENCIES_S)
    cepstrum = np.abs(scipy.fft.dct(log, 1, axis=1, overwrite_x=True)[:, : high + 3]) * np.float32(1 / _FFT)
    height = 20 * np.log10(cepstrum + np.float32(1e-7))
    n = np.arange(low, high)
    spread = n - n.mean()
    slope = height[:, low:high] @ (spread / np.square(spread).sum())
    level = height[:, low:high].mean(axis=1)
    period = SAMPLE_RATE_HZ / f0
    reach = np.arange(-2, 3)
    around = np.rint(period).astype(np.intp)[:, None] + reach
    near = np.take_along_axis(height, np.clip(around, 2, height.shape[1] - 1), axis=1)
    top = near.argmax(axis=1)
    place = np.rint(period) + reach[top]
    return np.asarray(near.max(axis=1) - (level + slope * (place - n.mean())))


# --- beside the harmonics ---------------------------------------------------------------------------------------------


_RIPPLE_TAPER = np.hanning(_MODULATION_FFT + 2)[1:-1].astype(np.float32)
_RIPPLE_HZ = np.arange(_MODULATION_FFT // 2 + 1) * SAMPLE_RATE_HZ / _ENVELOPE / _MODULATION_FFT


def _roughness(y: FloatArray, centre: Array, f0: Array) -> Array:
    """Depth of the amplitude modulation from 20 to 150 Hz, [shape=(m,)]."""
    import scipy.fft

    pieces = len(y) // _ENVELOPE
    envelope = np.sqrt(np.mean(np.square(y[: pieces * _ENVELOPE]).reshape(-1, _ENVELOPE), axis=1))
    half = _MODULATION_FFT // 2
    around = np.pad(envelope, half, mode="edge")
    frames = windows(around, _MODULATION_FFT)[np.rint(centre / _ENVELOPE).astype(np.intp)]
    mean = (frames @ _RIPPLE_TAPER) / _RIPPLE_TAPER.sum()
    ripple = scipy.fft.rfft((frames - mean[:, None]) * _RIPPLE_TAPER, axis=1)
    power = np.square(ripple.real) + np.square(ripple.imag)
    highest = np.minimum(_ROUGH_HZ[1], 0.7 * f0)[:, None]
    rough = (_RIPPLE_HZ[None] >= _ROUGH_HZ[0]) & (_RIPPLE_HZ[None] <= highest)
    # a sine of depth m has m^2 / 4 times (sum of the taper)^2 in its peak, spread over the taper's own width
    unit = np.square(_RIPPLE_TAPER).sum() * _MODULATION_FFT / 4
    return np.asarray(np.sqrt((power * rough).sum(axis=1) / unit) / np.maximum(mean, 1e-9))


def _beside_the_pitch(y: FloatArray, spectrum: FloatArray, centre: Array, f0: Array) -> Array:
    """Biphonation and chaos, [shape=(m, 2)]: what a comb at the pitch period leaves, and whether that has a period."""
    import scipy.fft

    period = SAMPLE_RATE_HZ / f0
    whole = np.floor(period).astype(np.intp)
    part = (period - whole).astype(np.float32)[:, None]
    begin = centre - WINDOW // 2
    pieces = windows(y, WINDOW + 1)[begin - whole - 1]  # (m, 817), a period earlier
    comb = windows(y, WINDOW)[begin] - pieces[:, 1:]
    comb += part * (pieces[:, 1:] - pieces[:, :-1])
    left = _power(comb)[:, :_LOW_BINS] * _LOW_PASS
    total = spectrum[:, :_LOW_BINS] @ _LOW_PASS
    share = np.clip(left.sum(axis=1) / np.maximum(2 * total, np.float32(1e-20)), 0, 1)  # a comb doubles noise
    correlation = scipy.fft.dct(left, 1, axis=1)[:, :_LAGS]
    correlation = correlation / (np.maximum(correlation[:, :1], np.float32(1e-20)) * _LAG_TAPER)
    ratio = (np.arange(_LAGS, dtype=np.float32) / _LOW_RATE_HZ) * f0.astype(np.float32)[:, None]
    # subharmonics are no second voice
    own = np.zeros(ratio.shape, bool)
    for many in (1, 2, 3, 4, 6):
        own |= np.abs(ratio - np.float32(many)) < np.float32(0.06 * np.sqrt(many))
    here = correlation[:, 1:-1]
    peak = (here > correlation[:, :-2]) & (here >= correlation[:, 2:]) & ~own[:, 1:-1]
    peak[:, : _SHORTEST_LAG - 1] = False
    second = np.clip(((here * peak).max(axis=1) - _NO_PERIOD) / (1 - _NO_PERIOD), 0, 1)
    regular = (correlation * (own & (ratio > 1.5))).max(axis=1)
    return np.stack([share * second, share * (1 - np.clip(np.maximum(second, regular), 0, 1))], axis=1)


_LOW_BINS = 203  # the band under 2.8 kHz
_LOW_RATE_HZ = 2 * (_LOW_BINS - 1) * _BIN_HZ  # the sample rate it would have
_LAGS = int((_FFT - WINDOW) * _LOW_RATE_HZ / SAMPLE_RATE_HZ)
_SHORTEST_LAG = int(_LOW_RATE_HZ / 500)  # shorter ones are the ringing of formants
_NO_PERIOD = 0.5  # height of a peak that noise shaped by a vocal tract reaches in 51 ms
_LOW_PASS = np.clip((2800 - np.arange(_LOW_BINS) * _BIN_HZ) / 600, 0, 1).astype(np.float32)


def _lag_taper() -> FloatArray:
    """Autocorrelation of the window itself at the low rate, by which Boersma 1993 divides."""
    lag = np.arange(_LAGS) * (SAMPLE_RATE_HZ / _LOW_RATE_HZ)
    correlation = np.fft.irfft(np.abs(np.fft.rfft(_HANN, 2 * _FFT)) ** 2)
    return np.asarray(np.interp(lag, np.arange(len(correlation)), correlation / correlation[0]), np.float32)


_LAG_TAPER = _lag_taper()
