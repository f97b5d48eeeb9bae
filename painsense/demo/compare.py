"""The compare page: two recordings of one person, their timelines, and how they differ."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import gradio as gr

from painsense import Analyzer, comparison, comparison_words, media, report_markup, words
from painsense.comparison import Change, Comparison
from painsense.demo import Demo, result, sessions, work
from painsense.demo.sessions import Session
from painsense.errors import PainsenseError
from painsense.report import Report, file_name
from painsense.voice_rest import MEASURES

PAIRS = {
    "At rest and on movement": ("at rest", "on movement"),
    "Before and after treatment": ("before", "after"),
    "Two others": ("first", "second"),
}
INTRO = """
<div class="ps-compare-intro">
  <h2>Compare two recordings of one person</h2>
  <p>Choose recordings made alike: same camera, same place, same task, at least {least:.0f} seconds of usable face each.
  painsense does not recognise faces. That both show the same person is up to you.</p>
</div>
"""
NEUTRALS = (
    "The first recording: the person is at rest in it",
    "The rest recording chosen below",
    "Each recording its own calmest part (least exact)",
)
#: What its work is called among the session's
KIND = "compare"
#: units of the values that measures of the voice are shown in; their differences have others
UNITS = {
    "f0_semitone": " Hz",
    "hnr_db": " dB",
    "cpp_db": " dB",
    "jitter_local": "%",
    "shimmer_db": " dB",
    "alpha_ratio_db": " dB",
}
#: of the drawing of a difference, in its own units
WIDTH, HEIGHT = 240, 34


@dataclass(frozen=True)
class Asked:
    """What the page was asked to compare."""

    paths: tuple[Path, Path]
    labels: tuple[str, str]
    rest: Path | None


@dataclass(frozen=True)
class Row:
    """A measure as the page shows it; the drawing's numbers are positions in units of :data:`WIDTH`."""

    name: str
    values: tuple[str, str]
    change: Change
    difference: str
    detectable: str
    drawing: dict[str, float] | None


def build(app: Demo) -> None:
    """Add the page to the tab that is being built."""
    gr.HTML(INTRO.format(least=comparison.MIN_COVERED_S), padding=False, apply_default_css=False)
    pair = gr.Radio(list(PAIRS), value=next(iter(PAIRS)), label="What are they?", elem_id="ps-compare-pair")
    with gr.Row(elem_classes="ps-compare-two"):
        uploads, labels = [], []
        for k, word in enumerate(("First", "Second")):
            with gr.Column(min_width=260):
                labels.append(
                    gr.Textbox(
                        next(iter(PAIRS.values()))[k],
                        label=f"{word} recording is called",
                        max_length=40,
                        elem_id=f"ps-compare-label-{k + 1}",
                    )
                )
                uploads.append(
                    gr.File(
                        label=f"{word} recording",
                        file_types=["video", "audio"],
                        elem_id=f"ps-compare-file-{k + 1}",
                        height=140,
                    )
                )
    neutral = gr.Radio(
        list(NEUTRALS), value=NEUTRALS[0], label="Neutral face of the person", elem_id="ps-compare-neutral"
    )
    rest = gr.File(
        label="Rest recording: 5 to 10 s, face at rest, perhaps a sentence spoken calmly",
        file_types=["video"],
        visible=False,
        elem_id="ps-compare-rest",
        height=120,
    )
    with gr.Row():
        start = gr.Button("Compare", variant="primary", elem_id="ps-compare-start")
        stop = gr.Button("Cancel", elem_id="ps-compare-stop", interactive=False)
    status = gr.HTML(elem_id="ps-compare-status", elem_classes="ps-says", padding=False)
    shown = gr.HTML(elem_id="ps-compare-result", padding=False, apply_default_css=False)

    private: dict[str, Any] = {"api_visibility": "private", "show_progress": "hidden"}
    pair.change(_named, pair, [*labels, neutral], **private)
    neutral.change(lambda which: gr.File(visible=which == NEUTRALS[1]), neutral, rest, **private)

    def run(
        first: str | None, second: str | None, one: str, other: str, which: str, rest: str | None, request: gr.Request
    ) -> Iterator[tuple[Any, ...]]:
        session = sessions.of(request)
        idle = (gr.Button(interactive=True), gr.Button(interactive=False))
        busy = (gr.Button(interactive=False), gr.Button(interactive=True))
        try:
            asked = _asked(session, (first, second), (one, other), which, rest)
        except PainsenseError as error:
            yield work.said(str(error), "trouble"), "", *idle
            return
        files = (*asked.paths, *([] if asked.rest is None else [asked.rest]))
        job = work.start(session, KIND, {path: path.name for path in files})
        yield work.bar(job), "", *busy
        for _ in job.run(lambda: _compared(app, session, job, asked)):
            yield work.bar(job), *[gr.skip()] * 3
        if job.stopped:
            yield work.said("Cancelled. Nothing of it is kept.", "note"), "", *idle
        elif job.trouble is not None:
            yield work.said(job.trouble, "trouble"), "", *idle
        else:
            yield work.said("Done. The result is below."), job.result, *idle

    start.click(
        run, [*uploads, *labels, neutral, rest], [status, shown, start, stop], concurrency_limit=None, **private
    )
    stop.click(_stop, concurrency_limit=None, **private)


