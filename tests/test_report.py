"""The report's files: what is in them, that they are right to the last digit, and that none is ever half there."""

from __future__ import annotations

import base64
import csv
import dataclasses
import errno
import hashlib
import io
import json
import os
import re
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest
from make_report import (
    FACE_REASONS,
    UNITS,
    VOICE_REASONS,
    face_track,
    grid_mesh,
    make_refusal,
    make_report,
    make_still,
    make_voice_only,
    voice_track,
)

from painsense import action_units, glossary, report_mesh, words
from painsense import report as report_module
from painsense import report_timeline as tl
from painsense.errors import OutputError
from painsense.output import write_together
from painsense.report import MediaSummary, PspiSummary, Report, schema
from painsense.report_csv import BLOCK_ROWS, dictionary_csv, frame_columns, frames_csv, windows_csv
from painsense.report_html import to_html
from painsense.report_lanes import timeline
from painsense.tracks import Column, Reason, Track

KINDS: dict[str, Callable[[], Report]] = {
    "scored": make_report,
    "fused": lambda: make_report(fused=True),
    "silent film": lambda: make_report(voice=False),
    "refused": make_refusal,
    "voice only": make_voice_only,
    "still": make_still,
}


@pytest.fixture(scope="module")
def report() -> Report:
    return make_report()


def text_of(chunks: Iterator[bytes]) -> str:
    return b"".join(chunks).decode()


def table(chunks: Iterator[bytes]) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text_of(chunks), newline="")))


# ------------------------------------------------------------------------------------------------------------ JSON


@pytest.mark.parametrize("kind", KINDS)
def test_json_follows_the_schema(kind: str) -> None:
    jsonschema.Draft202012Validator(schema()).validate(json.loads(KINDS[kind]().to_json()))


def test_schema_is_a_schema_and_describes_every_key() -> None:
    jsonschema.Draft202012Validator.check_schema(schema())

    def undescribed(part: Any, path: str) -> Iterator[str]:
        for key, value in part.get("properties", {}).items():
            if "description" not in value:
                yield f"{path}.{key}"
            yield from undescribed(value, f"{path}.{key}")
            yield from undescribed(value.get("items", {}), f"{path}.{key}[]")

    for part in (schema(), *schema()["$defs"].values()):
        assert list(undescribed(part, "")) == []


def test_schema_and_dataclasses_name_the_same_keys_in_the_same_order(report: Report) -> None:
    def keys(part: Any) -> Any:
        for one in (part, *part.get("anyOf", ())):
            if "$ref" in one:
                part = schema()["$defs"][one["$ref"].rpartition("/")[2]]
        if "properties" in part:
            return {key: keys(value) for key, value in part["properties"].items()}
        return keys(part["items"]) if "properties" in part.get("items", {}) else None

    def names(value: Any) -> Any:
        if dataclasses.is_dataclass(value):
            return {f.name: names(getattr(value, f.name)) for f in dataclasses.fields(value)}
        return names(value[0]) if isinstance(value, tuple) and value and dataclasses.is_dataclass(value[0]) else None

    fused = make_report(fused=True)
    expected = names(replace(report, clip=fused.clip, scale=fused.scale, rests_on=fused.rests_on))
    for internal in ("tracks", "pictures", "mesh_triangles"):
        del expected[internal]
    assert keys(schema()) == expected
    assert list(report.to_dict()) == list(schema()["properties"])


def broken(change: Callable[[dict[str, Any]], None]) -> dict[str, Any]:
    content = make_report().to_dict()
    change(content)
    return content


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda c: c.update(mood="calm"), "Additional properties"),
        (lambda c: c["windows"][0].update(emotion="none"), "Additional properties"),
        (lambda c: c["clip"]["pspi"].update(mean=None), "None is not of type 'number'"),
        (lambda c: c["clip"]["pspi"].update(mean=16.5), "greater than the maximum"),
        (lambda c: c["clip"].update(verdict="not_enough_evidence"), "non-empty"),
        (lambda c: c["clip"].update(score_reason=None), "None is not of type 'string'"),
        (lambda c: c["media"].pop("sha256"), "required property"),
        (lambda c: c.update(schema="painsense.report/2"), "was expected"),
    ],
)
def test_schema_refuses(change: Callable[[dict[str, Any]], None], message: str) -> None:
    with pytest.raises(jsonschema.ValidationError, match=message):
        jsonschema.Draft202012Validator(schema()).validate(broken(change))


