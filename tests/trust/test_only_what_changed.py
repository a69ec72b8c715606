"""Only what changed runs: for each kind of edit exactly the expected stages, on a small study with all eight runs."""

import json
import subprocess
import sys
from collections.abc import Iterable
from itertools import product
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import yaml
from PIL import Image, ImageOps

from helpers.projects import ENVIRONMENT, run, set_params, write_weights
from tests.conftest import write_images
from tests.study import commit, new_study, repro, restore

NETWORKS = ("own_cnn", "resnet50")
HYPERPARAMETERS, DATA = ("default", "tuned"), ("original", "augmented")
SETS = ("original", "augmented", "validation", "test")

# What is computed of images, where own_cnn-default-original alone takes part in the study
OF_IMAGES = ["augment", *(f"embed@own_cnn-{images}" for images in SETS), "tune@own_cnn"]
OF_IMAGES += ["train@own_cnn-default-original-1", "evaluate@own_cnn-default-original-1", "explain", "insight", "report"]
SUMMARY = ["explain", "insight", "report"]
FROZEN = {"weights": "data/pretrained/own_cnn/random.safetensors", "freeze": "backbone"}

LINEAR = '''
"""A linear classifier on pixels."""

from collections import OrderedDict

from stages.networks.common.contract import NetworkDefinition
from stages.networks.common.settings import TrainingSettings


class Linear(NetworkDefinition[TrainingSettings]):
    schema = TrainingSettings
    head = "classes."

    def build(self, settings, classes, image_size):
        from torch import nn

        return nn.Sequential(OrderedDict(flat=nn.Flatten(), classes=nn.Linear(3 * image_size**2, classes)))


network = Linear()
'''


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> Path:
    """Hold a finished study on branch main, and variants of it on branches.

    `originals` has the runs on original images, `one` a single run; on `frozen`, own_cnn's backbone is frozen.
    """
    folder = new_study(tmp_path_factory.mktemp("study") / "study", networks__own_cnn={"epochs": 2})
    write_weights(folder)
    commit(folder)
    assert len(repro(folder)) == 35
    commit(folder)
    finish_branch(folder, "originals", study__data=["original"])
    finish_branch(folder, "one", study__networks=["own_cnn"], study__hyperparameters=["default"])
    return folder


@pytest.fixture(scope="module")
def frozen_at_first(finished) -> list[str]:
    """Freeze own_cnn's backbone on branch `frozen`; return what ran."""
    restore(finished, "main")
    return finish_branch(finished, "frozen", networks__own_cnn=FROZEN)


def finish_branch(folder: Path, branch: str, **values: object) -> list[str]:
    """Commit a finished study with other settings on a branch of its own; return what ran."""
    run("git", "checkout", "-qb", branch, folder=folder)
    set_params(folder, **values)
    run(
        "dvc", "checkout", "-q", "-f", folder=folder
    )  # removes runs that take no part: explain depends on whole folders
    ran = repro(folder)
    commit(folder)
    return ran


@pytest.fixture
def study(finished) -> Path:
    """Give the finished study with its eight runs, as it was before any edit."""
    return restore(finished, "main")


@pytest.fixture
def originals(finished) -> Path:
    """Give the study with the runs on original images: each network with default and tuned hyperparameters."""
    return restore(finished, "originals")


@pytest.fixture
def one_run(finished) -> Path:
    """Give the study with a single run, for what holds whatever the number of runs."""
    return restore(finished, "one")


@pytest.fixture
def frozen(finished, frozen_at_first) -> Path:
    """Give the study with its eight runs, of which own_cnn's start from given weights that stay as they are."""
    return restore(finished, "frozen")


def runs(networks: Iterable[str], hyperparameters: Iterable[str] = HYPERPARAMETERS, data: Iterable[str] = DATA):
    """Name train and evaluate of each combination."""
    names = ["-".join(values) for values in product(networks, hyperparameters, data, ["1"])]
    return [f"{stage}@{name}" for stage in ("train", "evaluate") for name in names]


def default_runs(networks: Iterable[str], data: Iterable[str] = DATA) -> list[str]:
    """Name the same where a search has kept the defaults: a tuned run still refers to the default one, as before."""
    return [name for name in runs(networks, data=data) if not name.startswith("evaluate") or "-default-" in name]


