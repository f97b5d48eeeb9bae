"""Bad input through the real command line: a clear message or an honest refusal, never a traceback or half a file."""

from __future__ import annotations

import csv
import itertools
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import av
import clips
import cv2
import jsonschema
import numpy as np
import pytest

from painsense.cli import main
from painsense.report import schema

Score = Callable[..., tuple[int, str, str]]


@pytest.fixture
def score(capsys: pytest.CaptureFixture[str]) -> Score:
    """Run ``painsense score`` and return exit code, what it said, and what it complained about."""

    def run(*arguments: object) -> tuple[int, str, str]:
        code = main(["score", *map(str, arguments)])
        said, complained = capsys.readouterr()
        assert "Traceback" not in said + complained
        assert "internal error" not in said + complained
        return code, said, complained

    return run


@pytest.fixture(scope="module")
def faces(sample_clip: Path) -> list[np.ndarray]:
    """Two seconds of the bundled face at rest, 640x360."""
    with av.open(str(sample_clip)) as container:
        return [frame.to_ndarray(format="rgb24") for frame in itertools.islice(container.decode(video=0), 50)]


def show(frames: list[np.ndarray]) -> clips.Picture:
    """The frames, scaled to whatever size is asked for."""

    def picture(number: int, width: int, height: int) -> np.ndarray:
        return cv2.resize(frames[number % len(frames)], (width, height), interpolation=cv2.INTER_AREA)

    return picture


def result(folder: Path, stem: str) -> dict[str, Any]:
    """The JSON result, checked against the schema, and the other files beside it."""
    content: dict[str, Any] = json.loads((folder / f"{stem}.painsense.json").read_text())
    jsonschema.validate(content, schema())
    for name in (f"{stem}.frames.csv", f"{stem}.windows.csv", f"{stem}.dictionary.csv", f"{stem}.html"):
        assert (folder / name).stat().st_size > 0
    return content


# ---- files that cannot be read


def nothing_written(folder: Path, *inputs: str) -> bool:
    return sorted(path.name for path in folder.iterdir()) == sorted(inputs)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda path: path.touch(), "empty"),
        (clips.text_file, "mp4"),
        (lambda path: clips.truncated(clips.make_clip(path.with_name("whole.mp4"), seconds=1), path, 0.4), "moov"),
        (lambda path: path.mkdir(), "director|folder"),
        (lambda path: None, "does not exist|no such file"),
    ],
    ids=["empty", "text", "truncated", "directory", "missing"],
)
def test_unreadable_files(score: Score, tmp_path: Path, make: Callable[[Path], object], words: str) -> None:
    import re

    path = tmp_path / "in" / "clip.mp4"
    path.parent.mkdir()
    make(path)
    code, _, complained = score(path, "--out", tmp_path / "out")
    assert code == 3
    assert "clip.mp4" in complained
    assert re.search(words, complained, re.IGNORECASE), complained
    assert not (tmp_path / "out").exists() or nothing_written(tmp_path / "out")


def test_sound_of_no_length(score: Score, tmp_path: Path) -> None:
    code, _, complained = score(clips.empty_wav(tmp_path / "clip.wav"))
    assert code == 3
    assert "clip.wav" in complained
    assert nothing_written(tmp_path, "clip.wav")


def test_a_bad_file_among_good_ones(score: Score, tmp_path: Path, faces: list[np.ndarray]) -> None:
    good = clips.make_clip(tmp_path / "good.mp4", seconds=2, fps=25, size=(640, 360), picture=show(faces))
    (tmp_path / "bad.mp4").touch()
    code, said, complained = score(tmp_path / "bad.mp4", good)
    assert code == 3
    assert "good.mp4" in said
    assert "bad.mp4" in complained
    assert result(tmp_path, "good")["clip"]["verdict"] == "scored"


# ---- files that hold too little, or something odd


def test_one_frame(score: Score, tmp_path: Path, faces: list[np.ndarray]) -> None:
    clip = clips.make_clip(tmp_path / "one.mp4", times_s=[0.0], size=(640, 360), picture=show(faces))
    assert score(clip)[0] == 0
    content = result(tmp_path, "one")
    assert content["clip"]["verdict"] == "not_enough_evidence"
    assert content["clip"]["reasons"] == ["too_short"]
    assert content["clip"]["pspi"] is None


def test_eight_by_eight_pixels(score: Score, tmp_path: Path) -> None:
    clip = clips.make_clip(tmp_path / "tiny.mp4", size=(8, 8), codec="mpeg4")
    assert score(clip)[0] == 0
    assert result(tmp_path, "tiny")["clip"]["reasons"] == ["no_face"]


