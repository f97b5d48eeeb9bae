"""The fusion network: what it is built of, how it learns and goes on learning, its intervals, and its ONNX file."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from make_fusion import face_track, voice_track

torch = pytest.importorskip("torch", reason="training needs torch: pip install -e '.[train]'")

from painsense import fusion, windows  # noqa: E402
from painsense.follow import Frames  # noqa: E402
from painsense.fusion import FACE, STEPS, VOICE, Fusion  # noqa: E402
from painsense.landmarks import BLENDSHAPES  # noqa: E402
from painsense.voice_segments import Segment  # noqa: E402
from training.errors import TrainingError  # noqa: E402
from training.fusion import augment, calibrate, external, learn, samples, settings, train  # noqa: E402
from training.fusion.calibrate import NOWHERE, Predictions  # noqa: E402
from training.fusion.network import KNOTS, FusionNetwork, above, corn_loss, shares_of  # noqa: E402
from training.fusion.record import Clip, Label  # noqa: E402
from training.fusion.samples import Course, Recording, Samples  # noqa: E402
from training.fusion.settings import Settings  # noqa: E402

RUNS = Path(train.__file__).parent / "runs"
SECONDS = 6.0
SMALL = Settings(
    name="small", dataset="manifest", score="vas", split="k-fold", folds=2, validation=0.2, members=2, channels=(8, 8),
    width=8, epochs=12, patience=0, batch=32, rate=0.02, dropout=0.0, noise=0.02, offset=0.0,
)  # fmt: skip


def recording(subject: int, number: int, rng: np.random.Generator) -> Recording:
    """Somebody's clip whose label both face and voice tell."""
    level = float(rng.integers(0, 11))
    voiced = (np.arange(round(SECONDS * 100)) // 40) % 2 == 0
    face = face_track(SECONDS, AU4=level / 2.5, AU9=level / 4 + rng.normal(0, 0.1), AU12=rng.uniform(0, 3))
    heard = voice_track(SECONDS, voiced, hnr_db=20 - level, roughness=level / 20, cpp_db=rng.normal(10, 2))
    clip = Clip(
        id=f"s{subject}-{number}", dataset="manifest", subject=f"s{subject}", labels=(Label("vas", 0, 10, level),),
        groups={"expression": "pain" if level else "rest"},
    )  # fmt: skip
    segments = tuple(
        Segment(k * 0.4, (k + 1) * 0.4, "speech" if k % 2 == 0 else "silence") for k in range(round(SECONDS / 0.4))
    )
    pspi = Course("pspi_frame", 0, 16, face.time_s, np.full(len(face), level, np.float32))
    without = {1: {"voice": None}, 2: {"face": None}}.get(number % 5, {})
    return replace(Recording(clip, face, heard, True, None, segments, (pspi,)), **without)  # type: ignore[arg-type]


def people(count: int, each: int = 6) -> Iterator[Recording]:
    rng = np.random.default_rng(0)
    for subject in range(count):
        for number in range(each):
            yield recording(subject, number, rng)


@pytest.fixture(scope="module")
def few() -> Samples:
    return samples.gather(people(8))


def network(**changes: Any) -> FusionNetwork:
    torch.manual_seed(0)
    zero = {name: np.zeros(len(names), np.float32) for name, names in (("face", FACE), ("voice", VOICE))}
    one = {name: values + 1 for name, values in zero.items()}
    usual: dict[str, Any] = {"members": 2, "channels": (8, 8), "width": 8}
    return FusionNetwork(("vas_0_10",), ("pain", "rest"), zero, one, **(usual | changes)).eval()


def drawn(n: int = 6, seed: int = 0) -> tuple[Any, Any]:
    rng = np.random.default_rng(seed)
    face, voice = (rng.normal(size=(n, STEPS, len(names))).astype(np.float32) for names in (FACE, VOICE))
    voice[..., [VOICE.index("share_silence")]] = 0.2
    voice[..., [VOICE.index("voiced")]] = 0.6
    return torch.from_numpy(face), torch.from_numpy(voice)


# ---- the ordinal head


def test_levels_follow_from_the_conditional_probabilities() -> None:
    """CORN by hand: P(above k) is the product of the conditional probabilities up to k."""
    logits = torch.tensor([[2.0, 0.0, -1.0, 3.0, 0.5, 0.5, 0.0, 0.0, 0.0, 0.0]])
    over = torch.sigmoid(logits).cumprod(-1)[0]
    shares = shares_of(logits)[0]
    torch.testing.assert_close(shares[0], 1 - over[0])
    torch.testing.assert_close(shares[3], over[2] - over[3])
    torch.testing.assert_close(shares[10], over[9])
    torch.testing.assert_close(shares.sum(), torch.tensor(1.0))
    assert (shares >= 0).all() and torch.isfinite(above(torch.full((1, 10), -200.0))).all()


@pytest.mark.parametrize("level", [0, 3, 10])
def test_the_loss_of_a_whole_level_is_minus_the_log_of_its_probability(level: int) -> None:
    logits = torch.linspace(-2, 2, 10)[None]
    expected = -torch.log(shares_of(logits)[0, level])
    torch.testing.assert_close(corn_loss(logits, torch.tensor([float(level)]))[0], expected, rtol=1e-4, atol=1e-5)


def test_the_loss_of_a_level_in_between_is_least_at_its_own_shares() -> None:
    logits = torch.zeros(1, 10, requires_grad=True)
    optimizer = torch.optim.LBFGS([logits], max_iter=100)

    def step() -> Any:
        optimizer.zero_grad()
        loss = corn_loss(logits, torch.tensor([6.3])).sum()
        loss.backward()
        return loss

    optimizer.step(step)
    mean = (shares_of(logits.detach()) * torch.arange(11.0)).sum()
    assert float(mean) == pytest.approx(6.3, abs=0.02)


# ---- the network


def test_a_modality_that_is_missing_has_no_weight_and_no_say() -> None:
    face, voice = drawn()
    net = network()
    nothing = torch.full_like(voice, float("nan"))
    score, low, high, weights, pspi, levels = net(face, nothing)
    assert torch.equal(weights, torch.tensor([[1.0, 0.0]]).expand(6, 2))
    assert torch.isfinite(torch.stack([score, low, high, pspi])).all()
    assert ((low <= score) & (score <= high) & (low >= 0) & (high <= 10)).all()
    torch.testing.assert_close(levels.sum(1), torch.ones(6))
    assert torch.equal(net(torch.full_like(face, float("nan")), voice)[3], torch.tensor([[0.0, 1.0]]).expand(6, 2))
    both = net(face, voice)[3]
    torch.testing.assert_close(both.sum(1), torch.ones(6))
    assert ((both > 0) & (both < 1)).all()


def test_too_little_of_a_window_is_no_evidence() -> None:
    face, voice = drawn(3)
    net = network()
    face[0, -10:-5] = float("nan")  # half of the window's time is left, 60% are asked for
    face[1, -10:-6] = float("nan")
    voice[0, :, VOICE.index("share_silence")] = 0.91  # 0.18 s of sound in the window, 0.2 s are asked for
    voice[1, :, VOICE.index("share_silence")] = 0.9
    face[2, :10] = float("nan")  # what came before is not needed
    weights = net(face, voice)[3]
    assert (weights[0] == 0).all() and (weights[1] > 0).all() and (weights[2] > 0).all()
    score, low, high, _, pspi, _ = net(face, voice)
    assert torch.isnan(torch.stack([score, low, high, pspi]))[:, 0].all() and torch.isfinite(score[1:]).all()


def test_each_window_is_scored_for_itself_and_each_member_counts() -> None:
    face, voice = drawn(8)
    net = network()
    all_at_once = net(face, voice)
    for whole, alone in zip(all_at_once, net(face[3:4], voice[3:4]), strict=True):
        torch.testing.assert_close(whole[3:4], alone, atol=1e-5, rtol=1e-4)
    before = all_at_once[0].clone()
    with torch.no_grad():
        net.ordinal[0].bias[1] += 1.0
    assert (net(face, voice)[0] > before).all()


def test_missing_values_teach_nothing_and_break_nothing() -> None:
    face, voice = drawn()
    face[:, 3], voice[1:, :, 2:9] = float("nan"), float("nan")
    net = network().train()
    score = net(face, voice)[0]
    score.sum().backward()
    assert all(torch.isfinite(p.grad).all() for p in net.parameters() if p.grad is not None)


def test_pspi_that_was_never_learned_is_not_said() -> None:
    assert torch.isnan(network(knows_pspi=False)(*drawn())[4]).all()


# ---- settings


def test_the_published_runs_can_be_read_and_every_kind_is_known() -> None:
    runs = {path.stem: settings.read(path) for path in RUNS.glob("*.toml")}
    assert {"simulated", "unbc-vas-loso", "unbc-pspi-5fold", "biovid-loso", "biovid-holdout", "tame-speaker"} <= set(
        runs
    )
    from training.datasets import NAMES

    assert all(how.dataset in (*NAMES, "simulated") for how in runs.values())
    assert len({how.name for how in runs.values()}) == len(runs)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name = 'x'", r"run.toml: .*dataset, score is missing.*correct the file"),
        ("name = 'x'\ndataset = 'unbc'\nscore = 'vas'\nepoch = 3", "names of Settings were expected, epoch came"),
        ("name = 'x'\ndataset = 'unbc'\nscore = 'pain'", "one of pspi_frame, vas.* was expected, 'pain' came"),
        ("name = 'x'\ndataset = 'unbc'\nscore = 'vas'\nepochs = '9'", "epochs: int was expected, '9' came"),
        ("name = 'x'\ndataset = 'unbc'\nscore = 'vas'\nmembers = true", "members: int was expected, True came"),
        ("name = 'x'\ndataset = 'unbc'\nscore = 'vas'\nvalidation = 1.5", "validation: a share .*1.5 came"),
        ("name = 'x'\ndataset = 'unbc'\nscore = 'vas'\nrate = nan", "rate: a number of 0 or more was expected, nan"),
        ("name = 'x'\ndataset = 'unbc'\nscore = 'vas'\nbeside = ['vas']", "beside: kinds other than 'vas'"),
        ("name = 'x'\ndataset = 'unbc'\nscore = 'vas'\nmodalities = ['smell']", "face, voice or both were expected"),
        ("name = 'x'\ndataset = 'unbc'\nscore = 'vas'\nfolds = 0", "folds: 1 or more was expected, 0 came"),
        ("name = ", r"run.toml: a TOML file of settings was expected"),
    ],
)
def test_wrong_settings_are_refused(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "run.toml").write_text(text, encoding="utf-8")
    with pytest.raises(TrainingError, match=message):
        settings.read(tmp_path / "run.toml")


