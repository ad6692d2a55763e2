"""Restores the pictures of a test set, scores what comes out, and takes the time."""

import tempfile
import time
from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from deblur.evaluation.results import BLURRY, Result
from deblur.hardware import PeakMemory, synchronize
from deblur.media.images import read
from deblur.metrics import Comparison, Protocol, check_size
from deblur.metrics.strength import blur_sigma
from deblur.metrics.views import View, whole
from deblur.pair import Pair, decode, encode

Method = Callable[[Tensor], Tensor]
"""Takes blurred images (N, 3, H, W) in [-1, 1] to restored ones."""

Timed = tuple[Tensor, float | None]
"""A restored image and its seconds."""

FILES = 5
"""Pictures of a size restored from file to file, for the time of that."""
SIZES = 4
"""For so many sizes, at most."""


@dataclass
class Restored:
    """One test picture and what the methods made of it."""

    pair: Pair
    images: dict[str, Tensor]
    """By method, (1, 3, H, W); those of the whole frame, where a protocol looks at it."""
    results: list[Result]
    blur_sigma: float | None


@dataclass
class Timing:
    """What a method takes for pictures of one size."""

    method: str
    size: tuple[int, int]
    seconds: list[float] = field(default_factory=list)
    """The method alone: from a picture on the device to its restored one there."""
    file_to_file: list[float] = field(default_factory=list)
    """With reading, decoding, rounding, encoding and writing a PNG file."""
    peak_memory: int | None = None
    """Bytes at the most: of the process on a CPU, of the device's memory else."""


class Evaluation:
    """Goes through a test set, a picture at a time.

    methods: what restores, by name. protocols: what is scored, and of what part of a frame; a
    method is run once for each such part. device: where the methods are. Scores are computed on
    the CPU.
    """

    def __init__(
        self, methods: Mapping[str, Method], protocols: Sequence[Protocol], device: torch.device
    ) -> None:
        self.methods = methods
        self.protocols = protocols
        self.device = device
        self.timings: dict[tuple[str, tuple[int, int]], Timing] = {}
        self.spent: defaultdict[str, float] = defaultdict(float)
        """Seconds, by what they were spent on."""

    @torch.inference_mode()
    def run(
        self,
        pairs: Iterable[Pair],
        scenes: Sequence[str],
        *,
        paired: bool,
        poses: Callable[[int], Iterable[Tensor] | None] = lambda index: None,
    ) -> Iterator[Restored]:
        """Restore and score pairs of one picture each.

        scenes: of each pair, in order. paired: whether there are sharp pictures to compare with.
        poses: gives a pair's other sharp frames, see `Comparison`. Raises ValueError for a picture
        that is too small for a protocol.
        """
        views = [*dict.fromkeys(protocol.view for protocol in self.protocols)] or [whole]
        started = time.perf_counter()
        # Beside an accelerator the last picture is scored while it restores the next one; a CPU
        # has enough to do, and times would no longer be the network's alone.
        with ThreadPoolExecutor(1) as scorer:
            waiting: deque[Future[Restored]] = deque()
            for index, (pair, scene) in enumerate(zip(pairs, scenes)):
                check_size(self.protocols, (pair.blur.shape[-1], pair.blur.shape[-2]), *pair.name)
                self.spent["loading"] += time.perf_counter() - started
                started = time.perf_counter()
                seen = {view: self._restore(view(pair.blur)) for view in views}
                self.spent["restoring"] += time.perf_counter() - started
                frames = partial(poses, index)
                waiting.append(scorer.submit(self._judge, pair, scene, seen, paired, frames))
                if self.device.type == "cpu" or len(waiting) > 1:
                    yield waiting.popleft().result()
                started = time.perf_counter()
            while waiting:
                yield waiting.popleft().result()

    def report_time(self, total: float) -> str:
        """Say what took which share of so many seconds; what was done at once counts twice."""
        shares = {**self.spent, "pages and pictures": total - sum(self.spent.values())}
        return ", ".join(f"{name} {max(0, each) / total:.0%}" for name, each in shares.items())

    @torch.inference_mode()
    def _judge(
        self,
        pair: Pair,
        scene: str,
        seen: Mapping[View, Mapping[str, Timed]],
        paired: bool,
        frames: Callable[[], Iterable[Tensor] | None],
    ) -> Restored:
        """Score what the methods made of a picture, as each protocol looks at it."""
        started = time.perf_counter()
        results: list[Result] = []
        for view, outputs in seen.items():
            blur, sharp = view(pair.blur), view(pair.sharp)
            size = (blur.shape[-1], blur.shape[-2])
            for method, (restored, seconds) in {BLURRY: (blur, None), **outputs}.items():
                row = Result(pair.name[0], scene, method, None, size, seconds)
                if paired:
                    results += self._score(row, Comparison(restored, sharp, frames()), view)
                elif method != BLURRY:
                    results.append(row)
        shown = seen.get(whole) or next(iter(seen.values()))
        images = {method: image for method, (image, _) in shown.items()}
        strength = blur_sigma(pair.blur, pair.sharp) if paired else None
        self.spent["metrics"] += time.perf_counter() - started
        return Restored(pair, images, results, strength)

    def _score(self, row: Result, pair: Comparison, view: View) -> Iterator[Result]:
        """Score a picture under each protocol that looks at it so."""
        for protocol in self.protocols:
            if protocol.view is view:
                scores = {key: float(value[0]) for key, value in protocol.score(pair).items()}
                yield replace(row, protocol=protocol.name, scores=scores)

    def _restore(self, blur: Tensor) -> dict[str, Timed]:
        """Run each method on a picture: give its result, on the CPU, and its seconds."""
        images: dict[str, Timed] = {}
        blur = blur.to(self.device)
        size = (blur.shape[-1], blur.shape[-2])
        for name, method in self.methods.items():
            timing = self.timings.setdefault((name, size), Timing(name, size))
            if not timing.seconds:
                with PeakMemory(self.device) as memory:
                    method(blur)  # the first one of a size warms up
                timing.peak_memory = memory.peak
            synchronize(self.device)
            start = time.perf_counter()
            restored = method(blur)
            synchronize(self.device)
            timing.seconds.append(time.perf_counter() - start)
            images[name] = restored.cpu(), timing.seconds[-1]
            sizes = sum(method == name for method, _ in self.timings)
            if len(timing.file_to_file) < FILES and sizes <= SIZES:
                timing.file_to_file.append(self._from_file_to_file(method, blur))
        return images

    def _from_file_to_file(self, method: Method, blur: Tensor) -> float:
        with tempfile.TemporaryDirectory() as folder:
            source, target = Path(folder, "blurred.png"), Path(folder, "restored.png")
            _write(blur, source)
            start = time.perf_counter()
            pixels = torch.from_numpy(read(source)).permute(2, 0, 1)[None]
            _write(method(encode(pixels).to(self.device)), target)
            return time.perf_counter() - start


