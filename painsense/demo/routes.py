"""The routes of our own beside Gradio's: login, styles and scripts, files of a session, uploads, the live socket."""

from __future__ import annotations

import asyncio
import math
import mimetypes
from html import escape
from pathlib import Path
from urllib.parse import parse_qs

from fastapi import APIRouter, FastAPI, HTTPException, Request, WebSocket
from gradio import route_utils
from gradio.routes import file_upload_statuses
from python_multipart.exceptions import FormParserError
from starlette.formparsers import MultiPartException
from starlette.requests import ClientDisconnect
from starlette.responses import FileResponse, HTMLResponse, JSONResponse, PlainTextResponse, RedirectResponse, Response

from painsense.demo import Demo, live_socket, look
from painsense.demo.guard import Guard, TooLarge
from painsense.demo.security import Password, Tries

#: Kinds a browser may show by itself; anything else is only saved
SHOWN = ("video/", "audio/", "image/png", "image/jpeg", "image/webp", "application/json", "text/plain")
FILE_POLICY = "default-src 'none'; media-src 'self'; style-src 'unsafe-inline'; sandbox"
#: A password is typed, not sent by the megabyte
LOGIN_BYTES = 4096

LOGIN_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>Password · painsense</title>
<link rel="stylesheet" href="/static/login.css">
</head>
<body>
<main>
<h1>painsense</h1>
<p>This demo is open to those who have its password. Whoever started it can tell you.</p>
<form method="post" action="/login">
<label for="password">Password</label>
<input id="password" name="password" type="password" autocomplete="current-password" required autofocus{described}>
{message}<button type="submit">Enter</button>
</form>
</main>
</body>
</html>
"""


def add(server: FastAPI, app: Demo, guard: Guard, password: Password | None) -> None:
    """Add all of them. They have to come before Gradio is mounted: the first route that fits answers."""
    server.include_router(_files(app))
    if password is not None:
        server.include_router(_login(guard, password))


def _files(app: Demo) -> APIRouter:
    router = APIRouter()

    @router.get("/static/{name}")
    async def style_or_script(name: str) -> FileResponse:
        if name not in look.FILES:
            raise HTTPException(404)
        return FileResponse(look.FILES[name], headers={"cache-control": "no-cache"})

    @router.api_route("/session/{identity}/files/{token}/{name}", methods=["GET", "HEAD"])
    async def session_file(request: Request, identity: str, token: str, name: str) -> Response:
        session = app.store.find(request.scope["painsense"][1], identity)
        shared = session.shared(token) if session is not None else None
        if shared is None or name != shared.name or not shared.path.is_file():
            return PlainTextResponse("This file is not there any more. Load the page and analyse again.", 404)
        return _file(shared.path, shared.name, shared.inline)

    @router.api_route("/session/{identity}/alive", methods=["GET", "HEAD"])
    async def alive(request: Request, identity: str) -> Response:
        found = app.store.find(request.scope["painsense"][1], identity)
        return Response(status_code=204 if found is not None else 404)

    @router.api_route("/gradio_api/file={path:path}", methods=["GET", "HEAD"])
    async def uploaded(request: Request, path: str) -> Response:
        found = app.store.readable(request.scope["painsense"][1], path)
        if found is None:
            return PlainTextResponse("There is nothing here.", 404)
        return _file(found, found.name, inline=True)

    @router.post("/gradio_api/upload")
    @router.post("/gradio_api/upload/")
    async def upload(request: Request, upload_id: str | None = None) -> Response:
        root = app.store.new_upload(request.scope["painsense"][1])
        try:
            files, _, _ = await route_utils.upload_fn(
                request, str(root), math.inf, upload_id, upload_progress=file_upload_statuses if upload_id else None
            )
        except (MultiPartException, FormParserError, KeyError):
            app.store.drop_upload(root)
            return PlainTextResponse("The upload was not whole. Try it again.", 400)
        except OSError as error:
            app.store.drop_upload(root)
            text = f"There is no room for this file where the server runs ({error.strerror}). Tell whoever runs it."
            return PlainTextResponse(text, 507)
        except ClientDisconnect:
            app.store.drop_upload(root)
            return Response(status_code=400)
        except BaseException:  # too large, or the server ends
            app.store.drop_upload(root)
            raise
        finally:
            if upload_id:
                file_upload_statuses.set_done(upload_id)
        if not files:  # it broke off before its end
            app.store.drop_upload(root)
            return PlainTextResponse("The upload was not whole. Try it again.", 400)
        return JSONResponse([str(file) for file in files])

    @router.websocket("/live")
    async def live(socket: WebSocket, session: str = "") -> None:
        found = app.store.find(socket.scope["painsense"][1], session)
        if found is None:
            await socket.close(1008, "this page is not known here; load it again")
            return
        await live_socket.handle(socket, found, app)

    return router


def _file(path: Path, name: str, inline: bool) -> FileResponse:
    kind = mimetypes.guess_type(name)[0] or "application/octet-stream"
    shown = inline and kind.startswith(SHOWN)
    return FileResponse(
        path,
        media_type=kind,
        filename=name,
        content_disposition_type="inline" if shown else "attachment",
        headers={"content-security-policy": FILE_POLICY, "cache-control": "no-store"},
    )


def _login(guard: Guard, password: Password) -> APIRouter:
    router = APIRouter()
    tries, one_at_a_time = Tries(), asyncio.Lock()

    def page(message: str = "", status: int = 200, headers: dict[str, str] | None = None) -> HTMLResponse:
        said = f'<p id="wrong" role="alert">{escape(message)}</p>\n' if message else ""
        described = ' aria-describedby="wrong" aria-invalid="true"' if message else ""
        return HTMLResponse(LOGIN_PAGE.format(message=said, described=described), status, headers)

    @router.get("/login")
    async def ask() -> HTMLResponse:
        return page()

    @router.post("/login")
    async def answer(request: Request) -> Response:
        address = request.client.host if request.client else ""
        body = bytearray()
        async for part in request.stream():
            body += part
            if len(body) > LOGIN_BYTES:
                raise TooLarge
        given = parse_qs(body.decode("utf-8", "replace"), max_num_fields=4).get("password", [""])[0]
        async with one_at_a_time:  # a try costs 32 MB and a tenth of a second
            if wait_s := tries.wait_s(address):
                text = f"Too many wrong passwords. Wait {math.ceil(wait_s / 60)} min, then try again."
                return page(text, 429, {"retry-after": str(math.ceil(wait_s))})
            if not await asyncio.to_thread(password.fits, given):
                tries.failed(address)
                return page("That is not the password.", 401)
        tries.worked(address)
        response = RedirectResponse("/", 303)
        response.headers["set-cookie"] = guard.set_cookie(guard.visitors.log_in())
        return response

    @router.post("/logout")
    async def leave(request: Request) -> Response:
        visitor = request.scope["painsense"][1]
        guard.visitors.log_out(visitor)
        guard.store.end_all_of(visitor)
        return RedirectResponse("/login", 303)

    return router
