"""The data set that action units are learned from: rendered faces as painsense's own landmark networks see them.

    python -m training.simulate.dataset --head FaceXModel --out faces

For every simulated person there are a few pictures at rest and many with an expression, and for every tenth person a
short sequence; each with its truth. What is kept of a picture is what painsense measures: landmarks, blendshapes and
capture quality. Stop it and start it again as you like: finished shards stay, and the same seed gives the same shards
whatever the number of workers. ``index.json`` names every shard with its SHA-256.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import json
import os
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass, fields
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from training.simulate.head import HeadError, load_head, truth
from training.simulate.looks import WEAR_SHARES

INDEX = "index.json"
PEOPLE_A_SHARD = 20
SEQUENCE_EVERY = 10  # one in so many people also shows a sequence; they are the ones kept for testing
#: what a picture is for
AT_REST, SINGLE, SEQUENCE = 0, 1, 2
LABELS = tuple(truth({}))
WEAR = tuple(WEAR_SHARES)


class DatasetError(Exception):
    """A data set cannot be made or read."""


@dataclass(frozen=True)
class Recipe:
    """What decides the content of a data set.

    Attributes
    ----------
    people : how many heads
    rest, faces : pictures at rest and with an expression of each
    sequence_s, sequence_fps : length and rate of a sequence
    seed : of all randomness
    crops : keep what the landmark network saw, grey, too (10 kB a picture)
    """

    people: int = 2000
    rest: int = 3
    faces: int = 30
    sequence_s: float = 3.0
    sequence_fps: float = 15.0
    seed: int = 1
    crops: bool = False

    @property
    def shards(self) -> int:
        return -(-self.people // PEOPLE_A_SHARD)


@dataclass(frozen=True)
class Faces:
    """Measured faces with their truth, in the order they were made; n of them.

    Attributes
    ----------
    points_px : ndarray [shape=(n, 478, 3), float32, px]
    blendshapes : ndarray [shape=(n, 52), float32, 0-1]
    size_px : ndarray [shape=(n, 2), px], width and height of the picture
    presence, bright_level, dark_level, sharpness : ndarray [shape=(n,)], see :class:`painsense.follow.Frames`
    labels : ndarray [shape=(n, l), float32], intensities 0-5 in the order of :data:`LABELS`
    turn_deg : ndarray [shape=(n, 3)], true yaw, pitch, roll
    person, role : ndarray [shape=(n,)], whose face; AT_REST, SINGLE or SEQUENCE
    time_s : ndarray [shape=(n,), s], within a sequence, else 0
    kind : ndarray [shape=(n,), str], kind of expression
    skin_tone : ndarray [shape=(n,)], Monk scale, 1-10
    wear : ndarray [shape=(n, w), bool], in the order of :data:`WEAR`
    crop : ndarray [shape=(n, 96, 96), uint8], what the landmark network saw, grey; None where it was not kept
    """

    points_px: npt.NDArray[np.float32]
    blendshapes: npt.NDArray[np.float32]
    size_px: npt.NDArray[np.float32]
    presence: npt.NDArray[np.float32]
    bright_level: npt.NDArray[np.float32]
    dark_level: npt.NDArray[np.float32]
    sharpness: npt.NDArray[np.float32]
    labels: npt.NDArray[np.float32]
    turn_deg: npt.NDArray[np.float32]
    person: npt.NDArray[np.int32]
    role: npt.NDArray[np.uint8]
    time_s: npt.NDArray[np.float32]
    kind: npt.NDArray[np.str_]
    skin_tone: npt.NDArray[np.float32]
    wear: npt.NDArray[np.bool_]
    crop: npt.NDArray[np.uint8] | None = None

    def __len__(self) -> int:
        return len(self.person)


def load(folder: Path, progress: bool = False) -> tuple[Faces, dict[str, Any]]:
    """A whole data set in memory (about 7 kB a face), and its index. Checks every shard's hash."""
    index = _read_index(folder)
    missing = index["recipe"]["shards"] - len(index["shards"])
    if missing:
        raise DatasetError(f"{folder}: {missing} shards are missing; run the same command again to finish it")
    parts: dict[str, list[npt.NDArray[Any]]] = {}
    for name, entry in sorted(index["shards"].items()):
        content = (folder / name).read_bytes()
        if hashlib.sha256(content).hexdigest() != entry["sha256"]:
            raise DatasetError(f"{folder / name} was changed since it was made; delete it and run the command again")
        with np.load(folder / name) as data:
            for key in data.files:
                parts.setdefault(key, []).append(data[key])
    return Faces(**{key: np.concatenate(values) for key, values in parts.items()}), index


