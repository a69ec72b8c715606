"""Many processes share one search: each place is run by one of them, and no death loses more than its own trial."""

import multiprocessing
import os
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import pytest
from optuna.exceptions import UpdateFinishedTrialError
from optuna.trial import TrialState

from stages.runtime.errors import UserError
from stages.tuning import storage
from stages.tuning.storage import SharedSearch, database, journal

PLACES = 12
FORK = multiprocessing.get_context("fork")


def opened(folder: Path, places: int = PLACES) -> SharedSearch:
    """Open the search as another process would: nothing is shared but the file."""
    return SharedSearch(journal(folder / "search.journal"), "search", places)


def run_some(folder: Path, results) -> None:
    """Run trials until none is left; tell which."""
    shared = opened(folder)
    while (trial := shared.claim(range(PLACES))) is not None:
        shared.finish(trial, trial.user_attrs["place"], TrialState.COMPLETE)
        results.put(trial.user_attrs["place"])


def claim_and_wait(folder: Path, claimed) -> None:
    """Claim the first place, say so, and never come to an end."""
    opened(folder).claim(range(PLACES))
    claimed.set()
    time.sleep(600)


def test_processes_that_start_at_once_run_each_place_once(tmp_path):
    """Though all of them create the search and want its first place."""
    results = FORK.Queue()
    processes = [FORK.Process(target=run_some, args=(tmp_path, results)) for _ in range(4)]
    for process in processes:
        process.start()
    ran = sorted(results.get(timeout=60) for _ in range(PLACES))
    for process in processes:
        process.join()
    assert ran == list(range(PLACES))
    assert results.empty()
    finished = opened(tmp_path).finished()
    assert {place: trial.values[0] for place, trial in finished.items()} == {place: place for place in range(PLACES)}


def test_only_places_that_were_asked_for_are_claimed(tmp_path):
    """A deterministic search opens its places round by round."""
    shared = opened(tmp_path)
    assert [shared.claim(range(3, 5)).user_attrs["place"] for _ in range(2)] == [3, 4]
    assert shared.claim(range(3, 5)) is None


def test_the_place_of_a_killed_process_is_free_at_once(tmp_path):
    """On the same machine nobody has to wait for a sign of life."""
    claimed = FORK.Event()
    process = FORK.Process(target=claim_and_wait, args=(tmp_path, claimed))
    process.start()
    assert claimed.wait(30)
    shared = opened(tmp_path)
    assert shared.free_lost() == []
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    assert shared.free_lost() == [0]
    assert shared.claim(range(1)).user_attrs["place"] == 0


def test_a_process_of_another_machine_is_lost_after_a_silence(tmp_path, monkeypatch):
    """Its clock does not matter; whoever gives signs of life keeps its place."""
    now = 0.0
    monkeypatch.setattr(storage, "time", SimpleNamespace(monotonic=lambda: now))
    monkeypatch.setattr(storage, "BEAT_EVERY", 0.01)
    there, here = opened(tmp_path), opened(tmp_path)
    monkeypatch.setattr(storage, "identity", lambda: {"host": "elsewhere", "process": 1, "started": 0})
    trial = there.claim(range(1))
    with there.alive(trial):
        for _ in range(3):
            wait_for_sign(here)
            assert here.free_lost() == []
            now += 1.1 * storage.SILENCE
        wait_for_sign(here)
    assert here.free_lost() == []
    now += 0.9 * storage.SILENCE
    assert here.free_lost() == []
    now += 0.2 * storage.SILENCE
    assert here.free_lost() == [0]
    with pytest.raises(UpdateFinishedTrialError):
        there.finish(trial, 1.0, TrialState.COMPLETE)


def wait_for_sign(search: SharedSearch) -> None:
    """Wait for a sign of life from who runs the first place, newer than the last one that was looked at."""
    seen, _ = search.watched.get(0, (None, 0.0))
    until = time.monotonic() + 60
    while search.trials()[0].user_attrs.get(storage.BEAT) in (None, seen):
        assert time.monotonic() < until
        time.sleep(0.01)


def test_a_trial_that_fails_gives_its_place_back(tmp_path):
    """By Ctrl-C too; nothing of it counts."""
    shared = opened(tmp_path)
    trial = shared.claim(range(1))
    with pytest.raises(KeyboardInterrupt), shared.alive(trial):
        raise KeyboardInterrupt
    assert shared.finished() == {}
    again = shared.claim(range(1))
    assert again.user_attrs["place"] == 0
    assert again.number != trial.number


