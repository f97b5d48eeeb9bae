"""A trained fusion run -> an ONNX file with its spec inside, held against torch, and smaller variants measured.

    python -m export.fusion RUN --out my.onnx              the file, for painsense score --fusion-model my.onnx, and
                                                           MODEL_CARD.md beside it
    python -m export.fusion RUN --out my.onnx --variants   also my.float16.onnx and my.int8.onnx, held against it
    python -m export.fusion RUN --ship                     into painsense/weights, with its line in the manifest and
                                                           the golden windows of the tests; its card into docs
    python -m export.fusion --check [--model FILE]         the shipped file against its golden windows, without torch

RUN is the folder that training.fusion.train wrote. The card's results are those of RUN/evaluation/metrics.json, where
`training.fusion.evaluate RUN --out RUN/evaluation` puts them, or of --metrics FILE. Where torch and ONNX Runtime differ
by more than 0.0001 on any window, alone or in batches, nothing is written.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import json
import logging
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from export import parity
from export.model_card import CardError
from export.parity import ExportError, ParityError
from painsense import assets, providers
from painsense.errors import PainsenseError
from painsense.fusion import FEATURES, INPUTS, OUTPUTS, TARGETS, Fusion
from painsense.output import write_together
from painsense.spec import METADATA_KEY, ModelSpec

if TYPE_CHECKING:
    from training.fusion.network import FusionNetwork
    from training.fusion.samples import Samples

FloatArray = npt.NDArray[np.float32]
Windows = tuple[FloatArray, FloatArray]

NAME, FILE = "fusion", "fusion.onnx"
#: of the shipped model: its card, and the metrics it was written from
_DOCS = parity.ROOT / "docs"
SHIPPED_CARD, SHIPPED_METRICS = _DOCS / "model-card-fusion.md", _DOCS / "metrics" / "fusion.json"
METRICS = Path("evaluation", "metrics.json")  # of a run, in its folder
GOLDEN = parity.ROOT / "tests" / "data" / "fusion_golden.npz"
GOLDEN_WINDOWS, PARITY_WINDOWS = 32, 2000
MOST_BYTES = 5_000_000
_NO_METRICS = "without results, the run was not evaluated; run training.fusion.evaluate RUN --out RUN/evaluation first"
#: model files whose values it reads: with others its inputs would mean something else
NEEDS = ("face_landmarker", "face_shape", "action_units", "voice_segments")
OUTPUT_WORDS = {
    "score": "[n] pain expression, 0-10 of the label's scale; NaN without evidence",
    "low": "[n] lower end of the 90% interval",
    "high": "[n] upper end of the 90% interval",
    "weights": "[n, 2] of face and voice, adding up to 1; 0 for a modality without evidence",
    "pspi": "[n] Prkachin-Solomon pain intensity, 0-16; NaN where it was not learned",
    "levels": "[n, 11] probability of each level 0-10",
}


def spec_of(network: FusionNetwork, kept: dict[str, Any]) -> ModelSpec:
    """What a model says of itself, from what training kept beside it."""
    how = json.loads(kept["settings"])
    kind, low, high = kept["head"].rsplit("_", 2)
    covered = dict(zip(("both", "face", "voice"), kept["covered"], strict=True))
    needed = assets.sha256_by_name()
    calibration = {case: {"pspi_low": ends[0], "pspi_high": ends[1]} for case, ends in kept["pspi"].items()} | {
        "score": {
            "abstain_width": how["abstain_width"],
            "people": kept["calibration_people"],
            "windows": kept["calibration_windows"],
        }
        | {f"coverage_{case}": share for case, share in covered.items() if share == share},
    }
    return ModelSpec(
        name=how["name"],
        version=hashlib.sha256(json.dumps([how, kept["commit"]], sort_keys=True).encode()).hexdigest()[:12],
        licence=how["licence"],
        features=FEATURES,
        targets=TARGETS,
        outputs=OUTPUT_WORDS,
        requires={name: needed[name] for name in NEEDS if name in needed},
        training={
            "label_kind": kind,
            "label_low": float(low),
            "label_high": float(high),
            "recipe": "training.fusion.train",
            "dataset": how["dataset"],
            "source": how["source"],
            "people": kept["people"],
            "recordings": kept["recordings"],
            "epochs": kept["epochs"],
            "seed": how["seed"],
            "members": network.members,
            "settings": json.dumps(how, sort_keys=True),
            "commit": kept["commit"],
        },
        calibration=calibration,
        notes=how["notes"]
        or f"Learned from {how['dataset']}: the score stands for {kind} from {low} to {high}, brought to 0-10. "
        "PSPI's interval is in points.",
    )


def build(network: FusionNetwork, spec: ModelSpec, windows: Windows) -> tuple[bytes, parity.Parity]:
    """The ONNX file, when it says what torch says of all the windows.

    Raises
    ------
    ParityError : it does not
    ExportError, ModelError : the file would not be what painsense reads
    """
    import torch
    from onnx import helper

    from export import to_onnx

    if network.training:
        raise ExportError("a network in evaluation mode was expected, one that still learns came; call .eval()")
    example = tuple(torch.from_numpy(values[:4]) for values in windows)
    model = to_onnx.canonical(to_onnx.exported(network, example, INPUTS, OUTPUTS))
    helper.set_model_props(model, {METADATA_KEY: spec.to_json()})
    content = model.SerializeToString(deterministic=True)
    verify(content, spec)
    return content, parity.compare(run_torch(network, windows), run_onnx(content, windows))  # type: ignore[arg-type]


def verify(content: bytes, spec: ModelSpec) -> None:
    """Valid ONNX of operators that runtimes know, small enough, and read back by painsense with the same spec."""
    import onnx

    from export.to_onnx import IR_VERSION, OPSET

    model = onnx.load_model_from_string(content)
    onnx.checker.check_model(model, full_check=True)
    sets = {used.domain: used.version for used in model.opset_import}
    if sets != {"": OPSET} or model.functions or model.ir_version > IR_VERSION:
        raise ExportError(f"operators: ONNX's own of version {OPSET} were expected, {sets} came")
    if len(content) > MOST_BYTES:
        raise ExportError(f"at most {MOST_BYTES} bytes were expected, {len(content)} came; train a narrower network")
    if Fusion.load(content).spec != spec:
        raise ExportError("the spec that is read back from the file is not the one that went in")


def run_torch(network: FusionNetwork, windows: Windows) -> tuple[FloatArray, ...]:
    """What the torch network says of all windows."""
    import torch

    with torch.no_grad():
        return tuple(values.numpy() for values in network(*(torch.from_numpy(values) for values in windows)))


def run_onnx(content: bytes | Path, windows: Windows, sizes: Sequence[int] = (1, 32)) -> list[tuple[FloatArray, ...]]:
    """What an ONNX file says of all windows, once for each batch size and once for all of them together."""
    session = _session(content)
    results = []
    for size in (*sizes, max(1, len(windows[0]))):
        parts = [
            session.run(OUTPUTS, {name: part[at : at + size] for name, part in zip(INPUTS, windows, strict=True)})
            for at in range(0, len(windows[0]), size)
        ]
        if parts:
            results.append(tuple(np.concatenate([part[k] for part in parts]) for k in range(len(OUTPUTS))))
    return results


def _session(content: bytes | Path) -> Any:
    runtime = providers.runtime()
    options = runtime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    return runtime.InferenceSession(content, options, providers=["CPUExecutionProvider"])


def chosen(samples: Samples, count: int) -> Windows:
    """Some windows of a run, spread over it; every third as without sound, as without picture, or as it was."""
    rows = np.unique(np.linspace(0, len(samples) - 1, min(count, len(samples))).astype(int))
    face, voice = (getattr(samples, name)[rows].copy() for name in INPUTS)
    voice[1::3], face[2::3] = np.nan, np.nan
    return face, voice


def write_golden(network: FusionNetwork, windows: Windows, path: Path = GOLDEN) -> None:
    """Keep windows with what torch makes of them; the same content gives the same bytes."""
    seen = [np.asarray(values, np.float16) for values in windows]
    said = run_torch(network, (seen[0].astype(np.float32), seen[1].astype(np.float32)))
    buffer = io.BytesIO()
    arrays: dict[str, Any] = dict(zip((*INPUTS, *OUTPUTS), (*seen, *said), strict=True))
    np.savez_compressed(buffer, allow_pickle=False, **arrays)
    if buffer.tell() > parity.MOST_BYTES:
        raise ParityError(f"{path}: at most {parity.MOST_BYTES} bytes were expected, {buffer.tell()} came; keep fewer")
    write_together(path.parent, {path.name: [buffer.getvalue()]})


def check_golden(content: bytes | Path, golden: Path = GOLDEN) -> parity.Parity:
    """A file against what torch made of the golden windows, with onnxruntime alone; ParityError as in :func:`build`."""
    with np.load(golden, allow_pickle=False) as stored:
        windows = stored["face"].astype(np.float32), stored["voice"].astype(np.float32)
        expected = tuple(stored[name] for name in OUTPUTS)
    return parity.compare(expected, run_onnx(content, windows))  # type: ignore[arg-type]


# --- smaller variants -------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Variant:
    """One way to store the weights, measured beside float32 on the same windows.

    ``score_max``, ``score_mean`` : difference of the score; ``ends_max`` : of the interval's ends; ``evidence_differs``
    : windows that have a score in one and none in the other; ``batch_ms``, ``single_ms`` : a batch of 32 and one
    window, medians, on one core of the CPU
    """

    name: str
    bytes: int
    sha256: str
    score_max: float
    score_mean: float
    ends_max: float
    evidence_differs: int
    batch_ms: float
    single_ms: float


def variants(content: bytes, windows: Windows) -> dict[str, tuple[bytes, Variant]]:
    """The file itself and its float16 and int8 variants, with what each costs and spares."""
    made = {"float32": content, "float16": _float16(content), "int8": _int8(content)}
    sessions = {name: _session(each) for name, each in made.items()}
    times = _times(sessions, windows)
    expected = run_onnx(content, windows, ())[0]
    result = {}
    for name, each in made.items():
        said = run_onnx(each, windows, ())[0]
        apart = [np.abs(a.astype(np.float64) - b) for a, b in zip(expected[:3], said[:3], strict=True)]
        differs = int((np.isnan(expected[0]) != np.isnan(said[0])).sum())
        result[name] = each, Variant(
            name, len(each), hashlib.sha256(each).hexdigest(), float(np.nanmax(apart[0])), float(np.nanmean(apart[0])),
            float(np.nanmax(apart[1:])), differs, *times[name],
        )  # fmt: skip
    return result


def _float16(content: bytes) -> bytes:
    import onnx
    from onnxruntime.transformers import float16

    model = onnx.load_model_from_string(content)
    return bytes(float16.convert_float_to_float16(model, keep_io_types=True).SerializeToString(deterministic=True))


def _int8(content: bytes) -> bytes:
    from onnxruntime.quantization import QuantType, quantize_dynamic

    with tempfile.TemporaryDirectory() as folder:
        before, after = Path(folder, "float32.onnx"), Path(folder, "int8.onnx")
        before.write_bytes(content)
        logging.disable(logging.WARNING)  # it recommends a pre-processing that changes nothing here
        try:
            quantize_dynamic(before, after, weight_type=QuantType.QInt8, extra_options={"DefaultTensorType": 1})
        finally:
            logging.disable(logging.NOTSET)
        return after.read_bytes()


def _times(sessions: dict[str, Any], windows: Windows, rounds: int = 30) -> dict[str, tuple[float, float]]:
    """Median milliseconds of a batch of 32 and of one window, in turn, so that a busy moment meets all alike."""
    taken: dict[str, tuple[list[float], list[float]]] = {name: ([], []) for name in sessions}
    for _ in range(rounds):
        for name, session in sessions.items():
            for place, size in enumerate((32, 1)):
                given = {key: values[:size] for key, values in zip(INPUTS, windows, strict=True)}
                start = time.perf_counter()
                session.run(OUTPUTS, given)
                taken[name][place].append(1000 * (time.perf_counter() - start))
    return {name: (statistics.median(both[0]), statistics.median(both[1])) for name, both in taken.items()}


# --- command ----------------------------------------------------------------------------------------------------------


def export(
    run: Path, out: Path, with_variants: bool = False, ship: bool = False, metrics: Path | None = None
) -> list[str]:
    """Write the model of a run to ``out`` and its card beside it; lines that say what was done.

    Parameters
    ----------
    run : folder of a finished run
    out : the file
    with_variants : also float16 and int8
    ship : ``out`` is the package's own: also its line in the manifest, the golden windows, the card in docs
    metrics : of the run's evaluation; by default those in the run's folder. Without any the card says so

    Raises
    ------
    ParityError : torch and ONNX Runtime differ
    CardError : the metrics are of another run, or another text stands where the card goes; nothing is written
    """
    from export import model_card_fusion
    from training.fusion import learn, train
    from training.fusion.samples import Samples

    network, kept = learn.rebuild(run / train.MODEL)
    samples = Samples.load(run / train.SAMPLES)
    spec = spec_of(network, kept)
    windows = chosen(samples, PARITY_WINDOWS)
    content, found = build(network, spec, windows)
    lines = [f"{found.samples} windows, torch and ONNX Runtime differ by at most {found.max_abs:.2g}"]
    files: dict[str, list[bytes]] = {out.name: [content]}
    card = SHIPPED_CARD if ship else out.parent / model_card_fusion.CARD
    file = model_card_fusion.ModelFile.of(out.name, content)
    model_card_fusion.free(card, file)
    measured = metrics or (run / METRICS if (run / METRICS).exists() else None)
    told = model_card_fusion.read_metrics(measured) if measured else None
    text = model_card_fusion.card(spec, told, file)
    if with_variants:
        made = variants(content, windows)
        for name, (each, about) in made.items():
            if name != "float32":
                files[f"{out.stem}.{name}.onnx"] = [each]
            lines.append(
                f"{name}: {about.bytes / 1e6:.2f} MB, score off by up to {about.score_max:.3f} (mean "
                f"{about.score_mean:.4f}), interval by {about.ends_max:.3f}, evidence differs in "
                f"{about.evidence_differs}; 32 windows {about.batch_ms:.2f} ms, one {about.single_ms:.2f} ms"
            )
        table = {name: asdict(about) for name, (_, about) in made.items()}
        files[f"{out.stem}.variants.json"] = [(json.dumps(table, indent=1) + "\n").encode()]
    write_together(out.parent, files)
    write_together(card.parent, {card.name: [text.encode()]})
    if ship:
        from export import to_onnx

        if measured is not None:
            write_together(SHIPPED_METRICS.parent, {SHIPPED_METRICS.name: [measured.read_bytes()]})
        write_golden(network, chosen(samples, GOLDEN_WINDOWS))
        line = to_onnx.entry(out, NAME, spec.version, spec.licence, str(spec.training["source"]))
        to_onnx.stamp(out.parent / "manifest.json", line)
        assets.manifest.cache_clear()
    digest = hashlib.sha256(content).hexdigest()
    lines.append(f"{out}: {len(content) / 1e6:.2f} MB, SHA-256 {digest}, score: {spec.training['label_kind']}")
    return [*lines, f"{card}: " + ("with the results of " + str(measured) if measured else _NO_METRICS)]


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line: see the module's docstring."""
    parser = argparse.ArgumentParser(prog="python -m export.fusion", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)  # fmt: skip
    parser.add_argument("run", type=Path, nargs="?", help="folder of a finished run")
    parser.add_argument("--out", type=Path, help="the file to write")
    parser.add_argument("--metrics", type=Path, help="metrics.json for the card, if not RUN/evaluation/metrics.json")
    parser.add_argument("--variants", action="store_true", help="also float16 and int8, measured")
    parser.add_argument("--ship", action="store_true", help="write into painsense/weights")
    parser.add_argument("--check", action="store_true", help="hold a file against the golden windows")
    parser.add_argument("--model", type=Path, default=assets.WEIGHTS / FILE, help="for --check")
    options = parser.parse_args(arguments)
    if not options.check and (options.run is None or (options.out is None) != options.ship):
        parser.error("expected RUN with --out FILE, or RUN with --ship, or --check")
    try:
        if options.check:
            found = check_golden(options.model)
            print(f"{options.model}: {found.samples} windows, largest difference {found.max_abs:.2g}")
            return 0
        lines = export(
            options.run, options.out or assets.WEIGHTS / FILE, options.variants, options.ship, options.metrics
        )
    except (PainsenseError, ParityError, ExportError, CardError, OSError, KeyError) as error:
        print(error, file=sys.stderr)
        return 1
    print("\n".join(lines))
    return 0


if __name__ == "__main__":
    sys.exit(main())
