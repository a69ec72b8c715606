"""What all benchmarks measure with: sides of a comparison that take turns."""

import json
import time

import pytest
import torch

from benchmarks import machine
from benchmarks.ablation import PLAIN, unequal
from benchmarks.ablation import formatted as ablated
from benchmarks.measuring import Side, Turn, ratio, seconds, take_turns
from benchmarks.photographs import ON_THE_FLY, plain_loops
from benchmarks.photographs import formatted as shown
from tests.conftest import network_settings
from tests.training.test_loop import coloured


def counts(path, name, pause):
    """Write down each round."""
    while True:
        pause()
        with path.open("a", encoding="utf-8") as file:
            file.write(name)


def prepares(length, pause):
    """Take so many seconds before the first round, and hardly any for it."""
    time.sleep(length)
    while True:
        pause()


def prints(pause):
    """Say something in each round."""
    while True:
        pause()
        print("epoch 1/1000")


def fails(pause):
    """Come to nothing after one round."""
    pause()
    raise ValueError("out of images")


def test_sides_take_turns_after_a_round_each_that_does_not_count(tmp_path):
    """So that what slows the machine for a while slows all of them."""
    log = tmp_path / "log"
    with Side(counts, log, "a") as first, Side(counts, log, "b") as second:
        turns = take_turns({"first": first, "second": second}, rounds=2)
    assert log.read_text(encoding="utf-8") == "ab" * 3
    assert [len(each) for each in turns.values()] == [2, 2]


def test_a_round_is_timed_without_what_comes_before_it():
    """The preparation does not count; memory is that of the side's process."""
    with Side(prepares, 3) as side:
        turn = side.turn()
    assert 0 <= turn.seconds < 3
    assert turn.peak_bytes > 1_000_000


def test_what_sides_print_is_not_mixed_with_the_results(capfd):
    """Each epoch of a training would be a line, thousands of them."""
    with Side(prints) as side:
        side.turn()
    assert capfd.readouterr().out == ""


def test_a_side_that_fails_ends_the_comparison():
    """Numbers of one side alone compare nothing."""
    with Side(fails) as side, pytest.raises(SystemExit, match="a side of the comparison failed"):
        side.turn()


def test_a_ratio_is_the_median_over_rounds():
    """2, 3 and, in a round that something else disturbed, 30 times as long."""
    ours, theirs = ([Turn(value, 0) for value in values] for values in ([1.0, 2.0, 1.0], [2.0, 6.0, 30.0]))
    assert ratio(seconds(ours), seconds(theirs)) == 3.0


def test_peak_and_bound_are_in_the_precision_that_is_fastest_here(monkeypatch):
    """In emulated bfloat16 a matrix product takes minutes; in float32 twice as many bytes are moved."""
    monkeypatch.setattr("stages.hardware.device.precision", lambda: torch.float32)
    measured = []
    monkeypatch.setattr(machine, "fastest", lambda work: measured.append(work().dtype) or 1.0)
    assert machine.matrix_peak(1) == 2 * 2048**3
    assert measured == [torch.float32] * 2
    settings = network_settings("own_cnn")
    exact = machine.bound("own_cnn", settings, 64, peak=float("inf"), copied=1e9)
    monkeypatch.setattr("stages.hardware.device.precision", lambda: torch.bfloat16)
    assert machine.bound("own_cnn", settings, 64, peak=float("inf"), copied=1e9) == 2 * exact


def test_photographs_are_compared_with_the_plain_loop():
    """Means over seeds, with their deviation, which a single seed has not."""
    found = {(ON_THE_FLY, "own_cnn-tuned-augmented"): [0.4, 0.5, 0.6], (ON_THE_FLY, "resnet50"): [0.1]}
    text = " ".join(shown(found, plain=0.25).split())
    assert "| own_cnn-tuned-augmented | varied on the fly | 3 | 50.0 % | 10.0 | 2.00 |" in text
    assert "| resnet50 | varied on the fly | 1 | 10.0 % | – | 0.40 |" in text


def test_other_variants_of_an_ablation_are_not_taken_for_the_plain_loop(tmp_path):
    """Somebody may have run an ablation in the same folder."""
    (tmp_path / "benchmarks").mkdir()
    keys = (
        ["own_cnn", "original", 1, PLAIN, {}],
        ["own_cnn", "original", 2, "", {}],
        ["resnet50", "original", 3, PLAIN, {}],
    )
    trained = {json.dumps(key): {"accuracy": key[2]} for key in keys}
    (tmp_path / "benchmarks/ablation.json").write_text(json.dumps(trained), encoding="utf-8")
    assert plain_loops(tmp_path) == [1]


def test_an_ablation_tells_accuracy_and_macro_f1():
    """Means over seeds; the difference is to the recipe as it is set."""
    runs = {
        "": [{"accuracy": 0.5, "macro_f1": 0.25, "seconds": 10}, {"accuracy": 0.6, "macro_f1": 0.35, "seconds": 12}],
        "class_balance=loss": [{"accuracy": 0.5, "macro_f1": 0.4, "seconds": 9}],
    }
    lines = [" ".join(line.split()) for line in ablated(runs).splitlines()[2:]]
    assert lines == [
        "| as set | 55.0 % | 7.1 | +0.0 | 30.0 % | 11 s |",
        "| class_balance=loss | 50.0 % | 0.0 | -5.0 | 40.0 % | 9 s |",
    ]


def test_unequal_classes_are_the_first_images_of_every_second_one():
    """Ten of them, and a hundred of the others or what there is, in their order."""
    given = coloured(360, 0)
    kept = unequal(given)
    assert kept.labels.bincount().tolist() == [100, 10, 100]
    assert kept.paths == [name for name in given.paths if int(name) < (300, 30, 300)[int(name) % 3]]
    assert torch.equal(kept.pixels, given.pixels[[int(name) for name in kept.paths]])
    assert len(kept.originals()[0]) == 210
