"""Intervals and tests say what statistics says."""

import numpy as np
import pytest
from scipy.stats import binomtest, bootstrap, ttest_1samp
from statsmodels.stats.contingency_tables import mcnemar as their_mcnemar
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.proportion import proportion_confint

from stages.statistics.intervals import accuracy_interval, holm, interval, mcnemar, p_value, spread, weights


@pytest.mark.parametrize("shares", [[-1, 0, 1], [0, 1 / 3, 2 / 3, 1], [-0.75, 0.1, 0.5]])
def test_the_interval_of_one_seed_is_the_bootstrap(shares):
    """That of SciPy, but for the luck of the draw, and a per cent that it is too narrow."""
    values = np.random.default_rng(1).choice(shares, (1, 300))
    found = interval(values)
    theirs = bootstrap(
        [values[0]], np.mean, n_resamples=20_000, method="percentile", rng=np.random.default_rng(2)
    ).confidence_interval
    assert found.mean == pytest.approx(values.mean())
    assert found[1:] == pytest.approx(tuple(theirs), abs=0.006)


@pytest.mark.parametrize(("right", "images"), [(34, 40), (50, 100), (1, 30), (40, 40), (0, 7)])
def test_the_interval_of_a_single_accuracy_is_wilsons(right, images):
    """That of SciPy and of statsmodels; all test images right is not sure to be 100 %."""
    found = accuracy_interval(np.repeat([1.0, 0.0], [right, images - right])[None])
    theirs = binomtest(right, images).proportion_ci(method="wilson")
    assert found == pytest.approx((right / images, theirs.low, theirs.high))
    assert found[1:] == pytest.approx(proportion_confint(right, images, method="wilson"))


def test_seeds_that_agree_are_no_more_images():
    """Three trainings that answer alike know no more than one: to ask an image three times makes it not three."""
    one = np.repeat([1.0, 0.0], [30, 10])[None]
    once, thrice = accuracy_interval(one), accuracy_interval(np.repeat(one, 3, axis=0))
    assert thrice[1:] == pytest.approx(once[1:], abs=0.01)
    assert thrice.high - thrice.low >= once.high - once.low


def test_seeds_that_differ_are_a_doubt_that_no_number_of_images_lifts():
    """Of 50, 60 and 70 % on however many images, the interval of the mean is Student's t of three numbers."""
    grid = np.zeros((3, 30_000))
    for row, share in zip(grid, (0.5, 0.6, 0.7), strict=True):
        row[: int(30_000 * share)] = 1
    theirs = ttest_1samp([0.5, 0.6, 0.7], 0).confidence_interval()
    found = interval(grid)
    assert (found.high - found.low) / (theirs.high - theirs.low) == pytest.approx(1, abs=0.01)
    assert p_value(grid - 0.5) == pytest.approx(ttest_1samp([0.0, 0.1, 0.2], 0).pvalue, rel=0.02)


def test_the_parts_of_the_variance_are_those_of_the_analysis_of_variance():
    """Worked by hand: seeds (0, 0, 1, 1) and (1, 0, 1, 2): of seeds 0.083, of images 0.333, of both 0.333."""
    parts = spread(np.array([[0.0, 0, 1, 1], [1, 0, 1, 2]]))
    # row means 0.5 and 1: 0.125 less 0.167 / 4; column means 0.5, 0, 1, 1.5: 1.25 / 3 less 0.167 / 2
    assert parts[:3] == pytest.approx((0.125 - 1 / 24, 1.25 / 3 - 1 / 12, 1 / 6))


def test_the_same_numbers_give_the_same_interval_each_time():
    """The draws are always the same."""
    values = np.random.default_rng(1).choice([-1.0, 0, 1], (2, 50))
    first = interval(values)
    weights.cache_clear()
    assert interval(values) == first


def test_images_that_all_agree_leave_some_doubt():
    """No gain on any of 100 images may still be one on the next: up to two in a hundred."""
    assert interval(np.zeros((1, 100))) == pytest.approx((0, -0.02, 0.02), abs=0.001)
    assert interval(np.zeros((3, 100))).high > 0.01


@pytest.mark.parametrize(("seeds", "seed_deviation"), [(1, 0), (3, 0), (3, 0.03), (5, 0.02)])
def test_about_95_of_100_intervals_hold_the_truth(seeds, seed_deviation):
    """Of gains that come from images, seeds and both, 400 times."""
    random = np.random.default_rng(0)
    held = 0
    for _ in range(400):
        chance = random.normal(0, seed_deviation, (seeds, 1)) + random.normal(0, 0.1, 200)
        gains = np.sign(chance + random.uniform(-1, 1, (seeds, 200))) * (random.random((seeds, 200)) < 0.3)
        found = interval(gains)
        held += found.low <= 0 <= found.high
    assert 0.93 <= held / 400 <= 0.98


def answers(only_first: int, only_second: int, both: int = 3, neither: int = 2) -> np.ndarray:
    """Return the gains of two networks on images that one, both or neither of them name rightly."""
    return np.repeat([-1.0, 1.0, 0.0], [only_first, only_second, both + neither])[None]


@pytest.mark.parametrize(
    ("only_first", "only_second", "expected"),
    [(1, 7, 2 * (1 + 8) / 2**8), (0, 6, 2 / 2**6), (2, 8, 2 * (1 + 10 + 45) / 2**10), (5, 5, 1), (0, 1, 1), (0, 0, 1)],
)
def test_mcnemar_worked_by_hand(only_first, only_second, expected):
    """Fair coins, one for each image on which the two differ: how often they fall as far apart; never, if none."""
    assert mcnemar(only_first, only_second) == pytest.approx(expected)
    assert p_value(answers(only_first, only_second)) == pytest.approx(expected)
    assert their_mcnemar([[3, only_first], [only_second, 2]], exact=True).pvalue == pytest.approx(expected)


def test_mcnemar_asks_neither_who_is_first_nor_what_both_know():
    """Swapped networks, and images that both or neither name rightly, change nothing."""
    assert p_value(answers(3, 11)) == p_value(answers(11, 3)) == p_value(answers(3, 11, 1000, 500))


def test_means_of_pairs_are_tested_by_students_t():
    """As SciPy does, but for the half image on each side."""
    gains = np.random.default_rng(3).choice([-0.75, -0.25, 0.25, 0.5], (1, 2000))
    assert p_value(gains) == pytest.approx(ttest_1samp(gains[0], 0).pvalue, rel=0.02)


@pytest.mark.parametrize("p_values", [[0.01, 0.04, 0.03], [0.5], [0.001] * 4, [1, 0.2, 0.02, 0.02], []])
def test_holm_is_that_of_statsmodels(p_values):
    """In the order given."""
    theirs = multipletests(p_values, method="holm")[1] if p_values else []
    assert holm(p_values) == pytest.approx(theirs)
