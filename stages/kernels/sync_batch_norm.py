"""Batch normalisation over what all processes have of a batch: torch's own takes accelerators alone."""

import torch
from torch import Tensor, nn

from stages.hardware import distributed

CHANNELS_STAY = (0, 2, 3)  # of (N, C, H, W), what is summed over


class SyncBatchNorm(nn.BatchNorm2d):
    """Batch normalisation over the batches of all processes; alone, or where nothing is learnt, torch's own."""

    def forward(self, features: Tensor) -> Tensor:
        """Return features (N, C, H, W) of such features, of which this process may have none."""
        if not self.training or distributed.count() == 1:
            return super().forward(features)
        count = torch.full((features.shape[1],), features.numel() / features.shape[1], dtype=torch.float64)
        doubles = features.double()
        sums = torch.stack([count.to(features.device), doubles.sum(CHANNELS_STAY), doubles.square().sum(CHANNELS_STAY)])
        count, first, second = distributed.differentiable_all_reduce(sums)
        mean = first / count
        variance = (second / count - mean.square()).clamp(min=0)
        self._learn(mean.detach(), (variance * count / (count - 1)).detach())
        scale = self.weight / (variance.float() + self.eps).sqrt()
        offset = self.bias - mean.float() * scale
        return torch.addcmul(offset[:, None, None], features.float(), scale[:, None, None]).to(features.dtype)

    @torch.no_grad()
    def _learn(self, mean: Tensor, variance: Tensor) -> None:
        for learnt, new in ((self.running_mean, mean), (self.running_var, variance)):
            learnt.lerp_(new.to(learnt.dtype), self.momentum)  # type: ignore[union-attr, arg-type]  # both are kept
        self.num_batches_tracked.add_(1)  # type: ignore[union-attr]


def with_sync_batch_norm(model: nn.Module) -> nn.Module:
    """Have the batch normalisations of a network on a CPU be over all processes; return it."""
    for module in model.modules():
        if type(module) is nn.BatchNorm2d:
            module.__class__ = SyncBatchNorm
    return model
