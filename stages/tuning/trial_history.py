"""What a trial knows of those before it, from which its settings are drawn and by which it is judged."""

import math
from pathlib import Path
from typing import Any, NamedTuple

import optuna
from optuna.distributions import BaseDistribution
from optuna.trial import FrozenTrial, Trial, TrialState

from stages.networks.common.contract import NetworkDefinition
from stages.networks.common.image_set import ImageSet
from stages.networks.common.settings import Search, TrainingConfig
from stages.runtime.errors import UserError
from stages.runtime.seeding import derived_seed
from stages.training.state import Task
from stages.tuning.folds import fold_of, held_out_rows
from stages.tuning.results import CHANGED, REACHED, WORST_LOSS
from stages.tuning.space import Values, changed_config, flat, suggest
from stages.tuning.warm_start import planned_change, within

ENDED = (TrialState.COMPLETE, TrialState.PRUNED)
LOSSES = "losses"  # noted of a trial: those of the validation images, one by one
REMEDY = "take another database, or ask who else writes to it"


class Tuning(NamedTuple):
    """What every trial of a search has in common."""

    network: NetworkDefinition[Any]
    defaults: TrainingConfig
    search: Search
    training: ImageSet
    validation: ImageSet
    seed: int
    trained: Path  # the folder of what trials have trained, each below its number

    def task(self, changed: Values, fold: int = 0) -> Task:
        """Return the training of the defaults with some settings changed: of fold 0, the same as a run of the study."""
        config = changed_config(self.network, self.defaults, changed)
        seed = derived_seed(self.seed, "fold", fold) if fold else self.seed
        return Task(self.network, config, *fold_of(self.training, self.validation, fold, self.seed), seed)

    def validated(self) -> int:
        """Return how many validation images a trial has a loss of, in all its folds together."""
        sets = self.training, self.validation
        others = (held_out_rows(*sets, fold, self.seed).sum() for fold in range(1, self.search.folds))
        return len(self.validation) + int(sum(others))

    def suggest(self, trial: Trial) -> Values:
        """Return what a trial changes of the defaults, drawn from the space of the search."""
        return suggest(trial, self.network, self.defaults, self.search)

    def space(self) -> dict[str, BaseDistribution]:
        """Return what trials may change, and between which values."""
        self.suggest(trial := optuna.create_study().ask())
        return trial.distributions

    def resource(self, changed: Values, epoch: int) -> int:
        """Return how far a trial is after so many epochs of all its folds, in epochs of the defaults.

        Trials are compared at the same share of their schedules: halfway through, the learning rate of a longer one is
        still where that of a shorter one was halfway through.
        """
        epochs = self.defaults.settings.epochs
        return epoch * epochs // int(changed.get("epochs", epochs))


class TrialHistory:
    """The trials that have ended, replayed in memory: from them a trial is drawn, and by them it is judged.

    Trials that were killed are not among them, so that a search that goes on after a kill draws and stops as one that
    was not interrupted.
    """

    def __init__(self, tuning: Tuning, study: optuna.Study, number: float = math.inf) -> None:
        self.tuning, self.space = tuning, tuning.space()
        live = (TrialState.RUNNING, *ENDED)
        self.before = [each for each in checked_trials(tuning, study, live) if each.number < number]
        self.place, search = len(self.before), tuning.search
        seed = derived_seed(tuning.seed, "tune", tuning.network.name, self.place) % 2**32
        sampler = optuna.samplers.TPESampler(n_startup_trials=search.startup_trials, seed=seed)
        pruner = optuna.pruners.SuccessiveHalvingPruner(search.min_resource, search.reduction_factor)
        self.study = optuna.create_study(sampler=sampler, pruner=pruner)
        for each in ended_trials(tuning, study):
            self._replay(each)

    def begin(self, trial: Trial) -> Values:
        """Return what a trial changes of the defaults: what it did before it was lost, what is planned, or drawn."""
        changed = _change(trial.number, trial.user_attrs, self.space) if CHANGED in trial.user_attrs else None
        if changed is None:
            tried = [(each.user_attrs[CHANGED], loss_of(each)) for each in self.before if CHANGED in each.user_attrs]
            starting = len(self.before) - len(tried)
            changed = planned_change(tried, flat(self.tuning.defaults), self.space, starting)
        if changed is None:
            self.trial = self.study.ask()
            changed = self.tuning.suggest(self.trial)
        else:
            self.trial = self._ask(changed)
        trial.set_user_attr(CHANGED, changed)
        self.changed = changed
        return changed

    def is_behind(self, loss: float, epoch: int) -> bool:
        """Say after an epoch, counted over all folds, whether the trial is worse than others were then."""
        return _is_pruned(self.trial, loss, self.tuning.resource(self.changed, epoch))

    def _ask(self, changed: Values) -> Trial:
        params = within(self.space, flat(self.tuning.defaults) | changed)
        self.study.enqueue_trial(params)
        return self.study.ask({name: self.space[name] for name in params})

    def _replay(self, before: FrozenTrial) -> None:
        trial = self._ask(changed := before.user_attrs[CHANGED])
        trial.set_user_attr(CHANGED, changed)
        trial.set_user_attr(REACHED, (best_of(before), len(before.intermediate_values)))
        for epoch, loss in before.intermediate_values.items():
            _is_pruned(trial, loss, self.tuning.resource(changed, epoch))  # notes the loss for later trials
        if before.state == TrialState.PRUNED:
            self.study.tell(trial, state=TrialState.PRUNED)
        else:
            self.study.tell(trial, before.values[0])


