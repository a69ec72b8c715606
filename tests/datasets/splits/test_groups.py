"""Groups of images stay on one side, and splits are as balanced as groups allow."""

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from sklearn.model_selection import StratifiedGroupKFold

from stages.datasets.splits.groups import Member, check_groups, group_names, split_by_group
from stages.runtime.errors import UserError

FRACTIONS = {"test": 0.3, "validation": 0.105, "original": 0.595}


def members(*paths):
    return [Member(path, path.split("/")[0], Path("data/raw") / path) for path in paths]


def named(group_by, *paths, table=None):
    return list(group_names(members(*paths), group_by, table or {}).values())


def made(classes, groups, sizes, seed):
    """Give each of so many groups images of one class or two."""
    rng = np.random.default_rng(seed)
    found = {}
    for group in range(groups):
        for name in rng.choice(classes, rng.integers(1, 3), replace=False):
            for number in range(rng.integers(1, sizes)):
                found[Member(f"class{name}/{group}/{number}", f"class{name}", Path(f"{name}/{group}/{number}"))] = str(
                    group
                )
    return found


def test_folders_of_one_name_are_a_group_whatever_the_class():
    """Images of one place stay together; those directly in their class are each for themselves."""
    assert named("folder", "jay/wood/1.jpg", "crow/wood/a/2.jpg", "crow/wood/3.jpg", "crow/4.jpg") == [
        "wood", "wood/a", "wood", "",
    ]  # fmt: skip


def test_an_expression_finds_the_group_in_the_path():
    """What is in brackets, or all that is found; a path without it is for itself."""
    paths = ("jay/IMG_07_1.jpg", "crow/IMG_07_2.jpg", "crow/other.jpg")
    assert named(r"IMG_(\d+)", *paths) == ["07", "07", ""]
    assert named(r"^[a-z]+/IMG_\d+", *paths) == ["jay/IMG_07", "crow/IMG_07", ""]


def test_a_table_may_name_the_group():
    """Where nothing else is said, the source's own table counts."""
    table = {Path("data/raw/jay/1.jpg"): "Ann", Path("data/raw/crow/1.jpg"): "Ann"}
    assert named("none", "jay/1.jpg", "crow/1.jpg", "crow/2.jpg", table=table) == [
        "Ann", "Ann", "",
    ]  # fmt: skip


def test_an_expression_that_finds_nothing_is_a_mistake():
    """A split without groups would be silent."""
    with pytest.raises(UserError, match=r"finds no group in any path, such as jay/1\.jpg"):
        named("patient", "jay/1.jpg")


@pytest.mark.parametrize("seed", range(8))
def test_no_group_stands_on_two_sides_and_every_class_is_everywhere(seed):
    """Whatever the groups, also those of two classes."""
    groups = made(4, 40, 12, seed)
    parts = split_by_group(groups, FRACTIONS, seed)
    assert set(parts) == set(groups)
    assert len({(groups[member], part) for member, part in parts.items()}) == len(set(groups.values()))
    assert len({(member.class_name, part) for member, part in parts.items()}) == 4 * 3
    shuffled = dict(sorted(groups.items(), key=lambda item: hash(item[0].path)))
    assert split_by_group(shuffled, FRACTIONS, seed) == parts


def unbalance(parts, share):
    """Return how far the shares of classes in test are from what is wanted, in the mean."""
    total, test = (Counter(member.class_name for member in some) for some in
                   (parts, [member for member, part in parts.items() if part == "test"]))  # fmt: skip
    return np.mean([abs(test[name] / total[name] - share) for name in total])


@pytest.mark.parametrize(("classes", "count", "sizes"), [(4, 40, 12), (20, 200, 30), (3, 12, 6)])
def test_splits_are_as_balanced_as_scikit_learns(classes, count, sizes):
    """Beside StratifiedGroupKFold with a fifth for the test, over ten sets of groups."""
    ours, theirs = [], []
    for seed in range(10):
        groups = made(classes, count, sizes, seed)
        all_members = list(groups)
        ours.append(unbalance(split_by_group(groups, {"test": 0.2, "original": 0.8}, seed), 0.2))
        folds = StratifiedGroupKFold(5, shuffle=True, random_state=seed)
        labels, names = [member.class_name for member in all_members], list(groups.values())
        _, test = next(folds.split(labels, labels, names))
        chosen = {all_members[index] for index in test}
        theirs.append(unbalance({m: "test" if m in chosen else "original" for m in all_members}, 0.2))
    assert np.mean(ours) < np.mean(theirs)


def test_another_seed_draws_other_groups():
    """The split is drawn, not fixed by sizes."""
    groups = {Member(f"jay/{n // 5}/{n}", "jay", Path(str(n))): str(n // 5) for n in range(100)}
    assert split_by_group(groups, FRACTIONS, 1) != split_by_group(groups, FRACTIONS, 2)
    assert Counter(split_by_group(groups, FRACTIONS, 1).values()) == {"test": 30, "validation": 10, "original": 60}


def test_too_few_groups_are_a_problem():
    """Two animals cannot stand on three sides."""
    groups = {Member(f"jay/{n % 2}/{n}", "jay", Path(str(n))): str(n % 2) for n in range(20)}
    with pytest.raises(UserError, match="class 'jay' has 20 images in 2 groups, which leave nothing for validation"):
        split_by_group(groups, FRACTIONS, 1)


def test_where_the_source_has_all_splits_nothing_is_drawn():
    """Groups of its training images stay there, all of them."""
    members = {Member(f"{number}.jpg", "crow", Path(f"{number}.jpg")): f"scene {number // 2}" for number in range(6)}
    assert split_by_group(members, {"original": 1.0}, seed=1) == dict.fromkeys(members, "original")


def test_groups_on_both_sides_of_the_sources_own_splits_are_refused():
    """They are named with an image of each side."""
    groups = group_names(members("jay/a/1.jpg", "jay/a/2.jpg", "jay/b/3.jpg"), "folder", {})
    parts = dict(zip(groups, ["test", "original", "original"], strict=True))
    with pytest.raises(UserError) as raised:
        check_groups(groups, parts)
    assert raised.value.lines[0] == (
        "group a stands in several splits: data/raw/jay/a/2.jpg (original), data/raw/jay/a/1.jpg (test)"
    )
