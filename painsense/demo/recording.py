"""The Recording page: choose a recording, see it analysed, look at the result, take it along."""

from __future__ import annotations

import dataclasses
import tempfile
import threading
import weakref
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

import gradio as gr

from painsense import media
from painsense.annotate import annotate
from painsense.demo import Demo, examples, result, sessions, work
from painsense.errors import MediaError
from painsense.pipeline import Analyzer
from painsense.report import Report

INTRO = """
<div class="ps-result"><h2>Recording</h2>
<p>Choose a video of one person's face, with sound if there is any. A photo or a sound recording can be looked at, too.
It is analysed where this server runs; when you close this page, the recording and all results are removed.</p></div>
"""
PEOPLE: list[tuple[str, str | int | float]] = [
    ("the largest face", "largest"),
    ("the 1st from the left", 1),
    ("the 2nd from the left", 2),
    ("the 3rd from the left", 3),
    ("the 4th from the left", 4),
]
FACES = [("blurred, nobody can be recognised", "blurred"), ("as it is", "shown")]
PREFIX = "recording"
#: What a report says to people at a command line, and what it means on this page
HERE = (("with --person N", "above, under More"), ("with --person", "above, under More"))


@dataclass(frozen=True)
class Finished:
    """What the annotated video is made from."""

    report: Report
    path: Path


_finished: weakref.WeakKeyDictionary[sessions.Session, Finished] = weakref.WeakKeyDictionary()
_lock = threading.Lock()


def build(app: Demo) -> None:
    """Add the page to the tab that is being built."""
    _html(INTRO)
    with gr.Row(elem_classes="ps-choose"):
        with gr.Column(scale=3, min_width=280):
            recording = gr.File(label="Recording: video, sound or photo", elem_id="ps-recording-file", height=170)
        with gr.Column(scale=2, min_width=260):
            said = "".join(f"<p>{escape(example.text)}</p>" for example in examples.EXAMPLES)
            _html(f'<div class="ps-result"><h3>Or look at an example</h3>{said}</div>')
            tries = [gr.Button(f"Analyse: {example.label}", size="md") for example in examples.EXAMPLES]
    with gr.Accordion("More: rest clip, several people", open=False), gr.Row():
        with gr.Column(min_width=280):
            _html(
                '<div class="ps-result"><p>A clip of the same person at rest, 5 to 10 s, makes the result more '
                "dependable: movements are then measured from the person's own relaxed face.</p></div>"
            )
            rest = gr.File(label="Rest clip (optional)", elem_id="ps-recording-rest", height=130)
        with gr.Column(min_width=280):
            person = gr.Radio(PEOPLE, value="largest", label="With several people in the picture, follow")
    with gr.Row(elem_classes="ps-buttons"):
        start = gr.Button("Analyse", variant="primary", elem_id="ps-recording-start")
        cancel = gr.Button("Cancel", interactive=False, elem_id="ps-recording-cancel")
    progress = _html(elem_id="ps-recording-progress", elem_classes="ps-says")
    shown = _html(elem_id="ps-recording-result")
    with gr.Column(visible=False, elem_id="ps-recording-annotate", elem_classes="ps-annotate") as drawn:
        _html(
            '<div class="ps-result"><h3>Annotated video</h3><p>The recording with the face mesh, the active regions '
            "and the values drawn onto it. Blurred, the heads of all people are covered, and every picture in which "
            "the person was not found is blurred as a whole. Clothes, surroundings and voice may still tell who "
            "somebody is.</p></div>"
        )
        face = gr.Radio(FACES, value="blurred", label="Face")
        sound = gr.Checkbox(False, label="with sound")
        with gr.Row(elem_classes="ps-buttons"):
            draw = gr.Button("Make the annotated video", elem_id="ps-annotate-start")
            halt = gr.Button("Cancel", interactive=False, elem_id="ps-annotate-cancel")
        made = _html(elem_id="ps-annotate-progress", elem_classes="ps-says")

    quiet: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private"}
    long: dict[str, Any] = {**quiet, "concurrency_limit": None}
    for chosen in (recording, rest):
        chosen.upload(_take, inputs=chosen, **long)
    outputs = [start, cancel, progress, shown, drawn, made]
    analyse = _analyse(app)
    start.click(analyse, inputs=[recording, rest, person], outputs=outputs, **long)
    for button, example in zip(tries, examples.EXAMPLES, strict=True):
        button.click(_analyse(app, example.file), inputs=[recording, rest, person], outputs=outputs, **long)
    cancel.click(_stop_analysis, **long)
    draw.click(_annotate(app), inputs=[face, sound], outputs=[draw, halt, made], **long)
    halt.click(_stop_drawing, **long)


def _html(value: str = "", **options: Any) -> gr.HTML:
    """HTML of our own, without Gradio's styles for running text."""
    return gr.HTML(value, apply_default_css=False, padding=False, **options)


def _take(path: str | None, request: gr.Request) -> None:
    """An upload becomes the session's own at once, so that it goes with it."""
    if path:
        session = sessions.of(request)
        with sessions.told():
            session.take(path)


