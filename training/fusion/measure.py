"""measure: one clip -> what painsense says of it. The clinic's code is the training code.

A whole file goes through :class:`painsense.Analyzer` as in the clinic. A part of a file, a part of the picture, an
image sequence, or picture and sound in two files go through the same steps one by one, on a clock that starts with
the part.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import lru_cache
from itertools import islice
from pathlib import Path
from types import ModuleType

import cv2
import numpy as np

from painsense import Analyzer, Settings, face, media, voice_rest
from painsense import baseline as neutrals
from painsense.assemble import Observed, observe
from painsense.baseline import Baseline
from painsense.follow import Follower, collect
from painsense.landmarks import Image, thread_networks
from painsense.media import Media
from painsense.pipeline import MAX_SIDE_PX, MODALITIES
from painsense.segments import RUN_IN_S
from painsense.tracks import FloatArray, Track
from painsense.voice import VoiceStream
from painsense.voice_rest import Rest
from training import face_shape
from training.errors import TrainingError
from training.fusion.record import Clip

ALL = (0.0, 0.0, 1.0, 1.0)
_PIECE = 500  # frames measured at a time, so that the landmarks of an hour are never in memory together


def measure(clip: Clip, baseline: str = "auto") -> Observed:
    """Face, voice and kinds of sound of a clip.

    Parameters
    ----------
    clip : with its files
    baseline : "auto": beside its recording at rest, without one beside a neutral found in the clip itself; "none":
        beside the average face

    Raises
    ------
    PainsenseError : the clip cannot be read, or holds neither picture nor sound where it should
    """
    whole = math.isnan(clip.start_s) and math.isnan(clip.end_s) and clip.crop == ALL
    picture = bool(clip.video or clip.frames)
    rest = clip.rest if baseline == "auto" else None
    if whole and not clip.copy and not clip.frames and (clip.video is None or clip.audio is None):
        file = clip.video or clip.audio
        if file is None:
            raise TrainingError(f"{clip.id}: a video, pictures or sound were expected, the clip has none")
        return _analyzer(baseline if rest is None else str(rest), picture).observe(file)
    raw, voice = _tracks(clip, clip.seed)
    if not any(track is not None and len(track) for track in (raw, voice)):
        raise TrainingError(
            f"{clip.id}: picture or sound between {_start(clip):g} and {_end(clip):g} s was expected, there is none; "
            "correct start_s and end_s"
        )
    raw = raw if raw is not None and len(raw) else None
    voice = voice if voice is not None and len(voice) else None
    neutral, at_rest = (None, None) if rest is None else _at_rest(rest, picture, clip.seed)
    if rest is None and raw is not None and len(raw) > 1 and baseline == "auto":
        neutral = neutrals.from_clip(raw, clip.id)
    return observe(raw, voice, neutral, "cpu", at_rest if voice is not None else None)


@lru_cache(4)  # clips of one person come one after the other, and so do those with one rest recording
def _at_rest(rest: Path, picture: bool, seed: int | None) -> tuple[Baseline | None, Rest]:
    """What a recording at rest says of the face and of the voice."""
    clip = Clip("rest", "rest", "rest", video=rest) if picture else Clip("rest", "rest", "rest", audio=rest)
    raw, voice = _tracks(clip, seed)
    if picture and raw is None:  # the average face in its place would be another measurement than the one asked for
        raise TrainingError(f"{rest.name}: a video of the person at rest was expected, it has no picture; name another")
    kept = {} if voice is None else voice_rest.at_rest(voice)
    neutral = None if raw is None else neutrals.from_rest(raw, rest.name, kept)
    return neutral, Rest("rest_clip", rest.name, kept)


@lru_cache(4)
def _analyzer(baseline: str, picture: bool) -> Analyzer:
    """One for all clips of this process, with one thread: clips are what is shared out."""
    modalities = MODALITIES if picture else ("voice",)
    return Analyzer(Settings(baseline=baseline, modalities=modalities, workers=1))


def _tracks(clip: Clip, seed: int | None) -> tuple[Track | None, Track | None]:
    """Raw face and voice, as :class:`painsense.Analyzer` measures them, of a clip that is not just a file.

    ``seed`` is that of another camera and microphone; None for those of the recording.
    """
    seen = media.open_media(clip.video) if clip.video else None
    heard = media.open_media(clip.audio) if clip.audio else seen
    if clip.audio and heard is not None and heard.audio is None:
        raise TrainingError(f"{clip.audio.name}: sound was expected, the file has none; look at what the clip names")
    raw = None
    if clip.frames or (seen is not None and seen.video is not None):
        raw = _face(_pictures(clip) if seen is None else _frames(clip, seen), seed)
    voice = _voice(clip, heard, seen, seed) if heard is not None and heard.audio is not None else None
    return raw, voice


def _start(clip: Clip) -> float:
    return 0.0 if math.isnan(clip.start_s) else clip.start_s


def _end(clip: Clip) -> float:
    return math.inf if math.isnan(clip.end_s) else clip.end_s


def _face(frames: Iterator[tuple[float, Image]], seed: int | None) -> Track | None:
    """The raw face track; None when there is no picture. Frames before 0 s let the follower settle."""
    networks = thread_networks()
    engine = Follower(networks)
    steps = (engine.step(image, time_s) for time_s, image in frames)
    meant = (one for one in steps if one.time_s >= 0)
    pieces: list[Track] = []
    while piece := list(islice(meant, _PIECE)):
        shown = collect(piece)
        if seed is not None:
            shown = _augment().faces(shown, face_shape.mirror_landmarks(networks.canonical), seed)
        pieces.append(face.measure(shown, networks.canonical))
    if not pieces:
        return None
    raw = face.join(pieces)
    bits = raw.reason_bits.copy()
    bits[face.jumps(raw)] |= face.BIT["target_jump"]
    return Track(raw.modality, raw.columns, raw.reasons, raw.time_s, raw.values, bits)


def _frames(clip: Clip, seen: Media) -> Iterator[tuple[float, Image]]:
    """The frames of a part of a video, with times from the start of the part; those of the run-in are below 0."""
    left, top, right, bottom = clip.crop
    side_px = round(MAX_SIDE_PX / max(right - left, bottom - top))
    start = _start(clip)
    for time_s, image in media.read_frames(seen, start - RUN_IN_S, _end(clip), max_side_px=side_px):
        yield round(time_s - start, 9), _cropped(image, clip)


def _pictures(clip: Clip) -> Iterator[tuple[float, Image]]:
    """The pictures of an image sequence, the same way: picture k is shown at k / fps."""
    start = _start(clip)
    for number, path in enumerate(clip.frames):
        time_s = number / clip.fps if number else 0.0
        if not start - RUN_IN_S <= time_s < _end(clip):
            continue
        stored = cv2.imdecode(np.fromfile(path, np.uint8), cv2.IMREAD_COLOR) if path.stat().st_size else None
        if stored is None:
            raise TrainingError(f"{path.name}: a picture was expected, it cannot be decoded; unpack it anew")
        image = _cropped(np.asarray(cv2.cvtColor(stored, cv2.COLOR_BGR2RGB), np.uint8), clip)
        shrink = MAX_SIDE_PX / max(image.shape[:2])
        if shrink < 1:
            image = np.asarray(cv2.resize(image, None, fx=shrink, fy=shrink, interpolation=cv2.INTER_AREA), np.uint8)
        yield round(time_s - start, 9), image


def _cropped(image: Image, clip: Clip) -> Image:
    """The part of the picture that is meant, at least one pixel of it."""
    if clip.crop == ALL:
        return image
    left, top, right, bottom = clip.crop
    height, width = image.shape[:2]
    x, y = min(round(left * width), width - 1), min(round(top * height), height - 1)
    part = image[y : max(y + 1, round(bottom * height)), x : max(x + 1, round(right * width))]
    return np.ascontiguousarray(part)


def _voice(clip: Clip, heard: Media, seen: Media | None, seed: int | None) -> Track:
    """The voice track of a part, with times from its start. Sound of its own file starts with the picture."""
    stream = VoiceStream()
    blocks = _sound(clip, heard, seen)
    for start_s, samples in blocks if seed is None else _disturbed(blocks, seed):
        stream.push(start_s, samples)
    return stream.finish()


def _disturbed(blocks: Iterator[tuple[float, FloatArray]], seed: int) -> Iterator[tuple[float, FloatArray]]:
    """The same sound from another microphone and room, in one block with NaN where nothing was recorded."""
    whole = list(blocks)
    if not whole:
        return
    first_s = whole[0][0]
    places = [round((start_s - first_s) * media.SAMPLE_RATE_HZ) for start_s, _ in whole]
    y = np.full(places[-1] + len(whole[-1][1]), np.nan, np.float32)
    for place, (_, samples) in zip(places, whole, strict=True):
        y[place : place + len(samples)] = samples
    yield first_s, _augment().sound(y, media.SAMPLE_RATE_HZ, np.random.default_rng(seed))


def _augment() -> ModuleType:
    """Loaded for copies only: it brings torch, which measuring does not need."""
    from training.fusion import augment

    return augment


def _sound(clip: Clip, heard: Media, seen: Media | None) -> Iterator[tuple[float, FloatArray]]:
    """The sound of a part, block by block, with the time of each one's first sample."""
    start, end = _start(clip), _end(clip)
    later_s = 0.0
    if heard is not seen and heard.audio is not None and seen is not None and seen.video is not None:
        later_s = seen.video.start_s - heard.audio.start_s
    for at_s, samples in media.read_audio(heard):
        begins_s = at_s + later_s
        first = max(0, math.ceil((start - begins_s) * media.SAMPLE_RATE_HZ - 1e-6))
        last = len(samples)
        if end < math.inf:
            last = min(last, math.ceil((end - begins_s) * media.SAMPLE_RATE_HZ - 1e-6))
        if first < last:
            yield begins_s + first / media.SAMPLE_RATE_HZ - start, samples[first:last]
