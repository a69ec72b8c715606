"""What a network says of pictures."""

import torch
from torch import Tensor, nn

from stages.lib.picture_sets import PictureSet

BATCH = 256


def predict(model: nn.Module, pictures: PictureSet) -> Tensor:
    """Return the logits (N, classes) of a network for pictures, as float32 on the CPU."""
    model.eval()
    with torch.inference_mode():
        return torch.cat([model(images).float().cpu() for images, _ in pictures.batches(BATCH)])
