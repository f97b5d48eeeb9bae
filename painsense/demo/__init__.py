"""The demo: painsense in a browser, on this machine. ``painsense demo`` starts it; it needs the extra ``demo``.

The pages show what the public API measures and hold no analysis of their own. Nothing leaves the machine, and nothing
of a person is kept: see :mod:`painsense.demo.sessions` for where recordings lie while they are looked at, and
:mod:`painsense.demo.guard` for who may ask for what.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from painsense.pipeline import Settings

if TYPE_CHECKING:
    from painsense.demo.sessions import Store

# Gradio reads these when it is imported: without them it looks up hosts outside when it starts.
os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
os.environ["DO_NOT_TRACK"] = "1"
for _name in ("GRADIO_SHARE", "GRADIO_MCP_SERVER", "GRADIO_SSR_MODE", "GRADIO_RUN_HISTORY", "GRADIO_VIBE_MODE"):
    os.environ[_name] = "False"
for _name in ("GRADIO_ALLOWED_PATHS", "GRADIO_ROOT_PATH", "GRADIO_WATCH_DIRS"):
    os.environ.pop(_name, None)  # what another Gradio app of this person is allowed is no matter of ours

MAX_MB, MAX_MINUTES = 2000.0, 60.0


@dataclass(frozen=True)
class Limits:
    """How much one may hand over.

    Attributes
    ----------
    max_bytes : the largest upload
    max_minutes : the longest recording; the pages say so in words
    """

    max_bytes: int = round(MAX_MB * 1e6)
    max_minutes: float = MAX_MINUTES


@dataclass(frozen=True)
class Demo:
    """What the pages share.

    Attributes
    ----------
    settings : how recordings are analysed, but for what a page asks the person
    limits : how much one may hand over
    store : the sessions of all open pages
    """

    store: Store
    settings: Settings = field(default_factory=Settings)
    limits: Limits = field(default_factory=Limits)
