"""augment: recordings as they might also have been: windows in training; landmarks and sound before they are measured.

Windows are cheap to change and are changed anew each time they are shown (:func:`windows`). Landmarks and sound are
changed before painsense measures them (:func:`faces`, :func:`sound`), so that what a turned head or a noisy room does
to the measures is real: copies that :mod:`training.fusion.prepare` makes for the training side (``--copies``).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from painsense.follow import Frames
from painsense.landmarks import BLENDSHAPES
from painsense.tracks import FloatArray
from training.fusion.settings import Settings

STEPS = 20


def windows(x: Tensor, scale: Tensor, how: Settings, rng: torch.Generator, fixed: int = 0) -> Tensor:
    """Windows of one modality [n, 20, F] with noise, an offset and holes; NaN stays NaN.

    ``scale`` [F] is the unit of noise and offset; the last ``fixed`` features get neither.
    """
    n, steps, features = x.shape

    def drawn(*shape: int) -> Tensor:
        return torch.randn(shape, generator=rng, device=x.device)

    unit = scale.clone()
    if fixed:
        unit[-fixed:] = 0.0
    x = x + unit * (how.noise * drawn(n, steps, features) + how.offset * drawn(n, 1, features))
    first, length = (torch.rand((n, 1), generator=rng, device=x.device) * steps for _ in range(2))
    hit = torch.rand((n, 1), generator=rng, device=x.device) < how.holes
    step = torch.arange(steps, device=x.device)
    hole = hit & (step >= first) & (step < first + length)
    return x.masked_fill(hole[..., None], float("nan"))


@dataclass(frozen=True)
class View:
    """How far a face is moved before it is measured anew. Choices, not findings.

    Attributes
    ----------
    perspective : of the corners of the picture, as a share of its half size
    degrees : turned in the picture
    shift : as a share of the picture
    scale : least and most
    mirror : chance of a mirror image
    """

    perspective: float = 0.2
    degrees: float = 12.0
    shift: float = 0.05
    scale: tuple[float, float] = (0.85, 1.15)
    mirror: float = 0.5


def faces(frames: Frames, mirrored: npt.NDArray[np.int64], seed: int, how: View | None = None) -> Frames:
    """Frames of one recording as another camera would have taken them, landmarks and blendshapes; light stays."""
    how = how or View()
    size_px = int(frames.size_px[0, 0]), int(frames.size_px[0, 1])
    points = landmarks(frames.points_px, size_px, mirrored, seed, how)
    blendshapes = frames.blendshapes[:, _OTHER_SIDE] if _reflects(seed, how) else frames.blendshapes
    return replace(frames, points_px=points, blendshapes=blendshapes)


def _other_side(name: str) -> str:
    for side, other in (("Left", "Right"), ("Right", "Left")):
        if name.endswith(side):
            return name.removesuffix(side) + other
    return name


_OTHER_SIDE = [BLENDSHAPES.index(_other_side(name)) for name in BLENDSHAPES]


def _reflects(seed: int, how: View) -> bool:
    return bool(np.random.default_rng([seed, 1]).random() < how.mirror)


def landmarks(
    points_px: FloatArray, size_px: tuple[int, int], mirrored: npt.NDArray[np.int64], seed: int, how: View | None = None
) -> FloatArray:
    """Landmarks of one recording as another camera would have seen them; one camera for all its frames.

    Parameters
    ----------
    points_px : ndarray [shape=(n, 478, 3)], x, y and z in pixels; frames with NaN stay as they are
    size_px : width and height of the picture
    mirrored : ndarray [shape=(478,)], which landmark stands where in a mirror image
        (:func:`training.face_shape.mirror_landmarks`)
    seed : the same seed gives the same camera

    Depth is scaled as much as the picture is: neither transform of the picture says more about it.
    """
    from torchvision import tv_tensors
    from torchvision.transforms import v2

    how = how or View()
    width, height = size_px
    flip = v2.RandomHorizontalFlip(p=1.0)
    reflected = _reflects(seed, how)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        camera = v2.Compose(
            [
                *([flip] if reflected else []),
                v2.RandomPerspective(distortion_scale=how.perspective, p=1.0),
                v2.RandomAffine(degrees=how.degrees, translate=(how.shift, how.shift), scale=how.scale),
            ]
        )
        there = np.isfinite(points_px).all(axis=(1, 2))
        flat = torch.from_numpy(points_px[there, :, :2].reshape(-1, 2).copy())
        keypoints = tv_tensors.KeyPoints(flat, canvas_size=(height, width))
        moved = np.asarray(camera(keypoints), np.float32).reshape(-1, points_px.shape[1], 2)
    result = points_px.copy()
    result[there, :, :2] = moved
    grown = np.sqrt(_area(moved) / np.maximum(_area(points_px[there, :, :2]), 1e-6))
    result[there, :, 2] = points_px[there, :, 2] * grown[:, None]
    if reflected:
        result = result[:, mirrored]
    return result


def _area(points: npt.NDArray[np.floating]) -> npt.NDArray[np.floating]:
    """Of what the points of each frame spread over, [n, m, 2] -> [n]."""
    return np.asarray(points[..., 0].std(axis=1) * points[..., 1].std(axis=1))


@dataclass(frozen=True)
class Sound:
    """What is done to a recording's sound before it is measured anew. Choices, not findings.

    ``gain_db`` and ``tilt_db`` (per octave, around 1 kHz) either way at most; ``snr_db`` least and most of the noise
    that is added; ``room`` chance of a room's echoes, ``noise`` chance of noise.
    """

    gain_db: float = 12.0
    tilt_db: float = 2.0
    snr_db: tuple[float, float] = (10.0, 40.0)
    room: float = 0.5
    noise: float = 0.7


def sound(y: npt.NDArray[np.float32], sr: float, rng: np.random.Generator, how: Sound | None = None) -> FloatArray:
    """A recording as another microphone in another room would have taken it down; as long as it was.

    Neither pitch nor speed change: they are what is measured. Holes (NaN) stay holes.

    Parameters
    ----------
    y : ndarray [shape=(k,)], full scale 1
    """
    how = how or Sound()
    there = np.isfinite(y)
    x = np.where(there, y, 0.0).astype(np.float64)
    if not len(x):
        return y.copy()
    level = float(np.sqrt(np.mean(x[there] ** 2))) if there.any() else 0.0
    if rng.random() < how.room:
        k = max(2, round(rng.uniform(0.15, 0.6) * sr))
        tail = rng.normal(size=k) * 10 ** (-3 * np.arange(k) / k)
        tail *= 10 ** (-rng.uniform(3, 15) / 20) / np.sqrt(np.sum(tail**2))
        tail[0] = 1.0
        size = 1 << (len(x) + k - 1).bit_length()
        x = np.fft.irfft(np.fft.rfft(x, size) * np.fft.rfft(tail, size), size)[: len(x)]
    if rng.random() < how.noise:
        hz = np.maximum(np.fft.rfftfreq(len(x), 1 / sr), 20.0)
        grain = np.fft.irfft(np.fft.rfft(rng.normal(size=len(x))) / np.sqrt(hz), len(x))
        x += grain / max(float(grain.std()), 1e-12) * level * 10 ** (-rng.uniform(*how.snr_db) / 20)
    hz = np.clip(np.fft.rfftfreq(len(x), 1 / sr), 60.0, 8000.0)
    tilt = rng.uniform(-how.tilt_db, how.tilt_db) * np.log2(hz / 1000)
    x = np.fft.irfft(np.fft.rfft(x) * 10 ** (tilt / 20), len(x)) * 10 ** (rng.uniform(-how.gain_db, how.gain_db) / 20)
    x /= max(1.0, float(np.abs(x).max()) / 0.99)
    return np.where(there, x, np.nan).astype(np.float32)
