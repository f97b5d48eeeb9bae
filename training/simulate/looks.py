"""What a person looks like: skin, hair, lines and what they wear; and somebody at random.

>>> person = random_person(np.random.default_rng(1))
>>> person.looks.wear
('glasses', 'hair_band')
"""

from __future__ import annotations

import colorsys
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

Colour = tuple[float, float, float]
#: middle x, y, half width, half height (0-1 of the picture), colour
Patch = tuple[float, float, float, float, Colour]

#: The ten tones of the Monk Skin Tone Scale, sRGB (skintone.google, CC BY 4.0).
MONK_TONES = (
    "f6ede4", "f3e7db", "f7ead0", "eadaba", "d7bd96", "a07e56", "825c43", "604134", "3a312a", "292420",
)  # fmt: skip

#: Shares of random people who wear each thing, one independent of another.
WEAR_SHARES = {"glasses": 0.15, "mask": 0.06, "oxygen_tube": 0.08, "hair_band": 0.06}


@dataclass(frozen=True)
class Glasses:
    """``squareness`` 0 round to 1 rectangular; lens sizes are half the width and half the height."""

    squareness: float = 0.5
    lens_cm: tuple[float, float] = (2.5, 1.8)
    rim_cm: float = 0.12
    colour: Colour = (0.05, 0.05, 0.05)
    metal: bool = False
    #: how much of the room the lenses mirror, 0-1
    reflection: float = 0.3


@dataclass(frozen=True)
class Mask:
    """A surgical mask from the nose to the chin."""

    colour: Colour = (0.55, 0.75, 0.88)


@dataclass(frozen=True)
class OxygenTube:
    """A nasal cannula: a clear tube from ear to ear under the nose."""

    radius_cm: float = 0.2
    colour: Colour = (0.75, 0.86, 0.80)
    opacity: float = 0.5


@dataclass(frozen=True)
class HairBand:
    """A band over the forehead's hairline; without an upper end it is a cap. ``low_cm`` moves its lower edge up."""

    colour: Colour = (0.85, 0.85, 0.82)
    low_cm: float = 0.0
    width_cm: float | None = 4.0


@dataclass(frozen=True)
class Looks:
    """How a person is painted. ``skin_tone``: Monk scale, 1-10, in between is mixed. Colours are sRGB 0-1."""

    skin_tone: float = 3.5
    redness: float = 0.5
    freckles: float = 0.0
    stubble: float = 0.0
    mottling: float = 1.0
    lip_redness: float = 0.5
    #: how deep an action unit's wrinkles get, 0 (none) to 1
    furrows: float = 0.35
    #: wrinkles that are there at rest, 0-1 of the deepest
    age_lines: float = 0.0
    #: chooses where lines, freckles and hairs lie, and how strongly each unit wrinkles this skin
    pattern: int = 0
    brow_thickness_cm: float = 0.85
    brow_density: float = 0.85
    brow_tail_cm: float = 0.0
    hair: Colour = (0.20, 0.13, 0.09)
    hair_length_cm: float = 1.2
    #: how far the hairline comes down; None: no hair
    hairline_cm: float | None = 0.0
    iris: Colour = (0.33, 0.25, 0.16)
    #: reddened whites of the eyes, 0-1
    eye_redness: float = 0.2
    cloth: Colour = (0.25, 0.35, 0.45)
    wall_upper: Colour = (0.72, 0.72, 0.70)
    wall_lower: Colour = (0.55, 0.54, 0.52)
    #: up to four out-of-focus things behind the person
    patches: tuple[Patch, ...] = ()
    glasses: Glasses | None = None
    mask: Mask | None = None
    oxygen_tube: OxygenTube | None = None
    hair_band: HairBand | None = None

    @property
    def wear(self) -> tuple[str, ...]:
        """Names of what is worn, out of ``WEAR_SHARES``."""
        return tuple(name for name in WEAR_SHARES if getattr(self, name) is not None)


@dataclass(frozen=True)
class Person:
    """Who is drawn. ``identity``: standard deviations of the head's identity modes."""

    identity: tuple[float, ...] = ()
    looks: Looks = field(default_factory=Looks)


