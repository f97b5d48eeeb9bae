"""UNBC-McMaster Shoulder Pain Expression Archive: 25 people, 200 image sequences, FACS and PSPI of every frame.

Lucey et al. 2011, "Painful data", IEEE Face and Gesture, 57-64. The layout and its variants stand in docs/datasets.md.

A file of action units that is empty says "scored, none seen"; one that is missing says "not scored" (NaN). The
landmarks of the active appearance model are counted and not used: painsense finds its own.
"""

from __future__ import annotations

import math
import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import cv2

from training.datasets import common
from training.datasets.common import Dataset, Faults, Skipped
from training.datasets.pseudonyms import clip_id, pseudonym
from training.fusion.record import Clip, Label

LAYOUT = (
    "Images/042-ll042/ll042t1aaaff/ll042t1aaaff001.png with Frame_Labels/PSPI/... and FACS/..._facs.txt, "
    "AAM_landmarks/..._aam.txt, Sequence_Labels/{VAS,OPR,SEN,AFF}/042-ll042/ll042t1aaaff.txt"
)
SIGN = re.compile(r"[a-z]{2}\d{3}t\d[a-z]*aff|unbc_.*\.hdf5$")

FPS = 30.0
"""About: the archive gives no time stamps, and 16 frames are called half a second in the literature."""

BLACK_LUMINANCE = 8.0
"""Mean grey level (0-255) under which a picture at the start of a sequence is taken for black. A proposal."""

FOLDS = {
    "fold-1": "064-ak064 121-vw121 047-jl047 096-bg096 059-fn059",
    "fold-2": "107-hs107 120-kz120 097-gf097 106-nm106 092-ch092",
    "fold-3": "095-tv095 043-jh043 103-jk103 048-aa048 042-ll042",
    "fold-4": "109-ib109 108-th108 123-jh123 124-dn124 066-mg066",
    "fold-5": "049-bm049 115-jy115 052-dr052 101-mg101 080-bn080",
}
"""The published five folds by subject. 043-jh043 and 123-jh123 are two people."""

_FOLD_OF = {subject: fold for fold, subjects in FOLDS.items() for subject in subjects.split()}
_EXPECTED = {
    "subjects": 25,
    "sequences": 200,
    "frames": 48_398,
    "frames scored": 48_398,
    "frames with PSPI": 48_398,
    "frames with FACS": 48_398,
    "frames with AAM": 48_398,
    "sequences with VAS": 200,
    "sequences with OPR": 200,
    "sequences with SEN": 200,
    "sequences with AFF": 200,
}
_REQUIRED = ("subjects", "sequences", "frames", "frames scored", "sequences with VAS", "sequences with OPR")
_SEQUENCE_LABELS = {"VAS": ("vas", 10), "OPR": ("opr", 5), "SEN": ("sensory", 15), "AFF": ("affective", 15)}
_SUBJECT = re.compile(r"^(?:(?P<number>\d{3})-)?(?P<code>[a-z]{2}(?P<own>\d{3}))$")
_SEQUENCE = re.compile(r"^(?P<code>[a-z]{2}\d{3})t(?P<session>\d)(?P<movement>[a-z]*?)(?P<limb>unaff|aff)$")
_MAX_PSPI = 16.0


