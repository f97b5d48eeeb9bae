"""Train the fusion network on a data set that was prepared: every fold, then the model that can be exported.

    python -m training.fusion.train training/fusion/runs/unbc-vas-loso.toml --data CACHE --out RUN

``--data`` is what :mod:`training.fusion.prepare` or :mod:`training.fusion.generator` wrote. ``--out`` gets, for each
fold, its network, its learning curve (CSV, TensorBoard) and what it says of the people it did not see, then all of
that together (``predictions.npz``), the calibrated model (``model.pt``) and how everything was made (``run.json``). A
run that was stopped goes on where it was: give the same command again.

    --workers 2                  folds side by side on this machine
    --cluster tcp://host:8786    folds on a Dask cluster that sees the same --out (pip install 'painsense[cluster]')
    torchrun --nproc-per-node 4 -m training.fusion.train RUN.toml ...      each step on several GPUs
"""

from __future__ import annotations

import argparse
import hashlib
import importlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, replace
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import torch

import painsense
from painsense.errors import PainsenseError
from painsense.output import write_together
from painsense.tracks import FloatArray
from training.errors import TrainingError
from training.fusion import calibrate, learn, settings, splits
from training.fusion.calibrate import Predictions
from training.fusion.cluster import executor
from training.fusion.learn import NETWORK, Team
from training.fusion.network import KNOTS, FusionNetwork
from training.fusion.record import EVALUATION_ONLY, Clip
from training.fusion.samples import PSPI, SIMULATED_SET, TOP, IntArray, Samples, gather, recordings, weights
from training.fusion.settings import Settings
from training.fusion.splits import Split
from training.metrics import mae, pearson

RUN, SAMPLES, PREDICTIONS, MODEL, FOLDS = "run.json", "samples.npz", "predictions.npz", "model.pt", "folds"
#: folds of the simulated people, whose errors of the face are those of different rendered people: judged, calibrated
HELD_FOLD, CALIBRATION_FOLD = "fold-4", "fold-3"


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line: see the module's docstring."""
    parser = argparse.ArgumentParser(prog="python -m training.fusion.train", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)  # fmt: skip
    parser.add_argument("run", type=Path, help="settings, TOML; training/fusion/runs has published ones")
    parser.add_argument("--data", type=Path, required=True, help="recordings that were prepared")
    parser.add_argument("--out", type=Path, required=True, help="folder of the run; a begun one is gone on with")
    parser.add_argument("--workers", type=int, default=1, help="folds side by side on this machine")
    parser.add_argument("--cluster", default="", help="address of a Dask scheduler, such as tcp://host:8786")
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    options = parser.parse_args(arguments)
    try:
        with _Joined(options.device) as team:
            train(options.run, options.data, options.out, team, options.workers, options.cluster, options.device)
    except PainsenseError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def _device(name: str) -> torch.device:
    """A GPU where there is one and nobody wants the CPU."""
    cuda = torch.cuda.is_available()
    if name == "cuda" and not cuda:
        raise TrainingError("--device cuda: a GPU that torch can use was expected, none is there; use --device cpu")
    return torch.device("cuda" if cuda and name != "cpu" else "cpu")


class _Joined:
    """The processes of this run, by torchrun's environment; joined on entry, left on exit."""

    def __init__(self, device: str) -> None:
        self._device = device

    def __enter__(self) -> Team:
        rank, size = int(os.environ.get("RANK", 0)), int(os.environ.get("WORLD_SIZE", 1))
        device = _device(self._device)
        if device.type == "cuda":
            device = torch.device("cuda", int(os.environ.get("LOCAL_RANK", 0)))
            torch.cuda.set_device(device)
        if size > 1:
            torch.distributed.init_process_group("nccl" if device.type == "cuda" else "gloo")
        return Team(rank, size, device)

    def __exit__(self, *_: object) -> None:
        if torch.distributed.is_initialized():
            torch.distributed.destroy_process_group()


