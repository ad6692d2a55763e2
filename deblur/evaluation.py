"""Restores the pictures of a test set and scores what comes out."""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from deblur.metrics import wang_rgb
from deblur.pair import Pair

Method = Callable[[Tensor], Tensor]
"""Takes blurred images (N, 3, H, W) in [-1, 1] to restored ones."""


BLURRY = "blurry input"


@dataclass
class Result:
    """What one method made of one picture."""

    name: str
    method: str
    seconds: float
    scores: dict[str, float]
    """Empty where there is no sharp picture."""


@torch.inference_mode()
def evaluate(
    methods: Mapping[str, Method], pairs: Iterable[Pair], device: torch.device, *, paired: bool
) -> Iterator[tuple[Pair, dict[str, Tensor], list[Result]]]:
    """Go through pairs of one picture each: give the pair, the restored images, the results.

    The results hold a row for the blurred picture itself, named BLURRY, where it can be
    scored. Times are those of the method alone, at the picture's own size, after a warm-up.
    """
    warm: set[torch.Size] = set()
    for pair in pairs:
        blur = pair.blur.to(device)
        results, images = [], {}
        if paired:
            results.append(Result(pair.name[0], BLURRY, 0.0, _score(pair.blur, pair.sharp)))
        for label, method in methods.items():
            if blur.shape not in warm:
                method(blur)
            _synchronize(device)
            start = time.perf_counter()
            restored = method(blur)
            _synchronize(device)
            seconds = time.perf_counter() - start
            images[label] = restored.cpu()
            scores = _score(images[label], pair.sharp) if paired else {}
            results.append(Result(pair.name[0], label, seconds, scores))
        warm.add(blur.shape)
        yield pair, images, results


def _score(restored: Tensor, sharp: Tensor) -> dict[str, float]:
    return {name: float(value[0]) for name, value in wang_rgb(restored, sharp).items()}


def _synchronize(device: torch.device) -> None:
    if device.type != "cpu":
        getattr(torch, device.type).synchronize()
