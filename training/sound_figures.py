"""How well kinds of sound are told apart: the gates alone, painsense, and a speech detector, on the same frames.

    python -m training.sound_figures                                    held-out generated scenes
    python -m training.sound_figures --nonverbal cries/*.mp3 --other knocks/*.wav --speech talk/*.flac
    python -m training.sound_figures --silero silero_vad_16k_op15.onnx  beside Silero VAD (pip download silero-vad)

Prints tables in Markdown, for ``docs/voice-segments.md``. A recording is all of one kind; of it the frames within 20 dB
of its loudest count, which are certainly the sound. Of scenes the frames count whose kind is sure.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from painsense import media, providers, voice
from painsense import voice_segments as segments
from painsense.tracks import BoolArray, Track
from training.simulate import scenes
from training.simulate.sounds import MAKERS

SEED = 1000  # of scenes nobody trained on
SCENES_OF_EACH = 12
LOUD_DB = 20.0
DETECTED = 0.5  # Silero's own threshold
_BLOCK, _BEFORE = 512, 64  # samples Silero reads at a time, and of those before

Sound = npt.NDArray[np.float32]
Detector = Callable[[Sound], npt.NDArray[np.float64]]


@dataclass(frozen=True)
class Row:
    """One line of a table: frames counted, and shares of them in percent."""

    name: str
    kind: str
    frames: int
    gates: float
    detector: float
    voice: float
    each: tuple[float, ...]


def row(name: str, kind: str, sounds: Iterable[tuple[Sound, BoolArray | None]], detector: Detector | None) -> Row:
    """Figures over sounds [16 kHz] and which of their frames count; None: those within 20 dB of the loudest."""
    counts, gated, detected, frames = np.zeros(len(segments.KINDS) + 1), 0, 0, 0
    for y, use in sounds:
        track = voice.low_level(y, voice.SAMPLE_RATE_HZ)
        use = _loud(track) if use is None else use
        counts += np.bincount(segments.kinds(track)[use], minlength=len(counts))
        gated += int((track.column("voiced")[use] == 1).sum())
        detected += int((detector(y)[: len(use)][use] > DETECTED).sum()) if detector else 0
        frames += int(use.sum())
    share = 100 * counts / max(frames, 1)
    detector_share = 100 * detected / max(frames, 1) if detector else float("nan")
    heard = float(share[: len(segments.VOICE_KINDS)].sum())
    return Row(name, kind, frames, 100 * gated / max(frames, 1), detector_share, heard, tuple(map(float, share[:-1])))


def generated(detector: Detector | None, count: int = SCENES_OF_EACH) -> list[Row]:
    """Scenes of each sound, alone in room and noise of random strength."""
    rows = []
    for number, (kind, name) in enumerate((kind, name) for kind, makers in MAKERS.items() for name in makers):
        made = [scenes.scene(np.random.default_rng([SEED, number, k]), names=[name]) for k in range(count)]
        rows.append(row(name, kind, [(one.y, one.kind == scenes.KIND[kind]) for one in made], detector))
    return rows


def recorded(kind: str, paths: Sequence[Path], detector: Detector | None) -> list[Row]:
    """Recordings of one kind, those of a folder together."""
    folders = sorted({path.parent for path in paths})
    rows = []
    for folder in folders:
        mine = [path for path in sorted(paths) if path.parent == folder]
        rows.append(row(folder.name, kind, ((_read(path), None) for path in mine), detector))
    return rows


def silero(path: Path) -> Detector:
    """Silero VAD's probability of speech, ndarray [shape=(n,)] every 10 ms, from its ONNX file for 16 kHz."""
    session = providers.runtime().InferenceSession(path.read_bytes(), providers=["CPUExecutionProvider"])
    rate = np.array(voice.SAMPLE_RATE_HZ, np.int64)

    def probability(y: Sound) -> npt.NDArray[np.float64]:
        state = np.zeros((2, 1, 128), np.float32)
        padded = np.pad(y.astype(np.float32), (_BEFORE, -len(y) % _BLOCK))
        found = []
        for at in range(0, len(padded) - _BEFORE, _BLOCK):
            block = padded[None, at : at + _BEFORE + _BLOCK]
            speech, state = session.run(None, {"input": block, "state": state, "sr": rate})
            found.append(float(speech[0, 0]))
        middle = np.arange(len(y) // voice.HOP) * voice.HOP + voice.HOP // 2
        return np.array(found)[middle // _BLOCK]

    return probability


def table(rows: Sequence[Row]) -> str:
    """A table in Markdown: share of frames called voice by each way, and what painsense called them."""
    head = ["sound", "kind", "s", "gates: voice %", "Silero: speech %", "painsense: voice %", *segments.KINDS]
    lines = ["| " + " | ".join(head) + " |", "|---" * len(head) + "|"]
    for one in rows:
        shares = [one.gates, one.detector, one.voice, *one.each]
        cells = [one.name, one.kind, f"{one.frames / 100:.0f}", *("" if np.isnan(s) else f"{s:.1f}" for s in shares)]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _loud(track: Track) -> BoolArray:
    level = np.nan_to_num(track.column("level_dbfs"), nan=-np.inf)
    return np.asarray(level > level.max() - LOUD_DB)


def _read(path: Path) -> Sound:
    return np.concatenate([samples for _, samples in media.read_audio(media.open_media(path))]).astype(np.float32)


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for kind in segments.KINDS[:-1]:
        parser.add_argument(f"--{kind}", type=Path, nargs="+", default=[], help=f"recordings that hold only {kind}")
    parser.add_argument("--silero", type=Path, help="Silero VAD's ONNX file for 16 kHz")
    parser.add_argument("--scenes", type=int, default=SCENES_OF_EACH, help="generated scenes of each sound")
    given = parser.parse_args(arguments)
    detector = silero(given.silero) if given.silero else None
    real = [one for kind in segments.KINDS[:-1] for one in recorded(kind, getattr(given, kind), detector)]
    for rows in (real, generated(detector, given.scenes)):
        if rows:
            print(table(rows), end="\n\n")


if __name__ == "__main__":
    main()
