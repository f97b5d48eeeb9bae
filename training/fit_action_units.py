"""Fit the linear action unit estimator on rendered faces whose action units are known.

    python -m training.fit_action_units --head FaceXModel --out painsense/weights

Draws random people with random expressions (:mod:`training.simulate.faces`), measures them with painsense's own
landmark networks and geometry, fits a ridge regression with and without the person's neutral, tests it on people it
has not seen, and writes ``action_units.json`` with its line in the manifest. The same seed gives the same weights.
"""

from __future__ import annotations

import argparse
import hashlib
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
from numpy.linalg import solve

from painsense import face
from painsense.action_units import ESTIMATED
from painsense.baseline import MEASURES
from painsense.follow import Seen, collect, light
from painsense.landmarks import FaceNetworks, largest, refine, search
from training.simulate.faces import faces
from training.simulate.head import Head, load_head

FloatArray = npt.NDArray[np.float64]

VERSION = "linear-1"
TEST_SHARE = 0.2
#: inputs that hardly move in simulation (blendshapes that are dead) are not blown up: noise of real faces would be, too
LEAST_SCALE = np.array([0.005 if name in {measure.name for measure in face.GEOMETRY} else 0.03 for name in MEASURES])
PENALTIES = (3.0, 10.0, 30.0, 100.0, 300.0, 1000.0)
FOLDS = 5
TARGETS = (*ESTIMATED, "AU43")


def measure_faces(
    head: Head, seed: int, n_heads: int, per_head: int
) -> Iterator[tuple[FloatArray, FloatArray, int, bool]]:
    """(face measures, true intensities, person, is it the neutral) of each rendered face that is usable."""
    networks = FaceNetworks()
    for image, truth, person, is_neutral in faces(head, np.random.default_rng(seed), n_heads, per_head):
        found = search(networks, image)
        tracked = refine(networks, image, largest(found)) if found else None
        if tracked is None:
            continue
        height, width = image.shape[:2]
        raw = face.measure(collect([Seen(0.0, width, height, tracked, light(tracked.crop), 0.0)]), networks.canonical)
        if raw.valid[0]:
            values = np.array([raw.column(name)[0] for name in MEASURES], np.float64)
            yield values, np.array([truth[name] for name in TARGETS]), person, is_neutral


def ridge(x: FloatArray, y: FloatArray, penalty: float) -> tuple[FloatArray, FloatArray]:
    """Weights [shape=(k, m)] and offset [shape=(m,)] of a ridge regression on standardised inputs."""
    middle = x.mean(axis=0)
    centred = x - middle
    weights = solve(centred.T @ centred + penalty * np.eye(x.shape[1]), centred.T @ (y - y.mean(axis=0)))
    return weights, y.mean(axis=0) - middle @ weights


def choose_penalty(x: FloatArray, y: FloatArray, person: npt.NDArray[np.int64]) -> float:
    """The penalty with the least error over folds in which nobody is on both sides."""
    errors = []
    for penalty in PENALTIES:
        squares = []
        for fold in range(FOLDS):
            test = person % FOLDS == fold
            weights, offset = ridge(x[~test], y[~test], penalty)
            squares.append(((np.clip(x[test] @ weights + offset, 0, 5) - y[test]) ** 2).mean())
        errors.append(float(np.mean(squares)))
    return PENALTIES[int(np.argmin(errors))]


def pspi_of(y: FloatArray) -> FloatArray:
    """PSPI of intensities in the order of TARGETS; AU43 counts as shut from 3 on."""
    of = {name: y[:, k] for k, name in enumerate(TARGETS)}
    return np.asarray(
        of["AU4"] + np.maximum(of["AU6"], of["AU7"]) + np.maximum(of["AU9"], of["AU10"]) + (of["AU43"] >= 3)
    )


