import re
import sys
import types
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from conftest import fill
from safetensors.torch import save_file
from torch import Tensor, nn
from torchvision.models import MobileNet_V2_Weights, mobilenet_v2

from deblur.extras import install_command
from deblur.networks.backbones import INCEPTION, build_backbone
from deblur.networks.fpn import FPN

LEVELS = {"mobilenet": (16, 24, 32, 64, 160), "inception": (32, 64, 192, 1088, 2080)}
WIDTHS = {"mobilenet": (128, 64), "inception": (256, 128)}


def outline(**options: Any) -> FPN:
    """Build a network without memory for its weights."""
    with torch.device("meta"):
        return FPN(**options)


def same(network: nn.Module, other: nn.Module) -> bool:
    ours, theirs = network.state_dict(), other.state_dict()
    return ours.keys() == theirs.keys() and all(torch.equal(ours[k], theirs[k]) for k in ours)


def noise(*size: int) -> Tensor:
    return torch.rand(*size) * 2 - 1


@pytest.mark.parametrize(
    ("backbone", "count", "frozen"),
    [("mobilenet", 2_106_627, 1_088_835), ("inception", 35_840_099, 5_085_827)],
)
def test_the_sources_counts(backbone: Any, count: int, frozen: int) -> None:
    network = outline(backbone=backbone)

    def trainable() -> int:
        return sum(p.numel() for p in network.parameters() if p.requires_grad)

    assert trainable() == count
    network.freeze_backbone(True)
    assert trainable() == frozen
    network.freeze_backbone(False)
    assert trainable() == count