def test_missing_numbers_are_null_and_numbers_are_rounded(report: Report) -> None:
    window = replace(report.windows[0], pspi=float("nan"), pspi_low=np.float32("nan"), start_s=1 / 3, voiced_share=-0.0)
    peak = replace(report.peaks[0], voice={"f0_hz": float("inf")}, pspi=np.float64(2.000049))
    text = replace(report, windows=(window,), peaks=(peak,)).to_json()
    content = json.loads(text)
    assert (content["windows"][0]["pspi"], content["windows"][0]["pspi_low"]) == (None, None)
    assert content["windows"][0]["start_s"] == 0.3333
    assert '"voiced_share": 0.0' in text
    assert content["peaks"][0]["voice"] == {"f0_hz": None}
    assert content["peaks"][0]["pspi"] == 2.0
    assert "NaN" not in text and "Infinity" not in text


def test_no_folder_of_this_machine_is_told(report: Report, tmp_path: Path) -> None:
    secret = "/home/anna.patient/videos"
    settings = {"baseline": f"{secret}/rest.mp4", "face_model": Path(secret) / "model.task", "rest": "anna/rest.json"}
    told = replace(
        report,
        media=replace(report.media, file=f"{secret}/clip.mp4"),
        baseline=replace(report.baseline, kind="rest_clip", source=r"C:\Users\anna.patient\rest.mp4"),
        software=replace(report.software, settings=settings),
    )
    content = told.to_dict()
    assert content["media"]["file"] == "clip.mp4"
    assert content["baseline"]["source"] == "rest.mp4"
    assert content["software"]["settings"] == {"baseline": "rest.mp4", "face_model": "model.task", "rest": "rest.json"}
    for path in told.write(tmp_path, stem="clip"):
        assert b"anna" not in path.read_bytes(), path.name


def test_a_sentence_with_a_slash_is_no_path(report: Report) -> None:
    source = "10th/25th percentile of this recording"
    assert replace(report, baseline=replace(report.baseline, source=source)).to_dict()["baseline"]["source"] == source


def test_a_name_that_is_no_unicode_can_be_written(report: Report, tmp_path: Path) -> None:
    name = os.fsdecode(b"caf\xe9.mp4")  # Latin-1 bytes, as an old disk may hold
    written = replace(report, media=replace(report.media, file=name)).write(tmp_path, ("json", "html"), stem="cafe")
    assert json.loads(written[0].read_text("utf-8"))["media"]["file"] == "caf?.mp4"
    assert 'src="caf%E9.mp4"' in written[1].read_text("utf-8")


# ------------------------------------------------------------------------------------------------------------- CSV


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


# ----------------------------------------------------------------------------------------------------------- files


def test_writes_the_named_files_with_the_same_bytes_every_time(tmp_path: Path) -> None:
    first = make_report().write(tmp_path / "a" / "deep")
    second = make_report().write(tmp_path / "b")
    assert [path.name for path in first] == [
        "clip.painsense.json", "clip.frames.csv", "clip.windows.csv", "clip.dictionary.csv", "clip.html",
    ]  # fmt: skip
    assert [a.read_bytes() for a in first] == [b.read_bytes() for b in second]
    assert sorted(path.name for path in (tmp_path / "b").iterdir()) == sorted(path.name for path in first)


def test_formats_and_stem_are_the_callers_choice(report: Report, tmp_path: Path) -> None:
    assert [p.name for p in report.write(tmp_path, ["json"], stem="clip.mov")] == ["clip.mov.painsense.json"]
    assert [p.name for p in report.write(tmp_path, ("html", "html"))] == ["clip.html"]


@pytest.mark.parametrize("formats", [("docx",), ("json", "xml"), ()])
def test_unknown_formats_are_refused(report: Report, tmp_path: Path, formats: tuple[str, ...]) -> None:
    with pytest.raises(OutputError, match="expected one or more of json, csv, html, pdf, got"):
        report.write(tmp_path, formats)


