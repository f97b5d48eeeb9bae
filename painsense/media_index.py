"""media_index: what a recording holds, and when each of its frames is shown.

:func:`open_media` reads the file twice from front to back: once for its SHA-256, once to note where each coded frame
lies and when it is shown, without decoding them. From then on the number of frames, their display times and the true
duration are known (a browser's WebM has none in its header), and reading can start anywhere in the file.
"""

from __future__ import annotations

from array import array
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import numpy.typing as npt
from av.audio.frame import AudioFrame
from av.container import InputContainer
from av.packet import Packet
from av.stream import Disposition

from painsense import media_container
from painsense.errors import MediaError
from painsense.tracks import TimeArray

MISSING = int(np.iinfo(np.int64).min)
"""Time stamp of a packet that has none."""

MAX_GAP_S = 0.05
"""Sound whose time stamps run ahead of its sample count by more than this has a hole there. Matroska rounds
to 1 ms and capture clocks wander by some ms; lost packets of 20 ms add up."""

#: A header that promises this much more than was found tells of a file that was cut off.
_CUT_OFF_S = 1.0

#: FFmpeg's names of containers whose header states a length; for others (mpg, mp3) it is a guess.
_STATE_LENGTH = ("mov", "matroska", "avi", "flac")

#: How many packets are tried before a track is called undecodable.
_MAX_TRIES = 1000

#: How far, in coded frames, display order may stray from storage order: H.264 and H.265 allow 16.
_MAX_REORDER = 16

#: Frame rate assumed where neither time stamps nor the container tell one.
_FALLBACK_FPS = 25

#: What each EXIF orientation asks for: degrees clockwise after a left-right flip, and whether there is such a flip
_TURNS = {1: (0, False), 2: (0, True), 3: (180, False), 4: (180, True),
          5: (270, True), 6: (90, False), 7: (90, True), 8: (270, False)}  # fmt: skip

Int64Array = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class PacketIndex:
    """Where the coded frames of the picture track lie, in the order in which the file stores them.

    Attributes
    ----------
    stream : number of the track in the container
    pts : ndarray [shape=(n,), int64, ticks] display time stamps, ``MISSING`` where there is none
    seek_ts : ndarray [shape=(n,), int64, ticks] what to seek for to arrive at or before the packet
    size : ndarray [shape=(n,), int64, bytes]
    starts : ndarray [shape=(m,)] packets from which decoding gives every frame that is shown from there on
    shown_pts : ndarray [shape=(k,), int64, ticks] the time stamps of the frames in display order
    lead : ticks by which the time stamps run ahead of the display times (AVI only)
    reorder : how many frames the decoder has to hold back to give them in display order
    counted : True when the packets' time stamps are of no use: then the k-th frame decoded is the k-th shown
    """

    stream: int
    pts: Int64Array
    seek_ts: Int64Array
    size: Int64Array
    starts: Int64Array
    shown_pts: Int64Array
    lead: int
    reorder: int
    counted: bool


@dataclass(frozen=True, eq=False)
class VideoInfo:
    """The picture track.

    Attributes
    ----------
    width_px, height_px : size as a player shows it: upright, with square pixels
    rotation_deg : 0, 90, 180 or 270, how far clockwise the stored pictures are turned to stand upright
    mirrored : True when they are flipped left to right before that
    fps : average frames per second, None for fewer than two frames
    codec : FFmpeg's name of the decoder
    time_s : ndarray [shape=(n,), float64, seconds on the media clock] display times of all frames, strictly rising
    key_s : ndarray [shape=(m,), float64, s] display times of the key frames that reading can start from
    start_s, end_s : when the first frame is shown, and until when the last one is
    still : True for a photo (jpg, png): one frame at time 0
    orientation : the turn and flip as an EXIF orientation, 1-8
    sample_aspect : width of a stored pixel over its height
    """

    width_px: int
    height_px: int
    rotation_deg: int
    mirrored: bool
    fps: float | None
    codec: str
    time_s: TimeArray = field(repr=False)
    key_s: TimeArray = field(repr=False)
    start_s: float
    end_s: float
    still: bool
    orientation: int = field(repr=False)
    sample_aspect: float = field(repr=False)
    index: PacketIndex = field(repr=False)


@dataclass(frozen=True)
class AudioInfo:
    """The sound track. ``start_s`` is the time of its first sample, ``duration_s`` reaches from there to its end.

    The last coded packet counts in full, though the encoder may have filled it up (at most some 25 ms). ``counted`` is
    True when the packets' time stamps are of no use: then the samples follow each other without a hole.
    """

    start_s: float
    duration_s: float
    sample_rate_hz: int
    channels: int
    codec: str
    stream: int = field(repr=False)
    counted: bool = field(repr=False)


