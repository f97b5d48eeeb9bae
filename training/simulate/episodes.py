"""Faces that move: expressions that rise and fall, blinks, speech, a head that is never quite still, and their truth.

An :class:`Episode` is built from courses. Each function here returns what it moves, as action unit intensities over
time; :func:`together` puts several on one face (where two move the same unit, the stronger one shows).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from training.simulate.head import ACTION_UNITS, AU_NAMES, MAX_INTENSITY, both_sides, pspi
from training.simulate.render import MULTI_PIE, Camera, Light, Person, Pose, Renderer, RgbImage, project

Series = npt.NDArray[np.float64]
Moves = dict[str, Series]

#: Eyes count as closed from this AU43 intensity on (four fifths of the way down, as PERCLOS counts).
CLOSED_INTENSITY = 4.0
#: A closure of at least this long is AU43; a shorter one is a blink (AU45).
CLOSURE_S = 0.5

#: Expressions at strength 1. Pain (Prkachin & Solomon 2008, doi 10.1016/j.pain.2008.04.010) without its closed eyes.
PAIN: Mapping[str, float] = {"AU4": 3.2, "AU6": 3.0, "AU7": 2.8, "AU9": 2.6, "AU10": 2.2, "AU16": 0.8, "AU20": 0.9}
SMILE: Mapping[str, float] = {"AU12": 4.0, "AU6": 2.4, "AU7": 0.4}
_SIDED = {unit.name: unit.sided for unit in ACTION_UNITS}


def course(time_s: Series, start_s: float, onset_s: float, apex_s: float, offset_s: float) -> Series:
    """0 before ``start_s``, smoothly to 1 within the onset, 1 during the apex, smoothly back; ndarray [shape=(n,)]."""
    rise = np.clip((time_s - start_s) / onset_s, 0, 1)
    fall = np.clip((start_s + onset_s + apex_s + offset_s - time_s) / offset_s, 0, 1)
    level = np.minimum(rise, fall)
    return np.asarray(level * level * (3 - 2 * level), np.float64)


def blinks(time_s: Series, starts_s: Sequence[float]) -> Moves:
    """Quick closures: shut within 80 ms, open again within 140 ms more after 40 ms."""
    closure = np.zeros_like(time_s)
    for start_s in starts_s:
        closure = np.maximum(closure, course(time_s, start_s, 0.08, 0.04, 0.14))
    return {"AU43": MAX_INTENSITY * closure}


def closed_eyes(time_s: Series, start_s: float, seconds: float) -> Moves:
    """Eyes squeezed shut for ``seconds`` in all."""
    return {"AU43": MAX_INTENSITY * course(time_s, start_s, 0.18, seconds - 0.43, 0.25)}


def expression(shares: Mapping[str, float], level: Series, rng: np.random.Generator) -> Moves:
    """An expression of ``shares`` (intensity at level 1) that follows ``level`` (0-1), ndarray [shape=(n,)].

    Real faces are uneven: left and right differ by some percent, units start within a tenth of a second of each other,
    and the apex trembles a little.
    """
    moves: Moves = {}
    steps = np.arange(len(level), dtype=float)
    for name, share in shares.items():
        delayed = np.interp(steps - rng.uniform(0, 3), steps, level)
        tremble = 1 + 0.05 * _wander(len(level), rng, 0.15)
        lean = rng.normal(0, 0.05)
        for side, sign in (("_L", 1), ("_R", -1)) if _SIDED[name] else (("", 0),):
            moves[name + side] = np.clip(share * delayed * tremble * (1 + sign * lean), 0, MAX_INTENSITY)
    return moves


def voice_moves(mouth_open: Series, rounding: Series) -> Moves:
    """The mouth of a voice: ``mouth_open`` (0-1) lowers jaw and lower lip, ``rounding`` (0-1) funnels the lips."""
    return {"AU26": 2.0 * mouth_open, "AU16": 1.6 * mouth_open, "AU22": 1.6 * rounding}


def together(*all_moves: Moves) -> Moves:
    """Several on one face: each unit, and each side of it, shows its strongest move."""
    result: Moves = {}
    for moves in all_moves:
        for name, values in moves.items():
            for key in (f"{name}_L", f"{name}_R") if _SIDED.get(name) else (name,):
                result[key] = np.maximum(result[key], values) if key in result else values
    return result


def sway(time_s: Series, rng: np.random.Generator, yaw_deg: float = 2.0, x_cm: float = 0.6) -> Series:
    """Slow small movement of a sitting person, ndarray [shape=(n, 5)]: yaw, pitch, roll in degrees, x, y in cm."""
    step_s = float(np.median(np.diff(time_s)))
    amounts = np.array([yaw_deg, 0.6 * yaw_deg, 0.5 * yaw_deg, x_cm, 0.4 * x_cm])
    return np.asarray(np.stack([_wander(len(time_s), rng, step_s) for _ in amounts], axis=1) * amounts)


def _wander(n: int, rng: np.random.Generator, step_s: float) -> Series:
    """A slow random line of unit standard deviation that starts at 0."""
    t = np.arange(n) * step_s
    line = np.zeros(n)
    for _ in range(5):
        hz, phase = rng.uniform(0.05, 0.45), rng.uniform(0, 2 * np.pi)
        line += rng.normal() * (np.sin(2 * np.pi * hz * t + phase) - np.sin(phase)) / (1 + 4 * hz)
    return np.asarray(line / max(float(np.std(line)), 1e-9))


@dataclass(frozen=True)
class Episode:
    """What a face does over n frames.

    Attributes
    ----------
    time_s : ndarray [shape=(n,), s]
    moves : action unit (sided ones as "AU4_L", "AU4_R") -> ndarray [shape=(n,), intensity 0-5]
    pose : ndarray [shape=(n, 5)], yaw, pitch, roll in degrees, x, y in cm; see :class:`training.simulate.render.Pose`
    gaze_deg : ndarray [shape=(n, 2)], toward the person's left, up, relative to the head
    phase : what is going on, a word for each frame
    """

    time_s: Series
    moves: Moves
    pose: Series
    gaze_deg: Series
    phase: tuple[str, ...] = field(default=())

    def __post_init__(self) -> None:
        n = len(self.time_s)
        for what, length in {**{k: len(v) for k, v in self.moves.items()}, "pose": len(self.pose)}.items():
            if length != n:
                raise ValueError(f"{what} has {length} frames, time_s has {n}")
        if self.phase and len(self.phase) != n:
            raise ValueError(f"phase has {len(self.phase)} frames, time_s has {n}")

    def intensities(self, index: int) -> dict[str, float]:
        """Action unit intensities of one frame."""
        return {name: float(values[index]) for name, values in self.moves.items()}

    def pose_at(self, index: int) -> Pose:
        return Pose(*(float(value) for value in self.pose[index]))

    def frames(self, renderer: Renderer, person: Person, camera: Camera, light: Light) -> Iterator[RgbImage]:
        """The pictures, RGB uint8."""
        for index in range(len(self.time_s)):
            gaze = (float(self.gaze_deg[index, 0]), float(self.gaze_deg[index, 1]))
            yield renderer.draw(person, self.intensities(index), self.pose_at(index), camera, light, gaze)

    def truth(self) -> dict[str, Series]:
        """Column name -> ndarray [shape=(n,)]: each unit's mean intensity and its sides, "pspi", "closed", "blink"."""
        n = len(self.time_s)
        columns: dict[str, Series] = {}
        for name in AU_NAMES:
            sides = [self.moves.get(f"{name}_{side}" if _SIDED[name] else name, np.zeros(n)) for side in "LR"]
            columns[name] = (sides[0] + sides[1]) / 2
            if _SIDED[name]:
                columns[f"{name}_L"], columns[f"{name}_R"] = sides
        for index in range(n):
            both_sides(self.intensities(index))  # raises on a name or intensity that cannot be
        closed, blink = closures(self.time_s, columns["AU43"])
        columns["pspi"] = np.array(
            [pspi({name: columns[name][k] for name in AU_NAMES}, bool(closed[k])) for k in range(n)]
        )
        columns["closed"], columns["blink"] = closed.astype(float), blink.astype(float)
        return columns

    def in_frame(self, renderer: Renderer, person: Person, camera: Camera) -> Series:
        """Share of the face's outline and features that lies within the picture, ndarray [shape=(n,), 0-1]."""
        points = renderer.head.person(person.identity)[list(MULTI_PIE)]
        size = np.array([renderer.width_px, renderer.height_px])
        shares = []
        for index in range(len(self.time_s)):
            seen = project(points, self.pose_at(index), camera, *size)
            shares.append(((seen >= 0) & (seen < size)).all(axis=1).mean())
        return np.array(shares)


def closures(time_s: Series, au43: Series) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
    """Eyes closed for at least ``CLOSURE_S``, and blinking: any shorter closing, down and up; [shape=(n,)] each."""
    closed = _runs(time_s, au43 >= CLOSED_INTENSITY, CLOSURE_S, np.inf)
    moving = au43 > 0.05 * MAX_INTENSITY
    blink = _runs(time_s, moving, 0.0, CLOSURE_S)
    return closed, blink


def _runs(time_s: Series, on: npt.NDArray[np.bool_], at_least_s: float, below_s: float) -> npt.NDArray[np.bool_]:
    """Keep the runs of True that last long enough and not too long."""
    step_s = float(np.median(np.diff(time_s))) if len(time_s) > 1 else 0.0
    edges = np.flatnonzero(np.diff(np.r_[False, on, False].astype(int)))
    kept = np.zeros(len(on), bool)
    for first, end in zip(edges[::2], edges[1::2], strict=True):
        if at_least_s <= (end - first) * step_s < below_s:
            kept[first:end] = True
    return kept
