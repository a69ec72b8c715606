"""Stage tune: search a network's hyperparameters on the validation pictures."""

import sys
import time
from functools import partial
from typing import Any, NamedTuple

import optuna
from optuna.distributions import BaseDistribution
from optuna.exceptions import StorageInternalError, UpdateFinishedTrialError
from optuna.storages import BaseStorage
from optuna.trial import FrozenTrial, TrialState, create_trial
from pydantic import NonNegativeInt
from sqlalchemy.exc import SQLAlchemyError

from stages.lib import device
from stages.lib.checkpoints import Checkpoint, key_of
from stages.lib.command import run_stage
from stages.lib.files import finished_folder, write_json
from stages.lib.hyperparameters import OnTheFly, Recipe, Search, recipe
from stages.lib.networks import network_module
from stages.lib.params import read
from stages.lib.picture_sets import PictureSet, load_pictures
from stages.lib.pretrained import input_size, new_network
from stages.lib.problems import Problem
from stages.lib.search_results import best_values, write_importances, write_plots, write_trials
from stages.lib.shared_search import VARIABLE, SharedSearch, database, journal
from stages.lib.streams import stream_seed
from stages.lib.training import Epoch, Task, fit

HELPER = "only-trials"  # of the process that DVC has started, which alone writes what is found
ASK_EVERY = 1.0  # seconds, while other processes run the trials that the next ones wait for


class Trials(NamedTuple):
    """What every trial of a search has in common."""

    network: str
    defaults: Recipe
    search: Search
    deterministic: bool
    training: PictureSet
    validation: PictureSet
    seed: int


def main(network: str, role: str = "") -> None:
    """Search a network's hyperparameters on the validation pictures."""
    if role not in ("", HELPER):
        raise Problem(f"{role} is no way to tune; say {HELPER} to help a search, or nothing")
    search, seed = read(f"tune.{network}", Search), read("seed", NonNegativeInt)
    settings = read(f"networks.{network}", network_module(network).Settings)
    defaults = Recipe(settings, read("on_the_fly", OnTheFly))
    deterministic = read("tune.deterministic", bool)
    device.be_deterministic()
    device.keep_freed_memory()
    size = input_size(network, settings)
    training, validation = (load_pictures(f"data/{name}", device.device(), size) for name in ("original", "validation"))

    trials = Trials(network, defaults, search, deterministic, training, validation, seed)
    everything = [defaults.values(), search.model_dump(), deterministic, seed]
    data, shared = ["data/original", "data/validation", f"data/pretrained/{network}"], database()
    checkpoint = Checkpoint(f"tune-{network}", key_of(everything, data, hardware=shared is None))
    try:
        finished = searched(trials, shared or journal(checkpoint.journal), checkpoint.journal.stem)
    except FileNotFoundError:
        if role != HELPER:
            raise
        finished = []  # the process that was helped has ended the search, and removed its journal
    if role == HELPER:
        return
    with finished_folder(f"data/hyperparameters/{network}") as folder:
        write_json(folder / "default.json", defaults.values())
        write_json(folder / "tuned.json", defaults.values() | best_values(finished))
        write_trials(folder / "trials.csv", finished, defaults.values())
        write_importances(folder / "importances.csv", finished)
        write_plots(folder / "search.png", finished)
    checkpoint.remove()


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
        raise Problem(f"the database of {VARIABLE} failed: {error}; `dvc repro` goes on from there") from None


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
    if not trials.deterministic:
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
    values = trials.defaults.values() | view.chosen | {"epochs": trials.search.epochs}
    told, classes = recipe(trials.network, values), len(trials.training.class_names)
    task = Task(trials.training, trials.validation, told, network_module(trials.network).HEAD, trials.seed)
    build = partial(new_network, trials.network, told.settings, classes, trials.training.image_size)
    reached: list[float] = []

    def after_epoch(epoch: Epoch) -> None:
        reached.append(epoch.validation_accuracy)
        shared.record_epoch(claimed, epoch.epoch, epoch.validation_accuracy)
        if view.is_hopeless(epoch):
            raise optuna.TrialPruned

    label, state = f"{trials.network}, trial {place + 1}/{trials.search.trials}", TrialState.COMPLETE
    try:
        fit(build, task, f"tune {label}", after_epoch)
    except optuna.TrialPruned:
        state = TrialState.PRUNED
    try:
        shared.finish(claimed, max(reached), state)
    except UpdateFinishedTrialError:
        print(f"tune {label}: taken over by another process, which had no sign of life from here", file=sys.stderr)
        return
    chosen = ", ".join(f"{name} {value:.3g}" for name, value in view.chosen.items()) or "the defaults"
    seconds = time.monotonic() - start
    print(f"tune {label} {state.name.lower()} after {seconds:.0f} s: {max(reached):.3f} with {chosen}", file=sys.stderr)


class View:
    """What one trial knows of the others, from which its hyperparameters are drawn and its hope is judged.

    In a deterministic search it knows the rounds before its own, so that neither the number of processes nor their
    speed changes what it draws; else all that have finished.
    """

    def __init__(self, shared: SharedSearch, place: int, trials: Trials) -> None:
        self.shared, self.trials, self.place = shared, trials, place
        seed = stream_seed(trials.seed, "tune", trials.network, place) % 2**32
        search = trials.search
        self.study = optuna.create_study(
            direction="maximize",
            sampler=optuna.samplers.TPESampler(n_startup_trials=search.startup_trials, seed=seed),
            pruner=optuna.pruners.MedianPruner(search.startup_trials, search.pruning_warmup_epochs),
        )
        self.known: set[int] = set()
        self.look()
        self.trial = self.study.ask()
        suggested = network_module(trials.network).suggest(self.trial, trials.defaults.settings)
        self.space: dict[str, BaseDistribution] = self.trial.distributions
        self.chosen = suggested if place else {}  # the first trial has the defaults
        self.params = suggested if place else within(self.space, trials.defaults.values())

    def look(self) -> None:
        """Learn of the trials that this one may know of."""
        before = round_start(self.place, self.trials) if self.trials.deterministic else self.trials.search.trials
        new = {place: trial for place, trial in self.shared.finished().items() if place < before}
        self.study.add_trials(trial for place, trial in new.items() if place not in self.known)
        self.known |= new.keys()

    def is_hopeless(self, epoch: Epoch) -> bool:
        """Say after an epoch whether the trial is worse than others were then. The defaults are never given up."""
        if not self.trials.deterministic:
            self.look()
        self.trial.report(epoch.validation_accuracy, epoch.epoch)
        return self.place > 0 and self.trial.should_prune()


def within(space: dict[str, BaseDistribution], values: dict[str, Any]) -> dict[str, Any]:
    """Return the values that lie in the space of the search; defaults may be outside."""
    inside = {}
    for name, distribution in space.items():
        try:
            create_trial(value=0.0, params={name: values[name]}, distributions={name: distribution})
        except ValueError:
            continue
        inside[name] = values[name]
    return inside


if __name__ == "__main__":
    run_stage(main)
