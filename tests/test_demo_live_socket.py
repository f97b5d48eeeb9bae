"""The socket of the live page: what it takes, what it says, what it refuses."""

from __future__ import annotations

import json
import struct
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from demo_server import wait_for
from fastapi import FastAPI, WebSocket
from starlette.testclient import TestClient
from starlette.websockets import WebSocketDisconnect

from painsense import media
from painsense.demo import Demo, Limits, live_run, live_socket
from painsense.demo.live_messages import HEADER, PICTURE, SOUND, Block, MessageError, Picture, jpeg_size, read
from painsense.demo.sessions import Store
from painsense.pipeline import Settings

SAMPLE = Path(__file__).resolve().parent.parent / "samples" / "episode.mp4"


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    made = Store()
    yield made
    made.close()


@contextmanager
def serving(store: Store, limits: Limits | None = None) -> Iterator[TestClient]:
    """A server with the socket alone; ``?page=NAME`` is a page of its own."""
    server, app = FastAPI(), Demo(store, limits=limits or Limits())

    @server.websocket("/live")
    async def live(socket: WebSocket, page: str) -> None:
        await live_socket.handle(socket, store.open("visitor", page), app)

    with TestClient(server) as client:
        yield client


def jpeg(image: np.ndarray) -> bytes:
    return bytes(cv2.imencode(".jpg", image[..., ::-1])[1])


def packed(kind: int, number: int, time_s: float, body: bytes) -> bytes:
    return HEADER.pack(kind, number, time_s) + body


def recorded(stop_s: float) -> list[tuple[float, bytes]]:
    """The bundled clip as messages of the page, in order of time."""
    clip = media.open_media(SAMPLE)
    pictures = media.read_frames(clip, 0.0, stop_s)
    found = [(t + 1e-3, packed(PICTURE, k, t + 1e-3, jpeg(image))) for k, (t, image) in enumerate(pictures)]
    sound = np.concatenate([samples for _, samples in media.read_audio(clip)])
    for k in range(round(stop_s / 0.05)):
        block = (sound[k * 800 : (k + 1) * 800] * 32767).astype("<i2").tobytes()
        found.append(((k + 1) * 0.05, packed(SOUND, k, k * 0.05, block)))
    return sorted(found, key=lambda message: message[0])


def say(socket: Any, what: str) -> None:
    socket.send_text(json.dumps({"type": what}))


def until(socket: Any, kind: str) -> list[dict[str, Any]]:
    """All messages up to the first of a kind."""
    came = []
    while not came or came[-1]["type"] != kind:
        came.append(json.loads(socket.receive_text()))
        assert kind == "error" or came[-1]["type"] != "error", came[-1]
    return came


def play(socket: Any, messages: list[tuple[float, bytes]]) -> list[dict[str, Any]]:
    """Send as the page does, with at most two pictures on their way; returns what came back."""
    came, waiting = [], 0
    for _, message in messages:
        if message[0] == PICTURE:
            while waiting == 2:
                came += until(socket, "moment")
                waiting -= 1
            waiting += 1
        socket.send_bytes(message)
    for _ in range(waiting):
        came += until(socket, "moment")
    return came


def test_a_recording_from_start_to_result(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live_run, "REST_S", 1.5)
    with serving(store) as client, client.websocket_connect("/live?page=one1") as socket:
        say(socket, "start")
        ready = until(socket, "ready")[-1]
        assert ready["rest_s"] == 1.5
        assert {"name": "AU4", "words": "brows lowered", "most": 5.0} in ready["units"]
        came = play(socket, recorded(4.8))
        while not any(message["type"] == "coach" and not message["resting"] for message in came):
            came += until(socket, "coach")
        moments = [message for message in came if message["type"] == "moment"]
        assert [moment["number"] for moment in moments] == list(range(len(moments)))  # each is acknowledged once
        assert len(moments) >= 115 and all(moment["valid"] for moment in moments)
        waiting = [message["left_s"] for message in came if message["type"] == "coach" and message["resting"]]
        assert waiting == sorted(waiting, reverse=True)
        assert [message for message in came if message["type"] == "coach"][-1]["neutral"]
        session = store.open("visitor", "one1")
        assert list(session.folder.rglob("*")) == []  # nothing of the person is written while it runs
        say(socket, "stop")
        result = until(socket, "result")[-1]
        assert result["note"] == ""
        assert "ps-live" not in result["html"] and 'id="live-course"' in result["html"]
        assert "Report (PDF)" in result["html"]
        with pytest.raises(WebSocketDisconnect):
            socket.receive_text()
    written = {path.name for path in session.folder.rglob("*") if path.is_file()}
    assert {"live.html", "live.pdf", "live.painsense.json", "live.frames.csv"} <= written
    report = json.loads(next(session.folder.rglob("live.painsense.json")).read_text())
    assert report["baseline"]["kind"] == "rest_clip"
    assert report["media"]["frames"] == len(moments)
    assert report["media"]["has_audio"]


