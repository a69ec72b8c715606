"""Where a search is kept: a journal that outlives kills, or a database, whose password nobody is told."""

import resource
from pathlib import Path

import pytest
from optuna.trial import TrialState

from stages.runtime.errors import UserError
from stages.tuning.storage import database, end_search, join_search, journal, lead_search, open_search

FILE = Path("tune/journal.log")


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("stages.tuning.storage.TRIES", 1)
    monkeypatch.setattr("stages.tuning.storage.time.sleep", lambda _: None)


def states() -> list[str]:
    return [trial.state.name for trial in open_search(journal(FILE), "search").trials]


def two_trials() -> bytes:
    """Run one trial to its end and leave another one running; return the journal."""
    study = open_search(journal(FILE), "search")
    study.tell(study.ask(), 0.5)
    study.ask()
    return FILE.read_bytes()


def test_a_trial_that_ran_when_its_process_was_killed_has_failed():
    """Nobody else runs it."""
    two_trials()
    assert states() == ["COMPLETE", "FAIL"]


@pytest.mark.parametrize("torn", [b'{"op_code":6,"worker_', b'{"op_code":6}', b"\0" * 9000, b"\xc3"])
def test_a_last_line_cut_in_two_loses_nothing_but_itself(torn):
    """As a kill in the middle of a write leaves it, with the lock that it held."""
    whole = two_trials()
    FILE.write_bytes(whole + torn)
    FILE.with_name(f"{FILE.name}.lock").symlink_to(FILE)
    assert states() == ["COMPLETE", "FAIL"]
    assert FILE.read_bytes().startswith(whole)


def test_a_disk_that_takes_nothing_more_keeps_the_journal():
    """What a kill has cut is removed without writing the rest anew."""
    whole, held = two_trials(), resource.getrlimit(resource.RLIMIT_FSIZE)
    FILE.write_bytes(whole + b"torn")
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, held[1]))
    try:
        journal(FILE)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, held)
    assert FILE.read_bytes() == whole


@pytest.mark.parametrize("damage", [b"\0" * 20 + b"\n", b'{"op_code":{"op_code":6}\n', b"{}\n"])
def test_a_damaged_journal_is_begun_anew(damage, capsys):
    """With a line that says so."""
    whole = two_trials()
    FILE.write_bytes(damage + whole)
    assert states() == []
    assert "tune/journal.log cannot be read" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("no url", "STUDY_STORAGE is no URL of a database"),
        ("postgresql://ann:secret@127.0.0.1:1/study", r"=postgresql://ann:\.\.\. cannot be used"),
        ("nosql://ann:secret@127.0.0.1/study", r"=nosql://ann:\.\.\. is no URL of a database"),
        ("postgresql://ann:secret@host:port/study", r"=postgresql://ann:\.\.\. is no URL of a database"),
        ("postgresql://ann:se@cret@127.0.0.1/study", r"=postgresql://ann:\.\.\.: .* write %40 for @"),
        ("postgresql://ann:se/cret@127.0.0.1/study", r"=postgresql://ann:\.\.\.: .* %2F for /"),
        ("postgresql://ann:se:cret@127.0.0.1:1/study", r"=postgresql://ann:\.\.\. cannot be used"),
        ("postgresql://127.0.0.1:1/study?user=ann&password=secret", "STUDY_STORAGE cannot be used"),
        ("postgresql://127.0.0.1:1/study?password=secret&nonsense=3", "STUDY_STORAGE cannot be used"),
        ("postgresql://host:port/study?user=ann&password=secret", "STUDY_STORAGE is no URL of a database"),
    ],
)
def test_a_database_that_cannot_be_used_is_said_without_its_password(monkeypatch, url, message):
    """One line, with what to look at, and nothing that follows the user's name."""
    monkeypatch.setenv("STUDY_STORAGE", url)
    with pytest.raises(UserError, match=message) as raised:
        database()
    assert not any(part in str(raised.value) for part in ("secret", "cret", "se@", "se/", "se:"))
    assert len(raised.value.lines) == 1


def test_without_a_database_there_is_none(monkeypatch):
    """The environment names none."""
    monkeypatch.delenv("STUDY_STORAGE", raising=False)
    assert database() is None


def test_processes_that_share_a_database_find_the_search_by_its_name(monkeypatch, tmp_path):
    """What a lost process ran is tried again."""
    monkeypatch.setenv("STUDY_STORAGE", f"sqlite:///{tmp_path}/a@b.db")
    shared = database()
    study = lead_search(shared, "search")
    assert join_search(shared, "search").study_name == "search"
    study.optimize(lambda trial: trial.set_user_attr("changed", {"batch_size": 16}) or 1.0, n_trials=1)
    shared.get_heartbeat_stale_trial_callback()(study, study.trials[0])
    assert [each.state for each in study.trials] == [TrialState.COMPLETE, TrialState.WAITING]
    assert study.trials[1].user_attrs == {"changed": {"batch_size": 16}}


def test_a_helper_waits_with_words_until_the_search_begins(monkeypatch, tmp_path, capsys):
    """As long as that takes: who leads it may train other networks first. The line comes once, not every second."""
    monkeypatch.setenv("STUDY_STORAGE", f"sqlite:///{tmp_path}/search.db")
    shared = database()
    lead_search(shared, "another")
    waits = iter(range(1000))

    def begin_at_last(_: float) -> None:
        if next(waits) == 900:
            lead_search(shared, "search")

    monkeypatch.setattr("stages.tuning.storage.time.sleep", begin_at_last)
    assert join_search(shared, "search").study_name == "search"
    assert next(waits) == 901
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("waiting until `dvc repro` begins this search; there are 1 of other settings, images")


def test_a_helper_that_comes_late_has_nothing_to_do(monkeypatch, tmp_path):
    """Nor does it begin the search anew; one that is led again, as by `dvc repro -f`, it joins."""
    monkeypatch.setenv("STUDY_STORAGE", f"sqlite:///{tmp_path}/search.db")
    shared = database()
    lead_search(shared, "search").optimize(lambda _: 1.0, n_trials=1)
    end_search(shared, "search")
    assert join_search(shared, "search") is None
    assert lead_search(shared, "search").trials == []
    assert join_search(shared, "search").study_name == "search"


def test_the_number_of_a_study_that_has_ended_is_no_other_s(monkeypatch, tmp_path):
    """SQLite would give it to the next: a helper that still has it would run trials of that."""
    monkeypatch.setenv("STUDY_STORAGE", f"sqlite:///{tmp_path}/search.db")
    shared = database()
    lead_search(shared, "search")
    late = join_search(shared, "search")
    end_search(shared, "search")
    lead_search(shared, "next")
    with pytest.raises(KeyError):
        late.get_trials()
