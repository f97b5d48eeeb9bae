"""Live frames and sound -> what face and voice show right now, and at the end the same Report a recording gets.

Three paces: a :class:`Moment` for each frame, a :class:`LiveWindow` every half second, a Report at the end. Frames and
sound may come from two threads, so that neither waits for the other.
"""

from __future__ import annotations

import dataclasses
import math
import threading
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from painsense import (
    action_units,
    baseline,
    coach,
    face,
    fusion,
    verdict,
    voice_rest,
    voice_segments,
    windows,
)
from painsense.assemble import assemble, observe, score
from painsense.baseline import Baseline
from painsense.coach import Advice
from painsense.follow import Follower, collect
from painsense.landmarks import Image, thread_networks
from painsense.media import SAMPLE_RATE_HZ
from painsense.pipeline import NO_NEUTRAL, Analyzer
from painsense.report import BaselineStamp, MediaSummary, Report, Window
from painsense.scoring import Course
from painsense.tracks import FloatArray, Track, sample_period_s
from painsense.voice import STEP_S as FRAME_S
from painsense.voice import VoiceStream
from painsense.voice_rest import LIMITS, Rest
from painsense.voice_segments import Segment
from painsense.windows import LENGTH_S, STEP_S, Windows

LOOK_BACK_S = 1.0  # long enough to tell closed eyes from a blink
SEEN_S = fusion.CONTEXT_S + LOOK_BACK_S  # face that a window looks at
HEARD_S = 10.0  # sound that a window looks at: what is voice is decided by the noise beside it
WAIT_S = 0.5  # how far face or voice may lag before a window goes without it
BLOCK = 512  # frames kept together: an hour is no heap of small objects
REST_S = 8.0  # usable face that a rest phase should hold
SOURCE = "live rest phase"
LEAST_VOICE_S = 0.1  # in half a second; less has no pitch to speak of
CHANGES = ("f0_change_semitones", "loudness_change_db")  # of :data:`painsense.fusion.VOICE`


@dataclass(frozen=True)
class Moment:
    """What one live frame shows.

    ``pspi``, ``low`` and ``high`` are None and ``action_units`` empty where the frame cannot be used; ``reasons`` say
    why. ``moving``: the head moves too much to take a neutral.
    """

    time_s: float
    valid: bool
    reasons: tuple[str, ...]
    pspi: float | None
    low: float | None
    high: float | None
    action_units: dict[str, float]
    face_px: float | None
    pose_deg: tuple[float, float, float] | None
    moving: bool


@dataclass(frozen=True)
class LiveVoice:
    """The voice in one window, against the voice at rest; None where it was not measured or cannot be compared.

    Attributes
    ----------
    against : "rest_clip" (the rest phase) or "recording" (the voice so far); None before there is any to compare with
    f0_hz, f0_change_semitones : pitch
    loudness_change_db : there is no absolute loudness, see :mod:`painsense.voice_rest`
    sound : kind of sound in the last half second, see :data:`painsense.voice_segments.KINDS`
    reasons : codes of what stands against the sound
    """

    against: str | None
    f0_hz: float | None
    f0_change_semitones: float | None
    loudness_change_db: float | None
    sound: str | None
    reasons: tuple[str, ...]


@dataclass(frozen=True)
class LiveWindow:
    """What the last two seconds show.

    Attributes
    ----------
    result : score, PSPI, their intervals, weights and reasons, as in a report
    score_reason : code of why there is no score; None where there is one
    action_units : mean intensities over the usable face; empty with too little of it
    voice : None without sound
    """

    result: Window
    score_reason: str | None
    action_units: dict[str, float]
    voice: LiveVoice | None


