"""Prepare a data set: every clip measured by painsense itself and kept as tracks, which training reads.

    python -m training.fusion.prepare unbc FOLDER --out CACHE
    python -m training.fusion.prepare manifest recordings/manifest.csv --out CACHE

What is measured once stays: a run that was stopped goes on with the same command and loses the clips it was just
working on; after a change only clips with other files or another part of them are measured. A clip that cannot be
measured is listed, left out, and tried again by the next run. Nothing in CACHE holds a path or a name.

    --copies 2                   measure every clip twice more, as another camera and another microphone in another room
                                 would have recorded it; training learns from copies and judges by recordings alone
    --workers 8                  processes on this machine (default: one for each core; 1: in this process)
    --cluster tcp://host:8786    on a Dask cluster whose workers (`dask worker --nthreads 1`) see FOLDER and CACHE
                                 at the same paths (pip install 'painsense[cluster]')
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import os
import sys
import threading
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from concurrent.futures import Executor, Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, replace
from multiprocessing import get_context, parent_process
from pathlib import Path
from typing import Any

from painsense import assets
from painsense.errors import ModelError, OutputError, PainsenseError, ProviderError
from training import datasets
from training.datasets.pseudonyms import local_salt
from training.errors import TrainingError
from training.fusion import cache
from training.fusion.cache import Failed
from training.fusion.cluster import executor
from training.fusion.record import EVALUATION_ONLY, Clip

BASELINES = ("auto", "none")
_LISTED = 20  # clips that are named one by one in a message
_CRASHED = "the process that measured it died: the file makes the decoder crash, or memory ran out"


@dataclass(frozen=True)
class Outcome:
    """What became of a clip: the key of its tracks and whether they are new, or why there are none."""

    id: str
    key: str = ""
    new: bool = False
    why: str = ""


@dataclass(frozen=True)
class Prepared:
    """A finished run: how many clips the cache holds, how many of them were measured now, and which failed."""

    clips: int
    new: int
    failed: tuple[Failed, ...]


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line: see the module's docstring."""
    parser = argparse.ArgumentParser(prog="python -m training.fusion.prepare", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)  # fmt: skip
    parser.add_argument("dataset", choices=datasets.NAMES, metavar="DATASET", help=", ".join(datasets.NAMES))
    parser.add_argument("folder", type=Path, metavar="FOLDER", help="where it lies; of a manifest the table")
    parser.add_argument("--out", type=Path, required=True, metavar="CACHE", help="a begun one is gone on with")
    parser.add_argument("--partial", action="store_true", help="go on with what is there of the data set")
    parser.add_argument("--copies", type=int, default=0, help="of every clip, from another camera and microphone")
    parser.add_argument("--workers", type=int, default=0, help="processes; 0 (default) for one for each core")
    parser.add_argument("--cluster", default="", help="address of a Dask scheduler, such as tcp://host:8786")
    parser.add_argument("--salt-file", type=Path, help="salt of the pseudonyms; default: this user's own")
    parser.add_argument(
        "--baseline", choices=BASELINES, default="auto",
        help="auto: face and voice are compared with the clip's rest recording, or else with its own calmest part; "
        "none: the face with the average face",
    )  # fmt: skip
    given = parser.parse_args(arguments)
    try:
        prepare(
            given.dataset,
            given.folder,
            given.out,
            salt=None if given.salt_file is None else local_salt(given.salt_file),
            partial=given.partial,
            copies=given.copies,
            workers=given.workers,
            cluster=given.cluster,
            baseline=given.baseline,
            say=lambda line: print(line, flush=True),
        )
    except PainsenseError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


