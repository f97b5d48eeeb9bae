"""What a page asks of Gradio, read before Gradio sees it.

Gradio takes a file of this machine, or fetches one from elsewhere, when an event names it: it copies it to where
uploads lie, and the page goes on with it as if it had been uploaded. And it runs an event for whatever page the request
names. Here both are held to what is the visitor's own.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from painsense.demo.sessions import Store

#: What the page sends of an event; the rest that Gradio would read is for programs
FIELDS = ("data", "event_data", "fn_index", "trigger_id", "session_hash", "event_id")


class NoEvent(Exception):
    """Not an event of the page."""


class NotTheirs(Exception):
    """An event of another browser's page."""


def own(body: bytes, store: Store, visitor: str) -> bytes:
    """An event with nothing in it but the visitor's own page and uploads.

    A file that is not the visitor's upload becomes one that is gone, which the pages say in words. NotTheirs when the
    page is another's, NoEvent when it is something else.
    """
    try:
        event = json.loads(body)
        if not isinstance(event, dict) or not isinstance(event.get("session_hash"), str):
            raise NoEvent
        if not store.allows(visitor, event["session_hash"]):
            raise NotTheirs
        kept = {name: _own_files(event[name], store, visitor) for name in FIELDS if name in event}
        return json.dumps(kept).encode()
    except (ValueError, RecursionError):
        raise NoEvent from None


def _own_files(value: Any, store: Store, visitor: str) -> Any:
    if isinstance(value, list):
        return [_own_files(part, store, visitor) for part in value]
    if not isinstance(value, dict):
        return value
    kept = {name: _own_files(part, store, visitor) for name, part in value.items()}
    if "path" in value:
        # Gradio may fetch what an address names
        kept = {name: part for name, part in kept.items() if name not in ("url", "is_stream")}
        kept["path"] = _own_file(value["path"], store, visitor)
    return kept


def _own_file(path: Any, store: Store, visitor: str) -> str:
    named = path if isinstance(path, str) and "\0" not in path else ""
    return str(store.readable(visitor, named) or store.uploads / "gone" / f"gone{Path(named).suffix}")
