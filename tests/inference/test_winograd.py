import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from deblur.inference import adapt, winograd
from deblur.inference.convolutions import Activation, Conv
from deblur.inference.streamline import streamline
from deblur.inference.winograd import LEAST, Winograd, estimate_saving, suits, use_winograd
from deblur.networks import ResUNet

CPU = torch.device("cpu")


def make(padding: int = 1, *, bias: bool = True) -> nn.Conv2d:
    return nn.Conv2d(5, 7, 3, padding=padding, bias=bias)


def close(given: Tensor, expected: Tensor) -> bool:
    return given.shape == expected.shape and torch.allclose(given, expected, rtol=0, atol=2e-5)


@pytest.mark.parametrize("height, width", [(4, 4), (8, 12), (3, 1), (17, 23), (6, 41)])
@pytest.mark.parametrize("padding", [0, 1, 2])
@pytest.mark.parametrize("block", [1, 3, 80])
@torch.no_grad()
def test_it_is_the_convolution(
    height: int, width: int, padding: int, block: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(winograd, "BLOCK", block)
    conv = make(padding, bias=height != 8)
    swift = Winograd(Conv(conv, dtype=torch.float32))
    features = torch.randn(2, 5, height + 2, width + 2)
    expected = conv(features)
    assert close(swift(features), expected)
    assert close(swift(features.to(memory_format=torch.channels_last)), expected)


@pytest.mark.parametrize("size", [(8, 8), (9, 14)])
@pytest.mark.parametrize("activation", ["none", "relu", "relu6", "leaky_relu"])
@torch.no_grad()
def test_it_pads_adds_and_activates(size: tuple[int, int], activation: Activation) -> None:
    conv = make(0)
    conv.weight.mul_(20)
    features, add = torch.randn(2, 5, *size), torch.randn(2, 7, *size)
    exact = Conv(conv, None, activation, reflect=1, dtype=torch.float32)
    assert torch.allclose(Winograd(exact)(features), exact(features), rtol=0, atol=5e-4)
    linear = Winograd(Conv(conv, reflect=1, dtype=torch.float32))
    expected = conv(F.pad(features, (1, 1, 1, 1), mode="reflect")) + add
    assert torch.allclose(linear(features, add=add), expected, rtol=0, atol=5e-4)


@pytest.mark.parametrize(
    "conv, expected",
    [
        (nn.Conv2d(LEAST, LEAST, 3), True),
        (nn.Conv2d(LEAST, LEAST, 3, padding=1, padding_mode="reflect"), True),
        (nn.Conv2d(LEAST - 1, LEAST, 3), False),
        (nn.Conv2d(LEAST, 3, 3), False),
        (nn.Conv2d(LEAST, LEAST, 1), False),
        (nn.Conv2d(LEAST, LEAST, (3, 5)), False),
        (nn.Conv2d(LEAST, LEAST, 3, stride=2), False),
        (nn.Conv2d(LEAST, LEAST, 3, dilation=2), False),
        (nn.Conv2d(2 * LEAST, 2 * LEAST, 3, groups=2), False),
    ],
)
def test_it_is_for_wide_plain_3x3_convolutions(conv: nn.Conv2d, expected: bool) -> None:
    assert suits(conv) == expected
    network = use_winograd(nn.Sequential(Conv(conv, dtype=torch.float32)))
    assert (type(network[0]) is Winograd) == expected  # type: ignore[index]


@torch.inference_mode()
def test_a_network_restores_the_same_with_it() -> None:
    network = ResUNet(
        width=24, encoder=(1, 1), middle=2, decoder=(1, 1), shuffle=2, zero_last=False
    ).eval()
    swift = adapt(network, CPU, "winograd")
    assert sum(isinstance(part, Winograd) for part in swift.modules()) >= 4
    for size in ((1, 3, 64, 96), (2, 3, 50, 41)):
        blur = torch.rand(size) * 2 - 1
        assert (network(blur) - blur).abs().max() > 0.05, "the network does nothing"
        assert torch.allclose(swift(blur), network(blur), rtol=0, atol=1e-4)


@pytest.mark.parametrize("wrong, saved", [(False, 3 * (0.5 - 0.2)), (True, 0.0)])
def test_what_it_saves_is_estimated_from_the_largest_layers(
    wrong: bool, saved: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 0.0
    plain, swift = Conv.forward, Winograd.forward

    def slow(conv: Conv, features: Tensor) -> Tensor:
        nonlocal now
        now += 0.5
        return plain(conv, features)

    def fast(conv: Winograd, features: Tensor) -> Tensor:
        nonlocal now
        now += 0.2
        return swift(conv, features) + wrong

    monkeypatch.setattr(Conv, "forward", slow)
    monkeypatch.setattr(Winograd, "forward", fast)
    layers = [nn.Conv2d(*channels, 3, padding=1) for channels in ((8, 128), (128, 128), (128, 96))]
    generator = nn.Sequential(*layers, nn.Conv2d(96, 128, 3, padding=1))
    network = streamline(generator, CPU, torch.float32)
    # The sample has 32x40 pixels; the layers that suit have 16 + 12 + 12 sixteenths of the work of
    # one of 128 channels, on twice 24x40 pixels.
    picture = torch.zeros(2, 8, 24, 40)
    expected = saved / 3 * (1 + 0.75 + 0.75) * 2 * 24 / 32
    assert estimate_saving(network, picture, lambda: now) == pytest.approx(expected)
    assert not any(conv._forward_hooks for conv in network.modules())
    assert estimate_saving(nn.Identity(), picture, lambda: now) == 0
