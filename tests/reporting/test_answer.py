"""What the report says of heads, of unequal classes, and what it offers to try next: all by what was done."""

import csv
import re
from pathlib import Path

import numpy as np
import pytest

from helpers.projects import set_params
from stages import report
from stages.images.shards import Row, ShardWriter
from stages.reporting.markdown import percent
from stages.runtime.files import read_json, write_json
from stages.runtime.runs import Run
from tests.records import GREY, NAMES, write_data, write_run
from tests.reporting.test_page import PAGE, Content
from tests.test_report import reported

HEAD = {"image_size": 224, "freeze": "backbone", "weights": "imagenet", "head_power": 0.5, "head_shrinkage": 0.5}
ONE_EPOCH = {"epochs": 1, "best_epoch": 1, "history": {"accuracy": [0.9], "loss": [0.4]}, "temperature": 1.0}
NETWORK = {"image_size": 64, "weights": "none", "epochs": 5}


@pytest.fixture
def study(project, monkeypatch):
    """A head, and a network that trained for five epochs of which the last was the best; the page lacks its scripts."""
    monkeypatch.setattr("vl_convert.javascript_bundle", lambda _: "")
    set_params(project, study__networks=["efficientnet_lite0", "own_cnn"])
    set_params(project, study__hyperparameters=["default"], study__data=["original"])
    write_data()
    write_head(34)
    write_network(24)
    return project


def write_head(right: int) -> None:
    """Write the record of the head."""
    write_run(Run("efficientnet_lite0", "default", "original", 1), right, settings=HEAD, **ONE_EPOCH)


def write_network(right: int, **changes: object) -> None:
    """Write the record of the network."""
    trained = {"settings": NETWORK, "epochs": 5, "best_epoch": 5}
    write_run(Run("own_cnn", "default", "original", 1), right, **(trained | changes))


def write_training_images(*counts: int) -> None:
    """Write so many training images of each class."""
    with ShardWriter(Path("data/original"), NAMES) as writer:
        for label, images in enumerate(counts):
            for image in range(images):
                writer.add(Row(GREY, f"{label}/{image}.jpg", label))


def test_a_head_has_no_epochs(study):
    """Neither in the table of results, nor among the curves of the page and of DVC, nor in the model card."""
    text = reported()
    assert re.search(r"\| efficientnet_lite0-default-original \| \*\*85.0 %\*\* \| [^%]* \| – \| 1 min 00 s \|", text)
    assert "its time includes computing the features" in text
    with Path("data/report/plots/curves.csv").open(encoding="utf-8", newline="") as rows:
        assert {each["run"] for each in csv.DictReader(rows)} == {"own_cnn-default-original-1"}
    card = " ".join(Path("metrics/model-card.md").read_text(encoding="utf-8").split())
    assert "2,400 training and validation images of source `synthetic`" in card
    assert "A head, 1 min 00 s on CPU" in card
    assert "epoch" not in card
    set_params(study, study__networks=["efficientnet_lite0"])
    report.main()
    assert "Learning curves" not in Content(PAGE.read_text(encoding="utf-8")).text()


def test_seeds_of_a_head_are_explained(study):
    """Its deviation of 0.0 is no proof of anything; a network that trains needs no such word."""
    set_params(study, study__seeds=[1, 2])
    for seed in (1, 2):
        write_run(Run("efficientnet_lite0", "default", "original", seed), 34, settings=HEAD, **ONE_EPOCH)
        write_run(Run("own_cnn", "default", "original", seed), 24, settings=NETWORK, epochs=5, best_epoch=5)
    assert "Seeds of a frozen network's head classify alike" in reported()
    set_params(study, study__networks=["own_cnn"])
    assert "classify alike" not in reported()


def test_networks_that_test_images_cannot_tell_apart_are_named(study):
    """Not the third, which is surely worse."""
    assert "cannot tell" not in reported().partition("## Results")[0]
    set_params(study, study__networks=["own_cnn", "resnet50", "efficientnet_lite0"])
    write_network(33)
    write_run(Run("resnet50", "default", "original", 1), 4)
    assert "These test images cannot tell which is better: the EfficientNet-Lite0 or the own CNN." in reported()


def test_a_head_runs_no_race_of_epochs(study):
    """One fitted to ResNet50's features says nothing of how many epochs ResNet50 needs."""
    set_params(study, study__networks=["resnet50", "own_cnn"])
    write_run(Run("resnet50", "default", "original", 1), 34, settings=HEAD, **ONE_EPOCH)
    assert "| ResNet50 needs fewer epochs | not tested | it takes both networks, trained in epochs |" in reported()


