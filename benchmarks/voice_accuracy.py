"""How well the voice measures find what is known of generated voices: the tables of docs/voice.md.

``python -m benchmarks.voice_accuracy`` (about two minutes on one core); ``--quick`` makes fewer voices.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from painsense import voice
from painsense.tracks import Track
from training.simulate import voice as simulated

Array = npt.NDArray[Any]
RATE = voice.SAMPLE_RATE_HZ
QUIET_S = 0.5  # of noise alone before and after each voice

MAKERS: dict[str, Callable[[np.random.Generator, simulated.Speaker], simulated.Sound]] = {
    "vowels": lambda rng, who: simulated.vowel(1.2, rng, name=str(rng.choice(list(simulated.VOWELS_HZ))), speaker=who),
    "speech-like syllables": lambda rng, who: simulated.speech(3.0, rng, speaker=who),
    "moans": lambda rng, who: simulated.moan(1.6, rng, intensity=float(rng.random()), speaker=who),
    "groans": lambda rng, who: simulated.groan(1.4, rng, intensity=float(rng.random()), speaker=who),
    "screams": lambda rng, who: simulated.scream(1.0, rng, speaker=who),
}


@dataclass(frozen=True)
class Heard:
    """One generated sound and what was measured of it, both over the sound's own frames."""

    sound: simulated.Sound
    track: Track

    def column(self, name: str) -> Array:
        first = round(QUIET_S / voice.STEP_S)
        return self.track.column(name)[first : first + len(self.sound.voiced)]

    def mean(self, name: str) -> float:
        values = self.column(name)
        return float(np.nanmean(values)) if np.isfinite(values).any() else np.nan


def hear(sound: simulated.Sound, rng: np.random.Generator, snr_db: float = 60.0) -> Heard:
    """The sound in white noise ``snr_db`` under its voice."""
    spoken = sound.y[np.repeat(sound.voiced, voice.HOP)].astype(np.float64)
    pause = np.zeros(round(QUIET_S * RATE))
    y = np.concatenate([pause, sound.y, pause])
    y += rng.normal(size=len(y)) * np.sqrt(np.mean(np.square(spoken))) * 10 ** (-snr_db / 20)
    return Heard(sound, voice.low_level(y, RATE))


def speakers(rng: np.random.Generator, count: int) -> Iterable[simulated.Speaker]:
    """Men, women and old people in turn."""
    for k in range(count):
        yield simulated.speaker(rng, ("man", "woman", "old")[k % 3])


def table(title: str, head: list[str], rows: list[list[str]]) -> None:
    """Print a Markdown table."""
    print(f"\n{title}\n")
    for row in (head, ["---"] * len(head), *rows):
        print("| " + " | ".join(row) + " |")


def percent(values: list[Array], digits: int = 1) -> str:
    """Median size of relative errors, in percent."""
    joined = np.concatenate([np.atleast_1d(v) for v in values])
    joined = joined[np.isfinite(joined)]
    return f"{100 * np.median(np.abs(joined)):.{digits}f}" if len(joined) else "-"


def pitch_errors(heard: list[Heard]) -> Array:
    """Relative errors of the pitch where sound and track have one."""
    errors = [np.abs(h.column("f0_hz") / h.sound.f0_hz - 1)[h.sound.voiced] for h in heard]
    joined = np.concatenate(errors)
    return np.asarray(joined[np.isfinite(joined)])


def pitch_tables(count: int) -> None:
    """Pitch by kind of voice, noise and F0."""
    rng = np.random.default_rng(1)
    rows: list[list[str]] = []
    every: dict[float, list[Array]] = {10.0: [], 60.0: []}
    for name, make in MAKERS.items():
        sounds = [make(rng, who) for who in speakers(rng, count)]
        cells = [name]
        for snr_db in (60.0, 10.0):
            heard = [hear(sound, rng, snr_db) for sound in sounds]
            error = pitch_errors(heard)
            every[snr_db].append(error)
            kept = np.mean(np.concatenate([np.isfinite(h.column("f0_hz"))[h.sound.voiced] for h in heard]))
            cells += [f"{100 * np.mean(error > 0.2):.2f}", f"{100 * np.median(error):.2f}", f"{100 * kept:.1f}"]
        rows.append(cells)
    total = ["all"]
    for snr_db in (60.0, 10.0):
        error = np.concatenate(every[snr_db])
        total += [f"{100 * np.mean(error > 0.2):.2f}", f"{100 * np.median(error):.2f}", ""]
    head = ["", *(f"{what}, {db} dB" for db in (60, 10) for what in ("gross %", "median %", "kept %"))]
    table("Pitch, by kind of voice and noise", head, [*rows, total])

    rows = []
    for low, high in ((65, 100), (100, 160), (160, 250), (250, 400), (400, 650), (650, 1000)):
        made = []
        for who in speakers(rng, count):
            f0_hz = float(np.exp(rng.uniform(np.log(low), np.log(high))))
            made.append(
                simulated.vowel(0.8, rng, name=str(rng.choice(list(simulated.VOWELS_HZ))), speaker=who, f0_hz=f0_hz)
            )
        cells = [f"{low}-{high} Hz"]
        for snr_db in (60.0, 10.0):
            error = pitch_errors([hear(sound, rng, snr_db) for sound in made])
            cells += [f"{100 * np.mean(error > 0.2):.2f}", f"{100 * np.median(error):.2f}"]
        rows.append(cells)
    table("Pitch of vowels, by F0", ["", *(f"{w}, {db} dB" for db in (60, 10) for w in ("gross %", "median %"))], rows)


