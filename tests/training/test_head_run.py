"""What a head is fitted to: training and validation images together, in folds that keep together what belongs."""

import numpy as np
import pytest

from stages.networks.common.features import FeatureSet
from stages.training import head_run
from stages.training.head_run import load_head_data
from tests.conftest import network_settings


@pytest.fixture
def sets(monkeypatch) -> dict[str, FeatureSet]:
    """Twelve training images, a copy of each, and six validation images; every three in a row are of one animal."""
    made = {}
    for number, (name, count) in enumerate({"original": 12, "augmented": 12, "validation": 6}.items()):
        rows = np.arange(count)
        features = np.random.default_rng(number).normal(size=(count, 4)).astype(np.float32)
        images, is_copy = "original" if number < 2 else name, name == "augmented"
        made[name] = FeatureSet(
            features, -features, rows // 3 % 2, [f"{images}/{row}" + "#1" * is_copy for row in rows],
            [f"{images} {row // 3}" for row in rows], np.full(count, is_copy), ["crow", "jay"],
        )  # fmt: skip
    monkeypatch.setattr(head_run, "read_features", lambda folder: made[folder.rpartition("/")[2]])
    return made


@pytest.mark.parametrize("grouped", [True, False])
def test_what_belongs_together_is_in_one_fold(sets, grouped):
    """An image and its copies; where images are grouped also all of one animal: else cross-validation would boast."""
    if not grouped:
        sets |= {name: each._replace(groups=[""] * len(each.groups)) for name, each in sets.items()}
    data = load_head_data("own_cnn", "augmented", 1, flip_tta=False)
    assert len(data.labels) == 30
    together = [6] * 4 + [3] * 2 if grouped else [2] * 12 + [1] * 6
    parts = np.split(data.folds, np.cumsum(together)[:-1])
    assert {len(set(part)) for part in parts} == {1}
    assert len(set(data.folds)) == 5
    assert len({tuple(part) for part in parts}) > 1


@pytest.mark.parametrize(("flip_tta", "share"), [(True, 0), (False, 1)])
def test_mirror_images_count_where_they_are_asked(sets, flip_tta, share):
    """As the mean of both features."""
    data = load_head_data("own_cnn", "augmented", 1, flip_tta=flip_tta)
    images, copies, validation = (each.features for each in sets.values())
    expected = np.concatenate([np.stack([images, copies], axis=1).reshape(24, 4), validation]) * share
    assert np.array_equal(data.features, expected)


def test_a_head_keeps_the_settings_that_its_network_alone_has():
    """They may say how the network is built, which explain builds anew; how steps are made does not count."""
    kept = [name for name in network_settings("own_cnn").model_dump() if name not in head_run.UNUSED]
    assert {*kept} == {*head_run.USED, "dropout"}
