"""The voice measures against signals whose answer is known, recorded voices measured by other tools, and bad input."""

from __future__ import annotations

import csv
import subprocess
import sys
import tracemalloc
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from scipy import signal

from painsense import media, voice
from painsense.errors import MediaError
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


def test_music_and_a_device_have_values_and_no_voice_measures_of_the_device() -> None:
    chord = voice.low_level(STRANGE["chord"](), RATE)
    assert len(chord) == 150
    tone = voice.low_level(sine(220), RATE)
    for name in ("jitter_local", "f1_hz", "cpp_db"):
        assert np.isnan(tone.column(name)).all(), name
    assert np.isfinite(tone.column("f0_hz")).mean() > 0.9


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
    assert track.valid[track.has_reason("unvoiced")].all() or track.has_reason("clipped").any()


# ---- the clock and the stream


@cache
def recording() -> Array:
    rng = np.random.default_rng(11)
    parts = [(0.4, simulated.speech(2.0, rng)), (2.8, simulated.moan(1.2, rng))]
    return simulated.microphone(simulated.scene(4.3, parts), rng, snr_db=25).y


def in_blocks(y: Array, sizes: list[int], start_s: float = 0.0) -> Track:
    stream, at, k = voice.VoiceStream(), 0, 0
    while at < len(y):
        block = y[at : at + sizes[k % len(sizes)]]
        stream.push(start_s + at / RATE, block)
        at, k = at + len(block), k + 1
    return stream.finish()


@pytest.mark.parametrize("sizes", [[1], [7], [160], [1601], [16000], [3, 40000, 0, 777], [10**9]])
def test_blocks_of_any_size_give_the_same_track(sizes: list[int]) -> None:
    y = recording()
    whole = voice.low_level(y, RATE)
    blocks = in_blocks(y, [size for size in sizes if size])
    np.testing.assert_array_equal(blocks.values, whole.values)
    np.testing.assert_array_equal(blocks.reason_bits, whole.reason_bits)
    np.testing.assert_array_equal(blocks.time_s, whole.time_s)


def test_late_start_moves_the_clock_and_nothing_else() -> None:
    early, late = (voice.low_level(recording(), RATE, start_s=start) for start in (0.0, 1.234))
    np.testing.assert_allclose(late.time_s, early.time_s + 1.234, atol=1e-9)
    np.testing.assert_array_equal(late.values, early.values)
    assert early.time_s[0] == pytest.approx(0.005)
    assert np.diff(early.time_s) == pytest.approx(0.01)


def test_hole_between_blocks_is_a_hole_in_the_track() -> None:
    y = recording()
    stream = voice.VoiceStream()
    stream.push(10.0, y[:RATE])
    stream.push(15.5, y[RATE:])  # 4.5 s are missing
    track = stream.finish()
    whole = voice.low_level(y, RATE)
    assert len(track) == len(whole) + 450
    assert (np.diff(track.time_s) > 0).all()
    assert track.has_reason("no_audio")[101:549].all()
    assert not track.has_reason("no_audio")[:100].any()
    assert np.isnan(track.values[101:549]).all()
    np.testing.assert_array_equal(voiced(track)[560:], voiced(whole)[110:])
    np.testing.assert_allclose(track.time_s[550:], whole.time_s[100:] + 14.5, atol=1e-6)


def test_rounded_time_stamps_make_no_hole_and_repeated_sound_counts_once() -> None:
    y = recording()
    whole = voice.low_level(y, RATE)
    stream, again = voice.VoiceStream(), voice.VoiceStream()
    for k, at in enumerate(range(0, len(y), 4000)):
        stream.push(at / RATE + (0.015 if k % 2 else -0.015 if k else 0), y[at : at + 4000])
        again.push(max(0, at - 1000) / RATE, y[max(0, at - 1000) : at + 4000])
    np.testing.assert_array_equal(stream.finish().values, whole.values)
    np.testing.assert_array_equal(again.finish().values, whole.values)


def test_damaged_time_stamps_are_refused() -> None:
    stream = voice.VoiceStream()
    stream.push(0.0, np.zeros(RATE))
    with pytest.raises(MediaError, match=r"time stamps jump by .* repair"):
        stream.push(1e7, np.zeros(RATE))


@pytest.mark.parametrize("samples", [1, 159, 160, 400, 800])
def test_very_short_sound_gives_a_short_track(samples: int) -> None:
    stream = voice.VoiceStream()
    stream.push(3.0, np.full(samples, 0.1, np.float32) * np.resize([1, -1, 0.5], samples))
    track = stream.finish()
    assert len(track) == samples // voice.HOP
    assert not voiced(track).any()


