"""Sounds of a room, one at a time: what people do with their voices, what they breathe and cough, and what things do.

People speak, moan, groan, cry, scream, grunt, laugh, sigh, gasp, sniff and cough; things knock, creak, slam, rustle,
ring, beep, hum and play. Each is a function of a NumPy ``Generator`` and is drawn widely on purpose: a network that
learns from it must not learn the simulation. Levels mean nothing here; :mod:`training.simulate.scenes` sets them.

The voices come from :mod:`training.simulate.voice`. Knocks and rings are sums of decaying modes, the usual model of a
struck body (van den Doel & Pai 1998, doi 10.1162/105474698565794); creaking is a train of irregular stick-slip pulses
through such modes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt
from scipy import signal

from training.simulate import voice
from training.simulate.voice import SAMPLE_RATE_HZ, Sound, Speaker

Array = npt.NDArray[np.float64]
Rng = np.random.Generator


# --- people -----------------------------------------------------------------------------------------------------------


def _anybody(rng: Rng) -> Speaker:
    """A speaker drawn wider than the habitual ones: raised and pressed voices, breathy and rough ones."""
    who = voice.speaker(rng)
    return replace(
        who,
        f0_hz=who.f0_hz * float(rng.choice([1.0, rng.uniform(0.8, 1.3), rng.uniform(1.2, 2.0)])),
        tract_scale=who.tract_scale * float(rng.uniform(0.92, 1.08)),
        open_quotient=float(rng.uniform(0.38, 0.7)),
        tilt_hz=float(np.exp(rng.uniform(np.log(500), np.log(7000)))),
        jitter=who.jitter * float(rng.uniform(0.7, 1.8)),
        shimmer_db=who.shimmer_db * float(rng.uniform(0.7, 1.8)),
        hnr_db=who.hnr_db + float(rng.uniform(-6, 4)),
    )


def _talk(rng: Rng) -> Array:
    y = _y(voice.speech(rng.uniform(1.0, 4.0), rng, speaker=_anybody(rng), rate_per_s=rng.uniform(2.6, 6.5)))
    y = _intoned(y, rng) if rng.random() < 0.6 else y
    return _spelled(y, rng, rng.uniform(0, 4)) if rng.random() < 0.8 else y


def _word(rng: Rng) -> Array:
    """One to four syllables."""
    y = _y(voice.speech(rng.uniform(0.35, 0.9), rng, speaker=_anybody(rng), rate_per_s=rng.uniform(3.5, 6)))
    y = _intoned(y, rng) if rng.random() < 0.6 else y
    return _spelled(y, rng, rng.uniform(0, 6)) if rng.random() < 0.8 else y


def _intoned(y: Array, rng: Rng) -> Array:
    """Speech with feeling: now faster and higher, now slower and lower, by up to a third."""
    rate = np.exp(np.clip(rng.uniform(0.05, 0.2) * _wander(len(y) // 400 + 4, rng, 0.15), -0.3, 0.3))
    place = np.cumsum(np.interp(np.arange(len(y)), np.linspace(0, len(y), len(rate)), rate))
    return np.asarray(np.interp(place[place < len(y) - 1], np.arange(len(y)), y))


def _spelled(y: Array, rng: Rng, rate_per_s: float) -> Array:
    """Speech with more and stronger consonants, put in where it is weakest nearby, and at its end."""
    power = np.convolve(y**2, np.ones(480) / 480, "same")
    loud = np.sqrt(power.max())
    parts, at = [], 0
    for start in np.sort(rng.uniform(0, len(y) - 800, max(1, round(rate_per_s * len(y) / SAMPLE_RATE_HZ)))):
        cut = int(start) + int(np.argmin(power[int(start) : int(start) + 2400]))
        if cut <= at:
            continue
        parts += [y[at:cut], _consonant(rng) * loud * 10 ** (rng.uniform(-20, 0) / 20)]
        at = cut
    parts.append(y[at:])
    if rng.random() < 0.4:
        parts.append(_consonant(rng) * loud * 10 ** (rng.uniform(-20, 2) / 20))
    return np.concatenate(parts)


def _consonant(rng: Rng) -> Array:
    """s, sh, f or ch: hiss above a corner; p, t or k: a closure, a burst, a breath."""
    samples = round(rng.uniform(0.05, 0.18) * SAMPLE_RATE_HZ)
    low = rng.uniform(1500, 5500)
    hiss = banded(rng.normal(size=samples), low, min(low * rng.uniform(1.3, 4), 7800))
    hiss *= _envelope(samples, rng, (0.002, 0.05), (0.01, 0.05)) / rms(hiss)
    closure = np.zeros(round(rng.uniform(0.03, 0.1) * SAMPLE_RATE_HZ))
    if rng.random() < 0.6:
        return np.concatenate([closure, hiss]) if rng.random() < 0.3 else hiss
    burst = hiss[: round(rng.uniform(0.008, 0.04) * SAMPLE_RATE_HZ)]
    return np.concatenate([closure, burst * np.linspace(1, 0.1, len(burst))])


def _moan(rng: Rng) -> Array:
    length = rng.uniform(0.5, 2.8)
    return _y(voice.moan(length, rng, speaker=_anybody(rng), intensity=rng.uniform(0, 1)))


def _groan(rng: Rng) -> Array:
    return _y(voice.groan(rng.uniform(0.4, 2.2), rng, speaker=_anybody(rng), intensity=rng.uniform(0, 1)))


def _scream(rng: Rng) -> Array:
    who = _anybody(rng)
    y = _y(voice.scream(rng.uniform(0.3, 1.8), rng, speaker=who, f0_hz=rng.uniform(280, 950)))
    return _overdrive(y, rng) if rng.random() < 0.5 else y


def _call(length_s: float, rng: Rng, who: Speaker, arch: Array, *, vowel: str | None = None) -> Array:
    """A vowel on a pitch contour ``arch`` (a factor on the speaker's pitch), sometimes hoarse."""
    steps = voice._steps(length_s)
    waver = _wander(steps, rng, 0.1)
    line = np.interp(np.linspace(0, 1, steps), np.linspace(0, 1, len(arch)), arch)
    f0 = np.clip(who.f0_hz * line * (1 + rng.uniform(0.004, 0.03) * waver), 62, 980)
    sound = voice.vowel(
        length_s,
        rng,
        name=vowel or str(rng.choice(["a", "uh", "o", "ae", "e", "eh", "schwa"])),
        speaker=who,
        f0_hz=f0,
        jitter=who.jitter * rng.uniform(1, 2.5),
        shimmer_db=who.shimmer_db * rng.uniform(1, 2.5),
        hnr_db=max(who.hnr_db - rng.uniform(0, 10), 3.0),
        subharmonic=float(rng.choice([0, 0, rng.uniform(0, 0.35)])),
    )
    y = _y(sound) * _envelope(len(sound.y), rng, (0.01, 0.15), (0.03, 0.4))
    return _overdrive(y, rng) if rng.random() < 0.3 else y


def _grunt(rng: Rng) -> Array:
    """A short push of voice, "ugh" or "ah", with the breath that carries it."""
    who = _anybody(rng)
    top = rng.uniform(0.9, 2.2)
    burst = _call(
        rng.uniform(0.12, 0.6), rng, who, np.array([top * rng.uniform(0.8, 1.1), top, top * rng.uniform(0.5, 1)])
    )
    air = _breath_noise(rng.uniform(0.1, 0.4), rng, who) * rms(burst) / 3 * rng.uniform(0, 1)
    return _sequence([burst, air], -min(len(air), len(burst)) // 3)


def _harsh_grunt(rng: Rng) -> Array:
    """A grunt or growl pressed so hard that no pitch is left: irregular pulses and noise through the vocal tract."""
    who = _anybody(rng)
    samples = round(rng.uniform(0.12, 0.9) * SAMPLE_RATE_HZ)
    rate = who.f0_hz * rng.uniform(0.6, 1.8) * np.exp(0.15 * _wander(60, rng, 0.1))
    phase = np.cumsum(np.interp(np.arange(samples), np.linspace(0, samples, 60), rate)) / SAMPLE_RATE_HZ
    phase += rng.uniform(0.05, 0.4) * np.interp(
        phase, np.arange(int(phase[-1]) + 2), rng.normal(size=int(phase[-1]) + 2)
    )
    pulses = (np.diff(np.floor(np.maximum.accumulate(phase)), prepend=0) > 0) * rng.uniform(0.2, 1, samples)
    y = pulses / rms(pulses) + rng.normal(size=samples) * rng.uniform(0.2, 1.5)
    y = signal.lfilter([1], [1, -rng.uniform(0.5, 0.97)], y)
    formants = np.array(voice.VOWELS_HZ[str(rng.choice(["a", "uh", "ae", "o", "schwa", "eh"]))])
    for hz, width in zip([*formants * rng.uniform(0.9, 1.2, 3), 3500, 4500], (90, 120, 160, 250, 350), strict=True):
        radius = np.exp(-np.pi * width * rng.uniform(0.8, 2.5) / SAMPLE_RATE_HZ)
        angle = 2 * np.pi * min(hz * who.tract_scale, 7500) / SAMPLE_RATE_HZ
        y = signal.lfilter([1 - radius], [1, -2 * radius * np.cos(angle), radius**2], y)
    y = y * _envelope(samples, rng, (0.02, 0.15), (0.04, 0.3))
    return np.asarray(np.tanh(y / rms(y) * rng.uniform(0.3, 1.5)))


def _cry_out(rng: Rng) -> Array:
    """A long open call: up, held, down."""
    top = rng.uniform(1.3, 3.0)
    arch = top * np.array([rng.uniform(0.6, 1), 1.0, rng.uniform(0.85, 1.1), rng.uniform(0.5, 0.95)])
    return _call(rng.uniform(0.4, 2.2), rng, _anybody(rng), arch, vowel=str(rng.choice(["a", "ae", "uh", "o"])))


def _sobbing(rng: Rng) -> Array:
    """Wails or whimpers in a row, with the breath drawn between them."""
    who, parts = _anybody(rng), []
    top, pace = rng.uniform(1.2, 2.6), rng.uniform(0.15, 0.8)
    for _ in range(int(rng.integers(2, 7))):
        high = top * rng.uniform(0.85, 1.15)
        parts.append(
            _call(pace * rng.uniform(0.7, 1.4), rng, who, high * np.array([0.9, 1.0, rng.uniform(0.65, 0.95)]))
        )
        parts.append(np.zeros(round(rng.uniform(0.02, 0.14) * SAMPLE_RATE_HZ)))
        if rng.random() < 0.4:
            parts[-1] = _breath_noise(rng.uniform(0.08, 0.14), rng, who) * rms(parts[-2]) * rng.uniform(0.05, 0.2)
    return _sequence(parts)


def _laugh(rng: Rng) -> Array:
    """Short calls four to six times a second with breath between: no pain, but a voice without words all the same."""
    who, parts = _anybody(rng), []
    top, beat_s = rng.uniform(1.0, 2.4), rng.uniform(0.15, 0.26)
    for k in range(int(rng.integers(3, 9))):
        call = _call(beat_s * rng.uniform(0.4, 0.6), rng, who, top * 0.97**k * np.array([1.05, 1.0, 0.85]))
        parts += [call * 0.93**k, _breath_noise(beat_s * 0.5, rng, who) * rms(call) * rng.uniform(0.02, 0.3)]
    return _sequence(parts)


def _hum(rng: Rng) -> Array:
    """A moan behind closed lips: nothing above the first formant to speak of."""
    y = _moan(rng)
    corner = rng.uniform(350, 1200)
    return np.asarray(signal.sosfilt(signal.butter(2, corner, "lowpass", fs=SAMPLE_RATE_HZ, output="sos"), y))


def _sigh(rng: Rng) -> Array:
    return _y(voice.sigh(rng.uniform(0.5, 2.2), rng, speaker=_anybody(rng)))


def _gasp(rng: Rng) -> Array:
    """Breath drawn in at once: noise that swells and stops, brighter than a sigh."""
    length = rng.uniform(0.2, 0.7)
    y = _breath_noise(length, rng, _anybody(rng), bright=rng.uniform(1.0, 1.5))
    swell = np.linspace(0, 1, len(y)) ** rng.uniform(0.3, 2)
    return np.asarray(y * swell * _envelope(len(y), rng, (0.01, 0.1), (0.02, 0.1)))


def _panting(rng: Rng) -> Array:
    who, parts = _anybody(rng), []
    pace = rng.uniform(0.2, 0.6)
    for k in range(int(rng.integers(2, 7))):
        parts.append(_breath_noise(pace, rng, who, bright=1.25 if k % 2 else 1.0) * rng.uniform(0.5, 1))
        parts.append(np.zeros(round(rng.uniform(0.02, 0.2) * SAMPLE_RATE_HZ)))
    return _sequence(parts)


def _sniff(rng: Rng) -> Array:
    return _breath_noise(rng.uniform(0.15, 0.5), rng, _anybody(rng), bright=rng.uniform(1.4, 2.4))


def _breath_noise(length_s: float, rng: Rng, who: Speaker, bright: float = 1.0) -> Array:
    """Turbulence through a vocal tract with random openings."""
    samples = round(length_s * SAMPLE_RATE_HZ)
    grain = rng.normal(size=samples)
    y = grain * rng.uniform(0.05, 0.4)
    for hz in (600, 1500, 2500, 3700):
        centre = float(np.clip(hz * who.tract_scale * bright * rng.uniform(0.75, 1.25), 200, 7000))
        b, a = signal.iirpeak(centre, rng.uniform(2, 8), fs=SAMPLE_RATE_HZ)
        y = y + signal.lfilter(b, a, grain) * rng.uniform(0.3, 1.5)
    return np.asarray(y * _envelope(samples, rng, (0.03, 0.3), (0.05, 0.5)))


def _cough(rng: Rng) -> Array:
    """Bursts of air, some with the rough voice of the closing glottis after them."""
    if rng.random() < 0.3:
        return _y(voice.cough(rng.uniform(0.25, 1.2), rng, speaker=_anybody(rng)))
    who, parts = _anybody(rng), []
    for _ in range(int(rng.integers(1, 5))):
        burst = _breath_noise(rng.uniform(0.12, 0.35), rng, who)
        t = np.arange(len(burst)) / SAMPLE_RATE_HZ
        burst = rng.normal(size=len(t)) * np.exp(-t / 0.01) * rms(burst) * rng.uniform(0.5, 3) + burst * np.exp(
            -t / rng.uniform(0.04, 0.12)
        )
        if rng.random() < 0.5:
            rough = replace(who, jitter=0.04, shimmer_db=2.0, hnr_db=3.0)
            tail = _call(rng.uniform(0.06, 0.16), rng, rough, np.array([1.2, 0.8]))
            burst = _sequence([burst, tail * rms(burst) / rms(tail) * rng.uniform(0.2, 0.8)], -len(burst) // 2)
        parts += [burst * rng.uniform(0.4, 1), np.zeros(round(rng.uniform(0.03, 0.3) * SAMPLE_RATE_HZ))]
    return _sequence(parts)


# --- things -----------------------------------------------------------------------------------------------------------


def _struck(rng: Rng, low_hz: float, high_hz: float, ring_s: tuple[float, float], modes: tuple[int, int]) -> Array:
    """One blow on a body: decaying modes, high ones sooner gone, and the click of the contact."""
    ring = rng.uniform(*ring_s)
    t = np.arange(round(min(6 * ring, 2.0) * SAMPLE_RATE_HZ) + 400) / SAMPLE_RATE_HZ
    y = rng.normal(size=len(t)) * np.exp(-t / rng.uniform(0.0008, 0.008)) * rng.uniform(0, 1.5)
    for hz in np.exp(rng.uniform(np.log(low_hz), np.log(high_hz), int(rng.integers(*modes)))):
        decay = ring * (low_hz / hz) ** rng.uniform(0.1, 0.6)
        y += rng.uniform(0.2, 1) * np.sin(2 * np.pi * hz * t + rng.uniform(0, 6)) * np.exp(-t / decay)
    return np.asarray(y)


def _again(rng: Rng, blow: Callable[[], Array], times: tuple[int, int], every_s: tuple[float, float]) -> Array:
    """The same thing several times, each a little different in strength and distance."""
    parts, gap = [], rng.uniform(*every_s)
    one = blow()
    for _ in range(int(rng.integers(*times))):
        part = (one if rng.random() < 0.7 else blow()) * rng.uniform(0.5, 1)
        wanted = max(round(gap * rng.uniform(0.85, 1.15) * SAMPLE_RATE_HZ), 400)
        parts.append(np.pad(part, (0, max(0, wanted - len(part)))))
    return _sequence(parts)


def _knock(rng: Rng) -> Array:
    return _again(rng, lambda: _struck(rng, 70, 1800, (0.008, 0.06), (3, 12)), (1, 6), (0.12, 0.5))


def _clink(rng: Rng) -> Array:
    """Glass, metal, crockery."""
    return _again(rng, lambda: _struck(rng, 700, 7000, (0.03, 0.4), (3, 12)), (1, 6), (0.08, 0.6))


def _keys(rng: Rng) -> Array:
    return _again(rng, lambda: _struck(rng, 1500, 7500, (0.002, 0.01), (2, 9)), (3, 16), (0.08, 0.25))


def _door(rng: Rng) -> Array:
    """A creak, a slam, or both."""
    slam = _struck(rng, 40, 600, (0.04, 0.25), (6, 20))
    slam += (
        np.convolve(rng.normal(size=len(slam)), np.ones(8) / 8, "same")
        * np.exp(-np.arange(len(slam)) / SAMPLE_RATE_HZ / rng.uniform(0.03, 0.15))
        * rng.uniform(0.5, 2)
    )
    parts: list[Array] = []
    if rng.random() < 0.6:
        parts.append(_creak(rng))
    if rng.random() < 0.8 or not parts:
        parts.append(slam / rms(slam) * (rms(parts[0]) if parts else 1.0) * rng.uniform(0.8, 4))
    return _sequence(parts)


def _creak(rng: Rng) -> Array:
    """Stick and slip, 15 to 400 times a second, in a wooden or metal body: a chair, a hinge, a rubber sole."""
    length = rng.uniform(0.15, 1.6)
    samples = round(length * SAMPLE_RATE_HZ)
    rate = np.exp(np.log(rng.uniform(20, 250)) + 0.6 * _wander(40, rng, 0.08))
    phase = np.cumsum(np.interp(np.linspace(0, 1, samples), np.linspace(0, 1, 40), rate)) / SAMPLE_RATE_HZ
    phase += rng.uniform(0.05, 0.4) * np.interp(
        phase, np.arange(int(phase[-1]) + 2), rng.normal(size=int(phase[-1]) + 2)
    )
    pulses = (np.diff(np.floor(np.maximum.accumulate(phase)), prepend=0) > 0) * rng.uniform(0.2, 1, samples)
    body = _struck(rng, 250, 5000, (0.002, 0.012), (3, 10))[:1600]
    return np.asarray(signal.fftconvolve(pulses, body)[:samples] * _envelope(samples, rng, (0.02, 0.3), (0.02, 0.3)))


def _rustle(rng: Rng) -> Array:
    """Noise of cloth, paper, water, wind, a chair on the floor: any band, any unrest."""
    samples = round(rng.uniform(0.1, 2.5) * SAMPLE_RATE_HZ)
    low = float(np.exp(rng.uniform(np.log(60), np.log(4000))))
    y = banded(rng.normal(size=samples), low, min(low * rng.uniform(1.5, 20), 7800))
    unrest = np.exp(rng.uniform(0, 1.4) * _wander(samples // 80 + 2, rng, rng.uniform(0.02, 0.3)))
    y = y * np.interp(np.arange(samples) / 80, np.arange(len(unrest)), unrest)
    return np.asarray(y * _envelope(samples, rng, (0.002, 0.4), (0.01, 0.5)))


def _crackle(rng: Rng) -> Array:
    """Many small clicks: a bag, a page, a bad cable."""
    samples = round(rng.uniform(0.2, 1.5) * SAMPLE_RATE_HZ)
    clicks = rng.normal(size=samples) * (rng.random(samples) < rng.uniform(0.001, 0.03))
    return np.asarray(signal.fftconvolve(clicks, _struck(rng, 800, 6000, (0.001, 0.005), (2, 8))[:400])[:samples])


def _beeps(rng: Rng) -> Array:
    """A monitor, a telephone, an alarm."""
    hz = float(np.exp(rng.uniform(np.log(250), np.log(3500))))
    strengths = rng.uniform(0, 1, 5) ** 2 * np.array([1, *(rng.random(4) < 0.5)]) + np.array([0.3, 0, 0, 0, 0])
    pitches = hz * np.array([1, float(rng.choice([1, 1.122, 1.26, 1.335, 1.5, 0.8]))])
    length = rng.uniform(0.05, 0.6)

    def beep(number: int) -> Array:
        t = np.arange(round(length * SAMPLE_RATE_HZ)) / SAMPLE_RATE_HZ
        f0 = pitches[number % 2]
        y = sum(a * np.sin(2 * np.pi * f0 * (k + 1) * t) for k, a in enumerate(strengths) if f0 * (k + 1) < 7500)
        return np.asarray(y) * _envelope(len(t), rng, (0.003, 0.02), (0.005, 0.1))

    gap = np.zeros(round(rng.uniform(0.02, 0.8) * SAMPLE_RATE_HZ))
    return _sequence([part for k in range(int(rng.integers(1, 6))) for part in (beep(k), gap)][:-1])


def _engine(rng: Rng) -> Array:
    """A motor, a fan, mains hum: low harmonics with noise, for as long as it runs."""
    length = rng.uniform(0.6, 3.0)
    t = np.arange(round(length * SAMPLE_RATE_HZ)) / SAMPLE_RATE_HZ
    hz = float(rng.choice([50, 60, 100, 120, rng.uniform(25, 180)]))
    y = np.zeros(len(t))
    for k in range(1, int(rng.integers(3, 30))):
        if hz * k < 7500:
            y += rng.uniform(0, 1) * k ** -rng.uniform(0.3, 2) * np.sin(2 * np.pi * hz * k * t + rng.uniform(0, 6))
    y = y / rms(y) + banded(rng.normal(size=len(t)), 60, rng.uniform(300, 6000)) * rng.uniform(0.05, 1.5)
    return np.asarray(y * _envelope(len(t), rng, (0.05, 0.6), (0.05, 0.6)))


def _music(rng: Rng) -> Array:
    """Chords, a tune over them, and sometimes a beat."""
    length, beat = rng.uniform(1.5, 4.0), rng.uniform(0.18, 0.6)
    y = np.zeros(round(length * SAMPLE_RATE_HZ))
    scale = np.array([0, 2, 4, 5, 7, 9, 11])
    root, plucked = float(rng.uniform(90, 260)), rng.random() < 0.6
    fall = rng.uniform(0.4, 2.0)
    for start in np.arange(0, length - 0.1, beat):
        degrees = [int(rng.integers(0, 7)) + 7 * int(rng.random() < 0.5)]
        if rng.random() < 0.6:
            degrees += [0, 2, 4]
        for degree in degrees:
            f0 = root * 2 ** ((scale[degree % 7] + 12 * (degree // 7)) / 12)
            t = np.arange(round(beat * rng.uniform(0.8, 2.5) * SAMPLE_RATE_HZ)) / SAMPLE_RATE_HZ
            shape = np.exp(-t / rng.uniform(0.1, 0.6)) if plucked else _envelope(len(t), rng, (0.02, 0.1), (0.05, 0.2))
            note = sum(k**-fall * np.sin(2 * np.pi * f0 * k * t) for k in range(1, 12) if f0 * k < 7500) * shape
            first = round(start * SAMPLE_RATE_HZ)
            y[first : first + len(t)] += np.asarray(note)[: len(y) - first]
        if rng.random() < 0.5:
            drum = _struck(rng, 50, 4000, (0.01, 0.08), (2, 8)) * rng.uniform(0.2, 1)
            first = round(start * SAMPLE_RATE_HZ)
            y[first : first + len(drum)] += drum[: len(y) - first]
    return y


#: what can be heard: maker and how often it is drawn among its kind
MAKERS: dict[str, dict[str, tuple[Callable[[Rng], Array], float]]] = {
    "speech": {"talk": (_talk, 0.75), "word": (_word, 0.25)},
    "nonverbal": {
        "moan": (_moan, 0.16),
        "groan": (_groan, 0.16),
        "scream": (_scream, 0.1),
        "grunt": (_grunt, 0.15),
        "harsh grunt": (_harsh_grunt, 0.1),
        "cry out": (_cry_out, 0.12),
        "sobbing": (_sobbing, 0.1),
        "laugh": (_laugh, 0.04),
        "hum": (_hum, 0.07),
    },
    "breath": {"sigh": (_sigh, 0.4), "gasp": (_gasp, 0.25), "panting": (_panting, 0.2), "sniff": (_sniff, 0.15)},
    "other": {
        "cough": (_cough, 0.24),
        "knock": (_knock, 0.14),
        "door": (_door, 0.1),
        "rustle": (_rustle, 0.12),
        "clink": (_clink, 0.07),
        "creak": (_creak, 0.05),
        "keys": (_keys, 0.05),
        "crackle": (_crackle, 0.04),
        "beeps": (_beeps, 0.06),
        "engine": (_engine, 0.06),
        "music": (_music, 0.07),
    },
}

# --- small things -----------------------------------------------------------------------------------------------------


def _y(sound: Sound) -> Array:
    return sound.y.astype(np.float64)


def _wander(steps: int, rng: Rng, share: float) -> Array:
    """A smooth random line of mean 0 and spread 1; ``share`` of its length is how long it keeps a direction."""
    width = max(2, round(steps * share))
    line = np.convolve(rng.normal(size=steps + width - 1), np.hanning(width + 2)[1:-1], "valid")[:steps]
    return np.asarray((line - line.mean()) / (np.std(line) + 1e-9))


def _envelope(samples: int, rng: Rng, rise_s: tuple[float, float], fall_s: tuple[float, float]) -> Array:
    t = np.arange(samples) / SAMPLE_RATE_HZ
    rise, fall = rng.uniform(*rise_s), rng.uniform(*fall_s)
    scale = min(1.0, samples / SAMPLE_RATE_HZ / (rise + fall))
    up = np.clip(t / (rise * scale), 0, 1)
    down = np.clip((samples / SAMPLE_RATE_HZ - t) / (fall * scale), 0, 1)
    return np.asarray(np.sin(np.pi / 2 * up) * np.sin(np.pi / 2 * down))


def effort(y: Array, rng: Rng) -> Array:
    """A voice raised or pressed: the spectrum flatter, and stronger between 1 and 4 kHz, where shouting is."""
    y = signal.lfilter([1, -rng.uniform(0, 0.97)], [1], y)
    for _ in range(int(rng.integers(1, 4))):
        hz, width = float(np.exp(rng.uniform(np.log(900), np.log(4500)))), rng.uniform(1, 4)
        b, a = signal.iirpeak(hz, width, fs=SAMPLE_RATE_HZ)
        y = y + signal.lfilter(b, a, y) * rng.uniform(0, 5)
    return np.asarray(y)


def _overdrive(y: Array, rng: Rng) -> Array:
    """A voice pressed until it is harsh: soft limits and a rough beat of 30-90 Hz (Arnal et al. 2015)."""
    t = np.arange(len(y)) / SAMPLE_RATE_HZ
    beat = 1 + rng.uniform(0, 0.8) * np.sin(2 * np.pi * rng.uniform(30, 90) * t + 2 * _wander(len(t), rng, 0.1))
    return np.asarray(np.tanh(y / rms(y) * beat * rng.uniform(0.5, 3)))


def banded(y: Array, low_hz: float, high_hz: float) -> Array:
    """The part of a sound between two frequencies."""
    sos = signal.butter(2, [low_hz, max(high_hz, low_hz * 1.2)], "bandpass", fs=SAMPLE_RATE_HZ, output="sos")
    return np.asarray(signal.sosfilt(sos, y))


def _sequence(parts: Sequence[Array], gap: int = 0) -> Array:
    """Parts one after another; a negative gap lets each begin before the one before it ends."""
    at, total = 0, 0
    starts = []
    for part in parts:
        starts.append(at)
        total = max(total, at + len(part))
        at = max(at + len(part) + gap, at)
    y = np.zeros(total)
    for start, part in zip(starts, parts, strict=True):
        y[start : start + len(part)] += part
    return y


def rms(y: Array) -> float:
    """Root mean square, never 0."""
    return max(float(np.sqrt(np.mean(y**2))), 1e-9)
