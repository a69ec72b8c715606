"""Which settings a search leaves: those of its best trial where that is better beyond noise, else the defaults."""

import sys
from typing import Any

import numpy as np
from numpy.typing import NDArray
from optuna.trial import FrozenTrial, TrialState
from scipy.special import stdtr

from stages.hardware import device
from stages.networks.common.prediction import predict
from stages.networks.common.weights import restore
from stages.statistics.temperature import temperature_scaled_cross_entropies
from stages.training.results import trained
from stages.tuning.storage import DIVERGED
from stages.tuning.trials import Trials

Losses = NDArray[np.float64]


def chosen_values(trials: Trials, finished: list[FrozenTrial]) -> dict[str, Any]:
    """Return the settings of the best trial that differ from the defaults; none where it is not surely better."""
    best = best_trial(finished)
    if best is None:
        return {}
    losses = [losses_per_image(trials, changed) for changed in ({}, best.params)]
    p_value = adjusted(probability_of_no_gain(*losses), len(finished) - 1)
    means = " against ".join(f"{loss.mean():.3f}" for loss in reversed(losses))
    adopted = p_value < trials.search.significance or trials.search.significance == 1
    says = "becomes `tuned`" if adopted else "may be chance, so that `tuned` is `default`"
    print(
        f"tune {trials.network.name}: the best trial's scaled validation loss, {means} of the defaults, {says}"
        f" (p {p_value:.2g}, {len(losses[0])} images)",
        file=sys.stderr,
    )
    return best.params if adopted else {}


def best_trial(finished: list[FrozenTrial]) -> FrozenTrial | None:
    """Return the complete trial with the lowest loss, the earliest among equals; None where that has the defaults."""
    complete = [trial for trial in finished if trial.state == TrialState.COMPLETE and DIVERGED not in trial.user_attrs]
    best = min(complete, key=lambda trial: trial.values[0], default=None)
    return None if best is None or best is finished[0] else best


def losses_per_image(trials: Trials, changed: dict[str, Any]) -> Losses:
    """Return the scaled loss (N,) of each validation image after the training of a trial, which is done already."""
    folder = trained(trials.task(changed), "original", "tune")
    model = restore(folder / "weights.safetensors", trials.network, device.device()).model
    logits = predict(model, trials.validation).double().numpy()
    return temperature_scaled_cross_entropies(logits, trials.validation.labels.cpu().numpy())


def adjusted(p_value: float, tried: int) -> float:
    """Return the p-value of the best of so many trials (Bonferroni): among several one looks better by chance."""
    return min(1.0, p_value * tried)


def probability_of_no_gain(before: Losses, after: Losses) -> float:
    """Return the p-value of a one-sided paired t-test that the losses (N,) after are no lower than those before."""
    gains = before - after
    deviation = gains.std(ddof=1)
    if deviation == 0:
        return 1.0
    return float(stdtr(len(gains) - 1, -gains.mean() / (deviation / np.sqrt(len(gains)))))