def test_stream_ends_once_and_can_be_empty() -> None:
    stream = voice.VoiceStream()
    stream.push(0.0, np.zeros(0))
    track = stream.finish()
    assert len(track) == 0
    assert np.isnan(voice.summarise(track).f0_median_hz)
    with pytest.raises(RuntimeError, match="finished"):
        stream.push(0.0, np.zeros(10))
    with pytest.raises(ValueError, match=r"mono, shape \(k,\)"):
        voice.VoiceStream().push(0.0, np.zeros((10, 2)))


def test_memory_does_not_grow_with_the_sound() -> None:
    block = np.tile(recording(), 3)[: 10 * RATE].astype(np.float32)

    def kept(blocks: int) -> int:
        stream = voice.VoiceStream()
        tracemalloc.start()
        for k in range(blocks):
            stream.push(10.0 * k, block)
        size = tracemalloc.get_traced_memory()[0]
        tracemalloc.stop()
        assert len(stream.finish()) == 1000 * blocks
        return size

    per_second = (kept(4) - kept(2)) / 20
    assert per_second < 20_000  # sound itself would be 64 000 bytes


# ---- bad input


def like(change: Callable[[Array], Array]) -> Callable[[], Array]:
    return lambda: change(recording().astype(np.float64))


SAME_VOICE: dict[str, tuple[Callable[[], Array], int]] = {
    "8 kHz telephone": (like(lambda y: signal.resample_poly(y, 1, 2)), 8000),
    "44.1 kHz": (like(lambda y: signal.resample_poly(y, 441, 160)), 44100),
    "48 kHz": (like(lambda y: signal.resample_poly(y, 3, 1)), 48000),
    "stereo": (like(lambda y: np.stack([y, 0.5 * y], axis=1)), RATE),
    "one dead channel": (like(lambda y: np.stack([0 * y, y], axis=1)), RATE),
    "channels first": (like(lambda y: np.stack([y, y])), RATE),
    "one channel turned over": (like(lambda y: np.stack([y, -0.97 * y], axis=1)), RATE),
    "16-bit": (like(lambda y: np.round(y * 32767).astype(np.int16)), RATE),
    "8-bit": (like(lambda y: np.round(y * 127 + 128).astype(np.uint8)), RATE),
    "DC": (like(lambda y: y + 0.4), RATE),
    "single NaN": (like(lambda y: np.where(np.arange(len(y)) % 3001 == 7, np.nan, y)), RATE),
}


@pytest.mark.parametrize("name", SAME_VOICE)
def test_the_same_voice_in_another_form(name: str) -> None:
    make, rate = SAME_VOICE[name]
    expected = voice.summarise(voice.low_level(recording(), RATE))
    summary = voice.summarise(voice.low_level(make(), rate))
    assert summary.f0_median_hz == pytest.approx(expected.f0_median_hz, rel=0.01)
    assert summary.voiced_s == pytest.approx(expected.voiced_s, rel=0.05)
    assert summary.clipped_share == 0


