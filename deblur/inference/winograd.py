"""3x3 convolutions by Winograd's algorithm, with a quarter of the multiplications.

F(4x4, 3x3) of Lavin and Gray, "Fast Algorithms for Convolutional Neural Networks" (CVPR 2016):
each 4x4 pixels of the output are the transform of products of the input's transformed 6x6 pixels
and the transformed kernel, 36 instead of 144 for each pair of channels.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from itertools import product
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from deblur.inference.convolutions import SLOPE, Conv
from deblur.inference.threads import share
from deblur.networks.padding import reflect

STEP, SIDE = 4, 6
"""The sides of a tile of the output and of the input, in pixels."""
INPUT = (
    (4, 0, -5, 0, 1, 0),
    (0, -4, -4, 1, 1, 0),
    (0, 4, -4, -1, 1, 0),
    (0, -2, -1, 2, 1, 0),
    (0, 2, -1, -2, 1, 0),
    (0, 4, 0, -5, 0, 1),
)
KERNEL = (
    (1 / 4, 0, 0),
    (-1 / 6, -1 / 6, -1 / 6),
    (-1 / 6, 1 / 6, -1 / 6),
    (1 / 24, 1 / 12, 1 / 6),
    (1 / 24, -1 / 12, 1 / 6),
    (0, 0, 1),
)
OUTPUT = (
    (1, 1, 1, 1, 1, 0),
    (0, 1, -1, 2, -2, 0),
    (0, 1, 1, 4, 4, 0),
    (0, 1, -1, 8, -8, 1),
)
"""The transforms of rows and columns: B^T, G and A^T in the paper."""
LEAST = 96
"""The least number of channels: of fewer, the transforms take what the products save."""
BLOCK = 80
"""Tiles that are computed at once, which stay in a processor's cache."""
SAMPLE = 32, 40
"""The size of features that `estimate_saving` measures on, in pixels: a block of tiles."""
ROUNDS = 3
"""How often it measures."""
TOLERANCE = 1e-3
"""The largest error of the features then, as a share of the largest one."""


