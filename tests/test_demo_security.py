"""Who may reach the demo, and what they may ask for: passwords, cookies, headers, limits, other people's files."""

from __future__ import annotations

import http.client
import json
import os
import re
import shutil
import socket
import ssl
import subprocess
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from demo_axe import violations
from demo_server import PATIENCE_S, PROJECT, Pages, Server, browser, give_up, ready, serving  # noqa: F401
from playwright.sync_api import Browser, expect

from painsense.demo import Limits, server
from painsense.demo.security import HASH_VARIABLE, TRIES, Password, PasswordError, Tries, Visitors, read_password
from painsense.pipeline import Settings

SECRET = "correct horse battery"
MAX_MB = 1.0
BOUNDARY = "----boundary"


# ---- passwords and cookies


def test_a_password_is_stored_salted_and_hashed() -> None:
    one, two = Password.of(SECRET), Password.of(SECRET)
    assert one.line() != two.line()
    assert SECRET not in one.line()
    assert Password.parse(one.line() + "\n") == one
    assert one.fits(SECRET)
    assert not one.fits(SECRET + " ")


@pytest.mark.parametrize(
    "line",
    ["", SECRET, "scrypt:2:8:1:AAAA:AAAA", "scrypt:1048577:8:1:AAAAAAAAAAAAAAAA:AAAA", "plain:32768:8:1:AAAA:AAAA"],
)
def test_what_is_no_stored_password_is_refused(line: str) -> None:
    with pytest.raises(PasswordError, match="--hash-password"):
        Password.parse(line)


def test_a_short_password_is_refused() -> None:
    with pytest.raises(PasswordError, match="at least 10 characters, got 5"):
        Password.of("short")


def test_the_password_comes_from_the_file_else_from_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(HASH_VARIABLE, raising=False)
    assert read_password(None) is None
    stored, other = Password.of(SECRET), Password.of("another password")
    monkeypatch.setenv(HASH_VARIABLE, stored.line())
    assert read_password(None) == stored
    (tmp_path / "password").write_text(other.line())
    assert read_password(tmp_path / "password") == other
    with pytest.raises(PasswordError, match="cannot read"):
        read_password(tmp_path / "nothing")


def test_a_cookie_that_we_did_not_sign_is_nobody() -> None:
    visitors, elsewhere = Visitors(), Visitors()
    visitor = visitors.new()
    assert visitors.read(visitors.sign(visitor)) == visitor
    assert visitors.read(elsewhere.sign(visitor)) is None
    assert visitors.read(visitor) is None
    assert visitors.read("") is None
    assert not visitors.may_enter(visitor)
    inside = visitors.log_in()
    assert visitors.may_enter(inside)
    visitors.log_out(inside)
    assert not visitors.may_enter(inside)


def test_wrong_passwords_make_one_wait() -> None:
    tries = Tries()
    for _ in range(TRIES):
        assert tries.wait_s("a") == 0
        tries.failed("a")
    assert tries.wait_s("a") > 0
    assert tries.wait_s("b") == 0
    tries.worked("a")
    assert tries.wait_s("a") == 0


# ---- what it refuses to start as


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1"])
def test_beyond_this_machine_it_wants_a_password(host: str) -> None:
    with pytest.raises(server.ServerError, match="a password is needed"):
        server.run(Settings(), Limits(), server.Address(host=host), browser=False)


def test_a_port_that_is_taken_is_said_in_words() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(server.ServerError, match=f"--port {port}: another program listens there"):
            server.run(Settings(), Limits(), server.Address(port=port), browser=False)


def test_a_certificate_that_is_none_is_said_in_words(tmp_path: Path) -> None:
    (tmp_path / "cert.pem").write_text("nothing")
    address = server.Address(port=0, tls=(tmp_path / "cert.pem", tmp_path / "cert.pem"))
    with pytest.raises(server.ServerError, match="expected a certificate and its key"):
        server.run(Settings(), Limits(), address, browser=False)


# ---- a running server, asked without a browser


class Answer:
    """What came back."""

    def __init__(self, response: http.client.HTTPResponse) -> None:
        self.status = response.status
        self.headers = {name.lower(): value for name, value in response.getheaders()}
        self.body = response.read()

    @property
    def text(self) -> str:
        return self.body.decode()


