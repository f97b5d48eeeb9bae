"""What simulated people show and let be heard, how often, how much, and by which source: the table that the code reads.

Published work says which way things go: which action units pain has, which ones set it apart from disgust, that the
voice rises and roughens. It seldom says by how much on a scale of 0 to 10. So a direction has a source and a size is
mostly a choice, and says so.

    python -m training.fusion.numbers     # writes docs/generator.md
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

DOCUMENT = Path(__file__).parents[2] / "docs" / "generator.md"

PRKACHIN = "Prkachin & Solomon 2008, doi 10.1016/j.pain.2008.04.010"
REVIEW = "review of 37 studies: Kunz et al. 2019, doi 10.1097/j.pain.0000000000001424"
PATTERN_PAPER = "Kunz & Lautenbacher 2014, Eur J Pain 18, 813-823"
SHOULDER = "Kunz et al. 2021, Eur J Pain 25, 529-540"
DISGUST_PAPER = "Kunz et al. 2013, doi 10.1371/journal.pone.0083277"
FACS = "prototypes of Ekman, Friesen & Hager 2002, Facial Action Coding System"
DUCHENNE = "Ekman, Davidson & Friesen 1990, doi 10.1037/0022-3514.58.2.342"
VOWELS = "Lautenbacher et al. 2017, doi 10.1097/PR9.0000000000000597"
CHILDBIRTH = "Valente et al. 2024, doi 10.1098/rstb.2024.0009"
EMOTION = "review of 104 studies: Juslin & Laukka 2003, doi 10.1037/0033-2909.129.5.770"
LAUGHTER = "Bachorowski, Smoski & Owren 2001, doi 10.1121/1.1391244"
CHOICE = "choice"
HEAD = "Werner et al. 2018, doi 10.1371/journal.pone.0192767"
MASKS = "smiles in pain: Kunz, Prkachin & Lautenbacher 2009, Pain 145, 273-275"


def _sized(direction: str) -> str:
    """A direction that is known, of a size that is not."""
    return f"{direction}; size: {CHOICE}"


_UP = _sized(f"up: {VOWELS}, {CHILDBIRTH}")
_LONGER = _sized(f"longer: {CHILDBIRTH}")
_STOIC = _sized(f"stoic faces: {SHOULDER}")
_ROUGHER = _sized(f"rougher: {CHILDBIRTH}")


@dataclass(frozen=True)
class Number:
    """A value, or a range (low, high) that is drawn from evenly, with its unit, what it does, and its source."""

    value: float | tuple[float, float]
    unit: str
    meaning: str
    source: str = CHOICE


@dataclass(frozen=True)
class Part:
    """How an action unit takes part: how often (0-1), and its intensity (0-5) at the expression's strongest."""

    chance: float
    intensity: float


@dataclass(frozen=True)
class Kind:
    """Something other than pain that a person does.

    ``share`` how often beside the others; ``seconds`` how long, low and high; ``parts`` its action units; ``sounds``
    what is heard with it: maker of :mod:`training.fusion.sounds` -> how often ("" is nothing)
    """

    share: float
    seconds: tuple[float, float]
    parts: Mapping[str, Part]
    sounds: Mapping[str, float]
    source: str


@dataclass(frozen=True)
class Pattern:
    """One way to show pain: the units it is made of, those it has less of, and how many people show pain so."""

    share: float
    strong: tuple[str, ...]
    weak: tuple[str, ...]


@dataclass(frozen=True)
class PainPart:
    """An action unit in pain: how often at level 1 and at level 10, and its weight beside the others."""

    chance_low: float
    chance_high: float
    weight: float
    source: str


@dataclass(frozen=True)
class Style:
    """How speech changes at full strength against the speaker's own: pitch, level, rate, tilt and so on."""

    pitch_semitones: float
    level_db: float
    rate: float
    tilt: float
    hnr_db: float
    unsteadiness: float
    source: str


def _parts(**units: tuple[float, float]) -> Mapping[str, Part]:
    return {name: Part(*values) for name, values in units.items()}


