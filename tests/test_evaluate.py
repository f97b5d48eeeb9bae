"""Figures made from predictions whose errors are known, and the documents made from the figures."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from export import model_card
from painsense.assets import Entry
from painsense.landmarks import BLENDSHAPES
from painsense.spec import ModelSpec
from training.document import document, number
from training.evaluate import Z_90, by_group, by_unit, calibration, evaluate, pspi_figures, targets_met, windows, write
from training.predictions import About, Case, Lever, Predictions
from training.simulate.head import AU_NAMES
from training.yardsticks import MATCHING, Inputs, Yardstick, pspi_of, ridge, yardsticks

WEAR = ("glasses", "oxygen_tube")
N = 2400
FEATURES = ("shape_even_00", *BLENDSHAPES, "yaw_deg")
SHA256 = "5" * 64


def predictions(n: int = N, people: int = 40, seed: int = 0, **changes: Any) -> Predictions:
    """Faces whose error has a standard deviation of 0.5 in every unit, which is the spread that is claimed.

    True and read intensities stay within 1 and 4, so that the scale's ends cut nothing off.
    """
    rng = np.random.default_rng(seed)
    truth = rng.uniform(1, 4, (n, len(AU_NAMES)))
    estimate = truth + rng.normal(0, 0.5, truth.shape)
    pspi_truth = rng.uniform(0, 16, n)
    pspi = pspi_truth + rng.normal(0, 1, n)
    made = Predictions(
        targets=AU_NAMES,
        truth=truth,
        estimate=estimate,
        spread=np.full_like(truth, 0.5),
        pspi_truth=pspi_truth,
        pspi=pspi,
        pspi_low=pspi - Z_90,
        pspi_high=pspi + Z_90,
        person=np.arange(n) % people,
        yaw_deg=rng.uniform(-20, 20, n),
        pitch_deg=rng.uniform(-20, 20, n),
        skin_tone=1 + 9 * (np.arange(n) % people) / people,
        wear_names=WEAR,
        wear=rng.random((n, 2)) < 0.3,
        face_px=rng.uniform(55, 120, n),
        kind=rng.choice(["pain", "disgust", "pain + speaking", "fear + anger"], n),
        sequence=np.full(n, -1),
        time_s=np.zeros(n),
    )
    return dataclasses.replace(made, **changes)


def group(table: list[dict[str, Any]], name: str) -> dict[str, Any]:
    (row,) = (row for row in table if row["group"] == name)
    return row


# ------------------------------------------------------------------------------------------------------ figures


def test_a_unit_with_a_known_error() -> None:
    nothing_seen = Yardstick(np.full((N, len(AU_NAMES)), 2.5), np.full(N, 8.0))
    unit = by_unit(predictions(), {"constant": nothing_seen})["AU9"]
    assert unit["n"] == N
    assert unit["rmse"] == pytest.approx(0.5, abs=0.03)
    assert unit["mae"] == pytest.approx(0.5 * np.sqrt(2 / np.pi), abs=0.03)
    spread_of_truth = 3 / np.sqrt(12)
    assert unit["r"] == pytest.approx(spread_of_truth / np.hypot(spread_of_truth, 0.5), abs=0.01)
    assert unit["coverage_90"] == pytest.approx(0.9, abs=0.02)
    assert unit["spread"] == 0.5
    assert unit["active_share"] == 1.0
    assert unit["yardsticks"]["constant"]["mae"] == pytest.approx(0.75, abs=0.03)  # uniform over 3: mean distance 3/4
    assert np.isnan(unit["yardsticks"]["constant"]["r"])


def test_calibration_sees_a_spread_that_claims_too_little() -> None:
    honest, bold = predictions(), predictions(spread=np.full((N, len(AU_NAMES)), 0.25))
    for row in calibration(honest)["intervals"]:
        assert row["covered"] == pytest.approx(row["nominal"], abs=0.01)
    ninety = next(row for row in calibration(bold)["intervals"] if row["nominal"] == 0.9)
    assert ninety["covered"] == pytest.approx(0.589, abs=0.01)  # 1.645 / 2 standard deviations
    two = predictions(spread=np.where(np.arange(N)[:, None] % 5 == 0, 5.0, 0.5) * np.ones((1, len(AU_NAMES))))
    bins = calibration(two)["bins"]  # one fifth of the spreads is ten times too large
    assert [row["spread"] for row in bins] == pytest.approx([0.5, 0.5, 0.5, 0.5, 5.0])
    assert [row["rmse"] for row in bins] == pytest.approx([0.5] * 5, abs=0.02)


def test_pspi_by_how_strong_it_is() -> None:
    base = predictions()
    strong = base.pspi_truth > 8
    figures = pspi_figures(dataclasses.replace(base, pspi=base.pspi_truth - 2.0 * strong), {})
    of = {(level["above"], level["up_to"]): level for level in figures["levels"]}
    assert of[8, 16]["bias"] == pytest.approx(-2) and of[8, 16]["mae"] == pytest.approx(2)
    assert of[4, 8]["mae"] == pytest.approx(0)
    assert of[0, 0]["n"] == 0 and of[0, 0]["mae"] is None
    assert figures["level_mae"] == pytest.approx(0.5)  # of four levels with faces in them
    assert figures["bias"] == pytest.approx(-2 * strong.mean())
    assert figures["roc_auc"] == 1.0
    assert figures["width_90"] == pytest.approx(2 * Z_90)


def test_a_face_without_an_estimate_is_counted_not_scored() -> None:
    base = predictions()
    pspi = np.where(np.arange(N) < 100, np.nan, base.pspi)
    figures = pspi_figures(dataclasses.replace(base, pspi=pspi), {})
    assert (figures["n"], figures["unscored"]) == (N, 100)
    assert np.isfinite(figures["mae"])
    estimate = base.estimate.copy()
    estimate[:100, AU_NAMES.index("AU7")] = np.nan
    units = by_unit(dataclasses.replace(base, estimate=estimate), {})
    assert units["AU7"]["n"] == N - 100 and units["AU9"]["n"] == N


def test_one_skin_tone_that_is_read_worse_stands_out() -> None:
    base = predictions()
    dark = base.skin_tone >= 8.5
    rows = by_group(dataclasses.replace(base, pspi=base.pspi_truth + np.where(dark, 2.0, 1.0)))["skin_tone"]
    assert [row["group"] for row in rows] == ["Monk 1-3", "Monk 4-6", "Monk 7-8", "Monk 9-10"]
    overall = 1 + dark.mean()
    worst = group(rows, "Monk 9-10")
    assert worst["mae_ratio"] == pytest.approx(2 / overall)
    low, high = worst["mae_ratio_interval"]
    assert low < worst["mae_ratio"] < high < 2
    assert group(rows, "Monk 1-3")["mae_ratio"] == pytest.approx(1 / overall)
    assert sum(row["n"] for row in rows) == N and worst["n"] == dark.sum()
    assert worst["people"] == len(np.unique(base.person[dark]))


def test_groups_by_pose_wear_size_and_expression() -> None:
    base = predictions()
    turned = base.turned_deg
    groups = by_group(base)
    assert group(groups["pose"], "0-10°")["n"] == (turned <= 10).sum()
    assert [row["group"] for row in groups["pose"]] == ["0-10°", "10-25°"]  # nobody is turned further
    assert group(groups["wear"], "glasses")["n"] == base.wear[:, 0].sum()
    assert group(groups["wear"], "oxygen tube")["n"] == base.wear[:, 1].sum()
    assert group(groups["wear"], "nothing")["n"] == (~base.wear.any(axis=1)).sum()
    assert group(groups["face_px"], "below 60 px")["n"] == (base.face_px < 60).sum()
    assert sum(row["n"] for row in groups["face_px"]) == N
    assert {row["group"] for row in groups["expression"]} == {
        "pain", "disgust", "pain with another", "two others at once"
    }  # fmt: skip


def test_only_the_table_of_poses_has_heads_turned_far() -> None:
    far = predictions(yaw_deg=np.full(N, 30.0))
    groups = by_group(far)
    assert group(groups["pose"], "25-45°")["n"] == N
    assert groups["skin_tone"] == []


def test_a_small_cell_says_only_how_many() -> None:
    wear = np.zeros((N, 2), bool)
    wear[:29, 0] = wear[:30, 1] = True
    rows = by_group(predictions(wear=wear))["wear"]
    small, large = group(rows, "glasses"), group(rows, "oxygen tube")
    assert small["n"] == 29
    assert {small[name] for name in ("mae", "bias", "r", "coverage_90", "mae_ratio")} == {None}
    assert large["n"] == 30 and large["mae"] > 0


def test_windows_are_means_over_one_second_of_one_sequence() -> None:
    """Two sequences of 2.4 s at 10 frames a second: two windows each; 0.4 s are too little for a third."""
    n = 48
    time_s, sequence = np.tile(np.arange(24) / 10, 2), np.repeat([4, 9], 24)
    truth = np.where(sequence == 4, 2.0, 6.0) + (time_s >= 1)
    base = predictions(
        n, people=2, sequence=sequence, time_s=time_s, pspi_truth=truth, pspi=truth + np.where(np.arange(n) % 2, 1, -1),
        person=np.repeat([0, 1], 24),
    )  # fmt: skip
    made = windows(base)
    assert made.sequence.tolist() == [4, 4, 9, 9]
    assert made.person.tolist() == [0, 0, 1, 1]
    np.testing.assert_allclose(made.pspi_truth, [2, 3, 6, 7])
    np.testing.assert_allclose(made.pspi, [2, 3, 6, 7])  # errors of frames that take turns are gone
    np.testing.assert_allclose(made.estimate[1], base.estimate[10:20].mean(axis=0))
    estimate = base.estimate.copy()
    estimate[12, 5] = np.nan  # AU7 in a blink
    blinked = windows(dataclasses.replace(base, estimate=estimate))
    assert blinked.estimate[1, 5] == pytest.approx(np.delete(base.estimate[10:20, 5], 2).mean())
    lost = np.where((sequence == 4) & (time_s < 0.65), np.nan, base.pspi)
    left = windows(dataclasses.replace(base, pspi=lost))
    assert left.sequence.tolist() == [4, 9, 9] and left.pspi_truth.tolist() == [3, 6, 7]
    assert len(windows(dataclasses.replace(base, pspi=np.full(n, np.nan)))) == 0
    pictures = dataclasses.replace(base, sequence=np.where(sequence == 4, -1, sequence))
    assert windows(pictures).sequence.tolist() == [9, 9]
    assert len(windows(predictions())) == 0


def test_what_does_not_belong_together_is_refused() -> None:
    with pytest.raises(ValueError, match=r"spread: shape \(2400, 19\) was expected, \(2400, 18\) came"):
        predictions(spread=np.ones((N, 18)))
    with pytest.raises(ValueError, match="every face must have one"):
        predictions(pspi_truth=np.full(N, np.nan))
    with pytest.raises(ValueError, match="with_neutral and without_neutral were expected, with_neutral came"):
        evaluate({"with_neutral": Case(predictions(), {})}, about())


# ------------------------------------------------------------------------------------------------------ yardsticks


def faces(n: int, people: int, seed: int) -> tuple[Inputs, np.ndarray, np.ndarray]:
    """AU4 is in browDown (with a person's own offset), AU9 in mouthSmile and nowhere else, AU12 in nothing."""
    rng = np.random.default_rng(seed)
    truth, person = rng.uniform(0, 5, (n, len(AU_NAMES))), np.arange(n) % people
    own = rng.normal(0, 0.5, people)[person]
    neutral, face = np.zeros((n, len(FEATURES))), rng.normal(0, 0.01, (n, len(FEATURES)))
    for side in ("Left", "Right"):
        face[:, FEATURES.index(f"browDown{side}")] += truth[:, AU_NAMES.index("AU4")] / 5 + own
        neutral[:, FEATURES.index(f"browDown{side}")] = own
        face[:, FEATURES.index(f"mouthSmile{side}")] += 1 - truth[:, AU_NAMES.index("AU9")] / 5
    return Inputs(face, neutral), truth, person


def test_yardsticks_see_what_they_can_and_no_more() -> None:
    (train, truth, person), (test, wanted, _) = faces(3000, 100, 1), faces(1000, 50, 2)
    made = yardsticks(train, truth, person, test, FEATURES, AU_NAMES, closed_from=4.0)
    assert set(made) == {"constant", "matching blendshape", "best blendshape", "ridge"}

    def error(name: str, unit: str) -> float:
        k = AU_NAMES.index(unit)
        return float(np.abs(made[name].estimate[:, k] - wanted[:, k]).mean())

    assert error("constant", "AU4") == pytest.approx(1.25, abs=0.05)  # uniform over 5: mean distance 5/4
    assert error("matching blendshape", "AU4") < 0.1
    assert error("matching blendshape", "AU9") > 1.1  # noseSneer does not move
    assert error("best blendshape", "AU9") < 0.1  # mouthSmile does, the other way round
    assert error("ridge", "AU4") < 0.1 and error("ridge", "AU9") < 0.1
    assert error("ridge", "AU12") > 1.1  # there is nothing to be learned from
    np.testing.assert_allclose(made["ridge"].pspi, pspi_of(AU_NAMES, made["ridge"].estimate, 4.0))


def test_without_a_neutral_the_own_offset_stays_in_the_way() -> None:
    (train, truth, person), (test, wanted, _) = faces(3000, 100, 1), faces(1000, 50, 2)
    train, test = (Inputs(one.face, np.full_like(one.face, np.nan)) for one in (train, test))
    made = yardsticks(train, truth, person, test, FEATURES, AU_NAMES, closed_from=4.0)
    k = AU_NAMES.index("AU4")
    assert 0.5 < np.abs(made["ridge"].estimate[:, k] - wanted[:, k]).mean() < 1.2


def test_ridge_does_not_learn_people_by_heart() -> None:
    """Ten pictures of each person, all alike: with the same person on both sides anything can be foretold."""
    rng = np.random.default_rng(5)
    person = np.repeat(np.arange(60), 10)
    x = rng.normal(size=(60, 40))[person] + 0.01 * rng.normal(size=(600, 40))
    y = rng.normal(2.5, 0.7, (60, 1))[person]
    assert ridge(x, y, person, x).std() < 0.35 * y.std()
    assert ridge(x, y, np.arange(600), x).std() > 0.7 * y.std()


def test_ridge_takes_missing_inputs() -> None:
    x = np.random.default_rng(6).normal(size=(400, 3))
    y, person = 2.5 + 0.5 * x[:, :1], np.arange(400) % 20
    x[::5, 2] = np.nan
    other = np.array([[0.4, 0.0, np.nan], [np.nan, 1.0, 1.0], [20.0, 0.0, 0.0]])
    np.testing.assert_allclose(ridge(x, y, person, other)[:, 0], [2.7, y.mean(), 5.0], atol=0.02)  # and cut at 5


def test_pspi_takes_the_larger_of_each_pair() -> None:
    values = dict.fromkeys(AU_NAMES, 0.0) | {"AU4": 1, "AU6": 2, "AU7": 3, "AU9": 4, "AU10": 2.5, "AU43": 4, "AU12": 5}
    row = np.array([[values[name] for name in AU_NAMES]])
    assert pspi_of(AU_NAMES, row, 4.0)[0] == 1 + 3 + 4 + 1
    assert pspi_of(AU_NAMES, row, 4.5)[0] == 1 + 3 + 4


def test_every_unit_has_its_blendshape() -> None:
    stems = {name.removesuffix("Left").removesuffix("Right") for name in BLENDSHAPES}
    assert set(MATCHING) == set(AU_NAMES)
    assert set(MATCHING.values()) <= stems


# ------------------------------------------------------------------------------------------------------ documents


def about() -> About:
    return About(
        name="action_units",
        version="test-1",
        licence="Apache-2.0",
        features=FEATURES,
        targets=AU_NAMES,
        hidden=(64, 32),
        levels=11,
        parameters=12_345,
        size_bytes=50_000,
        heads=1600,
        faces=48_000,
        seed=11,
        source="ICT-FaceKit, MIT licence",
    )


@pytest.fixture(scope="module")
def metrics() -> dict[str, Any]:
    base = predictions(n=900)
    frames = predictions(
        n=900, people=20, sequence=np.repeat(np.arange(20), 45), time_s=np.tile(np.arange(45) / 15, 20),
        person=np.repeat(np.arange(20), 45),
    )  # fmt: skip
    ways = {"ridge": Yardstick(np.clip(base.estimate - 0.1, 0, 5), base.pspi)}
    case = Case(base, ways, frames)
    worse = Case(dataclasses.replace(base, pspi=16 - base.pspi), ways)
    levers = [Lever("twice the heads", 0.701, 0.842, 1.25, True, "kept"), Lever("luck", 0.5, 0.6, 2.0, False)]
    return evaluate({"with_neutral": case, "without_neutral": worse}, about(), levers)


def test_the_metrics_are_plain_json(metrics: dict[str, Any]) -> None:
    assert json.loads(json.dumps(metrics, allow_nan=False)) == metrics
    assert metrics["without_neutral"]["pspi"]["windows"] is None
    assert metrics["with_neutral"]["pspi"]["windows"]["n"] == 60
    assert metrics["with_neutral"]["people"] == 40


def test_goals_are_told_as_they_came(metrics: dict[str, Any]) -> None:
    rows = {row["what"]: row for row in metrics["goals"]}
    single = rows["PSPI r, single pictures, with neutral"]
    assert single["came"] == metrics["with_neutral"]["pspi"]["single"]["r"] > 0.9 and single["met"]
    upside_down = rows["PSPI r, single pictures, without neutral"]
    assert upside_down["came"] < -0.9 and not upside_down["met"]
    unmeasured = rows["90% intervals of PSPI, windows of 1 s, without neutral"]
    assert unmeasured["came"] is None and not unmeasured["met"]
    assert [row["met"] for row in targets_met(metrics)] == [row["met"] for row in metrics["goals"]]


def test_the_document_has_the_figures(metrics: dict[str, Any], tmp_path: Path) -> None:
    write(metrics, tmp_path / "metrics.json", tmp_path / "docs" / "action-units.md")
    text = (tmp_path / "docs" / "action-units.md").read_text(encoding="utf-8")
    assert text == document(json.loads((tmp_path / "metrics.json").read_text(encoding="utf-8")))
    assert text.splitlines()[2].startswith("<!-- written by training/train_action_units.py")
    single = metrics["with_neutral"]["pspi"]["single"]
    assert f"| {number(single['r'])} ({number(single['r_interval'][0])} to" in text
    assert "| twice the heads | 0.701 | 0.842 | 1.25 | yes | kept |" in text
    assert "| PSPI r, single pictures, without neutral | at least 0.80 | -0.9" in text and "| **no** |" in text
    met = sum(row["met"] for row in metrics["goals"])
    assert f"{met} of {len(metrics['goals'])} are met." in text
    assert "48,000 pictures" in text and "1,600 simulated people" in text
    assert "None" not in text and "nan" not in text.lower().replace("nano", "")
    prose = [line for line in text.splitlines() if not line.startswith(("|", "<!--"))]
    assert max(map(len, prose)) <= 120
    tables = [line.count("|") for line in text.splitlines() if line.startswith("|")]
    assert min(tables) >= 4


def test_a_document_without_levers_windows_or_real_faces_leaves_them_out(metrics: dict[str, Any]) -> None:
    without = {**metrics, "levers": [], "real": None}
    without["with_neutral"] = {**metrics["with_neutral"]}
    without["with_neutral"]["pspi"] = {**metrics["with_neutral"]["pspi"], "windows": None}
    text = document(without)
    assert "What each lever gave" not in text and "## Real faces" not in text
    assert "In windows of 1 s" not in text


def test_numbers_as_text() -> None:
    assert [number(value) for value in (0.005, -0.001, None, 12.345)] == ["0.01", "0.00", "–", "12.35"]


def entry(name: str, sha256: str) -> Entry:
    return Entry(name, f"{name}.bin", "3", 1_234_567, sha256, "MIT", f"the makers of {name}")


def network_spec(**changes: Any) -> ModelSpec:
    usual = ModelSpec(
        name="action_units", version="test-1", licence="Apache-2.0", features=FEATURES, targets=AU_NAMES,
        outputs={"intensity": "FACS, 0-5", "spread": "standard deviation"}, requires={"face_shape": SHA256},
        training={"recipe": "a recipe", "heads": 1600},
        calibration={case: {"pspi_low": -1.5, "pspi_high": 1.75} for case in ("with_neutral", "without_neutral")},
        notes="Wrinkles are not seen.\n\nNor are tongues.",
    )  # fmt: skip
    return dataclasses.replace(usual, **changes)


def test_the_model_card_says_what_ships(metrics: dict[str, Any]) -> None:
    files = {"action_units": entry("action_units", "a" * 64), "face_shape": entry("face_shape", SHA256)}
    text = model_card.card(network_spec(), metrics, files)
    for said in ("# Model card: action units (test-1)", f"`{'a' * 64}`", f"`{SHA256}`", "1.23 MB", "| heads | 1600 |",
                 "Wrinkles are not seen.\n\nNor are tongues.", "| with neutral | -1.50 sd | 1.75 sd |", "Monk 9-10",
                 "## Not for", "newborns", "the makers of face_shape", "Citation"):  # fmt: skip
        assert said in text
    assert "| PSPI r, single pictures, without neutral | at least 0.80 | -0.9" in text


def test_a_card_of_things_that_do_not_belong_together_is_refused(metrics: dict[str, Any]) -> None:
    files = {"action_units": entry("action_units", "a" * 64), "face_shape": entry("face_shape", "b" * 64)}
    with pytest.raises(model_card.CardError, match=f"face_shape: the network needs SHA-256 {SHA256}.*bbb"):
        model_card.card(network_spec(), metrics, files)
    with pytest.raises(model_card.CardError, match="no such file"):
        model_card.card(network_spec(), metrics, {"action_units": files["action_units"]})
    with pytest.raises(model_card.CardError, match="metrics of version test-2 were expected, those of test-1 came"):
        model_card.card(network_spec(version="test-2", requires={}), metrics, files)


# ---- what ships says how good it is

SHIPPED = Path(__file__).resolve().parent.parent / "docs" / "metrics" / "action_units.json"


def test_the_shipped_network_is_as_good_as_it_was() -> None:
    """Results on people it had not seen; a worse network must not slip in."""
    metrics = json.loads(SHIPPED.read_text(encoding="utf-8"))
    own, without = metrics["with_neutral"], metrics["without_neutral"]
    assert own["people"] >= 150
    assert set(own["units"]) == set(AU_NAMES)
    assert np.mean([own["units"][name]["r"] for name in ("AU4", "AU6", "AU7", "AU9", "AU10", "AU43")]) >= 0.72
    assert own["pspi"]["single"]["r"] >= 0.84 and own["pspi"]["windows"]["r"] >= 0.88
    assert without["pspi"]["single"]["r"] >= 0.80
    for case in (own, without):
        assert 0.87 <= case["pspi"]["single"]["coverage_90"] <= 0.93


def test_the_readme_quotes_the_shipped_results() -> None:
    pspi = json.loads(SHIPPED.read_text(encoding="utf-8"))["with_neutral"]["pspi"]["single"]
    readme = " ".join((SHIPPED.parents[2] / "README.md").read_text(encoding="utf-8").split())
    assert f"PSPI correlates {pspi['r']:.2f} with the truth, mean error {pspi['mae']:.1f} points" in readme
