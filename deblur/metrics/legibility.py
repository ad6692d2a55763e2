"""The protocol `legibility`."""

from collections.abc import Callable
from difflib import SequenceMatcher
from functools import cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from deblur.extras import install_command
from deblur.metrics.comparison import Comparison, Scores
from deblur.pair import decode


def legibility(pair: Comparison) -> Scores:
    """Score how much of the text that OCR reads in the sharp image it reads in the restored one.

    legibility: the share of the sharp image's letters and digits that are found, in the same order
    within a line of text, in [0, 1]; 0 for a broken image, NaN if the sharp one has no text, which
    the means leave out. Lines are matched best first, each once.

    Source: this project; read by RapidOCR (PP-OCRv4, Apache-2.0). Raises ImportError if that is
    missing.
    """
    read = _reader()
    pairs = zip(pair.restored, pair.sharp, pair.broken.flatten())
    values = [_share([] if broken else read(x), read(y)) for x, y, broken in pairs]
    return {"legibility": torch.tensor(values, dtype=pair.dtype)}


def _share(seen: list[str], truth: list[str]) -> float:
    """Return the share of the true lines' characters that are found in the seen lines."""
    total = sum(map(len, truth))
    if not total:
        return float("nan")
    common = [[_common(line, other) for other in seen] for line in truth]
    ranked = sorted(
        (
            (hits, row, column)
            for row, line in enumerate(common)
            for column, hits in enumerate(line)
        ),
        reverse=True,
    )
    rows: set[int] = set()
    columns: set[int] = set()
    found = 0
    for hits, row, column in ranked:
        if row not in rows and column not in columns:
            rows.add(row)
            columns.add(column)
            found += hits
    return found / total


def _common(line: str, other: str) -> int:
    blocks = SequenceMatcher(None, line, other, autojunk=False).get_matching_blocks()
    return sum(block.size for block in blocks)


@cache
def _reader() -> Callable[[Tensor], list[str]]:
    """Return a function that reads the lines of text in an image (3, H, W).

    Lines are in lower case, without spaces and punctuation.
    """
    try:
        from rapidocr_onnxruntime import RapidOCR
    except ImportError as error:
        raise ImportError(
            f"the protocol legibility requires OCR: {install_command('ocr')}"
        ) from error
    engine = RapidOCR()

    def read(image: Tensor) -> list[str]:
        pixels: NDArray[np.uint8] = decode(image).permute(1, 2, 0).cpu().numpy()[..., ::-1]
        lines, _ = engine(np.ascontiguousarray(pixels))
        kept = ("".join(filter(str.isalnum, text)).lower() for _, text, _ in lines or [])
        return [text for text in kept if text]

    return read
