"""Two recordings of one person: means of overlapping windows, differences with both errors, and what is refused."""

from __future__ import annotations

import csv
import io
import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from make_fusion import face_track, voice_track

from painsense import comparison
from painsense.comparison import SHRINK, compare, compare_files
from painsense.comparison_mean import Z90, Mean, difference, effective, mean_of
from painsense.errors import PainsenseError
from painsense.report import (
    BaselineStamp,
    ClipResult,
    MediaSummary,
    ModelStamp,
    Quality,
    Report,
    Score,
    ScoreScale,
    Software,
    Window,
)

LABELS = ("at rest", "on movement")
REST = BaselineStamp("rest_clip", "rest.mp4")


def report(
    pspi: np.ndarray,
    *,
    score: np.ndarray | None = None,
    half: float = 1.0,
    baseline: BaselineStamp = REST,
    fps: float = 25.0,
    sha256: str = "a",
    model: str = "1",
    modalities: dict[str, float] | None = None,
    **more: Any,
) -> Report:
    """A report whose windows have these values (NaN: none) and 90% intervals of ``half`` either way."""

    def number(value: float) -> float | None:
        return None if math.isnan(value) else float(value)

    scores = np.full(len(pspi), np.nan) if score is None else score
    windows = tuple(
        Window(
            start_s=k / 2, end_s=k / 2 + 2, score=number(s), low=number(s - half), high=number(s + half),
            pspi=number(p), pspi_low=number(p - half), pspi_high=number(p + half), face_share=1.0,
            voiced_share=None, face_weight=None, voice_weight=None, valid=not math.isnan(p), reasons=(),
        )
        for k, (p, s) in enumerate(zip(pspi, scores, strict=True))
    )  # fmt: skip
    duration_s = len(pspi) / 2 + 1.5
    there = score is not None and np.isfinite(score).any()
    given = Score(1.0, 0.5, 1.5, 1.0, 0.5, 1.5, 1.0) if there else None
    return Report(
        media=MediaSummary("clip.mp4", sha256, duration_s, round(duration_s * fps), fps, 640, 360, 0, False, None),
        software=Software(
            "0.1.0",
            (ModelStamp("action_units", "1", "f" * 64), ModelStamp("fusion", model, model)),
            "litert",
            "cpu",
            {},
        ),
        baseline=baseline,
        quality=Quality(more.pop("usable", 1.0), duration_s, None, None, {}),
        clip=ClipResult(
            "scored", (), given, None if given else "too_little_evidence", None, modalities or {"face": 1.0}
        ),
        windows=windows,
        peaks=(),
        scale=ScoreScale("fusion", model, "vas", 0, 10, "") if there else None,
        **more,
    )


def course(seconds: float, mean: float, seed: int = 0, spread: float = 0.5) -> np.ndarray:
    """Values of overlapping windows: means of four of a row of independent numbers."""
    noise = np.random.default_rng(seed).normal(0, spread, round(seconds * 2) + 3)
    return np.maximum(mean + np.convolve(noise, np.ones(4) / 4, "valid"), 0.0)


# ---- means


def test_overlapping_windows_of_noise_are_worth_a_quarter_of_their_number() -> None:
    series = course(2000, 50.0)
    assert effective(series) == pytest.approx(len(series) / 4, rel=0.15)
    assert effective(np.full(40, 3.0)) == 10  # nothing varies: no more than one in four all the same


def test_the_standard_error_is_that_of_the_independent_numbers_and_gaps_take_no_part() -> None:
    errors, means = [], []
    for seed in range(200):
        series = course(60, 50.0, seed, spread=2.0)
        series[20:35] = np.nan
        found = mean_of(series, np.ones(len(series)), np.ones(len(series)))
        assert found is not None
        errors.append(found.se)
        means.append(found.value)
    assert np.mean(errors) == pytest.approx(np.std(means), rel=0.15)
    assert found.used == 105 and found.covered_s == pytest.approx(105 / 2 + 3.0)


def test_a_lasting_expression_is_one_observation() -> None:
    steady = np.repeat([0.0, 8.0, 0.0], 30)
    assert effective(steady) < 5 < effective(course(45, 5.0))


def test_no_value_is_no_mean() -> None:
    assert mean_of(np.full(5, np.nan), np.ones(5), np.ones(5)) is None


