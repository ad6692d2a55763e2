import json
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import onnx
import onnxruntime
import pytest
import spandrel
import torch
from conftest import ROOT, fill
from torch import Tensor, nn

from deblur import extras, networks
from deblur.checkpoints import Generator, save_generator
from deblur.checkpoints.export import export_onnx, export_program
from deblur.extras import install_command
from deblur.networks.local import localize

SHALLOW: dict[str, Any] = {"width": 4, "encoder": [1, 1], "decoder": [1, 1]}
NARROW: dict[str, Any] = {"width": 4, "blocks": 1}
TINY_HALVES: dict[str, Any] = {
    **{"coarse_width": 4, "groups": 1, "bottlenecks": 1},
    **{"width": 4, "encoder": (1,), "middle": 1, "decoder": (1,)},
}
GENERATORS: dict[str, Callable[[], nn.Module]] = {
    "Li's": lambda: networks.ResNet(**NARROW),
    "Kupyn's": lambda: networks.ResNet(**NARROW, norm="instance", upsample="transposed"),
    "Keras'": lambda: networks.ResNet(**NARROW, padding="same", skip="average"),
    "UNet": lambda: networks.UNet(width=4, levels=2),
    "UNet with norms": lambda: networks.UNet(
        width=4, levels=2, norm="instance", upsample="nearest"
    ),
    "MultiScale": lambda: networks.MultiScale(**NARROW),
    "ResUNet": lambda: networks.ResUNet(width=4, encoder=(1, 1), middle=1, decoder=(1, 1)),
    "MAXIM": lambda: networks.MAXIM(stages=2, width=4, groups=1, bottlenecks=1),
    "CoarseToFine": lambda: networks.CoarseToFine(**TINY_HALVES),
    "NAFNet": lambda: networks.NAFNet(**SHALLOW, padding="zeros"),
    "NAFNet with tlc": lambda: networks.NAFNet(
        width=4, encoder=[1], decoder=[1], tlc="auto", window=41
    ),
    "mobilenet": lambda: shorten(networks.FPN()),
    "inception": lambda: shorten(networks.FPN(backbone="inception")),
}
SLOW = ("mobilenet", "inception", "MAXIM", "CoarseToFine")
KINDS = [pytest.param(kind, marks=[pytest.mark.slow] * (kind in SLOW)) for kind in GENERATORS]
SIZES = [
    (2, 3, 44, 53),
    (1, 3, 45, 71),
    (1, 3, 64, 96),
    (3, 3, 130, 33),
    (1, 3, 5, 7),
    (1, 3, 1, 9),
]
"""The size of the trace, odd ones, multiples of the strides, and sides below the least."""


def shorten(network: nn.Module) -> nn.Module:
    """Leave one of each stage's blocks that add to their input, of which backbones have dozens."""
    for stage in [layer for layer in network.modules() if isinstance(layer, nn.Sequential)]:
        adds = [getattr(block, "use_res_connect", hasattr(block, "scale")) for block in stage]
        for index in [index for index, more in enumerate(adds) if more][:0:-1]:
            del stage[index]
    return network


def lively(network: Any) -> Any:
    """Fill a network so that every layer matters, and none magnifies what rounding leaves."""
    fill(network)
    with torch.no_grad():
        for name, weight in network.named_parameters():
            if weight.ndim > 1:
                weight.mul_(8.7 / weight[0].numel() ** 0.5 if len(weight) > 1 else 5)
            elif name.endswith("weight"):
                weight.add_(1)
            if name.startswith(("ending", "final", "last")):
                weight.mul_(0.3)
            if ".heads." in name:
                weight.mul_(0.005)
    return network


def noise(*size: int) -> Tensor:
    return torch.rand(*size) * 2 - 1


def describe(network: nn.Module) -> Generator:
    config = {"_target_": f"deblur.networks.{type(network).__name__}", "width": 4}
    return Generator(network.eval(), config, {"dataset": "photos"})


def open_onnx(path: Path) -> Callable[[Tensor], Tensor]:
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    return lambda blur: torch.from_numpy(session.run(["restored"], {"blur": blur.numpy()})[0])


@torch.no_grad()
def compare(network: nn.Module, other: Callable[[Tensor], Tensor], tolerance: float) -> None:
    for size in SIZES:
        blur = noise(*size)
        restored = network(blur)
        assert (restored - blur).abs().mean() > 0.02
        torch.testing.assert_close(other(blur), restored, atol=tolerance, rtol=0)


@pytest.mark.parametrize("kind", KINDS)
def test_onnx_gives_what_the_network_gives_at_any_size(kind: str, tmp_path: Path) -> None:
    network, path = lively(GENERATORS[kind]()), tmp_path / "generator.onnx"
    export_onnx(path, describe(network), value_range="minus-one-one")
    assert list(tmp_path.iterdir()) == [path]
    compare(network, open_onnx(path), 1e-4)
    model = onnx.load(path)
    opset = 18 if kind in ("MAXIM", "CoarseToFine") else 17
    assert [(one.domain, one.version) for one in model.opset_import] == [("", opset)]
    onnx.checker.check_model(model, full_check=True)


@pytest.mark.parametrize("half", [False, True])
def test_onnx_takes_and_returns_zero_to_one(half: bool, tmp_path: Path) -> None:
    network, path = lively(GENERATORS["ResUNet"]()), tmp_path / "generator.onnx"
    blur = noise(1, 3, 45, 71)
    restored = network(blur).detach()
    export_onnx(path, describe(network), half=half)
    given = open_onnx(path)((blur + 1) / 2)
    tolerance = 5e-3 if half else 1e-4
    torch.testing.assert_close(given * 2 - 1, restored.clamp(-1, 1), atol=tolerance, rtol=0)
    told = {entry.key: entry.value for entry in onnx.load(path).metadata_props}
    assert told["range"] == "[0, 1]" and told["precision"] == ("float16" if half else "float32")
    kinds = {onnx.TensorProto.FLOAT16 if half else onnx.TensorProto.FLOAT}
    assert kinds >= {
        one.data_type for one in onnx.load(path).graph.initializer if len(one.dims) > 2
    }


