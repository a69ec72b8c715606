"""Pictures in memory, as a network takes them."""

import torch

from tests.training.test_loop import coloured


def test_pictures_can_be_changed_before_they_are_normalised():
    """A batch of negatives is the batch of a set of negatives, to the bit; the set itself stays as it was."""
    pictures = coloured(6, 0)
    negatives = coloured(6, 0)
    negatives.pictures.neg_().add_(255)
    rows = torch.tensor([4, 1])
    images, labels = pictures.batch(rows, lambda chosen: 255 - chosen)
    assert torch.equal(images, negatives.batch(rows)[0])
    assert images.is_contiguous(memory_format=torch.channels_last)
    assert labels.tolist() == [1, 1]
    assert torch.equal(pictures.pictures, coloured(6, 0).pictures)
