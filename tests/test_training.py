"""Learning action units from rendered faces: the basis of the face's shape, the network, its fit and its data set."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import make_faces
import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="training needs torch: pip install -e '.[train]'")

from painsense.canonical import align  # noqa: E402
from painsense.landmarks import BLENDSHAPES  # noqa: E402
from training import face_shape, learn  # noqa: E402
from training.network import LEVELS, ActionUnitNetwork, level_targets, mirror_of  # noqa: E402
from training.samples import SIDED, Samples, parts  # noqa: E402
from training.simulate import dataset  # noqa: E402
from training.simulate.head import AU_NAMES  # noqa: E402

NAMES = ("shape_even_00", "shape_odd_00", "brow_left", "brow_right", "browDownLeft", "browDownRight", "yaw_deg")


@pytest.fixture(scope="module")
def meshes() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Four people, ten faces each, moved at random; who is who; the partner of every landmark."""
    canonical = make_faces.canonical_face()
    frames = make_faces.frames_of(canonical, n=40)
    rng = np.random.default_rng(3)
    person = np.repeat(np.arange(4), 10).astype(np.int32)
    own = rng.normal(0, 3, (4, 478, 3))[person]
    aligned = align((frames.points_px + own + rng.normal(0, 1, own.shape)).astype(np.float32), canonical)[0]
    return aligned, person, face_shape.mirror_landmarks(canonical)


# ---- the basis


def test_each_landmark_has_a_partner_on_the_other_side(meshes: Any) -> None:
    other = meshes[2]
    assert (other[other] == np.arange(478)).all()
    assert other[33] == 263 and other[133] == 362 and other[1] == 1  # outer and inner eye corners, tip of the nose
    assert other[468] == 473 and other[469] == 476  # the iris, and its point on the nose's side


def test_mirroring_a_face_keeps_even_numbers_and_turns_odd_ones(meshes: Any) -> None:
    aligned, person, other = meshes
    shape = face_shape.fit(aligned, person, other, even=5, odd=3)
    faces, turned = aligned - shape["mean"], face_shape.mirrored(aligned, other) - shape["mean"]
    codes, mirrored = (values.reshape(40, -1) @ shape["basis"].T for values in (faces, turned))
    sign = np.array([1] * 5 + [-1] * 3)
    np.testing.assert_allclose(mirrored, codes * sign, atol=1e-3)
    assert [str(name) for name in shape["names"]][4:6] == ["shape_even_04", "shape_odd_00"]
    np.testing.assert_allclose(shape["basis"] @ shape["basis"].T, np.eye(8), atol=1e-5)


def test_the_first_component_is_what_moves_most(meshes: Any) -> None:
    aligned, person, other = meshes
    moved = aligned.copy()
    moved[:, [55, 285], 1] += np.random.default_rng(4).normal(0, 50, (40, 1))  # both brows, up and down
    shape = face_shape.fit(moved, person, other, even=2, odd=1)
    first = np.abs(shape["basis"][0].reshape(478, 3))
    assert {int(k) for k in np.argsort(first[:, 1])[-2:]} == {55, 285}


# ---- the network


def network(names: tuple[str, ...] = NAMES, seed: int = 0) -> ActionUnitNetwork:
    torch.manual_seed(seed)
    d = len(names)
    ones = np.ones(d, np.float32)
    return ActionUnitNetwork(names, SIDED, np.zeros(d, np.float32), ones, ones, hidden=(16, 16)).eval()


def test_a_mirrored_face_swaps_left_and_right_and_nothing_else() -> None:
    net, rng = network(), np.random.default_rng(0)
    face, neutral = (torch.from_numpy(rng.normal(0, 1, (20, len(NAMES))).astype(np.float32)) for _ in range(2))
    neutral[::2] = float("nan")
    source, sign = mirror_of(NAMES)
    assert source.tolist() == [0, 1, 3, 2, 5, 4, 6] and sign.tolist() == [1, -1, 1, 1, 1, 1, -1]
    turned = [values[:, source] * torch.from_numpy(sign) for values in (face, neutral)]
    for one, other in zip(net(face, neutral), net(*turned), strict=True):
        torch.testing.assert_close(one[:, [0, 2, 1]], other, atol=1e-5, rtol=0)
    left, right = net(face, neutral)[0][:, 1], net(face, neutral)[0][:, 2]
    sided = np.array(SIDED)
    assert (left - right).abs()[:, sided].max() > 1e-3
    assert (left - right).abs()[:, ~sided].max() < 1e-5  # the midline has one intensity


