"""A search that several processes and machines share: which trials there are, who runs which, what came of each.

Optuna's storage keeps it, in a journal file or a database. A search has a fixed number of places, 0, 1, 2, ...; each is
held by the oldest trial made for it that has not failed, so that all who look at the storage see the same.
"""

import fcntl
import json
import os
import platform
import threading
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import optuna
import psutil
import sqlalchemy
from optuna.distributions import BaseDistribution
from optuna.exceptions import StorageInternalError, UpdateFinishedTrialError
from optuna.storages import BaseStorage, JournalStorage, RDBStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy.exc import ArgumentError, IntegrityError, ProgrammingError, SQLAlchemyError

from stages.runtime.errors import UserError

VARIABLE = "STUDY_STORAGE"  # of the environment: the URL of a database, with its password; it never goes into Git

BEAT_EVERY = 10.0  # seconds between two signs of life of who runs a trial
SILENCE = 60.0  # seconds without one, after which the trial of another machine counts as lost
TRIES = 10  # a second apart, to find the tables that another process is just making
PLACE, WORKER, BEAT, DIVERGED = "place", "worker", "beat", "diverged"


def database() -> RDBStorage | None:
    """Return the database that the environment names, or None. Raises UserError where it cannot be reached."""
    given = os.environ.get(VARIABLE)
    if not given:
        return None
    try:
        url = sqlalchemy.make_url(given)
        if url.drivername in ("postgres", "postgresql"):
            url = url.set(drivername="postgresql+psycopg")
        return _with_tables(url.render_as_string(hide_password=False))
    except ArgumentError:
        raise UserError(f"{VARIABLE} is no URL of a database, such as postgresql://user:password@host/name") from None
    except (SQLAlchemyError, StorageInternalError, ImportError) as error:
        reason = str(error).partition("\n")[0]
        raise UserError(f"{VARIABLE}: {url.render_as_string()} cannot be used: {reason}") from None


def _with_tables(url: str) -> RDBStorage:
    """Return a database with Optuna's tables; of several processes that make them at once, all but one must wait."""
    for _ in range(TRIES):
        try:
            return RDBStorage(url, engine_kwargs={"pool_pre_ping": True})
        except (IntegrityError, ProgrammingError):
            time.sleep(1)
    return RDBStorage(url, engine_kwargs={"pool_pre_ping": True})


