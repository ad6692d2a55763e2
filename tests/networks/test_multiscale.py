from typing import Any

import pytest
import torch
import torch.nn.functional as F
from conftest import fill
from torch import Tensor, nn

from deblur.networks.multiscale import MultiScale

SMALL: dict[str, Any] = {"blocks": 1, "width": 4}


@pytest.mark.parametrize(
    ("upsample", "count"), [("shuffle", 11_721_321), ("transposed", 11_719_791)]
)
def test_the_papers_counts(upsample: Any, count: int) -> None:
    with torch.device("meta"):
        network = MultiScale(upsample=upsample)
    assert sum(p.numel() for p in network.parameters()) == count
    convolutions = [m for m in network.scales.modules() if isinstance(m, nn.Conv2d)]
    assert len(convolutions) == 120
    assert {conv.kernel_size for conv in convolutions} == {(5, 5)}


def test_it_starts_as_the_identity_at_every_scale() -> None:
    blur = torch.rand(2, 3, 16, 8) * 2 - 1
    images = MultiScale(**SMALL).pyramid(blur)
    assert torch.equal(images[2], blur)
    assert torch.allclose(images[1], F.avg_pool2d(blur, 2), atol=1e-6)
    assert torch.allclose(images[0], F.avg_pool2d(blur, 4), atol=1e-6)


def test_without_the_skip_it_starts_gray() -> None:
    images = MultiScale(**SMALL, skip=False).pyramid(torch.rand(1, 3, 8, 8))
    assert not any(image.any() for image in images)


@pytest.mark.parametrize("skip", [True, False])
@pytest.mark.parametrize("upsample", ["transposed", "shuffle"])
@pytest.mark.parametrize("size", [(1, 1), (7, 5), (33, 47), (64, 64)])
def test_any_size_goes_in_and_comes_out(skip: bool, upsample: Any, size: tuple[int, int]) -> None:
    network = fill(MultiScale(**SMALL, upsample=upsample, skip=skip))
    blur = torch.rand(2, 3, *size) * 2 - 1
    for training in (False, True):
        restored = network.train(training)(blur)
        assert restored.shape == blur.shape
        assert restored.abs().max() <= 1
        assert (restored - blur).abs().mean() > 0.02


@pytest.mark.parametrize("scales", [1, 2, 3, 4])
def test_the_pyramid_halves_and_ends_in_the_result(scales: int) -> None:
    network: Any = fill(MultiScale(**SMALL, scales=scales))
    blur = torch.rand(1, 3, 33, 18) * 2 - 1
    images = network.pyramid(blur)
    sizes = [(33, 18), (17, 9), (9, 5), (5, 3)]
    assert [tuple(image.shape[-2:]) for image in images] == sizes[:scales][::-1]
    assert all(image.abs().max() <= 1 for image in images)
    assert torch.equal(images[-1], network(blur))


@pytest.mark.parametrize("skip", [True, False])
@pytest.mark.parametrize("upsample", ["transposed", "shuffle"])
def test_two_scales_are_the_plain_computation(skip: bool, upsample: Any) -> None:
    network: Any = MultiScale(**SMALL, scales=2, upsample=upsample, skip=skip, zero_last=False)
    state = network.state_dict()
    blur = torch.rand(2, 3, 8, 6) * 2 - 1

    def conv(features: Tensor, name: str) -> Tensor:
        return F.conv2d(features, state[f"{name}.weight"], state[f"{name}.bias"], padding=2)

    def restore(image: Tensor, features: Tensor, name: str) -> Tensor:
        features = conv(features, f"{name}.0")
        block = f"{name}.1.layers"
        features = features + conv(conv(features, f"{block}.0").relu(), f"{block}.2")
        output = conv(features, f"{name}.2")
        return (image + output if skip else output).clamp(-1, 1)

    half = (blur[..., ::2, :] + blur[..., 1::2, :]) / 2
    half = (half[..., ::2] + half[..., 1::2]) / 2
    coarse = restore(half, half, "scales.0")
    if upsample == "transposed":
        weight, bias = state["ups.0.weight"], state["ups.0.bias"]
        hint = F.conv_transpose2d(coarse, weight, bias, stride=2, padding=1)
    else:
        tiles = conv(coarse, "ups.0.0").unflatten(1, (3, 2, 2))
        hint = tiles.permute(0, 1, 4, 2, 5, 3).reshape(blur.shape)
    fine = restore(blur, torch.cat([blur, hint], 1), "scales.1")
    images = network.pyramid(blur)
    assert torch.allclose(images[0], coarse, atol=1e-5)
    assert torch.allclose(images[1], fine, atol=1e-5)


@pytest.mark.parametrize("upsample", ["transposed", "shuffle"])
def test_gradients_of_the_result_reach_every_parameter(upsample: Any) -> None:
    network = MultiScale(**SMALL, upsample=upsample, zero_last=False)
    network(torch.rand(2, 3, 16, 16) - 0.5).square().mean().backward()
    silent = [n for n, p in network.named_parameters() if p.grad is None or not p.grad.any()]
    assert not silent


@pytest.mark.parametrize("skip", [True, False])
def test_bfloat16_is_near_float32(skip: bool) -> None:
    network = MultiScale(**SMALL, skip=skip, zero_last=False).eval()
    blur = torch.rand(1, 3, 16, 16) - 0.5
    with torch.autocast("cpu", torch.bfloat16):
        low = network.pyramid(blur)
    for image, expected in zip(low, network.pyramid(blur), strict=True):
        assert image.dtype == torch.float32
        assert (image - expected).abs().max() < 0.05


@pytest.mark.parametrize(
    ("bad", "found"),
    [
        ({"scales": 0}, "scales .* got 0"),
        ({"width": 0}, "width .* got 0"),
        ({"blocks": -1}, "blocks .* got -1"),
        ({"upsample": "nearest"}, "upsample .* got nearest"),
    ],
)
def test_a_bad_choice_is_refused_by_name(bad: dict[str, Any], found: str) -> None:
    with pytest.raises(ValueError, match=found):
        MultiScale(**bad)