def _stop(request: gr.Request) -> None:
    work.stop(sessions.of(request), KIND)


def _named(pair: str | None) -> tuple[Any, ...]:
    """Names of the two, and which neutral fits them."""
    first, second = PAIRS.get(pair or "", next(iter(PAIRS.values())))
    return first, second, NEUTRALS[0] if first == "at rest" else NEUTRALS[1]


def _asked(
    session: Session,
    files: tuple[str | None, str | None],
    labels: tuple[str, str],
    which: str,
    rest: str | None,
) -> Asked:
    """What is to be compared; PainsenseError in words where something is missing."""
    for file, word in zip(files, ("first", "second"), strict=True):
        if file is None:
            raise PainsenseError(f"Choose the {word} recording.")
    if which == NEUTRALS[1] and rest is None:
        raise PainsenseError("Choose the rest recording, or another neutral face.")
    paths = [session.take(file) for file in files if file is not None]
    names = [label.strip() or word for label, word in zip(labels, ("first", "second"), strict=True)]
    if names[0] == names[1]:
        raise PainsenseError("Give the two recordings different names.")
    chosen = {NEUTRALS[0]: paths[0], NEUTRALS[1]: session.take(rest) if rest else None}.get(which)
    return Asked((paths[0], paths[1]), (names[0], names[1]), chosen)


def _see_fit(app: Demo, path: Path) -> None:
    """PainsenseError in words where a file is no recording that can be compared here."""
    clip = media.open_media(path)
    if clip.video is not None and clip.video.still:
        raise PainsenseError(f"{path.name} is a picture. Choose recordings that last at least some seconds.")
    if clip.duration_s > app.limits.max_minutes * 60:
        raise PainsenseError(
            f"{path.name} lasts {words.duration(clip.duration_s)}; at most {app.limits.max_minutes:g} minutes can be "
            "compared here. Cut it, or use painsense score and painsense compare on the command line."
        )


def _compared(app: Demo, session: Session, job: work.Job, asked: Asked) -> str:
    """Both analyses and how they differ, as HTML."""
    for path in asked.paths:
        _see_fit(app, path)
    reports = []
    with Analyzer(replace(app.settings, baseline="auto" if asked.rest is None else asked.rest)) as analyzer:
        for k, (path, label) in enumerate(zip(asked.paths, asked.labels, strict=True), 1):
            reports.append(analyzer.analyze(path, progress=job.at(f"Analysing “{label}” ({k} of 2)")))
    copying = job.at("Making the result ready")
    both = reports[0], reports[1]
    return show(comparison.compare(*both, asked.labels), both, session, asked.paths, copying)


# --- what is shown ----------------------------------------------------------------------------------------------------


