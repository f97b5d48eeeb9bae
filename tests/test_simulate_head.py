"""The simulated face: what moves when an action unit acts, what the pictures show, the truth of the bundled clip."""

from __future__ import annotations

import csv
import os
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import av
import numpy as np
import pytest

from training.simulate import episodes
from training.simulate.head import (
    ACTION_UNITS,
    AU_NAMES,
    Head,
    HeadError,
    both_sides,
    load_head,
    pspi,
    shape_activations,
    truth,
)

# Vertices of the ICT-FaceKit mesh, by the Multi-PIE points in its README.
CORNER_R, CORNER_L = 5708, 6213
LIP_TOP, LIP_BOTTOM, INNER_TOP, INNER_BOTTOM, CHIN = 0, 5518, 5533, 5517, 966
INNER_BROW_R, INNER_BROW_L, OUTER_BROW_R, OUTER_BROW_L = 1401, 3615, 268, 2509
UPPER_LID_R, LOWER_LID_R, UPPER_LID_L, LOWER_LID_L = 1537, 1518, 3751, 3732
WING_R, WING_L = 1140, 3360
CHEEK_R, CHEEK_L = 1203, 3421
X, Y, Z = 0, 1, 2


@pytest.fixture(scope="session")
def head(shared_data: Path) -> Head:
    return load_head(shared_data / "ict_facekit.npz")


@pytest.fixture(scope="session")
def renderer(head: Head) -> Iterator[object]:
    from training.simulate.render import Renderer, RenderError

    try:
        drawing = Renderer(head, 320, 240)
    except RenderError as error:
        if os.environ.get("CI") == "true":
            raise
        pytest.skip(str(error))
    with drawing:
        yield drawing


def moved(head: Head, **intensities: float) -> np.ndarray:
    return head.expression(shape_activations(intensities))


# --- the table ------------------------------------------------------------------------------------------------------


def test_the_table_names_every_unit_once_and_its_shapes_exist(head: Head) -> None:
    assert list(AU_NAMES) == [f"AU{k}" for k in (1, 2, 4, 5, 6, 7, 9, 10, 12, 14, 15, 16, 17, 18, 20, 22, 24, 26, 43)]
    shapes = [shape for unit in ACTION_UNITS for shape in unit.shapes]
    assert len(shapes) == len(set(shapes)), "two units share a shape: their labels could not be told apart"
    for unit in ACTION_UNITS:
        for side in "LR":
            assert set(unit.side_shapes(side)) <= set(head.expression_names)


def test_intensity_5_is_full_activation_and_2_half_of_4() -> None:
    assert shape_activations({"AU12": 5.0}) == {"mouthSmile_L": 1.0, "mouthSmile_R": 1.0}
    assert shape_activations({"AU9_R": 2.0}) == {"noseSneer_R": pytest.approx(0.4)}


def test_a_side_goes_before_both_and_the_label_is_their_mean() -> None:
    assert both_sides({"AU4": 3.0, "AU4_L": 1.0})["AU4"] == (1.0, 3.0)
    label = truth({"AU4": 3.0, "AU4_L": 1.0})
    assert (label["AU4"], label["AU4_L"], label["AU4_R"], label["AU12"]) == (2.0, 1.0, 3.0, 0.0)


@pytest.mark.parametrize("wrong", [{"AU3": 1.0}, {"AU17_L": 1.0}, {"AU4": 5.1}, {"AU4": -0.1}])
def test_what_is_no_action_unit_is_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=r"action unit|0 to 5"):
        both_sides(wrong)


def test_pspi_takes_the_stronger_of_each_pair() -> None:
    label = truth({"AU4": 3.0, "AU6": 2.0, "AU7": 4.0, "AU9": 1.0, "AU10": 0.5, "AU43": 5.0, "AU12": 5.0})
    assert pspi(label, closed=False) == 8.0
    assert pspi(label, closed=True) == 9.0


def test_shut_lids_do_not_shut_further() -> None:
    assert "eyeSquint_L" in shape_activations({"AU7": 5.0})
    alone = shape_activations({"AU7": 5.0})["eyeSquint_L"]
    assert shape_activations({"AU7": 5.0, "AU43": 5.0})["eyeSquint_L"] == pytest.approx(0.3 * alone)


# --- what moves -----------------------------------------------------------------------------------------------------


