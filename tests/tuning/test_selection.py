"""A search leaves settings that are better beyond noise, or the defaults."""

import numpy as np
import pytest
from optuna.distributions import FloatDistribution
from optuna.trial import FrozenTrial, TrialState, create_trial
from scipy.stats import ttest_rel

from stages.statistics.temperature import cross_entropies, temperature_scaled_cross_entropies
from stages.tuning.selection import adjusted, best_trial, probability_of_no_gain
from stages.tuning.storage import DIVERGED
from tests.statistics.test_temperature import world


def trial(value: float, state: TrialState = TrialState.COMPLETE, **notes: object) -> FrozenTrial:
    return create_trial(
        state=state, params={"x": value / 10}, distributions={"x": FloatDistribution(0, 1)}, value=value,
        user_attrs=notes,
    )  # fmt: skip


def test_the_best_trial_has_the_lowest_loss_and_came_to_its_end():
    """The earliest among equals; one that was stopped or diverged never, though it was better for a while."""
    trials = [trial(0.9), trial(0.7), trial(0.7), trial(0.1, TrialState.PRUNED), trial(0.2, **{DIVERGED: True})]
    assert best_trial(trials) is trials[1]


def test_where_the_defaults_are_best_there_is_nothing_to_choose():
    """Nor where there are no others, or all diverged."""
    assert best_trial([trial(0.5), trial(0.7)]) is None
    assert best_trial([trial(0.5, **{DIVERGED: True})]) is None
    assert best_trial([]) is None


@pytest.mark.parametrize("gain", [-0.1, 0.0, 0.05, 0.3])
def test_the_test_of_a_gain_is_the_paired_t_test(gain):
    """As scipy has it: one-sided, over images."""
    rng = np.random.default_rng(1)
    before = rng.gamma(2, 1, 80)
    after = before - gain + rng.normal(0, 0.5, 80)
    expected = ttest_rel(before, after, alternative="greater").pvalue
    assert probability_of_no_gain(before, after) == pytest.approx(expected)


def test_the_same_losses_are_no_gain():
    """Two trainings that gave the same to the last digit."""
    losses = np.array([0.5, 1.5, 0.1])
    assert probability_of_no_gain(losses, losses) == 1.0


def test_who_is_only_surer_of_itself_has_not_gained():
    """As without label smoothing after a few epochs: the plain loss falls far beyond noise, the scaled one does not."""
    logits, labels = world(80, 1)
    other = logits + np.random.default_rng(1).normal(0, 0.3, logits.shape)
    modest = logits / 4
    assert probability_of_no_gain(cross_entropies(modest, labels), cross_entropies(other, labels)) < 1e-4
    assert (
        probability_of_no_gain(*(temperature_scaled_cross_entropies(each, labels) for each in (modest, other))) > 0.05
    )


def test_the_best_of_several_trials_without_a_gain_is_seldom_taken_for_one():
    """In one of twenty searches at most; without the adjustment it would be in one of five."""
    rng = np.random.default_rng(1)
    found = []
    for _ in range(400):
        before = rng.gamma(2, 1, 100)
        tries = [before + rng.normal(0, 0.5, 100) for _ in range(5)]
        found.append(probability_of_no_gain(before, min(tries, key=np.mean)))
    assert np.mean([p_value < 0.05 for p_value in found]) > 0.15
    assert np.mean([adjusted(p_value, 5) < 0.05 for p_value in found]) < 0.07
    assert adjusted(0.5, 5) == 1.0