def train(
    run: Path,
    data: Path,
    out: Path,
    team: Team = learn.ALONE,
    workers: int = 1,
    cluster: str = "",
    device: str = "auto",
) -> tuple[Predictions, Path]:
    """All of a run; what was said of people who were not seen, and the file of the calibrated model.

    ``device`` ("auto", "cpu", "cuda") is that of the folds a cluster's workers fit; ``team`` has that of this machine.

    Raises
    ------
    TrainingError : the settings, the data or a run that was begun in ``out`` do not fit
    """
    how = settings.read(run)
    if (workers > 1 or cluster) and team.size > 1:
        raise TrainingError(
            "folds side by side (--workers, --cluster) or torchrun was expected, both came; leave one out"
        )
    if team.leads:
        _begin(how, data, out)
    _wait(team)
    samples = Samples.load(out / SAMPLES)
    made = splits_of(samples, how)
    _folds(out, made, team, workers, cluster, device)
    _wait(team)  # until the leader has written what the last fold said
    parts = [Predictions.load(_folder(out, split) / PREDICTIONS) for split in made]
    joined = calibrate.join(parts)
    alone = len(made) == 1
    if not alone and not how.calibration:
        joined = calibrate.across(joined)
    if team.leads:
        joined.save(out / PREDICTIONS)
    _final(samples, made, joined, how, out, team)
    if team.leads:
        print(summary(joined))
        print(f"{out / MODEL}")
    return joined, out / MODEL


def splits_of(samples: Samples, how: Settings) -> tuple[Split, ...]:
    """Who learns and who is judged in each fold of a run."""
    head = samples.head(how.score)
    labelled = np.unique(samples.clip[np.isfinite(samples.targets[head])])
    clips: Sequence[Clip] = [samples.clips[k] for k in labelled]
    if how.subset == "reactive":
        clips = splits.reactive(clips)
    shares: dict[str, Any] = {"validation": how.validation, "calibration": how.calibration, "seed": how.seed}
    if how.split == "loso":
        return splits.loso(clips, **shares)
    if how.split == "k-fold":
        return splits.k_fold(clips, how.folds, **shares)
    if how.split == "hold-out":
        return (splits.hold_out(clips, how.test, **shares),)
    if how.dataset == SIMULATED_SET:
        return (_simulated(clips, how),)
    return splits.published(clips, **shares)


def _simulated(clips: Sequence[Clip], how: Settings) -> Split:
    """One split in which nobody judged or calibrated with has a face that errs as one that was learned from does."""
    by_fold: dict[str, list[Clip]] = {}
    for clip in clips:
        by_fold.setdefault(clip.fold, []).append(clip)
    if missing := [fold for fold in (HELD_FOLD, CALIBRATION_FOLD) if fold not in by_fold]:
        raise TrainingError(
            f"simulated people: people of {', '.join(missing)} were expected, none came; make at least five"
        )
    rest = [clip for clip in clips if clip.fold not in (HELD_FOLD, CALIBRATION_FOLD)]
    inner = splits.hold_out(rest, how.validation, seed=how.seed) if how.validation else None
    split = Split(
        "simulated",
        inner.train if inner else tuple(sorted(clip.id for clip in rest)),
        inner.test if inner else (),
        tuple(sorted(clip.id for clip in by_fold[CALIBRATION_FOLD])),
        tuple(sorted(clip.id for clip in by_fold[HELD_FOLD])),
    )
    splits.check(split, clips)
    return split


def _begin(how: Settings, data: Path, out: Path) -> None:
    """Make the windows and write down what is done, or see that the folder holds the same run."""
    about = {"settings": asdict(how), "fingerprint": how.fingerprint, "data": _digest(data)}
    path = out / RUN
    if path.exists():
        try:
            before = json.loads(path.read_text(encoding="utf-8"))
        except ValueError:
            before = {}
        for name, what in (("fingerprint", "settings"), ("data", "data")):
            if before.get(name) != about[name]:
                raise TrainingError.at(
                    out, f"a run with the same {what} was expected, another was begun here",
                    "choose another --out, or delete the folder",
                )  # fmt: skip
        if (out / SAMPLES).exists():
            return
    samples = gather(recordings(data))
    sets = {clip.dataset for clip in samples.clips}
    if sets != {how.dataset}:
        raise TrainingError.at(
            data, f"recordings of {how.dataset} were expected, those of {', '.join(sorted(sets))} came",
            "give the folder that was prepared from it, or settings for this data set",
        )  # fmt: skip
    splits_of(samples, how)  # says what is wrong before anything is written
    if not any(np.isfinite(getattr(samples, name)).any() for name in how.modalities):
        raise TrainingError.at(
            data, f"{' or '.join(how.modalities)} to learn from was expected, not one value of it could be measured",
            "set modalities to what the recordings hold, or look at what prepare said of them",
        )  # fmt: skip
    samples.save(out / SAMPLES)
    about |= {"painsense": painsense.__version__, "torch": torch.__version__, "commit": _commit()}
    write_together(out, {RUN: [(json.dumps(about, indent=1, sort_keys=True) + "\n").encode()]})


