"""The whole study, small, through DVC as a person runs it."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT, set_params, write_pictures

ENVIRONMENT = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
ENVIRONMENT |= {
    "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
    "NO_ALBUMENTATIONS_UPDATE": "1",
}


def run(*words: str, folder: Path) -> str:
    """Run a command that must succeed; return what it printed."""
    done = subprocess.run(words, cwd=folder, env=ENVIRONMENT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def repro(folder: Path) -> list[str]:
    """Run `dvc repro`; return the stages that ran."""
    return re.findall(r"Running stage '(.+)'", run("dvc", "repro", folder=folder))


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> Path:
    """A copy of the project with small settings, on pictures of its own, after its first `dvc repro`."""
    folder = tmp_path_factory.mktemp("study")
    for name in run("git", "ls-files", "-co", "--exclude-standard", folder=ROOT).splitlines():
        if name.split("/")[0] not in ("metrics", "tests", "dvc.lock") and (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / name, folder / name)
    write_pictures(folder / "mine", {"crow": 8, "jay": 8, "rook": 8})
    search = {"trials": 1, "epochs": 1, "startup_trials": 1, "pruning_warmup_epochs": 0}
    set_params(folder, dataset__source="folder", dataset__classes="all", dataset__folder__path="mine")
    set_params(folder, tune={"own_cnn": search, "resnet50": search})
    set_params(folder, networks__own_cnn__epochs=1, networks__resnet50__epochs=1)
    for words in (["init", "-q", "-b", "main"], ["add", "-A"], ["commit", "-q", "-m", "small study"]):
        run("git", "-c", "user.name=t", "-c", "user.email=t@example.org", *words, folder=folder)
    run("dvc", "repro", folder=folder)
    run("git", "add", "-A", folder=folder)
    run("git", "-c", "user.name=t", "-c", "user.email=t@example.org", "commit", "-qm", "results", folder=folder)
    return folder


@pytest.fixture
def study(finished) -> Path:
    """Give the finished study as it was committed, whatever the test before has made of it."""
    run("git", "checkout", "-qf", "main", folder=finished)
    run("git", "clean", "-qfd", folder=finished)
    run("dvc", "checkout", "-q", "-f", folder=finished)
    return finished


def test_all_eight_runs_are_in_the_metrics(study):
    """Each with its four qualities, the fractions between 0 and 1."""
    metrics = json.loads((study / "metrics/metrics.json").read_text(encoding="utf-8"))
    records = [data for network in metrics.values() for chosen in network.values() for data in chosen.values()]
    assert len(records) == 8
    for record in records:
        assert record.keys() == {"accuracy", "top5_accuracy", "macro_f1", "loss"}
        assert all(0 <= record[name] <= 1 for name in ("accuracy", "top5_accuracy", "macro_f1"))


def test_with_nothing_changed_nothing_runs(study):
    """Though Python has left its caches beside the code, and every file looks newly touched."""
    assert list((study / "stages").rglob("*.pyc"))
    for path in (study / "stages").rglob("*.py"):
        path.touch()
    assert repro(study) == []
    assert run("git", "status", "--porcelain", folder=study) == ""


def test_a_branch_with_one_changed_setting_can_be_compared(study):
    """`dvc metrics diff` names each quality that changed, before and after."""
    run("git", "checkout", "-qb", "more-noise", folder=study)
    set_params(study, augment__copies=2, study__networks=["own_cnn"], study__hyperparameters=["default"])
    ran = repro(study)
    assert ran == ["augment", "train@own_cnn-default-augmented", "evaluate@own_cnn-default-augmented", "report"]
    table = run("dvc", "metrics", "diff", "main", "--md", folder=study)
    assert re.search(r"\| metrics/metrics.json +\| own_cnn.default.augmented.loss +\| [\d.]+ +\| [\d.]+ +\|", table)


def test_new_pictures_run_fetch_and_what_follows(study):
    """The folder a person brings is a dependency like any other; once seen, it is no longer news."""
    write_pictures(study / "mine/jay", {"new": 8})  # some for each split, so that all of them change
    set_params(study, study__networks=["own_cnn"], study__hyperparameters=["default"], study__data=["original"])
    ran = repro(study)
    assert ran[:2] == ["fetch", "prepare"]
    assert {"tune@own_cnn", "train@own_cnn-default-original", "evaluate@own_cnn-default-original", "report"} <= set(ran)
    assert repro(study) == []
