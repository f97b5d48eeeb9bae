"""What a simulated person is heard doing, and the room and microphone it is heard through.

Speech, moans, groans, screams, sighs and coughs are those of :mod:`training.simulate.voice`, with the larynx set as the
feeling sets it (:data:`training.fusion.numbers.STYLES`); laughter, sobs, yawns, grunts, snores and crying speech are
made here. Levels are kept: who screams is louder than who talks, within an episode and against the same person's rest.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from scipy import signal

from training.fusion.numbers import PAIN_SOUNDS, STYLES, span, value
from training.simulate import sounds as made
from training.simulate import voice
from training.simulate.voice import FRAME_S, SAMPLE_RATE_HZ, STEP_S, Sound, Speaker

Array = npt.NDArray[np.float64]
Rng = np.random.Generator

SPEECH_DBFS = -26.0  # a person's ordinary speech, before the microphone's gain
_LEAST_S = 0.15


@dataclass(frozen=True)
class Utterance:
    """One sound of a person: ``y`` at 16 kHz, how far the mouth is open every 10 ms (0-1), and its kind."""

    y: Array
    mouth: Array
    kind: str

    @property
    def seconds(self) -> float:
        return len(self.y) / SAMPLE_RATE_HZ


@dataclass(frozen=True)
class Room:
    """Where and with what a session is recorded; ``seed`` fixes echoes and tone."""

    seed: int
    rt60_s: float
    direct_db: float
    snr_db: float
    noise: str
    low_hz: float
    high_hz: float
    gain_db: float
    agc: bool


def random_room(rng: Rng) -> Room:
    """A quiet or noisy room, a near or distant microphone."""
    bad = rng.random() < value("bad_snr")
    return Room(
        seed=int(rng.integers(2**31)),
        rt60_s=float(rng.uniform(0.15, 0.8)),
        direct_db=float(rng.uniform(2, 18)),
        snr_db=float(rng.uniform(0, 15) if bad else rng.uniform(*span("snr_db"))),
        noise=str(rng.choice(["white", "pink", "pink", "hum"])),
        low_hz=float(np.exp(rng.uniform(np.log(30), np.log(200)))),
        high_hz=float(rng.choice([3600, rng.uniform(5000, 7800), 7800])),
        gain_db=float(rng.uniform(-12, 8)),
        agc=bool(rng.random() < value("agc")),
    )


def record(y: Array, room: Room, rng: Rng) -> npt.NDArray[np.float32]:
    """The sound as recorded, 16 kHz. The noise is as loud as the room has it, whatever is heard over it."""
    own = np.random.default_rng(room.seed)  # echoes and tone belong to the room, not to the take
    bends_db = np.array([0, *own.normal(0, 2.5, 6)]) + own.uniform(-3, 3) * np.arange(7) / 3
    taps = signal.firwin2(129, np.array([0, 150, 500, 1200, 2500, 5000, 8000]) / 8000, 10 ** (bends_db / 20))
    k = round(room.rt60_s * SAMPLE_RATE_HZ)
    tail = own.normal(size=k) * 10 ** (-3 * np.arange(k) / k)
    tail[: round(0.003 * SAMPLE_RATE_HZ)] = 0
    tail = signal.lfilter([0.6], [1, -0.4], tail)
    tail *= 10 ** (-room.direct_db / 20) / np.sqrt(np.sum(tail**2))
    heard = y + signal.fftconvolve(y, tail)[: len(y)]
    heard = heard + _noise(len(y), room, rng) * 10 ** ((SPEECH_DBFS - room.snr_db) / 20)
    heard = signal.fftconvolve(heard, taps, mode="same")
    bands = signal.butter(2, [room.low_hz, room.high_hz], "bandpass", fs=SAMPLE_RATE_HZ, output="sos")
    heard = signal.sosfilt(bands, heard) * 10 ** (room.gain_db / 20)
    if room.agc:
        heard = _evened(heard, own)
    return np.asarray(np.round(np.clip(heard, -1, 1) * 32767) / 32767, np.float32)


def background(seconds: float, rng: Rng) -> tuple[Array, npt.NDArray[np.bool_]]:
    """Things, or another talker, heard in the room: ndarray [shape=(k,)], and where somebody talks, every 10 ms."""
    y = np.zeros(round(seconds * SAMPLE_RATE_HZ))
    talked = np.zeros(round(seconds / FRAME_S), bool)
    makers = {name: maker for name, (maker, _) in made.MAKERS["other"].items() if name != "cough"}
    talker = rng.random() < value("other_talker")
    for _ in range(int(rng.integers(1, 4))):
        maker = made.MAKERS["speech"]["talk"][0] if talker else makers[str(rng.choice(list(makers)))]
        part = maker(rng)
        part = part / max(float(np.sqrt(np.mean(part**2))), 1e-9) * 10 ** ((SPEECH_DBFS - rng.uniform(3, 25)) / 20)
        start_s = float(rng.uniform(0, seconds))
        _add(y, part, round(start_s * SAMPLE_RATE_HZ))
        if talker:
            talked[round(start_s / FRAME_S) : round((start_s + len(part) / SAMPLE_RATE_HZ) / FRAME_S)] = True
    return y, talked


def place(total_s: float, utterances: Sequence[tuple[float, Utterance]]) -> Array:
    """Utterances at their start times in silence, ndarray [shape=(k,)]."""
    y = np.zeros(round(total_s * SAMPLE_RATE_HZ))
    for start_s, one in utterances:
        _add(y, one.y, round(start_s * SAMPLE_RATE_HZ))
    return y


# ---- pain


def pain_sound(name: str, level: float, who: Speaker, rng: Rng) -> Utterance:
    """A sound of pain (one of :data:`PAIN_SOUNDS`) at a level of 0 to 10."""
    length_s = float((0.45 + value("pain_length") * level) * np.exp(rng.normal(0, 0.25)))
    dbfs = SPEECH_DBFS - 10 + value("pain_level_db") * level + float(rng.normal(0, 2))
    who = _moved(
        who,
        pitch_semitones=value("pain_pitch") * level + float(rng.normal(0, 1)),
        tilt=2 ** (value("pain_tilt") * level),
        hnr_db=value("pain_hnr_db") * level,
        unsteadiness=1 + value("pain_unsteady") * level,
    )
    rough = float(np.clip(value("pain_subharmonic") * level * rng.uniform(0, 2), 0, 0.6))
    match name:
        case "sigh":
            return _of(voice.sigh(length_s + 0.4, rng, speaker=who, level_dbfs=dbfs - 6), "breath")
        case "gasp":
            return _gasp(who, rng, dbfs - 5)
        case "moan":
            soft = replace(who, f0_hz=who.f0_hz / 1.2)  # a moan's own arch lifts it again
            return _of(
                voice.moan(length_s * 1.4, rng, intensity=level / 20, speaker=soft, level_dbfs=dbfs), "nonverbal"
            )
        case "groan":
            return _of(
                voice.groan(length_s * 1.2, rng, intensity=level / 10, speaker=who, level_dbfs=dbfs), "nonverbal"
            )
        case "grunt":
            return _call(
                max(0.3 * length_s, 0.18), np.array([0.9, 1.0, 0.7]), who, rng, dbfs + 1, rough, ("uh", "schwa", "a")
            )
        case "cry out":
            arch = np.array([0.8, 1.15, 1.1, 0.8]) * float(rng.uniform(1.1, 1.5))
            return _call(length_s, arch, who, rng, dbfs + 2, rough, ("a", "ae", "uh", "o"))
        case "scream":
            top_hz = float(np.clip(who.f0_hz * rng.uniform(1.8, 3.0), 300, 950))
            return _of(voice.scream(length_s, rng, speaker=who, f0_hz=top_hz, level_dbfs=dbfs + 3), "nonverbal")
    raise ValueError(f"no sound of pain {name!r}; there are {', '.join(PAIN_SOUNDS)}")


def pain_sounds(
    start_s: float, end_s: float, level_at: Callable[[float], float], share: float, who: Speaker, rng: Rng
) -> list[tuple[float, Utterance]]:
    """Sounds of pain in the course of a bout: more and longer with the level; ``share`` is the person's own."""
    found: list[tuple[float, Utterance]] = []
    at_s = start_s + float(rng.uniform(0, 0.8))
    while at_s < end_s - 0.3:
        level = level_at(at_s + 0.3)
        filled = share * (value("vocal_time_low") + (value("vocal_time_high") - value("vocal_time_low")) * level / 10)
        if level < 0.7 or filled < 0.03:
            at_s += 0.5
            continue
        weights = np.array([np.interp(level, (1, 5, 10), chances) for chances in PAIN_SOUNDS.values()])
        one = pain_sound(str(rng.choice(list(PAIN_SOUNDS), p=weights / weights.sum())), level, who, rng)
        gap_s = one.seconds * max(1 - filled, 0.0) / filled
        wait_s = min(float(rng.exponential(gap_s)), 4.0)
        if not found:
            at_s += 0.5 * wait_s
        if at_s + 0.3 < end_s:
            found.append((at_s, one))
        at_s += one.seconds + max(wait_s, 0.1)
    return found


