"""Where recordings lie in the demo and how they go: sessions, leftovers, crashes; and the command that starts it."""

from __future__ import annotations

import asyncio
import http.client
import io
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from demo_server import PATIENCE_S, PROJECT, Server, browser, demo_server, open_page, serving, session_id, wait_for  # noqa: F401
from demo_server import Pages as OpenPage

from painsense import cli
from painsense.demo import server, sessions
from painsense.demo.log import Scrubbed
from painsense.demo.security import HASH_VARIABLE, Password
from painsense.demo.sessions import SessionError, Store
from painsense.errors import OutputError

ANNA, BERT = "anna", "bert"


@pytest.fixture(autouse=True)
def own_temporary_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    place = tmp_path / "temporary"
    place.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(place))
    return place


@pytest.fixture
def store() -> Iterator[Store]:
    made = Store(grace_s=0.05)
    yield made
    made.close()


def uploaded(store: Store, visitor: str, name: str = "clip.mp4") -> Path:
    """An upload, where the server puts it."""
    path = store.new_upload(visitor) / "hash" / name
    path.parent.mkdir()
    path.write_bytes(b"picture and sound")
    return path


# ---- sessions


def test_each_page_has_its_own_private_folder(store: Store) -> None:
    one, two = store.open(ANNA, "page1"), store.open(ANNA, "page2")
    assert one is store.open(ANNA, "page1")
    assert one.folder != two.folder
    assert one.folder.stat().st_mode & 0o077 == 0
    assert store.folder.stat().st_mode & 0o077 == 0


def test_a_page_is_its_browsers_alone(store: Store) -> None:
    session = store.open(ANNA, "page1")
    with pytest.raises(SessionError, match="another browser"):
        store.open(BERT, "page1")
    assert store.find(ANNA, session.id) is session
    assert store.find(BERT, session.id) is None
    assert store.allows(ANNA, "page1") and not store.allows(BERT, "page1")


@pytest.mark.parametrize("page", ["", "../x", "a/b", "x" * 100])
def test_a_page_has_to_have_a_name(store: Store, page: str) -> None:
    with pytest.raises(SessionError, match="load it again"):
        store.open(ANNA, page)


def test_a_shared_file_has_one_address(store: Store) -> None:
    session = store.open(ANNA, "page1")
    file = session.folder / "report.html"
    file.write_text("x")
    address = session.share(file, "Anna's report ü.html")
    assert address == session.share(file, "Anna's report ü.html")
    assert address.startswith(f"/session/{session.id}/files/")
    assert address.endswith("/Anna%27s%20report%20%C3%BC.html")
    token = address.split("/")[4]
    shared = session.shared(token)
    assert shared is not None and shared.path == file
    assert session.shared("guessed") is None
    assert session.share(file, "Anna's report ü.html", inline=True) != address


def test_the_end_of_a_session_takes_everything_with_it(store: Store) -> None:
    session = store.open(ANNA, "page1")
    taken, other = session.take(uploaded(store, ANNA)), uploaded(store, BERT)
    (session.folder / "made.csv").write_text("x")
    session.end()
    assert session.ended.is_set()
    assert not session.folder.exists() and not taken.exists()
    assert other.exists()
    with pytest.raises(SessionError, match="load it again"):
        session.share(taken, "clip.mp4")
    assert store.open(ANNA, "page1") is not session


def test_nobody_takes_anothers_upload(store: Store) -> None:
    upload = uploaded(store, ANNA)
    with pytest.raises(SessionError, match="not there any more"):
        store.open(BERT, "page1").take(upload)
    first, second = store.open(ANNA, "page2"), store.open(ANNA, "page3")
    assert first.take(upload) == first.take(upload) == upload
    with pytest.raises(SessionError, match="another page"):
        second.take(upload)
    (store.uploads / "copied").mkdir()
    (store.uploads / "copied" / "clip.mp4").write_bytes(b"by whom?")
    nobodys = str(store.uploads / "copied" / "clip.mp4")
    for path in ("/etc/passwd", str(store.uploads), str(first.folder), str(upload) + "x", nobodys):
        with pytest.raises(SessionError, match="not there any more"):
            first.take(path)


