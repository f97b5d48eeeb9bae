"""What the timeline and the mesh of a report draw."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from make_report import (
    UNITS,
    face_track,
    grid_mesh,
    make_report,
)

from painsense import action_units, report_mesh, words
from painsense import report_timeline as tl
from painsense.report import Report
from painsense.report_lanes import timeline
from painsense.tracks import Column, Reason, Track


@pytest.fixture(scope="module")
def report() -> Report:
    return make_report()


def ramp(n: int, *, lost: slice | None = None) -> Track:
    """PSPI rises 0, 1, 2, ...; band of two points; one sample a second."""
    values = np.arange(n, dtype=np.float32)
    bits = np.zeros(n, np.uint32)
    if lost is not None:
        bits[lost] = 1
        values[lost] = np.nan
    stack = np.stack([values, values - 1, values + 1], axis=1)
    columns = tuple(Column(name, "", "") for name in ("pspi", "pspi_low", "pspi_high"))
    reasons = (Reason("turned_away", ""), Reason("blink", "", blocking=False))
    return Track("face", columns, reasons, np.arange(n, dtype=float), stack, bits)


def test_a_short_recording_is_drawn_sample_by_sample() -> None:
    found = tl.points(ramp(10), ["pspi", "absent"], 10.0, most=10)
    assert not found.binned
    assert found.mean["pspi"].tolist() == list(range(10))
    assert found.end_s.tolist() == list(range(1, 11))
    assert list(found.mean) == ["pspi"]


def test_a_long_recording_keeps_mean_and_maximum_of_each_bin() -> None:
    found = tl.points(ramp(100), ["pspi"], 100.0, most=10)
    assert found.binned and len(found) == 10
    assert found.mean["pspi"].tolist() == [4.5 + 10 * k for k in range(10)]
    assert found.high["pspi"].tolist() == [9 + 10 * k for k in range(10)]
    assert (found.start_s[1], found.end_s[1]) == (10, 20)


def test_unusable_samples_count_for_nothing() -> None:
    track = ramp(20, lost=slice(3, 17))
    found = tl.points(track, ["pspi"], 20.0, most=2)  # of bin 0 the first 3 are left, of bin 1 the last 3
    assert found.mean["pspi"].tolist() == [1, 18]
    assert found.usable.tolist() == [False, False]
    one = tl.points(track, ["pspi"], 20.0)
    assert [(s.start_s, s.end_s, s.codes) for s in tl.stretches(one)] == [(3, 17, ("turned_away",))]
    assert tl.stretch_text(tl.stretches(one)[0], track) == "turned away"


def test_a_wide_interval_that_reaches_below_3_is_uncertain() -> None:
    track = ramp(6)  # PSPI 0 to 5, each with a point to either side
    values = track.values.copy()
    values[[2, 5], 2] += 4.1  # 1 to 7.1 leaves everything open; 4 to 10.1 is clear expression, however strong
    found = tl.points(replace(track, values=values), track.names, 6.0)
    usable, uncertain = tl.USABLE, tl.UNCERTAIN
    assert tl.states(found).tolist() == [usable, usable, uncertain, usable, usable, usable]


def test_lost_stretches_are_one_whatever_the_reasons() -> None:
    face = make_report().tracks["face"]
    (lost,) = tl.lost(tl.points(face, [], 28.0))
    assert (lost.start_s, lost.end_s) == pytest.approx((22.4, 25.2), abs=0.04)
    assert lost.codes == ("turned_away", "blurred", "no_face")


def test_curves_break_where_values_are_missing() -> None:
    found = tl.points(ramp(6, lost=slice(2, 3)), ["pspi"], 6.0)
    scale = tl.Scale(6.0, 0.0, 5.0, 500)
    assert tl.pieces(found, found.mean["pspi"]) == [slice(0, 2), slice(3, 6)]
    path = tl.curve(found, found.mean["pspi"], scale)
    assert path.count("M") == 2
    assert path.startswith("M0 500l")  # second 0, PSPI 0: bottom left
    assert "M5000 200l" in path  # second 3, PSPI 3


def test_curves_break_where_time_is_missing() -> None:
    track = ramp(6)
    gap = replace(track, time_s=track.time_s + np.where(np.arange(6) >= 3, 60.0, 0.0))
    found = tl.points(gap, ["pspi"], 66.0)
    assert tl.pieces(found, found.mean["pspi"]) == [slice(0, 3), slice(3, 6)]


def test_bars_stand_where_something_holds() -> None:
    found = tl.points(ramp(10), [], 10.0)
    flags = np.isin(np.arange(10), [2, 3, 7])
    assert tl.bars(found, flags, tl.Scale(10.0, 0, 1, 100), 20, 60) == "M2000 20h2000v60h-2000zM7000 20h1000v60h-1000z"


def test_heat_strip_steps_are_half_points() -> None:
    track = face_track(4.0)
    found = tl.points(track, UNITS, 4.0)
    steps = {colour for colour, _ in tl.heat(found, list(UNITS), tl.Scale(4.0, 0, 1, 100), 100)}
    assert steps == {1, 2, 3, 4, 5, 6}  # the strongest is AU4 with 2.9
    assert [report_mesh.step("AU4", v) for v in (0.0, 0.24, 0.26, 4.8, 5.0, float("nan"))] == [0, 0, 1, 10, 10, 0]
    assert report_mesh.step("AU43", 1.0) == 10


@pytest.mark.parametrize(("duration_s", "step_s"), [(0.3, 0.1), (28, 5), (60, 10), (3600, 600), (7200, 1800)])
def test_ticks_of_the_time_axis(duration_s: float, step_s: float) -> None:
    assert tl.tick_step_s(duration_s) == step_s


def test_mesh_colours_the_region_that_moved() -> None:
    points, _ = grid_mesh()
    brow, cheek, eye = [70, 63, 105], [50, 101, 118], [159, 145, 158]
    triangles = np.array([brow, cheek, eye])
    drawn = report_mesh.draw(points, triangles, {"AU4": 3.0, "AU6": 1.0, "AU7": 5.0})
    assert [colour for colour, _ in drawn.shaded] == [2, 6]  # tightened lids leave the eye itself alone
    assert [colour for colour, _ in report_mesh.draw(points, triangles, {"AU43": 1.0}).shaded] == [10]
    assert drawn.wires.count("M") == len(
        {tuple(sorted(e)) for t in triangles.tolist() for e in zip(t, t[1:] + t[:1], strict=True)}
    )
    assert report_mesh.draw(points, triangles, {"AU4": float("nan")}).shaded == ()


#: regions that hold points of the midline
MIDLINE = ("AU1", "AU4", "AU9", "AU10", "AU16", "AU17", "AU18", "AU22", "AU24", "AU25", "AU26", "AU27")


def test_every_region_is_on_the_mesh_and_has_both_sides() -> None:
    for name, region in report_mesh.REGIONS.items():
        assert max(region) < 468, name
        if name not in MIDLINE:
            assert len(region) % 2 == 0, name
    assert set(report_mesh.REGIONS) - set(words.ACTION_UNITS) == set()
    assert set(action_units.NAMES) - set(report_mesh.REGIONS) == set()
    assert set(action_units.NAMES) - set(words.ACTION_UNITS) == set()


def test_the_docs_list_every_action_unit_in_the_words_of_the_report() -> None:
    text = (Path(__file__).parent.parent / "docs" / "report.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (AU\d+) \| ([^|]+) \| (yes|) ?\|", text, re.MULTILINE)
    assert [name for name, _, _ in rows] == list(action_units.NAMES)
    for name, said, both in rows:
        assert said.startswith(words.action_unit(name)), name
        assert (both == "yes") == (name in action_units.SIDED), name


def test_only_units_that_act_have_a_row_beside_those_of_pspi() -> None:
    face = face_track()
    names = [name for name, _ in next(lane for lane in timeline(make_report()).lanes if lane.name == "heat").rows]
    assert names == ["AU4", "AU6", "AU7", "AU9", "AU10", "AU43", "AU12", "AU25"]
    strongest = {name: np.nanmax(face.column(name)) for name in ("AU20", "AU25", "AU26")}
    assert strongest["AU20"] < 1 and strongest["AU26"] < 1 < strongest["AU25"]
