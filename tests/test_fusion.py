"""What the fusion network sees of a window, and what becomes of what it says."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import make_fusion
import numpy as np
import pytest
from make_fusion import face_track, make_network, make_spec, voice_track

from painsense import fusion, windows
from painsense.errors import ModelError, ProviderError
from painsense.fusion import FACE, STEPS, VOICE, Fusion
from painsense.tracks import reason_index
from painsense.voice_rest import Rest
from painsense.voice_segments import Segment

SECONDS = 12.0
GRID = windows.grid(SECONDS)


def seen(face: Any = None, voice: Any = None, segments: Any = (), rest: Any = None, **known: bool) -> Any:
    return fusion.inputs(face, voice, segments, GRID, rest, **known)


def of_face(inputs: Any, name: str) -> np.ndarray:
    return inputs.face[..., FACE.index(name)]


def of_voice(inputs: Any, name: str) -> np.ndarray:
    return inputs.voice[..., VOICE.index(name)]


# ---- what is seen


def test_the_steps_are_the_four_seconds_before_the_end_of_a_window() -> None:
    time_s = (np.arange(round(SECONDS * 25)) + 0.5) / 25
    found = seen(face_track(SECONDS, AU4=time_s), None)
    assert found.face.shape == (21, STEPS, len(FACE))
    k = 12  # 6 to 8 s: the steps begin at 4 s
    np.testing.assert_allclose(of_face(found, "AU4")[k], 4.1 + 0.2 * np.arange(STEPS), atol=0.001)
    first = of_face(found, "AU4")[0]  # 0 to 2 s: there was nothing before
    assert np.isnan(first[:10]).all() and np.isfinite(first[10:]).all()
    assert np.isnan(found.voice).all()


def test_a_step_is_the_mean_of_usable_samples_and_nothing_stands_for_missing_ones() -> None:
    track = face_track(SECONDS, AU4=2.0, AU9=1.0)
    values, bits = track.values.copy(), track.reason_bits.copy()
    blocking = next(k for k, reason in enumerate(track.reasons) if reason.blocking)
    lost = (track.time_s > 5.0) & (track.time_s < 5.6)
    bits[lost] = 1 << blocking
    values[lost] = np.nan
    half = (track.time_s > 7.0) & (track.time_s < 7.1)  # some frames of a step
    bits[half], values[half] = 1 << blocking, 99.0
    found = seen(replace(track, values=values, reason_bits=bits), neutral_known=True)
    window = of_face(found, "AU4")[12]  # from 4 to 8 s
    np.testing.assert_allclose(np.isnan(window), [5 <= k < 8 for k in range(STEPS)])
    np.testing.assert_allclose(window[np.isfinite(window)], 2.0)
    known = of_face(found, "neutral_known")[12]
    np.testing.assert_array_equal(np.isnan(known), np.isnan(window))
    np.testing.assert_allclose(known[np.isfinite(known)], 1.0)
    assert np.nanmax(of_face(seen(track), "neutral_known")) == 0.0


def test_pitch_and_loudness_are_changes_against_rest_and_without_it_against_the_recording() -> None:
    high = np.arange(round(SECONDS * 100)) >= 900
    raised = voice_track(SECONDS, f0_semitone=np.where(high, 31.0, 24.0), loudness=np.where(high, 4.0, 2.0))
    found = seen(None, raised)
    assert of_voice(found, "f0_change_semitones")[-1, -1] == pytest.approx(7.0)
    assert of_voice(found, "f0_change_semitones")[4, -1] == pytest.approx(0.0)
    assert of_voice(found, "loudness_change_db")[-1, -1] == pytest.approx(10 / 0.33 * np.log10(2), abs=0.01)
    rest = Rest("rest_clip", "rest.wav", {"voiced_s": 5.0, "f0_semitone": 26.0, "loudness": 1.0})
    found = seen(None, raised, (), rest)
    assert of_voice(found, "f0_change_semitones")[-1, -1] == pytest.approx(5.0)
    # the noise floor of the rest clip is not known: it may have been another microphone
    assert of_voice(found, "loudness_change_db")[-1, -1] == pytest.approx(10 / 0.33 * np.log10(2), abs=0.01)
    short = replace(rest, values=rest.values | {"voiced_s": 0.5})
    assert of_voice(seen(None, raised, (), short), "f0_change_semitones")[-1, -1] == pytest.approx(7.0)


def test_loudness_is_compared_with_rest_where_the_room_is_the_same() -> None:
    talking = (np.arange(round(SECONDS * 100)) // 150) % 2 == 0
    track = voice_track(SECONDS, talking, loudness=2.0)
    rest = Rest("rest_clip", "rest.wav", {"voiced_s": 5.0, "loudness": 1.0, "noise_floor_dbfs": -70.0})
    change = of_voice(seen(None, track, (), rest), "loudness_change_db")
    assert np.nanmedian(change) == pytest.approx(10 / 0.33 * np.log10(2), abs=0.01)
    for other in ({"noise_floor_dbfs": -50.0}, {"automatic_gain": 1.0}):
        moved = of_voice(seen(None, track, (), replace(rest, values=rest.values | other)), "loudness_change_db")
        assert np.nanmedian(moved) == pytest.approx(0.0, abs=0.01)


def test_gain_changes_nothing_that_is_seen_of_the_voice() -> None:
    quiet = voice_track(SECONDS, loudness=1.0, spectral_flux=0.1, level_dbfs=-40.0)
    gain = 10 ** (12 / 20)
    loud = voice_track(SECONDS, loudness=gain ** (2 * 0.33), spectral_flux=0.1 * gain, level_dbfs=-28.0)
    np.testing.assert_allclose(seen(None, loud).voice, seen(None, quiet).voice, atol=1e-4, equal_nan=True)


def test_kinds_of_sound_are_shares_and_silence_has_no_timbre() -> None:
    talking = np.arange(round(SECONDS * 100)) < 410
    found = seen(None, voice_track(SECONDS, talking), (Segment(0, 4.1, "speech"), Segment(4.1, 12, "silence")))
    window = 8  # 4 to 6 s: the steps begin at 2 s
    np.testing.assert_allclose(of_voice(found, "share_speech")[window, 8:13], [1, 1, 0.5, 0, 0], atol=1e-5)
    np.testing.assert_allclose(of_voice(found, "share_silence")[window, 8:13], [0, 0, 0.5, 1, 1], atol=1e-5)
    np.testing.assert_allclose(of_voice(found, "voiced")[window, 8:13], [1, 1, 0.5, 0, 0], atol=1e-5)
    for name in ("alpha_ratio_db", "mfcc_1", "hnr_db", "f0_change_semitones"):
        np.testing.assert_array_equal(np.isnan(of_voice(found, name)[window, 8:13]), [False] * 3 + [True] * 2)
    assert np.isnan(of_voice(seen(None, voice_track(SECONDS, talking)), "share_speech")).all()  # not known


def test_what_was_not_recorded_is_missing_and_not_silence() -> None:
    track = voice_track(SECONDS, False)
    bits = track.reason_bits.copy()
    bits[600:] = 1 << reason_index(track.reasons, "no_audio")
    cut = replace(track, reason_bits=bits)
    found = seen(None, cut, (Segment(0, 6, "silence"), Segment(6, 12, "no_audio")))
    last = slice(-WINDOW, None)
    assert np.isnan(found.voice[-1, last]).all()
    assert (of_voice(found, "share_silence")[4, last] == 1).all() and (of_voice(found, "voiced")[4, last] == 0).all()


WINDOW = fusion.WINDOW_STEPS


def test_no_windows_and_no_tracks_give_empty_and_missing() -> None:
    empty = fusion.inputs(face_track(2.0), voice_track(2.0), (), windows.grid(0.0))
    assert empty.face.shape == (0, STEPS, len(FACE)) and len(empty) == 0
    nothing = seen()
    assert np.isnan(nothing.face).all() and np.isnan(nothing.voice).all() and len(nothing) == len(GRID)


def test_only_one_modality_leaves_the_other_out() -> None:
    both = seen(face_track(SECONDS, AU4=1.0), voice_track(SECONDS))
    assert np.isnan(both.only("face").voice).all() and np.isnan(both.only("voice").face).all()
    np.testing.assert_array_equal(both.only("face").face, both.face)


# ---- what becomes of the scores


def test_scores_stand_on_the_grid_and_too_wide_ones_are_withheld() -> None:
    time_s = (np.arange(round(SECONDS * 25)) + 0.5) / 25
    model = Fusion.load(make_network(make_spec()))
    said = model(seen(face_track(SECONDS, AU4=3.0, AU6=np.where(time_s < 6, 1.0, 2.5))))
    early = GRID.end_s < 6
    late = GRID.end_s > 6.3
    assert said.valid[early].all() and not said.valid[late].any()
    np.testing.assert_allclose(said.score[early], 3.0)
    assert np.isnan(said.score[late]).all() and said.too_wide[late].all() and not said.too_wide[early].any()
    np.testing.assert_allclose(said.high[late], 5.5)
    np.testing.assert_allclose(said.face_weight, 1.0)
    np.testing.assert_allclose(said.pspi[early], 6.0)


def test_without_evidence_there_is_no_score_and_no_weight() -> None:
    said = Fusion.load(make_network(make_spec()))(seen(None, voice_track(SECONDS)))
    assert not said.valid.any() and not said.too_wide.any()
    assert np.isnan(said.score).all() and np.isnan(said.pspi).all()
    assert (said.face_weight == 0).all() and (said.voice_weight == 0).all()


def test_a_long_recording_is_scored_as_its_parts_are() -> None:
    rng = np.random.default_rng(0)
    many = fusion.FusionInputs(
        rng.random((2 * fusion.BLOCK + 5, STEPS, len(FACE)), np.float32),
        rng.random((2 * fusion.BLOCK + 5, STEPS, len(VOICE)), np.float32),
    )
    model = Fusion.load(make_network(make_spec()))
    whole = model(many)
    np.testing.assert_array_equal(whole.score, many.face[:, -1, FACE.index("AU4")])
    assert len(model(fusion.FusionInputs(many.face[:0], many.voice[:0])).score) == 0


def test_a_model_may_read_fewer_values_and_in_another_order() -> None:
    some = ("voice:mfcc_1", "face:AU6", "face:AU4", "voice:voiced")
    ordered = tuple(sorted(some, key=lambda name: name.startswith("voice:")))
    model = Fusion.load(make_network(make_spec(features=ordered)))
    said = model(seen(face_track(SECONDS, AU4=2.0, AU6=0.5)))
    np.testing.assert_allclose(said.score, 2.0)
    np.testing.assert_allclose(said.high, 2.5)


def test_the_label_is_named() -> None:
    model = Fusion.load(make_network(make_spec()))
    assert (model.label_kind, model.label_scale, model.abstain_width) == ("vas", (0.0, 10.0), 4.0)


# ---- files that do not fit


def broken(**changes: object) -> bytes:
    """A file whose spec says something else than its network does."""
    usual = make_spec()
    content = json.loads(usual.to_json()) | changes
    return make_network(usual, stored=json.dumps(content))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"no model at all", "an ONNX file was expected, and it cannot be loaded.*export"),
        (broken(features=["face:AU4", "face:AU99"]), "features: expected names that painsense measures, got face:AU99"),
        (broken(targets=["AU4"]), "a fusion model, which gives score, was expected, one that gives AU4 came"),
        (broken(training={"label_kind": "vas"}), "label_kind, label_low, label_high.*were expected"),
        (broken(features=["face:AU4", "voice:voiced"]), "inputs and outputs: .* were expected, .* came"),
        (broken(requires={"action_units": "0" * 64}), "file action_units: expected SHA-256 0000.*got"),
        (
            broken(calibration={**make_spec().calibration, "score": {"abstain_width": 0}}),
            "abstain_width, a width above 0, was expected, 0 came",
        ),
        (broken(calibration={k: v for k, v in make_spec().calibration.items() if k != "score"}), "None came"),
        (make_network(make_spec(), steps=STEPS + 1), r"'face': \[20, 21\].* were expected, .*'face': \[21, 21\]"),
        (make_network(make_spec(), stored="{"), "JSON was expected"),
    ],
)
def test_a_file_that_does_not_fit_is_refused(content: bytes, message: str) -> None:
    with pytest.raises(ModelError, match=message):
        Fusion.load(content)


def test_another_onnx_file_is_refused(tmp_path: Path) -> None:
    from painsense import providers

    with pytest.raises(ModelError, match=r"made by export/fusion.py was expected.*leave --fusion-model away"):
        Fusion.load(providers.doubling_network())
    with pytest.raises(ProviderError, match="cpu or cuda was expected"):
        Fusion.load(make_network(make_spec()), "tpu")


def test_the_actual_sound_and_the_test_track_have_the_same_columns() -> None:
    """What painsense measures holds all that the network reads."""
    t = np.arange(3 * 16000) / 16000
    from painsense import voice

    track = voice.low_level(0.1 * np.sin(2 * np.pi * 150 * t + 2 * np.sin(2 * np.pi * 5 * t)), 16000)
    found = fusion.inputs(None, track, (), windows.grid(3.0))
    assert found.voice.shape == (3, STEPS, len(VOICE))
    assert track.names == make_fusion.voice_track(1.0).names
    assert np.isfinite(of_voice(found, "voiced")[:, -5:]).all()