def read(folder: Path, salt: str) -> Dataset:
    """Every sequence as a clip of pictures with a PSPI for each and what the person and the observer said."""
    faults = Faults("UNBC-McMaster", LAYOUT)
    roots = common.roots_with(folder, "Images")
    if not roots:
        if stored := next(common.files(folder, frozenset({".hdf5", ".h5"})), None):
            faults.add(
                stored.relative_to(folder),
                "cropped faces of the HDF5 conversion, which does not say which frames follow each other: nothing that "
                "moves can be measured in it; use the archive's own folder Images",
            )
        faults.stop()
        return Dataset((), _EXPECTED, {})
    root = roots[0]
    for other in roots[1:]:
        faults.add(other.relative_to(folder), f"one copy was expected, {root.relative_to(folder)} is another; name one")
    labels = _Labels(root)
    clips: list[Clip] = []
    skipped: list[Skipped] = []
    count: defaultdict[str, int] = defaultdict(int)
    subjects = set()
    images = common.child(root, "Images")
    assert images is not None  # roots_with has seen it
    for where, subject, sequence in _sequences(images, folder, faults):
        clip = _clip(where, subject, sequence, folder, labels, salt, faults, count)
        if clip is None:
            skipped.append(Skipped(str(where.relative_to(folder)), "no picture that is not black"))
        else:
            clips.append(clip)
            subjects.add(subject)
    for path in labels.unused(root):
        skipped.append(Skipped(str(path.relative_to(folder)), "a label without its picture"))
    faults.stop()
    parsed = {name: count[name] for name in _EXPECTED} | {"subjects": len(subjects), "sequences": len(clips)}
    return Dataset(tuple(clips), _EXPECTED, parsed, tuple(skipped), _REQUIRED)


def _sequences(images: Path, folder: Path, faults: Faults) -> Iterator[tuple[Path, str, str]]:
    """Folder, whole subject id (042-ll042) and name of every sequence."""
    for person in common.folders(images):
        found = _SUBJECT.match(person.name.strip().lower())
        if not found or found["number"] not in (None, found["own"]):
            faults.add(person.relative_to(folder), "a subject folder called like 042-ll042 or ll042 was expected")
            continue
        loose = [
            path for path in common.files(person, common.PICTURE) if path.parent in (person, common.undoubled(person))
        ]
        if loose:
            faults.add(loose[0].relative_to(folder), "pictures in folders of their sequences were expected")
        for where in common.folders(common.undoubled(person)):
            named = _SEQUENCE.match(where.name.strip().lower())
            if not named or named["code"] != found["code"]:
                faults.add(where.relative_to(folder), f"a sequence called like {found['code']}t1aaaff was expected")
                continue
            yield where, f"{found['own']}-{found['code']}", where.name.strip().lower()


class _Labels:
    """The label files that are there, by kind and by the stem of what they label."""

    def __init__(self, root: Path) -> None:
        self.of: dict[str, dict[str, Path]] = {}
        for above, kinds, ending in (
            ("Frame_Labels", ("PSPI", "FACS"), "_facs"),
            ("Sequence_Labels", tuple(_SEQUENCE_LABELS), ""),
            ("", ("AAM_landmarks",), "_aam"),
        ):
            where = common.child(root, above) if above else root
            for kind in kinds:
                inner = common.child(where, kind) if where else None
                found = common.files(inner, frozenset({".txt"})) if inner else ()
                self.of[kind] = {path.stem.lower().removesuffix(ending): path for path in found}
        self.used: set[Path] = set()

    def path(self, kind: str, stem: str) -> Path | None:
        """The file of that kind, None where there is none."""
        path = self.of[kind].get(stem)
        if path is not None:
            self.used.add(path)
        return path

    def unused(self, root: Path) -> list[Path]:
        """Files that label nothing that is there."""
        return sorted(path for kind in self.of.values() for path in kind.values() if path not in self.used)


