"""Stage embed: the features of a frozen backbone, a row for each image, as anybody can read them."""

import shutil
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from safetensors.torch import load_file

from helpers.projects import set_params
from stages import augment, configure, embed
from stages.images.preparation import at_size
from stages.images.reading import decode
from stages.images.shards import read_rows, row_count
from stages.networks.common.features import read_features, with_copies
from stages.networks.common.prediction import normalised
from stages.networks.common.runner import OnnxRunner
from stages.networks.common.starting_point import read_starting_point
from stages.networks.efficientnet_lite0 import network as lite0
from stages.runtime.files import read_json
from tests.conftest import network_settings

FOLDER = Path("data/features/efficientnet_lite0")


def test_features_are_what_torch_gives_for_an_image_and_its_mirror_image(at_study):
    """To 1e-4, of images of the network's own size."""
    start = read_starting_point("efficientnet_lite0")
    model = lite0.build(network_settings("efficientnet_lite0"), 3, 80).eval()
    model.load_state_dict(load_file("data/weights/efficientnet_lite0/weights.safetensors"), strict=False)
    model.classifier = torch.nn.Identity()
    images = np.stack([at_size(decode(row.encoded), 80) for row in read_rows("data/validation")])
    found = read_features(FOLDER / "validation")
    for features, seen in ((found.features, images), (found.mirrored, images[:, :, ::-1].copy())):
        with torch.inference_mode():
            expected = model(normalised(torch.from_numpy(seen), start.normalisation)).numpy()
        assert expected.std() > 0.01
        np.testing.assert_allclose(features, expected, atol=1e-4)


def test_each_row_belongs_to_an_image_and_any_program_can_read_it(at_study):
    """In the order of the shards, as lists of one length."""
    table, rows = pq.read_table(FOLDER / "original/features.parquet"), list(read_rows("data/original"))
    assert table["path"].to_pylist() == [row.path for row in rows]
    assert table["label"].to_pylist() == [row.label for row in rows]
    assert {table.schema.field(name).type.list_size for name in ("features", "mirrored")} == {1280}
    assert read_features(FOLDER / "original").class_names == ["crow", "jay", "owl"]
    assert read_json(f"{FOLDER}/original.json")["images"] == len(rows)


def test_networks_of_different_sizes_share_the_images(at_study):
    """Stored once, at the larger of the sizes; of a network whose backbone learns there are no features."""
    assert {decode(row.encoded).shape for row in read_rows("data/original")} == {(90, 90, 3)}
    assert [read_starting_point(name).image_size for name in ("own_cnn", "efficientnet_lite0")] == [64, 80]
    assert pq.read_table("data/features/own_cnn/original/features.parquet").num_rows == 0
    assert read_json("data/features/own_cnn/original.json") == {"seconds": 0.0, "images": 0}


def test_of_altered_copies_alone_features_are_computed(study_copy):
    """Those of the images they are of are there; where no run of the study takes copies, they cost nothing.

    Together they are what the network gives for each image of data/augmented, in its order, to the bit.
    """
    augment.main()
    embed.main("efficientnet_lite0", "augmented")
    assert pq.read_table(FOLDER / "augmented/features.parquet").num_rows == 0
    set_params(study_copy, study__data=["original", "augmented"])
    configure.main()
    embed.main("efficientnet_lite0", "augmented")
    copies, count = read_features(FOLDER / "augmented"), row_count("data/original")
    assert copies.are_copies.tolist() == [True] * count
    assert read_json(f"{FOLDER}/augmented.json")["images"] == count
    together, rows = with_copies(read_features(FOLDER / "original"), copies), list(read_rows("data/augmented"))
    assert together.are_copies.tolist() == [False, True] * count
    assert (together.paths, together.labels.tolist(), together.groups) == tuple(
        map(list, zip(*((row.path, row.label, row.group) for row in rows), strict=True))
    )
    images = np.stack([at_size(decode(row.encoded), 80) for row in rows])
    runner = OnnxRunner(Path("data/weights/efficientnet_lite0/graph.onnx"))
    assert np.array_equal(together.features, runner.run(images, "features")[0])
    assert np.array_equal(together.mirrored, runner.run(np.ascontiguousarray(images[:, :, ::-1]), "features")[0])


def test_who_is_killed_leaves_nothing_and_ends_in_the_same_bytes(study_copy, monkeypatch):
    """Whether features had been there before or not."""
    file = FOLDER / "original/features.parquet"
    before = file.read_bytes()
    shutil.rmtree(FOLDER / "original")
    with monkeypatch.context() as patch:
        patch.setattr(OnnxRunner, "run", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            embed.main("efficientnet_lite0", "original")
    assert not list(FOLDER.glob("original*/*"))
    embed.main("efficientnet_lite0", "original")
    assert file.read_bytes() == before
