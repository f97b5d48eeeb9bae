"""How good a run is: every figure about people its networks did not see, plots of them, and a page to read.

    python -m training.fusion.evaluate RUN --out FOLDER
    python -m training.fusion.evaluate MODEL.onnx --data CACHE --out FOLDER

RUN is the folder :mod:`training.fusion.train` made; MODEL.onnx an exported model, which is judged by recordings of
people it has not learned from. FOLDER gets ``metrics.json`` (:data:`SCHEMA`), ``plots/*.svg`` and ``evaluation.html``,
which needs no network.

    --data CACHE            what the run was trained on, for figures by the pose of the head; of a model: who judges it
    --labels KIND           of a model: the kind of label to judge by, if CACHE has several and none is its own
    --face-alone RUN        a run that saw faces only, and
    --voice-alone RUN       one that heard voices only: what a missing modality costs against a network without it

People are the sample size: intervals are 95% and come from drawing people. Scores are judged wherever there is one,
whether the interval is narrow enough to be shown or not; the abstention curve says what leaving out changes.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from painsense.errors import PainsenseError
from painsense.output import write_together
from training.errors import TrainingError
from training.fusion import comparisons, external, figures, groups, page, reliability
from training.fusion.calibrate import Predictions
from training.fusion.judged import MIN_OWN, MIN_PEOPLE, MIN_WINDOWS, PAIN, confusers, of_view, rows_of, view
from training.fusion.network import CASES
from training.fusion.train import PREDICTIONS, RUN, SAMPLES

SCHEMA = "painsense.fusion.metrics/1"
DRAWS = 500
POSES_DEG = ((0.0, 10.0), (10.0, 25.0), (25.0, 90.0))  # of the larger of yaw and pitch: from, to below
DEFINITIONS = {
    "pain": f"windows whose mean level is {PAIN:g} or more of 10",
    "confusers": f"windows below {PAIN:g} that mostly show something that is neither pain nor rest; where what is "
    f"shown is not known, all windows below {PAIN:g}",
    "auroc, aupr": "pain against confusers; windows of rest and of weak pain are left out unless another set is named",
    "levels": "whole steps of the label's own scale, for QWK, UAR and macro-MAE",
    "within": "after each person's own mean is taken from labels and scores (Bland & Altman 1995)",
    "by_person": f"mean over people of each person's own figure, of those with {MIN_OWN} windows or more",
    "intervals": "95%, percentiles of a bootstrap over people",
    "hidden": f"cells with fewer than {MIN_PEOPLE} people or {MIN_WINDOWS} windows that have a label and a score",
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line: see the module's docstring."""
    parser = argparse.ArgumentParser(prog="python -m training.fusion.evaluate", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)  # fmt: skip
    parser.add_argument("run", type=Path, help="folder of a run that was trained, or an exported model")
    parser.add_argument("--out", type=Path, required=True, help="folder for metrics.json, plots and evaluation.html")
    parser.add_argument("--data", type=Path, help="the recordings of the run, for figures by pose")
    parser.add_argument("--labels", default="", help="kind of label a model is judged by")
    parser.add_argument("--face-alone", type=Path, help="a run of the same data that saw faces only")
    parser.add_argument("--voice-alone", type=Path, help="a run of the same data that heard voices only")
    parser.add_argument("--draws", type=int, default=DRAWS, help=f"of the bootstrap over people, {DRAWS} if not given")
    options = parser.parse_args(arguments)
    try:
        if options.draws < 10:
            raise TrainingError(f"--draws: 10 or more was expected, {options.draws} came; {DRAWS} is usual")
        alone = {"face": options.face_alone, "voice": options.voice_alone}
        if options.run.suffix == ".onnx":
            if any(alone.values()):
                raise TrainingError("--face-alone, --voice-alone: a run was expected beside them, a model came")
            found = of_model(options.run, options.data, options.labels, options.draws)
        else:
            found = of_run(options.run, options.data, alone, options.draws)
        written = write(found, options.out)
    except PainsenseError as error:
        print(error, file=sys.stderr)
        return 1
    for line in page.summary(found):
        print(line)
    print(written)
    return 0


