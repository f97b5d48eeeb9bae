"""Frames of a recording -> the landmarks of one person, frame by frame.

The person is followed by geometry alone: where the face was tells where to look next. There is no face recognition, so
whenever the face is lost and found elsewhere that is said (``target_jump``, see :mod:`painsense.face`), not smoothed
over.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

import cv2
import numpy as np

from painsense.landmarks import (
    BLENDSHAPES,
    N_LANDMARKS,
    SAME_FACE_SIDES,
    Detection,
    FaceNetworks,
    Image,
    Square,
    Tracked,
    distance,
    full_view,
    largest,
    next_square,
    refine,
    search,
)
from painsense.tracks import FloatArray, TimeArray

LOOK_AROUND_S = 0.5  # how often other faces are looked for, and a lost face is searched in turned and enlarged views
REFINEMENTS = 2  # crops from a detector's loose box to one as good as a followed face has
LIGHT_PX = 128  # light and sharpness are judged on a crop of this side: detail finer than that does not move landmarks


@dataclass(frozen=True)
class Light:
    """What the pixels of a face say about light and focus.

    ``bright_level`` and ``dark_level`` are the 95th and 5th percentile of luma, 0-255: a face is too dark when even
    its brightest parts are dark, whatever the colour of the skin. ``sharpness`` is the energy of the Laplacian over
    that of the picture (after Pech-Pacheco et al. 2000, doi:10.1109/ICPR.2000.903548).
    """

    bright_level: float
    dark_level: float
    sharpness: float


@dataclass(frozen=True)
class Seen:
    """One frame: the followed person's face (None: not found) and how large the largest other face is beside it."""

    time_s: float
    width_px: int
    height_px: int
    tracked: Tracked | None
    light: Light | None
    other_face: float


@dataclass(frozen=True)
class Frames:
    """Frames of one stretch of a recording, in arrays; NaN where there was no face.

    Attributes
    ----------
    time_s : ndarray [shape=(n,), s]
    size_px : ndarray [shape=(n, 2), px], width and height of each analysed picture
    points_px : ndarray [shape=(n, 478, 3), px]
    blendshapes : ndarray [shape=(n, 52), 0-1]
    presence, bright_level, dark_level, sharpness : ndarray [shape=(n,)]
    other_face : ndarray [shape=(n,)], side of the largest other face over that of the followed one, 0 without
    """

    time_s: TimeArray
    size_px: FloatArray
    points_px: FloatArray
    blendshapes: FloatArray
    presence: FloatArray
    bright_level: FloatArray
    dark_level: FloatArray
    sharpness: FloatArray
    other_face: FloatArray


class Engine(Protocol):
    """What finds the landmarks of the next frame: :class:`Follower`, or the reference engine."""

    def step(self, image: Image, time_s: float) -> Seen:
        """The followed person in the next frame."""
        ...

    def close(self) -> None:
        """Let go of what the engine holds."""
        ...


