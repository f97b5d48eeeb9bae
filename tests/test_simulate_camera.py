"""The simulated camera: each fault by its known effect on simple pictures, and how often each comes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

camera = pytest.importorskip("training.simulate.camera", reason="needs torch and torchvision (.[train])")
Shot = camera.Shot


def grey(value: int, height: int = 64, width: int = 64) -> np.ndarray:
    return np.full((height, width, 3), value, np.uint8)


def textured(seed: int = 0, size: int = 160) -> np.ndarray:
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, (size // 4, size // 4, 3)).repeat(4, 0).repeat(4, 1)
    return (coarse * 0.8 + rng.integers(0, 50, coarse.shape)).clip(0, 255).astype(np.uint8)


def develop(image: np.ndarray, seed: int = 0, **faults: float) -> np.ndarray:
    return camera.develop(image, Shot(**faults), np.random.default_rng(seed))


def spread_of_a_point(**faults: float) -> np.ndarray:
    """Covariance [shape=(2, 2), px^2, x then y] of what becomes of a bright point."""
    image = grey(0)
    image[30:33, 30:33] = 255  # 3 x 3: its own variance is 2/3
    light = develop(image, **faults).astype(float)[..., 1]
    y, x = np.mgrid[: light.shape[0], : light.shape[1]]
    weight = light.ravel() / light.sum()
    return np.cov(np.stack([x.ravel(), y.ravel()]), aweights=weight, ddof=0) - np.eye(2) * 2 / 3


def test_a_faultless_shot_is_the_picture_itself() -> None:
    image = textured()
    photo = develop(image)
    np.testing.assert_array_equal(photo, image)
    assert photo is not image and not np.shares_memory(photo, image)


def test_the_picture_is_not_written_into_and_the_same_seed_takes_the_same_photo() -> None:
    image = textured()
    before = image.copy()
    for seed in range(20):
        photo, shot = camera.take(image, np.random.default_rng(seed), 90.0)
        again, same_shot = camera.take(image, np.random.default_rng(seed), 90.0)
        np.testing.assert_array_equal(photo, again)
        assert shot == same_shot
        assert photo.dtype == np.uint8 and photo.flags.c_contiguous and photo.shape[2] == 3
    np.testing.assert_array_equal(image, before)
    assert not np.array_equal(develop(image, 1, noise=0.02), develop(image, 2, noise=0.02))


@pytest.mark.parametrize("scale", [0.5, 0.63, 0.9])
def test_scale_gives_the_asked_distance_in_px(scale: float) -> None:
    image = grey(0, 320, 400)
    image[100:103, 100:103] = image[100:103, 200:203] = 255  # two eye corners 100 px apart
    photo = develop(image, scale=scale)
    assert photo.shape[:2] == (round(320 * scale), round(400 * scale))
    light = photo[..., 0].astype(float).sum(axis=0)
    half = round(150 * scale)
    x = np.arange(len(light))
    left, right = (np.average(x[part], weights=light[part]) for part in (slice(0, half), slice(half, None)))
    assert right - left == pytest.approx(100 * scale, abs=0.4)


def test_faces_shrink_to_60_px_at_most_evenly_on_a_log_scale_and_many_stay() -> None:
    rng = np.random.default_rng(0)
    scales = np.array([camera.random_shot(rng, 120.0).scale for _ in range(3000)])
    smaller = scales[scales < 1.0]
    assert scales.max() == 1.0 and 0.5 <= scales.min() < 0.51
    assert len(smaller) / len(scales) == pytest.approx(0.55, abs=0.04)
    assert np.median(smaller) == pytest.approx(0.5**0.5, abs=0.02)
    assert {camera.random_shot(rng, 58.0).scale for _ in range(50)} == {1.0}


def test_a_stop_more_is_twice_the_light() -> None:
    lit = {ev: develop(grey(100), exposure_ev=ev)[0, 0, 0] for ev in (-1.0, 1.0)}
    assert lit[1.0] == pytest.approx(100 * 2 ** (1 / camera.GAMMA), abs=1)
    assert lit[-1.0] == pytest.approx(100 * 0.5 ** (1 / camera.GAMMA), abs=1)
    assert develop(grey(200), exposure_ev=2.0).min() == 255, "too much light is white"


def test_a_wrong_white_balance_tints_grey() -> None:
    red, green, blue = develop(grey(120), cast_red=1.3, cast_blue=0.8)[0, 0].astype(float)
    assert green == 120
    assert (red / green) ** camera.GAMMA == pytest.approx(1.3, abs=0.03)
    assert (blue / green) ** camera.GAMMA == pytest.approx(0.8, abs=0.03)


def test_contrast_and_gamma_keep_what_they_should() -> None:
    step = np.concatenate([grey(64), grey(192)])
    flat = develop(step, contrast=0.5).astype(float)
    assert np.ptp(flat) == pytest.approx(64, abs=1.5) and flat.mean() == pytest.approx(128, abs=1.5)
    dark = develop(np.concatenate([grey(0), grey(128), grey(255)]), gamma=1.5)
    assert (dark.min(), dark.max()) == (0, 255)
    assert dark[96, 0, 0] == pytest.approx(255 * (128 / 255) ** 1.5, abs=1.5)


@pytest.mark.parametrize("sigma", [0.8, 1.5, 2.5])
def test_defocus_spreads_a_point_by_its_sigma(sigma: float) -> None:
    covariance = spread_of_a_point(defocus_px=sigma)
    # the blur's tails fall below one grey value, so a wide one looks a little narrower
    np.testing.assert_allclose(np.sqrt(np.diag(covariance)), sigma, rtol=0.12)
    assert abs(covariance[0, 1]) < 0.05


@pytest.mark.parametrize(("direction", "along"), [(0.0, (1, 0)), (90.0, (0, 1)), (45.0, (1, 1)), (135.0, (-1, 1))])
def test_movement_smears_a_point_over_its_length_in_its_direction(direction: float, along: tuple[int, int]) -> None:
    length = 9.0
    covariance = spread_of_a_point(motion_px=length, motion_deg=direction)
    unit = np.array(along) / np.linalg.norm(along)
    across = np.array([-unit[1], unit[0]])
    assert unit @ covariance @ unit == pytest.approx(length**2 / 12, rel=0.2)
    assert abs(across @ covariance @ across) < 0.35
    bright = develop(grey(255), motion_px=length, motion_deg=direction)
    assert bright.min() == 255, "the border stays as bright as the rest"


def test_noise_has_the_asked_size_and_is_stronger_in_the_dark() -> None:
    # no clipping at either end at these grey values
    deviation = {value: develop(grey(value, 200, 200), noise=0.02).std() / 255 for value in (40, 120, 200)}
    assert deviation[200] == pytest.approx(0.02, rel=0.1)
    assert deviation[40] > 1.1 * deviation[120] > 1.1 * 0.98 * deviation[200]
    assert develop(grey(120, 200, 200), noise=0.02).mean() == pytest.approx(120, abs=0.2)


def test_pictures_larger_than_the_noise_sheet_have_noise_everywhere() -> None:
    photo = develop(grey(128, 900, 800), noise=0.02)
    assert min(part.std() for part in np.array_split(photo, 9)) > 4


def test_compression_takes_fine_detail_away() -> None:
    image = textured()

    def detail(photo: np.ndarray) -> float:
        spectrum = np.abs(np.fft.fft2(photo[..., 1].astype(float))) ** 2
        fine = np.abs(np.fft.fftfreq(len(photo))) > 0.35
        return float(spectrum[np.ix_(fine, fine)].sum())

    energy = [detail(develop(image, jpeg_quality=quality)) for quality in (25, 60, 95)]
    assert energy[0] < 0.8 * energy[1] < 0.8 * energy[2] < detail(image)
    error = [np.abs(develop(image, jpeg_quality=q).astype(int) - image).mean() for q in (25, 60, 95)]
    assert error[0] > error[1] > error[2] > 0


def test_a_third_is_nearly_clean_and_severe_faults_are_rare() -> None:
    rng = np.random.default_rng(1)
    shots = [camera.random_shot(rng, 100.0) for _ in range(4000)]
    quality = np.array([shot.jpeg_quality for shot in shots])
    assert quality.min() >= 25 and quality.max() <= 95
    assert (quality < 40).mean() > 0.1
    clean = [s.defocus_px < 0.2 and s.motion_px < 0.5 and s.noise < 0.01 and s.jpeg_quality >= 85 for s in shots]
    assert 0.3 < np.mean(clean) < 0.45
    for fault, limit in (("defocus_px", 1.5), ("motion_px", 5.0), ("noise", 0.03)):
        amount = np.array([getattr(shot, fault) for shot in shots])
        assert 0.01 < (amount > limit).mean() < 0.15, fault
        assert (amount == 0).mean() > 0.25, fault
    assert all(abs(shot.exposure_ev) <= 2.0 for shot in shots)


def test_blur_is_relative_to_the_face() -> None:
    shots = [camera.random_shot(np.random.default_rng(seed), 120.0) for seed in range(300)]
    assert max(shot.defocus_px / (120 * shot.scale) for shot in shots) <= 0.025
    assert 0.05 < max(shot.motion_px / (120 * shot.scale) for shot in shots) <= 0.09


def test_the_shot_that_is_returned_is_the_one_that_was_taken() -> None:
    image = textured()
    for seed in range(10):
        photo, shot = camera.take(image, np.random.default_rng(seed), 80.0)
        silent = replace(shot, noise=0.0)
        if shot.noise == 0.0:
            np.testing.assert_array_equal(camera.develop(image, silent, np.random.default_rng(99)), photo)
        assert photo.shape[1] == round(160 * shot.scale)
