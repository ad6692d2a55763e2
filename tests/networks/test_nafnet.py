from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from conftest import fill
from torch import Tensor

from deblur.networks.local import LocalMean, localize
from deblur.networks.nafnet import Block, NAFNet

SMALL: dict[str, Any] = {"width": 4, "encoder": (1, 2), "middle": 1, "decoder": (2, 1)}


def noise(*size: int) -> Tensor:
    return torch.rand(*size) * 2 - 1


def picture(height: int, width: int) -> Tensor:
    """Give an image of noise on waves, so that means differ from place to place."""
    y, x = torch.linspace(0, 3, height).view(-1, 1), torch.linspace(0, 5, width)
    waves = torch.sin(x + y) * torch.tensor([1.0, 0.5, -1.0]).view(3, 1, 1)
    return ((waves + 0.3 * torch.randn(3, height, width)) / 4)[None]


def lively(network: Any) -> Any:
    """Fill a network so that its blocks matter: filled alone, products of small values vanish."""
    fill(network)
    with torch.no_grad():
        for name, weight in network.named_parameters():
            if "ending" in name:
                weight.mul_(0.3)
            elif weight.ndim == 4 and len(weight) > 1:
                weight.mul_(8.7 / weight[0].numel() ** 0.5)
            elif weight.ndim == 4 or "norm" in name:
                weight.mul_(5)
    return network


def shapes_of_a_block(prefix: str, c: int) -> dict[str, tuple[int, ...]]:
    shapes: dict[str, tuple[int, ...]] = {}
    for name in ("beta", "gamma"):
        shapes[prefix + name] = (1, c, 1, 1)
    for name in ("norm1.weight", "norm1.bias", "norm2.weight", "norm2.bias"):
        shapes[prefix + name] = (c,)
    for name, (out, into, kernel) in {
        "conv1": (2 * c, c, 1),
        "conv2": (2 * c, 1, 3),
        "conv3": (c, c, 1),
        "sca.1": (c, c, 1),
        "conv4": (2 * c, c, 1),
        "conv5": (c, c, 1),
    }.items():
        shapes[f"{prefix}{name}.weight"] = (out, into, kernel, kernel)
        shapes[f"{prefix}{name}.bias"] = (out,)
    return shapes


def published_shapes(
    width: int, encoder: tuple[int, ...], middle: int, decoder: tuple[int, ...]
) -> dict[str, tuple[int, ...]]:
    shapes: dict[str, tuple[int, ...]] = {
        "intro.weight": (width, 3, 3, 3),
        "intro.bias": (width,),
        "ending.weight": (3, width, 3, 3),
        "ending.bias": (3,),
    }
    c = width
    for level, blocks in enumerate(encoder):
        for b in range(blocks):
            shapes |= shapes_of_a_block(f"encoders.{level}.{b}.", c)
        shapes[f"downs.{level}.weight"] = (2 * c, c, 2, 2)
        shapes[f"downs.{level}.bias"] = (2 * c,)
        c *= 2
    for b in range(middle):
        shapes |= shapes_of_a_block(f"middle_blks.{b}.", c)
    for i, blocks in enumerate(decoder):
        shapes[f"ups.{i}.0.weight"] = (2 * c, c, 1, 1)
        c //= 2
        for b in range(blocks):
            shapes |= shapes_of_a_block(f"decoders.{i}.{b}.", c)
    return shapes


