"""Functionals of made tracks whose answers are known, and of recorded voices beside openSMILE's."""

from __future__ import annotations

import csv
import re
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from make_voices import recorded

from benchmarks import voice_reference
from painsense import voice
from painsense import voice_functionals as functionals
from painsense.tracks import Column, Track
from painsense.voice_segments import Segment
from painsense.voice_spectrum import LINE_HZ, SLOPE_BANDS_HZ

Array = npt.NDArray[Any]
NAN = float("nan")
PITCH = "F0semitoneFrom27.5Hz_sma3nz"


def made(count: int = 500, start_s: float = 0.0, **columns: Any) -> Track:
    """A voice track with only these columns; what is one number holds for every frame."""
    given: dict[str, Any] = {"voiced": 1.0, "level_dbfs": -20.0, **columns}
    if "f0_hz" in given:
        given["f0_semitone"] = 12 * np.log2(np.asarray(given["f0_hz"], float) / 27.5)
    values = np.stack([np.broadcast_to(np.asarray(v, np.float32), count) for v in given.values()], axis=1)
    time_s = start_s + (np.arange(count) + 0.5) * 0.01
    names = tuple(Column(name, "1", name) for name in given)
    return Track("voice", names, voice.REASONS, time_s, values, np.zeros(count, np.uint32))


def of(track: Track, *window: float, segments: tuple[Segment, ...] = ()) -> dict[str, float]:
    return functionals.of_track(track, *window, segments=segments)


def beats(count: int, on: int, off: int) -> Array:
    """1 for ``on`` frames, 0 for ``off``, over and over."""
    return ((np.arange(count) % (on + off)) < on).astype(float)


def test_there_are_88_and_each_measure_of_the_table() -> None:
    names = list(of(made()))
    assert len(names) == len(set(names)) == 88 + len(functionals.NONVERBAL)
    assert names[88:] == [column.name for column in functionals.NONVERBAL]
    assert names[0] == f"{PITCH}_amean" and names[87] == "equivalentSoundLevel_dBp"
    assert all(column.unit and column.meaning for column in functionals.NONVERBAL)


def test_each_is_told_by_unit_and_meaning() -> None:
    told = {column.name: column for column in functionals.columns()}
    assert list(told) == list(of(made()))
    assert all(column.unit and column.meaning and (column.source or column in functionals.NONVERBAL)
               for column in told.values())  # fmt: skip
    expected = {
        f"{PITCH}_meanRisingSlope": ("semitones/s", "mean slope of the rises of f0_semitone in voiced frames"),
        "spectralFlux_sma3_stddevNorm": ("1", "standard deviation over the mean of spectral_flux"),
        "F1bandwidth_sma3nz_amean": ("Hz", "mean of f1_bandwidth_hz in voiced frames"),
        "alphaRatioUV_sma3nz_amean": ("dB", "mean of alpha_ratio_db in unvoiced frames"),
        "HNRdBACF_sma3nz_amean": ("dB", "mean of the harmonics-to-noise ratio (from periodicity) in voiced frames"),
        "mfcc4V_sma3nz_amean": ("1", "mean of mfcc_4 in voiced frames"),
    }
    assert {name: (told[name].unit, told[name].meaning) for name in expected} == expected
    columns = {column.name for column in voice.COLUMNS}
    for column in functionals.columns()[:88]:
        named = re.search(r" of ([a-z0-9_]+_[a-z0-9_]+|loudness|roughness)( in |$)", column.meaning)
        assert named is None or named[1] in columns, column


def test_a_steady_pitch_has_a_mean_and_no_slopes() -> None:
    found = of(made(f0_hz=110.0))
    assert found[f"{PITCH}_amean"] == pytest.approx(24.0)  # two octaves over 27.5 Hz
    assert found[f"{PITCH}_stddevNorm"] == pytest.approx(0, abs=1e-6)
    assert found[f"{PITCH}_pctlrange0-2"] == pytest.approx(0, abs=1e-5)
    for name in ("meanRisingSlope", "stddevRisingSlope", "meanFallingSlope", "stddevFallingSlope"):
        assert np.isnan(found[f"{PITCH}_{name}"]), name
    assert np.isnan(found["f0_rise_semitones_per_s"])


