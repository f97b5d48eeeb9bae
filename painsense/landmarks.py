"""Frames -> 478 face landmarks, 52 blendshapes and head pose, by MediaPipe's networks run on LiteRT.

Google's Face Landmarker bundle holds three small networks (Apache-2.0): a face detector, a landmark network and a
blendshape network. This file is the glue between them: where to crop, how to turn the crop's points into the
picture's points, and how to follow one person from frame to frame. MediaPipe's own runtime does the same but reports
usage to Google, so it is only kept as a reference (:mod:`painsense.reference`).

Left and right are always the person's own. The picture must not be mirrored.

References
----------
Kartynnik et al. 2019, "Real-time Facial Surface Geometry from Monocular Video on Mobile GPUs", arXiv:1907.06724.
Bazarevsky et al. 2019, "BlazeFace", arXiv:1907.05047.
Grishchenko et al. 2023, "Blendshapes GHUM", arXiv:2309.05782.
"""

from __future__ import annotations

import functools
import math
import os
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from painsense import assets
from painsense.canonical import CanonicalFace, pose_deg
from painsense.errors import ModelError

Image = npt.NDArray[np.uint8]  # (h, w, 3) RGB
FloatArray = npt.NDArray[np.float32]

N_LANDMARKS = 478
CROP_PX = 256  # side of the landmark network's input
DETECTOR_PX = 128  # side of the detector's input
DETECTION_SCORE = 0.5  # MediaPipe's default min_face_detection_confidence
SEARCH_SCORE = 0.6  # stricter where a turned or enlarged view is searched: those see more that is not a face
PRESENCE = 0.5  # MediaPipe's default min_face_presence_confidence
OVERLAP = 0.3  # boxes that overlap more than this (intersection over union) are one face
DETECTION_MARGIN = 2.0  # crop side over the detector's box
SAME_FACE_SIDES = 0.5  # faces nearer to each other than half a face are one
TRACKING_MARGIN = 1.5  # crop side over the points' bounding square

RIGHT_EYE_OUTER, LEFT_EYE_OUTER = 33, 263

#: the 52 blendshapes in the network's order
BLENDSHAPES: tuple[str, ...] = (
    "_neutral", "browDownLeft", "browDownRight", "browInnerUp", "browOuterUpLeft", "browOuterUpRight", "cheekPuff",
    "cheekSquintLeft", "cheekSquintRight", "eyeBlinkLeft", "eyeBlinkRight", "eyeLookDownLeft", "eyeLookDownRight",
    "eyeLookInLeft", "eyeLookInRight", "eyeLookOutLeft", "eyeLookOutRight", "eyeLookUpLeft", "eyeLookUpRight",
    "eyeSquintLeft", "eyeSquintRight", "eyeWideLeft", "eyeWideRight", "jawForward", "jawLeft", "jawOpen", "jawRight",
    "mouthClose", "mouthDimpleLeft", "mouthDimpleRight", "mouthFrownLeft", "mouthFrownRight", "mouthFunnel",
    "mouthLeft", "mouthLowerDownLeft", "mouthLowerDownRight", "mouthPressLeft", "mouthPressRight", "mouthPucker",
    "mouthRight", "mouthRollLower", "mouthRollUpper", "mouthShrugLower", "mouthShrugUpper", "mouthSmileLeft",
    "mouthSmileRight", "mouthStretchLeft", "mouthStretchRight", "mouthUpperUpLeft", "mouthUpperUpRight",
    "noseSneerLeft", "noseSneerRight",
)  # fmt: skip

