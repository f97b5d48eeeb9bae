"""samples: Tracks -> windows with what was said about them. The clinic's code makes the inputs (painsense.fusion).

A label that holds for a whole recording is that of each of its windows; one that has a value per frame or moment is
averaged over the two seconds of the window. Every kind of label on every scale is a target of its own
(:attr:`training.fusion.record.Label.head`), brought to 0-10 of its scale.
"""

from __future__ import annotations

import io
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from painsense import fusion, voice_segments
from painsense import windows as grids
from painsense.output import write_together
from painsense.tracks import FloatArray, TimeArray, Track, sample_period_s
from painsense.voice_rest import Rest
from painsense.voice_segments import Segment
from training.errors import TrainingError
from training.fusion import record
from training.fusion.record import Clip
from training.fusion.settings import SIMULATED

IntArray = npt.NDArray[np.int64]
TOP = fusion.LEVELS - 1.0
PSPI = "pspi_frame_0_16"
SIMULATED_SET = "simulated"


@dataclass(frozen=True)
class Course:
    """What is said about a recording over time: ``values`` at ``time_s`` [shape=(k,)], NaN where nothing is said."""

    kind: str
    low: float
    high: float
    time_s: TimeArray
    values: FloatArray

    @property
    def head(self) -> str:
        """As :attr:`training.fusion.record.Label.head`."""
        return f"{self.kind}_{self.low:g}_{self.high:g}"


@dataclass(frozen=True)
class Recording:
    """One clip, measured.

    Attributes
    ----------
    clip : who and what
    face, voice : the tracks painsense makes; None for what was not recorded
    neutral_known : whether the face was read beside the person's own neutral
    rest : the person's voice at rest
    segments : kinds of sound; None: found in the voice track
    courses : labels over time, beside those the clip has for all of it
    shown_time_s, shown : what was shown from these moments on, in words; empty where it is not known
    """

    clip: Clip
    face: Track | None
    voice: Track | None
    neutral_known: bool = False
    rest: Rest | None = None
    segments: tuple[Segment, ...] | None = None
    courses: tuple[Course, ...] = ()
    shown_time_s: TimeArray = field(default_factory=lambda: np.zeros(0))
    shown: tuple[str, ...] = ()

    @property
    def duration_s(self) -> float:
        """Up to the end of the last sample of either track."""
        times = [track.time_s for track in (self.face, self.voice) if track is not None and len(track)]
        return max((float(time_s[-1]) + sample_period_s(time_s) / 2 for time_s in times), default=0.0)


@dataclass(frozen=True)
class Samples:
    """All windows of all recordings.

    Attributes
    ----------
    clips : the recordings
    clip : ndarray [shape=(n,)], each window's place in ``clips``
    start_s, end_s : ndarray [shape=(n,)]
    face, voice : what the network sees, [shape=(n, 20, F)]
    targets : for each kind of label, ndarray [shape=(n,), 0-10 of its scale]; NaN where there is none
    classes, shown : names of what is shown, and which of them it is, ndarray [shape=(n,)]; -1 where not known
    rule_pspi : ndarray [shape=(n,), 0-16], mean PSPI of the face track: the yardstick that needs no training
    """

    clips: tuple[Clip, ...]
    clip: IntArray
    start_s: TimeArray
    end_s: TimeArray
    face: FloatArray
    voice: FloatArray
    targets: dict[str, FloatArray]
    classes: tuple[str, ...]
    shown: IntArray
    rule_pspi: FloatArray

    def __len__(self) -> int:
        return len(self.clip)

    @property
    def subject(self) -> npt.NDArray[np.str_]:
        """Pseudonym of each window's person, ndarray [shape=(n,)]."""
        return np.array([clip.subject for clip in self.clips])[self.clip]

    def rows(self, ids: Iterable[str]) -> IntArray:
        """The windows of some clips, ndarray [shape=(k,)]."""
        wanted = set(ids)
        chosen = np.array([clip.id in wanted for clip in self.clips], bool)
        return np.flatnonzero(chosen[self.clip])

    def head(self, kind: str) -> str:
        """The one target of a kind of label; TrainingError where there is none, or the kind is there on two scales."""
        found = [name for name in self.targets if name.rsplit("_", 2)[0] == kind]
        if len(found) != 1:
            there = ", ".join(sorted(self.targets)) or "no labels at all"
            raise TrainingError(
                f"labels: one scale of {kind!r} was expected in the data, {', '.join(found) or 'none'} came; there is "
                f"{there}; choose another kind in the run's settings, or prepare the recordings of one scale only"
            )
        return found[0]

    def only(self, keep: npt.NDArray[np.bool_]) -> Samples:
        """Some of the windows; all clips stay."""
        return replace(
            self,
            clip=self.clip[keep],
            start_s=self.start_s[keep],
            end_s=self.end_s[keep],
            face=self.face[keep],
            voice=self.voice[keep],
            targets={name: values[keep] for name, values in self.targets.items()},
            shown=self.shown[keep],
            rule_pspi=self.rule_pspi[keep],
        )

    def save(self, path: Path) -> None:
        """Write as .npz, whole or not at all, without a path of any recording in it."""
        said = {"clips": [record.to_dict(clip) for clip in self.clips], "classes": self.classes}
        arrays = {
            "said": np.frombuffer(json.dumps(said, allow_nan=False).encode(), np.uint8),
            **{name: getattr(self, name) for name in _ARRAYS},
            **{f"target:{name}": values for name, values in self.targets.items()},
        }
        buffer = io.BytesIO()
        np.savez(buffer, allow_pickle=False, **arrays)
        write_together(path.parent, {path.name: [buffer.getvalue()]})

    @classmethod
    def load(cls, path: Path) -> Samples:
        """What :meth:`save` wrote; TrainingError when it is something else."""
        try:
            with np.load(path, allow_pickle=False) as stored:
                said = json.loads(stored["said"].tobytes())
                clips = tuple(record.from_dict(each) for each in said["clips"])
                arrays = {name: stored[name] for name in _ARRAYS}
                targets = {name.partition(":")[2]: stored[name] for name in stored.files if name.startswith("target:")}
            return cls(clips=clips, classes=tuple(said["classes"]), targets=targets, **arrays)
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise TrainingError.at(
                path, f"the windows of a run were expected ({error})", "remove the file and run the training again"
            ) from error


