"""From file to report: the bundled clip against its truth, real clips, hard cases, and the same answer each time."""

from __future__ import annotations

import csv
import dataclasses
from pathlib import Path

import clips
import cv2
import numpy as np
import pytest
from scipy import signal

from painsense import action_units, doctor, media, providers
from painsense.assemble import assemble, observe
from painsense.errors import BaselineError, MediaError, ProviderError
from painsense.fusion import Fusion
from painsense.pipeline import Analyzer, Settings, analyze
from painsense.report import Report
from painsense.segments import RUN_IN_S, segments
from training.simulate import voice as simulated

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
    score = sample.clip.score
    assert score is not None and sample.clip.score_reason is None
    assert score.low <= score.value <= score.high and score.peak_low <= score.peak <= score.peak_high
    assert sum(sample.clip.modalities.values()) == pytest.approx(1, abs=1e-3)
    assert sample.scale is not None and sample.scale.label_kind == "simulated_level"
    assert sample.clip.pspi is not None
    assert sample.clip.pspi.mean_low <= sample.clip.pspi.mean <= sample.clip.pspi.mean_high
    assert sample.baseline.kind == "auto"
    assert [window.start_s for window in sample.windows[:3]] == [0.0, 0.5, 1.0]
    networks = {"face_landmarker", "face_shape", "action_units", "voice_segments", "fusion"}
    assert {model.name for model in sample.software.models} == networks


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


def test_a_rest_clip_without_a_face_is_refused_before_the_recording_is_looked_at(shared_data: Path) -> None:
    rest = shared_data / "clips" / "no_face.mp4"
    told: list[float] = []
    with pytest.raises(BaselineError, match=r"usable face, got 0\.0 s"):
        analyze(
            shared_data / "clips" / "baseline.mp4",
            dataclasses.replace(FACE, baseline=rest),
            progress=lambda done_s, _: told.append(done_s),
        )
    assert max(told) == pytest.approx(media.open_media(rest).duration_s)


def test_a_recording_compared_with_itself_is_read_once(shared_data: Path) -> None:
    clip = shared_data / "clips" / "baseline.mp4"
    told: list[tuple[float, float]] = []
    with Analyzer(dataclasses.replace(FACE, baseline=clip)) as analyzer:
        report = analyzer.analyze(clip, progress=lambda *at: told.append(at))
        assert told[-1] == pytest.approx((report.media.duration_s, report.media.duration_s))
        assert report.baseline.kind == "rest_clip"
        assert report.baseline.frames == analyzer.make_baseline(clip).frames


# ---- the voice against the voice at rest


def test_the_moan_of_the_sample_is_higher_than_its_speech(sample: Report) -> None:
    assert sample.voice is not None
    assert (sample.voice.compared_with, sample.voice.automatic_gain) == ("recording", None)
    pitch = sample.voice.strongest.changes[0]
    assert pitch.measure == "f0_semitone"
    assert 5 < pitch.change < 9
    assert 11.5 < pitch.start_s < pitch.end_s < 14.5
    assert "semitones higher than in the calmest voice of this recording" in pitch.text
    strongest = max(sample.peaks, key=lambda peak: peak.pspi)
    assert strongest.voice_change is not None and strongest.voice_change.state == "changed"
    smile = max(sample.peaks, key=lambda peak: peak.action_units["AU12"])
    assert smile.voice_change is not None and smile.voice_change.state == "not_enough_voice"
    assert set(strongest.voice) == {"f0_hz", "hnr_db"}, "no level, which depends on the microphone"


def test_the_kinds_of_sound_of_the_sample(sample: Report) -> None:
    def kind(at_s: float) -> str:
        return next(segment.kind for segment in sample.segments if segment.start_s <= at_s < segment.end_s)

    assert [kind(at_s) for at_s in (2.0, 6.0, 8.0, 10.0, 12.8, 16.0)] == [
        "silence",
        "speech",
        "speech",
        "silence",
        "nonverbal",
        "silence",
    ]
    assert not sample.tracks["voice"].has_reason("lips_still").any(), "the person speaks"
    assert sample.voice is not None and sample.voice.strongest.changes[0].sound == "nonverbal"
    assert sample.segments[0].start_s == pytest.approx(sample.tracks["voice"].time_s[0] - 0.005)


def test_speech_beside_still_lips_is_another_persons(sample: Report, sample_clip: Path) -> None:
    """The sample's speech laid under the still face at its beginning."""
    with Analyzer() as analyzer:
        raw, voice = analyzer._tracks(media.open_media(sample_clip), None)
        assert raw is not None and voice is not None
        moved = dataclasses.replace(voice, time_s=voice.time_s - 5.0)  # speech from 0.2 s to 3.7 s
        observed, network = observe(raw, moved, None, "cpu"), analyzer.fusion
    report = assemble(sample.media, sample.software, ("face", "voice"), observed, network, sample.baseline, [])
    flagged = report.tracks["voice"].has_reason("lips_still")
    assert flagged.mean() > 0.05
    assert report.tracks["voice"].valid[flagged].any(), "a remark, not a failure"
    assert any("lips are still: perhaps another person" in warning for warning in report.quality.warnings)
    assert report.quality.reasons_s["lips_still"] > 1
    assert not report.tracks["face"].has_reason("speaking")[raw.time_s < 3.5].any()


def spoken(path: Path, f0_hz: float, seed: int = 3) -> Path:
    """A recording of four seconds with three of a vowel."""
    rng = np.random.default_rng(seed)
    who = dataclasses.replace(simulated.speaker(np.random.default_rng(1), "man"), f0_hz=f0_hz)
    scene = simulated.scene(4, [(0.5, simulated.vowel(3, rng, speaker=who))])
    y = simulated.microphone(scene, rng, snr_db=35).y
    return clips.make_sound(path, signal.resample_poly(y, 3, 1)[None], "pcm_s16le")


