from typing import Any

import pytest
import torch

from deblur import networks
from deblur.networks.argument_checks import check_range


@pytest.mark.parametrize(
    "name, bad",
    [
        ("ResNet", {"blocks": 10**9}),
        ("ResNet", {"width": 10**9}),
        ("ResNet", {"dropout": 1.0}),
        ("ResNet", {"norm_eps": 0.0}),
        ("ResNet", {"norm_momentum": float("nan")}),
        ("UNet", {"levels": 1000}),
        ("UNet", {"width": 0}),
        ("MultiScale", {"scales": 1000}),
        ("MultiScale", {"blocks": -1}),
        ("NAFNet", {"encoder": [], "decoder": []}),
        ("NAFNet", {"encoder": [1] * 50, "decoder": [1] * 50}),
        ("NAFNet", {"middle": 10**9}),
        ("NAFNet", {"window": 0}),
        ("DenseDiscriminator", {"crop": 10**6}),
        ("DenseDiscriminator", {"width": -1}),
        ("PatchDiscriminator", {"layers": 100}),
        ("DoubleDiscriminator", {"width": 10**9}),
    ],
)
def test_sizes_that_no_memory_holds_are_refused_by_name(name: str, bad: dict[str, Any]) -> None:
    with torch.device("meta"), pytest.raises(ValueError, match=next(iter(bad))):
        getattr(networks, name)(**bad)


def test_the_ends_of_a_range_are_in_it() -> None:
    check_range("x", 0, 0, 1)
    check_range("x", 1, 0, 1)
    for value in (-1e-9, 1.001, float("nan")):
        with pytest.raises(ValueError, match="x must be 0 to 1, got"):
            check_range("x", value, 0, 1)
