"""The readers of the data sets, on tiny trees in the true layouts with the faults they are known for."""

from __future__ import annotations

import math
import os
import re
import shutil
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from make_datasets import (
    INVENTED_NAMES,
    SALT,
    TAME_HEADER,
    UNBC_SUBJECTS,
    biovid,
    grid,
    icopevid,
    mintpain,
    picture,
    ravdess,
    synpain,
    tame,
    touch,
    unbc,
    vivae,
    xite,
)

from training import datasets
from training.datasets import NAMES, Dataset, pseudonyms
from training.datasets import biovid as biovid_lists
from training.datasets import unbc as unbc_lists
from training.datasets.__main__ import main
from training.errors import TrainingError
from training.fusion import splits
from training.fusion.record import Clip

TREES = {
    "unbc": unbc,
    "biovid_a": biovid,
    "xite": xite,
    "mintpain": mintpain,
    "tame": tame,
    "vivae": vivae,
    "icopevid_neonates": icopevid,
    "synpain": synpain,
    "ravdess": ravdess,
    "grid": grid,
}


def read(name: str, folder: Path) -> Dataset:
    return datasets.read(name, folder, salt=SALT, partial=True)


def by_file(data: Dataset) -> dict[str, Clip]:
    return {clip.files[0].name: clip for clip in data.clips}


def sequence(data: Dataset, start: str) -> Clip:
    return next(clip for name, clip in by_file(data).items() if name.startswith(start))


# What every reader keeps


@pytest.mark.parametrize("name", TREES)
def test_nobody_is_named_and_every_clip_is_single(name: str, tmp_path: Path) -> None:
    data = read(name, TREES[name](tmp_path))
    assert len({clip.id for clip in data.clips}) == len(data.clips) > 1
    for clip in data.clips:
        assert clip.dataset == name
        assert re.fullmatch(r"[a-z]+-[0-9a-f]{12}", clip.subject)
        assert re.fullmatch(rf"{clip.subject}-[0-9a-f]{{10}}", clip.id)
        assert str(tmp_path) not in repr(clip)
        assert all(path.is_file() for path in clip.files) and clip.files
    other = datasets.read(name, tmp_path, salt="1" * 64, partial=True)
    assert not {clip.subject for clip in data.clips} & {clip.subject for clip in other.clips}


@pytest.mark.parametrize("name", TREES)
def test_another_data_set_is_recognised(name: str, tmp_path: Path) -> None:
    TREES[name](tmp_path)
    asked = "vivae" if name != "vivae" else "unbc"
    found = "biovid_[ab]" if name.startswith("biovid") else name.removesuffix("_neonates")
    with pytest.raises(TrainingError, match=rf"looks like {found}"):
        datasets.read(asked, tmp_path, salt=SALT)


@pytest.mark.parametrize("name", [name for name in NAMES if name != "icopevid"])
def test_an_empty_folder_and_none(name: str, tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match=rf"the data set {name} was expected, nothing of it is there; unpack"):
        datasets.read(name, tmp_path, salt=SALT)
    with pytest.raises(TrainingError, match="there is none; its layout"):
        datasets.read(name, tmp_path / "nowhere", salt=SALT)


@pytest.mark.parametrize("name", [name for name in TREES if name not in ("ravdess", "grid")])
def test_half_a_data_set_is_an_error_unless_asked_for(name: str, tmp_path: Path) -> None:
    TREES[name](tmp_path)
    with pytest.raises(TrainingError, match=rf"the whole of {name} was expected, found .* \d+ of \d+.*--partial"):
        datasets.read(name, tmp_path, salt=SALT)


def test_what_cannot_be_parsed_is_named_and_counted(tmp_path: Path) -> None:
    biovid(tmp_path)
    for number in range(7):
        touch(tmp_path / "video" / f"odd_{number}.mp4")
    with pytest.raises(
        TrainingError, match=r"(?s)7 faults.*video.odd_0\.mp4: a name like.*and 2 more.*Correct or move"
    ):
        read("biovid_a", tmp_path)


def test_an_unknown_name_lists_the_known_ones() -> None:
    with pytest.raises(TrainingError, match="'unbcc' is no data set that is known; ask for one of unbc, biovid_a"):
        datasets.read("unbcc", ".")


# UNBC-McMaster