def test_settings_survive_json_and_any_change_changes_the_fingerprint() -> None:
    from dataclasses import asdict

    again = settings.from_dict(json.loads(json.dumps(asdict(SMALL))))
    assert again == SMALL and again.fingerprint == SMALL.fingerprint
    assert replace(SMALL, noise=0.03).fingerprint != SMALL.fingerprint


# ---- windows and labels


def test_a_label_of_a_clip_is_that_of_each_window_on_a_scale_of_its_own() -> None:
    clip = Clip(id="a", dataset="manifest", subject="s", labels=(Label("vas", 0, 10, 4), Label("opr", 0, 5, 1)))
    found = samples.gather([Recording(clip, face_track(4.0), None)])
    assert set(found.targets) == {"vas_0_10", "opr_0_5"} and len(found) == 5
    assert (found.targets["vas_0_10"] == 4).all() and (found.targets["opr_0_5"] == 2).all()
    assert found.head("opr") == "opr_0_5"
    with pytest.raises(TrainingError, match="one scale of 'nrs' was expected in the data, none came; there is opr_0_5"):
        found.head("nrs")


def test_one_kind_on_two_scales_is_not_mixed() -> None:
    clips = [
        Clip(id=str(high), dataset="manifest", subject="s", labels=(Label("vas", 0, high, 4),)) for high in (10, 100)
    ]
    found = samples.gather(Recording(clip, face_track(4.0), None) for clip in clips)
    assert np.isnan(found.targets["vas_0_10"]).sum() == np.isnan(found.targets["vas_0_100"]).sum() == 5
    with pytest.raises(TrainingError, match=r"one scale of 'vas' was expected.*vas_0_10, vas_0_100 came"):
        found.head("vas")