@pytest.mark.parametrize("kind", KINDS[:-1])  # the last one's trace is ONNX's
def test_a_program_gives_what_the_network_gives_at_any_size(kind: str, tmp_path: Path) -> None:
    network, path = lively(GENERATORS[kind]()), tmp_path / "generator.pt2"
    export_program(path, describe(network))
    compare(network, torch.export.load(path).module(), 1e-5)


def test_a_network_switched_to_local_statistics_is_exported_as_it_is(tmp_path: Path) -> None:
    network = lively(nn.Sequential(nn.Conv2d(3, 3, 1), nn.InstanceNorm2d(3)))
    blur = noise(1, 3, 45, 71)
    before = network(blur)
    assert localize(network, 16) == 1
    assert (network(blur) - before).abs().mean() > 0.02
    export_program(tmp_path / "generator.pt2", describe(network))
    compare(network, torch.export.load(tmp_path / "generator.pt2").module(), 1e-5)


def test_every_generator_is_tried() -> None:
    tried = {type(make()).__name__ for make in GENERATORS.values()}
    assert tried == {name for name in networks.__all__ if not name.endswith("Discriminator")}


def test_an_onnx_file_says_what_it_is(tmp_path: Path) -> None:
    generator = describe(GENERATORS["Li's"]())
    export_onnx(tmp_path / "generator.onnx", generator)
    model = onnx.load(tmp_path / "generator.onnx")
    onnx.checker.check_model(model, full_check=True)
    for value, name in ((model.graph.input, "blur"), (model.graph.output, "restored")):
        assert [entry.name for entry in value] == [name]
        kind = value[0].type.tensor_type
        assert kind.elem_type == onnx.TensorProto.FLOAT
        sides = [side.dim_param or side.dim_value for side in kind.shape.dim]
        assert sides == ["batch", 3, "height", "width"]
    told = {entry.key: entry.value for entry in model.metadata_props}
    assert told["range"] == "[0, 1]"
    assert json.loads(told["generator"]) == generator.config
    assert json.loads(told["data"]) == generator.data
    # Nothing of the machine that wrote it.
    assert str(ROOT).encode() not in (tmp_path / "generator.onnx").read_bytes()


def test_a_program_says_what_it_is(tmp_path: Path) -> None:
    generator = describe(GENERATORS["Li's"]())
    export_program(tmp_path / "generator.pt2", generator)
    extra = {"generator.json": ""}
    torch.export.load(tmp_path / "generator.pt2", extra_files=extra)
    told = json.loads(extra["generator.json"])
    assert told["range"] == "[-1, 1]"
    assert json.loads(told["generator"]) == generator.config
    assert str(ROOT).encode() not in (tmp_path / "generator.pt2").read_bytes()


@pytest.mark.parametrize("package", ["onnx", "onnxscript"])
def test_a_missing_package_is_named(
    package: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(ImportError, match=f"{package}: {re.escape(install_command('export'))}"):
        export_onnx(tmp_path / "generator.onnx", describe(nn.Identity()))
    assert not list(tmp_path.iterdir())


def test_a_package_whose_graphs_are_wrong_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    installed = extras.version
    monkeypatch.setattr(
        extras, "version", lambda name: "0.7.0" if name == "onnxscript" else installed(name)
    )
    told = f"onnxscript 0.7.0 is out of range: {install_command('export')}"
    with pytest.raises(ImportError, match=re.escape(told)):
        export_onnx(tmp_path / "generator.onnx", describe(nn.Identity()))
    assert not list(tmp_path.iterdir())


def open_in_spandrel(path: Path, network: nn.Module) -> Callable[[Tensor], Tensor]:
    """Save a NAFNet, and open it as chaiNNer does; both take and give [-1, 1] here."""
    save_generator(path, network, {"_target_": "deblur.networks.NAFNet", **SHALLOW}, {})
    opened = spandrel.ModelLoader("cpu").load_from_file(path)
    assert isinstance(opened, spandrel.ImageModelDescriptor)
    assert (opened.architecture.id, opened.scale, opened.input_channels) == ("NAFNet", 1, 3)
    return lambda blur: opened((blur + 1) / 2) * 2 - 1


def test_a_nafnet_with_zeros_is_the_same_in_spandrel(tmp_path: Path) -> None:
    network = lively(networks.NAFNet(**SHALLOW, padding="zeros"))
    opened = open_in_spandrel(tmp_path / "nafnet.safetensors", network)
    for height, width in ((32, 48), (33, 47), (5, 7), (1, 1)):
        blur = noise(1, 3, height, width)
        restored = network(blur)
        assert (restored - blur).abs().mean() > 0.02
        torch.testing.assert_close(opened(blur), restored, atol=2e-5, rtol=0)  # 1e-5 in [0, 1]


def test_a_nafnet_with_reflection_is_the_same_in_spandrel_at_multiples_of_its_stride(
    tmp_path: Path,
) -> None:
    network = lively(networks.NAFNet(**SHALLOW))
    opened = open_in_spandrel(tmp_path / "nafnet.safetensors", network)
    blur = noise(1, 3, 32, 48)
    torch.testing.assert_close(opened(blur), network(blur), atol=2e-5, rtol=0)
    # Elsewhere it differs far from the border too: attention averages over the padding.
    blur = noise(1, 3, 33, 47)
    assert (opened(blur) - network(blur))[..., :16, :16].abs().max() > 1e-3
