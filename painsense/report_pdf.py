"""Report -> PDF: result, course over time, peaks, coverage. Made with reportlab (BSD licence), from the report alone.

The lanes, meshes and words are those of the HTML report; :mod:`painsense.report_pdf_draw` puts them on paper. The same
report gives the same bytes.
"""

from __future__ import annotations

import io
from xml.sax.saxutils import escape

from reportlab.lib.pagesizes import A4
from reportlab.lib.styles import ParagraphStyle
from reportlab.lib.units import mm
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.ttfonts import TTFont
from reportlab.pdfgen.canvas import Canvas
from reportlab.platypus import (
    BaseDocTemplate,
    CondPageBreak,
    Flowable,
    Frame,
    KeepTogether,
    PageTemplate,
    Paragraph,
    Spacer,
    Table,
)

from painsense import glossary, report_view, report_voice, words
from painsense.report import Report, file_name
from painsense.report_lanes import timeline
from painsense.report_pdf_draw import BOLD, PLAIN, Course, Mesh, Ruler, colour

MARGIN, FOOT = 15 * mm, 16 * mm
WIDTH = A4[0] - 2 * MARGIN
#: Rows of the table of what could be seen and heard: the rest stands in the HTML report
MOST_ROWS = 12


def _style(
    name: str, size: float, *, bold: bool = False, ink: str = "ink", before: float = 0, after: float = 2
) -> ParagraphStyle:
    return ParagraphStyle(
        name,
        fontName=BOLD if bold else PLAIN,
        fontSize=size,
        leading=size * 1.35,
        textColor=colour(ink),
        spaceBefore=before,
        spaceAfter=after,
    )


BODY, NOTE = _style("body", 9), _style("note", 8, ink="muted")
TITLE, HEADING = _style("title", 18, bold=True, after=5), _style("heading", 11.5, bold=True, before=8, after=4)
STRONG, SMALL = _style("strong", 9, bold=True), _style("small", 7, ink="muted")
FIGURE = _style("figure", 16, bold=True, after=0)


def to_pdf(report: Report) -> bytes:
    """The report as the bytes of a PDF: A4, fonts inside, no picture of the person, no path of this machine."""
    for name, file in ((PLAIN, "Vera.ttf"), (BOLD, "VeraBd.ttf")):  # the fonts that come with reportlab
        if name not in pdfmetrics.getRegisteredFontNames():
            pdfmetrics.registerFont(TTFont(name, file))
    name = file_name(report.media.file)
    out = io.BytesIO()
    document = BaseDocTemplate(
        out,
        pagesize=A4,
        title=_known(f"{name} – pain expression report"),
        author=f"painsense {report.software.painsense}",
        subject="What face and voice show in one recording",
        creator=f"painsense {report.software.painsense}",
        lang="en",
        invariant=1,
    )

    def foot(canvas: Canvas, _: object) -> None:
        canvas.setFont(PLAIN, 7)
        canvas.setFillColor(colour("muted"))
        canvas.drawString(MARGIN, 10 * mm, _known(f"{name} · painsense {report.software.painsense}")[:110])
        canvas.drawRightString(A4[0] - MARGIN, 10 * mm, f"page {canvas.getPageNumber()}")

    room = Frame(MARGIN, FOOT, WIDTH, A4[1] - MARGIN - FOOT, 0, 0, 0, 0)
    document.addPageTemplates(PageTemplate(frames=[room], onPage=foot))
    story = [*_verdict(report, name), *_course(report), *_peaks(report), *_voice(report), *_coverage(report)]
    document.build([*story, *_stamp(report)])
    return out.getvalue()


def _known(text: str) -> str:
    """The text with "?" for what the font cannot show, so that no empty box stands there."""
    glyphs = pdfmetrics.getFont(PLAIN).face.charToGlyph
    return "".join(letter if ord(letter) in glyphs or letter.isspace() else "?" for letter in text)


