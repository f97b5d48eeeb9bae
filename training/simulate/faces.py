"""Single simulated faces in any number: random people, expressions, poses, lights, each picture with its truth.

>>> for rgb, label, head_index, is_neutral in faces(head, np.random.default_rng(1), n_heads=100, per_head=20):
...     ...
"""

from __future__ import annotations

import colorsys
from collections.abc import Iterator

import numpy as np

from training.simulate.head import ACTION_UNITS, AU_NAMES, MAX_INTENSITY, Head, truth
from training.simulate.render import Camera, Colour, Light, Looks, Patch, Person, Pose, Renderer, RgbImage

#: Units that open or shut what another one shuts or opens; only the stronger of each pair is kept.
OPPOSED = (("AU5", "AU43"), ("AU5", "AU7"), ("AU24", "AU26"), ("AU24", "AU16"), ("AU24", "AU22"), ("AU12", "AU15"),
           ("AU12", "AU18"), ("AU18", "AU20"), ("AU22", "AU20"), ("AU18", "AU22"), ("AU17", "AU26"), ("AU1", "AU9"),
           ("AU12", "AU22"), ("AU18", "AU10"), ("AU18", "AU9"), ("AU14", "AU18"), ("AU14", "AU22"))  # fmt: skip

#: Units that tend to come together, with their usual shares of the expression's strength.
EXPRESSIONS: dict[str, dict[str, float]] = {
    "pain": {"AU4": 0.8, "AU6": 0.7, "AU7": 0.8, "AU9": 0.6, "AU10": 0.5, "AU20": 0.2, "AU26": 0.2, "AU43": 0.5},
    "smile": {"AU6": 0.6, "AU12": 0.9, "AU7": 0.2},
    "disgust": {"AU9": 0.9, "AU10": 0.7, "AU4": 0.4, "AU17": 0.3},
    "anger": {"AU4": 0.9, "AU7": 0.6, "AU24": 0.6, "AU17": 0.2},
    "fear": {"AU1": 0.8, "AU2": 0.5, "AU4": 0.5, "AU5": 0.8, "AU20": 0.6, "AU26": 0.3},
    "sadness": {"AU1": 0.8, "AU4": 0.5, "AU15": 0.8, "AU17": 0.5},
    "surprise": {"AU1": 0.9, "AU2": 0.9, "AU5": 0.6, "AU26": 0.6},
    "speaking": {"AU26": 0.3, "AU16": 0.3, "AU22": 0.3, "AU18": 0.2, "AU10": 0.2},
    "drowsing": {"AU43": 0.9, "AU1": 0.2, "AU26": 0.1},
}
_SIDED = {unit.name for unit in ACTION_UNITS if unit.sided}


def random_person(rng: np.random.Generator, n_modes: int = 100) -> Person:
    """Somebody: shape from the head's own spread of identities, skin over the whole Monk scale, plain looks."""
    identity = np.clip(rng.standard_normal(n_modes), -2.5, 2.5)
    tone = float(rng.uniform(1.0, 10.0))
    dark = (tone - 1.0) / 9.0
    hair_value = float(rng.uniform(0.03, 0.22) if rng.random() < 0.4 + 0.6 * dark else rng.uniform(0.2, 0.65))
    grey = rng.random() < 0.12
    hair = _hsv(rng.uniform(0.02, 0.11), 0.08 if grey else rng.uniform(0.35, 0.7), hair_value + 0.4 * grey)
    brown_eyes = rng.random() < 0.45 + 0.5 * dark
    darkest, lightest = ((0.04, 0.4, 0.15), (0.09, 0.7, 0.4)) if brown_eyes else ((0.25, 0.2, 0.35), (0.6, 0.5, 0.6))
    wall = rng.uniform((0.0, 0.0, 0.25), (1.0, 0.35, 0.9))
    looks = Looks(
        skin_tone=tone,
        redness=float(rng.uniform(0.1, 1.0)),
        freckles=float(rng.uniform(0, 0.8) if rng.random() < 0.25 * (1 - dark) else 0),
        stubble=float(rng.uniform(0.15, 0.85) if rng.random() < 0.3 else 0),
        mottling=float(rng.uniform(0.4, 1.6)),
        lip_redness=float(rng.uniform(0.0, 1.0)),
        brow_thickness_cm=float(rng.uniform(0.5, 1.3)),
        brow_density=float(rng.uniform(0.5, 1.0)),
        brow_tail_cm=float(rng.uniform(-0.4, 0.4)),
        hair=hair,
        hair_length_cm=float(rng.uniform(0.1, 3.0)),
        hairline_cm=None if rng.random() < 0.1 else float(rng.uniform(-1.8, 0.4)),
        iris=_hsv(*rng.uniform(darkest, lightest)),
        cloth=_hsv(*rng.uniform((0, 0, 0.1), (1, 0.7, 0.9))),
        wall_upper=_hsv(*wall),
        wall_lower=_hsv(wall[0], wall[1], wall[2] * rng.uniform(0.6, 1.05)),
        patches=tuple(_random_patch(rng) for _ in range(rng.integers(0, 5))),
    )
    return Person(tuple(float(weight) for weight in identity), looks)


