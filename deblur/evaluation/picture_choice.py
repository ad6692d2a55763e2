"""Which pictures a report shows, and how."""

import math
from collections import Counter
from collections.abc import Sequence

import numpy as np
from PIL import Image
from torch import Tensor

from deblur.evaluation.html_report import Shown
from deblur.evaluation.results import BLURRY, Result
from deblur.media.image_grid import error_map
from deblur.pair import decode

WIDEST = 960


def draw(scenes: Sequence[str], count: int) -> set[int]:
    """Draw so many pictures at random, one of each scene in turn: return their places.

    scenes: of each picture, in order. The draw is the same each time.
    """
    met = Counter[str]()
    turns: list[tuple[int, int, int]] = []
    for place in np.random.default_rng(0).permutation(len(scenes)).tolist():
        turns.append((met[scenes[place]], len(turns), place))
        met[scenes[place]] += 1
    return {place for *_, place in sorted(turns)[:count]}


def find_figures(results: Sequence[Result], method: str) -> dict[str, float]:
    """Return a picture's figures under the first protocol, and its gain in PSNR if it has one."""
    own = next(result for result in results if result.method == method)
    before = next((r for r in results if r.method == BLURRY and r.protocol == own.protocol), None)
    if before is None or "psnr" not in own.scores or before.scores["psnr"] == math.inf:
        return own.scores
    return {"gain": own.scores["psnr"] - before.scores["psnr"], **own.scores}


def show(
    kind: str,
    name: str,
    method: str,
    figures: dict[str, float],
    blur: Tensor,
    restored: Tensor,
    sharp: Tensor | None,
) -> Shown:
    """Make a picture of the report: images are (1, 3, H, W) in [-1, 1]; the error is drawn, too."""
    images = {"blurred": blur, "restored": restored} | ({} if sharp is None else {"sharp": sharp})
    levels = {title: decode(image[0]) for title, image in images.items()}
    pictures = {
        title: Image.fromarray(pixels.permute(1, 2, 0).contiguous().numpy())
        for title, pixels in levels.items()
    }
    if sharp is not None:
        pictures["error"] = error_map(levels["restored"], levels["sharp"])
    for picture in pictures.values():
        picture.thumbnail((WIDEST, 4 * WIDEST), Image.Resampling.LANCZOS)
    return Shown(name, method, kind, figures, pictures)
