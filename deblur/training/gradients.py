"""What the gradient of a loss is like."""

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn


class NotFinite(ArithmeticError):
    """A loss, or its gradient, by which no step can be taken."""

    def __init__(self, loss: Tensor) -> None:
        super().__init__(f"the loss is {float(loss)}")
        self.loss = loss


def is_finite(loss: Tensor, parameters: Iterable[nn.Parameter]) -> bool:
    """Say whether a loss is finite, and the gradient that it has left in some parameters."""
    gradients = [p.grad for p in parameters if p.grad is not None]
    norm = nn.utils.get_total_norm(gradients).to(loss.device)
    return bool(torch.stack([loss.detach().float(), norm.float()]).isfinite().all())


def find_norm(loss: Tensor, network: nn.Module) -> Tensor:
    """Give the norm of a loss's gradient by a network's weights, a scalar; the graph is kept."""
    parameters = [p for p in network.parameters() if p.requires_grad]
    gradients = torch.autograd.grad(loss, parameters, retain_graph=True, allow_unused=True)
    present = [gradient for gradient in gradients if gradient is not None]
    norm: Any = torch.linalg.vector_norm(torch.stack([g.float().norm() for g in present]))
    return torch.as_tensor(norm)