def test_values_per_frame_are_averaged_over_the_window() -> None:
    values = tuple([0.0] * 50 + [16.0] * 50 + [math.nan] * 50)
    pictures = tuple(Path(f"{k}.png") for k in range(150))
    clip = Clip(id="a", dataset="unbc", subject="s", frames=pictures, fps=25.0,
                labels=(Label("pspi_frame", 0, 16, math.nan, values),))  # fmt: skip
    found = samples.gather([Recording(clip, face_track(6.0), None)]).targets["pspi_frame_0_16"]
    np.testing.assert_allclose(found[:6], [0, 2.6, 5, 7.6, 10, 10], atol=0.2)  # windows from 0, 0.5 ... s
    assert np.isfinite(found[6]) and np.isnan(found[7:]).all()  # less than half of it is labelled
    wrong = replace(clip, frames=(), fps=math.nan)
    with pytest.raises(TrainingError, match="a label for each of 100 frames was expected, 150 came"):
        samples.gather([Recording(wrong, face_track(4.0), None)])


def test_long_recordings_count_as_short_ones_do() -> None:
    short, long = (
        Recording(Clip(id=name, dataset="manifest", subject="s", labels=(Label("vas", 0, 10, 4),)), face_track(s), None)
        for name, s in (("short", 2.0), ("long", 12.0))
    )
    found = samples.gather([short, long])
    weight = samples.weights(found, "vas_0_10", np.arange(len(found)), 0.0)
    assert weight[found.clip == 0].sum() == pytest.approx(weight[found.clip == 1].sum())
    assert weight.mean() == pytest.approx(1.0)


def test_windows_are_kept_and_read_back_without_paths(few: Samples, tmp_path: Path) -> None:
    few.save(tmp_path / "w.npz")
    again = Samples.load(tmp_path / "w.npz")
    np.testing.assert_array_equal(again.face, few.face)
    np.testing.assert_array_equal(again.targets["vas_0_10"], few.targets["vas_0_10"])
    assert [clip.id for clip in again.clips] == [clip.id for clip in few.clips] and again.classes == few.classes
    (tmp_path / "bad.npz").write_bytes(b"nothing")
    with pytest.raises(TrainingError, match="the windows of a run were expected"):
        Samples.load(tmp_path / "bad.npz")
    with pytest.raises(TrainingError, match="at least one recording with face or voice was expected"):
        samples.gather([Recording(few.clips[0], None, None)])


# ---- learning


def rows(few: Samples, subjects: range) -> Any:
    return few.rows(clip.id for clip in few.clips if int(clip.subject[1:]) in subjects)


