"""axe-core in a page: what it finds wrong for people who see, hear or move differently (WCAG 2.2 A and AA)."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import TYPE_CHECKING

from chromium import give_up

if TYPE_CHECKING:
    from playwright.sync_api import Page

TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
RUN = "tags => axe.run(document, {runOnly: {type: 'tag', values: tags}, resultTypes: ['violations']})"


def violations(page: Page) -> list[str]:
    """What axe-core finds wrong with a page as it is now: rule, what it is about, where."""
    found = importlib.util.find_spec("axe_playwright_python")
    if found is None or found.origin is None:
        give_up("needs axe-core; pip install axe-playwright-python")
    if not page.evaluate("'axe' in window"):
        page.evaluate((Path(found.origin).parent / "axe.min.js").read_text(encoding="utf-8"))
    said = []
    for violation in page.evaluate(RUN, TAGS)["violations"]:
        for node in violation["nodes"]:
            what = " ".join(node["failureSummary"].split())
            said.append(f"{violation['id']} ({violation['impact']}): {node['html'][:160]} {what}")
    return said
