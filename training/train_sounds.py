"""Train the network that tells speech, non-verbal voice, breath, other sound and silence apart.

    python -m training.train_sounds --out FOLDER         scenes, training, ONNX file, figures on held-out scenes
    python -m training.train_sounds --out FOLDER --ship  and into painsense/weights, with its line in the manifest

It learns from generated scenes alone (:mod:`training.simulate.scenes`), measured by painsense itself. A scene's number
and the seed give the scene, so nothing is kept; a quarter of an hour on two cores. ``tests/test_voice_segments.py`` and
``training.sound_figures`` hold the result against recordings.
"""

from __future__ import annotations

import argparse
import hashlib
import json
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor, nn

from painsense import assets, voice
from painsense import voice_segments as sounds
from painsense.output import write_together
from painsense.tracks import FloatArray
from training.simulate import scenes

VERSION = "simulated-2"
LICENCE = "Apache-2.0"
SOURCE = "painsense, learned from generated sound"
OPSET, IR_VERSION = 18, 10  # read by every ONNX Runtime painsense allows
MOST_BYTES = 200_000
TOLERANCE = 1e-5  # probabilities; torch and ONNX Runtime add up in different order


@dataclass(frozen=True)
class Recipe:
    """How the shipped network was made."""

    seed: int = 11
    scenes: int = 2000
    held_out: int = 200
    epochs: int = 30
    channels: int = 40
    kernel: int = 5
    dilations: tuple[int, ...] = (1, 2, 4, 8, 16, 32)
    piece_frames: int = 600
    batch: int = 32
    rate: float = 4e-3
    smoothing: float = 0.05  # of the truth: a frame's kind is not as sure as that


RECIPE = Recipe()
#: what a frame of each kind counts: a lost moan is worse than a breath called noise
WEIGHT = {"speech": 1.0, "nonverbal": 1.6, "breath": 1.5, "other": 1.4, "silence": 0.5}


