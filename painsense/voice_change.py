"""How the voice differs from the person's voice at rest, in plain words with units, or why that cannot be told.

Rest is a rest clip with voice in it; without one, the calmest part of the voice in the recording itself. Loudness is
told as a change only: what a microphone writes down depends on its distance and gain. A change is told where there is
enough voice and it is beyond what two stretches of one unchanged voice differ by, and nowhere else.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
import numpy.typing as npt

from painsense import windows
from painsense.report import VoiceBand, VoiceChange, VoiceComparison, VoiceEvidence
from painsense.tracks import BoolArray, Track
from painsense.voice_gain import automatic_gain
from painsense.voice_rest import (
    LIMITS,
    MEASURES,
    NAMES,
    STEP_S,
    Floats,
    Measure,
    Rest,
    finite,
    loudness_of,
    room_noise_dbfs,
    scaled,
    usable_voice,
)
from painsense.voice_segments import KINDS, NO_AUDIO, Segment, kinds_at

REACH_S = windows.LENGTH_S / 2  # at a peak: so far either way
CALM_SHARE = 0.25  # of the voice, the calmest, stands for rest where there is no rest clip
CHANCE = 0.05  # that a recording without any change shows one
MOST_TOLD = 3
LONGEST_S = 4.0  # of voice; more does not make a median better, for it moves with what is said


_WHERE = {
    "rest_clip": "at rest",
    "saved": "at rest",
    "recording": "in the calmest voice of this recording",
}


def compare(
    voice: Track, rest: Rest | None, segments: Sequence[Segment] = (), peaks_s: Sequence[float] = ()
) -> tuple[VoiceEvidence, tuple[VoiceComparison, ...]]:
    """The voice of a recording against the voice at rest: over the whole recording, and at each of some moments.

    Parameters
    ----------
    voice : the voice track
    rest : the voice of a rest clip, if there is one; used when it holds at least ``least_rest_voice_s`` of voice
    segments : which kinds of sound are where, to say of what kind a changed voice was
    peaks_s : the moments, in seconds
    """
    gain = automatic_gain(voice)
    spoken = _spoken(voice, segments, loudness=gain is not True)
    calm = _calmest(spoken)
    references = _references(spoken, calm, rest, voice)
    kinds = {reference.against for reference in references.values()}
    with_rest = rest is not None and rest.kind in kinds
    evidence = VoiceEvidence(
        compared_with=rest.kind if rest is not None and with_rest else "recording" if kinds else "none",
        source=rest.source if rest is not None and with_rest else "",
        why=_why(spoken, rest, references),
        rest_voiced_s=max((reference.voiced_s for reference in references.values()), default=None),
        automatic_gain=gain,
        f0_hz=_band(references.get("f0_semitone"), lambda semitones: 27.5 * 2 ** (semitones / 12)),
        loudness_db=_band(references.get("loudness"), lambda db: db, zero=True),
        loudness_zero=loudness_of(references["loudness"].median) if "loudness" in references else None,
        strongest=_strongest(spoken, calm, references),
    )
    return evidence, tuple(_at_moment(spoken, references, at_s) for at_s in peaks_s)


# --- the person's voice in a recording --------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Spoken:
    """The m usable frames of voice: when, what was measured (scaled), and what kind of sound it was."""

    time_s: Floats
    values: dict[str, Floats]
    sound: npt.NDArray[np.str_]

    @property
    def seconds(self) -> float:
        return len(self.time_s) * STEP_S

    def stretch(self, start_s: float, end_s: float) -> slice:
        """Its frames from one time to another."""
        first, last = np.searchsorted(self.time_s, [start_s, end_s])
        return slice(int(first), int(last))

    def stretches(self) -> list[slice]:
        """Windows of 2 s every 0.5 s with enough voice in them."""
        if not len(self.time_s):
            return []
        starts = np.arange(
            math.floor(self.time_s[0] / windows.STEP_S) - windows.LENGTH_S / windows.STEP_S + 1,
            self.time_s[-1] / windows.STEP_S + 1,
        )
        found = (self.stretch(k * windows.STEP_S, k * windows.STEP_S + windows.LENGTH_S) for k in starts)
        return [part for part in found if (part.stop - part.start) * STEP_S >= LIMITS.least_voice_s - 1e-9]

    def without(self, taken: BoolArray) -> _Spoken:
        """The frames that are not taken."""
        kept = {name: values[~taken] for name, values in self.values.items()}
        return _Spoken(self.time_s[~taken], kept, self.sound[~taken])

    def median(self, name: str, part: slice | BoolArray) -> tuple[float, float]:
        """Median of a measure, NaN when it was measured in too little of the voice, and seconds it rests on."""
        values = finite(self.values[name][part])
        seconds = len(values) * STEP_S
        return (float(np.median(values)), seconds) if seconds >= LIMITS.least_voice_s - 1e-9 else (math.nan, seconds)


def _spoken(voice: Track, segments: Sequence[Segment], loudness: bool) -> _Spoken:
    use = usable_voice(voice)
    names = [name for name in NAMES if name in voice.names and (loudness or name != "loudness")]
    time_s = voice.time_s[use]
    kind = np.full(len(time_s), "", dtype="<U9")
    if segments:
        kind = np.array((*KINDS, NO_AUDIO))[kinds_at(segments, time_s)]
    return _Spoken(time_s, {name: scaled(name, voice.column(name)[use]) for name in names}, kind)


def _calmest(spoken: _Spoken) -> BoolArray | None:
    """The calmest frames of the voice, ndarray [shape=(m,)]: low and soft; None where there is too little voice.

    The windows lowest in pitch and loudness together, until they hold a quarter of the voice, and a second of it.
    """
    if spoken.seconds < LIMITS.least_own_voice_s:
        return None
    parts = spoken.stretches()
    effort = np.zeros(len(parts))
    for measure in MEASURES:
        if measure.name in ("f0_semitone", "loudness") and measure.name in spoken.values:
            middle = np.array([spoken.median(measure.name, part)[0] for part in parts])
            effort += np.nan_to_num((middle - np.nanmedian(middle)) / measure.error if len(middle) else middle)
    calm = np.zeros(len(spoken.time_s), bool)
    needed = max(LIMITS.least_rest_voice_s, CALM_SHARE * spoken.seconds) / STEP_S
    for k in np.argsort(effort, kind="stable"):
        calm[parts[k]] = True
        if calm.sum() >= needed - 1e-6:
            return calm
    return None


# --- what it is compared with -----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Reference:
    """One measure at rest, scaled: middle, 5th and 95th percentile, the seconds of voice it rests on, and whose."""

    median: float
    low: float
    high: float
    voiced_s: float
    against: str


def _references(spoken: _Spoken, calm: BoolArray | None, rest: Rest | None, voice: Track) -> dict[str, _Reference]:
    """What each measure is compared with: the rest clip where that can be, else the calmest voice of the recording."""
    found: dict[str, _Reference] = {}
    given = rest.values if rest is not None and rest.values.get("voiced_s", 0.0) >= LIMITS.least_rest_voice_s else {}
    for name in spoken.values:
        if rest is not None and name in given and (name != "loudness" or _same_place(given, voice)):
            ends = scaled(name, [given[name], given.get(f"{name}_p5", math.nan), given.get(f"{name}_p95", math.nan)])
            if np.isfinite(ends).all():
                middle, low, high = ends.tolist()
                found[name] = _Reference(middle, low, high, given["voiced_s"], rest.kind)
                continue
        if calm is not None:
            middle, seconds = spoken.median(name, calm)
            if math.isfinite(middle):
                low, high = np.percentile(finite(spoken.values[name][calm]), [5, 95])
                found[name] = _Reference(middle, float(low), float(high), seconds, "recording")
    return found


def _same_place(rest: dict[str, float], voice: Track) -> bool:
    """Whether loudness can be compared across two recordings: no automatic gain, and the room sounds equally loud."""
    apart_db = abs(room_noise_dbfs(voice) - rest.get("noise_floor_dbfs", math.nan))
    same_room = apart_db <= LIMITS.max_room_difference_db  # False where a floor is not known
    return same_room and not rest.get("automatic_gain", 0.0)


def _why(spoken: _Spoken, rest: Rest | None, references: dict[str, _Reference]) -> str:
    """What the voice is compared with and why, in a sentence or two."""
    here = "the calmest part of the voice in this recording"
    if rest is not None and any(reference.against == rest.kind for reference in references.values()):
        said = f"compared with {rest.values['voiced_s']:.1f} s of voice at rest"
        loudness = references.get("loudness")
        if loudness is not None and loudness.against == "recording":
            return f"{said}; loudness is compared with {here}, because the microphone, its gain or the room was another"
        return said
    if rest is None:
        cause = ""
    else:
        seconds, least_s = rest.values.get("voiced_s", 0.0), LIMITS.least_rest_voice_s
        cause = f"the rest clip holds {seconds:.1f} s of usable voice, at least {least_s:g} s is needed; "
    if references:
        return f"{cause}compared with {here}"
    needed = f"at least {LIMITS.least_own_voice_s:g} s is needed to compare it with itself"
    return f"{cause}the recording holds {spoken.seconds:.1f} s of usable voice, {needed}"


def _band(reference: _Reference | None, unscale: Callable[[float], float], zero: bool = False) -> VoiceBand | None:
    if reference is None:
        return None
    off = reference.median if zero else 0.0
    middle, low, high = (unscale(value - off) for value in (reference.median, reference.low, reference.high))
    return VoiceBand(middle, low, high, reference.against)


# --- changes ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Seen:
    """A measure in one stretch: the difference from rest, and how many times the error of both that is."""

    measure: Measure
    part: slice
    value: float
    seconds: float
    difference: float
    times_error: float


def _see(spoken: _Spoken, measure: Measure, part: slice, reference: _Reference) -> _Seen | None:
    value, seconds = spoken.median(measure.name, part)
    if not math.isfinite(value):
        return None
    error = measure.error * math.sqrt(1 / min(seconds, LONGEST_S) + 1 / min(reference.voiced_s, LONGEST_S))
    difference = value - reference.median
    return _Seen(measure, part, value, seconds, difference, abs(difference) / error)


def _told(seen: Sequence[_Seen], looks: float) -> list[_Seen]:
    """The strongest of what is beyond chance, when ``looks`` differences are looked at, and worth telling."""
    limit = NormalDist().inv_cdf(1 - CHANCE / 2 / max(looks, 1.0))
    clear = [one for one in seen if one.times_error >= limit and abs(one.difference) >= one.measure.least]
    return sorted(clear, key=lambda one: -one.times_error)[:MOST_TOLD]


def _strongest(spoken: _Spoken, calm: BoolArray | None, references: dict[str, _Reference]) -> VoiceComparison:
    """Each measure where it differs most from rest; what stands for rest is not compared with itself."""
    rest_of = spoken.without(calm) if calm is not None else spoken
    best: list[_Seen] = []
    stretches, enough = 0.0, False
    for measure in MEASURES:
        reference = references.get(measure.name)
        if reference is None:
            continue
        within = reference.against == "recording"
        searched = rest_of if within else spoken
        parts = searched.stretches()
        enough = enough or bool(parts)
        # rest itself was picked from among the stretches, so that as many differences again were looked at
        stretches += searched.seconds / LIMITS.least_voice_s * (2 if within else 1)
        seen = [one for part in parts if (one := _see(searched, measure, part, reference)) is not None]
        if seen:
            strongest = max(seen, key=lambda one: one.times_error)
            best.append(_placed(strongest, searched, spoken))
    if not enough:
        return VoiceComparison("not_enough_voice", spoken.seconds, (), _too_little(spoken.seconds, bool(references)))
    return _comparison(spoken, _told(best, stretches), references, spoken.seconds)


def _placed(seen: _Seen, searched: _Spoken, spoken: _Spoken) -> _Seen:
    """The same with its part counted in the frames of the whole voice."""
    start, end = searched.time_s[seen.part.start], searched.time_s[seen.part.stop - 1]
    part = spoken.stretch(float(start), float(end) + STEP_S / 2)
    return _Seen(seen.measure, part, seen.value, seen.seconds, seen.difference, seen.times_error)


def _at_moment(spoken: _Spoken, references: dict[str, _Reference], at_s: float) -> VoiceComparison:
    part = spoken.stretch(at_s - REACH_S, at_s + REACH_S)
    seconds = (part.stop - part.start) * STEP_S
    if seconds < LIMITS.least_voice_s - 1e-9 or not references:
        return VoiceComparison("not_enough_voice", seconds, (), _too_little(seconds, bool(references)))
    seen = [
        one
        for measure in MEASURES
        if measure.name in references and (one := _see(spoken, measure, part, references[measure.name])) is not None
    ]
    return _comparison(spoken, _told(seen, len(seen)), references, seconds)


def _too_little(seconds: float, has_rest: bool) -> str:
    if not has_rest:
        least_s = LIMITS.least_own_voice_s
        return f"not enough voice: {least_s:g} s in the recording, or a rest clip with voice, is needed"
    needed = f"at least {LIMITS.least_voice_s:g} s within {windows.LENGTH_S:g} s is needed"
    return f"not enough voice: {seconds:.1f} s, {needed}"


def _comparison(
    spoken: _Spoken, told: Sequence[_Seen], references: dict[str, _Reference], seconds: float
) -> VoiceComparison:
    changes = tuple(_change(spoken, one, references[one.measure.name]) for one in told)
    if not changes:
        return VoiceComparison("no_clear_change", seconds, (), "no clear change from the voice at rest")
    return VoiceComparison("changed", seconds, changes, "; ".join(change.text for change in changes))


def _change(spoken: _Spoken, seen: _Seen, reference: _Reference) -> VoiceChange:
    measure, ratio = seen.measure, seen.measure.unit == "times"
    change = 2**seen.difference if ratio else seen.difference
    sound = _sound(spoken.sound[seen.part])
    text = (measure.more if seen.difference > 0 else measure.less).format(
        change=f"{change:.1f}" if ratio else f"{abs(change):.1f}",
        value=measure.show(seen.value),
        rest=measure.show(reference.median),
        where=_WHERE[reference.against],
    )
    relative = measure.name == "loudness"
    return VoiceChange(
        measure=measure.name,
        start_s=float(spoken.time_s[seen.part.start]) - STEP_S / 2,
        end_s=float(spoken.time_s[seen.part.stop - 1]) + STEP_S / 2,
        voiced_s=seen.seconds,
        change=change,
        unit=measure.unit,
        value=None if relative else _unscaled(measure, seen.value),
        rest=None if relative else _unscaled(measure, reference.median),
        against=reference.against,
        sound=sound,
        text=text + (", in a moan, groan or cry" if sound == "nonverbal" else ""),
    )


def _unscaled(measure: Measure, value: float) -> float:
    return float(2**value) if measure.unit == "times" else value


def _sound(kinds: npt.NDArray[np.str_]) -> str | None:
    """The kind of voice that fills most of a stretch; None when it is neither, or not known."""
    names, counts = np.unique(kinds, return_counts=True)
    most = str(names[counts.argmax()])
    return most if most in ("speech", "nonverbal") and counts.max() > len(kinds) / 2 else None
