"""What a report tells, for the HTML report, the PDF and the demo: facts, reasons, peaks, what could be seen and heard.

Each of them shows the same; how it looks and where it stands is theirs.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass

from painsense import report_timeline as tl
from painsense import report_voice, words
from painsense.report import Peak, Report
from painsense.report_lanes import short, unit_text
from painsense.report_mesh import MeshDrawing, draw, step
from painsense.tracks import Column, Track

#: Unusable stretches listed in words: the longest, from this length on
LISTED, LISTED_FROM_S = 8, 0.5
#: Remarks that are counted: how often says more than how long
EVENTS = frozenset({"blink", "target_jump"})
#: Under the headline of a recording without a result
NO_FINDING = (
    "This recording does not show enough to say anything about pain expression. That is no finding about the person: "
    "neither pain nor its absence."
)
#: Under the peaks, and under the table of what could be seen and heard
MIRRORED = "The drawing shows the face from the front: the person's left is on the right."
LEFT_OUT = "What could not be measured is left out of every number; it is never counted as 0."


def facts(report: Report) -> tuple[str, ...]:
    """What kind of recording it is: its length, pictures and sound."""
    media = report.media
    parts = ["one picture" if media.still else words.duration(media.duration_s)]
    if media.width:
        parts.append(f"{media.width} × {media.height} pixels")
    if media.fps and not media.still:
        parts.append(f"{media.fps:.4g} pictures a second")
    if not media.still:
        parts.append("sound only" if media.audio_only else "with sound" if media.has_audio else "without sound")
    return tuple(parts)


def seen(report: Report) -> str:
    """How much of the face could be used, and what its movements are measured against; empty without a face."""
    quality, still = report.quality, report.media.still
    if quality.face_usable_share is None:
        return ""
    if still:
        told = "The face could be measured." if quality.face_usable_share else "The face could not be measured."
    else:
        seconds = "" if quality.face_usable_s is None else f" ({words.duration(quality.face_usable_s)})"
        told = f"The face could be used for {share(quality.face_usable_share)} of the recording{seconds}."
    return f"{told} Movements are measured against {words.baseline_words(report.baseline.kind)[0]}."


def share(value: float) -> str:
    """A share as a percentage that never turns something into nothing: 0.3% is "under 1%"."""
    percent = value * 100
    if 0 < percent < 1:
        return "under 1%"
    return "over 99%" if 99 < percent < 100 else f"{percent:.0f}%"


def _blocking(report: Report, code: str) -> bool:
    """Whether a reason makes a moment unusable, by the track that gave it."""
    return any(reason.blocking for track in report.tracks.values() for reason in track.reasons if reason.code == code)


def hindrances(report: Report) -> list[words.ReasonWords]:
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


def peaks(report: Report) -> list[PeakView]:
    """The moments of strongest expression, in the order of the report."""
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


def coverage(report: Report) -> Coverage:
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
