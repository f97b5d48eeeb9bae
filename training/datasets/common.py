"""What the readers of the data sets share: the result, a list of faults, walking a folder, a number, a table."""

from __future__ import annotations

import csv
import math
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from training.errors import TrainingError
from training.fusion.record import Clip, Label

VIDEO = frozenset({".mp4", ".avi", ".mov", ".mkv", ".mpg", ".mpeg", ".webm", ".m4v", ".wmv"})
AUDIO = frozenset({".wav", ".flac", ".mp3", ".m4a", ".ogg", ".opus", ".aac"})
PICTURE = frozenset({".png", ".jpg", ".jpeg", ".bmp"})

_JUNK = re.compile(r"^(\..*|__MACOSX|Thumbs\.db|desktop\.ini)$")


@dataclass(frozen=True)
class Skipped:
    """A file that was understood and left out. ``path`` is relative to the data set and safe to print."""

    path: str
    why: str


@dataclass(frozen=True)
class Dataset:
    """What a reader found.

    ``parsed`` counts what is there and ``expected`` what the publishers say should be, by the same names. Less than
    expected of anything in ``required`` is a fault (None: of all of it). A few of GRID's talkers are not.
    """

    clips: tuple[Clip, ...]
    expected: Mapping[str, int]
    parsed: Mapping[str, int]
    skipped: tuple[Skipped, ...] = ()
    required: tuple[str, ...] | None = None


@dataclass
class Faults:
    """Everything that could not be read, collected so that one run shows all of it."""

    name: str
    layout: str
    found: list[str] = field(default_factory=list)

    def add(self, file: Path | str, expected: str) -> None:
        """One file, and what was expected of it."""
        self.found.append(f"{file}: {expected}")

    def label(self, file: Path | str, kind: str, low: float, high: float, value: float) -> Label | None:
        """A label, or None and a fault if it is outside its scale."""
        try:
            return Label(kind, low, high, value)
        except TrainingError as error:
            self.add(file, str(error))
            return None

    def stop(self) -> None:
        """An error if there were any."""
        if self.found:
            raise TrainingError.several(
                f"{self.name}: not read",
                self.found,
                f"The layout that is read: {self.layout}\nCorrect or move these files; nothing is skipped on a guess.",
            )


def files(folder: Path, suffixes: frozenset[str] | None = None) -> Iterator[Path]:
    """All files below a folder with one of the suffixes (any case), sorted, without what systems leave behind."""

    def stop(error: OSError) -> None:
        raise error

    for where, folders, names in os.walk(folder, onerror=stop):  # left alone, it passes over what it may not open
        folders[:] = sorted(each for each in folders if not _JUNK.match(each))
        for name in sorted(names):
            if not _JUNK.match(name) and (suffixes is None or Path(name).suffix.lower() in suffixes):
                yield Path(where, name)


def folders(folder: Path) -> list[Path]:
    """The folders in a folder, sorted."""
    return sorted(each for each in folder.iterdir() if each.is_dir() and not _JUNK.match(each.name))


def undoubled(folder: Path) -> Path:
    """``Images/Images/...`` as it comes out of some archives: the inner one."""
    inner = [each for each in folders(folder) if each.name.lower() == folder.name.lower()]
    return undoubled(inner[0]) if inner else folder


def child(folder: Path, name: str) -> Path | None:
    """The folder in a folder with that name in any case and with blanks around it, undoubled; None without one."""
    found = [each for each in folders(folder) if each.name.strip().lower() == name.lower()]
    return undoubled(found[0]) if found else None


def roots_with(folder: Path, name: str, depth: int = 2) -> list[Path]:
    """The folder itself or those a few levels down that hold a folder of this name, all of one level."""
    level = [folder]
    for _ in range(depth + 1):
        if found := [each for each in level if child(each, name) is not None]:
            return found
        level = [inner for each in level for inner in folders(each)][:200]
    return []


def same(one: Path, other: Path) -> bool:
    """Whether two files are copies, by their size: what a doubled folder in an archive gives."""
    return one.stat().st_size == other.stat().st_size


def number(text: str) -> float:
    """The first word of a text as a finite number; NaN if it is none."""
    words = text.split()
    try:
        value = float(words[0]) if words else math.nan
    except ValueError:
        return math.nan
    return value if math.isfinite(value) else math.nan


def table(file: Path, columns: tuple[str, ...]) -> list[tuple[int, dict[str, str]]]:
    """Rows of a table with a header (comma, semicolon or tab), by upper-case name, each with the line it ends on.

    An error if a column is missing.
    """
    try:
        text = file.read_text(encoding="utf-8-sig")
        lines = text.splitlines(keepends=True)
        separator = max(",;\t", key=lines[0].count) if lines else ","
        reader = csv.reader(lines, delimiter=separator)
        names = [name.strip().upper() for name in next(reader, [])]
        rows = [(reader.line_num, [value.strip() for value in row]) for row in reader]
    except (UnicodeDecodeError, csv.Error) as error:
        raise TrainingError.at(
            file.name, f"a table in UTF-8 was expected ({error})", "save or unpack it anew"
        ) from error
    if missing := [name for name in columns if name not in names]:
        came = f"columns {', '.join(columns)} were expected, {', '.join(missing)} is missing"
        raise TrainingError.at(file.name, came, "see that the first line is the header, or unpack it anew")
    empty = dict.fromkeys(names, "")
    return [(line, {**empty, **dict(zip(names, row, strict=False))}) for line, row in rows if any(row)]