class Winograd(nn.Module):
    """A `Conv` for which `suits` is true, in float32; 1e-4 of the largest values may differ."""

    def __init__(self, conv: Conv) -> None:
        super().__init__()
        kernel = torch.tensor(KERNEL, dtype=torch.double)
        weight = torch.einsum("ai,ocij,bj->abco", kernel, conv.weight.double(), kernel)
        self.weight = nn.Buffer(weight.flatten(0, 1).float().contiguous())
        bias = torch.zeros(len(conv.weight)) if conv.bias is None else conv.bias
        self.bias = nn.Buffer(bias.float())
        self.rim, self.padding, self.activation = conv.rim, conv.padding, conv.activation
        self.into, self.back = nn.Buffer(_square(INPUT)), nn.Buffer(_square(OUTPUT))

    def forward(self, features: Tensor, add: Tensor | None = None) -> Tensor:
        """Map (N, C, H, W); add: added to the output, requires no activation."""
        features = features.to(self.weight.dtype, memory_format=torch.channels_last)
        if self.rim:
            features = reflect(features, *self.rim)
        rows, columns = self.padding
        height, width = features.shape[-2] + 2 * rows - 2, features.shape[-1] + 2 * columns - 2
        rim = columns, columns + -width % STEP, rows, rows + -height % STEP
        padded = F.pad(features, rim) if any(rim) else features
        tiles = padded.permute(0, 2, 3, 1).unfold(1, SIDE, STEP).unfold(2, SIDE, STEP)
        count, down, across = tiles.shape[:3]
        output = features.new_empty(count, height, width, len(self.bias))
        added = None if add is None else add.permute(0, 2, 3, 1)
        wide = min(across, BLOCK)
        tall = min(down, BLOCK // wide)

        def compute(corners: Sequence[tuple[int, int, int]]) -> None:
            for picture, top, left in corners:
                computed = self._compute(tiles[picture, top : top + tall, left : left + wide])
                place = picture, _pixels(top, tall), _pixels(left, wide)
                self._write(output[place], computed, None if added is None else added[place])

        share(compute, [*product(range(count), range(0, down, tall), range(0, across, wide))])
        return output.permute(0, 3, 1, 2)

    def _compute(self, block: Tensor) -> Tensor:
        """Return the output (h, 4, w, 4, channels) of a block of tiles (h, w, channels, 6, 6)."""
        tall, wide, inputs = block.shape[:3]
        pixels = block.permute(3, 4, 0, 1, 2).reshape(SIDE**2, -1)
        points = (self.into @ pixels).view(SIDE**2, -1, inputs)
        products = torch.bmm(points, self.weight).flatten(1)
        results = torch.addmm(self.bias.repeat(tall * wide), self.back, products)
        return results.view(STEP, STEP, tall, wide, -1).permute(2, 0, 3, 1, 4)

    def _write(self, output: Tensor, computed: Tensor, add: Tensor | None) -> None:
        """Write a block into the output (H, W, channels), which may end within its last tiles."""
        height, width = output.shape[:2]
        whole = computed.shape[0] * STEP, computed.shape[2] * STEP
        if (height, width) == whole:
            output, add = _split(output), None if add is None else _split(add)
        else:
            computed = computed.flatten(2, 3).flatten(0, 1)[:height, :width]
        if add is not None:
            torch.add(computed, add, out=output)
        elif self.activation == "relu":
            torch.clamp(computed, 0, out=output)
        elif self.activation == "relu6":
            torch.clamp(computed, 0, 6, out=output)
        elif self.activation == "leaky_relu":
            torch.ops.aten.leaky_relu.out(computed, SLOPE, out=output)
        else:
            output.copy_(computed)


def use_winograd(network: nn.Module) -> nn.Module:
    """Convert the suitable convolutions of a streamlined network, in place; return the network."""
    for module in [*network.modules()]:
        for name, child in module.named_children():
            if type(child) is Conv and suits(child):
                setattr(module, name, Winograd(child))
    return network


@torch.inference_mode()
def estimate_saving(network: nn.Module, picture: Tensor, clock: Callable[[], float]) -> float:
    """Estimate the seconds that `use_winograd` would save a streamlined network, on a picture.

    They are measured on the layers that compute most, on features of `SAMPLE`'s size: those of a
    small picture have too few tiles, while those of a photo are computed block by block.
    """
    work: Counter[torch.Size] = Counter()
    convs: dict[torch.Size, Conv] = {}

    def count(conv: Conv, _: Any, output: Tensor) -> None:
        convs[conv.weight.shape] = conv
        work[conv.weight.shape] += output[:, 0].numel()

    suitable = [part for part in network.modules() if type(part) is Conv and suits(part)]
    hooks = [conv.register_forward_hook(count) for conv in suitable]
    network(picture)
    for hook in hooks:
        hook.remove()
    if not work:
        return 0.0
    shape = max(work, key=lambda shape: shape.numel() * work[shape])
    features = torch.linspace(-1, 1, shape[1] * SAMPLE[0] * SAMPLE[1]).view(1, *SAMPLE, shape[1])
    features = features.permute(0, 3, 1, 2)
    ways = convs[shape], Winograd(convs[shape])
    seconds: list[list[float]] = [[], []]
    for _ in range(1 + ROUNDS):  # the first is a warm-up
        outputs = []
        for way, taken in zip(ways, seconds):
            start = clock()
            outputs.append(way(features))
            taken.append(clock() - start)
    if (outputs[1] - outputs[0]).abs().max() > TOLERANCE * outputs[0].abs().max():
        return 0.0  # never expected: this processor computes wrongly
    plain, swift = (min(taken[1:]) for taken in seconds)
    share = sum(shape.numel() * pixels for shape, pixels in work.items()) / shape.numel()
    return float(share / outputs[0][:, 0].numel() * (plain - swift))


def suits(conv: Conv | nn.Conv2d) -> bool:
    """Return whether a convolution gets faster."""
    outputs, inputs, *kernel = conv.weight.shape
    settings = kernel, conv.stride, conv.dilation, conv.groups
    return min(outputs, inputs) >= LEAST and settings == ([3, 3], (1, 1), (1, 1), 1)


def _split(pixels: Tensor) -> Tensor:
    """View (4 h, 4 w, channels) as (h, 4, w, 4, channels)."""
    tall, wide = (size // STEP for size in pixels.shape[:2])
    return pixels.view(tall, STEP, wide, STEP, -1)


def _pixels(first: int, count: int) -> slice:
    """Return the output's pixels of some tiles."""
    return slice(STEP * first, STEP * (first + count))


def _square(rows: Any) -> Tensor:
    """Return the transform of rows and then of columns, as one matrix."""
    matrix = torch.tensor(rows, dtype=torch.float)
    return torch.kron(matrix, matrix)
