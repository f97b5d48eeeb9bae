"""The reference engine, and how far the usual engine is from it.

What concerns the child process is tested with a make-believe mediapipe, so everywhere. Parity needs the real one:
``make test-reference`` runs this file in an environment that has it (``ARGS=-rP`` shows the figures). There
``PAINSENSE_REQUIRE_REFERENCE=1`` turns tests skipped for want of it into failures.
"""

from __future__ import annotations

import csv
import importlib.util
import os
import shutil
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

import numpy as np
import pytest

from painsense import media, reference
from painsense.canonical import angles_deg, pose_deg
from painsense.errors import ModelError
from painsense.follow import Follower
from painsense.landmarks import BLENDSHAPES, LEFT_EYE_OUTER, RIGHT_EYE_OUTER, thread_networks
from painsense.pipeline import Settings, analyze
from painsense.reference import ReferenceEngine
from tests.test_no_network import reached_out, traced

POSE = ("yaw_deg", "pitch_deg", "roll_deg")
ROOT = Path(reference.__file__).resolve().parent.parent


def _missing(what: str, required: bool) -> NoReturn:
    if required:
        pytest.fail(f"needs {what}")
    pytest.skip(f"needs {what}")


@pytest.fixture
def real_mediapipe() -> None:
    if importlib.util.find_spec("mediapipe") is None:
        required = os.environ.get("PAINSENSE_REQUIRE_REFERENCE") == "1"
        _missing("mediapipe, best in an environment of its own: make test-reference", required)


# ---------------------------------------------------------------------------------------------------------- parity


@dataclass(frozen=True)
class Parity:
    """How two engines differ on the frames of one clip. Distances are in % of the outer-eye-corner distance."""

    frames: int
    only_one: int
    distance: np.ndarray  # of frames where both found a face: mean over landmarks
    blendshape: np.ndarray  # (n, 52) absolute differences
    time_s: np.ndarray  # (n,)
    ours_deg: np.ndarray  # (n, 3) yaw, pitch, roll
    theirs_deg: np.ndarray

    def __str__(self) -> str:
        pose = np.median(np.abs(self.ours_deg - self.theirs_deg), axis=0)
        return (
            f"{self.frames} frames, {self.only_one} seen by one engine only; "
            f"landmarks {np.median(self.distance):.2f}% (p95 {np.percentile(self.distance, 95):.2f}%); "
            f"blendshapes {np.median(self.blendshape):.4f} (worst {np.median(self.blendshape, axis=0).max():.3f}); "
            f"yaw {pose[0]:.1f}, pitch {pose[1]:.1f}, roll {pose[2]:.1f} deg"
        )


def parity(clip: Path) -> Parity:
    networks = thread_networks()
    ours, theirs = Follower(networks), ReferenceEngine()
    frames = only_one = 0
    distance, blendshape, times_s, ours_deg, theirs_deg = [], [], [], [], []
    for time_s, image in media.read_frames(media.open_media(clip)):
        seen, found = ours.step(image, time_s).tracked, theirs.find(image, time_s)
        frames += 1
        only_one += (seen is None) != (found is None)
        if seen is None or found is None:
            continue
        apart = np.linalg.norm(seen.points_px[:, :2] - found.points_px[:, :2], axis=1).mean()
        across = found.points_px[RIGHT_EYE_OUTER] - found.points_px[LEFT_EYE_OUTER]
        distance.append(100 * apart / np.linalg.norm(across[:2]))
        blendshape.append(np.abs(seen.blendshapes - found.blendshapes))
        times_s.append(time_s)
        rotation = found.transform[:3, :3] / np.linalg.norm(found.transform[:3, :3], axis=0)
        ours_deg.append(pose_deg(seen.points_px[None], networks.canonical)[0])
        theirs_deg.append(angles_deg(rotation[None])[0])
    theirs.close()
    return Parity(frames, only_one, *map(np.array, (distance, blendshape, times_s, ours_deg, theirs_deg)))


