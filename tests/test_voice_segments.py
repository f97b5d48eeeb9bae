"""Segments cover the recording; moans stay voice, coughs and knocks do not become it; lips tell whose speech it is."""

from __future__ import annotations

import dataclasses
from functools import cache
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from make_sounds import sounds_network

from painsense import assets, face, lips, media, voice, voice_segments
from painsense.errors import ModelError
from painsense.tracks import Column, Reason, Track
from painsense.voice_segments import FEATURES, KINDS, Segment
from training.simulate import scenes
from training.simulate.scenes import KIND
from training.simulate.sounds import MAKERS

RATE = 16_000


def noise(seconds: float, level: float = 1e-3) -> np.ndarray:
    return np.random.default_rng(0).normal(size=round(seconds * RATE)) * level


@cache
def mixed() -> np.ndarray:
    return scenes.scene(np.random.default_rng(8), names=["talk", "moan", "knock", "sigh"], snr_db=30).y


@cache
def found(path: Path) -> tuple[Track, np.ndarray]:
    stream = voice.VoiceStream()
    for start_s, samples in media.read_audio(media.open_media(path)):
        stream.push(start_s, samples)
    track = stream.finish()
    return track, voice_segments.kinds(track)


def loud(track: Track) -> np.ndarray:
    """Frames within 20 dB of the loudest: certainly part of the sound."""
    level = np.nan_to_num(track.column("level_dbfs"), nan=-200.0)
    return level > level.max() - 20


def check_cover(segments: tuple[Segment, ...], start_s: float, end_s: float) -> None:
    assert segments[0].start_s == pytest.approx(start_s)
    assert segments[-1].end_s == pytest.approx(end_s)
    for before, after in pairwise(segments):
        assert before.end_s == after.start_s
        assert before.kind != after.kind
    assert all(segment.end_s > segment.start_s for segment in segments)
    assert {segment.kind for segment in segments} <= {*KINDS, "no_audio"}


# ---- the shape of the answer


