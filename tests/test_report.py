"""A report as JSON and as a page, and its words."""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import json
import os
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest
from make_report import (
    make_refusal,
    make_report,
    make_still,
    make_voice_only,
)

from painsense import glossary, words
from painsense import report as report_module
from painsense.report import MediaSummary, PspiSummary, Report, schema
from painsense.report_html import to_html
from painsense.tracks import Reason

KINDS: dict[str, Callable[[], Report]] = {
    "scored": make_report,
    "fused": lambda: make_report(fused=True),
    "silent film": lambda: make_report(voice=False),
    "refused": make_refusal,
    "voice only": make_voice_only,
    "still": make_still,
}


@pytest.fixture(scope="module")
def report() -> Report:
    return make_report()


# ------------------------------------------------------------------------------------------------------------ JSON


@pytest.mark.parametrize("kind", KINDS)
def test_json_follows_the_schema(kind: str) -> None:
    jsonschema.Draft202012Validator(schema()).validate(json.loads(KINDS[kind]().to_json()))


def test_schema_is_a_schema_and_describes_every_key() -> None:
    jsonschema.Draft202012Validator.check_schema(schema())

    def undescribed(part: Any, path: str) -> Iterator[str]:
        for key, value in part.get("properties", {}).items():
            if "description" not in value:
                yield f"{path}.{key}"
            yield from undescribed(value, f"{path}.{key}")
            yield from undescribed(value.get("items", {}), f"{path}.{key}[]")

    for part in (schema(), *schema()["$defs"].values()):
        assert list(undescribed(part, "")) == []


def test_schema_and_dataclasses_name_the_same_keys_in_the_same_order(report: Report) -> None:
    def keys(part: Any) -> Any:
        for one in (part, *part.get("anyOf", ())):
            if "$ref" in one:
                part = schema()["$defs"][one["$ref"].rpartition("/")[2]]
        if "properties" in part:
            return {key: keys(value) for key, value in part["properties"].items()}
        return keys(part["items"]) if "properties" in part.get("items", {}) else None

    def names(value: Any) -> Any:
        if dataclasses.is_dataclass(value):
            return {f.name: names(getattr(value, f.name)) for f in dataclasses.fields(value)}
        return names(value[0]) if isinstance(value, tuple) and value and dataclasses.is_dataclass(value[0]) else None

    fused = make_report(fused=True)
    expected = names(replace(report, clip=fused.clip, scale=fused.scale, rests_on=fused.rests_on))
    for internal in ("tracks", "pictures", "mesh_triangles"):
        del expected[internal]
    assert keys(schema()) == expected
    assert list(report.to_dict()) == list(schema()["properties"])


def broken(change: Callable[[dict[str, Any]], None]) -> dict[str, Any]:
    content = make_report().to_dict()
    change(content)
    return content


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda c: c.update(mood="calm"), "Additional properties"),
        (lambda c: c["windows"][0].update(emotion="none"), "Additional properties"),
        (lambda c: c["clip"]["pspi"].update(mean=None), "None is not of type 'number'"),
        (lambda c: c["clip"]["pspi"].update(mean=16.5), "greater than the maximum"),
        (lambda c: c["clip"].update(verdict="not_enough_evidence"), "non-empty"),
        (lambda c: c["clip"].update(score_reason=None), "None is not of type 'string'"),
        (lambda c: c["media"].pop("sha256"), "required property"),
        (lambda c: c.update(schema="painsense.report/2"), "was expected"),
    ],
)
def test_schema_refuses(change: Callable[[dict[str, Any]], None], message: str) -> None:
    with pytest.raises(jsonschema.ValidationError, match=message):
        jsonschema.Draft202012Validator(schema()).validate(broken(change))


def test_missing_numbers_are_null_and_numbers_are_rounded(report: Report) -> None:
    window = replace(report.windows[0], pspi=float("nan"), pspi_low=np.float32("nan"), start_s=1 / 3, voiced_share=-0.0)
    peak = replace(report.peaks[0], voice={"f0_hz": float("inf")}, pspi=np.float64(2.000049))
    text = replace(report, windows=(window,), peaks=(peak,)).to_json()
    content = json.loads(text)
    assert (content["windows"][0]["pspi"], content["windows"][0]["pspi_low"]) == (None, None)
    assert content["windows"][0]["start_s"] == 0.3333
    assert '"voiced_share": 0.0' in text
    assert content["peaks"][0]["voice"] == {"f0_hz": None}
    assert content["peaks"][0]["pspi"] == 2.0
    assert "NaN" not in text and "Infinity" not in text