def _digest(data: Path) -> str:
    """Changes with any file of the data: names, sizes and times."""
    try:
        files = sorted(path for path in data.rglob("*") if path.is_file())
    except OSError:
        files = []
    if not files:
        raise TrainingError.at(data, "prepared recordings were expected in this folder", "run training.fusion.prepare")
    listed = "\n".join(f"{p.relative_to(data)} {p.stat().st_size} {p.stat().st_mtime_ns}" for p in files)
    return hashlib.sha256(listed.encode()).hexdigest()[:16]


def _commit() -> str:
    """The commit this was run from, "" outside a checkout."""
    try:
        found = subprocess.run(
            ["git", "rev-parse", "HEAD"], cwd=Path(__file__).parent, capture_output=True, text=True, check=False
        )
    except OSError:
        return ""
    return found.stdout.strip() if found.returncode == 0 else ""


def _folder(out: Path, split: Split) -> Path:
    return out / FOLDS / split.name


def _folds(out: Path, made: Sequence[Split], team: Team, workers: int, cluster: str, device: str) -> None:
    """Every fold that is not finished, one after the other or side by side."""
    todo = [k for k, split in enumerate(made) if not (_folder(out, split) / PREDICTIONS).exists()]
    if cluster:
        done: Iterator[str] = _on_cluster(out, todo, cluster, device)
    elif workers > 1 and len(todo) > 1:
        done = _side_by_side(out, todo, min(workers, len(todo)), team.device.type)
    else:
        done = (_fold(out, k, team) for k in todo)
    for line in done:
        if team.leads:
            print(line, flush=True)


def _side_by_side(out: Path, todo: Sequence[int], workers: int, device: str) -> Iterator[str]:
    with ProcessPoolExecutor(workers, get_context("spawn")) as pool:
        try:
            for future in as_completed([pool.submit(fold_alone, str(out), k, device) for k in todo]):
                yield future.result()
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _on_cluster(out: Path, todo: Sequence[int], address: str, device: str) -> Iterator[str]:
    with executor(address) as pool:
        # by its full name: as a part of __main__ it would be sent along with all it touches
        job = importlib.import_module("training.fusion.train").fold_alone
        for future in as_completed([pool.submit(job, str(out.resolve()), k, device) for k in todo]):
            yield future.result()


def fold_alone(out: str, number: int, device: str) -> str:
    """One fold in a process of its own; a line about it."""
    torch.set_num_threads(1)  # the others want the cores too
    return _fold(Path(out), number, Team(0, 1, _device(device)))


def _fold(out: Path, number: int, team: Team) -> str:
    """Fit one fold and keep what it says of the people it did not see."""
    samples = Samples.load(out / SAMPLES)
    how = settings.from_dict(json.loads((out / RUN).read_text(encoding="utf-8"))["settings"])
    split = splits_of(samples, how)[number]
    head = samples.head(how.score)
    train, validation = (_labelled(samples, samples.rows(ids), head) for ids in (split.train, split.validation))
    if not len(train):
        raise TrainingError(f"fold {split.name}: windows with a label were expected, none came; look at the data")
    folder = _folder(out, split)
    network, epochs = learn.fit(samples, train, validation, how, folder, team, say=lambda line: None)
    if not team.leads:
        return ""
    network = network.cpu()
    constant = float(np.average(samples.targets[head][train], weights=weights(samples, head, train, 0.0)))
    reach = None
    if split.calibration:
        rows = _labelled(samples, samples.rows(split.calibration), head)
        held = predictions(network, samples, rows, how, split, constant)
        reach = calibrate.calibrate(held).reach
        set_reach(network, reach)
        held.save(folder / "calibration.npz")
    judged = predictions(network, samples, samples.rows(split.test), how, split, constant)
    if reach is not None:
        judged = judged.with_reach(reach)
    learn.store(network, how, folder / NETWORK, epochs=epochs)
    judged.save(folder / PREDICTIONS)
    return f"{split.name}: {len(train)} windows, {epochs} epochs; {summary(judged)}"


def _labelled(samples: Samples, rows: IntArray, head: str) -> IntArray:
    return rows[np.isfinite(samples.targets[head][rows])]


