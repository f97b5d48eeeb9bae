"""The voice's clock and stream, and what it makes of bad input."""

from __future__ import annotations

import subprocess
import sys
import tracemalloc
from collections.abc import Callable

import numpy as np
import pytest
from make_voices import RATE, Array, recording, sine, voiced
from scipy import signal

from painsense import voice
from painsense.errors import MediaError
from painsense.tracks import Track

# ---- the clock and the stream


def in_blocks(y: Array, sizes: list[int], start_s: float = 0.0) -> Track:
    stream, at, k = voice.VoiceStream(), 0, 0
    while at < len(y):
        block = y[at : at + sizes[k % len(sizes)]]
        stream.push(start_s + at / RATE, block)
        at, k = at + len(block), k + 1
    return stream.finish()


@pytest.mark.parametrize("sizes", [[1], [7], [160], [1601], [16000], [3, 40000, 0, 777], [10**9]])
def test_blocks_of_any_size_give_the_same_track(sizes: list[int]) -> None:
    y = recording()
    whole = voice.low_level(y, RATE)
    blocks = in_blocks(y, [size for size in sizes if size])
    np.testing.assert_array_equal(blocks.values, whole.values)
    np.testing.assert_array_equal(blocks.reason_bits, whole.reason_bits)
    np.testing.assert_array_equal(blocks.time_s, whole.time_s)


def test_late_start_moves_the_clock_and_nothing_else() -> None:
    early, late = (voice.low_level(recording(), RATE, start_s=start) for start in (0.0, 1.234))
    np.testing.assert_allclose(late.time_s, early.time_s + 1.234, atol=1e-9)
    np.testing.assert_array_equal(late.values, early.values)
    assert early.time_s[0] == pytest.approx(0.005)
    assert np.diff(early.time_s) == pytest.approx(0.01)


def test_hole_between_blocks_is_a_hole_in_the_track() -> None:
    y = recording()
    stream = voice.VoiceStream()
    stream.push(10.0, y[:RATE])
    stream.push(15.5, y[RATE:])  # 4.5 s are missing
    track = stream.finish()
    whole = voice.low_level(y, RATE)
    assert len(track) == len(whole) + 450
    assert (np.diff(track.time_s) > 0).all()
    assert track.has_reason("no_audio")[101:549].all()
    assert not track.has_reason("no_audio")[:100].any()
    assert np.isnan(track.values[101:549]).all()
    np.testing.assert_array_equal(voiced(track)[560:], voiced(whole)[110:])
    np.testing.assert_allclose(track.time_s[550:], whole.time_s[100:] + 14.5, atol=1e-6)


def test_rounded_time_stamps_make_no_hole_and_repeated_sound_counts_once() -> None:
    y = recording()
    whole = voice.low_level(y, RATE)
    stream, again = voice.VoiceStream(), voice.VoiceStream()
    for k, at in enumerate(range(0, len(y), 4000)):
        stream.push(at / RATE + (0.015 if k % 2 else -0.015 if k else 0), y[at : at + 4000])
        again.push(max(0, at - 1000) / RATE, y[max(0, at - 1000) : at + 4000])
    np.testing.assert_array_equal(stream.finish().values, whole.values)
    np.testing.assert_array_equal(again.finish().values, whole.values)


def test_damaged_time_stamps_are_refused() -> None:
    stream = voice.VoiceStream()
    stream.push(0.0, np.zeros(RATE))
    with pytest.raises(MediaError, match=r"time stamps jump by .* repair"):
        stream.push(1e7, np.zeros(RATE))


@pytest.mark.parametrize("samples", [1, 159, 160, 400, 800])
def test_very_short_sound_gives_a_short_track(samples: int) -> None:
    stream = voice.VoiceStream()
    stream.push(3.0, np.full(samples, 0.1, np.float32) * np.resize([1, -1, 0.5], samples))
    track = stream.finish()
    assert len(track) == samples // voice.HOP
    assert not voiced(track).any()


def test_stream_ends_once_and_can_be_empty() -> None:
    stream = voice.VoiceStream()
    stream.push(0.0, np.zeros(0))
    track = stream.finish()
    assert len(track) == 0
    assert np.isnan(voice.summarise(track).f0_median_hz)
    with pytest.raises(RuntimeError, match="finished"):
        stream.push(0.0, np.zeros(10))
    with pytest.raises(ValueError, match=r"mono, shape \(k,\)"):
        voice.VoiceStream().push(0.0, np.zeros((10, 2)))


def test_memory_does_not_grow_with_the_sound() -> None:
    block = np.tile(recording(), 3)[: 10 * RATE].astype(np.float32)

    def kept(blocks: int) -> int:
        stream = voice.VoiceStream()
        tracemalloc.start()
        for k in range(blocks):
            stream.push(10.0 * k, block)
        size = tracemalloc.get_traced_memory()[0]
        tracemalloc.stop()
        assert len(stream.finish()) == 1000 * blocks
        return size

    per_second = (kept(4) - kept(2)) / 20
    assert per_second < 20_000  # sound itself would be 64 000 bytes


