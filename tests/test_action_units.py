"""PSPI by its formula, known answers through networks built for it, and what must hold of the shipped one."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from make_faces import canonical_face, frames_of, mirror_landmarks, mirror_values
from make_network import make_network, make_spec

from painsense import action_units, baseline, face, media, providers
from painsense.action_units import BOTH, LEFT, MIDLINE, NAMES, RIGHT, Estimator, estimate, estimate_track, pspi
from painsense.baseline import Baseline
from painsense.errors import ModelError, ProviderError
from painsense.follow import Follower, Frames, follow
from painsense.landmarks import BLENDSHAPES, thread_networks
from painsense.pipeline import Analyzer, Settings
from painsense.tracks import Track

FPS = 25


def value(*numbers: float) -> np.ndarray:
    return np.array(numbers, np.float32)


@pytest.mark.parametrize(
    ("intensities", "expected"),
    [
        ((0, 0, 0, 0, 0, 0), 0),
        ((5, 5, 5, 5, 5, 1), 16),  # the top of the scale
        ((2, 1, 3, 0, 2, 1), 2 + 3 + 2 + 1),  # Prkachin & Solomon 2008: the larger of each pair
        ((2, 3, 1, 2, 0, 0), 2 + 3 + 2),
    ],
)
def test_pspi_formula(intensities: tuple[float, ...], expected: float) -> None:
    assert pspi(*(value(number) for number in intensities))[0] == expected


def test_pspi_needs_au4_and_one_of_each_pair() -> None:
    one, missing = value(1), value(np.nan)
    assert pspi(one, one, missing, one, missing, one)[0] == 4
    assert np.isnan(pspi(missing, one, one, one, one, one)[0])
    assert np.isnan(pspi(one, missing, missing, one, one, one)[0])


def raw_track(seconds: float = 2.0, **values: float | np.ndarray) -> Track:
    """The canonical face, frontal, with blendshapes at 0, but for the named values."""
    raw = face.measure(frames_of(canonical_face(), int(seconds * FPS)), canonical_face())
    changed = raw.values.copy()
    for name, numbers in values.items():
        changed[:, raw.names.index(name)] = numbers
    return dataclasses.replace(raw, values=changed)


@pytest.fixture(scope="module")
def neutral() -> Baseline:
    return baseline.from_rest(raw_track(), "rest.mp4")


# ---- known answers: a network that reads each intensity from one blendshape

GAINS = {
    ("AU4", "both"): ("browDownLeft", 5.0),
    ("AU4", "left"): ("browDownLeft", 4.0),
    ("AU4", "right"): ("browDownRight", 5.0),
    ("AU6", "both"): ("mouthSmileLeft", 2.0),
    ("AU7", "both"): ("eyeBlinkLeft", 3.0),
    ("AU12", "both"): ("mouthSmileLeft", 10.0),
    ("AU43", "both"): ("eyeBlinkLeft", 5.0),
}
SPREAD = 0.4


@pytest.fixture
def known(monkeypatch: pytest.MonkeyPatch) -> Estimator:
    """Stands in for the shipped network; its targets are in another order than painsense's columns."""
    model = Estimator.load(make_network(make_spec(targets=tuple(NAMES)[::-1]), GAINS, SPREAD))
    monkeypatch.setattr(action_units, "estimator", lambda provider="cpu": model)
    return model


@pytest.mark.usefixtures("known")
def test_each_value_stands_under_its_name() -> None:
    track = estimate_track(raw_track(browDownLeft=0.4, browDownRight=0.2, mouthSmileLeft=0.9, eyeBlinkLeft=0.2), None)
    expected = {"AU4": 2.0, "AU4_left": 1.6, "AU4_right": 1.0, "AU6": 1.8, "AU7": 0.6, "AU43": 0, "eye_closure": 0.2}
    for name, number in expected.items():
        assert track.column(name)[0] == pytest.approx(number, abs=1e-5), name
    assert track.column("AU12")[0] == 5, "the scale ends there"
    assert track.column("pspi")[0] == pytest.approx(2.0 + 1.8 + 0 + 0)


@pytest.mark.usefixtures("known")
def test_intensities_are_read_beside_the_neutral(neutral: Baseline) -> None:
    lowered = dataclasses.replace(neutral, face=neutral.face | {"browDownLeft": 0.1})
    assert estimate_track(raw_track(browDownLeft=0.4), lowered).column("AU4")[0] == pytest.approx(5 * 0.3)


