"""Jitter, shimmer, harmonics-to-noise ratio and subharmonics against voices whose glottal cycles are known."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from scipy import signal, stats

from painsense import voice, voice_periods
from training.simulate import voice as simulated

Array = npt.NDArray[Any]
RATE = voice.SAMPLE_RATE_HZ
REACH = voice_periods.REACH


def rng_speaker(seed: int) -> tuple[np.random.Generator, simulated.Speaker]:
    rng = np.random.default_rng(seed)
    return rng, simulated.speaker(rng, ("man", "woman")[seed % 2])


def measured(sound: simulated.Sound) -> dict[str, float]:
    """Means over the frames with voice, the true pitch given."""
    f0 = np.where(sound.voiced, sound.f0_hz, np.nan).astype(np.float32)
    y = np.pad(sound.y, REACH * voice.HOP)
    rows = voice_periods.measure(y, np.pad(f0, REACH, constant_values=np.nan))
    found = {}
    for name, values in zip(voice_periods.NAMES, rows.T, strict=True):
        known = values[np.isfinite(values)]
        found[name] = float(known.mean()) if len(known) else np.nan
    return found


@cache
def vowels(hnr_db: float) -> tuple[simulated.Sound, ...]:
    made = []
    for seed in range(10):
        rng, who = rng_speaker(seed)
        jitter, shimmer_db = float(rng.uniform(0.004, 0.025)), float(rng.uniform(0.3, 1.2))
        name = str(rng.choice(list(simulated.VOWELS_HZ)))
        made.append(
            simulated.vowel(1.0, rng, name=name, speaker=who, jitter=jitter, shimmer_db=shimmer_db, hnr_db=hnr_db)
        )
    return tuple(made)


@pytest.mark.parametrize("hnr_db", [15.0, 25.0])
def test_jitter_of_vowels_is_within_a_tenth(hnr_db: float) -> None:
    ratio = [measured(sound)["jitter_local"] / sound.jitter_local for sound in vowels(hnr_db)]
    assert np.median(np.abs(np.array(ratio) - 1)) < 0.10
    assert np.median(ratio) == pytest.approx(1.0, abs=0.06)


def test_jitter_and_shimmer_put_voices_in_their_true_order() -> None:
    sounds = [sound for hnr_db in (15.0, 25.0) for sound in vowels(hnr_db)]
    ours = [measured(sound) for sound in sounds]
    assert stats.spearmanr([m["jitter_local"] for m in ours], [s.jitter_local for s in sounds])[0] > 0.88
    assert stats.spearmanr([m["shimmer_db"] for m in ours], [s.shimmer_db for s in sounds])[0] > 0.75
    ratio = np.array([m["shimmer_db"] / s.shimmer_db for m, s in zip(ours, sounds, strict=True)])
    assert np.median(np.abs(ratio - 1)) < 0.2


def test_shimmer_without_noise_and_jitter_is_the_pulses_own() -> None:
    """Slow pulses die away before the next: nothing rings on, and the wave's amplitudes are the larynx's."""
    rng, who = rng_speaker(0)
    for shimmer_db in (0.3, 0.8):
        sound = simulated.vowel(2.0, rng, speaker=who, f0_hz=75.0, jitter=0, shimmer_db=shimmer_db, hnr_db=60)
        found = measured(sound)
        assert found["shimmer_db"] == pytest.approx(shimmer_db, rel=0.10)  # the realised one counts the fades too
        assert found["shimmer_local"] == pytest.approx(np.log(10) / 20 * found["shimmer_db"], rel=0.03)


def test_a_perfect_voice_has_next_to_none() -> None:
    rng, who = rng_speaker(3)
    found = measured(simulated.vowel(1.0, rng, speaker=who, f0_hz=160.0, jitter=0, shimmer_db=0, hnr_db=60))
    assert found["jitter_local"] < 0.001
    assert found["shimmer_db"] < 0.1
    assert found["hnr_db"] > 27
    assert found["subharmonics"] < 0.005


@pytest.mark.parametrize("range_hz", [(90, 300), (300, 450)])
@pytest.mark.parametrize("hnr_db", [5.0, 10.0, 15.0, 20.0])
def test_harmonics_to_noise_ratio_is_within_a_decibel(hnr_db: float, range_hz: tuple[float, float]) -> None:
    error = []
    for seed in range(8):
        rng, who = rng_speaker(seed)
        sound = simulated.vowel(
            0.8, rng, speaker=who, f0_hz=float(rng.uniform(*range_hz)), jitter=0, shimmer_db=0, hnr_db=hnr_db
        )
        error.append(measured(sound)["hnr_db"] - hnr_db)
    assert np.median(np.abs(error)) < 1.0


def test_a_gliding_pitch_is_not_compared_over_several_periods() -> None:
    """What is 8 ms apart differs in a glide, though every period is like the next."""
    rng, who = rng_speaker(1)
    glide = np.geomspace(220, 330, 400)
    still, gliding = (
        measured(simulated.vowel(0.8, rng, speaker=who, f0_hz=f0, jitter=0, shimmer_db=0, hnr_db=60))["hnr_db"]
        for f0 in (270.0, np.resize(glide, 161))
    )
    assert gliding > 0.6 * still


def test_what_noise_does_to_amplitudes_is_not_shimmer() -> None:
    """Screams: in white noise from both ends of the band, little of the change is the larynx's."""
    ratio = []
    for seed in range(10):
        rng, who = rng_speaker(seed)
        sound = simulated.scream(0.8, rng, speaker=who)
        ratio.append(measured(sound)["shimmer_db"] / sound.shimmer_db)
    assert np.median(ratio) < 1.25


