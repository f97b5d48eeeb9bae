"""Annotated video: the recording with the mesh drawn on the face, and the person made unrecognisable if wanted.

The face is followed once more, as the analysis did; what is drawn on it (active regions, PSPI, score) is the report's.
A blurred video is blurred on the safe side: the whole head, other faces too, a little before and after they are found,
and the whole picture wherever the person was not found.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from painsense import media, media_write, words
from painsense.errors import MediaError, OutputError
from painsense.follow import Follower
from painsense.landmarks import (
    LEFT_EYE_OUTER,
    RIGHT_EYE_OUTER,
    FaceNetworks,
    Image,
    Square,
    full_view,
    thread_networks,
)
from painsense.output import write_together
from painsense.palette import rgb
from painsense.report import Report
from painsense.report_mesh import FEATURES, REGIONS, STEPS, step
from painsense.tracks import FloatArray, Track, sample_period_s

FACES = ("blurred", "shown")
#: A face that the analysis knows is this much nearer to its size than any other: outer eye corners, larger over smaller
SAME_SIZE = 1.5
#: Samples further away than this many periods say nothing about a picture
REACH_SAMPLES = 1.5
#: Other faces: looked for in the whole picture each time, in enlarged views this often; a face found is covered this
#: much before and after, because a detector blinks. Detections are taken from a low score on: better one too many.
ENLARGED_EVERY_S, REACH_S, LOW_SCORE = 0.25, 0.5, 0.3
#: A head as a disc: radius over the side of the square around its landmarks (of the detector's box), and how far its
#: centre lies above that of the face, for the hair
HEAD, HEAD_OF_BOX, UP = 0.85, 1.05, 0.12
#: What is left of a head: this many cells across; a picture that is blurred as a whole has this many
CELLS, PICTURE_CELLS = 6, 12
WIRES, REGION, LINES = 0.25, 0.6, 0.8  # opacity of the mesh, of its active regions, of the lines of eyes, brows, lips

Progress = Callable[[float, float], None]


@dataclass(frozen=True)
class _Head:
    """Where a head is: a disc in pixels."""

    x_px: float
    y_px: float
    radius_px: float


@dataclass(frozen=True)
class _Seen:
    """One picture; ``points_px`` [shape=(478, 2)] is None where the analysed person was not found."""

    time_s: float
    image: Image
    points_px: FloatArray | None
    heads: tuple[_Head, ...]


def annotate(
    path: str | Path,
    report: Report,
    out: str | Path,
    *,
    face: str = "blurred",
    sound: bool = False,
    face_model: Path | None = None,
    progress: Progress | None = None,
) -> Path:
    """Draw the mesh with its active regions, PSPI and score onto a recording.

    Parameters
    ----------
    path : the recording that the report is about
    out : where to write; ``.mp4`` for video (VP9), ``.png`` for a single picture
    face : "blurred" makes the person, and others in the picture, unrecognisable; where the person was not found the
        whole picture is blurred. "shown" leaves the pictures as they are. A mesh still tells how a face is built, and
        clothes, surroundings or a voice may tell who somebody is.
    sound : take the sound along; a voice can be recognised
    face_model : path of ``face_landmarker.task``; None looks for it
    progress : called with (seconds done, seconds in all); whatever it raises ends the work, and no file is left

    Raises
    ------
    MediaError
        The recording cannot be read, has no picture, or is not the one that the report is about.
    OutputError
        The file cannot be written.

    Examples
    --------
    >>> report = painsense.analyze("clip.mp4")                                             # doctest: +SKIP
    >>> annotate("clip.mp4", report, "clip.annotated.mp4")                                 # doctest: +SKIP
    """
    if face not in FACES:
        raise ValueError(f"face: expected {' or '.join(FACES)}, got {face!r}")
    path, out = Path(path), Path(out)
    clip = media.open_media(path)
    if clip.video is None:
        raise MediaError(f"{path}: expected a picture to draw on, got sound alone; choose a video")
    if report.media.sha256 not in (None, clip.sha256):
        raise MediaError(
            f"{path}: expected {report.media.file}, which the report is about, got another file; analyse this one first"
        )
    wanted = ".png" if clip.video.still else ".mp4"
    if out.suffix.lower() != wanted:
        raise OutputError(f"{out}: expected a name that ends in {wanted}, got {out.suffix or 'none'}; rename it")
    networks = thread_networks(face_model)
    painter = _Painter(report, networks)
    seen = _covered(_follow(clip, report, networks, face == "blurred"))
    pictures = ((one.time_s, painter(one, heads, face == "blurred")) for one, heads in seen)
    if clip.video.still:
        _, picture = next(pictures)
        _, encoded = cv2.imencode(".png", picture[:, :, ::-1])
        return write_together(out.parent, {out.name: [encoded.tobytes()]})[0]
    with media_write.VideoFile(out, sound=sound and clip.audio is not None) as file:
        heard = media_write.Sound(clip, file, sound)
        for time_s, picture in pictures:
            file.add(time_s, picture)
            heard.until(time_s)
            if progress is not None:
                progress(time_s, clip.duration_s)
        heard.until(math.inf)
    return out


# --------------------------------------------------------------------------------------------------- finding the faces


def _follow(clip: media.Media, report: Report, networks: FaceNetworks, others: bool) -> Iterator[_Seen]:
    """Each picture with the analysed person's landmarks and, with ``others``, all heads in it."""
    person = report.software.settings.get("person", "largest")
    follower = Follower(networks, person if isinstance(person, int) else "largest")
    known, last = report.tracks.get("face"), -math.inf
    for time_s, image in media.read_frames(clip):
        tracked = follower.step(image, time_s).tracked
        points = tracked.points_px[:, :2] if tracked is not None else None
        heads = [] if points is None else [_head(points)]
        if others:
            views = [full_view(image)]
            if time_s - last >= ENLARGED_EVERY_S:
                views, last = [*views, *_enlarged(image)], time_s
            boxes = (found.box for view in views for found in networks.find(image, view, LOW_SCORE))
            heads += [_Head(box.x_px, box.y_px, HEAD_OF_BOX * box.side_px) for box in boxes]
        if points is not None and not _same(points, known, time_s):
            points = None
        yield _Seen(time_s, image, points, tuple(heads))


