"""cache: what painsense measured of the clips of a data set, on the disk. Written by :mod:`training.fusion.prepare`.

    CACHE/index.json      the data set, and what measured it
    CACHE/tracks/KEY.npz  face, voice and kinds of sound of one recording; KEY follows from its content (:func:`key`)
    CACHE/clips.json      the clips: whose, labels, groups, fold, flags, and the KEY of each; written when all are done

Nothing in it holds a path or a name. Numbers about a face and a voice they are all the same: keep a cache as closely as
the recordings.
"""

from __future__ import annotations

import hashlib
import io
import json
import math
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from painsense import __version__, action_units, assets, voice
from painsense.assemble import Observed
from painsense.output import write_together
from painsense.tracks import Column, Reason, Track
from painsense.voice_rest import Rest
from painsense.voice_segments import Segment
from training.errors import TrainingError
from training.fusion import record
from training.fusion.record import Clip

INDEX, CLIPS, TRACKS = "index.json", "clips.json", "tracks"
FORMAT = 2  # of the files and of the way a clip is measured (training.fusion.measure)
MODELS = ("face_landmarker", "face_shape", "action_units", "voice_segments")  # what a track depends on
_AGAIN = "give another folder with --out, or delete this one, and prepare the data set anew"


@dataclass(frozen=True)
class Failed:
    """A clip that could not be measured, and why, without a name."""

    id: str
    why: str


def extractor(baseline: str) -> dict[str, Any]:
    """What the content of a track depends on beside the recording: painsense, its models, its columns, the neutral."""
    hashes = assets.sha256_by_name()
    names = "\n".join(column.name for column in (*action_units.COLUMNS, *voice.COLUMNS))
    return {
        "format": FORMAT,
        "painsense": __version__,
        "models": {name: hashes[name] for name in MODELS},
        "columns": hashlib.sha256(names.encode()).hexdigest(),
        "baseline": baseline,
    }


def key(clip: Clip, made_by: Mapping[str, Any]) -> str:
    """Name of a recording's tracks: the SHA-256 of its content, of the part that is meant, and of what measures it."""
    digests: dict[str, list[str]] = {}
    rest = None if made_by["baseline"] == "none" else clip.rest
    for role, files in (("video", [clip.video]), ("audio", [clip.audio]), ("frames", clip.frames), ("rest", [rest])):
        digests[role] = []
        for file in files:
            if file is not None:
                with file.open("rb") as content:
                    digests[role].append(hashlib.file_digest(content, "sha256").hexdigest())
    numbers = [None if math.isnan(value) else value for value in (clip.fps, clip.start_s, clip.end_s, *clip.crop)]
    said = json.dumps([digests, numbers, clip.seed, dict(made_by)], sort_keys=True, allow_nan=False)
    return hashlib.sha256(said.encode()).hexdigest()[:40]


def path_of(folder: Path, name: str) -> Path:
    """Where the tracks of a key lie."""
    return folder / TRACKS / f"{name}.npz"


# --- a folder ---------------------------------------------------------------------------------------------------------


def check(folder: Path, dataset: str, made_by: Mapping[str, Any]) -> None:
    """Whether a folder is new or empty, or a cache of that data set by that extractor; TrainingError if neither."""
    if folder.exists() and not folder.is_dir():
        raise TrainingError.at(folder, "a folder for the cache was expected, a file came", "give another --out")
    if not folder.exists() or not any(folder.iterdir()):
        return
    index = _index(folder)
    if index["dataset"] != dataset:
        raise TrainingError.at(
            folder, f"a cache of {dataset} was expected, this is one of {index['dataset']}; nothing was changed",
            "give another folder with --out",
        )  # fmt: skip
    _same(folder, index["extractor"], made_by)


def begin(folder: Path, dataset: str, made_by: Mapping[str, Any]) -> None:
    """Write the index of a new cache."""
    if not (folder / INDEX).exists():
        _write(folder, INDEX, {"dataset": dataset, "extractor": dict(made_by)})


def keep(folder: Path, clips: Sequence[tuple[Clip, str]], failed: Sequence[Failed]) -> None:
    """Write the list of the clips and their keys; a list that says the same stays as it is."""
    content = {
        "clips": [{"key": name, **record.to_dict(clip)} for clip, name in clips],
        "failed": [asdict(each) for each in failed],
    }
    path = folder / CLIPS
    if not (path.exists() and _json(path) == json.loads(json.dumps(content))):
        _write(folder, CLIPS, content)


def kept(folder: Path) -> set[str]:
    """Ids of the clips a finished cache holds; none of one that is not finished."""
    path = folder / CLIPS
    return {clip.id for clip, _ in _clips(path)} if path.exists() else set()


