"""Two recordings of one person: what differs, how sure that is, and whether it is beyond the measurement's own error.

At rest and on movement, before and after a treatment: two Reports go in, a :class:`Comparison` comes out. Each measure
is compared as the difference of two means with a 90% interval that holds both errors there are: a recording is a sample
of longer behaviour, and the estimator errs alike on all frames of it. How well those intervals hold stands in
``docs/compare.md``. Nobody recognises a face here: that both recordings show the same person is the user's word.

>>> comparison = painsense.comparison.compare(rest, movement, ("at rest", "on movement"))          # doctest: +SKIP
>>> comparison.verdict, comparison.change("score").low                                            # doctest: +SKIP
"""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from painsense import comparison_words as words
from painsense.comparison_mean import Difference, Floats, Mean, difference, mean_of
from painsense.comparison_voice import VoiceMean, voice_means
from painsense.errors import PainsenseError
from painsense.report import SCHEMA as REPORT_SCHEMA
from painsense.report import Report, file_name, plain

SCHEMA = "painsense.comparison/1"
MIN_COVERED_S = 20.0  # below it the intervals of bouts of expression hold less than they say: docs/compare.md
MIN_INDEPENDENT = 3.0
MAX_FPS_RATIO, LOW_FPS = 1.5, 15.0
MAX_SIZE_RATIO, MAX_TURN_DEG = 1.5, 15.0
DOUBTFUL_SHARE = 0.6
#: how large the estimator's own error of a recording's mean is against that of one window; measured by
#: training/compare_pairs.py, see docs/compare.md
SHRINK = {"pspi": 0.5, "score": 1.1}
OWN_NEUTRAL = ("rest_clip", "saved")
#: models that say what the face shows; another version measures another thing
FACE_MODELS = ("face_landmarker", "face_shape", "action_units")


@dataclass(frozen=True)
class Side:
    """One of the two recordings: what the user calls it, and what was used of it."""

    label: str
    file: str
    duration_s: float
    baseline: str
    face_usable_share: float | None


@dataclass(frozen=True)
class Change:
    """One measure in both recordings.

    Attributes
    ----------
    measure : "score", "pspi", or a measure of the voice (:data:`painsense.voice_rest.MEASURES`)
    unit : of the difference
    first, second : the means; None where there is none
    difference, low, high : second less first with its 90% interval; None where it is refused
    sampling, own_below, own_above : how far each error alone would reach: that a recording is a stretch out of longer
        behaviour, and the estimator's own
    detectable : the smallest change beyond the estimator's own error (95%); for the voice at least one worth telling
    beyond : whether the interval leaves out 0 and the difference is at least ``detectable``
    independent : how many independent windows each mean is worth
    refused : why there is no difference, in sentences
    """

    measure: str
    unit: str
    first: float | None
    second: float | None
    difference: float | None
    low: float | None
    high: float | None
    sampling: float | None
    own_below: float | None
    own_above: float | None
    detectable: float | None
    beyond: bool | None
    independent: tuple[float | None, float | None]
    refused: tuple[str, ...]
    text: str


