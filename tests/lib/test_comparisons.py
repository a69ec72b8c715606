"""Comparisons: like with like, seed with seed, picture with picture."""

from collections import Counter
from itertools import product

import numpy as np
import pytest

from stages.lib.comparisons import comparisons, effects, rightness
from stages.lib.evidence import interval
from stages.lib.runs import Kind

EIGHT = [Kind(*values) for values in product(["resnet50", "own_cnn"], ["tuned", "default"], ["augmented", "original"])]


def records(*seeds: str) -> list[dict[str, str]]:
    """A record for each seed, from a 1 for each picture that was named rightly."""
    return [{"right": seed} for seed in seeds]


def test_only_kinds_that_differ_in_one_axis_are_compared():
    """Four pairs an axis, always from what the study starts from, in whatever order params.yaml has them."""
    found = comparisons({kind: records("01") for kind in EIGHT})
    assert Counter(pair.axis for pair in found) == {"network": 4, "hyperparameters": 4, "data": 4}
    assert len({(pair.before, pair.after) for pair in found}) == 12
    for pair in found:
        differing = {name for name in Kind._fields if getattr(pair.before, name) != getattr(pair.after, name)}
        assert differing == {pair.axis}
        assert getattr(pair.before, pair.axis) in {"own_cnn", "default", "original"}
        assert getattr(pair.after, pair.axis) in {"resnet50", "tuned", "augmented"}


def test_a_difference_is_the_mean_over_seeds_and_pictures():
    """Ten pictures: the first seed gains six, the second none: 6 of 20, and the sign speaks for the second kind."""
    before = records("1000000000", "1111100000")
    after = records("0111111100", "1111100000")
    old, new = Kind("own_cnn", "default", "original"), Kind("own_cnn", "default", "augmented")
    (pair,) = comparisons({new: after, old: before})
    assert (pair.axis, pair.before, pair.after) == ("data", old, new)
    assert pair.difference.mean == pytest.approx(0.3)
    assert pair.difference == interval(np.array([-0.5, *[0.5] * 7, 0, 0]))
    (opposite,) = comparisons({new: before, old: after})
    assert opposite.difference.mean == pytest.approx(-0.3)


def test_each_seed_has_a_p_value_of_its_own():
    """The first loses one picture and gains seven, 2 * (1 + 8) / 2**8; the second is the same; the third gains three.

    One p-value over all seeds' answers would take a picture that was asked three times for three pictures.
    """
    before = records("10000000", "11110000", "00000000")
    after = records("01111111", "11110000", "00000111")
    found = comparisons({Kind("own_cnn", "tuned", "original"): before, Kind("resnet50", "tuned", "original"): after})
    assert [pair.p_values for pair in found] == [pytest.approx([0.0703125, 1, 0.25])]


def test_the_share_of_seeds_that_name_a_picture_rightly():
    """Two seeds of four are a half."""
    assert rightness(records("1100", "1000", "1100", "1000")).tolist() == [1, 0.5, 0, 0]


def test_an_effect_is_the_mean_of_all_its_pairs_picture_by_picture():
    """Of two networks, tuning helps the one on the first two pictures and the other on the second, and harms one."""
    found = effects({
        Kind("own_cnn", "default", "original"): records("0001", "0001"),
        Kind("own_cnn", "tuned", "original"): records("1101", "1101"),
        Kind("resnet50", "default", "original"): records("0011", "0011"),
        Kind("resnet50", "tuned", "original"): records("0101", "0001"),
    })  # fmt: skip
    assert {axis: gains.tolist() for axis, gains in found.items()} == {
        "hyperparameters": [0.5, 0.75, -0.5, 0],
        "network": [-0.5, -0.25, 0.5, 0],
    }


def test_what_has_no_counterpart_is_not_compared():
    """One kind alone has no effects, nor have two that differ in two ways."""
    alone = {Kind("own_cnn", "default", "original"): records("10")}
    assert (comparisons(alone), effects(alone)) == ([], {})
    assert comparisons(alone | {Kind("own_cnn", "tuned", "augmented"): records("11")}) == []


def test_a_network_of_ones_own_takes_part_in_what_each_technique_was_worth():
    """Though it is neither of the two that the study compares."""
    own = {Kind("mine", tuning, "original"): records("10") for tuning in ("default", "tuned")}
    assert [pair.before.network for pair in comparisons(own)] == ["mine"]
