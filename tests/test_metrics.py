"""Measures of agreement against values worked out by hand or printed in the papers that define them."""

from __future__ import annotations

import numpy as np
import pytest

from training.metrics import bias, bootstrap, ccc, constant, coverage, icc31, icc_a1, mae, pearson, rmse, roc_auc

TRUTH = np.array([1.0, 2.0, 3.0, 4.0])
GUESS = np.array([2.0, 2.0, 4.0, 6.0])  # errors 1, 0, 1, 2
ONE_PAIR = [pearson, mae, rmse, bias, icc31, icc_a1, ccc, roc_auc]


def test_error_and_correlation_by_hand() -> None:
    assert mae(TRUTH, GUESS) == 1.0
    assert rmse(TRUTH, GUESS) == pytest.approx(np.sqrt(6 / 4))
    assert bias(TRUTH, GUESS) == 1.0
    assert bias(GUESS, TRUTH) == -1.0  # too low is below 0
    # deviations (-1.5, -0.5, 0.5, 1.5) and (-1.5, -1.5, 0.5, 2.5): products sum to 7, squares to 5 and 11
    assert pearson(TRUTH, GUESS) == pytest.approx(7 / np.sqrt(55))
    # Lin: 2 * 7/4 / (5/4 + 11/4 + (2.5 - 3.5)^2)
    assert ccc(TRUTH, GUESS) == pytest.approx(3.5 / 5)


def test_icc_of_the_example_of_shrout_and_fleiss() -> None:
    """Their Table 2: six targets rated by four judges; their text gives ICC(2,1) = .29 and ICC(3,1) = .71."""
    ratings = np.array([[9, 2, 5, 8], [6, 1, 3, 2], [8, 4, 6, 8], [7, 1, 2, 6], [10, 5, 6, 9], [6, 2, 4, 7]], float)
    # mean squares 11.24 between targets, 32.49 between judges, 1.02 left
    assert icc31(*ratings.T) == pytest.approx((11.2417 - 1.0194) / (11.2417 + 3 * 1.0194), abs=1e-4)
    assert icc31(*ratings.T) == pytest.approx(0.71, abs=0.006)
    assert icc_a1(*ratings.T) == pytest.approx(0.29, abs=0.006)


def test_consistency_forgives_an_offset_and_agreement_does_not() -> None:
    assert icc31(TRUTH, TRUTH + 1) == pytest.approx(1.0)
    # mean squares 10/3 between targets, 2 between raters, 0 left: (10/3) / (10/3 + 2 * 2 / 4)
    assert icc_a1(TRUTH, TRUTH + 1) == pytest.approx((10 / 3) / (10 / 3 + 1))
    assert pearson(TRUTH, 3 * TRUTH + 1) == pytest.approx(1.0)
    assert icc31(TRUTH, 3 * TRUTH + 1) < 0.7  # but a scale is not an offset


def test_roc_area_by_counting_pairs() -> None:
    positive = np.array([True, True, False, False, False])
    score = np.array([0.9, 0.4, 0.4, 0.3, 0.5])  # of 6 pairs the first wins 3, the second 1 and ties 1
    assert roc_auc(positive, score) == pytest.approx(4.5 / 6)
    assert roc_auc(~positive, score) == pytest.approx(1 - 4.5 / 6)
    assert roc_auc(positive, np.zeros(5)) == 0.5


def test_coverage_counts_the_ends() -> None:
    low, high = np.array([0.0, 2.5, 3.0, 0.0]), np.array([1.0, 3.0, 3.5, 16.0])
    assert coverage(TRUTH, low, high) == 0.75
    assert coverage(np.float32([0.1]), np.float64([0.1]), np.float64([0.2])) == 1.0  # 0.1 of 32 bits is a little more


def test_what_is_not_defined_is_nan() -> None:
    same, nothing = np.ones(4), np.zeros(0)
    assert np.isnan([pearson(TRUTH, same), pearson(same, TRUTH), icc31(same, same), ccc(same, same)]).all()
    assert np.isnan([roc_auc(np.ones(4, bool), TRUTH), roc_auc(np.zeros(4, bool), TRUTH)]).all()
    assert np.isnan([measure(nothing, nothing) for measure in ONE_PAIR]).all()
    assert np.isnan(pearson(TRUTH, 1e6 + 1e-7 * TRUTH))  # rounding is no variation


@pytest.mark.parametrize("measure", ONE_PAIR)
def test_what_does_not_belong_together_is_refused(measure: object) -> None:
    with pytest.raises(ValueError, match=r"one length were expected.*\(4,\), \(3,\)"):
        measure(TRUTH, GUESS[:3])
    with pytest.raises(ValueError, match="leave out pairs"):
        measure(TRUTH, np.array([1, np.nan, 3, 4]))


def test_people_are_the_sample_size() -> None:
    """100 pictures of each of ten people that differ: the mean is as sure as ten numbers make it, not a thousand."""
    of_person = np.arange(10.0)
    values, person = np.repeat(of_person, 100), np.repeat(np.arange(10), 100)
    low, high = bootstrap(lambda rows: float(values[rows].mean()), person)
    error = of_person.std() / np.sqrt(10)
    assert (high - low) == pytest.approx(2 * 1.96 * error, rel=0.1)
    assert low < values.mean() < high
    shuffled = np.random.default_rng(1).permutation(1000)  # the order of the rows does not matter to who owns them
    assert bootstrap(lambda rows: float(values[shuffled][rows].mean()), person[shuffled]) == pytest.approx(
        (low, high), abs=0.1
    )


def test_bootstrap_is_repeatable_and_says_when_it_cannot_tell() -> None:
    person = np.array([3, 3, 5, 9])

    def mean(rows: np.ndarray) -> float:
        return float(TRUTH[rows].mean())

    assert bootstrap(mean, person, draws=50, seed=4) == bootstrap(mean, person, draws=50, seed=4)
    assert bootstrap(mean, person, draws=50, seed=4) != bootstrap(mean, person, draws=50, seed=5)
    assert np.isnan(bootstrap(mean, np.zeros(4, int))).all()
    assert np.isnan(bootstrap(lambda rows: float("nan"), person, draws=5)).all()


def test_the_constant_yardstick_has_an_error_and_no_correlation() -> None:
    guess = constant(np.array([[0.0, 4.0], [0.0, 0.0]]), 3)
    np.testing.assert_array_equal(guess, [[0, 2]] * 3)
    assert np.isnan(pearson(TRUTH[:3], guess[:, 1]))
    assert mae(TRUTH[:3], guess[:, 1]) == pytest.approx(2 / 3)
