"""Records of runs, which may be a stranger's branch's: whole ones are read, others refused in one line."""

import json
from pathlib import Path

import pytest

from stages.commands.classify import best_run
from stages.reporting.analysis import analyse
from stages.reporting.comparisons import outcomes_of
from stages.reporting.costs import costs_of_study
from stages.reporting.data_summary import read_composition
from stages.reporting.records import best_of, records_of_study
from stages.runtime.errors import UserError
from stages.runtime.runs import Run
from stages.runtime.study import Study
from tests.records import write_data, write_run

STUDY = Study(networks=["own_cnn", "resnet50"], hyperparameters=["default"], data=["original"], seeds=[1])
FIRST = Path("metrics/runs/own_cnn-default-original-1.json")


@pytest.fixture(autouse=True)
def _two_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for network in STUDY.networks:
        write_run(Run(network, "default", "original", 1), 30)


def test_records_are_read_as_they_are_also_by_reference():
    """Of a run that is the same as another, that one's."""
    record = json.loads(FIRST.read_bytes())
    FIRST.with_stem("resnet50-default-original-1").write_text(json.dumps({"same_as": FIRST.stem}), encoding="utf-8")
    assert list(records_of_study(STUDY).values()) == [[record], [record]]


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"labels": "0 1"}, "different numbers of images"),
        ({"labels": "9" * 5000}, "labels: String should match"),
        ({"predicted": "7 " * 39 + "7"}, "a label is of no class"),
        ({"groups": "999999999 " * 39 + "0"}, "a group of no image"),
        ({"class_accuracy": {"crow": 2.0}}, "class_accuracy.crow: Input should be less than"),
        ({"class_accuracy": []}, "class_accuracy: Input should be a valid dictionary"),
        ({"accuracy": float("nan")}, "accuracy: Input should be a finite number"),
        ({"ranked_by": "settings"}, "ranked_by: Input should be"),
        ({"settings": None}, "settings: Input should be a valid dictionary"),
        ({"same_as": FIRST.stem}, "is no run that has a record"),
        ({"same_as": "../../../etc/passwd"}, "is no run that has a record"),
        ({"same_as": {}}, "is no run that has a record"),
    ],
)  # fmt: skip
def test_a_record_that_cannot_be_is_refused_in_one_line(changes, reason):
    """Whoever reads it: the report, a comparison, or classify in search of the best run."""
    FIRST.write_text(json.dumps(json.loads(FIRST.read_bytes()) | changes), encoding="utf-8")
    for read in (lambda: records_of_study(STUDY), best_run):
        with pytest.raises(UserError, match=reason) as raised:
            read()
        assert f"{FIRST}" in str(raised.value)
        assert len(str(raised.value)) < 300


@pytest.mark.parametrize("content", ["", "[1]", "{", "[" * 100_000, "3"])
def test_what_is_no_record_at_all_is_refused_in_one_line(content):
    """Another program's, or a part of one."""
    FIRST.write_text(content, encoding="utf-8")
    with pytest.raises(UserError, match=r"own_cnn-default-original-1.json is damaged.* makes it anew"):
        records_of_study(STUDY)


@pytest.mark.parametrize(
    ("file", "read", "damaged"),
    [
        ("metrics/costs/own_cnn-default-original-1.json", lambda: costs_of_study(STUDY), {"seconds": "NaN"}),
        ("metrics/costs/own_cnn-default-original-1.json", lambda: costs_of_study(STUDY), {"epochs": [1]}),
        ("data/composition.json", read_composition, {"splits": {"original": {"origin": "x", "images": 1}}}),
        ("data/composition.json", read_composition, {"left_out_classes": {"crow": -1}}),
    ],
)
def test_so_are_costs_and_what_splits_are_of(file, read, damaged):
    """Which come from a remote as records do."""
    write_data()
    Path(file).write_text(json.dumps(json.loads(Path(file).read_bytes()) | damaged), encoding="utf-8")
    with pytest.raises(UserError, match=f"^{file}: .*makes it anew$"):
        read()


def test_of_equally_accurate_configurations_the_simplest_is_best_for_all_who_ask():
    """Default before tuned, original before augmented, whatever order the study names them in; classify agrees."""
    study = Study(networks=["own_cnn"], hyperparameters=["tuned", "default"], data=["augmented", "original"], seeds=[1])
    for configuration in study.configurations():
        write_run(Run(*configuration, 1), 30, accuracy=0.75)
    records = records_of_study(study)
    assert str(best_of(records)) == "own_cnn-default-original"
    assert str(analyse(records, {}, {}, outcomes_of(records))[0].best) == "own_cnn-default-original"
    assert best_run() == "own_cnn-default-original-1"


def test_records_of_different_test_images_are_no_study():
    """Nothing can be said of one beside the other."""
    write_run(Run("resnet50", "default", "original", 1), 30, groups=" ".join(["0"] * 40))
    with pytest.raises(UserError, match="of different test images"):
        records_of_study(STUDY)
