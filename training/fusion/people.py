"""Simulated people: sex, age, skin tone and voice, and how each of them shows pain."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from training.fusion import measured_errors
from training.fusion.courses import Manner
from training.fusion.numbers import PATTERNS, span, value
from training.simulate import voice as synthesis
from training.simulate.voice import Speaker


@dataclass(frozen=True)
class SimulatedPerson:
    """Somebody who does not exist.

    ``fold`` 0-4: the errors of this face are those of rendered people of no other fold; ``temper``: "open", "silent" or
    "hiding"; ``skin_tone`` on the Monk scale, 1-10.
    """

    number: int
    seed: int
    sex: str
    age_band: str
    skin_tone: int
    temper: str
    manner: Manner
    speaker: Speaker

    @property
    def id(self) -> str:
        return f"sim{self.seed}-{self.number:04d}"

    @property
    def fold(self) -> int:
        return self.number % measured_errors.FOLDS


def person(number: int, seed: int = 1) -> SimulatedPerson:
    """The person of that number; the same for the same seed."""
    rng = np.random.default_rng((seed, number))
    speaker = synthesis.speaker(rng)
    old = speaker.kind == "old"
    male = speaker.tract_scale < 1.08  # women's and men's tracts lie about 1.16 and 1.0
    temper = str(rng.choice(["silent", "hiding", "open"], p=_tempers()))
    gain, share = {
        "open": ("face_gain", "voice_share"),
        "silent": ("face_gain", "silent_voice_share"),
        "hiding": ("hiding_face_gain", "hiding_voice_share"),
    }[temper]
    shares = np.array([pattern.share for pattern in PATTERNS.values()])
    return SimulatedPerson(
        number=number,
        seed=seed,
        sex="male" if male else "female",
        age_band="66 and over" if old else str(rng.choice(["18-35", "36-50", "51-65"])),
        skin_tone=int(rng.integers(1, 11)),
        temper=temper,
        manner=Manner(
            str(rng.choice(list(PATTERNS), p=shares / shares.sum())),
            float(rng.uniform(*span(gain))),
            float(rng.uniform(*span(share))),
        ),
        speaker=speaker,
    )


def _tempers() -> tuple[float, float, float]:
    silent, hiding = value("silent_people"), value("hiding_people")
    return silent, hiding, 1 - silent - hiding
