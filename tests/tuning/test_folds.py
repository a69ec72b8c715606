"""A search by cross-validation trains on other splits of the same images."""

from dataclasses import replace

import pytest

from stages.tuning.folds import fold_of
from tests.training.test_loop import coloured

TRAINING, VALIDATION = coloured(24, 0), replace(coloured(12, 1), paths=[f"validation {number}" for number in range(12)])


def test_the_first_fold_is_the_studys_own_split():
    """So that what it trains is a run of the study."""
    assert fold_of(TRAINING, VALIDATION, 0, 1) == (TRAINING, VALIDATION)


@pytest.mark.parametrize("fold", [1, 2])
def test_in_another_fold_other_images_validate_and_those_of_the_study_train(fold):
    """Each with its own pixels and label, of all classes alike."""
    training, validation = fold_of(TRAINING, VALIDATION, fold, 1)
    assert sorted([*training.paths, *validation.paths]) == sorted([*TRAINING.paths, *VALIDATION.paths])
    assert {*VALIDATION.paths} <= {*training.paths}
    assert validation.labels.bincount().tolist() == [4, 4, 4]
    for images in (training, validation):
        for pixels, label, path in zip(images.pixels, images.labels, images.paths, strict=True):
            source = VALIDATION if path in VALIDATION.paths else TRAINING
            row = source.paths.index(path)
            assert (pixels == source.pixels[row]).all()
            assert label == source.labels[row]


def test_folds_are_disjoint_and_those_of_one_seed_the_same():
    """Another seed draws others."""
    first, second, again, other = (
        {*fold_of(TRAINING, VALIDATION, fold, seed)[1].paths} for fold, seed in ((1, 1), (2, 1), (1, 1), (1, 2))
    )
    assert not first & second
    assert first == again != other


def test_images_of_one_group_are_on_one_side():
    """They are no independent observations."""
    groups = [f"burst {row // 6}" if row < 12 else "" for row in range(24)]
    for fold in (1, 2):
        held_out = {*fold_of(replace(TRAINING, groups=groups), VALIDATION, fold, 1)[1].paths}
        for burst in ("burst 0", "burst 1"):
            members = {path for path, group in zip(TRAINING.paths, groups, strict=True) if group == burst}
            assert members <= held_out or not members & held_out
