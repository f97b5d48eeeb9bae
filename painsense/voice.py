"""Voice: sound -> a Track of 38 measures every 10 ms, from pitch and level to glottal periods and formants.

What needs one short frame only (level, spectrum, pitch candidates) is measured as the sound comes in; what needs the
pitch (:mod:`painsense.voice_periods`, :mod:`painsense.voice_formants`) when the pitch is decided, in blocks of 3 s;
what is voice at all (:mod:`painsense.voice_gates`) at the end, when the recording's own noise is known.

NumPy and scipy.fft do it. librosa would do for some of it, but it imports numba: seconds before the first number, where
a ten-second clip is to be answered within four. ``tests/test_voice_reference.py`` holds its pitch against
librosa's, ``tests/test_voice_spectrum.py`` its cepstrum.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from painsense import pitch, voice_formants, voice_gates, voice_periods, voice_spectrum
from painsense.errors import MediaError
from painsense.tracks import BoolArray, Column, FloatArray, TimeArray, Track, reason_index
from painsense.voice_gates import F0_HIGH_HZ, F0_LOW_HZ, REASONS

if TYPE_CHECKING:
    from painsense.voice_segments import Segment

SAMPLE_RATE_HZ = pitch.SAMPLE_RATE_HZ
STEP_S = 0.010
HOP = pitch.HOP  # samples in one step
MIN_DURATION_S = 0.05  # three periods of the lowest pitch

_REACH = voice_periods.REACH
_HNR = voice_periods.NAMES.index("hnr_db")
_CHUNK = 100  # frames analysed at a time, whatever the size of the blocks that come in
_BLOCK = 300  # frames of the second stage at a time: each looks at _REACH frames on either side anew
_CONTEXT = (pitch.WINDOW - HOP) // 2  # samples a frame needs on either side of its own hop

_GAP_S = 0.020  # a block that starts later than this after the end of the last one leaves a hole
_LONGEST_GAP_S = 24 * 3600.0
_FULL_SCALE = 0.999

_BOERSMA = "Boersma 1993, Proc. Inst. Phonetic Sciences Amsterdam 17, 97-110"

_FIRST = (
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
    next(column for column in voice_periods.COLUMNS if column.name == "hnr_db"),
    Column("level_dbfs", "dBFS", "RMS level over 51 ms without DC; a sine at full scale has -3", -110.0, 15.0),
    voice_spectrum.COLUMNS[0],
)

_PITCH = (
    Column(
        "f0_semitone",
        "semitones",
        "12 log2(f0_hz / 27.5): the pitch as the ear counts it; missing where f0_hz is",
        12.0,
        63.0,
        "scale of eGeMAPS: Eyben et al. 2016, doi 10.1109/TAFFC.2015.2457417",
    ),
    Column(
        "voicing_probability",
        "1",
        "how likely the frame is voice by its periodicity alone; a value everywhere but in digital silence",
        0.0,
        1.0,
        "logistic of the pitch candidate's height, fitted to generated voices and noises: docs/voice.md",
    ),
)
_IN_VOICE = (*(c for c in voice_periods.COLUMNS if c.name != "hnr_db"), *voice_formants.COLUMNS)

#: every measure, in the order of the track's values
COLUMNS = (*_FIRST, *_PITCH, *voice_spectrum.COLUMNS[1:], *_IN_VOICE)
_NAMES = tuple(column.name for column in COLUMNS)

Array = npt.NDArray[Any]


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

    Keeps about five seconds of sound and 150 bytes for every 10 ms, whatever the length of the recording.
    """

    def __init__(self) -> None:
        self._start_s: float | None = None
        self._received = 0  # samples so far, holes included
        self._buffer = np.empty(0, np.float32)  # begins with the context of the first frame
        self._waiting: list[FloatArray] = []
        self._waiting_samples = 0
        self._path = pitch.PitchPath()
        self._pitch: list[FloatArray] = []  # (n, 3): f0 [Hz], strength, periodicity
        self._sound: list[FloatArray] = []  # (n, 2 + k): level [dBFS], peak, columns of the spectrum
        self._flags: list[npt.NDArray[np.uint8]] = []
        self._in_voice = _InVoice()
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
        in_voice = self._in_voice.finish()
        f0, strength, periodicity = _columns(self._pitch, 3)
        level, peak, *spectrum = _columns(self._sound, 2 + len(voice_spectrum.COLUMNS))
        flags = np.concatenate([np.empty(0, np.uint8), *self._flags])
        periodicity[np.isnan(level)] = np.nan
        decision = voice_gates.decide(f0, strength, level, peak, flags)

        values = np.full((len(flags), len(COLUMNS)), np.nan, np.float32)
        values[:, _NAMES.index("f0_hz")] = decision.f0_hz
        values[:, _NAMES.index("voiced")] = np.where(decision.reasons["no_audio"], np.float32(np.nan), decision.voiced)
        values[:, _NAMES.index("periodicity")] = periodicity
        values[:, _NAMES.index("level_dbfs")] = level
        for column, measured in zip(voice_spectrum.COLUMNS, spectrum, strict=True):
            values[:, _NAMES.index(column.name)] = measured
        values[:, _NAMES.index("f0_semitone")] = 12 * np.log2(decision.f0_hz / 27.5)
        values[:, _NAMES.index("voicing_probability")] = voice_gates.voicing_probability(strength, level)
        pitched = np.isfinite(decision.f0_hz)
        at = 0
        for rows in in_voice:
            part = slice(at, at + len(rows))
            where = at + np.flatnonzero(pitched[part])
            values[where, _NAMES.index("hnr_db")] = rows[where - at, _HNR]
            where = at + np.flatnonzero(decision.voiced[part])
            values[where, -len(_IN_VOICE) :] = np.delete(rows, _HNR, axis=1)[where - at]
            at += len(rows)
        reasons = {
            **decision.reasons,
            "irregular": decision.voiced & np.isnan(values).any(axis=1),
        }
        bits = np.zeros(len(flags), np.uint32)
        for code, stands in reasons.items():
            bits |= stands.astype(np.uint32) << np.uint32(reason_index(REASONS, code))
        time_s: TimeArray = (self._start_s or 0.0) + (np.arange(len(flags), dtype=np.float64) + 0.5) * STEP_S
        return Track("voice", COLUMNS, REASONS, time_s, values, bits)

    def so_far(self, last_s: float) -> Track:
        """The track as if the sound ended here, its last ``last_s`` seconds and up to three more; the stream goes on.

        What is voice is decided by what these seconds hold alone, so it may be decided otherwise at the end.
        """
        wanted = max(0.0, sum(map(len, self._flags)) - last_s / STEP_S)
        first = min(int(wanted) // _BLOCK, self._in_voice.blocks) * _BLOCK  # a border of the pieces of both stages
        ends = copy.copy(self)
        ends._path, ends._in_voice = copy.deepcopy(self._path), self._in_voice.copy(first // _BLOCK)
        ends._waiting, ends._flags = list(self._waiting), self._flags[first // _CHUNK :]
        ends._sound, ends._pitch = self._sound[first // _CHUNK :], []
        needed = sum(map(len, self._pitch)) - first
        for part in reversed(self._pitch):
            if needed <= 0:
                break
            ends._pitch.insert(0, part[-needed:])
            needed -= len(part)
        if self._start_s is not None:
            ends._start_s = self._start_s + first * STEP_S
        return ends.finish()

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
        frames = pitch.windows(clean, pitch.WINDOW)[::HOP]  # (n, 816)
        level, candidates, tone = pitch.candidates(frames)
        quiet = level < voice_spectrum.SILENCE_DBFS
        hops = clean[_CONTEXT : len(clean) - _CONTEXT].reshape(-1, HOP)
        flat, peak = _overdriven(hops)
        near = _CONTEXT - voice_spectrum.CONTEXT
        spectrum = voice_spectrum.measure(clean[near : len(clean) - near])
        spectrum[quiet | missing] = np.nan
        level = np.where(quiet | missing, np.float32(np.nan), level)
        self._sound.append(np.concatenate([level[:, None], peak[:, None], spectrum], axis=1))
        self._flags.append(missing * voice_gates.MISSING + flat * voice_gates.FLAT + tone)
        self._in_voice.hear(hops, np.nan_to_num(level, nan=-np.inf))
        self._keep(self._path.push(candidates))

    def _keep(self, decided: FloatArray) -> None:
        if len(decided):
            self._pitch.append(decided)
            self._in_voice.follow(decided)


class _InVoice:
    """The second stage: what is measured where a pitch was decided, from sound that is still kept."""

    def __init__(self) -> None:
        self._sound = np.zeros(_REACH * HOP, np.float32)  # begins _REACH frames before the next frame to measure
        self._level = np.full(_REACH, -np.inf, np.float32)
        self._f0 = np.full(_REACH, np.nan, np.float32)
        self._rows: list[FloatArray] = []

    @property
    def blocks(self) -> int:
        """How many blocks are measured."""
        return len(self._rows)

    def copy(self, first: int) -> _InVoice:
        """One that goes its own way from here, without the measures of the first blocks."""
        other = copy.copy(self)
        other._rows = self._rows[first:]
        return other

    def hear(self, hops: FloatArray, level_dbfs: FloatArray) -> None:
        """More sound, ``hops`` [shape=(n, 160)], -inf where nothing was recorded."""
        self._sound = np.concatenate([self._sound, hops.reshape(-1)])
        self._level = np.concatenate([self._level, level_dbfs])

    def follow(self, decided: FloatArray) -> None:
        """More pitch, ``decided`` [shape=(n, 3)]; frames that have all they need are measured."""
        level = self._level[len(self._f0) : len(self._f0) + len(decided)]
        may = voice_gates.may_be_voice(decided[:, 0], decided[:, 1], level)
        self._f0 = np.concatenate([self._f0, np.where(may, decided[:, 0], np.float32(np.nan))])
        while len(self._f0) >= _BLOCK + 2 * _REACH:
            self._measure(_BLOCK)

    def finish(self) -> list[FloatArray]:
        """The measures of all frames, in pieces [shape=(n, columns of both files)]."""
        rest = len(self._f0) - _REACH
        self._f0 = np.concatenate([self._f0, np.full(_REACH, np.nan, np.float32)])
        self._sound = np.concatenate([self._sound, np.zeros(_REACH * HOP, np.float32)])
        if rest > 0:
            self._measure(rest)
        return self._rows

    def _measure(self, n: int) -> None:
        y, f0 = self._sound[: (n + 2 * _REACH) * HOP], self._f0[: n + 2 * _REACH]
        near = (_REACH - voice_formants.REACH) * HOP
        periods = voice_periods.measure(y, f0)
        formants = voice_formants.measure(y[near : len(y) - near], f0[_REACH:-_REACH])
        self._rows.append(np.concatenate([periods, formants], axis=1))
        self._sound, self._level, self._f0 = self._sound[n * HOP :], self._level[n:], self._f0[n:]


def functionals(y: npt.ArrayLike, sr: float) -> dict[str, float]:
    """Summaries of a whole recording, see :mod:`painsense.voice_functionals`; arguments and errors as in `low_level`.

    Examples
    --------
    >>> t = np.arange(16000) / 16000
    >>> found = functionals(0.1 * np.sin(2 * np.pi * 220 * (t + 0.001 * np.sin(30 * t))), 16000)
    >>> round(found["f0_median_hz"])
    220
    """
    from painsense import voice_functionals

    return voice_functionals.of_track(low_level(y, sr))


def segments(y: npt.ArrayLike, sr: float, start_s: float = 0.0) -> tuple[Segment, ...]:
    """Kinds of sound in a recording, see :mod:`painsense.voice_segments`; arguments and errors as in `low_level`.

    Examples
    --------
    >>> segments(np.zeros(16000), 16000)
    (Segment(start_s=0.0, end_s=1.0, kind='silence'),)
    """
    from painsense import voice_segments

    return voice_segments.of_track(low_level(y, sr, start_s))


def summarise(track: Track) -> VoiceSummary:
    """The track in a few numbers, see :class:`VoiceSummary`."""
    f0, level, voiced = track.column("f0_hz"), track.column("level_dbfs"), track.column("voiced") == 1
    on_record = ~track.has_reason("no_audio")
    audio_s = float(on_record.sum() * STEP_S)
    tone = track.has_reason("steady_tone")
    usable = voiced & track.valid
    of_voice = usable if usable.any() else voiced
    floor = voice_gates.noise_floor(level[~voiced])

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
        snr_db=voice_gates.signal_to_noise(level[voiced], floor),
        noise_floor_dbfs=floor,
        clipped_share=share(track.has_reason("clipped")),
        silent_share=share(track.has_reason("silent")),
        steady_tone_s=float(tone.sum() * STEP_S),
        hum=bool(audio_s)
        and share(tone & (voice_gates.is_mains(f0) | np.isnan(f0))) >= 0.1,  # 50 Hz lies below the pitch range
        f0_median_hz=quantile("f0_hz", 50),
        f0_p5_hz=quantile("f0_hz", 5),
        f0_p95_hz=quantile("f0_hz", 95),
        loudness_median=quantile("loudness", 50),
        level_median_dbfs=quantile("level_dbfs", 50),
        hnr_median_db=quantile("hnr_db", 50),
    )


# --- one frame at a time ----------------------------------------------------------------------------------------------


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
