"""Tracks -> Report: the part of the flow that recorded and live analysis share, and training reads.

Action units, score, verdict and what the voice shows, made from what was measured of the face and the voice alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from painsense import action_units, face, lips, scoring, verdict, voice_change, voice_rest, voice_segments, windows
from painsense.baseline import Baseline
from painsense.fusion import Fusion
from painsense.report import (
    BaselineStamp,
    ClipResult,
    MediaSummary,
    Report,
    Software,
    VoiceComparison,
    VoiceEvidence,
)
from painsense.scoring import Course
from painsense.tracks import Track
from painsense.voice_segments import Segment
from painsense.windows import Windows


@dataclass(frozen=True)
class Observed:
    """What was measured, before anything is said about it.

    Attributes
    ----------
    face : action units and what they rest on, see :mod:`painsense.action_units`; None without picture
    voice : see :mod:`painsense.voice`, with a remark where somebody speaks beside still lips; None without sound
    segments : kinds of sound; empty without sound
    neutral_known : whether the face was read beside the person's own neutral
    voice_at_rest : of a rest recording; None: the recording's own calmest part stands for it
    """

    face: Track | None
    voice: Track | None
    segments: tuple[Segment, ...]
    neutral_known: bool
    voice_at_rest: voice_rest.Rest | None = None


def observe(
    raw: Track | None,
    voice: Track | None,
    neutral: Baseline | None,
    provider: str,
    at_rest: voice_rest.Rest | None = None,
) -> Observed:
    """Raw face and voice tracks -> what is judged: recorded and live analysis and training come through here."""
    segments: tuple[Segment, ...] = ()
    if voice is not None and len(voice):
        segments = voice_segments.of_track(voice)
        voice = voice if raw is None else _with_still_lips(voice, raw, segments)
    speaking = face.speaking(raw, voice) if raw is not None and voice is not None else None
    seen = action_units.estimate_track(raw, neutral, speaking, provider) if raw is not None else None
    return Observed(seen, voice, segments, neutral is not None, at_rest)


def score(network: Fusion, observed: Observed, grid: Windows) -> Course:
    """The score of each window of ``grid``."""
    return scoring.course(
        network,
        observed.face,
        observed.voice,
        observed.segments,
        grid,
        observed.voice_at_rest,
        neutral_known=observed.neutral_known,
    )


def assemble(
    summed: MediaSummary,
    software: Software,
    modalities: Sequence[str],
    observed: Observed,
    network: Fusion,
    stamp: BaselineStamp,
    doubts: Sequence[str],
) -> Report:
    """The report on what was observed."""
    seen, voice, segments = observed.face, observed.voice, observed.segments
    grid = windows.grid(summed.duration_s)
    scored = score(network, observed, grid)
    value, why = scoring.summarise(scored, summed.duration_s)
    hindered = verdict.missing_evidence(seen, summed, modalities)  # the face, for PSPI
    reasons = hindered if value is None else []
    peaks = [] if reasons else verdict.peaks(None if hindered else seen, scored)
    heard: VoiceEvidence | None = None
    changes: tuple[VoiceComparison, ...] = ()
    if voice is not None:
        heard, changes = voice_change.compare(voice, observed.voice_at_rest, segments, peaks)
    return Report(
        media=summed,
        software=software,
        baseline=stamp,
        quality=verdict.quality(seen, voice, summed, doubts, heard),
        clip=ClipResult(
            verdict="not_enough_evidence" if reasons else "scored",
            reasons=tuple(reasons),
            score=value,
            score_reason=why,
            pspi=verdict.summarise(seen) if seen is not None and not hindered else None,
            modalities=scoring.weights(scored) if value is not None else {},
        ),
        windows=verdict.window_results(seen, voice, grid, scored),
        peaks=tuple(
            verdict.peak_result(seen, voice, scored, at_s, changes[k] if changes else None)
            for k, at_s in enumerate(peaks)
        ),
        scale=scoring.scale(network) if value is not None else None,
        rests_on=scoring.rests_on(network, scored) if value is not None else None,
        voice=heard,
        segments=segments,
        tracks={track.modality: track for track in (seen, voice) if track is not None},
    )


def _with_still_lips(voice: Track, raw: Track, segments: Sequence[Segment]) -> Track:
    """The voice track with the remark where somebody speaks beside still lips."""
    still = lips.still(raw, voice, voice_segments.kinds_at(segments, voice.time_s)).astype(np.uint32)
    bits = voice.reason_bits | still << np.uint32(len(voice.reasons))
    return Track(voice.modality, voice.columns, (*voice.reasons, lips.REASON), voice.time_s, voice.values, bits)
