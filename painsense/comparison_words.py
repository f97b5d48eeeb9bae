"""Words for a comparison of two recordings: what differs, why not, and what makes it doubtful."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from painsense import words

if TYPE_CHECKING:
    from painsense.comparison import Change

SAME_FILE = "Both are the same recording: choose two."
MODELS_DIFFER = "The two were measured with different networks: analyse both with the same version of painsense."
SCORES_DIFFER = "The two scores come from different models and mean different things: use one model for both."
NO_SCORE = "There is no score in both recordings."
VERSIONS_DIFFER = "The two were made with different versions of painsense; better analyse both with one."
BOTH_AUTO = (
    "Each recording is read beside its own calmest part. An expression that lasts all through one of them cannot be "
    "seen that way, and the difference may be too small. Give one rest clip for both."
)
BOTH_NONE = (
    "No neutral of the person is known, so the face is read beside an average one. That is less exact. Give one rest "
    "clip for both."
)
TWO_NEUTRALS = "The two were read beside different rest clips. Better use one for both."
LOW_RATE = "Few pictures a second: blinks and closed eyes cannot be told apart well."
LOUDNESS = "Loudness cannot be compared: another microphone, gain, distance or room."
NAMES = {
    "score": "The score",
    "pspi": "PSPI",
    "f0_semitone": "Pitch",
    "loudness": "Loudness",
    "hnr_db": "Harmonics-to-noise ratio",
    "cpp_db": "Cepstral peak",
    "jitter_local": "Jitter",
    "shimmer_db": "Shimmer",
    "roughness": "Ripple of the loudness",
    "alpha_ratio_db": "Sound above 1 kHz against below",
}
VERDICTS = {
    "higher": "More pain expression",
    "lower": "Less pain expression",
    "no_clear_difference": "No clear difference",
    "not_comparable": "Cannot be compared",
}
_BASELINES = {
    "rest_clip": "a rest clip",
    "saved": "a saved neutral",
    "auto": "its own calmest part",
    "none": "an average face",
}


def headline(verdict: str, change: Change, labels: tuple[str, str]) -> str:
    """The result in a sentence or two."""
    first, second = labels
    if verdict == "not_comparable":
        return "The two recordings cannot be compared. " + " ".join(change.refused)
    told = f"{NAMES[change.measure]} {change.text[0].lower()}{change.text[1:]}"
    if verdict == "no_clear_difference":
        return f"No difference between “{first}” and “{second}” that is beyond the measurement's own error. {told}"
    way = "More" if verdict == "higher" else "Less"
    return f"{way} pain expression in “{second}” than in “{first}”, beyond the measurement's own error. {told}"


def change_text(change: Change, labels: tuple[str, str]) -> str:
    """One measure's difference in words."""
    if change.difference is None or change.low is None or change.high is None or change.detectable is None:
        return " ".join(change.refused)
    unit = {"times": "octaves", "1": ""}.get(change.unit, change.unit)
    digits = 1 if change.unit != "1" else 2
    number, low, high = (_signed(value, digits) for value in (change.difference, change.low, change.high))
    text = f"{f'Differs by {number} {unit}'.rstrip()} (90% interval {low} to {high})"
    own = f"the measurement's own error, which reaches {change.detectable:.{digits}f}."
    if change.beyond:
        return f"{text}: beyond {own}"
    if change.low <= 0 <= change.high:
        return f"{text}: it may be nothing."
    return f"{text}: within {own}"


def _signed(value: float, digits: int) -> str:
    return f"{round(value, digits) + 0.0:+.{digits}f}".replace("-", "−")


def baselines_differ(first: str, second: str) -> str:
    """Two kinds of neutral."""
    return (
        f"One was read beside {_BASELINES[first]}, the other beside {_BASELINES[second]}: the same face would give "
        "other numbers. Analyse both beside one rest clip."
    )


def nothing(label: str, name: str) -> str:
    """No window has a value."""
    return f"“{label}” has no {'score' if name == 'score' else 'usable face'}."


def too_short(label: str, seconds: float, least_s: float) -> str:
    """Too little was measured."""
    return f"“{label}” holds {seconds:.0f} s that could be measured; at least {least_s:.0f} s are needed."


def too_alike(label: str) -> str:
    """All of a recording is one long expression."""
    return f"“{label}” holds one long expression: how it varies cannot be told. Record longer."


def too_little_voice(label: str) -> str:
    """Not enough voice."""
    return f"“{label}” holds too little usable voice."


def rates_differ(rates: Sequence[float], labels: tuple[str, str]) -> str:
    """Pictures a second."""
    return (
        f"“{labels[0]}” has {rates[0]:.0f} pictures a second, “{labels[1]}” {rates[1]:.0f}: blinks and short movements "
        "are read differently. Better record both alike."
    )


def lengths_differ(seconds: Sequence[float], labels: tuple[str, str]) -> str:
    """Very different lengths."""
    return (
        f"“{labels[0]}” lasts {words.duration(seconds[0])}, “{labels[1]}” {words.duration(seconds[1])}. Better compare "
        "stretches of like length in which the same is done."
    )


def little_seen(label: str, share: float) -> str:
    """A face that could be used for a part only."""
    return (
        f"In “{label}” the face could be used for only {share:.0%} of the time: what happened in the rest is not known."
    )


def other_modalities(used: Sequence[set[str]], labels: tuple[str, str]) -> str:
    """One rests on the face alone, the other on the voice as well."""
    first, second = (" and ".join(sorted(each)) for each in used)
    return f"The score rests on {first} in “{labels[0]}” and on {second} in “{labels[1]}”."


def sizes_differ(sizes: Sequence[float]) -> str:
    """Faces of different size in the picture."""
    return (
        f"The face is {max(sizes) / min(sizes):.1f} times as large in one picture as in the other. Better keep the "
        "camera in its place."
    )


def turned(degrees: float) -> str:
    """Seen from another side."""
    return f"The head is seen from another side (by {degrees:.0f} degrees). Better keep the camera in its place."
