"""The timeline of the HTML report: its lanes from top to bottom, and the numbers the cursor reads out.

The score and PSPI with their bands, remarks, a heat strip of action units, then the voice. All lanes share one axis of
time; a stretch that is uncertain or could not be used is hatched, with the reason in words.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from painsense import report_timeline as tl
from painsense import report_voice, words
from painsense.report import Report, Window
from painsense.report_timeline import Area, Lane, hatched, numbers, percent, spelled, times
from painsense.tracks import Column, Reason, Track
from painsense.windows import STEP_S

#: Heights of the drawings in their own units: a point of PSPI, a row of a strip
PSPI_UNIT, ROW = 100, 100
SCORE_AXIS = 10.0
#: The axis of PSPI ends here when the recording stays below, else at 16
SMALL_AXIS, FULL_AXIS = 8.0, 16.0
#: The action units PSPI is made of: their rows come first, and are there also where nothing moves
PSPI_UNITS = ("AU4", "AU6", "AU7", "AU9", "AU10", "AU43")
#: Other action units have a row where they reach trace intensity (A = 1) at some time
SHOWN_FROM = 1.0


@dataclass(frozen=True)
class Timeline:
    """Everything the timeline draws. ``marks``: (x in percent, number of the peak); ``ticks``: (x, label)."""

    lanes: tuple[Lane, ...]
    ticks: tuple[tuple[float, str], ...]
    marks: tuple[tuple[float, int], ...]
    above_3: float | None
    bin_s: float | None
    has_uncertain: bool
    has_unusable: bool
    has_rest_band: bool
    data: dict[str, Any]


def timeline(report: Report) -> Timeline | None:
    """The timeline of a recording; None when nothing was measured over time."""
    face, voice = report.tracks.get("face"), report.tracks.get("voice")
    ends = [track.time_s[-1] for track in (face, voice) if track is not None and len(track)]
    if not ends:
        return None
    end_s = max(report.media.duration_s, *(float(end) for end in ends), 1e-3)
    lanes, data = list[Lane](), dict[str, Any](end=end_s)
    above_3, bin_s = None, None
    if report.clip.score is not None:
        lane, data["score"] = _score_lane(report.windows, end_s)
        lanes.append(lane)
    if face is not None and len(face):
        units = tl.unit_names(face)
        found = tl.points(face, ("pspi", "pspi_low", "pspi_high", *units), end_s)
        units = _shown(found, units)
        areas = hatched(found, face, end_s)
        if "pspi" in found.mean:
            lane, axis = _pspi_lane(found, areas, end_s)
            lanes.append(lane)
            above_3 = round(100 * (1 - words.CLEAR_PSPI / axis), 2)
        lost = tuple(area for area in areas if area.kind == "unusable")
        more = (_remark_lane(found, end_s), _heat_lane(found, units, lost, end_s))
        lanes += [lane for lane in more if lane is not None]
        data["face"] = _face_data(found, units, face)
        bin_s = float(found.end_s[0] - found.start_s[0]) if found.binned else None
    if voice is not None and len(voice):
        drawn, data["voice"] = report_voice.lanes(report, voice, end_s)
        lanes += drawn
    kinds = {area.kind for lane in lanes for area in lane.areas}
    distance = tl.tick_step_s(end_s)
    ticks = [k * distance for k in range(math.floor(end_s / distance + 1e-9) + 1)]
    return Timeline(
        lanes=tuple(lanes),
        ticks=tuple((percent(at_s, end_s), words.clock(at_s, int(distance < 1))) for at_s in ticks),
        marks=tuple((percent(peak.time_s, end_s), k) for k, peak in enumerate(report.peaks, 1)),
        above_3=above_3,
        bin_s=bin_s,
        has_uncertain="uncertain" in kinds,
        has_unusable="unusable" in kinds,
        has_rest_band=any(style == "rest-band" for lane in lanes for style, _ in lane.paths),
        data=data,
    )


def _score_lane(windows: Sequence[Window], end_s: float) -> tuple[Lane, dict[str, Any]]:
    """The curve of the score with its band; a window's score is drawn at its middle."""
    names = ("score", "low", "high")
    values = [[math.nan if (value := getattr(w, name)) is None else value for name in names] for w in windows]
    time_s = np.array([(w.start_s + w.end_s) / 2 for w in windows])
    missing = np.array([w.score is None for w in windows], np.uint32)
    track = Track(
        "score",
        tuple(Column(name, "points", "") for name in names),
        (Reason("no_score", "no score"),),
        time_s - STEP_S / 2,
        np.array(values, np.float32),
        missing,
    )
    found = tl.points(track, names, end_s)
    scale = tl.Scale(end_s, 0.0, SCORE_AXIS, int(SCORE_AXIS) * PSPI_UNIT)
    paths = [("band", tl.band(found, found.mean["low"], found.mean["high"], scale))]
    if found.binned:
        paths.append(("most", tl.curve(found, found.high["score"], scale)))
    paths.append(("mean", tl.curve(found, found.mean["score"], scale)))
    there = found.mean["score"][np.isfinite(found.mean["score"])]
    said = (
        f"Score over time, from {there.min():.1f} to {found.high['score'][np.isfinite(found.high['score'])].max():.1f}"
    )
    lane = Lane("score", "Score", "of 10", int(SCORE_AXIS) * PSPI_UNIT, tuple(paths), said, "10", "0")
    return lane, {**times(found), **{name: numbers(found.mean[name]) for name in names}}


