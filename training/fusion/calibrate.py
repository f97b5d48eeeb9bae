"""calibrate: how far the 90% interval must reach, from people the network did not learn from.

Split-conformal prediction (Vovk et al. 2005) by person. Windows of one person resemble each other, so people are what
is exchanged: each gives one window, drawn by chance, the quantile is that of so many people, and the mean over many
such draws is taken (Dunn, Wasserman & Ramdas 2023, "Distribution-free prediction sets for two-layer hierarchical
models", doi:10.1080/01621459.2022.2060112). What is calibrated is the error in standard deviations of the network's own
distribution, for each way of being seen: both, face alone, voice alone; it may reach further up than down, and
otherwise where the score is high than where it is low.

Most windows show no pain, and a network that is unsure says too little of strong pain. Intervals that hold 90% of all
windows then hold far less of the rare ones that matter most. So windows of rare levels are drawn more often
(:data:`RARE`): of windows drawn like that the intervals hold 90%, of all windows a little more.
"""

from __future__ import annotations

import io
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from painsense.fusion import LEVELS
from painsense.output import write_together
from painsense.tracks import BoolArray, FloatArray, TimeArray
from training.errors import TrainingError
from training.fusion import record
from training.fusion.network import CASES, KNOTS
from training.fusion.record import Clip

IntArray = npt.NDArray[np.int64]
COVERAGE = 0.9
RARE = 0.35  # 0: windows are drawn as often as they are; 1: every whole level as often as any other. A choice
LEAST_PEOPLE = 20  # who have scores near a knot, for it to have a reach of its own
DRAWS = 2000
LEAST_SIDE = 0.25  # of the wider side: a network that is never too high with some people may be so with others
NOWHERE = 1e3  # standard deviations: with so few people the interval is the whole scale


@dataclass(frozen=True)
class Predictions:
    """What networks said of windows of people they had not learned from. First axis of 3: both, face, voice alone.

    Attributes
    ----------
    head : the kind of label and its scale
    clips, clip : the recordings, and each window's place among them
    start_s, end_s : ndarray [shape=(n,)]
    fold : name of the split each window was judged in, ndarray [shape=(n,)]
    truth : ndarray [shape=(n,), 0-10 of the scale], NaN where nothing was said
    score, sd, low, high : ndarray [shape=(3, n)], NaN without evidence
    levels : ndarray [shape=(n, 11)], as seen by both
    weights : ndarray [shape=(n, 2)], of face and voice
    pspi, truth_pspi, rule_pspi : ndarray [shape=(n,), 0-16]: the network's, the label's, and the face track's own
    constant : ndarray [shape=(n,)], mean of the labels its network learned from: what a network must beat
    classes, shown : what was shown, by place in ``classes``; -1 not known
    """

    head: str
    clips: tuple[Clip, ...]
    clip: IntArray
    start_s: TimeArray
    end_s: TimeArray
    fold: npt.NDArray[np.str_]
    truth: FloatArray
    score: FloatArray
    sd: FloatArray
    low: FloatArray
    high: FloatArray
    levels: FloatArray
    weights: FloatArray
    pspi: FloatArray
    truth_pspi: FloatArray
    rule_pspi: FloatArray
    constant: FloatArray
    classes: tuple[str, ...]
    shown: IntArray

    def __len__(self) -> int:
        return len(self.clip)

    @property
    def subject(self) -> npt.NDArray[np.str_]:
        """Pseudonym of each window's person."""
        return np.array([clip.subject for clip in self.clips])[self.clip]

    def save(self, path: Path) -> None:
        """Write as .npz, whole or not at all; no path of any recording is in it."""
        said = {
            "head": self.head,
            "classes": self.classes,
            "clips": [record.to_dict(clip) for clip in self.clips],
        }
        arrays = {"said": np.frombuffer(json.dumps(said, allow_nan=False).encode(), np.uint8)}
        arrays |= {name: getattr(self, name) for name in _ARRAYS}
        buffer = io.BytesIO()
        np.savez_compressed(buffer, allow_pickle=False, **arrays)
        write_together(path.parent, {path.name: [buffer.getvalue()]})

    @classmethod
    def load(cls, path: Path) -> Predictions:
        """What :meth:`save` wrote; TrainingError when it is something else."""
        try:
            with np.load(path, allow_pickle=False) as stored:
                said = json.loads(stored["said"].tobytes())
                arrays = {name: stored[name] for name in _ARRAYS}
            clips = tuple(record.from_dict(each) for each in said["clips"])
            return cls(head=said["head"], classes=tuple(said["classes"]), clips=clips, **arrays)
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise TrainingError.at(
                path, f"predictions of a training run were expected ({error})", "run training.fusion.train first"
            ) from error

    def with_reach(self, reach: FloatArray, rows: BoolArray | None = None) -> Predictions:
        """The same with the intervals that a calibration gives; only of some windows where ``rows`` says so."""
        low, high = ends(self.score, self.sd, reach)
        if rows is not None:
            low, high = np.where(rows, low, self.low), np.where(rows, high, self.high)
        return replace(self, low=low, high=high)


