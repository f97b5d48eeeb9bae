"""Simulated people: reproducible, true to their own table, measured with the network's own errors, kept on the disk."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from painsense import assets, voice
from training.errors import TrainingError
from training.fusion import courses, faces, generator, measured_errors, numbers, people, record, sounds
from training.fusion.courses import FPS, Manner
from training.fusion.generator import KINDS, PAIN_KINDS, Recipe
from training.fusion.numbers import PATTERNS
from training.samples import parts
from training.simulate.head import AU_NAMES

TIME_S = (np.arange(180) + 0.5) / FPS
MANNER = Manner("eyes, brows, nose", 1.0, 1.0)
AT = {name: k for k, name in enumerate(AU_NAMES)}


@pytest.fixture(scope="module")
def episodes() -> list[generator.SimulatedEpisode]:
    """One person's first dozen."""
    who = people.person(1)
    day = generator.session(who, 0)
    return [generator.episode(who, number, day) for number in range(12)]


# ---- the table


def test_the_page_says_what_the_code_does() -> None:
    assert numbers.DOCUMENT.read_text(encoding="utf-8") == numbers.document(), "run python -m training.fusion.numbers"


def test_every_number_has_a_source_and_every_chance_is_one() -> None:
    for name, number in numbers.NUMBERS.items():
        assert number.source and number.meaning and number.unit, name
        if number.unit in ("chance", "share"):
            low, high = number.value if isinstance(number.value, tuple) else (number.value, number.value)
            assert 0 <= low <= high <= 1, name
    for name, kind in numbers.KINDS.items():
        assert sum(kind.sounds.values()) == pytest.approx(1), name
        assert set(kind.sounds) - {""} <= set(sounds.SOUNDS), name
        assert set(kind.parts) <= set(AU_NAMES), name
        assert all(0 < part.chance <= 1 and 0 < part.intensity <= 5 for part in kind.parts.values()), name
        assert kind.source, name
    assert sum(pattern.share for pattern in numbers.PATTERNS.values()) == pytest.approx(1)
    assert all(part.source for part in numbers.PAIN_PARTS.values())


def test_a_range_is_no_single_number() -> None:
    with pytest.raises(KeyError, match="is a range"):
        numbers.value("face_gain")
    with pytest.raises(KeyError, match="one value"):
        numbers.span("seconds")


# ---- faces


def mean_units(kind: str, level: float = 0.0, manner: Manner = MANNER, count: int = 60) -> dict[str, float]:
    """Highest intensity of each unit, on average over draws."""
    found = []
    for seed in range(count):
        rng = np.random.default_rng(seed)
        if kind in PAIN_KINDS:
            act = courses.pain_act(TIME_S, 1.0, 8.0, level, manner, rng, kind)
        else:
            act = courses.other_act(TIME_S, 1.0, 6.0, kind, rng)
        found.append(act.moves.max(axis=0))
    return dict(zip(AU_NAMES, np.mean(found, axis=0), strict=True))


def test_more_pain_shows_more() -> None:
    shown = [courses.shown(mean_units("pain", level)) for level in (1, 4, 7, 10)]
    assert np.all(np.diff(shown) > 1.5)
    assert shown[1] == pytest.approx(4 * numbers.value("shown_per_level"), rel=0.25)


def test_who_hides_it_shows_less() -> None:
    hidden = mean_units("pain", 8, replace(MANNER, face_gain=0.5))
    assert courses.shown(hidden) < 0.65 * courses.shown(mean_units("pain", 8))


def test_pain_is_told_from_disgust_by_the_eyes() -> None:
    """Kunz et al. 2013: muscles around the eyes in pain, the raised upper lip in disgust."""
    pain, disgust = mean_units("pain", 6), mean_units("disgust")
    assert max(pain["AU6"], pain["AU7"]) > 4 * max(disgust["AU6"], disgust["AU7"])
    assert pain["AU4"] > disgust["AU4"]
    assert max(disgust["AU9"], disgust["AU10"]) > 1.5
    assert pain["AU43"] > 0.5 > disgust["AU43"] == 0


def test_smiles_pull_the_lip_corners() -> None:
    broad, polite = mean_units("broad smile"), mean_units("polite smile")
    assert broad["AU12"] > 2.5
    assert broad["AU6"] > 2
    assert polite["AU6"] < 0.3 < polite["AU12"]
    masked = mean_units("pain + smile", 6)
    assert masked["AU12"] > 1.5
    assert masked["AU4"] > 2


