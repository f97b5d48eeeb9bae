"""The HTML around Gradio's page: header, footer, skip link, our styles and scripts; nothing that points elsewhere."""

from __future__ import annotations

import re
from html import escape

from painsense import __version__
from painsense.demo.guard import App, Message, Receive, Send

#: Gradio's page names its makers' site, pictures and account for link previews
_ELSEWHERE = re.compile(rb"<meta\s+(?:property|name)=\"(?:og|twitter):[^>]*>\s*")
_TITLE = re.compile(rb"<title>.*?</title>")
_BODY = re.compile(rb"<body[^>]*>")

BEFORE = """
<a class="ps-skip" href="#ps-tabs">Skip to the content</a>
<header class="ps-header">
  <p class="ps-name">painsense</p>
  <h1>Pain expression in face and voice</h1>
  <p class="ps-lead">It measures expression, not pain. It supports, and never replaces, what the person says and
  clinical judgement. Everything is computed where this server runs, and no recording is kept.</p>
</header>
<div id="ps-trouble" role="alert" hidden></div>
<noscript><p class="ps-noscript">This page needs JavaScript: allow it for this address and load the page again. All of
it comes from this server. <code>painsense score</code> works without a browser.</p></noscript>
"""
AFTER = """
<footer class="ps-footer">
  <p>painsense {version}. For research and for looking into how it works; not a medical device.</p>
  {logout}
</footer>
"""
LOGOUT = '<form method="post" action="/logout"><button type="submit">Log out and remove my data</button></form>'


class Frame:
    """ASGI middleware that rewrites the page at ``/`` on its way out, and gives its scripts the nonce of the policy."""

    def __init__(self, app: App, title: str, head: str, logout: bool) -> None:
        self.app = app
        self._head = f"<title>{escape(title)}</title>\n{head}\n</head>".encode()
        after = AFTER.format(version=escape(__version__), logout=LOGOUT if logout else "")
        self._before, self._after = BEFORE.encode(), f"{after}</body>".encode()

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] != "/" or scope["method"] != "GET":
            await self.app(scope, receive, send)
            return
        # what is rewritten must not be compressed yet
        scope = {**scope, "headers": [pair for pair in scope["headers"] if pair[0] != b"accept-encoding"]}
        start: Message = {}
        body = bytearray()

        async def out(message: Message) -> None:
            nonlocal start
            if message["type"] == "http.response.start":
                start = message
                return
            body.extend(message.get("body", b""))
            if not message.get("more_body", False):
                html = self._rewritten(bytes(body), scope["painsense.nonce"])
                headers = [pair for pair in start["headers"] if pair[0].lower() != b"content-length"]
                await send({**start, "headers": [*headers, (b"content-length", str(len(html)).encode())]})
                await send({"type": "http.response.body", "body": html})

        await self.app(scope, receive, out)

    def _rewritten(self, html: bytes, nonce: str) -> bytes:
        html = _TITLE.sub(b"", _ELSEWHERE.sub(b"", html))
        html = html.replace(b"<script", f'<script nonce="{nonce}"'.encode())
        html = html.replace(b"</head>", self._head, 1).replace(b"</body>", self._after, 1)
        return _BODY.sub(lambda match: match[0] + self._before, html, count=1)
