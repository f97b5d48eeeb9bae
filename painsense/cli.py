"""The command line: ``painsense score | baseline | demo | doctor | models``.

Exit codes: 0 every file has a result ("not enough evidence" is one), 1 a fault of painsense itself or a finding of the
doctor, 2 wrong use, or a model, provider or baseline that cannot be used here, 3 some file has no result, 130 stopped
with Ctrl-C.

Only click is imported up here: ``painsense --help`` has to answer at once.
"""

from __future__ import annotations

import contextlib
import importlib.util
import io
import os
import signal
import sys
import tempfile
import traceback
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from painsense import __version__
from painsense.errors import ModelError, OutputError, PainsenseError, ProviderError

if TYPE_CHECKING:
    from painsense.report import Report

INTERNAL, WRONG_USE, NO_RESULT, STOPPED = 1, 2, 3, 130

FORMATS, USUAL_FORMATS = ("json", "csv", "html", "pdf"), ("json", "csv", "html")
MODALITIES = ("face", "voice")

Progress = Callable[[float, float], None]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # a file may be called what the terminal cannot show
    try:
        code = app.main(args=arguments, prog_name="painsense", standalone_mode=False)
        return code if isinstance(code, int) else 0
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except (click.Abort, KeyboardInterrupt):
        click.echo("stopped", err=True)
        return STOPPED
    except PainsenseError as error:
        click.echo(f"painsense: {error}", err=True)
        return WRONG_USE
    except BrokenPipeError:  # whoever read our output has gone, as in `painsense score *.mp4 | head -1`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # Python flushes once more when it ends
        return INTERNAL
    except Exception as error:
        click.echo(f"painsense: {_internal(error)}", err=True)
        return INTERNAL


def _names_of(choices: tuple[str, ...]) -> Callable[[click.Context, click.Parameter, str], tuple[str, ...]]:
    """Reads names separated by commas, each one of ``choices``."""

    def read(_context: click.Context, _option: click.Parameter, value: str) -> tuple[str, ...]:
        names = tuple(dict.fromkeys(name.strip().lower() for name in value.split(",")))
        if unknown := [name for name in names if name not in choices]:
            raise click.BadParameter(f"expected one or more of {','.join(choices)}, got {unknown[0]!r}")
        return names

    return read


def _person(_context: click.Context, _option: click.Parameter, value: str) -> str | int:
    """Reads ``largest``, or the number of a face."""
    if value == "largest":
        return value
    if value.isdecimal() and int(value) >= 1:
        return int(value)
    raise click.BadParameter(f"expected largest, or 1, 2, ... for the faces of the picture, got {value!r}")


def _neutral(_context: click.Context, _option: click.Parameter, value: str) -> str | Path:
    """Reads ``auto``, ``none``, or the path of a file that is there."""
    if value in ("auto", "none"):
        return value
    if not Path(value).is_file():
        raise click.BadParameter(f"expected auto, none, a rest clip or a saved .json, and there is no file {value!r}")
    return Path(value)


def _face_options(command: Callable[..., Any]) -> Callable[..., Any]:
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
            callback=_person,
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
        click.option(
            "--face-model",
            type=click.Path(path_type=Path),
            metavar="FILE",
            help="The face networks: a copy of face_landmarker.task [default: looked for].",
        ),
    )
    for option in reversed(options):
        command = option(command)
    return command


_quiet = click.option("--quiet", is_flag=True, help="Say nothing but errors.")


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, message="painsense %(version)s")
def app() -> None:
    """Measure the pain expression in recorded videos, on this machine.

    It measures expression, not pain: it supports, and never replaces, what the person says and clinical judgement.
    """