def _same(points_px: FloatArray, known: Track | None, time_s: float) -> bool:
    """Whether this is the face that the analysis measured at this time, by its size."""
    index = _sample(known, time_s)
    if known is None or index is None:
        return False
    analysed = float(known.column("face_px")[index])
    found = float(np.linalg.norm(points_px[LEFT_EYE_OUTER] - points_px[RIGHT_EYE_OUTER]))
    return max(analysed, found) <= SAME_SIZE * min(analysed, found)  # False where one is missing (NaN)


def _sample(track: Track | None, time_s: float) -> int | None:
    """The sample of a track nearest to a time; None where there is none near."""
    if track is None or not len(track):
        return None
    after = int(np.searchsorted(track.time_s, time_s))
    near = [k for k in (after - 1, after) if 0 <= k < len(track)]
    best = min(near, key=lambda k: abs(track.time_s[k] - time_s))
    reach_s = max(REACH_SAMPLES * sample_period_s(track.time_s), 1e-3)
    return best if abs(track.time_s[best] - time_s) <= reach_s else None


def _head(points_px: FloatArray) -> _Head:
    """The disc around a whole head, from the landmarks of its face."""
    low, high = points_px.min(axis=0), points_px.max(axis=0)
    side = float((high - low).max())
    up = points_px[10] - points_px[152]  # from the chin to the hair line
    x, y = (low + high) / 2 + up / max(float(np.linalg.norm(up)), 1.0) * UP * side
    return _Head(float(x), float(y), HEAD * side)


def _enlarged(image: Image) -> list[Square]:
    """Square views of the picture's short side, half over each other: faces further away are large enough there."""
    height, width = image.shape[:2]
    short, long = min(height, width), max(height, width)
    count = max(1, math.ceil(2 * (long - short) / short)) + 1
    centres = np.linspace(short / 2, long - short / 2, count)
    return [Square(c, height / 2, short) if width >= height else Square(width / 2, c, short) for c in centres]


def _covered(seen: Iterable[_Seen]) -> Iterator[tuple[_Seen, list[_Head]]]:
    """Each picture with all heads found in it and shortly before and after it."""
    waiting: deque[_Seen] = deque()  # not yet given
    past: deque[tuple[float, tuple[_Head, ...]]] = deque()

    def give(until_s: float) -> Iterator[tuple[_Seen, list[_Head]]]:
        while waiting and waiting[0].time_s + REACH_S < until_s:
            one = waiting.popleft()
            while past and past[0][0] < one.time_s - REACH_S:
                past.popleft()
            near = [*past, *((later.time_s, later.heads) for later in waiting)]
            yield one, [*one.heads, *(h for at_s, heads in near if abs(at_s - one.time_s) <= REACH_S for h in heads)]
            past.append((one.time_s, one.heads))

    for one in seen:
        waiting.append(one)
        yield from give(one.time_s)
    yield from give(math.inf)


# --------------------------------------------------------------------------------------------------------- drawing