def _stop_analysis(request: gr.Request) -> None:
    work.stop(sessions.of(request), "analyse")


def _stop_drawing(request: gr.Request) -> None:
    work.stop(sessions.of(request), "annotate")


def _analyse(app: Demo, example: str = "") -> Callable[..., Iterator[list[Any]]]:
    """What the Analyse button does, with the bundled example instead of an upload if one is named."""

    def click(
        chosen: str | None, rest: str | None, person: str | int, request: gr.Request
    ) -> Iterator[list[Any]]:  # start, cancel, progress, result, annotate, its message
        session = sessions.of(request)
        idle = [gr.Button(interactive=True), gr.Button(interactive=False)]
        gone = ["", gr.Column(visible=False), ""]
        work.stop(session, "annotate")
        with _lock:
            _finished.pop(session, None)
        try:
            path = examples.find(example) if example else session.take(chosen) if chosen else None
            rested = session.take(rest) if rest else None
        except (MediaError, sessions.SessionError) as error:
            yield [*idle, work.said(str(error), "trouble"), *gone]
            return
        if path is None:
            yield [*idle, work.said("Choose a recording first, or take the example.", "trouble"), *gone]
            return
        names = {place: place.name for place in (path, rested) if place is not None}
        job = work.start(session, "analyse", names)
        busy = [gr.Button(interactive=False), gr.Button(interactive=True)]
        yield [*busy, work.bar(job), *gone]
        keep = [gr.skip(), gr.skip(), gr.skip()]
        for _ in job.run(lambda: _result(app, session, job, path, rested, person)):
            yield [gr.skip(), gr.skip(), work.bar(job), *keep]
        if job.replaced:  # an example was chosen meanwhile: its buttons and its bar stay
            return
        if job.stopped:
            yield [*idle, work.said("Cancelled. Nothing of it is kept.", "note"), *gone]
        elif job.trouble is not None:
            yield [*idle, work.said(_for_the_page(job.trouble), "trouble"), *gone]
        else:
            report, html = job.result
            drawable = report.media.width is not None
            if drawable:
                with _lock:
                    _finished[session] = Finished(report, path)
            yield [*idle, work.said("Done. The result is below."), html, gr.Column(visible=drawable), ""]

    return click


def _result(
    app: Demo, session: sessions.Session, job: work.Job, path: Path, rest: Path | None, person: str | int
) -> tuple[Report, str]:
    """The whole analysis of a recording, and its result as HTML."""
    job.at("Reading the recording")
    minutes = media.open_media(path).duration_s / 60
    if minutes > app.limits.max_minutes:
        raise MediaError(
            f"{path.name} is {minutes:.1f} min long, and this page takes up to {app.limits.max_minutes:g} min. Cut it, "
            "or use `painsense score` on a command line, which has no limit."
        )
    settings = dataclasses.replace(app.settings, person=person, baseline=rest or app.settings.baseline)
    with Analyzer(settings) as analyzer:
        both = " and the rest clip" if rest is not None else ""
        report = analyzer.analyze(path, progress=job.at(f"Analysing the recording{both}"))
    copying = job.at("Making the result ready")
    shown = result.show(report, session, path, PREFIX, progress=copying)
    return report, _for_the_page(shown.html)


def _for_the_page(text: str) -> str:
    for there, here in HERE:
        text = text.replace(there, here)
    return text


def _annotate(app: Demo) -> Callable[..., Iterator[list[Any]]]:
    """What the button of the annotated video does."""

    def click(face: str, sound: bool, request: gr.Request) -> Iterator[list[Any]]:  # draw, halt, message
        session = sessions.of(request)
        with _lock:
            finished = _finished.get(session)
        if finished is None:
            yield [gr.skip(), gr.skip(), work.said("Analyse a recording first.", "trouble")]
            return
        still = finished.report.media.still
        name = f"{finished.path.stem}.annotated.{'png' if still else 'mp4'}"
        out = Path(tempfile.mkdtemp(prefix="annotated-", dir=session.folder)) / name
        job = work.start(session, "annotate", {finished.path: finished.path.name, out: name})
        yield [gr.Button(interactive=False), gr.Button(interactive=True), work.bar(job)]

        def draw() -> str:
            tell = job.at("Drawing")
            model = app.settings.face_model
            annotate(finished.path, finished.report, out, face=face, sound=sound, face_model=model, progress=tell)
            return session.share(out, name)

        for _ in job.run(draw):
            yield [gr.skip(), gr.skip(), work.bar(job)]
        if job.stopped:
            told = work.said("Cancelled. Nothing of it is kept.", "note")
        elif job.trouble is not None:
            told = work.said(job.trouble, "trouble")
        else:
            how = "faces blurred" if face == "blurred" else "face as it is"
            link = f'<a href="{job.result}" download="{escape(name)}">{escape(name)}</a>'
            told = f'<div class="ps-said ps-done ps-result" data-say="Done."><p>Done: {link} ({how}).</p></div>'
        yield [gr.Button(interactive=True), gr.Button(interactive=False), told]

    return click
