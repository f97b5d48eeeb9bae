"""PSPI by its formula, intensities from known changes, closed eyes, and the shipped weights' own claims."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest

from painsense import action_units, assets, baseline, face
from painsense.action_units import NAMES, estimate_track, estimators, pspi
from painsense.baseline import Baseline
from painsense.tracks import Track

NAMES_RAW = [column.name for column in face.COLUMNS]
FPS = 25


def value(*numbers: float) -> np.ndarray:
    return np.array(numbers, np.float32)


@pytest.mark.parametrize(
    ("intensities", "expected"),
    [
        ((0, 0, 0, 0, 0, 0), 0),
        ((5, 5, 5, 5, 5, 1), 16),  # the top of the scale
        ((2, 1, 3, 0, 2, 1), 2 + 3 + 2 + 1),  # Prkachin & Solomon 2008: the larger of each pair
        ((2, 3, 1, 2, 0, 0), 2 + 3 + 2),
    ],
)
def test_pspi_formula(intensities: tuple[float, ...], expected: float) -> None:
    assert pspi(*(value(number) for number in intensities))[0] == expected


def test_pspi_needs_au4_and_one_of_each_pair() -> None:
    one, missing = value(1), value(np.nan)
    assert pspi(one, one, missing, one, missing, one)[0] == 4
    assert np.isnan(pspi(missing, one, one, one, one, one)[0])
    assert np.isnan(pspi(one, missing, missing, one, one, one)[0])


@pytest.fixture
def neutral() -> Baseline:
    at_rest = dict.fromkeys(baseline.MEASURES, 0.3)
    return Baseline(
        "rest_clip", "rest.mp4", "2026-01-01T00:00:00+00:00", 100, 4.0, at_rest, dict.fromkeys(at_rest, 0.01)
    )


def raw_track(neutral: Baseline, seconds: float = 2.0, **changes: float) -> Track:
    """A face at its neutral but for the named changes of measures (or capture values as they are)."""
    n = int(seconds * FPS)
    values = np.zeros((n, len(NAMES_RAW)), np.float32)
    for name in baseline.MEASURES:
        values[:, NAMES_RAW.index(name)] = neutral.value(name)
    for name, change in changes.items():
        values[:, NAMES_RAW.index(name)] += change
    return Track("face", face.COLUMNS, face.REASONS, np.arange(n) / FPS, values, np.zeros(n, np.uint32))


def test_at_the_neutral_nothing_is_active(neutral: Baseline) -> None:
    track = estimate_track(raw_track(neutral), neutral)
    for name in NAMES:
        assert track.column(name)[0] == 0, name
    assert track.column("pspi")[0] == 0
    assert track.column("pspi_low")[0] == 0
    assert 1 < track.column("pspi_high")[0] < 6, "the interval stays honest about the estimator's error"


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("AU12", {"mouthSmileLeft": 0.6, "mouthSmileRight": 0.6, "mouth_width": 0.06, "mouth_corner_to_eye_right":
        -0.07,
                  "mouth_corner_to_eye_left": -0.07}),
        ("AU26", {"jawOpen": 0.4, "lip_gap": 0.12, "chin_to_nose": 0.15}),
    ],
)  # fmt: skip
def test_the_unit_that_moved_rises(neutral: Baseline, name: str, changes: dict[str, float]) -> None:
    assert estimate_track(raw_track(neutral), neutral).column(name)[0] == 0
    assert estimate_track(raw_track(neutral, **changes), neutral).column(name)[0] > 0.5


def test_closed_eyes_count_after_half_a_second(neutral: Baseline) -> None:
    raw = raw_track(neutral, seconds=4.0)
    values = raw.values.copy()
    for side in ("right", "left"):
        column = NAMES_RAW.index(f"eye_opening_{side}")
        values[10:15, column] = 0.06  # a blink of 0.2 s
        values[40:70, column] = 0.06  # 1.2 s
    track = estimate_track(dataclasses.replace(raw, values=values), neutral)
    assert np.flatnonzero(track.column("AU43")).tolist() == list(range(40, 70))
    assert np.flatnonzero(track.has_reason("blink")).tolist() == list(range(10, 15))
    assert np.isnan(track.column("AU7")[10:15]).all(), "shut lids are no tight lids"
    assert np.isfinite(track.column("pspi")).all()
    assert track.column("eye_closure")[12] == pytest.approx(1.0)
    assert track.column("eye_closure")[0] == pytest.approx(0.0)


def test_unusable_frames_are_missing_but_keep_their_capture_values(neutral: Baseline) -> None:
    raw = raw_track(neutral, yaw_deg=55.0)
    bits = np.full(len(raw), face.BIT["turned_away"], np.uint32)
    track = estimate_track(dataclasses.replace(raw, reason_bits=bits), neutral)
    for name in (*NAMES, "pspi", "pspi_low", "pspi_high", "eye_closure"):
        assert np.isnan(track.column(name)).all(), name
    assert track.column("yaw_deg")[0] == 55


def test_the_interval_widens_with_turning_and_without_a_neutral(neutral: Baseline) -> None:
    def width(track: Track) -> float:
        return float(track.column("AU9_sd")[0])

    frontal = width(estimate_track(raw_track(neutral), neutral))
    turned = width(estimate_track(raw_track(neutral, yaw_deg=35.0), neutral))
    unknown = width(estimate_track(raw_track(neutral), None))
    assert turned == pytest.approx(frontal * 1.75, rel=0.01)
    assert unknown > frontal


def test_speech_widens_the_mouth_units_only(neutral: Baseline) -> None:
    raw = raw_track(neutral)
    silent, speaking = estimate_track(raw, neutral), estimate_track(raw, neutral, np.ones(len(raw), bool))
    assert speaking.has_reason("speaking").all()
    assert speaking.column("AU10_sd")[0] == pytest.approx(1.5 * silent.column("AU10_sd")[0])
    assert speaking.column("AU4_sd")[0] == silent.column("AU4_sd")[0]


def test_an_expressive_neutral_is_doubted(neutral: Baseline) -> None:
    typical = estimators().without_neutral
    at_rest = dict(zip(typical.inputs, (float(number) for number in typical.centre), strict=True))
    smiling = at_rest | {"mouthSmileLeft": 0.9, "mouthSmileRight": 0.9}
    smiling["mouth_corner_to_eye_right"] -= 0.08
    smiling["mouth_corner_to_eye_left"] -= 0.08
    assert any("smile" in text for text in action_units.baseline_warnings(dataclasses.replace(neutral, face=smiling)))


def test_the_shipped_weights_say_how_good_they_are() -> None:
    """The file carries the results on people it had not seen; a worse refit must not slip in."""
    content = json.loads(assets.weights()["action_units"].path.read_text())
    assert content["metrics"]["people_tested"] >= 50
    results = content["metrics"]["with_neutral"]
    assert results["PSPI"]["r"] >= 0.75
    assert results["AU9"]["r"] >= 0.7
    assert set(results) == {*NAMES, "PSPI"}


def test_the_readme_quotes_the_results_of_the_shipped_weights() -> None:
    pspi = json.loads(assets.weights()["action_units"].path.read_text())["metrics"]["with_neutral"]["PSPI"]
    readme = " ".join((Path(__file__).parent.parent / "README.md").read_text(encoding="utf-8").split())
    assert f"PSPI correlates {pspi['r']:.2f} with the truth, mean error {pspi['mae']:.1f} points" in readme
