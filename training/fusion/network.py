"""The fusion network: twenty steps of face and voice -> an ordinal score, its spread, and the weight of each modality.

Each modality has a small encoder over time. A gate weighs it by what the encoder found and by how much of it could be
measured, and is shut where there is no evidence; the weights of both add up to 1. What is left goes through a trunk to
the heads: one ordinal head for each kind of label (CORN: Shi, Cao & Raschka 2023, doi:10.1007/s10044-023-01181-9), one
for PSPI, and one for what kind of expression is shown, which no label of pain shares.

Several networks of different beginnings are computed side by side as one (a deep ensemble: Lakshminarayanan et al.
2017, arXiv:1612.01474): all weights have the members as their first dimension. Mean and spread are those of the mixture
of the members' distributions.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from painsense.fusion import FACE, LEVELS, STEPS, VOICE, WINDOW_STEPS

FloatArray = npt.NDArray[np.float32]

#: steps of the window that must hold something before a modality counts as evidence: 60% of its time for the face, as
#: painsense.verdict has it; a fifth of a second of sound for the voice. Between what can occur (whole steps, and
#: twentieths of a step), so that rounding decides nothing
LEAST_FACE_STEPS, LEAST_SOUND_STEPS = 5.5, 0.975
LEAST_SD = 0.1  # nobody knows better than a tenth of a level
#: ways in which a window can be seen; calibration has a row for each
CASES = ("both", "face", "voice")
#: scores between which the reach of the interval is interpolated: errors are other ones where a score is low
KNOTS = (0.0, 1.0, 2.5, 4.5, 7.0)
STRIDE = 2
_SHUT = -1e4


class Side(nn.Module):
    """A linear layer for each member: [members, rows, before] -> [members, rows, after]."""

    def __init__(self, members: int, before: int, after: int) -> None:
        super().__init__()
        bound = math.sqrt(3.0 / before)  # variance 1 / before
        self.weight = nn.Parameter(torch.empty(members, before, after).uniform_(-bound, bound))
        self.bias = nn.Parameter(torch.zeros(members, 1, after))

    def forward(self, x: Tensor) -> Tensor:
        """See the class."""
        return torch.matmul(x, self.weight) + self.bias


class Encoder(nn.Module):
    """Twenty steps of one modality -> a vector for each member.

    Pairs of steps, then a convolution over three pairs, then mean and maximum over the window and the mean over what
    came before it. Written as products of matrices, which is what torch and ONNX Runtime compute fastest at this size.
    """

    def __init__(self, members: int, features: int, channels: tuple[int, int], width: int, dropout: float) -> None:
        super().__init__()
        first, second = channels
        self.members = members
        self.fill = nn.Parameter(torch.zeros(features))  # stands for what was not measured
        self.pairs = Side(members, STRIDE * (features + 1), first)
        self.before, self.here, self.after = (Side(members, first, second) for _ in range(3))
        self.out = Side(members, 3 * second, width)
        self.dropout = nn.Dropout(dropout)

    def forward(self, scaled: Tensor, missing: Tensor) -> Tensor:
        """[n, 20, F] twice -> [members, n, width]."""
        members, steps = self.members, STEPS // STRIDE
        there = 1.0 - missing.to(scaled.dtype).mean(-1, keepdim=True)
        x = torch.cat([torch.where(missing, self.fill, scaled), there], -1)
        # time first, then windows: what lies before and after a step is then a piece of memory of its own
        x = x.reshape(-1, steps, STRIDE * x.shape[-1]).transpose(0, 1).reshape(1, -1, STRIDE * x.shape[-1])
        x = torch.relu(self.pairs(x)).reshape(members, steps, -1, self.here.weight.shape[1])
        y = _each(self.here, x)
        nothing = torch.zeros_like(y[:, :1])
        before, after = _each(self.before, x[:, :-1]), _each(self.after, x[:, 1:])
        y = torch.relu(y + torch.cat([nothing, before], 1) + torch.cat([after, nothing], 1))
        split = steps - WINDOW_STEPS // STRIDE
        window = y[:, split:]
        pooled = torch.cat([window.mean(1), window.amax(1), y[:, :split].mean(1)], -1)
        return torch.relu(self.out(self.dropout(pooled)))


def _each(layer: Side, x: Tensor) -> Tensor:
    """A layer on each step of each window: [members, steps, n, c] -> the same with other c."""
    members, steps, _, c = x.shape
    y: Tensor = layer(x.reshape(members, -1, c))
    return y.reshape(members, steps, -1, layer.weight.shape[2])


class FusionNetwork(nn.Module):
    """See the module.

    Parameters
    ----------
    heads : names of the ordinal heads; the first is the one that is exported
    classes : kinds of expression that are told apart as an auxiliary task; none: no such head
    centre, scale : of each modality's features ("face", "voice"), ndarray [shape=(F,)]
    members : networks in the ensemble
    knows_pspi : whether PSPI is learned; where not, the output is NaN
    """

    def __init__(
        self,
        heads: Sequence[str],
        classes: Sequence[str],
        centre: Mapping[str, FloatArray],
        scale: Mapping[str, FloatArray],
        members: int = 3,
        channels: tuple[int, int] = (32, 32),
        width: int = 64,
        dropout: float = 0.1,
        knows_pspi: bool = True,
    ) -> None:
        super().__init__()
        self.heads, self.classes, self.members, self.knows_pspi = tuple(heads), tuple(classes), members, knows_pspi
        self.reach: Tensor
        self.knots: Tensor
        self.level_values: Tensor
        constants: dict[str, npt.NDArray[np.generic]] = {"level_values": np.arange(LEVELS, dtype=np.float32)}
        for name in ("face", "voice"):
            constants[f"{name}_centre"] = centre[name]
            constants[f"{name}_scale"] = np.maximum(scale[name], 1e-6)
        #: half widths of the 90% interval in standard deviations, below and above, at each knot; set by calibration
        constants["reach"] = np.full((len(CASES), len(KNOTS), 2), 1.645, np.float32)
        constants["knots"] = np.array(KNOTS, np.float32)
        for name, value in constants.items():
            self.register_buffer(name, torch.from_numpy(np.ascontiguousarray(value, np.float32)))
        self.face = Encoder(members, len(FACE), channels, width, dropout)
        self.voice = Encoder(members, len(VOICE), channels, width, dropout)
        self.face_gate, self.voice_gate = (Side(members, width + 3, 1) for _ in range(2))
        self.trunk = Side(members, 2 * width + 2, width)
        self.dropout = nn.Dropout(dropout)
        self.ordinal = nn.ModuleList(Side(members, width, LEVELS - 1) for _ in heads)
        self.pspi = Side(members, width, 1)
        self.expression = Side(members, width, len(classes)) if classes else None

    def see(self, face: Tensor, voice: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """What both encoders found [members, n, width], which modalities have evidence [n, 2] and gates [m, n, 2]."""
        no_face, no_voice = torch.isnan(face), torch.isnan(voice)
        seen, heard = self._scaled(face, no_face, "face"), self._scaled(voice, no_voice, "voice")
        h_face, h_voice = self.face(seen, no_face), self.voice(heard, no_voice)
        known = torch.where(no_face[..., -1], 0.0, 1.0)  # [n, 20]
        neutral = torch.where(no_face[..., -1], 0.0, face[..., -1])
        silence, voiced = VOICE.index("share_silence"), VOICE.index("voiced")
        by_voicing = torch.where(no_voice[..., voiced], 0.0, voice[..., voiced])
        sound = torch.where(no_voice[..., silence], by_voicing, 1.0 - voice[..., silence])
        recorded = torch.where(no_voice[..., voiced], 0.0, 1.0)
        face_steps, sound_steps = known[:, -WINDOW_STEPS:].sum(1), sound[:, -WINDOW_STEPS:].sum(1)
        has = torch.stack([face_steps >= LEAST_FACE_STEPS, sound_steps >= LEAST_SOUND_STEPS], 1).to(face.dtype)
        face_quality = torch.stack([face_steps / WINDOW_STEPS, known.mean(1), neutral.mean(1)], 1)
        voice_quality = torch.stack([sound_steps / WINDOW_STEPS, recorded.mean(1), by_voicing.mean(1)], 1)
        gates = [
            gate(torch.cat([h, quality[None].expand(self.members, -1, -1)], -1))
            for gate, h, quality in (
                (self.face_gate, h_face, face_quality),
                (self.voice_gate, h_voice, voice_quality),
            )
        ]
        return h_face, h_voice, has, torch.cat(gates, -1)

    def _scaled(self, x: Tensor, missing: Tensor, name: str) -> Tensor:
        centre, scale = self.get_buffer(f"{name}_centre"), self.get_buffer(f"{name}_scale")
        return torch.clamp((torch.where(missing, centre, x) - centre) / scale, -6.0, 6.0)

    def weigh(self, h_face: Tensor, h_voice: Tensor, has: Tensor, gates: Tensor) -> tuple[Tensor, Tensor]:
        """Weights of face and voice [members, n, 2], and what the heads read [members, n, width]."""
        share = torch.softmax(gates + (1.0 - has) * _SHUT, -1) * has
        together = [share[..., :1] * h_face, share[..., 1:] * h_voice, has[None].expand(self.members, -1, -1)]
        return share, self.dropout(torch.relu(self.trunk(torch.cat(together, -1))))

    def forward(self, face: Tensor, voice: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]:
        """The contract's outputs: score, low, high [n], weights [n, 2], pspi [n] and levels [n, 11].

        face, voice : [n, 20, F], NaN where not measured.
        """
        h_face, h_voice, has, gates = self.see(face, voice)
        share, z = self.weigh(h_face, h_voice, has, gates)
        levels = shares_of(self.ordinal[0](z)).mean(0)
        weights = share.mean(0)
        score, sd = self.moments(levels)
        seen_by = torch.stack([has.prod(1), has[:, 0] * (1 - has[:, 1]), has[:, 1] * (1 - has[:, 0])], 1)
        reach = (self.reach_at(score) * seen_by[..., None]).sum(1)
        top = float(LEVELS - 1)
        low, high = (torch.clamp(score + sign * reach[:, k] * sd, 0.0, top) for k, sign in ((0, -1.0), (1, 1.0)))
        nothing = torch.full_like(score, float("nan"))
        seen = has.sum(1) > 0
        pspi = torch.clamp(self.pspi(z).mean(0)[:, 0], 0.0, 16.0) if self.knows_pspi else nothing
        score, low, high, pspi = (torch.where(seen, values, nothing) for values in (score, low, high, pspi))
        return score, low, high, weights, pspi, levels

    def reach_at(self, score: Tensor) -> Tensor:
        """What holds at the knots, interpolated to scores [n], [n, cases, 2]."""
        past = torch.clamp((score[:, None] - self.knots[:-1]) / (self.knots[1:] - self.knots[:-1]), 0.0, 1.0)
        at_knots = self.reach.transpose(0, 1).flatten(1)
        reach = at_knots[:1] + torch.matmul(past, at_knots[1:] - at_knots[:-1])
        return reach.reshape(-1, len(CASES), 2)

    def moments(self, levels: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and standard deviation of distributions over the levels [n, 11], each [n]."""
        mean = (levels * self.level_values).sum(-1)
        variance = (levels * (self.level_values - mean[..., None]) ** 2).sum(-1)
        return mean, torch.sqrt(variance + LEAST_SD**2)




