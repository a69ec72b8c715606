"""What the searches have tried, from their tables of trials."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from stages.runtime.files import read_csv

Trials = Sequence[Mapping[str, str]]  # the rows of a search's trials.csv

LOSS = "validation_temperature_scaled_loss"  # empty for a trial that diverged
FEWEST_TRIALS = 5  # of which a hyperparameter can be told to matter


def trials_of(network: str) -> Trials:
    """Return the trials of a network's search, none where there was none."""
    file = Path(f"data/hyperparameters/{network}/trials.csv")
    return read_csv(file) if file.is_file() else []


def losses(trials: Mapping[str, Trials]) -> list[dict[str, Any]]:
    """Return the loss of each trial of each network's search; what diverged has none."""
    return [
        {"network": network, "trial": int(row["trial"]), "state": row["state"], "loss": float(row[LOSS])}
        for network, rows in trials.items()
        for row in rows
        if row[LOSS]
    ]


def values_tried(rows: Trials) -> list[dict[str, Any]]:
    """Return value and loss of each number that differs between trials; none of few trials."""
    if len(rows) < FEWEST_TRIALS:
        return []
    names = [name for name in rows[0] if name not in {"trial", "state", "trained_epochs", LOSS}]
    return [
        {"hyperparameter": name, "value": float(row[name]), "loss": float(row[LOSS]), "trial": int(row["trial"])}
        for name in names
        if len({row[name] for row in rows}) > 1 and all(re.fullmatch(r"[-+.0-9e]+", row[name]) for row in rows)
        for row in rows
        if row[LOSS]
    ]
