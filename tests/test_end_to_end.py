"""The whole study, small, through DVC as a person runs it."""

import json
import re
from pathlib import Path

import pytest

from helpers.projects import run, set_params
from tests.conftest import write_images
from tests.study import commit, new_study, restore


def repro(folder: Path) -> list[str]:
    """Run `dvc repro`; return the stages that ran."""
    return re.findall(r"Running stage '(.+)'", run("dvc", "repro", folder=folder))


WITNESS = """
import atexit, os, sys
if stage := os.environ.get("DVC_STAGE"):
    from pathlib import Path
    atexit.register(lambda: Path(__file__).with_name(stage).write_text(str("torch" in sys.modules)))
"""  # Python imports it at its start, as sitecustomize


@pytest.fixture(scope="module")
def witness(tmp_path_factory) -> Path:
    """The folder of a witness, which writes beside itself which stages have imported torch."""
    folder = tmp_path_factory.mktemp("witness")
    (folder / "sitecustomize.py").write_text(WITNESS, encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def finished(tmp_path_factory, witness) -> Path:
    """A copy of the project with small settings, on images of its own, after its first `dvc repro`."""
    folder = new_study(tmp_path_factory.mktemp("study"))
    run("env", f"PYTHONPATH={witness}", "dvc", "repro", folder=folder)
    commit(folder)
    return folder


@pytest.fixture(scope="module")
def at_first(finished, witness) -> dict[str, bool]:
    """Of each stage of the first `dvc repro` that is one of several, whether it has imported torch."""
    return {path.name: path.read_text(encoding="utf-8") == "True" for path in witness.glob("*@*")}


@pytest.fixture
def study(finished, at_first) -> Path:
    """Give the finished study as it was committed, whatever the test before has made of it."""
    return restore(finished, "main")


def test_all_eight_runs_are_in_the_metrics(study):
    """Each with its qualities, the fractions between 0 and 1."""
    metrics = json.loads((study / "metrics/metrics.json").read_text(encoding="utf-8"))
    records = [data for network in metrics.values() for chosen in network.values() for data in chosen.values()]
    assert len(records) == 8
    for record in records:
        assert record.keys() == {"accuracy", "macro_f1", "loss"}  # of three classes the best five say nothing
        assert all(0 <= record[name] <= 1 for name in ("accuracy", "macro_f1"))


def test_what_the_search_has_trained_is_copied(study, at_first):
    """The runs of original images: torch, which takes seconds, is not even imported. Equal runs have equal scores."""
    networks, kinds = ("own_cnn", "resnet50"), ("default", "tuned")
    copied = {f"train@{network}-{kind}-original-1" for network in networks for kind in kinds}
    assert {name for name, imported in at_first.items() if not imported} == copied
    assert len(at_first) == 18
    for data in ("original", "augmented"):
        tuned, default = (f"own_cnn-{each}-{data}-1" for each in kinds)
        for file in ("metrics/runs/{}.json", "data/predictions/{}/examples.parquet"):
            assert (study / file.format(tuned)).read_bytes() == (study / file.format(default)).read_bytes()


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
    # where nobody asks for tuned any more, tune trains nothing, and train does it itself
    runs = [
        f"{stage}@own_cnn-default-{data}-1" for stage in ("train", "evaluate") for data in ("original", "augmented")
    ]
    assert sorted(ran) == sorted(["augment", "tune@own_cnn", *runs, "report"])
    table = run("dvc", "metrics", "diff", "main", "--md", folder=study)
    assert re.search(r"\| metrics/metrics.json +\| own_cnn.default.augmented.loss +\| [\d.]+ +\| [\d.]+ +\|", table)


def test_new_images_run_fetch_and_what_follows(study):
    """The folder a person brings is a dependency like any other; once seen, it is no longer news."""
    write_images(study / "mine/jay", {"new": 8})  # some for each split, so that all of them change
    set_params(study, study__networks=["own_cnn"], study__hyperparameters=["default"], study__data=["original"])
    ran = repro(study)
    assert ran[:2] == ["fetch", "prepare"]
    assert {"tune@own_cnn", "train@own_cnn-default-original-1", "evaluate@own_cnn-default-original-1", "report"} <= set(
        ran
    )
    assert repro(study) == []