_ARRAYS = tuple(f.name for f in fields(Predictions) if f.name not in ("head", "clips", "classes"))
#: axis of the windows in each array
_AXIS = dict.fromkeys(("score", "sd", "low", "high"), 1)


def join(parts: Sequence[Predictions]) -> Predictions:
    """The predictions of several folds as one, all about the same recordings."""
    first = parts[0]
    if any((part.head, part.clips, part.classes) != (first.head, first.clips, first.classes) for part in parts):
        raise TrainingError("predictions: folds of one run were expected, others came; train into a new folder")
    arrays = {name: np.concatenate([getattr(p, name) for p in parts], axis=_AXIS.get(name, 0)) for name in _ARRAYS}
    return Predictions(head=first.head, clips=first.clips, classes=first.classes, **arrays)


@dataclass(frozen=True)
class Calibration:
    """What was found.

    Attributes
    ----------
    reach : ndarray [shape=(3, K, 2)], standard deviations below and above the score, for both, face, voice alone, at
        the scores of :data:`training.fusion.network.KNOTS`
    people, windows : it rests on
    coverage : share of those windows whose interval holds the truth, people counted alike, for each case; NaN without
    """

    reach: FloatArray
    people: int
    windows: int
    coverage: tuple[float, float, float]


def calibrate(predictions: Predictions, rows: BoolArray | None = None, coverage: float = COVERAGE) -> Calibration:
    """The reach of the interval from people who were not learned from.

    With fewer people than a level needs (9 for 90%) nothing can be promised: the interval is the whole scale then.
    """
    use = np.isfinite(predictions.truth) if rows is None else rows & np.isfinite(predictions.truth)
    subject = predictions.subject
    reach = np.full((len(CASES), len(KNOTS), 2), NOWHERE, np.float32)
    covered = [math.nan] * len(CASES)
    for case in range(len(CASES)):
        known = use & np.isfinite(predictions.score[case])
        if not known.any():
            continue
        score, sd = predictions.score[case, known], predictions.sd[case, known]
        truth, who = predictions.truth[known], subject[known]
        miss = np.stack([score - truth, truth - score], axis=1) / sd[:, None]
        vote = rare_counts_more(who, truth)
        shape = _shape(score, miss, who, vote, coverage)
        reach[case] = shape * quantile((miss / along(score, shape)).max(axis=1), who, coverage, vote)
        low, high = ends(score, sd, reach[case])
        covered[case] = float((one_vote_each(who) * ((low <= truth) & (truth <= high))).sum())
    return Calibration(reach, len(np.unique(subject[use])), int(use.sum()), (covered[0], covered[1], covered[2]))


def _shape(
    score: FloatArray,
    miss: npt.NDArray[np.floating],
    subject: npt.NDArray[np.str_],
    vote: npt.NDArray[np.float64],
    coverage: float,
) -> npt.NDArray[np.float64]:
    """How far errors reach below and above near each knot, ndarray [shape=(K, 2)], not yet conformal."""
    between = (np.array(KNOTS[1:]) + np.array(KNOTS[:-1])) / 2
    nearest = np.searchsorted(between, score, side="right")
    shape = np.empty((len(KNOTS), 2))
    for k in range(len(KNOTS)):
        near = nearest == k
        if len(np.unique(subject[near])) < LEAST_PEOPLE:
            near = np.ones(len(score), bool)
        weight = vote[near] / vote[near].sum()
        shape[k] = [weighted_quantile(side, weight, (1 + coverage) / 2) for side in miss[near].T]
        shape[k] = np.maximum(shape[k], max(LEAST_SIDE * shape[k].max(), 1e-3))
    return shape


