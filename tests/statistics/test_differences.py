"""Differences are claimed as seldom wrongly as stated, and agree with reference implementations."""

from itertools import combinations

import numpy as np
import pytest
from scipy.stats import norm, ttest_1samp
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.multitest import multipletests

from stages.statistics.accuracies import accuracies
from stages.statistics.contrasts import pair_contrasts
from stages.statistics.differences import equivalence_p_values, holm, intervals, judge, p_values
from stages.statistics.estimates import estimate, group_sums
from tests.statistics.simulated import PAIR, answers, drawn


def test_mcnemar_of_groups_is_obuchowskis():
    """1998: the square of the summed differences over the sum of their squares; of single images McNemar's."""
    correct, groups = drawn(np.random.default_rng(3), images=600, group=4), np.arange(600) // 4
    by = group_sums((correct[1].astype(float) - correct[0]), groups)[0]
    theirs = 2 * (1 - norm.cdf(abs(by.sum()) / np.sqrt((by**2).sum())))
    assert p_values(estimate(correct, PAIR, groups))[0] == pytest.approx(theirs, abs=0.02)


@pytest.mark.parametrize(("lost", "gained"), [(3, 11), (11, 3), (0, 9), (40, 20), (1, 0)])
def test_mcnemar_is_that_of_statsmodels(lost, gained):
    """The asymptotic one, which agrees with the score interval; what both know changes nothing."""
    theirs = mcnemar([[20, lost], [gained, 20]], exact=False, correction=False).pvalue
    assert p_values(estimate(answers(lost, gained), PAIR))[0] == pytest.approx(theirs, rel=1e-4)
    assert p_values(estimate(answers(lost, gained, 200, 7), PAIR))[0] == pytest.approx(theirs, rel=1e-4)


def test_the_chance_of_a_gain_is_what_its_one_sided_p_value_leaves():
    """Half where as many answers were gained as lost; the same gain the other way round has the rest."""

    def chance(lost, gained):
        return judge(estimate(answers(lost, gained), PAIR))[0].chance[0]

    assert chance(7, 7) == pytest.approx(0.5, abs=1e-3)
    assert chance(3, 11) == pytest.approx(1 - p_values(estimate(answers(3, 11), PAIR))[0] / 2)
    assert chance(3, 11) + chance(11, 3) == pytest.approx(1, abs=1e-6)


def test_every_run_has_its_own_luck():
    """One network's seeds agree, another's do not: Student's t of these, not of their mean variance."""
    correct = np.zeros((2, 3, 30_000))
    for row, share in zip(correct.reshape(6, -1), (0.5, 0.5, 0.5, 0.4, 0.55, 0.65), strict=True):
        row[: int(30_000 * share)] = 1
    assert estimate(correct, PAIR).seeds_degrees_of_freedom[0] == pytest.approx(2)
    theirs = ttest_1samp([0.4, 0.55, 0.65], 0.5).pvalue
    assert p_values(estimate(correct, PAIR))[0] == pytest.approx(theirs, rel=0.05)


def test_no_difference_takes_more_than_no_changed_answer():
    """On 200 images none changed leaves a true difference of a point possible; on 3,000 it does not."""
    assert equivalence_p_values(estimate(np.ones((2, 1, 200)), PAIR))[0] > 0.1
    assert equivalence_p_values(estimate(np.ones((2, 1, 3000)), PAIR))[0] < 1e-6
    random = np.random.default_rng(0)
    claims = [
        equivalence_p_values(estimate(np.stack([np.ones((1, 200)), random.random((1, 200)) < 0.99]), PAIR))[0] < 0.05
        for _ in range(500)
    ]
    assert np.mean(claims) <= 0.05


def test_the_score_interval_is_tangos():
    """His example of 1998: 43 right with both, one with one alone; and no answer changed: z^2 / (n + z^2)."""
    found = intervals(estimate(answers(1, 0, 43, 0), PAIR))
    assert (found.low[0], found.high[0]) == pytest.approx((-0.1181, 0.0594), abs=1e-3)
    none = intervals(estimate(answers(0, 0, 100, 100), PAIR))
    assert none.high[0] == pytest.approx(1.96**2 / (200 + 1.96**2), abs=1e-4)


def test_holm_is_that_of_statsmodels():
    """Where logic allows fewer true hypotheses than tests, the factor is theirs (Shaffer)."""
    for values in ([0.01, 0.04, 0.03], [0.5], [0.001] * 4, [1, 0.2, 0.02, 0.02]):
        assert holm(np.array(values)) == pytest.approx(multipletests(values, method="holm")[1])
    assert holm(np.array([0.01, 0.9, 0.02, 0.8]), most_true=2) == pytest.approx([0.02, 1, 0.04, 1])


def test_one_seed_says_nothing_of_techniques():
    """Its interval is of these very trainings: it holds their difference, not that of the techniques."""
    random = np.random.default_rng(0)
    wrong = [
        p_values(estimate(drawn(random, 1, 1000, luck=(0.1, 0.1)), PAIR))[0] < 0.05 for _ in range(200)
    ]  # fmt: skip
    assert np.mean(wrong) > 0.15  # hence what the report may say: "these two networks"
    right = [p_values(estimate(drawn(random, 3, 1000, luck=(0.1, 0.1)), PAIR))[0] < 0.05 for _ in range(200)]
    assert np.mean(right) < 0.07


@pytest.mark.parametrize("seeds", [1, 3])
def test_no_interval_without_zero_beside_undecided(seeds):
    """Intervals hold all together; with them stands and falls each claim."""
    random, apart = np.random.default_rng(0), 0
    contrasts = pair_contrasts(list(combinations(range(6), 2)), np.arange(6))
    for _ in range(100):
        said, _ = judge(estimate(drawn(random, seeds, configurations=6), contrasts))
        without = (said.gain.low > 1e-6) | (said.gain.high < -1e-6)
        assert not (without & ~(said.better | said.worse | said.equal)).any()
        apart += without.any()
    assert apart <= 10


def test_intervals_stay_within_what_is_possible():
    """Also of three seeds that fell far apart, and of leads, which reach from -2 to 2."""
    correct = np.zeros((2, 2, 30))
    correct[1, 0] = 1
    found, of = intervals(estimate(correct, PAIR)), accuracies(correct)
    assert -1 <= found.low[0] < found.high[0] <= 1
    assert ((of.low >= 0) & (of.high <= 1)).all()
    twice = np.concatenate([correct, 1 - correct])
    assert intervals(estimate(twice, np.array([[1.0, -1, -1, 1]]))).low[0] >= -2