@pytest.mark.parametrize("doubled", [False, True])
@pytest.mark.parametrize("prefix", [True, False])
def test_unbc_in_its_layouts(tmp_path: Path, doubled: bool, prefix: bool) -> None:
    data = read("unbc", unbc(tmp_path / "set", doubled=doubled, prefix=prefix))
    assert data.parsed["sequences"] == 12 and data.parsed["subjects"] == 6
    assert data.parsed["frames"] == data.parsed["frames with PSPI"] == data.parsed["frames with FACS"] == 48
    assert data.parsed["frames with AAM"] == 48 and not data.skipped
    assert data.expected["frames"] == 48_398 and data.expected["sequences"] == 200
    clip = sequence(data, "ll042t1aaaff")
    assert [path.name for path in clip.frames] == [f"ll042t1aaaff{k:03d}.png" for k in range(1, 5)]
    assert {label.kind: (label.low, label.high, label.value) for label in clip.labels if not label.frames} == {
        "vas": (0, 10, 4.5),
        "opr": (0, 5, 2),
        "sensory": (0, 15, 11),
        "affective": (0, 15, 6),
    }
    pspi = clip.label("pspi_frame")
    assert pspi is not None and pspi.frames == (3.0,) * 4 and pspi.high == 16
    assert (clip.fold, clip.session, clip.groups, clip.fps) == ("fold-3", "t1", {"limb": "affected"}, 30.0)
    assert sequence(data, "ll042t2aeunaff").groups == {"limb": "unaffected"}
    # The same numbers, two people:
    assert sequence(data, "jh043").subject != sequence(data, "jh123").subject
    # A copy with other folders has the same pseudonyms, so that two copies can never be split apart.
    again = read("unbc", unbc(tmp_path / "again", doubled=not doubled, prefix=not prefix))
    assert {clip.id for clip in again.clips} == {clip.id for clip in data.clips}


def test_unbc_folds_are_the_published_ones(tmp_path: Path) -> None:
    listed = " ".join(unbc_lists.FOLDS.values()).split()
    assert len(listed) == len(set(listed)) == 25 and {len(each.split()) for each in unbc_lists.FOLDS.values()} == {5}
    assert all(each[:3] == each[-3:] for each in listed)
    made = splits.published(read("unbc", unbc(tmp_path)).clips)
    assert [split.name for split in made] == [
        f"published-fold-{k}" for k in range(1, 5)
    ]  # nobody of the fifth is there


def test_unbc_without_action_units_is_scored_and_without_file_is_not(tmp_path: Path) -> None:
    unbc(tmp_path, ["042-ll042"], sequences=["t1aaaff", "t1abaff", "t1acaff"], pspi=0.0, facs="")
    base = tmp_path / "Frame_Labels"
    for name, kinds in (("ll042t1abaff", ["PSPI"]), ("ll042t1acaff", ["PSPI", "FACS"])):
        for kind in kinds:
            (base / kind / "042-ll042" / name / f"{name}002_facs.txt").unlink()
    data = read("unbc", tmp_path)
    scored = {
        name: sequence(data, name).label("pspi_frame") for name in ("ll042t1aaaff", "ll042t1abaff", "ll042t1acaff")
    }
    assert [label.frames[1] for label in scored.values() if label][:2] == [0.0, 0.0]  # from FACS where PSPI is missing
    assert math.isnan(scored["ll042t1acaff"].frames[1]) and scored["ll042t1acaff"].frames[0] == 0.0  # type: ignore[union-attr]
    assert (data.parsed["frames scored"], data.parsed["frames with PSPI"]) == (11, 10)


def test_unbc_pspi_is_made_of_the_units(tmp_path: Path) -> None:
    """AU4 2 + max(AU6 3, AU7 1) + max(AU9 0, AU10 4) + AU43 = 10; AU12 does not count."""
    coded = [(4, 2), (6, 3), (7, 1), (10, 4), (12, 5), (43, 1)]
    rows = "".join(f"   {unit:.7e}   {level:.7e}   0.0e+00   0.0e+00\n" for unit, level in coded)
    unbc(tmp_path, ["042-ll042"], facs=rows)
    shutil.rmtree(tmp_path / "Frame_Labels" / "PSPI")
    label = read("unbc", tmp_path).clips[0].label("pspi_frame")
    assert label is not None and label.frames == (10.0,) * 4


def test_unbc_says_where_pspi_and_units_differ(tmp_path: Path) -> None:
    data = read("unbc", unbc(tmp_path, ["042-ll042"], pspi=5.0))
    assert all(clip.flags == ("pspi_differs_from_facs",) for clip in data.clips)
    assert data.clips[0].label("pspi_frame").frames[0] == 5.0  # type: ignore[union-attr]


def test_unbc_black_pictures_at_the_start_are_dropped_with_their_labels(tmp_path: Path) -> None:
    unbc(tmp_path, ["095-tv095"], frames=5, black=2, sequences=["t2aeunaff"])
    last = tmp_path / "Frame_Labels/PSPI/095-tv095/tv095t2aeunaff/tv095t2aeunaff003_facs.txt"
    last.write_text("   1.0000000e+00\n")
    (clip,) = read("unbc", tmp_path).clips
    assert [path.name[-7:] for path in clip.frames] == ["003.png", "004.png", "005.png"]
    assert clip.label("pspi_frame").frames == (1.0, 3.0, 3.0)  # type: ignore[union-attr]
    assert "black_frames" in clip.flags
    unbc(tmp_path / "dark", ["095-tv095"], black=4)
    with pytest.raises(TrainingError, match="nothing of it is there"):
        read("unbc", tmp_path / "dark")


