"""Report: everything painsense says about one recording, as one object.

JSON, CSV and HTML are written from this object and from nothing else, so they cannot disagree.
"""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from importlib import resources
from importlib.util import find_spec
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from painsense.errors import OutputError
from painsense.tracks import Track

if TYPE_CHECKING:
    from painsense.voice_segments import Segment

SCHEMA = "painsense.report/1"
FORMATS = ("json", "csv", "html", "pdf", "functionals")
USUAL_FORMATS = FORMATS[:3]  # a PDF needs the extra pdf, functionals are for research: both are asked for by name
#: Decimals of the numbers in the JSON: a tenth of a millisecond, and finer than any measure here is exact
DECIMALS = 4


@dataclass(frozen=True)
class MediaSummary:
    """What was read. ``sha256`` is of the file's bytes, None for live pictures; sizes are of the upright picture."""

    file: str
    sha256: str | None
    duration_s: float
    frames: int
    fps: float | None
    width: int | None
    height: int | None
    rotation_deg: int
    has_audio: bool
    audio_start_s: float | None
    audio_duration_s: float | None = None
    #: True when the file has no picture track or is a still image, respectively
    audio_only: bool = False
    still: bool = False


@dataclass(frozen=True)
class ModelStamp:
    """A model that took part: its file's SHA-256 makes the result traceable."""

    name: str
    version: str
    sha256: str


@dataclass(frozen=True)
class Software:
    """What computed the result. ``settings`` are the resolved settings, JSON-ready."""

    painsense: str
    models: tuple[ModelStamp, ...]
    face_engine: str
    provider: str
    settings: dict[str, object]


@dataclass(frozen=True)
class BaselineStamp:
    """The neutral the person was compared with. ``kind`` is "rest_clip", "saved", "auto" or "none"."""

    kind: str
    source: str
    created: str | None = None
    frames: int = 0


@dataclass(frozen=True)
class Quality:
    """How much could be seen and heard. ``reasons_s`` are seconds of media time by reason code (0 ones left out)."""

    face_usable_share: float | None
    face_usable_s: float | None
    voiced_s: float | None
    voice_usable_s: float | None
    reasons_s: dict[str, float]
    warnings: tuple[str, ...] = ()
    #: the limits this was judged by, name with unit -> value, for example {"least_usable_face_s": 5.0}
    thresholds: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Score:
    """The fused pain-expression score, 0-10: the mean over the scored windows, and the highest window.

    ``low``, ``high`` and ``peak_low``, ``peak_high`` are 90% intervals; ``peak_s`` is the middle of the highest window.
    """

    value: float
    low: float
    high: float
    peak: float
    peak_low: float
    peak_high: float
    peak_s: float


@dataclass(frozen=True)
class ScoreScale:
    """What the numbers of the score mean.

    ``label_kind``: what the model learned to say, for example "vas", "nrs", "pspi_frame", "simulated_level"; a score of
    0 stands for ``label_low`` on that scale, one of 10 for ``label_high``; ``notes``: what the model is not good for.
    """

    model: str
    version: str
    label_kind: str
    label_low: float
    label_high: float
    notes: str


@dataclass(frozen=True)
class Alternative:
    """The score of the highest window, had one part of the evidence been other; None: there would be no score."""

    part: str
    score: float | None


@dataclass(frozen=True)
class RestsOn:
    """What the highest score rests on: ``time_s`` is the middle of that window, ``score`` its score."""

    time_s: float
    score: float
    alternatives: tuple[Alternative, ...]


@dataclass(frozen=True)
class PspiSummary:
    """Prkachin-Solomon pain intensity over the usable frames of the clip, 0-16.

    ``peak`` and ``peak_s``: the highest value and its time; ``share_above_3``: share of usable time with PSPI > 3;
    ``longest_run_s``: longest uninterrupted stretch above 3; ``mean_low``/``mean_high``: 90% interval of the mean.
    """

    mean: float
    mean_low: float
    mean_high: float
    p95: float
    peak: float
    peak_s: float
    share_above_3: float
    longest_run_s: float


@dataclass(frozen=True)
class ClipResult:
    """The verdict on the whole clip.

    ``verdict`` is "scored" or "not_enough_evidence". ``reasons`` say in reason codes why there is not enough evidence;
    ``score`` is None with ``score_reason`` set where no fused score could be given.
    """

    verdict: str
    reasons: tuple[str, ...]
    score: Score | None
    score_reason: str | None
    pspi: PspiSummary | None
    modalities: dict[str, float]


@dataclass(frozen=True)
class Window:
    """One 2 s window. None where it could not be measured."""

    start_s: float
    end_s: float
    score: float | None
    low: float | None
    high: float | None
    pspi: float | None
    pspi_low: float | None
    pspi_high: float | None
    face_share: float | None
    voiced_share: float | None
    face_weight: float | None
    voice_weight: float | None
    valid: bool
    reasons: tuple[str, ...]


