"""The model card of a fusion model: MODEL_CARD.md, from the file's own spec and the metrics of its run.

    python -m export.model_card_fusion my.onnx --metrics RUN/evaluation/metrics.json [--out MODEL_CARD.md]

``python -m export.fusion`` writes it beside the model by itself. Every number comes from the ONNX file's ModelSpec, the
metrics (:mod:`training.fusion.evaluate`) or the manifest; without metrics the card says so. Sections follow Mitchell et
al. 2019, doi:10.1145/3287560.3287596, the last table TRIPOD+AI (Collins et al. 2024, doi:10.1136/bmj-2023-078378).
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import painsense
from export.model_card import CardError
from export.model_card_items import tripod
from export.model_card_results import groups, known_failures, results
from painsense.assets import manifest
from painsense.errors import PainsenseError
from painsense.face import GATES
from painsense.fusion import Fusion
from painsense.output import write_together
from painsense.spec import ModelSpec
from training.document import table, text_lines
from training.fusion import settings as run_settings
from training.fusion.evaluate import SCHEMA
from training.fusion.record import KINDS
from training.fusion.settings import SIMULATED

CARD = "MODEL_CARD.md"
_FROM = "<!-- written by export/model_card_fusion.py for "
_EVALUATE = "python -m training.fusion.evaluate RUN --out RUN/evaluation"


@dataclass(frozen=True)
class ModelFile:
    """A model file: its name, size and SHA-256."""

    name: str
    size_bytes: int
    sha256: str

    @classmethod
    def of(cls, name: str, content: bytes) -> ModelFile:
        """What stands on the disk, or will."""
        return cls(name, len(content), hashlib.sha256(content).hexdigest())


def card(spec: ModelSpec, metrics: Mapping[str, Any] | None, file: ModelFile) -> str:
    """The card, Markdown. Its first line says what the model was trained on and how far it is validated.

    Parameters
    ----------
    spec : what the model's file says of itself
    metrics : what :func:`training.fusion.evaluate.evaluate` made of the same run; None when it was not evaluated
    file : the model's file

    Raises
    ------
    CardError : the metrics are of another run than the model
    """
    if metrics is not None:
        check(spec, metrics)
    kind, low, high = (spec.training[name] for name in ("label_kind", "label_low", "label_high"))
    return CARD_TEXT.format(
        headline=headline(spec),
        origin=f"{_FROM}{file.name}: change it there -->",
        painsense=painsense.__version__,
        version=spec.version,
        file=file.name,
        size_mb=file.size_bytes / 1e6,
        sha256=file.sha256,
        licence=spec.licence,
        label=text_lines(
            f"The score, 0 to 10, stands for `{kind}` from {low:g} to {high:g}: {label_words(str(kind))}. Scores of "
            "models with other labels are other things and cannot be compared with it."
        ),
        outputs=table(("output", "meaning"), [(f"`{name}`", text) for name, text in spec.outputs.items()]),
        inputs=text_lines(inputs(spec)),
        max_yaw=f"{GATES.max_yaw_deg:.0f}",
        max_pitch=f"{GATES.max_pitch_deg:.0f}",
        people_words=text_lines(who(spec)),
        training=table(("", ""), training_rows(spec)),
        licences=text_lines(
            f"Model: {spec.licence}. Data: {spec.training['source'] or 'not stated'}. The licence of recordings can "
            "bind what is learned from them: who passes this file on answers for that."
        ),
        results="\n\n".join(results(spec, metrics)) if metrics is not None else not_evaluated(),
        groups="\n\n".join(groups(metrics)) if metrics is not None else "Not known: not evaluated.",
        failures="\n".join(f"- {text}" for text in known_failures(spec, metrics)),
        notes="\n\n".join(text_lines(part) for part in spec.notes.split("\n\n")),
        files=table(("file", "licence", "SHA-256"), required(spec)),
        tripod=table(("item", "what it asks for", "where, or what"), tripod(spec, metrics)),
    )  # fmt: skip


def check(spec: ModelSpec, metrics: Mapping[str, Any]) -> None:
    """CardError where the metrics are not those of the model's own run."""
    if metrics.get("schema") != SCHEMA:
        raise CardError(f"metrics: {SCHEMA} was expected, {metrics.get('schema')!r} came; evaluate the run again")
    how = run_settings.from_dict(json.loads(str(spec.training["settings"])))
    about = metrics["about"]
    for name, own in (("fingerprint", how.fingerprint), ("commit", spec.training["commit"])):
        if (about[name] or "") != own:
            raise CardError(
                f"metrics: those of the model's run were expected ({name} {own or 'none'}), those of another came "
                f"({about[name] or 'none'}); evaluate this run: {_EVALUATE}"
            )


def headline(spec: ModelSpec) -> str:
    """The first line: what it was trained on, and that nobody else has validated it."""
    if simulated(spec):
        return f"# {spec.name}: trained on simulated people, not validated on patients"
    return (
        f"# {spec.name}: trained on {data_words(spec)} ({spec.training['people']} people), not validated on "
        "anybody beyond that data set"
    )


def simulated(spec: ModelSpec) -> bool:
    """Whether nobody real was learned from."""
    return spec.training["label_kind"] == SIMULATED


def label_words(kind: str) -> str:
    """What a kind of label says."""
    if kind == SIMULATED:
        return "the level of pain that was drawn for a simulated person, said by nobody"
    return KINDS[kind][2] if kind in KINDS else "a kind of label of your own"