def predictions(
    network: FusionNetwork, samples: Samples, rows: IntArray, how: Settings, split: Split, constant: float
) -> Predictions:
    """What a network says of some windows, beside the truth; intervals by its own distribution, not calibrated."""
    said = learn.say_of(network, samples, rows, how)
    low, high = calibrate.ends(said.score, said.sd, np.full((3, len(KNOTS), 2), 1.645, np.float32))
    head = samples.head(how.score)
    none = np.full(len(rows), np.nan, np.float32)
    return Predictions(
        head=head,
        clips=samples.clips,
        clip=samples.clip[rows],
        start_s=samples.start_s[rows],
        end_s=samples.end_s[rows],
        fold=np.full(len(rows), split.name),
        truth=samples.targets[head][rows],
        score=said.score,
        sd=said.sd,
        low=low,
        high=high,
        levels=said.levels,
        weights=said.weights,
        pspi=said.pspi,
        truth_pspi=samples.targets[PSPI][rows] * np.float32(16 / TOP) if PSPI in samples.targets else none,
        rule_pspi=samples.rule_pspi[rows],
        constant=np.full(len(rows), constant, np.float32),
        classes=samples.classes,
        shown=samples.shown[rows],
    )


def set_reach(network: FusionNetwork, reach: FloatArray) -> None:
    """Put a calibration into the network."""
    network.get_buffer("reach").copy_(torch.from_numpy(np.asarray(reach, np.float32)))


def _final(samples: Samples, made: Sequence[Split], joined: Predictions, how: Settings, out: Path, team: Team) -> None:
    """The model that can be exported: that of the only fold, else one fitted to everybody for as long as folds were."""
    if (out / MODEL).exists():
        return
    if len(made) == 1:
        if not team.leads:
            return
        network, kept = learn.rebuild(_folder(out, made[0]) / NETWORK)
        epochs = int(kept["epochs"])
        known = out / FOLDS / made[0].name / "calibration.npz"
        held = Predictions.load(known) if known.exists() else joined
        learned: tuple[str, ...] = made[0].train
    else:
        epochs = int(np.median([learn.rebuild(_folder(out, split) / NETWORK)[1]["epochs"] for split in made]))
        spared = {clip.id for clip in samples.clips if EVALUATION_ONLY in clip.flags}
        learned = tuple(sorted({each for split in made for each in (*split.train, *split.test)} - spared))
        rows = _labelled(samples, samples.rows(learned), samples.head(how.score))
        everyone = replace(how, validation=0.0, patience=0)
        network, _ = learn.fit(samples, rows, rows[:0], everyone, out / "final", team, epochs, say=lambda line: None)
        network, held = network.cpu(), joined
    if not team.leads:
        return
    found = calibrate.calibrate(held)
    set_reach(network, found.reach)
    subjects = {clip.subject for clip in samples.clips if clip.id in set(learned)}
    learn.store(
        network,
        how,
        out / MODEL,
        epochs=epochs,
        settings=json.dumps(asdict(how)),
        head=samples.head(how.score),
        people=len(subjects),
        recordings=len(learned),
        calibration_people=found.people,
        calibration_windows=found.windows,
        covered=[float(each) for each in found.coverage],
        pspi=_pspi_ends(samples, held),
        commit=json.loads((out / RUN).read_text(encoding="utf-8"))["commit"],
    )


def _pspi_ends(samples: Samples, held: Predictions) -> dict[str, list[float]]:
    """The middle 90% of what PSPI is over or under the network's reading, with the person's neutral and without."""
    place = {(int(clip), float(end)): k for k, (clip, end) in enumerate(zip(samples.clip, samples.end_s, strict=True))}
    rows = np.array([place[int(clip), float(end)] for clip, end in zip(held.clip, held.end_s, strict=True)], np.int64)
    steps = samples.face[rows][..., -1]
    neutral = np.nan_to_num(steps).max(axis=1) > 0 if len(rows) else np.zeros(0, bool)
    miss = held.truth_pspi - held.pspi
    result = {}
    for case, which in (("with_neutral", neutral), ("without_neutral", ~neutral)):
        known = which & np.isfinite(miss)
        ends = np.quantile(miss[known], (0.05, 0.95)) if known.sum() >= 20 else np.array((-16.0, 16.0))
        result[case] = [float(end) for end in ends]
    return result


def _wait(team: Team) -> None:
    if team.size > 1:
        torch.distributed.barrier()


def summary(said: Predictions) -> str:
    """One line: windows, correlation, error and coverage where both can be seen; evaluation says the rest."""
    known = np.isfinite(said.truth) & np.isfinite(said.score[0])
    if not known.any():
        return "no window with a label and a score"
    truth, score = said.truth[known], said.score[0, known]
    covered = np.mean((said.low[0, known] <= truth) & (truth <= said.high[0, known]))
    return (
        f"{known.sum()} windows judged, PCC {pearson(truth, score):.3f}, MAE {mae(truth, score):.2f} (a constant "
        f"{mae(truth, said.constant[known]):.2f}), 90% intervals hold {covered:.0%}"
    )


if __name__ == "__main__":
    sys.exit(main())
