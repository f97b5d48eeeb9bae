"""figures: plots of an evaluation as SVG, drawn from its figures alone. ``draw(metrics)`` gives name -> SVG text.

Colours are the viewer's own (``currentColor``) beside four that colour-blind people can tell apart (Okabe & Ito 2008).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

import numpy as np

SIZE, LEFT, BOTTOM, ROOM = 320, 46, 40, 12  # px: side of the drawing area, and what is around it
BLUE, ORANGE, GREEN, PINK = "#0072b2", "#d55e00", "#009e73", "#cc79a7"
_COLOURS = {"both": BLUE, "face": ORANGE, "voice": GREEN, "pspi_rule": PINK}
_NAMES = {"both": "face and voice", "face": "face alone", "voice": "voice alone", "pspi_rule": "PSPI rule"}
Points = Sequence[tuple[float | None, float | None]]


class Plot:
    """One pair of axes; parts are added, and ``svg`` gives the text."""

    def __init__(
        self, title: str, x: tuple[str, float, float], y: tuple[str, float, float], ticks: tuple[int, int] = (5, 5)
    ) -> None:
        self.title, self.x_axis, self.y_axis, self.ticks = title, x, y, ticks
        self.parts: list[str] = []
        self.legend: list[tuple[str, str]] = []

    def x(self, value: float) -> float:
        """Where a value lies, px from the left."""
        _, low, high = self.x_axis
        return LEFT + SIZE * (value - low) / (high - low)

    def y(self, value: float) -> float:
        """Where a value lies, px from the top."""
        _, low, high = self.y_axis
        return ROOM + SIZE * (1 - (value - low) / (high - low))

    def line(self, points: Points, colour: str = "currentColor", name: str = "", dashes: str = "") -> Plot:
        """A line through the points that are known."""
        known = [(x, y) for x, y in points if x is not None and y is not None]
        if known:
            path = " ".join(f"{self.x(x):.1f},{self.y(y):.1f}" for x, y in known)
            dash = f' stroke-dasharray="{dashes}"' if dashes else ""
            self.parts.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="1.8"{dash}/>')
            if name:
                self.legend.append((name, colour))
        return self

    def dots(self, points: Points, colour: str = BLUE) -> Plot:
        """A dot at each point that is known."""
        self.parts += [
            f'<circle cx="{self.x(x):.1f}" cy="{self.y(y):.1f}" r="3.5" fill="{colour}"/>'
            for x, y in points
            if x is not None and y is not None
        ]
        return self

    def heat(self, counts: Sequence[Sequence[int]]) -> Plot:
        """How many lie where: rows along y, columns along x, over the whole area; darker is more (by the cube root)."""
        table = np.asarray(counts, np.float64)
        most = np.cbrt(max(1.0, table.max()))
        height, width = SIZE / table.shape[0], SIZE / table.shape[1]
        for (row, column), n in np.ndenumerate(table):
            if n:
                x, y = LEFT + column * width, ROOM + SIZE - (row + 1) * height
                self.parts.append(
                    f'<rect x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}" fill="{BLUE}" '
                    f'fill-opacity="{0.08 + 0.92 * np.cbrt(n) / most:.2f}"><title>{n:.0f} windows</title></rect>'
                )
        return self

    @property
    def svg(self) -> str:
        """The drawing."""
        width, height = LEFT + SIZE + ROOM, ROOM + SIZE + BOTTOM + 18 * len(self.legend)
        parts = [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" '
            f'height="{height}" role="img" font-family="sans-serif" font-size="11">',
            f"<title>{escape(self.title)}</title>",
            f'<rect x="{LEFT}" y="{ROOM}" width="{SIZE}" height="{SIZE}" fill="none" stroke="currentColor" '
            'stroke-opacity="0.4"/>',
        ]
        for value in _ticks(self.x_axis, self.ticks[0]):
            parts.append(_text(self.x(value), ROOM + SIZE + 14, f"{value:g}", "middle"))
        for value in _ticks(self.y_axis, self.ticks[1]):
            parts.append(_text(LEFT - 5, self.y(value) + 4, f"{value:g}", "end"))
        parts.append(_text(LEFT + SIZE / 2, ROOM + SIZE + 31, self.x_axis[0], "middle"))
        middle = ROOM + SIZE / 2
        parts.append(
            f'<text x="12" y="{middle}" text-anchor="middle" fill="currentColor" '
            f'transform="rotate(-90 12 {middle})">{escape(self.y_axis[0])}</text>'
        )
        parts += self.parts
        for k, (name, colour) in enumerate(self.legend):
            y = ROOM + SIZE + BOTTOM + 14 + 18 * k
            parts.append(f'<rect x="{LEFT}" y="{y - 8}" width="18" height="4" fill="{colour}"/>')
            parts.append(_text(LEFT + 26, y, name, "start"))
        return "\n".join([*parts, "</svg>"])


def _ticks(axis: tuple[str, float, float], steps: int) -> list[float]:
    """Evenly from end to end; cells around whole numbers begin and end half a step further out."""
    _, low, high = axis
    out = 0.5 if low % 1 else 0.0
    return [round(float(value), 6) for value in np.linspace(low + out, high - out, steps + 1)]


def _text(x: float, y: float, text: str, anchor: str) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="currentColor">{escape(text)}</text>'


def draw(found: Mapping[str, Any]) -> dict[str, str]:
    """Every plot of an evaluation whose figures are known."""
    plots = {
        "agreement": _agreement(found),
        "bland-altman": _bland_altman(found["agreement"]),
        "score-calibration": _score_calibration(found["calibration"]),
        "pain-calibration": _pain_calibration(found["calibration"]),
        "spread": _spread(found["calibration"]),
        "coverage": _coverage(found["intervals"]["as_recorded"]),
        "abstention": _abstention(found["abstention"]),
    }
    if any(curve["false"] for curve in found["detection"]["curves"].values()):
        plots["roc"] = _roc(found["detection"]["curves"])
    drawn = {name: plot.svg for name, plot in plots.items()}
    if any(cell["shown"] for cell in found["expressions"]):
        drawn["expressions"] = _bars(found["expressions"])
    return drawn


def _agreement(found: Mapping[str, Any]) -> Plot:
    plot = Plot("Scores beside labels", ("label", -0.5, 10.5), ("score", -0.5, 10.5))
    table = np.asarray(found["agreement"]["table"]).T.tolist()
    return plot.heat(table).line([(-0.5, -0.5), (10.5, 10.5)], dashes="4 3")


def _bland_altman(agreement: Mapping[str, Any]) -> Plot:
    plot = Plot("Bland-Altman", ("mean of label and score", 0, 10), ("score less label", -10, 10), (5, 8))
    plot.heat(agreement["windows"])
    for name, dashes in (("bias", ""), ("low", "5 3"), ("high", "5 3")):
        value = agreement[name]["value"]
        if value is not None:
            plot.line([(0, value), (10, value)], ORANGE, dashes=dashes)
    return plot


def _score_calibration(calibration: Mapping[str, Any]) -> Plot:
    plot = Plot("Calibration of the score", ("mean score", 0, 10), ("mean label", 0, 10))
    points = [(each["score"], each["truth"]) for each in calibration["score_bins"]]
    return plot.line([(0, 0), (10, 10)], dashes="4 3").line(points, BLUE).dots(points)


def _pain_calibration(calibration: Mapping[str, Any]) -> Plot:
    plot = Plot("Calibration of the chance of pain", ("said: chance of level 2 or more", 0, 1), ("came: share", 0, 1))
    points = [(each["said"], each["came"]) for each in calibration["pain_bins"]]
    return plot.line([(0, 0), (1, 1)], dashes="4 3").line(points, BLUE).dots(points)


def _spread(calibration: Mapping[str, Any]) -> Plot:
    bins = calibration["spread_bins"]
    top = max([1.0, *(np.ceil(value) for each in bins for value in (each["sd"], each["rmse"]) if value is not None)])
    plot = Plot("Spread beside error", ("standard deviation said", 0, top), ("root mean squared error", 0, top))
    points = [(each["sd"], each["rmse"]) for each in bins]
    return plot.line([(0, 0), (top, top)], dashes="4 3").line(points, BLUE).dots(points)


def _coverage(intervals: Mapping[str, Any]) -> Plot:
    plot = Plot("Coverage by label", ("label (middle of its band)", 0, 10), ("share of intervals that hold it", 0, 1))
    points = [((each["above"] + each["up_to"]) / 2, each["coverage"]) for each in intervals["by_level"]]
    return plot.line([(0, 0.9), (10, 0.9)], dashes="4 3").line(points, BLUE).dots(points)


def _abstention(abstention: Mapping[str, Any]) -> Plot:
    curve = abstention["curve"]
    values = [each[name] for each in curve for name in ("mae", "constant_mae") if each[name] is not None]
    top = float(np.ceil(max([*values, 0.5]) * 2) / 2)
    plot = Plot("Abstaining", ("share of windows kept, narrowest first", 0, 1), ("mean absolute error", 0, top))
    plot.line([(each["kept"], each["mae"]) for each in curve], BLUE, "network")
    return plot.line(
        [(each["kept"], each["constant_mae"]) for each in curve], PINK, "best constant for the same windows", "5 3"
    )


def _roc(curves: Mapping[str, Mapping[str, Sequence[float]]]) -> Plot:
    plot = Plot("Pain against all confusers", ("false alarms, share", 0, 1), ("pain found, share", 0, 1))
    plot.line([(0, 0), (1, 1)], dashes="4 3")
    for name, curve in curves.items():
        plot.line(list(zip(curve["false"], curve["true"], strict=True)), _COLOURS[name], _NAMES[name])
    return plot


def _bars(cells: Sequence[Mapping[str, Any]]) -> str:
    """Share of windows above 3 for each kind, three bars each."""
    shown = [cell for cell in cells if cell["shown"]]
    ways = {"as_recorded": ("as recorded", BLUE), "face": ("face alone", ORANGE), "voice": ("voice alone", GREEN)}
    step, label, length = 44, 130, 300
    height = step * len(shown) + 40
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {label + length + 60} {height}" '
        f'width="{label + length + 60}" height="{height}" role="img" font-family="sans-serif" font-size="11">',
        "<title>Share of windows with a score above 3, by what is shown</title>",
    ]
    for k, cell in enumerate(shown):
        parts.append(_text(label - 8, step * k + 24, cell["kind"], "end"))
        for j, (way, (_, colour)) in enumerate(ways.items()):
            if (share := cell["above_3"][way]) is None:
                continue
            y = step * k + 6 + 11 * j
            parts.append(f'<rect x="{label}" y="{y}" width="{length * share:.1f}" height="9" fill="{colour}"/>')
            parts.append(_text(label + length * share + 4, y + 9, f"{share:.0%}", "start"))
    for j, (name, colour) in enumerate(ways.values()):
        x = label + 100 * j
        parts.append(f'<rect x="{x}" y="{height - 22}" width="14" height="6" fill="{colour}"/>')
        parts.append(_text(x + 19, height - 15, name, "start"))
    return "\n".join([*parts, "</svg>"])
