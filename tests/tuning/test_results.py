"""What a search leaves says what the trials say."""

import pytest
from optuna.distributions import FloatDistribution
from optuna.trial import FrozenTrial, TrialState, create_trial

from stages.tuning.results import importances, in_words

SPACE = {name: FloatDistribution(0, 1) for name in ("decisive", "idle")}


def trial(decisive: float, idle: float, value: float, state: TrialState = TrialState.COMPLETE) -> FrozenTrial:
    params = {"decisive": decisive, "idle": idle}
    return create_trial(state=state, params=params, distributions=SPACE, value=value, intermediate_values={1: value})


def test_what_decides_is_more_important_than_what_does_not():
    """Both together make one."""
    found = importances([trial(number / 40, number * 7 % 40 / 40, number / 40) for number in range(40)])
    assert list(found) == ["decisive", "idle"]
    assert found["decisive"] > 0.8
    assert sum(found.values()) == pytest.approx(1)


@pytest.mark.parametrize("count", [1, 9])
def test_of_few_trials_nothing_is_said(count):
    """Nine may be chance."""
    assert importances([trial(number / 10, 0.5, number / 10) for number in range(count)]) == {}


def test_of_trials_that_are_all_alike_nothing_is_said():
    """None was better for any reason."""
    assert importances([trial(number / 40, 0.5, 0.25) for number in range(40)]) == {}


def test_what_a_trial_changes_is_said_in_words():
    """Numbers to three digits, words as they are: what a pre-trained network freezes is one."""
    assert in_words({"learning_rate": 0.00123456, "freeze": "backbone"}) == "learning_rate 0.00123, freeze backbone"
    assert in_words({}) == "the defaults"
