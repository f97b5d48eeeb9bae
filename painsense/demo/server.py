"""The server: our own FastAPI app with Gradio mounted on it, behind the guard.

Routes of our own: the login page, the page's styles and scripts, the files that a session shared, uploads (so that each
lies in a folder of its own), and the socket of the live page.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import mimetypes
import os
import signal
import socket
import sys
import tempfile
import webbrowser
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

from painsense.demo import Demo, Limits
from painsense.demo.security import Password, is_loopback
from painsense.demo.sessions import GRACE_S, Store
from painsense.errors import PainsenseError
from painsense.pipeline import Settings

if TYPE_CHECKING:
    from painsense.demo.guard import Guard

logger = logging.getLogger(__name__)

STATIC = Path(__file__).parent / "static"
SWEEP_S = 0.5
SIGNALS = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGBREAK") if hasattr(signal, name)]
#: A message of the live socket is a picture or a tenth of a second of sound
SOCKET_MESSAGE_BYTES = 4_000_000


class ServerError(PainsenseError):
    """The demo cannot start as it was told to."""


@dataclass(frozen=True)
class Address:
    """Where the demo listens, and how it is secured.

    Attributes
    ----------
    names : more names under which others reach it, beside the machine's own
    password : asked for when it is there; required beyond this machine
    tls : certificate and key
    """

    host: str = "127.0.0.1"
    port: int = 7860
    names: tuple[str, ...] = ()
    password: Password | None = None
    tls: tuple[Path, Path] | None = None


def _server(config: Any, when_up: Callable[[], object], when_told: Callable[[], object]) -> Any:
    """A uvicorn server that says when it is up, and when it is told to stop.

    Ctrl-C and SIGTERM end it, and let this process go on to clean up.
    """
    import uvicorn

    class Server(uvicorn.Server):
        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            await super().startup(sockets)
            if self.started:
                when_up()

        def handle_exit(self, sig: int, frame: FrameType | None) -> None:
            super().handle_exit(sig, frame)
            asyncio.get_running_loop().call_soon_threadsafe(when_told)

        @contextlib.contextmanager
        def capture_signals(self) -> Iterator[None]:  # uvicorn's own raises the signal again, which ends the process
            before = {number: signal.signal(number, self.handle_exit) for number in SIGNALS}
            try:
                yield
            finally:
                for number, handler in before.items():
                    signal.signal(number, handler)

    return Server(config)


def run(
    settings: Settings,
    limits: Limits,
    address: Address,
    *,
    browser: bool = True,
    say: Callable[[str], None] = print,
    grace_s: float = GRACE_S,
) -> None:
    """Serve the demo until Ctrl-C or SIGTERM.

    Parameters
    ----------
    browser : open a window on it
    say : called with each line for the person who starts it
    grace_s : how long a page may be out of touch before its data goes
    """
    import uvicorn

    _see_safe(address)
    certificate = address.tls or (None, None)
    listening = _listen(address)
    store = Store(grace_s)
    with contextlib.ExitStack() as undo:
        undo.callback(store.close)
        undo.enter_context(_all_temporary_files_in(store.temporary, store.uploads))
        undo.enter_context(_scrubbed_output(store))
        app = Demo(store, settings, limits)
        guard = build(app, address)
        config = uvicorn.Config(
            guard,
            log_level="warning",
            access_log=False,
            http="h11",  # the one that is always there
            proxy_headers=False,
            server_header=False,
            forwarded_allow_ips=[],
            ws_max_size=SOCKET_MESSAGE_BYTES,
            timeout_graceful_shutdown=2,
            ssl_certfile=certificate[0],
            ssl_keyfile=certificate[1],
        )
        url = _url(address, listening)
        say(f"painsense is at {url}\nNothing leaves this machine and nothing is kept. Stop it with Ctrl-C.")
        if not is_loopback(address.host) and address.tls is None:
            say(
                "warning: without TLS everybody on the way can read the password and see the recordings; use "
                "--tls-cert and --tls-key. Off this machine browsers give the camera only over https."
            )
        when_up: Callable[[], object] = (lambda: webbrowser.open(url)) if browser else (lambda: None)
        _server(config, when_up, guard.stopping.set).run(sockets=[listening])


def build(app: Demo, address: Address) -> Guard:
    """The whole ASGI app: guard, frame, our routes, Gradio."""
    import gradio as gr
    from fastapi import FastAPI

    from painsense.demo import look, pages, routes
    from painsense.demo.frame import Frame
    from painsense.demo.guard import Guard
    from painsense.demo.security import Visitors

    mimetypes.add_type("text/javascript", ".js")  # Windows may have it as text/plain, which a browser then refuses

    @contextlib.asynccontextmanager
    async def sweeping(_server: FastAPI) -> AsyncIterator[None]:
        task = asyncio.create_task(_sweep(app.store))
        try:
            yield
        finally:
            task.cancel()

    server = FastAPI(lifespan=sweeping, docs_url=None, redoc_url=None, openapi_url=None)
    framed = Frame(server, pages.TITLE, look.head(), address.password is not None)
    guard = Guard(
        framed,
        store=app.store,
        visitors=Visitors(),
        limits=app.limits,
        host=address.host,
        port=address.port,
        names=address.names,
        password=address.password,
        tls=address.tls is not None,
    )
    routes.add(server, app, guard, address.password)
    blocks = pages.build(app)
    blocks.queue(api_open=False)
    blocks.has_launched = True  # else a mounted page takes any file of this machine for an upload, behind our own check
    gr.mount_gradio_app(
        server,
        blocks,
        path="/",
        server_name=address.host,
        server_port=address.port,
        footer_links=[],
        run_history=False,
        ssr_mode=False,
        pwa=False,
        mcp_server=False,
        enable_monitoring=False,
        allowed_paths=[],
        max_file_size=app.limits.max_bytes,
        show_error=True,
        theme=pages.theme(),
        favicon_path=STATIC / "icon.svg",
    )
    return guard


async def _sweep(store: Store) -> None:
    while True:
        await asyncio.sleep(SWEEP_S)
        try:
            await asyncio.to_thread(store.sweep)
        except Exception:  # without sweeping nothing would be removed any more
            logger.exception("removing what has gone failed")


def _see_safe(address: Address) -> None:
    """Refuse what would open recordings to others."""
    if not is_loopback(address.host) and address.password is None:
        raise ServerError(
            f"--host {address.host}: others could reach this, so a password is needed. Make one with `painsense demo "
            "--hash-password > FILE` and start with --password-file FILE, or leave --host away to be alone"
        )
    if address.tls is not None:
        import ssl

        try:
            ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(*address.tls, password=lambda: b"")
        except (OSError, ValueError) as error:
            raise ServerError(
                f"--tls-cert {address.tls[0]}, --tls-key {address.tls[1]}: expected a certificate and its key in PEM "
                f"without a pass phrase ({getattr(error, 'reason', None) or error})"
            ) from error


def _listen(address: Address) -> socket.socket:
    """The listening socket; its errors in words. Port 0 takes a free one."""
    try:
        family, kind, protocol, _, place = socket.getaddrinfo(
            address.host.strip("[]"), address.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
    except OSError as error:
        raise ServerError(f"--host {address.host}: this is no address of this machine ({error.strerror})") from error
    listening = socket.socket(family, kind, protocol)
    try:
        if os.name != "nt":  # there it would let two servers share a port
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(place)
        listening.listen(128)
    except OSError as error:
        listening.close()
        if error.errno == errno.EADDRINUSE:
            text = f"--port {address.port}: another program listens there already; choose another, or 0 for a free one"
        elif error.errno == errno.EACCES:
            text = f"--port {address.port}: the system keeps ports below 1024 for itself; choose a higher one"
        else:
            text = f"--host {address.host} --port {address.port}: cannot listen there ({error.strerror})"
        raise ServerError(text) from error
    return listening


def _url(address: Address, listening: socket.socket) -> str:
    host = address.host.strip("[]")
    host = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host, f"[{host}]" if ":" in host else host)
    return f"{'https' if address.tls else 'http'}://{host}:{listening.getsockname()[1]}/"


@contextlib.contextmanager
def _all_temporary_files_in(folder: Path, uploads: Path) -> Iterator[None]:
    """Whatever writes a temporary file here or in a process started from here, writes it where it will be removed."""
    kept = {name: os.environ.get(name) for name in ("TMPDIR", "TEMP", "TMP", "GRADIO_TEMP_DIR")}
    os.environ.update(dict.fromkeys(("TMPDIR", "TEMP", "TMP"), str(folder)), GRADIO_TEMP_DIR=str(uploads))
    before, tempfile.tempdir = tempfile.tempdir, str(folder)
    try:
        yield
    finally:
        tempfile.tempdir = before
        for name, value in kept.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


@contextlib.contextmanager
def _scrubbed_output(store: Store) -> Iterator[None]:
    from painsense.demo.log import Scrubbed

    with (
        contextlib.redirect_stdout(Scrubbed(sys.stdout, store.folder, store.names)),
        contextlib.redirect_stderr(Scrubbed(sys.stderr, store.folder, store.names)),
    ):
        yield
