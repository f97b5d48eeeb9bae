"""Data sets: one file each, all read into the same :class:`~training.fusion.record.Clip`. See docs/datasets.md.

python -m training.datasets NAME FOLDER            what is there, against what should be, and its folds; writes nothing
python -m training.datasets manifest --template FILE.csv
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from pathlib import Path

from training.datasets.common import Dataset, Skipped, files
from training.datasets.pseudonyms import local_salt
from training.errors import TrainingError

__all__ = ["NAMES", "Dataset", "Skipped", "counts", "read", "shown"]

_READERS: Mapping[str, tuple[str, str]] = {
    "unbc": ("unbc", "read"),
    "biovid_a": ("biovid", "read_a"),
    "biovid_b": ("biovid", "read_b"),
    "xite": ("xite", "read"),
    "mintpain": ("mintpain", "read"),
    "tame": ("tame", "read"),
    "vivae": ("vivae", "read"),
    "icopevid": ("icopevid", "refuse"),
    "icopevid_neonates": ("icopevid", "read"),
    "synpain": ("synpain", "read"),
    "ravdess": ("ravdess", "read"),
    "grid": ("grid", "read"),
    "manifest": ("manifest", "read"),
}
"""Name -> file and function of its reader."""

NAMES = tuple(_READERS)
_LOOKED_AT = 2000  # files of a folder that are looked at to say which data set it could be


def read(name: str, folder: Path | str, *, salt: str | None = None, partial: bool = False) -> Dataset:
    """Read a data set.

    Parameters
    ----------
    name : one of :data:`NAMES`
    folder : where it lies; for ``manifest`` the table, or the folder with ``manifest.csv``
    salt : of the pseudonyms; None: this user's own (:func:`training.datasets.pseudonyms.local_salt`)
    partial : go on with what is there, where less was found than the publishers say

    Raises
    ------
    TrainingError
        The folder is missing, empty, another data set's or half there; a file cannot be understood; a label is outside
        its scale. All such files are named before it gives up.
    """
    if name not in _READERS:
        raise TrainingError(f"{name!r} is no data set that is known; ask for one of {', '.join(NAMES)}")
    folder = Path(folder)
    module = importlib.import_module(f"training.datasets.{_READERS[name][0]}")
    if not (folder.is_dir() or (name == "manifest" and folder.is_file())):
        raise TrainingError.at(
            folder, f"the folder with {name} was expected, there is none", f"its layout: {module.LAYOUT}"
        )
    try:
        data: Dataset = getattr(module, _READERS[name][1])(folder, local_salt() if salt is None else salt)
    except TrainingError as error:
        if other := _other(name, folder):
            raise TrainingError(f"{error}\nThe folder looks like {other}; if it is, read it as that.") from error
        raise
    except OSError as error:
        where = shown(name, Path(error.filename), folder) if error.filename else name
        problem = TrainingError.at(
            where, f"a file that can be read was expected ({error.strerror})", "look at its rights"
        )
        raise problem from None  # the system's message holds the whole path
    if not data.clips:
        other = _other(name, folder)
        came = f"it looks like {other}" if other else "nothing of it is there"
        remedy = f"read it as {other}" if other else f"unpack the data set so that this is found: {module.LAYOUT}"
        raise TrainingError.at(folder, f"the data set {name} was expected, {came}", remedy)
    required = data.expected if data.required is None else data.required
    short = [what for what in required if data.parsed.get(what, 0) < data.expected[what]]
    if short and not partial:
        raise _short(name, folder, data, short)
    return data


def _short(name: str, folder: Path, data: Dataset, short: list[str]) -> TrainingError:
    """What a data set that is not all there is told."""
    found = [f"{what}: {data.parsed.get(what, 0)} of {data.expected[what]}" for what in short]
    if name == "manifest":
        return TrainingError.at(
            folder,
            f"two recordings or more of every subject were expected, {', '.join(found)}",
            "see that the column subject names people and not recordings; if it does, add --partial (partial=True)",
        )
    return TrainingError.at(
        folder,
        f"the whole of {name} was expected, found {', '.join(found)}",
        "unpack the rest, or go on with what is there: --partial (partial=True)",
    )


def counts(data: Dataset) -> list[str]:
    """Lines like ``frames: 48398 / 48398``; what nobody published a number for stands alone."""
    names = list(dict.fromkeys([*data.parsed, *data.expected]))
    return [
        f"{name}: {data.parsed.get(name, 0)}" + (f" / {data.expected[name]}" if name in data.expected else "")
        for name in names
    ]


def shown(name: str, path: Path, folder: Path) -> str:
    """A path of a data set as it may be printed: relative, and without the participants' names in MIntPAIN's."""
    if name == "mintpain":
        module = importlib.import_module("training.datasets.mintpain")
        return str(module.shown(path, folder))
    return (
        str(path.relative_to(folder if folder.is_dir() else folder.parent))
        if path.is_relative_to(folder)
        else str(path)
    )


def _other(name: str, folder: Path) -> str:
    """Another data set whose files these look like, or ""."""
    own = importlib.import_module(f"training.datasets.{_READERS[name][0]}")
    if not folder.is_dir():
        return ""
    paths = []
    for path in files(folder):
        paths.append(path.relative_to(folder).as_posix())
        if len(paths) == _LOOKED_AT:
            break
    for other, (module_name, _) in _READERS.items():
        module = importlib.import_module(f"training.datasets.{module_name}")
        if module is not own and module_name != "manifest" and any(module.SIGN.search(path) for path in paths):
            return other
    return ""
