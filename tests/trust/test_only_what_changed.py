"""Only what changed runs: for each kind of edit exactly the expected stages, on a small study with all eight runs."""

import json
import re
from collections.abc import Iterable
from itertools import product
from pathlib import Path
from textwrap import dedent

import pytest
import yaml

from helpers.projects import ROOT, run, set_params
from tests.conftest import write_images
from tests.study import commit, new_study, repro, restore

HYPERPARAMETERS, DATA = ("default", "tuned"), ("original", "augmented")

# What runs when all images change, where only own_cnn-default-original takes part in the study
ALL_OF_ONE_RUN = ["fetch", "prepare", "augment", "tune@own_cnn", "train@own_cnn-default-original-1"]
ALL_OF_ONE_RUN += ["evaluate@own_cnn-default-original-1", "report"]


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> Path:
    """Hold a finished study on branch main, and on the branches two and one what is left with so many runs."""
    folder = new_study(
        tmp_path_factory.mktemp("study"),
        # so that a trial of ResNet50 can be better than the first one
        prepare__validation_fraction=0.4,
        networks__resnet50__batch_size=4,
        networks__resnet50__warmup_epochs=0,
        networks__resnet50__learning_rate=1e-4,
    )
    assert len(repro(folder)) == 22
    commit(folder)
    for branch, networks in {"two": ["own_cnn", "resnet50"], "one": ["own_cnn"]}.items():
        run("git", "checkout", "-qb", branch, folder=folder)
        set_params(folder, study__networks=networks, study__hyperparameters=["default"], study__data=["original"])
        # where nobody asks for tuned any more, tune trains nothing, and train does it itself
        again = [f"tune@{network}" for network in networks] + runs(networks, ["default"], ["original"])
        assert repro(folder) == sorted(["report", *(again if branch == "two" else [])])
        commit(folder)
    return folder


@pytest.fixture
def study(finished) -> Path:
    """Give the finished study with its eight runs, as it was before any edit."""
    return restore(finished, "main")


@pytest.fixture
def two_runs(finished) -> Path:
    """Give the study with the run of default hyperparameters and original images of each network."""
    return restore(finished, "two")


@pytest.fixture
def one_run(finished) -> Path:
    """Give the study with a single run, for what holds whatever the number of runs."""
    return restore(finished, "one")


def runs(networks: Iterable[str], hyperparameters: Iterable[str] = HYPERPARAMETERS, data: Iterable[str] = DATA):
    """Name train and evaluate of each combination."""
    names = ["-".join(values) for values in product(networks, hyperparameters, data, ["1"])]
    return [f"{stage}@{name}" for stage in ("train", "evaluate") for name in names]


def insert_before(line: str, text: str, path: Path) -> None:
    """Insert text above the line of a file that begins with `line`."""
    before, found, after = path.read_text(encoding="utf-8").partition(f"\n{line}")
    assert found, f"{path} has no line {line}"
    path.write_text(f"{before}\n{text}{found}{after}", encoding="utf-8")


def add_comment(path: Path) -> None:
    """Change a file of code, not what it does."""
    path.write_text(path.read_text(encoding="utf-8") + "# a remark\n", encoding="utf-8")


def reordered(value):
    """Return nested settings with the keys of every section in reverse order; lists stay as they are."""
    return {key: reordered(value[key]) for key in reversed(value)} if isinstance(value, dict) else value


def test_touching_files_runs_nothing(study):
    """New dates on all files, those of code, images and results, are no change."""
    for path in study.rglob("*"):
        if path.is_file() and not {".git", ".dvc"} & set(path.relative_to(study).parts):
            path.touch()
    assert repro(study) == []
    assert run("git", "status", "--porcelain", folder=study) == ""


def test_comments_and_order_of_settings_run_nothing(study):
    """What params.yaml says counts, not how it is written."""
    path = study / "params.yaml"
    settings = yaml.safe_load(path.read_text(encoding="utf-8"))
    text = yaml.safe_dump(reordered(settings), sort_keys=False, default_flow_style=None)
    path.write_text(f"# of no effect\n{text}", encoding="utf-8")
    assert list(yaml.safe_load(path.read_text(encoding="utf-8"))) == list(reversed(settings))
    assert repro(study) == []


