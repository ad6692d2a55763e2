"""What MAXIM's expected outputs were computed from: pictures and weights without chance."""

import math
import zlib
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from deblur.inference.example_photos import show_examples


def seeded(name: str, shape: Sequence[int]) -> Tensor:
    """Return values of a weight or bias that are a function of its name and shape alone."""
    count = math.prod(shape)
    places = torch.arange(count, dtype=torch.int64) + zlib.crc32(name.encode())
    values = (places * 2_654_435_761 % 2**32).double() / 2**32 - 0.5
    if len(shape) == 1:
        values = values / 5 + ("norm" in name and name.endswith("weight"))
    else:
        values = values * 3 / math.sqrt(count / shape[1 if ".up." in name else 0])
    if ".heads." in name:
        values = values / 10  # else the image is black and white alone
    return values.float().view(*shape)


def texture() -> Tensor:
    """Return waves under noise, (1, 3, 64, 64) in [-1, 1]."""
    noise = seeded("noise", (1, 3, 16, 16)) * 4
    y, x = torch.linspace(0, 9, 64).view(-1, 1), torch.linspace(0, 5, 64)
    waves = torch.sin(x * y) * torch.tensor([1.0, 0.5, -1.0]).view(3, 1, 1)
    return (waves / 2 + F.interpolate(noise, (64, 64), mode="bilinear")).clamp(-1, 1)


def crop() -> Tensor:
    """Return the middle of a blurred photo, (1, 3, 64, 128) in [-1, 1]."""
    return [*show_examples(64, 128)][2]