@pytest.mark.usefixtures("known")
def test_the_interval_of_pspi_follows_from_the_spread(neutral: Baseline) -> None:
    raw = raw_track(browDownLeft=0.4, eyeBlinkLeft=0.2)
    for given, ends in ((neutral, (-1.5, 2.0)), (None, (-1.0, 3.0))):
        track = estimate_track(raw, given)
        deviation = np.sqrt(3) * SPREAD  # of three parts
        assert track.column("AU4_sd")[0] == pytest.approx(SPREAD)
        assert track.column("pspi_low")[0] == pytest.approx(2.6 + ends[0] * deviation, abs=1e-4)
        assert track.column("pspi_high")[0] == pytest.approx(2.6 + ends[1] * deviation, abs=1e-4)


@pytest.mark.usefixtures("known")
def test_speech_widens_the_mouth_units_only(neutral: Baseline) -> None:
    raw = raw_track()
    silent, speaking = estimate_track(raw, neutral), estimate_track(raw, neutral, np.ones(len(raw), bool))
    assert speaking.has_reason("speaking").all()
    assert speaking.column("AU10_sd")[0] == pytest.approx(1.5 * silent.column("AU10_sd")[0])
    assert speaking.column("AU4_sd")[0] == silent.column("AU4_sd")[0]


@pytest.mark.usefixtures("known")
def test_closed_eyes_count_after_half_a_second(neutral: Baseline) -> None:
    closing = np.zeros(4 * FPS)
    closing[10:15] = closing[40:70] = 0.9  # a blink of 0.2 s, and 1.2 s
    track = estimate_track(raw_track(4.0, eyeBlinkLeft=closing), neutral)
    assert np.flatnonzero(track.column("AU43")).tolist() == list(range(40, 70))
    assert np.flatnonzero(track.has_reason("blink")).tolist() == list(range(10, 15))
    for name in ("AU7", "AU7_sd", "AU7_left", "AU7_right"):
        assert np.isnan(track.column(name)[10:15]).all(), "shut lids are no tight lids"
        assert np.isfinite(track.column(name)[40:70]).all()
    assert np.isfinite(track.column("pspi")).all()
    assert track.column("pspi")[50] == pytest.approx(0.9 * 3 + 1)
    assert track.column("eye_closure")[12] == pytest.approx(0.9)


@pytest.mark.usefixtures("known")
def test_unusable_frames_are_missing_but_keep_their_capture_values(neutral: Baseline) -> None:
    raw = raw_track(yaw_deg=55.0)
    bits = np.full(len(raw), face.BIT["turned_away"], np.uint32)
    track = estimate_track(dataclasses.replace(raw, reason_bits=bits), neutral)
    for column in track.columns[len(action_units.CAPTURE) :]:
        assert np.isnan(track.column(column.name)).all(), column.name
    assert track.column("yaw_deg")[0] == 55


@pytest.mark.usefixtures("known")
@pytest.mark.parametrize(
    ("shown", "message"),
    [({"mouthSmileLeft": 0.9}, "shows a smile"), ({"browDownLeft": 1.0, "eyeBlinkLeft": 0.2}, r"PSPI about 5\.6")],
)
def test_an_expressive_neutral_is_doubted(neutral: Baseline, shown: dict[str, float], message: str) -> None:
    assert action_units.baseline_warnings(neutral) == []
    (doubt,) = action_units.baseline_warnings(baseline.from_rest(raw_track(**shown), "rest.mp4"))
    assert message.replace("\\", "") in doubt


def test_a_row_with_a_gap_gives_nothing_and_the_others_what_they_would(known: Estimator) -> None:
    rows = np.array([[0.4, 0, 0, 0, 1, 0], [0.4, 0, 0, 0, np.nan, 0], [0.2, 0, 0, 0, 1, 0]], np.float32)
    intensity, spread = known(rows, None)
    assert intensity.shape == spread.shape == (3, 3, 19)
    assert np.isnan(intensity[1]).all() and np.isnan(spread[1]).all()
    au4 = list(NAMES).index("AU4")
    np.testing.assert_allclose(intensity[[0, 2], BOTH, au4], [2, 1], rtol=1e-5)


