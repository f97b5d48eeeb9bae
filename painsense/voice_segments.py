"""Segments: which kind of sound is heard where. The voice track -> stretches of one kind that cover the recording.

A small network reads the finished track (level against the quietest and loudest of the surrounding ten seconds, pitch,
periodicity, the shape of the spectrum) and gives each 10 ms a probability for each of five kinds; what is too short to
be a sound of its own goes to its neighbours. It has learned from generated scenes alone (``training/train_sounds.py``);
``docs/voice-segments.md`` holds it against the gates alone and against a speech detector, on recordings it never saw.
Speech detectors throw moans and groans away, which here are what is looked for.
"""

from __future__ import annotations

import functools
import json
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from painsense import assets
from painsense.errors import ModelError
from painsense.tracks import FloatArray, Track

#: What a stretch of sound can be. "speech": words; "nonverbal": moan, groan, cry, scream; "breath": sigh, gasp, sniff;
#: "other": cough, knock, noise, music; "silence": nothing above the steady noise of the recording
KINDS = ("speech", "nonverbal", "breath", "other", "silence")
VOICE_KINDS = ("speech", "nonverbal")
#: the kind of a stretch in which nothing was recorded
NO_AUDIO = "no_audio"

#: columns of the voice track that the network reads as they are
COLUMNS_READ = (
    "alpha_ratio_db",
    "hammarberg_db",
    "mfcc_1",
    "mfcc_2",
    "mfcc_3",
    "mfcc_4",
    "hnr_db",
    "jitter_local",
    "cpp_db",
)
#: what the network reads of each frame, in order; the first ones are made by :func:`features`
FEATURES = (
    "level_over_quietest_db",
    "level_over_loudest_db",
    "recorded",
    "voiced",
    "steady_tone",
    "periodicity",
    "pitched",
    "pitch_octaves",
    *COLUMNS_READ,
)
METADATA_KEY = "painsense.sounds"
INPUT, OUTPUT = "frames", "probability"

REACH_S = 5.0  # the quietest and loudest are looked for so far on either side
RECEPTIVE = 128  # frames on either side that a frame's probability depends on, at most
STEP_S = 0.010

_BLOCK = 10  # frames: levels are averaged over 0.1 s before the quietest and loudest is taken
_PIECE = 30_000  # frames computed at a time, so that memory does not follow the length of the recording
_WIDEST_DB = 60.0
_LOWEST_DBFS = -100.0
_PITCH_REFERENCE_HZ = 150.0
_SMOOTHING = 7  # frames
_GATED_ODDS = 1.65  # in favour of voice where the gates found voice: a lost moan is worse than a noise taken for one
#: shorter stretches are given to their neighbours, frames; a pause of a word's length is part of speech
_SHORTEST = {"speech": 12, "nonverbal": 10, "breath": 12, "other": 4, "silence": 12}
_ONE_VOICE = 30  # frames: a shorter stretch of one voice kind that touches a longer one of the other is of that kind
_REMEDY = "install painsense again"


@dataclass(frozen=True)
class Segment:
    """A stretch of one kind of sound, in seconds on the media clock."""

    start_s: float
    end_s: float
    kind: str


def of_track(track: Track) -> tuple[Segment, ...]:
    """The kinds of sound of a voice track.

    Returns
    -------
    Segments in order of time, each beginning where the one before ends, from the first sample to the last; the kinds
    are those of :data:`KINDS`, and :data:`NO_AUDIO` where nothing was recorded. An empty track has none.
    """
    if not len(track):
        return ()
    names = (*KINDS, NO_AUDIO)
    kind = kinds(track)
    first = np.flatnonzero(np.concatenate([[True], kind[1:] != kind[:-1]]))
    edges_s = np.append(track.time_s[first] - STEP_S / 2, track.time_s[-1] + STEP_S / 2)
    return tuple(
        Segment(round(float(a), 6), round(float(b), 6), names[kind[k]])
        for a, b, k in zip(edges_s[:-1], edges_s[1:], first, strict=True)
    )


def kinds_at(segments: Sequence[Segment], time_s: npt.NDArray[np.floating]) -> npt.NDArray[np.int8]:
    """The kind of sound at each moment, ndarray [shape=(n,), int8], as :func:`kinds` says it of frames.

    segments : at least one, as :func:`of_track` gives them; what lies outside them is taken for the nearest one
    """
    names = (*KINDS, NO_AUDIO)
    place = np.searchsorted([segment.start_s for segment in segments], time_s, side="right") - 1
    return np.array([names.index(segment.kind) for segment in segments], np.int8)[np.maximum(place, 0)]


