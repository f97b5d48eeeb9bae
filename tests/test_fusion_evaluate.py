"""The evaluation of the fusion model: measures against scikit-learn and values worked out by hand, and made-up runs."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import make_fusion
import numpy as np
import pytest

pytest.importorskip("sklearn")  # of the train extra

from sklearn import metrics as sk

from training import metrics
from training.errors import TrainingError
from training.fusion import evaluate, judged, page, reliability
from training.fusion.calibrate import Predictions
from training.fusion.record import Clip
from training.fusion.samples import Recording, Samples

KINDS = ("broad smile", "pain", "rest", "yawning")
SETTINGS = {"name": "made-up", "dataset": "simulated", "split": "published", "abstain_width": 6.0, "notes": "<b>none"}
ABOUT = {"settings": SETTINGS, "commit": "", "data": "0" * 16, "fingerprint": "1" * 16, "painsense": "0", "torch": "0"}


def predictions(people: int = 12, each: int = 40, noise: float = 0.8, seed: int = 0) -> Predictions:
    """A person has one clip; a quarter of the windows each of smile, pain at 2 to 10, rest and yawning.

    The face is as good as both and the voice is worse; every fifth window has no voice, and every twentieth no face.
    PSPI takes a broad smile for pain. Intervals reach 1.645 times the noise either way.
    """
    rng = np.random.default_rng(seed)
    n = people * each
    clip = np.repeat(np.arange(people), each)
    shown = np.tile(np.arange(each) % 4, people)
    truth = np.where(shown == 1, rng.uniform(2, 10, n), 0.0)
    score = np.stack([np.clip(truth + rng.normal(0, s * noise, n), 0, 10) for s in (1.0, 1.0, 3.0)])
    order = np.arange(n)
    score[1, order % 20 == 0] = np.nan
    score[2, order % 5 == 1] = np.nan
    score[0] = np.where(np.isnan(score[1]), score[2], score[0])
    sd = np.stack([np.full(n, s * noise) for s in (1.0, 1.0, 3.0)])
    levels = np.zeros((n, 11), np.float32)
    levels[order, np.rint(truth).astype(int)] = 1.0
    clips = tuple(
        Clip(
            id=f"clip-{k}",
            dataset="simulated",
            subject=f"secret-{k}",
            groups={"sex": ("female", "male")[k % 12 == 0], "skin_tone": str(k % 3 + 1)},
        )
        for k in range(people)
    )
    return Predictions(
        head="simulated_level_0_10",
        clips=clips,
        clip=clip,
        start_s=np.tile(np.arange(each) * 0.5, people),
        end_s=np.tile(np.arange(each) * 0.5 + 2, people),
        fold=np.full(n, "simulated"),
        truth=truth.astype(np.float32),
        score=score.astype(np.float32),
        sd=sd.astype(np.float32),
        low=np.clip(score - 1.645 * sd, 0, 10).astype(np.float32),
        high=np.clip(score + 1.645 * sd, 0, 10).astype(np.float32),
        levels=levels,
        weights=np.full((n, 2), 0.5, np.float32),
        pspi=truth.astype(np.float32),
        truth_pspi=truth.astype(np.float32),
        rule_pspi=(truth + np.where(shown == 0, 6, 0)).astype(np.float32),
        constant=np.full(n, truth.mean(), np.float32),
        classes=KINDS,
        shown=shown,
    )


@pytest.fixture(scope="module")
def found() -> dict[str, Any]:
    return evaluate.evaluate(predictions(), ABOUT, draws=20)


# ---- measures


def test_qwk_uar_and_precision_are_those_of_scikit_learn_and_of_paper_and_pencil() -> None:
    truth, guess = np.array([0, 0, 1, 2]), np.array([0, 1, 1, 1])
    # squared distances 0 1 0 1; by chance: truth shares (2 1 1)/4, guess shares (1 3 0)/4, expected 11/16 a pair
    assert metrics.qwk(truth, guess, 3) == pytest.approx(
        1 - (2 / 4) / (2 / 4 * 3 / 4 + 1 / 4 * 1 / 4 + 1 / 4 * (4 / 4 + 3 / 4))
    )
    assert metrics.uar(truth, guess) == pytest.approx((1 / 2 + 1 + 0) / 3)
    rng = np.random.default_rng(1)
    truth, guess = rng.integers(0, 6, 200), rng.integers(0, 6, 200)
    assert metrics.qwk(truth, guess, 6) == pytest.approx(sk.cohen_kappa_score(truth, guess, weights="quadratic"))
    assert metrics.uar(truth, guess) == pytest.approx(sk.balanced_accuracy_score(truth, guess))
    positive, score = truth > 2, rng.random(200)
    assert metrics.roc_auc(positive, score) == pytest.approx(sk.roc_auc_score(positive, score))
    # ranked: hit, miss, hit, miss: precision 1 at the first hit and 2/3 at the second
    assert metrics.average_precision(np.array([1, 0, 1, 0]), np.array([0.9, 0.8, 0.7, 0.1])) == pytest.approx(
        (1 + 2 / 3) / 2
    )


def test_macro_mae_counts_levels_alike() -> None:
    truth, guess = np.array([0.0, 0, 0, 5]), np.array([0.0, 0, 3, 7])
    assert metrics.macro_mae(truth, guess, truth.astype(int)) == pytest.approx((1 + 2) / 2)
    assert metrics.mae(truth, guess) == pytest.approx(5 / 4)


def test_bland_altman_adds_the_variance_between_people() -> None:
    # two people with differences 0 2 and 4 6: means 1 and 5; within (1+1+1+1)/2 = 2; between people 16 = 2 + 2 * 7
    apart = np.array([0.0, 2, 4, 6])
    said = metrics.bland_altman(np.zeros(4), apart, np.array([0, 0, 1, 1]))
    assert said["bias"] == 3
    assert said["sd_within"] == pytest.approx(np.sqrt(2))
    assert said["sd_between"] == pytest.approx(np.sqrt(7))
    assert [said["low"], said["high"]] == pytest.approx([3 - 1.96 * 3, 3 + 1.96 * 3])
    assert np.isnan(metrics.bland_altman(np.zeros(2), np.ones(2), np.array([0, 1]))["low"])


def test_several_statistics_have_the_intervals_of_one() -> None:
    values, person = np.random.default_rng(2).normal(size=60), np.repeat(np.arange(6), 10)
    alone = metrics.bootstrap(lambda rows: float(values[rows].mean()), person, 50)
    both = metrics.bootstrap_all(lambda rows: {"mean": float(values[rows].mean()), "n": len(rows)}, person, 50)
    assert both == {"mean": alone, "n": (60.0, 60.0)}


@pytest.mark.parametrize("bad", [np.array([0.5, 1]), np.array([0, 3])])
def test_levels_must_be_whole_and_on_the_scale(bad: np.ndarray) -> None:
    with pytest.raises(ValueError, match="levels"):
        metrics.qwk(bad, np.array([0, 1]), 3)


# ---- an evaluation


def test_pooled_figures_are_those_of_the_arrays(found: dict[str, Any]) -> None:
    said = predictions()
    truth, score = said.truth.astype(float), said.score[0].astype(float)
    there = np.isfinite(score)
    truth, score, shown = truth[there], score[there], said.shown[there]
    own = {name: entry["value"] for name, entry in found["ways"]["as_recorded"]["pooled"].items()}
    told = np.isin(shown, (0, 1, 3))
    levels = np.rint(truth).astype(int), np.rint(score).astype(int)
    assert own["pcc"] == pytest.approx(np.corrcoef(truth, score)[0, 1], abs=1e-4)
    assert own["mae"] == pytest.approx(sk.mean_absolute_error(truth, score), abs=1e-4)
    assert own["rmse"] == pytest.approx(sk.root_mean_squared_error(truth, score), abs=1e-4)
    assert own["qwk"] == pytest.approx(sk.cohen_kappa_score(*levels, weights="quadratic"), abs=1e-4)
    assert own["auroc"] == pytest.approx(sk.roc_auc_score(truth[told] >= 2, score[told]), abs=1e-4)
    assert own["aupr"] == pytest.approx(sk.average_precision_score(truth[told] >= 2, score[told]), abs=1e-4)
    low, high = found["ways"]["as_recorded"]["pooled"]["pcc"]["interval"]
    assert low < own["pcc"] < high


def test_offsets_between_people_do_not_touch_what_is_within() -> None:
    said = predictions(noise=0.0)
    shift = np.repeat(np.arange(12) / 4, 40).astype(np.float32)
    ways = evaluate.evaluate(replace(said, score=said.score + shift), ABOUT, draws=2)["ways"]["face"]
    assert ways["within"]["pcc"]["value"] == pytest.approx(1)
    assert ways["within"]["mae"]["value"] == pytest.approx(0, abs=1e-4)
    assert ways["by_person"]["pcc"]["value"] == pytest.approx(1)
    assert ways["pooled"]["pcc"]["value"] < 0.99
    assert ways["pooled"]["bias"]["value"] == pytest.approx(shift[np.isfinite(said.score[1])].mean(), abs=1e-3)


def test_a_face_that_is_all_there_has_the_interval_of_a_face() -> None:
    said = predictions()
    seen = judged.view(said, "as_recorded")
    rows = np.flatnonzero(judged.rows_of(said, "as_recorded"))
    no_face = np.isnan(said.score[1][rows])
    assert no_face.any()
    assert seen.sd[no_face] == pytest.approx(2.4)
    assert seen.sd[~no_face] == pytest.approx(0.8)


def test_the_rule_falls_for_smiles_and_the_network_does_not(found: dict[str, Any]) -> None:
    area = found["detection"]["against"]["confusers"]["auroc"]
    assert area["both"]["value"] > 0.95 > area["pspi_rule"]["value"]
    assert area["above_rule"]["value"] == pytest.approx(area["both"]["value"] - area["pspi_rule"]["value"], abs=2e-4)
    by_kind = {row["kind"]: row for row in found["expressions"]}
    assert by_kind["broad smile"]["auroc"]["pspi_rule"] < by_kind["yawning"]["auroc"]["pspi_rule"] == 1
    assert by_kind["pain"]["above_3"]["as_recorded"] > 0.8 > 0.05 > by_kind["yawning"]["above_3"]["as_recorded"]
    constant = next(row for row in found["baselines"] if row["name"] == "constant")
    assert constant["baseline"]["pcc"] is None  # a constant has no correlation
    assert constant["baseline"]["auroc"] == 0.5


def test_intervals_of_the_right_width_cover_nine_in_ten() -> None:
    rng = np.random.default_rng(3)
    n = 4000
    truth = rng.uniform(4, 6, n)
    score = truth + rng.normal(0, 1, n)
    seen = judged.View(
        truth, score, np.ones(n), score - 1.645, score + 1.645, np.arange(n) % 40, np.zeros(n, np.int64), 10
    )
    assert reliability.intervals(seen)["coverage"] == pytest.approx(0.9, abs=0.015)
    narrow = replace(seen, low=score - 0.5, high=score + 0.5)
    assert reliability.intervals(narrow)["pooled"] == pytest.approx(0.383, abs=0.03)  # of a normal distribution
    assert reliability.intervals(narrow)["people_below_80"] == 1


def test_abstaining_keeps_the_narrowest() -> None:
    width = np.linspace(1, 5, 100)
    truth = np.full(100, 5.0)
    score = truth + width / 10
    seen = judged.View(
        truth, score, width, score - width / 2, score + width / 2, np.arange(100) % 5, np.ones(100, np.int64), 10
    )
    said = reliability.abstention(seen, 3.0)
    errors = [row["mae"] for row in said["curve"]]
    assert errors == sorted(errors, reverse=True)
    assert said["at_limit"]["kept"] == 0.5
    assert said["at_limit"]["mae"] == pytest.approx((width[:50] / 10).mean())


def test_failures_are_shares_of_all_windows(found: dict[str, Any]) -> None:
    ways = found["failures"]["ways"]
    assert ways["face"]["no_evidence"] == pytest.approx(1 / 20)
    assert ways["voice"]["no_evidence"] == pytest.approx(1 / 5)
    assert ways["as_recorded"]["no_evidence"] == 0
    assert ways["voice"]["too_wide"] > 0 == ways["face"]["too_wide"]  # 2 * 1.645 * 2.4 is above 6


def test_small_cells_say_nothing(found: dict[str, Any]) -> None:
    sexes = {row["group"]: row for row in found["groups"]["sex"]}
    assert sexes["female"]["shown"] and sexes["female"]["people"] == 11
    assert set(sexes["male"]) == {"group", "people", "windows", "unscored", "shown"}
    assert not sexes["male"]["shown"]
    assert "sex: male (1 people, 40 windows)" in page.hidden(found)
    assert [row["group"] for row in found["groups"]["skin_tone"]] == ["Monk 1-3"]


def test_a_network_of_one_modality_is_met_on_the_same_windows() -> None:
    said = predictions()
    better = replace(said, score=np.stack([said.truth] * 3))
    missing = evaluate.evaluate(said, ABOUT, alone={"voice": better}, draws=2)["missing"]["against_alone"]["voice"]
    assert missing["windows"] == int(np.isfinite(said.score[2]).sum())
    assert missing["alone"]["pcc"] == 1
    assert missing["difference"]["pcc"]["value"] < 0
    with pytest.raises(TrainingError, match="--face-alone: a run that judged the same people"):
        other = replace(said, clips=tuple(replace(clip, id=f"other-{clip.id}") for clip in said.clips))
        evaluate.evaluate(said, ABOUT, alone={"face": other}, draws=2)


def test_labels_on_another_scale_keep_their_own_levels() -> None:
    said = replace(predictions(), head="opr_0_5")
    seen = judged.view(said, "face")
    assert seen.level.max() == 5
    assert seen.level == pytest.approx(np.rint(seen.truth / 2))


def test_nothing_that_is_known_to_be_shown_makes_all_below_pain_the_confusers() -> None:
    said = replace(predictions(), classes=(), shown=np.full(480, -1))
    seen = judged.view(said, "as_recorded")
    assert set(seen.role) == {0, 1}
    found = evaluate.evaluate(said, ABOUT, draws=2)
    assert found["expressions"] == []


def test_a_run_without_labels_or_of_one_modality() -> None:
    said = predictions()
    with pytest.raises(TrainingError, match="windows with a label"):
        evaluate.evaluate(replace(said, truth=np.full_like(said.truth, np.nan)), ABOUT)
    deaf = said.score.copy()
    deaf[0], deaf[2] = deaf[1], np.nan
    found = evaluate.evaluate(replace(said, score=deaf), ABOUT, draws=2)
    assert found["ways"]["voice"]["windows"] == found["ways"]["both"]["windows"] == 0
    assert not any(row["met"] for row in found["goals"] if "face and voice" in row["what"])
    assert page.to_html(found, {})


def test_pose_is_that_of_each_window(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    said = predictions(2, 17)  # windows from 0 to 8 s on
    turned = np.where(np.arange(250) < 125, 5.0, -20.0)  # to the right in the second half of 10 s
    tracks = [make_fusion.face_track(10, yaw_deg=turned), make_fusion.face_track(10, pitch_deg=40.0)]
    recordings = [Recording(clip, face, None) for clip, face in zip(said.clips, tracks, strict=True)]
    monkeypatch.setattr("training.fusion.samples.recordings", lambda folder: iter(recordings))
    bands = evaluate._pose(said, tmp_path)
    assert list(bands[:7]) == ["0-10°"] * 7  # up to the window from 3 to 5 s
    assert list(bands[10:17]) == ["10-25°"] * 7  # from 5 to 7 s on
    assert set(bands[17:]) == {"25-90°"}
    assert "pose" in evaluate.evaluate(said, ABOUT, {"pose": bands}, draws=2)["groups"]
    monkeypatch.setattr("training.fusion.samples.recordings", lambda folder: iter(()))
    with pytest.raises(TrainingError, match="the recordings of the run were expected"):
        evaluate._pose(said, tmp_path)


def test_whether_the_neutral_is_known_comes_from_the_windows_of_the_run(tmp_path: Path) -> None:
    said = predictions(2, 4)
    face = np.full((8, 20, 3), np.nan, np.float32)
    face[:4, :, -1] = 1.0
    face[4:, :, -1] = 0.0
    samples = Samples(
        said.clips, said.clip, said.start_s, said.end_s, face, face, {}, said.classes, said.shown, said.rule_pspi
    )
    samples.save(tmp_path / "samples.npz")
    without = np.isnan(said.score[1])
    known = evaluate._neutral(said, tmp_path / "samples.npz")
    assert list(known[~without]) == list(np.repeat(["neutral known", "neutral not known"], 4)[~without])
    assert set(known[without]) == {""}
    samples.only(np.arange(8) < 4).save(tmp_path / "samples.npz")
    with pytest.raises(TrainingError, match="the windows that were judged"):
        evaluate._neutral(said, tmp_path / "samples.npz")


# ---- files


def numbers(value: Any) -> Iterator[float]:
    """Every number in nested JSON."""
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list):
        for part in value:
            yield from numbers(part)
    elif isinstance(value, float):
        yield value


def store(said: Predictions, folder: Path) -> Path:
    said.save(folder / "predictions.npz")
    (folder / "run.json").write_text(json.dumps(ABOUT), encoding="utf-8")
    return folder


def test_from_a_run_to_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = store(predictions(), tmp_path / "run")
    assert evaluate.main([str(run), "--out", str(tmp_path / "out"), "--draws", "10"]) == 0
    said = capsys.readouterr().out
    assert "AUROC of pain against all confusers" in said
    content = (tmp_path / "out" / "metrics.json").read_text(encoding="utf-8")
    found = json.loads(content, parse_constant=lambda name: pytest.fail(f"{name} is not JSON"))
    assert found["schema"] == evaluate.SCHEMA
    assert all(np.isfinite(value) for value in numbers(found))
    assert "secret" not in content  # no pseudonyms
    drawn = sorted(path.stem for path in (tmp_path / "out" / "plots").iterdir())
    assert drawn == sorted(page.PLOTS)
    for path in (tmp_path / "out" / "plots").iterdir():
        ElementTree.parse(path)


class _Loads(HTMLParser):
    """Finds what a page loads, and whether its tags are closed."""

    def __init__(self) -> None:
        super().__init__()
        self.loads: list[str] = []
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.loads += [value or "" for name, value in attrs if name in ("src", "href")]
        if tag not in ("meta", "br"):
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        pass

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_the_page_loads_nothing_and_escapes_what_it_says(found: dict[str, Any]) -> None:
    text = page.to_html(found, evaluate.figures.draw(found))
    parser = _Loads()
    parser.feed(text)
    assert parser.loads == [] and parser.open == []
    assert "<script" not in text and "url(" not in text and "<b>none" not in text
    assert "Simulated people only" in text
    pcc = found["ways"]["as_recorded"]["pooled"]["pcc"]["value"]
    assert re.search(rf"<td>PCC</td>\s*<td>{pcc:.2f} \(", text)


def test_a_folder_that_is_no_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert evaluate.main([str(tmp_path), "--out", str(tmp_path / "out")]) == 1
    assert "run training.fusion.train first" in capsys.readouterr().err
    run = store(predictions(4, 8), tmp_path / "run")
    (run / "run.json").write_text("{}", encoding="utf-8")
    assert evaluate.main([str(run), "--out", str(tmp_path / "out")]) == 1
    assert "run.json: what a training run wrote down about itself was expected" in capsys.readouterr().err
    assert evaluate.main([str(run), "--out", str(tmp_path / "out"), "--draws", "1"]) == 1
    assert "--draws: 10 or more" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