@dataclass(frozen=True)
class Comparison:
    """Two recordings of one person.

    ``verdict``: "higher", "lower" (the second against the first), "no_clear_difference" or "not_comparable"; it goes by
    ``decided_by``, the score where both have one, else PSPI.
    """

    first: Side
    second: Side
    verdict: str
    decided_by: str
    changes: tuple[Change, ...]
    warnings: tuple[str, ...]
    text: str
    schema: str = SCHEMA

    def change(self, measure: str) -> Change:
        """The comparison of one measure. KeyError when there is none of that name."""
        for each in self.changes:
            if each.measure == measure:
                return each
        raise KeyError(f"no measure {measure!r}; there are {', '.join(each.measure for each in self.changes)}")

    def to_dict(self) -> dict[str, Any]:
        """Plain Python values, the content of the JSON file; numbers have four decimals, missing ones are None."""
        values: dict[str, Any] = plain({name: value for name, value in vars(self).items() if name != "schema"})
        return {"schema": self.schema, **values}

    def to_json(self) -> str:
        """The text of the JSON file."""
        return json.dumps(self.to_dict(), indent=1, allow_nan=False, ensure_ascii=False) + "\n"

    def to_csv(self) -> str:
        """A row for each measure; empty where a number is missing."""
        names = ["measure", "unit", "first", "second", "difference", "low", "high", "detectable", "beyond", "refused"]
        out = io.StringIO()
        writer = csv.writer(out)
        writer.writerow(names)
        for row in self.to_dict()["changes"]:
            row["refused"] = " ".join(row["refused"])
            row["beyond"] = None if row["beyond"] is None else str(row["beyond"]).lower()
            writer.writerow(["" if row[name] is None else row[name] for name in names])
        return out.getvalue()


def compare(first: Report, second: Report, labels: tuple[str, str] = ("first", "second")) -> Comparison:
    """What differs between two recordings of one person.

    Parameters
    ----------
    first, second : results of :func:`painsense.analyze` with the same settings, best beside the same rest clip
    labels : what the two are, in the user's words; the difference is the second less the first

    Returns
    -------
    Comparison
        What cannot be compared is refused measure by measure, with reasons; nothing is guessed.
    """
    sides = (first.to_dict(), second.to_dict())
    heard = [voice_means(report.tracks.get("voice")) for report in (first, second)]
    return _compared(sides, labels, heard, _seen_apart(first, second))


def compare_files(first: str | Path, second: str | Path, labels: tuple[str, str] = ("first", "second")) -> Comparison:
    """The same from two JSON files (``clip.painsense.json``); these hold no course of the voice, so it is left out.

    Raises
    ------
    PainsenseError
        When a file cannot be read or is no result of painsense.
    """
    return _compared((_content(Path(first)), _content(Path(second))), labels, [None, None], [])


def beyond(found: Difference) -> bool:
    """Whether a difference is told: its interval leaves out 0 and it is beyond the estimator's own error."""
    return (found.low > 0 or found.high < 0) and abs(found.value) >= found.detectable


def _content(path: Path) -> dict[str, Any]:
    remedy = "give the .painsense.json that painsense score wrote"
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise PainsenseError(f"{path.name}: a result of painsense was expected ({error}); {remedy}") from None
    came = content.get("schema") if isinstance(content, dict) else None
    if came != REPORT_SCHEMA:
        raise PainsenseError(f"{path.name}: {REPORT_SCHEMA} was expected, {came or 'another file'} came; {remedy}")
    return dict(content)


def _compared(
    sides: tuple[dict[str, Any], dict[str, Any]],
    labels: tuple[str, str],
    heard: Sequence[Mapping[str, VoiceMean] | None],
    doubts: Sequence[str],
) -> Comparison:
    for_all = _same_recording(sides)
    changes = [
        _of_windows("score", "points of 10", sides, labels, (*for_all, *_score_refusals(sides))),
        _of_windows("pspi", "points of 16", sides, labels, (*for_all, *_face_refusals(sides))),
        *_of_voice(heard, labels, for_all),
    ]
    decided_by = "score" if changes[0].difference is not None else "pspi"
    chosen = next(each for each in changes if each.measure == decided_by)
    if chosen.difference is None:
        verdict = "not_comparable"
    elif not chosen.beyond:
        verdict = "no_clear_difference"
    else:
        verdict = "higher" if chosen.difference > 0 else "lower"
    return Comparison(
        first=_side(sides[0], labels[0]),
        second=_side(sides[1], labels[1]),
        verdict=verdict,
        decided_by=decided_by,
        changes=tuple(changes),
        warnings=(*_warnings(sides, labels), *doubts),
        text=words.headline(verdict, chosen, labels),
    )


