"""Fit the linear action unit estimator on rendered faces whose action units are known.

    python -m training.fit_action_units --head FaceXModel --out painsense/weights

Draws random people with random expressions (:mod:`training.simulate.faces`), measures them with painsense's own
landmark networks and geometry, fits a ridge regression with and without the person's neutral, tests it on people it
has not seen, and writes ``action_units.json`` with its line in the manifest, and its document. The same seed gives
the same weights.
"""

from __future__ import annotations

import argparse
import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from numpy.linalg import solve
from sklearn.isotonic import IsotonicRegression

from painsense import action_units, face
from painsense.action_units import ESTIMATED
from painsense.baseline import MEASURES
from painsense.follow import Seen, collect, light
from painsense.landmarks import FaceNetworks, largest, refine, search
from training.simulate.faces import faces
from training.simulate.head import Head, load_head

FloatArray = npt.NDArray[np.float64]

VERSION = "linear-2"
TEST_SHARE = 0.2
#: inputs that hardly move in simulation (blendshapes that are dead) are not blown up: noise of real faces would be, too
LEAST_SCALE = np.array([0.005 if name in {measure.name for measure in face.GEOMETRY} else 0.03 for name in MEASURES])
PENALTIES = (3.0, 10.0, 30.0, 100.0, 300.0, 1000.0)
FOLDS = 5
KNOTS = np.array([0.0, 0.25, 0.5, 0.75, 1.0, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0])
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


def calibrate(guess: FloatArray, truth: FloatArray) -> tuple[FloatArray, FloatArray]:
    """What a linear guess means: mean and standard deviation of the truth at each of KNOTS, each [shape=(m, K)].

    A line through many zeros and a few strong intensities reads strong ones as weak; the rising curve of the truth's
    mean over the guess (isotonic regression) takes that out. A guess of 0 stays 0.
    """
    levels, spreads = [], []
    for k in range(truth.shape[1]):
        curve = IsotonicRegression(y_min=0, y_max=5, out_of_bounds="clip").fit(guess[:, k], truth[:, k])
        smooth = np.array([curve.predict(np.linspace(max(g - 0.25, 0), g + 0.25, 11)).mean() for g in KNOTS])
        smooth[0] = 0.0
        left = (truth[:, k] - np.interp(guess[:, k], KNOTS, smooth)) ** 2
        near = [np.exp(-(((guess[:, k] - g) / 0.5) ** 2)) + 1e-4 for g in KNOTS]
        levels.append(smooth)
        spreads.append([np.sqrt(np.average(left, weights=weight)) for weight in near])
    return np.array(levels), np.array(spreads)


