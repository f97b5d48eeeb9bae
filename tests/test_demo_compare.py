"""The compare page, as a person uses it: two recordings in, the difference, both timelines and the files out."""

from __future__ import annotations

import json
from pathlib import Path

import make_recordings
import pytest
from chromium import PHONE
from demo_axe import violations
from demo_server import PATIENCE_S, Pages, browser, choose, demo_server, open_page, wait_for
from playwright.sync_api import expect

from painsense.comparison import MIN_COVERED_S

__all__ = ["browser", "demo_server", "open_page"]  # fixtures
#: An analysis of two recordings of 24 s on a busy machine
LONG_MS = 4 * PATIENCE_S * 1000
SECONDS = MIN_COVERED_S + 1.0


@pytest.fixture(scope="module")
def recordings(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """One person calm, then in pain."""
    folder = tmp_path_factory.mktemp("recordings")
    calm = make_recordings.long(folder / "calm.mp4", 5.0, SECONDS, 5.0, fps=6.25)
    return calm, make_recordings.long(folder / "pain.mp4", 11.2, SECONDS, 11.0, fps=6.25)


def test_two_recordings_become_a_difference_with_files(open_page: Pages, recordings: tuple[Path, Path]) -> None:
    page = open_page("Compare")
    page.get_by_label("Second recording is called").fill("lifting <b>the</b> arm")
    for number, path in enumerate(recordings, start=1):
        choose(page, f"#ps-compare-file-{number}", path)
    page.get_by_role("button", name="Compare", exact=True).click()
    page.locator("#ps-compare-status progress").wait_for(timeout=LONG_MS)
    page.locator("#ps-compare-verdict").wait_for(timeout=LONG_MS)
    assert page.locator("#ps-compare-verdict").inner_text() == "More pain expression in “lifting <b>the</b> arm”"
    card = page.locator(".ps-compare-verdict").inner_text()
    assert "90% interval +" in card and "Few pictures a second" in card
    assert page.locator(".ps-compare-table").first.locator("tbody tr").count() == 2
    page.get_by_text("The voice:").click()
    assert page.locator(".ps-compare-voice tbody tr").count() == 8

    assert violations(page) == []

    sliders = page.locator("#ps-compare-result").get_by_role("slider")
    assert sliders.count() >= 2
    sliders.first.focus()
    before = sliders.first.get_attribute("aria-valuenow")
    page.keyboard.press("PageUp")
    wait_for(lambda: sliders.first.get_attribute("aria-valuenow") != before, "the cursor does not move")

    with page.expect_download() as started:
        page.get_by_role("link", name="Comparison (JSON)").click()
    content = json.loads(Path(started.value.path()).read_text(encoding="utf-8"))
    assert content["verdict"] == "higher" and content["second"]["label"] == "lifting <b>the</b> arm"
    pspi = next(each for each in content["changes"] if each["measure"] == "pspi")
    assert 0 < pspi["low"] < pspi["difference"] < pspi["high"]
    with page.expect_download() as started:
        page.get_by_role("link", name="Results (JSON)").nth(1).click()
    report = json.loads(Path(started.value.path()).read_text(encoding="utf-8"))
    assert report["media"]["file"] == "pain.mp4" and report["baseline"]["kind"] == "rest_clip"
    page.set_viewport_size(PHONE)  # type: ignore[arg-type]
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]


def test_cancel_stops_and_the_page_goes_on(open_page: Pages, recordings: tuple[Path, Path]) -> None:
    page = open_page("Compare")
    for number, path in enumerate(recordings, start=1):
        choose(page, f"#ps-compare-file-{number}", path)
    page.get_by_role("button", name="Compare", exact=True).click()
    page.locator("#ps-compare-status progress").wait_for(timeout=LONG_MS)
    page.get_by_role("button", name="Cancel", exact=True).click()
    page.locator("#ps-compare-status").get_by_text("Cancelled.").wait_for()
    assert page.locator("#ps-compare-verdict").count() == 0
    expect(page.get_by_role("button", name="Compare", exact=True)).to_be_enabled()


def test_what_is_missing_is_said(open_page: Pages, recordings: tuple[Path, Path], tmp_path: Path) -> None:
    page = open_page("Compare")
    start = page.get_by_role("button", name="Compare", exact=True)
    alert = page.locator("#ps-compare-status .ps-trouble")

    def says(text: str) -> None:
        start.click()
        alert.get_by_text(text).wait_for()

    says("Choose the first recording.")
    choose(page, "#ps-compare-file-1", recordings[0])
    says("Choose the second recording.")
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(b"no video")
    choose(page, "#ps-compare-file-2", broken)
    says("broken.mp4")
    assert "/" not in alert.inner_text().split(":")[0]  # no folder of the machine
    page.get_by_label("The rest recording chosen below").check()
    page.locator("#ps-compare-rest").wait_for()
    says("Choose the rest recording, or another neutral face.")


def test_short_recordings_are_refused_in_words(open_page: Pages, tmp_path: Path) -> None:
    page = open_page("Compare")
    for number, start_s in ((1, 5.0), (2, 11.2)):
        choose(
            page,
            f"#ps-compare-file-{number}",
            make_recordings.long(tmp_path / f"{number}.mp4", start_s, 4.0, start_s, fps=6.25),
        )
    page.get_by_label("Before and after treatment").check()
    expect(page.get_by_label("First recording is called")).to_have_value("before")
    expect(page.get_by_label("The rest recording chosen below")).to_be_checked()
    page.get_by_label("Each recording its own calmest part").check()
    page.get_by_role("button", name="Compare", exact=True).click()
    page.locator("#ps-compare-verdict").wait_for(timeout=LONG_MS)
    assert page.locator("#ps-compare-verdict").inner_text() == "Cannot be compared"
    assert "at least 20 s are needed" in page.locator(".ps-compare-verdict").inner_text()
