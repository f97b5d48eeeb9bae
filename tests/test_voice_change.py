"""The voice against rest: told where it is beyond doubt, in words with units, and never where it cannot be told."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from painsense import media, voice, voice_rest
from painsense.tracks import Column, Reason, Track
from painsense.voice_change import compare
from painsense.voice_gain import automatic_gain
from painsense.voice_rest import LIMITS, MEASURES, Rest, at_rest, scaled
from painsense.voice_segments import Segment
from training.simulate import voice as simulated

REASONS = (
    Reason("no_audio", "no sound"),
    Reason("low_snr", "noise"),
    Reason("lips_still", "another person", blocking=False),
)
COLUMNS = tuple(
    Column(name, "", "")
    for name in ("voiced", "level_dbfs", *(measure.name for measure in MEASURES if measure.name != "roughness"))
)
NAMES = [column.name for column in COLUMNS]
USUAL = {
    "f0_semitone": 36.0,
    "loudness": 1.0,
    "hnr_db": 15.0,
    "cpp_db": 20.0,
    "jitter_local": 0.01,
    "shimmer_db": 0.4,
    "alpha_ratio_db": -15.0,
}
NOISE_DBFS = -60.0


def track(*parts: tuple[float, dict[str, float] | None], noise_dbfs: float = NOISE_DBFS) -> Track:
    """Stretches of (seconds, measures that differ from :data:`USUAL`); None is a pause."""
    rng = np.random.default_rng(5)
    rows = []
    for seconds, differing in parts:
        n = round(seconds * 100)
        row = np.full((n, len(NAMES)), np.nan, np.float32)
        row[:, NAMES.index("voiced")] = differing is not None
        row[:, NAMES.index("level_dbfs")] = noise_dbfs + 0.3 * rng.standard_normal(n)
        if differing is not None:
            row[:, NAMES.index("level_dbfs")] = -25
            for name, value in (USUAL | differing).items():
                row[:, NAMES.index(name)] = value * (1 + 0.001 * rng.standard_normal(n))
        rows.append(row)
    values = np.concatenate(rows)
    time_s = (np.arange(len(values)) + 0.5) * 0.01
    return Track("voice", COLUMNS, REASONS, time_s, values, np.zeros(len(values), np.uint32))


def said(track_: Track, rest: Track | None = None) -> list[str]:
    """The strongest changes in words."""
    given = None if rest is None else Rest("rest_clip", "rest.mp4", at_rest(rest))
    evidence, _ = compare(track_, given)
    return [change.text for change in evidence.strongest.changes]


def with_reason(given: Track, code: str, part: slice) -> Track:
    bits = given.reason_bits.copy()
    bits[part] |= np.uint32(1 << [reason.code for reason in given.reasons].index(code))
    return replace(given, reason_bits=bits)


REST = track((1, None), (3, {}), (1, None))


# ------------------------------------------------------------------------------------------------- against a rest clip


@pytest.mark.parametrize(
    ("differing", "text"),
    [
        ({"f0_semitone": 40.2}, r"pitch 4\.2 semitones higher than at rest \(280 Hz against 220 Hz\)"),
        ({"f0_semitone": 33.0}, r"pitch 3\.0 semitones lower than at rest \(185 Hz against 220 Hz\)"),
        ({"loudness": 10**0.264}, r"voice 8\.0 dB louder than at rest"),
        ({"loudness": 10**-0.264}, r"voice 8\.0 dB softer than at rest"),
        ({"hnr_db": 9.0}, r"rougher: harmonics-to-noise ratio 6\.0 dB lower than at rest \(9\.0 against 15\.0 dB\)"),
        ({"cpp_db": 16.0}, r"breathier or hoarser: cepstral peak 4\.0 dB lower than at rest"),
        ({"jitter_local": 0.04}, r"less steady pitch: jitter 4\.0 times as much as at rest \(4\.0 against 1\.0%\)"),
        (
            {"shimmer_db": 1.2},
            r"less steady strength: shimmer 3\.0 times as much as at rest \(1\.20 against 0\.40",
        ),
        ({"alpha_ratio_db": -7.0}, r"sharper: 8\.0 dB more sound above 1 kHz than at rest"),
    ],
)
def test_a_change_is_told_with_its_unit_and_both_values(differing: dict[str, float], text: str) -> None:
    changes = said(track((1, None), (3, differing), (1, None)), REST)
    assert len(changes) == 1
    assert re.fullmatch(text + ".*", changes[0]), changes


def test_three_strongest_are_told_the_strongest_first() -> None:
    much = {"f0_semitone": 44.0, "loudness": 10**0.33, "hnr_db": 8.0, "cpp_db": 18.5, "alpha_ratio_db": -11.2}
    evidence, _ = compare(track((1, None), (4, much), (1, None)), Rest("saved", "rest.json", at_rest(REST)))
    assert [change.measure for change in evidence.strongest.changes] == ["f0_semitone", "loudness", "hnr_db"]
    assert evidence.strongest.text == "; ".join(change.text for change in evidence.strongest.changes)
    assert (evidence.compared_with, evidence.source, evidence.rest_voiced_s) == ("saved", "rest.json", 3.0)
    assert {change.against for change in evidence.strongest.changes} == {"saved"}


def test_nothing_is_told_within_the_error_of_the_measure() -> None:
    little = {"f0_semitone": 37.5, "loudness": 10**0.1, "hnr_db": 12.0, "cpp_db": 19.0, "jitter_local": 0.014}
    evidence, (moment,) = compare(track((1, None), (3, little)), Rest("rest_clip", "r", at_rest(REST)), (), [2.5])
    assert evidence.strongest.state == moment.state == "no_clear_change"
    assert evidence.strongest.changes == moment.changes == ()
    assert "no clear change" in evidence.strongest.text


def test_less_voice_needs_a_larger_change() -> None:
    higher = {"f0_semitone": 39.2}  # 3.2 semitones: 5.0 times the error of 3 s, 2.9 times that of half a second
    assert said(track((1, None), (4, higher), (1, None)), track((4, {})))
    assert not said(track((1, None), (0.6, higher), (3, None)), track((1.1, {})))


def test_too_little_voice_gives_no_number() -> None:
    short = track((1, None), (0.4, {"f0_semitone": 48.0}), (4, None))
    evidence, moments = compare(short, Rest("rest_clip", "r", at_rest(REST)), (), [1.2, 4.0])
    assert evidence.strongest.state == "not_enough_voice"
    assert "0.4 s, at least 0.5 s within 2 s is needed" in evidence.strongest.text
    assert [moment.state for moment in moments] == ["not_enough_voice"] * 2
    assert [round(moment.voiced_s, 6) for moment in moments] == [0.4, 0.0]
    assert not any(moment.changes for moment in (evidence.strongest, *moments))


def test_a_moment_is_compared_with_the_voice_around_it() -> None:
    two = track((1, None), (2, {"f0_semitone": 43.0}), (3, None), (2, {}), (1, None))
    _, (first, between, second) = compare(two, Rest("rest_clip", "r", at_rest(REST)), (), [2.0, 4.5, 7.0])
    assert [change.measure for change in first.changes] == ["f0_semitone"]
    assert first.changes[0].change == pytest.approx(7, abs=0.1)
    assert (first.changes[0].start_s, first.changes[0].end_s) == pytest.approx((1.0, 3.0))
    assert (between.state, second.state) == ("not_enough_voice", "no_clear_change")


def test_unusable_voice_and_another_persons_voice_are_left_out() -> None:
    given = track((1, None), (2, {"f0_semitone": 48.0}), (1, None), (2, {}), (1, None))
    assert said(given, REST)
    assert not said(with_reason(given, "low_snr", slice(100, 300)), REST)
    assert not said(with_reason(given, "lips_still", slice(100, 300)), REST)


def test_a_moan_is_named() -> None:
    given = track((1, None), (2, {"f0_semitone": 48.0}), (1, None))
    kinds = (Segment(0, 1, "silence"), Segment(1, 3, "nonverbal"), Segment(3, 4, "silence"))
    evidence, _ = compare(given, Rest("rest_clip", "r", at_rest(REST)), kinds)
    assert evidence.strongest.changes[0].sound == "nonverbal"
    assert evidence.strongest.changes[0].text.endswith(", in a moan, groan or cry")


# ------------------------------------------------------------------------------------------------- level honesty


def test_loudness_is_never_a_number_of_its_own() -> None:
    evidence, _ = compare(track((1, None), (3, {"loudness": 4.0})), Rest("rest_clip", "r", at_rest(REST)))
    change = evidence.strongest.changes[0]
    assert (change.measure, change.value, change.rest, change.unit) == ("loudness", None, None, "dB")
    assert evidence.loudness_db is not None and evidence.loudness_db.median == 0.0


def test_loudness_in_db_is_the_gain_that_makes_it() -> None:
    sound = simulated.vowel(0.6, np.random.default_rng(2)).y
    loud, soft = (voice.low_level(y, 16000).column("loudness")[20:40] for y in (sound, sound * 10 ** (-12 / 20)))
    np.testing.assert_allclose(scaled("loudness", loud) - scaled("loudness", soft), 12, atol=0.1)


@pytest.mark.parametrize("why", ["another room", "automatic gain", "no pause to hear the room in"])
def test_loudness_falls_back_to_the_recording_where_microphones_may_differ(why: str) -> None:
    louder = {"loudness": 10**0.33}
    given = track((1, None), (3, {}), (1, None), (3, louder), (1, None))
    values = at_rest(REST)
    match why:
        case "another room":
            values = at_rest(track((1, None), (3, {}), noise_dbfs=NOISE_DBFS - 10))
        case "automatic gain":
            values["automatic_gain"] = 1.0
        case _:
            del values["noise_floor_dbfs"]
    evidence, _ = compare(given, Rest("rest_clip", "r", values))
    assert [(c.measure, c.against) for c in evidence.strongest.changes] == [("loudness", "recording")]
    assert "10.0 dB louder than in the calmest voice of this recording" in evidence.strongest.text
    assert "the microphone, its gain or the room was another" in evidence.why
    assert evidence.f0_hz is not None and evidence.f0_hz.against == "rest_clip"


def test_the_same_sound_recorded_softer_shows_the_same_changes() -> None:
    rng = np.random.default_rng(4)
    who = simulated.speaker(rng, "woman")
    parts = [(0.5, simulated.speech(4, rng, speaker=who)), (5.5, simulated.moan(2.5, rng, intensity=1, speaker=who))]
    y = simulated.microphone(simulated.scene(9, parts), rng, snr_db=35).y
    first, second = (compare(voice.low_level(y * gain, 16000), None)[0] for gain in (1.0, 0.25))
    assert first.strongest.state == "changed"
    assert [c.measure for c in first.strongest.changes] == [c.measure for c in second.strongest.changes]
    changes = [[c.change for c in evidence.strongest.changes] for evidence in (first, second)]
    np.testing.assert_allclose(changes[0], changes[1], rtol=0.05)


# ------------------------------------------------------------------------------------------------- within a recording


def test_without_a_rest_clip_the_calmest_voice_stands_for_rest() -> None:
    cry = {"f0_semitone": 44.0, "loudness": 10**0.33}
    evidence, _ = compare(track((1, None), (4, {}), (1, None), (2, cry), (1, None)), None)
    assert evidence.compared_with == "recording"
    assert [change.measure for change in evidence.strongest.changes] == ["f0_semitone", "loudness"]
    for change in evidence.strongest.changes:
        assert change.start_s > 5 and change.end_s < 8.5
        assert "than in the calmest voice of this recording" in change.text
    assert evidence.f0_hz is not None and evidence.f0_hz.median == pytest.approx(220, abs=2)
    assert evidence.f0_hz.low < 220 < evidence.f0_hz.high


@pytest.mark.parametrize("rest", [None, track((5, None)), track((0.8, {}), (4, None))])
def test_too_little_voice_is_compared_with_nothing(rest: Track | None) -> None:
    given = None if rest is None else Rest("rest_clip", "r", at_rest(rest))
    evidence, _ = compare(track((1, None), (1.5, {"f0_semitone": 48.0}), (3, None)), given)
    assert (evidence.compared_with, evidence.strongest.state) == ("none", "not_enough_voice")
    assert evidence.f0_hz is evidence.loudness_db is evidence.rest_voiced_s is None
    assert "1.5 s of usable voice, at least 2 s is needed" in evidence.why
    assert rest is None or "of usable voice, at least 1 s is needed" in evidence.why


def test_a_rest_clip_without_voice_is_said_and_the_recording_compared_with_itself() -> None:
    given = track((1, None), (4, {}), (1, None), (2, {"f0_semitone": 44.0}), (1, None))
    evidence, _ = compare(given, Rest("rest_clip", "r", at_rest(track((5, None)))))
    assert evidence.compared_with == "recording"
    assert evidence.source == ""
    assert evidence.why.startswith("the rest clip holds 0.0 s of usable voice, at least 1 s is needed; compared with")
    assert evidence.strongest.state == "changed"


def test_silence_and_an_empty_track_have_nothing_to_compare() -> None:
    for given in (track((3, None)), track((0, None))):
        evidence, (moment,) = compare(given, None, (), [1.0])
        assert evidence.strongest.state == moment.state == "not_enough_voice"
        assert (evidence.automatic_gain, evidence.loudness_zero) == (None, None)


@pytest.mark.parametrize("seed", [11, 12, 13, 14])
def test_speech_at_one_effort_shows_no_change(seed: int) -> None:
    rng = np.random.default_rng(seed)
    sound = simulated.speech(9, rng, speaker=simulated.speaker(rng))
    heard = simulated.microphone(simulated.room(sound, rng, rt60_s=0.3), rng, snr_db=30)
    evidence, _ = compare(voice.low_level(heard.y, 16000), None)
    assert evidence.compared_with == "recording"
    assert evidence.strongest.state == "no_clear_change", evidence.strongest.text


# ------------------------------------------------------------------------------------------------- what is kept of rest


def test_what_a_baseline_keeps_of_the_voice() -> None:
    kept = at_rest(track((1, None), (3, {}), (1, None)))
    assert kept["voiced_s"] == pytest.approx(3)
    assert kept["voiced_share"] == pytest.approx(0.6)
    assert kept["noise_floor_dbfs"] == pytest.approx(NOISE_DBFS, abs=1)
    for name, value in USUAL.items():
        assert kept[name] == pytest.approx(value, rel=0.01)
        assert kept[f"{name}_p5"] < kept[f"{name}_p95"]
    assert "voiced" not in kept and "automatic_gain" not in kept, "no pauses to tell it from"


def test_a_rest_clip_without_voice_keeps_no_measures() -> None:
    kept = at_rest(track((3, None)))
    assert kept["voiced_s"] == 0
    assert not set(kept) & set(voice_rest.NAMES)


# ------------------------------------------------------------------------------------------------- automatic gain


def paused(creep_db: list[float], noise_dbfs: float = NOISE_DBFS, pause_s: float = 2.0) -> Track:
    """Voices of a second, each followed by a pause in which the noise rises by so many dB."""
    parts: list[tuple[float, dict[str, float] | None]] = []
    for _ in creep_db:
        parts += [(1, {}), (pause_s, None)]
    made = track(*parts, noise_dbfs=noise_dbfs)
    values = made.values.copy()
    level = NAMES.index("level_dbfs")
    for k, rise in enumerate(creep_db):
        first, last = round(100 * (k * (1 + pause_s) + 1)), round(100 * (k + 1) * (1 + pause_s))
        values[first:last, level] += np.linspace(0, rise, last - first)
    return replace(made, values=values)


@pytest.mark.parametrize(
    ("creep_db", "answer"),
    [
        ([0, 0, 0, 0], False),
        ([8, 8, 8], True),
        ([8, 8, 8, 0, 0, 0], True),
        ([8, 8, 8, 0, 0, 0, 0, 0], False),
        ([8, 8, 8, -8, -8], False),
        ([8, 8, 0, 0], False),
        ([2, 2, 2, 2], False),
        ([-8, -8, -8], False),
        ([8, 8], None),
        ([], None),
    ],
)
def test_creeping_noise_tells_automatic_gain(creep_db: list[float], answer: bool | None) -> None:
    assert automatic_gain(paused(creep_db) if creep_db else track((3, None))) is answer


def test_short_pauses_and_digital_silence_cannot_tell() -> None:
    assert automatic_gain(paused([8.0] * 5, pause_s=1.0)) is None
    assert automatic_gain(paused([8.0] * 5, noise_dbfs=-105)) is None


def regulated(y: np.ndarray, release_s: float) -> np.ndarray:
    """The sound through an automatic gain: down within 20 ms, up again in ``release_s``, towards -20 dBFS."""
    blocks = y[: len(y) // 80 * 80].reshape(-1, 80).astype(np.float64)
    level = 10 * np.log10(np.mean(blocks**2, axis=1) + 1e-12)
    followed, now = np.empty(len(level)), level[0]
    for k, value in enumerate(level):
        now += (1 - np.exp(-0.005 / (0.02 if value > now else release_s))) * (value - now)
        followed[k] = now
    gain_db = np.interp(np.arange(len(y)), np.arange(len(level)) * 80 + 40, np.minimum(-20 - followed, 25))
    return np.clip(y * 10 ** (gain_db / 20), -1, 1).astype(np.float32)


@pytest.mark.parametrize("seed", [1, 2])
def test_automatic_gain_is_found_in_generated_voice(seed: int) -> None:
    rng = np.random.default_rng(seed)
    who, parts, at_s = simulated.speaker(rng), [], 0.8
    for _ in range(4):
        sound = simulated.speech(1.5, rng, speaker=who, level_dbfs=float(rng.uniform(-32, -18)))
        parts += [(at_s, sound)]
        at_s += 3.4
    scene = simulated.room(simulated.scene(at_s + 0.5, parts), rng, rt60_s=0.4)
    y = simulated.microphone(scene, rng, snr_db=28).y
    assert automatic_gain(voice.low_level(y, 16000)) is False
    given = voice.low_level(regulated(y, 1.5), 16000)
    assert automatic_gain(given) is True
    evidence, _ = compare(given, None)
    assert evidence.automatic_gain is True
    assert evidence.loudness_db is None and evidence.loudness_zero is None
    assert "loudness" not in {change.measure for change in evidence.strongest.changes}


def test_no_recording_is_called_regulated(shared_data: Path) -> None:
    files = [*sorted((shared_data / "clips").glob("*.mpg")), *sorted((shared_data / "voice").glob("*.mp3"))]
    assert len(files) > 9
    for path in files:
        stream = voice.VoiceStream()
        for start_s, samples in media.read_audio(media.open_media(path)):
            stream.push(start_s, samples)
        assert automatic_gain(stream.finish()) is not True, path.name


# ------------------------------------------------------------------------------------------------- documentation


def test_the_guide_states_the_errors_and_the_smallest_changes() -> None:
    guide = (Path(__file__).resolve().parent.parent / "docs" / "report.md").read_text("utf-8")
    rows = re.findall(r"^\| [^|]+ \| `(\w+)` \| ([\d.]+)[^|]* \| ([\d.]+)[^|]* \|$", guide, re.M)
    assert {name: (float(error), float(least)) for name, error, least in rows} == {
        measure.name: (measure.error, measure.least) for measure in MEASURES
    }
    assert {measure.name for measure in MEASURES} <= set(voice.low_level(np.zeros(1600), 16000).names)
    assert LIMITS.least_voice_s < LIMITS.least_rest_voice_s < LIMITS.least_own_voice_s
