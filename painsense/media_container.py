"""media_container: a file becomes packets and decoded frames, or words that say why not.

Everything here is about the file and FFmpeg; what the packets mean on the media clock is worked out in
:mod:`painsense.media_index`. Only local files of known formats are opened: playlists and other indirections, which
could reach for the network, are not.
"""

from __future__ import annotations

import hashlib
import logging
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import av
from av.container import InputContainer
from av.packet import Packet
from av.sidedata.sidedata import Type as SideDataType
from av.stream import Discard, Disposition
from av.video.frame import VideoFrame

from painsense.errors import MediaError

FORMATS = "mp4, mov, mkv, webm, avi, mpg; wav, flac, mp3, m4a; jpg, png"
"""What an error message offers."""

#: FFmpeg's names of the containers that are opened. None of them refers to other files or to the network.
_CONTAINERS = "mov,matroska,avi,mpeg,mpegts,mpegvideo,asf,flv,wav,w64,aiff,caf,flac,mp3,aac,ogg,jpeg_pipe,png_pipe"

#: How much of a file is looked at to tell a photo and its orientation.
_HEAD_BYTES = 1 << 18

#: A demuxer that fails this often without giving a packet is stuck in one place.
_MAX_FAILURES = 50

#: EXIF orientation (1-8) by the signs of a display matrix (a, b, c, d): x' = ax + cy, y' = bx + dy
_ORIENTATIONS = {
    (1, 0, 0, 1): 1, (-1, 0, 0, 1): 2, (-1, 0, 0, -1): 3, (1, 0, 0, -1): 4,
    (0, 1, 1, 0): 5, (0, 1, -1, 0): 6, (0, -1, -1, 0): 7, (0, -1, 1, 0): 8,
}  # fmt: skip

_log = logging.getLogger(__name__)

# ---------------------------------------------------------------------------------------------------------- open a file


def read_bytes(path: Path) -> tuple[str, bytes]:
    """SHA-256 of the file and its beginning; MediaError when it is no readable file."""
    try:
        if path.is_dir():
            raise MediaError(f"{path}: expected a recording, got a folder; name the files in it, e.g. {path / '*.mp4'}")
        if not path.exists():
            raise MediaError(f"{path}: expected a recording, but there is no such file; check the name and the folder")
        if not path.is_file():
            raise MediaError(f"{path}: expected a recording, got a device or a pipe; save it to a file first")
        with path.open("rb") as file:
            head = file.read(_HEAD_BYTES)
            if not head:
                raise MediaError(f"{path}: expected a recording, got an empty file (0 bytes); copy or record it again")
            file.seek(0)
            return hashlib.file_digest(file, "sha256").hexdigest(), head
    except PermissionError:
        raise MediaError(
            f"{path}: expected a readable file, but you lack the permission to read it; "
            f"change its permissions or copy it to a folder of your own"
        ) from None
    except OSError as error:
        raise MediaError(_disk_error(path, error)) from None


def open_container(path: Path, container: str | None) -> InputContainer:
    """Open a local file of a known format (``container``: FFmpeg's name of it, None: find out); else MediaError."""
    try:
        return av.open(
            f"file:{path}",
            "r",
            format=container,
            options={"protocol_whitelist": "file", "format_whitelist": _CONTAINERS},
            metadata_errors="replace",
        )
    except (av.FFmpegError, ValueError) as error:
        raise MediaError(_why_not(path, error)) from None


def _disk_error(path: Path, error: OSError) -> str:
    return f"{path}: expected a readable file, got the error {error.strerror or error}; check the disk"


def _why_not(path: Path, error: Exception) -> str:
    """What to tell the user about a file that FFmpeg refuses."""
    try:
        with path.open("rb") as file:
            head = file.read(12)
            file.seek(0)
            boxes = _top_boxes(file)
    except OSError as problem:
        return _disk_error(path, problem)
    if head[4:8] == b"ftyp" and head[8:12] in (b"heic", b"heix", b"mif1", b"avif"):
        return f"{path}: expected jpg or png for a picture, got a HEIC or AVIF photo; export it as JPEG"
    if boxes and boxes[0] in (b"ftyp", b"mdat", b"wide", b"free", b"skip") and b"moov" not in boxes:
        return (
            f"{path}: expected a complete mp4 or mov, got one without its index (moov): it was cut off while recording "
            f"or copying; copy it again from the camera, or repair it with a tool such as untrunc"
        )
    return (
        f"{path}: expected a recording ({FORMATS}), got something that is none of these "
        f"({getattr(error, 'strerror', None) or error}); check that it plays, and convert it to mp4 if it does"
    )