def prepare(
    dataset: str,
    folder: Path,
    out: Path,
    *,
    salt: str | None = None,
    partial: bool = False,
    copies: int = 0,
    workers: int = 0,
    cluster: str = "",
    baseline: str = "auto",
    say: Callable[[str], None] = lambda line: None,
) -> Prepared:
    """Measure the clips of a data set that ``out`` does not hold yet.

    Parameters
    ----------
    dataset, folder, salt, partial : as in :func:`training.datasets.read`
    out : folder of the cache
    copies : how often every clip is measured once more, changed by :mod:`training.fusion.augment`
    workers : processes on this machine; 0 for one for each core, 1 for this process
    cluster : address of a Dask scheduler, used instead of this machine
    baseline : "auto" or "none"; see :func:`training.fusion.measure.measure`
    say : called with each line of what happens

    Raises
    ------
    TrainingError : ``folder`` is not the data set; ``out`` holds something else, a cache of another data set, other
        clips or another version of painsense; not one clip could be measured. Nothing is overwritten.
    """
    if baseline not in BASELINES:
        raise TrainingError(f"baseline: one of {', '.join(BASELINES)} was expected, {baseline!r} came; choose one")
    if copies < 0:
        raise TrainingError(f"--copies: a number from 0 was expected, {copies} came; 0 measures recordings as they are")
    if workers < 0:
        raise TrainingError(f"--workers: a number from 0 was expected, {workers} came; 0 uses every core")
    made_by = cache.extractor(baseline)
    cache.check(out, dataset, made_by)
    data = datasets.read(dataset, folder, salt=salt, partial=partial)
    for line in datasets.counts(data):
        say(line)
    if data.skipped:
        say(f"left out by the reader: {len(data.skipped)} files; python -m training.datasets {dataset} FOLDER says why")
    clips = [_absolute(clip) for clip in data.clips]
    learnable = [clip for clip in clips if EVALUATION_ONLY not in clip.flags]
    clips += [replace(clip, id=f"{clip.id}-copy{k}", copy=k) for k in range(1, copies + 1) for clip in learnable]
    _contains(out, {clip.id for clip in clips}, "are not among them any more, or have another salt or number of copies")
    if any(clip.video or clip.frames for clip in clips):
        assets.face_model(announce=say)  # found, or fetched, once and not by every worker
    cache.begin(out, dataset, made_by)
    by_id = {clip.id: clip for clip in clips}
    keys: dict[str, str] = {}
    failed: dict[str, Failed] = {}
    new = 0
    with contextlib.closing(_outcomes(clips, out.resolve(), made_by, workers, cluster)) as outcomes:
        for outcome in outcomes:
            done = f"{len(keys) + len(failed) + 1} / {len(clips)} {outcome.id}"
            if outcome.why:
                failed[outcome.id] = Failed(outcome.id, nameless(by_id[outcome.id], outcome.why))
                say(f"{done}: left out: {outcome.why}")
                continue
            keys[outcome.id] = outcome.key
            new += outcome.new
            say(f"{done}: {'measured' if outcome.new else 'there already'}")
    if not keys:
        whys = [f"{each.id}: {each.why}" for each in failed.values()]
        raise TrainingError.several(f"{dataset}: not one clip could be measured", whys, "correct these files")
    _contains(out, set(keys), "could be measured before and cannot be now")
    bad = tuple(failed[clip.id] for clip in clips if clip.id in failed)
    cache.keep(out, [(by_id[clip.id], keys[clip.id]) for clip in clips if clip.id in keys], bad)
    say(f"{out}: {len(keys)} clips, {new} measured now, {len(bad)} left out")
    for each in bad[:_LISTED]:
        say(f"left out: {each.id}: {each.why}")
    if len(bad) > _LISTED:
        say(f"... and {len(bad) - _LISTED} more; {cache.CLIPS} lists them")
    return Prepared(len(keys), new, bad)


def _absolute(clip: Clip) -> Clip:
    """With paths that mean the same in another process's folder."""
    return replace(
        clip,
        video=clip.video.resolve() if clip.video else None,
        audio=clip.audio.resolve() if clip.audio else None,
        frames=tuple(path.resolve() for path in clip.frames),
        rest=clip.rest.resolve() if clip.rest else None,
    )


def _contains(out: Path, ids: set[str], but: str) -> None:
    """TrainingError where a finished cache lists clips that are not among ``ids``."""
    if gone := sorted(cache.kept(out) - ids):
        shown = ", ".join(gone[:3]) + (", ..." if len(gone) > 3 else "")
        raise TrainingError.at(
            out, f"the clips that are in this cache were expected, {len(gone)} of them {but} ({shown}); nothing was "
            "changed", f"see that folder and salt are the same, or give another --out; to let these clips go, delete "
            f"{cache.CLIPS} and prepare again: tracks that fit stay",
        )  # fmt: skip


