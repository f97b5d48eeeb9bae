"""Geometry and personal neutral -> action unit intensities with their spread, and PSPI.

The estimator is a line and a curve: a weighted sum of what changed in the face against the person's neutral (or against
the average face where no neutral is known), and for each action unit a rising curve that undoes the sum's shrinking of
strong intensities. Both were fitted on rendered faces whose action
units are known (``training/fit_action_units.py``), seen through the same landmark networks that see patients. The
spread is the estimator's own error on heads it had not seen, widened where the head is turned or the person speaks.

References
----------
Prkachin & Solomon 2008, "The structure, reliability and validity of pain expression", doi:10.1016/j.pain.2008.04.010.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from painsense import assets, face
from painsense.baseline import Baseline
from painsense.baseline import warnings as baseline_doubts
from painsense.tracks import BoolArray, Column, FloatArray, Track

FACS = "Ekman, Friesen & Hager 2002, Facial Action Coding System"
PSPI_PAPER = "doi:10.1016/j.pain.2008.04.010"

NAMES = {
    "AU1": "inner brow raiser",
    "AU2": "outer brow raiser",
    "AU4": "brow lowerer",
    "AU6": "cheek raiser",
    "AU7": "lid tightener",
    "AU9": "nose wrinkler",
    "AU10": "upper lip raiser",
    "AU12": "lip corner puller",
    "AU15": "lip corner depressor",
    "AU20": "lip stretcher",
    "AU26": "jaw drop",
    "AU43": "eyes closed",
}
#: action units the linear estimator gives; AU43 follows from eye closure and its duration
ESTIMATED = tuple(name for name in NAMES if name != "AU43")
MOUTH = ("AU10", "AU15", "AU20", "AU26")  # these also act in speech
SHUT_SHARE = 0.2  # share of the open eye's value that the mesh still shows when the lids are closed
BLOCK = 4096  # frames estimated at a time
CLOSED = 0.75  # eye closure at and above which the eyes count as closed
SPEAKING_SPREAD = 1.5  # factor on the spread of mouth action units while speaking
#: factor on the spread without a neutral: seven real people at rest read PSPI 0.5 to 4.5 against the average face
WITHOUT_NEUTRAL_SPREAD = 1.75
TURNED_FROM_DEG, TURNED_SPREAD = 20.0, 2.0  # the spread grows from 20 deg of yaw to twice its size at the gate

CAPTURE = ("yaw_deg", "pitch_deg", "roll_deg", "face_px", "bright_level", "dark_level", "sharpness")
COLUMNS: tuple[Column, ...] = (
    *(next(column for column in face.CAPTURE_COLUMNS if column.name == name) for name in CAPTURE),
    Column("eye_closure", "1", "how far the eyes are closed against the person's own open eyes", 0, 1),
    *(
        column
        for name in ESTIMATED
        for column in (
            Column(name, "0-5", f"{NAMES[name]}, FACS intensity (1 = A trace, 5 = E maximum)", 0, 5, FACS),
            Column(f"{name}_sd", "0-5", f"standard deviation of the {name} estimate", 0, None),
        )
    ),
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
    """The estimator for one case (neutral known or not): a line, then a curve for each action unit.

    Attributes
    ----------
    inputs : names of the k face columns it reads
    centre, scale : ndarray [shape=(k,)], what is subtracted from the inputs (0 with a neutral) and their unit
    weights : ndarray [shape=(k, m)], offset : ndarray [shape=(m,)], for :data:`ESTIMATED`
    knots : ndarray [shape=(K,)], values of the line for which
    levels, spreads : ndarray [shape=(m, K)], give the intensity and the standard deviation of its error
    pspi_interval : the 90% interval of PSPI reaches from PSPI + first to PSPI + second times its standard deviation
    """

    inputs: tuple[str, ...]
    centre: FloatArray
    scale: FloatArray
    weights: FloatArray
    offset: FloatArray
    knots: FloatArray
    levels: FloatArray
    spreads: FloatArray
    pspi_interval: tuple[float, float]

    def __call__(self, values: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Intensities (0-5) and their spread, each [shape=(n, m)], of input values [shape=(n, k)]."""
        line = np.clip((values - self.centre) / self.scale @ self.weights + self.offset, 0, 5)
        read = [
            [np.interp(line[:, k], self.knots, curve[k]) for k in range(len(ESTIMATED))]
            for curve in (self.levels, self.spreads)
        ]
        return np.array(read[0], np.float32).T, np.array(read[1], np.float32).T