def inputs(spec: ModelSpec) -> str:
    """What it reads, in words."""
    how = json.loads(str(spec.training["settings"]))
    faces = sum(name.startswith("face:") for name in spec.features)
    modalities = " and ".join(how["modalities"])
    return (
        f"Inputs `face` [n, 20, {faces}] and `voice` [n, 20, {len(spec.features) - faces}]: four seconds in steps of "
        "0.2 s, action units and measures of the voice as painsense makes them, NaN where they could not be measured. "
        f"It learned from {modalities}. Names and order stand in the file's metadata. No picture, no sound, no name, "
        "sex or age goes in."
    )


def who(spec: ModelSpec) -> str:
    """Whom it learned from, in words."""
    own = f"{spec.training['people']} people in {spec.training['recordings']} recordings"
    if simulated(spec):
        return f"Simulated: {own}, drawn by training/fusion/generator.py. No recording of a person, no patient."
    return f"{own}: {data_words(spec)}. Nobody else was learned from."


def data_words(spec: ModelSpec) -> str:
    """The data set; a manifest is one's own recordings."""
    name = str(spec.training["dataset"])
    return "recordings of one's own" if name == "manifest" else name


def training_rows(spec: ModelSpec) -> list[tuple[str, str]]:
    """How it was made, a line each."""
    kept = {name: value for name, value in spec.training.items() if name != "settings"}
    how = json.loads(str(spec.training["settings"]))
    shown = ("split", "folds", "modalities", "beside", "channels", "width", "dropout", "batch", "rate", "epochs")
    rows = [(name.replace("_", " "), str(value)) for name, value in kept.items()]
    return rows + [(f"setting: {name}", str(how[name])) for name in shown if name not in kept]


def required(spec: ModelSpec) -> list[tuple[str, str, str]]:
    """The model files whose values it reads."""
    lines = {line.name: line for line in (*manifest().external, *manifest().installed)}
    return [
        (
            f"`{lines[name].file}`" if name in lines else name,
            lines[name].licence if name in lines else "",
            f"`{digest}`",
        )
        for name, digest in spec.requires.items()
    ]


def not_evaluated() -> str:
    """What stands in the place of results."""
    return text_lines(f"**Not evaluated.** How good it is nobody knows. Run `{_EVALUATE}` and export again.")


def read_metrics(path: Path) -> dict[str, Any]:
    """metrics.json of an evaluation; CardError when it cannot be read."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise CardError(f"{path}: the metrics of an evaluation were expected ({error}); run {_EVALUATE}") from error
    if not isinstance(content, dict):
        raise CardError(f"{path}: the metrics of an evaluation were expected, another JSON came; run {_EVALUATE}")
    return content


def free(path: Path, file: ModelFile) -> None:
    """CardError where another model's card, or somebody's own text, stands at ``path``."""
    if not path.exists():
        return
    if f"{_FROM}{file.name}: " not in path.read_text(encoding="utf-8", errors="replace"):
        raise CardError(
            f"{path}: no file, or the card of {file.name}, was expected, another text is there; export into a folder "
            "of its own, or move that file"
        )


def write(model: Path, metrics: Path | None, out: Path) -> None:
    """Write the card of a model's file. CardError, ModelError or OutputError when that is not possible."""
    try:
        content = model.read_bytes()
    except OSError as error:
        raise CardError(f"{model}: a fusion model was expected ({error.strerror}); give the exported file") from error
    file = ModelFile.of(model.name, content)
    free(out, file)
    text = card(Fusion.load(content).spec, read_metrics(metrics) if metrics else None, file)
    write_together(out.parent, {out.name: [text.encode()]})


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line: see the module's docstring."""
    parser = argparse.ArgumentParser(prog="python -m export.model_card_fusion", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)  # fmt: skip
    parser.add_argument("model", type=Path, help="the exported file")
    parser.add_argument("--metrics", type=Path, help="metrics.json of its run; without, the card has no results")
    parser.add_argument("--out", type=Path, help=f"{CARD} beside the model, if not given")
    options = parser.parse_args(arguments)
    out = options.out or options.model.parent / CARD
    try:
        write(options.model, options.metrics, out)
    except (CardError, PainsenseError, OSError) as error:
        print(error, file=sys.stderr)
        return 1
    print(f"{out} written")
    return 0


CARD_TEXT = """{headline}

{origin}

A small network that weighs face and voice into a score of pain expression, inside painsense {painsense}.
Version {version}, {licence}.

## In and out

`{file}`, {size_mb:.2f} MB, ONNX, SHA-256 `{sha256}`.

{label}

{inputs}

{outputs}

## Intended use

Research, teaching, and support of observation by trained staff: how much pain a face and a voice express, and how that
changes within one person over recordings made alike, with the person's own neutral. It is one part of such a judgement
and never replaces self-report.

## Not for

- diagnosis, dosing or triage by the number alone, or any decision without a person who looks as well
- people who can say how much it hurts
- comparing different people with each other
- newborns and children
- facial palsy, Parkinson's disease, botulinum toxin, sedation, or things over the face, without evidence of your own
- lie detection, hiring, insurance, policing, or any use against a person's will
- heads turned by more than {max_yaw} degrees to a side or {max_pitch} up or down: painsense refuses such frames

## Data

{people_words}

{training}

## Licences

{licences}

## Results

{results}

## By group

{groups}

## Known failures

{failures}

## Limits

{notes}

A low score does not mean that there is no pain: it reads what is shown, and pain can be hidden or not show at all.

## Files it needs

painsense checks these hashes whenever it loads the model, and refuses it beside others.

{files}

## Reporting by TRIPOD+AI

Collins et al. 2024, doi:10.1136/bmj-2023-078378. Items that the makers of the data must answer are marked as such.

{tripod}
"""


if __name__ == "__main__":
    sys.exit(main())
