"""Results, groups and known failures of a fusion model's card, from metrics.json. Nothing here is typed by hand."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from painsense.spec import ModelSpec
from training.document import between, number, share, table, text_lines
from training.fusion.page import BASELINES, MEASURES, SETS, WAYS, hidden
from training.fusion.samples import SIMULATED_SET
from training.fusion.settings import SIMULATED

SHOWN = ("pcc", "mae", "macro_mae", "rmse", "bias", "ccc", "icc31", "icc21", "qwk", "uar", "auroc", "aupr")
GROUPS = ("sex", "age_band", "skin_tone", "pose", "neutral", "evidence")
FALSE_PAIN = 0.05  # share of windows without pain scored above 3 that a card must name
GROUP_WORSE = 1.15  # times the MAE of all, from which on a group is named
COVERED = (0.87, 0.93)  # of 90% intervals, people counted alike


def results(spec: ModelSpec, metrics: Mapping[str, Any]) -> list[str]:
    """The tables of the results: by modality, against yardsticks, by what is shown, intervals, no score."""
    about = metrics["about"]
    rows: list[tuple[str, ...]]
    parts = [text_lines(judged(spec, about))]
    if metrics["goals"]:
        rows = [(row["what"], row["goal"], number(row["came"], 3), "yes" if row["met"] else "**no**")
                for row in metrics["goals"]]  # fmt: skip
        parts += ["Goals, stated before:", table(("", "goal", "measured", "met"), rows)]
    ways = {name: words for name, words in WAYS.items() if metrics["ways"][name]["windows"]}
    rows = [("people, windows", *(f"{metrics['ways'][w]['people']}, {metrics['ways'][w]['windows']}" for w in ways))]
    for level, words in (("pooled", ""), ("within", ", within people"), ("by_person", ", mean over people")):
        for name in SHOWN if level == "pooled" else ("pcc", "mae", "icc31"):
            rows.append((MEASURES[name] + words, *(_both(metrics["ways"][w][level].get(name)) for w in ways)))
    rows.append(
        ("90% intervals that hold the label", *(share(metrics["intervals"][w]["coverage"]) for w in ways)))  # fmt: skip
    rows.append(("their mean width", *(number(metrics["intervals"][w]["width"]) for w in ways)))
    parts += ["In brackets: 95% intervals over people.", table(("", *ways.values()), rows)]
    if metrics["baselines"]:
        rows = [(BASELINES[row["name"]], row["what"], number(row["baseline"]["pcc"]), number(row["baseline"]["mae"]),
                 _both(row["difference"]["pcc"]), _both(row["difference"]["auroc"]))
                for row in metrics["baselines"]]  # fmt: skip
        parts += [
            "Yardsticks, each on the windows that both judge:",
            table(("yardstick", "what", "PCC", "MAE", "the model's PCC above it", "AUROC above it"), rows),
        ]
    if metrics["detection"]["against"]:
        rows = [(SETS[name], str(row["pain"]), str(row["against"]), _both(row["auroc"]["both"], 3),
                 _both(row["auroc"]["pspi_rule"], 3), _both(row["auroc"]["above_rule"], 3))
                for name, row in metrics["detection"]["against"].items()]  # fmt: skip
        parts += [
            "AUROC of windows with pain against others:",
            table(("against", "of pain", "others", "model", "PSPI rule", "above the rule"), rows),
        ]
    return parts + _shown(metrics)


def judged(spec: ModelSpec, about: Mapping[str, Any]) -> str:
    """Who was judged, and by which networks."""
    made_up = about["dataset"] == SIMULATED_SET
    people = f"{about['people']} " + ("simulated people" if made_up else f"people of {about['dataset']}")
    whose = (
        f"On {people} whom the network{'s' if about['folds'] > 1 else ''} had not seen: {about['recordings']} "
        f"recordings, {about['windows']} windows, {about['labelled']} of them labelled ({about['split']})."
    )
    if about["folds"] > 1:
        whose += (
            f" Each of {about['folds']} networks was judged by people left out of it. The network in the file learned "
            "from all of them, in the same way; itself it was judged by nobody."
        )
    if made_up:
        whose += " **All of them are simulated: no figure here is of a real person.**"
    return whose


def _shown(metrics: Mapping[str, Any]) -> list[str]:
    rows = [
        (row["kind"], str(row["people"]), number(row["level"]), number(row["score"]["as_recorded"]),
         f"{share(row['above_3']['as_recorded'])} ({_shares(row['above_3_interval'])})", share(row["above_3"]["face"]),
         share(row["above_3"]["voice"]))
        for row in metrics["expressions"]
        if row["shown"]
    ]  # fmt: skip
    if not rows:
        return []
    head = ("shown", "people", "mean label", "mean score", "scored above 3", "face alone", "voice alone")
    return ["By what is shown:", table(head, rows)]


def groups(metrics: Mapping[str, Any]) -> list[str]:
    """A table for each way of grouping; what is not known or too small is said."""
    parts = []
    for name, cells in metrics["groups"].items():
        rows = [
            (cell["group"], str(cell["people"]), _both(cell["mae"]), share(cell["mae_ratio"]), _both(cell["bias"]),
             number(cell["pcc"]), number(cell["auroc"]), share(cell["coverage"]))
            for cell in cells
            if cell["shown"]
        ]  # fmt: skip
        if rows:
            head = (name.replace("_", " "), "people", "MAE", "of all", "bias", "PCC", "AUROC", "coverage")
            parts.append(table(head, rows))
    if missing := unknown_groups(metrics):
        parts.append(text_lines(f"Not known, because no cell is large enough or nobody wrote it down: {missing}."))
    if cells := hidden(metrics):
        parts.append(text_lines(f"Too few to be shown: {'; '.join(cells)}."))
    return parts


def unknown_groups(metrics: Mapping[str, Any]) -> str:
    """Ways of grouping that a reader would ask for, without any figure."""
    found = {name for name, cells in metrics["groups"].items() if any(cell["shown"] for cell in cells)}
    return ", ".join(name.replace("_", " ") for name in GROUPS if name not in found)


def known_failures(spec: ModelSpec, metrics: Mapping[str, Any] | None) -> list[str]:
    """What it is known to do wrong, worst first, in sentences."""
    always = ["Pain that shows neither in the face nor in the voice is not seen."]
    if spec.training["label_kind"] == SIMULATED:
        always.append("Real faces and voices differ from simulated ones in ways nobody has measured here.")
    if metrics is None:
        return [*always, "Not evaluated: which others there are is not known."]
    found = [f"Goal missed: {row['what']}: {number(row['came'], 3)} ({row['goal']})." for row in metrics["goals"]
             if not row["met"]]  # fmt: skip
    loud = [row for row in metrics["expressions"] if row["shown"] and not row["pain"]]
    for row in sorted(loud, key=lambda each: -each["above_3"]["as_recorded"]):
        worst = {way: value for way, value in row["above_3"].items() if value is not None and value > FALSE_PAIN}
        if worst:
            told = ", ".join(f"{share(value)} {WAYS[way]}" for way, value in worst.items())
            found.append(f"{row['kind'].capitalize()} without pain is scored above 3 in {told}.")
    for name, cells in metrics["groups"].items():
        for cell in cells:
            if not cell["shown"]:
                continue
            if cell["mae_ratio"] is not None and cell["mae_ratio"] > GROUP_WORSE:
                found.append(f"{_named(name, cell)}: the error is {share(cell['mae_ratio'])} of that of all.")
            if cell["coverage"] is not None and not COVERED[0] <= cell["coverage"] <= COVERED[1]:
                found.append(f"{_named(name, cell)}: {_off(cell['coverage'])}")
    for way, words in WAYS.items():
        covered = metrics["intervals"][way]["coverage"]
        if covered is not None and not COVERED[0] <= covered <= COVERED[1]:
            found.append(f"{words.capitalize()}: {_off(covered)}")
    failed = metrics["failures"]["ways"]["as_recorded"]
    if failed["failed"]:
        found.append(f"{share(failed['failed'])} of the windows get no score ({share(failed['no_evidence'])} for "
                     f"lack of evidence, {share(failed['too_wide'])} because the interval is too wide).")  # fmt: skip
    return [*found, *always]


def _off(covered: float) -> str:
    """An interval that holds more or less than it says."""
    return f"90% intervals are too {'narrow' if covered < 0.9 else 'wide'}, they hold {covered:.1%} of the labels."


def _named(name: str, cell: Mapping[str, Any]) -> str:
    words, group = name.replace("_", " "), str(cell["group"])
    told = group if group.startswith(words) else f"{words} {group}"
    return told[0].upper() + told[1:]


def _both(entry: Mapping[str, Any] | None, digits: int = 2) -> str:
    """A figure with its interval."""
    if not entry or entry["value"] is None:
        return number(None)
    ends = entry.get("interval")
    known = ends is not None and None not in ends
    return number(entry["value"], digits) + (f" ({between(ends, digits)})" if known else "")


def _shares(ends: list[float | None]) -> str:
    return f"{share(ends[0])} to {share(ends[1])}"
