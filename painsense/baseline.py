"""A person's own neutral: what their face (and voice) look like at rest.

Faces differ more in shape than in expression, so every action unit is read beside the person's neutral. It comes from a
rest clip, from the clip itself without any labels, or is absent; its kind is written into every result.
"""

from __future__ import annotations

import datetime as dt
import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np

from painsense import face
from painsense.errors import BaselineError
from painsense.landmarks import BLENDSHAPES
from painsense.output import write_together
from painsense.tracks import BoolArray, FloatArray, Track, seconds_per_sample

SCHEMA = "painsense.baseline/2"
MIN_USABLE_S = 1.0  # usable face needed for a neutral
QUIET_SHARE = 0.25  # share of a clip's usable frames, those nearest to rest, that make its automatic neutral
MOST_FRAMES = 4000  # frames a neutral is computed from
PERCENTILE = 20  # first guess of rest: this far from the end opposite to where expression moves a value
MAX_YAW_DEG = 25.0  # frames turned further do not define anybody's neutral
STALE_DAYS = 30  # a face changes (swelling, weight, a tube): beyond this a saved neutral is warned about
#: measures that tell rest from expression; the shape of the mesh would drown them in whose face it is
MEASURES = tuple(column.name for column in face.GEOMETRY_COLUMNS + face.BLENDSHAPE_COLUMNS)
_RISES = {measure.name: measure.rises for measure in face.GEOMETRY} | dict.fromkeys(BLENDSHAPES, 1)


@dataclass(frozen=True)
class Baseline:
    """A neutral.

    Attributes
    ----------
    kind : "rest_clip", "saved" or "auto"
    source : name of the recording it was made from (never a path)
    created : ISO 8601 time at which it was made
    frames, seconds : how much usable face it rests on
    face : median of each of :func:`features` at rest
    face_spread : median absolute deviation of each
    voice : what :func:`painsense.voice_rest.at_rest` keeps of the voice at rest; empty without sound
    face_model_sha256 : the networks that saw the face; another bundle measures another neutral
    face_shape_sha256 : the basis its shape is written in; in another basis the same numbers are another face
    """

    kind: str
    source: str
    created: str
    frames: int
    seconds: float
    face: dict[str, float]
    face_spread: dict[str, float]
    voice: dict[str, float] = field(default_factory=dict)
    face_model_sha256: str = ""
    face_shape_sha256: str = ""

    def value(self, name: str) -> float:
        """The resting value of one of :func:`features`."""
        return self.face[name]

    def values(self, names: Sequence[str]) -> FloatArray:
        """The resting values of some of :func:`features`, ndarray [shape=(len(names),), float32]."""
        return np.array([self.face[name] for name in names], np.float32)

    def save(self, path: Path) -> None:
        """Write as JSON, whole or not at all. OutputError when that cannot be done."""
        content = {"schema": SCHEMA, **asdict(self)}
        write_together(path.parent, {path.name: [(json.dumps(content, indent=1, allow_nan=False) + "\n").encode()]})

    @classmethod
    def load(cls, path: Path) -> Baseline:
        """Read a file :meth:`save` wrote; its kind becomes "saved". BaselineError when it is something else."""
        remedy = "make one with: painsense baseline REST_CLIP --out FILE.json"
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise BaselineError(f"baseline: {path} does not exist; {remedy}") from None
        except (OSError, ValueError) as error:
            raise BaselineError(f"baseline: {path} is not a readable JSON file ({error}); {remedy}") from error
        schema = content.pop("schema", None) if isinstance(content, dict) else None
        if schema != SCHEMA:
            what = (
                f"was made by another version of painsense ({schema}), which measured the face in another way"
                if str(schema).startswith(SCHEMA.rpartition("/")[0])
                else "is not a painsense baseline"
            )
            raise BaselineError(f"baseline: {path} {what} (schema {SCHEMA} expected); {remedy}")
        if (came := content.get("face_shape_sha256")) != face.shipped_shape().sha256:
            raise BaselineError(
                f"baseline: {path} was made with another basis of face shapes ({str(came)[:12]}...) than the one "
                f"installed ({face.shipped_shape().sha256[:12]}...), so that its numbers mean another face; {remedy}"
            )
        try:
            loaded = cls(**{**content, "kind": "saved"})
            values = [float(part[name]) for part in (loaded.face, loaded.face_spread) for name in features()]
            values += [float(value) for value in loaded.voice.values()]
        except (TypeError, KeyError, ValueError, AttributeError) as error:
            raise BaselineError(
                f"baseline: {path} does not hold the measures this version of painsense reads ({error}); {remedy}"
            ) from error
        if not all(map(math.isfinite, values)):
            raise BaselineError(f"baseline: {path} holds numbers that are not finite; {remedy}")
        return loaded

    def age_days(self, now: dt.datetime) -> float:
        """Days since it was made."""
        return (now - dt.datetime.fromisoformat(self.created)).total_seconds() / 86400


