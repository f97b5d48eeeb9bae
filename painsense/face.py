"""Landmarks -> what a face shows, free of head pose: geometry, shape of the mesh, and whether the frame can be used.

Distances are taken in three dimensions after the head pose is removed, in units of the distance between the outer eye
corners, so that they do not depend on how far away the camera stands. The whole mesh is kept as a hundred numbers: how
much it holds of each mode of a fixed basis (:class:`FaceShape`).
"""

from __future__ import annotations

import functools
import io
import itertools
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from painsense import assets
from painsense.canonical import CanonicalFace, align, angles_deg
from painsense.errors import ModelError
from painsense.follow import Frames
from painsense.landmarks import BLENDSHAPES, LEFT_EYE_OUTER, N_LANDMARKS, RIGHT_EYE_OUTER
from painsense.tracks import BitArray, BoolArray, Column, FloatArray, Reason, TimeArray, Track, runs, seconds_per_sample

EKMAN = "Ekman, Friesen & Hager 2002, Facial Action Coding System"
EAR_PAPER = "Soukupova & Cech 2016, Real-time eye blink detection using facial landmarks"

# Landmarks: (right, left), the person's own
INNER_EYE, UPPER_LID, LOWER_LID = (133, 362), (159, 386), (145, 374)


@dataclass(frozen=True)
class Measure:
    """One row of the geometry table.

    ``rises`` says in which direction the value moves when the action units it serves act: +1 up, -1 down, 0 either way;
    a resting value is taken from the other end of what the person shows.
    """

    name: str
    serves: str
    rises: int
    value: Callable[[FloatArray], FloatArray]
    meaning: str
    source: str = EKMAN


def _distance(a: int, b: int) -> Callable[[FloatArray], FloatArray]:
    return lambda points: np.linalg.norm(points[:, a] - points[:, b], axis=1)


def _ear(outer: int, upper: tuple[int, int], inner: int, lower: tuple[int, int]) -> Callable[[FloatArray], FloatArray]:
    """Eye aspect ratio: lid opening over eye width."""

    def ratio(points: FloatArray) -> FloatArray:
        opening = sum(
            np.linalg.norm(points[:, u] - points[:, low], axis=1) for u, low in zip(upper, lower, strict=True)
        )
        return np.asarray(opening / (2 * np.linalg.norm(points[:, outer] - points[:, inner], axis=1)))

    return ratio


def _height(point: int, over: Sequence[int]) -> Callable[[FloatArray], FloatArray]:
    """How far a point stands above the mean of others, along the head's own upright axis."""
    return lambda points: points[:, point, 1] - points[:, list(over), 1].mean(axis=1)


def _both(
    name: str,
    serves: str,
    rises: int,
    make: Callable[..., Callable[[FloatArray], FloatArray]],
    right: Sequence[object],
    left: Sequence[object],
    meaning: str,
    source: str = EKMAN,
) -> tuple[Measure, Measure]:
    return (
        Measure(f"{name}_right", serves, rises, make(*right), f"{meaning}, right", source),
        Measure(f"{name}_left", serves, rises, make(*left), f"{meaning}, left", source),
    )