def test_it_learns_what_face_and_voice_say_and_a_stopped_run_ends_alike(few: Samples, tmp_path: Path) -> None:
    train_rows, held = rows(few, range(6)), rows(few, range(6, 8))
    quiet: Any = lambda line: None  # noqa: E731
    whole, epochs = learn.fit(few, train_rows, held, SMALL, tmp_path / "whole", say=quiet)
    assert 1 <= epochs <= SMALL.epochs
    said = learn.say_of(whole, few, held, SMALL)
    truth = few.targets["vas_0_10"][held]
    for case in range(3):
        known = np.isfinite(said.score[case])
        assert np.corrcoef(said.score[case, known], truth[known])[0, 1] > 0.8
    curve = list(csv.DictReader((tmp_path / "whole" / learn.CURVES).read_text().splitlines()))
    assert [int(row["epoch"]) for row in curve] == list(range(1, SMALL.epochs + 1))
    assert float(curve[-1]["loss"]) < float(curve[0]["loss"])

    learn.fit(few, train_rows, held, SMALL, tmp_path / "cut", epochs=5, say=quiet)  # as if it had been killed
    again, _ = learn.fit(few, train_rows, held, SMALL, tmp_path / "cut", say=quiet)
    for name, value in whole.state_dict().items():
        torch.testing.assert_close(again.state_dict()[name], value)
    assert (tmp_path / "cut" / learn.CURVES).read_text() == (tmp_path / "whole" / learn.CURVES).read_text()
    with pytest.raises(TrainingError, match="a run with these settings and data was expected, and another was begun"):
        learn.fit(few, train_rows, held, replace(SMALL, seed=9), tmp_path / "cut", say=quiet)


def test_an_early_stop_keeps_the_best_epoch(few: Samples, tmp_path: Path) -> None:
    wild = replace(SMALL, rate=1.0, patience=2, epochs=30)
    _, best = learn.fit(few, rows(few, range(6)), rows(few, range(6, 8)), wild, tmp_path, say=lambda line: None)
    lines = (tmp_path / learn.CURVES).read_text().splitlines()
    curve = [float(row["validation"]) for row in csv.DictReader(lines)]
    assert len(curve) == best + 2 < 30 and min(curve) == curve[best - 1]


def test_a_head_without_labels_and_a_modality_that_is_left_out_do_not_matter(few: Samples, tmp_path: Path) -> None:
    how = replace(SMALL, modalities=("face",), epochs=2)
    everyone = np.arange(len(few))
    face_only, _ = learn.fit(few, everyone, everyone[:0], how, tmp_path / "a", say=lambda line: None)
    said = learn.say_of(face_only, few, everyone, how)
    assert np.isnan(said.score[2]).all() and (said.weights[:, 1] == 0).all()
    other = replace(few, voice=np.random.default_rng(0).normal(size=few.voice.shape).astype(np.float32))
    again, _ = learn.fit(other, everyone, everyone[:0], how, tmp_path / "b", say=lambda line: None)
    for name, value in face_only.state_dict().items():
        if not name.startswith("voice_"):  # centre and scale are those of what there was
            torch.testing.assert_close(again.state_dict()[name], value)


def test_label_kinds_do_not_share_a_head(few: Samples) -> None:
    other = {**few.targets, "opr_0_5": np.full(len(few), np.nan, np.float32)}
    how = replace(SMALL, beside=("opr",))
    both = replace(few, targets=other)
    data = learn.table(both, np.arange(len(few)), how, torch.device("cpu"))
    assert data.targets.shape[1] == 2 and (data.weight[:, 1] == 0).all()
    net = learn.begin(both, np.arange(len(few)), how)
    learn.Learner(net, how)(data, torch.ones(2, len(few))).backward()
    assert float(net.ordinal[0].weight.grad.abs().sum()) > 0
    assert float(net.ordinal[1].weight.grad.abs().sum()) == 0


def test_augmentation_keeps_what_is_missing_and_takes_stretches_away() -> None:
    x = torch.ones(400, STEPS, 4)
    x[:, 5] = float("nan")
    rng = torch.Generator().manual_seed(0)
    how = replace(SMALL, noise=0.1, offset=0.5, holes=0.5)
    found = augment.windows(x, torch.tensor([1.0, 2.0, 0.0, 1.0]), how, rng, fixed=1)
    assert torch.isnan(found[:, 5]).all()
    assert 0.25 < float(torch.isnan(found).any(2).sum(1).gt(1).float().mean()) < 0.55
    there = ~torch.isnan(found)
    assert (found[..., 2:][there[..., 2:]] == 1).all()
    spread = found[..., :2].nanmean(1).std(0)
    assert 0.4 < float(spread[0]) < 0.6 and 0.8 < float(spread[1]) < 1.2
    assert torch.equal(x[:, 0], torch.ones(400, 4))


# ---- landmarks and sound


def test_another_camera_moves_landmarks_and_leaves_missing_ones() -> None:
    pytest.importorskip("torchvision")
    rng = np.random.default_rng(0)
    points = (rng.random((5, 478, 3)) * 100 + 200).astype(np.float32)
    points[2] = np.nan
    swap = np.arange(478)[::-1].copy()
    still = augment.View(perspective=0.0, degrees=0.0, shift=0.0, scale=(1.0, 1.0), mirror=0.0)
    np.testing.assert_allclose(augment.landmarks(points, (640, 480), swap, 1, still), points, rtol=1e-3, atol=0.05)
    flipped = augment.landmarks(points, (640, 480), swap, 1, replace(still, mirror=1.0))
    np.testing.assert_allclose(flipped[0, ::-1, 0], 639 - points[0, :, 0], rtol=1e-3, atol=0.05)
    np.testing.assert_allclose(flipped[0, ::-1, 1:], points[0, :, 1:], rtol=1e-3, atol=0.05)
    moved = augment.landmarks(points, (640, 480), swap, 1)
    assert np.isnan(moved[2]).all() and np.isfinite(moved[[0, 1, 3, 4]]).all()
    assert np.abs(moved[0] - points[0]).max() > 2
    np.testing.assert_array_equal(moved, augment.landmarks(points, (640, 480), swap, 1))  # the seed decides
    assert np.abs(moved[0] - augment.landmarks(points, (640, 480), swap, 2)[0]).max() > 1
    frames = Frames(
        *(np.zeros(5), np.full((5, 2), (640, 480), np.float32), points, rng.random((5, 52)).astype(np.float32)),
        *(np.zeros(5, np.float32) for _ in range(5)),
    )
    left, right = BLENDSHAPES.index("mouthSmileLeft"), BLENDSHAPES.index("mouthSmileRight")
    mirrored = augment.faces(frames, swap, 1, replace(still, mirror=1.0))
    np.testing.assert_array_equal(mirrored.blendshapes[:, left], frames.blendshapes[:, right])
    np.testing.assert_array_equal(mirrored.points_px, flipped)
    unmirrored = augment.faces(frames, swap, 1, replace(still, mirror=0.0))
    np.testing.assert_array_equal(unmirrored.blendshapes, frames.blendshapes)
    twice = augment.landmarks(points, (640, 480), swap, 3, replace(still, scale=(2.0, 2.0)))
    np.testing.assert_allclose(np.ptp(twice[0], axis=0), 2 * np.ptp(points[0], axis=0), rtol=0.01)