def kinds(track: Track) -> npt.NDArray[np.int8]:
    """The kind of each frame, ndarray [shape=(n,), int8]: index into :data:`KINDS`; ``len(KINDS)`` is no audio."""
    missing, silent = track.has_reason("no_audio"), track.has_reason("silent")
    probability = probabilities(track)
    # a room's own noise is its silence, however long nothing else is heard beside which it could be told
    other, silence = KINDS.index("other"), KINDS.index("silence")
    probability[silent, silence] += probability[silent, other]
    probability[silent, other] = 0
    result = decide(probability, track.column("voiced"))
    result[missing] = len(KINDS)
    return result


def probabilities(track: Track) -> FloatArray:
    """How likely each kind is in each frame, ndarray [shape=(n, 5), float32, 0-1], rows that add up to 1."""
    session = _network()
    rows = features(track)
    result = np.empty((len(rows), len(KINDS)), np.float32)
    for start in range(0, len(rows), _PIECE):
        first, stop = max(0, start - RECEPTIVE), min(len(rows), start + _PIECE)
        piece = rows[first : stop + RECEPTIVE]
        result[start:stop] = session.run([OUTPUT], {INPUT: piece})[0][start - first : stop - first]
    return result


def features(track: Track) -> FloatArray:
    """What the network reads, ndarray [shape=(n, d), float32] in the order of :data:`FEATURES`; no NaN.

    What is missing is 0 in its own column and said in another: ``recorded`` is 0 where there is no sound, ``pitched``
    where there is no pitch.
    """
    level = track.column("level_dbfs")
    recorded = np.isfinite(level)
    quietest, loudest = _surroundings(level)
    f0 = track.column("f0_hz")
    octaves = np.log2(np.where(f0 > 0, f0, np.nan) / np.float32(_PITCH_REFERENCE_HZ))
    columns = {
        "level_over_quietest_db": np.clip(level - quietest, 0, _WIDEST_DB),
        "level_over_loudest_db": np.clip(level - loudest, -_WIDEST_DB, 0),
        "recorded": recorded,
        "voiced": track.column("voiced"),
        "steady_tone": track.has_reason("steady_tone"),
        "periodicity": track.column("periodicity"),
        "pitched": np.isfinite(f0),
        "pitch_octaves": octaves,
    }
    table = np.empty((len(track), len(FEATURES)), np.float32)
    for k, name in enumerate(FEATURES):
        table[:, k] = columns[name] if name in columns else track.column(name)
    return np.asarray(np.nan_to_num(table, copy=False, nan=0.0, posinf=0.0, neginf=0.0))


def decide(probability: FloatArray, voiced: FloatArray) -> npt.NDArray[np.int8]:
    """One kind for each frame, ndarray [shape=(n,), int8], without stretches too short to be a sound of their own.

    First whether it is voice at all, speech and non-verbal together, with the benefit of the doubt where the gates
    agree; then of which kind.

    Parameters
    ----------
    probability : ndarray [shape=(n, 5)], as :func:`probabilities` gives it
    voiced : ndarray [shape=(n,)], 1 where the gates of the voice track found voice
    """
    smooth = _smoothed(probability)
    voices, rest = smooth[:, : len(VOICE_KINDS)], smooth[:, len(VOICE_KINDS) :]
    spoken = voices.sum(axis=1) * np.where(voiced == 1, _GATED_ODDS, 1.0) > rest.max(axis=1)
    kind = np.where(spoken, voices.argmax(axis=1), len(VOICE_KINDS) + rest.argmax(axis=1)).astype(np.int8)
    total = np.concatenate([np.zeros((1, len(KINDS))), np.cumsum(smooth, axis=0, dtype=np.float64)])
    kind = _without_short(kind, total, [_SHORTEST[name] for name in KINDS])
    return _one_voice(kind)


