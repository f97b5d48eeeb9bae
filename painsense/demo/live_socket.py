"""The socket of the live page: pictures and sound in, what they show out, a report at the end.

The browser sends text, one JSON object each: ``start``, ``skip`` (the rest phase), ``stop``; and binary messages, a
header of 16 bytes (kind, number, time in seconds on the page's own clock) before a JPEG or 16-bit sound. Each picture
is acknowledged by what it shows, and the browser holds back while two are not: when this machine is slow, pictures are
dropped there and the lag stays short. Sound is never dropped. Each run has threads of its own (:class:`Run`); nothing
is written to disk until the report is.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import time
from collections.abc import AsyncIterator
from typing import Any

from fastapi import WebSocket
from starlette.websockets import WebSocketDisconnect, WebSocketState

from painsense.demo import Demo
from painsense.demo.live_messages import Block, MessageError, Picture, read
from painsense.demo.live_run import Run
from painsense.demo.sessions import Session, SessionError
from painsense.errors import PainsenseError

logger = logging.getLogger(__name__)

START_S = 20.0  # within which the page has to say start
SILENCE_S = 30.0  # without any message a page is taken for gone
AHEAD_S, BEHIND_S = 5.0, 180.0  # how far the page's clock may be from ours: memory must not follow what it claims
MOST_BEHIND = 1000  # messages a page may leave unread
LOOK_S = 0.05
FREE_S = 10.0  # how long the end of a page's last run may take: networks that are loading cannot be stopped
MOST_RUNS = max(2, os.cpu_count() or 1)  # more at a time, and all of them would be slow

_running: set[str] = set()


async def handle(socket: WebSocket, session: Session, app: Demo) -> None:
    """Serve one live recording. The guard has seen to origin and password, and the session is the visitor's own."""
    await socket.accept()
    try:
        async with _place(session):
            await _Conversation(socket, session, app).hold()
    except PainsenseError as error:
        await _end(socket, {"type": "error", "text": str(error)})
    except WebSocketDisconnect:
        return
    except Exception:
        logger.exception("live: the run failed")
        text = "Something went wrong here, and the live recording had to be ended. Press Start to begin a new one."
        await _end(socket, {"type": "error", "text": text})


@contextlib.asynccontextmanager
async def _place(session: Session) -> AsyncIterator[None]:
    """A place among the runs. One of this page that is just ending is waited for."""
    since_s = time.monotonic()
    while session.id in _running and time.monotonic() - since_s < FREE_S:
        await asyncio.sleep(LOOK_S)
    if session.id in _running:
        raise MessageError("A live recording is running in this page already. Stop it first.")
    if len(_running) >= MOST_RUNS:
        raise MessageError(
            f"This machine is busy with {len(_running)} live recordings, the most it takes. Try again when one ends."
        )
    _running.add(session.id)
    try:
        yield
    finally:
        _running.discard(session.id)


async def _end(socket: WebSocket, message: dict[str, Any]) -> None:
    """Say the last word, if the page still listens, and close."""
    with contextlib.suppress(RuntimeError, WebSocketDisconnect, OSError):
        if socket.application_state is WebSocketState.CONNECTED:
            await socket.send_text(json.dumps(message))
            await socket.close(1000)


class _Conversation:
    """One recording: takes messages in, hands them to the run, and sends what it says."""

    def __init__(self, socket: WebSocket, session: Session, app: Demo) -> None:
        self._socket, self._session, self._app = socket, session, app
        self._out: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self._began_s = 0.0
        self._pictures = self._blocks = -1  # number of the last one
        self._picture_s = 0.0

    async def hold(self) -> None:
        """Until the page says stop, time is up, or something ends it."""
        try:
            first = read(await self._receive(START_S))
        except TimeoutError:
            first = None
        if not isinstance(first, dict) or first.get("type") != "start":
            raise MessageError("The page was expected to say start first. Load it again.")
        loop = asyncio.get_running_loop()

        def tell(message: dict[str, Any]) -> None:
            with contextlib.suppress(RuntimeError):  # the server has ended, and its loop with it
                loop.call_soon_threadsafe(self._out.put_nowait, message)

        run = Run(self._app.settings, tell)
        sending = asyncio.create_task(self._send())
        try:
            self._began_s = time.monotonic()
            run.start()
            note = await self._take_in(run, sending)
            await self._socket.send_text(json.dumps({"type": "finishing"}))
            html = await asyncio.to_thread(run.finish, self._session)
            await _end(self._socket, {"type": "result", "html": html, "note": note})
        finally:
            sending.cancel()
            run.halt()  # also where the server ends and nobody waits
            await asyncio.to_thread(run.end)

    async def _take_in(self, run: Run, sending: asyncio.Task[None]) -> str:
        """Take messages until the end, and say why it ended early, if it did."""
        most_s = self._app.limits.max_minutes * 60
        while True:
            left_s = most_s - (time.monotonic() - self._began_s)
            if left_s <= 0:
                minutes = f"{self._app.limits.max_minutes:g} minutes"
                return f"The recording was ended after {minutes}, the longest that is taken here."
            self._look_after(run, sending)
            try:
                message = read(await self._receive(min(left_s, SILENCE_S)))
            except TimeoutError:
                if left_s < SILENCE_S:
                    continue
                raise MessageError("Nothing came from this page for a while. Press Start to begin anew.") from None
            if isinstance(message, dict):
                if message.get("type") == "stop":
                    return ""
                if message.get("type") != "skip":
                    raise MessageError("The page said something that is not known here. Load it again.")
                run.skip_rest()
            elif isinstance(message, Picture):
                self._in_order(message, self._pictures)
                if message.time_s <= self._picture_s and self._pictures >= 0:
                    raise MessageError("The times of the pictures must rise, and did not. Load the page again.")
                self._pictures, self._picture_s = message.number, message.time_s
                run.look(message)
            else:
                self._in_order(message, self._blocks)
                self._blocks = message.number
                run.listen(message)

    def _look_after(self, run: Run, sending: asyncio.Task[None]) -> None:
        if run.error is not None:
            raise run.error
        if self._session.ended.is_set():
            raise SessionError("This page was out of touch for too long, and its data has been removed. Load it again.")
        if sending.done() or self._out.qsize() > MOST_BEHIND:
            raise WebSocketDisconnect(1006)

    def _in_order(self, message: Picture | Block, last: int) -> None:
        elapsed_s = time.monotonic() - self._began_s
        if message.number <= last or not elapsed_s - BEHIND_S <= message.time_s <= elapsed_s + AHEAD_S:
            raise MessageError("The clock of this page jumped, as after sleep. Press Start to begin anew.")

    async def _receive(self, within_s: float) -> str | bytes:
        """The next message, or :class:`TimeoutError`."""
        message = await asyncio.wait_for(self._socket.receive(), within_s)
        if message["type"] == "websocket.disconnect":
            raise WebSocketDisconnect(message.get("code", 1006))
        content: str | bytes | None = message.get("bytes")
        return content if content is not None else str(message.get("text", ""))

    async def _send(self) -> None:
        while True:
            await self._socket.send_text(json.dumps(await self._out.get(), allow_nan=False))
