"""What stands at the end of every report: limits of use, terms, and the limits that a result is judged by."""

from __future__ import annotations

#: Limits of use
LIMITS: tuple[str, ...] = (
    "It measures what the face and the voice show. Pain can be there without any expression, and the same movements "
    "occur without pain: closed eyes in sleep, a broad smile, disgust, effort, bright light.",
    "Where the person can report pain, the report counts first. A low result is never a reason to doubt it.",
    "Not a medical device and not validated for diagnosis or dosing. Do not treat on the strength of one recording; "
    "compare recordings of the same person, made in the same way.",
    "The action units are estimates of a program that learned from simulated faces, not codes of a trained FACS coder. "
    "The intervals say how far off they may be; glare, beards, glasses and tubes can put them outside.",
    "Not to be used without new evidence with facial palsy, Parkinson's disease, botulinum toxin, sedation, masks, "
    "severe dementia, depression with flat affect, or in newborns and small children.",
    "Such methods are less accurate for some groups than for others (age, sex, skin tone, dementia). "
    "Doubt the result where the picture and the numbers disagree.",
)

#: Terms with what they mean
TERMS: tuple[tuple[str, str], ...] = (
    (
        "PSPI",
        "Prkachin-Solomon pain intensity, 0 to 16: AU4 + the larger of AU6 and AU7 + the larger of AU9 and AU10 + AU43 "
        "(eyes closed, 0 or 1). Published for shoulder pain: Prkachin and Solomon, Pain 2008, "
        "doi 10.1016/j.pain.2008.04.010. Here it is estimated.",
    ),
    (
        "Action unit (AU)",
        "One visible movement of the face in the Facial Action Coding System, from 0 (absent) over 1 (trace) "
        "to 5 (as strong as it can be).",
    ),
    (
        "Score",
        "How strong the pain expression of face and voice together is, from 0 to 10, for 2 s at a time, from the 4 s "
        "before the end of each. It is the answer of a small network; what it learned from stands beside the score.",
    ),
    ("90% interval", "The range in which the true value lies with 90% probability, by the model's own reckoning."),
    ("Usable time", "The part of the recording in which the face could be measured. The rest is left out, not 0."),
    ("Voiced", "Sound made with the vocal folds: speech, but also moans and groans."),
    (
        "F0",
        "Pitch of the voice, in Hz. A semitone is a step of 6%, an octave (twice as high) has twelve of them.",
    ),
    (
        "Loudness",
        "Told as a change in dB only: how loud a recording is depends on the microphone, its distance and its gain. "
        "10 dB more sound about twice as loud.",
    ),
    (
        "Jitter, shimmer, harmonics-to-noise ratio, cepstral peak",
        "How much period and strength of a voice differ from cycle to cycle, and how far its tone stands above its "
        "noise. Rough, hoarse and breathy voices have more of the first two and less of the others.",
    ),
    (
        "Voice at rest",
        "What the voice is compared with: a rest recording with at least 1 s of voice in it, else the calmest part of "
        "the voice in this recording. Changes are told where they are beyond what two stretches of one unchanged voice "
        "differ by. They say how the voice is, not why.",
    ),
)

#: The limits a result is judged by, in words; {} is the number
_THRESHOLDS = {
    "least_window_share": "a 2 s window counts when {:.0%} of it is usable",
    "least_usable_face_s": "at least {:g} s of usable face",
    "least_usable_face_share": "at least {:.0%} of the recording with a usable face",
    "doubtful_share": "a warning below {:.0%}",
    "least_face_share": "a window is scored when the face is usable for {:.0%} of it",
    "least_voiced_window_s": "or has {:g} s of voice",
    "least_scored_s": "at least {:g} s in scored windows",
    "least_scored_share": "at least {:.0%} of the recording in scored windows",
    "max_yaw_deg": "head turned by at most {:g} degrees",
    "max_pitch_deg": "head raised or lowered by at most {:g} degrees",
    "min_face_px": "outer eye corners at least {:g} pixels apart",
    "min_bright_level": "brightest parts of the face at least {:g} of 255",
    "max_dark_level": "darkest parts of the face at most {:g} of 255",
    "min_sharpness": "sharpness at least {:g}",
    "min_inside_share": "at least {:.0%} of the face inside the picture",
    "max_other_face": "a second face smaller than {:.0%} of the first",
    "jump_sides": "a face found more than {:g} face widths away may be another person",
    "jump_scale": "so may one {:g} times as large or as small",
    "least_rest_voice_s": "at least {:g} s of voice in a rest recording",
    "least_own_voice_s": "at least {:g} s of voice in a recording compared with itself",
    "least_voice_s": "at least {:g} s of voice within 2 s",
    "max_room_difference_db": "loudness compared across recordings whose rooms differ by at most {:g} dB",
}
#: Unit of a named number, by the ending of its name
_UNITS = {"_s": " s", "_deg": " degrees", "_px": " px", "_hz": " Hz", "_db": " dB"}


def named_number(name: str, value: float) -> str:
    """A limit in words: "at least 3 s of usable face" for ("least_usable_face_s", 3).

    One without words of its own is its name with the unit the name ends in.
    """
    if name in _THRESHOLDS:
        return _THRESHOLDS[name].format(value)
    if name.endswith("_share"):
        return f"{name.replace('_', ' ')} {value * 100:g}%"
    for ending, unit in _UNITS.items():
        if name.endswith(ending):
            return f"{name.removesuffix(ending).replace('_', ' ')} {value:g}{unit}"
    return f"{name.replace('_', ' ')} {value:g}"