@pytest.mark.parametrize("stem", ["../clip", "", "a/b"])
def test_a_stem_is_no_path(report: Report, tmp_path: Path, stem: str) -> None:
    with pytest.raises(OutputError, match="expected a bare file name"):
        report.write(tmp_path / "out", stem=stem)
    assert not (tmp_path / "out").exists()


def old_files(folder: Path) -> dict[str, bytes]:
    """A folder with the files of an earlier run."""
    for name in ("one.txt", "two.txt"):
        (folder / name).write_bytes(b"old")
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def content(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.mark.parametrize(
    ("code", "advice"),
    [
        (errno.ENOSPC, "the disk is full"),
        (errno.EACCES, "not permitted"),
        (errno.EROFS, "read-only"),
        (errno.EIO, "--out"),
    ],
)
def test_a_failing_disk_leaves_all_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int, advice: str
) -> None:
    before, calls = old_files(tmp_path), []

    def fail_later(handle: int) -> None:
        calls.append(handle)
        if len(calls) == 2:
            raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, "fsync", fail_later)
    with pytest.raises(OutputError, match=f"(?s)two.txt: expected to write this file.*nothing was written.*{advice}"):
        write_together(tmp_path, {"one.txt": [b"new"], "two.txt": [b"new"]})
    assert content(tmp_path) == before


def test_a_really_full_disk_leaves_all_as_it_was(report: Report, tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=128k", "tmpfs", str(disk)]
    if os.name != "posix" or os.geteuid() != 0 or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("a disk can be mounted only by root; the simulated failure above covers the same path")
    try:
        before = old_files(disk)
        with pytest.raises(OutputError, match=r"(?s)the disk is full.*--out"):
            report.write(disk)
        assert content(disk) == before
    finally:
        subprocess.run(["umount", str(disk)], check=True)


def test_a_folder_without_permission(report: Report, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "locked"
    folder.mkdir(mode=0o555)
    if os.name != "posix" or os.geteuid() == 0:  # root and Windows may write all the same

        def refuse(path: Path, mode: str) -> None:
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))

        monkeypatch.setattr("painsense.output.open", refuse, raising=False)
    with pytest.raises(OutputError, match=r"(?s)locked.*Permission denied.*choose a folder of your own with --out"):
        report.write(folder)
    assert list(folder.iterdir()) == []


def test_a_file_where_a_folder_is_needed(report: Report, tmp_path: Path) -> None:
    (tmp_path / "out").write_text("a file")
    with pytest.raises(OutputError, match="a file stands where a folder is needed"):
        report.write(tmp_path / "out")
    with pytest.raises(OutputError, match="a file stands where a folder is needed"):
        report.write(tmp_path / "out" / "deeper")


def test_a_folder_where_a_file_should_go(tmp_path: Path) -> None:
    before = old_files(tmp_path)
    (tmp_path / "three.txt").mkdir()
    with pytest.raises(OutputError, match=r"three.txt.*a folder stands where the file should go"):
        write_together(tmp_path, {"one.txt": [b"new"], "three.txt": [b"new"]})
    (tmp_path / "three.txt").rmdir()
    assert content(tmp_path) == before