_ARRAYS = ("clip", "start_s", "end_s", "face", "voice", "shown", "rule_pspi")


def gather(recordings: Iterable[Recording]) -> Samples:
    """All windows of some recordings that have at least one sample of face or voice."""
    clips: list[Clip] = []
    parts: list[dict[str, npt.NDArray[np.generic]]] = []
    said: list[dict[str, FloatArray]] = []
    shown: list[npt.NDArray[np.str_]] = []
    for recording in recordings:
        grid = grids.grid(recording.duration_s)
        if not len(grid):
            continue
        parts.append(_windows(recording, grid, len(clips)))
        said.append(_targets(recording, grid))
        shown.append(_shown(recording, grid))
        clips.append(recording.clip)
    if not clips:
        raise TrainingError(
            "windows: at least one recording with face or voice was expected, none came; look at what was skipped when "
            "the data set was prepared"
        )
    heads = sorted({head for each in said for head in each})
    counts = [len(part["clip"]) for part in parts]
    targets = {
        head: np.concatenate(
            [each.get(head, np.full(n, np.nan, np.float32)) for each, n in zip(said, counts, strict=True)]
        )
        for head in heads
    }
    words = np.concatenate(shown)
    classes = tuple(sorted({str(word) for word in words if word}))
    joined = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    return Samples(
        clips=tuple(clips),
        classes=classes,
        targets=targets,
        shown=np.array([classes.index(word) if word else -1 for word in words], np.int64),
        **joined,
    )


def _windows(recording: Recording, grid: grids.Windows, number: int) -> dict[str, npt.NDArray[np.generic]]:
    segments: Sequence[Segment] = recording.segments or ()
    if recording.segments is None and recording.voice is not None:
        segments = voice_segments.of_track(recording.voice)
    seen = fusion.inputs(
        recording.face, recording.voice, segments, grid, recording.rest, neutral_known=recording.neutral_known
    )
    rule = np.full(len(grid), np.nan, np.float32)
    if recording.face is not None and len(recording.face):
        rule = grids.means(recording.face, ("pspi",), grid)[:, 0]
    return {
        "clip": np.full(len(grid), number, np.int64),
        "start_s": grid.start_s,
        "end_s": grid.end_s,
        "face": seen.face,
        "voice": seen.voice,
        "rule_pspi": rule,
    }


def _targets(recording: Recording, grid: grids.Windows) -> dict[str, FloatArray]:
    """The value of each window under each kind of label, 0-10 of the label's scale."""
    found = {}
    clip = recording.clip
    for label in clip.labels:
        if label.frames:
            if not clip.fps > 0 and recording.face is None:
                continue
            time_s = np.arange(len(label.frames)) / clip.fps if clip.fps > 0 else _frame_times(recording, label.frames)
            course = Course(label.kind, label.low, label.high, time_s, np.array(label.frames, np.float32))
            found[label.head] = _over(course, grid)
        else:
            share = (label.value - label.low) / (label.high - label.low)
            found[label.head] = np.full(len(grid), share * TOP, np.float32)
    for course in recording.courses:
        found[course.head] = _over(course, grid)
    return found


def _frame_times(recording: Recording, frames: Sequence[float]) -> TimeArray:
    """Times of frames that were labelled one by one in a video: those of the face track, if there are as many."""
    assert recording.face is not None
    if len(recording.face) != len(frames):
        raise TrainingError(
            f"clip {recording.clip.id}: a label for each of {len(recording.face)} frames was expected, {len(frames)} "
            "came; see that the labels are of this recording"
        )
    return recording.face.time_s


