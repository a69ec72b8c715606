"""Intervals of accuracies hold the truth, also where all is correct, and agree with reference implementations."""

import numpy as np
import pytest
from scipy.stats import beta, binom
from statsmodels.stats.proportion import proportion_confint

from stages.statistics.accuracies import (
    accuracies,
    class_accuracies,
    equal_classes,
    mid_p_interval,
    no_information_rate,
)


def test_three_seeds_that_are_almost_all_right():
    """97.5 % on 60 images crashed in 22 % of studies."""
    random = np.random.default_rng(0)
    for _ in range(100):
        found = accuracies(random.random((1, 3, 60)) < 0.99)
        assert found.low < found.mean <= found.high <= 1


def test_guessing_is_the_commonest_class():
    """90 of 100, not a half; and who always names it has a balanced accuracy of a half."""
    labels = np.repeat([0, 1], [90, 10])
    assert no_information_rate(labels) == 0.9
    found = accuracies((labels == 0)[None, None], None, equal_classes(labels))
    assert found.mean[0] == pytest.approx(0.5)
    assert found.low[0] < 0.5 < found.high[0]


def test_balanced_accuracy_is_as_sure_as_brodersens():
    """2010: the mean of two beta variables; ours also stands classes of one image."""
    random = np.random.default_rng(0)
    labels = np.repeat([0, 1], [270, 130])
    correct = np.concatenate([np.arange(270) < 240, np.arange(130) < 91])
    theirs = (
        beta.rvs(241, 31, size=10**5, random_state=random) + beta.rvs(92, 40, size=10**5, random_state=random)
    ) / 2
    found = accuracies(correct[None, None], None, equal_classes(labels))
    assert (found.low[0], found.high[0]) == pytest.approx(tuple(np.quantile(theirs, [0.025, 0.975])), abs=0.012)
    ones = accuracies(np.ones((1, 1, 200)), None, equal_classes(np.arange(200)))
    assert ones.low[0] > 0.97


def test_small_classes_are_shrunk_and_doubtful():
    """None of three is not 0 %: its interval is wide; one of a hundred stays where it is."""
    right, shown = np.array([0, 3, 20, 60, 3, 3]), np.array([3, 3, 30, 100, 4, 5])
    found = class_accuracies(right, shown)
    assert 0.2 < found.mean[0] < 0.6
    assert found.mean[3] == pytest.approx(0.6, abs=0.02)
    assert found.high[0] - found.low[0] > 2 * (found.high[3] - found.low[3])


def test_shrunk_classes_hold_the_truth():
    """Twenty classes of six images, or that many equal ones: in 93 to 98 of 100."""
    random, held = np.random.default_rng(0), []
    for strength in (5, 50):
        for _ in range(60):
            truth = random.beta(0.8 * strength, 0.2 * strength, 20)
            found = class_accuracies(random.binomial(6, truth), np.full(20, 6))
            held.append(np.mean((found.low <= truth) & (truth <= found.high)))
    assert 0.92 < np.mean(held) < 0.98


@pytest.mark.parametrize(("right", "of"), [(34, 40), (1, 30), (40, 40), (0, 7)])
def test_the_interval_of_an_accuracy_lies_within_clopper_and_pearsons(right, of):
    """That of statsmodels; and at its ends half of as many and all of more have a probability of 2.5 %."""
    low, high = mid_p_interval(np.array([float(right)]), np.array([float(of)]))
    theirs = proportion_confint(right, of, method="beta")
    assert theirs[0] <= low[0] + 1e-9
    assert high[0] <= theirs[1] + 1e-9
    found = accuracies((np.arange(of) < right)[None, None])
    assert (found.low[0], found.high[0]) == pytest.approx((low[0], high[0]))
    if right:
        assert binom.sf(right, of, low[0]) + binom.pmf(right, of, low[0]) / 2 == pytest.approx(0.025, abs=1e-6)