def test_unbc_gaps_and_long_numbers(tmp_path: Path) -> None:
    unbc(tmp_path, ["042-ll042"], sequences=["t1aaaff"])
    where = tmp_path / "Images/042-ll042/ll042t1aaaff"
    (where / "ll042t1aaaff002.png").unlink()
    picture(where / "ll042t1aaaff1000.png")
    data = read("unbc", tmp_path)
    (clip,) = data.clips
    assert [path.stem[12:] for path in clip.frames] == ["001", "003", "004", "1000"]
    assert clip.flags == ("frame_gaps",)
    assert math.isnan(clip.label("pspi_frame").frames[-1])  # type: ignore[union-attr]
    assert {each.why for each in data.skipped} == {"a label without its picture"} and len(data.skipped) == 3


@pytest.mark.parametrize(
    ("file", "text", "message"),
    [
        ("Frame_Labels/PSPI/042-ll042/ll042t1aaaff/ll042t1aaaff001_facs.txt", "17.0", "from 0 to 16 was expected, 17"),
        ("Frame_Labels/PSPI/042-ll042/ll042t1aaaff/ll042t1aaaff001_facs.txt", "", "from 0 to 16 was expected, nan"),
        ("Frame_Labels/FACS/042-ll042/ll042t1aaaff/ll042t1aaaff001_facs.txt", "4 6 0 0", "intensity 0 to 5"),
        ("Sequence_Labels/VAS/042-ll042/ll042t1aaaff.txt", "11", "vas lies between 0 and 10, not at 11"),
        ("Sequence_Labels/OPR/042-ll042/ll042t1aaaff.txt", "none", "opr lies between 0 and 5, not at nan"),
        ("Images/042-ll042/ll042t1aaaff/other.png", "", "one picture called like ll042t1aaaff001.png"),
        ("Images/042-ll042/ll042t1aaaff/ll042t1aaaff001.png", "not a picture", "cannot be decoded"),
        ("Images/042-ll042/strange/a.png", "", "a sequence called like ll042t1aaaff"),
        ("Images/042-ll043/ll043t1aaaff/a.png", "", "a subject folder called like 042-ll042"),
        ("Images/042-ll042/loose001.png", "", "in folders of their sequences"),
    ],
)
def test_unbc_faults_name_the_file(tmp_path: Path, file: str, text: str, message: str) -> None:
    unbc(tmp_path, ["042-ll042"])
    touch(tmp_path / file, text)
    named = re.escape(str(Path(file).parent if "strange" in file else Path(file)))
    named = "Images.042-ll043" if "ll043" in file else named
    with pytest.raises(
        TrainingError, match=rf"(?s)UNBC-McMaster: not read: 1 fault\n.*{named}: .*{re.escape(message)}"
    ):
        read("unbc", tmp_path)


def test_unbc_hdf5_conversion_is_refused_with_a_reason(tmp_path: Path) -> None:
    touch(tmp_path / "frames_unbc_2020-09-21-05-42-04.hdf5")
    with pytest.raises(TrainingError, match=r"frames_unbc_.*hdf5: cropped faces.*use the archive's own folder Images"):
        read("unbc", tmp_path)


# BioVid


def test_biovid_name_tells_level_sex_and_age(tmp_path: Path) -> None:
    biovid(tmp_path)
    touch(tmp_path / "video" / "112909_w_20" / "112909_W_20_pa2-7.MP4")  # other spellings
    found = by_file(read("biovid_a", tmp_path))
    clip = found["071309_w_21-PA4-005.mp4"]
    assert clip.labels[0].head == "stimulus_level_0_4" and clip.labels[0].value == 4
    assert clip.groups == {"sex": "female", "age_band": "18-35"}
    assert found["082315_w_60-BL1-081.mp4"].labels[0].value == 0
    assert found["112909_W_20_pa2-7.MP4"].labels[0].value == 2


def test_biovid_lists(tmp_path: Path) -> None:
    assert len(biovid_lists.NON_REACTIVE_SUBJECTS) == 20 and len(biovid_lists.HOLD_OUT_SUBJECTS) == 26
    both = biovid_lists.NON_REACTIVE_SUBJECTS & biovid_lists.HOLD_OUT_SUBJECTS
    assert both == {"082315_w_60", "083109_m_60", "083114_w_55", "100914_m_39", "101114_w_37"}
    clips = read("biovid_a", biovid(tmp_path)).clips
    held = {clip.files[0].name[:11] for clip in clips if clip.fold == "validation"}
    assert held == {"082315_w_60", "072514_m_27", "112809_w_23"}
    (split,) = splits.published(clips)
    assert (len(split.train), len(split.test)) == (5, 15)
    assert {clip.files[0].name[:11] for clip in clips} - {
        clip.files[0].name[:11] for clip in splits.reactive(clips)
    } == {"082315_w_60"}


