"""Sounds for tests of the voice: signals whose answer is known, generated voices, and the recordings."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import signal

from benchmarks import voice_reference
from painsense import voice
from painsense.tracks import Track
from training.simulate import voice as simulated

Array = npt.NDArray[Any]
RATE = voice.SAMPLE_RATE_HZ


def times(seconds: float) -> Array:
    return np.arange(round(seconds * RATE)) / RATE


def sine(f0_hz: float, seconds: float = 1.5, amplitude: float = 0.3) -> Array:
    return amplitude * np.sin(2 * np.pi * f0_hz * times(seconds))


def vibrato(f0_hz: float, seconds: float = 1.5) -> tuple[Array, Array]:
    """A tone whose pitch sways by 2% five times a second, and that pitch."""
    course = f0_hz * (1 + 0.02 * np.sin(2 * np.pi * 5 * times(seconds)))
    return 0.3 * np.sin(2 * np.pi * np.cumsum(course) / RATE), course


def pulses(f0_hz: float, seconds: float = 1.5) -> Array:
    fine = np.zeros(round(seconds * RATE) * 8)
    fine[(np.arange(int(seconds * f0_hz)) / f0_hz * RATE * 8).astype(int)] = 1.0
    return np.asarray(signal.resample_poly(fine, 1, 8))


def noise(kind: str, seconds: float = 3.0, rms: float = 0.02) -> Array:
    grain = np.fft.rfft(np.random.default_rng(5).normal(size=round(seconds * RATE)))
    hz = np.maximum(np.fft.rfftfreq(round(seconds * RATE), 1 / RATE), 20.0)
    y = np.fft.irfft(grain / {"white": 1.0, "pink": np.sqrt(hz), "brown": hz}[kind])
    return y / np.std(y) * rms


def quietly(y: Array, rms: float = 1e-4) -> Array:
    """The sound between two half seconds of a quiet room."""
    out = np.concatenate([np.zeros(RATE // 2), y, np.zeros(RATE // 2)])
    return out + np.random.default_rng(9).normal(size=len(out)) * rms


def voiced(track: Track) -> Array:
    return np.asarray(track.column("voiced") == 1)


@cache
def voices() -> tuple[tuple[str, simulated.Sound], ...]:
    rng = np.random.default_rng(7)
    made: list[tuple[str, simulated.Sound]] = []
    for k in range(3):
        made.append(("speech", simulated.speech(3.0, rng)))
        made.append(("moan", simulated.moan(1.6, rng, intensity=k / 2)))
        made.append(("groan", simulated.groan(1.4, rng, intensity=k / 2)))
        made.append(("scream", simulated.scream(1.0, rng)))
        made.append(("vowel", simulated.vowel(1.0, rng)))
    return tuple(made)


@cache
def heard(snr_db: float) -> tuple[tuple[str, simulated.Sound, Track], ...]:
    """The generated voices, each in white noise between two half seconds of noise alone."""
    rng = np.random.default_rng(3)
    out = []
    for name, sound in voices():
        y = quietly(sound.y)
        rms = np.sqrt(np.mean(sound.y[np.repeat(sound.voiced, voice.HOP)].astype(float) ** 2))
        y = y + rng.normal(size=len(y)) * rms * 10 ** (-snr_db / 20)
        out.append((name, sound, voice.low_level(y, RATE)))
    return tuple(out)


def during(track: Track, sound: simulated.Sound) -> slice:
    return slice(50, 50 + len(sound.voiced))


@cache
def recording() -> Array:
    rng = np.random.default_rng(11)
    parts = [(0.4, simulated.speech(2.0, rng)), (2.8, simulated.moan(1.2, rng))]
    return simulated.microphone(simulated.scene(4.3, parts), rng, snr_db=25).y


@cache
def recorded(folder: Path) -> dict[str, Track]:
    """The voice track of each of the recordings, by file name; measured once for all tests."""
    return voice_reference.tracks(folder)
