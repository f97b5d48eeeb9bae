"""The metrics file -> docs/action-units.md, the document on the action unit network: every figure in it is measured."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from painsense.face import STANCE
from painsense.landmarks import BLENDSHAPES
from training import real_faces

WIDTH = 120
NOTHING = "–"
CASE_WORDS = {"with_neutral": "with neutral", "without_neutral": "without"}
#: what the groups of each table are, and which faces are in it
GROUP_WORDS = {
    "pose": ("Turned by (the larger of yaw and pitch)", "all poses"),
    "skin_tone": ("Skin tone", "up to {limit}°"),
    "wear": ("Wears", "up to {limit}°; somebody who wears two things counts in both"),
    "face_px": ("Outer eye corners apart", "up to {limit}°"),
    "expression": ("Expression", "up to {limit}°"),
}

Row = Mapping[str, Any]


def document(metrics: Mapping[str, Any]) -> str:
    """The whole document, Markdown."""
    parts = [
        "# Action units and PSPI",
        "<!-- written by training/train_action_units.py from docs/metrics/action_units.json: "
        "change it there -->",
        *_way(metrics["about"]),
        *_data(metrics),
        *_results(metrics),
        *_calibration(metrics),
        *_groups(metrics),
        *_levers(metrics["levers"]),
        *_real(metrics["real"]),
        *_limits(metrics),
    ]
    return "\n\n".join(parts) + "\n"


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def number(value: float | None, digits: int = 2) -> str:
    """A figure, or a dash where there is none."""
    if value is None:
        return NOTHING
    return f"{round(value, digits) + 0.0:.{digits}f}"  # + 0.0 turns -0.00 into 0.00


def share(value: float | None) -> str:
    """A share in percent, or a dash where there is none."""
    return NOTHING if value is None else f"{value:.0%}"


def between(ends: Sequence[float | None] | None, digits: int = 2) -> str:
    """An interval in words."""
    if ends is None or None in ends:
        return NOTHING
    return f"{number(ends[0], digits)} to {number(ends[1], digits)}"


def text_lines(paragraph: str) -> str:
    """A paragraph, its lines as long as those of other documents."""
    return textwrap.fill(" ".join(paragraph.split()), WIDTH, break_long_words=False, break_on_hyphens=False)


def goals_table(metrics: Mapping[str, Any]) -> str:
    """The stated goals, and what came."""
    rows = [
        (row["what"], row["goal"], number(row["came"], 3), "yes" if row["met"] else "**no**")
        for row in metrics["goals"]
    ]
    return table(("", "goal", "measured", "met"), rows)


def pspi_table(metrics: Mapping[str, Any]) -> str:
    """PSPI in single pictures and windows, with and without neutral."""
    columns = [
        (f"{words}, {CASE_WORDS[case]}", metrics[case]["pspi"][kind])
        for kind, words in (("single", "single pictures"), ("windows", "windows of 1 s"))
        for case in CASE_WORDS
        if metrics[case]["pspi"][kind] is not None
    ]
    lines: list[tuple[str, Any]] = [
        ("how many (people)", lambda f: f"{f['n']} ({f['people']})"),
        ("r (95% interval)", lambda f: f"{number(f['r'])} ({between(f['r_interval'])})"),
        ("MAE (95% interval)", lambda f: f"{number(f['mae'])} ({between(f['mae_interval'])})"),
        ("RMSE", lambda f: number(f["rmse"])),
        ("bias", lambda f: number(f["bias"])),
        ("ICC(3,1)", lambda f: number(f["icc31"])),
        ("ICC(A,1)", lambda f: number(f["icc_a1"])),
        ("CCC", lambda f: number(f["ccc"])),
        ("ROC area for PSPI of 2 and more", lambda f: number(f["roc_auc"], 3)),
        ("90% intervals that hold the truth", lambda f: share(f["coverage_90"])),
        ("their width", lambda f: number(f["width_90"])),
        *(
            (f"MAE where PSPI is {_level(level)}", lambda f, k=k: number(f["levels"][k]["mae"]))
            for k, level in enumerate(columns[0][1]["levels"])
        ),
        ("mean of these MAEs", lambda f: number(f["level_mae"])),
    ]
    rows = [(name, *(figure(figures) for _, figures in columns)) for name, figure in lines]
    return table(("", *(name for name, _ in columns)), rows)


def group_tables(metrics: Mapping[str, Any], names: Sequence[str] = tuple(GROUP_WORDS)) -> list[str]:
    """PSPI's error in each group, with and without neutral, a table for each way of grouping."""
    tables = []
    for name in names:
        title, which = GROUP_WORDS[name]
        ratio = name == "skin_tone"
        own = {row["group"]: row for row in metrics["with_neutral"]["groups"][name]}
        other = {row["group"]: row for row in metrics["without_neutral"]["groups"][name]}
        rows = [
            (group, *_group_cells(row, ratio, True), *_group_cells(other.get(group), ratio, False))
            for group, row in own.items()
        ]
        short = ("MAE", "of all", "bias", "r", "coverage")
        with_ratio = ("MAE", "of all (95% interval)", "bias", "r", "coverage")
        head = with_ratio if ratio else short
        which = which.format(limit=f"{metrics['pose_limit_deg']:.0f}")
        tables.append(
            f"{title} ({which}):\n\n"
            + table((title.split(" (")[0], "faces (people)", *head, *(f"{word}, without" for word in head)), rows)
        )
    return tables


