"""Prepare: clips of a data set become cached tracks by painsense itself, and training reads them."""

from __future__ import annotations

import json
import math
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import clips
import cv2
import make_datasets
import numpy as np
import pytest

import painsense
from painsense import media
from painsense.assemble import Observed
from painsense.errors import PainsenseError
from training import datasets
from training.errors import TrainingError
from training.fusion import cache, prepare, record, samples, splits
from training.fusion.measure import measure
from training.fusion.record import Clip, Label

SALT = make_datasets.SALT
FROM_S, FRAMES = 9.6, 45  # of the sample recording: at rest, then a face in pain
PERSON, OTHER = "042-ll042", "043-jh043"


@pytest.fixture(scope="module")
def pictures(sample_clip: Path) -> list[np.ndarray]:
    """RGB pictures of the sample recording."""
    frames = media.read_frames(media.open_media(sample_clip), FROM_S, FROM_S + FRAMES / 25 - 1e-3)
    return [image for _, image in frames]


@pytest.fixture(scope="module")
def sound(sample_clip: Path) -> np.ndarray:
    """Two seconds of the sample recording with its moan, ndarray [shape=(1, n), 48 kHz]."""
    heard = np.concatenate([block for _, block in media.read_audio(media.open_media(sample_clip))])
    rate = media.SAMPLE_RATE_HZ
    part = heard[5 * rate : 7 * rate]
    return np.repeat(part, clips.AUDIO_RATE_HZ // rate)[None]


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory, pictures: list[np.ndarray], sound: np.ndarray) -> Path:
    """A short recording with picture and sound."""

    def picture(number: int, width: int, height: int) -> np.ndarray:
        return pictures[number]

    path = tmp_path_factory.mktemp("Ada Example") / "Ada.mp4"
    size = pictures[0].shape[1], pictures[0].shape[0]
    return clips.make_clip(path, seconds=1.6, fps=25, size=size, picture=picture, sound=sound)


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory, pictures: list[np.ndarray]) -> Path:
    """Two people in the layout of UNBC-McMaster, with pictures that show a face."""
    folder = tmp_path_factory.mktemp("archive")
    for subject, frames in ((PERSON, FRAMES), (OTHER, 6)):
        make_datasets.unbc(folder, (subject,), frames=frames, sequences=("t1aaaff",))
        found = sorted((folder / "Images" / subject).rglob("*.png"))
        for path, image in zip(found, pictures, strict=False):
            assert cv2.imwrite(str(path), cv2.cvtColor(image, cv2.COLOR_RGB2BGR))
    return folder


@pytest.fixture(scope="module")
def unbc_cache(tmp_path_factory: pytest.TempPathFactory, archive: Path) -> Path:
    """The archive, prepared."""
    out = tmp_path_factory.mktemp("prepared") / "unbc"
    assert run(archive, out).new == 2
    return out


def run(folder: Path, out: Path, name: str = "unbc", **options: object) -> prepare.Prepared:
    """Prepare in this process, whatever is missing of the data set."""
    settings = {"salt": SALT, "partial": True, "workers": 1} | options
    return prepare.prepare(name, folder, out, **settings)  # type: ignore[arg-type]


def manifest(folder: Path, rows: list[str]) -> Path:
    """A table with those rows."""
    header = "subject,video,audio,start_s,end_s,label_kind,label_value,sex,flags"
    return make_datasets.touch(folder / "manifest.csv", "\n".join([header, *rows]) + "\n")


def copied(archive: Path, folder: Path) -> Path:
    """An archive of one's own to damage."""
    return Path(shutil.copytree(archive, folder))


