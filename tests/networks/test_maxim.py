import numpy as np
import pytest
import torch
from conftest import ROOT
from maxim_pictures import crop, seeded, texture
from torch import Tensor, nn

from deblur.checkpoints import load_generator
from deblur.checkpoints.shipped import find_model
from deblur.networks import MAXIM
from deblur.networks.maxim_stage import Resize

EXPECTED = np.load(ROOT / "tests" / "expected" / "maxim.npz")
"""What the published graph makes of the same pictures and weights, in levels up to 65535."""
PICTURES = {"texture": texture, "crop": crop}


def expected(name: str) -> Tensor:
    """Return (1, 3, H, W) in [-1, 1]."""
    return torch.from_numpy(EXPECTED[name] / 65535 * 2 - 1).float()[None]


@pytest.mark.parametrize(("stages", "count"), [(1, 6_139_561), (2, 14_176_178), (3, 22_212_795)])
def test_parameters_of_each_stage(stages: int, count: int) -> None:
    with torch.device("meta"):
        network = MAXIM(stages=stages)
    assert sum(value.numel() for value in network.parameters()) == count
    # Published: the parts that feed a next stage are there in the last one, too, and the last
    # stage's heads for coarser images only while it is trained.
    feeding = sum(9 * c * c + c + 9 * 3 * c + c for c in (32, 64, 128))
    coarser = sum(9 * 3 * c + 3 for c in (64, 128))
    published = count + feeding if stages < 3 else count - coarser
    assert published == {1: 6_339_593, 2: 14_376_210, 3: 22_207_605}[stages]


@pytest.mark.parametrize("stages", [1, 2])
@pytest.mark.parametrize("picture", PICTURES)
@torch.inference_mode()
def test_the_shipped_stages_equal_the_published_graph(stages: int, picture: str) -> None:
    network = load_generator(find_model("maxim-gopro"), stages=stages).network
    restored = network(PICTURES[picture]())
    torch.testing.assert_close(restored, expected(f"{picture}{stages}"), atol=2e-4, rtol=0)


@torch.inference_mode()
def test_three_stages_equal_the_published_graph() -> None:
    network = MAXIM(stages=3)
    for name, value in network.state_dict().items():
        value.copy_(seeded(name, value.shape))
    restored = network.eval()(texture())
    assert restored.std() > 0.2
    torch.testing.assert_close(restored, expected("seeded3"), atol=2e-4, rtol=0)


def test_fewer_stages_are_a_prefix() -> None:
    network = MAXIM(stages=3, width=4, groups=1, zero_last=False).eval()
    blur = texture()
    with torch.inference_mode():
        images = network.pyramid(blur)
        for stages in (2, 1):
            network.shorten(stages)
            torch.testing.assert_close(network(blur), images[3 * stages - 1])
    fresh = MAXIM(stages=1, width=4, groups=1)
    assert network.state_dict().keys() == fresh.state_dict().keys()
    with pytest.raises(ValueError, match="stages"):
        network.shorten(2)


def test_it_starts_as_the_identity_at_every_scale() -> None:
    blur = texture()[..., :50, :61]
    with torch.inference_mode():
        images = MAXIM(stages=2, width=4, groups=1).eval().pyramid(blur)
    sizes = [(13, 16), (25, 31), (50, 61)] * 2
    assert [tuple(image.shape[2:]) for image in images] == sizes
    torch.testing.assert_close(images[-1], blur, atol=1e-6, rtol=0)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_gradients_reach_every_parameter(dtype: torch.dtype) -> None:
    network = MAXIM(stages=2, width=8, groups=1, bottlenecks=1, zero_last=False)
    for name, value in network.named_parameters():
        if name.endswith("squeeze.bias"):
            nn.init.ones_(value)  # of the few units at this width, none may be off
    with torch.autocast("cpu", dtype, enabled=dtype != torch.float32):
        images = network.pyramid(texture())
    sum(image.float().square().mean() for image in images).backward()  # type: ignore[union-attr]
    for name, value in network.named_parameters():
        assert value.grad is not None and value.grad.abs().max() > 0, name


@pytest.mark.parametrize("ratio", [0.5, 0.25])
def test_shrinking_is_antialiased(ratio: float) -> None:
    features = torch.rand(2, 16, 24, 5)
    shrunk = Resize(5, 5, ratio).resize(features)
    expected = nn.functional.interpolate(
        features.permute(0, 3, 1, 2), scale_factor=ratio, mode="bilinear", antialias=True
    )
    torch.testing.assert_close(shrunk.permute(0, 3, 1, 2), expected)


@pytest.mark.parametrize(
    ("argument", "value"),
    [("stages", 4), ("width", 6), ("groups", 0), ("bottlenecks", -1), ("gelu", "silu")],
)
def test_arguments_out_of_range_are_refused(argument: str, value: object) -> None:
    with pytest.raises(ValueError, match=argument):
        MAXIM(**{argument: value})  # type: ignore[arg-type]
