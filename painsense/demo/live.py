"""The live page: its markup. ``static/live.js`` runs it, and talks with :mod:`painsense.demo.live_socket`."""

from __future__ import annotations

import gradio as gr

from painsense.demo import Demo
from painsense.demo.timeline import environment
from painsense.live import REST_S

TRACE_S = 60


def build(app: Demo) -> None:
    """Add the page to the tab that is being built."""
    markup = environment().get_template("live.html.j2")
    minutes = f"{app.limits.max_minutes:g}"
    gr.HTML(
        markup.render(rest_s=round(REST_S), trace_s=TRACE_S, minutes=minutes), elem_id="ps-live-page", padding=False
    )
