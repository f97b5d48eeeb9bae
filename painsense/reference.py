"""The reference engine: the same face networks, run by MediaPipe's own runtime (``--face-engine mediapipe``).

It is what :mod:`painsense.landmarks` is compared with, and slower. MediaPipe's wheels report usage to Google as soon as
a FaceLandmarker is made, and no option turns that off (google-ai-edge/mediapipe, issue 6291). So MediaPipe is only ever
loaded in a child process whose environment names a proxy that is not there: what it wants to send goes nowhere, and not
even a name is looked up. The process that works on the recording never imports it.

What differs from the usual engine: MediaPipe smooths the points over time, cannot be told whom to follow, does not tell
how sure it is that there is a face, and does not search in turned or enlarged views.
"""

from __future__ import annotations

import contextlib
import importlib.util
import math
import os
import pickle
import re
import subprocess
import sys
import tempfile
import threading
import weakref
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, BinaryIO

import cv2
import numpy as np

from painsense import assets
from painsense.errors import ModelError
from painsense.follow import LOOK_AROUND_S, Seen, largest_other, light
from painsense.landmarks import (
    BLENDSHAPES,
    CROP_PX,
    Image,
    Tracked,
    full_view,
    next_square,
    thread_networks,
)
from painsense.tracks import FloatArray

DEAD_PROXY = "http://127.0.0.1:9"  # port 9, "discard": nobody listens there
PROXY_VARIABLES = ("http_proxy", "https_proxy", "all_proxy")
GOODBYE_S = 5.0  # how long the child may take to end by itself

INSTALL = "pip install 'painsense[mediapipe]', best in an environment of its own, or use --face-engine litert"

#: What the child runs: this module, from the folder it was loaded from here
_CHILD = (
    "import sys; root, model = sys.argv[1:]; sys.path[:0] = [] if root in sys.path else [root]; "
    "from painsense.reference import serve; serve(model)"
)

#: What MediaPipe's logging writes even when all is well: information and warnings
_CHATTER = re.compile(r"INFO|WARNING|[IW]\d{4} ")


@dataclass(frozen=True)
class Found:
    """A face as MediaPipe gives it.

    Attributes
    ----------
    points_px : ndarray [shape=(478, 3), float32, px]
    blendshapes : ndarray [shape=(52,), float32, 0-1], in the order of :data:`painsense.landmarks.BLENDSHAPES`
    transform : ndarray [shape=(4, 4), float32], MediaPipe's facial transformation matrix: canonical face to camera, cm
    """

    points_px: FloatArray
    blendshapes: FloatArray
    transform: FloatArray


class ReferenceEngine:
    """MediaPipe's FaceLandmarker on frames given in order (VIDEO mode, one face); a :class:`painsense.follow.Engine`.

    Each engine has a FaceLandmarker of its own, so that nothing is carried over from what was seen before. The process
    it runs in is kept for the next engine of the same thread, because starting one takes seconds.

    Parameters
    ----------
    face_model : path of Google's ``face_landmarker.task``; None looks for it (see :func:`painsense.assets.face_model`)

    Raises
    ------
    ModelError : MediaPipe is not installed, or cannot be run; the same from :meth:`find` and :meth:`step` when it ends
    """

    def __init__(self, face_model: Path | None = None) -> None:
        check()
        self._networks = thread_networks(face_model)
        model = assets.face_model(face_model).path
        idle: _Runtime | None = getattr(_thread, "idle", None)
        _thread.idle = None
        self._runtime: _Runtime | None = idle if idle and idle.model == model else _Runtime(model)
        self._runtime.begin()
        self._first_s: float | None = None
        self._last_ms = -1
        self._tick = -math.inf
        self._other: float | None = None

    def find(self, image: Image, time_s: float) -> Found | None:
        """MediaPipe's face in the next frame, or None."""
        if self._runtime is None:
            raise ValueError("reference engine: this one was closed; make another")
        if self._first_s is None:
            self._first_s = time_s
        # MediaPipe counts in whole milliseconds, which must rise
        self._last_ms = max(round((time_s - self._first_s) * 1000), self._last_ms + 1)
        return self._runtime.find(self._last_ms, np.ascontiguousarray(image))

    def step(self, image: Image, time_s: float) -> Seen:
        """MediaPipe's face in the next frame, as :meth:`painsense.follow.Follower.step` gives it.

        ``presence`` is NaN: FaceLandmarker keeps it to itself. Other faces are looked for by painsense's own detector.
        """
        height, width = image.shape[:2]
        tick = math.floor(time_s / LOOK_AROUND_S)
        due, self._tick = tick > self._tick, tick
        found = self.find(image, time_s)
        if found is None:
            self._other = None
            return Seen(time_s, width, height, None, None, 0.0)
        crop = next_square(found.points_px).crop(image, CROP_PX, cv2.BORDER_REPLICATE)
        tracked = Tracked(found.points_px, math.nan, found.blendshapes, crop)
        if due or self._other is None:
            self._other = largest_other(self._networks.find(image, full_view(image)), tracked.square)
        return Seen(time_s, width, height, tracked, light(crop), self._other)

    def close(self) -> None:
        """Leave the process to the next engine of this thread."""
        runtime, self._runtime = self._runtime, None
        if runtime is not None and runtime.alive:
            _thread.idle = runtime


def check() -> None:
    """ModelError when MediaPipe is not installed. Does not import it."""
    if importlib.util.find_spec("mediapipe") is None:
        raise ModelError(f"reference engine: expected the package mediapipe, but it is not installed; {INSTALL}")


