"""Intervals and tests say what statistics says."""

import numpy as np
import pytest
from scipy.stats import binom, bootstrap

from stages.lib.evidence import interval, mcnemar


@pytest.mark.parametrize("shares", [[0, 1], [-1, 0, 1], [0, 1 / 3, 2 / 3, 1], [-0.75, 0.1, 0.5]])
def test_the_interval_is_the_percentile_bootstrap(shares):
    """That of SciPy, but for the luck of the draw."""
    values = np.random.default_rng(1).choice(shares, 300)
    found = interval(values)
    theirs = bootstrap([values], np.mean, n_resamples=20_000, method="percentile", rng=np.random.default_rng(2))
    assert found.mean == pytest.approx(values.mean())
    assert found[1:] == pytest.approx(tuple(theirs.confidence_interval), abs=0.006)


@pytest.mark.parametrize(("right", "pictures"), [(34, 40), (50, 100), (1, 30)])
def test_the_interval_of_a_share_is_the_binomial_distributions(right, pictures):
    """To draw pictures again is to throw a biased coin."""
    low, high = binom.ppf([0.025, 0.975], pictures, right / pictures) / pictures
    values = np.repeat([1.0, 0.0], [right, pictures - right])
    assert interval(values) == pytest.approx((right / pictures, low, high))
    assert interval(values) == interval(values[::-1])  # the same draws every time


def test_about_95_of_100_intervals_hold_the_truth():
    """A network that is right on 70 % of all pictures there are, tested on 400 sets of 200."""
    sets = np.random.default_rng(0).random((400, 200)) < 0.7
    found = [interval(pictures.astype(float)) for pictures in sets]
    assert 0.92 < np.mean([one.low <= 0.7 <= one.high for one in found]) < 0.98


def test_pictures_that_all_agree_leave_no_doubt():
    """The interval is a point."""
    assert interval(np.full(8, 0.25)) == (0.25, 0.25, 0.25)


def answers(only_first: int, only_second: int, both: int = 3, neither: int = 2) -> tuple[np.ndarray, np.ndarray]:
    """Return which pictures two networks name rightly."""
    counts = [only_first, only_second, both, neither]
    return np.repeat([True, False, True, False], counts), np.repeat([False, True, True, False], counts)


@pytest.mark.parametrize(
    ("only_first", "only_second", "p_value"),
    [(1, 7, 2 * (1 + 8) / 2**8), (0, 6, 2 / 2**6), (2, 8, 2 * (1 + 10 + 45) / 2**10), (5, 5, 1), (0, 1, 1), (0, 0, 1)],
)
def test_mcnemar_worked_by_hand(only_first, only_second, p_value):
    """Fair coins, one for each picture on which the two differ: how often they fall as far apart; never, if none."""
    assert mcnemar(*answers(only_first, only_second)) == pytest.approx(p_value)


def test_mcnemar_asks_neither_who_is_first_nor_what_both_know():
    """Swapped networks, and pictures that both or neither name rightly, change nothing."""
    first, second = answers(3, 11)
    assert mcnemar(first, second) == mcnemar(second, first) == mcnemar(*answers(3, 11, 1000, 500))
    assert mcnemar(first, second) == pytest.approx(2 * sum(binom.pmf(range(4), 14, 0.5)))
