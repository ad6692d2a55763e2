"""Published files load, and compute what their names say: each against a plain computation."""

import re
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import h5py
import layouts_of_weights as layouts
import pytest
import torch
import torch.nn.functional as F
from conftest import fill
from torch import Tensor

from deblur.checkpoints import load_generator
from deblur.extras import install_command
from deblur.networks import NAFNet

State = dict[str, Tensor]


def image(height: int = 41, width: int = 57) -> Tensor:
    return torch.rand(1, 3, height, width) * 1.8 - 0.9


def check(
    path: Path, compute: Callable[[State, Tensor], Tensor], state: State, blur: Tensor
) -> None:
    """Compare a file's network with what a plain computation makes of the same values.

    In double precision, since norms magnify what sums in another order differ by.
    """
    doubles = {name: v.double() if v.is_floating_point() else v for name, v in state.items()}
    with torch.inference_mode():
        expected = compute(doubles, blur.double())
        restored = load_generator(path).network.double()(blur.double())
    assert (expected - blur).abs().mean() / 2 > 0.02
    torch.testing.assert_close(restored, expected, atol=1e-6, rtol=0)


def reflect(features: Tensor, rim: int) -> Tensor:
    return F.pad(features, (rim,) * 4, mode="reflect")


def deblurgan(state: State, blur: Tensor, blocks: int = 2, second: int = 6) -> Tensor:
    """Compute DeblurGAN's generator from its published names, without dropout."""

    def norm(features: Tensor, name: str) -> Tensor:
        if f"{name}.weight" not in state:
            return F.instance_norm(features)
        mean, var = state[f"{name}.running_mean"], state[f"{name}.running_var"]
        return F.batch_norm(features, mean, var, state[f"{name}.weight"], state[f"{name}.bias"])

    def weights(name: str) -> tuple[Tensor, Tensor | None]:
        return state[f"{name}.weight"], state.get(f"{name}.bias")

    x = norm(F.conv2d(reflect(blur, 3), *weights("model.1")), "model.2").relu()
    for place in (4, 7):
        features = F.conv2d(x, *weights(f"model.{place}"), stride=2, padding=1)
        x = norm(features, f"model.{place + 1}").relu()
    for block in range(10, 10 + blocks):
        inside = f"model.{block}.conv_block"
        y = norm(F.conv2d(reflect(x, 1), *weights(f"{inside}.1")), f"{inside}.2").relu()
        last = F.conv2d(reflect(y, 1), *weights(f"{inside}.{second}"))
        x = x + norm(last, f"{inside}.{second + 1}")
    for place in (10 + blocks, 13 + blocks):
        features = F.conv_transpose2d(
            x, *weights(f"model.{place}"), stride=2, padding=1, output_padding=1
        )
        x = norm(features, f"model.{place + 1}").relu()
    change = F.conv2d(reflect(x, 3), *weights(f"model.{17 + blocks}")).tanh()
    return (blur + change).clamp(-1, 1)


@pytest.mark.parametrize("legacy", [True, False])
@pytest.mark.parametrize(
    "kind",
    [
        {},
        {"tracked": False},
        {"blocks": 3, "width": 4},
        {"norm": "batch"},
        {"second": 5},
    ],
)
def test_deblurgan(kind: dict[str, Any], legacy: bool, tmp_path: Path) -> None:
    state = layouts.deblurgan(**kind)
    path = tmp_path / "latest_net_G.pth"
    torch.save(state, path, _use_new_zipfile_serialization=not legacy)
    sizes = {key: kind[key] for key in ("blocks", "second") if key in kind}
    check(path, partial(deblurgan, **sizes), state, image(40, 56))


@pytest.mark.parametrize("second, count", [(6, 11_378_179), (0, 6_067_459)])
def test_deblurgan_has_the_published_counts(second: int, count: int) -> None:
    state = layouts.deblurgan(9, 64, tracked=False, second=second)
    assert sum(value.numel() for value in state.values()) == count


def test_deblurgan_with_blocks_of_one_convolution_is_refused(tmp_path: Path) -> None:
    torch.save(layouts.deblurgan(second=0), tmp_path / "latest_net_G.pth")
    with pytest.raises(ValueError, match="latest_net_G.pth"):
        load_generator(tmp_path / "latest_net_G.pth")