class _Runtime:
    """The child process. Requests and answers are pickled, one answer a request; it ends when its input does."""

    def __init__(self, model: Path) -> None:
        self.model = model
        self._log = tempfile.TemporaryFile()  # noqa: SIM115 - what MediaPipe says; shown when it fails, closed by _end
        root = str(Path(__file__).resolve().parent.parent)
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-c", _CHILD, root, str(model)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            env=_environment(),
        )
        self._end = weakref.finalize(self, _end, self._process, self._log)

    @property
    def alive(self) -> bool:
        return self._end.alive

    def begin(self) -> None:
        """A new FaceLandmarker."""
        self._ask(None)

    def find(self, time_ms: int, image: Image) -> Found | None:
        answer = self._ask((time_ms, image))
        return answer if isinstance(answer, Found) else None

    def _ask(self, request: object) -> object:
        """The child's answer; ModelError when it is one that tells of a failure, or none comes."""
        assert self._process.stdin is not None and self._process.stdout is not None
        try:
            pickle.dump(request, self._process.stdin, protocol=5)
            self._process.stdin.flush()
            answer = pickle.load(self._process.stdout)
        except (OSError, EOFError, pickle.UnpicklingError):
            said = self._last_words()
            self._end()
            raise ModelError(
                "reference engine: MediaPipe's process ended in the middle of the work "
                f"(exit code {self._process.returncode}{said}); try again, or use --face-engine litert"
            ) from None
        except BaseException:  # stopped half-way: what comes next would be the answer to this request
            self._end()
            raise
        if isinstance(answer, str):
            self._end()
            raise ModelError(f"reference engine: {answer}")
        return answer

    def _last_words(self) -> str:
        """The last line the child wrote, if any, to be put into a message."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(GOODBYE_S)
        self._log.seek(0)
        lines = [line.strip() for line in self._log.read().decode(errors="replace").splitlines()]
        said = [line for line in lines if line and not _CHATTER.match(line)]
        return f", its last words: {said[-1][:300]}" if said else ""


#: ``idle``: the process of this thread that no engine uses
_thread = threading.local()


def _environment() -> dict[str, str]:
    """The environment of the child: ours, with every proxy a dead one and no exceptions from it."""
    names = {*PROXY_VARIABLES, *(name.upper() for name in PROXY_VARIABLES)}
    kept = {name: value for name, value in os.environ.items() if name.lower() not in (*PROXY_VARIABLES, "no_proxy")}
    return kept | dict.fromkeys(sorted(names), DEAD_PROXY)


def _end(process: subprocess.Popen[bytes], log: IO[bytes]) -> None:
    """End a child: its input closes; one that does not heed that is killed."""
    assert process.stdin is not None and process.stdout is not None
    with contextlib.suppress(OSError):  # a broken pipe: the child has gone before its last request was written
        process.stdin.close()
    try:
        process.wait(GOODBYE_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    process.stdout.close()
    log.close()


# ------------------------------------------------------------------------------------------------------- in the child


def serve(model: str) -> None:
    """Answer requests on standard input until it ends: None, a new FaceLandmarker; (time in ms, image), Found or None.

    An answer that is text says what failed.
    """
    import signal

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's business; when it goes, the input ends
    requests: BinaryIO = sys.stdin.buffer
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # nothing that libraries print gets between the answers
    landmarker: Any = None
    while True:
        try:
            request = pickle.load(requests)
        except EOFError:
            os._exit(0)  # MediaPipe's tear-down at the end of a process has nothing to do for us and can fail
        answer: object
        try:
            if request is None:
                landmarker = _new_landmarker(model, landmarker)
                answer = None
            else:
                answer = _found(landmarker, *request)
        except Exception as error:  # whatever MediaPipe raises is said on the other side
            text = " ".join(f"{type(error).__name__}: {error}".split())
            answer = f"MediaPipe could not be run ({text[:500]}); install it again: {INSTALL}"
        pickle.dump(answer, answers, protocol=5)
        answers.flush()


def _new_landmarker(model: str, old: Any) -> Any:
    if os.environ.get("https_proxy") != DEAD_PROXY:
        raise RuntimeError("refused to load MediaPipe in a process from which it could reach the network")
    from mediapipe.tasks.python import BaseOptions, vision

    if old is not None:
        old.close()
    return vision.FaceLandmarker.create_from_options(
        vision.FaceLandmarkerOptions(
            base_options=BaseOptions(model_asset_path=model),
            running_mode=vision.RunningMode.VIDEO,
            num_faces=1,
            output_face_blendshapes=True,
            output_facial_transformation_matrixes=True,
        )
    )


def _found(landmarker: Any, time_ms: int, image: Image) -> Found | None:
    import mediapipe

    # mediapipe 1.2 reads the array's memory without regard to its strides: it must be contiguous, and here it is
    picture = mediapipe.Image(image_format=mediapipe.ImageFormat.SRGB, data=image)
    result = landmarker.detect_for_video(picture, time_ms)
    if not result.face_landmarks:
        return None
    height, width = image.shape[:2]
    points = np.array([(point.x, point.y, point.z) for point in result.face_landmarks[0]], np.float32)
    scores = {shape.category_name: shape.score for shape in result.face_blendshapes[0]}
    return Found(
        points * np.array([width, height, width], np.float32),
        np.array([scores[name] for name in BLENDSHAPES], np.float32),
        np.asarray(result.facial_transformation_matrixes[0], np.float32),
    )
