"""The PDF: opened with Poppler, read, and looked at as pixels."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from make_report import make_refusal, make_report, make_still, make_voice_only

from painsense import words
from painsense.palette import rgb
from painsense.report import Report
from painsense.report_pdf import to_pdf


def poppler(tool: str, *arguments: str) -> str:
    """What one of Poppler's tools prints."""
    if shutil.which(tool) is None:
        if os.environ.get("CI") == "true":
            pytest.fail(f"needs {tool}; on Debian: apt-get install poppler-utils")
        pytest.skip(f"needs {tool}; on Debian: apt-get install poppler-utils")
    return subprocess.run([tool, *arguments], check=True, capture_output=True, text=True).stdout


def text(report: Report, tmp_path: Path) -> str:
    """All words of the PDF, blanks between them."""
    path = tmp_path / "report.pdf"
    path.write_bytes(to_pdf(report))
    return " ".join(poppler("pdftotext", "-layout", str(path), "-").split())


def page(report: Report, tmp_path: Path, number: int = 1) -> np.ndarray:
    """A page as pixels, ndarray [shape=(h, w, 3), RGB], 100 a 2.54 cm."""
    path = tmp_path / "report.pdf"
    path.write_bytes(to_pdf(report))
    poppler("pdftoppm", "-r", "100", "-png", "-f", str(number), "-l", str(number), str(path), str(tmp_path / "page"))
    (picture,) = tmp_path.glob("page*.png")
    return cv2.imread(str(picture))[:, :, ::-1]


def share_of(colour: str, picture: np.ndarray) -> float:
    """Share of the pixels that have a colour of the palette."""
    return float((np.abs(picture.astype(int) - rgb(colour)).max(axis=2) <= 3).mean())


@pytest.mark.parametrize("fused", [False, True])
def test_it_says_what_the_report_says(tmp_path: Path, fused: bool) -> None:
    report = make_report(fused=fused)
    said = text(report, tmp_path)
    assert words.headline(report.clip) in said
    assert words.SUPPORT_LINE in said
    assert report.clip.pspi is not None
    assert f"{report.clip.pspi.mean:.1f}" in said and f"{report.clip.pspi.peak:.1f}" in said
    for number, peak in enumerate(report.peaks, 1):
        assert f"Peak {number} at {words.clock(peak.time_s)}" in said
    assert "brows lowered (AU4)" in said.lower().replace("au4", "AU4")
    assert "The microphone level changed during the recording." in said
    assert "Turned away" in said and "Place the camera in front of the face" in said
    if report.clip.score is not None:
        score = report.clip.score
        assert f"90% interval {score.low:.1f} to {score.high:.1f}" in said


def test_the_same_report_gives_the_same_bytes() -> None:
    assert to_pdf(make_report()) == to_pdf(make_report())


def test_its_data_name_the_recording_and_no_folder(tmp_path: Path) -> None:
    report = make_report(file="/home/anna/patients/Bert Smith/clip.mp4")
    data = to_pdf(report)
    path = tmp_path / "report.pdf"
    path.write_bytes(data)
    told = poppler("pdfinfo", str(path))
    assert re.search(r"Title:\s+clip.mp4 – pain expression report", told)
    assert re.search(r"Creator:\s+painsense 0", told)
    assert b"anna" not in data and b"Smith" not in data
    assert "Smith" not in text(report, tmp_path)


def test_not_enough_evidence_gives_reasons_and_no_number(tmp_path: Path) -> None:
    said = text(make_refusal(), tmp_path)
    assert "Not enough evidence for a result" in said
    assert "neither pain nor its absence" in said
    assert "The face could be used for too small a part of the recording." in said
    assert "Mean PSPI" not in said


def test_sound_alone_and_a_picture(tmp_path: Path) -> None:
    said = text(make_voice_only(), tmp_path)
    assert "visit.wav" in said and "sound only" in said and "Pitch (F0)" in said
    said = text(make_still(), tmp_path)
    assert "one picture" in said and "This picture" in said and "Course over time" not in said


def test_the_course_is_drawn_in_the_colours_of_the_report(tmp_path: Path) -> None:
    picture = page(make_report(fused=True), tmp_path)
    for colour, least in (
        ("band", 0.002),
        ("mean", 0.0003),
        ("hatch-ground", 0.0004),
        ("rest", 0.003),
        ("l6", 0.00005),
    ):
        assert share_of(colour, picture) >= least, colour


def test_a_stretch_that_could_not_be_used_is_hatched_where_it_was(tmp_path: Path) -> None:
    """The synthetic person turns away from 80% to 90% of the recording."""
    picture = page(make_report(), tmp_path)
    grey = np.abs(picture.astype(int) - rgb("hatch-ground")).max(axis=2) <= 3
    left, right = 59 * 100 / 25.4, (210 - 15) * 100 / 25.4  # where the lanes begin and end on the paper
    places = (np.flatnonzero(grey.sum(axis=0) > 10) - left) / (right - left)
    places = places[places >= 0]  # the mesh stands to the left of them
    assert places.min() == pytest.approx(0.80, abs=0.01)
    assert places.max() == pytest.approx(0.90, abs=0.01)


def test_letters_the_font_does_not_have_are_told_by_a_question_mark(tmp_path: Path) -> None:
    said = text(make_report(file="Größe 痛み.mp4"), tmp_path)
    assert "Größe ??.mp4" in said


def test_markup_in_names_stays_text(tmp_path: Path) -> None:
    report = make_report()
    report = replace(
        report, quality=replace(report.quality, warnings=("a <b>bold</b> & <font size=40>big</font> name",))
    )
    assert "A <b>bold</b> & <font size=40>big</font> name." in text(report, tmp_path)


def test_a_long_recording_and_many_warnings_fit_on_pages(tmp_path: Path) -> None:
    report = make_report(3600.0)
    report = replace(report, quality=replace(report.quality, warnings=tuple(f"warning {k}" for k in range(80))))
    path = tmp_path / "report.pdf"
    path.write_bytes(to_pdf(report))
    pages = int(re.search(r"Pages:\s+(\d+)", poppler("pdfinfo", str(path)))[1])  # type: ignore[index]
    assert 3 <= pages <= 6
    assert len(path.read_bytes()) < 1_000_000