@dataclass(frozen=True)
class VoiceChange:
    """One measure of the voice, other than at rest.

    ``measure``: its column in frames.csv; ``change`` in ``unit`` ("semitones", "dB", "times" for a ratio, "1");
    ``value`` and ``rest`` in the column's own unit, None for loudness, which means nothing on its own; ``against``:
    "rest_clip", "saved" or "recording"; ``sound``: "speech" or "nonverbal" where most of the voice was of that kind.
    """

    measure: str
    start_s: float
    end_s: float
    voiced_s: float
    change: float
    unit: str
    value: float | None
    rest: float | None
    against: str
    sound: str | None
    text: str


@dataclass(frozen=True)
class VoiceComparison:
    """Voice against the voice at rest: ``state`` is "changed", "no_clear_change" or "not_enough_voice"."""

    state: str
    voiced_s: float
    changes: tuple[VoiceChange, ...]
    text: str


@dataclass(frozen=True)
class VoiceBand:
    """What is usual at rest: the middle and the 5th and 95th percentile."""

    median: float
    low: float
    high: float
    against: str


@dataclass(frozen=True)
class VoiceEvidence:
    """What the voice shows.

    ``compared_with``: "rest_clip", "saved", "recording" (its own calmest part) or "none"; ``why`` in words;
    ``automatic_gain``: whether the microphone regulates its level, None where that cannot be told; ``f0_hz``: pitch at
    rest; ``loudness_db``: loudness at rest as a change in dB, its median is 0; ``loudness_zero``: the value of the
    column ``loudness`` that counts as 0 dB; ``strongest``: the strongest changes of the recording.
    """

    compared_with: str
    source: str
    why: str
    rest_voiced_s: float | None
    automatic_gain: bool | None
    f0_hz: VoiceBand | None
    loudness_db: VoiceBand | None
    loudness_zero: float | None
    strongest: VoiceComparison


@dataclass(frozen=True)
class Peak:
    """A moment of strongest expression.

    ``score``: of the window around it; ``pspi``: None where the face could not be measured; ``action_units``:
    intensities 0-5 there; ``voice``: named measures there; ``voice_change``: the voice there against the voice at rest,
    None without sound.
    """

    time_s: float
    score: float | None
    pspi: float | None
    action_units: dict[str, float]
    voice: dict[str, float | None]
    voice_change: VoiceComparison | None = None


@dataclass(frozen=True)
class PeakPicture:
    """What a peak looked like, for the HTML report only.

    mesh : ndarray [shape=(468, 2)] the face upright and pose-free, x right, y down, about -1..1
    frame_jpeg : the picture of the person, only with --include-frames
    """

    time_s: float
    mesh: npt.NDArray[np.floating[Any]]
    frame_jpeg: bytes | None = None


