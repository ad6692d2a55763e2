from typing import Any

import pytest
import torch
import torch.nn.functional as F
from conftest import fill
from torch import Tensor

from deblur.networks.unet import UNet

SMALL: dict[str, Any] = {"width": 4, "levels": 2}


@pytest.mark.parametrize(
    ("options", "count"), [({}, 31_031_875), ({"upsample": "nearest"}, 34_513_475)]
)
def test_the_sources_count(options: Any, count: int) -> None:
    assert sum(p.numel() for p in UNet(**options).parameters()) == count


@pytest.mark.parametrize("norm", ["none", "batch", "instance"])
def test_it_starts_as_the_identity(norm: Any) -> None:
    blur = torch.rand(2, 3, 13, 16) * 2 - 1
    assert torch.equal(UNet(**SMALL, norm=norm)(blur), blur)


@pytest.mark.parametrize("norm", ["none", "batch", "instance"])
@pytest.mark.parametrize("upsample", ["nearest", "transposed"])
@pytest.mark.parametrize("size", [(1, 1), (7, 5), (33, 47), (64, 64)])
def test_any_size_goes_in_and_comes_out(norm: Any, upsample: Any, size: tuple[int, int]) -> None:
    network = fill(UNet(**SMALL, norm=norm, upsample=upsample))
    blur = torch.rand(2, 3, *size) * 2 - 1
    for training in (False, True):
        restored = network.train(training)(blur)
        assert restored.shape == blur.shape
        assert restored.abs().max() <= 1
        assert (restored - blur).abs().mean() > 0.02


@pytest.mark.parametrize("levels", [1, 3, 5])
def test_the_smallest_pictures_pass_every_depth(levels: int) -> None:
    blur = torch.rand(1, 3, 1, 2) * 2 - 1
    assert UNet(width=1, levels=levels, norm="instance")(blur).shape == blur.shape


@pytest.mark.parametrize("upsample", ["nearest", "transposed"])
def test_one_level_is_the_plain_computation(upsample: Any) -> None:
    network = fill(UNet(width=4, levels=1, upsample=upsample))
    state = network.state_dict()
    blur = torch.rand(2, 3, 8, 6) * 2 - 1

    def conv(features: Tensor, name: str) -> Tensor:
        padded = F.pad(features, (1, 1, 1, 1), mode="reflect")
        return F.conv2d(padded, state[f"{name}.weight"], state[f"{name}.bias"])

    def level(features: Tensor, name: str) -> Tensor:
        return conv(conv(features, f"{name}.0").relu(), f"{name}.2").relu()

    skip = level(blur, "encoders.0")
    low = level(F.max_pool2d(skip, 2), "bottom")
    if upsample == "nearest":
        high = conv(low.repeat_interleave(2, -1).repeat_interleave(2, -2), "ups.0.1")
    else:
        high = F.conv_transpose2d(low, state["ups.0.weight"], state["ups.0.bias"], stride=2)
    features = level(torch.cat([skip, high], 1), "decoders.0")
    change = F.conv2d(features, state["last.weight"], state["last.bias"])
    expected = (blur + change).clamp(-1, 1)
    assert torch.allclose(network(blur), expected, atol=1e-5)
    assert (expected.abs() < 1).float().mean() > 0.1


@pytest.mark.parametrize("norm", ["none", "batch", "instance"])
@pytest.mark.parametrize("upsample", ["nearest", "transposed"])
def test_gradients_reach_every_parameter(norm: Any, upsample: Any) -> None:
    network = UNet(**SMALL, norm=norm, upsample=upsample, zero_last=False)
    network(torch.rand(2, 3, 32, 32) - 0.5).square().mean().backward()
    silent = [n for n, p in network.named_parameters() if p.grad is None or not p.grad.any()]
    assert not silent


@pytest.mark.parametrize("upsample", ["nearest", "transposed"])
def test_features_keep_their_size_on_the_way(upsample: Any) -> None:
    network = UNet(width=16, upsample=upsample, zero_last=False)
    blur = torch.rand(2, 3, 32, 32) * 0.02 - 0.01
    # The published start keeps the order of magnitude; of PyTorch's own a hundredth is left.
    assert 0.3 < (network(blur) - blur).std() / blur.std() < 30


def test_bfloat16_is_near_float32() -> None:
    network = UNet(**SMALL, zero_last=False).eval()
    blur = torch.rand(1, 3, 16, 16) - 0.5
    with torch.autocast("cpu", torch.bfloat16):
        low = network(blur)
    assert low.dtype == torch.float32
    assert (low - network(blur)).abs().max() < 0.05


@pytest.mark.parametrize(
    ("bad", "found"),
    [
        ({"width": 0}, "width .* got 0"),
        ({"levels": 0}, "levels .* got 0"),
        ({"norm": "layer"}, "norm .* got layer"),
        ({"upsample": "cubic"}, "upsample .* got cubic"),
    ],
)
def test_a_bad_choice_is_refused_by_name(bad: dict[str, Any], found: str) -> None:
    with pytest.raises(ValueError, match=found):
        UNet(**bad)
