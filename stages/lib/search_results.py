"""What a search leaves: the best values, a table of all trials, what mattered, and a picture of both."""

import warnings
from pathlib import Path
from typing import Any

import optuna
from optuna.trial import FrozenTrial, TrialState

from stages.lib.files import finished_file, write_csv

FEWEST_TRIALS = 10  # complete ones, of which importances say anything
FIGURE_INCHES, DOTS_PER_INCH = (10, 4), 100


def best_values(trials: list[FrozenTrial]) -> dict[str, Any]:
    """Return the hyperparameters of the best complete trial, the earliest among equals."""
    complete = [trial for trial in trials if trial.state == TrialState.COMPLETE]
    return max(complete, key=lambda trial: trial.values[0]).params


def importances(trials: list[FrozenTrial]) -> dict[str, float]:
    """Return the share of each hyperparameter in what made trials good, adding up to 1; empty where none can be told.

    Source: Watanabe et al., PED-ANOVA, 2023, as Optuna computes it.
    """
    complete = [trial for trial in trials if trial.state == TrialState.COMPLETE]
    if len(complete) < FEWEST_TRIALS:
        return {}
    study = optuna.create_study(direction="maximize")
    study.add_trials(complete)
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        try:
            found = optuna.importance.get_param_importances(study)
        except UserWarning:  # the good trials are no others than the rest
            return {}
    return dict(sorted(found.items(), key=lambda item: (-item[1], item[0])))


def write_trials(path: Path, trials: list[FrozenTrial], defaults: dict[str, Any]) -> None:
    """Write a line per trial: its number, state, validation accuracy, epochs and hyperparameters."""
    names = searched_names(trials)
    rows = [
        {
            "trial": number,
            "state": trial.state.name.lower(),
            "validation_accuracy": trial.values[0],
            "epochs": len(trial.intermediate_values),
            **{name: trial.params.get(name, defaults[name]) for name in names},
        }
        for number, trial in enumerate(trials)
    ]
    write_csv(path, ["trial", "state", "validation_accuracy", "epochs", *names], rows)


def write_importances(path: Path, trials: list[FrozenTrial]) -> None:
    """Write a line per hyperparameter, the most important first."""
    rows = [{"hyperparameter": name, "importance": round(share, 4)} for name, share in importances(trials).items()]
    write_csv(path, ["hyperparameter", "importance"], rows)


def write_plots(path: Path, trials: list[FrozenTrial]) -> None:
    """Draw the accuracy of each trial with the best so far, and beside it the importances."""
    import matplotlib as mpl  # takes a second, at the very end

    mpl.use("agg")
    from matplotlib import pyplot as plt

    figure, (history, shares) = plt.subplots(1, 2, figsize=FIGURE_INCHES, layout="constrained")
    draw_history(history, trials)
    draw_importances(shares, importances(trials))
    with finished_file(path) as unfinished:
        # without the version of matplotlib, which says nothing about the search
        figure.savefig(unfinished, format="png", dpi=DOTS_PER_INCH, metadata={"Software": None})
    plt.close(figure)


def draw_history(axes: Any, trials: list[FrozenTrial]) -> None:
    """Draw a point for each trial, and the best accuracy so far as a line."""
    for state, marker in ((TrialState.COMPLETE, "o"), (TrialState.PRUNED, "x")):
        shown = [(number, trial.values[0]) for number, trial in enumerate(trials) if trial.state == state]
        if shown:
            axes.scatter(*zip(*shown, strict=True), marker=marker, label=state.name.lower())
    best = 0.0
    line = []
    for trial in trials:
        best = max(best, trial.values[0] if trial.state == TrialState.COMPLETE else 0.0)
        line.append(best)
    axes.plot(range(len(trials)), line, label="best so far")
    axes.set(xlabel="trial (0: the defaults)", ylabel="best validation accuracy", title="Trials")
    axes.xaxis.get_major_locator().set_params(integer=True)
    axes.legend()


def draw_importances(axes: Any, shares: dict[str, float]) -> None:
    """Draw a bar for each hyperparameter, the most important on top; where none can be told, say so instead."""
    axes.set_title("What mattered")
    if not shares:
        axes.set_axis_off()
        says = f"Cannot be told: it takes {FEWEST_TRIALS} complete trials\nthat differ, and this search had fewer."
        axes.text(0.5, 0.5, says, ha="center", va="center", transform=axes.transAxes)
        return
    names = list(shares)[::-1]
    axes.barh(names, [shares[name] for name in names])
    axes.set_xlabel("share of the importance")


def searched_names(trials: list[FrozenTrial]) -> list[str]:
    """Return the hyperparameters that trials changed, in alphabetical order."""
    return sorted({name for trial in trials for name in trial.params})