def random_person(rng: np.random.Generator, n_modes: int = 100) -> Person:
    """Somebody: shape from the head's own spread of identities, skin over the whole Monk scale, young to old."""
    identity = np.clip(rng.standard_normal(n_modes), -2.5, 2.5)
    tone = float(rng.uniform(1.0, 10.0))
    dark = (tone - 1.0) / 9.0
    age = float(rng.uniform(0.0, 1.0))
    hair_value = float(rng.uniform(0.03, 0.22) if rng.random() < 0.4 + 0.6 * dark else rng.uniform(0.2, 0.65))
    grey = rng.random() < 0.5 * age**2
    hair = _hsv(rng.uniform(0.02, 0.11), 0.08 if grey else rng.uniform(0.35, 0.7), hair_value + 0.4 * grey)
    brown_eyes = rng.random() < 0.45 + 0.7 * dark
    darkest, lightest = ((0.04, 0.4, 0.15), (0.09, 0.7, 0.4)) if brown_eyes else ((0.25, 0.2, 0.35), (0.6, 0.5, 0.6))
    wall = rng.uniform((0.0, 0.0, 0.25), (1.0, 0.35, 0.9))
    worn = {name: rng.random() < share for name, share in WEAR_SHARES.items()}
    looks = Looks(
        skin_tone=tone,
        redness=float(rng.uniform(0.1, 1.0)),
        freckles=float(rng.uniform(0, 0.8) if rng.random() < 0.25 * (1 - dark) else 0),
        stubble=float(rng.uniform(0.15, 0.85) if rng.random() < 0.3 else 0),
        mottling=float(rng.uniform(0.4, 1.6)),
        lip_redness=float(rng.uniform(0.0, 1.0)),
        furrows=float(np.clip(0.75 * age + rng.normal(0.15, 0.2), 0, 1)),
        age_lines=float(np.clip(0.6 * age**2 + rng.normal(0, 0.1), 0, 0.7)),
        pattern=int(rng.integers(0, 2**31)),
        brow_thickness_cm=float(rng.uniform(0.5, 1.3)),
        brow_density=float(rng.uniform(0.35, 1.0)),
        brow_tail_cm=float(rng.uniform(-0.4, 0.4)),
        hair=hair,
        hair_length_cm=float(rng.uniform(0.1, 3.0)),
        hairline_cm=None if rng.random() < 0.1 else float(rng.uniform(-1.8, 0.4)),
        iris=_hsv(*rng.uniform(darkest, lightest)),
        eye_redness=float(rng.uniform(0.0, 1.0) ** 2),
        cloth=_hsv(*rng.uniform((0, 0, 0.1), (1, 0.7, 0.9))),
        wall_upper=_hsv(*wall),
        wall_lower=_hsv(wall[0], wall[1], wall[2] * rng.uniform(0.6, 1.05)),
        patches=tuple(_random_patch(rng) for _ in range(rng.integers(0, 5))),
        glasses=_random_glasses(rng) if worn["glasses"] else None,
        mask=Mask(_varied(rng, MASK_COLOURS)) if worn["mask"] else None,
        oxygen_tube=_random_tube(rng) if worn["oxygen_tube"] else None,
        hair_band=_random_band(rng) if worn["hair_band"] else None,
    )
    return Person(tuple(float(weight) for weight in identity), looks)


MASK_COLOURS: tuple[Colour, ...] = ((0.55, 0.75, 0.88), (0.90, 0.91, 0.92), (0.55, 0.78, 0.68), (0.10, 0.10, 0.11))
METALS: tuple[Colour, ...] = ((0.62, 0.62, 0.64), (0.72, 0.58, 0.32), (0.20, 0.20, 0.22))


def _random_glasses(rng: np.random.Generator) -> Glasses:
    metal = bool(rng.random() < 0.4)
    plastic = (0.04, 0.04, 0.05) if rng.random() < 0.5 else _hsv(*rng.uniform((0, 0.1, 0.05), (1, 0.8, 0.7)))
    width = float(rng.uniform(2.1, 2.75))
    return Glasses(
        squareness=float(rng.uniform(0, 1)),
        lens_cm=(width, width * float(rng.uniform(0.6, 0.95))),
        rim_cm=float(rng.uniform(0.05, 0.1) if metal else rng.uniform(0.08, 0.26)),
        colour=_varied(rng, METALS) if metal else plastic,
        metal=metal,
        reflection=float(rng.uniform(0.0, 1.0) ** 1.5),
    )


def _random_tube(rng: np.random.Generator) -> OxygenTube:
    return OxygenTube(
        radius_cm=float(rng.uniform(0.13, 0.26)),
        colour=_varied(rng, ((0.75, 0.86, 0.80), (0.85, 0.85, 0.85), (0.65, 0.82, 0.62))),
        opacity=float(rng.uniform(0.3, 0.75)),
    )


def _random_band(rng: np.random.Generator) -> HairBand:
    return HairBand(
        colour=(0.88, 0.87, 0.84) if rng.random() < 0.5 else _hsv(*rng.uniform((0, 0.05, 0.1), (1, 0.7, 0.9))),
        low_cm=float(rng.uniform(-0.6, 0.8)),
        width_cm=None if rng.random() < 0.4 else float(rng.uniform(2.0, 5.5)),
    )


def _varied(rng: np.random.Generator, colours: tuple[Colour, ...]) -> Colour:
    base = np.asarray(colours[int(rng.integers(len(colours)))])
    red, green, blue = np.clip(base * rng.uniform(0.85, 1.1) + rng.normal(0, 0.02, 3), 0, 1)
    return float(red), float(green), float(blue)


def _random_patch(rng: np.random.Generator) -> Patch:
    x, y, half_width, half_height = rng.uniform((0, 0, 0.05, 0.05), (1, 1, 0.25, 0.4))
    return float(x), float(y), float(half_width), float(half_height), _hsv(*rng.uniform((0, 0, 0.1), (1, 0.5, 0.95)))


def _hsv(hue: float, saturation: float, value: float) -> Colour:
    return colorsys.hsv_to_rgb(float(hue), float(saturation), float(value))


def linear(colour: Colour) -> npt.NDArray[np.float64]:
    """SRGB 0-1 to linear light, ndarray [shape=(3,)]."""
    c = np.asarray(colour, np.float64)
    return np.where(c <= 0.04045, c / 12.92, ((c + 0.055) / 1.055) ** 2.4)


def skin_colour(tone: float) -> npt.NDArray[np.float64]:
    """Linear albedo of a Monk tone 1-10. The scale's swatches are plain colours; living skin is redder."""
    tones = np.array([[int(code[k : k + 2], 16) / 255 for k in (0, 2, 4)] for code in MONK_TONES])
    place = min(max(tone, 1.0), 10.0) - 1
    mixed = np.array([np.interp(place, np.arange(10), tones[:, k]) for k in range(3)])
    blood = 1.0 - np.array([0.10, 0.25, 0.30]) * np.interp(place, (0, 6, 9), (1.0, 0.45, 0.2))
    shine = np.array([0.018, 0.010, 0.007])  # even the darkest skin gives some light back
    return np.asarray(linear((float(mixed[0]), float(mixed[1]), float(mixed[2]))) * blood + shine)