@dataclass(frozen=True)
class Media:
    """A recording that can be read.

    ``duration_s`` reaches from 0 on the media clock to the end of what is there. ``warnings`` say in plain words what
    is unusual. ``container`` is FFmpeg's name of the format, ``origin_s`` the container's own time stamp of time 0.
    """

    path: Path
    sha256: str
    duration_s: float
    video: VideoInfo | None
    audio: AudioInfo | None
    warnings: tuple[str, ...]
    container: str
    origin_s: Fraction = field(repr=False)


def open_media(path: Path | str) -> Media:
    """Look through a recording: what it holds, when each frame is shown, how long it is.

    Reads the whole file, and decodes one frame of each track. Raises MediaError, which says what was expected, what
    came and what to do, when the file cannot be read or holds neither picture nor sound.

    >>> clip = open_media("clip.mp4")                             # doctest: +SKIP
    >>> clip.duration_s, len(clip.video.time_s)                   # doctest: +SKIP
    (12.4, 372)
    """
    path = Path(path)
    sha256, head = media_container.read_bytes(path)
    still = media_container.still_format(head)
    warnings: list[str] = []
    with media_container.open_container(path, still) as container:
        name = container.format.name.split(",")[0]
        picture = _choose(container, "video", warnings)
        sound = _choose(container, "audio", warnings)
        tables = [table for table in (picture, sound) if table is not None]
        _fill(container, tables, warnings)
        index = _display_order(picture, name, warnings) if picture is not None and picture.first_frame else None
        heard = sound is not None and sound.first_frame is not None
        if index is None and not heard:
            raise MediaError(media_container.nothing_inside(path, {table.name: len(table.size) for table in tables}))
        origin_s = _origin_s(container, picture, index, sound)
        orientation = media_container.exif_orientation(head) if still else None
        video = _video_info(picture, index, origin_s, orientation) if picture is not None and index else None
        audio = _audio_info(sound, origin_s, warnings) if sound is not None and heard else None
        promised_s = (container.duration or 0) / av.time_base if name in _STATE_LENGTH else 0.0
    end_s = max(video.end_s if video else 0.0, audio.start_s + audio.duration_s if audio else 0.0)
    if end_s < promised_s - max(_CUT_OFF_S, 0.01 * promised_s):
        warnings.append(f"the file is cut off: its header promises {promised_s:.1f} s, {end_s:.1f} s are there")
    return Media(path, sha256, end_s, video, audio, tuple(warnings), name, origin_s)


# ------------------------------------------------------------------------------------------------ the packets of a file


class _Table:
    """The packets of one track, a row each, and the first frame that could be decoded."""

    def __init__(self, stream: Any, name: str) -> None:
        self.stream = stream
        self.name = name
        self.time_base: Fraction = stream.time_base
        self.pts, self.dts, self.duration, self.size = array("q"), array("q"), array("q"), array("q")
        self.key, self.shown, self.corrupt = bytearray(), bytearray(), bytearray()
        self.first_frame: Any = None

    def add(self, packet: Packet[Any]) -> None:
        self.pts.append(MISSING if packet.pts is None else packet.pts)
        self.dts.append(MISSING if packet.dts is None else packet.dts)
        self.duration.append(packet.duration or 0)
        self.size.append(packet.size)
        self.key.append(packet.is_keyframe)
        self.corrupt.append(packet.is_corrupt)
        self.shown.append(not (packet.is_discard or packet.is_corrupt or self._is_hidden(packet)))
        if self.first_frame is None and len(self.size) <= _MAX_TRIES:
            self._decode(packet)

    def finish(self) -> None:
        """A decoder that holds frames back gives the only one of a very short clip at the end."""
        if self.first_frame is None and self.size:
            self._decode(None)

    def _decode(self, packet: Packet[Any] | None) -> None:
        self.first_frame = next(iter(media_container.decode(self.stream.codec_context, packet)), None)

    def _is_hidden(self, packet: Packet[Any]) -> bool:
        """VP8 codes reference pictures that are never shown; bit 4 of the first byte tells (RFC 6386, 9.1)."""
        return self.stream.codec_context.name in ("vp8", "libvpx") and not bytes(packet)[0] & 0x10


