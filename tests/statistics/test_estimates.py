"""Images of a group are no independent observations, and what all agree on leaves some doubt."""

from itertools import combinations

import numpy as np
import pytest

from stages.statistics.accuracies import accuracies
from stages.statistics.best import best_configuration, model_confidence_set
from stages.statistics.contrasts import pair_contrasts
from stages.statistics.differences import intervals, judge
from stages.statistics.estimates import estimate
from stages.statistics.power import images_needed
from tests.statistics.simulated import PAIR, drawn


@pytest.mark.parametrize("right", [0, 1])
@pytest.mark.parametrize("groups", [None, np.arange(60) // 5])
@pytest.mark.parametrize("seeds", [1, 2, 3])
def test_all_right_and_all_wrong_have_intervals(right, groups, seeds):
    """And all else that the report computes of them."""
    correct = np.full((3, seeds, 60), right)
    found = accuracies(correct, groups)
    assert (found.high - found.low > 0.04).all()
    assert ((found.low >= 0) & (found.high <= 1)).all()
    estimates = estimate(correct, pair_contrasts(list(combinations(range(3), 2)), np.arange(3)), groups)
    said, _ = judge(estimates)
    assert not (said.better | said.worse | said.equal).any()
    assert best_configuration(correct, np.random.default_rng(0), groups).accuracy == right
    assert model_confidence_set(correct, np.arange(3), groups).all()
    assert np.isfinite(images_needed(estimates, 0.05, seeds)).all()


@pytest.mark.parametrize("group", [5, 10])
def test_the_group_is_the_unit(group):
    """Intervals of accuracies and of differences hold the truth, and hold it because of groups."""
    random = np.random.default_rng(group)
    truth = np.mean(drawn(random, images=200_000))
    held = np.zeros(3)
    for _ in range(300):
        correct, groups = drawn(random, group=group), np.arange(300) // group
        of = [accuracies(correct, each) for each in (groups, None)]
        gain = intervals(estimate(correct, PAIR, groups))
        held += [*(np.mean((each.low < truth) & (truth < each.high)) for each in of), gain.low[0] <= 0 <= gain.high[0]]
    assert 0.92 < held[0] / 300 < 0.98
    assert held[1] / 300 < 0.8
    assert 0.92 < held[2] / 300 <= 0.985