#: Pain in the face. PSPI's units, the mouth, and what else pain has now and then.
PAIN_PARTS: Mapping[str, PainPart] = {
    "AU4": PainPart(0.65, 0.97, 1.0, f"in PSPI: {PRKACHIN}"),
    "AU6": PainPart(0.55, 0.95, 0.9, f"in PSPI: {PRKACHIN}; narrowed eyes in every pattern: {SHOULDER}"),
    "AU7": PainPart(0.75, 0.97, 1.0, f"in PSPI: {PRKACHIN}; narrowed eyes in every pattern: {SHOULDER}"),
    "AU9": PainPart(0.25, 0.85, 0.8, f"in PSPI: {PRKACHIN}"),
    "AU10": PainPart(0.25, 0.80, 0.8, f"in PSPI: {PRKACHIN}"),
    "AU26": PainPart(0.15, 0.60, 0.7, f"mouth opens: {REVIEW}"),
    "AU20": PainPart(0.10, 0.40, 0.6, "lips stretched, seen in pain with AU25-27: Prkachin 1992, Pain 51, 297-306"),
    "AU12": PainPart(0.10, 0.15, 0.4, MASKS),
    "AU1": PainPart(0.05, 0.10, 0.5, f"raised brows, one of four patterns: {PATTERN_PAPER}"),
    "AU2": PainPart(0.04, 0.08, 0.5, f"raised brows, one of four patterns: {PATTERN_PAPER}"),
    "AU16": PainPart(0.05, 0.25, 0.5, CHOICE),
    "AU17": PainPart(0.08, 0.12, 0.4, CHOICE),
    "AU24": PainPart(0.10, 0.10, 0.4, CHOICE),
    "AU15": PainPart(0.06, 0.12, 0.4, CHOICE),
}

#: The patterns are those of the paper's cluster analysis; shares are a choice (the paper's clusters overlap).
PATTERNS: Mapping[str, Pattern] = {
    "eyes, brows, nose": Pattern(0.42, ("AU4", "AU6", "AU7", "AU9", "AU10"), ("AU1", "AU2")),
    "eyes, brows": Pattern(0.30, ("AU4", "AU6", "AU7"), ("AU9", "AU10", "AU1", "AU2")),
    "mouth, eyes": Pattern(0.20, ("AU6", "AU7", "AU26", "AU20"), ("AU4", "AU9")),
    "raised brows": Pattern(0.08, ("AU1", "AU2", "AU6", "AU7"), ("AU4", "AU9")),
}