def _choose(container: InputContainer, kind: str, warnings: list[str]) -> _Table | None:
    """The track to analyse: the default one, then the largest picture; None when there is none to decode."""
    name = "picture" if kind == "video" else "sound"
    found = media_container.tracks(container, kind)
    usable = [stream for stream in found if stream.codec_context is not None]
    if len(usable) < len(found):
        warnings.append(f"{len(found) - len(usable)} {name} track(s) left out: there is no decoder for them")
    if not usable:
        return None

    def rank(stream: Any) -> tuple[bool, int, int]:
        area = stream.codec_context.width * stream.codec_context.height if kind == "video" else 0
        return bool(stream.disposition & Disposition.default), area, -stream.index

    best = max(usable, key=rank)
    if len(usable) > 1:
        warnings.append(f"{len(usable)} {name} tracks: number {usable.index(best) + 1} is analysed, no other")
    return _Table(best, name)


def _fill(container: InputContainer, tables: list[_Table], warnings: list[str]) -> None:
    """Note all packets of the chosen tracks."""
    damage: list[str] = []
    by_stream = {table.stream.index: table for table in tables}
    streams = [table.stream for table in tables]
    media_container.read_only(container, streams)
    for packet in media_container.demux(container, streams, damage):
        by_stream[packet.stream_index].add(packet)
    for table in tables:
        table.finish()
        if sum(table.corrupt):
            warnings.append(f"{sum(table.corrupt)} {table.name} packet(s) are damaged and left out")
        if table.first_frame is None:
            what = "cannot be decoded" if table.size else "is empty"
            warnings.append(f"the {table.name} track {what} and is left out")
    if damage:
        warnings.append(f"{len(damage)} damaged place(s) in the file are passed over")


# -------------------------------------------------------------------------------------------------------- display times


def _display_order(table: _Table, container: str, warnings: list[str]) -> PacketIndex | None:
    """When each coded picture is shown, and where decoding can start; None when none is shown."""
    pts, dts, size = (np.array(column, np.int64) for column in (table.pts, table.dts, table.size))
    shown, known = np.array(table.shown, bool), pts != MISSING
    if not shown.any():
        return None
    ranks = np.argsort(np.argsort(pts[known], kind="stable"))
    strayed = np.arange(len(ranks)) - ranks  # how many places later than shown a picture is stored
    shown_pts = np.unique(pts[shown & known])
    # AVI stores no display times. FFmpeg adds the delay of a decoder to the place in the file; the sound has none.
    timed = known & (dts != MISSING)
    lead = max(0, int(pts[timed].min() - dts[timed].min())) if container == "avi" and timed.any() else 0
    # For MPEG-4 it also works out which picture is shown when, but H.264 it numbers in the order of storage.
    unsorted = container == "avi" and table.stream.codec_context.reorder_depth > 0 and not (strayed > 0).any()
    unusable = _unusable(int(shown.sum()), int((shown & known).sum()), len(shown_pts), strayed)
    if unusable:
        warnings.append(f"{unusable}: frame times are counted from the frame rate")
        shown_pts, lead = _counted_pts(table, int(shown.sum())), 0
    if unusable or unsorted:
        return PacketIndex(table.stream.index, pts, pts, size, np.zeros(1, np.int64), shown_pts, lead, 0, True)

    left_out = int(shown.sum()) - len(shown_pts)
    if left_out:
        warnings.append(f"{left_out} frame(s) without a time stamp of their own are left out")
    # Decoding may start at a key frame that no picture stored before it is shown after.
    latest_before = np.maximum.accumulate(np.append(MISSING, pts[:-1]))
    starts = np.union1d([0], np.flatnonzero(np.array(table.key, bool) & (pts > latest_before)))
    seek_ts = np.where(dts == MISSING, pts, np.minimum(pts, dts))
    reorder = int(strayed.max(initial=0))
    return PacketIndex(table.stream.index, pts, seek_ts, size, starts, shown_pts, lead, reorder, False)


def _unusable(shown: int, stamped: int, distinct: int, strayed: Int64Array) -> str:
    """Why the time stamps of the pictures cannot be used; empty when they can."""
    if stamped < 0.9 * shown:
        return f"{shown - stamped} of {shown} pictures have no time stamp"
    if distinct < 0.5 * stamped:
        return "the time stamps of the pictures repeat"
    if np.abs(strayed).max(initial=0) > _MAX_REORDER:
        return "the time stamps of the pictures jump back"
    return ""


def _counted_pts(table: _Table, frames: int) -> Int64Array:
    """Time stamps from the frame rate alone, beginning where the track begins."""
    rate = table.stream.average_rate or table.stream.guessed_rate or Fraction(_FALLBACK_FPS)
    step = max(Fraction(1), 1 / (rate * table.time_base))
    return np.array([(table.stream.start_time or 0) + round(k * step) for k in range(frames)], np.int64)


