"""Training of the network of sounds: the file says what torch says, the same bytes every time, and it learns."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from painsense import voice_segments
from painsense.voice_segments import FEATURES, KINDS
from training import sound_figures, train_sounds
from training.simulate import scenes

SMALL = dataclasses.replace(
    train_sounds.RECIPE, channels=8, dilations=(1, 2), epochs=30, piece_frames=50, batch=4, rate=0.02
)


def table(seed: int, count: int = 12) -> train_sounds.Table:
    """Silence where nothing is recorded, else speech where there is voice and other sound where not."""
    rng = np.random.default_rng(seed)
    rows, truth = [], []
    for _ in range(count):
        features = rng.normal(size=(100, len(FEATURES))).astype(np.float32)
        kind = np.repeat(rng.integers(0, 3, 4), 25)
        features[:, FEATURES.index("recorded")] = kind < 2
        features[:, FEATURES.index("voiced")] = kind == 0
        rows.append(features)
        truth.append(
            np.choose(kind, [scenes.KIND["speech"], scenes.KIND["other"], scenes.KIND["silence"]]).astype(np.int8)
        )
    return train_sounds.Table(rows, truth)


@pytest.fixture(scope="module")
def network() -> train_sounds.Network:
    return train_sounds.train(table(0), SMALL, say=lambda line: None)


def test_it_learns_what_it_is_shown(network: train_sounds.Network) -> None:
    found = train_sounds.confusion(train_sounds.to_onnx(network, SMALL), table(1))
    assert min(found[name][name] for name in ("speech", "other", "silence")) > 80


def test_the_file_says_what_torch_says(network: train_sounds.Network) -> None:
    content = train_sounds.to_onnx(network, SMALL)
    assert content == train_sounds.to_onnx(network, SMALL)
    assert train_sounds.check(network, content, table(2)) < train_sounds.TOLERANCE
    with torch.no_grad():
        network.last.bias += torch.arange(len(KINDS))
        with pytest.raises(ValueError, match="torch and the ONNX file differ by"):
            train_sounds.check(network, content, table(2))
        network.last.bias -= torch.arange(len(KINDS))


def test_the_same_recipe_gives_the_same_network(network: train_sounds.Network) -> None:
    again = train_sounds.train(table(0), SMALL, say=lambda line: None)
    for name, value in network.state_dict().items():
        torch.testing.assert_close(again.state_dict()[name], value, msg=name)


def test_a_network_that_looks_too_far_is_refused() -> None:
    far = dataclasses.replace(SMALL, dilations=(64, 128))
    with pytest.raises(ValueError, match="looks 384 frames around"):
        train_sounds.to_onnx(train_sounds.Network(far).eval(), far)


def test_the_shipped_recipe_fits_what_is_computed() -> None:
    assert train_sounds.Network().receptive <= voice_segments.RECEPTIVE


def test_figures_count_frames() -> None:
    scene = scenes.scene(np.random.default_rng(1), names=["moan"], snr_db=40)
    use = scene.kind == scenes.KIND["nonverbal"]
    one = sound_figures.row("moan", "nonverbal", [(scene.y, use)], lambda y: np.ones(len(y) // 160))
    assert one.frames == use.sum()
    assert one.detector == pytest.approx(100)
    assert sum(one.each) == pytest.approx(100)
    assert one.voice == pytest.approx(one.each[0] + one.each[1])
    loud = sound_figures.row("moan", "nonverbal", [(scene.y, None)], None)
    assert 0 < loud.frames <= len(scene.kind)
    assert "| moan | nonverbal |" in sound_figures.table([one, loud])
