"""The voice beside other tools: Praat's and openSMILE's figures of the recordings, and librosa's pitch."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from make_voices import RATE, recorded, voiced

from benchmarks.voice_reference import figures, spearman
from painsense import voice
from training.simulate import voice as simulated


def column(path: Path, name: str) -> dict[str, float]:
    """One of the figures of each recording, by file name."""
    return {file: row[name] for file, row in figures(path).items()}


def test_pitch_of_recorded_voices_agrees_with_praat(shared_data: Path) -> None:
    """Praat searched 60-600 Hz; where a tenth of the voice lies above, its median says nothing."""
    praat = column(shared_data / "reference" / "praat.csv", "f0_median_hz")
    theirs, ours = [], []
    for name, track in recorded(shared_data).items():
        f0 = track.column("f0_hz")[voiced(track)]
        if np.isfinite(praat[name]) and np.mean(f0 > 600) < 0.1:
            theirs.append(praat[name])
            ours.append(np.median(f0))
    ratio = np.array(ours) / np.array(theirs)
    assert len(ours) >= 75
    assert np.corrcoef(theirs, ours)[0, 1] > 0.98
    assert np.median(np.abs(ratio - 1)) < 0.02
    assert np.mean(np.abs(ratio - 1) < 0.05) > 0.85


@pytest.mark.parametrize(
    ("name", "praat"),
    [
        ("jitter_local", "jitter_local"),
        ("shimmer_local", "shimmer_local"),
        ("shimmer_db", "shimmer_local_db"),
        ("hnr_db", "hnr_mean_db"),
    ],
)
def test_recorded_voices_are_ranked_as_by_praat(shared_data: Path, name: str, praat: str) -> None:
    """Means over the voiced frames, of each recording that Praat found periods in."""
    theirs = figures(shared_data / "reference" / "praat.csv")
    pairs = [
        (np.nanmean(track.column(name)[voiced(track)]), theirs[file][praat])
        for file, track in recorded(shared_data).items()
        if np.isfinite(theirs[file]["jitter_local"])
    ]
    assert len(pairs) >= 80
    assert spearman(np.array(pairs)) > 0.8


def test_as_much_voice_is_found_as_by_praat(shared_data: Path) -> None:
    praat = column(shared_data / "reference" / "praat.csv", "voiced_s")
    tracks = recorded(shared_data)
    ours = np.array([voiced(track).sum() * voice.STEP_S for track in tracks.values()])
    theirs = np.array([praat[name] for name in tracks])
    assert ours.sum() == pytest.approx(theirs.sum(), rel=0.1)
    assert np.corrcoef(ours, theirs)[0, 1] > 0.9


def test_loudness_agrees_with_egemaps(shared_data: Path) -> None:
    table = shared_data / "reference" / "opensmile_egemapsv02_functionals.csv"
    theirs = column(table, "loudness_sma3_amean")
    tracks = recorded(shared_data)
    # where nothing is recorded painsense has no loudness and openSMILE has zero
    ours = np.array([np.nan_to_num(track.column("loudness")).mean() for track in tracks.values()])
    expected = np.array([theirs[name] for name in tracks])
    assert np.corrcoef(ours, expected)[0, 1] > 0.995
    np.testing.assert_allclose(np.median(ours / expected), 1.0, atol=0.03)


def test_pitch_agrees_with_librosa() -> None:
    librosa = pytest.importorskip("librosa")
    sound = simulated.vowel(2.0, np.random.default_rng(6), f0_hz=140.0)
    theirs = librosa.yin(sound.y, fmin=60, fmax=1000, sr=RATE, frame_length=1024, hop_length=voice.HOP)
    ours = voice.low_level(sound.y, RATE).column("f0_hz")
    assert np.nanmedian(ours) == pytest.approx(np.median(theirs), rel=0.01)
