"""How the shipped action unit network errs, measured on rendered people who were not in its training.

A simulated face of :mod:`training.fusion.generator` is a course of true action units. What painsense would measure of
it is made here: :meth:`MeasuredErrors.expected` is what the network says on average of such a face, and
:meth:`MeasuredErrors.residual` how far it was off on a rendered picture of a similar expression. So the errors keep
what they have in the network: brow, cheek and lid err together, and the same way as long as light, pose and face stay.

    python -m training.fusion.measured_errors --data faces     # a folder of training.simulate.dataset

writes ``measured_errors.npz`` beside this file. The people in it are those whom the network was calibrated on and
tested with (:func:`training.samples.parts`); none was trained on. They are dealt out to :data:`FOLDS` folds, and a
simulated person of a fold errs only like people of that fold.
"""

from __future__ import annotations

import argparse
import functools
import hashlib
from dataclasses import dataclass, fields, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from painsense import action_units, assets, face
from painsense.action_units import BOTH
from painsense.canonical import CanonicalFace
from training.samples import parts, prepare, truth_of
from training.simulate.dataset import AT_REST, SEQUENCE, SINGLE, DatasetError, Faces, load
from training.simulate.head import AU_NAMES

FILE = Path(__file__).with_name("measured_errors.npz")
FOLDS = 5
STEP = 0.02  # intensities are kept in such steps, a byte each
NEAREST = 12  # a residual is that of one of so many similar faces
#: what makes two faces unlike besides their action units: so many degrees, so many steps of the Monk scale count as
#: much as one unit of intensity
TURN_DEG, TONES = 15.0, 4.0
#: units that PSPI and the opening of the eyes and mouth hang on: they decide what is a similar face, the rest half
DECIDING = ("AU4", "AU6", "AU7", "AU9", "AU10", "AU12", "AU26", "AU43")
_SMOOTHED = 9  # frames: what is quicker than this in a sequence is taken for noise of the frame

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class MeasuredErrors:
    """n pictures of people whom the network never learned from.

    Attributes
    ----------
    truth : ndarray [shape=(n, 19), 0-5], true intensities in the order of ``AU_NAMES``
    with_neutral, without_neutral : ndarray [shape=(n, 19), 0-5], what the network said, told the neutral or not
    person : ndarray [shape=(n,)]
    skin_tone : ndarray [shape=(n,)], Monk scale
    turn_deg : ndarray [shape=(n, 2)], measured yaw and pitch
    frame_sd : ndarray [shape=(19,)], noise from frame to frame in a sequence at 15 frames a second
    frame_memory : ndarray [shape=()], correlation of that noise with the frame before
    network : SHA-256 of the network's file
    """

    truth: Floats
    with_neutral: Floats
    without_neutral: Floats
    person: npt.NDArray[np.int64]
    skin_tone: npt.NDArray[np.int64]
    turn_deg: npt.NDArray[np.int64]
    frame_sd: Floats
    frame_memory: Floats
    network: str

    def __len__(self) -> int:
        return len(self.truth)

    @functools.cached_property
    def fold(self) -> npt.NDArray[np.int64]:
        """The fold of each picture's person, ndarray [shape=(n,), 0 to FOLDS - 1]."""
        place = np.searchsorted(np.unique(self.person), self.person)
        return np.asarray(place % FOLDS)

    @functools.cached_property
    def _fits(self) -> dict[bool, Floats]:
        return {
            known: np.linalg.lstsq(_terms(self.truth), said, rcond=None)[0]
            for known, said in ((True, self.with_neutral), (False, self.without_neutral))
        }

    def expected(self, truth: npt.ArrayLike, neutral_known: bool) -> Floats:
        """What the network says of such faces on average, ndarray [shape=(k, 19)]; least squares over all pictures."""
        return np.asarray(_terms(np.atleast_2d(np.asarray(truth, float))) @ self._fits[neutral_known])

    def residual(
        self,
        truth: npt.ArrayLike,
        rng: np.random.Generator,
        *,
        fold: int,
        neutral_known: bool,
        skin_tone: int,
        turn_deg: tuple[float, float] = (0.0, 0.0),
    ) -> Floats:
        """How far the network was off on a picture like this one, ndarray [shape=(19,)].

        One of the ``NEAREST`` pictures of the fold's people, by action units (:data:`DECIDING` ones count in full,
        others half), turn of the head to either side, and skin tone.
        """
        rows = np.flatnonzero(self.fold == fold)
        weight = np.array([1.0 if name in DECIDING else 0.5 for name in AU_NAMES])
        units = np.sum((weight * (self.truth[rows] - np.asarray(truth, float))) ** 2, axis=1)
        turned = np.sum((np.abs(self.turn_deg[rows]) - np.abs(turn_deg)) ** 2, axis=1) / TURN_DEG**2
        toned = ((self.skin_tone[rows] - skin_tone) / TONES) ** 2
        near = rows[np.argpartition(units + turned + toned, NEAREST)[:NEAREST]]
        row = int(rng.choice(near))
        said = self.with_neutral if neutral_known else self.without_neutral
        return np.asarray(said[row] - self.expected(self.truth[row], neutral_known)[0])


def _terms(truth: Floats) -> Floats:
    """1, intensities, and products of any two of them, ndarray [shape=(k, 210)]."""
    first, second = np.triu_indices(truth.shape[1])
    return np.concatenate([np.ones((len(truth), 1)), truth, truth[:, first] * truth[:, second] / 5], axis=1)


