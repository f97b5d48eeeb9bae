"""Formants, harmonics, cepstral peak, roughness, biphonation and chaos against sounds whose answer is known."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from painsense import voice, voice_formants
from training.simulate import voice as simulated

Array = npt.NDArray[Any]
RATE = voice.SAMPLE_RATE_HZ
REACH = voice_formants.REACH


def measured(y: Array, f0_hz: Array | float) -> dict[str, Array]:
    n = len(y) // voice.HOP
    f0 = np.array(np.broadcast_to(f0_hz, n), np.float32)
    rows = voice_formants.measure(np.pad(y[: n * voice.HOP], REACH * voice.HOP).astype(np.float32), f0)
    return dict(zip(voice_formants.NAMES, rows[8:-8].T, strict=True))


def harmonics(f0_hz: float, levels_db: dict[int, float], seconds: float = 1.0) -> Array:
    t = np.arange(round(seconds * RATE)) / RATE
    return np.asarray(
        sum(0.01 * 10 ** (db / 20) * np.cos(2 * np.pi * k * f0_hz * t + k * k) for k, db in levels_db.items())
    )


def falling(f0_hz: float, slope_db: float = 12.0) -> Array:
    """Harmonics that fall by ``slope_db`` an octave."""
    return harmonics(f0_hz, {k: 30 - slope_db * np.log2(k) for k in range(1, int(7000 / f0_hz))})


# ---- formants


@pytest.mark.parametrize("kind", ["man", "woman", "old"])
def test_formants_of_generated_voices(kind: str) -> None:
    rng = np.random.default_rng(len(kind))
    errors: list[list[Array]] = [[], [], []]
    for name in simulated.VOWELS_HZ:
        sound = simulated.vowel(0.5, rng, name=name, speaker=simulated.speaker(rng, kind))
        found = measured(sound.y, sound.f0_hz)
        for k in range(3):
            errors[k].append(found[f"f{k + 1}_hz"] / sound.formants_hz[8:-8, k] - 1)
    for k in range(3):
        error = np.abs(np.concatenate(errors[k]))
        assert np.nanmedian(error) < 0.05, k
        assert np.isfinite(error).mean() > 0.95


def test_formants_follow_the_mouth() -> None:
    sound = simulated.speech(4.0, np.random.default_rng(5))
    track = voice.low_level(sound.y, RATE)
    use = (track.column("voiced") == 1) & sound.voiced
    for k, least in ((0, 0.8), (1, 0.85)):
        ours, true = track.column(f"f{k + 1}_hz")[use], sound.formants_hz[use, k]
        good = np.isfinite(ours)
        assert np.corrcoef(np.log(ours[good]), np.log(true[good]))[0, 1] > least


@pytest.mark.parametrize("width_hz", [60.0, 150.0, 300.0])
def test_bandwidth_of_one_resonance(width_hz: float) -> None:
    """Noise through one resonance: its pole is known."""
    from scipy import signal

    radius, angle = np.exp(-np.pi * width_hz / RATE), 2 * np.pi * 1200 / RATE
    grain = np.random.default_rng(1).normal(size=2 * RATE)
    y = signal.lfilter([1.0], [1.0, -2 * radius * np.cos(angle), radius**2], grain)
    found = measured(y / np.std(y) * 0.1, 100.0)
    near = np.argmin(np.abs(np.stack([found[f"f{k}_hz"] for k in (1, 2, 3)]) - 1200), axis=0)
    hz = np.choose(near, [found[f"f{k}_hz"] for k in (1, 2, 3)])
    width = np.choose(near, [found[f"f{k}_bandwidth_hz"] for k in (1, 2, 3)])
    assert np.nanmedian(hz) == pytest.approx(1200, abs=20 + 0.35 * width_hz)
    assert np.nanmedian(width) == pytest.approx(width_hz, abs=45 + 0.2 * width_hz)


def test_levels_are_those_of_the_harmonics() -> None:
    levels = {1: 20.0, 2: 12.0, 3: 5.0, 4: 5.0, 5: 5.0, 6: 30.0, 7: 5.0, 8: 0.0}
    levels |= {k: -10.0 for k in range(9, 25)}
    found = measured(harmonics(200.0, levels), 200.0)
    assert np.median(found["h1_h2_db"]) == pytest.approx(8.0, abs=0.3)
    assert np.nanmedian(found["f1_hz"]) == pytest.approx(1200, rel=0.15)
    assert np.nanmedian(found["f1_level_db"]) == pytest.approx(10.0, abs=0.5)


@pytest.mark.parametrize("f0_hz", [75.0, 120.0, 220.0, 480.0])
def test_h1_h2_at_any_pitch(f0_hz: float) -> None:
    found = measured(falling(f0_hz), f0_hz)
    assert np.median(found["h1_h2_db"]) == pytest.approx(12.0, abs=1.0)


def test_pressed_voices_have_lower_h1_a3_than_soft_ones() -> None:
    rng = np.random.default_rng(0)
    who = simulated.speaker(rng, "man")
    found = []
    for tilt_hz in (600.0, 5000.0):
        loud = simulated.Speaker(**{**who.__dict__, "tilt_hz": tilt_hz})
        sound = simulated.vowel(0.6, rng, name="schwa", speaker=loud, hnr_db=40)
        found.append(np.nanmedian(measured(sound.y, sound.f0_hz)["h1_a3_db"]))
    assert found[0] > found[1] + 6


# ---- cepstral peak


def test_cepstral_peak_falls_with_noise() -> None:
    heights = []
    for hnr_db in (30.0, 20.0, 10.0, 0.0):
        rng = np.random.default_rng(3)
        sound = simulated.vowel(1.0, rng, f0_hz=140.0, jitter=0, shimmer_db=0, hnr_db=hnr_db)
        heights.append(np.median(measured(sound.y, 140.0)["cpp_db"]))
    assert (np.diff(heights) < -1).all()
    noise = np.random.default_rng(4).normal(size=RATE) * 0.05
    assert np.median(measured(noise, 140.0)["cpp_db"]) < heights[-1]
    assert heights[0] > 18


# ---- ripple, second voices, chaos


@pytest.mark.parametrize("depth", [0.0, 0.3, 0.8])
def test_roughness_is_the_depth_of_the_modulation(depth: float) -> None:
    y = falling(400.0)
    t = np.arange(len(y)) / RATE
    found = measured(y * (1 + depth * np.sin(2 * np.pi * 70 * t)), 400.0)
    assert np.median(found["roughness"]) == pytest.approx(depth, abs=0.05)


def test_slow_and_fast_changes_are_not_roughness() -> None:
    y = falling(400.0)
    t = np.arange(len(y)) / RATE
    for hz in (4.0, 300.0):
        found = measured(y * (1 + 0.5 * np.sin(2 * np.pi * hz * t)), 400.0)
        assert np.median(found["roughness"]) < 0.1, hz


def test_a_second_pitch_is_biphonation() -> None:
    one, two = falling(310.0, 6.0), falling(197.0, 6.0)
    alone = measured(one, 310.0)
    both = measured(one + two * (np.std(one) / np.std(two)), 310.0)
    assert np.median(alone["biphonation"]) < 0.01
    assert np.median(both["biphonation"]) > 0.2
    assert np.median(both["biphonation"]) > 2 * np.median(both["chaos"])


def test_period_doubling_is_no_second_voice() -> None:
    y = falling(240.0, 6.0) + harmonics(120.0, {k: 20 - 6 * np.log2(k) for k in range(1, 40, 2)})
    found = measured(y, 240.0)
    assert np.median(found["biphonation"]) < 0.03
    assert np.median(found["chaos"]) < 0.1


def test_noise_in_the_voice_is_chaos() -> None:
    shares = []
    for share in (0.02, 0.2, 0.6):
        y = falling(200.0)
        noise = np.convolve(np.random.default_rng(1).normal(size=len(y)), np.hanning(16), "same")
        y = y / np.std(y) * np.sqrt(1 - share) + noise / np.std(noise) * np.sqrt(share)
        shares.append(np.median(measured(0.1 * y, 200.0)["chaos"]))
    assert shares[0] == pytest.approx(0.02, abs=0.02)
    assert shares[1] == pytest.approx(0.2, abs=0.07)
    assert shares[2] > 2 * shares[1] - 0.02  # of strong noise a part looks periodic: a lower bound


# ---- what cannot be measured


def test_no_pitch_no_values() -> None:
    rows = voice_formants.measure(np.zeros(108 * voice.HOP, np.float32), np.full(100, np.nan, np.float32))
    assert rows.shape == (100, len(voice_formants.COLUMNS))
    assert np.isnan(rows).all()


@pytest.mark.parametrize("y", [np.zeros(RATE), np.full(RATE, 0.3), np.sign(np.sin(np.arange(RATE) * 0.06))])
@pytest.mark.parametrize("f0_hz", [58.0, 152.8, 1030.0])
def test_strange_sound_gives_numbers_or_nothing(y: Array, f0_hz: float) -> None:
    found = measured(y, f0_hz)
    for column in voice_formants.COLUMNS:
        known = found[column.name][np.isfinite(found[column.name])]
        assert not np.isinf(found[column.name]).any(), column.name
        assert (known >= (column.low or 0) - 1e-3).all() if column.low is not None else True, column.name
        assert (known <= (column.high or 0) + 1e-3).all() if column.high is not None else True, column.name


def test_formants_do_not_depend_on_the_level() -> None:
    sound = simulated.vowel(0.5, np.random.default_rng(2))
    loud, quiet = (measured(sound.y * gain, sound.f0_hz) for gain in (1.0, 1e-3))
    for name in voice_formants.NAMES:
        np.testing.assert_allclose(loud[name], quiet[name], rtol=0.02, atol=0.02, err_msg=name)
