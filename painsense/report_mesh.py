"""The face mesh as a drawing: which part of it belongs to which action unit, and SVG paths coloured by intensity.

Landmark numbers are those of MediaPipe's face mesh (468 points). The regions follow where the muscle of an action unit
moves the skin (Facial Action Coding System, Ekman & Friesen 1978); they are for drawing, nothing is measured with them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from painsense.words import BINARY_UNITS

Points = npt.NDArray[np.floating[Any]]
Triangles = npt.NDArray[np.integer[Any]]


def _points(text: str) -> frozenset[int]:
    return frozenset(map(int, text.split()))


#: Landmarks by action unit, both sides of the face. A triangle belongs to a region with all three corners in it.
REGIONS: dict[str, frozenset[int]] = {
    "AU1": _points(
        """
        8 9 52 55 65 66 69 107 108 151 282 285 295 296 299 336 337
        """
    ),
    "AU2": _points(
        """
        46 52 53 63 66 68 69 70 71 104 105 276 282 283 293 296 298 299 300 301 333 334
        """
    ),
    "AU4": _points(
        """
        8 9 46 52 53 55 63 65 66 70 105 107 168 193 276 282 283 285 293 295 296 300 334 336 417
        """
    ),
    "AU5": _points(
        """
        27 28 29 30 33 56 113 133 157 158 159 160 161 173 189 190 221 222 223 224 225 246 247 257 258 259
        260 263 286 342 362 384 385 386 387 388 398 413 414 441 442 443 444 445 466 467
        """
    ),
    "AU6": _points(
        """
        31 36 50 100 101 111 116 117 118 119 123 205 228 261 266 280 329 330 340 345 346 347 348 352 425
        448
        """
    ),
    "AU7": _points(
        """
        7 22 23 24 25 26 27 28 29 30 31 33 56 110 112 130 133 144 145 153 154 155 157 158 159 160 161
        163 173 190 228 229 230 231 232 233 243 246 247 249 252 253 254 255 256 257 258 259 260 261 263
        286 339 341 359 362 373 374 380 381 382 384 385 386 387 388 390 398 414 448 449 450 451 452 453
        463 466 467
        """
    ),
    "AU9": _points(
        """
        3 6 48 49 51 102 114 115 122 126 129 131 134 168 174 188 193 195 196 197 198 209 217 220 236 245
        248 278 279 281 331 343 344 351 355 358 360 363 399 412 417 419 420 429 437 440 456 465
        """
    ),
    "AU10": _points(
        """
        0 2 37 39 40 64 92 97 98 129 164 165 167 186 203 206 267 269 270 294 322 326 327 358 391 393 410
        423 426
        """
    ),
    "AU12": _points(
        """
        40 57 61 76 92 185 186 187 192 205 206 207 212 214 216 270 287 291 306 322 409 410 411 416 425
        426 427 432 434 436
        """
    ),
    "AU14": _points(
        """
        40 43 57 61 62 76 91 92 106 146 185 186 202 212 214 216 270 273 287 291 292 306 321 322 335 375 409
        410 422 432 434 436
        """
    ),
    "AU15": _points(
        """
        43 57 61 76 91 106 146 182 202 204 210 211 212 273 287 291 306 321 335 375 406 422 424 430 431 432
        """
    ),
    "AU16": _points(
        """
        14 15 16 17 18 77 83 84 85 86 87 88 89 90 91 95 96 106 178 179 180 181 182 307 313 314 315 316 317
        318 319 320 321 324 325 335 402 403 404 405 406
        """
    ),
    "AU17": _points(
        """
        18 32 83 171 175 182 194 199 200 201 208 262 313 396 406 418 421 428
        """
    ),
    "AU20": _points(
        """
        43 57 61 91 106 146 192 202 210 212 214 216 273 287 291 321 335 375 416 422 430 432 434 436
        """
    ),
    "AU25": _points(
        """
        0 11 12 13 14 15 16 17 37 38 39 40 41 42 61 62 72 73 74 76 77 78 80 81 82 84 85 86 87 88 89 90
        91 95 96 146 178 179 180 181 183 184 185 191 267 268 269 270 271 272 291 292 302 303 304 306 307
        308 310 311 312 314 315 316 317 318 319 320 321 324 325 375 402 403 404 405 407 408 409 415
        """
    ),
    "AU26": _points(
        """
        17 18 32 43 83 84 91 106 140 169 170 171 175 181 182 194 199 200 201 202 204 208 210 211 262 273
        313 314 321 335 369 394 395 396 405 406 418 421 422 424 428 430 431
        """
    ),
    "AU43": _points(
        """
        7 33 133 144 145 153 154 155 157 158 159 160 161 163 173 246 249 263 362 373 374 380 381 382 384
        385 386 387 388 390 398 466
        """
    ),
}
REGIONS["AU27"] = REGIONS["AU26"]
REGIONS |= dict.fromkeys(("AU18", "AU22", "AU24"), REGIONS["AU25"])  # the lips: pursed, pushed forward, pressed
#: Between the lids lies the eye itself: tightened lids (AU7) do not colour it, closed eyes (AU43) do
_EYES = REGIONS["AU43"]

#: Lines that make the mesh a face: outline, eyes, brows, lips; a line whose first and last number agree is closed
FEATURES: tuple[tuple[int, ...], ...] = tuple(
    tuple(map(int, line.split()))
    for line in (
        "10 338 297 332 284 251 389 356 454 323 361 288 397 365 379 378 400 377 "
        "152 148 176 149 150 136 172 58 132 93 234 127 162 21 54 103 67 109 10",
        "33 7 163 144 145 153 154 155 133 173 157 158 159 160 161 246 33",
        "263 249 390 373 374 380 381 382 362 398 384 385 386 387 388 466 263",
        "46 53 52 65 55 107 66 105 63 70 46",
        "276 283 282 295 285 336 296 334 293 300 276",
        "61 185 40 39 37 0 267 269 270 409 291 375 321 405 314 17 84 181 91 146 61",
        "78 191 80 81 82 13 312 311 310 415 308 324 318 402 317 14 87 178 88 95 78",
        "98 97 2 326 327",
    )
)
#: Steps of colour: 0.5 intensity points each, up to 5
STEP = 0.5
STEPS = 10
#: Height of the drawing in its own units; its width follows from the face
HEIGHT = 1000


@dataclass(frozen=True)
class MeshDrawing:
    """SVG path data. ``shaded``: (colour step 1-10, path) of active regions; ``width``, ``height`` of the view."""

    width: int
    height: int
    wires: str
    features: str
    shaded: tuple[tuple[int, str], ...]


def step(name: str, value: float) -> int:
    """Colour step 0-10 of an action unit's value, to the nearest half point; 0 is no colour. Closed eyes are a 5."""
    intensity = 5.0 * value if name in BINARY_UNITS else value
    return int(min(max(np.floor(intensity / STEP + 0.5), 0), STEPS)) if np.isfinite(value) else 0


