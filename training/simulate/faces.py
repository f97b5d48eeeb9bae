"""What a single simulated face does and how it is seen: random expressions, poses, lights, cameras, gazes.

Expressions are made for learning: every action unit at every intensity, alone and with others, left and right apart.
:mod:`training.simulate.episodes` lets the same expressions come and go.

>>> rng = np.random.default_rng(1)
>>> expression = random_expression(rng)
>>> image = renderer.draw(random_person(rng), expression.intensities, random_pose(rng), random_camera(rng))
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from scipy.special import ndtr

from training.simulate.head import ACTION_UNITS, AU_NAMES, MAX_INTENSITY
from training.simulate.render import SENSOR_WIDTH_MM, Camera, Light, Pose

#: Units that open or shut what another one shuts or opens, or fight over the same lips; never both on one face.
OPPOSED = (
    ("AU5", "AU43"), ("AU5", "AU7"),
    ("AU1", "AU9"), ("AU2", "AU9"),
    ("AU24", "AU26"), ("AU24", "AU16"), ("AU24", "AU22"), ("AU24", "AU10"), ("AU24", "AU18"),
    ("AU12", "AU15"), ("AU12", "AU18"), ("AU12", "AU22"),
    ("AU14", "AU18"), ("AU14", "AU22"),
    ("AU18", "AU20"), ("AU18", "AU22"), ("AU18", "AU9"), ("AU18", "AU10"),
    ("AU20", "AU22"),
    ("AU17", "AU26"), ("AU17", "AU16"),
)  # fmt: skip


@dataclass(frozen=True)
class Part:
    """How a unit takes part in an expression.

    Attributes
    ----------
    chance : how often, 0-1
    weight : how strong beside the others; 1 as strong as the expression, below 1 weaker, above 1 stronger
    """

    chance: float
    weight: float = 1.0


def _parts(**units: float | tuple[float, float]) -> dict[str, Part]:
    return {name: Part(*part) if isinstance(part, tuple) else Part(part) for name, part in units.items()}


#: What faces do, and the units in it. Pain: the units of PSPI (Prkachin & Solomon 2008, doi
#: 10.1016/j.pain.2008.04.010) and the opened mouth (Kunz et al. 2019, doi 10.1097/j.pain.0000000000001424), differently
#: combined as they are in people. The others: prototypes, with what else the same faces do now and then.
EXPRESSIONS: Mapping[str, Mapping[str, Part]] = {
    "pain": _parts(
        AU4=0.95, AU6=0.85, AU7=0.9, AU9=0.8, AU10=(0.75, 0.9), AU43=0.6, AU20=(0.35, 0.8), AU26=(0.3, 0.7),
        AU16=(0.3, 0.7), AU12=(0.12, 0.6), AU17=(0.12, 0.7), AU24=0.15, AU1=(0.1, 0.7), AU15=(0.15, 0.7), AU14=0.1,
    ),
    "polite smile": _parts(AU12=1.0, AU14=(0.45, 0.8), AU6=(0.1, 0.4), AU1=(0.1, 0.5), AU2=(0.15, 0.6), AU24=0.2),
    "broad smile": _parts(
        AU12=(1.0, 1.2), AU6=(0.95, 1.1), AU7=(0.4, 0.7), AU26=(0.4, 0.7), AU16=(0.25, 0.8), AU10=(0.2, 0.7), AU2=0.1
    ),
    "disgust": _parts(
        AU9=0.9, AU10=0.85, AU4=(0.7, 0.8), AU7=(0.5, 0.7), AU6=(0.3, 0.7), AU17=0.4, AU15=(0.3, 0.8), AU16=0.2,
        AU22=0.15, AU26=(0.15, 0.6),
    ),
    "anger": _parts(
        AU4=(1.0, 1.1), AU7=0.6, AU5=0.35, AU24=0.55, AU17=0.3, AU10=(0.3, 0.8), AU22=0.2, AU16=0.15, AU14=0.15
    ),
    "fear": _parts(
        AU1=0.95, AU2=(0.7, 0.8), AU4=(0.7, 0.8), AU5=(0.9, 1.1), AU20=0.7, AU26=(0.5, 0.7), AU16=(0.3, 0.8)
    ),
    "sadness": _parts(
        AU1=0.9, AU4=(0.6, 0.8), AU15=0.9, AU17=0.55, AU20=0.15, AU43=(0.2, 0.6), AU24=0.15, AU14=0.15, AU6=(0.15, 0.6)
    ),
    "surprise": _parts(AU1=1.0, AU2=1.0, AU5=0.8, AU26=0.8, AU22=0.2, AU18=0.1),
    "speaking": _parts(
        AU26=(0.8, 0.7), AU16=(0.55, 0.8), AU22=0.4, AU18=0.4, AU10=(0.2, 0.6), AU17=0.2, AU24=0.2, AU20=(0.2, 0.8),
        AU14=0.15, AU1=(0.15, 0.7), AU2=(0.2, 0.7),
    ),
    "blink": _parts(AU43=1.0),
    "drowsing": _parts(AU43=(1.0, 1.8), AU1=(0.3, 0.5), AU2=(0.3, 0.5), AU26=(0.3, 0.4), AU15=(0.15, 0.5)),
    "yawning": _parts(
        AU26=(1.0, 1.8), AU43=(0.75, 1.2), AU4=0.4, AU7=0.4, AU9=(0.3, 0.7), AU10=(0.3, 0.7), AU16=0.4, AU2=0.25,
        AU20=0.25,
    ),
    "coughing": _parts(
        AU26=0.75, AU4=0.7, AU6=0.6, AU7=0.6, AU43=0.6, AU9=(0.3, 0.8), AU10=(0.35, 0.8), AU16=0.45, AU20=0.25,
        AU22=0.3, AU18=0.2, AU24=0.2, AU17=0.15,
    ),
}  # fmt: skip

#: Two at a time, each at its own strength; pain first, since pain under something else is what must be found.
MIXTURES = (
    ("pain", "polite smile"), ("pain", "broad smile"), ("pain", "speaking"), ("pain", "fear"), ("pain", "sadness"),
    ("pain", "anger"), ("pain", "surprise"), ("broad smile", "speaking"), ("sadness", "speaking"),
    ("anger", "speaking"), ("polite smile", "disgust"), ("broad smile", "surprise"), ("sadness", "polite smile"),
)  # fmt: skip

#: How often each kind of face is drawn, relative to each other.
SHARES: Mapping[str, float] = {
    "rest": 0.06, "single units": 0.10, "mixture": 0.23,
    "pain": 0.30, "disgust": 0.06, "coughing": 0.06, "anger": 0.04, "yawning": 0.03, "broad smile": 0.02,
    "polite smile": 0.02, "fear": 0.015, "sadness": 0.015, "surprise": 0.015, "speaking": 0.015, "blink": 0.01,
    "drowsing": 0.01,
}  # fmt: skip

#: Mean and spread of the strength where it is not drawn evenly: more of the very strong pain that is rare otherwise.
_STRENGTH = {"pain": (0.3, 1.2)}
_KINDS = tuple(SHARES)
_PROBABILITIES = np.array(list(SHARES.values())) / sum(SHARES.values())
#: Units that few expressions have, and how often each is mixed into any of them, so that the network meets them
#: everywhere. Those that are opposed to many others need it most.
RARE = {"AU2": 0.06, "AU5": 0.08, "AU14": 0.07, "AU15": 0.05, "AU17": 0.06, "AU18": 0.14, "AU22": 0.12, "AU24": 0.09,
        "AU12": 0.05}  # fmt: skip
_AGAINST = {name: frozenset(other for pair in OPPOSED if name in pair for other in pair if other != name)
            for name in AU_NAMES}  # fmt: skip
_SIDED = {unit.name for unit in ACTION_UNITS if unit.sided}


@dataclass(frozen=True)
class Expression:
    """What a face shows: its kind, and intensities 0-5 by action unit, sided ones as "AU4_L" and "AU4_R"."""

    kind: str
    intensities: dict[str, float] = field(default_factory=dict)


def random_expression(rng: np.random.Generator) -> Expression:
    """An expression of a kind drawn from ``SHARES``, at any strength, uneven as faces are.

    A mixture's kind names its two, "pain + speaking".
    """
    kind = str(rng.choice(_KINDS, p=_PROBABILITIES))
    if kind == "mixture":
        kinds = MIXTURES[rng.integers(len(MIXTURES))]
        kind = " + ".join(kinds)
        means = _joined([_expression_means(name, rng) for name in kinds], rng)
    elif kind == "single units":
        names = rng.permutation(AU_NAMES)[: rng.choice([1, 1, 2, 3])]
        means = _joined([{str(name): float(rng.uniform(0.0, MAX_INTENSITY))} for name in names], rng)
    elif kind == "rest":
        names = rng.permutation(AU_NAMES)[: rng.integers(0, 4)]
        means = _joined([{str(name): float(rng.uniform(0.0, 0.5))} for name in names], rng)
    else:
        means = _expression_means(kind, rng)
    if kind not in ("rest", "single units", "blink"):
        extra = [name for name, chance in RARE.items() if rng.random() < chance]
        extra_means = _joined([{name: float(rng.uniform(0.0, MAX_INTENSITY))} for name in extra], rng)
        means = _joined([extra_means, means])
    return Expression(kind, _sides(means, rng, one_sided=0.4 if kind == "single units" else 0.03))


def opposed_to(name: str) -> frozenset[str]:
    """The units that are never on one face with this one."""
    return _AGAINST[name]


def _expression_means(kind: str, rng: np.random.Generator) -> dict[str, float]:
    """Mean intensities of one of ``EXPRESSIONS``: parts that rise together, each a little apart from the others.

    Strengths are ranks of correlated normal draws, so a part of weight 1 is at every intensity equally often.
    """
    strength = rng.normal(*_STRENGTH.get(kind, (0.0, 1.0)))
    means = []
    for name, part in EXPRESSIONS[kind].items():
        own = float(ndtr(0.9 * strength + np.sqrt(1 - 0.9**2) * rng.standard_normal()))
        if rng.random() < part.chance:
            means.append({name: MAX_INTENSITY * own ** (1 / part.weight)})
    return _joined(means, rng)


def _joined(all_means: list[dict[str, float]], rng: np.random.Generator | None = None) -> dict[str, float]:
    """All of them on one face, the stronger where two have a unit. What is opposed to an earlier one is left out.

    ``rng`` draws the order. Keeping the stronger of an opposed pair instead would make weak ones rare.
    """
    order = range(len(all_means)) if rng is None else rng.permutation(len(all_means))
    result: dict[str, float] = {}
    for index in order:
        for name, mean in all_means[index].items():
            if not any(other in result for other in opposed_to(name)):
                result[name] = max(mean, result.get(name, 0.0))
    return result


def _sides(means: Mapping[str, float], rng: np.random.Generator, one_sided: float) -> dict[str, float]:
    """Left and right, mostly a few percent apart; with the chance ``one_sided`` a unit has one side weak or still.

    A whole side is weak in one of fifty (a palsy, a pillow), lids rarely apart (a wink).
    """
    weak_side = str(rng.choice(["L", "R"])) if rng.random() < 0.02 else ""
    whole_side = float(rng.uniform(0.0, 0.6))
    result: dict[str, float] = {}
    for name, mean in means.items():
        if name not in _SIDED:
            result[name] = mean
            continue
        lids = name == "AU43"
        lean = float(rng.normal(0.0, 0.03 if lids else 0.08))
        left, right = 1.0 + lean, 1.0 - lean
        if rng.random() < (0.015 if lids else one_sided):
            left, right = rng.permutation([1.0, max(0.0, float(rng.uniform(-0.5, 0.5)))])
        elif weak_side and not lids:
            left, right = (whole_side, 1.0) if weak_side == "L" else (1.0, whole_side)
        for side, share in (("L", left), ("R", right)):
            result[f"{name}_{side}"] = float(np.clip(mean * share, 0.0, MAX_INTENSITY))
    return result


def random_pose(rng: np.random.Generator) -> Pose:
    """A head turned by up to 45 degrees of yaw, 30 of pitch and of roll; in 7 of 10, yaw and pitch are within 25."""
    if rng.random() < 0.48:
        yaw, pitch, roll = rng.normal(0.0, (12.0, 8.0, 8.0))
    else:
        yaw, pitch, roll = rng.uniform((-45.0, -30.0, -30.0), (45.0, 30.0, 30.0))
    yaw, pitch, roll = np.clip((yaw, pitch, roll), (-45.0, -30.0, -30.0), (45.0, 30.0, 30.0))
    return _placed(float(yaw), float(pitch), float(roll), rng)


def rest_pose(rng: np.random.Generator) -> Pose:
    """A head that looks about at the camera, as in a frame that serves as the person's neutral: within 12 degrees."""
    yaw, pitch, roll = np.clip(rng.normal(0.0, (5.0, 5.0, 4.0)), -12.0, 12.0)
    return _placed(float(yaw), float(pitch), float(roll), rng)


