"""How near estimates are to the truth: correlation, error, agreement, detection, coverage, and how sure each is.

Every function takes arrays of the same length without missing values, and gives NaN where the measure is not defined
(no correlation without variation, no ROC area with one class alone). People are the sample size: confidence intervals
come from drawing people, not faces (:func:`bootstrap`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import numpy.typing as npt
from scipy.stats import rankdata

FloatArray = npt.NDArray[np.floating]
IntArray = npt.NDArray[np.integer]
BoolArray = npt.NDArray[np.bool_]

#: below this share of the values' own size a variance is rounding, not variation
NO_VARIATION = 1e-12
DRAWS = 1000


def pearson(truth: FloatArray, guess: FloatArray) -> float:
    """Pearson's r, -1 to 1 (Pearson 1895, doi:10.1098/rspl.1895.0041). NaN where one of the two does not vary."""
    truth, guess = _checked(truth, guess)
    if len(truth) < 2 or _constant(truth) or _constant(guess):
        return float("nan")
    a, b = truth - truth.mean(), guess - guess.mean()
    return float(np.clip(a @ b / np.sqrt((a @ a) * (b @ b)), -1, 1))


def mae(truth: FloatArray, guess: FloatArray) -> float:
    """Mean absolute error, in the values' unit (Willmott & Matsuura 2005, doi:10.3354/cr030079)."""
    truth, guess = _checked(truth, guess)
    return float(np.abs(guess - truth).mean()) if len(truth) else float("nan")


def rmse(truth: FloatArray, guess: FloatArray) -> float:
    """Root of the mean squared error, in the values' unit (Willmott & Matsuura 2005, doi:10.3354/cr030079)."""
    truth, guess = _checked(truth, guess)
    return float(np.sqrt(((guess - truth) ** 2).mean())) if len(truth) else float("nan")


def bias(truth: FloatArray, guess: FloatArray) -> float:
    """Mean error: above 0 where the guess is too high (Bland & Altman 1986, doi:10.1016/S0140-6736(86)90837-8)."""
    truth, guess = _checked(truth, guess)
    return float((guess - truth).mean()) if len(truth) else float("nan")


def icc31(*raters: FloatArray) -> float:
    """ICC(3,1): consistency of k single raters, two-way mixed effects.

    Shrout & Fleiss 1979, doi:10.1037/0033-2909.86.2.420. (MSB - MSE) / (MSB + (k - 1) MSE), with the mean squares
    between targets (MSB) and of what is left (MSE). A constant offset of one rater does not lower it;
    :func:`icc_a1` sees that. NaN where nothing varies.
    """
    between, _, left, _, k = _mean_squares(raters)
    return _ratio(between - left, between + (k - 1) * left)


def icc_a1(*raters: FloatArray) -> float:
    """ICC(A,1), which is ICC(2,1): absolute agreement of k single raters.

    McGraw & Wong 1996, doi:10.1037/1082-989X.1.1.30. (MSB - MSE) / (MSB + (k - 1) MSE + k (MSJ - MSE) / n), with MSJ
    the mean square between raters.
    """
    between, of_raters, left, n, k = _mean_squares(raters)
    return _ratio(between - left, between + (k - 1) * left + k * (of_raters - left) / max(n, 1))


def ccc(truth: FloatArray, guess: FloatArray) -> float:
    """Concordance correlation, -1 to 1 (Lin 1989, doi:10.2307/2532051), with moments of the population.

    2 cov / (var + var + (difference of the means)^2): r, lowered by any difference in scale or place.
    """
    truth, guess = _checked(truth, guess)
    if not len(truth):
        return float("nan")
    apart = (truth.mean() - guess.mean()) ** 2
    shared = ((truth - truth.mean()) * (guess - guess.mean())).mean()
    return _ratio(2 * shared, truth.var() + guess.var() + apart)


def roc_auc(positive: BoolArray, score: FloatArray) -> float:
    """Area under the ROC curve (Hanley & McNeil 1982, doi:10.1148/radiology.143.1.7063747).

    The chance that a positive case has a higher score than a negative one, ties counting half. NaN with one class.
    """
    is_positive, score = _checked(positive, score)
    n_positive = int(is_positive.sum())
    n_negative = len(score) - n_positive
    if not n_positive or not n_negative:
        return float("nan")
    ranks = rankdata(score)[is_positive > 0].sum()
    return float((ranks - n_positive * (n_positive + 1) / 2) / (n_positive * n_negative))