def draw(mesh: Points, triangles: Triangles, action_units: Mapping[str, float]) -> MeshDrawing:
    """The mesh with the regions of active action units coloured; where two overlap, the stronger one shows.

    mesh : ndarray [shape=(468, 2)], x right, y down; triangles : ndarray [shape=(m, 3)]
    """
    low = mesh.min(axis=0)
    size = np.maximum(mesh.max(axis=0) - low, 1e-6)
    scale = (HEIGHT - 20) / float(size[1])
    points = np.rint((mesh - low) * scale + 10).astype(int)
    by_step: dict[int, list[int]] = {}
    for index, colour in enumerate(_triangle_steps(triangles, action_units)):
        if colour:
            by_step.setdefault(int(colour), []).append(index)
    shaded = ((s, "".join(_outline(points[triangles[k]]) for k in by_step[s])) for s in sorted(by_step))
    return MeshDrawing(
        width=int(np.ceil(float(size[0]) * scale)) + 20,
        height=HEIGHT,
        wires=_edges(points, triangles),
        features="".join(_line(points[list(line)]) for line in FEATURES),
        shaded=tuple(shaded),
    )


def _triangle_steps(triangles: Triangles, action_units: Mapping[str, float]) -> npt.NDArray[np.int_]:
    """Colour step of each triangle, that of its strongest action unit, ndarray [shape=(m,)]."""
    steps = np.zeros(len(triangles), int)
    eyes = np.isin(triangles, list(_EYES)).all(axis=1)
    for name, value in action_units.items():
        inside = np.isin(triangles, list(REGIONS.get(name, ()))).all(axis=1)
        if name != "AU43":
            inside &= ~eyes
        steps = np.where(inside, np.maximum(steps, step(name, value)), steps)
    return steps


def _edges(points: npt.NDArray[np.int_], triangles: Triangles) -> str:
    """Each edge of the mesh once."""
    sides = np.concatenate([triangles[:, [0, 1]], triangles[:, [1, 2]], triangles[:, [2, 0]]])
    edges = np.unique(np.sort(sides, axis=1), axis=0)
    return "".join(_line(points[edge]) for edge in edges)


def _line(points: npt.NDArray[np.int_]) -> str:
    """Path through the points; steps are relative, which is shorter."""
    steps = np.diff(points, axis=0)
    return f"M{points[0, 0]} {points[0, 1]}l" + " ".join(f"{x} {y}" for x, y in steps)


def _outline(points: npt.NDArray[np.int_]) -> str:
    return _line(points) + "z"