def test_heads_learn_from_two_splits(study):
    """Which is said where images are counted, and where no head takes part nowhere."""
    text = reported()
    assert "Heads of frozen networks learn from training and validation images together, 2,400 in all" in text
    assert "Heads learn from training and validation images together; their images/s" in text.partition("## Cost")[2]
    assert "The temperature of a head is 1" in text
    set_params(study, study__networks=["own_cnn"])
    assert "head" not in reported().lower()


def test_who_was_still_improving_is_said_beside_the_gain(study):
    """With the epochs to try; not of a head, nor of a network whose best epoch was an earlier one."""
    text = reported()
    assert "- Still improving at the last epoch, so that more epochs may narrow the gap: own CNN." in text
    assert "- To try next: `networks.own_cnn.epochs: 10`, since its best epoch was the last of 5." in text
    write_network(24, best_epoch=4)
    text = reported()
    assert "Still improving" not in text
    assert ".epochs" not in text.partition("## Results")[0]


@pytest.mark.parametrize(
    ("counts", "networks", "balance", "offered"),
    [
        ((4, 9), ["efficientnet_lite0", "own_cnn"], "none", True),
        ((7, 9), ["efficientnet_lite0", "own_cnn"], "none", False),  # nearly equal
        ((4, 9), ["efficientnet_lite0"], "none", False),  # a head has no batches
        ((4, 9), ["efficientnet_lite0", "own_cnn"], "sampling", False),
    ],
)
def test_balanced_batches_are_offered_where_they_can_help(counts, networks, balance, offered, study):
    """To networks that train in batches, where classes have unequal training images, whatever the test images are."""
    set_params(study, study__networks=networks)
    write_training_images(*counts)
    write_network(24, settings=NETWORK | {"class_balance": balance})
    said = "To try next: `training.class_balance: sampling`, since classes have from 4 to 9 training images."
    assert (said in reported()) == ("class_balance" in reported().partition("## Results")[0]) == offered


def test_where_nearly_all_is_correct_the_mistakes_are_worth_a_look(study):
    """And more test images, where no better run could be told; where all is correct, nothing is."""
    write_head(38)
    text = reported()
    assert "- To try next: a look at the best run's 2 mistakes on the page: some may be wrong labels." in text
    assert "- To try next: more test images: 2 mistakes cannot tell a better run from chance." in text
    write_head(39)
    assert "a look at the best run's 1 mistake on the page" in reported()
    write_head(40)
    assert "mistakes" not in reported().partition("## Results")[0]


def test_the_title_names_what_was_compared(study):
    """Of one network that alone, with the number of classes."""
    report.main()
    title = re.compile("<title>(.*)</title>")
    page = PAGE.read_text(encoding="utf-8")
    assert title.search(page)[1] == "EfficientNet-Lite0 or own CNN? 2 classes of images"
    set_params(study, study__networks=["own_cnn"])
    report.main()
    assert title.search(PAGE.read_text(encoding="utf-8"))[1] == "Own CNN: 2 classes of images"


@pytest.mark.parametrize("scaled", [True, False])
def test_a_bin_of_few_images_is_no_point_of_the_calibration_curve(study, scaled):
    """One image is right or wrong: 0 % or 100 %. What scaling does not change is drawn once."""
    row = {"stated": 0.6, "correct": 0.5, "images": 40, "low": 0.35, "high": 0.65}
    few = row | {"images": 9}
    write_head(34)
    file = Path("metrics/runs/efficientnet_lite0-default-original-1.json")
    before = [row | {"stated": 0.7}, few] if scaled else [row, few]
    write_json(str(file), read_json(file) | {"reliability": {"before": before, "after": [row, few]}})
    report.main()
    with Path("data/report/plots/reliability.csv").open(encoding="utf-8", newline="") as rows:
        found = [(each["when"], each["images"]) for each in csv.DictReader(rows)]
    assert found == ([("before", "40")] if scaled else []) + [("after", "40")]


def test_headline_and_table_have_one_measure(study):
    """Where classes are unequal the balanced accuracy is bold and has the interval, on the page as well."""
    labels = " ".join(["0"] * 30 + ["1"] * 10)
    for network, wrong in (("efficientnet_lite0", 3), ("own_cnn", 12)):
        file = Path(f"metrics/runs/{network}-default-original-1.json")
        predicted = np.where(np.arange(40) < wrong, 1, np.arange(40) >= 30)
        balanced = (1 - wrong / 30 + 1) / 2
        changed = {"ranked_by": "balanced_accuracy", "labels": labels, "predicted": " ".join(map(str, predicted))}
        changed |= {"accuracy": 1 - wrong / 40, "balanced_accuracy": balanced}
        write_json(str(file), read_json(file) | changed)
    text = reported()
    assert f"| **{percent(0.95)}** |" in text
    assert "| 92.5 % |" in text
    page = Content(PAGE.read_text(encoding="utf-8")).text()
    assert "run balanced accuracy 95 % interval accuracy" in page
