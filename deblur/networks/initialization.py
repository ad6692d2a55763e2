"""The initialization of weights."""

from typing import Literal, get_args

from torch import nn

from deblur.networks.argument_checks import check_choice

Scheme = Literal["torch", "glorot", "normal"]


def initialize(network: nn.Module, scheme: Scheme) -> None:
    """Initialize all convolutions and dense layers; see `ResNet` for the schemes."""
    check_choice("init", scheme, *get_args(Scheme))
    if scheme == "torch":
        return
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
            if scheme == "glorot":
                nn.init.xavier_uniform_(layer.weight)
            else:
                nn.init.normal_(layer.weight, 0.0, 0.02)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)


def zero(layer: nn.Module) -> None:
    """Set all parameters of a layer to zero."""
    for values in layer.parameters():
        nn.init.zeros_(values)
