"""Tiny data sets in the layouts of the real ones, with the faults they are known for. Nothing in them is a recording.

Media files hold a few bytes, because no reader opens them, but for pictures, whose darkness and shape are looked at.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import cv2
import numpy as np

SALT = "0" * 64

UNBC_SUBJECTS = ("042-ll042", "043-jh043", "064-ak064", "123-jh123", "107-hs107", "109-ib109")


def touch(path: Path, text: str = "x") -> Path:
    """A file with that text, and the folders above it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def picture(path: Path, grey: int = 128, width: int = 32, height: int = 32) -> Path:
    """A picture of one grey."""
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), np.full((height, width, 3), grey, np.uint8))
    return path


def unbc(
    folder: Path,
    subjects: Sequence[str] = UNBC_SUBJECTS,
    *,
    frames: int = 4,
    pspi: float = 3.0,
    facs: str = "   4.0000000e+00   3.0000000e+00  -1.0000000e+00  -1.0000000e+00\n",
    doubled: bool = False,
    prefix: bool = True,
    black: int = 0,
    sequences: Iterable[str] = ("t1aaaff", "t2aeunaff"),
) -> Path:
    """UNBC-McMaster: every sequence with PSPI, FACS, AAM and what was said."""

    def base(*names: str) -> Path:
        out = folder
        for name in names:
            out = out / name / name if doubled else out / name
        return out

    for subject in subjects:
        code = subject.split("-")[1]
        person = subject if prefix else code
        for ending in sequences:
            name = f"{code}{ending}"
            for number in range(1, frames + 1):
                stem = f"{name}{number:03d}"
                picture(base("Images") / person / name / f"{stem}.png", 0 if number <= black else 128)
                labels = base("Frame_Labels")
                touch(labels / "PSPI" / person / name / f"{stem}_facs.txt", f"   {pspi:.7e}\n")
                touch(labels / "FACS" / person / name / f"{stem}_facs.txt", facs)
                touch(base("AAM_landmarks") / person / name / f"{stem}_aam.txt", "  1.0e+00  2.0e+00\n" * 66)
            for kind, value in (("VAS", 4.5), ("OPR", 2.0), ("SEN", 11.0), ("AFF", 6.0)):
                touch(base("Sequence_Labels") / kind / person / f"{name}.txt", f"   {value:.7e}\n")
    return folder


def biovid(
    folder: Path,
    subjects: Sequence[str] = ("071309_w_21", "082315_w_60", "072514_m_27", "112809_w_23"),
    *,
    facial: bool = False,
    numbers: Mapping[str, int] | None = None,
) -> Path:
    """BioVid part A, or B with the electrodes' columns in the physiology."""
    for subject in subjects:
        for level, number in (numbers or {"BL1": 81, "PA1": 11, "PA2": 3, "PA3": 47, "PA4": 5}).items():
            name = f"{subject}-{level}-{number:03d}"
            touch(folder / "video" / subject / f"{name}.mp4")
            columns = ["time", "gsr", "ecg", "emg_trapezius"] + ["emg_corrugator", "emg_zygomaticus"] * facial
            touch(folder / "biosignals_filtered" / subject / f"{name}_bio.csv", "\t".join(columns) + "\n")
    touch(folder / "starting_point" / "samples.csv", "subject_id\tsubject_name\n")
    return folder


def xite(folder: Path) -> Path:
    """X-ITE challenge: a class folder ends in a blank, one segment has sound."""
    for level in ("low_pain", "med_pain "):
        for subject in ("S010", "S011"):
            for segment in (1, 10):
                touch(folder / "train_data" / level / "fvf" / subject / f"{subject}_{segment}.mp4")
    touch(folder / "train_data" / "low_pain" / "audio" / "S010" / "S010_10.mp3")
    touch(folder / "train_data" / "low_pain" / "bio" / "S010" / "S010_10.mat")
    for segment in (1, 2):
        touch(folder / "test_data" / "fvf" / "S055" / f"S055_{segment}.mp4")
    return folder


INVENTED_NAMES = ("Ada Byron Example", "Karl-Heinz Beispiel", "José Ejemplo")


def mintpain(folder: Path) -> Path:
    """MIntPAIN: folders called after (invented) people, colour and thermal pictures half a second apart."""
    for number, name in enumerate(INVENTED_NAMES, start=1):
        trial = folder / f"Sub{number} {name}" / f"Annotated_data_Sub{number:02d}_Trial01"
        for label in (0, 3):
            sweep = trial / f"Sub{number:02d}_Trial01_Sweep01_Label{label}"
            for tick in range(4):
                stamp = f"11-51-{2 + tick // 2:02d}-{500 * (tick % 2):04d}"
                touch(sweep / "rgb" / f"RGB-{stamp}.jpg")
                touch(sweep / "thermal" / f"T-{stamp}.jpg")
    return folder