# ---- speech and the rest


def talk(style: str, strength: float, seconds: float, who: Speaker, rng: Rng) -> Utterance:
    """Speech in one of :data:`STYLES`, ``strength`` 0-1 of the way there."""
    to = STYLES[style]
    spoken = _moved(
        who,
        pitch_semitones=strength * to.pitch_semitones + float(rng.normal(0, 0.7)),
        tilt=to.tilt**strength,
        hnr_db=strength * to.hnr_db,
        unsteadiness=to.unsteadiness**strength,
    )
    sound = voice.speech(
        max(seconds, 0.4),
        rng,
        speaker=spoken,
        rate_per_s=float(4.5 * to.rate**strength * rng.uniform(0.85, 1.15)),
        level_dbfs=SPEECH_DBFS + strength * to.level_db + float(rng.normal(0, 1.5)),
    )
    return _intoned(_of(sound, "speech"), 0.05 + 0.12 * strength, rng)


def speech_in_pain(seconds: float, level: float, share: float, who: Speaker, rng: Rng) -> list[tuple[float, Utterance]]:
    """Speech that pain breaks into: slower, with pauses, a gasp, moan or grunt in some of them."""
    found: list[tuple[float, Utterance]] = []
    at_s = 0.0
    while at_s < seconds - 0.5:
        part = talk("speech in pain", level / 10, float(rng.uniform(0.7, 2.2)), who, rng)
        found.append((at_s, part))
        at_s += part.seconds + float(rng.uniform(0.1, 0.3 + 0.06 * level))
        if rng.random() < share * level / 12 and at_s < seconds - 0.3:
            one = pain_sound(str(rng.choice(["gasp", "moan", "grunt", "groan"])), level, who, rng)
            found.append((at_s, one))
            at_s += one.seconds + 0.1
    return found


