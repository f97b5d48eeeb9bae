"""painsense: pain expression from the face and voice of a recorded video, on your own machine.

>>> import painsense
>>> report = painsense.analyze("clip.mp4")                       # doctest: +SKIP
>>> report.clip.verdict, report.clip.pspi                        # doctest: +SKIP

Names are loaded on first use, so that importing the package costs next to nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from painsense.action_units import ActionUnits, estimate
    from painsense.baseline import Baseline
    from painsense.errors import PainsenseError
    from painsense.pipeline import Analyzer, Settings, analyze, make_baseline
    from painsense.report import Report

__version__ = "0.1.0"

_HOME = {
    "ActionUnits": "painsense.action_units",
    "Analyzer": "painsense.pipeline",
    "Baseline": "painsense.baseline",
    "PainsenseError": "painsense.errors",
    "Report": "painsense.report",
    "Settings": "painsense.pipeline",
    "analyze": "painsense.pipeline",
    "estimate": "painsense.action_units",
    "make_baseline": "painsense.pipeline",
}

__all__ = [
    "ActionUnits",
    "Analyzer",
    "Baseline",
    "PainsenseError",
    "Report",
    "Settings",
    "analyze",
    "estimate",
    "make_baseline",
]


def __getattr__(name: str) -> object:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(_HOME[name]), name)
    globals()[name] = value  # found at once the next time
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOME])