def best_of(trial: FrozenTrial) -> float:
    """Return the loss of a trial that has ended; of one that was stopped the lowest that it had come to."""
    reached = trial.intermediate_values.values()
    return float(trial.values[0] if trial.state == TrialState.COMPLETE else min(reached))


def _is_pruned(trial: Trial, loss: float, resource: int) -> bool:
    """Say whether a trial is behind others at a resource; between two of them a longer trial is not compared."""
    if resource in trial.study.trials[trial.number].intermediate_values:
        return False
    trial.report(loss, resource)
    return trial.should_prune()


def ended_trials(tuning: Tuning, study: optuna.Study) -> list[FrozenTrial]:
    """Return the trials that have come to an end, those that were stopped early as well."""
    return checked_trials(tuning, study, ENDED)


def checked_trials(tuning: Tuning, study: optuna.Study, states: tuple[TrialState, ...]) -> list[FrozenTrial]:
    """Return trials. Raises UserError where one is not of this search: a database may hold anything."""
    space, found = tuning.space(), study.get_trials(deepcopy=False, states=states)
    for trial in found:
        if trial.state in ENDED or CHANGED in trial.user_attrs:
            _change(trial.number, trial.user_attrs, space)
        if fault := _fault(trial):
            raise UserError(f"trial {trial.number} in the database {fault}, as no search writes it; {REMEDY}")
    return found


def _fault(trial: FrozenTrial) -> str:
    """Return what is wrong with the losses of a trial, or nothing."""
    losses, reached = trial.user_attrs.get(LOSSES, []), trial.intermediate_values
    if not isinstance(losses, list) or not all(_is_finite(loss) for loss in losses):
        return "has losses that are no numbers"
    if not all(isinstance(epoch, int) and isinstance(loss, float) for epoch, loss in reached.items()):
        return "has epochs or losses that are no numbers"
    if trial.state == TrialState.COMPLETE and not (trial.values and _is_finite(trial.values[0])):
        return "is complete without a loss"
    if trial.state in ENDED and not reached and trial.values != [WORST_LOSS]:
        return "has ended before its first epoch"
    return ""


def _is_finite(value: object) -> bool:
    return isinstance(value, float) and math.isfinite(value)


def loss_of(trial: FrozenTrial) -> float:
    """Return the loss of a trial that has come to its end; infinity of one that was stopped, or runs."""
    return trial.values[0] if trial.state == TrialState.COMPLETE else math.inf


def _change(number: int, noted: dict[str, Any], space: dict[str, BaseDistribution]) -> Values:
    """Return what a trial changes, of what is noted of it. Raises UserError where that is not of this search."""
    changed = noted.get(CHANGED)
    if not isinstance(changed, dict) or within(space, changed) != changed:
        shown = str(changed)[:100]
        raise UserError(f"trial {number} in the database changes {shown}, which this search does not try; {REMEDY}")
    return changed
