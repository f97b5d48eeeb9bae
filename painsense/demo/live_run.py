"""One live recording at work: a thread that looks, a thread that listens, and what they tell the page."""

from __future__ import annotations

import contextlib
import logging
import queue
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

from painsense import action_units, words
from painsense.coach import MOVING
from painsense.demo.live_messages import Block, MessageError, Picture
from painsense.demo.sessions import Session
from painsense.errors import BaselineError, PainsenseError
from painsense.face import REASONS as FACE_REASONS
from painsense.live import REST_S, Live, LiveWindow, Moment
from painsense.media import SAMPLE_RATE_HZ
from painsense.pipeline import Analyzer, Settings
from painsense.voice_gates import REASONS as VOICE_REASONS

logger = logging.getLogger(__name__)

MOST_PICTURES = 2  # not acknowledged
MOST_WAITING_S = 120.0  # of sound: a machine that is so far behind will not catch up
PACE_S = 0.5  # of the coach
TICK_S = 0.1
#: action units with a bar: those of PSPI, and what tells a smile and an open mouth from them
UNITS = ("AU4", "AU6", "AU7", "AU9", "AU10", "AU43", "AU12", "AU20", "AU26")
#: nothing stands in the way of the model there
REMARKS = ("blink", "unvoiced", "irregular")

Message = dict[str, Any]


class Run:
    """One live recording. Its methods may be called from any thread; ``tell`` is called from its own.

    Parameters
    ----------
    tell : takes each message for the page
    """

    def __init__(self, settings: Settings, tell: Callable[[Message], None]) -> None:
        self._settings, self._tell = settings, tell
        self._pictures: queue.Queue[Picture] = queue.Queue()
        self._sound: queue.Queue[Block] = queue.Queue()
        self._over = threading.Event()
        self._made = threading.Event()
        self._rests = True
        self._live: Live | None = None
        self._undo = contextlib.ExitStack()
        self._heard_s = 0.0
        self._told_s = 0.0
        self._threads = [
            threading.Thread(target=self._guarded, args=(work,), name=f"painsense-{work.__name__.strip('_')}")
            for work in (self._looking, self._listening)
        ]
        #: what ended it
        self.error: PainsenseError | None = None

    def start(self) -> None:
        """Load the networks and begin."""
        for thread in self._threads:
            thread.start()

    def look(self, picture: Picture) -> None:
        """Look at a picture. MessageError when more came than were acknowledged."""
        if self._pictures.qsize() > MOST_PICTURES:
            raise MessageError("More pictures came than could be looked at. Load the page again.")
        self._pictures.put(picture)

    def listen(self, block: Block) -> None:
        """Hear a block of sound. MessageError when this machine has fallen too far behind."""
        self._sound.put(block)
        if self._sound.qsize() * len(block.samples) > MOST_WAITING_S * SAMPLE_RATE_HZ:
            raise MessageError("This machine is too slow to follow the sound. Close other programs, and try again.")

    def skip_rest(self) -> None:
        """Go on without a rest phase: compared with the average face."""
        self._rests = False

    def finish(self, session: Session) -> str:
        """The result as HTML, with its files in the session."""
        from painsense.demo import result

        self._stop()
        if self.error is not None:
            raise self.error
        assert self._live is not None
        return result.show(self._live.finish(), session, None, prefix="live").html

    def halt(self) -> None:
        """Tell the threads to end, and wait for nothing."""
        self._over.set()

    def end(self) -> None:
        """Let everything go."""
        self._stop()
        self._undo.close()

    def _stop(self) -> None:
        self._over.set()
        for thread in self._threads:
            if thread.ident is not None:
                thread.join()

    # ---- the two threads

    def _guarded(self, work: Callable[[], None]) -> None:
        try:
            work()
        except PainsenseError as error:
            self._fail(error)
        except Exception:
            logger.exception("live: the run failed")
            self._fail(
                MessageError("Something went wrong here, and the recording was ended. Press Start to begin anew.")
            )

    def _fail(self, error: PainsenseError) -> None:
        self.error = error
        self._over.set()
        self._made.set()
        self._tell({"type": "error", "text": str(error)})

    def _looking(self) -> None:
        analyzer = self._undo.enter_context(Analyzer(self._settings))
        analyzer.fusion  # noqa: B018  loaded now, so that the first window is not late
        self._live = live = analyzer.live()
        self._made.set()
        self._tell({"type": "ready", "rest_s": REST_S, "units": _units()})
        while not self._over.is_set():
            try:
                picture = self._pictures.get(timeout=TICK_S)
            except queue.Empty:
                continue
            moment = live.frame(picture.decoded(), picture.time_s)
            self._tell(moment_message(picture.number, moment))

    def _listening(self) -> None:
        self._made.wait()
        live = self._live
        while live is not None:
            try:
                block = self._sound.get(timeout=0.0 if self._over.is_set() else TICK_S)
                live.sound(block.samples, block.time_s)
                self._heard_s += len(block.samples) / SAMPLE_RATE_HZ
            except queue.Empty:
                if self._over.is_set():
                    return  # and not before all sound was heard
            if self._sound.empty() and not self._over.is_set():
                self._say(live)

    def _say(self, live: Live) -> None:
        resting = self._rests and live.neutral is None
        if resting and live.rest_s >= REST_S:
            with contextlib.suppress(BaselineError):
                live.take_neutral()
                resting = False
        window = live.window()
        if window is not None:
            self._tell(window_message(window) | {"resting": resting})
        now_s = time.monotonic()
        if window is None and now_s - self._told_s < PACE_S:
            return
        self._told_s = now_s
        # who is in pain may move: only a neutral needs a still head
        advice = [advice for advice in live.advice() if resting or advice.code != MOVING]
        self._tell(
            {
                "type": "coach",
                "resting": resting,
                "left_s": max(0.0, REST_S - live.rest_s) if resting else 0.0,
                "neutral": live.neutral is not None,
                "advice": [{"text": each.text, "blocks": each.blocks} for each in advice],
                "heard_s": round(self._heard_s, 3),
            }
        )


