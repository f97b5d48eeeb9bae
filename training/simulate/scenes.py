"""Scenes of sound with their truth: who or what is heard, every 10 ms.

Sounds of :mod:`training.simulate.sounds` in a row, sometimes over music, a motor or somebody else's speech, put in a
room and before a microphone, with noise under them. Everything follows from a NumPy ``Generator``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import signal

from painsense.voice_segments import KINDS, VOICE_KINDS
from training.simulate import voice
from training.simulate.sounds import MAKERS, Array, Rng, banded, effort, rms
from training.simulate.voice import FRAME, FRAME_S, SAMPLE_RATE_HZ, Sound

#: truth of a frame in which two kinds of sound are heard alike, or one at the edge of hearing: neither answer is wrong
UNSURE = -1
KIND = {name: k for k, name in enumerate(KINDS)}

_HEARD_DB = 30.0  # a sound lasts while it is no further below its own loudest tenth of a second,
_OVER_NOISE_DB = 0.0  # and this far above the noise of the scene
_SURE_DB = 6.0  # within so much of either limit it is not sure to be heard
_PAUSE_S = {"speech": 0.25, "nonverbal": 0.15, "breath": 0.15, "other": 0.25}  # shorter pauses belong to the sound
_CLEARER_DB = 6.0  # of two sounds the one heard by so much more is the kind of the frame
_HUMAN_VOICE = tuple(KIND[name] for name in VOICE_KINDS)


@dataclass(frozen=True)
class Event:
    """One sound of a scene: its maker's name, its kind and where it stands."""

    name: str
    kind: str
    start_s: float
    end_s: float


@dataclass(frozen=True)
class Scene:
    """A generated recording and its truth at the centres of 10 ms frames.

    Attributes
    ----------
    y : ndarray [shape=(k,), float32, 16 kHz]
    kind : ndarray [shape=(n,), int8], index into :data:`painsense.voice_segments.KINDS`, or :data:`UNSURE`
    two_voices : ndarray [shape=(n,), bool], where the other person's voice is heard beside the patient's
    events : what was put in, in order of time
    """

    y: npt.NDArray[np.float32]
    kind: npt.NDArray[np.int8]
    two_voices: npt.NDArray[np.bool_]
    events: tuple[Event, ...]


_KIND_SHARE = {"speech": 0.3, "nonverbal": 0.3, "breath": 0.15, "other": 0.25}
_LEVEL_DB = {"speech": (-12, 0), "nonverbal": (-15, 4), "breath": (-32, -8), "other": (-22, 6)}


# --- scenes -----------------------------------------------------------------------------------------------------------