def load(folder: Path) -> Iterator[tuple[Clip, Observed]]:
    """The clips of a cache, one after the other, with what was measured of them.

    Raises
    ------
    TrainingError : there is no cache, it is not finished, or another version of painsense or of its models made it
    """
    made_by = _index(folder)["extractor"]
    _same(folder, made_by, extractor(str(made_by.get("baseline"))))
    path = folder / CLIPS
    if not path.exists():
        raise TrainingError.at(
            folder, "a finished cache was expected, this one was begun only", "give the same command again to finish it"
        )
    return ((clip, read(path_of(folder, name))) for clip, name in _clips(path))


def _clips(path: Path) -> list[tuple[Clip, str]]:
    """The clips a list holds, with their keys."""
    try:
        return [(record.from_dict(each), str(each["key"])) for each in _json(path)["clips"]]
    except (KeyError, TypeError) as error:
        raise TrainingError.at(
            path, f"the list of the clips was expected ({error} is missing or garbled)",
            "delete it and prepare the data set again: tracks that fit stay",
        ) from error  # fmt: skip


def _index(folder: Path) -> dict[str, Any]:
    path = folder / INDEX
    content = _json(path) if path.is_file() else {}
    if not (isinstance(content.get("extractor"), dict) and isinstance(content.get("dataset"), str)):
        raise TrainingError.at(
            folder, "an empty folder or a cache of prepared clips was expected, it holds other files; nothing was "
            "changed", "give another folder with --out",
        )  # fmt: skip
    return content


def _json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise TrainingError.at(path, f"a list of a cache was expected ({error})", _AGAIN) from error
    return content if isinstance(content, dict) else {}


def _same(folder: Path, came: Mapping[str, Any], expected: Mapping[str, Any]) -> None:
    """TrainingError where a cache was made by something else, saying by what."""
    apart = []
    for what in sorted({*came, *expected}):
        then, now = came.get(what), expected.get(what)
        if then != now and isinstance(then, dict) and isinstance(now, dict):
            apart += [f"{what}.{name}" for name in sorted({*then, *now}) if then.get(name) != now.get(name)]
        elif then != now:
            known = what in ("painsense", "baseline", "format")
            apart.append(f"{what} {then} instead of {now}" if known else what)
    if apart:
        raise TrainingError.at(
            folder, f"a cache measured as this painsense measures was expected, other: {', '.join(apart)}; nothing was "
            "changed", _AGAIN,
        )  # fmt: skip


def _write(folder: Path, name: str, content: Mapping[str, Any]) -> None:
    text = json.dumps(content, indent=1, sort_keys=True, allow_nan=False) + "\n"
    write_together(folder, {name: [text.encode()]})


# --- the tracks of one recording --------------------------------------------------------------------------------------


def write(path: Path, measured: Observed) -> None:
    """Write what was measured, whole or not at all."""
    arrays: dict[str, npt.NDArray[Any]] = {}
    said: dict[str, Any] = {
        "neutral_known": measured.neutral_known,
        "voice_at_rest": None if measured.voice_at_rest is None else measured.voice_at_rest.values,
        "segments": [[segment.start_s, segment.end_s, segment.kind] for segment in measured.segments],
    }
    for track in (measured.face, measured.voice):
        if track is not None:
            name = track.modality
            said[name] = {
                "columns": [asdict(column) for column in track.columns],
                "reasons": [asdict(reason) for reason in track.reasons],
            }
            arrays[f"{name}_time_s"], arrays[f"{name}_values"] = track.time_s, track.values
            arrays[f"{name}_bits"] = track.reason_bits
    arrays["said"] = np.frombuffer(json.dumps(said).encode(), np.uint8)
    buffer = io.BytesIO()
    np.savez_compressed(buffer, allow_pickle=False, **arrays)
    write_together(path.parent, {path.name: [buffer.getvalue()]})


def read(path: Path) -> Observed:
    """What :func:`write` wrote; TrainingError when it is gone or something else."""
    try:
        with np.load(io.BytesIO(path.read_bytes()), allow_pickle=False) as stored:
            said = json.loads(stored["said"].tobytes())
            tracks = {name: _track(name, said[name], stored) for name in ("face", "voice") if name in said}
        segments = tuple(Segment(float(start), float(end), str(kind)) for start, end, kind in said["segments"])
        rest = None
        if said["voice_at_rest"] is not None:
            rest = Rest("rest_clip", "", {str(name): float(value) for name, value in said["voice_at_rest"].items()})
        return Observed(tracks.get("face"), tracks.get("voice"), segments, bool(said["neutral_known"]), rest)
    except (OSError, EOFError, ValueError, KeyError, TypeError, zipfile.BadZipFile) as error:
        raise TrainingError.at(
            path, f"the tracks of a recording were expected ({error})",
            "delete the file and prepare the data set again: only what is missing is measured",
        ) from error  # fmt: skip


def _track(name: str, said: Mapping[str, Any], stored: Any) -> Track:
    return Track(
        name,
        tuple(Column(**each) for each in said["columns"]),
        tuple(Reason(**each) for each in said["reasons"]),
        stored[f"{name}_time_s"],
        stored[f"{name}_values"],
        stored[f"{name}_bits"],
    )
