"""Activation checkpointing: activations are recomputed in the backward pass, to save memory."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from typing import Any

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils.checkpoint import checkpoint


def recompute(network: nn.Module) -> int:
    """Make the blocks of a network, each with two convolutions or more, keep only their inputs.

    Gradients, dropout and running statistics do not change. Returns the number of blocks.
    """
    blocks = [*_find_blocks(network)]
    for block in blocks:
        setattr(block, "forward", partial(_run, block, block.forward))
    return len(blocks)


def _find_blocks(module: nn.Module) -> Iterator[nn.Module]:
    """Yield the smallest modules with several convolutions."""
    found = [block for child in module.children() for block in _find_blocks(child)]
    yield from found
    convs = sum(isinstance(part, nn.Conv2d) for part in module.modules())
    if convs > 1 and not found and not isinstance(module, nn.ModuleList):
        yield module


def _run(block: nn.Module, forward: Callable[..., Any], *given: Any) -> Any:
    if not (block.training and torch.is_grad_enabled()):
        return forward(*given)
    contexts = partial(_contexts, block)
    return checkpoint(forward, *given, use_reentrant=False, context_fn=contexts)


def _contexts(block: nn.Module) -> "tuple[AbstractContextManager[None], _KeptStatistics]":
    """Return the contexts of the first computation and of the recomputations."""
    return nullcontext(), _KeptStatistics(block)


class _KeptStatistics:
    """Keeps the running statistics of batch norms unchanged; can be entered repeatedly."""

    def __init__(self, block: nn.Module) -> None:
        self.norms = [part for part in block.modules() if isinstance(part, _BatchNorm)]
        self.before = [(norm.momentum, norm.num_batches_tracked) for norm in self.norms]

    def __enter__(self) -> None:
        for norm in self.norms:
            norm.momentum = 0.0
            if norm.num_batches_tracked is not None:
                norm.num_batches_tracked = norm.num_batches_tracked.clone()

    def __exit__(self, *_: object) -> None:
        for norm, (momentum, count) in zip(self.norms, self.before):
            norm.momentum, norm.num_batches_tracked = momentum, count
