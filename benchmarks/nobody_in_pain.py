"""What the fusion network says of real recordings in which nobody is in pain: share of windows scored above 3.

    python -m benchmarks.nobody_in_pain --data FOLDER                     the model that ships
    python -m benchmarks.nobody_in_pain --data FOLDER --fusion-model A B   others, on the same measurements

FOLDER holds ``clips/*.mpg`` (GRID corpus, people who say a neutral sentence), ``clips/single_face.mp4`` (neutral to
smile), ``clips/baseline.mp4`` (a neutral face) and ``voice/ravdess/*.flac`` (acted emotions, sound alone). Every
recording goes through the whole pipeline as a user's does, without a rest clip; each window is then also judged by face
alone and by voice alone. None of these recordings may be trained on, so nothing here chooses anything.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from painsense import assets, fusion, windows
from painsense.errors import PainsenseError
from painsense.fusion import Fusion, FusionInputs
from painsense.pipeline import Analyzer, Settings

LIMIT = 3.0
GOAL = 0.05
GOAL_GROUPS = ("GRID talkers", "smile")
RAVDESS_EMOTIONS = {"01": "neutral", "03": "happy", "04": "sad", "05": "angry", "06": "fearful", "07": "disgust"}
WAYS = ("all there is", "face alone", "voice alone")


@dataclass(frozen=True)
class Seen:
    """A recording as the network sees it."""

    group: str
    name: str
    inputs: FusionInputs


@dataclass(frozen=True)
class Row:
    """Windows of one group in one way: with a score, those of them above 3, mean, highest; and too unsure for one."""

    group: str
    way: str
    windows: int
    above: int
    mean: float
    highest: float
    unsure: int

    @property
    def share(self) -> float:
        """Of the windows with a score, those above 3; NaN without any."""
        return self.above / self.windows if self.windows else float("nan")


def recordings(data: Path) -> Iterator[tuple[str, Path]]:
    """The group and file of each recording; SystemExit where the folder is not the one described above."""
    found = [("GRID talkers", path) for path in sorted((data / "clips").glob("*.mpg"))]
    found += [
        (group, data / "clips" / name)
        for group, name in (("smile", "single_face.mp4"), ("neutral face", "baseline.mp4"))
        if (data / "clips" / name).exists()
    ]
    for path in sorted((data / "voice" / "ravdess").glob("*.flac")):
        emotion = RAVDESS_EMOTIONS.get(path.stem.split("-")[2]) if path.stem.count("-") == 6 else None
        if emotion is None:
            raise SystemExit(f"{path}: a name as RAVDESS has them was expected, such as 03-01-05-02-01-01-02.flac")
        found.append((f"RAVDESS {emotion}", path))
    if not found:
        raise SystemExit(f"{data}: clips/*.mpg, clips/*.mp4 or voice/ravdess/*.flac were expected, none is there")
    yield from found


def look(data: Path, models: Sequence[Path | None]) -> list[Seen]:
    """What the network sees of every recording; the models read the same."""
    seen = []
    with Analyzer(Settings(fusion_model=models[0])) as analyzer:
        for group, path in recordings(data):
            report = analyzer.analyze(path)
            inputs = fusion.inputs(
                report.tracks.get("face"),
                report.tracks.get("voice"),
                report.segments,
                windows.grid(report.media.duration_s),
                neutral_known=report.baseline.kind != "none",
            )
            seen.append(Seen(group, path.name, inputs))
    return seen


def judge(network: Fusion, seen: Sequence[Seen]) -> list[Row]:
    """One row for each group and way in which some window has a score."""
    rows = []
    for group in dict.fromkeys(each.group for each in seen):
        mine = [each.inputs for each in seen if each.group == group]
        for way in WAYS:
            scores, unsure = [], 0
            for inputs in mine:
                if way != WAYS[0]:
                    inputs = inputs.only("face" if way == "face alone" else "voice")
                said = network(inputs)
                scores.append(said.score[said.valid])
                unsure += int(said.too_wide.sum())
            score = np.concatenate(scores)
            if len(score):
                above = int((score > LIMIT).sum())
                rows.append(Row(group, way, len(score), above, float(score.mean()), float(score.max()), unsure))
    return rows


def show(rows: Sequence[Row]) -> None:
    """A table, and beside the groups that have a goal whether it is met."""
    print("| recordings | seen | windows | above 3 | mean | highest | no score: too unsure | |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- |")
    for row in rows:
        aim = "" if row.group not in GOAL_GROUPS else "ok" if row.share < GOAL else f"**missed** (under {GOAL:.0%})"
        figures = f"{row.windows} | {row.share:.0%} | {row.mean:.2f} | {row.highest:.1f} | {row.unsure}"
        print(f"| {row.group} | {row.way} | {figures} | {aim} |")


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line: see the module's docstring."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.nobody_in_pain", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)  # fmt: skip
    parser.add_argument("--data", type=Path, required=True, help="folder of the recordings")
    parser.add_argument("--fusion-model", type=Path, nargs="+", default=[None], help="files made by export.fusion")
    options = parser.parse_args(arguments)
    try:
        seen = look(options.data, options.fusion_model)
        for path in options.fusion_model:
            network = Fusion.load(assets.read_fusion_model(path))
            print(f"\n{network.spec.name} {network.spec.version} ({path or 'ships with painsense'})\n")
            show(judge(network, seen))
    except PainsenseError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