def test_biovid_parts_share_people_and_are_not_mistaken(tmp_path: Path) -> None:
    biovid(tmp_path / "PartA")
    biovid(tmp_path / "PartB", facial=True)
    a, b = read("biovid_a", tmp_path), read("biovid_b", tmp_path)
    assert {clip.subject for clip in a.clips} == {clip.subject for clip in b.clips}
    assert not {clip.id for clip in a.clips} & {clip.id for clip in b.clips}
    assert (a.expected["clips"], b.expected["clips"]) == (8700, 8600)
    for asked, there in (("biovid_b", "PartA"), ("biovid_a", "PartB")):
        with pytest.raises(TrainingError, match=r"_bio\.csv: signals of part .* read the folder as biovid"):
            read(asked, tmp_path / there)
    (tmp_path / "PartA").rename(tmp_path / "one")
    (tmp_path / "PartB").rename(tmp_path / "two")
    with pytest.raises(TrainingError, match="one part was expected, one, two hold a folder video"):
        read("biovid_a", tmp_path)


def test_biovid_clip_in_another_subjects_folder(tmp_path: Path) -> None:
    biovid(tmp_path)
    touch(tmp_path / "video" / "071309_w_21" / "072514_m_27-PA4-009.mp4")
    with pytest.raises(TrainingError, match="a clip of 071309_w_21, after its folder"):
        read("biovid_a", tmp_path)


# X-ITE, MIntPAIN


def test_xite_levels_sound_and_hidden_labels(tmp_path: Path) -> None:
    data = read("xite", xite(tmp_path))
    assert data.parsed == {
        "train subjects": 2,
        "train clips": 8,
        "low_pain clips": 4,
        "med_pain clips": 4,
        "test subjects": 1,
        "test clips": 2,
    }
    assert Counter(clip.labels[0].value if clip.labels else None for clip in data.clips) == {1.0: 4, 2.0: 4, None: 2}
    assert {clip.fold for clip in data.clips if not clip.labels} == {"test"}
    (sounding,) = [clip for clip in data.clips if clip.audio]
    assert sounding.video is not None and (sounding.video.stem, sounding.labels[0].value) == ("S010_10", 1.0)
    touch(tmp_path / "test_data" / "fvf" / "S010" / "S010_99.mp4")
    with pytest.raises(TrainingError, match="S010: people of train_data and of test_data"):
        read("xite", tmp_path)


def test_mintpain_pictures_rate_and_levels(tmp_path: Path) -> None:
    data = read("mintpain", mintpain(tmp_path))
    assert data.parsed["sweeps"] == 6 and data.parsed["sweeps of level 3"] == 3
    for clip in data.clips:
        assert clip.fps == pytest.approx(2.0) and all(path.suffix == ".jpg" for path in clip.frames)
        assert [path.stem[-8:] for path in clip.frames] == ["-02-0000", "-02-0500", "-03-0000", "-03-0500"]


def test_mintpain_over_midnight(tmp_path: Path) -> None:
    sweep = (
        mintpain(tmp_path)
        / f"Sub1 {INVENTED_NAMES[0]}"
        / "Annotated_data_Sub01_Trial01"
        / "Sub01_Trial01_Sweep02_Label0"
    )
    for stamp in ("00-00-00-0250", "23-59-59-0750", "00-00-00-0750"):
        touch(sweep / "rgb" / f"RGB-{stamp}.jpg")
    clip = next(clip for clip in read("mintpain", tmp_path).clips if len(clip.frames) == 3)
    assert [path.stem[4:] for path in clip.frames] == ["23-59-59-0750", "00-00-00-0250", "00-00-00-0750"]
    assert clip.fps == pytest.approx(2.0)


MINTPAIN_FAULTS = {
    "picture": "Annotated_data_Sub01_Trial01/Sub01_Trial01_Sweep01_Label0/rgb/Ada Byron.jpg",
    "sweep": "Annotated_data_Sub01_Trial01/Ada_Byron_Sweep/rgb/RGB-11-51-02-0000.jpg",
    "level": "Annotated_data_Sub01_Trial01/Sub01_Trial01_Sweep02_Label7/rgb/RGB-11-51-02-0000.jpg",
    "twice": "Annotated_data_Sub01_Trial01/Sub01_Trial01_Sweep01_Label2/rgb/RGB-11-51-02-0000.jpg",
    "time": "Annotated_data_Sub01_Trial01/Sub01_Trial01_Sweep02_Label0/rgb/RGB-11-51-02-0000.jpg",
    "missing": "Annotated_data_Sub01_Trial01/Sub01_Trial01_Sweep02_Label0/depth/D-11-51-02-0000.jpg",
}