#: What is not pain. Intensities are those at the strongest; how strong each is shown is drawn (``strength``). Disgust
#: and broad smiles, which PSPI takes for pain, come most often beside speech: they are what has to be learned.
KINDS: Mapping[str, Kind] = {
    "polite smile": Kind(
        0.9, (1.5, 5.0), _parts(AU12=(1.0, 2.8), AU14=(0.4, 2.5), AU6=(0.1, 1.2), AU1=(0.1, 1.5), AU2=(0.15, 1.5)),
        {"": 0.6, "speech": 0.4}, f"AU12 without AU6: {DUCHENNE}",
    ),
    "broad smile": Kind(
        1.8, (1.5, 5.0),
        _parts(AU12=(1.0, 5.0), AU6=(0.97, 4.5), AU7=(0.5, 3.0), AU26=(0.4, 2.0), AU16=(0.2, 2.0), AU10=(0.3, 2.5)),
        {"": 0.5, "joyful speech": 0.3, "laughter": 0.2}, f"AU6 + AU12: {DUCHENNE}",
    ),
    "disgust": Kind(
        2.2, (0.8, 2.8),
        _parts(AU9=(0.8, 4.5), AU10=(0.9, 4.5), AU4=(0.65, 2.5), AU7=(0.2, 1.5), AU6=(0.15, 1.5), AU17=(0.4, 3.0),
               AU15=(0.35, 3.0), AU26=(0.15, 1.5), AU1=(0.1, 1.5), AU2=(0.1, 1.5)),
        {"": 0.5, "ugh": 0.25, "speech": 0.25},
        f"raised upper lip with lowered brows, eyes less than in pain: {DISGUST_PAPER}; shorter than pain: {CHOICE}",
    ),
    "anger": Kind(
        1.1, (1.2, 5.0),
        _parts(AU4=(1.0, 5.0), AU7=(0.6, 3.0), AU5=(0.4, 3.0), AU24=(0.6, 4.0), AU17=(0.4, 3.0), AU10=(0.25, 2.0),
               AU22=(0.2, 2.5), AU16=(0.15, 2.0)),
        {"": 0.35, "angry speech": 0.55, "growl": 0.1}, FACS,
    ),
    "fear": Kind(
        0.8, (0.8, 3.5),
        _parts(AU1=(0.95, 4.5), AU2=(0.75, 4.0), AU4=(0.75, 3.0), AU5=(0.9, 4.5), AU20=(0.7, 3.5), AU26=(0.5, 2.5),
               AU16=(0.3, 2.0)),
        {"": 0.4, "gasp": 0.2, "fearful speech": 0.3, "scream": 0.1}, FACS,
    ),
    "sadness": Kind(
        0.9, (2.0, 6.0),
        _parts(AU1=(0.9, 4.0), AU4=(0.6, 3.0), AU15=(0.9, 4.0), AU17=(0.6, 3.5), AU6=(0.15, 2.0), AU24=(0.15, 2.0),
               AU20=(0.15, 2.0)),
        {"": 0.35, "sad speech": 0.35, "sobbing": 0.1, "crying speech": 0.1, "sigh": 0.1}, FACS,
    ),
    "surprise": Kind(
        0.7, (0.6, 2.5), _parts(AU1=(1.0, 5.0), AU2=(1.0, 5.0), AU5=(0.8, 4.0), AU26=(0.85, 4.0)),
        {"": 0.45, "oh": 0.3, "gasp": 0.1, "surprised speech": 0.15}, FACS,
    ),
    "speaking": Kind(
        2.0, (2.5, 8.0), _parts(AU1=(0.15, 2.0), AU2=(0.25, 2.5), AU4=(0.15, 1.5), AU12=(0.15, 1.5), AU14=(0.1, 1.5)),
        {"speech": 0.7, "lively speech": 0.3}, f"mouth in syllables, brows as accents: {CHOICE}",
    ),
    "laughing": Kind(
        1.0, (1.2, 4.5),
        _parts(AU12=(1.0, 5.0), AU6=(0.97, 5.0), AU7=(0.6, 3.5), AU26=(0.9, 4.0), AU10=(0.4, 2.5), AU16=(0.3, 2.0),
               AU9=(0.1, 2.0)),
        {"laughter": 0.9, "": 0.1}, f"AU6 + AU12 with the jaw: {DUCHENNE}; sound: {LAUGHTER}",
    ),
    "coughing": Kind(
        1.1, (0.6, 3.0),
        _parts(AU26=(0.8, 3.5), AU4=(0.6, 3.0), AU6=(0.5, 3.0), AU7=(0.6, 3.5), AU9=(0.25, 2.5), AU10=(0.3, 2.5),
               AU16=(0.4, 2.0), AU22=(0.3, 2.5), AU18=(0.2, 2.5)),
        {"cough": 0.95, "": 0.05}, CHOICE,
    ),
    "yawning": Kind(
        0.8, (3.0, 6.5),
        _parts(AU26=(1.0, 5.0), AU4=(0.3, 2.0), AU7=(0.4, 2.5), AU9=(0.2, 2.0), AU10=(0.2, 2.0), AU16=(0.4, 2.0),
               AU2=(0.25, 2.0), AU20=(0.25, 2.0)),
        {"yawn": 0.6, "": 0.4}, CHOICE,
    ),
    "drowsing": Kind(
        0.8, (3.0, 8.0), _parts(AU1=(0.25, 1.5), AU2=(0.25, 1.5), AU26=(0.3, 1.2), AU15=(0.1, 1.5)),
        {"": 0.6, "slow breath": 0.3, "snore": 0.1}, CHOICE,
    ),
}  # fmt: skip