def test_4k(score: Score, tmp_path: Path, faces: list[np.ndarray]) -> None:
    options = {"preset": "ultrafast"}
    clip = clips.make_clip(
        tmp_path / "large.mp4", seconds=1.2, fps=10, size=(3840, 2160), picture=show(faces), codec_options=options
    )
    assert score(clip)[0] == 0
    content = result(tmp_path, "large")
    assert (content["media"]["width"], content["media"]["height"]) == (3840, 2160)
    assert content["quality"]["face_usable_share"] == 1.0


@pytest.mark.parametrize("rotation", [90, 180, 270])
def test_portrait_with_a_rotation_flag(score: Score, tmp_path: Path, faces: list[np.ndarray], rotation: int) -> None:
    portrait = [np.ascontiguousarray(frame[:, 140:500]) for frame in faces]  # 360x360
    clip = clips.make_clip(
        tmp_path / "phone.mp4", seconds=2, fps=25, size=(480, 640), picture=show(portrait), rotation_deg=rotation
    )
    assert score(clip)[0] == 0
    content = result(tmp_path, "phone")
    assert content["media"]["rotation_deg"] == rotation
    assert content["quality"]["face_usable_share"] == 1.0
    with open(tmp_path / "phone.frames.csv", encoding="utf-8") as file:
        roll = [float(row["roll_deg"]) for row in csv.DictReader(file)]
    assert np.abs(roll).max() < 12, "upright"


def test_two_people_of_one_size(score: Score, tmp_path: Path, faces: list[np.ndarray]) -> None:
    pair = [np.hstack([frame[:, 140:500], frame[:, 140:500][:, ::-1]]) for frame in faces]  # 720x360
    clip = clips.make_clip(tmp_path / "pair.mp4", seconds=2, fps=25, size=(720, 360), picture=show(pair))
    assert score(clip)[0] == 0
    content = result(tmp_path, "pair")
    assert content["clip"]["verdict"] == "not_enough_evidence"
    assert content["clip"]["reasons"][0] == "several_faces"
    assert score(clip, "--person", 2)[0] == 0
    content = result(tmp_path, "pair")
    assert content["clip"]["verdict"] == "scored"
    assert any("another face" in warning for warning in content["quality"]["warnings"])


