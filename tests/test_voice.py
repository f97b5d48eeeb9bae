"""Pitch, what counts as voice, level and quality against signals whose answer is known."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from make_voices import (
    RATE,
    Array,
    during,
    heard,
    noise,
    pulses,
    quietly,
    recording,
    sine,
    times,
    vibrato,
    voiced,
)
from scipy import signal

from painsense import voice
from training.simulate import voice as simulated

# ---- pitch


@pytest.mark.parametrize("f0_hz", [60, 65, 80, 120, 200, 333, 500, 733, 1000])
def test_swaying_tone_has_its_pitch_all_along(f0_hz: float) -> None:
    y, course = vibrato(f0_hz)
    track = voice.low_level(y, RATE)
    inside = slice(5, -5)  # the outermost windows are half empty
    expected = course[voice.HOP // 2 :: voice.HOP][inside]
    error = track.column("f0_hz")[inside] / expected - 1
    assert voiced(track)[inside].mean() > 0.95
    assert np.nanmax(np.abs(error)) < (0.03 if f0_hz < 100 else 0.015)
    assert np.nanmedian(np.abs(error)) < 0.02 if f0_hz < 70 else np.nanmedian(np.abs(error)) < 0.006


@pytest.mark.parametrize("f0_hz", [60, 75, 110, 220, 440, 733, 1000])
def test_pulse_train_has_its_pitch(f0_hz: float) -> None:
    track = voice.low_level(pulses(f0_hz), RATE)
    assert voiced(track).mean() > 0.95
    inside = np.flatnonzero(voiced(track))[3:-3]
    np.testing.assert_allclose(track.column("f0_hz")[inside], f0_hz, rtol=0.003)


@pytest.mark.parametrize("f0_hz", [65, 220, 440, 1000])
def test_steady_tone_has_a_pitch_but_is_no_voice(f0_hz: float) -> None:
    track = voice.low_level(sine(f0_hz), RATE)
    assert np.nanmedian(track.column("f0_hz")) == pytest.approx(f0_hz, rel=0.005)
    assert not voiced(track).any()
    assert track.has_reason("steady_tone").mean() > 0.95
    assert not track.valid[track.has_reason("steady_tone")].any()


@pytest.mark.parametrize(("snr_db", "largest_error"), [(60.0, 0.004), (10.0, 0.005)])
def test_pitch_of_generated_voices(snr_db: float, largest_error: float) -> None:
    errors = []
    for _, sound, track in heard(snr_db):
        both = sound.voiced & voiced(track)[during(track, sound)]
        errors.append(np.abs(track.column("f0_hz")[during(track, sound)][both] / sound.f0_hz[both] - 1))
    error = np.concatenate(errors)
    assert np.mean(error > 0.2) < 0.01, "gross errors"
    assert np.median(error) < largest_error


def test_strong_formants_are_not_taken_for_the_pitch() -> None:
    """High voices put a single harmonic on the first formant; it must not pass for the pitch."""
    rng = np.random.default_rng(21)
    errors = []
    for _ in range(24):
        f0_hz = float(np.exp(rng.uniform(np.log(140), np.log(500))))
        sound = simulated.vowel(0.4, rng, name=str(rng.choice(list(simulated.VOWELS_HZ))), f0_hz=f0_hz)
        errors.append(voice.low_level(sound.y, RATE).column("f0_hz") / f0_hz - 1)
    assert np.nanmean(np.abs(np.concatenate(errors)) > 0.2) < 0.03


def test_pitch_follows_a_glide_over_four_octaves() -> None:
    seconds = 3.0
    course = 65 * 15 ** (times(seconds) / seconds)
    y = sum(np.sin(2 * np.pi * np.cumsum(course) / RATE * k) / k**1.5 for k in range(1, 5)) * 0.2
    track = voice.low_level(y, RATE)
    expected = course[voice.HOP // 2 :: voice.HOP]
    use = voiced(track) & (np.arange(len(track)) >= 5) & (np.arange(len(track)) < len(track) - 5)
    assert use.mean() > 0.9
    assert np.mean(np.abs(track.column("f0_hz")[use] / expected[use] - 1) > 0.2) < 0.01


# ---- what counts as voice


@pytest.mark.parametrize("kind", ["moan", "groan", "scream", "speech", "vowel"])
@pytest.mark.parametrize(("snr_db", "least"), [(60.0, 0.97), (20.0, 0.95), (10.0, 0.90)])
def test_voice_is_kept(kind: str, snr_db: float, least: float) -> None:
    kept = total = 0
    for name, sound, track in heard(snr_db):
        if name == kind:
            kept += int((sound.voiced & voiced(track)[during(track, sound)]).sum())
            total += int(sound.voiced.sum())
    assert kept / total > least


def test_little_is_added_around_the_voice() -> None:
    added = silent = 0
    for _, sound, track in heard(20.0):
        truth = np.zeros(len(track), bool)
        truth[during(track, sound)] = sound.voiced
        added += int((voiced(track) & ~truth).sum())
        silent += int((~truth).sum())
    assert added / silent < 0.03


def test_hummed_moan_is_not_taken_for_a_device() -> None:
    rng = np.random.default_rng(2)
    for f0_hz in (100.0, 120.0, 200.0):
        course = f0_hz * (1 + 0.02 * np.sin(np.linspace(0, np.pi, round(1.5 / simulated.STEP_S) + 1)))
        y = simulated.vowel(1.5, rng, name="u", f0_hz=course, jitter=0.005, shimmer_db=0.2, hnr_db=20).y
        closed = signal.sosfilt(signal.butter(4, 350, fs=RATE, output="sos"), y)
        assert voiced(voice.low_level(quietly(closed), RATE)).sum() > 135


def knocks() -> Array:
    rng = np.random.default_rng(1)
    y, t = np.zeros(4 * RATE), times(0.15)
    for start in range(0, 4 * RATE - len(t), RATE // 2):
        y[start : start + len(t)] += 0.3 * np.exp(-t / 0.02) * np.sin(2 * np.pi * rng.uniform(150, 400) * t)
    return y


def clicks() -> Array:
    y = np.zeros(3 * RATE)
    y[::4000], y[1700::6000] = 0.5, -0.3
    return np.asarray(signal.lfilter([1], [1, -0.5], y))


def hum(base_hz: float, grain: float = 0.001) -> Array:
    tones = sine(base_hz, 3, 0.02) + sine(2 * base_hz, 3, 0.003) + sine(3 * base_hz, 3, 0.005)
    return tones + noise("white", 3, grain)


NOT_VOICES: dict[str, Callable[[], Array]] = {
    "white noise": lambda: noise("white"),
    "pink noise": lambda: noise("pink"),
    "brown noise": lambda: noise("brown"),
    "noise that starts and stops": lambda: quietly(noise("pink")),
    "clicks": lambda: quietly(clicks()),
    "knocks": lambda: quietly(knocks()),
    "50 Hz hum": lambda: hum(50),
    "60 Hz hum": lambda: hum(60),
    "100 Hz hum": lambda: hum(100),
    "hum switched on": lambda: quietly(hum(50)),
    "alarm": lambda: quietly(sine(880, 1.0)),
    "digital silence": lambda: np.zeros(RATE),
    "DC": lambda: np.full(RATE, 0.3),
    "sighs": lambda: quietly(np.concatenate([simulated.sigh(1.5, np.random.default_rng(k)).y for k in range(4)])),
    "coughs": lambda: quietly(np.concatenate([simulated.cough(0.9, np.random.default_rng(k)).y for k in range(4)])),
}


@pytest.mark.parametrize("name", NOT_VOICES)
def test_what_is_no_voice_is_not_called_one(name: str) -> None:
    track = voice.low_level(NOT_VOICES[name](), RATE)
    assert voiced(track).mean() <= 0.03
    assert np.isnan(track.column("f0_hz")[~voiced(track) & ~track.has_reason("steady_tone")]).all()


@pytest.mark.parametrize("base_hz", [50.0, 60.0])
def test_hum_under_speech_is_named_and_speech_is_kept(base_hz: float) -> None:
    rng = np.random.default_rng(4)
    sound = simulated.scene(6.0, [(0.5, simulated.speech(2.0, rng)), (3.5, simulated.speech(2.0, rng))])
    y = sound.y + sine(base_hz, 6.0, 0.004)
    track = voice.low_level(y, RATE)
    assert (voiced(track) & sound.voiced).sum() > 0.93 * sound.voiced.sum()
    assert (voiced(track) & ~sound.voiced).sum() < 0.06 * (~sound.voiced).sum()
    assert voice.summarise(track).hum
    assert not voice.summarise(voice.low_level(sound.y, RATE)).hum


# ---- level, loudness, harmonics-to-noise ratio


def test_level_is_rms_without_dc() -> None:
    y, _ = vibrato(440)
    track = voice.low_level(y + 0.2, RATE)
    np.testing.assert_allclose(track.column("level_dbfs")[5:-5], 20 * np.log10(0.3 / np.sqrt(2)), atol=0.15)


@pytest.mark.parametrize("gain_db", [-20.0, -6.0, 6.0])
def test_loudness_grows_with_the_cube_root_of_power(gain_db: float) -> None:
    y = simulated.moan(1.5, np.random.default_rng(0), intensity=0.3).y
    before, after = (voice.low_level(y * 10 ** (gain / 20), RATE) for gain in (0.0, gain_db))
    ratio = after.column("loudness") / before.column("loudness")
    np.testing.assert_allclose(ratio[10:-10], 10 ** (gain_db / 10 * 0.33), rtol=1e-3)
    np.testing.assert_allclose((after.column("level_dbfs") - before.column("level_dbfs"))[10:-10], gain_db, atol=1e-3)


def test_loudness_follows_the_ear_not_the_meter() -> None:
    low, middle = (np.nanmedian(voice.low_level(vibrato(f)[0], RATE).column("loudness")) for f in (80, 1000))
    assert middle > 2 * low  # the same level


@pytest.mark.parametrize("hnr_db", [5.0, 10.0, 15.0, 20.0])
@pytest.mark.parametrize("f0_hz", [110.0, 160.0, 230.0])
def test_harmonics_to_noise_ratio(hnr_db: float, f0_hz: float) -> None:
    rng = np.random.default_rng(1)  # breath noise rings in the formants, differently in each speaker
    made = [simulated.vowel(1.0, rng, f0_hz=f0_hz, jitter=0, shimmer_db=0, hnr_db=hnr_db).y for _ in range(5)]
    measured_db = [voice.summarise(voice.low_level(y, RATE)).hnr_median_db for y in made]
    assert np.median(measured_db) == pytest.approx(hnr_db, abs=1.3)


# ---- what is derived from the pitch, and the second stage


def test_semitones_count_from_the_lowest_a() -> None:
    track = voice.low_level(vibrato(440)[0], RATE)
    assert np.nanmedian(track.column("f0_semitone")) == pytest.approx(48, abs=0.1)
    np.testing.assert_array_equal(np.isnan(track.column("f0_semitone")), np.isnan(track.column("f0_hz")))


def test_voicing_probability_tells_voice_from_noise() -> None:
    for snr_db, voice_least, noise_most in ((60.0, 0.95, 0.3), (10.0, 0.8, 0.2)):
        inside, outside = [], []
        for _, sound, track in heard(snr_db):
            probability = track.column("voicing_probability")
            assert np.isfinite(probability).all()
            inside.append(probability[during(track, sound)][sound.voiced])
            outside.append(probability[:45])
        assert np.mean(np.concatenate(inside)) > voice_least
        assert np.mean(np.concatenate(outside)) < noise_most


def test_measures_of_voice_are_missing_elsewhere() -> None:
    track = voice.low_level(quietly(recording()), RATE)
    for name in ("jitter_local", "shimmer_db", "f1_hz", "cpp_db", "roughness", "chaos", "h1_h2_db"):
        values = track.column(name)
        assert np.isnan(values[~voiced(track)]).all(), name
        assert np.isfinite(values[voiced(track)]).mean() > 0.8, name


# ---- quality


def test_clipping_is_said_where_it_is() -> None:
    sound = simulated.speech(3.0, np.random.default_rng(2))
    y = sound.y.copy()
    y[RATE : 2 * RATE] = np.clip(y[RATE : 2 * RATE] * 30, -1, 1)
    for gain in (1.0, 0.4):  # 0.4: overdriven first, turned down afterwards
        clipped = voice.low_level(y * gain, RATE).has_reason("clipped")
        assert clipped[102:198][sound.voiced[102:198]].mean() > 0.85
        assert not clipped[:97].any()
        assert not clipped[203:].any()
    assert not voice.low_level(sound.y, RATE).has_reason("clipped").any()
    assert not voice.low_level(sound.y / np.abs(sound.y).max(), RATE).has_reason("clipped").any(), "just full scale"


@pytest.mark.parametrize(("snr_db", "low"), [(30.0, False), (20.0, False), (5.0, True)])
def test_signal_to_noise(snr_db: float, low: bool) -> None:
    for _, _, track in heard(snr_db)[:5]:
        summary = voice.summarise(track)
        assert summary.snr_db == pytest.approx(snr_db, abs=3.5)  # power of the voice includes the noise under it
        assert track.has_reason("low_snr")[voiced(track)].all() == low
        assert (summary.usable_s == 0) == low


def test_recording_without_a_pause_has_voice_but_no_noise_floor() -> None:
    track = voice.low_level(simulated.vowel(2.0, np.random.default_rng(0), level_dbfs=-40).y, RATE)
    assert voiced(track).mean() > 0.95
    assert np.isnan(voice.summarise(track).snr_db)
    assert not track.has_reason("low_snr").any()


def test_every_missing_number_has_a_reason() -> None:
    rng = np.random.default_rng(0)
    y = simulated.microphone(simulated.speech(4.0, rng), rng, snr_db=25).y.copy()
    y[RATE : RATE + 4000] = np.nan
    y[2 * RATE : 2 * RATE + 4000] = 0
    track = voice.low_level(y, RATE)
    missing = np.isnan(track.values).any(axis=1)
    assert missing.any()
    assert (track.reason_bits[missing] != 0).all()
    assert track.has_reason("no_audio")[102:123].all()
    assert np.isnan(track.values[102:123]).all()
    assert track.has_reason("silent")[204:221].all()
    assert np.isnan(track.column("level_dbfs")[204:221]).all()
    assert not track.valid[204:221].any()
    assert track.has_reason("unvoiced").any()
    assert track.valid[track.has_reason("unvoiced")].all()


# ---- segments and summary


def test_segments_are_where_the_voice_is() -> None:
    rng = np.random.default_rng(0)
    first, second = simulated.moan(1.2, rng, intensity=0.6), simulated.groan(0.9, rng)
    scene = simulated.scene(5.0, [(0.7, first), (3.1, second)])
    found = voice.segments(simulated.microphone(scene, rng, snr_db=30).y, RATE, start_s=2.0)
    assert (found[0].start_s, found[-1].end_s) == (2.0, 7.0)
    heard = [segment for segment in found if segment.kind == "nonverbal"]
    assert [(s.start_s, s.end_s) for s in heard] == [
        (pytest.approx(2.7, abs=0.1), pytest.approx(3.9, abs=0.1)),
        (pytest.approx(5.1, abs=0.1), pytest.approx(6.0, abs=0.1)),
    ]


def test_summary_of_a_known_recording() -> None:
    rng = np.random.default_rng(0)
    sound = simulated.vowel(2.0, rng, f0_hz=180.0, jitter=0.004, shimmer_db=0.2, hnr_db=18.0, level_dbfs=-25.0)
    summary = voice.summarise(voice.low_level(quietly(sound.y, 10 ** (-65 / 20)), RATE))
    assert summary.audio_s == pytest.approx(3.0)
    assert summary.voiced_s == pytest.approx(2.0, abs=0.05)
    assert summary.usable_s == summary.voiced_s
    assert summary.f0_median_hz == pytest.approx(180, rel=0.003)
    assert summary.f0_p5_hz <= summary.f0_median_hz <= summary.f0_p95_hz
    assert summary.level_median_dbfs == pytest.approx(-25, abs=0.5)
    assert summary.noise_floor_dbfs == pytest.approx(-65, abs=1.5)
    assert summary.snr_db == pytest.approx(40, abs=2)
    assert summary.silent_share == pytest.approx(1 / 3, abs=0.05)
    assert (summary.clipped_share, summary.steady_tone_s, summary.hum) == (0, 0, False)


def test_summary_of_nothing_is_missing_not_zero() -> None:
    summary = voice.summarise(voice.low_level(np.zeros(RATE), RATE))
    assert (summary.audio_s, summary.voiced_s, summary.silent_share) == (1.0, 0.0, 1.0)
    for name in ("snr_db", "noise_floor_dbfs", "f0_median_hz", "loudness_median", "level_median_dbfs", "hnr_median_db"):
        assert np.isnan(getattr(summary, name)), name


def test_tables_are_complete() -> None:
    assert voice.low_level(sine(100), RATE).names == tuple(column.name for column in voice.COLUMNS)
    assert all(column.unit and column.meaning for column in voice.COLUMNS)
    assert all(column.source for column in voice.COLUMNS if column.name not in ("voiced", "level_dbfs"))
    assert len(set(voice.low_level(sine(100), RATE).names)) == len(voice.COLUMNS)
    assert [reason.code for reason in voice.REASONS if not reason.blocking] == ["unvoiced", "irregular"]


def test_the_guide_has_every_column_and_reason() -> None:
    guide = (Path(__file__).resolve().parent.parent / "docs" / "voice.md").read_text("utf-8").replace("\\|", "|")
    for column in voice.COLUMNS:
        if column.name.startswith(("mfcc_", "f1_", "f2_", "f3_")):  # these share a row
            assert f"`{column.name}`" in guide or column.name in ("mfcc_2", "mfcc_3"), column.name
        else:
            assert f"| `{column.name}` | {column.unit} | {column.meaning} |" in guide, column.name
    for reason in voice.REASONS:
        assert f"| `{reason.code}` | {'yes' if reason.blocking else 'no'} |" in guide, reason.code
