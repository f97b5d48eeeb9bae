"""A simulated person before the camera: drawn, photographed, and looked at with painsense's own landmark networks.

The camera's torchvision has to be imported before a renderer is made: it crashes when it comes after Mesa.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from painsense.follow import Follower, Seen, light
from painsense.landmarks import FaceNetworks, largest, refine, search
from training.simulate import camera, faces
from training.simulate.dataset import AT_REST, LABELS, SEQUENCE, SINGLE, WEAR
from training.simulate.episodes import random_episode
from training.simulate.head import Head, truth
from training.simulate.looks import Person, random_person
from training.simulate.render import MULTI_PIE, Camera, Light, Pose, Renderer, RgbImage, project

SIZE_PX = 320
#: share of pictures taken under another light and camera than the person's other ones
ELSEWHERE = 0.35
CROP_PX = 96

Row = dict[str, Any]


@dataclass(frozen=True)
class Setting:
    """Where pictures are taken: one recording has one lens, one light, and a camera that does as well as it can."""

    lens: Camera
    lamp: Light
    shot: camera.Shot


class Studio:
    """A renderer and the landmark networks, loaded once a process. Use it in one thread."""

    def __init__(self, head: Head) -> None:
        self.head = head
        self._networks = FaceNetworks()
        self._renderer = Renderer(head, SIZE_PX, SIZE_PX, samples=0)

    def pictures(
        self, rng: np.random.Generator, number: int, rest: int, expressions: int, sequence: tuple[float, float] | None
    ) -> Iterator[Row | None]:
        """Everything that is taken of one random person: the fields of one face, or None where no face was found.

        number : of the person
        rest, expressions : how many pictures at rest and with an expression
        sequence : seconds and pictures a second of a sequence, or None
        """
        person = random_person(rng, len(self.head.identity_deltas_cm))
        corners = self.head.person(person.identity)[[MULTI_PIE[36], MULTI_PIE[45]]]
        usual = _setting(rng, corners)
        for shot in range(rest + expressions):
            at_rest = shot < rest
            expression = faces.Expression("neutral") if at_rest else faces.random_expression(rng)
            pose = faces.rest_pose(rng) if at_rest else faces.random_pose(rng)
            where = _setting(rng, corners) if rng.random() < ELSEWHERE else usual
            image = self._photo(rng, person, expression.intensities, pose, where, faces.random_gaze(rng))
            row = self._row(self._look(image), person, expression.intensities, pose)
            yield row and row | _stamps(number, AT_REST if at_rest else SINGLE, expression.kind, 0.0)
        if sequence is None:
            return
        episode = random_episode(rng, *sequence)
        follower, aim = Follower(self._networks), faces.random_pose(rng)
        for k, time_s in enumerate(episode.time_s):
            pose = _together(aim, episode.pose_at(k))
            gaze = (float(episode.gaze_deg[k, 0]), float(episode.gaze_deg[k, 1]))
            image = self._photo(rng, person, episode.intensities(k), pose, usual, gaze)
            row = self._row(follower.step(image, float(time_s)), person, episode.intensities(k), pose)
            yield row and row | _stamps(number, SEQUENCE, episode.kind, float(time_s))

    def _photo(
        self,
        rng: np.random.Generator,
        person: Person,
        intensities: dict[str, float],
        pose: Pose,
        where: Setting,
        gaze_deg: tuple[float, float],
    ) -> RgbImage:
        picture = self._renderer.draw(person, intensities, pose, where.lens, where.lamp, gaze_deg)
        return camera.develop(picture, where.shot, rng)

    def _look(self, image: RgbImage) -> Seen:
        """A picture that stands alone."""
        found = search(self._networks, image, hard=False)
        tracked = refine(self._networks, image, largest(found)) if found else None
        return Seen(0.0, image.shape[1], image.shape[0], tracked, light(tracked.crop) if tracked else None, 0.0)

    def _row(self, seen: Seen, person: Person, intensities: dict[str, float], pose: Pose) -> Row | None:
        if seen.tracked is None or seen.light is None:
            return None
        label = truth(intensities)
        small = cv2.resize(seen.tracked.crop, (CROP_PX, CROP_PX), interpolation=cv2.INTER_AREA)
        return {
            "points_px": seen.tracked.points_px.astype(np.float32),
            "blendshapes": seen.tracked.blendshapes.astype(np.float32),
            "size_px": np.array((seen.width_px, seen.height_px), np.float32),
            "presence": np.float32(seen.tracked.presence),
            "bright_level": np.float32(seen.light.bright_level),
            "dark_level": np.float32(seen.light.dark_level),
            "sharpness": np.float32(seen.light.sharpness),
            "labels": np.array([label[name] for name in LABELS], np.float32),
            "turn_deg": np.array((pose.yaw_deg, pose.pitch_deg, pose.roll_deg), np.float32),
            "skin_tone": np.float32(person.looks.skin_tone),
            "wear": np.array([name in person.looks.wear for name in WEAR]),
            "crop": np.asarray(cv2.cvtColor(small, cv2.COLOR_RGB2GRAY), np.uint8),
        }


def _setting(rng: np.random.Generator, corners_cm: npt.NDArray[np.float32]) -> Setting:
    """Somewhere. ``corners_cm``: the outer eye corners [shape=(2, 3)], whose distance the camera's faults go by."""
    lens, lamp = faces.random_camera(rng), faces.random_light(rng)
    right, left = project(corners_cm, Pose(), lens, SIZE_PX, SIZE_PX)
    return Setting(lens, lamp, camera.random_shot(rng, float(np.hypot(*(left - right)))))


def _together(aim: Pose, sway: Pose) -> Pose:
    return replace(
        aim,
        yaw_deg=aim.yaw_deg + sway.yaw_deg,
        pitch_deg=aim.pitch_deg + sway.pitch_deg,
        roll_deg=aim.roll_deg + sway.roll_deg,
        x_cm=aim.x_cm + sway.x_cm,
        y_cm=aim.y_cm + sway.y_cm,
    )


def _stamps(person: int, role: int, kind: str, time_s: float) -> Row:
    return {
        "person": np.int32(person),
        "role": np.uint8(role),
        "kind": np.array(kind, "U24"),
        "time_s": np.float32(time_s),
    }