def _surroundings(level_dbfs: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Quietest and loudest tenth of a second within five seconds of each frame, ndarrays [shape=(n,), dBFS]."""
    n = len(level_dbfs)
    blocks = -(-n // _BLOCK)
    padded = np.pad(level_dbfs, (0, blocks * _BLOCK - n), constant_values=np.nan).reshape(blocks, _BLOCK)
    heard = np.isfinite(padded)
    mean = np.where(heard, padded, 0).sum(axis=1) / np.maximum(heard.sum(axis=1), 1)
    empty = ~heard.any(axis=1)
    reach = round(REACH_S / STEP_S / _BLOCK)

    def extreme(values: FloatArray, pick: Any, nothing: float) -> FloatArray:
        wide = np.pad(np.where(empty, np.float32(nothing), values), reach, constant_values=nothing)
        around = pick(np.lib.stride_tricks.sliding_window_view(wide, 2 * reach + 1), axis=1)
        return np.asarray(np.repeat(around, _BLOCK)[:n])

    quietest = np.maximum(extreme(mean, np.min, np.inf), np.float32(_LOWEST_DBFS))
    return quietest, extreme(mean, np.max, -np.inf)


def _smoothed(probability: FloatArray) -> FloatArray:
    """Mean over neighbouring frames, with the ends held."""
    half = _SMOOTHING // 2
    total = np.cumsum(np.pad(probability, [(half + 1, half), (0, 0)], mode="edge"), axis=0, dtype=np.float64)
    return np.asarray((total[_SMOOTHING:] - total[:-_SMOOTHING]) / _SMOOTHING, np.float32)


def _without_short(
    kind: npt.NDArray[np.int8], total: npt.NDArray[np.float64], shortest: list[int]
) -> npt.NDArray[np.int8]:
    """Stretches shorter than allowed for their kind take the kind of the neighbour that is the likelier there."""
    starts = [int(k) for k in np.flatnonzero(np.concatenate([[True], kind[1:] != kind[:-1]]))]
    stretches = [(a, b, int(kind[a])) for a, b in zip(starts, [*starts[1:], len(kind)], strict=True)]
    done: list[tuple[int, int, int]] = []
    for number, (a, b, what) in enumerate(stretches):
        if b - a < shortest[what] and len(stretches) > 1:
            beside = [done[-1][2]] if done else []
            beside += [stretches[number + 1][2]] if number + 1 < len(stretches) else []
            what = max(beside, key=lambda k: float(total[b, k] - total[a, k]))
        if done and done[-1][2] == what:
            done[-1] = (done[-1][0], b, what)
        else:
            done.append((a, b, what))
    result = np.empty_like(kind)
    for a, b, what in done:
        result[a:b] = what
    return result


def _one_voice(kind: npt.NDArray[np.int8]) -> npt.NDArray[np.int8]:
    """A short stretch of one voice kind within or at the end of a longer one of the other is the same utterance."""
    voices = [KINDS.index(name) for name in VOICE_KINDS]
    starts = [int(k) for k in np.flatnonzero(np.concatenate([[True], kind[1:] != kind[:-1]]))]
    edges = list(zip(starts, [*starts[1:], len(kind)], strict=True))
    result = kind.copy()
    for number, (a, b) in enumerate(edges):
        if kind[a] not in voices or b - a >= _ONE_VOICE:
            continue
        for beside in (number - 1, number + 1):
            if 0 <= beside < len(edges):
                c, d = edges[beside]
                if kind[c] in voices and d - c >= 2 * (b - a):
                    result[a:b] = kind[c]
    return result


# --- the network ------------------------------------------------------------------------------------------------------

_loading = threading.Lock()


def _network() -> Any:
    with _loading:
        return _shipped()


@functools.cache
def _shipped() -> Any:
    return load(assets.read_weights("voice_segments"))


def load(content: bytes) -> Any:
    """The network of an ONNX file, on the CPU: it takes milliseconds, and gives the same everywhere.

    Raises
    ------
    ModelError : it cannot be read, or reads or gives other things than this version of painsense does
    """
    from painsense import providers

    session = providers.session(content, "cpu", "voice_segments", _REMEDY)
    stored = session.get_modelmeta().custom_metadata_map.get(METADATA_KEY, "{}")
    try:
        says = json.loads(stored)
        came = (tuple(says["features"]), tuple(says["kinds"]))
    except (ValueError, KeyError, TypeError) as error:
        raise ModelError(f"voice_segments: it does not say what it reads and gives ({error}); {_REMEDY}") from error
    if came != (FEATURES, KINDS):
        raise ModelError(
            f"voice_segments: {', '.join(FEATURES)} -> {', '.join(KINDS)} was expected, "
            f"{', '.join(came[0])} -> {', '.join(came[1])} came; {_REMEDY}"
        )
    return session
