"""record: what every data set is read into. A :class:`Clip` is one recording of one person, with its labels.

Labels of different kinds are different things: how much it hurt (said by the person), how strong the stimulus was, what
an observer saw, what an actor was asked to show. A :class:`Label` therefore carries its kind and its scale, and
:attr:`Label.head` names the output of the network that may learn from it; no other may.

A clip knows a person by a pseudonym only (:mod:`training.datasets.pseudonyms`). The paths of its files can hold more:
they stay out of ``repr`` and of :func:`to_dict`, and :meth:`Clip.hide` takes them out of a message.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from training.errors import TrainingError

KINDS: Mapping[str, tuple[float, float, str]] = {
    "pspi_frame": (0, 16, "Prkachin-Solomon pain intensity, coded by FACS frame by frame"),
    "vas": (0, 10, "pain said by the person on a visual analogue scale"),
    "nrs": (0, 10, "pain said by the person as a number"),
    "sensory": (0, 15, "sensory intensity said by the person (15-point word scale)"),
    "affective": (0, 15, "unpleasantness said by the person (15-point word scale)"),
    "opr": (0, 5, "pain rated by an observer"),
    "stimulus_level": (0, 4, "strength of the stimulus, whatever was felt or shown"),
    "class": (0, 1, "a painful procedure or not"),
    "posed": (0, 1, "pain acted or drawn (1) or something else acted or drawn (0)"),
    "expression": (0, 1, "nobody is in pain: always 0; what is shown instead stands in the groups"),
}
"""Kind of label -> lowest and highest value of its usual scale, and what it says."""

SEXES = ("female", "male", "other")
AGE_BANDS = ("newborn", "under 18", "18-35", "36-50", "51-65", "66 and over")
EVALUATION_ONLY = "evaluation_only"
"""Flag of clips whose licence or purpose forbids training on them; :mod:`training.fusion.splits` keeps them out."""

NAN = float("nan")


@dataclass(frozen=True)
class Label:
    """One thing said about a clip.

    ``value`` is NaN where ``frames`` holds one value per frame; NaN in ``frames`` is a frame nobody scored.
    """

    kind: str
    low: float
    high: float
    value: float
    frames: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise TrainingError(f"a label is one of {', '.join(KINDS)}, not {self.kind!r}; see docs/datasets.md")
        if not (math.isfinite(self.low) and math.isfinite(self.high) and self.low < self.high):
            raise TrainingError(
                f"the scale of {self.kind} goes up, not from {self.low:g} to {self.high:g}; set both ends"
            )
        if (self.kind == "pspi_frame") != bool(self.frames):
            raise TrainingError(
                "pspi_frame, and only pspi_frame, has a value per frame; give frames or change the kind"
            )
        if self.frames and not math.isnan(self.value):
            raise TrainingError("a label with a value per frame has no value of its own (NaN)")
        for value in self.frames or (self.value,):
            if not (self.low <= value <= self.high or (self.frames and math.isnan(value))):
                raise TrainingError(f"{self.kind} lies between {self.low:g} and {self.high:g}, not at {value:g}")

    @property
    def head(self) -> str:
        """Name of the network's output that may learn from this label: kind and scale, e.g. ``vas_0_10``."""
        return f"{self.kind}_{self.low:g}_{self.high:g}"