def embeds(networks: Iterable[str], images: Iterable[str] = SETS) -> list[str]:
    """Name the computation of features of each network and set of images."""
    return [f"embed@{network}-{each}" for network, each in product(networks, images)]


def replace_in(path: Path, before: str, after: str) -> None:
    """Change a text that stands once in a file."""
    text = path.read_text(encoding="utf-8")
    assert text.count(before) == 1, f"{path} has no single {before}"
    path.write_text(text.replace(before, after), encoding="utf-8")


def add_comment(path: Path) -> None:
    """Change a file of code, not what it does."""
    path.write_text(path.read_text(encoding="utf-8") + "# a remark\n", encoding="utf-8")


def touch_all(study: Path) -> None:
    """Give new dates to all files, those of code, images and results."""
    for path in study.rglob("*"):
        if path.is_file() and not {".git", ".dvc"} & set(path.relative_to(study).parts):
            path.touch()


def reorder_settings(study: Path) -> None:
    """Write params.yaml with a comment, and the keys of every section in reverse order; lists stay as they are."""

    def reordered(value):
        return {key: reordered(value[key]) for key in reversed(value)} if isinstance(value, dict) else value

    settings = yaml.safe_load((study / "params.yaml").read_text(encoding="utf-8"))
    text = yaml.safe_dump(reordered(settings), sort_keys=False, default_flow_style=None)
    (study / "params.yaml").write_text(f"# of no effect\n{text}", encoding="utf-8")


def edit_other_sources(study: Path) -> None:
    """Change settings and code of the sources that are not used; fetch depends on the one that is chosen."""
    set_params(study, dataset__synthetic__species=30, dataset__torchvision__name="Flowers102")
    set_params(study, dataset__cub_200_2011__checksum="none")
    for name in ("cub_200_2011", "synthetic", "tiny_imagenet_200", "torchvision"):
        add_comment(study / f"stages/datasets/{name}.py")


def test_what_no_stage_reads_runs_nothing(study):
    """Dates, comments, the order of settings, and sources of images that are not used."""
    edit_other_sources(study)
    reorder_settings(study)
    touch_all(study)
    assert repro(study) == []


def test_a_setting_of_augmentation_runs_what_uses_altered_copies(study):
    """The four augmented runs; the other four keep their results, tuning as well."""
    set_params(study, augment__hue=20)
    expected = ["augment", *embeds(NETWORKS, ["augmented"]), *default_runs(NETWORKS, ["augmented"]), *SUMMARY]
    assert repro(study) == sorted(expected)


def test_a_setting_of_all_networks_runs_those_that_have_no_other(originals):
    """Tuning and trainings of all networks; nothing of a network that has a value of its own."""
    set_params(originals, training__label_smoothing=0.2)
    tuning = [f"tune@{network}" for network in NETWORKS]
    assert repro(originals) == sorted(["configure", *tuning, *default_runs(NETWORKS, ["original"]), *SUMMARY])
    set_params(originals, training__epochs=3)  # own_cnn has its own
    assert repro(originals) == sorted(
        ["configure", "tune@resnet50", *default_runs(["resnet50"], ["original"]), *SUMMARY]
    )


def test_a_setting_of_a_network_runs_that_network(originals):
    """Its tuning and its runs, nothing of the other network; by a setting of its own, and one it has otherwise."""
    set_params(originals, networks__own_cnn={"epochs": 2, "dropout": 0.2, "label_smoothing": 0.2})
    assert repro(originals) == sorted(["configure", "tune@own_cnn", *default_runs(["own_cnn"], ["original"]), *SUMMARY])


def test_code_of_a_network_runs_that_network(originals):
    """As its settings do: all of it runs again, nothing of the other network."""
    add_comment(originals / "stages/networks/own_cnn.py")
    expected = ["configure", "weights@own_cnn", "tune@own_cnn", *runs(["own_cnn"], data=["original"]), *SUMMARY]
    assert repro(originals) == sorted(expected)


