"""What the processes that train the same networks tell each other."""

import logging
from collections.abc import Iterable
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

log = logging.getLogger(__name__)


def tell_batch_norm(ranks: int, networks: Iterable[nn.Module], batch: int) -> None:
    """Log that batch norm is not as on one device, where there is any.

    batch: the images that all devices train on in a step.
    """
    parts = [part for network in networks for part in network.modules()]
    if ranks > 1 and any(isinstance(part, _BatchNorm) for part in parts):
        log.info(
            "batch norm: each of %d devices normalizes its own %d of a batch's %d images, which is "
            "not as on one; what is remembered for later is the devices' average",
            *(ranks, batch // ranks, batch),
        )


def find_place() -> tuple[int, int]:
    """Give this process' number, and how many train together."""
    if dist.is_available() and dist.is_initialized():
        return dist.get_rank(), dist.get_world_size()
    return 0, 1


def gather(values: Tensor) -> Tensor:
    """Collect (N,) of each process, in the order in which one alone would have them."""
    _, ranks = find_place()
    if ranks == 1:
        return values
    parts = [torch.empty_like(values) for _ in range(ranks)]
    dist.all_gather(parts, values.contiguous())
    return torch.stack(parts, 1).flatten()  # a batch's images are dealt out in turn


def gather_names(names: list[str]) -> list[str]:
    """Collect the names of each process' images, in that order."""
    _, ranks = find_place()
    if ranks == 1:
        return names
    parts: list[Any] = [None] * ranks
    dist.all_gather_object(parts, names)
    return [name for image in zip(*parts) for name in image]


@torch.no_grad()
def average_statistics(networks: Iterable[nn.Module | None]) -> None:
    """Average what batch norm remembers over all processes, for each has seen images of its own."""
    _, ranks = find_place()
    if ranks == 1:
        return
    parts = [part for network in networks if network for part in network.modules()]
    norms = [part for part in parts if isinstance(part, _BatchNorm)]
    kept = [value for one in norms for value in (one.running_mean, one.running_var)]
    values = [value for value in kept if value is not None]
    if not values:
        return
    together = torch.cat(values)
    dist.all_reduce(together)
    for value, mean in zip(values, torch.split(together / ranks, [len(one) for one in values])):
        value.copy_(mean)
