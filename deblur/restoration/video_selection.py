"""Which frames of a video are blurred by motion, and what of them must stay as it is.

A frame is looked at as a photo is (`deblur look`), but where it moves: what stands still is as
sharp as in the frames beside it, and says nothing. Where a blurred frame is the same as a sharp one
beside it nothing is restored, so that nothing flickers there.
"""

from collections import deque
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from deblur.media.video import view
from deblur.restoration.diagnosis import diagnose_luma, to_luma
from deblur.restoration.noise import measure_noise
from deblur.restoration.sharpness import measure_sharpness
from deblur.restoration.spectra import cut_windows

BLOCK = 16
"""The side, in pixels, of the blocks in which motion is looked for."""
LEAST = 64
"""The shortest side, in pixels, of a moving part that is judged by itself."""
STILL = 1.5
"""The mean difference between frames, in 8-bit levels, up to which nothing has moved; noise is
added to it."""
DOUBT, FALL = 0.3, 0.85
"""The likelihood of blur from which neighbouring frames decide, and the share of the less sharp
one's sharpness below which a frame is then blurred."""
WINDOW = 9
"""The side, in pixels, of the windows compared with neighbouring frames; odd."""
AHEAD = 4
"""The most frames read ahead to find a sharp one after a blurred one."""


class Picture(NamedTuple):
    """A frame of a video."""

    frame: Any
    """The frame as PyAV decoded it."""
    rgb: Any
    """The same in packed RGB."""


class Chosen(NamedTuple):
    """A picture, and what is to be done with it."""

    picture: Picture
    blurred: bool
    beside: tuple[NDArray[Any], ...] = ()
    """The pixels of the nearest frames before and after a blurred one that are not blurred."""


class _Seen:
    """A picture that waits."""

    def __init__(self, picture: Picture) -> None:
        self.picture = picture
        self.luma = to_luma(view(picture.rgb)[..., :3])
        self.blurred: bool | None = None

    @property
    def pixels(self) -> NDArray[Any]:
        return view(self.picture.rgb)


def choose(items: Iterable[Any]) -> Iterator[Any]:
    """Yield pictures as `Chosen`, and other items at once, before pictures that wait."""
    waiting: deque[_Seen] = deque()
    before: _Seen | None = None
    sharp: _Seen | None = None
    last: _Seen | None = None
    for item in _with_end(items):
        if item is not None and not isinstance(item, Picture):
            yield item
            continue
        seen = None if item is None else _Seen(item)
        if last is not None:
            beside = [one.luma for one in (before, seen) if one is not None]
            last.blurred = is_blurred(last.luma, beside)
        before, last = last, seen
        if seen is not None:
            waiting.append(seen)
        while waiting and (front := waiting[0]).blurred is not None:
            behind = next((one for one in waiting if one.blurred is False), None)
            if front.blurred and behind is None and seen is not None and len(waiting) <= AHEAD:
                break
            waiting.popleft()
            if front.blurred:
                near = tuple(one.pixels for one in (sharp, behind) if one is not None)
                yield Chosen(front.picture, True, near)
            else:
                sharp = front
                yield Chosen(front.picture, False)


def _with_end(items: Iterable[Any]) -> Iterator[Any]:
    yield from items
    yield None


def is_blurred(luma: NDArray[np.uint8], beside: list[NDArray[np.uint8]]) -> bool:
    """Return whether motion has blurred a frame, by its luma and that of the frames beside it."""
    rows, columns = find_motion(luma, beside)
    part = luma[rows, columns]
    diagnosis = diagnose_luma(part)
    if diagnosis.kind == "motion":
        return True
    if diagnosis.kind == "defocus" or diagnosis.likelihood < DOUBT or not beside:
        return False
    others = [_measure(other[rows, columns]) for other in beside if other.shape == luma.shape]
    return bool(others) and diagnosis.sharpness < FALL * min(others)


def _measure(luma: NDArray[np.uint8]) -> float:
    return measure_sharpness(cut_windows(np.ascontiguousarray(luma)))


def find_motion(luma: NDArray[np.uint8], beside: list[NDArray[np.uint8]]) -> tuple[slice, slice]:
    """Return the rows and columns of a frame in which something moves; all where nothing does."""
    height, width = luma.shape
    whole = slice(0, height), slice(0, width)
    limit = STILL + measure_noise(luma)
    moved = np.zeros((height // BLOCK, width // BLOCK), bool)
    for other in beside:
        if other.shape == luma.shape and moved.size:
            apart = np.abs(luma.astype(np.int16) - other)
            cut = apart[: height // BLOCK * BLOCK, : width // BLOCK * BLOCK]
            moved |= cut.reshape(height // BLOCK, BLOCK, -1, BLOCK).mean((1, 3)) > limit
    if not moved.any():
        return whole
    rows, columns = (
        _find_span(np.flatnonzero(moved.any(axis)), length)
        for axis, length in ((1, height), (0, width))
    )
    if min(rows.stop - rows.start, columns.stop - columns.start) < LEAST:
        return whole
    return rows, columns


def _find_span(moved: NDArray[Any], length: int) -> slice:
    """Return the pixels of blocks that have moved, without those at the edge of what is still."""
    first, last = int(moved[0]), int(moved[-1])
    start = first and (first + 1) * BLOCK
    stop = last * BLOCK if (last + 2) * BLOCK <= length else length
    return slice(start, max(start, stop))


def keep_still(
    restored: NDArray[Any], source: NDArray[Any], beside: Iterable[NDArray[Any]]
) -> NDArray[Any]:
    """Put the source back in still parts, where a frame equals a sharp frame beside it.

    All are (H, W, C) of one dtype. The parts fade out over half a window.
    """
    unit = 257 if source.dtype == np.uint16 else 1
    frame = _to_tensor(source)
    limit = unit * (STILL + measure_noise(to_luma(source[..., :3])))
    still = torch.zeros(1, 1, *source.shape[:2])
    for other in beside:
        if other.shape == source.shape:
            apart = (frame - _to_tensor(other)).abs().mean(1, keepdim=True)
            mean = F.avg_pool2d(F.pad(apart, [WINDOW // 2] * 4, mode="replicate"), WINDOW, 1)
            still = torch.maximum(still, (mean <= limit).float())
    if not still.any():
        return restored
    still = _widen(_widen(still))
    share = F.avg_pool2d(F.pad(still, [WINDOW // 2] * 4, mode="replicate"), WINDOW, 1)
    new = _to_tensor(restored)
    kept = new.lerp(frame, share.clamp(0, 1))[0].permute(1, 2, 0).round().numpy()
    result = restored.copy()
    result[..., :3] = kept.astype(restored.dtype)
    return result


def _to_tensor(pixels: NDArray[Any]) -> Tensor:
    return torch.from_numpy(pixels[..., :3].astype(np.float32)).permute(2, 0, 1)[None]


def _widen(still: Tensor) -> Tensor:
    return F.max_pool2d(still, WINDOW, 1, WINDOW // 2)
