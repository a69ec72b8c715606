"""Sides of a comparison that take turns, each in a process of its own."""

import time

import pytest

from helpers.timing import Side, Turn, ratio, seconds, take_turns


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
