"""Simulated people: episodes of face and voice, measured as painsense measures, with the pain they show as the truth.

    python -m training.fusion.generator --out set25 --people 25 --episodes 20 --workers 2

makes 25 people with 20 episodes of 12 s each; finished people stay, so stop it and start it again as you like. To read:

>>> from training.fusion import generator
>>> episodes = generator.load(Path("set25"))              # a list of SimulatedEpisode, in order of person and number
>>> train = [e for e in episodes if e.person.fold != 4]   # fold 4 is held out; 0-4 make a five-fold split
>>> e = episodes[0]
>>> e.face, e.voice            # painsense Tracks, or None where there was no camera or microphone
>>> e.neutral_known            # whether the face was measured against the person's neutral
>>> e.voice_rest               # what painsense.voice_rest.at_rest said of a rest clip of that session, or None
>>> e.time_s, e.level, e.kind  # [120] every 0.1 s: pain shown 0-10, and index into generator.KINDS
>>> e.pspi                     # [120] true PSPI of the face, shown or not
>>> e.groups                   # {"sex": ..., "age_band": ..., "skin_tone": ...}

What the numbers are and where they come from: ``docs/generator.md``.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import json
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from painsense import lips, voice_rest, voice_segments
from painsense import voice as voice_track
from painsense.errors import PainsenseError
from painsense.face import REASONS as FACE_REASONS
from painsense.output import write_together
from painsense.tracks import Track
from painsense.voice_gates import REASONS as VOICE_REASONS
from training.errors import TrainingError
from training.fusion import courses, faces, numbers, sounds
from training.fusion.courses import FPS, Act
from training.fusion.numbers import span, value
from training.fusion.people import SimulatedPerson, person
from training.fusion.sounds import Room, Utterance
from training.simulate import voice as synthesis
from training.simulate.head import AU_NAMES

Series = npt.NDArray[np.float64]
Rng = np.random.Generator

VERSION = 1  # of the recipe: sets of another version are not read
STEP_S = 0.1
PAIN_KINDS = ("pain", "pain + speaking", "pain + smile")
#: what :attr:`SimulatedEpisode.kind` counts
KINDS = ("rest", *PAIN_KINDS, *numbers.KINDS)
SESSIONS = 3  # a person is recorded in so many rooms, with a rest clip in each
REST_S = 4.0
REASONS = (*VOICE_REASONS, lips.REASON)  # of the voice, as a clip with a face has them
_STILL_AU26 = 0.15  # spread of the jaw's intensity within a second below which lips count as still
INDEX = "index.json"
DROPOUTS = (
    "no_face",
    "no_voice",
    "muted",
    "face_gaps",
    "turned",
    "turned_away",
    "low_snr",
    "no_neutral",
    "no_voice_rest",
)


@dataclass(frozen=True)
class SimulatedEpisode:
    """Some seconds of one person; see the module's docstring.

    Attributes
    ----------
    face, voice : what painsense measures; None where nothing was recorded
    sound : ndarray [shape=(n,), int8], kind of the person's own sound every 10 ms, index into ``voice_segments.KINDS``
    time_s, level, kind, pspi : ndarray [shape=(k,)], the truth every 0.1 s
    dropouts : which of :data:`DROPOUTS` the recording has
    """

    person: SimulatedPerson
    number: int
    face: Track | None
    voice: Track | None
    voice_rest: dict[str, float] | None
    neutral_known: bool
    sound: npt.NDArray[np.int8]
    time_s: Series
    level: Series
    kind: npt.NDArray[np.int8]
    pspi: Series
    dropouts: tuple[str, ...]

    @property
    def id(self) -> str:
        return f"{self.person.id}-{self.number:03d}"

    @property
    def groups(self) -> dict[str, str]:
        """What results are told by; ``pain_in`` is the part of the face in which the person shows pain."""
        who = self.person
        sound = {} if self.voice is None else {"sound": "noisy" if "low_snr" in self.dropouts else "quiet"}
        return {
            "sex": who.sex,
            "age_band": who.age_band,
            "skin_tone": str(who.skin_tone),
            "pain_in": who.manner.pattern,
            "temper": who.temper,
            **sound,
        }


@dataclass(frozen=True)
class Session:
    """A day with one person: the room, and what painsense keeps of the voice at rest there."""

    room: Room
    rest: dict[str, float]


def session(who: SimulatedPerson, number: int) -> Session:
    """One of the person's recording days."""
    rng = np.random.default_rng((who.seed, who.number, 1, number))
    room = sounds.random_room(rng)
    said = sounds.talk("speech", 0.0, REST_S - 1.0, who.speaker, rng)
    y = sounds.record(sounds.place(REST_S, [(0.5, said)]), room, rng)
    return Session(room, voice_rest.at_rest(voice_track.low_level(y, synthesis.SAMPLE_RATE_HZ)))