def above(logits: Tensor) -> Tensor:
    """CORN's logits [..., 10], each "above level k, given above k - 1" -> log of the probability to lie above k."""
    return torch.cumsum(-nn.functional.softplus(-logits), -1)


def shares_of(logits: Tensor) -> Tensor:
    """CORN's logits [..., 10] -> probabilities of the levels [..., 11]."""
    over = torch.exp(above(logits))
    return torch.cat([1.0 - over[..., :1], over[..., :-1] - over[..., 1:], over[..., -1:]], -1)


def corn_loss(logits: Tensor, level: Tensor) -> Tensor:
    """Negative log-likelihood of levels [n, 0-10] under CORN's logits [..., n, 10], [..., n].

    A level between two whole ones counts as a share of each: then "above k" is true to the share ``clip(level - k)``,
    and the question is put to the share that lies above k - 1. At whole levels this is CORN's loss itself.
    """
    k = torch.arange(LEVELS - 1, device=level.device, dtype=logits.dtype)
    over = torch.clamp(level[..., None] - k, 0.0, 1.0)
    asked = torch.clamp(level[..., None] - k + 1.0, 0.0, 1.0)
    yes, no = nn.functional.softplus(-logits), nn.functional.softplus(logits)
    return (over * yes + (asked - over) * no).sum(-1)
