"""learn: fitting one fusion network to some people's windows, epoch by epoch, from where it was left.

What face alone, voice alone and both say is learned at the same time from the same windows: a modality that is missing
later was missing here too, so that nothing is lost against a network that never had it.
"""

from __future__ import annotations

import csv
import io
import math
import os
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from painsense.output import write_together
from painsense.tracks import FloatArray
from training.errors import TrainingError
from training.fusion import augment
from training.fusion.network import FusionNetwork, corn_loss, shares_of
from training.fusion.samples import PSPI, TOP, IntArray, Samples, moments, weights
from training.fusion.settings import Settings

CHECKPOINT, NETWORK, CURVES = "checkpoint.pt", "network.pt", "curves.csv"
PSPI_TOP = 16.0
_BATCH = 1024  # windows at a time where nothing is learned
Say = Callable[[str], None]


@dataclass(frozen=True)
class Team:
    """The processes that learn together (torchrun), and on what: this one's number, how many, device."""

    rank: int
    size: int
    device: torch.device

    @property
    def leads(self) -> bool:
        """Whether this process is the one that writes."""
        return self.rank == 0


ALONE = Team(0, 1, torch.device("cpu"))


@dataclass(frozen=True)
class Table:
    """Windows on the device: inputs, targets by head (NaN: none) with weights, PSPI [0-16], what is shown, whose."""

    face: Tensor
    voice: Tensor
    targets: Tensor  # [n, heads]
    weight: Tensor  # [n, heads]
    pspi: Tensor
    shown: Tensor
    person: Tensor

    def __len__(self) -> int:
        return len(self.face)

    def batch(self, rows: Tensor) -> Table:
        """Some of the windows."""
        return Table(*(getattr(self, name)[rows] for name in self.__dataclass_fields__))


def heads_of(samples: Samples, how: Settings) -> tuple[str, ...]:
    """The targets of the ordinal heads, the exported one first."""
    return tuple(samples.head(kind) for kind in (how.score, *how.beside))


def table(samples: Samples, rows: IntArray, how: Settings, device: torch.device) -> Table:
    """Some windows as the fit needs them; modalities that the settings leave out are taken away."""
    heads = heads_of(samples, how)
    seen = {name: torch.from_numpy(getattr(samples, name)[rows]) for name in ("face", "voice")}
    for name in seen.keys() - set(how.modalities):
        seen[name] = torch.full_like(seen[name], float("nan"))
    none = np.full(len(rows), np.nan, np.float32)
    pspi = samples.targets[PSPI][rows] * PSPI_TOP / TOP if PSPI in samples.targets else none
    whose = np.unique(samples.subject[rows], return_inverse=True)[1]
    parts = (
        seen["face"],
        seen["voice"],
        torch.from_numpy(np.stack([samples.targets[head][rows] for head in heads], axis=1)),
        torch.from_numpy(np.stack([weights(samples, head, rows, how.balance) for head in heads], axis=1)),
        torch.from_numpy(pspi),
        torch.from_numpy(samples.shown[rows]),
        torch.from_numpy(whose.astype(np.int64)),
    )
    return Table(*(part.to(device) for part in parts))


class Learner(nn.Module):
    """The network with its loss, so that several processes can share the work of a step."""

    def __init__(self, network: FusionNetwork, how: Settings) -> None:
        super().__init__()
        self.network, self.how = network, how

    def forward(self, batch: Table, votes: Tensor) -> Tensor:
        """The loss of a batch; ``votes`` [members, n]: how much each window counts for each member."""
        network, how = self.network, self.how
        h_face, h_voice, has, gates = network.see(batch.face, batch.voice)
        face_only, voice_only = (torch.tensor(keep, device=has.device, dtype=has.dtype) for keep in ((1, 0), (0, 1)))
        ways = [(has, 1.0)]
        if len(how.modalities) == 2 and how.alone_weight:
            # where there is but one, both ways are the same: it is not counted twice
            two = has.prod(1, keepdim=True)
            ways += [(has * face_only * two, how.alone_weight), (has * voice_only * two, how.alone_weight)]
        total = h_face.new_zeros(())
        for seen, share in ways:
            _, z = network.weigh(h_face, h_voice, seen, gates)
            total = total + share * self._loss(z, batch, votes * seen.amax(1))
        return total

    def _loss(self, z: Tensor, batch: Table, votes: Tensor) -> Tensor:
        network, how = self.network, self.how
        total = z.new_zeros(())
        for k, head in enumerate(network.ordinal):
            weight = votes * batch.weight[:, k]
            level = torch.nan_to_num(batch.targets[:, k])
            logits = head(z)
            loss = corn_loss(logits, level)
            if how.error_weight:
                mean = (shares_of(logits) * network.level_values).sum(-1)
                loss = loss + how.error_weight * (mean - level) ** 2 / TOP
            total = total + _mean(loss, weight)
        if network.knows_pspi and how.pspi_weight:
            known = torch.isfinite(batch.pspi).to(z.dtype)
            miss = nn.functional.smooth_l1_loss(
                network.pspi(z)[..., 0], torch.nan_to_num(batch.pspi).expand(z.shape[0], -1), reduction="none"
            )
            total = total + how.pspi_weight * _mean(miss, votes * known)
        if network.expression is not None and how.expression_weight:
            known = (batch.shown >= 0).to(z.dtype)
            shown = batch.shown.clamp(min=0).expand(z.shape[0], -1)
            miss = nn.functional.cross_entropy(network.expression(z).transpose(1, 2), shown, reduction="none")
            total = total + how.expression_weight * _mean(miss, votes * known)
        return total


