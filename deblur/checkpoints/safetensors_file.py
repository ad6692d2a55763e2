"""Reads safetensors files of generators, and parts that they share with others."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from deblur.checkpoints import file_kinds, published
from deblur.checkpoints.contents import Contents

PARTS = "parts"
"""The metadata key of the parts that are another file's."""


def read(path: Path) -> Contents:
    """Read a file's own weights and metadata; raise ValueError if it is damaged."""
    try:
        with safe_open(path, framework="pt") as file:
            metadata = dict(file.metadata() or {})
            weights = {name: file.get_tensor(name) for name in file.keys()}
    except SafetensorError as error:
        kind = file_kinds.name_kind(path)
        told = f"damaged ({error})" if kind == file_kinds.SAFETENSORS else f"it is {kind}"
        raise ValueError(f"{path}: not a safetensors file: {told}") from error
    if "digest" in metadata and metadata["digest"] != digest(weights):
        raise ValueError(f"{path}: damaged: its weights do not match its digest")
    if "generator" not in metadata:
        return published.recognize(path, weights)
    config, data = (_parse(path, metadata.pop(key, "{}")) for key in ("generator", "data"))
    return Contents(config, weights, data, metadata)


def add_parts(path: Path, contents: Contents) -> None:
    """Add to a file's contents the parts of its network that another file of its folder has.

    Bundled models that have a network in common keep it once. The metadata `PARTS` name, for each
    part, the `file` without its ending and its `digest`. The part "" is the whole network: what the
    file does not have, such as later stages, is the other one's.
    """
    for part, told in _parse(path, contents.about.pop(PARTS, "{}")).items():
        named = f"its part {part}" if part else "the rest of its weights"
        if not isinstance(told, dict) or not {"file", "digest"} <= told.keys():
            raise ValueError(f"{path}: {named} has no file and digest")
        source = path.with_name(f"{Path(str(told['file'])).name}.safetensors")
        if not source.is_file():
            raise FileNotFoundError(f"{path}: {named} is {source}, which does not exist")
        shared = read(source)
        if shared.about.get("digest") != told["digest"]:
            raise ValueError(f"{path}: {named} is not what {source} contains")
        prefix = f"{part}." if part else ""
        given = {f"{prefix}{name}": value for name, value in shared.weights.items()}
        contents.weights.update(given | contents.weights)


def digest(weights: Mapping[str, Tensor]) -> str:
    """Return the SHA-256 of tensors, their names, types and shapes, in hexadecimal."""
    total = hashlib.sha256()
    for name in sorted(weights):
        value = weights[name].detach().cpu().contiguous()
        total.update(f"{name} {value.dtype} {tuple(value.shape)}\n".encode())
        total.update(value.reshape(-1).view(torch.uint8).numpy().tobytes())
    return total.hexdigest()


def _parse(path: Path, text: str) -> dict[str, Any]:
    """Parse a mapping in the metadata."""
    try:
        told = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path}: its metadata are not JSON ({error})") from error
    if not isinstance(told, dict):
        raise ValueError(f"{path}: its metadata are {type(told).__name__}, expected a mapping")
    return told