def fit_case(
    x: FloatArray, y: FloatArray, person: npt.NDArray[np.int64], test: npt.NDArray[np.bool_], relative: bool
) -> tuple[dict[str, object], dict[str, dict[str, float]]]:
    """One estimator and how it does on people it has not seen."""
    centre = np.zeros(x.shape[1]) if relative else x[~test].mean(axis=0)
    scale = np.maximum(x[~test].std(axis=0), LEAST_SCALE)
    scaled = (x - centre) / scale
    penalty = choose_penalty(scaled[~test], y[~test], person[~test])
    weights, offset = ridge(scaled[~test], y[~test], penalty)
    if relative:  # at the person's own neutral nothing is active
        offset = np.minimum(offset, 0.0)
    guess = np.clip(scaled[test] @ weights + offset, 0, 5)
    results = {
        name: {
            "r": float(np.corrcoef(guess[:, k], y[test][:, k])[0, 1]),
            "mae": float(np.abs(guess[:, k] - y[test][:, k]).mean()),
        }
        for k, name in enumerate(TARGETS)
    }
    true_pspi, guessed_pspi = pspi_of(y[test]), pspi_of(guess)
    results["PSPI"] = {
        "r": float(np.corrcoef(true_pspi, guessed_pspi)[0, 1]),
        "mae": float(np.abs(true_pspi - guessed_pspi).mean()),
    }
    part = {
        "centre": centre,
        "scale": scale,
        "weights": weights,
        "offset": offset,
        "spread": np.sqrt(((guess - y[test]) ** 2).mean(axis=0)),
    }
    return {key: np.round(value, 6).tolist() for key, value in part.items()} | {"penalty": penalty}, results


def main() -> None:
    """Command line: see the module's docstring."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--head", type=Path, required=True, help="folder FaceXModel of ICT-FaceKit, or an npz of it")
    parser.add_argument("--out", type=Path, default=Path("painsense/weights"))
    parser.add_argument("--heads", type=int, default=500)
    parser.add_argument("--per-head", type=int, default=7)
    parser.add_argument("--seed", type=int, default=20)
    parser.add_argument("--cache", type=Path, help="npz to keep the measured faces in, so that a second fit is quick")
    options = parser.parse_args()

    if options.cache and options.cache.exists():
        stored = np.load(options.cache)
        x, y, person, neutral = stored["x"], stored["y"], stored["person"], stored["neutral"]
    else:
        rows = list(measure_faces(load_head(options.head), options.seed, options.heads, options.per_head))
        x, y = np.array([row[0] for row in rows]), np.array([row[1] for row in rows])
        person, neutral = np.array([row[2] for row in rows]), np.array([row[3] for row in rows])
        if options.cache:
            np.savez(options.cache, x=x, y=y, person=person, neutral=neutral)

    at_rest = {int(p): row for p, row in zip(person[neutral], x[neutral], strict=True)}
    keep = np.array([int(p) in at_rest for p in person]) & ~neutral
    change = x[keep] - np.array([at_rest[int(p)] for p in person[keep]])
    people = np.unique(person)
    tested = np.isin(person[keep], people[int(len(people) * (1 - TEST_SHARE)) :])
    content: dict[str, object] = {
        "version": VERSION,
        "targets": TARGETS,
        "inputs": MEASURES,
        "people": len(people),
        "faces": int(keep.sum()),
        "seed": options.seed,
        "open_eye": float(
            np.round(np.median(x[neutral][:, [MEASURES.index(f"eye_opening_{s}") for s in ("right", "left")]]), 4)
        ),
    }
    metrics: dict[str, object] = {
        "people_tested": len(np.unique(person[keep][tested])),
        "faces_tested": int(tested.sum()),
    }
    for case, values in (("with_neutral", change), ("without_neutral", x[keep])):
        content[case], metrics[case] = fit_case(values, y[keep], person[keep], tested, case == "with_neutral")
    content["metrics"] = metrics
    path = options.out / "action_units.json"
    path.write_text(json.dumps(content, separators=(",", ":")) + "\n", encoding="utf-8")
    _stamp(options.out / "manifest.json", path)
    for case in ("with_neutral", "without_neutral"):
        print(case, {name: {k: round(v, 2) for k, v in row.items()} for name, row in metrics[case].items()})  # type: ignore[attr-defined]


def _stamp(manifest: Path, weights: Path) -> None:
    """Write the weights' line in the manifest."""
    content = json.loads(manifest.read_text(encoding="utf-8"))
    data = weights.read_bytes()
    entry = {
        "name": "action_units",
        "file": weights.name,
        "version": VERSION,
        "size_bytes": len(data),
        "sha256": hashlib.sha256(data).hexdigest(),
        "licence": "Apache-2.0",
        "source": "painsense, fitted by training/fit_action_units.py on rendered ICT-FaceKit heads (MIT)",
    }
    content["installed"] = [entry] + [e for e in content["installed"] if e["name"] != entry["name"]]
    manifest.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