def test_sound_alone_is_compared_with_a_rest_recording(tmp_path: Path) -> None:
    rest, cry = spoken(tmp_path / "rest.wav", 120), spoken(tmp_path / "cry.wav", 190)
    report = analyze(cry, Settings(modalities=("voice",), baseline=rest))
    assert report.voice is not None
    assert (report.voice.compared_with, report.voice.source) == ("rest_clip", "rest.wav")
    changes = {change.measure: change for change in report.voice.strongest.changes}
    assert changes["f0_semitone"].change == pytest.approx(12 * np.log2(190 / 120), abs=0.3)
    assert report.voice.f0_hz is not None and report.voice.f0_hz.median == pytest.approx(120, rel=0.02)
    same = analyze(spoken(tmp_path / "same.wav", 120, seed=4), Settings(modalities=("voice",), baseline=rest)).voice
    assert same is not None and same.strongest.state == "no_clear_change"


def test_the_rest_clip_counts_in_the_progress_and_is_read_once(tmp_path: Path) -> None:
    rest, cry = spoken(tmp_path / "rest.wav", 120), spoken(tmp_path / "cry.wav", 190)
    with Analyzer(Settings(modalities=("voice",), baseline=rest)) as analyzer:
        for seconds in (8.0, 4.0):  # each lasts 4 s
            told: list[tuple[float, float]] = []
            report = analyzer.analyze(cry, progress=lambda *at, told=told: told.append(at))
            assert report.voice is not None and report.voice.compared_with == "rest_clip"
            done, whole = zip(*told, strict=True)
            assert set(whole) == {done[-1]} and done[-1] == pytest.approx(seconds, abs=0.01)
            assert list(done) == sorted(done)


def test_reading_the_rest_clip_can_be_stopped(tmp_path: Path) -> None:
    rest, cry = spoken(tmp_path / "rest.wav", 120), spoken(tmp_path / "cry.wav", 190)

    class Stopped(Exception):
        pass

    def stop(done_s: float, whole_s: float) -> None:
        assert done_s <= 4.0 < whole_s, "it went on with the recording"
        raise Stopped

    with Analyzer(Settings(modalities=("voice",), baseline=rest)) as analyzer:
        with pytest.raises(Stopped):
            analyzer.analyze(cry, progress=stop)
        report = analyzer.analyze(cry)  # and it is read whole the next time
    assert report.voice is not None and report.voice.rest_voiced_s == pytest.approx(3, abs=0.3)


def test_a_saved_baseline_keeps_the_voice(sample_clip: Path, sample: Report, tmp_path: Path) -> None:
    with Analyzer() as analyzer:
        neutral = analyzer.make_baseline(sample_clip)
    neutral.save(tmp_path / "person.json")
    assert neutral.voice["voiced_s"] == pytest.approx(sample.quality.voiced_s, abs=0.2)
    saved = Settings(modalities=("voice",), baseline=tmp_path / "person.json")
    heard = analyze(sample_clip, saved).voice
    assert heard is not None
    assert (heard.compared_with, heard.source) == ("saved", "episode.mp4")
    assert heard.f0_hz is not None and heard.f0_hz.median == pytest.approx(neutral.voice["f0_hz"], rel=1e-3)
    assert heard.rest_voiced_s == neutral.voice["voiced_s"]


def test_a_silent_rest_clip_is_said(shared_data: Path) -> None:
    rest = shared_data / "clips" / "single_face.mp4"
    clip = shared_data / "clips" / "swiz3n.mpg"
    report = analyze(clip, Settings(modalities=("voice",), baseline=rest))
    assert report.voice is not None
    assert report.voice.compared_with == "none"
    assert "the rest clip holds 0.0 s of usable voice, at least 1 s is needed" in report.voice.why


def test_without_sound_nothing_is_said_of_the_voice(shared_data: Path) -> None:
    report = analyze(shared_data / "clips" / "swiz3n.mpg", FACE)
    assert report.voice is None
    assert report.segments == ()
    assert {peak.voice_change for peak in report.peaks} <= {None}


# ---- wrong use


def test_the_provider_asked_for_reaches_the_network(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    model, load, asked, of_fusion = action_units.estimator(), Fusion.load, set(), set()
    monkeypatch.setattr(action_units, "estimator", lambda provider="cpu": asked.add(provider) or model)
    monkeypatch.setattr(Fusion, "load", lambda content, provider="cpu": of_fusion.add(provider) or load(content))
    monkeypatch.setattr(providers, "check", lambda provider: providers.NAMES[provider])
    picture = tmp_path / "face.png"
    cv2.imwrite(str(picture), doctor.drawn_face()[:, :, ::-1])
    report = analyze(picture, dataclasses.replace(FACE, provider="cuda"))
    assert report.software.provider == "cuda"
    assert asked == of_fusion == {"cuda"}


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
        spans = segments(video)
        assert len(spans) > 4
        assert spans[0][0] == video.time_s[0]
        assert [stop for _, stop in spans[:-1]] == [start for start, _ in spans[1:]]
        counts = [((video.time_s >= start) & (video.time_s < stop)).sum() for start, stop in spans]
        assert min(counts) > 0
        assert sum(counts) == len(video.time_s)
        if gop < 1000:
            assert all(np.abs(video.key_s + RUN_IN_S - start).min() < 1e-9 for start, _ in spans[1:])
