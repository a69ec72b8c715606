"""The search: which settings each trial tries, how long it may go on, and what came of it."""

import math
import shutil
import sys
import time
import warnings
from typing import Any

import numpy as np
import optuna
from optuna.exceptions import ExperimentalWarning, UpdateFinishedTrialError
from optuna.trial import FrozenTrial, Trial, TrialState

from stages.networks.common.prediction import predict
from stages.networks.common.settings import Search
from stages.runtime.files import atomic_folder
from stages.statistics.temperature import temperature_scaled_cross_entropies
from stages.training.history import Epoch
from stages.training.loop import DivergedError, fit
from stages.training.writing import write_training
from stages.tuning.known import LOSSES, Known, Tuning, ended, loss_of
from stages.tuning.results import CHANGED, WORST_LOSS, in_words
from stages.tuning.selection import best_expected
from stages.tuning.warm_start import Values

ASK_EVERY = 1.0  # seconds, while other processes run the last trials


class EnoughTrialsError(Exception):
    """A trial more than wanted: another process has asked for the last one at the same moment."""


def run_search(tuning: Tuning, study: optuna.Study) -> list[FrozenTrial]:
    """Run trials until enough have ended, those of other processes that share the study included; return them."""
    while True:
        done = ended(tuning, study)
        running = len(study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)))
        if len(done) + running < tuning.search.trials and is_budget_left(done, tuning.search):
            try:
                study.optimize(lambda trial: run_trial(tuning, study, trial), n_trials=1, catch=EnoughTrialsError)
            except UpdateFinishedTrialError:
                print(f"tune {tuning.network.name}: a trial was taken over by another process", file=sys.stderr)
            remove_worse(tuning, ended(tuning, study))
        elif running:
            time.sleep(ASK_EVERY)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", ExperimentalWarning)
                optuna.storages.fail_stale_trials(study)
        else:
            return done


def is_budget_left(done: list[FrozenTrial], search: Search) -> bool:
    """Say whether another trial may start: the minutes of all trials count, whoever ran them."""
    spent = sum(trial.duration.total_seconds() for trial in done if trial.duration)
    return not search.minutes or not done or spent < search.minutes * 60


def run_trial(tuning: Tuning, study: optuna.Study, trial: Trial) -> float:
    """Train what a trial tries; return its loss, or raise TrialPruned where it is behind others."""
    start, known = time.monotonic(), Known(tuning, study, trial.number)
    if known.place >= tuning.search.trials:
        raise EnoughTrialsError
    changed = known.begin(trial)
    reached: list[float] = []

    def after_epoch(epoch: Epoch) -> None:
        reached.append(epoch.validation_temperature_scaled_loss)
        trial.report(reached[-1], epoch.epoch)
        if known.is_behind(reached[-1], epoch.epoch) and changed:  # the defaults are never stopped
            raise optuna.TrialPruned

    label = f"tune {tuning.network.name}, trial {known.place + 1}/{tuning.search.trials}"

    def say(outcome: str) -> None:
        seconds, loss = time.monotonic() - start, f"scaled validation loss {min(reached):.3f}"
        print(f"{label} {outcome} after {seconds:.0f} s: {loss} with {in_words(changed)}", file=sys.stderr)
        if known.place == 0 and (more := tuning.search.trials - 1):
            limit = min(more * seconds, tuning.search.minutes * 60 or math.inf)
            print(f"tune {tuning.network.name}: {more} more trials, about {limit:.0f} s at most", file=sys.stderr)

    try:
        train_trial(tuning, trial, changed, label, after_epoch)
    except optuna.TrialPruned:
        say("stopped")
        raise
    except DivergedError:
        reached = [WORST_LOSS]
        say("diverged")
    else:
        say("complete")
    return min(reached)


def train_trial(tuning: Tuning, trial: Trial, changed: Values, label: str, after_epoch: Any) -> None:
    """Train with some settings changed; keep the files, and note the loss of each validation image."""
    result = fit(task := tuning.task(changed), label, after_epoch)
    if result.diverged:
        raise DivergedError
    logits = predict(result.model, tuning.validation).double().numpy()
    losses = temperature_scaled_cross_entropies(logits, tuning.validation.labels.cpu().numpy())
    trial.set_user_attr(LOSSES, losses.tolist())
    with atomic_folder(tuning.trained / str(trial.number)) as folder:
        write_training(task, result, folder)


def best_trials(tuning: Tuning, done: list[FrozenTrial]) -> dict[str, FrozenTrial]:
    """Return the trial of the defaults and the one that is to be `tuned`, by these names, as far as there are any."""
    complete = [trial for trial in done if len(trial.user_attrs.get(LOSSES, [])) == len(tuning.validation)]
    default = next((trial for trial in complete if not trial.user_attrs[CHANGED]), None)
    if default is None:  # it diverged: whatever did not is better
        best = min(complete, key=loss_of, default=None)
        return {} if best is None else {"tuned": best}
    compared = [default, *(trial for trial in complete if trial is not default)]
    tuned = compared[best_expected(np.array([trial.user_attrs[LOSSES] for trial in compared]))]
    return {"default": default, "tuned": tuned}


def remove_worse(tuning: Tuning, done: list[FrozenTrial]) -> None:
    """Remove what trials have trained that have ended and are not the best so far, nor of the defaults."""
    kept = {trial.number for trial in best_trials(tuning, done).values()}
    for trial in done:
        if trial.number not in kept:
            shutil.rmtree(tuning.trained / str(trial.number), ignore_errors=True)
