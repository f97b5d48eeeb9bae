"""How far two recordings of one person differ by the measurement alone, and whether painsense.comparison knows it.

    python -m training.compare_pairs [--run RUN] [--write]

Simulated pairs. **PSPI**: two recordings of one rendered person in the same or in two states (bouts of expression of
drawn height, length and frequency); each bout is read as the shipped network read a picture of that very person with a
similar expression (``training/fusion/measured_errors.npz``, people it has not learned from). **Score**: two recordings
of one simulated person whom the run's networks had not seen (``predictions.npz`` of RUN).

It prints two things. ``shrink``: by how much the estimator's own error of a recording's mean is smaller than that of
one window, so that 90% of the differences over the same time lie within it; for PSPI from half of the people. The
coverage of the 90% interval, for the difference of what the person shows in the long run; for PSPI the other half.
``--write`` puts the tables into docs/compare.md.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from painsense import comparison, windows
from painsense.comparison_mean import Difference, Mean, difference, mean_of
from painsense.errors import PainsenseError
from painsense.output import write_together
from training.document import number, share, table
from training.fusion import measured_errors
from training.fusion.calibrate import Predictions
from training.fusion.measured_errors import MeasuredErrors
from training.simulate.head import AU_NAMES

DOC = Path(__file__).resolve().parent.parent / "docs" / "compare.md"
BEGIN, END = "<!-- measured by training/compare_pairs.py -->", "<!-- end -->"
HZ = 4.0  # frames of the simulated course
SECONDS = (6, 10, 20, 30, 60, 120)
PAIRS = 600  # for each length and kind of pair
SIMILAR = 4  # a bout is read as one of so many pictures of the person nearest in PSPI
BANDS = np.array([0.0, 0.5, 1, 2, 4, 6, 8, 12, 16.1])  # of estimated PSPI, for the network's own interval
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class State:
    """What somebody shows for a while: bouts a minute, mean height in PSPI."""

    bouts: float
    height: float


@dataclass(frozen=True)
class Row:
    """Coverage of one kind of pair: how often the interval holds the truth, and how often a change is told."""

    what: str
    pairs: int
    covered: float
    width: float
    told: float


class Faces:
    """What the network says of pictures of each person, PSPI beside the true one."""

    def __init__(self, errors: MeasuredErrors, neutral: bool) -> None:
        said = errors.with_neutral if neutral else errors.without_neutral
        self.truth, self.said = _pspi(errors.truth), _pspi(said)
        self._own = {int(who): np.flatnonzero(errors.person == who) for who in np.unique(errors.person)}
        place = np.clip(np.digitize(self.said, BANDS) - 1, 0, len(BANDS) - 2)
        off = self.truth - self.said
        ends = np.array([np.quantile(off[place == k], (0.05, 0.95)) for k in range(len(BANDS) - 1)])
        self._middle = (BANDS[:-1] + BANDS[1:]) / 2
        self._below, self._above = np.maximum(-ends[:, 0], 0), np.maximum(ends[:, 1], 0)

    def reach(self, said: Floats) -> tuple[Floats, Floats]:
        """How far the 90% interval of a frame reaches down and up, by its estimated PSPI."""
        return np.interp(said, self._middle, self._below), np.interp(said, self._middle, self._above)

    def error(self, person: int, height: float, rng: np.random.Generator) -> float:
        """How far off the network was on a picture of this person with about that PSPI."""
        own = self._own[person]
        near = own[np.argsort(np.abs(self.truth[own] - height), kind="stable")[:SIMILAR]]
        row = int(rng.choice(near))
        return float(self.said[row] - self.truth[row])


def _pspi(units: Floats) -> Floats:
    """PSPI of action units [shape=(n, 19)]; eyes count as shut when AU43 is nearly full."""
    of = {name: units[:, k] for k, name in enumerate(AU_NAMES)}
    total = of["AU4"] + np.maximum(of["AU6"], of["AU7"]) + np.maximum(of["AU9"], of["AU10"]) + (of["AU43"] >= 4)
    return np.asarray(total, np.float64)


def recording(
    faces: Faces, person: int, state: State, seconds: float, rng: np.random.Generator
) -> tuple[Mean | None, float]:
    """What would be measured of so many seconds of a state, and the true mean over the same time."""
    time_s = np.arange(round(seconds * HZ)) / HZ
    true = np.zeros(len(time_s))
    off = np.full(len(time_s), faces.error(person, 0.0, rng))
    at_s = -6.0
    while (at_s := at_s + rng.exponential(60 / state.bouts)) < seconds:
        length, height = rng.uniform(2, 6), min(16.0, rng.gamma(4, state.height / 4))
        inside = np.clip(np.minimum(time_s - at_s, at_s + length - time_s) / 0.5, 0, 1)
        true = np.maximum(true, height * inside)
        off += inside * (faces.error(person, height, rng) - off)
        at_s += length
    said = np.clip(true + off, 0, 16)
    size = round(windows.LENGTH_S * HZ)
    step = round(windows.STEP_S * HZ)
    cut = np.lib.stride_tricks.sliding_window_view(np.stack([said, *faces.reach(said)]), size, axis=1)[:, ::step]
    values, below, above = cut.mean(axis=2)
    return mean_of(values, below, above), float(true.mean())


def long_run(state: State) -> float:
    """What the state shows on average: mean height times the share of time in bouts, rise and fall of half a second."""
    return float(state.height * (4.0 - 0.5) / (60 / state.bouts + 4.0))


KINDS = {
    "nothing changed, little shown": (State(2, 3), State(2, 3)),
    "nothing changed, much shown": (State(6, 6), State(6, 6)),
    "a little more": (State(2, 3), State(4, 4)),
    "much more": (State(1, 3), State(8, 7)),
}


def shrink_of_pspi(faces: Faces, people: Sequence[int], rng: np.random.Generator) -> float:
    """The factor with which 90% of the differences over the same 30 s lie within the estimator's own error."""
    ratios = []
    for states in KINDS.values():
        for _ in range(PAIRS):
            person = int(rng.choice(people))
            (a, true_a), (b, true_b) = (recording(faces, person, state, 30, rng) for state in states)
            if a is not None and b is not None:
                ratios.append(_ratio(a, b, true_b - true_a))
    return float(np.quantile(ratios, 0.9))