def nameless(clip: Clip, text: str) -> str:
    """A message about a clip without any word of its paths: also the name of a file can say who it is."""
    text = clip.hide(text)
    for path in sorted(clip.files, key=lambda each: -len(each.name)):
        text = text.replace(path.name, "a file")
    return text


# --- one clip, wherever it is measured --------------------------------------------------------------------------------


def one(clip: Clip, out: str, made_by: Mapping[str, Any]) -> Outcome:
    """Measure a clip, unless its tracks are there. What is wrong with the clip comes back; other errors are raised."""
    from training.fusion.measure import measure

    baseline = str(made_by["baseline"])
    if cache.extractor(baseline) != dict(made_by):
        raise TrainingError(
            "--cluster: workers with the same painsense and models were expected, one has others; install this version "
            "there"
        )
    try:
        name = cache.key(clip, made_by)
        path = cache.path_of(Path(out), name)
        if path.exists():
            return Outcome(clip.id, name)
        cache.write(path, measure(clip, baseline))
        return Outcome(clip.id, name, new=True)
    except (ModelError, ProviderError, OutputError):
        raise  # of this machine, not of the clip
    except PainsenseError as error:
        return Outcome(clip.id, why=clip.hide(str(error)))
    except Exception as error:  # whatever a library says of one file must not end the work on thousands
        return Outcome(clip.id, why=clip.hide(f"{type(error).__name__}: {error}"))


# --- many of them -----------------------------------------------------------------------------------------------------


def _outcomes(
    clips: Sequence[Clip], out: Path, made_by: Mapping[str, Any], workers: int, cluster: str
) -> Generator[Outcome, None, None]:
    """What becomes of each clip, in the order in which they are done."""
    workers = min(workers or os.cpu_count() or 1, len(clips))
    if cluster:
        with executor(cluster) as pool:
            yield from _shared_out(pool, clips, out, made_by)
    elif workers == 1:
        yield from (one(clip, str(out), made_by) for clip in clips)
    else:
        yield from _on_processes(clips, out, made_by, workers)


def _shared_out(pool: Executor, clips: Sequence[Clip], out: Path, made_by: Mapping[str, Any]) -> Iterator[Outcome]:
    # by its full name: as a part of __main__ a cluster would be sent the code instead of finding it
    job = importlib.import_module("training.fusion.prepare").one
    futures: dict[Future[Outcome], Clip] = {pool.submit(job, clip, str(out), dict(made_by)): clip for clip in clips}
    try:
        for future in as_completed(futures):
            try:
                yield future.result()
            except (PainsenseError, BrokenProcessPool):
                raise
            except Exception as error:  # a cluster's own: the worker was lost, again and again
                yield Outcome(futures[future].id, why=f"{_CRASHED} ({type(error).__name__})")
    finally:
        for future in futures:  # what waits would otherwise be measured to the end before an error is told
            future.cancel()


def _on_processes(clips: Sequence[Clip], out: Path, made_by: Mapping[str, Any], workers: int) -> Iterator[Outcome]:
    """Side by side on this machine. Where a process dies, the clips it may have died of are tried one by one."""
    left = {clip.id: clip for clip in clips}
    while left:
        try:
            with _processes(min(workers, len(left))) as pool:
                for outcome in _shared_out(pool, list(left.values()), out, made_by):
                    del left[outcome.id]
                    yield outcome
        except BrokenProcessPool:
            # clips are taken in order, and one more than there are processes is handed over in advance
            for clip in list(left.values())[: 2 * workers + 1]:
                try:
                    with _processes(1) as pool:
                        outcome = next(_shared_out(pool, [clip], out, made_by))
                except BrokenProcessPool:
                    outcome = Outcome(clip.id, why=_CRASHED)
                del left[clip.id]
                yield outcome


def _processes(count: int) -> ProcessPoolExecutor:
    return ProcessPoolExecutor(count, get_context("spawn"), initializer=_end_with_parent)


def _end_with_parent() -> None:
    """Let this process end when the one that started it was killed; it would wait for work for ever."""
    parent = parent_process()

    def watch() -> None:
        if parent is not None:
            parent.join()
            os._exit(1)  # files are written aside and renamed: half of one is never seen

    threading.Thread(target=watch, name="parent", daemon=True).start()


if __name__ == "__main__":
    sys.exit(main())
