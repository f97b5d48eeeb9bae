"""Live frames and sound -> what the face shows right now, and at the end the same Report a recording gets."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from painsense import action_units, baseline, face
from painsense.baseline import Baseline
from painsense.follow import Follower, collect
from painsense.landmarks import Image, thread_networks
from painsense.pipeline import Analyzer, assemble
from painsense.report import BaselineStamp, MediaSummary, Report
from painsense.tracks import FloatArray, Track, sample_period_s
from painsense.voice import VoiceStream

LOOK_BACK_S = 1.0  # long enough to tell closed eyes from a blink


@dataclass(frozen=True)
class Moment:
    """What one live frame shows.

    ``pspi``, ``low`` and ``high`` are None and ``action_units`` empty where the frame cannot be used; ``reasons`` say
    why.
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


class Live:
    """One person in front of a camera. Made by :meth:`painsense.Analyzer.live`; call it from one thread.

    Frames cost one landmark run each. Until :meth:`take_neutral` was called the face is compared with the average face.
    Only numbers are kept, never pictures or sound. The face networks always run on LiteRT here.

    Examples
    --------
    >>> live = analyzer.live()                                                             # doctest: +SKIP
    >>> moment = live.frame(image, time_s)     # RGB, not mirrored                         # doctest: +SKIP
    >>> live.sound(samples, start_s)           # 16 kHz mono                               # doctest: +SKIP
    >>> report = live.finish()                                                             # doctest: +SKIP
    """

    def __init__(self, analyzer: Analyzer) -> None:
        self._analyzer = analyzer
        action_units.estimator(analyzer.settings.provider)  # loads it now, so that the first frame is not late
        self._networks = thread_networks(analyzer.settings.face_model)
        self._follower = Follower(self._networks, analyzer.settings.person)
        self._rows: list[Track] = []
        self._voice: VoiceStream | None = None
        self._neutral: Baseline | None = None
        self._size_px = (0, 0)

    def frame(self, image: Image, time_s: float) -> Moment:
        """Look at the next frame.

        Parameters
        ----------
        image : ndarray [shape=(h, w, 3), uint8], RGB, not mirrored
        time_s : when it was taken, in seconds; must rise
        """
        if self._rows and time_s <= self._rows[-1].time_s[0]:
            raise ValueError(f"live: time must rise, got {time_s:.3f} s after {self._rows[-1].time_s[0]:.3f} s")
        self._size_px = (image.shape[1], image.shape[0])
        seen = collect([self._follower.step(image, time_s)])
        self._rows.append(face.measure(seen, self._networks.canonical, self._analyzer.settings.person))
        first = len(self._rows) - 1
        while first > 0 and time_s - self._rows[first - 1].time_s[0] <= LOOK_BACK_S:
            first -= 1
        near = face.join(tuple(self._rows[first:]))
        return _moment(action_units.estimate_track(near, self._neutral, provider=self._analyzer.settings.provider))

    def sound(self, samples: FloatArray, start_s: float) -> None:
        """Hear the next block: ndarray [shape=(k,), float32], 16 kHz mono, its first sample at ``start_s``."""
        if self._voice is None:
            self._voice = VoiceStream()
        self._voice.push(start_s, samples)

    def take_neutral(self) -> Baseline:
        """Make what was seen so far the person's neutral. BaselineError when too little of it was usable."""
        raw = face.join(tuple(self._rows)) if self._rows else face.measure(collect([]), self._networks.canonical)
        self._neutral = baseline.from_rest(raw, "live rest phase", None, self._analyzer.face_sha256)
        return self._neutral

    def finish(self) -> Report:
        """The report on everything seen and heard."""
        raw = face.join(tuple(self._rows)) if self._rows else None
        voice = self._voice.finish() if self._voice else None
        neutral = self._neutral
        stamp = (
            BaselineStamp("rest_clip", neutral.source, None, neutral.frames) if neutral else BaselineStamp("none", "")
        )
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
        return assemble(summed, analyzer.software(), analyzer.settings.modalities, raw, voice, neutral, stamp, [])


def _moment(seen: Track) -> Moment:
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
    )
