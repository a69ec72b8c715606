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


def main() -> None:
    """Show the committed study and all experiments: the settings in which they differ, and each network's accuracy."""
    branch = git("rev-parse", "--abbrev-ref", "HEAD").stdout.strip()
    revisions = {branch: "HEAD"} | experiments()
    if len(revisions) == 1:
        raise UserError("there is no experiment; `dvc exp run -S augment.hue=30` makes one")
    settings = {name: flattened(params_of(in_revision(each, "params.yaml"))) for name, each in revisions.items()}
    scores = {name: accuracies_of(each) for name, each in revisions.items()}
    print(table_of(differing(settings), scores))
    print("\nThe highest test accuracy of each network, balanced where classes are unequal.")
    print("Is a difference from the study in this folder more than chance? make compare WITH=<experiment>")


def differing(settings: dict[str, dict[str, Any]]) -> dict[str, str]:
    """Return of each study, by its name, the settings in which not all are alike."""
    keys = sorted({key for each in settings.values() for key in each})
    kept = [key for key in keys if len({repr(each.get(key)) for each in settings.values()}) > 1]
    return {name: ", ".join(f"{key}={each[key]}" for key in kept if key in each) for name, each in settings.items()}


def accuracies_of(revision: str) -> dict[str, float]:
    """Return the highest accuracy of each network in a revision's metrics; none where its study has not ended."""
    try:
        metrics = json.loads(in_revision(revision, "metrics/metrics.json"))
        runs = {
            network: [run for hyperparameters in tree.values() for run in hyperparameters.values()]
            for network, tree in metrics.items()
        }
        return {
            network: max(next(run[name] for name in MEASURES if name in run) for run in found)
            for network, found in runs.items()
        }
    except (UserError, ValueError, AttributeError, TypeError, StopIteration):
        return {}


def table_of(changed: dict[str, str], scores: dict[str, dict[str, float]]) -> str:
    """Return a table with a row for each study; long lists of settings go on in the next line."""
    networks = list(dict.fromkeys(network for each in scores.values() for network in each))
    taken = max(map(len, ["experiment", *changed])) + sum(max(len(each), len("100.0 %")) for each in networks)
    width = max(LEAST, WIDTH - taken - BORDERS * (len(networks) + 2) - 1)
    rows = []
    for name, settings in changed.items():
        first, *others = wrap(settings, width, break_on_hyphens=False) or [""]
        reached = [percent(scores[name][each]) if each in scores[name] else "–" for each in networks]
        rows += [[name, first, *reached], *(["", line, *[""] * len(networks)] for line in others)]
    return table(["experiment", "settings", *networks], rows, left=2)


if __name__ == "__main__":
    run_stage(main)
