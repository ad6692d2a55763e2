"""Blurs on the device, a batch at a time, where loading processes would be too slow."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.utils.data import Dataset, default_collate

from deblur.blur.camera import Camera, Shot
from deblur.data.crops import Key
from deblur.data.photos import Window
from deblur.pair import Pair, encode


class Batch(NamedTuple):
    """Windows that have yet to be blurred, and pairs that need no blur."""

    pixels: Tensor
    """uint8 (N, 3, H + 2m, W + 2m), with m the camera's margin; N may be 0."""
    shots: list[Shot]
    names: list[str]
    pairs: Pair | None


class Windows(Dataset[Window | Pair]):
    """Wraps a data set that has a `window` method: returns its samples before they are blurred."""

    def __init__(self, dataset: Any) -> None:
        self.dataset = dataset

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, key: Key) -> Window | Pair:
        sample: Window | Pair = self.dataset.window(key)
        return sample


def collate(samples: Sequence[Window | Pair]) -> Batch:
    """Collate samples into a batch, windows first."""
    windows = [sample for sample in samples if isinstance(sample, Window)]
    pairs = [sample for sample in samples if isinstance(sample, Pair)]
    pixels = [window.pixels for window in windows]
    return Batch(
        torch.stack(pixels) if pixels else torch.empty(0, dtype=torch.uint8),
        [window.shot for window in windows],
        [window.name for window in windows],
        default_collate(pairs) if pairs else None,
    )


@torch.no_grad()
def develop(batch: Batch, camera: Camera) -> Pair:
    """Blur the windows of a batch, on the device that holds them."""
    parts = [] if batch.pairs is None else [batch.pairs]
    if batch.names:
        blurred, sharp = camera.expose(batch.pixels, batch.shots)
        parts.insert(0, Pair(encode(blurred), encode(sharp), batch.names))  # type: ignore[arg-type]
    names = [name for part in parts for name in part.name]
    blurs, sharps = ([getattr(part, side) for part in parts] for side in ("blur", "sharp"))
    return Pair(torch.cat(blurs), torch.cat(sharps), names)  # type: ignore[arg-type]
