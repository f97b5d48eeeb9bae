"""A 3D head whose face moves by action units: ICT-FaceKit (USC ICT, MIT licence) with a table of what moves what.

The head is a neutral mesh, one displacement of every vertex for each of 100 identity modes, and one for each expression
shape, all added linearly (Li et al. 2020, doi 10.1109/CVPR42600.2020.00347). It is read from the folder ``FaceXModel``
of the public repository (OBJ files) or from one npz file of the same content, which loads in a second.

Space: centimetres, x toward the person's own left, y up, z out of the face. ``_L`` and ``_R`` are the person's own.

>>> head = load_head(Path("FaceXModel"))
>>> pain = head.vertices(np.zeros(100), shape_activations({"AU4": 4.0, "AU6_L": 3.0, "AU6_R": 2.0, "AU43": 5.0}))
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from pathlib import Path

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float32]

#: FACS intensity E (maximum); an intensity of 5 is a full activation (1.0) of the unit's shapes.
MAX_INTENSITY = 5.0
NEUTRAL_FILE = "generic_neutral_mesh.obj"


class HeadError(Exception):
    """The head model cannot be read."""


@dataclass(frozen=True)
class ActionUnit:
    """An action unit of FACS and the expression shapes that make it.

    ``shapes`` maps a shape's name to its activation at intensity 5. In a unit that has two sides the name stands for
    both, ``browDown`` for ``browDown_L`` and ``browDown_R``; a unit of the midline moves as one.
    """

    name: str
    meaning: str
    shapes: Mapping[str, float]
    sided: bool = True

    def side_shapes(self, side: str) -> dict[str, float]:
        """The shapes that move the side "L" or "R" (the same for both in a unit of the midline)."""
        return {f"{shape}_{side}" if self.sided else shape: share for shape, share in self.shapes.items()}


#: What moves what. Where the model's authors name another shape for a unit, the shape's movement decided:
#: ``mouthUpperUp`` lifts the lip beside the nose as AU10 does (they call it AU11), and ``cheekRaiser`` lifts the cheek
#: under the outer eye corner with ``cheekSquint`` bunching it toward the lid (AU6). AU26 and AU27 are one movement of
#: the jaw here: up to 2.5 the jaw drops (AU26), beyond it the mouth is stretched open (AU27). ``eyeBlink`` at 1
#: leaves a slit in many identities, so a full AU43 goes a little beyond it.
ACTION_UNITS: tuple[ActionUnit, ...] = (
    ActionUnit("AU1", "inner brow raiser", {"browInnerUp": 1.0}),
    ActionUnit("AU2", "outer brow raiser", {"browOuterUp": 1.0}),
    ActionUnit("AU4", "brow lowerer", {"browDown": 1.0}),
    ActionUnit("AU5", "upper lid raiser", {"eyeWide": 1.0}),
    ActionUnit("AU6", "cheek raiser", {"cheekRaiser": 0.7, "cheekSquint": 0.5}),
    ActionUnit("AU7", "lid tightener", {"eyeSquint": 1.0}),
    ActionUnit("AU9", "nose wrinkler", {"noseSneer": 1.0}),
    ActionUnit("AU10", "upper lip raiser", {"mouthUpperUp": 1.0}),
    ActionUnit("AU12", "lip corner puller", {"mouthSmile": 1.0}),
    ActionUnit("AU14", "dimpler", {"mouthDimple": 1.0}),
    ActionUnit("AU15", "lip corner depressor", {"mouthFrown": 1.0}),
    ActionUnit("AU16", "lower lip depressor", {"mouthLowerDown": 1.0}),
    ActionUnit("AU17", "chin raiser", {"mouthShrugLower": 1.0}, sided=False),
    ActionUnit("AU18", "lip pucker", {"mouthPucker": 1.0}, sided=False),
    ActionUnit("AU20", "lip stretcher", {"mouthStretch": 1.0}),
    ActionUnit("AU22", "lip funneler", {"mouthFunnel": 1.0}, sided=False),
    ActionUnit("AU24", "lip pressor", {"mouthPress": 1.0}),
    ActionUnit("AU26", "jaw drop, from 2.5 mouth stretch (AU27)", {"jawOpen": 1.0}, sided=False),
    ActionUnit("AU43", "eye closure", {"eyeBlink": 1.08}),
)
AU_NAMES: tuple[str, ...] = tuple(unit.name for unit in ACTION_UNITS)
_UNITS = {unit.name: unit for unit in ACTION_UNITS}


def both_sides(intensities: Mapping[str, float]) -> dict[str, tuple[float, float]]:
    """Every action unit's intensity (left, right), 0-5, from names such as "AU4", "AU4_L", "AU4_R"; 0 where unnamed.

    A side's own entry goes before the entry for both. ValueError for a name that is not in ``ACTION_UNITS``, for a side
    of a midline unit, and for an intensity outside 0-5.
    """
    for name, intensity in intensities.items():
        unit = _UNITS.get(name.removesuffix("_L").removesuffix("_R"))
        if unit is None or (name != unit.name and not unit.sided):
            raise ValueError(f"no action unit {name!r}; there are {', '.join(AU_NAMES)} (sided ones also with _L, _R)")
        if not 0.0 <= intensity <= MAX_INTENSITY:
            raise ValueError(f"{name}: intensity must be 0 to 5, got {intensity}")
    result = {}
    for name in AU_NAMES:
        both = intensities.get(name, 0.0)
        result[name] = (float(intensities.get(f"{name}_L", both)), float(intensities.get(f"{name}_R", both)))
    return result


def truth(intensities: Mapping[str, float]) -> dict[str, float]:
    """The label of a face: for every action unit its mean intensity, and its left and right as "AU4_L", "AU4_R"."""
    label = {}
    for name, (left, right) in both_sides(intensities).items():
        label[name] = (left + right) / 2
        label[f"{name}_L"], label[f"{name}_R"] = left, right
    return label


def pspi(label: Mapping[str, float], closed: bool) -> float:
    """Prkachin-Solomon pain intensity, 0-16 (doi 10.1016/j.pain.2008.04.010).

    ``label`` as :func:`truth` gives it; ``closed``: the eyes are shut for at least half a second (AU43, coded 0 or 1).
    """
    return label["AU4"] + max(label["AU6"], label["AU7"]) + max(label["AU9"], label["AU10"]) + float(closed)


def shape_activations(intensities: Mapping[str, float]) -> dict[str, float]:
    """Expression shape name -> activation for :meth:`Head.vertices`, from action unit intensities 0-5.

    Lids that are shut have nowhere further to go: AU5, AU6 and AU7 move the lids less the more AU43 has closed them,
    since the shapes are added and would push the lower lid over the upper one. The cheek keeps its part of AU6.
    """
    sides = both_sides(intensities)
    result: dict[str, float] = {}
    for unit in ACTION_UNITS:
        for side, intensity, closure in zip("LR", sides[unit.name], sides["AU43"], strict=True):
            if intensity == 0.0:
                continue
            room = 1.0 - LID_SHAPES.get(unit.name, 0.0) * closure / MAX_INTENSITY
            for shape, share in unit.side_shapes(side).items():
                result[shape] = share * room * intensity / MAX_INTENSITY
    return result


#: How much of a unit's movement is lost when the eye is fully closed.
LID_SHAPES = {"AU5": 1.0, "AU7": 0.7}


@dataclass(frozen=True)
class Head:
    """A morphable head.

    Attributes
    ----------
    neutral_cm : ndarray [shape=(n, 3), float32, cm] the mean face at rest
    triangles : ndarray [shape=(m, 3), int32] counter-clockwise seen from outside
    triangle_material : ndarray [shape=(m,), uint8] index into ``material_names``
    material_names : "M_Face", "M_Teeth", ...
    identity_deltas_cm : ndarray [shape=(k, n, 3), float32] displacement by one standard deviation of each mode
    expression_names : the e shapes of ``expression_deltas_cm``
    expression_deltas_cm : ndarray [shape=(e, n, 3), float32] displacement at activation 1
    """

    neutral_cm: FloatArray
    triangles: npt.NDArray[np.int32]
    triangle_material: npt.NDArray[np.uint8]
    material_names: tuple[str, ...]
    identity_deltas_cm: FloatArray
    expression_names: tuple[str, ...]
    expression_deltas_cm: FloatArray

    def __post_init__(self) -> None:
        n = len(self.neutral_cm)
        for what, deltas, count in (
            ("identity_deltas_cm", self.identity_deltas_cm, len(self.identity_deltas_cm)),
            ("expression_deltas_cm", self.expression_deltas_cm, len(self.expression_names)),
        ):
            if deltas.shape != (count, n, 3):
                raise HeadError(f"{what} have shape {deltas.shape}, expected {(count, n, 3)}")
        if self.triangles.min() < 0 or self.triangles.max() >= n:
            raise HeadError(f"triangles name vertices outside 0..{n - 1}")

    @cached_property
    def _shape_index(self) -> dict[str, int]:
        return {name: index for index, name in enumerate(self.expression_names)}

    def person(self, identity: npt.ArrayLike) -> FloatArray:
        """A person's face at rest, ndarray [shape=(n, 3), cm].

        identity : ndarray [shape=(up to k,)], standard deviations of each mode; missing ones are 0.
        """
        weights = np.asarray(identity, np.float32)
        if weights.ndim != 1 or len(weights) > len(self.identity_deltas_cm):
            raise ValueError(f"identity must be up to {len(self.identity_deltas_cm)} numbers, got {weights.shape}")
        return self.neutral_cm + np.tensordot(weights, self.identity_deltas_cm[: len(weights)], 1).astype(np.float32)

    def expression(self, activations: Mapping[str, float]) -> FloatArray:
        """Displacement of every vertex by shapes with their activations (0-1), ndarray [shape=(n, 3), cm]."""
        moved = np.zeros_like(self.neutral_cm)
        for name, activation in activations.items():
            index = self._shape_index.get(name)
            if index is None:
                raise ValueError(f"this head has no expression shape {name!r}")
            moved += np.float32(activation) * self.expression_deltas_cm[index]
        return moved

    def vertices(self, identity: npt.ArrayLike, activations: Mapping[str, float]) -> FloatArray:
        """A person's face with an expression, ndarray [shape=(n, 3), cm]."""
        return self.person(identity) + self.expression(activations)


