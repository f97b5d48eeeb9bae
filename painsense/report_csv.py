"""The CSV files of a report, RFC 4180: comma, CRLF, UTF-8, "." as the decimal point, empty where a value is missing.

Rows are made in blocks of a few thousand, so that a recording of an hour needs no more memory than one of a minute.
"""

from __future__ import annotations

import csv
import dataclasses
import io
import math
from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import numpy.typing as npt

from painsense.report import Report
from painsense.tracks import Column, Track
from painsense.words import reason_words

BLOCK_ROWS = 4096
#: A value of another track is taken at a row's time when a sample lies this near, in seconds
NEAREST_S = 0.020
#: Decimals of a time: a microsecond, finer than any container's clock tick
TIME_DECIMALS = 6
#: Decimals by unit; a value is never written more exactly than it can be measured
DECIMALS = {"deg": 2, "px": 1, "hz": 2, "db": 2, "ms": 3}
OTHER_DECIMALS = 4


@dataclasses.dataclass(frozen=True)
class Field:
    """One column of ``windows.csv``: where it comes from is the attribute of the same name of a window."""

    name: str
    unit: str
    range: str
    meaning: str
    decimals: int = OTHER_DECIMALS


_INTERVAL = "90% interval"
WINDOW_FIELDS = (
    Field("start_s", "s", "0 or more", "start of the window on the recording's clock", 3),
    Field("end_s", "s", "0 or more", "end of the window", 3),
    Field("score", "points", "0 to 10", "fused pain-expression score; empty where it could not be given"),
    Field("low", "points", "0 to 10", f"lower end of the {_INTERVAL} of score"),
    Field("high", "points", "0 to 10", f"upper end of the {_INTERVAL} of score"),
    Field("pspi", "points", "0 to 16", "mean PSPI of the usable frames of the window"),
    Field("pspi_low", "points", "0 to 16", f"lower end of the {_INTERVAL} of pspi"),
    Field("pspi_high", "points", "0 to 16", f"upper end of the {_INTERVAL} of pspi"),
    Field("face_share", "", "0 to 1", "share of the window in which the face could be used"),
    Field("voiced_share", "", "0 to 1", "share of the window with voiced sound"),
    Field("face_weight", "", "0 to 1", "weight of the face in score"),
    Field("voice_weight", "", "0 to 1", "weight of the voice in score"),
    Field("valid", "", "true, false", "true when enough of the window could be measured"),
    Field("reasons", "", "", "reason codes of the window, separated by blanks; what they mean stands below"),
)


def frames_csv(report: Report) -> Iterator[bytes]:
    """``frames.csv``: a row for each face frame with the voice measured nearest to it.

    Columns are ``time_s``, the face's values, ``face_valid``, ``face_reasons``, then the same of the voice, from the
    nearest sample within 20 ms, else empty. Without a face the rows are the voice's own samples.
    """
    rows, others = _ordered(report.tracks)
    yield ",".join(name for name, _ in frame_columns(report)).encode() + b"\r\n"
    if rows is None:
        return
    nearest = [_nearest(other.time_s, rows.time_s) for other in others]
    for start in range(0, len(rows), BLOCK_ROWS):
        block = slice(start, min(start + BLOCK_ROWS, len(rows)))
        parts = [_numbers(rows.time_s[block, None], [TIME_DECIMALS]), *_cells(rows, np.arange(block.start, block.stop))]
        for other, index in zip(others, nearest, strict=True):
            parts += _cells(other, index[block])
        yield ("\r\n".join(map(",".join, zip(*parts, strict=True))) + "\r\n").encode()


def windows_csv(report: Report) -> Iterator[bytes]:
    """``windows.csv``: a row for each 2 s window."""
    yield _lines([[field.name for field in WINDOW_FIELDS]])
    for start in range(0, len(report.windows), BLOCK_ROWS):
        windows = report.windows[start : start + BLOCK_ROWS]
        yield _lines([_text(getattr(window, f.name), f.decimals) for f in WINDOW_FIELDS] for window in windows)


def functionals_csv(report: Report) -> Iterator[bytes]:
    """``functionals.csv``: the voice in numbers, a row for the whole recording, then one for each 2 s window.

    Columns are those of ``functionals_columns``; see :mod:`painsense.voice_functionals`. Without sound there are none.
    """
    from painsense import voice_functionals

    yield _lines([[column.name for column in functionals_columns()]])
    track = report.tracks.get("voice")
    if track is None or not len(track):
        return
    for start_s, end_s in [(0.0, report.media.duration_s), *((w.start_s, w.end_s) for w in report.windows)]:
        values = voice_functionals.of_track(track, start_s, end_s, segments=report.segments).values()
        numbers = (f"{value:.6g}" if math.isfinite(value) else "" for value in values)
        yield _lines([[_text(start_s, 3), _text(end_s, 3), *numbers]])


def functionals_columns() -> tuple[Column, ...]:
    """The columns of ``functionals.csv`` in order."""
    from painsense import voice_functionals

    start = Column("start_s", "s", "start of the stretch; the first row is the whole recording", 0.0)
    return (start, Column("end_s", "s", "its end", 0.0), *voice_functionals.columns())


def dictionary_csv(report: Report, functionals: bool = False) -> Iterator[bytes]:
    """``dictionary.csv``: what each column of the other files means, then each reason code."""
    yield _lines([["file", "name", "unit", "range", "meaning", "source"]])
    yield _lines(
        ["frames.csv", name, column.unit, _range(column), column.meaning, column.source]
        for name, column in frame_columns(report)
    )
    yield _lines(["windows.csv", f.name, f.unit, f.range, f.meaning, ""] for f in WINDOW_FIELDS)
    if functionals:
        yield _lines(
            ["functionals.csv", c.name, c.unit, _range(c), c.meaning, c.source] for c in functionals_columns()
        )
    given = {reason.code: reason for track in report.tracks.values() for reason in track.reasons}
    codes = dict.fromkeys([*given, *report.quality.reasons_s, *(c for w in report.windows for c in w.reasons)])
    for code in codes:
        kind = "" if code not in given else "value unusable" if given[code].blocking else "remark beside a usable value"
        yield _lines([["reason code", code, "", kind, reason_words(code, given.values()).text, ""]])


