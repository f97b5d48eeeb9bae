"""Geometry with known values, the shape of the mesh, quality reasons, blinks against closed eyes, jumps, speech."""

from __future__ import annotations

import dataclasses
import io

import numpy as np
import pytest
from make_faces import canonical_face, frames_of, mirror_landmarks

from painsense import action_units, assets, face
from painsense.canonical import CanonicalFace, align
from painsense.errors import ModelError
from painsense.follow import light
from painsense.landmarks import N_LANDMARKS
from painsense.tracks import Column, Reason, Track


@pytest.fixture(scope="module")
def canonical() -> CanonicalFace:
    return canonical_face()


# values of the neutral canonical mesh in outer-canthus distances, computed from its published coordinates
CANONICAL = {
    "brow_gap": 0.2746,
    "brow_gap_upper": 0.3139,
    "brow_inner_to_eye_right": 0.2424,
    "brow_mid_to_lid_right": 0.2195,
    "cheek_to_lid_right": 0.2497,
    "cheek_outer_to_lid_right": 0.3823,
    "eye_opening_right": 0.2311,
    "alar_to_eye_right": 0.4601,
    "alar_upper_to_eye_right": 0.4735,
    "lip_to_nose": 0.1484,
    "lip_to_alar_right": 0.2030,
    "mouth_corner_to_eye_right": 0.8286,
    "mouth_width": 0.5525,
    "lip_gap": 0.0651,
}


@pytest.mark.parametrize(("name", "value"), CANONICAL.items())
def test_geometry_of_the_canonical_face(canonical: CanonicalFace, name: str, value: float) -> None:
    track = face.measure(frames_of(canonical), canonical)
    assert track.column(name)[0] == pytest.approx(value, abs=2e-4)


def test_geometry_of_a_symmetric_face_is_symmetric(canonical: CanonicalFace) -> None:
    track = face.measure(frames_of(canonical), canonical)
    for name in track.names:
        if name.endswith("_right") and name[:-6] + "_left" in track.names:
            assert track.column(name)[0] == pytest.approx(track.column(name[:-6] + "_left")[0], abs=2e-3), name


def test_geometry_does_not_depend_on_size(canonical: CanonicalFace) -> None:
    near, far = (face.measure(frames_of(canonical, scale=scale), canonical) for scale in (16, 6))
    names = [measure.name for measure in face.GEOMETRY]
    np.testing.assert_allclose([near.column(n) for n in names], [far.column(n) for n in names], atol=1e-4)


def test_the_shape_of_the_mesh_is_its_share_in_each_mode(canonical: CanonicalFace) -> None:
    shape = face.shipped_shape()
    np.testing.assert_allclose(shape.basis @ shape.basis.T, np.eye(len(shape.names)), atol=1e-4)
    for mode in (0, len(shape.names) - 1):
        faces = shape.mean + np.array([0, 0.7, -2], np.float32)[:, None, None] * shape.basis[mode].reshape(-1, 3)
        expected = np.outer([0, 0.7, -2], np.eye(len(shape.names))[mode])
        np.testing.assert_allclose(shape.codes(faces), expected, atol=1e-3)
    track = face.measure(frames_of(canonical), canonical)
    aligned, _ = align(frames_of(canonical).points_px, canonical)
    codes = np.stack([track.column(name) for name in shape.names], axis=1)
    assert codes.dtype == np.float32
    np.testing.assert_array_equal(codes, shape.codes(aligned))


def test_a_mirrored_face_keeps_even_modes_and_turns_odd_ones(canonical: CanonicalFace) -> None:
    shape = face.shipped_shape()
    rng = np.random.default_rng(2)
    faces = (shape.mean + 0.3 * rng.standard_normal((5, N_LANDMARKS, 3))).astype(np.float32)
    mirrored = faces[:, mirror_landmarks(canonical)] * np.array([-1, 1, 1], np.float32)
    sign = np.array([-1 if name.startswith("shape_odd") else 1 for name in shape.names])
    assert {-1, 1} == set(sign.tolist())
    np.testing.assert_allclose(shape.codes(mirrored), sign * shape.codes(faces), atol=1e-4)


def npz(**arrays: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    return buffer.getvalue()


MEAN = np.zeros((N_LANDMARKS, 3))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"no archive", "mean, basis and names were expected"),
        (npz(mean=MEAN), "mean, basis and names were expected"),
        (npz(mean=MEAN, basis=np.zeros((2, 9)), names=np.array(["a", "b"])), r".*\(2, 1434\) were expected"),
    ],
)
def test_another_file_in_place_of_the_basis_is_refused(
    content: bytes, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(assets, "read_weights", lambda name: content)
    with pytest.raises(ModelError, match=rf"face_shape: {message}.*install painsense again"):
        face.shipped_shape.__wrapped__()


def test_each_value_stands_under_its_name(canonical: CanonicalFace) -> None:
    raw = face.measure(frames_of(canonical), canonical)
    seen = action_units.estimate_track(raw, None)
    for track in (raw, seen):
        assert track.column("bright_level")[0] == 180
        assert track.column("dark_level")[0] == 40
        assert track.column("sharpness")[0] == pytest.approx(0.1)
        assert track.column("face_px")[0] == pytest.approx(
            10 * np.linalg.norm(canonical.points_cm[33] - canonical.points_cm[263]), rel=1e-3
        )


def test_a_good_frame_has_no_reason(canonical: CanonicalFace) -> None:
    track = face.measure(frames_of(canonical), canonical)
    assert track.valid.all()
    assert track.reason_text(0) == ""


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"bright_level": 30.0}, "too_dark"),
        ({"dark_level": 230.0}, "too_bright"),
        ({"sharpness": 0.005}, "blurred"),
        ({"other_face": 0.9}, "several_faces"),
    ],
)
def test_capture_faults_are_named(canonical: CanonicalFace, change: dict[str, float], reason: str) -> None:
    frames = frames_of(canonical)
    ((field, value),) = change.items()
    broken = dataclasses.replace(frames, **{field: np.full(len(frames.time_s), value, np.float32)})
    track = face.measure(broken, canonical)
    assert not track.valid.any()
    assert track.has_reason(reason).all()