def episode(who: SimulatedPerson, number: int, day: Session) -> SimulatedEpisode:
    """One episode; everything follows from the person's seed and the numbers."""
    rng = np.random.default_rng((who.seed, who.number, 2, number))
    seconds = value("seconds")
    face_s = (np.arange(round(seconds * FPS)) + 0.5) / FPS
    acts = _acts(face_s, seconds, who, rng)
    heard = [pair for act in acts for pair in _heard(act, face_s, who, rng)]
    dropouts = _dropouts(day, rng)

    truth = np.max([np.zeros((len(face_s), len(AU_NAMES))), *(act.moves for act in acts)], axis=0)
    truth = np.maximum(truth, courses.mouth_moves(face_s, _mouth(face_s, heard), _rounding(face_s, heard, rng)))
    truth[:, faces.CLOSED] = np.maximum(truth[:, faces.CLOSED], courses.blinks(face_s, truth, rng))
    face = None
    if "no_face" not in dropouts:
        speaking = _mouth(face_s, [pair for pair in heard if pair[1].kind == "speech"]) > 0
        face = faces.measure(face_s, truth, acts, speaking, dropouts, fold=who.fold, skin_tone=who.skin_tone, rng=rng)
    voice = None
    if "no_voice" not in dropouts:
        y = sounds.place(seconds, [] if "muted" in dropouts else heard)
        talked = np.zeros(round(seconds / synthesis.FRAME_S), bool)
        if "muted" not in dropouts and rng.random() < value("background"):
            noise, talked = sounds.background(seconds, rng)
            y = y + noise
        voice = voice_track.low_level(sounds.record(y, day.room, rng), synthesis.SAMPLE_RATE_HZ)
        voice = _with_still_lips(voice, talked, face, truth)

    time_s = (np.arange(round(seconds / STEP_S)) + 0.5) * STEP_S
    level = np.max([np.zeros(len(face_s)), *(act.level * act.course for act in acts)], axis=0)
    kind = np.zeros(len(time_s), np.int8)
    for act in acts:
        kind[(time_s >= act.start_s) & (time_s <= act.end_s)] = KINDS.index(act.kind)
    return SimulatedEpisode(
        person=who,
        number=number,
        face=face,
        voice=voice,
        voice_rest=None if "no_voice_rest" in dropouts else day.rest,
        neutral_known="no_neutral" not in dropouts,
        sound=_sound_kinds(seconds, heard),
        time_s=time_s,
        level=np.interp(time_s, face_s, level),
        kind=kind,
        pspi=np.interp(time_s, face_s, faces.true_pspi(face_s, truth)),
        dropouts=dropouts,
    )


# ---- what happens


