"""The demo as a person has it: the real server in a process of its own, and Chromium.

``from demo_server import browser, demo_server, open_page`` gives a test module these fixtures:

- ``demo_server``: a running :class:`Server`, the same for all test modules; ``demo_server.url``
- ``browser``: Chromium with a fake camera and microphone, one for each test module
- ``open_page``: opens pages, each in a browser context (so: a visitor) of its own unless told otherwise; when the
  test ends it fails if a page asked for anything but the server, or complained in its console
"""

from __future__ import annotations

import atexit
import contextlib
import importlib.util
import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from chromium import WIDE, give_up, opened

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext, Page

PROJECT = Path(__file__).resolve().parent.parent
#: A camera and a microphone that nobody needs to have, and to allow
DEVICES = ("--use-fake-ui-for-media-stream", "--use-fake-device-for-media-stream")
#: How long a page may be out of touch before its data goes, in tests
GRACE_S = 1.0
#: What a person could wait for at most; a test that waits that long has failed
PATIENCE_S = 120.0

START = """
import sys
from pathlib import Path
from painsense.demo import Limits, server
from painsense.demo.security import read_password
from painsense.pipeline import Settings

password, tls, max_mb = sys.argv[2], sys.argv[3], float(sys.argv[4])
server.run(
    Settings(),
    Limits(max_bytes=round(max_mb * 1e6), max_minutes=float(sys.argv[5])),
    server.Address(
        host=sys.argv[1],
        port=0,
        password=read_password(Path(password)) if password else None,
        tls=(Path(tls) / "cert.pem", Path(tls) / "key.pem") if tls else None,
    ),
    browser=False,
    say=lambda line: print(line, flush=True),
    grace_s=float(sys.argv[6]),
)
"""


@dataclass
class Server:
    """A running demo: its address, its process, the folder all its temporary files are in, what it printed."""

    url: str
    process: subprocess.Popen[str]
    temporary: Path
    output: list[str] = field(default_factory=list)

    @property
    def printed(self) -> str:
        return "".join(self.output)

    def files(self) -> list[Path]:
        """Every file under the temporary folder, but for the locks."""
        found = (Path(folder) / name for folder, _, names in os.walk(self.temporary) for name in names)
        return [path for path in found if path.suffix != ".lock"]

    def session_folder(self, page: Page) -> Path:
        """Where the server keeps what is a page's."""
        return next(self.temporary.glob(f"*/run-*/sessions/{session_id(page)}"))

    def stop(self, how: signal.Signals = signal.SIGTERM) -> int:
        self.process.send_signal(how)
        return self.process.wait(PATIENCE_S)