class Visitor:
    """Asks a server, with the cookie it was given."""

    def __init__(self, url: str) -> None:
        self.parts = urlsplit(url)
        self.cookie = ""

    def ask(
        self,
        path: str,
        method: str = "GET",
        body: object = None,
        headers: dict[str, str] | None = None,
        chunked: bool = False,
    ) -> Answer:
        host, port = self.parts.hostname or "", self.parts.port
        if self.parts.scheme == "https":
            trusting = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            trusting.check_hostname, trusting.verify_mode = False, ssl.CERT_NONE
            connection: http.client.HTTPConnection = http.client.HTTPSConnection(
                host, port, timeout=PATIENCE_S, context=trusting
            )
        else:
            connection = http.client.HTTPConnection(host, port, timeout=PATIENCE_S)
        sent = {"Cookie": self.cookie} if self.cookie else {}
        try:
            connection.request(method, path, body, {**sent, **(headers or {})}, encode_chunked=chunked)  # type: ignore[arg-type]
            answer = Answer(connection.getresponse())
        finally:
            connection.close()
        if "set-cookie" in answer.headers:
            self.cookie = answer.headers["set-cookie"].split(";")[0]
        return answer

    def upload(self, name: str, content: bytes) -> Answer:
        return self.ask("/gradio_api/upload", "POST", form(name, content), FORM)

    def open_socket(self, headers: dict[str, str]) -> int:
        """The status that a socket's handshake is answered with."""
        asked = {"Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Version": "13"}
        asked["Sec-WebSocket-Key"] = "AAAAAAAAAAAAAAAAAAAAAA=="
        return self.ask("/live?session=x", headers={**asked, **headers}).status


FORM = {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}"}


def form(name: str, content: bytes) -> bytes:
    head = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="files"; filename="{name}"\r\n\r\n'
    return head.encode() + content + f"\r\n--{BOUNDARY}--\r\n".encode()


@pytest.fixture(scope="module")
def open_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serving(tmp_path_factory.mktemp("open"), max_mb=MAX_MB, grace_s=60.0) as running:
        yield running


@pytest.fixture
def visitor(open_server: Server) -> Visitor:
    known = Visitor(open_server.url)
    assert known.ask("/").status == 200
    return known


def own(open_server: Server) -> str:
    return urlsplit(open_server.url).netloc


@pytest.mark.parametrize("path", ["/", "/config", "/static/app.css", "/gradio_api/info", "/theme.css"])
def test_every_answer_carries_the_security_headers(visitor: Visitor, path: str) -> None:
    headers = visitor.ask(path).headers
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["x-frame-options"] == "DENY"
    assert headers["cross-origin-resource-policy"] == "same-origin"
    assert "camera=(self), microphone=(self)" in headers["permissions-policy"]
    policy = dict(part.split(" ", 1) for part in headers["content-security-policy"].split("; "))
    assert policy["default-src"] == "'none'"
    assert policy["frame-ancestors"] == "'none'"
    assert "unsafe-inline" not in policy["script-src"]
    assert not re.search(r"https?:|\*", headers["content-security-policy"])  # nothing from elsewhere
    assert "server" not in headers


def test_each_page_gets_a_nonce_of_its_own(visitor: Visitor) -> None:
    one, two = visitor.ask("/"), visitor.ask("/")
    nonces = [re.findall(r"'nonce-([^']+)'", answer.headers["content-security-policy"]) for answer in (one, two)]
    assert nonces[0] != nonces[1]
    assert f'<script nonce="{nonces[0][0]}"' in one.text
    assert not re.search(r'<script(?! nonce=| src="/static/)', one.text)
    assert "googleusercontent" not in one.text and "raw.github" not in one.text and "og:image" not in one.text


def test_the_cookie_is_for_this_site_and_out_of_reach_of_scripts(open_server: Server) -> None:
    cookie = Visitor(open_server.url).ask("/").headers["set-cookie"]
    assert "HttpOnly" in cookie and "SameSite=Strict" in cookie


@pytest.mark.parametrize("host", ["example.com", "127.0.0.1.example.com", "localhost.example.com:7860", "10.1.2.3", ""])
def test_a_name_that_is_not_ours_is_refused(visitor: Visitor, host: str) -> None:
    assert visitor.ask("/", headers={"Host": host}).status == 421


def test_a_forwarded_host_is_not_believed(visitor: Visitor, open_server: Server) -> None:
    told = {"X-Forwarded-Host": "example.com", "X-Forwarded-Proto": "https", "X-Gradio-Server": "http://example.com"}
    answer = visitor.ask("/config", headers=told)
    assert json.loads(answer.body)["root"] == f"http://{own(open_server)}"
    assert "example.com" not in answer.text