def scene(rng: Rng, *, names: Sequence[str] | None = None, snr_db: float | None = None) -> Scene:
    """One recording of up to about fifteen seconds.

    Parameters
    ----------
    names : makers of :data:`MAKERS` by name, in order; None draws up to five of any kind, sometimes over music, a motor
        or another voice; an empty list is an empty room
    snr_db : of the loud parts over steady noise; None draws it, with cut clips of digital silence among them
    """
    drawn = [_find(name) for name in names] if names is not None else [_draw(rng) for _ in range(_how_many(rng))]
    snr = _draw_snr(rng) if snr_db is None else snr_db
    if not drawn:
        return _empty_room(rng)
    gap_s = rng.choice([0.05, 0.3, 1.0, 2.0])
    at = round(rng.uniform(0, gap_s) * SAMPLE_RATE_HZ)
    placed: list[tuple[str, str, int, Array]] = []
    for name, kind, maker in drawn:
        y = maker(rng)
        if kind in VOICE_KINDS and rng.random() < 0.6:
            y = effort(y, rng)
        y = y / _loudest_rms(y) * 10 ** (rng.uniform(*_LEVEL_DB[kind]) / 20)
        placed.append((name, kind, at, y))
        at += len(y) + round(rng.uniform(0.1, 1.5) * gap_s * SAMPLE_RATE_HZ)
    total = -(-max(at, round(0.3 * SAMPLE_RATE_HZ)) // FRAME) * FRAME
    if names is None and rng.random() < 0.1:
        name, kind, maker = _find(str(rng.choice(["music", "engine", "rustle"])))
        y = np.concatenate([maker(rng) for _ in range(3)])[:total]
        placed.insert(0, (name, kind, 0, y / _loudest_rms(y) * 10 ** (rng.uniform(-30, -8) / 20)))
    other: Array | None = None
    if names is None and rng.random() < 0.12:
        other, start = np.zeros(total), 0
        while start < total - FRAME:
            y = MAKERS["speech"]["talk"][0](rng)[: total - start]
            other[start : start + len(y)] = y / _loudest_rms(y) * 10 ** (rng.uniform(-25, -5) / 20)
            start += len(y) + round(rng.uniform(0.2, 2.0) * SAMPLE_RATE_HZ)
    return _recorded(placed, other, total, rng, snr)


def _empty_room(rng: Rng) -> Scene:
    """Steady noise of some colour and nothing else."""
    frames = int(rng.integers(100, 600))
    low_hz = float(np.exp(rng.uniform(np.log(30), np.log(1000))))
    y = _colour(rng)(banded(rng.normal(size=frames * FRAME), low_hz, rng.uniform(2, 7.8) * 1000))
    y = y / rms(y) * 10 ** (rng.uniform(-75, -25) / 20)
    return Scene(y.astype(np.float32), np.full(frames, KIND["silence"], np.int8), np.zeros(frames, bool), ())


def _recorded(
    placed: list[tuple[str, str, int, Array]], other: Array | None, total: int, rng: Rng, snr_db: float
) -> Scene:
    """Room, microphone and noise over the placed sounds, and the truth that follows."""
    rt60, direct = float(rng.uniform(0.15, 0.9)), float(rng.uniform(0, 18))
    colour = _colour(rng)
    dry, power = np.zeros(total), np.zeros((len(placed) + 1, total // FRAME))
    for k, (_, _, at, y) in enumerate([*placed, ("", "", 0, other if other is not None else np.zeros(0))]):
        alone = np.zeros(total)
        alone[at : at + len(y)] = y[: total - at]
        alone = colour(alone)
        power[k] = np.mean(alone.reshape(-1, FRAME) ** 2, axis=1)
        dry += alone
    wet = voice.room(_bare(dry), rng, rt60_s=rt60, direct_db=direct) if rng.random() < 0.75 else _bare(dry)
    gain = 0.5 * 10 ** (rng.uniform(-40, 0) / 20) / max(float(np.max(np.abs(wet.y))), 1e-9)
    noise_power = float(np.mean(power.max(axis=1))) * 10 ** (-snr_db / 10)
    noise_kind = str(rng.choice(["white", "pink", "pink", "hum"]))
    heard = voice.microphone(
        wet,
        rng,
        snr_db=snr_db,
        noise=noise_kind,
        low_hz=float(np.exp(rng.uniform(np.log(20), np.log(250)))),
        high_hz=float(rng.choice([3400, rng.uniform(3400, 7900), 7900])),
        clip=bool(rng.random() < 0.05),
    )
    recorded = np.asarray(heard.y * gain, np.float32)
    if rng.random() < 0.15:
        recorded = _automatic_gain(recorded, rng)
    if rng.random() < 0.4:
        recorded = np.asarray(
            np.round(recorded * 32768) / 32768, np.float32
        )  # sixteen bits: digital silence stays silent
    kinds = [KIND[kind] for _, kind, _, _ in placed]
    truth, two = _truth(power, kinds, noise_power)
    events = tuple(
        Event(name, kind, at / SAMPLE_RATE_HZ, min(at + len(sound), total) / SAMPLE_RATE_HZ)
        for name, kind, at, sound in placed
    )
    return Scene(recorded, truth, two, events)


def _truth(
    power: Array, kinds: Sequence[int], noise_power: float
) -> tuple[npt.NDArray[np.int8], npt.NDArray[np.bool_]]:
    """Kind of each frame, and where two voices are heard. ``power`` [shape=(events + 1, n)], the other voice last."""
    level = 10 * np.log10(np.maximum(_spread(power), 1e-14))  # (e + 1, n)
    noise = 10 * np.log10(max(noise_power, 1e-14))
    above = np.minimum(level - noise - _OVER_NOISE_DB, level - level.max(axis=1, keepdims=True) + _HEARD_DB)
    above[level.max(axis=1) < -100] = -99.0  # nothing there
    all_kinds = [*kinds, KIND["speech"]]
    heard = np.zeros(above.shape, bool)
    for k, kind in enumerate(all_kinds):
        heard[k] = _closed(above[k] > 0, round(_PAUSE_S[KINDS[kind]] / FRAME_S))
    n = level.shape[1]
    truth = np.full(n, KIND["silence"], np.int8)
    truth[(above > -_SURE_DB).any(axis=0)] = UNSURE
    best = np.full(n, -np.inf)
    smoothed = np.where(heard, np.maximum(level, level.max(axis=1, keepdims=True) - _HEARD_DB), -np.inf)
    for k, kind in enumerate(all_kinds):
        here = heard[k]
        louder = here & (smoothed[k] > best + _CLEARER_DB)
        alike = here & ~louder & (smoothed[k] > best - _CLEARER_DB) & (truth != kind)
        truth[louder] = kind
        truth[alike] = UNSURE
        best = np.maximum(best, smoothed[k])
    unsure = (truth != UNSURE) & (truth != KIND["silence"]) & ((above > 0) & (above < _SURE_DB)).any(axis=0)
    faint = unsure & ~(above >= _SURE_DB).any(axis=0)
    # a faint stretch inside a sound belongs to it, one at its ends may be heard or not
    truth[faint & ~_closed(~faint & (truth != KIND["silence"]), 15)] = UNSURE
    mine = np.any([heard[k] for k, kind in enumerate(kinds) if kind in _HUMAN_VOICE] or [np.zeros(n, bool)], axis=0)
    return truth, np.asarray(mine & heard[-1])


def _find(name: str) -> tuple[str, str, Callable[[Rng], Array]]:
    for kind, makers in MAKERS.items():
        if name in makers:
            return name, kind, makers[name][0]
    raise ValueError(f"no sound {name!r}; there are {', '.join(n for makers in MAKERS.values() for n in makers)}")


def _draw(rng: Rng) -> tuple[str, str, Callable[[Rng], Array]]:
    kind = str(rng.choice(list(_KIND_SHARE), p=list(_KIND_SHARE.values())))
    names = list(MAKERS[kind])
    share = np.array([MAKERS[kind][name][1] for name in names])
    return _find(str(rng.choice(names, p=share / share.sum())))


def _how_many(rng: Rng) -> int:
    return int(rng.choice([0, 1, 2, 3, 4, 5], p=[0.04, 0.28, 0.24, 0.2, 0.14, 0.1]))


def _draw_snr(rng: Rng) -> float:
    return float(rng.choice([90.0, rng.uniform(3, 15), rng.uniform(12, 45)], p=[0.15, 0.25, 0.6]))


def _colour(rng: Rng) -> Callable[[Array], Array]:
    """A microphone's and a room's own tone: a tilt and two bends of the spectrum, one draw for the whole scene."""
    hz = np.array([0, 150, 400, 1000, 2500, 5000, 8000.0])
    gain_db = rng.uniform(-4, 4) * np.log2(np.maximum(hz, 60) / 1000) / 2 + rng.normal(0, 2.5, len(hz))
    taps = signal.firwin2(255, hz / 8000, 10 ** (gain_db / 20))
    return lambda y: np.asarray(signal.fftconvolve(y, taps, mode="same"))


def _automatic_gain(y: npt.NDArray[np.float32], rng: Rng) -> npt.NDArray[np.float32]:
    """A recorder that turns quiet sound up and loud sound down, within a tenth of a second to a second."""
    power = np.mean(y[: len(y) // FRAME * FRAME].reshape(-1, FRAME).astype(np.float64) ** 2, axis=1)
    keep = np.exp(-FRAME_S / rng.uniform(0.1, 1.0))
    slow = signal.lfilter([1 - keep], [1, -keep], power, zi=[keep * power[0]])[0]
    gain = np.maximum(slow, 1e-7) ** (-0.5 * rng.uniform(0.2, 0.7))
    gained = y * np.interp(np.arange(len(y)), (np.arange(len(gain)) + 0.5) * FRAME, gain)
    return np.asarray(gained * np.max(np.abs(y), initial=1e-9) / max(float(np.max(np.abs(gained))), 1e-9), np.float32)


def _bare(y: Array) -> Sound:
    """A sound of which nothing is known, for :func:`voice.room` and :func:`voice.microphone`."""
    n = len(y) // FRAME
    nothing = np.full(n, np.nan)
    values: dict[str, Any] = {field: np.nan for field in Sound.__dataclass_fields__}
    known = {
        "y": y.astype(np.float32),
        "f0_hz": nothing,
        "voiced": np.zeros(n, bool),
        "mouth_open": np.zeros(n),
        "formants_hz": np.full((n, 5), np.nan),
        "cycle_s": np.empty(0),
    }
    return Sound(**{**values, **known})


def _loudest_rms(y: Array) -> float:
    """RMS of the loudest tenth of a second."""
    power = np.convolve(y**2, np.ones(1600) / 1600, "same") if len(y) > 1600 else np.array([np.mean(y**2)])
    return max(float(np.sqrt(power.max())), 1e-9)


def _spread(power: Array) -> Array:
    """Each frame with its neighbours: the edges of a 51 ms window are heard in the frames beside it."""
    padded = np.pad(power, [(0, 0), (1, 1)], mode="edge")
    return np.asarray(np.maximum(np.maximum(padded[:, :-2], padded[:, 2:]) / 4, power))


def _closed(flag: npt.NDArray[np.bool_], longest: int) -> npt.NDArray[np.bool_]:
    """``flag`` with gaps of up to ``longest`` frames filled."""
    out = flag.copy()
    edges = np.flatnonzero(np.diff(np.concatenate([[False], flag, [False]]).astype(np.int8)))
    for stop, start in zip(edges[1::2][:-1], edges[2::2], strict=True):
        if start - stop <= longest:
            out[stop:start] = True
    return out
