"""The processes that train one network together, as torchrun has started them; mostly there is one.

Each has its rank, 0, 1, 2, ...; what they must agree on goes through the functions below, which all call alike.
"""

import os
from collections.abc import Callable
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

Value = TypeVar("Value")


def count() -> int:
    """Return how many processes train together."""
    return dist.get_world_size() if dist.is_initialized() else 1


def local_world_size() -> int:
    """Return how many of them are on this machine, and share its memory."""
    return int(os.environ.get("LOCAL_WORLD_SIZE", "1")) if dist.is_initialized() else 1


def rank() -> int:
    """Return this process's rank."""
    return dist.get_rank() if dist.is_initialized() else 0


def is_rank_zero() -> bool:
    """Say whether this process is the one that writes files."""
    return rank() == 0


def is_local_rank_zero() -> bool:
    """Say whether this process is the one that tells people on this machine how far it is."""
    return os.environ.get("LOCAL_RANK", "0") == "0" or not dist.is_initialized()


def part(total: int) -> slice:
    """Return which of `total` things are this process's: each is some process's, as even as can be, in order."""
    return slice(total * rank() // count(), total * (rank() + 1) // count())


def all_reduce(values: Tensor) -> Tensor:
    """Return the sum of all processes' tensors of one shape."""
    if count() > 1:
        values = values.clone()
        dist.all_reduce(values)
    return values


def differentiable_all_reduce(values: Tensor) -> Tensor:
    """Return what `all_reduce` does, for what gradients must come back through."""
    total: Tensor = _AllReduce.apply(values)
    return total


class _AllReduce(torch.autograd.Function):
    @staticmethod
    def forward(_: Any, values: Tensor) -> Tensor:
        return all_reduce(values)

    @staticmethod
    def backward(_: Any, gradient: Tensor) -> Any:  # each process's values have gone into every process's sum
        return all_reduce(gradient.contiguous())


def broadcast_from_first(compute: Callable[[], Value]) -> Value:
    """Return what `compute` returns in the first process, where it may read files that no other machine has."""
    if count() == 1:
        return compute()
    values = [compute() if is_rank_zero() else None]
    dist.broadcast_object_list(values)
    return values[0]  # type: ignore[return-value]  # of the others' None nothing is left


def distributed_model(model: nn.Module) -> nn.Module:
    """Return a network whose gradients are the mean over all processes; its weights are those of `model`."""
    return DistributedDataParallel(model) if count() > 1 else model
