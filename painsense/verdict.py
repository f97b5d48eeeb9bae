"""Tracks -> what can be said about the clip: PSPI summary, windows, peaks, coverage, and whether that is enough.

The thresholds are proposals, stated in every report and in ``docs/report.md``; none is clinically validated.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np

from painsense import action_units, face, scoring, voice_rest, windows
from painsense.report import MediaSummary, Peak, PspiSummary, Quality, VoiceComparison, VoiceEvidence, Window
from painsense.scoring import Course
from painsense.tracks import TimeArray, Track, runs, seconds_per_sample
from painsense.windows import Windows

SMOOTH_S = 0.5  # a peak is held at least about this long; single frames are not reported as peaks
PEAK_DISTANCE_S = 3.0
PEAKS = 5
PEAK_PSPI, PEAK_SCORE = 2.0, 3.0  # lower rises are not worth a clinician's look
IN_THE_WAY_SHARE = 0.1  # a reason is named when it held for at least this share of the time
LEAST_FPS = 5.0  # with fewer pictures a second an expression of a second is a handful of frames
LOW_FPS = 15.0  # below it blinks and closed eyes cannot be told apart well
VOICE_AT_PEAK = ("f0_hz", "hnr_db")  # what means something without a comparison; level and loudness do not
VOICE_REACH_S = 0.5  # voice measures at a peak are medians this far either way
STRONG_PSPI = 3.0  # "strong" in Hammal & Cohn 2012, doi:10.1145/2388676.2388688


@dataclass(frozen=True)
class Evidence:
    """How much of a clip must be usable before it is scored."""

    least_window_share: float = 0.6  # of a window's time
    least_usable_face_s: float = 3.0  # of the clip; for clips under 5 s: 60% of their length
    least_usable_face_share: float = 0.25  # of the clip
    doubtful_share: float = 0.6  # scored below this, but said

    def needed_face_s(self, duration_s: float) -> float:
        """Usable seconds of face a clip of this length needs."""
        return max(min(self.least_usable_face_s, 0.6 * duration_s), self.least_usable_face_share * duration_s)


EVIDENCE = Evidence()


def smooth(track: Track, name: str = "pspi", width_s: float = SMOOTH_S) -> TimeArray:
    """Moving mean of a column over usable samples within half of ``width_s`` either way; NaN where it is unusable."""
    values = track.column(name).astype(np.float64)
    use = np.isfinite(values)
    seconds = seconds_per_sample(track.time_s)
    if len(track) == 1:
        seconds = np.ones(1)
    weight = np.concatenate([[0.0], np.cumsum(np.where(use, seconds, 0.0))])
    total = np.concatenate([[0.0], np.cumsum(np.where(use, values * seconds, 0.0))])
    first = np.searchsorted(track.time_s, track.time_s - width_s / 2, side="left")
    last = np.searchsorted(track.time_s, track.time_s + width_s / 2, side="right")
    share = weight[last] - weight[first]
    result = np.full(len(track), np.nan)
    result[use] = (total[last] - total[first])[use] / share[use]
    return result


def summarise(track: Track) -> PspiSummary | None:
    """PSPI over the usable frames, weighted by time; None when no frame is usable."""
    values = track.column("pspi").astype(np.float64)
    use = np.isfinite(values)
    if not use.any():
        return None
    seconds = seconds_per_sample(track.time_s)
    weight = seconds[use] if seconds[use].sum() > 0 else np.ones(int(use.sum()))
    held = smooth(track)
    peak = int(np.nanargmax(held))
    strong = np.nan_to_num(held, nan=-1.0) > STRONG_PSPI
    low, high = (np.average(track.column(name)[use], weights=weight) for name in ("pspi_low", "pspi_high"))
    return PspiSummary(
        mean=float(np.average(values[use], weights=weight)),
        # the estimator errs the same way on the same face: its error does not average out over frames
        mean_low=float(low),
        mean_high=float(high),
        p95=_weighted_quantile(values[use], weight, 0.95),
        peak=float(held[peak]),
        peak_s=float(track.time_s[peak]),
        share_above_3=float(np.average(values[use] > STRONG_PSPI, weights=weight)),
        longest_run_s=float(max((seconds[a:b].sum() for a, b in runs(strong)), default=0.0)),
    )


def peaks(seen: Track | None, scored: Course | None) -> list[float]:
    """The strongest moments [s], in order: at most five, at least 3 s apart, PSPI of 2 or a score of 3 or more.

    Where the face rises, its highest moment stands for the score as well; a high score away from it, as the voice
    gives, is a moment of its own.
    """
    found: dict[float, float] = {}  # strength on the scale of the score
    if seen is not None and len(seen):
        held = smooth(seen)
        for k in _tops(held, seen.time_s, PEAK_PSPI):
            at_s = float(seen.time_s[k])
            score = _score_at(scored, at_s)
            found[at_s] = 10 / 16 * float(held[k]) if score is None else score
    if scored is not None and len(scored.grid):
        middle_s = (scored.grid.start_s + scored.grid.end_s) / 2
        values = scored.scores.score.astype(np.float64)
        for k in _tops(values, middle_s, PEAK_SCORE):
            frame = _frame_at(seen, middle_s[k])
            near_s = float(middle_s[k]) if seen is None or frame is None else float(seen.time_s[frame])
            if all(abs(near_s - at_s) >= PEAK_DISTANCE_S for at_s in found):
                found[near_s] = float(values[k])
    return sorted(sorted(found, key=lambda at_s: -found[at_s])[:PEAKS])


def _tops(values: TimeArray, time_s: TimeArray, least: float) -> list[int]:
    """Indices of the highest values of at least ``least``, the highest first, at least 3 s apart."""
    held = np.nan_to_num(values, nan=-1.0)
    found: list[int] = []
    while len(found) < PEAKS:
        best = int(held.argmax()) if len(held) else 0
        if len(held) == 0 or held[best] < least:
            break
        found.append(best)
        # walk down both sides, so that the shoulder of one rise is not reported as another
        left, right = best, best
        while left > 0 and (held[left - 1] <= held[left] or time_s[best] - time_s[left] < PEAK_DISTANCE_S):
            left -= 1
        while right < len(held) - 1 and (
            held[right + 1] <= held[right] or time_s[right] - time_s[best] < PEAK_DISTANCE_S
        ):
            right += 1
        held[left : right + 1] = -1.0
    return found


def _frame_at(seen: Track | None, at_s: float) -> int | None:
    """Index of the frame nearest to a moment; None where there is none within half the width of a peak."""
    if seen is None or not len(seen):
        return None
    nearest = int(np.abs(seen.time_s - at_s).argmin())
    return nearest if abs(float(seen.time_s[nearest]) - at_s) <= SMOOTH_S / 2 else None


def _score_at(scored: Course | None, at_s: float) -> float | None:
    """The score of the window whose middle is nearest; None where it has none."""
    if scored is None or not len(scored.grid):
        return None
    nearest = int(np.abs((scored.grid.start_s + scored.grid.end_s) / 2 - at_s).argmin())
    return _or_none(scored.scores.score[nearest])


def missing_evidence(seen: Track | None, media: MediaSummary, modalities: Sequence[str]) -> list[str]:
    """Reason codes for "not enough evidence"; empty when there is enough to score.

    First what is missing, then what stood in the way, the longest first.
    """
    if "face" not in modalities:
        return ["face_not_asked"]
    if seen is None:
        return ["no_video"]
    usable = seen.valid
    in_the_way = [
        code for code, share in _shares_by_reason(seen).items() if share >= IN_THE_WAY_SHARE and _blocks(seen, code)
    ]
    if media.still:
        return [] if usable.any() else in_the_way
    if media.fps is not None and media.fps < LEAST_FPS:
        return ["low_frame_rate"]
    usable_s = float(seconds_per_sample(seen.time_s)[usable].sum())
    if usable_s >= EVIDENCE.needed_face_s(media.duration_s) and usable_s > 0:
        return []
    if not in_the_way:
        return ["too_short"]
    return (["too_little_face"] if usable.any() else []) + in_the_way


def quality(
    seen: Track | None,
    voice: Track | None,
    media: MediaSummary,
    doubts: Sequence[str],
    heard: VoiceEvidence | None = None,
) -> Quality:
    """Coverage in seconds by reason, and what a reader should be warned about."""
    warnings = list(doubts)
    reasons_s: dict[str, float] = {}
    usable_s = share = voiced_s = voice_usable_s = None
    if seen is not None:
        seconds = seconds_per_sample(seen.time_s)
        usable_s = float(seconds[seen.valid].sum())
        share = usable_s / seconds.sum() if seconds.sum() > 0 else float(seen.valid.mean())
        reasons_s |= _seconds_by_reason(seen)
        warnings += _face_warnings(seen, media, share)
    if voice is not None:
        seconds = seconds_per_sample(voice.time_s)
        voice_usable_s = float(seconds[voice.valid].sum())
        voiced_s = float(seconds[voice.valid & (voice.column("voiced") > 0.5)].sum())
        reasons_s |= _seconds_by_reason(voice)
        warnings += _voice_warnings(voice, heard)
    return Quality(
        face_usable_share=share,
        face_usable_s=usable_s,
        voiced_s=voiced_s,
        voice_usable_s=voice_usable_s,
        reasons_s=reasons_s,
        warnings=tuple(warnings),
        thresholds=asdict(EVIDENCE) | asdict(face.GATES) | asdict(voice_rest.LIMITS) | asdict(scoring.NEEDED),
    )


def window_results(
    seen: Track | None, voice: Track | None, grid: Windows, scored: Course | None = None
) -> tuple[Window, ...]:
    """What is said about each window; its PSPI is None where less than the needed share of it was usable."""
    n = len(grid)
    empty = np.full(n, np.nan)
    face_share = windows.usable_share(seen, grid) if seen is not None else empty
    enough = np.nan_to_num(face_share) >= EVIDENCE.least_window_share
    pspi = windows.means(seen, ("pspi", "pspi_low", "pspi_high"), grid) if seen is not None else np.full((n, 3), np.nan)
    voiced = windows.usable_share(voice, grid, voice.column("voiced") > 0.5) if voice is not None else empty
    reasons = {} if seen is None else windows.seconds_by_reason(seen, grid)
    length = grid.end_s - grid.start_s
    result = []
    for k in range(n):
        mean, low, high = (_or_none(value) if enough[k] else None for value in pspi[k])
        fused: list[float | None] = [None] * 5
        codes = [c for c, s in reasons.items() if s[k] >= IN_THE_WAY_SHARE * length[k]]
        if scored is not None and (why := scored.reason(k)):
            codes.append(why)
        elif scored is not None:
            given = scored.scores
            parts = (given.score, given.low, given.high, given.face_weight, given.voice_weight)
            fused = [_or_none(part[k]) for part in parts]
        result.append(
            Window(
                start_s=float(grid.start_s[k]),
                end_s=float(grid.end_s[k]),
                score=fused[0],
                low=fused[1],
                high=fused[2],
                pspi=mean,
                pspi_low=low,
                pspi_high=high,
                face_share=_or_none(face_share[k]),
                voiced_share=_or_none(voiced[k]),
                face_weight=fused[3],
                voice_weight=fused[4],
                valid=bool(enough[k]) or fused[0] is not None,
                reasons=tuple(codes),
            )
        )
    return tuple(result)


def peak_result(
    seen: Track | None,
    voice: Track | None,
    scored: Course | None,
    at_s: float,
    voice_change: VoiceComparison | None = None,
) -> Peak:
    """What was measured at one peak: action units as held around it, voice measures as medians of the voiced part."""
    units: dict[str, float] = {}
    pspi: float | None = None
    if seen is not None and (index := _frame_at(seen, at_s)) is not None:
        pspi = _or_none(smooth(seen)[index])
        held = {name: smooth(seen, name)[index] for name in action_units.NAMES}
        units = {name: float(value) for name, value in held.items() if np.isfinite(value)}
    near: dict[str, float | None] = {}
    if voice is not None:
        around = voice.valid & (np.abs(voice.time_s - at_s) <= VOICE_REACH_S) & (voice.column("voiced") > 0.5)
        for name in VOICE_AT_PEAK:
            values = voice.column(name)[around]
            values = values[np.isfinite(values)]
            near[name] = float(np.median(values)) if len(values) else None
    return Peak(at_s, _score_at(scored, at_s), pspi, units, near, voice_change)


def _voice_warnings(voice: Track, heard: VoiceEvidence | None) -> list[str]:
    found = []
    if heard is not None and heard.automatic_gain:
        found.append(
            "the microphone regulates its level by itself (the room's noise creeps up in the pauses): loud and soft "
            "cannot be compared; switch automatic gain off for the next recording"
        )
    if any(reason.code == "lips_still" for reason in voice.reasons):
        seconds = _seconds_by_reason(voice).get("lips_still", 0.0)
        if seconds > 0:
            found.append(
                f"a voice speaks for {seconds:.1f} s while the lips are still: perhaps another person; left out of "
                "the comparison with the voice at rest"
            )
    return found


def _face_warnings(seen: Track, media: MediaSummary, share: float) -> list[str]:
    found = []
    jumped = seen.time_s[seen.has_reason("target_jump")]
    if len(jumped):
        times = ", ".join(f"{time:.1f} s" for time in jumped[:5]) + (" and later" if len(jumped) > 5 else "")
        found.append(f"the followed face was found again elsewhere at {times}: check that it is the same person")
    others_s = _seconds_by_reason(seen).get("other_face", 0.0)
    if others_s > 0:
        found.append(f"another face was in the picture for {others_s:.1f} s; choose whom to follow with --person N")
    if share < EVIDENCE.doubtful_share and not media.still:
        found.append(
            f"the face could be used for only {share:.0%} of the recording: what happened in the rest is not known"
        )
    if media.fps is not None and LEAST_FPS <= media.fps < LOW_FPS:
        found.append(
            f"{media.fps:.0f} pictures a second: blinks and closed eyes cannot be told apart well below {LOW_FPS:.0f}"
        )
    if media.still:
        found.append(
            "a single picture: nothing can be said about the course over time, and it is compared with the average face"
        )
    return found


def _seconds_by_reason(track: Track) -> dict[str, float]:
    """Seconds under each reason code that occurs, by code."""
    seconds = seconds_per_sample(track.time_s)
    totals = {reason.code: float(seconds[track.has_reason(reason.code)].sum()) for reason in track.reasons}
    return {code: total for code, total in totals.items() if total > 0}


def _shares_by_reason(track: Track) -> dict[str, float]:
    """Share of the samples under each reason code, the largest first."""
    shares = {reason.code: float(track.has_reason(reason.code).mean()) for reason in track.reasons}
    return dict(sorted(shares.items(), key=lambda item: -item[1]))


def _blocks(track: Track, code: str) -> bool:
    return next(reason.blocking for reason in track.reasons if reason.code == code)


def _weighted_quantile(values: TimeArray, weight: TimeArray, q: float) -> float:
    order = np.argsort(values, kind="stable")
    running = np.cumsum(weight[order])
    return float(values[order][np.searchsorted(running, q * running[-1])])


def _or_none(value: float) -> float | None:
    """A number, or None for NaN."""
    return float(value) if np.isfinite(value) else None