def _ratio(first: Mean, second: Mean, truth: float) -> float:
    """How often the truth is as far off as the estimator's own error reaches."""
    found = difference(first, second)
    off = truth - found.value
    return off / found.own_above if off > 0 else -off / found.own_below


def coverage_of_pspi(faces: Faces, people: Sequence[int], shrink: float, rng: np.random.Generator) -> list[Row]:
    """Whether the interval holds what the states differ by in the long run, by length and kind of pair."""
    rows = []
    for seconds in SECONDS:
        for what, (one, other) in KINDS.items():
            truth = long_run(other) - long_run(one)
            found = []
            for _ in range(PAIRS):
                person = int(rng.choice(people))
                a, b = (recording(faces, person, state, seconds, rng)[0] for state in (one, other))
                if a is not None and b is not None and min(a.independent, b.independent) > 1:
                    found.append(difference(a, b, shrink))
            rows.append(_row(f"{seconds} s, {what}", found, np.full(len(found), truth)))
    return rows


def _row(what: str, found: Sequence[Difference], truth: Floats) -> Row:
    if not found:
        return Row(what, 0, np.nan, np.nan, np.nan)
    low, high = (np.array([getattr(each, name) for each in found]) for name in ("low", "high"))
    told = [comparison.beyond(each) for each in found]
    held = (low <= truth) & (truth <= high)
    return Row(what, len(found), float(held.mean()), float((high - low).mean()), float(np.mean(told)))


# --- the score --------------------------------------------------------------------------------------------------------


def pairs_of_score(said: Predictions) -> list[tuple[str, Mean, Mean, float]]:
    """Person, both means and the true difference over the same windows, of recordings of one person two by two."""
    clips: dict[str, list[tuple[Mean, float]]] = {}
    for number_of in np.unique(said.clip):
        rows = np.flatnonzero(said.clip == number_of)
        rows = rows[np.argsort(said.start_s[rows])]
        score, low, high = (said.score[0, rows], said.low[0, rows], said.high[0, rows])
        known = np.isfinite(score) & np.isfinite(said.truth[rows])
        score = np.where(known, score, np.nan)
        mean = mean_of(score, score - low, high - score)
        if mean is not None:
            clips.setdefault(said.clips[number_of].subject, []).append((mean, float(said.truth[rows][known].mean())))
    return [
        (who, a, b, true_b - true_a)
        for who, own in clips.items()
        for (a, true_a), (b, true_b) in zip(own[::2], own[1::2], strict=False)
    ]


