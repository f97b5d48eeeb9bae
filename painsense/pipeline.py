"""A recording in, a Report out: media -> landmarks -> face, and media -> voice.

:mod:`painsense.assemble` does the rest. The picture is cut as :mod:`painsense.segments` says, so that threads can share
the work without changing the result.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import os
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

import numpy as np

from painsense import (
    __version__,
    action_units,
    assets,
    baseline,
    face,
    illustrate,
    media,
    voice_rest,
)
from painsense.assemble import Observed, assemble, observe
from painsense.baseline import Baseline
from painsense.errors import BaselineError, MediaError, ModelError
from painsense.follow import Engine, Follower, follow
from painsense.fusion import Fusion
from painsense.landmarks import SAME_FACE_SIDES, Image, Square, distance, thread_networks
from painsense.media import Media, VideoInfo
from painsense.progress import Course, Progress, part
from painsense.report import (
    BaselineStamp,
    MediaSummary,
    ModelStamp,
    Peak,
    PeakPicture,
    Report,
    Software,
)
from painsense.segments import RUN_IN_S, segments, thinned
from painsense.tracks import Track

if TYPE_CHECKING:
    from painsense.live import Live

MODALITIES = ("face", "voice")
NO_NEUTRAL = (
    "compared with the average face, whose PSPI can be several points off: record the person at rest if you can"
)
MAX_SIDE_PX = 1280  # larger frames are scaled down while decoding: the landmark network sees 256 pixels of a face


@dataclass(frozen=True)
class Settings:
    """How to analyse.

    Attributes
    ----------
    baseline : "auto", "none", a recording of the person at rest, or a file written by ``painsense baseline``
    modalities : what to look at: "face", "voice"
    fps : analyse at most this many frames a second; None analyses all
    person : "largest", or N for the N-th face from the left
    workers : threads that share the picture; 0 uses all cores. The result does not depend on it.
    provider : "cpu" or "cuda", for the ONNX models
    face_engine : "litert", or "mediapipe" for Google's own runtime (reference)
    face_model : path of ``face_landmarker.task``; None looks for it
    fusion_model : an ONNX file made by ``export.fusion``; None takes the one that ships with painsense
    include_frames : put pictures of the person beside the peaks of the HTML report
    """

    baseline: str | Path = "auto"
    modalities: tuple[str, ...] = MODALITIES
    fps: float | None = None
    person: str | int = "largest"
    workers: int = 0
    provider: str = "cpu"
    face_engine: str = "litert"
    face_model: Path | None = None
    fusion_model: Path | None = None
    include_frames: bool = False

    def __post_init__(self) -> None:
        unknown = set(self.modalities) - set(MODALITIES)
        if unknown or not self.modalities:
            raise ValueError(
                f"modalities: expected some of {', '.join(MODALITIES)}, got {', '.join(self.modalities) or 'none'}"
            )
        if self.fps is not None and not self.fps > 0:
            raise ValueError(f"fps: expected a number above 0, got {self.fps}")
        if self.person != "largest" and not (isinstance(self.person, int) and self.person >= 1):
            raise ValueError(f'person: expected "largest" or a number from 1, got {self.person!r}')
        if self.face_engine not in ("litert", "mediapipe"):
            raise ValueError(f'face_engine: expected "litert" or "mediapipe", got {self.face_engine!r}')
        if self.face_engine == "mediapipe" and self.person != "largest":
            raise ModelError(
                "person: MediaPipe's runtime follows the face it is surest of and cannot be told another; "
                "choose a person with --face-engine litert"
            )


def analyze(path: str | Path, settings: Settings = Settings(), *, progress: Progress | None = None) -> Report:
    """Score one recording. For many, an :class:`Analyzer` saves the loading.

    Parameters
    ----------
    path : a video, audio or picture file
    settings : how to analyse
    progress : called with (seconds done, seconds in all) of media time, from any thread; what it raises ends the
        analysis and comes out of here. The rest clip counts, too, before the first recording.

    Returns
    -------
    Report
        With ``clip.verdict`` "scored" or "not_enough_evidence"; write it with :meth:`painsense.report.Report.write`.

    Raises
    ------
    MediaError, ModelError, ProviderError, BaselineError : all are :class:`painsense.errors.PainsenseError`

    Examples
    --------
    >>> report = painsense.analyze("clip.mp4")                                             # doctest: +SKIP
    >>> report.clip.verdict, report.clip.pspi.mean                                         # doctest: +SKIP
    """
    with Analyzer(settings) as analyzer:
        return analyzer.analyze(path, progress=progress)


def make_baseline(
    rest_clip: str | Path,
    settings: Settings = Settings(),
    progress: Progress | None = None,
) -> Baseline:
    """A person's neutral from a recording at rest; see :meth:`Analyzer.make_baseline`."""
    with Analyzer(settings) as analyzer:
        return analyzer.make_baseline(rest_clip, progress=progress)


