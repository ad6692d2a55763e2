import pytest
import torch
import torch.nn.functional as F
from conftest import fill
from torch import Tensor, nn

from deblur.inference import convolutions
from deblur.inference.convolutions import Activation, Conv, Deconv, enlarging, shuffling

ACTIVATIONS: dict[Activation, nn.Module] = {
    "none": nn.Identity(),
    "relu": nn.ReLU(),
    "relu6": nn.ReLU6(),
}


@pytest.fixture(params=["oneDNN", "plain"])
def kernels(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have both: the fused kernels of x86 and Arm, and what other devices do."""
    if request.param == "plain":
        monkeypatch.setattr(convolutions, "_has_onednn", lambda features: False)


def close(given: Tensor, expected: Tensor) -> bool:
    return torch.allclose(given, expected, rtol=1e-5, atol=1e-5 * float(expected.abs().max()))


@pytest.mark.usefixtures("kernels")
@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize(
    "conv",
    [
        nn.Conv2d(5, 8, 3, padding=1),
        nn.Conv2d(5, 8, 3, stride=2, padding=(0, 2), bias=False),
        nn.Conv2d(8, 8, 3, padding=1, groups=8),
        nn.Conv2d(6, 8, 3, dilation=2, groups=2),
        nn.Conv2d(5, 8, (3, 5), padding=(1, 2), padding_mode="reflect"),
    ],
)
@torch.no_grad()
def test_a_convolution_takes_its_norm_and_activation_along(
    conv: nn.Conv2d, activation: Activation
) -> None:
    conv = fill(conv)  # type: ignore[assignment]
    norm = fill(nn.BatchNorm2d(8))
    both = Conv(conv, norm, activation, dtype=torch.float32)  # type: ignore[arg-type]
    for count, height, width in ((1, 11, 14), (2, 9, 8)):  # what was packed for one size fits all
        features = torch.randn(count, conv.in_channels, height, width)
        expected = ACTIVATIONS[activation](norm(conv(features)))
        assert close(both(features), expected)
        channels_last = features.to(memory_format=torch.channels_last)
        assert close(both(channels_last), expected)


@pytest.mark.usefixtures("kernels")
@pytest.mark.parametrize("rim", [1, 3])
@torch.no_grad()
def test_it_pads_adds_and_scales(rim: int) -> None:
    conv = nn.Conv2d(6, 6, 2 * rim + 1)
    features, add = torch.randn(2, 2, 6, 9, 7)
    scale = torch.rand(1, 6, 1, 1)
    both = Conv(conv, reflect=rim, dtype=torch.float32)
    plain = conv(F.pad(features, [rim] * 4, mode="reflect"))
    assert close(both(features), plain)
    assert close(both(features, add=add), plain + add)
    scaled = conv(F.pad(features * scale, [rim] * 4, mode="reflect"))
    assert close(both(features, add=add, scale=scale), scaled + add)
    assert close(both(features), plain)


@pytest.mark.usefixtures("kernels")
@torch.no_grad()
def test_a_transposed_convolution_does_too() -> None:
    conv = nn.ConvTranspose2d(4, 6, 3, stride=2, padding=1, output_padding=1).eval()
    norm = fill(nn.BatchNorm2d(6))
    both = Deconv(conv, norm, "relu", dtype=torch.float32)  # type: ignore[arg-type]
    for height, width in ((5, 8), (7, 4)):
        features = torch.randn(2, 4, height, width)
        assert close(both(features), norm(conv(features)).relu())


@pytest.mark.parametrize("bias", [True, False])
@torch.no_grad()
def test_doubling_pixels_and_convolving_is_one_step(bias: bool) -> None:
    conv = nn.Conv2d(4, 6, 3, padding=1, bias=bias)
    features = torch.randn(2, 4, 5, 7)
    expected = conv(F.interpolate(features, scale_factor=2.0))
    assert close(enlarging(conv)(features), expected)


@pytest.mark.parametrize("times", [2, 3])
@torch.no_grad()
def test_convolving_and_shuffling_is_one_step(times: int) -> None:
    conv = nn.Conv2d(4, 5 * times**2, 1, bias=False)
    features = torch.randn(2, 4, 5, 7)
    assert close(shuffling(conv, times)(features), F.pixel_shuffle(conv(features), times))


@pytest.mark.usefixtures("kernels")
@torch.no_grad()
def test_its_arithmetic_is_of_its_own_type() -> None:
    conv = nn.Conv2d(4, 4, 3, padding=1, padding_mode="reflect")
    features = torch.randn(1, 4, 8, 8)
    swift = Conv(conv, dtype=torch.bfloat16)
    with torch.autocast("cpu", torch.bfloat16):  # which would turn padding into float32
        restored = swift(features)
    assert restored.dtype == torch.bfloat16
    assert torch.allclose(restored.float(), conv(features), atol=0.02)


@pytest.mark.skipif(not torch._C._has_mkldnn, reason="no oneDNN")
def test_weights_are_packed_for_the_size_that_comes() -> None:
    """oneDNN converts weights that were packed for another size, slowly, in each call."""
    conv = Conv(nn.Conv2d(8, 8, 3, padding=1), dtype=torch.float32)
    for size in ((1, 8, 16, 16), (1, 8, 32, 24), (1, 8, 16, 16)):
        features = torch.rand(size)
        exact = F.conv2d(features, conv.weight, conv.bias, padding=1)
        assert torch.allclose(conv(features), exact, atol=1e-5)
        packed = conv.packed
        assert packed is not None and conv.packed_for == features.shape
        conv(torch.rand(size))
        assert conv.packed is packed