def test_start_up_is_light() -> None:
    """A ten-second clip is answered within four seconds, so what takes seconds to import must stay away."""
    code = (
        "import sys, numpy as np; from painsense import voice;"
        "voice.low_level(np.random.default_rng(0).normal(size=16000) * 0.01, 16000);"
        "print([m for m in ('librosa', 'numba', 'scipy.signal', 'av', 'cv2') if m in sys.modules])"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"


# ---- bad input


def like(change: Callable[[Array], Array]) -> Callable[[], Array]:
    return lambda: change(recording().astype(np.float64))


SAME_VOICE: dict[str, tuple[Callable[[], Array], int]] = {
    "8 kHz telephone": (like(lambda y: signal.resample_poly(y, 1, 2)), 8000),
    "44.1 kHz": (like(lambda y: signal.resample_poly(y, 441, 160)), 44100),
    "48 kHz": (like(lambda y: signal.resample_poly(y, 3, 1)), 48000),
    "stereo": (like(lambda y: np.stack([y, 0.5 * y], axis=1)), RATE),
    "one dead channel": (like(lambda y: np.stack([0 * y, y], axis=1)), RATE),
    "channels first": (like(lambda y: np.stack([y, y])), RATE),
    "one channel turned over": (like(lambda y: np.stack([y, -0.97 * y], axis=1)), RATE),
    "16-bit": (like(lambda y: np.round(y * 32767).astype(np.int16)), RATE),
    "8-bit": (like(lambda y: np.round(y * 127 + 128).astype(np.uint8)), RATE),
    "DC": (like(lambda y: y + 0.4), RATE),
    "single NaN": (like(lambda y: np.where(np.arange(len(y)) % 3001 == 7, np.nan, y)), RATE),
}


@pytest.mark.parametrize("name", SAME_VOICE)
def test_the_same_voice_in_another_form(name: str) -> None:
    make, rate = SAME_VOICE[name]
    expected = voice.summarise(voice.low_level(recording(), RATE))
    summary = voice.summarise(voice.low_level(make(), rate))
    assert summary.f0_median_hz == pytest.approx(expected.f0_median_hz, rel=0.01)
    assert summary.voiced_s == pytest.approx(expected.voiced_s, rel=0.05)
    assert summary.clipped_share == 0


STRANGE: dict[str, Callable[[], Array]] = {
    "all NaN": lambda: np.full(RATE, np.nan),
    "infinite": lambda: np.full(RATE, np.inf),
    "NaN at the start": lambda: np.concatenate([np.full(RATE // 2, np.nan), recording()]),
    "far over full scale": lambda: recording() * 1e30,
    "denormal": lambda: np.full(RATE, 1e-40, np.float32),
    "one sample": lambda: np.eye(1, RATE)[0],
    "50 ms": lambda: recording()[RATE : RATE + 800],
    "51 ms and a bit": lambda: recording()[RATE : RATE + 831],
    "full-scale square": lambda: np.sign(sine(150)),
    "chord": lambda: sine(262) / 3 + sine(330) / 3 + sine(392) / 3,
    "sound that stops": lambda: np.concatenate([recording(), np.zeros(RATE)]),
    "alternating full scale": lambda: np.tile([1.0, -1.0], RATE),
}


@pytest.mark.parametrize("name", STRANGE)
def test_strange_input_gives_values_with_reasons(name: str) -> None:
    y = STRANGE[name]()
    track = voice.low_level(y, RATE)
    assert len(track) == len(y) // voice.HOP
    missing = np.isnan(track.values).any(axis=1)
    assert (track.reason_bits[missing] != 0).all()
    for column in track.columns:
        values = track.column(column.name)
        values = values[np.isfinite(values)]
        assert (values >= (column.low if column.low is not None else -np.inf) - 1e-3).all(), column.name
        assert (values <= (column.high if column.high is not None else np.inf) + 1e-3).all(), column.name
    voice.summarise(track)


@pytest.mark.parametrize(
    ("y", "rate", "message"),
    [
        (np.zeros(700), RATE, r"at least 0.05 s of sound, got 0.044 s.*--modalities face"),
        (np.zeros(0), RATE, r"at least 0.05 s"),
        (np.zeros(RATE), 0, "sample rate must be between"),
        (np.zeros(RATE), float("nan"), "sample rate must be between"),
        (np.zeros((10, 10, 10)), RATE, r"shape \(k,\) or \(k, channels\)"),
        (np.zeros(RATE, complex), RATE, "complex128"),
        (np.array(["a"] * 10), RATE, "array of numbers"),
    ],
)
def test_what_is_no_sound_is_refused_with_a_message(y: Array, rate: float, message: str) -> None:
    with pytest.raises(MediaError, match=message):
        voice.low_level(y, rate)


def test_a_chord_has_a_spectrum_and_a_steady_device_no_voice() -> None:
    chord = voice.low_level(STRANGE["chord"](), RATE)
    for name in ("level_dbfs", "loudness", "mfcc_1", "periodicity"):
        assert np.isfinite(chord.column(name)).all(), name
    tone = voice.low_level(sine(220), RATE)
    for name in ("jitter_local", "f1_hz", "cpp_db"):
        assert np.isnan(tone.column(name)).all(), name
    assert np.isfinite(tone.column("f0_hz")).mean() > 0.9