def test_a_setting_of_augmentation_runs_what_uses_altered_copies(study):
    """The four augmented runs; the other four keep their results, tuning as well."""
    set_params(study, augment__hue=20)
    assert repro(study) == sorted(["augment", *runs(["own_cnn", "resnet50"], data=["augmented"]), "report"])


def test_a_setting_of_all_networks_runs_all_of_them(study):
    """Their tuning and trainings; of a network that has a value of its own nothing but the tuning, which says so."""
    set_params(study, training__label_smoothing=0.2)
    tuning = ["tune@own_cnn", "tune@resnet50"]
    assert repro(study) == sorted([*tuning, *runs(["own_cnn", "resnet50"]), "report"])
    set_params(study, training__learning_rate=2e-3)  # resnet50 has its own
    assert repro(study) == sorted([*tuning, *runs(["own_cnn"]), "report"])


@pytest.mark.parametrize("key", ["networks__own_cnn__dropout", "networks__own_cnn__label_smoothing"])
def test_a_setting_of_a_network_runs_that_network(study, key):
    """Its tuning and its four runs, and nothing of the other network; one that it alone has, or has otherwise."""
    set_params(study, **{key: 0.2})
    assert repro(study) == sorted(["tune@own_cnn", *runs(["own_cnn"]), "report"])


def test_code_of_a_network_runs_that_network(two_runs):
    """As its settings do: all of it runs again, nothing of the other network."""
    add_comment(two_runs / "stages/networks/own_cnn.py")
    assert repro(two_runs) == sorted(["tune@own_cnn", *runs(["own_cnn"], ["default"], ["original"]), "report"])


def test_a_setting_of_tuning_runs_trainings_only_for_values_it_changes(study):
    """A search that ends with the same values costs no training; one that ends with others, the two tuned runs."""
    chosen = study / "data/hyperparameters/resnet50/tuned.json"
    before = chosen.read_bytes()
    set_params(study, networks__resnet50__search={"min_resource": 2})
    assert repro(study) == ["report", "tune@resnet50"]  # which tells how long it took
    assert chosen.read_bytes() == before  # a single trial is always that of the default values
    for trials in range(2, 10):
        set_params(study, networks__resnet50__search__trials=trials)
        ran = repro(study)
        if chosen.read_bytes() != before:
            assert ran == sorted(["tune@resnet50", *runs(["resnet50"], ["tuned"]), "report"])
            return
        assert ran == ["report", "tune@resnet50"]
    pytest.fail("no trial was better than the first, so that this test shows nothing; give it more trials")


def test_code_of_evaluate_trains_nothing(study):
    """Another score of the same weights runs evaluate for all eight runs, and the report."""
    other = "exact = scores\n\n\ndef scores(*values):\n    return {**exact(*values), 'loss': 0.0}\n\n"
    insert_before("class Evaluation(", other, study / "stages/evaluation/run.py")
    evaluated = [name for name in runs(["own_cnn", "resnet50"]) if name.startswith("evaluate")]
    assert repro(study) == sorted([*evaluated, "report"])


def test_code_of_evaluate_with_the_same_scores_leaves_the_report(one_run):
    """A stage runs because its input changed, not because the one before it ran."""
    add_comment(one_run / "stages/evaluate.py")
    assert repro(one_run) == ["evaluate@own_cnn-default-original-1"]


def test_code_of_the_report_runs_the_report(study):
    """And nothing else."""
    add_comment(study / "stages/report.py")
    assert repro(study) == ["report"]


def test_a_setting_of_prepare_runs_all_behind_it(one_run):
    """Other training images: all but fetch runs."""
    set_params(one_run, prepare__jpeg_quality=90)
    assert repro(one_run) == sorted(ALL_OF_ONE_RUN[1:])


def test_a_setting_of_prepare_without_effect_runs_prepare(one_run):
    """A limit that no image reaches changes no shard, and without that nothing behind it runs."""
    set_params(one_run, prepare__pixel_limit=1_000_000)
    assert repro(one_run) == ["prepare"]


