"""What a page shows of a finished analysis: the report in parts, as HTML, and its files to take along.

Everything said and drawn comes from the Report through the modules that write the HTML report; here it only gets its
place on a page.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from painsense import report_markup, report_view, report_voice, words
from painsense.demo import playable
from painsense.report import FORMATS, Report, file_name

if TYPE_CHECKING:
    from painsense.demo.sessions import Session


@dataclass(frozen=True)
class Download:
    """A file to take along: what the link says, what is in it, what the browser calls it, and where it is."""

    label: str
    text: str
    name: str
    url: str


@dataclass(frozen=True)
class Shown:
    """A result as HTML, part by part; a part is empty where there is nothing to say.

    Attributes
    ----------
    verdict : the result in words, score with interval and PSPI, warnings
    timeline : the player and the timeline under it
    peaks : moments of strongest expression, as buttons that jump there, with what moved
    change : what the highest score rests on
    voice : what the voice shows
    coverage : what could be seen and heard, by reason
    files : links to the downloads
    downloads : the same as data
    note : what the page should say beside it, for example that a copy is played; else empty
    """

    verdict: str
    timeline: str
    peaks: str
    change: str
    voice: str
    coverage: str
    files: str
    downloads: tuple[Download, ...]
    note: str = ""

    @property
    def html(self) -> str:
        """All parts in their order."""
        note = f'<p class="ps-result ps-note">{self.note}</p>' if self.note else ""
        parts = (self.timeline, self.peaks, self.change, self.voice, self.coverage, self.files)
        return "\n".join((self.verdict, note, *parts))


COPIED = "Browsers cannot play this kind of file, so a copy is shown; the analysis used the file itself."
UNPLAYABLE = "Your browser cannot play this recording. The timeline below works without it."
#: Ending of each result file, what its link says, and what is in it
FILES = (
    (".html", "Report (HTML)", "all of this in one file, for reading and printing"),
    (".pdf", "Report (PDF)", "result, course over time and peaks, for the record"),
    (".painsense.json", "Results (JSON)", "for programs"),
    (".frames.csv", "Every frame (CSV)", "all measures of face and voice over time"),
    (".windows.csv", "Windows (CSV)", "2 s each, every 0.5 s"),
    (".dictionary.csv", "Dictionary (CSV)", "what each column and code means"),
)


def show(
    report: Report,
    session: Session,
    media: Path | None,
    prefix: str = "recording",
    *,
    progress: Callable[[float, float], None] | None = None,
) -> Shown:
    """A result as HTML, with its files written into the session's folder and shared with it alone.

    Parameters
    ----------
    media : the recording, to be played above the timeline; None shows the timeline alone. One that browsers cannot play
        is copied into one that they can (``progress`` is told of it).
    prefix : begins every id; each result on a page needs its own
    """
    name = file_name(report.media.file)
    source, note = None, ""
    if media is not None and not report.media.still:
        source, note = play(media, name, session, progress)
    downloads = write(report, session)
    parts = (
        report_markup.environment("painsense.demo")
        .get_template("result.html.j2")
        .make_module(
            {
                "report": report,
                "name": name,
                "prefix": prefix,
                "words": words,
                "told": report_view,
                "hindrances": report_view.hindrances(report),
                "peaks": report_view.peaks(report),
                "voice": report_voice.view(report),
                "coverage": report_view.coverage(report),
                "downloads": downloads,
            }
        )
    )
    said = {
        key: str(getattr(parts, key)()).strip() for key in ("verdict", "moments", "rests", "heard", "seen", "files")
    }
    return Shown(
        verdict=said["verdict"],
        timeline=report_markup.course(report, source, prefix, UNPLAYABLE),
        peaks=said["moments"],
        change=said["rests"],
        voice=said["heard"],
        coverage=said["seen"],
        files=said["files"],
        downloads=downloads,
        note=note,
    )


def play(media: Path, name: str, session: Session, progress: Callable[[float, float], None] | None) -> tuple[str, str]:
    """Where the session finds a recording that its browser can play, and what to say beside it, if anything."""
    played = playable.copy(media, session.folder, progress)
    note = "" if played == media else COPIED
    return session.share(played, name, inline=True), note


def write(report: Report, session: Session) -> tuple[Download, ...]:
    """Write the result files of a report and share them with the session."""
    stem = Path(file_name(report.media.file)).stem or "recording"
    folder = Path(tempfile.mkdtemp(prefix="results-", dir=session.folder))
    report.write(folder, FORMATS, stem=stem)
    return tuple(
        Download(label, text, stem + ending, session.share(folder / (stem + ending), stem + ending))
        for ending, label, text in FILES
    )
