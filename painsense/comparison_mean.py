"""Means of overlapping windows, and of the difference of two of them, with both errors they have.

What was sampled: a recording is a stretch out of longer behaviour. Windows overlap and expressions last, so that many
windows are few independent ones. What was measured: the estimator errs alike on all frames of one recording, and that
does not average out.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from painsense import windows

Z90 = 1.6449  # of the normal distribution: 90% lie within so many standard deviations
Z95 = 1.9600
#: one independent window at most every so many windows of the grid: those between share their frames
OVERLAP = round(windows.LENGTH_S / windows.STEP_S)
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Mean:
    """The mean of a recording's windows.

    Attributes
    ----------
    value : the mean over the windows that have a value
    se : its standard error as a sample of longer behaviour
    independent : how many independent windows they are worth
    below, above : how far the estimator's own 90% interval reaches down and up
    used : how many windows have a value
    covered_s : seconds they cover
    """

    value: float
    se: float
    independent: float
    below: float
    above: float
    used: int
    covered_s: float


@dataclass(frozen=True)
class Difference:
    """Second less first, with its 90% interval.

    ``sampling`` and ``own_below``, ``own_above``: what the sampling and the estimator's own error alone would reach
    either way; ``detectable``: the smallest change that is beyond the estimator's own error (95%)
    """

    value: float
    low: float
    high: float
    sampling: float
    own_below: float
    own_above: float
    detectable: float


def mean_of(values: npt.ArrayLike, below: npt.ArrayLike, above: npt.ArrayLike) -> Mean | None:
    """The mean of windows on the grid, in order; None where no window has a value.

    Parameters
    ----------
    values : [shape=(n,)], NaN where a window has no value
    below, above : [shape=(n,)], how far the estimator's 90% interval of each window reaches. They are averaged, as if
        all windows were wrong together
    """
    series = np.asarray(values, np.float64)
    use = np.isfinite(series)
    count = int(use.sum())
    if not count:
        return None
    down, up = (float(np.mean(np.asarray(ends, np.float64)[use])) for ends in (below, above))
    value = float(series[use].mean())
    independent = effective(series)
    spread = float(series[use].std(ddof=1)) if count > 1 else math.nan
    # the variance within few independent windows is smaller than that of the behaviour they are of
    if independent > 1:
        spread *= math.sqrt((1 - 1 / count) / (1 - 1 / independent)) if count > 1 else 1.0
    se = spread / math.sqrt(independent) if independent > 1 else math.nan
    edges = np.diff(np.concatenate([[False], use, [False]]).astype(np.int8))
    runs = int((edges == 1).sum())
    covered_s = count * windows.STEP_S + runs * (windows.LENGTH_S - windows.STEP_S)
    return Mean(value, se, independent, down, up, count, covered_s)


def effective(series: Floats) -> float:
    """How many independent windows a series is worth, at most one in four.

    n over the integrated autocorrelation, summed over pairs of lags while they fall and stay above 0 (initial monotone
    sequence, Geyer 1992, doi:10.1214/ss/1177011137). Gaps (NaN) take no part.
    """
    use = np.isfinite(series)
    count = int(use.sum())
    if count < 2:
        return float(count)
    off = np.where(use, series - series[use].mean(), 0.0)
    most = len(series) - 1
    size = 1 << (2 * len(series) - 1).bit_length()
    pairs = _lagged(use.astype(np.float64), size)[: most + 1]
    sums = _lagged(off, size)[: most + 1]
    cap = max(1.0, count / OVERLAP)
    if sums[0] <= 1e-12:
        return cap
    rho = np.where(pairs > 0.5, sums / np.maximum(pairs, 1), 0.0) / (sums[0] / count)
    total, last = 0.0, math.inf
    for k in range(0, most, 2):
        pair = float(rho[k] + rho[k + 1])
        if pair <= 0 or pairs[k + 1] < count / 4:  # far lags rest on few pairs
            break
        last = min(last, pair)
        total += last
    return float(np.clip(count / max(2 * total - 1, 1.0), 1.0, cap))


def _lagged(values: Floats, size: int) -> Floats:
    """Sum of products at each lag."""
    spectrum = np.fft.rfft(values, size)
    return np.asarray(np.fft.irfft(np.abs(spectrum) ** 2, size), np.float64)


def difference(first: Mean, second: Mean, shrink: float = 1.0) -> Difference:
    """Second less first.

    Parameters
    ----------
    shrink : how large the estimator's own error of a mean is against that of a window. The errors of both recordings
        count as independent
    """
    from scipy.special import stdtrit  # loads what only a comparison needs

    value = second.value - first.value
    variances = [mean.se**2 for mean in (first, second)]
    degrees = [max(mean.independent - 1, 1e-3) for mean in (first, second)]
    total = sum(variances)
    sampling = 0.0
    if total > 0:  # Welch & Satterthwaite
        freedom = total**2 / sum(v**2 / d for v, d in zip(variances, degrees, strict=True))
        sampling = float(stdtrit(max(freedom, 1.0), 0.95)) * math.sqrt(total)
    # a first value read too high and a second read too low push the same way
    above = shrink * math.hypot(first.below, second.above)
    below = shrink * math.hypot(first.above, second.below)
    return Difference(
        value=value,
        low=value - math.hypot(sampling, below),
        high=value + math.hypot(sampling, above),
        sampling=sampling,
        own_below=below,
        own_above=above,
        detectable=(below + above) / 2 / Z90 * Z95,
    )
