"""What simpler ways make of the same faces: the yardsticks beside the action unit network in every table.

A constant, the blendshape that is named after the action unit, the best of all blendshapes, and a ridge regression on
all that the network sees. Each is fitted on the network's own training faces and read on its test faces.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from painsense.landmarks import BLENDSHAPES
from training.metrics import FloatArray, IntArray, constant

#: The blendshape (its left and right where it has them) that ARKit's names suggest for each action unit
MATCHING: Mapping[str, str] = {
    "AU1": "browInnerUp", "AU2": "browOuterUp", "AU4": "browDown", "AU5": "eyeWide", "AU6": "cheekSquint",
    "AU7": "eyeSquint", "AU9": "noseSneer", "AU10": "mouthUpperUp", "AU12": "mouthSmile", "AU14": "mouthDimple",
    "AU15": "mouthFrown", "AU16": "mouthLowerDown", "AU17": "mouthShrugLower", "AU18": "mouthPucker",
    "AU20": "mouthStretch", "AU22": "mouthFunnel", "AU24": "mouthPress", "AU26": "jawOpen", "AU43": "eyeBlink",
}  # fmt: skip
PENALTIES = (1.0, 10.0, 100.0, 1000.0, 10000.0)  # of a sum of squares over standardised inputs
FOLDS = 5
MAX_INTENSITY = 5.0


@dataclass(frozen=True)
class Yardstick:
    """Another way's estimates of n faces.

    Attributes
    ----------
    estimate : ndarray [shape=(n, m), 0-5]
    pspi : ndarray [shape=(n,), 0-16]
    """

    estimate: FloatArray
    pspi: FloatArray


@dataclass(frozen=True)
class Inputs:
    """Faces as the network sees them: n of them, with D features.

    Attributes
    ----------
    face : ndarray [shape=(n, D)]
    neutral : ndarray [shape=(n, D)], each person's; NaN where there is none
    """

    face: FloatArray
    neutral: FloatArray


def yardsticks(
    train: Inputs,
    truth: FloatArray,
    person: IntArray,
    test: Inputs,
    features: Sequence[str],
    targets: Sequence[str],
    closed_from: float,
) -> dict[str, Yardstick]:
    """Every yardstick by its name, fitted on ``train`` and read on ``test``.

    Parameters
    ----------
    truth : ndarray [shape=(n, m), 0-5], of the training faces; person : ndarray [shape=(n,)], whose they are
    closed_from : AU43 intensity from which a single picture's eyes count as closed in PSPI
    """
    own, other = blendshapes(train, features), blendshapes(test, features)
    names = list(own)
    best = {
        target: names[_strongest(np.stack(list(own.values()), axis=1), truth[:, k])] for k, target in enumerate(targets)
    }
    estimates = {
        "constant": constant(truth, len(test.face)),
        "matching blendshape": _lines(own, other, truth, [MATCHING[target] for target in targets]),
        "best blendshape": _lines(own, other, truth, [best[target] for target in targets]),
        "ridge": ridge(_inputs(train), truth, person, _inputs(test)),
    }
    return {name: Yardstick(estimate, pspi_of(targets, estimate, closed_from)) for name, estimate in estimates.items()}


def pspi_of(targets: Sequence[str], intensity: FloatArray, closed_from: float) -> FloatArray:
    """PSPI of single pictures [shape=(n,), 0-16] (Prkachin & Solomon 2008, doi:10.1016/j.pain.2008.04.010).

    AU43 counts 1 from the intensity ``closed_from`` on: a picture has no duration that could tell it from a blink.
    """
    of = {name: intensity[:, k] for k, name in enumerate(targets)}
    pairs = np.maximum(of["AU6"], of["AU7"]) + np.maximum(of["AU9"], of["AU10"])
    return np.asarray(of["AU4"] + pairs + (of["AU43"] >= closed_from), np.float64)


def blendshapes(faces: Inputs, features: Sequence[str]) -> dict[str, FloatArray]:
    """The mean of left and right of every blendshape, by name without its side, [shape=(n,)] each.

    It is the change against the person's neutral where that is known. A missing one is 0, as at rest.
    """
    sides: dict[str, list[FloatArray]] = {}
    for name in BLENDSHAPES[1:]:  # the first, "_neutral", is none
        column = features.index(name)
        at_rest = np.nan_to_num(faces.neutral[:, column])
        sides.setdefault(name.removesuffix("Left").removesuffix("Right"), []).append(faces.face[:, column] - at_rest)
    return {name: np.nan_to_num(np.mean(values, axis=0)) for name, values in sides.items()}


def ridge(x: FloatArray, y: FloatArray, person: IntArray, x_test: FloatArray) -> FloatArray:
    """Ridge regression (Hoerl & Kennard 1970, doi:10.2307/1267351), its estimates of ``x_test`` cut to 0-5.

    Each target's penalty has the least error over folds in which nobody is on both sides. A missing input is the
    training mean.
    """
    middle, scale = np.nanmean(x, axis=0), np.nanstd(x, axis=0)
    scale[scale < 1e-9] = 1.0

    def ready(values: FloatArray) -> npt.NDArray[np.float64]:
        scaled = np.nan_to_num((values - middle) / scale)
        return np.concatenate([scaled, np.ones((len(values), 1))], axis=1).astype(np.float64)

    inputs, fold = ready(x), np.unique(person, return_inverse=True)[1] % FOLDS
    parts = [(inputs[fold == k], np.asarray(y[fold == k], np.float64)) for k in range(FOLDS)]
    squares = [part.T @ part for part, _ in parts]
    products = [part.T @ wanted for part, wanted in parts]
    free = np.eye(inputs.shape[1])
    free[-1, -1] = 0.0  # the offset costs nothing

    def solve(penalty: float, left_out: int | None) -> npt.NDArray[np.float64]:
        used = [k for k in range(FOLDS) if k != left_out]
        return np.linalg.solve(sum(squares[k] for k in used) + penalty * free, sum(products[k] for k in used))

    errors = np.zeros((len(PENALTIES), y.shape[1]))
    for row, penalty in enumerate(PENALTIES):
        for k, (part, wanted) in enumerate(parts):
            errors[row] += np.square(_cut(part @ solve(penalty, k)) - wanted).sum(axis=0)
    chosen = errors.argmin(axis=0)
    weights = np.stack([solve(penalty, None) for penalty in PENALTIES])[chosen, :, np.arange(y.shape[1])].T
    return _cut(ready(x_test) @ weights)


def _inputs(faces: Inputs) -> FloatArray:
    """Faces and their change, as the network has them; without a neutral there is no change in any row."""
    if np.isnan(faces.neutral).all():
        return faces.face
    return np.concatenate([faces.face, faces.face - faces.neutral], axis=1)


def _strongest(values: FloatArray, truth: FloatArray) -> int:
    """The column that goes along with the truth best, in either direction."""
    centred = values - values.mean(axis=0)
    deviation = np.sqrt((centred**2).sum(axis=0))
    along = np.abs(centred.T @ (truth - truth.mean()))
    return int(np.argmax(np.divide(along, deviation, out=np.zeros_like(along), where=deviation > 1e-9)))


def _lines(
    own: Mapping[str, FloatArray], other: Mapping[str, FloatArray], truth: FloatArray, chosen: Sequence[str]
) -> FloatArray:
    """For each target a line through its one blendshape, cut to 0-5, [shape=(n, m)]."""
    columns = []
    for k, name in enumerate(chosen):
        x = own[name] - own[name].mean()
        slope = float(x @ truth[:, k]) / max(float(x @ x), 1e-9)
        columns.append(truth[:, k].mean() + slope * (other[name] - own[name].mean()))
    return _cut(np.stack(columns, axis=1))


def _cut(values: FloatArray) -> npt.NDArray[np.float64]:
    return np.clip(values, 0, MAX_INTENSITY).astype(np.float64)
