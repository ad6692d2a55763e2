from typing import Any

import pytest
import torch
from conftest import fill
from torch import nn

from deblur.networks import ResNet
from deblur.networks.padding import SameConv

SMALL: dict[str, Any] = {"blocks": 1, "width": 4}


def test_the_papers_counts() -> None:
    network = ResNet()
    convolutions = [m for m in network.modules() if isinstance(m, nn.Conv2d)]
    statistics = [b for b in network.buffers() if b.is_floating_point()]
    assert len(convolutions) == 24
    assert sum(p.numel() for p in network.parameters()) == 11_388_675
    assert sum(b.numel() for b in statistics) == 10_496


def test_transposed_convolutions_have_the_same_count() -> None:
    assert sum(p.numel() for p in ResNet(upsample="transposed").parameters()) == 11_388_675


def test_kupyns_count() -> None:
    network = ResNet(norm="instance", upsample="transposed", init="normal")
    assert sum(p.numel() for p in network.parameters()) == 11_378_179
    assert not [b for b in network.buffers()]


def test_instance_norm_is_each_images_own() -> None:
    network = fill(ResNet(**SMALL, norm="instance"))
    images = torch.rand(2, 3, 16, 16) * 2 - 1
    both, first = network(images), network(images[:1])
    assert torch.allclose(both[:1], first, atol=1e-5)
    assert (first - images[:1]).abs().mean() > 0.02
    with pytest.raises(ValueError, match="norm"):
        ResNet(norm="layer")  # type: ignore[arg-type]


@pytest.mark.parametrize("skip", ["residual", "average"])
def test_the_skip_of_a_zero_last_layer(skip: Any) -> None:
    blur = torch.rand(2, 3, 16, 16) * 2 - 1
    restored = ResNet(**SMALL, skip=skip, zero_last=True)(blur)
    assert torch.equal(restored, blur if skip == "residual" else blur / 2)


@pytest.mark.parametrize("skip", ["residual", "average"])
@pytest.mark.parametrize("upsample", ["nearest", "transposed"])
@pytest.mark.parametrize("padding", ["symmetric", "same"])
@pytest.mark.parametrize("init", ["torch", "glorot", "normal"])
def test_every_variant_stays_in_range(skip: Any, upsample: Any, padding: Any, init: Any) -> None:
    network = ResNet(**SMALL, skip=skip, upsample=upsample, padding=padding, init=init)
    restored = network(torch.rand(2, 3, 20, 16) * 2 - 1)
    assert restored.shape == (2, 3, 20, 16)
    assert restored.abs().max() <= 1


@pytest.mark.parametrize("size", [(1, 1), (2, 5), (13, 17), (16, 30)])
def test_any_size_goes_in_and_comes_out(size: tuple[int, int]) -> None:
    network = fill(ResNet(**SMALL))
    blur = torch.rand(1, 3, *size) * 2 - 1
    restored = network(blur)
    assert restored.shape == blur.shape
    assert (restored - blur).abs().mean() > 0.02


def test_padding_is_cropped_away_in_register() -> None:
    network = fill(ResNet(**SMALL))
    blur = torch.rand(1, 3, 64, 64) * 2 - 1
    whole, part = network(blur), network(blur[..., :62, :61])
    # Far from the lower right border both see the same pixels.
    assert torch.allclose(whole[..., :24, :24], part[..., :24, :24], atol=1e-5)


def test_same_padding_is_tensorflows() -> None:
    conv = SameConv(1, 1, 3, stride=2)
    nn.init.ones_(conv.weight)
    nn.init.zeros_(conv.bias)  # type: ignore[arg-type]
    image = torch.arange(16.0).view(1, 1, 4, 4)
    # On an even side TensorFlow pads a 3x3 kernel of stride 2 below and on the right alone.
    expected = [
        [0 + 1 + 2 + 4 + 5 + 6 + 8 + 9 + 10, 2 + 3 + 6 + 7 + 10 + 11],
        [8 + 9 + 10 + 12 + 13 + 14, 10 + 11 + 14 + 15],
    ]
    assert conv(image)[0, 0].tolist() == expected


def test_keras_conventions_are_options() -> None:
    network = ResNet(**SMALL, init="glorot", norm_eps=1e-3, norm_momentum=0.01)
    norms = [m for m in network.modules() if isinstance(m, nn.BatchNorm2d)]
    convs = [m for m in network.modules() if isinstance(m, nn.Conv2d)]
    assert {(n.eps, n.momentum) for n in norms} == {(1e-3, 0.01)}
    assert all(conv.bias is not None and not conv.bias.any() for conv in convs)


@pytest.mark.parametrize(
    "bad", [{"skip": "none"}, {"upsample": "x"}, {"padding": "x"}, {"init": "x"}, {"width": 0}]
)
def test_a_bad_choice_is_refused_by_name(bad: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(bad))):
        ResNet(**bad)