def _side(content: Mapping[str, Any], label: str) -> Side:
    return Side(
        label,
        file_name(content["media"]["file"]),
        content["media"]["duration_s"],
        content["baseline"]["kind"],
        content["quality"]["face_usable_share"],
    )


# --- why not ----------------------------------------------------------------------------------------------------------


def _same_recording(sides: Sequence[Mapping[str, Any]]) -> tuple[str, ...]:
    one, other = (content["media"]["sha256"] for content in sides)
    return (words.SAME_FILE,) if one is not None and one == other else ()


def _models(content: Mapping[str, Any], names: Sequence[str]) -> dict[str, str]:
    return {each["name"]: each["sha256"] for each in content["software"]["models"] if each["name"] in names}


def _face_refusals(sides: Sequence[Mapping[str, Any]]) -> list[str]:
    """Why PSPI of the two means different things."""
    found = []
    own, other = ("own" if c["baseline"]["kind"] in OWN_NEUTRAL else c["baseline"]["kind"] for c in sides)
    if own != other:
        found.append(words.baselines_differ(sides[0]["baseline"]["kind"], sides[1]["baseline"]["kind"]))
    if _models(sides[0], FACE_MODELS) != _models(sides[1], FACE_MODELS):
        found.append(words.MODELS_DIFFER)
    return found


def _score_refusals(sides: Sequence[Mapping[str, Any]]) -> list[str]:
    """Why the two scores mean different things."""
    scales = [content.get("scale") for content in sides]
    if None in scales or any(content["clip"]["score"] is None for content in sides):
        return [words.NO_SCORE]
    found = _face_refusals(sides)
    if any(scales[0][name] != scales[1][name] for name in ("model", "version", "label_kind")):  # type: ignore[index]
        found.append(words.SCORES_DIFFER)
    return found


def _warnings(sides: Sequence[Mapping[str, Any]], labels: tuple[str, str]) -> list[str]:
    """What makes a difference doubtful without forbidding it."""
    found = []
    kinds = [content["baseline"]["kind"] for content in sides]
    if kinds == ["auto", "auto"]:
        found.append(words.BOTH_AUTO)
    elif kinds == ["none", "none"]:
        found.append(words.BOTH_NONE)
    elif sides[0]["baseline"]["source"] != sides[1]["baseline"]["source"]:
        found.append(words.TWO_NEUTRALS)
    rates = [content["media"]["fps"] for content in sides]
    if None not in rates:
        if max(rates) / min(rates) > MAX_FPS_RATIO:
            found.append(words.rates_differ(rates, labels))
        elif min(rates) < LOW_FPS:
            found.append(words.LOW_RATE)
    for content, label in zip(sides, labels, strict=True):
        share = content["quality"]["face_usable_share"]
        if share is not None and share < DOUBTFUL_SHARE:
            found.append(words.little_seen(label, share))
    used = [set(content["clip"]["modalities"]) for content in sides]
    if all(used) and used[0] != used[1]:
        found.append(words.other_modalities(used, labels))
    durations = [content["media"]["duration_s"] for content in sides]
    if max(durations) > 4 * max(min(durations), 1e-6):
        found.append(words.lengths_differ(durations, labels))
    if sides[0]["software"]["painsense"] != sides[1]["software"]["painsense"]:
        found.append(words.VERSIONS_DIFFER)
    return found


def _seen_apart(first: Report, second: Report) -> list[str]:
    """How differently the two were filmed, where the tracks are at hand."""
    found = []
    faces = [report.tracks.get("face") for report in (first, second)]
    if faces[0] is None or faces[1] is None or not (len(faces[0]) and len(faces[1])):
        return []
    middle = {
        name: [
            float(np.nanmedian(track.column(name)[track.valid]))
            if track is not None and track.valid.any()
            else math.nan
            for track in faces
        ]
        for name in ("face_px", "yaw_deg", "pitch_deg")
    }
    sizes = middle["face_px"]
    if np.isfinite(sizes).all() and max(sizes) / max(min(sizes), 1.0) > MAX_SIZE_RATIO:
        found.append(words.sizes_differ(sizes))
    turned = [abs(a - b) for a, b in (middle["yaw_deg"], middle["pitch_deg"])]
    if np.isfinite(turned).all() and max(turned) > MAX_TURN_DEG:
        found.append(words.turned(max(turned)))
    return found


