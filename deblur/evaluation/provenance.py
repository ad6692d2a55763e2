"""What figures were measured on, of what and by what: it goes into each report."""

import hashlib
import shlex
import sys
from collections.abc import Mapping
from dataclasses import asdict
from datetime import datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any, TypeGuard

from omegaconf import DictConfig, OmegaConf

import deblur
from deblur.checkpoints import Generator
from deblur.data.check import check
from deblur.data.folder import PairedFolder
from deblur.data.listed import Listed
from deblur.data.mixed import Mixed
from deblur.data.photos import Photos

PACKAGES = ("torch", "torchmetrics", "numpy", "pillow")


def of_run(
    models: Mapping[str, tuple[str, Generator]], device: str, arithmetic: str
) -> dict[str, Any]:
    """Tell the date, the command, the checkpoints (path and model by label) and the machine."""
    return {
        "date": datetime.now().isoformat(" ", "minutes"),
        "command": shlex.join(["python", *sys.orig_argv[1:]]),
        "checkpoints": [
            {
                "label": label,
                "path": path,
                "sha256": digest(Path(path)),
                "parameters": sum(value.numel() for value in model.network.parameters()),
                "data": model.data,
            }
            for label, (path, model) in models.items()
        ],
        "device": device,
        "precision": arithmetic,
        "tiles": "none, whole frames",
        "versions": {
            "deblur": deblur.__version__,
            **{name: version(name) for name in PACKAGES},
        },
    }


def of_data(settings: Any, name: str, count: int, verdict: dict[str, Any] | None) -> dict[str, Any]:
    """Tell a data set by its config: name, folder, variant, and what a check of it found."""
    blur = settings.dataset.get("blur")
    variant = blur if isinstance(blur, str) else None
    return {
        "name": "gopro_gamma" if (name, variant) == ("gopro", "blur_gamma") else name,
        "root": settings.root,
        "split": "test",
        "pairs": count,
        "blur": OmegaConf.to_container(blur) if isinstance(blur, DictConfig) else variant,
        "check": verdict,
    }


def name_source(dataset: object, root: str | None) -> str:
    """Name where a data set's pictures come from.

    That is its folder, the built-in photos, or without either the class that makes them.
    """
    if isinstance(dataset, Mixed) and not dataset.crops:
        return ", ".join(str(part.root) for part in dataset.parts.values())
    if root is None and isinstance(dataset, (Photos, Listed, Mixed)):
        return "built-in photos"
    return root or f"{type(dataset).__module__}.{type(dataset).__qualname__}"


def can_check(dataset: object) -> TypeGuard[PairedFolder]:
    """Say whether a data set's pairs lie on disk as `deblur check-data` reads them."""
    return isinstance(dataset, PairedFolder) and dataset.prepared is None


def check_data(dataset: object) -> dict[str, Any] | None:
    """Give the verdict of `deblur check-data` on pairs that lie on disk, 3 of each scene decoded.

    None for other data: blur that is made, pictures without partners, prepared arrays.
    """
    if not can_check(dataset):
        return None
    return asdict(check(dataset.root, dataset.layout, blur=dataset.blur, sample=3))


def digest(path: Path) -> str:
    """Return a file's SHA-256, in hexadecimal, or a folder's, of its files' names and digests."""
    if path.is_dir():
        files = sorted(file for file in path.rglob("*") if file.is_file())
        lines = "".join(f"{file.relative_to(path).as_posix()} {digest(file)}\n" for file in files)
        return hashlib.sha256(lines.encode()).hexdigest()
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