# ---- what the page is told


def moment_message(number: int, moment: Moment) -> Message:
    """What one picture shows; acknowledges it."""
    return {
        "type": "moment",
        "number": number,
        "time_s": moment.time_s,
        "valid": moment.valid,
        "pspi": _short(moment.pspi),
        "units": _values(moment.action_units),
    }


def window_message(window: LiveWindow) -> Message:
    """What the last two seconds show."""
    said, voice = window.result, window.voice
    codes = [code for code in (*said.reasons, *(voice.reasons if voice is not None else ())) if code not in REMARKS]
    if window.score_reason is not None and window.score_reason not in codes:
        codes.append(window.score_reason)
    reasons = [words.reason_words(code, (*FACE_REASONS, *VOICE_REASONS)) for code in codes]
    return {
        "type": "window",
        "time_s": said.end_s,
        "score": _short(said.score),
        "low": _short(said.low),
        "high": _short(said.high),
        "pspi": _short(said.pspi),
        "pspi_low": _short(said.pspi_low),
        "pspi_high": _short(said.pspi_high),
        "units": _values(window.action_units),
        "face_weight": _short(said.face_weight),
        "voice_weight": _short(said.voice_weight),
        "voice": None
        if voice is None
        else {
            "against": voice.against,
            "f0_hz": _short(voice.f0_hz),
            "f0_change": _short(voice.f0_change_semitones),
            "loudness_change": _short(voice.loudness_change_db),
            "sound": words.sound(voice.sound) if voice.sound is not None else None,
        },
        "reasons": [{"label": reason.label, "text": reason.text} for reason in reasons],
    }


def _units() -> list[Message]:
    """The action units with a bar, in words."""
    return [
        {
            "name": name,
            "words": words.action_unit(name),
            "most": 1.0 if name in words.BINARY_UNITS else action_units.MOST,
        }
        for name in UNITS
    ]


def _values(units: Mapping[str, float]) -> dict[str, float]:
    return {name: round(units[name], 2) for name in UNITS if name in units}


def _short(value: float | None) -> float | None:
    return None if value is None else round(value, 2)