def _group_cells(row: Row | None, ratio: bool, counted: bool) -> list[str]:
    if row is None:
        return [NOTHING] * 5
    of_all = share(row["mae_ratio"])
    if ratio and row["mae_ratio_interval"] and None not in row["mae_ratio_interval"]:
        low, high = row["mae_ratio_interval"]
        of_all += f" ({low:.0%} to {high:.0%})"
    counts = [f"{row['n']} ({row['people']})"] if counted else []
    return [*counts, number(row["mae"]), of_all, number(row["bias"]), number(row["r"]), share(row["coverage_90"])]


def _way(about: Row) -> list[str]:
    features = about["features"]
    shape = [name for name in features if name.startswith("shape_")]
    odd = sum(name.startswith("shape_odd") for name in shape)
    blendshapes = sum(name in BLENDSHAPES for name in features)
    capture = [name for name in features if name in STANCE]
    geometry = len(features) - len(shape) - blendshapes - len(capture)
    hidden = " and ".join([", ".join(str(width) for width in about["hidden"][:-1]), str(about["hidden"][-1])])
    return [
        "## From landmarks to intensities",
        text_lines(
            f"""**What the network sees.** The head pose is taken out of the 478 landmarks. What is left is written as
            {len(shape)} numbers: coefficients in a fixed basis (`painsense/weights/face_shape.npz`), principal
            components of how simulated faces move, {len(shape) - odd} of them for what both halves of a face do
            alike and {odd} for what they do against each other. Beside them stand the {geometry} measures of the
            geometry table (`painsense/face.py`), {blendshapes} blendshapes, and {len(capture)} numbers on the
            picture ({", ".join(f"`{name}`" for name in capture)}): {len(features)} in all."""
        ),
        text_lines(
            """MediaPipe's blendshapes alone would not do: their network sees no landmark on the nose wings or
            cheeks, so that AU9 and AU6, which PSPI needs, stay near zero in it."""
        ),
        text_lines(
            """**The person's neutral.** The same numbers of the person at rest go in beside those of the frame. The
            network sees the change between the two, and the frame as it is. Where no neutral is known it is told
            so: one network serves both, because it was trained with and without."""
        ),
        text_lines(
            f"""**The network** has hidden layers of {hidden}, {about["parameters"]:,} learned numbers, and
            {about["size_bytes"] / 1e6:.2f} MB as a file (`painsense/weights/action_units.onnx`). It gives the
            intensity and spread of {len(about["targets"])} action units, for the left, the right and both sides.
            A face and its mirror image go through the same layers: what they say of the first is the left half's,
            what they say of the second the right half's. So mirroring a face swaps left and right and changes
            nothing else, by construction."""
        ),
        text_lines(
            f"""**How sure it is.** Most units are exactly 0 in most faces, which a bell curve cannot say. So the
            network gives a distribution over {about["levels"]} intensities from 0 to 5 for each unit, and is
            trained by its likelihood. The mean of the distribution is the intensity. Its standard deviation is
            the spread, once it has been calibrated on people who were in neither the training nor the test: the
            intensity plus and minus 1.645 spreads is to hold the truth in 90% of faces."""
        ),
        text_lines(
            """**PSPI** = AU4 + max(AU6, AU7) + max(AU9, AU10) + AU43, 0 to 16 (Prkachin & Solomon 2008,
            doi:10.1016/j.pain.2008.04.010). AU43 is 1 when the eyes stay closed for half a second or longer; a
            shorter closure is a blink and counts neither as AU43 nor as AU7. A single picture has no duration: in
            the tables below its eyes count as closed when AU43 is nearly full. The 90% interval of PSPI follows
            from the spread of its units; how many standard deviations it reaches up and down was measured on the
            people of the calibration. The interval of a clip's mean is as wide as that of a frame: the estimator
            errs the same way on the same face, so its error does not average out."""
        ),
    ]


