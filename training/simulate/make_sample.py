"""Makes ``samples/episode.mp4`` and its truth: half a minute of a simulated person, from rest through pain to absence.

    python -m training.simulate.make_sample --head FaceXModel/ --out samples/

The same seed makes the same pictures, sound and truth.
"""

from __future__ import annotations

import argparse
import csv
import logging
import sys
from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import numpy.typing as npt

from training.simulate import voice
from training.simulate.episodes import (
    PAIN,
    SMILE,
    Episode,
    Moves,
    Series,
    blinks,
    closed_eyes,
    course,
    expression,
    sway,
    together,
    voice_moves,
)
from training.simulate.head import AU_NAMES, HeadError, load_head
from training.simulate.render import Camera, Light, Looks, Person, Renderer, RenderError, RgbImage

log = logging.getLogger(__name__)

SEED = 7
FPS = 25
WIDTH_PX, HEIGHT_PX = 640, 360
CAPTION = "synthetic face - painsense sample"
CAMERA = Camera(distance_cm=65.0, focal_mm=40.0)
LIGHT = Light(azimuth_deg=-40.0, elevation_deg=35.0, strength=0.72, ambient=0.40, warmth=0.15)

#: phase, end in seconds
SCRIPT: tuple[tuple[str, float], ...] = (
    ("rest", 5.0),
    ("speaking", 9.0),
    ("rest", 10.5),
    ("pain", 16.0),
    ("rest", 18.0),
    ("smile", 21.2),
    ("rest", 22.0),
    ("turned_away", 25.0),
    ("rest", 25.6),
    ("leaving", 28.6),
    ("rest", 30.0),
)
DURATION_S = SCRIPT[-1][1]
SPEECH_S, MOAN_S = 5.2, 11.7  # when they begin
BLINKS_S = (1.3, 3.7, 7.4, 9.7, 17.1, 21.5, 29.3)
#: columns with a left and a right in the truth: the units of PSPI and of a smile
SIDED = ("AU4", "AU6", "AU7", "AU9", "AU10", "AU12", "AU43")


def sample_person() -> Person:
    """The person of the clip; nobody's likeness."""
    identity = np.clip(np.random.default_rng(SEED).standard_normal(100), -2.0, 2.0)
    looks = Looks(
        skin_tone=4.6,
        redness=0.55,
        brow_thickness_cm=0.9,
        brow_density=0.9,
        hair=(0.16, 0.11, 0.08),
        hair_length_cm=1.8,
        hairline_cm=-0.8,
        iris=(0.30, 0.21, 0.13),
        cloth=(0.23, 0.36, 0.40),
        wall_upper=(0.74, 0.75, 0.73),
        wall_lower=(0.60, 0.60, 0.58),
        patches=(
            (0.13, 0.30, 0.10, 0.22, (0.80, 0.84, 0.86)),
            (0.90, 0.62, 0.09, 0.30, (0.46, 0.40, 0.33)),
        ),
    )
    return Person(tuple(float(weight) for weight in identity), looks)


def sample_voice() -> voice.Sound:
    """The clip's sound before room and microphone: some speech, later one moan."""
    rng = np.random.default_rng((SEED, 1))
    who = voice.speaker(rng, "woman")
    speech = voice.speech(3.5, rng, speaker=who, rate_per_s=4.2)
    moan = voice.moan(2.3, rng, intensity=0.7, speaker=who)
    return voice.scene(DURATION_S, [(SPEECH_S, speech), (MOAN_S, moan)])


def sample_episode(sound: voice.Sound) -> Episode:
    """What the face does, on the sound's clock."""
    rng = np.random.default_rng((SEED, 2))
    time_s = np.arange(round(DURATION_S * FPS)) / FPS
    mouth = np.interp(time_s, sound.time_s, sound.mouth_open)
    second_formant = np.interp(time_s, sound.time_s, np.nan_to_num(sound.formants_hz[:, 1], nan=1500.0))
    rounding = np.clip((1300.0 - second_formant) / 500.0, 0, 1) * np.clip(mouth * 3, 0, 1)
    moves: Moves = together(
        blinks(time_s, BLINKS_S),
        voice_moves(mouth, rounding),
        expression(PAIN, course(time_s, 10.6, 0.9, 2.2, 1.7), rng),
        closed_eyes(time_s, 11.6, 2.5),
        expression(SMILE, course(time_s, 18.1, 0.6, 1.6, 0.9), rng),
    )
    pose = sway(time_s, rng, yaw_deg=1.6)
    nod = np.clip(mouth, 0, 1) * np.sin(2 * np.pi * 0.9 * time_s) * (time_s < 9.5)
    pain = course(time_s, 10.8, 1.0, 2.0, 1.8)
    turned = course(time_s, 22.1, 1.0, 0.8, 1.0)
    away = course(time_s, 25.7, 0.9, 0.9, 0.9)
    pose[:, 0] += 72.0 * turned - 14.0 * away
    pose[:, 1] += 2.0 * nod - 6.0 * pain
    pose[:, 2] += 5.0 * pain
    pose[:, 3] += -64.0 * away - 0.8 * pain
    gaze = np.c_[8.0 * turned, -4.0 * pain]
    phase = tuple(next(name for name, end_s in SCRIPT if t < end_s) for t in time_s)
    return Episode(time_s, moves, pose, gaze, phase)


