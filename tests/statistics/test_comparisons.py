"""Comparisons: like with like, seed with seed, image with image."""

from collections import Counter
from itertools import product

import numpy as np
import pytest

from stages.runtime.study import Configuration
from stages.statistics.comparisons import (
    Change,
    answers,
    comparisons,
    contrasts,
    grid_of,
    judge,
    judge_contrasts,
    needed_to_decide,
    same_runs,
    spread_of,
)
from stages.statistics.intervals import Spread, spread

EIGHT = [
    Configuration(*values)
    for values in product(["resnet50", "own_cnn"], ["tuned", "default"], ["augmented", "original"])
]


def records(*seeds: str) -> list[dict[str, str]]:
    """A record for each seed, from a 1 for each image that was named rightly."""
    return [{"correct": seed} for seed in seeds]


def test_only_configurations_that_differ_in_one_axis_are_compared():
    """Four pairs an axis: from the first network, the defaults and original images, to what is tried instead."""
    found = comparisons({configuration: records("01") for configuration in EIGHT})
    assert Counter(pair.change.axis for pair in found) == {"network": 4, "hyperparameters": 4, "data": 4}
    assert len({(pair.before, pair.after) for pair in found}) == 12
    for pair in found:
        differing = {name for name in Configuration._fields if getattr(pair.before, name) != getattr(pair.after, name)}
        assert differing == {pair.change.axis}
        assert getattr(pair.before, pair.change.axis) in {"resnet50", "default", "original"}
        assert getattr(pair.after, pair.change.axis) in {"own_cnn", "tuned", "augmented"}


def gains(study):
    """Return the gains of all comparisons and changes of a study."""
    return {name: grid_of(study, contrast) for name, contrast in contrasts(study).items()}


def judge_grids(grids, others=None):
    """Judge gains, each with its own spread."""
    return judge(grids, {name: spread(grid, pseudo=1) for name, grid in grids.items()}, (), others)


def judged_gains(study, same=()):
    """Judge all comparisons of a study."""
    return judge_contrasts(study, contrasts(study), same)


OLD, NEW = Configuration("own_cnn", "default", "original"), Configuration("own_cnn", "default", "augmented")
AUGMENTED = Change("data", "original", "augmented")


def test_a_difference_is_the_mean_over_seeds_and_images():
    """Ten images: the first seed gains six, the second none: 6 of 20, in favour of the second."""
    before = records("1000000000", "1111100000")
    after = records("0111111100", "1111100000")
    found = gains({NEW: after, OLD: before})
    (pair,) = comparisons({NEW: after, OLD: before})
    assert (pair.change, pair.before, pair.after) == (AUGMENTED, OLD, NEW)
    assert found[pair].tolist() == [[-1, *[1] * 7, 0, 0], [0] * 10]
    judged, _ = judged_gains({NEW: after, OLD: before})
    assert judged[pair].gain.mean == pytest.approx(0.3)
    opposite, _ = judged_gains({NEW: before, OLD: after})
    assert opposite[pair].gain.mean == pytest.approx(-0.3)


def test_the_answers_are_a_row_for_each_seed():
    """And a column for each test image."""
    assert answers(records("1100", "1000")).tolist() == [[1, 1, 0, 0], [1, 0, 0, 0]]


def test_p_values_are_adjusted_for_all_comparisons_but_the_same_one_counts_once():
    """Three tests: of (0, 6), 2 / 2**6; of (1, 7), 18 / 2**8; and one of another kind; not four."""
    first = np.array([[1.0] * 6 + [0] * 40])
    second = np.array([[1.0] * 7 + [-1] + [0] * 38])
    judged, others = judge_grids({"a": first, "b": second, "as a": -first}, {"epochs": 0.5})
    assert judged["a"].p_value == judged["as a"].p_value == pytest.approx(3 * 2 / 2**6)
    assert judged["b"].p_value == pytest.approx(2 * 18 / 2**8)
    assert others == {"epochs": 0.5}


@pytest.mark.parametrize(
    ("seeds", "says"), [(1, "better in one training each"), (2, "better in two trainings each"), (3, "better")]
)
def test_what_few_trainings_show_is_said_of_them_alone(seeds, says):
    """Three seeds or more speak of the technique."""
    random = np.random.default_rng(0)
    grid = (random.random((seeds, 2000)) < 0.4).astype(float)
    grid[:, :2] = -1
    assert judge_grids({"a": grid})[0]["a"].says == says
    assert judge_grids({"a": -grid})[0]["a"].says == says.replace("better", "worse")


def test_an_interval_within_a_point_is_no_difference_worth_one():
    """Of 10,000 images 60 gained and 50 lost; of 400, 3 and 2 are too few to say so."""
    many = np.repeat([1.0, -1.0, 0.0], [60, 50, 9890])[None]
    assert judge_grids({"a": many})[0]["a"].says == "no difference worth a point in one training each"
    few = np.repeat([1.0, -1.0, 0.0], [3, 2, 395])[None]
    judgement = judge_grids({"a": few})[0]["a"]
    assert (judgement.says, judgement.p_value) == ("undecided", 1)
    assert judgement.needed.endswith(" images")


