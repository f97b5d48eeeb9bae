"""The guard: every request and every socket passes it before anything else sees them.

It knows browsers by a signed cookie, asks for the password where there is one, lets through only the routes that the
page needs, refuses what other sites' pages send, bounds what is sent, and adds the headers that keep a browser from
loading anything from elsewhere.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import re
import secrets
import socket
from collections.abc import Awaitable, Callable, MutableMapping
from http.cookies import CookieError, SimpleCookie
from typing import Any
from urllib.parse import parse_qs, urlsplit

from painsense.demo import Limits, events
from painsense.demo.security import Password, Visitors, is_loopback
from painsense.demo.sessions import Store

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Message, Receive, Send], Awaitable[None]]

#: What the page asks of Gradio. All else that it offers (its API description, monitoring, proxies, ...) is not there.
_GRADIO = re.compile(
    r"/gradio_api/(queue/(join|data)|heartbeat/[^/]+|upload_progress|reset/?|cancel|startup-events/?|theme\.css)"
    r"|/(config/?|theme\.css|favicon\.ico|robots\.txt)"
    r"|/(static|assets|svelte)/.*"
)
_OURS = re.compile(r"/|/log(in|out)|/static/[\w.-]+|/session/.*|/live|/gradio_api/(upload/?|file=.*)")
#: What is served before the password was given, and without a cookie
_BEFORE_LOGIN = re.compile(r"/login|/static/(login|app)\.css|/favicon\.ico")
_WITHOUT_COOKIE = re.compile(r"/|/login|/(static|assets|svelte)/.*|/theme\.css|/favicon\.ico|/robots\.txt")
_PULSE = re.compile(r"/gradio_api/heartbeat/([^/]+)")
_UPLOAD = re.compile(r"/gradio_api/upload/?")
_EVENT = re.compile(r"/gradio_api/(queue/join|cancel)")

#: The largest request but for uploads
REQUEST_BYTES = 4_000_000
#: An upload is wrapped in some lines of its own
WRAPPING_BYTES = 64_000
#: How much of a refused upload is read and thrown away, so that the browser gets to read the answer
DRAIN_BYTES = 8_000_000_000

HEADERS = {
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "permissions-policy": "camera=(self), microphone=(self), geolocation=(), display-capture=(), payment=(), usb=(), "
    "serial=(), bluetooth=(), midi=(), browsing-topics=()",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "x-robots-tag": "noindex, nofollow",
}


class TooLarge(Exception):
    """More was sent than is taken."""


class Guard:
    """ASGI middleware; the outermost layer.

    Parameters
    ----------
    names : further names of this machine that a request may be addressed to
    """

    def __init__(
        self,
        app: App,
        *,
        store: Store,
        visitors: Visitors,
        limits: Limits,
        host: str,
        port: int,
        names: tuple[str, ...] = (),
        password: Password | None = None,
        tls: bool = False,
    ) -> None:
        self.app, self.store, self.visitors, self.limits = app, store, visitors, limits
        self.password, self.tls = password, tls
        self.cookie = f"{'__Host-' if tls else ''}painsense-{port}"
        self.stopping = asyncio.Event()
        self._anywhere = not is_loopback(host)
        self._names = _own_names(names) if self._anywhere else {"localhost", *names}

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
            return
        socket_asked = scope["type"] == "websocket"
        scope = dict(scope)
        # Gradio would believe what these say about where it is
        scope["headers"] = [
            (name, value)
            for name, value in scope["headers"]
            if not name.startswith((b"x-forwarded-", b"x-gradio-")) and name != b"forwarded"
        ]
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        path, method = scope["path"], scope.get("method", "GET")
        visitor = self._visitor(headers)

        refusal = self._refuse(path, method, headers, visitor, socket_asked)
        if refusal is not None:
            status, text = refusal
            if socket_asked:
                await receive()
                await send({"type": "websocket.close", "code": 1008, "reason": text[:120]})
                return
            await self._answer(send, status, text, headers, path)
            return

        scope["painsense"] = (self.store, visitor)
        if socket_asked:
            await self.app(scope, receive, send)
            return
        await self._http(scope, receive, send, headers, path, visitor)

    def set_cookie(self, visitor: str) -> str:
        """The header that makes a browser known as this visitor."""
        secure = "; Secure" if self.tls else ""
        return f"{self.cookie}={self.visitors.sign(visitor)}; Path=/; HttpOnly; SameSite=Strict{secure}"

    # ---- who and what

    def _visitor(self, headers: dict[str, str]) -> str | None:
        try:
            morsel = SimpleCookie(headers.get("cookie", "")).get(self.cookie)
        except CookieError:
            return None
        return self.visitors.read(morsel.value) if morsel else None

    def _refuse(
        self, path: str, method: str, headers: dict[str, str], visitor: str | None, socket_asked: bool
    ) -> tuple[int, str] | None:
        """The status and words of a refusal; None lets it through."""
        host = headers.get("host", "")
        if not self._is_ours(host):
            return 421, (
                "This address is not one of this server's. Use the one it printed when it started, or name this one "
                "with --name."
            )
        if not _same_site(headers, host, self.tls, method, path, socket_asked):
            return 403, "Another site's page asked for this, and that is not allowed."
        if self.password is not None and not self.visitors.may_enter(visitor) and not _BEFORE_LOGIN.fullmatch(path):
            return 401, "The password is needed. Load the page again to be asked for it."
        if not (_OURS.fullmatch(path) or _GRADIO.fullmatch(path)) or (socket_asked and path != "/live"):
            return 404, "There is nothing here."
        if visitor is None and not _WITHOUT_COOKIE.fullmatch(path):
            return 403, "This browser is not known here. Allow cookies for this address and load the page again."
        if (pulse := _PULSE.fullmatch(path)) and not self.store.allows(visitor or "", pulse[1]):
            return 403, "This page belongs to another browser."
        return None

    def owns_page(self, visitor: str | None, query: bytes) -> bool:
        """Whether the page that a query names is this visitor's."""
        pages = parse_qs(query.decode("latin-1")).get("session_hash", [])
        return all(self.store.allows(visitor or "", page) for page in pages)

    def _is_ours(self, host: str) -> bool:
        """Whether a Host header is one of ours: a page elsewhere may have had its name pointed at this machine."""
        try:
            name = (urlsplit(f"//{host}").hostname or "").rstrip(".")
        except ValueError:
            return False
        try:
            address = ipaddress.ip_address(name)
        except ValueError:
            return name in self._names or name == "localhost"
        return self._anywhere or address.is_loopback

    # ---- http

    async def _http(
        self, scope: Message, receive: Receive, send: Send, headers: dict[str, str], path: str, visitor: str | None
    ) -> None:
        if not self.owns_page(visitor, scope.get("query_string", b"")):
            await self._answer(send, 403, "This page belongs to another browser.", headers, path)
            return
        upload = _UPLOAD.fullmatch(path) is not None
        most = self.limits.max_bytes + WRAPPING_BYTES if upload else REQUEST_BYTES
        bounded = _Bounded(receive, most, self.stopping)
        length = headers.get("content-length", "0")
        if not length.isdecimal() or int(length) > most:
            await bounded.drain()
            await self._answer(send, 413, self.too_large(upload), headers, path)
            return
        fresh: tuple[tuple[bytes, bytes], ...] = ()
        if path == "/" and visitor is None:
            visitor = self.visitors.new()
            fresh = ((b"set-cookie", self.set_cookie(visitor).encode()),)
            scope["painsense"] = (self.store, visitor)
        nonce = secrets.token_urlsafe(16)
        scope["painsense.nonce"] = nonce
        added = self._headers(nonce, headers.get("host", ""), path, fresh)
        started = ended = False

        async def out(message: Message) -> None:
            nonlocal started, ended
            if bounded.exceeded and not started:
                return  # the answer is ours, below
            if message["type"] == "http.response.start":
                started = True
                given = {name.lower() for name, _ in message["headers"]}
                own = [(name, value) for name, value in added if name not in given]
                message = {**message, "headers": [*message["headers"], *own]}
            else:
                ended = not message.get("more_body", False)
            await send(message)

        receive = bounded
        try:
            if _EVENT.fullmatch(path) and scope["method"] == "POST":
                scope, receive = await self._own_event(scope, bounded, visitor or "")
            pulse = _PULSE.fullmatch(path)
            with self.store.pulse(pulse[1]) if pulse else contextlib.nullcontext():
                await self.app(scope, receive, out)
        except events.NotTheirs:
            await self._answer(send, 403, "This page belongs to another browser.", headers, path)
        except events.NoEvent:
            await self._answer(
                send, 400, "The page sent something that is not known here. Load it again.", headers, path
            )
        except TooLarge:
            pass
        if bounded.exceeded and not started:
            await bounded.drain()
            await self._answer(send, 413, self.too_large(upload), headers, path)
        elif started and not ended and self.stopping.is_set():
            await send({"type": "http.response.body", "body": b""})

    async def _own_event(self, scope: Message, bounded: _Bounded, visitor: str) -> tuple[Message, Receive]:
        """An event as it may go on: with the visitor's own page and files."""
        body = await asyncio.to_thread(events.own, await bounded.whole(), self.store, visitor)
        waiting: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]
        headers = [pair for pair in scope["headers"] if pair[0] not in (b"content-length", b"transfer-encoding")]
        scope = {**scope, "headers": [*headers, (b"content-length", str(len(body)).encode())]}

        async def receive() -> Message:
            return waiting.pop() if waiting else await bounded()

        return scope, receive

    def too_large(self, upload: bool) -> str:
        """What to say about a request that is too large."""
        if not upload:
            return "More was sent than this page ever needs to send."
        return (
            f"This file is larger than {self.limits.max_bytes / 1e6:.0f} MB, the most that is taken here. Use a "
            "shorter or smaller recording, or start the demo with a larger --max-mb."
        )

    def _headers(
        self, nonce: str, host: str, path: str, more: tuple[tuple[bytes, bytes], ...] = ()
    ) -> list[tuple[bytes, bytes]]:
        headers = {**HEADERS, "content-security-policy": policy(nonce, host, self.tls)}
        if not path.startswith(("/static/", "/assets/")):
            headers["cache-control"] = "no-store"
        return [*((name.encode(), value.encode()) for name, value in headers.items()), *more]

    async def _answer(self, send: Send, status: int, text: str, headers: dict[str, str], path: str) -> None:
        """An answer of the guard's own: words, or the way to the login page."""
        own = self._headers("", headers.get("host", "") if self._is_ours(headers.get("host", "")) else "", path)
        if status == 401 and path == "/":
            status, text = 303, ""
            own.append((b"location", b"/login"))
        own += [(b"content-type", b"text/plain; charset=utf-8"), (b"content-length", str(len(text.encode())).encode())]
        if status == 413:
            own.append((b"connection", b"close"))
        await send({"type": "http.response.start", "status": status, "headers": own})
        await send({"type": "http.response.body", "body": text.encode()})