def test_the_interval_holds_both_errors() -> None:
    first, second = (Mean(value, 0.3, 20.0, 1.0, 2.0, 80, 41.5) for value in (1.0, 4.0))
    both = difference(first, second, shrink=0.5)
    only_sampled = difference(*(replace(mean, below=0.0, above=0.0) for mean in (first, second)))
    only_measured = difference(*(replace(mean, se=0.0) for mean in (first, second)), shrink=0.5)
    assert both.value == 3.0
    # by hand: t with 38 degrees of freedom, 1.686, times the root of 2 times 0.3
    assert only_sampled.high - 3 == pytest.approx(1.686 * math.sqrt(2) * 0.3, abs=1e-3)
    # up: the first was read too high by up to 1 and the second too low by up to 2
    assert only_measured.high - 3 == pytest.approx(0.5 * math.hypot(1, 2))
    assert 3 - only_measured.low == pytest.approx(0.5 * math.hypot(2, 1))
    assert both.high - 3 == pytest.approx(math.hypot(only_sampled.high - 3, only_measured.high - 3))
    assert both.detectable == pytest.approx(0.5 * math.hypot(1, 2) / Z90 * 1.96)


# ---- recordings


def test_more_expression_is_told_with_its_interval() -> None:
    found = compare(report(course(40, 1.0)), report(course(40, 6.0, 1), sha256="b"), LABELS)
    pspi = found.change("pspi")
    assert found.verdict == "higher" and found.decided_by == "pspi"
    assert pspi.difference == pytest.approx(5.0, abs=0.3) and pspi.low is not None and pspi.high is not None
    assert pspi.low < 5 < pspi.high and pspi.low > pspi.detectable > 0  # type: ignore[operator]
    assert pspi.detectable == pytest.approx(SHRINK["pspi"] * math.sqrt(2) / Z90 * 1.96, rel=1e-3)
    assert "More pain expression in “on movement” than in “at rest”" in found.text
    other = compare(report(course(40, 6.0, 1), sha256="b"), report(course(40, 1.0)), LABELS)
    assert other.verdict == "lower" and other.change("pspi").difference == pytest.approx(-pspi.difference)  # type: ignore[operator]


def test_the_same_behaviour_is_no_difference_nor_is_a_small_one() -> None:
    for mean in (2.0, 2.5):
        found = compare(report(course(40, 2.0)), report(course(40, mean, 1), sha256="b"))
        assert found.verdict == "no_clear_difference" and found.change("pspi").beyond is False


def test_a_difference_within_the_own_error_is_not_told_however_long_the_recordings_are() -> None:
    found = compare(report(course(2000, 2.0), half=3.0), report(course(2000, 4.0, 1), half=3.0, sha256="b"))
    pspi = found.change("pspi")
    assert pspi.sampling is not None and pspi.sampling < 0.1 and pspi.beyond is False


def test_the_score_decides_where_both_have_one() -> None:
    one = report(course(40, 2.0), score=course(40, 1.0, 2))
    other = report(course(40, 2.0, 1), score=course(40, 7.0, 3), sha256="b")
    found = compare(one, other, LABELS)
    assert found.decided_by == "score" and found.verdict == "higher"
    assert found.change("pspi").beyond is False
    without = replace(other, scale=None, clip=replace(other.clip, score=None))
    assert compare(one, without).decided_by == "pspi"
    assert compare(one, without).change("score").refused == ("There is no score in both recordings.",)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"sha256": "a"}, "the same recording"),
        ({"baseline": BaselineStamp("auto", "clip.mp4")}, "beside a rest clip, the other beside its own calmest part"),
        ({"baseline": BaselineStamp("none", "")}, "an average face"),
    ],
)
def test_what_cannot_be_compared_is_refused_with_a_reason(change: dict[str, Any], why: str) -> None:
    found = compare(report(course(40, 1.0)), report(course(40, 6.0, 1), **({"sha256": "b"} | change)))
    assert found.verdict == "not_comparable" and found.change("pspi").difference is None
    assert why in found.text and any(why in reason for reason in found.change("pspi").refused)


