"""Where in an epoch a sample stands, and the crops and orientations that both pictures share."""

from collections.abc import Iterator, Sequence
from operator import index
from typing import Literal, SupportsIndex

import numpy as np
from numpy.typing import NDArray
from torch.utils.data import Sampler

from deblur.media.images import Pixels

LEAST, MOST = 16, 4096
"""Pixels of a crop's side: metrics look at 11 at once, and networks halve sizes four times."""
TILE = 32
SHARP = 100.0
"""The Laplacian's variance, in squared 8-bit levels: sky has 1 to 20, walls and leaves 200 up."""

Split = Literal["train", "val", "test"]

Place = tuple[int, int]
"""(epoch, index): with the seed, all that a training sample may depend on."""

Key = Place | SupportsIndex
"""What a data set takes: a place, or an index alone, which is of epoch 0."""


def locate(key: Key, size: int) -> Place:
    """Return the place that a key of a data set of so many samples stands for.

    An index alone is one of a list: it may count from the end, and raises IndexError outside, by
    which loops over a data set end.
    """
    if isinstance(key, tuple):
        return key
    number = index(key)
    if not -size <= number < size:
        raise IndexError(f"index {number} is out of range: there are {size} samples")
    return 0, number % size


class EpochSampler(Sampler[Place]):
    """Gives the places of an epoch, shuffled by (seed, epoch) or in order.

    Data sets are handed the epoch with each index, so that neither workers nor a restart can
    change what they draw. A plain `DataLoader` takes it as its sampler: without it, every epoch
    draws the crops and the blur of epoch 0 again.

    rank, ranks: of several devices each is given every so many-th place. Shuffled, all are given
    equally many, and what is left over is dropped; in order, each place is given exactly once
    (torch's own sampler would fill up with places that come twice, and figures count them twice).

    start: how many of the epoch's places have been given before, by a run that was stopped. Its
    length stays that of the whole epoch.
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
    """Map where a picture (H, W, C) is sharp: the variance of the Laplacian of each TILE."""
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
    """Draw where a crop begins, (top, left), each from 0 to its `spare`.

    sharpness: the picture's map of `detail`, or None for a plain draw. A share of the crops comes
    from where at least half of the tiles are SHARP; the others, and all where there is no such
    place, from anywhere.
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
    """Flip and turn a picture (..., H, W, C), or a stack, by one of eight ways."""
    turns, flip = int(rng.integers(4)), rng.integers(2)
    pixels = np.rot90(pixels, turns, axes=(-3, -2))
    return np.ascontiguousarray(np.flip(pixels, -2) if flip else pixels)