#: the 146 landmarks the blendshape network reads (none on the nose wings or cheeks: hence no AU9 or AU6 from it)
BLENDSHAPE_POINTS = np.array([
    0, 1, 4, 5, 6, 7, 8, 10, 13, 14, 17, 21, 33, 37, 39, 40, 46, 52, 53, 54, 55, 58, 61, 63, 65, 66, 67, 70, 78, 80, 81,
    82, 84, 87, 88, 91, 93, 95, 103, 105, 107, 109, 127, 132, 133, 136, 144, 145, 146, 148, 149, 150, 152, 153, 154,
    155, 157, 158, 159, 160, 161, 162, 163, 168, 172, 173, 176, 178, 181, 185, 191, 195, 197, 234, 246, 249, 251, 263,
    267, 269, 270, 276, 282, 283, 284, 285, 288, 291, 293, 295, 296, 297, 300, 308, 310, 311, 312, 314, 317, 318, 321,
    323, 324, 332, 334, 336, 338, 356, 361, 362, 365, 373, 374, 375, 377, 378, 379, 380, 381, 382, 384, 385, 386, 387,
    388, 389, 390, 397, 398, 400, 402, 405, 409, 415, 454, 466, 468, 469, 470, 471, 472, 473, 474, 475, 476, 477,
])  # fmt: skip


@dataclass(frozen=True)
class Face:
    """One face in one picture.

    Attributes
    ----------
    landmarks : ndarray [shape=(478, 3), float32]
        MediaPipe's units: x and y as shares of picture width and height, z in units of picture width (smaller: nearer).
    blendshapes : ndarray [shape=(52,), float32, 0-1], in the order of :data:`BLENDSHAPES`
    pose_deg : ndarray [shape=(3,), float32, degrees]
        Yaw, pitch, roll; signs as in :func:`painsense.canonical.pose_deg`.
    presence : the landmark network's own confidence that there is a face in its crop, 0-1
    """

    landmarks: FloatArray
    blendshapes: FloatArray
    pose_deg: FloatArray
    presence: float


@dataclass(frozen=True)
class Square:
    """A turned square in the picture: centre and side in pixels, angle in radians (clockwise as seen)."""

    x_px: float
    y_px: float
    side_px: float
    angle_rad: float = 0.0

    def to_picture(self, crop_side_px: int) -> npt.NDArray[np.float64]:
        """Affine map [shape=(2, 3)] from coordinates in a crop of this square to the picture."""
        scale = self.side_px / crop_side_px
        cos, sin = scale * math.cos(self.angle_rad), scale * math.sin(self.angle_rad)
        half = crop_side_px / 2
        return np.array(
            [
                [cos, -sin, self.x_px - half * (cos - sin)],
                [sin, cos, self.y_px - half * (sin + cos)],
            ]
        )

    def crop(self, image: Image, side_px: int, border: int) -> Image:
        """The square as an upright picture of ``side_px`` pixels a side."""
        # OpenCV warps four channels more than twice as fast as three: give the part that is needed a fourth
        reach = self.side_px / 2 * (abs(math.cos(self.angle_rad)) + abs(math.sin(self.angle_rad))) + 2
        left, top = max(int(self.x_px - reach), 0), max(int(self.y_px - reach), 0)
        part = image[top : max(int(self.y_px + reach) + 1, top + 1), left : max(int(self.x_px + reach) + 1, left + 1)]
        if part.size == 0:  # the square lies outside the picture
            part, left, top = image, 0, 0
        matrix = self.to_picture(side_px) - ((0, 0, left), (0, 0, top))
        warped = cv2.warpAffine(
            cv2.cvtColor(part, cv2.COLOR_RGB2RGBA),
            matrix,
            (side_px, side_px),
            flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
            borderMode=border,
        )
        return cv2.cvtColor(warped, cv2.COLOR_RGBA2RGB)  # type: ignore[return-value]


@dataclass(frozen=True)
class Detection:
    """A face the detector saw: its box (a turned square, eyes level) and score 0-1."""

    box: Square
    score: float

    def crop_square(self) -> Square:
        """The square the landmark network should see."""
        box = self.box
        return Square(box.x_px, box.y_px, DETECTION_MARGIN * box.side_px, box.angle_rad)