def test_too_short_too_little_and_too_alike_are_refused() -> None:
    long = report(course(40, 1.0))
    short = compare(long, report(course(8, 6.0), sha256="b"), LABELS).change("pspi")
    assert "“on movement” holds 10 s that could be measured; at least 20 s are needed." in short.refused
    gone = course(40, 6.0)
    gone[12:] = np.nan
    assert "holds 8 s" in compare(long, report(gone, sha256="b")).text
    gone[:] = np.nan
    assert "has no usable face" in compare(long, report(gone, sha256="b"), LABELS).text
    rise = np.linspace(0, 8, 50)
    assert "one long expression" in compare(long, report(rise, sha256="b")).text


def test_scores_of_two_models_are_refused_and_pspi_is_not() -> None:
    one = report(course(40, 1.0), score=course(40, 1.0, 2))
    other = report(course(40, 6.0, 1), score=course(40, 7.0, 3), sha256="b", model="2")
    found = compare(one, other)
    assert "different models" in found.change("score").refused[0]
    assert found.decided_by == "pspi" and found.verdict == "higher"
    stamps = (ModelStamp("action_units", "2", "e" * 64),)
    changed = replace(other, software=replace(other.software, models=stamps))
    assert "different networks" in compare(one, changed).change("pspi").refused[0]


@pytest.mark.parametrize(
    ("change", "warning"),
    [
        ({"fps": 10.0}, "has 25 pictures a second, “on movement” 10"),
        ({"usable": 0.4}, "for only 40% of the time"),
        ({"baseline": BaselineStamp("rest_clip", "other.mp4")}, "different rest clips"),
        ({"modalities": {"face": 0.5, "voice": 0.5}}, "rests on face in “at rest” and on face and voice"),
    ],
)
def test_other_conditions_are_warned_of(change: dict[str, Any], warning: str) -> None:
    one, other = report(course(40, 1.0)), report(course(40, 6.0, 1), sha256="b", **change)
    assert warning in " ".join(compare(one, other, LABELS).warnings)
    assert compare(one, report(course(40, 6.0, 1), sha256="b")).warnings == ()


def test_two_automatic_neutrals_and_lengths_are_warned_of() -> None:
    auto = BaselineStamp("auto", "clip.mp4")
    found = compare(report(course(400, 1.0), baseline=auto), report(course(40, 6.0, 1), baseline=auto, sha256="b"))
    assert "lasts all through" in found.warnings[0] and "stretches of like length" in found.warnings[1]
    assert found.verdict == "higher"


def test_another_place_of_the_camera_is_warned_of() -> None:
    tracks = [{"face": face_track(10, face_px=px, yaw_deg=yaw)} for px, yaw in ((80, 0), (160, 20))]
    one, other = (report(course(40, 2.0, k), sha256=str(k), tracks=tracks[k]) for k in range(2))
    assert [text.split(" ")[1] for text in compare(one, other).warnings] == ["face", "head"]


# ---- voice


