"""The drawings of the PDF: the lanes of the timeline, the scale of PSPI, the mesh, from the HTML report's own paths."""

from __future__ import annotations

import re
from collections.abc import Iterator

from reportlab.lib.colors import Color, HexColor
from reportlab.lib.units import mm
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfgen.canvas import Canvas
from reportlab.platypus import Flowable

from painsense.palette import colours
from painsense.report_lanes import Timeline
from painsense.report_mesh import MeshDrawing
from painsense.report_timeline import WIDTH, Area, Lane

PLAIN, BOLD = "Vera", "VeraBd"
#: Heights on paper: a row of a strip, and a curve by the name of its lane
ROW = 3.2 * mm
CURVES = {"score": 29 * mm, "pspi": 25 * mm, "voiced": 4 * mm}
OTHER_CURVE, GAP, AXIS, LABEL = 11 * mm, 1.2 * mm, 5 * mm, 44 * mm
SIZE = 6.8  # of the labels, points


def colour(name: str) -> Color:
    """A colour of the HTML report by its name there."""
    return HexColor(colours()[name])


#: How a path is drawn, by its class: colour to fill with, colour of the line, its width, dashes
_LOOKS: dict[str, tuple[str | None, str | None, float, tuple[float, ...]]] = {
    "band": ("band", None, 0, ()),
    "mean": (None, "mean", 1.0, ()),
    "most": (None, "most", 0.5, ()),
    "voiced": ("voice", None, 0, ()),
    "loudness": (None, "voice", 0.7, ()),
    "pitch": (None, "voice", 0.7, ()),
    "rest-band": ("rest", None, 0, ()),
    "rest-middle": (None, "muted", 0.5, (3, 2)),
    "sound": ("voice", None, 0, ()),
    "sound nonverbal": ("moan", None, 0, ()),
    "sound breath": ("muted", None, 0, ()),
    "sound other": ("muted", None, 0, ()),
    "remark": ("ink", "ink", 0.3, ()),
    "remark speaking": ("speak", "speak", 0.3, ()),
    "remark blink": ("mean", "mean", 0.3, ()),
    "remark target_jump": ("cursor", "cursor", 0.8, ()),
    "wires": (None, "rule", 0.2, ()),
    "features": (None, "muted", 0.5, ()),
}


def _look(style: str) -> tuple[str | None, str | None, float, tuple[float, ...]]:
    if style.startswith("level-"):
        return "l" + style.removeprefix("level-"), None, 0, ()
    known = _LOOKS.get(style) or _LOOKS.get(style.split()[0])
    return known if known is not None else (None, "mean", 0.8, ())


def _steps(data: str) -> Iterator[tuple[str, float, float]]:
    """The points of SVG path data as this package writes it (M, l, h, v, z): (command, x, y) in absolute numbers."""
    x = y = 0.0
    for letter, numbers in re.findall(r"([MlhvzZ])([^MlhvzZ]*)", data):
        values = [float(value) for value in re.findall(r"-?[\d.]+", numbers)]
        if letter in "zZ":
            yield "z", x, y
        elif letter == "M":
            x, y = values
            yield "M", x, y
        elif letter == "l":
            for dx, dy in zip(values[::2], values[1::2], strict=True):
                x, y = x + dx, y + dy
                yield "l", x, y
        else:
            x, y = (x + values[0], y) if letter == "h" else (x, y + values[0])
            yield "l", x, y


def draw_path(
    canvas: Canvas, data: str, style: str, box: tuple[float, float, float, float], size: tuple[int, int]
) -> None:
    """One path in the look of its class. ``box``: left, bottom, width, height on paper; ``size``: of the drawing."""
    if not data:
        return
    fill, stroke, width, dash = _look(style)
    left, bottom, across, up = box
    path = canvas.beginPath()
    for command, x, y in _steps(data):
        at = left + x / size[0] * across, bottom + up - y / size[1] * up
        if command == "z":
            path.close()
        elif command == "M":
            path.moveTo(*at)
        else:
            path.lineTo(*at)
    if fill is not None:
        canvas.setFillColor(colour(fill))
    if stroke is not None:
        canvas.setStrokeColor(colour(stroke))
        canvas.setLineWidth(width)
        canvas.setDash(*([list(dash)] if dash else []))
        canvas.setLineJoin(1)
    canvas.drawPath(path, stroke=int(stroke is not None), fill=int(fill is not None))
    canvas.setDash()


