"""What the searches have tried, from their tables of trials."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from stages.runtime.files import read_csv

Trials = Sequence[Mapping[str, str]]  # the rows of a search's trials.csv

TRAINED_EPOCHS = "trained_epochs"
LOSS = "validation_temperature_scaled_loss"  # empty for a trial that diverged
FEWEST_TRIALS = 5  # of which a hyperparameter can be told to matter


def trials_of(network: str) -> Trials:
    """Return the trials of a network's search, none where there was none."""
    file = Path(f"data/hyperparameters/{network}/trials.csv")
    return read_csv(file) if file.is_file() else []


def losses(trials: Mapping[str, Trials]) -> list[dict[str, Any]]:
    """Return loss and settings of each trial of each network's search; what diverged has none."""
    return [
        {"network": network, **told}
        for network, rows in trials.items()
        for row, told in zip(rows, _told(rows), strict=True)
        if row[LOSS]
    ]


def values_tried(rows: Trials) -> list[dict[str, Any]]:
    """Return value and loss of each hyperparameter that differs between trials; none of few trials."""
    if len(rows) < FEWEST_TRIALS:
        return []
    return [
        {"hyperparameter": name, "value": float(row[name]) if numeric else row[name], **told}
        for name in _differing(rows)
        for numeric in [all(re.fullmatch(r"[-+.0-9e]+", row[name]) for row in rows)]
        for row, told in zip(rows, _told(rows), strict=True)
        if row[LOSS]
    ]


def _differing(rows: Trials) -> list[str]:
    """Return the hyperparameters of which trials have different values."""
    names = [name for name in rows[0] if name not in {"trial", "state", TRAINED_EPOCHS, LOSS}] if rows else []
    return [name for name in names if len({row[name] for row in rows}) > 1]


def _told(rows: Trials) -> list[dict[str, Any]]:
    """Return what is told of each trial: its number, how it ended, its loss, and what differs between trials."""
    names = _differing(rows)
    return [
        {
            "trial": int(row["trial"]),
            "state": row["state"],
            "loss": float(row[LOSS] or "nan"),
            "settings": ", ".join(f"{name} {_short_number(row[name])}" for name in names),
        }
        for row in rows
    ]


def _short_number(value: str) -> str:
    return f"{float(value):.3g}" if re.fullmatch(r"[-+.0-9e]+", value) else value