def test_another_microphone_keeps_pitch_length_and_holes() -> None:
    from painsense import voice

    t = np.arange(16000) / 16000
    y = (0.1 * sum(np.sin(2 * np.pi * 200 * k * t) / k for k in range(1, 9))).astype(np.float32)
    y[8000:8100] = np.nan
    for seed in range(4):
        other = augment.sound(y, 16000, np.random.default_rng(seed))
        assert other.shape == y.shape and other.dtype == np.float32
        np.testing.assert_array_equal(np.isnan(other), np.isnan(y))
        assert np.nanmax(np.abs(other)) <= 1 and not np.allclose(other, y, equal_nan=True)
        f0 = voice.low_level(other, 16000).column("f0_hz")
        assert np.nanmedian(f0) == pytest.approx(200, rel=0.01)
    np.testing.assert_array_equal(
        augment.sound(y, 16000, np.random.default_rng(1)), augment.sound(y, 16000, np.random.default_rng(1))
    )


# ---- calibration


def predictions(people: int, each: int = 40, seed: int = 0, spread: float = 1.0) -> Predictions:
    """Errors of people who are more or less off, each with a bias of their own; sd is said to be 1."""
    rng = np.random.default_rng(seed)
    n = people * each
    clips = tuple(Clip(id=f"c{k}", dataset="manifest", subject=f"p{k}") for k in range(people))
    truth = np.full(n, 5.0, np.float32)
    bias = np.repeat(rng.normal(0, spread, people), each)
    score = (truth + bias + rng.normal(0, spread, n)).astype(np.float32)
    nothing = np.full(n, np.nan, np.float32)
    return Predictions(
        head="vas_0_10", clips=clips, clip=np.repeat(np.arange(people), each), start_s=np.zeros(n), end_s=np.ones(n),
        fold=np.full(n, "a"), truth=truth, score=np.stack([score, score, nothing]), sd=np.ones((3, n), np.float32),
        low=np.zeros((3, n), np.float32), high=np.zeros((3, n), np.float32), levels=np.zeros((n, 11), np.float32),
        weights=np.zeros((n, 2), np.float32), pspi=nothing, truth_pspi=nothing, rule_pspi=nothing, constant=nothing,
        classes=(), shown=np.full(n, -1),
    )  # fmt: skip


def covered(said: Predictions, case: int = 0) -> float:
    return float(((said.low[case] <= said.truth) & (said.truth <= said.high[case])).mean())


def test_intervals_hold_the_truth_of_people_who_were_not_calibrated_with() -> None:
    shares = []
    for seed in range(30):
        found = calibrate.calibrate(predictions(30, seed=seed, spread=0.8))
        assert found.people == 30 and math.isnan(found.coverage[2])
        shares.append(covered(predictions(200, seed=1000 + seed, spread=0.8).with_reach(found.reach)))
    assert 0.885 <= np.mean(shares) <= 0.92


def test_people_count_alike_however_many_windows_they_have() -> None:
    said = predictions(40, each=10)
    twice = said.clip == 3
    order = np.concatenate([np.arange(len(said)), *[np.flatnonzero(twice)] * 20])
    arrays = {name: getattr(said, name)[..., order] for name in ("clip", "truth", "score", "sd")}
    more = replace(said, **arrays)
    np.testing.assert_allclose(calibrate.calibrate(more).reach, calibrate.calibrate(said).reach, rtol=5e-3)
    assert calibrate.one_vote_each(np.array(["a", "a", "a", "b"])) == pytest.approx([1 / 6, 1 / 6, 1 / 6, 1 / 2])


def test_a_quantile_leaves_room_for_one_more_person() -> None:
    people = np.array([f"p{k}" for k in range(19)])
    assert calibrate.quantile(np.arange(1.0, 20.0), people, 0.9) == pytest.approx(18.0)  # of 20, 18 must lie within
    assert calibrate.quantile(np.arange(1.0, 20.0), people, 0.95) == pytest.approx(19.0)
    assert calibrate.quantile(np.arange(1.0, 20.0), people, 0.925) == pytest.approx(18.5)
    assert calibrate.quantile(np.arange(1.0, 20.0), people, 0.96) == NOWHERE
    assert calibrate.quantile(np.repeat(np.arange(1.0, 20.0), 7), np.repeat(people, 7), 0.9) == pytest.approx(18.0)