def test_left_and_right_are_the_persons_own(head: Head) -> None:
    """x runs toward the person's left, and each half of a unit moves its own side alone."""
    assert head.neutral_cm[CORNER_L, X] > 2.0 > -2.0 > head.neutral_cm[CORNER_R, X]
    for unit in ACTION_UNITS:
        if not unit.sided:
            continue
        for side, sign in (("L", 1), ("R", -1)):
            size = np.linalg.norm(moved(head, **{f"{unit.name}_{side}": 5.0}), axis=1)
            own = head.neutral_cm[:, X] * sign > 1.0
            other = head.neutral_cm[:, X] * sign < -1.0
            assert size[own].max() > 0.3, unit.name
            assert size[other].max() < 0.35 * size[own].max(), unit.name


def test_au1_and_au2_raise_inner_and_outer_brow(head: Head) -> None:
    inner, outer = moved(head, AU1=5.0), moved(head, AU2=5.0)
    assert inner[INNER_BROW_L, Y] > 0.2 and inner[INNER_BROW_L, Y] > inner[OUTER_BROW_L, Y]
    assert outer[OUTER_BROW_R, Y] > 0.2 and outer[OUTER_BROW_R, Y] > outer[INNER_BROW_R, Y]


def test_au4_lowers_the_brows_and_draws_them_together(head: Head) -> None:
    brow = moved(head, AU4=5.0)
    for vertex, toward_middle in ((INNER_BROW_L, -1), (INNER_BROW_R, 1)):
        assert brow[vertex, Y] < -0.2
        assert brow[vertex, X] * toward_middle > 0.05


def test_au6_raises_the_cheeks_and_au7_the_lower_lids(head: Head) -> None:
    cheek, lid = moved(head, AU6=5.0), moved(head, AU7=5.0)
    assert cheek[CHEEK_L, Y] > 0.4 and cheek[CHEEK_R, Y] > 0.4
    assert lid[LOWER_LID_L, Y] > 0.1 and lid[LOWER_LID_R, Y] > 0.1
    assert abs(lid[CHEEK_L, Y]) < 0.2 * cheek[CHEEK_L, Y]


def test_au9_lifts_the_nose_wings_more_than_au10_does(head: Head) -> None:
    wrinkle, lift = moved(head, AU9=5.0), moved(head, AU10=5.0)
    assert wrinkle[WING_L, Y] > 0.2 and wrinkle[WING_R, Y] > 0.2
    assert lift[LIP_TOP, Y] > 0.2
    assert wrinkle[WING_L, Y] / wrinkle[LIP_TOP, Y] > lift[WING_L, Y] / lift[LIP_TOP, Y]


def test_au12_raises_and_widens_the_mouth_corners_and_au15_lowers_them(head: Head) -> None:
    smile, frown = moved(head, AU12=5.0), moved(head, AU15=5.0)
    for corner, outward in ((CORNER_L, 1), (CORNER_R, -1)):
        assert smile[corner, Y] > 0.5 and smile[corner, X] * outward > 0.3
        assert frown[corner, Y] < -0.2


def test_au20_widens_the_mouth_without_raising_it_and_au18_narrows_it(head: Head) -> None:
    stretch, pucker = moved(head, AU20=5.0), moved(head, AU18=5.0)
    assert stretch[CORNER_L, X] - stretch[CORNER_R, X] > 0.8
    assert stretch[CORNER_L, Y] < 0.1
    assert pucker[CORNER_L, X] - pucker[CORNER_R, X] < -0.8


def test_the_mouth_opens_by_au16_and_au26_and_the_chin_rises_by_au17(head: Head) -> None:
    for name in ("AU16", "AU26"):
        opened = moved(head, **{name: 5.0})
        assert opened[INNER_TOP, Y] - opened[INNER_BOTTOM, Y] > 0.3, name
    assert moved(head, AU26=5.0)[CHIN, Y] < -1.0
    assert moved(head, AU17=5.0)[CHIN, Y] > 0.3


def test_au43_closes_the_lids_and_au5_opens_them(head: Head) -> None:
    for upper, lower in ((UPPER_LID_L, LOWER_LID_L), (UPPER_LID_R, LOWER_LID_R)):
        gap = head.neutral_cm[upper, Y] - head.neutral_cm[lower, Y]
        shut, wide = moved(head, AU43=5.0), moved(head, AU5=5.0)
        assert gap + shut[upper, Y] - shut[lower, Y] < 0.15 * gap
        assert gap + wide[upper, Y] - wide[lower, Y] > 1.15 * gap


