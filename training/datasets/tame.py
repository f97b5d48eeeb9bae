"""TAME Pain: 51 people read sentences with a hand in cold or warm water and say how much it hurts.

https://physionet.org/content/tame-pain/1.0.0/ (restricted health data licence). An utterance with the id 99999 is the
spoken rating itself: it says the label, and is left out. Where a rating was missing, the authors copied a neighbour's:
those clips are flagged. Order and condition go along with the label, so results are reported within a condition.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from training.datasets import common
from training.datasets.common import Dataset, Faults, Skipped
from training.datasets.pseudonyms import clip_id, pseudonym
from training.errors import TrainingError
from training.fusion.record import Clip, age_band

LAYOUT = "meta_audio.csv, meta_participant.csv, Annotations/*.csv and mic1_trim_v2/p12345/p12345.LC.12.23456.wav"
SIGN = re.compile(r"p\d{5}\.(LC|LW|RC|RW)\.\d+\.\d+\.wav$|meta_audio\.csv$")

SPOKEN_RATING = 99_999

_NAME = re.compile(r"^(?P<person>p\d+)\.(?P<condition>LC|LW|RC|RW)\.(?P<number>\d+)\.(?P<sentence>\d+)$", re.IGNORECASE)
_KEY = ("PID", "COND", "UTTNUM", "UTTID")
_EXPECTED = {"subjects": 51, "utterances": 7_039}
_SEX = {"man": "male", "woman": "female", "male": "male", "female": "female"}
_WORST_USED = 2  # ACTION LABEL 0 best to 4 worst; its users keep 0 to 2

Key = tuple[str, str, int, int]


def read(folder: Path, salt: str) -> Dataset:
    """Every sentence that has a recording and a rating, which is on the scale 0 to 10 as it was said."""
    faults = Faults("TAME Pain", LAYOUT)
    tables = {path.name.lower(): path for path in common.files(folder, frozenset({".csv"}))}
    sounds = _sounds(folder, faults)
    if "meta_audio.csv" not in tables:
        if sounds:
            faults.add("meta_audio.csv", "the table with the ratings was expected beside the recordings")
        faults.stop()
        return Dataset((), _EXPECTED, {})
    people = _people(tables.get("meta_participant.csv"), folder, faults)
    copied = _marked(tables.get("no_pain_rating_so_copied.csv"))
    unrated = _marked(tables.get("no_pain_rating.csv"))
    skipped: list[Skipped] = []
    clips: list[Clip] = []
    seen: set[Key] = set()
    meta = tables["meta_audio.csv"]
    for line, row in common.table(meta, (*_KEY, "PAIN LEVEL", "ACTION LABEL")):
        at = f"{meta.relative_to(folder)}, line {line}"
        key = _key(row)
        if key is None or key in seen:
            faults.add(at, "a new utterance with PID, COND, UTTNUM and UTTID was expected")
            continue
        seen.add(key)
        path = sounds.pop(key, None)
        if path is None:
            skipped.append(Skipped(at, "its recording is missing"))
        elif key[3] == SPOKEN_RATING:
            skipped.append(Skipped(str(path.relative_to(folder)), "the spoken rating says the label"))
        elif key in unrated or not row["PAIN LEVEL"]:
            skipped.append(Skipped(str(path.relative_to(folder)), "no rating"))
        elif clip := _clip(key, row, path, people.get(key[0], {}), key in copied, at, salt, faults):
            clips.append(clip)
    for path in sounds.values():
        faults.add(path.relative_to(folder), "a line in meta_audio.csv was expected for every recording")
    faults.stop()
    missing = sum(each.why == "its recording is missing" for each in skipped)
    parsed = {"subjects": len({key[0] for key in seen}), "utterances": len(seen) - missing}
    return Dataset(tuple(clips), _EXPECTED, parsed, tuple(skipped))


def _sounds(folder: Path, faults: Faults) -> dict[Key, Path]:
    found: dict[Key, Path] = {}
    for path in common.files(folder, common.AUDIO):
        named = _NAME.match(path.stem)
        if not named:
            faults.add(path.relative_to(folder), "a name like p12345.LC.12.23456.wav was expected")
            continue
        key = (named["person"].lower(), named["condition"].upper(), int(named["number"]), int(named["sentence"]))
        if key in found:
            faults.add(
                path.relative_to(folder), f"one file for each utterance, {found[key].relative_to(folder)} is it too"
            )
        found[key] = path
    return found


def _key(row: Mapping[str, str]) -> Key | None:
    if re.match(r"^p\d+$", row["PID"], re.IGNORECASE) and row["UTTNUM"].isdigit() and row["UTTID"].isdigit():
        return (row["PID"].lower(), row["COND"].upper(), int(row["UTTNUM"]), int(row["UTTID"]))
    return None


def _marked(table: Path | None) -> set[Key]:
    """The utterances in one of the annotation tables."""
    rows = common.table(table, _KEY) if table else []
    return {key for key in (_key(row) for _, row in rows) if key}


def _people(table: Path | None, folder: Path, faults: Faults) -> dict[str, dict[str, str]]:
    people: dict[str, dict[str, str]] = {}
    if table is None:
        return people
    for line, row in common.table(table, ("PID",)):
        groups = {}
        if sex := row.get("GENDER", ""):
            groups["sex"] = _SEX.get(sex.lower(), "other")
        if age := row.get("AGE", ""):
            try:
                groups["age_band"] = age_band(float(age))
            except (ValueError, TrainingError):
                faults.add(f"{table.relative_to(folder)}, line {line}", f"an age in years was expected, not {age!r}")
        if origin := row.get("RACE/ETHNICITY", ""):
            groups["ethnicity"] = origin
        people[row["PID"].lower()] = groups
    return people


def _clip(
    key: Key,
    row: Mapping[str, str],
    path: Path,
    groups: Mapping[str, str],
    copied: bool,
    at: str,
    salt: str,
    faults: Faults,
) -> Clip | None:
    person, condition, number, sentence = key
    label = faults.label(at, "nrs", 0, 10, common.number(row["PAIN LEVEL"]))
    revised = common.number(row.get("REVISED PAIN", ""))
    if label and revised == revised and revised != max(label.value, 1):
        faults.add(at, f"REVISED PAIN was expected to be PAIN LEVEL, 0 as 1; {label.value:g} and {revised:g} were read")
    quality = common.number(row["ACTION LABEL"])
    if not 0 <= quality <= 4:
        faults.add(at, f"ACTION LABEL from 0 to 4 was expected, not {row['ACTION LABEL']!r}")
    if label is None:
        return None
    marks = (("copied_rating", copied), ("low_quality", quality > _WORST_USED))
    return Clip(
        id=clip_id(salt, "tame", person, f"{condition} {number} {sentence}"),
        dataset="tame",
        subject=pseudonym(salt, "tame", person),
        session=condition,
        audio=path,
        labels=(label,),
        groups={**groups, "condition": "cold" if condition.endswith("C") else "warm"},
        flags=tuple(name for name, there in marks if there),
    )