def of_run(
    run: Path, data: Path | None = None, alone: Mapping[str, Path | None] | None = None, draws: int = DRAWS
) -> dict[str, Any]:
    """All figures of a run; TrainingError where the folder is not one, or the others are not of the same data."""
    said = Predictions.load(run / PREDICTIONS)
    about = _run_json(run)
    beside = {name: Predictions.load(path / PREDICTIONS) for name, path in (alone or {}).items() if path is not None}
    known: dict[str, npt.NDArray[np.str_]] = {}
    if (run / SAMPLES).exists():
        known["neutral"] = _neutral(said, run / SAMPLES)
    if data is not None:
        known["pose"] = _pose(said, data)
    return evaluate(said, about, known, beside, draws)


def of_model(model: Path, data: Path | None, labels: str = "", draws: int = DRAWS) -> dict[str, Any]:
    """All figures of an exported model on recordings of people it has not learned from; errors as in ``external``."""
    if data is None:
        raise TrainingError("--data: recordings to judge the model by were expected, none came; prepare and name some")
    said, about = external.of_model(model, data, labels)
    return evaluate(said, about, {"pose": _pose(said, data)}, None, draws)


def evaluate(
    said: Predictions,
    about: Mapping[str, Any],
    known: Mapping[str, npt.NDArray[np.str_]] | None = None,
    alone: Mapping[str, Predictions] | None = None,
    draws: int = DRAWS,
) -> dict[str, Any]:
    """All figures, as they stand in the metrics file: plain JSON, four decimals, None where there is no figure.

    Parameters
    ----------
    about : what ``run.json`` says: settings, commit, data
    known : further things people or windows are grouped by, name -> [shape=(n,)], "" where not known
    alone : predictions of runs that saw one modality only, "face" and "voice"
    """
    settings = about["settings"]
    limit = float(settings["abstain_width"])
    views = {name: view(said, name) for name in ("as_recorded", *CASES)}
    main_view = views["as_recorded"]
    if not len(main_view):
        raise TrainingError(
            f"predictions: windows with a label ({said.head}) and a score were expected, none came; evaluate a run "
            "whose judged people have labels"
        )
    told_by = groups.groups(said, known or {})
    result: dict[str, Any] = {
        "schema": SCHEMA,
        "about": {
            **{name: about.get(name) for name in ("commit", "data", "fingerprint", "painsense", "torch")},
            "name": settings["name"],
            "dataset": settings["dataset"],
            "notes": settings.get("notes", ""),
            "head": said.head,
            "split": settings["split"],
            "folds": len(np.unique(said.fold)),
            "people": len(np.unique(said.subject)),
            "recordings": len(np.unique(said.clip)),
            "windows": len(said),
            "labelled": int(np.isfinite(said.truth).sum()),
            "draws": draws,
        },
        "definitions": {**DEFINITIONS, "confuser_kinds": confusers(said)},
        "ways": {name: of_view(each, draws) for name, each in views.items()},
        "baselines": comparisons.baselines(said, draws),
        "detection": comparisons.detection(said, draws),
        "expressions": comparisons.expressions(said, draws),
        "missing": comparisons.missing(said, alone or {}, draws),
        "pspi": comparisons.pspi(said),
        "intervals": {name: reliability.intervals(each) for name, each in views.items()},
        "calibration": reliability.calibration(said, main_view, rows_of(said, "as_recorded")),
        "abstention": reliability.abstention(main_view, limit),
        "agreement": reliability.agreement(main_view, draws),
        "failures": groups.failures(said, limit, told_by),
        "groups": groups.by_group(said, main_view, told_by, limit, draws),
    }
    result["goals"] = goals(result) if settings["dataset"] == "simulated" else []
    clean: dict[str, Any] = plain(result)
    return clean


def write(found: Mapping[str, Any], out: Path) -> Path:
    """The metrics file, the plots and the page; where the page lies."""
    plots = figures.draw(found)
    content = json.dumps(found, indent=1, allow_nan=False, ensure_ascii=False) + "\n"
    write_together(out / "plots", {f"{name}.svg": [svg.encode()] for name, svg in plots.items()})
    write_together(out, {"metrics.json": [content.encode()], "evaluation.html": [page.to_html(found, plots).encode()]})
    return out / "evaluation.html"


# --- what is judged ---------------------------------------------------------------------------------------------------


def _run_json(run: Path) -> dict[str, Any]:
    path = run / RUN
    try:
        about: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        settings = about["settings"]
        float(settings["abstain_width"])
        if not {"name", "dataset", "split"} <= set(settings):
            raise KeyError("name, dataset, split")
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise TrainingError.at(
            path, f"what a training run wrote down about itself was expected ({error!r})",
            "give the folder of a run that training.fusion.train has finished",
        ) from error  # fmt: skip
    return about