@pytest.mark.parametrize("fault", MINTPAIN_FAULTS)
def test_mintpain_never_names_anybody(fault: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = touch(mintpain(tmp_path) / f"Sub1 {INVENTED_NAMES[0]}" / MINTPAIN_FAULTS[fault])
    if fault == "time":
        shutil.copy(path, path.with_suffix(".png"))
    status = main(["mintpain", str(tmp_path), "--partial"])
    told = "".join(capsys.readouterr())
    assert status == (0 if fault == "missing" else 1)
    assert "Sub1 (name hidden)" in told
    for word in " ".join(INVENTED_NAMES).split():
        assert word not in told
    if status == 0:
        data = read("mintpain", tmp_path)
        text = repr(data) + "".join(clip.hide(f"{path}") for clip in data.clips for path in clip.files)
        assert not [word for word in " ".join(INVENTED_NAMES).split() if word in text]


def test_an_unreadable_folder_is_an_error_without_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """os.walk passes over what it may not open, and the system's own message holds the whole path."""
    closed = mintpain(tmp_path) / f"Sub1 {INVENTED_NAMES[0]}"
    scandir = os.scandir

    def guarded(path: os.PathLike[str] | str) -> object:
        if os.fspath(path) == str(closed):
            raise PermissionError(13, "Permission denied", os.fspath(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", guarded)
    with pytest.raises(TrainingError, match=r"^Sub1 \(name hidden\): a file that can be read was expected") as caught:
        read("mintpain", tmp_path)
    assert "Byron" not in str(caught.value)


# TAME Pain, VIVAE, iCOPEvid


def test_tame_keeps_what_does_not_say_the_label(tmp_path: Path) -> None:
    data = read("tame", tame(tmp_path))
    found = by_file(data)
    assert set(found) == {"p10085.LC.1.161.wav", "p10085.LC.3.12.wav", "p20001.LC.1.161.wav"}
    assert Counter(each.why for each in data.skipped) == {
        "the spoken rating says the label": 1,
        "no rating": 1,
        "its recording is missing": 1,
    }
    first, copied, poor = (found[name] for name in sorted(found))
    assert (first.labels[0].head, first.labels[0].value) == ("nrs_0_10", 0.0)  # as it was said, not 0 made 1
    assert first.groups == {"sex": "female", "age_band": "18-35", "ethnicity": "Asian", "condition": "cold"}
    assert (first.flags, copied.flags, poor.flags) == ((), ("copied_rating",), ("low_quality",))
    assert poor.groups["sex"] == "other" and poor.groups["age_band"] == "66 and over"
    assert data.parsed == {"subjects": 2, "utterances": 5} and data.expected["subjects"] == 51


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("p10085,LC,1,161,11,11,1,0,", "nrs lies between 0 and 10, not at 11"),
        ("p10085,LC,1,161,0,0,1,0,", "REVISED PAIN was expected to be PAIN LEVEL, 0 as 1"),
        ("p10085,LC,1,161,3,3,1,9,", "ACTION LABEL from 0 to 4"),
        ("p10085,LC,one,161,3,3,1,0,", "a new utterance"),
    ],
)
def test_tame_faults_name_the_line(tmp_path: Path, line: str, message: str) -> None:
    touch(tmp_path / "mic1_trim_v2/p10085/p10085.LC.1.161.wav")
    touch(tmp_path / "meta_audio.csv", f"{TAME_HEADER}\n{line}\n")
    with pytest.raises(TrainingError, match=rf"(?s)meta_audio\.csv, line 2: .*{message}"):
        read("tame", tmp_path)


def test_tame_recordings_and_table_belong_together(tmp_path: Path) -> None:
    touch(tame(tmp_path) / "mic1_trim_v2/p10085/p10085.LC.9.161.wav")
    with pytest.raises(TrainingError, match=r"p10085\.LC\.9\.161\.wav: a line in meta_audio\.csv"):
        read("tame", tmp_path)
    touch(tmp_path / "meta_audio.csv", "PID,COND\n")
    with pytest.raises(TrainingError, match="UTTNUM, UTTID, PAIN LEVEL, ACTION LABEL is missing"):
        read("tame", tmp_path)
    (tmp_path / "meta_audio.csv").unlink()
    with pytest.raises(TrainingError, match="the table with the ratings"):
        read("tame", tmp_path)


def test_vivae_full_and_core_set(tmp_path: Path) -> None:
    data = read("vivae", vivae(tmp_path))
    assert data.parsed == {"subjects": 2, "files": 8} and data.expected["files"] == 1085
    core = [clip for clip in data.clips if "core" in clip.flags]
    assert sorted(clip.files[0].name for clip in core) == ["S01_pain_peak_01.wav", "S02_pain_peak_01.wav"]
    assert Counter((clip.groups["expression"], clip.labels[0].value) for clip in data.clips) == {
        ("pain", 1.0): 4,
        ("pleasure", 0.0): 4,
    }
    alone = read("vivae", tmp_path / "core_set")
    assert alone.expected["files"] == 480 and all(clip.flags == ("core",) for clip in alone.clips)
    assert {clip.id for clip in alone.clips} == {clip.id for clip in core}


def test_newborns_only_if_asked_for_by_name(tmp_path: Path) -> None:
    icopevid(tmp_path)
    with pytest.raises(TrainingError, match=r"shows newborns.*ask for it as icopevid_neonates"):
        datasets.read("icopevid", tmp_path, salt=SALT, partial=True)
    data = read("icopevid_neonates", tmp_path)
    assert data.parsed == {"subjects": 2, "clips": 4, "pain clips": 2, "no-pain clips": 2}
    assert {clip.groups["age_band"] for clip in data.clips} == {"newborn"}


# SynPAIN, RAVDESS, GRID


def test_synpain_wide_pictures_are_two_faces(tmp_path: Path) -> None:
    data = read("synpain", synpain(tmp_path))
    assert data.parsed == {"faces": 4, "videos": 1}
    still = [clip for clip in data.clips if clip.frames and "_Pain_" in clip.frames[0].name]
    assert [(clip.crop, clip.labels[0].value) for clip in still] == [((0, 0, 0.5, 1), 0.0), ((0.5, 0, 1, 1), 1.0)]
    assert len({clip.subject for clip in still}) == 1 and still[0].fold == "fold-1"
    assert still[0].groups == {"sex": "male", "age_band": "18-35", "ethnicity": "Caucasian"}
    other = [clip for clip in data.clips if clip.frames and "_NoPain_" in clip.frames[0].name]
    assert [clip.labels[0].value for clip in other] == [0.0, 0.0]
    assert other[0].groups == {"sex": "female", "age_band": "66 and over", "ethnicity": "Asian"}
    assert len(splits.published(data.clips)) == 2


def test_synpain_single_faces_of_one_identity_stay_together(tmp_path: Path) -> None:
    picture(tmp_path / "1100300001_Pain_Man_Young.jpg")
    picture(tmp_path / "1000300001_NoPain_Man_Young.jpg")
    clips = read("synpain", tmp_path).clips
    assert len(clips) == 2 and len({clip.subject for clip in clips}) == 1


@pytest.mark.parametrize("layout", ["1100300001 1\n1011400002 2\n", "Fold 1\n1100300001\nFold 2\n1011400002\n"])
def test_synpain_folds_in_either_form(tmp_path: Path, layout: str) -> None:
    touch(synpain(tmp_path) / "SynPain_folds.txt", layout)
    assert {clip.fold for clip in read("synpain", tmp_path).clips} == {"fold-1", "fold-2"}
    touch(tmp_path / "SynPain_folds.txt", "1100300001\n")
    with pytest.raises(TrainingError, match=r"SynPain_folds\.txt, line 1: one fold for 1100300001"):
        read("synpain", tmp_path)


def test_synpain_digits_and_words_agree(tmp_path: Path) -> None:
    picture(tmp_path / "1100300001_Pain_Woman_Young.jpg")
    with pytest.raises(TrainingError, match="digits that say the same as the words"):
        read("synpain", tmp_path)


def test_ravdess_one_clip_for_each_performance(tmp_path: Path) -> None:
    data = read("ravdess", ravdess(tmp_path))
    spoken, sung = data.clips
    assert (spoken.video is not None, spoken.audio is not None) == (True, True)
    assert spoken.groups == {"sex": "male", "expression": "angry", "strength": "strong", "channel": "spoken"}
    assert sung.video is not None and sung.video.name.startswith("01") and sung.audio is None
    assert sung.groups == {"sex": "female", "expression": "happy", "strength": "normal", "channel": "sung"}
    assert [each.why for each in data.skipped] == ["a copy of another file"]
    assert all(clip.labels[0].head == "expression_0_1" for clip in data.clips)
    with pytest.raises(TrainingError, match="evaluation only"):
        splits.loso(data.clips)


@pytest.mark.parametrize(
    "name",
    ["Actor_01/03-01-09-01-01-01-01.wav", "Actor_01/03-01-05-01-01-01-25.wav", "Actor_01/03-01-01-02-01-01-01.wav",
     "Actor_01/03-01-05-01-01-01-02.wav", "Actor_01/01-01-05-01-01-01-01.wav"],
)  # fmt: skip
def test_ravdess_impossible_names(tmp_path: Path, name: str) -> None:
    touch(tmp_path / name)
    with pytest.raises(TrainingError, match=rf"{Path(name).name}: .* expected"):
        read("ravdess", tmp_path)


def test_ravdess_real_files(shared_data: Path) -> None:
    data = datasets.read("ravdess", shared_data / "voice" / "ravdess", salt=SALT)
    assert data.parsed["actors"] == 12 and data.parsed["spoken performances"] == len(data.clips) == 72
    sexes = Counter(sex for _, sex in {(clip.subject, clip.groups["sex"]) for clip in data.clips})
    assert sexes == {"male": 6, "female": 6}
    assert Counter(clip.groups["expression"] for clip in data.clips) == {
        each: 12 for each in ("neutral", "happy", "sad", "angry", "fearful", "disgust")
    }
    assert all((clip.groups["strength"] == "normal") == (clip.groups["expression"] == "neutral") for clip in data.clips)


def test_grid_talkers_and_pictures(tmp_path: Path) -> None:
    data = read("grid", grid(tmp_path))
    assert data.parsed == {"talkers": 3, "sentences": 3}
    assert len({clip.subject for clip in data.clips}) == 3  # one sentence by two talkers is two clips
    fine = next(clip for clip in data.clips if "s1" in clip.files[0].parts)
    assert fine.video is not None and "mpg_6000" in fine.video.parts
    assert [each.why for each in data.skipped] == ["the same as s1/video/mpg_6000/bbaf2n.mpg, coarser"]
    (heard,) = [clip for clip in data.clips if clip.video is None]
    assert heard.audio is not None and heard.audio.name == "lwbsza.wav"


def test_grid_real_files(shared_data: Path, tmp_path: Path) -> None:
    sentences = sorted((shared_data / "clips").glob("*.mpg"))
    assert len(sentences) == 6
    with pytest.raises(TrainingError, match="a folder of the talker, s1 to s34") as caught:
        read("grid", shared_data / "clips")
    assert "baseline.mp4: a sentence of six characters" in str(caught.value)
    for talker, path in enumerate(sentences, start=1):
        where = tmp_path / f"s{talker}" / path.name
        where.parent.mkdir()
        where.symlink_to(path)
    data = datasets.read("grid", tmp_path, salt=SALT)
    assert data.parsed == {"talkers": 6, "sentences": 6}
    assert len(splits.loso(data.clips)) == 6


# Manifest

MANIFEST = """\
subject,video,audio,session,start_s,end_s,label_kind,label_value,label_low,label_high,sex,age,group_site,fold
p1,a.mp4,,d1,,,nrs,3,,,female,54,knee,
p1,a.mp4,,d1,,,vas,35,0,100,female,54,knee,
p1,b.mp4,,d1,1.5,4,pspi_frame,b.txt,,,female,54,knee,
p2,c.mp4,c.wav,,,,,,,,male,,,
p2,,d.wav,,,,nrs,0,,,male,,,
"""


def manifest(folder: Path, text: str = MANIFEST) -> Path:
    for name in ("a.mp4", "b.mp4", "c.mp4", "c.wav", "d.wav"):
        touch(folder / name)
    touch(folder / "b.txt", "0\n1.5\n\n2\n")
    return touch(folder / "manifest.csv", text)


@pytest.mark.parametrize("form", ["plain", "excel"])
def test_manifest(tmp_path: Path, form: str) -> None:
    text = (
        MANIFEST
        if form == "plain"
        else "\ufeff" + MANIFEST.replace("1.5", "1,5x").replace(",", ";").replace(";5x", ",5")
    )
    data = datasets.read("manifest", manifest(tmp_path, text).parent, salt=SALT)
    assert data.parsed == {"subjects": 2, "clips": 4, "subjects with two clips or more": 2}
    both, frames, seen, heard = data.clips
    assert [(label.head, label.value) for label in both.labels] == [("nrs_0_10", 3.0), ("vas_0_100", 35.0)]
    assert both.groups == {"sex": "female", "age_band": "51-65", "site": "knee"}
    assert (frames.start_s, frames.end_s) == (1.5, 4.0)
    pspi = frames.label("pspi_frame")
    assert pspi is not None and np.array_equal(pspi.frames, [0, 1.5, np.nan, 2], equal_nan=True)
    assert seen.audio is not None and heard.video is None and seen.subject == heard.subject != both.subject
    assert datasets.read("manifest", tmp_path / "manifest.csv", salt=SALT) == data


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("p2,,d.wav", ",,d.wav"), "line 6: a subject and a video or audio"),
        (("p2,,d.wav", "p2,,,"), "line 6: a subject and a video or audio"),
        (("d.wav", "e.wav"), "line 6: a file e.wav beside the table was expected, there is none"),
        (("nrs,0", "nrs,11"), "line 6: nrs lies between 0 and 10, not at 11"),
        (("nrs,0", "nrs,"), "line 6: nrs lies between 0 and 10, not at nan"),
        (("nrs,0", "pain,0"), "line 6: label_kind as one of"),
        (("nrs,0", "nrs,mild"), "line 6: label_value as a number was expected, not 'mild'"),
        (("nrs,0", ",0"), "line 6: a label_kind for the label_value"),
        (("b.txt", "c.txt"), "line 4: a text file with one PSPI"),
        (("1.5,4", "4,1.5"), "line 4: .*ends after it starts"),
        (("54", "540"), "line 2: an age lies between 0 and 120"),
        (("male,,,\n", "man,,,\n"), "line 5: sex as one of female, male, other"),
        (("vas,35,0,100", "nrs,4,,"), "line 3: .*two labels of one kind"),
        (("p1,b.mp4", "p9,a.mp4"), r"a\.mp4: one subject for each file"),
        (("knee,\np1,b", "knee,f2\np1,b"), "line 3: the same session"),
        (("group_site", "site"), "site is none of them"),
        (("subject", "person"), "SUBJECT is missing"),
    ],
)  # fmt: skip
def test_manifest_faults_name_the_line(tmp_path: Path, change: tuple[str, str], message: str) -> None:
    assert change[0] in MANIFEST
    with pytest.raises(TrainingError, match=rf"(?s){message}"):
        read("manifest", manifest(tmp_path, MANIFEST.replace(*change)))


