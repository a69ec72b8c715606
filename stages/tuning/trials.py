"""The trials of a search: which settings each tries, how long it may go on, and what came of it."""

import sys
import time
from typing import Any, NamedTuple

import optuna
from optuna.distributions import BaseDistribution
from optuna.exceptions import StorageInternalError, UpdateFinishedTrialError
from optuna.storages import BaseStorage
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy.exc import SQLAlchemyError

from stages.networks.common.contract import Network
from stages.networks.common.image_set import ImageSet
from stages.networks.common.settings import Search, TrainingConfig, config_from
from stages.runtime.errors import UserError
from stages.runtime.seeding import derived_seed
from stages.training.loop import DivergedError
from stages.training.results import trained
from stages.training.resume import Epoch
from stages.training.state import Task
from stages.tuning.storage import DIVERGED, VARIABLE, SharedSearch
from stages.tuning.warm_start import first_choice, within

ASK_EVERY = 1.0  # seconds, while other processes run the trials that the next ones wait for
WORST_LOSS = 1e6  # of a trial that diverged: worse than any that did not


class Trials(NamedTuple):
    """What every trial of a search has in common."""

    network: Network[Any]
    defaults: TrainingConfig
    search: Search
    training: ImageSet
    validation: ImageSet
    seed: int

    def task(self, changed: dict[str, Any]) -> Task:
        """Return the training of the defaults with some settings changed, the same as a run of the study would be."""
        config = config_from(self.network.schema, self.defaults.values() | changed)
        return Task(self.network, config, self.training, self.validation, self.seed)


def searched(trials: Trials, storage: BaseStorage, name: str) -> list[FrozenTrial]:
    """Run the trials that nobody else runs until all have ended; return all, the first with the defaults."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        shared = SharedSearch(storage, name, trials.search.trials)
        while not over(shared, trials.search):
            finished = shared.finished()
            claimed = shared.claim(open_places(finished, trials)) if budget_left(finished, trials.search) else None
            if claimed is not None:
                with shared.alive(claimed):
                    run_trial(shared, claimed, trials)
            elif not shared.free_lost():
                time.sleep(ASK_EVERY)
        return list(shared.finished().values())
    except (StorageInternalError, SQLAlchemyError) as error:
        raise UserError(f"the database of {VARIABLE} failed: {error}; `dvc repro` goes on from there") from None


def over(shared: SharedSearch, search: Search) -> bool:
    """Say whether nothing is left to run or to wait for."""
    finished = shared.finished()
    if len(finished) == search.trials:
        return True
    return not budget_left(finished, search) and not shared.running()


def budget_left(finished: dict[int, FrozenTrial], search: Search) -> bool:
    """Say whether another trial may start: the minutes of all trials count, whoever ran them."""
    spent = sum(trial.duration.total_seconds() for trial in finished.values() if trial.duration)
    return not search.minutes or not finished or spent < search.minutes * 60


def open_places(finished: dict[int, FrozenTrial], trials: Trials) -> range:
    """Return the places whose trials may start now: all, or for a deterministic search those of the current round."""
    if not trials.search.deterministic:
        return range(trials.search.trials)
    first_missing = next(place for place in range(trials.search.trials) if place not in finished)
    start = round_start(first_missing, trials)
    return range(start, start + trials.search.parallel_trials)


def round_start(place: int, trials: Trials) -> int:
    """Return the first place of the round to which a place belongs."""
    return place - place % trials.search.parallel_trials


def run_trial(shared: SharedSearch, claimed: FrozenTrial, trials: Trials) -> None:
    """Train with the hyperparameters of a place; write down what came of it, epoch by epoch."""
    place, start = claimed.user_attrs["place"], time.monotonic()
    view = View(shared, place, trials)
    shared.record_settings(claimed, view.params, view.space)
    reached: list[float] = []

    def after_epoch(epoch: Epoch) -> None:
        reached.append(epoch.validation_temperature_scaled_loss)
        shared.record_epoch(claimed, epoch.epoch, epoch.validation_temperature_scaled_loss)
        if view.is_hopeless(epoch):
            raise optuna.TrialPruned

    label = f"tune {trials.network.name}, trial {place + 1}/{trials.search.trials}"
    state, how = TrialState.COMPLETE, "complete"
    try:
        trained(trials.task(view.chosen), "original", label, after_epoch, resume=False)
    except optuna.TrialPruned:
        state, how = TrialState.PRUNED, "stopped"
    except DivergedError:
        reached, how = [WORST_LOSS], "diverged"
        shared.note(claimed, {DIVERGED: True})
    shared.note_rungs(claimed, view.rungs())
    try:
        shared.finish(claimed, min(reached), state)
    except UpdateFinishedTrialError:
        print(f"{label}: taken over by another process, which had no sign of life from here", file=sys.stderr)
        return
    chosen = ", ".join(f"{name} {value:.3g}" for name, value in view.chosen.items()) or "the defaults"
    seconds = time.monotonic() - start
    came_to = f"scaled validation loss {min(reached):.3f}"
    print(f"{label} {how} after {seconds:.0f} s: {came_to} with {chosen}", file=sys.stderr)


class View:
    """What one trial knows of the others, from which its hyperparameters are drawn and its hope is judged.

    In a deterministic search it knows the rounds before its own, so that neither the number of processes nor their
    speed changes what it draws; else all that have finished.
    """

    def __init__(self, shared: SharedSearch, place: int, trials: Trials) -> None:
        self.shared, self.trials, self.place = shared, trials, place
        seed = derived_seed(trials.seed, "tune", trials.network.name, place) % 2**32
        search = trials.search
        self.study = optuna.create_study(
            direction="minimize",
            sampler=optuna.samplers.TPESampler(n_startup_trials=search.startup_trials, seed=seed),
            pruner=optuna.pruners.SuccessiveHalvingPruner(search.min_resource_epochs, search.reduction),
        )
        self.known: dict[int, FrozenTrial] = {}
        self.look()
        self.trial = self.study.ask()
        suggested = trials.network.suggest(self.trial, trials.defaults.settings)
        self.space: dict[str, BaseDistribution] = self.trial.distributions
        defaults = trials.defaults.values()
        first = first_choice(place, defaults, self.space, self.known)
        self.chosen = suggested if first is None else first
        self.params = within(self.space, defaults | self.chosen)

    def look(self) -> None:
        """Learn of the trials that this one may know of."""
        deterministic, places = self.trials.search.deterministic, self.trials.search.trials
        before = round_start(self.place, self.trials) if deterministic else places
        new = {place: trial for place, trial in self.shared.finished().items() if place < before}
        self.study.add_trials(trial for place, trial in new.items() if place not in self.known)
        self.known |= new

    def is_hopeless(self, epoch: Epoch) -> bool:
        """Say after an epoch whether the trial is worse than others were then. The defaults are never given up."""
        if not self.trials.search.deterministic:
            self.look()
        self.trial.report(epoch.validation_temperature_scaled_loss, epoch.epoch)
        return self.trial.should_prune() and self.place > 0

    def rungs(self) -> dict[str, float]:
        """Return the losses at the rungs that the trial has reached, as Optuna's pruner notes them."""
        notes: dict[str, float] = self.study.trials[-1].system_attrs
        return {name: value for name, value in notes.items() if "rung" in name}
