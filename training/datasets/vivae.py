"""VIVAE: 11 speakers' vocal sounds of six affects in four strengths, acted.

Holz et al. 2022, doi 10.1037/emo0001048. Acted: good for "sounds like pain or like something else", not for how strong.
"""

from __future__ import annotations

import re
from pathlib import Path

from training.datasets import common
from training.datasets.common import Dataset, Faults
from training.datasets.pseudonyms import clip_id, pseudonym
from training.fusion.record import Clip

LAYOUT = "full_set/S01_pain_low_01.wav, core_set/...: speaker, affect, strength, number"
SIGN = re.compile(r"S\d{2}_(achievement|anger|fear|pain|pleasure|surprise)_(low|moderate|strong|peak)_\d+")

_NAME = re.compile(
    r"^S(?P<speaker>\d{2})_(?P<affect>achievement|anger|fear|pain|pleasure|surprise)"
    r"_(?P<strength>low|moderate|strong|peak)_(?P<number>\d+)$",
    re.IGNORECASE,
)
_FULL = {"subjects": 11, "files": 1_085}
_CORE = {"subjects": 10, "files": 480}


def read(folder: Path, salt: str) -> Dataset:
    """Every sound once. Those of the core set, chosen by the authors for sounding real, carry the flag ``core``."""
    faults = Faults("VIVAE", LAYOUT)
    sounds: dict[tuple[str, str, str, int], Path] = {}
    core: set[tuple[str, str, str, int]] = set()
    full = False
    for path in common.files(folder, common.AUDIO):
        shown = path.relative_to(folder)
        found = _NAME.match(path.stem)
        if not found:
            faults.add(shown, "a name like S01_pain_low_01.wav was expected")
            continue
        key = (found["speaker"], found["affect"].lower(), found["strength"].lower(), int(found["number"]))
        in_core = any(part.lower().startswith("core") for part in path.parent.parts[len(folder.parent.parts) :])
        full |= not in_core
        if in_core:
            core.add(key)
            sounds.setdefault(key, path)
        elif key in sounds and key not in core:
            faults.add(
                shown, f"one file for each sound was expected, {sounds[key].relative_to(folder)} is the same one"
            )
        else:
            sounds[key] = path
    clips = []
    for key, path in sorted(sounds.items()):
        speaker, affect, strength, number = key
        label = faults.label(path.relative_to(folder), "posed", 0, 1, float(affect == "pain"))
        clips.append(
            Clip(
                id=clip_id(salt, "vivae", speaker, f"{affect} {strength} {number}"),
                dataset="vivae",
                subject=pseudonym(salt, "vivae", speaker),
                audio=path,
                labels=(label,) if label else (),
                groups={"expression": affect, "strength": strength},
                flags=("core",) if key in core else (),
            )
        )
    faults.stop()
    expected = _FULL if full else _CORE
    return Dataset(tuple(clips), expected, {"subjects": len({key[0] for key in sounds}), "files": len(clips)})
