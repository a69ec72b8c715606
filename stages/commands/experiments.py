"""`make experiments`: a table of DVC's experiments that fits a terminal: what each changed, how well networks did."""

import json
from textwrap import wrap
from typing import Any

from stages.commands.compare import flattened, in_revision, params_of
from stages.commands.revisions import experiments, git
from stages.reporting.markdown import percent, table
from stages.runtime.command import run_stage
from stages.runtime.errors import UserError

WIDTH = 100  # characters of a terminal
LEAST = 20  # of the column of settings
BORDERS = 3  # characters between two columns
MEASURES = ("balanced_accuracy", "accuracy")  # the first that a study has: it has the former where classes are unequal
Runs = dict[tuple[str, str, str], dict[str, float]]  # of a network, hyperparameters and data: MEASURES


def main() -> None:
    """Show the committed study and all experiments: the settings in which they differ, and each network's accuracy."""
    branch = git("rev-parse", "--abbrev-ref", "HEAD").stdout.strip()
    revisions = {branch: "HEAD"} | experiments()
    if len(revisions) == 1:
        raise UserError("there is no experiment; `dvc exp run -S augment.hue=30` makes one")
    settings = {name: flattened(params_of(in_revision(each, "params.yaml"))) for name, each in revisions.items()}
    runs = {name: runs_of(each) for name, each in revisions.items()}
    differences = differing(settings)
    told = {name: [*filter(None, [differences[name]]), *largest_change(runs[branch], runs[name])] for name in revisions}
    print(table_of(told, {name: best_of(each) for name, each in runs.items()}))
    print("\nThe highest test accuracy of each network, balanced where classes are unequal.")
    print(f"Most changed: the run that differs most from that of {branch}, in points.")
    print("Is a difference from the study in this folder more than chance? make compare WITH=<experiment>")


def differing(settings: dict[str, dict[str, Any]]) -> dict[str, str]:
    """Return of each study, by its name, the settings in which not all are alike."""
    keys = sorted({key for each in settings.values() for key in each})
    kept = [key for key in keys if len({repr(each.get(key)) for each in settings.values()}) > 1]
    return {name: ", ".join(f"{key}={each[key]}" for key in kept if key in each) for name, each in settings.items()}


def runs_of(revision: str) -> Runs:
    """Return the accuracies of each run in a revision's metrics; none where its study has not ended."""
    try:
        metrics = json.loads(in_revision(revision, "metrics/metrics.json"))
        return {
            (network, hyperparameters, data): {name: run[name] for name in MEASURES if name in run}
            for network, of_network in metrics.items()
            for hyperparameters, of_hyperparameters in of_network.items()
            for data, run in of_hyperparameters.items()
        }
    except (UserError, ValueError, AttributeError, TypeError):
        return {}


def best_of(runs: Runs) -> dict[str, float]:
    """Return the highest accuracy of each network."""
    best: dict[str, float] = {}
    for (network, *_), accuracies in runs.items():
        if accuracies:
            best[network] = max(best.get(network, 0), next(iter(accuracies.values())))
    return best


def largest_change(before: Runs, after: Runs) -> list[str]:
    """Say which run that both studies have has changed most, in points; nothing where none has changed."""
    changes = {
        run: 100 * (after[run][name] - before[run][name])
        for run in before.keys() & after.keys()
        for name in MEASURES[::-1]  # of two the first of them counts, which comes last
        if name in before[run] and name in after[run]
    }
    run = max(sorted(changes), key=lambda each: abs(changes[each]), default=None)
    return [f"most changed: {'-'.join(run)} {changes[run]:+.1f}"] if run and changes[run] else []


def table_of(told: dict[str, list[str]], scores: dict[str, dict[str, float]]) -> str:
    """Return a table with a row for each study; what is told of it goes on in the next line."""
    networks = list(dict.fromkeys(network for each in scores.values() for network in each))
    taken = max(map(len, ["experiment", *told])) + sum(max(len(each), len("100.0 %")) for each in networks)
    width = max(LEAST, WIDTH - taken - BORDERS * (len(networks) + 2) - 1)
    rows = []
    for name, lines in told.items():
        first, *others = [part for line in lines for part in wrap(line, width, break_on_hyphens=False)] or [""]
        reached = [percent(scores[name][each]) if each in scores[name] else "–" for each in networks]
        rows += [[name, first, *reached], *(["", line, *[""] * len(networks)] for line in others)]
    return table(["experiment", "settings", *networks], rows, left=2)


if __name__ == "__main__":
    run_stage(main)
