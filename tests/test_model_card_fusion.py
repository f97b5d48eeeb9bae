"""The card of a fusion model: made of what the file and the metrics say, and of nothing else."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import make_fusion
import pytest

pytest.importorskip("sklearn")  # of the train extra

from test_fusion_evaluate import ABOUT, predictions

from export import fusion as exporter
from export import model_card_fusion as model_card
from export import parity
from export.model_card import CardError
from export.model_card_fusion import ModelFile
from painsense import assets
from painsense.fusion import Fusion
from painsense.spec import ModelSpec
from training.fusion import evaluate
from training.fusion.settings import SIMULATED, Settings

HOW = Settings(name="made-up", dataset="simulated", score=SIMULATED, split="published", source="nobody")
FILE = ModelFile("my.onnx", 1000, "a" * 64)


def spec(how: Settings = HOW) -> ModelSpec:
    """What a file trained with these settings says of itself."""
    made = make_fusion.make_spec(name=how.name, licence="Apache-2.0", notes="For tests.")
    about = {"label_kind": how.score, "label_low": 0.0, "label_high": 10.0, "dataset": how.dataset, "people": 12,
             "source": how.source, "recordings": 60, "epochs": 3, "seed": 1, "members": 1, "commit": "c" * 40,
             "recipe": "training.fusion.train", "settings": json.dumps(asdict(how), sort_keys=True)}  # fmt: skip
    return replace(made, training=about)


@pytest.fixture(scope="module")
def metrics() -> dict[str, Any]:
    about = ABOUT | {"settings": asdict(HOW), "fingerprint": HOW.fingerprint, "commit": "c" * 40}
    return evaluate.evaluate(predictions(), about, draws=20)


def test_the_first_line_says_what_it_was_trained_on_and_how_far_it_is_validated(metrics: dict[str, Any]) -> None:
    text = model_card.card(spec(), metrics, FILE)
    assert text.splitlines()[0] == "# made-up: trained on simulated people, not validated on patients"
    assert "no figure here is of a real person" in text
    real = replace(HOW, dataset="unbc", score="vas", licence="theirs")
    first = model_card.card(spec(real), None, FILE).splitlines()[0]
    assert first == "# made-up: trained on unbc (12 people), not validated on anybody beyond that data set"


def test_every_part_is_there_with_the_figures_of_the_metrics(metrics: dict[str, Any]) -> None:
    text = model_card.card(spec(), metrics, FILE)
    for part in ("Intended use", "Not for", "Data", "Licences", "Results", "By group", "Known failures", "Limits",
                 "Files it needs", "Reporting by TRIPOD+AI"):  # fmt: skip
        assert f"\n## {part}\n" in text
    pcc = metrics["ways"]["as_recorded"]["pooled"]["pcc"]
    low, high = pcc["interval"]
    assert f"| PCC | {pcc['value']:.2f} ({low:.2f} to {high:.2f}) |" in text
    assert "| Monk 1-3 | 12 |" in text and "sex: male (1 people" in text.split("Too few to be shown")[1].split("##")[0]
    assert "age band" in text.split("Not known, because")[1].split("\n")[0]
    items = {row.split("|")[1].strip() for row in text.split("TRIPOD+AI\n")[1].splitlines() if row.startswith("| ")}
    numbers = {
        int("".join(c for c in each if c.isdigit())) for item in items for each in item.split(", ") if each[0].isdigit()
    }
    assert numbers == set(range(1, 28))


def test_failures_are_those_of_the_metrics(metrics: dict[str, Any]) -> None:
    text = model_card.card(spec(), metrics, FILE).split("## Known failures")[1].split("## Limits")[0]
    missed = [row for row in metrics["goals"] if not row["met"]]
    assert missed and all(f"Goal missed: {row['what']}" in text for row in missed)
    smile = next(row for row in metrics["expressions"] if row["kind"] == "broad smile")
    worse = json.loads(json.dumps(metrics))
    next(row for row in worse["expressions"] if row["kind"] == "broad smile")["above_3"]["voice"] = 0.4
    told = model_card.card(spec(), worse, FILE)
    assert "Broad smile without pain is scored above 3 in" in told and "40% voice alone" in told
    assert ("Broad smile" in text) == any((value or 0) > 0.05 for value in smile["above_3"].values())


def test_without_metrics_it_says_that_nobody_knows() -> None:
    text = model_card.card(spec(), None, FILE)
    assert "**Not evaluated.**" in text and "PCC" not in text


def test_metrics_of_another_run_are_refused(metrics: dict[str, Any]) -> None:
    with pytest.raises(CardError, match=r"those of the model's run were expected \(fingerprint"):
        model_card.card(spec(replace(HOW, epochs=3)), metrics, FILE)
    with pytest.raises(CardError, match=r"painsense\.fusion\.metrics/1 was expected"):
        model_card.card(spec(), {"schema": "x"}, FILE)


def test_another_text_is_not_overwritten(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = tmp_path / "my.onnx"
    model.write_bytes(make_fusion.make_network(spec()))
    assert model_card.main([str(model)]) == 0
    card = tmp_path / model_card.CARD
    assert card.read_text(encoding="utf-8").startswith("# made-up: trained on simulated people")
    assert model_card.main([str(model)]) == 0  # its own card may be written anew
    card.write_text("my notes", encoding="utf-8")
    assert model_card.main([str(model)]) == 1
    assert card.read_text(encoding="utf-8") == "my notes" and "another text is there" in capsys.readouterr().err
    assert model_card.main([str(tmp_path / "none.onnx")]) == 1
    assert "a fusion model was expected" in capsys.readouterr().err
    assert model_card.main([str(model), "--metrics", str(card), "--out", str(tmp_path / "other.md")]) == 1
    assert "the metrics of an evaluation were expected" in capsys.readouterr().err


# ---- what ships

SHIPPED = assets.WEIGHTS / exporter.FILE
#: rows of the table in docs/fusion.md -> kinds in the metrics
ROWS = {"rest, silence": "rest", "pain while speaking": "pain + speaking", "pain behind a smile": "pain + smile"}
WAYS = {"both modalities": "both", "all windows with a score": "as_recorded", "face alone": "face",
        "voice alone": "voice"}  # fmt: skip


@pytest.fixture(scope="module")
def shipped() -> dict[str, Any]:
    """The metrics of the model that ships."""
    return model_card.read_metrics(exporter.SHIPPED_METRICS)


def test_the_shipped_card_is_what_the_shipped_file_and_its_metrics_make(shipped: dict[str, Any]) -> None:
    content = SHIPPED.read_bytes()
    text = model_card.card(Fusion.load(content).spec, shipped, ModelFile.of(SHIPPED.name, content))
    assert exporter.SHIPPED_CARD.read_text(encoding="utf-8") == text


def test_the_shipped_file_says_what_torch_said_and_needs_no_torch_to_prove_it() -> None:
    assert exporter.check_golden(SHIPPED).samples >= 32
    assert SHIPPED.stat().st_size < exporter.MOST_BYTES and exporter.GOLDEN.stat().st_size < parity.MOST_BYTES
    code = (
        "import sys\nclass Without:\n"
        "    def find_spec(self, name, *rest):\n"
        "        if name.partition('.')[0] in ('torch', 'onnx', 'sklearn'): raise ImportError(name)\n"
        "sys.meta_path.insert(0, Without())\n"
        "from export.fusion import main\nsys.exit(main(['--check']))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=parity.ROOT, capture_output=True, text=True)
    assert done.returncode == 0 and "32 windows, largest difference" in done.stdout, done.stderr


def test_the_document_has_the_figures_of_the_metrics(shipped: dict[str, Any]) -> None:
    """docs/fusion.md is written by hand; a model that is trained anew must change it."""
    text = (parity.ROOT / "docs" / "fusion.md").read_text(encoding="utf-8").replace("**", "")
    rows = {cells[0].strip(): [each.strip() for each in cells[1:]] for line in text.splitlines()
            if (cells := line.strip("|").split("|")) and line.startswith("|")}  # fmt: skip
    for words, way in WAYS.items():
        pooled, intervals = shipped["ways"][way]["pooled"], shipped["intervals"][way]

        def told(name: str, digits: int, of: dict[str, Any] = pooled) -> str:
            low, high = of[name]["interval"]
            return f"{of[name]['value']:.{digits}f} ({low:.{digits}f} to {high:.{digits}f})"

        line = next(line for line in text.splitlines() if line.startswith(f"| {words} |") and " to " in line)
        assert [each.strip() for each in line.strip("|").split("|")][1:] == [
            f"{shipped['ways'][way]['windows']:,}", told("pcc", 3), f"{pooled['mae']['value']:.2f}",
            f"{pooled['icc31']['value']:.2f}", told("auroc", 3), f"{intervals['coverage']:.0%}",
            f"{intervals['width']:.1f}",
        ]  # fmt: skip
    told_of = set()
    table = text.split("### Kinds of expression")[1].split("###")[0]
    for row in re.findall(
        r"^\| ([a-z][^|]*?)(?: \((?:mean level )?[\d.]+\))? \| (\d+) \| (\d+) \| (\d+) \|$", table, re.M
    ):
        (kind,) = [each for each in shipped["expressions"] if each["kind"] == ROWS.get(row[0], row[0])]
        assert [f"{100 * kind['above_3'][way]:.0f}" for way in ("as_recorded", "face", "voice")] == list(row[1:]), row
        told_of.add(kind["kind"])
    assert told_of == {each["kind"] for each in shipped["expressions"]}
    level = shipped["intervals"]["both"]["by_level"]
    assert rows["true level: intervals hold"] == [f"{each['coverage']:.0%}" for each in level]
    assert rows["score less truth, mean"] == [f"{each['bias']:+.1f}".replace("+0.0", "0.0") for each in level]
    assert rows["interval width, mean"] == [f"{each['width']:.1f}" for each in level]
    for names, group in (("women, men (all windows)", "sex"), ("Monk 1-3, 4-6, 7-8, 9-10", "skin_tone"),
                         ("18-35, 36-50, 51-65, 66 and over", "age_band")):  # fmt: skip
        assert rows[names][0] == ", ".join(f"{each['pcc']:.3f}" for each in shipped["groups"][group])
