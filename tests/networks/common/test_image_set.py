"""Images in memory, as a network takes them."""

import torch

from tests.training.test_loop import coloured


def test_images_can_be_changed_before_they_are_normalised():
    """A batch of negatives is the batch of a set of negatives, to the bit; the set itself stays as it was."""
    images = coloured(6, 0)
    negatives = coloured(6, 0)
    negatives.pixels.neg_().add_(255)
    rows = torch.tensor([4, 1])
    batch, labels = images.batch(rows, lambda chosen: 255 - chosen)
    assert torch.equal(batch, negatives.batch(rows)[0])
    assert batch.is_contiguous(memory_format=torch.channels_last)
    assert labels.tolist() == [1, 1]
    assert torch.equal(images.pixels, coloured(6, 0).pixels)