def _p(text: str, style: ParagraphStyle = BODY) -> Paragraph:
    return Paragraph(escape(_known(text)), style)


def _verdict(report: Report, name: str) -> list[Flowable]:
    clip = report.clip
    parts: list[Flowable] = [
        _p("painsense · pain expression report", NOTE),
        _p(name, STRONG),
        _p(" · ".join(report_view.facts(report)), NOTE),
        Spacer(1, 3 * mm),
        _p(words.headline(clip), TITLE),
    ]
    if clip.verdict == "not_enough_evidence":
        parts.append(_p(report_view.NO_FINDING))
        parts += [_p(f"– {why.text} {why.remedy}") for why in report_view.hindrances(report)]
    elif clip.score is None and clip.pspi is not None:
        parts.append(_p(words.level(clip.pspi).text))
    parts += _figures(report)
    if clip.verdict == "scored" and clip.score is None and clip.score_reason:
        parts.append(_p(words.reason_words(clip.score_reason).text))
    parts.append(_p(words.SUPPORT_LINE, STRONG))
    if seen := report_view.seen(report):
        parts.append(_p(seen))
    if report.quality.warnings:
        parts.append(_p("Please note", STRONG))
        parts += [_p("– " + words.sentence(warning)) for warning in report.quality.warnings]
    return parts


def _figures(report: Report) -> list[Flowable]:
    """The numbers as tiles, and the score, else PSPI, on its scale."""
    score, pspi, still = report.clip.score, report.clip.pspi, report.media.still
    tiles = []
    if score is not None:
        tiles.append(("Mean score of 10", score.value, f"90% interval {score.low:.1f} to {score.high:.1f}"))
        ends = f"{score.peak_low:.1f} to {score.peak_high:.1f}, at {words.clock(score.peak_s)}"
        tiles.append(("Highest score", score.peak, ends))
    if pspi is not None:
        ends = f"90% interval {pspi.mean_low:.1f} to {pspi.mean_high:.1f}"
        tiles.append(("PSPI of 16" if still else "Mean PSPI of 16", pspi.mean, ends))
        if not still:
            above = f"above 3: {report_view.share(pspi.share_above_3)} of the usable time"
            tiles.append(("Highest PSPI", pspi.peak, f"at {words.clock(pspi.peak_s)}; {above}"))
    if not tiles:
        return []
    cells = [[_p(label, NOTE), _p(f"{value:.1f}", FIGURE), _p(detail, NOTE)] for label, value, detail in tiles]
    table = Table([cells], colWidths=[WIDTH / len(tiles)] * len(tiles))
    table.setStyle([("VALIGN", (0, 0), (-1, -1), "TOP"), ("LEFTPADDING", (0, 0), (-1, -1), 0)])
    parts: list[Flowable] = [table]
    if score is not None:
        parts.append(Ruler(WIDTH, (0, 2, 4, 6, 8, 10), (score.low, score.high), score.value, score.peak))
    elif pspi is not None:
        ends_of_mean = pspi.mean_low, pspi.mean_high
        parts.append(Ruler(WIDTH, (0, 3, 6, 9, 12, 16), ends_of_mean, pspi.mean, None if still else pspi.peak))
    if report.scale is not None:
        parts.append(_p(words.scale_text(report.scale), NOTE))
    return [*parts, Spacer(1, 2 * mm)]


def _course(report: Report) -> list[Flowable]:
    course = None if report.media.still else timeline(report)
    if course is None:
        return []
    notes = ["line and band: value and 90% interval"] if course.above_3 is not None else []
    if course.has_uncertain:
        notes.append("light hatching: uncertain, the interval is wide and reaches below 3")
    if course.has_unusable:
        notes.append("dense hatching on grey: not usable")
    if course.has_rest_band:
        notes.append("green band: the voice at rest, 5th to 95th percentile")
    if any(lane.name == "heat" for lane in course.lanes):
        notes.append("darker: stronger movement (0.5 to 5)")
    told = _p(words.sentence("; ".join(notes)), NOTE)
    return [KeepTogether([_p("Course over time", HEADING), Course(course, WIDTH), told])]


