"""The bundled blurred photos, to try networks on."""

from collections.abc import Iterator
from pathlib import Path

import torch
from torch import Tensor

from deblur.media.images import read
from deblur.pair import encode

FOLDER = Path(__file__).parent.parent / "assets" / "examples"


def show_examples(height: int, width: int) -> Iterator[Tensor]:
    """Yield the centres of the three synthetically blurred photos, (1, 3, height, width).

    Values are in [-1, 1]. A photo that is not wide enough is extended by its mirror image.
    """
    for path in sorted(FOLDER.glob("*.jpg")):
        image = torch.as_tensor(read(path))
        if image.shape[1] < width:
            image = torch.cat([image, image.flip(1)], 1)
        top, left = ((whole - part) // 2 for whole, part in zip(image.shape, (height, width)))
        centre = image[top : top + height, left : left + width]
        yield encode(centre.permute(2, 0, 1)[None].contiguous())