def coverage(truth: FloatArray, low: FloatArray, high: FloatArray) -> float:
    """Share of intervals [low, high] that hold the truth (Gneiting & Raftery 2007, doi:10.1198/016214506000001437).

    Both ends belong to the interval, with room for rounding: intervals that are cut at the end of a scale end there.
    """
    truth, low, high = _checked(truth, low, high)
    if not len(truth):
        return float("nan")
    return float(((low - 1e-6 <= truth) & (truth <= high + 1e-6)).mean())


def bootstrap(
    statistic: Callable[[IntArray], float],
    person: IntArray,
    draws: int = DRAWS,
    seed: int = 0,
    level: float = 0.95,
) -> tuple[float, float]:
    """Confidence interval of a statistic when people, not faces, were sampled: (low, high).

    Draws as many people as there are, with replacement, takes all rows of each (a person drawn twice counts twice), and
    gives the middle ``level`` of the statistic's values (percentile interval of the cluster bootstrap; Field & Welsh
    2007, doi:10.1111/j.1467-9868.2007.00593.x). (NaN, NaN) with fewer than two people.

    Parameters
    ----------
    statistic : called with row numbers, ndarray [shape=(any,)]
    person : ndarray [shape=(n,)], whose each row is
    """
    order = np.argsort(person, kind="stable")
    rows = np.split(order, np.flatnonzero(np.diff(np.asarray(person)[order])) + 1)
    if len(rows) < 2:
        return float("nan"), float("nan")
    rng = np.random.default_rng(seed)
    values = np.array(
        [statistic(np.concatenate([rows[k] for k in rng.integers(0, len(rows), len(rows))])) for _ in range(draws)]
    )
    values = values[np.isfinite(values)]  # a draw in which the statistic is not defined says nothing
    if not len(values):
        return float("nan"), float("nan")
    low, high = np.quantile(values, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def qwk(truth: IntArray, guess: IntArray, levels: int) -> float:
    """Kappa with quadratic weights between whole levels 0 to ``levels`` - 1 (Cohen 1968, doi:10.1037/h0026256).

    1 where all agree, 0 where they agree as by chance. NaN where both always say the same one level.
    """
    from sklearn.metrics import cohen_kappa_score

    truth, guess = _whole(truth, guess, levels=levels)
    if not len(truth) or (truth == truth[0]).all() & (guess == truth[0]).all():
        return float("nan")
    return float(cohen_kappa_score(truth, guess, labels=np.arange(levels), weights="quadratic"))


def uar(truth: IntArray, guess: IntArray) -> float:
    """Mean recall of the levels that occur in the truth (Schuller et al. 2009, doi:10.21437/Interspeech.2009-103)."""
    from sklearn.metrics import recall_score

    truth, guess = _whole(truth, guess)
    if not len(truth):
        return float("nan")
    return float(recall_score(truth, guess, labels=np.unique(truth), average="macro", zero_division=0.0))


def macro_mae(truth: FloatArray, guess: FloatArray, level: IntArray) -> float:
    """Mean over the levels that occur of the mean absolute error in each (Baccianella, Esuli & Sebastiani 2009).

    doi:10.1109/ISDA.2009.230. Most moments show no pain: the plain error says little about the others.
    """
    truth, guess = _checked(truth, guess)
    if not len(truth):
        return float("nan")
    _, place = np.unique(level, return_inverse=True)
    return float((np.bincount(place, np.abs(guess - truth)) / np.bincount(place)).mean())


def average_precision(positive: BoolArray, score: FloatArray) -> float:
    """Area under the precision-recall curve, by steps (Davis & Goadrich 2006, doi:10.1145/1143844.1143874).

    Chance gives the share of positive cases, not a half. NaN with one class.
    """
    from sklearn.metrics import average_precision_score

    is_positive, score = _checked(positive, score)
    if not 0 < is_positive.sum() < len(score):
        return float("nan")
    return float(average_precision_score(is_positive > 0, score))


def bland_altman(truth: FloatArray, guess: FloatArray, person: IntArray) -> dict[str, float]:
    """Mean difference and 95% limits of agreement with several measurements of each person.

    The true value changes between them, so that the variance of the differences is that between people and that within
    them, from a one-way analysis of variance (Bland & Altman 2007, section 3, doi:10.1080/10543400701329422).

    Returns
    -------
    ``bias``, ``low``, ``high`` in the values' unit, ``sd_between`` and ``sd_within``; NaN with fewer than two people,
    or nobody measured twice.
    """
    truth, guess = _checked(truth, guess)
    apart = guess - truth
    names, place, count = np.unique(person, return_inverse=True, return_counts=True)
    n, m = len(apart), len(names)
    if m < 2 or n <= m:
        return dict.fromkeys(("bias", "low", "high", "sd_between", "sd_within"), float("nan"))
    mean = np.bincount(place, apart) / count
    within = ((apart - mean[place]) ** 2).sum() / (n - m)
    of_people = (count * (mean - apart.mean()) ** 2).sum() / (m - 1)
    size = (n**2 - (count**2).sum()) / ((m - 1) * n)
    between = max(0.0, float(of_people - within) / size)
    reach = 1.96 * np.sqrt(between + within)
    middle = float(apart.mean())
    return {
        "bias": middle,
        "low": float(middle - reach),
        "high": float(middle + reach),
        "sd_between": float(np.sqrt(between)),
        "sd_within": float(np.sqrt(within)),
    }


def bootstrap_all(
    statistics: Callable[[IntArray], Mapping[str, float]],
    person: IntArray,
    draws: int = DRAWS,
    seed: int = 0,
    level: float = 0.95,
) -> dict[str, tuple[float, float]]:
    """As :func:`bootstrap`, for several statistics of the same draws."""
    order = np.argsort(person, kind="stable")
    rows = np.split(order, np.flatnonzero(np.diff(np.asarray(person)[order])) + 1)
    if len(rows) < 2:
        return {name: (float("nan"), float("nan")) for name in statistics(order)}
    rng = np.random.default_rng(seed)
    drawn = [statistics(np.concatenate([rows[k] for k in rng.integers(0, len(rows), len(rows))])) for _ in range(draws)]
    result = {}
    for name in drawn[0]:
        values = np.array([each[name] for each in drawn])
        values = values[np.isfinite(values)]
        ends = np.quantile(values, [(1 - level) / 2, (1 + level) / 2]) if len(values) else (np.nan, np.nan)
        result[name] = float(ends[0]), float(ends[1])
    return result


def constant(training_truth: FloatArray, n: int) -> FloatArray:
    """The yardstick that looks at nothing: the training mean for every face, ndarray [shape=(n, ...)].

    Most units are 0 in most faces, so its error is small, and an error alone is no proof of anything.
    """
    return np.repeat(np.mean(training_truth, axis=0, keepdims=True), n, axis=0)


def _checked(*arrays: npt.NDArray[np.generic]) -> tuple[npt.NDArray[np.float64], ...]:
    """As float64; ValueError when they do not belong together or something is missing."""
    checked = tuple(np.asarray(array, np.float64) for array in arrays)
    shapes = [array.shape for array in checked]
    if checked[0].ndim != 1 or len(set(shapes)) != 1:
        raise ValueError(f"arrays of one dimension and one length were expected, {shapes} came")
    if not all(np.isfinite(array).all() for array in checked):
        raise ValueError("values without NaN were expected; leave out pairs of which one is missing, and count them")
    return checked


def _whole(*arrays: IntArray, levels: int | None = None) -> tuple[npt.NDArray[np.int64], ...]:
    """As whole numbers; ValueError when they are not, or lie outside 0 to ``levels`` - 1."""
    checked = _checked(*arrays)
    if any((array != np.rint(array)).any() for array in checked):
        raise ValueError("whole levels were expected; round them first")
    if levels is not None and any(len(array) and not 0 <= array.min() <= array.max() < levels for array in checked):
        raise ValueError(f"levels from 0 to {levels - 1} were expected")
    return tuple(array.astype(np.int64) for array in checked)


def _constant(values: npt.NDArray[np.float64]) -> bool:
    return bool(values.var() <= NO_VARIATION * max(1.0, float(np.square(values).mean())))


def _mean_squares(raters: tuple[FloatArray, ...]) -> tuple[float, float, float, int, int]:
    """Mean squares between targets, between raters, and left over; n targets, k raters. NaN with n or k below 2."""
    ratings = np.stack(_checked(*raters), axis=1)
    n, k = ratings.shape
    if n < 2 or k < 2:
        return float("nan"), float("nan"), float("nan"), n, k
    middle = ratings.mean()
    of_targets, of_raters = ratings.mean(axis=1, keepdims=True), ratings.mean(axis=0, keepdims=True)
    left = ((ratings - of_targets - of_raters + middle) ** 2).sum() / ((n - 1) * (k - 1))
    between_targets = k * ((of_targets - middle) ** 2).sum() / (n - 1)
    between_raters = n * ((of_raters - middle) ** 2).sum() / (k - 1)
    return float(between_targets), float(between_raters), float(left), n, k


def _ratio(over: float, under: float) -> float:
    return float(over / under) if abs(under) > NO_VARIATION else float("nan")
