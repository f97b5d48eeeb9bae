"""What a simulated person shows: bouts of pain and everything that is not pain, as courses of true action units.

An :class:`Act` is one thing a person does, from its first sign to its last. :func:`pain_act` and :func:`other_act` make
one; :func:`mouth_moves` and :func:`blinks` add what goes on all the time. What happens how often and how
strongly stands in :mod:`training.fusion.numbers`; the bends of single movements are choices made here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from training.fusion.numbers import KINDS, PAIN_PARTS, PATTERNS, span, value
from training.simulate.episodes import CLOSURE_S, course
from training.simulate.faces import opposed_to
from training.simulate.head import AU_NAMES, MAX_INTENSITY

Series = npt.NDArray[np.float64]
Rng = np.random.Generator

FPS = 15.0
SHUT_S = 0.43  # lids down and up again, besides the time they are shut
_JAW, _BROWS, _LIPS = 0.5, 0.4, 0.3  # what counts beside PSPI as shown pain, see "shown_per_level"
_PLACE = {name: k for k, name in enumerate(AU_NAMES)}


@dataclass(frozen=True)
class Manner:
    """How somebody shows pain: a pattern of :data:`PATTERNS`, and how much of the level is in face and voice."""

    pattern: str
    face_gain: float
    voice_share: float


@dataclass(frozen=True)
class Act:
    """Something a person does in an episode.

    Attributes
    ----------
    kind : "pain", "pain + speaking", "pain + smile", or one of :data:`training.fusion.numbers.KINDS`
    start_s, end_s : first and last sign
    course : ndarray [shape=(n,), 0-1], how far it has unfolded, at the times of the face
    level : highest level of pain, 0 for what is not pain
    strength : how strong it is, 0-1
    units : true intensities at its strongest, by action unit
    moves : ndarray [shape=(n, 19), 0-5], true intensities over time
    turn_deg : ndarray [shape=(3,)], how far the head turns with it: yaw, pitch, roll
    """

    kind: str
    start_s: float
    end_s: float
    course: Series
    level: float
    strength: float
    units: Mapping[str, float]
    moves: Series
    turn_deg: Series


def shown(units: Mapping[str, float]) -> float:
    """How much pain a face shows in all, on the scale of PSPI."""

    def of(*names: str) -> float:
        return max(units.get(name, 0.0) for name in names)

    closed = 1.0 if units.get("AU43", 0.0) >= 4.0 else 0.0
    return (
        of("AU4")
        + of("AU6", "AU7")
        + of("AU9", "AU10")
        + closed
        + _JAW * of("AU26")
        + _BROWS * of("AU1", "AU2")
        + _LIPS * of("AU20")
    )


def pain_act(
    time_s: Series, start_s: float, seconds: float, level: float, manner: Manner, rng: Rng, kind: str = "pain"
) -> Act:
    """A bout of pain with ``level`` at its height, in the person's manner.

    Each unit has a chance that grows with the level; then all are strengthened or weakened together until the face
    shows what belongs to the level, as far as 5 is not reached: fewer parts, each of them stronger.
    """
    pattern = PATTERNS[manner.pattern]
    seen = level * manner.face_gain
    share = float(np.clip((seen - 1) / 9, 0, 1))
    units: dict[str, float] = {}
    for name in sorted(PAIN_PARTS, key=lambda unit: unit not in pattern.strong):  # its pattern's units come first
        part = PAIN_PARTS[name]
        chance = part.chance_low + share * (part.chance_high - part.chance_low)
        chance = max(chance, value("pattern_strong")) if name in pattern.strong else chance
        chance *= value("pattern_weak") if name in pattern.weak else 1.0
        if rng.random() < chance and not any(other in units for other in opposed_to(name)):
            units[name] = part.weight * float(np.exp(rng.normal(0, value("unit_spread"))))
    closed = rng.random() < value("pain_closed_low") + share * (value("pain_closed_high") - value("pain_closed_low"))
    goal = value("shown_per_level") * seen * float(np.exp(rng.normal(0, value("habit_spread"))))
    closing = seconds >= 2 * (CLOSURE_S + SHUT_S) and closed
    units = _scaled(units, max(goal - (1.0 if closing else 0.0), 0.3 * goal))
    rise, fall = rng.uniform(*span("pain_rise")) * seconds, rng.uniform(*span("pain_fall")) * seconds
    line = course(time_s, start_s, rise, seconds - rise - fall, fall)
    if rng.random() < value("pain_step"):  # it eases, or worsens, on the way
        low, at_s = rng.uniform(0.4, 0.8), start_s + rise + rng.uniform(0.3, 0.7) * (seconds - rise - fall)
        step = course(time_s, at_s - 0.4, 0.8, 1e3, 1.0)
        line = line * (1 - (1 - low) * (step if rng.random() < 0.5 else 1 - step))
    moves = _follow(units, line, time_s, rng)
    if closing:
        held_s = float(rng.uniform(CLOSURE_S + SHUT_S, 0.75 * seconds))
        first_s = float(rng.uniform(start_s + 0.5 * rise, start_s + seconds - held_s))
        lids = MAX_INTENSITY * course(time_s, first_s, 0.18, held_s - SHUT_S, 0.25)
        moves[:, _PLACE["AU43"]] = np.maximum(moves[:, _PLACE["AU43"]], lids)
    if kind == "pain + smile":
        smile = float(rng.uniform(1.5, 4.0))
        units["AU12"] = max(units.get("AU12", 0.0), smile)
        moves[:, _PLACE["AU12"]] = np.maximum(
            moves[:, _PLACE["AU12"]], smile * course(time_s, start_s, 0.6, seconds - 1.4, 0.8)
        )
    turn = rng.uniform(-1, 1, 3) * rng.uniform(*span("pain_turn_deg")) * share
    turn[1] = -abs(turn[1])
    return Act(kind, start_s, start_s + seconds, line, level, level / 10, units, moves, turn)


def other_act(time_s: Series, start_s: float, seconds: float, kind: str, rng: Rng) -> Act:
    """Something that is not pain: one of :data:`training.fusion.numbers.KINDS`."""
    strength = float(rng.uniform(*span("yawn_strength" if kind == "yawning" else "strength")))
    units: dict[str, float] = {}
    for name, part in KINDS[kind].parts.items():
        if rng.random() < part.chance and not any(other in units for other in opposed_to(name)):
            spread = float(np.exp(rng.normal(0, value("unit_spread"))))
            units[name] = float(np.clip(part.intensity * strength * spread, 0, MAX_INTENSITY))
    onset_s, offset_s = rng.uniform((0.15, 0.2), (0.3, 0.35)) * seconds
    if kind == "yawning":
        onset_s, offset_s = 0.4 * seconds, 0.3 * seconds
    line = course(time_s, start_s, onset_s, seconds - onset_s - offset_s, offset_s)
    if kind == "coughing":
        line = _jolts(time_s, start_s, seconds, rng)
    moves = _follow(units, line, time_s, rng)
    if kind == "speaking":  # accents of the brows, not a held expression
        moves *= _accents(time_s, rng)[:, None]
    moves[:, _PLACE["AU43"]] = MAX_INTENSITY * _lids(time_s, start_s, seconds, kind, line, rng)
    most = {"coughing": (3.0, 9.0, 3.0), "drowsing": (3.0, 10.0, 5.0), "laughing": (4.0, 6.0, 4.0)}.get(kind, (2, 2, 2))
    turn = rng.uniform(-1, 1, 3) * most
    if kind in ("coughing", "drowsing"):
        turn[1] = -abs(turn[1])
    return Act(kind, start_s, start_s + seconds, line, 0.0, strength, units, moves, turn)


def mouth_moves(time_s: Series, mouth_open: Series, rounding: Series) -> Series:
    """What a voice does to the mouth, ndarray [shape=(n, 19)]; both [shape=(n,), 0-1]."""
    moves = np.zeros((len(time_s), len(AU_NAMES)))
    for name, most, line in (("AU26", 2.6, mouth_open), ("AU16", 1.6, mouth_open), ("AU22", 1.6, rounding)):
        moves[:, _PLACE[name]] = most * line
    return moves


def blinks(time_s: Series, moves: Series, rng: Rng) -> Series:
    """Quick closures of lids that nothing else moves, ndarray [shape=(n,), 0-5]."""
    lids, at_s = np.zeros(len(time_s)), float(rng.uniform(0, 3))
    while at_s < time_s[-1]:
        near = np.abs(time_s - at_s) < 0.6
        if moves[near, _PLACE["AU43"]].max(initial=0.0) == 0.0:
            lids = np.maximum(lids, course(time_s, at_s, 0.08, 0.04, 0.14))
        at_s += float(rng.uniform(*span("blink_every")))
    return np.asarray(MAX_INTENSITY * lids)


def _scaled(units: dict[str, float], goal: float) -> dict[str, float]:
    """Units raised or lowered together until :func:`shown` is about ``goal``."""
    for _ in range(6):
        factor = goal / max(shown(units), 1e-6)
        units = {name: float(min(level * factor, MAX_INTENSITY)) for name, level in units.items()}
    return units


def _follow(units: Mapping[str, float], line: Series, time_s: Series, rng: Rng) -> Series:
    """Every unit along the course, each a little late and in its own bend, ndarray [shape=(n, 19)]."""
    moves = np.zeros((len(time_s), len(AU_NAMES)))
    for name, intensity in units.items():
        late = np.interp(time_s - rng.uniform(0, 0.25), time_s, line)
        tremble = 1 + 0.05 * np.sin(2 * np.pi * rng.uniform(0.2, 1.0) * time_s + rng.uniform(0, 6))
        moves[:, _PLACE[name]] = np.clip(intensity * late ** rng.uniform(0.8, 1.25) * tremble, 0, MAX_INTENSITY)
    return moves


def _lids(time_s: Series, start_s: float, seconds: float, kind: str, line: Series, rng: Rng) -> Series:
    """How far the eyes close with it, ndarray [shape=(n,), 0-1]."""
    if kind == "drowsing":
        falling = course(time_s, start_s, 0.45 * seconds, 0.4 * seconds, 0.15 * seconds)
        return np.asarray(falling * rng.uniform(0.6, 1.0))
    chance = {"yawning": "yawn_closed", "coughing": "cough_closed", "laughing": "laugh_closed"}.get(kind)
    if chance is None or rng.random() >= value(chance):
        return np.zeros(len(time_s))
    return np.asarray(line ** (0.5 if kind == "coughing" else 1.0) * rng.uniform(0.7, 1.0))


def _jolts(time_s: Series, start_s: float, seconds: float, rng: Rng) -> Series:
    """Short bursts, each weaker or stronger than the one before."""
    count = max(1, round(seconds / 0.55))
    starts_s = start_s + np.arange(count) * seconds / count
    bursts = [rng.uniform(0.6, 1.0) * course(time_s, at_s, 0.08, rng.uniform(0.08, 0.2), 0.22) for at_s in starts_s]
    return np.asarray(np.max(bursts, axis=0))


def _accents(time_s: Series, rng: Rng) -> Series:
    """Now and then for half a second, ndarray [shape=(n,), 0-1]."""
    line = np.zeros(len(time_s))
    for at_s in np.arange(rng.uniform(0, 1.5), time_s[-1], rng.uniform(1.0, 2.5)):
        line = np.maximum(line, rng.uniform(0.3, 1.0) * course(time_s, at_s, 0.2, rng.uniform(0.1, 0.5), 0.3))
    return line
