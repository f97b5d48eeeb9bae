"""judged: windows that have a label and a score, and every measure of how near the one is to the other.

Pain, confusers and small cells mean the same in all tables of an evaluation: they are defined here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from painsense.tracks import BoolArray
from training import metrics
from training.fusion.calibrate import Predictions

PAIN = 2.0  # mean level of a window (0-10) from which on it counts as one of pain
FALSE_ALARM = 3.0  # a score above this where nobody is in pain is a false alarm
MIN_PEOPLE, MIN_WINDOWS = 10, 30  # a cell with fewer of either says how many there are and nothing else
MIN_OWN = 10  # windows of a person from which on figures of that person alone are made
TOP = 10.0
REST = ("rest", "silence")
Figures = dict[str, float]
FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True)
class View:
    """Windows that have a label and a score, seen in one way; all arrays [shape=(n,)].

    ``level``, ``guess_level`` : whole steps of the label's own scale; ``role`` : 1 pain, 0 confuser, -1 neither
    """

    truth: FloatArray
    score: FloatArray
    sd: FloatArray
    low: FloatArray
    high: FloatArray
    person: npt.NDArray[np.int64]
    role: npt.NDArray[np.int64]
    steps: int

    def __len__(self) -> int:
        return len(self.truth)

    @property
    def level(self) -> npt.NDArray[np.int64]:
        """The truth in whole steps of its own scale."""
        return np.asarray(np.rint(self.truth / TOP * self.steps), np.int64)

    @property
    def people(self) -> int:
        """How many."""
        return len(np.unique(self.person))

    def rows(self, which: npt.NDArray[Any]) -> View:
        """Some of the windows."""
        parts = {name: getattr(self, name)[which] for name in self.__dataclass_fields__ if name != "steps"}
        return View(**parts, steps=self.steps)

    def said(self, score: FloatArray) -> View:
        """The same windows with another's score."""
        return replace(self, score=np.asarray(score, np.float64))


def rows_of(said: Predictions, way: str) -> BoolArray:
    """Windows with a label and a score in one way of being seen; "both" has evidence of both."""
    seen = np.isfinite(said.score)
    chosen = {"as_recorded": seen[0], "both": seen.all(axis=0), "face": seen[1], "voice": seen[2]}[way]
    return np.asarray(chosen & np.isfinite(said.truth))


def view(said: Predictions, way: str) -> View:
    """Windows as one way sees them: "as_recorded" (whatever there is), "both", "face" or "voice".

    As recorded, a window of which only one modality says something has the interval of that modality, as the exported
    network gives it.
    """
    rows = rows_of(said, way)
    case = {"face": 1, "voice": 2}.get(way, 0)
    ends = {}
    for name in ("sd", "low", "high"):
        values = getattr(said, name)
        ends[name] = values[case].astype(np.float64)
        if way == "as_recorded":
            for only, other in ((1, 2), (2, 1)):
                single = np.isfinite(said.score[only]) & ~np.isfinite(said.score[other])
                ends[name] = np.where(single, values[only], ends[name])
    _, low, high = said.head.rsplit("_", 2)
    return View(
        truth=said.truth.astype(np.float64)[rows],
        score=said.score[case].astype(np.float64)[rows],
        person=person_of(said)[rows],
        role=role_of(said)[rows],
        steps=max(1, round(float(high) - float(low))),
        **{name: values[rows] for name, values in ends.items()},
    )


def person_of(said: Predictions) -> npt.NDArray[np.int64]:
    """A number for each window's person, ndarray [shape=(n,)]."""
    return np.unique(said.subject, return_inverse=True)[1].astype(np.int64)


def confusers(said: Predictions) -> list[str]:
    """Names of what is neither pain nor rest."""
    return [name for name in said.classes if name not in REST and not name.startswith("pain")]


def shows(said: Predictions, names: Sequence[str]) -> BoolArray:
    """Windows that mostly show one of these, ndarray [shape=(n,)]."""
    return np.isin(said.shown, [said.classes.index(name) for name in names])


def role_of(said: Predictions) -> npt.NDArray[np.int64]:
    """1 for pain, 0 for a confuser, -1 for what is neither, ndarray [shape=(n,)]."""
    with np.errstate(invalid="ignore"):
        hurts, calm = said.truth >= PAIN, said.truth < PAIN
    confusing = calm & shows(said, confusers(said)) if (said.shown >= 0).any() else calm
    return np.where(hurts, 1, np.where(confusing, 0, -1)).astype(np.int64)


def measures(seen: View) -> Figures:
    """Every measure of one set of windows, pooled."""
    level, guess = seen.level, np.clip(np.rint(seen.score / TOP * seen.steps), 0, seen.steps).astype(np.int64)
    told = seen.role >= 0
    return {
        **errors(seen),
        "macro_mae": metrics.macro_mae(seen.truth, seen.score, level),
        "qwk": metrics.qwk(level, guess, seen.steps + 1),
        "uar": metrics.uar(level, guess),
        "auroc": metrics.roc_auc(seen.role[told] == 1, seen.score[told]),
        "aupr": metrics.average_precision(seen.role[told] == 1, seen.score[told]),
    }