class Live:
    """One person in front of a camera. Made by :meth:`painsense.Analyzer.live`.

    Make it and call :meth:`frame` in one thread, whose networks it uses; the rest may be called from any other, so that
    sound need not wait for pictures. Frames cost one landmark run each. Until :meth:`take_neutral` was called the face
    is compared with the average face. Only numbers are kept, never pictures or sound: about 3 MB a minute. The face
    networks always run on LiteRT here.

    Examples
    --------
    >>> live = analyzer.live()                                                             # doctest: +SKIP
    >>> moment = live.frame(image, time_s)     # RGB, not mirrored                         # doctest: +SKIP
    >>> live.sound(samples, start_s)           # 16 kHz mono                               # doctest: +SKIP
    >>> window = live.window()                 # None, or a new one every half second      # doctest: +SKIP
    >>> report = live.finish()                                                             # doctest: +SKIP
    """

    def __init__(self, analyzer: Analyzer) -> None:
        self._analyzer = analyzer
        action_units.estimator(analyzer.settings.provider)  # loads it now, so that the first frame is not late
        self._networks = thread_networks(analyzer.settings.face_model)
        self._follower = Follower(self._networks, analyzer.settings.person)
        self._size_px = (0, 0)
        self._neutral: Baseline | None = None
        self._looking, self._listening = threading.Lock(), threading.Lock()
        self._kept: list[Track] = []  # blocks of rows, then ...
        self._open: list[Track] = []  # ... single rows
        self._recent: deque[Track] = deque()  # rows of the last SEEN_S
        self._rest_s = 0.0
        self._voice: VoiceStream | None = None
        self._heard_until_s = -math.inf
        self._loud_at_s = -math.inf  # when anything was last heard
        self._own_voice: list[tuple[float, ...]] = []  # of half seconds: voice [s], its pitch [semitones], loudness
        self._sound_reasons: tuple[str, ...] = ()
        self._given = 0  # windows so far

    def frame(self, image: Image, time_s: float) -> Moment:
        """Look at the next frame.

        Parameters
        ----------
        image : ndarray [shape=(h, w, 3), uint8], RGB, not mirrored
        time_s : when it was taken, in seconds; must rise
        """
        if self._recent and time_s <= self._recent[-1].time_s[0]:
            raise ValueError(f"live: time must rise, got {time_s:.3f} s after {self._recent[-1].time_s[0]:.3f} s")
        self._size_px = (image.shape[1], image.shape[0])
        seen = collect([self._follower.step(image, time_s)])
        row = face.measure(seen, self._networks.canonical, self._analyzer.settings.person)
        with self._looking:
            self._keep(row)
            near = _joined([each for each in self._recent if time_s - each.time_s[0] <= LOOK_BACK_S])
        track = action_units.estimate_track(near, self._neutral, provider=self._analyzer.settings.provider)
        return _moment(track, coach.moving(near))

    def sound(self, samples: FloatArray, start_s: float) -> None:
        """Hear the next block: ndarray [shape=(k,), float32], 16 kHz mono, its first sample at ``start_s``."""
        with self._listening:
            if self._voice is None:
                self._voice = VoiceStream()
                self._loud_at_s = start_s
            self._voice.push(start_s, samples)
            self._heard_until_s = max(self._heard_until_s, start_s + len(samples) / SAMPLE_RATE_HZ)
            if len(samples) and np.abs(samples).max() >= coach.LEAST_PEAK:
                self._loud_at_s = self._heard_until_s

    @property
    def rest_s(self) -> float:
        """Seconds of face so far that are good enough for a neutral; a rest phase should hold :data:`REST_S`."""
        return self._rest_s

    @property
    def neutral(self) -> Baseline | None:
        """The neutral that was taken."""
        return self._neutral

    def take_neutral(self) -> Baseline:
        """Make face and voice so far the person's neutral. BaselineError when too little of the face was usable."""
        voice = self._heard(math.inf)
        with self._looking:
            raw = self._rows()
        at_rest = voice_rest.at_rest(voice) if voice is not None else None
        self._neutral = baseline.from_rest(raw, SOURCE, at_rest, self._analyzer.face_sha256)
        return self._neutral

    def window(self) -> LiveWindow | None:
        """The newest window that has come to its end and was not given yet; None when there is none.

        Windows of 2 s end every half second. One that nobody asked for in time is left out here, not in the report.
        """
        with self._looking:
            recent = list(self._recent)
        clocks = [recent[-1].time_s[0]] if recent else []
        clocks += [self._heard_until_s] if self._voice is not None else []
        reached_s = max(min(clocks), max(clocks) - WAIT_S) if clocks else 0.0
        number = math.floor((reached_s - LENGTH_S) / STEP_S + 1e-6) + 1
        if number <= self._given:
            return None
        self._given = number
        start_s = (number - 1) * STEP_S
        grid = Windows(np.array([start_s]), np.array([start_s + LENGTH_S]))
        return self._window(_joined(recent) if recent else None, self._heard(HEARD_S), grid)

    def advice(self) -> tuple[Advice, ...]:
        """What the person can do now so that face and voice can be measured, the first thing first."""
        with self._looking:
            recent = list(self._recent)
        codes = set(self._sound_reasons)
        if recent:
            raw = _joined(recent)
            end_s = float(raw.time_s[-1])
            codes |= set(_standing(raw, end_s - STEP_S, end_s + STEP_S, 0.5))
            codes |= {coach.MOVING} if coach.moving(raw) else set()
            last = raw.time_s[raw.time_s > end_s - LENGTH_S]
            if end_s - raw.time_s[0] >= LENGTH_S and len(last) < verdict.LEAST_FPS * LENGTH_S:
                codes.add(coach.TOO_SLOW)
        if self._heard_until_s - self._loud_at_s > coach.UNHEARD_S:
            codes.add(coach.UNHEARD)
        return coach.advise(codes)

    def finish(self) -> Report:
        """The report on everything seen and heard. Once."""
        raw = self._rows(last=True) if self._kept or self._open else None
        voice = self._voice.finish() if self._voice else None
        neutral, stamp, doubts = self._compared_with(raw)
        at_rest = Rest(neutral.kind, neutral.source, neutral.voice) if neutral and neutral.kind == "rest_clip" else None
        times = raw.time_s if raw is not None else np.zeros(0)
        period = sample_period_s(times)
        summed = MediaSummary(
            file="live",
            sha256=None,
            duration_s=float(times[-1] + period) if len(times) else 0.0,
            frames=len(times),
            fps=1 / period if period else None,
            width=self._size_px[0] or None,
            height=self._size_px[1] or None,
            rotation_deg=0,
            has_audio=voice is not None,
            audio_start_s=float(voice.time_s[0]) if voice is not None and len(voice) else None,
        )
        analyzer = self._analyzer
        return assemble(
            summed,
            analyzer.software(),
            analyzer.settings.modalities,
            observe(raw, voice, neutral, analyzer.settings.provider, at_rest),
            analyzer.fusion,
            stamp,
            doubts,
        )

    # ---- what is kept

    def _keep(self, row: Track) -> None:
        if self._recent:
            step_s = float(row.time_s[0] - self._recent[-1].time_s[0])
            self._rest_s += min(step_s, STEP_S) if baseline.shows_rest(row)[0] else 0.0
        self._recent.append(row)
        while row.time_s[0] - self._recent[0].time_s[0] > SEEN_S:
            self._recent.popleft()
        self._open.append(row)
        if len(self._open) == BLOCK:
            self._kept.append(face.join(self._open))
            self._open = []

    def _rows(self, last: bool = False) -> Track:
        """Everything seen so far. ``last`` lets go of it on the way: an hour of it need not exist twice."""
        parts = [*self._kept, *self._open]
        if last:
            self._kept, self._open = [], []
        return _joined(parts) if parts else face.measure(collect([]), self._networks.canonical)

    def _heard(self, last_s: float) -> Track | None:
        with self._listening:
            return self._voice.so_far(last_s) if self._voice is not None else None

    def _rest(self, voice: Track) -> Rest | None:
        """The voice of the rest phase; without enough of it, that of the recording so far."""
        kept = self._neutral.voice if self._neutral is not None else {}
        if self._neutral is not None and kept.get("voiced_s", 0.0) >= LIMITS.least_rest_voice_s:
            return Rest(self._neutral.kind, self._neutral.source, kept)
        voiced_s = sum(seconds for seconds, _, _ in self._own_voice)
        if voiced_s < LIMITS.least_own_voice_s:
            return None
        _, f0, loudness = np.median(self._own_voice, axis=0).tolist()
        here = {"f0_semitone": f0, "loudness": loudness, "noise_floor_dbfs": voice_rest.room_noise_dbfs(voice)}
        return Rest("recording", "", {"voiced_s": voiced_s, **here})

    # ---- what is said about it

    def _window(self, raw: Track | None, voice: Track | None, grid: Windows) -> LiveWindow:
        observed = observe(raw, voice, self._neutral, self._analyzer.settings.provider)
        seen, voice, segments = observed.face, observed.voice, observed.segments
        rest = self._rest(voice) if voice is not None else None
        scored = score(self._analyzer.fusion, dataclasses.replace(observed, voice_at_rest=rest), grid)
        result = verdict.window_results(seen, voice, grid, scored)[0]
        units: dict[str, float] = {}
        if seen is not None and result.pspi is not None:
            names = tuple(action_units.NAMES)
            means = windows.means(seen, names, grid)[0]
            units = {name: float(mean) for name, mean in zip(names, means, strict=True) if np.isfinite(mean)}
        heard = self._hear(voice, segments, rest, scored) if voice is not None and len(voice) else None
        return LiveWindow(result, scored.reason(0), units, heard)

    def _hear(self, voice: Track, segments: Sequence[Segment], rest: Rest | None, scored: Course) -> LiveVoice:
        end_s = float(scored.grid.end_s[0])
        within = (voice.time_s >= end_s - LENGTH_S) & (voice.time_s < end_s)
        own, last = voice_rest.usable_voice(voice), within & (voice.time_s >= end_s - STEP_S)
        now = {name: voice.column(name)[own & last] for name in ("f0_semitone", "loudness")}
        if len(now["loudness"]) * FRAME_S >= LEAST_VOICE_S:
            self._own_voice.append((len(now["loudness"]) * FRAME_S, *(float(np.median(now[name])) for name in now)))
        f0 = voice.column("f0_hz")[own & within]
        # as the network reads it
        steps = scored.inputs.voice[0, -fusion.WINDOW_STEPS :]
        change = {name: _mean(steps[:, fusion.VOICE.index(name)]) if rest is not None else None for name in CHANGES}
        kinds = voice_segments.kinds_at(segments, voice.time_s[last])
        names = (*voice_segments.KINDS, voice_segments.NO_AUDIO)
        self._sound_reasons = _standing(voice, end_s - LENGTH_S, end_s, 0.1, {"silent": 0.9})
        return LiveVoice(
            against=rest.kind if rest is not None else None,
            f0_hz=float(np.median(f0)) if len(f0) * FRAME_S >= LEAST_VOICE_S else None,
            f0_change_semitones=change["f0_change_semitones"],
            loudness_change_db=change["loudness_change_db"],
            sound=names[np.bincount(kinds).argmax()] if len(kinds) else None,
            reasons=tuple(code for code in self._sound_reasons if code not in ("unvoiced", "irregular")),
        )

    def _compared_with(self, raw: Track | None) -> tuple[Baseline | None, BaselineStamp, list[str]]:
        """The neutral of the report: the rest phase, or what a recording without one is compared with."""
        analyzer, neutral = self._analyzer, self._neutral
        if neutral is not None:
            stamp = BaselineStamp("rest_clip", neutral.source, None, neutral.frames)
            return neutral, stamp, action_units.baseline_warnings(neutral, analyzer.settings.provider)
        found = baseline.from_clip(raw, "live") if raw is not None and analyzer.settings.baseline != "none" else None
        if found is None:
            return None, BaselineStamp("none", ""), [NO_NEUTRAL] if raw is not None else []
        return found, BaselineStamp("auto", found.source, None, found.frames), []