def test_patterns_differ() -> None:
    raised, furrowed = mean_units("pain", 6, Manner("raised brows", 1, 1)), mean_units("pain", 6)
    assert raised["AU1"] > 1 > furrowed["AU1"]
    assert furrowed["AU4"] > 2 * raised["AU4"]


@pytest.mark.parametrize("kind", list(numbers.KINDS))
def test_what_is_not_pain_has_no_level(kind: str) -> None:
    act = courses.other_act(TIME_S, 2.0, 5.0, kind, np.random.default_rng(3))
    assert act.level == 0
    outside = (TIME_S < 1.7) | (TIME_S > 7.5)
    assert act.moves[outside].max() == 0
    assert 0 <= act.moves.min() <= act.moves.max() <= 5


# ---- what painsense would measure


def test_errors_are_those_of_the_shipped_network() -> None:
    errors = measured_errors.shipped()
    shipped = hashlib.sha256(assets.read_weights("action_units")).hexdigest()
    assert errors.network == shipped, "the network has changed: run python -m training.fusion.measured_errors"
    assert measured_errors.FILE.stat().st_size < 1_500_000
    assert len(errors) > 5000
    assert "train" not in set(parts(errors.person.astype(np.int32)).tolist())


def test_folds_share_nobody() -> None:
    errors = measured_errors.shipped()
    owners = [set(errors.person[errors.fold == fold].tolist()) for fold in range(measured_errors.FOLDS)]
    assert sum(map(len, owners)) == len(set().union(*owners)) == len(np.unique(errors.person))
    assert min(map(len, owners)) > 50


def test_a_residual_is_that_of_a_similar_face_of_the_fold() -> None:
    errors = measured_errors.shipped()
    row = int(np.flatnonzero(errors.fold == 2)[40])
    one = {"neutral_known": True, "skin_tone": int(errors.skin_tone[row])}
    own = errors.with_neutral - errors.expected(errors.truth, True)
    for seed in range(5):
        rng = np.random.default_rng(seed)
        found = errors.residual(errors.truth[row], rng, fold=2, turn_deg=tuple(errors.turn_deg[row]), **one)
        at = np.flatnonzero(np.abs(own - found).max(axis=1) < 1e-9)
        assert len(at) == 1
        assert errors.fold[at[0]] == 2
        assert np.abs(errors.truth[at[0]] - errors.truth[row]).mean() < 1.0


def test_the_neutral_helps_the_measured_face_as_it_helps_the_network() -> None:
    errors = measured_errors.shipped()
    wrong = [np.abs(said - errors.truth).mean() for said in (errors.with_neutral, errors.without_neutral)]
    assert wrong[0] < wrong[1]
    for known, least in ((True, 0.8), (False, 0.7)):
        said = errors.expected(errors.truth, known)[:, AT["AU4"]]
        assert np.corrcoef(said, errors.truth[:, AT["AU4"]])[0, 1] > least


def test_a_lost_face_is_nan_with_a_reason() -> None:
    truth = np.zeros((len(TIME_S), len(AU_NAMES)))
    nobody = np.zeros(len(TIME_S), bool)
    track = faces.measure(
        TIME_S, truth, [], nobody, ("face_gaps", "turned_away"), fold=0, skin_tone=5, rng=np.random.default_rng(4)
    )
    gone, away = track.has_reason("no_face"), track.has_reason("turned_away")
    assert gone.any()
    assert away.any()
    assert_array_equal(track.valid, ~(gone | away))
    assert np.isnan(track.values[gone]).all()
    assert np.isnan(track.column("AU4")[away]).all()
    assert np.isfinite(track.column("AU4")[track.valid]).all()
    assert (np.abs(track.column("yaw_deg")[away]) > 40).all()


def test_a_blink_is_no_closed_eye() -> None:
    truth = np.zeros((len(TIME_S), len(AU_NAMES)))
    truth[30:33, AT["AU43"]] = 5.0  # a fifth of a second
    truth[90:120, AT["AU43"]] = 5.0  # two seconds
    track = faces.measure(
        TIME_S, truth, [], np.zeros(len(TIME_S), bool), (), fold=1, skin_tone=5, rng=np.random.default_rng(1)
    )
    assert track.has_reason("blink")[30:33].any()
    assert np.isnan(track.column("AU7")[track.has_reason("blink")]).all()
    assert track.column("AU43")[:60].max() == 0
    assert track.column("AU43")[95:115].min() == 1
    true = faces.true_pspi(TIME_S, truth)
    assert true[100] == 1
    assert true[31] == 0


