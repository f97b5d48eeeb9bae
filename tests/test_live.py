"""Live frames and sound give the same answers a recording gets."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from painsense import media
from painsense.errors import BaselineError
from painsense.landmarks import Image
from painsense.pipeline import Analyzer, Settings


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
