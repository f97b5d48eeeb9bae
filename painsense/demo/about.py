"""The page that says what this is: purpose and limits, model cards, versions, privacy, licence, and a self-test."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from functools import cache
from html import escape
from importlib import metadata
from pathlib import Path

import gradio as gr

import painsense
from painsense import action_units, assets, doctor
from painsense.demo import Demo
from painsense.errors import ModelError
from painsense.fusion import Fusion
from painsense.spec import ModelSpec

PURPOSE = """
<h2>What this is</h2>
<p>painsense watches and listens to a recorded person and says how much pain their face and voice express: with the
evidence, with its uncertainty, and with "not enough evidence" where that is the truth.</p>
<ul>
<li><b>PSPI</b>, the Prkachin-Solomon pain intensity, 0 to 16, is a published sum of facial action units:
AU4 + the larger of AU6 and AU7 + the larger of AU9 and AU10 + AU43.</li>
<li><b>The score</b>, 0 to 10, comes from a network that looks at the course of the face and the voice together. It is
shown with a 90% interval and with the share that face and voice had in it.</li>
<li><b>What could not be seen or heard</b> is missing, with the reason. It is never counted as 0.</li>
</ul>
<h2>What this is not</h2>
<ul>
<li>It measures <b>expression, not pain</b>. People in severe pain can show nothing, and others can show much of it with
little pain.</li>
<li>It is <b>not a medical device</b>. Its networks were trained in simulation and have been validated on no
patient.</li>
<li>It supports, and never replaces, what the person says and the judgement of those who care for them. Who can say how
much it hurts should be asked.</li>
<li>It is not for comparing different people with each other, nor for newborns and children, nor for lie detection,
hiring, insurance, policing, or any use against a person's will.</li>
<li>It recognises nobody, and names no emotion.</li>
</ul>
"""

PRIVACY = """
<h2>Privacy</h2>
<ul>
<li>Everything is computed by the program that shows you this page. It asks nothing of the internet, and the page loads
nothing from elsewhere. There is no telemetry.</li>
<li>A recording that you hand over lies in a private temporary folder as long as this page is open. When you close the
page, or lose touch with it for {grace_s:.0f} seconds, the recording and all that was made of it are removed. The same
happens when the server stops, and at its next start if it crashed.</li>
<li>The camera and the microphone are used only between Start and Stop on the Live page.</li>
<li>Others who use this server cannot reach your files. The log names no recordings.</li>
<li>What you download is yours to look after: a report says much about a person.</li>
</ul>
"""

LICENCE = """
<h2>Licence</h2>
<p>painsense is free software under the Apache License, Version 2.0, without warranty of any kind.
Its face networks are those of Google's MediaPipe Face Landmarker (Apache License 2.0). Its own networks were
learned from heads made with the shapes of ICT-FaceKit (MIT) and from generated sound.</p>
"""

#: What each model file does, for those who have never heard of it
DOES = {
    "face_landmarker": "Finds a face and 478 points on it in each picture.",
    "action_units": "Reads action units (AU), the movements of the face, and their uncertainty from those points.",
    "face_shape": "The main ways in which faces differ and move, in which the points are measured.",
    "voice_segments": "Says what kind of sound is heard: speech, moan or cry, breath, other sounds, silence.",
    "fusion": "Weighs the course of the face and the voice, and gives the score with its interval.",
}
#: The packages whose version matters for a result
PACKAGES = ("painsense", "ai-edge-litert", "onnxruntime", "av", "opencv-python-headless", "numpy", "scipy", "gradio")


def build(app: Demo) -> None:
    """Add the page to the tab that is being built."""
    with gr.Column(elem_classes="ps-about"):
        gr.HTML(PURPOSE, padding=False)
        gr.HTML(f"<h2>Model cards</h2>{''.join(_cards(app.settings.fusion_model))}", padding=False)
        gr.HTML(_versions(), padding=False)
        gr.HTML(PRIVACY.format(grace_s=app.store.grace_s), padding=False)
        gr.HTML(LICENCE, padding=False)
        gr.HTML(
            "<h2>Self-test</h2><p>Computes things whose answer is known, among them a drawn face and a tone. It takes "
            "some seconds.</p>",
            padding=False,
        )
        start = gr.Button("Run the self-test", variant="primary", elem_id="ps-selftest-start")
        findings = gr.HTML(elem_id="ps-selftest", elem_classes="ps-announced", min_height=40, padding=False)
    start.click(self_test, outputs=findings, api_visibility="private", show_progress="hidden", concurrency_limit=1)


def self_test() -> Iterator[str]:
    """What ``painsense doctor`` finds, growing while it looks."""
    rows: list[str] = []
    topic, faults = "", 0
    for finding in doctor.examine():
        if finding.topic != topic:
            topic = finding.topic
            rows.append(f'<tr><th colspan="3" scope="colgroup">{escape(topic.capitalize())}</th></tr>')
        faults += finding.ok is False
        mark = {True: '<b class="ps-good">ok</b>', False: '<b class="ps-bad">fault</b>', None: "noted"}[finding.ok]
        rows.append(f"<tr><td>{mark}</td><td>{escape(finding.name)}</td><td>{escape(_short(finding.text))}</td></tr>")
        yield _findings("Looking ...", rows)
    said = f"{faults} fault{'' if faults == 1 else 's'} found." if faults else "Everything needed works."
    yield _findings(said, rows)


def _findings(said: str, rows: list[str]) -> str:
    return (
        f"<p><b>{escape(said)}</b></p>"
        '<div class="ps-wide" tabindex="0" role="region" aria-label="What the self-test found">'
        f"<table>{''.join(rows)}</table></div>"
    )


def _short(text: str) -> str:
    """Without the folders of this machine."""
    places = {str(Path(painsense.__file__).parent): "its folder", sys.prefix: "Python's folder", str(Path.home()): "~"}
    for place, said in places.items():
        text = text.replace(place, said)
    return text


def _versions() -> str:
    rows = "".join(
        f'<tr><th scope="row">{escape(name)}</th><td>{escape(_version(name))}</td></tr>' for name in PACKAGES
    )
    return f"<h2>Versions</h2><table>{rows}</table>"


def _version(name: str) -> str:
    if name == "painsense":
        return painsense.__version__
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return "not installed"


def _cards(fusion_model: Path | None) -> Iterator[str]:
    """One card for each model file, from the manifest and from what the file says of itself."""
    manifest = assets.manifest()
    for entry in (*manifest.external, *manifest.installed):
        own = fusion_model if entry.name == "fusion" else None
        try:
            asset = assets.fusion_model(own) if own is not None else assets.find(entry)
            found, sha256, version = asset.found, asset.sha256, asset.version
            licence, source = asset.licence, asset.source
        except ModelError:
            found, sha256, version = "not on this machine yet", entry.sha256, entry.version
            licence, source = entry.licence, entry.source
        rows = [("Version", version), ("Licence", licence), ("Source", source), ("SHA-256", sha256), ("Found", found)]
        notes = ""
        spec = _spec(entry.name, fusion_model)
        if spec is not None:
            rows += [
                ("Gives", ", ".join(spec.targets)),
                *((f"Output {name}", text) for name, text in spec.outputs.items()),
                *(
                    (f"Learned: {name.replace('_', ' ')}", str(value))
                    for name, value in spec.training.items()
                    if _told(name)
                ),
                *((f"Reads {name}", sha) for name, sha in spec.requires.items()),
            ]
            rows += [
                (f"Calibration: {name.replace('_', ' ')}", _numbers(ends)) for name, ends in spec.calibration.items()
            ]
            notes = "".join(f"<p>{escape(part)}</p>" for part in spec.notes.split("\n\n"))
        body = "".join(f'<tr><th scope="row">{escape(name)}</th><td>{escape(text)}</td></tr>' for name, text in rows)
        yield (
            f"<details class='ps-card'><summary><b>{escape(entry.name)}</b> {escape(version)}</summary>"
            f"<p>{escape(DOES.get(entry.name, ''))}</p>{notes}<table>{body}</table></details>"
        )


def _told(name: str) -> bool:
    """Whether an entry of the training is for readers: the whole settings of a run are for programs."""
    return name != "settings"


def _numbers(values: dict[str, float]) -> str:
    return ", ".join(f"{name.replace('_', ' ')} {value:.4g}" for name, value in values.items())


@cache
def _spec(name: str, fusion_model: Path | None) -> ModelSpec | None:
    """What a network says of itself; None for files that carry no such thing."""
    try:
        if name == "action_units":
            return action_units.estimator().spec
        if name == "fusion":
            return Fusion.load(assets.read_fusion_model(fusion_model)).spec
    except ModelError:  # the self-test says what is wrong with it
        return None
    return None