class _Painter:
    """Draws on pictures what the report says about them."""

    def __init__(self, report: Report, networks: FaceNetworks) -> None:
        self._track = report.tracks.get("face")
        self._windows = report.windows
        self._triangles = networks.canonical.triangles
        eyes = np.isin(self._triangles, list(REGIONS["AU43"])).all(axis=1)
        names = self._track.names if self._track is not None else ()
        self._regions = {
            name: np.isin(self._triangles, list(REGIONS[name])).all(axis=1) & (~eyes | (name == "AU43"))
            for name in REGIONS
            if name in names
        }
        self._colours = [rgb(f"l{k}") for k in range(1, STEPS + 1)]

    def __call__(self, seen: _Seen, heads: list[_Head], blurred: bool) -> Image:
        """The picture with everything drawn on it; the one given is not changed."""
        index = _sample(self._track, seen.time_s)
        image = _blurred(seen, heads) if blurred else seen.image.copy()
        if seen.points_px is not None and index is not None:
            self._mesh(image, seen.points_px, index)
        self._caption(image, seen, index)
        return image

    def _mesh(self, image: Image, points_px: FloatArray, index: int) -> None:
        low = np.maximum(np.floor(points_px.min(axis=0)).astype(int) - 2, 0)
        high = np.maximum(np.ceil(points_px.max(axis=0)).astype(int) + 3, 0)
        part = image[low[1] : high[1], low[0] : high[0]]
        if not part.size:
            return
        points = np.rint((points_px - low) * 8).astype(np.int32)  # OpenCV draws in eighths of a pixel
        steps = self._steps(index)

        def blend(opacity: float, paint: Callable[[Image], object]) -> None:
            above = part.copy()
            paint(above)
            cv2.addWeighted(above, opacity, part, 1 - opacity, 0, part)

        def regions(above: Image) -> None:
            for colour in range(1, STEPS + 1):
                members = self._triangles[steps == colour]
                if len(members):
                    cv2.fillPoly(above, list(points[members]), self._colours[colour - 1], cv2.LINE_AA, 3)

        def lines(above: Image, of: Sequence[npt.NDArray[np.int32]], closed: bool) -> None:
            cv2.polylines(above, of, closed, (255, 255, 255), 1, cv2.LINE_AA, 3)

        blend(REGION, regions)
        blend(WIRES, lambda above: lines(above, list(points[self._triangles]), True))
        blend(LINES, lambda above: lines(above, [points[list(line)] for line in FEATURES], False))

    def _steps(self, index: int) -> npt.NDArray[np.int_]:
        """Colour step of each triangle: that of its strongest action unit."""
        steps = np.zeros(len(self._triangles), int)
        for name, inside in self._regions.items():
            assert self._track is not None
            value = step(name, float(self._track.column(name)[index]))
            steps[inside] = np.maximum(steps[inside], value)
        return steps

    def _caption(self, image: Image, seen: _Seen, index: int | None) -> None:
        """Time, PSPI and score, or why there are none, in a strip at the bottom."""
        height, width = image.shape[:2]
        tall = max(round(height * 0.07), 16)
        image[height - tall :] //= 8  # what is written there already must not show through
        text = f"{words.clock(seen.time_s)}   {self._said(seen, index)}"
        scale = tall / 40
        (wide, _), _ = cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, scale, 1)
        scale *= min(1.0, (width - tall) / max(wide, 1))
        place = (tall // 2, height - round(tall * 0.32))
        cv2.putText(
            image, text, place, cv2.FONT_HERSHEY_SIMPLEX, scale, (255, 255, 255), max(1, tall // 24), cv2.LINE_AA
        )

    def _said(self, seen: _Seen, index: int | None) -> str:
        track = self._track
        if track is None or index is None:
            return "not measured"
        if not track.valid[index]:
            codes = [r.code for r in track.reasons if r.blocking and r.code in track.reason_text(index).split()]
            return "not usable: " + ", ".join(words.reason_words(code, track.reasons).label for code in codes)
        said = [f"PSPI {float(track.column('pspi')[index]):.1f} of 16"]
        middles = ((abs((w.start_s + w.end_s) / 2 - seen.time_s), w.score) for w in self._windows)
        near = min(middles, default=(math.inf, None), key=lambda pair: pair[0])
        if near[0] <= 0.5 and near[1] is not None:
            said.append(f"score {near[1]:.1f} of 10")
        return "   ".join(said)


def _blurred(seen: _Seen, heads: list[_Head]) -> Image:
    """The picture without what makes the people in it recognisable."""
    height, width = seen.image.shape[:2]
    if seen.points_px is None:
        return _coarse(seen.image, max(width, height) / PICTURE_CELLS)
    if not heads:
        return seen.image.copy()
    mask = np.zeros((height, width), np.uint8)
    for head in heads:
        cv2.circle(mask, (round(head.x_px), round(head.y_px)), max(round(head.radius_px), 1), 255, -1)
    coarse = _coarse(seen.image, 2 * max(head.radius_px for head in heads) / CELLS)
    cv2.copyTo(seen.image, cv2.bitwise_not(mask), coarse)
    return coarse


def _coarse(image: Image, cell_px: float) -> Image:
    """The picture in cells of this size, smoothed."""
    height, width = image.shape[:2]
    size = max(1, round(width / max(cell_px, 1))), max(1, round(height / max(cell_px, 1)))
    small = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.resize(small, (width, height), interpolation=cv2.INTER_LINEAR), np.uint8)
