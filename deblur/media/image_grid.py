"""Pictures side by side."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from deblur.atomic import replacing

RIM = 4
"""The width, in pixels, of the white between pictures."""
COLOURS = ((0, 0, 4), (81, 18, 124), (183, 55, 121), (252, 137, 97), (252, 253, 191))
"""The colours of error maps: five stops of the colour map "magma"."""


def strips(rows: Sequence[Sequence[Tensor]]) -> Tensor:
    """Put rows of 8-bit images (3, H, W), all of one size, together: (3, H', W'), white between."""
    lines = [torch.cat([_frame(image) for image in row], 2) for row in rows]
    return torch.cat(lines, 1)


def _frame(image: Tensor) -> Tensor:
    return torch.nn.functional.pad(image, (0, RIM, 0, RIM), value=255)


def sheet(path: Path, rows: Sequence[Mapping[str, Tensor]]) -> None:
    """Write rows of 8-bit images (3, H, W) as one picture, their keys over the columns.

    Larger images are shrunk to the width of the narrowest, at most 512 pixels. path: with the
    ending of a format, such as .png; it is written whole or not at all. Raises OSError with it.
    """
    columns = [*rows[0]]
    width = min([512, *(image.shape[-1] for row in rows for image in row.values())])
    small = [[_shrink(image, width) for image in row.values()] for row in rows]
    height = max(image.height for row in small for image in row)
    head = 24
    canvas = Image.new(
        "RGB", (len(columns) * (width + RIM), head + len(rows) * (height + RIM)), "white"
    )
    draw = ImageDraw.Draw(canvas)
    font = ImageFont.load_default(size=16)
    for column, title in enumerate(columns):
        draw.text((column * (width + RIM) + 2, 2), title, "black", font)
    for line, row in enumerate(small):
        for column, image in enumerate(row):
            canvas.paste(image, (column * (width + RIM), head + line * (height + RIM)))
    with replacing(path) as file:
        canvas.save(file, path.suffix[1:].upper())


def _shrink(image: Tensor, width: int) -> Image.Image:
    picture = Image.fromarray(image.permute(1, 2, 0).contiguous().numpy())
    if picture.width > width:
        height = round(picture.height * width / picture.width)
        picture = picture.resize((width, height), Image.Resampling.LANCZOS)
    return picture


def error_map(restored: Tensor, sharp: Tensor) -> Image.Image:
    """Draw how far 8-bit images (3, H, W) are apart: black for equal, white for 64 levels or more.

    The colours go from black over violet and orange to white, evenly in lightness.
    """
    apart = (restored.int() - sharp.int()).abs().float().mean(0).div(64).clamp(max=1)
    stops = np.array(COLOURS, np.float32)
    places = np.linspace(0, 1, len(stops))
    levels = [np.interp(apart.numpy(), places, stops[:, channel]) for channel in range(3)]
    return Image.fromarray(np.stack(levels, -1).round().astype(np.uint8))