def test_a_person_is_the_mean_face_and_weighted_modes(head: Head) -> None:
    np.testing.assert_array_equal(head.person([]), head.neutral_cm)
    expected = head.neutral_cm + 2 * head.identity_deltas_cm[0] - head.identity_deltas_cm[2]
    np.testing.assert_allclose(head.person([2, 0, -1]), expected, atol=1e-5)
    both = head.vertices([2, 0, -1], shape_activations({"AU12": 3.0}))
    np.testing.assert_allclose(both - head.person([2, 0, -1]), moved(head, AU12=3.0), atol=1e-5)


# --- reading --------------------------------------------------------------------------------------------------------

SQUARE = np.array([(0, 0, 0), (1, 0, 0), (1, 1, 0), (0, 1, 0), (0.5, 1.5, 0)], float)


def write_obj(path: Path, points: np.ndarray, faces_of: str = "") -> None:
    lines = "".join(f"v {x:.6f} {y:.6f} {z:.6f}\n" for x, y, z in points)
    path.write_text(f"# a comment\nmtllib Material.mtl\n{lines}vt 0.0 1.0\n{faces_of}")


@pytest.fixture
def obj_folder(tmp_path: Path) -> Path:
    """A head of one square and one triangle, in files like those of the public repository."""
    write_obj(
        tmp_path / "generic_neutral_mesh.obj",
        SQUARE,
        "usemtl M_Teeth\nf 1/1 2/1 3/1 4/1\nusemtl M_Face\nf 4/1 3/1 5/1\n",
    )
    for mode in range(2):
        write_obj(tmp_path / f"identity{mode:03d}.obj", SQUARE + np.array((0, 0, 1 + mode)))
    for number, shape in enumerate(s for unit in ACTION_UNITS for side in "LR" for s in unit.side_shapes(side)):
        write_obj(tmp_path / f"{shape}.obj", SQUARE + np.array((number, 0, 0)))
    return tmp_path


def test_obj_folder_gives_triangles_materials_and_displacements(obj_folder: Path) -> None:
    head = load_head(obj_folder)
    np.testing.assert_array_equal(head.triangles, [(0, 1, 2), (0, 2, 3), (3, 2, 4)])
    assert [head.material_names[k] for k in head.triangle_material] == ["M_Teeth", "M_Teeth", "M_Face"]
    np.testing.assert_allclose(head.person([0.5, 1.0])[:, Z], 0.5 * 1 + 1.0 * 2)
    index = head.expression_names.index("browInnerUp_R")  # written as number 1
    np.testing.assert_allclose(head.expression_deltas_cm[index], np.tile((1, 0, 0), (5, 1)))


def test_npz_and_obj_folder_of_the_same_head_agree(obj_folder: Path, tmp_path: Path) -> None:
    one = load_head(obj_folder)
    file = tmp_path / "head.npz"
    np.savez(
        file,
        vertices_cm=one.neutral_cm,
        triangles=one.triangles,
        triangle_material=one.triangle_material,
        material_names=np.array(one.material_names),
        identity_deltas_cm=one.identity_deltas_cm.astype(np.float16),
        expression_names=np.array(one.expression_names),
        expression_deltas_cm=one.expression_deltas_cm.astype(np.float16),
    )
    other = load_head(file)
    shapes = shape_activations({"AU4": 2.0, "AU26": 1.0})
    np.testing.assert_allclose(other.vertices([1, -1], shapes), one.vertices([1, -1], shapes), atol=1e-2)
    assert other.material_names == one.material_names


