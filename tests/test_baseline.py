"""A person's neutral: found without labels, saved, reloaded, refused when unfit."""

from __future__ import annotations

import dataclasses
import datetime as dt
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from painsense import baseline, face
from painsense.baseline import Baseline
from painsense.errors import BaselineError
from painsense.tracks import Track

COLUMNS = face.shipped_shape().columns
NAMES = [column.name for column in COLUMNS]
SHAPE = face.shipped_shape().names[0]


def raw_track(seconds: float, expressive: slice | None = None, fps: int = 25) -> Track:
    """A face at rest with measurement noise; in ``expressive`` brows and lids come closer and a blendshape rises."""
    n = int(seconds * fps)
    rng = np.random.default_rng(3)
    values = np.zeros((n, len(NAMES)), np.float32)
    values[:, NAMES.index("face_px")] = 100
    values[:, NAMES.index(SHAPE)] = 3 + 2 * np.sin(np.arange(n))  # noise far larger than any expression
    for name in baseline.MEASURES:
        values[:, NAMES.index(name)] = 0.4 + 0.004 * rng.standard_normal(n)
    if expressive is not None:
        values[expressive, NAMES.index("brow_gap")] -= 0.1
        values[expressive, NAMES.index("eye_opening_left")] -= 0.1
        values[expressive, NAMES.index("browDownLeft")] += 0.4
    return Track("face", COLUMNS, face.REASONS, np.arange(n) / fps, values, np.zeros(n, np.uint32))


def test_rest_clip_gives_the_median() -> None:
    neutral = baseline.from_rest(raw_track(8), "rest.mp4")
    assert neutral.kind == "rest_clip"
    assert neutral.value("brow_gap") == pytest.approx(0.4, abs=0.002)
    assert neutral.face_spread["brow_gap"] == pytest.approx(0.004 * 0.6745, rel=0.3)
    assert neutral.seconds == pytest.approx(8, abs=0.1)
    assert neutral.value(SHAPE) == pytest.approx(3, abs=0.1)
    assert neutral.values(("face_px", "yaw_deg")).tolist() == [100, 0]
    assert set(neutral.face) == set(baseline.features()) >= {*baseline.MEASURES, *face.shipped_shape().names}


@pytest.mark.parametrize("share", [0.2, 0.5, 0.6])
def test_automatic_neutral_is_the_rest_even_when_expression_fills_much_of_the_clip(share: float) -> None:
    n = 20 * 25
    neutral = baseline.from_clip(raw_track(20, slice(0, int(share * n))), "clip.mp4")
    assert neutral is not None
    assert neutral.kind == "auto"
    assert neutral.value("brow_gap") == pytest.approx(0.4, abs=0.005)
    assert neutral.value("eye_opening_left") == pytest.approx(0.4, abs=0.005)
    assert neutral.value("browDownLeft") == pytest.approx(0.4, abs=0.005)


def test_too_little_face_makes_no_neutral() -> None:
    assert baseline.from_clip(raw_track(0.5), "clip.mp4") is None
    with pytest.raises(BaselineError, match=r"at least 1 s of usable face, got 0\.5 s \(rest\.mp4\); record 5 to 10 s"):
        baseline.from_rest(raw_track(0.5), "rest.mp4")


def test_saved_and_loaded(tmp_path: Path) -> None:
    neutral = baseline.from_rest(raw_track(8), "rest.mp4", {"f0_hz": 118.0}, "ab" * 32)
    neutral.save(tmp_path / "person.json")
    loaded = Baseline.load(tmp_path / "person.json")
    assert loaded == dataclasses.replace(neutral, kind="saved")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "does not exist"),
        ("not json", "not a readable JSON file"),
        ('{"schema": "something else"}', "not a painsense baseline"),
        ('{"schema": "painsense.baseline/1"}', r"another version of painsense \(painsense\.baseline/1\)"),
        ('{"schema": "painsense.baseline/2"}', "another basis of face shapes"),
    ],
)
def test_other_files_are_refused_with_a_remedy(tmp_path: Path, content: str | None, message: str) -> None:
    path = tmp_path / "b.json"
    if content is not None:
        path.write_text(content)
    with pytest.raises(BaselineError, match=message) as error:
        Baseline.load(path)
    assert "painsense baseline REST_CLIP" in str(error.value)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda content: content["face"].pop("brow_gap"), "does not hold the measures .*brow_gap"),
        (lambda content: content["face"].pop(SHAPE), f"does not hold the measures .*{SHAPE}"),
        (lambda content: content.update(mood="good"), "does not hold the measures .*mood"),
        (lambda content: content["face"].update(yaw_deg=float("inf")), "not finite"),
        (lambda content: content["voice"].update(f0_hz=float("nan")), "not finite"),
        (lambda content: content.update(voice=[118.0]), "does not hold the measures"),
        (lambda content: content.update(face_shape_sha256="ab" * 32), r"another basis of face shapes \(abababababab"),
    ],
)
def test_a_file_that_would_mean_another_face_is_refused(
    tmp_path: Path, change: Callable[[dict[str, Any]], object], message: str
) -> None:
    path = tmp_path / "b.json"
    baseline.from_rest(raw_track(8), "rest.mp4").save(path)
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))
    with pytest.raises(BaselineError, match=message) as error:
        Baseline.load(path)
    assert "painsense baseline REST_CLIP" in str(error.value)


def test_an_old_or_expressive_neutral_is_warned_about() -> None:
    fresh = baseline.from_rest(raw_track(8), "rest.mp4")
    assert baseline.warnings(dataclasses.replace(fresh, kind="saved"), pspi=0.5, smile=0.1) == []
    old = dataclasses.replace(
        fresh, kind="saved", created=(baseline.now() - dt.timedelta(days=90)).isoformat(timespec="seconds")
    )
    assert "90 days old" in baseline.warnings(old, 0.5, 0.1)[0]
    assert "smile" in baseline.warnings(fresh, 0.5, 3.0)[0]
    assert "PSPI about 6.0" in baseline.warnings(fresh, 6.0, 0.1)[0]
