"""splits: who is learned from and who is judged by. By person, never by frame or clip.

On UNBC-McMaster the same system went from ICC 0.55 (one person left out) to 0.85 (frames of one person on both sides);
Hammal & Cohn 2012, ACM ICMI. So every split leaves through :func:`check`, which refuses a person on
two sides. Clips for evaluation only are judged and never learned from.

The folds depend on the subjects and the seed, not on the order of the clips or on the machine.
"""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from training.errors import TrainingError
from training.fusion.record import EVALUATION_ONLY, Clip

PARTS = ("train", "validation", "calibration", "test")
NON_REACTIVE = "non_reactive"


@dataclass(frozen=True)
class Split:
    """Clip ids of each side.

    ``train`` is what the weights are fitted to, ``validation`` what stops the fit and ``calibration`` what the widths
    of the intervals are set with: three groups of people from the training side. ``test`` is only ever looked at.
    """

    name: str
    train: tuple[str, ...]
    validation: tuple[str, ...]
    calibration: tuple[str, ...]
    test: tuple[str, ...]

    def part(self, name: str, clips: Iterable[Clip]) -> tuple[Clip, ...]:
        """The clips of one side, in the order given."""
        if name not in PARTS:
            raise TrainingError(f"a split has the sides {', '.join(PARTS)}, not {name!r}")
        ids = set(getattr(self, name))
        return tuple(clip for clip in clips if clip.id in ids)


def loso(
    clips: Sequence[Clip], *, validation: float = 0.0, calibration: float = 0.0, seed: int = 0
) -> tuple[Split, ...]:
    """Leave one subject out: as many splits as people, in the order of their pseudonyms.

    ``validation`` and ``calibration`` are shares of the other people, at least one person each where not 0.
    """
    groups = [(f"loso-{subject}", {subject}) for subject in _subjects(clips, least=2)]
    return _splits(clips, groups, validation, calibration, seed)


def k_fold(
    clips: Sequence[Clip], folds: int = 5, *, validation: float = 0.0, calibration: float = 0.0, seed: int = 0
) -> tuple[Split, ...]:
    """Every person judged once, in ``folds`` groups of about as many clips."""
    if folds < 2:
        raise TrainingError(f"k-fold needs at least 2 folds, not {folds}")
    subjects = _subjects(clips, least=folds)
    size = Counter(clip.subject for clip in clips)
    random.Random(f"k_fold {seed}").shuffle(subjects)
    groups: list[set[str]] = [set() for _ in range(folds)]
    load = [0] * folds
    for subject in sorted(subjects, key=lambda each: -size[each]):  # the sort is stable: chance decides among equals
        smallest = min(range(folds), key=lambda k: (load[k], len(groups[k]), k))
        groups[smallest].add(subject)
        load[smallest] += size[subject]
    named = [(f"{folds}-fold-{k + 1}", group) for k, group in enumerate(groups)]
    return _splits(clips, named, validation, calibration, seed)


def published(
    clips: Sequence[Clip], *, validation: float = 0.0, calibration: float = 0.0, seed: int = 0
) -> tuple[Split, ...]:
    """The folds the data set was published with: UNBC-McMaster's and SynPAIN's five, BioVid's and X-ITE's hold-out.

    Folds named ``train`` and ``test`` (or ``validation``, BioVid's name for what is judged) give one split; any others
    give one split each.
    """
    homeless = sorted({clip.dataset for clip in clips if not clip.fold})
    if not clips or homeless:
        raise TrainingError(
            f"published folds: {'no clips' if not clips else 'clips without a fold in ' + ', '.join(homeless)}; "
            "use loso or k_fold, or fill the column fold of the manifest"
        )
    members: defaultdict[str, set[str]] = defaultdict(set)
    for clip in clips:
        members[clip.fold].add(clip.subject)
    if "train" in members:
        judged = sorted(set(members) - {"train"})
        if len(judged) != 1 or judged[0] not in ("test", "validation"):
            raise TrainingError(f"published folds: beside train stands test or validation alone, not {judged}")
        groups = [("hold-out", members[judged[0]])]
    elif len(members) < 2:
        raise TrainingError(
            f"published folds: only {sorted(members)} is there; at least two are needed, use loso or k_fold"
        )
    else:
        groups = [(f"published-{fold}", members[fold]) for fold in sorted(members)]
    counted = Counter(subject for _, group in groups for subject in group)
    torn = sorted(subject for subject, times in counted.items() if times > 1)
    if torn:
        raise TrainingError(
            f"published folds: {torn[0]} and {len(torn) - 1} more subjects are in two folds; correct the list"
        )
    return _splits(clips, groups, validation, calibration, seed)


def hold_out(
    clips: Sequence[Clip], share: float = 0.2, *, validation: float = 0.0, calibration: float = 0.0, seed: int = 0
) -> Split:
    """One split with that share of the people, by chance, on the side that is judged."""
    subjects = _subjects(clips, least=2)
    chosen = _draw(subjects, share, len(subjects), f"hold_out {seed}")
    return _splits(clips, [("hold-out", chosen)], validation, calibration, seed)[0]


