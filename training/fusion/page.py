"""page: one HTML page of an evaluation that a person can read, with everything in it; it loads nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import jinja2
from markupsafe import Markup

MEASURES = {
    "pcc": "PCC",
    "mae": "MAE",
    "macro_mae": "macro-MAE",
    "rmse": "RMSE",
    "bias": "bias",
    "ccc": "CCC",
    "icc31": "ICC(3,1)",
    "icc21": "ICC(2,1)",
    "qwk": "QWK",
    "uar": "UAR",
    "auroc": "AUROC",
    "aupr": "AUPR",
}
WAYS = {
    "as_recorded": "as recorded",
    "both": "face and voice both there",
    "face": "face alone",
    "voice": "voice alone",
}
BASELINES = {
    "constant": "constant",
    "pspi_rule": "PSPI rule",
    "pspi_fitted": "PSPI, fitted",
    "face": "face alone",
    "voice": "voice alone",
}
SETS = {
    "confusers": "all confusers",
    "confusers_without_pain": "confusers without any pain",
    "rest": "rest",
    "everything_below": "everything below",
}
PLOTS = {
    "agreement": "Scores beside labels, in windows; darker is more. On the dashed line they are the same.",
    "bland-altman": "Bland-Altman: bias and 95% limits of agreement.",
    "roc": "Pain against all confusers, on windows with face, voice and PSPI.",
    "score-calibration": "Mean label beside mean score, in tenths of the windows.",
    "pain-calibration": "Chance of level 2 or more that was said, and how often it came.",
    "spread": "Standard deviation that was said beside the error, in tenths of the windows.",
    "coverage": "Share of the 90% intervals that hold the label, by label.",
    "abstention": "Error when only the narrowest intervals are kept.",
    "expressions": "Share of windows with a score above 3, by what is shown.",
}


def figure(value: float | None, interval: Sequence[float | None] | None = None, digits: int = 2) -> str:
    """A number, with its interval where there is one; a dash where there is none."""
    if value is None:
        return "–"
    text = f"{value:.{digits}f}"
    if interval is not None and None not in interval:
        low, high = interval
        text += f" ({low:.{digits}f} to {high:.{digits}f})"
    return text


def share(value: float | None, digits: int = 0) -> str:
    """A share in percent; a dash where there is none."""
    return "–" if value is None else f"{value:.{digits}%}"


def both(entry: Mapping[str, Any] | None, digits: int = 2) -> str:
    """``{"value": ..., "interval": ...}`` as text."""
    return "–" if not entry else figure(entry["value"], entry.get("interval"), digits)


def to_html(found: Mapping[str, Any], plots: Mapping[str, str]) -> str:
    """The page of an evaluation (:func:`training.fusion.evaluate.evaluate`) with its plots."""
    environment = jinja2.Environment(
        autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=jinja2.StrictUndefined
    )
    environment.filters |= {"figure": figure, "share": share, "both": both}
    return environment.from_string(_PAGE).render(
        m=found,
        measures=MEASURES,
        ways={name: words for name, words in WAYS.items() if found["ways"][name]["windows"]},
        baselines=BASELINES,
        sets=SETS,
        # the plots were drawn by training.fusion.figures, which escapes what it writes
        plots=[(Markup(plots[name]), caption) for name, caption in PLOTS.items() if name in plots],
        hidden=hidden(found),
        scorers={"both": "network", "face": "face alone", "voice": "voice alone", "pspi_rule": "PSPI rule"},
    )


def hidden(found: Mapping[str, Any]) -> list[str]:
    """The cells that are too small to be shown, in words."""
    cells = [(name.replace("_", " "), cell["group"], cell) for name, rows in found["groups"].items() for cell in rows]
    cells += [("what is shown", cell["kind"], cell) for cell in found["expressions"]]
    return [
        f"{name}: {value} ({cell['people']} people, {cell['windows']} windows)"
        for name, value, cell in cells
        if not cell["shown"]
    ]


def summary(found: Mapping[str, Any]) -> list[str]:
    """A few lines for the terminal."""
    lines = []
    for name, words in WAYS.items():
        way = found["ways"][name]
        if way["windows"]:
            values = ", ".join(
                f"{MEASURES[each]} {both(way['pooled'][each])}" for each in ("pcc", "mae", "icc31", "auroc")
            )
            covered = share(found["intervals"][name]["coverage"])
            lines.append(
                f"{words} ({way['people']} people, {way['windows']} windows): {values}; 90% intervals {covered}"
            )
    for row in found["goals"]:
        lines.append(
            f"{'met' if row['met'] else 'NOT met'}: {row['what']}: {figure(row['came'], digits=3)} ({row['goal']})"
        )
    return lines


_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Evaluation of {{ m.about.name }}</title>
<style>
:root { color-scheme: light dark; }
body { font: 15px/1.5 system-ui, sans-serif; max-width: 84rem; margin: 2rem auto; padding: 0 1rem; }
table { border-collapse: collapse; margin: .6rem 0 1.2rem; font-variant-numeric: tabular-nums; display: block;
  overflow-x: auto; }
th, td { padding: .2rem .45rem; border-bottom: 1px solid color-mix(in srgb, currentColor 20%, transparent);
  text-align: right; white-space: nowrap; }
th:first-child, td:first-child { text-align: left; }
caption { text-align: left; font-weight: 600; padding: .3rem 0; }
.no { color: #c0392b; font-weight: 600; }
.plots { display: flex; flex-wrap: wrap; gap: 1.5rem; }
figure { margin: 0; max-width: 30rem; } svg { max-width: 100%; height: auto; }
figcaption, .small { font-size: .9em; opacity: .8; }
</style>
</head>
<body>
<h1>Evaluation of {{ m.about.name }}</h1>
{% if m.about.dataset == "simulated" %}
<p><strong>Simulated people only: what stands here says nothing about any patient.</strong></p>
{% endif %}
<p>{{ m.about.notes }} Judged by {{ m.about.dataset }}, label {{ m.about.head }}: {{ m.about.people }} people whom the
networks had not seen, {{ m.about.recordings }} recordings, {{ m.about.windows }} windows, {{ m.about.labelled }} of
them labelled; {{ m.about.folds }} fold{{ "" if m.about.folds == 1 else "s" }} ({{ m.about.split }}). In brackets:
95% intervals over people.</p>

{% if m.goals %}
<table><caption>Goals</caption>
<tr><th>what</th><th>goal</th><th>came</th><th>met</th></tr>
{% for row in m.goals %}
<tr><td>{{ row.what }}</td><td>{{ row.goal }}</td><td>{{ row.came|figure(none, 3) }}</td>
<td{% if not row.met %} class="no"{% endif %}>{{ "yes" if row.met else "no" }}</td></tr>
{% endfor %}
</table>
{% endif %}

<h2>How near scores are to labels</h2>
{% for level, title in [("pooled", "All windows together"), ("within", "Within people"), ("between", "Between people \
(means of each)"), ("by_person", "Each person's own figure, mean over people")] %}
<table><caption>{{ title }}</caption>
<tr><th>measure</th>{% for way, words in ways.items() %}<th>{{ words }}</th>{% endfor %}</tr>
{% for name, words in measures.items() if name in m.ways.as_recorded[level] %}
<tr><td>{{ words }}</td>
{% for way in ways %}<td>{{ m.ways[way][level].get(name)|both }}</td>{% endfor %}</tr>
{% endfor %}
</table>
{% endfor %}
<p class="small">{% for way, words in ways.items() %}{{ words }}: {{ m.ways[way].people }} people,
{{ m.ways[way].windows }} windows, {{ m.ways[way].pain_windows }} of pain, {{ m.ways[way].confuser_windows }} of
confusers. {% endfor %}</p>

<h2>Against yardsticks</h2>
<table><caption>The same windows for both in each row: yardstick, then network</caption>
<tr><th>yardstick</th><th>windows</th>{% for name in ["pcc", "mae", "macro_mae", "icc31", "auroc"] %}
<th>{{ measures[name] }}</th><th>network</th>{% endfor %}<th>PCC gained</th><th>AUROC gained</th></tr>
{% for row in m.baselines %}
<tr><td title="{{ row.what }}">{{ baselines[row.name] }}</td><td>{{ row.windows }}</td>
{% for name in ["pcc", "mae", "macro_mae", "icc31", "auroc"] %}
<td>{{ row.baseline[name]|figure }}</td><td>{{ row.network[name]|figure }}</td>{% endfor %}
<td>{{ row.difference.pcc|both }}</td><td>{{ row.difference.auroc|both }}</td></tr>
{% endfor %}
</table>
<ul class="small">{% for row in m.baselines %}<li>{{ baselines[row.name] }}: {{ row.what }}</li>{% endfor %}</ul>

{% if m.detection.against %}
<table><caption>AUROC of pain against other windows, where {{ m.detection.windows }}</caption>
<tr><th>against</th><th>of pain</th><th>others</th>{% for words in scorers.values() %}<th>{{ words }}</th>{% endfor %}
<th>network above rule</th></tr>
{% for name, row in m.detection.against.items() %}
<tr><td>{{ sets[name] }}</td><td>{{ row.pain }}</td><td>{{ row.against }}</td>
{% for scorer in scorers|list + ["above_rule"] %}<td>{{ row.auroc[scorer]|both(3) }}</td>{% endfor %}</tr>
{% endfor %}
</table>
{% endif %}

{% if m.expressions %}
<h2>By what is shown</h2>
<table><caption>Pain at level 2 or more; everything else below it</caption>
<tr><th>shown</th><th>people</th><th>windows</th><th>mean label</th><th>mean score</th><th>above 3</th>
<th>face alone</th><th>voice alone</th><th>pain told from it (AUROC)</th><th>PSPI rule</th></tr>
{% for row in m.expressions if row.shown %}
<tr><td>{{ row.kind }}</td><td>{{ row.people }}</td><td>{{ row.windows }}</td><td>{{ row.level|figure }}</td>
<td>{{ row.score.as_recorded|figure }}</td><td>{{ row.above_3.as_recorded|share }}
({{ row.above_3_interval[0]|share }} to {{ row.above_3_interval[1]|share }})</td>
<td>{{ row.above_3.face|share }}</td><td>{{ row.above_3.voice|share }}</td>
<td>{{ row.auroc.get("both")|figure(none, 3) }}</td><td>{{ row.auroc.get("pspi_rule")|figure(none, 3) }}</td></tr>
{% endfor %}
</table>
{% endif %}

{% if m.missing.same_windows or m.missing.against_alone %}
<h2>With a modality missing</h2>
<table><caption>Windows with face and voice, of which only one is shown to the same network</caption>
<tr><th>seen</th>{% for name in ["pcc", "mae", "ccc", "auroc"] %}<th>{{ measures[name] }}</th>{% endfor %}</tr>
{% for name, row in m.missing.same_windows.items() %}
<tr><td>{{ name }}</td>{% for each in ["pcc", "mae", "ccc", "auroc"] %}<td>{{ row[each]|figure(none, 3) }}</td>
{% endfor %}</tr>
{% endfor %}
</table>
{% if m.missing.against_alone %}
<table><caption>Against a network that was trained on that modality alone</caption>
<tr><th>seen</th><th>windows</th><th>PCC</th><th>of the other</th><th>difference</th><th>AUROC difference</th></tr>
{% for name, row in m.missing.against_alone.items() %}
<tr><td>{{ name }}</td><td>{{ row.windows }}</td><td>{{ row.network.pcc|figure(none, 3) }}</td>
<td>{{ row.alone.pcc|figure(none, 3) }}</td><td>{{ row.difference.pcc|both(3) }}</td>
<td>{{ row.difference.auroc|both(3) }}</td></tr>
{% endfor %}
</table>
{% endif %}
{% endif %}

<h2>Intervals, chances, abstaining</h2>
<table><caption>90% intervals</caption>
<tr><th>seen</th><th>hold the label, people alike</th><th>pooled</th><th>label below</th><th>label above</th>
<th>mean width</th><th>people below 80%</th></tr>
{% for way, words in ways.items() %}{% set row = m.intervals[way] %}
<tr><td>{{ words }}</td><td>{{ row.coverage|share(1) }}</td><td>{{ row.pooled|share(1) }}</td>
<td>{{ row.below|share(1) }}</td><td>{{ row.above|share(1) }}</td><td>{{ row.width|figure }}</td>
<td>{{ row.people_below_80|share }}</td></tr>
{% endfor %}
</table>
<p>Calibration: labels rise by {{ m.calibration.slope|figure }} for each point of the score, from
{{ m.calibration.start|figure }} at 0. Expected calibration error of the chance of pain
{{ m.calibration.ece|figure(none, 3) }}, Brier score {{ m.calibration.brier|figure(none, 3) }}.
Bland-Altman: bias {{ m.agreement.bias|both }}, limits {{ m.agreement.low|both }} and {{ m.agreement.high|both }}.</p>
<table><caption>Intervals wider than {{ m.abstention.limit|figure }} give no score</caption>
<tr><th>kept</th><th>width up to</th><th>MAE</th><th>best constant</th><th>PCC</th><th>AUROC</th><th>coverage</th>
<th>share of pain</th></tr>
{% for row in m.abstention.curve %}
<tr><td>{{ row.kept|share }}</td><td>{{ row.width|figure }}</td><td>{{ row.mae|figure }}</td>
<td>{{ row.constant_mae|figure }}</td><td>{{ row.pcc|figure }}</td><td>{{ row.auroc|figure }}</td>
<td>{{ row.coverage|share }}</td><td>{{ row.pain_share|share }}</td></tr>
{% endfor %}
{% set row = m.abstention.at_limit %}
<tr><td>at the limit: {{ row.kept|share(1) }}</td><td>{{ m.abstention.limit|figure }}</td><td>{{ row.mae|figure }}</td>
<td>{{ row.constant_mae|figure }}</td><td>{{ row.pcc|figure }}</td><td>{{ row.auroc|figure }}</td>
<td>{{ row.coverage|share }}</td><td>{{ row.pain_share|share }}</td></tr>
</table>

<h2>Plots</h2>
<div class="plots">
{% for plot, caption in plots %}
<figure>{{ plot }}<figcaption>{{ caption }}</figcaption></figure>
{% endfor %}
</div>

<h2>By group</h2>
{% for name, rows in m.groups.items() if rows|selectattr("shown")|list %}
<table><caption>{{ name.replace("_", " ") }}</caption>
<tr><th>group</th><th>people</th><th>windows</th><th>MAE</th><th>of all</th><th>bias</th><th>PCC</th><th>AUROC</th>
<th>pain found</th><th>false alarms</th><th>coverage</th><th>no evidence</th><th>too wide</th></tr>
{% for row in rows if row.shown %}
{% set fail = (m.failures.groups[name]|selectattr("group", "equalto", row.group)|list)[0] %}
<tr><td>{{ row.group }}</td><td>{{ row.people }}</td><td>{{ row.windows }}</td><td>{{ row.mae|both }}</td>
<td>{{ row.mae_ratio|figure }}</td><td>{{ row.bias|both }}</td><td>{{ row.pcc|figure }}</td>
<td>{{ row.auroc|figure }}</td><td>{{ row.recall|share }}</td><td>{{ row.false_alarms|share }}</td>
<td>{{ row.coverage|share }}</td><td>{{ fail.get("no_evidence")|share(1) }}</td>
<td>{{ fail.get("too_wide")|share(1) }}</td></tr>
{% endfor %}
</table>
{% endfor %}
{% if hidden %}<p class="small">Not shown, too few: {{ hidden|join("; ") }}.</p>{% endif %}
{% if "pose" not in m.groups %}<p class="small">By pose: not measured; give the recordings with --data.</p>{% endif %}

<h2>No score</h2>
<table><caption>Share of all {{ m.failures.windows }} judged windows</caption>
<tr><th>seen</th><th>no evidence</th><th>interval too wide</th><th>together</th></tr>
{% for way, row in m.failures.ways.items() %}
<tr><td>{{ way.replace("_", " ") }}</td><td>{{ row.no_evidence|share(1) }}</td><td>{{ row.too_wide|share(1) }}</td>
<td>{{ row.failed|share(1) }}</td></tr>
{% endfor %}
</table>
{% if m.pspi %}
<p>PSPI, {{ m.pspi.windows }} windows: network PCC {{ m.pspi.network.pcc|figure }}, MAE {{ m.pspi.network.mae|figure }};
the face track's own PCC {{ m.pspi.rule.pcc|figure }}, MAE {{ m.pspi.rule.mae|figure }}.</p>
{% endif %}

<h2>What the words mean</h2>
<dl>
{% for name, words in m.definitions.items() if name != "confuser_kinds" %}
<dt><strong>{{ name }}</strong></dt><dd>{{ words }}</dd>
{% endfor %}
{% if m.definitions.confuser_kinds %}
<dt><strong>confusers here</strong></dt><dd>{{ m.definitions.confuser_kinds|join(", ") }}</dd>
{% endif %}
</dl>
<p class="small">painsense {{ m.about.painsense }}, commit {{ m.about.commit or "unknown" }}, settings
{{ m.about.fingerprint }}, data {{ m.about.data }}; {{ m.about.draws }} draws.</p>
</body>
</html>
"""