#: Speech under feeling, at full strength.
STYLES: Mapping[str, Style] = {
    "speech": Style(0.0, 0.0, 1.0, 1.0, 0.0, 1.0, "the speaker's own"),
    "lively speech": Style(3.0, 4.0, 1.1, 1.4, 0.0, 1.0, CHOICE),
    "joyful speech": Style(5.0, 6.0, 1.15, 1.6, 0.0, 1.1, _sized(f"higher, louder, faster: {EMOTION}")),
    "angry speech": Style(6.0, 13.0, 1.15, 3.0, -4.0, 1.7, _sized(f"higher, louder, faster, sharper: {EMOTION}")),
    "fearful speech": Style(7.0, 5.0, 1.25, 1.4, -3.0, 1.5, _sized(f"higher, faster, unsteady: {EMOTION}")),
    "sad speech": Style(-1.5, -6.0, 0.75, 0.6, -2.0, 1.3, _sized(f"lower, softer, slower, duller: {EMOTION}")),
    "crying speech": Style(4.0, 0.0, 0.8, 0.9, -6.0, 2.5, f"voice breaks, sobs between: {CHOICE}"),
    "surprised speech": Style(6.0, 5.0, 1.1, 1.6, 0.0, 1.1, CHOICE),
    "speech in pain": Style(
        4.0, 7.0, 0.75, 1.8, -5.0, 1.9,
        f"higher, louder: {VOWELS}; rougher, less stable: {CHILDBIRTH}; slower, with pauses, and all sizes: {CHOICE}",
    ),
}  # fmt: skip

#: What is heard of pain: how often at level 1, at level 5 and at level 10, beside each other.
PAIN_SOUNDS: Mapping[str, tuple[float, float, float]] = {
    "sigh": (0.35, 0.05, 0.0),
    "gasp": (0.25, 0.15, 0.05),
    "moan": (0.25, 0.30, 0.20),
    "groan": (0.10, 0.25, 0.20),
    "grunt": (0.05, 0.15, 0.10),
    "cry out": (0.0, 0.10, 0.30),
    "scream": (0.0, 0.0, 0.15),
}