def test_windows_say_what_is_seen_heard_and_in_the_way(store: Store) -> None:
    with serving(store) as client, client.websocket_connect("/live?page=one1") as socket:
        say(socket, "start")
        until(socket, "ready")
        say(socket, "skip")
        came = play(socket, recorded(2.6))
        while not any(message["type"] == "window" for message in came):
            came += until(socket, "window")
        window = next(message for message in came if message["type"] == "window")
        assert 0 <= window["pspi"] <= window["pspi_high"] <= 16
        assert window["score"] is not None and window["low"] <= window["score"] <= window["high"]
        assert window["face_weight"] + window["voice_weight"] == pytest.approx(1, abs=0.02)
        assert window["voice"]["sound"] == "silence"
        assert window["reasons"] == [{"label": "silent", "text": "Nothing could be heard above the background."}]
        assert not window["resting"]


def test_two_people_at_once_are_kept_apart(store: Store) -> None:
    nobody = jpeg(np.full((360, 640, 3), 90, np.uint8))
    with (
        serving(store) as client,
        client.websocket_connect("/live?page=one1") as one,
        client.websocket_connect("/live?page=two2") as two,
    ):
        for socket in (one, two):
            say(socket, "start")
        for socket in (one, two):
            until(socket, "ready")
        for number, (_, message) in enumerate(m for m in recorded(0.4) if m[1][0] == PICTURE):
            one.send_bytes(message)
            two.send_bytes(packed(PICTURE, number, 0.01 * (number + 1), nobody))
            seen, missed = until(one, "moment")[-1], until(two, "moment")[-1]
            assert (seen["number"], seen["valid"]) == (number, True)
            assert (missed["number"], missed["valid"]) == (number, False)
        while not (advice := until(two, "coach")[-1]["advice"]):
            pass  # of before the first picture
        assert advice[0]["text"].startswith("I cannot see a face") and advice[0]["blocks"]
        assert until(one, "coach")[-1]["advice"] == []
        say(two, "stop")
        assert "Not enough evidence" in until(two, "result")[-1]["html"]


def test_a_page_has_one_recording_at_a_time(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live_socket, "FREE_S", 0.2)
    with serving(store) as client, client.websocket_connect("/live?page=one1") as socket:
        say(socket, "start")
        until(socket, "ready")
        with client.websocket_connect("/live?page=one1") as again:
            assert "already" in until(again, "error")[-1]["text"]
        assert until(socket, "coach")  # the first goes on


def test_a_page_starts_again_while_its_last_recording_is_just_ending(store: Store) -> None:
    ending = store.open("visitor", "one1").id
    live_socket._running.add(ending)
    threading.Timer(0.5, live_socket._running.discard, [ending]).start()
    with serving(store) as client, client.websocket_connect("/live?page=one1") as socket:
        say(socket, "start")
        assert until(socket, "ready")
        say(socket, "stop")
        assert until(socket, "result")


def test_the_longest_time_is_kept_and_said(store: Store) -> None:
    with serving(store, Limits(max_minutes=0.001)) as client, client.websocket_connect("/live?page=one1") as socket:
        say(socket, "start")
        until(socket, "ready")
        socket.send_bytes(packed(SOUND, 0, 0.0, bytes(1600)))
        result = until(socket, "result")[-1]
        assert "ended after 0.001 minutes" in result["note"]


