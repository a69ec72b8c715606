"""What experiments make of their trainings: tables, and the sets that they train on."""

import json

import pytest
import torch

from experiments.__main__ import MINUTES
from experiments.ablation import PLAIN, unequal
from experiments.ablation import formatted as ablation_table
from experiments.augmentation_strength import AS_SET, NONE, differences, in_words
from experiments.fuzz import fuzzed, readers
from experiments.plain_loop import ONLINE, plain_loops
from experiments.plain_loop import formatted as comparison_table
from experiments.tuning_gain import Gain, recovered, with_interval
from helpers.projects import ROOT
from tests.training.test_loop import coloured


def test_experiments_are_listed():
    """Each program of the folder."""
    programs = {path.stem for path in (ROOT / "experiments").glob("*.py")}
    assert programs == {*MINUTES, "__init__", "__main__"}


def test_photographs_are_compared_with_the_plain_loop():
    """Means over seeds, with their deviation, which a single seed has not."""
    found = {(ONLINE, "own_cnn-tuned-augmented"): [0.4, 0.5, 0.6], (ONLINE, "resnet50"): [0.1]}
    text = " ".join(comparison_table(found, plain=0.25).split())
    assert "| own_cnn-tuned-augmented | online augmentation | 3 | 50.0 % | 10.0 | 2.00 |" in text
    assert "| resnet50 | online augmentation | 1 | 10.0 % | – | 0.40 |" in text


def test_other_variants_of_an_ablation_are_not_taken_for_the_plain_loop(tmp_path):
    """Somebody may have run an ablation in the same folder."""
    (tmp_path / "experiments/results").mkdir(parents=True)
    keys = (
        ["own_cnn", "original", 1, PLAIN, {}],
        ["own_cnn", "original", 2, "", {}],
        ["resnet50", "original", 3, PLAIN, {}],
    )
    trained = {json.dumps(key): {"accuracy": key[2]} for key in keys}
    (tmp_path / "experiments/results/ablation.json").write_text(json.dumps(trained), encoding="utf-8")
    assert plain_loops(tmp_path) == [1]


def test_an_ablation_tells_accuracy_and_macro_f1():
    """Means over seeds; the difference is to the configuration as it is set."""
    runs = {
        "": [{"accuracy": 0.5, "macro_f1": 0.25, "seconds": 10}, {"accuracy": 0.6, "macro_f1": 0.35, "seconds": 12}],
        "class_balance=sampling": [{"accuracy": 0.5, "macro_f1": 0.4, "seconds": 9}],
    }
    lines = [" ".join(line.split()) for line in ablation_table(runs).splitlines()[2:]]
    assert lines == [
        "| as set | 55.0 % | 7.1 | +0.0 | 30.0 % | 11 s |",
        "| class_balance=sampling | 50.0 % | 0.0 | -5.0 | 40.0 % | 9 s |",
    ]


def test_unequal_classes_are_the_first_images_of_every_second_one():
    """Ten of them, and a hundred of the others or what there is, in their order."""
    given = coloured(360, 0)
    kept = unequal(given)
    assert kept.labels.bincount().tolist() == [100, 10, 100]
    assert kept.paths == [name for name in given.paths if int(name) < (300, 30, 300)[int(name) % 3]]
    assert torch.equal(kept.pixels, given.pixels[[int(name) for name in kept.paths]])
    assert len(kept.originals()[0]) == 210


def test_what_tuning_wins_from_bad_defaults_stands_beside_what_they_lose():
    """From 20 % to 50 % where good defaults have 60 %."""
    assert recovered([Gain(0.2, 0.5, {})], [Gain(0.6, 0.7, {})]) == "+30.0, where 40.0 were lost"
    assert recovered([Gain(0.6, 0.7, {})], [Gain(0.5, 0.7, {})]) == "+10.0, where nothing was lost"


def test_a_gain_has_a_t_interval_over_studies():
    """Of 1, 2 and 3 points: their mean, and 4.303 standard errors of 0.577 to either side."""
    assert with_interval([0.01, 0.02, 0.03]) == "+2.0 (-0.5 to +4.5)"


def test_a_strength_of_augmentation_is_said_by_what_differs():
    """From the one that is set."""
    assert in_words(AS_SET) == "as set"
    assert in_words(AS_SET | {"hue": 20}) == "hue 20"
    assert in_words(NONE) == "unaltered"
    assert differences([0.5, 0.75], [0.25, 0.5]) == [0.25, 0.25]


@pytest.mark.parametrize("reader", readers())
def test_a_hundred_damaged_files_are_read_or_refused_in_words(reader):
    """Whatever reads what a stranger may have sent; `python -m experiments.fuzz` tries ten thousand of each."""
    outcome = fuzzed(reader, 100)
    assert (outcome.faults, outcome.taken + outcome.refused) == ({}, 100)
    assert outcome.refused > 20
