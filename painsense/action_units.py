"""Faces and a personal neutral -> action unit intensities with their spread, and PSPI.

A small network reads what one frame shows (shape of the mesh, geometry, blendshapes, how the head is turned) and, where
it is known, the same of the person at rest. For each of 19 action units it gives an intensity and a standard deviation,
for both sides of the face and for each. It has learned from rendered faces whose action units are known, seen through
the same landmark networks that see patients; ``docs/action-units.md`` says how good it is. What it expects and gives
stands in its own file (:class:`painsense.spec.ModelSpec`).

References
----------
Prkachin & Solomon 2008, "The structure, reliability and validity of pain expression", doi:10.1016/j.pain.2008.04.010.
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from painsense import assets, baseline, face
from painsense.baseline import Baseline
from painsense.errors import ModelError
from painsense.follow import Frames
from painsense.landmarks import BLENDSHAPES, N_LANDMARKS, thread_networks
from painsense.spec import ModelSpec
from painsense.tracks import BoolArray, Column, FloatArray, TimeArray, Track

FACS = "Ekman, Friesen & Hager 2002, Facial Action Coding System"
PSPI_PAPER = "doi:10.1016/j.pain.2008.04.010"

NAMES = {
    "AU1": "inner brow raiser",
    "AU2": "outer brow raiser",
    "AU4": "brow lowerer",
    "AU5": "upper lid raiser",
    "AU6": "cheek raiser",
    "AU7": "lid tightener",
    "AU9": "nose wrinkler",
    "AU10": "upper lip raiser",
    "AU12": "lip corner puller",
    "AU14": "dimpler",
    "AU15": "lip corner depressor",
    "AU16": "lower lip depressor",
    "AU17": "chin raiser",
    "AU18": "lip pucker",
    "AU20": "lip stretcher",
    "AU22": "lip funneler",
    "AU24": "lip presser",
    "AU26": "jaw drop, and from about 2.5 mouth stretch (AU27)",
    "AU43": "eyes closed",
}
#: action units with an intensity; AU43 follows from eye closure and its duration
ESTIMATED = tuple(name for name in NAMES if name != "AU43")
#: those of them that move both halves of the face as one
MIDLINE = ("AU17", "AU18", "AU22", "AU26")
SIDED = tuple(name for name in ESTIMATED if name not in MIDLINE)
#: what the network gives, and for which sides: position in the second axis of its outputs
OUTPUTS = ("intensity", "spread")
BOTH, LEFT, RIGHT = range(3)
MOST = 5.0  # FACS intensity E
BLOCK = 1024  # frames estimated at a time: fixed, so that a result does not depend on who asks
#: eye closure at and above which the eyes count as closed; estimates lean toward the middle, so it is not nearer to 1
CLOSED = 0.6
MOUTH = ("AU10", "AU14", "AU15", "AU16", "AU17", "AU18", "AU20", "AU22", "AU24", "AU26")  # these also act in speech
SPEAKING_SPREAD = 1.5  # factor on the spread of mouth action units while speaking

CAPTURE = ("yaw_deg", "pitch_deg", "roll_deg", "face_px", "bright_level", "dark_level", "sharpness")


def _columns_of(name: str) -> tuple[Column, ...]:
    both = (
        Column(name, "0-5", f"{NAMES[name]}, FACS intensity (1 = A trace, 5 = E maximum)", 0, MOST, FACS),
        Column(f"{name}_sd", "0-5", f"standard deviation of the {name} estimate", 0, None),
    )
    sides = (Column(f"{name}_{side}", "0-5", f"{name} on the person's own {side}", 0, MOST) for side in _SIDE)
    return (*both, *sides) if name in SIDED else both


_SIDE = {"left": LEFT, "right": RIGHT}
COLUMNS: tuple[Column, ...] = (
    *(next(column for column in face.CAPTURE_COLUMNS if column.name == name) for name in CAPTURE),
    Column("eye_closure", "1", "how far the eyes are closed: 0 as open as at rest, 1 shut", 0, 1),
    *(column for name in ESTIMATED for column in _columns_of(name)),
    Column("AU43", "0/1", "eyes closed for half a second or longer (not a blink)", 0, 1, FACS),
    Column(
        "pspi",
        "0-16",
        "Prkachin-Solomon pain intensity: AU4 + max(AU6, AU7) + max(AU9, AU10) + AU43",
        0,
        16,
        PSPI_PAPER,
    ),
    Column("pspi_low", "0-16", "lower end of the 90% interval of PSPI", 0, 16),
    Column("pspi_high", "0-16", "upper end of the 90% interval of PSPI", 0, 16),
)


@dataclass(frozen=True)
class Estimator:
    """The network, loaded, with its spec. It serves any number of threads."""

    spec: ModelSpec
    session: Any

    @classmethod
    def load(cls, content: bytes, provider: str = "cpu") -> Estimator:
        """The network of an ONNX file.

        Raises
        ------
        ModelError : it cannot be read, or reads or gives other things than this version of painsense does
        ProviderError : ``provider`` does not work on this machine
        """
        from painsense import providers

        session = providers.session(content, provider, "action_units", "install painsense again")
        spec = ModelSpec.from_session(session)
        measured = (*face.STANCE, *baseline.MEASURES, *face.shipped_shape().names)
        spec.check(measured, tuple(NAMES), assets.sha256_by_name())
        came = ([node.name for node in session.get_inputs()], sorted(spec.outputs))
        if came != (["face", "neutral"], sorted(OUTPUTS)):
            raise ModelError(
                f"action_units: inputs face, neutral and outputs {', '.join(OUTPUTS)} were expected, "
                f"{', '.join(came[0])} and {', '.join(came[1])} came; install painsense again"
            )
        return cls(spec, session)

    def __call__(self, rows: FloatArray, at_rest: FloatArray | None) -> tuple[FloatArray, FloatArray]:
        """Intensity and spread, ndarray [shape=(n, 3, 19)] each: 3 as in BOTH, LEFT, RIGHT; 19 as in :data:`NAMES`.

        Parameters
        ----------
        rows : ndarray [shape=(n, d), float32], in the order of ``spec.features``; a row with a NaN gives NaN
        at_rest : ndarray [shape=(d,)], the same of the person's neutral; None where it is not known
        """
        order = [self.spec.targets.index(name) for name in NAMES]
        result = np.empty((2, len(rows), 3, len(NAMES)), np.float32)
        beside = np.full(rows.shape[1], np.nan, np.float32) if at_rest is None else at_rest.astype(np.float32)
        for start in range(0, len(rows), BLOCK):
            block = rows[start : start + BLOCK]
            given = {"face": block, "neutral": np.tile(beside, (len(block), 1))}
            result[:, start : start + BLOCK] = np.stack(self.session.run(OUTPUTS, given))[..., order]
        result[0] = np.clip(result[0], 0, MOST)
        result[:, ~np.isfinite(rows).all(axis=1)] = np.nan
        return result[0], result[1]

    def pspi_ends(self, with_neutral: bool) -> tuple[float, float]:
        """The 90% interval of PSPI reaches from PSPI + first to PSPI + second times :func:`pspi_deviation`."""
        ends = self.spec.calibration["with_neutral" if with_neutral else "without_neutral"]
        return ends["pspi_low"], ends["pspi_high"]


def estimator(provider: str = "cpu") -> Estimator:
    """The shipped network, loaded once for all threads; for errors see :meth:`Estimator.load`."""
    with _loading:
        return _estimator(provider)


@functools.cache
def _estimator(provider: str) -> Estimator:
    return Estimator.load(assets.read_weights("action_units"), provider)


_loading = threading.Lock()


def pspi(
    au4: FloatArray, au6: FloatArray, au7: FloatArray, au9: FloatArray, au10: FloatArray, au43: FloatArray
) -> FloatArray:
    """Prkachin-Solomon pain intensity, ndarray [shape=(n,), 0-16].

    AU4 + max(AU6, AU7) + max(AU9, AU10) + AU43 with intensities 0-5 and AU43 0 or 1 (Prkachin & Solomon 2008,
    doi:10.1016/j.pain.2008.04.010). NaN where AU4 or both of a pair are missing; one of a pair is enough.
    """
    return np.asarray(au4 + np.fmax(au6, au7) + np.fmax(au9, au10) + au43, np.float32)


def pspi_deviation(au: Mapping[str, FloatArray], sd: Mapping[str, FloatArray]) -> FloatArray:
    """Standard deviation of PSPI from those of its parts, ndarray [shape=(n,)]."""
    pairs = _larger_sd(au, sd, "AU6", "AU7") ** 2 + _larger_sd(au, sd, "AU9", "AU10") ** 2
    return np.asarray(np.sqrt(sd["AU4"] ** 2 + pairs))


def _larger_sd(au: Mapping[str, FloatArray], sd: Mapping[str, FloatArray], first: str, second: str) -> FloatArray:
    """The spread of whichever of two action units is the larger."""
    return np.where(np.nan_to_num(au[first], nan=-1) >= np.nan_to_num(au[second], nan=-1), sd[first], sd[second])


def estimate_track(
    raw: Track, neutral: Baseline | None, speaking: BoolArray | None = None, provider: str = "cpu"
) -> Track:
    """The face track people read: capture, action units with spread, PSPI with its interval.

    Parameters
    ----------
    raw : the face track made by :func:`painsense.face.measure`
    neutral : the person's neutral; None compares with the average face
    speaking : ndarray [shape=(n,), bool], where the person speaks
    provider : where the network is computed

    Returns
    -------
    Track with :data:`COLUMNS`; every value but the capture ones is NaN where the frame cannot be used.
    """
    model = estimator(provider)
    values = np.empty((len(raw), len(COLUMNS)), np.float32)
    of = {column.name: values[:, k] for k, column in enumerate(COLUMNS)}  # views: writing there fills the table
    for name in CAPTURE:
        of[name][:] = raw.column(name)
    read = face.places(raw, model.spec.features)
    at_rest = None if neutral is None else neutral.values(model.spec.features)
    for start in range(0, len(raw), BLOCK):  # piece by piece: memory must not follow the length of the recording
        piece = slice(start, start + BLOCK)
        intensity, spread = model(raw.values[piece, read], at_rest)
        for k, name in enumerate(NAMES):
            if name == "AU43":
                of["eye_closure"][piece] = intensity[:, BOTH, k] / MOST
                continue
            of[name][piece], of[f"{name}_sd"][piece] = intensity[:, BOTH, k], spread[:, BOTH, k]
            for side, where in _SIDE.items() if name in SIDED else ():
                of[f"{name}_{side}"][piece] = intensity[:, where, k]

    usable, bits = raw.valid, raw.reason_bits.copy()
    if speaking is not None:
        for name in MOUTH:
            of[f"{name}_sd"][speaking] *= SPEAKING_SPREAD
        bits[speaking & usable] |= face.BIT["speaking"]
    blink, shut = face.blinks(usable & (of["eye_closure"] >= CLOSED), raw.time_s)
    bits[blink] |= face.BIT["blink"]
    for column in _columns_of("AU7"):
        of[column.name][blink] = np.nan  # a blink shuts the lids: that is no lid tightening
    of["AU43"][:] = shut
    low, high = model.pspi_ends(neutral is not None)
    sd = {name: of[f"{name}_sd"] for name in ESTIMATED}
    of["pspi"][:], of["pspi_low"][:], of["pspi_high"][:] = _with_interval(of, sd, of["AU43"], low, high)
    values[~usable, len(CAPTURE) :] = np.nan
    return Track("face", COLUMNS, raw.reasons, raw.time_s, values, bits)


def _with_interval(
    au: Mapping[str, FloatArray], sd: Mapping[str, FloatArray], shut: FloatArray, low: float, high: float
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """PSPI and the ends of its 90% interval."""
    total = pspi(au["AU4"], au["AU6"], au["AU7"], au["AU9"], au["AU10"], shut)
    deviation = pspi_deviation(au, sd)

    def end(deviations: float) -> FloatArray:
        return np.asarray(np.clip(total + deviations * deviation, 0, 16), np.float32)

    return total, end(low), end(high)


@dataclass(frozen=True)
class ActionUnits:
    """Action units of n frames, by :func:`estimate`. ``units["AU4"]`` is the intensity of one, ndarray [shape=(n,)].

    Attributes
    ----------
    names : of the m action units, those of :data:`NAMES`
    intensity, spread : ndarray [shape=(n, m), 0-5], mean of both sides and its standard deviation
    left, right, left_spread, right_spread : ndarray [shape=(n, m), 0-5], of the person's own left and right
    pspi_ends : the 90% interval of PSPI reaches from PSPI + first to PSPI + second times its standard deviation

    AU43 is here how far the eyes are closed, 0 to 5: a frame has no duration, so it cannot tell a blink.
    """

    names: tuple[str, ...]
    intensity: FloatArray
    spread: FloatArray
    left: FloatArray
    right: FloatArray
    left_spread: FloatArray
    right_spread: FloatArray
    pspi_ends: tuple[float, float]

    def __len__(self) -> int:
        return len(self.intensity)

    def __getitem__(self, name: str) -> FloatArray:
        if name not in self.names:
            raise KeyError(f"no action unit {name!r}; there are {', '.join(self.names)}")
        return self.intensity[:, self.names.index(name)]

    def pspi(self, time_s: npt.ArrayLike | None = None) -> FloatArray:
        """Prkachin-Solomon pain intensity, ndarray [shape=(n,), 0-16]; NaN where there is no face.

        ``time_s``, the rising times of the frames [shape=(n,), s], lets blinks be left out as in a report: eyes closed
        for less than half a second count neither as AU43 nor as AU7. Without it every frame with closed eyes counts.
        """
        return self._pspi(time_s)[0]

    def pspi_interval(self, time_s: npt.ArrayLike | None = None) -> tuple[FloatArray, FloatArray]:
        """Both ends of the 90% interval of :meth:`pspi`, ndarray [shape=(n,), 0-16] each."""
        return self._pspi(time_s)[1:]

    def _pspi(self, time_s: npt.ArrayLike | None) -> tuple[FloatArray, FloatArray, FloatArray]:
        au = {name: self[name] for name in self.names}
        sd = {name: self.spread[:, k] for k, name in enumerate(self.names)}
        shut = au["AU43"] >= CLOSED * MOST  # False where NaN
        if time_s is not None:
            times: TimeArray = np.asarray(time_s, np.float64)
            if times.shape != (len(self),) or not (np.diff(times) > 0).all():
                raise ValueError(f"time_s: {len(self)} rising times in seconds were expected, got shape {times.shape}")
            blink, shut = face.blinks(shut, times)
            au["AU7"] = np.where(blink, np.float32(np.nan), au["AU7"])
        return _with_interval(au, sd, shut.astype(np.float32), *self.pspi_ends)


def estimate(
    landmarks: npt.ArrayLike,
    image_size: tuple[float, float],
    blendshapes: npt.ArrayLike | None = None,
    neutral: Baseline | npt.ArrayLike | None = None,
    *,
    provider: str = "cpu",
    face_model: Path | None = None,
) -> ActionUnits:
    """Action units of faces whose landmarks are at hand, such as stored ones of MediaPipe.

    ``painsense score`` gives the same numbers, and beyond them says which frames cannot be used, which this does not:
    leave out faces that are turned by more than 40 degrees, cut off or blurred.

    Parameters
    ----------
    landmarks : ndarray [shape=(n, 478, 3)]
        MediaPipe's face landmarks with irises and in its units: x and y as shares of picture width and height, z in
        units of picture width. Of pictures that are not mirrored. A frame with a NaN gives NaN, and so does one whose
        points are all the same: some write zeros where there is no face.
    image_size : width and height of the pictures in pixels
    blendshapes : ndarray [shape=(n, 52), 0-1]
        In the order of :data:`painsense.landmarks.BLENDSHAPES`; None computes them from the landmarks.
    neutral : what the person looks like at rest
        A :class:`painsense.Baseline`, or landmarks of the person at rest [shape=(m, 478, 3)] in pictures of the same
        size, of which the median is taken; None compares with the average face, which is less certain.
    provider : "cpu" or "cuda"
    face_model : path of ``face_landmarker.task``; None looks for it

    Returns
    -------
    ActionUnits

    Raises
    ------
    ValueError : an array has another shape or unit
    ModelError, ProviderError : the networks cannot be found, or not be computed there

    Examples
    --------
    >>> import numpy as np, painsense
    >>> seen = painsense.landmarks.detect(picture)                                         # doctest: +SKIP
    >>> units = painsense.estimate(seen.landmarks[None], (640, 360))                       # doctest: +SKIP
    >>> units["AU4"], units.pspi()                                                         # doctest: +SKIP
    >>> nobody = np.full((2, 478, 3), np.nan)
    >>> painsense.estimate(nobody, (640, 360))["AU4"]
    array([nan, nan], dtype=float32)
    """
    model = estimator(provider)
    size_px = np.asarray(image_size, np.float64)
    if size_px.shape != (2,) or not (size_px > 0).all():
        raise ValueError(f"image_size: width and height in pixels were expected, got {image_size!r}")
    seen = _measured(landmarks, size_px, blendshapes, face_model, "landmarks")
    at_rest: FloatArray | None = None
    if isinstance(neutral, Baseline):
        at_rest = neutral.values(model.spec.features)
    elif neutral is not None:
        still = _measured(neutral, size_px, None, face_model, "neutral")
        rest = still.values[:, face.places(still, model.spec.features)][baseline.shows_rest(still)]
        if not len(rest):
            raise ValueError(
                f"neutral: at least one whole face turned by at most {baseline.MAX_YAW_DEG:g} degrees was expected, "
                f"got none in {len(still)} frames; give others, or None"
            )
        at_rest = np.median(rest, axis=0)
    intensity, spread = model(seen.values[:, face.places(seen, model.spec.features)], at_rest)
    return ActionUnits(
        names=tuple(NAMES),
        intensity=intensity[:, BOTH],
        spread=spread[:, BOTH],
        left=intensity[:, LEFT],
        right=intensity[:, RIGHT],
        left_spread=spread[:, LEFT],
        right_spread=spread[:, RIGHT],
        pspi_ends=model.pspi_ends(at_rest is not None),
    )


def _measured(
    landmarks: npt.ArrayLike,
    size_px: npt.NDArray[np.float64],
    blendshapes: npt.ArrayLike | None,
    face_model: Path | None,
    what: str,
) -> Track:
    """The raw face track of stored landmarks, with ``what`` for the error messages; capture values are NaN."""
    points = np.asarray(landmarks, np.float32)
    if points.ndim != 3 or points.shape[1:] != (N_LANDMARKS, 3):
        raise ValueError(
            f"{what}: an array of (frames, {N_LANDMARKS}, 3) was expected, got {points.shape}; "
            "give one frame as landmarks[None], and MediaPipe's landmarks with irises"
        )
    n = len(points)
    there: BoolArray = np.asarray(np.isfinite(points).all(axis=(1, 2)) & (np.ptp(points, axis=1) > 0).all(axis=1))
    if (np.abs(np.median(points[there], axis=1)) > FAR_OUTSIDE).any():
        raise ValueError(
            f"{what}: x and y as shares of picture width and height (0 to 1) and z in picture widths were expected, "
            f"got values up to {np.abs(points[there]).max():.0f}; divide pixels by (width, height, width)"
        )
    networks = thread_networks(face_model)
    points_px = np.where(there[:, None, None], points * size_px[[0, 1, 0]], np.nan).astype(np.float32)
    if blendshapes is None:
        shapes = np.full((n, len(BLENDSHAPES)), np.nan, np.float32)
        for k in np.flatnonzero(there):
            shapes[k] = networks.blendshapes(points_px[k])
    else:
        shapes = np.asarray(blendshapes, np.float32)
        if shapes.shape != (n, len(BLENDSHAPES)):
            raise ValueError(
                f"blendshapes: an array of {(n, len(BLENDSHAPES))} was expected, one row for each frame in the order "
                f"of painsense.landmarks.BLENDSHAPES, got {shapes.shape}"
            )
    unknown = np.full(n, np.nan, np.float32)
    frames = Frames(
        time_s=np.arange(n, dtype=np.float64),
        size_px=np.tile(size_px.astype(np.float32), (n, 1)),
        points_px=points_px,
        blendshapes=shapes,
        presence=unknown,
        bright_level=unknown,
        dark_level=unknown,
        sharpness=unknown,
        other_face=unknown,
    )
    return face.measure(frames, networks.canonical)


FAR_OUTSIDE = 2.0  # a face whose middle is this many pictures away is in other units


def at_peak(track: Track, index: int, names: Sequence[str] = tuple(NAMES)) -> dict[str, float]:
    """Action unit intensities of one sample, by name, without those that are missing."""
    values = {name: float(track.column(name)[index]) for name in names}
    return {name: value for name, value in values.items() if np.isfinite(value)}


def baseline_warnings(neutral: Baseline, provider: str = "cpu") -> list[str]:
    """What is doubtful about a neutral: its age, and an expression where rest should be."""
    model = estimator(provider)
    intensity, _ = model(neutral.values(model.spec.features)[None], None)
    at_rest = dict(zip(NAMES, intensity[:, BOTH].T, strict=True))
    au4, au6, au7, au9, au10 = (at_rest[name] for name in ("AU4", "AU6", "AU7", "AU9", "AU10"))
    strength = pspi(au4, au6, au7, au9, au10, np.zeros(1, np.float32))
    return baseline.warnings(neutral, float(strength[0]), float(at_rest["AU12"][0]))