def test_intensities_stay_within_0_and_5_and_spreads_above_0() -> None:
    net = network()
    far = torch.full((4, len(NAMES)), 1e4) * torch.tensor([[1.0], [-1.0], [0.0], [1e-4]])
    intensity, spread = net(far, torch.full_like(far, float("nan")))
    assert intensity.min() >= 0 and intensity.max() <= 5 and spread.min() > 0
    assert torch.isfinite(intensity).all()


def test_without_a_neutral_its_values_are_not_used() -> None:
    net = network()
    face = torch.ones(1, len(NAMES))
    unknown = torch.full_like(face, float("nan"))
    half_known = unknown.clone()
    half_known[:, 1:] = 3.0  # the first value says that there is none
    torch.testing.assert_close(net(face, unknown), net(face, half_known))
    assert not torch.allclose(net(face, unknown)[0], net(face, face)[0])


def test_targets_of_levels_have_the_mean_of_the_intensity() -> None:
    intensity = torch.tensor([0.0, 0.1, 2.5, 3.3, 5.0])
    shares = level_targets(intensity)
    torch.testing.assert_close(shares.sum(-1), torch.ones(5))
    torch.testing.assert_close((shares * torch.tensor(LEVELS)).sum(-1), intensity)
    assert ((shares > 0).sum(-1) <= 2).all()


# ---- fitting


def toy(n_people: int = 40, each: int = 30) -> Samples:
    """AU4 is what a brow moved from where the person has it at rest; nothing else is ever active."""
    rng = np.random.default_rng(1)
    person = np.repeat(np.arange(n_people), each).astype(np.int32)
    at_rest = rng.normal(0, 2, (n_people, len(NAMES))).astype(np.float32)
    at_rest[:, [1, 6]] = 0
    at_rest[:, 3] = at_rest[:, 2]
    au4 = np.where(rng.random((len(person), 2)) < 0.3, 0, rng.uniform(0, 5, (len(person), 2))).astype(np.float32)
    features = at_rest[person]
    features[:, 2] -= au4[:, 0] / 5
    features[:, 3] -= au4[:, 1] / 5
    truth = np.zeros((len(person), 3, len(AU_NAMES)), np.float32)
    k = AU_NAMES.index("AU4")
    truth[:, 1, k], truth[:, 2, k], truth[:, 0, k] = au4[:, 0], au4[:, 1], au4.mean(axis=1)
    return Samples(
        names=NAMES,
        features=features,
        truth=truth,
        usable=np.ones(len(person), bool),
        person=person,
        role=np.full(len(person), dataset.SINGLE, np.uint8),
        neutral=np.repeat(at_rest[:, None], 7, axis=1),
    )


def test_nobody_is_on_two_sides() -> None:
    samples = toy()
    groups = [set(samples.person[samples.of(part)].tolist()) for part in ("train", "calibrate", "test")]
    assert [len(group) for group in groups] == [32, 4, 4]
    assert not (groups[0] & groups[1] | groups[1] & groups[2] | groups[0] & groups[2])
    assert list(parts(np.array([9, 19, 8, 0]))) == ["test", "test", "calibrate", "train"]


def test_a_fit_learns_what_moved_and_its_intervals_hold_the_truth() -> None:
    samples = toy()
    how = learn.Fit(epochs=25, batch=64, rate=0.01, hidden=(32, 32), dropout=0.0, noise=0.0, stranger=0.0)
    fitted = learn.fit(samples, samples.of("train"), how, lambda line: None)
    interval = learn.calibrate(fitted, samples, samples.of("calibrate"))
    rows, k = samples.of("test"), AU_NAMES.index("AU4")
    intensity, spread = learn.read(fitted, samples.features[rows], samples.full_neutral(rows))
    for side in (0, 1, 2):
        assert np.corrcoef(intensity[:, side, k], samples.truth[rows, side, k])[0, 1] > 0.85
    held = np.abs(intensity[:, 0, k] - samples.truth[rows, 0, k]) <= learn.Z90 * spread[:, 0, k]
    assert 0.75 < held.mean() <= 1.0
    unknown = np.full((len(rows), len(NAMES)), np.nan, np.float32)
    blind, unsure = learn.read(fitted, samples.features[rows], unknown)
    assert np.corrcoef(blind[:, 0, k], samples.truth[rows, 0, k])[0, 1] < 0.6  # brows differ more than they move
    assert unsure[:, 0, k].mean() > 2 * spread[:, 0, k].mean()
    assert interval["with_neutral"]["pspi_low"] < 0 < interval["with_neutral"]["pspi_high"]


