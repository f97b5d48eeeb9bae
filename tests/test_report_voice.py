"""The voice in the report: strip, contours with the band of rest, changes in words, and no level of its own."""

from __future__ import annotations

import json
import re
from dataclasses import replace

import jsonschema
import numpy as np
import pytest
from make_report import NOT_ENOUGH, make_report, make_voice_only, voice_evidence

from painsense import words
from painsense.report import Report, VoiceComparison, schema
from painsense.report_html import to_html
from painsense.report_lanes import timeline
from painsense.report_timeline import WIDTH, Lane
from painsense.voice_segments import KINDS, NO_AUDIO, Segment

DURATION_S = 28.0


def lanes(report: Report) -> dict[str, Lane]:
    course = timeline(report)
    assert course is not None
    return {lane.name: lane for lane in course.lanes}


def bars(lane: Lane, kind: str) -> list[tuple[float, float]]:
    """Start and end of the bars of one kind of sound, in seconds."""
    path = dict(lane.paths)[f"sound {kind}"]
    found = [(int(x), int(width)) for x, width in re.findall(r"M(\d+) \d+h(\d+)v", path)]
    return [(x / WIDTH * DURATION_S, (x + width) / WIDTH * DURATION_S) for x, width in found]


@pytest.fixture(scope="module")
def report() -> Report:
    return make_report(DURATION_S)


def test_each_kind_of_sound_has_a_row_at_its_time(report: Report) -> None:
    strip = lanes(report)["sounds"]
    assert [text for _, text in strip.rows] == ["speech", "moan, groan, cry", "breath"]
    for kind, start, end in (("speech", 0.2, 0.3), ("nonverbal", 0.42, 0.48), ("breath", 0.48, 0.5)):
        assert bars(strip, kind) == [pytest.approx((start * DURATION_S, end * DURATION_S), abs=0.01)]


def test_the_strip_hatches_unusable_sound_but_not_silence(report: Report) -> None:
    voice = report.tracks["voice"]
    noisy = replace(voice, reason_bits=np.where(voice.time_s < 2, np.uint32(1 << 1), voice.reason_bits))
    assert lanes(report)["sounds"].areas == ()
    (area,) = lanes(replace(report, tracks={**report.tracks, "voice": noisy}))["sounds"].areas
    assert (area.kind, area.x) == ("unusable", 0)
    assert area.width == pytest.approx(200 / DURATION_S, abs=0.1)


def test_without_kinds_the_strip_says_where_voice_is(report: Report) -> None:
    found = lanes(replace(report, segments=()))
    assert "sounds" not in found
    assert found["voiced"].paths[0][1]


def test_thousands_of_sounds_are_joined_where_nobody_could_see_the_gap(report: Report) -> None:
    times = np.arange(0, DURATION_S, 0.01)
    many = tuple(Segment(float(t), float(t + 0.01), "speech" if k % 2 else "breath") for k, t in enumerate(times))
    strip = lanes(replace(report, segments=many))["sounds"]
    assert len(bars(strip, "speech")) == 1


def test_contours_have_the_band_of_rest_behind_them(report: Report) -> None:
    found = lanes(report)
    for name in ("loudness", "pitch"):
        assert [style for style, _ in found[name].paths] == ["rest-band", "rest-middle", name]
        assert dict(found[name].paths)["rest-band"].startswith("M0 ")
    pitch = found["pitch"]
    assert pitch.note == "Hz"
    assert float(pitch.bottom) == pytest.approx(104, abs=2), "the axis reaches down to the 5th percentile of rest"
    assert float(pitch.top) > 195, "and up to the moan"


def test_pitch_is_drawn_in_semitones(report: Report) -> None:
    """The band from 104 to 141 Hz lies where its ratio to the axis' ends puts it."""
    pitch = lanes(report)["pitch"]
    top, height = map(int, re.findall(r"M0 (\d+)h\d+v(\d+)", dict(pitch.paths)["rest-band"])[0])
    low, high = float(pitch.bottom), float(pitch.top)
    assert top == pytest.approx(100 * np.log(high / 141) / np.log(high / low), abs=2)
    assert height == pytest.approx(100 * np.log(141 / 104) / np.log(high / low), abs=2)