#: the geometry table. A new feature is one row here.
GEOMETRY: tuple[Measure, ...] = (
    Measure("brow_gap", "AU4", -1, _distance(55, 285), "distance of the inner brow ends"),
    Measure("brow_gap_upper", "AU4", -1, _distance(107, 336), "distance of the upper inner brow ends"),
    *_both("brow_inner_to_eye", "AU4 AU1", 0, _distance, (55, 133), (285, 362), "inner brow to inner eye corner"),
    *_both("brow_mid_to_lid", "AU4 AU2", 0, _distance, (65, 159), (295, 386), "middle of the brow to the upper lid"),
    *_both("brow_outer_to_eye", "AU2", 1, _distance, (70, 33), (300, 263), "outer brow to outer eye corner"),
    Measure("nose_root", "AU9 AU4", -1, _distance(9, 168), "glabella to nasion"),
    *_both("cheek_to_lid", "AU6", -1, _distance, (101, 145), (330, 374), "inner cheek to the lower lid"),
    *_both("cheek_outer_to_lid", "AU6", -1, _distance, (50, 145), (280, 374), "outer cheek to the lower lid"),
    *_both("cheek_to_corner", "AU6", -1, _distance, (117, 33), (346, 263), "cheekbone to the outer eye corner"),
    *_both("eye_opening", "AU43 AU7", -1, _ear, (33, (160, 158), 133, (144, 153)), (263, (387, 385), 362, (373, 380)),
           "eye aspect ratio", EAR_PAPER),
    *_both("upper_lid_height", "AU43 AU5", -1, _height, (159, (33, 133)), (386, (263, 362)),
           "upper lid above the line of the eye corners"),
    *_both("lower_lid_height", "AU7 AU6", 1, _height, (145, (33, 133)), (374, (263, 362)),
           "lower lid above the line of the eye corners"),
    *_both("alar_to_eye", "AU9", -1, _distance, (48, 133), (278, 362), "nose wing to inner eye corner"),
    *_both("alar_upper_to_eye", "AU9", -1, _distance, (64, 133), (294, 362), "upper nose wing to inner eye corner"),
    Measure("nose_width", "AU9", 1, _distance(48, 278), "distance of the nose wings"),
    Measure("lip_to_nose", "AU10", -1, _distance(0, 2), "upper lip to the base of the nose"),
    *_both("lip_to_alar", "AU10", -1, _distance, (39, 98), (269, 327), "side of the upper lip to the nose wing"),
    *_both("mouth_corner_to_eye", "AU12", -1, _distance, (61, 33), (291, 263), "mouth corner to outer eye corner"),
    *_both("mouth_corner_height", "AU12 AU15", 0, _height, (61, (0, 17)), (291, (0, 17)),
           "mouth corner above the middle of the lips"),
    Measure("mouth_width", "AU12 AU20", 1, _distance(61, 291), "distance of the mouth corners"),
    Measure("lip_gap", "AU25", 1, _distance(13, 14), "distance of the inner lips"),
    Measure("chin_to_nose", "AU26 AU27", 1, _distance(152, 2), "chin to the base of the nose"),
    Measure("lower_lip_to_chin", "AU17", -1, _distance(17, 152), "lower lip to the chin"),
    Measure("lip_thickness", "AU24", -1, _distance(0, 17), "outer edges of the two lips"),
)  # fmt: skip

GEOMETRY_COLUMNS = tuple(
    Column(m.name, "outer-canthus distances", m.meaning, None, None, f"{m.serves}; {m.source}") for m in GEOMETRY
)

CAPTURE_COLUMNS = (
    Column("yaw_deg", "deg", "head turned to the person's own left (+) or right (-)", -180, 180),
    Column("pitch_deg", "deg", "looking up (+) or down (-)", -90, 90),
    Column("roll_deg", "deg", "head tilted to the person's own left (+) or right (-) shoulder", -180, 180),
    Column("face_px", "px", "distance of the outer eye corners in the analysed picture", 0, None),
    Column(
        "presence", "1", "the landmark network's confidence that there is a face", 0, 1, "MediaPipe Face Landmarker"
    ),
    Column("bright_level", "0-255", "luma of the brightest parts of the face (95th percentile)", 0, 255),
    Column("dark_level", "0-255", "luma of the darkest parts of the face (5th percentile)", 0, 255),
    Column(
        "sharpness", "1", "Laplacian energy over picture energy of the face", 0, None, "doi:10.1109/ICPR.2000.903548"
    ),
    Column("inside_share", "1", "share of the landmarks inside the picture", 0, 1),
    Column("other_face", "1", "size of the largest other face over the followed one", 0, None),
    Column("box_x_px", "px", "centre of the face, from the left of the analysed picture"),
    Column("box_y_px", "px", "centre of the face, from the top of the analysed picture"),
    Column("box_side_px", "px", "side of the square around the face", 0, None),
)
BLENDSHAPE_COLUMNS = tuple(Column(name, "1", "MediaPipe blendshape", 0, 1, "arXiv:2309.05782") for name in BLENDSHAPES)
#: first columns of the raw face track made by :func:`measure`; those of the :class:`FaceShape` follow
COLUMNS = CAPTURE_COLUMNS + GEOMETRY_COLUMNS + BLENDSHAPE_COLUMNS
#: how the face stood to the camera: no expression, but the estimator should know
STANCE = ("yaw_deg", "pitch_deg", "face_px")