def test_with_too_few_people_the_interval_is_the_whole_scale() -> None:
    enough = calibrate.calibrate(predictions(9)).reach
    assert (enough[:2] < NOWHERE / 10).all() and (enough[2] == NOWHERE).all()  # voice alone was never judged
    few = calibrate.calibrate(predictions(8))
    assert (few.reach >= NOWHERE / 10).all()
    said = predictions(8).with_reach(few.reach)
    assert (said.low[0] == 0).all() and (said.high[0] == 10).all() and np.isnan(said.low[2]).all()


def test_the_interval_reaches_further_where_errors_do() -> None:
    said = predictions(30, spread=0.3)
    low_truth = replace(said, truth=np.asarray(said.truth - np.abs(said.truth - said.score[0]) * 3, np.float32))
    below, above = calibrate.calibrate(low_truth).reach[0, -2]
    assert below > 2 * above > 0


@pytest.mark.parametrize(("case", "without"), [(0, ""), (1, "voice"), (2, "face")])
def test_the_network_gives_the_interval_that_was_calibrated(case: int, without: str) -> None:
    net = network()
    reach = np.random.default_rng(1).uniform(0.2, 3, (3, len(KNOTS), 2)).astype(np.float32)
    train.set_reach(net, reach)
    seen = dict(zip(("face", "voice"), drawn(8), strict=True))
    if without:
        seen[without] = torch.full_like(seen[without], float("nan"))
    scores = []
    for shift in (-2.0, 0.0, 1.0, 2.0, 5.0):  # scores from one end of the scale to the other
        with torch.no_grad():
            net.ordinal[0].bias.fill_(shift)
            score, low, high, *_, levels = net(seen["face"], seen["voice"])
            _, sd = net.moments(levels)
        expected = calibrate.ends(score.numpy(), sd.numpy(), reach[case])
        np.testing.assert_allclose(low.numpy(), expected[0], atol=1e-4)
        np.testing.assert_allclose(high.numpy(), expected[1], atol=1e-4)
        scores.append(score.numpy())
    assert np.min(scores) < KNOTS[1] and np.max(scores) > KNOTS[-1]


