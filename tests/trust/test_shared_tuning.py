"""Several processes tune one network together, through a journal file or PostgreSQL; any of them may be killed."""

import csv
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from helpers.network_namespaces import HOST, available, machines
from helpers.projects import ENVIRONMENT, run, set_params
from tests.study import SEARCH, new_study
from tests.trust.servers import postgresql

TRIALS = 6
OUTPUTS = ("default.json", "tuned.json", "trials.csv", "importances.csv", "search.png")


@pytest.fixture(scope="module")
def study(tmp_path_factory) -> Path:
    """A small study that is ready to tune, with trials long enough to be killed in."""
    folder = new_study(tmp_path_factory.mktemp("tuning") / "study", dataset__classes=["crow", "jay"])
    search = SEARCH | {"trials": TRIALS, "startup_trials": 2, "min_resource_epochs": 7, "parallel_trials": 2}
    set_params(folder, search=search, training__epochs=8)
    run("dvc", "repro", "prepare", folder=folder)
    return folder


@pytest.fixture(scope="module")
def alone(study, tmp_path_factory) -> dict[str, bytes]:
    """What one process finds on its own."""
    folder = copy(study, tmp_path_factory.mktemp("alone") / "study")
    process = tune(folder, {})
    assert ended(process.communicate()[0]) == list(range(1, TRIALS + 1))
    return outputs(folder)


@pytest.fixture(params=["journal", "postgresql"])
def storage(request) -> Iterator[dict[str, str]]:
    """Each place that processes can share a search in, as the environment names it."""
    if request.param == "journal":
        yield {}
    else:
        with postgresql() as url:
            yield {"STUDY_STORAGE": url}


def copy(study: Path, folder: Path) -> Path:
    return shutil.copytree(study, folder, symlinks=True)


def tune(folder: Path, storage: dict[str, str], *options: str) -> subprocess.Popen[str]:
    """Start the stage as DVC does."""
    return subprocess.Popen(
        [sys.executable, "-m", "stages.tune", "own_cnn", *options],
        cwd=folder,
        env=ENVIRONMENT | {"OMP_NUM_THREADS": "1"} | storage,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def outputs(folder: Path) -> dict[str, bytes]:
    return {name: (folder / "data/hyperparameters/own_cnn" / name).read_bytes() for name in OUTPUTS}


def ended(*printed: str) -> list[int]:
    """Return the numbers of the trials that processes said they have ended, sorted."""
    return sorted(
        int(number) for text in printed for number in re.findall(r"trial (\d+)/\d+ (?:complete|stopped) after", text)
    )


def test_two_processes_share_the_trials_and_find_what_one_finds(study, storage, alone, tmp_path):
    """No trial is run twice, both have a part, and the outputs have the bytes of a search by one process."""
    folder = copy(study, tmp_path / "study")
    first, helper = tune(folder, storage), tune(folder, storage, "only-trials")
    printed = [process.communicate()[0] for process in (first, helper)]
    assert [first.returncode, helper.returncode] == [0, 0], printed
    assert ended(*printed) == list(range(1, TRIALS + 1))
    assert all(ended(text) for text in printed)
    assert outputs(folder) == alone


@pytest.mark.skipif(not available(), reason="needs iproute2 and the right to make network namespaces")
def test_two_machines_share_a_search_in_a_database(study, alone, tmp_path):
    """Each in a folder of its own; nothing but the database joins them."""
    with machines(2) as two, postgresql(HOST) as url:
        settings = {"OMP_NUM_THREADS": "1", "STUDY_STORAGE": url}
        words = (sys.executable, "-m", "stages.tune", "own_cnn")
        folders = [copy(study, tmp_path / machine.name) for machine in two]
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
        processes = [
            machine.start(*words, *role, folder=folder, settings=settings, **pipes)
            for machine, folder, role in zip(two, folders, [(), ("only-trials",)], strict=True)
        ]
        printed = [process.communicate(timeout=300)[0] for process in processes]
    assert [process.returncode for process in processes] == [0, 0], printed
    assert ended(*printed) == list(range(1, TRIALS + 1))
    assert all(ended(text) for text in printed)
    assert outputs(folders[0]) == alone


def test_a_killed_process_loses_at_most_its_running_trial(study, storage, alone, tmp_path):
    """The other takes its trial over at once, and ends with the same result."""
    folder = copy(study, tmp_path / "study")
    first, helper = tune(folder, storage), tune(folder, storage, "only-trials")
    seen = ""
    while "epoch 2/" not in seen:
        line = helper.stdout.readline()
        assert line, "the helper ended before it could be killed"
        seen += line
    os.kill(helper.pid, signal.SIGKILL)
    seen += helper.communicate()[0]
    printed = first.communicate()[0]
    assert first.returncode == 0, printed
    assert ended(printed, seen) == list(range(1, TRIALS + 1))
    assert outputs(folder) == alone


def test_a_search_goes_on_where_all_its_processes_were_killed(study, storage, alone, tmp_path):
    """What had ended is not run again."""
    folder = copy(study, tmp_path / "study")
    first = tune(folder, storage)
    seen = ""
    while not ended(seen):
        line = first.stdout.readline()
        assert line, seen
        seen += line
    os.kill(first.pid, signal.SIGKILL)
    seen += first.communicate()[0]
    again = tune(folder, storage)
    printed = again.communicate()[0]
    assert again.returncode == 0, printed
    assert ended(printed, seen) == list(range(1, TRIALS + 1))
    assert outputs(folder) == alone


def test_a_database_that_goes_away_is_said_in_words(study, tmp_path):
    """Without the password; the search can go on later."""
    folder = copy(study, tmp_path / "study")
    with postgresql() as url:
        process = tune(folder, {"STUDY_STORAGE": url})
        while "epoch 1/" not in process.stdout.readline():
            assert process.poll() is None
    printed = process.communicate()[0]
    assert process.returncode == 1
    assert "error: the database of STUDY_STORAGE failed" in printed
    assert "Traceback" not in printed
    assert "open-sesame" not in printed


def test_a_budget_in_minutes_ends_the_search(study, tmp_path):
    """No trial starts after it; what there is by then is the result."""
    folder = copy(study, tmp_path / "study")
    set_params(folder, search__minutes=0.0001)
    process = tune(folder, {})
    assert ended(process.communicate()[0]) == [1]
    with (folder / "data/hyperparameters/own_cnn/trials.csv").open(encoding="utf-8") as file:
        assert len(list(csv.DictReader(file))) == 1