def random_expression(rng: np.random.Generator) -> dict[str, float]:
    """Action unit intensities by side: often one of ``EXPRESSIONS`` at some strength, others mixed in, a bit uneven."""
    mean = dict.fromkeys(AU_NAMES, 0.0)
    if rng.random() < 0.65:
        shares = EXPRESSIONS[str(rng.choice(list(EXPRESSIONS)))]
        strength = rng.uniform(0.1, 1.25)
        for name, share in shares.items():
            if rng.random() < 0.85:
                mean[name] = share * strength * rng.uniform(0.6, 1.4) * MAX_INTENSITY
    for name in rng.choice(AU_NAMES, rng.integers(0, 5), replace=False):
        mean[str(name)] = max(mean[str(name)], float(rng.uniform(0.0, MAX_INTENSITY)))
    for one, other in OPPOSED:
        mean[one if mean[one] < mean[other] else other] = 0.0
    result: dict[str, float] = {}
    for name, intensity in mean.items():
        if intensity <= 0.0:
            continue
        if name not in _SIDED:
            result[name] = float(np.clip(intensity, 0, MAX_INTENSITY))
            continue
        lean = rng.normal(0.0, 0.06 if name == "AU43" else 0.12)
        for side, sign in (("L", 1), ("R", -1)):
            result[f"{name}_{side}"] = float(np.clip(intensity * (1 + sign * lean), 0, MAX_INTENSITY))
    return result


def random_pose(rng: np.random.Generator, limit_deg: float = 25.0) -> Pose:
    """A head turned by up to ``limit_deg`` each way (pitch and roll less), somewhere near the picture's middle."""
    yaw, pitch, roll = np.clip(rng.normal(0, (0.5, 0.3, 0.25)), -1, 1) * limit_deg
    return Pose(float(yaw), float(pitch), float(roll), float(rng.uniform(-4, 4)), float(rng.uniform(-3, 2)))


def random_light(rng: np.random.Generator) -> Light:
    """From a soft room to a lamp at the side."""
    ambient = float(rng.uniform(0.15, 0.55))
    return Light(
        azimuth_deg=float(rng.uniform(-75, 75)),
        elevation_deg=float(rng.uniform(-15, 65)),
        strength=float(rng.uniform(0.85, 1.35) - ambient),
        ambient=ambient,
        warmth=float(rng.uniform(-0.6, 1.0)),
    )


def random_camera(rng: np.random.Generator) -> Camera:
    """A phone or laptop at 45 to 110 cm, with the head filling half to nearly all of a square picture's height."""
    distance = float(rng.uniform(45, 110))
    view_cm = float(rng.uniform(28, 52))
    return Camera(distance_cm=distance, focal_mm=36.0 * (distance - 8.0) / view_cm)


def faces(
    head: Head,
    rng: np.random.Generator,
    n_heads: int,
    per_head: int,
    *,
    size_px: int = 384,
    pose_limit_deg: float = 25.0,
    samples: int = 0,
) -> Iterator[tuple[RgbImage, dict[str, float], int, bool]]:
    """Pictures of ``n_heads`` people: for each, one at rest and then ``per_head`` with expressions.

    Yields (RGB uint8 [shape=(size_px, size_px, 3)], label, index of the person, is it the one at rest). The label holds
    every action unit's intensity (see :func:`training.simulate.head.truth`), "yaw_deg", "pitch_deg", "roll_deg", and
    "skin_tone" (Monk, 1-10). The picture at rest faces the camera within 8 degrees. ``samples=4`` smooths edges
    at two to three times the cost. Same seed, same pictures.
    """
    with Renderer(head, size_px, size_px, samples) as renderer:
        for index in range(n_heads):
            person = random_person(rng, len(head.identity_deltas_cm))
            for shot in range(per_head + 1):
                is_neutral = shot == 0
                expression = {} if is_neutral else random_expression(rng)
                pose = random_pose(rng, 8.0 if is_neutral else pose_limit_deg)
                left, up = (0.0, 0.0) if is_neutral else rng.normal(0, (8, 5))
                camera, light = random_camera(rng), random_light(rng)
                image = renderer.draw(person, expression, pose, camera, light, (float(left), float(up)))
                turn = {"yaw_deg": pose.yaw_deg, "pitch_deg": pose.pitch_deg, "roll_deg": pose.roll_deg}
                yield image, truth(expression) | turn | {"skin_tone": person.looks.skin_tone}, index, is_neutral


def _random_patch(rng: np.random.Generator) -> Patch:
    x, y, half_width, half_height = rng.uniform((0, 0, 0.05, 0.05), (1, 1, 0.25, 0.4))
    return float(x), float(y), float(half_width), float(half_height), _hsv(*rng.uniform((0, 0, 0.1), (1, 0.5, 0.95)))


def _hsv(hue: float, saturation: float, value: float) -> Colour:
    return colorsys.hsv_to_rgb(float(hue), float(saturation), float(value))