def _check(clip: Path) -> Parity:
    measured = parity(clip)
    print(f"{clip.name}: {measured}")
    assert len(measured.distance) > 50
    assert measured.only_one <= 0.03 * measured.frames
    assert np.median(measured.distance) < 1.0
    assert np.percentile(measured.distance, 95) < 2.0
    assert np.median(measured.blendshape) < 0.05
    assert np.median(measured.blendshape, axis=0).max() < 0.06  # of each of the 52: none is taken for another
    # MediaPipe fits a camera in space, painsense the canonical face without perspective: some degrees lie between them
    facing = np.abs(measured.theirs_deg[:, 0]) < 30
    apart_deg = np.abs(measured.ours_deg - measured.theirs_deg)[facing]
    assert np.all(np.median(apart_deg, axis=0) < 5)
    assert np.all(np.percentile(apart_deg, 95, axis=0) < 8)
    assert "mediapipe" not in sys.modules
    return measured


@pytest.mark.usefixtures("real_mediapipe")
@pytest.mark.parametrize("name", ["single_face.mp4", "baseline.mp4", "bbaf2n.mpg", "swiz3n.mpg", "face_noface.mov"])
def test_parity_on_real_faces(name: str, shared_data: Path) -> None:
    _check(shared_data / "clips" / name)


@pytest.mark.usefixtures("real_mediapipe")
def test_parity_on_rendered_faces(sample_clip: Path) -> None:
    measured = _check(sample_clip)
    with sample_clip.with_suffix(".truth.csv").open(newline="") as file:
        truth = {float(row["time_s"]): [float(row[name] or "nan") for name in POSE] for row in csv.DictReader(file)}
    times_s = np.array(list(truth))
    true_deg = np.array([truth[times_s[np.abs(times_s - time_s).argmin()]] for time_s in measured.time_s])
    facing = np.abs(true_deg[:, 0]) < 45
    for engine, engine_deg in (("litert", measured.ours_deg), ("mediapipe", measured.theirs_deg)):
        error_deg = np.abs(engine_deg - true_deg)[facing].mean(axis=0)
        print(f"{engine}: mean error to the true yaw, pitch and roll {error_deg.round(1)} deg")
        assert np.all(error_deg < 5)


@pytest.mark.usefixtures("real_mediapipe")
def test_both_engines_give_the_same_report(shared_data: Path) -> None:
    clip = shared_data / "clips" / "single_face.mp4"
    ours, theirs = (
        analyze(clip, Settings(modalities=("face",), face_engine=engine)) for engine in ("litert", "mediapipe")
    )
    assert theirs.software.face_engine == "mediapipe"
    assert theirs.quality.face_usable_share == pytest.approx(ours.quality.face_usable_share, abs=0.03)
    assert ours.clip.pspi is not None and theirs.clip.pspi is not None
    assert theirs.clip.pspi.mean == pytest.approx(ours.clip.pspi.mean, abs=0.3)
    smile = [report.tracks["face"].column("AU12") for report in (ours, theirs)]
    assert np.corrcoef(*smile)[0, 1] > 0.95


@pytest.mark.usefixtures("real_mediapipe")
def test_other_faces_are_told(shared_data: Path) -> None:
    two = [media.open_media(shared_data / "clips" / name) for name in ("bbaf2n.mpg", "swiz3n.mpg")]
    one, other = (next(media.read_frames(clip))[1] for clip in two)
    engine = ReferenceEngine()
    alone = engine.step(np.concatenate([one, np.zeros_like(one)], axis=1), 0.0)
    assert alone.tracked is not None and alone.other_face == 0
    assert engine.step(np.concatenate([one, other], axis=1), 0.5).other_face > 0.5