def test_a_setting_of_the_data_set_runs_what_it_changes(one_run):
    """Another choice of classes is other data: all runs; a limit that is not reached, only fetch."""
    set_params(one_run, dataset__limits__files=1_000_000)
    assert repro(one_run) == ["fetch"]
    set_params(one_run, dataset__classes=["crow", "rook"])
    assert repro(one_run) == sorted(ALL_OF_ONE_RUN)


def test_code_of_the_source_runs_what_it_changes(one_run):
    """Fetch alone while it brings the same files; prepare as well for other files with the same pixels."""
    add_comment(one_run / "stages/datasets/folder.py")
    assert repro(one_run) == ["fetch"]
    longer = "bring = fetch\n\n\ndef fetch(settings, selection, seed, folder):\n"
    longer += "    bring(settings, selection, seed, folder)\n"
    longer += "    for file in folder.rglob('*.png'):\n"
    longer += "        file.write_bytes(file.read_bytes() + b' ')  # behind the end of the image\n"
    with (one_run / "stages/datasets/folder.py").open("a", encoding="utf-8") as code:
        code.write(longer)
    assert repro(one_run) == ["fetch", "prepare"]


def test_settings_of_another_source_run_nothing(one_run):
    """While the images come from a folder, nothing is read of what the others have set."""
    set_params(one_run, dataset__synthetic__species=30, dataset__torchvision__name="Flowers102")
    set_params(one_run, dataset__cub_200_2011__checksum="none")
    assert repro(one_run) == []


def test_code_of_another_source_runs_nothing(study):
    """Fetch depends on the source that is chosen."""
    for name in ("cub_200_2011", "synthetic", "tiny_imagenet_200", "torchvision"):
        add_comment(study / f"stages/datasets/{name}.py")
    assert repro(study) == []


def test_a_new_image_runs_all(one_run):
    """A photograph added to the folder of one class is other data."""
    write_images(one_run / "mine/jay", {"new": 1})
    assert repro(one_run) == sorted(ALL_OF_ONE_RUN)


def test_a_new_network_runs_itself(two_runs):
    """As docs/networks.md adds one: a file and a few settings; its tuning and its runs join the others, which stay."""
    name, before = "efficientnet_lite0", metrics(two_runs)
    page = (ROOT / "docs/networks.md").read_text(encoding="utf-8")
    code, settings = (
        dedent(re.search(rf"^ +```{language}\n(.*?)^ +```", page, re.MULTILINE | re.DOTALL)[1])
        for language in ("python", "yaml")
    )
    (two_runs / f"stages/networks/{name}.py").write_text(code, encoding="utf-8")
    for key, values in yaml.safe_load(settings).items():
        set_params(two_runs, **{f"{key}__{below}": value for below, value in values.items()})
    run("python", "-m", "stages", folder=two_runs)
    assert run("git", "status", "--porcelain", folder=two_runs).split() == [
        "M", "params.yaml", "??", f"data/pretrained/{name}/", "??", f"stages/networks/{name}.py"]  # fmt: skip
    assert repro(two_runs) == sorted([f"tune@{name}", *runs([name], ["default"], ["original"]), "report"])
    after = metrics(two_runs)
    assert after.keys() == {*before, name}
    assert {network: after[network] for network in before} == before


def test_a_network_left_out_leaves_the_results(study):
    """Only the report runs; put back, the network has its results again without a training."""
    before = metrics(study)
    assert before.keys() == {"own_cnn", "resnet50"}
    assert sections_that_name("resnet50", study)
    set_params(study, study__networks=["own_cnn"])
    assert repro(study) == ["report"]
    assert metrics(study) == {"own_cnn": before["own_cnn"]}
    assert not sections_that_name("resnet50", study)
    set_params(study, study__networks=["own_cnn", "resnet50"])
    assert repro(study) == ["report"]
    assert metrics(study) == before


def metrics(folder: Path) -> dict[str, object]:
    """Return the qualities of all runs, by network."""
    return json.loads((folder / "metrics/metrics.json").read_text(encoding="utf-8"))


def sections_that_name(network: str, folder: Path) -> set[str]:
    """Return the headings of the report below which a network stands."""
    sections = (folder / "metrics/report.md").read_text(encoding="utf-8").split("\n## ")
    return {section.partition("\n")[0] for section in sections if network in section}
