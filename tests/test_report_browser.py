"""The HTML report in a real browser, without a network: what a person sees, clicks and prints."""

from __future__ import annotations

import itertools
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import av
import chromium
import numpy as np
import pytest
from chromium import PHONE, WIDE
from make_report import make_refusal, make_report, make_still, make_voice_only

from painsense.report import Report

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

DURATION_S = 28.0


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium.opened() as made:
        yield made


@pytest.fixture(scope="module")
def report() -> Report:
    return make_report(DURATION_S, file="clip one.webm")


@pytest.fixture(scope="module")
def folder(report: Report, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a report and the recording beside it, as a person keeps them."""
    path = tmp_path_factory.mktemp("reports")
    report.write(path, ["html"], stem="scored")
    make_report(fused=True).write(path, ["html"], stem="without video")
    make_refusal().write(path, ["html"], stem="refused")
    make_voice_only().write(path, ["html"], stem="voice")
    make_still().write(path, ["html"], stem="still")
    make_report(1200.0).write(path, ["html"], stem="long")
    write_video(path / "clip one.webm")
    return path


def write_video(path: Path) -> None:
    """A dull film of the report's length, five pictures a second."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libvpx", rate=5)
        stream.width, stream.height, stream.pix_fmt = 160, 90, "yuv420p"
        for k in range(round(DURATION_S * 5)):
            frame = av.VideoFrame.from_ndarray(np.full((90, 160, 3), k % 255, np.uint8), format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode())


class Opened:
    """A page with what it asked for and what it complained about."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.requests: list[str] = []
        self.complaints: list[str] = []
        page.on("request", lambda request: self.requests.append(request.url))
        page.on("console", lambda message: self.complaints.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: self.complaints.append(str(error)))


def visit(browser: Browser, path: Path, **options: Any) -> Opened:
    context = browser.new_context(**{"viewport": WIDE, **options})
    context.set_offline(True)
    opened = Opened(context.new_page())
    opened.page.goto(path.as_uri())
    return opened


@pytest.fixture
def opened(browser: Browser, folder: Path) -> Iterator[Opened]:
    opened = visit(browser, folder / "scored.html")
    until(opened.page, "document.querySelector('video').readyState >= 1")
    yield opened
    opened.page.context.close()


def until(page: Page, expression: str, within_s: float = 10.0) -> None:
    """Wait until something holds. (Playwright's own way is an eval in the page, which the page's policy forbids.)"""
    give_up_at = time.monotonic() + within_s
    while not page.evaluate(expression):
        assert time.monotonic() < give_up_at, f"never came true: {expression}"
        page.wait_for_timeout(20)


def cursor(page: Page) -> tuple[float, str]:
    """Where the cursor stands in seconds, and what is read out."""
    slider = page.get_by_role("slider", name="Time in the recording")
    return float(slider.get_attribute("aria-valuenow") or "nan"), page.locator(".ps-readout").inner_text()


def scrub_box(page: Page) -> dict[str, float]:
    """Where the timeline lies on the screen, after scrolling to it."""
    page.locator("#report-scrub").scroll_into_view_if_needed()
    box = page.locator("#report-scrub").bounding_box()
    assert box is not None
    return {"x": box["x"], "y": box["y"], "width": box["width"]}


def click_at(page: Page, share: float) -> None:
    page.locator("#report-scrub").click(position={"x": share * scrub_box(page)["width"], "y": 60})


def test_asks_for_nothing_but_itself_and_the_recording(opened: Opened, folder: Path) -> None:
    opened.page.wait_for_timeout(300)
    assert {url.split("?")[0] for url in opened.requests} == {
        (folder / "scored.html").as_uri(),
        (folder / "clip one.webm").as_uri(),
    }
    assert opened.complaints == []


def test_the_page_itself_forbids_the_network(opened: Opened) -> None:
    directive = opened.page.evaluate(
        """() => new Promise((resolve) => {
            document.addEventListener("securitypolicyviolation", (event) => resolve(event.effectiveDirective));
            new Image().src = "https://127.0.0.1:9/pixel.png";
        })"""
    )
    assert directive == "img-src"


def test_a_click_moves_the_cursor_and_reads_the_values(opened: Opened, report: Report) -> None:
    click_at(opened.page, 0.45)
    seconds, readout = cursor(opened.page)
    assert seconds == pytest.approx(0.45 * DURATION_S, abs=0.1)
    face = report.tracks["face"]
    k = int(np.searchsorted(face.time_s, seconds, side="right")) - 1
    shown = re.search(r"PSPI \(90% interval\)\s+([\d.]+) \(([\d.]+) to ([\d.]+)\)", readout)
    assert shown is not None
    expected = [float(face.column(name)[k]) for name in ("pspi", "pspi_low", "pspi_high")]
    np.testing.assert_allclose([float(number) for number in shown.groups()], expected, atol=0.051)
    assert f"0:{seconds:04.1f}" in readout
    assert re.search(r"eyes closed \(AU43\)\s+yes", readout)
    assert re.search(r"Voice\s+voiced", readout) and re.search(r"F0\s+2\d\d\.\d Hz", readout)
    said = opened.page.get_by_role("slider").get_attribute("aria-valuetext")
    assert said == f"0:{seconds:04.1f}, PSPI {shown[1]}, usable"


def test_every_stretch_says_its_state(opened: Opened) -> None:
    for share, said in (
        (0.82, "not usable: turned away"),
        (0.85, "not usable: turned away, blurred"),
        (0.89, "not usable: no face found"),
        (0.63, "uncertain"),
        (0.25, "usable, speaking"),
    ):
        click_at(opened.page, share)
        readout = cursor(opened.page)[1]
        assert re.search(rf"Face\s+{said}(\n|$)", readout), share
        assert ("PSPI" in readout) != said.startswith("not usable")


def test_keys_move_the_cursor(opened: Opened) -> None:
    page = opened.page
    page.get_by_role("slider").focus()
    steps = [
        ("End", DURATION_S),
        ("ArrowRight", DURATION_S),
        ("Home", 0.0),
        ("ArrowLeft", 0.0),
        ("ArrowRight", 0.1),
        ("ArrowUp", 0.2),
        ("PageUp", 0.2 + DURATION_S / 20),
        ("PageDown", 0.2),
        ("ArrowDown", 0.1),
    ]
    for key, seconds in steps:
        page.keyboard.press(key)
        until(page, "!document.querySelector('video').seeking")
        assert cursor(page)[0] == pytest.approx(seconds, abs=0.011), key
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent").startswith("peak 1 at")


def test_dragging_moves_the_cursor_and_hovering_only_tells(opened: Opened) -> None:
    page = opened.page
    box = scrub_box(page)
    y = box["y"] + 40
    page.mouse.move(box["x"] + 0.85 * box["width"], y)
    assert "face not usable: turned away" in page.locator(".ps-tip").inner_text()
    assert cursor(page)[0] == 0
    page.mouse.down()
    page.mouse.move(box["x"] + 0.5 * box["width"], y, steps=5)
    page.mouse.up()
    until(page, "!document.querySelector('video').seeking")
    assert cursor(page)[0] == pytest.approx(DURATION_S / 2, abs=0.1)


def test_peak_buttons_jump(opened: Opened, report: Report) -> None:
    page = opened.page
    page.get_by_role("button", name="peak 2 at 0:19.6").click()
    until(page, "!document.querySelector('video').seeking")
    assert cursor(page)[0] == pytest.approx(report.peaks[1].time_s, abs=0.011)
    page.get_by_role("button", name="Show in the timeline").first.click()
    until(page, "!document.querySelector('video').seeking")
    assert cursor(page)[0] == pytest.approx(report.peaks[0].time_s, abs=0.011)


def test_recording_and_cursor_follow_each_other(opened: Opened) -> None:
    page = opened.page
    assert page.locator("video").is_visible()
    assert not page.locator(".ps-unplayable").is_visible()
    click_at(page, 0.5)
    assert page.evaluate("document.querySelector('video').currentTime") == pytest.approx(DURATION_S / 2, abs=0.1)
    page.evaluate("document.querySelector('video').currentTime = 21")
    until(page, "Math.abs(document.getElementById('report-scrub').ariaValueNow - 21) < 0.01")
    page.evaluate("document.querySelector('video').play()")
    until(page, "document.getElementById('report-scrub').ariaValueNow > 21.2")
    page.evaluate("document.querySelector('video').pause()")
    assert opened.complaints == []


def test_without_the_recording_the_page_says_how_to_get_it(browser: Browser, folder: Path) -> None:
    opened = visit(browser, folder / "without video.html")
    opened.page.locator(".ps-unplayable").wait_for(state="visible")
    assert "put clip.mp4 into the same folder as this report" in opened.page.locator(".ps-unplayable").inner_text()
    assert not opened.page.locator("video").is_visible()
    click_at(opened.page, 0.5)
    assert cursor(opened.page)[0] == pytest.approx(DURATION_S / 2, abs=0.1)
    opened.page.context.close()


@pytest.mark.parametrize("name", ["scored", "without video", "refused", "voice", "still", "long"])
def test_fits_a_phone(browser: Browser, folder: Path, name: str) -> None:
    opened = visit(browser, folder / f"{name}.html", viewport=PHONE, is_mobile=True, has_touch=True)
    page = opened.page
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    outside = page.evaluate(
        """() => [...document.querySelectorAll("main *:not(svg *)")].filter((e) => {
            const box = e.getBoundingClientRect();
            return box.width > 1 && (box.right > innerWidth + 1 || box.left < -1);
        }).map((e) => e.tagName + "." + e.className)"""
    )
    assert outside == []
    if page.locator("#report-scrub").count():
        width = scrub_box(page)["width"]
        assert width > 250
        page.locator("#report-scrub").tap(position={"x": width / 2, "y": 50})
        end = float(page.locator("#report-scrub").get_attribute("aria-valuemax") or "nan")
        assert cursor(page)[0] == pytest.approx(end / 2, rel=0.02)
    page.context.close()


CONTRAST = """() => {
  const channel = (v) => (v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
  const parse = (text) => text.match(/[\\d.]+/g).map(Number);
  const light = (c) => 0.2126 * channel(c[0] / 255) + 0.7152 * channel(c[1] / 255) + 0.0722 * channel(c[2] / 255);
  const ground = (e) => {
    for (; e; e = e.parentElement) {
      const c = parse(getComputedStyle(e).backgroundColor);
      if (c.length < 4 || c[3] > 0) return c;
    }
    return [255, 255, 255];
  };
  const bad = [];
  let seen = 0;
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const e = walker.currentNode.parentElement;
    const skipped = e.closest("script, style, title, [hidden], .skip, .mark");
    if (!walker.currentNode.textContent.trim() || skipped) continue;
    const style = getComputedStyle(e);
    const ink = light(parse(e instanceof SVGElement ? style.fill : style.color)), paper = light(ground(e));
    const ratio = (Math.max(ink, paper) + 0.05) / (Math.min(ink, paper) + 0.05);
    seen += 1;
    if (ratio < 4.5) bad.push(`${e.tagName}.${e.getAttribute("class")} ${ratio.toFixed(2)}`);
  }
  return [seen, bad];
}"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_contrast_is_that_of_wcag_aa(browser: Browser, folder: Path, scheme: str) -> None:
    opened = visit(browser, folder / "scored.html", color_scheme=scheme)
    seen, bad = opened.page.evaluate(CONTRAST)
    assert seen > 150
    assert bad == []
    ground = opened.page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (sum(map(int, re.findall(r"\d+", ground))) > 382) == (scheme == "light")
    opened.page.context.close()


@pytest.mark.parametrize("name", ["scored", "refused", "voice", "still"])
def test_has_the_structure_a_screen_reader_needs(browser: Browser, folder: Path, name: str) -> None:
    opened = visit(browser, folder / f"{name}.html")
    page = opened.page
    levels = page.evaluate("[...document.querySelectorAll('h1,h2,h3,h4')].map((h) => Number(h.tagName[1]))")
    assert levels.count(1) == 1 and levels[0] == 1
    assert all(after <= before + 1 for before, after in itertools.pairwise(levels))
    assert page.evaluate("document.documentElement.lang") == "en"
    for landmark in ("header", "main", "footer"):
        assert page.locator(landmark).count() == 1
    unnamed = page.evaluate(
        """() => [...document.querySelectorAll("svg")].filter((svg) => !svg.parentElement.closest("svg")
            && !svg.closest("[aria-hidden=true]")
            && !(svg.getAttribute("role") === "img" && svg.getAttribute("aria-label"))).length"""
    )
    assert unnamed == 0
    assert page.locator("img:not([alt])").count() == 0
    assert page.evaluate("new Set([...document.querySelectorAll('[id]')].map((e) => e.id)).size") == page.evaluate(
        "document.querySelectorAll('[id]').length"
    )
    page.context.close()


def test_works_without_javascript(browser: Browser, folder: Path) -> None:
    opened = visit(browser, folder / "scored.html", java_script_enabled=False)
    page = opened.page
    assert page.get_by_role("heading", level=1).inner_text() == "Pain expression: repeated"
    assert page.locator(".ps-plot.pspi").is_visible()
    for name in ("#report-scrub", ".ps-readout", ".ps-player", ".ps-jumps", ".ps-script"):
        assert not page.locator(name).first.is_visible(), name
    page.context.close()


def test_prints_on_a_few_sheets_of_a4(browser: Browser, folder: Path) -> None:
    opened = visit(browser, folder / "scored.html")
    pdf = opened.page.pdf(prefer_css_page_size=True, print_background=True)
    boxes = set(re.findall(rb"/MediaBox \[([\d. ]+)\]", pdf))
    assert {tuple(round(float(x)) for x in box.split()) for box in boxes} == {(0, 0, 595, 842)}
    assert 2 <= len(re.findall(rb"/Type /Page\b", pdf)) <= 5
    opened.page.emulate_media(media="print", color_scheme="dark")
    for name in ("#report-scrub", ".ps-readout", "video", ".ps-jumps", "#report-hint"):
        assert not opened.page.locator(name).is_visible(), name
    assert opened.page.locator(".ps-plot.pspi").is_visible()
    # even where the screen is dark the paper is white
    assert opened.page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert opened.page.evaluate("getComputedStyle(document.querySelector('h1')).color") == "rgb(26, 34, 45)"
    opened.page.context.close()