def _clip(
    where: Path,
    subject: str,
    sequence: str,
    folder: Path,
    labels: _Labels,
    salt: str,
    faults: Faults,
    count: defaultdict[str, int],
) -> Clip | None:
    """One sequence; None if it has no usable picture."""
    numbered: dict[int, Path] = {}
    for path in common.files(where, common.PICTURE):
        found = re.match(rf"^{sequence}(\d{{3,}})$", path.stem.lower())
        if not found or int(found[1]) in numbered:
            faults.add(
                path.relative_to(folder), f"one picture called like {sequence}001.png was expected for each number"
            )
            continue
        numbered[int(found[1])] = path
    count["frames"] += len(numbered)
    pspi, differs = [], False
    for path in (numbered[each] for each in sorted(numbered)):
        stem = path.stem.lower()
        stated, coded = _pspi(stem, folder, labels, faults), _facs(stem, folder, labels, faults)
        count["frames with PSPI"] += not math.isnan(stated)
        count["frames with FACS"] += not math.isnan(coded)
        count["frames with AAM"] += labels.path("AAM_landmarks", stem) is not None
        differs |= abs(stated - coded) > 0.01
        pspi.append(coded if math.isnan(stated) else stated)
        count["frames scored"] += not math.isnan(pspi[-1])
    order = sorted(numbered)
    black = _black(numbered, order, folder, faults)
    order, pspi = order[black:], pspi[black:]
    said = []
    for kind, (name, high) in _SEQUENCE_LABELS.items():
        if file := labels.path(kind, sequence):
            value = common.number(file.read_text(encoding="utf-8", errors="replace"))
            label = faults.label(file.relative_to(folder), name, 0, high, value)
            count[f"sequences with {kind}"] += label is not None
            said += [label] if label else []
    if not order:
        return None
    if not all(math.isnan(value) for value in pspi):
        said.append(Label("pspi_frame", 0, _MAX_PSPI, math.nan, tuple(pspi)))
    named = _SEQUENCE.match(sequence)
    assert named is not None  # _sequences has seen it
    gaps = order[-1] - order[0] + 1 > len(order)
    marks = (("black_frames", black > 0), ("frame_gaps", gaps), ("pspi_differs_from_facs", differs))
    return Clip(
        id=clip_id(salt, "unbc", subject, sequence),
        dataset="unbc",
        subject=pseudonym(salt, "unbc", subject),
        session=f"t{named['session']}",
        frames=tuple(numbered[each] for each in order),
        fps=FPS,
        labels=tuple(said),
        groups={"limb": "affected" if named["limb"] == "aff" else "unaffected"},
        fold=_FOLD_OF.get(subject, ""),
        flags=tuple(name for name, there in marks if there),
    )


def _pspi(stem: str, folder: Path, labels: _Labels, faults: Faults) -> float:
    """What the file says; NaN where there is none."""
    path = labels.path("PSPI", stem)
    if path is None:
        return math.nan
    value = common.number(path.read_text(encoding="utf-8", errors="replace"))
    if not 0 <= value <= _MAX_PSPI:
        faults.add(path.relative_to(folder), f"one number from 0 to 16 was expected, {value:g} was read")
        return math.nan
    return value


def _facs(stem: str, folder: Path, labels: _Labels, faults: Faults) -> float:
    """PSPI = AU4 + max(AU6, AU7) + max(AU9, AU10) + AU43 of what was coded; 0 if nothing was, NaN without a file."""
    path = labels.path("FACS", stem)
    if path is None:
        return math.nan
    level: defaultdict[int, float] = defaultdict(float)
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        values = [common.number(word) for word in line.split()]
        if not values:
            continue
        if len(values) < 2 or not 1 <= values[0] <= 70 or not 0 <= values[1] <= 5:
            faults.add(path.relative_to(folder), f"rows of unit, intensity 0 to 5 and more were expected, not {line!r}")
            return math.nan
        level[round(values[0])] = max(level[round(values[0])], values[1])
    closed = float(level[43] > 0)
    return level[4] + max(level[6], level[7]) + max(level[9], level[10]) + closed


def _black(numbered: dict[int, Path], order: list[int], folder: Path, faults: Faults) -> int:
    """How many pictures at the start are black, as in 095-tv095/tv095t2aeunaff."""
    for count, each in enumerate(order):
        picture = cv2.imread(str(numbered[each]), cv2.IMREAD_REDUCED_GRAYSCALE_4)
        if picture is None:
            faults.add(numbered[each].relative_to(folder), "a picture was expected and cannot be decoded")
            return 0
        if float(picture.mean()) >= BLACK_LUMINANCE:
            return count
    return len(order)