def test_a_network_that_does_not_fit_is_refused() -> None:
    for spec, message in (
        (make_spec(features=("brow_gap", "hair_colour")), "names that painsense measures, got hair_colour"),
        (make_spec(targets=("AU4", "AU99")), "targets: expected AU1, AU2"),
        (make_spec(requires={"face_shape": "ab" * 32}), "file face_shape: expected SHA-256 abababababab"),
    ):
        with pytest.raises(ModelError, match=message):
            Estimator.load(make_network(spec, {}))
    with pytest.raises(ModelError, match=r"cannot be loaded .*install painsense again"):
        Estimator.load(b"no network")


def test_cuda_reaches_the_session(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    class Session(onnxruntime.InferenceSession):
        def __init__(self, content: bytes, options: object, providers: list[object], **more: object) -> None:
            asked.append(providers)
            super().__init__(content, options, providers=["CPUExecutionProvider"])

    monkeypatch.setattr(onnxruntime, "InferenceSession", Session)
    monkeypatch.setattr(providers, "check", lambda provider: providers.NAMES[provider])
    content = make_network(make_spec(), {})
    assert Estimator.load(content).session.get_providers() == ["CPUExecutionProvider"]
    with pytest.raises(ProviderError, match="cuda: the network action_units cannot be computed there"):
        Estimator.load(content, "cuda")  # this session went on with the CPU
    assert asked == [["CPUExecutionProvider"], [("CUDAExecutionProvider", {"use_tf32": "0"})]]


def test_the_provider_asked_for_is_the_one_that_computes(monkeypatch: pytest.MonkeyPatch, neutral: Baseline) -> None:
    model, asked = action_units.estimator(), []
    monkeypatch.setattr(action_units, "estimator", lambda provider="cpu": asked.append(provider) or model)
    estimate_track(raw_track(), None, provider="cuda")
    action_units.baseline_warnings(neutral, "cuda")
    estimate(np.full((1, 478, 3), np.nan), SIZE_PX, provider="cuda")
    assert asked == ["cuda"] * 3


def test_cuda_gives_what_the_cpu_gives() -> None:
    if providers.providers()["cuda"] != "":
        pytest.skip("CUDA does not work on this machine")
    rows = plausible_rows(100, 0.5)
    for at_rest in (rows[0], None):
        for cpu, cuda in zip(*(action_units.estimator(name)(rows, at_rest) for name in ("cpu", "cuda")), strict=True):
            np.testing.assert_allclose(cuda, cpu, atol=1e-3)


# ---- the shipped network


def plausible_rows(n: int, size: float) -> np.ndarray:
    """What the shipped network reads of the canonical face, with noise of ``size`` times what people differ by."""
    rng = np.random.default_rng(5)
    raw = raw_track(1.0)
    names = action_units.estimator().spec.features
    differ = {name: 0.3 for name in BLENDSHAPES} | {name: 10.0 for name in face.STANCE}
    differ |= {measure.name: 0.1 for measure in face.GEOMETRY}
    unit = np.array([differ.get(name, 1.0) for name in names])
    middle = np.array([raw.column(name)[0] for name in names])
    return (middle + size * rng.standard_normal((n, len(names))) * unit).astype(np.float32)


@pytest.mark.parametrize("with_neutral", [True, False])
def test_mirroring_swaps_left_and_right_and_nothing_else(with_neutral: bool) -> None:
    model = action_units.estimator()
    rows, names = plausible_rows(200, 0.5), model.spec.features
    at_rest = plausible_rows(1, 0.2)[0] if with_neutral else None
    seen = model(rows, at_rest)
    mirrored = model(mirror_values(names, rows), None if at_rest is None else mirror_values(names, at_rest))
    for one, other in zip(seen, mirrored, strict=True):
        np.testing.assert_allclose(other[:, [BOTH, RIGHT, LEFT]], one, atol=1e-4)
    assert np.abs(seen[0][:, LEFT] - seen[0][:, RIGHT]).max() > 0.5, "or the test shows nothing"


@pytest.mark.parametrize("size", [0.0, 0.3, 3.0, 100.0])
@pytest.mark.parametrize("with_neutral", [True, False])
def test_every_answer_is_an_intensity_with_a_spread(size: float, with_neutral: bool) -> None:
    intensity, spread = action_units.estimator()(plausible_rows(100, size), plausible_rows(1, 0)[0] * with_neutral)
    assert ((intensity >= 0) & (intensity <= 5)).all()
    assert ((spread > 0) & np.isfinite(spread)).all()
    for name in MIDLINE:
        unit = list(NAMES).index(name)
        np.testing.assert_allclose(intensity[:, LEFT, unit], intensity[:, RIGHT, unit], atol=1e-4)


def test_blocks_do_not_change_results(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = plausible_rows(100, 0.5)
    whole = action_units.estimator()(rows, rows[0])
    monkeypatch.setattr(action_units, "BLOCK", 7)
    np.testing.assert_allclose(action_units.estimator()(rows, rows[0]), whole, atol=1e-5)


def test_at_rest_nothing_is_active_and_less_is_known_without_a_neutral(seen: Frames) -> None:
    raw = face.measure(seen, thread_networks().canonical)
    still = dataclasses.replace(raw, values=np.tile(raw.values[:10].mean(axis=0), (len(raw), 1)))
    known, unknown = (estimate_track(still, beside) for beside in (baseline.from_rest(still, "rest.mp4"), None))
    for name in NAMES:
        assert known.column(name)[0] < 0.5, name
    assert known.column("pspi")[0] < 1
    assert known.column("pspi_low")[0] == 0
    assert 1 < known.column("pspi_high")[0] < 6, "the interval stays honest about the estimator's error"
    assert unknown.column("pspi_high")[0] > known.column("pspi_high")[0]


# ---- stored landmarks


@pytest.fixture(scope="module")
def seen(sample_clip: Path) -> Frames:
    """The bundled recording from 9 s to 11 s: a face at rest, then the beginning of pain."""
    frames = media.read_frames(media.open_media(sample_clip), 9.0, 11.0)
    return follow(Follower(thread_networks()), frames)


def stored(frames: Frames) -> np.ndarray:
    """The landmarks as MediaPipe gives them."""
    return frames.points_px / frames.size_px[0][[0, 1, 0]]


SIZE_PX = (640, 360)


def test_stored_landmarks_give_what_score_gives(sample_clip: Path) -> None:
    with Analyzer(Settings(modalities=("face",), baseline="none", fps=5)) as analyzer:
        report = analyzer.analyze(sample_clip).tracks["face"]
    wanted = report.time_s < 2  # in the first segment, which has no run-in
    times = set(report.time_s[wanted].tolist())
    shown = ((t, image) for t, image in media.read_frames(media.open_media(sample_clip), 0, 2) if t in times)
    frames = follow(Follower(thread_networks()), shown)
    units = estimate(stored(frames), SIZE_PX)
    assert len(units) == wanted.sum() >= 8
    blinking = report.has_reason("blink")[wanted]  # score leaves AU7 out there
    for name in action_units.ESTIMATED:
        use = ~blinking if name == "AU7" else slice(None)
        given = {name: units[name]}
        if name in action_units.SIDED:
            index = units.names.index(name)
            given |= {f"{name}_left": units.left[:, index], f"{name}_right": units.right[:, index]}
        for column, values in given.items():
            np.testing.assert_allclose(values[use], report.column(column)[wanted][use], atol=2e-3, err_msg=column)
    np.testing.assert_allclose(units["AU43"] / 5, report.column("eye_closure")[wanted], atol=1e-3)
    np.testing.assert_allclose(units.pspi(report.time_s[wanted]), report.column("pspi")[wanted], atol=5e-3)
    low, high = units.pspi_interval(report.time_s[wanted])
    np.testing.assert_allclose(low, report.column("pspi_low")[wanted], atol=1e-2)
    np.testing.assert_allclose(high, report.column("pspi_high")[wanted], atol=1e-2)


def test_a_neutral_can_be_landmarks_or_a_baseline(seen: Frames) -> None:
    points = stored(seen)
    raw = face.measure(seen, thread_networks().canonical)
    rest = baseline.from_rest(dataclasses.replace(raw, reason_bits=np.zeros_like(raw.reason_bits)), "rest.mp4")
    by_baseline, by_landmarks, without = (estimate(points, SIZE_PX, neutral=n) for n in (rest, points, None))
    np.testing.assert_allclose(by_landmarks.intensity, by_baseline.intensity, atol=0.03)
    np.testing.assert_allclose(by_landmarks.spread, by_baseline.spread, atol=0.03)
    assert np.abs(by_landmarks.intensity - without.intensity).max() > 0.1
    assert by_landmarks.pspi_ends != without.pspi_ends


def test_given_blendshapes_are_used(seen: Frames) -> None:
    points = stored(seen)[:3]
    same = estimate(points, SIZE_PX, seen.blendshapes[:3])
    np.testing.assert_allclose(same.intensity, estimate(points, SIZE_PX).intensity, atol=2e-3)
    assert np.abs(estimate(points, SIZE_PX, 1 - seen.blendshapes[:3]).intensity - same.intensity).max() > 0.5


def test_a_mirrored_recording_swaps_left_and_right(seen: Frames) -> None:
    points = stored(seen)[::10]
    flipped = (points * (-1, 1, 1) + (1, 0, 0))[:, mirror_landmarks(thread_networks().canonical)]
    shapes = seen.blendshapes[::10]
    one = estimate(points, SIZE_PX, shapes)
    other = estimate(flipped, SIZE_PX, mirror_values(BLENDSHAPES, shapes))
    np.testing.assert_allclose(other.left, one.right, atol=0.01)
    np.testing.assert_allclose(other.right, one.left, atol=0.01)
    np.testing.assert_allclose(other.intensity, one.intensity, atol=0.01)


def test_frames_without_a_face_give_nothing(seen: Frames) -> None:
    points = stored(seen)[:4].copy()
    points[1, 7, 0] = np.nan
    points[3] = 0
    units = estimate(points, SIZE_PX)
    for part in (units.intensity, units.spread, units.left, units.right, units.left_spread, units.right_spread):
        assert np.isnan(part[[1, 3]]).all()
        assert np.isfinite(part[[0, 2]]).all()
    assert np.isnan(units.pspi()).tolist() == [False, True, False, True]
    assert len(estimate(np.empty((0, 478, 3)), SIZE_PX)) == 0


@pytest.mark.usefixtures("known")
def test_a_blink_is_told_by_its_duration(seen: Frames) -> None:
    points, shapes = stored(seen)[:40], np.zeros((40, 52), np.float32)
    shapes[5:8, BLENDSHAPES.index("eyeBlinkLeft")] = 0.9  # 0.12 s
    shapes[20:38, BLENDSHAPES.index("eyeBlinkLeft")] = 0.9  # 0.72 s
    units = estimate(points, SIZE_PX, shapes)
    assert units["AU43"][6] == pytest.approx(4.5)
    assert units.pspi()[[6, 30]] == pytest.approx([0.9 * 3 + 1] * 2)
    assert units.pspi(np.arange(40) / 25)[[6, 30]] == pytest.approx([0, 0.9 * 3 + 1])
    for wrong in (np.arange(39) / 25, np.zeros(40)):
        with pytest.raises(ValueError, match="time_s: 40 rising times in seconds"):
            units.pspi(wrong)
    with pytest.raises(KeyError, match="no action unit 'AU99'; there are AU1, AU2"):
        units["AU99"]


ONE = (0.5 + 0.1 * np.random.default_rng(4).standard_normal((2, 478, 3))).astype(np.float32)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((ONE[0], SIZE_PX), r"\(frames, 478, 3\) was expected, got \(478, 3\); give one frame as landmarks\[None\]"),
        ((ONE[:, :468], SIZE_PX), r"got \(2, 468, 3\); .* with irises"),
        ((ONE * (640, 360, 640), SIZE_PX), r"shares of picture .* got values up to \d{3}; divide pixels"),
        ((ONE, (640,)), "image_size: width and height in pixels"),
        ((ONE, (640, 0)), "image_size"),
        ((ONE, SIZE_PX, np.zeros((2, 51))), r"blendshapes: an array of \(2, 52\) was expected, .* got \(2, 51\)"),
        ((ONE, SIZE_PX, None, ONE[0]), r"neutral: an array of \(frames, 478, 3\)"),
        ((ONE, SIZE_PX, None, np.full_like(ONE, np.nan)), "neutral: at least one whole face .* got none in 2 frames"),
    ],
)
def test_wrong_shapes_and_units_are_explained(arguments: tuple[object, ...], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        estimate(*arguments)  # type: ignore[arg-type]
