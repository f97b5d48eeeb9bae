"""The action unit network: what is seen of one frame, and of the person at rest -> each unit's intensity and spread.

A face and its mirror image go through the same small network; what it says of the first is the left half's, what it
says of the second the right half's. So mirroring a face swaps left and right and changes nothing else, by construction.

For every unit the network gives a distribution over FACS intensities from 0 to 5 (a softmax over eleven levels, trained
by its likelihood): most units are exactly 0 in most faces, which a bell curve cannot say. Mean and standard deviation
of that distribution are the outputs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

LEVELS = tuple(np.linspace(0.0, 5.0, 11).tolist())


def mirror_of(features: Sequence[str]) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float32]]:
    """Where each feature's value comes from in a mirrored face, and its sign; ndarray [shape=(D,)] each.

    By name: "Left" and "Right", "_left" and "_right" swap; odd shape coefficients and yaw change their sign.
    """
    place = {name: k for k, name in enumerate(features)}
    source, sign = np.arange(len(features)), np.ones(len(features), np.float32)
    for k, name in enumerate(features):
        for one, other in (("Left", "Right"), ("Right", "Left"), ("_left", "_right"), ("_right", "_left")):
            if name.endswith(one):
                source[k] = place[name.removesuffix(one) + other]
        if name.startswith("shape_odd") or name in ("yaw_deg", "roll_deg"):
            sign[k] = -1.0
    return source, sign


class ActionUnitNetwork(nn.Module):
    """See the module.

    Parameters
    ----------
    features : names of the D inputs
    sided : for each of the m units, whether it has a left and a right
    centre, scale : ndarray [shape=(D,)], of the inputs; made symmetric here
    change_scale : ndarray [shape=(D,)], of their change against the person's neutral
    """

    def __init__(
        self,
        features: Sequence[str],
        sided: Sequence[bool],
        centre: npt.NDArray[np.float32],
        scale: npt.NDArray[np.float32],
        change_scale: npt.NDArray[np.float32],
        hidden: Sequence[int] = (256, 192, 128),
        dropout: float = 0.1,
    ) -> None:
        super().__init__()
        source, sign = mirror_of(features)
        self.units = len(sided)
        self.source: Tensor
        self.sign: Tensor
        constants: Mapping[str, npt.NDArray[np.generic]] = {
            "source": source,
            "sign": sign,
            "sided": np.array(sided, np.float32),
            "levels": np.array(LEVELS, np.float32),
            "centre": (centre + centre[source] * sign) / 2,
            "scale": np.maximum((scale + scale[source]) / 2, 1e-6),
            "change_scale": np.maximum((change_scale + change_scale[source]) / 2, 1e-6),
            "widening": np.ones((2, 2, self.units), np.float32),  # set by calibration: [with, without] x [both, side]
        }
        for name, value in constants.items():
            self.register_buffer(name, torch.from_numpy(np.ascontiguousarray(value)))
        sizes = (2 * len(features) + 1, *hidden)
        layers: list[nn.Module] = []
        for before, after in pairwise(sizes):
            layers += [nn.Linear(before, after), nn.LayerNorm(after), nn.ReLU(), nn.Dropout(dropout)]
        self.trunk = nn.Sequential(*layers)
        self.of_side = nn.Linear(sizes[-1], self.units * len(LEVELS))
        self.of_both = nn.Linear(sizes[-1], self.units * len(LEVELS))

    def logits(self, face: Tensor, neutral: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Log-odds of the levels for both sides' mean, left and right, each [shape=(n, m, levels)]."""
        nothing = torch.isnan(neutral[:, :1])
        known = torch.where(nothing, 0.0, 1.0)
        scaled = torch.clamp((face - self.centre) / self.scale, -6.0, 6.0)
        change = torch.clamp((face - torch.where(nothing, face, neutral)) / self.change_scale, -8.0, 8.0)
        left = self.trunk(torch.cat([scaled, change, known], 1))
        right = self.trunk(torch.cat([self._mirror(scaled), self._mirror(change), known], 1))
        shape = (-1, self.units, len(LEVELS))
        both = self.of_both(left + right).reshape(shape)
        a, b = self.of_side(left).reshape(shape), self.of_side(right).reshape(shape)
        # a unit of the midline has one intensity, and whatever it is must not depend on the side it is looked at from
        midline = (1.0 - self.sided)[:, None]
        middle = (a + b) / 2
        return both, a + midline * (middle - a), b + midline * (middle - b)

    def _mirror(self, values: Tensor) -> Tensor:
        return torch.index_select(values, 1, self.source) * self.sign

    def moments(self, logits: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and standard deviation of the distributions, each [shape=(n, m), 0-5]."""
        share = torch.softmax(logits, dim=-1)
        mean = (share * self.levels).sum(-1)
        variance = (share * (self.levels - mean[..., None]) ** 2).sum(-1)
        return mean, torch.sqrt(variance + 1e-6)

    def forward(self, face: Tensor, neutral: Tensor) -> tuple[Tensor, Tensor]:
        """Intensity and spread, each [shape=(n, 3, m)]: both sides' mean, left, right.

        face, neutral : [shape=(n, D)]; NaN rows of ``neutral`` where the person's neutral is not known.
        """
        both, left, right = self.logits(face, neutral)
        (left_mean, left_spread), (right_mean, right_spread) = self.moments(left), self.moments(right)
        spread = torch.stack([self.moments(both)[1], left_spread, right_spread], 1)
        known = torch.where(torch.isnan(neutral[:, :1, None]), 0.0, 1.0)
        with_neutral, without = (torch.stack([w[0], w[1], w[1]])[None] for w in (self.widening[0], self.widening[1]))
        spread = spread * (known * with_neutral + (1.0 - known) * without)
        return torch.stack([(left_mean + right_mean) / 2, left_mean, right_mean], 1), spread


def level_targets(intensity: Tensor) -> Tensor:
    """Intensities [shape=(...), 0-5] as shares of the two nearest levels, [shape=(..., levels)]."""
    step = LEVELS[1] - LEVELS[0]
    place = torch.clamp(intensity / step, 0, len(LEVELS) - 1)
    steps = torch.arange(len(LEVELS), device=intensity.device, dtype=intensity.dtype)
    return torch.clamp(1 - (place[..., None] - steps).abs(), min=0)
