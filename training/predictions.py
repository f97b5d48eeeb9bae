"""What an evaluation starts from: predictions beside the truth, and what is said of the network beside its results."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from training.metrics import BoolArray, FloatArray, IntArray
from training.yardsticks import Yardstick


@dataclass(frozen=True)
class Predictions:
    """What is true and what the network says of n faces and m targets.

    A face that got no estimate stays in, with NaN: it is counted as such.

    Attributes
    ----------
    targets : names of the m action units
    truth, estimate, spread : ndarray [shape=(n, m), 0-5], of both sides' mean
    pspi_truth, pspi, pspi_low, pspi_high : ndarray [shape=(n,), 0-16]
    person : ndarray [shape=(n,), int]
    yaw_deg, pitch_deg : ndarray [shape=(n,), deg]
    skin_tone : ndarray [shape=(n,), Monk scale, 1-10]
    wear_names : what can be worn; wear : ndarray [shape=(n, len(wear_names)), bool]
    face_px : ndarray [shape=(n,), px], distance of the outer eye corners
    kind : ndarray [shape=(n,), str], of expression
    sequence : ndarray [shape=(n,), int], which sequence; -1 for a picture that belongs to none
    time_s : ndarray [shape=(n,), s], within its sequence
    """

    targets: tuple[str, ...]
    truth: FloatArray
    estimate: FloatArray
    spread: FloatArray
    pspi_truth: FloatArray
    pspi: FloatArray
    pspi_low: FloatArray
    pspi_high: FloatArray
    person: IntArray
    yaw_deg: FloatArray
    pitch_deg: FloatArray
    skin_tone: FloatArray
    wear_names: tuple[str, ...]
    wear: BoolArray
    face_px: FloatArray
    kind: npt.NDArray[np.str_]
    sequence: IntArray
    time_s: FloatArray

    def __post_init__(self) -> None:
        n, m, w = len(self.pspi_truth), len(self.targets), len(self.wear_names)
        wide = {"truth": (n, m), "estimate": (n, m), "spread": (n, m), "wear": (n, w)}
        for name, values in self.arrays():
            if values.shape != wide.get(name, (n,)):
                raise ValueError(f"{name}: shape {wide.get(name, (n,))} was expected, {values.shape} came")
        if not (np.isfinite(self.truth).all() and np.isfinite(self.pspi_truth).all()):
            raise ValueError("truth: every face must have one; NaN came")

    def __len__(self) -> int:
        return len(self.pspi_truth)

    def arrays(self) -> Iterator[tuple[str, npt.NDArray[Any]]]:
        """Every array by its name."""
        for field in fields(self):
            if field.name not in ("targets", "wear_names"):
                yield field.name, getattr(self, field.name)

    def rows(self, chosen: BoolArray | IntArray) -> Predictions:
        """Some of the faces."""
        return self.map(lambda values: values[chosen])

    def map(self, change: Callable[[npt.NDArray[Any]], npt.NDArray[Any]]) -> Predictions:
        """Every array changed alike."""
        changed: dict[str, Any] = {name: change(values) for name, values in self.arrays()}
        return replace(self, **changed)

    @property
    def turned_deg(self) -> FloatArray:
        """The larger of yaw and pitch, ndarray [shape=(n,), deg]."""
        return np.maximum(np.abs(self.yaw_deg), np.abs(self.pitch_deg))


@dataclass(frozen=True)
class Case:
    """The same faces with or without the person's neutral.

    ``yardsticks`` are estimates of the faces of ``single``, row by row; ``sequences`` are frames of held-out people.
    """

    single: Predictions
    yardsticks: Mapping[str, Yardstick]
    sequences: Predictions | None = None


@dataclass(frozen=True)
class About:
    """What is said of the network beside its results.

    Attributes
    ----------
    name, version, licence : as in the ModelSpec
    features, targets : as in the ModelSpec
    hidden : widths of the hidden layers; levels : how many intensities the distribution of a unit has
    parameters : how many numbers were learned; size_bytes : of the ONNX file
    heads, faces : how many people and pictures it was trained on
    seed : of the training data
    source : what the heads were made of, and its licence
    """

    name: str
    version: str
    licence: str
    features: tuple[str, ...]
    targets: tuple[str, ...]
    hidden: tuple[int, ...]
    levels: int
    parameters: int
    size_bytes: int
    heads: int
    faces: int
    seed: int
    source: str


@dataclass(frozen=True)
class Lever:
    """What one change gave: mean r over the units of PSPI, and PSPI's r and MAE, on held-out heads with a neutral."""

    name: str
    mean_r: float
    pspi_r: float
    pspi_mae: float
    kept: bool
    note: str = ""
