"""Where a search is kept while it runs: a journal of its own, or a database that several processes share."""

import os
import sys
import threading
import time
import warnings
from contextlib import suppress
from pathlib import Path

import optuna
import sqlalchemy
from optuna.exceptions import ExperimentalWarning, StorageInternalError
from optuna.storages import BaseStorage, JournalStorage, RDBStorage, RetryHeartbeatStaleTrialCallback
from optuna.storages.journal import JournalFileBackend
from optuna.trial import TrialState
from sqlalchemy.exc import ArgumentError, IntegrityError, OperationalError, ProgrammingError, SQLAlchemyError

from stages.runtime.errors import UserError

VARIABLE = "STUDY_STORAGE"  # of the environment: the URL of a database, with its password; it never goes into Git
HEARTBEAT, GRACE = 10, 30  # seconds between two signs of life of a trial; without any, after which it is tried again
TRIES = 10  # a second apart, while another process makes the tables
ENDED = " has ended"  # behind the name of a search: of the mark that it leaves
DATABASE_ERRORS = (StorageInternalError, SQLAlchemyError)


def database() -> RDBStorage | None:
    """Return the database that the environment names, or None. Raises UserError where it cannot be used.

    The message never has more of the URL than its kind and user: what follows may be a password.
    """
    given = os.environ.get(VARIABLE, "")
    if not given:
        return None
    kind, _, rest = given.partition("://")
    login = rest.rpartition("@")[0]
    shown = f"{VARIABLE}={kind}://{login.partition(':')[0]}:..." if login else VARIABLE
    if not login.startswith("/") and {"@", "/"} & set(login):
        raise UserError(f"{shown}: a password with @ or / in it cannot be read; write %40 for @, and %2F for /")
    try:
        url = sqlalchemy.make_url(given)
        if url.drivername in ("postgres", "postgresql"):
            url = url.set(drivername="postgresql+psycopg")
        return _with_tables(url.render_as_string(hide_password=False))
    except (ArgumentError, ValueError):
        raise UserError(f"{shown} is no URL of a database, such as postgresql://user:password@host/name") from None
    except (*DATABASE_ERRORS, ImportError, RuntimeError) as error:
        reason = str(error).partition("\n")[0].replace(url.password or "\n", "...")
        raise UserError(f"{shown} cannot be used: {reason}") from None


def _with_tables(url: str) -> RDBStorage:
    """Return a database with Optuna's tables; of several processes that make them at once, all but one must wait."""
    threading.excepthook = _database_errors_elsewhere
    for attempt in range(TRIES):
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", ExperimentalWarning)
                return RDBStorage(
                    url,
                    {"pool_pre_ping": True},
                    heartbeat_interval=HEARTBEAT,
                    grace_period=GRACE,
                    heartbeat_stale_trial_callback=RetryHeartbeatStaleTrialCallback(),
                )
        except (IntegrityError, OperationalError, ProgrammingError) as error:
            is_race = "already exists" in str(error) or not isinstance(
                error, OperationalError
            )  # SQLite's is the latter
            if attempt == TRIES - 1 or not is_race:
                raise
            time.sleep(1)
    raise AssertionError


def _database_errors_elsewhere(failed: threading.ExceptHookArgs) -> None:
    """Leave it to the trial to say that the database is away, and not to the thread of its signs of life as well."""
    if not issubclass(failed.exc_type, DATABASE_ERRORS):
        threading.__excepthook__(failed)


def journal(path: Path) -> JournalStorage:
    """Return the storage in a file that this process alone writes; what a kill has left half written is removed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.with_name(f"{path.name}.lock").unlink(missing_ok=True)
    path.touch()
    os.truncate(path, path.read_bytes().rfind(b"\n") + 1)
    try:
        return JournalStorage(JournalFileBackend(str(path)))
    except (ValueError, KeyError, TypeError, AssertionError) as error:
        print(f"{path} cannot be read ({type(error).__name__}): the search starts anew", file=sys.stderr)
        path.unlink()
        return JournalStorage(JournalFileBackend(str(path)))


def open_search(storage: BaseStorage, name: str) -> optuna.Study:
    """Return the study of a search that no other process takes part in: a trial that still runs was killed."""
    study = optuna.create_study(storage=storage, study_name=name, load_if_exists=True)
    for trial in study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
        study.tell(trial.number, state=TrialState.FAIL)
    return study


def lead_search(storage: BaseStorage, name: str) -> optuna.Study:
    """Return the study of a search that this process leads, and that others may join."""
    if (marker := name + ENDED) in optuna.get_all_study_names(storage):
        optuna.delete_study(study_name=marker, storage=storage)
    return optuna.create_study(storage=storage, study_name=name, load_if_exists=True)


def end_search(storage: BaseStorage, name: str) -> None:
    """Remove the study of a search that has ended, and leave a mark, by which one who comes late knows."""
    optuna.create_study(storage=storage, study_name=name + ENDED, load_if_exists=True)  # first: SQLite reuses numbers
    optuna.delete_study(study_name=name, storage=storage)


def join_search(storage: BaseStorage, name: str) -> optuna.Study | None:
    """Return the study of a search that another process leads, as soon as it does; None where the search has ended.

    Who leads it may have other stages to run first, for hours: a line says what is waited for.
    """
    told = ""
    while True:
        there = optuna.get_all_study_names(storage)
        if name + ENDED in there:
            return None
        with suppress(KeyError):  # not yet, or not any more
            return optuna.load_study(study_name=name, storage=storage)
        others = sum(not each.endswith(ENDED) for each in there)
        said = f"there are {others} of other settings, images, code or libraries; Ctrl-C ends the wait"
        if said != told:
            print(f"waiting until `dvc repro` begins this search; {said}", file=sys.stderr)
        told = said
        time.sleep(1)
