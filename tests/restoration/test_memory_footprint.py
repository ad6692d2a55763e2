import pytest
import torch
from torch import nn

from deblur.networks import FPN, MultiScale, NAFNet, ResNet, ResUNet, UNet
from deblur.restoration.memory_footprint import measure_footprint

CPU = torch.device("cpu")


def test_it_is_what_is_alive_at_a_time() -> None:
    # 8 channels of floats and then 4, while both are there.
    network = nn.Sequential(nn.Conv2d(3, 8, 1), nn.Conv2d(8, 4, 1), nn.Conv2d(4, 3, 1))
    assert measure_footprint(network, CPU) == pytest.approx(4 * (8 + 4), rel=0.01)


@pytest.mark.parametrize(
    "network", [ResNet(), UNet(), ResUNet(), NAFNet(width=16), MultiScale(), FPN()]
)
def test_every_generator_has_one(network: nn.Module) -> None:
    before = torch.get_rng_state()
    assert 100 < measure_footprint(network.eval(), CPU) < 3000
    assert torch.equal(torch.get_rng_state(), before)
    assert all(parameter.device.type == "cpu" for parameter in network.parameters())