@dataclass(frozen=True)
class Tracked:
    """A face with its points in picture pixels and what the follower and the quality checks need."""

    points_px: FloatArray  # (478, 3)
    presence: float
    blendshapes: FloatArray  # (52,)
    crop: Image  # (256, 256, 3), what the landmark network saw

    @property
    def square(self) -> Square:
        """Where the face is: centre and side of its points' bounding square."""
        low, high = self.points_px[:, :2].min(axis=0), self.points_px[:, :2].max(axis=0)
        centre = (low + high) / 2
        return Square(float(centre[0]), float(centre[1]), float((high - low).max()))

    def face(self, width_px: int, height_px: int, canonical: CanonicalFace) -> Face:
        size = np.array([width_px, height_px, width_px], np.float32)
        pose = pose_deg(self.points_px[None], canonical)[0]
        return Face(self.points_px / size, self.blendshapes, pose, self.presence)


class FaceNetworks:
    """The three networks, loaded. One instance serves one thread at a time.

    Parameters
    ----------
    face_model : path of Google's ``face_landmarker.task``; None looks for it (see :func:`painsense.assets.face_model`)
    """

    def __init__(self, face_model: Path | None = None) -> None:
        members = assets.read_face_model(face_model)
        self.canonical = CanonicalFace.from_bundle(members["geometry_pipeline_metadata_landmarks.binarypb"])
        self._detector = _Network(members["face_detector.tflite"])
        self._landmarks = _Network(members["face_landmarks_detector.tflite"])
        self._blendshapes = _Network(members["face_blendshapes.tflite"])
        self._anchors = _anchors()

    def find(self, image: Image, view: Square, min_score: float = DETECTION_SCORE) -> list[Detection]:
        """Faces in a square view of the picture, best score first."""
        pixels = view.crop(image, DETECTOR_PX, cv2.BORDER_CONSTANT)
        boxes, logits = self._detector.run(pixels.astype(np.float32)[None] / 127.5 - 1.0)
        boxes, logits = boxes[0].astype(np.float64), logits[0, :, 0]
        seen = logits > math.log(min_score / (1 - min_score))
        if not seen.any():
            return []
        scores = 1 / (1 + np.exp(-np.minimum(logits[seen], 100.0).astype(np.float64)))
        # columns: centre x, y, width, height, then six key points (right eye, left eye, nose, mouth, two ears)
        boxes = boxes[seen] / DETECTOR_PX
        boxes[:, 0::2] += self._anchors[seen, :1]
        boxes[:, 1::2] += self._anchors[seen, 1:]
        boxes[:, 2:4] -= self._anchors[seen]
        to_picture = view.to_picture(DETECTOR_PX)
        found = []
        for box, score in _merge(boxes, scores):
            centre, right_eye, left_eye = (
                to_picture[:, :2] @ (point * DETECTOR_PX) + to_picture[:, 2] for point in (box[:2], box[4:6], box[6:8])
            )
            angle = math.atan2(left_eye[1] - right_eye[1], left_eye[0] - right_eye[0])
            side = max(box[2], box[3]) * view.side_px
            found.append(Detection(Square(float(centre[0]), float(centre[1]), float(side), angle), float(score)))
        return found

    def track(self, image: Image, square: Square) -> Tracked | None:
        """The face inside ``square``; None when the landmark network says there is none."""
        crop = square.crop(image, CROP_PX, cv2.BORDER_REPLICATE)
        raw, presence_logit, _ = self._landmarks.run(crop[None].astype(np.float32) / 255.0)
        presence = 1 / (1 + math.exp(-float(presence_logit.reshape(-1)[0])))
        if presence < PRESENCE:
            return None
        in_crop = raw.reshape(N_LANDMARKS, 3).astype(np.float64)
        to_picture = square.to_picture(CROP_PX)
        points = np.empty((N_LANDMARKS, 3), np.float32)
        points[:, :2] = in_crop[:, :2] @ to_picture[:, :2].T + to_picture[:, 2]
        points[:, 2] = in_crop[:, 2] * (square.side_px / CROP_PX)
        return Tracked(points, presence, self.blendshapes(points), crop)

    def blendshapes(self, points_px: FloatArray) -> FloatArray:
        """The 52 blendshapes of one face, ndarray [shape=(52,), 0-1], from its points [shape=(478, 3), px]."""
        (values,) = self._blendshapes.run(points_px[BLENDSHAPE_POINTS, :2][None])
        return values.reshape(-1)