@app.command(short_help="Score recordings.")
@click.argument("clips", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="CLIP...")
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    metavar="DIR",
    help="Folder for the results; made if missing [default: the clip's own].",
)
@click.option(
    "--baseline",
    callback=_neutral,
    default="auto",
    show_default=True,
    metavar="auto|none|FILE",
    help="The person's own neutral: estimated from the clip, none, a rest clip, or a file of `painsense baseline`.",
)
@click.option(
    "--modalities",
    callback=_names_of(MODALITIES),
    default=",".join(MODALITIES),
    show_default=True,
    metavar="LIST",
    help="What to analyse.",
)
@_face_options
@click.option(
    "--fusion-model",
    type=click.Path(path_type=Path),
    metavar="FILE.onnx",
    help="A fusion model of your own, made by export.fusion [default: the one that ships with painsense].",
)
@click.option(
    "--provider",
    type=click.Choice(["cpu", "cuda"]),
    default="cpu",
    show_default=True,
    help="Where painsense's own networks are computed.",
)
@click.option(
    "--format",
    "formats",
    callback=_names_of(FORMATS),
    default=",".join(USUAL_FORMATS),
    show_default=True,
    metavar="LIST",
    help="What to write: any of json,csv,html,pdf; pdf needs painsense[pdf].",
)
@click.option(
    "--include-frames",
    is_flag=True,
    help="Put pictures of the person into the HTML report. Without this no picture is kept.",
)
@_quiet
def score(
    clips: tuple[Path, ...],
    out: Path | None,
    modalities: tuple[str, ...],
    formats: tuple[str, ...],
    quiet: bool,
    face_model: Path | None,
    **options: Any,
) -> int:
    """Score recordings: video, sound (voice only) or pictures (face only).

    For clip.mp4 it writes clip.painsense.json, clip.frames.csv, clip.windows.csv, clip.dictionary.csv and clip.html
    into the clip's own folder, or into --out, each whole or not at all. Where two clips would get the same names, the
    ending joins in (clip-mp4.html, clip-mov.html), then a number.

    Exit code 0: every clip has a result, "not enough evidence" included. 3: some clip has none; the list at the end
    says why. 2: wrong use, or a model or provider that does not work here.
    """
    from painsense.baseline import Baseline
    from painsense.pipeline import Analyzer, Settings
    from painsense.report import check_formats

    check_formats(formats)
    if "face" in modalities:
        _see_face_networks(face_model, options["face_engine"])
    if Path(options["baseline"]).suffix == ".json":
        Baseline.load(Path(options["baseline"]))  # a wrong one is wrong for every clip: say so once, now
    settings = Settings(modalities=modalities, face_model=face_model, **options)
    unique = _once(clips)
    waiting = dict(zip(unique, output_names(unique, out), strict=True))
    failed: list[tuple[Path, str]] = []
    internal = False
    import cv2

    cv2.setNumThreads(1)  # its pictures are small, and painsense's own threads fill the cores
    try:
        with Analyzer(settings) as analyzer:
            for clip in unique:
                folder, stem = waiting[clip]
                try:
                    if clip.is_file():  # if not, that is what has to be said
                        _see_writable(folder)
                    with _progress(clip, quiet) as progress:
                        report = analyzer.analyze(clip, progress=progress)
                    with _undisturbed():
                        files = report.write(folder, formats, stem)
                        del waiting[clip]
                except PainsenseError as error:
                    failed.append((clip, str(error)))
                    del waiting[clip]
                except Exception as error:  # a fault of ours in one clip must not cost the others their result
                    failed.append((clip, _internal(error)))
                    internal = True
                    del waiting[clip]
                else:
                    if not quiet:
                        click.echo(result_line(clip, report, files))
                        for warning in report.quality.warnings:
                            click.echo(f"{_name(clip)}: note: {warning}", err=True)
    except KeyboardInterrupt:
        _tell_failures(failed, len(unique))
        click.echo(
            f"stopped; nothing was written for {', '.join(map(_name, waiting))}" if waiting else "stopped", err=True
        )
        return STOPPED
    _tell_failures(failed, len(unique))
    return INTERNAL if internal else NO_RESULT if failed else 0


@app.command(short_help="Save a person's own neutral face.")
@click.argument("clip", type=click.Path(path_type=Path), metavar="REST_CLIP")
@click.option(
    "--out",
    type=click.Path(dir_okay=False, path_type=Path),
    required=True,
    metavar="FILE.json",
    help="Where to save it.",
)
@_face_options
@_quiet
def baseline(clip: Path, out: Path, quiet: bool, face_model: Path | None, **options: Any) -> int:
    """Save a person's own neutral face from a recording of them at rest.

    Then: painsense score clip.mp4 --baseline FILE.json
    """
    if out.suffix != ".json":  # by this ending `score --baseline` tells it from a rest clip
        raise click.BadParameter(f"expected a name that ends in .json, got {out.name!r}", param_hint="'--out'")
    from painsense.pipeline import Settings, make_baseline

    _see_face_networks(face_model, options["face_engine"])
    settings = Settings(baseline="none", face_model=face_model, **options)
    try:
        if clip.is_file():
            _see_writable(out.parent)
        with _progress(clip, quiet) as progress:
            made = make_baseline(clip, settings, progress)
        with _undisturbed():
            made.save(out)
    except (ModelError, ProviderError):
        raise
    except PainsenseError as error:
        _tell_failures([(clip, str(error))], 1)
        return NO_RESULT
    except KeyboardInterrupt:
        click.echo(f"stopped; {_name(out)} was not written", err=True)
        return STOPPED
    if not quiet:
        click.echo(f"{_name(clip)}: neutral saved: {_name(out)}")
    return 0