@pytest.mark.parametrize("path", ["/gradio_api/upload", "/gradio_api/queue/join", "/gradio_api/cancel"])
@pytest.mark.parametrize("origin", ["http://example.com", "null", "https://127.0.0.1"])
def test_other_sites_cannot_change_anything(visitor: Visitor, path: str, origin: str) -> None:
    assert visitor.ask(path, "POST", b"{}", {"Origin": origin}).status == 403


def test_other_sites_may_link_here_but_load_nothing(visitor: Visitor) -> None:
    elsewhere = {"Sec-Fetch-Site": "cross-site"}
    assert visitor.ask("/", headers={**elsewhere, "Sec-Fetch-Mode": "navigate"}).status == 200
    assert visitor.ask("/", headers={**elsewhere, "Sec-Fetch-Mode": "cors"}).status == 403
    assert visitor.ask("/static/app.css", headers={**elsewhere, "Sec-Fetch-Mode": "no-cors"}).status == 403


def test_only_our_own_page_opens_a_socket(visitor: Visitor, open_server: Server) -> None:
    assert visitor.open_socket({"Origin": "http://example.com"}) == 403
    assert visitor.open_socket({}) == 403
    stranger = Visitor(open_server.url)
    assert stranger.open_socket({"Origin": f"http://{own(open_server)}"}) == 403


@pytest.mark.parametrize(
    "path",
    [
        "/gradio_api/info",
        "/gradio_api/info/",
        "/gradio_api/openapi.json",
        "/gradio_api/run/predict",
        "/gradio_api/call/predict",
        "/gradio_api/mcp",
        "/gradio_api/runs",
        "/gradio_api/proxy=http://example.com/",
        "/monitoring",
        "/monitoring/summary",
        "/docs",
        "/openapi.json",
        "/nothing",
    ],
)
def test_what_the_page_does_not_need_is_not_there(visitor: Visitor, path: str) -> None:
    assert visitor.ask(path).status == 404
    assert visitor.ask(path, "POST", b"{}").status == 404


@pytest.mark.parametrize(
    "path",
    [
        "/gradio_api/file=/etc/passwd",
        "/gradio_api/file=%2Fetc%2Fpasswd",
        f"/gradio_api/file={PROJECT}/painsense/demo/server.py",
        f"/gradio_api/file={PROJECT}/painsense/demo/../../pyproject.toml",
        "/gradio_api/file=http://127.0.0.1/",
        "/gradio_api/file=%00",
        "/gradio_api/file/etc/passwd",
        "/static/..%2Fserver.py",
        "/static/../server.py",
        "/static/%2e%2e/server.py",
        "/static/server.py",
        "/assets/..%2f..%2f..%2froutes.py",
        "/session/x/files/y/..%2f..%2fserver.py",
    ],
)
def test_no_file_of_the_machine_can_be_reached(visitor: Visitor, path: str) -> None:
    answer = visitor.ask(path)
    assert answer.status in (403, 404)
    assert b"root:" not in answer.body and b"import" not in answer.body


def test_an_upload_is_its_visitors_alone(visitor: Visitor, open_server: Server) -> None:
    content = os.urandom(1000)
    stored = json.loads(visitor.upload("a clip.mp4", content).body)[0]
    again = json.loads(visitor.upload("a clip.mp4", content).body)[0]
    assert stored != again  # the same file from two people must not be one file
    assert visitor.ask(f"/gradio_api/file={stored.replace(' ', '%20')}").body == content
    part = visitor.ask(f"/gradio_api/file={stored.replace(' ', '%20')}", headers={"Range": "bytes=10-19"})
    assert (part.status, part.body) == (206, content[10:20])
    stranger = Visitor(open_server.url)
    stranger.ask("/")
    assert stranger.ask(f"/gradio_api/file={stored.replace(' ', '%20')}").status == 404


def test_a_browser_without_our_cookie_uploads_nothing(open_server: Server) -> None:
    assert Visitor(open_server.url).upload("a.mp4", b"x").status == 403


def test_an_upload_keeps_its_name_and_leaves_its_folder_by_no_trick(visitor: Visitor, open_server: Server) -> None:
    stored = Path(json.loads(visitor.upload("../../../evil.mp4", b"x").body)[0])
    assert stored.is_relative_to(open_server.temporary)
    assert stored.name == "evil.mp4"
    assert not list(open_server.temporary.parent.glob("evil*"))


