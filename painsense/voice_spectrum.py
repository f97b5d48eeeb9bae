"""Short-time spectrum: 20 ms frames of sound -> loudness, spectral balance, flux and cepstrum every 10 ms.

What needs one frame and the frame before it, and no pitch. The conventions are those of the extended Geneva set
(eGeMAPS, Eyben et al. 2016, doi 10.1109/TAFFC.2015.2457417): 20 ms Hamming frames, 512-point FFT, sound with full scale
1, power without any scaling by the length of the window.

Every column is NaN in a frame of digital silence: where nothing was recorded nothing can be measured. Quiet frames keep
their values, whatever the background makes of them; what is only meant for voice is masked by who knows the voicing.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from painsense.pitch import HOP, SAMPLE_RATE_HZ
from painsense.tracks import Column, FloatArray

WINDOW = 320  # samples, 20 ms
CONTEXT = 328  # samples on either side of the hops, for the frame before (flux) and the microphone's offset

LINE_HZ = SAMPLE_RATE_HZ / 512  # distance of the spectrum's lines
SLOPE_BANDS_HZ = ((0, 500), (500, 1500))
SILENCE_DBFS = -102.0  # RMS below which a frame holds nothing: under the last bit of 16-bit sound

_FFT = 512
_OFFSET_WINDOW = HOP + 2 * CONTEXT  # 51 ms: what a Hann window of this length lets through lies under 40 Hz, no voice
_BANDS = 26
_LOUDNESS_EXPONENT = 0.33
_LOUDNESS_SCALE = 4096.0  # divides power; puts the values on the scale of the published eGeMAPS figures
_LIFTER = 22
_CEPSTRA = 4
_FLOOR = np.float32(1e-8)  # power; far below what 16-bit sound can hold, keeps logarithms finite

_EGEMAPS = "Eyben et al. 2016, doi 10.1109/TAFFC.2015.2457417"
_HERMANSKY = "Hermansky 1990, doi 10.1121/1.399423"
_DAVIS = "Davis & Mermelstein 1980, doi 10.1109/TASSP.1980.1163420"

COLUMNS = (
    Column(
        "loudness",
        "1",
        "sum over 26 mel bands (20-8000 Hz) of equal-loudness weighted power to the 0.33, as in eGeMAPS; depends on "
        "microphone and distance",
        0.0,
        None,
        f"{_EGEMAPS}; {_HERMANSKY}",
    ),
    Column(
        "alpha_ratio_db",
        "dB",
        "power of 1-5 kHz over power of 50-1000 Hz: high over low, so a brighter voice lies higher (usually negative)",
        None,
        None,
        _EGEMAPS,
    ),
    Column(
        "hammarberg_db",
        "dB",
        "strongest line of 0-2 kHz over strongest line of 2-5 kHz; a brighter voice lies lower",
        None,
        None,
        f"Hammarberg et al. 1980, doi 10.3109/00016488009131746; {_EGEMAPS}",
    ),
    *(
        Column(
            f"slope_{low}_{high}",
            "dB/Hz",
            f"slope of the least-squares line through the power spectrum in dB, {low}-{high} Hz",
            None,
            None,
            _EGEMAPS,
        )
        for low, high in SLOPE_BANDS_HZ
    ),
    Column(
        "spectral_flux",
        "1",
        "root mean square, over 0-5 kHz, of the change of the magnitude spectrum since the frame before; depends on "
        "microphone and distance",
        0.0,
        None,
        _EGEMAPS,
    ),
    *(
        Column(
            f"mfcc_{k}",
            "1",
            f"mel-frequency cepstral coefficient {k}: cosine transform of the log power in 26 mel bands (20-8000 Hz), "
            f"liftered by {_LIFTER}",
            None,
            None,
            f"{_DAVIS}; {_EGEMAPS}",
        )
        for k in range(1, _CEPSTRA + 1)
    ),
    *(
        Column(
            f"level_{low}_{high}_db",
            "dB",
            f"mean over the lines of {low}-{high} Hz of the power spectrum in dB, as the slope has it; depends on "
            "microphone and distance",
            None,
            None,
            _EGEMAPS,
        )
        for low, high in SLOPE_BANDS_HZ
    ),
)


def _mel(hz: npt.ArrayLike) -> npt.NDArray[np.float64]:
    return 1127 * np.log1p(np.asarray(hz, np.float64) / 700)


_BIN_HZ = np.fft.rfftfreq(_FFT, 1 / SAMPLE_RATE_HZ)  # 31.25 Hz apart
_EDGES = np.linspace(_mel(20.0), _mel(8000.0), _BANDS + 2)


def _mel_bands() -> FloatArray:
    """Triangles of equal width on the mel scale, ndarray [shape=(257, 26)]."""
    position = (_mel(_BIN_HZ)[:, None] - _EDGES[1:-1]) / (_EDGES[1] - _EDGES[0])
    return np.asarray(np.clip(1 - np.abs(position), 0, None), np.float32)


def _equal_loudness() -> FloatArray:
    """How loud the ear takes power in each band to be (Hermansky 1990), ndarray [shape=(26,)]."""
    square = (2 * np.pi * 700 * np.expm1(_EDGES[1:-1] / 1127)) ** 2
    curve = (square + 56.8e6) * square**2 / ((square + 6.3e6) ** 2 * (square + 0.38e9))
    return np.asarray(curve / _LOUDNESS_SCALE, np.float32)


def _cepstral_cosines() -> FloatArray:
    """Log band power -> liftered cepstrum, ndarray [shape=(26, 4)]."""
    order = np.arange(1, _CEPSTRA + 1)
    cosines = np.sqrt(2 / _BANDS) * np.cos(np.pi / _BANDS * (np.arange(_BANDS)[:, None] + 0.5) * order)
    return np.asarray(cosines * (1 + _LIFTER / 2 * np.sin(np.pi * order / _LIFTER)), np.float32)


def _bins(low_hz: float, high_hz: float) -> slice:
    """Lines from low to high, both included."""
    return slice(int(np.searchsorted(_BIN_HZ, low_hz)), int(np.searchsorted(_BIN_HZ, high_hz, "right")))


def _line(low_hz: float, high_hz: float) -> FloatArray:
    """Weights whose products with a spectrum in dB are slope and middle of its least-squares line, [shape=(49, 2)]."""
    weights = np.zeros((_SLOPE_BINS, 2))
    band = _bins(low_hz, high_hz)
    x = _BIN_HZ[band] - _BIN_HZ[band].mean()
    weights[band, 0] = x / np.sum(np.square(x))
    weights[band, 1] = 1 / len(x)
    return np.asarray(weights, np.float32)


_LOW, _HIGH = slice(1, 32), _bins(1000, 5000)  # what sounds at 50 Hz shows in the line at 31 Hz too; 1 kHz counts once
_BELOW_2_KHZ, _ABOVE_2_KHZ = _bins(0, 2000), _bins(2000, 5000)
_FLUX = _bins(0, 5000)
_SLOPE_BINS = _bins(0, 1500).stop
_LINES = np.concatenate([_line(*band) for band in SLOPE_BANDS_HZ], axis=1)  # (49, 4)
_MEL_BANDS, _EQUAL_LOUDNESS, _COSINES = _mel_bands(), _equal_loudness(), _cepstral_cosines()
_HAMMING = np.hamming(WINDOW).astype(np.float32)
_HAMMING_SPECTRUM = np.fft.rfft(_HAMMING, _FFT)  # float32 stays complex64
_HANN = (np.hanning(_OFFSET_WINDOW + 2)[1:-1] * 2 / (_OFFSET_WINDOW + 1)).astype(np.float32)  # sums to 1


def measure(y: FloatArray) -> FloatArray:
    """The columns of each 10 ms hop.

    Parameters
    ----------
    y : ndarray [shape=(CONTEXT + 160 * n + CONTEXT,), float32, 16 kHz, full scale 1], without NaN
        n hops with their context on either side. Nothing is remembered between calls: a recording cut into pieces of
        any number of hops gives the same numbers.

    Returns
    -------
    ndarray [shape=(n, len(COLUMNS)), float32], NaN in a frame of digital silence

    Examples
    --------
    >>> t = np.arange(CONTEXT + 1600 + CONTEXT) / SAMPLE_RATE_HZ
    >>> measure((0.1 * np.sin(2 * np.pi * 440 * t)).astype(np.float32)).shape
    (10, 12)
    """
    count, left = divmod(len(y) - 2 * CONTEXT, HOP)
    if count < 0 or left:
        raise ValueError(f"voice_spectrum: expected {2 * CONTEXT} samples and whole hops of {HOP}, got {len(y)}")
    if not count:
        return np.empty((0, len(COLUMNS)), np.float32)
    y = np.asarray(y, np.float32)
    first = CONTEXT + HOP // 2 - HOP - WINDOW // 2  # of the frame before the first
    frames = np.lib.stride_tricks.sliding_window_view(y[first:], WINDOW)[::HOP][: count + 1]  # (n + 1, 320)
    offset = np.lib.stride_tricks.sliding_window_view(y, _OFFSET_WINDOW)[::HOP] @ _HANN
    spectrum = np.fft.rfft(frames * _HAMMING, _FFT, axis=1)
    of_offset = offset[:, None] * _HAMMING_SPECTRUM
    power = _power(spectrum[1:] - of_offset)
    before = _power(spectrum[:-1, _FLUX] - of_offset[:, _FLUX])

    bands = power @ _MEL_BANDS
    out = np.empty((count, len(COLUMNS)), np.float32)
    out[:, 0] = ((bands * _EQUAL_LOUDNESS) ** np.float32(_LOUDNESS_EXPONENT)).sum(axis=1)
    out[:, 1] = _ratio_db(power[:, _HIGH].sum(axis=1), power[:, _LOW].sum(axis=1))
    out[:, 2] = _ratio_db(power[:, _BELOW_2_KHZ].max(axis=1), power[:, _ABOVE_2_KHZ].max(axis=1))
    lines = 10 * np.log10(np.maximum(power[:, :_SLOPE_BINS], _FLOOR)) @ _LINES
    out[:, 3:5], out[:, -2:] = lines[:, 0::2], lines[:, 1::2]
    out[:, 5] = np.sqrt(np.mean(np.square(np.sqrt(power[:, _FLUX]) - np.sqrt(before)), axis=1))
    out[:, 6:-2] = np.log(np.maximum(bands, _FLOOR)) @ _COSINES
    out[np.var(frames[1:], axis=1) < 10 ** (SILENCE_DBFS / 10)] = np.nan
    return out


def _power(spectrum: npt.NDArray[np.complexfloating]) -> FloatArray:
    return np.asarray(np.square(spectrum.real) + np.square(spectrum.imag), np.float32)


def _ratio_db(above: FloatArray, below: FloatArray) -> FloatArray:
    return np.asarray(10 * np.log10(np.maximum(above, _FLOOR) / np.maximum(below, _FLOOR)), np.float32)
