"""Larynx and vocal tract: who speaks, what both do every 5 ms -> a sound and the truth about it.

Glottal pulses are placed cycle by cycle (so jitter, shimmer and subharmonics are exact), shaped by moving formant
resonators and mixed with breath and friction noise. What is said or cried with them: :mod:`training.simulate.voice`.

Sources: glottal pulse and parallel noise sources after Klatt & Klatt 1990 (doi 10.1121/1.398894); jitter and shimmer as
Praat defines them (local jitter, local shimmer in dB).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import signal

Array = npt.NDArray[np.float64]

SAMPLE_RATE_HZ = 16_000
FRAME_S = 0.010  # truth is given at the centres of consecutive 10 ms frames: 5 ms, 15 ms, ...
STEP_S = 0.005  # controls move in 5 ms steps
OVERSAMPLING = 4  # pulses have edges: they are drawn at 64 kHz and then band-limited
FRAME = round(FRAME_S * SAMPLE_RATE_HZ)
STEP = round(STEP_S * SAMPLE_RATE_HZ)

_BANDWIDTHS_HZ = np.array([70.0, 90.0, 130.0, 200.0, 280.0])


@dataclass(frozen=True)
class Speaker:
    """One vocal tract and larynx.

    ``f0_hz`` habitual pitch; ``tract_scale`` multiplies a man's formants (short tracts: above 1); ``open_quotient``
    share of the cycle with the glottis open; ``tilt_hz`` corner above which the source falls by a further 6 dB/octave;
    ``jitter`` relative, ``shimmer_db``, ``hnr_db`` of a comfortable vowel.
    """

    kind: str
    f0_hz: float
    tract_scale: float
    open_quotient: float
    tilt_hz: float
    jitter: float
    shimmer_db: float
    hnr_db: float


@dataclass(frozen=True)
class Sound:
    """A generated sound and its truth at the centres of 10 ms frames.

    Attributes
    ----------
    y : ndarray [shape=(k,), float32, 16 kHz]
    f0_hz : ndarray [shape=(n,), Hz] mean rate of the glottal cycles within 20 ms of the centre, NaN where unvoiced
        (subharmonics do not halve it)
    voiced : ndarray [shape=(n,), bool]
    mouth_open : ndarray [shape=(n,), 0-1] how far the mouth is open, to move a jaw with
    formants_hz : ndarray [shape=(n, 5), Hz]
    cycle_s : ndarray [shape=(c,), s] when the glottis closes and excites the tract, once in each cycle
    jitter_local, shimmer_db : realised in the cycles, of the pairs that Praat counts (NaN without at least two)
    hnr_db : power of pulses against breath noise over the voiced frames (NaN when unvoiced), before room and noise
    """

    y: npt.NDArray[np.float32]
    f0_hz: Array
    voiced: npt.NDArray[np.bool_]
    mouth_open: Array
    formants_hz: Array
    cycle_s: Array
    jitter_local: float
    shimmer_db: float
    hnr_db: float

    @property
    def time_s(self) -> Array:
        """Frame centres in seconds from the first sample, ndarray [shape=(n,)]."""
        return np.asarray((np.arange(len(self.f0_hz)) + 0.5) * FRAME_S, np.float64)

    @property
    def duration_s(self) -> float:
        return len(self.y) / SAMPLE_RATE_HZ


@dataclass(frozen=True)
class Controls:
    """What the larynx and tract do, every 5 ms: arrays [shape=(m,)], formants [shape=(m, 5)]."""

    f0_hz: Array
    voice: Array  # amplitude of the glottal pulses, 0: none
    breath: Array  # noise at the glottis, relative to voice
    hiss: Array  # noise at a narrow place in the mouth
    hiss_hz: Array  # centre of that noise
    formants_hz: Array
    mouth_open: Array


def speaker(rng: np.random.Generator, kind: str | None = None) -> Speaker:
    """A random speaker: ``kind`` "man", "woman" or "old" (either sex, rougher and breathier); None picks one."""
    kind = kind or str(rng.choice(["man", "woman", "old"]))
    if kind not in ("man", "woman", "old"):
        raise ValueError(f"speaker kind is 'man', 'woman' or 'old', got {kind!r}")
    male = kind == "man" or (kind == "old" and rng.random() < 0.5)
    old = kind == "old"
    f0 = rng.uniform(90, 150) if male else rng.uniform(165, 250)
    return Speaker(
        kind=kind,
        f0_hz=float(f0 * ((1.12 if male else 0.88) if old else 1.0)),  # with age men's voices rise, women's fall
        tract_scale=float(rng.normal(1.0, 0.03) if male else rng.normal(1.16, 0.035)),
        open_quotient=float(rng.uniform(0.45, 0.65)),
        tilt_hz=float(rng.uniform(900, 2500)),
        jitter=float(rng.uniform(0.010, 0.020) if old else rng.uniform(0.003, 0.010)),
        shimmer_db=float(rng.uniform(0.45, 0.90) if old else rng.uniform(0.15, 0.45)),
        hnr_db=float(rng.uniform(9, 16) if old else rng.uniform(15, 25)),
    )


def render(
    controls: Controls,
    who: Speaker,
    rng: np.random.Generator,
    duration_s: float,
    level_dbfs: float,
    subharmonic: float = 0.0,
) -> Sound:
    """The sound of ``controls`` in this speaker; its voice (or, without any, its noise) has ``level_dbfs`` RMS.

    ``subharmonic`` 0-1: how far every second cycle is smaller and later.
    """
    n = round(duration_s / FRAME_S)
    samples = n * FRAME
    step_of_sample = np.arange(samples) / STEP
    steps = np.arange(len(controls.voice))
    voice = np.interp(step_of_sample, steps, controls.voice)

    start, period, amplitude, run = _cycles(controls, who, rng, subharmonic)
    pulses = _pulses(start, period, amplitude, samples, who.open_quotient)
    keep = np.exp(-2 * np.pi * who.tilt_hz / SAMPLE_RATE_HZ)
    pulses = signal.lfilter([1 - keep], [1, -keep], pulses)
    grain = rng.normal(size=(2, samples))
    breathiness = signal.lfilter([1 - keep], [1, -keep], grain[0] * voice)
    breath = grain[1] * np.interp(step_of_sample, steps, controls.breath)
    formed, airy, blown = _through_tract(np.stack([pulses, breathiness, breath]), controls.formants_hz)

    centre_step = (np.arange(n) + 0.5) * FRAME_S / STEP_S
    level = np.interp(centre_step, steps, controls.voice)
    voiced, f0 = np.zeros(n, bool), np.full(n, np.nan)
    centre_s = (np.arange(n) + 0.5) * FRAME_S
    for number in np.unique(run):
        mine = run == number
        edges_s = np.append(start[mine], start[mine][-1] + period[mine][-1])
        inside = (centre_s >= edges_s[0]) & (centre_s <= edges_s[-1])
        voiced |= inside
        cycle = np.arange(len(edges_s))
        left = np.clip(centre_s[inside] - 0.02, edges_s[0], edges_s[-1])
        right = np.clip(centre_s[inside] + 0.02, edges_s[0], edges_s[-1])
        f0[inside] = (np.interp(right, edges_s, cycle) - np.interp(left, edges_s, cycle)) / (right - left)
    voiced &= level > 0.03 * max(level.max(initial=0.0), 1e-9)
    spoken = np.repeat(voiced, FRAME)
    hnr_db = np.nan
    if voiced.any():
        airy *= np.sqrt(np.mean(formed[spoken] ** 2) / np.mean(airy[spoken] ** 2)) * 10 ** (-who.hnr_db / 20)
        hnr_db = who.hnr_db
        blown *= np.sqrt(np.mean(formed[spoken] ** 2)) / 2
        scale = float(np.sqrt(np.mean(formed[spoken] ** 2)))
    else:
        airy[:] = 0
        scale = float(np.sqrt(np.mean(blown**2)))
    y = formed + airy + blown + _hiss(controls, samples, rng) * scale
    y *= 10 ** (level_dbfs / 20) / (float(np.sqrt(np.mean(y[spoken] ** 2))) if voiced.any() else active_rms(y))

    # neighbours that count, as in Praat: periods of a ratio up to 1.3, amplitudes up to 1.6
    counts = (np.diff(run) == 0) & (np.abs(np.diff(np.log(period))) <= np.log(1.3))
    with np.errstate(divide="ignore", invalid="ignore"):  # a cycle without amplitude is like no other
        steps_db = np.abs(20 * np.diff(np.log10(amplitude)))
    alike = counts & (steps_db <= 20 * np.log10(1.6))
    return Sound(
        y=no_clip(y),
        f0_hz=np.where(voiced, f0, np.nan),
        voiced=voiced,
        mouth_open=np.clip(np.interp(centre_step, steps, controls.mouth_open), 0, 1),
        formants_hz=np.stack([np.interp(centre_step, steps, f) for f in controls.formants_hz.T], axis=1),
        cycle_s=start + period,
        jitter_local=_mean(np.abs(np.diff(period))[counts]) / float(np.mean(period)) if len(period) else np.nan,
        shimmer_db=_mean(steps_db[alike]),
        hnr_db=hnr_db,
    )


def _cycles(
    controls: Controls, who: Speaker, rng: np.random.Generator, subharmonic: float
) -> tuple[Array, Array, Array, Array]:
    """Glottal cycles: start [s], period [s], amplitude, and the run of voicing each belongs to; all [shape=(c,)]."""
    starts, periods, amplitudes, runs = [np.empty(0)], [np.empty(0)], [np.empty(0)], [np.empty(0)]
    edges = np.flatnonzero(np.diff(np.concatenate([[False], controls.voice > 1e-3, [False]]).astype(int)))
    step_s = np.arange(len(controls.voice)) * STEP_S
    for run, (first, last) in enumerate(zip(edges[::2], edges[1::2], strict=True)):
        fine = np.arange(first, last, 0.125)
        f0 = np.interp(fine, np.arange(len(step_s)), controls.f0_hz)
        phase = np.concatenate([[0.0], np.cumsum(f0[:-1] * STEP_S * 0.125)])
        count = int(phase[-1])
        if count < 2:
            continue
        nominal = np.interp(np.arange(count + 1), phase, fine * STEP_S)
        # neighbours differ by N(0, 2 s^2), so the mean of |difference| is 2 s / sqrt(pi)
        scale = np.sqrt(np.pi) / 2
        every_second = np.where(np.arange(count) % 2, 1.0, -1.0) * subharmonic
        period = np.diff(nominal) * np.maximum(
            0.5, 1 + rng.normal(size=count) * who.jitter * scale + 0.06 * every_second
        )
        start = nominal[0] + np.concatenate([[0.0], np.cumsum(period[:-1])])
        amplitude = np.interp(start, step_s, controls.voice)
        amplitude *= 10 ** (rng.normal(size=count) * who.shimmer_db * scale / 20) * (1 - 0.5 * every_second)
        for store, value in zip(
            (starts, periods, amplitudes, runs), (start, period, amplitude, np.full(count, float(run))), strict=True
        ):
            store.append(value)
    return np.concatenate(starts), np.concatenate(periods), np.concatenate(amplitudes), np.concatenate(runs)


def _pulses(start: Array, period: Array, amplitude: Array, samples: int, open_quotient: float) -> Array:
    """Derivative of glottal flow at 16 kHz, ndarray [shape=(samples,)]: 2x - 3x^2 while the glottis is open.

    It is open in the last part of each cycle and closes at its end, so that the periods lie between the closures.
    """
    out = np.zeros(samples * OVERSAMPLING)
    if len(start):
        t = np.arange(len(out)) / (SAMPLE_RATE_HZ * OVERSAMPLING)
        index = np.searchsorted(start, t, side="right") - 1
        inside = index >= 0
        k = index[inside]
        x = 1 - (1 - (t[inside] - start[k]) / period[k]) / open_quotient
        out[inside] = np.where((x > 0) & (x < 1), (2 * x - 3 * x * x) * amplitude[k], 0.0)
    return np.asarray(signal.resample_poly(out, 1, OVERSAMPLING))


def _through_tract(source: Array, formants_hz: Array) -> Array:
    """Cascade of five resonators that move every 5 ms, after Klatt 1980; [shape=(c, samples)] in and out."""
    out = np.empty_like(source)
    decay = np.exp(-np.pi * _BANDWIDTHS_HZ / SAMPLE_RATE_HZ)
    state = np.zeros((5, source.shape[0], 2))
    for k, start in enumerate(range(0, source.shape[1], STEP)):
        hz = np.minimum(formants_hz[min(k, len(formants_hz) - 1)], 7200.0)
        a1, a2 = -2 * decay * np.cos(2 * np.pi * hz / SAMPLE_RATE_HZ), decay**2
        sos = np.zeros((5, 6))
        sos[:, 0], sos[:, 3], sos[:, 4], sos[:, 5] = 1 + a1 + a2, 1.0, a1, a2
        out[:, start : start + STEP], state = signal.sosfilt(sos, source[:, start : start + STEP], zi=state)
    return out


def _hiss(controls: Controls, samples: int, rng: np.random.Generator) -> Array:
    """Friction noise around ``hiss_hz``, which is constant within a consonant."""
    out = np.zeros(samples)
    if not np.any(controls.hiss > 1e-4):
        return out
    step = np.minimum(np.arange(samples) // STEP, len(controls.hiss) - 1)
    grain = rng.normal(size=samples)
    gain = np.interp(np.arange(samples) / STEP, np.arange(len(controls.hiss)), controls.hiss)
    for centre in np.unique(controls.hiss_hz[controls.hiss > 1e-4]):
        band = np.clip([0.7 * centre, 1.3 * centre], 300, 7800)
        sos = signal.butter(2, band, "bandpass", fs=SAMPLE_RATE_HZ, output="sos")
        here = controls.hiss_hz[step] == centre
        out[here] = signal.sosfilt(sos, grain)[here]
    return out * gain


def _mean(values: Array) -> float:
    """The mean; NaN of fewer than two."""
    return float(np.mean(values)) if len(values) >= 2 else np.nan


def active_rms(y: npt.NDArray[np.floating]) -> float:
    """RMS of the 10 ms frames within 25 dB of the loudest tenth; 0 for silence."""
    power = np.mean(np.square(y[: len(y) // FRAME * FRAME], dtype=np.float64).reshape(-1, FRAME), axis=1)
    loud = np.percentile(power, 90) * 10**-2.5
    return float(np.sqrt(np.mean(power[power >= loud])))


def no_clip(y: npt.NDArray[np.floating]) -> npt.NDArray[np.float32]:
    """The sound, turned down where it would reach full scale."""
    peak = float(np.max(np.abs(y), initial=0.0))
    return np.asarray(y * min(1.0, 0.97 / max(peak, 1e-9)), np.float32)