# --- differences ------------------------------------------------------------------------------------------------------


def _of_windows(
    name: str,
    unit: str,
    sides: Sequence[Mapping[str, Any]],
    labels: tuple[str, str],
    refused: Sequence[str],
) -> Change:
    """The change of a measure that each window has, with the ends of its 90% interval."""
    ends = {"score": ("low", "high"), "pspi": ("pspi_low", "pspi_high")}[name]
    means = []
    why = list(refused)
    for content, label in zip(sides, labels, strict=True):
        value, low, high = (_column(content, key) for key in (name, *ends))
        mean = mean_of(value, value - low, high - value)
        means.append(mean)
        if mean is None:
            if words.NO_SCORE not in why:
                why.append(words.nothing(label, name))
        elif mean.covered_s < MIN_COVERED_S:
            why.append(words.too_short(label, mean.covered_s, MIN_COVERED_S))
        elif mean.independent < MIN_INDEPENDENT:
            why.append(words.too_alike(label))
    first, second = means
    found = difference(first, second, SHRINK[name]) if first and second and not why else None
    return _change(name, unit, (first, second), found, why, labels, 0.0)


def _column(content: Mapping[str, Any], key: str) -> Floats:
    return np.array([math.nan if each[key] is None else each[key] for each in content["windows"]], np.float64)


def _of_voice(
    heard: Sequence[Mapping[str, VoiceMean] | None], labels: tuple[str, str], refused: Sequence[str]
) -> list[Change]:
    """The changes of the voice's measures; nothing where neither recording has sound."""
    first, second = heard
    if first is None or second is None:
        return []
    result = []
    for name in {**first, **second}:
        one, other = first.get(name), second.get(name)
        why = list(refused)
        for each, label in ((one, labels[0]), (other, labels[1])):
            if each is None or each.mean is None:
                why.append(words.too_little_voice(label))
        if name == "loudness" and one and other and not (one.comparable and other.comparable and one.same_room(other)):
            why.append(words.LOUDNESS)
        measure = (one or other).measure  # type: ignore[union-attr]
        means = tuple(each.mean if each else None for each in (one, other))
        found = difference(means[0], means[1]) if means[0] and means[1] and not why else None
        result.append(_change(name, measure.unit, (means[0], means[1]), found, why, labels, measure.least))
    return result


def _change(
    name: str,
    unit: str,
    means: tuple[Mean | None, Mean | None],
    found: Difference | None,
    refused: Sequence[str],
    labels: tuple[str, str],
    least: float,
) -> Change:
    first, second = (None if mean is None else mean.value for mean in means)
    independent = tuple(None if mean is None else round(mean.independent, 1) for mean in means)
    values = asdict(found) if found else {}
    detectable = max(found.detectable, least) if found else None
    told = None
    if found is not None and detectable is not None:
        told = beyond(found) and abs(found.value) >= detectable
    change = Change(
        measure=name,
        unit=unit,
        first=first,
        second=second,
        difference=values.get("value"),
        low=values.get("low"),
        high=values.get("high"),
        sampling=values.get("sampling"),
        own_below=values.get("own_below"),
        own_above=values.get("own_above"),
        detectable=detectable,
        beyond=told,
        independent=(independent[0], independent[1]),
        refused=tuple(dict.fromkeys(refused)),
        text="",
    )
    return Change(**{**vars(change), "text": words.change_text(change, labels)})
