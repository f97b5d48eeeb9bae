"""A voice whose truth is known: vowels, speech-like syllables, moans, groans, screams, sighs, coughs.

Each is a course of pitch, strength, breath and formants that :mod:`training.simulate.larynx` makes a sound of; sounds
are put into a scene, a room and a microphone. Everything follows from a NumPy ``Generator``.

Source of the vowels: formants of men from Hillenbrand et al. 1995 (doi 10.1121/1.411872), scaled by vocal tract length.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from scipy import signal

from training.simulate.larynx import (
    FRAME,
    FRAME_S,
    SAMPLE_RATE_HZ,
    STEP_S,
    Array,
    Controls,
    Sound,
    Speaker,
    active_rms,
    no_clip,
    render,
    speaker,
)

#: F1, F2, F3 in Hz of an average man
VOWELS_HZ: dict[str, tuple[float, float, float]] = {
    "i": (342, 2322, 3000),
    "e": (476, 2089, 2691),
    "eh": (580, 1799, 2605),
    "ae": (588, 1952, 2601),
    "a": (768, 1333, 2522),
    "o": (497, 910, 2459),
    "u": (378, 997, 2343),
    "uh": (623, 1200, 2550),
    "schwa": (500, 1500, 2500),
}
_UPPER_FORMANTS_HZ = (3500.0, 4500.0)
_NASAL_HZ = (260.0, 1150.0, 2200.0)
_LIQUID_HZ = (360.0, 1150.0, 2350.0)
_CLOSURE_HZ = (200.0, 1500.0, 2500.0)


def vowel(
    duration_s: float,
    rng: np.random.Generator,
    *,
    name: str = "a",
    speaker: Speaker | None = None,
    f0_hz: float | Array | None = None,
    jitter: float | None = None,
    shimmer_db: float | None = None,
    hnr_db: float | None = None,
    subharmonic: float = 0.0,
    level_dbfs: float = -24.0,
) -> Sound:
    """A sustained vowel. ``f0_hz`` may be a contour in 5 ms steps; what is not given comes from the speaker.

    ``subharmonic`` 0-1: how far every second cycle is smaller and later (period doubling).
    """
    who = _who(speaker, rng)
    m = _steps(duration_s)
    f0 = np.full(m, who.f0_hz) if f0_hz is None else np.array(np.broadcast_to(f0_hz, m), float)
    drift = _smooth(rng.normal(size=m), 0.3)
    f0 = f0 * (1 + 0.004 * drift / (np.std(drift) + 1e-9)) if f0_hz is None else f0
    controls = Controls(
        f0_hz=f0,
        voice=_fade(m, 0.03, 0.06),
        breath=np.zeros(m),
        hiss=np.zeros(m),
        hiss_hz=np.full(m, 4000.0),
        formants_hz=np.tile(_formants(name, who), (m, 1)),
        mouth_open=_fade(m, 0.05, 0.05) * 0.5,
    )
    who = replace(
        who,
        jitter=who.jitter if jitter is None else jitter,
        shimmer_db=who.shimmer_db if shimmer_db is None else shimmer_db,
        hnr_db=who.hnr_db if hnr_db is None else hnr_db,
    )
    return render(controls, who, rng, duration_s, level_dbfs, subharmonic)


def speech(
    duration_s: float,
    rng: np.random.Generator,
    *,
    speaker: Speaker | None = None,
    rate_per_s: float = 4.5,
    pauses: bool = True,
    level_dbfs: float = -26.0,
) -> Sound:
    """Running syllables without words: consonant and vowel, falling pitch over a phrase, accents, pauses to breathe."""
    who = _who(speaker, rng)
    m = _steps(duration_s)
    f0, voice, breath, hiss, hiss_hz = np.full(m, who.f0_hz), np.zeros(m), np.zeros(m), np.zeros(m), np.full(m, 4e3)
    formants = np.tile(_formants("schwa", who), (m, 1))
    mouth = np.zeros(m)

    controls = {"voice": voice, "breath": breath, "hiss": hiss, "hiss_hz": hiss_hz, "mouth": mouth}

    def put(start: int, seconds: float, target: Array | None = None, **levels: float) -> int:
        """Set controls for some seconds; returns the step after."""
        stop = min(start + max(1, round(seconds / STEP_S)), m)
        if target is not None:
            formants[start:stop] = target
        for name, value in levels.items():
            controls[name][start:stop] = value
        return stop

    at = round(0.05 / STEP_S)
    while at < m:
        phrase_start, accents = at, []
        for _ in range(int(rng.integers(4, 11))):
            pace = 4.5 / rate_per_s * rng.uniform(0.8, 1.25)
            match rng.choice(["nasal", "liquid", "soft stop", "stop", "hiss", "none"]):
                case "nasal":
                    at = put(at, 0.075 * pace, _tract(_NASAL_HZ, who), voice=0.4, mouth=0.05)
                case "liquid":
                    at = put(at, 0.06 * pace, _tract(_LIQUID_HZ, who), voice=0.6, mouth=0.2)
                case "soft stop":
                    at = put(at, 0.055 * pace, _tract(_CLOSURE_HZ, who), voice=0.15, mouth=0.0)
                case "stop":
                    at = put(at, 0.060 * pace, mouth=0.0)
                    at = put(at, 0.010, hiss=0.8, hiss_hz=float(rng.uniform(1500, 4500)), mouth=0.1)
                    at = put(at, 0.025, breath=0.25, mouth=0.3)
                case "hiss":
                    at = put(at, 0.10 * pace, hiss=0.35, hiss_hz=float(rng.uniform(3000, 6000)), mouth=0.1)
            target = _formants(str(rng.choice(list(VOWELS_HZ))), who)
            accent = float(rng.uniform(0.1, 0.3)) if rng.random() < 0.35 else 0.0
            centre = at
            opening = float(np.clip(target[0] / who.tract_scale / 800, 0.3, 1.0))
            at = put(at, 0.14 * pace * (1 + accent), target, voice=float(rng.uniform(0.8, 1.0)) + accent, mouth=opening)
            accents.append((centre + at) / 2 if accent else np.nan)
            if at >= m:
                break
        steps = np.arange(phrase_start, at)
        line = np.linspace(1.12, 0.88, max(len(steps), 1))[: len(steps)]
        for centre_step in [a for a in accents if np.isfinite(a)]:
            line = line * (1 + 0.18 * np.exp(-(((steps - centre_step) * STEP_S / 0.08) ** 2)))
        f0[phrase_start:at] = who.f0_hz * line
        if pauses and at < m:
            at = put(at, rng.uniform(0.05, 0.2), mouth=0.05)
            at = put(at, rng.uniform(0.2, 0.5), breath=0.02, mouth=0.15)
    for track in (voice, breath, hiss, mouth):
        track[-round(0.04 / STEP_S) :] = 0.0
    smooth = Controls(
        f0_hz=_smooth(f0, 0.06),
        voice=_smooth(voice, 0.03),
        breath=_smooth(breath, 0.015),
        hiss=_smooth(hiss, 0.015),
        hiss_hz=hiss_hz,
        formants_hz=_smooth(formants, 0.05),
        mouth_open=_smooth(mouth, 0.06),
    )
    return render(smooth, who, rng, duration_s, level_dbfs)


def moan(
    duration_s: float,
    rng: np.random.Generator,
    *,
    intensity: float = 0.5,
    speaker: Speaker | None = None,
    level_dbfs: float | None = None,
) -> Sound:
    """One moan, from closed lips to an open vowel and back; ``intensity`` 0-1 makes it higher, louder, rougher."""
    who = _who(speaker, rng)
    m = _steps(duration_s)
    arch = np.sin(np.pi * np.linspace(0.12, 0.97, m) ** rng.uniform(0.75, 1.1))
    waver = _smooth(rng.normal(size=m), 0.15)
    waver = waver / (np.std(waver) + 1e-9)
    opening = (0.25 + 0.6 * intensity) * arch
    closed, opened = _tract(_NASAL_HZ, who), _formants(str(rng.choice(["uh", "o", "a"])), who)
    controls = Controls(
        f0_hz=who.f0_hz * (1.0 + 0.55 * intensity + 0.25 * arch - 0.12) * (1 + 0.012 * waver),
        voice=_fade(m, 0.15, 0.25) * (0.55 + 0.45 * arch) * (1 + 0.06 * waver),
        breath=np.zeros(m),
        hiss=np.zeros(m),
        hiss_hz=np.full(m, 4000.0),
        formants_hz=closed + _smooth(np.minimum(1, 1.6 * opening), 0.1)[:, None] * (opened - closed),
        mouth_open=opening * _fade(m, 0.1, 0.1),
    )
    who = replace(
        who,
        jitter=min(who.jitter * (1.2 + 0.8 * intensity), 0.03),
        shimmer_db=who.shimmer_db * (1.2 + 0.8 * intensity),
        hnr_db=max(who.hnr_db - 2 - 3 * intensity, 6.0),
        tilt_hz=who.tilt_hz * (0.7 + 1.0 * intensity),
    )
    level = -34 + 16 * intensity if level_dbfs is None else level_dbfs
    return render(controls, who, rng, duration_s, level, subharmonic=float(0.15 * intensity * rng.random()))


def groan(
    duration_s: float,
    rng: np.random.Generator,
    *,
    intensity: float = 0.5,
    speaker: Speaker | None = None,
    level_dbfs: float | None = None,
) -> Sound:
    """One groan: low, pressed, falling, with period doubling that grows with ``intensity`` 0-1."""
    who = _who(speaker, rng)
    m = _steps(duration_s)
    fall = np.linspace(1.0, 0.72, m)
    waver = _smooth(rng.normal(size=m), 0.1)
    waver = waver / (np.std(waver) + 1e-9)
    controls = Controls(
        f0_hz=np.maximum(who.f0_hz * (0.85 + 0.25 * intensity) * fall * (1 + 0.02 * waver), 62.0),
        voice=_fade(m, 0.08, 0.3) * (1 + 0.1 * waver),
        breath=np.zeros(m),
        hiss=np.zeros(m),
        hiss_hz=np.full(m, 4000.0),
        formants_hz=np.tile(_formants(str(rng.choice(["o", "uh", "u"])), who), (m, 1)),
        mouth_open=_fade(m, 0.1, 0.2) * (0.15 + 0.3 * intensity),
    )
    who = replace(
        who,
        open_quotient=0.42,
        jitter=min(who.jitter * (1.3 + intensity), 0.03),  # rough, yet still a pitch
        shimmer_db=who.shimmer_db * (1.5 + intensity),
        hnr_db=max(who.hnr_db - 3 - 3 * intensity, 6.0),
    )
    level = -34 + 14 * intensity if level_dbfs is None else level_dbfs
    return render(controls, who, rng, duration_s, level, subharmonic=0.05 + 0.15 * intensity)


def scream(
    duration_s: float,
    rng: np.random.Generator,
    *,
    speaker: Speaker | None = None,
    f0_hz: float | None = None,
    level_dbfs: float = -14.0,
) -> Sound:
    """One scream on an open vowel: top pitch ``f0_hz`` (400-950 Hz when not given), bright and rough."""
    who = _who(speaker, rng)
    m = _steps(duration_s)
    top = float(rng.uniform(400, 950)) if f0_hz is None else f0_hz
    arch = np.sin(np.pi * np.linspace(0.2, 0.92, m))
    waver = _smooth(rng.normal(size=m), 0.12)
    controls = Controls(
        f0_hz=top * (0.7 + 0.3 * arch) * (1 + 0.012 * waver / (np.std(waver) + 1e-9)),
        voice=_fade(m, 0.04, 0.12) * (0.7 + 0.3 * arch),
        breath=np.zeros(m),
        hiss=np.zeros(m),
        hiss_hz=np.full(m, 4000.0),
        formants_hz=np.tile(_formants("a", who) * np.array([1.15, 1.08, 1, 1, 1]), (m, 1)),
        mouth_open=_fade(m, 0.08, 0.1),
    )
    who = replace(who, tilt_hz=6000.0, jitter=0.012, shimmer_db=0.8, hnr_db=12.0)
    return render(controls, who, rng, duration_s, level_dbfs)


def sigh(
    duration_s: float, rng: np.random.Generator, *, speaker: Speaker | None = None, level_dbfs: float = -40.0
) -> Sound:
    """One audible breath out: noise shaped by the tract, no voice."""
    who = _who(speaker, rng)
    m = _steps(duration_s)
    flow = np.linspace(0, 1, m)
    controls = Controls(
        f0_hz=np.full(m, who.f0_hz),
        voice=np.zeros(m),
        breath=_fade(m, 0.12, 0.2) * np.exp(-2.0 * flow),
        hiss=np.zeros(m),
        hiss_hz=np.full(m, 4000.0),
        formants_hz=_formants("schwa", who) * np.linspace(1.08, 0.95, m)[:, None],
        mouth_open=_fade(m, 0.1, 0.2) * 0.35,
    )
    return render(controls, who, rng, duration_s, level_dbfs)


def cough(
    duration_s: float, rng: np.random.Generator, *, speaker: Speaker | None = None, level_dbfs: float = -18.0
) -> Sound:
    """One to three cough bursts, each a sharp noise that dies away; no voice."""
    who = _who(speaker, rng)
    m = _steps(duration_s)
    breath, hiss = np.zeros(m), np.zeros(m)
    bursts = max(1, min(3, int(duration_s / 0.35)))
    for k in range(bursts):
        start = round((0.02 + k * duration_s / bursts) / STEP_S)
        t = np.arange(m - start) * STEP_S
        strength = rng.uniform(0.6, 1.0)
        breath[start:] += strength * np.exp(-t / rng.uniform(0.05, 0.09))
        hiss[start:] += strength * np.exp(-t / 0.012)
    controls = Controls(
        f0_hz=np.full(m, who.f0_hz),
        voice=np.zeros(m),
        breath=breath,
        hiss=hiss,
        hiss_hz=np.full(m, 2500.0),
        formants_hz=np.tile(_formants("schwa", who), (m, 1)),
        mouth_open=np.clip(breath, 0, 1) * 0.5,
    )
    return render(controls, who, rng, duration_s, level_dbfs)


def scene(duration_s: float, parts: Sequence[tuple[float, Sound]]) -> Sound:
    """Sounds placed at their start times (rounded to 10 ms) in ``duration_s`` of silence; truth is placed with them.

    Where two sounds overlap the later one's truth stands. Jitter, shimmer and HNR are means over the voiced parts.
    """
    n = round(duration_s / FRAME_S)
    y = np.zeros(n * FRAME, np.float32)
    f0, voiced, mouth = np.full(n, np.nan), np.zeros(n, bool), np.zeros(n)
    formants = np.full((n, 5), np.nan)
    cycles: list[Array] = []
    for start_s, sound in parts:
        first = round(start_s / FRAME_S)
        k = min(len(sound.f0_hz), n - first)
        if first < 0 or k <= 0:
            raise ValueError(f"a sound at {start_s} s lies outside the scene of {duration_s} s")
        y[first * FRAME : (first + k) * FRAME] += sound.y[: k * FRAME]
        here = slice(first, first + k)
        f0[here], voiced[here], mouth[here] = sound.f0_hz[:k], sound.voiced[:k], sound.mouth_open[:k]
        formants[here] = sound.formants_hz[:k]
        cycles.append(sound.cycle_s[sound.cycle_s < k * FRAME_S] + first * FRAME_S)
    spoken = [sound for _, sound in parts if sound.voiced.any()]
    weights = [sound.voiced.sum() for sound in spoken]

    def mean(name: str) -> float:
        return float(np.average([getattr(s, name) for s in spoken], weights=weights)) if spoken else np.nan

    return Sound(
        y=y,
        f0_hz=f0,
        voiced=voiced,
        mouth_open=mouth,
        formants_hz=formants,
        cycle_s=np.sort(np.concatenate([np.empty(0), *cycles])),
        jitter_local=mean("jitter_local"),
        shimmer_db=mean("shimmer_db"),
        hnr_db=mean("hnr_db"),
    )


def room(sound: Sound, rng: np.random.Generator, *, rt60_s: float = 0.4, direct_db: float = 6.0) -> Sound:
    """The sound in a room: an exponential tail of dense echoes; ``direct_db`` is direct against reverberant energy."""
    k = round(rt60_s * SAMPLE_RATE_HZ)
    tail = rng.normal(size=k) * 10 ** (-3 * np.arange(k) / k)
    tail[: round(0.003 * SAMPLE_RATE_HZ)] = 0
    tail = signal.lfilter([0.6], [1, -0.4], tail)  # walls swallow high notes
    tail *= 10 ** (-direct_db / 20) / np.sqrt(np.sum(tail**2))
    wet = signal.fftconvolve(sound.y.astype(np.float64), tail)[: len(sound.y)]
    return replace(sound, y=no_clip(sound.y + wet))


def microphone(
    sound: Sound,
    rng: np.random.Generator,
    *,
    snr_db: float = 30.0,
    noise: str = "pink",
    low_hz: float = 60.0,
    high_hz: float = 7500.0,
    gain_db: float = 0.0,
    clip: bool = False,
) -> Sound:
    """The sound as recorded: noise at ``snr_db`` under the active parts, band limits, gain, full scale at 1.

    ``noise``: "white", "pink" (room) or "hum" (50 Hz and its harmonics over pink). ``clip`` lets peaks hit full scale;
    otherwise a recording that is too loud is turned down.
    """
    n = len(sound.y)
    grain = rng.normal(size=n)
    if noise in ("pink", "hum"):
        spectrum = np.fft.rfft(grain)
        hz = np.fft.rfftfreq(n, 1 / SAMPLE_RATE_HZ)
        grain = np.fft.irfft(spectrum / np.sqrt(np.maximum(hz, 20.0)), n)
        grain /= np.std(grain)
    elif noise != "white":
        raise ValueError(f"noise is 'white', 'pink' or 'hum', got {noise!r}")
    if noise == "hum":
        t = np.arange(n) / SAMPLE_RATE_HZ
        hum = sum(np.sin(2 * np.pi * 50 * k * t + rng.uniform(0, 6)) / k for k in (1, 2, 3, 4, 6))
        grain = grain * 0.4 + hum / np.std(hum) * 0.92
    y = sound.y + grain * active_rms(sound.y) * 10 ** (-snr_db / 20)
    bands = signal.butter(2, [low_hz, high_hz], "bandpass", fs=SAMPLE_RATE_HZ, output="sos")
    y = signal.sosfilt(bands, y) * 10 ** (gain_db / 20)
    return replace(sound, y=np.clip(y, -1, 1).astype(np.float32) if clip else no_clip(y))


def _who(given: Speaker | None, rng: np.random.Generator) -> Speaker:
    return speaker(rng) if given is None else given


def _steps(duration_s: float) -> int:
    if not duration_s >= 0.05:
        raise ValueError(f"a sound lasts at least 0.05 s, got {duration_s}")
    return round(duration_s / STEP_S) + 1


def _tract(f123: tuple[float, float, float], who: Speaker) -> Array:
    return np.array([*f123, *_UPPER_FORMANTS_HZ]) * who.tract_scale


def _formants(name: str, who: Speaker) -> Array:
    return _tract(VOWELS_HZ[name], who)


def _fade(m: int, rise_s: float, fall_s: float) -> Array:
    """1 with smooth ends, ndarray [shape=(m,)]; ends are shortened when the sound is short."""
    t = np.arange(m) * STEP_S
    total = t[-1] if m > 1 else STEP_S
    scale = min(1.0, 0.9 * total / (rise_s + fall_s))
    up, down = np.clip(t / (rise_s * scale), 0, 1), np.clip((total - t) / (fall_s * scale), 0, 1)
    return np.asarray(np.sin(np.pi / 2 * up) * np.sin(np.pi / 2 * down))


def _smooth(x: Array, seconds: float) -> Array:
    """Running Hann-weighted mean along time; the ends are held."""
    half = max(1, round(seconds / STEP_S / 2))
    window = np.hanning(2 * half + 3)[1:-1]
    padded = np.pad(x, [(half, half)] + [(0, 0)] * (x.ndim - 1), mode="edge")
    kernel = (window / window.sum()).reshape(-1, *[1] * (x.ndim - 1))
    return np.asarray(signal.fftconvolve(padded, kernel, mode="valid", axes=0))