def test_unreadable_heads_say_what_is_missing(obj_folder: Path, tmp_path: Path) -> None:
    with pytest.raises(HeadError, match="FaceXModel"):
        load_head(tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    with pytest.raises(HeadError, match=r"generic_neutral_mesh\.obj"):
        load_head(tmp_path / "empty")
    (tmp_path / "text.npz").write_text("not an archive")
    with pytest.raises(HeadError, match="not an npz file"):
        load_head(tmp_path / "text.npz")
    write_obj(obj_folder / "identity001.obj", SQUARE[:4])
    with pytest.raises(HeadError, match="4 vertices"):
        load_head(obj_folder)
    (obj_folder / "identity001.obj").unlink()
    (obj_folder / "eyeBlink_L.obj").unlink()
    with pytest.raises(HeadError, match="eyeBlink_L"):
        load_head(obj_folder)


# --- pictures -------------------------------------------------------------------------------------------------------


def test_the_same_face_is_drawn_the_same_twice(renderer, head: Head) -> None:
    from training.simulate.render import Person, Pose, Renderer

    image = renderer.draw(Person(), {"AU4": 3.0, "AU43": 2.0}, Pose(yaw_deg=10.0))
    assert image.shape == (240, 320, 3) and image.dtype == np.uint8
    renderer.draw(Person(identity=(2.0,)), {"AU26": 5.0})
    np.testing.assert_array_equal(renderer.draw(Person(), {"AU4": 3.0, "AU43": 2.0}, Pose(yaw_deg=10.0)), image)
    with Renderer(head, 320, 240) as another:
        np.testing.assert_array_equal(another.draw(Person(), {"AU4": 3.0, "AU43": 2.0}, Pose(yaw_deg=10.0)), image)


def test_darker_skin_and_less_light_give_darker_faces(renderer) -> None:
    from training.simulate.render import Light, Looks, Person

    def brightness(tone: float, strength: float = 0.75) -> float:
        image = renderer.draw(Person(looks=Looks(skin_tone=tone)), light=Light(strength=strength))
        return float(image[100:140, 140:180].mean())

    tones = [brightness(tone) for tone in (2, 4, 6, 8, 10)]
    assert all(lighter > darker + 5 for lighter, darker in pairwise(tones))
    assert brightness(4, 0.2) < brightness(4) - 20


@pytest.mark.parametrize(("turn", "sign"), [("yaw_deg", 1), ("pitch_deg", 1), ("roll_deg", 1)])
def test_pose_signs_are_those_of_the_landmarks(renderer, turn: str, sign: int) -> None:
    """The engine that scores people reads the pose that was drawn."""
    from painsense.landmarks import detect
    from training.simulate.render import Camera, Person, Pose

    index = ("yaw_deg", "pitch_deg", "roll_deg").index(turn)
    rest = detect(renderer.draw(Person(), camera=Camera(focal_mm=45)))
    assert rest is not None
    for angle in (-18.0, 18.0):
        face = detect(renderer.draw(Person(), pose=Pose(**{turn: angle}), camera=Camera(focal_mm=45)))
        assert face is not None
        assert face.pose_deg[index] - rest.pose_deg[index] == pytest.approx(sign * angle, abs=4.5)


def test_landmarks_lie_where_the_head_was_drawn(renderer) -> None:
    from painsense.landmarks import detect
    from training.simulate.render import MULTI_PIE, Camera, Person, Pose, project

    camera, pose = Camera(focal_mm=45), Pose(yaw_deg=12.0, pitch_deg=-5.0, roll_deg=8.0, x_cm=3.0, y_cm=-1.0)
    face = detect(renderer.draw(Person(), pose=pose, camera=camera))
    assert face is not None
    drawn = project(renderer.head.neutral_cm[list(MULTI_PIE)], pose, camera, 320, 240)
    pairs = {33: 36, 133: 39, 362: 42, 263: 45, 61: 48, 291: 54, 1: 30}  # MediaPipe index -> Multi-PIE index
    seen = face.landmarks[list(pairs), :2] * (320, 240)
    distance = np.linalg.norm(seen - drawn[list(pairs.values())], axis=1)
    eyes = np.linalg.norm(drawn[36] - drawn[45])
    assert distance.mean() < 0.08 * eyes


# --- the bundled clip -----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def sample_truth(sample_clip: Path) -> list[dict[str, str]]:
    with sample_clip.with_suffix(".truth.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def column(rows: list[dict[str, str]], name: str) -> np.ndarray:
    return np.array([float(row[name]) if row[name] else np.nan for row in rows])


def test_truth_of_the_clip_has_a_row_for_every_frame_at_its_time(sample_clip: Path, sample_truth) -> None:
    with av.open(str(sample_clip)) as container:
        stream = container.streams.video[0]
        assert (stream.width, stream.height, stream.codec_context.name) == (640, 360, "h264")
        assert stream.pix_fmt == "yuv420p"
        assert container.streams.audio[0].codec_context.name == "aac"
        times = [frame.time for frame in container.decode(stream)]
    np.testing.assert_allclose(column(sample_truth, "time_s"), times, atol=1e-3)
    assert 20 <= times[-1] <= 30
    assert sample_clip.stat().st_size < 1_500_000


def test_truth_of_the_clip_is_in_bounds_and_adds_up(sample_truth) -> None:
    values = {name: column(sample_truth, name) for name in sample_truth[0] if name not in ("phase",)}
    for name in AU_NAMES:
        assert values[name].min() >= 0.0 and values[name].max() <= 5.0
    for name in ("AU4", "AU12", "AU43"):
        np.testing.assert_allclose(values[name], (values[f"{name}_L"] + values[f"{name}_R"]) / 2, atol=2e-3)
    without_43 = values["AU4"] + np.maximum(values["AU6"], values["AU7"]) + np.maximum(values["AU9"], values["AU10"])
    au43 = values["pspi"] - without_43
    assert set(np.round(au43, 1)) == {0.0, 1.0}
    assert (values["AU43"][au43 > 0.5] >= episodes.CLOSED_INTENSITY).all()
    assert not (values["blink"] * (au43 > 0.5)).any()
    assert set(values["voiced"]) == {0.0, 1.0}
    np.testing.assert_array_equal(np.isfinite(values["f0_hz"]), values["voiced"] == 1.0)


def test_the_clip_tells_its_story(sample_truth) -> None:
    phase = np.array([row["phase"] for row in sample_truth])
    get = {
        name: column(sample_truth, name)
        for name in ("pspi", "AU12", "AU26", "AU43", "yaw_deg", "in_frame", "blink", "voiced")
    }
    assert 9 <= get["pspi"][phase == "pain"].max() <= 11
    assert (get["AU43"][phase == "pain"] >= episodes.CLOSED_INTENSITY).sum() / 25 > 0.5
    assert get["voiced"][phase == "pain"].sum() / 25 > 1.0
    assert get["pspi"][phase == "rest"].max() < 0.1
    assert get["AU12"][phase == "smile"].max() > 3 and get["AU12"][phase == "pain"].max() == 0
    assert get["AU26"][phase == "speaking"].max() > 0.8 and get["voiced"][phase == "speaking"].mean() > 0.3
    assert np.abs(get["yaw_deg"][phase == "turned_away"]).max() > 60
    assert (get["in_frame"][phase == "leaving"] == 0).sum() / 25 > 1.0
    assert get["in_frame"][-25:].min() == 1.0
    assert get["blink"][phase == "rest"].sum() >= 2 * 5
    assert get["voiced"][phase == "rest"].sum() == 0


def test_sound_of_the_clip_is_loud_where_the_truth_is_voiced_and_never_digital_silence(
    sample_clip: Path, sample_truth
) -> None:
    with av.open(str(sample_clip)) as container:
        stream = container.streams.audio[0]
        y = np.concatenate([frame.to_ndarray()[0] for frame in container.decode(stream)])
        rate = stream.rate
    level_db = np.array(
        [
            10 * np.log10(np.mean(y[int(t * rate) : int((t + 0.04) * rate)] ** 2) + 1e-12)
            for t in column(sample_truth, "time_s")
        ]
    )
    voiced = column(sample_truth, "voiced") == 1.0
    assert np.median(level_db[voiced]) > np.median(level_db[~voiced]) + 20
    assert level_db.min() > -90
    # picture, sound and truth share one clock: the level follows the voicing best without any shift
    shifts = range(-6, 7)
    fits = [np.corrcoef(np.roll(voiced, k)[10:-10], level_db[10:-10])[0, 1] for k in shifts]
    assert abs(shifts[int(np.argmax(fits))]) <= 1


def test_the_clip_can_be_made_again(head: Head, renderer, sample_clip: Path, sample_truth) -> None:
    """The script and its seed give the committed truth and picture."""
    from training.simulate import make_sample
    from training.simulate.render import Renderer

    episode = make_sample.sample_episode(make_sample.sample_voice())
    made = episode.truth()
    for name in ("pspi", "AU26", "AU12_L", "blink"):
        np.testing.assert_allclose(made[name], column(sample_truth, name), atol=1e-3)
    np.testing.assert_allclose(episode.pose[:, 0], column(sample_truth, "yaw_deg"), atol=1e-2)
    assert list(episode.phase) == [row["phase"] for row in sample_truth]

    index = int(np.argmax(made["pspi"]))
    with av.open(str(sample_clip)) as container:
        kept = next(f for k, f in enumerate(container.decode(video=0)) if k == index).to_ndarray(format="rgb24")
    with Renderer(head, make_sample.WIDTH_PX, make_sample.HEIGHT_PX) as drawing:
        person = make_sample.sample_person()
        pose, moves = episode.pose_at(index), episode.intensities(index)
        gaze = (float(episode.gaze_deg[index, 0]), float(episode.gaze_deg[index, 1]))
        drawn = drawing.draw(person, moves, pose, make_sample.CAMERA, make_sample.LIGHT, gaze)
    difference = np.abs(make_sample.caption(drawn).astype(float) - kept)
    assert difference.mean() < 3.0  # what H.264 takes away