def errors(seen: View) -> Figures:
    """The measures that need neither levels nor classes."""
    truth, score = seen.truth, seen.score
    return {
        "pcc": metrics.pearson(truth, score),
        "mae": metrics.mae(truth, score),
        "rmse": metrics.rmse(truth, score),
        "bias": metrics.bias(truth, score),
        "ccc": metrics.ccc(truth, score),
        "icc31": metrics.icc31(truth, score),
        "icc21": metrics.icc_a1(truth, score),
    }


def of_view(seen: View, draws: int) -> dict[str, Any]:
    """One way of being seen: pooled, within person, between people, and averaged over people."""
    if not len(seen):
        return {"people": 0, "windows": 0, "pooled": {}, "within": {}, "between": {}, "by_person": {}}
    _, place, count = np.unique(seen.person, return_inverse=True, return_counts=True)
    means = {name: np.bincount(place, getattr(seen, name)) / count for name in ("truth", "score")}
    centred = replace(seen, **{name: getattr(seen, name) - means[name][place] for name in means})
    names = ("pcc", "mae", "rmse", "ccc", "icc31")

    def within(rows: npt.NDArray[np.integer]) -> Figures:
        own = errors(centred.rows(rows))
        return {name: own[name] for name in names}

    everything = np.arange(len(seen))
    between = {name: getattr(metrics, measure)(means["truth"], means["score"]) for name, measure in (
        ("pcc", "pearson"), ("mae", "mae"), ("icc31", "icc31"), ("icc21", "icc_a1"))}  # fmt: skip
    return {
        "people": seen.people,
        "windows": len(seen),
        "pain_windows": int((seen.role == 1).sum()),
        "confuser_windows": int((seen.role == 0).sum()),
        "pooled": with_intervals(
            measures(seen), metrics.bootstrap_all(lambda rows: measures(seen.rows(rows)), seen.person, draws)
        ),
        "within": with_intervals(within(everything), metrics.bootstrap_all(within, seen.person, draws)),
        "between": {name: {"value": value, "interval": None} for name, value in between.items()},
        "by_person": by_person(seen, draws),
    }


def with_intervals(values: Figures, ends: Mapping[str, tuple[float, float]]) -> dict[str, Any]:
    """Each figure with its 95% interval."""
    return {name: {"value": value, "interval": ends[name]} for name, value in values.items()}


def by_person(seen: View, draws: int) -> dict[str, Any]:
    """Mean over people of each one's own figure, its spread and how many people have one."""
    order = np.argsort(seen.person, kind="stable")
    parts = np.split(order, np.flatnonzero(np.diff(seen.person[order])) + 1)
    own = [measures(seen.rows(part)) for part in parts if len(part) >= MIN_OWN]
    result = {}
    for name in own[0] if own else ():
        values = np.array([each[name] for each in own])
        values = values[np.isfinite(values)]
        if not len(values):
            continue
        mean = float(values.mean())
        ends = metrics.bootstrap(partial(mean_at, values), np.arange(len(values)), draws)
        result[name] = {"value": mean, "interval": ends, "sd": float(values.std()), "people": len(values)}
    return result


def apart(seen: View, other: View, draws: int) -> dict[str, Any]:
    """The network's figures less another's, on the same windows."""

    def differ(rows: npt.NDArray[np.integer]) -> Figures:
        own, its = seen.rows(rows), other.rows(rows)
        told = own.role >= 0
        pain = own.role[told] == 1
        return {
            "pcc": metrics.pearson(own.truth, own.score) - metrics.pearson(its.truth, its.score),
            "mae": metrics.mae(own.truth, own.score) - metrics.mae(its.truth, its.score),
            "auroc": metrics.roc_auc(pain, own.score[told]) - metrics.roc_auc(pain, its.score[told]),
        }

    return {"difference": with_intervals(
        differ(np.arange(len(seen))), metrics.bootstrap_all(differ, seen.person, draws))}  # fmt: skip


def size_of(person: npt.NDArray[np.int64], inside: BoolArray, scored: BoolArray) -> dict[str, Any]:
    """How many people and windows a cell has, how many got no score, and whether it is large enough to be shown."""
    people, windows = len(np.unique(person[scored])), int(scored.sum())
    return {"people": people, "windows": windows, "unscored": int((inside & ~scored).sum()),
            "shown": people >= MIN_PEOPLE and windows >= MIN_WINDOWS}  # fmt: skip


def mean_of(values: npt.NDArray[Any]) -> float:
    """The mean, NaN of nothing."""
    return float(np.mean(values)) if len(values) else float("nan")


def mean_at(values: FloatArray, rows: npt.NDArray[np.integer]) -> float:
    """The mean of some of the values."""
    return float(values[rows].mean())
