"""The page: four tabs, each built by its own module, and the look of it. The HTML around it is in ``frame.py``."""

from __future__ import annotations

from html import escape
from inspect import signature

import gradio as gr

from painsense.demo import Demo, about, compare, live, recording, sessions

TITLE = "painsense: pain expression in face and voice"
FONTS = ["system-ui", "-apple-system", "Segoe UI", "Roboto", "Noto Sans", "DejaVu Sans", "Arial", "sans-serif"]
MONO = ["ui-monospace", "Menlo", "Consolas", "DejaVu Sans Mono", "monospace"]

#: Gradio's colours in terms of those in static/app.css, which know light and dark
COLOURS = {
    "var(--page)": ("background_fill_secondary", "code_background_fill", "table_odd_background_fill"),
    "var(--paper)": (
        *("background_fill_primary", "block_background_fill", "block_label_background_fill", "panel_background_fill"),
        *("input_background_fill", "input_background_fill_focus", "input_background_fill_hover"),
        *("checkbox_background_color", "checkbox_background_color_focus", "checkbox_background_color_hover"),
        *("checkbox_label_background_fill", "table_even_background_fill", "stat_background_fill"),
        *("button_secondary_background_fill", "error_background_fill"),
    ),
    "var(--ink)": (
        *("block_label_text_color", "block_title_text_color", "accordion_text_color", "table_text_color"),
        *("checkbox_label_text_color", "checkbox_label_text_color_selected"),
        *("button_secondary_text_color", "button_secondary_text_color_hover", "error_text_color"),
    ),
    "var(--muted)": ("body_text_color_subdued", "block_info_text_color", "input_placeholder_color"),
    "var(--soft)": (
        *("color_accent_soft", "checkbox_label_background_fill_hover", "checkbox_label_background_fill_selected"),
        *("button_secondary_background_fill_hover", "table_row_focus"),
    ),
    "var(--rule)": (
        *("border_color_primary", "block_border_color", "block_label_border_color", "panel_border_color"),
        *("table_border_color", "border_color_accent_subdued"),
    ),
    "var(--hatch)": (  # what one types into or presses has to stand out from the ground by 3 to 1
        *("input_border_color", "input_border_color_hover", "checkbox_border_color", "checkbox_border_color_hover"),
        *("checkbox_label_border_color", "checkbox_label_border_color_hover"),
        *("button_secondary_border_color", "button_secondary_border_color_hover"),
    ),
    "var(--accent)": (
        *("border_color_accent", "loader_color", "slider_color", "input_border_color_focus"),
        *("link_text_color", "link_text_color_active", "link_text_color_hover", "link_text_color_visited"),
        *("checkbox_background_color_selected", "checkbox_border_color_focus", "checkbox_border_color_selected"),
        *("button_primary_background_fill", "button_primary_background_fill_hover"),
        *("button_primary_border_color", "button_primary_border_color_hover"),
    ),
    "var(--accent-ink)": ("button_primary_text_color", "button_primary_text_color_hover"),
    "var(--bad)": (
        *("error_border_color", "error_icon_color", "button_cancel_text_color", "button_cancel_text_color_hover"),
        *("button_cancel_border_color", "button_cancel_border_color_hover"),
    ),
}


def build(app: Demo) -> gr.Blocks:
    """The whole page. Each tab's module adds its own content and events."""
    blocks: gr.Blocks
    with gr.Blocks(title=TITLE, analytics_enabled=False, delete_cache=(60, 3600)) as blocks:
        # what the scripts of the page need to know of its session
        whose = gr.HTML(elem_id="ps-whose", padding=False)
        with gr.Tabs(elem_id="ps-tabs"):
            for name, page in (("Recording", recording), ("Live", live), ("Compare", compare), ("About", about)):
                # every tab is there from the start: a page's script finds its parts, and a shut tab keeps its state
                with gr.Tab(name, id=name.lower(), elem_id=f"ps-{name.lower()}", render_children=True):
                    page.build(app)
        blocks.load(_whose, outputs=whose, api_visibility="private", show_progress="hidden")
        # with an event for it, the page keeps a heartbeat connected, by which the guard knows that it is still there
        blocks.unload(_gone)
    return blocks


def theme() -> gr.themes.Base:
    """Fonts of the system, and our colours."""
    made = gr.themes.Base(font=FONTS, font_mono=MONO, text_size=gr.themes.sizes.text_lg)
    known = signature(made.set).parameters
    chosen = {name: colour for colour, names in COLOURS.items() for name in names}
    # these two are needed before app.css is there
    both = {f"{name}_dark": colour for name, colour in chosen.items() if f"{name}_dark" in known} | chosen
    return made.set(
        **both,
        body_background_fill="#f4f5f7",
        body_background_fill_dark="#11151b",
        body_text_color="#1a222d",
        body_text_color_dark="#e8ebf0",
        button_cancel_background_fill="var(--paper)",
        button_cancel_background_fill_dark="var(--paper)",
        button_cancel_background_fill_hover="var(--soft)",
        button_cancel_background_fill_hover_dark="var(--soft)",
        block_shadow="none",
        block_shadow_dark="none",
        input_shadow="none",
        input_shadow_dark="none",
        button_primary_shadow="none",
        button_secondary_shadow="none",
    )


def _whose(request: gr.Request) -> str:
    return f'<div id="painsense-session" data-id="{escape(sessions.of(request).id)}" hidden></div>'


def _gone() -> None:
    """Nothing: a session ends when its heartbeat stays away."""
