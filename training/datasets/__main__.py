"""``python -m training.datasets NAME FOLDER``: the counts and the folds of a data set. Writes nothing."""

from __future__ import annotations

import argparse
import secrets
import sys
from collections import Counter
from pathlib import Path

from painsense.errors import PainsenseError
from training.datasets import NAMES, Dataset, counts, manifest, pseudonyms, read, shown
from training.errors import TrainingError
from training.fusion import splits
from training.fusion.record import EVALUATION_ONLY, heads

_SKIPPED_SHOWN = 5


def main(arguments: list[str] | None = None) -> int:
    """Run the command; the exit status."""
    parser = argparse.ArgumentParser(prog="python -m training.datasets", description=__doc__)
    parser.add_argument("name", choices=NAMES)
    parser.add_argument("folder", type=Path, nargs="?", help="where the data set lies; the table of a manifest")
    parser.add_argument("--partial", action="store_true", help="go on with what is there of it")
    parser.add_argument("--find", metavar="CLIP", help="say which file a clip id stands for")
    parser.add_argument("--template", type=Path, metavar="FILE.csv", help="manifest: write an example to fill in")
    given = parser.parse_args(arguments)
    try:
        if given.template is not None:
            if given.name != "manifest":
                raise TrainingError(
                    f"{given.name}: only a manifest has a template; python -m training.datasets manifest"
                )
            manifest.write_template(given.template)
            print(f"{given.template}: fill it in; docs/datasets.md explains the columns")
            return 0
        if given.folder is None:
            raise TrainingError(
                f"{given.name}: the folder was expected; python -m training.datasets {given.name} FOLDER"
            )
        # Counts need no pseudonym that lasts, and a salt that is made here would be written.
        lasting = pseudonyms.local_salt() if pseudonyms.salt_file().is_file() else None
        if given.find and lasting is None:
            raise TrainingError(f"{given.find}: no clip has an id yet; prepare the data set first")
        data = read(given.name, given.folder, salt=lasting or secrets.token_hex(32), partial=given.partial)
        if given.find:
            _find(given.name, given.folder, given.find, data)
        else:
            _show(data)
    except PainsenseError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


def _find(name: str, folder: Path, clip_id: str, data: Dataset) -> None:
    found = [clip for clip in data.clips if clip.id == clip_id]
    if not found:
        raise TrainingError(f"{clip_id}: no clip of {name} has this id; ids hold for one salt, see docs/datasets.md")
    print(shown(name, found[0].files[0], folder))


def _show(data: Dataset) -> None:
    for line in counts(data):
        print(line)
    subjects = {clip.subject for clip in data.clips}
    print(f"to use: {len(data.clips)} clips of {len(subjects)} subjects")
    for head, count in heads(data.clips).items():
        print(f"label {head}: {count} clips")
    groups = {name for clip in data.clips for name in clip.groups}
    for name in sorted(groups):
        people = Counter(
            value for _, value in {(clip.subject, clip.groups.get(name, "unknown")) for clip in data.clips}
        )
        print(f"{name}: " + ", ".join(f"{value} {count}" for value, count in sorted(people.items())) + " (subjects)")
    for flag, count in sorted(Counter(flag for clip in data.clips for flag in clip.flags).items()):
        print(f"flag {flag}: {count} clips")
    for why, count in Counter(each.why for each in data.skipped).most_common(_SKIPPED_SHOWN):
        first = next(each.path for each in data.skipped if each.why == why)
        print(f"left out: {count} ({why}), the first {first}")
    _show_folds(data)


def _show_folds(data: Dataset) -> None:
    if any(EVALUATION_ONLY in clip.flags for clip in data.clips):
        print("folds: none, for evaluation only")
        return
    if all(clip.fold for clip in data.clips):
        for split in splits.published(data.clips):
            people = len({clip.subject for clip in split.part("test", data.clips)})
            print(
                f"{split.name}: judged by {len(split.test)} clips of {people} subjects, learned from {len(split.train)}"
            )
        return
    print("folds: no published ones; splits.loso or splits.k_fold make them")


if __name__ == "__main__":
    sys.exit(main())