def test_whom_it_follows_does_not_depend_on_segments(score: Score, tmp_path: Path, faces: list[np.ndarray]) -> None:
    """A larger person joins after the first: the first stays the one who is followed, in each segment."""
    small = [cv2.resize(frame[:, 140:500], (240, 240), interpolation=cv2.INTER_AREA) for frame in faces]

    def scene(number: int, width: int, height: int) -> np.ndarray:
        canvas = np.full((height, width, 3), 120, np.uint8)
        canvas[60:300, 20:260] = small[number % len(small)]
        if number >= 50:  # from 2 s on
            canvas[:, 300:660] = faces[number % len(faces)][:, 140:500]
        return canvas

    clip = clips.make_clip(tmp_path / "joins.mp4", seconds=8, fps=25, size=(680, 360), picture=scene)
    assert score(clip, "--workers", 2)[0] == 0
    with open(tmp_path / "joins.frames.csv", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    face_px = np.array([float(row["face_px"]) for row in rows])
    assert face_px.max() / face_px.min() < 1.15, "the small one all through"
    assert not any("target_jump" in row["face_reasons"] for row in rows)
    assert all("several_faces" in row["face_reasons"] for row in rows[70:]), "but nobody can be sure"


def test_a_chosen_person_stays_chosen_when_another_leaves(
    score: Score, tmp_path: Path, faces: list[np.ndarray]
) -> None:
    """Later segments hold one face only: it is still the second from the left of the beginning."""

    def scene(number: int, width: int, height: int) -> np.ndarray:
        canvas = np.full((height, width, 3), 120, np.uint8)
        if number < 50:  # until 2 s
            canvas[:, :360] = faces[number % len(faces)][:, 140:500]
        canvas[:, 360:] = faces[number % len(faces)][:, 140:500]
        return canvas

    clip = clips.make_clip(tmp_path / "leaves.mp4", seconds=8, fps=25, size=(720, 360), picture=scene)
    assert score(clip, "--person", 2)[0] == 0
    assert result(tmp_path, "leaves")["quality"]["face_usable_share"] > 0.98


def test_a_face_that_leaves_and_comes_back_elsewhere(score: Score, tmp_path: Path, faces: list[np.ndarray]) -> None:
    def scene(number: int, width: int, height: int) -> np.ndarray:
        canvas = np.full((height, width, 3), 120, np.uint8)
        if number < 60:
            canvas[:, :360] = faces[number % len(faces)][:, 140:500]
        elif number >= 90:
            canvas[:, width - 360 :] = faces[number % len(faces)][:, 140:500]
        return canvas

    clip = clips.make_clip(tmp_path / "back.mp4", seconds=6, fps=25, size=(1000, 360), picture=scene)
    assert score(clip)[0] == 0
    content = result(tmp_path, "back")
    assert content["clip"]["verdict"] == "scored"
    assert content["quality"]["reasons_s"]["no_face"] == pytest.approx(1.2, abs=0.1)
    assert any("same person" in warning for warning in content["quality"]["warnings"])


@pytest.mark.parametrize("kind", ["silent", "noise", "none"])
def test_silent_and_noisy_tracks(score: Score, tmp_path: Path, faces: list[np.ndarray], kind: str) -> None:
    n = 3 * clips.AUDIO_RATE_HZ
    noise = (0.1 * np.random.default_rng(0).standard_normal((1, n))).astype(np.float32)
    sound = {"silent": np.zeros((1, n), np.float32), "noise": noise, "none": None}[kind]
    clip = clips.make_clip(tmp_path / "clip.mp4", seconds=3, fps=25, size=(640, 360), picture=show(faces), sound=sound)
    assert score(clip)[0] == 0
    content = result(tmp_path, "clip")
    assert content["clip"]["verdict"] == "scored"
    assert content["media"]["has_audio"] == (sound is not None)
    assert content["quality"]["voiced_s"] == (None if sound is None else 0)
    with open(tmp_path / "clip.frames.csv", encoding="utf-8") as file:
        assert not any(row.get("f0_hz") for row in csv.DictReader(file)), "no pitch where nobody spoke"


def test_sound_alone_is_not_enough_yet(score: Score, tmp_path: Path) -> None:
    clip = clips.make_sound(tmp_path / "voice.wav", clips.tone(3), "pcm_s16le")
    assert score(clip)[0] == 0
    content = result(tmp_path, "voice")
    assert content["clip"]["reasons"] == ["no_video"]
    assert content["media"]["audio_only"]


@pytest.mark.parametrize("suffix", [".jpg", ".png"])
def test_a_single_picture(score: Score, tmp_path: Path, faces: list[np.ndarray], suffix: str) -> None:
    path = tmp_path / f"portrait{suffix}"
    cv2.imwrite(str(path), faces[0][:, :, ::-1])
    assert score(path)[0] == 0
    content = result(tmp_path, "portrait")
    assert content["clip"]["verdict"] == "scored"
    assert content["windows"] == []
    assert content["baseline"]["kind"] == "none"
    assert any("single picture" in warning for warning in content["quality"]["warnings"])


def test_spaces_and_accents(score: Score, tmp_path: Path, faces: list[np.ndarray]) -> None:
    folder = tmp_path / "Salle d'été 3"
    folder.mkdir()
    clip = clips.make_clip(folder / "Müller é 1.mp4", seconds=2, fps=25, size=(640, 360), picture=show(faces))
    assert score(clip)[0] == 0
    assert result(folder, "Müller é 1")["media"]["file"] == "Müller é 1.mp4"


# ---- places that cannot be written


@pytest.fixture
def full_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 64 kB. Only root can make one; CI runs as root."""
    folder = tmp_path / "full"
    folder.mkdir()
    mounted = shutil.which("mount") and os.geteuid() == 0
    if (
        not mounted
        or subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", folder], check=False).returncode
    ):
        if os.environ.get("CI") == "true":
            pytest.fail("needs to mount a small disk")
        pytest.skip("only root can mount a small disk")
    yield folder
    subprocess.run(["umount", folder], check=True)


def test_a_full_disk(score: Score, tmp_path: Path, full_disk: Path, faces: list[np.ndarray]) -> None:
    clip = clips.make_clip(tmp_path / "clip.mp4", seconds=2, fps=25, size=(640, 360), picture=show(faces))
    code, _, complained = score(clip, "--out", full_disk)
    assert code == 3
    assert "the disk is full" in complained
    assert list(full_disk.iterdir()) == []


def test_a_folder_that_cannot_be_written(tmp_path: Path, faces: list[np.ndarray]) -> None:
    """As another user, because root may write everywhere."""
    clip = clips.make_clip(tmp_path / "clip.mp4", seconds=1, fps=25, size=(640, 360), picture=show(faces))
    target = tmp_path / "out"
    target.mkdir()
    if os.geteuid() == 0:
        run = subprocess.run(["mount", "-t", "tmpfs", "-o", "ro", "tmpfs", target], check=False)
        if run.returncode:
            pytest.skip("cannot mount a read-only folder here")
    else:
        target.chmod(0o500)
    try:
        done = subprocess.run(
            [sys.executable, "-m", "painsense", "score", clip, "--out", target],
            capture_output=True,
            text=True,
            check=False,
        )
    finally:
        if os.geteuid() == 0:
            subprocess.run(["umount", target], check=True)
    assert done.returncode in (2, 3)
    assert "Traceback" not in done.stderr
    assert "--out" in done.stderr
    assert list(target.iterdir()) == []