def detect(image: Image, face_model: Path | None = None) -> Face | None:
    """The largest face in a picture, or None.

    Parameters
    ----------
    image : ndarray [shape=(h, w, 3), uint8], RGB, not mirrored
    face_model : path of Google's ``face_landmarker.task``; None looks for it

    Returns
    -------
    Face or None
        None where no face was found, also not in turned (90, 180, 270 degrees) and enlarged views.

    Raises
    ------
    ModelError
        The face landmark networks cannot be found or have the wrong hash.

    Examples
    --------
    >>> import numpy as np, painsense.landmarks
    >>> painsense.landmarks.detect(np.zeros((360, 640, 3), np.uint8)) is None
    True
    """
    networks = thread_networks(face_model)
    found = search(networks, image)
    if not found:
        return None
    tracked = refine(networks, image, largest(found))
    height, width = image.shape[:2]
    return tracked.face(width, height, networks.canonical) if tracked else None


def refine(networks: FaceNetworks, image: Image, found: Tracked) -> Tracked | None:
    """Once more from the better crop that the first landmarks give: where a detector's box is loose, they are too."""
    return networks.track(image, next_square(found.points_px))


def next_square(points_px: FloatArray) -> Square:
    """Where to look for a face in the next frame: the points' bounding square, enlarged, eyes level."""
    low, high = points_px[:, :2].min(axis=0), points_px[:, :2].max(axis=0)
    centre = (low + high) / 2
    across = points_px[LEFT_EYE_OUTER, :2] - points_px[RIGHT_EYE_OUTER, :2]
    angle = math.atan2(float(across[1]), float(across[0]))
    return Square(float(centre[0]), float(centre[1]), TRACKING_MARGIN * float((high - low).max()), angle)


def distance(a: Square, b: Square) -> float:
    """Distance of two faces' centres in units of the larger side."""
    return math.hypot(a.x_px - b.x_px, a.y_px - b.y_px) / max(a.side_px, b.side_px, 1.0)


def full_view(image: Image) -> Square:
    """The whole picture as a square view (padded)."""
    height, width = image.shape[:2]
    return Square(width / 2, height / 2, float(max(height, width)))


def search(networks: FaceNetworks, image: Image, hard: bool = True) -> list[Tracked]:
    """Faces in the picture that the landmark network confirms.

    With ``hard``, tries until there is one: upright, enlarged, turned, turned and enlarged. People in bed lie tilted
    and far from the camera; the detector knows upright faces of at least a tenth of its view.
    """
    views = ((full_view(image),), *(_search_views(image.shape[1], image.shape[0]) if hard else ()))
    for group in views:
        score = DETECTION_SCORE if group is views[0] else SEARCH_SCORE
        seen = (networks.track(image, d.crop_square()) for view in group for d in networks.find(image, view, score))
        found = _distinct([tracked for tracked in seen if tracked is not None])
        if found:
            return found
    return []


def largest(found: list[Tracked]) -> Tracked:
    """The face that fills the largest square."""
    return max(found, key=lambda tracked: tracked.square.side_px)


@functools.lru_cache(maxsize=8)
def _search_views(width: int, height: int) -> tuple[tuple[Square, ...], ...]:
    whole = Square(width / 2, height / 2, float(max(width, height)))
    short = float(min(width, height))
    tiles = tuple(
        Square(x, y, side)
        for side in (short, short * 0.55)
        for y in _spread(height, side)
        for x in _spread(width, side)
    )
    turns = (math.pi / 2, -math.pi / 2, math.pi)
    turned = tuple(Square(whole.x_px, whole.y_px, whole.side_px, turn) for turn in turns)
    turned_tiles = tuple(Square(t.x_px, t.y_px, t.side_px, turn) for turn in turns for t in tiles if t.side_px == short)
    return tiles, turned, turned_tiles


def _spread(length: float, side: float) -> list[float]:
    """Centres of views of ``side`` that cover ``length`` with about half a view of overlap."""
    if length <= side * 1.05:
        return [length / 2]
    steps = math.ceil((length - side) / (side / 2))
    return [side / 2 + k * (length - side) / steps for k in range(steps + 1)]


