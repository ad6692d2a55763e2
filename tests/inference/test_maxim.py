import math

import pytest
import torch
from maxim_pictures import crop, texture
from torch import Tensor, nn

from deblur.checkpoints import load_generator
from deblur.checkpoints.shipped import find_model
from deblur.inference import adapt, maxim_blocks, multi_axis
from deblur.networks import MAXIM
from deblur.networks.multi_axis import GELU

CPU = torch.device("cpu")


def psnr(one: Tensor, other: Tensor) -> float:
    return 10 * math.log10(4 / max(1e-12, float((one - other).square().mean())))


def lively(stages: int, gelu: GELU = "tanh") -> MAXIM:
    """Return a small network whose norms are not at their start."""
    network = MAXIM(stages=stages, width=8, bottlenecks=1, gelu=gelu, zero_last=False).eval()
    for module in network.modules():
        if isinstance(module, nn.LayerNorm):
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.uniform_(module.bias, -0.5, 0.5)
    return network


@pytest.mark.parametrize(("stages", "gelu"), [(1, "tanh"), (1, "erf"), (2, "tanh"), (3, "tanh")])
@torch.inference_mode()
def test_the_fast_path_equals_the_plain_one(
    stages: int, gelu: GELU, monkeypatch: pytest.MonkeyPatch
) -> None:
    network = lively(stages, gelu)
    blur = torch.nn.functional.interpolate(texture(), (70, 131), mode="bilinear")
    blur = torch.cat([blur, blur.flip(-1)])
    expected = network(blur)
    assert psnr(expected, blur) < 40
    for band in (1 << 30, 5000, 300):  # of all, of some rows, of parts of a row
        monkeypatch.setattr(multi_axis, "BAND", band)
        monkeypatch.setattr(maxim_blocks, "ROWS", band)
        restored = adapt(network, CPU, "float32")(blur)
        torch.testing.assert_close(restored, expected, atol=1e-5, rtol=0)


@pytest.mark.parametrize("stages", [1, 2])
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@torch.inference_mode()
def test_the_shipped_weights_by_the_fast_path(stages: int, precision: str) -> None:
    network = load_generator(find_model("maxim-gopro"), stages=stages).network
    for blur in (texture(), crop()):
        restored = adapt(network, CPU, precision)(blur)  # type: ignore[arg-type]
        assert psnr(restored, network(blur)) > (90 if precision == "float32" else 50)


@torch.inference_mode()
def test_without_onednn(monkeypatch: pytest.MonkeyPatch) -> None:
    network = lively(1)
    expected = network(texture())
    monkeypatch.setattr(torch._C, "_has_mkldnn", False)
    restored = adapt(network, CPU, "float32")(texture())
    torch.testing.assert_close(restored, expected, atol=1e-5, rtol=0)


def test_what_is_trained_stays_as_it_was() -> None:
    network = lively(2)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    with torch.inference_mode():
        adapt(network, CPU, "bfloat16")(texture())
    assert all(value.requires_grad for value in network.parameters())
    for name, value in network.state_dict().items():
        torch.testing.assert_close(value, before[name], atol=0, rtol=0)