def make(head_path: Path, folder: Path, recipe: Recipe, workers: int) -> dict[str, Any]:
    """Make what is missing of a data set; returns its index."""
    folder.mkdir(parents=True, exist_ok=True)
    wanted = {**asdict(recipe), "shards": recipe.shards}
    index = _read_index(folder) if (folder / INDEX).exists() else {"recipe": wanted, "shards": {}}
    if index["recipe"] != wanted:
        raise DatasetError(
            f"{folder} was begun with another recipe ({index['recipe']}); use another folder, or the same settings"
        )
    todo = [number for number in range(recipe.shards) if _name(number) not in index["shards"]]
    bar = Progress(
        TextColumn("[bold]faces"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn()
    )
    with bar, ProcessPoolExecutor(workers, get_context("spawn"), _start, (head_path,)) as pool:
        task = bar.add_task("shards", total=recipe.shards, completed=recipe.shards - len(todo))
        try:
            for future in as_completed([pool.submit(_make_shard, folder, recipe, number) for number in todo]):
                name, entry = future.result()
                index["shards"][name] = entry
                _write(folder / INDEX, (json.dumps(index, indent=1, sort_keys=True) + "\n").encode())
                bar.advance(task)
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)  # what waits would otherwise be made to the end
            raise
    return index


def _name(number: int) -> str:
    return f"shard-{number:04d}.npz"


def _read_index(folder: Path) -> dict[str, Any]:
    try:
        index: dict[str, Any] = json.loads((folder / INDEX).read_text(encoding="utf-8"))
    except OSError as error:
        raise DatasetError(f"{folder}: no {INDEX} there ({error.strerror}); make one with: {__doc__}") from error
    return index


def _write(path: Path, content: bytes) -> None:
    aside = path.with_name(f"{path.name}.{os.getpid()}.part")
    aside.write_bytes(content)
    os.replace(aside, path)


# ---- in a worker process

_studio: Any = None
_parent = 0


def _start(head_path: Path) -> None:
    os.environ["LP_NUM_THREADS"] = "1"  # Mesa's software renderer: one thread a process is the most efficient
    import torch

    from training.simulate.studio import Studio

    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    global _studio, _parent
    _studio, _parent = Studio(load_head(head_path)), os.getppid()


def _make_shard(folder: Path, recipe: Recipe, number: int) -> tuple[str, dict[str, Any]]:
    rows = []
    drawn = 0
    for person in range(number * PEOPLE_A_SHARD, min((number + 1) * PEOPLE_A_SHARD, recipe.people)):
        if _parent and os.getppid() != _parent:
            raise SystemExit("the command was killed")  # and what was queued must not be written into its folder
        rng = np.random.default_rng((recipe.seed, person))
        moves = (recipe.sequence_s, recipe.sequence_fps) if person % SEQUENCE_EVERY == SEQUENCE_EVERY - 1 else None
        for row in _studio.pictures(rng, person, recipe.rest, recipe.faces, moves):
            drawn += 1
            if row is not None:
                rows.append(row)
    buffer = io.BytesIO()
    names = [field.name for field in fields(Faces) if recipe.crops or field.name != "crop"]
    np.savez(buffer, **{name: np.stack([row[name] for row in rows]) for name in names})
    content = buffer.getvalue()
    _write(folder / _name(number), content)
    return _name(number), {"sha256": hashlib.sha256(content).hexdigest(), "faces": len(rows), "drawn": drawn}


def main() -> None:
    """Command line: see the module's docstring."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--head", type=Path, required=True, help="folder FaceXModel of ICT-FaceKit, or an npz of it")
    parser.add_argument("--out", type=Path, required=True, help="folder of the data set; begun ones are gone on with")
    parser.add_argument("--people", type=int, default=Recipe.people)
    parser.add_argument("--faces", type=int, default=Recipe.faces, help="pictures with an expression of each person")
    parser.add_argument("--seed", type=int, default=Recipe.seed)
    parser.add_argument("--crops", action="store_true", help="also keep what the landmark network saw")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    options = parser.parse_args()
    recipe = Recipe(options.people, faces=options.faces, seed=options.seed, crops=options.crops)
    try:
        index = make(options.head, options.out, recipe, options.workers)
    except (DatasetError, HeadError) as error:
        parser.exit(2, f"{error}\n")
    made = sum(entry["faces"] for entry in index["shards"].values())
    drawn = sum(entry["drawn"] for entry in index["shards"].values())
    print(f"{options.out}: {made} faces of {recipe.people} people; one was found in {made / drawn:.1%} of the pictures")


if __name__ == "__main__":
    main()
