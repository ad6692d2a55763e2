"""Tiny models, as files."""

from pathlib import Path

from conftest import fill

from deblur.checkpoints import save_generator
from deblur.networks import ResNet


def save_model(path: Path, width: int = 4) -> Path:
    """Save a tiny network."""
    path.parent.mkdir(parents=True, exist_ok=True)
    config = {"_target_": "deblur.networks.ResNet", "blocks": 1, "width": width}
    save_generator(path, fill(ResNet(blocks=1, width=width)), config, {})
    return path
