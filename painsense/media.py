"""media: a recording becomes upright RGB frames and 16 kHz mono sound on one clock.

The media clock counts seconds from the start of the container, which is what a browser's player shows as 0. Wherever
:func:`read_frames` starts, it gives the very frames that one decoding from the beginning would give, so that a long
clip can be cut into parts. Memory does not grow with the length of the recording.
"""

from __future__ import annotations

import itertools
import logging
import math
from collections.abc import Iterator
from fractions import Fraction
from typing import Any

import av
import numpy as np
import numpy.typing as npt
from av.audio.frame import AudioFrame
from av.audio.resampler import AudioResampler
from av.container import InputContainer
from av.filter import Graph
from av.packet import Packet
from av.video.frame import VideoFrame
from av.video.reformatter import VideoReformatter

from painsense.media_container import FORMATS, decode_all, demux, open_container, read_only
from painsense.media_index import (
    MAX_GAP_S,
    MISSING,
    AudioInfo,
    Media,
    PacketIndex,
    VideoInfo,
    open_media,
    square_size,
)
from painsense.tracks import BoolArray, FloatArray

__all__ = ["FORMATS", "SAMPLE_RATE_HZ", "AudioInfo", "Media", "VideoInfo", "open_media", "read_audio", "read_frames"]

SAMPLE_RATE_HZ = 16_000
"""Rate of all sound that leaves this file."""

#: A channel that stays below this peak (-80 dB re full scale) carries nothing: 16-bit dither peaks at -84 dB.
_DEAD_PEAK = 1e-4

#: Sound is resampled in pieces of about this length, because a call costs more than its samples.
_RESAMPLE_S = 0.5

#: How many packets after a seek are searched for the one that was meant.
_MAX_SEARCH = 1000

#: In an mpg a seek lands a little late, and the time stamps after it are guessed anew: seek this much before, and
#: accept a key frame of the right size whose time stamp is this close.
_MPG_MARGIN_S = Fraction(1)
_MPG_TOLERANCE_S = Fraction(1, 5)

#: FFmpeg filters that bring a picture of each EXIF orientation upright
_FILTERS: dict[int, tuple[tuple[str, str | None], ...]] = {
    2: (("hflip", None),),
    3: (("hflip", None), ("vflip", None)),
    4: (("vflip", None),),
    5: (("transpose", "cclock_flip"),),
    6: (("transpose", "clock"),),
    7: (("transpose", "clock_flip"),),
    8: (("transpose", "cclock"),),
}

_log = logging.getLogger(__name__)

AnyArray = npt.NDArray[Any]
RgbImage = npt.NDArray[np.uint8]


# ---------------------------------------------------------------------------------------------------------- read frames


class _WrongStartError(Exception):
    """Decoding from this packet would not give what decoding from the beginning gives."""


def read_frames(
    media: Media,
    start_s: float = -math.inf,
    stop_s: float = math.inf,
    *,
    max_side_px: int = 1280,
    threads: int = 1,
) -> Iterator[tuple[float, RgbImage]]:
    """The frames shown at ``start_s <= time < stop_s``, upright, in order: pairs of time and picture.

    Times are those of ``media.video.time_s``; a frame that cannot be decoded is missing from the series. Wherever the
    reading starts, the pictures are those of a decoding from the very beginning (in a damaged file, what a decoder
    makes of a damaged place may depend on the start). Each call opens the file on its own, so that several threads may
    read at once.

    Parameters
    ----------
    max_side_px : larger pictures are scaled down to this length of the longer side; none is ever scaled up
    threads : threads of the decoder

    Yields
    ------
    time_s : seconds on the media clock, strictly rising
    rgb : ndarray [shape=(h, w, 3), uint8, RGB], C-contiguous

    A recording without picture gives nothing. MediaError when the file is gone.

    >>> for time_s, rgb in read_frames(media, 10.0, 20.0):        # doctest: +SKIP
    ...     show(rgb)
    """
    video = media.video
    if video is None:
        return
    wanted_s = video.time_s[(video.time_s >= start_s) & (video.time_s < stop_s)]
    if not len(wanted_s):
        return
    upright = _Upright(video, max_side_px)
    last_s = -math.inf
    for first in _starts_before(video, float(wanted_s[0])):
        try:
            for time_s, frame in _frames_from(media, video, first, threads):
                if wanted_s[0] <= time_s <= wanted_s[-1] and time_s > last_s:
                    yield time_s, upright(frame)
                    last_s = time_s
                if time_s >= wanted_s[-1]:
                    break
            return
        except _WrongStartError:
            _log.debug("%s: packet %d is no place to start from; reading from further back", media.path, first)


