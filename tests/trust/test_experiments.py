"""`dvc exp` as the guide has it: in place, in a copy, queued, compared, applied and shared; merges."""

import json
import re
import shutil
import subprocess
import time
from pathlib import Path

import pytest
import yaml

from helpers.projects import ENVIRONMENT, run, set_params
from tests.study import commit, new_study

IMAGES = {"crow": 7, "jay": 7, "rook": 7}
RUN = "own_cnn-default-original-1"
TRAINED = ["configure", "tune@own_cnn", f"train@{RUN}", f"evaluate@{RUN}", "explain", "insight", "report"]
DROPOUT = "networks.own_cnn.dropout"


@pytest.fixture(scope="module")
def study(tmp_path_factory) -> Path:
    """A study of one run on images in data/pictures, given to DVC; computed and committed."""
    folder = new_study(
        tmp_path_factory.mktemp("experiments") / "study",
        study__networks=["own_cnn"],
        study__hyperparameters=["default"],
        study__data=["original"],
        dataset__folder__path="data/pictures",
    )
    for path in (folder / "mine").iterdir():
        shutil.move(path, folder / "data/pictures" / path.name)
    run("git", "config", "user.name", "t", folder=folder)
    run("git", "config", "user.email", "t@example.org", folder=folder)
    run("git", "rm", "-q", "data/pictures/README.md", folder=folder)
    run("dvc", "add", "data/pictures", folder=folder)
    dvc(folder, "repro")
    commit(folder)
    return folder


@pytest.fixture
def work(study, tmp_path) -> Path:
    """A copy of it for one test, with its cache."""
    return shutil.copytree(study, tmp_path / "study", symlinks=True)


def dvc(folder: Path, *words: str) -> str:
    """Run DVC on one thread, where other programs keep the cores busy."""
    return run("env", "OMP_NUM_THREADS=1", "dvc", *words, folder=folder)


def ran(printed: str) -> list[str]:
    return re.findall(r"Running stage '(.+)'", printed)


def shown(folder: Path) -> dict[str, float]:
    """Return the dropout of each experiment in `dvc exp show`."""
    found = {}
    for base in json.loads(dvc(folder, "exp", "show", "--json")):
        for experiment in base["experiments"] or []:
            (revision,) = experiment["revs"]
            assert revision["data"]["metrics"]["metrics/metrics.json"]["data"], revision
            settings = revision["data"]["params"]["params.yaml"]["data"]
            found[experiment["name"]] = settings["networks"]["own_cnn"]["dropout"]
    return found


def dropout(folder: Path) -> float:
    return yaml.safe_load((folder / "params.yaml").read_text(encoding="utf-8"))["networks"]["own_cnn"]["dropout"]


def test_experiments_in_place_in_a_copy_and_from_a_queue(work, tmp_path):
    """Each runs what its setting changes and nothing else; shown side by side, applied, made a branch, and shared."""
    assert ran(dvc(work, "exp", "run", "-n", "here", "-S", f"{DROPOUT}=0.1")) == TRAINED
    run("git", "checkout", "-q", ".", folder=work)
    assert ran(dvc(work, "exp", "run", "-n", "copied", "--temp", "-S", f"{DROPOUT}=0.2")) == TRAINED
    assert dropout(work) == 0.34  # the copy was elsewhere
    for name, value in {"first": 0.3, "second": 0.4}.items():
        dvc(work, "exp", "run", "-n", name, "--queue", "-S", f"{DROPOUT}={value}")
    dvc(work, "queue", "start", "-j", "2")
    until = time.monotonic() + 500
    while re.search("Queued|Running", dvc(work, "queue", "status")):
        assert time.monotonic() < until
        time.sleep(1)
    assert shown(work) == {"here": 0.1, "copied": 0.2, "first": 0.3, "second": 0.4}

    dvc(work, "exp", "apply", "first")
    assert dropout(work) == 0.3
    assert ran(dvc(work, "repro")) == []
    run("git", "checkout", "-q", ".", folder=work)
    dvc(work, "exp", "branch", "second", "stronger")
    run("git", "checkout", "-q", "stronger", folder=work)
    dvc(work, "checkout")
    assert (dropout(work), ran(dvc(work, "repro"))) == (0.4, [])

    origin, colleague, store = tmp_path / "origin", tmp_path / "colleague", tmp_path / "store"
    run("git", "checkout", "-q", "main", folder=work)
    run("git", "init", "-q", "--bare", "-b", "main", str(origin), folder=tmp_path)
    run("git", "remote", "add", "origin", str(origin), folder=work)
    run("git", "push", "-q", "origin", "main", folder=work)
    for folder in (work, colleague):
        if folder == colleague:
            run("git", "clone", "-q", str(origin), str(colleague), folder=tmp_path)
        dvc(folder, "remote", "modify", "--local", "shared", "url", str(store))
    dvc(work, "exp", "push", "origin", "copied")
    dvc(colleague, "exp", "pull", "origin", "copied")
    dvc(colleague, "exp", "apply", "copied")
    dvc(colleague, "pull")
    assert (dropout(colleague), ran(dvc(colleague, "repro"))) == (0.2, [])


def test_a_copy_without_the_images_says_how_it_gets_them(work):
    """Images that neither Git nor DVC tracks are not in it."""
    run("git", "rm", "-q", "--cached", "data/pictures.dvc", folder=work)
    (work / "data/pictures.dvc").unlink()
    (work / "data/pictures/README.md").write_text("Put your images here\n", encoding="utf-8")
    run("git", "checkout", "-q", "HEAD~1", "--", "data/.gitignore", folder=work)
    commit(work)
    words = ["dvc", "exp", "run", "--temp", "-S", "seed=2"]
    done = subprocess.run(words, cwd=work, env=ENVIRONMENT, capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert "error: data/pictures holds no folder of images in this temporary copy" in done.stdout + done.stderr
    assert "`make images`" in done.stdout + done.stderr


def test_a_merge_of_two_studies_ends_by_running_what_neither_had(work):
    """Both trained with a setting of their own: the lock conflicts, `dvc repro` runs both changes, and all is true."""
    for branch, (key, value) in {
        "theirs": ("online_augmentation__flip", False), "ours": ("networks__own_cnn__dropout", 0.1),
    }.items():  # fmt: skip
        run("git", "checkout", "-qb", branch, "main", folder=work)
        set_params(work, **{key: value})
        assert ran(dvc(work, "repro")) == TRAINED
        commit(work)
    merged = subprocess.run(
        ["git", "merge", "theirs"], cwd=work, env=ENVIRONMENT, capture_output=True, text=True, check=False
    )
    assert "CONFLICT (content): Merge conflict in dvc.lock" in merged.stdout
    assert ran(dvc(work, "repro")) == TRAINED
    commit(work)
    assert ran(dvc(work, "repro")) == []
    settings = yaml.safe_load((work / "params.yaml").read_text(encoding="utf-8"))
    assert (settings["online_augmentation"]["flip"], settings["networks"]["own_cnn"]["dropout"]) == (False, 0.1)
