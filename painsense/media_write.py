"""media_write: pictures and sound become a video file that browsers play, with the times they came with.

Pictures are coded as VP9 (libvpx, BSD licence), sound as AAC by FFmpeg's own encoder (LGPL). Both are free of the GPL,
unlike x264, the one H.264 encoder in PyAV's wheels; and VP9 in mp4 plays in Chrome, Edge, Firefox and Safari.
"""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import av
import cv2
import numpy as np
import numpy.typing as npt
from av.audio.frame import AudioFrame
from av.video.frame import VideoFrame

from painsense.errors import MediaError, OutputError
from painsense.media import SAMPLE_RATE_HZ, Media, read_audio, read_frames
from painsense.tracks import FloatArray

TICKS = 90_000  # a second, in the time stamps of the pictures: finer than any camera's clock
#: VP9 at the speed of a video call: a 640x360 picture takes some 4 ms
VP9 = {"deadline": "realtime", "cpu-used": "8", "crf": "30", "b": "0", "row-mt": "1"}
AAC_SAMPLES = 1024  # of one AAC frame

Progress = Callable[[float, float], None]


class VideoFile:
    """An mp4 that is being written; it is there whole or not at all. Use it as a context manager.

    Parameters
    ----------
    out : where it will be; it is written aside and renamed at the end
    picture : whether it has a picture track; its size is that of the first picture, made even
    sound : whether it has a sound track
    """

    def __init__(self, out: Path, *, picture: bool = True, sound: bool = False) -> None:
        self._out = out
        self._aside = out.with_name(f".{secrets.token_hex(6)}.mp4")
        with self._writing():
            self._container: Any = av.open(str(self._aside), "w", format="mp4", options={"movflags": "faststart"})
        self._video: Any = self._container.add_stream("libvpx-vp9", options=VP9) if picture else None
        self._audio: Any = None
        self._heard = 0  # samples written
        if sound:
            self._audio = self._container.add_stream("aac", rate=SAMPLE_RATE_HZ, layout="mono")
            self._audio.bit_rate = 64_000
            self._waiting = np.zeros(0, np.float32)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                self._finish()
            with self._writing() if kind is None else contextlib.suppress(OSError):
                self._container.close()
            if kind is None:
                with self._writing():
                    self._aside.replace(self._out)
        finally:
            self._aside.unlink(missing_ok=True)

    @contextlib.contextmanager
    def _writing(self) -> Iterator[None]:
        """What the disk says, in words."""
        try:
            yield
        except OSError as error:
            raise OutputError(
                f"{self._out}: expected to write this file, got '{error.strerror or error}'; free some space or choose "
                "another folder"
            ) from error

    def _mux(self, packets: Any) -> None:
        with self._writing():
            self._container.mux(packets)

    def add(self, time_s: float, rgb: npt.NDArray[np.uint8]) -> None:
        """A picture, ndarray [shape=(h, w, 3), RGB], in order of time."""
        codec = self._video.codec_context
        if not codec.is_open:
            height, width = rgb.shape[:2]
            codec.width, codec.height = max(width & ~1, 2), max(height & ~1, 2)
            codec.pix_fmt, codec.time_base = "yuv420p", Fraction(1, TICKS)
        if rgb.shape[:2] != (codec.height, codec.width):
            rgb = np.asarray(cv2.resize(rgb, (codec.width, codec.height), interpolation=cv2.INTER_AREA), np.uint8)
        frame = VideoFrame.from_ndarray(rgb, format="rgb24")
        frame.pts, frame.time_base = round(time_s * TICKS), Fraction(1, TICKS)
        self._mux(self._video.encode(frame))

    def add_sound(self, start_s: float, samples: FloatArray) -> None:
        """Sound, ndarray [shape=(n,), 16 kHz mono], in order of time; a hole before it becomes silence."""
        hole = round(start_s * SAMPLE_RATE_HZ) - self._heard - len(self._waiting)
        self._waiting = np.concatenate([self._waiting, np.zeros(max(hole, 0), np.float32), samples])
        while len(self._waiting) >= AAC_SAMPLES:
            self._sound(self._waiting[:AAC_SAMPLES])
            self._waiting = self._waiting[AAC_SAMPLES:]

    def _sound(self, samples: FloatArray) -> None:
        frame = AudioFrame.from_ndarray(np.ascontiguousarray(samples[None]), format="fltp", layout="mono")
        frame.sample_rate, frame.pts = SAMPLE_RATE_HZ, self._heard
        frame.time_base = Fraction(1, SAMPLE_RATE_HZ)
        self._heard += len(samples)
        self._mux(self._audio.encode(frame))

    def _finish(self) -> None:
        if self._audio is not None:
            if len(self._waiting):
                self._sound(self._waiting)
            self._mux(self._audio.encode())
        if self._video is not None:
            if not self._video.codec_context.is_open:
                raise MediaError(f"{self._out.name}: expected pictures to write, got none; check that the video plays")
            self._mux(self._video.encode())


class Sound:
    """The sound of a recording, handed to a file in step with the pictures, each picture first: nothing has to wait."""

    def __init__(self, clip: Media, file: VideoFile, wanted: bool = True) -> None:
        self._blocks = read_audio(clip, block_s=1.0) if wanted and clip.audio is not None else iter(())
        self._file = file
        self._next = next(self._blocks, None)

    def until(self, time_s: float) -> None:
        """Write all sound that begins before ``time_s``."""
        while self._next is not None and self._next[0] <= time_s:
            self._file.add_sound(*self._next)
            self._next = next(self._blocks, None)


def transcode(clip: Media, out: Path, *, max_side_px: int, progress: Progress | None = None) -> None:
    """A copy of a recording as mp4: upright pictures of at most this size, 16 kHz mono sound, the same times.

    Raises whatever ``progress`` raises; then there is no file.
    """
    with VideoFile(out, picture=clip.video is not None, sound=clip.audio is not None) as file:
        sound = Sound(clip, file)
        for time_s, rgb in _frames(clip, max_side_px):
            file.add(time_s, rgb)
            sound.until(time_s)
            if progress is not None:
                progress(time_s, clip.duration_s)
        sound.until(float("inf"))


def _frames(clip: Media, max_side_px: int) -> Iterator[tuple[float, npt.NDArray[np.uint8]]]:
    with contextlib.closing(read_frames(clip, max_side_px=max_side_px)) as frames:  # type: ignore[type-var]
        yield from frames
