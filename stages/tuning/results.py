"""What a search leaves: settings, what it has trained, a table of all trials, and what mattered."""

import shutil
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import optuna
from optuna.trial import FrozenTrial, TrialState

from stages.networks.common.settings import TrainingConfig
from stages.runtime.files import atomic_folder, read_json, write_csv, write_json
from stages.training.copying import TIMING
from stages.tuning.space import flat, nested

CHANGED = "changed"  # noted of a trial: which settings it has other than the defaults
REACHED = "reached"  # likewise: its loss, and how many epochs of all folds it has trained
WORST_LOSS = 1e6  # of a trial that diverged: worse than any that did not
FEWEST_TRIALS = 10  # complete ones, of which importances say anything
LOSS, TRAINED_EPOCHS = "validation_temperature_scaled_loss", "trained_epochs"  # columns of trials.csv


class SearchResult(NamedTuple):
    """What a search has found: what `tuned` changes of the defaults, all trials, and folders of their trainings.

    Of the trainings there are `default` and `tuned`, if any of their trials has come to its end.
    """

    changed: dict[str, Any]
    trials: list[FrozenTrial]
    trained: Mapping[str, Path]


def write_hyperparameters(
    network: str, defaults: TrainingConfig, found: SearchResult, seed: int, compared: list[str]
) -> None:
    """Write the settings of default and tuned runs, what the search has tried, and what it has trained.

    `compared` are the study's hyperparameters: where both are, and the search has kept the defaults, tuned runs are
    the same as default ones, and source.json says so.
    """
    timings, values = {}, flat(defaults)
    with atomic_folder(f"data/hyperparameters/{network}") as folder:
        for kind, changed in ("default", {}), ("tuned", found.changed):
            write_json(folder / f"{kind}.json", nested(values | changed))
            target, trained = folder / f"trained-{kind}", found.trained.get(kind)
            if trained:
                shutil.copytree(trained, target, ignore=shutil.ignore_patterns(TIMING))
                timings[kind] = read_json(trained / TIMING)
            source = {"data": "original", "seed": seed} if trained else {"data": None}
            is_same = kind == "tuned" and not found.changed and {"default", "tuned"} <= {*compared}
            write_json(target / "source.json", source | ({"same_as": "default"} if is_same else {}))
        write_trials(folder / "trials.csv", found.trials, values)
        write_importances(folder / "importances.csv", found.trials)
        write_json(folder / "timings.json", timings)


def in_words(changed: dict[str, Any]) -> str:
    """Return what a trial changes, as a person is told it."""
    shown = (value if isinstance(value, str) else f"{value:.3g}" for value in changed.values())
    return ", ".join(map(" ".join, zip(changed, shown, strict=True))) or "the defaults"


def importances(trials: list[FrozenTrial]) -> dict[str, float]:
    """Return the share of each hyperparameter in what made trials good, adding up to 1; empty where none can be told.

    Source: Watanabe et al., PED-ANOVA, 2023, as Optuna computes it.
    """
    complete = [trial for trial in trials if trial.state == TrialState.COMPLETE]
    if len(complete) < FEWEST_TRIALS:
        return {}
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = optuna.create_study(direction="minimize")
    study.add_trials(complete)
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        try:
            found = optuna.importance.get_param_importances(study)
        except UserWarning:  # the good trials are no others than the rest
            return {}
    return dict(sorted(found.items(), key=lambda item: (-item[1], item[0])))


def write_trials(path: Path, trials: list[FrozenTrial], defaults: dict[str, Any]) -> None:
    """Write a line per trial: its number, state, scaled validation loss, epochs of all folds, and hyperparameters."""
    names = sorted({name for trial in trials for name in trial.params})
    rows = [
        {
            "trial": number,
            "state": state_of(trial),
            LOSS: None if state_of(trial) == "diverged" else trial.user_attrs[REACHED][0],
            TRAINED_EPOCHS: trial.user_attrs[REACHED][1],
            **{name: value for name, value in (defaults | trial.user_attrs[CHANGED]).items() if name in names},
        }
        for number, trial in enumerate(trials, start=1)
    ]
    write_csv(path, ["trial", "state", LOSS, TRAINED_EPOCHS, *names], rows)


def state_of(trial: FrozenTrial) -> str:
    """Return how a trial ended: complete, pruned or diverged."""
    return "diverged" if trial.values[0] == WORST_LOSS else trial.state.name.lower()


def write_importances(path: Path, trials: list[FrozenTrial]) -> None:
    """Write a line per hyperparameter, the most important first."""
    rows = [{"hyperparameter": name, "importance": round(share, 4)} for name, share in importances(trials).items()]
    write_csv(path, ["hyperparameter", "importance"], rows)