NUMBERS: Mapping[str, Number] = {
    # people
    "silent_people": Number(0.15, "share", "people who hardly ever let their voice be heard in pain"),
    "hiding_people": Number(0.10, "share", "people whose voice shows pain and whose face hardly does", _STOIC),
    "face_gain": Number((0.85, 1.15), "1", "how much of the level a person's face shows"),
    "hiding_face_gain": Number((0.45, 0.70), "1", "the same of people who hide it"),
    "voice_share": Number((0.5, 1.0), "1", "how readily a person vocalises, against the table of sounds"),
    "silent_voice_share": Number((0.0, 0.1), "1", "the same of silent people"),
    "hiding_voice_share": Number((1.0, 1.2), "1", "the same of people who hide it in the face"),
    "habit_spread": Number(0.10, "1", "how far one and the same person differs from time to time, log scale"),
    # pain in the face
    "shown_per_level": Number(
        1.4, "PSPI + mouth", "shown per level: PSPI + half the jaw + 0.4 raised brows + 0.3 stretched lips; who shows "
        "fewer parts shows them more strongly", _sized(f"scale of PSPI: {PRKACHIN}"),
    ),
    "pain_closed_low": Number(0.03, "chance", "eyes closed for part of it (AU43), level 1"),
    "pain_closed_high": Number(0.65, "chance", "the same at level 10", _sized(f"more in clinical pain: {REVIEW}")),
    "pattern_strong": Number(0.92, "chance", "a unit that is in a person's pattern"),
    "pattern_weak": Number(0.35, "factor", "on the chance of a unit that the pattern has less of"),
    "unit_spread": Number(0.22, "1", "how far each unit differs from its mean intensity, log scale"),
    "pain_seconds": Number((4.5, 10.0), "s", "one bout of pain, rise and fall included"),
    "pain_rise": Number((0.08, 0.22), "share", "of the bout, rise"),
    "pain_fall": Number((0.10, 0.28), "share", "of the bout, fall"),
    "pain_step": Number(0.35, "chance", "the level changes once within the bout"),
    "pain_turn_deg": Number((4.0, 8.0), "deg", "the head turns or bows up to so far in pain", _sized(HEAD)),
    # other expressions
    "strength": Number((0.4, 1.0), "1", "how strong an expression that is not pain is shown"),
    "yawn_strength": Number((0.7, 1.0), "1", "the same of yawns, which are never small"),
    "yawn_closed": Number(0.75, "chance", "eyes close in a yawn"),
    "cough_closed": Number(0.6, "chance", "eyes shut in a cough"),
    "laugh_closed": Number(0.25, "chance", "eyes shut in laughter"),
    "blink_every": Number((1.5, 6.0), "s", "between two blinks"),
    # pain in the voice
    "vocal_time_low": Number(0.15, "share", "of the bout's time with sound at level 1, for a voice share of 1"),
    "vocal_time_high": Number(0.90, "share", "the same at level 10", _LONGER),
    "pain_pitch": Number(0.65, "semitones/level", "pitch of cries, moans and groans above the speaker's own", _UP),
    "pain_level_db": Number(1.8, "dB/level", "loudness of them, from 10 dB under speech at level 0", _UP),
    "pain_length": Number(0.13, "s/level", "length of one sound, from 0.45 s at level 0", _LONGER),
    "pain_subharmonic": Number(0.035, "1/level", "period doubling, 1 is full", _ROUGHER),
    "pain_unsteady": Number(0.12, "1/level", "growth of jitter and shimmer", _ROUGHER),
    "pain_hnr_db": Number(-0.7, "dB/level", "harmonics against noise", _ROUGHER),
    "pain_tilt": Number(0.12, "octaves/level", "corner above which the voice's source falls: sharper with effort"),
    "laugh_calls": Number((3.5, 5.5), "1/s", "calls of a laugh", _sized(LAUGHTER)),
    "laugh_pitch": Number((3.0, 12.0), "semitones", "pitch of laughter above the speaker's own", _sized(LAUGHTER)),
    # an episode
    "seconds": Number(12.0, "s", "length of an episode"),
    "rest_episodes": Number(0.08, "share", "episodes in which nothing happens"),
    "pain_episodes": Number(0.6, "share", "of the others have a bout of pain; its highest level is even over 1 to 10"),
    "least_level": Number(1.0, "level", "lowest highest level of a bout"),
    "beside_pain": Number(0.4, "chance", "something that is not pain in the same episode"),
    "pain_speaking": Number(0.25, "chance", "who is in pain speaks meanwhile"),
    "pain_smile": Number(0.12, "chance", "a polite smile over the pain", MASKS),
    "mask_share": Number(0.7, "factor", "on the level under a masking smile: it counts what is still shown"),
    "background": Number(0.30, "chance", "things are heard: knocks, doors, music, another talker"),
    "other_talker": Number(0.3, "chance", "what is heard then is somebody else who talks"),
    # recording
    "snr_db": Number((15.0, 40.0), "dB", "the person's own speech over the noise of the room"),
    "bad_snr": Number(0.10, "chance", "a noisy place instead, 0 to 15 dB"),
    "no_face": Number(0.06, "chance", "no picture of the face at all"),
    "no_voice": Number(0.12, "chance", "no microphone at all"),
    "muted": Number(0.03, "chance", "a microphone that records nothing but its own noise"),
    "no_neutral": Number(0.20, "chance", "the face's neutral is not known"),
    "no_voice_rest": Number(0.40, "chance", "the voice at rest is not known"),
    "face_gaps": Number(0.20, "chance", "the face is lost now and then, 0.3 to 3 s each"),
    "turned": Number(0.10, "chance", "the head is turned or bowed by 15 to 35 degrees"),
    "turned_away": Number(0.08, "chance", "the head turns too far for some seconds"),
    "agc": Number(0.15, "chance", "a recorder that evens out loudness by itself"),
}  # fmt: skip


def value(name: str) -> float:
    """A number of :data:`NUMBERS` that is one value."""
    found = NUMBERS[name].value
    if isinstance(found, tuple):
        raise KeyError(f"{name} is a range; draw from it")
    return found


def span(name: str) -> tuple[float, float]:
    """A number of :data:`NUMBERS` that is a range, low and high."""
    found = NUMBERS[name].value
    if not isinstance(found, tuple):
        raise KeyError(f"{name} is one value, not a range")
    return found


