"""The bundled examples: simulated recordings that show nobody."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from painsense.errors import MediaError

_PACKAGE = Path(__file__).resolve().parent.parent
#: Where they are: in the installed package, or in the checkout it is imported from
PLACES = (_PACKAGE / "samples", _PACKAGE.parent / "samples")


@dataclass(frozen=True)
class Example:
    """An example: its file, what its button says, and what happens in it."""

    file: str
    label: str
    text: str


EXAMPLES = (
    Example(
        "episode.mp4",
        "Simulated episode",
        "30 s of a simulated face and voice: at rest, speaking, an episode of pain, a smile, turned away, out of the "
        "picture.",
    ),
)


def find(file: str) -> Path:
    """The path of an example. MediaError when this installation does not carry it."""
    for place in PLACES:
        if (place / file).is_file():
            return place / file
    raise MediaError(f"{file}: this installation does not carry the example; choose a recording of your own")
