"""A picture of a simulated person: off-screen OpenGL (moderngl over EGL; Mesa's software renderer is enough).

>>> with Renderer(head, width_px=640, height_px=360) as renderer:
...     rgb = renderer.draw(Person(), {"AU4": 4.0, "AU43": 5.0}, Pose(yaw_deg=15.0))

Space as in :mod:`training.simulate.head`, with the camera looking along -z. Pose signs are the person's own: yaw > 0
turns toward the person's left (the viewer's right), pitch > 0 looks up, roll > 0 tilts toward the person's left
shoulder (clockwise for the viewer), as in :func:`painsense.canonical.pose_deg`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any

import moderngl
import numpy as np
import numpy.typing as npt
from scipy import sparse, spatial

from training.simulate import shaders
from training.simulate.head import MAX_INTENSITY, FloatArray, Head, both_sides, shape_activations
from training.simulate.looks import Colour, Looks, Patch, Person, linear, skin_colour
from training.simulate.wear import Fitter, Worn

__all__ = ["Camera", "Colour", "Light", "Looks", "Patch", "Person", "Pose", "RenderError", "Renderer", "project"]

RgbImage = npt.NDArray[np.uint8]

#: Vertex ranges of the head's parts, from the table in the README of ICT-FaceKit.
SKIN_END = 11248  # face, then head and neck
MOUTH_END = 13294
SOCKETS_END = 14062
GUMS_END = 17039
TEETH_END = 21451
LEFT_EYE = slice(21451, 22221)  # outer eyeball; the inner one behind it is not drawn
RIGHT_EYE = slice(23021, 23791)
EYEBALLS_END = 24591
LASHES_START = 25351
N_VERTICES = 26719

#: Where the 68 points of the Multi-PIE markup lie on the mesh (same source): jaw, brows, nose, eyes, lips.
# fmt: off
MULTI_PIE = (
    1225, 1888, 1052, 367, 1719, 1722, 2199, 1447, 966, 3661, 4390, 3927, 3924, 2608, 3272, 4088, 3443,
    268, 493, 1914, 2044, 1401, 3615, 4240, 4114, 2734, 2509, 978, 4527, 4942, 4857, 1140, 2075, 1147, 4269, 3360,
    1507, 1542, 1537, 1528, 1518, 1511, 3742, 3751, 3756, 3721, 3725, 3732,
    5708, 5695, 2081, 0, 4275, 6200, 6213, 6346, 6461, 5518, 5957, 5841,
    5702, 5711, 5533, 6216, 6207, 6470, 5517, 5966,
)
# fmt: on

NECK_PIVOT_CM = np.array([0.0, -9.0, -1.0], np.float32)
SENSOR_WIDTH_MM = 36.0  # focal lengths are those of a 35 mm camera


class RenderError(Exception):
    """No picture can be drawn on this machine."""


@dataclass(frozen=True)
class Pose:
    """Where the head looks, and where the person is beside (x, to the viewer's right) and above (y) the usual place."""

    yaw_deg: float = 0.0
    pitch_deg: float = 0.0
    roll_deg: float = 0.0
    x_cm: float = 0.0
    y_cm: float = 0.0

    def rotation(self) -> npt.NDArray[np.float64]:
        """Rotation matrix [shape=(3, 3)]: roll first, then pitch, then yaw."""
        yaw, pitch, roll = np.radians((self.yaw_deg, self.pitch_deg, self.roll_deg))
        about_y = np.array([[math.cos(yaw), 0, math.sin(yaw)], [0, 1, 0], [-math.sin(yaw), 0, math.cos(yaw)]])
        about_x = np.array([[1, 0, 0], [0, math.cos(pitch), math.sin(pitch)], [0, -math.sin(pitch), math.cos(pitch)]])
        about_z = np.array([[math.cos(roll), math.sin(roll), 0], [-math.sin(roll), math.cos(roll), 0], [0, 0, 1]])
        return np.asarray(about_y @ about_x @ about_z)


@dataclass(frozen=True)
class Camera:
    """``distance_cm`` to the neck's pivot; ``focal_mm`` of a 36 mm wide sensor; the camera is at eye height."""

    distance_cm: float = 65.0
    focal_mm: float = 32.0


@dataclass(frozen=True)
class Light:
    """One main light and the room's. Azimuth > 0 comes from the viewer's right, elevation > 0 from above."""

    azimuth_deg: float = -35.0
    elevation_deg: float = 30.0
    strength: float = 0.75
    ambient: float = 0.38
    #: -1 blue (sky) to 1 yellow (lamp)
    warmth: float = 0.1


def project(points_cm: FloatArray, pose: Pose, camera: Camera, width_px: int, height_px: int) -> FloatArray:
    """Where points of the head [shape=(n, 3), cm] lie in the picture, ndarray [shape=(n, 2), px, x right, y down].

    For points above the neck, which turn fully with the head.
    """
    seen = (points_cm - NECK_PIVOT_CM) @ pose.rotation().T.astype(np.float32) + NECK_PIVOT_CM + _offset(pose, camera)
    homogeneous = np.c_[seen, np.ones(len(seen), np.float32)] @ _camera_matrix(camera, width_px, height_px).T
    flat = homogeneous[:, :2] / homogeneous[:, 3:]
    return np.asarray((flat + 1.0) / 2.0 * (width_px, height_px), np.float32)


class Renderer:
    """Draws one head model in pictures of one size. Holds an OpenGL context: use it in one thread, and close it.

    A new person costs as much as a few pictures, so draw all of one person's pictures in a row.
    """

    def __init__(self, head: Head, width_px: int = 640, height_px: int = 360, samples: int = 4) -> None:
        if len(head.neutral_cm) != N_VERTICES:
            raise RenderError(f"painting needs the ICT-FaceKit topology of {N_VERTICES} vertices")
        self.head = head
        self.width_px, self.height_px = width_px, height_px
        self._mesh = _Mesh(head)
        self._fitter = Fitter(head.neutral_cm, SKIN_END, (LEFT_EYE, RIGHT_EYE), MULTI_PIE)
        try:
            settings: Any = {"standalone": True, "backend": "egl"}
            self._gl: Any = moderngl.create_context(require=330, **settings)
        except Exception as error:  # moderngl raises bare Exception where EGL or a driver is missing
            raise RenderError(
                f"no off-screen OpenGL 3.3 here ({error}); on Debian: apt-get install libegl1 libgl1 libgl1-mesa-dri"
            ) from error
        gl, size = self._gl, (width_px, height_px)
        self._flat = gl.framebuffer(gl.renderbuffer(size, 4), gl.depth_renderbuffer(size))
        self._target = self._flat
        if samples:
            depth = gl.depth_renderbuffer(size, samples=samples)
            self._target = gl.framebuffer(gl.renderbuffer(size, 4, samples=samples), depth)
        self._make_maps()
        self._make_programs()
        self._person: Person | None = None
        self._at_rest: FloatArray = head.neutral_cm
        self._worn: Worn | None = None
        self._wear_arrays: list[Any] = []

    def _make_maps(self) -> None:
        gl, size = self._gl, (shaders.MAP_WIDTH, shaders.MAP_HEIGHT)
        self._maps = [gl.texture(size, 4) for _ in range(2)]
        for unit, texture in enumerate(self._maps):
            texture.filter = (moderngl.LINEAR, moderngl.LINEAR)
            texture.repeat_x = texture.repeat_y = False
            texture.use(unit)
        self._map_frame = gl.framebuffer(self._maps, gl.depth_renderbuffer(size))
        wall = gl.texture((160, 160), 4)
        wall.filter = (moderngl.LINEAR, moderngl.LINEAR)
        wall.repeat_x = wall.repeat_y = False
        wall.use(3)
        self._wall_frame = gl.framebuffer(wall)
        values = np.random.default_rng(0).integers(0, 256, 4 * 32**3, dtype=np.uint8)
        noise = gl.texture3d((32, 32, 32), 4, values.tobytes())
        noise.filter = (moderngl.LINEAR, moderngl.LINEAR)
        noise.use(2)

    def _make_programs(self) -> None:
        gl, mesh = self._gl, self._mesh
        static = np.c_[mesh.rest, mesh.paint, mesh.part, mesh.shade].astype("f4")
        self._moving = gl.buffer(reserve=len(static) * 7 * 4)
        buffers = [
            (gl.buffer(static.tobytes()), "3f 3f 1f 1f", "rest", "paint", "part", "shade"),
            (self._moving, "3f 3f 1f", "position", "normal", "cavity"),
        ]
        sources = {
            **shaders.SURFACES,
            "paint_face": (shaders.PAINT_VERTEX, shaders.PAINT_FACE_FRAGMENT),
            "paint_rest": (shaders.PAINT_VERTEX, shaders.PAINT_REST_FRAGMENT),
            "wear": (shaders.WEAR_VERTEX, shaders.WEAR_FRAGMENT),
            "wall": (shaders.WALL_VERTEX, shaders.WALL_FRAGMENT),
            "backdrop": (shaders.WALL_VERTEX, shaders.BACKDROP_FRAGMENT),
        }
        programs = {name: gl.program(vertex_shader=v, fragment_shader=f) for name, (v, f) in sources.items()}
        # a program may not use every attribute
        self._arrays = {
            name: gl.vertex_array(programs[surface], buffers, gl.buffer(triangles.tobytes()), skip_errors=True)
            for name, surface, triangles in [
                *((name, name, triangles) for name, triangles in mesh.triangles.items() if name != "mouth"),
                ("mouth", "inside", mesh.triangles["mouth"]),
                *((name, name, triangles) for name, triangles in mesh.paintable.items()),
            ]
        }
        for name in ("wall", "backdrop"):
            self._arrays[name] = gl.vertex_array(programs[name], [])
        self._wear_program = programs["wear"]
        self._wear_moving = gl.buffer(reserve=4)
        self._uniforms: dict[str, list[Any]] = {}
        for program in programs.values():
            for name in program:
                if isinstance(program[name], moderngl.Uniform):
                    self._uniforms.setdefault(name, []).append(program[name])
        self._last: dict[str, Any] = {}
        self._set({**mesh.uniforms, "colour_map": 0, "wrinkle_map": 1, "random_values": 2, "wall_map": 3})

    def __enter__(self) -> Renderer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Give the OpenGL context back."""
        self._gl.release()

    def vertices(self, person: Person, intensities: Mapping[str, float], gaze_deg: tuple[float, float]) -> FloatArray:
        """The person's face with an expression, before it is turned, ndarray [shape=(n, 3), cm]."""
        same = self._person is not None and self._person.identity is person.identity
        at_rest = self._at_rest if same else self.head.person(person.identity)
        moved = at_rest + self.head.expression({**shape_activations(intensities), **_lids_of_gaze(gaze_deg)})
        for eye in (LEFT_EYE, RIGHT_EYE):
            middle = (moved[eye].min(axis=0) + moved[eye].max(axis=0)) / 2
            look = Pose(yaw_deg=gaze_deg[0], pitch_deg=gaze_deg[1]).rotation().astype(np.float32)
            moved[eye] = (moved[eye] - middle) @ look.T + middle
        return np.asarray(moved)

    def draw(
        self,
        person: Person,
        intensities: Mapping[str, float] | None = None,
        pose: Pose = Pose(),
        camera: Camera = Camera(),
        light: Light = Light(),
        gaze_deg: tuple[float, float] = (0.0, 0.0),
    ) -> RgbImage:
        """A picture, RGB uint8 ndarray [shape=(height, width, 3)].

        intensities : action units 0-5, as :func:`training.simulate.head.both_sides` takes them
        gaze_deg : where the eyes look relative to the head: to the person's left, up
        """
        if person is not self._person and person != self._person:
            self._meet(person)
        vertices = self.vertices(person, intensities or {}, gaze_deg)
        self._moving.write(self._mesh.moving(vertices))
        self._set(_view(pose, camera, light, self.width_px, self.height_px))
        self._set(self._wrinkles.folds(intensities or {}))
        gl = self._gl
        self._target.use()
        self._target.clear(depth=1.0)
        gl.enable_only(gl.DEPTH_TEST | gl.CULL_FACE)
        gl.front_face = "cw"  # y points down in the picture, which mirrors the winding
        for name in ("skin", "eye", "inside", "cloth"):
            self._arrays[name].render(gl.TRIANGLES)
        if self._mesh.mouth_is_open(vertices):
            self._arrays["mouth"].render(gl.TRIANGLES)
        gl.enable_only(gl.DEPTH_TEST)
        self._arrays["backdrop"].render(gl.TRIANGLES, vertices=3)
        gl.enable_only(gl.DEPTH_TEST | gl.BLEND)
        self._target.depth_mask = False  # lashes are veils that lie on each other
        self._arrays["lashes"].render(gl.TRIANGLES)
        self._target.depth_mask = True
        self._draw_wear(vertices)
        if self._target is not self._flat:
            gl.copy_framebuffer(self._flat, self._target)
        image = np.empty((self.height_px, self.width_px, 3), np.uint8)
        self._flat.read_into(image, components=3, alignment=1)
        return image

    def _draw_wear(self, vertices: FloatArray) -> None:
        mesh = None if self._worn is None else self._worn.mesh(vertices)
        if mesh is None:
            return
        gl, rows = self._gl, mesh.rows()
        if not self._wear_arrays:
            self._wear_moving.orphan(rows.nbytes)
            content = [(self._wear_moving, "3f 3f 4f 4f", "position", "normal", "tint", "finish")]
            self._wear_arrays = [gl.vertex_array(self._wear_program, content, gl.buffer(mesh.triangles.tobytes()))]
        self._wear_moving.write(rows)
        gl.enable_only(gl.DEPTH_TEST | gl.BLEND | gl.CULL_FACE)
        self._wear_arrays[0].render(gl.TRIANGLES)

    def _meet(self, person: Person) -> None:
        """Paint the maps of somebody new, and fit what they wear."""
        looks = person.looks
        self._at_rest = self.head.person(person.identity)
        self._person = person
        self._wrinkles = Wrinkles(looks)
        self._worn = Worn(self._fitter, looks, self._at_rest) if looks.wear else None
        for array in self._wear_arrays:
            array.release()
        self._wear_arrays = []
        self._set(_paint(looks))
        self._set(self._wrinkles.places)
        gl = self._gl
        self._map_frame.use()
        gl.enable_only(gl.DEPTH_TEST)
        crown = np.sqrt(linear(looks.hair) if looks.hairline_cm is not None else skin_colour(looks.skin_tone))
        if looks.hair_band and looks.hair_band.width_cm is None:
            crown = np.sqrt(linear(looks.hair_band.colour))
        self._map_frame.clear(*crown.tolist(), 0.15, depth=1.0)  # the crown lies where the maps are cut
        for name in self._mesh.paintable:
            self._arrays[name].render(gl.TRIANGLES)
        self._wall_frame.use()
        gl.enable_only(gl.NOTHING)
        self._arrays["wall"].render(gl.TRIANGLES, vertices=3)

    def _set(self, uniforms: Mapping[str, Any]) -> None:
        """Set what has changed, in every program that has it."""
        for name, value in uniforms.items():
            if name not in self._last or self._last[name] != value:
                self._last[name] = value
                for uniform in self._uniforms.get(name, ()):
                    uniform.value = value


class Wrinkles:
    """Where the skin of one person folds and how deep by action units, drawn from ``Looks.pattern``.

    Two faces with the same intensities wrinkle differently: wrinkles are a cue, not a code.
    """

    def __init__(self, looks: Looks) -> None:
        rng = np.random.default_rng(looks.pattern)
        n = len(shaders.FOLDS)
        gain = np.clip(np.exp(rng.normal(-0.1, 0.55, n)), 0.1, 2.0)
        self._deepest = np.clip(looks.furrows * gain, 0.0, 1.2)
        at_rest = looks.age_lines * np.clip(np.exp(rng.normal(-0.4, 0.7, n)), 0.05, 1.8)
        lean = np.clip(rng.normal(0, 0.15, n), -0.4, 0.4)
        self._at_rest = np.clip([at_rest * (1 + lean), at_rest * (1 - lean)], 0.0, 1.0)
        self._power = rng.uniform(0.7, 1.8, n)
        uniform = rng.uniform
        #: uniforms of the paint program
        self.places: dict[str, Any] = {
            "person": tuple(float(v) for v in uniform(0, 32, 3)),
            "forehead_lines": (6.9 + uniform(0, 0.8), uniform(0.55, 1.2), uniform(0.10, 0.2), uniform(-0.6, 1.2)),
            "frown_lines": (uniform(0.35, 1.0), uniform(-0.1, 0.3), uniform(0.12, 0.24), max(0.0, uniform(-1.0, 0.9))),
            "nose_lines": (uniform(3.0, 3.6), uniform(0.4, 0.75), uniform(0.08, 0.16), uniform(0.6, 1.6)),
            "eye_lines": (uniform(0.28, 0.5), uniform(-0.2, 0.2), uniform(0.07, 0.14), uniform(0.9, 2.2)),
            "mouth_lines": (uniform(-0.15, 0.4), uniform(0.16, 0.34), uniform(0.2, 1.2), uniform(0.2, 1.0)),
        }

    def folds(self, intensities: Mapping[str, float]) -> dict[str, Any]:
        """How deep each of ``shaders.FOLDS`` is now on the left and the right, as uniforms."""
        sides = both_sides(intensities)
        strength = np.array([sides[name] for name in shaders.FOLDS]).T / MAX_INTENSITY
        depth = np.maximum(self._at_rest, 0.6 * self._at_rest + self._deepest * strength**self._power)
        left, right = (tuple(float(v) for v in side) for side in depth)
        return {"fold_left": left, "fold_right": right}


def _view(pose: Pose, camera: Camera, light: Light, width_px: int, height_px: int) -> dict[str, Any]:
    """The uniforms of one picture."""
    axis, angle = _axis_angle(pose.rotation())
    warm = np.array([1.0 + 0.12 * light.warmth, 1.0, 1.0 - 0.18 * light.warmth])
    azimuth, elevation = math.radians(light.azimuth_deg), math.radians(light.elevation_deg)
    direction = (
        math.sin(azimuth) * math.cos(elevation),
        math.sin(elevation),
        math.cos(azimuth) * math.cos(elevation),
    )
    return {
        "camera": tuple(_camera_matrix(camera, width_px, height_px).T.ravel().tolist()),
        "turn": (*axis, angle),
        "offset": tuple(_offset(pose, camera).tolist()),
        "pivot": tuple(NECK_PIVOT_CM.tolist()),
        "light_direction": direction,
        "light_colour": tuple((light.strength * warm).tolist()),
        "sky_colour": tuple((light.ambient * 1.25 * np.array([0.97, 1.0, 1.04])).tolist()),
        "ground_colour": tuple((light.ambient * 0.75 * np.array([1.04, 1.0, 0.95])).tolist()),
    }


def _paint(looks: Looks) -> dict[str, Any]:
    """The uniforms of one person."""
    skin, hair, band = skin_colour(looks.skin_tone), linear(looks.hair), looks.hair_band
    lip = skin * (np.array([0.78, 0.54, 0.62]) - looks.lip_redness * np.array([0.10, 0.26, 0.20]))
    low = 99.0 if band is None else band.low_cm
    high = 100.0 if band is None or band.width_cm is None else low + band.width_cm
    hair_cm = 0.0 if looks.hairline_cm is None else looks.hair_length_cm
    patches = [*looks.patches, *[(-9.0, -9.0, 0.0, 0.0, (0.0, 0.0, 0.0))] * 4][:4]
    return {
        "hair_length": hair_cm if band is None else min(hair_cm, 0.5),
        "hair_cover": -100.0 if looks.hairline_cm is None else looks.hairline_cm,
        "band": (low, high, 0.3),
        "band_colour": tuple(linear(band.colour if band else looks.hair).tolist()),
        "skin_colour": tuple(skin.tolist()),
        "lip_colour": tuple(lip.tolist()),
        "brow_colour": tuple((hair * 0.75).tolist()),
        "hair_colour": tuple(hair.tolist()),
        "iris_colour": tuple(linear(looks.iris).tolist()),
        "eye_redness": looks.eye_redness,
        "cloth_colour": tuple(linear(looks.cloth).tolist()),
        "brow_shape": (looks.brow_thickness_cm, looks.brow_density, looks.brow_tail_cm),
        "skin_detail": (looks.redness, looks.freckles, looks.stubble, looks.mottling),
        "upper_colour": tuple(linear(looks.wall_upper).tolist()),
        "lower_colour": tuple(linear(looks.wall_lower).tolist()),
        "patch_place": [patch[:4] for patch in patches],
        "patch_colour": [tuple(linear(patch[4]).tolist()) for patch in patches],
        "patch_count": min(len(looks.patches), 4),
    }


class _Mesh:
    """What is drawn, apart from where its vertices are just now: triangles, paint coordinates, neighbourhoods."""

    def __init__(self, head: Head) -> None:
        rest, triangles = head.neutral_cm, head.triangles
        torso, torso_triangles, torso_normals = _torso(len(rest))
        self.rest = np.r_[rest, torso]
        self.part = np.r_[_parts(len(rest)), np.full(len(torso), shaders.CLOTH)]
        highest, lowest = triangles.max(axis=1), triangles.min(axis=1)
        eyeball = np.zeros(len(rest), bool)
        eyeball[LEFT_EYE] = eyeball[RIGHT_EYE] = True
        is_skin = highest < SKIN_END
        in_front = rest[triangles, 2].max(axis=1) > 7.5  # of the eyeballs nothing else is ever seen
        is_socket = (lowest >= MOUTH_END) & (highest < SOCKETS_END)
        skin, mouth = triangles[is_skin], triangles[~is_skin & ~is_socket & (highest < TEETH_END)]
        #: by kind of surface, without what is never seen
        self.triangles: dict[str, npt.NDArray[np.int32]] = {
            "skin": _near_together(skin, rest),
            "cloth": torso_triangles,
            "eye": triangles[eyeball[highest] & in_front],
            "inside": triangles[is_socket],
            "mouth": mouth[(mouth.max(axis=1) < MOUTH_END) | (_facing(rest, mouth)[:, 2] > -0.8)],
            "lashes": triangles[lowest >= LASHES_START],
        }

        # the maps are cut open at the back; what lies across the cut cannot be painted
        angle = np.arctan2(rest[skin, 0], rest[skin, 2] - 1.0)
        whole = np.ptp(angle, axis=1) < np.pi
        folds = (rest[skin] > (-9, -8, 2)).all(axis=(1, 2)) & (rest[skin, 1].min(axis=1) < 10.5)
        self.paintable = {"paint_face": skin[whole & folds], "paint_rest": skin[whole & ~folds]}
        self._corners = tuple(np.ascontiguousarray(skin[:, k]) for k in range(3))
        self._upper_lip, self._lower_lip = list(MULTI_PIE[61:64]), list(MULTI_PIE[67:64:-1])
        corner = skin.ravel()
        ones = np.ones(len(corner), np.float32)
        self._to_vertex = sparse.csr_matrix((ones, (corner, np.arange(len(corner)) // 3)), (SKIN_END, len(skin)))
        edges = np.r_[skin[:, [0, 1]], skin[:, [1, 2]], skin[:, [2, 0]]]
        weights = np.ones(2 * len(edges), np.float32)
        both = (np.r_[edges[:, 0], edges[:, 1]], np.r_[edges[:, 1], edges[:, 0]])
        neighbours = sparse.csr_matrix((weights, both), (SKIN_END, SKIN_END))
        count = np.maximum(np.asarray(neighbours.sum(axis=1)), 1.0)
        self._mean_of_neighbours = sparse.csr_matrix(neighbours.multiply(1.0 / count)).astype(np.float32)
        self._bend = sparse.csr_matrix(self._mean_of_neighbours - sparse.identity(SKIN_END, np.float32))
        reach = np.linalg.norm(rest[edges[:, 0]] - rest[edges[:, 1]], axis=1)
        mean_reach = np.bincount(edges[:, 0], reach, SKIN_END) / (count[:, 0] / 2)
        self._edge_cm = np.maximum(mean_reach, 0.05).astype(np.float32)

        self._moving = np.zeros((len(self.rest), 7), np.float32)
        self._moving[:, 3:6] = np.r_[_vertex_normals(rest, triangles), torso_normals]
        self._moving[len(rest) :, :3] = torso
        self.paint = np.zeros((len(self.rest), 3), np.float32)
        self.paint[: len(rest)] = _paint_coordinates(rest)
        self.shade = _shade(self.rest)
        brow = rest[list(MULTI_PIE[17:22])]
        curve = np.polyfit(np.abs(brow[:, 0]), brow[:, 1], 3)[::-1]
        eye = rest[LEFT_EYE]
        centre = (eye.min(axis=0) + eye.max(axis=0)) / 2
        front = eye[np.linalg.norm(eye[:, :2] - centre[:2], axis=1) < 0.45]
        axis = front[front[:, 2] > centre[2]].mean(axis=0) - centre
        self.uniforms: dict[str, Any] = {
            "brow_curve": tuple(curve),
            "eye_centre": tuple(centre),
            "eye_axis": tuple(axis / np.linalg.norm(axis)),
        }

    def moving(self, vertices: FloatArray) -> FloatArray:
        """Position, normal and fold depth of every vertex, ndarray [shape=(n + torso, 7)]; normals only of the skin."""
        x, y, z = (np.ascontiguousarray(column) for column in vertices[:SKIN_END].T)
        i, j, k = self._corners
        ax, ay, az = x[i], y[i], z[i]
        bx, by, bz = x[j] - ax, y[j] - ay, z[j] - az
        cx, cy, cz = x[k] - ax, y[k] - ay, z[k] - az
        face = np.stack([by * cz - bz * cy, bz * cx - bx * cz, bx * cy - by * cx], axis=1)
        normal = self._to_vertex @ face
        normal /= np.maximum(np.sqrt(np.einsum("ij,ij->i", normal, normal)), 1e-9)[:, None]
        bend = self._bend @ vertices[:SKIN_END]
        cavity = np.einsum("ij,ij->i", bend, normal) / self._edge_cm
        self._moving[: len(vertices), :3] = vertices
        self._moving[:SKIN_END, 3:6] = normal
        self._moving[:SKIN_END, 6] = self._mean_of_neighbours @ cavity
        return self._moving

    def mouth_is_open(self, vertices: FloatArray) -> bool:
        """Can one see between the lips?"""
        return bool(np.abs(vertices[self._upper_lip, 1] - vertices[self._lower_lip, 1]).max() > 0.12)


def _parts(n: int) -> npt.NDArray[np.float64]:
    part = np.full(n, float(shaders.SOCKET))
    part[:SKIN_END] = shaders.SKIN
    part[SKIN_END:MOUTH_END] = shaders.MOUTH
    part[MOUTH_END:SOCKETS_END] = shaders.SOCKET
    part[SOCKETS_END:GUMS_END] = shaders.GUMS
    part[GUMS_END:TEETH_END] = shaders.TEETH
    part[TEETH_END:EYEBALLS_END] = shaders.EYE
    part[LASHES_START:] = shaders.LASHES
    return part


def _near_together(triangles: npt.NDArray[np.int32], rest: FloatArray) -> npt.NDArray[np.int32]:
    """The triangles along a curve that fills space, so that fewer of their vertices are worked out twice."""
    middle = rest[triangles].mean(axis=1)
    step = ((middle - middle.min(axis=0)) / np.ptp(middle, axis=0) * 255).astype(np.int64)
    place = sum(((step[:, axis] >> bit) & 1) << (3 * bit + axis) for bit in range(8) for axis in range(3))
    return triangles[np.argsort(place, kind="stable")]


def _facing(vertices: FloatArray, triangles: npt.NDArray[np.int32]) -> FloatArray:
    """Each triangle's normal, ndarray [shape=(m, 3)]."""
    a, b, c = (vertices[triangles[:, k]] for k in range(3))
    normal = np.cross(b - a, c - a)
    return np.asarray(normal / np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1e-9), np.float32)


def _vertex_normals(vertices: FloatArray, triangles: npt.NDArray[np.int32]) -> FloatArray:
    a, b, c = (vertices[triangles[:, k]] for k in range(3))
    face = np.cross(b - a, c - a)
    sums = [np.bincount(triangles.ravel(), np.repeat(face[:, k], 3), len(vertices)) for k in range(3)]
    normal = np.stack(sums, axis=1)
    return np.asarray(normal / np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1e-9), np.float32)


def _paint_coordinates(rest: FloatArray) -> FloatArray:
    """Inside the lips, from the lash line, inside the hair: distances in cm, ndarray [shape=(n, 3)]."""
    result = np.zeros((len(rest), 3), np.float32)
    result[:, 0] = -9.0
    mouth = (np.abs(rest[:, 0]) < 4) & (np.abs(rest[:, 1] + 3.4) < 3) & (rest[:, 2] > 7.5)
    outline = rest[list(MULTI_PIE[48:60]), :2]
    result[mouth, 0] = _inside_polygon(rest[mouth, :2], _rounded(outline))

    lashes = rest[LASHES_START:]
    roots = lashes[spatial.KDTree(rest[:SKIN_END]).query(lashes)[0] < 0.02]  # where they grow out of the lid
    result[:, 1] = np.minimum(spatial.KDTree(roots).query(rest)[0], 9.0)

    x, y, z = np.abs(rest[:, 0]), rest[:, 1], rest[:, 2]
    forehead = y - 10.2 + 0.02 * x**2 + 0.25 * np.maximum(x - 4.5, 0)
    temple = np.minimum(3.3 - z + 0.15 * (y - 5), y - 4.6)
    nape = np.minimum(-2.0 - z + 0.1 * (y + 2), y + 5.5)
    ear = np.maximum(x - 7.25, 0) * (y < 4.6) * (z > -2.5) * 8
    result[:, 2] = np.maximum(np.maximum(forehead, temple), nape) - ear
    return result


def _shade(rest: FloatArray) -> FloatArray:
    """Share of the room's light that gets to each place of any head, ndarray [shape=(n,)]."""
    x, y, z = np.abs(rest[:, 0]), rest[:, 1], rest[:, 2]
    from_nostril = np.hypot(x - 0.55, (y + 1.05) * 1.6) + (z < 9.5)
    share = np.clip((from_nostril + 0.1) / 1.1, 0, 1)
    nostril = 0.55 + 0.45 * share**2 * (3 - 2 * share)

    def blob(centre: tuple[float, float, float], size: tuple[float, float, float]) -> FloatArray:
        off = (np.stack([x, y, z], axis=1) - centre) / np.asarray(size)
        return np.asarray(np.exp(-(off**2).sum(axis=1)), np.float32)

    under_chin = 1 - 0.45 * blob((0.0, -9.8, 4.0), (6.0, 2.2, 5.0))
    beside_nose_root = 1 - 0.30 * blob((2.2, 4.3, 9.2), (1.2, 0.8, 1.2))
    return np.asarray(nostril * under_chin * beside_nose_root, np.float32)


def _rounded(polygon: FloatArray, rounds: int = 2) -> FloatArray:
    """The polygon with a point of a four-point curve between each two (keeps the given points)."""
    for _ in range(rounds):
        before, after, beyond = (np.roll(polygon, k, axis=0) for k in (1, -1, -2))
        middle = (9 * (polygon + after) - before - beyond) / 16
        polygon = np.stack([polygon, middle], axis=1).reshape(-1, 2)
    return polygon


def _inside_polygon(points: FloatArray, polygon: FloatArray) -> FloatArray:
    """Distance to the polygon's outline, > 0 inside, ndarray [shape=(n,)]."""
    start, end = polygon, np.roll(polygon, -1, axis=0)
    along = end - start
    to_point = points[:, None] - start
    share = np.clip((to_point * along).sum(axis=2) / (along**2).sum(axis=1), 0, 1)
    distance = np.linalg.norm(to_point - share[..., None] * along, axis=2).min(axis=1)
    y = points[:, None, 1]
    crosses = (start[:, 1] > y) != (end[:, 1] > y)
    rise = np.where(along[:, 1] == 0, 1e-9, along[:, 1])
    left_of = points[:, None, 0] < start[:, 0] + (y - start[:, 1]) / rise * along[:, 0]
    inside = (crosses & left_of).sum(axis=1) % 2 == 1
    return np.asarray(np.where(inside, distance, -distance), np.float32)


def _torso(first: int) -> tuple[FloatArray, npt.NDArray[np.int32], FloatArray]:
    """A plain clothed upper body under the neck: vertices, triangles (numbered from ``first``), normals."""
    # height, half width, half depth, middle z in cm; the first ring lies inside the neck, so that no gap shows
    rings = np.array(
        [
            (-13.5, 3.5, 3.0, -1.4), (-11.6, 6.9, 6.2, -1.4), (-12.0, 8.2, 6.6, -1.6),
            (-12.8, 11.0, 7.2, -2.2), (-13.8, 14.5, 7.8, -2.6), (-15.2, 18.0, 8.6, -3.0),
            (-17.5, 20.6, 9.6, -3.0), (-21.0, 22.2, 10.6, -3.0), (-45.0, 23.5, 12.0, -2.5),
        ]
    )  # fmt: skip
    fine = np.linspace(0, len(rings) - 1, 36)
    ring = np.stack([np.interp(fine, np.arange(len(rings)), column) for column in rings.T], axis=1)
    around = np.linspace(0, 2 * np.pi, 49)[:-1]
    x = ring[:, 1:2] * np.cos(around)
    z = ring[:, 3:4] + ring[:, 2:3] * np.sin(around)
    # a collar cut lower at the throat than at the nape
    y = ring[:, :1] - 0.8 * np.sin(around) * np.exp(-((ring[:, :1] + 11.6) ** 2) / 4)
    points = np.stack([x, y, z], axis=2).reshape(-1, 3).astype(np.float32)
    row, column = np.meshgrid(np.arange(len(ring) - 1), np.arange(len(around)), indexing="ij")
    here, right = row * len(around) + column, row * len(around) + (column + 1) % len(around)
    below, below_right = here + len(around), right + len(around)
    quads = np.stack([here, right, below, right, below_right, below], axis=2)
    triangles = quads.reshape(-1, 3).astype(np.int32)
    normals = _vertex_normals(points, triangles)
    return points, triangles + np.int32(first), normals


def _lids_of_gaze(gaze_deg: tuple[float, float]) -> dict[str, float]:
    """The lids follow the eyes: shapes for a gaze toward the person's left and up, full at 30 degrees."""
    left, up = (max(-1.0, min(1.0, angle / 30.0)) for angle in gaze_deg)
    lids: dict[str, float] = {}
    for name, amount in (("Up", up), ("Down", -up)):
        if amount > 0:
            lids |= {f"eyeLook{name}_L": amount, f"eyeLook{name}_R": amount}
    for outer, inner, amount in (("L", "R", left), ("R", "L", -left)):
        if amount > 0:
            lids |= {f"eyeLookOut_{outer}": amount, f"eyeLookIn_{inner}": amount}
    return lids


def _offset(pose: Pose, camera: Camera) -> FloatArray:
    """Moves the person before the camera, with the eyes a little above the picture's middle."""
    return np.array([pose.x_cm, pose.y_cm - 1.8, -camera.distance_cm], np.float32)


def _camera_matrix(camera: Camera, width_px: int, height_px: int) -> FloatArray:
    """Perspective projection [shape=(4, 4)] with y down, as images are stored."""
    near, far = 5.0, 1000.0
    across = 2 * camera.focal_mm / SENSOR_WIDTH_MM
    matrix = np.zeros((4, 4), np.float32)
    matrix[0, 0] = across
    matrix[1, 1] = -across * width_px / height_px
    matrix[2, 2:] = (far + near) / (near - far), 2 * far * near / (near - far)
    matrix[3, 2] = -1.0
    return matrix


def _axis_angle(rotation: npt.NDArray[np.float64]) -> tuple[tuple[float, float, float], float]:
    angle = math.acos(max(-1.0, min(1.0, (float(np.trace(rotation)) - 1.0) / 2.0)))
    if angle < 1e-7:
        return (0.0, 1.0, 0.0), 0.0
    axis = np.array([rotation[2, 1] - rotation[1, 2], rotation[0, 2] - rotation[2, 0], rotation[1, 0] - rotation[0, 1]])
    axis /= 2 * math.sin(angle)
    return (float(axis[0]), float(axis[1]), float(axis[2])), angle