@dataclass(frozen=True)
class FaceShape:
    """A fixed basis for the shape of the mesh: principal components of faces, each even or odd.

    Of the mirrored face an even mode's number is the same and an odd one's has the opposite sign, so the numbers know
    left from right.

    Attributes
    ----------
    mean : ndarray [shape=(478, 3), float32, canonical cm]
    basis : ndarray [shape=(k, 478 * 3), float32], orthonormal rows
    names : of the k numbers, for example "shape_even_00"
    sha256 : of the file
    """

    mean: FloatArray
    basis: FloatArray
    names: tuple[str, ...]
    sha256: str

    @functools.cached_property
    def columns(self) -> tuple[Column, ...]:
        """The columns of a raw face track: :data:`COLUMNS`, then one for each number."""
        numbers = (
            Column(name, "cm", f"share of the mesh in mode {name.removeprefix('shape_')}") for name in self.names
        )
        return (*COLUMNS, *numbers)

    def codes(self, aligned: FloatArray) -> FloatArray:
        """The numbers of faces without pose (see :func:`geometry`), ndarray [shape=(n, k), float32, cm]."""
        return np.asarray((aligned - self.mean).reshape(len(aligned), -1) @ self.basis.T, np.float32)


@functools.cache
def shipped_shape() -> FaceShape:
    """The basis that ships with painsense. ModelError when its file is missing, changed or not what it should be."""
    content = assets.read_weights("face_shape")
    try:
        with np.load(io.BytesIO(content), allow_pickle=False) as file:
            mean, basis = (np.ascontiguousarray(file[name], np.float32) for name in ("mean", "basis"))
            names = tuple(map(str, file["names"]))
    except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
        raise ModelError(
            f"face_shape: mean, basis and names were expected ({error}); install painsense again"
        ) from error
    if mean.shape != (N_LANDMARKS, 3) or basis.shape != (len(names), N_LANDMARKS * 3):
        raise ModelError(
            f"face_shape: a mean of ({N_LANDMARKS}, 3) and a basis of ({len(names)}, {N_LANDMARKS * 3}) were expected, "
            f"{mean.shape} and {basis.shape} came; install painsense again"
        )
    return FaceShape(mean, basis, names, assets.sha256_by_name()["face_shape"])


@dataclass(frozen=True)
class Gates:
    """When a frame of a face can be used. Proposals drawn from measurements on real clips; not clinically validated."""

    max_yaw_deg: float = 40.0  # AU measures break down between 30 and 45 deg (Namba 2021, doi:10.3390/app112311171)
    max_pitch_deg: float = 30.0
    min_face_px: float = 40.0  # outer eye corners
    min_bright_level: float = 50.0
    max_dark_level: float = 200.0
    min_sharpness: float = 0.012  # below it blur moves landmarks by more than 1.2% of the outer-canthus distance
    min_inside_share: float = 0.95
    max_other_face: float = 0.7  # with a second face of this relative size nobody can tell who the patient is
    jump_sides: float = 1.0  # a face found again further away than its own side is flagged
    jump_scale: float = 1.6


GATES = Gates()

#: reason codes of the face track, in bit order
REASONS: tuple[Reason, ...] = (
    Reason("no_face", "no face was found"),
    Reason("several_faces", "a second face of similar size was in the picture and no person was chosen"),
    Reason("turned_away", "the head was turned too far from the camera"),
    Reason("too_small", "the face was too small in the picture"),
    Reason("too_dark", "the face was too dark"),
    Reason("too_bright", "the face was over-exposed"),
    Reason("blurred", "the face was blurred"),
    Reason("out_of_frame", "part of the face was outside the picture"),
    Reason("target_jump", "the face was found again elsewhere: check that it is the same person", blocking=False),
    Reason("other_face", "another face was in the picture", blocking=False),
    Reason("blink", "a blink, kept apart from closed eyes (AU43)", blocking=False),
    Reason("speaking", "the person was speaking: mouth action units are less certain", blocking=False),
)
BIT = {reason.code: np.uint32(1 << k) for k, reason in enumerate(REASONS)}


