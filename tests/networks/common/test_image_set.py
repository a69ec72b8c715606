"""Images in memory, as a network takes them."""

import torch

from stages.networks.common.prediction import normalised
from tests.training.test_loop import coloured


def test_a_batch_has_the_rows_that_are_asked_for():
    """Normalised, in the order asked, as convolutions read them fastest; the set itself stays as it was."""
    images = coloured(6, 0)
    batch, labels = images.batch(torch.tensor([4, 1]))
    assert torch.equal(batch, normalised(coloured(6, 0).pixels[[4, 1]], images.normalisation))
    assert batch.is_contiguous(memory_format=torch.channels_last)
    assert labels.tolist() == [1, 1]
    assert torch.equal(images.pixels, coloured(6, 0).pixels)