class Reference:
    """The description's arithmetic on a state dict, for pixels in [0, 1] and zero padding."""

    def __init__(self, network: NAFNet, window: int | None = None) -> None:
        self.weights = network.state_dict()
        self.window = window

    def conv(self, name: str, x: Tensor, **options: int) -> Tensor:
        return F.conv2d(
            x, self.weights[f"{name}.weight"], self.weights.get(f"{name}.bias"), **options
        )

    def point(self, name: str, x: Tensor) -> Tensor:
        mixed = torch.einsum("oi,nihw->nohw", self.weights[f"{name}.weight"][..., 0, 0], x)
        return mixed + self.weights[f"{name}.bias"].view(1, -1, 1, 1)

    def norm(self, name: str, x: Tensor) -> Tensor:
        centered = x - x.mean(1, keepdim=True)
        normal = centered / ((centered**2).mean(1, keepdim=True) + 1e-6) ** 0.5
        weight, bias = self.weights[f"{name}.weight"], self.weights[f"{name}.bias"]
        return normal * weight.view(1, -1, 1, 1) + bias.view(1, -1, 1, 1)

    def pool(self, x: Tensor, level: int) -> Tensor:
        height, width = x.shape[-2:]
        window = self.window >> level if self.window else max(height, width)
        tall, wide = min(window, height), min(window, width)
        inside = F.avg_pool2d(x, (tall, wide), stride=1)
        rim = ((wide - 1) // 2, wide // 2, (tall - 1) // 2, tall // 2)
        return F.pad(inside, rim, mode="replicate")

    def block(self, name: str, x: Tensor, level: int) -> Tensor:
        c = x.shape[1]
        y = self.point(f"{name}.conv1", self.norm(f"{name}.norm1", x))
        y = self.conv(f"{name}.conv2", y, padding=1, groups=2 * c)
        y = y[:, :c] * y[:, c:]
        y = y * self.point(f"{name}.sca.1", self.pool(y, level))
        x = x + self.weights[f"{name}.beta"] * self.point(f"{name}.conv3", y)
        y = self.point(f"{name}.conv4", self.norm(f"{name}.norm2", x))
        y = self.point(f"{name}.conv5", y[:, :c] * y[:, c:])
        return x + self.weights[f"{name}.gamma"] * y

    def blocks(self, name: str, x: Tensor, level: int) -> Tensor:
        count = 0
        while f"{name}.{count}.beta" in self.weights:
            x = self.block(f"{name}.{count}", x, level)
            count += 1
        return x

    def __call__(self, image: Tensor, levels: int) -> Tensor:
        n, _, height, width = image.shape
        stride = 2**levels
        tall, wide = (height + stride - 1) // stride, (width + stride - 1) // stride
        padded = torch.zeros(n, 3, tall * stride, wide * stride)
        padded[..., :height, :width] = image
        x = self.conv("intro", padded, padding=1)
        skips = {}
        for level in range(levels):
            skips[level] = x = self.blocks(f"encoders.{level}", x, level)
            x = self.conv(f"downs.{level}", x, stride=2)
        x = self.blocks("middle_blks", x, levels)
        for i in range(levels):
            level = levels - 1 - i
            x = self.conv(f"ups.{i}.0", x)
            n, c, h, w = x.shape
            x = x.view(n, c // 4, 2, 2, h, w).permute(0, 1, 4, 2, 5, 3).reshape(n, -1, 2 * h, 2 * w)
            x = self.blocks(f"decoders.{i}", x + skips[level], level)
        return (self.conv("ending", x, padding=1) + padded)[..., :height, :width]


@pytest.mark.parametrize(("width", "count"), [(16, 4_347_827), (32, 17_111_907), (64, 67_888_835)])
def test_the_papers_counts_names_and_shapes(width: int, count: int) -> None:
    with torch.device("meta"):
        network = NAFNet(width=width)
    assert sum(p.numel() for p in network.parameters()) == count
    found = {name: tuple(value.shape) for name, value in network.state_dict().items()}
    assert found == published_shapes(width, (1, 1, 1, 28), 1, (1, 1, 1, 1))
    assert network.stride == 16


def test_the_denoisers_count_names_and_shapes() -> None:
    blocks: Any = {"encoder": (2, 2, 4, 8), "middle": 12, "decoder": (2, 2, 2, 2)}
    with torch.device("meta"):
        network = NAFNet(**blocks)
    assert sum(p.numel() for p in network.parameters()) == 29_159_715
    found = {name: tuple(value.shape) for name, value in network.state_dict().items()}
    assert found == published_shapes(32, **blocks)


def test_it_starts_as_the_identity() -> None:
    blur = noise(2, 3, 21, 16)
    assert torch.equal(NAFNet(**SMALL)(blur), blur)
    assert not torch.equal(NAFNet(**SMALL, zero_last=False)(blur), blur)
    block = Block(4)
    assert not block.beta.any() and not block.gamma.any()


def test_a_start_at_the_identity_learns() -> None:
    network, blur = NAFNet(**SMALL), noise(1, 3, 8, 8) / 2
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1)
    for _ in range(3):
        optimizer.zero_grad()
        network(blur).square().mean().backward()
        optimizer.step()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in network.parameters())
    assert all(p.grad.any() for n, p in network.named_parameters() if "beta" in n or "gamma" in n)


