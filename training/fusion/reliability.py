"""reliability: whether intervals and probabilities are what they say, what abstaining changes, and agreement."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from painsense.tracks import BoolArray, FloatArray
from training import metrics
from training.fusion.calibrate import Predictions, one_vote_each
from training.fusion.judged import PAIN, TOP, View, mean_of, with_intervals

BANDS = (
    (0.0, 0.0),
    (0.0, 2.0),
    (2.0, 4.0),
    (4.0, 7.0),
    (7.0, 10.0),
)  # of the truth: above, up to; the first is 0 itself
BINS = 10
KEPT = (1.0, 0.95, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2, 0.1)
LEAST_BIN = 30
ROC_AT = np.linspace(0, 1, 101)


def intervals(seen: View) -> dict[str, Any]:
    """Coverage of the 90% intervals and their width: people counted alike (which is promised), pooled, by level.

    ``people_below_80`` : share of the people whose own intervals hold less than 80% of their windows
    """
    if not len(seen):
        return {"windows": 0, "coverage": None, "pooled": None, "width": None, "by_level": []}
    vote = one_vote_each(seen.person.astype(str))
    inside = (seen.low - 1e-6 <= seen.truth) & (seen.truth <= seen.high + 1e-6)
    _, place, count = np.unique(seen.person, return_inverse=True, return_counts=True)
    own = np.bincount(place, inside) / count
    by_level = []
    for low, high in BANDS:
        which = (seen.truth <= 1e-6) if high == 0 else (seen.truth > max(low, 1e-6)) & (seen.truth <= high)
        enough = which.sum() >= LEAST_BIN
        by_level.append({
            "above": low, "up_to": high, "windows": int(which.sum()),
            "coverage": mean_of(inside[which]) if enough else None,
            "width": mean_of((seen.high - seen.low)[which]) if enough else None,
            "mae": metrics.mae(seen.truth[which], seen.score[which]) if enough else None,
            "bias": metrics.bias(seen.truth[which], seen.score[which]) if enough else None,
        })  # fmt: skip
    return {
        "windows": len(seen),
        "coverage": float((vote * inside).sum()),
        "pooled": mean_of(inside),
        "below": mean_of(seen.truth < seen.low - 1e-6),
        "above": mean_of(seen.truth > seen.high + 1e-6),
        "width": mean_of(seen.high - seen.low),
        "people_below_80": mean_of(own < 0.8),
        "by_level": by_level,
    }


def calibration(said: Predictions, seen: View, rows: BoolArray) -> dict[str, Any]:
    """Scores beside what came on average, probabilities of pain beside how often it was, and spreads beside errors.

    ``slope``, ``start`` : of the straight line truth on score; 1 and 0 are right. ``ece`` : expected calibration error
    of the probability of level 2 or more (Guo et al. 2017, arXiv:1706.04599). As in training, a level between two
    whole ones counts as a share of each.
    """
    varies = len(seen) > 1 and np.ptp(seen.score) > 0
    slope, start = np.polyfit(seen.score, seen.truth, 1) if varies else (np.nan, np.nan)
    chance = said.levels[rows][:, int(PAIN) :].sum(axis=1).astype(np.float64)
    came = np.clip(seen.truth - PAIN + 1, 0, 1)
    order = np.argsort(seen.score, kind="stable")
    by_spread = np.argsort(seen.sd, kind="stable")
    place = np.minimum((chance * BINS).astype(np.int64), BINS - 1)
    bins = [
        {"said": mean_of(chance[place == k]), "came": mean_of(came[place == k]), "windows": int((place == k).sum())}
        for k in range(BINS)
    ]
    off = sum(each["windows"] * abs(each["said"] - each["came"]) for each in bins if each["windows"])
    return {
        "slope": float(slope),
        "start": float(start),
        "score_bins": [
            {"score": mean_of(seen.score[part]), "truth": mean_of(seen.truth[part]), "windows": len(part)}
            for part in np.array_split(order, BINS)
            if len(part)
        ],
        "pain_bins": [each for each in bins if each["windows"] >= LEAST_BIN],
        "ece": off / len(seen),
        "brier": float(((chance - came) ** 2).mean()),
        "spread_bins": [
            {
                "sd": float(np.sqrt((seen.sd[part] ** 2).mean())),
                "rmse": metrics.rmse(seen.truth[part], seen.score[part]),
            }
            for part in np.array_split(by_spread, BINS)
            if len(part)
        ],
    }


def abstention(seen: View, limit: float) -> dict[str, Any]:
    """Figures of the windows with the narrowest intervals, from all of them down to a tenth, and at the limit.

    Windows without pain have narrow intervals: error falls for that reason too, so ``constant_mae`` stands beside it,
    that of the best constant for the same windows.
    """
    width = seen.high - seen.low
    order = np.argsort(width, kind="stable")
    curve = []
    for share in KEPT:
        part = order[: max(1, round(share * len(seen)))]
        curve.append({"kept": share, "width": float(width[part].max()), **_kept(seen.rows(part))})
    shown = np.flatnonzero(width <= limit)
    return {"limit": limit, "curve": curve, "at_limit": {"kept": len(shown) / len(seen), **_kept(seen.rows(shown))}}


def _kept(part: View) -> dict[str, Any]:
    told = part.role >= 0
    constant = np.full(len(part), np.median(part.truth)) if len(part) else part.truth
    return {
        "windows": len(part),
        "mae": metrics.mae(part.truth, part.score),
        "constant_mae": metrics.mae(part.truth, constant),
        "pcc": metrics.pearson(part.truth, part.score),
        "auroc": metrics.roc_auc(part.role[told] == 1, part.score[told]),
        "coverage": metrics.coverage(part.truth, part.low, part.high),
        "pain_share": mean_of(part.truth >= PAIN),
    }


def agreement(seen: View, draws: int) -> dict[str, Any]:
    """Bland-Altman: bias and limits with several windows of each person, and how many windows lie where.

    ``windows`` : rows are differences (score less truth) from -10 to 10, columns means from 0 to 10, half a point each;
    ``table`` : rows are true levels, columns scores, rounded to whole points
    """
    values = metrics.bland_altman(seen.truth, seen.score, seen.person)

    def of(rows: npt.NDArray[np.integer]) -> dict[str, float]:
        # somebody drawn twice is two people: rows go up within a person and start anew with the next
        begins = (np.diff(rows) <= 0) | (np.diff(seen.person[rows]) != 0)
        return metrics.bland_altman(seen.truth[rows], seen.score[rows], np.append(0, np.cumsum(begins)))

    ends = metrics.bootstrap_all(of, seen.person, draws)
    middle, apart = (seen.truth + seen.score) / 2, seen.score - seen.truth
    spread = np.histogram2d(apart, middle, bins=(np.linspace(-TOP, TOP, 41), np.linspace(0, TOP, 21)))[0]
    edges = np.arange(-0.5, TOP + 1)
    table = np.histogram2d(seen.truth, seen.score, bins=(edges, edges))[0]
    return {
        **with_intervals(values, ends),
        "windows": spread.astype(int).tolist(),
        "table": table.astype(int).tolist(),
    }


def roc(positive: BoolArray, score: FloatArray) -> dict[str, list[float]]:
    """ROC curve at 101 false alarm rates; empty with one class."""
    from sklearn.metrics import roc_curve

    if not positive.any() or positive.all():
        return {"false": [], "true": []}
    false, true, _ = roc_curve(positive, score)
    return {"false": ROC_AT.tolist(), "true": np.interp(ROC_AT, false, true).tolist()}
