"""Predictions and truth -> one table of figures, which the documents are made from.

    metrics = evaluate({"with_neutral": Case(...), "without_neutral": Case(...)}, about, levers, real)
    write(metrics, Path("docs/metrics/action_units.json"), Path("docs/action-units.md"))

Goals are stated for heads turned by up to :data:`POSE_LIMIT_DEG`; so are all tables but the one over poses. A cell with
fewer than :data:`MIN_CELL` faces says how many there are and nothing else.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from statistics import NormalDist
from typing import Any

import numpy as np
import numpy.typing as npt

from painsense.output import write_together
from training.document import document
from training.metrics import (
    BoolArray,
    FloatArray,
    bias,
    bootstrap,
    ccc,
    coverage,
    icc31,
    icc_a1,
    mae,
    pearson,
    rmse,
    roc_auc,
)
from training.predictions import About, Case, Lever, Predictions
from training.yardsticks import MAX_INTENSITY, Yardstick

SCHEMA = "painsense.action_units.metrics/1"
CASES = ("with_neutral", "without_neutral")
#: the units PSPI is made of
PSPI_UNITS = ("AU4", "AU6", "AU7", "AU9", "AU10", "AU43")
PSPI_PAIN = 2.0  # PSPI from which on a face counts as one that shows pain
POSE_LIMIT_DEG = 25.0
MIN_CELL = 30
WINDOW_S = 1.0
MIN_FILLED = 0.5  # share of a window's time that usable frames must stand for
INTERVALS = (0.5, 0.8, 0.9, 0.95)
Z_90 = NormalDist().inv_cdf(0.95)  # a 90% interval reaches 1.645 standard deviations to each side
SPREAD_BINS = 5
LEVELS = ((-np.inf, 0.0), (0.0, 2.0), (2.0, 4.0), (4.0, 8.0), (8.0, 16.0))  # of true PSPI: above, up to
POSE_BANDS_DEG = ((-np.inf, 10.0), (10.0, 25.0), (25.0, 45.0))  # of the larger of yaw and pitch
TONES = ((1, 3), (4, 6), (7, 8), (9, 10))  # Monk scale, both ends included
FACE_BANDS_PX = ((0.0, 60.0), (60.0, 75.0), (75.0, 90.0), (90.0, np.inf))  # distance of the outer eye corners


def evaluate(
    cases: Mapping[str, Case], about: About, levers: Sequence[Lever] = (), real: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """All figures, as they stand in the metrics file: plain JSON, four decimals, None where there is no figure.

    ``cases`` has both of :data:`CASES`; ``real`` is what :func:`training.real_faces.measure` gives.
    """
    if set(cases) != set(CASES):
        raise ValueError(f"cases: {' and '.join(CASES)} were expected, {', '.join(cases) or 'none'} came")
    metrics: dict[str, Any] = {
        "schema": SCHEMA,
        "about": asdict(about),
        "pose_limit_deg": POSE_LIMIT_DEG,
        "min_cell": MIN_CELL,
        "pspi_units": PSPI_UNITS,
        **{name: of_case(cases[name]) for name in CASES},
        "levers": [asdict(lever) for lever in levers],
        "real": real,
    }
    metrics["goals"] = targets_met(metrics)
    plain: dict[str, Any] = _plain(metrics)
    return plain


def write(metrics: Mapping[str, Any], path: Path, document_path: Path) -> None:
    """The metrics file, and the document that is made from it."""
    text = json.dumps(metrics, indent=1, allow_nan=False, ensure_ascii=False) + "\n"
    write_together(path.parent, {path.name: [text.encode()]})
    write_together(document_path.parent, {document_path.name: [document(metrics).encode()]})


def of_case(case: Case) -> dict[str, Any]:
    """Figures of one case: by unit, of PSPI in single faces and in windows, calibration, groups."""
    near = case.single.turned_deg <= POSE_LIMIT_DEG
    single = case.single.rows(near)
    beside = {name: Yardstick(way.estimate[near], way.pspi[near]) for name, way in case.yardsticks.items()}
    frames = None if case.sequences is None else windows(case.sequences)
    return {
        "people": len(np.unique(single.person)),
        "faces": len(single),
        "faces_all_poses": len(case.single),
        "units": by_unit(single, beside),
        "summary": summary(single, beside),
        "pspi": {
            "single": pspi_figures(single, beside),
            "windows": None if frames is None else pspi_figures(frames.rows(frames.turned_deg <= POSE_LIMIT_DEG), {}),
        },
        "calibration": calibration(single),
        "groups": by_group(case.single),
    }


def by_unit(predictions: Predictions, yardsticks: Mapping[str, Yardstick]) -> dict[str, dict[str, Any]]:
    """Unit -> r, MAE, RMSE, ICC(3,1), 90% coverage and mean spread, with r, MAE and ICC of each yardstick."""
    result: dict[str, dict[str, Any]] = {}
    for k, name in enumerate(predictions.targets):
        truth, guess, spread = (
            values[:, k] for values in (predictions.truth, predictions.estimate, predictions.spread)
        )
        ok = np.isfinite(guess) & np.isfinite(spread)
        truth, guess, spread = truth[ok], guess[ok], spread[ok]
        result[name] = {
            "n": len(truth),
            "active_share": _mean(truth > 0),
            "r": pearson(truth, guess),
            "mae": mae(truth, guess),
            "rmse": rmse(truth, guess),
            "icc31": icc31(truth, guess),
            "coverage_90": _covered(truth, guess, spread, Z_90),
            "spread": _mean(spread),
            "yardsticks": {
                label: {
                    "r": pearson(truth, way.estimate[ok, k]),
                    "mae": mae(truth, way.estimate[ok, k]),
                    "icc31": icc31(truth, way.estimate[ok, k]),
                }
                for label, way in yardsticks.items()
            },
        }
    return result


def summary(predictions: Predictions, yardsticks: Mapping[str, Yardstick]) -> dict[str, Any]:
    """Means over the units of PSPI and over all units; r with its 95% interval over people."""
    scored = np.isfinite(predictions.estimate).all(axis=1)
    truth, person = predictions.truth[scored], predictions.person[scored]

    def mean_of(measure: Callable[..., float], estimate: FloatArray, units: Sequence[str], rows: Any) -> float:
        places = [predictions.targets.index(name) for name in units]
        return float(np.mean([measure(truth[rows, k], estimate[rows, k]) for k in places]))

    every = slice(None)
    result: dict[str, Any] = {}
    for label, units in (("pspi_units", PSPI_UNITS), ("all_units", predictions.targets)):
        own = predictions.estimate[scored]
        result[label] = {
            "r": mean_of(pearson, own, units, every),
            "mae": mean_of(mae, own, units, every),
            "icc31": mean_of(icc31, own, units, every),
            "yardsticks": {
                name: {
                    "r": mean_of(pearson, way.estimate[scored], units, every),
                    "mae": mean_of(mae, way.estimate[scored], units, every),
                }
                for name, way in yardsticks.items()
            },
        }
    own = predictions.estimate[scored]
    result["pspi_units"]["r_interval"] = bootstrap(lambda rows: mean_of(pearson, own, PSPI_UNITS, rows), person)
    return result


def pspi_figures(predictions: Predictions, yardsticks: Mapping[str, Yardstick]) -> dict[str, Any]:
    """Figures of PSPI, each r and MAE with a 95% interval over people, and the error by how strong it truly is."""
    ok = np.isfinite(predictions.pspi)
    used = predictions.rows(ok)
    truth, guess = used.pspi_truth, used.pspi
    levels = []
    for above, up_to in LEVELS:
        cell = used.rows((truth > above) & (truth <= up_to))
        levels.append({"above": max(above, 0.0), "up_to": up_to, **_cell(cell, lambda c: {
            "mae": mae(c.pspi_truth, c.pspi), "bias": bias(c.pspi_truth, c.pspi)})})  # fmt: skip
    return {
        "n": len(predictions),
        "people": len(np.unique(predictions.person)),
        "unscored": int((~ok).sum()),
        "r": pearson(truth, guess),
        "r_interval": bootstrap(lambda rows: pearson(truth[rows], guess[rows]), used.person),
        "mae": mae(truth, guess),
        "mae_interval": bootstrap(lambda rows: mae(truth[rows], guess[rows]), used.person),
        "rmse": rmse(truth, guess),
        "bias": bias(truth, guess),
        "icc31": icc31(truth, guess),
        "icc_a1": icc_a1(truth, guess),
        "ccc": ccc(truth, guess),
        "roc_auc": roc_auc(truth >= PSPI_PAIN, guess),
        "pain_share": _mean(truth >= PSPI_PAIN),
        "coverage_90": coverage(truth, used.pspi_low, used.pspi_high),
        "width_90": _mean(used.pspi_high - used.pspi_low),
        "levels": levels,
        "level_mae": _mean(np.array([cell["mae"] for cell in levels if cell["mae"] is not None])),
        "yardsticks": {
            name: {
                "r": pearson(truth, way.pspi[ok]),
                "mae": mae(truth, way.pspi[ok]),
                "icc31": icc31(truth, way.pspi[ok]),
                "roc_auc": roc_auc(truth >= PSPI_PAIN, way.pspi[ok]),
            }
            for name, way in yardsticks.items()
        },
    }


def calibration(predictions: Predictions) -> dict[str, Any]:
    """Is the spread what it says: shares of intervals that hold the truth, errors beside spreads; all units pooled."""
    ok = np.isfinite(predictions.estimate) & np.isfinite(predictions.spread)
    truth, guess, spread = (values[ok] for values in (predictions.truth, predictions.estimate, predictions.spread))
    order = np.argsort(spread, kind="stable")
    return {
        "intervals": [
            {"nominal": nominal, "covered": _covered(truth, guess, spread, NormalDist().inv_cdf(0.5 + nominal / 2))}
            for nominal in INTERVALS
        ],
        "bins": [
            {"spread": float(np.sqrt((spread[part] ** 2).mean())), "rmse": rmse(truth[part], guess[part])}
            for part in np.array_split(order, SPREAD_BINS)
            if len(part)
        ],
    }


def by_group(predictions: Predictions) -> dict[str, list[dict[str, Any]]]:
    """PSPI's error by pose (all poses), and by skin tone, wear, size of the face and expression (up to the limit).

    ``mae_ratio`` is a group's MAE over that of all faces in the same table, for skin tones with a 95% interval.
    """
    near = predictions.rows(predictions.turned_deg <= POSE_LIMIT_DEG)
    turned = predictions.turned_deg
    tone = np.floor(near.skin_tone + 0.5)
    nothing: BoolArray = np.asarray(~near.wear.any(axis=1))
    pose: dict[str, BoolArray] = {
        f"{max(low, 0):.0f}-{high:.0f}°": (turned > low) & (turned <= high) for low, high in POSE_BANDS_DEG
    }
    tones = {f"Monk {low}-{high}": (tone >= low) & (tone <= high) for low, high in TONES}
    wear = {"nothing": nothing} | {name.replace("_", " "): near.wear[:, k] for k, name in enumerate(near.wear_names)}
    sizes = {_band_name(low, high): (near.face_px >= low) & (near.face_px < high) for low, high in FACE_BANDS_PX}
    kind = np.array([_kind_name(str(name)) for name in near.kind])
    kinds = {str(name): kind == name for name in np.unique(kind)}
    return {
        "pose": _groups(predictions, pose),
        "skin_tone": _groups(near, tones, sure=True),
        "wear": _groups(near, wear),
        "face_px": _groups(near, sizes),
        "expression": _groups(near, kinds),
    }


def windows(frames: Predictions, length_s: float = WINDOW_S) -> Predictions:
    """Windows of each sequence in place of its frames: means of truth and estimate over the frames with a PSPI.

    Windows stand side by side from a sequence's first frame on; one with usable frames for less than half of its time
    is left out. The ends of an interval are averaged as well: an interval of a mean is as wide as a frame's, since the
    estimator errs alike on one face.
    """
    inside = frames.rows(frames.sequence >= 0)
    names = np.unique(inside.sequence)
    times_s = [np.sort(inside.time_s[inside.sequence == name]) for name in names]
    first_s = np.array([of_sequence[0] for of_sequence in times_s])[np.searchsorted(names, inside.sequence)]
    steps_s = np.concatenate([np.diff(of_sequence) for of_sequence in times_s] or [np.zeros(0)])
    place = np.floor((inside.time_s - first_s) / length_s + 1e-6)  # a frame at 1.0 s, give or take rounding: the second
    usable = np.isfinite(inside.pspi)
    used, place = inside.rows(usable), place[usable]
    if not len(used) or not len(steps_s):
        return used.rows(np.zeros(0, np.int64))
    _, own, count = np.unique(np.stack([used.sequence, place]), axis=1, return_inverse=True, return_counts=True)
    own = own.reshape(-1)
    full = np.flatnonzero(count * float(np.median(steps_s)) >= MIN_FILLED * length_s - 1e-6)

    def mean(values: npt.NDArray[Any]) -> npt.NDArray[Any]:
        rows = [values[own == k] for k in full]
        if values.dtype.kind == "f":
            return np.array([_known_mean(part) for part in rows])
        return np.array([part[0] for part in rows])  # a name, a number or something worn: the same in the whole window

    return used.map(mean)


def targets_met(metrics: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The stated goals with what came and whether they are met; one that was not measured is not met."""
    own, without = metrics["with_neutral"], metrics["without_neutral"]
    single, in_windows = own["pspi"]["single"], own["pspi"]["windows"]
    without_single, without_windows = without["pspi"]["single"], without["pspi"]["windows"]
    units = ", ".join(name.removeprefix("AU") for name in PSPI_UNITS)

    def row(what: str, bound: str, came: float | None, met: Callable[[float], bool]) -> dict[str, Any]:
        known = came is not None and np.isfinite(came)
        return {"what": what, "goal": bound, "came": came, "met": bool(known and met(float(came or 0.0)))}

    def at_least(what: str, bound: float, came: float | None) -> dict[str, Any]:
        return row(what, f"at least {bound:.2f}", came, lambda value: value >= bound)

    def covers(what: str, came: float | None) -> dict[str, Any]:
        return row(what, "87% to 93%", came, lambda value: 0.87 <= value <= 0.93)

    def worst_tone(case: Mapping[str, Any]) -> float | None:
        ratios = [cell["mae_ratio"] for cell in case["groups"]["skin_tone"]]
        return None if not ratios or any(ratio is None for ratio in ratios) else float(np.max(ratios))

    def of(figures: Mapping[str, Any] | None, name: str) -> float | None:
        return None if figures is None else float(figures[name])

    def pooled(case: Mapping[str, Any]) -> float:
        return float(next(row["covered"] for row in case["calibration"]["intervals"] if row["nominal"] == 0.9))

    return [
        at_least(f"mean r over AU {units}, with neutral", 0.72, own["summary"]["pspi_units"]["r"]),
        at_least("PSPI r, single pictures, with neutral", 0.84, single["r"]),
        at_least("PSPI r, windows of 1 s, with neutral", 0.88, of(in_windows, "r")),
        at_least("PSPI r, windows of 1 s, with neutral: the goal beyond", 0.92, of(in_windows, "r")),
        row("PSPI MAE, single pictures, with neutral", "under 1.40", single["mae"], lambda value: value < 1.4),
        at_least("PSPI r, single pictures, without neutral", 0.80, without_single["r"]),
        covers("90% intervals of PSPI, single pictures, with neutral", single["coverage_90"]),
        covers("90% intervals of PSPI, single pictures, without neutral", without_single["coverage_90"]),
        covers("90% intervals of PSPI, windows of 1 s, with neutral", of(in_windows, "coverage_90")),
        covers("90% intervals of PSPI, windows of 1 s, without neutral", of(without_windows, "coverage_90")),
        covers("90% intervals of all action units, with neutral", pooled(own)),
        covers("90% intervals of all action units, without neutral", pooled(without)),
        *(
            row(f"PSPI MAE of the worst skin tone group over that of all, {label}", "up to 1.15", worst_tone(case),
                lambda value: value <= 1.15)
            for label, case in (("with neutral", own), ("without neutral", without))
        ),
    ]  # fmt: skip


