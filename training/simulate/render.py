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
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any

import moderngl
import numpy as np
import numpy.typing as npt
from scipy import sparse, spatial

from training.simulate import shaders
from training.simulate.head import FloatArray, Head, shape_activations

RgbImage = npt.NDArray[np.uint8]
Colour = tuple[float, float, float]
#: middle x, y, half width, half height (0-1 of the picture), colour
Patch = tuple[float, float, float, float, Colour]

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

#: The ten tones of the Monk Skin Tone Scale, sRGB (skintone.google, CC BY 4.0).
MONK_TONES = (
    "f6ede4", "f3e7db", "f7ead0", "eadaba", "d7bd96", "a07e56", "825c43", "604134", "3a312a", "292420",
)  # fmt: skip

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


@dataclass(frozen=True)
class Looks:
    """How a person is painted. ``skin_tone``: Monk scale, 1-10, in between is mixed. Colours are sRGB 0-1."""

    skin_tone: float = 3.5
    redness: float = 0.5
    freckles: float = 0.0
    stubble: float = 0.0
    mottling: float = 1.0
    lip_redness: float = 0.5
    brow_thickness_cm: float = 0.85
    brow_density: float = 0.85
    brow_tail_cm: float = 0.0
    hair: Colour = (0.20, 0.13, 0.09)
    hair_length_cm: float = 1.2
    #: how far the hairline comes down; None: no hair
    hairline_cm: float | None = 0.0
    iris: Colour = (0.33, 0.25, 0.16)
    cloth: Colour = (0.25, 0.35, 0.45)
    wall_upper: Colour = (0.72, 0.72, 0.70)
    wall_lower: Colour = (0.55, 0.54, 0.52)
    #: up to four out-of-focus things behind the person
    patches: tuple[Patch, ...] = ()


@dataclass(frozen=True)
class Person:
    """Who is drawn. ``identity``: standard deviations of the head's identity modes."""

    identity: tuple[float, ...] = ()
    looks: Looks = field(default_factory=Looks)


def project(points_cm: FloatArray, pose: Pose, camera: Camera, width_px: int, height_px: int) -> FloatArray:
    """Where points of the head [shape=(n, 3), cm] lie in the picture, ndarray [shape=(n, 2), px, x right, y down].

    For points above the neck, which turn fully with the head.
    """
    seen = (points_cm - NECK_PIVOT_CM) @ pose.rotation().T.astype(np.float32) + NECK_PIVOT_CM + _offset(pose, camera)
    homogeneous = np.c_[seen, np.ones(len(seen), np.float32)] @ _camera_matrix(camera, width_px, height_px).T
    flat = homogeneous[:, :2] / homogeneous[:, 3:]
    return np.asarray((flat + 1.0) / 2.0 * (width_px, height_px), np.float32)


