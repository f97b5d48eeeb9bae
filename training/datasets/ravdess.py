"""RAVDESS: 24 actors speak and sing two sentences in eight emotions. Nobody is in pain: a score must stay low.

Livingstone & Russo 2018, doi 10.1371/journal.pone.0196391; CC BY-NC-SA 4.0. For evaluation only: the clips carry that
flag, and no split puts them on the training side.
"""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

from training.datasets import common
from training.datasets.common import Dataset, Faults, Skipped
from training.datasets.pseudonyms import clip_id, pseudonym
from training.fusion.record import EVALUATION_ONLY, Clip

LAYOUT = "Actor_01/03-01-05-02-01-01-01.wav: modality, channel, emotion, strength, statement, repetition, actor"
SIGN = re.compile(r"0[123]-0[12]-0[1-8]-0[12]-0[12]-0[12]-\d{2}\.")

EMOTIONS = ("neutral", "calm", "happy", "sad", "angry", "fearful", "disgust", "surprised")

_NAME = re.compile(
    r"^0(?P<modality>[123])-0(?P<channel>[12])-0(?P<emotion>[1-8])-0(?P<strength>[12])-0[12]-0[12]-(?P<actor>\d{2})$"
)
_ACTORS = 24
_EXPECTED = {"actors": _ACTORS, "spoken performances": 1_440, "sung performances": 1_012}


def read(folder: Path, salt: str) -> Dataset:
    """Every performance once, with picture and sound where both are there."""
    faults = Faults("RAVDESS", LAYOUT)
    takes: dict[str, dict[str, Path]] = {}
    skipped: list[Skipped] = []
    for path in common.files(folder, common.VIDEO | common.AUDIO):
        shown = path.relative_to(folder)
        found = _NAME.match(path.stem)
        if not found or not 1 <= int(found["actor"]) <= _ACTORS:
            faults.add(shown, "seven numbers like 03-01-05-02-01-01-01, the last from 01 to 24, were expected")
            continue
        if found["emotion"] == "1" and found["strength"] == "2":
            faults.add(shown, "no strong neutral was expected: there is none")
            continue
        if (above := re.match(r"^actor[_ ]?(\d{1,2})$", path.parent.name, re.IGNORECASE)) and int(above[1]) != int(
            found["actor"]
        ):
            faults.add(shown, f"a recording of {path.parent.name}, after its folder, was expected")
            continue
        if (path.suffix.lower() in common.AUDIO) != (found["modality"] == "3"):
            faults.add(shown, "01 (both) and 02 (picture) as video and 03 (sound) as sound were expected")
            continue
        take = takes.setdefault(path.stem[3:], {})
        if (other := take.setdefault(found["modality"], path)) == path:
            continue
        if common.same(path, other):  # some copies hold every folder twice
            skipped.append(Skipped(str(shown), "a copy of another file"))
        else:
            faults.add(shown, f"one file for each recording was expected, {other.relative_to(folder)} differs")
    clips = []
    count: Counter[str] = Counter()
    for name, take in sorted(takes.items()):
        channel, emotion, strength, _, _, actor = (int(word) for word in name.split("-"))
        label = faults.label(name, "expression", 0, 1, 0.0)
        kind = "spoken" if channel == 1 else "sung"
        count[kind] += 1
        clips.append(
            Clip(
                id=clip_id(salt, "ravdess", f"{actor:02d}", name),
                dataset="ravdess",
                subject=pseudonym(salt, "ravdess", f"{actor:02d}"),
                video=take.get("1", take.get("2")),
                audio=None if "1" in take else take.get("3"),
                labels=(label,) if label else (),
                groups={
                    "sex": "male" if actor % 2 else "female",
                    "expression": EMOTIONS[emotion - 1],
                    "strength": "strong" if strength == 2 else "normal",
                    "channel": kind,
                },
                flags=(EVALUATION_ONLY,),
            )
        )
    faults.stop()
    parsed = {
        "actors": len({clip.subject for clip in clips}),
        "spoken performances": count["spoken"],
        "sung performances": count["sung"],
    }
    return Dataset(tuple(clips), _EXPECTED, parsed, tuple(skipped), required=())
