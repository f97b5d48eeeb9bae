"""Fitting the action unit network: its likelihood, the neutrals it is shown, and the calibration of its spread."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from painsense.action_units import CLOSED, MOST, pspi, pspi_deviation
from training.network import ActionUnitNetwork, level_targets
from training.samples import SIDED, IntArray, Samples
from training.simulate.episodes import CLOSED_INTENSITY
from training.simulate.head import AU_NAMES

FloatArray = npt.NDArray[np.float32]
PSPI_UNITS = ("AU4", "AU6", "AU7", "AU9", "AU10")
#: AU43 from which the eyes count as closed: in truth, and as the network reads it
SHUT_TRUTH, SHUT_READ = CLOSED_INTENSITY, CLOSED * MOST
Z90 = 1.645  # half the width of a normal distribution's 90% interval, in standard deviations


@dataclass(frozen=True)
class Fit:
    """How to fit.

    Attributes
    ----------
    epochs, batch, rate, decay : of AdamW (Loshchilov & Hutter 2019, arXiv:1711.05101) under a one-cycle learning rate
        (Smith & Topin 2019, arXiv:1708.07120)
    dropout, hidden : of the network
    without : share of samples shown without the person's neutral
    pspi_weight : weight of the squared error of PSPI (without AU43) beside the likelihood of the units
    noise : standard deviation of what is added to every feature of a face, in its standard deviations: landmarks of
        compressed recordings tremble more than those of rendered pictures
    stranger : standard deviation of what is added to a face and its neutral alike, in the same unit: real people differ
        from simulated ones in more than the head model knows
    """

    epochs: int = 40
    batch: int = 512
    rate: float = 3e-3
    decay: float = 0.02
    dropout: float = 0.1
    hidden: tuple[int, ...] = (384, 256, 128)
    without: float = 0.35
    pspi_weight: float = 0.2
    noise: float = 0.3
    stranger: float = 0.5
    seed: int = 1


def fit(samples: Samples, rows: IntArray, how: Fit, say: Callable[[str], None] = print) -> ActionUnitNetwork:
    """A network fitted to ``rows`` of the samples; the same seed gives the same network."""
    torch.manual_seed(how.seed)
    rng = np.random.default_rng(how.seed)
    features = samples.features[rows]
    change = features - samples.full_neutral(rows)
    network = ActionUnitNetwork(
        samples.names,
        SIDED,
        features.mean(axis=0),
        features.std(axis=0),
        np.nanstd(change, axis=0),
        hidden=how.hidden,
        dropout=how.dropout,
    )
    faces, neutrals = torch.from_numpy(samples.features), torch.from_numpy(samples.neutral)
    truth, person = torch.from_numpy(samples.truth), torch.from_numpy(samples.person.astype(np.int64))
    scale = network.get_buffer("scale")
    optimizer = torch.optim.AdamW(network.parameters(), lr=how.rate, weight_decay=how.decay)
    steps = how.epochs * -(-len(rows) // how.batch)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, how.rate, total_steps=steps)
    for epoch in range(how.epochs):
        total = 0.0
        for batch in torch.from_numpy(rng.permutation(rows)).split(how.batch):
            face = faces[batch]
            which = torch.from_numpy(rng.integers(neutrals.shape[1], size=len(batch)))
            neutral = neutrals[person[batch], which].clone()
            neutral[torch.from_numpy(rng.random(len(batch)) < how.without)] = float("nan")
            if how.stranger:
                offset = how.stranger * scale * torch.randn_like(face)
                face, neutral = face + offset, neutral + offset
            if how.noise:
                face = face + how.noise * scale * torch.randn_like(face)
            loss = _loss(network, face, neutral, truth[batch], how.pspi_weight)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            total += float(loss.detach()) * len(batch)
        if epoch % 10 == 9 or epoch == how.epochs - 1:
            say(f"epoch {epoch + 1} of {how.epochs}: loss {total / len(rows):.3f}")
    return network.eval()


def _loss(network: ActionUnitNetwork, face: Tensor, neutral: Tensor, truth: Tensor, pspi_weight: float) -> Tensor:
    """Negative log-likelihood of the levels, summed over units and sides, and the squared error of PSPI."""
    views = network.logits(face, neutral)
    likelihood = sum(
        (level_targets(truth[:, k]) * torch.log_softmax(view, dim=-1)).sum((1, 2)).mean()
        for k, view in enumerate(views)
    )
    means = (network.moments(views[1])[0] + network.moments(views[2])[0]) / 2
    return pspi_weight * ((_pspi_sum(means) - _pspi_sum(truth[:, 0])) ** 2).mean() - likelihood


def _pspi_sum(units: Tensor) -> Tensor:
    au4, au6, au7, au9, au10 = (units[:, AU_NAMES.index(name)] for name in PSPI_UNITS)
    return au4 + torch.maximum(au6, au7) + torch.maximum(au9, au10)


def read(network: ActionUnitNetwork, face: FloatArray, neutral: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Intensity and spread, each ndarray [shape=(n, 3, m)]."""
    with torch.no_grad():
        parts = [
            network(torch.from_numpy(face[start : start + 4096]), torch.from_numpy(neutral[start : start + 4096]))
            for start in range(0, len(face), 4096)
        ]
    intensity, spread = (torch.cat([part[k] for part in parts]).numpy() for k in (0, 1))
    return intensity, spread