def _cell(cell: Predictions, figures: Callable[[Predictions], dict[str, Any]]) -> dict[str, Any]:
    """How many faces and people, and figures of those that got an estimate; None for each where they are too few."""
    used = cell.rows(np.isfinite(cell.pspi))
    values = figures(used)
    if len(used) < MIN_CELL:
        values = dict.fromkeys(values)
    return {
        "n": len(cell),
        "people": len(np.unique(cell.person)),
        "unscored": len(cell) - len(used),
        **values,
    }


def _groups(everyone: Predictions, groups: Mapping[str, BoolArray], sure: bool = False) -> list[dict[str, Any]]:
    """One row for each group with somebody in it. ``sure``: with the interval of the ratio."""
    scored = np.isfinite(everyone.pspi)
    error = np.abs(everyone.pspi - everyone.pspi_truth)
    overall = _mean(error[scored])
    rows = []
    for name, inside in groups.items():
        if not inside.any():
            continue

        def figures(cell: Predictions, inside: BoolArray = inside) -> dict[str, Any]:
            values: dict[str, Any] = {
                "mae": mae(cell.pspi_truth, cell.pspi),
                "bias": bias(cell.pspi_truth, cell.pspi),
                "r": pearson(cell.pspi_truth, cell.pspi),
                "coverage_90": coverage(cell.pspi_truth, cell.pspi_low, cell.pspi_high),
                "mae_ratio": _share(mae(cell.pspi_truth, cell.pspi), overall),
            }
            if sure:
                own, whose, in_group = error[scored], everyone.person[scored], inside[scored]
                values["mae_ratio_interval"] = bootstrap(
                    lambda k: _share(_mean(own[k][in_group[k]]), _mean(own[k])), whose
                )
            return values

        rows.append({"group": name, **_cell(everyone.rows(inside), figures)})
    return rows