@dataclass(frozen=True)
class Report:
    """Result of :func:`painsense.analyze`. ``tracks`` hold the per-sample values by modality ("face", "voice")."""

    media: MediaSummary
    software: Software
    baseline: BaselineStamp
    quality: Quality
    clip: ClipResult
    windows: tuple[Window, ...]
    peaks: tuple[Peak, ...]
    #: what the score means, and what its highest value rests on; None without a score
    scale: ScoreScale | None = None
    rests_on: RestsOn | None = None
    #: None without sound
    voice: VoiceEvidence | None = None
    #: which kind of sound is where, see :mod:`painsense.voice_segments`
    segments: tuple[Segment, ...] = ()
    tracks: dict[str, Track] = field(default_factory=dict, repr=False)
    pictures: tuple[PeakPicture, ...] = field(default=(), repr=False)
    #: triangles of the face mesh, ndarray [shape=(898, 3)], for drawing
    mesh_triangles: npt.NDArray[np.integer[Any]] | None = field(default=None, repr=False)
    schema: str = SCHEMA

    def write(self, out: str | Path, formats: Iterable[str] = USUAL_FORMATS, stem: str | None = None) -> list[Path]:
        """Write the result files beside each other into the folder ``out`` and return their paths.

        Parameters
        ----------
        out : the folder; made when it is missing
        formats : any of "json", "csv", "html", "pdf", "functionals" (of the voice, for statistics)
        stem : the files are called ``stem.painsense.json``, ``stem.frames.csv``, ``stem.windows.csv``,
            ``stem.dictionary.csv`` (what each CSV column means), ``stem.html``, ``stem.pdf``,
            ``stem.functionals.csv``; by default the recording's own name without its ending. Two recordings of one name
            need two stems.

        Raises
        ------
        OutputError
            When a format is unknown or a file cannot be written. All files are written aside first and renamed last,
            so that none is ever half there.
        """
        from painsense.output import write_together  # these load what only writing needs
        from painsense.report_csv import dictionary_csv, frames_csv, functionals_csv, windows_csv

        wanted = tuple(dict.fromkeys(formats))
        check_formats(wanted)
        stem = Path(self.media.file).stem if stem is None else stem
        if not stem or Path(stem).name != stem:
            raise OutputError(f"stem: expected a bare file name, got {stem!r}; name the folder with out instead")
        files: dict[str, Iterable[bytes]] = {}
        if "json" in wanted:
            files[f"{stem}.painsense.json"] = [self.to_json().encode()]
        if "csv" in wanted:
            files[f"{stem}.frames.csv"] = frames_csv(self)
            files[f"{stem}.windows.csv"] = windows_csv(self)
        if "functionals" in wanted:
            files[f"{stem}.functionals.csv"] = functionals_csv(self)
        if "csv" in wanted or "functionals" in wanted:
            files[f"{stem}.dictionary.csv"] = dictionary_csv(self, "functionals" in wanted)
        if "html" in wanted:
            from painsense.report_html import to_html

            files[f"{stem}.html"] = [to_html(self).encode()]
        if "pdf" in wanted:
            from painsense.report_pdf import to_pdf

            files[f"{stem}.pdf"] = [to_pdf(self)]
        return write_together(Path(out), files)

    def to_dict(self) -> dict[str, Any]:
        """The report as plain Python values, the content of the JSON file; tracks and pictures are not part of it.

        Numbers are rounded to four decimals, missing ones are None, and of a path only the file's name is kept.
        """
        skipped = {"tracks", "pictures", "mesh_triangles", "schema"}
        named = {f.name: plain(getattr(self, f.name)) for f in dataclasses.fields(self) if f.name not in skipped}
        for part, key in (("media", "file"), ("baseline", "source")):
            named[part][key] = file_name(named[part][key])
        named["software"]["settings"] = plain_settings(self.software.settings)
        return {"schema": self.schema, **named}

    def to_json(self) -> str:
        """The text of the JSON file: one line a window or segment, keys as in the schema, the same bytes every time."""
        parts = []
        for key, value in self.to_dict().items():
            if key in ("windows", "segments") and value:
                rows = ",\n".join("    " + _dumps(row) for row in value)
                parts.append(f'  "{key}": [\n{rows}\n  ]')
            else:
                parts.append(f'  "{key}": ' + _dumps(value, indent=2).replace("\n", "\n  "))
        return "{\n" + ",\n".join(parts) + "\n}\n"


def check_formats(wanted: Sequence[str]) -> None:
    """OutputError where a format is unknown, or what makes it is not installed."""
    if not wanted or any(name not in FORMATS for name in wanted):
        raise OutputError(
            f"formats: expected one or more of {', '.join(FORMATS)}, got {', '.join(wanted) or 'none'}; "
            "name them separated by commas, for example --format json,csv"
        )
    if "pdf" in wanted and find_spec("reportlab") is None:
        raise OutputError("pdf: needs reportlab, which is not installed; pip install 'painsense[pdf]'")


def schema() -> dict[str, Any]:
    """The JSON Schema (draft 2020-12) of the JSON file; every key is described there."""
    text = resources.files("painsense").joinpath("schema/report-1.schema.json").read_text(encoding="utf-8")
    loaded: dict[str, Any] = json.loads(text)
    return loaded


def _dumps(value: Any, indent: int | None = None) -> str:
    return json.dumps(value, indent=indent, allow_nan=False, ensure_ascii=False)


def plain(value: Any) -> Any:
    """Dataclasses, tuples, NumPy numbers and paths as what JSON knows. Most frequent kinds first: an hour has many."""
    if value is None or isinstance(value, (bool, int)):
        return value
    if isinstance(value, float):
        return round(float(value), DECIMALS) + 0.0 if math.isfinite(value) else None  # + 0.0: no "-0.0"
    if isinstance(value, str):
        return clean_text(value)
    if isinstance(value, (list, tuple, np.ndarray)):
        return [plain(entry) for entry in value]
    if isinstance(value, dict):
        return {clean_text(str(key)): plain(entry) for key, entry in value.items()}
    if isinstance(value, Path):
        return clean_text(value.name)
    if isinstance(value, np.generic):
        return plain(value.item())
    return {f.name: plain(getattr(value, f.name)) for f in dataclasses.fields(value)}


def plain_settings(settings: dict[str, object]) -> dict[str, Any]:
    """Settings as JSON knows them; of a file only its name."""
    values = {key: plain(value) for key, value in settings.items()}
    return {key: file_name(value) if isinstance(value, str) else value for key, value in values.items()}


def file_name(text: str) -> str:
    """Of a path only the file's name: folder names may hold a patient's name. Other text is returned as it is."""
    for kind in (PurePosixPath, PureWindowsPath):
        path = kind(text)
        if path.name and (path.is_absolute() or (path.suffix and path.name != text)):
            return path.name
    return text


def clean_text(text: str) -> str:
    """Text that can be written as UTF-8: a byte of a file name that was no valid UTF-8 becomes "?"."""
    return text.encode("utf-8", "replace").decode("utf-8")