def of_score(run: Path, used: float) -> tuple[float, list[Row]]:
    """Shrink, and coverage of the estimator's own error alone: a run's recordings are short, and judged as a whole.

    Both are of all people of the run: of few people halves would tell more of chance than of the network.
    """
    pairs = [pair for pair in pairs_of_score(Predictions.load(run / "predictions.npz")) if _usable(pair[1], pair[2])]
    shrink = float(np.quantile([_ratio(a, b, truth) for _, a, b, truth in pairs], 0.9))
    rows = []
    for what, least, most in (("differs by less than 0.5", 0, 0.5), ("by 0.5 to 2", 0.5, 2), ("by 2 or more", 2, 11)):
        some = [pair for pair in pairs if least <= abs(pair[3]) < most]
        found = [difference(_sure(a), _sure(b), used) for _, a, b, _ in some]
        rows.append(_row(f"{what}, own error alone", found, np.array([truth for *_, truth in some])))
    return shrink, rows


def _usable(first: Mean, second: Mean) -> bool:
    return min(first.below + first.above, second.below + second.above) > 0


def _sure(mean: Mean) -> Mean:
    """The same mean of exactly these windows: nothing is sampled."""
    return Mean(mean.value, 0.0, mean.independent, mean.below, mean.above, mean.used, mean.covered_s)


# --- command ----------------------------------------------------------------------------------------------------------


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line: see the module's docstring."""
    parser = argparse.ArgumentParser(prog="python -m training.compare_pairs", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)  # fmt: skip
    parser.add_argument("--run", type=Path, help="a finished run of the simulated people, for the score")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--write", action="store_true", help=f"put the tables into {DOC.name}")
    options = parser.parse_args(arguments)
    rng = np.random.default_rng(options.seed)
    errors = measured_errors.shipped()
    people = rng.permutation(np.unique(errors.person))
    half = len(people) // 2
    shrinks, parts = [], []
    try:
        for neutral, words in ((True, "with the person's neutral"), (False, "without")):
            faces = Faces(errors, neutral)
            shrink = shrink_of_pspi(faces, people[:half].tolist(), rng)
            shrinks.append((f"PSPI, {words}", shrink, comparison.SHRINK["pspi"]))
            if neutral:
                rows = coverage_of_pspi(faces, people[half:].tolist(), comparison.SHRINK["pspi"], rng)
                parts.append(("PSPI, with the person's neutral, other people:", rows))
        if options.run:
            shrink, rows = of_score(options.run, comparison.SHRINK["score"])
            shrinks.append(("score", shrink, comparison.SHRINK["score"]))
            parts.append(("Score:", rows))
    except PainsenseError as error:
        print(error, file=sys.stderr)
        return 1
    text = document(shrinks, parts)
    print(text)
    if options.write:
        before, _, rest = DOC.read_text(encoding="utf-8").partition(BEGIN)
        _, _, after = rest.partition(END)
        write_together(DOC.parent, {DOC.name: [f"{before}{BEGIN}\n\n{text}\n\n{END}{after}".encode()]})
    return 0


def document(shrinks: Sequence[tuple[str, float, float]], parts: Sequence[tuple[str, list[Row]]]) -> str:
    """The tables, Markdown."""
    blocks = [table(("", "measured", "used"), [(name, number(came), number(used)) for name, came, used in shrinks])]
    for title, rows in parts:
        lines = [(row.what, str(row.pairs), share(row.covered), number(row.width), share(row.told)) for row in rows]
        head = ("pairs", "how many", "90% interval holds the truth", "its width", "a change is told")
        blocks += [title, table(head, lines)]
    return "\n\n".join(blocks)


if __name__ == "__main__":
    sys.exit(main())