def along(score: FloatArray, at_knots: npt.NDArray[np.floating]) -> npt.NDArray[np.float64]:
    """Values that hold at the knots [shape=(K, 2)], interpolated to scores, ndarray [shape=(n, 2)]."""
    return np.stack([np.interp(score, KNOTS, side) for side in np.asarray(at_knots, np.float64).T], axis=-1)


def across(predictions: Predictions) -> Predictions:
    """Intervals for each person from everybody else's errors (as the jackknife+, Barber et al. 2021, has it)."""
    subject = predictions.subject
    for person in np.unique(subject):
        own = subject == person
        predictions = predictions.with_reach(calibrate(predictions, ~own).reach, own)
    return predictions


def ends(score: FloatArray, sd: FloatArray, reach: FloatArray) -> tuple[FloatArray, FloatArray]:
    """The interval, ndarray [shape=(..., n), 0-10] each; ``reach`` [shape=(..., K, 2)] as in :class:`Calibration`."""
    if score.ndim > 1:
        sides = [ends(*each) for each in zip(score, sd, reach, strict=True)]
        return np.stack([low for low, _ in sides]), np.stack([high for _, high in sides])
    far = along(score, reach) * sd[:, None]
    low, high = np.clip(score - far[:, 0], 0, LEVELS - 1), np.clip(score + far[:, 1], 0, LEVELS - 1)
    return low.astype(np.float32), high.astype(np.float32)


def one_vote_each(subject: npt.NDArray[np.str_]) -> npt.NDArray[np.float64]:
    """Weights of windows [shape=(n,)] that add up to 1, and to the same for each person."""
    _, place, count = np.unique(subject, return_inverse=True, return_counts=True)
    return np.asarray(1.0 / (count[place] * len(count)))


def rare_counts_more(subject: npt.NDArray[np.str_], truth: FloatArray) -> npt.NDArray[np.float64]:
    """Weights of windows [shape=(n,)] that add up to the same for each person, more for levels that are rare."""
    alike = one_vote_each(subject)
    level = np.clip(np.rint(truth), 0, LEVELS - 1).astype(np.int64)
    weight = alike * np.bincount(level, alike, LEVELS)[level] ** -RARE
    _, place = np.unique(subject, return_inverse=True)
    total = np.bincount(place, weight)
    return np.asarray(weight / total[place] / len(total))


def weighted_quantile(values: npt.NDArray[np.floating], weight: npt.NDArray[np.float64], level: float) -> float:
    """The least value that holds ``level`` of the weight."""
    order = np.argsort(values, kind="stable")
    place = int(np.searchsorted(np.cumsum(weight[order]), level - 1e-12))
    return float(values[order[min(place, len(order) - 1)]])


def quantile(
    miss: npt.NDArray[np.floating],
    subject: npt.NDArray[np.str_],
    level: float,
    vote: npt.NDArray[np.float64] | None = None,
) -> float:
    """The error that ``level`` of new people's windows stay below: one window of each person, the mean over draws.

    Of m people and one more, ``level`` of m + 1 must lie within, in between two of them by interpolation;
    :data:`NOWHERE` where m is too small for that. ``vote`` [shape=(n,)] says how readily each window is drawn.
    """
    people, whose = np.unique(subject, return_inverse=True)
    place = level * (len(people) + 1) - 1
    if place > len(people) - 1 + 1e-9:
        return NOWHERE
    order = np.argsort(whose, kind="stable")
    weight = (one_vote_each(subject) if vote is None else vote)[order] * len(people)  # adds up to 1 for each person
    chosen = np.random.default_rng(0).random((DRAWS, len(people))) * (1 - 1e-9) + np.arange(len(people))
    drawn = np.searchsorted(np.cumsum(weight), chosen, side="right")
    each = np.sort(miss[order][np.minimum(drawn, len(miss) - 1)], axis=1)
    below = int(min(place, len(people) - 2))
    share = place - below
    return float(((1 - share) * each[:, below] + share * each[:, below + 1]).mean())
