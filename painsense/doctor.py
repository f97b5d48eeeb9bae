"""``painsense doctor``: what is installed, and proof that it works, by computing things whose answer is known."""

from __future__ import annotations

import importlib
import importlib.metadata
import math
import os
import platform
import re
import tempfile
import wave
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

import painsense
from painsense import assets, providers
from painsense.errors import ModelError, PainsenseError

#: Packages whose module has another name
_MODULES = {"opencv-python-headless": "cv2", "ai-edge-litert": "ai_edge_litert.interpreter"}
#: Packages that unpack into the same folder as one of ours
_RIVALS = ("opencv-python", "opencv-contrib-python", "opencv-contrib-python-headless")

#: The drawn face of the self-test: side of the picture and centres of the irises (the person's right one first)
FACE_PX = 256
IRISES_PX = ((100, 118), (156, 118))
#: How far the networks may place an iris from where it was drawn, in pixels; they manage 2
IRIS_TOLERANCE_PX = 5.0
#: It looks straight ahead; how far it may seem turned
TURNED_DEG = 5.0
#: The voice of the self-test: its pitch, its length, its sample rate
TONE_HZ, TONE_S, RATE_HZ = 220.0, 1.5, 16_000


@dataclass(frozen=True)
class Finding:
    """One line of the examination. ``ok`` is None for what is good to know but neither right nor wrong."""

    topic: str
    name: str
    ok: bool | None
    text: str


def examine() -> Iterator[Finding]:
    """Everything worth knowing about this installation, fastest first."""
    yield Finding("system", "painsense", None, f"{painsense.__version__} in {Path(painsense.__file__).parent}")
    yield Finding("system", "python", None, f"{platform.python_version()} on {platform.platform(terse=True)}")
    yield Finding("system", "cores", None, str(os.cpu_count()))
    yield from _packages()
    yield from _models()
    yield from _providers()
    for name, test in (
        ("an empty picture", _empty_picture),
        ("a drawn face", _drawn_face),
        ("a picture file", _picture_file),
        ("a sound file", _sound_file),
    ):
        yield _tried("self-test", name, test)


def drawn_face() -> npt.NDArray[np.uint8]:
    """A simple face that the face networks take for one, ndarray [shape=(256, 256, 3), RGB].

    Its irises are at :data:`IRISES_PX`, so it is a test with a known answer, and nobody's picture has to be shipped.
    """
    import cv2

    picture = np.full((FACE_PX, FACE_PX, 3), 125, np.uint8)

    def oval(
        centre: tuple[int, int],
        radii: tuple[int, int],
        colour: tuple[int, int, int],
        arc_deg: tuple[int, int] = (0, 360),
        line_px: int = cv2.FILLED,
    ) -> None:
        cv2.ellipse(picture, centre, radii, 0, *arc_deg, colour, line_px, cv2.LINE_AA)

    oval((128, 118), (72, 92), (60, 40, 30))  # hair
    oval((128, 134), (62, 82), (224, 172, 140))  # face
    for x, y in IRISES_PX:
        oval((x, y), (14, 7), (250, 250, 250))  # eye
        oval((x, y), (6, 6), (60, 40, 20))  # iris
        oval((x, y), (14, 7), (90, 60, 50), (180, 360), 2)  # lid
        oval((x, y - 14), (17, 5), (60, 40, 30), (190, 350), 4)  # brow
    oval((128, 150), (12, 5), (180, 120, 100), (0, 180), 3)  # nose
    oval((128, 176), (24, 7), (170, 70, 70))  # mouth
    return cv2.GaussianBlur(picture, (0, 0), 1.2).astype(np.uint8)


def _packages() -> Iterator[Finding]:
    """The packages painsense needs, each really loaded, and what extras are there."""
    try:
        requirements = importlib.metadata.requires("painsense") or []
    except importlib.metadata.PackageNotFoundError:
        yield Finding(
            "packages", "painsense", None, "not installed, run from its source folder; pip install . checks more"
        )
        return
    for requirement in requirements:
        name = re.split(r"[^\w.-]", requirement, maxsplit=1)[0]
        extra = re.search(r"extra == ['\"](\w+)", requirement)
        if extra is None:
            yield _tried("packages", name, lambda name=name: _load(name))  # type: ignore[misc]
        elif extra[1] != "dev" and (version := _version(name)):
            yield Finding("packages", name, None, f"{version} (extra: {extra[1]})")
    for rival in _RIVALS:
        if version := _version(rival):
            text = "shares the folder cv2 with opencv-python-headless; better keep it in an environment of its own"
            yield Finding("packages", rival, None, f"{version} {text}")


def _models() -> Iterator[Finding]:
    """The model files, and what would be done about a missing one."""
    manifest = assets.manifest()
    for entry in (*manifest.external, *manifest.installed):
        try:
            asset = assets.find(entry)
            text = f"{asset.version}, SHA-256 {asset.sha256[:12]}... is right, {asset.path} ({asset.found})"
            yield Finding("models", entry.name, True, text)
        except ModelError as error:
            yield Finding("models", entry.name, False, str(error))
    yield _tried("models", "action units", _fitting_network)
    yield _tried("models", "score", _fitting_fusion)
    network = "downloads are forbidden (PAINSENSE_OFFLINE)" if assets.offline() else "a missing model may be downloaded"
    yield Finding("models", "network", None, f"{network}; nothing else ever uses the network")
    yield Finding("models", "cache", *_cache())


