"""A recording's player and timeline as HTML, for the HTML report and for the demo; and how templates are read.

What is drawn comes from :mod:`painsense.report_lanes`. ``templates/timeline.html.j2`` says where it stands,
``timeline.css`` how it looks, ``timeline.js`` moves the cursor. Several can stand on one page, each with a prefix.
"""

from __future__ import annotations

import functools
import json

import jinja2
from markupsafe import Markup

from painsense import words
from painsense.report import Report, file_name
from painsense.report_lanes import timeline
from painsense.report_mesh import STEPS

#: Lanes that carry the numbers of the peaks: the first of these that there is
CURVES = ("score", "pspi")


@functools.cache
def environment(*packages: str) -> jinja2.Environment:
    """The templates of these packages, and those of painsense itself; every value is escaped."""
    made = jinja2.Environment(
        loader=jinja2.ChoiceLoader([jinja2.PackageLoader(name, "templates") for name in (*packages, "painsense")]),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters["clock"] = words.clock
    made.filters["duration"] = words.duration
    return made


def course(report: Report, source: str | None, prefix: str, unplayable: str) -> Markup:
    """A recording's player and timeline; empty for a picture, and where nothing was measured over time.

    Parameters
    ----------
    source : where the page finds the recording; None shows the timeline alone
    prefix : begins every id, so that several timelines can stand on one page; letters, digits and "-"
    unplayable : what is said where the player would be when the browser cannot play the recording

    A button with ``data-seek="12.3"`` and ``data-course="PREFIX"`` anywhere on the page goes to that second.
    """
    drawn = None if report.media.still else timeline(report)
    if drawn is None:
        return Markup("")
    marked = next((lane for name in CURVES for lane in drawn.lanes if lane.name == name), None)
    return Markup(
        environment()
        .get_template("timeline.html.j2")
        .render(
            report=report,
            name=file_name(report.media.file),
            source=source,
            prefix=prefix,
            unplayable=unplayable,
            timeline=drawn,
            marked=marked,
            rested=report.voice is not None and report.voice.compared_with in ("rest_clip", "saved"),
            steps=range(1, STEPS + 1),
            data=json.dumps(drawn.data, separators=(",", ":"), allow_nan=False),
        )
    )
