"""The layers of a network, read from the module itself: Li's Table 2 and Figures 2 and 3."""

from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

NORMS = (nn.BatchNorm2d, nn.InstanceNorm2d)
SHOWN = (nn.Conv2d, nn.ConvTranspose2d, nn.Linear, *NORMS)


class Layer(NamedTuple):
    """A layer with weights or statistics of its own."""

    name: str
    """The name of its PyTorch class."""
    kernel: str
    stride: str
    output: str
    """The shape of the output, channels first."""
    parameters: int
    """Trainable values."""
    statistics: int
    """Running means and variances, which Keras counts as non-trainable parameters."""


def list_layers(network: nn.Module, shape: tuple[int, int, int]) -> list[Layer]:
    """List a network's layers in the order of execution for an image of shape (C, H, W)."""
    layers: list[Layer] = []

    def note(module: nn.Module, _: Any, output: Tensor) -> None:
        name = next(kind.__name__ for kind in type(module).__mro__ if kind in SHOWN)
        size = getattr(module, "kernel_size", None)
        stride = getattr(module, "stride", None)
        layers.append(
            Layer(
                name,
                "x".join(map(str, size)) if size else "",
                str(stride[0]) if stride else "",
                "x".join(map(str, output.shape[1:])),
                sum(p.numel() for p in module.parameters()),
                sum(b.numel() for b in module.buffers() if b.is_floating_point()),
            )
        )

    hooks = [m.register_forward_hook(note) for m in network.modules() if isinstance(m, SHOWN)]
    training = network.training
    device = next(network.parameters()).device
    try:
        with torch.no_grad():
            network.eval()(torch.zeros(1, *shape, device=device))
    finally:
        network.train(training)
        for hook in hooks:
            hook.remove()
    return layers


def table2(networks: dict[str, nn.Module], shape: tuple[int, int, int]) -> str:
    """Format Li's Table 2 for the given networks, in Markdown."""
    lines = [
        "| network | convolutions | trainable | running statistics | parameters in all |",
        "|---|---:|---:|---:|---:|",
    ]
    for name, network in networks.items():
        layers = list_layers(network, shape)
        convolutions = sum(layer.name.startswith("Conv") for layer in layers)
        # Not of the layers alone: modules of other kinds have parameters, too.
        trainable = sum(p.numel() for p in network.parameters())
        norms = [part for part in network.modules() if isinstance(part, NORMS)]
        buffers = [buffer for norm in norms for buffer in norm.buffers()]
        statistics = sum(b.numel() for b in buffers if b.is_floating_point())
        total = trainable + statistics
        lines.append(
            f"| {name} | {convolutions} | {trainable:,} | {statistics:,} | {total / 1e6:.2f}M |"
        )
    return "\n".join(lines)