def test_loudness_is_drawn_as_a_change_in_db(report: Report) -> None:
    loudness = lanes(report)["loudness"]
    assert loudness.note == "dB"
    assert loudness.top.startswith("+") and loudness.bottom.startswith("-")
    regulated = replace(voice_evidence(DURATION_S), automatic_gain=True, loudness_db=None, loudness_zero=None)
    assert lanes(replace(report, voice=regulated))["loudness"].note == "dB, automatic gain"


def test_no_level_is_told_as_a_number_of_its_own(report: Report) -> None:
    page = to_html(report)
    assert "dBFS" not in page
    for peak in report.to_dict()["peaks"]:
        assert not {"loudness", "level_dbfs"} & set(peak["voice"])


def test_the_page_tells_the_changes_and_what_they_are_against(report: Report) -> None:
    page = to_html(report)
    section = page[page.index('id="voice"') : page.index('id="coverage"')]
    assert "Pitch 11.0 semitones higher than at rest (233 Hz against 123 Hz)." in section
    assert "Voice 6.0 dB louder than at rest." in section
    assert "Compared with 3.2 s of voice at rest. The rest recording: rest.mp4." in section
    assert "cannot be told from this recording" in section
    assert re.search(r"<dt>moan, groan, cry</dt><dd>1\.7 s", section)
    first, second = page[page.index('id="peaks"') : page.index('id="voice"')].split("</li>\n    <li class")
    assert "pitch 11.0 semitones higher than at rest" in first
    assert NOT_ENOUGH.text in second


def test_the_page_says_when_there_is_nothing_to_tell(report: Report) -> None:
    evidence = voice_evidence(DURATION_S)
    calm = VoiceComparison("no_clear_change", 3.0, (), "no clear change from the voice at rest")
    page = to_html(replace(report, voice=replace(evidence, strongest=calm)))
    assert "No clear change from the voice at rest." in page
    assert "That does not mean that there is no pain" in page
    regulated = to_html(replace(report, voice=replace(evidence, automatic_gain=True)))
    assert "regulates its level by itself, so that nothing is said about loud and soft" in regulated
    assert "What the voice shows" not in to_html(make_report(voice=False))


def test_sound_alone_is_told_too() -> None:
    page = to_html(make_voice_only())
    assert "What the voice shows" in page
    assert "Compared with the voice in a rest recording of this person (rest.mp4), 3.2 s of voice." in page
    assert "average face" not in page


def test_the_script_knows_the_kind_of_sound_at_each_moment(report: Report) -> None:
    course = timeline(report)
    assert course is not None
    data = course.data["voice"]
    at = int(np.searchsorted(data["start"], 1000 * 0.45 * DURATION_S))
    assert data["kinds"][data["kind"][at]] == "moan, groan, cry"
    assert [shown["label"] for shown in data["shown"]] == ["F0", "Loudness against rest"]
    assert data["shown"][0]["values"][at] == pytest.approx(21_400, abs=300), "hundredths of Hz"


def test_the_json_holds_it_and_the_schema_refuses_nonsense(report: Report) -> None:
    content = json.loads(report.to_json())
    assert content["voice"]["strongest"]["changes"][1]["value"] is None
    assert content["segments"][3] == {"start_s": 11.76, "end_s": 13.44, "kind": "nonverbal"}
    validator = jsonschema.Draft202012Validator(schema())
    validator.validate(content)
    for spoil in (
        lambda c: c["voice"]["strongest"].update(state="no_clear_change"),
        lambda c: c["voice"]["strongest"].update(changes=[]),
        lambda c: c["voice"].update(compared_with="memory"),
        lambda c: c["segments"][0].update(kind="scream"),
        lambda c: c["peaks"][0].pop("voice_change"),
        lambda c: c.pop("segments"),
    ):
        spoiled = json.loads(report.to_json())
        spoil(spoiled)
        assert not validator.is_valid(spoiled)


def test_segments_stand_one_a_line(report: Report) -> None:
    lines = report.to_json().splitlines()
    assert sum('"kind": "nonverbal"' in line and '"start_s"' in line for line in lines) == 1


def test_every_kind_of_sound_has_words() -> None:
    assert set(words.SOUNDS) == {*KINDS, NO_AUDIO}
    assert set(words.VOICE_RESTS) == {"rest_clip", "saved", "recording"}
