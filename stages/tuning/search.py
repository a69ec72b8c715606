"""The search: which settings each trial tries, how long it may go on, and what came of it."""

import math
import shutil
import sys
import time
import warnings
from collections.abc import Callable
from statistics import mean
from typing import NamedTuple

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
from stages.tuning.results import CHANGED, WORST_LOSS, in_words
from stages.tuning.selection import TRAINING_LUCK, best_expected
from stages.tuning.space import Values
from stages.tuning.trial_history import LOSSES, TrialHistory, Tuning, ended_trials, loss_of

ASK_EVERY = 1.0  # seconds, while other processes run the last trials


class EnoughTrialsError(Exception):
    """A trial more than wanted: another process has asked for the last one at the same moment."""


def run_search(tuning: Tuning, study: optuna.Study) -> list[FrozenTrial]:
    """Run trials until enough have ended, those of other processes that share the study included; return them."""
    while True:
        done = ended_trials(tuning, study)
        running = len(study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)))
        if len(done) + running < tuning.search.trials and is_budget_left(done, tuning.search):
            try:
                study.optimize(lambda trial: run_trial(tuning, study, trial), n_trials=1, catch=EnoughTrialsError)
            except UpdateFinishedTrialError:
                print(f"tune {tuning.network.name}: a trial was taken over by another process", file=sys.stderr)
            remove_worse(tuning, ended_trials(tuning, study))
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
    """Train what a trial tries; return its mean loss over folds, or raise TrialPruned where it is behind others."""
    history = TrialHistory(tuning, study, trial.number)
    if history.place >= tuning.search.trials:
        raise EnoughTrialsError
    changed = history.begin(trial)
    reached: list[list[float]] = []  # the losses of the epochs of each fold so far

    def after_epoch(epoch: Epoch) -> None:
        if epoch.epoch == 1:
            reached.append([])
        reached[-1].append(epoch.validation_temperature_scaled_loss)
        loss, done = mean([*(min(fold) for fold in reached[:-1]), reached[-1][-1]]), sum(map(len, reached))
        trial.report(loss, done)
        if history.is_behind(loss, done) and changed:  # the defaults are never stopped
            raise optuna.TrialPruned

    attempt = Attempt(tuning, history.place + 1, changed, time.monotonic())
    try:
        train_trial(attempt, trial, after_epoch)
    except optuna.TrialPruned:
        attempt.report("stopped", reached)
        raise
    except DivergedError:
        attempt.report("diverged", [[WORST_LOSS]])
        return WORST_LOSS
    attempt.report("complete", reached)
    return mean(map(min, reached))


class Attempt(NamedTuple):
    """A trial that runs: its place among all, from 1, what it changes, and when it began."""

    tuning: Tuning
    place: int
    changed: Values
    began: float

    def label(self, fold: int = 0) -> str:
        """Return what stands before each line of it."""
        where = f", fold {fold + 1}" if fold else ""
        return f"tune {self.tuning.network.name}, trial {self.place}/{self.tuning.search.trials}{where}"

    def report(self, outcome: str, reached: list[list[float]]) -> None:
        """Print how it ended; after the defaults also how long the search will take at most."""
        seconds, search = time.monotonic() - self.began, self.tuning.search
        said = f"scaled validation loss {mean(map(min, reached)):.3f} with {in_words(self.changed)}"
        print(f"{self.label()} {outcome} after {seconds:.0f} s: {said}", file=sys.stderr)
        if not self.changed and search.trials > 1:
            limit = min((search.trials - 1) * seconds * search.max_epochs_factor, search.minutes * 60 or math.inf)
            more = f"{search.trials - 1} more trials, about {limit:.0f} s at most"
            print(f"tune {self.tuning.network.name}: {more}", file=sys.stderr)


def train_trial(attempt: Attempt, trial: Trial, after_epoch: Callable[[Epoch], None]) -> None:
    """Train with some settings changed, once in each fold; note the loss of each image that validates.

    What fold 0 has trained is what a run of the study would be: its files are kept.
    """
    tuning, losses = attempt.tuning, list[float]()
    with atomic_folder(tuning.trained / str(trial.number)) as folder:
        for fold in range(tuning.search.folds):
            task = tuning.task(attempt.changed, fold)
            result = fit(task, attempt.label(fold), after_epoch)
            if result.diverged:
                raise DivergedError
            logits, labels = predict(result.model, task.validation).double().numpy(), task.validation.labels
            losses += temperature_scaled_cross_entropies(logits, labels.cpu().numpy()).tolist()
            if fold == 0:
                write_training(task, result, folder)
        trial.set_user_attr(LOSSES, losses)


def best_trials(tuning: Tuning, done: list[FrozenTrial]) -> dict[str, FrozenTrial]:
    """Return the trial of the defaults and the one that is to be `tuned`, by these names, as far as there are any."""
    images = tuning.validated()
    complete = [trial for trial in done if len(trial.user_attrs.get(LOSSES, [])) == images]
    default = next((trial for trial in complete if not trial.user_attrs[CHANGED]), None)
    if default is None:  # it diverged: whatever did not is better
        best = min(complete, key=loss_of, default=None)
        return {} if best is None else {"tuned": best}
    compared = [default, *(trial for trial in complete if trial is not default)]
    luck = TRAINING_LUCK / math.sqrt(tuning.search.folds)
    tuned = compared[best_expected(np.array([trial.user_attrs[LOSSES] for trial in compared]), luck)]
    return {"default": default, "tuned": tuned}


def remove_worse(tuning: Tuning, done: list[FrozenTrial]) -> None:
    """Remove what trials have trained that have ended and are not the best so far, nor of the defaults."""
    kept = {trial.number for trial in best_trials(tuning, done).values()}
    for trial in done:
        if trial.number not in kept:
            shutil.rmtree(tuning.trained / str(trial.number), ignore_errors=True)