def _acts(face_s: Series, seconds: float, who: SimulatedPerson, rng: Rng) -> list[Act]:
    """What the person does, one thing after the other."""
    if rng.random() < value("rest_episodes"):
        return []
    wanted: list[tuple[str, float]] = []
    if rng.random() < value("pain_episodes"):
        kind = str(rng.choice(PAIN_KINDS, p=_pain_kinds()))
        wanted.append((kind, float(rng.uniform(*span("pain_seconds")))))
        if rng.random() < value("beside_pain"):
            wanted.append(_drawn(rng))
    else:
        wanted = [_drawn(rng) for _ in range(int(rng.choice([1, 2, 3], p=[0.3, 0.45, 0.25])))]
    wanted = [wanted[k] for k in rng.permutation(len(wanted))]
    while sum(length for _, length in wanted) > seconds - 0.5:
        wanted.pop(0 if not wanted[0][0].startswith("pain") else -1)
    free = seconds - sum(length for _, length in wanted)
    gaps = rng.dirichlet(np.ones(len(wanted) + 1)) * free
    acts, at_s = [], 0.0
    for (kind, length), gap in zip(wanted, gaps, strict=False):
        at_s += float(gap)
        if kind in PAIN_KINDS:
            level = float(rng.uniform(value("least_level"), 10))
            level *= value("mask_share") if kind == "pain + smile" else 1.0
            acts.append(courses.pain_act(face_s, at_s, length, level, who.manner, rng, kind))
        else:
            acts.append(courses.other_act(face_s, at_s, length, kind, rng))
        at_s += length
    return acts


def _pain_kinds() -> tuple[float, float, float]:
    speaking, smile = value("pain_speaking"), value("pain_smile")
    return 1 - speaking - smile, speaking, smile


def _drawn(rng: Rng) -> tuple[str, float]:
    """Something that is not pain, and how long."""
    shares = np.array([kind.share for kind in numbers.KINDS.values()])
    kind = str(rng.choice(list(numbers.KINDS), p=shares / shares.sum()))
    return kind, float(rng.uniform(*numbers.KINDS[kind].seconds))


def _heard(act: Act, face_s: Series, who: SimulatedPerson, rng: Rng) -> list[tuple[float, Utterance]]:
    """What is heard of an act: start in the episode, sound."""
    if act.kind in PAIN_KINDS:
        share = who.manner.voice_share
        if act.kind == "pain + speaking":
            told = act.level * max(share, 0.2)  # even who never moans cannot speak quite freely
            words = sounds.speech_in_pain(act.end_s - act.start_s - 0.5, told, share, who.speaker, rng)
            return [(act.start_s + 0.3 + at_s, one) for at_s, one in words]
        return sounds.pain_sounds(
            act.start_s,
            act.end_s,
            lambda at_s: float(np.interp(at_s, face_s, act.level * act.course)),
            share,
            who.speaker,
            rng,
        )
    chances = numbers.KINDS[act.kind].sounds
    name = str(rng.choice(list(chances), p=np.array(list(chances.values())) / sum(chances.values())))
    found = sounds.other_sounds(name, act.strength, act.end_s - act.start_s, who.speaker, rng)
    return [(act.start_s + at_s, one) for at_s, one in found]


def _dropouts(day: Session, rng: Rng) -> tuple[str, ...]:
    """What goes wrong with the recording; never both face and voice missing."""
    found = {name for name in DROPOUTS if name != "low_snr" and rng.random() < value(name)}
    if "no_face" in found:
        found -= {"no_voice", "muted", "face_gaps", "turned", "turned_away", "no_neutral"}
    if "no_voice" in found:
        found -= {"muted"}
    if day.room.snr_db < 15 and "no_voice" not in found:
        found.add("low_snr")
    return tuple(name for name in DROPOUTS if name in found)


def _with_still_lips(voice: Track, talked: npt.NDArray[np.bool_], face: Track | None, truth: Series) -> Track:
    """The voice track with painsense's remark where another talks while these lips are seen and do not move."""
    bits = voice.reason_bits.copy()
    if face is not None and talked.any():
        gap = truth[:, AU_NAMES.index("AU26")]
        reach = round(lips.REACH_S * FPS)
        windows = np.lib.stride_tricks.sliding_window_view(np.pad(gap, reach, mode="edge"), 2 * reach + 1)
        still = (windows.std(axis=1) < _STILL_AU26) & face.valid
        bits |= (talked & (np.interp(voice.time_s, face.time_s, still) > 0.99)).astype(np.uint32) << len(VOICE_REASONS)
    return Track(voice.modality, voice.columns, REASONS, voice.time_s, voice.values, bits)


