"""Writing the files of a report: all of them or none, whatever the disk does."""

from __future__ import annotations

import errno
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from make_report import (
    make_report,
)

from painsense.errors import OutputError
from painsense.output import write_together
from painsense.report import Report


@pytest.fixture(scope="module")
def report() -> Report:
    return make_report()


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
    with pytest.raises(OutputError, match="expected one or more of json, csv, html, pdf, functionals, got"):
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