@pytest.mark.usefixtures("real_mediapipe")
def test_nothing_leaves_the_machine(tmp_path: Path, sample_clip: Path) -> None:
    strace = shutil.which("strace") or _missing("strace", os.environ.get("CI") == "true")
    script = f"""
        import time
        from pathlib import Path
        from painsense import media
        from painsense.reference import ReferenceEngine
        frames = media.read_frames(media.open_media(Path({str(sample_clip)!r})), 0.0, 1.0)
        engine = ReferenceEngine()
        assert any(engine.step(image, time_s).tracked for time_s, image in frames)
        time.sleep(2)  # MediaPipe sends its report from a thread of its own
        engine.close()
    """
    done, trace = traced(strace, tmp_path / "trace", sys.executable, "-c", textwrap.dedent(script))
    assert done.returncode == 0, done.stderr
    assert trace.count("exited with 0") >= 2, "the child was not watched"
    assert reached_out(trace) == []


# -------------------------------------------------------------------------------------- the child, with any mediapipe

#: What a picture's first pixel asks of the make-believe MediaPipe
NO_FACE, FACE, CRASH, RAISE = range(4)

#: Its "transformation matrix" tells what it was given: time in ms, landmarkers made so far, its process, and whether
#: the picture was whole and every proxy dead
MAKE_BELIEVE = {
    "__init__.py": """
        class ImageFormat:
            SRGB = 1

        class Image:
            def __init__(self, image_format, data):
                assert data.flags["C_CONTIGUOUS"], "real mediapipe would misread this"
                self.data = data
    """,
    "tasks/__init__.py": "",
    "tasks/python/__init__.py": """
        class BaseOptions:
            def __init__(self, model_asset_path):
                self.model_asset_path = model_asset_path
    """,
    "tasks/python/vision.py": """
        import os, sys
        from types import SimpleNamespace
        from painsense.landmarks import BLENDSHAPES

        class RunningMode:
            VIDEO = "video"

        class FaceLandmarkerOptions(SimpleNamespace):
            pass

        class FaceLandmarker:
            made = 0

            @classmethod
            def create_from_options(cls, options):
                print("chatter on standard output")
                cls.made += 1
                return cls()

            def close(self):
                pass

            def detect_for_video(self, image, time_ms):
                asked = image.data[0, 0, 0]
                if asked == 2:
                    print("out of luck", file=sys.stderr, flush=True)
                    os._exit(7)
                if asked == 3:
                    raise RuntimeError("the graph has a fault")
                dead = all(os.environ[name] == "http://127.0.0.1:9" for name in ("http_proxy", "HTTPS_PROXY"))
                told = [time_ms, self.made, os.getpid(), dead and "no_proxy" not in os.environ]
                points = [SimpleNamespace(x=k / 1000, y=k / 2000, z=-k / 4000) for k in range(478)]
                shapes = [SimpleNamespace(category_name=name, score=k / 100) for k, name in enumerate(BLENDSHAPES)]
                return SimpleNamespace(
                    face_landmarks=[points] if asked else [],
                    face_blendshapes=[shapes[::-1]],
                    facial_transformation_matrixes=[[told] * 4],
                )
    """,
}


