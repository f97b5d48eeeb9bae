"""The voice in the HTML report: its lanes of the timeline, what the cursor reads of them, and the section in words.

Which kind of sound is where, loudness and pitch over time with what is usual at rest. Loudness is drawn in dB against
rest, never as a number of its own: a microphone does not know how loud a voice was.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from painsense import report_timeline as tl
from painsense import words
from painsense.report import Report, VoiceBand, VoiceEvidence
from painsense.report_timeline import Lane, hatched, numbers, spelled, times
from painsense.tracks import Column, Track, reason_index
from painsense.voice_rest import STEP_S, scaled
from painsense.voice_segments import KINDS, NO_AUDIO, Segment, kinds_at

ROW, CURVE = 100, 100  # height of a row of the strip and of a curve, in the drawing's own units
#: Reasons of the voice that are no failure of the recording: nobody made a sound
QUIET = frozenset({"silent", "unvoiced"})
#: Kinds of sound that have a row in the strip, in this order; the rest is silence
SHOWN_KINDS = ("speech", "nonverbal", "breath", "other")
LEAST_SHOWN_DB = -30.0  # softer than that against rest is the room
A27_5_HZ = 27.5


@dataclass(frozen=True)
class _Curves:
    """What is drawn: pitch in semitones from 27.5 Hz where there is voice, loudness in dB against rest."""

    found: tl.Points
    track: Track
    rest: VoiceEvidence | None


def lanes(report: Report, voice: Track, end_s: float) -> tuple[list[Lane], dict[str, Any]]:
    """The voice's lanes of the timeline from top to bottom, and the numbers the cursor reads out."""
    heard = _heard(voice, report.voice)
    curves = _Curves(tl.points(heard, heard.names, end_s), heard, report.voice)
    strip = _strip(curves, report.segments, end_s)
    drawn = [strip, _loudness(curves, end_s), _pitch(curves, end_s)]
    return [lane for lane in drawn if lane is not None], _readings(curves, report.segments)


def _heard(voice: Track, evidence: VoiceEvidence | None) -> Track:
    """Voiced (1 or 0), pitch and loudness as they are drawn; silence counts as no voice, not as unusable."""
    codes = {reason.code for reason in voice.reasons}
    no_voice = np.zeros(len(voice), bool)
    bits = voice.reason_bits.copy()
    for code in codes & QUIET:
        no_voice |= voice.has_reason(code)
        bits &= ~np.uint32(1 << reason_index(voice.reasons, code))
    voiced = voice.valid & ~no_voice
    columns, values = [Column("voiced", "", "")], [voiced.astype(np.float32)]
    if "f0_hz" in voice.names:
        semitones = 12 * np.log2(voice.column("f0_hz") / np.float32(A27_5_HZ))
        columns.append(Column("pitch", "semitones", ""))
        values.append(np.where(voiced, semitones, np.float32(np.nan)))
    if "loudness" in voice.names:
        db = scaled("loudness", voice.column("loudness"))
        zero = evidence.loudness_zero if evidence is not None else None
        spoken = db[voiced & np.isfinite(db)]
        middle = scaled("loudness", zero) if zero else np.median(spoken) if len(spoken) else np.array(0.0)
        columns.append(Column("loudness", "dB", ""))
        values.append((db - float(middle)).astype(np.float32))
    time_s = voice.time_s - STEP_S / 2  # a frame is drawn from its beginning on
    return Track(voice.modality, tuple(columns), voice.reasons, time_s, np.stack(values, axis=1), bits)