def load_head(path: Path) -> Head:
    """Read a head from ``path``: the folder ``FaceXModel`` of the public repository, or an npz file of the same data.

    HeadError when there is neither, or a file is missing or does not fit the others.
    """
    path = Path(path)
    if path.is_dir():
        return _load_obj_folder(path)
    if path.is_file():
        return _load_npz(path)
    raise HeadError(
        f"{path}: no such file or folder. Expected the folder FaceXModel of the ICT-FaceKit repository "
        "(git clone https://github.com/ICT-VGL/ICT-FaceKit) or an npz file of it"
    )


def _load_npz(path: Path) -> Head:
    try:
        with np.load(path) as data:
            return Head(
                neutral_cm=data["vertices_cm"].astype(np.float32),
                triangles=data["triangles"].astype(np.int32),
                triangle_material=data["triangle_material"].astype(np.uint8),
                material_names=tuple(str(name) for name in data["material_names"]),
                identity_deltas_cm=data["identity_deltas_cm"].astype(np.float32),
                expression_names=tuple(str(name) for name in data["expression_names"]),
                expression_deltas_cm=data["expression_deltas_cm"].astype(np.float32),
            )
    except (KeyError, ValueError, OSError) as error:
        raise HeadError(f"{path}: not an npz file of the head model ({error})") from error


