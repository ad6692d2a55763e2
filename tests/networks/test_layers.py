import pytest
from torch import nn

from deblur.networks import MAXIM, DenseDiscriminator, NAFNet, ResNet
from deblur.networks.layers import list_layers, table2


def test_layers_are_listed_with_their_outputs() -> None:
    layers = list_layers(ResNet(), (3, 256, 256))
    convs = [layer for layer in layers if layer.name == "Conv2d"]
    assert convs[0] == ("Conv2d", "7x7", "1", "64x256x256", 9_472, 0)
    assert convs[2] == ("Conv2d", "3x3", "2", "256x64x64", 295_168, 0)
    assert convs[-1].output == "3x256x256"
    assert sum(layer.parameters + layer.statistics for layer in layers) == 11_399_171


def test_listing_leaves_a_network_as_it_was() -> None:
    network = ResNet(blocks=1, width=4).train()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    list_layers(network, (3, 16, 16))
    assert network.training
    assert all((network.state_dict()[name] == value).all() for name, value in before.items())


def test_table_2_gives_the_papers_counts() -> None:
    table = table2({"generator": ResNet(), "discriminator": DenseDiscriminator()}, (3, 256, 256))
    assert "| generator | 24 | 11,388,675 | 10,496 | 11.40M |" in table
    assert "| discriminator | 6 | 3,096,450 | 1,920 | 3.10M |" in table


@pytest.mark.parametrize(
    "network",
    [
        NAFNet(width=4, encoder=[1], middle=1, decoder=[1]),
        MAXIM(stages=1, width=4),
    ],
    ids=lambda network: type(network).__name__,
)
def test_table_2_counts_all_parameters(network: nn.Module) -> None:
    row = table2({"it": network}, (3, 64, 64)).splitlines()[-1]
    assert f" {sum(p.numel() for p in network.parameters()):,} " in row