def _fit(text: str, width: float, font: str = PLAIN) -> str:
    """The text, cut short with "…" where it is too long."""
    if pdfmetrics.stringWidth(text, font, SIZE) <= width:
        return text
    while text and pdfmetrics.stringWidth(text + "…", font, SIZE) > width:
        text = text[:-1]
    return text + "…"


class Course(Flowable):  # type: ignore[misc]
    """The timeline: its lanes from top to bottom with their labels, the time below."""

    def __init__(self, course: Timeline, width: float) -> None:
        super().__init__()
        self._course, self.width = course, width
        self._heights = [_height(lane) for lane in course.lanes]
        self.height = sum(self._heights) + GAP * len(self._heights) + AXIS

    def draw(self) -> None:
        """Called by reportlab."""
        canvas, top = self.canv, self.height
        first = next((lane for name in ("score", "pspi") for lane in self._course.lanes if lane.name == name), None)
        for lane, height in zip(self._course.lanes, self._heights, strict=True):
            box = (LABEL, top - height, self.width - LABEL, height)
            self._lane(canvas, lane, box)
            if lane is first:
                for x, number in self._course.marks:
                    _mark(canvas, LABEL + x / 100 * box[2], top - 2 * mm, number)
            top -= height + GAP
        canvas.setFont(PLAIN, SIZE)
        canvas.setFillColor(colour("muted"))
        canvas.setStrokeColor(colour("muted"))
        canvas.setLineWidth(0.5)
        for x, text in self._course.ticks:
            at = LABEL + x / 100 * (self.width - LABEL)
            canvas.line(at, top + GAP, at, top + GAP - 1.2 * mm)
            write = canvas.drawString if x < 3 else canvas.drawRightString if x > 96 else canvas.drawCentredString
            write(at, top + GAP - 4 * mm, text)

    def _lane(self, canvas: Canvas, lane: Lane, box: tuple[float, float, float, float]) -> None:
        left, bottom, across, up = box
        if lane.name in ("sounds", "voiced"):
            canvas.setFillColor(colour("soft"))
            canvas.rect(left, bottom, across, up, stroke=0, fill=1)
        for style, data in lane.paths:
            draw_path(canvas, data, style, box, (WIDTH, lane.height))
        if lane.name == "pspi" and self._course.above_3 is not None:
            y = bottom + up * (1 - self._course.above_3 / 100)
            canvas.setStrokeColor(colour("muted"))
            canvas.setLineWidth(0.5)
            canvas.setDash([2.5, 2])
            canvas.line(left, y, left + across, y)
            canvas.setDash()
            canvas.setFont(PLAIN, SIZE)
            canvas.setFillColor(colour("muted"))
            canvas.drawRightString(left - 1.5, y - 2, "3")
        for area in lane.areas:
            _hatch(canvas, area, box)
        canvas.setStrokeColor(colour("rule"))
        canvas.setLineWidth(0.4)
        canvas.line(left, bottom, left + across, bottom)
        self._labels(canvas, lane, bottom, up)

    def _labels(self, canvas: Canvas, lane: Lane, bottom: float, up: float) -> None:
        if lane.rows:
            step = up / len(lane.rows)
            for k, (code, text) in enumerate(lane.rows):
                y = bottom + up - (k + 1) * step + step * 0.28
                used = _label(canvas, code, y) if code else 0.0
                canvas.setFont(PLAIN, SIZE)
                canvas.setFillColor(colour("muted"))
                canvas.drawString(used, y, _fit(text, LABEL - used - 4))
            return
        used = _label(canvas, lane.label, bottom + up - SIZE)
        canvas.setFont(PLAIN, SIZE)
        canvas.setFillColor(colour("muted"))
        canvas.drawString(used, bottom + up - SIZE, _fit(lane.note, LABEL - used - 12))
        if lane.top:
            canvas.drawRightString(LABEL - 1.5, bottom + up - SIZE + 1, lane.top)
            canvas.drawRightString(LABEL - 1.5, bottom + 0.5, lane.bottom)


def _height(lane: Lane) -> float:
    return float(ROW * len(lane.rows) if lane.rows else CURVES.get(lane.name, OTHER_CURVE))