def _origin_s(
    container: InputContainer, picture: _Table | None, index: PacketIndex | None, sound: _Table | None
) -> Fraction:
    """The earliest time stamp of all tracks: time 0 of the media clock."""
    starts = []
    if picture is not None and index is not None:
        starts.append((int(index.shown_pts[0]) - index.lead) * picture.time_base)
    if sound is not None and sound.first_frame is not None:
        starts.append(_frame_s(sound.first_frame))
    chosen = [table.stream for table in (picture, sound) if table is not None]
    for stream in media_container.tracks(container, "video") + media_container.tracks(container, "audio"):
        if stream not in chosen and stream.start_time is not None:
            starts.append(stream.start_time * stream.time_base)
    return min(starts)


def _frame_s(frame: AudioFrame) -> Fraction:
    """Time stamp of a frame on the container's clock, 0 where it has none."""
    return Fraction(0) if frame.pts is None or frame.time_base is None else frame.pts * frame.time_base


def seconds(pts: Int64Array, time_base: Fraction, origin_s: Fraction) -> TimeArray:
    """Ticks of a track as seconds on the media clock."""
    times_s: TimeArray = (pts - float(origin_s / time_base)) * time_base.numerator / time_base.denominator
    return times_s


# ----------------------------------------------------------------------------------------------------------- the tracks


def _video_info(table: _Table, index: PacketIndex, origin_s: Fraction, exif_orientation: int | None) -> VideoInfo:
    """What the packets and the first frame tell of the picture track; ``exif_orientation`` is None but for stills."""
    frame, still = table.first_frame, exif_orientation is not None
    aspect = float(table.stream.sample_aspect_ratio or 1)
    aspect = aspect if 0.2 < aspect < 5 else 1.0
    orientation = exif_orientation or media_container.matrix_orientation(frame)
    width_px, height_px = square_size(frame.width, frame.height, aspect)
    if orientation >= 5:
        width_px, height_px = height_px, width_px
    time_s = np.zeros(1) if still else seconds(index.shown_pts - index.lead, table.time_base, origin_s)
    length_s = int(index.shown_pts[-1] - index.shown_pts[0]) * table.time_base
    last = np.flatnonzero(np.array(table.pts, np.int64) == index.shown_pts[-1])
    last_s = float(table.duration[last[0]] * table.time_base) if len(last) else 0.0
    if last_s <= 0 and len(time_s) > 1:
        last_s = float(np.median(np.diff(time_s)))
    return VideoInfo(
        width_px=width_px,
        height_px=height_px,
        rotation_deg=_TURNS[orientation][0],
        mirrored=_TURNS[orientation][1],
        fps=float((len(time_s) - 1) / length_s) if length_s else None,
        codec=table.stream.codec_context.name,
        time_s=time_s,
        key_s=time_s[:1] if still else seconds(index.pts[index.starts] - index.lead, table.time_base, origin_s),
        start_s=float(time_s[0]),
        end_s=0.0 if still else float(time_s[-1]) + last_s,
        still=still,
        orientation=orientation,
        sample_aspect=aspect,
        index=index,
    )


def square_size(width: int, height: int, aspect: float) -> tuple[int, int]:
    """Size with square pixels: like players, widen or heighten, so that nothing is lost."""
    return (round(width * aspect), height) if aspect >= 1 else (width, round(height / aspect))


def _audio_info(table: _Table, origin_s: Fraction, warnings: list[str]) -> AudioInfo:
    """What the packets and the first frame tell of the sound track."""
    pts, duration = np.array(table.pts, np.int64), np.array(table.duration, np.int64)
    known = pts != MISSING
    start_s = float(_frame_s(table.first_frame) - origin_s)
    steps_s = (pts[1:] - pts[:-1] - duration[:-1])[known[1:] & known[:-1]] * float(table.time_base)
    counted = bool((steps_s < -MAX_GAP_S).any()) or not known.any()
    if counted:
        warnings.append(
            "the time stamps of the sound jump back or are missing: sound times are counted from the samples"
        )
        end_s = start_s + float(int(duration.sum()) * table.time_base)
    else:
        end_s = float(seconds((pts + duration)[known], table.time_base, origin_s).max())
    holes_s = steps_s[steps_s > MAX_GAP_S]
    if len(holes_s) and not counted:
        warnings.append(f"the sound has {len(holes_s)} hole(s), {holes_s.sum():.2f} s in all")
    codec = table.stream.codec_context
    return AudioInfo(
        start_s=start_s,
        duration_s=max(0.0, end_s - start_s),
        sample_rate_hz=codec.sample_rate,
        channels=codec.layout.nb_channels,
        codec=codec.name,
        stream=table.stream.index,
        counted=counted,
    )