def _placed(yaw_deg: float, pitch_deg: float, roll_deg: float, rng: np.random.Generator) -> Pose:
    """A turned head, about in the middle: a turn moves the face aside, and who films or sits there makes up for it."""
    face_cm = np.array([0.0, 11.0, 9.0])  # from the neck's pivot to between the eyes and the mouth
    aside_cm = Pose(yaw_deg, pitch_deg, roll_deg).rotation() @ face_cm - face_cm
    x_cm, y_cm = rng.uniform((-1.5, -1.0), (1.5, 1.0)) - rng.uniform(0.6, 1.0) * aside_cm[:2]
    return Pose(yaw_deg, pitch_deg, roll_deg, float(x_cm), float(y_cm))


def random_light(rng: np.random.Generator) -> Light:
    """From a soft room to a hard lamp: in front, at the side, above, or a screen from below."""
    azimuth, elevation = {
        "front": ((-40, 40), (-5, 40)),
        "side": ((50, 95), (-10, 40)),
        "top": ((-60, 60), (50, 85)),
        "below": ((-45, 45), (-55, -15)),
    }[str(rng.choice(["front", "side", "top", "below"], p=[0.4, 0.3, 0.2, 0.1]))]
    softness = float(rng.uniform(0.12, 0.75))  # the share of light that comes from everywhere
    total = float(rng.uniform(0.8, 1.35))
    return Light(
        azimuth_deg=float(rng.uniform(*azimuth) * rng.choice([-1, 1])),
        elevation_deg=float(rng.uniform(*elevation)),
        strength=total * (1 - softness),
        ambient=total * softness,
        warmth=float(rng.uniform(-0.8, 1.0)),
    )


#: Between the outer eye corners of the mean head, and how far they are in front of the neck's pivot, cm.
EYES_CM, EYES_FORWARD_CM = 8.92, 9.6


def random_camera(rng: np.random.Generator) -> Camera:
    """A phone in the hand to a camera at the bed's end, 35 to 150 cm away, zoomed so that the face fills the picture.

    The outer eye corners are about 0.25 to 0.36 of the picture's width apart, so the face fills half of a square
    picture's height to nearly all of it.
    """
    distance_cm = float(np.exp(rng.uniform(np.log(35.0), np.log(150.0))))
    share = float(rng.uniform(0.25, 0.355))
    return Camera(distance_cm, SENSOR_WIDTH_MM * share * (distance_cm - EYES_FORWARD_CM) / EYES_CM)


def random_gaze(rng: np.random.Generator) -> tuple[float, float]:
    """Where the eyes look relative to the head, degrees to the person's left, up: mostly close by, sometimes to 25."""
    if rng.random() < 0.75:
        left, up = np.clip(rng.normal(0.0, (6.0, 4.0)), -25.0, 25.0)
    else:
        left, up = rng.uniform((-25.0, -18.0), (25.0, 18.0))
    return float(left), float(up)
