"""The running average of a network's weights, which generalises better than the weights of any one step.

Sources: Polyak and Juditsky, Acceleration of stochastic approximation by averaging, 1992; exponentially, Tarvainen and
Valpola, Mean teachers are better role models, 2017.
"""

import copy
import math

import torch
from torch import nn


class ExponentialMovingAverage:
    """An exponential moving average of all weights and statistics of a network in training.

    Until as many steps are done as the average reaches back, each counts the same; from then on the older count less.
    """

    def __init__(self, model: nn.Module, steps: float) -> None:
        self.model = copy.deepcopy(model).eval().requires_grad_(requires_grad=False)
        self.smallest_share = 1 - math.exp(-1 / steps)

    @torch.no_grad()
    def update(self, model: nn.Module, steps_done: int) -> None:
        """Take in the weights that a network has after so many steps."""
        share = max(1 / steps_done, self.smallest_share)
        for mean, new in zip(self.model.state_dict().values(), model.state_dict().values(), strict=True):
            if mean.is_floating_point():
                mean.lerp_(new, share)
            else:
                mean.copy_(new)  # a count of batches
