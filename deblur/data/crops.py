"""Where in an epoch a sample stands, and the crops and orientations that both pictures share."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from torch.utils.data import Sampler

from deblur.images import Pixels

Place = tuple[int, int]
"""(epoch, index): with the seed, all that a training sample may depend on."""


class EpochSampler(Sampler[Place]):
    """Gives the places of an epoch, shuffled by (seed, epoch) or in order.

    Data sets are handed the epoch with each index, so that neither workers nor a restart can
    change what they draw.
    """

    def __init__(self, size: int, *, seed: int = 0, shuffle: bool = False) -> None:
        self.size = size
        self.seed = seed
        self.shuffle = shuffle
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch (Lightning calls this before each one)."""
        self.epoch = epoch

    def __len__(self) -> int:
        return self.size

    def __iter__(self) -> Iterator[Place]:
        order: NDArray[np.int64] = np.arange(self.size)
        if self.shuffle:
            order = np.random.default_rng((self.seed, self.epoch)).permutation(self.size)
        return iter([(self.epoch, int(index)) for index in order])


def orient(pixels: Pixels, rng: np.random.Generator) -> Pixels:
    """Flip and turn a picture (..., H, W, C), or a stack, by one of eight ways."""
    turns, flip = int(rng.integers(4)), rng.integers(2)
    pixels = np.rot90(pixels, turns, axes=(-3, -2))
    return np.ascontiguousarray(np.flip(pixels, -2) if flip else pixels)


def cut(pixels: Pixels, side: int, rng: np.random.Generator | None) -> Pixels:
    """Cut a square from (..., H, W, C): at random, or from the centre where rng is None."""
    spare = [length - side for length in pixels.shape[-3:-1]]
    if min(spare) < 0:
        height, width = pixels.shape[-3:-1]
        raise ValueError(f"a crop of {side} pixels does not fit a picture of {width}x{height}")
    top, left = (s // 2 if rng is None else int(rng.integers(s + 1)) for s in spare)
    return pixels[..., top : top + side, left : left + side, :]