def write_truth(path: Path, episode: Episode, in_frame: Series, sound: voice.Sound) -> None:
    """The truth of every frame as CSV; ``f0_hz`` is empty where there is no voice."""
    truth = episode.truth()
    nearest = np.minimum((episode.time_s / voice.FRAME_S).astype(int), len(sound.f0_hz) - 1)
    sided = [f"{name}_{side}" for name in SIDED for side in "LR"]
    units = [*AU_NAMES, *sided]
    after = ("pspi", "yaw_deg", "pitch_deg", "roll_deg", "in_frame", "blink", "voiced", "f0_hz")
    with path.open("w", newline="") as file:
        rows = csv.writer(file, lineterminator="\n")
        rows.writerow(["time_s", "phase", *units, *after])
        for k, time_s in enumerate(episode.time_s):
            f0 = sound.f0_hz[nearest[k]]
            rows.writerow(
                [f"{time_s:.3f}", episode.phase[k]]
                + [f"{truth[name][k]:.3f}" for name in units]
                + [f"{truth['pspi'][k]:.3f}", *(f"{angle:.2f}" for angle in episode.pose[k, :3])]
                + [f"{in_frame[k]:.3f}", f"{truth['blink'][k]:.0f}", f"{sound.voiced[nearest[k]]:.0f}"]
                + ["" if np.isnan(f0) else f"{f0:.1f}"]
            )


def caption(image: RgbImage) -> RgbImage:
    """The picture with a line in its lower left corner that says it is synthetic."""
    font, scale = cv2.FONT_HERSHEY_SIMPLEX, 0.45
    (width, height), below = cv2.getTextSize(CAPTION, font, scale, 1)
    bottom = image.shape[0]
    strip = image[bottom - height - below - 8 :, : width + 16]
    strip[:] = strip // 3  # dark enough for white letters
    cv2.putText(image, CAPTION, (8, bottom - below - 3), font, scale, (255, 255, 255), 1, cv2.LINE_AA)
    return image


def write_clip(path: Path, images: Iterable[RgbImage], y: npt.NDArray[np.float32]) -> None:
    """H.264 and AAC in an mp4 that starts playing before it is loaded. ``y``: 16 kHz mono."""
    with av.open(str(path), "w", options={"movflags": "+faststart"}) as container:
        video = container.add_stream("libx264", rate=FPS, options={"crf": "22", "preset": "slow", "threads": "1"})
        video.width, video.height, video.pix_fmt = WIDTH_PX, HEIGHT_PX, "yuv420p"
        video.codec_context.thread_count = 1  # more threads, other bytes
        sound = container.add_stream("aac", rate=voice.SAMPLE_RATE_HZ, layout="mono")
        sound.bit_rate = 48_000
        for index, image in enumerate(images):
            picture = av.VideoFrame.from_ndarray(image, format="rgb24")
            picture.pts, picture.time_base = index, Fraction(1, FPS)
            container.mux(video.encode(picture))
        container.mux(video.encode(None))
        block = 1024
        for start in range(0, len(y), block):
            samples = av.AudioFrame.from_ndarray(y[None, start : start + block], format="fltp", layout="mono")
            samples.sample_rate, samples.pts = voice.SAMPLE_RATE_HZ, start
            samples.time_base = Fraction(1, voice.SAMPLE_RATE_HZ)
            container.mux(sound.encode(samples))
        container.mux(sound.encode(None))


def make_sample(head_path: Path, out: Path) -> None:
    """Write ``episode.mp4`` and ``episode.truth.csv`` into the folder ``out``."""
    clean = sample_voice()
    rng = np.random.default_rng((SEED, 3))
    heard = voice.microphone(voice.room(clean, rng), rng, snr_db=32.0)
    episode = sample_episode(clean)
    person = sample_person()
    out.mkdir(parents=True, exist_ok=True)
    with Renderer(load_head(head_path), WIDTH_PX, HEIGHT_PX) as renderer:
        write_truth(out / "episode.truth.csv", episode, episode.in_frame(renderer, person, CAMERA), clean)
        images = (caption(image) for image in episode.frames(renderer, person, CAMERA, LIGHT))
        write_clip(out / "episode.mp4", images, heard.y)
    log.info("%s: %d frames, %d bytes", out / "episode.mp4", len(episode.time_s), (out / "episode.mp4").stat().st_size)


def main(arguments: list[str] | None = None) -> int:
    """Command line; returns the exit code."""
    parser = argparse.ArgumentParser(description="Make the bundled synthetic clip and its truth.")
    parser.add_argument(
        "--head", type=Path, required=True, help="the folder FaceXModel of ICT-FaceKit, or its npz file"
    )
    parser.add_argument("--out", type=Path, default=Path("samples"), help="folder to write to (default: samples)")
    given = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    try:
        make_sample(given.head, given.out)
    except (HeadError, RenderError) as error:
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