def test_slopes_of_a_pitch_that_rises_slowly_and_falls_fast() -> None:
    knots = np.arange(0, 5.1, 0.75)  # up in 0.5 s, down in 0.25 s
    at = np.concatenate([[k, k + 0.5] for k in knots])
    semitones = np.interp((np.arange(500) + 0.5) * 0.01, at, np.tile([20.0, 25.0], len(knots)))
    found = of(made(f0_hz=27.5 * 2 ** (semitones / 12)))
    # frames and the averaging over three of them take a little off the corners
    assert found[f"{PITCH}_meanRisingSlope"] == pytest.approx(10, rel=0.05)
    assert found[f"{PITCH}_meanFallingSlope"] == pytest.approx(20, rel=0.1)
    assert found["f0_rise_semitones_per_s"] == pytest.approx(10, rel=0.05)
    assert found["f0_fall_semitones_per_s"] == pytest.approx(20, rel=0.1)
    assert found[f"{PITCH}_percentile50.0"] == pytest.approx(22.5, abs=0.1)
    assert found[f"{PITCH}_pctlrange0-2"] == pytest.approx(3.0, abs=0.1)
    assert found["f0_range_semitones"] == pytest.approx(4.5, abs=0.1)


def test_a_leap_across_a_pause_is_no_rise_within_voice() -> None:
    voiced = beats(500, 30, 20)
    pitch = np.where(np.arange(500) // 50 % 2, 200.0, 100.0)  # every other stretch an octave higher
    found = of(made(f0_hz=np.where(voiced == 1, pitch, NAN), voiced=voiced))
    assert found[f"{PITCH}_meanRisingSlope"] == pytest.approx(12 / 0.3)  # frames one after the other, as in eGeMAPS
    assert np.isnan(found["f0_rise_semitones_per_s"])


def test_peaks_of_loudness_are_counted_and_ripple_is_not() -> None:
    t = (np.arange(500) + 0.5) * 0.01
    found = of(made(loudness=1 - np.cos(2 * np.pi * 3 * t) + 0.02 * np.cos(2 * np.pi * 23 * t)))
    assert found["loudnessPeaksPerSec"] == pytest.approx(3.0)
    assert found["loudness_sma3_meanRisingSlope"] == pytest.approx(2 / (1 / 6), rel=0.05)
    assert found["loudness_sma3_meanFallingSlope"] == pytest.approx(2 / (1 / 6), rel=0.05)
    assert found["loudness_sma3_stddevNorm"] == pytest.approx(np.sqrt(0.5), rel=0.02)


def test_voiced_and_unvoiced_segments() -> None:
    found = of(made(600, voiced=beats(600, 20, 30)))
    assert found["VoicedSegmentsPerSec"] == pytest.approx(2.0)
    assert found["MeanVoicedSegmentLengthSec"] == pytest.approx(0.2)
    assert found["StddevVoicedSegmentLengthSec"] == pytest.approx(0, abs=1e-9)
    assert found["MeanUnvoicedSegmentLength"] == pytest.approx(0.3)
    assert found["voiced_share"] == pytest.approx(0.4)
    assert found["vocalisations_per_min"] == pytest.approx(120)
    assert found["pause_mean_s"] == pytest.approx(0.3)
    assert found["pauses_per_min"] == pytest.approx(110)  # 11 lie between the 12 of 6 s


def test_short_breaks_are_bridged_in_vocalisations_and_a_hole_is_no_pause() -> None:
    voiced = beats(600, 20, 30)
    voiced[20:50] = NAN  # not recorded
    voiced[70:85] = 1.0  # leaves a break of 0.15 s
    found = of(made(600, voiced=voiced))
    assert found["vocalisation_longest_s"] == pytest.approx(0.7)  # 20 + 15 + 15 + 20 frames
    assert found["vocalisations_per_min"] == pytest.approx(60 * 11 / 5.7)
    assert found["pauses_per_min"] == pytest.approx(60 * 9 / 5.7)


def test_voiced_measures_look_at_voice_only_and_smooth_within_it() -> None:
    voiced = beats(600, 20, 30)
    found = of(made(600, voiced=voiced, alpha_ratio_db=np.where(voiced == 1, -12.0, 3.0), mfcc_1=7.0))
    assert found["alphaRatioV_sma3nz_amean"] == pytest.approx(-12.0)
    assert found["alphaRatioUV_sma3nz_amean"] == pytest.approx(3.0)
    assert found["alphaRatioV_sma3nz_stddevNorm"] == pytest.approx(0, abs=1e-9)
    assert found["mfcc1V_sma3nz_amean"] == pytest.approx(7.0)


def test_variation_keeps_the_sign_of_the_mean() -> None:
    found = of(made(600, mfcc_2=np.repeat(np.tile([-3.0, -1.0], 10), 30)))
    assert found["mfcc2_sma3_amean"] == pytest.approx(-2)
    assert found["mfcc2_sma3_stddevNorm"] == pytest.approx(-0.5, rel=0.03)


def test_equivalent_level_is_that_of_the_mean_power() -> None:
    half = np.repeat([-20.0, NAN], 250)  # digital silence has no level, and no power
    assert of(made(level_dbfs=half))["equivalentSoundLevel_dBp"] == pytest.approx(-23.01, abs=0.01)
    louder = np.repeat([-20.0, -10.0], 250)
    assert of(made(level_dbfs=louder))["equivalentSoundLevel_dBp"] == pytest.approx(-12.6, abs=0.01)
    hole = made(level_dbfs=half, voiced=np.repeat([1.0, NAN], 250))  # not recorded: not counted
    assert of(hole)["equivalentSoundLevel_dBp"] == pytest.approx(-20)


def test_digital_silence_has_no_loudness_and_no_spectrum() -> None:
    half = np.repeat([1.0, NAN], 250)
    track = made(voiced=np.repeat([1.0, 0.0], 250), level_dbfs=-20 * half, loudness=half, mfcc_1=5 * half)
    found = of(track)
    assert found["loudness_sma3_amean"] == pytest.approx(0.5)
    assert found["loudness_sma3_percentile20.0"] == 0
    assert found["mfcc1_sma3_amean"] == pytest.approx(5)
    assert track.values[-1, track.names.index("loudness")] != 0  # the track keeps what it had


@pytest.mark.parametrize("band", SLOPE_BANDS_HZ)
def test_slopes_are_on_the_scale_of_opensmile(band: tuple[int, int]) -> None:
    """Its figure is that of the normal equations with n - 1 in the place of the number of lines."""
    x = np.arange(band[0], band[1] + 1, LINE_HZ)
    y = np.random.default_rng(4).normal(-30, 6, len(x))
    n = len(x) - 1
    theirs = (x @ y - x.sum() * y.sum() / n) / (x @ x - x.sum() ** 2 / n)
    slope = np.polyfit(x, y, 1)[0]
    name = f"{band[0]}_{band[1]}"
    found = of(made(**{f"slope_{name}": slope, f"level_{name}_db": y.mean()}))
    assert found[f"slopeV{band[0]}-{band[1]}_sma3nz_amean"] == pytest.approx(theirs, rel=1e-4)


def test_without_voice_pitch_is_missing_and_counts_are_zero() -> None:
    found = of(made(voiced=0.0, f0_hz=NAN, loudness=0.3, jitter_local=NAN, alpha_ratio_db=-5.0))
    assert found["VoicedSegmentsPerSec"] == 0 and found["voiced_share"] == 0 and found["pauses_per_min"] == 0
    assert found["MeanUnvoicedSegmentLength"] == pytest.approx(5.0)
    assert found["alphaRatioUV_sma3nz_amean"] == pytest.approx(-5)
    for name in (
        f"{PITCH}_amean",
        "jitterLocal_sma3nz_amean",
        "MeanVoicedSegmentLengthSec",
        "alphaRatioV_sma3nz_amean",
    ):
        assert np.isnan(found[name]), name
    assert np.isnan(found["vocalisation_longest_s"]) and np.isnan(found["f0_median_hz"])


@pytest.mark.parametrize("track", [made(0), made(300, voiced=NAN, level_dbfs=NAN)])
def test_without_sound_everything_is_missing(track: Track) -> None:
    assert all(np.isnan(value) for value in of(track).values())


def test_one_value_has_no_deviation() -> None:
    found = of(made(500, f0_hz=np.where(np.arange(500) == 9, 110.0, NAN), voiced=(np.arange(500) == 9).astype(float)))
    assert found[f"{PITCH}_amean"] == pytest.approx(24)
    assert np.isnan(found[f"{PITCH}_stddevNorm"])


def test_columns_the_track_does_not_have_are_missing() -> None:
    found = of(made(f0_hz=110.0))
    assert np.isnan(found["F1frequency_sma3nz_amean"]) and np.isnan(found["roughness_mean"])


def test_a_window_is_measured_as_if_it_were_the_recording() -> None:
    rng = np.random.default_rng(8)
    columns = {"f0_hz": 120 + 20 * rng.random(900), "loudness": rng.random(900), "voiced": beats(900, 40, 25)}
    whole = made(900, 100.0, **columns)
    part = made(250, 102.0, **{name: values[200:450] for name, values in columns.items()})
    assert of(whole, 102.0, 104.5) == pytest.approx(of(part), nan_ok=True)
    assert all(np.isnan(value) for value in of(whole, 200.0, 210.0).values())


def test_breaths_and_moans_are_counted_within_the_window() -> None:
    sounds = (
        Segment(0.0, 1.0, "nonverbal"),
        Segment(1.0, 2.0, "breath"),
        Segment(2.0, 3.0, "silence"),
        Segment(3.0, 5.0, "nonverbal"),
    )
    found = of(made(), segments=sounds)
    assert found["breaths_per_min"] == pytest.approx(12)
    assert found["nonverbal_share"] == pytest.approx(0.6)
    assert found["nonverbal_mean_s"] == pytest.approx(1.5)
    later = of(made(), 2.0, 4.0, segments=sounds)
    assert later["breaths_per_min"] == 0
    assert later["nonverbal_mean_s"] == pytest.approx(1.0)  # as far as it lies in the window


def test_rough_voice_is_told_by_its_share() -> None:
    found = of(made(subharmonics=np.repeat([0.3, 0.02], [100, 400]), roughness=0.25, cpp_db=14.0))
    assert found["subharmonic_share"] == pytest.approx(0.2)
    assert found["roughness_mean"] == pytest.approx(0.25)
    assert found["cpp_mean_db"] == pytest.approx(14)


def test_of_sound_itself() -> None:
    t = np.arange(32_000) / 16_000
    y = np.where(t % 1 < 0.6, 0.1 * np.sign(np.sin(2 * np.pi * 180 * (t + 2e-4 * np.sin(30 * t)))), 0)
    found = voice.functionals(y + np.random.default_rng(0).normal(size=len(t)) * 1e-4, 16_000)
    assert found["f0_median_hz"] == pytest.approx(180, rel=0.01)
    assert found["VoicedSegmentsPerSec"] == pytest.approx(1.0, abs=0.01)
    assert found["MeanVoicedSegmentLengthSec"] == pytest.approx(0.6, abs=0.05)
    assert found["equivalentSoundLevel_dBp"] == pytest.approx(20 * np.log10(0.1) + 10 * np.log10(0.6), abs=0.3)


# ---- beside openSMILE


@cache
def agreement(folder: Path) -> dict[str, float]:
    ours = {k: functionals.of_track(t, segments=()) for k, t in recorded(folder).items()}
    rows = voice_reference.agreement(ours, voice_reference.figures(folder / "reference" / voice_reference.OPENSMILE))
    return {row.name: row.spearman for row in rows}


def test_names_and_their_order_are_those_of_opensmile(shared_data: Path) -> None:
    with (shared_data / "reference" / voice_reference.OPENSMILE).open(newline="") as file:
        theirs = next(csv.reader(file))[1:]
    assert list(of(made()))[:88] == theirs


def test_pitch_loudness_cepstrum_and_slopes_agree_with_opensmile(shared_data: Path) -> None:
    """Means and percentiles; what differs beyond them, and why, stands in docs/voice-functionals.md."""
    found = agreement(shared_data)
    close = [name for name in found if name.startswith("loudness_") or (name.startswith("mfcc") and "amean" in name)]
    close += [f"{PITCH}_{which}" for which in ("amean", "percentile20.0", "percentile50.0", "percentile80.0")]
    close += ["slopeV0-500_sma3nz_amean", "slopeV500-1500_sma3nz_amean", "equivalentSoundLevel_dBp"]
    assert len(close) == 10 + 8 + 4 + 3
    assert not {name: round(found[name], 3) for name in close if found[name] < 0.9}


def test_every_functional_that_differs_has_a_reason(shared_data: Path) -> None:
    found = agreement(shared_data)
    assert sum(value >= 0.8 for value in found.values()) >= 40
    assert not [name for name, value in found.items() if value < 0.8 and not voice_reference.reason(name)]