def _starts_before(video: VideoInfo, time_s: float) -> list[int]:
    """Packets from which to decode to have the frame at ``time_s``: the nearest, the one before it, the very first."""
    index = video.index
    wanted_pts = index.shown_pts[np.searchsorted(video.time_s, time_s)]
    nearest = int(np.searchsorted(index.pts[index.starts], wanted_pts, side="right")) - 1
    return sorted({int(index.starts[max(0, k)]) for k in (nearest, nearest - 1, 0)}, reverse=True)


def _frames_from(media: Media, video: VideoInfo, first: int, threads: int) -> Iterator[tuple[float, VideoFrame]]:
    """Decode from packet ``first`` on: the frames that are shown, with their times."""
    index = video.index
    for seek in (True, False) if first else (False,):
        with open_container(media.path, media.container) as container:
            stream: Any = container.streams[index.stream]
            read_only(container, [stream])
            codec = stream.codec_context
            codec.thread_count = threads
            if threads > 1:
                codec.thread_type = "AUTO"
            if codec.name == "h264":  # else it guesses, and drops the frames that prove it wrong
                codec.reorder_depth = max(codec.reorder_depth, index.reorder)
            if seek:
                packets = _seek(container, stream, index, first)
                if packets is None:
                    continue
            else:
                packets = itertools.islice(demux(container, [stream]), first, None)
            frames = decode_all(codec, _stamped(packets, index, first, strict=seek))
            if index.counted:
                yield from zip(video.time_s.tolist(), frames, strict=False)
                return
            started = first == 0
            for frame in frames:
                if frame.pts is None:
                    continue
                if not started and frame.pts >= index.pts[first]:
                    if frame.pts > index.pts[first] or not frame.key_frame:
                        raise _WrongStartError  # a key frame only by the word of a damaged container
                    started = True
                k = int(np.searchsorted(index.shown_pts, frame.pts))
                if k < len(video.time_s) and index.shown_pts[k] == frame.pts:
                    yield float(video.time_s[k]), frame
            if not started:
                raise _WrongStartError
            return


def _seek(container: InputContainer, stream: Any, index: PacketIndex, first: int) -> Iterator[Packet[Any]] | None:
    """The packets from ``first`` on, reached by seeking; None when the seek lands behind it or it is not found."""
    guesses = container.format.name == "mpeg"
    margin, tolerance = (round(t / stream.time_base) * guesses for t in (_MPG_MARGIN_S, _MPG_TOLERANCE_S))
    try:
        container.seek(int(index.seek_ts[first]) - margin, stream=stream)
    except av.FFmpegError:
        return None
    packets = demux(container, [stream])
    for packet in itertools.islice(packets, _MAX_SEARCH):
        if packet.pts is None or not packet.is_keyframe or packet.size != index.size[first]:
            continue
        if abs(packet.pts - int(index.pts[first])) <= tolerance:
            return itertools.chain([packet], packets)
    return None


def _stamped(packets: Iterator[Packet[Any]], index: PacketIndex, first: int, *, strict: bool) -> Iterator[Packet[Any]]:
    """Give the packets the time stamps of the index: after a seek some demuxers (mpg) work out others.

    The index is matched by number and size. Where they part, ``strict`` raises _WrongStartError.
    """
    for ordinal, packet in enumerate(packets, first):
        in_step = ordinal < len(index.size) and packet.size == index.size[ordinal]
        if strict and not in_step:
            raise _WrongStartError
        if in_step and index.pts[ordinal] != MISSING:
            packet.pts = int(index.pts[ordinal])
        yield packet