@pytest.mark.parametrize("chunked", [False, True])
def test_an_upload_that_is_too_large_is_refused_in_words(visitor: Visitor, open_server: Server, chunked: bool) -> None:
    body = form("big.mp4", bytes(3_000_000))
    pieces = iter([body[k : k + 65536] for k in range(0, len(body), 65536)])
    headers = {**FORM, "Transfer-Encoding": "chunked"} if chunked else FORM
    answer = visitor.ask("/gradio_api/upload", "POST", pieces if chunked else body, headers, chunked)
    assert answer.status == 413
    assert "larger than 1 MB" in answer.text and "--max-mb" in answer.text
    assert not list(open_server.temporary.rglob("big*"))
    assert not [path for path in open_server.files() if path.stat().st_size > 500_000]


def test_a_length_that_is_a_lie_is_found_out(visitor: Visitor) -> None:
    assert visitor.ask("/gradio_api/upload", "POST", b"x", {**FORM, "Content-Length": "many"}).status in (400, 413)


def test_no_request_but_an_upload_may_be_large(visitor: Visitor) -> None:
    assert visitor.ask("/gradio_api/queue/join", "POST", bytes(5_000_000)).status == 413


def test_an_upload_that_breaks_off_leaves_nothing(visitor: Visitor, open_server: Server) -> None:
    head = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="files"; filename="broken.mp4"\r\n\r\nsome'
    assert visitor.ask("/gradio_api/upload", "POST", head.encode(), FORM).status == 400
    assert not [path for path in open_server.temporary.rglob("tmp*") if path.is_file()]


# ---- events, which Gradio would run for any page and with any file of this machine


class Client:
    """A page as a program plays it: it asks for Gradio's events by number, with whatever it likes."""

    def __init__(self, visitor: Visitor) -> None:
        self.visitor, self.page = visitor, os.urandom(6).hex()
        self.events = {
            event["api_name"]: event["id"] for event in json.loads(visitor.ask("/config").body)["dependencies"]
        }

    def join(self, event: str, data: list[object], page: str = "") -> Answer:
        asked = {"fn_index": self.events[event], "session_hash": page or self.page, "data": data, "event_data": None}
        return self.visitor.ask(
            "/gradio_api/queue/join", "POST", json.dumps(asked), {"Content-Type": "application/json"}
        )

    def result(self) -> dict[str, object]:
        """What the events that were asked for came to."""
        lines = self.visitor.ask(f"/gradio_api/queue/data?session_hash={self.page}").text.splitlines()
        told = [json.loads(line.removeprefix("data:")) for line in lines if line.startswith("data:")]
        return next(message["output"] for message in told if message["msg"] == "process_completed")


@pytest.mark.parametrize("extra", [{}, {"url": "http://example.com/clip.mp4"}, {"is_stream": True}])
@pytest.mark.parametrize(
    "place", ["/etc/passwd", f"{PROJECT}/samples/episode.mp4", "http://example.com/clip.mp4", "", "a\0.mp4"]
)
def test_an_event_takes_no_file_but_the_visitors_own_upload(
    visitor: Visitor, open_server: Server, place: str, extra: dict[str, object]
) -> None:
    before = set(open_server.files())
    client = Client(visitor)
    file = {"path": place, "meta": {"_type": "gradio.FileData"}, **extra}
    assert client.join("_take", [file]).status == 200
    assert client.result()["error"] == "this upload is not there any more; choose the recording again"
    copied = [path for path in set(open_server.files()) - before if path.stat().st_size]
    assert copied == []
    assert "Traceback" not in open_server.printed


def test_an_event_takes_ones_own_upload_but_not_anothers(visitor: Visitor, open_server: Server) -> None:
    stored = json.loads(visitor.upload("clip.mp4", b"moving pictures").body)[0]
    file = {"path": stored, "meta": {"_type": "gradio.FileData"}}
    stranger = Visitor(open_server.url)
    stranger.ask("/")
    thief, owner = Client(stranger), Client(visitor)
    thief.join("_take", [file])
    assert "not there any more" in str(thief.result())
    owner.join("_take", [file])
    assert owner.result()["data"] == []


def test_nobody_runs_or_stops_anything_on_anothers_page(visitor: Visitor, open_server: Server) -> None:
    owner = Client(visitor)
    owner.join("_whose", [])
    assert "painsense-session" in str(owner.result())
    stranger = Visitor(open_server.url)
    stranger.ask("/")
    answer = Client(stranger).join("_named", ["Two others"], owner.page)
    assert (answer.status, answer.text) == (403, "This page belongs to another browser.")
    stop = json.dumps({"session_hash": owner.page, "fn_index": 0, "event_id": "x"})
    assert stranger.ask("/gradio_api/cancel", "POST", stop, {"Content-Type": "application/json"}).status == 403
    assert visitor.ask("/gradio_api/cancel", "POST", stop, {"Content-Type": "application/json"}).status == 200


