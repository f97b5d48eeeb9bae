"""Report -> one self-contained HTML file a clinician reads: no library, no request, only the report's own content.

:mod:`painsense.report_view` works out what is said, :mod:`painsense.report_markup` the timeline;
``templates/report.html.j2`` says where it stands, ``timeline.css`` and ``report.css`` how it looks, ``timeline.js``
moves the cursor. Without JavaScript and on paper everything but the cursor and the player is still there.
"""

from __future__ import annotations

import base64
import hashlib
import os
from dataclasses import replace
from importlib import resources
from urllib.parse import quote

from markupsafe import Markup

from painsense import glossary, report_markup, report_view, report_voice, words
from painsense.report import Report, file_name, plain_settings

PREFIX = "report"


def to_html(report: Report) -> str:
    """The report as the text of one HTML file."""
    style, script = _asset("timeline.css") + _asset("report.css"), _asset("timeline.js")
    report = replace(
        report,
        media=replace(report.media, file=file_name(report.media.file)),
        baseline=replace(report.baseline, source=file_name(report.baseline.source)),
    )
    source = quote(os.fsencode(report.media.file)) if report.media.sha256 else None  # live pictures are in no file
    unplayable = (
        f"To watch the recording along with the timeline, put {report.media.file} into the same folder as this report "
        "and open the report again (a browser plays mp4 and webm, but not every other format)."
    )
    context = {
        "report": report,
        "prefix": PREFIX,
        "words": words,
        "glossary": glossary,
        "told": report_view,
        "style": Markup(style),
        "script": Markup(script),
        "policy": _policy(style, script),
        "course": report_markup.course(report, source, PREFIX, unplayable),
        "hindrances": report_view.hindrances(report),
        "peaks": report_view.peaks(report),
        "voice": report_voice.view(report),
        "coverage": report_view.coverage(report),
        "settings": {key: _setting(value) for key, value in plain_settings(report.software.settings).items()},
    }
    page = report_markup.environment().get_template("report.html.j2").render(context)
    return page.encode("utf-8", "replace").decode()


def _asset(name: str) -> str:
    return resources.files("painsense").joinpath(f"templates/{name}").read_text(encoding="utf-8").replace("\r\n", "\n")


def _policy(style: str, script: str) -> str:
    """Content security policy: this very style and script, pictures inside the file, the recording beside it."""

    def digest(text: str) -> str:
        return "'sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() + "'"

    return (
        f"default-src 'none'; style-src {digest(style)}; script-src {digest(script)}; img-src data:; "
        "media-src 'self' file:; base-uri 'none'; form-action 'none'"
    )


def _setting(value: object) -> str:
    """A setting as a person writes it."""
    if isinstance(value, (list, tuple)):
        return ", ".join(map(_setting, value)) or "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "not set" if value is None else str(value)
