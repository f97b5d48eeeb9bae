"""Long recordings for the benchmarks, made by repeating a short one: mp4, H.264 640x360 30/s, AAC."""

from __future__ import annotations

import hashlib
import math
import os
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import numpy.typing as npt

from painsense import media

WIDTH_PX, HEIGHT_PX, FPS = 640, 360, 30
UNIT_S = 60  # this much is encoded; longer clips repeat its packets
AUDIO_RATE_HZ = 48_000
X264 = {"preset": "veryfast"}  # with its default rate (crf 23), B-frames and distance of key frames (250)


def looped(source: Path, seconds: int, folder: Path) -> Path:
    """A recording of ``seconds`` that repeats ``source``; made once and kept in ``folder``.

    ``seconds`` is at most a minute, or whole minutes.
    """
    if seconds > UNIT_S and seconds % UNIT_S:
        raise ValueError(f"seconds: expected at most {UNIT_S} or a multiple of it, got {seconds}")
    digest = hashlib.sha256(source.read_bytes()).hexdigest()[:8]
    target = folder / f"{source.stem}-{digest}-{seconds}s.mp4"
    if not target.exists():
        folder.mkdir(parents=True, exist_ok=True)
        aside = target.with_suffix(".part.mp4")
        _write(media.open_media(source), seconds, aside)
        os.replace(aside, target)
    return target


def _write(source: media.Media, seconds: int, target: Path) -> None:
    unit_s = min(seconds, UNIT_S)
    with av.open(str(target), "w") as container:
        video = container.add_stream("libx264", rate=FPS, options=X264)
        video.width, video.height, video.pix_fmt = WIDTH_PX, HEIGHT_PX, "yuv420p"
        video.codec_context.time_base = Fraction(1, FPS)
        audio = container.add_stream("aac", rate=AUDIO_RATE_HZ, layout="mono") if source.audio else None
        encoded = []
        for number, picture in enumerate(_pictures(source, unit_s)):
            frame = av.VideoFrame.from_ndarray(picture)
            frame.pts, frame.time_base = number, Fraction(1, FPS)
            encoded += video.encode(frame)
        encoded += video.encode(None)
        unit = [(bytes(packet), packet.pts, packet.dts, packet.is_keyframe) for packet in encoded]
        sound = _sound(source, unit_s)
        for minute in range(seconds // unit_s):
            shift = minute * unit_s * FPS
            for content, pts, dts, key in unit:
                packet = av.Packet(content)
                packet.stream, packet.time_base = video, Fraction(1, FPS)
                packet.pts, packet.dts, packet.is_keyframe = pts + shift, dts + shift, key
                container.mux(packet)
            if audio is not None:
                piece = av.AudioFrame.from_ndarray(sound[None], format="fltp", layout="mono")
                piece.sample_rate, piece.time_base = AUDIO_RATE_HZ, Fraction(1, AUDIO_RATE_HZ)
                piece.pts = minute * len(sound)
                container.mux(audio.encode(piece))
        if audio is not None:
            container.mux(audio.encode(None))


def _pictures(source: media.Media, seconds: int) -> Iterator[npt.NDArray[np.uint8]]:
    """Pictures of ``source`` at the wanted rate and size, from its beginning again when it ends."""
    running = _repeated(source)
    _, picture = next(running)
    next_s, following = next(running)
    for number in range(seconds * FPS):
        while next_s <= number / FPS:
            picture = following
            next_s, following = next(running)
        yield picture


def _repeated(source: media.Media) -> Iterator[tuple[float, npt.NDArray[np.uint8]]]:
    shift_s = 0.0
    while True:
        for time_s, picture in media.read_frames(source):
            yield shift_s + time_s, _fitted(picture)
        shift_s += source.duration_s


def _fitted(picture: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """A picture scaled to fit, with black beside it where its shape is another."""
    height, width = picture.shape[:2]
    scale = min(WIDTH_PX / width, HEIGHT_PX / height)
    size = round(width * scale), round(height * scale)
    fitted = np.zeros((HEIGHT_PX, WIDTH_PX, 3), np.uint8)
    left, top = (WIDTH_PX - size[0]) // 2, (HEIGHT_PX - size[1]) // 2
    fitted[top : top + size[1], left : left + size[0]] = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
    return fitted


def _sound(source: media.Media, seconds: int) -> npt.NDArray[np.float32]:
    """The sound of ``source`` for so many seconds, repeated where it is shorter, ndarray [shape=(n,), 48 kHz]."""
    length = round(source.duration_s * media.SAMPLE_RATE_HZ)
    once = np.zeros(length, np.float32)
    for start_s, samples in media.read_audio(source):
        first = round(start_s * media.SAMPLE_RATE_HZ)
        from_, to = max(first, 0), min(first + len(samples), length)
        once[from_:to] = samples[from_ - first : to - first]
    repeated = np.tile(once, math.ceil(seconds * media.SAMPLE_RATE_HZ / max(length, 1)))
    repeated = repeated[: seconds * media.SAMPLE_RATE_HZ]
    times = np.arange(seconds * AUDIO_RATE_HZ) * (media.SAMPLE_RATE_HZ / AUDIO_RATE_HZ)
    return np.interp(times, np.arange(len(repeated)), repeated).astype(np.float32)
