"""Stage tune: search a network's hyperparameters on the validation pictures."""

import sys
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import optuna
from optuna.distributions import distribution_to_json, json_to_distribution
from optuna.trial import FrozenTrial, TrialState
from pydantic import NonNegativeInt

from stages.lib import device
from stages.lib.checkpoints import Checkpoint, key_of
from stages.lib.command import run_stage
from stages.lib.files import finished_folder, write_csv, write_json
from stages.lib.hyperparameters import Search, Training
from stages.lib.networks import network_module
from stages.lib.params import read
from stages.lib.picture_sets import PictureSet, load_pictures
from stages.lib.pretrained import new_network
from stages.lib.streams import stream_seed
from stages.lib.training import Epoch, Task, fit

FINISHED = (TrialState.COMPLETE, TrialState.PRUNED)


class Trials(NamedTuple):
    """What every trial of a search has in common."""

    network: str
    defaults: Training
    search: Search
    training: PictureSet
    validation: PictureSet
    seed: int


def main(network: str) -> None:
    """Search a network's hyperparameters on the validation pictures."""
    search, seed = read(f"tune.{network}", Search), read("seed", NonNegativeInt)
    defaults = read(f"networks.{network}", network_module(network).Settings)
    device.be_deterministic()
    device.keep_freed_memory()
    training, validation = (load_pictures(f"data/{name}", device.device()) for name in ("original", "validation"))
    data = ["data/original", "data/validation", f"data/pretrained/{network}"]
    checkpoint = Checkpoint(f"tune-{network}", key_of([defaults.model_dump(), search.model_dump(), seed], data))
    study = searched(Trials(network, defaults, search, training, validation, seed), checkpoint)
    with finished_folder(f"data/hyperparameters/{network}") as folder:
        write_json(folder / "default.json", defaults.model_dump())
        write_json(folder / "tuned.json", defaults.model_dump() | study.best_params)
        write_trials(folder / "trials.csv", study)
    checkpoint.remove()


def searched(trials: Trials, checkpoint: Checkpoint) -> optuna.Study:
    """Return a study whose trials maximise validation accuracy, the first with the default hyperparameters.

    Trials that `checkpoint` holds are not run again.
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    search = trials.search
    pruner = optuna.pruners.MedianPruner(search.startup_trials, search.pruning_warmup_epochs)
    study = optuna.create_study(direction="maximize", pruner=pruner)
    study.add_trials(map(restored_trial, checkpoint.restore_notes() or []))
    if not study.trials:
        study.enqueue_trial({name: getattr(trials.defaults, name) for name in search_space(trials.network)})
    for number in range(len(study.get_trials(states=FINISHED)), search.trials):
        # seeded anew for each trial, so that what a trial draws depends on the trials before it and on nothing else
        seed = stream_seed(trials.seed, "tune", trials.network, number) % 2**32
        study.sampler = optuna.samplers.TPESampler(n_startup_trials=search.startup_trials, seed=seed)
        trial = study.ask()
        try:
            value = run_trial(trial, trials)
        except optuna.TrialPruned:
            study.tell(trial, state=TrialState.PRUNED)
        else:
            study.tell(trial, value)
        checkpoint.save_notes([saved_trial(finished) for finished in study.trials])
        print(outcome(study.trials[number], search), file=sys.stderr)
    return study


def saved_trial(trial: FrozenTrial) -> dict[str, Any]:
    """Return a finished trial as JSON."""
    return {
        "state": trial.state.name,
        "value": trial.value,
        "params": trial.params,
        "distributions": {name: distribution_to_json(one) for name, one in trial.distributions.items()},
        "intermediate_values": trial.intermediate_values,
    }


def restored_trial(saved: dict[str, Any]) -> FrozenTrial:
    """Return the trial that `saved_trial` was given."""
    return optuna.trial.create_trial(
        state=TrialState[saved["state"]],
        value=saved["value"],
        params=saved["params"],
        distributions={name: json_to_distribution(one) for name, one in saved["distributions"].items()},
        intermediate_values={int(epoch): value for epoch, value in saved["intermediate_values"].items()},
    )


def run_trial(trial: optuna.Trial, trials: Trials) -> float:
    """Return the best validation accuracy of a training with the trial's hyperparameters, or raise TrialPruned."""
    network, training = trials.network, trials.training
    module, chosen = network_module(network), {"epochs": trials.search.epochs}
    settings = module.Settings(**trials.defaults.model_dump() | module.suggest(trial) | chosen)
    build = partial(new_network, network, settings, len(training.class_names), training.image_size)

    def after_epoch(epoch: Epoch) -> None:
        trial.report(epoch.validation_accuracy, epoch.epoch)
        if trial.should_prune():
            raise optuna.TrialPruned

    description = f"tune {network}, trial {trial.number + 1}/{trials.search.trials}"
    task = Task(training, trials.validation, settings, trials.seed)
    history = fit(build, task, description, after_epoch).history
    return max(epoch.validation_accuracy for epoch in history)


def search_space(network: str) -> list[str]:
    """Return the names of the settings that the network's trials change."""
    trial = optuna.create_study().ask()
    return list(network_module(network).suggest(trial))


def write_trials(path: Path, study: optuna.Study) -> None:
    """Write a line per trial: its number, state, validation accuracy, epochs and hyperparameters."""
    names = sorted(study.trials[0].params)  # as restored trials have them
    rows = [
        {
            "trial": trial.number,
            "state": trial.state.name.lower(),
            "validation_accuracy": max(trial.intermediate_values.values()),
            "epochs": len(trial.intermediate_values),
            **trial.params,
        }
        for trial in study.trials
    ]
    write_csv(path, ["trial", "state", "validation_accuracy", "epochs", *names], rows)


def outcome(trial: FrozenTrial, search: Search) -> str:
    """Return a trial's line for the person who watches."""
    chosen = ", ".join(f"{name} {value:.3g}" for name, value in trial.params.items())
    best = max(trial.intermediate_values.values())
    return f"trial {trial.number + 1}/{search.trials} {trial.state.name.lower()}: accuracy {best:.3f} with {chosen}"


if __name__ == "__main__":
    run_stage(main)