def pspi_of(intensity: FloatArray, shut: float) -> FloatArray:
    """PSPI of single frames, ndarray [shape=(n,)]: intensities [shape=(n, m)], eyes shut from AU43 of ``shut`` on."""
    units = dict(zip(AU_NAMES, intensity.T, strict=True))
    closed = (units["AU43"] >= shut).astype(np.float32)
    return pspi(*(units[name] for name in PSPI_UNITS), closed)


def pspi_sd(intensity: FloatArray, spread: FloatArray) -> FloatArray:
    """Standard deviation of PSPI from those of its parts, by the rule the package uses; [shape=(n,)]."""
    return pspi_deviation(dict(zip(AU_NAMES, intensity.T, strict=True)), dict(zip(AU_NAMES, spread.T, strict=True)))


def calibrate(network: ActionUnitNetwork, samples: Samples, rows: IntArray) -> dict[str, dict[str, float]]:
    """Set the network's spreads, and give the 90% interval of PSPI, from people who were not in the fit.

    Spreads are widened (or narrowed) by one factor a unit, with and without a neutral, so that the intensity plus and
    minus 1.645 spreads holds the truth in 90% of the faces: split conformal prediction (Vovk et al. 2005).
    """
    widening = network.get_buffer("widening")
    widening.fill_(1.0)
    interval = {}
    face, truth, neutral = samples.features[rows], samples.truth[rows], samples.full_neutral(rows)
    for case, name in enumerate(("with_neutral", "without_neutral")):
        known = np.flatnonzero(np.isfinite(neutral[:, 0]))
        shown = neutral[known] if case == 0 else np.full_like(neutral[known], np.nan)
        intensity, spread = read(network, face[known], shown)
        miss = np.abs(intensity - truth[known]) / spread
        sides = np.concatenate([miss[:, 1], miss[:, 2]])
        factors = np.stack([np.quantile(part, 0.9, axis=0) for part in (miss[:, 0], sides)]) / Z90
        widening[case] = torch.from_numpy(factors.astype(np.float32))
        spread = spread * factors[[0, 1, 1]][None].astype(np.float32)
        error = pspi_of(truth[known, 0], SHUT_TRUTH) - pspi_of(intensity[:, 0], SHUT_READ)
        low, high = np.quantile(error / pspi_sd(intensity[:, 0], spread[:, 0]), (0.05, 0.95))
        interval[name] = {"pspi_low": float(low), "pspi_high": float(high)}
    return interval
