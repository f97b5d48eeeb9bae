"""The colours of the HTML report, for whatever else draws the same: the PDF, the annotated video."""

from __future__ import annotations

import functools
import re
from importlib import resources


@functools.cache
def colours() -> dict[str, str]:
    """The colours on white by their names in ``templates/report.css``, as "#rrggbb"."""
    text = resources.files("painsense").joinpath("templates/report.css").read_text(encoding="utf-8")
    return dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6})", text.partition("@media")[0]))


def rgb(name: str) -> tuple[int, int, int]:
    """A colour as red, green, blue, 0-255."""
    red, green, blue = bytes.fromhex(colours()[name].removeprefix("#"))
    return red, green, blue