@pytest.mark.parametrize("padding", ["zeros", "reflect"])
@pytest.mark.parametrize("size", [(1, 1), (7, 5), (33, 47), (64, 64)])
def test_any_size_goes_in_and_comes_out(size: tuple[int, int], padding: Any) -> None:
    narrow: Any = {"width": 4, "encoder": (1, 1, 1, 1), "tlc": "on", "window": 24}
    network = fill(NAFNet(**narrow, padding=padding))
    blur = noise(1, 3, *size)
    restored = network(blur)
    assert restored.shape == blur.shape
    assert restored.abs().max() <= 1
    assert (restored - blur).abs().mean() > 0.02


@pytest.mark.parametrize("window", [None, 12])
@pytest.mark.parametrize("size", [(16, 20), (13, 30)])
def test_it_computes_what_is_published_in_other_units(
    size: tuple[int, int], window: int | None
) -> None:
    tlc: Any = {"tlc": "on", "window": window} if window else {}
    network = lively(NAFNet(**SMALL, padding="zeros", **tlc))
    pixels = torch.cat([picture(*size), -picture(*size)]) / 2 + 0.5
    expected = Reference(network, window)(pixels, 2)
    assert (expected - pixels).abs().mean() > 0.02
    assert ((expected > 0) & (expected < 1)).float().mean() > 0.8
    restored = (network(pixels * 2 - 1) + 1) / 2
    torch.testing.assert_close(restored, expected.clamp(0, 1), atol=1e-5, rtol=0)
    for name, value in network.state_dict().items():
        if "beta" in name or "gamma" in name:
            value.zero_()
    # The blocks had a part in it.
    assert (Reference(network)(pixels, 2) - expected).abs().mean() > 0.02


def test_padding_by_reflection_is_not_zeros() -> None:
    blur = noise(1, 3, 13, 30)
    reflect, zeros = (lively(NAFNet(**SMALL, padding=p)) for p in ("reflect", "zeros"))
    assert (reflect(blur) - zeros(blur)).abs().max() > 1e-3
    assert torch.equal(reflect(blur[..., :12, :28]), zeros(blur[..., :12, :28]))


def test_a_block_by_hand() -> None:
    block = lively(Block(1))
    p = {name: value.numpy().squeeze() for name, value in block.state_dict().items()}
    x = np.array([[0.5, -1.0], [2.0, 0.25]])
    # One channel is its own mean: both norms leave their bias alone.
    inside = p["conv1.weight"] * p["norm1.bias"] + p["conv1.bias"]
    mixed = np.empty((2, 2, 2))
    for c in range(2):
        for i in range(2):
            for j in range(2):
                # Of the 3x3 kernel, four weights meet the 2x2 pixels; the others meet zeros.
                kernel = p["conv2.weight"][c, 1 - i : 3 - i, 1 - j : 3 - j]
                mixed[c, i, j] = inside[c] * kernel.sum() + p["conv2.bias"][c]
    gated = mixed[0] * mixed[1]
    attended = gated * (p["sca.1.weight"] * gated.mean() + p["sca.1.bias"])
    y = x + p["beta"] * (p["conv3.weight"] * attended + p["conv3.bias"])
    first, second = p["conv4.weight"] * p["norm2.bias"] + p["conv4.bias"]
    z = y + p["gamma"] * (p["conv5.weight"] * first * second + p["conv5.bias"])
    found = block(torch.tensor(x, dtype=torch.float32).view(1, 1, 2, 2))
    assert np.allclose(found.detach().numpy()[0, 0], z, atol=1e-6)
    assert np.abs(z - x).mean() > 0.02