def _data(metrics: Mapping[str, Any]) -> list[str]:
    about, own = metrics["about"], metrics["with_neutral"]
    return [
        "## Data",
        text_lines(
            f"""Nobody may ship weights trained on FACS-coded faces without asking, so the truth comes from rendering:
            {about["faces"]:,} pictures of {about["heads"]:,} simulated people ({about["source"]}), seen through
            the same landmark networks that see patients. Each person has an own shape, skin, brows and hair; a
            part wears glasses, a mask, an oxygen tube or a hair band. Expressions (pain, smiles, disgust, anger,
            fear, sadness, surprise, speech, blinks, yawns, coughs, and two at a time) cover every unit from 0 to
            5, left and right a little apart. Heads turn by up to 45 degrees, lights are soft or harsh, and the
            camera adds blur, noise, colour casts and compression, down to 60 pixels between the outer eye
            corners. Neutrals are other pictures of the same person, in part under another light. In training, faces
            are disturbed at random, and so are faces together with their neutral: landmarks of real recordings
            tremble more, and real people differ in more than the head model knows.
            [simulation.md](simulation.md) has the details; the seed is {about["seed"]}."""
        ),
        text_lines(
            f"""No person is in two of the parts: training, calibration, test. All figures below are of the test:
            {own["people"]:,} people, {own["faces_all_poses"]:,} pictures in which painsense could use the face,
            of which {own["faces"]:,} are turned by up to {metrics["pose_limit_deg"]:.0f} degrees (the larger of
            yaw and pitch). Unless a table says otherwise it is about those. 95% intervals come from drawing
            people, not pictures. Cells with fewer than {metrics["min_cell"]} pictures are left empty."""
        ),
    ]


def _results(metrics: Mapping[str, Any]) -> list[str]:
    own, without = metrics["with_neutral"], metrics["without_neutral"]
    missed = [row["what"] for row in metrics["goals"] if not row["met"]]
    verdict = (
        "All of them are met."
        if not missed
        else f"{len(metrics['goals']) - len(missed)} of {len(metrics['goals'])} are met."
    )
    return [
        f"## Results ({metrics['about']['version']})",
        "Goals that were stated before the training. " + verdict,
        goals_table(metrics),
        "### Action units",
        text_lines(
            """ICC(3,1) is consistency. Coverage: how many 90% intervals hold the truth. Spread and RMSE
            (with neutral) should be alike. Active: in how many pictures the unit is not 0."""
        ),
        _unit_table(own, without),
        text_lines(
            """Yardsticks, all fitted on the training people: a line through the blendshape that is named after the
            unit; a line through whichever blendshape goes along with it best; a ridge regression on all that the
            network sees; and a constant, the training mean, whose error any estimate has to beat."""
        ),
        *(
            f"{words.capitalize()} (r, and MAE in brackets):\n\n"
            + _yardstick_table(metrics[case], metrics["pspi_units"])
            for case, words in (("with_neutral", "with neutral"), ("without_neutral", "without neutral"))
        ),
        "### PSPI",
        pspi_table(metrics),
        "The yardsticks, single pictures:",
        _pspi_yardsticks(metrics),
    ]


def _unit_table(own: Row, without: Row) -> str:
    head = ("r", "MAE", "ICC(3,1)", "coverage")
    rows = []
    for name, unit in own["units"].items():
        both = [
            text
            for one in (unit, without["units"][name])
            for text in (number(one["r"]), number(one["mae"]), number(one["icc31"]), share(one["coverage_90"]))
        ]
        rows.append((name, share(unit["active_share"]), *both, number(unit["spread"]), number(unit["rmse"])))
    for label, words in (("pspi_units", "mean, units of PSPI"), ("all_units", "mean, all")):
        both = []
        for case in (own, without):
            mean = case["summary"][label]
            both += [number(mean["r"]), number(mean["mae"]), number(mean["icc31"]), ""]
        rows.append((words, "", *both, "", ""))
    return table(("", "active", *head, *(f"{word}, without" for word in head), "spread", "RMSE"), rows)


def _yardstick_table(case: Row, pspi_units: Sequence[str]) -> str:
    names = list(case["summary"]["pspi_units"]["yardsticks"])

    def cells(figures: Row) -> list[str]:
        return [
            f"{number(one['r'])} ({number(one['mae'])})"
            for one in (figures, *(figures["yardsticks"][name] for name in names))
        ]

    rows = [(name, *cells(unit)) for name, unit in case["units"].items() if name in pspi_units or name == "AU12"]
    rows += [
        (words, *cells(case["summary"][label]))
        for label, words in (("pspi_units", "mean, units of PSPI"), ("all_units", "mean, all"))
    ]
    return table(("", "network", *names), rows)