def test_places_made_twice_are_run_once(tmp_path):
    """Two processes that free the same place at once offer two trials for it; only the older one is ever claimed."""
    shared = opened(tmp_path, places=1)
    with ThreadPoolExecutor(4) as threads:
        for _ in range(4):
            threads.submit(shared.study.enqueue_trial, {}, {"place": 0})
    first = shared.claim(range(1))
    shared.finish(first, 0.5, TrialState.COMPLETE)
    assert shared.claim(range(1)) is None
    assert len(shared.finished()) == 1


def test_a_process_killed_while_it_writes_keeps_nobody_waiting(tmp_path, monkeypatch):
    """The lock on the journal dies with it, wherever the file is named from."""
    monkeypatch.chdir(tmp_path)
    opened(Path())
    held = FORK.Event()
    process = FORK.Process(target=hold_lock, args=(held,))
    process.start()
    assert held.wait(30)
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    assert opened(Path()).claim(range(1)) is not None


def hold_lock(held) -> None:
    storage.JournalLock(Path("search.journal")).acquire()
    held.set()
    time.sleep(600)


def finished_search(folder: Path, places: int = 2) -> tuple[Path, bytes]:
    """Run so many trials of a search; return its journal, and what is in it."""
    shared = opened(folder)
    for place in range(places):
        shared.finish(shared.claim(range(PLACES)), place, TrialState.COMPLETE)
    path = folder / "search.journal"
    return path, path.read_bytes()


@pytest.mark.parametrize("torn", [b'{"op_code":6,"worker_', b'{"op_code":6}', b"\0" * 9000, b"\xc3"])
def test_a_last_line_cut_in_two_loses_nothing_but_itself(tmp_path, recwarn, torn):
    """As a kill in the middle of a write or a power cut leaves it: the next process reads, claims and finishes."""
    path, whole = finished_search(tmp_path)
    path.write_bytes(whole + torn)
    shared = opened(tmp_path)
    assert {place: trial.value for place, trial in shared.finished().items()} == {0: 0.0, 1: 1.0}
    shared.finish(shared.claim(range(PLACES)), 2.0, TrialState.COMPLETE)
    assert {place: trial.value for place, trial in opened(tmp_path).finished().items()} == {0: 0.0, 1: 1.0, 2: 2.0}
    assert path.read_bytes().startswith(whole)
    assert len(recwarn) == 0


def test_half_a_line_that_another_process_leaves_meanwhile_is_cut_off_as_well(tmp_path):
    """Who was there before the other was killed goes on to write behind whole lines."""
    shared = opened(tmp_path)
    with (tmp_path / "search.journal").open("ab") as file:
        file.write(b'{"op_code":6,"worker_id":"')
    shared.finish(shared.claim(range(PLACES)), 0.5, TrialState.COMPLETE)
    assert opened(tmp_path).finished()[0].value == 0.5


@pytest.mark.parametrize("damage", [b'{"op_code":{"op_code":6}\n', b"\0" * 20 + b"\n"])
def test_of_a_damaged_journal_the_lines_before_the_damage_are_kept(tmp_path, damage):
    """Lines after it may build on what is lost; a warning says so."""
    path, whole = finished_search(tmp_path)
    path.write_bytes(whole + damage + whole)
    with pytest.warns(UserWarning, match=f"damaged after {len(whole)} bytes: the search goes on with the lines before"):
        assert sorted(opened(tmp_path).finished()) == [0, 1]


def test_a_journal_damaged_from_its_first_line_on_is_begun_anew(tmp_path):
    """With a warning that says so."""
    path, whole = finished_search(tmp_path)
    path.write_bytes(b"\0" * 20 + b"\n" + whole)
    with pytest.warns(UserWarning, match="damaged after 0 bytes: the search starts anew"):
        assert opened(tmp_path).finished() == {}


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("no url", "is no URL of a database"),
        ("postgresql://ann:secret@127.0.0.1:1/study", r"ann:\*\*\*@127.0.0.1:1/study cannot be used"),
        ("nosql://ann:secret@127.0.0.1/study", "is no URL of a database"),
    ],
)
def test_a_database_that_cannot_be_used_is_said_without_its_password(monkeypatch, url, message):
    """One line, with what to look at."""
    monkeypatch.setenv("STUDY_STORAGE", url)
    with pytest.raises(UserError, match=message) as raised:
        database()
    assert "secret" not in str(raised.value)


def test_without_a_database_the_search_is_kept_in_a_file(monkeypatch):
    """The environment names none."""
    monkeypatch.delenv("STUDY_STORAGE", raising=False)
    assert database() is None