def _distinct(found: list[Tracked]) -> list[Tracked]:
    """One a face, where several views saw the same one: the one the landmark network is surest of stays."""
    kept: list[Tracked] = []
    for candidate in sorted(found, key=lambda tracked: -tracked.presence):
        if all(distance(candidate.square, other.square) > SAME_FACE_SIDES for other in kept):
            kept.append(candidate)
    return kept


def _anchors() -> npt.NDArray[np.float64]:
    """Centres of the detector's 896 anchors [shape=(896, 2), shares of its input]: 2 a cell at stride 8, 6 at 16."""
    centres = []
    for stride, per_cell in ((8, 2), (16, 6)):
        cells = (np.arange(DETECTOR_PX // stride) + 0.5) * stride / DETECTOR_PX
        x, y = np.meshgrid(cells, cells)
        centres.append(np.repeat(np.stack([x.ravel(), y.ravel()], axis=1), per_cell, axis=0))
    return np.concatenate(centres)


def _merge(
    boxes: npt.NDArray[np.float64], scores: npt.NDArray[np.float64]
) -> list[tuple[npt.NDArray[np.float64], float]]:
    """Weighted non-maximum suppression (BlazeFace, section 3.3): boxes of one face become their score-weighted mean."""
    left_top, right_bottom = boxes[:, :2] - boxes[:, 2:4] / 2, boxes[:, :2] + boxes[:, 2:4] / 2
    area = boxes[:, 2] * boxes[:, 3]
    remaining = np.argsort(-scores, kind="stable")
    merged = []
    while len(remaining):
        best = remaining[0]
        sides = np.minimum(right_bottom[best], right_bottom[remaining]) - np.maximum(
            left_top[best], left_top[remaining]
        )
        shared = np.prod(np.maximum(sides, 0), axis=1)
        same = shared / (area[best] + area[remaining] - shared) > OVERLAP
        same[0] = True
        group = remaining[same]
        merged.append((np.average(boxes[group], axis=0, weights=scores[group]), float(scores[best])))
        remaining = remaining[~same]
    return merged


class _Network:
    """One TFLite network on one thread."""

    _first_allocation = threading.Lock()
    _announced = False

    def __init__(self, content: bytes) -> None:
        from ai_edge_litert.interpreter import Interpreter

        try:
            self._interpreter: Any = Interpreter(model_content=content, num_threads=1)
            self._allocate()
        except (ValueError, RuntimeError) as error:
            raise ModelError(
                f"face networks: LiteRT could not load a network of the face landmark bundle ({error}); "
                "check the installation with: painsense doctor"
            ) from error
        self._input = self._interpreter.get_input_details()[0]["index"]
        self._outputs = [detail["index"] for detail in self._interpreter.get_output_details()]

    def _allocate(self) -> None:
        """Allocate; the first allocation of a process prints a notice from C++ that no setting turns off."""
        with _Network._first_allocation:
            if _Network._announced:
                self._interpreter.allocate_tensors()
                return
            stderr, quiet = os.dup(2), os.open(os.devnull, os.O_WRONLY)
            try:
                os.dup2(quiet, 2)
                self._interpreter.allocate_tensors()
            finally:
                os.dup2(stderr, 2)
                os.close(stderr)
                os.close(quiet)
            _Network._announced = True

    def run(self, values: FloatArray) -> list[FloatArray]:
        """Outputs for one input. ``invoke`` releases the interpreter lock, so threads really run side by side."""
        self._interpreter.set_tensor(self._input, values)
        self._interpreter.invoke()
        return [self._interpreter.get_tensor(index) for index in self._outputs]


_local = threading.local()


def thread_networks(face_model: Path | None = None) -> FaceNetworks:
    """The calling thread's own networks, loaded at first use."""
    loaded: dict[Path | None, FaceNetworks] = getattr(_local, "networks", None) or {}
    if face_model not in loaded:
        loaded[face_model] = FaceNetworks(face_model)
        _local.networks = loaded
    return loaded[face_model]
