"""Train the action unit network, and write all that ships with it.

    python -m training.train_action_units --data faces [--clips recordings]

``--data`` is a data set made by :mod:`training.simulate.dataset`. Writes ``face_shape.npz`` and ``action_units.onnx``
with their lines in the manifest, the golden samples of the parity test, ``docs/metrics/action_units.json`` and the two
documents made from it, ``docs/action-units.md`` and the model card. With ``--clips``, a folder of real recordings, it
also measures those (see :mod:`training.real_faces`); without it, what was measured last time stays. The same data and
seed give the same files.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from painsense import action_units, assets, baseline, face
from painsense.action_units import MOST, estimate_track
from painsense.canonical import CanonicalFace
from painsense.spec import ModelSpec
from training import face_shape, learn
from training.learn import SHUT_READ, SHUT_TRUTH, Fit, pspi_of, pspi_sd
from training.network import LEVELS, ActionUnitNetwork
from training.predictions import About, Case, Lever, Predictions
from training.samples import IntArray, Samples, aligned_faces, parts, prepare, raw_track
from training.simulate.dataset import AT_REST, SEQUENCE, WEAR, Faces, load
from training.simulate.episodes import closures
from training.simulate.head import AU_NAMES
from training.yardsticks import Inputs, yardsticks

NAME, VERSION, LICENCE = "action_units", "simulated-1", "Apache-2.0"
SOURCE = "painsense, learned from rendered ICT-FaceKit heads (MIT)"
RECIPE = "training.simulate.dataset, training.train_action_units"
EVEN, ODD = 64, 32
GOLDEN = 96
FIT = Fit()
NOTES = (
    "Learned from rendered faces only. It reads expression, not pain. Strong expressions are read somewhat too weak. "
    "Units of the mouth cannot be read under a mask. Not validated on FACS-coded faces or on patients."
)


def case_of(
    network: ActionUnitNetwork, samples: Samples, faces: Faces, rows: IntArray, interval: dict[str, float], known: bool
) -> Predictions:
    """What the network says of single faces, beside the truth."""
    neutral = samples.full_neutral(rows)
    shown = neutral if known else np.full_like(neutral, np.nan)
    intensity, spread = learn.read(network, samples.features[rows], shown)
    pspi = pspi_of(intensity[:, 0], SHUT_READ)
    deviation = pspi_sd(intensity[:, 0], spread[:, 0])
    low, high = (np.clip(pspi + interval[end] * deviation, 0, 16) for end in ("pspi_low", "pspi_high"))
    truth = samples.truth[rows, 0]
    return Predictions(
        targets=AU_NAMES,
        truth=truth,
        estimate=intensity[:, 0],
        spread=spread[:, 0],
        pspi_truth=pspi_of(truth, SHUT_TRUTH),
        pspi=pspi,
        pspi_low=low,
        pspi_high=high,
        **described(faces, samples, rows),
        sequence=np.full(len(rows), -1),
        time_s=np.zeros(len(rows)),
    )


def described(faces: Faces, samples: Samples, rows: IntArray) -> dict[str, Any]:
    """Who is in these pictures and how they were taken."""
    return {
        "person": faces.person[rows],
        "yaw_deg": faces.turn_deg[rows, 0],
        "pitch_deg": faces.turn_deg[rows, 1],
        "skin_tone": faces.skin_tone[rows],
        "wear_names": WEAR,
        "wear": faces.wear[rows],
        "face_px": samples.features[rows, samples.names.index("face_px")],
        "kind": faces.kind[rows],
    }


def sequences_of(faces: Faces, samples: Samples, canonical: CanonicalFace, known: bool) -> Predictions:
    """What painsense itself, with the weights just written, says of the sequences of people kept for the test."""
    parts_: list[dict[str, Any]] = []
    for person in np.unique(faces.person[faces.role == SEQUENCE]):
        rows = np.flatnonzero((faces.role == SEQUENCE) & (faces.person == person))
        rest = np.flatnonzero((faces.role == AT_REST) & (faces.person == person) & samples.usable)
        if not len(rest):
            continue
        neutral = None
        if known:
            neutral = baseline.from_rest(raw_track(faces, rest, canonical), "rest")
        time_s, truth = faces.time_s[rows].astype(np.float64), samples.truth[rows, 0]
        track = estimate_track(raw_track(faces, rows, canonical, time_s), neutral)
        closed = closures(time_s, truth[:, AU_NAMES.index("AU43")].astype(np.float64))[0]
        of = {name: truth[:, k] for k, name in enumerate(AU_NAMES)}
        # the track's AU43 says whether the eyes are shut for long; here it stands for how far they are closed
        intensity = {name: track.column(name) for name in AU_NAMES} | {"AU43": MOST * track.column("eye_closure")}
        spread = {name: track.column(f"{name}_sd") for name in AU_NAMES if name != "AU43"}
        parts_.append(
            {
                "truth": truth,
                "estimate": np.stack([intensity[name] for name in AU_NAMES], axis=1),
                "spread": np.stack([spread.get(name, np.zeros(len(rows))) for name in AU_NAMES], axis=1),
                "pspi_truth": action_units.pspi(
                    of["AU4"], of["AU6"], of["AU7"], of["AU9"], of["AU10"], closed.astype(np.float32)
                ),
                **{name: track.column(name) for name in ("pspi", "pspi_low", "pspi_high")},
                **described(faces, samples, rows),
                "sequence": np.full(len(rows), person),
                "time_s": time_s,
            }
        )
    joined = {
        key: np.concatenate([part[key] for part in parts_]) for key in parts_[0] if key not in ("wear_names", "targets")
    }
    return Predictions(targets=AU_NAMES, wear_names=WEAR, **joined)


def score(predictions: Predictions, name: str, kept: bool, note: str = "") -> Lever:
    """A row of the table of levers, from single faces within 25 degrees."""
    from training.evaluate import POSE_LIMIT_DEG, PSPI_UNITS
    from training.metrics import mae, pearson

    near = predictions.rows(predictions.turned_deg <= POSE_LIMIT_DEG)
    columns = [AU_NAMES.index(unit) for unit in PSPI_UNITS]
    each = [pearson(near.truth[:, k], near.estimate[:, k]) for k in columns]
    return Lever(
        name,
        float(np.mean(each)),
        pearson(near.pspi_truth, near.pspi),
        mae(near.pspi_truth, near.pspi),
        kept,
        note,
    )


def try_levers(samples: Samples, faces: Faces, shipped: Predictions, say: Callable[[str], None]) -> list[Lever]:
    """What each choice gave: the network trained anew with one thing changed, beside what is ``shipped``."""
    train, hold, test = (samples.of(part) for part in ("train", "calibrate", "test"))
    few = train[samples.person[train] < np.quantile(np.unique(samples.person[train]), 0.2)]
    one = replace(samples, neutral=np.repeat(samples.neutral[:, :1], samples.neutral.shape[1], axis=1))

    def without(prefix_or_names: Callable[[str], bool]) -> Samples:
        blank = samples.features.copy()
        still = samples.neutral.copy()
        columns = [k for k, name in enumerate(samples.names) if prefix_or_names(name)]
        blank[:, columns] = 0.0
        still[..., columns] = np.where(np.isnan(still[..., columns]), np.nan, 0.0)
        return replace(samples, features=blank, neutral=still)

    from painsense.landmarks import BLENDSHAPES

    trials: list[tuple[str, Samples, IntArray, Fit]] = [
        ("a fifth of the people", samples, few, FIT),
        ("one frame as neutral", one, train, FIT),
        ("no blendshapes", without(lambda name: name in BLENDSHAPES), train, FIT),
        ("no mesh, only geometry and blendshapes", without(lambda name: name.startswith("shape_")), train, FIT),
        ("no likelihood of PSPI beside that of the units", samples, train, replace(FIT, pspi_weight=0.0)),
        ("nothing added to what is seen", samples, train, replace(FIT, noise=0.0, stranger=0.0)),
        ("a larger network (512, 384, 256)", samples, train, replace(FIT, hidden=(512, 384, 256))),
    ]
    rows = [score(shipped, "as shipped", True)]
    for name, seen, used, how in trials:
        network = learn.fit(seen, used, how, lambda line: None)
        interval = learn.calibrate(network, seen, hold)
        said = case_of(network, seen, faces, test, interval["with_neutral"], True)
        rows.append(score(said, name, False))
        say(f"{name}: mean r {rows[-1].mean_r:.3f}, PSPI r {rows[-1].pspi_r:.3f}, MAE {rows[-1].pspi_mae:.2f}")
    return rows


def spec_of(samples: Samples, faces: Faces, index: dict[str, Any], interval: dict[str, dict[str, float]]) -> ModelSpec:
    """What the network says of itself."""
    trained = samples.of("train")
    needed = {entry.name: entry.sha256 for entry in (*assets.manifest().external, *assets.manifest().installed)}
    return ModelSpec(
        name=NAME,
        version=VERSION,
        licence=LICENCE,
        features=samples.names,
        targets=AU_NAMES,
        outputs={
            "intensity": "[n, 3, m] FACS intensity 0-5; both sides' mean, left, right",
            "spread": "[n, 3, m] standard deviation; intensity +- 1.645 of it holds the truth in 90% of held-out faces",
        },
        requires={name: needed[name] for name in ("face_landmarker", "face_shape")},
        training={
            "recipe": RECIPE,
            "source": SOURCE,
            "people": len(np.unique(samples.person[trained])),
            "faces": len(trained),
            "data_seed": int(index["recipe"]["seed"]),
            "fit_seed": FIT.seed,
            "epochs": FIT.epochs,
        },
        calibration=interval,
        notes=NOTES,
    )


def main() -> None:
    """Command line: see the module's docstring."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="data set made by training.simulate.dataset")
    parser.add_argument("--clips", type=Path, help="folder of real recordings to measure, too")
    parser.add_argument("--levers", action="store_true", help="also train without each of the things that help")
    options = parser.parse_args()
    torch.set_num_threads(1)  # with several, sums come in another order each time

    from export import model_card, parity, to_onnx
    from training import evaluate, real_faces

    out, root = assets.WEIGHTS, assets.WEIGHTS.parent.parent
    faces, index = load(options.data)
    canonical = CanonicalFace.from_bundle(assets.read_face_model()["geometry_pipeline_metadata_landmarks.binarypb"])
    people = parts(faces.person) == "train"
    print(f"{len(faces)} faces of {len(np.unique(faces.person))} people")

    aligned = aligned_faces(faces, canonical)[people]
    shape = face_shape.fit(aligned, faces.person[people], face_shape.mirror_landmarks(canonical), EVEN, ODD)
    del aligned
    face_shape.save(out / "face_shape.npz", shape)
    to_onnx.stamp(out / "manifest.json", to_onnx.entry(out / "face_shape.npz", "face_shape", VERSION, LICENCE, SOURCE))
    _forget()
    samples = prepare(faces, canonical, [str(name) for name in shape["names"]])

    network = learn.fit(samples, samples.of("train"), FIT)
    interval = learn.calibrate(network, samples, samples.of("calibrate"))
    spec = spec_of(samples, faces, index, interval)
    test = samples.of("test")
    golden = test[np.linspace(0, len(test) - 1, GOLDEN).astype(int)]
    neutral = samples.full_neutral(golden).copy()
    neutral[::3] = np.nan
    shown = (samples.features[golden], neutral)
    path = out / "action_units.onnx"
    to_onnx.export(network, spec, tuple(torch.from_numpy(part) for part in shown), path)
    to_onnx.stamp(out / "manifest.json", to_onnx.entry(path, NAME, VERSION, LICENCE, SOURCE))
    everything = (samples.features[test], samples.full_neutral(test))
    print(f"parity with torch: {parity.check(network, path, everything)}")
    parity.write_golden(network, shown)
    _forget()

    cases = {}
    train = samples.of("train")
    for name, known in (("with_neutral", True), ("without_neutral", False)):

        def seen(rows: IntArray, known: bool = known) -> Inputs:
            still = samples.full_neutral(rows)
            return Inputs(samples.features[rows], still if known else np.full_like(still, np.nan))

        beside = yardsticks(
            seen(train), samples.truth[train, 0], samples.person[train], seen(test), samples.names, AU_NAMES, SHUT_TRUTH
        )
        single = case_of(network, samples, faces, test, interval[name], known)
        cases[name] = Case(single, beside, sequences_of(faces, samples, canonical, known))
    about = About(
        name=NAME,
        version=VERSION,
        licence=LICENCE,
        features=samples.names,
        targets=AU_NAMES,
        hidden=FIT.hidden,
        levels=len(LEVELS),
        parameters=sum(parameter.numel() for parameter in network.parameters()),
        size_bytes=path.stat().st_size,
        heads=int(spec.training["people"]),
        faces=int(spec.training["faces"]),
        seed=int(spec.training["data_seed"]),
        source=SOURCE,
    )
    metrics_file = model_card.METRICS
    before = json.loads(metrics_file.read_text(encoding="utf-8")) if metrics_file.exists() else {}
    real = real_faces.measure(options.clips) if options.clips else before.get("real")
    levers = (
        try_levers(samples, faces, cases["with_neutral"].single, print)
        if options.levers
        else [Lever(**row) for row in before.get("levers", [])]
    )
    metrics = evaluate.evaluate(cases, about, levers, real)
    evaluate.write(metrics, metrics_file, root / "docs" / "action-units.md")
    model_card.main()


def _forget() -> None:
    """Weights have been written: what was read of the earlier ones must not be used any more."""
    for cached in (assets.manifest, action_units._estimator, face.shipped_shape):
        cached.cache_clear()


if __name__ == "__main__":
    main()
