"""Restores the pictures of a test set, scores the results, and measures the time."""

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
"""Maps blurred images (N, 3, H, W) in [-1, 1] to restored ones."""

Timed = tuple[Tensor, float | None]
"""A restored image, and the seconds that it took."""

FILES = 5
"""The number of pictures of each size that are timed from file to file."""
SIZES = 4
"""The most sizes for which that is done."""


@dataclass
class Restored:
    """One test picture and the methods' results for it."""

    pair: Pair
    """(1, 3, H, W): the whole frame if a protocol uses it, else the first protocol's view of it."""
    images: dict[str, Tensor]
    """By method, of the size of `pair`."""
    results: list[Result]
    blur_sigma: float | None


@dataclass
class Timing:
    """The time and memory that a method takes for pictures of one size."""

    method: str
    size: tuple[int, int]
    seconds: list[float] = field(default_factory=list)
    """The method alone: from a picture on the device to its restored one there."""
    file_to_file: list[float] = field(default_factory=list)
    """Including reading, decoding, rounding, encoding and writing a PNG file."""
    peak_memory: int | None = None
    """Peak memory in bytes: of the process on a CPU, else of the device."""


class Evaluation:
    """Evaluates methods on a test set, a picture at a time; scores are computed on the CPU.

    methods: the functions that restore, by name. protocols: define the scores and the view of a
    frame (a part of it, or a resized copy); a method is run once for each view. device: where the
    methods run.
    """

    def __init__(
        self, methods: Mapping[str, Method], protocols: Sequence[Protocol], device: torch.device
    ) -> None:
        self.methods = methods
        self.protocols = protocols
        self.device = device
        self.timings: dict[tuple[str, tuple[int, int]], Timing] = {}
        self.spent: defaultdict[str, float] = defaultdict(float)
        """Seconds spent, by activity."""

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

        Args:
            pairs: The pairs, with a batch dimension of 1.
            scenes: The scene of each pair, in order.
            paired: Whether there are sharp pictures to compare with.
            poses: Returns the sharp frames of a pair's exposure by its index, see `Comparison`.

        Raises:
            ValueError: A picture is too small for a protocol.
        """
        views = [*dict.fromkeys(protocol.view for protocol in self.protocols)] or [whole]
        started = time.perf_counter()
        # An accelerator restores the next picture while the CPU scores the last one. On a CPU both
        # would compete, and the measured times would not be the network's alone.
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
        """Return which share of `total` seconds each activity took; parallel ones count twice."""
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
        """Score the methods' results for a picture, in each protocol's view."""
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
        shown = whole if whole in seen else next(iter(seen))
        images = {method: image for method, (image, _) in seen[shown].items()}
        strength = blur_sigma(pair.blur, pair.sharp) if paired else None
        self.spent["metrics"] += time.perf_counter() - started
        pair = pair._replace(blur=shown(pair.blur), sharp=shown(pair.sharp))
        return Restored(pair, images, results, strength)

    def _score(self, row: Result, pair: Comparison, view: View) -> Iterator[Result]:
        """Score a picture under each protocol with this view."""
        for protocol in self.protocols:
            if protocol.view is view:
                scores = {key: float(value[0]) for key, value in protocol.score(pair).items()}
                yield replace(row, protocol=protocol.name, scores=scores)

    def _restore(self, blur: Tensor) -> dict[str, Timed]:
        """Run each method on a picture; return its result, on the CPU, and its seconds."""
        images: dict[str, Timed] = {}
        blur = blur.to(self.device)
        size = (blur.shape[-1], blur.shape[-2])
        for name, method in self.methods.items():
            timing = self.timings.setdefault((name, size), Timing(name, size))
            if not timing.seconds:
                with PeakMemory(self.device) as memory:
                    method(blur)  # warm up, once for each size
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


def rehearse(
    protocols: Sequence[Protocol], *, poses: bool, sizes: Iterable[tuple[str, tuple[int, int]]] = ()
) -> None:
    """Try the protocols that require more than two pictures, before hours are spent.

    Args:
        protocols: The protocols.
        poses: Whether the data have several sharp frames per exposure.
        sizes: The names of the pictures, with width and height, as far as they are known.

    Raises:
        ImportError, FileNotFoundError: A protocol lacks a package or a file.
        ValueError: A protocol lacks pictures, or a picture is too small for it.
    """
    for name, size in sizes:
        check_size(protocols, size, name)
    noise = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(0)) * 2 - 1
    for protocol in protocols:
        if protocol.extra:
            protocol.score(Comparison(noise, noise, [noise] if poses else None))


def distinguish(paths: Sequence[str]) -> list[str]:
    """Label files by the part in which their paths differ.

    ["a/x/last.ckpt", "a/y/last.ckpt"] becomes ["x", "y"]. File extensions are left out if the
    labels stay unique. A single file is called "restored".
    """
    if len(paths) < 2:
        return ["restored"] * len(paths)
    plain = [Path(path).with_suffix("").parts for path in paths]
    parts = plain if len(set(plain)) == len(plain) else [Path(path).parts for path in paths]
    if len(set(parts)) < len(parts):
        raise ValueError(f"the same checkpoint is named twice: {', '.join(paths)}")
    shortest = min(map(len, parts))
    first = next(i for i in range(shortest + 1) if len({p[: i + 1] for p in parts}) > 1)
    last = next(i for i in range(shortest + 1) if len({p[len(p) - i - 1 :] for p in parts}) > 1)
    return [Path(*p[first : max(len(p) - last, first + 1)]).as_posix() for p in parts]
