"""Styles and scripts of the pages by name: the demo's own, and the timeline, which the HTML report holds, too."""

from __future__ import annotations

from pathlib import Path

import painsense

_STATIC = Path(__file__).parent / "static"
_TEMPLATES = Path(painsense.__file__).parent / "templates"

#: What the server hands out under ``/static/``
FILES: dict[str, Path] = {
    path.name: path
    for path in (*_STATIC.iterdir(), _TEMPLATES / "timeline.css", _TEMPLATES / "timeline.js")
    if path.suffix in (".css", ".js", ".svg")
}


def head() -> str:
    """Styles and scripts of all pages, by name. The page loads its audio worklet itself."""
    styles = sorted((name for name in FILES if name.endswith(".css")), key=lambda name: (name != "app.css", name))
    scripts = sorted(name for name in FILES if name.endswith(".js") and name != "live-sound.js")
    lines = [f'<link rel="stylesheet" href="/static/{name}">' for name in styles if name != "login.css"]
    lines += [f'<script src="/static/{name}" defer></script>' for name in scripts]
    return "\n".join(lines)
