import math

import pytest
import torch
from torch import Tensor, nn

from deblur.inference.convolutions import Conv
from deblur.inference.integers import Quantized, QuantizedDense, QuantizedNorm, Scale
from deblur.inference.multi_axis import Dense, Normalize
from deblur.inference.precision import has_int8
from deblur.inference.quantized import QuantizedResidual, Row, calibrate, quantize
from deblur.inference.quantized_maxim import LEAST
from deblur.inference.streamline import streamline
from deblur.networks import FPN, MAXIM, CoarseToFine, MultiScale, NAFNet, ResNet, ResUNet, UNet
from deblur.networks.multi_axis import GELU

CPU = torch.device("cpu")
pytestmark = pytest.mark.skipif(not has_int8(CPU), reason="no int8 units")
with torch.random.fork_rng(devices=[]):  # the same weights in whatever order tests are collected
    torch.manual_seed(0)
    NETWORKS = {
        "li": (ResNet(blocks=2, width=32, init="glorot"), 7),
        "keras": (ResNet(blocks=1, width=32, skip="average", padding="same", init="glorot"), 2),
        "kupyn": (ResNet(blocks=1, width=32, norm="instance", upsample="transposed"), 0),
        "unet": (UNet(width=32, levels=2, zero_last=False), 10),
        "resunet": (
            ResUNet(width=32, encoder=(0, 1), middle=2, decoder=(1, 0), zero_last=False),
            8,
        ),
        "deepdeblur": (MultiScale(blocks=1, width=32, zero_last=False), 9),
        "nafnet": (NAFNet(width=32, encoder=(1,), decoder=(1,), zero_last=False), 0),
        "mobilenet": (FPN(zero_last=False), 0),
        "maxim": (MAXIM(stages=2, width=32, groups=1, bottlenecks=1, zero_last=False), 24),
        "fast": (
            CoarseToFine(
                groups=1, bottlenecks=0, encoder=(1,), middle=1, decoder=(1,), zero_last=False
            ),
            18,
        ),
    }
    """With how many of their convolutions become integers."""


def psnr(one: Tensor, other: Tensor) -> float:
    return 10 * math.log10(4 / max(1e-12, float((one - other).square().mean())))


def noise(*size: int) -> Tensor:
    return torch.rand(*size, generator=torch.Generator().manual_seed(0)) * 2 - 1


def integers(network: nn.Module, dtype: torch.dtype, image: Tensor) -> nn.Module:
    swift = streamline(network, CPU, dtype)
    return quantize(swift, calibrate(swift, [image]))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
@pytest.mark.parametrize("name", NETWORKS)
@torch.inference_mode()
def test_the_output_is_nearly_the_same(name: str, dtype: torch.dtype) -> None:
    network = NETWORKS[name][0].eval()
    exact = streamline(network, CPU, dtype)
    swift = integers(network, dtype, noise(1, 3, 64, 64))
    assert sum(isinstance(part, Quantized) for part in swift.modules()) == NETWORKS[name][1]
    for count, height, width in ((1, 70, 93), (2, 64, 48), (1, 70, 93)):
        blur = noise(count, 3, height, width)
        expected = exact(blur)
        made, error = (expected - blur).square().mean(), (swift(blur) - expected).square().mean()
        assert made > 1e-3, "the network does nothing that could go wrong"
        assert error < made / 300
        assert swift(blur).dtype == torch.float32


@torch.inference_mode()
def test_a_convolution_of_integers_is_exact_up_to_its_roundings() -> None:
    features = noise(1, 32, 9, 11).contiguous(memory_format=torch.channels_last)
    for activation in ("none", "relu", "relu6"):
        conv = Conv(nn.Conv2d(32, 40, 3, 2, 1), None, activation, dtype=torch.float32)
        conv.weight.copy_((conv.weight / conv.weight.abs().amax((1, 2, 3), True) * 127).round())
        conv.weight.div_(127)
        given = Scale(1 / 127, 128)
        whole = (features * 127).round()
        read = (whole + 128).to(torch.uint8)
        exact = conv(whole / 127)
        assert torch.allclose(Quantized(conv, given, None)(read), exact, atol=1e-5)
        top = float(exact.abs().max())
        gives = Scale(top / 127, 128) if activation == "none" else Scale(top / 255, 0)
        back = (Quantized(conv, given, gives)(read).float() - gives.zero) * gives.step
        assert float((back - exact).abs().max()) <= 0.5 * gives.step + 1e-5