def other_sounds(name: str, strength: float, seconds: float, who: Speaker, rng: Rng) -> list[tuple[float, Utterance]]:
    """What is heard with something that is not pain: (start after its beginning, sound); empty for ""."""
    if not name:
        return []
    if name == "crying speech":
        return _crying_speech(strength, seconds, who, rng)
    if name in STYLES:
        return [(0.0, talk(name, strength, seconds, who, rng))]
    return [(0.0, _MAKERS[name](who, strength, seconds, rng))]


def _laughter(who: Speaker, strength: float, seconds: float, rng: Rng) -> Utterance:
    """Calls of voice between puffs of breath, falling in pitch and strength."""
    period_s = 1 / float(rng.uniform(*span("laugh_calls")))
    high = 2 ** (float(rng.uniform(*span("laugh_pitch"))) / 12)
    vowel, parts = str(rng.choice(["a", "eh", "schwa", "ae", "o"])), []
    voiced = rng.random() < 0.75
    calls = max(2, int(min(seconds, 3.5) / period_s))
    for k in range(calls):
        fade = 1 - 0.5 * k / calls
        dbfs = SPEECH_DBFS - 8 + 14 * strength + 20 * np.log10(fade)
        line = who.f0_hz * high * (1 - 0.3 * k / calls) * rng.uniform(0.92, 1.08)
        length_s = period_s * rng.uniform(0.4, 0.6)
        puff = _puff(period_s - length_s, who, rng) * 10 ** ((dbfs - 12) / 20)
        if voiced:
            arch = np.array([1.0, 1.1, 0.85]) * line / who.f0_hz
            parts += [_call(length_s, arch, who, rng, dbfs, 0.0, (vowel,)).y, puff]
        else:
            parts += [_puff(length_s, who, rng) * 10 ** ((dbfs - 6) / 20), puff]
    return _joined(parts, 0.5 + 0.4 * strength, "nonverbal" if voiced else "breath")