def _joined(rows: Sequence[Track]) -> Track:
    """Rows as one track, with the remark where the face is suddenly elsewhere."""
    raw = face.join(tuple(rows))
    bits = raw.reason_bits.copy()
    bits[face.jumps(raw)] |= face.BIT["target_jump"]
    return dataclasses.replace(raw, reason_bits=bits)


def _standing(
    track: Track, start_s: float, end_s: float, share: float, more: Mapping[str, float] | None = None
) -> tuple[str, ...]:
    """Codes that stand for at least this share of the samples of a stretch; ``more``: other shares for some."""
    near = (track.time_s >= start_s) & (track.time_s < end_s)
    if not near.any():
        return ()
    shares = {reason.code: float(track.has_reason(reason.code)[near].mean()) for reason in track.reasons}
    return tuple(code for code, stands in shares.items() if stands >= (more or {}).get(code, share))


def _mean(values: FloatArray) -> float | None:
    known = values[np.isfinite(values)]
    return float(known.mean()) if len(known) else None


def _moment(seen: Track, moving: bool) -> Moment:
    last = len(seen) - 1
    valid = bool(seen.valid[last])

    def value(name: str) -> float | None:
        number = float(seen.column(name)[last])
        return number if np.isfinite(number) else None

    angles = [value(name) for name in ("yaw_deg", "pitch_deg", "roll_deg")]
    return Moment(
        time_s=float(seen.time_s[last]),
        valid=valid,
        reasons=tuple(seen.reason_text(last).split()),
        pspi=value("pspi"),
        low=value("pspi_low"),
        high=value("pspi_high"),
        action_units=action_units.at_peak(seen, last) if valid else {},
        face_px=value("face_px"),
        pose_deg=None if None in angles else (angles[0] or 0.0, angles[1] or 0.0, angles[2] or 0.0),
        moving=moving,
    )