@dataclass(frozen=True)
class Estimators:
    """What ``weights/action_units.json`` holds: the estimator for each case and how it names itself."""

    version: str
    with_neutral: Estimator
    without_neutral: Estimator
    open_eye: float  # eye opening of the average face, where the person's own is not known


@functools.cache
def estimators() -> Estimators:
    """The shipped estimators. ModelError when the file is missing or was changed."""
    content = json.loads(assets.weights()["action_units"].path.read_bytes())

    targets = [content["targets"].index(name) for name in ESTIMATED]

    def read(case: str) -> Estimator:
        part = {key: np.array(value, np.float32) for key, value in content[case].items()}
        low, high = part["pspi_interval"]
        return Estimator(
            tuple(content["inputs"]),
            part["centre"],
            part["scale"],
            part["weights"][:, targets],
            part["offset"][targets],
            part["knots"],
            part["levels"][targets],
            part["spreads"][targets],
            (float(low), float(high)),
        )

    return Estimators(content["version"], read("with_neutral"), read("without_neutral"), float(content["open_eye"]))


def pspi(
    au4: FloatArray, au6: FloatArray, au7: FloatArray, au9: FloatArray, au10: FloatArray, au43: FloatArray
) -> FloatArray:
    """Prkachin-Solomon pain intensity, ndarray [shape=(n,), 0-16].

    AU4 + max(AU6, AU7) + max(AU9, AU10) + AU43 with intensities 0-5 and AU43 0 or 1 (Prkachin & Solomon 2008,
    doi:10.1016/j.pain.2008.04.010). NaN where AU4 or both of a pair are missing; one of a pair is enough.
    """
    return np.asarray(au4 + np.fmax(au6, au7) + np.fmax(au9, au10) + au43, np.float32)


def eye_closure(raw: Track, baseline: Baseline | None) -> FloatArray:
    """How far the eyes are closed, ndarray [shape=(n,), 0-1]: 0 as open as at rest, 1 shut.

    The lid opening (eye aspect ratio) against the person's own; where no neutral is known, against the average
    face's. The mesh keeps a slit between closed lids, so a fifth of the open value counts as shut.
    """
    opening = (raw.column("eye_opening_right") + raw.column("eye_opening_left")) / 2
    if baseline is None:
        at_rest = estimators().open_eye
    else:
        at_rest = (baseline.value("eye_opening_right") + baseline.value("eye_opening_left")) / 2
    return np.clip((at_rest - opening) / (at_rest * (1 - SHUT_SHARE)), 0, 1).astype(np.float32)


