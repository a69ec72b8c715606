"""Muon: matrices of weights take steps that turn all their directions alike, however unequal their gradients are.

Source: Jordan et al., Muon: an optimizer for hidden layers in neural networks, 2024; that a step's length is measured
as AdamW's is from Liu et al., Muon is scalable for LLM training, 2025. torch.optim.Muon takes no convolutions, and
computes in bfloat16 alone, which many processors emulate.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from stages.hardware import device

MOMENTUM = 0.8
COEFFICIENTS = (3.4445, -4.775, 2.0315)  # Jordan's, which bring small singular values near 1 soonest
ITERATIONS = 3
TINY = 1e-7


class Muon(torch.optim.AdamW):
    """Muon for the groups whose `matrices` is true, AdamW for all others.

    A weight (N, ...) counts as a matrix of N rows. The root mean square of its step is about the learning rate, as that
    of AdamW's first steps is, so that one learning rate serves both.
    """

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Change the weights; the gradients of matrices are used up."""
        for group in self.param_groups:
            for weight in group["params"] if group["matrices"] else ():
                if weight.grad is not None:
                    self._orthogonalised_step(weight, weight.grad, group["lr"], group["weight_decay"])
                    weight.grad = None  # so that AdamW passes it over
        return super().step(closure)

    def _orthogonalised_step(self, weight: Tensor, gradient: Tensor, rate: float, decay: float) -> None:
        state = self.state[weight]
        if not state:
            state["momentum"] = torch.zeros_like(weight)
            state["step"] = torch.zeros(())  # which AdamW wants of every state that it restores
        momentum = state["momentum"].mul_(MOMENTUM).add_(gradient)
        ahead = torch.add(gradient, momentum, alpha=MOMENTUM)  # as Nesterov's
        channels_last = ahead.movedim(1, -1)  # of a convolution in channels_last memory order, a view
        turned = orthogonalised(channels_last.flatten(1))
        scale = max(turned.shape) ** 0.5
        weight.mul_(1 - rate * decay).add_(turned.view(channels_last.shape).movedim(-1, 1), alpha=-rate * scale)


def orthogonalised(matrix: Tensor) -> Tensor:
    """Return about U Vᵀ of a matrix (M, N) = U S Vᵀ, by Newton and Schulz's iteration, in the precision of trainings.

    About: small singular values stay below 1, and others end between 0.7 and 1.2. All iterations together turn the rows
    by one square matrix, which follows from the rows' products with each other: only these and the last turn read the
    long side.
    """
    wide = matrix.T if matrix.shape[0] > matrix.shape[1] else matrix
    rows = (wide / wide.norm().clamp(min=TINY)).to(device.precision())
    products = rows @ rows.T
    turn = step = _step(products)
    for _ in range(ITERATIONS - 1):
        products = step @ products @ step
        step = _step(products)
        turn = step @ turn
    turned = turn @ rows
    found: Tensor = (turned if wide is matrix else turned.T).to(matrix.dtype)
    return found


def _step(products: Tensor) -> Tensor:
    """Return by what an iteration turns rows, of the rows' products with each other: both (M, M)."""
    first, second, third = COEFFICIENTS
    step = torch.addmm(products, products, products, beta=second, alpha=third)
    step.diagonal().add_(first)
    return step