def _sobbing(who: Speaker, strength: float, seconds: float, rng: Rng) -> Utterance:
    """Short falling wails in a row, breath drawn between them."""
    parts: list[Array] = []
    top = float(rng.uniform(1.2, 2.0))
    while sum(map(len, parts)) < min(seconds, 3.5) * SAMPLE_RATE_HZ:
        arch = top * rng.uniform(0.9, 1.1) * np.array([0.95, 1.0, 0.75])
        wail = _call(
            float(rng.uniform(0.2, 0.7)), arch, who, rng, SPEECH_DBFS - 10 + 12 * strength, 0.1, ("uh", "schwa", "a")
        )
        parts += [wail.y, _puff(float(rng.uniform(0.1, 0.4)), who, rng) * 10 ** ((SPEECH_DBFS - 18) / 20)]
    return _joined(parts, 0.4, "nonverbal")


def _crying_speech(strength: float, seconds: float, who: Speaker, rng: Rng) -> list[tuple[float, Utterance]]:
    """Words between sobs."""
    found: list[tuple[float, Utterance]] = []
    at_s = 0.0
    while at_s < seconds - 0.5:
        length_s = float(rng.uniform(0.6, 1.6))
        one = (
            talk("crying speech", strength, length_s, who, rng)
            if rng.random() < 0.6
            else _sobbing(who, strength, length_s, rng)
        )
        found.append((at_s, one))
        at_s += one.seconds + float(rng.uniform(0.1, 0.5))
    return found


def _ugh(who: Speaker, strength: float, seconds: float, rng: Rng) -> Utterance:
    """Disgust: short, low, falling, from the throat."""
    arch = np.array([1.0, 0.9, 0.65]) * float(rng.uniform(0.8, 1.1))
    return _call(
        float(rng.uniform(0.25, 0.7)), arch, who, rng, SPEECH_DBFS - 6 + 8 * strength, 0.15, ("uh", "schwa", "eh")
    )


def _oh(who: Speaker, strength: float, seconds: float, rng: Rng) -> Utterance:
    """Surprise: short, high, rising then falling."""
    arch = np.array([1.1, 1.5, 1.2]) * float(rng.uniform(1.0, 1.0 + 0.6 * strength))
    return _call(float(rng.uniform(0.2, 0.6)), arch, who, rng, SPEECH_DBFS - 2 + 8 * strength, 0.0, ("o", "a", "u"))


def _growl(who: Speaker, strength: float, seconds: float, rng: Rng) -> Utterance:
    """Anger without words: low, pressed, rough."""
    arch = np.array([0.9, 1.0, 0.85]) * float(rng.uniform(0.8, 1.2))
    return _call(float(rng.uniform(0.4, 1.2)), arch, who, rng, SPEECH_DBFS - 4 + 12 * strength, 0.35, ("a", "uh", "eh"))


def _fright(who: Speaker, strength: float, seconds: float, rng: Rng) -> Utterance:
    """A scream of fear: sudden, clear, high."""
    top_hz = float(np.clip(who.f0_hz * rng.uniform(2.0, 3.6), 350, 950))
    dbfs = SPEECH_DBFS + 4 + 12 * strength
    return _of(voice.scream(float(rng.uniform(0.3, 1.0)), rng, speaker=who, f0_hz=top_hz, level_dbfs=dbfs), "nonverbal")


def _cough(who: Speaker, strength: float, seconds: float, rng: Rng) -> Utterance:
    sound = voice.cough(float(np.clip(seconds, 0.35, 2.0)), rng, speaker=who, level_dbfs=SPEECH_DBFS + 4 + 8 * strength)
    return _of(sound, "other")


