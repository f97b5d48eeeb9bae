"""Lips: is the voice that speaks the patient's? Not where these lips are still.

Nobody says a word without moving the lips or the jaw: a talker's lip gap wanders by 0.03 to 0.07 outer-canthus
distances within a second, a face at rest by less than 0.001 (``docs/voice-segments.md``). So speech beside lips that
are seen and do not move is somebody else's: a nurse, a relative, a television. Only speech tells: a moan can be hummed
behind closed lips or held on an open mouth.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from painsense import voice_segments
from painsense.tracks import BoolArray, Reason, Track, runs, sample_period_s

#: for the voice track; it blocks nothing, because the sound is measured as well as any
REASON = Reason(
    "lips_still", "somebody speaks while the patient's lips are still: is this the patient?", blocking=False
)

REACH_S = 0.5  # lips are watched so far before and after a frame: no one speaks for a second on one lip position
MOVED = {"lip_gap": 0.012, "chin_to_nose": 0.009}  # spread in that time, outer-canthus distances, from which they move
LEAST_SEEN = 0.8  # share of that time in which the face must be usable
LEAST_SPOKEN_S = 0.3  # speech in that time; less may be one syllable at its edge, or a noise
SHORTEST_S = 0.3  # a flag on less is chance

Array = npt.NDArray[np.float64]


def still(raw: Track, voice: Track, kind: npt.NDArray[np.int8] | None = None) -> BoolArray:
    """Where somebody speaks and the lips in the picture clearly do not move.

    Parameters
    ----------
    raw : the raw face track (:func:`painsense.face.measure`), which holds where the lips are
    voice : the voice track of the same recording, on the same clock
    kind : what :func:`painsense.voice_segments.kinds` says of ``voice``; None asks it

    Returns
    -------
    ndarray [shape=(len(voice),), bool]. Never True where the face is not seen well enough to tell (no face, turned
    away, blurred, too few frames), nor for any kind of sound but speech.
    """
    kind = voice_segments.kinds(voice) if kind is None else kind
    speech = kind == voice_segments.KINDS.index("speech")
    if not (len(raw) and len(voice)):
        return np.zeros(len(voice), bool)
    spoken_s = np.concatenate([[0.0], np.cumsum(speech)]) * voice_segments.STEP_S
    first, last = _around(voice.time_s, voice.time_s)
    enough = spoken_s[last] - spoken_s[first] >= LEAST_SPOKEN_S

    first, last = _around(raw.time_s, voice.time_s)
    usable = raw.valid
    quiet = np.ones(len(voice), bool)
    for name, least in MOVED.items():
        place = raw.column(name).astype(np.float64)
        seen = usable & np.isfinite(place)
        count = _sum(seen.astype(np.float64), first, last)
        middle = float(np.median(place[seen])) if seen.any() else 0.0  # so that squares do not cancel
        place = np.where(seen, place - middle, 0.0)
        mean = _sum(place, first, last) / np.maximum(count, 1)
        variance = _sum(place**2, first, last) / np.maximum(count, 1) - mean**2
        watched = count * sample_period_s(raw.time_s) >= LEAST_SEEN * 2 * REACH_S
        quiet &= watched & (variance < least**2)
    flagged = speech & enough & quiet
    for a, b in runs(flagged):
        if (b - a) * voice_segments.STEP_S < SHORTEST_S:
            flagged[a:b] = False
    return np.asarray(flagged)


def _around(clock_s: Array, at_s: Array) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]:
    """First and last (exclusive) sample of a clock within reach of each time."""
    return np.searchsorted(clock_s, at_s - REACH_S), np.searchsorted(clock_s, at_s + REACH_S, "right")


def _sum(values: Array, first: npt.NDArray[np.intp], last: npt.NDArray[np.intp]) -> Array:
    total = np.concatenate([[0.0], np.cumsum(values)])
    return np.asarray(total[last] - total[first])
