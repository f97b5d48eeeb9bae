"""The Recording page in a browser: from a recording to its result, cancel, errors, and every download opened."""

# ruff: noqa: F811 -- a fixture that is imported is named again as an argument

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from pathlib import Path

import av
import clips
import jsonschema
import pytest
from chromium import PHONE
from demo_server import PATIENCE_S, Pages, Server, browser, choose, demo_server, open_page, serving, wait_for  # noqa: F401
from playwright.sync_api import Download, Page, expect

import painsense.report
from painsense import media, media_write
from painsense.demo import Demo, recording, work
from painsense.demo.sessions import Store
from painsense.errors import MediaError
from painsense.pipeline import Analyzer, Settings

OpenPage = Pages
LONG = PATIENCE_S * 1000 * 3  # ms; a whole analysis on a busy machine
#: Keeps each bar that is shown, with its size: one may be gone before the test looks
KEEP_BARS = """() => {
  window.bars = [];
  new MutationObserver(() => {
    const bar = document.querySelector("#ps-recording-progress progress");
    const { width, height } = bar ? bar.getBoundingClientRect() : {};
    if (bar) window.bars.push({ stage: bar.getAttribute("aria-label"), width, height });
  }).observe(document.body, { childList: true, subtree: true });
}"""
PIECES = {"pain": (10.2, 13.4), "rest": (16.4, 18.0), "gone": (26.2, 27.8)}  # s of the bundled recording


@pytest.fixture(scope="module")
def recordings(tmp_path_factory: pytest.TempPathFactory, sample_clip: Path) -> Path:
    """Pieces of the bundled recording, and files that are none."""
    folder = tmp_path_factory.mktemp("recordings")
    sample = media.open_media(sample_clip)
    for name, (start_s, stop_s) in PIECES.items():
        with media_write.VideoFile(folder / f"{name}.mp4", sound=name == "pain") as file:
            for time_s, image in media.read_frames(sample, start_s, stop_s):
                file.add(time_s - start_s, image)
            for time_s, samples in media.read_audio(sample, block_s=0.1) if name == "pain" else ():
                if start_s <= time_s < stop_s:
                    file.add_sound(time_s - start_s, samples)
    frames = [image for _, image in media.read_frames(sample, 11.0, 12.2)]
    with av.open(str(folder / "old.avi"), "w") as container:
        stream = container.add_stream("mpeg4", rate=25)
        stream.width, stream.height, stream.pix_fmt = 640, 360, "yuv420p"
        for image in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(stream.encode())
    clips.text_file(folder / "letter.mp4")
    (folder / "empty.mp4").write_bytes(b"")
    clips.make_sound(folder / "tone.wav", clips.tone(1.0), "pcm_s16le")
    return folder


def analyse(page: Page, path: Path) -> None:
    choose(page, "#ps-recording-file", path)
    page.get_by_role("button", name="Analyse", exact=True).click()


def result(page: Page) -> str:
    """The headline of the result, once it is there."""
    headline = page.locator("#ps-recording-result .ps-headline")
    headline.wait_for(timeout=LONG)
    return headline.inner_text()


def message(page: Page) -> str:
    said = page.locator("#ps-recording-progress .ps-said")
    said.wait_for(timeout=LONG)
    return said.inner_text()


def saved(download: Download, folder: Path) -> Path:
    path = folder / download.suggested_filename
    download.save_as(path)
    return path


