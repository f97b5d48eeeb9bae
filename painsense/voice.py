"""Voice: sound -> a Track of pitch, periodicity, harmonics-to-noise ratio, level and loudness every 10 ms.

Only NumPy runs here. librosa would do for most of it, but it imports numba and scipy.signal: seconds before the first
number, where a ten-second clip is to be answered within four. ``tests/test_voice.py`` holds the measures against
librosa's instead.

Voice is what is periodic (:mod:`painsense.pitch`) *and* louder than the recording's own noise: a moan has both, though
speech detectors throw it away.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from painsense import pitch
from painsense.errors import MediaError
from painsense.tracks import BitArray, BoolArray, Column, FloatArray, Reason, TimeArray, Track, reason_index, runs

SAMPLE_RATE_HZ = pitch.SAMPLE_RATE_HZ
STEP_S = 0.010
HOP = 160  # samples in one step
MIN_DURATION_S = 0.05  # three periods of the lowest pitch

F0_LOW_HZ, F0_HIGH_HZ = 58.0, 1030.0  # groans reach down to 60 Hz, screams up to 1 kHz; and 3% to measure them with

_LOUDNESS_WINDOW = 320  # 20 ms
_LOUDNESS_FFT = 512
_LOUDNESS_BANDS = 26
_LOUDNESS_EXPONENT = 0.33
_LOUDNESS_SCALE = 4096.0  # divides power; puts the values on the scale of the published eGeMAPS figures

_CHUNK = 100  # frames analysed at a time, whatever the size of the blocks that come in
_CONTEXT = (pitch.WINDOW - HOP) // 2  # samples a frame needs on either side of its own hop

_GAP_S = 0.020  # a block that starts later than this after the end of the last one leaves a hole
_LONGEST_GAP_S = 24 * 3600.0
_DIGITAL_SILENCE_DBFS = -102.0  # below the last bit of 16-bit sound nothing was recorded
_FULL_SCALE = 0.999

# Gates. Strengths are heights of the compressed autocorrelation; how they were chosen stands in docs/voice.md.
_OFF_STRENGTH, _LIKELY_STRENGTH, _SURE_STRENGTH = 0.28, 0.38, 0.50
_ON_MARGIN_DB, _OFF_MARGIN_DB = 4.0, 2.0  # above the noise floor
_LOWEST_VOICE_DBFS = -65.0
_HELD_DB = 6.0
_MIN_VOICED, _MIN_LIKELY, _MIN_SURE = 5, 3, 4  # frames
_NEARBY, _BRIDGE = 15, 3  # frames between stretches of one utterance; frames bridged
_MIN_SNR_DB = 10.0
_TONE_FRAMES = 30  # 0.3 s
_TONE_DRIFT = 0.006  # relative, between the 5th and 95th percentile; hardly a larynx holds a pitch this still

_HERMANSKY = "Hermansky 1990, doi 10.1121/1.399423"
_BOERSMA = "Boersma 1993, Proc. Inst. Phonetic Sciences Amsterdam 17, 97-110"

COLUMNS = (
    Column(
        "f0_hz",
        "Hz",
        "pitch of the periodic sound (steady tones included); missing where there is none",
        F0_LOW_HZ,
        F0_HIGH_HZ,
        "autocorrelation of the compressed spectrum: Tolonen & Karjalainen 2000, doi 10.1109/89.876309; path through "
        "candidates: " + _BOERSMA,
    ),
    Column("voiced", "0/1", "1 where the sound is taken for a human voice, moans and cries included", 0.0, 1.0),
    Column(
        "periodicity",
        "1",
        "height of the normalised autocorrelation at the pitch period, all frequencies",
        0.0,
        1.0,
        _BOERSMA,
    ),
    Column(
        "hnr_db",
        "dB",
        "harmonics-to-noise ratio, 10 log10(r / (1 - r)) of the periodicity r; missing without a pitch",
        -30.0,
        50.0,
        _BOERSMA,
    ),
    Column("level_dbfs", "dBFS", "RMS level over 51 ms without DC; a sine at full scale has -3", -110.0, 15.0),
    Column(
        "loudness",
        "1",
        "sum over 26 mel bands (20-8000 Hz) of equal-loudness weighted power to the 0.33, as in eGeMAPS; depends on "
        "microphone and distance",
        0.0,
        None,
        f"Eyben et al. 2016, doi 10.1109/TAFFC.2015.2457417; {_HERMANSKY}",
    ),
)

REASONS = (
    Reason("no_audio", "the recording has no sound here"),
    Reason("silent", "digital silence, or nothing above the noise of the recording"),
    Reason("clipped", "the recording is overdriven here: level and loudness are too low"),
    Reason("low_snr", f"voice stands less than {_MIN_SNR_DB:.0f} dB above the noise of the recording"),
    Reason("steady_tone", "a tone too steady for a larynx: mains hum, an alarm, a device"),
    Reason("unvoiced", "sound without voice: breath, noise, consonants", blocking=False),
)

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Segment:
    """A stretch of one kind of sound, in seconds on the media clock."""

    start_s: float
    end_s: float
    kind: str


@dataclass(frozen=True)
class VoiceSummary:
    """A voice track in a few numbers; NaN where there was nothing to measure.

    ``audio_s`` seconds with sound on record; ``voiced_s`` with voice; ``usable_s`` voice without a blocking reason;
    ``snr_db`` voice above the noise floor, NaN when the recording has no pause to hear the noise in;
    ``clipped_share`` of the recorded time; pitch and loudness are of the usable voice, or of all voice when none is
    usable; ``hum`` a mains tone for at least a tenth of the recorded time.
    """

    audio_s: float
    voiced_s: float
    usable_s: float
    snr_db: float
    noise_floor_dbfs: float
    clipped_share: float
    silent_share: float
    steady_tone_s: float
    hum: bool
    f0_median_hz: float
    f0_p5_hz: float
    f0_p95_hz: float
    loudness_median: float
    level_median_dbfs: float
    hnr_median_db: float


def low_level(y: npt.ArrayLike, sr: float, start_s: float = 0.0) -> Track:
    """Measure a whole recording held in memory.

    Parameters
    ----------
    y : array [shape=(k,), or (k, channels) or (channels, k)], float with full scale 1, or integers
        NaN samples are holes in the recording. Channels are averaged; dead ones are left out.
    sr : sample rate in Hz; anything but 16 kHz is resampled
    start_s : time of the first sample on the media clock

    Returns
    -------
    Track with :data:`COLUMNS` and :data:`REASONS`, one sample every 10 ms at the middle of its 10 ms.

    Raises
    ------
    MediaError : less than 0.05 s of sound, an impossible sample rate, or an array that is no sound

    Examples
    --------
    >>> t = np.arange(16000) / 16000
    >>> track = low_level(0.1 * np.sin(2 * np.pi * 220 * t), 16000)
    >>> round(float(np.nanmedian(track.column("f0_hz"))))
    220
    """
    if not (np.isfinite(sr) and 1000 <= sr <= 768_000):
        raise MediaError(f"voice: the sample rate must be between 1000 and 768000 Hz, got {sr}; check how it was read")
    mono = _to_mono(y)
    if len(mono) < MIN_DURATION_S * sr:
        raise MediaError(
            f"voice: needs at least {MIN_DURATION_S} s of sound, got {len(mono) / sr:.3f} s; record longer, or score "
            "the face alone with --modalities face"
        )
    stream = VoiceStream()
    stream.push(start_s, _resample(mono, sr))
    return stream.finish()


class VoiceStream:
    """Measures sound that arrives in blocks; the same recording gives the same track whatever the blocks.

    Keeps about two seconds of sound and 30 bytes for every 10 ms, whatever the length of the recording.
    """

    def __init__(self) -> None:
        self._start_s: float | None = None
        self._received = 0  # samples so far, holes included
        self._buffer = np.empty(0, np.float32)  # begins with the context of the first frame
        self._waiting: list[FloatArray] = []
        self._waiting_samples = 0
        self._path = pitch.PitchPath()
        self._pitch: list[FloatArray] = []  # (n, 3): f0 [Hz], strength, periodicity
        self._sound: list[FloatArray] = []  # (n, 3): level [dBFS], loudness, peak
        self._flags: list[npt.NDArray[np.uint8]] = []
        self._finished = False

    def push(self, start_s: float, samples: npt.ArrayLike) -> None:
        """Add mono samples at 16 kHz that start at ``start_s`` on the media clock.

        A start up to 20 ms off the expected one is taken for rounding; later ones leave a hole (reason ``no_audio``),
        and of a block that overlaps what is there only the new part is used.
        """
        if self._finished:
            raise RuntimeError("voice: this stream is finished; begin a new one")
        block = np.asarray(samples, np.float32)
        if block.ndim != 1:
            raise ValueError(f"voice: a block is mono, shape (k,), got {block.shape}")
        if not len(block):
            return
        if self._start_s is None:
            self._start_s = float(start_s)
            self._buffer = np.full(_CONTEXT, block[0], np.float32)
        late_s = start_s - (self._start_s + self._received / SAMPLE_RATE_HZ)
        if late_s > _LONGEST_GAP_S:
            raise MediaError(
                f"voice: the sound's time stamps jump by {late_s:.0f} s at {start_s:.0f} s; the recording is damaged, "
                "copy it with ffmpeg to repair its time stamps"
            )
        if late_s > _GAP_S:
            hole = round(late_s * SAMPLE_RATE_HZ)
            piece = np.full(_CHUNK * HOP, np.nan, np.float32)
            for at in range(0, hole, len(piece)):
                self._take(piece[: hole - at])
        elif late_s < -_GAP_S:
            block = block[round(-late_s * SAMPLE_RATE_HZ) :]
        self._take(block)

    def finish(self) -> Track:
        """Decide what needs the whole recording (noise floor, voicing, signal-to-noise) and return the track. Once."""
        if self._finished:
            raise RuntimeError("voice: this stream is finished; begin a new one")
        self._finished = True
        self._gather()
        left = (len(self._buffer) - _CONTEXT) // HOP
        if left > 0:
            end = self._buffer[: _CONTEXT + left * HOP]
            self._analyse(np.append(end, np.full(_CONTEXT, end[-1])))  # held, so that DC makes no step
        self._keep(self._path.finish())
        pitched, sound = _columns(self._pitch, 3), _columns(self._sound, 3)
        flags = np.concatenate([np.empty(0, np.uint8), *self._flags])
        time_s: TimeArray = (self._start_s or 0.0) + (np.arange(len(flags), dtype=np.float64) + 0.5) * STEP_S
        values, bits = _decide(pitched, sound, flags)
        return Track("voice", COLUMNS, REASONS, time_s, values, bits)

    def _take(self, block: FloatArray) -> None:
        self._waiting.append(block)
        self._waiting_samples += len(block)
        self._received += len(block)
        if len(self._buffer) + self._waiting_samples < 2 * _CONTEXT + _CHUNK * HOP:
            return
        self._gather()
        while len(self._buffer) >= 2 * _CONTEXT + _CHUNK * HOP:
            self._analyse(self._buffer[: 2 * _CONTEXT + _CHUNK * HOP])
            self._buffer = self._buffer[_CHUNK * HOP :]

    def _gather(self) -> None:
        self._buffer = np.concatenate([self._buffer, *self._waiting])
        self._waiting, self._waiting_samples = [], 0

    def _analyse(self, y: FloatArray) -> None:
        """Frames of one chunk; ``y`` has the context of the first and last frame at its ends."""
        clean, missing = _fill_holes(y)
        frames = np.lib.stride_tricks.sliding_window_view(clean, pitch.WINDOW)[::HOP]  # (n, 816)
        level, candidates, tone = pitch.candidates(frames)
        quiet = level < _DIGITAL_SILENCE_DBFS
        margin = (pitch.WINDOW - _LOUDNESS_WINDOW) // 2
        hops = clean[_CONTEXT : len(clean) - _CONTEXT].reshape(-1, HOP)
        flat, peak = _overdriven(hops)
        loud = _loudness(frames[:, margin : margin + _LOUDNESS_WINDOW])
        self._sound.append(np.stack([np.where(quiet, np.nan, level), np.where(quiet, np.nan, loud), peak], axis=1))
        self._flags.append(missing * _MISSING + flat * _FLAT + tone)
        self._keep(self._path.push(candidates))

    def _keep(self, decided: FloatArray) -> None:
        if len(decided):
            self._pitch.append(decided)


def segments(track: Track, *, bridge_s: float = 0.2, min_s: float = 0.08) -> tuple[Segment, ...]:
    """Stretches of voice: pauses up to ``bridge_s`` are bridged, stretches under ``min_s`` of voice are dropped.

    Holes in the recording and steady tones always end a stretch.
    """
    voiced = track.column("voiced") == 1
    barrier = track.has_reason("no_audio") | track.has_reason("steady_tone")
    bridged = _bridge(voiced, round(bridge_s / STEP_S), ~barrier)
    half = STEP_S / 2
    return tuple(
        Segment(float(track.time_s[a] - half), float(track.time_s[b - 1] + half), "voice")
        for a, b in runs(bridged)
        if voiced[a:b].sum() * STEP_S >= min_s - 1e-9
    )


def summarise(track: Track) -> VoiceSummary:
    """The track in a few numbers, see :class:`VoiceSummary`."""
    f0, level, voiced = track.column("f0_hz"), track.column("level_dbfs"), track.column("voiced") == 1
    on_record = ~track.has_reason("no_audio")
    audio_s = float(on_record.sum() * STEP_S)
    tone = track.has_reason("steady_tone")
    usable = voiced & track.valid
    of_voice = usable if usable.any() else voiced
    floor = _noise_floor(level[~voiced])

    def quantile(name: str, percent: float) -> float:
        values = track.column(name)[of_voice]
        values = values[np.isfinite(values)]
        return float(np.percentile(values, percent)) if len(values) else float("nan")

    def share(flag: BoolArray) -> float:
        return float(flag[on_record].mean()) if audio_s else float("nan")

    return VoiceSummary(
        audio_s=audio_s,
        voiced_s=float(voiced.sum() * STEP_S),
        usable_s=float(usable.sum() * STEP_S),
        snr_db=_signal_to_noise(level[voiced], floor),
        noise_floor_dbfs=floor,
        clipped_share=share(track.has_reason("clipped")),
        silent_share=share(track.has_reason("silent")),
        steady_tone_s=float(tone.sum() * STEP_S),
        hum=bool(audio_s) and share(tone & (_is_mains(f0) | np.isnan(f0))) >= 0.1,  # 50 Hz lies below the pitch range
        f0_median_hz=quantile("f0_hz", 50),
        f0_p5_hz=quantile("f0_hz", 5),
        f0_p95_hz=quantile("f0_hz", 95),
        loudness_median=quantile("loudness", 50),
        level_median_dbfs=quantile("level_dbfs", 50),
        hnr_median_db=quantile("hnr_db", 50),
    )


# --- one frame at a time ----------------------------------------------------------------------------------------------

_MISSING, _FLAT = np.uint8(1), np.uint8(2)  # bits of a frame's flags, beside those of pitch.py


def _mel(hz: Array) -> Array:
    return 1127 * np.log1p(hz / 700)


def _loudness_weights() -> FloatArray:
    """Triangular mel bands times equal loudness (Hermansky 1990), ndarray [shape=(257, 26)]."""
    hz = np.fft.rfftfreq(_LOUDNESS_FFT, 1 / SAMPLE_RATE_HZ)
    edges = np.linspace(_mel(np.array(20.0)), _mel(np.array(8000.0)), _LOUDNESS_BANDS + 2)
    position = (_mel(hz)[:, None] - edges[1:-1]) / (edges[1] - edges[0])
    centre_hz = 700 * np.expm1(edges[1:-1] / 1127)
    square = (2 * np.pi * centre_hz) ** 2
    equal_loudness = (square + 56.8e6) * square**2 / ((square + 6.3e6) ** 2 * (square + 0.38e9))
    return np.asarray(np.clip(1 - np.abs(position), 0, None) * equal_loudness / _LOUDNESS_SCALE, np.float32)


_LOUDNESS_WEIGHTS = _loudness_weights()
_HAMMING = np.hamming(_LOUDNESS_WINDOW).astype(np.float32)


def _loudness(frames: FloatArray) -> FloatArray:
    """Loudness of each 20 ms frame, [shape=(n, 320)] -> [shape=(n,)]."""
    x = (frames - frames.mean(axis=1, keepdims=True)) * _HAMMING
    spectrum = np.fft.rfft(x, _LOUDNESS_FFT, axis=1)
    bands = (np.square(spectrum.real) + np.square(spectrum.imag)) @ _LOUDNESS_WEIGHTS
    return np.asarray((bands ** np.float32(_LOUDNESS_EXPONENT)).sum(axis=1), np.float32)


def _overdriven(hops: FloatArray) -> tuple[BoolArray, FloatArray]:
    """Where the wave is cut flat, and the peak: ndarrays [shape=(n,)] of hops [shape=(n, 160)].

    Flat: four samples at full scale, or a run of four equal samples at the hop's own peak (a recording that was
    overdriven and turned down afterwards).
    """
    size = np.abs(hops)
    peak = size.max(axis=1)
    same = (np.abs(np.diff(hops, axis=1)) <= 1e-6) & (size[:, 1:] >= 0.999 * peak[:, None])
    run = same[:, 2:] & same[:, 1:-1] & same[:, :-2]
    flat = run.any(axis=1) & (np.ptp(hops, axis=1) > 0.1 * peak)
    return flat | ((size >= _FULL_SCALE).sum(axis=1) >= 4), peak


def _fill_holes(y: FloatArray) -> tuple[FloatArray, BoolArray]:
    """Holes (NaN, infinity) bridged by straight lines, and which hops are mostly hole; y has context at both ends."""
    bad = ~np.isfinite(y)
    hops = bad[_CONTEXT : len(y) - _CONTEXT].reshape(-1, HOP)
    missing = hops.mean(axis=1) > 0.5
    if bad.all():
        return np.zeros_like(y), missing
    if bad.any():
        index = np.arange(len(y))
        y = np.where(bad, np.interp(index, index[~bad], y[~bad]).astype(np.float32), y)
    return np.clip(y, -4, 4), missing  # nothing recorded is 12 dB over full scale; keeps squares finite


# --- the whole recording ----------------------------------------------------------------------------------------------


def _decide(pitched: FloatArray, sound: FloatArray, flags: npt.NDArray[np.uint8]) -> tuple[FloatArray, BitArray]:
    """Values and reasons from the measures of all frames."""
    f0, strength, periodicity = pitched
    level, loudness, peak = sound
    missing = (flags & _MISSING) != 0
    for column in (f0, periodicity, level, loudness):
        column[missing] = np.nan
    dead = np.isnan(level)
    strength[dead] = 0
    periodicity[dead] = np.nan

    tone = _steady_tones(f0, strength, level, flags)
    floor = _noise_floor(level[(strength < _OFF_STRENGTH) | tone])
    gate = np.fmax(floor, _LOWEST_VOICE_DBFS - _ON_MARGIN_DB)
    loud = np.nan_to_num(level, nan=-np.inf)
    in_range = (f0 >= F0_LOW_HZ) & (f0 <= F0_HIGH_HZ) & ~tone
    may = in_range & (strength >= _OFF_STRENGTH) & (loud >= gate + _OFF_MARGIN_DB)
    likely = may & (strength >= _LIKELY_STRENGTH) & (loud >= gate + _ON_MARGIN_DB)
    sure = likely & (strength >= _SURE_STRENGTH) & _held(level)
    voiced = _voiced_runs(may & ~(_leaps(f0) & ~likely), likely, sure)  # a clear voice may break into another octave
    voiced = _bridge(voiced, _BRIDGE, in_range & (loud >= gate + _OFF_MARGIN_DB))

    silent = dead | (~voiced & ~tone & (loud <= np.fmax(floor + _OFF_MARGIN_DB, _LOWEST_VOICE_DBFS)))
    overdriven = ((flags & _FLAT) != 0) & (peak >= 0.98 * min(peak.max(initial=0), 1.0)) & (peak > 0.1)
    clipped = _near(overdriven, 2)  # as far as the windows reach
    snr_db = _signal_to_noise(level[voiced], _noise_floor(level[~voiced]))
    reasons = {
        "no_audio": missing,
        "silent": silent & ~missing,
        "clipped": clipped & ~dead,
        "low_snr": voiced & (snr_db < _MIN_SNR_DB),
        "steady_tone": tone,
        "unvoiced": ~voiced & ~silent & ~tone & ~missing,
    }
    bits = np.zeros(len(f0), np.uint32)
    for code, where in reasons.items():
        bits |= where.astype(np.uint32) << np.uint32(reason_index(REASONS, code))

    f0[~(voiced | (tone & (f0 >= F0_LOW_HZ)))] = np.nan
    r = np.clip(periodicity, np.float32(0.001), np.float32(0.99999))
    values = np.empty((len(f0), len(COLUMNS)), np.float32)
    values[:, 0], values[:, 2], values[:, 4], values[:, 5] = f0, periodicity, level, loudness
    values[:, 1] = np.where(missing, np.float32(np.nan), voiced)
    values[:, 3] = np.where(np.isnan(f0), np.float32(np.nan), 10 * np.log10(r / (1 - r)))
    return values, bits


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
            mains = bool(_is_mains(middle)) and np.mean((flags[piece] & pitch.LOW) != 0) > 0.9
            still = high - low <= _TONE_DRIFT * (2.5 if middle < 62 else 1.0) * middle  # the lowest are measured worst
            tone[piece] = still and (pure or mains)
    return tone


def _is_mains(f0: npt.ArrayLike) -> BoolArray:
    """50 or 60 Hz within 2.5% (51 ms tell no better), or one of the next multiples within 0.7%."""
    hz = np.asarray(f0, np.float64)
    near = [np.abs(hz / (base * k) - 1) < (0.025 if k == 1 else 0.007) for base in (50.0, 60.0) for k in range(1, 7)]
    return np.asarray(np.any(near, axis=0))


def _noise_floor(level_dbfs: FloatArray) -> float:
    """10th percentile of the levels of frames without voice; NaN with less than 0.1 s of them."""
    level_dbfs = level_dbfs[np.isfinite(level_dbfs)]
    return float(np.percentile(level_dbfs, 10)) if len(level_dbfs) >= 10 else float("nan")


def _signal_to_noise(level_dbfs: FloatArray, floor_dbfs: float) -> float:
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
    for first, last in runs(_bridge(may, _NEARBY, np.ones_like(may))):
        if sure[first:last].sum() < _MIN_SURE:
            continue
        for a, b in runs(may[first:last]):
            run = slice(first + a, first + b)
            out[run] = b - a >= _MIN_VOICED and likely[run].sum() >= _MIN_LIKELY
    return out


def _bridge(flag: BoolArray, longest: int, allowed: BoolArray) -> BoolArray:
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


def _columns(parts: list[FloatArray], width: int) -> FloatArray:
    """Rows piled up and turned, [shape=(width, n)]; empties ``parts``, for an hour of them need not exist twice."""
    out = np.concatenate([np.empty((width, 0), np.float32), *(part.T for part in parts)], axis=1)
    parts.clear()
    return out


# --- what comes in ----------------------------------------------------------------------------------------------------


def _to_mono(y: npt.ArrayLike) -> FloatArray:
    array = np.asarray(y)
    if array.dtype.kind in "iu":
        info = np.iinfo(array.dtype)
        offset = (info.max + 1) // 2 if array.dtype.kind == "u" else 0
        array = (array.astype(np.float64) - offset) / (-float(info.min) if offset == 0 else offset)
    if array.dtype.kind != "f" or array.ndim not in (1, 2):
        raise MediaError(
            f"voice: sound is an array of numbers with shape (k,) or (k, channels), got {array.dtype} {array.shape}"
        )
    if array.ndim == 1:
        return array.astype(np.float32)
    channels = array.T if array.shape[0] > array.shape[1] else array  # (channels, k): sound is longer than it is wide
    finite = np.where(np.isfinite(channels), channels, 0.0)
    rms = np.sqrt(np.mean(np.square(finite - finite.mean(axis=1, keepdims=True)), axis=1)) if channels.size else []
    live = np.flatnonzero(np.asarray(rms) > 1e-4 * max(np.max(rms, initial=0.0), 1e-9))
    if not len(live):
        return channels[:1].reshape(-1).astype(np.float32)
    mixed = channels[live].mean(axis=0)
    cancelled = np.std(finite[live].mean(axis=0)) < 0.3 * np.max(rms)  # a channel wired the wrong way round
    return np.asarray(channels[int(np.argmax(rms))] if cancelled else mixed, np.float32)


def _resample(y: FloatArray, sr: float) -> FloatArray:
    """To 16 kHz; holes stay holes."""
    if sr == SAMPLE_RATE_HZ:
        return y
    from scipy.signal import resample_poly  # takes long to import, and media.py delivers 16 kHz

    ratio = Fraction(SAMPLE_RATE_HZ / sr).limit_denominator(1000)
    bad = ~np.isfinite(y)
    out = np.asarray(resample_poly(np.where(bad, 0, y), ratio.numerator, ratio.denominator), np.float32)
    if bad.any():
        source = np.minimum((np.arange(len(out)) * (sr / SAMPLE_RATE_HZ)).astype(np.intp), len(y) - 1)
        out[bad[source]] = np.nan
    return out
