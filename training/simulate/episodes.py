"""Faces that move: expressions that rise and fall, blinks, speech, a head that is never quite still, and their truth.

An :class:`Episode` is built from courses. Each function here returns what it moves, as action unit intensities over
time; :func:`together` puts several on one face (where two move the same unit, the stronger one shows).
:func:`random_episode` lets expressions of :mod:`training.simulate.faces` come and go.

>>> episode = random_episode(np.random.default_rng(1))
>>> episode.kind, episode.truth()["pspi"].max()
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from training.simulate.faces import Expression, opposed_to, random_expression, random_gaze
from training.simulate.head import ACTION_UNITS, AU_NAMES, MAX_INTENSITY, both_sides, pspi
from training.simulate.looks import Person
from training.simulate.render import MULTI_PIE, Camera, Light, Pose, Renderer, RgbImage, project

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
    kind : what the whole episode is about
    """

    time_s: Series
    moves: Moves
    pose: Series
    gaze_deg: Series
    phase: tuple[str, ...] = field(default=())
    kind: str = "scripted"

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


# ---- episodes by chance

#: Units that speech moves in syllables, if they are part of the expression at all.
SPEECH_UNITS = ("AU26", "AU16", "AU18", "AU22")
#: What :attr:`Episode.kind` says of two expressions, one after the other; :attr:`Episode.phase` names them.
TWO_IN_A_ROW = "two in a row"


def random_episode(rng: np.random.Generator, seconds: float = 3.0, fps: float = 15.0) -> Episode:
    """An expression that comes and goes, sometimes two in a row, sometimes none, with blinks, gaze and a little sway.

    ``kind`` is that of :func:`training.simulate.faces.random_expression`, ``TWO_IN_A_ROW``, or "rest". ``pose`` is
    relative to where the person sits: near 0, but for what belongs to the expression (a cough's nod, a turn in pain).
    """
    if seconds < 1.0 or fps < 5.0:
        raise ValueError(f"an episode needs at least 1 s at 5 frames a second to move in, got {seconds} s at {fps}")
    time_s = np.arange(round(seconds * fps)) / fps
    count = int(rng.choice([0, 1, 2], p=[0.08, 0.70, 0.22]))
    acts = [_act(random_expression(rng), time_s, k * seconds / count, seconds / count, rng) for k in range(count)]
    moves = together(*(act.moves for act in acts))
    moves = together(moves, blinks(time_s, _blink_times(time_s, moves, rng)))
    _lower_raised_lids(moves)
    pose = sway(time_s, rng, yaw_deg=1.0, x_cm=0.3)
    for act in acts:
        pose[:, :3] += act.turn_deg
    phase = np.full(len(time_s), "rest", dtype=object)
    for act in acts:
        phase[act.level > 0] = act.kind
    kind = TWO_IN_A_ROW if count == 2 else acts[0].kind if acts else "rest"
    return Episode(time_s, moves, pose, _fixations(time_s, rng), tuple(str(word) for word in phase), kind)


@dataclass(frozen=True)
class _Act:
    """One expression in time: level 0-1 and head turn (yaw, pitch, roll) [shape=(n,), (n, 3)], and what it moves."""

    kind: str
    level: Series
    turn_deg: Series
    moves: Moves


def _act(shown: Expression, time_s: Series, start_s: float, span_s: float, rng: np.random.Generator) -> _Act:
    """An expression within ``span_s`` from ``start_s`` on, in the manner of its kind."""
    kinds = shown.kind.split(" + ")
    onset_s, apex_s, offset_s = rng.uniform((0.12, 0.15, 0.15), (0.30, 0.40, 0.30)) * span_s
    if "yawning" in kinds:
        onset_s, apex_s, offset_s = 0.38 * span_s, 0.25 * span_s, 0.33 * span_s
    if "drowsing" in kinds:  # slow down, quick up
        onset_s, apex_s, offset_s = rng.uniform(0.4, 0.6) * span_s, rng.uniform(0.1, 0.3) * span_s, 0.08 * span_s
    first_s = start_s + rng.uniform(0.0, span_s - onset_s - apex_s - offset_s)
    level = course(time_s, first_s, onset_s, apex_s, offset_s)
    if "coughing" in kinds:
        level = _bursts(time_s, first_s, onset_s + apex_s + offset_s, rng)
    if "blink" in kinds:
        level = course(time_s, first_s, 0.08, 0.04, 0.14)
    moves = _follow(shown.intensities, level, time_s, rng)
    if "speaking" in kinds:
        moves |= _speech(shown.intensities, level, time_s, rng)
    held_s = onset_s / 2 + apex_s + offset_s / 2
    if "pain" in kinds and held_s >= CLOSURE_S + 0.43 and rng.random() < 0.3:  # 0.43 s: lids down and up again
        moves = together(moves, closed_eyes(time_s, first_s + onset_s / 2, rng.uniform(CLOSURE_S + 0.43, held_s)))
    most = {"pain": (6.0, 8.0, 6.0), "coughing": (3.0, 9.0, 3.0), "drowsing": (3.0, 10.0, 5.0)}.get(kinds[0], (2, 2, 2))
    turn = rng.uniform(-1.0, 1.0, 3) * most
    if kinds[0] in ("coughing", "drowsing"):
        turn[1] = -abs(turn[1])
    return _Act(shown.kind, level, level[:, None] * turn, moves)


