"""Labelled recordings of made-up people for whole training runs: pieces of the bundled simulated recording, changed.

Each person is the same simulated face seen by another camera (mirrored, brighter or darker, nearer). Faces and voices
are found in them and labels follow what is shown; nothing can be learned about anybody.
"""

from __future__ import annotations

import csv
from pathlib import Path

import clips
import cv2
import make_datasets
import numpy as np

from painsense import media

SAMPLE = Path(__file__).resolve().parent.parent / "samples" / "episode.mp4"
TRUTH = SAMPLE.with_name("episode.truth.csv")
#: where the bundled recording shows what (seconds): a calm voice, then pain with a moan
CALM_S, PAIN_S = 6.0, 11.6
PEOPLE = ("042-ll042", "043-jh043", "064-ak064", "123-jh123")  # of the published folds of UNBC-McMaster


def frames(start_s: float, seconds: float) -> list[np.ndarray]:
    """RGB pictures of the bundled recording, 25 a second."""
    found = media.read_frames(media.open_media(SAMPLE), start_s - 1e-3, start_s + seconds - 1e-3)
    return [image for _, image in found]


def pspi(start_s: float, seconds: float) -> np.ndarray:
    """What is really shown in each of these pictures."""
    with TRUTH.open(encoding="utf-8") as table:
        rows = [(float(row["time_s"]), float(row["pspi"])) for row in csv.DictReader(table)]
    return np.array([value for time_s, value in rows if start_s - 1e-3 <= time_s < start_s + seconds - 1e-3])


def seen_by(person: int, image: np.ndarray) -> np.ndarray:
    """A picture as another camera would see it: every second mirrored, each of another brightness and distance."""
    other = image[:, ::-1] if person % 2 else image
    height, width = other.shape[:2]
    cut = 6 * person
    other = cv2.resize(other[cut : height - cut, cut : width - cut], (width, height), interpolation=cv2.INTER_AREA)
    return np.clip(other.astype(np.float32) * (0.85 + 0.08 * person), 0, 255).astype(np.uint8)


def unbc(folder: Path, seconds: float = 2.2) -> Path:
    """Four people with two sequences each, calm and in pain, in the layout of UNBC-McMaster."""
    pieces = {"t1aaaff": CALM_S, "t2aeunaff": PAIN_S}
    shown = {name: (frames(start_s, seconds), pspi(start_s, seconds)) for name, start_s in pieces.items()}
    count = min(len(images) for images, _ in shown.values())
    make_datasets.unbc(folder, PEOPLE, frames=count, sequences=pieces)
    for person, subject in enumerate(PEOPLE):
        code = subject.split("-")[1]
        for name, (images, truth) in shown.items():
            sequence = f"{code}{name}"
            for number in range(count):
                stem = f"{sequence}{number + 1:03d}"
                picture = folder / "Images" / subject / sequence / f"{stem}.png"
                picture.unlink()
                bgr = cv2.cvtColor(seen_by(person, images[number]), cv2.COLOR_RGB2BGR)
                assert cv2.imwrite(str(picture.with_suffix(".jpg")), bgr)
                label = folder / "Frame_Labels" / "PSPI" / subject / sequence / f"{stem}_facs.txt"
                make_datasets.touch(label, f"   {round(truth[number]):.7e}\n")
            said = folder / "Sequence_Labels" / "VAS" / subject / f"{sequence}.txt"
            make_datasets.touch(said, f"   {7.0 - person if name != 't1aaaff' else 0.5 * person:.7e}\n")
    return folder


def manifest(folder: Path, seconds: float = 2.2, people: int = 4) -> Path:
    """A table of as many people, a calm and a painful recording each, with sound."""
    lines = ["subject,video,session,label_kind,label_value,sex,age,flags"]
    for person in range(people):
        for name, start_s in (("rest", CALM_S), ("lift", PAIN_S)):
            file = f"p{person:02d}_{name}.mp4"
            _film(folder / "recordings" / file, person, start_s, seconds)
            value = person / 2 if name == "rest" else 8 - person
            flags = "rest" if name == "rest" else ""
            lines.append(
                f"p{person:02d},recordings/{file},day 1,nrs,{value:g},{('female', 'male')[person % 2]},50,{flags}"
            )
    return make_datasets.touch(folder / "manifest.csv", "\n".join(lines) + "\n")


def _film(path: Path, person: int, start_s: float, seconds: float) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    images = frames(start_s, seconds)
    heard = np.concatenate([block for _, block in media.read_audio(media.open_media(SAMPLE))])
    rate = media.SAMPLE_RATE_HZ
    part = heard[round(start_s * rate) : round((start_s + seconds) * rate)] * (0.7 + 0.1 * person)

    def picture(number: int, width: int, height: int) -> np.ndarray:
        return seen_by(person, images[min(number, len(images) - 1)])

    clips.make_clip(
        path, seconds=seconds, fps=25, size=(images[0].shape[1], images[0].shape[0]), picture=picture,
        sound=np.repeat(part, clips.AUDIO_RATE_HZ // rate)[None], codec_options={"preset": "ultrafast"},
    )  # fmt: skip


def long(path: Path, start_s: float, seconds: float, sound_s: float, fps: float = 12.5) -> Path:
    """A recording of ``seconds`` that shows 4 s of the bundled one forth and back, with sound from ``sound_s`` on."""
    images = frames(start_s, 4.0)[:: round(25 / fps)]
    heard = np.concatenate([block for _, block in media.read_audio(media.open_media(SAMPLE))])
    rate = media.SAMPLE_RATE_HZ
    part = heard[round(sound_s * rate) : round((sound_s + 4) * rate)]
    sound = np.tile(part, round(seconds / 4) + 1)[: round(seconds * rate)]

    def picture(number: int, width: int, height: int) -> np.ndarray:
        there = number % (2 * len(images))
        return images[there if there < len(images) else 2 * len(images) - 1 - there]

    path.parent.mkdir(parents=True, exist_ok=True)
    return clips.make_clip(
        path, seconds=seconds, fps=fps, size=(images[0].shape[1], images[0].shape[0]), picture=picture,
        sound=np.repeat(sound, clips.AUDIO_RATE_HZ // rate)[None], codec_options={"preset": "ultrafast"},
    )  # fmt: skip
