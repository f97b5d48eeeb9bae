"""external: an exported model judged by recordings it has not learned from, as they come from another camera or clinic.

Whoever gives the recordings answers for that nobody in them was learned from: a model knows no people.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

import painsense
from painsense import assets
from painsense.fusion import LEVELS, Fusion, FusionInputs
from training.errors import TrainingError
from training.fusion.calibrate import Predictions
from training.fusion.network import CASES, LEAST_SD
from training.fusion.samples import PSPI, TOP, Samples, gather, recordings

FOLD = "external"


def of_model(model: Path, data: Path, labels: str = "") -> tuple[Predictions, dict[str, Any]]:
    """What a model says of recordings, and what is known about it, as :mod:`training.fusion.evaluate` reads them.

    Parameters
    ----------
    model : made by :mod:`export.fusion`
    data : folder of :mod:`training.fusion.prepare` or :mod:`training.fusion.generator`
    labels : kind of label to judge by; "" for the model's own, or the only one there is

    Raises
    ------
    ModelError : the model cannot be used here
    TrainingError : the recordings or their labels cannot
    """
    network = Fusion.load(assets.read_fusion_model(model))
    samples = gather(recordings(data))
    head = _head(samples, network.label_kind, labels)
    about = {
        "settings": {
            "name": f"{network.spec.name} {network.spec.version}",
            "dataset": ", ".join(sorted({clip.dataset for clip in samples.clips})),
            "split": "none: nobody was learned from",
            "abstain_width": network.abstain_width,
            "notes": str(network.spec.training.get("notes", "")),
        },
        "painsense": painsense.__version__,
    }
    return predictions(network, samples, head), about


def predictions(network: Fusion, samples: Samples, head: str) -> Predictions:
    """What a model says of all windows, seen by both modalities, by the face alone and by the voice alone."""
    seen = FusionInputs(samples.face, samples.voice)
    said = [network.outputs(each) for each in (seen, *(seen.only(name) for name in CASES[1:]))]
    score, low, high = (np.stack([each[name] for each in said]) for name in ("score", "low", "high"))
    levels = np.stack([each["levels"] for each in said])
    steps = np.arange(LEVELS, dtype=np.float32)
    mean = (levels * steps).sum(axis=2, keepdims=True)
    spread = np.sqrt((levels * (steps - mean) ** 2).sum(axis=2) + LEAST_SD**2)
    truth = samples.targets[head]
    n = len(samples)
    none = np.full(n, np.nan, np.float32)
    return Predictions(
        head=head,
        clips=samples.clips,
        clip=samples.clip,
        start_s=samples.start_s,
        end_s=samples.end_s,
        fold=np.full(n, FOLD),
        truth=truth,
        score=score,
        sd=np.where(np.isfinite(score), spread, np.float32(np.nan)),
        low=low,
        high=high,
        levels=levels[0],
        weights=said[0]["weights"],
        pspi=said[0]["pspi"],
        truth_pspi=samples.targets[PSPI] * np.float32(16 / TOP) if PSPI in samples.targets else none,
        rule_pspi=samples.rule_pspi,
        # the best a constant could do: the mean of these very labels
        constant=np.full(n, np.nanmean(truth), np.float32),
        classes=samples.classes,
        shown=samples.shown,
    )


def _head(samples: Samples, own: str, wanted: str) -> str:
    """The label to judge by; TrainingError where there is none, or several and none of them is the model's own."""
    if wanted:
        return samples.head(wanted)
    kinds = {name.rsplit("_", 2)[0] for name in samples.targets}
    if own in kinds:
        return samples.head(own)
    if len(samples.targets) == 1:
        return next(iter(samples.targets))
    raise TrainingError(
        f"--labels: one kind of {', '.join(sorted(kinds)) or 'label (there are none)'} was expected, for the model "
        f"learned from {own}, which these recordings do not have; name the kind to judge by"
    )
