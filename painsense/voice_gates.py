"""What of a recording is voice, noise, a device, or too loud: decided once everything has been heard.

Voice is what is periodic (:mod:`painsense.pitch`) *and* louder than the recording's own noise: a moan has both, though
speech detectors throw it away.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from painsense import pitch
from painsense.tracks import BoolArray, FloatArray, Reason, runs

F0_LOW_HZ, F0_HIGH_HZ = 58.0, 1030.0  # groans reach down to 60 Hz, screams up to 1 kHz; and 3% to measure them with

#: bits of a frame's flags, beside those of pitch.py: nothing recorded; the wave is cut flat
MISSING, FLAT = np.uint8(1), np.uint8(2)

# Gates. Strengths are heights of the compressed autocorrelation; how they were chosen stands in docs/voice.md.
_OFF_STRENGTH, _LIKELY_STRENGTH, _SURE_STRENGTH = 0.24, 0.33, 0.44
_ON_MARGIN_DB, _OFF_MARGIN_DB = 4.0, 2.0  # above the noise floor
_LOWEST_VOICE_DBFS = -65.0
_HELD_DB = 6.0
_MIN_VOICED, _MIN_LIKELY, _MIN_SURE = 5, 3, 4  # frames
_NEARBY, _BRIDGE = 15, 3  # frames between stretches of one utterance; frames bridged
_MIN_SNR_DB = 10.0
_PROBABILITY_MIDDLE, _PROBABILITY_SLOPE = 0.30, 20.0  # fitted to generated voices and noises
_TONE_FRAMES = 30  # 0.3 s
_TONE_DRIFT = 0.006  # relative, between the 5th and 95th percentile; hardly a larynx holds a pitch this still


REASONS = (
    Reason("no_audio", "the recording has no sound here"),
    Reason("silent", "digital silence, or nothing above the noise of the recording"),
    Reason("clipped", "the recording is overdriven here: level and loudness are too low"),
    Reason("low_snr", f"voice stands less than {_MIN_SNR_DB:.0f} dB above the noise of the recording"),
    Reason("steady_tone", "a tone too steady for a larynx: mains hum, an alarm, a device"),
    Reason("unvoiced", "sound without voice: breath, noise, consonants", blocking=False),
    Reason(
        "irregular",
        "voice too short or too irregular here for some of its measures: jitter, shimmer, formants",
        blocking=False,
    ),
)


@dataclass(frozen=True)
class Decision:
    """What was decided of each frame: arrays [shape=(n,)].

    ``f0_hz`` NaN where there is neither voice nor a steady tone; ``reasons`` where each reason stands, by its code
    ("irregular" is not decided here).
    """

    f0_hz: FloatArray
    voiced: BoolArray
    reasons: dict[str, BoolArray]


def decide(
    f0: FloatArray, strength: FloatArray, level_dbfs: FloatArray, peak: FloatArray, flags: npt.NDArray[np.uint8]
) -> Decision:
    """Voice, tones and reasons from the measures of all frames, ndarrays [shape=(n,)].

    ``f0`` and ``strength`` of the decided pitch; ``level_dbfs`` NaN where nothing was recorded or digital silence was;
    ``peak`` largest sample of each 10 ms; ``flags`` of this file and of pitch.py.
    """
    missing = (flags & MISSING) != 0
    dead = np.isnan(level_dbfs)
    f0, strength = np.where(missing, np.float32(np.nan), f0), np.where(dead, np.float32(0), strength)

    tone = _steady_tones(f0, strength, level_dbfs, flags)
    floor = noise_floor(level_dbfs[(strength < _OFF_STRENGTH) | tone])
    gate = np.fmax(floor, _LOWEST_VOICE_DBFS - _ON_MARGIN_DB)
    loud = np.nan_to_num(level_dbfs, nan=-np.inf)
    in_range = (f0 >= F0_LOW_HZ) & (f0 <= F0_HIGH_HZ) & ~tone
    may = in_range & (strength >= _OFF_STRENGTH) & (loud >= gate + _OFF_MARGIN_DB)
    likely = may & (strength >= _LIKELY_STRENGTH) & (loud >= gate + _ON_MARGIN_DB)
    sure = likely & (strength >= _SURE_STRENGTH) & _held(level_dbfs)
    voiced = _voiced_runs(may & ~(_leaps(f0) & ~likely), likely, sure)  # a clear voice may break into another octave
    voiced = bridge(voiced, _BRIDGE, in_range & (loud >= gate + _OFF_MARGIN_DB))

    silent = dead | (~voiced & ~tone & (loud <= np.fmax(floor + _OFF_MARGIN_DB, _LOWEST_VOICE_DBFS)))
    overdriven = ((flags & FLAT) != 0) & (peak >= 0.98 * min(peak.max(initial=0), 1.0)) & (peak > 0.1)
    snr_db = signal_to_noise(level_dbfs[voiced], noise_floor(level_dbfs[~voiced]))
    return Decision(
        f0_hz=np.where(voiced | (tone & (f0 >= F0_LOW_HZ)), f0, np.float32(np.nan)),
        voiced=voiced,
        reasons={
            "no_audio": missing,
            "silent": silent & ~missing,
            "clipped": _near(overdriven, 2) & ~dead,  # as far as the windows reach
            "low_snr": voiced & (snr_db < _MIN_SNR_DB),
            "steady_tone": tone,
            "unvoiced": ~voiced & ~silent & ~tone & ~missing,
        },
    )


def may_be_voice(f0: FloatArray, strength: FloatArray, level_dbfs: FloatArray) -> BoolArray:
    """Frames that :func:`decide` could still call voice, whatever the rest of the recording holds."""
    loud = level_dbfs >= _LOWEST_VOICE_DBFS - _ON_MARGIN_DB + _OFF_MARGIN_DB
    in_range = (f0 >= F0_LOW_HZ) & (f0 <= F0_HIGH_HZ) & loud
    return bridge(in_range & (strength >= _OFF_STRENGTH), _BRIDGE, in_range)


def voicing_probability(strength: FloatArray, level_dbfs: FloatArray) -> FloatArray:
    """How likely the frame is voice by its periodicity alone, ndarray [shape=(n,)]; NaN where the level is."""
    probability = 1 / (1 + np.exp(-_PROBABILITY_SLOPE * (strength - _PROBABILITY_MIDDLE)))
    return np.asarray(np.where(np.isnan(level_dbfs), np.float32(np.nan), probability), np.float32)


def _steady_tones(f0: FloatArray, strength: FloatArray, level: FloatArray, flags: npt.NDArray[np.uint8]) -> BoolArray:
    """Frames of tones no larynx makes: held still for 0.3 s, and one pure line or low harmonics of the mains."""
    tone = np.zeros(len(f0), bool)
    held = (np.abs(np.diff(f0, prepend=np.nan)) <= 0.025 * f0) & (np.abs(np.diff(level, prepend=np.nan)) <= 1.0)
    for first, last in runs(held & (strength >= _OFF_STRENGTH)):
        for a in range(first, last - _TONE_FRAMES + 1, _TONE_FRAMES):  # a long run may drift: piece by piece
            piece = slice(a, last if last - a < 2 * _TONE_FRAMES else a + _TONE_FRAMES)
            middle = np.median(f0[piece])
            low, high = np.percentile(f0[piece], [5, 95])
            pure = np.mean((flags[piece] & pitch.PURE) != 0) > 0.9
            mains = bool(is_mains(middle)) and np.mean((flags[piece] & pitch.LOW) != 0) > 0.9
            worse = 2.5 if middle < 62 else 2.0 if mains else 1.0  # low tones in noise are measured worst
            still = high - low <= _TONE_DRIFT * worse * middle
            tone[piece] = still and (pure or mains)
    return tone


def is_mains(f0: npt.ArrayLike) -> BoolArray:
    """50 or 60 Hz within 2.5% (51 ms tell no better), or one of the next multiples within 0.7%."""
    hz = np.asarray(f0, np.float64)
    near = [np.abs(hz / (base * k) - 1) < (0.025 if k == 1 else 0.007) for base in (50.0, 60.0) for k in range(1, 7)]
    return np.asarray(np.any(near, axis=0))


def noise_floor(level_dbfs: FloatArray) -> float:
    """10th percentile of the levels of frames without voice; NaN with less than 0.1 s of them."""
    level_dbfs = level_dbfs[np.isfinite(level_dbfs)]
    return float(np.percentile(level_dbfs, 10)) if len(level_dbfs) >= 10 else float("nan")


def signal_to_noise(level_dbfs: FloatArray, floor_dbfs: float) -> float:
    """Mean power of the voiced frames against the floor in dB; NaN without voice or without a known floor."""
    level_dbfs = level_dbfs[np.isfinite(level_dbfs)]
    if not len(level_dbfs) or np.isnan(floor_dbfs):
        return float("nan")
    return float(10 * np.log10(np.mean(10 ** (level_dbfs.astype(np.float64) / 10)))) - floor_dbfs


def _leaps(f0: FloatArray) -> BoolArray:
    """Frames more than a fifth away from the frame before: no voice glides that fast."""
    ratio = f0 / np.concatenate([f0[:1], f0[:-1]])
    return np.asarray(~((ratio > 0.8) & (ratio < 1.25)))


def _held(level: FloatArray) -> BoolArray:
    """Frames in a level that lasts: within 6 dB over 40 ms. A knock rings at a pitch too, but dies away at once."""
    out = np.zeros(len(level), bool)
    out[2:-2] = np.abs(level[4:] - level[:-4]) <= _HELD_DB  # NaN compares false
    return out


def _voiced_runs(may: BoolArray, likely: BoolArray, sure: BoolArray) -> BoolArray:
    """Runs of ``may`` that are voice: long enough, likely in themselves, and close to where it is sure.

    The second and third test keep weak syllables beside strong ones, but not a breath or a cough that stands alone.
    """
    out = np.zeros_like(may)
    for first, last in runs(bridge(may, _NEARBY, np.ones_like(may))):
        if sure[first:last].sum() < _MIN_SURE:
            continue
        for a, b in runs(may[first:last]):
            run = slice(first + a, first + b)
            out[run] = b - a >= _MIN_VOICED and likely[run].sum() >= _MIN_LIKELY
    return out


def bridge(flag: BoolArray, longest: int, allowed: BoolArray) -> BoolArray:
    """Fill gaps of up to ``longest`` frames between true frames where every frame of the gap is ``allowed``."""
    out = flag.copy()
    for (_, a), (b, _) in pairwise(runs(flag)):
        if b - a <= longest and allowed[a:b].all():
            out[a:b] = True
    return out


def _near(flag: BoolArray, reach: int) -> BoolArray:
    """True up to ``reach`` frames around true frames."""
    out = flag.copy()
    for k in range(1, reach + 1):
        out[k:] |= flag[:-k]
        out[:-k] |= flag[k:]
    return out