def _kind_name(kind: str) -> str:
    """Mixtures of two expressions ("pain + speaking") count together: there are many, and pain is what matters."""
    if " + " not in kind:
        return kind
    return "pain with another" if "pain" in kind.split(" + ") else "two others at once"


def _band_name(low: float, high: float) -> str:
    if low == 0:
        return f"below {high:.0f} px"
    return f"{low:.0f} px and more" if np.isinf(high) else f"{low:.0f}-{high:.0f} px"


def _covered(truth: FloatArray, guess: FloatArray, spread: FloatArray, z: float) -> float:
    """Share of intervals that hold the truth; they are cut where the scale ends, as readers see them."""
    return coverage(truth, np.clip(guess - z * spread, 0, MAX_INTENSITY), np.clip(guess + z * spread, 0, MAX_INTENSITY))


def _mean(values: npt.NDArray[Any]) -> float:
    return float(np.mean(values)) if len(values) else float("nan")


def _known_mean(values: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Means over the first axis of what is not NaN (AU7 has no estimate in a blink); NaN where nothing is known."""
    known = np.isfinite(values)
    count = known.sum(axis=0)
    return np.asarray(np.where(count > 0, np.where(known, values, 0).sum(axis=0) / np.maximum(count, 1), np.nan))


def _share(part: float, whole: float) -> float:
    return part / whole if whole > 0 else float("nan")


def _plain(value: Any) -> Any:
    """JSON's own types; figures with four decimals, NaN as None."""
    if isinstance(value, Mapping):
        return {str(key): _plain(part) for key, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(part) for part in value]
    if isinstance(value, (float, np.floating)):
        return round(float(value), 4) if np.isfinite(value) else None
    return value