def _yawn(who: Speaker, strength: float, seconds: float, rng: Rng) -> Utterance:
    """A long breath in, then out, with or without a falling voice in it."""
    inward = _puff(0.5 * seconds, who, rng) * np.linspace(0.2, 1, round(0.5 * seconds * SAMPLE_RATE_HZ))
    parts = [inward * 10 ** ((SPEECH_DBFS - 18) / 20)]
    if rng.random() < 0.5:
        arch = np.array([1.1, 1.2, 0.8, 0.6])
        parts.append(_call(0.35 * seconds, arch, who, rng, SPEECH_DBFS - 8 + 6 * strength, 0.0, ("a", "o", "uh")).y)
    else:
        parts.append(_puff(0.35 * seconds, who, rng) * 10 ** ((SPEECH_DBFS - 16) / 20))
    return _joined(parts, 0.9, "breath" if len(parts) == 1 else "nonverbal")


def _slow_breath(who: Speaker, strength: float, seconds: float, rng: Rng) -> Utterance:
    parts: list[Array] = []
    while sum(map(len, parts)) < (seconds - 1.0) * SAMPLE_RATE_HZ:
        breath = _puff(float(rng.uniform(0.9, 1.8)), who, rng) * 10 ** ((SPEECH_DBFS - rng.uniform(16, 26)) / 20)
        parts += [breath, np.zeros(round(rng.uniform(0.2, 0.8) * SAMPLE_RATE_HZ))]
    return _joined(parts or [np.zeros(1600)], 0.1, "breath")


def _snore(who: Speaker, strength: float, seconds: float, rng: Rng) -> Utterance:
    """Breath that flutters 25 to 60 times a second."""
    breath = _puff(float(rng.uniform(0.8, 1.6)), who, rng)
    t = np.arange(len(breath)) / SAMPLE_RATE_HZ
    flutter = np.clip(np.sin(2 * np.pi * rng.uniform(25, 60) * t + 2 * np.sin(5 * t)), 0, 1) ** 2
    return _joined([breath * flutter * 10 ** ((SPEECH_DBFS - 8) / 20)], 0.2, "other")


def _sigh(who: Speaker, strength: float, seconds: float, rng: Rng) -> Utterance:
    return _of(
        voice.sigh(float(rng.uniform(0.7, 1.8)), rng, speaker=who, level_dbfs=SPEECH_DBFS - 14 + 6 * strength), "breath"
    )


def _gasp(who: Speaker, rng: Rng, dbfs: float) -> Utterance:
    """Breath drawn in at once."""
    breath = _puff(float(rng.uniform(0.2, 0.6)), who, rng, bright=1.3)
    return _joined([breath * np.linspace(0.1, 1, len(breath)) * 10 ** (dbfs / 20)], 0.5, "breath")


_MAKERS: dict[str, Callable[[Speaker, float, float, Rng], Utterance]] = {
    "laughter": _laughter,
    "sobbing": _sobbing,
    "ugh": _ugh,
    "oh": _oh,
    "growl": _growl,
    "scream": _fright,
    "cough": _cough,
    "yawn": _yawn,
    "slow breath": _slow_breath,
    "snore": _snore,
    "sigh": _sigh,
    "gasp": lambda who, strength, seconds, rng: _gasp(who, rng, SPEECH_DBFS - 12 + 8 * strength),
}
#: every sound that :func:`other_sounds` makes
SOUNDS = (*(name for name in STYLES if name != "speech in pain"), *_MAKERS)


# ---- small things


def _moved(who: Speaker, *, pitch_semitones: float, tilt: float, hnr_db: float, unsteadiness: float) -> Speaker:
    return replace(
        who,
        f0_hz=float(np.clip(who.f0_hz * 2 ** (pitch_semitones / 12), 65, 600)),
        tilt_hz=float(np.clip(who.tilt_hz * tilt, 400, 8000)),
        hnr_db=max(who.hnr_db + hnr_db, 4.0),
        jitter=min(who.jitter * unsteadiness, 0.035),
        shimmer_db=min(who.shimmer_db * unsteadiness, 1.6),
    )