def _shown(found: tl.Points, units: list[str]) -> list[str]:
    """The action units that have a row, in the order of the rows."""
    others = (name for name in units if name not in PSPI_UNITS)
    acting = [name for name in others if (np.nan_to_num(found.high[name]) >= SHOWN_FROM).any()]
    return [name for name in PSPI_UNITS if name in units] + acting


def _pspi_lane(found: tl.Points, areas: tuple[Area, ...], end_s: float) -> tuple[Lane, float]:
    """The curve of PSPI with its band, and where its axis ends."""
    mean, high = found.mean["pspi"], found.high["pspi"]
    top = np.concatenate([high, found.mean.get("pspi_high", high)])
    axis = SMALL_AXIS if np.max(top, initial=0.0, where=np.isfinite(top)) <= SMALL_AXIS else FULL_AXIS
    scale = tl.Scale(end_s, 0.0, axis, int(axis) * PSPI_UNIT)
    paths = []
    if "pspi_low" in found.mean and "pspi_high" in found.mean:
        paths.append(("band", tl.band(found, found.mean["pspi_low"], found.mean["pspi_high"], scale)))
    if found.binned:
        paths.append(("most", tl.curve(found, high, scale)))
    paths.append(("mean", tl.curve(found, mean, scale)))
    there = np.isfinite(mean)
    said = f"PSPI over time, from {mean[there].min():.1f} to {high[there].max():.1f}" if there.any() else "PSPI: none"
    note = "of 16" if axis == FULL_AXIS else f"0 to {axis:.0f}, of 16"
    height = int(axis) * PSPI_UNIT
    return Lane("pspi", "PSPI", note, height, tuple(paths), said, f"{axis:.0f}", "0", areas=areas), axis


def _remark_lane(found: tl.Points, end_s: float) -> Lane | None:
    """Speaking, blinks, jumps and other faces, a row each as far as they occur."""
    codes = [code for code in tl.REMARKS if found.said(code).any()]
    if not codes:
        return None
    scale = tl.Scale(end_s, 0, 1, ROW)
    paths = tuple(
        (f"remark {code}", tl.bars(found, found.said(code), scale, k * ROW + ROW // 6, ROW * 2 // 3))
        for k, code in enumerate(codes)
    )
    rows = tuple(("", words.reason_words(code).label) for code in codes)
    said = "Remarks over time, a row each: " + ", ".join(label for _, label in rows)
    return Lane("remarks", "", "", ROW * len(rows), paths, said, rows=rows)


def _heat_lane(found: tl.Points, units: list[str], areas: tuple[Area, ...], end_s: float) -> Lane | None:
    if not units:
        return None
    cells = tl.heat(found, units, tl.Scale(end_s, 0, 1, ROW), ROW)
    paths = tuple((f"level-{colour}", path) for colour, path in cells)
    rows = tuple((name, words.action_unit(name)) for name in units)
    said = "Action units over time, a row each, stronger is darker on white and lighter on black"
    return Lane("heat", "", "", ROW * len(rows), paths, said, rows=rows, areas=areas)


def _face_data(found: tl.Points, units: list[str], face: Track) -> dict[str, Any]:
    named: dict[str, Any] = {
        key: numbers(found.mean[key]) for key in ("pspi", "pspi_low", "pspi_high") if key in found.mean
    }
    return {
        **times(found),
        **named,
        "state": tl.states(found).tolist(),
        **spelled(found, face),
        "units": [
            {"name": name, "words": words.action_unit(name), "binary": name in words.BINARY_UNITS,
             "values": numbers(found.mean[name])}
            for name in units
        ],
    }  # fmt: skip


def unit_text(column: Column) -> str:
    """The unit as it is written behind a number; "" for one that is only a name of a scale."""
    return column.unit if column.unit.lower() in ("hz", "db", "dbfs") else ""


def short(value: float) -> str:
    """A number as short as it can be told."""
    return f"{value:.0f}" if abs(value) >= 10 else f"{value:.1f}"
