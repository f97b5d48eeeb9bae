"""What a camera makes of a rendered picture: light, colour, distance, focus, movement, noise, compression.

>>> photo, shot = take(picture, np.random.default_rng(1), face_px=95.0)
>>> photo.shape[1] == round(picture.shape[1] * shot.scale)
True

All chance comes from the generator that is given, so the same seed takes the same photo.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache

import cv2
import numpy as np
import numpy.typing as npt
import torch
from torchvision.transforms.v2 import functional as F

RgbImage = npt.NDArray[np.uint8]

#: Outer eye corners in the smallest photos, px: somebody 1.6 m before a camera 1280 px and 60 degrees wide.
SMALLEST_FACE_PX = 60.0
#: Display gamma: a picture's value is about the light to the power 1 / GAMMA.
GAMMA = 2.2
#: ``jpeg_quality`` of a photo that is not compressed.
UNCOMPRESSED = 100
#: Noise of the dark, as light relative to white, in units of the shot noise of white: where it begins to prevail.
READ_NOISE = 0.01
#: Share of photos with hardly any fault.
CLEAN_SHARE = 0.33


@dataclass(frozen=True)
class Shot:
    """How a photo was taken. The defaults change nothing.

    Attributes
    ----------
    scale : width of the photo relative to the picture's, at most 1
    exposure_ev : stops over (> 0) or under (< 0)
    gamma : of the tone curve; over 1 darkens the middle tones
    contrast : 1 as it was, 0 grey
    cast_red, cast_blue : gain of red and of blue light by a wrong white balance
    defocus_px : standard deviation of the blur in the photo
    motion_px, motion_deg : length of the smear in the photo, and its direction, 0 along x, 90 down
    noise : standard deviation of the noise of white, relative to white (0-1); dark parts have more of it
    jpeg_quality : 1-95, or ``UNCOMPRESSED``
    """

    scale: float = 1.0
    exposure_ev: float = 0.0
    gamma: float = 1.0
    contrast: float = 1.0
    cast_red: float = 1.0
    cast_blue: float = 1.0
    defocus_px: float = 0.0
    motion_px: float = 0.0
    motion_deg: float = 0.0
    noise: float = 0.0
    jpeg_quality: int = UNCOMPRESSED


def take(image: RgbImage, rng: np.random.Generator, face_px: float) -> tuple[RgbImage, Shot]:
    """A photo of a picture, RGB uint8 ndarray [shape=(height, width, 3)], often smaller, and what was done.

    image : RGB uint8 ndarray [shape=(height, width, 3)]
    face_px : distance of the outer eye corners in ``image``; blur is relative to it, and smaller photos keep 60 px
    """
    shot = random_shot(rng, face_px)
    return develop(image, shot, rng), shot


def random_shot(rng: np.random.Generator, face_px: float) -> Shot:
    """How a photo may be taken: a third with hardly a fault, the others with some, severe ones rarely."""
    scale = 1.0
    if face_px > SMALLEST_FACE_PX and rng.random() < 0.55:
        scale = float((SMALLEST_FACE_PX / face_px) ** rng.random())
    if rng.random() < CLEAN_SHARE:
        return Shot(
            scale=scale,
            exposure_ev=float(rng.normal(0.0, 0.15)),
            cast_red=_cast(rng, 0.02),
            cast_blue=_cast(rng, 0.02),
            noise=_seldom_much(rng, 0.5, 0.008),
            jpeg_quality=int(rng.integers(85, 96)),
        )
    seen_px = face_px * scale
    exposure_ev = float(np.clip(rng.normal(-0.1, 0.6), -2.0, 1.2))
    return Shot(
        scale=scale,
        exposure_ev=exposure_ev,
        gamma=float(np.exp(np.clip(rng.normal(0.0, 0.13), -0.35, 0.35))),
        contrast=float(np.clip(rng.normal(0.98, 0.12), 0.6, 1.3)),
        cast_red=_cast(rng, 0.09),
        cast_blue=_cast(rng, 0.12),
        defocus_px=_seldom_much(rng, 0.5, 0.025) * seen_px,
        motion_px=_seldom_much(rng, 0.35, 0.09) * seen_px,
        motion_deg=float(rng.uniform(0.0, 180.0)),
        noise=_seldom_much(rng, 0.7, 0.045) * 2.0 ** (-min(exposure_ev, 0.0) / 2),  # little light, little signal
        jpeg_quality=round(95 - 70 * rng.random() ** 1.3),
    )


def _cast(rng: np.random.Generator, spread: float) -> float:
    return float(np.exp(np.clip(rng.normal(0.0, spread), -2.5 * spread, 2.5 * spread)))


def _seldom_much(rng: np.random.Generator, chance: float, most: float) -> float:
    """0, or with ``chance`` something up to ``most``, half of the time less than a quarter of it."""
    return float(most * rng.random() ** 2) if rng.random() < chance else 0.0


def develop(image: RgbImage, shot: Shot, rng: np.random.Generator) -> RgbImage:
    """The photo of ``shot``, in the order of a real camera; ``rng`` makes its noise. ``image`` stays as it is.

    Defocus and movement are applied to the smaller photo, where they cost less and mean the same.
    """
    photo = _expose(image, shot)
    if shot.scale < 1.0:
        height, width = image.shape[:2]
        size = [max(1, round(height * shot.scale)), max(1, round(width * shot.scale))]
        photo = F.resize(photo, size, antialias=True)
    if shot.defocus_px >= 0.2 or shot.motion_px >= 0.5 or shot.noise > 0.0:
        light = photo.contiguous().float().div_(255.0)
        if shot.defocus_px >= 0.2:  # less than that is lost between two pixels
            light = _defocus(light, shot.defocus_px)
        if shot.motion_px >= 0.5:
            light = _smear(light, shot.motion_px, shot.motion_deg)
        if shot.noise > 0.0:
            light = _add_noise(light, shot.noise, rng)
        photo = light.mul_(255.0).add_(0.5).clamp_(0.0, 255.0).to(torch.uint8)
    if shot.jpeg_quality != UNCOMPRESSED:
        photo = F.jpeg(photo, shot.jpeg_quality)
    return np.ascontiguousarray(photo.permute(1, 2, 0).numpy())


def _expose(image: RgbImage, shot: Shot) -> torch.Tensor:
    """Exposure, white balance and tone curve, uint8 Tensor [shape=(3, height, width)].

    None of them looks at a neighbouring pixel, so they are worked out once for each of the 256 values of each colour.
    """
    ramp = torch.linspace(0.0, 1.0, 256).expand(3, 1, 256)
    gains = np.array([shot.cast_red, 1.0, shot.cast_blue]) * 2.0**shot.exposure_ev
    curve = (ramp * torch.tensor(gains ** (1.0 / GAMMA), dtype=torch.float32)[:, None, None]).clamp_(0.0, 1.0)
    curve = (curve - 0.5) * shot.contrast + 0.5
    curve = F.adjust_gamma(curve.clamp_(0.0, 1.0), shot.gamma)
    table = F.to_dtype(curve, torch.uint8, scale=True).permute(1, 2, 0).numpy()
    return torch.from_numpy(cv2.LUT(image, table)).permute(2, 0, 1)


def _defocus(light: torch.Tensor, sigma_px: float) -> torch.Tensor:
    """A soft blur; along x and then along y, which is the same as both at once and faster."""
    size = 2 * math.ceil(2.5 * sigma_px) + 1
    along_x = F.gaussian_blur(light, [size, 1], [sigma_px, sigma_px])
    return F.gaussian_blur(along_x, [1, size], [sigma_px, sigma_px])


def _smear(light: torch.Tensor, length_px: float, direction_deg: float) -> torch.Tensor:
    """The mean along a line. A line has few pixels: adding shifted pictures beats a convolution with a full kernel."""
    steps = np.linspace(-0.5, 0.5, 2 * math.ceil(length_px) + 1) * length_px
    x, y = steps * math.cos(math.radians(direction_deg)), steps * math.sin(math.radians(direction_deg))
    taps: dict[tuple[int, int], float] = {}
    for at_x, at_y in zip(x, y, strict=True):
        left, top = math.floor(at_x), math.floor(at_y)
        for column, row in ((left, top), (left + 1, top), (left, top + 1), (left + 1, top + 1)):
            weight = (1 - abs(at_x - column)) * (1 - abs(at_y - row)) / len(steps)
            if weight > 1e-4:
                taps[column, row] = taps.get((column, row), 0.0) + weight
    reach = max(max(abs(column), abs(row)) for column, row in taps)
    height, width = light.shape[-2:]
    wide = F.pad(light, [reach], padding_mode="edge")
    total = sum(taps.values())
    result = torch.zeros_like(light)
    for (column, row), weight in taps.items():
        part = wide[:, reach + row : reach + row + height, reach + column : reach + column + width]
        result.add_(part, alpha=weight / total)
    return result


def _add_noise(light: torch.Tensor, noise: float, rng: np.random.Generator) -> torch.Tensor:
    """Shot and read noise: in light its size goes by sqrt(light + READ_NOISE), and the tone curve lifts it in the dark.

    With value = sqrt(light), near enough to a display's curve, a small error of light is 1 / (2 value) of that in
    value; the slope is held where the picture is black, as displays do, so black has twice the noise of white.
    """
    brightness = light.mean(dim=0).clamp_(0.0, 1.0).square_()
    size = ((brightness + READ_NOISE) / (brightness + 0.25 * READ_NOISE)).sqrt_().mul_(noise)
    sheet = _noise_sheet()
    start = int(rng.integers(max(1, len(sheet) - light.numel())))
    grain = sheet[start : start + light.numel()] if light.numel() <= len(sheet) else _grain(light.numel(), rng)
    return light.addcmul_(grain.view(light.shape), size)


def _grain(n: int, rng: np.random.Generator) -> torch.Tensor:
    return torch.from_numpy(rng.standard_normal(n, np.float32))


@cache
def _noise_sheet() -> torch.Tensor:
    """Two million standard normal numbers, the same in every process. A stretch of them is a small picture's grain.

    Drawing new ones for each picture would take as long as all the rest.
    """
    return _grain(2_000_000, np.random.default_rng(0))