def _peaks(report: Report) -> list[Flowable]:
    views = report_view.peaks(report)
    if not views:
        return []
    heading = _p("What the face shows" if report.media.still else "Moments of strongest expression", HEADING)
    parts: list[Flowable] = []
    for number, view in enumerate(views, 1):
        peak = view.peak
        head = "This picture" if report.media.still else f"Peak {number} at {words.clock(peak.time_s)}"
        values = [f"PSPI {peak.pspi:.1f} of 16"] if peak.pspi is not None else []
        values += [f"score {peak.score:.1f} of 10"] if peak.score is not None else []
        said = [_p(head, STRONG), _p(" · ".join(values)), _p(words.sentence(view.text))]
        if peak.voice_change is not None:
            said.append(_p(f"Voice: {peak.voice_change.text}", NOTE))
        drawing = Mesh(view.mesh, 20 * mm) if view.mesh is not None else Spacer(1, 1)
        row = Table([[drawing, said]], colWidths=[24 * mm, WIDTH - 24 * mm])
        row.setStyle([("VALIGN", (0, 0), (-1, -1), "TOP"), ("LEFTPADDING", (0, 0), (-1, -1), 0)])
        parts.append(KeepTogether([heading, row]) if number == 1 else row)
    return [*parts, _p(report_view.MIRRORED, NOTE)]


def _voice(report: Report) -> list[Flowable]:
    view = report_voice.view(report)
    if view is None:
        return []
    found = view.evidence
    told = [
        f"{words.sentence(c.text)} ({words.clock(c.start_s)} to {words.clock(c.end_s)})"
        for c in found.strongest.changes
    ]
    lines = [_p(line) for line in told or [words.sentence(found.strongest.text)]]
    return [KeepTogether([_p("What the voice shows", HEADING), *lines, _p(words.sentence(found.why), NOTE)])]


def _coverage(report: Report) -> list[Flowable]:
    if report.media.still:
        return []
    rows = report_view.coverage(report).rows
    lines = [
        [
            _p(row.label, STRONG),
            _p(f"{row.times} ×" if row.times is not None else words.duration(row.seconds)),
            _p(report_view.share(row.share)),
            _p(f"{row.text} {row.remedy}".strip(), NOTE),
        ]
        for row in rows[:MOST_ROWS]
    ]
    if not lines:
        return []
    table = Table(lines, colWidths=[38 * mm, 22 * mm, 20 * mm, WIDTH - 80 * mm])
    table.setStyle(
        [
            ("VALIGN", (0, 0), (-1, -1), "TOP"),
            ("LINEABOVE", (0, 0), (-1, -1), 0.4, colour("rule")),
            ("TOPPADDING", (0, 0), (-1, -1), 2),
            ("BOTTOMPADDING", (0, 0), (-1, -1), 2),
            ("LEFTPADDING", (0, 0), (0, -1), 0),
        ]
    )
    return [CondPageBreak(40 * mm), _p("What could be seen and heard", HEADING), table, _p(report_view.LEFT_OUT, NOTE)]


def _stamp(report: Report) -> list[Flowable]:
    software = report.software
    models = "; ".join(f"{model.name} {model.version} (SHA-256 {model.sha256[:16]}…)" for model in software.models)
    lines = [f"Software: painsense {software.painsense}, {software.face_engine}, provider {software.provider}."]
    if models:
        lines.append(f"Models: {models}.")
    if report.media.sha256:
        lines.append(f"Recording: SHA-256 {report.media.sha256}.")
    limits = [_p("– " + limit, SMALL) for limit in glossary.LIMITS]
    return [
        CondPageBreak(50 * mm),
        _p("How it was measured", HEADING),
        *(_p(line, SMALL) for line in lines),
        _p("Limits of use", HEADING),
        *limits,
    ]
