"""The whole study, small, through DVC as a person runs it."""

import json
import re
from itertools import product
from pathlib import Path

import pytest

from helpers.projects import run, set_params
from stages.runtime.files import read_json
from tests.study import commit, new_study, repro, restore

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
    """Torch, which takes seconds, is not even imported; nor for what is the same as another run, and refers to it."""
    networks = ("own_cnn", "resnet50")
    trained = {name for name, imported in at_first.items() if imported and name.startswith("train@")}
    assert trained == {f"train@{network}-default-augmented-1" for network in networks}
    assert not [name for name, imported in at_first.items() if imported and name.startswith(("embed@", "weights@"))]
    for network, data in product(networks, ("original", "augmented")):
        same = {"same_as": f"{network}-default-{data}-1"}
        for file in ("metrics/runs/{}.json", "data/trained/{}/same_as.json", "data/predictions/{}/same_as.json"):
            assert read_json(study / file.format(f"{network}-tuned-{data}-1")) == same


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
    # where nobody asks for tuned any more, tune trains nothing, and train does it itself
    expected = [
        f"{stage}@own_cnn-default-{data}-1" for stage in ("train", "evaluate") for data in ("original", "augmented")
    ]
    expected += ["augment", "configure", "embed@own_cnn-augmented", "tune@own_cnn", "explain", "insight", "report"]
    assert repro(study) == sorted(expected)
    table = run("dvc", "metrics", "diff", "main", "--md", folder=study)
    assert re.search(r"\| metrics/metrics.json +\| own_cnn.default.augmented.loss +\| [\d.]+ +\| [\d.]+ +\|", table)
