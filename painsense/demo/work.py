"""Long work for a page: in a thread of its own, with progress that can be shown and a way to stop it."""

from __future__ import annotations

import logging
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

from painsense.errors import PainsenseError

if TYPE_CHECKING:
    from painsense.demo.sessions import Session

LOOK_S = 0.2  # how often a page hears how far it is
AT_ONCE = 2  # analyses that run side by side; who comes later waits, and is told

_log = logging.getLogger(__name__)
_slots = threading.BoundedSemaphore(AT_ONCE)
_running: weakref.WeakKeyDictionary[Session, dict[str, Job]] = weakref.WeakKeyDictionary()
_lock = threading.Lock()


class Stopped(Exception):
    """The person cancelled, or has gone."""


class Job:
    """One piece of long work of a session.

    Attributes
    ----------
    stage : what is being done, in words
    share : how much of the stage is done, 0 to 1; None where that cannot be told
    result : what the work returned, once it is done
    trouble : why it ended without a result, in words; empty where the person stopped it
    replaced : another of its kind was begun, and the page shows that one
    """

    def __init__(self, session: Session, names: dict[Path, str]) -> None:
        self.stage = "Waiting for another analysis to finish"
        self.share: float | None = None
        self.result: Any = None
        self.trouble: str | None = None
        self.stopped = self.replaced = False
        self._session, self._names = session, names
        self._stop, self._done = threading.Event(), threading.Event()
        self._since_s = time.monotonic()

    def at(self, stage: str) -> Callable[[float, float], None]:
        """A new stage; returns what takes (done, in all). It raises :class:`Stopped` when the work should end."""
        self.stage, self.share, self._since_s = stage, None, time.monotonic()
        self.look()

        def tell(done: float, whole: float) -> None:
            self.look()
            self.share = min(max(done / whole, 0.0), 1.0) if whole > 0 else None

        return tell

    def look(self) -> None:
        """Raise :class:`Stopped` when the work should end."""
        if self._stop.is_set() or self._session.ended.is_set():
            raise Stopped

    def stop(self) -> None:
        """Let the work end at the next step."""
        self._stop.set()

    @property
    def left_s(self) -> float | None:
        """Seconds this stage still takes, by what it took so far; None where that cannot be told yet."""
        spent = time.monotonic() - self._since_s
        return spent * (1 - self.share) / self.share if self.share and self.share > 0.03 and spent > 1 else None

    def run(self, task: Callable[[], Any]) -> Iterator[Job]:
        """Do the work, and yield now and then until it is done. Leaving the iteration stops it."""
        threading.Thread(target=self._work, args=(task,), name="painsense-demo", daemon=True).start()
        try:
            while not self._done.wait(LOOK_S):
                yield self
        finally:
            self._stop.set()

    def _work(self, task: Callable[[], Any]) -> None:
        try:
            while not _slots.acquire(timeout=LOOK_S):
                self.look()
            try:
                self.look()
                result = task()
                self.look()
                self.result = result
            finally:
                _slots.release()
        except Stopped:
            self.stopped = True
        except PainsenseError as error:
            self.trouble = in_words(error, self._names)
        except Exception as error:
            if self._session.ended.is_set():  # its files went away under it
                self.stopped = True
            else:
                _log.exception("an analysis failed")
                self.trouble = (
                    f"This should not have happened: {type(error).__name__} inside painsense. Please report it, with "
                    "the kind of recording; `painsense score` on a command line shows more."
                )
        finally:
            self._done.set()


def start(session: Session, kind: str, names: dict[Path, str]) -> Job:
    """A new job of a session; one of the same kind that still runs is stopped. ``names``: of files, for messages."""
    job = Job(session, names)
    with _lock:
        jobs = _running.setdefault(session, {})
        if kind in jobs:
            jobs[kind].replaced = True
            jobs[kind].stop()
        jobs[kind] = job
    return job


def stop(session: Session, kind: str) -> None:
    """Stop a session's job of this kind, if one runs."""
    with _lock:
        job = _running.get(session, {}).get(kind)
    if job is not None:
        job.stop()


def in_words(error: Exception, names: dict[Path, str]) -> str:
    """What an error says, with the names of files instead of their paths."""
    text = str(error)
    for path, name in names.items():
        text = text.replace(str(path), name)
    return text


def bar(job: Job) -> str:
    """How far a job is, as HTML."""
    left = job.left_s
    more = (
        ""
        if left is None
        else f", about {max(round(left), 1)} s left"
        if left < 90
        else f", about {left / 60:.0f} min left"
    )
    value = "" if job.share is None else f' value="{job.share * 100:.1f}"'
    percent = "" if job.share is None else f" {job.share:.0%}"
    stage = escape(job.stage)
    return (
        f'<div class="ps-progress" data-say="{stage}"><p>{stage}<span>{percent}{more}</span></p>'
        f'<progress max="100"{value} aria-label="{stage}"></progress></div>'
    )


def said(text: str, kind: str = "done") -> str:
    """A message of a page, as HTML; ``kind`` is "done", "note" or "trouble"."""
    return f'<div class="ps-said ps-{kind}" data-say="{escape(text)}"><p>{escape(text)}</p></div>'
