"""Faces with known geometry: the canonical mesh as landmarks in a picture, and what a mirror makes of them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from painsense import assets
from painsense.canonical import CanonicalFace
from painsense.follow import Frames
from painsense.landmarks import N_LANDMARKS


def canonical_face() -> CanonicalFace:
    return CanonicalFace.from_bundle(assets.read_face_model()["geometry_pipeline_metadata_landmarks.binarypb"])


def frames_of(
    canonical: CanonicalFace, n: int = 4, scale: float = 10.0, centre: tuple[float, float] = (320, 180), fps: int = 25
) -> Frames:
    """The canonical face, frontal, well lit, ``n`` times."""
    points = np.zeros((N_LANDMARKS, 3))
    points[:468] = canonical.points_cm * (scale, -scale, -scale)
    points[468:473], points[473:] = points[33], points[263]
    points[:, :2] += centre
    ones = np.ones(n, np.float32)
    return Frames(
        time_s=np.arange(n) / fps,
        size_px=np.tile(np.array([640, 360], np.float32), (n, 1)),
        points_px=np.tile(points.astype(np.float32), (n, 1, 1)),
        blendshapes=np.zeros((n, 52), np.float32),
        presence=ones,
        bright_level=180 * ones,
        dark_level=40 * ones,
        sharpness=0.1 * ones,
        other_face=0 * ones,
    )


def mirror_landmarks(canonical: CanonicalFace) -> np.ndarray:
    """For each landmark the one on the other side, ndarray [shape=(478,)]."""
    flipped = canonical.points_cm * (-1, 1, 1)
    other = np.linalg.norm(canonical.points_cm[:, None] - flipped[None], axis=2).argmin(axis=1)
    iris = np.array([0, 3, 2, 1, 4])  # centre, then right, top, left, bottom as seen
    return np.concatenate([other, 473 + iris, 468 + iris])


def mirror_values(names: Sequence[str], values: np.ndarray) -> np.ndarray:
    """Face values [shape=(..., d)] of the mirrored face: sides change places, what has a direction turns round."""
    partner = []
    for name in names:
        for one, other in (("Left", "Right"), ("Right", "Left"), ("_left", "_right"), ("_right", "_left")):
            if name.endswith(one):
                partner.append(names.index(name.removesuffix(one) + other))
                break
        else:
            partner.append(names.index(name))
    turned = np.array([-1 if name.startswith("shape_odd") or name == "yaw_deg" else 1 for name in names], np.float32)
    return np.asarray(values[..., partner] * turned)
