"""Live frames and sound give the same answers a recording gets."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import painsense.live
from painsense import coach, media
from painsense.errors import BaselineError
from painsense.landmarks import Image
from painsense.live import REST_S, Live, LiveWindow
from painsense.pipeline import Analyzer, Settings
from painsense.voice import VoiceStream, low_level


@pytest.fixture(scope="module")
def analyzer() -> Iterator[Analyzer]:
    with Analyzer(Settings()) as analyzer:
        yield analyzer


def frames(path: Path, start_s: float, stop_s: float) -> Iterator[tuple[float, Image]]:
    yield from media.read_frames(media.open_media(path), start_s, stop_s)


def test_rest_then_pain(analyzer: Analyzer, sample_clip: Path) -> None:
    live = analyzer.live()
    for time_s, image in frames(sample_clip, 0.0, 4.0):
        moment = live.frame(image, time_s)
    assert moment.valid
    assert moment.pose_deg is not None and np.abs(moment.pose_deg).max() < 15
    neutral = live.take_neutral()
    assert neutral.frames > 90
    peak = max(live.frame(image, time_s).pspi or 0.0 for time_s, image in frames(sample_clip, 11.0, 13.0))
    assert peak > 4
    for start_s, samples in media.read_audio(media.open_media(sample_clip)):
        live.sound(samples, start_s)
    report = live.finish()
    assert report.clip.verdict == "scored"
    assert report.media.sha256 is None
    assert report.baseline.kind == "rest_clip"
    assert report.clip.pspi is not None and report.clip.pspi.peak > 4
    assert report.quality.voiced_s is not None and report.quality.voiced_s > 1


def test_a_frame_without_a_face_says_so(analyzer: Analyzer) -> None:
    moment = analyzer.live().frame(np.zeros((360, 640, 3), np.uint8), 0.0)
    assert not moment.valid
    assert moment.reasons == ("no_face",)
    assert moment.pspi is None
    assert moment.action_units == {}
    assert moment.face_px is None


def test_a_rest_phase_without_a_face_is_refused(analyzer: Analyzer) -> None:
    live = analyzer.live()
    with pytest.raises(BaselineError, match=r"got 0\.0 s"):
        live.take_neutral()


def test_time_must_rise(analyzer: Analyzer) -> None:
    live = analyzer.live()
    blank = np.zeros((64, 64, 3), np.uint8)
    live.frame(blank, 1.0)
    with pytest.raises(ValueError, match="time must rise"):
        live.frame(blank, 1.0)


def test_finishing_without_a_frame_is_not_enough_evidence(analyzer: Analyzer, tmp_path: Path) -> None:
    report = analyzer.live().finish()
    assert report.clip.verdict == "not_enough_evidence"
    assert report.write(tmp_path, ("json",), "live")


def play(live: Live, clip: Path, start_s: float, stop_s: float) -> list[LiveWindow]:
    """Frames and sound as they would come; the windows on the way."""
    given = []
    sound = np.concatenate([samples for _, samples in media.read_audio(media.open_media(clip))])
    at = round(start_s * 16_000)
    for time_s, image in frames(clip, start_s, stop_s):
        live.frame(image, time_s)
        while at + 800 <= time_s * 16_000:
            live.sound(sound[at : at + 800], at / 16_000)
            at += 800
        window = live.window()
        if window is not None:
            given.append(window)
    return given


def test_windows_follow_face_and_voice(analyzer: Analyzer, sample_clip: Path) -> None:
    live = analyzer.live()
    at_rest = play(live, sample_clip, 0.0, 3.2)
    assert [window.result.end_s for window in at_rest] == [2.0, 2.5, 3.0]
    assert live.rest_s == pytest.approx(3.2, abs=0.1)
    live.take_neutral()
    later = {window.result.end_s: window for window in play(live, sample_clip, 3.2, 14.2)}
    calm, spoken, pain = later[4.0], later[8.0], later[13.5]
    assert calm.voice is not None and calm.voice.sound == "silence" and calm.voice.reasons == ("silent",)
    assert calm.result.voice_weight == 0
    assert spoken.voice is not None and spoken.voice.sound == "speech"
    assert spoken.voice.f0_hz == pytest.approx(245, abs=20)
    assert pain.result.score is not None and calm.result.score is not None
    assert pain.result.score > 4 > 1 > calm.result.score
    assert pain.result.low is not None and pain.result.high is not None
    assert 0 <= pain.result.low <= pain.result.score <= pain.result.high <= 10
    assert pain.result.pspi is not None and pain.result.pspi > 5
    assert pain.action_units["AU4"] > 2 and pain.action_units["AU43"] > 0.5
    assert pain.voice is not None and pain.voice.sound == "nonverbal" and pain.voice.against == "recording"
    assert pain.voice.f0_change_semitones is not None and pain.voice.f0_change_semitones > 2
    assert pain.result.voice_weight is not None and pain.result.voice_weight > 0.05


def test_a_window_is_what_a_recording_gets(analyzer: Analyzer, sample_clip: Path) -> None:
    live = analyzer.live()
    seen = {window.result.end_s: window.result for window in play(live, sample_clip, 0.0, 5.2)}
    with Analyzer(Settings(baseline="none")) as recorded:
        same = {window.end_s: window for window in recorded.analyze(sample_clip).windows}
    for end_s, window in seen.items():
        assert window.pspi == pytest.approx(same[end_s].pspi, abs=0.3)
        assert window.score == pytest.approx(same[end_s].score, abs=0.3)


def test_the_voice_of_the_rest_phase_is_what_later_voice_is_compared_with(
    analyzer: Analyzer, sample_clip: Path
) -> None:
    live = analyzer.live()
    play(live, sample_clip, 0.0, 9.2)  # at rest, then speaking
    neutral = live.take_neutral()
    assert neutral.voice["voiced_s"] > 1
    moan = play(live, sample_clip, 9.2, 13.2)[-1]
    assert moan.voice is not None and moan.voice.against == "rest_clip"
    report = live.finish()
    assert report.voice is not None and report.voice.compared_with == "rest_clip"
    assert report.voice.f0_hz is not None and report.voice.f0_hz.against == "rest_clip"


def test_what_nobody_asked_for_in_time_is_left_out(analyzer: Analyzer) -> None:
    live = analyzer.live()
    blank = np.zeros((90, 160, 3), np.uint8)
    assert live.window() is None
    live.frame(blank, 1.0)
    assert live.window() is None
    live.frame(blank, 4.1)
    window = live.window()
    assert window is not None and window.result.end_s == 4.0
    assert window.result.pspi is None and window.result.score is None
    assert window.score_reason == "too_little_evidence"
    assert window.voice is None
    assert live.window() is None


def test_neither_face_nor_voice_waits_long_for_the_other(analyzer: Analyzer) -> None:
    live = analyzer.live()
    live.frame(np.zeros((90, 160, 3), np.uint8), 0.1)
    live.sound(np.zeros(16_000 * 2, np.float32), 0.0)
    assert live.window() is None  # the face may still come
    live.sound(np.zeros(8_000, np.float32), 2.0)
    window = live.window()
    assert window is not None and window.result.end_s == 2.0


def test_what_is_kept_are_blocks_and_the_last_seconds(analyzer: Analyzer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(painsense.live, "BLOCK", 20)
    live = analyzer.live()
    blank = np.zeros((36, 64, 3), np.uint8)
    for k in range(45):
        live.frame(blank, 0.2 * k)
    assert (len(live._kept), len(live._open)) == (2, 5)
    assert live._recent[0].time_s[0] == pytest.approx(0.2 * 44 - 5.0, abs=0.25)
    report = live.finish()
    assert report.media.frames == 45
    np.testing.assert_allclose(report.tracks["face"].time_s, 0.2 * np.arange(45))


@pytest.mark.parametrize("last_s", [2.0, 10.0, float("inf")])
def test_the_voice_so_far_is_the_voice_of_what_was_heard(sample_clip: Path, last_s: float) -> None:
    sound = np.concatenate([samples for _, samples in media.read_audio(media.open_media(sample_clip))])
    stream = VoiceStream()
    for at in range(0, len(sound), 1000):
        stream.push(0.5 + at / 16_000, sound[at : at + 1000])
        if at % 64_000 == 0 and at:
            heard = low_level(sound[: at + 1000], 16_000, 0.5)
            track = stream.so_far(last_s)
            assert len(track) >= min(len(heard), last_s * 100)
            assert last_s > 10 or len(track) <= last_s * 100 + 800
            np.testing.assert_allclose(track.time_s, heard.time_s[-len(track) :], atol=1e-9)
            level = heard.column("level_dbfs")[-len(track) :]
            np.testing.assert_array_equal(track.column("level_dbfs"), level)
            if len(track) == len(heard):
                np.testing.assert_array_equal(track.values, heard.values)
    np.testing.assert_array_equal(stream.finish().values, low_level(sound, 16_000).values)  # it was not disturbed


def test_the_coach_says_what_is_first_to_be_done(analyzer: Analyzer, sample_clip: Path) -> None:
    live = analyzer.live()
    play(live, sample_clip, 0.0, 1.0)
    assert live.advice() == ()
    dark = [(time_s, image // 6) for time_s, image in frames(sample_clip, 1.0, 1.6)]
    for time_s, image in dark:
        live.frame(image, time_s)
    assert [advice.code for advice in live.advice()] == ["too_dark"]
    assert live.advice()[0].blocks
    blank = np.zeros((360, 640, 3), np.uint8)
    for k in range(20):
        live.frame(blank, 1.7 + 0.04 * k)
    live.sound(np.zeros(48_000, np.float32), 1.0)
    assert [advice.text for advice in live.advice()] == [
        "I cannot see a face. Sit in front of the camera, with your whole face in the picture.",
        "I cannot hear you. Check that the microphone is switched on.",
    ]


def test_a_head_that_moves_is_told_to_hold_still(analyzer: Analyzer, sample_clip: Path) -> None:
    live = analyzer.live()
    for time_s, image in frames(sample_clip, 0.0, 0.6):
        moment = live.frame(image, time_s)
    assert not moment.moving
    for k, (time_s, image) in enumerate(frames(sample_clip, 0.6, 1.2)):
        moment = live.frame(np.roll(image, 8 * k, axis=1), time_s)
    assert moment.moving
    assert coach.MOVING in [advice.code for advice in live.advice()]


def test_too_few_pictures_a_second_are_said(analyzer: Analyzer, sample_clip: Path) -> None:
    live = analyzer.live()
    image = next(frames(sample_clip, 0.0, 1.0))[1]
    for k in range(5):
        live.frame(image, 0.1 + 0.4 * k)
    assert live.advice() == ()  # it has only begun
    live.frame(image, 2.2)
    assert [advice.code for advice in live.advice()] == [coach.TOO_SLOW]


def test_every_reason_that_blocks_a_face_has_advice() -> None:
    from painsense.face import REASONS

    blocking = [reason.code for reason in REASONS if reason.blocking]
    assert [advice.blocks for advice in coach.advise(blocking)] == [True] * len(blocking)
    assert coach.advise(["blink", "speaking", "unvoiced"]) == ()
    assert REST_S == 8.0


def test_without_a_rest_phase_the_calm_moments_stand_for_it(analyzer: Analyzer, sample_clip: Path) -> None:
    live = analyzer.live()
    for time_s, image in frames(sample_clip, 10.0, 14.0):
        live.frame(image, time_s)
    report = live.finish()
    assert report.baseline.kind == "auto"
    assert report.clip.pspi is not None