def _over(course: Course, grid: grids.Windows) -> FloatArray:
    """Mean of a course over each window, 0-10 of its scale; NaN where less than half of the window is labelled."""
    known = np.isfinite(course.values)
    inside = (course.time_s[None] >= grid.start_s[:, None] - 1e-9) & (course.time_s[None] < grid.end_s[:, None] - 1e-9)
    count = (inside & known[None]).sum(axis=1)
    total = (inside * np.where(known, course.values, 0.0)[None]).sum(axis=1)
    enough = count >= np.maximum(1, 0.5 * inside.sum(axis=1))
    mean = np.where(enough, total / np.maximum(count, 1), np.nan)
    return np.asarray((mean - course.low) / (course.high - course.low) * TOP, np.float32)


def _shown(recording: Recording, grid: grids.Windows) -> npt.NDArray[np.str_]:
    """What was shown for most of each window; empty where it is not known."""
    if not recording.shown:
        return np.full(len(grid), recording.clip.groups.get("expression", ""), dtype="<U40")
    words, place = np.unique(np.array(recording.shown), return_inverse=True)
    result = np.full(len(grid), "", dtype="<U40")
    for k, (start, end) in enumerate(zip(grid.start_s, grid.end_s, strict=True)):
        inside = (recording.shown_time_s >= start - 1e-9) & (recording.shown_time_s < end - 1e-9)
        if inside.any():
            result[k] = words[np.bincount(place[inside], minlength=len(words)).argmax()]
    return result


def weights(samples: Samples, head: str, rows: IntArray, balance: float) -> FloatArray:
    """How much each window counts for a head, ndarray [shape=(k,)] with mean 1; 0 without a label.

    Recordings count alike however long they are where their label is one for all of it; with ``balance`` 1 every whole
    level counts alike too.
    """
    target = samples.targets[head][rows]
    labelled = np.isfinite(target)
    weight = labelled.astype(np.float64)
    kind = head.rsplit("_", 2)[0]
    if kind in record.KINDS and kind != "pspi_frame":
        count = np.bincount(samples.clip[rows][labelled], minlength=len(samples.clips))
        weight[labelled] /= count[samples.clip[rows][labelled]]
    if balance and labelled.any():
        level = np.round(target[labelled]).astype(int)
        share = np.bincount(level, weights=weight[labelled], minlength=fusion.LEVELS)
        weight[labelled] *= share[level] ** -balance
    mean = weight[labelled].mean() if labelled.any() else 1.0
    return np.asarray(weight / mean, np.float32)


def moments(samples: Samples, rows: IntArray) -> Mapping[str, tuple[FloatArray, FloatArray]]:
    """Mean and standard deviation of what is seen of each modality, over what was measured; 0 and 1 without."""
    result = {}
    for name in ("face", "voice"):
        table = getattr(samples, name)[rows].reshape(-1, getattr(samples, name).shape[2]).astype(np.float64)
        known = np.isfinite(table)
        count = np.maximum(known.sum(axis=0), 1)
        filled = np.where(known, table, 0.0)
        centre = filled.sum(axis=0) / count
        spread = np.sqrt((np.where(known, table - centre, 0.0) ** 2).sum(axis=0) / count)
        result[name] = centre.astype(np.float32), np.where(spread > 1e-6, spread, 1.0).astype(np.float32)
    return result


# --- cached recordings ------------------------------------------------------------------------------------------------


def of_simulated(folder: Path) -> Iterator[Recording]:
    """The episodes of a set made by :mod:`training.fusion.generator`, one person after the other."""
    from training.fusion import generator

    people = int(json.loads((folder / generator.INDEX).read_text(encoding="utf-8"))["people"])
    for number in range(people):
        for one in generator.load(folder, [number]):
            clip = Clip(
                id=one.id,
                dataset=SIMULATED_SET,
                subject=one.person.id,
                groups=one.groups,
                fold=f"fold-{one.person.fold}",
            )
            yield Recording(
                clip,
                one.face,
                one.voice,
                neutral_known=one.neutral_known,
                rest=None if one.voice_rest is None else Rest("rest_clip", "simulated", one.voice_rest),
                courses=(
                    Course(SIMULATED, 0.0, TOP, one.time_s, one.level.astype(np.float32)),
                    Course("pspi_frame", 0.0, 16.0, one.time_s, one.pspi.astype(np.float32)),
                ),
                shown_time_s=one.time_s,
                shown=tuple(generator.KINDS[k] for k in one.kind),
            )


def of_prepared(folder: Path) -> Iterator[Recording]:
    """The clips of a cache made by :mod:`training.fusion.prepare`, in the order of the data set."""
    from training.fusion import cache

    kept = cache.load(folder)  # what is wrong with the cache as a whole is told now
    return (
        Recording(
            clip,
            measured.face,
            measured.voice,
            neutral_known=measured.neutral_known,
            rest=measured.voice_at_rest,
            segments=None if measured.voice is None else measured.segments,
        )
        for clip, measured in kept
    )


def recordings(folder: Path) -> Iterator[Recording]:
    """Recordings that were prepared, or simulated; TrainingError when the folder holds neither."""
    index = folder / "index.json"
    try:
        about = dict(json.loads(index.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        about = {}
    if "people" in about:
        return of_simulated(folder)
    if "extractor" in about:
        return of_prepared(folder)
    raise TrainingError.at(
        folder, "recordings made by training.fusion.prepare or training.fusion.generator were expected",
        "run one of them first",
    )  # fmt: skip