def _label(canvas: Canvas, text: str, y: float) -> float:
    """Write a bold label and return where what follows may begin."""
    canvas.setFont(BOLD, SIZE)
    canvas.setFillColor(colour("ink"))
    canvas.drawString(0, y, text)
    return float(pdfmetrics.stringWidth(text + " ", BOLD, SIZE)) + 1


def _mark(canvas: Canvas, x: float, y: float, number: int) -> None:
    canvas.setFillColor(colour("paper"))
    canvas.setStrokeColor(colour("cursor"))
    canvas.setLineWidth(0.8)
    canvas.circle(x, y, 1.9 * mm, stroke=1, fill=1)
    canvas.setFillColor(colour("ink"))
    canvas.setFont(BOLD, 6.5)
    canvas.drawCentredString(x, y - 2.3, str(number))


def _hatch(canvas: Canvas, area: Area, box: tuple[float, float, float, float]) -> None:
    """Dense rising lines on grey where nothing could be used, light falling ones where it is uncertain."""
    left, bottom, across, up = box
    x, width = left + area.x / 100 * across, max(area.width / 100 * across, 0.3)
    unusable = area.kind == "unusable"
    canvas.saveState()
    path = canvas.beginPath()
    path.rect(x, bottom, width, up)
    canvas.clipPath(path, stroke=0, fill=0)
    if unusable:
        canvas.setFillColor(colour("hatch-ground"))
        canvas.rect(x, bottom, width, up, stroke=0, fill=1)
    canvas.setStrokeColor(colour("hatch"))
    canvas.setLineWidth(0.9 if unusable else 0.4)
    distance = 3.6 if unusable else 4.4
    at = x - up
    while at < x + width:
        canvas.line(at, bottom if unusable else bottom + up, at + up, bottom + up if unusable else bottom)
        at += distance
    canvas.restoreState()


class Ruler(Flowable):  # type: ignore[misc]
    """A measure on its scale: the mean with its interval, and the highest value, None where there is no course."""

    def __init__(
        self, width: float, ticks: tuple[int, ...], ends: tuple[float, float], mean: float, peak: float | None
    ) -> None:
        super().__init__()
        self.width, self.height = width, 13 * mm
        self._ticks, self._ends, self._mean, self._peak = ticks, ends, mean, peak

    def draw(self) -> None:
        """Called by reportlab."""
        canvas, y, top = self.canv, 5 * mm, self._ticks[-1]

        def at(value: float) -> float:
            return value / top * self.width

        def write(value: float, height: float, text: str) -> None:
            canvas.setFont(PLAIN, SIZE)
            canvas.setFillColor(colour("muted"))
            near = canvas.drawString if value < top / 16 else canvas.drawCentredString
            (canvas.drawRightString if value > 0.94 * top else near)(at(value), height, text)

        canvas.setFillColor(colour("soft"))
        canvas.rect(0, y, self.width, 2 * mm, stroke=0, fill=1)
        canvas.setFillColor(colour("band"))
        low, high = self._ends
        canvas.rect(at(low), y - 0.7 * mm, at(max(high - low, top / 160)), 3.4 * mm, stroke=0, fill=1)
        for tick in self._ticks:
            write(tick, y - 4 * mm, str(tick))
        self._line(at(self._mean), y, "mean", 1.6)
        write(self._mean, y + 4.4 * mm, "mean" if self._peak is not None else "this picture")
        if self._peak is not None:
            self._line(at(self._peak), y, "cursor", 1.2)
            if self._peak - self._mean > top / 10:
                write(self._peak, y + 4.4 * mm, "highest")

    def _line(self, x: float, y: float, ink: str, width: float) -> None:
        self.canv.setStrokeColor(colour(ink))
        self.canv.setLineWidth(width)
        self.canv.line(x, y - 1.2 * mm, x, y + 3.2 * mm)


class Mesh(Flowable):  # type: ignore[misc]
    """The face at a peak as a mesh, the active regions coloured."""

    def __init__(self, mesh: MeshDrawing, width: float) -> None:
        super().__init__()
        self._mesh = mesh
        self.width, self.height = width, width * mesh.height / mesh.width

    def draw(self) -> None:
        """Called by reportlab."""
        mesh, box = self._mesh, (0.0, 0.0, self.width, self.height)
        size = mesh.width, mesh.height
        draw_path(self.canv, mesh.wires, "wires", box, size)
        for step, data in mesh.shaded:
            draw_path(self.canv, data, f"level-{step}", box, size)
        draw_path(self.canv, mesh.features, "features", box, size)
