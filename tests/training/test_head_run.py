"""What a head is fitted to: training and validation images together, in folds that keep together what belongs."""

import numpy as np
import pytest

from stages.networks.common.features import FeatureSet
from stages.training import head_run
from stages.training.head_run import load_head_data
from tests.conftest import network_settings


@pytest.fixture
def sets(monkeypatch) -> dict[str, FeatureSet]:
    """Twelve training images with a copy of each, and six validation images; every three in a row are of one animal."""
    made = {}
    for name, count, copies in ("augmented", 12, 1), ("validation", 6, 0):
        rows = np.arange(count).repeat(1 + copies)
        features = np.random.default_rng(count).normal(size=(len(rows), 4)).astype(np.float32)
        made[name] = FeatureSet(
            features, -features, rows // 3 % 2, [f"{name}/{row}" for row in rows],
            [f"{name} {row // 3}" for row in rows], np.arange(len(rows)) % (1 + copies) > 0, ["crow", "jay"],
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
    expected = np.concatenate([each.features for each in sets.values()]) * share
    assert np.array_equal(data.features, expected)


def test_a_head_keeps_the_settings_that_its_network_alone_has():
    """They may say how the network is built, which explain builds anew; how steps are made does not count."""
    kept = [name for name in network_settings("own_cnn").model_dump() if name not in head_run.UNUSED]
    assert {*kept} == {*head_run.USED, "dropout"}
