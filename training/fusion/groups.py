"""groups: figures by who was recorded and how, and how often there is no score. Small cells are not shown."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from painsense.tracks import BoolArray
from training import metrics
from training.fusion.calibrate import Predictions
from training.fusion.judged import (
    FALSE_ALARM,
    PAIN,
    Figures,
    View,
    mean_of,
    person_of,
    rows_of,
    size_of,
    view,
    with_intervals,
)

TONES = ((1, 3), (4, 6), (7, 8), (9, 10))  # Monk scale, both ends included


def groups(said: Predictions, known: Mapping[str, npt.NDArray[np.str_]]) -> dict[str, npt.NDArray[np.str_]]:
    """What results are told by: what the clips say, what was there, and what else is ``known``; "" is not known."""
    names = sorted({name for clip in said.clips for name in clip.groups} - {"expression"})
    result = {}
    for name in names:
        values = [clip.groups.get(name, "") for clip in said.clips]
        result[name] = np.array([_tone(each) for each in values] if name == "skin_tone" else values)[said.clip]
    seen = np.isfinite(said.score)
    result["evidence"] = np.where(
        seen[1] & seen[2], "face and voice", np.where(seen[1], "face alone", np.where(seen[2], "voice alone", ""))
    )
    return result | dict(known)


def _tone(value: str) -> str:
    """Band of the Monk scale; another scale's value as it is."""
    if not value.isdigit():
        return value
    return next((f"Monk {low}-{high}" for low, high in TONES if low <= int(value) <= high), value)


def by_group(
    said: Predictions, seen: View, by: Mapping[str, npt.NDArray[np.str_]], limit: float, draws: int
) -> dict[str, list[dict[str, Any]]]:
    """Error, bias, detection and coverage of each group; ``mae_ratio`` is its MAE over that of all who are known."""
    rows, person = rows_of(said, "as_recorded"), person_of(said)
    labelled = np.isfinite(said.truth)
    result: dict[str, list[dict[str, Any]]] = {}
    for name, values in by.items():
        everyone = seen.rows((values != "")[rows])
        overall = metrics.mae(everyone.truth, everyone.score)
        result[name] = []
        for value in np.unique(values[labelled & (values != "")]):
            inside = values == value
            cell = size_of(person, labelled & inside, rows & inside)
            if cell["shown"]:
                cell |= _of_group(seen.rows(inside[rows]), overall, limit, draws)
            result[name].append({"group": str(value), **cell})
    return result


def _of_group(own: View, overall: float, limit: float, draws: int) -> dict[str, Any]:
    told = own.role >= 0

    def error(rows: npt.NDArray[np.integer]) -> Figures:
        return {"mae": metrics.mae(own.truth[rows], own.score[rows]),
                "bias": metrics.bias(own.truth[rows], own.score[rows])}  # fmt: skip

    return {
        **with_intervals(error(np.arange(len(own))), metrics.bootstrap_all(error, own.person, draws)),
        "mae_ratio": metrics.mae(own.truth, own.score) / overall if overall else float("nan"),
        "pcc": metrics.pearson(own.truth, own.score),
        "auroc": metrics.roc_auc(own.role[told] == 1, own.score[told]),
        "recall": mean_of(own.score[own.role == 1] >= PAIN),
        "false_alarms": mean_of(own.score[own.role == 0] > FALSE_ALARM),
        "coverage": metrics.coverage(own.truth, own.low, own.high),
        "too_wide": mean_of(own.high - own.low > limit),
    }


def failures(said: Predictions, limit: float, by: Mapping[str, npt.NDArray[np.str_]]) -> dict[str, Any]:
    """Shares of all judged windows, labelled or not, that get no score: no evidence, or an interval too wide."""
    unlabelled = replace(said, truth=np.where(np.isfinite(said.truth), said.truth, 0.0))
    person = person_of(said)

    def of(way: str) -> tuple[BoolArray, BoolArray]:
        rows = rows_of(unlabelled, way)
        own = view(unlabelled, way)
        wide = np.zeros(len(said), bool)
        wide[rows] = own.high - own.low > limit
        return ~rows, wide

    ways = {}
    for way in ("as_recorded", "face", "voice"):
        nothing, wide = of(way)
        ways[way] = {"no_evidence": mean_of(nothing), "too_wide": mean_of(wide), "failed": mean_of(nothing | wide)}
    nothing, wide = of("as_recorded")
    cells: dict[str, list[dict[str, Any]]] = {}
    for name, values in by.items():
        cells[name] = []
        for value in np.unique(values[values != ""]):
            inside = values == value
            cell: dict[str, Any] = {"group": str(value), **size_of(person, inside, inside)}
            del cell["unscored"]
            if cell["shown"]:
                cell |= {"no_evidence": mean_of(nothing[inside]), "too_wide": mean_of(wide[inside])}
            cells[name].append(cell)
    return {"abstain_width": limit, "windows": len(said), "ways": ways, "groups": cells}