@functools.cache
def shipped(path: Path = FILE) -> MeasuredErrors:
    """The errors in ``measured_errors.npz``."""
    try:
        with np.load(path) as data:
            whole = {name: data[name] for name in data.files}
    except OSError as error:
        raise DatasetError(f"{path}: cannot be read ({error}); make it with: {__doc__}") from error
    kept = {name: whole[name] * STEP for name in ("truth", "with_neutral", "without_neutral")}
    kept |= {name: whole[name].astype(np.int64) for name in ("person", "skin_tone", "turn_deg")}
    return MeasuredErrors(
        **kept, frame_sd=whole["frame_sd"], frame_memory=whole["frame_memory"], network=str(whole["network"])
    )


def measure(faces: Faces) -> MeasuredErrors:
    """Let the shipped network look at the calibration and test people of a data set."""
    content = assets.read_weights("action_units")
    model = action_units.Estimator.load(content)
    spared = np.flatnonzero(np.isin(parts(faces.person), ("calibrate", "test")))
    mine = replace(faces, **{f.name: _rows(getattr(faces, f.name), spared) for f in fields(Faces)})
    canonical = CanonicalFace.from_bundle(assets.read_face_model()["geometry_pipeline_metadata_landmarks.binarypb"])
    samples = prepare(mine, canonical, face.shipped_shape().names)
    place = [samples.names.index(name) for name in model.spec.features]
    order = [AU_NAMES.index(name) for name in action_units.NAMES]
    said = np.full((2, len(mine), len(AU_NAMES)), np.nan)
    for who in np.unique(mine.person):
        rows = np.flatnonzero(samples.usable & (mine.role != AT_REST) & (mine.person == who))
        neutral = samples.neutral[who, -1]
        if not len(rows) or not np.isfinite(neutral).all():
            continue
        for k, at_rest in enumerate((neutral[place], None)):
            said[k][np.ix_(rows, order)] = model(samples.features[np.ix_(rows, place)], at_rest)[0][:, BOTH]
    truth = truth_of(mine.labels)[:, 0].astype(float)
    good = np.isfinite(said).all(axis=(0, 2))
    rows = np.flatnonzero(good & (mine.role == SINGLE))
    where = {name: samples.names.index(name) for name in ("yaw_deg", "pitch_deg")}
    found = MeasuredErrors(
        truth=truth[rows],
        with_neutral=said[0, rows],
        without_neutral=said[1, rows],
        person=mine.person[rows].astype(np.int64),
        skin_tone=np.round(mine.skin_tone[rows]).astype(np.int64),
        turn_deg=np.round(samples.features[np.ix_(rows, list(where.values()))]).astype(np.int64),
        frame_sd=np.zeros(len(AU_NAMES)),
        frame_memory=np.zeros(()),
        network=hashlib.sha256(content).hexdigest(),
    )
    rows = np.flatnonzero(good & (mine.role == SEQUENCE))
    sd, memory = _frame_noise(said[0, rows] - found.expected(truth[rows], True), mine.person[rows])
    return replace(found, frame_sd=sd, frame_memory=memory)


def _rows(values: npt.NDArray[np.generic] | None, rows: npt.NDArray[np.int64]) -> npt.NDArray[np.generic] | None:
    return None if values is None else values[rows]


def _frame_noise(residual: Floats, person: npt.NDArray[np.int32]) -> tuple[Floats, Floats]:
    """Spread of what is quick in each person's sequence, and its correlation from frame to frame."""
    quick, pairs = [], []
    for who in np.unique(person):
        line = residual[person == who]
        if len(line) < 3 * _SMOOTHED:
            continue
        kernel = np.ones(_SMOOTHED) / _SMOOTHED
        slow = np.stack([np.convolve(column, kernel, "valid") for column in line.T], axis=1)
        rest = line[_SMOOTHED // 2 : -(_SMOOTHED // 2)] - slow
        quick.append(rest)
        pairs.append(np.stack([rest[:-1], rest[1:]]))
    both = np.concatenate(pairs, axis=1)
    # the median, not the mean: where the truth moves fast, the regression's own error is quick too
    sd = 1.4826 * np.median(np.abs(np.concatenate(quick)), axis=0)
    return np.asarray(sd), np.asarray(np.sum(both[0] * both[1]) / np.sum(both[0] ** 2))


def save(found: MeasuredErrors, path: Path) -> None:
    """Write the file that :func:`shipped` reads: bytes in steps of :data:`STEP`."""
    steps = {
        name: np.round(np.clip(getattr(found, name), 0, 5) / STEP).astype(np.uint8)
        for name in ("truth", "with_neutral", "without_neutral")
    }
    np.savez_compressed(
        path,
        **steps,
        person=found.person.astype(np.int32),
        skin_tone=found.skin_tone.astype(np.uint8),
        turn_deg=found.turn_deg.astype(np.int8),
        frame_sd=found.frame_sd,
        frame_memory=found.frame_memory,
        network=np.array(found.network),
    )


def main() -> None:
    """Command line: see the module's docstring."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder of training.simulate.dataset")
    parser.add_argument("--out", type=Path, default=FILE)
    options = parser.parse_args()
    try:
        faces, _ = load(options.data)
    except DatasetError as error:
        parser.exit(2, f"{error}\n")
    found = measure(faces)
    save(found, options.out)
    print(f"{options.out}: {len(found)} faces of {len(np.unique(found.person))} people")


if __name__ == "__main__":
    main()
