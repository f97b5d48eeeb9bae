"""Head pose: signs and sizes known by construction."""

from __future__ import annotations

import numpy as np
import pytest

from painsense import assets
from painsense.canonical import N_MESH, CanonicalFace, align, pose_deg


@pytest.fixture(scope="module")
def canonical() -> CanonicalFace:
    return CanonicalFace.from_bundle(assets.read_face_model()["geometry_pipeline_metadata_landmarks.binarypb"])


def as_seen(canonical: CanonicalFace, yaw: float = 0, pitch: float = 0, roll: float = 0) -> np.ndarray:
    """The canonical face turned (each angle by elementary geometry, one at a time), in picture axes, 10 px a cm."""
    y, p, r = np.radians([yaw, pitch, roll])
    turn_left = np.array([[np.cos(y), 0, np.sin(y)], [0, 1, 0], [-np.sin(y), 0, np.cos(y)]])
    look_up = np.array([[1, 0, 0], [0, np.cos(p), np.sin(p)], [0, -np.sin(p), np.cos(p)]])
    tilt_left = np.array([[np.cos(r), np.sin(r), 0], [-np.sin(r), np.cos(r), 0], [0, 0, 1]])
    points = canonical.points_cm @ (turn_left @ look_up @ tilt_left).T
    points = np.concatenate([points, np.zeros((10, 3))])  # irises, which pose does not use
    return (points * (10, -10, -10) + (320, 180, 0))[None].astype(np.float32)


def test_the_bundle_holds_the_canonical_face(canonical: CanonicalFace) -> None:
    assert canonical.points_cm.shape == (N_MESH, 3)
    assert canonical.triangles.shape == (898, 3)
    assert canonical.triangles.max() == N_MESH - 1
    assert (canonical.weights > 0).sum() == 33
    right, left = canonical.points_cm[33], canonical.points_cm[263]
    assert right[0] < 0 < left[0], "the person's right is at the viewer's left"
    assert canonical.points_cm[10, 1] > canonical.points_cm[152, 1], "forehead above chin"


@pytest.mark.parametrize("angle", [-40, -15, 0, 15, 40])
@pytest.mark.parametrize("axis", ["yaw", "pitch", "roll"])
def test_pose_is_recovered_with_its_sign(canonical: CanonicalFace, axis: str, angle: float) -> None:
    expected = np.array([angle if name == axis else 0 for name in ("yaw", "pitch", "roll")])
    np.testing.assert_allclose(pose_deg(as_seen(canonical, **{axis: angle}), canonical)[0], expected, atol=0.05)


def test_signs_match_their_words(canonical: CanonicalFace) -> None:
    nose = 1
    to_own_left = as_seen(canonical, yaw=20)[0] - as_seen(canonical)[0]
    assert to_own_left[nose, 0] > 0, "turning to the own left moves the nose to the right of the unmirrored picture"
    up = as_seen(canonical, pitch=20)[0] - as_seen(canonical)[0]
    assert up[nose, 1] < 0, "looking up moves the nose up in the picture"
    tilted = as_seen(canonical, roll=20)[0] - as_seen(canonical)[0]
    assert tilted[10, 0] > 0, "tilting to the own left shoulder moves the forehead to the right of the picture"


def test_alignment_removes_pose_place_and_size(canonical: CanonicalFace) -> None:
    plain, _ = align(as_seen(canonical), canonical)
    turned, _ = align(as_seen(canonical, yaw=25) * 3 + 50, canonical)
    np.testing.assert_allclose(turned[0, :N_MESH], plain[0, :N_MESH], atol=1e-3)
    np.testing.assert_allclose(plain[0, :N_MESH], canonical.points_cm, atol=1e-3)


def test_alignment_never_mirrors(canonical: CanonicalFace) -> None:
    mirrored = as_seen(canonical) * (-1, 1, 1) + (640, 0, 0)
    _, rotation = align(mirrored.astype(np.float32), canonical)
    assert np.linalg.det(rotation[0]) == pytest.approx(1)
