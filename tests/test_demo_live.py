"""The live page in Chromium, with a fake camera and microphone fed from the bundled clip."""

from __future__ import annotations

import base64
import json
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import pytest

pytest.importorskip("gradio")

from chromium import PHONE
from demo_axe import violations
from demo_server import PATIENCE_S, Pages, chromium, demo_server, open_page, serving, show_tab, wait_for

from benchmarks import fake_devices
from painsense import media

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

__all__ = ["demo_server", "open_page"]

SAMPLE = Path(__file__).resolve().parent.parent / "samples" / "episode.mp4"
LONG_MS = PATIENCE_S * 1000

#: The score and its interval, of one window; null where it has none
SCORE = """() => {
  const [score, range] = ["score", "score-range"].map((name) => document.getElementById(`ps-live-${name}`).textContent);
  return score === "–" ? null : [score, range];
}"""
#: A camera that shows a picture (or nothing), and a microphone that is switched off
STAND_IN = """(url) => {
  const canvas = Object.assign(document.createElement("canvas"), { width: 640, height: 360 });
  const picture = new Image();
  if (url) picture.src = url;
  const draw = () => {
    const context = canvas.getContext("2d");
    context.fillStyle = "#777";
    context.fillRect(0, 0, 640, 360);
    if (picture.complete && picture.width) context.drawImage(picture, 0, 0, 640, 360);
  };
  setInterval(draw, 40);
  navigator.mediaDevices.getUserMedia = async ({ audio }) => {
    const tracks = canvas.captureStream(25).getTracks();
    if (audio) tracks.push(...new AudioContext().createMediaStreamDestination().stream.getTracks());
    return new MediaStream(tracks);
  };
}"""


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    devices = fake_devices.make(SAMPLE, tmp_path_factory.mktemp("devices"), stop_s=12.0)
    with chromium(*fake_devices.flags(*devices)) as opened:
        yield opened


def frame(time_s: float) -> np.ndarray:
    return next(image for _, image in media.read_frames(media.open_media(SAMPLE), time_s, time_s + 0.05))


def data_url(image: np.ndarray) -> str:
    return "data:image/jpeg;base64," + base64.b64encode(cv2.imencode(".jpg", image[..., ::-1])[1].tobytes()).decode()


def live(open_page: Pages, **options: Any) -> Page:
    page = open_page("Live", **options)
    page.locator("#ps-live-start").wait_for()
    return page


def text(page: Page, name: str) -> str:
    return page.locator(f"#ps-live-{name}").inner_text()


def expect(page: Page, name: str, words: str) -> None:
    wait_for(lambda: words in text(page, name), f"{name} does not say {words!r}")


def start(page: Page) -> None:
    page.locator("#ps-live-start").click()
    page.locator("#ps-live-count").wait_for()


def skip(page: Page) -> None:
    """Skip the rest phase, or what is left of it: on a slow machine it may be over."""
    page.locator("#ps-live-skip").dispatch_event("click")


def keep_the_stream(page: Page) -> None:
    page.evaluate("window.stream = document.getElementById('ps-live-video').srcObject")


def camera_is_off(page: Page) -> bool:
    return bool(page.evaluate("window.stream.getTracks().every((track) => track.readyState === 'ended')"))


