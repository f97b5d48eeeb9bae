"""PSPI summary, peaks and evidence on tracks with known answers."""

from __future__ import annotations

import numpy as np
import pytest

from painsense import action_units, face, verdict, windows
from painsense.report import MediaSummary
from painsense.tracks import Track

FPS = 25
MEDIA = MediaSummary("clip.mp4", "0" * 64, 20.0, 500, 25.0, 640, 360, 0, False, None)


def seen(pspi: np.ndarray, bits: np.ndarray | None = None, fps: float = FPS) -> Track:
    n = len(pspi)
    values = np.full((n, len(action_units.COLUMNS)), np.nan, np.float32)
    names = [column.name for column in action_units.COLUMNS]
    for name, column in (("pspi", pspi), ("pspi_low", pspi - 1), ("pspi_high", pspi + 1), ("AU4", pspi / 4)):
        values[:, names.index(name)] = column
    bits = np.zeros(n, np.uint32) if bits is None else bits
    values[bits != 0] = np.nan
    return Track("face", action_units.COLUMNS, face.REASONS, np.arange(n) / fps, values, bits)


def episode() -> np.ndarray:
    """20 s: rest at 1, and from 8 s to 12 s PSPI 9."""
    pspi = np.ones(20 * FPS)
    pspi[8 * FPS : 12 * FPS] = 9
    return pspi


def test_summary_of_a_known_course() -> None:
    summary = verdict.summarise(seen(episode()))
    assert summary is not None
    assert summary.mean == pytest.approx((16 * 1 + 4 * 9) / 20, abs=1e-3)
    assert summary.mean_low == pytest.approx(summary.mean - 1, abs=1e-3)
    assert summary.mean_high == pytest.approx(summary.mean + 1, abs=1e-3)
    assert summary.p95 == pytest.approx(9)
    assert summary.peak == pytest.approx(9, abs=1e-3)
    assert 8 <= summary.peak_s <= 12
    assert summary.share_above_3 == pytest.approx(0.2)
    assert summary.longest_run_s == pytest.approx(4.0, abs=0.3)


def test_missing_frames_are_left_out_not_counted_as_zero() -> None:
    bits = np.zeros(20 * FPS, np.uint32)
    bits[: 8 * FPS] = face.BIT["no_face"]
    summary = verdict.summarise(seen(episode(), bits))
    assert summary is not None
    assert summary.mean == pytest.approx((8 * 1 + 4 * 9) / 12, abs=1e-3)


def test_nothing_usable_has_no_summary_and_no_peaks() -> None:
    track = seen(episode(), np.full(20 * FPS, face.BIT["no_face"], np.uint32))
    assert verdict.summarise(track) is None
    assert verdict.peaks(track, None) == []


def test_one_stray_frame_is_no_peak() -> None:
    pspi = np.ones(20 * FPS)
    pspi[100] = 12
    assert verdict.peaks(seen(pspi), None) == []


def test_peaks_are_found_once_each_in_order() -> None:
    time_s = np.arange(30 * FPS) / FPS
    pspi = 1 + sum(h * np.exp(-(((time_s - t) / 0.8) ** 2)) for t, h in ((5, 4), (14, 9), (22, 6)))
    found = verdict.peaks(seen(np.asarray(pspi)), None)
    np.testing.assert_allclose(found, [5, 14, 22], atol=0.1)


def test_at_most_five_peaks() -> None:
    time_s = np.arange(60 * FPS) / FPS
    pspi = sum(5 * np.exp(-(((time_s - t) / 0.8) ** 2)) for t in range(3, 60, 6))
    assert len(verdict.peaks(seen(np.asarray(pspi)), None)) == verdict.PEAKS


@pytest.mark.parametrize(
    ("usable_s", "reasons"), [(20, []), (6, []), (4, ["too_little_face", "no_face"]), (0, ["no_face"])]
)
def test_evidence_of_a_20_s_clip(usable_s: int, reasons: list[str]) -> None:
    bits = np.full(20 * FPS, face.BIT["no_face"], np.uint32)
    bits[: usable_s * FPS] = 0
    assert verdict.missing_evidence(seen(np.ones(20 * FPS), bits), MEDIA, ("face",)) == reasons


def test_evidence_without_picture_or_frames_enough() -> None:
    assert verdict.missing_evidence(None, MEDIA, ("face", "voice")) == ["no_video"]
    assert verdict.missing_evidence(seen(np.ones(500)), MEDIA, ("voice",)) == ["face_not_asked"]
    slow = MediaSummary("clip.mp4", "0" * 64, 20.0, 40, 2.0, 640, 360, 0, False, None)
    assert verdict.missing_evidence(seen(np.ones(40), fps=2), slow, ("face",)) == ["low_frame_rate"]


def test_a_window_needs_sixty_percent() -> None:
    bits = np.zeros(4 * FPS, np.uint32)
    bits[25:75] = face.BIT["turned_away"]  # 1 s to 3 s
    results = verdict.window_results(seen(np.full(4 * FPS, 2.0), bits), None, windows.grid(4.0))
    assert [(w.start_s, w.valid) for w in results] == [
        (0.0, False),
        (0.5, False),
        (1.0, False),
        (1.5, False),
        (2.0, False),
    ]
    assert all(w.pspi is None and "turned_away" in w.reasons for w in results)
    bits[:] = 0
    bits[:20] = face.BIT["turned_away"]
    results = verdict.window_results(seen(np.full(4 * FPS, 2.0), bits), None, windows.grid(4.0))
    assert results[0].valid
    assert results[0].pspi == pytest.approx(2.0)
    assert results[0].face_share == pytest.approx(0.6)


def test_warnings_say_what_is_doubtful() -> None:
    bits = np.zeros(500, np.uint32)
    bits[250] = face.BIT["target_jump"]
    bits[300:400] = face.BIT["other_face"]
    quality = verdict.quality(seen(np.ones(500), bits), None, MEDIA, ["old baseline"])
    text = " | ".join(quality.warnings)
    assert "old baseline" in text
    assert "10.0 s: check that it is the same person" in text
    assert "another face was in the picture for 4.0 s" in text
    assert quality.reasons_s["other_face"] == pytest.approx(4.0)
    assert quality.face_usable_share == pytest.approx(1.0)
