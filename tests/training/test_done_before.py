"""What one run of DVC has made is found by its key, and by no other run of DVC."""

import pytest

from stages.runtime.files import read_json
from stages.training import done_before as module
from stages.training.done_before import FILE, done_before, note_done


class Process:
    """What runs the stage, as psutil has it."""

    pid = 7

    def __init__(self, *cmdline: str) -> None:
        self.cmdline = lambda: list(cmdline)


@pytest.fixture(autouse=True)
def _as_a_stage(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DVC_STAGE", "train@own_cnn-default-original-1")
    monkeypatch.setattr(
        module, "parents", lambda: [Process("sh"), Process("/venv/bin/python", "/venv/bin/dvc", "repro")]
    )
    monkeypatch.setattr(module, "start_of", lambda _: 0.5)


def found(key: str) -> str | None:
    return done_before(lambda: key)


def test_what_was_noted_is_found_under_its_key():
    """By each stage that the same process has run."""
    assert found("one") is None
    note_done("one", "here")
    note_done("two", "there")
    assert [found(key) for key in ("one", "two", "three")] == ["here", "there", None]


def test_another_run_of_dvc_finds_nothing_and_forgets(monkeypatch):
    """It may be on other hardware; and the file does not grow from run to run."""
    note_done("one", "here")
    monkeypatch.setattr(module, "start_of", lambda _: 1.0)
    assert found("one") is None
    note_done("two", "there")
    assert found("two") == "there"
    assert read_json(FILE)["done"] == {"two": "there"}


@pytest.mark.parametrize("words", [("python", "-m", "dvc", "exp", "run"), ("/opt/dvc/dvc", "repro")])
def test_dvc_is_known_however_it_was_started(words, monkeypatch):
    """As a module, and as a program without a Python of its own."""
    monkeypatch.setattr(module, "parents", lambda: [Process(*words)])
    note_done("one", "here")
    assert found("one") == "here"


@pytest.mark.parametrize(
    "above", [[], [Process("/home/me/dvc/bin/python", "-m", "ipykernel_launcher", "-f", "dvc.json")]]
)
def test_a_notebook_that_calls_dvc_is_no_run_of_it(above, monkeypatch):
    """Between two of its calls it may choose another device."""
    monkeypatch.setattr(module, "parents", lambda: above)
    note_done("one", "here")
    assert not FILE.exists()


def test_outside_of_dvc_nothing_is_noted(monkeypatch):
    """Who runs a stage by hand wants to see it run."""
    note_done("one", "here")
    monkeypatch.delenv("DVC_STAGE")
    note_done("two", "there")
    assert found("one") is None
    assert read_json(FILE)["done"] == {"one": "here"}


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"runner": 1}', "null", '{"done": 3, "runner": null}'])
def test_a_broken_note_is_none(text):
    """As a kill or a full disk may leave it."""
    FILE.parent.mkdir(parents=True)
    FILE.write_text(text, encoding="utf-8")
    assert found("one") is None


def test_where_several_processes_train_together_nothing_of_one_is_taken(monkeypatch):
    """A search is of one process, whose results have other bits."""
    note_done("one", "here")
    monkeypatch.setenv("PET_NPROC_PER_NODE", "2")
    assert found("one") is None
    monkeypatch.setenv("PET_NPROC_PER_NODE", "1")
    assert found("one") == "here"


def test_where_nothing_is_noted_no_key_is_asked_for():
    """It would take reading all data."""
    assert done_before(pytest.fail) is None
