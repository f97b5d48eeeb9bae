"""Pictures for the report: the face at a peak as a mesh turned to the viewer, and the frame itself if asked for."""

from __future__ import annotations

import cv2
import numpy as np

from painsense.canonical import N_MESH, align
from painsense.landmarks import SAME_FACE_SIDES, FaceNetworks, Image, Square, distance, refine, search
from painsense.report import PeakPicture

FRAME_SIDE_PX = 480  # longest side of a picture in the report
JPEG_QUALITY = 80


def peak(networks: FaceNetworks, image: Image, near: Square, time_s: float, include_frame: bool) -> PeakPicture | None:
    """The face nearest to where the followed person was; None when no face is found there again."""
    found = search(networks, image)
    if not found:
        return None
    target = min(found, key=lambda tracked: distance(tracked.square, near))
    tracked = refine(networks, image, target)
    if tracked is None or distance(tracked.square, near) > SAME_FACE_SIDES:
        return None
    aligned, _ = align(tracked.points_px[None], networks.canonical)
    return PeakPicture(time_s, mesh_picture(aligned[0, :N_MESH]), _jpeg(image) if include_frame else None)


def mesh_picture(aligned: np.ndarray) -> np.ndarray:
    """An aligned mesh [shape=(468, 3)] seen from the front: ndarray [shape=(468, 2)], x right, y down, within -1..1."""
    flat = aligned[:, :2] * (1, -1)
    low, high = flat.min(axis=0), flat.max(axis=0)
    return np.asarray((flat - (low + high) / 2) / ((high - low).max() / 2), np.float32)


def _jpeg(image: Image) -> bytes:
    scale = min(1.0, FRAME_SIDE_PX / max(image.shape[:2]))
    small = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    _, data = cv2.imencode(".jpg", small[:, :, ::-1], [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
    return data.tobytes()