def _follow(intensities: Mapping[str, float], level: Series, time_s: Series, rng: np.random.Generator) -> Moves:
    """Every unit rises to its intensity with ``level``, up to a tenth of a second late, and trembles a little."""
    step_s = float(np.median(np.diff(time_s)))
    moves: Moves = {}
    for unit in ACTION_UNITS:
        late = np.interp(time_s - rng.uniform(0.0, 0.1), time_s, level)
        late *= 1 + 0.04 * _wander(len(level), rng, step_s)
        for name in (f"{unit.name}_L", f"{unit.name}_R") if unit.sided else (unit.name,):
            if name in intensities:
                moves[name] = np.clip(intensities[name] * late, 0.0, MAX_INTENSITY)
    return moves


def _bursts(time_s: Series, start_s: float, seconds: float, rng: np.random.Generator) -> Series:
    """Two to four short jolts, each weaker or stronger than the one before."""
    count = int(rng.integers(2, 5))
    starts_s = start_s + np.arange(count) * max(seconds / count, 0.3)
    jolts = [rng.uniform(0.6, 1.0) * course(time_s, at_s, 0.08, rng.uniform(0.05, 0.12), 0.2) for at_s in starts_s]
    return np.asarray(np.max(jolts, axis=0))


def _speech(intensities: Mapping[str, float], level: Series, time_s: Series, rng: np.random.Generator) -> Moves:
    """Syllables, 3 to 6 a second, while ``level`` is up: each moves the expression's speech units by some of theirs."""
    peaks = {name: value for name, value in intensities.items() if name.partition("_")[0] in SPEECH_UNITS}
    if "AU26" not in peaks and not any(name.partition("_")[0] in opposed_to("AU26") for name in intensities):
        peaks["AU26"] = float(rng.uniform(0.5, 2.5))
    syllable_s = 1.0 / rng.uniform(3.0, 6.0)
    moves: Moves = {name: np.zeros_like(time_s) for name in peaks}
    for start_s in np.arange(time_s[0], time_s[-1], syllable_s):
        opening = course(time_s, start_s, 0.5 * syllable_s, 0.0, 0.5 * syllable_s) * np.minimum(3 * level, 1.0)
        share = {unit: rng.uniform(0.2, 1.0) * (rng.random() < 0.75) for unit in SPEECH_UNITS}
        for name, peak in peaks.items():
            moves[name] = np.maximum(moves[name], peak * share[name.partition("_")[0]] * opening)
    return moves


def _blink_times(time_s: Series, moves: Moves, rng: np.random.Generator) -> list[float]:
    """When to blink, about every three seconds, and only while nothing else moves the lids."""
    lids = np.maximum(moves.get("AU43_L", np.zeros_like(time_s)), moves.get("AU43_R", np.zeros_like(time_s)))
    times_s: list[float] = []
    at_s = float(rng.uniform(0.0, 3.0))
    while at_s < time_s[-1] - 0.3:
        near = (time_s > at_s - 0.3) & (time_s < at_s + 0.6)
        if lids[near].max(initial=0.0) == 0.0:
            times_s.append(at_s)
        at_s += float(rng.uniform(0.7, 5.0))
    return times_s


def _lower_raised_lids(moves: Moves) -> None:
    """Take AU5 away as far as the lids close, as :func:`training.simulate.head.shape_activations` draws it."""
    for side in "LR":
        if f"AU5_{side}" in moves and f"AU43_{side}" in moves:
            moves[f"AU5_{side}"] = moves[f"AU5_{side}"] * (1.0 - moves[f"AU43_{side}"] / MAX_INTENSITY)


def _fixations(time_s: Series, rng: np.random.Generator) -> Series:
    """Where the eyes rest, one place after another, ndarray [shape=(n, 2), degrees]."""
    gaze = np.empty((len(time_s), 2))
    at_s = 0.0
    while at_s <= time_s[-1]:
        gaze[time_s >= at_s] = random_gaze(rng)
        at_s += float(rng.uniform(0.4, 2.5))
    return gaze
