"""Debian's Chromium for tests that look at a page."""

from __future__ import annotations

import contextlib
import gc
import os
import shutil
import warnings
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Browser

FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
WIDE, PHONE = {"width": 1200, "height": 900}, {"width": 390, "height": 844}


def give_up(message: str) -> None:
    """A check that cannot run is a failure in CI and a skip elsewhere."""
    if os.environ.get("CI") == "true":
        pytest.fail(message)
    pytest.skip(message)


@contextlib.contextmanager
def opened(*flags: str) -> Iterator[Browser]:
    """A browser; ``flags`` come after the usual ones."""
    found = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if found is None:
        give_up("needs Chromium; on Debian: apt-get install chromium")
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        give_up("needs Playwright; pip install playwright")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=[*FLAGS, *flags])
        try:
            yield browser
        finally:
            browser.close()
    with warnings.catch_warnings():  # Playwright leaves the pipe to its driver to the collector: here, not in some test
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()