def test_from_a_recording_to_its_result_and_files(open_page: OpenPage, recordings: Path, tmp_path: Path) -> None:
    page = open_page()
    page.evaluate(KEEP_BARS)
    analyse(page, recordings / "pain.mp4")
    assert result(page).startswith("Pain expression")
    bars = page.evaluate("window.bars")
    assert "Analysing the recording" in [bar["stage"] for bar in bars]
    assert all(bar["height"] >= 8 and bar["width"] > 200 for bar in bars)
    shown = page.locator("#ps-recording-result")
    for text in ("This measures expression, not pain", "PSPI of 16", "90% interval", "What could be seen and heard"):
        expect(shown).to_contain_text(text)

    # the timeline and the video are one
    time_of = "document.querySelector('.ps-player video').currentTime"
    page.wait_for_function("document.querySelector('.ps-player video').readyState >= 2")
    scrub = page.get_by_role("slider", name="Time in the recording pain.mp4")
    peak = page.get_by_role("heading", name="Peak 1 at").get_by_role("button")
    at_s = float(peak.get_attribute("data-seek") or "nan")
    peak.click()
    wait_for(lambda: abs(page.evaluate(time_of) - at_s) < 0.05, "the video did not jump to the peak")
    expect(scrub).to_be_focused()
    page.keyboard.press("ArrowLeft")
    wait_for(lambda: abs(page.evaluate(time_of) - (at_s - 0.1)) < 0.05, "the arrow key did not move the video")
    assert "PSPI" in (scrub.get_attribute("aria-valuetext") or "")
    box = scrub.bounding_box()
    assert box is not None
    page.mouse.click(box["x"] + 0.25 * box["width"], box["y"] + 20)
    end_s = float(scrub.get_attribute("aria-valuemax") or "nan")
    wait_for(lambda: abs(page.evaluate(time_of) - end_s / 4) < 0.05, "a click in the timeline did not move the video")
    page.mouse.down()
    page.mouse.move(box["x"] + 0.75 * box["width"], box["y"] + 30, steps=4)
    page.mouse.up()
    wait_for(lambda: abs(page.evaluate(time_of) - end_s * 0.75) < 0.05, "dragging did not move the video")
    page.evaluate("document.querySelector('.ps-player video').currentTime = 0.5")
    wait_for(
        lambda: abs(float(scrub.get_attribute("aria-valuenow") or "nan") - 0.5) < 0.02, "the cursor did not follow"
    )

    # every file opens and says the same
    files: dict[str, Path] = {}
    for link in page.locator(".ps-files a").all():
        with page.expect_download() as download:
            link.click()
        path = saved(download.value, tmp_path)
        files[path.name] = path
    assert sorted(files) == sorted(
        f"pain.{ending}" for ending in ("html", "pdf", "painsense.json", "frames.csv", "windows.csv", "dictionary.csv")
    )
    content = json.loads(files["pain.painsense.json"].read_text(encoding="utf-8"))
    jsonschema.validate(content, painsense.report.schema())
    assert content["media"]["file"] == "pain.mp4"
    assert f"{content['clip']['pspi']['mean']:.1f}" in shown.inner_text()
    rows = list(csv.DictReader(io.StringIO(files["pain.frames.csv"].read_text(encoding="utf-8"))))
    assert len(rows) == content["media"]["frames"] and "pspi" in rows[0]
    assert len(list(csv.DictReader(io.StringIO(files["pain.windows.csv"].read_text(encoding="utf-8"))))) == len(
        content["windows"]
    )
    assert files["pain.html"].read_text(encoding="utf-8").startswith("<!DOCTYPE html>")
    assert files["pain.pdf"].read_bytes().startswith(b"%PDF-")

    # the annotated video, made when it is asked for
    page.get_by_role("button", name="Make the annotated video").click()
    link = page.locator("#ps-annotate-progress a")
    link.wait_for(timeout=LONG)
    expect(page.locator("#ps-annotate-progress")).to_contain_text("faces blurred")
    with page.expect_download() as download:
        link.click()
    drawn = media.open_media(saved(download.value, tmp_path)).video
    assert drawn is not None and len(drawn.time_s) == content["media"]["frames"]
    assert drawn.codec.endswith("vp9")


def test_cancel_ends_the_analysis_of_the_example(open_page: OpenPage, demo_server: Server) -> None:
    page = open_page()
    cancel = page.get_by_role("button", name="Cancel", exact=True).first
    expect(cancel).to_be_disabled()
    page.get_by_role("button", name="Analyse: Simulated episode").click()
    page.locator("#ps-recording-progress .ps-progress").wait_for()
    expect(cancel).to_be_enabled()
    cancel.click()
    assert message(page) == "Cancelled. Nothing of it is kept."
    expect(page.get_by_role("button", name="Analyse", exact=True)).to_be_enabled()
    expect(page.locator("#ps-recording-result")).to_have_text("")
    assert list(demo_server.session_folder(page).rglob("*")) == []


def test_a_rest_clip_is_what_movements_are_measured_against(open_page: OpenPage, recordings: Path) -> None:
    page = open_page()
    page.get_by_role("button", name="More: rest clip").click()
    choose(page, "#ps-recording-rest", recordings / "rest.mp4")
    page.get_by_label("the 1st from the left").check()
    analyse(page, recordings / "pain.mp4")
    assert result(page).startswith("Pain expression")
    expect(page.locator("#ps-recording-result")).to_contain_text("a rest recording of this person")


def test_a_file_that_browsers_cannot_play_is_shown_as_a_copy(open_page: OpenPage, recordings: Path) -> None:
    page = open_page()
    analyse(page, recordings / "old.avi")
    result(page)
    expect(page.locator("#ps-recording-result")).to_contain_text("so a copy is shown")
    page.wait_for_function("document.querySelector('.ps-player video').readyState >= 1")
    assert page.evaluate("document.querySelector('.ps-player video').duration") == pytest.approx(1.2, abs=0.1)