def test_segments_cover_the_recording() -> None:
    y = mixed()
    segments = voice.segments(y, RATE, start_s=7.25)
    check_cover(segments, 7.25, 7.25 + len(y) // 160 / 100)
    assert len({segment.kind for segment in segments}) >= 4


def test_a_hole_is_named_and_nothing_else_is() -> None:
    y = np.concatenate([mixed()[: 2 * RATE], np.full(RATE, np.nan), mixed()[: 2 * RATE]])
    segments = voice.segments(y, RATE)
    check_cover(segments, 0, 5)
    (hole,) = [segment for segment in segments if segment.kind == "no_audio"]
    assert (hole.start_s, hole.end_s) == (pytest.approx(2.0, abs=0.011), pytest.approx(3.0, abs=0.011))


@pytest.mark.parametrize("y", [np.zeros(RATE), np.full(RATE, 0.3), noise(3.0)], ids=["digital zero", "DC", "noise"])
def test_nothing_to_hear_is_silence(y: np.ndarray) -> None:
    assert voice.segments(y, RATE) == (Segment(0.0, len(y) / RATE, "silence"),)


def test_only_holes_and_nothing_at_all() -> None:
    assert voice.segments(np.full(RATE, np.nan), RATE) == (Segment(0.0, 1.0, "no_audio"),)
    assert voice_segments.of_track(voice.VoiceStream().finish()) == ()


@pytest.mark.parametrize("samples", [800, 831, 1600])
def test_very_short_sound_has_segments(samples: int) -> None:
    check_cover(voice.segments(mixed()[RATE : RATE + samples], RATE), 0, samples // 160 / 100)


def test_blocks_of_any_size_give_the_same_segments() -> None:
    y = mixed()
    whole = voice.segments(y, RATE)
    for size in (777, 16_000):
        stream = voice.VoiceStream()
        for at in range(0, len(y), size):
            stream.push(at / RATE, y[at : at + size])
        assert voice_segments.of_track(stream.finish()) == whole


def test_long_recordings_are_computed_in_pieces_that_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    track = voice.low_level(np.tile(mixed(), 2), RATE)
    whole = voice_segments.probabilities(track)
    monkeypatch.setattr(voice_segments, "_PIECE", 333)
    np.testing.assert_allclose(voice_segments.probabilities(track), whole, atol=1e-5)
    np.testing.assert_allclose(whole.sum(axis=1), 1, atol=1e-5)


# ---- what the network reads, and what is made of its answer


def test_how_loud_the_recording_is_does_not_matter() -> None:
    """Levels are read against their surroundings: a microphone further away hears the same kinds."""
    y = mixed() + noise(len(mixed()) / RATE)
    near, far = (voice_segments.features(voice.low_level(y * gain, RATE)) for gain in (1.0, 0.1))
    levels = [FEATURES.index(name) for name in ("level_over_quietest_db", "level_over_loudest_db")]
    np.testing.assert_allclose(near[:, levels], far[:, levels], atol=0.1)
    assert np.isfinite(near).all()


def test_features_say_what_is_missing() -> None:
    y = np.concatenate([noise(1.0), np.zeros(RATE), noise(1.0)])
    rows = voice_segments.features(voice.low_level(y, RATE))
    recorded = rows[:, FEATURES.index("recorded")]
    assert recorded[:90].all()
    assert not recorded[110:190].any()
    assert (rows[110:190][:, [FEATURES.index(name) for name in voice_segments.COLUMNS_READ]] == 0).all()


def rows_of(*parts: tuple[str, int]) -> np.ndarray:
    """Probabilities sure of each kind in turn."""
    return np.concatenate([np.tile(np.where(np.array(KINDS) == kind, 0.9, 0.025), (n, 1)) for kind, n in parts])


def decided(*parts: tuple[str, int]) -> list[tuple[str, int]]:
    kind = voice_segments.decide(rows_of(*parts).astype(np.float32), np.zeros(sum(n for _, n in parts), np.float32))
    cuts = np.flatnonzero(np.diff(kind)) + 1
    return [(KINDS[run[0]], len(run)) for run in np.split(kind, cuts)]


def test_what_is_too_short_to_be_a_sound_joins_its_neighbours() -> None:
    assert decided(("silence", 50), ("nonverbal", 5), ("silence", 50)) == [("silence", 105)]
    assert decided(("silence", 50), ("other", 8), ("silence", 50)) == [("silence", 50), ("other", 8), ("silence", 50)]
    assert decided(("speech", 50), ("silence", 8), ("speech", 50)) == [("speech", 108)]


def test_one_utterance_is_of_one_kind() -> None:
    assert [kind for kind, _ in decided(("nonverbal", 80), ("speech", 20), ("silence", 40))] == ["nonverbal", "silence"]
    assert [kind for kind, _ in decided(("nonverbal", 80), ("speech", 60))] == ["nonverbal", "speech"]
    apart = decided(("nonverbal", 20), ("silence", 40), ("speech", 80))
    assert [kind for kind, _ in apart] == ["nonverbal", "silence", "speech"]


# ---- how well: generated scenes that were not trained on


@cache
def generated(name: str) -> np.ndarray:
    """Sure frames of a sound alone in a room, decided as each kind: counts over some scenes."""
    counts = np.zeros(len(KINDS) + 1)
    for seed in range(5):
        scene = scenes.scene(np.random.default_rng([99, seed]), names=[name], snr_db=25)
        decision = voice_segments.kinds(voice.low_level(scene.y, RATE))
        kind = next(KIND[kind] for kind, makers in MAKERS.items() if name in makers)
        counts += np.bincount(decision[scene.kind == kind], minlength=len(KINDS) + 1)
    return counts


def share(kinds: tuple[str, ...], *names: str) -> float:
    """Share of the frames of these sounds that is decided as one of these kinds."""
    counts = np.sum([generated(name) for name in names], axis=0)
    return float(counts[[KIND[kind] for kind in kinds]].sum() / counts.sum())


VOICE = ("speech", "nonverbal")
CRIES = ("moan", "groan", "cry out", "scream", "grunt", "sobbing")


def test_generated_moans_and_cries_are_kept() -> None:
    assert share(VOICE, *CRIES) >= 0.95


def test_generated_coughs_knocks_and_noise_are_not_called_voice() -> None:
    assert share(VOICE, "cough", "knock", "rustle", "engine", "keys", "door") <= 0.1
    assert share(VOICE, "cough", "knock") <= 0.1


def test_generated_speech_and_moans_are_told_apart() -> None:
    assert share(("speech",), "talk", "word") >= 0.85
    assert share(("nonverbal",), "moan", "groan", "cry out") >= 0.85


# ---- how well: recordings


def test_recorded_cries_are_kept(shared_data: Path) -> None:
    kept = [(np.isin(kind, (0, 1)) & loud(track)).sum() / loud(track).sum() for track, kind in cries(shared_data)]
    assert len(kept) == 5
    assert np.mean(kept) >= 0.9


def cries(shared_data: Path) -> list[tuple[Track, np.ndarray]]:
    return [found(path) for path in sorted((shared_data / "voice").glob("npc_*.mp3"))]


def test_recorded_speech_is_speech(shared_data: Path) -> None:
    paths = (
        sorted((shared_data / "clips").glob("*.mpg")) + sorted((shared_data / "voice" / "ravdess").glob("*.flac"))[::6]
    )
    counts = np.zeros(len(KINDS) + 1)
    for path in paths:
        track, kind = found(path)
        counts += np.bincount(kind[loud(track)], minlength=len(KINDS) + 1)
    share = counts / counts.sum()
    assert share[KIND["speech"]] >= 0.85
    assert share[KIND["speech"]] + share[KIND["nonverbal"]] >= 0.92


# ---- the file


def test_the_shipped_network_is_small_and_says_what_it_is() -> None:
    content = assets.read_weights("voice_segments")
    assert len(content) < 200_000
    session = voice_segments.load(content)
    assert {node.type for node in (*session.get_inputs(), *session.get_outputs())} == {"tensor(float)"}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"nothing", r"cannot be loaded .*install painsense again"),
        (sounds_network(features=("voiced",)), r"level_over_quietest_db.* was expected, voiced -> "),
        (sounds_network(kinds=("speech", "noise")), r"-> speech, noise came; install painsense again"),
        (sounds_network(says="{}"), r"does not say what it reads and gives"),
    ],
    ids=["no network", "other features", "other kinds", "no contract"],
)
def test_another_network_is_refused(content: bytes, message: str) -> None:
    with pytest.raises(ModelError, match=message):
        voice_segments.load(content)


