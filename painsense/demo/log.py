"""What the server says on the terminal names no recording: a traceback of some library would."""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Collection
from pathlib import Path
from typing import TextIO


class Scrubbed(io.TextIOBase):
    """Text passed on to a stream, with the names of recordings and the run folder's paths taken out.

    Parameters
    ----------
    folder : the run folder; whatever stands after it in a path goes
    names : gives the names of all recordings that are here
    """

    def __init__(self, stream: TextIO, folder: Path, names: Callable[[], Collection[str]]) -> None:
        self.stream = stream
        self._names = names
        self._paths = re.compile(re.escape(str(folder)) + r"[^\"'\n]*")

    def write(self, text: str) -> int:
        said = self._paths.sub("<a recording>", text)
        stems = {part for name in self._names() for part in (name, Path(name).stem) if len(part) > 2}
        for name in sorted(stems, key=len, reverse=True):
            said = said.replace(name, "<a recording>")
        self.stream.write(said)
        return len(text)

    def flush(self) -> None:
        self.stream.flush()

    def isatty(self) -> bool:
        return self.stream.isatty()

    def fileno(self) -> int:
        return self.stream.fileno()

    @property
    def encoding(self) -> str:  # type: ignore[override]
        return self.stream.encoding