def geometry(aligned: FloatArray) -> FloatArray:
    """The geometry table for faces without pose.

    Parameters
    ----------
    aligned : ndarray [shape=(n, 478, 3)], as :func:`painsense.canonical.align` gives them

    Returns
    -------
    ndarray [shape=(n, len(GEOMETRY)), float32], in outer-canthus distances (eye openings: ratio of height to width)
    """
    across = np.linalg.norm(aligned[:, RIGHT_EYE_OUTER] - aligned[:, LEFT_EYE_OUTER], axis=1)
    scaled = aligned / across[:, None, None]
    return np.stack([measure.value(scaled) for measure in GEOMETRY], axis=1).astype(np.float32)


def measure(
    frames: Frames,
    canonical: CanonicalFace,
    person: str | int = "largest",
    gates: Gates = GATES,
    shape: FaceShape | None = None,
) -> Track:
    """The raw face track of one stretch of frames: capture, geometry, blendshapes and shape of the mesh.

    NaN where there is no face, and with reasons where a frame cannot be used. The meshes themselves are not kept.
    ``shape`` is the basis for the last of it; None takes the shipped one.
    """
    shape = shape or shipped_shape()
    n = len(frames.time_s)
    values = np.full((n, len(shape.columns)), np.nan, np.float32)
    found = np.isfinite(frames.points_px[:, 0, 0])  # the reference engine gives no presence score
    values[:, _index("other_face")] = frames.other_face
    if found.any():
        points = frames.points_px[found]
        aligned, rotation = align(points, canonical)
        flat = points[:, :, :2]
        low, high = flat.min(axis=1), flat.max(axis=1)
        inside = ((flat >= 0) & (flat < frames.size_px[found][:, None])).all(axis=2).mean(axis=1)
        across = np.linalg.norm(points[:, RIGHT_EYE_OUTER] - points[:, LEFT_EYE_OUTER], axis=1)
        capture = np.column_stack(
            [
                angles_deg(rotation),
                across,
                frames.presence[found],
                frames.bright_level[found],
                frames.dark_level[found],
                frames.sharpness[found],
                inside,
                frames.other_face[found],
                (low + high) / 2,
                (high - low).max(axis=1),
            ]
        )
        parts = [capture, geometry(aligned), frames.blendshapes[found], shape.codes(aligned)]
        values[found] = np.concatenate(parts, axis=1)
    return Track("face", shape.columns, REASONS, frames.time_s, values, quality_bits(values, person, gates))


def places(track: Track, names: Sequence[str]) -> list[int]:
    """Where the columns of these names stand in a track. KeyError for one it does not have."""
    place = {name: k for k, name in enumerate(track.names)}
    return [place[name] for name in names]


def quality_bits(values: FloatArray, person: str | int, gates: Gates = GATES) -> BitArray:
    """Reason bits [shape=(n,)] of raw face values, frame by frame; :data:`COLUMNS` stand first in them."""
    bits = np.zeros(len(values), np.uint32)
    found = np.isfinite(values[:, _index("face_px")])
    bits[~found] = BIT["no_face"]

    def say(code: str, where: BoolArray) -> None:
        bits[found & where] |= BIT[code]

    def of(name: str) -> FloatArray:
        return values[:, _index(name)]

    say("turned_away", (np.abs(of("yaw_deg")) > gates.max_yaw_deg) | (np.abs(of("pitch_deg")) > gates.max_pitch_deg))
    say("too_small", of("face_px") < gates.min_face_px)
    say("too_dark", of("bright_level") < gates.min_bright_level)
    say("too_bright", of("dark_level") > gates.max_dark_level)
    say("blurred", of("sharpness") < gates.min_sharpness)
    say("out_of_frame", of("inside_share") < gates.min_inside_share)
    say("other_face", of("other_face") > 0)
    if person == "largest":
        say("several_faces", of("other_face") > gates.max_other_face)
    return bits


