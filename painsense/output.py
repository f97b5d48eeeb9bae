"""Write result files whole or not at all.

All files of one call are first written beside their goal under a temporary name and forced to the disk, then renamed
one after the other. A full disk, a forbidden folder or Ctrl-C leaves the old files as they were and no rubbish behind.
"""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
from collections.abc import Iterable, Mapping
from pathlib import Path

from painsense.errors import OutputError

#: What to do about the ways in which a disk says no
_ADVICE = {
    errno.ENOSPC: "the disk is full; free some space, or choose a folder on another disk with --out",
    errno.EDQUOT: "the disk quota is used up; free some space, or choose a folder on another disk with --out",
    errno.EACCES: "writing is not permitted; choose a folder of your own with --out, or close the program using it",
    errno.EPERM: "writing is not permitted; choose a folder of your own with --out, or close the program using it",
    errno.EROFS: "the disk is read-only; choose another folder with --out",
    errno.ENAMETOOLONG: "the name is too long for this disk; give the recording a shorter name",
    errno.ENOTDIR: "a file stands where a folder is needed; choose another folder with --out",
    errno.EEXIST: "a file stands where a folder is needed; choose another folder with --out",
    errno.EISDIR: "a folder stands where the file should go; move it away, or choose another folder with --out",
}


def write_together(folder: Path, files: Mapping[str, Iterable[bytes]]) -> list[Path]:
    """Write several files into ``folder`` (made when missing) and return their paths, in the order given.

    Each value is an iterable of chunks, so that a large file never stands in memory as a whole.

    Raises
    ------
    OutputError
        When one of them cannot be written. Then none of the temporary files is left, and a file of an earlier run is
        as it was, unless the renaming itself failed half-way: the message then names what is new.
    """
    goals = [folder / name for name in files]
    temporary: dict[Path, Path] = {}
    current, renamed = folder, list[Path]()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for goal, chunks in zip(goals, files.values(), strict=True):
            current = goal
            if goal.is_dir():
                raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(goal))
            aside = goal.with_name(f".{goal.name}.{secrets.token_hex(4)}")
            with open(aside, "xb") as file:  # "x": never through somebody else's link; the umask applies
                temporary[goal] = aside
                for chunk in chunks:
                    file.write(chunk)
                file.flush()
                os.fsync(file.fileno())
        for goal in goals:
            current = goal
            os.replace(temporary[goal], goal)
            del temporary[goal]
            renamed.append(goal)
    except OSError as error:
        raise OutputError(_message(current, error, renamed)) from error
    finally:
        for aside in temporary.values():
            with contextlib.suppress(OSError):
                aside.unlink(missing_ok=True)
    _sync_folder(folder)
    return goals


def _message(path: Path, error: OSError, renamed: list[Path]) -> str:
    reason = _ADVICE.get(error.errno or 0, "choose another folder with --out")
    written = f"; already replaced: {', '.join(goal.name for goal in renamed)}" if renamed else "; nothing was written"
    return f"{path}: expected to write this file, got '{error.strerror or error}'{written}; {reason}"


def _sync_folder(folder: Path) -> None:
    """Make the renames themselves survive a power cut, where the system knows how (not on Windows)."""
    if hasattr(os, "O_DIRECTORY"):
        with contextlib.suppress(OSError):
            handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
            try:
                os.fsync(handle)
            finally:
                os.close(handle)