# ---- lips


def raw_face(seconds: float, gap: np.ndarray | float, chin: np.ndarray | float = 0.6, fps: float = 25) -> Track:
    time_s = np.arange(round(seconds * fps)) / fps
    values = np.full((len(time_s), len(face.COLUMNS)), np.nan, np.float32)
    for name, value in (("lip_gap", gap), ("chin_to_nose", chin)):
        values[:, [c.name for c in face.COLUMNS].index(name)] = value
    return Track("face", face.COLUMNS, face.REASONS, time_s, values, np.zeros(len(time_s), np.uint32))


def heard(seconds: float, start_s: float = 0.0) -> Track:
    n = round(seconds * 100)
    time_s = start_s + (np.arange(n) + 0.5) / 100
    columns, reasons = (Column("voiced", "0/1", "voice"),), (Reason("silent", "silent"),)
    return Track("voice", columns, reasons, time_s, np.ones((n, 1), np.float32), np.zeros(n, np.uint32))


def of_kind(kind: str, seconds: float) -> np.ndarray:
    return np.full(round(seconds * 100), KIND[kind], np.int8)


WAGGING = 0.05 + 0.04 * np.sin(2 * np.pi * 4 * np.arange(100) / 25)
TREMBLE = 0.05 + 0.003 * np.sin(2 * np.pi * 9 * np.arange(100) / 25)


def test_speech_beside_still_lips_is_flagged() -> None:
    flagged = lips.still(raw_face(4, TREMBLE), heard(4), of_kind("speech", 4))
    assert flagged[50:350].all()
    assert not lips.still(raw_face(4, WAGGING), heard(4), of_kind("speech", 4)).any()
    jaw = lips.still(raw_face(4, 0.05, 0.6 + (WAGGING - 0.05) / 2), heard(4), of_kind("speech", 4))
    assert not jaw.any()


@pytest.mark.parametrize("kind", ["nonverbal", "breath", "other", "silence"])
def test_a_moan_on_still_lips_is_not_flagged(kind: str) -> None:
    assert not lips.still(raw_face(4, 0.05), heard(4), of_kind(kind, 4)).any()


def test_nothing_is_said_where_the_lips_are_not_seen() -> None:
    seen = raw_face(4, 0.05)
    bits = np.where(np.arange(100) >= 50, face.BIT["turned_away"], 0).astype(np.uint32)
    away = dataclasses.replace(seen, reason_bits=bits)
    flagged = lips.still(away, heard(4), of_kind("speech", 4))
    assert flagged[60:140].all()
    assert not flagged[180:].any()
    assert not lips.still(raw_face(4, np.nan), heard(4), of_kind("speech", 4)).any()
    assert not lips.still(seen, heard(4, start_s=20), of_kind("speech", 4)).any()
    assert len(lips.still(seen, heard(0), of_kind("speech", 0))) == 0


def test_one_syllable_is_no_evidence() -> None:
    kind = of_kind("silence", 4)
    kind[200:220] = KIND["speech"]
    assert not lips.still(raw_face(4, 0.05), heard(4), kind).any()


def test_real_talkers_and_somebody_elses_voice(shared_data: Path) -> None:
    """A talker's own sound is hardly flagged; the same sound beside a face at rest is."""
    from painsense.pipeline import Analyzer, Settings

    clips = shared_data / "clips"
    talker = clips / "bbaf2n.mpg"
    track, kind = found(talker)
    speech = (kind == KIND["speech"]) & (track.time_s > 0.4) & (track.time_s < 2.5)
    with Analyzer(Settings(modalities=("face",))) as analyzer:
        own, rest = (raw_of(analyzer, path) for path in (talker, clips / "baseline.mp4"))
    assert speech.sum() > 50
    assert lips.still(own, track, kind)[speech].mean() < 0.05
    assert lips.still(rest, track, kind)[speech].mean() > 0.9


def raw_of(analyzer: object, path: Path) -> Track:
    raw, _ = analyzer._tracks(media.open_media(path), None)  # type: ignore[attr-defined]
    assert isinstance(raw, Track)
    return raw