@app.command(short_help="Check that everything works on this machine.")
def doctor() -> int:
    """Check that everything works on this machine. Exit code 0 if so, 1 if not."""
    from painsense.doctor import examine

    topic, faults = "", 0
    for finding in examine():
        if finding.topic != topic:
            topic = finding.topic
            click.secho(topic, bold=True)
        faults += finding.ok is False
        mark, colour = {True: ("ok", "green"), False: ("FAULT", "red"), None: ("--", None)}[finding.ok]
        click.echo(f"  {click.style(f'{mark:5}', fg=colour)} {finding.name}: {finding.text}")
    click.echo(f"{faults} fault{'' if faults == 1 else 's'} found" if faults else "everything needed works")
    return 1 if faults else 0


@app.command(short_help="List the model files.")
def models() -> None:
    """List the model files: version, hash, licence, source, and where they are."""
    from painsense import assets

    manifest = assets.manifest()
    for entry in (*manifest.external, *manifest.installed):
        try:
            asset = assets.find(entry)
            place = f"{_name(asset.path)} ({asset.found})"
        except ModelError as error:
            place = f"none that can be used: {str(error).splitlines()[0]}"
        click.secho(f"{entry.name} {entry.version}", bold=True)
        for label, text in (
            ("sha256", entry.sha256),
            ("licence", entry.licence),
            ("source", entry.source),
            ("file", place),
        ):
            click.echo(f"  {label:8} {text}")


@app.command(short_help="Open painsense in a browser.")
@click.option("--port", type=click.IntRange(0, 65535), default=7860, show_default=True, help="0 takes a free one.")
@click.option(
    "--host",
    default="127.0.0.1",
    show_default=True,
    metavar="ADDRESS",
    help="Where to listen. Any other than this machine alone needs a password; 0.0.0.0 is everywhere.",
)
@click.option(
    "--name",
    "names",
    multiple=True,
    metavar="NAME",
    help="A name under which others reach this machine, beside its own; may be given more than once.",
)
@click.option("--no-browser", is_flag=True, help="Open no window.")
@click.option(
    "--password-file",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="What --hash-password made [default: PAINSENSE_DEMO_PASSWORD_HASH].",
)
@click.option("--hash-password", is_flag=True, help="Ask for a password, print what --password-file takes, and stop.")
@click.option("--tls-cert", type=click.Path(path_type=Path), metavar="FILE", help="A certificate (PEM), for https.")
@click.option("--tls-key", type=click.Path(path_type=Path), metavar="FILE", help="The certificate's key (PEM).")
@click.option(
    "--max-mb",
    type=click.FloatRange(min=0, min_open=True),
    default=2000.0,
    show_default=True,
    metavar="N",
    help="The largest file that is taken.",
)
@click.option(
    "--max-minutes",
    type=click.FloatRange(min=0, min_open=True),
    default=60.0,
    show_default=True,
    metavar="N",
    help="The longest recording that is taken.",
)
@click.option(
    "--face-model",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="The face networks: a copy of face_landmarker.task [default: looked for].",
)
@click.option(
    "--fusion-model",
    type=click.Path(path_type=Path),
    metavar="FILE.onnx",
    help="A fusion model of your own, made by export.fusion [default: the one that ships with painsense].",
)
@click.option("--provider", type=click.Choice(["cpu", "cuda"]), default="cpu", show_default=True)
def demo(
    port: int,
    host: str,
    names: tuple[str, ...],
    no_browser: bool,
    password_file: Path | None,
    hash_password: bool,
    tls_cert: Path | None,
    tls_key: Path | None,
    max_mb: float,
    max_minutes: float,
    face_model: Path | None,
    **settings: Any,
) -> int:
    """Open painsense in a browser: recordings, live camera, comparisons. Stop it with Ctrl-C.

    It needs the extra `demo`: pip install 'painsense[demo]'. Only this machine can reach it, unless --host says
    otherwise. Nothing is sent anywhere, and no recording is kept.
    """
    if hash_password:
        from painsense.demo.security import Password

        if sys.stdin.isatty():
            text = click.prompt("Password", hide_input=True, confirmation_prompt=True, err=True)
        else:
            text = sys.stdin.readline().rstrip("\r\n")
        click.echo(Password.of(text).line())
        return 0
    if (tls_cert is None) != (tls_key is None):
        raise click.UsageError("--tls-cert and --tls-key belong together: name both")
    if missing := [name for name in ("gradio", "reportlab", "websockets") if not importlib.util.find_spec(name)]:
        raise click.UsageError(f"the demo needs {', '.join(missing)}: pip install 'painsense[demo]'")
    from painsense.demo import Limits, server
    from painsense.demo.security import read_password
    from painsense.pipeline import Settings

    _see_face_networks(face_model, "litert")
    server.run(
        Settings(face_model=face_model, **settings),
        Limits(max_bytes=round(max_mb * 1e6), max_minutes=max_minutes),
        server.Address(
            host=host,
            port=port,
            names=names,
            password=read_password(password_file),
            tls=(tls_cert, tls_key) if tls_cert and tls_key else None,
        ),
        browser=not no_browser,
        say=lambda line: click.echo(line, err=line.startswith("warning")),
    )
    return 0