def reactive(clips: Sequence[Clip]) -> tuple[Clip, ...]:
    """BioVid without the 20 people whose faces show next to nothing: results look better so; report all of them too."""
    kept = tuple(clip for clip in clips if NON_REACTIVE not in clip.flags)
    if len(kept) == len(clips):
        raise TrainingError("reactive subset: no clip is marked non_reactive; it exists for BioVid parts A and B only")
    return kept


def check(split: Split, clips: Sequence[Clip]) -> None:
    """The guard: an error if a person, a file or a clip is on two sides, or if clips are where they may not be."""
    known = {clip.id: clip for clip in clips}
    if len(known) < len(clips):
        twice = next(each for each, times in Counter(clip.id for clip in clips).items() if times > 1)
        raise TrainingError(f"split {split.name}: two clips have the id {twice}; read the data set anew")
    side: dict[str, str] = {}
    side_of_file: dict[Path, str] = {}
    for part in PARTS:
        for each in getattr(split, part):
            if each not in known:
                raise TrainingError(
                    f"split {split.name}: clip {each} is in {part} but not in the data; make the split anew"
                )
            clip = known[each]
            if side.setdefault(clip.subject, part) != part:
                raise TrainingError(
                    f"split {split.name}: subject {clip.subject} is in {side[clip.subject]} and in {part}; "
                    "a person stands on one side only: split by subject"
                )
            if part != "train" and clip.copy:
                raise TrainingError(
                    f"split {split.name}: {each}, a changed copy of a recording, stands in {part}; only recordings as "
                    "they are can be judged: make the split anew"
                )
            if part != "test" and EVALUATION_ONLY in clip.flags:
                raise TrainingError(
                    f"split {split.name}: clip {each} of {clip.dataset} is for evaluation only, and stands in {part}; "
                    "judge by it, and learn from others"
                )
            for file in clip.files:
                if side_of_file.setdefault(file, part) != part:
                    message = (
                        f"split {split.name}: {file} is in {side_of_file[file]} and in {part}; a file shows one subject"
                    )
                    raise TrainingError(clip.hide(message))
    if not split.test or not split.train:
        raise TrainingError(
            f"split {split.name}: {len(split.train)} clips to learn from and {len(split.test)} to judge by; "
            "both sides need people"
        )


def _subjects(clips: Iterable[Clip], least: int) -> list[str]:
    """Pseudonyms in order; an error where there are too few people."""
    subjects = sorted({clip.subject for clip in clips})
    if len(subjects) < least:
        raise TrainingError(
            f"a split by person: at least {least} subjects are needed, there are {len(subjects)}; "
            "add recordings of more people, or ask for fewer folds"
        )
    return subjects


def _draw(subjects: Iterable[str], share: float, total: int, seed: str) -> set[str]:
    """That share of ``total`` people, at least one, by a chance that depends on the seed alone."""
    if not 0 < share < 1:
        raise TrainingError(f"a share of the people lies between 0 and 1, not at {share:g}")
    ordered = sorted(subjects)
    random.Random(seed).shuffle(ordered)
    return set(ordered[: max(1, round(share * total))])


def _splits(
    clips: Sequence[Clip], groups: Sequence[tuple[str, set[str]]], validation: float, calibration: float, seed: int
) -> tuple[Split, ...]:
    """One checked split for each group of people that is judged."""
    by_subject: defaultdict[str, list[str]] = defaultdict(list)  # recordings as they are
    learnable: defaultdict[str, list[str]] = defaultdict(list)  # and without those for evaluation only
    copies: defaultdict[str, list[str]] = defaultdict(list)
    for clip in clips:
        if clip.copy:
            copies[clip.subject].append(clip.id)
            continue
        by_subject[clip.subject].append(clip.id)
        if EVALUATION_ONLY not in clip.flags:
            learnable[clip.subject].append(clip.id)

    def ids(subjects: set[str], *groups: Mapping[str, list[str]]) -> tuple[str, ...]:
        return tuple(sorted(each for of in groups for subject in subjects for each in of.get(subject, ())))

    made = []
    for name, judged in groups:
        rest = set(learnable) - judged
        others = len(rest)
        taken: dict[str, set[str]] = {"validation": set(), "calibration": set()}
        for part, share in (("validation", validation), ("calibration", calibration)):
            if share:
                taken[part] = _draw(rest, share, others, f"{name} {part} {seed}")
                rest -= taken[part]
        if not rest:
            raise TrainingError(
                f"split {name}: nobody is left to learn from among {len(by_subject)} subjects; add people who are not "
                "for evaluation only, or take no validation and calibration out of so few"
            )
        split = Split(
            name,
            ids(rest, learnable, copies),
            ids(taken["validation"], learnable),
            ids(taken["calibration"], learnable),
            ids(judged, by_subject),
        )
        check(split, clips)
        made.append(split)
    return tuple(made)
