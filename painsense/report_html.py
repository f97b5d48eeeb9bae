"""Report -> one self-contained HTML file a clinician reads: no library, no request, only the report's own content.

Python works out what is said and drawn, ``templates/report.html.j2`` says where it stands, ``report.css`` how it looks,
``report.js`` moves the cursor. Without JavaScript and on paper everything but the cursor and the player is still there.
"""

from __future__ import annotations

import base64
import functools
import hashlib
import json
import os
from dataclasses import dataclass, replace
from importlib import resources
from typing import Any
from urllib.parse import quote

import jinja2
from markupsafe import Markup

from painsense import report_timeline as tl
from painsense import report_voice, words
from painsense.report import Peak, Report, file_name, plain_settings
from painsense.report_lanes import Timeline, short, timeline, unit_text
from painsense.report_mesh import STEPS, MeshDrawing, draw, step
from painsense.tracks import Column, Track

#: Unusable stretches listed in words: the longest, from this length on
LISTED, LISTED_FROM_S = 8, 0.5
#: Remarks that are counted: how often says more than how long
EVENTS = frozenset({"blink", "target_jump"})


def to_html(report: Report) -> str:
    """The report as the text of one HTML file."""
    style, script = _asset("report.css"), _asset("report.js")
    report = replace(
        report,
        media=replace(report.media, file=file_name(report.media.file)),
        baseline=replace(report.baseline, source=file_name(report.baseline.source)),
    )
    course = None if report.media.still else timeline(report)
    context = {
        "report": report,
        "words": words,
        "style": Markup(style),
        "script": Markup(script),
        "policy": _policy(style, script),
        "source": quote(os.fsencode(report.media.file)),
        "length": words.duration(report.media.duration_s),
        "hindrances": _hindrances(report),
        "timeline": course,
        "data": Markup(_embedded(course.data)) if course else None,
        "peaks": _peaks(report),
        "marked": _marked(course),
        "voice": report_voice.view(report),
        "coverage": _coverage(report),
        "settings": {key: _setting(value) for key, value in plain_settings(report.software.settings).items()},
        "steps": range(1, STEPS + 1),
        "share": _share,
    }
    return _environment().get_template("report.html.j2").render(context).encode("utf-8", "replace").decode()


def _marked(course: Timeline | None) -> str | None:
    """The lane that carries the numbers of the peaks: the first curve."""
    names = [lane.name for lane in course.lanes] if course else []
    return next((name for name in names if name in ("score", "pspi")), None)