def test_a_page_that_is_out_of_touch_is_ended(store: Store) -> None:
    with store.pulse("page1"):
        session = store.open(ANNA, "page1")
        upload = uploaded(store, ANNA)
        time.sleep(0.1)
        store.sweep()
        assert session.folder.exists()
    wait_for(lambda: store.sweep() or not session.folder.exists(), "the session is still there")
    assert session.ended.is_set()
    wait_for(lambda: store.sweep() or not upload.parent.parent.exists(), "the upload is still there")


def test_a_folder_that_is_still_written_into_goes_later(store: Store) -> None:
    session = store.open(ANNA, "page1")
    stop = threading.Event()

    def write() -> None:
        while not stop.is_set():
            session.folder.mkdir(parents=True, exist_ok=True)
            (session.folder / "more").write_text("x")

    writer = threading.Thread(target=write)
    writer.start()
    try:
        session.end()
    finally:
        stop.set()
        writer.join()
    wait_for(lambda: store.sweep() or not session.folder.exists(), "the folder is still there")


def test_what_is_made_anew_after_the_end_of_a_session_goes_too(store: Store) -> None:
    ended, open_ = store.open(ANNA, "page1"), store.open(ANNA, "page2")
    ended.end()
    (ended.folder / "results").mkdir(parents=True)  # as the writing of results does that was under way
    with store.pulse("page2"):
        store.sweep()
        assert not ended.folder.exists() and open_.folder.exists()


def test_an_error_does_not_end_the_sweeping(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    swept = []

    def sweep() -> None:
        swept.append(len(swept))
        if len(swept) == 1:
            raise OSError("the disk did not answer")

    monkeypatch.setattr(server, "SWEEP_S", 0.001)
    monkeypatch.setattr(store, "sweep", sweep)

    async def until_twice() -> None:
        task = asyncio.create_task(server._sweep(store))
        while len(swept) < 2 and not task.done():
            await asyncio.sleep(0.001)
        task.cancel()

    asyncio.run(until_twice())
    assert len(swept) >= 2


def test_a_session_that_has_ended_takes_nothing(store: Store) -> None:
    session, upload = store.open(ANNA, "page1"), uploaded(store, ANNA)
    session.end()
    with pytest.raises(SessionError, match="load it again"):
        session.take(upload)
    with pytest.raises(SessionError, match="load it again"):  # nor when it ends while it takes
        store.claim(upload.parent.parent, session)


# ---- the run folder

HOLD = "import sys; from painsense.demo.sessions import Store; s = Store(); (s.temporary / 'x').write_text('x')\n"
HOLD += "print(s.folder, flush=True); sys.stdin.read()"


def test_what_a_crashed_run_left_is_removed_and_what_a_live_one_has_is_not(own_temporary_folder: Path) -> None:
    environment = {**os.environ, "TMPDIR": str(own_temporary_folder), "PYTHONPATH": str(PROJECT)}
    command = [sys.executable, "-c", HOLD]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
    ) as process:
        assert process.stdout is not None
        folder = Path(process.stdout.readline().strip())
        Store().close()
        assert (folder / "temporary/x").exists()  # it lives
        process.kill()
        process.wait()
    assert (folder / "temporary/x").exists()
    later = Store()
    assert not folder.exists()
    later.close()
    assert [path.name for path in sessions.home().iterdir()] == ["start.lock"]


@pytest.mark.skipif(os.name == "nt", reason="the temporary folder is the person's own there")
def test_a_folder_that_another_could_have_made_is_refused(own_temporary_folder: Path, tmp_path: Path) -> None:
    (tmp_path / "trap").mkdir()
    sessions.home().symlink_to(tmp_path / "trap")
    with pytest.raises(OutputError, match="TMPDIR"):
        Store()
    sessions.home().unlink()
    sessions.home().mkdir(mode=0o777)
    sessions.home().chmod(0o777)
    with pytest.raises(OutputError, match="yours alone"):
        Store()


