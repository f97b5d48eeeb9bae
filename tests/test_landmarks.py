"""The landmark networks and the follower on real pictures, and their contract."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from painsense import face, landmarks
from painsense.canonical import pose_deg
from painsense.follow import Follower, collect, follow
from painsense.landmarks import BLENDSHAPES, FaceNetworks, Image, distance, full_view, next_square, search


def frames(path: Path, limit: int | None = None) -> Iterator[tuple[float, Image]]:
    with av.open(str(path)) as container:
        for frame in itertools.islice(container.decode(video=0), limit):
            yield float(frame.time), frame.to_ndarray(format="rgb24")


@pytest.fixture(scope="module")
def networks() -> FaceNetworks:
    return FaceNetworks()


@pytest.fixture(scope="module")
def talker(shared_data: Path) -> Image:
    return next(frames(shared_data / "clips" / "bbaf2n.mpg"))[1]


@pytest.fixture(scope="module")
def group(shared_data: Path) -> Image:
    return cv2.imread(str(shared_data / "clips" / "multi_face.jpg"))[:, :, ::-1].copy()


def test_detect_gives_mediapipes_units(talker: Image) -> None:
    found = landmarks.detect(talker)
    assert found is not None
    assert found.landmarks.shape == (478, 3)
    assert found.landmarks[:, :2].min() > 0 and found.landmarks[:, :2].max() < 1
    assert found.blendshapes.shape == (52,)
    assert found.presence > 0.9
    assert np.abs(found.pose_deg).max() < 20
    right, left = found.landmarks[33], found.landmarks[263]
    assert right[0] < left[0], "the person's right eye is at the left of an unmirrored picture"
    assert found.landmarks[1, 2] < found.landmarks[234, 2], "the nose is nearer than the ear"


@pytest.mark.parametrize("image", [np.zeros((360, 640, 3), np.uint8), np.full((8, 8, 3), 128, np.uint8)])
def test_detect_finds_nothing_where_there_is_nothing(image: Image) -> None:
    assert landmarks.detect(image) is None


def test_mirroring_swaps_left_and_right(talker: Image, networks: FaceNetworks) -> None:
    plain, mirrored = landmarks.detect(talker), landmarks.detect(np.ascontiguousarray(talker[:, ::-1]))
    assert plain is not None and mirrored is not None
    assert mirrored.pose_deg[0] == pytest.approx(-plain.pose_deg[0], abs=2)
    assert mirrored.pose_deg[2] == pytest.approx(-plain.pose_deg[2], abs=2)
    left, right = BLENDSHAPES.index("eyeBlinkLeft"), BLENDSHAPES.index("eyeBlinkRight")
    assert mirrored.blendshapes[left] == pytest.approx(plain.blendshapes[right], abs=0.1)


@pytest.mark.parametrize("turn", [cv2.ROTATE_90_CLOCKWISE, cv2.ROTATE_90_COUNTERCLOCKWISE, cv2.ROTATE_180])
def test_people_lying_on_their_side_are_found(talker: Image, turn: int) -> None:
    lying = landmarks.detect(cv2.rotate(talker, turn))
    upright = landmarks.detect(talker)
    assert lying is not None and upright is not None
    roll = {cv2.ROTATE_90_CLOCKWISE: 90, cv2.ROTATE_90_COUNTERCLOCKWISE: -90, cv2.ROTATE_180: 180}[turn]
    turned = (lying.pose_deg[2] - upright.pose_deg[2] - roll + 180) % 360 - 180
    assert abs(turned) < 3
    assert lying.pose_deg[0] == pytest.approx(upright.pose_deg[0], abs=4)


def test_a_small_face_far_away_is_found(talker: Image, networks: FaceNetworks) -> None:
    small = cv2.resize(talker, None, fx=0.6, fy=0.6, interpolation=cv2.INTER_AREA)
    room = np.full((720, 1280, 3), 90, np.uint8)
    room[300 : 300 + small.shape[0], 900 : 900 + small.shape[1]] = small
    assert networks.find(room, full_view(room)) == [], "or the test shows nothing"
    found = landmarks.detect(room)
    assert found is not None
    assert 900 / 1280 < found.landmarks[1, 0] < (900 + small.shape[1]) / 1280


def test_the_same_points_wherever_the_face_is(talker: Image, networks: FaceNetworks) -> None:
    """Moving, scaling and turning the picture moves the points with it."""
    plain = landmarks.detect(talker)
    assert plain is not None
    height, width = talker.shape[:2]
    points = plain.landmarks[:, :2] * (width, height)
    eyes = np.linalg.norm(points[33] - points[263])
    matrix = cv2.getRotationMatrix2D((width / 2, height / 2), 10, 1.3)
    moved = landmarks.detect(cv2.warpAffine(talker, matrix, (width, height), borderValue=(90, 90, 90)))
    assert moved is not None
    expected = points @ matrix[:, :2].T + matrix[:, 2]
    error = np.linalg.norm(moved.landmarks[:, :2] * (width, height) - expected, axis=1) / (1.3 * eyes)
    assert error.mean() < 0.02


def test_stills_refine_their_crop(talker: Image, networks: FaceNetworks) -> None:
    """The second look is where a long-followed face settles: closer to it than the first."""
    first = search(networks, talker)[0]
    settled = first
    for _ in range(6):
        following = networks.track(talker, next_square(settled.points_px))
        assert following is not None
        settled = following
    second = landmarks.refine(networks, talker, first)
    assert second is not None

    def far(points: np.ndarray) -> float:
        return float(np.linalg.norm(points[:, :2] - settled.points_px[:, :2], axis=1).mean())

    assert far(second.points_px) < far(first.points_px)


def test_pose_by_points_agrees_with_the_face(talker: Image, networks: FaceNetworks) -> None:
    found = landmarks.detect(talker)
    assert found is not None
    height, width = talker.shape[:2]
    again = pose_deg((found.landmarks * (width, height, width))[None], networks.canonical)[0]
    np.testing.assert_allclose(again, found.pose_deg, atol=0.1)


def test_several_faces(group: Image, networks: FaceNetworks) -> None:
    found = search(networks, group)
    assert len(found) >= 2
    biggest = landmarks.largest(found)
    seen = Follower(networks).step(group, 0.0)
    assert seen.tracked is not None
    assert distance(seen.tracked.square, biggest.square) < 0.5
    assert seen.other_face > 0
    order = []
    for n in range(1, len(found) + 1):
        nth = Follower(networks, person=n).step(group, 0.0)
        assert nth.tracked is not None
        order.append(nth.tracked.square.x_px)
    assert order == sorted(order) and len(set(order)) == len(order), "person N counts from the left"
    assert Follower(networks, person=len(found) + 1).step(group, 0.0).tracked is None


def test_the_follower_stays_with_its_person(group: Image, networks: FaceNetworks) -> None:
    """Whom it followed goes before who is larger, also after a loss."""
    found = sorted(search(networks, group), key=lambda tracked: tracked.square.side_px)
    smallest = found[0]
    follower = Follower(networks, near=smallest.square)
    for k in range(3):
        seen = follower.step(group, k / 25)
        assert seen.tracked is not None
        assert distance(seen.tracked.square, smallest.square) < 0.5
    assert follower.step(np.zeros_like(group), 3 / 25).tracked is None
    seen = follower.step(group, 0.6)
    assert seen.tracked is not None
    assert distance(seen.tracked.square, smallest.square) < 0.5


def test_face_noface_loses_the_face_at_the_right_time(shared_data: Path, networks: FaceNetworks) -> None:
    clip = list(frames(shared_data / "clips" / "face_noface.mov"))
    seen = follow(Follower(networks), clip)
    found = np.isfinite(seen.presence)
    last = seen.time_s[found][-1]
    assert found[seen.time_s <= last].all(), "found without a gap ..."
    assert 2.0 < last < 3.2, "... until the face leaves"
    track = face.measure(seen, networks.canonical)
    assert track.has_reason("no_face")[seen.time_s > last].all()


def test_frames_before_the_segment_only_warm_up(shared_data: Path, networks: FaceNetworks) -> None:
    clip = list(frames(shared_data / "clips" / "bbaf2n.mpg", 20))
    whole = follow(Follower(networks), clip)
    start = clip[10][0]
    cut = follow(Follower(networks), clip[4:], from_s=start)
    np.testing.assert_array_equal(cut.time_s, whole.time_s[10:])
    eyes = np.linalg.norm(whole.points_px[0, 33] - whole.points_px[0, 263])
    assert np.abs(cut.points_px - whole.points_px[10:])[:, :, :2].mean() / eyes < 0.002


def test_no_frames_is_no_error(networks: FaceNetworks) -> None:
    assert len(face.measure(collect([]), networks.canonical)) == 0
