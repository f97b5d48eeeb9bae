"""Random faces and faces that move: every unit at every level, nothing that cannot be, the truth of every frame."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from training.simulate import episodes, faces
from training.simulate.head import ACTION_UNITS, AU_NAMES, MAX_INTENSITY, both_sides, load_head, pspi, truth
from training.simulate.render import MULTI_PIE, Pose, project


@pytest.fixture(scope="module")
def drawn() -> list[faces.Expression]:
    rng = np.random.default_rng(5)
    return [faces.random_expression(rng) for _ in range(5000)]


@pytest.fixture(scope="module")
def labels(drawn: list[faces.Expression]) -> list[dict[str, float]]:
    return [truth(expression.intensities) for expression in drawn]


@pytest.fixture(scope="module")
def acted() -> list[episodes.Episode]:
    rng = np.random.default_rng(6)
    return [episodes.random_episode(rng) for _ in range(250)]


# --- single faces ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", AU_NAMES)
def test_every_unit_is_drawn_often_and_at_every_level(name: str, labels: list[dict[str, float]]) -> None:
    values = np.array([label[name] for label in labels])
    active = values[values > 0]
    assert len(active) / len(values) > 0.11
    share = np.histogram(active, np.arange(6))[0] / len(active)
    assert share.min() > 0.14 and share.max() < 0.32, share
    assert active.max() > 4.8


def test_every_unit_is_also_drawn_alone_and_every_side(drawn: list[faces.Expression]) -> None:
    alone, one_sided = set(), set()
    for expression in drawn:
        if expression.kind != "single units":
            continue
        shown = expression.intensities
        units = {name.partition("_")[0] for name in shown}
        alone |= units if len(units) == 1 else set()
        one_sided |= {name for name, value in shown.items() if shown.get(_other_side(name), value) < 0.5 * value}
    assert alone == set(AU_NAMES)
    sided = [unit.name for unit in ACTION_UNITS if unit.sided and unit.name != "AU43"]
    assert {f"{name}_{side}" for name in sided for side in "LR"} <= one_sided


def _other_side(name: str) -> str:
    return name[:-1] + {"L": "R", "R": "L"}.get(name[-1], "")


def test_left_and_right_differ_a_little_mostly_and_a_lot_rarely(labels: list[dict[str, float]]) -> None:
    def one_sided(names: list[str]) -> float:
        pairs = np.array([(x[f"{n}_L"], x[f"{n}_R"]) for x in labels for n in names if x[n] > 0.25])
        return float((pairs.min(axis=1) < 0.5 * pairs.max(axis=1)).mean())

    sided = [unit.name for unit in ACTION_UNITS if unit.sided and unit.name != "AU43"]
    assert 0.02 < one_sided(sided) < 0.10
    assert 0.0 < one_sided(["AU43"]) < 0.03
    lean = np.array([(x["AU4_L"] - x["AU4_R"]) / x["AU4"] for x in labels if 0.5 < x["AU4"] < 4])
    assert abs(np.median(lean)) < 0.02 and 0.03 < np.median(np.abs(lean)) < 0.2


def test_opposed_units_are_never_together(labels: list[dict[str, float]]) -> None:
    for one, other in faces.OPPOSED:
        assert not any(label[one] > 0 and label[other] > 0 for label in labels), (one, other)
        assert other in faces.opposed_to(one) and one in faces.opposed_to(other)


def test_pspi_is_spread_from_none_to_most(drawn: list[faces.Expression], labels: list[dict[str, float]]) -> None:
    def histogram(of: str) -> np.ndarray:
        pairs = zip(drawn, labels, strict=True)
        chosen = [pspi(label, label["AU43"] >= 4) for e, label in pairs if of in e.kind and e.kind != "rest"]
        return np.histogram(chosen, (0, 1, 4, 7, 10, 13, 16.01))[0] / len(chosen)

    all_faces, pain = histogram(""), histogram("pain")
    assert all_faces.max() < 0.3 and all_faces[1:].min() > 0.05
    assert pain.max() < 0.25 and pain[1:].min() > 0.12


def test_every_kind_is_drawn_and_rest_is_near_neutral(drawn: list[faces.Expression]) -> None:
    kinds = Counter(expression.kind for expression in drawn)
    expected = {*faces.SHARES, *(" + ".join(pair) for pair in faces.MIXTURES)} - {"mixture"}
    assert set(kinds) == expected and min(kinds.values()) >= 20
    assert 0.03 < kinds["rest"] / len(drawn) < 0.10
    for expression in drawn:
        both_sides(expression.intensities)  # raises on what cannot be
        if expression.kind == "rest":
            assert max(expression.intensities.values(), default=0.0) <= 0.7
        if expression.kind == "blink":
            assert set(expression.intensities) == {"AU43_L", "AU43_R"}


def test_shares_and_recipes_name_what_there_is() -> None:
    assert sum(faces.SHARES.values()) == pytest.approx(1.0)
    assert set(faces.SHARES) - set(faces.EXPRESSIONS) == {"rest", "single units", "mixture"}
    assert {kind for pair in faces.MIXTURES for kind in pair} <= set(faces.EXPRESSIONS)
    for parts in faces.EXPRESSIONS.values():
        assert set(parts) <= set(AU_NAMES)
        assert all(0 < part.chance <= 1 and part.weight > 0 for part in parts.values())


def test_parts_of_an_expression_rise_together() -> None:
    rng = np.random.default_rng(0)
    pairs = []
    while len(pairs) < 300:
        shown = faces.random_expression(rng)
        label = truth(shown.intensities)
        if shown.kind == "pain" and min(label["AU4"], label["AU6"]) > 0:
            pairs.append((label["AU4"], label["AU6"]))
    assert 0.6 < np.corrcoef(np.array(pairs).T)[0, 1] < 0.95


def test_the_same_seed_draws_the_same_face() -> None:
    def draw(seed: int) -> tuple[object, ...]:
        rng = np.random.default_rng(seed)
        return (
            faces.random_expression(rng), faces.random_pose(rng), faces.rest_pose(rng), faces.random_light(rng),
            faces.random_camera(rng), faces.random_gaze(rng),
        )  # fmt: skip

    assert draw(4) == draw(4) != draw(5)


def test_poses_stay_in_their_limits_and_mostly_near_the_front() -> None:
    rng = np.random.default_rng(2)
    turns = np.abs([(p.yaw_deg, p.pitch_deg, p.roll_deg) for p in (faces.random_pose(rng) for _ in range(4000))])
    assert (turns.max(axis=0) <= (45, 30, 30)).all() and (turns.max(axis=0) > (44, 29, 29)).all()
    assert (turns[:, :2] <= 25).all(axis=1).mean() == pytest.approx(0.7, abs=0.03)
    rest = np.abs([(p.yaw_deg, p.pitch_deg, p.roll_deg) for p in (faces.rest_pose(rng) for _ in range(1000))])
    assert rest.max() <= 12 and rest.max() > 10


def test_lights_come_from_all_sides_and_gaze_stays_within_25_degrees() -> None:
    rng = np.random.default_rng(2)
    lights = [faces.random_light(rng) for _ in range(1000)]
    azimuth = np.array([light.azimuth_deg for light in lights])
    elevation = np.array([light.elevation_deg for light in lights])
    softness = np.array([light.ambient / (light.ambient + light.strength) for light in lights])
    assert (azimuth < -50).mean() > 0.1 < (azimuth > 50).mean()
    assert (elevation > 50).mean() > 0.1 and (elevation < -15).mean() > 0.05
    assert softness.min() < 0.2 and softness.max() > 0.7
    assert min(light.warmth for light in lights) < -0.7 and max(light.warmth for light in lights) > 0.9
    gaze = np.array([faces.random_gaze(rng) for _ in range(2000)])
    assert 20 < np.abs(gaze).max() <= 25
    assert (np.abs(gaze) < 12).all(axis=1).mean() > 0.6


def test_faces_fill_the_picture_and_stay_in_it(shared_data: Path) -> None:
    head = load_head(shared_data / "ict_facekit.npz")
    points = head.neutral_cm[list(MULTI_PIE)]
    rng = np.random.default_rng(1)
    distances, size_px = [], 320
    for _ in range(300):
        camera, pose = faces.random_camera(rng), faces.random_pose(rng)
        assert 35 <= camera.distance_cm <= 150
        right, left = project(points[[36, 45]], Pose(), camera, size_px, size_px)
        distances.append(np.hypot(*(left - right)))
        seen = project(points, pose, camera, size_px, size_px)
        assert ((seen >= 0) & (seen < size_px)).all(axis=1).mean() > 0.95, pose
    assert 75 <= min(distances) < 85 and 108 < max(distances) <= 120


def test_nearly_every_face_is_found_in_its_photo(shared_data: Path) -> None:
    camera = pytest.importorskip("training.simulate.camera", reason="needs torch and torchvision")
    from painsense.landmarks import detect
    from training.simulate.looks import random_person
    from training.simulate.render import Renderer, RenderError

    rng = np.random.default_rng(1)
    try:
        drawing = Renderer(load_head(shared_data / "ict_facekit.npz"), 320, 320, samples=0)
    except RenderError as error:
        if os.environ.get("CI") == "true":
            raise
        pytest.skip(str(error))
    found = []
    with drawing as renderer:
        for _ in range(20):
            shown, pose = faces.random_expression(rng), faces.random_pose(rng)
            lens, light, gaze = faces.random_camera(rng), faces.random_light(rng), faces.random_gaze(rng)
            image = renderer.draw(random_person(rng), shown.intensities, pose, lens, light, gaze)
            found.append(detect(camera.take(image, rng, 95.0)[0]) is not None)
    assert np.mean(found) > 0.85


# --- episodes -------------------------------------------------------------------------------------------------------


def test_a_course_rises_holds_and_falls() -> None:
    time_s = np.arange(0, 10, 0.01)
    level = episodes.course(time_s, 2.0, 1.0, 3.0, 2.0)
    assert level[time_s < 2.0].max() == 0.0 and level[time_s > 8.0].max() == 0.0
    np.testing.assert_allclose(level[(time_s >= 3.0) & (time_s <= 6.0)], 1.0)
    assert level[250] == pytest.approx(0.5, abs=0.02) and level[700] == pytest.approx(0.5, abs=0.02)


def test_short_closures_are_blinks_and_long_ones_au43() -> None:
    time_s = np.arange(0, 6, 0.04)
    moves = episodes.together(episodes.blinks(time_s, [1.0]), episodes.closed_eyes(time_s, 3.0, 1.2))
    closed, blink = episodes.closures(time_s, moves["AU43_L"])
    assert 0.12 <= blink.sum() * 0.04 < 0.4
    assert time_s[blink].min() > 1.0 and time_s[blink].max() < 1.3
    assert time_s[closed].min() > 3.0 and time_s[closed].max() < 4.2 and closed.sum() * 0.04 > 0.8


def test_together_shows_the_stronger_move_of_each_side() -> None:
    level = np.array([0.0, 1.0, 3.0])
    moves = episodes.together({"AU12": level}, {"AU12_L": np.full(3, 2.0)}, {"AU26": level})
    np.testing.assert_array_equal(moves["AU12_L"], [2, 2, 3])
    np.testing.assert_array_equal(moves["AU12_R"], level)
    np.testing.assert_array_equal(moves["AU26"], level)


def test_random_episodes_have_a_truth_for_every_frame(acted: list[episodes.Episode]) -> None:
    for episode in acted:
        columns = episode.truth()  # raises on intensities that cannot be
        assert len(episode.time_s) == 45 and episode.time_s[1] == pytest.approx(1 / 15)
        assert all(len(values) == 45 and np.isfinite(values).all() for values in columns.values())
        assert episode.gaze_deg.shape == (45, 2) and np.isfinite(episode.gaze_deg).all()
        assert episode.pose.shape == (45, 5) and np.abs(episode.pose[:, :3]).max() < 25
        k = 22
        assert columns["AU4"][k] == pytest.approx(truth(episode.intensities(k))["AU4"])


def test_blinks_are_not_au43_and_long_closures_are(acted: list[episodes.Episode]) -> None:
    blinked = shut = 0
    for episode in acted:
        columns = episode.truth()
        closed, blink, au43 = columns["closed"] > 0, columns["blink"] > 0, columns["AU43"]
        assert not (closed & blink).any()
        assert (au43[closed] >= episodes.CLOSED_INTENSITY).all()
        for on, shortest, longest in ((closed, 0.5, 3.0), (blink, 0.0, 0.49)):
            edges = np.flatnonzero(np.diff(np.r_[0, on.astype(int), 0]))
            for first, end in zip(edges[::2], edges[1::2], strict=True):
                assert shortest - 1e-9 <= (end - first) / 15 <= longest
        orbit, lip = (np.maximum(columns[a], columns[b]) for a, b in (("AU6", "AU7"), ("AU9", "AU10")))
        np.testing.assert_allclose(columns["pspi"] - columns["AU4"] - orbit - lip, closed, atol=1e-9)
        blinked += blink.any()
        shut += closed.any()
    assert blinked > 0.4 * len(acted) and 0.08 * len(acted) < shut < 0.5 * len(acted)


def test_some_episodes_of_pain_have_closed_eyes_and_some_do_not(acted: list[episodes.Episode]) -> None:
    closed = [episode.truth()["closed"].any() for episode in acted if episode.kind.startswith("pain")]
    assert len(closed) > 40 and 0.2 < np.mean(closed) < 0.8


def test_episodes_rise_and_fall_and_say_what_is_going_on(acted: list[episodes.Episode]) -> None:
    kinds = Counter(episode.kind for episode in acted)
    assert {"pain", "rest", episodes.TWO_IN_A_ROW} <= set(kinds)
    assert 0.1 < kinds[episodes.TWO_IN_A_ROW] / len(acted) < 0.35
    for episode in acted:
        words = set(episode.phase) - {"rest"}
        if episode.kind == episodes.TWO_IN_A_ROW:
            assert len(words) <= 2
        else:
            assert words <= {episode.kind}
        others = [values for name, values in episode.moves.items() if not name.startswith("AU43")]
        if others and "yawning" not in episode.kind:
            assert max(values[0] for values in others) < 0.3, "an episode begins at rest"
    peaks = np.array([episode.truth()["pspi"].max() for episode in acted])
    assert (peaks < 2).mean() > 0.1 and (peaks > 8).mean() > 0.1


def test_lids_that_close_take_the_raised_lid_along(acted: list[episodes.Episode]) -> None:
    for episode in acted:
        for side in "LR":
            shut = episode.moves.get(f"AU43_{side}", np.zeros(45)) > 0.99 * MAX_INTENSITY
            assert episode.moves.get(f"AU5_{side}", np.zeros(45))[shut].max(initial=0.0) < 0.1


def test_speech_moves_the_jaw_3_to_6_times_a_second(monkeypatch: pytest.MonkeyPatch) -> None:
    spoken = faces.Expression("speaking", {"AU26": 2.0, "AU16_L": 1.5, "AU16_R": 1.4, "AU1_L": 1.0, "AU1_R": 1.0})
    monkeypatch.setattr(episodes, "random_expression", lambda rng: spoken)
    rng, rates = np.random.default_rng(3), []
    for _ in range(30):
        episode = episodes.random_episode(rng, seconds=8.0, fps=50.0)
        if episode.kind != "speaking":
            continue
        assert set(episode.moves) <= {*spoken.intensities, "AU43_L", "AU43_R"}
        jaw = episode.moves["AU26"]
        assert 0.5 < jaw.max() <= 2.0
        opening = (jaw[1:-1] > jaw[:-2]) & (jaw[1:-1] >= jaw[2:]) & (jaw[1:-1] > 0.02)
        rates.append(1.0 / (np.diff(np.flatnonzero(opening)).min() / 50.0))
    assert len(rates) > 10
    assert min(rates) > 2.8 and max(rates) < 6.6 and np.ptp(rates) > 1.0


def test_the_same_seed_acts_the_same_episode() -> None:
    one, same, other = (episodes.random_episode(np.random.default_rng(seed)) for seed in (3, 3, 4))
    assert one.kind == same.kind and one.phase == same.phase
    np.testing.assert_array_equal(one.pose, same.pose)
    for name, values in one.truth().items():
        np.testing.assert_array_equal(values, same.truth()[name])
    assert not np.array_equal(one.pose, other.pose)


@pytest.mark.parametrize(("seconds", "fps"), [(1.0, 5.0), (1.5, 30.0), (20.0, 25.0)])
def test_episodes_of_any_length_work(seconds: float, fps: float) -> None:
    rng = np.random.default_rng(0)
    for _ in range(25):
        episode = episodes.random_episode(rng, seconds, fps)
        assert len(episode.truth()["pspi"]) == round(seconds * fps)


def test_too_short_an_episode_is_refused() -> None:
    with pytest.raises(ValueError, match=r"at least 1 s at 5 frames a second.*0\.5 s"):
        episodes.random_episode(np.random.default_rng(0), seconds=0.5)