def test_a_chosen_person_beside_others_stays_usable(canonical: CanonicalFace) -> None:
    frames = dataclasses.replace(frames_of(canonical), other_face=np.full(4, 0.9, np.float32))
    track = face.measure(frames, canonical, person=1)
    assert track.valid.all()
    assert track.has_reason("other_face").all()


def test_small_turned_and_cut_off_faces_are_named(canonical: CanonicalFace) -> None:
    assert face.measure(frames_of(canonical, scale=3), canonical).has_reason("too_small").all()
    assert face.measure(frames_of(canonical, centre=(10, 180)), canonical).has_reason("out_of_frame").all()
    frames = frames_of(canonical)
    angle = np.radians(50)
    turn = np.array([[np.cos(angle), 0, -np.sin(angle)], [0, 1, 0], [np.sin(angle), 0, np.cos(angle)]])
    middle = np.array([320, 180, 0])
    turned = dataclasses.replace(frames, points_px=((frames.points_px - middle) @ turn.T + middle).astype(np.float32))
    assert face.measure(turned, canonical).has_reason("turned_away").all()


def test_no_face_is_missing_not_zero(canonical: CanonicalFace) -> None:
    frames = frames_of(canonical)
    nan = np.full(4, np.nan, np.float32)
    lost = dataclasses.replace(
        frames,
        presence=nan,
        points_px=np.full_like(frames.points_px, np.nan),
        blendshapes=np.full((4, 52), np.nan, np.float32),
    )
    track = face.measure(lost, canonical)
    assert track.has_reason("no_face").all()
    assert np.isnan(track.column("brow_gap")).all()
    assert np.isnan(track.column("eyeBlinkLeft")).all()
    assert np.isnan(track.column(face.shipped_shape().names[0])).all()


def test_blinks_are_kept_apart_from_closed_eyes() -> None:
    time_s = np.arange(100) / 25
    closed = np.zeros(100, bool)
    closed[10:15] = True  # 0.2 s
    closed[40:60] = True  # 0.8 s
    blink, au43 = face.blinks(closed, time_s)
    assert np.flatnonzero(blink).tolist() == list(range(10, 15))
    assert np.flatnonzero(au43).tolist() == list(range(40, 60))


def boxes(x: list[float], side: list[float]) -> Track:
    n = len(x)
    values = np.full((n, len(face.COLUMNS)), np.nan, np.float32)
    for name, column in (("box_x_px", x), ("box_y_px", [100.0] * n), ("box_side_px", side)):
        values[:, [c.name for c in face.COLUMNS].index(name)] = column
    return Track("face", face.COLUMNS, face.REASONS, np.arange(n) / 25, values, np.zeros(n, np.uint32))


def test_jumps() -> None:
    nan = np.nan
    assert np.flatnonzero(face.jumps(boxes([100, 105, 110, 400, 402], [80] * 5))).tolist() == [3]
    assert np.flatnonzero(face.jumps(boxes([100, nan, nan, 400, 402], [80, nan, nan, 80, 80]))).tolist() == [3]
    assert not face.jumps(boxes([100, nan, nan, 110, 112], [80, nan, nan, 80, 80])).any()
    assert np.flatnonzero(face.jumps(boxes([100, 100, 100], [80, 80, 140]))).tolist() == [2]


def test_speaking_needs_both_voice_and_lips() -> None:
    time_s = np.arange(100) / 25
    values = np.full((100, len(face.COLUMNS)), np.nan, np.float32)
    gap = [c.name for c in face.COLUMNS].index("lip_gap")
    moving = 0.05 + 0.04 * np.sin(2 * np.pi * 4 * time_s)
    for lips, voiced, expected in ((moving, 1.0, True), (np.full(100, 0.05), 1.0, False), (moving, 0.0, False)):
        values[:, gap] = lips
        raw = Track("face", face.COLUMNS, face.REASONS, time_s, values.copy(), np.zeros(100, np.uint32))
        heard_at = np.arange(400) / 100
        voice = Track(
            "voice",
            (Column("voiced", "0/1", "voice"),),
            (Reason("silent", "silent"),),
            heard_at,
            np.full((400, 1), voiced, np.float32),
            np.zeros(400, np.uint32),
        )
        assert face.speaking(raw, voice)[20:80].all() == expected
        assert face.speaking(raw, voice)[20:80].any() == expected


def test_light_of_a_crop() -> None:
    rng = np.random.default_rng(0)
    crop = rng.integers(0, 256, (256, 256, 3), dtype=np.uint8)
    dark = (crop // 10).astype(np.uint8)
    assert light(dark).bright_level < 30 < 120 < light(crop).bright_level
    assert light(np.full((256, 256, 3), 250, np.uint8)).dark_level == pytest.approx(250, abs=1)
    import cv2

    assert light(cv2.GaussianBlur(crop, (0, 0), 4)).sharpness < 0.1 * light(crop).sharpness
