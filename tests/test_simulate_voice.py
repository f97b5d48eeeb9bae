"""The generated voice is what its truth says, measured by other means than painsense's own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from scipy import linalg, signal

from training.simulate import voice

Array = npt.NDArray[Any]
RATE = voice.SAMPLE_RATE_HZ

MAKERS: dict[str, Callable[[np.random.Generator], voice.Sound]] = {
    "vowel": lambda rng: voice.vowel(0.8, rng),
    "speech": lambda rng: voice.speech(2.5, rng),
    "moan": lambda rng: voice.moan(1.2, rng, intensity=0.7),
    "groan": lambda rng: voice.groan(1.0, rng),
    "scream": lambda rng: voice.scream(0.7, rng),
    "sigh": lambda rng: voice.sigh(1.0, rng),
    "cough": lambda rng: voice.cough(0.8, rng),
}


def rms_dbfs(y: Array) -> float:
    return float(10 * np.log10(np.mean(np.square(y, dtype=np.float64))))


def of_frames(flag: Array, y: Array) -> Array:
    return y[: len(flag) * voice.FRAME][np.repeat(flag, voice.FRAME)]


@pytest.mark.parametrize("name", MAKERS)
def test_same_seed_same_sound(name: str) -> None:
    one, two, other = (MAKERS[name](np.random.default_rng(seed)) for seed in (1, 1, 2))
    np.testing.assert_array_equal(one.y, two.y)
    np.testing.assert_array_equal(one.f0_hz, two.f0_hz)
    assert not np.array_equal(one.y, other.y)


@pytest.mark.parametrize("name", MAKERS)
def test_sound_and_truth_have_their_shapes(name: str) -> None:
    sound = MAKERS[name](np.random.default_rng(3))
    n = len(sound.f0_hz)
    assert sound.y.dtype == np.float32
    assert len(sound.y) == n * voice.FRAME
    assert sound.duration_s == pytest.approx(n * voice.FRAME_S)
    assert np.abs(sound.y).max() <= 0.98
    np.testing.assert_array_equal(np.isfinite(sound.f0_hz), sound.voiced)
    assert sound.time_s[:2] == pytest.approx([0.005, 0.015])
    assert (sound.mouth_open >= 0).all() and (sound.mouth_open <= 1).all()
    assert sound.formants_hz.shape == (n, 5)
    assert (np.diff(sound.formants_hz, axis=1) > 0).all()
    assert sound.voiced.any() == (name not in ("sigh", "cough"))
    assert np.isfinite(sound.jitter_local) == sound.voiced.any()


@pytest.mark.parametrize("f0_hz", [70.0, 150.0, 400.0, 950.0])
def test_spectrum_has_its_line_at_the_pitch(f0_hz: float) -> None:
    sound = voice.vowel(2.0, np.random.default_rng(0), f0_hz=f0_hz, jitter=0, shimmer_db=0, hnr_db=40)
    spectrum = np.abs(np.fft.rfft(sound.y[RATE // 2 : 3 * RATE // 2] * np.hanning(RATE)))  # 1 Hz a bin
    for k in (1, 2, 3):
        near = slice(int(k * f0_hz * 0.97), int(k * f0_hz * 1.03) + 1)
        assert near.start + spectrum[near].argmax() == pytest.approx(k * f0_hz, abs=1)
    np.testing.assert_allclose(sound.f0_hz[sound.voiced], f0_hz, rtol=2e-3)


def test_pitch_truth_is_the_rate_of_the_cycles() -> None:
    sound = voice.moan(2.0, np.random.default_rng(4), intensity=0.8)
    for k in range(20, 180, 20):
        around = np.abs(sound.cycle_s - sound.time_s[k]) <= 0.05
        rate = (around.sum() - 1) / np.ptp(sound.cycle_s[around])
        assert sound.f0_hz[k] == pytest.approx(rate, rel=0.03)


@pytest.mark.parametrize("jitter", [0.002, 0.01, 0.03])
def test_jitter_is_as_ordered_and_in_the_wave(jitter: float) -> None:
    sound = voice.vowel(4.0, np.random.default_rng(0), f0_hz=120.0, jitter=jitter, shimmer_db=0, hnr_db=60)
    assert sound.jitter_local == pytest.approx(jitter, rel=0.12)
    # the mouth is excited where the glottis closes: the steepest point of each cycle, 64 times finer than a sample
    fine = signal.resample_poly(sound.y.astype(float), 8, 1)
    period = 8 * RATE / 120
    closings, _ = signal.find_peaks(np.maximum(-fine, 0), distance=0.7 * period, height=0.3 * np.max(-fine))
    periods = np.diff(closings[5:-5])
    assert np.mean(np.abs(np.diff(periods))) / np.mean(periods) == pytest.approx(jitter, rel=0.35)


def test_shimmer_is_as_ordered() -> None:
    sound = voice.vowel(4.0, np.random.default_rng(1), f0_hz=150.0, jitter=0, shimmer_db=0.8, hnr_db=60)
    assert sound.shimmer_db == pytest.approx(0.8, rel=0.12)
    steady = voice.vowel(4.0, np.random.default_rng(1), f0_hz=150.0, jitter=0, shimmer_db=0, hnr_db=60)

    def unrest(y: Array) -> float:
        peaks = np.abs(y[RATE : 3 * RATE]).reshape(-1, round(RATE / 50)).max(axis=1)  # three cycles each
        return float(np.std(20 * np.log10(peaks)))

    assert unrest(sound.y) > 5 * unrest(steady.y)


@pytest.mark.parametrize("hnr_db", [5.0, 15.0, 25.0])
def test_breath_noise_has_its_share(hnr_db: float) -> None:
    """A comb that cancels a period of 8 ms (125 Hz) leaves the noise, doubled."""
    sound = voice.vowel(3.0, np.random.default_rng(2), f0_hz=125.0, jitter=0, shimmer_db=0, hnr_db=hnr_db)
    y, period = sound.y[RATE : 2 * RATE].astype(float), RATE // 125
    left = np.mean((y[period:] - y[:-period]) ** 2) / 2
    assert 10 * np.log10((np.mean(y**2) - left) / left) == pytest.approx(hnr_db, abs=1.5)


def test_subharmonics_double_the_period() -> None:
    def half_line(subharmonic: float) -> float:
        sound = voice.vowel(
            2.0, np.random.default_rng(0), f0_hz=200.0, jitter=0, shimmer_db=0, hnr_db=60, subharmonic=subharmonic
        )
        spectrum = np.abs(np.fft.rfft(sound.y[RATE // 2 : 3 * RATE // 2] * np.hanning(RATE)))
        return float(20 * np.log10(spectrum[295:306].max() / spectrum[395:406].max()))

    assert half_line(0.3) > half_line(0.0) + 20


@pytest.mark.parametrize("name", ["a", "i", "u", "ae"])
@pytest.mark.parametrize("kind", ["man", "woman"])
def test_formants_are_in_the_wave(name: str, kind: str) -> None:
    rng = np.random.default_rng(5)
    sound = voice.vowel(1.0, rng, name=name, speaker=voice.speaker(rng, kind), f0_hz=90.0, hnr_db=40)
    y = signal.lfilter([1, -0.97], [1], sound.y[4000:12000].astype(float)) * np.hamming(8000)
    y = signal.resample_poly(y, 11, 16)  # up to 5.5 kHz, as is usual for formants
    order = 12
    acf = np.correlate(y, y, "full")[len(y) - 1 : len(y) + order]
    acf[0] *= 1 + 1e-9
    roots = np.roots(np.r_[1.0, linalg.solve_toeplitz(acf[:-1], -acf[1:])])
    hz = np.sort(np.angle(roots[(roots.imag > 0) & (np.abs(roots) > 0.85)]) * 11000 / 2 / np.pi)
    for expected in sound.formants_hz[50, :3]:
        assert np.min(np.abs(hz / expected - 1)) < 0.08


def test_level_is_as_ordered() -> None:
    for level in (-45.0, -20.0):
        sound = voice.speech(3.0, np.random.default_rng(0), level_dbfs=level)
        assert rms_dbfs(of_frames(sound.voiced, sound.y)) == pytest.approx(level, abs=0.1)


def test_stronger_moans_are_higher_louder_and_wider_open() -> None:
    who = voice.speaker(np.random.default_rng(0), "woman")
    weak, strong = (voice.moan(1.5, np.random.default_rng(1), intensity=i, speaker=who) for i in (0.1, 0.9))
    assert np.nanmedian(strong.f0_hz) > 1.2 * np.nanmedian(weak.f0_hz)
    assert rms_dbfs(strong.y) > rms_dbfs(weak.y) + 8
    assert strong.mouth_open.max() > 1.5 * weak.mouth_open.max()
    assert strong.hnr_db < weak.hnr_db
    assert weak.voiced.mean() > 0.95


def test_speech_has_syllables_and_pauses() -> None:
    sound = voice.speech(12.0, np.random.default_rng(8))
    runs = np.flatnonzero(np.diff(np.r_[0, sound.voiced.astype(int), 0]) == 1)
    assert 0.4 < sound.voiced.mean() < 0.9
    assert len(runs) / sound.duration_s > 0.8
    assert np.std(sound.mouth_open) > 0.15
    assert np.nanpercentile(sound.f0_hz, 95) / np.nanpercentile(sound.f0_hz, 5) > 1.15
    assert np.std(sound.formants_hz[sound.voiced, 1]) > 200


def test_speakers_differ_as_people_do() -> None:
    rng = np.random.default_rng(0)
    men, women, old = ([voice.speaker(rng, kind) for _ in range(40)] for kind in ("man", "woman", "old"))
    assert max(s.f0_hz for s in men) < min(s.f0_hz for s in women)
    assert np.mean([s.tract_scale for s in women]) > 1.1 * np.mean([s.tract_scale for s in men])
    assert min(s.jitter for s in old) >= max(s.jitter for s in men)
    assert np.mean([s.hnr_db for s in old]) < np.mean([s.hnr_db for s in women]) - 4


def test_scene_puts_sound_and_truth_in_their_place() -> None:
    rng = np.random.default_rng(0)
    moan, cough = voice.moan(1.0, rng), voice.cough(0.5, rng)
    scene = voice.scene(4.0, [(0.5, moan), (2.0, cough), (3.6, moan)])
    assert len(scene.y) == 4 * RATE
    np.testing.assert_array_equal(scene.y[RATE // 2 : RATE // 2 + len(moan.y)], moan.y)
    np.testing.assert_array_equal(scene.f0_hz[50:150], moan.f0_hz)
    np.testing.assert_array_equal(scene.f0_hz[360:], moan.f0_hz[:40])  # cut off by the end
    assert not scene.voiced[150:360].any()
    assert not scene.y[: RATE // 2].any()
    assert scene.cycle_s[0] == pytest.approx(0.5 + moan.cycle_s[0])
    assert (scene.cycle_s < 4.0).all()
    assert scene.hnr_db == pytest.approx(moan.hnr_db)
    with pytest.raises(ValueError, match="outside the scene"):
        voice.scene(1.0, [(1.0, moan)])


def test_room_adds_a_tail_that_dies_away() -> None:
    rng = np.random.default_rng(0)
    scene = voice.scene(2.0, [(0.2, voice.vowel(0.5, rng))])
    wet = voice.room(scene, rng, rt60_s=0.4, direct_db=3.0)
    levels = [rms_dbfs(wet.y[round(t * RATE) : round((t + 0.05) * RATE)]) for t in (0.4, 0.72, 0.85)]
    assert not scene.y[round(0.72 * RATE) :].any()
    assert levels[0] - 30 < levels[1] < levels[0] - 3
    assert levels[2] < levels[1] - 10
    np.testing.assert_array_equal(wet.f0_hz, scene.f0_hz)


@pytest.mark.parametrize("noise", ["white", "pink", "hum"])
@pytest.mark.parametrize("snr_db", [5.0, 20.0])
def test_microphone_has_its_noise(noise: str, snr_db: float) -> None:
    rng = np.random.default_rng(0)
    scene = voice.scene(4.0, [(1.0, voice.vowel(2.0, rng))])
    taken = voice.microphone(scene, rng, snr_db=snr_db, noise=noise, low_hz=10, high_hz=7900)
    floor = rms_dbfs(taken.y[: RATE // 2])
    assert rms_dbfs(scene.y[RATE : 3 * RATE]) - floor == pytest.approx(snr_db, abs=1.5)
    if noise == "hum":
        hz = np.fft.rfftfreq(RATE // 2, 1 / RATE)
        assert hz[np.abs(np.fft.rfft(taken.y[: RATE // 2])).argmax()] == pytest.approx(50)


def test_microphone_overdrives_only_when_told() -> None:
    rng = np.random.default_rng(0)
    sound = voice.vowel(1.0, rng)
    loud = voice.microphone(sound, rng, gain_db=30, clip=True)
    turned_down = voice.microphone(sound, rng, gain_db=30)
    assert np.mean(np.abs(loud.y) == 1.0) > 0.05
    assert np.abs(turned_down.y).max() <= 0.98


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda rng: voice.speaker(rng, "child"), "'man', 'woman' or 'old', got 'child'"),
        (lambda rng: voice.moan(0.01, rng), r"at least 0.05 s, got 0.01"),
        (lambda rng: voice.vowel(float("nan"), rng), "at least 0.05 s"),
        (lambda rng: voice.microphone(voice.vowel(0.2, rng), rng, noise="blue"), "'white', 'pink' or 'hum'"),
    ],
)
def test_wrong_orders_are_refused(call: Callable[[np.random.Generator], object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call(np.random.default_rng(0))