class Analyzer:
    """Scores many recordings, or live frames, with the networks loaded once.

    Use it as a context manager, or call :meth:`close`.
    """

    def __init__(self, settings: Settings = Settings()) -> None:
        self.settings = settings
        self._face_model = assets.face_model(settings.face_model) if "face" in settings.modalities else None
        shipped = assets.weights()
        own = settings.fusion_model
        self._fusion_model = shipped["fusion"] if own is None else assets.fusion_model(own)
        self._weights = tuple(
            weights
            for name, weights in shipped.items()
            if name != "fusion" and ("voice" if name == "voice_segments" else "face") in settings.modalities
        )
        if settings.provider != "cpu":  # the CPU always works, and ONNX Runtime takes a while to load
            from painsense import providers

            providers.check(settings.provider)
        if own is not None:  # a wrong one is wrong for every clip: say so now
            self.fusion  # noqa: B018
        self._workers = settings.workers or os.cpu_count() or 1
        self._rest: _AtRest | None = None  # what the rest clip or file of the settings says, read once for all clips
        self._pool = ThreadPoolExecutor(self._workers, thread_name_prefix="painsense-face")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let the threads go."""
        self._pool.shutdown(wait=True, cancel_futures=True)

    def analyze(self, path: str | Path, *, progress: Progress | None = None) -> Report:
        """Score one recording; see :func:`analyze`."""
        clip = media.open_media(Path(path))
        raw, voice = self._measured(clip, progress)
        neutral, stamp, doubts = self._neutral(clip, raw)
        report = assemble(
            _media_summary(clip),
            self.software(),
            self.settings.modalities,
            self._observed(raw, voice, neutral),
            self.fusion,
            stamp,
            [*clip.warnings, *self._undecoded(clip, raw), *doubts],
        )
        pictures = self._pictures(clip, raw, report.peaks)
        triangles = thread_networks(self.settings.face_model).canonical.triangles if pictures else None
        return dataclasses.replace(report, pictures=pictures, mesh_triangles=triangles)

    def observe(self, path: str | Path, *, progress: Progress | None = None) -> Observed:
        """What is measured of one recording, without a score or verdict: what a fusion network is trained on."""
        clip = media.open_media(Path(path))
        raw, voice = self._measured(clip, progress)
        neutral, _, _ = self._neutral(clip, raw)
        return self._observed(raw, voice, neutral)

    def make_baseline(self, rest_clip: str | Path, *, progress: Progress | None = None) -> Baseline:
        """The person's neutral from a recording at rest. BaselineError when there is too little usable face in it."""
        clip = media.open_media(Path(rest_clip))
        found = self._at_rest(clip, *self._tracks(clip, progress))
        if found.neutral is None:
            raise BaselineError(found.why)
        return found.neutral

    def live(self) -> Live:
        """A live analysis: frames and sound are handed over as they come; see :class:`painsense.live.Live`."""
        from painsense.live import Live

        return Live(self)

    @functools.cached_property
    def fusion(self) -> Fusion:
        """The network that weighs face and voice, loaded on first use."""
        return Fusion.load(assets.read_fusion_model(self.settings.fusion_model), self.settings.provider)

    @property
    def face_sha256(self) -> str:
        """Hash of the face networks in use; empty when the face is not looked at."""
        return self._face_model.sha256 if self._face_model else ""

    # ---- tracks

    def _measured(self, clip: Media, progress: Progress | None) -> tuple[Track | None, Track | None]:
        """The tracks of a recording, and before them, once, what the settings compare it with."""
        wanted = self.settings.baseline
        if wanted in ("auto", "none") or self._rest is not None:
            return self._tracks(clip, progress)
        path = Path(wanted)
        if path.suffix == ".json":
            saved = Baseline.load(path)
            self._rest = _AtRest(saved, "", voice_rest.Rest(saved.kind, saved.source, saved.voice))
            return self._tracks(clip, progress)
        rest = media.open_media(path)
        if rest.path.samefile(clip.path):  # compared with itself, it need not be read twice
            tracks = self._tracks(clip, progress)
            self._rest = self._at_rest(clip, *tracks)
            return tracks
        whole_s = rest.duration_s + clip.duration_s
        self._rest = self._at_rest(rest, *self._tracks(rest, part(progress, 0.0, whole_s)))
        if self._rest.neutral is None and clip.video is not None and "face" in self.settings.modalities:
            raise BaselineError(self._rest.why)  # before an hour is looked at in vain
        return self._tracks(clip, part(progress, rest.duration_s, whole_s))

    def _at_rest(self, clip: Media, raw: Track | None, voice: Track | None) -> _AtRest:
        """What a recording of the person at rest says."""
        name, neutral, why = clip.path.name, None, ""
        kept = voice_rest.at_rest(voice) if voice is not None else {}
        if raw is None:
            why = (
                f"baseline: expected video of the person at rest, got a recording without picture ({name}); "
                "record 5 to 10 s of the face"
            )
        else:
            try:
                neutral = baseline.from_rest(raw, name, kept, self.face_sha256)
            except BaselineError as error:
                why = str(error)
        return _AtRest(neutral, why, voice_rest.Rest("rest_clip", name, kept))

    def _tracks(self, clip: Media, progress: Progress | None) -> tuple[Track | None, Track | None]:
        """The raw face track and the voice track, each None when there is none or it was not asked for."""
        video = clip.video if "face" in self.settings.modalities else None
        audio = clip.audio if "voice" in self.settings.modalities else None
        course = Course(clip.duration_s, progress)
        with ThreadPoolExecutor(2, thread_name_prefix="painsense-aside") as aside:
            try:
                if video:  # ONNX Runtime takes its time to load: let it, while the picture is worked on
                    aside.submit(self._load)
                heard = aside.submit(self._voice, clip, course, video is None) if audio else None
                raw = self._face(clip, video, course) if video else None
                voice = heard.result() if heard else None
            except BaseException:
                course.stop()  # the threads look at it once a frame, so that leaving this block does not take long
                raise
        course.finish()
        return raw, voice

    def _load(self) -> None:
        action_units.estimator(self.settings.provider)
        self.fusion  # noqa: B018

    def _voice(self, clip: Media, course: Course, alone: bool) -> Track:
        # what measures the voice is loaded here, while the picture is worked on
        from painsense.voice import VoiceStream

        stream = VoiceStream()
        for start_s, samples in media.read_audio(clip):
            stream.push(start_s, samples)
            course.add(len(samples) / media.SAMPLE_RATE_HZ if alone else 0.0)
        return stream.finish()

    def _face(self, clip: Media, video: VideoInfo, course: Course) -> Track:
        """Segments are measured side by side and joined in order.

        A segment that starts among several faces picks one without knowing whom the earlier ones followed. Where it
        picked another, it is measured once more, starting from the right one: so the answer does not depend on who is
        first.
        """
        chosen = thinned(video.time_s, self.settings.fps)
        spans = segments(video)
        pending = deque(self._pool.submit(self._segment, clip, chosen, span, None, course) for span in spans)
        tracks: list[Track] = []
        last: Square | None = None
        for span in spans:
            track = pending.popleft().result()  # a future that is kept would keep its track, too
            if last is not None and self._another_was_picked(track, last):
                track = self._pool.submit(self._segment, clip, chosen, span, last, None).result()
            last = _last_seen(track) or last
            tracks.append(track)
        raw = face.join(tracks)
        if len(raw) == 0:
            raise MediaError(
                f"{clip.path.name}: expected pictures, but not one of {len(video.time_s)} could be decoded; the file "
                "is damaged or its codec unknown: convert it to H.264 in mp4, or score the voice alone with "
                "--modalities voice"
            )
        bits = raw.reason_bits.copy()
        bits[face.jumps(raw)] |= face.BIT["target_jump"]
        return Track(raw.modality, raw.columns, raw.reasons, raw.time_s, raw.values, bits)

    def _segment(
        self,
        clip: Media,
        chosen: frozenset[float] | None,
        span: tuple[float, float],
        near: Square | None,
        course: Course | None,
    ) -> Track:
        """The raw face track of one segment; ``near`` is where the person was before it."""
        start, stop = span

        def frames() -> Iterator[tuple[float, Image]]:
            reached = start
            for time_s, image in media.read_frames(clip, start - RUN_IN_S, stop, max_side_px=MAX_SIDE_PX):
                if course and time_s > reached:
                    course.add(time_s - reached)
                    reached = time_s
                if chosen is None or time_s in chosen:
                    yield time_s, image

        with contextlib.closing(self._engine(near)) as engine:
            seen = follow(engine, frames(), from_s=start)
        return face.measure(seen, thread_networks(self.settings.face_model).canonical, self.settings.person)

    def _another_was_picked(self, track: Track, last: Square) -> bool:
        """Whether a segment picked another face than ``last``, or could not count to the chosen person's number."""
        numbered = self.settings.person != "largest"
        found = np.flatnonzero(np.isfinite(track.column("box_x_px")))
        if not len(found) or (found[0] > 0 and numbered):
            return numbered  # with somebody gone, the N-th from the left is nobody, or not who it was
        several = numbered or bool(track.has_reason("other_face")[found[0]])
        return several and distance(_square(track, found[0]), last) > SAME_FACE_SIDES

    def _engine(self, near: Square | None) -> Engine:
        if self.settings.face_engine == "mediapipe":
            from painsense.reference import ReferenceEngine

            return ReferenceEngine(self._face_model.path if self._face_model else None)
        return Follower(thread_networks(self.settings.face_model), self.settings.person, near)

    # ---- what the tracks are compared with, and what is said about them

    def _neutral(self, clip: Media, raw: Track | None) -> tuple[Baseline | None, BaselineStamp, list[str]]:
        """The neutral, how the report names it, and what is doubtful about it."""
        wanted, none = self.settings.baseline, BaselineStamp("none", "")
        if raw is None:
            return None, none, []
        if wanted == "none":
            return None, none, [NO_NEUTRAL]
        if wanted == "auto":
            if clip.video is not None and clip.video.still:  # the verdict says what a single picture cannot tell
                return None, none, []
            neutral = baseline.from_clip(raw, clip.path.name)
            if neutral is not None:
                return neutral, BaselineStamp("auto", neutral.source, None, neutral.frames), []
            return None, none, [f"less than {baseline.MIN_USABLE_S:g} s of usable face for a baseline: {NO_NEUTRAL}"]
        assert self._rest is not None
        neutral = self._rest.neutral
        if neutral is None:
            raise BaselineError(self._rest.why)
        doubts = action_units.baseline_warnings(neutral, self.settings.provider)
        if neutral.face_model_sha256 not in ("", self.face_sha256):
            doubts.append("the saved baseline was made with other face networks: make it anew with painsense baseline")
        created = neutral.created if neutral.kind == "saved" else None
        return neutral, BaselineStamp(neutral.kind, neutral.source, created, neutral.frames), doubts

    def _observed(self, raw: Track | None, voice: Track | None, neutral: Baseline | None) -> Observed:
        at_rest = self._rest.voice if self._rest is not None and voice is not None else None
        return observe(raw, voice, neutral, self.settings.provider, at_rest)

    def _undecoded(self, clip: Media, raw: Track | None) -> list[str]:
        """A warning when frames the file promises could not be decoded: known only after reading."""
        if raw is None or clip.video is None:
            return []
        chosen = thinned(clip.video.time_s, self.settings.fps)
        missing = len(clip.video.time_s if chosen is None else chosen) - len(raw)
        return [f"{missing} pictures of the recording could not be decoded and are missing"] if missing > 0 else []

    def software(self) -> Software:
        """What computes the results, for their stamp."""
        settings = self.settings
        fusion = self._fusion_model
        if settings.fusion_model is not None:
            fusion = dataclasses.replace(fusion, name=self.fusion.spec.name, version=self.fusion.spec.version)
        models = [*([] if self._face_model is None else [self._face_model]), *self._weights, fusion]
        return Software(
            painsense=__version__,
            models=tuple(ModelStamp(model.name, model.version, model.sha256) for model in models),
            face_engine=settings.face_engine,
            provider=settings.provider,
            # what can change a result, and no path of this machine
            settings={
                "baseline": settings.baseline
                if settings.baseline in ("auto", "none")
                else Path(settings.baseline).name,
                "modalities": list(settings.modalities),
                "fps": settings.fps,
                "person": settings.person,
                "fusion_model": "default" if settings.fusion_model is None else settings.fusion_model.name,
            },
        )

    def _pictures(self, clip: Media, raw: Track | None, peaks: Sequence[Peak]) -> tuple[PeakPicture, ...]:
        """A drawing of the face at each peak, and the picture itself where it was asked for."""
        if raw is None:
            return ()
        networks = thread_networks(self.settings.face_model)
        pictures = []
        for peak in peaks:
            if peak.pspi is None:
                continue
            near = _square(raw, int(np.searchsorted(raw.time_s, peak.time_s)))
            for _, image in media.read_frames(clip, peak.time_s, peak.time_s + 1e-3, max_side_px=MAX_SIDE_PX):
                picture = illustrate.peak(networks, image, near, peak.time_s, self.settings.include_frames)
                if picture is not None:
                    pictures.append(picture)
        return tuple(pictures)


@dataclass(frozen=True)
class _AtRest:
    """What recordings are compared with: the face at rest, or ``why`` there is none, and the voice at rest."""

    neutral: Baseline | None
    why: str
    voice: voice_rest.Rest


def _last_seen(track: Track) -> Square | None:
    """Where the face was when it was last found."""
    found = np.flatnonzero(np.isfinite(track.column("box_x_px")))
    return _square(track, found[-1]) if len(found) else None


def _square(track: Track, index: int) -> Square:
    return Square(*(float(track.column(name)[index]) for name in ("box_x_px", "box_y_px", "box_side_px")))


def _media_summary(clip: Media) -> MediaSummary:
    video, audio = clip.video, clip.audio
    return MediaSummary(
        file=clip.path.name,
        sha256=clip.sha256,
        duration_s=clip.duration_s,
        frames=len(video.time_s) if video else 0,
        fps=video.fps if video else None,
        width=video.width_px if video else None,
        height=video.height_px if video else None,
        rotation_deg=video.rotation_deg if video else 0,
        has_audio=audio is not None,
        audio_start_s=audio.start_s if audio else None,
        audio_duration_s=audio.duration_s if audio else None,
        audio_only=video is None,
        still=video is not None and video.still,
    )
