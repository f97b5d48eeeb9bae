"""Tracks -> Report: the part of the flow that recorded and live analysis share, and training reads.

Action units, score, verdict and what the voice shows, made from what was measured of the face and the voice alone.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from painsense import action_units, face, lips, scoring, verdict, voice_change, voice_rest, voice_segments, windows
from painsense.baseline import Baseline
from painsense.fusion import Fusion
from painsense.report import (
    BaselineStamp,
    ClipResult,
    MediaSummary,
    Report,
    Score,
    Software,
    VoiceComparison,
    VoiceEvidence,
)
from painsense.scoring import Course
from painsense.tracks import Track
from painsense.voice_segments import Segment


def assemble(
    summed: MediaSummary,
    software: Software,
    modalities: Sequence[str],
    raw: Track | None,
    voice: Track | None,
    neutral: Baseline | None,
    stamp: BaselineStamp,
    doubts: Sequence[str],
    at_rest: voice_rest.Rest | None = None,
    network: Fusion | None = None,
) -> Report:
    """The report on a recording from its tracks.

    Without ``network`` no score is worked out: what training reads are the tracks.
    """
    segments: tuple[Segment, ...] = ()
    if voice is not None and len(voice):
        segments = voice_segments.of_track(voice)
        voice = voice if raw is None else with_still_lips(voice, raw, segments)
    speaking = face.speaking(raw, voice) if raw is not None and voice is not None else None
    seen = action_units.estimate_track(raw, neutral, speaking, software.provider) if raw is not None else None
    grid = windows.grid(summed.duration_s)
    scored: Course | None = None
    score: Score | None = None
    why: str | None = "not_asked"
    if network is not None:
        known = neutral is not None
        scored = scoring.course(network, seen, voice, segments, grid, at_rest, neutral_known=known)
        score, why = scoring.summarise(scored, summed.duration_s)
    hindered = verdict.missing_evidence(seen, summed, modalities)  # the face, for PSPI
    reasons = hindered if score is None else []
    peaks = [] if reasons else verdict.peaks(None if hindered else seen, scored)
    heard: VoiceEvidence | None = None
    changes: tuple[VoiceComparison, ...] = ()
    if voice is not None:
        heard, changes = voice_change.compare(voice, at_rest, segments, peaks)
    return Report(
        media=summed,
        software=software,
        baseline=stamp,
        quality=verdict.quality(seen, voice, summed, doubts, heard),
        clip=ClipResult(
            verdict="not_enough_evidence" if reasons else "scored",
            reasons=tuple(reasons),
            score=score,
            score_reason=why,
            pspi=verdict.summarise(seen) if seen is not None and not hindered else None,
            modalities=scoring.weights(scored) if scored is not None and score is not None else {},
        ),
        windows=verdict.window_results(seen, voice, grid, scored),
        peaks=tuple(
            verdict.peak_result(seen, voice, scored, at_s, changes[k] if changes else None)
            for k, at_s in enumerate(peaks)
        ),
        scale=scoring.scale(network) if network is not None and score is not None else None,
        rests_on=scoring.rests_on(network, scored) if network is not None and scored and score is not None else None,
        voice=heard,
        segments=segments,
        tracks={track.modality: track for track in (seen, voice) if track is not None},
    )


def with_still_lips(voice: Track, raw: Track, segments: Sequence[Segment]) -> Track:
    """The voice track with the remark where somebody speaks beside still lips."""
    still = lips.still(raw, voice, voice_segments.kinds_at(segments, voice.time_s)).astype(np.uint32)
    bits = voice.reason_bits | still << np.uint32(len(voice.reasons))
    return Track(voice.modality, voice.columns, (*voice.reasons, lips.REASON), voice.time_s, voice.values, bits)