@pytest.mark.parametrize(("backbone", "keys"), [("mobilenet", 270), ("inception", 1038)])
def test_names_and_shapes_are_the_published_files(backbone: Any, keys: int) -> None:
    inside, half = WIDTHS[backbone]
    wanted: dict[str, tuple[int, ...]] = {}
    for step in (1, 2, 3):
        wanted[f"fpn.td{step}.0.weight"] = (inside, inside, 3, 3)
        wanted[f"fpn.td{step}.0.bias"] = (inside,)
    for level, channels in enumerate(LEVELS[backbone]):
        wanted[f"fpn.lateral{level}.weight"] = (inside if level else half, channels, 1, 1)
    for head in (1, 2, 3, 4):
        wanted[f"head{head}.block0.weight"] = (half, inside, 3, 3)
        wanted[f"head{head}.block1.weight"] = (half, half, 3, 3)
    wanted |= {"smooth.0.weight": (half, 4 * half, 3, 3), "smooth.0.bias": (half,)}
    wanted |= {"smooth2.0.weight": (half // 2, half, 3, 3), "smooth2.0.bias": (half // 2,)}
    wanted |= {"final.weight": (3, half // 2, 3, 3), "final.bias": (3,)}
    state = outline(backbone=backbone).state_dict()
    ours = {k: tuple(v.shape) for k, v in state.items() if not k.startswith("fpn.enc")}
    assert ours == wanted
    assert len(state) - len(ours) == keys


def test_the_inception_trunk_is_cadenes() -> None:
    network = outline(backbone="inception")
    state = {k: tuple(v.shape) for k, v in network.state_dict().items()}
    for key, shape in {
        "enc0.conv.weight": (32, 3, 3, 3),
        "enc1.1.bn.running_var": (64,),
        "enc2.1.conv.weight": (192, 80, 3, 3),
        "enc3.0.branch3.1.conv.weight": (64, 192, 1, 1),
        "enc3.1.9.branch2.2.conv.weight": (64, 48, 3, 3),
        "enc3.1.0.conv2d.bias": (320,),
        "enc3.2.branch0.conv.weight": (384, 320, 3, 3),
        "enc4.0.19.branch1.1.conv.weight": (160, 128, 1, 7),
        "enc4.1.branch2.2.conv.weight": (320, 288, 3, 3),
    }.items():
        assert state[f"fpn.{key}"] == shape
    norms = [m for m in network.fpn.modules() if isinstance(m, nn.BatchNorm2d)]
    blocks = [m.scale for m in network.fpn.modules() if hasattr(m, "scale")]
    assert {norm.eps for norm in norms} == {1e-3}
    assert blocks == [0.17] * 10 + [0.10] * 20
    pools = [m for m in network.fpn.modules() if isinstance(m, nn.MaxPool2d | nn.AvgPool2d)]
    kinds = [(type(pool), pool.kernel_size, pool.stride, pool.padding) for pool in pools]
    halving = (nn.MaxPool2d, 3, 2, 0)
    assert kinds == [halving, halving, (nn.AvgPool2d, 3, 1, 1), halving, halving]
    # TensorFlow's means leave the padding out.
    assert isinstance(pools[2], nn.AvgPool2d) and not pools[2].count_include_pad


def test_an_inception_block_is_the_plain_computation() -> None:
    block = build_backbone("inception", nn.BatchNorm2d, None).stages.get_submodule("enc4.0.0")
    state = fill(block).state_dict()
    features = noise(1, 1088, 9, 10)

    def unit(inputs: Tensor, name: str, padding: Any = 0) -> Tensor:
        mixed = F.conv2d(inputs, state[f"{name}.conv.weight"], padding=padding)
        rest = [state[f"{name}.bn.{part}"] for part in ("running_mean", "running_var")]
        mean, var, weight, bias = (
            value.view(-1, 1, 1)
            for value in (*rest, state[f"{name}.bn.weight"], state[f"{name}.bn.bias"])
        )
        return ((mixed - mean) / (var + 1e-3).sqrt() * weight + bias).relu()

    side = unit(unit(features, "branch1.0"), "branch1.1", (0, 3))
    both = torch.cat([unit(features, "branch0"), unit(side, "branch1.2", (3, 0))], dim=1)
    change = F.conv2d(both, state["conv2d.weight"], state["conv2d.bias"])
    assert torch.allclose(block(features), (features + 0.1 * change).relu(), atol=1e-4)


@pytest.mark.parametrize("statistics", ["image", "running"])
def test_it_starts_as_the_identity(statistics: Any) -> None:
    blur = noise(2, 3, 70, 64)
    assert torch.equal(FPN(statistics=statistics)(blur), blur)


@pytest.mark.parametrize("statistics", ["image", "running"])
@pytest.mark.parametrize("size", [(1, 1), (40, 70), (64, 64), (31, 97)])
def test_any_size_goes_in_and_comes_out(statistics: Any, size: tuple[int, int]) -> None:
    network = fill(FPN(statistics=statistics))
    for batch in (1, 2):
        blur = noise(batch, 3, *size)
        for training in (False, True):
            restored = network.train(training)(blur)
            assert restored.shape == blur.shape
            assert restored.abs().max() <= 1
            assert (restored - blur).abs().mean() > 0.02


@pytest.mark.parametrize("size", [(5, 3), (128, 150)])
def test_the_inception_variant_takes_any_size_too(size: tuple[int, int]) -> None:
    network = fill(FPN(backbone="inception"))
    blur = noise(1, 3, *size)
    with torch.no_grad():
        restored = network(blur)
        maps = network.fpn(noise(1, 3, 128, 160))
    assert restored.shape == blur.shape and restored.abs().max() <= 1
    assert (restored - blur).abs().mean() > 0.02
    sizes = [(1, 256, 128 // s, 160 // s) for s in (4, 8, 16, 32)]
    assert [tuple(m.shape) for m in maps] == [(1, 128, 64, 80), *sizes]


def test_the_inception_maps_are_padded_as_published() -> None:
    network = fill(FPN(backbone="inception"))
    seen: dict[str, Tensor] = {}

    def note(name: str) -> Any:
        # What a lateral gives, and what a top-down step takes.
        return lambda _, taken, given: seen.update({name: taken[0] if "td" in name else given})

    for name, module in network.fpn.named_children():
        module.register_forward_hook(note(name))
    with torch.no_grad():
        maps = network.fpn(noise(1, 3, 128, 160))
    heights = [seen[f"lateral{level}"].shape[-2] for level in range(5)]
    assert heights == [63, 30, 13, 6, 2]
    assert torch.equal(maps[0], F.pad(seen["lateral0"], (0, 1, 0, 1), mode="reflect"))
    assert torch.equal(maps[4], F.pad(seen["lateral4"], (1, 1, 1, 1), mode="reflect"))
    for level, rim in {3: (1, 1, 1, 1), 2: (1, 2, 1, 2), 1: (1, 1, 1, 1)}.items():
        lateral = F.pad(seen[f"lateral{level}"], rim, mode="reflect")
        coarser = maps[level + 1].repeat_interleave(2, -1).repeat_interleave(2, -2)
        assert torch.equal(seen[f"td{4 - level}"], lateral + coarser)


def test_from_the_backbone_on_it_is_the_plain_computation() -> None:
    network = fill(FPN())
    state = network.state_dict()
    blur = noise(2, 3, 64, 96)
    features, laterals = blur, []
    for level in range(5):
        features = network.fpn.get_submodule(f"enc{level}")(features)
        laterals.append(F.conv2d(features, state[f"fpn.lateral{level}.weight"]))

    def twice(image: Tensor, times: int = 2) -> Tensor:
        return image.repeat_interleave(times, -1).repeat_interleave(times, -2)

    def smooth(image: Tensor, name: str) -> Tensor:
        mixed = F.conv2d(image, state[f"{name}.0.weight"], state[f"{name}.0.bias"], padding=1)
        mean = mixed.mean((2, 3), keepdim=True)
        var = (mixed - mean).square().mean((2, 3), keepdim=True)
        return ((mixed - mean) / (var + 1e-5).sqrt()).relu()

    def head(image: Tensor, name: str) -> Tensor:
        first = F.conv2d(image, state[f"{name}.block0.weight"], padding=1).relu()
        return F.conv2d(first, state[f"{name}.block1.weight"], padding=1).relu()

    map4 = laterals[4]
    map3 = smooth(laterals[3] + twice(map4), "fpn.td1")
    map2 = smooth(laterals[2] + twice(map3), "fpn.td2")
    map1 = smooth(laterals[1] + twice(map2), "fpn.td3")
    heads = [twice(head(map4, "head4"), 8), twice(head(map3, "head3"), 4)]
    heads += [twice(head(map2, "head2")), head(map1, "head1")]
    half = smooth(twice(smooth(torch.cat(heads, dim=1), "smooth")) + laterals[0], "smooth2")
    change = F.conv2d(twice(half), state["final.weight"], state["final.bias"], padding=1).tanh()
    assert torch.allclose(network(blur), (blur + change).clamp(-1, 1), atol=1e-4)
    sizes = [(2, 64, 32, 48), (2, 128, 16, 24), (2, 128, 8, 12), (2, 128, 4, 6), (2, 128, 2, 3)]
    assert [tuple(m.shape) for m in network.fpn(blur)] == sizes


def test_statistics_of_the_image_are_those_of_training() -> None:
    # In double precision, since the norms magnify what sums in another order differ by.
    network, usual = fill(FPN()).double(), fill(FPN(statistics="running")).double()
    blurs = noise(3, 3, 64, 64).double()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    with torch.no_grad():
        restored = network(blurs)
        assert all(torch.equal(network.state_dict()[k], v) for k, v in before.items())
        assert not torch.allclose(usual(blurs), restored, atol=1e-2)
        # Each picture is on its own, in whatever company.
        for blur, one in zip(blurs, restored):
            assert torch.allclose(usual.train()(blur[None]), one, atol=1e-6)
            assert torch.allclose(network.eval()(blur[None]), one, atol=1e-6)
            assert torch.equal(network.train()(blur[None]), network.eval()(blur[None]))
        assert torch.allclose(network.train()(blurs), restored, atol=1e-6)
    name = "fpn.enc2.0.conv.0.1.running_mean"
    assert not torch.equal(network.state_dict()[name], before[name])


@pytest.mark.parametrize("statistics", ["image", "running"])
def test_gradients_reach_every_weight_that_matters(statistics: Any) -> None:
    network = FPN(statistics=statistics, zero_last=False)
    # Not the mean, which a norm fixes.
    (network(noise(2, 3, 64, 64)) * noise(2, 3, 64, 64)).sum().backward()
    # A norm takes a bias in front of it away.
    idle = {f"{part}.0.bias" for part in ("fpn.td1", "fpn.td2", "fpn.td3", "smooth", "smooth2")}
    still = {k for k, p in network.named_parameters() if p.grad is None or not p.grad.any()}
    assert still <= idle


def test_a_frozen_backbone_gets_no_gradients() -> None:
    network = FPN(zero_last=False)
    network.freeze_backbone(True)
    network(noise(1, 3, 64, 64)).square().mean().backward()
    got = {name for name, p in network.named_parameters() if p.grad is not None}
    assert "fpn.lateral0.weight" in got and not any(name.startswith("fpn.enc") for name in got)


def rounding(network: FPN, blur: Tensor) -> float:
    """Give what bfloat16 changes, as a share of what the network changes."""
    with torch.no_grad():
        plain = network.eval()(blur)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            rounded = network(blur)
    assert rounded.dtype == torch.float32
    return float((rounded - plain).abs().mean() / (plain - blur).abs().mean())


def test_bfloat16_is_near_float32() -> None:
    assert rounding(fill(FPN(statistics="running")), noise(2, 3, 64, 96)) < 0.1


@pytest.mark.parametrize("statistics", ["image", "running"])
def test_bfloat16_is_near_float32_from_the_first_steps_on(statistics: Any) -> None:
    # A random last layer would show the rounding that dozens of random norms have magnified.
    network, blur = FPN(statistics=statistics), noise(2, 3, 64, 96)
    optimizer = torch.optim.Adam(network.parameters(), 1e-3)
    for _ in range(5):
        optimizer.zero_grad()
        (network(blur) - blur.flip(-1)).abs().mean().backward()
        optimizer.step()
    assert rounding(network, blur) < 0.1


@pytest.mark.parametrize("bad", [{"backbone": "densenet"}, {"statistics": "x"}, {"weights": "x"}])
def test_a_bad_choice_is_refused_by_name(bad: dict[str, Any]) -> None:
    (name, value), *_ = bad.items()
    with pytest.raises(ValueError, match=f"{name} must be .* got {value}"):
        FPN(**bad)


@pytest.mark.parametrize(
    ("backbone", "other"), [("mobilenet", "timm"), ("inception", "torchvision")]
)
def test_each_backbone_has_its_own_source(backbone: Any, other: str) -> None:
    with pytest.raises(ValueError, match=f"weights of {backbone}.*{other}"):
        FPN(backbone=backbone, weights=other)


def test_weights_come_from_a_file_with_torchvisions_names(tmp_path: Path) -> None:
    whole = fill(mobilenet_v2(weights=None))
    path = str(tmp_path / "mobile.safetensors")
    save_file({k: v.contiguous() for k, v in whole.state_dict().items()}, path)
    network = FPN(weights=path, statistics="running").eval()
    assert network.weights_used == path
    assert FPN().weights_used == "random"
    features = blur = noise(1, 3, 64, 64)
    for level in range(5):
        features = network.fpn.get_submodule(f"enc{level}")(features)
    assert torch.allclose(features, whole.features[:16](blur), atol=1e-5)


def test_weights_come_from_a_file_with_timms_names(tmp_path: Path) -> None:
    stages = build_backbone("inception", nn.BatchNorm2d, None).stages
    held = {"classif.bias": torch.zeros(1)}
    for theirs, ours in INCEPTION.items():
        part = stages.get_submodule(ours).state_dict()
        held |= {f"{theirs}.{name}": value.contiguous() for name, value in part.items()}
    path = str(tmp_path / "inception.safetensors")
    save_file(held, path)
    read = build_backbone("inception", nn.BatchNorm2d, path)
    assert same(read.stages, stages)
    assert read.weights == path


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"features.3.conv.2.weight": None}, r"does not fit mobilenet_v2[^$]*enc1\.1\.conv\.2"),
        ({"features.0.1.bias": torch.zeros(7)}, r"does not fit mobilenet_v2[^$]*enc0\.0\.1\.bias"),
        ({"layer1.weight": torch.zeros(1)}, r"holds layer1\.weight, expected the names of"),
    ],
)
def test_weights_that_do_not_fit_are_refused(tmp_path: Path, change: Any, reason: str) -> None:
    held = mobilenet_v2(weights=None).state_dict() | change
    path = tmp_path / "wrong.safetensors"
    save_file({k: v.contiguous() for k, v in held.items() if v is not None}, path)
    with pytest.raises(ValueError, match=rf"wrong\.safetensors: {reason}"):
        FPN(weights=str(path))


def test_what_is_no_file_of_weights_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "text.safetensors"
    path.write_text("no weights")
    with pytest.raises(ValueError, match="text.safetensors"):
        FPN(weights=str(path))
    with pytest.raises(FileNotFoundError, match="none.safetensors"):
        FPN(weights="none.safetensors")


def test_weights_are_fetched_on_request(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = fill(mobilenet_v2(weights=None)).state_dict()
    monkeypatch.setattr(MobileNet_V2_Weights, "get_state_dict", lambda *_, **__: whole)
    network = FPN(weights="torchvision")
    assert network.weights_used == "torchvision mobilenet_v2 IMAGENET1K_V1"
    taken = network.state_dict()["fpn.enc4.4.conv.2.weight"]
    assert torch.equal(taken, whole["features.15.conv.2.weight"])

    def fail(*_: Any, **__: Any) -> None:
        raise OSError("no route to host")

    monkeypatch.setattr(MobileNet_V2_Weights, "get_state_dict", fail)
    with pytest.raises(ValueError, match="no route to host"):
        FPN(weights="torchvision")


def test_timm_is_asked_where_it_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    stages = build_backbone("inception", nn.BatchNorm2d, None).stages
    whole = nn.Module()
    for theirs, ours in INCEPTION.items():
        whole.add_module(theirs, stages.get_submodule(ours))
    timm: Any = types.ModuleType("timm")
    timm.__version__ = "1.0"
    timm.create_model = lambda name, pretrained: whole
    monkeypatch.setitem(sys.modules, "timm", timm)
    read = build_backbone("inception", nn.BatchNorm2d, "timm")
    assert read.weights == "timm 1.0 inception_resnet_v2"
    assert same(read.stages, stages)
    monkeypatch.setitem(sys.modules, "timm", None)
    with pytest.raises(ValueError, match=re.escape(install_command("timm"))):
        build_backbone("inception", nn.BatchNorm2d, "timm")