def test_manifest_subjects_with_one_clip_are_questioned(tmp_path: Path) -> None:
    file = manifest(tmp_path, "subject,video\nr1,a.mp4\nr2,b.mp4\n")
    with pytest.raises(
        TrainingError, match=r"manifest\.csv: two recordings or more.*0 of 2.*column subject names people"
    ):
        datasets.read("manifest", file, salt=SALT)
    assert len(read("manifest", file).clips) == 2


def test_manifest_rest_recording_is_of_the_same_person(tmp_path: Path) -> None:
    text = "subject,video,rest\np1,a.mp4,c.mp4\np1,b.mp4,c.mp4\np2,,c.mp4\n"
    with pytest.raises(TrainingError, match="line 4: a subject and a video or audio"):
        read("manifest", manifest(tmp_path, text))
    with pytest.raises(TrainingError, match=r"c\.mp4: one subject for each file"):
        read("manifest", manifest(tmp_path, text.replace("p2,,", "p2,d.wav,")))
    with pytest.raises(TrainingError, match=r"line 2: a file z\.mp4 beside the table"):
        read("manifest", manifest(tmp_path, text.replace("a.mp4,c.mp4", "a.mp4,z.mp4")))


def test_manifest_template_can_be_read_once_its_files_are_there(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "mine.csv"
    assert main(["manifest", "--template", str(file)]) == 0
    for name in ("p01_rest.mp4", "p01_sit.mp4", "p01_lift.mp4", "p02_sit.mp4", "p02_sit.wav", "p02_call.wav"):
        touch(tmp_path / "recordings" / name)
    data = datasets.read("manifest", file, salt=SALT)
    assert data.parsed["clips"] == 4
    assert [clip.rest and clip.rest.name for clip in data.clips] == ["p01_rest.mp4", "p01_rest.mp4", None, None]
    before = file.read_text()
    assert main(["manifest", "--template", str(file)]) == 1
    assert file.read_text() == before and "this one is there" in capsys.readouterr().err


# Pseudonyms and the command


def test_the_salt_is_made_once_and_outside_the_checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = tmp_path / "config" / "salt"
    monkeypatch.setenv("PAINSENSE_SALT_FILE", str(place))
    first = pseudonyms.local_salt()
    assert re.fullmatch("[0-9a-f]{64}", first) and pseudonyms.local_salt() == first
    if os.name == "posix":
        assert place.stat().st_mode & 0o077 == 0
    place.write_text("short")
    with pytest.raises(TrainingError, match="a salt of 32 hexadecimal digits"):
        pseudonyms.local_salt()
    monkeypatch.setenv("PAINSENSE_SALT_FILE", str(Path(__file__).parent / "salt"))
    with pytest.raises(TrainingError, match="outside the checkout"):
        pseudonyms.local_salt()
    monkeypatch.delenv("PAINSENSE_SALT_FILE")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    assert pseudonyms.salt_file().name == "pseudonym-salt"


def test_the_command_prints_counts_and_folds_and_writes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PAINSENSE_SALT_FILE", str(tmp_path / "salt"))
    folder = unbc(tmp_path / "unbc")
    before = sorted(tmp_path.rglob("*"))
    assert main(["unbc", str(folder)]) == 1
    assert "the whole of unbc was expected, found subjects: 6 of 25" in capsys.readouterr().err
    assert main(["unbc", str(folder), "--partial"]) == 0
    told = capsys.readouterr().out
    assert "frames: 48 / 48398\n" in told and "label pspi_frame_0_16: 12 clips\n" in told
    assert "published-fold-3: judged by 4 clips of 2 subjects, learned from 8\n" in told
    assert not [subject for subject in UNBC_SUBJECTS if subject in told]
    assert sorted(tmp_path.rglob("*")) == before


def test_the_command_finds_the_file_of_a_clip(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PAINSENSE_SALT_FILE", str(tmp_path / "salt"))
    folder = mintpain(tmp_path / "set")
    assert main(["mintpain", str(folder), "--partial", "--find", "mintpain-1"]) == 1
    clip = datasets.read("mintpain", folder, partial=True).clips[0]
    assert main(["mintpain", str(folder), "--partial", "--find", clip.id]) == 0
    told = capsys.readouterr().out
    assert re.match(
        r"Sub\d \(name hidden\)/Annotated_data_Sub\d\d_Trial01/Sub\d\d_Trial01_Sweep01_Label\d/rgb/RGB-", told
    )


def test_kinds_and_scales_of_labels(tmp_path: Path) -> None:
    """Every reader fills the one record, and nothing of it is left to guess: kinds and scales are said."""
    read_all = {name: read(name, make(tmp_path / name)).clips for name, make in TREES.items()}
    kinds = {name: {label.head for clip in clips for label in clip.labels} for name, clips in read_all.items()}
    assert kinds == {
        "unbc": {"pspi_frame_0_16", "vas_0_10", "opr_0_5", "sensory_0_15", "affective_0_15"},
        "biovid_a": {"stimulus_level_0_4"},
        "xite": {"stimulus_level_1_2"},
        "mintpain": {"stimulus_level_0_4"},
        "tame": {"nrs_0_10"},
        "vivae": {"posed_0_1"},
        "icopevid_neonates": {"class_0_1"},
        "synpain": {"posed_0_1"},
        "ravdess": {"expression_0_1"},
        "grid": {"expression_0_1"},
    }
