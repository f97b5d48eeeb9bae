"""Recordings of every kind, made on the spot: which frame comes, at what time, and what is said of bad ones."""

from __future__ import annotations

import itertools
import os
import random
import subprocess
import sys
import wave
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace

import clips
import numpy as np
import pytest

from painsense import media, media_container, media_index
from painsense.errors import MediaError
from painsense.media import Media, open_media, read_audio, read_frames

FAST_VP8 = {"codec": "libvpx", "codec_options": {"deadline": "realtime", "cpu-used": "8"}}
FAST_VP9 = {"codec": "libvpx-vp9", "codec_options": {"deadline": "realtime", "cpu-used": "8"}}
X265 = {"codec": "libx265", "codec_options": {"x265-params": "log-level=none:keyint=15:bframes=3"}}
LONG_GOP = {"gop": 250, "b_frames": 3}

#: name -> how to make it. 2 s and more, several key frames where the coding allows, sound unless it is about pictures
CLIPS = {
    "b_frames.mp4": lambda p: clips.make_clip(p, seconds=3, b_frames=3, sound=clips.tone(3)),
    "long_gop.mp4": lambda p: clips.make_clip(p, seconds=3, sound=clips.tone(3), **LONG_GOP),
    "b_frames.mov": lambda p: clips.make_clip(p, b_frames=3, sound=clips.tone(2), audio_codec="pcm_s16le"),
    "b_frames.mkv": lambda p: clips.make_clip(p, b_frames=3, sound=clips.tone(2)),
    "open_gop.mp4": clips.open_gop,
    "open_gop.mkv": clips.open_gop,
    "hevc.mp4": lambda p: clips.make_clip(p, b_frames=3, sound=clips.tone(2), **X265),
    "browser.webm": clips.browser_webm,
    "vp9.webm": lambda p: clips.make_clip(p, sound=clips.tone(2), audio_codec="libopus", **FAST_VP9),
    "mpeg4.avi": lambda p: clips.make_clip(p, codec="mpeg4", sound=clips.tone(2), audio_codec="pcm_s16le"),
    "mpeg4_b.avi": lambda p: clips.make_clip(
        p, codec="mpeg4", b_frames=2, sound=clips.tone(2), audio_codec="libmp3lame"
    ),
    "h264_b.avi": lambda p: clips.make_clip(p, b_frames=3, sound=clips.tone(2), audio_codec="libmp3lame"),
    "mpeg1.mpg": lambda p: clips.make_clip(
        p, fps=25, codec="mpeg1video", b_frames=2, sound=clips.tone(2), audio_codec="mp2"
    ),
    "mpeg2.mpg": lambda p: clips.make_clip(
        p, seconds=6, fps=Fraction(30000, 1001), codec="mpeg2video", b_frames=2, sound=clips.tone(6), audio_codec="mp2"
    ),
    "b_frames.ts": lambda p: clips.make_clip(p, b_frames=3, sound=clips.tone(2)),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("clips")


@pytest.fixture(scope="module")
def made(folder: Path) -> dict[str, Media]:
    """The clips of CLIPS, opened."""
    return {name: open_media(make(folder / name)) for name, make in CLIPS.items()}


def numbers(clip: Media, **options: float) -> list[int | None]:
    return [clips.read_number(rgb) for _, rgb in read_frames(clip, **options)]


def sound_of(clip: Media) -> np.ndarray:
    """All samples of a recording whose sound has no hole."""
    blocks = list(read_audio(clip))
    for (start_s, samples), (next_s, _) in itertools.pairwise(blocks):
        assert next_s == pytest.approx(start_s + len(samples) / media.SAMPLE_RATE_HZ, abs=1e-9)
    return np.concatenate([samples for _, samples in blocks])


def same(left: list[tuple[float, np.ndarray]], right: list[tuple[float, np.ndarray]]) -> bool:
    return [t for t, _ in left] == [t for t, _ in right] and all(
        np.array_equal(a, b) for (_, a), (_, b) in zip(left, right, strict=True)
    )


def random_stretches(clip: Media, count: int, seed: int) -> list[tuple[float, float]]:
    """Stretches of a recording: some anywhere, some beginning and ending exactly at frames, one of a single frame."""
    chance = random.Random(seed)
    times_s = clip.video.time_s.tolist()
    anywhere = [tuple(sorted(chance.uniform(-0.1, times_s[-1] + 0.1) for _ in range(2))) for _ in range(count)]
    at_frames = [tuple(sorted(chance.sample(times_s, 2))) for _ in range(count)]
    one = chance.choice(times_s)
    return [*anywhere, *at_frames, (one, one + 1e-3)]


# ---------------------------------------------------------------------------------------------------- which frame comes


@pytest.mark.parametrize("name", CLIPS)
def test_every_frame_comes_once_in_order(made: dict[str, Media], name: str) -> None:
    clip = made[name]
    assert clip.warnings == ()
    frames = list(read_frames(clip))
    assert [clips.read_number(rgb) for _, rgb in frames] == list(range(len(clip.video.time_s)))
    assert [time_s for time_s, _ in frames] == clip.video.time_s.tolist()
    assert np.all(np.diff(clip.video.time_s) > 0)


@pytest.mark.parametrize("name", CLIPS)
def test_any_stretch_is_what_reading_from_the_beginning_gives(made: dict[str, Media], name: str) -> None:
    clip = made[name]
    whole = list(read_frames(clip))
    for start_s, stop_s in random_stretches(clip, 6, seed=len(name)):
        wanted = [(time_s, rgb) for time_s, rgb in whole if start_s <= time_s < stop_s]
        assert same(list(read_frames(clip, start_s, stop_s)), wanted), (start_s, stop_s)


@pytest.mark.parametrize("name", ["b_frames.mp4", "open_gop.mkv", "mpeg1.mpg"])
@pytest.mark.parametrize("seek", ["lands_behind", "is_impossible"])
def test_a_seek_that_fails_costs_time_but_no_frame(
    made: dict[str, Media], name: str, seek: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    clip = made[name]
    whole = list(read_frames(clip, 1.0, 1.4))
    if seek == "lands_behind":
        late = np.full_like(clip.video.index.seek_ts, clip.video.index.pts.max())
        clip = replace(clip, video=replace(clip.video, index=replace(clip.video.index, seek_ts=late)))
    else:
        monkeypatch.setattr(media, "_seek", lambda *_: None)
    assert len(whole) >= 10
    assert same(list(read_frames(clip, 1.0, 1.4)), whole)


def test_time_stamps_guessed_anew_after_a_seek_are_not_believed(made: dict[str, Media]) -> None:
    """An mpg's demuxer may give other time stamps after a seek: here all differ by 10 ms from those of the index."""
    clip = made["mpeg2.mpg"]
    index = clip.video.index
    shifted = replace(index, pts=index.pts + 900, shown_pts=index.shown_pts + 900)
    whole = list(read_frames(clip, 4.0, 4.5))
    assert len(whole) == 15
    assert same(list(read_frames(replace(clip, video=replace(clip.video, index=shifted)), 4.0, 4.5)), whole)


def test_decoding_starts_where_nothing_stored_before_is_shown_after() -> None:
    pts = [0, 2, 1, 5, 3, 4, 8, 6, 7]
    codec = SimpleNamespace(reorder_depth=1)
    table = SimpleNamespace(
        stream=SimpleNamespace(index=0, codec_context=codec),
        **{"pts": pts, "dts": range(9), "size": [10] * 9, "key": [1, 0, 0, 1, 1, 0, 1, 0, 0], "shown": [1] * 9},
    )
    index = media_index._display_order(table, "mov", [])
    assert index.starts.tolist() == [0, 3, 6]  # not 4, a key frame stored after 5 and shown before it
    assert index.reorder == 1
    assert index.seek_ts.tolist() == [0, 1, 1, 3, 3, 4, 6, 6, 7]


@pytest.mark.parametrize("name", ["long_gop.mp4", "mpeg4.avi", "mpeg2.mpg"])
def test_a_false_key_frame_is_no_place_to_start_from(made: dict[str, Media], name: str) -> None:
    clip = made[name]
    index = clip.video.index
    whole = list(read_frames(clip, 1.5, 2.0))
    forward = np.flatnonzero(index.pts == np.maximum.accumulate(index.pts))
    starts = np.union1d(0, forward[forward % 10 != 0])
    lying = replace(clip, video=replace(clip.video, index=replace(index, starts=starts)))
    assert len(whole) >= 14
    assert same(list(read_frames(lying, 1.5, 2.0)), whole)


def test_reordering_that_is_not_declared_loses_no_frame(tmp_path: Path) -> None:
    clip = open_media(clips.undeclared_reordering(tmp_path / "clip.mkv"))
    assert numbers(clip) == list(range(180))


def test_hidden_pictures_are_not_counted(made: dict[str, Media], tmp_path: Path) -> None:
    whole = made["browser.webm"]
    clip = open_media(clips.with_hidden_picture(whole.path, tmp_path / "clip.webm", 33))
    shown = [k for k in range(len(whole.video.time_s)) if k != 33]
    assert clip.video.time_s.tolist() == whole.video.time_s[shown].tolist()
    assert [clips.read_number(rgb) for _, rgb in read_frames(clip)][:33] == list(range(33))
    assert len(list(read_frames(clip))) == len(shown)


def test_threads_read_at_once_and_decoder_threads_change_nothing(made: dict[str, Media]) -> None:
    clip = made["b_frames.mp4"]
    whole = list(read_frames(clip))
    assert same(list(read_frames(clip, threads=3)), whole)
    edges_s = np.linspace(0, 3, 10)
    with ThreadPoolExecutor(4) as pool:
        parts = pool.map(lambda k: list(read_frames(clip, edges_s[k], edges_s[k + 1])), range(9))
    assert same([frame for part in parts for frame in part], whole)


def test_real_recordings(shared_data: Path) -> None:
    # the last is full HD with a single key frame, and so slow to read again and again
    for name, frames, stretches in (("bbaf2n.mpg", 75, 4), ("face_noface.mov", 169, 2), ("baseline.mp4", 104, 0)):
        clip = open_media(shared_data / "clips" / name)
        assert clip.warnings == ()
        whole = list(read_frames(clip, max_side_px=320))
        assert [time_s for time_s, _ in whole] == clip.video.time_s.tolist()
        assert len(whole) == frames
        for start_s, stop_s in random_stretches(clip, stretches, seed=frames):
            wanted = [(time_s, rgb) for time_s, rgb in whole if start_s <= time_s < stop_s]
            assert same(list(read_frames(clip, start_s, stop_s, max_side_px=320)), wanted), (name, start_s, stop_s)
    phone = open_media(shared_data / "clips" / "face_noface.mov")
    assert phone.audio.start_s == pytest.approx(107164 / 44100, abs=1e-6)
    assert np.diff(phone.video.time_s).std() > 1e-3  # variable frame rate


# ---------------------------------------------------------------------------------------------------------------- times


@pytest.mark.parametrize("name", ["clip.mp4", "clip.mov", "clip.ts"])
def test_2997_frames_a_second_do_not_drift(tmp_path: Path, name: str) -> None:
    rate = Fraction(30000, 1001)
    clip = open_media(clips.make_clip(tmp_path / name, seconds=10, fps=rate, size=(64, 48)))
    assert clip.video.time_s == pytest.approx([float(k / rate) for k in range(300)], abs=1e-5)
    assert clip.video.fps == pytest.approx(29.97003, abs=1e-4)
    assert clip.duration_s == pytest.approx(10.01, abs=1e-3)


@pytest.mark.parametrize(("name", "tick_s"), [("clip.mp4", 1 / 90000), ("clip.mkv", 1e-3), ("clip.mov", 1 / 90000)])
def test_variable_frame_rate_keeps_each_time(tmp_path: Path, name: str, tick_s: float) -> None:
    times_s = clips.uneven_times(4, 25)
    assert np.ptp(np.diff(times_s)) > 0.05
    clip = open_media(clips.make_clip(tmp_path / name, times_s=times_s, b_frames=2))
    assert clip.video.time_s == pytest.approx(times_s, abs=tick_s)
    assert numbers(clip) == list(range(len(times_s)))
    assert clip.video.fps == pytest.approx((len(times_s) - 1) / times_s[-1], rel=1e-3)


def test_video_that_starts_late(tmp_path: Path) -> None:
    clip = open_media(clips.make_clip(tmp_path / "clip.mp4", video_start_s=0.5, sound=clips.tone(2)))
    assert clip.video.start_s == pytest.approx(0.5, abs=1e-6)
    assert clip.audio.start_s == 0
    assert clip.duration_s == pytest.approx(2.5, abs=1e-3)
    assert [round(t, 6) for t, _ in read_frames(clip, 0, 0.56)] == [0.5, 0.533333]


@pytest.mark.parametrize(("name", "codec"), [("clip.mp4", "aac"), ("clip.mkv", "aac"), ("clip.webm", "libopus")])
def test_sound_that_starts_late_and_ends_early(tmp_path: Path, name: str, codec: str) -> None:
    pictures = FAST_VP8 if name.endswith("webm") else {}
    sound = clips.clicks(0.9, [0.5])
    path = clips.make_clip(tmp_path / name, seconds=3, sound=sound, audio_start_s=0.7, audio_codec=codec, **pictures)
    clip = open_media(path)
    ((start_s, samples),) = read_audio(clip)
    assert start_s == pytest.approx(clip.audio.start_s, abs=1e-9)
    assert start_s == pytest.approx(0.7, abs=0.03)  # the encoder may put its run-in before
    assert start_s + np.argmax(np.abs(samples)) / 16000 == pytest.approx(1.2, abs=0.002)
    assert clip.audio.start_s + clip.audio.duration_s == pytest.approx(1.6, abs=0.03)
    assert clip.duration_s == pytest.approx(3.0, abs=0.002)


def test_a_browsers_recording_has_its_true_length(made: dict[str, Media]) -> None:
    times_s = clips.uneven_times(3.0, 25.0)
    clip = made["browser.webm"]
    assert clip.video.time_s == pytest.approx(times_s, abs=1e-3)
    assert clip.duration_s == pytest.approx(3.0, abs=0.05)


@pytest.mark.parametrize("name", ["clip.mp4", "clip.mov", "clip.mkv", "clip.webm", "clip.mpg", "clip.avi"])
def test_flash_and_click_come_together(tmp_path: Path, name: str) -> None:
    coding = {
        "clip.webm": {**FAST_VP8, "audio_codec": "libopus"},
        "clip.mpg": {"codec": "mpeg2video", "audio_codec": "mp2", "b_frames": 2},
        "clip.avi": {"codec": "mpeg4", "audio_codec": "pcm_s16le", "b_frames": 2},
    }.get(name, {"b_frames": 2})
    clip = open_media(clips.flash_and_click(tmp_path / name, [0.5, 1.5], **coding))
    flashes_s = [time_s for time_s, rgb in read_frames(clip) if rgb.mean() > 128]
    sound = np.abs(sound_of(clip))
    clicks_s = [np.argmax(sound[:16000]) / 16000, 1 + np.argmax(sound[16000:]) / 16000]
    assert flashes_s == pytest.approx([clicks_s[0], clicks_s[1]], abs=0.010)
    assert flashes_s[1] - flashes_s[0] == pytest.approx(1.0, abs=0.001)


def test_joined_recordings_count_on(tmp_path: Path) -> None:
    """Two mpg files in one: the time stamps begin again in the middle."""
    part = clips.make_clip(
        tmp_path / "part.mpg", seconds=3, codec="mpeg2video", b_frames=2, sound=clips.tone(3), audio_codec="mp2"
    )
    joined = tmp_path / "joined.mpg"
    joined.write_bytes(part.read_bytes() * 2)
    clip = open_media(joined)
    assert any("pictures jump back" in warning for warning in clip.warnings)
    assert any("sound jump back" in warning for warning in clip.warnings)
    assert numbers(clip) == [*range(90), *range(90)]
    assert np.diff(clip.video.time_s) == pytest.approx(np.full(179, 1 / 30), abs=1e-4)
    assert len(sound_of(clip)) == pytest.approx(6 * 16000, abs=800)
    assert numbers(clip, start_s=4.0, stop_s=4.1)[0] == 30


def test_repeated_time_stamps_give_one_frame(tmp_path: Path) -> None:
    times_s = [k / 25 for k in range(20)]
    times_s[11] = times_s[10] + 2e-4  # the same millisecond
    clip = open_media(clips.make_clip(tmp_path / "clip.mkv", times_s=times_s))
    assert any("1 frame(s) without a time stamp of their own" in warning for warning in clip.warnings)
    assert numbers(clip) == [k for k in range(20) if k != 11]


@pytest.mark.parametrize(
    ("shown", "stamped", "distinct", "strayed", "word"),
    [
        (100, 100, 100, [0, 2, 1], ""),
        (100, 95, 95, [0, 0, 0], ""),
        (100, 60, 60, [0, 0, 0], "40 of 100 pictures have no time stamp"),
        (100, 100, 30, [0, 0, 0], "repeat"),
        (100, 100, 100, [0, -50, 50], "jump back"),
    ],
)
def test_when_time_stamps_are_of_no_use(shown: int, stamped: int, distinct: int, strayed: list[int], word: str) -> None:
    why = media_index._unusable(shown, stamped, distinct, np.array(strayed))
    assert (why == "") if not word else (word in why)


# ---------------------------------------------------------------------------------------------------------- the picture


@pytest.mark.parametrize("mirrored", [False, True])
@pytest.mark.parametrize("rotation_deg", [0, 90, 180, 270])
def test_rotation_flag_is_honoured(tmp_path: Path, rotation_deg: int, mirrored: bool) -> None:
    path = tmp_path / "clip.mp4"
    clips.make_clip(path, seconds=0.3, size=(160, 96), rotation_deg=rotation_deg, mirrored=mirrored)
    clip = open_media(path)
    assert (clip.video.width_px, clip.video.height_px) == (160, 96)
    assert clip.video.mirrored is mirrored
    if not mirrored:
        assert clip.video.rotation_deg == rotation_deg
    assert numbers(clip) == list(range(9))
    _, rgb = next(read_frames(clip))
    assert rgb.shape == (96, 160, 3)
    assert colours_at_the_sides(rgb) == ("red", "blue")


def test_portrait_phone_video(tmp_path: Path) -> None:
    clip = open_media(clips.make_clip(tmp_path / "phone.mov", seconds=0.2, size=(360, 640), rotation_deg=90))
    assert (clip.video.width_px, clip.video.height_px, clip.video.rotation_deg) == (360, 640, 90)
    frames = list(read_frames(clip, max_side_px=320))
    assert [rgb.shape for _, rgb in frames] == [(320, 180, 3)] * 6
    assert [clips.read_number(rgb) for _, rgb in frames] == list(range(6))


@pytest.mark.parametrize("orientation", range(1, 9))
def test_photo_with_exif_orientation(tmp_path: Path, orientation: int) -> None:
    clip = open_media(clips.still(tmp_path / "photo.jpg", 77, size=(160, 96), exif_orientation=orientation))
    assert clip.video.still
    assert (clip.duration_s, clip.video.fps, clip.audio) == (0.0, None, None)
    ((time_s, rgb),) = read_frames(clip)
    assert time_s == 0.0
    assert rgb.shape == (96, 160, 3) == (clip.video.height_px, clip.video.width_px, 3)
    assert clips.read_number(rgb) == 77
    assert colours_at_the_sides(rgb) == ("red", "blue")


def test_png_photo(tmp_path: Path) -> None:
    clip = open_media(clips.still(tmp_path / "100%d photo.png", 1234))
    ((time_s, rgb),) = read_frames(clip)
    assert (time_s, clips.read_number(rgb), clip.video.still) == (0.0, 1234, True)
    assert np.array_equal(rgb, clips.coded_picture(1234, 160, 120))  # PNG loses nothing


def colours_at_the_sides(rgb: np.ndarray) -> tuple[str, str]:
    """Which colour dominates at the left and right edge of the lower half."""
    height, width = rgb.shape[:2]
    lower = rgb[height * 5 // 8 : height * 7 // 8].astype(float)
    names = ("red", "green", "blue")
    left, right = lower[:, : width // 20].mean((0, 1)), lower[:, -(width // 20) :].mean((0, 1))
    return names[int(left.argmax())], names[int(right.argmax())]


def test_large_pictures_are_scaled_down_and_small_ones_left_alone(tmp_path: Path) -> None:
    fast = {"preset": "ultrafast"}
    large = open_media(clips.make_clip(tmp_path / "4k.mp4", seconds=0.1, size=(3840, 2160), codec_options=fast))
    assert (large.video.width_px, large.video.height_px) == (3840, 2160)
    frames = list(read_frames(large))
    assert [(rgb.shape, clips.read_number(rgb)) for _, rgb in frames] == [((720, 1280, 3), k) for k in range(3)]
    small = open_media(clips.make_clip(tmp_path / "8.mp4", seconds=0.5, size=(8, 8)))
    assert [rgb.shape for _, rgb in read_frames(small)] == [(8, 8, 3)] * 15


def test_frames_are_plain_contiguous_bytes(made: dict[str, Media], tmp_path: Path) -> None:
    odd = open_media(clips.make_clip(tmp_path / "odd.mkv", seconds=0.1, size=(150, 98)))
    for clip, options in ((made["b_frames.mp4"], {}), (odd, {}), (odd, {"max_side_px": 77})):
        _, rgb = next(read_frames(clip, **options))
        assert rgb.dtype == np.uint8
        assert rgb.flags.c_contiguous
        assert rgb.ndim == 3


@pytest.mark.parametrize(("aspect", "size"), [(Fraction(4, 3), (213, 120)), (Fraction(1, 2), (160, 240))])
def test_pixels_come_out_square(tmp_path: Path, aspect: Fraction, size: tuple[int, int]) -> None:
    clip = open_media(clips.make_clip(tmp_path / "clip.mp4", seconds=0.2, sample_aspect=aspect))
    assert (clip.video.width_px, clip.video.height_px) == size
    _, rgb = next(read_frames(clip))
    assert rgb.shape == (size[1], size[0], 3)
    assert numbers(clip) == list(range(6))


@pytest.mark.parametrize("name", ["clip.mp4", "clip.jpg"])
@pytest.mark.parametrize("max_side_px", [1280, 64])
def test_white_stays_white_and_black_black(tmp_path: Path, name: str, max_side_px: int) -> None:
    """Video codes black as 16 and white as 235, JPEG as 0 and 255; scaled or not, both come out as 0 and 255."""
    path = tmp_path / name
    if name.endswith("mp4"):
        clips.make_clip(path, seconds=0.2, picture=clips.flash_picture([1, 3, 5]))
        pictures = [rgb for _, rgb in read_frames(open_media(path), max_side_px=max_side_px)]
        black, white = pictures[0], pictures[1]
    else:
        (rgb,) = (rgb for _, rgb in read_frames(open_media(photo_of_halves(path)), max_side_px=max_side_px))
        black, white = rgb[:, : rgb.shape[1] // 3], rgb[:, -(rgb.shape[1] // 3) :]
    assert black.max() <= 4
    assert white.min() >= 250


def photo_of_halves(path: Path) -> Path:
    import av

    picture = np.zeros((128, 192, 3), np.uint8)
    picture[:, 96:] = 255
    av.VideoFrame.from_ndarray(picture).save(str(path), qscale="2")
    return path


# --------------------------------------------------------------------------------------------------------------- tracks


def test_two_picture_tracks(tmp_path: Path) -> None:
    clip = open_media(clips.make_clip(tmp_path / "clip.mkv", video_tracks=2))
    assert clip.warnings == ("2 picture tracks: number 1 is analysed, no other",)
    assert numbers(clip) == list(range(60))  # the second track counts from 1000


def test_pictures_without_sound(tmp_path: Path) -> None:
    clip = open_media(clips.make_clip(tmp_path / "clip.mp4"))
    assert clip.audio is None
    assert list(read_audio(clip)) == []
    assert clip.warnings == ()


def test_a_clip_of_one_frame(tmp_path: Path) -> None:
    for name in ("clip.mp4", "clip.mkv"):
        clip = open_media(clips.make_clip(tmp_path / name, seconds=1 / 30))
        assert (clip.video.time_s.tolist(), clip.video.fps, clip.video.still) == ([0.0], None, False)
        assert numbers(clip) == [0]
        assert clip.duration_s == pytest.approx(1 / 30, abs=1e-3)


@pytest.mark.parametrize(
    ("name", "codec"), [("a.wav", "pcm_s16le"), ("a.flac", "flac"), ("a.mp3", "libmp3lame"), ("a.m4a", "aac")]
)
def test_sound_alone(tmp_path: Path, name: str, codec: str) -> None:
    clip = open_media(clips.make_sound(tmp_path / name, clips.clicks(2.5, [0.5, 1.5]), codec))
    assert clip.video is None
    assert list(read_frames(clip)) == []
    assert clip.audio.start_s == 0
    assert clip.duration_s == pytest.approx(2.5, abs=0.03)
    sound = np.abs(sound_of(clip))
    assert np.argmax(sound[:16000]) / 16000 == pytest.approx(0.5, abs=0.001)
    assert np.argmax(sound[16000:]) / 16000 == pytest.approx(0.5, abs=0.001)


def test_cover_art_is_no_video(tmp_path: Path) -> None:
    path = clips.with_cover(tmp_path / "song.mp3", clips.tone(1))
    assert b"APIC" in path.read_bytes()[:64]
    clip = open_media(path)
    assert clip.video is None
    assert len(sound_of(clip)) == pytest.approx(16000, abs=400)


def test_an_empty_sound_track_is_said_and_left_out(tmp_path: Path) -> None:
    clip = open_media(clips.make_clip(tmp_path / "clip.mkv", sound=np.zeros((1, 0), np.float32)))
    assert clip.audio is None
    assert "the sound track is empty and is left out" in clip.warnings
    assert len(numbers(clip)) == 60


# ---------------------------------------------------------------------------------------------------------------- sound


def write_wav(path: Path, samples: np.ndarray, rate_hz: int, width: int = 2) -> Path:
    """Integer samples ndarray [shape=(n, channels)] as a WAV file."""
    with wave.open(str(path), "wb") as file:
        file.setnchannels(samples.shape[1])
        file.setsampwidth(width)
        file.setframerate(rate_hz)
        coded = samples.astype("<i4").view(np.uint8).reshape(*samples.shape, 4)
        file.writeframes((samples.astype(np.uint8) if width == 1 else coded[:, :, :width]).tobytes())
    return path


@pytest.mark.parametrize("rate_hz", [8000, 16000, 22050, 44100, 48000])
def test_a_tone_keeps_its_level_frequency_and_length(tmp_path: Path, rate_hz: int) -> None:
    t = np.arange(rate_hz * 3) / rate_hz
    wav = write_wav(tmp_path / "tone.wav", np.round(16384 * np.sin(2 * np.pi * 1000 * t))[:, None], rate_hz)
    sound = sound_of(open_media(wav))
    assert sound.dtype == np.float32
    assert len(sound) == 48000
    middle = sound[8000:40000]
    expected = 0.5 * np.sin(2 * np.pi * 1000 * (np.arange(48000) / 16000))[8000:40000]
    assert np.abs(middle - expected).max() < 0.002  # level, frequency and phase


def test_what_16_khz_cannot_hold_is_filtered_out(tmp_path: Path) -> None:
    t = np.arange(48000) / 48000
    wav = write_wav(tmp_path / "high.wav", np.round(16384 * np.sin(2 * np.pi * 11000 * t))[:, None], 48000)
    assert np.abs(sound_of(open_media(wav))[1000:-1000]).max() < 0.001  # -54 dB


@pytest.mark.parametrize("width", [1, 2, 3, 4])
def test_every_sample_width_has_the_same_full_scale(tmp_path: Path, width: int) -> None:
    t = np.arange(16000) / 16000
    full = 2.0 ** (8 * width - 1)
    samples = np.round(0.5 * full * np.sin(2 * np.pi * 500 * t)) + (128 if width == 1 else 0)
    sound = sound_of(open_media(write_wav(tmp_path / "tone.wav", samples[:, None], 16000, width)))
    assert sound == pytest.approx(0.5 * np.sin(2 * np.pi * 500 * t), abs=0.01 if width == 1 else 1e-4)


def test_ten_minutes_do_not_drift(tmp_path: Path) -> None:
    rate_hz, clicks_s = 22050, [5.0, 300.0, 595.0]
    samples = np.zeros((rate_hz * 600, 1), np.int16)
    for click_s in clicks_s:
        samples[round(click_s * rate_hz)] = 30000
    clip = open_media(write_wav(tmp_path / "long.wav", samples, rate_hz))
    found_s = []
    for start_s, block in read_audio(clip):
        if np.abs(block).max() > 0.1:
            found_s.append(start_s + np.abs(block).argmax() / 16000)
    assert found_s == pytest.approx(clicks_s, abs=1 / 16000)
    assert clip.duration_s == pytest.approx(600, abs=1e-6)


def test_blocks_have_the_length_asked_for(tmp_path: Path) -> None:
    clip = open_media(clips.make_sound(tmp_path / "a.wav", clips.tone(2.3), "pcm_s16le"))
    blocks = list(read_audio(clip, block_s=0.5))
    assert [len(samples) for _, samples in blocks] == [8000, 8000, 8000, 8000, 4800]
    assert [time_s for time_s, _ in blocks] == pytest.approx([0, 0.5, 1.0, 1.5, 2.0])


@pytest.mark.parametrize("name", ["clip.mkv", "clip.mp4"])
def test_a_hole_in_the_sound_is_seen(tmp_path: Path, name: str) -> None:
    path = clips.make_clip(tmp_path / name, seconds=4, sound=clips.tone(4), audio_gaps_s=[(1.0, 1.5), (2.5, 2.6)])
    spans = [(start_s, start_s + len(samples) / 16000) for start_s, samples in read_audio(open_media(path))]
    assert [start_s for start_s, _ in spans] == pytest.approx([0, 1.5, 2.6], abs=0.03)
    assert [stop_s for _, stop_s in spans] == pytest.approx([1.0, 2.5, 4.0], abs=0.03)


def test_a_hole_in_the_sound_is_warned_of(tmp_path: Path) -> None:
    path = clips.make_clip(tmp_path / "clip.mkv", seconds=4, sound=clips.tone(4), audio_gaps_s=[(1.0, 1.5)])
    assert any(warning.startswith("the sound has 1 hole(s), 0.5") for warning in open_media(path).warnings)


@pytest.mark.parametrize("dead", [0, 1])
def test_a_dead_channel_is_left_out(tmp_path: Path, dead: int) -> None:
    stereo = clips.tone(2, level=0.5, channels=2)
    stereo[dead] = 0
    sound = sound_of(open_media(clips.make_sound(tmp_path / "a.wav", stereo, "pcm_s16le")))
    assert np.abs(sound[1000:-1000]).max() == pytest.approx(0.5, abs=0.005)


def test_two_living_channels_are_averaged(tmp_path: Path) -> None:
    stereo = clips.tone(2, level=0.5, channels=2)
    stereo[1] *= 0.2
    sound = sound_of(open_media(clips.make_sound(tmp_path / "a.wav", stereo, "pcm_s16le")))
    assert np.abs(sound[1000:-1000]).max() == pytest.approx(0.3, abs=0.005)


# ----------------------------------------------------------------------------------------------------- damaged, cut off


@pytest.mark.parametrize(
    ("name", "coding"),
    [
        ("clip.mp4", {"container_options": {"movflags": "faststart"}, "b_frames": 2}),
        ("clip.mkv", {"b_frames": 2}),
        ("clip.flac", {"codec": None, "audio_codec": "flac"}),
    ],
)
def test_a_file_that_was_cut_off_gives_what_is_there(tmp_path: Path, name: str, coding: dict[str, object]) -> None:
    whole = clips.make_clip(tmp_path / f"whole_{name}", seconds=6, sound=clips.tone(6), **coding)
    clip = open_media(clips.truncated(whole, tmp_path / name))
    assert any("the file is cut off: its header promises 6.0 s" in warning for warning in clip.warnings)
    assert 2.0 < clip.duration_s < 4.0
    if clip.video:
        frames = list(read_frames(clip))
        assert [clips.read_number(rgb) for _, rgb in frames] == [round(time_s * 30) for time_s, _ in frames]
        assert len(clip.video.time_s) - 3 <= len(frames) <= len(clip.video.time_s)
    assert sum(len(samples) for _, samples in read_audio(clip)) > 1.8 * 16000


@pytest.mark.parametrize("name", ["clip.mp4", "clip.mkv", "clip.avi", "clip.mpg", "clip.ts"])
def test_a_damaged_file_loses_only_what_is_damaged(tmp_path: Path, name: str) -> None:
    coding = {
        "clip.avi": {"codec": "mpeg4", "audio_codec": "libmp3lame"},
        "clip.mpg": {"codec": "mpeg2video", "audio_codec": "mp2"},
    }.get(name, {})
    whole = clips.make_clip(tmp_path / f"whole_{name}", seconds=6, sound=clips.tone(6), **coding)
    clip = open_media(clips.damaged(whole, tmp_path / name))
    frames = list(read_frames(clip))
    times_s = [time_s for time_s, _ in frames]
    assert set(times_s) <= set(clip.video.time_s.tolist())
    assert all(a < b for a, b in itertools.pairwise(times_s))
    assert 100 < len(frames) <= 180
    readable = [(time_s, clips.read_number(rgb)) for time_s, rgb in frames if clips.read_number(rgb) is not None]
    # AVI knows no times, only places: every lost frame moves up those that follow
    tolerance_s = 0.2 if name == "clip.avi" else 0.04
    right = [abs(number / 30 - (time_s - times_s[0])) < tolerance_s for time_s, number in readable]
    assert len(readable) > 100
    assert np.mean(right) > 0.9
    assert sum(len(samples) for _, samples in read_audio(clip)) > 3 * 16000


# ------------------------------------------------------------------------------------------------------------ bad input


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(MediaError, match=r"nowhere\.mp4: expected a recording, but there is no such file; check"):
        open_media(tmp_path / "nowhere.mp4")


def test_folder(tmp_path: Path) -> None:
    with pytest.raises(MediaError, match=r"expected a recording, got a folder; name the files in it"):
        open_media(tmp_path)


def test_empty_file(tmp_path: Path) -> None:
    (tmp_path / "empty.mp4").touch()
    with pytest.raises(MediaError, match=r"expected a recording, got an empty file \(0 bytes\); copy or record"):
        open_media(tmp_path / "empty.mp4")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_pipe_does_not_hang(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.mp4")
    with pytest.raises(MediaError, match="got a device or a pipe; save it to a file first"):
        open_media(tmp_path / "pipe.mp4")


@pytest.mark.parametrize("name", ["notes.mp4", "notes.wav", "notes.jpg", "notes.txt"])
def test_text_under_any_name(tmp_path: Path, name: str) -> None:
    with pytest.raises(MediaError, match=r"expected a recording \(mp4, mov, .*\), got something that is none of these"):
        open_media(clips.text_file(tmp_path / name))


def test_playlists_are_not_followed(tmp_path: Path, made: dict[str, Media]) -> None:
    playlist = tmp_path / "list.mp4"
    for text in (
        "#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\nhttp://127.0.0.1:9/a.ts\n#EXT-X-ENDLIST\n",
        f"ffconcat version 1.0\nfile '{made['b_frames.mp4'].path}'\n",
    ):
        playlist.write_text(text)
        with pytest.raises(MediaError, match="none of these"):
            open_media(playlist)


def test_sound_of_no_length(tmp_path: Path) -> None:
    with pytest.raises(MediaError, match=r"got an empty one \(sound of 0 s\); record it again"):
        open_media(clips.empty_wav(tmp_path / "empty.wav"))


def test_mp4_without_its_index(tmp_path: Path) -> None:
    whole = clips.make_clip(tmp_path / "whole.mp4", sound=clips.tone(2))
    with pytest.raises(
        MediaError, match=r"without its index \(moov\): it was cut off while recording or copying; copy"
    ):
        open_media(clips.truncated(whole, tmp_path / "cut.mp4"))


@pytest.mark.parametrize("head", [b"\xff\xd8\xff\xe0", b"\x89PNG\r\n\x1a\n", b"ID3\x03\0\0\0\0\0\0", b""])
def test_noise(tmp_path: Path, head: bytes) -> None:
    (tmp_path / "noise.mp4").write_bytes(head + np.random.default_rng(0).bytes(50_000))
    with pytest.raises(MediaError, match=r"none of these|not one frame of it can be decoded"):
        open_media(tmp_path / "noise.mp4")


def test_photo_of_a_kind_that_is_not_read(tmp_path: Path) -> None:
    (tmp_path / "photo.heic").write_bytes(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(200))
    with pytest.raises(MediaError, match="HEIC or AVIF photo; export it as JPEG"):
        open_media(tmp_path / "photo.heic")


def test_file_that_may_not_be_read(made: dict[str, Media], monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", refuse)  # the tests may run as root, whom no file mode stops
    with pytest.raises(MediaError, match=r"you lack the permission to read it; change its permissions or copy it"):
        open_media(made["b_frames.mp4"].path)


def test_disk_that_fails(made: dict[str, Media], monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(Path, "open", fail)
    with pytest.raises(MediaError, match="got the error Input/output error; check the disk"):
        open_media(made["b_frames.mp4"].path)


def test_file_that_is_gone_when_it_is_read(tmp_path: Path) -> None:
    path = clips.make_clip(tmp_path / "clip.mp4", seconds=0.5)
    clip = open_media(path)
    path.unlink()
    with pytest.raises(MediaError, match=r"clip\.mp4: expected a readable file, got the error No such file"):
        next(read_frames(clip))


def test_a_name_with_spaces_accents_and_signs(tmp_path: Path) -> None:
    clip = open_media(clips.make_clip(tmp_path / "Größe é %03d: #1 ?.mkv", seconds=0.5))
    assert len(numbers(clip)) == 15


def test_sha256_is_that_of_the_file(tmp_path: Path) -> None:
    import hashlib

    path = clips.make_clip(tmp_path / "clip.mp4", seconds=0.5)
    assert open_media(path).sha256 == hashlib.sha256(path.read_bytes()).hexdigest()


# --------------------------------------------------------------------------------------------------------------- memory

_PEAK = """
import resource, sys
from painsense.media import open_media, read_audio, read_frames
clip = open_media(sys.argv[1])
frames = sum(1 for _ in read_frames(clip))
samples = sum(len(block) for _, block in read_audio(clip, block_s=1.0))
print(frames, samples, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="needs the resource module")
def test_memory_does_not_grow_with_length(tmp_path: Path) -> None:
    peaks = []
    for seconds in (4, 60):
        path = clips.make_clip(
            tmp_path / f"{seconds}.mp4",
            seconds=seconds,
            codec_options={"preset": "ultrafast"},
            gop=60,
            picture=lambda number, width, height: np.full((height, width, 3), number % 256, np.uint8),
            sound=clips.tone(seconds),
        )
        project = Path(media.__file__).parent.parent
        run = subprocess.run(
            [sys.executable, "-c", _PEAK, str(path)], capture_output=True, text=True, check=True, cwd=project
        )
        frames, samples, peak = map(int, run.stdout.split())
        assert frames == seconds * 30
        assert samples == pytest.approx(seconds * 16000, abs=400)
        peaks.append(peak)
    assert peaks[1] < 1.1 * peaks[0]


def test_exif_that_points_nowhere_is_upright() -> None:
    assert media_container.exif_orientation(b"\xff\xd8Exif\0\0MM\0*\xff\xff\xff\xff") == 1
    assert media_container.exif_orientation(b"\xff\xd8Exif\0\0MM\0*\0\0\0\x08\0\x09") == 1
