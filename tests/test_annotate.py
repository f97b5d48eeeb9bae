"""The annotated video: timing, the mesh on the face, and nobody recognisable when the face is blurred."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import av
import clips
import cv2
import numpy as np
import pytest

import painsense
from painsense import annotate as module
from painsense import media, media_write
from painsense.annotate import annotate
from painsense.errors import MediaError, OutputError
from painsense.landmarks import full_view, search, thread_networks
from painsense.media_container import open_container
from painsense.report import Report

START_S, STOP_S = 24.8, 27.4  # of the bundled recording: the face looks into the camera, then leaves the picture


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A piece of the bundled recording with sound, its pictures 40 ms apart but for a hole of 200 ms."""
    sample = media.open_media(Path(__file__).resolve().parent.parent / "samples" / "episode.mp4")
    path = tmp_path_factory.mktemp("annotate") / "piece.mp4"
    with media_write.VideoFile(path, sound=True) as file:
        for number, (time_s, image) in enumerate(media.read_frames(sample, START_S, STOP_S)):
            if number not in (5, 6, 7, 8):
                file.add(time_s - START_S, image)
        for time_s, samples in media.read_audio(sample, block_s=0.1):
            if START_S <= time_s < STOP_S:
                file.add_sound(time_s - START_S, samples)
    return path


@pytest.fixture(scope="module")
def report(clip: Path) -> Report:
    return painsense.analyze(clip, painsense.Settings(workers=1))


@pytest.fixture(scope="module")
def blurred(clip: Path, report: Report) -> Path:
    return annotate(clip, report, clip.with_name("blurred.mp4"))


@pytest.fixture(scope="module")
def shown(clip: Path, report: Report) -> Path:
    return annotate(clip, report, clip.with_name("shown.mp4"), face="shown", sound=True)


def pictures(path: Path) -> Iterator[tuple[float, np.ndarray]]:
    return media.read_frames(media.open_media(path))


def found(report: Report) -> np.ndarray:
    """Where the analysis found the face, ndarray [shape=(n,), bool]."""
    return np.isfinite(report.tracks["face"].column("face_px"))


SMOOTH = 0.2  # fine detail of a picture that holds none but the noise of the coding


def fine_detail(image: np.ndarray) -> float:
    """Energy of detail of a few pixels: what a blur takes away."""
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY).astype(np.float32)
    return float(np.abs(cv2.Laplacian(cv2.GaussianBlur(grey, (0, 0), 1.0), cv2.CV_32F)).mean())


def test_the_piece_has_times_with_and_without_a_face(report: Report) -> None:
    assert 15 < found(report).sum() < len(found(report)) - 15


def test_every_picture_keeps_its_time(clip: Path, blurred: Path, shown: Path) -> None:
    before = media.open_media(clip).video
    assert before is not None
    for path in (blurred, shown):
        after = media.open_media(path).video
        assert after is not None
        np.testing.assert_allclose(after.time_s, before.time_s, atol=1e-4)
        assert (after.width_px, after.height_px) == (before.width_px, before.height_px)


def test_it_is_vp9_in_mp4_and_has_sound_only_when_asked(blurred: Path, shown: Path) -> None:
    with open_container(blurred, None) as container:
        assert [s.codec_context.name for s in container.streams] == ["vp9"]
    with open_container(shown, None) as container:
        assert [s.codec_context.name for s in container.streams] == ["vp9", "aac"]


def test_the_sound_keeps_its_time(clip: Path, shown: Path) -> None:
    def heard(path: Path) -> np.ndarray:
        whole = np.zeros(3 * media.SAMPLE_RATE_HZ, np.float32)
        for start_s, samples in media.read_audio(media.open_media(path)):
            at = round(start_s * media.SAMPLE_RATE_HZ)
            whole[at : at + len(samples)] = samples[: len(whole) - at]
        return whole

    before, after = heard(clip), heard(shown)
    both = np.fft.irfft(np.fft.rfft(after, 1 << 17) * np.conj(np.fft.rfft(before, 1 << 17)))
    lag = int(both.argmax())
    assert min(lag, (1 << 17) - lag) <= 0.005 * media.SAMPLE_RATE_HZ


def test_the_mesh_lies_on_the_face_and_nowhere_else(clip: Path, shown: Path, report: Report) -> None:
    networks = thread_networks()
    drawn = 0
    for index, ((_, before), (_, after)) in enumerate(zip(pictures(clip), pictures(shown), strict=True)):
        changed = np.abs(before.astype(int) - after).max(axis=2) > 60
        changed[round(0.9 * len(changed)) :] = False  # the caption
        if index % 6 or not found(report)[index]:
            assert found(report)[index] or changed.mean() < 0.001
            continue
        (tracked,) = search(networks, before, hard=False)
        hull = np.zeros(changed.shape, np.uint8)
        cv2.fillConvexPoly(hull, cv2.convexHull(tracked.points_px[:, :2].astype(np.int32)), 1)
        near = cv2.dilate(hull, np.ones((15, 15), np.uint8)).astype(bool)
        assert changed[hull.astype(bool)].mean() > 0.02
        assert changed[~near].mean() < 0.001
        drawn += 1
    assert drawn >= 3


