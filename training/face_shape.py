"""The basis in which the face's shape is written: a few numbers for 478 landmarks that keep what action units move.

Principal components (Pearson 1901, doi:10.1080/14786440109462720) of how faces change against their own mean, apart for
what both halves of a face do alike (even: the same after mirroring) and what they do against each other (odd: of
opposite sign after mirroring). So mirroring a face is a change of signs, on which the network's symmetry rests.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

from painsense.canonical import CanonicalFace
from painsense.landmarks import N_LANDMARKS

FloatArray = npt.NDArray[np.float32]
#: first landmark of each iris: centre, then four around it
RIGHT_IRIS, LEFT_IRIS = 468, 473
#: in an iris the points are centre, right, top, left, bottom of the picture: mirroring swaps the second and fourth
IRIS_MIRROR = (0, 3, 2, 1, 4)


def mirror_landmarks(canonical: CanonicalFace) -> npt.NDArray[np.int64]:
    """For each landmark the one on the other side, ndarray [shape=(478,)]; those of the midline are their own."""
    mirrored = canonical.points_cm * (-1.0, 1.0, 1.0)
    apart = np.linalg.norm(canonical.points_cm[:, None] - mirrored[None], axis=2)
    other = np.empty(N_LANDMARKS, np.int64)
    other[: len(mirrored)] = apart.argmin(axis=1)
    for own, opposite in ((RIGHT_IRIS, LEFT_IRIS), (LEFT_IRIS, RIGHT_IRIS)):
        other[own : own + 5] = opposite + np.array(IRIS_MIRROR)
    if (other[other] != np.arange(N_LANDMARKS)).any():
        raise ValueError("the canonical face is not symmetric: some landmark has no partner")
    return other


def mirrored(aligned: FloatArray, other: npt.NDArray[np.int64]) -> FloatArray:
    """Faces without pose [shape=(n, 478, 3)] as a mirror shows them."""
    return np.asarray(aligned[:, other] * np.array((-1, 1, 1), np.float32))


def fit(
    aligned: FloatArray, person: npt.NDArray[np.int32], other: npt.NDArray[np.int64], even: int, odd: int
) -> dict[str, npt.NDArray[np.generic]]:
    """The content of ``face_shape.npz``.

    Parameters
    ----------
    aligned : ndarray [shape=(n, 478, 3), canonical cm], as :func:`painsense.canonical.align` gives them
    person : ndarray [shape=(n,)], whose face each is; several of each person
    other : see :func:`mirror_landmarks`
    even, odd : how many components of each kind

    Returns
    -------
    ``mean`` [shape=(478, 3)], symmetric; ``basis`` [shape=(even + odd, 1434)], orthonormal rows; ``names``
    """
    turned = mirrored(aligned, other)
    mean = (aligned.mean(axis=0) + turned.mean(axis=0)) / 2
    rows, names = [], []
    for kind, part, count in (("even", aligned + turned, even), ("odd", aligned - turned, odd)):
        half = part.reshape(len(part), -1) / 2
        order = np.argsort(person, kind="stable")
        starts = np.flatnonzero(np.diff(person[order], prepend=person[order][0] - 1))
        sizes = np.diff(np.append(starts, len(order)))
        own_mean = np.add.reduceat(half[order], starts) / sizes[:, None]
        change = half[order] - np.repeat(own_mean, sizes, axis=0)
        _, vectors = np.linalg.eigh((change.T @ change).astype(np.float64))
        rows.append(vectors[:, ::-1][:, :count].T)
        names += [f"shape_{kind}_{k:02d}" for k in range(count)]
    return {"mean": mean.astype(np.float32), "basis": np.concatenate(rows).astype(np.float32), "names": np.array(names)}


def save(path: Path, content: dict[str, npt.NDArray[np.generic]]) -> None:
    """Write ``face_shape.npz``; the same content gives the same bytes."""
    with path.open("wb") as file:
        np.savez(file, **content)