# ---- sounds


@pytest.mark.parametrize("name", sounds.SOUNDS)
def test_every_sound_can_be_heard(name: str) -> None:
    rng = np.random.default_rng(2)
    heard = sounds.other_sounds(name, 0.7, 3.0, people.person(2).speaker, rng)
    assert heard
    for _, one in heard:
        assert np.isfinite(one.y).all()
        assert 0.001 < np.abs(one.y).max() <= 3
        assert len(one.mouth) == pytest.approx(100 * one.seconds, abs=2)
        assert 0 <= one.mouth.min() <= one.mouth.max() <= 1


def test_silence_makes_no_sound() -> None:
    assert sounds.other_sounds("", 0.7, 3.0, people.person(2).speaker, np.random.default_rng(2)) == []


@pytest.mark.parametrize("name", ["moan", "groan", "cry out"])
def test_pain_is_heard_higher_louder_longer_with_its_level(name: str) -> None:
    """Lautenbacher et al. 2017, Valente et al. 2024: as painsense itself measures it."""
    who = people.person(2).speaker
    f0, level, length = [], [], []
    for pain in (2.0, 9.0):
        takes = [sounds.pain_sound(name, pain, who, np.random.default_rng(seed)) for seed in range(5)]
        tracks = [voice.low_level(np.pad(one.y, 4000), 16000) for one in takes]
        f0.append(np.median([np.nanmedian(track.column("f0_hz")) for track in tracks]))
        level.append(np.median([10 * np.log10(np.mean(one.y**2)) for one in takes]))
        length.append(np.mean([one.seconds for one in takes]))
    assert f0[1] > f0[0] * 1.15
    assert level[1] > level[0] + 6
    assert length[1] > length[0] * 1.3


def test_a_silent_person_is_not_heard() -> None:
    def heard_s(share: float) -> float:
        who, rng = people.person(2).speaker, np.random.default_rng(3)
        return sum(one.seconds for _, one in sounds.pain_sounds(0.0, 10.0, lambda _: 8.0, share, who, rng))

    assert heard_s(0.0) == 0
    assert heard_s(1.0) > 3
    assert heard_s(1.3) > 5  # more than all the time is all the time


def test_unknown_sound_of_pain() -> None:
    with pytest.raises(ValueError, match="there are sigh, gasp, moan"):
        sounds.pain_sound("yodel", 5, people.person(2).speaker, np.random.default_rng(1))


# ---- people and episodes


def test_people_differ_and_stay_who_they_are() -> None:
    everybody = [people.person(number) for number in range(60)]
    assert everybody[7] == people.person(7)
    assert people.person(7, seed=2) != everybody[7]
    assert {who.sex for who in everybody} == {"female", "male"}
    assert {who.sex for who in everybody} <= set(record.SEXES)
    assert {who.age_band for who in everybody} <= set(record.AGE_BANDS)
    assert {who.temper for who in everybody} == {"open", "silent", "hiding"}
    assert {who.fold for who in everybody} == set(range(measured_errors.FOLDS))
    assert all(1 <= who.skin_tone <= 10 for who in everybody)
    assert len({who.speaker for who in everybody}) == 60


def test_an_episode_is_reproducible(episodes: list[generator.SimulatedEpisode]) -> None:
    who = people.person(1)
    again = generator.episode(who, 3, generator.session(who, 0))
    assert again.dropouts == episodes[3].dropouts
    assert_array_equal(again.level, episodes[3].level)
    for mine, other in ((again.face, episodes[3].face), (again.voice, episodes[3].voice)):
        assert (mine is None) == (other is None)
        if mine is not None and other is not None:
            assert_array_equal(mine.values, other.values)


def test_level_is_of_pain_alone(episodes: list[generator.SimulatedEpisode]) -> None:
    pain = [KINDS.index(kind) for kind in PAIN_KINDS]
    highest = []
    for one in episodes:
        assert len(one.time_s) == len(one.level) == len(one.kind) == len(one.pspi) == 120
        assert_allclose(np.diff(one.time_s), 0.1)
        shown = one.level > 0.05
        assert np.isin(one.kind[shown], pain).all()
        assert 0 <= one.level.min() <= one.level.max() <= 10
        assert 0 <= one.pspi.min() <= one.pspi.max() <= 16
        assert one.neutral_known == ("no_neutral" not in one.dropouts)
        assert (one.face is None) == ("no_face" in one.dropouts)
        assert (one.voice is None) == ("no_voice" in one.dropouts)
        assert one.face is not None or one.voice is not None
        highest.append(one.level.max())
    assert sum(level > 1 for level in highest) >= 3
    assert sum(level == 0 for level in highest) >= 2