def _write(image: Tensor, path: Path) -> None:
    pixels = decode(image[0]).permute(1, 2, 0).contiguous().cpu().numpy()
    Image.fromarray(np.asarray(pixels)).save(path)


def rehearse(protocols: Iterable[Protocol], *, poses: bool) -> None:
    """Try protocols that want more than two pictures, before hours are spent.

    Raises ImportError, FileNotFoundError or ValueError with what is missing. poses: whether the
    data have several sharp frames of an exposure.
    """
    noise = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(0)) * 2 - 1
    for protocol in protocols:
        if protocol.extra:
            protocol.score(Comparison(noise, noise, [noise] if poses else None))


def distinguish(paths: Sequence[str]) -> list[str]:
    """Name files by what sets their paths apart: ["a/x/last.ckpt", "a/y/last.ckpt"]: ["x", "y"].

    Endings are left out where the rest tells them apart. A single one is "restored".
    """
    if len(paths) < 2:
        return ["restored"] * len(paths)
    plain = [Path(path).with_suffix("").parts for path in paths]
    parts = plain if len(set(plain)) == len(plain) else [Path(path).parts for path in paths]
    if len(set(parts)) < len(parts):
        raise ValueError(f"one checkpoint is named twice: {', '.join(paths)}")
    shortest = min(map(len, parts))
    first = next(i for i in range(shortest + 1) if len({p[: i + 1] for p in parts}) > 1)
    last = next(i for i in range(shortest + 1) if len({p[len(p) - i - 1 :] for p in parts}) > 1)
    return [Path(*p[first : max(len(p) - last, first + 1)]).as_posix() for p in parts]
