"""The optimizer under which Li's learning rate of 0.005 trains: steps relative to the weights."""

from collections.abc import Callable, Iterable
from typing import Any

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

    Args:
        params: The tensors to train.
        lr: A step's size relative to the weights, above 0.
        momentum: The decay of the moving average of steps, in [0, 1); 0 for none.
        floor: The least root mean square that a tensor's weights count as, above 0.

    Raises:
        ValueError: A value is out of its range.
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
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Move every tensor that has a gradient; return the closure's loss, or None."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            for weight in group["params"]:
                if weight.grad is None:
                    continue
                size = _rms(weight).clamp(min=group["floor"])
                # A gradient too small to be squared in float32 moves hardly anything.
                change = weight.grad * (size / _rms(weight.grad).clamp(min=1e-12))
                if group["momentum"]:
                    state = self.state[weight]
                    if not state:
                        state["average"] = torch.zeros_like(weight)
                    change = state["average"].lerp_(change, 1 - group["momentum"])
                weight.sub_(change, alpha=group["lr"])
        return loss


def _rms(values: Tensor) -> Tensor:
    mean: Tensor = values.square().mean()
    return mean.sqrt()