@pytest.mark.parametrize(
    ("messages", "words"),
    [
        (["hello"], "not known here"),
        (["[1, 2]"], "not known here"),
        (["[" * 1000], "not known here"),
        (['{"type": "pause"}'], "not known here"),
        ([b""], "not known here"),
        ([packed(7, 0, 0.0, b"xxxx")], "not known here"),
        ([packed(PICTURE, 0, float("nan"), b"xxxx")], "not known here"),
        ([packed(SOUND, 0, 0.1, b"xxx")], "not known here"),
        ([packed(SOUND, 0, 0.1, bytes(40_000))], "not known here"),
        ([packed(PICTURE, 0, 0.1, b"no picture")], "something else came"),
        ([packed(PICTURE, 0, 0.1, jpeg(np.zeros((8, 8, 3), np.uint8)))], "8 x 8 came"),
        ([packed(PICTURE, 0, 0.1, jpeg(np.zeros((2000, 64, 3), np.uint8)))], "64 x 2000 came"),
        ([packed(PICTURE, 0, 3600.0, b"xxxx")], "clock of this page jumped"),
        ([packed(SOUND, 0, 3600.0, bytes(160))], "clock of this page jumped"),
        ([packed(SOUND, 3, 0.0, bytes(160)), packed(SOUND, 3, 0.1, bytes(160))], "clock of this page jumped"),
        ([packed(PICTURE, k, 0.1, b"xxxx") for k in range(2)], "must rise|something else"),
    ],
)
def test_what_no_page_sends_ends_it_with_words(store: Store, messages: list[str | bytes], words: str) -> None:
    with serving(store) as client, client.websocket_connect("/live?page=one1") as socket:
        say(socket, "start")
        until(socket, "ready")
        for message in messages:
            socket.send_text(message) if isinstance(message, str) else socket.send_bytes(message)
        text = until(socket, "error")[-1]["text"]
        assert any(part in text for part in words.split("|")), text
    with serving(store) as client, client.websocket_connect("/live?page=one1") as socket:  # and the place is free again
        say(socket, "start")
        until(socket, "ready")


def test_it_has_to_begin_with_start(store: Store) -> None:
    with serving(store) as client, client.websocket_connect("/live?page=one1") as socket:
        say(socket, "stop")
        assert "say start first" in until(socket, "error")[-1]["text"]


def test_more_pictures_than_were_acknowledged_are_refused() -> None:
    run = live_run.Run(Settings(), print)
    for number in range(3):
        run.look(Picture(number, 0.1 * number, b""))
    with pytest.raises(MessageError, match="More pictures"):
        run.look(Picture(3, 0.3, b""))


def test_sound_that_piles_up_ends_the_run_instead_of_filling_the_memory() -> None:
    run = live_run.Run(Settings(), print)
    second = np.zeros(16_000, np.float32)
    with pytest.raises(MessageError, match="too slow"):
        for number in range(200):
            run.listen(Block(number, float(number), second))
    assert number == 120


def test_a_picture_that_claims_to_be_huge_is_never_decoded() -> None:
    small = jpeg(np.zeros((64, 64, 3), np.uint8))
    place = small.index(b"\xff\xc0") + 5
    huge = small[:place] + struct.pack(">HH", 65_000, 65_000) + small[place + 4 :]
    assert jpeg_size(huge) == (65_000, 65_000)
    with pytest.raises(MessageError, match="65000 x 65000 came"):
        Picture(0, 0.0, huge).decoded()


def test_sound_is_read_as_it_was_sent() -> None:
    block = read(packed(SOUND, 5, 1.25, np.array([0, 16384, -32768], "<i2").tobytes()))
    assert isinstance(block, Block)
    assert (block.number, block.time_s) == (5, 1.25)
    np.testing.assert_array_equal(block.samples, np.array([0, 0.5, -1], np.float32))


def test_colours_are_not_swapped() -> None:
    red = np.zeros((32, 32, 3), np.uint8)
    red[..., 0] = 250
    picture = Picture(0, 0.0, jpeg(red)).decoded()
    assert picture[16, 16, 0] > 200 > 60 > picture[16, 16, 2]


def test_a_page_that_goes_takes_its_run_along(store: Store) -> None:
    with serving(store) as client:
        with client.websocket_connect("/live?page=one1") as socket:
            say(socket, "start")
            until(socket, "ready")
        wait_for(lambda: not live_socket._running, "the run goes on")
    assert not [path for path in store.open("visitor", "one1").folder.rglob("*")]