class Network(nn.Module):
    """Dilated convolutions along time with a way past each, in the manner of WaveNet (arXiv:1609.03499), not causal."""

    def __init__(
        self, recipe: Recipe = RECIPE, mean: FloatArray | None = None, spread: FloatArray | None = None
    ) -> None:
        super().__init__()
        d = len(sounds.FEATURES)
        self.kernel, self.dilations = recipe.kernel, recipe.dilations
        self.mean: Tensor
        self.spread: Tensor
        self.register_buffer("mean", torch.zeros(d) if mean is None else torch.from_numpy(mean))
        self.register_buffer("spread", torch.ones(d) if spread is None else torch.from_numpy(spread))
        self.first = nn.Conv1d(d, recipe.channels, 1)
        self.layers = nn.ModuleList(
            nn.Conv1d(recipe.channels, recipe.channels, recipe.kernel, dilation=k, padding=k * (recipe.kernel // 2))
            for k in recipe.dilations
        )
        self.last = nn.Conv1d(recipe.channels, len(sounds.KINDS), 1)

    def forward(self, frames: Tensor) -> Tensor:
        """Frames [shape=(b, n, d)] -> logits [shape=(b, n, 5)]."""
        x = torch.relu(self.first(((frames - self.mean) / self.spread).transpose(1, 2)))
        for layer in self.layers:
            x = x + torch.relu(layer(x))
        logits: Tensor = self.last(x)
        return logits.transpose(1, 2)

    @property
    def receptive(self) -> int:
        """Frames on either side that one frame's answer depends on."""
        return sum(int(k) * (self.kernel // 2) for k in self.dilations)


@dataclass(frozen=True)
class Table:
    """Measured scenes: ``rows`` [shape=(n, d)] and ``truth`` [shape=(n,)] of each."""

    rows: list[FloatArray]
    truth: list[npt.NDArray[np.int8]]


def measured(seed: int, numbers: Sequence[int], workers: int = 2) -> Table:
    """Scenes by number, as the network will see them."""
    with ProcessPoolExecutor(workers) as pool:
        done = list(pool.map(_one, [(seed, number) for number in numbers], chunksize=16))
    return Table([rows for rows, _ in done], [truth for _, truth in done])


def _one(which: tuple[int, int]) -> tuple[FloatArray, npt.NDArray[np.int8]]:
    made = scenes.scene(np.random.default_rng(which))
    return sounds.features(voice.low_level(made.y, voice.SAMPLE_RATE_HZ)), made.kind


def train(table: Table, recipe: Recipe = RECIPE, say: Callable[[str], None] = print) -> Network:
    """Fit a network; the same table and recipe give the same one on the same machine."""
    torch.manual_seed(recipe.seed)
    rng = np.random.default_rng(recipe.seed)
    every = np.concatenate(table.rows)
    network = Network(recipe, every.mean(axis=0), np.maximum(every.std(axis=0), 1e-3))
    weight = torch.tensor([WEIGHT[name] for name in sounds.KINDS])
    loss_of = nn.CrossEntropyLoss(weight, ignore_index=scenes.UNSURE, label_smoothing=recipe.smoothing)
    steps = recipe.epochs * -(-len(_pieces(table, recipe, rng)[1]) // recipe.batch)
    optimiser = torch.optim.AdamW(network.parameters(), recipe.rate, weight_decay=1e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, recipe.rate, total_steps=steps + recipe.epochs)
    for epoch in range(recipe.epochs):
        rows, truth = _pieces(table, recipe, rng)
        rows = _disturbed(rows, rng)
        order, total = rng.permutation(len(rows)), 0.0
        for at in range(0, len(order), recipe.batch):
            pick = order[at : at + recipe.batch]
            logits = network(torch.from_numpy(rows[pick]))
            loss = loss_of(logits.reshape(-1, logits.shape[-1]), torch.from_numpy(truth[pick]).reshape(-1))
            optimiser.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(network.parameters(), 1.0)
            optimiser.step()
            schedule.step()
            total += float(loss.detach()) * len(pick)
        say(f"epoch {epoch + 1}/{recipe.epochs}: loss {total / len(order):.4f}")
    return network.eval()


def _pieces(table: Table, recipe: Recipe, rng: np.random.Generator) -> tuple[FloatArray, npt.NDArray[np.int64]]:
    """Scenes one after another in random order, cut into pieces: their ends meet as sounds meet in a long recording."""
    order = rng.permutation(len(table.rows))
    rows = np.concatenate([table.rows[k] for k in order])
    truth = np.concatenate([table.truth[k] for k in order]).astype(np.int64)
    count = len(rows) // recipe.piece_frames
    shift = int(rng.integers(0, len(rows) - count * recipe.piece_frames + 1))
    cut = slice(shift, shift + count * recipe.piece_frames)
    return rows[cut].reshape(count, recipe.piece_frames, -1), truth[cut].reshape(count, recipe.piece_frames)


def _disturbed(rows: FloatArray, rng: np.random.Generator) -> FloatArray:
    """Other microphones and rooms than those drawn: the spectrum of each piece moved and stretched, and some noise."""
    rows = rows.copy()
    pieces = (len(rows), 1)
    for k, name in enumerate(sounds.FEATURES):
        if name in sounds.COLUMNS_READ:
            spread = rows[:, :, k].std()
            rows[:, :, k] *= rng.uniform(0.85, 1.15, pieces)
            rows[:, :, k] += rng.normal(0, 0.35 * spread, pieces) + rng.normal(0, 0.08 * spread, rows.shape[:2])
        elif name == "periodicity":
            rows[:, :, k] = np.clip(rows[:, :, k] + rng.normal(0, 0.03, pieces), 0, 1)
        elif name == "pitch_octaves":  # smaller and larger people than those drawn
            pitched = rows[:, :, sounds.FEATURES.index("pitched")]
            rows[:, :, k] += rng.normal(0, 0.25, pieces) * pitched
    return rows


# --- the file ---------------------------------------------------------------------------------------------------------


def to_onnx(network: Network, recipe: Recipe = RECIPE) -> bytes:
    """The network as an ONNX file: frames [shape=(n, d)] -> probability [shape=(n, 5)].

    The graph is written down node by node, so the same weights give the same bytes.
    """
    if network.receptive > sounds.RECEPTIVE:
        raise ValueError(f"the network looks {network.receptive} frames around, painsense computes {sounds.RECEPTIVE}")
    nodes: list[Any] = []
    weights: list[Any] = []

    def weight(name: str, value: Tensor) -> str:
        weights.append(numpy_helper.from_array(np.ascontiguousarray(value.detach().numpy()), name))
        return name

    def node(kind: str, inputs: list[str], output: str, **attributes: Any) -> str:
        nodes.append(helper.make_node(kind, inputs, [output], **attributes))
        return output

    def convolution(layer: nn.Conv1d, source: str, name: str) -> str:
        k, dilation = int(layer.kernel_size[0]), int(layer.dilation[0])
        pad = dilation * (k // 2)
        given = [source, weight(f"{name}_w", layer.weight), weight(f"{name}_b", _of(layer.bias))]
        return node("Conv", given, name, kernel_shape=[k], dilations=[dilation], pads=[pad, pad])

    centred = node("Sub", [sounds.INPUT, weight("mean", network.mean)], "centred")
    x = node("Div", [centred, weight("spread", network.spread)], "scaled")
    weights.append(numpy_helper.from_array(np.array([0], np.int64), "axis"))
    x = node("Unsqueeze", [node("Transpose", [x], "turned", perm=[1, 0]), "axis"], "batch")
    x = node("Relu", [convolution(network.first, x, "first")], "start")
    for number, layer in enumerate(network.layers):
        assert isinstance(layer, nn.Conv1d)
        bent = node("Relu", [convolution(layer, x, f"layer_{number}")], f"bent_{number}")
        x = node("Add", [x, bent], f"sum_{number}")
    x = node("Squeeze", [convolution(network.last, x, "last"), "axis"], "flat")
    node("Softmax", [node("Transpose", [x], "logits", perm=[1, 0])], sounds.OUTPUT, axis=1)
    graph = helper.make_graph(
        nodes,
        "voice_segments",
        [helper.make_tensor_value_info(sounds.INPUT, TensorProto.FLOAT, ["n", len(sounds.FEATURES)])],
        [helper.make_tensor_value_info(sounds.OUTPUT, TensorProto.FLOAT, ["n", len(sounds.KINDS)])],
        weights,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], producer_name="painsense")
    model.ir_version = IR_VERSION
    says = {
        "name": "voice_segments",
        "version": VERSION,
        "licence": LICENCE,
        "source": SOURCE,
        "features": sounds.FEATURES,
        "kinds": sounds.KINDS,
        "recipe": asdict(recipe),
    }
    helper.set_model_props(model, {sounds.METADATA_KEY: json.dumps(says)})
    onnx.checker.check_model(model, full_check=True)
    return bytes(model.SerializeToString(deterministic=True))


def _of(value: Tensor | None) -> Tensor:
    assert value is not None
    return value


def check(network: Network, content: bytes, table: Table) -> float:
    """Largest difference between torch and the file over scenes; ValueError when it is more than allowed."""
    session = sounds.load(content)
    worst = 0.0
    for rows in table.rows[:20]:
        with torch.no_grad():
            expected = torch.softmax(network(torch.from_numpy(rows)[None])[0], dim=1).numpy()
        worst = max(worst, float(np.abs(session.run([sounds.OUTPUT], {sounds.INPUT: rows})[0] - expected).max()))
    if not worst < TOLERANCE:
        raise ValueError(f"torch and the ONNX file differ by {worst:g}, allowed are {TOLERANCE:g}")
    return worst


def confusion(content: bytes, table: Table) -> dict[str, dict[str, float]]:
    """Frames of each true kind: share decided for each kind, in percent."""
    session = sounds.load(content)
    count = np.zeros((len(sounds.KINDS), len(sounds.KINDS)))
    for rows, truth in zip(table.rows, table.truth, strict=True):
        probability = session.run([sounds.OUTPUT], {sounds.INPUT: rows})[0]
        found = sounds.decide(probability, rows[:, sounds.FEATURES.index("voiced")])
        sure = truth != scenes.UNSURE
        np.add.at(count, (truth[sure], found[sure]), 1)
    share = 100 * count / np.maximum(count.sum(axis=1, keepdims=True), 1)
    return {
        name: {other: round(float(share[k, j]), 1) for j, other in enumerate(sounds.KINDS)}
        for k, name in enumerate(sounds.KINDS)
    }


def main(arguments: Sequence[str] | None = None) -> None:
    """Make the scenes, train, export, and say how good it is."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="folder for the network and its figures")
    parser.add_argument("--scenes", type=int, default=RECIPE.scenes)
    parser.add_argument("--epochs", type=int, default=RECIPE.epochs)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--ship", action="store_true", help="put the network into painsense/weights")
    given = parser.parse_args(arguments)
    recipe = Recipe(scenes=given.scenes, epochs=given.epochs)
    held_out = measured(recipe.seed + 1, range(recipe.held_out), given.workers)
    table = measured(recipe.seed, range(recipe.scenes), given.workers)
    print(f"{sum(map(len, table.rows)) / 100 / 60:.0f} minutes of sound")
    network = train(table, recipe)
    content = to_onnx(network, recipe)
    if len(content) > MOST_BYTES:
        raise ValueError(f"the network has {len(content)} bytes, allowed are {MOST_BYTES}")
    figures = {
        "sha256": hashlib.sha256(content).hexdigest(),
        "largest_difference": check(network, content, held_out),
        "confusion_percent": confusion(content, held_out),
    }
    given.out.mkdir(parents=True, exist_ok=True)
    files = {"voice_segments.onnx": content, "voice_segments.json": json.dumps(figures, indent=1).encode()}
    write_together(given.out, {name: [part] for name, part in files.items()})
    print(json.dumps(figures, indent=1))
    if given.ship:
        from export import to_onnx as export

        write_together(assets.WEIGHTS, {"voice_segments.onnx": [content]})
        line = export.entry(assets.WEIGHTS / "voice_segments.onnx", "voice_segments", VERSION, LICENCE, SOURCE)
        export.stamp(assets.WEIGHTS / "manifest.json", line)


if __name__ == "__main__":
    main()