def _mouth(face_s: Series, heard: Sequence[tuple[float, Utterance]]) -> Series:
    """How far the voice opens the mouth at the times of the face, ndarray [shape=(n,), 0-1]."""
    mouth = np.zeros(len(face_s))
    for start_s, one in heard:
        at_s = start_s + (np.arange(len(one.mouth)) + 0.5) * synthesis.FRAME_S
        mouth = np.maximum(mouth, np.interp(face_s, at_s, one.mouth, left=0.0, right=0.0))
    return np.clip(mouth, 0, 1)


def _rounding(face_s: Series, heard: Sequence[tuple[float, Utterance]], rng: Rng) -> Series:
    """Rounded lips of some syllables, ndarray [shape=(n,), 0-1]."""
    speech = _mouth(face_s, [pair for pair in heard if pair[1].kind == "speech"])
    wave = np.sin(2 * np.pi * rng.uniform(0.7, 1.6) * face_s + rng.uniform(0, 6))
    return np.asarray(np.clip(wave, 0, 1) * (speech > 0.05) * 0.8)


def _sound_kinds(seconds: float, heard: Sequence[tuple[float, Utterance]]) -> npt.NDArray[np.int8]:
    kinds = np.full(round(seconds / synthesis.FRAME_S), voice_segments.KINDS.index("silence"), np.int8)
    for start_s, one in heard:
        first = round(start_s / synthesis.FRAME_S)
        kinds[first : first + round(one.seconds / synthesis.FRAME_S)] = voice_segments.KINDS.index(one.kind)
    return kinds


# ---- a set on the disk


@dataclass(frozen=True)
class Recipe:
    """What decides the content of a set."""

    people: int = 25
    episodes: int = 20
    seed: int = 1
    version: int = VERSION


def make(folder: Path, recipe: Recipe, workers: int = 1) -> Iterator[str]:
    """Make who is missing of a set; gives the id of each person made.

    Raises
    ------
    TrainingError : the folder holds a set of another recipe, or of another version of the numbers or of painsense
    """
    folder.mkdir(parents=True, exist_ok=True)
    table = hashlib.sha256(numbers.document().encode()).hexdigest()
    wanted = (
        json.dumps(asdict(recipe) | {"columns": list(_columns()), "numbers": table}, indent=1, sort_keys=True) + "\n"
    )
    index = folder / INDEX
    if index.exists() and index.read_text(encoding="utf-8") != wanted:
        raise TrainingError(
            f"{folder}: was begun with another recipe or another version of painsense; use another folder, or delete it"
        )
    write_together(folder, {INDEX: [wanted.encode()]})
    todo = [number for number in range(recipe.people) if not (folder / _name(number)).exists()]
    if workers == 1:
        for number in todo:
            yield _make_person(folder, recipe, number)
        return
    with ProcessPoolExecutor(workers, get_context("spawn")) as pool:
        futures = [pool.submit(_make_person, folder, recipe, number) for number in todo]
        try:
            for future in as_completed(futures):
                yield future.result()
        finally:
            for future in futures:  # what waits would otherwise be made to the end before an error is told
                future.cancel()