def content(folder: Path) -> dict[str, bytes]:
    """All files of a folder."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


# --- what is measured -------------------------------------------------------------------------------------------------


def test_sequence_of_pictures_becomes_a_recording_with_its_labels(unbc_cache: Path, archive: Path) -> None:
    kept = {one.clip.id: one for one in samples.recordings(unbc_cache)}
    expected = datasets.read("unbc", archive, salt=SALT, partial=True).clips
    assert list(kept) == [clip.id for clip in expected]
    for clip in expected:
        assert record.to_dict(kept[clip.id].clip) == record.to_dict(clip) and not kept[clip.id].clip.files
    longest = max(kept.values(), key=lambda one: one.duration_s)
    assert longest.face is not None and longest.voice is None and longest.neutral_known
    np.testing.assert_allclose(longest.face.time_s, np.arange(FRAMES) / 30)
    assert longest.face.valid.mean() > 0.9
    assert longest.clip.fold == "fold-3" and longest.clip.groups == {"limb": "affected"}


def test_prepared_recordings_become_windows_with_targets(unbc_cache: Path) -> None:
    gathered = samples.gather(samples.recordings(unbc_cache))
    assert set(gathered.targets) == {"pspi_frame_0_16", "vas_0_10", "opr_0_5", "sensory_0_15", "affective_0_15"}
    np.testing.assert_allclose(gathered.targets["vas_0_10"], 4.5)
    np.testing.assert_allclose(gathered.targets["pspi_frame_0_16"], 3 / 16 * 10, rtol=1e-6)
    assert np.isfinite(gathered.face[:, -3:]).any(axis=(1, 2)).all() and np.isnan(gathered.voice).all()
    assert np.isfinite(gathered.rule_pspi).all()


def test_whole_file_is_measured_as_the_clinic_measures(recording: Path, tmp_path: Path) -> None:
    measured = measure(Clip("c", "manifest", "s", video=recording))
    report = painsense.analyze(recording)
    for name, track in (("face", measured.face), ("voice", measured.voice)):
        assert track is not None
        np.testing.assert_array_equal(track.values, report.tracks[name].values)
        np.testing.assert_array_equal(track.reason_bits, report.tracks[name].reason_bits)
    assert measured.segments == report.segments
    assert measured.neutral_known == (report.baseline.kind == "auto")


def test_steps_taken_one_by_one_measure_what_the_analyzer_measures(recording: Path) -> None:
    whole = measure(Clip("c", "manifest", "s", video=recording))
    steps = measure(Clip("c", "manifest", "s", video=recording, start_s=0.0, end_s=60.0))
    for one, other in ((whole.face, steps.face), (whole.voice, steps.voice)):
        assert one is not None and other is not None
        np.testing.assert_allclose(one.time_s, other.time_s, atol=1e-6)
        np.testing.assert_allclose(one.values, other.values, atol=1e-3)
    assert whole.segments == steps.segments and whole.neutral_known == steps.neutral_known


def test_part_of_a_recording_has_a_clock_of_its_own(recording: Path) -> None:
    whole = measure(Clip("c", "manifest", "s", video=recording), "none")
    part = measure(Clip("c", "manifest", "s", video=recording, start_s=0.4, end_s=1.2), "none")
    assert whole.face is not None and part.face is not None and part.voice is not None
    meant = (whole.face.time_s >= 0.4 - 1e-6) & (whole.face.time_s < 1.2 - 1e-6)
    np.testing.assert_allclose(part.face.time_s, whole.face.time_s[meant] - 0.4, atol=1e-6)
    np.testing.assert_allclose(part.face.column("yaw_deg"), whole.face.column("yaw_deg")[meant], atol=0.5)
    assert 0 <= part.voice.time_s[0] < 0.02 and part.voice.time_s[-1] < 0.8
    assert not part.neutral_known


def test_only_the_part_of_the_picture_that_is_meant_is_seen(recording: Path) -> None:
    whole = measure(Clip("c", "manifest", "s", video=recording), "none").face
    assert whole is not None
    half = measure(Clip("c", "manifest", "s", video=recording, crop=(0.1, 0.0, 0.9, 1.0)), "none").face
    away = measure(Clip("c", "manifest", "s", video=recording, crop=(0.0, 0.0, 0.1, 0.1)), "none").face
    assert half is not None and away is not None
    np.testing.assert_allclose(half.column("face_px"), whole.column("face_px"), rtol=0.03)
    np.testing.assert_allclose(half.column("yaw_deg"), whole.column("yaw_deg"), atol=1.0)
    assert away.has_reason("no_face").all()


def test_sound_of_its_own_file_goes_with_the_picture(recording: Path, sound: np.ndarray, tmp_path: Path) -> None:
    mute = tmp_path / "mute.mp4"
    clips.make_clip(mute, seconds=0.4, fps=25, size=(64, 64), picture=lambda n, w, h: np.zeros((h, w, 3), np.uint8))
    wav = clips.make_clip(tmp_path / "p.wav", codec=None, sound=sound, audio_codec="pcm_s16le")
    table = manifest(tmp_path, ["p01,mute.mp4,p.wav,,,nrs,4,female,", "p02,,p.wav,0.5,1.5,nrs,6,male,evaluation_only"])
    with pytest.raises(TrainingError, match="one subject for each file"):
        run(table, tmp_path / "cache", "manifest")
    shutil.copy(wav, tmp_path / "q.wav")
    manifest(tmp_path, ["p01,mute.mp4,p.wav,,,nrs,4,female,", "p02,,q.wav,0.5,1.5,nrs,6,male,evaluation_only"])
    assert run(table, tmp_path / "cache", "manifest").clips == 2
    both, alone = samples.recordings(tmp_path / "cache")
    assert both.face is not None and both.face.has_reason("no_face").all() and not both.neutral_known
    assert both.voice is not None and (both.voice.column("voiced") == 1).sum() > 20 and both.segments
    assert alone.face is None and alone.voice is not None and abs(alone.duration_s - 1.0) < 0.03
    assert alone.clip.flags == ("evaluation_only",) and alone.clip.groups == {"sex": "male"}
    gathered = samples.gather([both, alone])
    assert np.isfinite(gathered.voice).any(axis=(1, 2)).all()
    assert sorted(set(gathered.targets["nrs_0_10"])) == [4.0, 6.0]


@pytest.fixture(scope="module")
def rest(tmp_path_factory: pytest.TempPathFactory, pictures: list[np.ndarray], sound: np.ndarray) -> Path:
    """Another recording of the same person, who keeps still and speaks once more."""

    def picture(number: int, width: int, height: int) -> np.ndarray:
        return pictures[0]

    path = tmp_path_factory.mktemp("rest") / "Ada-rest.mp4"
    size = pictures[0].shape[1], pictures[0].shape[0]
    return clips.make_clip(path, seconds=2.0, fps=25, size=size, picture=picture, sound=sound / 2)


def test_a_rest_recording_is_used_as_the_clinic_uses_it(
    recording: Path, rest: Path, sound: np.ndarray, tmp_path: Path
) -> None:
    clip = Clip("c", "manifest", "s", video=recording, rest=rest)
    measured, without = measure(clip), measure(replace(clip, rest=None))
    report = painsense.analyze(recording, painsense.Settings(baseline=str(rest)))
    assert measured.face is not None and without.face is not None and measured.neutral_known
    np.testing.assert_array_equal(measured.face.values, report.tracks["face"].values)
    assert not np.allclose(measured.face.column("AU4"), without.face.column("AU4"), atol=0.05, equal_nan=True)
    assert measured.voice_at_rest is not None and measured.voice_at_rest.values["voiced_s"] > 0.5
    assert without.voice_at_rest is None and measure(clip, "none").voice_at_rest is None
    part = measure(replace(clip, start_s=0.0, end_s=60.0))
    assert part.face is not None and part.voice_at_rest is not None
    np.testing.assert_allclose(part.face.values, measured.face.values, atol=1e-3)
    assert part.voice_at_rest.values == measured.voice_at_rest.values
    mute = clips.make_clip(tmp_path / "rest.wav", codec=None, sound=sound, audio_codec="pcm_s16le")
    for wrong in (replace(clip, rest=mute), replace(clip, rest=mute, start_s=0.0, end_s=60.0)):
        with pytest.raises(PainsenseError, match="video of the person at rest"):
            measure(wrong)
    heard = measure(Clip("c", "manifest", "s", audio=recording, start_s=0.2, rest=rest))
    assert heard.face is None and heard.voice_at_rest is not None
    assert heard.voice_at_rest.values["f0_semitone"] == measured.voice_at_rest.values["f0_semitone"]


def test_a_rest_recording_reaches_the_windows(recording: Path, rest: Path, tmp_path: Path) -> None:
    """It is part of the key, comes back from the cache, and changes what the network sees of the voice."""
    clip = Clip("c", "manifest", "s", video=recording, rest=rest)
    auto, none = cache.extractor("auto"), cache.extractor("none")
    assert cache.key(clip, auto) != cache.key(replace(clip, rest=None), auto)
    assert cache.key(clip, none) == cache.key(replace(clip, rest=None), none)
    for folder in (recording.parent, rest.parent):
        for file in folder.glob("*.mp4"):
            shutil.copy(file, tmp_path)
    header, row = "subject,video,rest,label_kind,label_value", "p1,Ada.mp4,Ada-rest.mp4,nrs,4"
    table = make_datasets.touch(tmp_path / "manifest.csv", f"{header}\n{row}\n")
    run(table, tmp_path / "with", "manifest")
    make_datasets.touch(table, f"{header}\n{row.replace('Ada-rest.mp4', '')}\n")
    run(table, tmp_path / "without", "manifest")
    (one,), (other,) = (list(samples.recordings(tmp_path / name)) for name in ("with", "without"))
    assert one.rest is not None and one.rest.values == measure(clip).voice_at_rest.values  # type: ignore[union-attr]
    assert other.rest is None
    seen, unseen = samples.gather([one]), samples.gather([other])
    assert not np.array_equal(seen.voice, unseen.voice, equal_nan=True)


def test_copies_are_the_same_recording_from_another_camera_and_microphone(recording: Path, rest: Path) -> None:
    clip = Clip("c", "manifest", "s", video=recording)
    own, copy, other = measure(clip), measure(replace(clip, copy=1)), measure(replace(clip, copy=2))
    assert own.face is not None and copy.face is not None and other.face is not None
    np.testing.assert_array_equal(copy.face.time_s, own.face.time_s)
    for one in (copy, other):
        assert one.face is not None and one.voice is not None and own.voice is not None
        for name, least in (("roll_deg", 0.5), ("AU4", 0.01)):
            assert np.nanmax(np.abs(one.face.column(name) - own.face.column(name))) > least, name
        assert np.corrcoef(one.face.column("AU4"), own.face.column("AU4"))[0, 1] > 0.9, "what is shown stays"
        assert not np.allclose(one.voice.column("level_dbfs"), own.voice.column("level_dbfs"), atol=1, equal_nan=True)
        both = (one.voice.column("voiced") == 1) & (own.voice.column("voiced") == 1)
        change = one.voice.column("f0_semitone")[both] - own.voice.column("f0_semitone")[both]
        assert both.sum() > 20 and abs(np.median(change)) < 0.2, "pitch stays"
    np.testing.assert_array_equal(measure(replace(clip, copy=1)).face.values, copy.face.values)  # type: ignore[union-attr]
    beside = measure(replace(clip, copy=1, rest=rest))
    assert beside.neutral_known and beside.voice_at_rest is not None
    plain = measure(replace(clip, rest=rest)).voice_at_rest
    assert plain is not None and beside.voice_at_rest.values["level_dbfs"] != plain.values["level_dbfs"]


def test_copies_are_learned_from_and_never_judged(archive: Path, tmp_path: Path) -> None:
    done = run(archive, tmp_path / "cache", copies=2)
    plain = {clip.id for clip in datasets.read("unbc", archive, salt=SALT, partial=True).clips}
    kept = [one.clip for one in samples.recordings(tmp_path / "cache")]
    assert done.clips == 3 * len(plain) == len(kept)
    assert {clip.id for clip in kept if not clip.copy} == plain
    assert {clip.id for clip in kept if clip.copy} == {f"{each}-copy{k}" for each in plain for k in (1, 2)}
    for split in splits.loso(kept):
        assert set(split.test) <= plain and len(split.train) == 3 * len([e for e in split.train if e in plain]) > 0
        judged = {clip.subject for clip in kept if clip.id in split.test}
        assert not judged & {clip.subject for clip in kept if clip.id in split.train}
        wrong = replace(split, test=(*split.test, *(clip.id for clip in kept if clip.copy and clip.subject in judged)))
        with pytest.raises(TrainingError, match="changed copy of a recording, stands in test"):
            splits.check(wrong, kept)
    with pytest.raises(TrainingError, match="number of copies"):
        run(archive, tmp_path / "cache")


def test_tracks_come_back_as_they_were(recording: Path, tmp_path: Path) -> None:
    measured = measure(Clip("c", "manifest", "s", video=recording))
    cache.write(tmp_path / "one.npz", measured)
    again = cache.read(tmp_path / "one.npz")
    assert again.segments == measured.segments and again.neutral_known == measured.neutral_known
    for one, other in ((measured.face, again.face), (measured.voice, again.voice)):
        assert one is not None and other is not None
        assert (one.modality, one.columns, one.reasons) == (other.modality, other.columns, other.reasons)
        np.testing.assert_array_equal(one.time_s, other.time_s)
        np.testing.assert_array_equal(one.values, other.values)
        np.testing.assert_array_equal(one.reason_bits, other.reason_bits)


# --- once, and no more ------------------------------------------------------------------------------------------------


def test_what_is_there_is_not_measured_again(unbc_cache: Path, archive: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = content(unbc_cache)
    times = {path: path.stat().st_mtime_ns for path in unbc_cache.rglob("*")}
    monkeypatch.setattr("training.fusion.measure.measure", refuse)
    assert run(archive, unbc_cache) == prepare.Prepared(2, 0, ())
    assert content(unbc_cache) == before
    assert {path: path.stat().st_mtime_ns for path in unbc_cache.rglob("*")} == times


def refuse(clip: Clip, baseline: str) -> Observed:
    raise AssertionError(f"{clip.id} is measured again")


def test_stopped_run_goes_on_with_what_is_missing(
    unbc_cache: Path, archive: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, asked = tmp_path / "cache", []
    known = {one.clip.id: Observed(one.face, one.voice, (), True) for one in samples.recordings(unbc_cache)}

    def stopped(clip: Clip, baseline: str) -> Observed:
        asked.append(clip.id)
        if len(asked) == 2:
            raise KeyboardInterrupt
        return known[clip.id]

    monkeypatch.setattr("training.fusion.measure.measure", stopped)
    with pytest.raises(KeyboardInterrupt):
        run(archive, out)
    assert len(list((out / "tracks").iterdir())) == 1
    with pytest.raises(TrainingError, match=r"a finished cache was expected.*same command again"):
        samples.recordings(out)
    assert run(archive, out) == prepare.Prepared(2, 1, ())
    assert asked[2:] == [asked[1]]
    assert content(out).keys() == content(unbc_cache).keys()


def test_key_follows_content_and_part_and_extractor(recording: Path, tmp_path: Path) -> None:
    made_by = cache.extractor("auto")
    clip = Clip("c", "manifest", "s", video=recording)
    key = cache.key(clip, made_by)
    moved = Path(shutil.copy(recording, tmp_path / "other.mp4"))
    assert cache.key(replace(clip, id="d", video=moved, labels=(Label("nrs", 0, 10, 3),)), made_by) == key
    with moved.open("ab") as file:
        file.write(b"x")
    others = [
        cache.key(replace(clip, video=moved), made_by),
        cache.key(replace(clip, start_s=0.5), made_by),
        cache.key(replace(clip, crop=(0, 0, 0.5, 1)), made_by),
        cache.key(replace(clip, video=None, audio=recording), made_by),
        cache.key(clip, cache.extractor("none")),
        cache.key(clip, made_by | {"painsense": "0.0.1"}),
    ]
    assert len({key, *others}) == 7


# --- bad clips --------------------------------------------------------------------------------------------------------


def test_bad_clip_is_listed_and_the_others_are_kept(archive: Path, tmp_path: Path) -> None:
    folder, lines = copied(archive, tmp_path / "archive"), []
    bad = sorted((folder / "Images" / OTHER).rglob("*.png"))[3]
    bad.write_bytes(b"no picture")
    done = run(folder, tmp_path / "cache", say=lines.append)
    assert (done.clips, len(done.failed)) == (1, 1)
    assert any(f"left out: {bad.name}: a picture was expected" in line for line in lines)
    listed = json.loads((tmp_path / "cache" / "clips.json").read_text())["failed"]
    assert listed == [{"id": done.failed[0].id, "why": done.failed[0].why}]
    assert bad.stem not in done.failed[0].why
    assert len(list(samples.recordings(tmp_path / "cache"))) == 1
    bad.write_bytes((bad.parent / bad.name.replace("004", "003")).read_bytes())
    assert run(folder, tmp_path / "cache").failed == ()


def test_surprise_of_a_library_costs_one_clip(archive: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def surprise(clip: Clip, baseline: str) -> Observed:
        if len(clip.frames) == 6:
            raise ZeroDivisionError(f"at {clip.frames[0]}")
        return Observed(None, None, (), False)

    monkeypatch.setattr("training.fusion.measure.measure", surprise)
    (failed,) = run(archive, tmp_path / "cache").failed
    assert failed.why == f"ZeroDivisionError: at {failed.id}/a file"


def test_nothing_to_keep_is_an_error(archive: Path, tmp_path: Path) -> None:
    folder = copied(archive, tmp_path / "archive")
    for path in sorted((folder / "Images").rglob("*.png")):
        if not path.stem.endswith("001"):
            path.write_bytes(b"no picture")
    with pytest.raises(TrainingError, match="not one clip could be measured: 2 faults"):
        run(folder, tmp_path / "cache")
    assert not (tmp_path / "cache" / "clips.json").exists()


def test_part_behind_the_end_is_said(recording: Path) -> None:
    with pytest.raises(TrainingError, match="between 50 and 60 s was expected, there is none"):
        measure(Clip("c", "manifest", "s", video=recording, start_s=50, end_s=60))


# --- what is refused --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda out: (out / "mine.txt").write_text("x"), "it holds other files"),
        (lambda out: (out / "index.json").write_text('{"people": 3}'), "it holds other files"),
        (lambda out: begun(out, "biovid_a", {}), "a cache of unbc was expected, this is one of biovid_a"),
        (lambda out: begun(out, "unbc", {"painsense": "0.0.1"}), "painsense 0.0.1 instead of .*--out, or delete"),
        (lambda out: begun(out, "unbc", {"baseline": "none"}), "baseline none instead of auto"),
        (lambda out: begun(out, "unbc", {"models": {"action_units": "0"}}), r"models\.action_units"),
    ],
)
def test_another_folder_is_left_alone(
    spoil: Callable[[Path], object], message: str, archive: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    out.mkdir()
    spoil(out)
    before = content(out)
    with pytest.raises(TrainingError, match=message):
        run(archive, out)
    assert content(out) == before


def begun(out: Path, dataset: str, changes: dict[str, object]) -> None:
    """A cache that was begun for a data set by another extractor."""
    cache.begin(out, dataset, cache.extractor("auto") | changes)


def test_cache_of_another_version_is_not_trained_on(unbc_cache: Path, tmp_path: Path) -> None:
    out = Path(shutil.copytree(unbc_cache, tmp_path / "cache"))
    index = json.loads((out / "index.json").read_text())
    index["extractor"]["painsense"] = "0.0.1"
    (out / "index.json").write_text(json.dumps(index))
    with pytest.raises(TrainingError, match=r"painsense 0\.0\.1 instead of .*prepare the data set anew"):
        samples.recordings(out)


def test_clips_do_not_vanish_from_a_cache(unbc_cache: Path, archive: Path, tmp_path: Path) -> None:
    before = content(unbc_cache)
    folder = copied(archive, tmp_path / "archive")
    shutil.rmtree(folder / "Images" / OTHER)
    with pytest.raises(TrainingError, match="1 of them are not among them any more"):
        run(folder, unbc_cache)
    with pytest.raises(TrainingError, match="2 of them are not among them any more, or have another salt"):
        run(archive, unbc_cache, salt="1" * 64)
    assert content(unbc_cache) == before


def test_damaged_tracks_are_named(unbc_cache: Path, tmp_path: Path) -> None:
    out = Path(shutil.copytree(unbc_cache, tmp_path / "cache"))
    broken = next((out / "tracks").iterdir())
    broken.write_bytes(broken.read_bytes()[:200])
    with pytest.raises(
        TrainingError, match=rf"{broken.name}: the tracks of a recording were expected.*delete the file"
    ):
        list(samples.recordings(out))


@pytest.mark.parametrize("files", [(), ("video/071309_w_21/071309_w_21-BL1-081.mp4",)])
def test_folder_that_is_no_such_data_set_begins_no_cache(files: tuple[str, ...], tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    for name in files:
        make_datasets.touch(folder / name)
    with pytest.raises(TrainingError, match="the data set unbc was expected"):
        run(folder, tmp_path / "cache")
    assert not (tmp_path / "cache").exists()


# --- people -----------------------------------------------------------------------------------------------------------


def test_no_path_and_no_name_is_kept(recording: Path, tmp_path: Path) -> None:
    folder = tmp_path / "Ada Example"
    folder.mkdir()
    shutil.copy(recording, folder / "Ada.mp4")
    make_datasets.touch(folder / "Ada2.mp4", "no video")
    table = manifest(folder, ["Ada Example,Ada.mp4,,,,nrs,4,female,", "Ada Example,Ada2.mp4,,,,nrs,4,female,"])
    assert len(run(table, tmp_path / "cache", "manifest").failed) == 1
    for path, stored in content(tmp_path / "cache").items():
        if path.endswith(".npz"):
            with np.load(tmp_path / "cache" / path) as arrays:
                stored = arrays["said"].tobytes()
        for secret in (b"Ada", b"Example", b".mp4", str(tmp_path).encode()):
            assert secret not in stored, path


# --- many at once -----------------------------------------------------------------------------------------------------


def test_processes_and_this_process_make_the_same(
    unbc_cache: Path, archive: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    salt = make_datasets.touch(tmp_path / "salt", SALT)
    out = tmp_path / "cache"
    command = ["unbc", str(archive), "--out", str(out), "--partial", "--workers", "2", "--salt-file", str(salt)]
    assert prepare.main(command) == 0
    assert "2 clips, 2 measured now, 0 left out" in capsys.readouterr().out
    assert content(out)["clips.json"] == content(unbc_cache)["clips.json"]
    for one, other in zip(samples.recordings(out), samples.recordings(unbc_cache), strict=True):
        assert one.face is not None and other.face is not None
        np.testing.assert_array_equal(one.face.values, other.face.values)


def test_clip_that_kills_its_process_is_left_out(
    archive: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clips_ = datasets.read("unbc", archive, salt=SALT, partial=True).clips
    made_by = cache.extractor("auto")
    (tmp_path / "tracks").mkdir()
    monkeypatch.setattr(prepare, "one", die_of_the_short)
    found = {each.id: each for each in prepare._on_processes(clips_, tmp_path, made_by, 2)}
    short, long = sorted(clips_, key=lambda clip: len(clip.frames))
    assert "died" in found[short.id].why
    assert found[long.id] == prepare.Outcome(long.id, "survived")


def die_of_the_short(clip: Clip, out: str, made_by: object) -> prepare.Outcome:
    """Stands in for a decoder that crashes."""
    if len(clip.frames) == 6:
        os._exit(1)
    return prepare.Outcome(clip.id, "survived")


def test_processes_end_with_the_one_that_started_them(tmp_path: Path) -> None:
    code = (
        "import os, time\n"
        "from training.fusion import prepare\n"
        "if __name__ == '__main__':\n"
        "    pool = prepare._processes(1)\n"
        "    pool.submit(os.getpid).result()\n"
        "    print('ready', flush=True)\n"
        "    time.sleep(60)\n"
    )
    script = make_datasets.touch(tmp_path / "run.py", code)
    root = Path(prepare.__file__).parents[2]
    with subprocess.Popen(
        [sys.executable, str(script)], stdout=subprocess.PIPE, env=os.environ | {"PYTHONPATH": str(root)}
    ) as parent:
        assert parent.stdout is not None and parent.stdout.readline() == b"ready\n"
        parent.kill()
        assert parent.stdout.read() == b""  # ends when the last process that could still write to it does


def test_cluster_does_the_same_work(unbc_cache: Path, archive: Path, tmp_path: Path) -> None:
    pytest.importorskip("distributed", reason="needs Dask: pip install -e '.[cluster]'")
    from distributed import LocalCluster

    with LocalCluster(
        n_workers=1, threads_per_worker=1, processes=False, dashboard_address=None, protocol="tcp"
    ) as cluster:
        done = run(archive, tmp_path / "cache", cluster=cluster.scheduler_address)
    assert done == prepare.Prepared(2, 2, ())
    assert content(tmp_path / "cache")["clips.json"] == content(unbc_cache)["clips.json"]


def test_cluster_with_another_version_is_refused(archive: Path, tmp_path: Path) -> None:
    clips_ = datasets.read("unbc", archive, salt=SALT, partial=True).clips
    other = cache.extractor("auto") | {"painsense": "0.0.1"}
    with ThreadPoolExecutor(1) as pool, pytest.raises(TrainingError, match="one has others"):
        list(prepare._shared_out(pool, clips_, tmp_path, other))


def test_wrong_options_are_said(archive: Path, tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="--workers: a number from 0"):
        run(archive, tmp_path / "cache", workers=-1)
    with pytest.raises(TrainingError, match="baseline: one of auto, none"):
        run(archive, tmp_path / "cache", baseline="own")
    assert not math.isfinite(Clip("c", "d", "s").start_s) and not (tmp_path / "cache").exists()