def test_a_setting_of_tuning_runs_trainings_only_for_values_it_changes(originals):
    """A search that ends with the same values costs no training; one that ends with others, the tuned run."""
    chosen = originals / "data/hyperparameters/own_cnn/tuned.json"
    before = chosen.read_bytes()
    set_params(originals, networks__own_cnn__search={"startup_trials": 2})
    assert repro(originals) == ["configure", "report", "tune@own_cnn"]  # the report tells how long it took
    assert chosen.read_bytes() == before  # a single trial is always that of the default values
    best = "int(np.argmax(np.concatenate([[0.0], expected])))"
    replace_in(originals / "stages/tuning/selection.py", best, "min(1, len(expected))")  # the second, if there is one
    set_params(originals, networks__own_cnn__search={"trials": 2})
    ran = repro(originals)
    assert chosen.read_bytes() != before
    tuning = ["tune@own_cnn", "tune@resnet50"]
    assert ran == sorted(["configure", *tuning, *runs(["own_cnn"], ["tuned"], ["original"]), *SUMMARY])


def test_code_of_evaluate_trains_nothing(originals):
    """Another score of the same weights runs evaluate for all runs, and what follows."""
    replace_in(originals / "stages/evaluation/run.py", "        **calibration(", "        'loss': 0.0, **calibration(")
    evaluated = [name for name in runs(NETWORKS, data=["original"]) if name.startswith("evaluate")]
    assert repro(originals) == sorted([*evaluated, *SUMMARY])


def test_code_of_a_stage_that_ends_in_the_same_leaves_those_behind(one_run):
    """A stage runs because its input changed, not because the one before it ran."""
    add_comment(one_run / "stages/evaluate.py")
    add_comment(one_run / "stages/configure.py")
    assert repro(one_run) == ["configure", "evaluate@own_cnn-default-original-1"]


def test_code_of_the_report_runs_the_report(study):
    """And nothing else."""
    add_comment(study / "stages/report.py")
    assert repro(study) == ["report"]


def test_a_setting_of_prepare_runs_what_it_changes(one_run):
    """Where no image is bad, what to do with one changes no shard; other images run all behind prepare."""
    set_params(one_run, prepare__on_bad_image="skip")
    assert repro(one_run) == ["prepare"]
    set_params(one_run, prepare__jpeg_quality=90)
    assert repro(one_run) == sorted(["prepare", *OF_IMAGES])


def test_a_setting_of_the_data_set_runs_what_it_changes(one_run):
    """A limit that is not reached, fetch alone; another choice of classes is other data."""
    set_params(one_run, dataset__limits__files=1_000_000)
    assert repro(one_run) == ["fetch"]
    set_params(one_run, dataset__classes=["crow", "rook"])
    assert repro(one_run) == sorted(["fetch", "prepare", *OF_IMAGES])


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


def test_a_new_image_runs_all(one_run):
    """A photograph added to the folder of one class is other data."""
    write_images(one_run / "mine/jay", {"new": 1})
    assert repro(one_run) == sorted(["fetch", "prepare", *OF_IMAGES])


def test_a_network_left_out_leaves_the_results(originals):
    """Only what sums up runs; put back, the network may be scored again, but nothing of it is trained."""
    before = metrics(originals)
    assert before.keys() == {"own_cnn", "resnet50"}
    assert sections_that_name("resnet50", originals)
    set_params(originals, study__networks=["own_cnn"])
    assert repro(originals) == ["configure", *SUMMARY]
    assert metrics(originals) == {"own_cnn": before["own_cnn"]}
    assert not sections_that_name("resnet50", originals)
    run(sys.executable, "-m", "stages.commands.check", folder=originals)  # as `make` does
    assert "train@resnet50" in (originals / "dvc.lock").read_text(encoding="utf-8")  # for the cache has its weights
    set_params(originals, study__networks=["own_cnn", "resnet50"])
    scored = {f"evaluate@resnet50-{each}-original-1" for each in HYPERPARAMETERS}
    assert set(repro(originals)) - scored == {"configure", *SUMMARY}
    assert metrics(originals) == before


def test_a_new_network_in_a_clean_clone_runs_itself(originals, tmp_path):
    """A file and its name in params.yaml, then `dvc repro` and nothing before it; all else comes from the cache."""
    clone = tmp_path / "clone"
    run("git", "clone", "-q", "-b", "originals", str(originals), str(clone), folder=tmp_path)
    run("dvc", "cache", "dir", "--local", str(originals / ".dvc/cache"), folder=clone)
    run("dvc", "checkout", "-q", folder=clone)
    (clone / "stages/networks/linear.py").write_text(LINEAR, encoding="utf-8")
    set_params(clone, study__networks=[*NETWORKS, "linear"])
    own = ["weights@linear", *embeds(["linear"]), "tune@linear", *runs(["linear"], data=["original"])]
    assert repro(clone) == sorted(["configure", *own, *SUMMARY])
    before, after = metrics(originals), metrics(clone)
    assert after.keys() == {*before, "linear"}
    assert {network: after[network] for network in before} == before