def test_from_start_to_summary(open_page: Pages, tmp_path: Path) -> None:
    sent: list[bytes] = []
    page = live(open_page)
    page.on("websocket", lambda socket: socket.on("framesent", lambda message: sent.append(message)))
    assert page.evaluate("document.getElementById('ps-live-video').srcObject") is None  # nothing before it is allowed
    page.locator("#ps-live-start").focus()
    page.keyboard.press("Enter")
    page.locator("#ps-live-count").wait_for()
    keep_the_stream(page)
    preview = page.evaluate("getComputedStyle(document.getElementById('ps-live-video')).transform")
    assert preview == "matrix(-1, 0, 0, 1, 0, 0)"  # as in a mirror
    settings = page.evaluate("window.stream.getAudioTracks()[0].getSettings()")
    assert not any(settings.get(name) for name in ("echoCancellation", "noiseSuppression", "autoGainControl"))
    expect(page, "status", "Rest phase")
    assert 0 < int(text(page, "left")) <= 8
    expect(page, "status", "The rest phase is over")
    assert page.locator("#ps-live-count").is_hidden()
    score, interval = wait_for(lambda: page.evaluate(SCORE), "there is no score")
    assert float(score) <= 10
    assert interval.startswith("90% interval")
    assert page.locator("#ps-live-units .ps-live-row").count() == 9
    assert page.locator("[data-unit=AU4] dt").inner_text() == "brows lowered (AU4)"
    wait_for(lambda: page.locator("[data-unit=AU4] .ps-live-value").inner_text() != "–", "AU4 has no value")
    wait_for(lambda: page.locator(".ps-live-line").get_attribute("d"), "the trace is empty")
    assert page.locator("#ps-live-trace").get_attribute("aria-label").startswith("Score over the last")
    page.locator("#ps-live-stop").focus()
    page.keyboard.press("Enter")
    page.locator("#ps-live-result").wait_for(timeout=LONG_MS)
    assert camera_is_off(page)
    assert page.locator("#live-course [role=slider]").count() == 1
    assert "a rest recording of this person" in text(page, "result")
    downloads = {}
    for ending in ("pdf", "json"):
        with page.expect_download() as download:
            page.locator(f"#ps-live-result a[href*='.{ending}']").first.click()
        downloads[ending] = tmp_path / ending
        download.value.save_as(downloads[ending])
    assert downloads["pdf"].read_bytes().startswith(b"%PDF")
    assert json.loads(downloads["json"].read_text())["baseline"]["kind"] == "rest_clip"

    messages = [message for message in sent if isinstance(message, bytes)]
    headers = [struct.unpack_from("<B3xId", message) for message in messages]
    pictures = [message[16:] for message in messages if message[0] == 1]
    first = cv2.imdecode(np.frombuffer(pictures[0], np.uint8), cv2.IMREAD_COLOR)
    assert first.shape == (360, 640, 3)
    assert fake_devices.counter(first) is not None  # not mirrored: left and right are the person's own
    blocks = [(number, time_s) for kind, number, time_s in headers if kind == 2]
    assert [number for number, _ in blocks] == list(range(len(blocks)))  # not one block of sound is missing
    np.testing.assert_allclose(np.diff([time_s for _, time_s in blocks]), 0.05, atol=1e-9)


@pytest.mark.parametrize("leave", ["tab", "hide"])
def test_the_camera_stops_when_one_leaves(open_page: Pages, leave: str) -> None:
    page = live(open_page)
    start(page)
    keep_the_stream(page)
    assert not camera_is_off(page)
    if leave == "tab":
        show_tab(page, "About")
    else:
        page.evaluate("""() => {
          Object.defineProperty(document, "hidden", { value: true, configurable: true });
          document.dispatchEvent(new Event("visibilitychange"));
        }""")
    wait_for(lambda: camera_is_off(page), "the camera is still on")
    if leave == "tab":
        show_tab(page, "Live")
    page.locator("#ps-live-result").wait_for(timeout=LONG_MS)
    expect(page, "status", "because you left this page")
    assert page.locator("#ps-live-start").is_enabled()


@pytest.mark.parametrize(
    ("error", "words"),
    [
        ("NotFoundError", "No camera was found"),
        ("NotAllowedError", "The camera was not allowed"),
        ("NotReadableError", "The camera is busy"),
    ],
)
def test_a_camera_that_cannot_be_had_is_said_in_words(open_page: Pages, error: str, words: str) -> None:
    page = live(open_page)
    page.evaluate(
        "(name) => { navigator.mediaDevices.getUserMedia = async () => { throw new DOMException('', name); }; }", error
    )
    page.locator("#ps-live-start").click()
    expect(page, "error", words)
    assert page.locator("#ps-live-stage").is_hidden()
    assert page.locator("#ps-live-start").is_enabled()


