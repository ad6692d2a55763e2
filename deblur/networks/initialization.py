"""The initialization of weights."""

from typing import Literal

from torch import nn

Scheme = Literal["torch", "glorot", "normal"]


def initialize(network: nn.Module, scheme: Scheme) -> None:
    """Initialize all convolutions and dense layers; see `ResNet` for the schemes."""
    if scheme not in ("torch", "glorot", "normal"):
        raise ValueError(f"init must be torch, glorot or normal, got {scheme}")
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
