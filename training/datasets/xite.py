"""X-ITE Pain Challenge 2025: 30 people, segments of 10 s of the face under low or medium pain, sound where it is given.

https://sites.google.com/view/xitepainchallenge/challenge-details; the recordings: Gruss et al. 2019, doi 10.3791/59057.
The labels of the four test people are not given out.
"""

from __future__ import annotations

import re
from pathlib import Path

from training.datasets import common
from training.datasets.common import Dataset, Faults, Skipped
from training.datasets.pseudonyms import clip_id, pseudonym
from training.fusion.record import Clip

LAYOUT = (
    "train_data/{low_pain,med_pain}/fvf/S010/S010_10.mp4 and test_data/fvf/S.../S..._1.mp4; sound: S010_10.mp3 beside"
)
SIGN = re.compile(r"(low_pain|med_pain|test_data)\s*/.*S\d{3}_\d+\.mp4$")

_NAME = re.compile(r"^S(?P<subject>\d{3})_(?P<segment>\d+)$", re.IGNORECASE)
_LEVEL = {"low_pain": 1.0, "med_pain": 2.0}
_EXPECTED = {
    "train subjects": 26,
    "train clips": 3_117,
    "low_pain clips": 1_557,
    "med_pain clips": 1_560,
    "test subjects": 4,
    "test clips": 480,
}


def read(folder: Path, salt: str) -> Dataset:
    """Every segment; the level is 1 (low) or 2 (medium), and test segments have none."""
    faults = Faults("X-ITE challenge", LAYOUT)
    skipped: list[Skipped] = []
    pictures: dict[tuple[str, str, str], Path] = {}
    sounds: dict[tuple[str, str, str], Path] = {}
    for path in common.files(folder, common.VIDEO | common.AUDIO):
        shown = path.relative_to(folder)
        parts = [part.strip().lower() for part in shown.parts]  # one of the published folders ends in a blank
        found = _NAME.match(path.stem.strip())
        level = next((part for part in parts if part in _LEVEL), "test" if "test_data" in parts else "")
        if not found or not level:
            faults.add(shown, "S010_10.mp4 below low_pain, med_pain or test_data was expected")
            continue
        inner = path.parent.name.strip()
        if re.match(r"S\d{3}$", inner, re.IGNORECASE) and inner[1:] != found["subject"]:
            faults.add(shown, f"a segment of {inner}, after its folder, was expected")
            continue
        key = (level, found["subject"], str(int(found["segment"])))
        into = pictures if path.suffix.lower() in common.VIDEO else sounds
        if key in into:
            faults.add(
                shown, f"one file for each segment was expected, {into[key].relative_to(folder)} is the same one"
            )
        into[key] = path
    for key in sorted(set(sounds) - set(pictures)):
        skipped.append(Skipped(str(sounds[key].relative_to(folder)), "sound without its video"))
    sides: dict[str, set[str]] = {"train": set(), "test": set()}
    for level, subject, _ in pictures:
        sides["test" if level == "test" else "train"].add(subject)
    for subject in sorted(sides["train"] & sides["test"]):
        faults.add(f"S{subject}", "people of train_data and of test_data were expected to be different ones")
    clips = []
    for key, path in sorted(pictures.items()):
        level, subject, segment = key
        shown = path.relative_to(folder)
        label = faults.label(shown, "stimulus_level", 1, 2, _LEVEL[level]) if level in _LEVEL else None
        clips.append(
            Clip(
                id=clip_id(salt, "xite", subject, f"{level} {segment}"),
                dataset="xite",
                subject=pseudonym(salt, "xite", subject),
                video=path,
                audio=sounds.get(key),
                labels=(label,) if label else (),
                fold="test" if level == "test" else "train",
            )
        )
    faults.stop()
    count = {level: sum(key[0] == level for key in pictures) for level in (*_LEVEL, "test")}
    parsed = {
        "train subjects": len(sides["train"]),
        "train clips": count["low_pain"] + count["med_pain"],
        "low_pain clips": count["low_pain"],
        "med_pain clips": count["med_pain"],
        "test subjects": len(sides["test"]),
        "test clips": count["test"],
    }
    return Dataset(tuple(clips), _EXPECTED, parsed, tuple(skipped))
