"""The window grid, means over usable samples, shares, and the verdict made from them."""

from __future__ import annotations

import numpy as np
import pytest

from painsense import windows
from painsense.tracks import Column, Reason, Track, seconds_per_sample

COLUMNS = (Column("value", "1", "a value"),)
REASONS = (Reason("broken", "unusable"), Reason("remark", "worth a word", blocking=False))


def track(values: np.ndarray, bits: np.ndarray | None = None, fps: float = 25) -> Track:
    n = len(values)
    return Track(
        "face",
        COLUMNS,
        REASONS,
        np.arange(n) / fps,
        np.asarray(values, np.float32)[:, None],
        np.zeros(n, np.uint32) if bits is None else bits,
    )


@pytest.mark.parametrize(("duration", "count"), [(10.0, 17), (2.0, 1), (1.2, 1), (2.49, 1), (2.5, 2), (0.0, 0)])
def test_grid(duration: float, count: int) -> None:
    grid = windows.grid(duration)
    assert len(grid) == count
    if count:
        assert grid.start_s[0] == 0
        assert (grid.end_s <= duration + 1e-9).all()
        assert grid.end_s[0] == min(2.0, duration)


def test_means_use_only_usable_samples() -> None:
    values = np.concatenate([np.full(25, 2.0), np.full(25, 100.0)])
    bits = np.concatenate([np.zeros(25), np.ones(25)]).astype(np.uint32)
    one = track(values, bits)
    grid = windows.grid(2.0)
    assert windows.means(one, ("value",), grid)[0, 0] == pytest.approx(2.0)
    assert windows.usable_share(one, grid)[0] == pytest.approx(0.5)
    assert windows.seconds_by_reason(one, grid)["broken"][0] == pytest.approx(1.0)


def test_a_window_without_usable_samples_is_missing() -> None:
    one = track(np.zeros(50), np.ones(50, np.uint32))
    assert np.isnan(windows.means(one, ("value",), windows.grid(2.0))).all()


def test_remarks_do_not_make_samples_unusable() -> None:
    one = track(np.ones(50), np.full(50, 2, np.uint32))
    assert windows.usable_share(one, windows.grid(2.0))[0] == pytest.approx(1.0)


def test_means_are_weighted_by_time_not_by_samples() -> None:
    # 1 s at 10 samples a second with value 0, then 1 s at 5 a second with value 1
    time_s = np.concatenate([np.arange(10) / 10, 1 + np.arange(5) / 5])
    values = np.concatenate([np.zeros(10), np.ones(5)]).astype(np.float32)[:, None]
    one = Track("face", COLUMNS, REASONS, time_s, values, np.zeros(15, np.uint32))
    assert windows.means(one, ("value",), windows.grid(2.0))[0, 0] == pytest.approx(0.5, abs=0.04)


def test_a_hole_in_the_recording_is_nobodys_time() -> None:
    time_s = np.concatenate([np.arange(25) / 25, 10 + np.arange(25) / 25])
    assert seconds_per_sample(time_s).sum() == pytest.approx(2.0, abs=0.2)
