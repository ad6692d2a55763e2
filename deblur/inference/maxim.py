"""MAXIM made fast on a CPU: what is linear is one step, what is pixelwise is done in bands.

A dense layer commutes with resizing, whose weights sum to one, and is part of the convolution that
comes before it: the layers that bring three levels' features together are done at the lowest
resolution of each, and their sum needs no concatenation.
"""

from collections.abc import Sequence
from copy import deepcopy
from typing import Any

import torch
from torch import Tensor, nn

from deblur.inference.convolutions import Conv, Deconv
from deblur.inference.maxim_blocks import SwiftBottleneck, SwiftLevel, plain
from deblur.inference.multi_axis import Dense, SwiftCrossGating
from deblur.networks.layout import to_pixels, to_planes
from deblur.networks.maxim import MAXIM
from deblur.networks.maxim_stage import LEVELS, State


class SwiftMAXIM(nn.Module):
    """`MAXIM`, the same in float32; in bfloat16 with GELU's exact form."""

    def __init__(self, network: MAXIM, dtype: torch.dtype) -> None:
        super().__init__()
        network = deepcopy(network).eval().requires_grad_(False)
        self.enter, self.leave = network.enter, network.leave
        self.stages = nn.ModuleList(SwiftStage(stage, dtype) for stage in network.stages)

    def forward(self, blur: Tensor) -> Tensor:
        """Restore (N, 3, H, W) in [-1, 1]."""
        return torch.cat([self._restore(each) for each in torch.split(blur, 1)])

    def _restore(self, blur: Tensor) -> Tensor:
        images = self.enter(blur)
        state: State | None = None
        for stage in self.stages:
            state = stage(images, state)
        assert state is not None
        return self.leave(state.restored[0], blur)


class SwiftStage(nn.Module):
    """`Stage` for one picture."""

    def __init__(self, stage: Any, dtype: torch.dtype) -> None:
        super().__init__()
        self.dtype = dtype
        self.entrances = nn.ModuleList(Entrance(stage, level, dtype) for level in range(LEVELS))
        self.encoder = nn.ModuleList(SwiftLevel(level, dtype) for level in stage.encoder)
        self.down = nn.ModuleList(Conv(plain(conv), dtype=dtype) for conv in stage.down)
        self.bottleneck = nn.ModuleList(SwiftBottleneck(b, dtype) for b in stage.bottleneck)
        self.bridges = nn.ModuleList(
            Gathering(bridges, gate.first_in, 0, dtype)
            for bridges, gate in zip(stage.bridges, stage.gates)
        )
        self.rise = nn.ModuleList(_double(g.up, g.second_in, dtype) for g in stage.gates)
        self.gates = nn.ModuleList(SwiftCrossGating(gate, dtype) for gate in stage.gates)
        self.skips = nn.ModuleList(
            Gathering([*skips][::-1], level.enter, level.enter.out_features, dtype)
            for skips, level in zip(stage.skips, stage.decoder)
        )
        self.up = nn.ModuleList(
            _double(up, _first_columns(level.enter), dtype)
            for up, level in zip(stage.up, stage.decoder)
        )
        self.decoder = nn.ModuleList(SwiftLevel(level, dtype) for level in stage.decoder)
        # Without a next stage only the finest image is wanted.
        heads = stage.heads if len(stage.attention) else stage.heads[:1]
        self.heads = nn.ModuleList(Conv(plain(head), dtype=dtype) for head in heads)
        self.attention = nn.ModuleList(SwiftAttention(a, dtype) for a in stage.attention)

    def forward(self, images: Sequence[Tensor], before: State | None) -> State:
        """Restore images (1, H, W, 3) in [0, 1]."""
        encoded: list[Tensor] = []
        deep: Tensor | None = None
        for level, (entrance, down) in enumerate(zip(self.entrances, self.down)):
            guide = before and before.attended[level]
            entered = entrance(images[level].to(self.dtype), guide, deep)
            past = before and before.encoded[level] + before.decoded[level]
            encoded.append(self.encoder[level](entered, past))
            deep = to_pixels(down(to_planes(encoded[-1])))
        for block in self.bottleneck:
            deep = block(deep)
        assert deep is not None
        gated: list[Tensor] = [deep] * LEVELS
        below = deep
        for level in reversed(range(LEVELS)):
            signal = self.bridges[level](encoded)
            below = to_pixels(self.rise[level](to_planes(below)))
            gated[level], below = self.gates[level](signal, below)
        decoded: list[Tensor] = [deep] * LEVELS
        for level in reversed(range(LEVELS)):
            deep = to_pixels(self.up[level](to_planes(deep)))
            decoded[level] = deep = self.decoder[level](self.skips[level](gated, add=deep))
        changes = [to_pixels(head(to_planes(part))) for head, part in zip(self.heads, decoded)]
        restored = [change.float() + image for change, image in zip(changes, images)]
        attended = [a(part, image) for a, part, image in zip(self.attention, decoded, restored)]
        return State(restored, encoded, decoded, attended)