class _Upright:
    """Turns decoded frames into upright RGB arrays of at most the given size. Holds FFmpeg's scalers and filters."""

    def __init__(self, video: VideoInfo, max_side_px: int) -> None:
        self._video = video
        self._max_side_px = max_side_px
        self._scaler, self._converter = VideoReformatter(), VideoReformatter()
        self._turners: dict[tuple[int, int, str], Graph] = {}

    def __call__(self, frame: VideoFrame) -> RgbImage:
        """The picture, ndarray [shape=(h, w, 3), uint8, RGB], C-contiguous."""
        width, height = square_size(frame.width, frame.height, self._video.sample_aspect)
        shrink = min(1.0, self._max_side_px / max(width, height))
        size = max(1, round(width * shrink)), max(1, round(height * shrink))
        filters = _FILTERS.get(self._video.orientation)
        if filters or size != (frame.width, frame.height):
            # Scaled and turned as YUV and converted last takes a quarter of the time of scaling into RGB.
            pixels = "yuv420p" if frame.format.name.startswith(("yuv", "nv")) else "rgb24"
            frame = self._scaler.reformat(frame, *size, format=pixels, interpolation="BILINEAR", threads=1)
        if filters:
            frame = self._turn(frame, filters)
        rgb = self._converter.reformat(frame, format="rgb24", interpolation="BILINEAR", threads=1)
        return np.ascontiguousarray(rgb.to_ndarray(), dtype=np.uint8)

    def _turn(self, frame: VideoFrame, filters: tuple[tuple[str, str | None], ...]) -> VideoFrame:
        layout = (frame.width, frame.height, frame.format.name)
        graph = self._turners.get(layout)
        if graph is None:
            graph = self._turners[layout] = Graph()
            graph.threads = 1
            source = graph.add_buffer(
                width=frame.width, height=frame.height, format=frame.format, time_base=Fraction(1, 1000)
            )
            chain = [graph.add(name, arguments) for name, arguments in filters]
            graph.link_nodes(source, *chain, graph.add("buffersink")).configure()
        graph.vpush(frame)
        return graph.vpull()


# ----------------------------------------------------------------------------------------------------------- read sound


def read_audio(media: Media, *, block_s: float = 10.0) -> Iterator[tuple[float, FloatArray]]:
    """The sound track as blocks of 16 kHz mono: pairs of the time of the first sample and the samples.

    Blocks are ``block_s`` long but for the last and those before a hole in the recording: what follows a hole begins a
    new block with its own start time, so that a hole shows as a jump between the end of one block and the start of the
    next. Channels are averaged; one that has been silent (below -80 dB) from the beginning is left out, so that a dead
    microphone does not halve the level. Memory does not grow with the length of the recording.

    Yields
    ------
    time_s : seconds on the media clock, strictly rising
    samples : ndarray [shape=(k,), float32, full scale -1..1, 16 kHz]

    A recording without sound gives nothing. Undecodable packets are holes. MediaError when the file is gone.

    >>> for time_s, samples in read_audio(media):                 # doctest: +SKIP
    ...     print(time_s, len(samples) / SAMPLE_RATE_HZ)
    """
    if media.audio is None:
        return
    block = max(1, round(block_s * SAMPLE_RATE_HZ))
    mixer = _Mixer()
    run: _Run | None = None
    for stamp_s, rate_hz, samples in _sound(media, media.audio):
        time_s = stamp_s if stamp_s is not None else run.end_s if run is not None else media.audio.start_s
        if run is not None and ((rate_hz, len(samples)) != run.kind or time_s > run.end_s + MAX_GAP_S):
            yield from run.finish()
            time_s = max(time_s, run.end_s)
            run = None
        if run is None:
            run = _Run(time_s, (rate_hz, len(samples)), block, mixer)
        yield from run.add(samples)
    if run is not None:
        yield from run.finish()


def _sound(media: Media, audio: AudioInfo) -> Iterator[tuple[float | None, int, AnyArray]]:
    """Decoded sound frame by frame: time stamp on the media clock (None: unknown), sample rate, samples.

    The samples are as coded, ndarray [shape=(channels, n)].
    """
    with open_container(media.path, media.container) as container:
        stream: Any = container.streams[audio.stream]
        read_only(container, [stream])
        stream.codec_context.thread_count = 1
        origin, tick = float(media.origin_s / stream.time_base), stream.time_base
        for frame in decode_all(stream.codec_context, demux(container, [stream])):
            samples = frame.to_ndarray()
            if not frame.format.is_planar:
                samples = samples.reshape(-1, frame.layout.nb_channels).T
            time_s = (
                None if audio.counted or frame.pts is None else (frame.pts - origin) * tick.numerator / tick.denominator
            )
            yield time_s, frame.sample_rate, samples