def read(guess: FloatArray, levels: FloatArray, spreads: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Calibrated intensities and their spread, each [shape=(n, m)]."""
    columns = range(guess.shape[1])
    return (
        np.stack([np.interp(guess[:, k], KNOTS, levels[k]) for k in columns], axis=1),
        np.stack([np.interp(guess[:, k], KNOTS, spreads[k]) for k in columns], axis=1),
    )


def pspi_sd(intensity: FloatArray, spread: FloatArray) -> FloatArray:
    """Standard deviation of PSPI from those of its parts, by the rule the package uses."""
    au = {name: intensity[:, k].astype(np.float32) for k, name in enumerate(TARGETS)}
    sd = {name: spread[:, k].astype(np.float32) for k, name in enumerate(TARGETS)}
    return np.asarray(action_units.pspi_deviation(au, sd), np.float64)


def fit_case(
    x: FloatArray, y: FloatArray, person: npt.NDArray[np.int64], test: npt.NDArray[np.bool_], relative: bool
) -> tuple[dict[str, object], dict[str, dict[str, float]]]:
    """One estimator and how it does on people it has not seen."""
    centre = np.zeros(x.shape[1]) if relative else x[~test].mean(axis=0)
    scale = np.maximum(x[~test].std(axis=0), LEAST_SCALE)
    scaled = (x - centre) / scale
    own, truth, whose = scaled[~test], y[~test], person[~test]
    penalty = choose_penalty(own, truth, whose)

    def linear(train: npt.NDArray[np.bool_]) -> tuple[FloatArray, FloatArray]:
        weights, offset = ridge(own[train], truth[train], penalty)
        return weights, np.minimum(offset, 0.0) if relative else offset  # at the person's own neutral nothing is active

    # the calibration is learned from guesses about people who were not in that fold's fit
    guess = np.zeros_like(truth)
    for fold in range(FOLDS):
        left_out = whose % FOLDS == fold
        weights, offset = linear(~left_out)
        guess[left_out] = np.clip(own[left_out] @ weights + offset, 0, 5)
    levels, spreads = calibrate(guess, truth)
    intensity, spread = read(guess, levels, spreads)
    errors = (pspi_of(truth) - pspi_of(intensity)) / pspi_sd(intensity, spread)
    interval = np.quantile(errors, [0.05, 0.95])

    weights, offset = linear(np.ones(len(own), np.bool_))
    intensity, spread = read(np.clip(scaled[test] @ weights + offset, 0, 5), levels, spreads)
    results = {name: scores(y[test][:, k], intensity[:, k]) for k, name in enumerate(TARGETS)}
    true_pspi, read_pspi, deviation = pspi_of(y[test]), pspi_of(intensity), pspi_sd(intensity, spread)
    low, high = (np.clip(read_pspi + edge * deviation, 0, 16) for edge in interval)
    results["PSPI"] = scores(true_pspi, read_pspi) | {
        "coverage_90": float(((low - 1e-9 <= true_pspi) & (true_pspi <= high + 1e-9)).mean())
    }
    part = {
        "centre": centre,
        "scale": scale,
        "weights": weights,
        "offset": offset,
        "knots": KNOTS,
        "levels": levels,
        "spreads": spreads,
        "pspi_interval": interval,
    }
    return {key: np.round(value, 6).tolist() for key, value in part.items()} | {"penalty": penalty}, results


def scores(truth: FloatArray, guess: FloatArray) -> dict[str, float]:
    """Pearson r and mean absolute error."""
    return {"r": float(np.corrcoef(guess, truth)[0, 1]), "mae": float(np.abs(guess - truth).mean())}


def main() -> None:
    """Command line: see the module's docstring."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--head", type=Path, required=True, help="folder FaceXModel of ICT-FaceKit, or an npz of it")
    parser.add_argument("--out", type=Path, default=Path("painsense/weights"))
    parser.add_argument("--document", type=Path, default=Path("docs/action-units.md"))
    parser.add_argument("--heads", type=int, default=600)
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
    content: dict[str, Any] = {
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
    metrics: dict[str, Any] = {
        "people_tested": len(np.unique(person[keep][tested])),
        "faces_tested": int(tested.sum()),
    }
    for case, values in (("with_neutral", change), ("without_neutral", x[keep])):
        content[case], metrics[case] = fit_case(values, y[keep], person[keep], tested, case == "with_neutral")
    content["metrics"] = metrics
    path = options.out / "action_units.json"
    path.write_text(json.dumps(content, separators=(",", ":")) + "\n", encoding="utf-8")
    _stamp(options.out / "manifest.json", path)
    options.document.write_text(document(content), encoding="utf-8")
    print(f"{path} and {options.document} written")


def document(content: dict[str, Any]) -> str:
    """The document on the estimator, with the results of this very fit."""
    metrics = content["metrics"]
    rows = [
        f"| {name} | {row['r']:.2f} | {row['mae']:.2f} | {other['r']:.2f} | {other['mae']:.2f} |"
        for name, row, other in (
            (name, metrics["with_neutral"][name], metrics["without_neutral"][name]) for name in (*TARGETS, "PSPI")
        )
    ]
    return DOCUMENT.format(
        version=content["version"],
        people=content["people"],
        faces=content["faces"],
        people_tested=metrics["people_tested"],
        faces_tested=metrics["faces_tested"],
        inputs=len(content["inputs"]),
        table="\n".join(rows),
        coverage=metrics["with_neutral"]["PSPI"]["coverage_90"],
        coverage_without=metrics["without_neutral"]["PSPI"]["coverage_90"],
    )


DOCUMENT = """# Action units and PSPI

<!-- written by training/fit_action_units.py: change it there -->

## From landmarks to intensities

The head pose is taken out of the 478 landmarks, and distances are measured in three dimensions in units of the distance
between the outer eye corners (`painsense/face.py`, the geometry table). The person's own neutral is subtracted. A ridge
regression on these {inputs} changes, blendshapes among them, and a curve that undoes its shrinking of strong
intensities give each action unit's FACS intensity from 0 to 5.

MediaPipe's blendshapes alone would not do: their network sees no landmark on the nose wings or cheeks, so that AU9
and AU6, which PSPI needs, stay near zero in it.

PSPI = AU4 + max(AU6, AU7) + max(AU9, AU10) + AU43, 0 to 16 (Prkachin & Solomon 2008, doi:10.1016/j.pain.2008.04.010).
AU43 is 1 when the eyes stay closed for half a second or longer; a shorter closure is a blink and counts neither as
AU43 nor as AU7. Its 90% interval follows from the spread of the action units, which is their error on people not seen
in the fit. The interval of a clip's mean is as wide as that of a frame: the estimator errs the same way on the same
face, so its error does not average out.

## Results ({version})

Nobody may ship weights trained on FACS-coded faces without asking, so the truth comes from rendering: {faces}
pictures of {people} simulated people (ICT-FaceKit, MIT licence; random identity, skin, light, camera and expression,
poses within 25 degrees), seen through the same landmark networks that see patients. Single pictures of
{people_tested} people who were not in the fit ({faces_tested} pictures):

| | r, with neutral | MAE | r, without | MAE |
|---|---|---|---|---|
{table}

The 90% interval of PSPI holds the truth in {coverage:.0%} of these pictures with a neutral, in {coverage_without:.0%}
without.

What limits it is the mesh: it is a smooth model fitted to a picture of 256 pixels, and skin wrinkles are not in it.
Strong expressions are therefore read as weaker than they are (a regression toward the mean), and weak ones are
uncertain.

## On real faces

Real faces are not rendered ones. Against their own neutral, people at rest or talking read PSPI means below 1 in the
recordings the tests use, and a broad smile reads AU12 near 4, but also PSPI 5: cheeks and upper lip rise in a smile,
too. Without a neutral, seven real people at rest read PSPI 0.5 to 4.5 against the average simulated face. That is why
the spread is widened by a factor of 1.75 there, and why a rest clip is worth recording.
"""


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
