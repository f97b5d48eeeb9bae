"""Generated scenes: reproducible, varied, and their truth stands where the sound is."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from painsense.voice_segments import KINDS
from training.simulate import scenes
from training.simulate.scenes import FRAME, KIND, UNSURE
from training.simulate.sounds import MAKERS


def level_db(y: np.ndarray) -> np.ndarray:
    return 10 * np.log10(np.mean(y.astype(np.float64).reshape(-1, FRAME) ** 2, axis=1) + 1e-14)


@pytest.mark.parametrize("name", [name for makers in MAKERS.values() for name in makers])
def test_every_sound_is_made_and_named_by_its_kind(name: str) -> None:
    scene = scenes.scene(np.random.default_rng(5), names=[name], snr_db=50)
    (event,) = scene.events
    assert name in MAKERS[event.kind]
    assert np.isfinite(scene.y).all()
    assert 0 < np.abs(scene.y).max() <= 1
    assert scene.y.dtype == np.float32
    assert len(scene.y) == len(scene.kind) * FRAME
    found = set(scene.kind.tolist())
    assert KIND[event.kind] in found
    assert found <= {KIND[event.kind], KIND["silence"], UNSURE}


def test_a_number_gives_a_scene_and_another_number_another() -> None:
    first, again, other = (scenes.scene(np.random.default_rng([1, k])) for k in (7, 7, 8))
    assert_array_equal(first.y, again.y)
    assert_array_equal(first.kind, again.kind)
    assert first.events == again.events
    assert len(first.y) != len(other.y) or not np.array_equal(first.y, other.y)


def test_truth_is_where_the_sound_is() -> None:
    """Frames of a kind are louder than the scene's silence, and lie inside the event."""
    for seed in range(6):
        scene = scenes.scene(np.random.default_rng(seed), names=["talk", "moan"], snr_db=30)
        level, silent = level_db(scene.y), scene.kind == KIND["silence"]
        for event in scene.events:
            here = np.zeros(len(level), bool)
            here[round(event.start_s * 100) : round(event.end_s * 100)] = True
            mine = scene.kind == KIND[event.kind]
            assert mine[here].mean() > 0.5
            assert np.median(level[mine]) > np.median(level[silent]) + 6
            assert not (mine & ~np.convolve(here, np.ones(5), "same").astype(bool)).any()


def test_silence_around_a_sound_is_silence() -> None:
    scene = scenes.scene(np.random.default_rng(3), names=["knock"], snr_db=90)
    assert scene.kind[0] in (KIND["silence"], KIND["other"], UNSURE)
    empty = scenes.scene(np.random.default_rng(3), names=[])
    assert empty.events == ()
    assert (empty.kind == KIND["silence"]).all()
    assert np.abs(empty.y).max() > 0
    assert level_db(empty.y).std() < 3  # steady noise


def test_noise_takes_the_ends_of_a_faint_sound_away() -> None:
    """The same sound is heard for longer over little noise than over much."""
    clean, noisy = (
        scenes.scene(np.random.default_rng(4), names=["groan"], snr_db=snr_db).kind == KIND["nonverbal"]
        for snr_db in (60, 3)
    )
    assert noisy.sum() < clean.sum()


def test_two_sounds_alike_are_unsure_and_the_clearer_one_wins() -> None:
    n = 60
    power = np.full((3, n), 1e-9)
    power[0, 10:40] = 1e-2  # speech
    power[1, 30:50] = 1e-2  # other, as loud
    truth, two = scenes._truth(power, [KIND["speech"], KIND["other"]], 1e-7)
    assert (truth[12:29] == KIND["speech"]).all()
    assert (truth[32:38] == UNSURE).all()
    assert (truth[42:48] == KIND["other"]).all()
    assert (truth[:8] == KIND["silence"]).all()
    assert not two.any()
    power[1, 30:50] = 1e-4
    truth, _ = scenes._truth(power, [KIND["speech"], KIND["other"]], 1e-7)
    assert (truth[12:38] == KIND["speech"]).all()


def test_another_voice_beside_the_patients_is_marked() -> None:
    power = np.full((2, 60), 1e-9)
    power[0, 10:40] = 1e-2
    power[1, 20:55] = 1e-3
    _, two = scenes._truth(power, [KIND["nonverbal"]], 1e-7)
    assert two[22:38].all()
    assert not two[:18].any()
    assert not two[44:].any()


def test_scenes_hold_every_kind() -> None:
    drawn = [scenes.scene(np.random.default_rng([2, k])) for k in range(25)]
    kinds = np.concatenate([scene.kind for scene in drawn])
    assert set(kinds.tolist()) == {UNSURE, *range(len(KINDS))}
    peak_db = [20 * np.log10(np.abs(scene.y).max()) for scene in drawn]
    assert np.ptp(peak_db) > 15  # levels differ: nothing may rest on them


def test_an_unknown_sound_is_refused() -> None:
    with pytest.raises(ValueError, match=r"no sound 'sneeze'; there are talk, word, moan"):
        scenes.scene(np.random.default_rng(0), names=["sneeze"])
