from typing import Any

import pytest
import torch
import torch.nn.functional as F
from conftest import fill
from torch import Tensor, nn

from deblur.networks import FPN, ResNet, UNet
from deblur.networks.local import LocalInstanceNorm2d, LocalMean, local_mean, localize


def brute_force(features: Tensor, window: int) -> Tensor:
    """Average each pixel's window by itself; windows that would leave the feature are moved in."""
    height, width = features.shape[-2:]
    tall, wide = min(window, height), min(window, width)
    means = torch.empty_like(features)
    for i in range(height):
        for j in range(width):
            top = min(max(i - (tall - 1) // 2, 0), height - tall)
            left = min(max(j - (wide - 1) // 2, 0), width - wide)
            square = features[..., top : top + tall, left : left + wide]
            means[..., i, j] = square.mean((-2, -1))
    return means


@pytest.mark.parametrize("window", [1, 2, 3, 4, 7, 8, 9, 50])
@pytest.mark.parametrize("size", [(1, 1), (1, 9), (9, 8), (8, 3)])
def test_a_local_mean_is_the_mean_of_each_pixels_window(window: int, size: tuple[int, int]) -> None:
    features = torch.randn(2, 3, *size, dtype=torch.float64)
    means = local_mean(features, window)
    assert means.shape[-2:] == tuple(1 if window >= side else side for side in size)
    torch.testing.assert_close(means.expand_as(features), brute_force(features, window))


def test_running_sums_lose_little_far_from_zero_and_on_large_features() -> None:
    features = torch.rand(1, 1, 600, 3000) * 20 + 1000
    features[..., :1500] += 5
    window = 24
    inside = local_mean(features, window)[..., 11:-12, 11:-12]
    exact = F.avg_pool2d(features.double(), window, stride=1)
    error = (inside - exact).abs().max()
    distance = (features - features.mean()).abs().max()
    assert error < (1e-6 + 2e-7 * 3000 / window) * distance + 1000 * torch.finfo().eps
    plain = features.cumsum(-1).cumsum(-2)
    sums = F.pad(plain, (1, 0, 1, 0))
    corners = sums[..., window:, window:] - sums[..., :-window, window:]
    corners = corners - sums[..., window:, :-window] + sums[..., :-window, :-window]
    # What the mean's subtraction is for.
    assert (corners / window**2 - exact).abs().max() > 100 * error


@pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16])
def test_half_precision_is_summed_in_float32(kind: torch.dtype) -> None:
    features = (torch.rand(1, 2, 40, 500) * 100 + 200).to(kind)
    means = local_mean(features, 16)
    assert means.dtype == kind
    torch.testing.assert_close(means, local_mean(features.float(), 16).to(kind))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(local_mean(features, 16), means)
        wide = features.float()
        assert torch.equal(local_mean(wide, 16), local_mean(wide.clone(), 16))
        assert local_mean(wide, 16).dtype == torch.float32


def test_local_means_have_gradients() -> None:
    features = torch.randn(1, 2, 5, 6, dtype=torch.float64, requires_grad=True)
    norm = LocalInstanceNorm2d(2, window=3).double().eval()
    assert torch.autograd.gradcheck(lambda x: local_mean(x, 3), features)
    assert torch.autograd.gradcheck(norm, features)


def test_pooling_is_local_in_evaluation_and_beyond_a_size() -> None:
    features = torch.randn(1, 2, 6, 9)
    everywhere = features.mean((-2, -1), keepdim=True)
    pool = LocalMean(4).eval()
    torch.testing.assert_close(pool(features), brute_force(features, 4))
    torch.testing.assert_close(
        pool(features[..., :4, :4]), features[..., :4, :4].mean((-2, -1), True)
    )
    torch.testing.assert_close(LocalMean(4, beyond=9).eval()(features), everywhere)
    torch.testing.assert_close(LocalMean(4, beyond=8).eval()(features), brute_force(features, 4))
    torch.testing.assert_close(LocalMean().eval()(features), everywhere)
    torch.testing.assert_close(pool.train()(features), everywhere)


@pytest.mark.parametrize("affine", [False, True])
def test_a_local_norm_is_instance_norm_where_the_window_covers_it(affine: bool) -> None:
    local = fill(LocalInstanceNorm2d(3, window=8, affine=affine))
    norm = nn.InstanceNorm2d(3, affine=affine).eval()
    norm.load_state_dict(local.state_dict())
    small, large = torch.randn(2, 3, 8, 6), torch.randn(2, 3, 9, 6)
    assert torch.equal(local(small), norm(small))
    assert (local(large) - norm(large)).abs().max() > 1e-3
    assert torch.equal(local.train()(large), norm(large))


def test_a_local_norm_by_hand() -> None:
    features = torch.randn(2, 3, 7, 9, dtype=torch.float64) * 3 + 5
    norm = fill(LocalInstanceNorm2d(3, window=4, affine=True).double())
    mean = brute_force(features, 4)
    variance = brute_force(features**2, 4) - mean**2
    weight, bias = norm.weight.view(3, 1, 1), norm.bias.view(3, 1, 1)
    expected = (features - mean) / (variance + 1e-5).sqrt() * weight + bias
    torch.testing.assert_close(norm(features), expected)
    torch.testing.assert_close(norm(features[0]), expected[0])
    with torch.autocast("cpu", dtype=torch.bfloat16):
        torch.testing.assert_close(norm.float()(features.float()), expected.float())


def test_a_flat_region_is_no_trouble() -> None:
    features = torch.randn(1, 1, 64, 64) * 10
    features[..., 20:, 20:] = 7
    normal = LocalInstanceNorm2d(1, window=8).eval()(features)
    assert normal.isfinite().all()
    assert normal[..., 32:56, 32:56].abs().max() < 0.1


NETWORKS: list[tuple[nn.Module, list[int]]] = [
    (ResNet(blocks=1, width=4, norm="instance"), [48, 24, 12, 12, 12, 24, 48]),
    (UNet(width=4, levels=1, norm="instance"), [48, 48, 24, 24, 48, 48]),
]


@pytest.mark.parametrize(("network", "windows"), NETWORKS)
def test_windows_follow_each_features_stride(network: nn.Module, windows: list[int]) -> None:
    network = fill(network)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    small, large = torch.rand(1, 3, 48, 48) * 2 - 1, torch.rand(1, 3, 64, 96) * 2 - 1
    restored = [network(small), network(large)]
    assert (restored[1] - large).abs().mean() > 0.02
    assert localize(network, 32) == len(windows)
    found = [m.window for m in network.modules() if isinstance(m, LocalMean | LocalInstanceNorm2d)]
    assert sorted(found) == sorted(windows)
    after = network.state_dict()
    assert after.keys() == before.keys() and all(torch.equal(after[k], before[k]) for k in after)
    assert torch.equal(network(small), restored[0])
    assert (network(large) - restored[1]).abs().mean() > 1e-4
    assert localize(network, None) == len(windows)
    assert torch.equal(network(large), restored[1])


def test_a_network_in_training_is_as_before() -> None:
    network = fill(ResNet(blocks=1, width=4, norm="instance", dropout=0.0)).train()
    image = torch.rand(1, 3, 64, 64) * 2 - 1
    trained = network(image)
    localize(network, 16)
    assert network.training
    assert torch.equal(network(image), trained)
    assert not torch.equal(network.eval()(image), trained)


def test_what_has_no_statistics_of_its_own_stays() -> None:
    kept = nn.InstanceNorm2d(3, track_running_stats=True)
    assert localize(nn.Sequential(kept, nn.BatchNorm2d(3)), 32) == 0
    assert type(kept) is nn.InstanceNorm2d
    assert localize(ResNet(blocks=1, width=4), 32) == 0


def test_a_network_that_pads_small_images_gets_the_same_windows() -> None:
    with torch.device("meta"):
        network = FPN()
    # The backbone's norms are batch norms; the five of the pyramid are instance norms.
    assert localize(network, 32) == 5
    found = {n: m.window for n, m in network.named_modules() if isinstance(m, LocalInstanceNorm2d)}
    assert found == {
        "fpn.td1.1": 3,
        "fpn.td2.1": 6,
        "fpn.td3.1": 12,
        "smooth.1": 12,
        "smooth2.1": 24,
    }


@pytest.mark.parametrize(
    "call",
    [
        lambda: local_mean(torch.zeros(1, 1, 2, 2), 0),
        lambda: LocalMean(0),
        lambda: LocalInstanceNorm2d(3, window=0),
    ],
)
def test_a_window_of_nothing_is_refused(call: Any) -> None:
    with pytest.raises(ValueError, match="window"):
        call()


def test_a_crop_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="crop"):
        localize(nn.Identity(), 0)
