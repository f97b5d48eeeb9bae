"""The timeline under a recording: the lanes of the HTML report, with a player above that follows the cursor.

What is drawn comes from :mod:`painsense.report_lanes`; ``static/timeline.js`` moves the cursor. Several can stand on
one page, each with a prefix of its own.
"""

from __future__ import annotations

import functools
import json

import jinja2

from painsense import words
from painsense.report import Report, file_name
from painsense.report_lanes import timeline
from painsense.report_mesh import STEPS

#: Lanes that carry the numbers of the peaks: the first of these that there is
CURVES = ("score", "pspi")


@functools.cache
def environment() -> jinja2.Environment:
    """The templates of the demo; every value is escaped."""
    made = jinja2.Environment(
        loader=jinja2.PackageLoader("painsense.demo", "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters["clock"] = words.clock
    made.filters["duration"] = words.duration
    return made


def html(report: Report, source_url: str | None, prefix: str) -> str:
    """A recording's player and timeline as HTML; empty for a picture, and where nothing was measured over time.

    Parameters
    ----------
    source_url : where the page finds the recording; None shows the timeline alone
    prefix : begins every id, so that several timelines can stand on one page; letters, digits and "-"

    A button with ``data-seek="12.3"`` and ``data-course="PREFIX"`` anywhere on the page goes to that second.
    """
    course = None if report.media.still else timeline(report)
    if course is None:
        return ""
    first = next((lane for name in CURVES for lane in course.lanes if lane.name == name), None)
    return (
        environment()
        .get_template("timeline.html.j2")
        .render(
            report=report,
            name=file_name(report.media.file),
            source=source_url,
            prefix=prefix,
            timeline=course,
            curve=first,
            rested=report.voice is not None and report.voice.compared_with in ("rest_clip", "saved"),
            steps=range(1, STEPS + 1),
            data=json.dumps(course.data, separators=(",", ":"), allow_nan=False),
        )
    )
