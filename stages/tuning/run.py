"""The search of one network, from its files to what it has found, alone or beside other processes."""

import shutil
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import optuna
from optuna.trial import FrozenTrial

from stages.hardware import device
from stages.networks.common.contract import NetworkDefinition
from stages.networks.common.image_set import load_images
from stages.networks.common.settings import Search, TrainingConfig
from stages.networks.common.starting_point import read_starting_point
from stages.runtime.errors import UserError
from stages.runtime.files import atomic_folder, write_text
from stages.runtime.fingerprint import fingerprint
from stages.training.checkpoint import FOLDER
from stages.training.loop import fit
from stages.training.writing import hardware, write_training
from stages.tuning.results import CHANGED, SearchResult, in_words
from stages.tuning.search import best_trials, run_search
from stages.tuning.storage import (
    DATABASE_ERRORS,
    VARIABLE,
    database,
    end_search,
    join_search,
    journal,
    lead_search,
    open_search,
)
from stages.tuning.trial_history import REMEDY, TrialHistory, Tuning


def search_hyperparameters(
    network: NetworkDefinition[Any], defaults: TrainingConfig, search: Search, seed: int
) -> SearchResult:
    """Search to the end, going on where an interrupted search has left, and return what was found.

    Where STUDY_STORAGE names a database, other processes may help. Raises UserError where it cannot be used.
    """
    tuning, shared = load_tuning(network, defaults, search, seed), database()
    name = search_name(tuning, () if shared else hardware())
    prepare_checkpoint(network.name, name)
    with database_errors_in_words():
        if shared:
            study = lead_search(shared, name)
        else:
            study = open_search(journal(checkpoint_folder(network.name) / "journal.log"), name)
        done = run_search(tuning, study)
        trials = TrialHistory(tuning, study).study.trials
        if shared:
            end_search(shared, name)
    best = best_trials(tuning, done)
    changed = best["tuned"].user_attrs[CHANGED] if "tuned" in best else {}
    print(
        f"tune {network.name}: `tuned` is what is expected to be best, gains shrunk by noise: {in_words(changed)}",
        file=sys.stderr,
    )
    return SearchResult(changed, trials, {kind: training_of(tuning, trial) for kind, trial in best.items()})


def help_search(network: NetworkDefinition[Any], defaults: TrainingConfig, search: Search, seed: int) -> None:
    """Run trials of a search that another process leads, until it has ended; wait until it has begun."""
    shared = database()
    if shared is None:
        raise UserError(f"a search is shared through a database: set {VARIABLE}, e.g. to sqlite:////tmp/search.db")
    tuning = load_tuning(network, defaults, search, seed)
    with database_errors_in_words():
        study = join_search(shared, name := search_name(tuning, ()))
        if study is not None:
            prepare_checkpoint(network.name, name)  # now, for until then it may be that of who leads a search alone
            try:
                run_search(tuning, study)
            except KeyError:
                if name in optuna.get_all_study_names(shared):  # else who leads it has ended it
                    raise
    print(f"tune {network.name}: the search has ended; who leads it has its results", file=sys.stderr)


def load_tuning(network: NetworkDefinition[Any], defaults: TrainingConfig, search: Search, seed: int) -> Tuning:
    """Return what all trials have in common, with the images."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    device.be_deterministic()
    device.keep_freed_memory()
    start = read_starting_point(network.name)
    images = [
        load_images(f"data/{name}", device.device(), start.image_size, start.normalisation)
        for name in ("original", "validation")
    ]
    return Tuning(network, defaults, search, images[0], images[1], seed, checkpoint_folder(network.name) / "trained")


def checkpoint_folder(network: str) -> Path:
    """Return where a search is kept while it runs: its journal, and what its best trials have trained."""
    return FOLDER / f"tune-{network}"


def search_name(tuning: Tuning, hardware: tuple[str, ...]) -> str:
    """Return the search's name, a fingerprint of all that shapes it."""
    network, folders = tuning.network.name, ("data/original", "data/validation")
    settings = [network, tuning.defaults.values(), tuning.search.model_dump(), tuning.seed]
    return fingerprint(settings, [*folders, f"data/weights/{network}"], hardware)


def prepare_checkpoint(network: str, name: str) -> None:
    """Have a folder for the search of this name; remove what one of another name has left."""
    folder = checkpoint_folder(network)
    if folder.exists() and not (folder / name).exists():
        print(f"{folder} is of other settings, data, code or hardware: the search starts anew", file=sys.stderr)
        shutil.rmtree(folder)
    write_text(folder / name, "what this folder is of: settings, data, code, libraries and hardware\n")


def remove_checkpoint(network: str) -> None:
    """Remove what is kept of a search, for it has ended."""
    shutil.rmtree(checkpoint_folder(network))


def training_of(tuning: Tuning, trial: FrozenTrial) -> Path:
    """Return the folder of what a trial has trained; where it did so on another machine, train it here."""
    folder = tuning.trained / str(trial.number)
    if not folder.is_dir():
        task = tuning.task(trial.user_attrs[CHANGED])
        result = fit(task, f"tune {tuning.network.name}, trial {trial.number + 1} again")
        with atomic_folder(folder) as unfinished:
            write_training(task, result, unfinished)
    return folder


@contextmanager
def database_errors_in_words() -> Iterator[None]:
    """Say in words what a database that other processes share has to say, and that it holds what nobody can read."""
    try:
        yield
    except (*DATABASE_ERRORS, UnboundLocalError, ValueError, LookupError, TypeError) as error:
        # Optuna 5.0 fails with UnboundLocalError where it cannot write down how a trial ended
        cause = error.__context__ if isinstance(error, UnboundLocalError) else error
        reason = str(cause).partition("\n")[0]
        if isinstance(cause, DATABASE_ERRORS):
            failed = f"the database of {VARIABLE} failed: {reason}; `dvc repro` goes on from there"
            raise UserError(failed) from None
        if not any("optuna/storages" in frame.filename for frame in traceback.extract_tb(error.__traceback__)):
            raise
        unreadable = f"the database of {VARIABLE} holds what no search writes ({reason[:100]}); {REMEDY}"
        raise UserError(unreadable) from None