def test_a_seed_that_a_shell_would_run_is_refused(one_run):
    """No word of params.yaml reaches a shell."""
    set_params(one_run, study__seeds=["1; touch x; true"])
    done = subprocess.run(["dvc", "repro"], cwd=one_run, env=ENVIRONMENT, capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert "study.seeds.0 = '1; touch x; true' is not allowed" in done.stderr
    stage = ["dvc", "repro", "-s", "train@own_cnn-default-original-1; touch x; true"]
    done = subprocess.run(stage, cwd=one_run, env=ENVIRONMENT, capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert "seed '1; touch x; true' is not allowed" in done.stderr
    assert list(one_run.rglob("x")) == []


def test_freezing_a_backbone_computes_features_and_runs_that_network(frozen_at_first):
    """Its features are computed once for each set of images; nothing of the other network runs."""
    own = ["weights@own_cnn", *embeds(["own_cnn"]), "tune@own_cnn", *runs(["own_cnn"])]
    assert frozen_at_first == sorted(["configure", *own, *SUMMARY])


@pytest.mark.parametrize(("changed", "scored"), [({"head_shrinkage": 0.3}, True), ({"weight_decay": 0.1}, False)])
def test_a_setting_of_a_head_computes_no_feature(frozen, changed, scored):
    """Tuning and the runs of that network are heads, fitted to the features that are there.

    Tuned runs are among them where the search then ends with other settings. What a head does not use leaves one that
    the search has fitted the same bytes, so that its scores stand.
    """
    set_params(frozen, networks__own_cnn=FROZEN | changed)
    default = [stage for stage in runs(["own_cnn"], ["default"]) if scored or stage.startswith("train")]
    every = runs(["own_cnn"])
    ran = repro(frozen)
    assert {*ran} >= {"configure", "tune@own_cnn", *default, *SUMMARY}
    assert {*ran} <= {"configure", "tune@own_cnn", *every, *SUMMARY}


def test_what_a_backbone_is_runs_its_features(frozen):
    """Another size of images, other weights, another architecture; a remark in its file changes none of its weights."""
    again = [*embeds(["own_cnn"]), "tune@own_cnn", *runs(["own_cnn"]), *SUMMARY]
    set_params(frozen, networks__own_cnn=FROZEN | {"input_size": 96})
    assert repro(frozen) == sorted(["configure", "weights@own_cnn", *again])
    write_weights(frozen, seed=2)
    assert repro(frozen) == sorted(["weights@own_cnn", "weights@resnet50", *again])  # whichever file is theirs
    file = frozen / "stages/networks/own_cnn.py"
    replace_in(file, "SLOPE = 0.1", "SLOPE = 0.2")
    assert repro(frozen) == sorted(["configure", "weights@own_cnn", *again])
    add_comment(file)
    assert repro(frozen) == sorted(["configure", "weights@own_cnn", "tune@own_cnn", *runs(["own_cnn"]), *SUMMARY])


def test_a_changed_test_image_runs_the_features_of_the_test_images(frozen):
    """No training, and no feature of another set."""
    shard = pq.read_table(frozen / "data/test/00000.parquet")
    file = frozen / "mine" / shard["image"][0]["path"].as_py()
    assert file.is_file()
    ImageOps.invert(Image.open(file)).save(file)
    evaluated = [name for name in runs(NETWORKS) if name.startswith("evaluate")]
    assert repro(frozen) == sorted(["fetch", "prepare", *embeds(NETWORKS, ["test"]), *evaluated, *SUMMARY])


def metrics(folder: Path) -> dict[str, object]:
    """Return the qualities of all runs, by network."""
    return json.loads((folder / "metrics/metrics.json").read_text(encoding="utf-8"))


def sections_that_name(network: str, folder: Path) -> set[str]:
    """Return the headings of the report below which a network stands."""
    sections = (folder / "metrics/report.md").read_text(encoding="utf-8").split("\n## ")
    return {section.partition("\n")[0] for section in sections if network in section}
