"""Cuts large pictures into tiles that overlap, and blends the restored tiles."""

from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

Compute = Callable[[slice, slice], Tensor]
"""Returns the restored tile, (3, h, w) float32, of rows and columns."""
WIDTH, HEIGHT = 512, 128
"""The size, in pixels, of the noise on each side of a cut, by which its influence is measured."""


class Span(NamedTuple):
    """Where a tile lies along one side of a picture."""

    start: int
    end: int


def plan_tiles(
    size: tuple[int, int], area: int, overlap: int, stride: int = 1
) -> tuple[list[Span], list[Span]]:
    """Cut a picture (height, width) into rows and columns of tiles, of `area` pixels at most.

    Neighbours share at least `overlap` pixels. Of all possible grids, the one with the fewest
    pixels in total is returned. Tiles start at multiples of the stride, so that a network's lower
    resolutions lie as in the whole picture. Raises ValueError if tiles of this area are too small
    for the overlap.
    """
    height, width = size
    if height * width <= area:
        return [Span(0, height)], [Span(0, width)]
    best: tuple[int, list[Span], list[Span]] | None = None
    for count in range(1, width // (overlap + stride) + 2):
        columns = place_tiles(width, count, overlap, stride)
        wide = max(span.end - span.start for span in columns)
        for number in range(1, height // (overlap + stride) + 2):
            rows = place_tiles(height, number, overlap, stride)
            high = max(span.end - span.start for span in rows)
            if wide * high <= area:
                pixels = _total(rows) * _total(columns)
                if best is None or pixels < best[0]:
                    best = pixels, rows, columns
                break
    if best is None:
        raise ValueError(f"tiles of {area} pixels are too small for an overlap of {overlap}")
    return best[1], best[2]


def place_tiles(length: int, count: int, overlap: int, stride: int = 1) -> list[Span]:
    """Place `count` tiles along a length, equally long except for the stride's rounding."""
    if count == 1:
        return [Span(0, length)]
    tile = -(-(length + (count - 1) * overlap) // count)
    starts = [(tile - overlap) * index // stride * stride for index in range(count)]
    ends = [start + overlap for start in starts[1:]]
    return [Span(start, end) for start, end in zip(starts, [*ends, length])]


def _total(spans: list[Span]) -> int:
    return sum(span.end - span.start for span in spans)


def blend(
    rows: list[Span], columns: list[Span], compute: Compute
) -> Iterator[tuple[slice, Tensor]]:
    """Restore a picture tile by tile; yield its finished bands in order: the rows, and (3, h, W).

    Where two tiles overlap one fades into the other. The outer quarters of the overlap, which are
    nearest to the cuts, have no weight. Only one row of tiles is kept in memory; callers may change
    the bands.
    """
    width = columns[-1].end
    kept = torch.zeros(3, 0, width)
    for index, (top, bottom) in enumerate(rows):
        band = torch.zeros(3, bottom - top, width)
        band[:, : kept.shape[1]] = kept
        down = weigh(rows, index)[:, None]
        for place, (left, right) in enumerate(columns):
            tile = compute(slice(top, bottom), slice(left, right))
            band[:, :, left:right] += tile * (down * weigh(columns, place))
        done = (rows[index + 1].start if index + 1 < len(rows) else bottom) - top
        yield slice(top, top + done), band[:, :done]
        kept = band[:, done:]


def weigh(spans: list[Span], index: int) -> Tensor:
    """Return a tile's weights along one side, (length,); those of all tiles add up to one."""
    start, end = spans[index]
    weights = torch.ones(end - start)
    if index > 0:
        shared = spans[index - 1].end - start
        weights[:shared] *= _rise(shared)
    if index + 1 < len(spans):
        shared = end - spans[index + 1].start
        weights[end - start - shared :] *= 1 - _rise(shared)
    return weights


def _rise(length: int) -> Tensor:
    """Rise from 0 to 1 over the middle half of a length, smoothly."""
    place = ((torch.arange(length) + 0.5) / length * 2 - 0.5).clamp(0, 1)
    return place * place * (3 - 2 * place)


@torch.inference_mode()
def measure_reach(
    restore: Callable[[Tensor], Tensor],
    stride: int,
    tolerance: float,
    device: torch.device,
    pictures: Iterable[Tensor] = (),
) -> int | None:
    """Measure how far from a cut the output differs from that of the whole picture, in pixels.

    Beyond the returned distance, a multiple of the stride, no value differs by more than the
    tolerance, relative to black to white. It is measured on seeded noise, soft and fine, and on
    pictures, (1, 3, H, W) in [-1, 1], because a trained network looks farther where there is blur.
    Returns None if there is no such distance: the network uses statistics of the whole picture.
    """
    reach = 0
    for picture in (_make_noise(), *pictures):
        whole = picture.to(device)
        cut = whole.shape[-1] // 2 // stride * stride
        difference = restore(whole)[..., cut:] - restore(whole[..., cut:].contiguous())
        worst = difference.float().abs().amax((0, 1, 2)).cpu() / 2
        beyond = (worst > tolerance).nonzero()
        own = (int(beyond[-1]) // stride + 1) * stride if len(beyond) else 0
        if own >= cut // 2:
            return None
        reach = max(reach, own)
    return reach


def _make_noise() -> Tensor:
    noise = torch.Generator().manual_seed(0)
    whole = torch.zeros(1, 3, HEIGHT, 2 * WIDTH)
    for octave in range(5):
        size = (HEIGHT >> octave, 2 * WIDTH >> octave)
        values = torch.rand(1, 3, *size, generator=noise) - 0.5
        whole += F.interpolate(values, whole.shape[-2:], mode="bilinear")
    return whole.clamp(-1, 1)
