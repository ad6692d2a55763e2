import json
from typing import Any

import pytest
import torch
from torch import nn

from deblur import networks
from deblur.checkpoints import build_generator
from deblur.checkpoints.generator_file import GENERATORS
from deblur.networks.arguments import find_config

SMALL: dict[str, dict[str, Any]] = {
    "ResNet": {"blocks": 1, "width": 4, "skip": "average"},
    "UNet": {"width": 8, "levels": 2},
    "ResUNet": {"width": 8, "encoder": (1, 2), "decoder": (2, 1)},
    "NAFNet": {"width": 4, "encoder": [1, 1], "decoder": (1, 1)},
    "MultiScale": {"blocks": 1, "width": 4},
}


@pytest.mark.parametrize("name", GENERATORS)
def test_each_generator_is_built_again_from_what_it_keeps(name: str) -> None:
    with torch.device("meta"):
        network = getattr(networks, name)(**SMALL.get(name, {}))
        config = find_config(network)
        assert config is not None and json.loads(json.dumps(config)) == config
        again = build_generator(config, "it")
    assert type(again) is type(network) and find_config(again) == config
    shapes = [
        {name: value.shape for name, value in one.state_dict().items()} for one in (network, again)
    ]
    assert shapes[0] == shapes[1]


def test_networks_of_others_keep_nothing() -> None:
    class Mine(networks.ResNet):
        def __init__(self, *, colour: str) -> None:
            super().__init__(blocks=1, width=4)

    assert find_config(Mine(colour="red")) is None
    assert find_config(nn.Linear(2, 2)) is None


def test_a_shortened_network_keeps_its_new_number_of_stages() -> None:
    with torch.device("meta"):
        network = networks.MAXIM(width=4)
        network.shorten(1)
        config = find_config(network)
        assert config is not None and config["stages"] == 1
        again = build_generator(config, "it")
    assert list(again.state_dict()) == list(network.state_dict())
