"""The CSV files of a report, read back."""

from __future__ import annotations

import csv
import io
import re
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from make_report import (
    FACE_REASONS,
    VOICE_REASONS,
    face_track,
    make_report,
    make_voice_only,
    voice_track,
)

from painsense import voice_functionals
from painsense.report import Report
from painsense.report_csv import BLOCK_ROWS, dictionary_csv, frame_columns, frames_csv, functionals_csv, windows_csv
from painsense.tracks import Column, Reason, Track


@pytest.fixture(scope="module")
def report() -> Report:
    return make_report()


def text_of(chunks: Iterator[bytes]) -> str:
    return b"".join(chunks).decode()


def table(chunks: Iterator[bytes]) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text_of(chunks), newline="")))


def test_frames_csv_gives_back_the_tracks(report: Report) -> None:
    rows = table(frames_csv(report))
    face, voice = report.tracks["face"], report.tracks["voice"]
    assert len(rows) == len(face)
    assert list(rows[0]) == [
        "time_s",
        *face.names,
        "face_valid",
        "face_reasons",
        *voice.names,
        "voice_valid",
        "voice_reasons",
    ]
    for name, tolerance in (("pspi", 5.1e-5), ("AU4", 5.1e-5), ("yaw_deg", 5.1e-3), ("face_px", 5.1e-2)):
        read = np.array([float(row[name] or "nan") for row in rows])
        np.testing.assert_allclose(read, face.column(name), atol=tolerance, equal_nan=True)
    np.testing.assert_allclose([float(row["time_s"]) for row in rows], face.time_s, atol=5.1e-7)
    assert [row["face_valid"] for row in rows] == ["true" if ok else "false" for ok in face.valid]
    assert [row["face_reasons"] for row in rows] == [face.reason_text(k) for k in range(len(face))]
    assert "turned_away blurred" in {row["face_reasons"] for row in rows}


