"""The canonical face: the neutral, upright mesh MediaPipe's bundle carries, its triangles, and head pose against it."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float32]
N_MESH = 468  # the landmarks without the ten of the irises


@dataclass(frozen=True)
class CanonicalFace:
    """MediaPipe's canonical face model.

    Attributes
    ----------
    points_cm : ndarray [shape=(468, 3)], x toward the viewer's right (the person's left), y up, z toward the camera
    triangles : ndarray [shape=(898, 3)], indices of ``points_cm``
    weights : ndarray [shape=(468,)], how much each point counts for the pose: bony parts, 0 where expression moves
    """

    points_cm: npt.NDArray[np.float64]
    triangles: npt.NDArray[np.int32]
    weights: npt.NDArray[np.float64]

    @classmethod
    def from_bundle(cls, metadata: bytes) -> CanonicalFace:
        """Read ``geometry_pipeline_metadata_landmarks.binarypb`` (a protobuf message) of the face landmark bundle."""
        weights = np.zeros(N_MESH)
        vertices: list[float] = []
        indices: list[int] = []
        for number, value in _fields(metadata):
            if number == 1 and isinstance(value, bytes):  # canonical_mesh: 3 = vertex_buffer, 4 = index_buffer
                for inner, item in _fields(value):
                    if inner == 3 and isinstance(item, bytes):
                        vertices.extend(struct.unpack(f"<{len(item) // 4}f", item))
                    elif inner == 4 and isinstance(item, int):
                        indices.append(item)
            elif number == 2 and isinstance(value, bytes):  # procrustes_landmark_basis: 1 = landmark_id, 2 = weight
                basis = dict(_fields(value))
                landmark, weight = basis[1], basis[2]
                if isinstance(landmark, int) and isinstance(weight, bytes):
                    weights[landmark] = struct.unpack("<f", weight)[0]
        points = np.array(vertices).reshape(N_MESH, 5)[:, :3]  # x, y, z, then two texture coordinates
        return cls(points, np.array(indices, np.int32).reshape(-1, 3), weights)


def align(points: FloatArray, canonical: CanonicalFace) -> tuple[FloatArray, npt.NDArray[np.float64]]:
    """Faces turned upright and scaled to the canonical face, and the rotation taken out.

    Weighted orthogonal Procrustes analysis (Kabsch 1976, doi:10.1107/S0567739476001873) with scale, on the rigid
    points.

    Parameters
    ----------
    points : ndarray [shape=(n, 478, 3)], x right, y down, z away from the camera, all in one unit (pixels)

    Returns
    -------
    aligned : ndarray [shape=(n, 478, 3), float32, canonical cm], x right, y up, z toward the camera
    rotation : ndarray [shape=(n, 3, 3)], from the canonical to the seen orientation
    """
    weights = canonical.weights[:, None] / canonical.weights.sum()
    origin = (canonical.points_cm * weights).sum(axis=0)
    target = canonical.points_cm - origin
    seen = points.astype(np.float64) * (1.0, -1.0, -1.0)
    seen -= (seen[:, :N_MESH] * weights).sum(axis=1, keepdims=True)
    rigid = seen[:, :N_MESH]
    u, singular, vt = np.linalg.svd(np.einsum("npi,pj->nij", rigid * weights, target))
    handed = np.sign(np.linalg.det(u @ vt))  # a reflection is no rotation
    u[:, :, 2] *= handed[:, None]
    singular[:, 2] *= handed
    rotation = u @ vt
    scale = singular.sum(axis=1) / (weights * rigid**2).sum(axis=(1, 2))
    aligned = seen @ rotation * scale[:, None, None] + origin
    return aligned.astype(np.float32), rotation


def pose_deg(points: FloatArray, canonical: CanonicalFace) -> FloatArray:
    """Head pose, ndarray [shape=(n, 3), degrees]: yaw, pitch, roll. For ``points`` see :func:`align`.

    yaw > 0: the person turns to their own left; pitch > 0: looks up; roll > 0: tilts the head to their own left
    shoulder.
    """
    return angles_deg(align(points, canonical)[1])


def angles_deg(rotation: npt.NDArray[np.float64]) -> FloatArray:
    """Yaw, pitch, roll of rotation matrices [shape=(n, 3, 3)] as :func:`align` gives them."""
    up = rotation[:, :, 1]  # where the top of the head points: x right, y up, z to the camera
    roll = np.arctan2(up[:, 0], up[:, 1])
    cos, sin = np.cos(roll), np.sin(roll)
    # the roll is taken out first, so that yaw and pitch are the head's own also in people who lie on their side
    level = rotation.copy()
    level[:, 0] = cos[:, None] * rotation[:, 0] - sin[:, None] * rotation[:, 1]
    level[:, 1] = sin[:, None] * rotation[:, 0] + cos[:, None] * rotation[:, 1]
    pitch = np.arctan2(-level[:, 2, 1], level[:, 1, 1])
    yaw = np.arctan2(level[:, 0, 2], level[:, 0, 0])
    return np.asarray(np.degrees(np.stack([yaw, pitch, roll], axis=1)), np.float32)


def _fields(message: bytes) -> Iterator[tuple[int, int | bytes]]:
    """Field numbers and values of a protobuf message: integers as int, all else as bytes."""
    position = 0

    def varint() -> int:
        nonlocal position
        value = shift = 0
        while True:
            byte = message[position]
            position += 1
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return value

    while position < len(message):
        key = varint()
        number, wire = key >> 3, key & 7
        if wire == 0:
            yield number, varint()
            continue
        length = {1: 8, 5: 4}.get(wire) or varint()
        yield number, message[position : position + length]
        position += length
