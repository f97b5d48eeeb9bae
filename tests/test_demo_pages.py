"""The demo's page as people use it: both themes, a phone, the keyboard, a screen reader, no network at all."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from chromium import PHONE, give_up
from demo_axe import violations
from demo_server import PROJECT, Pages, browser, demo_server, open_page, serving, show_tab  # noqa: F401
from playwright.sync_api import Browser, expect

from painsense import assets

TABS = ("Recording", "Live", "Compare", "About")


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_axe_finds_nothing_wrong(open_page: Pages, theme: str) -> None:  # noqa: F811
    page = open_page(color_scheme=theme)
    for tab in TABS:
        show_tab(page, tab)
        assert violations(page) == [], tab


def test_axe_finds_nothing_wrong_on_a_phone(open_page: Pages) -> None:  # noqa: F811
    page = open_page(viewport=PHONE)
    for tab in TABS:
        show_tab(page, tab)
        assert violations(page) == [], tab


def test_axe_would_find_something(open_page: Pages) -> None:  # noqa: F811
    page = open_page()
    page.evaluate("document.body.append(Object.assign(document.createElement('img'), {src: 'data:,'}))")
    assert any("image-alt" in text for text in violations(page))


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_the_theme_follows_the_system(open_page: Pages, theme: str) -> None:  # noqa: F811
    page = open_page(color_scheme=theme)
    ground = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert ground == {"light": "rgb(244, 245, 247)", "dark": "rgb(17, 21, 27)"}[theme]


def test_a_phone_scrolls_in_one_direction_and_has_all_tabs(open_page: Pages) -> None:  # noqa: F811
    page = open_page(viewport=PHONE)
    for tab in TABS:
        show_tab(page, tab)
        assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"], tab


def test_the_page_says_what_it_is(open_page: Pages) -> None:  # noqa: F811
    page = open_page()
    assert page.title() == "painsense: pain expression in face and voice"
    assert page.evaluate("document.documentElement.lang") == "en"
    for role in ("banner", "main", "contentinfo", "tablist"):
        assert page.get_by_role(role).count() == 1, role
    assert page.get_by_role("heading", level=1).count() == 1
    for tab in TABS:
        show_tab(page, tab)
        assert page.get_by_role("tabpanel", name=tab, exact=True).is_visible()


def test_the_keyboard_is_enough_to_get_around(open_page: Pages) -> None:  # noqa: F811
    page = open_page()
    page.keyboard.press("Tab")
    focused = page.locator(":focus")
    assert focused.inner_text() == "Skip to the content"
    expect(focused).to_be_in_viewport()
    page.keyboard.press("Enter")
    assert page.locator(":focus").inner_text() == "Recording"
    for key, tab in (
        ("ArrowRight", "Live"),
        ("End", "About"),
        ("ArrowRight", "Recording"),
        ("ArrowLeft", "About"),
        ("Home", "Recording"),
    ):
        page.keyboard.press(key)
        assert page.locator(":focus").inner_text() == tab
        expect(page.get_by_role("tab", name=tab, exact=True)).to_have_attribute("aria-selected", "true")
        expect(page.locator(f"#ps-{tab.lower()}")).to_be_visible()
    outline = page.locator(":focus").evaluate("element => getComputedStyle(element).outlineStyle")
    assert outline == "solid"


def test_the_model_cards_are_those_of_the_files(open_page: Pages) -> None:  # noqa: F811
    page = open_page("About")
    manifest = assets.manifest()
    cards = page.locator(".ps-card")
    assert cards.count() == len(manifest.external) + len(manifest.installed)
    for card, entry in zip(cards.all(), (*manifest.external, *manifest.installed), strict=True):
        card.locator("summary").focus()
        page.keyboard.press("Enter")
        text = card.inner_text()
        assert entry.name in text and entry.version in text and entry.sha256 in text and entry.licence in text
    assert "validated on no patient" in page.locator("#ps-about").inner_text()
    assert violations(page) == []


def test_the_self_test_runs_and_is_read_out(open_page: Pages) -> None:  # noqa: F811
    page = open_page("About")
    page.get_by_role("button", name="Run the self-test").click()
    findings = page.locator("#ps-selftest")
    expect(findings).to_contain_text(re.compile(r"Everything needed works|faults? found"))
    assert "a drawn face" in findings.inner_text() and "a sound file" in findings.inner_text()
    assert not [place for place in (str(PROJECT), sys.prefix, str(Path.home())) if place in findings.inner_text()]
    assert findings.get_attribute("aria-live") == "polite"
    assert violations(page) == []


def test_ctrl_c_leaves_nothing_and_the_page_says_that_the_server_has_gone(browser: Browser, tmp_path: Path) -> None:  # noqa: F811
    with serving(tmp_path, grace_s=60.0) as running:
        pages = Pages(browser, running.url)
        page = pages()
        assert running.stop(signal.SIGINT) == 0
        assert [path.name for path in tmp_path.glob("*/*")] == ["start.lock"]
        assert "Traceback" not in running.printed, running.printed
        alert = page.get_by_role("alert").filter(has_text="server cannot be reached")
        expect(alert).to_be_visible()
        assert alert.get_by_role("button", name="Load this page again").count() == 1
        page.context.close()


@pytest.mark.parametrize("how", ["chosen", "dropped"])
def test_a_file_that_is_too_large_is_said_to_be_and_stays_said(open_page: Pages, tmp_path: Path, how: str) -> None:  # noqa: F811
    page = open_page("Recording")
    box = page.locator("#ps-recording-file")
    page.evaluate("window.gradio_config.max_file_size = 1e6")
    if how == "chosen":
        with (tmp_path / "long.mp4").open("wb") as file:
            file.truncate(2_500_000)
        box.locator("input[type=file]").set_input_files(tmp_path / "long.mp4")
    else:
        box.locator("button").first.evaluate("""(place) => {
          const transfer = new DataTransfer();
          transfer.items.add(new File([new ArrayBuffer(2.5e6)], "long.mp4"));
          const options = { bubbles: true, cancelable: true, dataTransfer: transfer };
          place.dispatchEvent(new DragEvent("drop", options));
        }""")
    said = page.get_by_role("alert").filter(has_text="long.mp4 has 2.5 MB, and this page takes up to 1 MB.")
    expect(said).to_contain_text("Choose a shorter or smaller recording")
    assert not [url for url in open_page.requests if "upload" in url]
    assert violations(page) == []
    (tmp_path / "small.mp4").write_bytes(b"x")
    box.locator("input[type=file]").set_input_files(tmp_path / "small.mp4")
    expect(box).to_contain_text("small")
    expect(page.locator(".ps-refused")).to_have_count(0)


def test_a_page_whose_data_has_gone_says_so(open_page: Pages) -> None:  # noqa: F811
    page = open_page()
    open_page.expected.append("404")
    page.locator("#painsense-session").evaluate("element => element.dataset.id = 'gone'")
    expect(page.get_by_role("alert").filter(has_text="its data has been removed")).to_be_visible()


def test_it_works_in_a_machine_without_any_network(tmp_path: Path) -> None:
    """Server and browser in a network namespace that has nothing but its own loopback."""
    if shutil.which("unshare") is None or subprocess.run(["unshare", "-rn", "true"], capture_output=True).returncode:
        give_up("needs unshare with user namespaces")
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join((str(PROJECT), str(PROJECT / "tests")))}
    done = subprocess.run(
        ["unshare", "-rn", sys.executable, str(PROJECT / "tests/demo_offline.py"), str(tmp_path)],
        capture_output=True,
        text=True,
        env=environment,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "no route, and all of it works" in done.stdout