@pytest.fixture
def make_believe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A package mediapipe that does what its pictures ask."""
    for name, source in MAKE_BELIEVE.items():
        file = tmp_path / "mediapipe" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(textwrap.dedent(source))
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("no_proxy", "*")
    monkeypatch.setattr(reference, "_thread", threading.local())  # no process of an earlier test
    yield tmp_path
    assert "mediapipe" not in sys.modules


def picture(asked: int, width: int = 64, height: int = 48) -> np.ndarray:
    return np.full((height, width, 3), asked, np.uint8)


def told(engine: ReferenceEngine, time_s: float = 0.0) -> list[float]:
    found = engine.find(picture(FACE), time_s)
    assert found is not None
    return found.transform[0].tolist()


@pytest.mark.usefixtures("make_believe")
def test_points_are_in_pixels_and_blendshapes_in_order() -> None:
    engine = ReferenceEngine()
    found = engine.find(picture(FACE, width=400, height=200), 0.0)
    assert found is not None
    assert found.points_px[100] == pytest.approx([100 / 1000 * 400, 100 / 2000 * 200, -100 / 4000 * 400])
    assert found.blendshapes == pytest.approx(np.arange(len(BLENDSHAPES)) / 100)
    assert engine.find(picture(NO_FACE), 0.1) is None
    assert engine.step(picture(NO_FACE), 0.2).tracked is None


@pytest.mark.usefixtures("make_believe")
def test_times_always_rise() -> None:
    engine = ReferenceEngine()
    assert [told(engine, time_s)[0] for time_s in (7.5, 7.5001, 7.5002, 7.54, 7.541)] == [0, 1, 2, 40, 41]


@pytest.mark.usefixtures("make_believe")
def test_a_picture_with_gaps_in_memory_arrives_whole() -> None:
    wide = np.repeat(picture(FACE), 2, axis=1)
    assert ReferenceEngine().find(wide[:, ::2], 0.0) is not None


@pytest.mark.usefixtures("make_believe")
def test_every_proxy_of_the_child_is_dead() -> None:
    assert told(ReferenceEngine())[3] == 1


@pytest.mark.usefixtures("make_believe")
def test_each_engine_starts_anew_in_the_same_process() -> None:
    first = ReferenceEngine()
    _, made, process, _ = told(first, 3.0)
    first.close()
    second = ReferenceEngine()
    assert told(second, 9.0) == [0, made + 1, process, 1]
    third = ReferenceEngine()  # while the second is in use
    assert told(third)[2] != process
    assert told(second, 9.1)[1] == made + 1
    with pytest.raises(ValueError, match="closed"):
        first.find(picture(FACE), 0.0)


@pytest.mark.usefixtures("make_believe")
def test_a_crash_is_told_and_does_not_last() -> None:
    engine = ReferenceEngine()
    with pytest.raises(ModelError, match=r"ended in the middle .*\(exit code 7, its last words: out of luck\)"):
        engine.step(picture(CRASH), 0.0)
    engine.close()
    assert told(ReferenceEngine())[1] == 1


@pytest.mark.usefixtures("make_believe")
def test_what_mediapipe_raises_is_told() -> None:
    with pytest.raises(ModelError, match="the graph has a fault"):
        ReferenceEngine().step(picture(RAISE), 0.0)


def test_a_mediapipe_that_cannot_be_loaded_is_told(make_believe: Path) -> None:
    (make_believe / "mediapipe" / "__init__.py").write_text("raise ImportError('libGL.so.1: cannot open')")
    with pytest.raises(ModelError, match=r"libGL\.so\.1"):
        ReferenceEngine()


def test_without_mediapipe_the_error_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    find_spec = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "mediapipe" else find_spec(name))
    with pytest.raises(ModelError, match=r"not installed; pip install 'painsense\[mediapipe\]'"):
        ReferenceEngine()


@pytest.mark.usefixtures("make_believe")
@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
def test_the_child_ends_when_its_parent_is_killed() -> None:
    script = """
        import numpy as np, os, signal
        from painsense.reference import ReferenceEngine
        found = ReferenceEngine().find(np.ones((48, 64, 3), np.uint8), 0.0)
        print(int(found.transform[0, 2]), flush=True)
        os.kill(os.getpid(), signal.SIGKILL)
    """
    parent = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)], cwd=ROOT, stdout=subprocess.PIPE, timeout=60, check=False
    )
    child = int(parent.stdout)
    deadline = time.monotonic() + 20
    while _running(child):
        assert time.monotonic() < deadline, "the child outlives its parent"
        time.sleep(0.05)


def _running(pid: int) -> bool:
    """Whether a process is at work; an ended one whose parent has not asked yet is not."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    state = Path(f"/proc/{pid}/stat")
    return not state.exists() or state.read_text().rpartition(")")[2].split()[0] != "Z"
