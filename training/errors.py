"""The errors of training: each says which file, what was expected and what to do next."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Self

from painsense.errors import PainsenseError

_SHOWN = 5


class TrainingError(PainsenseError):
    """A data set, a setting or a stored result cannot be used for training."""

    @classmethod
    def at(cls, file: Path | str, expected: str, remedy: str) -> Self:
        """The usual message: file, what was expected of it and what came, what to do."""
        return cls(f"{file}: {expected}; {remedy}")

    @classmethod
    def several(cls, what: str, faults: Sequence[str], remedy: str) -> Self:
        """Many faults found in one pass: the first few, how many there are, and what to do."""
        lines = [f"  {fault}" for fault in faults[:_SHOWN]]
        if len(faults) > _SHOWN:
            lines.append(f"  ... and {len(faults) - _SHOWN} more")
        count = "1 fault" if len(faults) == 1 else f"{len(faults)} faults"
        return cls("\n".join([f"{what}: {count}", *lines, remedy]))
