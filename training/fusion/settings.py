"""settings: every choice of a training run in one place. A published run is a TOML file of what differs from here.

    name = "unbc-vas-loso"
    dataset = "unbc"
    score = "vas"

A name that is not known, a value of another kind or one that makes no sense is an error, never passed over.
"""

from __future__ import annotations

import hashlib
import json
import math
import tomllib
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, get_args, get_type_hints

from training.errors import TrainingError
from training.fusion.record import KINDS

SPLITS = ("loso", "k-fold", "published", "hold-out")
MODALITIES = ("face", "voice")
_WEIGHTS = ("error_weight", "pspi_weight", "expression_weight", "alone_weight")
SIMULATED = "simulated_level"
"""What the simulated people's truth is called: the level that was drawn, said by nobody."""


@dataclass(frozen=True)
class Settings:
    """One run.

    Attributes
    ----------
    name : of the run, and of the model that is exported from it
    dataset : what the cached recordings must be of, a name in :data:`training.datasets.NAMES`, or "simulated"
    score : kind of label the score is learned from, one of :data:`training.fusion.record.KINDS` or ``simulated_level``
    beside : further kinds that are learned at the same time; each has a head of its own
    modalities : what is seen; "face", "voice" or both
    subset : "" for everybody, "reactive" for BioVid without the people who show nothing
    split : "loso", "k-fold", "published" (the folds a data set came with) or "hold-out"
    folds : of k-fold
    test, validation, calibration : shares of the people that are judged by (hold-out only), stop the fit, and set the
        width of the intervals. Without calibration people, intervals come from the folds' own test people: those of
        each person from everybody else's
    window_step : use every so many windows in training (they overlap by three quarters); all are judged
    members, channels, width, dropout : of the network
    epochs, patience : at most so many, and stop after so many without a better validation loss (0: never)
    batch, rate, decay : of AdamW (Loshchilov & Hutter 2019, arXiv:1711.05101) under a one-cycle learning rate
        (Smith & Topin 2019, arXiv:1708.07120)
    balance : 0 counts every window alike, 1 every whole level alike
    error_weight, pspi_weight, expression_weight : of the squared error of the score, of PSPI's and of what is shown,
        beside the likelihood of the levels
    alone_weight : of what is said by face alone and voice alone beside what is said by both (modality dropout)
    noise, offset : standard deviation, in those of the features, of what is added to each step, and to a whole window
    holes : share of the windows in which a stretch of one modality is taken away
    abstain_width : an interval wider than this, on the scale of 0 to 10, gives no score. A proposal
    amp : mixed precision where there is a GPU
    seed : of everything that is drawn
    licence, source, notes : for the model's card
    """

    name: str
    dataset: str
    score: str
    beside: tuple[str, ...] = ()
    modalities: tuple[str, ...] = MODALITIES
    subset: str = ""
    split: str = "loso"
    folds: int = 5
    test: float = 0.25
    validation: float = 0.15
    calibration: float = 0.0
    window_step: int = 1
    members: int = 3
    channels: tuple[int, ...] = (32, 32)
    width: int = 64
    dropout: float = 0.3
    epochs: int = 25
    patience: int = 5
    batch: int = 256
    rate: float = 3e-3
    decay: float = 0.02
    balance: float = 0.0
    error_weight: float = 1.0
    pspi_weight: float = 0.2
    expression_weight: float = 0.3
    alone_weight: float = 0.5
    noise: float = 0.3
    offset: float = 0.3
    holes: float = 0.25
    abstain_width: float = 6.0
    amp: bool = True
    seed: int = 1
    licence: str = "Apache-2.0"
    source: str = ""
    notes: str = ""

    def __post_init__(self) -> None:
        kinds = (*KINDS, SIMULATED)
        for kind in (self.score, *self.beside):
            if kind not in kinds:
                raise TrainingError(f"settings: score, beside: one of {', '.join(kinds)} was expected, {kind!r} came")
        if len({self.score, *self.beside}) < 1 + len(self.beside):
            raise TrainingError(f"settings: beside: kinds other than {self.score!r}, each once, were expected")
        if self.split not in SPLITS:
            raise TrainingError(f"settings: split: one of {', '.join(SPLITS)} was expected, {self.split!r} came")
        if not self.modalities or not set(self.modalities) <= set(MODALITIES):
            raise TrainingError(f"settings: modalities: face, voice or both were expected, {self.modalities} came")
        if self.subset not in ("", "reactive"):
            raise TrainingError(f"settings: subset: nothing or reactive was expected, {self.subset!r} came")
        if len(self.channels) != 2:
            raise TrainingError(f"settings: channels: two numbers were expected, {self.channels} came")
        for name in ("members", "width", "epochs", "batch", "window_step", "folds"):
            if (value := getattr(self, name)) < 1:
                raise TrainingError(f"settings: {name}: 1 or more was expected, {value} came")
        for name in ("test", "validation", "calibration", "dropout", "holes"):
            if not 0 <= (value := getattr(self, name)) < 1:
                raise TrainingError(f"settings: {name}: a share from 0 to below 1 was expected, {value} came")
        for name in ("rate", "decay", "balance", "noise", "offset", "abstain_width", "seed", "patience", *_WEIGHTS):
            if not (math.isfinite(value := getattr(self, name)) and value >= 0):
                raise TrainingError(f"settings: {name}: a number of 0 or more was expected, {value} came")

    @property
    def fingerprint(self) -> str:
        """Sixteen letters that change with any setting: a run goes on only where it was begun with the same."""
        return hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()[:16]


def read(path: Path) -> Settings:
    """The settings of a TOML file; TrainingError naming the file and what is wrong with it."""
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise TrainingError.at(
            path, f"a TOML file of settings was expected ({error})", "see training/fusion/runs for examples"
        ) from error
    try:
        return from_dict(content)
    except TrainingError as error:
        raise TrainingError.at(
            path, str(error), "correct the file; training/fusion/settings.py says what there is"
        ) from error


def from_dict(content: Mapping[str, Any]) -> Settings:
    """Settings from plain values (lists for tuples), checked."""
    hints = get_type_hints(Settings)
    if unknown := sorted(content.keys() - hints.keys()):
        raise TrainingError(f"settings: names of Settings were expected, {', '.join(unknown)} came")
    if missing := sorted({"name", "dataset", "score"} - content.keys()):
        raise TrainingError(f"settings: {', '.join(missing)} is missing")
    values: dict[str, Any] = {}
    for name, value in content.items():
        kind = hints[name]
        items = get_args(kind)
        if items:
            good = isinstance(value, (list, tuple)) and all(isinstance(each, items[0]) for each in value)
            values[name] = tuple(value) if good else value
        else:
            good = isinstance(value, kind) and not (kind is int and isinstance(value, bool))
            if kind is float and isinstance(value, int) and not isinstance(value, bool):
                good, value = True, float(value)
            values[name] = value
        if not good:
            wanted = f"a list of {items[0].__name__}" if items else kind.__name__
            raise TrainingError(f"settings: {name}: {wanted} was expected, {value!r} came")
    return Settings(**values)