def test_the_terminal_is_told_no_names(tmp_path: Path) -> None:
    said = io.StringIO()
    scrubbed = Scrubbed(said, tmp_path / "run-1", lambda: {"Anna Meier.mp4"})
    print(f"Error: {tmp_path}/run-1/uploads/x/Anna Meier.mp4: no picture in 'Anna Meier'", file=scrubbed)
    print("all well", file=scrubbed)
    assert "Anna" not in said.getvalue() and str(tmp_path) not in said.getvalue()
    assert "all well" in said.getvalue()


# ---- a whole server


def hand_over(url: str, name: str) -> Path:
    """Upload a file as a page does; where the server keeps it."""
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=PATIENCE_S)
    connection.request("GET", "/")
    answer = connection.getresponse()
    cookie = (answer.getheader("set-cookie") or "").split(";")[0]
    answer.read()
    body = f'--b\r\nContent-Disposition: form-data; name="files"; filename="{name}"\r\n\r\nsecret\r\n--b--\r\n'
    headers = {"Cookie": cookie, "Content-Type": "multipart/form-data; boundary=b"}
    connection.request("POST", "/gradio_api/upload", body.encode(), headers)
    answer = connection.getresponse()
    stored = json.loads(answer.read())[0]
    connection.close()
    return Path(stored)


def test_nothing_is_left_when_the_server_is_told_to_stop(own_temporary_folder: Path) -> None:
    with serving(own_temporary_folder, grace_s=60.0) as running:
        stored = hand_over(running.url, "Anna Meier.mp4")
        assert stored.is_file() and stored.is_relative_to(own_temporary_folder)
        assert running.stop() == 0
        wait_for(lambda: not running.files(), "files are left")
        assert not stored.exists()
    assert "Anna" not in running.printed
    assert "Traceback" not in running.printed


def test_nothing_is_left_at_the_start_after_a_crash(own_temporary_folder: Path) -> None:
    with serving(own_temporary_folder, grace_s=60.0) as running:
        stored = hand_over(running.url, "Anna Meier.mp4")
        running.process.kill()
        running.process.wait()
    assert stored.is_file()
    Store().close()
    assert not stored.exists()
    assert not running.files()


def test_a_page_that_is_closed_takes_its_session_with_it(open_page: OpenPage, demo_server: Server) -> None:  # noqa: F811
    page = open_page()
    folder = demo_server.session_folder(page)
    assert folder.is_dir()
    page.close()
    wait_for(lambda: not folder.exists(), "the session is still there")


def test_a_second_user_sees_nothing_of_the_first(open_page: OpenPage) -> None:  # noqa: F811
    first, second = open_page(), open_page()
    assert session_id(first) != session_id(second)
    look = "id => fetch(`/session/${id}/alive`).then(answer => answer.status)"
    assert first.evaluate(look, session_id(first)) == 204
    open_page.expected.append("404")
    assert second.evaluate(look, session_id(first)) == 404
    same = open_page(context=first.context)
    assert same.evaluate(look, session_id(same)) == 204
    assert session_id(same) != session_id(first)


# ---- the command


def run_command(*arguments: str) -> int:
    return cli.main(["demo", *arguments])


def test_without_gradio_it_says_how_to_get_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "gradio", None)
    assert run_command("--no-browser") == 2
    assert "pip install 'painsense[demo]'" in capsys.readouterr().err


def test_beyond_this_machine_the_command_wants_a_password(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv(HASH_VARIABLE, raising=False)
    assert run_command("--no-browser", "--host", "0.0.0.0") == 2
    assert "--hash-password" in capsys.readouterr().err


def test_certificate_and_key_belong_together(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command("--tls-cert", "cert.pem") == 2
    assert "belong together" in capsys.readouterr().err


def test_the_command_hashes_a_password(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("correct horse battery\n"))
    assert run_command("--hash-password") == 0
    line = capsys.readouterr().out
    assert "horse" not in line
    assert Password.parse(line).fits("correct horse battery")
