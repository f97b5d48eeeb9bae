"""manifest: one's own recordings, told by a table. docs/datasets.md explains it column by column.

A row is one label of one recording; rows with the same files, times and subject are one clip with several labels. Paths
are relative to the table. ``python -m training.datasets manifest --template FILE.csv`` writes an example.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from training.datasets import common
from training.datasets.common import Dataset, Faults
from training.datasets.pseudonyms import clip_id, pseudonym
from training.errors import TrainingError
from training.fusion.record import KINDS, NAN, SEXES, Clip, Label, age_band

LAYOUT = "a table manifest.csv in UTF-8 with a header; the columns stand in docs/datasets.md"
SIGN = re.compile(r"(^|/)manifest\.csv$")

COLUMNS: Mapping[str, str] = {
    "subject": "who it is: any word, the same for every recording of that person",
    "video": "file with the picture, relative to this table; may be empty if audio is given",
    "audio": "file with the sound, if it is not in the video",
    "rest": "file with the same person at rest, 5 to 10 s: what face and voice are compared with",
    "session": "recordings made in one go share a word",
    "start_s": "start of the part that is meant, s; empty: from the beginning",
    "end_s": "its end, s; empty: to the end",
    "label_kind": f"one of {', '.join(KINDS)}; empty: no label",
    "label_value": "the value; for pspi_frame a text file, one value a line, an empty line for a frame not scored",
    "label_low": "lowest value of the scale; empty: the usual one of the kind",
    "label_high": "highest value of the scale; empty: the usual one of the kind",
    "sex": f"one of {', '.join(SEXES)}",
    "age": "years",
    "skin_tone": "Monk scale, 1 to 10",
    "fold": "name of the fold the subject belongs to, if you have folds of your own",
    "flags": "words with semicolons between, e.g. evaluation_only",
}
"""Every column and what goes into it. ``subject`` and ``video`` or ``audio`` must be there; ``group_...`` may."""

_EXAMPLE = (
    "p01,recordings/p01_sit.mp4,,recordings/p01_rest.mp4,day 1,,,nrs,1,0,10,female,54,4,,",
    "p01,recordings/p01_lift.mp4,,recordings/p01_rest.mp4,day 1,2.0,12.5,nrs,6,0,10,female,54,4,,",
    "p02,recordings/p02_sit.mp4,recordings/p02_sit.wav,,day 1,,,vas,12,0,100,male,31,7,,",
    "p02,,recordings/p02_call.wav,,day 2,,,vas,55,0,100,male,31,7,,",
)


def write_template(file: Path) -> None:
    """A table with every column and two people, to be filled in; never over a file that is there."""
    try:
        with file.open("x", encoding="utf-8", newline="\n") as out:
            out.write("\n".join([",".join(COLUMNS), *_EXAMPLE]) + "\n")
    except FileExistsError as error:
        raise TrainingError.at(
            file, "a new file was expected, this one is there", "name another or remove it"
        ) from error
    except OSError as error:
        raise TrainingError.at(file, f"a table was to be written there ({error})", "name another place") from error


def read(folder: Path, salt: str) -> Dataset:
    """The clips of a table, or of the table ``manifest.csv`` in a folder."""
    file = folder / "manifest.csv" if folder.is_dir() else folder
    if not file.is_file():
        return Dataset((), {}, {})
    rows = common.table(file, ("SUBJECT",))
    known = {name.upper() for name in COLUMNS}
    strange = sorted({name for _, row in rows for name in row} - known - {""})
    strange = [name for name in strange if not name.startswith("GROUP_")]
    if strange:
        raise TrainingError.at(
            file,
            f"columns {', '.join(COLUMNS)} or group_... were expected, {', '.join(strange).lower()} is none of them",
            "correct the header, or call it group_... to have results reported by it",
        )
    faults = Faults("manifest", LAYOUT)
    clips: dict[tuple[str, ...], Clip] = {}
    for line, row in rows:
        before = len(faults.found)
        at = f"{file.name}, line {line}"
        clip = _clip(row, file, at, salt, faults)
        if clip is None or len(faults.found) > before:
            continue
        key = (clip.subject, *map(str, clip.files), str(clip.start_s), str(clip.end_s))
        if key not in clips:
            clips[key] = clip
        elif replace(clip, labels=()) != replace(clips[key], labels=(), id=clip.id):
            faults.add(
                at, "the same session, groups, fold and flags as in the row above with these files were expected"
            )
        else:
            try:
                clips[key] = replace(clips[key], labels=clips[key].labels + clip.labels)
            except TrainingError as error:
                faults.add(at, str(error))
    owner: dict[Path, str] = {}
    for clip in clips.values():
        for path in clip.files:
            if owner.setdefault(path, clip.subject) != clip.subject:
                faults.add(path.name, "one subject for each file was expected, it is given to two")
    fold_of: dict[str, str] = {}
    for clip in clips.values():
        if fold_of.setdefault(clip.subject, clip.fold) != clip.fold:
            faults.add(file.name, f"one fold for each subject was expected, {clip.subject} is in two")
    faults.stop()
    count = Counter(clip.subject for clip in clips.values())
    parsed = {
        "subjects": len(count),
        "clips": len(clips),
        "subjects with two clips or more": sum(n > 1 for n in count.values()),
    }
    expected = {"subjects with two clips or more": len(count)}
    return Dataset(tuple(clips.values()), expected, parsed)


def _clip(row: Mapping[str, str], file: Path, at: str, salt: str, faults: Faults) -> Clip | None:
    """One row; None with a fault where it cannot be used."""
    video, audio, rest = (_path(row.get(name, ""), file, at, faults) for name in ("VIDEO", "AUDIO", "REST"))
    subject = row.get("SUBJECT", "")
    if not subject or not (row.get("VIDEO") or row.get("AUDIO")):
        faults.add(at, "a subject and a video or audio file were expected")
        return None
    numbers = {name: _number(row, name, at, faults) for name in ("START_S", "END_S", "AGE")}
    groups = {
        name.removeprefix("GROUP_").lower(): value for name, value in row.items() if name.startswith("GROUP_") and value
    }
    if sex := row.get("SEX", "").lower():
        groups["sex"] = sex
        if sex not in SEXES:
            faults.add(at, f"sex as one of {', '.join(SEXES)} was expected, not {sex!r}")
    if tone := row.get("SKIN_TONE", ""):
        groups["skin_tone"] = tone
        if tone not in {str(each) for each in range(1, 11)}:
            faults.add(at, f"skin tone on the Monk scale, 1 to 10, was expected, not {tone!r}")
    times = f"{numbers['START_S']:g} {numbers['END_S']:g}"
    try:
        if not math.isnan(numbers["AGE"]):
            groups["age_band"] = age_band(numbers["AGE"])
        return Clip(
            id=clip_id(salt, "manifest", subject, f"{row.get('VIDEO', '')} {row.get('AUDIO', '')} {times}"),
            dataset="manifest",
            subject=pseudonym(salt, "manifest", subject),
            session=row.get("SESSION", ""),
            video=video,
            audio=audio,
            start_s=numbers["START_S"],
            end_s=numbers["END_S"],
            labels=_labels(row, file, at, faults),
            groups=groups,
            fold=row.get("FOLD", ""),
            flags=tuple(word.strip() for word in row.get("FLAGS", "").split(";") if word.strip()),
            rest=rest,
        )
    except TrainingError as error:
        faults.add(at, str(error))
        return None


def _path(text: str, file: Path, at: str, faults: Faults) -> Path | None:
    if not text:
        return None
    path = file.parent / text.replace("\\", "/")
    if not path.is_file():
        faults.add(at, f"a file {text} beside the table was expected, there is none")
    elif path.suffix.lower() not in common.VIDEO | common.AUDIO:
        faults.add(at, f"a video or sound was expected, {path.suffix or 'a file without ending'} is not known as one")
    return path


def _number(row: Mapping[str, str], name: str, at: str, faults: Faults) -> float:
    """The number in a column, NaN where it is empty. A decimal comma is understood."""
    text = row.get(name, "")
    value = common.number(text.replace(",", "."))
    if text and (math.isnan(value) or len(text.split()) > 1):
        faults.add(at, f"{name.lower()} as a number was expected, not {text!r}")
    return value


def _labels(row: Mapping[str, str], file: Path, at: str, faults: Faults) -> tuple[Label, ...]:
    kind = row.get("LABEL_KIND", "").lower()
    if not kind:
        if row.get("LABEL_VALUE"):
            faults.add(at, "a label_kind for the label_value was expected")
        return ()
    if kind not in KINDS:
        faults.add(at, f"label_kind as one of {', '.join(KINDS)} was expected, not {kind!r}")
        return ()
    low, high = (_number(row, name, at, faults) for name in ("LABEL_LOW", "LABEL_HIGH"))
    low, high = (
        (KINDS[kind][0], KINDS[kind][1])[end] if math.isnan(value) else value for end, value in enumerate((low, high))
    )
    if kind != "pspi_frame":
        return (Label(kind, low, high, _number(row, "LABEL_VALUE", at, faults)),)
    listed = file.parent / row.get("LABEL_VALUE", "").replace("\\", "/")
    if not listed.is_file():
        faults.add(at, "a text file with one PSPI for each frame was expected as label_value")
        return ()
    lines = listed.read_text(encoding="utf-8", errors="replace").splitlines()
    values = tuple(common.number(line.replace(",", ".")) for line in lines)
    wrong = [number for number, line in enumerate(lines, start=1) if line.strip() and math.isnan(values[number - 1])]
    if wrong:
        faults.add(f"{listed.name}, line {wrong[0]}", "a number or an empty line was expected")
        return ()
    return (Label(kind, low, high, NAN, values),)
