"""docs/retrain.md does what it says: its commands, as they stand there, on small made-up data sets."""

from __future__ import annotations

import importlib
import json
import re
import shlex
import shutil
from collections.abc import Callable
from pathlib import Path

import make_datasets
import make_recordings
import numpy as np
import pytest

pytest.importorskip("torch", reason="training needs torch: pip install -e '.[train]'")
pytest.importorskip("sklearn")  # of the train extra

import painsense
from painsense.fusion import Fusion
from training.fusion.calibrate import Predictions

PROJECT = Path(__file__).resolve().parent.parent
DOC = (PROJECT / "docs" / "retrain.md").read_text(encoding="utf-8")
#: what stands in the document for one's own data, and options that small copies need: half a data set is an error
THEIRS = {"/data/UNBC": "UNBC", "/data/study/manifest.csv": "study/manifest.csv"}
HALF = ["--partial"]
#: a full run's network takes a minute on two cores: less of it is trained here, all else is as published
QUICK = {"epochs": "2", "members": "1"}


def blocks(language: str) -> list[str]:
    """Code blocks of the document in a language."""
    return re.findall(rf"^```{language}\n(.*?)^```", DOC, re.MULTILINE | re.DOTALL)


def commands(about: str) -> list[list[str]]:
    """The commands of the blocks that name ``about``."""
    lines = [line for block in blocks("sh") for line in block.splitlines() if about in line]
    return [shlex.split(line) for line in lines]


def run(command: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    """Run ``python -m module ...`` or ``painsense ...`` in this process; what it printed."""
    words = [THEIRS.get(word, word) for word in command]
    if words[0] == "python":
        assert words[1] == "-m"
        module, given = words[2], words[3:]
    else:
        module, given = "painsense.cli", [*words[1:], "--quiet"]
    if module == "training.fusion.prepare":
        given += HALF
    main: Callable[[list[str]], int] = importlib.import_module(module).main
    try:
        status = main(given)
    except SystemExit as end:
        status = int(end.code or 0)
    out, err = capsys.readouterr()
    assert status == 0, f"{shlex.join(command)}\n{out}\n{err}"
    return out


def quick(path: Path, text: str) -> None:
    """Settings with less training."""
    text = "\n".join(line for line in text.splitlines() if line.split("=")[0].strip() not in QUICK)
    make_datasets.touch(path, text + "\n" + "\n".join(f"{name} = {value}" for name, value in QUICK.items()) + "\n")


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working folder with a salt of its own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("training.fusion.evaluate.DRAWS", 40)  # of the bootstrap; 500 take half of this test's time
    monkeypatch.setenv("PAINSENSE_SALT_FILE", str(make_datasets.touch(tmp_path / "salt", make_datasets.SALT)))
    return tmp_path


def test_unbc_from_download_to_a_model_that_scores(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make_recordings.unbc(place / "UNBC")
    published = "training/fusion/runs/unbc-vas-loso.toml"
    quick(place / published, (PROJECT / published).read_text(encoding="utf-8"))
    prepare, train, evaluate, export, score = commands("work/unbc")
    assert "8 clips, 8 measured now, 0 left out" in run(prepare, capsys)
    assert run(train, capsys).count("loso-") == len(make_recordings.PEOPLE)
    assert "evaluation.html" in run(evaluate, capsys)
    assert "with the results of" in run(export, capsys)

    said = Predictions.load(place / "work/unbc/run/predictions.npz")
    assert len(set(said.subject)) == 4 and np.isfinite(said.score[0]).any() and np.isnan(said.score[2]).all()
    model = Fusion.load((place / "work/unbc/model/unbc.onnx").read_bytes())
    assert model.label_kind == "vas" and model.label_scale == (0.0, 10.0)
    card = (place / "work/unbc/model/MODEL_CARD.md").read_text(encoding="utf-8")
    assert card.startswith(
        "# unbc-vas-loso: trained on unbc (4 people), not validated on anybody beyond that data set\n"
    )
    assert "non-commercial: that of UNBC-McMaster" in card and "TRIPOD+AI" in card
    assert "loads nothing" not in card and "Not evaluated" not in card

    make_recordings._film(place / "clip.mp4", 0, make_recordings.PAIN_S, 2.6)
    run(score, capsys)
    content = json.loads((place / "clip.painsense.json").read_text(encoding="utf-8"))
    assert "unbc-vas-loso" in [each["name"] for each in content["software"]["models"]]


def test_own_recordings_with_sound(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make_recordings.manifest(place / "study")
    (settings,) = [block for block in blocks("toml") if 'dataset = "manifest"' in block]
    quick(place / "mine.toml", settings)
    steps = commands("work/mine")
    assert len(steps) == 4
    prepare, train, evaluate, export = steps
    assert "8 clips, 8 measured now" in run(prepare, capsys)
    run(train, capsys)
    assert "face and voice both there (4 people" in run(evaluate, capsys)
    run(export, capsys)
    (judge,) = commands("work/ours")  # with the same people here, for want of others
    shutil.copytree(place / "work/mine/cache", place / "work/ours/cache")
    shutil.copy(place / "work/mine/model/mine.onnx", place / "my.onnx")
    assert "work/ours/evaluation/evaluation.html" in run(judge[: judge.index("#")], capsys)
    said = Predictions.load(place / "work/mine/run/predictions.npz")
    assert np.isfinite(said.score[2]).any() and len(np.unique(said.fold)) == 4
    card = (place / "work/mine/model/MODEL_CARD.md").read_text(encoding="utf-8")
    assert "Shoulder study 2026" in card and "face and voice" in card

    with painsense.Analyzer(
        painsense.Settings(fusion_model=place / "work/mine/model/mine.onnx", workers=1)
    ) as analyzer:
        report = analyzer.analyze(place / "study/recordings/p00_lift.mp4")
    assert any(stamp.name == "shoulder-study" for stamp in report.software.models)
    # four people are too few to know how wrong it is: it must abstain, and say so
    assert report.clip.score is None and report.clip.score_reason == "interval_too_wide"


def test_the_document_names_what_there_is() -> None:
    runs = {path.name for path in (PROJECT / "training" / "fusion" / "runs").glob("*.toml")}
    assert set(re.findall(r"`([\w-]+\.toml)`", DOC)) - {"mine.toml"} == runs
    sources = [path for name in ("training", "export", "painsense") for path in (PROJECT / name).rglob("*.py")]
    text = " ".join(re.sub(r'"\s*\n\s*f?"', "", path.read_text(encoding="utf-8")) for path in sources)
    for option in set(re.findall(r"`(--[a-z-]+)", DOC)) - {"--nthreads", "--nworkers", "--logdir", "--nproc-per-node"}:
        assert f'"{option}"' in text, option
    table = DOC.split("## When it stops")[1]
    told = [each for row in re.findall(r"^\| (`.*?) \|", table, re.MULTILINE) for each in re.findall("`(.+?)`", row)]
    assert len(told) > 8
    for message in set(told) - {"CUDA out of memory"}:
        for part in re.split(r"\.\.\.|\b(?:unbc|manifest|settings|SHA-256|\d+)\b", message):
            assert part.strip() in text, message
    for link in re.findall(r"\]\((\w[\w.-]+\.md)", DOC):
        assert (PROJECT / "docs" / link).exists(), link
