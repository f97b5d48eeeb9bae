"""iCOPEvid: 49 newborns, clips of 20 s at a heel lance, a rub, rest. Read only if asked for as ``icopevid_neonates``.

Brahnam et al. 2019, doi 10.1016/j.aci.2019.05.003. painsense's face measures are made for adults and
checked on none but adults, so nobody should come across this set by accident.
"""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

from training.datasets import common
from training.datasets.common import Dataset, Faults
from training.datasets.pseudonyms import clip_id, pseudonym
from training.errors import TrainingError
from training.fusion.record import AGE_BANDS, Clip

LAYOUT = "Pain/S010_Heel_1_[0]_20s.mp4 and Nopain/S010_Friction_1_[0]_20s.mp4"
SIGN = re.compile(r"(Pain|No_?pain)/S\d{3}_\w+_\d+_\[\d+\]", re.IGNORECASE)

_NAME = re.compile(r"^S(?P<subject>\d{3})_(?P<rest>.+)$", re.IGNORECASE)
_CLASS = {"pain": 1.0, "nopain": 0.0, "no_pain": 0.0, "no pain": 0.0}
_EXPECTED = {"subjects": 49, "clips": 234, "pain clips": 49, "no-pain clips": 185}


def refuse(folder: Path, salt: str) -> Dataset:
    """What the name ``icopevid`` gets: an error that says what the set is and how to ask for it."""
    raise TrainingError.at(
        folder,
        "iCOPEvid shows newborns, and painsense's measures of the face are made and checked for adults",
        "if that is what you study, ask for it as icopevid_neonates and report it by itself",
    )


def read(folder: Path, salt: str) -> Dataset:
    """Every clip: the procedure hurts (1) or does not (0)."""
    faults = Faults("iCOPEvid", LAYOUT)
    clips = []
    seen: dict[tuple[str, str], Path] = {}
    count: Counter[float] = Counter()
    for path in common.files(folder, common.VIDEO):
        shown = path.relative_to(folder)
        found = _NAME.match(path.stem)
        above = [part.strip().lower() for part in shown.parts[:-1]]
        values = {_CLASS[part] for part in above if part in _CLASS}
        if not found or len(values) != 1:
            faults.add(shown, "a name like S010_Friction_1_[0]_20s.mp4 in a folder Pain or Nopain was expected")
            continue
        subject, rest = found["subject"], found["rest"].lower()
        if (subject, rest) in seen:
            other = seen[subject, rest].relative_to(folder)
            faults.add(shown, f"one file for each clip was expected, {other} is the same one")
            continue
        seen[subject, rest] = path
        value = values.pop()
        count[value] += 1
        label = faults.label(shown, "class", 0, 1, value)
        clips.append(
            Clip(
                id=clip_id(salt, "icopevid", subject, rest),
                dataset="icopevid_neonates",
                subject=pseudonym(salt, "icopevid", subject),
                video=path,
                labels=(label,) if label else (),
                groups={"age_band": AGE_BANDS[0]},
                flags=("neonate",),
            )
        )
    faults.stop()
    subjects = len({subject for subject, _ in seen})
    parsed = {"subjects": subjects, "clips": len(clips), "pain clips": count[1.0], "no-pain clips": count[0.0]}
    return Dataset(tuple(clips), _EXPECTED, parsed)