def _call(
    seconds: float, arch: Array, who: Speaker, rng: Rng, dbfs: float, rough: float, vowels: tuple[str, ...]
) -> Utterance:
    """A vowel along a pitch contour (factors on the speaker's own pitch)."""
    seconds = max(seconds, _LEAST_S)
    steps = round(seconds / STEP_S) + 1
    line = np.interp(np.linspace(0, 1, steps), np.linspace(0, 1, len(arch)), arch)
    waver = np.interp(np.linspace(0, 1, steps), np.linspace(0, 1, 12), rng.normal(0, 0.015, 12))
    f0 = np.clip(who.f0_hz * line * (1 + waver), 62, 980)
    sound = voice.vowel(
        seconds, rng, name=str(rng.choice(vowels)), speaker=who, f0_hz=f0, subharmonic=rough, level_dbfs=dbfs
    )
    return _of(sound, "nonverbal")


def _puff(seconds: float, who: Speaker, rng: Rng, bright: float = 1.0) -> Array:
    """Breath through the mouth with an RMS of about 1, ndarray [shape=(k,)]."""
    samples = max(round(seconds * SAMPLE_RATE_HZ), 64)
    grain = rng.normal(size=samples)
    y = 0.2 * grain
    for hz in (600, 1500, 2600):
        centre = float(np.clip(hz * who.tract_scale * bright * rng.uniform(0.8, 1.2), 200, 7000))
        y = y + signal.lfilter(*signal.iirpeak(centre, rng.uniform(2, 6), fs=SAMPLE_RATE_HZ), grain)
    ends = np.minimum(1, np.minimum(np.arange(samples), np.arange(samples)[::-1]) / (0.25 * samples))
    return np.asarray(y / np.std(y) * ends)


def _of(sound: Sound, kind: str) -> Utterance:
    return Utterance(sound.y.astype(np.float64), sound.mouth_open, kind)


def _joined(parts: Sequence[Array], mouth: float, kind: str) -> Utterance:
    y = np.concatenate(parts)
    return Utterance(y, np.full(max(1, round(len(y) / SAMPLE_RATE_HZ / FRAME_S)), mouth), kind)


def _intoned(one: Utterance, depth: float, rng: Rng) -> Utterance:
    """Now faster and higher, now slower and lower, as feeling has it."""
    knots = max(3, round(one.seconds * 3))
    rate = np.exp(np.clip(depth * rng.normal(size=knots), -0.35, 0.35))
    at = np.cumsum(np.interp(np.arange(len(one.y)), np.linspace(0, len(one.y), knots), rate))
    at = at[at < len(one.y) - 1]
    y = np.interp(at, np.arange(len(one.y)), one.y)
    frames = at[:: round(FRAME_S * SAMPLE_RATE_HZ)] / (FRAME_S * SAMPLE_RATE_HZ)
    return Utterance(y, np.interp(frames, np.arange(len(one.mouth)), one.mouth), one.kind)


def _add(y: Array, part: Array, first: int) -> None:
    part = part[: max(len(y) - first, 0)]
    y[first : first + len(part)] += part


def _noise(samples: int, room: Room, rng: Rng) -> Array:
    """Steady noise of the room with an RMS of 1."""
    grain = rng.normal(size=samples)
    if room.noise != "white":
        spectrum = np.fft.rfft(grain) / np.sqrt(np.maximum(np.fft.rfftfreq(samples, 1 / SAMPLE_RATE_HZ), 20.0))
        grain = np.fft.irfft(spectrum, samples)
    if room.noise == "hum":
        t = np.arange(samples) / SAMPLE_RATE_HZ
        hum = sum(np.sin(2 * np.pi * 50 * k * t + k) / k for k in (1, 2, 3, 4, 6))
        grain = grain / np.std(grain) + hum / np.std(hum)
    return np.asarray(grain / np.std(grain))


def _evened(y: Array, rng: Rng) -> Array:
    """A recorder that turns quiet sound up and loud sound down, within some tenths of a second."""
    keep = np.exp(-1 / (rng.uniform(0.1, 1.0) * SAMPLE_RATE_HZ))
    power = signal.lfilter([1 - keep], [1, -keep], y**2, zi=[keep * float(np.mean(y**2))])[0]
    gained = y * np.maximum(power, 1e-7) ** (-0.5 * rng.uniform(0.2, 0.7))
    return np.asarray(gained * np.max(np.abs(y), initial=1e-9) / max(float(np.max(np.abs(gained))), 1e-9))
