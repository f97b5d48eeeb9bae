"""ModelSpec: what a network of painsense expects and gives, stored inside its ONNX file.

The spec is the one truth for names and order of inputs and outputs, for the scale of the results and for the other
model files they rest on. Training writes it, the file's metadata carries it, the runtime obeys it and refuses what does
not fit. It is plain JSON: no code comes with a model.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from painsense.errors import ModelError

#: Where the spec stands in an ONNX file's metadata
METADATA_KEY = "painsense.spec"
#: The two cases a network of faces is calibrated for
CASES = ("with_neutral", "without_neutral")
#: What each case of the calibration holds: the ends of the 90% interval of PSPI, in its standard deviations
ENDS = ("pspi_low", "pspi_high")

_REMEDY = "install painsense again, or export the model anew"


@dataclass(frozen=True)
class ModelSpec:
    """The contract of one network.

    Attributes
    ----------
    name, version, licence : what it is; a change in any result is a new version
    features : names of the columns of the raw face track it reads, in order
    targets : names of what it gives, in order, for example "AU4"
    outputs : for each output of the network, its shape and unit in words
    requires : SHA-256 of the other model files whose values it reads, by their name in the manifest
    training : how it was made: recipe, seed, number of heads and faces, source and its licence
    calibration : for each of :data:`CASES` the 90% interval of PSPI, which reaches from PSPI + ``pspi_low`` to
        PSPI + ``pspi_high`` times its standard deviation
    notes : what it is not good for, in words
    """

    name: str
    version: str
    licence: str
    features: tuple[str, ...]
    targets: tuple[str, ...]
    outputs: dict[str, str]
    requires: dict[str, str]
    training: dict[str, str | int | float]
    calibration: dict[str, dict[str, float]]
    notes: str

    def to_json(self) -> str:
        """The text for the ONNX file's metadata; :meth:`from_json` gives the same spec back."""
        return json.dumps(asdict(self), indent=1, allow_nan=False, ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str) -> ModelSpec:
        """Read what :meth:`to_json` wrote, and check it. ModelError names what is missing or of the wrong kind."""
        try:
            content = json.loads(text)
        except ValueError as error:
            raise ModelError(f"model spec: JSON was expected, and it cannot be read ({error}); {_REMEDY}") from error
        if not isinstance(content, dict):
            raise ModelError(f"model spec: an object was expected, {type(content).__name__} came; {_REMEDY}")
        names = {field.name for field in fields(cls)}
        for what, keys in (("missing", names - content.keys()), ("not known", content.keys() - names)):
            if keys:
                raise ModelError(f"model spec: {what}: {', '.join(sorted(keys))}; {_REMEDY}")
        for name in ("features", "targets"):
            if isinstance(content[name], list):
                content[name] = tuple(content[name])
        spec = cls(**content)
        spec.check()
        return spec

    @classmethod
    def from_session(cls, session: Any) -> ModelSpec:
        """The spec of a loaded network (``onnxruntime.InferenceSession``), held against its inputs and outputs."""
        stored = session.get_modelmeta().custom_metadata_map.get(METADATA_KEY)
        if stored is None:
            raise ModelError(f"model spec: the network carries none ({METADATA_KEY!r} in its metadata); {_REMEDY}")
        spec = cls.from_json(stored)
        for node in session.get_inputs():
            if len(node.shape) != 2 or node.shape[1] != len(spec.features):
                raise spec._misfit(f"input {node.name!r}", f"[n, {len(spec.features)}]", node.shape)
        came = [node.name for node in session.get_outputs()]
        if sorted(came) != sorted(spec.outputs):
            raise spec._misfit("outputs", ", ".join(spec.outputs), ", ".join(came))
        for node in session.get_outputs():
            if node.shape[-1] != len(spec.targets):
                raise spec._misfit(f"output {node.name!r}", f"[..., {len(spec.targets)}]", node.shape)
        return spec

    def check(
        self,
        columns: Collection[str] | None = None,
        targets: Collection[str] | None = None,
        files: Mapping[str, str] | None = None,
    ) -> None:
        """ModelError naming what does not fit.

        Parameters
        ----------
        columns : names of the values there are; all ``features`` must be among them
        targets : names the caller reads; they must be the spec's, in whatever order
        files : SHA-256 of the model files in use, by name; those in ``requires`` must be the same

        Without any of them, the spec is only held against itself.
        """
        self._check_kinds()
        for name in ("features", "targets"):
            values = getattr(self, name)
            if twice := sorted({value for value in values if values.count(value) > 1}):
                raise self._misfit(name, "each name once", f"{', '.join(twice)} more than once")
        for name, sha256 in self.requires.items():
            if not re.fullmatch("[0-9a-f]{64}", sha256):
                raise self._misfit(f"requires {name}", "a SHA-256", repr(sha256))
        for case in CASES:
            ends = self.calibration.get(case, {})
            if missing := [f"{case}.{end}" for end in ENDS if end not in ends]:
                raise self._misfit("calibration", ", ".join(missing), "nothing of that name")
            low, high = (ends[end] for end in ENDS)
            if not (_is_number(low) and _is_number(high) and low < high):
                raise self._misfit(f"calibration {case}", "two numbers, pspi_low below pspi_high", ends)
        if columns is not None and (unknown := [name for name in self.features if name not in columns]):
            raise self._misfit("features", "names that painsense measures", ", ".join(unknown[:5]))
        if targets is not None and set(targets) != set(self.targets):
            raise self._misfit("targets", ", ".join(targets), ", ".join(self.targets))
        if files is not None:
            for name, sha256 in self.requires.items():
                if files.get(name) != sha256:
                    came = (files.get(name) or "none")[:12]
                    raise self._misfit(f"file {name}", f"SHA-256 {sha256[:12]}...", f"{came}...")

    def _check_kinds(self) -> None:
        """Each field of the kind it is declared as: what was read from a file can be anything."""
        texts = ("name", "version", "licence", "notes")
        tables = {"outputs": str, "requires": str, "training": str | int | float, "calibration": dict}
        for name in texts:
            if not isinstance(getattr(self, name), str):
                raise self._misfit(name, "text", repr(getattr(self, name)))
        for name in ("features", "targets"):
            values = getattr(self, name)
            if not (isinstance(values, tuple) and values and all(isinstance(value, str) for value in values)):
                raise self._misfit(name, "a list of names", repr(values)[:80])
        for name, kind in tables.items():
            values = getattr(self, name)
            if not (isinstance(values, dict) and all(isinstance(value, kind) for value in values.values())):
                raise self._misfit(name, "a table", repr(values)[:80])

    def _misfit(self, what: str, expected: object, came: object) -> ModelError:
        return ModelError(f"model {self.name!r} {self.version}: {what}: expected {expected}, got {came}; {_REMEDY}")


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and math.isfinite(value)