@pytest.mark.parametrize("body", ["", "[]", "{", '{"data": []}', '{"session_hash": 1}', "[" * 100_000])
def test_what_is_no_event_is_refused_in_words(visitor: Visitor, body: str) -> None:
    answer = visitor.ask("/gradio_api/queue/join", "POST", body, {"Content-Type": "application/json"})
    assert (answer.status, answer.text) == (400, "The page sent something that is not known here. Load it again.")


# ---- with a password, over TLS


@pytest.fixture(scope="module")
def closed_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    if shutil.which("openssl") is None:
        give_up("needs openssl, to make a certificate")
    folder = tmp_path_factory.mktemp("closed")
    (folder / "password").write_text(Password.of(SECRET).line())
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"),
            *("-keyout", "key.pem", "-out", "cert.pem"),
        ],
        cwd=folder,
        check=True,
        capture_output=True,
    )
    (folder / "temporary").mkdir()
    with serving(
        folder / "temporary", host="0.0.0.0", password_file=str(folder / "password"), tls=str(folder)
    ) as running:
        yield running


def log_in(server_: Server, text: str) -> tuple[Visitor, Answer]:
    person = Visitor(server_.url)
    given = {"Content-Type": "application/x-www-form-urlencoded"}
    return person, person.ask("/login", "POST", f"password={text.replace(' ', '+')}", given)


def test_without_the_password_nothing_is_there(closed_server: Server) -> None:
    stranger = Visitor(closed_server.url)
    answer = stranger.ask("/")
    assert (answer.status, answer.headers["location"]) == (303, "/login")
    for path in ("/config", "/theme.css", "/static/app.js", "/gradio_api/info", "/gradio_api/file=/etc/passwd"):
        assert stranger.ask(path).status in (401, 404), path
    assert stranger.upload("a.mp4", b"x").status == 401
    assert stranger.ask("/gradio_api/queue/join", "POST", b"{}").status == 401
    assert stranger.open_socket({"Origin": closed_server.url.rstrip("/")}) == 403
    page = stranger.ask("/login")
    assert page.status == 200 and 'name="password"' in page.text and "<script" not in page.text


def test_the_password_lets_in_until_one_logs_out(closed_server: Server) -> None:
    person, answer = log_in(closed_server, SECRET)
    assert (answer.status, answer.headers["location"]) == (303, "/")
    cookie = answer.headers["set-cookie"]
    assert cookie.startswith("__Host-") and all(word in cookie for word in ("HttpOnly", "SameSite=Strict", "Secure"))
    assert SECRET not in closed_server.printed
    assert person.ask("/").status == 200
    stored = json.loads(person.upload("a.mp4", b"x").body)[0]
    assert person.ask("/logout", "POST").status == 303
    assert person.ask("/config").status == 401
    assert not Path(stored).exists()


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_a_person_gets_in_and_out_by_the_keyboard(closed_server: Server, browser: Browser, theme: str) -> None:  # noqa: F811
    pages = Pages(browser, closed_server.url)
    pages.expected.append("401")
    context = browser.new_context(ignore_https_errors=True, color_scheme=theme)
    context.set_default_timeout(PATIENCE_S * 1000)
    page = context.new_page()
    pages.watch(page)
    page.goto(closed_server.url)
    assert violations(page) == []
    expect(page.get_by_label("Password")).to_be_focused()
    page.keyboard.type("not the password")
    page.keyboard.press("Enter")
    expect(page.get_by_role("alert")).to_have_text("That is not the password.")
    assert violations(page) == []
    expect(page.get_by_label("Password")).to_be_focused()
    page.keyboard.type(SECRET)
    page.keyboard.press("Enter")
    ready(page)
    assert pages.outside() == [] and pages.unexpected() == []
    page.get_by_role("button", name="Log out and remove my data").press("Enter")
    expect(page.get_by_label("Password")).to_be_visible()
    context.close()


def test_an_old_cookie_is_worth_nothing_after_a_login(closed_server: Server) -> None:
    fixed = Visitor(closed_server.url)
    fixed.cookie = f"__Host-painsense-0={Visitors().sign('chosen')}"
    assert fixed.ask("/config").status == 401


def test_guessing_gets_nowhere(closed_server: Server) -> None:
    for _ in range(TRIES):
        assert log_in(closed_server, "wrong password")[1].status == 401
    answer = log_in(closed_server, SECRET)[1]
    assert answer.status == 429
    assert "Wait" in answer.text and int(answer.headers["retry-after"]) > 0