def result_line(clip: Path, report: Report, files: Sequence[Path]) -> str:
    """What came out for one clip, in one line."""
    from painsense import words

    result, quality = report.clip, report.quality
    said = words.headline(result)
    if result.verdict != "scored" and result.reasons:
        said += f" ({', '.join(words.reason_words(code).label for code in result.reasons)})"
    parts = [said]
    if result.score is not None:
        parts.append(f"90% interval {result.score.low:.1f}-{result.score.high:.1f}")
    if result.pspi is not None:
        pspi = result.pspi
        parts.append(
            f"PSPI {pspi.mean:.1f} ({pspi.mean_low:.1f}-{pspi.mean_high:.1f}) of 16, "
            f"highest {pspi.peak:.1f} at {words.clock(pspi.peak_s)}"
        )
    if quality.face_usable_share is not None:
        parts.append(f"face usable {100 * quality.face_usable_share:.0f}%")
    shown = next((file for file in files if file.suffix == ".html"), files[0])
    parts.append(f"report: {_name(shown)}")
    return f"{_name(clip)}: {'; '.join(parts)}"


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


def _once(clips: Sequence[Path]) -> list[Path]:
    """The clips without those that were named before, under whatever name."""
    once: dict[str, Path] = {}
    for clip in clips:
        if once.setdefault(os.path.realpath(clip), clip) is not clip:
            click.echo(f"{_name(clip)}: named twice, scored once", err=True)
    return list(once.values())


def _see_face_networks(path: Path | None, engine: str) -> None:
    """ModelError before the first clip where the face networks are not there; says so if they have to be downloaded."""
    if engine == "mediapipe":
        from painsense.reference import check

        check()
    from painsense.assets import face_model

    face_model(path, announce=lambda line: click.echo(line, err=True))


def _see_writable(folder: Path) -> None:
    """OutputError where nothing can be written: better now than after the analysis. A missing folder is made later."""
    if not folder.exists():
        return
    try:
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise OutputError(
            f"{_name(folder)}: results go here, and the folder cannot be written ({error.strerror}); "
            "name another folder with --out"
        ) from error


@contextlib.contextmanager
def _undisturbed() -> Iterator[None]:
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
def _progress(clip: Path, quiet: bool) -> Iterator[Progress | None]:
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


def _tell_failures(failed: Sequence[tuple[Path, str]], total: int) -> None:
    """The list of what has no result and why."""
    if failed and total > 1:
        click.echo(f"{len(failed)} of {total} clips have no result:", err=True)
    for clip, text in failed:
        # most messages name the file already
        click.echo(text if clip.name and clip.name in text else f"{_name(clip)}: {text}", err=True)


def _internal(error: Exception) -> str:
    """One line for an error nobody foresaw; the traceback too, if asked for."""
    if os.environ.get("PAINSENSE_DEBUG", "") not in ("", "0"):
        traceback.print_exception(error)
    what = " ".join(f"{type(error).__name__}: {error}".split())
    return (
        f"internal error: {what}. This is a fault of painsense, not of your recording: please report it with this line "
        "and what `painsense doctor` says; PAINSENSE_DEBUG=1 shows where it happened"
    )


def _name(path: Path) -> str:
    """A path as it can be printed, whatever bytes are in it."""
    return click.format_filename(path)