@contextlib.contextmanager
def serving(
    temporary: Path,
    *,
    host: str = "127.0.0.1",
    password_file: str = "",
    tls: str = "",
    max_mb: float = 50.0,
    max_minutes: float = 60.0,
    grace_s: float = GRACE_S,
    before: tuple[str, ...] = (),
) -> Iterator[Server]:
    """A server with its temporary files in ``temporary``; ``before`` is a command to run it under."""
    if importlib.util.find_spec("gradio") is None:
        give_up("needs Gradio; pip install 'painsense[demo]'")
    arguments = [host, password_file, tls, str(max_mb), str(max_minutes), str(grace_s)]
    environment = {**os.environ, "TMPDIR": str(temporary), "PAINSENSE_OFFLINE": "1", "PYTHONUNBUFFERED": "1"}
    environment["PYTHONPATH"] = os.pathsep.join(filter(None, (str(PROJECT), os.environ.get("PYTHONPATH"))))
    process = subprocess.Popen(
        [*before, sys.executable, "-W", "ignore", "-c", START, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=environment,
        cwd=temporary,
    )
    server = Server("", process, temporary)

    def read() -> None:
        server.output.extend(iter(process.stdout.readline, ""))  # type: ignore[union-attr]

    # a daemon: Python waits for other threads before it calls what ends the shared server
    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    try:
        wait_for(lambda: _address(server) or process.poll() is not None, "the server said no address")
        server.url = _address(server)
        assert server.url, f"the server did not start:\n{server.printed}"
        wait_for(lambda: _answers(server.url), "the server does not answer")
        yield server
    finally:
        if process.poll() is None:
            process.terminate()
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        reader.join(20)
        if process.stdout is not None:
            process.stdout.close()


def _address(server: Server) -> str:
    found = re.search(r"https?://\S+/", server.printed)
    return found[0] if found else ""


def _answers(url: str) -> bool:
    import socket
    from urllib.parse import urlsplit

    parts = urlsplit(url)
    try:
        with socket.create_connection((parts.hostname or "", parts.port or 0), 1):
            return True
    except OSError:
        return False


def wait_for(true: Callable[[], Any], otherwise: str) -> Any:
    """Wait until something holds, and return it."""
    give_up_at = time.monotonic() + PATIENCE_S
    while not (found := true()):
        assert time.monotonic() < give_up_at, otherwise
        time.sleep(0.05)
    return found


_shared: list[Server] = []


@pytest.fixture(scope="module")
def demo_server() -> Server:
    """One server for all modules, since its start takes seconds. A test that stops it has to start its own."""
    if not _shared:
        undo = contextlib.ExitStack()
        atexit.register(undo.close)
        _shared.append(undo.enter_context(serving(Path(undo.enter_context(tempfile.TemporaryDirectory())))))
    assert _shared[0].process.poll() is None, f"the server has ended:\n{_shared[0].printed}"
    return _shared[0]


@contextlib.contextmanager
def chromium(*flags: str) -> Iterator[Browser]:
    """Chromium with a fake camera and microphone; ``flags`` come after those, so that they can name its files."""
    with opened(*DEVICES, *flags) as made:
        from playwright.sync_api import expect

        expect.set_options(timeout=PATIENCE_S * 1000)
        yield made


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as made:
        yield made


class Pages:
    """Opens pages and remembers what they asked for and complained about.

    A test that provokes a complaint names a part of it in ``expected``.
    """

    def __init__(self, browser: Browser, url: str) -> None:
        self.browser, self.url = browser, url
        self.contexts: list[BrowserContext] = []
        self.requests: list[str] = []
        self.complaints: list[str] = []
        self.expected: list[str] = []

    def __call__(self, tab: str = "", *, context: BrowserContext | None = None, **options: Any) -> Page:
        """A loaded page; with ``tab`` ("Live") it is on that one. A new context is a new visitor."""
        if context is None:
            options = {
                "viewport": WIDE,
                "ignore_https_errors": True,
                "permissions": ["camera", "microphone"],
                **options,
            }
            context = self.browser.new_context(**options)
            context.set_default_timeout(PATIENCE_S * 1000)
            self.contexts.append(context)
        page = context.new_page()
        self.watch(page)
        page.goto(self.url)
        ready(page)
        if tab:
            show_tab(page, tab)
        return page

    def watch(self, page: Page) -> None:
        page.on("request", lambda request: self.requests.append(request.url))
        page.on("websocket", lambda socket: self.requests.append(socket.url))
        page.on("console", lambda m: self.complaints.append(m.text) if m.type == "error" else None)
        page.on("pageerror", lambda error: self.complaints.append(str(error)))

    def outside(self) -> list[str]:
        """Requests to anything but the server."""
        host = self.url.split("://", 1)[1]
        ours = tuple(f"{scheme}://{host}" for scheme in ("http", "https", "ws", "wss"))
        return [url for url in self.requests if not url.startswith((*ours, "data:", "blob:"))]

    def unexpected(self) -> list[str]:
        return [text for text in self.complaints if not any(part in text for part in self.expected)]


def ready(page: Page) -> None:
    """Wait until the page is drawn and its session is known."""
    page.locator("#painsense-session").wait_for(state="attached")


def choose(page: Page, where: str, path: Path) -> None:
    """Hand over a recording, and wait until the page has it: its name stands there while it is sent, too."""
    page.locator(f"{where} input[type=file]").set_input_files(path)
    page.locator(f"{where} .file-preview").get_by_text(path.stem).first.wait_for()


def show_tab(page: Page, name: str) -> None:
    page.get_by_role("tab", name=name, exact=True).click()
    page.locator(f"#ps-{name.lower()}").wait_for(state="visible")


@pytest.fixture
def open_page(browser: Browser, demo_server: Server) -> Iterator[Pages]:
    pages = Pages(browser, demo_server.url)
    yield pages
    for context in pages.contexts:
        context.close()
    assert pages.outside() == []
    assert pages.unexpected() == []


def session_id(page: Page) -> str:
    return page.locator("#painsense-session").get_attribute("data-id") or ""