def frame_columns(report: Report) -> list[tuple[str, Column]]:
    """The columns of ``frames.csv`` in order, each with its row of the data dictionary."""
    rows, others = _ordered(report.tracks)
    columns = [Column("time_s", "s", "time on the recording's clock; 0 is what a player shows as 0", 0.0)]
    for track in [] if rows is None else [rows, *others]:
        kind = track.modality
        columns += track.columns
        columns.append(Column(f"{kind}_valid", "", f"true when no blocking reason stands against the {kind} here"))
        columns.append(Column(f"{kind}_reasons", "", f"reason codes of the {kind}, separated by blanks"))
    names = [column.name for column in columns]
    twice = {name for name in names if names.count(name) > 1}
    if twice:
        raise ValueError(f"columns of one name in two tracks: {', '.join(sorted(twice))}")
    return list(zip(names, columns, strict=True))


def _ordered(tracks: dict[str, Track]) -> tuple[Track | None, list[Track]]:
    """The track whose samples are the rows, and the others: the face before the voice before any other."""
    ranked = sorted(tracks.values(), key=lambda track: {"face": 0, "voice": 1}.get(track.modality, 2))
    return (ranked[0], ranked[1:]) if ranked else (None, [])


def _nearest(times_s: npt.NDArray[np.float64], at_s: npt.NDArray[np.float64]) -> npt.NDArray[np.intp]:
    """Index of the sample nearest to each time, ndarray [shape=(len(at_s),)]; -1 where none is within NEAREST_S."""
    if len(times_s) == 0:
        return np.full(len(at_s), -1, np.intp)
    after = np.clip(np.searchsorted(times_s, at_s), 1, max(len(times_s) - 1, 1))
    before = after - 1
    after = np.minimum(after, len(times_s) - 1)
    index = np.where(at_s - times_s[before] <= times_s[after] - at_s, before, after)
    near = np.abs(times_s[index] - at_s) <= NEAREST_S + 1e-9
    return np.where(near, index, -1)


def _cells(track: Track, index: npt.NDArray[np.intp]) -> list[list[str]]:
    """Values, valid flag and reasons of some samples as CSV text, n each; index -1 gives empty ones."""
    there = index >= 0
    taken = np.where(there, index, 0)
    if len(track) == 0:
        values, bits = np.full((len(index), len(track.columns)), np.nan), np.zeros(len(index), np.uint32)
    else:
        values = np.where(there[:, None], track.values[taken], np.nan).astype(np.float64)
        bits = track.reason_bits[taken]
    texts, flags = _reason_cells(track, bits)
    parts = [_numbers(values, [_decimals(column) for column in track.columns])] if track.columns else []
    parts.append([flag if ok else "" for flag, ok in zip(flags, there, strict=True)])
    parts.append([text if ok else "" for text, ok in zip(texts, there, strict=True)])
    return parts


def _reason_cells(track: Track, bits: npt.NDArray[np.uint32]) -> tuple[list[str], list[str]]:
    """Reason codes and valid flags as text; each combination of codes is spelled once."""
    kinds, where = np.unique(bits, return_inverse=True)
    codes = [[r for k, r in enumerate(track.reasons) if int(kind) >> k & 1] for kind in kinds]
    texts = np.array([" ".join(r.code for r in given) for given in codes], object)
    flags = np.array(["false" if any(r.blocking for r in given) else "true" for given in codes], object)
    return texts[where].tolist(), flags[where].tolist()


def _numbers(values: npt.NDArray[np.float64], decimals: Sequence[int]) -> list[str]:
    """Rows of numbers as text with fixed decimals, comma between; empty where not finite. [values: shape=(n, d)]

    One format call for the block: about ten times as fast as one a cell.
    """
    finite = np.isfinite(values)
    scale = 10.0 ** np.asarray(decimals)
    rounded = np.rint(np.where(finite, values, 0.0) * scale) / scale + 0.0  # + 0.0: no "-0.00"
    rounded[~finite] = np.nan
    row = ",".join(f"%.{n}f" for n in decimals)
    text = "\n".join([row] * len(values)) % tuple(rounded.ravel().tolist())
    return text.replace("nan", "").split("\n") if len(values) else []


def _decimals(column: Column) -> int:
    return TIME_DECIMALS if column.name == "time_s" else DECIMALS.get(column.unit.lower(), OTHER_DECIMALS)


def _range(column: Column) -> str:
    if column.name.endswith("_valid"):
        return "true, false"
    low, high = (None if bound is None else f"{bound:g}" for bound in (column.low, column.high))
    if low is None:
        return "" if high is None else f"up to {high}"
    return f"{low} or more" if high is None else f"{low} to {high}"


def _text(value: object, decimals: int) -> str:
    """One cell of windows.csv."""
    if isinstance(value, np.generic):
        value = value.item()
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float)):
        return f"{round(value, decimals) + 0.0:.{decimals}f}" if math.isfinite(value) else ""
    if isinstance(value, tuple):
        return " ".join(value)
    return str(value)


def _lines(rows: Iterable[Iterable[str]]) -> bytes:
    buffer = io.StringIO()
    csv.writer(buffer).writerows(rows)  # quotes where needed and ends lines with CRLF, as RFC 4180 says
    return buffer.getvalue().encode("utf-8", "replace")