@pytest.mark.parametrize("f0_hz", [80.0, 140.0, 260.0])
def test_periods_are_the_cycles_that_were_made(f0_hz: float) -> None:
    rng, who = rng_speaker(4)
    sound = simulated.vowel(1.0, rng, speaker=who, f0_hz=f0_hz, jitter=0.01, shimmer_db=0.3, hnr_db=30)
    found = voice_periods.periods(sound.y, sound.f0_hz.astype(np.float32))
    true = np.diff(sound.cycle_s) * RATE
    middle = (found.mark > 0.15 * RATE) & (found.mark < 0.8 * RATE)
    assert middle.sum() == pytest.approx(0.65 * f0_hz, abs=2)
    # the nearest true cycle of each period found
    nearest = np.abs(found.mark[middle, None] / RATE - sound.cycle_s[None, :-1]).argmin(axis=1)
    best = min(
        np.median(np.abs(found.length[middle] - true[np.clip(nearest + k, 0, len(true) - 1)])) for k in (-1, 0, 1)
    )
    assert best < 0.25 * np.median(np.abs(np.diff(true)))


def with_subharmonic(share: float, many: int = 2, f0_hz: float = 200.0) -> Array:
    """Harmonics, and lines between them that hold ``share`` of the power."""
    t = np.arange(RATE) / RATE
    rng = np.random.default_rng(2)
    lines = [k for k in range(1, 12 * many) if k % many]
    between = sum(np.cos(2 * np.pi * f0_hz / many * k * t + rng.uniform(0, 6)) for k in lines)
    harmonic = sum(np.cos(2 * np.pi * f0_hz * k * t + rng.uniform(0, 6)) for k in range(1, 12))
    y = harmonic / np.std(harmonic) * np.sqrt(1 - share) + between / np.std(between) * np.sqrt(share)
    return np.asarray(0.1 * y, np.float32)


@pytest.mark.parametrize("many", [2, 3])
@pytest.mark.parametrize("share", [0.0, 0.05, 0.2])
def test_subharmonics_are_the_power_between_the_harmonics(share: float, many: int) -> None:
    y = np.pad(with_subharmonic(share, many), REACH * voice.HOP)
    rows = voice_periods.measure(y, np.full(100 + 2 * REACH, 200.0, np.float32))
    assert np.median(rows[20:80, -1]) == pytest.approx(share, abs=0.01 + 0.25 * share)


def test_doubled_periods_of_a_voice_are_seen() -> None:
    rng, who = rng_speaker(6)
    plain, doubled = (
        measured(simulated.vowel(1.0, rng, speaker=who, f0_hz=150.0, jitter=0.003, hnr_db=25, subharmonic=strength))
        for strength in (0.0, 0.4)
    )
    assert doubled["subharmonics"] > plain["subharmonics"] + 0.02


def test_nothing_is_measured_where_there_is_no_pitch() -> None:
    noise = np.random.default_rng(0).normal(size=RATE).astype(np.float32) * 0.1
    n = len(noise) // voice.HOP
    y = np.pad(noise, REACH * voice.HOP)
    assert np.isnan(voice_periods.measure(y, np.full(n + 2 * REACH, np.nan, np.float32))).all()
    # a pitch put on noise finds periods, but none that are alike
    rows = voice_periods.measure(y, np.full(n + 2 * REACH, 150.0, np.float32))
    assert np.isnan(rows[:, voice_periods.NAMES.index("shimmer_db")]).mean() > 0.9
    assert np.nanmedian(rows[:, voice_periods.NAMES.index("hnr_db")]) < 2


@pytest.mark.parametrize("y", [np.zeros(RATE), np.full(RATE, 0.3), np.sign(np.sin(np.arange(RATE) * 0.06))])
@pytest.mark.parametrize("f0_hz", [58.0, 152.8, 1030.0])
def test_strange_sound_gives_numbers_or_nothing(y: Array, f0_hz: float) -> None:
    f0 = np.full(100 + 2 * REACH, f0_hz, np.float32)
    rows = voice_periods.measure(np.pad(y, REACH * voice.HOP).astype(np.float32), f0)
    assert rows.shape == (100, len(voice_periods.COLUMNS))
    for column, values in zip(voice_periods.COLUMNS, rows.T, strict=True):
        known = values[np.isfinite(values)]
        assert column.low is not None
        assert column.high is not None
        assert ((known >= column.low - 1e-3) & (known <= column.high + 1e-3)).all(), column.name
    assert not np.isinf(rows).any()


def test_telephone_sound_has_the_same_jitter() -> None:
    sound = vowels(25.0)[1]
    wide = voice.low_level(sound.y, RATE)
    narrow = voice.low_level(signal.resample_poly(sound.y.astype(np.float64), 1, 2), RATE // 2)
    for name, tolerance in (("jitter_local", 0.15), ("shimmer_db", 0.25)):
        expected = np.nanmean(wide.column(name))
        assert np.nanmean(narrow.column(name)) == pytest.approx(expected, rel=tolerance), name