def _strip(curves: _Curves, segments: Sequence[Segment], end_s: float) -> Lane:
    """Which kind of sound is where, a row each; without segments, where there is voice."""
    scale = tl.Scale(end_s, 0, 1, ROW)
    lost = hatched(curves.found, curves.track, end_s)
    kinds = [kind for kind in SHOWN_KINDS if any(segment.kind == kind for segment in segments)]
    if not kinds:
        found = curves.found
        share = np.where(found.usable, found.mean["voiced"], np.nan)
        height = tl.band(found, np.zeros(len(found)), share, scale)
        return Lane("voiced", "Voice", "", ROW, (("voiced", height),), "Voiced sound over time", areas=lost)
    paths = []
    for row, kind in enumerate(kinds):
        spans = _joined([(s.start_s, s.end_s) for s in segments if s.kind == kind], end_s / tl.MOST_POINTS)
        bars = tl.spans(spans, scale, row * ROW + ROW // 8, ROW * 3 // 4)
        paths.append((f"sound {kind}", bars))
    rows = tuple(("", words.sound(kind)) for kind in kinds)
    said = "Kinds of sound over time, a row each: " + ", ".join(label for _, label in rows)
    return Lane("sounds", "", "", ROW * len(rows), tuple(paths), said, rows=rows, areas=lost)


def _joined(spans: Sequence[tuple[float, float]], gap_s: float) -> list[tuple[float, float]]:
    """Stretches with gaps too narrow to be drawn closed."""
    joined: list[tuple[float, float]] = []
    for start_s, end_s in spans:
        if joined and start_s - joined[-1][1] < gap_s:
            start_s = joined.pop()[0]
        joined.append((start_s, end_s))
    return joined


def _loudness(curves: _Curves, end_s: float) -> Lane | None:
    if "loudness" not in curves.found.mean:
        return None
    band = curves.rest.loudness_db if curves.rest is not None else None
    note = "dB, relative" if band is None else "dB"
    if curves.rest is not None and curves.rest.automatic_gain:
        note = "dB, automatic gain"
    return _curve(curves, "loudness", "Loudness", note, band, end_s, lambda db: f"{db:+.0f}")


def _pitch(curves: _Curves, end_s: float) -> Lane | None:
    if "pitch" not in curves.found.mean:
        return None
    rest = curves.rest.f0_hz if curves.rest is not None else None
    band = None
    if rest is not None:
        middle, low, high = (12 * math.log2(hz / A27_5_HZ) for hz in (rest.median, rest.low, rest.high))
        band = VoiceBand(middle, low, high, rest.against)
    return _curve(curves, "pitch", "Pitch (F0)", "Hz", band, end_s, lambda semitones: f"{_hz(semitones):.0f}")


def _curve(
    curves: _Curves,
    name: str,
    label: str,
    note: str,
    band: VoiceBand | None,
    end_s: float,
    show: Callable[[float], str],
) -> Lane | None:
    """A curve with the band of rest behind it; the axis leaves out the odd value beyond both."""
    values = curves.found.mean[name]
    there = values[np.isfinite(values)]
    if len(there) == 0:
        return None
    low, high = (float(end) for end in np.percentile(there, [1, 99]))
    if band is not None:
        low, high = min(low, band.low), max(high, band.high)
    if name == "loudness":
        low = max(low, LEAST_SHOWN_DB)
    if high - low < 4:
        low, high = (low + high) / 2 - 2, (low + high) / 2 + 2
    scale = tl.Scale(end_s, low, high, CURVE)
    paths = []
    if band is not None:
        ends = tl.level_band(band.low, band.high, scale)
        paths += [("rest-band", ends), ("rest-middle", tl.level_line(band.median, scale))]
    paths.append((name, tl.curve(curves.found, values, scale)))
    said = f"{label} over time, from {show(float(there.min()))} to {show(float(there.max()))} {note}"
    if band is not None:
        said += f"; at rest {show(band.low)} to {show(band.high)}"
    return Lane(name, label, note, CURVE, tuple(paths), said, show(high), show(low))


def _hz(semitones: float) -> float:
    return float(A27_5_HZ * 2 ** (semitones / 12))


def _readings(curves: _Curves, segments: Sequence[Segment]) -> dict[str, Any]:
    found, shown = curves.found, []
    if "pitch" in found.mean:
        shown.append({"label": "F0", "unit": "Hz", "values": numbers(A27_5_HZ * 2 ** (found.mean["pitch"] / 12))})
    if "loudness" in found.mean:
        band = curves.rest.loudness_db if curves.rest is not None else None
        against = "" if band is None else " against calm voice" if band.against == "recording" else " against rest"
        label = f"Loudness{against}" if against else "Loudness (relative)"
        shown.append({"label": label, "unit": "dB", "values": numbers(found.mean["loudness"])})
    data = {
        **times(found),
        "voiced": numbers(found.mean["voiced"]),
        "usable": found.usable.astype(int).tolist(),
        **spelled(found, curves.track),
        "shown": shown,
    }
    if segments:
        data["kinds"] = [words.sound(kind) for kind in (*KINDS, NO_AUDIO)]
        data["kind"] = kinds_at(segments, (found.start_s + found.end_s) / 2).tolist()
    return data


@dataclass(frozen=True)
class VoiceView:
    """The voice as the page tells it. ``seconds``: (kind in words, seconds, share of the recording)."""

    evidence: VoiceEvidence
    seconds: tuple[tuple[str, float, float], ...]


def view(report: Report) -> VoiceView | None:
    """What the section on the voice says; None without sound."""
    if report.voice is None:
        return None
    whole = max(report.media.duration_s, 1e-9)
    totals = {kind: sum(s.end_s - s.start_s for s in report.segments if s.kind == kind) for kind in SHOWN_KINDS}
    rows = ((words.sound(kind), seconds, min(seconds / whole, 1.0)) for kind, seconds in totals.items() if seconds)
    return VoiceView(report.voice, tuple(rows))