def test_no_folder_of_this_machine_is_told(report: Report, tmp_path: Path) -> None:
    secret = "/home/anna.patient/videos"
    settings = {"baseline": f"{secret}/rest.mp4", "face_model": Path(secret) / "model.task", "rest": "anna/rest.json"}
    told = replace(
        report,
        media=replace(report.media, file=f"{secret}/clip.mp4"),
        baseline=replace(report.baseline, kind="rest_clip", source=r"C:\Users\anna.patient\rest.mp4"),
        software=replace(report.software, settings=settings),
    )
    content = told.to_dict()
    assert content["media"]["file"] == "clip.mp4"
    assert content["baseline"]["source"] == "rest.mp4"
    assert content["software"]["settings"] == {"baseline": "rest.mp4", "face_model": "model.task", "rest": "rest.json"}
    for path in told.write(tmp_path, stem="clip"):
        assert b"anna" not in path.read_bytes(), path.name


def test_a_sentence_with_a_slash_is_no_path(report: Report) -> None:
    source = "10th/25th percentile of this recording"
    assert replace(report, baseline=replace(report.baseline, source=source)).to_dict()["baseline"]["source"] == source


def test_a_name_that_is_no_unicode_can_be_written(report: Report, tmp_path: Path) -> None:
    name = os.fsdecode(b"caf\xe9.mp4")  # Latin-1 bytes, as an old disk may hold
    written = replace(report, media=replace(report.media, file=name)).write(tmp_path, ("json", "html"), stem="cafe")
    assert json.loads(written[0].read_text("utf-8"))["media"]["file"] == "caf?.mp4"
    assert 'src="caf%E9.mp4"' in written[1].read_text("utf-8")


# ------------------------------------------------------------------------------------------------------------ words


def summary(share: float, run_s: float) -> PspiSummary:
    return PspiSummary(1.0, 0.5, 1.5, 3.0, 4.0, 1.0, share, run_s)


@pytest.mark.parametrize(
    ("share", "run_s", "name"),
    [
        (0.0, 0.0, "low"),
        (0.05, 0.4, "low"),
        (0.05, 0.5, "brief"),
        (0.1, 0.5, "repeated"),
        (0.3, 9, "lasting"),
        (1.0, 0.0, "clear"),
    ],
)
def test_level_in_words(share: float, run_s: float, name: str) -> None:
    assert words.level(summary(share, run_s)).name == name


def test_headline() -> None:
    assert words.headline(make_refusal().clip) == "Not enough evidence for a result"
    assert words.headline(make_report(fused=True).clip) == "Pain expression score: 5.2 of 10, at its highest 8.1"
    assert words.headline(make_report().clip) == "Pain expression: repeated"
    assert words.headline(make_still().clip) == "Pain expression: clear"
    assert words.headline(replace(make_report().clip, pspi=None)) == "No measure of pain expression"


def test_what_moved() -> None:
    units = {"AU4": 3.24, "AU6": 0.49, "AU43": 1.0, "AU7": 0.5}
    assert words.moved_text(units) == "eyes closed (AU43), brows lowered (AU4) 3.2, lids tightened (AU7) 0.5"
    assert words.moved_text({"AU4": 0.2}) == "no single movement stood out"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0:00.0"), (7.44, "0:07.4"), (59.96, "1:00.0"), (723, "12:03.0"), (3723.5, "1:02:03.5"), (float("nan"), "-")],
)
def test_clock(seconds: float, text: str) -> None:
    assert words.clock(seconds) == text


@pytest.mark.parametrize(
    ("seconds", "text"), [(7.44, "7.4 s"), (59.96, "1 min 0 s"), (125, "2 min 5 s"), (3780, "1 h 3 min")]
)
def test_duration(seconds: float, text: str) -> None:
    assert words.duration(seconds) == text


def test_words_for_codes_nobody_wrote_down() -> None:
    assert words.reason_words("too_cold", [Reason("too_cold", "the lens froze")]).text == "The lens froze."
    assert words.reason_words("too_cold").text == "Too cold."
    assert words.reason_words("The camera fell over").text == "The camera fell over"
    assert glossary.named_number("least_usable_face_s", 3) == "at least 3 s of usable face"
    assert glossary.named_number("min_gap_ratio", 0.5) == "min gap ratio 0.5"
    assert glossary.named_number("gap_deg", 4.0) == "gap 4 degrees"


def test_every_reason_code_of_the_face_and_the_voice_has_words() -> None:
    from painsense import face, voice

    codes = {reason.code for reason in (*face.REASONS, *voice.REASONS)}
    assert codes - set(words.REASONS) == set()
    blocking = {reason.code for reason in (*face.REASONS, *voice.REASONS) if reason.blocking}
    assert {code for code in blocking if not words.REASONS[code].remedy} == set()


def test_the_guide_states_the_limits_and_every_reason_code() -> None:
    from painsense import face, scoring, verdict, voice_rest

    guide = (Path(__file__).resolve().parent.parent / "docs" / "report.md").read_text("utf-8")
    stated = {name: float(value) for name, value in re.findall(r"^\| `(\w+)` \| ([\d.]+) \|", guide, re.M)}
    limits = (verdict.EVIDENCE, face.GATES, voice_rest.LIMITS, scoring.NEEDED)
    assert stated == {name: value for part in limits for name, value in dataclasses.asdict(part).items()}
    codes = guide[guide.index("## Reason codes") : guide.index("## JSON")]
    assert set(re.findall(r"`(\w+)`", codes)) == set(words.REASONS)


