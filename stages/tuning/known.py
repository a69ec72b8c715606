"""What a trial knows of those before it, from which its settings are drawn and by which it is judged."""

import math
from pathlib import Path
from typing import Any, NamedTuple

import optuna
from optuna.distributions import BaseDistribution
from optuna.trial import FrozenTrial, Trial, TrialState

from stages.networks.common.contract import Network
from stages.networks.common.image_set import ImageSet
from stages.networks.common.settings import Search, TrainingConfig, config_from
from stages.runtime.errors import UserError
from stages.runtime.seeding import derived_seed
from stages.training.state import Task
from stages.tuning.results import CHANGED
from stages.tuning.warm_start import Values, planned_change, within

ENDED = (TrialState.COMPLETE, TrialState.PRUNED)


class Tuning(NamedTuple):
    """What every trial of a search has in common."""

    network: Network[Any]
    defaults: TrainingConfig
    search: Search
    training: ImageSet
    validation: ImageSet
    seed: int
    trained: Path  # the folder of what trials have trained, each below its number

    def task(self, changed: Values) -> Task:
        """Return the training of the defaults with some settings changed, the same as a run of the study would be."""
        config = config_from(self.network.schema, self.defaults.values() | changed)
        return Task(self.network, config, self.training, self.validation, self.seed)

    def space(self) -> dict[str, BaseDistribution]:
        """Return what trials may change, and between which values."""
        trial = optuna.create_study().ask()
        self.network.suggest(trial, self.defaults.settings)
        return trial.distributions


class Known:
    """The trials that have ended, replayed in memory: from them a trial is drawn, and by them it is judged.

    Trials that were killed are not among them, so that a search that goes on after a kill draws and stops as one that
    was not interrupted.
    """

    def __init__(self, tuning: Tuning, study: optuna.Study, number: float = math.inf) -> None:
        self.tuning, self.space = tuning, tuning.space()
        live = (TrialState.RUNNING, *ENDED)
        self.before = [each for each in study.get_trials(deepcopy=False, states=live) if each.number < number]
        self.place, search = len(self.before), tuning.search
        seed = derived_seed(tuning.seed, "tune", tuning.network.name, self.place) % 2**32
        sampler = optuna.samplers.TPESampler(n_startup_trials=search.startup_trials, seed=seed)
        pruner = optuna.pruners.SuccessiveHalvingPruner(search.min_resource, search.reduction_factor)
        self.study = optuna.create_study(sampler=sampler, pruner=pruner)
        for each in ended(study):
            self._replay(each)

    def begin(self, trial: Trial) -> Values:
        """Return what a trial changes of the defaults: what it did before it was lost, what is planned, or drawn."""
        changed: Values | None = trial.user_attrs.get(CHANGED)
        if changed is None:
            tried = [(checked(each, self.space), loss_of(each)) for each in self.before if CHANGED in each.user_attrs]
            starting = len(self.before) - len(tried)
            changed = planned_change(tried, self.tuning.defaults.values(), self.space, starting)
        if changed is None:
            self.trial = self.study.ask()
            changed = self.tuning.network.suggest(self.trial, self.tuning.defaults.settings)
        else:
            self.trial = self._ask(changed)
        trial.set_user_attr(CHANGED, changed)
        return changed

    def is_behind(self, loss: float, epoch: int) -> bool:
        """Say after an epoch whether the trial is worse than others were then."""
        self.trial.report(loss, epoch)
        return self.trial.should_prune()

    def _ask(self, changed: Values) -> Trial:
        params = within(self.space, self.tuning.defaults.values() | changed)
        self.study.enqueue_trial(params)
        return self.study.ask({name: self.space[name] for name in params})

    def _replay(self, before: FrozenTrial) -> None:
        trial = self._ask(changed := checked(before, self.space))
        trial.set_user_attr(CHANGED, changed)
        for epoch, loss in before.intermediate_values.items():
            trial.report(loss, epoch)
            trial.should_prune()  # notes the loss where it is compared with that of others
        if before.state == TrialState.PRUNED:
            self.study.tell(trial, state=TrialState.PRUNED)
        else:
            self.study.tell(trial, before.values[0])


def ended(study: optuna.Study) -> list[FrozenTrial]:
    """Return the trials that have come to an end, those that were stopped early as well."""
    return study.get_trials(deepcopy=False, states=ENDED)


def loss_of(trial: FrozenTrial) -> float:
    """Return the loss of a trial that has come to its end; infinity of one that was stopped, or runs."""
    return trial.values[0] if trial.state == TrialState.COMPLETE else math.inf


def checked(trial: FrozenTrial, space: dict[str, BaseDistribution]) -> Values:
    """Return what a trial changes. Raises UserError where that is not of this search: a database may hold anything."""
    changed = trial.user_attrs.get(CHANGED)
    if not isinstance(changed, dict) or within(space, changed) != changed:
        raise UserError(f"trial {trial.number} in the database changes {changed}, which this search does not try")
    return changed
