"""The short-time spectrum against signals whose answer is known and against librosa."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from painsense import voice_spectrum as spectrum

Array = npt.NDArray[Any]
RATE = spectrum.SAMPLE_RATE_HZ
NAMES = [column.name for column in spectrum.COLUMNS]


def stretch(hops: int) -> Array:
    """Times of the samples for so many hops, with their context."""
    return np.arange(2 * spectrum.CONTEXT + hops * spectrum.HOP) / RATE


def tone(hz: float, amplitude: float = 0.1, hops: int = 30) -> Array:
    return amplitude * np.sin(2 * np.pi * hz * stretch(hops))


def noise(hops: int = 200, rms: float = 0.05, db_per_hz: float = 0.0, seed: int = 3) -> Array:
    """Noise whose spectrum in dB is a straight line up to 2 kHz and level above."""
    n = len(stretch(hops))
    bins = np.fft.rfft(np.random.default_rng(seed).normal(size=n))
    y = np.fft.irfft(bins * 10 ** (db_per_hz * np.minimum(np.fft.rfftfreq(n, 1 / RATE), 2000) / 20), n)
    return y / np.std(y) * rms


def measure(y: Array) -> dict[str, Array]:
    return dict(zip(NAMES, spectrum.measure(y.astype(np.float32)).T, strict=True))


def test_pieces_give_what_the_whole_gives() -> None:
    y = noise(90).astype(np.float32)
    whole = spectrum.measure(y)
    at, parts = 0, []
    for hops in (1, 7, 40, 42):
        parts.append(spectrum.measure(y[at * spectrum.HOP : (at + hops) * spectrum.HOP + 2 * spectrum.CONTEXT]))
        at += hops
    assert whole.dtype == np.float32
    np.testing.assert_allclose(np.concatenate(parts), whole, rtol=1e-4, atol=1e-5)


def test_a_frame_lies_around_its_hop() -> None:
    y = np.zeros(len(stretch(40)))
    y[spectrum.CONTEXT + 20 * spectrum.HOP + spectrum.HOP // 2] = 0.5  # a click in the middle of hop 20
    loudness = measure(y)["loudness"]
    assert np.flatnonzero(np.isfinite(loudness)).tolist() == [20, 21]  # a frame reaches half a hop beyond its hop
    assert loudness[20] > 4 * loudness[21]  # the window is highest in its middle


def test_loudness_grows_with_power_to_a_third() -> None:
    quiet, loud = measure(tone(440))["loudness"], measure(tone(440, 0.2))["loudness"]
    np.testing.assert_allclose(loud / quiet, 4**0.33, rtol=1e-3)
    assert np.median(measure(tone(3000))["loudness"]) > 1.5 * np.median(measure(tone(60))["loudness"])


@pytest.mark.parametrize("db", [-20.0, -10.0, 6.0])
def test_balance_of_two_tones(db: float) -> None:
    found = measure(tone(600) + tone(3000, 0.1 * 10 ** (db / 20)))
    np.testing.assert_allclose(found["alpha_ratio_db"], db, atol=0.5)  # high over low: negative in most voices
    np.testing.assert_allclose(
        found["hammarberg_db"], -db, atol=0.5
    )  # the peaks fall between lines alike, but for this


@pytest.mark.parametrize("db_per_hz", [-0.03, 0.0, 0.02])
def test_slope_of_noise_with_a_known_slope(db_per_hz: float) -> None:
    found = measure(noise(2000, db_per_hz=db_per_hz))
    assert np.mean(found["slope_500_1500"]) == pytest.approx(db_per_hz, abs=0.0006)
    # the lines next to 0 Hz lose what is taken for the microphone's offset
    assert np.mean(found["slope_0_500"]) == pytest.approx(db_per_hz, abs=0.008)


def test_gain_moves_levels_but_neither_balance_nor_slopes_nor_cepstrum() -> None:
    once, tenfold = measure(noise()), measure(10 * noise())
    for name in ("alpha_ratio_db", "hammarberg_db", "slope_0_500", "slope_500_1500", "mfcc_1", "mfcc_4"):
        np.testing.assert_allclose(once[name], tenfold[name], atol=2e-3, err_msg=name)
    for name in ("level_0_500_db", "level_500_1500_db"):
        np.testing.assert_allclose(tenfold[name] - once[name], 20, atol=1e-2, err_msg=name)
    np.testing.assert_allclose(tenfold["spectral_flux"], 10 * once["spectral_flux"], rtol=1e-3)


def test_flux_is_the_change_of_the_magnitude_spectrum() -> None:
    assert np.all(measure(tone(1000))["spectral_flux"] < 1e-4)  # whole periods in a hop: nothing changes
    y = noise(50)
    first = spectrum.CONTEXT + spectrum.HOP // 2 - spectrum.WINDOW // 2
    frames = np.stack([y[first + (k - 1) * 160 :][:320] for k in range(51)])
    magnitude = np.abs(np.fft.rfft(frames * np.hamming(320), 512))[:, :161]  # 0-5 kHz
    expected = np.sqrt(np.mean(np.diff(magnitude, axis=0) ** 2, axis=1))
    np.testing.assert_allclose(measure(y)["spectral_flux"], expected, rtol=0.03)  # but for the offset taken out


def test_cepstrum_agrees_with_librosa() -> None:
    librosa = pytest.importorskip("librosa")
    from scipy.fft import dct

    y = np.concatenate([noise(40, db_per_hz=s, seed=k) for k, s in enumerate((-0.02, 0.0, -0.008, 0.008))])
    y = y[: len(stretch(150))]
    first = spectrum.CONTEXT + spectrum.HOP // 2 - spectrum.WINDOW // 2
    frames = np.stack([y[first + k * 160 :][:320] for k in range(150)])
    power = np.abs(np.fft.rfft(frames * np.hamming(320), 512)) ** 2
    bands = power @ librosa.filters.mel(sr=RATE, n_fft=512, n_mels=26, fmin=20, fmax=8000, htk=True, norm=None).T
    theirs = dct(np.log(bands), norm="ortho", axis=1)
    found = measure(y)
    for k in (1, 2, 3, 4):
        lifted = theirs[:, k] * (1 + 11 * np.sin(np.pi * k / 22))
        assert np.corrcoef(found[f"mfcc_{k}"], lifted)[0, 1] > 0.98, k
        assert np.mean(found[f"mfcc_{k}"]) == pytest.approx(np.mean(lifted), abs=1.5)


def test_an_offset_of_the_microphone_changes_nothing() -> None:
    y = tone(120, 0.05) + noise(30, 0.01)
    plain, offset = measure(y), measure(y + 0.1)
    for name in NAMES:
        np.testing.assert_allclose(offset[name], plain[name], rtol=5e-3, atol=5e-3, err_msg=name)
    assert np.all(np.isnan(spectrum.measure(np.full(len(stretch(5)), 0.1, np.float32))))


def test_digital_silence_is_missing_and_a_quiet_room_is_not() -> None:
    assert np.all(np.isnan(spectrum.measure(np.zeros(len(stretch(10)), np.float32))))
    quiet = np.round(noise(50, 1e-4) * 32768) / 32768  # -80 dBFS in 16 bits
    assert np.all(np.isfinite(spectrum.measure(quiet.astype(np.float32))))


def test_overdriven_sound_stays_finite() -> None:
    assert np.all(np.isfinite(spectrum.measure(np.sign(tone(200, 4.0)).astype(np.float32) * 4)))


def test_no_hop_gives_no_row_and_half_a_hop_is_refused() -> None:
    assert spectrum.measure(np.zeros(2 * spectrum.CONTEXT, np.float32)).shape == (0, len(NAMES))
    for wrong in (0, 2 * spectrum.CONTEXT + 80):
        with pytest.raises(ValueError, match="whole hops"):
            spectrum.measure(np.zeros(wrong, np.float32))
