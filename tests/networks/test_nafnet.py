from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from conftest import fill
from torch import Tensor

from deblur.networks.nafnet import Block, NAFNet

SMALL: dict[str, Any] = {"width": 4, "encoder": [1, 2], "middle": 1, "decoder": [1, 1]}


@pytest.mark.parametrize("width, count", [(16, 4_347_827), (32, 17_111_907), (64, 67_888_835)])
def test_the_published_counts(width: int, count: int) -> None:
    with torch.device("meta"):
        network = NAFNet(width=width)
    assert sum(p.numel() for p in network.parameters()) == count


def test_names_and_shapes_are_the_published_ones() -> None:
    with torch.device("meta"):
        state = NAFNet(width=32).state_dict()
    shapes = {name: tuple(value.shape) for name, value in state.items()}
    expected: dict[str, tuple[int, ...]] = {}
    for part, c, count in [
        *((f"encoders.{level}", 32 * 2**level, (1, 1, 1, 28)[level]) for level in range(4)),
        *((f"decoders.{level}", 256 // 2**level, 1) for level in range(4)),
        ("middle_blks", 512, 1),
    ]:
        for block in range(count):
            own = {"beta": (1, c, 1, 1), "gamma": (1, c, 1, 1)}
            convs = {"conv1": (2 * c, c, 1, 1), "conv2": (2 * c, 1, 3, 3), "conv3": (c, c, 1, 1)}
            convs |= {"sca.1": (c, c, 1, 1), "conv4": (2 * c, c, 1, 1), "conv5": (c, c, 1, 1)}
            for name, shape in {**convs, "norm1": (c,), "norm2": (c,)}.items():
                own |= {f"{name}.weight": shape, f"{name}.bias": shape[:1]}
            expected |= {f"{part}.{block}.{name}": shape for name, shape in own.items()}
    for level in range(4):
        c = 32 * 2**level
        expected |= {f"downs.{level}.weight": (2 * c, c, 2, 2), f"downs.{level}.bias": (2 * c,)}
        c = 512 // 2**level
        expected |= {f"ups.{level}.0.weight": (2 * c, c, 1, 1)}
    expected |= {"intro.weight": (32, 3, 3, 3), "intro.bias": (32,)}
    expected |= {"ending.weight": (3, 32, 3, 3), "ending.bias": (3,)}
    assert shapes == expected


@pytest.mark.parametrize("padding", ["reflect", "zeros"])
@pytest.mark.parametrize("size", [(1, 1), (7, 5), (33, 47), (64, 64)])
def test_any_size_and_the_identity_at_the_start(size: tuple[int, int], padding: Any) -> None:
    blur = torch.rand(2, 3, *size) * 2 - 1
    assert torch.equal(NAFNet(**SMALL, padding=padding)(blur), blur)
    assert fill(NAFNet(**SMALL, padding=padding))(blur).shape == blur.shape


def test_a_block_by_numpy() -> None:
    block = fill(Block(3))
    with torch.no_grad():
        for name in ("beta", "gamma"):
            getattr(block, name).mul_(4)
    weights = {name: value.double().numpy() for name, value in block.state_dict().items()}
    x = torch.rand(1, 3, 4, 5, generator=torch.Generator().manual_seed(1)).double().numpy()[0]

    def norm(features: Any, name: str) -> Any:
        centred = features - features.mean(0)
        normal = centred / np.sqrt((centred**2).mean(0) + 1e-6)
        scale, shift = (weights[f"{name}.{kind}"][:, None, None] for kind in ("weight", "bias"))
        return normal * scale + shift

    def point(features: Any, name: str) -> Any:
        kernel = weights[f"{name}.weight"][..., 0, 0]
        return np.einsum("oi,ihw->ohw", kernel, features) + weights[f"{name}.bias"][:, None, None]

    def around(features: Any, name: str) -> Any:
        padded = np.pad(features, [(0, 0), (1, 1), (1, 1)])
        windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), (1, 2))
        summed = np.einsum("chwij,cij->chw", windows, weights[f"{name}.weight"][:, 0])
        return summed + weights[f"{name}.bias"][:, None, None]

    both = around(point(norm(x, "norm1"), "conv1"), "conv2")
    gated = both[:3] * both[3:]
    gated = gated * point(gated.mean((1, 2), keepdims=True), "sca.1")
    y = x + weights["beta"][0] * point(gated, "conv3")
    both = point(norm(y, "norm2"), "conv4")
    y = y + weights["gamma"][0] * point(both[:3] * both[3:], "conv5")
    found = block.double()(torch.from_numpy(x)[None])[0].detach().numpy()
    assert np.allclose(found, y, atol=1e-5) and np.abs(found - x).mean() > 0.02


def plain(network: NAFNet, image: Tensor) -> Tensor:
    """Pass an image in [0, 1] through, as the published network is written down."""
    height, width = image.shape[-2:]
    padded = F.pad(image, (0, -width % network.stride, 0, -height % network.stride))
    x, kept = network.intro(padded), []
    for level in range(len(network.encoders)):
        x = network.encoders[level](x)
        kept.append(x)
        x = network.downs[level](x)
    x = network.middle_blks(x)
    for level in range(len(network.decoders)):
        x = network.ups[level](x)
        x = network.decoders[level](x + kept[-1 - level])
    return (network.ending(x) + padded)[..., :height, :width]


def test_published_weights_see_images_from_0_to_1() -> None:
    network = fill(NAFNet(**SMALL, padding="zeros"))
    with torch.no_grad():
        network.ending.weight.mul_(0.02)  # type: ignore[operator, union-attr]
    image = torch.rand(2, 3, 30, 21, generator=torch.Generator().manual_seed(2))
    found = network(image * 2 - 1)
    expected = plain(network, image).clamp(0, 1) * 2 - 1  # type: ignore[arg-type]
    assert torch.allclose(found, expected, atol=1e-5)
    assert (found - (image * 2 - 1)).abs().mean() > 0.02


def test_bfloat16_autocast_stays_near_float32() -> None:
    network = fill(NAFNet(**SMALL))
    with torch.no_grad():
        network.ending.weight.mul_(0.02)  # type: ignore[operator, union-attr]
        blur = torch.rand(1, 3, 32, 32) * 2 - 1
        exact = network(blur)
        with torch.autocast("cpu", torch.bfloat16):
            rounded = network(blur)
    assert rounded.dtype == torch.float32
    assert (rounded - exact).abs().mean() < 0.05 * (exact - blur).abs().mean()


def test_every_weight_learns() -> None:
    network = fill(NAFNet(**SMALL)).train()
    with torch.no_grad():
        network.ending.weight.mul_(0.01)  # type: ignore[operator, union-attr]
    network(torch.rand(1, 3, 16, 16) - 0.5).square().mean().backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in network.parameters())


def test_bad_arguments_are_refused() -> None:
    with pytest.raises(ValueError, match="as many levels, got 4 and 2"):
        NAFNet(decoder=[1, 1])
    with pytest.raises(ValueError, match="width must be positive .* got width 0"):
        NAFNet(width=0)
    with pytest.raises(ValueError, match="padding must be reflect or zeros, got same"):
        NAFNet(padding="same")  # type: ignore[arg-type]