def _fitting_network() -> str:
    """The action unit network loads, and reads what this version measures."""
    from painsense.action_units import estimator

    spec = estimator().spec
    return f"action_units {spec.version} gives {len(spec.targets)} action units from {len(spec.features)} values"


def _fitting_fusion() -> str:
    """The fusion network loads, fits the other models, and says what its score means."""
    from painsense.fusion import Fusion

    network = Fusion.load(assets.read_fusion_model())
    low, high = network.label_scale
    return f"{network.spec.name} {network.spec.version}, label {network.label_kind} {low:g} to {high:g}"


def _cache() -> tuple[bool | None, str]:
    """Whether the cache could be written. Not being able to is no fault by itself: it is needed for downloads only."""
    folder = assets.cache_dir()
    existing = next(place for place in (folder, *folder.parents) if place.exists())
    try:
        with tempfile.TemporaryFile(dir=existing):
            return True, f"{folder} can be written"
    except OSError as error:
        return None, f"{folder} cannot be written ({error.strerror}); needed only to download a model"


def _providers() -> Iterator[Finding]:
    """Where networks can be computed. Only the CPU is needed."""
    for name, fault in providers.providers().items():
        ok = not fault or (False if name == "cpu" else None)
        yield Finding("providers", name, ok, fault.removeprefix(f"{name}: ") or "works")


def _empty_picture() -> str:
    from painsense.landmarks import detect

    if detect(np.full((360, 640, 3), 128, np.uint8)) is not None:
        raise PainsenseError("a face was seen in a grey picture; install painsense and its packages again")
    return "no face seen, as it should be"


def _drawn_face() -> str:
    from painsense.landmarks import detect

    face = detect(drawn_face())
    if face is None:
        raise PainsenseError("the face was not found; install painsense and its packages again")
    # landmarks 468 and 473 are the centres of the irises
    far_px = max(
        math.dist(face.landmarks[index, :2] * FACE_PX, iris) for index, iris in zip((468, 473), IRISES_PX, strict=True)
    )
    if far_px > IRIS_TOLERANCE_PX:
        raise PainsenseError(
            f"an iris was found {far_px:.1f} px from its place, at most {IRIS_TOLERANCE_PX:.0f} were expected; "
            "install painsense and its packages again"
        )
    return f"found, its irises within {far_px:.1f} px"


def _picture_file() -> str:
    """From the file to the report: the drawn face, which is usable and turned nowhere."""
    import cv2

    from painsense.action_units import NAMES
    from painsense.pipeline import Settings, analyze

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "face.png"
        path.write_bytes(cv2.imencode(".png", cv2.cvtColor(drawn_face(), cv2.COLOR_RGB2BGR))[1].tobytes())
        report = analyze(path, Settings(modalities=("face",)))
    turned_deg = float(np.abs(report.tracks["face"].column("yaw_deg")).max())
    if report.quality.face_usable_share != 1 or not turned_deg < TURNED_DEG:
        raise PainsenseError(
            f"a usable face turned by less than {TURNED_DEG:.0f} degrees was expected, one turned by {turned_deg:.1f} "
            f"degrees came, usable for {report.quality.face_usable_share:.0%}; install painsense and its packages again"
        )
    seen = report.tracks["face"]
    units = np.array([seen.column(name)[0] for name in NAMES])
    if not ((units >= 0) & (units <= 5)).all():
        raise PainsenseError(
            f"action units from 0 to 5 were expected, {units.min():.1f} to {units.max():.1f} came; install painsense "
            "again"
        )
    return f"read, measured and reported; turned by {turned_deg:.1f} degrees, {len(units)} action units"


def _sound_file() -> str:
    """From the file to the report: a voice of known pitch."""
    from painsense.pipeline import Settings, analyze

    time_s = np.arange(int(TONE_S * RATE_HZ)) / RATE_HZ
    # a voice is rich in harmonics; after 0.2 s of silence, which says how loud the recording is by itself
    tone = sum(np.sin(2 * np.pi * TONE_HZ * k * time_s) / k for k in range(1, 11))
    samples = (6000 * tone * (time_s > 0.2)).astype("<i2")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "tone.wav"
        with wave.open(str(path), "wb") as file:
            file.setparams((1, 2, RATE_HZ, len(samples), "NONE", ""))
            file.writeframes(samples.tobytes())
        report = analyze(path, Settings(modalities=("voice",)))
    heard_hz = float(np.nanmedian(report.tracks["voice"].column("f0_hz")))
    if not abs(heard_hz - TONE_HZ) < 0.01 * TONE_HZ:
        raise PainsenseError(
            f"a pitch of {TONE_HZ:.0f} Hz was expected, {heard_hz:.1f} Hz came; install painsense again"
        )
    return f"read, measured and reported; pitch {heard_hz:.1f} Hz"


def _tried(topic: str, name: str, test: Callable[[], str]) -> Finding:
    """Run one test; whatever it raises is its finding."""
    try:
        return Finding(topic, name, True, test())
    except Exception as error:  # a broken package can raise anything, and the examination must go on
        return Finding(topic, name, False, " ".join(f"{type(error).__name__}: {error}".split()))


def _load(name: str) -> str:
    if name == "onnxruntime":
        providers.runtime()  # the one package that must not be loaded just so
    importlib.import_module(_MODULES.get(name, name.replace("-", "_")))
    return _version(name) or "loads, but its version is not known"


def _version(name: str) -> str:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return ""
