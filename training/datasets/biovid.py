"""BioVid Heat Pain, parts A (bare face) and B (electrodes on the face): clips of 5.5 s after heat or none.

Walter et al. 2013, IEEE CYBCONF; https://www.nit.ovgu.de/BioVid.html. The label is the strength
of the stimulus, not what the face shows: below PA3 most faces show next to nothing.
"""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

from training.datasets import common
from training.datasets.common import Dataset, Faults
from training.datasets.pseudonyms import clip_id, pseudonym
from training.errors import TrainingError
from training.fusion.record import Clip, age_band
from training.fusion.splits import NON_REACTIVE

LAYOUT = "video/071309_w_21/071309_w_21-PA4-005.mp4: subject (date, m or w, age), BL1 or PA1 to PA4, three digits"
SIGN = re.compile(r"\d{6}_[mw]_\d{2}[-_](BL1|PA[1-4])", re.IGNORECASE)

NON_REACTIVE_SUBJECTS = frozenset(
    [
        "082315_w_60",
        "082414_m_64",
        "082909_m_47",
        "083009_w_42",
        "083013_w_47",
        "083109_m_60",
        "083114_w_55",
        "091914_m_46",
        "092009_m_54",
        "092014_m_56",
        "092509_w_51",
        "092714_m_64",
        "100514_w_51",
        "100914_m_39",
        "101114_w_37",
        "101209_w_61",
        "101809_m_59",
        "101916_m_40",
        "111313_m_64",
        "120614_w_61",
    ]
)
"""The 20 people who show next to nothing; 67 of part A are left without them."""

HOLD_OUT_SUBJECTS = frozenset(
    [
        "100914_m_39",
        "101114_w_37",
        "082315_w_60",
        "083114_w_55",
        "083109_m_60",
        "072514_m_27",
        "080309_m_29",
        "112016_m_25",
        "112310_m_20",
        "092813_w_24",
        "112809_w_23",
        "112909_w_20",
        "071313_m_41",
        "101309_m_48",
        "101609_m_36",
        "091809_w_43",
        "102214_w_36",
        "102316_w_50",
        "112009_w_43",
        "101814_m_58",
        "101908_m_61",
        "102309_m_61",
        "112209_m_51",
        "112610_w_60",
        "112914_w_51",
        "120514_w_56",
    ]
)
"""The 26 validation subjects of the publishers' proposal; five of them are non-reactive too."""

_NAME = re.compile(
    r"^(?P<subject>\d{6}_[mw]_\d{2})[-_](?P<level>bl1|pa[1-4])[-_](?P<number>\d{1,3})(?:_[a-z]+)?$", re.IGNORECASE
)
_LEVEL = {"bl1": 0, "pa1": 1, "pa2": 2, "pa3": 3, "pa4": 4}
_SUBJECTS = {"a": 87, "b": 86}
_CLIPS_EACH = 100


def read_a(folder: Path, salt: str) -> Dataset:
    """Part A, bare faces."""
    return _read(folder, salt, "a")


def read_b(folder: Path, salt: str) -> Dataset:
    """Part B, faces that wear electrodes. People of both parts have one pseudonym."""
    return _read(folder, salt, "b")


def _read(folder: Path, salt: str, part: str) -> Dataset:
    faults = Faults(f"BioVid part {part.upper()}", LAYOUT)
    root = _root(folder, part)
    where = common.child(root, "video") or root
    _check_part(root, part)
    clips: list[Clip] = []
    seen: dict[tuple[str, str, int], Path] = {}
    for path in common.files(where, common.VIDEO):
        shown = path.relative_to(folder)
        found = _NAME.match(path.stem.strip())
        if not found:
            faults.add(shown, "a name like 071309_w_21-PA4-005 was expected")
            continue
        subject, level, number = found["subject"].lower(), found["level"].lower(), int(found["number"])
        above = path.parent.name.strip().lower()
        if re.match(r"\d{6}_[mw]_\d{2}$", above) and above != subject:
            faults.add(shown, f"a clip of {above}, after its folder, was expected")
            continue
        if (other := seen.setdefault((subject, level, number), path)) != path:
            faults.add(shown, f"one file for each clip was expected, {other.relative_to(folder)} is the same one")
            continue
        sex, age = subject.split("_")[1:]
        clips.append(
            Clip(
                id=clip_id(salt, "biovid", subject, f"{part} {level} {number}"),
                dataset=f"biovid_{part}",
                subject=pseudonym(salt, "biovid", subject),
                session=part,
                video=path,
                labels=tuple(label for label in [faults.label(shown, "stimulus_level", 0, 4, _LEVEL[level])] if label),
                groups={"sex": "female" if sex == "w" else "male", "age_band": age_band(int(age))},
                fold="validation" if subject in HOLD_OUT_SUBJECTS else "train",
                flags=(NON_REACTIVE,) if subject in NON_REACTIVE_SUBJECTS else (),
            )
        )
    faults.stop()
    levels = Counter(level for _, level, _ in seen)
    people = _SUBJECTS[part]
    expected = {"subjects": people, "clips": people * _CLIPS_EACH}
    expected |= {f"clips of {level.upper()}": people * _CLIPS_EACH // len(_LEVEL) for level in _LEVEL}
    parsed = {"subjects": len({subject for subject, _, _ in seen}), "clips": len(clips)}
    parsed |= {f"clips of {level.upper()}": levels[level] for level in _LEVEL}
    return Dataset(tuple(clips), expected, parsed)


def _root(folder: Path, part: str) -> Path:
    """The folder with ``video``; of several the one that ends in the letter of the part (PartA, part_b)."""
    roots = common.roots_with(folder, "video")
    if len(roots) > 1:
        named = [each for each in roots if re.search(rf"(^|part|[ _-]){part}$", each.name.strip(), re.IGNORECASE)]
        if len(named) != 1:
            raise TrainingError.at(
                folder,
                f"one part was expected, {', '.join(each.name for each in roots)} hold a folder video",
                f"name the one with part {part.upper()}",
            )
        return named[0]
    return roots[0] if roots else folder


def _check_part(root: Path, part: str) -> None:
    """An error if the physiology beside the videos is the other part's: only B has electrodes on the face."""
    where = common.child(root, "biosignals_filtered") or common.child(root, "biosignals_raw")
    file = next(common.files(where, frozenset({".csv"})), None) if where else None
    if file is None:
        return
    with file.open(encoding="utf-8", errors="replace") as lines:
        other = "b" if "corrugator" in lines.readline().lower() else "a"
    if other != part:
        raise TrainingError.at(
            file,
            f"signals of part {part.upper()} were expected, these are of part {other.upper()}: B has electrodes on "
            "the face, A has none",
            f"read the folder as biovid_{other}",
        )