@functools.cache
def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("painsense", "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["clock"] = words.clock
    environment.filters["duration"] = words.duration
    return environment


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


def _embedded(data: dict[str, Any]) -> str:
    """JSON that can stand inside a script element: no text in it can close the element."""
    text = json.dumps(data, separators=(",", ":"), allow_nan=False)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _share(value: float) -> str:
    """A share as a percentage that never turns something into nothing: 0.3% is "under 1%"."""
    percent = value * 100
    if 0 < percent < 1:
        return "under 1%"
    return "over 99%" if 99 < percent < 100 else f"{percent:.0f}%"


def _setting(value: object) -> str:
    """A setting as a person writes it."""
    if isinstance(value, (list, tuple)):
        return ", ".join(map(_setting, value)) or "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "not set" if value is None else str(value)


def _blocking(report: Report, code: str) -> bool:
    """Whether a reason makes a moment unusable, by the track that gave it."""
    return any(reason.blocking for track in report.tracks.values() for reason in track.reasons if reason.code == code)


def _hindrances(report: Report) -> list[words.ReasonWords]:
    """Why there is not enough evidence.

    Where the verdict names no reason of the face itself, the three that stood in its way for longest follow.
    """
    given = [reason for track in report.tracks.values() for reason in track.reasons]
    face, codes = report.tracks.get("face"), list(report.clip.reasons)
    blocking = {reason.code for reason in face.reasons if reason.blocking} if face is not None else set()
    if not blocking & set(codes):
        seconds = {code: s for code, s in report.quality.reasons_s.items() if code in blocking}
        codes += sorted(seconds, key=lambda code: -seconds[code])[:3]
    return [words.reason_words(code, given) for code in codes]


@dataclass(frozen=True)
class PeakView:
    """A peak as the page shows it. ``units``: (name, words, value or None, colour step)."""

    peak: Peak
    text: str
    units: tuple[tuple[str, str, float | None, int], ...]
    voice: tuple[tuple[str, str], ...]
    mesh: MeshDrawing | None
    picture: str | None


def _peaks(report: Report) -> list[PeakView]:
    pictures = {round(picture.time_s, 3): picture for picture in report.pictures}
    voice = report.tracks.get("voice")
    columns = {column.name: column for column in voice.columns} if voice is not None else {}
    views = []
    for peak in report.peaks:
        picture = pictures.get(round(peak.time_s, 3))
        mesh = None
        if picture is not None and report.mesh_triangles is not None:
            mesh = draw(picture.mesh, report.mesh_triangles, peak.action_units)
        jpeg = picture.frame_jpeg if picture is not None else None
        views.append(
            PeakView(
                peak=peak,
                text=words.moved_text(peak.action_units),
                units=tuple(
                    (name, text, None if name in words.BINARY_UNITS else value, step(name, value))
                    for name, text, value in words.moved(peak.action_units)
                ),
                voice=tuple(_measure(columns.get(k), k, value) for k, value in peak.voice.items() if value is not None),
                mesh=mesh,
                picture="data:image/jpeg;base64," + base64.b64encode(jpeg).decode() if jpeg else None,
            )
        )
    return views


def _measure(column: Column | None, name: str, value: float) -> tuple[str, str]:
    """A measure of the voice and its value with the unit."""
    return words.voice_measure(name), f"{short(value)} {unit_text(column) if column else ''}".strip()


@dataclass(frozen=True)
class CoverageRow:
    """Seconds of something, or how often it happened (``times``) where that says more.

    ``kind``: "usable", "unusable" or "remark", for the look of its bar.
    """

    label: str
    seconds: float
    times: int | None
    share: float
    kind: str
    text: str
    remedy: str


@dataclass(frozen=True)
class Coverage:
    """How much was seen and heard, and the longest stretches that were lost: (start, end, why)."""

    rows: tuple[CoverageRow, ...]
    lost: tuple[tuple[float, float, str], ...]
    more: int


def _times_said(track: Track | None, code: str) -> int | None:
    """How often a reason was given, each uninterrupted time once."""
    if track is None or code not in {reason.code for reason in track.reasons}:
        return None
    said = track.has_reason(code)
    return int(said[:1].sum() + (said[1:] & ~said[:-1]).sum())


def _coverage(report: Report) -> Coverage:
    """Seconds of each kind, the lost stretches of the face, and how many more of those there are."""
    quality, whole = report.quality, max(report.media.duration_s, 1e-9)
    given = [reason for track in report.tracks.values() for reason in track.reasons]
    rows, face = [], report.tracks.get("face")
    for label, seconds, text in (
        ("Face usable", quality.face_usable_s, "The face could be measured."),
        ("Sound usable", quality.voice_usable_s, "Something could be heard above the background, and measured."),
        ("Voiced", quality.voiced_s, "Speech, moans, groans: sound made with the vocal folds."),
    ):
        if seconds is not None:
            rows.append(CoverageRow(label, seconds, None, min(seconds / whole, 1.0), "usable", text, ""))
    for blocks in (True, False):
        # silence is no failure; "unvoiced" is what "Voiced" leaves over, "irregular" what the CSV leaves empty
        told = [code for code in quality.reasons_s if code not in ("unvoiced", "irregular")]
        codes = [c for c in told if (_blocking(report, c) and c not in report_voice.QUIET) is blocks]
        for code in sorted(codes, key=lambda code: (-quality.reasons_s[code], code)):
            seconds, said = quality.reasons_s[code], words.reason_words(code, given)
            label = said.label[0].upper() + said.label[1:]
            kind = "unusable" if blocks else "remark"
            times = _times_said(face, code) if code in EVENTS else None
            rows.append(CoverageRow(label, seconds, times, min(seconds / whole, 1.0), kind, said.text, said.remedy))
    if face is None or len(face) == 0 or report.media.still:
        return Coverage(tuple(rows), (), 0)
    lost = [s for s in tl.lost(tl.points(face, (), report.media.duration_s)) if s.seconds >= LISTED_FROM_S]
    longest = sorted(sorted(lost, key=lambda s: -s.seconds)[:LISTED], key=lambda s: s.start_s)
    listed = tuple((s.start_s, s.end_s, tl.stretch_text(s, face)) for s in longest)
    return Coverage(tuple(rows), listed, len(lost) - len(listed))