def join(tracks: Sequence[Track]) -> Track:
    """Raw face tracks of consecutive stretches as one. A list is emptied on the way: an hour need not exist twice."""
    first, lengths = tracks[0], [len(track) for track in tracks]
    time_s = np.concatenate([track.time_s for track in tracks])
    bits = np.concatenate([track.reason_bits for track in tracks])
    values = np.empty((len(time_s), len(first.columns)), np.float32)
    edges = np.concatenate([[0], np.cumsum(lengths)])
    for k, (start, stop) in enumerate(itertools.pairwise(edges)):
        values[start:stop] = tracks[k].values
        if isinstance(tracks, list):
            tracks[k] = first
    return Track(first.modality, first.columns, first.reasons, time_s, values, bits)


def jumps(track: Track, gates: Gates = GATES) -> BoolArray:
    """Where the followed face is suddenly elsewhere or of another size, ndarray [shape=(n,)]: True at the first frame.

    Both from one frame to the next and across stretches without a face: geometry cannot tell whether it is the same
    person.
    """
    found = np.flatnonzero(np.isfinite(track.column("box_x_px")))
    x, y, side = (track.column(name)[found].astype(np.float64) for name in ("box_x_px", "box_y_px", "box_side_px"))
    result = np.zeros(len(track), np.bool_)
    if len(found) > 1:
        larger = np.maximum(side[1:], side[:-1])
        moved = np.hypot(np.diff(x), np.diff(y)) / larger > gates.jump_sides
        scaled = larger / np.minimum(side[1:], side[:-1]) > gates.jump_scale
        result[found[1:]] = moved | scaled
    return result


def blinks(closed: BoolArray, time_s: TimeArray, longest_s: float = 0.5) -> tuple[BoolArray, BoolArray]:
    """Closed eyes split into blinks and AU43.

    A blink lasts less than half a second; from then on closed eyes are AU43 (eyes closed), not AU45 (Prkachin &
    Solomon 2008, doi:10.1016/j.pain.2008.04.010).

    Returns
    -------
    blink, au43 : ndarray [shape=(n,), bool], no frame is both
    """
    blink, au43 = np.zeros_like(closed), np.zeros_like(closed)
    shares = seconds_per_sample(time_s)
    for start, stop in runs(closed):
        (blink if shares[start:stop].sum() < longest_s else au43)[start:stop] = True
    return blink, au43


def _index(name: str) -> int:
    return _POSITION[name]


_POSITION = {column.name: k for k, column in enumerate(COLUMNS)}


SPEECH_REACH_S = 0.25  # how far around a frame voice and lip movement are looked at
SPEECH_VOICED = 0.3  # share of that time that must be voiced
SPEECH_LIP_MOVEMENT = 0.02  # standard deviation of the lip gap there, in outer-canthus distances


def speaking(raw: Track, voice: Track) -> BoolArray:
    """Where the person speaks, ndarray [shape=(n,)]: a voice is heard and these lips move with it.

    A voice beside still lips is somebody else's (or a hummed moan) and is not marked.
    """
    voiced_s = np.concatenate([[0.0], np.cumsum(seconds_per_sample(voice.time_s) * (voice.column("voiced") > 0.5))])
    first, last = (np.searchsorted(voice.time_s, raw.time_s + shift) for shift in (-SPEECH_REACH_S, SPEECH_REACH_S))
    heard = (voiced_s[last] - voiced_s[first]) / (2 * SPEECH_REACH_S) > SPEECH_VOICED
    gap = raw.column("lip_gap").astype(np.float64)
    seen = np.isfinite(gap)
    gap = np.where(seen, gap, 0.0)
    first, last = (np.searchsorted(raw.time_s, raw.time_s + shift) for shift in (-SPEECH_REACH_S, SPEECH_REACH_S))
    count, total, square = (
        np.concatenate([[0.0], np.cumsum(part)])[last] - np.concatenate([[0.0], np.cumsum(part)])[first]
        for part in (seen.astype(np.float64), gap, gap**2)
    )
    enough = np.maximum(count, 1)
    movement = np.sqrt(np.maximum(square / enough - (total / enough) ** 2, 0))
    return np.asarray(heard & seen & (movement > SPEECH_LIP_MOVEMENT))
