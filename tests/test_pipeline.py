"""From file to report: the bundled clip against its truth, real clips, hard cases, and the same answer each time."""

from __future__ import annotations

import csv
import dataclasses
from pathlib import Path

import clips
import cv2
import numpy as np
import pytest

from painsense import action_units, doctor, media, providers
from painsense.errors import BaselineError, MediaError, ProviderError
from painsense.pipeline import RUN_IN_S, Analyzer, Settings, _segments, analyze
from painsense.report import Report

FACE = Settings(modalities=("face",))


@pytest.fixture(scope="module")
def analyzer() -> Analyzer:
    return Analyzer()


@pytest.fixture(scope="module")
def sample(analyzer: Analyzer, sample_clip: Path) -> Report:
    return analyzer.analyze(sample_clip)


@pytest.fixture(scope="module")
def truth(sample_clip: Path) -> dict[str, np.ndarray]:
    with open(sample_clip.with_name("episode.truth.csv"), encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    return {
        name: np.array([row[name] if name == "phase" else float(row[name] or "nan") for row in rows])
        for name in rows[0]
    }


# ---- the bundled clip against its truth


def test_every_frame_is_there_at_its_time(sample: Report, truth: dict[str, np.ndarray]) -> None:
    np.testing.assert_allclose(sample.tracks["face"].time_s, truth["time_s"], atol=1e-3)


def test_pspi_follows_the_truth(sample: Report, truth: dict[str, np.ndarray]) -> None:
    measured = sample.tracks["face"].column("pspi")
    usable = np.isfinite(measured)
    assert np.corrcoef(measured[usable], truth["pspi"][usable])[0, 1] > 0.9
    inside = (sample.tracks["face"].column("pspi_low") <= truth["pspi"]) & (
        truth["pspi"] <= sample.tracks["face"].column("pspi_high")
    )
    assert inside[usable].mean() > 0.8


@pytest.mark.parametrize("unit", ["AU4", "AU6", "AU7", "AU9", "AU10", "AU12", "AU26"])
def test_action_units_follow_the_truth(sample: Report, truth: dict[str, np.ndarray], unit: str) -> None:
    measured = sample.tracks["face"].column(unit)
    usable = np.isfinite(measured)
    assert np.corrcoef(measured[usable], truth[unit][usable])[0, 1] > 0.8


def test_the_strongest_peak_is_in_the_pain_episode(sample: Report, truth: dict[str, np.ndarray]) -> None:
    pain = truth["time_s"][truth["phase"] == "pain"]
    strongest = max(sample.peaks, key=lambda peak: peak.pspi)
    assert pain[0] <= strongest.time_s <= pain[-1]
    assert strongest.action_units["AU9"] > 1
    assert strongest.action_units["AU43"] > 0.5
    assert strongest.voice["f0_hz"] is not None, "the moan"


def test_rest_speech_and_smile_stay_below_pain(sample: Report, truth: dict[str, np.ndarray]) -> None:
    measured = sample.tracks["face"].column("pspi")

    def mean(phase: str) -> float:
        return float(np.nanmean(measured[truth["phase"] == phase]))

    assert mean("rest") < 1
    assert mean("speaking") < 1.5
    assert mean("smile") < mean("pain")
    assert np.nanmax(sample.tracks["face"].column("AU12")[truth["phase"] == "smile"]) > 2.5


def test_what_cannot_be_seen_is_said(sample: Report, truth: dict[str, np.ndarray]) -> None:
    face = sample.tracks["face"]
    away = np.abs(truth["yaw_deg"]) > 50
    assert not face.valid[away].any()
    out = truth["in_frame"] < 0.3
    assert out.any()
    assert not face.valid[out].any()
    assert np.isnan(face.column("pspi")[out]).all()
    assert sample.quality.reasons_s["turned_away"] > 1
    assert face.valid[truth["phase"] == "rest"].mean() > 0.98


def test_blinks_and_closed_eyes_follow_the_truth(sample: Report, truth: dict[str, np.ndarray]) -> None:
    face = sample.tracks["face"]
    blinking = truth["blink"] > 0
    assert face.has_reason("blink")[blinking].mean() > 0.3
    assert not face.column("AU43")[blinking].any()
    shut = (truth["AU43"] >= 4.5) & ~blinking
    assert shut.any()
    assert (face.column("AU43")[shut] == 1).mean() > 0.8


def test_the_voice_of_the_sample(sample: Report, truth: dict[str, np.ndarray]) -> None:
    voice = sample.tracks["voice"]
    at = np.searchsorted(voice.time_s, truth["time_s"]).clip(max=len(voice) - 1)
    both = (voice.column("voiced")[at] > 0.5) & np.isfinite(truth["f0_hz"])
    assert both.sum() > 50
    error = np.abs(voice.column("f0_hz")[at][both] / truth["f0_hz"][both] - 1)
    assert np.median(error) < 0.02
    assert sample.tracks["face"].has_reason("speaking")[truth["phase"] == "speaking"].mean() > 0.5
    assert sample.tracks["face"].has_reason("speaking")[truth["phase"] == "rest"].mean() < 0.1


def test_clip_summary(sample: Report) -> None:
    assert sample.clip.verdict == "scored"
    assert sample.clip.score is None
    assert sample.clip.score_reason == "no_fusion_model"
    assert sample.clip.pspi is not None
    assert sample.clip.pspi.mean_low <= sample.clip.pspi.mean <= sample.clip.pspi.mean_high
    assert sample.baseline.kind == "auto"
    assert [window.start_s for window in sample.windows[:3]] == [0.0, 0.5, 1.0]
    assert {model.name for model in sample.software.models} == {"face_landmarker", "face_shape", "action_units"}


def test_pictures_that_cannot_be_decoded_are_counted(sample_clip: Path, tmp_path: Path) -> None:
    damaged = clips.damaged(sample_clip, tmp_path / "damaged.mp4", bursts=12, burst_bytes=3000)
    report = analyze(damaged, FACE)
    missing = len(media.open_media(damaged).video.time_s) - len(report.tracks["face"])
    assert missing > 0, "or the test shows nothing"
    assert any(f"{missing} pictures of the recording could not be decoded" in text for text in report.quality.warnings)


# ---- the same answer each time


def test_the_same_bytes_for_any_number_of_workers_and_each_run(sample_clip: Path, tmp_path: Path) -> None:
    for name, workers in (("one", 1), ("two", 2), ("again", 2)):
        with Analyzer(Settings(workers=workers)) as analyzer:
            analyzer.analyze(sample_clip).write(tmp_path / name, ("json", "csv"))
    first = sorted(path.name for path in (tmp_path / "one").iterdir())
    assert len(first) >= 3
    for name in first:
        content = (tmp_path / "one" / name).read_bytes()
        assert content == (tmp_path / "two" / name).read_bytes(), name
        assert content == (tmp_path / "again" / name).read_bytes(), name


# ---- real people, nobody in pain


@pytest.mark.parametrize("name", ["bbaf2n", "brbk7n", "lbax4n", "lwbsza", "sbwe5n", "swiz3n"])
def test_neutral_talkers_score_low(analyzer: Analyzer, shared_data: Path, name: str) -> None:
    report = analyzer.analyze(shared_data / "clips" / f"{name}.mpg")
    assert report.clip.verdict == "scored"
    assert report.clip.pspi is not None
    assert report.clip.pspi.mean < 2.0
    assert report.clip.pspi.mean_low < 0.5
    assert report.quality.voiced_s is not None and report.quality.voiced_s > 0.5
    assert report.tracks["face"].has_reason("speaking").mean() > 0.2


def test_the_smile_shows_au12(analyzer: Analyzer, shared_data: Path) -> None:
    report = analyzer.analyze(shared_data / "clips" / "single_face.mp4")
    smile = report.tracks["face"].column("AU12")
    assert np.nanmedian(smile[:10]) < 1
    assert np.nanmedian(smile[-20:]) > 3


def test_a_quiet_face_stays_flat(analyzer: Analyzer, shared_data: Path) -> None:
    report = analyzer.analyze(shared_data / "clips" / "baseline.mp4")
    assert report.clip.pspi is not None
    assert report.clip.pspi.p95 < 1
    assert report.peaks == ()


def test_no_face_is_refused(analyzer: Analyzer, shared_data: Path) -> None:
    report = analyzer.analyze(shared_data / "clips" / "no_face.mp4")
    assert report.clip.verdict == "not_enough_evidence"
    assert report.clip.reasons == ("no_face",)
    assert report.clip.pspi is None
    assert report.quality.face_usable_s == 0
    assert np.isnan(report.tracks["face"].column("pspi")).all()


def test_a_face_that_leaves(analyzer: Analyzer, shared_data: Path) -> None:
    report = analyzer.analyze(shared_data / "clips" / "face_noface.mov")
    usable = report.tracks["face"].time_s[report.tracks["face"].valid]
    assert 2.0 < usable[-1] < 3.2
    assert report.quality.reasons_s["no_face"] == pytest.approx(report.media.duration_s - usable[-1], abs=0.3)


def test_a_group_is_ambiguous_until_a_person_is_chosen(shared_data: Path) -> None:
    picture = shared_data / "clips" / "multi_face.jpg"
    report = analyze(picture, FACE)
    assert report.clip.verdict == "not_enough_evidence"
    assert "several_faces" in report.clip.reasons
    chosen = [analyze(picture, dataclasses.replace(FACE, person=n)) for n in (1, 3)]
    assert all(report.clip.verdict == "scored" for report in chosen)
    assert chosen[0].tracks["face"].column("face_px")[0] != chosen[1].tracks["face"].column("face_px")[0]


# ---- baselines


def test_rest_clip_and_saved_file_give_the_same_numbers(shared_data: Path, tmp_path: Path) -> None:
    rest, clip = shared_data / "clips" / "baseline.mp4", shared_data / "clips" / "baseline.mp4"
    with Analyzer(FACE) as analyzer:
        analyzer.make_baseline(rest).save(tmp_path / "person.json")
    by_clip = analyze(clip, dataclasses.replace(FACE, baseline=rest))
    by_file = analyze(clip, dataclasses.replace(FACE, baseline=tmp_path / "person.json"))
    assert (by_clip.baseline.kind, by_file.baseline.kind) == ("rest_clip", "saved")
    assert by_file.baseline.source == "baseline.mp4"
    np.testing.assert_allclose(by_clip.tracks["face"].column("pspi"), by_file.tracks["face"].column("pspi"), atol=2e-3)


def test_no_baseline_has_a_wider_interval(shared_data: Path) -> None:
    clip = shared_data / "clips" / "baseline.mp4"
    auto, none = (analyze(clip, dataclasses.replace(FACE, baseline=kind)).clip.pspi for kind in ("auto", "none"))
    assert auto is not None and none is not None
    assert none.mean_high - none.mean_low > auto.mean_high - auto.mean_low
    assert none.mean_low < 1, "the interval must reach the truth: this man is at rest"


def test_a_rest_clip_without_a_face_is_refused(shared_data: Path) -> None:
    with pytest.raises(BaselineError, match=r"usable face, got 0\.0 s"):
        analyze(
            shared_data / "clips" / "baseline.mp4",
            dataclasses.replace(FACE, baseline=shared_data / "clips" / "no_face.mp4"),
        )


# ---- wrong use


def test_the_provider_asked_for_reaches_the_network(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    model, asked = action_units.estimator(), set()
    monkeypatch.setattr(action_units, "estimator", lambda provider="cpu": asked.add(provider) or model)
    monkeypatch.setattr(providers, "check", lambda provider: providers.NAMES[provider])
    picture = tmp_path / "face.png"
    cv2.imwrite(str(picture), doctor.drawn_face()[:, :, ::-1])
    report = analyze(picture, dataclasses.replace(FACE, provider="cuda"))
    assert report.software.provider == "cuda"
    assert asked == {"cuda"}


def test_cuda_fails_clearly_where_it_cannot_run() -> None:
    if providers.providers()["cuda"] == "":
        pytest.skip("CUDA works on this machine")
    with pytest.raises(ProviderError, match="--provider cpu"):
        Analyzer(Settings(provider="cuda"))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"modalities": ("gait",)}, "modalities"),
        ({"modalities": ()}, "modalities"),
        ({"fps": 0.0}, "fps"),
        ({"person": 0}, "person"),
        ({"face_engine": "dlib"}, "face_engine"),
    ],
)
def test_settings_refuse_what_makes_no_sense(arguments: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Settings(**arguments)  # type: ignore[arg-type]


def test_a_failed_clip_does_not_harm_the_next(
    analyzer: Analyzer, sample: Report, sample_clip: Path, tmp_path: Path
) -> None:
    (tmp_path / "empty.mp4").touch()
    with pytest.raises(MediaError):
        analyzer.analyze(tmp_path / "empty.mp4")
    assert analyzer.analyze(sample_clip).clip == sample.clip


def test_fewer_frames_a_second(sample_clip: Path, sample: Report) -> None:
    report = analyze(sample_clip, Settings(modalities=("face",), fps=8))
    assert len(report.tracks["face"]) == pytest.approx(8 * 30, abs=3)
    assert report.clip.pspi is not None and sample.clip.pspi is not None
    assert report.clip.pspi.mean == pytest.approx(sample.clip.pspi.mean, abs=0.2)


def test_segments_cover_every_frame_once_and_begin_after_key_frames(tmp_path: Path) -> None:
    for name, gop in (("long.mp4", 50), ("short.mkv", 10), ("one.mp4", 1000)):
        video = media.open_media(clips.make_clip(tmp_path / name, seconds=20, fps=25, gop=gop)).video
        assert video is not None
        assert np.isin(video.key_s, video.time_s).all()
        segments = _segments(video)
        assert len(segments) > 4
        assert segments[0][0] == video.time_s[0]
        assert [stop for _, stop in segments[:-1]] == [start for start, _ in segments[1:]]
        counts = [((video.time_s >= start) & (video.time_s < stop)).sum() for start, stop in segments]
        assert min(counts) > 0
        assert sum(counts) == len(video.time_s)
        if gop < 1000:
            assert all(np.abs(video.key_s + RUN_IN_S - start).min() < 1e-9 for start, _ in segments[1:])
