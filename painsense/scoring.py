"""What the fusion network says of the windows -> the score of a recording, and what that score rests on.

A window is scored only on evidence: a usable face for most of it, or a voice in it. Silence alone is none: nobody can
tell a person without pain from one who suffers in silence. The thresholds are proposals, stated in every report.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from painsense import fusion, windows
from painsense.fusion import FACE, IN_VOICE, VOICE, Fusion, FusionInputs, FusionScores
from painsense.report import Alternative, RestsOn, Score, ScoreScale
from painsense.tracks import BoolArray, FloatArray, Track
from painsense.voice_rest import Rest, usable_voice
from painsense.voice_segments import Segment
from painsense.windows import Windows

#: Reason codes: of a window, and of a recording without score
TOO_WIDE, TOO_LITTLE, STILL = "interval_too_wide", "too_little_evidence", "no_course"
LEAST_CHANGE = 0.2  # smaller differences are not told
MOST_ALTERNATIVES = 6


@dataclass(frozen=True)
class Needed:
    """What a window and a recording need to be scored."""

    least_face_share: float = 0.6  # of a window's time; or
    least_voiced_window_s: float = 0.2  # of a window
    least_scored_s: float = 3.0  # covered by scored windows; for recordings under 5 s: 60% of their length
    least_scored_share: float = 0.25  # of the recording

    def scored_s(self, duration_s: float) -> float:
        """Seconds that scored windows must cover in a recording of this length."""
        return max(min(self.least_scored_s, 0.6 * duration_s), self.least_scored_share * duration_s)


NEEDED = Needed()


@dataclass(frozen=True)
class Course:
    """The score over time.

    Attributes
    ----------
    grid : the windows
    inputs : what the network saw of them
    scores : what it said; NaN and not ``valid`` where a window had too little evidence or the interval is too wide
    face, voice : ndarray [shape=(n,), bool], there was enough of it to go by
    """

    grid: Windows
    inputs: FusionInputs
    scores: FusionScores
    face: BoolArray
    voice: BoolArray

    @property
    def evidence(self) -> BoolArray:
        """Where there was enough to go by, ndarray [shape=(n,), bool]."""
        return self.face | self.voice

    def reason(self, k: int) -> str | None:
        """Why a window has no score, as a reason code; None where it has one."""
        if self.scores.valid[k]:
            return None
        return TOO_WIDE if self.evidence[k] and self.scores.too_wide[k] else TOO_LITTLE


def course(
    network: Fusion,
    face: Track | None,
    voice: Track | None,
    segments: Sequence[Segment],
    grid: Windows,
    voice_rest: Rest | None = None,
    *,
    neutral_known: bool = False,
) -> Course:
    """Score every window; the parameters are those of :func:`painsense.fusion.inputs`."""
    seen = fusion.inputs(face, voice, segments, grid, voice_rest, neutral_known=neutral_known)
    scores = network(seen)
    of_face, of_voice = np.zeros(len(grid), bool), np.zeros(len(grid), bool)
    if face is not None and len(face):
        of_face = windows.usable_share(face, grid) >= NEEDED.least_face_share
    if voice is not None and len(voice):
        voiced_s = windows.usable_share(voice, grid, usable_voice(voice)) * (grid.end_s - grid.start_s)
        of_voice = voiced_s >= NEEDED.least_voiced_window_s
    valid = scores.valid & (of_face | of_voice)
    score = np.where(valid, np.clip(scores.score, 0, 10), np.float32(np.nan))
    low, high = (np.clip(end, 0, 10) for end in (scores.low, scores.high))
    return Course(grid, seen, replace(scores, score=score, low=low, high=high, valid=valid), of_face, of_voice)


def summarise(scored: Course, duration_s: float) -> tuple[Score | None, str | None]:
    """The score of a recording, or the reason code why there is none.

    It is the mean over the scored windows. The network errs the same way on the same person, so its error does not
    average out: the interval is the mean of the windows' intervals.
    """
    if not len(scored.grid):
        return None, STILL
    scores, valid = scored.scores, scored.scores.valid
    if not valid.any() or _covered_s(scored.grid, valid) < NEEDED.scored_s(duration_s):
        wide = scored.evidence & scores.too_wide
        return None, TOO_WIDE if wide.sum() > (scored.evidence & ~wide).sum() else TOO_LITTLE
    top = int(np.nanargmax(scores.score))
    return Score(
        value=float(np.mean(scores.score[valid])),
        low=float(np.mean(scores.low[valid])),
        high=float(np.mean(scores.high[valid])),
        peak=float(scores.score[top]),
        peak_low=float(scores.low[top]),
        peak_high=float(scores.high[top]),
        peak_s=float((scored.grid.start_s[top] + scored.grid.end_s[top]) / 2),
    ), None


def weights(scored: Course) -> dict[str, float]:
    """Mean weight of each modality over the scored windows; those that had none are left out."""
    valid = scored.scores.valid
    if not valid.any():
        return {}
    means = {"face": scored.scores.face_weight[valid].mean(), "voice": scored.scores.voice_weight[valid].mean()}
    return {name: float(weight) for name, weight in means.items() if weight > 0}


def scale(network: Fusion) -> ScoreScale:
    """What the numbers of a model mean, from its spec."""
    low, high = network.label_scale
    spec = network.spec
    return ScoreScale(spec.name, spec.version, network.label_kind, low, high, spec.notes)


def _covered_s(grid: Windows, chosen: BoolArray) -> float:
    """Seconds in at least one of the chosen windows."""
    total, reached = 0.0, -np.inf
    for start, end in zip(grid.start_s[chosen], grid.end_s[chosen], strict=True):
        total += max(0.0, float(end) - max(float(start), reached))
        reached = max(reached, float(end))
    return total


# ---- what a score rests on

_UNITS_AT_REST: dict[str, tuple[str, ...]] = {
    "brows": ("AU1", "AU2", "AU4"),
    "cheeks_and_lids": ("AU5", "AU6", "AU7"),
    "nose_and_upper_lip": ("AU9", "AU10"),
    "mouth": ("AU12", "AU14", "AU15", "AU16", "AU17", "AU18", "AU20", "AU22", "AU24", "AU26"),
    "eyes_open": ("AU43", "eye_closure"),
}
_CHANGES = ("f0_change_semitones", "loudness_change_db")


def rests_on(network: Fusion, scored: Course) -> RestsOn | None:
    """What the highest score would be with one part of the evidence other than it was; None without any score.

    Each alternative is the network's own answer to the same moment with that part as at rest, or left out.
    """
    if not scored.scores.valid.any():
        return None
    top = int(np.nanargmax(scored.scores.score))
    score = float(scored.scores.score[top])
    seen = FusionInputs(scored.inputs.face[top : top + 1], scored.inputs.voice[top : top + 1])
    found = []
    for part, other in _alternatives(seen, bool(scored.face[top] and scored.voice[top])).items():
        answer = network(other)
        value = float(answer.score[0]) if answer.valid[0] else None
        if value is None or abs(value - score) >= LEAST_CHANGE:
            found.append(Alternative(part, value))
    found.sort(key=lambda other: -np.inf if other.score is None else -abs(other.score - score))
    at_s = float((scored.grid.start_s[top] + scored.grid.end_s[top]) / 2)
    return RestsOn(at_s, score, tuple(found[:MOST_ALTERNATIVES]))


def _alternatives(seen: FusionInputs, both: bool) -> dict[str, FusionInputs]:
    """The same window with one part changed, by the part's name; parts that change nothing are left out.

    ``both``: the face and the voice are evidence of their own, so that one can be judged without the other.
    """
    others = {}
    if both:
        others = {"without_voice": seen.only("face"), "without_face": seen.only("voice")}
    for part, names in _UNITS_AT_REST.items():
        others[part] = replace(seen, face=_with(seen.face, FACE, names, 0.0))
    others["pitch_and_loudness"] = replace(seen, voice=_with(seen.voice, VOICE, _CHANGES, 0.0))
    others["voice_quality"] = replace(seen, voice=_with(seen.voice, VOICE, IN_VOICE, np.nan))
    return {
        part: other
        for part, other in others.items()
        if not (_same(other.face, seen.face) and _same(other.voice, seen.voice))
    }


def _with(values: FloatArray, columns: Sequence[str], names: Sequence[str], value: float) -> FloatArray:
    """Measured values of some columns replaced; what was not measured stays so."""
    changed = values.copy()
    for name in names:
        column = changed[..., columns.index(name)]
        column[np.isfinite(column)] = value
    return changed


def _same(one: FloatArray, other: FloatArray) -> bool:
    return bool(np.array_equal(one, other, equal_nan=True))