TAME_HEADER = "PID,COND,UTTNUM,UTTID,PAIN LEVEL,REVISED PAIN,DURATION (SEC),ACTION LABEL,NOTES"


def tame(folder: Path) -> Path:
    """TAME Pain: a spoken rating, a copied one, a missing one, a poor recording, a lost recording."""
    rows = [
        ("p10085", "LC", 1, 161, "0", "1", 0),
        ("p10085", "LC", 2, 99999, "0", "1", 0),
        ("p10085", "LC", 3, 12, "4", "4", 1),
        ("p10085", "RW", 1, 40, "", "", 1),
        ("p20001", "LC", 1, 161, "9", "9", 4),
        ("p20001", "LW", 1, 77, "2", "2", 0),
    ]
    for person, condition, number, sentence, *_ in rows[:-1]:
        touch(folder / "mic1_trim_v2" / person / f"{person}.{condition}.{number}.{sentence}.wav")
    lines = [f'{p},{c},{n},{u},{level},{revised},2.65,{a},"a, note"' for p, c, n, u, level, revised, a in rows]
    touch(folder / "meta_audio.csv", "\n".join([TAME_HEADER, *lines]) + "\n")
    touch(
        folder / "meta_participant.csv",
        "PID,GENDER,AGE,RACE/ETHNICITY\np10085,Woman,21,Asian\np20001,Prefer to self-describe,70,White\n",
    )
    touch(folder / "Annotations" / "No_Pain_Rating_So_Copied.csv", "PID,COND,UTTNUM,UTTID\np10085,LC,3,12\n")
    touch(folder / "Annotations" / "No_Pain_Rating.csv", "PID,COND,UTTNUM,UTTID\np10085,RW,1,40\n")
    return folder


def vivae(folder: Path) -> Path:
    """VIVAE: the full set and, in a folder of its own, the core set."""
    for speaker in ("S01", "S02"):
        for affect in ("pain", "pleasure"):
            for number in (1, 2):
                touch(folder / "full_set" / f"{speaker}_{affect}_peak_{number:02d}.wav")
        touch(folder / "core_set" / f"{speaker}_pain_peak_01.wav")
    return folder


def icopevid(folder: Path) -> Path:
    """iCOPEvid: two newborns."""
    for subject in ("S010", "S011"):
        touch(folder / "Pain" / f"{subject}_Pain_1_[0]_20s.mp4")
        touch(folder / "Nopain" / f"{subject}_Friction_1_[0]_20s.mp4")
    return folder


def synpain(folder: Path) -> Path:
    """SynPAIN: wide pictures of two faces, a video, and the folds."""
    picture(folder / "Images" / "1100300001_Pain_Man_Young.jpg", width=130, height=72)
    picture(folder / "Images" / "1011400002_NoPain_Woman_Old.jpg", width=130, height=72)
    touch(folder / "Videos" / "1100300001_Pain_Man_Young.mp4")
    touch(folder / "SynPain_folds.txt", "1100300001, 1\n1011400002, 2\n")
    return folder


def ravdess(folder: Path) -> Path:
    """RAVDESS: picture and sound of one performance apart, another with both in one, a copy of the whole folder."""
    for above in (folder, folder / "audio_speech_actors_01-24"):
        touch(above / "Actor_01" / "03-01-05-02-01-01-01.wav")
    touch(folder / "Actor_01" / "02-01-05-02-01-01-01.mp4")
    touch(folder / "Actor_02" / "01-02-03-01-02-01-02.mp4")
    touch(folder / "Actor_02" / "03-02-03-01-02-01-02.wav")
    return folder


def grid(folder: Path) -> Path:
    """GRID: coarse and fine pictures of one sentence, sound alone for talker 21, the same sentence by two talkers."""
    touch(folder / "s1" / "video" / "mpg_6000" / "bbaf2n.mpg")
    touch(folder / "s1" / "video" / "mpg_vcd" / "bbaf2n.mpg")
    touch(folder / "s1" / "align" / "bbaf2n.align")
    touch(folder / "s2" / "bbaf2n.mpg")
    touch(folder / "s2" / "audio" / "bbaf2n.wav")
    touch(folder / "audio_25k" / "s21" / "lwbsza.wav")
    return folder