def test_nothing_chosen_and_files_that_are_no_recording(open_page: OpenPage, recordings: Path) -> None:
    page = open_page()
    page.get_by_role("button", name="Analyse", exact=True).click()
    assert "Choose a recording first" in message(page)
    analyse(page, recordings / "letter.mp4")
    expect(page.locator("#ps-recording-progress")).to_contain_text("got something that is none of these", timeout=LONG)
    said = page.locator("#ps-recording-progress").inner_text()
    assert said.startswith("letter.mp4: expected a recording")
    assert "/" not in said.replace("mp4, mov", "")
    expect(page.get_by_role("button", name="Analyse", exact=True)).to_be_enabled()


def test_an_empty_file_is_said_to_be_empty(open_page: OpenPage, recordings: Path) -> None:
    page = open_page()
    analyse(page, recordings / "empty.mp4")
    expect(page.locator("#ps-recording-progress")).to_contain_text("got an empty file", timeout=LONG)


@pytest.mark.parametrize(
    ("file", "told"),
    [("gone.mp4", "No face could be found in the picture."), ("tone.wav", "The recording has no picture")],
)
def test_no_face_and_no_picture_give_reasons(open_page: OpenPage, recordings: Path, file: str, told: str) -> None:
    page = open_page()
    analyse(page, recordings / file)
    assert result(page) == "Not enough evidence for a result"
    expect(page.locator("#ps-recording-result")).to_contain_text(told)
    if file == "gone.mp4":
        expect(page.locator("#ps-recording-result .ps-file")).to_contain_text("without sound")


def test_too_long_a_recording_is_refused_in_words(
    browser: object,
    recordings: Path,
    tmp_path: Path,
) -> None:
    with serving(tmp_path, max_minutes=0.02) as server:
        pages = Pages(browser, server.url)  # type: ignore[arg-type]
        page = pages()
        analyse(page, recordings / "pain.mp4")
        assert "this page takes up to 0.02 min" in message(page)
        assert pages.unexpected() == []
        pages.contexts[0].close()


def test_on_a_phone_nothing_is_wider_than_the_screen(open_page: OpenPage, recordings: Path) -> None:
    page = open_page(viewport=PHONE)
    analyse(page, recordings / "pain.mp4")
    result(page)
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]


# ---- the work behind it


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    made = Store()
    yield made
    made.close()


def test_stopping_a_job_ends_the_analysis_itself(store: Store, sample_clip: Path) -> None:
    job = work.start(store.open("anna", "page1"), "analyse", {})
    heard: list[float] = []

    def task() -> None:
        tell = job.at("Analysing")

        def progress(done_s: float, whole_s: float) -> None:
            heard.append(done_s)
            if len(heard) == 5:
                job.stop()
            tell(done_s, whole_s)

        with Analyzer(Settings(modalities=("face",), workers=2)) as analyzer:
            analyzer.analyze(sample_clip, progress=progress)

    for _ in job.run(task):
        pass
    assert job.stopped and job.result is None and job.trouble is None
    assert max(heard) < 5.0  # of 30 s
    assert len(heard) < 40


def test_a_page_that_has_gone_ends_its_work(store: Store) -> None:
    session = store.open("anna", "page1")
    job = work.start(session, "analyse", {})

    def task() -> None:
        tell = job.at("Analysing")
        session.end()
        tell(1.0, 2.0)
        raise AssertionError("went on")

    list(job.run(task))
    assert job.stopped and job.trouble is None


def test_the_second_of_a_kind_stops_the_first(store: Store) -> None:
    session = store.open("anna", "page1")
    first = work.start(session, "analyse", {})
    other = work.start(session, "annotate", {})
    work.start(session, "analyse", {})
    with pytest.raises(work.Stopped):
        first.look()
    other.look()


def test_an_analysis_that_was_replaced_leaves_the_buttons_to_the_next(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = store.open("anna", "page1")
    monkeypatch.setattr("painsense.demo.sessions.of", lambda request: session)
    first, second = (recording._analyse(Demo(store), "episode.mp4")(None, None, "largest", None) for _ in range(2))
    next(first)
    next(second)
    assert all(told[:2] == [recording.gr.skip()] * 2 for told in first)
    second.close()


def test_errors_are_told_with_names_instead_of_paths(store: Store, tmp_path: Path) -> None:
    path = tmp_path / "secret folder" / "visit.mp4"
    job = work.start(store.open("anna", "page1"), "analyse", {path: path.name})

    def task() -> None:
        raise MediaError(f"{path}: expected a recording, got a letter")

    list(job.run(task))
    assert job.trouble == "visit.mp4: expected a recording, got a letter"


def test_what_should_not_happen_is_said_without_what_it_was_about(
    store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    job = work.start(store.open("anna", "page1"), "analyse", {})

    def task() -> None:
        raise RuntimeError("Bert Smith")

    list(job.run(task))
    assert job.trouble is not None and "RuntimeError" in job.trouble and "Bert" not in job.trouble
    assert "an analysis failed" in caplog.text
