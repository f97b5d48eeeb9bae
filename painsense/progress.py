"""How far an analysis is, and how it is stopped."""

from __future__ import annotations

import threading
from collections.abc import Callable

#: Takes (seconds done, seconds in all) of media time, from any thread; what it raises ends the work
Progress = Callable[[float, float], None]


def part(progress: Progress | None, before_s: float, whole_s: float) -> Progress | None:
    """The progress of one of several recordings: it comes after ``before_s`` seconds of ``whole_s`` in all."""
    return None if progress is None else lambda done_s, _: progress(before_s + done_s, whole_s)


class Course:
    """How far an analysis is, and whether it should stop. Threads report here once a frame."""

    def __init__(self, total_s: float, progress: Progress | None) -> None:
        self._total_s, self._progress = total_s, progress
        self._done_s = 0.0
        self._lock = threading.Lock()
        self._stopped = threading.Event()

    def add(self, seconds: float) -> None:
        """Media time done. Ends the calling thread's work when the analysis was stopped."""
        if self._stopped.is_set():
            raise StoppedError
        if self._progress:
            with self._lock:
                self._done_s = min(self._done_s + seconds, self._total_s)
                self._progress(self._done_s, self._total_s)

    def stop(self) -> None:
        self._stopped.set()

    def finish(self) -> None:
        if self._progress:
            self._progress(self._total_s, self._total_s)


class StoppedError(Exception):
    """Another part of the analysis failed or was stopped; that error is the one to show."""
