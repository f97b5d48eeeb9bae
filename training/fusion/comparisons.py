"""comparisons: the network beside yardsticks, by what was shown, and with a modality missing.

Every pair is compared on the windows that both judge; differences have an interval over people.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from painsense.tracks import BoolArray
from training import metrics
from training.errors import TrainingError
from training.fusion import reliability
from training.fusion.calibrate import Predictions
from training.fusion.judged import (
    FALSE_ALARM,
    PAIN,
    REST,
    TOP,
    Figures,
    FloatArray,
    View,
    apart,
    mean_at,
    mean_of,
    measures,
    person_of,
    role_of,
    rows_of,
    shows,
    size_of,
    view,
    with_intervals,
)
from training.fusion.network import CASES


def baselines(said: Predictions, draws: int) -> list[dict[str, Any]]:
    """Yardsticks, each beside the network on the windows that both judge."""
    whole = view(said, "as_recorded")
    rows = rows_of(said, "as_recorded")
    rule = said.rule_pspi.astype(np.float64)[rows]
    others = {
        "constant": ("the mean of the labels the network learned from", said.constant.astype(np.float64)[rows]),
        "pspi_rule": ("PSPI of the face, 0-16 put on 0-10 as it is", rule * TOP / 16),
        "pspi_fitted": ("PSPI of the face on the straight line that fits the other judged people", _line(whole, rule)),
        "face": ("the same network, face alone", said.score[1].astype(np.float64)[rows]),
        "voice": ("the same network, voice alone", said.score[2].astype(np.float64)[rows]),
    }
    result = []
    for name, (what, score) in others.items():
        there = np.isfinite(score)
        if not there.any():
            continue
        seen = whole.rows(there)
        other = seen.said(score[there])
        result.append({
            "name": name, "what": what, "windows": len(seen), "people": seen.people,
            "baseline": measures(other), "network": measures(seen), **apart(seen, other, draws),
        })  # fmt: skip
    return result


def _line(seen: View, rule: FloatArray) -> FloatArray:
    """The rule on the scale of the labels: for each person by a line fitted to everybody else."""
    fitted = np.full(len(seen), np.nan)
    there = np.isfinite(rule)
    for person in np.unique(seen.person):
        own, rest = there & (seen.person == person), there & (seen.person != person)
        if rest.sum() < 2 or np.ptp(rule[rest]) == 0:
            continue
        slope, start = np.polyfit(rule[rest], seen.truth[rest], 1)
        fitted[own] = np.clip(start + slope * rule[own], 0, TOP)
    return fitted


def detection(said: Predictions, draws: int) -> dict[str, Any]:
    """Pain against several sets of windows, by network and rule on the same windows; curves against the confusers."""
    both = rows_of(said, "both")
    with np.errstate(invalid="ignore"):
        below = said.truth < PAIN
        free = said.truth <= 1e-6
    role = role_of(said)
    sets = {
        "confusers": role == 0,
        "confusers_without_pain": (role == 0) & free,
        "rest": below & shows(said, [name for name in REST if name in said.classes]),
        "everything_below": below,
    }
    scorers = {"both": said.score[0], "face": said.score[1], "voice": said.score[2], "pspi_rule": said.rule_pspi}
    usable = both & np.isfinite(said.rule_pspi)
    person = person_of(said)
    tables = {}
    for name, negative in sets.items():
        told = usable & ((role == 1) | negative)
        positive = role[told] == 1
        if not positive.any() or positive.all():
            continue
        values = {scorer: score[told].astype(np.float64) for scorer, score in scorers.items()}

        def areas(rows: npt.NDArray[np.integer], p: BoolArray = positive, v: dict[str, Any] = values) -> Figures:
            found = {scorer: metrics.roc_auc(p[rows], each[rows]) for scorer, each in v.items()}
            return {**found, "above_rule": found["both"] - found["pspi_rule"]}

        ends = metrics.bootstrap_all(areas, person[told], draws)
        tables[name] = {
            "pain": int(positive.sum()),
            "against": int((~positive).sum()),
            "people": len(np.unique(person[told])),
            "auroc": with_intervals(areas(np.arange(len(positive))), ends),
            "aupr": {scorer: metrics.average_precision(positive, each) for scorer, each in values.items()},
        }
    told = usable & (role >= 0)
    curves = {
        scorer: reliability.roc(role[told] == 1, score[told].astype(np.float64)) for scorer, score in scorers.items()
    }
    return {"windows": "both modalities and the rule say something", "against": tables, "curves": curves}


def expressions(said: Predictions, draws: int) -> list[dict[str, Any]]:
    """For each kind of thing shown: scores and false pain by modality, and pain told from it, against the rule."""
    person, role = person_of(said), role_of(said)
    labelled = np.isfinite(said.truth)
    ways = {"as_recorded": said.score[0], "face": said.score[1], "voice": said.score[2]}
    result = []
    for name in said.classes:
        inside = labelled & shows(said, [name])
        pain = name.startswith("pain")
        with np.errstate(invalid="ignore"):
            inside &= (said.truth >= PAIN) if pain else (said.truth < PAIN)
        scored = inside & np.isfinite(said.score[0])
        cell = size_of(person, inside, scored)
        if cell["shown"]:
            over = (said.score[0][scored] > FALSE_ALARM).astype(np.float64)
            cell |= {
                "level": float(said.truth[scored].mean()),
                "score": {way: mean_of(score[inside & np.isfinite(score)]) for way, score in ways.items()},
                "above_3": {
                    way: mean_of(score[inside & np.isfinite(score)] > FALSE_ALARM) for way, score in ways.items()
                },
                "above_3_interval": metrics.bootstrap(partial(mean_at, over), person[scored], draws),
                "auroc": {} if pain else _told_apart(said, role == 1, inside),
            }
        result.append({"kind": name, "pain": pain, **cell})
    return result


def _told_apart(said: Predictions, pain: BoolArray, other: BoolArray) -> Figures:
    told = (pain | other) & np.isfinite(said.score).all(axis=0) & np.isfinite(said.rule_pspi)
    scorers = {"both": said.score[0], "face": said.score[1], "voice": said.score[2], "pspi_rule": said.rule_pspi}
    return {name: metrics.roc_auc(pain[told], score[told].astype(np.float64)) for name, score in scorers.items()}


def missing(said: Predictions, alone: Mapping[str, Predictions], draws: int) -> dict[str, Any]:
    """What is lost without a modality, on windows with both; and against networks that never had the other."""
    rows = np.flatnonzero(rows_of(said, "both"))
    result: dict[str, Any] = {"windows": len(rows), "same_windows": {}, "against_alone": {}}
    if len(rows):
        seen = view(said, "both")
        result["people"] = seen.people
        for case, name in enumerate(CASES):
            result["same_windows"][name] = measures(seen.said(said.score[case][rows]))
    for name, other in alone.items():
        case = CASES.index(name)
        place = {_key(other, k): k for k in range(len(other))}
        own_rows = np.flatnonzero(rows_of(said, name))
        pairs = [(int(k), place[_key(said, int(k))]) for k in own_rows if _key(said, int(k)) in place]
        pairs = [(k, j) for k, j in pairs if np.isfinite(other.score[case, j])]
        if not pairs or other.head != said.head:
            raise TrainingError(
                f"--{name}-alone: a run that judged the same people and labels was expected, another came; train it on "
                f"the same data with the same split, with modalities = [{name!r}]"
            )
        mine, its = np.array(pairs).T
        own = view(said, name).rows(np.searchsorted(own_rows, mine))
        it = own.said(other.score[case, its])
        result["against_alone"][name] = {
            "windows": len(own), "people": own.people, "network": measures(own), "alone": measures(it),
            **apart(own, it, draws),
        }  # fmt: skip
    return result


def _key(said: Predictions, k: int) -> tuple[str, float]:
    return said.clips[said.clip[k]].id, round(float(said.end_s[k]), 3)


def pspi(said: Predictions) -> dict[str, Any] | None:
    """The network's PSPI and the face track's own beside the label's; None where no PSPI was labelled."""
    known = np.isfinite(said.truth_pspi) & np.isfinite(said.pspi) & np.isfinite(said.rule_pspi)
    if not known.any():
        return None
    truth = said.truth_pspi[known].astype(np.float64)
    return {"windows": int(known.sum()), **{
        name: {"pcc": metrics.pearson(truth, guess[known]), "mae": metrics.mae(truth, guess[known]),
               "icc31": metrics.icc31(truth, guess[known].astype(np.float64))}
        for name, guess in (("network", said.pspi), ("rule", said.rule_pspi))}}  # fmt: skip
