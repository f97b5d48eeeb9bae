"""Real faces: at rest and talking they stay near 0, a smile is seen, and harmless changes to a file change little."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from painsense import Analyzer, Settings, action_units, face, media
from painsense.tracks import Track
from tests.clips import make_clip, read_number
from training import real_faces
from training.real_faces import VARIANTS, Pair, Subject

TALKERS = ("bbaf2n", "brbk7n", "lbax4n", "lwbsza", "sbwe5n", "swiz3n")

# --------------------------------------------------------------------------------------------------- known answers


def face_track(columns: dict[str, np.ndarray], time_s: np.ndarray, unusable: tuple[int, ...] = ()) -> Track:
    """A face track with the given courses; every other action unit is 0."""
    values = np.zeros((len(time_s), len(action_units.COLUMNS)), np.float32)
    names = [column.name for column in action_units.COLUMNS]
    for name, course in columns.items():
        values[:, names.index(name)] = course
    bits = np.zeros(len(time_s), np.uint32)
    bits[list(unusable)] = face.BIT["no_face"]
    return Track("face", action_units.COLUMNS, face.REASONS, time_s, values, bits)


def pictures(path: Path) -> list[tuple[float, np.ndarray]]:
    return list(media.read_frames(media.open_media(path)))


@pytest.fixture(scope="module")
def numbered(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_clip(tmp_path_factory.mktemp("clips") / "numbered.mp4", seconds=3.0, fps=25)


@pytest.mark.parametrize(("key", "numbers", "begins_s"), [("cut_start", (25, 75), 1.0), ("cut_end", (0, 50), 0.0)])
def test_a_cut_leaves_the_other_pictures_as_they_were(
    numbered: Path, tmp_path: Path, key: str, numbers: tuple[int, int], begins_s: float
) -> None:
    copy = tmp_path / "copy.mp4"
    assert real_faces.make(numbered, VARIANTS[key], copy) == pytest.approx(begins_s)
    before, after = pictures(numbered)[slice(*numbers)], pictures(copy)
    assert [read_number(image) for _, image in after] == list(range(*numbers))
    assert all(np.array_equal(a, b) for (_, a), (_, b) in zip(before, after, strict=True))
    assert [t + begins_s for t, _ in after] == pytest.approx([t for t, _ in before], abs=1e-3)


@pytest.mark.parametrize("key", [key for key in VARIANTS if not key.startswith("cut")])
def test_a_change_leaves_the_times_as_they_were(numbered: Path, tmp_path: Path, key: str) -> None:
    copy = tmp_path / "copy.mp4"
    real_faces.make(numbered, VARIANTS[key], copy)
    assert [t for t, _ in pictures(copy)] == pytest.approx([t for t, _ in pictures(numbered)], abs=1e-3)


def test_pictures_are_changed_as_said(numbered: Path, tmp_path: Path) -> None:
    image = pictures(numbered)[7][1]
    assert np.array_equal(real_faces.rotated(image, 90), np.rot90(image))  # anticlockwise, and all of it is kept
    assert real_faces.scaled(image, 0.5).shape == (60, 80, 3)
    assert real_faces.even(image[:-1, :-1]).shape == (118, 158, 3)
    copy = tmp_path / "dark.mp4"
    real_faces.make(numbered, VARIANTS["brightness_0.7"], copy)
    assert np.array_equal(pictures(copy)[7][1], np.rint(image * 0.7).astype(np.uint8))
    rough, poor = (
        np.abs(pictures(path)[7][1].astype(float) - image).mean()
        for crf in (28, 35)
        if real_faces.make(numbered, VARIANTS[f"h264_crf_{crf}"], path := tmp_path / f"{crf}.mp4") == 0
    )
    assert 0 < rough < poor < 20


def test_tracks_are_matched_by_time_and_jumps_are_counted() -> None:
    time_s = np.arange(100) / 25
    au4 = np.linspace(0, 3, 100)
    changed = au4[25:].copy()
    changed[[10, 20]] += 1.6  # at 1.4 and 1.8 s
    changed[30] += 1.4
    one = real_faces.pair(
        face_track({"AU4": au4, "pspi": au4}, time_s, unusable=(30,)),
        face_track({"AU4": changed, "pspi": changed}, time_s[:75], unusable=(20, 74)),
        begins_s=1.0,
    )
    assert one.names == (*action_units.NAMES, "pspi")
    assert len(one.usable) == 74 and one.usable.sum() == 72  # one frame of the original's, two of the copy's
    found = real_faces.agreement({"clip": one})
    assert found["jump_frames"] == found["units"]["AU4"]["jumps"] == 1 and found["jumps"] == {"clip": 1}
    assert found["units"]["AU4"]["largest"] == pytest.approx(1.6, abs=1e-4)
    assert found["units"]["AU4"]["mean"] == pytest.approx(3.0 / 72, abs=1e-4)
    assert found["usable_share"] == pytest.approx(72 / 74, abs=1e-4) and found["frames"] == 72


def test_tracks_that_do_not_belong_together_are_refused() -> None:
    time_s = np.arange(50) / 25
    with pytest.raises(real_faces.RealFacesError, match="one of the original's"):
        real_faces.pair(face_track({}, time_s), face_track({}, time_s), begins_s=0.5)
    with pytest.raises(real_faces.RealFacesError, match="one of the original's"):
        real_faces.pair(face_track({}, time_s), face_track({}, time_s[:40] * 1.03))


def test_agreement_in_movement_is_told_from_agreement_in_level() -> None:
    time_s = np.arange(200) / 25
    wave = 1 + np.sin(time_s)
    noise = np.random.default_rng(1).normal(1, 1, 200)
    pairs = {
        "clip": real_faces.pair(
            face_track({"AU4": wave, "AU6": wave, "AU9": wave / 10}, time_s),
            face_track({"AU4": wave + 1, "AU6": noise, "AU9": wave / 10}, time_s),
        )
    }
    units = real_faces.agreement(pairs)["units"]
    assert units["AU4"]["icc"] == pytest.approx(1) and units["AU4"]["mean"] == pytest.approx(1, abs=1e-4)
    assert abs(units["AU6"]["icc"]) < 0.2
    assert units["AU9"]["icc"] is None and units["AU9"]["icc_clips"] == 0  # it hardly moves


def test_course_tells_both_ends() -> None:
    time_s = np.arange(90) / 30
    smile = np.repeat([0.5, 2.0, 4.0], 30)
    found = real_faces.course(face_track({"AU12": smile, "pspi": smile * 2}, time_s, unusable=(0, 1, 2)))
    assert found["first_third"] == {"AU12": 0.5, "pspi": 1.0} and found["last_third"] == {"AU12": 4.0, "pspi": 8.0}
    assert found["pspi"]["p95"] == 8.0 and found["pspi"]["mean"] == pytest.approx((27 + 120 + 240) / 87, abs=1e-4)
    assert found["usable_share"] == pytest.approx(87 / 90, abs=1e-4)


def test_a_folder_without_recordings_is_an_error_that_says_so(tmp_path: Path) -> None:
    (tmp_path / "no_face.mp4").touch()
    with pytest.raises(real_faces.RealFacesError, match=r"single_face\.mp4.* none is there"):
        real_faces.measure(tmp_path)


# -------------------------------------------------------------------------------------------------- real recordings

#: share of frames with a jump, and 95th percentile of PSPI's difference, that a changed copy may have.
MAY_DIFFER = {
    "cut_start": (0.05, 0.5),
    "cut_end": (0.0, 0.1),
    "scaled_0.7": (0.02, 1.2),
    "scaled_0.5": (0.02, 1.2),
    "rotated_10_deg": (0.02, 1.5),
    "h264_crf_28": (0.05, 1.8),
    "brightness_0.7": (0.02, 0.8),
}


@pytest.fixture(scope="module")
def analyzer() -> Iterator[Analyzer]:
    with Analyzer(Settings(modalities=("face",))) as analyzer:
        yield analyzer


@pytest.fixture(scope="module")
def agreements(
    shared_data: Path, tmp_path_factory: pytest.TempPathFactory, analyzer: Analyzer
) -> dict[str, dict[str, Any]]:
    """How a smile and a talker agree with their changed copies, by the change."""
    pairs: dict[str, dict[str, Pair]] = {key: {} for key in MAY_DIFFER}
    for name in ("single_face.mp4", "bbaf2n.mpg"):
        folder = tmp_path_factory.mktemp("copies")
        with Subject(shared_data / "clips" / name, folder, analyzer) as subject:
            for key, of_clips in pairs.items():
                of_clips[name] = subject.retest(VARIANTS[key], ("rest",))["rest"]
    return {key: real_faces.agreement(of_clips) for key, of_clips in pairs.items()}


@pytest.mark.parametrize("name", TALKERS)
def test_talking_is_not_pain(shared_data: Path, analyzer: Analyzer, name: str) -> None:
    found = real_faces.course(analyzer.analyze(shared_data / "clips" / f"{name}.mpg").tracks["face"])
    assert found["usable_share"] > 0.95
    assert found["pspi"]["mean"] < 2.0


def test_a_face_at_rest_stays_flat(shared_data: Path, analyzer: Analyzer) -> None:
    found = real_faces.course(analyzer.analyze(shared_data / "clips" / "baseline.mp4").tracks["face"])
    assert found["usable_share"] > 0.95
    assert found["pspi"]["mean"] < 0.75 and found["pspi"]["sd"] < 0.5


def test_a_smile_is_seen(shared_data: Path, analyzer: Analyzer) -> None:
    found = real_faces.course(analyzer.analyze(shared_data / "clips" / "single_face.mp4").tracks["face"])
    assert found["last_third"]["AU12"] - found["first_third"]["AU12"] >= 1.5


@pytest.mark.parametrize("key", MAY_DIFFER)
def test_harmless_changes_change_little(agreements: dict[str, dict[str, Any]], key: str) -> None:
    found = agreements[key]
    share, pspi = MAY_DIFFER[key]
    assert found["frames"] >= 36  # half of the talker's size is too small to be scored, half of the other's is not
    assert found["jump_frames"] <= share * found["frames"], found["jumps"]
    assert found["units"]["pspi"]["p95"] <= pspi
    assert found["units"]["AU12"]["icc"] > 0.9


def test_results_are_json_and_become_tables(shared_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(real_faces, "VARIANTS", {"cut_end": VARIANTS["cut_end"]})
    (tmp_path / "single_face.mp4").symlink_to(shared_data / "clips" / "single_face.mp4")
    done: list[str] = []
    result = real_faces.measure(tmp_path, step=done.append)
    assert len(done) == real_faces.steps(tmp_path) == 2
    assert json.loads(json.dumps(result, allow_nan=False)) == result
    clip, copy = result["clips"]["single_face.mp4"], result["retest"]["rest"]["cut_end"]
    assert clip["frames"] == 72 and copy["frames"] == 21  # every second one of the first 1.42 s
    assert clip["none"]["last_third"]["AU12"] - clip["none"]["first_third"]["AU12"] >= 1.5
    lines = real_faces.table(result).splitlines()
    assert any(
        line.startswith("| single_face.mp4") and f"| {clip['auto']['pspi']['mean']:.2f} |" in line for line in lines
    )
    assert any(line.startswith("| last second cut off | 100% | 21 |") for line in lines)
    assert [line.split(" ")[1] for line in lines if line.startswith("| AU")] == list(action_units.NAMES)