def _load_obj_folder(folder: Path) -> Head:
    neutral_file = folder / NEUTRAL_FILE
    if not neutral_file.is_file():
        raise HeadError(f"{folder}: expected {NEUTRAL_FILE} there; point to the folder FaceXModel of ICT-FaceKit")
    neutral, triangles, material, material_names = _read_mesh(neutral_file)
    identity_files = sorted(folder.glob("identity[0-9][0-9][0-9].obj"))
    expression_files = sorted(set(folder.glob("*.obj")) - set(identity_files) - {neutral_file})
    wanted = {shape for unit in ACTION_UNITS for side in "LR" for shape in unit.side_shapes(side)}
    missing = sorted(wanted - {file.stem for file in expression_files})
    if missing:
        raise HeadError(f"{folder}: no file for the expression shapes {', '.join(missing)}")

    def deltas(files: list[Path]) -> FloatArray:
        result = np.empty((len(files), *neutral.shape), np.float32)
        for index, file in enumerate(files):
            points = _read_vertices(file)
            if points.shape != neutral.shape:
                raise HeadError(f"{file}: {len(points)} vertices, but {NEUTRAL_FILE} has {len(neutral)}")
            result[index] = points - neutral
        return result

    return Head(
        neutral_cm=neutral,
        triangles=triangles,
        triangle_material=material,
        material_names=material_names,
        identity_deltas_cm=deltas(identity_files),
        expression_names=tuple(file.stem for file in expression_files),
        expression_deltas_cm=deltas(expression_files),
    )


def _read_vertices(file: Path) -> FloatArray:
    """Positions of an OBJ file, ndarray [shape=(n, 3)]."""
    with file.open() as lines:
        rows = [line.split()[1:4] for line in lines if line.startswith("v ")]
    return _to_positions(rows, file)


def _to_positions(rows: list[list[str]], file: Path) -> FloatArray:
    try:
        points = np.array(rows, np.float64).astype(np.float32)
    except ValueError as error:
        raise HeadError(f"{file}: a vertex line is not three numbers ({error})") from error
    if points.ndim != 2 or points.shape[1] != 3:
        raise HeadError(f"{file}: no vertices in this OBJ file")
    return points


def _read_mesh(file: Path) -> tuple[FloatArray, npt.NDArray[np.int32], npt.NDArray[np.uint8], tuple[str, ...]]:
    """Positions, triangles (polygons cut into fans), material of each triangle, and material names in order of name."""
    rows: list[list[str]] = []
    corners: list[tuple[int, int, int]] = []
    used: list[str] = []
    current = ""
    with file.open() as lines:
        for line in lines:
            kind, *fields = line.split() or [""]
            if kind == "v":
                rows.append(fields[:3])
            elif kind == "usemtl":
                current = fields[0]
            elif kind == "f":
                polygon = [int(field.partition("/")[0]) - 1 for field in fields]
                fan = [(polygon[0], second, third) for second, third in pairwise(polygon[1:])]
                corners += fan
                used += [current] * len(fan)
    if not corners:
        raise HeadError(f"{file}: no faces in this OBJ file")
    names = tuple(sorted(set(used)))
    material = np.array([names.index(name) for name in used], np.uint8)
    return _to_positions(rows, file), np.array(corners, np.int32), material, names