def test_a_failing_rename_says_what_is_new(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    old_files(tmp_path)
    really = os.replace

    def second_fails(source: Path, goal: Path) -> None:
        if goal.name == "two.txt":
            raise PermissionError(errno.EACCES, "open in another program")
        really(source, goal)

    monkeypatch.setattr(os, "replace", second_fails)
    with pytest.raises(OutputError, match=r"two.txt.*already replaced: one.txt"):
        write_together(tmp_path, {"one.txt": [b"new"], "two.txt": [b"new"]})
    assert content(tmp_path) == {"one.txt": b"new", "two.txt": b"old"}


def test_ctrl_c_leaves_nothing_behind(tmp_path: Path) -> None:
    before = old_files(tmp_path)

    def interrupted() -> Iterator[bytes]:
        yield b"half of "
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_together(tmp_path, {"one.txt": [b"new"], "two.txt": interrupted()})
    assert content(tmp_path) == before


@pytest.mark.skipif(os.name != "posix", reason="permission bits")
def test_files_get_the_permissions_a_person_expects(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        (path,) = write_together(tmp_path, {"one.txt": [b"new"]})
    finally:
        os.umask(before)
    assert path.stat().st_mode & 0o777 == 0o640


# ------------------------------------------------------------------------------------------------------------ words


def summary(share: float, run_s: float) -> PspiSummary:
    return PspiSummary(1.0, 0.5, 1.5, 3.0, 4.0, 1.0, share, run_s)


@pytest.mark.parametrize(
    ("share", "run_s", "name"),
    [
        (0.0, 0.0, "low"),
        (0.05, 0.4, "low"),
        (0.05, 0.5, "brief"),
        (0.1, 0.5, "repeated"),
        (0.3, 9, "lasting"),
        (1.0, 0.0, "clear"),
    ],
)
def test_level_in_words(share: float, run_s: float, name: str) -> None:
    assert words.level(summary(share, run_s)).name == name


def test_headline() -> None:
    assert words.headline(make_refusal().clip) == "Not enough evidence for a result"
    assert words.headline(make_report(fused=True).clip) == "Pain expression score: 5.2 of 10, at its highest 8.1"
    assert words.headline(make_report().clip) == "Pain expression: repeated"
    assert words.headline(make_still().clip) == "Pain expression: clear"
    assert words.headline(replace(make_report().clip, pspi=None)) == "No measure of pain expression"


def test_what_moved() -> None:
    units = {"AU4": 3.24, "AU6": 0.49, "AU43": 1.0, "AU7": 0.5}
    assert words.moved_text(units) == "eyes closed (AU43), brows lowered (AU4) 3.2, lids tightened (AU7) 0.5"
    assert words.moved_text({"AU4": 0.2}) == "no single movement stood out"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0:00.0"), (7.44, "0:07.4"), (59.96, "1:00.0"), (723, "12:03.0"), (3723.5, "1:02:03.5"), (float("nan"), "-")],
)
def test_clock(seconds: float, text: str) -> None:
    assert words.clock(seconds) == text


@pytest.mark.parametrize(
    ("seconds", "text"), [(7.44, "7.4 s"), (59.96, "1 min 0 s"), (125, "2 min 5 s"), (3780, "1 h 3 min")]
)
def test_duration(seconds: float, text: str) -> None:
    assert words.duration(seconds) == text


def test_words_for_codes_nobody_wrote_down() -> None:
    assert words.reason_words("too_cold", [Reason("too_cold", "the lens froze")]).text == "The lens froze."
    assert words.reason_words("too_cold").text == "Too cold."
    assert words.reason_words("The camera fell over").text == "The camera fell over"
    assert glossary.named_number("least_usable_face_s", 3) == "at least 3 s of usable face"
    assert glossary.named_number("min_gap_ratio", 0.5) == "min gap ratio 0.5"
    assert glossary.named_number("gap_deg", 4.0) == "gap 4 degrees"


def test_every_reason_code_of_the_face_and_the_voice_has_words() -> None:
    from painsense import face, voice

    codes = {reason.code for reason in (*face.REASONS, *voice.REASONS)}
    assert codes - set(words.REASONS) == set()
    blocking = {reason.code for reason in (*face.REASONS, *voice.REASONS) if reason.blocking}
    assert {code for code in blocking if not words.REASONS[code].remedy} == set()


def test_the_guide_states_the_limits_and_every_reason_code() -> None:
    from painsense import face, scoring, verdict, voice_rest

    guide = (Path(__file__).resolve().parent.parent / "docs" / "report.md").read_text("utf-8")
    stated = {name: float(value) for name, value in re.findall(r"^\| `(\w+)` \| ([\d.]+) \|", guide, re.M)}
    limits = (verdict.EVIDENCE, face.GATES, voice_rest.LIMITS, scoring.NEEDED)
    assert stated == {name: value for part in limits for name, value in dataclasses.asdict(part).items()}
    codes = guide[guide.index("## Reason codes") : guide.index("## JSON")]
    assert set(re.findall(r"`(\w+)`", codes)) == set(words.REASONS)


def test_no_emotion_is_ever_named() -> None:
    page = to_html(make_report()).lower()
    for label in ("happy", "angry", "anger", "sad ", "fear", "surprise", "emotion"):
        assert label not in page


# --------------------------------------------------------------------------------------------------------- timeline


def ramp(n: int, *, lost: slice | None = None) -> Track:
    """PSPI rises 0, 1, 2, ...; band of two points; one sample a second."""
    values = np.arange(n, dtype=np.float32)
    bits = np.zeros(n, np.uint32)
    if lost is not None:
        bits[lost] = 1
        values[lost] = np.nan
    stack = np.stack([values, values - 1, values + 1], axis=1)
    columns = tuple(Column(name, "", "") for name in ("pspi", "pspi_low", "pspi_high"))
    reasons = (Reason("turned_away", ""), Reason("blink", "", blocking=False))
    return Track("face", columns, reasons, np.arange(n, dtype=float), stack, bits)


def test_a_short_recording_is_drawn_sample_by_sample() -> None:
    found = tl.points(ramp(10), ["pspi", "absent"], 10.0, most=10)
    assert not found.binned
    assert found.mean["pspi"].tolist() == list(range(10))
    assert found.end_s.tolist() == list(range(1, 11))
    assert list(found.mean) == ["pspi"]


def test_a_long_recording_keeps_mean_and_maximum_of_each_bin() -> None:
    found = tl.points(ramp(100), ["pspi"], 100.0, most=10)
    assert found.binned and len(found) == 10
    assert found.mean["pspi"].tolist() == [4.5 + 10 * k for k in range(10)]
    assert found.high["pspi"].tolist() == [9 + 10 * k for k in range(10)]
    assert (found.start_s[1], found.end_s[1]) == (10, 20)


def test_unusable_samples_count_for_nothing() -> None:
    track = ramp(20, lost=slice(3, 17))
    found = tl.points(track, ["pspi"], 20.0, most=2)  # of bin 0 the first 3 are left, of bin 1 the last 3
    assert found.mean["pspi"].tolist() == [1, 18]
    assert found.usable.tolist() == [False, False]
    one = tl.points(track, ["pspi"], 20.0)
    assert [(s.start_s, s.end_s, s.codes) for s in tl.stretches(one)] == [(3, 17, ("turned_away",))]
    assert tl.stretch_text(tl.stretches(one)[0], track) == "turned away"


def test_a_wide_interval_that_reaches_below_3_is_uncertain() -> None:
    track = ramp(6)  # PSPI 0 to 5, each with a point to either side
    values = track.values.copy()
    values[[2, 5], 2] += 4.1  # 1 to 7.1 leaves everything open; 4 to 10.1 is clear expression, however strong
    found = tl.points(replace(track, values=values), track.names, 6.0)
    usable, uncertain = tl.USABLE, tl.UNCERTAIN
    assert tl.states(found).tolist() == [usable, usable, uncertain, usable, usable, usable]


def test_lost_stretches_are_one_whatever_the_reasons() -> None:
    face = make_report().tracks["face"]
    (lost,) = tl.lost(tl.points(face, [], 28.0))
    assert (lost.start_s, lost.end_s) == pytest.approx((22.4, 25.2), abs=0.04)
    assert lost.codes == ("turned_away", "blurred", "no_face")


def test_curves_break_where_values_are_missing() -> None:
    found = tl.points(ramp(6, lost=slice(2, 3)), ["pspi"], 6.0)
    scale = tl.Scale(6.0, 0.0, 5.0, 500)
    assert tl.pieces(found, found.mean["pspi"]) == [slice(0, 2), slice(3, 6)]
    path = tl.curve(found, found.mean["pspi"], scale)
    assert path.count("M") == 2
    assert path.startswith("M0 500l")  # second 0, PSPI 0: bottom left
    assert "M5000 200l" in path  # second 3, PSPI 3


def test_curves_break_where_time_is_missing() -> None:
    track = ramp(6)
    gap = replace(track, time_s=track.time_s + np.where(np.arange(6) >= 3, 60.0, 0.0))
    found = tl.points(gap, ["pspi"], 66.0)
    assert tl.pieces(found, found.mean["pspi"]) == [slice(0, 3), slice(3, 6)]


def test_bars_stand_where_something_holds() -> None:
    found = tl.points(ramp(10), [], 10.0)
    flags = np.isin(np.arange(10), [2, 3, 7])
    assert tl.bars(found, flags, tl.Scale(10.0, 0, 1, 100), 20, 60) == "M2000 20h2000v60h-2000zM7000 20h1000v60h-1000z"


def test_heat_strip_steps_are_half_points() -> None:
    track = face_track(4.0)
    found = tl.points(track, UNITS, 4.0)
    steps = {colour for colour, _ in tl.heat(found, list(UNITS), tl.Scale(4.0, 0, 1, 100), 100)}
    assert steps == {1, 2, 3, 4, 5, 6}  # the strongest is AU4 with 2.9
    assert [report_mesh.step("AU4", v) for v in (0.0, 0.24, 0.26, 4.8, 5.0, float("nan"))] == [0, 0, 1, 10, 10, 0]
    assert report_mesh.step("AU43", 1.0) == 10


@pytest.mark.parametrize(("duration_s", "step_s"), [(0.3, 0.1), (28, 5), (60, 10), (3600, 600), (7200, 1800)])
def test_ticks_of_the_time_axis(duration_s: float, step_s: float) -> None:
    assert tl.tick_step_s(duration_s) == step_s


def test_mesh_colours_the_region_that_moved() -> None:
    points, _ = grid_mesh()
    brow, cheek, eye = [70, 63, 105], [50, 101, 118], [159, 145, 158]
    triangles = np.array([brow, cheek, eye])
    drawn = report_mesh.draw(points, triangles, {"AU4": 3.0, "AU6": 1.0, "AU7": 5.0})
    assert [colour for colour, _ in drawn.shaded] == [2, 6]  # tightened lids leave the eye itself alone
    assert [colour for colour, _ in report_mesh.draw(points, triangles, {"AU43": 1.0}).shaded] == [10]
    assert drawn.wires.count("M") == len(
        {tuple(sorted(e)) for t in triangles.tolist() for e in zip(t, t[1:] + t[:1], strict=True)}
    )
    assert report_mesh.draw(points, triangles, {"AU4": float("nan")}).shaded == ()


#: regions that hold points of the midline
MIDLINE = ("AU1", "AU4", "AU9", "AU10", "AU16", "AU17", "AU18", "AU22", "AU24", "AU25", "AU26", "AU27")


def test_every_region_is_on_the_mesh_and_has_both_sides() -> None:
    for name, region in report_mesh.REGIONS.items():
        assert max(region) < 468, name
        if name not in MIDLINE:
            assert len(region) % 2 == 0, name
    assert set(report_mesh.REGIONS) - set(words.ACTION_UNITS) == set()
    assert set(action_units.NAMES) - set(report_mesh.REGIONS) == set()
    assert set(action_units.NAMES) - set(words.ACTION_UNITS) == set()


def test_the_docs_list_every_action_unit_in_the_words_of_the_report() -> None:
    text = (Path(__file__).parent.parent / "docs" / "report.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (AU\d+) \| ([^|]+) \| (yes|) ?\|", text, re.MULTILINE)
    assert [name for name, _, _ in rows] == list(action_units.NAMES)
    for name, said, both in rows:
        assert said.startswith(words.action_unit(name)), name
        assert (both == "yes") == (name in action_units.SIDED), name


def test_only_units_that_act_have_a_row_beside_those_of_pspi() -> None:
    face = face_track()
    names = [name for name, _ in next(lane for lane in timeline(make_report()).lanes if lane.name == "heat").rows]
    assert names == ["AU4", "AU6", "AU7", "AU9", "AU10", "AU43", "AU12", "AU25"]
    strongest = {name: np.nanmax(face.column(name)) for name in ("AU20", "AU25", "AU26")}
    assert strongest["AU20"] < 1 and strongest["AU26"] < 1 < strongest["AU25"]


# ------------------------------------------------------------------------------------------------------------- HTML


def test_page_says_the_verdict_first(report: Report) -> None:
    page = to_html(report)
    assert re.search(r"<h1[^>]*>Pain expression: repeated</h1>", page)
    assert page.index("<h1") < page.index("Mean PSPI") < page.index("Course over time") < page.index("Limits of use")
    assert words.SUPPORT_LINE in page.replace("&#39;", "'")
    pspi = report.clip.pspi
    assert pspi is not None
    assert f"90% interval {pspi.mean_low:.1f} to {pspi.mean_high:.1f}" in page
    assert "neither the face nor the voice could be followed" in page  # why there is no score


def test_page_of_a_refusal_says_why_and_what_to_do_and_gives_no_number() -> None:
    page = to_html(make_refusal())
    assert "Not enough evidence for a result" in page
    assert words.REASONS["turned_away"].text in page
    assert words.REASONS["turned_away"].remedy in page
    assert "Mean PSPI" not in page


def test_page_of_a_still_speaks_of_one_picture() -> None:
    page = to_html(make_still())
    assert "one picture" in page
    assert "Course over time" not in page and "<script" not in page
    assert "brows lowered" in page


@pytest.mark.parametrize("kind", KINDS)
def test_page_asks_nothing_of_the_network(kind: str) -> None:
    page = to_html(KINDS[kind]())
    assert not re.search(r"(?i)https?:|//[a-z]|@import|<link|<iframe|\bsrcset=|url\((?!#)", page)
    assert not re.search(r'\sstyle="', page)  # the policy would block it


def test_policy_names_this_very_style_and_script(report: Report) -> None:
    page = to_html(report)
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', page)
    assert policy is not None
    allowed = policy[1].replace("&#39;", "'")
    assert allowed.startswith("default-src 'none'")
    for tag in ("style", "script"):
        text = re.search(rf"<{tag}>(.*?)</{tag}>", page, re.S)
        assert text is not None
        digest = base64.b64encode(hashlib.sha256(text[1].encode()).digest()).decode()
        assert f"{tag}-src 'sha256-{digest}'" in allowed


def test_names_cannot_become_markup(report: Report) -> None:
    evil = 'a"><img src=x onerror=alert(1)></script><b>.mp4'
    media, quality = replace(report.media, file=evil), replace(report.quality, warnings=("<b>bold</b> & more",))
    voice = report.tracks["voice"]
    reasons = (Reason("odd", "</script><b>"), *voice.reasons[1:])
    page = to_html(
        replace(
            report, media=media, quality=quality, tracks={**report.tracks, "voice": replace(voice, reasons=reasons)}
        )
    )
    assert "<img" not in page and "<b>bold" not in page and "</script><b>" not in page
    assert page.count("</script>") == 1


def test_picture_of_the_person_only_when_asked_for() -> None:
    assert "data:image/jpeg" not in to_html(make_report())
    assert to_html(make_report(jpeg=b"\xff\xd8\xff")).count('src="data:image/jpeg;base64,/9j/"') == 2


def test_page_of_an_hour_stays_small_and_says_it_is_condensed() -> None:
    page = to_html(make_report(3600.0))
    assert len(page.encode()) < 2_000_000
    assert "each point of the timeline stands for 2.4 s" in page
    assert "each point of the timeline stands for" not in to_html(make_report(28.0))


def test_live_pictures_have_no_file_to_play(report: Report) -> None:
    live = replace(report, media=replace(report.media, file="live", sha256=None))
    jsonschema.Draft202012Validator(schema()).validate(live.to_dict())
    assert "<video" not in to_html(live)


def test_an_empty_recording_has_a_page_too() -> None:
    nothing = MediaSummary("empty.mp4", "0" * 64, 0.5, 0, None, 64, 64, 0, False, None)
    page = to_html(replace(make_refusal(), media=nothing, tracks={}))
    assert "Not enough evidence" in page and "Course over time" not in page


def test_schema_is_read_from_the_package() -> None:
    assert schema()["properties"]["schema"]["const"] == report_module.SCHEMA


def test_the_demo_has_the_colours_of_the_report() -> None:
    def colours(path: str, dark: str) -> list[dict[str, str]]:
        text = (Path(report_module.__file__).parent / path).read_text("utf-8")
        return [dict(re.findall(r"--([\w-]+): (#\w{6})", part)) for part in re.split(dark, text, maxsplit=1)]

    of_report = colours("templates/report.css", r"@media screen and \(prefers-color-scheme: dark\)")
    of_demo = colours("demo/static/app.css", r"\n\.dark \{")
    for report_colours, demo_colours in zip(of_report, of_demo, strict=True):
        assert len(report_colours) > 25
        assert report_colours.items() <= demo_colours.items()
