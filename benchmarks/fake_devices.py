"""A recording as Chromium's fake camera and microphone, with a counter painted into each picture.

The counter lets whoever sees a picture say which one it is: the server that measured it, and the page that shows the
camera when the result comes. That is lag without any clock.
"""

from __future__ import annotations

import math
import wave
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from painsense import media

FPS = 30  # at which Chromium plays an .mjpeg
BITS = 12
CELL_PX = 12  # survives JPEG and a camera's scaling
AT_PX = (8, 8)  # left, top

Picture = npt.NDArray[np.uint8]


def paint(picture: Picture, number: int) -> None:
    """Paint a counter into the upper left corner: a white cell, a black one, then the bits, the lowest first."""
    left, top = AT_PX
    for k, bit in enumerate([1, 0, *((number >> shift) & 1 for shift in range(BITS))]):
        picture[top : top + CELL_PX, left + k * CELL_PX : left + (k + 1) * CELL_PX] = 255 * bit


def counter(picture: Picture) -> int | None:
    """The counter painted into a picture; None where there is none."""
    left, top = AT_PX
    middle = top + CELL_PX // 2
    grey = picture[middle - 2 : middle + 2].mean(axis=(0, 2))
    cells = [grey[left + k * CELL_PX + 3 : left + (k + 1) * CELL_PX - 3].mean() for k in range(BITS + 2)]
    if cells[0] < 160 or cells[1] > 96:
        return None
    return sum(int(cell > 128) << shift for shift, cell in enumerate(cells[2:]))


def make(recording: Path, folder: Path, stop_s: float = math.inf) -> tuple[Path, Path]:
    """Write ``camera.mjpeg`` at 30 pictures a second and ``microphone.wav``, and return where they are.

    Both last as long as the recording, or up to ``stop_s`` of it, and begin anew when they end.
    """
    clip = media.open_media(recording)
    stop_s = min(stop_s, clip.duration_s)
    camera, microphone = folder / "camera.mjpeg", folder / "microphone.wav"
    number = 0
    with camera.open("wb") as file:
        for time_s, image in media.read_frames(clip, 0.0, stop_s):
            while number / FPS <= time_s:
                picture = np.array(image)
                paint(picture, number)
                done, content = cv2.imencode(".jpg", picture[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 92])
                assert done
                file.write(content.tobytes())
                number += 1
    with wave.open(str(microphone), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(media.SAMPLE_RATE_HZ)
        for start_s, samples in media.read_audio(clip):
            left = max(0, round((stop_s - start_s) * media.SAMPLE_RATE_HZ))
            file.writeframes((np.clip(samples[:left], -1, 1) * 32767).astype("<i2").tobytes())
    return camera, microphone


def flags(camera: Path, microphone: Path) -> list[str]:
    """What makes Chromium take them for a camera and a microphone."""
    return [
        "--use-fake-ui-for-media-stream",
        "--use-fake-device-for-media-stream",
        f"--use-file-for-fake-video-capture={camera}",
        f"--use-file-for-fake-audio-capture={microphone}",
    ]
