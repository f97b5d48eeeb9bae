"""Makes rich synthetic reports: every part of a report filled with values that are known and easy to check."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from painsense.report import (
    Alternative,
    BaselineStamp,
    ClipResult,
    MediaSummary,
    ModelStamp,
    Peak,
    PeakPicture,
    PspiSummary,
    Quality,
    Report,
    RestsOn,
    Score,
    ScoreScale,
    Software,
    VoiceBand,
    VoiceChange,
    VoiceComparison,
    VoiceEvidence,
    Window,
)
from painsense.tracks import Column, Reason, Track, seconds_per_sample
from painsense.voice_segments import Segment

FACS = "Ekman & Friesen 1978"
UNITS = {
    "AU4": "brow lowerer",
    "AU6": "cheek raiser",
    "AU7": "lid tightener",
    "AU9": "nose wrinkler",
    "AU10": "upper lip raiser",
    "AU12": "lip corner puller",
    "AU20": "lip stretcher",
    "AU25": "lips part",
    "AU26": "jaw drop",
}
FACE_COLUMNS = (
    Column("yaw_deg", "deg", "head turned to the person's own left (+) or right (-)", -180, 180),
    Column("face_px", "px", "distance of the outer eye corners", 0, None),
    *(
        column
        for name, words in UNITS.items()
        for column in (
            Column(name, "0-5", f"{words}, FACS intensity", 0, 5, FACS),
            Column(f"{name}_sd", "0-5", f"standard deviation of the {name} estimate", 0, None),
        )
    ),
    Column("AU43", "0/1", "eyes closed for half a second or longer", 0, 1, FACS),
    Column("pspi", "0-16", "Prkachin-Solomon pain intensity", 0, 16, "doi:10.1016/j.pain.2008.04.010"),
    Column("pspi_low", "0-16", "lower end of the 90% interval of PSPI", 0, 16),
    Column("pspi_high", "0-16", "upper end of the 90% interval of PSPI", 0, 16),
)
FACE_REASONS = (
    Reason("no_face", "no face was found"),
    Reason("turned_away", "the head was turned too far from the camera"),
    Reason("blurred", "the face was blurred"),
    Reason("target_jump", "the face was found again elsewhere", blocking=False),
    Reason("blink", "a blink", blocking=False),
    Reason("speaking", "the person was speaking", blocking=False),
)
VOICE_COLUMNS = (
    Column("f0_hz", "Hz", "fundamental frequency", 50, 1000),
    Column("loudness", "1", "loudness", 0, None),
    Column("level_dbfs", "dB", "level", None, 0),
    Column("periodicity", "1", "how periodic the sound is", 0, 1),
)
VOICE_REASONS = (
    Reason("silent", "the sound was silent"),
    Reason("low_snr", "the voice did not stand out from the noise"),
    Reason("unvoiced", "no voiced sound", blocking=False),
)
NAN = float("nan")


def bump(time_s: np.ndarray, at_s: float, width_s: float) -> np.ndarray:
    """A smooth rise to 1 at ``at_s``."""
    return np.exp(-0.5 * ((time_s - at_s) / width_s) ** 2)


def face_track(duration_s: float = 28.0, fps: float = 30.0) -> Track:
    """A pain-like rise of PSPI to about 8 at 45% of the clip and to 4 at 70%; turned away from 80% to 90% of it.

    A blink at 10%, speaking from 20% to 30%, a wide interval from 60% to 66%.
    """
    time_s = np.arange(round(duration_s * fps)) / fps
    share = time_s / duration_s
    n = len(time_s)
    first, second = bump(share, 0.45, 0.04), bump(share, 0.70, 0.02)
    ripple = 0.15 * np.sin(2 * np.pi * time_s * 0.7)
    intensity = {
        "AU4": 2.6 * first + 1.4 * second + 0.3 + ripple,
        "AU6": 2.0 * first + 1.0 * second + 0.2,
        "AU7": 2.4 * first + 1.2 * second + 0.2,
        "AU9": 1.8 * first + 0.4 * second,
        "AU10": 1.2 * first + 0.9 * second,
        "AU12": 2.2 * bump(share, 0.93, 0.02),
        "AU20": 0.8 * first,
        "AU25": 1.5 * first + 0.7 * ((share > 0.2) & (share < 0.3)),
        "AU26": 0.6 * first,
    }
    shut = (first > 0.8).astype(float)
    pspi = (
        intensity["AU4"]
        + np.maximum(intensity["AU6"], intensity["AU7"])
        + np.maximum(intensity["AU9"], intensity["AU10"])
        + shut
    )
    half = np.where((share > 0.60) & (share < 0.66), 4.0, 1.1)
    columns = [12 * np.sin(time_s), np.full(n, 90.0)]
    for name in UNITS:
        columns += [np.clip(intensity[name], 0, 5), np.full(n, 0.4)]
    low = np.clip(pspi - half, 0, 16)
    high = np.where((share > 0.60) & (share < 0.66), pspi + 7.0, pspi + half)
    columns += [shut, pspi, low, np.clip(high, 0, 16)]
    values = np.stack(columns, axis=1).astype(np.float32)
    bits = np.zeros(n, np.uint32)
    bits[(share >= 0.80) & (share < 0.90)] |= 1 << 1
    bits[(share >= 0.84) & (share < 0.86)] |= 1 << 2
    bits[(share >= 0.88) & (share < 0.90)] = 1 << 0
    bits[np.searchsorted(share, 0.90)] |= 1 << 3
    bits[(share >= 0.10) & (share < 0.106)] |= 1 << 4
    bits[(share >= 0.20) & (share < 0.30)] |= 1 << 5
    values[(bits & 0b111) != 0, 2:] = NAN
    values[(bits & 0b1) != 0] = NAN
    return Track("face", FACE_COLUMNS, FACE_REASONS, time_s, values, bits)


def voice_track(duration_s: float = 28.0) -> Track:
    """A sample each 10 ms: voiced from 20% to 30% (speech) and from 42% to 48% (a moan, 220 Hz); silent at the end."""
    time_s = np.arange(round(duration_s * 100)) / 100
    share = time_s / duration_s
    speech, moan = (share > 0.2) & (share < 0.3), (share > 0.42) & (share < 0.48)
    f0 = np.where(speech, 120 + 15 * np.sin(9 * time_s), np.where(moan, 220 - 200 * (share - 0.42), NAN))
    level = -48 + 24 * speech + 30 * moan + 2 * np.sin(5 * time_s)
    bits = np.where(speech | moan, 0, 1 << 2).astype(np.uint32)
    bits[share > 0.95] = 1 << 0
    values = np.stack([f0, 10 ** (level * 0.033 + 1), level, np.where(speech | moan, 0.8, 0.2)], axis=1).astype(
        np.float32
    )
    values[share > 0.95] = NAN
    return Track("voice", VOICE_COLUMNS, VOICE_REASONS, time_s, values, bits)


def grid_mesh() -> tuple[np.ndarray, np.ndarray]:
    """A made-up mesh: 468 points on a 26 by 18 grid, 850 triangles."""
    y, x = np.divmod(np.arange(468), 18)
    points = np.stack([x / 17 * 1.4 - 0.7, y / 25 * 2 - 1], axis=1)
    corner = np.array([row * 18 + column for row in range(25) for column in range(17)])
    upper = np.stack([corner, corner + 1, corner + 18], axis=1)
    lower = np.stack([corner + 1, corner + 19, corner + 18], axis=1)
    return points.astype(np.float32), np.concatenate([upper, lower]).astype(np.int32)


ALTERNATIVES = (Alternative("without_face", None), Alternative("brows", 5.9), Alternative("without_voice", 7.8))


def windows(face: Track, voice: Track | None, duration_s: float, fused: bool = False) -> tuple[Window, ...]:
    """Windows of 2 s every 0.5 s with the means of the usable frames; with a score where there is PSPI."""
    found, usable = [], face.valid
    shown = [face.column(name) for name in ("pspi", "pspi_low", "pspi_high")]
    for start_s in np.arange(0, max(duration_s - 2, 0) + 1e-9, 0.5):
        inside = slice(*np.searchsorted(face.time_s, [start_s, start_s + 2]))
        use = usable[inside]
        share = float(use.mean())
        valid = share >= 0.6
        pspi, low, high = (float(np.mean(values[inside][use])) if valid else None for values in shown)
        heard = None
        if voice is not None:
            spoken = slice(*np.searchsorted(voice.time_s, [start_s, start_s + 2]))
            heard = float(np.mean(voice.reason_bits[spoken] == 0))
        reasons = () if valid else ("turned_away",)
        end_s = float(start_s + 2)
        found.append(
            Window(
                float(start_s),
                end_s,
                *((pspi * 0.6, pspi * 0.5, pspi * 0.6 + 1) if fused and pspi is not None else (None, None, None)),
                pspi,
                low,
                high,
                float(share),
                heard,
                *((0.8, 0.2) if fused and valid else (None, None)),
                valid,
                reasons,
            )
        )
    return tuple(found)


def voice_change(measure: str = "f0_semitone", at_s: float = 12.0, text: str = "") -> VoiceChange:
    """One change of the voice, as if found in two seconds from ``at_s`` on."""
    pitch = measure == "f0_semitone"
    value, rest = (37.0, 26.0) if pitch else (None, None)
    change, unit = (11.0, "semitones") if pitch else (6.0, "dB")
    text = text or "pitch 11.0 semitones higher than at rest (233 Hz against 123 Hz)"
    return VoiceChange(measure, at_s, at_s + 2, 1.7, change, unit, value, rest, "rest_clip", "nonverbal", text)


def changed(at_s: float) -> VoiceComparison:
    """A voice that is higher and louder than at rest."""
    changes = (voice_change(at_s=at_s), voice_change("loudness", at_s, "voice 6.0 dB louder than at rest"))
    return VoiceComparison("changed", 1.7, changes, "; ".join(change.text for change in changes))


NOT_ENOUGH = VoiceComparison(
    "not_enough_voice", 0.1, (), "not enough voice: 0.1 s, at least 0.5 s within 2 s is needed"
)


def voice_evidence(duration_s: float) -> VoiceEvidence:
    """A voice compared with that of a rest recording."""
    return VoiceEvidence(
        "rest_clip",
        "rest.mp4",
        "compared with 3.2 s of voice at rest",
        3.2,
        None,
        VoiceBand(123.0, 104.0, 141.0, "rest_clip"),
        VoiceBand(0.0, -7.5, 5.0, "rest_clip"),
        1.6,
        changed(0.42 * duration_s),
    )


def segments(duration_s: float) -> tuple[Segment, ...]:
    """What :func:`voice_track` holds, as kinds of sound; a breath after the moan."""
    edges = [0.0, 0.2, 0.3, 0.42, 0.48, 0.5, 1.0]
    kinds = ["silence", "speech", "silence", "nonverbal", "breath", "silence"]
    return tuple(Segment(a * duration_s, b * duration_s, k) for a, b, k in zip(edges, edges[1:], kinds, strict=False))


def make_report(
    duration_s: float = 28.0,
    *,
    file: str = "clip.mp4",
    fused: bool = False,
    voice: bool = True,
    mesh: tuple[np.ndarray, np.ndarray] | None = None,
    jpeg: bytes | None = None,
) -> Report:
    """A scored recording with two peaks; ``fused``: with a 0-10 score too."""
    face = face_track(duration_s)
    heard = voice_track(duration_s) if voice else None
    seconds = seconds_per_sample(face.time_s)
    use = face.valid
    pspi = np.where(use, face.column("pspi"), NAN)
    first, second = int(np.argmin(np.abs(face.time_s - 0.45 * duration_s))), int(0.70 * len(face))
    points, triangles = mesh if mesh is not None else grid_mesh()
    low, high = float(np.mean(face.column("pspi_low")[use])), float(np.mean(face.column("pspi_high")[use]))
    reasons = {r.code: float(seconds[face.has_reason(r.code)].sum()) for r in face.reasons}
    if heard is not None:
        reasons |= {r.code: float(heard.has_reason(r.code).sum() / 100) for r in heard.reasons}
    peaks = tuple(
        Peak(
            float(face.time_s[k]),
            6.1 if fused else None,
            float(pspi[k]),
            {name: float(face.column(name)[k]) for name in (*UNITS, "AU43")},
            {"f0_hz": 219.5 if k == first else None, "hnr_db": 9.25},
            None if heard is None else changed(0.42 * duration_s) if k == first else NOT_ENOUGH,
        )
        for k in (first, second)
    )
    sound = (0.0, duration_s) if voice else (None, None)
    return Report(
        media=MediaSummary(file, "3f" * 32, duration_s, len(face), 30.0, 640, 360, 0, voice, *sound),
        software=Software(
            "0.1.0",
            (ModelStamp("face_landmarker", "2", "ab" * 32), ModelStamp("action_units", "1", "cd" * 32)),
            "litert",
            "cpu",
            {"baseline": "auto", "modalities": ["face", "voice"], "fps": None, "person": "largest"},
        ),
        baseline=BaselineStamp("auto", "calmest frames of this recording", frames=84),
        quality=Quality(
            float(seconds[use].sum() / duration_s),
            float(seconds[use].sum()),
            float((heard.reason_bits == 0).sum() / 100) if heard is not None else None,
            float(heard.valid.sum() / 100) if heard is not None else None,
            {code: value for code, value in reasons.items() if value > 0},
            ("the microphone level changed during the recording",),
            {"least_usable_face_s": 3.0, "least_usable_face_share": 0.25},
        ),
        clip=ClipResult(
            "scored",
            (),
            Score(5.2, 3.9, 6.4, 8.1, 6.6, 9.7, 0.42 * duration_s) if fused else None,
            None if fused else "too_little_evidence",
            PspiSummary(
                float(np.nanmean(pspi)),
                low,
                high,
                float(np.nanpercentile(pspi, 95)),
                float(np.nanmax(pspi)),
                float(face.time_s[int(np.nanargmax(pspi))]),
                float(np.nanmean(pspi[use] > 3)),
                0.12 * duration_s,
            ),
            {"face": 0.8, "voice": 0.2} if fused else {"face": 1.0},
        ),
        windows=windows(face, heard, duration_s, fused),
        peaks=peaks,
        scale=ScoreScale("mine", "3", "vas", 0, 10, "Learned from 25 people.") if fused else None,
        rests_on=RestsOn(0.42 * duration_s, 8.1, ALTERNATIVES) if fused else None,
        voice=voice_evidence(duration_s) if voice else None,
        segments=segments(duration_s) if voice else (),
        tracks={"face": face} | ({"voice": heard} if heard is not None else {}),
        pictures=tuple(PeakPicture(peak.time_s, points, jpeg) for peak in peaks),
        mesh_triangles=triangles,
    )


def make_refusal(duration_s: float = 28.0) -> Report:
    """A recording in which the person had turned away for nearly all of the time."""
    report = make_report(duration_s)
    face = report.tracks["face"]
    bits = np.where(face.time_s < 2, face.reason_bits, 1 << 1).astype(np.uint32)
    values = np.where((bits == 0)[:, None], face.values, np.float32(NAN))
    tracks = dict(report.tracks, face=replace(face, reason_bits=bits, values=values))
    return replace(
        report,
        clip=ClipResult("not_enough_evidence", ("too_little_face",), None, "not_enough_evidence", None, {}),
        quality=replace(
            report.quality,
            face_usable_share=2 / duration_s,
            face_usable_s=2.0,
            reasons_s={"turned_away": duration_s - 2, "silent": 1.4},
        ),
        peaks=(),
        pictures=(),
        tracks=tracks,
    )


def make_voice_only(duration_s: float = 28.0) -> Report:
    """A sound recording without a picture."""
    report = make_report(duration_s, file="visit.wav")
    voice = report.tracks["voice"]
    return replace(
        report,
        media=replace(report.media, file="visit.wav", frames=0, fps=None, width=None, height=None, audio_only=True),
        clip=ClipResult("not_enough_evidence", ("no_video",), None, "not_enough_evidence", None, {}),
        quality=replace(
            report.quality, face_usable_share=None, face_usable_s=None, reasons_s={"unvoiced": 22.0, "silent": 1.4}
        ),
        windows=(),
        peaks=(),
        pictures=(),
        tracks={"voice": voice},
    )


def make_still() -> Report:
    """One picture."""
    report = make_report()
    face = report.tracks["face"]
    at = int(np.argmin(np.abs(face.time_s - report.peaks[0].time_s)))
    one = replace(face, time_s=np.zeros(1), values=face.values[at : at + 1], reason_bits=np.zeros(1, np.uint32))
    pspi = report.peaks[0].pspi
    return replace(
        report,
        media=MediaSummary("face.jpg", "3f" * 32, 0.0, 1, None, 640, 360, 0, False, None, still=True),
        quality=Quality(1.0, 0.0, None, None, {}),
        clip=replace(report.clip, pspi=PspiSummary(pspi, pspi - 1, pspi + 1, pspi, pspi, 0.0, 1.0, 0.0)),
        windows=(),
        peaks=(replace(report.peaks[0], time_s=0.0, voice={}, voice_change=None),),
        voice=None,
        segments=(),
        pictures=(replace(report.pictures[0], time_s=0.0),),
        tracks={"face": one},
    )
