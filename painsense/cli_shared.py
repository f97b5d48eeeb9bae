"""What the commands of the command line share: options, and what is said and seen to around the work."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import click

from painsense.errors import OutputError

Progress = Callable[[float, float], None]

quiet_option = click.option("--quiet", is_flag=True, help="Say nothing but errors.")
face_model_option = click.option(
    "--face-model",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="The face networks: a copy of face_landmarker.task [default: looked for].",
)
fusion_model_option = click.option(
    "--fusion-model",
    type=click.Path(path_type=Path),
    metavar="FILE.onnx",
    help="A fusion model of your own, made by export.fusion [default: the one that ships with painsense].",
)
provider_option = click.option(
    "--provider",
    type=click.Choice(["cpu", "cuda"]),
    default="cpu",
    show_default=True,
    help="Where painsense's own networks are computed.",
)


def read_names(choices: tuple[str, ...]) -> Callable[[click.Context, click.Parameter, str], tuple[str, ...]]:
    """Reads names separated by commas, each one of ``choices``."""

    def read(_context: click.Context, _option: click.Parameter, value: str) -> tuple[str, ...]:
        names = tuple(dict.fromkeys(name.strip().lower() for name in value.split(",")))
        if unknown := [name for name in names if name not in choices]:
            raise click.BadParameter(f"expected one or more of {','.join(choices)}, got {unknown[0]!r}")
        return names

    return read


def read_person(_context: click.Context, _option: click.Parameter, value: str) -> str | int:
    """Reads ``largest``, or the number of a face."""
    if value == "largest":
        return value
    if value.isdecimal() and int(value) >= 1:
        return int(value)
    raise click.BadParameter(f"expected largest, or 1, 2, ... for the faces of the picture, got {value!r}")


def read_neutral(_context: click.Context, _option: click.Parameter, value: str) -> str | Path:
    """Reads ``auto``, ``none``, or the path of a file that is there."""
    if value in ("auto", "none"):
        return value
    if not Path(value).is_file():
        raise click.BadParameter(f"expected auto, none, a rest clip or a saved .json, and there is no file {value!r}")
    return Path(value)


def face_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """The options that say how a face is found and followed; ``score`` and ``baseline`` share them."""
    options = (
        click.option(
            "--fps",
            type=click.FloatRange(min=0, min_open=True),
            metavar="N",
            help="Analyse at most N pictures a second [default: all].",
        ),
        click.option(
            "--person",
            callback=read_person,
            default="largest",
            show_default=True,
            metavar="largest|N",
            help="Whom to follow: the largest face, or the N-th from the left.",
        ),
        click.option(
            "--workers",
            type=click.IntRange(min=0),
            default=0,
            metavar="N",
            help="Threads to spread the work over [default: one for each core]. Never changes a result.",
        ),
        click.option(
            "--face-engine",
            type=click.Choice(["litert", "mediapipe"]),
            default="litert",
            show_default=True,
            help="What runs the face networks; mediapipe is Google's own runtime, kept as the reference.",
        ),
        face_model_option,
    )
    for option in reversed(options):
        command = option(command)
    return command


def output_names(clips: Sequence[Path], out: Path | None) -> list[tuple[Path, str]]:
    """The folder and stem of each clip's result files, no two alike.

    The stem is the clip's name without its ending. Clips that would share one get their ending joined on ("clip-mp4"),
    and if that is not enough a number ("clip-mp4-2"). Letter case does not tell names apart: not every disk does.
    """

    def key(folder: Path, stem: str) -> tuple[str, str]:
        return os.path.realpath(folder), stem.casefold()

    folders = [out if out is not None else clip.parent for clip in clips]
    wanted = Counter(key(folder, clip.stem) for clip, folder in zip(clips, folders, strict=True))
    taken = {name for name, count in wanted.items() if count == 1}
    names = []
    for clip, folder in zip(clips, folders, strict=True):
        stem = clip.stem
        if wanted[key(folder, stem)] > 1:
            base = stem = "-".join([clip.stem, *filter(None, [clip.suffix.lstrip(".")])])
            number = 1
            while key(folder, stem) in taken:
                number += 1
                stem = f"{base}-{number}"
            taken.add(key(folder, stem))
        names.append((folder, stem))
    return names


def each_once(clips: Sequence[Path]) -> list[Path]:
    """The clips without those that were named before, under whatever name."""
    once: dict[str, Path] = {}
    for clip in clips:
        if once.setdefault(os.path.realpath(clip), clip) is not clip:
            click.echo(f"{shown_name(clip)}: named twice, scored once", err=True)
    return list(once.values())


def see_face_networks(path: Path | None, engine: str) -> None:
    """ModelError before the first clip where the face networks are not there; says so if they have to be downloaded."""
    if engine == "mediapipe":
        from painsense.reference import check

        check()
    from painsense.assets import face_model

    face_model(path, announce=lambda line: click.echo(line, err=True))


def see_writable(folder: Path) -> None:
    """OutputError where nothing can be written: better now than after the analysis. A missing folder is made later."""
    if not folder.exists():
        return
    try:
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise OutputError(
            f"{shown_name(folder)}: results go here, and the folder cannot be written ({error.strerror}); "
            "name another folder with --out"
        ) from error


@contextlib.contextmanager
def undisturbed() -> Iterator[None]:
    """Let Ctrl-C wait until the block is done, so that "nothing was written" is true when it is said."""
    pressed = []
    try:
        before = signal.signal(signal.SIGINT, lambda *_: pressed.append(True))
    except ValueError:  # only the main thread hears of Ctrl-C
        yield
        return
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
        if pressed:
            raise KeyboardInterrupt


@contextlib.contextmanager
def progress_bar(clip: Path, quiet: bool) -> Iterator[Progress | None]:
    """A bar on the terminal with the time left; None where nobody would see it."""
    if quiet or not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, TaskProgressColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bar

    columns = (TextColumn("{task.description}", markup=False), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
    with Bar(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(click.format_filename(clip.name, shorten=True), total=None)
        yield lambda done_s, total_s: bar.update(task, completed=done_s, total=total_s)


def shown_name(path: Path) -> str:
    """A path as it can be printed, whatever bytes are in it."""
    return click.format_filename(path)
