import math
from copy import deepcopy

import pytest
import torch
from torch import Tensor, nn

from deblur.inference import gated
from deblur.inference.streamline import streamline
from deblur.networks import FPN, CoarseToFine, MultiScale, NAFNet, ResNet, ResUNet, UNet

CPU = torch.device("cpu")
with torch.random.fork_rng():
    torch.manual_seed(0)
    NETWORKS = {
        "li": ResNet(blocks=2, width=8),
        "keras": ResNet(blocks=1, width=8, skip="average", padding="same", init="glorot"),
        "kupyn": ResNet(blocks=2, width=8, norm="instance", upsample="transposed"),
        "unet": UNet(width=8, levels=2, zero_last=False),
        "unet with norms": UNet(
            width=8, levels=2, norm="batch", upsample="nearest", zero_last=False
        ),
        "unet with own norms": UNet(width=8, levels=2, norm="instance", zero_last=False),
        "resunet": ResUNet(
            width=8, encoder=(1, 1), middle=1, decoder=(1, 1), shuffle=2, zero_last=False
        ),
        "coarse to fine": CoarseToFine(
            **{"coarse_width": 8, "groups": 1, "bottlenecks": 1, "zero_last": False},
            **{"width": 8, "encoder": (1,), "middle": 1, "decoder": (1,)},
        ),
        "deepdeblur": MultiScale(blocks=1, width=8, zero_last=False),
        "deepdeblur, transposed": MultiScale(blocks=1, width=8, upsample="transposed", skip=False),
        "nafnet": NAFNet(width=8, encoder=(1, 1), decoder=(1, 1), zero_last=False),
        "nafnet, local": NAFNet(
            width=8, encoder=(1, 1), decoder=(1, 1), zero_last=False, tlc="on", window=24
        ),
        "mobilenet": FPN(zero_last=False),
        "mobilenet, running": FPN(zero_last=False, statistics="running"),
        "inception": FPN(backbone="inception", zero_last=False),
    }


def enliven(network: nn.Module) -> nn.Module:
    """Give norms and scales values that are not their start's."""
    generator = torch.Generator().manual_seed(0)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d | nn.InstanceNorm2d | gated.LayerNorm):
            for name, value in module.state_dict().items():
                if value.is_floating_point():
                    noise = torch.rand(value.shape, generator=generator)
                    value.copy_(noise + 0.5 if "var" in name or "weight" in name else noise - 0.5)
        if isinstance(module, gated.Block):
            for scale in (module.beta, module.gamma):
                scale.data.uniform_(-0.5, 0.5, generator=generator)
    return network.eval()


def psnr(one: Tensor, other: Tensor) -> float:
    return 10 * math.log10(4 / max(1e-12, float((one - other).square().mean())))


@pytest.mark.parametrize("name", NETWORKS)
@torch.inference_mode()
def test_the_output_is_the_same(name: str) -> None:
    network = enliven(NETWORKS[name])
    swift = streamline(network, CPU, torch.float32)
    faster = streamline(network, CPU, torch.bfloat16)
    for count, height, width in ((1, 70, 93), (2, 64, 48)):
        blur = torch.rand(count, 3, height, width) * 2 - 1
        expected = network(blur)
        assert psnr(blur, expected) < 35, "the network does nothing that could go wrong"
        assert psnr(swift(blur), expected) > 90
        with torch.autocast("cpu", torch.bfloat16):
            usual = network(blur)
        assert psnr(faster(blur), expected) > min(48, psnr(usual, expected) - 2)
        assert faster(blur).dtype == torch.float32


@torch.inference_mode()
def test_large_features_go_through_in_bands(monkeypatch: pytest.MonkeyPatch) -> None:
    network = enliven(NETWORKS["nafnet"])
    blur = torch.rand(1, 3, 70, 93) * 2 - 1
    expected = streamline(network, CPU, torch.float32)(blur)
    monkeypatch.setattr(gated, "WHOLE", 5_000)
    monkeypatch.setattr(gated, "BAND", 5_000)
    assert psnr(streamline(network, CPU, torch.float32)(blur), expected) > 90


def test_the_network_itself_stays_as_it_was() -> None:
    network = NETWORKS["li"].train()
    before = deepcopy(network.state_dict())
    swift = streamline(network, CPU, torch.bfloat16)
    assert network.training and all(p.requires_grad for p in network.parameters())
    assert all(torch.equal(value, before[key]) for key, value in network.state_dict().items())
    assert not swift.training and not any(p.requires_grad for p in swift.parameters())


class Strange(nn.Module):
    """Has layers that are not known, and none of the package's habits."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 8, 3, padding=1, padding_mode="circular")
        self.mix = nn.Linear(8, 8)
        self.scale = nn.Parameter(torch.rand(8, 1, 1))
        self.same = nn.Sequential(
            nn.Conv2d(8, 8, 3, padding="same"),
            nn.ReLU(),
            nn.Conv2d(8, 8, (2, 5), padding="same", padding_mode="reflect"),
            nn.Conv2d(8, 8, (3, 5), padding="same", padding_mode="reflect"),
        )
        self.valid = nn.Conv2d(8, 8, 1, padding="valid")
        self.last = nn.Sequential(nn.Conv2d(8, 3, 1), nn.Tanh(), nn.Upsample(scale_factor=3))

    def forward(self, blur: Tensor) -> Tensor:
        features = self.mix(self.conv(blur).movedim(1, -1)).movedim(-1, 1) * self.scale
        return blur + self.last(self.valid(self.same(features)))[..., ::3, ::3]


@torch.inference_mode()
def test_networks_of_others_work() -> None:
    network = Strange().eval()
    blur = torch.rand(1, 3, 20, 30) * 2 - 1
    assert psnr(streamline(network, CPU, torch.float32)(blur), network(blur)) > 90
    assert psnr(streamline(network, CPU, torch.bfloat16)(blur), network(blur)) > 40