def mobilenet(state: State, blur: Tensor) -> Tensor:
    """Compute DeblurGAN-v2's MobileNet pyramid as its predict.py does, from published names."""
    height, width = blur.shape[-2:]
    x = F.pad(blur, (0, (width // 32 + 1) * 32 - width, 0, (height // 32 + 1) * 32 - height))

    def get(name: str) -> Tensor:
        return state[f"module.{name}"]

    def norm(features: Tensor, name: str) -> Tensor:
        return F.batch_norm(features, None, None, get(f"{name}.weight"), get(f"{name}.bias"), True)

    def unit(features: Tensor, name: str, place: int, stride: int = 1) -> Tensor:
        kernel = get(f"{name}.{place}.weight")
        groups = len(kernel) if kernel.shape[1] == 1 else 1
        rim = kernel.shape[-1] // 2
        made = F.conv2d(features, kernel, stride=stride, padding=rim, groups=groups)
        return norm(made, f"{name}.{place + 1}")

    def block(features: Tensor, index: int, stride: int) -> Tensor:
        name, y = f"fpn.features.{index}.conv", features
        first = 3 if index > 1 else 0
        if first:
            y = unit(y, name, 0).clamp(0, 6)
        y = unit(y, name, first, stride).clamp(0, 6)
        y = unit(y, name, first + 3)
        return features + y if stride == 1 and y.shape == features.shape else y

    def smooth(features: Tensor, name: str) -> Tensor:
        made = F.conv2d(features, get(f"{name}.0.weight"), get(f"{name}.0.bias"), padding=1)
        return F.instance_norm(made).relu()

    def head(features: Tensor, name: str) -> Tensor:
        for part in ("block0", "block1"):
            features = F.conv2d(features, get(f"{name}.{part}.weight"), padding=1).relu()
        return features

    def up(features: Tensor, times: int = 2) -> Tensor:
        return features.repeat_interleave(times, -1).repeat_interleave(times, -2)

    x = unit(x, "fpn.features.0", 0, 2).clamp(0, 6)
    maps = []
    for index in range(1, 16):
        x = block(x, index, 2 if index in (2, 4, 7, 14) else 1)
        if index in (1, 3, 6, 10, 15):
            maps.append(F.conv2d(x, get(f"fpn.lateral{len(maps)}.weight")))
    map4 = maps[4]
    map3 = smooth(maps[3] + up(map4), "fpn.td1")
    map2 = smooth(maps[2] + up(map3), "fpn.td2")
    map1 = smooth(maps[1] + up(map2), "fpn.td3")
    heads = [up(head(map4, "head4"), 8), up(head(map3, "head3"), 4)]
    heads += [up(head(map2, "head2")), head(map1, "head1")]
    y = smooth(up(smooth(torch.cat(heads, 1), "smooth")) + maps[0], "smooth2")
    change = F.conv2d(up(y), get("final.weight"), get("final.bias"), padding=1).tanh()
    return (blur + change[..., :height, :width]).clamp(-1, 1)


@pytest.mark.parametrize("size", [(64, 96), (70, 101)])
def test_deblurgan_v2_with_mobilenet(size: tuple[int, int], tmp_path: Path) -> None:
    state = layouts.deblurgan_v2("mobilenet")
    path = tmp_path / "fpn_mobilenet.h5"
    torch.save({"model": state}, path, _use_new_zipfile_serialization=False)
    check(path, mobilenet, state, image(*size))


@pytest.mark.parametrize(
    "backbone, keys, twins", [("mobilenet", 622, 270), ("inception", 2384, 1038)]
)
def test_deblurgan_v2_has_the_published_names(
    backbone: str, keys: int, twins: int, tmp_path: Path
) -> None:
    state = layouts.deblurgan_v2(backbone)
    assert len(state) == keys
    assert sum(bool(re.match(r"module\.fpn\.enc", name)) for name in state) == twins
    path = tmp_path / "fpn.h5"
    torch.save({"model": state}, path)
    network = load_generator(path).network
    weights = network.state_dict()
    assert torch.equal(weights["fpn.lateral4.weight"], state["module.fpn.lateral4.weight"])
    if backbone == "inception":
        name = "repeat_1.19.branch1.2.conv.weight"
        assert torch.equal(
            weights["fpn.enc4.0.19.branch1.2.conv.weight"],
            state[f"module.fpn.inception.{name}"],
        )


def test_counts_of_batches_may_be_missing(tmp_path: Path) -> None:
    whole = layouts.deblurgan_v2("mobilenet")
    state = {name: v for name, v in whole.items() if not name.endswith("num_batches_tracked")}
    assert len(state) == 520
    torch.save({"model": state}, tmp_path / "fpn_mobilenet.h5")
    check(tmp_path / "fpn_mobilenet.h5", mobilenet, state, image(64, 64))


@pytest.mark.parametrize(
    "name, value, said",
    [
        (
            "fpn.enc2.1.conv.0.weight",
            torch.zeros(192, 32, 1, 1),
            "fpn.features.5.conv.0.weight differs",
        ),
        (
            "fpn.enc2.1.conv.0.weight",
            None,
            "backbone differ: 1 unexpected: fpn.features.5.conv.0",
        ),
        (
            "fpn.features.5.conv.0.weight",
            None,
            "backbone differ: 1 missing: fpn.features.5.conv.0",
        ),
        (
            "fpn.features.19.0.weight",
            torch.zeros(1),
            "1 unexpected: fpn.features.19.0.weight",
        ),
        ("fpn.features.0.0.weight", None, "expected MobileNetV2 or InceptionResNetV2"),
        ("final.bias", None, "1 missing: final.bias"),
    ],
)
def test_a_pyramid_is_whole_or_refused(
    name: str, value: Tensor | None, said: str, tmp_path: Path
) -> None:
    state = layouts.deblurgan_v2("mobilenet")
    state.pop(f"module.{name}", None)
    if value is not None:
        state[f"module.{name}"] = value
    torch.save({"model": state}, tmp_path / "fpn_mobilenet.h5")
    with pytest.raises(ValueError, match=f"fpn_mobilenet.h5: .*{said}"):
        load_generator(tmp_path / "fpn_mobilenet.h5")


@pytest.mark.parametrize(
    "wrapper, prefix", [("params", ""), ("params_ema", ""), ("params", "module.")]
)
def test_nafnet(wrapper: str, prefix: str, tmp_path: Path) -> None:
    sizes: dict[str, Any] = {
        "width": 4,
        "encoder": [1, 2],
        "middle": 1,
        "decoder": [2, 1],
    }
    network = fill(NAFNet(**sizes, padding="zeros"))
    state = {f"{prefix}{name}": value for name, value in network.state_dict().items()}
    torch.save({wrapper: state}, tmp_path / "NAFNet.pth")
    loaded = load_generator(tmp_path / "NAFNet.pth")
    assert {key: loaded.config[key] for key in sizes} == sizes
    double = network.double()
    check(tmp_path / "NAFNet.pth", lambda state, blur: double(blur), state, image())


def test_nafnets_baseline_is_refused(tmp_path: Path) -> None:
    state = NAFNet(width=4, encoder=[1], decoder=[1]).state_dict()
    state["encoders.0.0.se.1.weight"] = torch.zeros(2, 4, 1, 1)
    torch.save({"params": state}, tmp_path / "baseline.pth")
    with pytest.raises(ValueError, match="the baseline of NAFNet's paper"):
        load_generator(tmp_path / "baseline.pth")


def by_keras(state: State, blur: Tensor, blocks: int = 2) -> Tensor:
    """Compute deblur-gan's generator from Keras' values and rules."""
    count = iter(range(1, 7 + 2 * blocks))

    def layer(features: Tensor, pad: str = "valid", stride: int = 1, norm: bool = True) -> Tensor:
        index = next(count)
        kernel = state[f"conv2d_{index}/kernel"].permute(3, 2, 0, 1)
        if pad == "same":
            features = F.pad(features, (0, 1, 0, 1) if stride == 2 else (1, 1, 1, 1))
        made = F.conv2d(features, kernel, state[f"conv2d_{index}/bias"], stride=stride)
        if not norm:
            return made
        values = [
            state[f"batch_normalization_{index}/{name}"]
            for name in ("moving_mean", "moving_variance", "gamma", "beta")
        ]
        return F.batch_norm(made, *values, eps=1e-3)

    x = layer(reflect(blur, 3)).relu()
    for _ in range(2):
        x = layer(x, "same", 2).relu()
    for _ in range(blocks):
        y = layer(reflect(x, 1)).relu()
        x = x + layer(reflect(y, 1))
    for _ in range(2):
        x = layer(x.repeat_interleave(2, -1).repeat_interleave(2, -2), "same").relu()
    return (layer(reflect(x, 3), norm=False).tanh() + blur) / 2


@pytest.mark.parametrize("whole", [False, True])
def test_keras(whole: bool, tmp_path: Path) -> None:
    state = layouts.keras(tmp_path / "generator.h5", whole=whole)
    check(tmp_path / "generator.h5", by_keras, state, image(40, 56))


def test_keras_transposed_convolutions_are_refused(tmp_path: Path) -> None:
    layouts.keras(tmp_path / "generator.h5", conv="conv2d_transpose")
    with pytest.raises(ValueError, match="generator.h5"):
        load_generator(tmp_path / "generator.h5")


def drop(file: Any, kind: str) -> None:
    """Leave the values of one kind out of a Keras file."""
    for name in file.attrs["layer_names"]:
        held = file[name].attrs["weight_names"]
        file[name].attrs["weight_names"] = [weight for weight in held if kind not in str(weight)]


def add_layer(file: Any) -> None:
    file.attrs["layer_names"] = [*file.attrs["layer_names"], "p_re_lu_1"]
    file["p_re_lu_1/alpha:0"] = [0.25]
    file["p_re_lu_1"].attrs["weight_names"] = ["alpha:0"]


@pytest.mark.parametrize(
    "damage, said",
    [
        (lambda file: file.attrs.pop("layer_names"), "HDF5 without Keras' layer_names"),
        (lambda file: file.pop("conv2d_3"), "a damaged HDF5 file"),
        (lambda file: drop(file, "bias"), "10 missing: layers.1.bias"),
        (lambda file: drop(file, "moving_mean"), "9 missing: .*running_mean"),
        (
            lambda file: drop(file, "gamma"),
            "10 convolutions and 0 batch norms|not a layer of",
        ),
        (add_layer, "has p_re_lu_1, which is not a layer of the generator"),
    ],
)
def test_a_keras_generator_is_whole_or_refused(
    damage: Callable[[Any], None], said: str, tmp_path: Path
) -> None:
    path = tmp_path / "generator.h5"
    layouts.keras(path)
    with h5py.File(path, "a") as file:
        damage(file)
    with pytest.raises(ValueError, match=f"generator.h5: .*({said})"):
        load_generator(path)


def test_half_a_keras_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "generator.h5"
    layouts.keras(path)
    path.write_bytes(path.read_bytes()[:-1000])
    with pytest.raises(ValueError, match="generator.h5"):
        load_generator(path)


def test_without_h5py_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    layouts.keras(tmp_path / "generator.h5")
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(ImportError, match=re.escape(install_command("keras"))):
        load_generator(tmp_path / "generator.h5")


def change(state: State, how: str) -> str:
    """Damage weights; give what the error must say."""
    if how == "missing":
        del state["model.4.weight"], state["model.4.bias"]
        return "2 missing: layers.4.bias, layers.4.weight"
    if how == "unexpected":
        state["model.99.weight"] = torch.zeros(1)
        return "1 unexpected: layers.99.weight"
    if how == "another kind":
        state["model.4.bias"] = state["model.4.bias"].long()
        return "1 of another kind: layers.4.bias torch.int64, expected torch.float32"
    state["model.4.weight"] = torch.zeros(2, 2)
    return r"1 of another shape: layers.4.weight \(2, 2\), expected \(16, 8, 3, 3\)"


@pytest.mark.parametrize("how", ["missing", "unexpected", "another shape", "another kind"])
def test_nothing_is_loaded_in_part(how: str, tmp_path: Path) -> None:
    state = layouts.deblurgan()
    said = change(state, how)
    torch.save(state, tmp_path / "latest_net_G.pth")
    with pytest.raises(ValueError, match=said):
        load_generator(tmp_path / "latest_net_G.pth")


def test_files_of_no_known_kind_are_named(tmp_path: Path) -> None:
    torch.save({"state_dict": {"net.0.weight": torch.zeros(1)}}, tmp_path / "other.pth")
    with pytest.raises(ValueError, match="net.0.weight"):
        load_generator(tmp_path / "other.pth")
    torch.save({"generator": layouts.deblurgan(), "epoch": 3}, tmp_path / "gan.pth")
    with pytest.raises(ValueError, match="generator, epoch"):
        load_generator(tmp_path / "gan.pth")
    torch.save([1, 2], tmp_path / "list.pth")
    with pytest.raises(ValueError, match="list.pth"):
        load_generator(tmp_path / "list.pth")