class _Mixer:
    """Averages the channels that have carried sound so far."""

    def __init__(self) -> None:
        self._alive: BoolArray = np.zeros(0, bool)

    def __call__(self, coded: AnyArray) -> FloatArray:
        """Mono, ndarray [shape=(n,), float32, full scale -1..1], of coded samples [shape=(channels, n)]."""
        samples: FloatArray = coded.astype(np.float32)
        if coded.dtype == np.uint8:
            samples = (samples - np.float32(128)) / np.float32(128)
        elif coded.dtype.kind == "i":
            samples = samples / np.float32(2.0 ** (8 * coded.dtype.itemsize - 1))
        if len(self._alive) != len(samples):
            self._alive = np.zeros(len(samples), bool)
        if not self._alive.all():
            self._alive = self._alive | (np.abs(samples).max(axis=1, initial=0.0) > _DEAD_PEAK)
        mono: FloatArray = samples[self._alive if self._alive.any() else slice(None)].mean(axis=0)
        return mono


class _Run:
    """Sound without a hole on its way to 16 kHz mono. swresample keeps the sample times: its filters are centred."""

    def __init__(self, start_s: float, kind: tuple[int, int], block: int, mixer: _Mixer) -> None:
        self.kind = kind  # sample rate and channels
        self._start_s = start_s
        self._block = block
        self._mixer = mixer
        self._taken = self._given = 0  # samples: in, at the coded rate; out, at 16 kHz
        self._waiting: list[AnyArray] = []
        self._waiting_samples = 0
        self._ready = np.zeros(0, np.float32)
        self._resampler = AudioResampler(format="fltp", layout="mono", rate=SAMPLE_RATE_HZ)

    @property
    def end_s(self) -> float:
        """Where the next sample belongs, seconds on the media clock."""
        return self._start_s + self._taken / self.kind[0]

    def add(self, samples: AnyArray) -> Iterator[tuple[float, FloatArray]]:
        """Take samples in; gives the blocks that have become full."""
        self._taken += samples.shape[1]
        self._waiting_samples += samples.shape[1]
        self._waiting.append(samples)
        if self._waiting_samples >= _RESAMPLE_S * self.kind[0]:
            self._resample()
            while len(self._ready) >= self._block:
                yield self._give(self._block)

    def finish(self) -> Iterator[tuple[float, FloatArray]]:
        """The blocks that are left, the last one as short as it is."""
        self._resample()
        self._ready = np.concatenate([self._ready, *self._resampled(None)])
        left = round(self._taken * SAMPLE_RATE_HZ / self.kind[0]) - self._given
        while left > 0 and len(self._ready):
            yield self._give(min(self._block, left))
            left -= self._block

    def _give(self, samples: int) -> tuple[float, FloatArray]:
        time_s = self._start_s + self._given / SAMPLE_RATE_HZ
        block, self._ready = self._ready[:samples].copy(), self._ready[samples:]
        self._given += len(block)
        return time_s, block

    def _resample(self) -> None:
        if self._waiting_samples:
            mono = self._mixer(np.concatenate(self._waiting, axis=1))
            frame = AudioFrame.from_ndarray(mono[None], format="fltp", layout="mono")
            frame.sample_rate = self.kind[0]
            self._ready = np.concatenate([self._ready, *self._resampled(frame)])
        self._waiting, self._waiting_samples = [], 0

    def _resampled(self, frame: AudioFrame | None) -> list[FloatArray]:
        """What the resampler gives for a frame (None: what it still holds)."""
        # At 16 kHz already, it hands back what it was given, the None included.
        given: list[AudioFrame | None] = [*self._resampler.resample(frame)]
        return [out.to_ndarray()[0].astype(np.float32, copy=False) for out in given if out is not None]