class Renderer:
    """Draws one head model in pictures of one size. Holds an OpenGL context: use it in one thread, and close it."""

    def __init__(self, head: Head, width_px: int = 640, height_px: int = 360, samples: int = 4) -> None:
        if len(head.neutral_cm) != N_VERTICES:
            raise RenderError(f"painting needs the ICT-FaceKit topology of {N_VERTICES} vertices")
        self.head = head
        self.width_px, self.height_px = width_px, height_px
        self._mesh = _Mesh(head)
        try:
            settings: Any = {"standalone": True, "backend": "egl"}
            self._gl: Any = moderngl.create_context(require=330, **settings)
        except Exception as error:  # moderngl raises bare Exception where EGL or a driver is missing
            raise RenderError(
                f"no off-screen OpenGL 3.3 here ({error}); on Debian: apt-get install libegl1 libgl1 libgl1-mesa-dri"
            ) from error
        gl = self._gl
        size = (width_px, height_px)
        depth = gl.depth_renderbuffer(size, samples=samples)
        self._multi = gl.framebuffer(gl.renderbuffer(size, 4, samples=samples), depth)
        self._flat = gl.framebuffer(gl.renderbuffer(size, 4))
        self._wall: Any = gl.program(vertex_shader=shaders.WALL_VERTEX, fragment_shader=shaders.WALL_FRAGMENT)
        self._wall_vao = gl.vertex_array(self._wall, [])
        static = np.c_[self._mesh.rest, self._mesh.paint, self._mesh.part].astype("f4")
        self._moving = gl.buffer(reserve=len(static) * 7 * 4)
        buffers = [
            (gl.buffer(static.tobytes()), "3f 3f 1f", "rest", "paint", "part"),
            (self._moving, "3f 3f 1f", "position", "normal", "cavity"),
        ]
        self._programs = {
            name: gl.program(vertex_shader=shaders.HEAD_VERTEX, fragment_shader=shaders.head_fragment(name))
            for name in shaders.SURFACES
        }
        self._arrays = {
            name: gl.vertex_array(
                self._programs["inside" if name == "lashes" else name],
                buffers,
                gl.buffer(triangles.tobytes()),
                skip_errors=True,  # a program may not use every attribute
            )
            for name, triangles in self._mesh.triangles.items()
        }
        self._set(self._mesh.uniforms)
        self._person: tuple[Person, FloatArray] | None = None

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
        if self._person is None or self._person[0] is not person:
            self._person = (person, self.head.person(person.identity))
        shapes = shape_activations(intensities)
        lids = _lids_of_gaze(gaze_deg)
        moved = self._person[1] + self.head.expression({**shapes, **lids})
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
        vertices = self.vertices(person, intensities or {}, gaze_deg)
        self._moving.write(self._mesh.moving(vertices).tobytes())
        self._set_uniforms(person.looks, pose, camera, light)
        gl = self._gl
        self._multi.use()
        self._multi.clear(depth=1.0)
        gl.disable(gl.DEPTH_TEST | gl.BLEND | gl.CULL_FACE)
        self._wall_vao.render(gl.TRIANGLES, vertices=3)
        gl.enable(gl.DEPTH_TEST | gl.CULL_FACE)
        gl.front_face = "cw"  # y points down in the picture, which mirrors the winding
        for name in shaders.SURFACES:
            self._arrays[name].render(gl.TRIANGLES)
        gl.disable(gl.CULL_FACE)
        gl.enable(gl.BLEND)
        self._multi.depth_mask = False  # lashes are veils that lie on each other
        self._arrays["lashes"].render(gl.TRIANGLES)
        self._multi.depth_mask = True
        gl.copy_framebuffer(self._flat, self._multi)
        image = np.empty((self.height_px, self.width_px, 3), np.uint8)
        self._flat.read_into(image, components=3, alignment=1)
        return image

    def _set(self, uniforms: Mapping[str, Any]) -> None:
        """Set uniforms of the programs that have them."""
        program: Any
        for program in self._programs.values():
            for name, value in uniforms.items():
                if name in program:
                    program[name].value = value

    def _set_uniforms(self, looks: Looks, pose: Pose, camera: Camera, light: Light) -> None:
        axis, angle = _axis_angle(pose.rotation())
        skin = _skin_colour(looks.skin_tone)
        lip = skin * (np.array([0.78, 0.54, 0.62]) - looks.lip_redness * np.array([0.10, 0.26, 0.20]))
        hair = _linear(looks.hair)
        warm = np.array([1.0 + 0.12 * light.warmth, 1.0, 1.0 - 0.18 * light.warmth])
        azimuth, elevation = math.radians(light.azimuth_deg), math.radians(light.elevation_deg)
        direction = (
            math.sin(azimuth) * math.cos(elevation),
            math.sin(elevation),
            math.cos(azimuth) * math.cos(elevation),
        )
        values: dict[str, Any] = {
            "camera": tuple(_camera_matrix(camera, self.width_px, self.height_px).T.ravel()),
            "turn": (*axis, angle),
            "offset": tuple(_offset(pose, camera)),
            "pivot": tuple(NECK_PIVOT_CM),
            "hair_length": 0.0 if looks.hairline_cm is None else looks.hair_length_cm,
            "hair_cover": -100.0 if looks.hairline_cm is None else looks.hairline_cm,
            "light_direction": direction,
            "light_colour": tuple(light.strength * warm),
            "sky_colour": tuple(light.ambient * 1.25 * np.array([0.97, 1.0, 1.04])),
            "ground_colour": tuple(light.ambient * 0.75 * np.array([1.04, 1.0, 0.95])),
            "skin_colour": tuple(skin),
            "lip_colour": tuple(lip),
            "brow_colour": tuple(hair * 0.75),
            "hair_colour": tuple(hair),
            "iris_colour": tuple(_linear(looks.iris)),
            "cloth_colour": tuple(_linear(looks.cloth)),
            "brow_shape": (looks.brow_thickness_cm, looks.brow_density, looks.brow_tail_cm),
            "skin_detail": (looks.redness, looks.freckles, looks.stubble, looks.mottling),
        }
        self._set(values)
        patches = [*looks.patches, *[(-9.0, -9.0, 0.0, 0.0, (0.0, 0.0, 0.0))] * 4][:4]
        self._wall["upper_colour"].value = tuple(_linear(looks.wall_upper))
        self._wall["lower_colour"].value = tuple(_linear(looks.wall_lower))
        self._wall["patch_place"].value = [patch[:4] for patch in patches]
        self._wall["patch_colour"].value = [tuple(_linear(patch[4])) for patch in patches]


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
        self.triangles: dict[str, npt.NDArray[np.int32]] = {
            "skin": np.r_[triangles[is_skin], torso_triangles],
            "eye": triangles[eyeball[highest]],
            "inside": triangles[~is_skin & (highest < TEETH_END)],
            "lashes": triangles[lowest >= LASHES_START],
        }

        self._skin = triangles[is_skin]
        corner = self._skin.ravel()
        ones = np.ones(len(corner), np.float32)
        self._to_vertex = sparse.csr_matrix((ones, (corner, np.arange(len(corner)) // 3)), (SKIN_END, len(self._skin)))
        edges = np.r_[self._skin[:, [0, 1]], self._skin[:, [1, 2]], self._skin[:, [2, 0]]]
        weights = np.ones(2 * len(edges), np.float32)
        both = (np.r_[edges[:, 0], edges[:, 1]], np.r_[edges[:, 1], edges[:, 0]])
        neighbours = sparse.csr_matrix((weights, both), (SKIN_END, SKIN_END))
        count = np.maximum(np.asarray(neighbours.sum(axis=1)), 1.0)
        self._mean_of_neighbours = sparse.csr_matrix(neighbours.multiply(1.0 / count)).astype(np.float32)
        reach = np.linalg.norm(rest[edges[:, 0]] - rest[edges[:, 1]], axis=1)
        mean_reach = np.bincount(edges[:, 0], reach, SKIN_END) / (count[:, 0] / 2)
        self._edge_cm = np.maximum(mean_reach, 0.05).astype(np.float32)

        self._moving = np.zeros((len(self.rest), 7), np.float32)
        self._moving[:, 3:6] = np.r_[_vertex_normals(rest, triangles), torso_normals]
        self._moving[len(rest) :, :3] = torso
        self.paint = np.zeros((len(self.rest), 3), np.float32)
        self.paint[: len(rest)] = _paint_coordinates(rest)
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
        skin = vertices[:SKIN_END]
        a, b, c = (skin[self._skin[:, k]] for k in range(3))
        normal = self._to_vertex @ np.cross(b - a, c - a)
        normal /= np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1e-9)
        bend = self._mean_of_neighbours @ skin - skin
        cavity = np.einsum("ij,ij->i", bend, normal) / self._edge_cm
        self._moving[: len(vertices), :3] = vertices
        self._moving[:SKIN_END, 3:6] = normal
        self._moving[:SKIN_END, 6] = self._mean_of_neighbours @ cavity
        return self._moving


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


def _linear(colour: Colour) -> npt.NDArray[np.float64]:
    """SRGB 0-1 to linear light."""
    c = np.asarray(colour, np.float64)
    return np.where(c <= 0.04045, c / 12.92, ((c + 0.055) / 1.055) ** 2.4)


def _skin_colour(tone: float) -> npt.NDArray[np.float64]:
    """Linear albedo of a Monk tone 1-10. The scale's swatches are plain colours; living skin is redder."""
    tones = np.array([[int(code[k : k + 2], 16) / 255 for k in (0, 2, 4)] for code in MONK_TONES])
    place = min(max(tone, 1.0), 10.0) - 1
    mixed = np.array([np.interp(place, np.arange(10), tones[:, k]) for k in range(3)])
    blood = 1.0 - np.array([0.10, 0.25, 0.30]) * np.interp(place, (0, 6, 9), (1.0, 0.45, 0.2))
    shine = np.array([0.018, 0.010, 0.007])  # even the darkest skin gives some light back
    return np.asarray(_linear((float(mixed[0]), float(mixed[1]), float(mixed[2]))) * blood + shine)
