"""Predictions do not depend on how many images are looked at together."""

import copy
from dataclasses import replace

import pytest
import torch

from stages.networks.common import prediction
from stages.networks.common.prediction import add_flip_tta, predict
from stages.networks.own_cnn import network as own_cnn
from tests.conftest import network_settings
from tests.training.test_loop import coloured


@pytest.mark.parametrize("at_a_time", [1, 3, 7, 12])
def test_batches_change_no_prediction(at_a_time, monkeypatch):
    """But for rounding: the network normalises by what it has learnt, not by what else is in the batch."""
    torch.manual_seed(0)
    model, images = own_cnn.build(network_settings("own_cnn"), 3, 64).eval(), coloured(12, 1)
    with torch.inference_mode():
        alone = torch.cat([model(images) for images, _ in images.batches(1)])
    monkeypatch.setattr(prediction, "PIXELS_AT_A_TIME", at_a_time * 64 * 64)
    assert torch.allclose(predict(model, images), alone, atol=1e-5)


@pytest.mark.parametrize(("size", "most"), [(32, 1024), (64, 256), (224, 20), (320, 10), (2048, 1)])
def test_the_larger_images_are_the_fewer_are_looked_at_together(size, most, monkeypatch):
    """Memory follows from pixels; a single image is always possible."""
    seen = []

    class Watched:
        image_size = size

        def batches(self, count, part):
            seen.append(count)
            return [(torch.zeros(1, 3), None)]

    predict(torch.nn.Identity(), Watched())
    assert seen == [most]


def test_mirrored_predictions_are_means_over_an_image_and_its_mirror_image():
    """So that an image and its mirror image are said to be the same; in training nothing changes."""
    torch.manual_seed(0)
    model, images = own_cnn.build(network_settings("own_cnn", dropout=0), 3, 64), coloured(12, 1)
    model.classes.weight.data *= 100  # so that an image and its mirror image differ by more than rounding
    turned = replace(images, pixels=images.pixels.flip(2))
    plain = [predict(model, each) for each in (images, turned)]
    assert not torch.allclose(*plain, atol=1e-2)
    batch, _ = images.batch(slice(0, 12))
    unchanged = copy.deepcopy(model).train()(batch)
    add_flip_tta(model)
    for each in (images, turned):
        assert torch.allclose(predict(copy.deepcopy(model), each), (plain[0] + plain[1]) / 2, atol=1e-4)
    assert torch.equal(model.train()(batch), unchanged)
