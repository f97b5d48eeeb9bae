"""The items of TRIPOD+AI in a fusion model's card: where each is told.

Collins et al. 2024, doi:10.1136/bmj-2023-078378. What each item asks for is said in our own words. An item that only
the makers of the data set, or whoever uses the model, can answer says so; none is passed over.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from painsense.spec import ModelSpec
from training.document import number, share
from training.fusion.settings import SIMULATED

_MAKERS = "for the makers of the data set to say"
_SITE = "for whoever uses the model to say"


def tripod(spec: ModelSpec, metrics: Mapping[str, Any] | None) -> list[tuple[str, str, str]]:
    """Rows of the table: item, what it asks for, where it stands or what it is."""
    how = json.loads(str(spec.training["settings"]))
    invented = spec.training["label_kind"] == SIMULATED
    makers = "nobody: the people are simulated" if invented else _MAKERS
    judged = "not evaluated" if metrics is None else f"{metrics['about']['people']} people, see Results"
    pcc = None if metrics is None else metrics["ways"]["as_recorded"]["pooled"]["pcc"]["value"]
    calibration = (
        "not evaluated"
        if metrics is None
        else f"labels rise by {number(metrics['calibration']['slope'])} for each point of the score; 90% intervals "
        f"hold {share(metrics['intervals']['as_recorded']['coverage'])}"
    )
    return [
        ("1", "title", "the first line"),
        ("2", "summary", "the paragraph below the title, and Results"),
        ("3a, 3b", "setting, people it is meant for, users", "Intended use, Not for"),
        ("3c", "known inequalities between groups", "By group; observers have underrated the pain of Black people "
         "(Hoffman et al. 2016, doi:10.1073/pnas.1516047113), and labels of observers carry that on"),
        ("4", "aim", "development, judged within the data set; no external validation"),
        ("5a", "sources of the data", f"{spec.training['dataset']}; {spec.training['source'] or 'not stated'}"),
        ("5b", "dates of the data", makers),
        ("6a, 6b, 6c", "setting, eligibility, treatments of the people", makers),
        ("7", "preparation", "training/fusion/prepare.py: painsense itself measures every recording; unusable "
         "frames are missing values"),
        ("8a", "outcome", f"`{spec.training['label_kind']}` from {spec.training['label_low']:g} to "
         f"{spec.training['label_high']:g}, see In and out"),
        ("8b, 8c", "who assessed it, and blind to what", makers),
        ("9a, 9b, 9c", "predictors, how they are measured, by whom", f"{len(spec.features)} measures of face and "
         "voice, by painsense, no human coder; docs/action-units.md, docs/voice.md"),
        ("10", "sample size", f"{spec.training['people']} people, {spec.training['recordings']} recordings: "
         "what there was"),
        ("11", "missing data", "a missing modality or stretch is left out by gates that were trained with such gaps; "
         "without evidence there is no score"),
        ("12a", "how data were divided", f"by person, {how['split']}; nobody is on both sides"),
        ("12b", "handling of predictors", "divided by their spread in training; pitch and loudness against the "
         "person's own"),
        ("12c", "model, its fitting and choice", f"training/fusion/network.py, {spec.training['members']} networks "
         f"together, stopped by people held out; seed {spec.training['seed']}"),
        ("12d", "differences between sites", "not looked at, unless `site` is a group below By group"),
        ("12e", "measures of performance", "Results; each is defined in metrics.json under definitions"),
        ("12f", "updating", "none"),
        ("12g, 15", "what it gives, and thresholds", "score with a 90% interval; no score where that is wider than "
         f"{spec.calibration['score']['abstain_width']:g}; no threshold for a decision"),
        ("13", "class imbalance", f"setting balance {how['balance']:g} (0: windows count alike, 1: "
         "levels count alike)"),
        ("14", "fairness", "By group: error, bias and coverage; cells under 10 people are not shown"),
        ("16", "differences between development and use", "not known for your recordings: compare camera, light, "
         "pose and people with the data"),
        ("17", "ethical approval", makers),
        ("18a, 18b", "funding, conflicts of interest", _SITE),
        ("18c, 18d", "protocol, registration", "none"),
        ("18e, 18f", "data and code", f"data: {spec.training['source'] or 'not stated'}; code: painsense at commit "
         f"`{spec.training['commit'] or 'not known'}`, settings in the file's metadata"),
        ("19", "patients and public involved", "none"),
        ("20a, 20b, 20c", "flow and characteristics of the people", f"judged: {judged}; By group"),
        ("21", "people and outcomes in each analysis", judged),
        ("22", "the whole model", "the ONNX file holds every weight, and its spec"),
        ("23a", "performance with intervals", "not evaluated" if pcc is None else f"PCC {number(pcc)}; {calibration}"),
        ("23b", "differences between groups", "By group"),
        ("24", "results of updating", "none"),
        ("25, 26", "interpretation, limits", "Known failures, Limits"),
        ("27a, 27b", "poor input, users' skill", "painsense refuses unusable frames and sound and says why; a trained "
         "observer looks as well"),
        ("27c", "next steps", "validation on patients of the place where it is to be used"),
    ]  # fmt: skip