class Entrance(nn.Module):
    """The layers by which an image, and what a stage has of it, enter a level of the encoder."""

    def __init__(self, stage: Any, level: int, dtype: torch.dtype) -> None:
        super().__init__()
        conv, enter = stage.inputs[level], stage.encoder[level].enter
        own = conv.out_channels
        deeper, direct = enter.weight.split([enter.in_features - own, own], 1)
        # At full resolution the image's features come in twice.
        self.deeper = Dense(deeper, None, dtype) if level else None
        direct = direct if level else direct + deeper
        self.fuse: SwiftCrossGating | None = None
        if not len(stage.fuse):
            self.image = Conv(_merge(conv, direct, enter.bias), dtype=dtype)
            return
        fuse = stage.fuse[level]
        self.image = Conv(_merge(conv, fuse.first_in.weight, fuse.first_in.bias), dtype=dtype)
        self.attended = Dense(fuse.second_in.weight, fuse.second_in.bias, dtype)
        self.fuse = SwiftCrossGating(fuse, dtype)
        self.direct = Dense(direct, enter.bias, dtype)

    def forward(self, image: Tensor, attended: Tensor | None, deep: Tensor | None) -> Tensor:
        """Return a level's features.

        image: (1, H, W, 3). attended: what the stage before has of it. deep: the level above's.
        """
        past = None if deep is None or self.deeper is None else self.deeper(deep)
        if self.fuse is None:
            return to_pixels(
                self.image(to_planes(image), add=None if past is None else to_planes(past))
            )
        fused, _ = self.fuse(to_pixels(self.image(to_planes(image))), self.attended(attended))
        entered: Tensor = self.direct(fused, add=past)
        return entered


class SwiftAttention(nn.Module):
    """`SupervisedAttention` for one picture."""

    def __init__(self, attention: Any, dtype: torch.dtype) -> None:
        super().__init__()
        self.transform = Conv(plain(attention.transform), dtype=dtype)
        self.weigh = Conv(plain(attention.weigh), dtype=dtype)

    def forward(self, features: Tensor, image: Tensor) -> Tensor:
        """Map (1, H, W, C), with an image (1, H, W, 3), to the same shape."""
        weights = to_pixels(self.weigh(to_planes(image))).sigmoid_()
        return weights.mul_(to_pixels(self.transform(to_planes(features)))).add_(features)


class Gathering(nn.Module):
    """Brings the features of all levels to one of them, through a dense layer over all of these.

    resizes: of each level, in the order of the layer's inputs. start: of the inputs, the first one
    that is theirs.
    """

    def __init__(self, resizes: Sequence[Any], dense: Any, start: int, dtype: torch.dtype) -> None:
        super().__init__()
        columns = dense.weight[:, start:].chunk(len(resizes), 1)
        biases = [part @ resize.project.bias for part, resize in zip(columns, resizes)]
        # In the order of the levels, the finest first.
        pairs = sorted(zip(resizes, columns), key=lambda pair: pair[0].ratio)
        self.resizes = [deepcopy(resize) for resize, _ in pairs]
        own = [resize.ratio == 1 for resize in self.resizes].index(True)
        bias = sum(biases, start=dense.bias if start == 0 else torch.zeros_like(dense.bias))
        self.parts = nn.ModuleList(
            Dense(part @ resize.project.weight, bias if level == own else None, dtype)
            for level, (resize, part) in enumerate(pairs)
        )

    def forward(self, levels: Sequence[Tensor], add: Tensor | None = None) -> Tensor:
        """Map levels of (1, H, W, C), the finest first, to one."""
        total = add
        for features, resize, part in zip(levels, self.resizes, self.parts):
            if resize.ratio <= 1:
                total = part(resize.resize(features), add=total)
        assert total is not None
        for features, resize, part in zip(levels, self.resizes, self.parts):
            if resize.ratio > 1:
                total.add_(resize.resize(part(features)))
        return total


def _merge(conv: Any, dense: Tensor, bias: Tensor) -> nn.Conv2d:
    """Return a convolution with the dense layer (outputs, inputs) that follows it."""
    merged = plain(conv)
    merged.weight = nn.Parameter(torch.einsum("oc,cikl->oikl", dense, conv.weight))
    merged.bias = nn.Parameter(dense @ conv.bias + bias)
    return merged


def _double(up: Any, dense: Any, dtype: torch.dtype) -> Deconv:
    """Return a doubling of planes with the dense layer that follows it."""
    plain = nn.ConvTranspose2d(up.in_channels, dense.out_features, 2, stride=2)
    plain.weight = nn.Parameter(torch.einsum("oc,ickl->iokl", dense.weight, up.weight))
    plain.bias = nn.Parameter(dense.weight @ up.bias + dense.bias)
    return Deconv(plain, dtype=dtype)


def _first_columns(dense: Any) -> nn.Linear:
    """Return the part of a dense layer for as many inputs as it has outputs."""
    part = nn.Linear(dense.out_features, dense.out_features)
    part.weight = nn.Parameter(dense.weight[:, : dense.out_features])
    part.bias = dense.bias
    return part
