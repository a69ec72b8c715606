"""Several processes tune one network together, through a database; any of them may be killed."""

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
from stages.runtime.files import read_csv, read_json
from tests.study import SEARCH, new_study
from tests.trust.servers import PASSWORD, postgresql

TRIALS = 6
TUNED = "data/hyperparameters/own_cnn"
# a trial that has begun; where the leader is killed, the second, for by then the first is written down
MIDST = {"helper": r"epoch 2/", "leader": r"trial 1/\d+ complete(?s:.*)epoch 2/"}


@pytest.fixture(scope="module")
def study(tmp_path_factory) -> Path:
    """A small study that is ready to tune, with trials long enough to be killed in."""
    folder = new_study(tmp_path_factory.mktemp("tuning") / "study", dataset__classes=["crow", "jay"])
    set_params(folder, search=SEARCH | {"trials": TRIALS, "startup_trials": 2, "min_resource": 7}, training__epochs=8)
    run("dvc", "repro", "prepare", "weights@own_cnn", folder=folder)
    return folder


@pytest.fixture(params=["sqlite", "postgresql"])
def storage(request, tmp_path) -> Iterator[dict[str, str]]:
    """Each place that processes can share a search in, as the environment names it."""
    if request.param == "sqlite":
        yield {"STUDY_STORAGE": f"sqlite:///{tmp_path}/search.db"}
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


def ended(text: str) -> list[str]:
    """Return the numbers of the trials that a process said it has ended."""
    return re.findall(r"trial (\d+)/\d+ (?:complete|stopped) after", text)


def is_whole(folder: Path) -> bool:
    """Say whether all that a search leaves is there: as many trials as wanted, the defaults first, and trainings."""
    trials = read_csv(folder / TUNED / "trials.csv")
    default, tuned = (read_json(folder / TUNED / f"trained-{name}/source.json") for name in ("default", "tuned"))
    first = read_json(folder / TUNED / "default.json")["batch_size"]
    return (
        len(trials) >= TRIALS
        and first == int(trials[0]["batch_size"])
        and default == {"data": "original", "seed": 1}
        and tuned in (default, default | {"same_as": "default"})
        and not (folder / "data/checkpoints/tune-own_cnn").exists()
    )


def test_two_processes_share_the_trials(study, storage, tmp_path):
    """Both have a part, no trial is run twice, and the one that leads writes what was found."""
    folder = copy(study, tmp_path / "study")
    first, helper = tune(folder, storage), tune(folder, storage, "only-trials")
    printed = [process.communicate()[0] for process in (first, helper)]
    assert [first.returncode, helper.returncode] == [0, 0], printed
    assert all(ended(text) for text in printed)
    assert len(ended("".join(printed))) == TRIALS
    assert is_whole(folder)


@pytest.mark.skipif(not available(), reason="needs iproute2 and the right to make network namespaces")
def test_two_machines_share_a_search_in_a_database(study, tmp_path):
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
    assert all(ended(text) for text in printed)
    assert is_whole(folders[0])


@pytest.mark.parametrize("killed", ["helper", "leader"])
def test_what_a_killed_process_ran_is_tried_again(study, storage, killed, tmp_path):
    """By the other one once its signs of life have stopped, or by who goes on; what had ended is not run again."""
    folder = copy(study, tmp_path / "study")
    leader = tune(folder, storage)
    victim = tune(folder, storage, "only-trials") if killed == "helper" else leader
    seen = ""
    while not re.search(MIDST[killed], seen):
        line = victim.stdout.readline()
        assert line, seen
        seen += line
    os.kill(victim.pid, signal.SIGKILL)
    seen += victim.communicate()[0]
    leader = leader if killed == "helper" else tune(folder, storage)
    printed = leader.communicate()[0]
    assert leader.returncode == 0, printed
    assert len(ended(seen + printed)) >= TRIALS
    assert not set(ended(seen)) & set(ended(printed))
    assert is_whole(folder)


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
    assert PASSWORD not in printed


def test_a_budget_in_minutes_ends_the_search(study, tmp_path):
    """No trial starts after it; what there is by then is the result."""
    folder = copy(study, tmp_path / "study")
    set_params(folder, search__minutes=0.0001)
    run("dvc", "repro", "configure", folder=folder)
    assert len(ended(tune(folder, {}).communicate()[0])) == 1
    assert len(read_csv(folder / TUNED / "trials.csv")) == 1
