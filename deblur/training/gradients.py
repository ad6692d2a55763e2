"""Properties of the gradient of a loss."""

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn


class NotFinite(ArithmeticError):
    """A loss or its gradient is not finite, so that no step can be taken."""

    def __init__(self, loss: Tensor) -> None:
        super().__init__(f"the loss is {float(loss)}")
        self.loss = loss


def is_finite(loss: Tensor, parameters: Iterable[nn.Parameter]) -> bool:
    """Return whether a loss and the gradients of the given parameters are finite."""
    gradients = [p.grad for p in parameters if p.grad is not None]
    norm = nn.utils.get_total_norm(gradients).to(loss.device)
    return bool(torch.stack([loss.detach().float(), norm.float()]).isfinite().all())


def find_norm(loss: Tensor, network: nn.Module) -> Tensor:
    """Return the norm of a loss's gradient in a network's weights, a scalar; keep the graph."""
    parameters = [p for p in network.parameters() if p.requires_grad]
    gradients = torch.autograd.grad(loss, parameters, retain_graph=True, allow_unused=True)
    present = [gradient for gradient in gradients if gradient is not None]
    norm: Any = torch.linalg.vector_norm(torch.stack([g.float().norm() for g in present]))
    return torch.as_tensor(norm)