def policy(nonce: str, host: str, tls: bool) -> str:
    """The content security policy of the page: nothing from anywhere else.

    Gradio sets styles on elements, and runs small functions that it gets as text.
    """
    here = f" {'wss' if tls else 'ws'}://{host}" if re.fullmatch(r"[\w.:\[\]-]+", host) else ""
    return "; ".join(
        (
            "default-src 'none'",
            f"script-src 'self' 'unsafe-eval' 'nonce-{nonce}'" if nonce else "script-src 'none'",
            "style-src 'self' 'unsafe-inline'",
            "img-src 'self' data: blob:",
            "media-src 'self' data: blob:",
            "font-src 'self' data:",
            f"connect-src 'self'{here}",
            "worker-src 'self' blob:",
            "manifest-src 'self'",
            "base-uri 'self'",
            "form-action 'self'",
            "frame-ancestors 'none'",
        )
    )


class _Bounded:
    """``receive`` that counts what comes and stops at too much, whatever the request said about its length.

    When the server is about to stop, it says that the browser has gone: so the endless answers of open pages end.
    """

    def __init__(self, receive: Receive, most: int, stopping: asyncio.Event) -> None:
        self._receive, self._most, self._stopping = receive, most, stopping
        self._came, self._over = 0, False
        self.exceeded = False

    async def __call__(self) -> Message:
        message = await (self._receive_or_stop() if self._over else self._receive())
        if message["type"] == "http.request":
            self._came += len(message.get("body", b""))
            self._over = not message.get("more_body", False)
            if self._came > self._most:
                self.exceeded = True
                raise TooLarge
        return message

    async def _receive_or_stop(self) -> Message:
        """What comes after the whole request: that the browser has gone."""
        waiting = [asyncio.ensure_future(self._receive()), asyncio.ensure_future(self._stopping.wait())]
        try:
            await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            done = waiting[0]
            return done.result() if done.done() else {"type": "http.disconnect"}  # type: ignore[return-value]
        finally:
            for task in waiting:
                task.cancel()

    async def whole(self) -> bytes:
        """All that is sent; TooLarge when it is too much."""
        body = bytearray()
        while not self._over:
            message = await self()
            if message["type"] != "http.request":
                break
            body += message.get("body", b"")
        return bytes(body)

    async def drain(self) -> None:
        """Read what is still coming and throw it away."""
        while not self._over and self._came < DRAIN_BYTES:
            message = await self._receive()
            if message["type"] != "http.request":
                return
            self._came += len(message.get("body", b""))
            self._over = not message.get("more_body", False)


def _same_site(headers: dict[str, str], host: str, tls: bool, method: str, path: str, socket_asked: bool) -> bool:
    """Whether no other site's page is behind a request."""
    origin, site = headers.get("origin"), headers.get("sec-fetch-site")
    if origin == "null" and site == "same-origin" and not socket_asked:
        return True  # a form of ours: under no-referrer the browser keeps its origin to itself, even from us
    if origin is not None and (socket_asked or method not in ("GET", "HEAD")):
        scheme = "https" if tls else "http"
        if origin.lower() != f"{scheme}://{host}".lower():
            return False
    elif socket_asked:
        return False  # every browser says where a socket comes from
    if site in ("cross-site", "same-site"):
        # a link on another page may lead here, but no other page may load parts of this one
        return path in ("/", "/login") and method == "GET" and headers.get("sec-fetch-mode") == "navigate"
    return True


def _own_names(more: tuple[str, ...]) -> set[str]:
    name = socket.gethostname().lower()  # not the fully qualified one: it is asked of a name server
    return {"localhost", name, f"{name}.local", *(other.lower() for other in more)}
