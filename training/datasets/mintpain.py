"""MIntPAIN: 20 people, electrical stimuli of five levels (0: none) as short series of colour pictures.

Haque et al. 2018, "Deep multimodal pain recognition", IEEE Face and Gesture. The folders of the participants are called
after them. Their names are neither kept nor printed here: a subject is its number, and every path in a message goes
through :func:`shown`. Clips hold the paths in memory, because they must be read; whoever writes about a clip uses
:meth:`training.fusion.record.Clip.hide`.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from pathlib import Path

from training.datasets import common
from training.datasets.common import Dataset, Faults, Skipped
from training.datasets.pseudonyms import clip_id, pseudonym
from training.fusion.record import Clip

LAYOUT = "Sub1 .../Annotated_data_Sub01_Trial01/Sub01_Trial01_Sweep01_Label0/rgb/RGB-11-51-02-0121.jpg"
SIGN = re.compile(r"Sub\d+_Trial\d+_Sweep\d+_Label\d")

_SWEEP = re.compile(r"^Sub(?P<subject>\d+)_Trial(?P<trial>\d+)_Sweep(?P<sweep>\d+)_Label(?P<label>\d+)$", re.IGNORECASE)
_FRAME = re.compile(r"^RGB-(\d{1,2})-(\d{1,2})-(\d{1,2})-(\d{1,4})$", re.IGNORECASE)
_OWN = re.compile(
    r"^(annotated|data|sub|trial|sweep|label|rgb|depth|thermal|preprocessed|[\d_.-])+(jpe?g|png|bmp)?$", re.IGNORECASE
)
_PERSON = re.compile(r"^(?P<number>sub\s*\d+)", re.IGNORECASE)
_DAY_S = 24 * 3600.0
_EXPECTED = {
    "subjects": 20,
    "sweeps": 3_122,
    "sweeps of level 0": 1_561,
    "sweeps of level 1": 388,
    "sweeps of level 2": 392,
    "sweeps of level 3": 388,
    "sweeps of level 4": 393,
}


def shown(path: Path, folder: Path) -> str:
    """A path below the data set without anything that could be a name: numbers and the archive's own words only."""
    if not path.is_relative_to(folder):
        return "(outside the data set)"
    words = []
    for part in path.relative_to(folder).parts:
        person = _PERSON.match(part)
        if _OWN.match(part):
            words.append(part)
        else:
            words.append(f"{person['number'].title().replace(' ', '')} (name hidden)" if person else "(name hidden)")
    return "/".join(words) or "."


def read(folder: Path, salt: str) -> Dataset:
    """Every sweep as a clip of colour pictures; their names hold the time of day, which gives the rate."""
    faults = Faults("MIntPAIN", LAYOUT)
    clips: list[Clip] = []
    skipped: list[Skipped] = []
    seen: dict[tuple[int, int, int], str] = {}
    levels: Counter[int] = Counter()
    for where in sorted(_sweeps(folder), key=lambda each: each.name):
        found = _SWEEP.match(where.name.strip())
        if not found:
            faults.add(shown(where, folder), "a sweep called like Sub01_Trial01_Sweep01_Label0 was expected")
            continue
        subject, trial, sweep, level = (int(found[name]) for name in ("subject", "trial", "sweep", "label"))
        # A sweep number comes twice, once at rest (label 0) and once under current.
        key = (subject, trial, sweep * 2 + (level > 0))
        if key in seen:
            faults.add(shown(where, folder), f"one folder for each sweep was expected, {seen[key]} is the same one")
            continue
        seen[key] = shown(where, folder)
        label = faults.label(shown(where, folder), "stimulus_level", 0, 4, level)
        colour = common.child(where, "rgb")
        pictures = _pictures(colour, folder, faults) if colour else []
        if not pictures:
            skipped.append(Skipped(shown(where, folder), "no colour pictures"))
            continue
        length_s = pictures[-1][0] - pictures[0][0]
        if len(pictures) > 1 and not length_s > 0:
            faults.add(shown(where, folder), "pictures taken one after the other were expected, all have one time")
            continue
        levels[level] += 1
        clips.append(
            Clip(
                id=clip_id(salt, "mintpain", str(subject), where.name.strip().lower()),
                dataset="mintpain",
                subject=pseudonym(salt, "mintpain", str(subject)),
                session=f"trial {trial}",
                frames=tuple(path for _, path in pictures),
                fps=(len(pictures) - 1) / length_s if len(pictures) > 1 else math.nan,
                labels=(label,) if label else (),
            )
        )
    faults.stop()
    parsed = {"subjects": len({clip.subject for clip in clips}), "sweeps": len(clips)}
    parsed |= {f"sweeps of level {level}": levels[level] for level in range(5)}
    return Dataset(tuple(clips), _EXPECTED, parsed, tuple(skipped))


def _sweeps(folder: Path) -> set[Path]:
    """Folders that hold a folder rgb, and folders called like a sweep."""
    found = set()
    for path in common.files(folder):
        for above in path.parents:
            if above == folder:
                break
            if _SWEEP.match(above.name.strip()):
                found.add(above)
                break
            if above.name.strip().lower() == "rgb" and not _SWEEP.match(above.parent.name.strip()):
                found.add(above.parent)
    return found - {folder}


def _pictures(colour: Path, folder: Path, faults: Faults) -> list[tuple[float, Path]]:
    """Time of day in s and path of each picture, in order; a sweep over midnight goes on after 24 h."""
    timed = []
    for path in common.files(colour, common.PICTURE):
        found = _FRAME.match(path.stem)
        if not found:
            faults.add(
                f"{shown(colour, folder)}/...{path.suffix}", "pictures called like RGB-11-51-02-0121.jpg were expected"
            )
            continue
        hours, minutes, seconds, milliseconds = (int(word) for word in found.groups())
        timed.append((hours * 3600 + minutes * 60 + seconds + milliseconds / 1000, path))
    if timed and max(timed)[0] - min(timed)[0] > _DAY_S / 2:
        timed = [(time_s + _DAY_S * (time_s < _DAY_S / 2), path) for time_s, path in timed]
    return sorted(timed)
