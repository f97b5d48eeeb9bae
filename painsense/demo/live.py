"""The live page: its markup. ``static/live.js`` runs it, and talks with :mod:`painsense.demo.live_socket`."""

from __future__ import annotations

import gradio as gr

from painsense.demo import Demo
from painsense.live import REST_S
from painsense.report_markup import environment

TRACE_S = 60


def build(app: Demo) -> None:
    """Add the page to the tab that is being built."""
    markup = environment("painsense.demo").get_template("live.html.j2")
    minutes = f"{app.limits.max_minutes:g}"
    html = markup.render(rest_s=round(REST_S), trace_s=TRACE_S, minutes=minutes)
    # without Gradio's styles for running text, which would change how the summary looks
    gr.HTML(html, elem_id="ps-live-page", padding=False, apply_default_css=False)
