"""Generators of RaphaelMeudec/deblur-gan, with the counts in Li's paper: HDF5 files of Keras."""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from deblur.checkpoints.contents import Contents
from deblur.extras import install_command
from deblur.networks import ResNet

SOURCE = "deblur-gan (RaphaelMeudec/deblur-gan), a Keras generator"
MAGIC = b"\x89HDF\r\n\x1a\n"
NORM = {
    **{"gamma": "weight", "beta": "bias"},
    **{"moving_mean": "running_mean", "moving_variance": "running_var"},
}
"""The values of a batch norm, by Keras' names, and PyTorch's names."""


def recognizes(path: Path) -> bool:
    """Return whether a file is HDF5, by its first bytes."""
    with open(path, "rb") as file:
        return file.read(len(MAGIC)) == MAGIC


def read(path: Path) -> Contents:
    """Read a generator from weights or a whole model that Keras saved.

    Raises ImportError if h5py is missing, and ValueError for damaged files and other networks,
    including generators from before June 2018, which upsample by transposed convolutions.
    """
    layers = _read_layers(path)
    names = [name for name, _ in layers]
    if any("conv2d_transpose" in name for name in names):
        raise ValueError(
            f"{path}: upsamples by transposed convolutions, as the source did until June 2018; "
            "expected its later network, which repeats pixels"
        )
    convs = [values for _, values in layers if "kernel" in values]
    norms = [values for _, values in layers if "gamma" in values]
    others = [name for name, values in layers if not {"kernel", "gamma"} & set(values)]
    if others:
        raise ValueError(f"{path}: has {others[0]}, which is not a layer of the generator")
    if len(convs) < 6 or len(convs) % 2 or len(norms) != len(convs) - 1:
        raise ValueError(
            f"{path}: has {len(convs)} convolutions and {len(norms)} batch norms, expected the "
            "generator's 24 and 23"
        )
    arguments: dict[str, Any] = {
        "blocks": (len(convs) - 6) // 2,
        "width": convs[0]["kernel"].shape[-1],
        **{"skip": "average", "padding": "same", "norm_eps": 1e-3, "norm_momentum": 0.01},
    }
    network = ResNet(**arguments)
    # Keras does not count batches; all other values must come from the file.
    initial = network.state_dict().items()
    weights = {name: value for name, value in initial if name.endswith("num_batches_tracked")}
    for kind, sources in ((nn.Conv2d, convs), (nn.BatchNorm2d, norms)):
        places = [name for name, layer in network.named_modules() if isinstance(layer, kind)]
        for place, values in zip(places, sources):
            for name, value in values.items():
                renamed = {"kernel": "weight"}.get(name) or NORM.get(name) or name
                weights[f"{place}.{renamed}"] = (
                    value.permute(3, 2, 0, 1) if value.ndim == 4 else value
                )
    config = {"_target_": "deblur.networks.ResNet", **arguments}
    about = {"source": SOURCE, "license": "none stated by the source"}
    return Contents(config, weights, about=about)


def _read_layers(path: Path) -> list[tuple[str, dict[str, Tensor]]]:
    """Read the layers that have weights, in order: their names, and their values by name."""
    try:
        import h5py
    except ImportError as error:
        raise ImportError(f"{path} is HDF5: {install_command('keras')} ({error})") from error
    try:
        with h5py.File(path, "r") as file:
            root: Any = file["model_weights"] if "model_weights" in file else file
            names = [_text(name) for name in root.attrs.get("layer_names", [])]
            layers = [(name, _read_values(root[name], path.stat().st_size)) for name in names]
    except Exception as error:  # for a damaged file the library may raise anything
        raise ValueError(f"{path}: a damaged HDF5 file ({error})") from error
    if not names:
        raise ValueError(f"{path}: HDF5 without Keras' layer_names")
    return [(name, values) for name, values in layers if values]


def _read_values(layer: Any, most: int) -> dict[str, Tensor]:
    """Read a layer's values by name, such as kernel for `conv2d_1/kernel:0`.

    most: the limit of a value's bytes, since HDF5 can declare huge arrays in a small file.
    """
    values = {}
    for weight in layer.attrs.get("weight_names", []):
        if layer[weight].nbytes > most:
            raise ValueError(f"{_text(weight)} claims {layer[weight].nbytes:,} bytes")
        name = _text(weight).rsplit("/", 1)[-1].split(":")[0]
        values[name] = torch.from_numpy(layer[weight][()])
    return values


def _text(name: Any) -> str:
    return name.decode() if isinstance(name, bytes) else str(name)
