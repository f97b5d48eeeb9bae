"""The model card of the action unit network, from the objects that ship: docs/model-card-action-units.md.

    python -m export.model_card

Every number comes from the ONNX file's ModelSpec, the metrics file or the manifest. Sections follow Mitchell et al.
2019, "Model Cards for Model Reporting", doi:10.1145/3287560.3287596.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import painsense
from painsense import providers
from painsense.assets import Entry, manifest, read_weights
from painsense.errors import PainsenseError
from painsense.face import GATES
from painsense.output import write_together
from painsense.spec import ModelSpec
from training.document import goals_table, group_tables, number, pspi_table, share, table, text_lines

ROOT = Path(__file__).resolve().parent.parent
METRICS = ROOT / "docs" / "metrics" / "action_units.json"
CARD = ROOT / "docs" / "model-card-action-units.md"
NAME = "action_units"
NOTHING_ELSE = "No identity, sex, age or emotion comes out of it, and no picture goes in."


class CardError(Exception):
    """What ships does not belong together, so no card can be written."""


def card(spec: ModelSpec, metrics: Mapping[str, Any], files: Mapping[str, Entry]) -> str:
    """The card, Markdown.

    Parameters
    ----------
    spec : what the network's file says of itself
    metrics : what :func:`training.evaluate.evaluate` made
    files : lines of the manifest by name: the network's own and those in ``spec.requires``

    Raises
    ------
    CardError : the metrics are of another version, or a required file is not the one in the manifest
    """
    measured = metrics["about"]["version"]
    if measured != spec.version:
        raise CardError(f"metrics of version {spec.version} were expected, those of {measured} came; evaluate it again")
    for name, sha256 in spec.requires.items():
        if name not in files or files[name].sha256 != sha256:
            came = files[name].sha256 if name in files else "no such file"
            raise CardError(f"{name}: the network needs SHA-256 {sha256}, the manifest has {came}; export it again")
    own = files[spec.name]
    return CARD_TEXT.format(
        version=spec.version,
        licence=spec.licence,
        file=own.file,
        size_mb=own.size_bytes / 1e6,
        painsense=painsense.__version__,
        features=len(spec.features),
        outputs=table(("output", "meaning"), [(f"`{name}`", text) for name, text in spec.outputs.items()]),
        targets=text_lines(f"Action units: {', '.join(spec.targets)}. {NOTHING_ELSE}"),
        files=table(
            ("file", "version", "licence", "source", "SHA-256"),
            [(f"`{line.file}`", line.version, line.licence, line.source, f"`{line.sha256}`")
             for line in (own, *(files[name] for name in spec.requires))],
        ),
        training=table(("", ""), [(name.replace("_", " "), str(value)) for name, value in spec.training.items()]),
        calibration=table(
            ("", "PSPI, lower end", "upper end", "90% intervals that hold the truth"),
            [(case.replace("_", " "), f"{number(ends['pspi_low'])} sd", f"{number(ends['pspi_high'])} sd",
              share(metrics[case]["pspi"]["single"]["coverage_90"])) for case, ends in spec.calibration.items()],
        ),
        max_yaw=f"{GATES.max_yaw_deg:.0f}",
        max_pitch=f"{GATES.max_pitch_deg:.0f}",
        people=metrics["with_neutral"]["people"],
        faces=metrics["with_neutral"]["faces"],
        limit=f"{metrics['pose_limit_deg']:.0f}",
        goals=goals_table(metrics),
        pspi=pspi_table(metrics),
        groups="\n\n".join(group_tables(metrics, ("skin_tone", "wear", "face_px", "pose"))),
        notes="\n\n".join(text_lines(part) for part in spec.notes.split("\n\n")),
    )  # fmt: skip


def shipped() -> tuple[ModelSpec, dict[str, Entry]]:
    """The shipped network's spec, and the manifest's lines by name. ModelError when a file is not the right one."""
    session = providers.runtime().InferenceSession(read_weights(NAME), providers=["CPUExecutionProvider"])
    lines = manifest()
    return ModelSpec.from_session(session), {line.name: line for line in (*lines.external, *lines.installed)}


def write(metrics: Path = METRICS, out: Path = CARD) -> None:
    """Write the card of what ships. CardError, ModelError or OutputError when that is not possible."""
    spec, files = shipped()
    text = card(spec, json.loads(metrics.read_text(encoding="utf-8")), files)
    write_together(out.parent, {out.name: [text.encode()]})


def main(arguments: Sequence[str] = ()) -> int:
    """Command line: see the module's docstring."""
    parser = argparse.ArgumentParser(prog="python -m export.model_card", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)  # fmt: skip
    parser.add_argument("--metrics", type=Path, default=METRICS)
    parser.add_argument("--out", type=Path, default=CARD)
    options = parser.parse_args(arguments)
    try:
        write(options.metrics, options.out)
    except (CardError, PainsenseError, OSError) as error:
        print(error, file=sys.stderr)
        return 1
    print(f"{options.out} written")
    return 0


CARD_TEXT = """# Model card: action units ({version})

<!-- written by export/model_card.py from the network, its metrics and the manifest: change it there -->

A small network that reads facial action units and their uncertainty from face landmarks, inside painsense {painsense}.
By the painsense authors, {licence}. How it works and all results: [action-units.md](action-units.md).

## In and out

`painsense/weights/{file}`, {size_mb:.2f} MB, ONNX. Inputs `face` and `neutral`, both [n, {features}]: what painsense
measures of a frame, and of the person at rest (NaN where that is not known). The names and order of the measures are in
the file's metadata (`painsense.spec`).

{outputs}

{targets}

## Intended use

Research, teaching, and support of observation by trained staff: how much pain a face expresses, and how that changes
within one person over recordings made alike, with the person's own neutral. It is one part of such a judgement and
never replaces self-report.

## Not for

- diagnosis, dosing or triage by the number alone, or any decision without a person who looks as well
- people who can say how much it hurts
- comparing different people with each other
- newborns and children: the heads it was trained on are adults'
- facial palsy, Parkinson's disease, botulinum toxin, sedation, or things over the face, without evidence of your own
- lie detection, hiring, insurance, policing, or any use against a person's will
- heads turned by more than {max_yaw} degrees to a side or {max_pitch} up or down: painsense refuses such frames

## Training data

Simulated faces alone: no recording of a person, and nobody coded anything by hand. The truth is what was drawn.

{training}

## Results

On {people} simulated people who were in no part of the training, {faces} pictures turned by up to {limit} degrees. **No
figure here is of a real person**: on patients it has not been validated.

{goals}

{pspi}

The 90% interval of PSPI reaches from PSPI + lower end to PSPI + upper end, in standard deviations:

{calibration}

## By group

The error of PSPI in single pictures. "Of all": the group's MAE over that of all faces in the table. Bias above 0: read
too high. Cells with too few pictures are left empty. Skin tone is drawn on the whole Monk scale; age and sex are not
labelled in the head model, so errors by them are not known.

{groups}

## Limits

{notes}

## Files

The network is of use only together with these; painsense checks the hashes whenever it loads them.

{files}

## Citation

> The painsense authors. painsense {painsense}, action units {version}. Apache-2.0.

Built on: Li et al. 2020, "Learning Formation of Physically-Based Face Attributes" (ICT-FaceKit),
doi:10.1109/CVPR42600.2020.00347. Prkachin & Solomon 2008, "The structure, reliability and validity of pain expression",
doi:10.1016/j.pain.2008.04.010. Ekman, Friesen & Hager 2002, Facial Action Coding System. Google, MediaPipe Face
Landmarker.
"""


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
