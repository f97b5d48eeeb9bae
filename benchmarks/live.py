"""The live page: analysed pictures a second and lag, through a real browser with a fake camera that carries a counter.

``python -m benchmarks.live`` starts the demo's own server and Chromium, plays the bundled clip as camera and
microphone, and prints figures for it as it is and for a machine too slow for it (each picture takes 150 ms longer). The
yardstick is a bare loop of the same face networks over the same pictures without browser or network.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import fake_devices

ROOT = Path(__file__).resolve().parent.parent
SAMPLE = ROOT / "samples" / "episode.mp4"
SLOWER_S = 0.15
TARGETS = {"live_fps": (">=", 12.0), "live_lag_p95_ms": ("<", 250.0), "slow_lag_p95_ms": ("<", 1000.0)}
TARGETS |= {f"{name}_sound_lost_s": ("<", 0.5) for name in ("live", "slow")}

#: The demo as it is, but that it notes which painted counter each picture it measures carries, and may be slower
SERVE = """
import sys, time
from benchmarks import fake_devices
from painsense.demo import Limits, server
from painsense.demo.live_messages import Picture
from painsense.live import Live
from painsense.pipeline import Settings

slower_s, notes = float(sys.argv[1]), open(sys.argv[2], "w", buffering=1)
decoded, frame = Picture.decoded, Live.frame

def noting(self):
    image = decoded(self)
    print(self.number, fake_devices.counter(image), file=notes)
    return image

def slow(self, image, time_s):
    time.sleep(slower_s)
    return frame(self, image, time_s)

Picture.decoded = noting
Live.frame = slow
say = lambda line: print(line, flush=True)
server.run(Settings(), Limits(), server.Address(port=0), browser=False, say=say)
"""

#: What the page notes: for each result its number, its lag by the page's clock, and the counter that the camera's
#: preview shows when the result is about to be painted
WATCH = """([left, top, cell, bits]) => {
  const video = document.getElementById("ps-live-video"), canvas = document.createElement("canvas");
  Object.assign(canvas, { width: left + cell * (bits + 2), height: top + cell });
  window.shown = []; window.heard = [];
  document.addEventListener("painsense:moment", ({ detail }) => {
    const context = canvas.getContext("2d", { willReadFrequently: true });
    context.drawImage(video, 0, 0);
    const row = context.getImageData(left, top + cell / 2, cell * (bits + 2), 1).data;
    let count = 0;
    for (let k = 0; k < bits; k++) if (row[4 * (cell * (k + 2) + cell / 2)] > 128) count |= 1 << k;
    window.shown.push([detail.number, detail.time_s, detail.lag_ms, count]);
  });
  document.addEventListener("painsense:coach", ({ detail }) => {
    window.heard.push([detail.heard_s, performance.now() / 1000]);
  });
}"""


@dataclass(frozen=True)
class Watched:
    """One run in the browser: results a second, lag by the page's clock and by the counter, sound that was lost."""

    fps: float
    lag_ms: list[float]
    counted_ms: list[float]
    lost_s: float


def main() -> None:
    """Measure and print."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--seconds", type=float, default=25.0, help="how long each run is watched")
    seconds = arguments.parse_args().seconds
    print(f"# {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}, {seconds:g} s a run, 640x360, server and browser")
    bare = yardstick()
    line("yardstick_fps", bare)
    with tempfile.TemporaryDirectory() as folder:
        devices = fake_devices.make(SAMPLE, Path(folder))
        for name, slower_s in (("live", 0.0), ("slow", SLOWER_S)):
            watched = watch(Path(folder), devices, slower_s, seconds)
            line(f"{name}_fps", watched.fps)
            if name == "live":
                line("live_fps_ratio", watched.fps / min(bare, fake_devices.FPS))
            for kind, lags in (("lag", watched.lag_ms), ("counted_lag", watched.counted_ms)):
                line(f"{name}_{kind}_p50_ms", statistics.median(lags))
                line(f"{name}_{kind}_p95_ms", float(np.percentile(lags, 95)))
            line(f"{name}_sound_lost_s", watched.lost_s)


def line(name: str, value: float) -> None:
    """One figure, and whether it is what it should be."""
    text = f"{name} {value:.3g}"
    if name in TARGETS:
        sign, limit = TARGETS[name]
        met = value >= limit if sign == ">=" else value < limit
        text += f" {sign} {limit:g} {'ok' if met else 'MISS'}"
    print(text, flush=True)


def yardstick() -> float:
    """Pictures a second of the bare follower: landmarks and blendshapes, nothing measured, nothing decoded."""
    from painsense import media
    from painsense.follow import Follower
    from painsense.landmarks import thread_networks

    follower = Follower(thread_networks())
    frames = list(media.read_frames(media.open_media(SAMPLE), 0.0, 6.0))
    follower.step(frames[0][1], -1.0)
    start_s = time.perf_counter()
    for time_s, image in frames:
        follower.step(image, time_s)
    return len(frames) / (time.perf_counter() - start_s)


def watch(folder: Path, devices: tuple[Path, Path], slower_s: float, seconds: float) -> Watched:
    """Start server and browser, let them run, and read what both noted."""
    import shutil

    from playwright.sync_api import sync_playwright

    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    notes = folder / "notes.txt"
    process = subprocess.Popen(
        [sys.executable, "-W", "ignore", "-c", SERVE, str(slower_s), str(notes)],
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env={**os.environ, "TMPDIR": str(folder), "PYTHONPATH": str(ROOT)},
    )
    try:
        assert process.stdout is not None
        url = next(word for word in process.stdout.readline().split() if word.startswith("http"))
        with sync_playwright() as playwright:
            flags = ["--no-sandbox", "--disable-gpu", *fake_devices.flags(*devices)]
            with playwright.chromium.launch(executable_path=chromium, args=flags) as browser:
                page = browser.new_context(permissions=["camera", "microphone"]).new_page()
                page.goto(url)
                page.get_by_role("tab", name="Live", exact=True).click()
                page.locator("#ps-live-start").wait_for()
                page.evaluate(WATCH, [*fake_devices.AT_PX, fake_devices.CELL_PX, fake_devices.BITS])
                page.locator("#ps-live-start").click()
                page.locator("#ps-live-count").wait_for(timeout=60_000)
                page.wait_for_timeout(2000)  # the first pictures load what is loaded once
                page.evaluate("window.shown.length = window.heard.length = 0")
                page.wait_for_timeout(1000 * seconds)
                shown, heard = page.evaluate("window.shown"), page.evaluate("window.heard")
    finally:
        process.terminate()
        process.wait()
    return judged(shown, heard, dict(noted(notes)))


def noted(notes: Path) -> list[tuple[int, int]]:
    """Which counter the server saw in each picture."""
    pairs = [each.split() for each in notes.read_text().splitlines()]
    return [(int(number), int(count)) for number, count in pairs if count != "None"]


def judged(shown: list[Any], heard: list[Any], seen: dict[int, int]) -> Watched:
    """Figures from what page and server noted."""
    period = round(fake_devices.FPS * 30.0)  # the camera begins anew after the clip
    counted = [
        ((count - seen[number]) % period) * 1000 / fake_devices.FPS for number, _, _, count in shown if number in seen
    ]
    (first_s, from_s), (last_s, to_s) = heard[0], heard[-1]
    return Watched(
        fps=(len(shown) - 1) / (shown[-1][1] - shown[0][1]),
        lag_ms=[lag for _, _, lag, _ in shown],
        counted_ms=counted,
        lost_s=(to_s - from_s) - (last_s - first_s),
    )


if __name__ == "__main__":
    main()