def test_pain_moves_the_measured_face_and_voice(episodes: list[generator.SimulatedEpisode]) -> None:
    strong, rest = [], []
    for one in episodes:
        if one.face is not None:
            level = np.interp(one.face.time_s, one.time_s, one.level)
            kind = np.interp(one.face.time_s, one.time_s, one.kind)
            strong.append(one.face.column("pspi")[level > 5])
            rest.append(one.face.column("pspi")[kind == 0])
    assert np.nanmean(np.concatenate(strong)) > np.nanmean(np.concatenate(rest)) + 3


def test_another_talker_is_marked_beside_still_lips_only() -> None:
    y = sounds.talk("speech", 0.0, 10.0, people.person(2).speaker, np.random.default_rng(1)).y
    heard = voice.low_level(y[: 12 * 16000], 16000)
    talked = np.ones(len(heard), bool)
    still, moving = np.zeros((2, len(TIME_S), len(AU_NAMES)))
    moving[:, AT["AU26"]] = 1 + np.sin(2 * np.pi * 4 * TIME_S)
    seen = faces.measure(
        TIME_S, still, [], np.zeros(len(TIME_S), bool), (), fold=0, skin_tone=5, rng=np.random.default_rng(4)
    )
    for face, truth, share in ((seen, still, 1), (seen, moving, 0), (None, still, 0)):
        track = generator._with_still_lips(heard, talked, face, truth)
        assert track.has_reason("lips_still").mean() == pytest.approx(share, abs=0.01)
        assert_array_equal(track.valid, heard.valid)
    assert not generator._with_still_lips(heard, ~talked, seen, still).has_reason("lips_still").any()


# ---- on the disk


def test_a_set_is_kept_gone_on_with_and_read(tmp_path: Path) -> None:
    recipe = Recipe(people=2, episodes=2)
    first = generator.make(tmp_path, recipe)
    assert next(first) == "sim1-0000"
    first.close()  # as if it was stopped
    with pytest.raises(TrainingError, match="1 people are not made yet"):
        generator.load(tmp_path)
    done = tmp_path / "person-0000.npz"
    before = done.stat().st_mtime_ns
    assert list(generator.make(tmp_path, recipe)) == ["sim1-0001"]
    assert done.stat().st_mtime_ns == before
    episodes = generator.load(tmp_path)
    assert [one.id for one in episodes] == ["sim1-0000-000", "sim1-0000-001", "sim1-0001-000", "sim1-0001-001"]
    who = people.person(1)
    fresh = generator.episode(who, 1, generator.session(who, 1))
    kept = episodes[3]
    assert kept.person == who
    assert kept.dropouts == fresh.dropouts
    about = {"sex": who.sex, "age_band": who.age_band, "skin_tone": str(who.skin_tone), "temper": who.temper}
    assert about.items() <= kept.groups.items() and kept.groups["pain_in"] in PATTERNS
    noise = "noisy" if "low_snr" in kept.dropouts else "quiet"
    assert kept.groups.get("sound") == (None if kept.voice is None else noise)
    assert_array_equal(kept.level, fresh.level)
    assert_array_equal(kept.sound, fresh.sound)
    for mine, other in ((kept.face, fresh.face), (kept.voice, fresh.voice)):
        if mine is not None and other is not None:
            assert_allclose(mine.values, other.values, rtol=2e-3, atol=1e-4)
            assert_array_equal(mine.reason_bits, other.reason_bits)
    assert [one.id for one in generator.load(tmp_path, [1])] == ["sim1-0001-000", "sim1-0001-001"]
    with pytest.raises(TrainingError, match="another recipe"):
        list(generator.make(tmp_path, replace(recipe, seed=2)))


def test_a_folder_that_is_no_set(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="no set of simulated people"):
        generator.load(tmp_path)
    (tmp_path / generator.INDEX).write_text("not json")
    with pytest.raises(TrainingError, match="no set of simulated people"):
        generator.load(tmp_path)
    (tmp_path / generator.INDEX).write_text(json.dumps({"version": 0, "columns": [], "people": 1, "seed": 1}))
    with pytest.raises(TrainingError, match="another version"):
        generator.load(tmp_path)
