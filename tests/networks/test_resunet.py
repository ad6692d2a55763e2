from typing import Any

import pytest
import torch
import torch.nn.functional as F
from conftest import fill
from torch import Tensor

from deblur.networks.resunet import ResUNet

SMALL: dict[str, Any] = {"width": 4, "encoder": (1, 2), "middle": 1, "decoder": (2, 1)}


def test_the_count_of_its_docstring() -> None:
    assert sum(p.numel() for p in ResUNet().parameters()) == 7_582_428


def test_it_starts_as_the_identity() -> None:
    blur = torch.rand(2, 3, 13, 16) * 2 - 1
    assert torch.equal(ResUNet(**SMALL)(blur), blur)


@pytest.mark.parametrize("shuffle", [1, 2, 3])
@pytest.mark.parametrize("size", [(1, 1), (7, 5), (33, 47), (64, 64)])
def test_any_size_goes_in_and_comes_out(shuffle: int, size: tuple[int, int]) -> None:
    network = fill(ResUNet(**SMALL, shuffle=shuffle))
    blur = torch.rand(2, 3, *size) * 2 - 1
    restored = network(blur)
    assert restored.shape == blur.shape
    assert restored.abs().max() <= 1
    assert (restored - blur).abs().mean() > 0.02


def test_one_level_is_the_plain_computation() -> None:
    network = fill(ResUNet(width=4, encoder=[1], middle=1, decoder=[1]))
    state = network.state_dict()
    blur = torch.rand(2, 3, 8, 12) * 2 - 1

    def conv(features: Tensor, name: str, **options: Any) -> Tensor:
        return F.conv2d(features, state[f"{name}.weight"], state[f"{name}.bias"], **options)

    def block(features: Tensor, name: str) -> Tensor:
        inner = conv(features, f"{name}.0.layers.0", padding=1).relu()
        return features + conv(inner, f"{name}.0.layers.2", padding=1)

    skip = block(conv(F.pixel_unshuffle(blur, 2), "first", padding=1), "encoders.0")
    low = block(conv(skip, "downs.0", stride=2), "middle")
    high = F.pixel_shuffle(conv(low, "ups.0.0"), 2) + skip
    change = F.pixel_shuffle(conv(block(high, "decoders.0"), "last", padding=1), 2)
    expected = (blur + change).clamp(-1, 1)
    assert torch.allclose(network(blur), expected, atol=1e-5)
    assert (expected.abs() < 1).float().mean() > 0.1


def test_gradients_reach_every_parameter() -> None:
    network = fill(ResUNet(**SMALL))
    network(torch.rand(2, 3, 32, 32) - 0.5).square().mean().backward()
    silent = [n for n, p in network.named_parameters() if p.grad is None or not p.grad.any()]
    assert not silent


@pytest.mark.parametrize(
    "bad, message",
    [
        ({"width": 0}, "width must be 1 to"),
        ({"shuffle": 17}, "shuffle must be 1 to 16"),
        ({"middle": -1}, "each number of blocks of middle must be 0 to"),
        ({"encoder": []}, "the number of levels of encoder must be 1 to"),
        ({"encoder": [1, 10**9]}, "each number of blocks of encoder must be 0 to"),
        ({"decoder": [1]}, "same number of levels, got 2 and 1"),
    ],
)
def test_sizes_out_of_range_are_refused(bad: dict[str, Any], message: str) -> None:
    with torch.device("meta"), pytest.raises(ValueError, match=message):
        ResUNet(**{**SMALL, **bad})
