"""True action units -> the face track that painsense would show of them, errors and gaps included.

The track has those of painsense's columns that the fusion network may read (:data:`COLUMNS`).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from painsense import action_units
from painsense.action_units import CAPTURE, ESTIMATED, MOST
from painsense.action_units import CLOSED as CLOSED_SHARE
from painsense.face import BIT, REASONS, blinks
from painsense.tracks import Track
from training.fusion import measured_errors
from training.fusion.courses import FPS, Act
from training.simulate.episodes import closures
from training.simulate.head import AU_NAMES

Series = npt.NDArray[np.float64]
Rng = np.random.Generator

_KEPT = (*CAPTURE, "eye_closure", *ESTIMATED, "AU43", "pspi")
#: columns of painsense's face track that are made here
COLUMNS = tuple(column for column in action_units.COLUMNS if column.name in _KEPT)
CLOSED = AU_NAMES.index("AU43")
_PLACE = {name: k for k, name in enumerate(AU_NAMES)}


def measure(
    time_s: Series,
    truth: Series,
    acts: Sequence[Act],
    speaking: npt.NDArray[np.bool_],
    dropouts: Sequence[str],
    *,
    fold: int,
    skin_tone: int,
    rng: Rng,
) -> Track:
    """The face track of true intensities ``truth`` [shape=(n, 19)].

    The estimate is what the network says of such a face on average, plus an error that fades from that of a face at
    rest to that of a face like each act's strongest moment, plus a little noise from frame to frame.
    """
    errors = measured_errors.shipped()
    known = "no_neutral" not in dropouts
    pose = _pose(time_s, acts, "turned" in dropouts, rng)
    seat = (float(np.median(pose[:, 0])), float(np.median(pose[:, 1])))

    def error(of: Series, turn: Series) -> Series:
        turned = (seat[0] + float(turn[0]), seat[1] + float(turn[1]))
        return errors.residual(of, rng, fold=fold, neutral_known=known, skin_tone=skin_tone, turn_deg=turned)

    off = np.tile(error(np.zeros(len(AU_NAMES)), np.zeros(3)), (len(time_s), 1))
    for act in acts:
        at_most = act.moves.max(axis=0)
        off += act.course[:, None] * (error(at_most, act.turn_deg) - off)
    said = errors.expected(truth, known) + off + _frame_noise(len(time_s), errors, rng)
    said = np.clip(said, 0, MOST)

    values = np.full((len(time_s), len(COLUMNS)), np.nan, np.float32)
    of = {column.name: values[:, k] for k, column in enumerate(COLUMNS)}  # views: writing there fills the table
    for k, name in enumerate(("yaw_deg", "pitch_deg", "roll_deg")):
        of[name][:] = pose[:, k]
    of["face_px"][:] = rng.uniform(70, 220)
    of["bright_level"][:], of["dark_level"][:] = rng.uniform(0.6, 0.9), rng.uniform(0.05, 0.3)
    of["sharpness"][:] = rng.uniform(20, 200)
    for name in ESTIMATED:
        of[name][:] = said[:, _PLACE[name]]
    of["eye_closure"][:] = said[:, CLOSED] / MOST
    gone = _gaps(time_s, rng) if "face_gaps" in dropouts else np.zeros(len(time_s), bool)
    away = _stretch(time_s, rng, 1.0, 4.0) & ~gone if "turned_away" in dropouts else np.zeros(len(time_s), bool)
    usable = ~gone & ~away
    blink, shut = blinks(usable & (of["eye_closure"] >= CLOSED_SHARE), time_s)
    of["AU7"][blink] = np.nan  # as painsense does: a blink is no lid tightening
    of["AU43"][:] = shut
    of["pspi"][:] = action_units.pspi(of["AU4"], of["AU6"], of["AU7"], of["AU9"], of["AU10"], of["AU43"])
    of["yaw_deg"][away] = np.sign(rng.normal()) * rng.uniform(45, 60)
    values[gone] = np.nan
    values[away, len(CAPTURE) :] = np.nan
    bits = np.zeros(len(time_s), np.uint32)
    for code, where in (("no_face", gone), ("turned_away", away), ("blink", blink), ("speaking", speaking & usable)):
        bits[where] |= BIT[code]
    return Track("face", COLUMNS, REASONS, time_s, values, bits)


def true_pspi(time_s: Series, truth: Series) -> Series:
    """PSPI of the true intensities, ndarray [shape=(n,), 0-16]; blinks are not closed eyes."""
    closed, _ = closures(time_s, truth[:, CLOSED])

    def of(name: str) -> npt.NDArray[np.float32]:
        return truth[:, _PLACE[name]].astype(np.float32)

    total = action_units.pspi(of("AU4"), of("AU6"), of("AU7"), of("AU9"), of("AU10"), closed.astype(np.float32))
    return np.asarray(total, np.float64)


def _pose(time_s: Series, acts: Sequence[Act], turned: bool, rng: Rng) -> Series:
    """Yaw, pitch, roll as measured, ndarray [shape=(n, 3), degrees]: where the person sits, sway, and the acts."""
    seat = rng.normal(0, (6.0, 5.0, 3.0))
    if turned:
        side, away = int(rng.integers(2)), float(rng.uniform(15, 35))
        seat[side] = away * float(rng.choice([-1, 1])) * (1.0 if side == 0 else 0.7)
    pose = np.tile(seat, (len(time_s), 1))
    for k in range(3):
        for _ in range(3):
            hz = rng.uniform(0.05, 0.4)
            pose[:, k] += rng.normal(0, 0.8) * np.sin(2 * np.pi * hz * time_s + rng.uniform(0, 6))
    for act in acts:
        pose += act.course[:, None] * act.turn_deg
    return pose


def _frame_noise(n: int, errors: measured_errors.MeasuredErrors, rng: Rng) -> Series:
    """Noise from frame to frame that remembers the frame before, ndarray [shape=(n, 19)]."""
    memory = float(errors.frame_memory)
    grain = rng.normal(size=(n, len(errors.frame_sd))) * np.sqrt(1 - memory**2)
    noise = np.empty_like(grain)
    last = rng.normal(size=grain.shape[1])
    for k in range(n):
        last = memory * last + grain[k]
        noise[k] = last
    return np.asarray(noise * errors.frame_sd)


def _gaps(time_s: Series, rng: Rng) -> npt.NDArray[np.bool_]:
    """Times without a face: one to three stretches."""
    gone = np.zeros(len(time_s), bool)
    for _ in range(int(rng.integers(1, 4))):
        gone |= _stretch(time_s, rng, 0.3, 3.0)
    return gone


def _stretch(time_s: Series, rng: Rng, shortest_s: float, longest_s: float) -> npt.NDArray[np.bool_]:
    first_s = float(rng.uniform(0, time_s[-1]))
    return (time_s >= first_s) & (time_s < first_s + float(rng.uniform(shortest_s, longest_s)) + 1 / FPS)
