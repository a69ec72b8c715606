"""A database of trials may hold anything: what this search would not have written is refused, and never trained."""

import math
import sqlite3

import optuna
import pytest
from optuna.trial import TrialState, create_trial

from stages.networks.common.contract import network_named
from stages.networks.common.settings import OnlineAugmentation, Search, TrainingConfig
from stages.runtime.errors import UserError
from stages.tuning.run import database_errors_in_words
from stages.tuning.search import run_search
from stages.tuning.trial_history import Tuning
from tests.conftest import network_settings
from tests.training.test_loop import coloured

IMAGES = 12


@pytest.fixture
def tuning(tmp_path, monkeypatch) -> Tuning:
    """A search that has not begun; whoever lets it train has failed."""

    def trained(*_: object) -> None:
        raise AssertionError("a stranger's trial was trained")

    monkeypatch.setattr("stages.tuning.search.fit", trained)
    config = TrainingConfig(network_settings("own_cnn"), OnlineAugmentation())
    images = (coloured(24, 0), coloured(IMAGES, 1))
    return Tuning(network_named("own_cnn"), config, Search(trials=3), *images, 1, tmp_path / "trained")


@pytest.fixture
def shared(tmp_path) -> optuna.Study:
    """A search in a database that others write to as well."""
    return optuna.create_study(storage=f"sqlite:///{tmp_path}/search.db", study_name="search")


def written(changed: object = None, value: float = 0.5, losses: object = None, epochs: int = 2, **state: object):
    """A trial as a search writes it, but for what a test gives."""
    noted = {"changed": {} if changed is None else changed, "losses": [0.5] * IMAGES if losses is None else losses}
    reached = {epoch + 1: 0.5 for epoch in range(epochs)}
    return create_trial(**{"value": value, **state}, user_attrs=noted, intermediate_values=reached)


@pytest.mark.parametrize(
    ("trial", "reason"),
    [
        (written({"epochs": 10**9}), "changes {'epochs': 1000000000}, which this search does not try"),
        (written({"epochs": 10**9}, state=TrialState.WAITING, value=None), "changes {'epochs': 1000000000}"),
        (written({"epochs": 10**9}, state=TrialState.RUNNING, value=None), "changes {'epochs': 1000000000}"),
        (written({"learning_rate": 1e9}), "does not try"),
        (written({"learning_rate": math.nan}), "does not try"),
        (written({"learning_rate": "1; touch x"}), "does not try"),
        (written([1]), "changes [1], which"),
        (create_trial(value=0.5, user_attrs={"losses": [0.5] * IMAGES}), "changes None, which"),
        (written(losses=3), "has losses that are no numbers"),
        (written(losses=["0.5"] * IMAGES), "has losses that are no numbers"),
        (written(losses=[math.nan] * IMAGES), "has losses that are no numbers"),
        (written(value=-math.inf), "is complete without a loss"),
        (written(epochs=0), "has ended before its first epoch"),
        (written(epochs=0, state=TrialState.PRUNED, value=None), "has ended before its first epoch"),
    ],
)  # fmt: skip
def test_a_trial_that_no_search_writes_is_refused(tuning, shared, trial, reason):
    """With its number, and what to do."""
    shared.add_trial(trial)
    with pytest.raises(UserError, match="trial 0 in the database") as raised, database_errors_in_words():
        run_search(tuning, shared)
    assert reason in str(raised.value)
    assert "take another database" in str(raised.value)


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE trials SET state = 'STRANGE'",
        "UPDATE trials SET number = 'one'",
        "UPDATE trials SET datetime_start = 'yesterday'",
        "UPDATE trial_user_attributes SET value_json = '{'",
        "UPDATE trial_values SET value = 'good'",
        "UPDATE trial_values SET value_type = 'GOOD'",
        "UPDATE trial_intermediate_values SET intermediate_value = 'good'",
        "UPDATE trial_intermediate_values SET step = 'last' WHERE step = 1",
        "UPDATE trial_params SET distribution_json = '{}'",
        "UPDATE trial_params SET distribution_json = '[]'",
        "DROP TABLE trial_values",
    ],
)
def test_rows_that_cannot_be_read_are_said_in_words(tuning, shared, tmp_path, statement):
    """Whatever a stranger writes past Optuna."""
    space = {"dropout": optuna.distributions.FloatDistribution(0, 0.6)}
    trial = written({"dropout": 0.5})
    trial.params, trial.distributions = {"dropout": 0.5}, space
    shared.add_trial(trial)
    with sqlite3.connect(tmp_path / "search.db") as connection:
        assert connection.execute(statement).rowcount != 0
    connection.close()
    with (
        pytest.raises(UserError, match=r"database of STUDY_STORAGE|trial 0 in the database"),
        database_errors_in_words(),
    ):
        run_search(tuning, optuna.load_study(storage=f"sqlite:///{tmp_path}/search.db", study_name="search"))


def test_an_error_of_ours_is_not_the_databases():
    """It keeps its traceback."""
    with pytest.raises(ValueError, match="ours"), database_errors_in_words():
        raise ValueError("ours")


def test_what_the_search_writes_is_taken(tuning, shared):
    """Three trials: the defaults, one step, and one that was stopped."""
    shared.add_trials([written(), written({"label_smoothing": 0.0}), written({"batch_size": 16}, epochs=1)])
    assert len(run_search(tuning, shared)) == 3