class Follower:
    """Follows one person through frames given in order.

    Parameters
    ----------
    networks : the loaded networks
    person : "largest", or N for the N-th face from the left (1 is the leftmost as seen) where there are that many
    near : where the person was last, in pixels; goes before ``person``
    """

    def __init__(self, networks: FaceNetworks, person: str | int = "largest", near: Square | None = None) -> None:
        self._networks = networks
        self._person = person
        self._last = near
        self._square: Square | None = None
        self._tick = -math.inf
        self._other = 0.0

    def step(self, image: Image, time_s: float) -> Seen:
        """The followed person in the next frame."""
        tick = math.floor(time_s / LOOK_AROUND_S)
        due, self._tick = tick > self._tick, tick
        tracked = self._networks.track(image, self._square) if self._square else None
        if tracked is None:
            tracked = self._find(image, due)
        elif due:
            self._other = largest_other(self._networks.find(image, full_view(image)), tracked.square)
        height, width = image.shape[:2]
        if tracked is None:
            self._square, self._other = None, 0.0
            return Seen(time_s, width, height, None, None, 0.0)
        self._square = next_square(tracked.points_px)
        self._last = tracked.square
        return Seen(time_s, width, height, tracked, light(tracked.crop), self._other)

    def close(self) -> None:
        """Nothing to let go of: the networks stay with their thread."""

    def _find(self, image: Image, hard: bool) -> Tracked | None:
        found = search(self._networks, image, hard)
        target = self._choose(found)
        tracked = target
        for _ in range(REFINEMENTS):
            tracked = refine(self._networks, image, tracked) if tracked else None
        if target is not None:
            others = [other.square.side_px for other in found if other is not target]
            self._other = max(others, default=0.0) / target.square.side_px
        return tracked

    def _choose(self, found: list[Tracked]) -> Tracked | None:
        if not found:
            return None
        if self._last is not None:
            last = self._last
            return min(found, key=lambda tracked: distance(tracked.square, last))
        if isinstance(self._person, int):
            from_left = sorted(found, key=lambda tracked: tracked.square.x_px)
            return from_left[self._person - 1] if len(found) >= self._person else None
        return largest(found)


def follow(engine: Engine, frames: Iterable[tuple[float, Image]], from_s: float = -math.inf) -> Frames:
    """Follow a person through frames; those before ``from_s`` only warm up (the run-in of a segment)."""
    seen = []
    for time_s, image in frames:
        one = engine.step(image, time_s)
        if time_s >= from_s:
            seen.append(one)
    return collect(seen)


def collect(seen: list[Seen]) -> Frames:
    """Frames in arrays."""
    n = len(seen)
    points = np.full((n, N_LANDMARKS, 3), np.nan, np.float32)
    blendshapes = np.full((n, len(BLENDSHAPES)), np.nan, np.float32)
    scalars = np.full((n, 4), np.nan, np.float32)
    for row, one in enumerate(seen):
        if one.tracked is not None and one.light is not None:
            points[row] = one.tracked.points_px
            blendshapes[row] = one.tracked.blendshapes
            scalars[row] = one.tracked.presence, one.light.bright_level, one.light.dark_level, one.light.sharpness
    return Frames(
        time_s=np.array([one.time_s for one in seen], np.float64),
        size_px=np.array([(one.width_px, one.height_px) for one in seen], np.float32).reshape(n, 2),
        points_px=points,
        blendshapes=blendshapes,
        presence=scalars[:, 0],
        bright_level=scalars[:, 1],
        dark_level=scalars[:, 2],
        sharpness=scalars[:, 3],
        other_face=np.array([one.other_face for one in seen], np.float32),
    )


def light(crop: Image) -> Light:
    """Light and focus of a face from the landmark network's crop, ndarray [shape=(256, 256, 3)]."""
    grey = cv2.cvtColor(cv2.resize(crop, (LIGHT_PX, LIGHT_PX), interpolation=cv2.INTER_AREA), cv2.COLOR_RGB2GRAY)
    margin = LIGHT_PX // 6
    inner = grey[margin:-margin, margin:-margin]  # the face without what is around it
    levels = np.cumsum(np.bincount(inner.ravel(), minlength=256))
    bright, dark = (float(np.searchsorted(levels, share * levels[-1])) for share in (0.95, 0.05))
    (edges,), (contrast,) = (cv2.meanStdDev(part)[1][0] for part in (cv2.Laplacian(grey, cv2.CV_16S), grey))
    return Light(bright, dark, float(edges**2 / (contrast**2 + 1)))


def largest_other(found: list[Detection], target: Square) -> float:
    """Side of the largest detected face that is not the target, over the target's own; 0 when there is none."""
    own = [d.box.side_px for d in found if distance(d.box, target) <= SAME_FACE_SIDES]
    others = [d.box.side_px for d in found if distance(d.box, target) > SAME_FACE_SIDES]
    if not others:
        return 0.0
    return max(others) / (max(own) if own else target.side_px)
