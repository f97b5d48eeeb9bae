"""The command line: ``painsense score | baseline | compare | demo | doctor | models``.

Exit codes: 0 every file has a result ("not enough evidence" is one), 1 a fault of painsense itself or a finding of the
doctor, 2 wrong use, or a model, provider or baseline that cannot be used here, 3 some file has no result, 130 stopped
with Ctrl-C.

Only click is imported up here: ``painsense --help`` has to answer at once.
"""

from __future__ import annotations

import io
import os
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from painsense import __version__
from painsense.cli_demo import demo
from painsense.cli_shared import (
    each_once,
    face_options,
    fusion_model_option,
    output_names,
    progress_bar,
    provider_option,
    quiet_option,
    read_names,
    read_neutral,
    see_face_networks,
    see_writable,
    shown_name,
    undisturbed,
)
from painsense.errors import ModelError, PainsenseError, ProviderError

if TYPE_CHECKING:
    from painsense.report import Report

INTERNAL, WRONG_USE, NO_RESULT, STOPPED = 1, 2, 3, 130

FORMATS = ("json", "csv", "html", "pdf", "functionals")
USUAL_FORMATS = FORMATS[:3]
MODALITIES = ("face", "voice")


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
    callback=read_neutral,
    default="auto",
    show_default=True,
    metavar="auto|none|FILE",
    help="The person's own neutral: estimated from the clip, none, a rest clip, or a file of `painsense baseline`.",
)
@click.option(
    "--modalities",
    callback=read_names(MODALITIES),
    default=",".join(MODALITIES),
    show_default=True,
    metavar="LIST",
    help="What to analyse.",
)
@face_options
@fusion_model_option
@provider_option
@click.option(
    "--format",
    "formats",
    callback=read_names(FORMATS),
    default=",".join(USUAL_FORMATS),
    show_default=True,
    metavar="LIST",
    help="What to write: any of json,csv,html,pdf,functionals; pdf needs painsense[pdf], functionals are of the voice.",
)
@click.option(
    "--include-frames",
    is_flag=True,
    help="Put pictures of the person into the HTML report. Without this no picture is kept.",
)
@quiet_option
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
    into the clip's own folder, or into --out, each whole or not at all; --format functionals adds clip.functionals.csv,
    the eGeMAPS functionals of the voice. Where two clips would get the same names, the
    ending joins in (clip-mp4.html, clip-mov.html), then a number.

    Exit code 0: every clip has a result, "not enough evidence" included. 3: some clip has none; the list at the end
    says why. 2: wrong use, or a model or provider that does not work here.
    """
    from painsense.baseline import Baseline
    from painsense.pipeline import Analyzer, Settings
    from painsense.report import check_formats

    check_formats(formats)
    if "face" in modalities:
        see_face_networks(face_model, options["face_engine"])
    if Path(options["baseline"]).suffix == ".json":
        Baseline.load(Path(options["baseline"]))  # a wrong one is wrong for every clip: say so once, now
    settings = Settings(modalities=modalities, face_model=face_model, **options)
    unique = each_once(clips)
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
                        see_writable(folder)
                    with progress_bar(clip, quiet) as progress:
                        report = analyzer.analyze(clip, progress=progress)
                    with undisturbed():
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
                            click.echo(f"{shown_name(clip)}: note: {warning}", err=True)
    except KeyboardInterrupt:
        _tell_failures(failed, len(unique))
        click.echo(
            f"stopped; nothing was written for {', '.join(map(shown_name, waiting))}" if waiting else "stopped",
            err=True,
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
@face_options
@quiet_option
def baseline(clip: Path, out: Path, quiet: bool, face_model: Path | None, **options: Any) -> int:
    """Save a person's own neutral face from a recording of them at rest.

    Then: painsense score clip.mp4 --baseline FILE.json
    """
    if out.suffix != ".json":  # by this ending `score --baseline` tells it from a rest clip
        raise click.BadParameter(f"expected a name that ends in .json, got {out.name!r}", param_hint="'--out'")
    from painsense.pipeline import Settings, make_baseline

    see_face_networks(face_model, options["face_engine"])
    settings = Settings(baseline="none", face_model=face_model, **options)
    try:
        if clip.is_file():
            see_writable(out.parent)
        with progress_bar(clip, quiet) as progress:
            made = make_baseline(clip, settings, progress)
        with undisturbed():
            made.save(out)
    except (ModelError, ProviderError):
        raise
    except PainsenseError as error:
        _tell_failures([(clip, str(error))], 1)
        return NO_RESULT
    except KeyboardInterrupt:
        click.echo(f"stopped; {shown_name(out)} was not written", err=True)
        return STOPPED
    if not quiet:
        click.echo(f"{shown_name(clip)}: neutral saved: {shown_name(out)}")
    return 0


@app.command(short_help="Compare two results of one person.")
@click.argument("first", type=click.Path(path_type=Path), metavar="A.painsense.json")
@click.argument("second", type=click.Path(path_type=Path), metavar="B.painsense.json")
@click.option("--labels", default="first,second", show_default=True, metavar="A,B", help="What they are called.")
@click.option("--format", "kind", type=click.Choice(["text", "json", "csv"]), default="text", show_default=True)
def compare(first: Path, second: Path, labels: str, kind: str) -> int:
    """Compare two recordings of one person, for example at rest and on movement, from what `painsense score` wrote.

    It says how the second differs from the first, with a 90% interval, and whether that is beyond the measurement's own
    error, or why they cannot be compared. Differences of the voice need the recordings: painsense demo.
    """
    from painsense.comparison import compare_files

    names = tuple(label.strip() for label in labels.split(","))
    if len(names) != 2 or not all(names):
        raise click.BadParameter(f"expected two names with a comma between them, got {labels!r}", param_hint="--labels")
    found = compare_files(first, second, (names[0], names[1]))
    if kind != "text":
        click.echo(found.to_json() if kind == "json" else found.to_csv(), nl=False)
        return 0
    click.echo(found.text)
    for warning in found.warnings:
        click.echo(f"note: {warning}", err=True)
    return 0


app.add_command(demo)


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
            place = f"{shown_name(asset.path)} ({asset.found})"
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
    parts.append(f"report: {shown_name(shown)}")
    return f"{shown_name(clip)}: {'; '.join(parts)}"


def _tell_failures(failed: Sequence[tuple[Path, str]], total: int) -> None:
    """The list of what has no result and why."""
    if failed and total > 1:
        click.echo(f"{len(failed)} of {total} clips have no result:", err=True)
    for clip, text in failed:
        # most messages name the file already
        click.echo(text if clip.name and clip.name in text else f"{shown_name(clip)}: {text}", err=True)


def _internal(error: Exception) -> str:
    """One line for an error nobody foresaw; the traceback too, if asked for."""
    if os.environ.get("PAINSENSE_DEBUG", "") not in ("", "0"):
        traceback.print_exception(error)
    what = " ".join(f"{type(error).__name__}: {error}".split())
    return (
        f"internal error: {what}. This is a fault of painsense, not of your recording: please report it with this line "
        "and what `painsense doctor` says; PAINSENSE_DEBUG=1 shows where it happened"
    )
