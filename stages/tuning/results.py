"""What a search leaves: a table of all trials, what mattered, and an image of both."""

import math
import warnings
from pathlib import Path
from typing import Any

import optuna
from optuna.trial import FrozenTrial, TrialState

from stages.runtime.files import atomic_file, write_csv
from stages.tuning.storage import DIVERGED

FEWEST_TRIALS = 10  # complete ones, of which importances say anything
FIGURE_INCHES, DOTS_PER_INCH = (10, 4), 100


def importances(trials: list[FrozenTrial]) -> dict[str, float]:
    """Return the share of each hyperparameter in what made trials good, adding up to 1; empty where none can be told.

    Source: Watanabe et al., PED-ANOVA, 2023, as Optuna computes it.
    """
    complete = [trial for trial in trials if trial.state == TrialState.COMPLETE]
    if len(complete) < FEWEST_TRIALS:
        return {}
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
    """Write a line per trial: its number, state, lowest scaled validation loss, epochs and hyperparameters."""
    names = searched_names(trials)
    rows = [
        {
            "trial": number,
            "state": state_of(trial),
            "validation_temperature_scaled_loss": None if state_of(trial) == "diverged" else trial.values[0],
            "epochs": len(trial.intermediate_values),
            **{name: trial.params.get(name, defaults[name]) for name in names},
        }
        for number, trial in enumerate(trials)
    ]
    write_csv(path, ["trial", "state", "validation_temperature_scaled_loss", "epochs", *names], rows)


def state_of(trial: FrozenTrial) -> str:
    """Return how a trial ended: complete, pruned or diverged."""
    return "diverged" if DIVERGED in trial.user_attrs else trial.state.name.lower()


def write_importances(path: Path, trials: list[FrozenTrial]) -> None:
    """Write a line per hyperparameter, the most important first."""
    rows = [{"hyperparameter": name, "importance": round(share, 4)} for name, share in importances(trials).items()]
    write_csv(path, ["hyperparameter", "importance"], rows)


def write_plots(path: Path, trials: list[FrozenTrial]) -> None:
    """Draw the loss of each trial with the best so far, and beside it the importances."""
    import matplotlib as mpl  # takes a second, at the very end

    mpl.use("agg")
    from matplotlib import pyplot as plt

    figure, (history, shares) = plt.subplots(1, 2, figsize=FIGURE_INCHES, layout="constrained")
    draw_history(history, trials)
    draw_importances(shares, importances(trials))
    with atomic_file(path) as unfinished:
        # without the version of matplotlib, which says nothing about the search
        figure.savefig(unfinished, format="png", dpi=DOTS_PER_INCH, metadata={"Software": None})
    plt.close(figure)


def draw_history(axes: Any, trials: list[FrozenTrial]) -> None:
    """Draw a point for each trial that did not diverge, and the lowest loss of a complete one so far as a line."""
    for state, marker in (("complete", "o"), ("pruned", "x")):
        drawn = [(number, trial.values[0]) for number, trial in enumerate(trials) if state_of(trial) == state]
        if drawn:
            axes.scatter(*zip(*drawn, strict=True), marker=marker, label=state)
    best = math.inf
    line = []
    for number, trial in enumerate(trials):
        best = min(best, trial.values[0] if state_of(trial) == "complete" else math.inf)
        if math.isfinite(best):
            line.append((number, best))
    axes.set(xlabel="trial (0: the defaults)", ylabel="lowest scaled validation loss (nats)", title="Trials")
    if line:
        axes.plot(*zip(*line, strict=True), label="best so far")
        axes.legend()
    axes.xaxis.get_major_locator().set_params(integer=True)


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
