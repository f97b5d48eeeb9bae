"""The score of a recording, its interval, its refusals and what it rests on, with a network whose answers are known."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import cast

import numpy as np
import pytest
from make_fusion import face_track, make_network, make_spec, voice_track

from painsense import scoring, windows, words
from painsense.assemble import Observed, assemble
from painsense.errors import ModelError
from painsense.fusion import FACE, Fusion, FusionInputs, FusionScores
from painsense.pipeline import Analyzer, Settings
from painsense.report import BaselineStamp, MediaSummary, Report, Software, schema
from painsense.tracks import Track
from painsense.verdict import peak_result, peaks, window_results

SECONDS = 12.0
GRID = windows.grid(SECONDS)
TIME_S = (np.arange(round(SECONDS * 25)) + 0.5) / 25


@pytest.fixture(scope="module")
def network() -> Fusion:
    """The score is AU4 in the last fifth of a second of the window, and the interval reaches AU6 either way."""
    return Fusion.load(make_network(make_spec()))


def course(network: Fusion, face: Track | None, voice: Track | None = None) -> scoring.Course:
    return scoring.course(network, face, voice, (), GRID)


def lost(track: Track, where: np.ndarray) -> Track:
    """The same track with no usable face in part of it."""
    blocking = next(k for k, reason in enumerate(track.reasons) if reason.blocking)
    values, bits = track.values.copy(), track.reason_bits.copy()
    values[where], bits[where] = np.nan, 1 << blocking
    return Track(track.modality, track.columns, track.reasons, track.time_s, values, bits)


def test_the_score_of_a_recording_is_the_mean_over_its_windows_and_names_the_highest(network: Fusion) -> None:
    au4 = np.where((TIME_S > 6) & (TIME_S < 8), 4.0, 1.0)
    scored = course(network, face_track(SECONDS, AU4=au4, AU6=0.5))
    score, why = scoring.summarise(scored, SECONDS)
    assert score is not None and why is None
    high = int((scored.scores.score > 2).sum())
    assert high == 4  # the windows that end at 6.5, 7, 7.5 and 8 s
    assert score.value == pytest.approx((4 * high + 1 * (21 - high)) / 21, abs=1e-4)
    assert score.value - score.low == pytest.approx(0.5, abs=1e-4)
    assert (score.peak, score.peak_low, score.peak_high) == pytest.approx((4.0, 3.5, 4.5))
    assert score.peak_s == 5.5
    assert scoring.weights(scored) == {"face": 1.0}
    assert peaks(None, scored) == [5.5]


def test_a_window_without_face_and_voice_has_no_score(network: Fusion) -> None:
    gone = (TIME_S > 4) & (TIME_S < 8)
    scored = course(network, lost(face_track(SECONDS, AU4=2.0, AU6=0.5), gone), voice_track(SECONDS, voiced=False))
    inside = (GRID.start_s >= 4) & (GRID.end_s <= 8)
    assert not scored.scores.valid[inside].any()
    assert {scored.reason(k) for k in np.flatnonzero(inside)} == {"too_little_evidence"}
    results = window_results(None, None, GRID, scored)
    assert results[0].score == pytest.approx(2.0) and results[0].valid and results[0].face_weight == 1
    middle = results[int(np.flatnonzero(inside)[0])]
    assert (middle.score, middle.low, middle.high, middle.face_weight) == (None, None, None, None)
    assert middle.reasons == ("too_little_evidence",)


@pytest.mark.parametrize(
    ("until_s", "au6", "reason"),
    [(12.0, 0.5, None), (3.4, 0.5, None), (2.0, 0.5, "too_little_evidence"), (12.0, 3.0, "interval_too_wide")],
)
def test_a_recording_needs_enough_scored_windows(
    network: Fusion, until_s: float, au6: float, reason: str | None
) -> None:
    scored = course(network, lost(face_track(SECONDS, AU4=1.0, AU6=au6), until_s < TIME_S))
    score, why = scoring.summarise(scored, SECONDS)
    assert why == reason
    assert (score is None) == (reason is not None)
    if reason is not None:
        assert words.reason_words(reason).text.startswith("No score")


def test_a_single_picture_has_no_score(network: Fusion) -> None:
    scored = scoring.course(network, face_track(0.04, AU4=1.0), None, (), windows.grid(0.0))
    assert scoring.summarise(scored, 0.0) == (None, "no_course")
    assert scoring.rests_on(network, scored) is None and scoring.weights(scored) == {}


def test_what_a_score_rests_on_is_what_the_network_says_without_it(network: Fusion) -> None:
    scored = course(network, face_track(SECONDS, AU4=3.0, AU6=0.5, AU9=2.0), voice_track(SECONDS))
    found = scoring.rests_on(network, scored)
    assert found is not None and found.score == pytest.approx(3.0)
    # this network knows AU4 and AU6 only: without the face there is no score, the voice changes nothing
    assert [(other.part, other.score) for other in found.alternatives] == [("without_face", None), ("brows", 0.0)]
    assert words.alternative_text(found.alternatives[1]) == "0.0 with the brows as at rest (AU1, AU2, AU4)"
    assert words.alternative_text(found.alternatives[0]).startswith("no score")


def test_the_names_of_the_parts_are_names_the_network_is_fed() -> None:
    names = {name for group in scoring._UNITS_AT_REST.values() for name in group}
    assert names == set(FACE) - {"neutral_known"}


def test_a_scale_is_told_in_words(network: Fusion) -> None:
    scale = scoring.scale(network)
    assert words.scale_text(scale) == "The score estimates self-reported pain on a visual analogue scale. For tests."
    other = replace(scale, label_kind="pspi_frame", label_high=16.0, notes="")
    assert words.scale_text(other) == "The score estimates PSPI as coded by people (0 stands for 0, 10 for 16 of it)."


# ---- in a whole analysis


@pytest.fixture(scope="module")
def own_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("model") / "mine.onnx"
    path.write_bytes(make_network(make_spec(name="mine", version="7")))
    return path


def test_a_model_of_ones_own_scores_and_the_report_names_it(own_model: Path, sample_clip: Path) -> None:
    with Analyzer(Settings(fusion_model=own_model)) as analyzer:
        report = analyzer.analyze(sample_clip)
    assert report.scale is not None and (report.scale.model, report.scale.label_kind) == ("mine", "vas")
    assert ("mine", "7") in {(model.name, model.version) for model in report.software.models}
    assert report.software.settings["fusion_model"] == "mine.onnx"
    face = report.tracks["face"]
    window = next(w for w in report.windows if w.score is not None)
    last = (face.time_s >= window.end_s - 0.2) & (face.time_s < window.end_s)
    assert window.score == pytest.approx(float(np.nanmean(face.column("AU4")[last])), abs=0.05)
    _follows_the_schema(report)


def test_the_shipped_model_tells_the_pain_of_the_bundled_clip_from_its_smile(sample_clip: Path) -> None:
    with Analyzer() as analyzer:
        report = analyzer.analyze(sample_clip)
    score = report.clip.score
    assert score is not None and 10 < score.peak_s < 15 and score.peak > 5
    smile = [w.score for w in report.windows if 19 <= w.start_s <= 20 and w.score is not None]
    assert smile and max(smile) < 3
    _follows_the_schema(report)


class OfVoice:
    """Stands in for a network: says 6 (5 to 7) from the voice wherever anything was heard."""

    spec, label_kind, label_scale = make_spec(), "vas", (0.0, 10.0)

    def __call__(self, seen: FusionInputs) -> FusionScores:
        n = len(seen)
        heard = np.isfinite(seen.voice).any(axis=(1, 2))
        score, low, high, nothing = (np.full(n, value, np.float32) for value in (6, 5, 7, np.nan))
        return FusionScores(
            np.where(heard, score, nothing), low, high, np.zeros(n), heard * 1.0, nothing, np.zeros(n, bool), heard
        )


def voice_alone(voiced: np.ndarray | bool) -> Report:
    observed = Observed(None, voice_track(SECONDS, voiced), (), False)
    media = MediaSummary("a.wav", None, SECONDS, 0, None, None, None, 0, True, 0.0, SECONDS, audio_only=True)
    software = Software("0", (), "litert", "cpu", {})
    network = cast(Fusion, OfVoice())
    return assemble(media, software, ("face", "voice"), observed, network, BaselineStamp("none", ""), [])


def test_a_voice_alone_is_scored() -> None:
    report = voice_alone(voiced=True)
    assert (report.clip.verdict, report.clip.reasons, report.clip.pspi) == ("scored", (), None)
    assert report.clip.score is not None and report.clip.score.value == 6
    assert report.clip.modalities == {"voice": 1.0}
    assert all(window.score == 6 and window.pspi is None and window.valid for window in report.windows)
    assert report.peaks and all(peak.pspi is None and peak.score == 6 for peak in report.peaks)
    _follows_the_schema(report)


def test_silence_alone_is_no_evidence_whatever_the_network_says() -> None:
    report = voice_alone(voiced=False)
    assert (report.clip.verdict, report.clip.reasons) == ("not_enough_evidence", ("no_video",))
    assert (report.clip.score, report.clip.score_reason, report.scale) == (None, "too_little_evidence", None)
    assert {window.reasons for window in report.windows} == {("too_little_evidence",)}
    _follows_the_schema(report)


def test_a_peak_of_the_score_is_a_frame_where_there_is_one(network: Fusion) -> None:
    """The face is there for 5 s only; nothing of it is told of a moment it was not there for."""
    seen = face_track(5.0, AU4=4.0, AU6=0.5)
    scored = replace(course(network, seen, voice_track(SECONDS)))
    late = replace(scored.scores, score=np.where(GRID.start_s >= 8, np.float32(7), scored.scores.score))
    scored = replace(scored, scores=late)
    found = peaks(seen, scored)
    assert found[0] in seen.time_s
    assert found[-1] > 8 and peak_result(seen, None, scored, found[-1]).pspi is None
    assert peak_result(seen, None, scored, found[0]).pspi is not None


@pytest.mark.parametrize("content", [None, b"", b"no model"])
def test_a_wrong_model_is_said_before_the_first_clip(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "mine.onnx"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ModelError, match=r"mine\.onnx|ONNX file was expected"):
        Analyzer(Settings(fusion_model=path))


def _follows_the_schema(report: Report) -> None:
    import jsonschema

    jsonschema.validate(report.to_dict(), schema())