def test_the_same_seed_fits_the_same_network() -> None:
    samples, how = toy(12, 10), learn.Fit(epochs=2, batch=64, hidden=(8,))
    rows = samples.of("train")
    one, two, other = (
        learn.fit(samples, rows, fit, lambda line: None).state_dict()["of_both.weight"]
        for fit in (how, how, learn.Fit(epochs=2, batch=64, hidden=(8,), seed=2))
    )
    assert torch.equal(one, two) and not torch.equal(one, other)


# ---- the data set


def head_file(shared_data: Path) -> Path:
    pytest.importorskip("moderngl")
    return shared_data / "ict_facekit.npz"


def test_a_data_set_goes_on_where_it_stopped(shared_data: Path, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr(dataset, "PEOPLE_A_SHARD", 1)
    recipe = dataset.Recipe(people=2, rest=1, faces=2, sequence_s=1.0, sequence_fps=5.0)
    drawn: list[int] = []

    class Counting:
        def __init__(self, head: Any) -> None:
            pass

        def pictures(self, rng: np.random.Generator, person: int, *rest: Any) -> Any:
            drawn.append(person)
            names = [name for name in dataset.Faces.__dataclass_fields__ if name != "crop"]
            yield {name: np.float32(rng.random()) for name in names} | {"person": np.int32(person)}
            yield None  # a picture without a face

    def in_this_process(workers: int, context: Any, start: Any, arguments: Any) -> Any:
        from concurrent.futures import ThreadPoolExecutor

        dataset._studio = Counting(None)
        return ThreadPoolExecutor(1)

    monkeypatch.setattr(dataset, "ProcessPoolExecutor", in_this_process)
    index = dataset.make(Path("unused"), tmp_path, recipe, workers=1)
    assert drawn == [0, 1] and [entry["faces"] for entry in index["shards"].values()] == [1, 1]
    first = (tmp_path / "shard-0000.npz").read_bytes()

    index["shards"].pop("shard-0001.npz")  # as if it had been stopped there
    (tmp_path / "index.json").write_text(json.dumps(index))
    with pytest.raises(dataset.DatasetError, match="1 shards are missing"):
        dataset.load(tmp_path)
    dataset.make(Path("unused"), tmp_path, recipe, workers=1)
    assert drawn == [0, 1, 1]
    assert (tmp_path / "shard-0000.npz").read_bytes() == first
    assert dataset.load(tmp_path)[0].person.tolist() == [0, 1]

    with pytest.raises(dataset.DatasetError, match="another recipe"):
        dataset.make(Path("unused"), tmp_path, dataset.Recipe(people=2, seed=5), workers=1)
    (tmp_path / "shard-0000.npz").write_bytes(b"x" + first[1:])
    with pytest.raises(dataset.DatasetError, match="was changed"):
        dataset.load(tmp_path)


def test_the_same_seed_makes_the_same_shard(shared_data: Path, tmp_path: Path) -> None:
    head, recipe = head_file(shared_data), dataset.Recipe(people=1, rest=1, faces=3)
    for name in ("one", "two"):
        dataset.make(head, tmp_path / name, recipe, workers=1)
    contents = [(tmp_path / name / "shard-0000.npz").read_bytes() for name in ("one", "two")]
    assert contents[0] == contents[1]
    faces, index = dataset.load(tmp_path / "one")
    assert index["shards"]["shard-0000.npz"]["sha256"] == hashlib.sha256(contents[0]).hexdigest()
    assert index["shards"]["shard-0000.npz"]["drawn"] == 4
    assert 1 <= len(faces) <= 4 and faces.points_px.shape[1:] == (478, 3)
    assert faces.blendshapes.shape[1] == len(BLENDSHAPES)
    assert (faces.labels >= 0).all() and (faces.labels <= 5).all()
