"""Fixtures shared by all tests."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parent.parent

os.environ["ORT_DISABLE_TELEMETRY"] = "1"  # some tests import ONNX Runtime themselves, see painsense.providers.runtime


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder of recordings that are not part of the project; ``PAINSENSE_TEST_DATA`` names it.

    A stranger's machine does not have it: tests that need it are skipped there. In CI they must run.
    """
    folder = Path(os.environ.get("PAINSENSE_TEST_DATA") or PROJECT.parent / "shared" / "data")
    if not (folder / "clips").is_dir():
        message = f"needs the test recordings, and {folder}/clips is not there; set PAINSENSE_TEST_DATA"
        if os.environ.get("CI") == "true":
            pytest.fail(message)
        pytest.skip(message)
    return folder


@pytest.fixture(scope="session")
def sample_clip() -> Path:
    """The bundled synthetic recording."""
    return PROJECT / "samples" / "episode.mp4"
