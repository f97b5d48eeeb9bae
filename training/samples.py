"""Measured faces as the network sees them: features, neutrals, truth, and who may be used for what."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import numpy.typing as npt

from painsense import face
from painsense.canonical import CanonicalFace, align
from painsense.follow import Frames
from painsense.landmarks import BLENDSHAPES
from painsense.tracks import Track
from training.simulate.dataset import AT_REST, LABELS, SEQUENCE_EVERY, SINGLE, Faces
from training.simulate.head import ACTION_UNITS, AU_NAMES

FloatArray = npt.NDArray[np.float32]
IntArray = npt.NDArray[np.int64]

#: what the network is told of the capture
CAPTURE = ("yaw_deg", "pitch_deg", "face_px")
SIDED = tuple(unit.sided for unit in ACTION_UNITS)
BLOCK = 4096


@dataclass(frozen=True)
class Samples:
    """n faces as the network sees them.

    Attributes
    ----------
    names : of the D features
    features : ndarray [shape=(n, D)]
    truth : ndarray [shape=(n, 3, m), 0-5], both sides' mean, left, right, in the order of ``AU_NAMES``
    usable : ndarray [shape=(n,)], a frame that painsense would use
    person, role : ndarray [shape=(n,)], see :class:`training.simulate.dataset.Faces`
    neutral : ndarray [shape=(people, 7, D)], means of one, two or three of each person's usable frames at rest; the
        last one is of all; NaN where a person has none
    """

    names: tuple[str, ...]
    features: FloatArray
    truth: FloatArray
    usable: npt.NDArray[np.bool_]
    person: npt.NDArray[np.int32]
    role: npt.NDArray[np.uint8]
    neutral: FloatArray

    def of(self, part: str) -> IntArray:
        """Rows of single usable faces with an expression: of "train", "calibrate" or "test" people."""
        return np.flatnonzero(self.usable & (self.role == SINGLE) & (parts(self.person) == part))

    def full_neutral(self, rows: IntArray) -> FloatArray:
        """The best neutral of whoever is in ``rows``, ndarray [shape=(len(rows), D)]."""
        return self.neutral[self.person[rows], -1]


def parts(person: npt.NDArray[np.int32]) -> npt.NDArray[np.str_]:
    """What each person is for: a tenth for the test (those with sequences), a tenth to calibrate, the rest to train."""
    place = person % SEQUENCE_EVERY
    last = SEQUENCE_EVERY - 1
    return np.where(place == last, "test", np.where(place == last - 1, "calibrate", "train"))


def aligned_faces(faces: Faces, canonical: CanonicalFace) -> FloatArray:
    """Meshes without pose, ndarray [shape=(n, 478, 3), canonical cm]."""
    blocks = [align(faces.points_px[start : start + BLOCK], canonical)[0] for start in range(0, len(faces), BLOCK)]
    return np.concatenate(blocks)


def raw_track(
    faces: Faces, rows: IntArray, canonical: CanonicalFace, time_s: npt.NDArray[np.float64] | None = None
) -> Track:
    """Faces as ``painsense score`` measures them, one a second where they have no times of their own."""
    frames = Frames(
        time_s=np.arange(len(rows), dtype=np.float64) if time_s is None else time_s,
        size_px=faces.size_px[rows],
        points_px=faces.points_px[rows],
        blendshapes=faces.blendshapes[rows],
        presence=faces.presence[rows],
        bright_level=faces.bright_level[rows],
        dark_level=faces.dark_level[rows],
        sharpness=faces.sharpness[rows],
        other_face=np.zeros(len(rows), np.float32),
    )
    return face.measure(frames, canonical)


def prepare(faces: Faces, canonical: CanonicalFace, shape_names: Sequence[str]) -> Samples:
    """Features and truth of all faces, measured by :mod:`painsense.face` with its current shape basis."""
    names = (*shape_names, *(measure.name for measure in face.GEOMETRY), *BLENDSHAPES, *CAPTURE)
    features, usable = [], []
    for start in range(0, len(faces), BLOCK):
        raw = raw_track(faces, np.arange(start, min(start + BLOCK, len(faces))), canonical)
        features.append(np.stack([raw.column(name) for name in names], axis=1))
        usable.append(raw.valid)
    values, good = np.concatenate(features), np.concatenate(usable)
    return Samples(
        names=names,
        features=values,
        truth=truth_of(faces.labels),
        usable=good,
        person=faces.person,
        role=faces.role,
        neutral=_neutrals(values, good & (faces.role == AT_REST), faces.person),
    )


def truth_of(labels: FloatArray) -> FloatArray:
    """Intensities [shape=(n, 3, m)] from a data set's labels [shape=(n, len(LABELS))]."""
    place = {name: k for k, name in enumerate(LABELS)}
    sides = [[place[name] for name in AU_NAMES], *([place[f"{name}_{side}"] for name in AU_NAMES] for side in "LR")]
    return np.stack([labels[:, columns] for columns in sides], axis=1)


def _neutrals(features: FloatArray, at_rest: npt.NDArray[np.bool_], person: npt.NDArray[np.int32]) -> FloatArray:
    subsets = [subset for size in (1, 2, 3) for subset in combinations(range(3), size)]
    result = np.full((int(person.max()) + 1, len(subsets), features.shape[1]), np.nan, np.float32)
    rows = np.flatnonzero(at_rest)
    for who in np.unique(person[rows]):
        own = features[rows[person[rows] == who]]
        for k, subset in enumerate(subsets):
            chosen = sorted({index % len(own) for index in subset})  # who has fewer frames at rest gets those there are
            result[who, k] = own[chosen].mean(axis=0)
    return result