STRANGE: dict[str, Callable[[], Array]] = {
    "all NaN": lambda: np.full(RATE, np.nan),
    "infinite": lambda: np.full(RATE, np.inf),
    "NaN at the start": lambda: np.concatenate([np.full(RATE // 2, np.nan), recording()]),
    "far over full scale": lambda: recording() * 1e30,
    "denormal": lambda: np.full(RATE, 1e-40, np.float32),
    "one sample": lambda: np.eye(1, RATE)[0],
    "50 ms": lambda: recording()[RATE : RATE + 800],
    "51 ms and a bit": lambda: recording()[RATE : RATE + 831],
    "full-scale square": lambda: np.sign(sine(150)),
    "chord": lambda: sine(262) / 3 + sine(330) / 3 + sine(392) / 3,
    "sound that stops": lambda: np.concatenate([recording(), np.zeros(RATE)]),
    "alternating full scale": lambda: np.tile([1.0, -1.0], RATE),
}


@pytest.mark.parametrize("name", STRANGE)
def test_strange_input_gives_values_with_reasons(name: str) -> None:
    y = STRANGE[name]()
    track = voice.low_level(y, RATE)
    assert len(track) == len(y) // voice.HOP
    missing = np.isnan(track.values).any(axis=1)
    assert (track.reason_bits[missing] != 0).all()
    for column in track.columns:
        values = track.column(column.name)
        values = values[np.isfinite(values)]
        assert (values >= (column.low if column.low is not None else -np.inf) - 1e-3).all(), column.name
        assert (values <= (column.high if column.high is not None else np.inf) + 1e-3).all(), column.name
    voice.summarise(track)


@pytest.mark.parametrize(
    ("y", "rate", "message"),
    [
        (np.zeros(700), RATE, r"at least 0.05 s of sound, got 0.044 s.*--modalities face"),
        (np.zeros(0), RATE, r"at least 0.05 s"),
        (np.zeros(RATE), 0, "sample rate must be between"),
        (np.zeros(RATE), float("nan"), "sample rate must be between"),
        (np.zeros((10, 10, 10)), RATE, r"shape \(k,\) or \(k, channels\)"),
        (np.zeros(RATE, complex), RATE, "complex128"),
        (np.array(["a"] * 10), RATE, "array of numbers"),
    ],
)
def test_what_is_no_sound_is_refused_with_a_message(y: Array, rate: float, message: str) -> None:
    with pytest.raises(MediaError, match=message):
        voice.low_level(y, rate)


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


# ---- beside other tools


@cache
def measured(folder: Path) -> dict[str, Track]:
    files = sorted(
        [*(folder / "voice").rglob("*.mp3"), *(folder / "voice").rglob("*.flac"), *folder.glob("clips/*.mpg")]
    )
    tracks = {}
    for path in files:
        stream = voice.VoiceStream()
        for start_s, samples in media.read_audio(media.open_media(path)):
            stream.push(start_s, samples)
        tracks[path.name] = stream.finish()
    return tracks


def reference(path: Path, column: str) -> dict[str, float]:
    with path.open(newline="") as file:
        return {row["file"]: float(row[column]) if row[column] else np.nan for row in csv.DictReader(file)}


def test_pitch_of_recorded_voices_agrees_with_praat(shared_data: Path) -> None:
    """Praat searched 60-600 Hz; where a tenth of the voice lies above, its median says nothing."""
    praat = reference(shared_data / "reference" / "praat.csv", "f0_median_hz")
    theirs, ours = [], []
    for name, track in measured(shared_data).items():
        f0 = track.column("f0_hz")[voiced(track)]
        if np.isfinite(praat[name]) and np.mean(f0 > 600) < 0.1:
            theirs.append(praat[name])
            ours.append(np.median(f0))
    ratio = np.array(ours) / np.array(theirs)
    assert len(ours) >= 75
    assert np.corrcoef(theirs, ours)[0, 1] > 0.98
    assert np.median(np.abs(ratio - 1)) < 0.02
    assert np.mean(np.abs(ratio - 1) < 0.05) > 0.85


def test_as_much_voice_is_found_as_by_praat(shared_data: Path) -> None:
    praat = reference(shared_data / "reference" / "praat.csv", "voiced_s")
    tracks = measured(shared_data)
    ours = np.array([voiced(track).sum() * voice.STEP_S for track in tracks.values()])
    theirs = np.array([praat[name] for name in tracks])
    assert ours.sum() == pytest.approx(theirs.sum(), rel=0.1)
    assert np.corrcoef(ours, theirs)[0, 1] > 0.9


def test_loudness_agrees_with_egemaps(shared_data: Path) -> None:
    table = shared_data / "reference" / "opensmile_egemapsv02_functionals.csv"
    theirs = reference(table, "loudness_sma3_amean")
    tracks = measured(shared_data)
    # where nothing is recorded painsense has no loudness and openSMILE has zero
    ours = np.array([np.nan_to_num(track.column("loudness")).mean() for track in tracks.values()])
    expected = np.array([theirs[name] for name in tracks])
    assert np.corrcoef(ours, expected)[0, 1] > 0.995
    np.testing.assert_allclose(np.median(ours / expected), 1.0, atol=0.03)


def test_pitch_agrees_with_librosa() -> None:
    librosa = pytest.importorskip("librosa")
    sound = simulated.vowel(2.0, np.random.default_rng(6), f0_hz=140.0)
    theirs = librosa.yin(sound.y, fmin=60, fmax=1000, sr=RATE, frame_length=1024, hop_length=voice.HOP)
    ours = voice.low_level(sound.y, RATE).column("f0_hz")
    assert np.nanmedian(ours) == pytest.approx(np.median(theirs), rel=0.01)


def test_start_up_is_light() -> None:
    """A ten-second clip is answered within four seconds, so what takes seconds to import must stay away."""
    code = (
        "import sys, numpy as np; from painsense import voice;"
        "voice.low_level(np.random.default_rng(0).normal(size=16000) * 0.01, 16000);"
        "print([m for m in ('librosa', 'numba', 'scipy.signal', 'av', 'cv2') if m in sys.modules])"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"