def test_no_emotion_is_ever_named() -> None:
    page = to_html(make_report()).lower()
    for label in ("happy", "angry", "anger", "sad ", "fear", "surprise", "emotion"):
        assert label not in page


# ------------------------------------------------------------------------------------------------------------- HTML


def test_page_says_the_verdict_first(report: Report) -> None:
    page = to_html(report)
    assert re.search(r"<h1[^>]*>Pain expression: repeated</h1>", page)
    assert page.index("<h1") < page.index("Mean PSPI") < page.index("Course over time") < page.index("Limits of use")
    assert words.SUPPORT_LINE in page.replace("&#39;", "'")
    pspi = report.clip.pspi
    assert pspi is not None
    assert f"90% interval {pspi.mean_low:.1f} to {pspi.mean_high:.1f}" in page
    assert "neither the face nor the voice could be followed" in page  # why there is no score


def test_page_of_a_refusal_says_why_and_what_to_do_and_gives_no_number() -> None:
    page = to_html(make_refusal())
    assert "Not enough evidence for a result" in page
    assert words.REASONS["turned_away"].text in page
    assert words.REASONS["turned_away"].remedy in page
    assert "Mean PSPI" not in page


def test_page_of_a_still_speaks_of_one_picture() -> None:
    page = to_html(make_still())
    assert "one picture" in page
    assert "Course over time" not in page and "<script" not in page
    assert "brows lowered" in page


@pytest.mark.parametrize("kind", KINDS)
def test_page_asks_nothing_of_the_network(kind: str) -> None:
    page = to_html(KINDS[kind]())
    assert not re.search(r"(?i)https?:|//[a-z]|@import|<link|<iframe|\bsrcset=|url\((?!#)", page)
    assert not re.search(r'\sstyle="', page)  # the policy would block it


def test_policy_names_this_very_style_and_script(report: Report) -> None:
    page = to_html(report)
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', page)
    assert policy is not None
    allowed = policy[1].replace("&#39;", "'")
    assert allowed.startswith("default-src 'none'")
    for tag in ("style", "script"):
        text = re.search(rf"<{tag}>(.*?)</{tag}>", page, re.S)
        assert text is not None
        digest = base64.b64encode(hashlib.sha256(text[1].encode()).digest()).decode()
        assert f"{tag}-src 'sha256-{digest}'" in allowed


def test_names_cannot_become_markup(report: Report) -> None:
    evil = 'a"><img src=x onerror=alert(1)></script><b>.mp4'
    media, quality = replace(report.media, file=evil), replace(report.quality, warnings=("<b>bold</b> & more",))
    voice = report.tracks["voice"]
    reasons = (Reason("odd", "</script><b>"), *voice.reasons[1:])
    page = to_html(
        replace(
            report, media=media, quality=quality, tracks={**report.tracks, "voice": replace(voice, reasons=reasons)}
        )
    )
    assert "<img" not in page and "<b>bold" not in page and "</script><b>" not in page
    assert page.count("</script>") == 1


def test_picture_of_the_person_only_when_asked_for() -> None:
    assert "data:image/jpeg" not in to_html(make_report())
    assert to_html(make_report(jpeg=b"\xff\xd8\xff")).count('src="data:image/jpeg;base64,/9j/"') == 2


def test_page_of_an_hour_stays_small_and_says_it_is_condensed() -> None:
    page = to_html(make_report(3600.0))
    assert len(page.encode()) < 2_000_000
    assert "each point of the timeline stands for 2.4 s" in page
    assert "each point of the timeline stands for" not in to_html(make_report(28.0))


def test_live_pictures_have_no_file_to_play(report: Report) -> None:
    live = replace(report, media=replace(report.media, file="live", sha256=None))
    jsonschema.Draft202012Validator(schema()).validate(live.to_dict())
    assert "<video" not in to_html(live)


def test_an_empty_recording_has_a_page_too() -> None:
    nothing = MediaSummary("empty.mp4", "0" * 64, 0.5, 0, None, 64, 64, 0, False, None)
    page = to_html(replace(make_refusal(), media=nothing, tracks={}))
    assert "Not enough evidence" in page and "Course over time" not in page


def test_schema_is_read_from_the_package() -> None:
    assert schema()["properties"]["schema"]["const"] == report_module.SCHEMA


def test_the_demo_has_the_colours_of_the_report() -> None:
    def colours(path: str, dark: str) -> list[dict[str, str]]:
        text = (Path(report_module.__file__).parent / path).read_text("utf-8")
        return [dict(re.findall(r"--([\w-]+): (#\w{6})", part)) for part in re.split(dark, text, maxsplit=1)]

    of_report = colours("templates/report.css", r"@media screen and \(prefers-color-scheme: dark\)")
    of_demo = colours("demo/static/app.css", r"\n\.dark \{")
    for report_colours, demo_colours in zip(of_report, of_demo, strict=True):
        assert len(report_colours) > 25
        assert report_colours.items() <= demo_colours.items()
