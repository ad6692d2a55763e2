"""A sample's place in an epoch, and the crop and orientation that both pictures of a pair share."""

from collections.abc import Iterator, Sequence
from operator import index
from typing import Literal, SupportsIndex

import numpy as np
from numpy.typing import NDArray
from torch.utils.data import Sampler

from deblur.media.images import Pixels

LEAST, MOST = 16, 4096
"""Limits of a crop's side, in pixels: SSIM's window has 11, and networks halve sizes four times."""
TILE = 32
SHARP = 100.0
"""The Laplacian's variance from which a tile is sharp, in squared 8-bit levels.

Sky has 1 to 20, walls and leaves have 200 and more."""

Split = Literal["train", "val", "test"]

Place = tuple[int, int]
"""(epoch, index): with the seed, all that a training sample may depend on."""

Key = Place | SupportsIndex
"""What a data set is indexed with: a place, or an index alone, which stands for epoch 0."""


def locate(key: Key, size: int) -> Place:
    """Return the place that a key stands for, in a data set of `size` samples.

    An index alone works as in a list: negative ones count from the end, and those out of range
    raise IndexError, which ends loops over a data set.
    """
    if isinstance(key, tuple):
        return key
    number = index(key)
    if not -size <= number < size:
        raise IndexError(f"index {number} is out of range: there are {size} samples")
    return 0, number % size


class EpochSampler(Sampler[Place]):
    """Yields the places of an epoch, shuffled by (seed, epoch) or in order.

    Data sets receive the epoch with each index, so that neither workers nor a restart can change
    what they draw. Pass it to a plain `DataLoader` as its sampler: without it, every epoch draws
    the crops and the blur of epoch 0 again.

    Set the attribute `start` to the number of places that an interrupted run has used already in
    this epoch: they are skipped. The length stays that of the whole epoch.

    Args:
        size: The number of samples in the data set.
        seed: Determines the shuffled order, together with the epoch.
        shuffle: Whether to shuffle the places.
        rank: This device's number, 0 to ranks - 1.
        ranks: The number of devices; each takes every `ranks`-th place. If shuffled, all devices
            get equally many places and the remainder is dropped. In order, each place occurs
            exactly once (torch's own sampler would repeat some, and metrics count them twice).
    """

    def __init__(
        self, size: int, *, seed: int = 0, shuffle: bool = False, rank: int = 0, ranks: int = 1
    ) -> None:
        self.size = size
        self.seed = seed
        self.shuffle = shuffle
        self.rank = rank
        self.ranks = ranks
        self.epoch = 0
        self.start = 0

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch (Lightning calls this before each one)."""
        if epoch != self.epoch:
            self.start = 0
        self.epoch = epoch

    def __len__(self) -> int:
        spare = 0 if self.shuffle else self.ranks - 1 - self.rank
        return (self.size + spare) // self.ranks

    def __iter__(self) -> Iterator[Place]:
        order: NDArray[np.int64] = np.arange(self.size)
        if self.shuffle:
            order = np.random.default_rng((self.seed, self.epoch)).permutation(self.size)
        own = order[self.rank :: self.ranks][self.start : len(self)]
        return iter([(self.epoch, int(index)) for index in own])


def detail(pixels: Pixels) -> NDArray[np.float32]:
    """Return the variance of the Laplacian in each TILE of a picture (H, W, C): its sharpness."""
    green = np.pad(pixels[..., 1].astype(np.float32), 1, mode="edge")
    edges = 4 * green[1:-1, 1:-1] - green[:-2, 1:-1] - green[2:, 1:-1]
    edges -= green[1:-1, :-2] + green[1:-1, 2:]
    rows, columns = (max(1, length // TILE) for length in edges.shape)
    tiles = edges[: rows * TILE, : columns * TILE]
    tiles = tiles.reshape(rows, -1, columns, tiles.shape[1] // columns)
    variances: NDArray[np.float32] = tiles.var(axis=(1, 3))
    return variances


def spot(
    sharpness: NDArray[np.float32] | None,
    spare: Sequence[int],
    side: int,
    rng: np.random.Generator,
    share: float,
) -> tuple[int, int]:
    """Draw the top left corner of a crop, (top, left).

    Args:
        sharpness: The picture's map, from `detail`; None draws from the whole picture.
        spare: The largest top and left, in pixels.
        side: The crop's side, in pixels.
        rng: The random generator.
        share: The share of crops, 0 to 1, that is drawn where at least half of the tiles are
            SHARP. If there is no such place, the crop is drawn from the whole picture.
    """
    top, left = (int(rng.integers(most + 1)) for most in spare)
    if sharpness is None or rng.random() >= share:
        return top, left
    window = [min(max(1, side // TILE), length) for length in sharpness.shape]
    windows = np.lib.stride_tricks.sliding_window_view(sharpness >= SHARP, window)
    places = np.argwhere(windows.mean((-2, -1)) >= 0.5)
    if not len(places):
        return top, left
    corner = places[rng.integers(len(places))] * TILE + rng.integers(TILE, size=2)
    top, left = np.minimum(corner, spare).tolist()
    return top, left


def orient(pixels: Pixels, rng: np.random.Generator) -> Pixels:
    """Apply one of the eight flips and quarter turns to a picture, or a stack: (..., H, W, C)."""
    turns, flip = int(rng.integers(4)), rng.integers(2)
    pixels = np.rot90(pixels, turns, axes=(-3, -2))
    return np.ascontiguousarray(np.flip(pixels, -2) if flip else pixels)
