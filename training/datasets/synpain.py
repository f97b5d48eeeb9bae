"""SynPAIN: generated faces, each neutral and with an expression of pain or of something else.

Taati et al. 2025, arXiv 2507.19673; https://huggingface.co/datasets/TaatiTeam/SynPAIN (tagged MIT). They do not exist.
Its use is to see whether a score treats women and men, old and young, five looks alike: the design is crossed.

A published picture is wide and shows one identity twice, neutral on the left, the expression on the right: it becomes
two clips of one subject. A copy that was cut into single faces has upright or square pictures: one clip each, and the
identities of pain and no pain with the same digits are taken for one subject, so that no split can tear them apart.
"""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import cv2

from training.datasets import common
from training.datasets.common import Dataset, Faults, Skipped
from training.datasets.pseudonyms import clip_id, pseudonym
from training.fusion.record import AGE_BANDS, Clip

LAYOUT = "Images/1100300001_Pain_Man_Young.jpg, Videos/..., SynPain_folds.txt (an id and its fold on each line)"
SIGN = re.compile(r"1[01]{3}[0-4]\d{5}_(Pain|NoPain)_(Man|Woman)_(Young|Old)", re.IGNORECASE)

ORIGIN = ("Black", "South Asian", "Middle Eastern", "Caucasian", "Asian")
"""What the digit says that the prompt asked for."""

_NAME = re.compile(
    r"^(?P<id>1(?P<pain>[01])(?P<woman>[01])(?P<old>[01])(?P<origin>[0-4])(?P<identity>\d{5}))"
    r"_(?P<expression>Pain|NoPain)_(?P<sex>Man|Woman)_(?P<age>Young|Old)$",
    re.IGNORECASE,
)
_WIDE = 1.2  # width over height from which a picture shows a pair
_EXPECTED = {"faces": 10_710, "videos": 40}


def read(folder: Path, salt: str) -> Dataset:
    """Every face as a clip of one picture, every video as a clip."""
    faults = Faults("SynPAIN", LAYOUT)
    folds = _folds(folder, faults)
    clips: list[Clip] = []
    seen: dict[tuple[str, str], Path] = {}
    count: Counter[str] = Counter()
    skipped: list[Skipped] = []
    for path in common.files(folder, common.PICTURE | common.VIDEO):
        shown = path.relative_to(folder)
        found = _NAME.match(path.stem)
        if not found:
            faults.add(shown, "a name like 1100300001_Pain_Man_Young.jpg was expected")
            continue
        words = (found["expression"].lower() == "pain", found["sex"].lower() == "woman", found["age"].lower() == "old")
        if words != tuple(found[digit] == "1" for digit in ("pain", "woman", "old")):
            faults.add(shown, "digits that say the same as the words were expected")
            continue
        moving = path.suffix.lower() in common.VIDEO
        if (other := seen.setdefault((found["id"], path.suffix.lower() if moving else ""), path)) != path:
            skipped.append(Skipped(str(shown), f"the same face as {other.relative_to(folder)}"))
            continue
        crops = [(0.0, 0.0, 1.0, 1.0)]
        if not moving:
            picture = cv2.imread(str(path), cv2.IMREAD_REDUCED_GRAYSCALE_8)
            if picture is None:
                faults.add(shown, "a picture was expected and cannot be decoded")
                continue
            if picture.shape[1] > _WIDE * picture.shape[0]:
                crops = [(0.0, 0.0, 0.5, 1.0), (0.5, 0.0, 1.0, 1.0)]
        single = len(crops) == 1 and not moving
        person = found["id"][0] + "x" + found["id"][2:] if single else found["id"]
        groups = {
            "sex": "female" if words[1] else "male",
            "age_band": AGE_BANDS[5] if words[2] else AGE_BANDS[2],
            "ethnicity": ORIGIN[int(found["origin"])],
        }
        for number, crop in enumerate(crops):
            neutral = len(crops) == 2 and number == 0
            count["videos" if moving else "faces"] += 1
            label = faults.label(shown, "posed", 0, 1, float(words[0] and not neutral))
            clips.append(
                Clip(
                    id=clip_id(salt, "synpain", person, f"{found['id']} {moving} {number}"),
                    dataset="synpain",
                    subject=pseudonym(salt, "synpain", person),
                    video=path if moving else None,
                    frames=() if moving else (path,),
                    labels=(label,) if label else (),
                    groups=groups,
                    fold=folds.get(found["id"], ""),
                    flags=("synthetic",),
                    crop=crop,
                )
            )
    faults.stop()
    return Dataset(tuple(clips), _EXPECTED, {name: count[name] for name in _EXPECTED}, tuple(skipped))


def _folds(folder: Path, faults: Faults) -> dict[str, str]:
    """Fold of every id: from lines with an id and a fold, or from ids below a heading like ``Fold 1``."""
    folds: dict[str, str] = {}
    file = next(
        (path for path in common.files(folder, frozenset({".txt"})) if path.stem.lower() == "synpain_folds"), None
    )
    if file is None:
        return folds
    heading = ""
    for line, text in enumerate(file.read_text(encoding="utf-8", errors="replace").splitlines(), start=1):
        ids = re.findall(r"(?<!\d)1[01]{3}[0-4]\d{5}(?!\d)", text)
        named = re.search(r"fold\D{0,3}(\d)(?!\d)", text, re.IGNORECASE)
        alone = re.match(r"^\D*1[01]{3}[0-4]\d{5}(?:_\w+)?(?:\.jpg)?[\s,;:]+(\d)\s*$", text)
        heading = f"fold-{named[1]}" if named else heading
        fold = f"fold-{alone[1]}" if alone else heading
        for each in ids:
            if not fold or folds.setdefault(each, fold) != fold:
                faults.add(f"{file.relative_to(folder)}, line {line}", f"one fold for {each} was expected")
    return folds