def _pspi_yardsticks(metrics: Mapping[str, Any]) -> str:
    own, without = (metrics[case]["pspi"]["single"] for case in CASE_WORDS)
    head = ("r", "MAE", "ICC(3,1)", "ROC area")

    def cells(figures: Row) -> list[str]:
        return [number(figures[name]) for name in ("r", "mae", "icc31")] + [number(figures["roc_auc"], 3)]

    rows = [("network", *cells(own), *cells(without))]
    rows += [(name, *cells(own["yardsticks"][name]), *cells(without["yardsticks"][name])) for name in own["yardsticks"]]
    return table(("", *head, *(f"{word}, without" for word in head)), rows)


def _calibration(metrics: Mapping[str, Any]) -> list[str]:
    cases = [metrics[case]["calibration"] for case in CASE_WORDS]
    intervals = [
        (share(own["nominal"]), share(own["covered"]), share(other["covered"]))
        for own, other in zip(*(case["intervals"] for case in cases), strict=True)
    ]
    bins = [
        (str(k + 1), *(number(figure) for one in pair for figure in (one["spread"], one["rmse"])))
        for k, pair in enumerate(zip(*(case["bins"] for case in cases), strict=True))
    ]
    return [
        "## Calibration",
        "How many intervals hold the truth, all action units together:",
        table(("interval", *CASE_WORDS.values()), intervals),
        text_lines(
            """Estimates in five parts, from the surest to the least sure: the spread they claim (root of its mean
            square) and the error they make."""
        ),
        table(("part", "spread, with neutral", "RMSE", "spread, without", "RMSE, without"), bins),
    ]


def _groups(metrics: Mapping[str, Any]) -> list[str]:
    return [
        "## Groups",
        text_lines(
            """The error of PSPI in single pictures. "Of all": the group's MAE over that of all faces in the table.
            Bias above 0: read too high."""
        ),
        *group_tables(metrics),
    ]


def _levers(levers: Sequence[Row]) -> list[str]:
    if not levers:
        return []
    rows = [
        (row["name"], number(row["mean_r"], 3), number(row["pspi_r"], 3), number(row["pspi_mae"]),
         "yes" if row["kept"] else "no", row["note"])
        for row in levers
    ]  # fmt: skip
    return [
        "## What each lever gave",
        text_lines(
            """Each row is a network trained anew with one thing changed, on the same held-out people with a neutral:
            mean r over the units of PSPI, and r and MAE of PSPI in single pictures."""
        ),
        table(("", "mean r", "PSPI r", "PSPI MAE", "shipped", ""), rows),
    ]


def _real(real: Mapping[str, Any] | None) -> list[str]:
    if real is None:
        return []
    return [
        "## Real faces",
        text_lines(
            """Real faces are not rendered ones, and nobody has coded the action units of these recordings: they show
            whether the figures are plausible and steady, not whether they are right."""
        ),
        real_faces.table(dict(real)).rstrip(),
    ]


def _limits(metrics: Mapping[str, Any]) -> list[str]:
    own = metrics["with_neutral"]
    known = {name: unit["r"] for name, unit in own["units"].items() if unit["r"] is not None}
    worst = ", ".join(f"{name} (r {number(known[name])})" for name in sorted(known, key=lambda name: known[name])[:4])
    single, windows = own["pspi"]["single"], own["pspi"]["windows"]
    averaged = ""
    if windows is not None:
        averaged = f"""In windows of 1 s PSPI's r is {number(windows["r"])}, in single pictures {number(single["r"])}:
            the estimator errs alike on all frames of one face, so averaging takes only a part of the error away."""
    at_level = "; ".join(
        f"{number(level['bias'])} where it is {_level(level)}"
        for level in single["levels"]
        if level["bias"] is not None
    )
    return [
        "## What limits it",
        text_lines(
            f"""**The mesh.** It is a smooth model fitted to a picture of 256 pixels, and skin wrinkles are not in it.
            Read worst: {worst}. {averaged}"""
        ),
        text_lines(
            f"""**Strong and weak.** Where it is unsure the estimate lies between the possible intensities, so that
            strong expressions are read as weaker than they are and weak ones as stronger (a regression toward the
            mean). The mean error of PSPI in single pictures with neutral: {at_level}."""
        ),
        text_lines(
            """**Simulation.** Shapes of the head add up linearly, wrinkles are painted on and do not fold, and an
            intensity of 3 is the middle of a movement, not a coder's C. What real muscles do together is only in part
            in it. No figure in this document but those on real faces says anything about real people."""
        ),
        text_lines(
            """**PSPI itself.** It rises in disgust and in a broad smile, with nobody in pain: cheeks and upper lip rise
            in them, too. Pain without expression is invisible to it."""
        ),
    ]


def _level(level: Row) -> str:
    if level["up_to"] == 0:
        return "0"
    return f"above {level['above']:.0f}, up to {level['up_to']:.0f}"