def journal(path: Path) -> JournalStorage:
    """Return the storage in a file; of one that a power cut has damaged, what was written before the damage."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
    lock: Any = JournalLock(path)  # Optuna keeps its locks' base class to itself
    lock.acquire()
    try:
        content = path.read_bytes()
        kept = whole_lines(content)
        if kept != content:
            goes_on = "goes on with the lines before that" if kept else "starts anew"
            warnings.warn(f"{path} is damaged after {len(kept)} bytes: the search {goes_on}", stacklevel=2)
            os.truncate(path, len(kept))
    finally:
        lock.release()
    return JournalStorage(JournalFileBackend(str(path), lock))


def whole_lines(content: bytes) -> bytes:
    """Return the lines of JSON that a journal begins with: what follows one that is none may build on it."""
    kept = 0
    for line in content.splitlines(keepends=True):
        try:
            json.loads(line)
        except ValueError:
            break
        kept += len(line)
    return content[:kept]


class JournalLock:
    """A journal's lock, which the system takes back from a process that is killed; Optuna's own would outlive it.

    Who was killed in the middle of a line has left half of it; it is cut off before anybody writes behind it.
    """

    def __init__(self, journal: Path) -> None:
        self.journal = journal
        self.file: IO[str] | None = None

    def acquire(self) -> bool:
        """Wait until nobody else writes, and have the journal end with a whole line."""
        file = self.journal.with_name(f"{self.journal.name}.lock").open("w", encoding="utf-8")
        fcntl.flock(file, fcntl.LOCK_EX)
        self.file = file
        try:
            _cut_off_half_a_line(self.journal)
        except OSError:  # the journal was removed: its search has ended
            self.release()
            raise
        return True

    def release(self) -> None:
        """Let others write."""
        if self.file is not None:
            self.file.close()
            self.file = None


def _cut_off_half_a_line(path: Path) -> None:
    with path.open("rb+") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - 1))
        if file.read() not in (b"", b"\n"):
            file.seek(0)
            file.truncate(file.read().rfind(b"\n") + 1)


class SharedSearch:
    """The search called `name` in a storage; whoever comes first creates it."""

    def __init__(self, storage: BaseStorage, name: str, places: int) -> None:
        self.storage = storage
        self.study = optuna.create_study(storage=storage, study_name=name, direction="minimize", load_if_exists=True)
        self.places = places
        self.watched: dict[int, tuple[Any, float]] = {}  # a foreign trial's last sign of life, and when it was new
        self._make_missing()

    def trials(self) -> dict[int, FrozenTrial]:
        """Return the trial that holds each place."""
        holders: dict[int, FrozenTrial] = {}
        for trial in self.study.get_trials(deepcopy=False):  # oldest first
            if trial.state != TrialState.FAIL and PLACE in trial.user_attrs:
                holders.setdefault(trial.user_attrs[PLACE], trial)
        return dict(sorted(holders.items()))

    def finished(self) -> dict[int, FrozenTrial]:
        """Return the trials that have come to an end, pruned ones as well."""
        return {place: trial for place, trial in self.trials().items() if trial.state.is_finished()}

    def claim(self, places: range) -> FrozenTrial | None:
        """Return a trial that from now on is this process's to run, or None where none of these places is free."""
        for place, trial in self.trials().items():
            if place in places and trial.state == TrialState.WAITING:
                try:
                    won = self.storage.set_trial_state_values(trial._trial_id, TrialState.RUNNING)
                except UpdateFinishedTrialError:
                    continue
                if won:
                    self.storage.set_trial_user_attr(trial._trial_id, WORKER, identity())
                    return trial
        return None

    def free_lost(self) -> list[int]:
        """Free the places whose trial was being run by a process that is no more; return them."""
        lost = []
        for place, trial in self.trials().items():
            if trial.state == TrialState.RUNNING and self._is_lost(trial):
                try:
                    self.storage.set_trial_state_values(trial._trial_id, TrialState.FAIL)
                except UpdateFinishedTrialError:
                    continue
                lost.append(place)
        self._make_missing()
        return lost

    def running(self) -> bool:
        """Say whether anybody runs a trial."""
        return any(trial.state == TrialState.RUNNING for trial in self.trials().values())

    def record_settings(self, trial: FrozenTrial, params: dict[str, Any], space: dict[str, BaseDistribution]) -> None:
        """Write down which settings a trial tries."""
        for name, value in params.items():
            self.storage.set_trial_param(trial._trial_id, name, space[name].to_internal_repr(value), space[name])

    def record_epoch(self, trial: FrozenTrial, epoch: int, value: float) -> None:
        """Write down what a trial has reached after an epoch."""
        self.storage.set_trial_intermediate_value(trial._trial_id, epoch, value)

    def note(self, trial: FrozenTrial, notes: dict[str, Any]) -> None:
        """Write down what else is to be known of a trial."""
        for name, value in notes.items():
            self.storage.set_trial_user_attr(trial._trial_id, name, value)

    def note_rungs(self, trial: FrozenTrial, rungs: dict[str, float]) -> None:
        """Write down the losses at a trial's rungs where Optuna's pruner looks for them."""
        for name, value in rungs.items():
            self.storage.set_trial_system_attr(trial._trial_id, name, value)

    def finish(self, trial: FrozenTrial, value: float, state: TrialState) -> None:
        """Write down a trial's end. Raises UpdateFinishedTrialError where others have meanwhile taken it for lost."""
        self.storage.set_trial_state_values(trial._trial_id, state, [value])

    @contextmanager
    def alive(self, trial: FrozenTrial) -> Iterator[None]:
        """Give signs of life for a trial while the block runs; free its place at once where the block fails."""
        over = threading.Event()

        def beat() -> None:
            count = 0
            while not over.wait(BEAT_EVERY):
                count += 1
                try:
                    self.storage.set_trial_user_attr(trial._trial_id, BEAT, count)
                except UpdateFinishedTrialError:
                    return
                except (StorageInternalError, SQLAlchemyError, OSError):
                    continue  # a database that is away for a moment; if it stays away, the trial will say so

        thread = threading.Thread(target=beat, daemon=True)
        thread.start()
        try:
            yield
        except BaseException:
            self._give_up(trial)
            raise
        finally:
            over.set()
            thread.join()

    def _give_up(self, trial: FrozenTrial) -> None:
        try:
            self.storage.set_trial_state_values(trial._trial_id, TrialState.FAIL)
        except UpdateFinishedTrialError:
            return
        self._make_missing()

    def _make_missing(self) -> None:
        """Offer a trial for each place without one. Where two processes do so at once, the older trial holds it."""
        for place in sorted(set(range(self.places)) - self.trials().keys()):
            self.study.enqueue_trial({}, user_attrs={PLACE: place})

    def _is_lost(self, trial: FrozenTrial) -> bool:
        worker = trial.user_attrs.get(WORKER)
        if worker is not None and worker["host"] == platform.node():
            return not _lives(worker)
        sign, now = trial.user_attrs.get(BEAT), time.monotonic()
        last, since = self.watched.get(trial.number, (None, now))
        if trial.number not in self.watched or sign != last:
            self.watched[trial.number] = (sign, now)
            return False
        return now - since > SILENCE


def identity() -> dict[str, Any]:
    """Return what tells this process from every other, as JSON."""
    process = psutil.Process()
    return {"host": platform.node(), "process": os.getpid(), "started": process.create_time()}


def _lives(worker: dict[str, Any]) -> bool:
    try:
        process = psutil.Process(worker["process"])
        return abs(process.create_time() - worker["started"]) < 1 and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