@torch.inference_mode()
def test_a_block_adds_its_input() -> None:
    conv = Conv(nn.Conv2d(32, 32, 3, padding=1), None, "none", dtype=torch.float32)
    conv.weight.zero_()
    conv.bias.zero_()
    scale, gives = Scale(1 / 127, 128), Scale(2 / 127, 128)
    parts = [Quantized(conv, scale, scale), Quantized(conv, scale, gives)]
    features = torch.arange(256, dtype=torch.uint8).view(1, 1, 16, 16).repeat(1, 32, 1, 1)
    features = features.contiguous(memory_format=torch.channels_last)
    added = QuantizedResidual(parts, scale)(features.clone())
    values = (features.double() - 128) / 127
    assert float(((added.double() - 128) * 2 / 127 - values).abs().max()) <= 1 / 127 + 1e-9


@torch.inference_mode()
def test_what_is_beyond_the_ranges_that_were_seen_is_clipped() -> None:
    conv = Conv(nn.Conv2d(32, 32, 3, padding=1), None, "none", dtype=torch.float32)
    scale = Scale(1 / 127, 128)
    row = Row([Quantized(conv, scale, None)], scale, None, torch.float32)
    features = noise(1, 32, 8, 8)
    assert torch.equal(row(5 * features), row((5 * features).clamp(-128 / 127, 1)))


@torch.inference_mode()
def test_a_norm_rounds_to_the_nearest_integer_and_clips() -> None:
    features, scale = noise(1, 5, 7, LEAST), Scale(1 / 50, 100)
    for norm in (Normalize(LEAST, torch.float32), nn.LayerNorm(LEAST, 1e-6)):
        expected = (norm(features) / scale.step + scale.zero).clamp(0, 255)
        rounded = QuantizedNorm(norm, scale)(3 * features)
        assert rounded.dtype == torch.uint8 and 0 in rounded and 255 not in rounded
        assert float((rounded - expected).abs().max()) <= 0.5 + 1e-3


@pytest.mark.parametrize("gelu", ["tanh", "erf", None])
@torch.inference_mode()
def test_a_dense_layer_of_integers_is_exact_up_to_its_roundings(gelu: GELU | None) -> None:
    steps, given = (255 * (noise(1, 3, 5, LEAST) + 1) / 2).to(torch.uint8), Scale(1 / 100, 100)
    weight = (127 * noise(40, LEAST)).round()
    weight[:, 0] = 127  # the steps of the weight are then 1 / 127
    dense = Dense(weight / 127, noise(40), torch.float32, gelu)
    exact = dense((steps.float() - given.zero) * given.step)
    assert torch.allclose(QuantizedDense(dense, given)(steps), exact, atol=2e-3)


@torch.inference_mode()
def test_ranges_of_another_maxim_are_refused() -> None:
    swift = streamline(NETWORKS["maxim"][0], CPU, torch.float32)
    ranges = calibrate(swift, [noise(1, 3, 64, 64)])
    assert len(ranges[0] or []) % 2 == 0
    for wrong in (ranges[:-1], [*ranges, None], [[1.0, 2.0], *ranges[1:]]):
        with pytest.raises(ValueError):
            quantize(streamline(NETWORKS["maxim"][0], CPU, torch.float32), wrong)
    kept = quantize(swift, [None] * len(ranges))
    assert not any(isinstance(part, (Quantized, QuantizedDense)) for part in kept.modules())


@torch.inference_mode()
def test_a_network_of_one_colour_does_not_divide_by_zero() -> None:
    network = ResNet(blocks=1, width=32).eval()
    for value in network.parameters():
        value.zero_()
    swift = integers(network, torch.bfloat16, torch.zeros(1, 3, 32, 32))
    blur = noise(1, 3, 40, 40)
    assert torch.allclose(swift(blur), network(blur), atol=1e-2)
