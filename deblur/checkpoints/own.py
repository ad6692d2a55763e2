"""Our own weights: the checkpoints of a run, and safetensors."""

import json
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from deblur import networks


class Generator(NamedTuple):
    """A trained generator, and what its file says of it."""

    network: nn.Module
    """In evaluation mode, on the CPU."""
    config: dict[str, Any]
    """The network's class, under `_target_`, and its arguments."""
    data: dict[str, Any]
    """What it was trained on, for `deblur.run.recall_data`; empty where the file does not say."""


def load_generator(path: str | Path, *, trust: str | None = None) -> Generator:
    """Build the generator that a .ckpt or .safetensors file describes and fill in its weights.

    Nothing of the file is executed: it holds tensors and plain containers, and the class that it
    names must be one of `deblur.networks`, or of the module `trust`, which is imported for it.
    Raises FileNotFoundError or ValueError with the reason.
    """
    path = Path(path)
    config, weights, data = read_generator(path)
    network = build_generator(config, path, trust=trust)
    try:
        network.load_state_dict(weights)
    except RuntimeError as error:
        raise ValueError(f"{path}: its weights do not fit its own config. {error}") from error
    return Generator(network.eval(), config, data)


def save_generator(
    path: str | Path, network: nn.Module, config: Mapping[str, Any], data: Mapping[str, Any]
) -> None:
    """Write a generator as .safetensors that `load_generator` reads."""
    weights = {name: value.contiguous() for name, value in network.state_dict().items()}
    metadata = {"generator": json.dumps(dict(config)), "data": json.dumps(dict(data))}
    save_file(weights, path, metadata)


def fill(network: nn.Module, path: str | Path) -> None:
    """Give a network the weights of a file's generator, which must be built alike."""
    try:
        network.load_state_dict(load_generator(path).network.state_dict())
    except RuntimeError as error:
        raise ValueError(f"{path}: does not fit the configured generator. {error}") from error


Contents = tuple[dict[str, Any], dict[str, Tensor], dict[str, Any]]


def read_generator(path: Path) -> Contents:
    """Read a file's generator: its config, its weights and what it was trained on."""
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file; expected a .ckpt or .safetensors")
    return (_read_safetensors if path.suffix == ".safetensors" else _read_checkpoint)(path)


def build_generator(
    config: Mapping[str, Any], source: str | Path, *, trust: str | None = None
) -> nn.Module:
    """Build a network from its plain config: a class of `deblur.networks` or of `trust`."""
    arguments = dict(config)
    if "weights" in arguments:
        arguments["weights"] = None  # a start from ImageNet; the file brings its own
    module, _, name = str(arguments.pop("_target_", "")).rpartition(".")
    home: Any = networks
    if trust is not None and module == trust:
        home = import_module(trust)
    elif module != "deblur.networks" or name not in networks.__all__:
        raise ValueError(
            f"{source}: names the network {module}.{name}, expected one of deblur.networks: "
            f"{', '.join(networks.__all__)} (trust={module} allows your own)"
        )
    try:
        network: nn.Module = getattr(home, name)(**arguments)
    except (AttributeError, TypeError) as error:
        raise ValueError(f"{source}: {error}") from error
    return network


def _read_checkpoint(path: Path) -> Contents:
    try:
        checkpoint = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        raise ValueError(f"{path}: not a checkpoint that can be read safely ({error})") from error
    if not isinstance(checkpoint, dict) or "generator" not in checkpoint:
        raise ValueError(f"{path}: does not say what its generator is; expected our own checkpoint")
    prefix = "generator."
    weights = {
        name.removeprefix(prefix): value
        for name, value in checkpoint["state_dict"].items()
        if name.startswith(prefix)
    }
    return checkpoint["generator"], weights, checkpoint.get("data", {})


def _read_safetensors(path: Path) -> Contents:
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            weights = {name: file.get_tensor(name) for name in file.keys()}
    except SafetensorError as error:
        raise ValueError(f"{path}: not a safetensors file ({error})") from error
    if "generator" not in metadata:
        raise ValueError(f"{path}: its metadata does not say what its generator is")
    return json.loads(metadata["generator"]), weights, json.loads(metadata.get("data", "{}"))