def test_frames_csv_takes_the_voice_nearest_in_time(report: Report) -> None:
    voice = report.tracks["voice"]
    rows = table(frames_csv(report))
    for row in rows[:: len(rows) // 40]:
        k = int(np.argmin(np.abs(voice.time_s - float(row["time_s"]))))
        assert row["level_dbfs"] == ("" if np.isnan(voice.values[k, 2]) else f"{voice.values[k, 2]:.2f}")
        assert row["voice_reasons"] == voice.reason_text(k)


def test_a_voice_further_than_20_ms_away_is_left_empty() -> None:
    face = face_track(2.0)
    voice = voice_track(1.0)
    late = replace(voice, time_s=voice.time_s + 0.5)  # sound from 0.50 s to 1.49 s
    rows = table(frames_csv(replace(make_report(2.0), tracks={"face": face, "voice": late})))
    heard = [float(row["time_s"]) for row in rows if row["voice_valid"]]
    assert min(heard) == pytest.approx(0.5)
    assert max(heard) == pytest.approx(1.5)
    assert all(row["f0_hz"] == row["voice_reasons"] == "" for row in rows if not row["voice_valid"])


def test_csv_is_rfc_4180_and_never_says_nan(report: Report) -> None:
    for make in (frames_csv, windows_csv, dictionary_csv):
        text = text_of(make(report))
        assert text.endswith("\r\n")
        assert text.count("\n") == text.count("\r\n")
        lines = list(csv.reader(io.StringIO(text, newline=""), strict=True))
        assert len({len(line) for line in lines}) == 1
        assert not re.search(r"(?i)(^|,)-?(nan|inf)(,|\r)", text, re.M)
    assert "-0.00" not in {cell for row in table(frames_csv(report)) for cell in row.values()}


def test_codes_that_contain_nan_survive() -> None:
    missing, said = np.full((1, 1), np.nan, np.float32), np.ones(1, np.uint32)
    track = Track("face", (Column("x", "", "x"),), (Reason("resonance", "nan inside"),), np.zeros(1), missing, said)
    assert table(frames_csv(replace(make_report(), tracks={"face": track})))[0] == {
        "time_s": "0.000000", "x": "", "face_valid": "false", "face_reasons": "resonance",
    }  # fmt: skip


def test_without_a_face_the_rows_are_the_voice() -> None:
    spoken = make_voice_only()
    rows = table(frames_csv(spoken))
    assert len(rows) == len(spoken.tracks["voice"])
    assert list(rows[0]) == ["time_s", *spoken.tracks["voice"].names, "voice_valid", "voice_reasons"]
    assert rows[1]["time_s"] == "0.010000"


def test_without_any_track_only_the_header_is_left(report: Report) -> None:
    assert text_of(frames_csv(replace(report, tracks={}))) == "time_s\r\n"


def test_windows_csv_gives_back_the_windows(report: Report) -> None:
    rows = table(windows_csv(report))
    assert len(rows) == len(report.windows) == 53
    for row, window in zip(rows, report.windows, strict=True):
        assert float(row["start_s"]) == window.start_s
        assert row["score"] == ""
        assert row["valid"] == str(window.valid).lower()
        assert row["pspi"] == ("" if window.pspi is None else f"{window.pspi:.4f}")
        assert row["reasons"] == " ".join(window.reasons)
    assert {row["valid"] for row in rows} == {"true", "false"}


def test_dictionary_explains_every_column_and_code(report: Report) -> None:
    rows = table(dictionary_csv(report))
    assert list(rows[0]) == ["file", "name", "unit", "range", "meaning", "source"]
    for name, make in (("frames.csv", frames_csv), ("windows.csv", windows_csv)):
        header = next(csv.reader(io.StringIO(text_of(make(report)))))
        assert [row["name"] for row in rows if row["file"] == name] == header
    assert all(row["meaning"] for row in rows)
    au4 = next(row for row in rows if row["name"] == "AU4")
    assert (au4["unit"], au4["range"], au4["source"]) == ("0-5", "0 to 5", "Ekman & Friesen 1978")
    ranges = {row["name"]: row["range"] for row in rows}
    assert (ranges["face_px"], ranges["level_dbfs"], ranges["face_valid"]) == ("0 or more", "up to 0", "true, false")
    codes = {row["name"]: row["range"] for row in rows if row["file"] == "reason code"}
    assert set(codes) == {reason.code for reason in (*FACE_REASONS, *VOICE_REASONS)}
    assert (codes["turned_away"], codes["blink"]) == ("value unusable", "remark beside a usable value")


def test_functionals_of_the_recording_and_of_each_window(report: Report, tmp_path: Path) -> None:
    written = {path.name.partition(".")[2]: path for path in report.write(tmp_path, ["functionals"], "clip")}
    assert list(written) == ["functionals.csv", "dictionary.csv"]
    rows = table(iter([written["functionals.csv"].read_bytes()]))
    spans = [(0.0, report.media.duration_s), *((window.start_s, window.end_s) for window in report.windows)]
    assert [(float(row["start_s"]), float(row["end_s"])) for row in rows] == pytest.approx(np.array(spans), abs=1e-3)
    for row, (start_s, end_s) in zip(rows, spans, strict=True):
        said = voice_functionals.of_track(report.tracks["voice"], start_s, end_s, segments=report.segments)
        for name, value in said.items():
            assert float(row[name] or "nan") == pytest.approx(value, rel=1e-5, nan_ok=True), name
    told = [row for row in table(iter([written["dictionary.csv"].read_bytes()])) if row["file"] == "functionals.csv"]
    assert [row["name"] for row in told] == list(rows[0]) and all(row["meaning"] for row in told)
    mute = replace(report, tracks={"face": report.tracks["face"]})
    assert table(functionals_csv(mute)) == []


def test_two_columns_of_one_name_are_refused(report: Report) -> None:
    voice = report.tracks["voice"]
    twice = replace(voice, columns=(Column("pspi", "", ""), *voice.columns[1:]))
    with pytest.raises(ValueError, match="columns of one name in two tracks: pspi"):
        frame_columns(replace(report, tracks={**report.tracks, "voice": twice}))


def test_long_recordings_are_written_in_blocks_and_fast(report: Report) -> None:
    rows, columns = 13_500, 60
    values = np.random.default_rng(0).normal(size=(rows, columns)).astype(np.float32)
    named = tuple(Column(f"c{k}", "", "") for k in range(columns))
    track = Track("face", named, (), np.arange(rows) / 30, values, np.zeros(rows, np.uint32))
    start = time.process_time()
    lines = [chunk.count(b"\n") for chunk in frames_csv(replace(report, tracks={"face": track}))]
    spent_s = time.process_time() - start
    assert lines == [1, *[BLOCK_ROWS] * 3, rows - 3 * BLOCK_ROWS]  # memory is that of one block, whatever the length
    assert spent_s < 1.25  # so that an hour of 30 frames a second takes 10 s at most; 0.25 s when measured