@dataclass(frozen=True)
class Clip:
    """One recording of one person.

    Attributes
    ----------
    id : unique, made from the pseudonym; says nothing about the file
    dataset : name in :data:`training.datasets.NAMES`
    subject : pseudonym; the same person has the same one in every part of a data set
    session : recordings made in one go, "" if unknown
    video, audio : a file each, or None. With both, ``audio`` is the sound, starting with the picture
    frames : the pictures of an image sequence, in order
    fps : of the image sequence, Hz; NaN for files that carry their own time
    start_s, end_s : the part that is meant, s from the start of the recording; NaN: all of it
    labels : what was said about it, often nothing
    groups : what results are reported by: sex, age_band, ethnicity, skin_tone, condition ...; only those known
    fold : name of the published fold the subject belongs to, or ""
    flags : known faults: black_frames, copied_rating, low_quality, non_reactive, evaluation_only ...
    crop : the part of the picture that is meant: left, top, right, bottom, each 0 to 1
    rest : a recording of the same person at rest, which face and voice are compared with; None: with the clip itself
    copy : which copy this is, as another camera and microphone would have recorded it: to learn from only; 0: none
    """

    id: str
    dataset: str
    subject: str
    session: str = ""
    video: Path | None = field(default=None, repr=False)
    audio: Path | None = field(default=None, repr=False)
    frames: tuple[Path, ...] = field(default=(), repr=False)
    fps: float = NAN
    start_s: float = NAN
    end_s: float = NAN
    labels: tuple[Label, ...] = field(default=(), repr=False)
    groups: Mapping[str, str] = field(default_factory=dict)
    fold: str = ""
    flags: tuple[str, ...] = ()
    crop: tuple[float, float, float, float] = (0.0, 0.0, 1.0, 1.0)
    rest: Path | None = field(default=None, repr=False)
    copy: int = 0

    def __post_init__(self) -> None:
        if not (self.id and self.dataset and self.subject):
            raise TrainingError("a clip has an id, a data set and a subject; one of them is empty")
        if self.video is not None and self.frames:
            raise TrainingError(f"clip {self.id}: a video or an image sequence, not both")
        if len(self.frames) > 1 and not self.fps > 0:
            raise TrainingError(f"clip {self.id}: an image sequence needs its rate in Hz, not {self.fps:g}")
        if not math.isnan(self.start_s) and not (math.isfinite(self.start_s) and self.start_s >= 0):
            raise TrainingError(f"clip {self.id}: starts at 0 s or later, not at {self.start_s:g} s")
        if not math.isnan(self.end_s) and not self.end_s > (0 if math.isnan(self.start_s) else self.start_s):
            raise TrainingError(f"clip {self.id}: ends after it starts, not at {self.end_s:g} s")
        left, top, right, bottom = self.crop
        if not (0 <= left < right <= 1 and 0 <= top < bottom <= 1):
            raise TrainingError(f"clip {self.id}: crop is left, top, right, bottom between 0 and 1, not {self.crop}")
        heads = [label.head for label in self.labels]
        if len(set(heads)) < len(heads):
            raise TrainingError(
                f"clip {self.id}: two labels of one kind and scale ({', '.join(sorted(heads))}); keep one"
            )
        for label in self.labels:
            if self.frames and label.frames and len(label.frames) != len(self.frames):
                raise TrainingError(
                    f"clip {self.id}: {len(self.frames)} pictures but {len(label.frames)} {label.kind} values"
                )

    @property
    def files(self) -> tuple[Path, ...]:
        """Everything that must be read."""
        return tuple(path for path in (self.video, self.audio, self.rest) if path is not None) + self.frames

    @property
    def seed(self) -> int | None:
        """Of camera, microphone and room of a copy, the same all through a session; None for a recording as it is."""
        if not self.copy:
            return None
        return int(hashlib.sha256(f"{self.subject} {self.session} {self.copy}".encode()).hexdigest()[:8], 16)

    def label(self, kind: str) -> Label | None:
        """The label of that kind, None where there is none; an error where two scales of it were given."""
        found = [label for label in self.labels if label.kind == kind]
        if len(found) > 1:
            raise TrainingError(
                f"clip {self.id}: {kind} on two scales; ask for one of {[label.head for label in found]}"
            )
        return found[0] if found else None

    def hide(self, text: str) -> str:
        """A message about this clip without the folders of its files, which can hold a person's name.

        The name of a file stays, so that it can be found; the folder becomes the clip's id.
        """
        folders = {folder for file in self.files for folder in file.parents if folder.name}
        for folder in sorted(folders, key=lambda each: -len(str(each))):
            text = text.replace(str(folder), self.id)
            if " " in folder.name:  # MIntPAIN's folders are called after the participants
                text = text.replace(folder.name, self.id)
        return text


def heads(clips: Iterable[Clip]) -> dict[str, int]:
    """Which label kinds on which scales there are, and how many clips have each. Each needs a head of its own."""
    count: dict[str, int] = {}
    for clip in clips:
        for label in clip.labels:
            count[label.head] = count.get(label.head, 0) + 1
    return dict(sorted(count.items()))


def age_band(age: float) -> str:
    """Band of an age in years, for reports by group."""
    if not 0 <= age <= 120:
        raise TrainingError(f"an age lies between 0 and 120 years, not at {age:g}")
    bounds = (18, 36, 51, 66)
    return AGE_BANDS[1 + sum(age >= bound for bound in bounds)]


def to_dict(clip: Clip) -> dict[str, Any]:
    """A clip as JSON can hold it (NaN as None), without the paths of its files."""

    def plain(value: float) -> float | None:
        return None if math.isnan(value) else value

    labels = [
        {
            "kind": label.kind,
            "low": label.low,
            "high": label.high,
            "value": plain(label.value),
            "frames": [plain(value) for value in label.frames],
        }
        for label in clip.labels
    ]
    return {
        "id": clip.id,
        "dataset": clip.dataset,
        "subject": clip.subject,
        "session": clip.session,
        "fps": plain(clip.fps),
        "start_s": plain(clip.start_s),
        "end_s": plain(clip.end_s),
        "labels": labels,
        "groups": dict(clip.groups),
        "fold": clip.fold,
        "flags": list(clip.flags),
        "crop": list(clip.crop),
        "copy": clip.copy,
    }


def from_dict(stored: Mapping[str, Any]) -> Clip:
    """What :func:`to_dict` gave, as a clip without files."""

    def number(value: float | None) -> float:
        return NAN if value is None else float(value)

    try:
        labels = tuple(
            Label(
                each["kind"],
                float(each["low"]),
                float(each["high"]),
                number(each["value"]),
                tuple(number(value) for value in each["frames"]),
            )
            for each in stored["labels"]
        )
        left, top, right, bottom = (float(edge) for edge in stored["crop"])
        return Clip(
            id=stored["id"],
            dataset=stored["dataset"],
            subject=stored["subject"],
            session=stored["session"],
            fps=number(stored["fps"]),
            start_s=number(stored["start_s"]),
            end_s=number(stored["end_s"]),
            labels=labels,
            groups=dict(stored["groups"]),
            fold=stored["fold"],
            flags=tuple(stored["flags"]),
            crop=(left, top, right, bottom),
            copy=int(stored["copy"]),
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise TrainingError(f"a stored clip lacks or garbles {error}; prepare the data set anew") from error
