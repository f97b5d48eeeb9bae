"""Plain words for codes: one table each, for the report and for the command line.

A reason code says in one token why something could not be measured; here stands what it means to a person at the
bedside and what to do about it. Action units are named by the movement they stand for, never by an emotion.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from painsense.tracks import Reason

if TYPE_CHECKING:
    from painsense.report import Alternative, ClipResult, PspiSummary, ScoreScale


@dataclass(frozen=True)
class ReasonWords:
    """``label``: for tables and legends; ``text``: a sentence; ``remedy``: what to do, empty when there is nothing."""

    label: str
    text: str
    remedy: str = ""


REASONS: dict[str, ReasonWords] = {
    # why a moment of the picture could not be used
    "no_face": ReasonWords(
        "no face found",
        "No face could be found in the picture.",
        "Check that the whole face is in the picture, lit, and not covered by a mask, a hand or a tube.",
    ),
    "several_faces": ReasonWords(
        "more than one face",
        "More than one face was in the picture and it was not certain whose it was.",
        "Record one person alone, or say whom to follow with --person.",
    ),
    "turned_away": ReasonWords(
        "turned away",
        "The head was turned too far away from the camera.",
        "Place the camera in front of the face, at eye height.",
    ),
    "too_small": ReasonWords(
        "face too small",
        "The face was too small in the picture.",
        "Move the camera closer, or record in a higher resolution.",
    ),
    "too_dark": ReasonWords(
        "too dark",
        "The face was too dark.",
        "Turn on a light in front of the person, and avoid a window behind them.",
    ),
    "too_bright": ReasonWords(
        "too bright",
        "The face was overexposed.",
        "Soften the light on the face, or lower the exposure of the camera.",
    ),
    "blurred": ReasonWords(
        "blurred",
        "The face was blurred.",
        "Put the camera on something firm, clean the lens, focus on the face, and add light.",
    ),
    "out_of_frame": ReasonWords(
        "partly out of the picture",
        "Part of the face was outside the picture.",
        "Leave some room around the head when recording.",
    ),
    # remarks beside usable moments of the picture
    "target_jump": ReasonWords(
        "person may have changed",
        "The followed face jumped from one place to another: it may be a different person from here on.",
        "Look at the recording at this moment, or say whom to follow with --person.",
    ),
    "other_face": ReasonWords(
        "another face in the picture",
        "Another face was in the picture; the person followed stayed clear.",
        "Check in the recording that the right person was followed.",
    ),
    "speaking": ReasonWords("speaking", "The person was speaking: movements of the mouth belong partly to speech.", ""),
    "blink": ReasonWords("blink", "A blink (eyes closed for less than 0.5 s); not counted as closed eyes.", ""),
    # why a moment of the sound could not be used
    "no_audio": ReasonWords("no sound recorded", "The recording has no sound here.", "Record with the microphone on."),
    "silent": ReasonWords(
        "silent",
        "Nothing could be heard above the background.",
        "If the person did make sounds, check that the microphone was not muted or covered.",
    ),
    "clipped": ReasonWords(
        "sound clipped",
        "The sound was too loud for the microphone and its peaks were cut off.",
        "Move the microphone away, or lower its level.",
    ),
    "low_snr": ReasonWords(
        "too much noise",
        "The voice did not stand out clearly from the background noise.",
        "Move the microphone closer to the person, and switch off other sources of noise.",
    ),
    "steady_tone": ReasonWords(
        "steady tone",
        "A steady tone, such as mains hum or an alarm, covered the voice.",
        "Switch off what makes the tone, or move the microphone closer to the person.",
    ),
    "unvoiced": ReasonWords("no voice", "No voiced sound (speech, moan or groan) at this moment.", ""),
    "irregular": ReasonWords(
        "voice too irregular",
        "A voice too short or too irregular for some of its measures (jitter, shimmer, formants); they are left out.",
        "",
    ),
    "lips_still": ReasonWords(
        "voice beside still lips",
        "A voice speaks while the lips are still: perhaps another person.",
        "Listen to the recording at this moment, and let nobody else speak in the next one.",
    ),
    # why the whole recording has no result
    "no_video": ReasonWords(
        "no picture",
        "The recording has no picture, and the face is what is measured.",
        "Record video, not sound alone.",
    ),
    "too_short": ReasonWords(
        "too short", "The recording has too few seconds in which the face could be used.", "Record for longer."
    ),
    "too_little_face": ReasonWords(
        "face seen too rarely",
        "The face could be used for too small a part of the recording.",
        "See below for what stood in the way, and how long; then record again.",
    ),
    "low_frame_rate": ReasonWords(
        "too few pictures a second",
        "The recording has too few pictures a second to follow movements of the face.",
        "Record with 25 pictures a second or more.",
    ),
    "face_not_asked": ReasonWords(
        "face not analysed", "The face was left out by choice.", "Score again with --modalities face,voice."
    ),
    # why there is no fused score
    "interval_too_wide": ReasonWords(
        "score too uncertain",
        "No score from 0 to 10 is given: what was seen and heard leaves too many values possible.",
        "A rest recording of the person, a clearer picture and a microphone narrow it.",
    ),
    "too_little_evidence": ReasonWords(
        "too little for a score",
        "No score from 0 to 10 is given: neither the face nor the voice could be followed for long enough.",
        "See what could be seen and heard, and for how long; then record again.",
    ),
    "no_course": ReasonWords(
        "a single picture",
        "No score from 0 to 10 is given: it rests on the course over some seconds, and a picture has none.",
        "Record video.",
    ),
}


def reason_words(code: str, reasons: Iterable[Reason] = ()) -> ReasonWords:
    """Words for a reason code.

    A code that is not in :data:`REASONS` takes its meaning from the track that gave it (``reasons``). Something that is
    a sentence already is passed through.
    """
    if code in REASONS:
        return REASONS[code]
    if " " in code.strip():
        return ReasonWords(code.strip(), code.strip())
    label = code.replace("_", " ")
    for reason in reasons:
        if reason.code == code:
            return ReasonWords(label, sentence(reason.meaning))
    return ReasonWords(label, sentence(label))


def sentence(text: str) -> str:
    """The same words with a capital first letter and a full stop at the end."""
    text = text.strip()
    return text if not text else text[0].upper() + text[1:] + ("" if text[-1] in ".!?" else ".")


#: What moved, by action unit (Facial Action Coding System, Ekman & Friesen 1978)
ACTION_UNITS: dict[str, str] = {
    "AU1": "inner brows raised",
    "AU2": "outer brows raised",
    "AU4": "brows lowered",
    "AU5": "upper lids raised",
    "AU6": "cheeks raised",
    "AU7": "lids tightened",
    "AU9": "nose wrinkled",
    "AU10": "upper lip raised",
    "AU12": "lip corners pulled up",
    "AU14": "lip corners tightened",
    "AU15": "lip corners pulled down",
    "AU16": "lower lip pulled down",
    "AU17": "chin raised",
    "AU18": "lips pursed",
    "AU20": "lips stretched sideways",
    "AU22": "lips pushed forward",
    "AU24": "lips pressed",
    "AU25": "lips parted",
    "AU26": "jaw dropped",
    "AU27": "mouth stretched open",
    "AU43": "eyes closed",
    "AU45": "blink",
}

#: Action units that are there or not (1 or 0), without degrees
BINARY_UNITS = frozenset({"AU43", "AU45"})
#: Half of trace intensity (A = 1): below it a movement is not worth naming
NAMED_FROM = 0.5


def action_unit(name: str) -> str:
    """What moves, in words: "brows lowered" for "AU4"; the name itself when it is not in the table."""
    return ACTION_UNITS.get(name, name)


def moved(action_units: dict[str, float]) -> list[tuple[str, str, float]]:
    """What moved, strongest first: (AU name, words, value), from half of trace intensity on."""
    named = [(name, action_unit(name), value) for name, value in action_units.items() if value >= NAMED_FROM]
    return sorted(named, key=lambda entry: -entry[2] * (5 if entry[0] in BINARY_UNITS else 1))


def moved_text(action_units: dict[str, float]) -> str:
    """What moved as one phrase: "brows lowered (AU4) 3.2, eyes closed (AU43)"."""
    phrases = [
        f"{words} ({name})" if name in BINARY_UNITS else f"{words} ({name}) {value:.1f}"
        for name, words, value in moved(action_units)
    ]
    return ", ".join(phrases) or "no single movement stood out"


#: Measures of the voice, by the beginning of the column's name
_VOICE = {"f0": "pitch", "loudness": "loudness", "level": "level", "hnr": "harmonics-to-noise ratio"}


def voice_measure(name: str) -> str:
    """What a column of the voice measures, in a word or two: "pitch" for "f0_hz"."""
    return next((text for begin, text in _VOICE.items() if name.startswith(begin)), name.replace("_", " "))


#: Kinds of sound (:mod:`painsense.voice_segments`)
SOUNDS: dict[str, str] = {
    "speech": "speech",
    "nonverbal": "moan, groan, cry",
    "breath": "breath",
    "other": "other sound",
    "silence": "silence",
    "no_audio": "no sound recorded",
}


def sound(kind: str) -> str:
    """A kind of sound in words."""
    return SOUNDS.get(kind, kind.replace("_", " "))


#: What a voice was compared with, as a phrase
VOICE_RESTS: dict[str, str] = {
    "rest_clip": "the voice in a rest recording of this person",
    "saved": "the voice of a saved baseline of this person",
    "recording": "the calmest part of the voice in this recording",
}

BASELINES: dict[str, tuple[str, str]] = {
    "rest_clip": (
        "a rest recording of this person",
        "Movements are measured from the person's own relaxed face in a recording made for this purpose. "
        "This is the most dependable comparison, as long as the person was really at rest in it.",
    ),
    "saved": (
        "a saved neutral of this person",
        "Movements are measured from the person's own relaxed face, saved earlier. "
        "Renew it when the face has changed (weight, swelling, dentures, surgery).",
    ),
    "auto": (
        "a neutral estimated from this recording",
        "The calmest moments of this recording stand for the person's relaxed face. "
        "Pain that lasts through the whole recording is then partly taken for neutral, and the result is too low. "
        "A rest recording avoids this.",
    ),
    "none": (
        "an average face, not the person's own",
        "What this person's face is like at rest, such as low brows or narrow eyes, may be counted as movement. "
        "A rest recording avoids this.",
    ),
}


def baseline_words(kind: str) -> tuple[str, str]:
    """What the person was compared with, as a phrase, and what that means."""
    return BASELINES.get(kind, (kind, ""))


@dataclass(frozen=True)
class Level:
    """How much pain expression, in words. ``name`` goes into the headline, ``text`` says what it rests on."""

    name: str
    text: str


#: PSPI above this is called clear expression: 3 and more is the strongest of the four levels none, trace, weak, strong
#: of Hammal & Cohn 2012 (Automatic detection of pain intensity, ICMI); the report counts the time above it
CLEAR_PSPI = 3.0
#: A shorter stretch than this above CLEAR_PSPI is not called an expression: a blink lasts about as long
SHORTEST_RUN_S = 0.5
#: Shares of usable time above CLEAR_PSPI from which expression is called repeated, and lasting.
#: Reporting convention of painsense, not validated against anything clinical.
REPEATED_SHARE = 0.10
LASTING_SHARE = 0.30
#: A 90% interval of PSPI wider than this many points that reaches below CLEAR_PSPI is called uncertain: with 3 points
#: to either side it cannot tell no expression from clear expression
WIDE_INTERVAL = 6.0

#: A highest score this much above the mean belongs into the headline
TOLD_APART = 1.0

LOW = Level("low", "Clear expression of pain (PSPI above 3) was not seen, or for less than half a second at a time.")
CLEAR = Level(
    "clear", "Clear expression of pain (PSPI above 3) was seen, but for too short a time to say whether it lasts."
)
BRIEF = Level("brief", "Clear expression of pain (PSPI above 3) was seen for less than a tenth of the usable time.")
REPEATED = Level("repeated", "Clear expression of pain (PSPI above 3) was seen for a tenth of the usable time or more.")
LASTING = Level("lasting", "Clear expression of pain (PSPI above 3) was seen for 30% of the usable time or more.")


def level(pspi: PspiSummary) -> Level:
    """How much of the usable time shows clear expression, from the time above PSPI 3.

    A still picture has no time: it is "low" or "clear".
    """
    if pspi.longest_run_s < SHORTEST_RUN_S:
        return LOW if pspi.share_above_3 < REPEATED_SHARE else CLEAR
    if pspi.share_above_3 < REPEATED_SHARE:
        return BRIEF
    return REPEATED if pspi.share_above_3 < LASTING_SHARE else LASTING


def uncertain(low: float, high: float) -> bool:
    """Whether a 90% interval of PSPI leaves open if there is clear expression at all."""
    return high - low > WIDE_INTERVAL and low < CLEAR_PSPI


#: What a model learned to say, by the kind of label
LABEL_KINDS: dict[str, str] = {
    "simulated_level": "the level of pain that drove the expression of simulated people",
    "vas": "self-reported pain on a visual analogue scale",
    "nrs": "self-reported pain on a numerical rating scale",
    "opr": "pain as rated by observers",
    "pspi_frame": "PSPI as coded by people",
    "stimulus_level": "the level of a painful stimulus",
    "class": "classes of pain",
    "posed": "posed pain",
}

#: What is changed in "what would change it", after "the score would be {} "
ALTERNATIVES: dict[str, str] = {
    "without_voice": "from the face alone, without the sound",
    "without_face": "from the sound alone, without the face",
    "brows": "with the brows as at rest (AU1, AU2, AU4)",
    "cheeks_and_lids": "with cheeks and eyelids as at rest (AU5, AU6, AU7)",
    "nose_and_upper_lip": "with nose and upper lip as at rest (AU9, AU10)",
    "mouth": "with the mouth as at rest (AU12 to AU26)",
    "eyes_open": "with the eyes open (AU43)",
    "pitch_and_loudness": "with pitch and loudness as at rest",
    "voice_quality": "without how rough or noisy the voice is",
}


def scale_text(scale: ScoreScale) -> str:
    """What the score means, in a sentence or two."""
    kind = LABEL_KINDS.get(scale.label_kind, scale.label_kind.replace("_", " "))
    ends = (
        ""
        if (scale.label_low, scale.label_high) == (0, 10)
        else (f" (0 stands for {scale.label_low:g}, 10 for {scale.label_high:g} of it)")
    )
    return f"The score estimates {kind}{ends}. {sentence(scale.notes)}".strip()


def alternative_text(other: Alternative) -> str:
    """One part of "what would change it": "2.1 with the brows as at rest"."""
    what = ALTERNATIVES.get(other.part, other.part.replace("_", " "))
    return f"{f'{other.score:.1f}' if other.score is not None else 'no score'} {what}"


def headline(clip: ClipResult) -> str:
    """The verdict on a recording in one line."""
    if clip.verdict == "not_enough_evidence":
        return "Not enough evidence for a result"
    if clip.score is not None:
        mean, peak = clip.score.value, clip.score.peak
        highest = f", at its highest {peak:.1f}" if peak - mean >= TOLD_APART else ""
        return f"Pain expression score: {mean:.1f} of 10{highest}"
    if clip.pspi is not None:
        return f"Pain expression: {level(clip.pspi).name}"
    return "No measure of pain expression"


SUPPORT_LINE = (
    "This measures expression, not pain. It supports and never replaces what the person says "
    "(self-report) and clinical judgement."
)


def clock(seconds: float, digits: int = 1) -> str:
    """A time in the recording as a player shows it: 0:07.4, 12:03.0, 1:02:03.5."""
    if not math.isfinite(seconds):
        return "-"
    ticks = round(max(seconds, 0.0) * 10**digits)
    whole, fraction = divmod(ticks, 10**digits)
    minutes, rest = divmod(whole, 60)
    hours, minutes = divmod(minutes, 60)
    text = f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
    return f"{text}.{fraction:0{digits}d}" if digits else text


def duration(seconds: float) -> str:
    """A length of time in words: "7.4 s", "2 min 5 s", "1 h 3 min"."""
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest} s"
