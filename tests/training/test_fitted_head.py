"""Fine-tuning starts from a last layer that is fitted to what the pre-trained weights give."""

import numpy as np
import pytest
import torch
from torch import nn

from stages.networks.common.image_set import ImageSet
from stages.training.fitted_head import start_with_fitted_head
from stages.training.state import train_mode


def image_set(copies: int = 0) -> ImageSet:
    """Return dark and bright images of 8 pixels, each with so many copies of the other brightness, as no one makes."""
    random, rows = np.random.default_rng(1), []
    for label in np.arange(40) % 2:
        versions = [label] + [1 - label] * copies
        rows += [
            (random.integers(90 * each, 90 * each + 90, (8, 8, 3)), label, index > 0)
            for index, each in enumerate(versions)
        ]
    pixels, labels, are_copies = (np.array(each) for each in zip(*rows, strict=True))
    return ImageSet(
        torch.from_numpy(pixels.astype(np.uint8)),
        torch.from_numpy(labels),
        ["dark", "bright"],
        [""] * len(rows),
        copies=are_copies if copies else None,
    )


class Pretrained(nn.Module):
    """Layers below a head that starts at zero."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(1)
        self.backbone = nn.Sequential(
            nn.Conv2d(3, 16, 3), nn.BatchNorm2d(16), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten()
        )
        self.head: nn.Module = nn.Linear(16, 2)
        nn.init.zeros_(self.head.weight)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Return logits."""
        return self.head(self.backbone(images))


def share_correct(model: nn.Module, images: ImageSet) -> float:
    """Return the share of a set's originals that a network names rightly."""
    rows = images.originals()[0]
    with torch.inference_mode():
        found = model.eval()(images.batch(rows)[0]).argmax(1)
    return float((found == images.labels[rows]).double().mean())


@pytest.mark.parametrize("copies", [0, 2])
def test_the_head_tells_classes_apart_before_the_first_step(copies):
    """It is fitted to the originals; altered copies, of which there may be many, have no part in it."""
    model, images = Pretrained(), image_set(copies)
    before = {name: tensor.clone() for name, tensor in model.backbone.state_dict().items()}
    assert share_correct(model, images) == 0.5
    start_with_fitted_head(model, "head.", images, shrinkage=0.1, seed=1)
    assert share_correct(model, images) == 1
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.backbone.state_dict().items())


def test_another_kind_of_head_stays_as_it_is():
    """What follows the features is then learnt from the start, as before."""
    model = Pretrained()
    model.head = nn.Sequential(nn.Linear(16, 2))
    before = model.head[0].weight.clone()
    start_with_fitted_head(model, "head.", image_set(), shrinkage=0.1, seed=1)
    assert torch.equal(model.head[0].weight, before)


def test_one_class_gives_nothing_to_discriminate():
    """The head stays at zero."""
    model, images = Pretrained(), image_set()
    images.labels.zero_()
    start_with_fitted_head(model, "head.", images, shrinkage=0.1, seed=1)
    assert model.head.weight.abs().max() == 0


def test_pretrained_weights_keep_the_statistics_they_normalise_by():
    """A few images' own would change the features that the head was fitted to."""
    model, images = Pretrained(), image_set()
    before = model.backbone[1].running_mean.clone()
    train_mode(model, keep_statistics=True)
    model(images.batch(slice(0, 8))[0])
    assert torch.equal(model.backbone[1].running_mean, before)
    train_mode(model)
    model(images.batch(slice(0, 8))[0])
    assert not torch.equal(model.backbone[1].running_mean, before)
