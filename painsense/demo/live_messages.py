"""What the live page sends: messages read with care, for a page may be anything that speaks the protocol."""

from __future__ import annotations

import json
import math
import struct
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np

from painsense.errors import PainsenseError
from painsense.landmarks import Image
from painsense.tracks import FloatArray

HEADER = struct.Struct("<B3xId")  # kind, number, time in seconds
PICTURE, SOUND = 1, 2
MOST_TEXT = 1000  # characters
MOST_PICTURE_BYTES = 1_000_000
MOST_SIDE_PX = 1280
MOST_SOUND_BYTES = 2 * 16_000  # a second
#: markers of a JPEG that carry no length, and those that begin a frame and carry its size
_BARE = {0x01, *range(0xD0, 0xD9)}
_FRAME = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}


class MessageError(PainsenseError):
    """A message is not one of the live page; its words are for the person."""


@dataclass(frozen=True)
class Picture:
    """A JPEG, not mirrored, and when it was taken."""

    number: int
    time_s: float
    jpeg: bytes

    def decoded(self) -> Image:
        """The picture as RGB. MessageError when it is damaged, or no JPEG of a size that is taken here."""
        size = jpeg_size(self.jpeg)
        if size is None or not all(16 <= side <= MOST_SIDE_PX for side in size):
            came = "something else" if size is None else f"{size[0]} x {size[1]}"
            raise MessageError(f"A JPEG of at most {MOST_SIDE_PX} pixels a side was expected, {came} came.")
        bgr = cv2.imdecode(np.frombuffer(self.jpeg, np.uint8), cv2.IMREAD_COLOR)
        if bgr is None:
            raise MessageError("A picture came that cannot be read. Load the page again.")
        return np.asarray(cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB), np.uint8)


@dataclass(frozen=True)
class Block:
    """16 kHz mono sound, and when its first sample was taken."""

    number: int
    time_s: float
    samples: FloatArray


def read(message: str | bytes) -> dict[str, Any] | Picture | Block:
    """A message of the page: a JSON object, a picture or a block of sound. MessageError when it is none of them."""
    unknown = MessageError("The page sent something that is not known here. Load it again.")
    if isinstance(message, str):
        try:
            content = json.loads(message) if len(message) <= MOST_TEXT else None
        except (ValueError, RecursionError):
            content = None
        if not isinstance(content, dict):
            raise unknown
        return content
    if len(message) <= HEADER.size:
        raise unknown
    kind, number, time_s = HEADER.unpack_from(message)
    body = message[HEADER.size :]
    if not math.isfinite(time_s) or time_s < 0:
        raise unknown
    if kind == PICTURE and len(body) <= MOST_PICTURE_BYTES:
        return Picture(number, time_s, body)
    if kind == SOUND and len(body) <= MOST_SOUND_BYTES and len(body) % 2 == 0:
        return Block(number, time_s, np.frombuffer(body, "<i2").astype(np.float32) * np.float32(2**-15))
    raise unknown


def jpeg_size(content: bytes) -> tuple[int, int] | None:
    """Width and height as a JPEG's header has them, read before anything is decoded; None when it is no JPEG."""
    if content[:2] != b"\xff\xd8":
        return None
    at = 2
    while at + 9 <= len(content):
        if content[at] != 0xFF:
            return None
        marker = content[at + 1]
        if marker == 0xFF:  # fill
            at += 1
        elif marker in _BARE:
            at += 2
        elif marker in _FRAME:
            height, width = struct.unpack_from(">HH", content, at + 5)
            return width, height
        else:
            at += 2 + max(2, int.from_bytes(content[at + 2 : at + 4], "big"))
    return None