def estimate_track(raw: Track, baseline: Baseline | None, speaking: BoolArray | None = None) -> Track:
    """The face track people read: capture, action units with spread, PSPI with its interval.

    Parameters
    ----------
    raw : the face track made by :func:`painsense.face.measure`
    baseline : the person's neutral; None compares with the average face
    speaking : ndarray [shape=(n,), bool], where the person speaks

    Returns
    -------
    Track with :data:`COLUMNS`; every value but the capture ones is NaN where the frame cannot be used.
    """
    model = estimators().with_neutral if baseline is not None else estimators().without_neutral
    intensity, spread = np.empty((2, len(raw), len(ESTIMATED)), np.float32)
    columns = [raw.names.index(name) for name in model.inputs]
    at_rest = 0.0 if baseline is None else np.array([baseline.value(name) for name in model.inputs], np.float32)
    for start in range(0, len(raw), BLOCK):  # piece by piece: memory must not follow the length of the recording
        piece = slice(start, start + BLOCK)
        intensity[piece], spread[piece] = model(raw.values[piece, columns] - at_rest)
    if baseline is None:
        spread *= WITHOUT_NEUTRAL_SPREAD
    turned = np.clip(
        (np.abs(raw.column("yaw_deg")) - TURNED_FROM_DEG) / (face.GATES.max_yaw_deg - TURNED_FROM_DEG), 0, 1
    )
    spread *= (1 + (TURNED_SPREAD - 1) * np.nan_to_num(turned))[:, None]
    bits = raw.reason_bits.copy()
    if speaking is not None:
        for name in MOUTH:
            spread[speaking, ESTIMATED.index(name)] *= SPEAKING_SPREAD
        bits[speaking & raw.valid] |= face.BIT["speaking"]

    closure = eye_closure(raw, baseline)
    usable = raw.valid
    blink, au43 = face.blinks(usable & (closure >= CLOSED), raw.time_s)
    bits[blink] |= face.BIT["blink"]
    intensity[blink, ESTIMATED.index("AU7")] = np.nan  # a blink shuts the lids: that is no lid tightening
    au = {name: intensity[:, k] for k, name in enumerate(ESTIMATED)}
    sd = {name: spread[:, k] for k, name in enumerate(ESTIMATED)}
    eyes_shut = au43.astype(np.float32)
    total = pspi(au["AU4"], au["AU6"], au["AU7"], au["AU9"], au["AU10"], eyes_shut)
    deviation = np.sqrt(sd["AU4"] ** 2 + _larger_sd(au, sd, "AU6", "AU7") ** 2 + _larger_sd(au, sd, "AU9", "AU10") ** 2)
    derived = np.column_stack(
        [
            closure,
            *(part for name in ESTIMATED for part in (au[name], sd[name])),
            eyes_shut,
            total,
            np.clip(total + model.pspi_interval[0] * deviation, 0, 16),
            np.clip(total + model.pspi_interval[1] * deviation, 0, 16),
        ]
    )
    derived[~usable] = np.nan
    capture = np.stack([raw.column(name) for name in CAPTURE], axis=1)
    values = np.concatenate([capture, derived], axis=1).astype(np.float32)
    return Track("face", COLUMNS, raw.reasons, raw.time_s, values, bits)


def pspi_deviation(au: dict[str, FloatArray], sd: dict[str, FloatArray]) -> FloatArray:
    """Standard deviation of PSPI from those of its parts, ndarray [shape=(n,)]."""
    pairs = _larger_sd(au, sd, "AU6", "AU7") ** 2 + _larger_sd(au, sd, "AU9", "AU10") ** 2
    return np.asarray(np.sqrt(sd["AU4"] ** 2 + pairs))


def _larger_sd(au: dict[str, FloatArray], sd: dict[str, FloatArray], first: str, second: str) -> FloatArray:
    """The spread of whichever of two action units is the larger."""
    return np.where(np.nan_to_num(au[first], nan=-1) >= np.nan_to_num(au[second], nan=-1), sd[first], sd[second])


def at_peak(track: Track, index: int, names: Sequence[str] = tuple(NAMES)) -> dict[str, float]:
    """Action unit intensities of one sample, by name, without those that are missing."""
    values = {name: float(track.column(name)[index]) for name in names}
    return {name: value for name, value in values.items() if np.isfinite(value)}


def baseline_warnings(neutral: Baseline) -> list[str]:
    """What is doubtful about a neutral: its age, and an expression where rest should be."""
    model = estimators().without_neutral
    values = np.array([[neutral.value(name) for name in model.inputs]], np.float32)
    at_rest = dict(zip(ESTIMATED, model(values)[0].T, strict=True))
    au4, au6, au7, au9, au10 = (at_rest[name] for name in ("AU4", "AU6", "AU7", "AU9", "AU10"))
    strength = pspi(au4, au6, au7, au9, au10, np.zeros(1, np.float32))
    return baseline_doubts(neutral, float(strength[0]), float(at_rest["AU12"][0]))