def test_gradients_are_right() -> None:
    block = Block(2).double()
    block.sca[0] = LocalMean(2)
    lively(block)
    features = torch.randn(1, 2, 3, 3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(block, features)


@pytest.mark.parametrize("tlc", ["on", "auto"])
def test_local_attention_starts_beyond_the_window(tlc: Any) -> None:
    off, local = lively(NAFNet(**SMALL)), lively(NAFNet(**SMALL, tlc=tlc, window=24))
    for size in ((24, 24), (23, 24), (9, 1)):
        blur = picture(*size)
        assert torch.equal(local(blur), off(blur))
    for size in ((28, 24), (25, 10), (40, 52)):
        blur = picture(*size)
        assert (local(blur) - blur).abs().mean() > 0.02
        assert (local(blur) - off(blur)).abs().mean() > 1e-3
    assert torch.equal(local.train()(blur), off(blur))


def test_auto_leaves_images_alone_that_only_padding_makes_larger() -> None:
    blur = picture(22, 22)
    off, on, auto = (lively(NAFNet(**SMALL, tlc=t, window=22)) for t in ("off", "on", "auto"))
    assert torch.equal(auto(blur), off(blur))
    assert not torch.equal(on(blur), off(blur))
    large = picture(22, 32)
    assert torch.equal(auto(large), on(large))


def test_localizing_is_the_same_as_tlc() -> None:
    on, later = lively(NAFNet(**SMALL, tlc="on", window=24)), lively(NAFNet(**SMALL, tlc="auto"))
    blur = picture(40, 52)
    keys = on.state_dict().keys()
    before = later(blur)
    assert (before - on(blur)).abs().mean() > 1e-3
    assert localize(later, 16) == 7
    windows = [pool.window for pool in later.modules() if isinstance(pool, LocalMean)]
    assert windows == [24, 12, 12, 6, 12, 12, 24]
    assert later.state_dict().keys() == keys
    assert torch.equal(later(blur), on(blur))
    assert localize(later, None) == 7
    assert torch.equal(later(blur), before)


@pytest.mark.parametrize("tlc", ["off", "on"])
def test_autocast_is_near_float32(tlc: Any) -> None:
    network = lively(NAFNet(**SMALL, tlc=tlc, window=16))
    blur = picture(32, 40)
    exact = network(blur)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        rough = network(blur)
        rough.square().mean().backward()
    assert rough.dtype == torch.float32
    assert (rough - exact).abs().mean() < 0.02 * (exact - blur).abs().mean()
    assert (exact - blur).abs().mean() > 0.02


@pytest.mark.parametrize("memory", [torch.contiguous_format, torch.channels_last])
def test_memory_formats_agree(memory: torch.memory_format) -> None:
    network, blur = lively(NAFNet(**SMALL)), picture(32, 40)
    expected = network(blur)
    moved = network.to(memory_format=memory)(blur.contiguous(memory_format=memory))
    torch.testing.assert_close(moved, expected, atol=1e-5, rtol=0)


@pytest.mark.parametrize(
    "bad",
    [
        {"width": 0},
        {"window": 0},
        {"encoder": (1, 1)},
        {"encoder": (1, 1, 1, -1)},
        {"decoder": (1, 1)},
        {"middle": -1},
        {"tlc": False},
        {"padding": "symmetric"},
    ],
)
def test_a_bad_choice_is_refused_by_name(bad: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(bad))):
        NAFNet(**bad)