def perturbation_row(name: str, heard: list[Heard]) -> list[str]:
    """Median errors and ratios of jitter and shimmer, of voices with an HNR over 10 dB."""
    clean = [h for h in heard if h.sound.hnr_db > 10]
    cells = [name, str(len(clean))]
    for column, truth in (("jitter_local", "jitter_local"), ("shimmer_db", "shimmer_db")):
        ratio = np.array([h.mean(column) / getattr(h.sound, truth) for h in clean])
        ratio = ratio[np.isfinite(ratio)]
        cells += [f"{100 * np.median(np.abs(ratio - 1)):.1f}", f"{np.median(ratio):.2f}"] if len(ratio) else ["-", "-"]
    return cells


def period_tables(count: int) -> None:
    """Jitter, shimmer and harmonics-to-noise ratio."""
    rng = np.random.default_rng(2)
    kinds = {name: [hear(make(rng, who), rng) for who in speakers(rng, count)] for name, make in MAKERS.items()}
    rows = [perturbation_row(name, heard) for name, heard in kinds.items()]
    rows.append(perturbation_row("all", [h for heard in kinds.values() for h in heard]))
    head = ["HNR over 10 dB", "voices", "jitter error %", "ratio", "shimmer error %", "ratio"]
    table("Jitter and shimmer, by kind of voice", head, rows)

    rows = []
    for hnr_db in (12.0, 16.0, 20.0, 25.0, 30.0):
        heard = []
        for who in speakers(rng, count):
            sound = simulated.vowel(
                1.2,
                rng,
                name=str(rng.choice(list(simulated.VOWELS_HZ))),
                speaker=who,
                jitter=float(rng.uniform(0.003, 0.025)),
                shimmer_db=float(rng.uniform(0.3, 1.2)),
                hnr_db=hnr_db,
            )
            heard.append(hear(sound, rng))
        rows.append(perturbation_row(f"{hnr_db:.0f} dB", heard))
    table("Jitter (0.3-2.5%) and shimmer (0.3-1.2 dB) of vowels, by HNR", ["HNR", *head[1:]], rows)

    rows = []
    for hnr_db in (5.0, 10.0, 15.0, 20.0, 25.0):
        cells = [f"{hnr_db:.0f} dB"]
        for f0_hz in (90.0, 130.0, 200.0, 300.0, 450.0):
            made = [
                simulated.vowel(0.8, rng, speaker=who, f0_hz=f0_hz, jitter=0, shimmer_db=0, hnr_db=hnr_db)
                for who in speakers(rng, count)
            ]
            difference = np.array([np.nanmedian(hear(sound, rng).column("hnr_db")) - hnr_db for sound in made])
            cells.append(f"{np.median(difference):+.1f} ({np.median(np.abs(difference)):.1f})")
        rows.append(cells)
    table(
        "HNR of vowels without jitter and shimmer: median error in dB (median of its size)",
        ["true HNR", "90 Hz", "130 Hz", "200 Hz", "300 Hz", "450 Hz"],
        rows,
    )


def formant_tables(count: int) -> None:
    """Formants by kind of voice, noise and F0."""
    rng = np.random.default_rng(3)

    def row(name: str, heard: list[Heard]) -> list[str]:
        cells = [name]
        for k in range(3):
            cells.append(
                percent(
                    [
                        h.column(f"f{k + 1}_hz")[h.sound.voiced] / h.sound.formants_hz[h.sound.voiced, k] - 1
                        for h in heard
                    ]
                )
            )
        return cells

    kinds = {name: [hear(make(rng, who), rng) for who in speakers(rng, count)] for name, make in MAKERS.items()}
    rows = [row(name, heard) for name, heard in kinds.items()]
    rows.append(row("all", [h for heard in kinds.values() for h in heard]))
    for snr_db in (20.0, 10.0):
        sounds = [h.sound for heard in kinds.values() for h in heard]
        rows.append(row(f"all, {snr_db:.0f} dB noise", [hear(sound, rng, snr_db) for sound in sounds]))
    for f0_hz in (90.0, 150.0, 220.0, 300.0, 450.0):
        made = [
            simulated.vowel(0.8, rng, name=str(rng.choice(list(simulated.VOWELS_HZ))), speaker=who, f0_hz=f0_hz)
            for who in speakers(rng, count)
        ]
        rows.append(row(f"vowels at {f0_hz:.0f} Hz", [hear(sound, rng) for sound in made]))
    table("Formants: median error in %", ["", "F1", "F2", "F3"], rows)


def main() -> None:
    """Print all tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer voices of each kind")
    count = 6 if parser.parse_args().quick else 24
    pitch_tables(count)
    period_tables(count)
    formant_tables(count)


if __name__ == "__main__":
    main()