def _top_boxes(file: BinaryIO) -> list[bytes]:
    """Types of the outermost boxes of an ISO media file (ISO/IEC 14496-12), as far as they follow each other."""
    boxes: list[bytes] = []
    while True:
        header = file.read(16)
        if len(header) < 8 or not header[4:8].isalnum() or len(boxes) > 1000:
            return boxes
        size, kind = struct.unpack(">I4s", header[:8])
        if size == 1:  # the true size follows in 64 bits
            size = int.from_bytes(header[8:16], "big")
        boxes.append(kind)
        if size < 8:  # 0: up to the end of the file
            return boxes
        file.seek(size - len(header), 1)


def nothing_inside(path: Path, packets: dict[str, int]) -> str:
    """What to tell the user about a file of which nothing can be decoded; ``packets`` by name of its tracks."""
    if not packets:
        return f"{path}: expected a picture or sound track, got a file with neither; check that it plays"
    if not any(packets.values()):
        return f"{path}: expected a recording, got an empty one ({' and '.join(packets)} of 0 s); record it again"
    return (
        f"{path}: expected a recording, but not one frame of it can be decoded: it is damaged or no recording at all; "
        f"check that it plays, copy it again or convert it to mp4"
    )


# --------------------------------------------------------------------------------------------------- tracks and packets


def tracks(container: InputContainer, kind: str) -> list[Any]:
    """All tracks of a kind ("video", "audio"); cover art and thumbnails are no recordings."""
    pictures = Disposition.attached_pic | Disposition.timed_thumbnails
    return [stream for stream in container.streams if stream.type == kind and not stream.disposition & pictures]


def read_only(container: InputContainer, streams: list[Any]) -> None:
    """Let the demuxer skip all other tracks."""
    for stream in container.streams:
        if stream not in streams:
            stream.discard = Discard.all


def demux(container: InputContainer, streams: list[Any], damage: list[str] | None = None) -> Iterator[Packet[Any]]:
    """All packets of the given tracks that hold data; damaged places are passed over and noted in ``damage``."""
    failures = 0
    while streams and failures < _MAX_FAILURES:
        try:
            for packet in container.demux(streams):
                if packet.size:
                    failures = 0
                    yield packet
            return
        except av.FFmpegError as error:
            failures += 1
            if damage is not None:
                damage.append(str(error))


def decode(codec: Any, packet: Packet[Any] | None) -> list[Any]:
    """Frames the decoder gives for a packet (None: those it still holds); none where the packet is damaged."""
    try:
        return list(codec.decode(packet))
    except av.FFmpegError as error:
        _log.debug("damaged packet: %s", error)
        return []


def decode_all(codec: Any, packets: Iterator[Packet[Any]]) -> Iterator[Any]:
    """All frames of the packets, in display order."""
    for packet in packets:
        yield from decode(codec, packet)
    yield from decode(codec, None)


# ------------------------------------------------------------------------------------------ stills, and which way is up


def still_format(head: bytes) -> str | None:
    """FFmpeg's name for a photo, judged by its first bytes (by name, FFmpeg takes a % in it for a series)."""
    if head.startswith(b"\xff\xd8\xff"):
        return "jpeg_pipe"
    if head.startswith(b"\x89PNG\r\n\x1a\n"):
        return "png_pipe"
    return None


def exif_orientation(head: bytes) -> int:
    """EXIF orientation (1-8) of a JPEG or PNG, 1 (upright) where none is given (EXIF 2.32, tag 0x0112)."""
    jpeg, png = head.find(b"Exif\0\0"), head.find(b"eXIf")
    tiff = head[jpeg + 6 :] if jpeg >= 0 else head[png + 4 :] if png >= 0 else b""
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(tiff[:4])
    if order is None:
        return 1
    try:
        (directory,) = struct.unpack_from(order + "I", tiff, 4)
        (entries,) = struct.unpack_from(order + "H", tiff, directory)
        for entry in range(entries):
            tag, kind, count, value = struct.unpack_from(order + "HHIH", tiff, directory + 2 + 12 * entry)
            if (tag, kind, count) == (0x0112, 3, 1):
                return int(value) if 1 <= value <= 8 else 1
    except struct.error:  # the directory points past its end
        pass
    return 1


def matrix_orientation(frame: VideoFrame) -> int:
    """EXIF orientation (1-8) that a video's display matrix amounts to, to the nearest right angle."""
    try:
        side_data: Any = frame.side_data
        matrix = struct.unpack("=9i", bytes(side_data[SideDataType.DISPLAYMATRIX]))
    except KeyError:
        return 1
    except ValueError:  # PyAV refuses all side data when there is a kind it does not know; a flip is lost then
        return {90: 8, -90: 6, 180: 3, -180: 3}.get(round(frame.rotation / 90) * 90, 1)
    a, b, c, d = matrix[0], matrix[1], matrix[3], matrix[4]
    if abs(a) + abs(d) >= abs(b) + abs(c):
        b = c = 0
    else:
        a = d = 0
    signs = [(value > 0) - (value < 0) for value in (a, b, c, d)]
    return _ORIENTATIONS.get((signs[0], signs[1], signs[2], signs[3]), 1)
