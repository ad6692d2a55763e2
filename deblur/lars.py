"""The optimizer under which Li's learning rate of 0.005 trains: steps relative to the weights."""

from collections.abc import Callable, Iterable

import torch
from torch import Tensor
from torch.optim import Optimizer


class LARS(Optimizer):
    """Moves each tensor by a set share of its own size along its gradient, with momentum.

    A step's root mean square is lr times that of the weights (at least `floor`, so that weights
    that start at zero can leave it), whatever the gradient's size: neither the loss weights nor
    the depth of a layer matter, and 0.005 is half a per cent. Source: You, Gitman and Ginsburg,
    "Large batch training of convolutional networks" (arXiv 1708.03888); the floor is Adafactor's
    (Shazeer and Stern, ICML 2018).
    """

    def __init__(
        self,
        params: Iterable[Tensor],
        lr: float,
        *,
        momentum: float = 0.0,
        floor: float = 1e-3,
    ) -> None:
        if lr <= 0 or not 0 <= momentum < 1 or floor <= 0:
            raise ValueError(
                "lr and floor must be positive and momentum in [0, 1), got "
                f"{lr}, {floor} and {momentum}"
            )
        super().__init__(params, {"lr": lr, "momentum": momentum, "floor": floor})

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        """Move every tensor that has a gradient; closure is not supported."""
        assert closure is None
        for group in self.param_groups:
            for weight in group["params"]:
                if weight.grad is None:
                    continue
                size = _rms(weight).clamp(min=group["floor"])
                # A gradient of exactly zero moves nothing.
                change = weight.grad * (size / _rms(weight.grad).clamp(min=1e-30))
                if group["momentum"]:
                    average = self.state[weight].setdefault("average", torch.zeros_like(weight))
                    change = average.lerp_(change, 1 - group["momentum"])
                weight.sub_(change, alpha=group["lr"])


def _rms(values: Tensor) -> Tensor:
    norm: Tensor = torch.linalg.vector_norm(values)
    return norm / values.numel() ** 0.5