def test_intervals_do_not_give_up_rare_levels(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(2)
    said = predictions(100, spread=0.3)
    truth = np.where(rng.random(len(said)) < 0.1, 8.0, 0.0).astype(np.float32)
    score = np.clip(truth / 2 + rng.normal(0, 1, len(said)), 0, 10).astype(np.float32)  # says half of what is there
    said = replace(said, truth=truth, score=np.stack([score, score, said.score[2]]))

    def held() -> tuple[float, float]:
        judged = said.with_reach(calibrate.calibrate(said).reach)
        inside = (judged.low[0] <= truth) & (truth <= judged.high[0])
        return float(inside.mean()), float(inside[truth > 4].mean())

    all_of_them, rare = held()
    monkeypatch.setattr(calibrate, "RARE", 0.0)
    _, rare_before = held()
    assert rare > rare_before + 0.1 and 0.9 <= all_of_them < 0.95


def test_across_folds_nobody_is_calibrated_with_their_own_errors() -> None:
    said = predictions(25, each=4, spread=0.3)
    mine = said.clip == 7
    far = replace(said, score=np.where(mine, said.score + 1, said.score))
    one, other = calibrate.across(said), calibrate.across(far)
    np.testing.assert_allclose(
        other.high[0, mine] - other.score[0, mine], one.high[0, mine] - one.score[0, mine], atol=1e-5
    )


def test_predictions_are_kept_and_read_back(tmp_path: Path) -> None:
    said = predictions(3)
    said.save(tmp_path / "p.npz")
    again = Predictions.load(tmp_path / "p.npz")
    np.testing.assert_array_equal(again.score, said.score)
    joined = calibrate.join([again, said])
    assert len(joined) == 2 * len(said) and joined.score.shape == (3, 2 * len(said))
    with pytest.raises(TrainingError, match="folds of one run were expected"):
        calibrate.join([said, replace(said, head="opr_0_5")])
    with pytest.raises(TrainingError, match="predictions of a training run were expected"):
        Predictions.load(tmp_path / "none.npz")


# ---- a run, and its file


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run in a folder, of 12 people in two folds."""
    folder = tmp_path_factory.mktemp("run")
    cache, out = folder / "cache", folder / "out"
    begin(cache, out, folder / "run.toml")
    return out


def begin(cache: Path, out: Path, toml: Path, how: Settings = SMALL, cluster: str = "") -> Predictions:
    cache.mkdir(exist_ok=True)
    if not (cache / "one.npz").exists():
        (cache / "one.npz").write_bytes(b"stands for recordings")
    lines = {"name": how.name, "dataset": how.dataset, "score": how.score, "split": how.split, "folds": how.folds,
             "members": 2, "channels": [16, 16], "width": 16, "epochs": how.epochs, "batch": 32, "rate": how.rate,
             "validation": how.validation, "dropout": 0.0, "noise": 0.02, "offset": 0.0}  # fmt: skip
    toml.write_text("\n".join(f"{name} = {json.dumps(value)}" for name, value in lines.items()), encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(train, "recordings", lambda folder: people(12, 5))
        return train.train(toml, cache, out, cluster=cluster)[0]


def test_a_run_judges_everybody_once_and_leaves_all_that_is_needed(run: Path) -> None:
    said = Predictions.load(run / train.PREDICTIONS)
    assert len(said) == len(Samples.load(run / train.SAMPLES))
    assert len(np.unique(said.fold)) == 2 and set(said.subject) == {f"s{k}" for k in range(12)}
    assert len({(clip, end) for clip, end in zip(said.clip, said.end_s, strict=True)}) == len(said)
    known = np.isfinite(said.score[0])
    assert np.corrcoef(said.truth[known], said.score[0, known])[0, 1] > 0.8
    about = json.loads((run / train.RUN).read_text())
    assert about["settings"]["name"] == "small" and about["fingerprint"] and about["data"]
    again, kept = learn.rebuild(run / train.MODEL)
    assert kept["head"] == "vas_0_10" and kept["people"] == 12
    assert float(again.get_buffer("reach")[0, 0, 0]) not in (1.645, NOWHERE)


def test_a_run_goes_on_and_is_not_overwritten_by_another(run: Path, tmp_path: Path) -> None:
    model = (run / train.MODEL).read_bytes()
    begin(run.parent / "cache", run, tmp_path / "again.toml")
    assert (run / train.MODEL).read_bytes() == model
    with pytest.raises(TrainingError, match="a run with the same settings was expected, another was begun here"):
        begin(run.parent / "cache", run, tmp_path / "other.toml", replace(SMALL, epochs=3))
    other = tmp_path / "cache"
    with pytest.raises(TrainingError, match="a run with the same data was expected"):
        begin(other, run, tmp_path / "again.toml")
    assert (run / train.MODEL).read_bytes() == model


def test_folds_on_a_cluster_are_those_of_one_machine(run: Path, tmp_path: Path) -> None:
    distributed = pytest.importorskip("distributed", reason="needs Dask: pip install -e '.[cluster]'")
    with distributed.LocalCluster(
        n_workers=1, threads_per_worker=1, processes=False, dashboard_address=None, protocol="tcp"
    ) as cluster:
        said = begin(run.parent / "cache", tmp_path / "out", tmp_path / "run.toml", cluster=cluster.scheduler_address)
    np.testing.assert_allclose(said.score, Predictions.load(run / train.PREDICTIONS).score, atol=1e-3)
    assert (tmp_path / "out" / train.MODEL).exists()


def test_recordings_without_what_is_to_be_learned_from_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache" / "one.npz").write_bytes(b"stands for recordings")
    toml = tmp_path / "run.toml"
    toml.write_text('name = "x"\ndataset = "manifest"\nscore = "vas"\nmodalities = ["voice"]\n', encoding="utf-8")
    monkeypatch.setattr(train, "recordings", lambda folder: (replace(one, voice=None) for one in people(3, 1)))
    with pytest.raises(TrainingError, match="voice to learn from was expected, not one value of it could be measured"):
        train.train(toml, tmp_path / "cache", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_clips_for_evaluation_only_are_judged_and_in_no_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache" / "one.npz").write_bytes(b"stands for recordings")
    toml = tmp_path / "run.toml"
    toml.write_text(
        'name = "x"\ndataset = "manifest"\nscore = "vas"\nepochs = 1\nmembers = 1\nvalidation = 0.0', encoding="utf-8"
    )
    spared = ("s3-0", "s3-1")
    marked = [
        replace(one, clip=replace(one.clip, flags=("evaluation_only",))) if one.clip.id in spared else one
        for one in people(4, 2)
    ]
    monkeypatch.setattr(train, "recordings", lambda folder: marked)
    said, model = train.train(toml, tmp_path / "cache", tmp_path / "out")
    assert {said.clips[k].id for k in np.unique(said.clip)} == {one.clip.id for one in marked}
    assert learn.rebuild(model)[1]["recordings"] == len(marked) - len(spared) and learn.rebuild(model)[1]["people"] == 3


def test_recordings_of_another_data_set_are_refused(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="recordings of unbc were expected, those of manifest came"):
        begin(tmp_path / "cache", tmp_path / "out", tmp_path / "run.toml", replace(SMALL, dataset="unbc"))
    assert not (tmp_path / "out").exists()
    with pytest.raises(TrainingError, match="prepared recordings were expected in this folder"):
        train.train(tmp_path / "run.toml", tmp_path / "nothing", tmp_path / "out")
    (tmp_path / "odd").mkdir()
    (tmp_path / "odd" / "x.txt").write_text("x")
    with pytest.raises(TrainingError, match=r"recordings made by training\.fusion\.prepare"):
        train.train(tmp_path / "run.toml", tmp_path / "odd", tmp_path / "out")


@pytest.fixture(scope="module")
def exported(run: Path) -> Path:
    from export import fusion as exporter

    out = run.parent / "my.onnx"
    lines = exporter.export(run, out, with_variants=True)
    assert any("float16" in line for line in lines)
    return out


def test_the_exported_file_says_what_torch_says_and_what_it_was_taught(run: Path, exported: Path) -> None:
    from export import fusion as exporter

    model = Fusion.load(exported.read_bytes())
    assert model.label_kind == "vas" and model.spec.training["people"] == 12
    assert model.abstain_width == SMALL.abstain_width and exported.stat().st_size < exporter.MOST_BYTES
    table = json.loads(exported.with_suffix(".variants.json").read_text())
    assert table["float32"]["score_max"] == 0 and table["float16"]["bytes"] < table["float32"]["bytes"]
    assert table["float16"]["score_max"] < 0.2

    network, _ = learn.rebuild(run / train.MODEL)
    clip = next(people(1))
    grid = windows.grid(SECONDS)
    seen = fusion.inputs(clip.face, clip.voice, clip.segments or (), grid, None, neutral_known=True)
    said = model(seen)
    with torch.no_grad():
        expected = network(torch.from_numpy(seen.face), torch.from_numpy(seen.voice))
    wide = (expected[2] - expected[1]).numpy() > model.abstain_width
    np.testing.assert_allclose(said.low, expected[1].numpy(), atol=1e-4)
    np.testing.assert_array_equal(said.valid, ~wide & np.isfinite(expected[0].numpy()))
    np.testing.assert_allclose(said.score[said.valid], expected[0].numpy()[said.valid], atol=1e-4)


def test_an_exported_model_is_judged_by_other_people(
    run: Path, exported: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    evaluate = pytest.importorskip("training.fusion.evaluate", reason="needs scikit-learn")
    for module in (external, samples):
        monkeypatch.setattr(module, "recordings", lambda folder: people(14, 5))
    others = samples.gather(people(14, 5))
    said, about = external.of_model(exported, tmp_path)
    network, _ = learn.rebuild(run / train.MODEL)
    split = train.Split("any", (), (), (), ())
    torchs = train.predictions(network, others, np.arange(len(others)), SMALL, split, 0.0)
    for name in ("score", "sd", "levels", "weights", "truth", "rule_pspi"):
        np.testing.assert_allclose(getattr(said, name), getattr(torchs, name), atol=2e-4, err_msg=name)
    there = np.isfinite(said.score)
    assert there.any(axis=1).all() and (said.low[there] <= said.score[there]).all()
    assert (said.score[there] <= said.high[there]).all()
    np.testing.assert_allclose(said.constant, np.nanmean(said.truth))
    assert about["settings"]["abstain_width"] == SMALL.abstain_width

    command = [str(exported), "--data", str(tmp_path), "--out", str(tmp_path / "out"), "--draws", "10"]
    assert evaluate.main(command) == 0
    metrics = json.loads((tmp_path / "out" / "metrics.json").read_text())
    assert metrics["about"]["people"] == 14 and metrics["about"]["split"] == "none: nobody was learned from"
    both = np.isfinite(said.score[0]) & np.isfinite(said.truth)
    pcc = np.corrcoef(said.score[0][both], said.truth[both])[0, 1]
    assert metrics["ways"]["as_recorded"]["pooled"]["pcc"]["value"] == pytest.approx(pcc, abs=1e-3)
    assert evaluate.main([*command, "--labels", "opr"]) == 1
    assert evaluate.main([*command, "--face-alone", str(run)]) == 1
    assert evaluate.main([str(exported), "--out", str(tmp_path / "out")]) == 1
    complained = capsys.readouterr().err
    assert "one scale of 'opr' was expected" in complained and "--data: recordings" in complained
    assert "a run was expected beside them, a model came" in complained
    unlike = replace(others, targets={"nrs_0_10": others.targets[others.head("vas")], "opr_0_5": others.rule_pspi})
    monkeypatch.setattr(external, "gather", lambda found: unlike)
    with pytest.raises(TrainingError, match=r"--labels: one kind of nrs, opr was expected, .* learned from vas"):
        external.of_model(exported, tmp_path)
    assert external.of_model(exported, tmp_path, "nrs")[0].head == "nrs_0_10"


def test_a_file_that_differs_from_torch_is_not_written(run: Path, exported: Path, tmp_path: Path) -> None:
    from export import fusion as exporter
    from export import parity

    network, _ = learn.rebuild(run / train.MODEL)
    seen = exporter.chosen(Samples.load(run / train.SAMPLES), 30)
    found = parity.compare(exporter.run_torch(network, seen), exporter.run_onnx(exported, seen))  # type: ignore[arg-type]
    assert found.samples == 30 and found.max_abs < 1e-5
    exporter.write_golden(network, seen, tmp_path / "golden.npz")
    assert exporter.check_golden(exported, tmp_path / "golden.npz").samples == 30
    with torch.no_grad():
        network.trunk.weight += 0.01
    exporter.write_golden(network, seen, tmp_path / "other.npz")
    with pytest.raises(parity.ParityError, match=r"differences up to 0.0001 were expected, .* came"):
        exporter.check_golden(exported, tmp_path / "other.npz")


def test_a_network_of_another_shape_is_not_taken(run: Path, tmp_path: Path) -> None:
    (tmp_path / "x.pt").write_bytes(b"no network")
    with pytest.raises(TrainingError, match="a stored network was expected"):
        learn.rebuild(tmp_path / "x.pt")
    content = learn.load(run / train.MODEL)
    content["shape"]["width"] = 9
    learn.save(content, tmp_path / "y.pt")
    with pytest.raises(TrainingError, match="a network of this version of painsense was expected"):
        learn.rebuild(tmp_path / "y.pt")
