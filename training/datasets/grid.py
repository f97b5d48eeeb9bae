"""GRID: 34 talkers say a thousand plain sentences each. Nobody is in pain, everybody's mouth moves.

Cooke et al. 2006, doi 10.1121/1.2229005; CC BY 4.0.
"""

from __future__ import annotations

import re
from pathlib import Path

from training.datasets import common
from training.datasets.common import Dataset, Faults, Skipped
from training.datasets.pseudonyms import clip_id, pseudonym
from training.fusion.record import Clip

LAYOUT = "s1/video/mpg_6000/bbaf2n.mpg or s1/bbaf2n.mpg: talker 1 to 34; sound: s1/audio/bbaf2n.wav or audio_25k/s1/..."
SIGN = re.compile(r"(^|[/_])[blps][bgrw][abiw][a-vx-z][1-9z][anps]\.(mpg|wav|avi|mp4)$")

_NAME = re.compile(r"^(?:id\d+_[a-z0-9]+_)?(?P<sentence>[blps][bgrw][abiw][a-vx-z][1-9z][anps])$", re.IGNORECASE)
_TALKER = re.compile(r"^s(?P<number>\d{1,2})(?:_processed|_mpg.*|\.mpg.*)?$", re.IGNORECASE)
_TALKERS = 34
_EXPECTED = {"talkers": _TALKERS, "sentences": 34_000}
_BEST = ("mpg_6000", "mpg_vcd")  # the finer pictures first


def read(folder: Path, salt: str) -> Dataset:
    """Every sentence once, with picture and sound where both are there (talker 21 has no pictures)."""
    faults = Faults("GRID", LAYOUT)
    skipped: list[Skipped] = []
    found: dict[tuple[int, str], dict[str, Path]] = {}
    for path in common.files(folder, common.VIDEO | common.AUDIO):
        shown = path.relative_to(folder)
        named = _NAME.match(path.stem)
        talkers = [int(each["number"]) for part in shown.parts[:-1] if (each := _TALKER.match(part.strip()))]
        if not named:
            faults.add(shown, "a sentence of six characters like bbaf2n was expected")
            continue
        if not talkers or not 1 <= talkers[-1] <= _TALKERS:
            faults.add(
                shown, "a folder of the talker, s1 to s34, was expected above: the same sentence is said by many"
            )
            continue
        kind = "video" if path.suffix.lower() in common.VIDEO else "audio"
        take = found.setdefault((talkers[-1], named["sentence"].lower()), {})
        if kind in take and _rank(path) == _rank(take[kind]):
            faults.add(
                shown, f"one file for each sentence was expected, {take[kind].relative_to(folder)} is the same one"
            )
        elif kind in take:
            worse, better = sorted((path, take[kind]), key=_rank, reverse=True)
            skipped.append(
                Skipped(str(worse.relative_to(folder)), f"the same as {better.relative_to(folder)}, coarser")
            )
            take[kind] = better
        else:
            take[kind] = path
    clips = []
    for (talker, sentence), take in sorted(found.items()):
        label = faults.label(next(iter(take.values())).relative_to(folder), "expression", 0, 1, 0.0)
        clips.append(
            Clip(
                id=clip_id(salt, "grid", str(talker), sentence),
                dataset="grid",
                subject=pseudonym(salt, "grid", str(talker)),
                video=take.get("video"),
                audio=None if "video" in take else take["audio"],  # the videos carry their sound
                labels=(label,) if label else (),
                groups={"expression": "speaking"},
            )
        )
    faults.stop()
    parsed = {"talkers": len({talker for talker, _ in found}), "sentences": len(clips)}
    return Dataset(tuple(clips), _EXPECTED, parsed, tuple(skipped), required=())


def _rank(path: Path) -> int:
    """0 for the finest pictures."""
    text = "/".join(path.parts).lower()
    return next((rank for rank, word in enumerate(_BEST) if word in text), 0)