def of_voice(seconds: float = 30.0, seed: int = 0, **values: float) -> dict[str, Any]:
    """Tracks with a voice that moves a little; half of the time is pause."""
    rng = np.random.default_rng(seed)
    n = round(seconds * 100)
    slow = np.repeat(rng.normal(0, 0.5, n // 50), 50)
    voiced = (np.arange(n) // 100) % 2 == 0
    usual: dict[str, Any] = {"f0_semitone": 24.0 + values.pop("higher", 0.0) + slow, "hnr_db": 15.0 + slow}
    return {"voice": voice_track(seconds, voiced, **(usual | values))}


def test_a_higher_voice_is_told_and_an_unchanged_measure_is_not() -> None:
    one = report(course(40, 2.0), tracks=of_voice())
    other = report(course(40, 2.0, 1), sha256="b", tracks=of_voice(seed=1, higher=5.0))
    found = compare(one, other, LABELS)
    pitch, noise = found.change("f0_semitone"), found.change("hnr_db")
    assert pitch.difference == pytest.approx(5.0, abs=0.5) and pitch.beyond is True and pitch.unit == "semitones"
    assert noise.beyond is False and found.verdict == "no_clear_difference"


def test_loudness_is_compared_in_one_room_only() -> None:
    one = report(course(40, 2.0), tracks=of_voice())
    same = report(course(40, 2.0, 1), sha256="b", tracks=of_voice(seed=1, loudness=2.0))
    louder = compare(one, same).change("loudness")
    assert louder.difference == pytest.approx(10 / 0.33 * math.log10(2), abs=0.1) and louder.beyond is True
    noisy = of_voice(seed=1, loudness=2.0)["voice"]
    levels = noisy.values.copy()
    at = noisy.names.index("level_dbfs")
    levels[noisy.column("voiced") == 0, at] = -50.0
    there = report(course(40, 2.0, 1), sha256="b", tracks={"voice": replace(noisy, values=levels)})
    assert "another microphone" in compare(one, there).change("loudness").refused[0]


def test_too_little_voice_is_refused() -> None:
    one = report(course(40, 2.0), tracks=of_voice())
    other = report(course(40, 2.0, 1), sha256="b", tracks=of_voice(seconds=6.0))
    assert "“second” holds too little usable voice." in compare(one, other).change("f0_semitone").refused


# ---- files


def test_files_say_what_reports_say(tmp_path: Path) -> None:
    one, other = report(course(40, 1.0)), report(course(40, 6.0, 1), sha256="b")
    paths = []
    for name, each in (("a", one), ("b", other)):
        paths.append(tmp_path / f"{name}.painsense.json")
        paths[-1].write_text(each.to_json(), encoding="utf-8")
    found = compare_files(*paths, LABELS)
    assert found == compare(one, other, LABELS)
    content = json.loads(found.to_json())
    assert content["schema"] == "painsense.comparison/1" and content["verdict"] == "higher"
    rows = list(csv.DictReader(io.StringIO(found.to_csv())))
    assert [row["measure"] for row in rows] == ["score", "pspi"]
    assert float(rows[1]["difference"]) == content["changes"][1]["difference"] and rows[1]["beyond"] == "true"
    assert rows[0]["difference"] == "" and rows[0]["refused"]


def test_other_files_are_refused_in_words(tmp_path: Path) -> None:
    good = tmp_path / "a.painsense.json"
    good.write_text(report(course(40, 1.0)).to_json(), encoding="utf-8")
    odd = tmp_path / "odd.json"
    for text, message in (("{", "a result of painsense was expected"), ('{"schema": "x"}', "painsense.report/1 was")):
        odd.write_text(text, encoding="utf-8")
        with pytest.raises(PainsenseError, match=rf"odd\.json: {message}"):
            compare_files(good, odd)
    with pytest.raises(PainsenseError, match=r"none\.json"):
        compare_files(good, tmp_path / "none.json")


def test_no_folder_stands_in_a_comparison() -> None:
    named = replace(report(course(40, 1.0)), baseline=BaselineStamp("rest_clip", "/home/ada/rest.mp4"))
    named = replace(named, media=replace(named.media, file="/home/ada/clip.mp4"))
    assert "ada" not in compare(named, report(course(40, 6.0, 1), sha256="b")).to_json()


# ---- how often it is right


def test_intervals_hold_what_they_say_on_simulated_pairs() -> None:
    pairs = pytest.importorskip("training.compare_pairs", reason="needs a checkout")
    from training.fusion import measured_errors

    rng = np.random.default_rng(3)
    errors = measured_errors.shipped()
    faces = pairs.Faces(errors, True)
    people = np.unique(errors.person)
    states = pairs.KINDS["a little more"]
    truth = pairs.long_run(states[1]) - pairs.long_run(states[0])
    held = 0
    for _ in range(100):
        person = int(rng.choice(people))
        first, second = (pairs.recording(faces, person, state, 60, rng)[0] for state in states)
        found = difference(first, second, SHRINK["pspi"])
        held += found.low <= truth <= found.high
    assert 0.85 <= held / 100 <= 0.99
    assert comparison.MIN_COVERED_S >= 20


def test_the_factor_in_use_is_not_below_the_measured_one() -> None:
    pairs = pytest.importorskip("training.compare_pairs", reason="needs a checkout")
    text = pairs.DOC.read_text(encoding="utf-8")
    table = text.split(pairs.BEGIN)[1].split("\n\n")[1]
    rows = {row.split("|")[1].strip(): [float(cell) for cell in row.split("|")[2:4]] for row in table.splitlines()[2:]}
    assert len(rows) == 3
    for name, (measured, used) in rows.items():
        assert used == SHRINK["score" if name == "score" else "pspi"] and measured <= used, name
