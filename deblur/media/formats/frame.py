"""A picture's pixels, and their conversion for formats that cannot hold all of them."""

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

ROWS = 64
"""The number of rows processed at a time: a copy of all would cost as much as the picture."""


class Frame(NamedTuple):
    """The pixels of a picture, or of one of its frames or pages."""

    pixels: NDArray[Any]
    """(H, W, 1) grey or (H, W, 3) RGB, uint8 or uint16, upright."""
    alpha: NDArray[Any] | None = None
    """(H, W), of the same type; not premultiplied."""


def check(frame: Frame) -> Frame:
    """Return the frame; raise ValueError if its arrays have a wrong shape or type."""
    pixels, alpha = frame
    if pixels.ndim != 3 or pixels.shape[2] not in (1, 3) or 0 in pixels.shape:
        raise ValueError(f"pixels of shape {pixels.shape}, expected (H, W, 1) or (H, W, 3)")
    if pixels.dtype not in (np.uint8, np.uint16):
        raise ValueError(f"pixels of type {pixels.dtype}, expected uint8 or uint16")
    if alpha is not None and (alpha.shape, alpha.dtype) != (pixels.shape[:2], pixels.dtype):
        raise ValueError(
            f"alpha of shape {alpha.shape} and type {alpha.dtype}, expected {pixels.shape[:2]} and "
            f"{pixels.dtype} as the pixels"
        )
    return frame


def bands(frame: Frame, rows: int = ROWS) -> Iterator[NDArray[Any]]:
    """Cut a frame into bands of rows (h, W, C); alpha is the last channel."""
    for top in range(0, len(frame.pixels), rows):
        band = frame.pixels[top : top + rows]
        if frame.alpha is not None:
            band = np.concatenate([band, frame.alpha[top : top + rows, :, None]], -1)
        yield np.ascontiguousarray(band)


def fit(
    frame: Frame, format: str, note: Callable[[str], None], *, alpha: bool, deep: bool
) -> Frame:
    """Lay the frame on white where the format has no alpha; round to 8 bits where it has no 16."""
    if frame.alpha is not None and not alpha:
        if frame.alpha.min() < np.iinfo(frame.alpha.dtype).max:
            note(f"transparent parts were laid on white: {format} has no alpha")
        frame = Frame(_on_white(frame))
    if frame.pixels.dtype == np.uint16 and not deep:
        note(f"16 bits were rounded to 8: {format} has no more")
        rounded = None if frame.alpha is None else to_8_bits(frame.alpha)
        frame = Frame(to_8_bits(frame.pixels), rounded)
    return frame


def as_image(frame: Frame) -> Image.Image:
    """Copy a frame of 8 bits to Pillow: L, LA, RGB or RGBA."""
    grey = frame.pixels.shape[2] == 1
    image = Image.fromarray(np.ascontiguousarray(frame.pixels[..., 0] if grey else frame.pixels))
    if frame.alpha is not None:
        image.putalpha(Image.fromarray(np.ascontiguousarray(frame.alpha)))
    return image


def _on_white(frame: Frame) -> NDArray[Any]:
    top = np.uint32(np.iinfo(frame.pixels.dtype).max)
    laid = np.empty_like(frame.pixels)
    for start, band in zip(range(0, len(laid), ROWS), bands(frame)):
        wide = band.astype(np.uint32)
        pixels, alpha = wide[..., :-1], wide[..., -1:]
        laid[start : start + ROWS] = (pixels * alpha + top * (top - alpha) + top // 2) // top
    return laid


def to_8_bits(values: NDArray[Any]) -> NDArray[np.uint8]:
    """Round samples of 16 bits (H, W, ...) to 8."""
    small = np.empty(values.shape, np.uint8)
    for top in range(0, len(values), ROWS):
        small[top : top + ROWS] = (values[top : top + ROWS].astype(np.uint32) + 128) // 257
    return small