def test_without_https_it_says_where_the_camera_can_be_had(open_page: Pages) -> None:
    page = live(open_page)
    page.evaluate("""() => {
      Object.defineProperty(navigator, "mediaDevices", { value: undefined });
      Object.defineProperty(window, "isSecureContext", { value: false });
    }""")
    page.locator("#ps-live-start").click()
    expect(page, "error", "over https")


def test_without_a_microphone_the_face_alone_is_measured(open_page: Pages) -> None:
    page = live(open_page)
    page.evaluate("""() => {
      const real = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
      navigator.mediaDevices.getUserMedia = async (wanted) => {
        if (wanted.audio) throw new DOMException("", "NotFoundError");
        return real(wanted);
      };
    }""")
    start(page)
    expect(page, "status", "The microphone was not found. The face alone is measured.")
    skip(page)
    expect(page, "against", "no microphone")
    wait_for(lambda: text(page, "weights") == "the face alone", "the score does not rest on the face")
    page.locator("#ps-live-stop").click()
    page.locator("#ps-live-result").wait_for(timeout=LONG_MS)
    assert "without sound" in text(page, "result")


def test_the_coach_sees_nobody_then_two_people_and_hears_nothing(open_page: Pages) -> None:
    page = live(open_page, viewport=PHONE)
    page.evaluate(STAND_IN, "")
    start(page)
    expect(page, "coach", "I cannot see a face")
    expect(page, "spoken", "I cannot see a face")
    assert text(page, "left") == "8"  # the rest phase waits for a face
    page.locator("#ps-live-skip").click()
    expect(page, "unseen", "No face could be found in the picture.")
    assert text(page, "score") == "–"
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
    page.locator("#ps-live-stop").click()
    page.locator("#ps-live-result").wait_for(timeout=LONG_MS)
    assert "Not enough evidence" in text(page, "result")

    face = frame(1.0)[:, 140:500]  # twice beside itself
    page.evaluate(STAND_IN, data_url(np.concatenate([face, face], axis=1)))
    start(page)
    expect(page, "coach", "I see more than one face")
    page.evaluate(STAND_IN, data_url(frame(1.0)))
    page.locator("#ps-live-stop").click()
    page.locator("#ps-live-result").wait_for(timeout=LONG_MS)
    start(page)
    expect(page, "coach", "I cannot hear you")


def test_two_visitors_at_once(open_page: Pages) -> None:
    one, two = live(open_page), live(open_page)
    two.evaluate(STAND_IN, "")
    for page in (one, two):
        start(page)
        page.locator("#ps-live-skip").click()
    wait_for(lambda: text(one, "pspi") != "–", "the first is not measured")
    expect(two, "coach", "I cannot see a face")
    assert text(two, "pspi") == "–"


def test_a_server_that_is_gone_is_said(browser: Browser, tmp_path: Path) -> None:
    with serving(tmp_path) as server:
        pages = Pages(browser, server.url)
        page = live(pages)
        start(page)
        keep_the_stream(page)
        server.stop()
        expect(page, "error", "The connection to painsense is gone")
        assert camera_is_off(page)
        assert server.files() == []
        pages.contexts[0].close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_no_violation_that_axe_can_find(open_page: Pages, scheme: str) -> None:
    page = live(open_page, color_scheme=scheme, reduced_motion="reduce")

    def check(state: str) -> None:
        assert violations(page) == [], state

    check("before")
    start(page)
    expect(page, "coach", "Relax your face")
    check("at rest")
    skip(page)
    wait_for(lambda: text(page, "pspi") != "–", "nothing is measured")
    check("under way")
    page.locator("#ps-live-stop").click()
    page.locator("#ps-live-result").wait_for(timeout=LONG_MS)
    check("summary")
    page.evaluate("document.getElementById('ps-live-error').textContent = 'The camera is busy.'")
    check("error")
