"""Face and voice -> one score of pain expression with an interval, window by window.

A small network reads the four seconds before the end of each window in twenty steps: action units of the face, measures
of the voice against the person's own, and which kinds of sound there were. It weighs both by how well they could be
measured, and a missing one is left out. What a model was trained to say (self-report, PSPI, a simulated level) and on
which scale stands in its file and in :attr:`Fusion.label_kind`: scores of models with different labels are different
things. Where the interval is wider than the model's own limit, there is no score.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from painsense import assets
from painsense import windows as grids
from painsense.action_units import ESTIMATED
from painsense.errors import ModelError
from painsense.spec import METADATA_KEY, ModelSpec
from painsense.tracks import BitArray, BoolArray, Column, FloatArray, TimeArray, Track
from painsense.voice_gain import automatic_gain
from painsense.voice_rest import LIMITS, Rest, room_noise_dbfs, scaled, usable_voice
from painsense.voice_segments import KINDS, Segment, kinds_at
from painsense.windows import Windows

CONTEXT_S = 4.0  # what is seen before the end of a window
STEP_S = 0.2
STEPS = round(CONTEXT_S / STEP_S)
WINDOW_STEPS = round(grids.LENGTH_S / STEP_S)  # the last of them, which the score is for

#: what is seen of the face: means over each step; ``neutral_known`` is 1 where the person's own neutral was, else 0
FACE = (*ESTIMATED, "eye_closure", "AU43", "neutral_known")
#: columns of the voice track that count in the person's own voice only
IN_VOICE = ("hnr_db", "cpp_db", "jitter_local", "shimmer_db", "roughness", "subharmonics", "chaos")
#: ... and in whatever sounds, voiced or not
IN_SOUND = ("alpha_ratio_db", "hammarberg_db", "slope_0_500", "slope_500_1500", "mfcc_1", "mfcc_2", "mfcc_3", "mfcc_4")
SHARES = tuple(f"share_{kind}" for kind in KINDS)
#: what is seen of the voice. No absolute level: a microphone's gain and distance say nothing about a person
VOICE = (
    "voiced",
    "periodicity",
    "f0_change_semitones",
    "loudness_change_db",
    "spectral_flux_relative",
    *IN_VOICE,
    *IN_SOUND,
    *SHARES,
)
#: names as a model's spec has them
FEATURES = (*(f"face:{name}" for name in FACE), *(f"voice:{name}" for name in VOICE))

INPUTS = ("face", "voice")
OUTPUTS = ("score", "low", "high", "weights", "pspi", "levels")
TARGETS = ("score",)
LEVELS = 11  # 0 to 10
#: a model's notes in ``ModelSpec.training`` on what its score means
LABEL = ("label_kind", "label_low", "label_high")
BLOCK = 256  # windows computed at a time: fixed, so that a result does not depend on the length of the recording
_MEASURED = 3  # values of a step that must be there for the face to count as seen
_REMEDY = "export the model anew with this version of painsense, or install the version it was made with"


@dataclass(frozen=True)
class FusionInputs:
    """What the network sees of n windows.

    Attributes
    ----------
    face : ndarray [shape=(n, 20, len(FACE)), float32], NaN where not measured
    voice : ndarray [shape=(n, 20, len(VOICE)), float32], the same
    """

    face: FloatArray
    voice: FloatArray

    def __len__(self) -> int:
        return len(self.face)

    def only(self, modality: Literal["face", "voice"]) -> FusionInputs:
        """The same windows as if the other modality had not been recorded."""
        if modality == "face":
            return FusionInputs(self.face, np.full_like(self.voice, np.nan))
        return FusionInputs(np.full_like(self.face, np.nan), self.voice)


@dataclass(frozen=True)
class FusionScores:
    """Scores on the window grid.

    Attributes
    ----------
    score : ndarray [shape=(n,), 0-10], NaN where ``valid`` is False
    low, high : ndarray [shape=(n,), 0-10], the 90% interval; also where it is too wide for a score
    face_weight, voice_weight : ndarray [shape=(n,), 0-1], they add up to 1; 0 for a modality without evidence, and both
        where there is none at all
    pspi : ndarray [shape=(n,), 0-16], the network's own reading of PSPI; NaN in models that never learned it
    too_wide : ndarray [shape=(n,), bool], there is evidence, but the interval is wider than the model's limit
    valid : ndarray [shape=(n,), bool]
    """

    score: FloatArray
    low: FloatArray
    high: FloatArray
    face_weight: FloatArray
    voice_weight: FloatArray
    pspi: FloatArray
    too_wide: BoolArray
    valid: BoolArray


def inputs(
    face: Track | None,
    voice: Track | None,
    segments: Sequence[Segment],
    windows: Windows,
    voice_rest: Rest | None = None,
    *,
    neutral_known: bool = False,
) -> FusionInputs:
    """What the network sees of each window.

    Parameters
    ----------
    face : the track made by :func:`painsense.action_units.estimate_track`; None without picture
    voice : the track made by :func:`painsense.voice.low_level`; None without sound
    segments : kinds of sound, as :func:`painsense.voice_segments.of_track` gives them; empty when they are not known
    windows : the grid
    voice_rest : the voice at rest. Without it, or with less than a second of voice in it, pitch and loudness are
        compared with the medians over the voice of the recording
    neutral_known : whether the action units were read beside the person's own neutral
    """
    steps = _steps(windows)
    n = len(windows)
    seen = np.full((n, STEPS, len(FACE)), np.nan, np.float32)
    heard = np.full((n, STEPS, len(VOICE)), np.nan, np.float32)
    if face is not None and len(face) and n:
        names = FACE[:-1]
        seen[..., :-1] = grids.means(face, names, steps).reshape(n, STEPS, -1)
        there = np.isfinite(seen[..., :-1]).sum(axis=2) >= _MEASURED
        seen[~there] = np.nan
        seen[..., -1] = np.where(there, np.float32(neutral_known), np.float32(np.nan))
    if voice is not None and len(voice) and n:
        heard[:] = grids.means(_own_voice(voice, segments, voice_rest), VOICE, steps).reshape(n, STEPS, -1)
    return FusionInputs(seen, heard)


def _steps(windows: Windows) -> Windows:
    """The steps of all windows, one after the other, as a grid of their own."""
    # rounded, so that a sample on an edge falls into the same step in every window
    edges: TimeArray = np.round(windows.end_s[:, None] + np.arange(-STEPS, 1) * STEP_S, 6).astype(np.float64)
    return Windows(edges[:, :-1].reshape(-1), edges[:, 1:].reshape(-1))


def _own_voice(track: Track, segments: Sequence[Segment], rest: Rest | None) -> Track:
    """The track of :data:`VOICE`: what is compared is compared, what does not count is NaN, no sample is unusable."""
    column = track.column
    others = _reason(track, "lips_still")  # somebody else's voice
    unknown = _reason(track, "no_audio") | others | ~(track.valid | _reason(track, "silent"))
    own = usable_voice(track) & ~others
    kind = kinds_at(segments, track.time_s) if segments else None
    sounding = track.valid & ~others & (own if kind is None else (kind < len(KINDS)) & (kind != KINDS.index("silence")))

    def where(mask: BoolArray, values: FloatArray) -> FloatArray:
        return np.asarray(np.where(mask, values, np.nan), np.float32)

    f0, loudness = column("f0_semitone"), np.asarray(scaled("loudness", column("loudness")), np.float32)
    f0_rest, loudness_rest = _reference(track, rest, own, f0, loudness)
    loud = np.maximum(column("loudness"), np.float32(1e-4))
    with np.errstate(divide="ignore", invalid="ignore"):
        # flux follows the amplitude, loudness the amplitude to 2 * 0.33
        flux = np.log10(column("spectral_flux")) - np.log10(loud) / np.float32(0.66)
    table = {
        "voiced": where(~unknown, own.astype(np.float32)),
        "periodicity": where(sounding, column("periodicity")),
        "f0_change_semitones": where(own, f0 - f0_rest),
        "loudness_change_db": where(own, loudness - loudness_rest),
        "spectral_flux_relative": where(sounding & np.isfinite(flux), np.asarray(flux, np.float32)),
        **{name: where(own, column(name)) for name in IN_VOICE},
        **{name: where(sounding, column(name)) for name in IN_SOUND},
    }
    for k, name in enumerate(SHARES):
        table[name] = np.full(len(track), np.nan, np.float32)
        if kind is not None:
            table[name] = where(~unknown & (kind >= 0), (kind == k).astype(np.float32))
    values = np.stack([table[name] for name in VOICE], axis=1)
    values[~np.isfinite(values)] = np.nan
    columns = tuple(Column(name, "", "see painsense.fusion.VOICE") for name in VOICE)
    bits: BitArray = np.zeros(len(track), np.uint32)
    return Track("voice", columns, (), track.time_s, values, bits)


def _reason(track: Track, code: str) -> BoolArray:
    """Where a reason stands; nowhere in a track that does not know it."""
    if all(reason.code != code for reason in track.reasons):
        return np.zeros(len(track), bool)
    return track.has_reason(code)


def _reference(
    track: Track, rest: Rest | None, own: BoolArray, f0: FloatArray, loudness: FloatArray
) -> tuple[np.float32, np.float32]:
    """Pitch [semitones] and loudness [dB] that the voice is compared with; NaN where there is nothing to compare."""

    def middle(values: FloatArray) -> float:
        known = values[own & np.isfinite(values)]
        return float(np.median(known)) if len(known) else np.nan

    f0_rest, loudness_rest = middle(f0), middle(loudness)
    values = rest.values if rest is not None and rest.values.get("voiced_s", 0.0) >= LIMITS.least_rest_voice_s else {}
    if "f0_semitone" in values:
        f0_rest = values["f0_semitone"]
    if "loudness" in values:
        apart_db = abs(room_noise_dbfs(track) - values.get("noise_floor_dbfs", np.nan))
        if apart_db <= LIMITS.max_room_difference_db and not values.get("automatic_gain", 0.0):
            loudness_rest = float(scaled("loudness", values["loudness"]))
    if automatic_gain(track):
        loudness_rest = np.nan  # loud and soft mean nothing there
    return np.float32(f0_rest), np.float32(loudness_rest)


@dataclass(frozen=True)
class Fusion:
    """A fusion network, loaded, with its spec. It serves any number of threads."""

    spec: ModelSpec
    session: Any

    @classmethod
    def load(cls, content: bytes, provider: str = "cpu") -> Fusion:
        """The network of an ONNX file.

        Raises
        ------
        ModelError : it cannot be read, or reads or gives other things than this version of painsense knows
        ProviderError : ``provider`` does not work on this machine
        """
        from painsense import providers

        session = providers.session(content, provider, "fusion", _REMEDY)
        return cls(check(session), session)

    @property
    def label_kind(self) -> str:
        """What the score was learned from: a kind of label, for example "vas"."""
        return str(self.spec.training["label_kind"])

    @property
    def label_scale(self) -> tuple[float, float]:
        """The scale of that label; a score of 0 is its lower end, one of 10 its upper."""
        return float(self.spec.training["label_low"]), float(self.spec.training["label_high"])

    @property
    def abstain_width(self) -> float:
        """Intervals wider than this, on the scale of the score, give no score."""
        return self.spec.calibration["score"]["abstain_width"]

    def outputs(self, seen: FusionInputs) -> dict[str, FloatArray]:
        """All the network says of the windows, by the names of :data:`OUTPUTS`, however wide its intervals."""
        at_face, at_voice = columns(self.spec, "face"), columns(self.spec, "voice")
        n = len(seen)
        result = {name: np.full((n, *shape), np.nan, np.float32) for name, shape in _SHAPES.items()}
        for start in range(0, n, BLOCK):
            piece = slice(start, start + BLOCK)
            given = {"face": seen.face[piece][..., at_face], "voice": seen.voice[piece][..., at_voice]}
            for name, values in zip(OUTPUTS, self.session.run(OUTPUTS, given), strict=True):
                result[name][piece] = values
        return result

    def __call__(self, seen: FusionInputs) -> FusionScores:
        """Scores of all windows."""
        result = self.outputs(seen)
        evidence = np.isfinite(result["score"])
        with np.errstate(invalid="ignore"):
            too_wide = evidence & (result["high"] - result["low"] > self.abstain_width)
        valid = evidence & ~too_wide
        weights = np.nan_to_num(result["weights"])
        return FusionScores(
            score=np.where(valid, result["score"], np.float32(np.nan)),
            low=result["low"],
            high=result["high"],
            face_weight=weights[:, 0],
            voice_weight=weights[:, 1],
            pspi=np.where(evidence, result["pspi"], np.float32(np.nan)),
            too_wide=too_wide,
            valid=valid,
        )


_SHAPES: dict[str, tuple[int, ...]] = {
    "score": (),
    "low": (),
    "high": (),
    "weights": (len(INPUTS),),
    "pspi": (),
    "levels": (LEVELS,),
}


def columns(spec: ModelSpec, modality: str) -> list[int]:
    """Where the values a model reads of one modality stand in :data:`FACE` or :data:`VOICE`."""
    known = FACE if modality == "face" else VOICE
    return [known.index(name.partition(":")[2]) for name in spec.features if name.startswith(f"{modality}:")]


def check(session: Any) -> ModelSpec:
    """The spec of a loaded session, held against what this version of painsense reads and gives; ModelError if not."""
    stored = session.get_modelmeta().custom_metadata_map.get(METADATA_KEY)
    if stored is None:
        raise ModelError(
            f"fusion: a model made by export/fusion.py was expected, and this ONNX file carries no {METADATA_KEY!r}; "
            "give such a file, or leave --fusion-model away"
        )
    spec = ModelSpec.from_json(stored)
    if spec.targets != TARGETS:
        raise ModelError(
            f"model {spec.name!r} {spec.version}: a fusion model, which gives {TARGETS[0]}, was expected, one that "
            f"gives {', '.join(spec.targets[:5])} came; give a file made by export/fusion.py"
        )
    spec.check(columns=FEATURES, files=assets.sha256_by_name())
    kept = spec.calibration.get("score", {})
    width = kept.get("abstain_width")
    if not isinstance(width, (int, float)) or not width > 0:
        raise ModelError(
            f"model {spec.name!r} {spec.version}: calibration: score.abstain_width, a width above 0, was expected, "
            f"{width!r} came; {_REMEDY}"
        )
    kind, *scale = (spec.training.get(name) for name in LABEL)
    if not (isinstance(kind, str) and kind and all(isinstance(end, (int, float)) for end in scale)):
        raise ModelError(
            f"model {spec.name!r} {spec.version}: training: {', '.join(LABEL)}, the kind and scale of its labels, were "
            f"expected, {kind!r} and {scale} came; {_REMEDY}"
        )
    wanted: dict[str, list[Any]] = {modality: [STEPS, len(columns(spec, modality))] for modality in INPUTS} | {
        name: list(shape) for name, shape in _SHAPES.items()
    }
    came = {node.name: list(node.shape[1:]) for node in (*session.get_inputs(), *session.get_outputs())}
    if came != wanted:
        raise ModelError(
            f"model {spec.name!r} {spec.version}: inputs and outputs: {wanted} for each window were expected, {came} "
            f"came; {_REMEDY}"
        )
    return spec