def _neutral(said: Predictions, path: Path) -> npt.NDArray[np.str_]:
    """Whether the face was read beside the person's own neutral, "" without a face."""
    from training.fusion.samples import Samples

    samples = Samples.load(path)
    place = {(int(clip), float(end)): k for k, (clip, end) in enumerate(zip(samples.clip, samples.end_s, strict=True))}
    try:
        rows = [place[int(clip), float(end)] for clip, end in zip(said.clip, said.end_s, strict=True)]
    except KeyError as error:
        raise TrainingError.at(
            path, "the windows that were judged were expected, others came", "train into a new folder"
        ) from error
    with_neutral = np.nan_to_num(samples.face[rows][..., -1]).max(axis=1) > 0
    return np.where(np.isfinite(said.score[1]), np.where(with_neutral, "neutral known", "neutral not known"), "")


def _pose(said: Predictions, data: Path) -> npt.NDArray[np.str_]:
    """Band of the larger of yaw and pitch in each window, "" without a face."""
    from painsense import windows as grids
    from training.fusion.samples import recordings

    places = {clip.id: k for k, clip in enumerate(said.clips)}
    turned = np.full(len(said), np.nan)
    met = False
    for recording in recordings(data):
        number = places.get(recording.clip.id)
        if number is None or recording.face is None or not len(recording.face):
            met |= number is not None
            continue
        met = True
        grid = grids.grid(recording.duration_s)
        angle = np.abs(grids.means(recording.face, ("yaw_deg", "pitch_deg"), grid)).max(axis=1)
        own = np.flatnonzero(said.clip == number)
        at = (
            np.rint((said.start_s[own] - grid.start_s[0]) / (grid.start_s[1] - grid.start_s[0])) if len(grid) > 1 else 0
        )
        turned[own] = angle[np.clip(np.asarray(at, np.int64), 0, len(grid) - 1)]
    if not met:
        raise TrainingError.at(
            data, "the recordings of the run were expected, others came", "give the run's own --data"
        )
    result = np.full(len(said), "", dtype="<U16")
    for low, high in POSES_DEG:
        with np.errstate(invalid="ignore"):
            result[(turned >= low) & (turned < high)] = f"{low:.0f}-{high:.0f}°"
    return result


# --- figures ----------------------------------------------------------------------------------------------------------


def goals(found: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The stated goals for simulated people, what came, and whether they are met; not measured is not met."""
    against = found["detection"]["against"].get("confusers", {}).get("auroc", {})

    def row(what: str, least: float, most: float, value: float | None, bound: str) -> dict[str, Any]:
        known = value is not None and np.isfinite(value)
        return {"what": what, "goal": bound, "came": value, "met": bool(known and least <= float(value or 0) <= most)}

    def of(way: str, name: str) -> float | None:
        value: float | None = found["ways"][way]["pooled"].get(name, {}).get("value")
        return value

    rows = [
        row(f"PCC, {words}", 0.9, 1, of(way, "pcc"), "at least 0.90")
        for way, words in (("both", "windows with face and voice"), ("as_recorded", "all windows that have a score"))
    ]
    rows += [
        row(f"90% intervals, {words}", 0.87, 0.93, found["intervals"][way]["coverage"], "87% to 93%")
        for way, words in (("as_recorded", "as recorded"), ("face", "face alone"), ("voice", "voice alone"))
    ]
    rows += [
        row("AUROC of pain against all confusers, both modalities", 0.95, 1, of("both", "auroc"), "at least 0.95"),
        row("the same above PSPI alone, same windows", 0.05, 1, against.get("above_rule", {}).get("value"),
            "at least 0.05"),
    ]  # fmt: skip
    for name, case in found["missing"]["against_alone"].items():
        rows.append(row(f"PCC of {name} alone less that of a network trained on it alone", -0.01, 2,
                        case["difference"]["pcc"]["value"], "-0.01 or more"))  # fmt: skip
    return rows


def plain(value: Any) -> Any:
    """JSON's own types; figures with four decimals, NaN as None."""
    if isinstance(value, Mapping):
        return {str(key): plain(part) for key, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(part) for part in value]
    if isinstance(value, (bool, np.bool_)):
        return bool(value)
    if isinstance(value, (int, np.integer)):
        return int(value)
    if isinstance(value, (float, np.floating)):
        return round(float(value), 4) if np.isfinite(value) else None
    return value


if __name__ == "__main__":
    sys.exit(main())