def show(
    found: Comparison,
    reports: tuple[Report, Report],
    session: Session,
    paths: tuple[Path, Path],
    progress: Callable[[float, float], None],
) -> str:
    """The comparison as HTML, with its files shared with the session alone; ``progress`` is told of copies."""
    played = [result.play(path, path.name, session, progress) for path in paths]
    return (
        report_markup.environment("painsense.demo")
        .get_template("compare.html.j2")
        .render(
            found=found,
            headline=comparison_words.VERDICTS[found.verdict],
            rows=[row(change) for change in found.changes],
            told=[_inside(comparison_words.NAMES[each.measure]) for each in found.changes[2:] if each.beyond],
            lead=_lead(found),
            sides=[
                {
                    "label": side.label,
                    "name": file_name(report.media.file),
                    "verdict": words.headline(report.clip),
                    "course": report_markup.course(report, source, f"compare-{k}", result.UNPLAYABLE),
                    "note": note,
                    "files": result.write(report, session),
                }
                for k, (side, report, (source, note)) in enumerate(
                    zip((found.first, found.second), reports, played, strict=True), 1
                )
            ],
            files=_files(found, session),
            support=words.SUPPORT_LINE,
            width=WIDTH,
            height=HEIGHT,
        )
    )


def row(change: Change) -> Row:
    """A measure as the page shows it."""
    measure = next((each for each in MEASURES if each.name == change.measure), None)
    name = {"score": "Score, 0 to 10", "pspi": "PSPI, 0 to 16"}.get(change.measure)
    unit = {"times": "octaves", "1": "", "points of 10": "", "points of 16": ""}.get(change.unit, change.unit)
    name = name or comparison_words.NAMES[change.measure] + (f" ({unit})" if unit else "")
    digits = 2 if measure is not None and measure.least < 0.5 else 1

    def number(value: float | None, sign: str = "") -> str:
        return "–" if value is None else f"{value:{sign}.{digits}f}".replace("-", "−")

    difference = "–"
    if change.difference is not None:
        difference = f"{number(change.difference, '+')} ({number(change.low, '+')} to {number(change.high, '+')})"
    first, second = (
        number(value) if measure is None or value is None else f"{measure.show(value)}{UNITS.get(measure.name, '')}"
        for value in (change.first, change.second)
    )
    # what a microphone writes down of loudness means nothing on its own
    values = ("–", "–") if change.measure == "loudness" else (first.replace("-", "−"), second.replace("-", "−"))
    return Row(name, values, change, difference, number(change.detectable), _drawing(change))


def _inside(name: str) -> str:
    """A name inside a sentence."""
    return name[0].lower() + name[1:]


def _lead(found: Comparison) -> str:
    """What stands under the headline: how the deciding measure differs, or why nothing can be said."""
    change = found.change(found.decided_by)
    if change.difference is None:
        return change.text
    return f"{comparison_words.NAMES[found.decided_by]} {_inside(change.text)}"


def _drawing(change: Change) -> dict[str, float] | None:
    """Where the parts of the drawing stand: the interval, and the band of the measurement's own error around 0."""
    ends = (change.low, change.high, change.difference, change.detectable)
    if None in ends:
        return None
    low, high, value, band = (float(end) for end in ends if end is not None)
    reach = 1.08 * max(abs(low), abs(high), band, 1e-6)
    at = {name: WIDTH / 2 * (1 + x / reach) for name, x in (("low", low), ("high", high), ("value", value))}
    return {**{k: round(v, 1) for k, v in at.items()}, "band": round(WIDTH / 2 * band / reach, 1)}


def _files(found: Comparison, session: Session) -> tuple[result.Download, ...]:
    """The comparison as files to take along."""
    folder = Path(tempfile.mkdtemp(prefix="comparison-", dir=session.folder))
    made = []
    for ending, content, label, text in (
        ("json", found.to_json(), "Comparison (JSON)", "for programs"),
        ("csv", found.to_csv(), "Comparison (CSV)", "a row for each measure"),
    ):
        name = f"comparison.{ending}"
        (folder / name).write_text(content, encoding="utf-8", newline="")
        made.append(result.Download(label, text, name, session.share(folder / name, name)))
    return tuple(made)
