"""Automatic gain: does the microphone turn itself up and down? Then loud and soft no longer mean anything.

The room's noise tells: its level is the microphone's gain. After a voice, an automatic microphone has turned itself
down, and in the pause that follows it creeps up again; left alone, a room's noise stays where it is or dies away.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from painsense.tracks import FloatArray, Track, runs

STEP_S = 0.010
AFTER_VOICE_S = 0.15  # what still sounds after a voice: the window of the level, and the room
BEFORE_VOICE_S = 0.50  # breath is taken here
LEAST_PAUSE_S, MOST_PAUSE_S = 0.5, 3.0  # of a pause after both cuts: shorter ones show no course, longer ones no more
LEAST_PAUSES = 3  # two may rise by chance
BLOCK = 10  # frames whose quietest quarter stands for the noise
LEAST_RISE_DB = 3.0
LEAST_ORDER = 0.7  # rank correlation of noise with time in a pause that creeps
CREEPING_SHARE = 0.4  # of the pauses; soft voices before them leave the gain as it was
FALLING_SHARE = 0.25  # falling pauses allowed for one that creeps: a noise that comes and goes does both
DIGITAL_SILENCE_DBFS = -90.0  # below it there is no noise of the room, or a gate has taken it away


def automatic_gain(voice: Track) -> bool | None:
    """Whether the level was regulated while recording; None where too few pauses follow a voice to tell.

    A regulator that holds its gain in pauses, or gives it back within the first tenths of a second, is not found.

    Parameters
    ----------
    voice : a voice track with ``level_dbfs`` and ``voiced``
    """
    level = voice.column("level_dbfs")
    creeping = falling = measured = 0
    for first, last in _pauses(voice):
        noise = _noise(level[first:last])
        if len(noise) < 4:
            continue
        measured += 1
        third = max(1, len(noise) // 3)
        rise_db = float(np.median(noise[-third:]) - np.median(noise[:third]))
        order = _order(noise)
        creeping += rise_db >= LEAST_RISE_DB and order >= LEAST_ORDER
        falling += rise_db <= -LEAST_RISE_DB and order <= -LEAST_ORDER
    if measured < LEAST_PAUSES:
        return None
    return bool(creeping >= max(LEAST_PAUSES, CREEPING_SHARE * measured) and falling <= FALLING_SHARE * creeping)


def _pauses(voice: Track) -> list[tuple[int, int]]:
    """First and last (exclusive) frame of each pause that follows a voice and is long enough, the ends cut off."""
    n = len(voice)
    stretches = runs(np.asarray(voice.column("voiced") == 1))
    after, before = round(AFTER_VOICE_S / STEP_S), round(BEFORE_VOICE_S / STEP_S)
    found = []
    for k, (_, end) in enumerate(stretches):
        last = stretches[k + 1][0] - before if k + 1 < len(stretches) else n - BLOCK
        first = end + after
        if last - first >= round(LEAST_PAUSE_S / STEP_S):
            found.append((first, min(last, first + round(MOST_PAUSE_S / STEP_S))))
    return found


def _noise(level_dbfs: FloatArray) -> npt.NDArray[np.float64]:
    """Level of the noise in blocks of a tenth of a second, ndarray [shape=(m,), dBFS]; silent blocks are left out."""
    whole = len(level_dbfs) // BLOCK * BLOCK
    blocks = level_dbfs[:whole].reshape(-1, BLOCK).astype(np.float64)
    blocks = blocks[np.isfinite(blocks).all(axis=1)]
    low = np.percentile(blocks, 25, axis=1) if len(blocks) else np.empty(0)
    return np.asarray(low[low > DIGITAL_SILENCE_DBFS])


def _order(values: npt.NDArray[np.float64]) -> float:
    """Rank correlation with their position (Spearman); levels of noise have no ties."""
    ranks = np.argsort(np.argsort(values, kind="stable"), kind="stable")
    return float(np.corrcoef(ranks, np.arange(len(values)))[0, 1])
