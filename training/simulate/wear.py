"""Things worn on a simulated face: glasses, a mask over nose and mouth, an oxygen tube. Meshes fitted to each person.

Glasses are rigid and sit on the bridge of the nose and the ears. A mask hangs from the nose and the ears, and its lower
edge follows the chin. A tube lies on the skin and goes where the skin goes. (A hair band is painted on the skin.)
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from scipy import ndimage, spatial

from training.simulate.head import FloatArray
from training.simulate.looks import Glasses, Looks, Mask, OxygenTube, linear

IntArray = npt.NDArray[np.int32]


@dataclass(frozen=True)
class Mesh:
    """Triangles with a colour each.

    Attributes
    ----------
    position, normal : ndarray [shape=(n, 3), cm]
    triangles : ndarray [shape=(m, 3)]
    tint : ndarray [shape=(n, 4)] linear colour and opacity
    finish : ndarray [shape=(n, 4)] gloss, sharpness of the highlight, share of the room mirrored, cm drawn in front
    """

    position: FloatArray
    normal: FloatArray
    triangles: IntArray
    tint: FloatArray
    finish: FloatArray

    def rows(self) -> FloatArray:
        """What the graphics memory holds, ndarray [shape=(n, 14)]."""
        return np.concatenate([self.position, self.normal, self.tint, self.finish], axis=1, dtype=np.float32)


def joined(meshes: list[Mesh]) -> Mesh:
    """One mesh of several; their order is the order of drawing."""
    firsts = np.cumsum([0, *(len(mesh.position) for mesh in meshes)])
    return Mesh(
        position=np.concatenate([mesh.position for mesh in meshes]),
        normal=np.concatenate([mesh.normal for mesh in meshes]),
        triangles=np.concatenate([mesh.triangles + np.int32(k) for mesh, k in zip(meshes, firsts, strict=False)]),
        tint=np.concatenate([mesh.tint for mesh in meshes]),
        finish=np.concatenate([mesh.finish for mesh in meshes]),
    )


class Fitter:
    """Finds the places on a head where things sit.

    skin_end : the first vertex that is not skin
    eyes : the vertices of the left and the right eyeball
    outline : the vertices of the 68 points of the Multi-PIE markup
    """

    def __init__(self, rest: FloatArray, skin_end: int, eyes: tuple[slice, slice], outline: tuple[int, ...]) -> None:
        self._eyes, self._outline = eyes, outline
        self.chin = outline[8]
        skin = rest[:skin_end]
        angle, radius = np.arctan2(skin[:, 0], skin[:, 2] - 1.0), np.hypot(skin[:, 0], skin[:, 2] - 1.0)
        places = np.stack([angle * 9.0, skin[:, 1]], axis=1)
        near = spatial.KDTree(places).query_ball_point(places, 0.6)
        outermost = np.array([radius[group].max() for group in near])
        self._outer = np.flatnonzero((radius > outermost - 0.35) & (skin[:, 1] > -11))
        self._outer_tree = spatial.KDTree(places[self._outer])
        # the skin between the ears, without them
        face = (skin[:, 2] > 3.0) & (skin[:, 1] > -10.5) & (skin[:, 1] < 5) & (np.abs(angle) < 1.4)
        self._face = np.flatnonzero(face)
        self._ear_tops = [int(spatial.KDTree(skin).query((side * 7.4, 4.9, 0.6))[1]) for side in (1, -1)]
        self._tube_path = self._path()

    def _path(self) -> IntArray:
        """Three skin vertices near each point of an oxygen tube, from the person's left ear to the right one."""
        half = np.array(
            [(1.42, 4.9), (1.28, 3.8), (1.10, 2.0), (0.85, 0.5), (0.60, -0.7), (0.38, -1.35), (0.2, -1.55), (0, -1.6)]
        )  # angle from the front in radians, height in cm
        full = np.r_[half, half[-2::-1] * (-1, 1)]
        along = np.linspace(0, len(full) - 1, 57)
        spread = np.stack([np.interp(along, np.arange(len(full)), column) for column in full.T], axis=1)
        nearest = self._outer_tree.query(spread * (9.0, 1.0), k=3)[1]
        return np.asarray(self._outer[nearest], np.int32)

    def glasses(self, glasses: Glasses, person: FloatArray) -> Mesh:
        """A frame, its temples and lenses on the person at rest."""
        bridge = person[self._outline[27]] * 0.55 + person[self._outline[28]] * 0.45
        middle = [(person[eye].min(axis=0) + person[eye].max(axis=0)) / 2 for eye in self._eyes]
        brow = max(person[k][2] for k in self._outline[19:25])
        front = max(max(person[eye][:, 2].max() for eye in self._eyes) + 1.0, bridge[2] + 0.15, brow + 0.1)
        half_width, half_height = glasses.lens_cm
        eye_x = (middle[0][0] - middle[1][0]) / 2
        centre_x = max(eye_x + 0.1, half_width + 0.7)
        centre_y = (middle[0][1] + middle[1][1]) / 2 - 0.25
        round_by = np.linspace(0, 2 * np.pi, 41)[:-1]
        power = 2.0 / (2.0 + 4.0 * glasses.squareness)
        across = np.sign(np.cos(round_by)) * np.abs(np.cos(round_by)) ** power
        up = np.sign(np.sin(round_by)) * np.abs(np.sin(round_by)) ** power

        def on_front(x: FloatArray, y: FloatArray) -> FloatArray:
            """Points of the frame's front, which leans in below and wraps round the face a little."""
            z = front - 0.022 * x**2 + 0.12 * (y - centre_y)
            return np.stack([x, y, z], axis=1).astype(np.float32)

        colour = linear(glasses.colour)
        finish = (2.5, 60.0, 0.15, 0.05) if glasses.metal else (1.0, 30.0, 0.0, 0.05)
        opaque: list[Mesh] = []
        lenses: list[Mesh] = []
        for side, ear in zip((1, -1), self._ear_tops, strict=True):
            # narrower below and toward the nose, as most lenses are
            x = side * (centre_x + half_width * across * (1 + 0.06 * up))
            rim = on_front(x, centre_y + half_height * up)
            opaque.append(_tube(rim, glasses.rim_cm, np.array([0.0, 0.0, 1.0]), colour, 1.0, finish, closed=True))
            hinge = on_front(np.array([side * (centre_x + half_width)]), np.array([centre_y + 0.35 * half_height]))[0]
            corner = hinge + np.array([side * 0.45, 0.05, -0.35])
            end = person[ear] + np.array([side * 0.15, -0.2, -0.3])
            corner[0] = side * max(abs(corner[0]), 0.84 * abs(end[0]))
            temple = np.stack([hinge, corner, 0.5 * (corner + end) + np.array([side * 0.2, 0, 0]), end])
            thick = max(0.75 * glasses.rim_cm, 0.07)
            opaque.append(_tube(temple, thick, np.array([0.0, 1.0, 0.0]), colour, 1.0, (*finish[:3], 0.3)))
            lens = np.r_[rim.mean(axis=0, keepdims=True), rim]
            fan = np.stack([np.zeros(40), np.arange(40) + 1, (np.arange(40) + 1) % 40 + 1], axis=1).astype(np.int32)
            # a lens bulges, so its mirror image wanders over it
            bulge = np.zeros_like(lens)
            bulge[1:, :2] = 0.13 * (lens[1:, :2] - lens[0, :2])
            normal = _unit(bulge + np.array([side * 0.06, -0.12, 1.0]))
            glass = np.array([0.9, 0.95, 1.0])
            lenses.append(_painted(lens, normal, fan, glass, 0.03, (1.2, 200.0, glasses.reflection, 0.02)))
        inner = centre_x - half_width
        steps = np.linspace(-1, 1, 9)
        arch = on_front(inner * steps, centre_y + 0.35 * half_height + 0.3 * (1 - steps**2))
        opaque.append(_tube(arch, max(0.8 * glasses.rim_cm, 0.06), np.array([0.0, 0.0, 1.0]), colour, 1.0, finish))
        return joined([*opaque, *lenses])

    def mask(self, mask: Mask, person: FloatArray) -> tuple[Mesh, FloatArray]:
        """A pleated mask and its loops on the person at rest, with the mouth's relief smoothed away.

        Also the share of the chin's movement that each vertex follows, ndarray [shape=(n,)].
        """
        face = person[self._face]
        step = 0.35
        angles, heights = np.arange(-1.35, 1.351, step / 9), np.arange(-10.5, 4.5, step)
        column = np.searchsorted(angles, np.arctan2(face[:, 0], face[:, 2] - 1.0)) - 1
        row = np.searchsorted(heights, face[:, 1]) - 1
        radius = np.zeros((len(heights), len(angles)))
        inside = (column >= 0) & (row >= 0)
        np.maximum.at(radius, (row[inside], column[inside]), np.hypot(face[:, 0], face[:, 2] - 1.0)[inside])
        radius = ndimage.grey_closing(ndimage.maximum_filter(radius, 5), (5, 5))
        radius = ndimage.gaussian_filter(radius, 1.0) + 0.15

        nose = 0.3 * person[self._outline[28]][1] + 0.7 * person[self._outline[29]][1]
        chin = person[self._outline[8]][1]
        u, t = np.meshgrid(np.linspace(-1, 1, 33), np.linspace(0, 1, 25))
        top = nose - 0.6 - 1.6 * np.abs(u) ** 0.9
        bottom = chin - 0.7 + (0.42 * (nose - chin)) * np.abs(u) ** 2.2
        y = top + (bottom - top) * t
        angle = u * 1.05
        reach = ndimage.map_coordinates(
            radius, [(y - heights[0]) / step - 0.5, (angle - angles[0]) / (step / 9) - 0.5], order=1, mode="nearest"
        )
        points = np.stack([reach * np.sin(angle), y, reach * np.cos(angle) + 1.0], axis=2).astype(np.float32)
        normal = _unit(np.cross(np.gradient(points, axis=1), np.gradient(points, axis=0)))
        normal *= np.sign(normal[..., 2:].mean())
        pleats = 1.0 - 0.22 * (np.abs(np.sin(np.pi * (4.0 * t))) < 0.3) * (t > 0.15) * (t < 0.85)
        edge = 0.9 + 0.1 * (np.minimum(t, 1 - t) > 0.06)
        tint = np.ones((*u.shape, 4), np.float32)
        tint[..., :3] = linear(mask.colour) * (pleats * edge)[..., None]
        index = np.arange(u.size).reshape(u.shape)
        a, b, c, d = (index[:-1, :-1], index[:-1, 1:], index[1:, :-1], index[1:, 1:])
        quads = np.stack([a, c, b, b, c, d], axis=2).reshape(-1, 3).astype(np.int32)
        sheet = Mesh(
            position=points.reshape(-1, 3),
            normal=normal.reshape(-1, 3).astype(np.float32),
            triangles=_outward(points.reshape(-1, 3), normal.reshape(-1, 3), quads),
            tint=tint.reshape(-1, 4),
            finish=np.tile(np.array([0.05, 8.0, 0.0, 1.6], np.float32), (u.size, 1)),
        )
        loops = []
        for column_index, ear in zip((-1, 0), self._ear_tops, strict=True):
            side = 1.0 if column_index == -1 else -1.0
            top_end, low_end = points[1, column_index], points[-2, column_index]
            ear_top = person[ear] + np.array([side * 0.3, -0.2, -0.8])
            ear_low = ear_top + np.array([-side * 0.2, -3.6, -0.6])
            for start, end in ((top_end, ear_top), (low_end, ear_low)):
                path = start + (end - start) * np.linspace(0, 1, 6)[:, None]
                path[:, 0] += side * 0.35 * np.sin(np.pi * np.linspace(0, 1, 6))
                look = np.array([0.9, 0.9, 0.9]) * 0.8
                loops.append(_tube(path, 0.11, np.array([0.0, 1.0, 0.0]), look, 1.0, (0.1, 8.0, 0.0, 0.5)))
        mesh = joined([sheet, *loops])
        follows = np.zeros(len(mesh.position), np.float32)
        follows[: u.size] = (t**1.5 * (1 - u**2)).ravel()
        return mesh, follows

    def tube(self, tube: OxygenTube, person: FloatArray) -> Mesh:
        """An oxygen tube on the skin as it is just now, with its two prongs."""
        on_skin = person[self._tube_path].mean(axis=1)
        path = ndimage.gaussian_filter1d(on_skin, 1.3, axis=0, mode="nearest")
        outward = path - np.array([0.0, 0.0, 1.0])
        outward[:, 1] = 0.0
        sunk = np.linalg.norm(on_skin - path, axis=1, keepdims=True)  # where smoothing cut a corner
        path = path + _unit(outward) * (0.9 * tube.radius_cm + sunk)
        colour, finish = linear(tube.colour), (2.0, 50.0, 0.0, 0.25)
        look = np.array([0.0, 1.0, 0.0])
        meshes = [_tube(path, tube.radius_cm, look, colour, tube.opacity, finish)]
        middle = path[len(path) // 2]
        base = person[self._outline[33]]
        for side in (1.0, -1.0):
            low = middle + np.array([side * 0.6, 0.0, 0.0])
            high = np.array([base[0] + side * 0.6, base[1] + 0.35, base[2] - 0.25])
            prong = np.stack([low, 0.6 * low + 0.4 * high + np.array([0.0, 0.05, 0.12]), high])
            meshes.append(_tube(prong, 0.9 * tube.radius_cm, np.array([1.0, 0.0, 0.0]), colour, tube.opacity, finish))
        return joined(meshes)


class Worn:
    """All that one person wears, fitted to the face at rest; :meth:`mesh` follows an expression."""

    def __init__(self, fitter: Fitter, looks: Looks, person: FloatArray) -> None:
        self._fitter, self._looks, self._chin = fitter, looks, person[fitter.chin].copy()
        self._mask = None if looks.mask is None else fitter.mask(looks.mask, person)
        self._glasses = None if looks.glasses is None else fitter.glasses(looks.glasses, person)

    def mesh(self, face: FloatArray) -> Mesh | None:
        """What is worn on the face [shape=(n, 3), cm], in the order of drawing; None: nothing."""
        meshes = []
        if self._mask is not None:
            sheet, follows = self._mask
            moved = face[self._fitter.chin] - self._chin
            meshes.append(replace(sheet, position=sheet.position + follows[:, None] * moved))
        if self._looks.oxygen_tube is not None:
            meshes.append(self._fitter.tube(self._looks.oxygen_tube, face))
        if self._glasses is not None:
            meshes.append(self._glasses)
        return joined(meshes) if meshes else None


def _tube(
    path: npt.NDArray[np.floating],
    radius_cm: float,
    aside: npt.NDArray[np.float64],
    colour: npt.NDArray[np.float64],
    opacity: float,
    finish: tuple[float, float, float, float],
    *,
    closed: bool = False,
    around: int = 7,
) -> Mesh:
    """A tube along the path [shape=(n, 3), cm]; ``aside``: a direction that the path never takes."""
    n = len(path)
    ahead = np.roll(path, -1, axis=0) - np.roll(path, 1, axis=0)
    if not closed:
        ahead[0], ahead[-1] = path[1] - path[0], path[-1] - path[-2]
    one = _unit(np.cross(_unit(ahead), aside))
    other = _unit(np.cross(one, ahead))
    turn = np.linspace(0, 2 * np.pi, around + 1)[:-1, None]
    normal = one[:, None] * np.cos(turn) + other[:, None] * np.sin(turn)
    position = path[:, None] + radius_cm * normal
    row, column = np.meshgrid(np.arange(n if closed else n - 1), np.arange(around), indexing="ij")
    a, b = row * around + column, row * around + (column + 1) % around
    c, d = (row + 1) % n * around + column, (row + 1) % n * around + (column + 1) % around
    triangles = np.stack([a, c, b, b, c, d], axis=2).reshape(-1, 3).astype(np.int32)
    return _painted(position.reshape(-1, 3), normal.reshape(-1, 3), triangles, colour, opacity, finish)


def _painted(
    position: npt.NDArray[np.floating],
    normal: npt.NDArray[np.floating],
    triangles: IntArray,
    colour: npt.NDArray[np.float64],
    opacity: float,
    finish: tuple[float, float, float, float],
) -> Mesh:
    n = len(position)
    tint = np.tile(np.array([*colour, opacity], np.float32), (n, 1))
    return Mesh(
        np.asarray(position, np.float32),
        np.asarray(normal, np.float32),
        _outward(position, normal, triangles),
        tint,
        np.tile(np.array(finish, np.float32), (n, 1)),
    )


def _outward(position: npt.NDArray[np.floating], normal: npt.NDArray[np.floating], triangles: IntArray) -> IntArray:
    """The triangles, counter-clockwise seen from where their normals point to."""
    a, b, c = (position[triangles[:, k]] for k in range(3))
    inward = (np.cross(b - a, c - a) * normal[triangles[:, 0]]).sum(axis=1) < 0
    return np.asarray(np.where(inward[:, None], triangles[:, ::-1], triangles), np.int32)


def _unit(vectors: npt.NDArray[np.floating]) -> npt.NDArray[np.floating]:
    return np.asarray(vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-9))