_INTRODUCTION = """# Simulated people

<!-- written by training/fusion/numbers.py: change it there -->

The default fusion model learns from people who do not exist. Nobody may ship weights trained on recordings of
patients without asking, and no corpus with face and voice is free to use. So bouts of pain, smiles, disgust, anger,
fear, sadness, surprise, speech, laughter, coughs, yawns and sleepiness are drawn, as courses of action units and as
sound, and both are measured as painsense measures them: the sound by painsense itself, the face with the errors that
the shipped action unit network makes on rendered people whom it never learned from
(`training/fusion/measured_errors.py`).

**What the level means.** 0 to 10 is how much pain the person *shows* in face and voice: 0 in rest and in everything
that is not pain. It is not how much it hurts. A level of 10 is about a PSPI of 13 and loud cries.

**What is known and what is chosen.** Directions come from the papers named below. Sizes are mostly choices, marked as
such: no study gives them on this scale. People differ within the stated bounds. A model that learns from this is only
as right as this page; it has been validated on no patient.

**Who is whom.** Every simulated person belongs to one of five folds, and the errors of that person's face are those
of rendered people who are in no other fold.
"""


def document() -> str:
    """The page about the generator, docs/generator.md."""
    from training.document import table  # slow to import, and needed for the page alone

    lines = [_INTRODUCTION, "## Pain in the face\n"]
    rows: list[tuple[str, ...]] = [
        (name, f"{part.chance_low:g}", f"{part.chance_high:g}", f"{part.weight:g}", part.source)
        for name, part in PAIN_PARTS.items()
    ]
    lines.append(table(("unit", "chance at level 1", "chance at level 10", "weight", "source"), rows))
    lines.append(f"\nPeople show pain in different ways ({PATTERN_PAPER}; shares: {CHOICE}).\n")
    rows = [(n, f"{p.share:g}", ", ".join(p.strong), ", ".join(p.weak)) for n, p in PATTERNS.items()]
    lines.append(table(("pattern", "share of people", "made of", "has less of"), rows))
    lines.append(
        "\n## What is not pain\n\nIn brackets: how often the unit takes part, and its intensity at the strongest. "
        "Disgust and broad smiles are drawn often, because they are what PSPI takes for pain.\n"
    )
    rows = [
        (
            name,
            f"{kind.share:g}",
            f"{kind.seconds[0]:g}-{kind.seconds[1]:g}",
            ", ".join(f"{unit} ({part.chance:g}, {part.intensity:g})" for unit, part in kind.parts.items()),
            ", ".join(f"{sound or 'nothing'} {chance:g}" for sound, chance in kind.sounds.items()),
            kind.source,
        )
        for name, kind in KINDS.items()
    ]
    lines.append(table(("kind", "how often", "seconds", "action units", "heard", "source"), rows))
    lines.append("\n## Sounds of pain\n\nHow often beside each other.\n")
    rows = [(name, *(f"{chance:g}" for chance in chances), CHOICE) for name, chances in PAIN_SOUNDS.items()]
    lines.append(table(("sound", "level 1", "level 5", "level 10", "source"), rows))
    lines.append("\n## Speech\n\nChange at full strength against the speaker's own; factors where no unit is given.\n")
    rows = [
        (
            name,
            f"{style.pitch_semitones:+g}",
            f"{style.level_db:+g}",
            f"{style.rate:g}",
            f"{style.tilt:g}",
            f"{style.hnr_db:+g}",
            f"{style.unsteadiness:g}",
            style.source,
        )
        for name, style in STYLES.items()
    ]
    head = ("", "pitch, semitones", "level, dB", "rate", "tilt corner", "HNR, dB", "jitter, shimmer", "source")
    lines.append(table(head, rows))
    lines.append("\n## All other numbers\n\nRanges are drawn from evenly.\n")
    rows = [(name, _shown(n.value), n.unit, n.meaning, n.source) for name, n in NUMBERS.items()]
    lines.append(table(("name", "value", "unit", "what it does", "source"), rows))
    return "\n".join(lines) + "\n"


def _shown(number: float | tuple[float, float]) -> str:
    return f"{number[0]:g} to {number[1]:g}" if isinstance(number, tuple) else f"{number:g}"


if __name__ == "__main__":
    DOCUMENT.write_text(document(), encoding="utf-8")
    print(DOCUMENT)