def features() -> tuple[str, ...]:
    """What a neutral holds of a face: how it stood to the camera, :data:`MEASURES`, and the shape of the mesh."""
    return (*face.STANCE, *MEASURES, *face.shipped_shape().names)


def now() -> dt.datetime:
    """The current time, in UTC."""
    return dt.datetime.now(dt.UTC)


def from_rest(raw: Track, source: str, voice: dict[str, float] | None = None, face_model_sha256: str = "") -> Baseline:
    """A neutral from a recording of the person at rest: the median over its usable frames."""
    values, seconds = _usable(raw)
    if seconds < MIN_USABLE_S:
        raise BaselineError(
            f"baseline: needs at least {MIN_USABLE_S:g} s of usable face, got {seconds:.1f} s ({source}); record 5 to "
            "10 s of the person at rest, facing the camera in good light"
        )
    return _make("rest_clip", source, values, seconds, voice, face_model_sha256)


def from_clip(
    raw: Track, source: str, voice: dict[str, float] | None = None, face_model_sha256: str = ""
) -> Baseline | None:
    """A neutral from the clip itself, without labels: the median over the quarter of its frames nearest to rest.

    Rest is guessed at measure by measure (the 20th percentile from the end that expression moves away from), then
    the frames nearest to that guess are taken whole, so that the neutral is a face the person really showed. Pain
    that lasts all through the clip cannot be seen against such a neutral. None with too little usable face.
    """
    values, seconds = _usable(raw)
    if seconds < MIN_USABLE_S:
        return None
    start = len(face.STANCE)
    telling = values[:, start : start + len(MEASURES)]
    guess = np.array(
        [
            np.median(column) if _RISES[name] == 0 else np.percentile(column, 50 - _RISES[name] * (50 - PERCENTILE))
            for name, column in zip(MEASURES, telling.T, strict=True)
        ]
    )
    spread = np.maximum(np.median(np.abs(telling - np.median(telling, axis=0)), axis=0), 1e-3)
    far = np.minimum(np.abs(telling - guess) / spread, 10).mean(axis=1)
    quiet = far <= np.quantile(far, QUIET_SHARE)
    return _make("auto", source, values[quiet], seconds * float(quiet.mean()), voice, face_model_sha256)


def warnings(baseline: Baseline, pspi: float, smile: float) -> list[str]:
    """What is doubtful about a neutral: its age, and whether the face at rest looks like one.

    ``pspi`` and ``smile`` are the PSPI and AU12 of the neutral against the average face.
    """
    found = []
    if baseline.kind == "saved" and baseline.age_days(now()) > STALE_DAYS:
        found.append(
            f"the saved baseline is {baseline.age_days(now()):.0f} days old; faces change: record a new rest clip "
            "when you can"
        )
    if baseline.kind != "auto" and (pspi > NOT_NEUTRAL_PSPI or smile > NOT_NEUTRAL_AU12):
        what = (
            "a smile" if smile > NOT_NEUTRAL_AU12 else f"an expression (PSPI about {pspi:.1f} against the average face)"
        )
        found.append(f"the baseline does not look neutral: it shows {what}; scores against it may be too low")
    return found


NOT_NEUTRAL_PSPI = 5.0
NOT_NEUTRAL_AU12 = 2.0


def shows_rest(raw: Track) -> BoolArray:
    """Which frames are good enough to define a neutral, ndarray [shape=(n,)]: usable, and facing the camera."""
    return raw.valid & (np.abs(np.nan_to_num(raw.column("yaw_deg"), nan=180)) <= MAX_YAW_DEG)


def _usable(raw: Track) -> tuple[FloatArray, float]:
    """The :func:`features` of the frames that may define a neutral, and how many seconds they stand for."""
    rows = np.flatnonzero(shows_rest(raw))
    seconds = float(seconds_per_sample(raw.time_s)[rows].sum())
    rows = rows[:: len(rows) // MOST_FRAMES + 1]  # spread evenly: medians of an hour need no more than minutes do
    return raw.values[rows][:, face.places(raw, features())], seconds


def _make(
    kind: str, source: str, values: FloatArray, seconds: float, voice: dict[str, float] | None, sha256: str
) -> Baseline:
    middle = np.median(values, axis=0)
    spread = np.median(np.abs(values - middle), axis=0)

    def named(numbers: FloatArray) -> dict[str, float]:
        return {name: round(float(number), 6) for name, number in zip(features(), numbers, strict=True)}

    return Baseline(
        kind=kind,
        source=source,
        created=now().isoformat(timespec="seconds"),
        frames=len(values),
        seconds=round(seconds, 3),
        face=named(middle),
        face_spread=named(spread),
        voice=voice or {},
        face_model_sha256=sha256,
        face_shape_sha256=face.shipped_shape().sha256,
    )