def test_runs_that_are_the_same_are_not_compared():
    """Tuned that is default is no test of tuning; runs that name all images rightly are two runs all the same."""
    default, tuned = OLD, OLD._replace(hyperparameters="tuned")
    alike = {default: records("11"), tuned: records("11")}
    assert same_runs(alike) == {*comparisons(alike), Change("hyperparameters", "default", "tuned")}
    judged, _ = judged_gains(alike, same_runs(alike))
    assert {each.says for each in judged.values()} == {"the same runs"}
    apart = {default: [{"correct": "11", "loss": 1}], tuned: [{"correct": "11", "loss": 2}]}
    assert same_runs(apart) == set()
    assert {each.says for each in judged_gains(apart)[0].values()} == {"undecided"}


@pytest.mark.parametrize("seeds", [1, 4])
def test_as_many_images_and_seeds_as_are_said_to_decide_do_so_four_times_of_five(seeds):
    """Of gains of five points, drawn with as many."""
    random = np.random.default_rng(1)

    def drawn(seeds, images):
        gain = 0.05 + random.normal(0, 0.02 if seeds > 1 else 0, (seeds, 1))
        return np.where(random.random((seeds, images)) < 0.2 + gain / 2, 1.0, 0) - (
            random.random((seeds, images)) < 0.2 - gain / 2
        )

    known = Spread(
        0.02**2 if seeds > 1 else 0.0, 0.0 if seeds > 1 else 0.4, 0.4 if seeds > 1 else 0.0, (seeds, 100), seeds - 1
    )
    words = needed_to_decide(0.05, known, 1).replace(",", "").split()
    images, needed = int(words[0]), int(words[2]) if seeds > 1 else 1
    assert words[1::2] == (["images", "seeds"] if seeds > 1 else ["images"])
    decided = np.mean([judge_grids({"a": drawn(needed, images)})[0]["a"].p_value < 0.05 for _ in range(200)])
    assert 0.7 < decided < 0.95


def test_no_gain_at_all_is_decided_by_an_interval_within_a_point():
    """Of a third that changes either way: (1.96 + 0.84)**2 * 0.33 / 0.01**2 images, with two digits that count."""
    assert needed_to_decide(0.0, Spread(0.0, 0.33, 0.0, (1, 300), 0), 1) == "26,000 images"


def test_the_gain_of_a_change_is_the_mean_of_all_its_pairs_image_by_image():
    """Of two networks, tuning helps the one on the first two images and the other on the second, and harms one."""
    found = gains({
        Configuration("own_cnn", "default", "original"): records("0001", "0001"),
        Configuration("own_cnn", "tuned", "original"): records("1101", "1101"),
        Configuration("resnet50", "default", "original"): records("0011", "0011"),
        Configuration("resnet50", "tuned", "original"): records("0101", "0001"),
    })  # fmt: skip
    assert {change: grid.mean(axis=0).tolist() for change, grid in found.items() if isinstance(change, Change)} == {
        Change("hyperparameters", "default", "tuned"): [0.5, 0.75, -0.5, 0],
        Change("network", "own_cnn", "resnet50"): [-0.5, -0.25, 0.5, 0],
    }


def test_each_network_is_compared_with_the_first_of_the_study():
    """However many there are, and whatever they are called; not with each other."""
    names = ["convnext_tiny", "own_cnn", "mine"]
    found = comparisons({Configuration(name, "default", "original"): records("01") for name in names})
    assert [str(pair.change) for pair in found] == [f"{name} instead of convnext_tiny" for name in names[1:]]


def test_what_has_no_counterpart_is_not_compared():
    """One configuration alone has no gains, nor have two that differ in two ways."""
    alone = {Configuration("own_cnn", "default", "original"): records("10")}
    assert (comparisons(alone), gains(alone)) == ([], {})
    assert comparisons(alone | {Configuration("own_cnn", "tuned", "augmented"): records("11")}) == []


def test_a_network_of_ones_own_takes_part_in_what_each_technique_was_worth():
    """Though it is neither of the two that the study compares."""
    own = {Configuration("mine", tuning, "original"): records("10") for tuning in ("default", "tuned")}
    assert [pair.before.network for pair in comparisons(own)] == ["mine"]


def test_what_seeds_do_is_learnt_from_all_runs_of_a_network():
    """Two runs of two seeds: variances of 0.02 and 0 are 0.01 for each, with two degrees of freedom and not one."""
    study = {OLD: records("1111100000", "1111111000"), NEW: records("1111100000", "0000011111")}
    (pair,) = comparisons(study)
    pooled = spread_of(study, contrasts(study)[pair])
    assert pooled.freedom == pytest.approx(2)
    assert pooled.seeds + pooled.both / 10 == pytest.approx(0.01 + 0.01)
    other = {OLD._replace(network="resnet50"): records("1111100000", "1111111110")}
    assert spread_of(study | other, contrasts(study)[pair]) == pooled  # another network's seeds are its own affair


def test_the_same_run_under_two_names_is_one_run():
    """Where tuned is default, their mean varies as one of them does, and says no more of seeds."""
    alone = {OLD: records("1100", "1110"), NEW: records("1111", "1000")}
    twice = alone | {key._replace(hyperparameters="tuned"): each for key, each in alone.items()}
    (once,) = [spread_of(alone, each) for name, each in contrasts(alone).items() if name == AUGMENTED]
    assert spread_of(twice, contrasts(twice)[AUGMENTED]) == once