def _mean(loss: Tensor, weight: Tensor) -> Tensor:
    return (loss * weight).sum() / weight.sum().clamp(min=1e-6)


def begin(samples: Samples, rows: IntArray, how: Settings) -> FusionNetwork:
    """A network that has learned nothing, for these windows."""
    torch.manual_seed(how.seed)
    scales = moments(samples, rows)
    return FusionNetwork(
        heads_of(samples, how),
        samples.classes if how.expression_weight else (),
        {name: centre for name, (centre, _) in scales.items()},
        {name: scale for name, (_, scale) in scales.items()},
        members=how.members,
        channels=(how.channels[0], how.channels[1]),
        width=how.width,
        dropout=how.dropout,
        knows_pspi=PSPI in samples.targets and bool(np.isfinite(samples.targets[PSPI][rows]).any()),
    )


def fit(
    samples: Samples,
    train: IntArray,
    validation: IntArray,
    how: Settings,
    folder: Path,
    team: Team = ALONE,
    epochs: int | None = None,
    say: Say = print,
) -> tuple[FusionNetwork, int]:
    """A network fitted to some windows, and after how many epochs it was taken.

    Goes on from ``folder/checkpoint.pt`` where there is one of the same settings. Writes the learning curve as CSV and,
    where TensorBoard is installed, for that too.

    Parameters
    ----------
    validation : windows of people that stop the fit and choose the epoch; none: the last epoch is taken
    epochs : stop after so many, whatever the settings say; the learning rate follows the settings'
    """
    network = begin(samples, train, how).to(team.device)
    learner: nn.Module = Learner(network, how)
    if team.size > 1:
        cuda = [team.device.index] if team.device.type == "cuda" else None
        unused = not (network.knows_pspi and how.pspi_weight)
        learner = nn.parallel.DistributedDataParallel(learner, device_ids=cuda, find_unused_parameters=unused)
    optimizer = torch.optim.AdamW(network.parameters(), lr=how.rate, weight_decay=how.decay)
    data, held = table(samples, train, how, team.device), table(samples, validation, how, team.device)
    steps = max(1, len(train) // how.window_step // (how.batch * team.size))
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, how.rate, total_steps=how.epochs * steps + 1)
    half = how.amp and team.device.type == "cuda"
    scaler = torch.GradScaler("cuda", enabled=half)
    votes = _votes(network.members, int(data.person.max()) + 1, how.seed).to(team.device)
    state = _State(network, optimizer, schedule, scaler, how)
    state.restore(folder, len(train))
    curves = _Curves(folder, state.rows) if team.leads else None
    last = min(how.epochs, epochs or how.epochs)
    while state.epoch < last and not state.stalled(how.patience):
        rng = torch.Generator(team.device).manual_seed(how.seed * 100_003 + state.epoch)
        order = torch.randperm(len(data) // how.window_step, generator=rng, device=team.device) * how.window_step
        order = order + torch.randint(how.window_step, order.shape, generator=rng, device=team.device)
        torch.manual_seed(how.seed * 100_003 + state.epoch)  # of dropout: the same whether the run was stopped or not
        learner.train()
        total = 0.0
        for step in range(steps):
            mine = order[step * how.batch * team.size + team.rank :: team.size][: how.batch]
            batch = _changed(data.batch(mine), network, how, rng)
            with _precision(team, half):
                loss = learner(batch, votes[:, batch.person])
            optimizer.zero_grad()
            scaler.scale(loss).backward()
            scaler.step(optimizer)
            scaler.update()
            schedule.step()
            total += float(loss.detach())
        state.finish(total / steps, _validate(network, held, how) if len(held) else math.nan)
        if curves is not None:
            curves.add(state.rows[-1])
            state.store(folder, len(train))
            say(_line(state, last))
    if curves is not None:
        curves.close()
    network.load_state_dict(state.best)
    return network.eval(), state.best_epoch


def _line(state: _State, last: int) -> str:
    row = state.rows[-1]
    held = "" if math.isnan(row["validation"]) else f", validation {row['validation']:.3f}"
    return f"epoch {state.epoch} of {last}: loss {row['loss']:.3f}{held}"


def _precision(team: Team, half: bool) -> AbstractContextManager[Any]:
    return torch.autocast(team.device.type, torch.float16) if half else nullcontext()


def _votes(members: int, people: int, seed: int) -> Tensor:
    """How much each person counts for each member, [members, people]; a lone network counts all alike.

    The Bayesian bootstrap (Rubin 1981, doi:10.1214/aos/1176345338), so that members differ where people do.
    """
    if members == 1:
        return torch.ones(1, people)
    rng = torch.Generator().manual_seed(seed)
    return torch.empty(members, people).exponential_(generator=rng)


def _changed(batch: Table, network: FusionNetwork, how: Settings, rng: torch.Generator) -> Table:
    face = augment.windows(batch.face, network.get_buffer("face_scale"), how, rng, fixed=1)
    voice = augment.windows(batch.voice, network.get_buffer("voice_scale"), how, rng)
    return Table(face, voice, batch.targets, batch.weight, batch.pspi, batch.shown, batch.person)


def _validate(network: FusionNetwork, held: Table, how: Settings) -> float:
    """The loss of held-out people, everybody counted alike for each member."""
    network.eval()
    learner = Learner(network, how)
    total = 0.0
    with torch.no_grad():
        for start in range(0, len(held), _BATCH):
            rows = torch.arange(start, min(start + _BATCH, len(held)), device=held.face.device)
            batch = held.batch(rows)
            total += float(learner(batch, torch.ones(network.members, len(rows), device=held.face.device))) * len(rows)
    return total / len(held)


class _State:
    """Where a fit stands; restored whole, so that one that was stopped ends as if it had not been."""

    def __init__(self, network: FusionNetwork, optimizer: Any, schedule: Any, scaler: Any, how: Settings) -> None:
        self.parts = {"network": network, "optimizer": optimizer, "schedule": schedule, "scaler": scaler}
        self.network, self.fingerprint = network, how.fingerprint
        self.epoch, self.best_epoch, self.best_loss = 0, 0, math.inf
        self.best = {name: value.clone() for name, value in network.state_dict().items()}
        self.rows: list[dict[str, float]] = []

    def finish(self, loss: float, validation: float) -> None:
        self.epoch += 1
        rate = self.parts["schedule"].get_last_lr()[0]
        self.rows.append({"epoch": self.epoch, "loss": loss, "validation": validation, "rate": rate})
        if math.isnan(loss):
            raise TrainingError(f"training: the loss of epoch {self.epoch} is not a number; lower rate in the settings")
        if math.isnan(validation) or validation < self.best_loss:
            self.best_epoch, self.best_loss = self.epoch, validation
            self.best = {name: value.clone() for name, value in self.network.state_dict().items()}

    def stalled(self, patience: int) -> bool:
        return bool(patience) and self.epoch - self.best_epoch >= patience

    def store(self, folder: Path, windows: int) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        content = {name: part.state_dict() for name, part in self.parts.items()} | {
            "best": self.best,
            "epoch": self.epoch,
            "best_epoch": self.best_epoch,
            "best_loss": self.best_loss,
            "rows": self.rows,
            "made": [self.fingerprint, windows],
        }
        save(content, folder / CHECKPOINT)

    def restore(self, folder: Path, windows: int) -> None:
        path = folder / CHECKPOINT
        if not path.exists():
            return
        content = load(path)
        if content.get("made") != [self.fingerprint, windows]:
            raise TrainingError.at(
                path, "a run with these settings and data was expected, and another was begun here",
                "choose another --out, or delete the folder to begin anew",
            )  # fmt: skip
        for name, part in self.parts.items():
            part.load_state_dict(content[name])
        self.best, self.rows = content["best"], content["rows"]
        self.epoch, self.best_epoch, self.best_loss = (content[k] for k in ("epoch", "best_epoch", "best_loss"))


def save(content: dict[str, Any], path: Path) -> None:
    """Tensors and plain values, whole or not at all."""
    buffer = io.BytesIO()
    torch.save(content, buffer)
    write_together(path.parent, {path.name: [buffer.getvalue()]})


def load(path: Path) -> dict[str, Any]:
    """What :func:`save` wrote: tensors and plain values only, no code. TrainingError when it is something else."""
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # of many types, by what is wrong with the file
        raise TrainingError.at(
            path, f"a stored network was expected ({type(error).__name__})", "delete it and run the training again"
        ) from error
    if not isinstance(content, dict):
        raise TrainingError.at(path, "a stored network was expected", "delete it and run the training again")
    return content


class _Curves:
    """The learning curve as CSV, and for TensorBoard where that is installed."""

    def __init__(self, folder: Path, rows: list[dict[str, float]]) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._file = open(folder / CURVES, "w", newline="", encoding="utf-8")  # noqa: SIM115  # until close()
        self._csv = csv.DictWriter(self._file, ("epoch", "loss", "validation", "rate"))
        self._csv.writeheader()
        self._board: Any = None
        try:
            from torch.utils.tensorboard import SummaryWriter

            self._board = SummaryWriter(os.fspath(folder), purge_step=len(rows) + 1)
        except ImportError:
            pass  # the curve is in the CSV either way
        for row in rows:
            self._csv.writerow(row)

    def add(self, row: dict[str, float]) -> None:
        self._csv.writerow(row)
        self._file.flush()
        if self._board is not None:
            for name in ("loss", "validation", "rate"):
                if not math.isnan(row[name]):
                    self._board.add_scalar(name, row[name], int(row["epoch"]))

    def close(self) -> None:
        self._file.close()
        if self._board is not None:
            self._board.close()


@dataclass(frozen=True)
class Said:
    """What a network says, not calibrated: score and sd [shape=(3, n)] (both, face, voice), and the rest [n, ...]."""

    score: FloatArray
    sd: FloatArray
    levels: FloatArray
    weights: FloatArray
    pspi: FloatArray


def say_of(network: FusionNetwork, samples: Samples, rows: IntArray, how: Settings) -> Said:
    """What a network says of some windows; NaN without evidence."""
    data = table(samples, rows, how, next(network.parameters()).device)
    n = len(rows)
    score, sd = np.full((3, n), np.nan, np.float32), np.full((3, n), np.nan, np.float32)
    levels, share = np.zeros((n, int(TOP) + 1), np.float32), np.zeros((n, 2), np.float32)
    pspi = np.full(n, np.nan, np.float32)
    network.eval()
    with torch.no_grad():
        for start in range(0, n, _BATCH):
            part = slice(start, start + _BATCH)
            nothing = {name: torch.full_like(getattr(data, name)[part], float("nan")) for name in ("face", "voice")}
            for case, (face, voice) in enumerate(
                (
                    (data.face[part], data.voice[part]),
                    (data.face[part], nothing["voice"]),
                    (nothing["face"], data.voice[part]),
                )
            ):
                said = [_plain(each) for each in network(face, voice)]
                mean, spread = (_plain(each) for each in network.moments(torch.from_numpy(said[5])))
                there = np.isfinite(said[0])
                score[case, part] = np.where(there, mean, np.nan)
                sd[case, part] = np.where(there, spread, np.nan)
                if case == 0:
                    share[part], pspi[part], levels[part] = said[3], said[4], said[5]
    return Said(score, sd, levels, share, pspi)


def _plain(values: Tensor) -> npt.NDArray[np.float32]:
    return values.float().cpu().numpy()


def store(network: FusionNetwork, how: Settings, path: Path, **beside: Any) -> None:
    """Keep a finished network with what it takes to build it again."""
    shape = {
        "heads": list(network.heads),
        "classes": list(network.classes),
        "members": network.members,
        "channels": list(how.channels),
        "width": how.width,
        "dropout": how.dropout,
        "knows_pspi": network.knows_pspi,
    }
    save({"shape": shape, "weights": {k: v.cpu() for k, v in network.state_dict().items()}, **beside}, path)


def rebuild(path: Path) -> tuple[FusionNetwork, dict[str, Any]]:
    """A network that :func:`store` kept, in evaluation mode, and what was kept beside it."""
    content = load(path)
    try:
        shape, state = content.pop("shape"), content.pop("weights")
        sizes = {name: state[f"{name}_centre"].numpy() for name in ("face", "voice")}
        network = FusionNetwork(**{**shape, "channels": tuple(shape["channels"])}, centre=sizes, scale=sizes)
        network.load_state_dict(state)
    except (KeyError, TypeError, RuntimeError) as error:
        raise TrainingError.at(
            path, f"a network of this version of painsense was expected ({str(error)[:200]})", "train it again"
        ) from error
    return network.eval(), content