def test_blurred_no_face_is_left_and_the_head_has_no_detail(
    clip: Path, report: Report, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without the mesh, which is drawn on top and looks like a face itself."""
    monkeypatch.setattr(module._Painter, "_mesh", lambda *_: None)
    bare = annotate(clip, report, tmp_path / "bare.mp4")
    networks = thread_networks()
    for index, ((_, before), (_, after)) in enumerate(zip(pictures(clip), pictures(bare), strict=True)):
        upper = slice(0, round(0.9 * len(after)))  # above the caption
        if found(report)[index]:
            (tracked,) = search(networks, before, hard=False)
            low, high = tracked.points_px[:, :2].min(axis=0), tracked.points_px[:, :2].max(axis=0)
            face = np.s_[max(int(low[1]), 0) : int(high[1]), max(int(low[0]), 0) : int(high[0])]
            assert fine_detail(after[face]) < 0.2 * fine_detail(before[face])
        else:
            assert fine_detail(after[upper]) < max(SMOOTH, 0.2 * fine_detail(before[upper]))
        assert networks.find(after, full_view(after), 0.5) == []


def test_where_the_person_was_not_found_the_whole_picture_is_blurred(
    clip: Path, report: Report, tmp_path: Path
) -> None:
    nobody = replace(report, tracks={})  # as if the analysis had found no face at all
    out = annotate(clip, nobody, tmp_path / "nobody.mp4")
    assert max(fine_detail(before) for _, before in pictures(clip)) > 4 * SMOOTH
    for (_, before), (_, after) in zip(pictures(clip), pictures(out), strict=True):
        upper = slice(0, round(0.9 * len(after)))
        assert fine_detail(after[upper]) < max(SMOOTH, 0.2 * fine_detail(before[upper]))


def test_a_face_of_another_size_than_the_analysed_one_gets_no_mesh(clip: Path, report: Report) -> None:
    track = report.tracks["face"]
    values = track.values.copy()
    values[:, track.names.index("face_px")] *= 2
    points = np.zeros((478, 2), np.float32)
    points[263, 0] = float(np.nanmedian(track.column("face_px")))
    at_s = float(track.time_s[0])
    assert module._same(points, track, at_s)
    assert not module._same(points, replace(track, values=values), at_s)
    assert not module._same(points, track, at_s + 60)
    assert not module._same(points, None, at_s)


def test_other_heads_are_covered_before_and_after_they_are_found() -> None:
    image = np.zeros((8, 8, 3), np.uint8)
    head = module._Head(4.0, 4.0, 2.0)
    seen = [module._Seen(k / 10, image, None, (head,) if k == 20 else ()) for k in range(40)]
    covered = [one.time_s for one, heads in module._covered(seen) if heads]
    assert covered == [pytest.approx(k / 10) for k in range(15, 26)]
    assert [one.time_s for one, _ in module._covered(seen)] == [one.time_s for one in seen]


def test_a_cancelled_drawing_leaves_no_file(clip: Path, report: Report, tmp_path: Path) -> None:
    class Enough(Exception):
        pass

    def progress(done_s: float, whole_s: float) -> None:
        assert 0 <= done_s <= whole_s
        if done_s > 0.5:
            raise Enough

    with pytest.raises(Enough):
        annotate(clip, report, tmp_path / "out.mp4", progress=progress)
    assert list(tmp_path.iterdir()) == []


def test_a_picture_becomes_a_picture(tmp_path: Path) -> None:
    sample = media.open_media(Path(__file__).resolve().parent.parent / "samples" / "episode.mp4")
    _, image = next(media.read_frames(sample, 0.0, 0.1))
    path = tmp_path / "face.png"
    cv2.imwrite(str(path), image[:, :, ::-1])
    report = painsense.analyze(path)
    out = annotate(path, report, tmp_path / "drawn.png", face="shown")
    drawn = cv2.imread(str(out))[:, :, ::-1]
    assert drawn.shape == image.shape
    assert (np.abs(drawn.astype(int) - image).max(axis=2) > 60).mean() > 0.01


def test_what_cannot_be_done_is_said(clip: Path, report: Report, tmp_path: Path) -> None:
    other = clips.make_clip(tmp_path / "other.mp4", seconds=0.5)
    sound = clips.make_sound(tmp_path / "sound.wav", clips.tone(0.5), "pcm_s16le")
    with pytest.raises(MediaError, match="which the report is about, got another file"):
        annotate(other, report, tmp_path / "out.mp4")
    with pytest.raises(MediaError, match="got sound alone"):
        annotate(sound, replace(report, media=replace(report.media, sha256=None)), tmp_path / "out.mp4")
    with pytest.raises(OutputError, match=r"ends in \.mp4, got \.avi"):
        annotate(clip, report, tmp_path / "out.avi")
    with pytest.raises(ValueError, match="blurred or shown, got 'hidden'"):
        annotate(clip, report, tmp_path / "out.mp4", face="hidden")
    with pytest.raises(OutputError, match="expected to write this file"):
        annotate(clip, report, tmp_path / "no such folder" / "out.mp4")


def test_a_copy_keeps_times_and_size_limits(tmp_path: Path) -> None:
    source = clips.make_clip(tmp_path / "source.avi", seconds=1.0, codec="mpeg4", size=(320, 180))
    clip = media.open_media(source)
    media_write.transcode(clip, tmp_path / "copy.mp4", max_side_px=160)
    with av.open(str(tmp_path / "copy.mp4")) as container:
        assert container.streams.video[0].codec_context.name == "vp9"
    copied = media.open_media(tmp_path / "copy.mp4").video
    assert copied is not None and clip.video is not None
    assert (copied.width_px, copied.height_px) == (160, 90)
    np.testing.assert_allclose(copied.time_s, clip.video.time_s, atol=1e-3)
