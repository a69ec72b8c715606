"""What one run of DVC has made is found by its key, and by no other run of DVC."""

import pytest

from stages.inference import done_before as module
from stages.inference.done_before import FILE, done_before, note_done
from stages.support.files import read_json


@pytest.fixture(autouse=True)
def _as_a_stage(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DVC_STAGE", "train@own_cnn-default-original-1")


def test_what_was_noted_is_found_under_its_key():
    """By each stage that the same process has run."""
    assert done_before("one") is None
    note_done("one", "here")
    note_done("two", "there")
    assert [done_before(key) for key in ("one", "two", "three")] == ["here", "there", None]


def test_another_run_of_dvc_finds_nothing_and_forgets(monkeypatch):
    """It may be on other hardware; and the file does not grow from run to run."""
    note_done("one", "here")
    monkeypatch.setattr(module, "start_of", lambda _: 1.0)
    assert done_before("one") is None
    note_done("two", "there")
    assert done_before("two") == "there"
    assert read_json(FILE)["done"] == {"two": "there"}


def test_outside_of_dvc_nothing_is_noted(monkeypatch):
    """Who runs a stage by hand wants to see it run."""
    note_done("one", "here")
    monkeypatch.delenv("DVC_STAGE")
    note_done("two", "there")
    assert done_before("one") is None
    assert read_json(FILE)["done"] == {"one": "here"}


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"runner": 1}', "null", '{"done": 3, "runner": null}'])
def test_a_broken_note_is_none(text):
    """As a kill or a full disk may leave it."""
    FILE.parent.mkdir(parents=True)
    FILE.write_text(text, encoding="utf-8")
    assert done_before("one") is None
