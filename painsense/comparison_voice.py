"""The voice of a recording as means over its windows, to be compared with another recording of the same person."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from painsense import windows
from painsense.comparison_mean import Z90, Mean, mean_of
from painsense.tracks import Track
from painsense.voice_change import LONGEST_S
from painsense.voice_gain import automatic_gain
from painsense.voice_rest import LIMITS, MEASURES, STEP_S, Measure, finite, room_noise_dbfs, scaled, usable_voice

MIN_VOICED_S = 4.0  # of usable voice in each recording: with less, what was said decides more than how
MIN_INDEPENDENT = 2.0


@dataclass(frozen=True)
class VoiceMean:
    """One measure of the voice over a recording, on the scale on which changes are differences.

    ``mean``: None with too little voice; ``comparable``: for loudness, whether the microphone leaves its level alone;
    ``noise_dbfs``: of the room, NaN where it is not known
    """

    measure: Measure
    mean: Mean | None
    comparable: bool
    noise_dbfs: float

    def same_room(self, other: VoiceMean) -> bool:
        """Whether both rooms sound equally loud, as far as the microphone says."""
        return abs(self.noise_dbfs - other.noise_dbfs) <= LIMITS.max_room_difference_db


def voice_means(voice: Track | None) -> dict[str, VoiceMean] | None:
    """Each measure's mean over windows with enough voice; None without sound."""
    if voice is None or not len(voice):
        return None
    use = usable_voice(voice)
    voiced_s = float(use.sum()) * STEP_S
    steady = automatic_gain(voice) is not True
    noise = room_noise_dbfs(voice)
    grid = windows.grid(float(voice.time_s[-1]) + STEP_S / 2)
    first, last = (np.searchsorted(voice.time_s, edge) for edge in (grid.start_s, grid.end_s))
    result = {}
    for measure in MEASURES:
        if measure.name not in voice.names:
            continue
        values = np.where(use, scaled(measure.name, voice.column(measure.name)), np.nan)
        medians = np.full(len(grid), np.nan)
        for k in range(len(grid)):
            own = finite(values[first[k] : last[k]])
            if len(own) * STEP_S >= LIMITS.least_voice_s - 1e-9:
                medians[k] = np.median(own)
        mean = None
        if voiced_s >= MIN_VOICED_S:
            # the error of a median over so much unchanged voice: more than LONGEST_S does not make it smaller
            own_error = Z90 * measure.error / math.sqrt(min(voiced_s, LONGEST_S))
            reach = np.full(len(grid), own_error)
            mean = mean_of(medians, reach, reach)
            if mean is not None and mean.independent < MIN_INDEPENDENT:
                mean = None
        result[measure.name] = VoiceMean(measure, mean, steady, noise)
    return result