def load(folder: Path, numbers: Sequence[int] | None = None) -> list[SimulatedEpisode]:
    """The episodes of a set, of all its people or of those of some ``numbers``.

    Raises
    ------
    TrainingError : there is no set, it is not finished, or it was made by another version
    """
    try:
        index = json.loads((folder / INDEX).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise TrainingError(f"{folder}: no set of simulated people ({error}); make one with: {__doc__}") from error
    if index.get("version") != VERSION or index.get("columns") != list(_columns()):
        raise TrainingError(f"{folder}: was made by another version of painsense; make it again in another folder")
    people = range(index["people"]) if numbers is None else numbers
    missing = [number for number in people if not (folder / _name(number)).exists()]
    if missing:
        raise TrainingError(
            f"{folder}: {len(missing)} people are not made yet; run the same command again to finish it"
        )
    return [one for number in people for one in _read(folder / _name(number), person(number, index["seed"]))]


def _columns() -> tuple[str, ...]:
    return tuple(column.name for column in (*faces.COLUMNS, *voice_track.COLUMNS))


def _name(number: int) -> str:
    return f"person-{number:04d}.npz"


def _make_person(folder: Path, recipe: Recipe, number: int) -> str:
    who = person(number, recipe.seed)
    days = [session(who, k) for k in range(min(SESSIONS, recipe.episodes))]
    episodes = [episode(who, k, days[k % SESSIONS]) for k in range(recipe.episodes)]
    arrays: dict[str, npt.NDArray[Any]] = {}
    notes = []
    for one in episodes:
        for what, track in (("face", one.face), ("voice", one.voice)):
            if track is not None:
                arrays[f"{what}_values_{one.number}"] = track.values.astype(np.float16)
                arrays[f"{what}_bits_{one.number}"] = track.reason_bits.astype(np.uint16)
                arrays[f"{what}_time_{one.number}"] = track.time_s
        notes.append({"voice_rest": one.voice_rest, "neutral_known": one.neutral_known, "dropouts": one.dropouts})
    for name in ("time_s", "level", "kind", "pspi", "sound"):
        arrays[name] = np.stack([getattr(one, name) for one in episodes])
    arrays["notes"] = np.array(json.dumps(notes))
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)
    write_together(folder, {_name(number): [buffer.getvalue()]})
    return who.id


def _read(path: Path, who: SimulatedPerson) -> list[SimulatedEpisode]:
    with np.load(path) as data:
        arrays = {name: data[name] for name in data.files}
    episodes = []
    for number, note in enumerate(json.loads(str(arrays["notes"]))):
        tracks: list[Track | None] = []
        for what, columns, reasons in (
            ("face", faces.COLUMNS, FACE_REASONS),
            ("voice", voice_track.COLUMNS, REASONS),
        ):
            values = arrays.get(f"{what}_values_{number}")
            tracks.append(
                None
                if values is None
                else Track(
                    what,
                    columns,
                    reasons,
                    arrays[f"{what}_time_{number}"],
                    values.astype(np.float32),
                    arrays[f"{what}_bits_{number}"].astype(np.uint32),
                )
            )
        episodes.append(
            SimulatedEpisode(
                person=who,
                number=number,
                face=tracks[0],
                voice=tracks[1],
                voice_rest=note["voice_rest"],
                neutral_known=note["neutral_known"],
                sound=arrays["sound"][number],
                time_s=arrays["time_s"][number],
                level=arrays["level"][number],
                kind=arrays["kind"][number],
                pspi=arrays["pspi"][number],
                dropouts=tuple(note["dropouts"]),
            )
        )
    return episodes


def main() -> None:
    """Command line: see the module's docstring."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="folder of the set; begun ones are gone on with")
    parser.add_argument("--people", type=int, default=Recipe.people)
    parser.add_argument("--episodes", type=int, default=Recipe.episodes, help="of each person")
    parser.add_argument("--seed", type=int, default=Recipe.seed)
    parser.add_argument("--workers", type=int, default=1)
    options = parser.parse_args()
    try:
        for made in make(options.out, Recipe(options.people, options.episodes, options.seed), options.workers):
            print(f"{made}: {options.episodes} episodes", flush=True)
    except PainsenseError as error:
        parser.exit(2, f"{error}\n")


if __name__ == "__main__":
    main()
