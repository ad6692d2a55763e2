"""Runs a network over images of any size, in tiles, and leaves its failures out."""

import logging
import math
import time
from collections.abc import Callable, Iterator
from copy import copy
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from deblur.hardware import free_memory, is_out_of_memory
from deblur.inference import Precision, adapt, adapt_like
from deblur.inference.example_photos import show_examples
from deblur.restoration.flat_regions import find_detail, keep_flat
from deblur.restoration.guard import find_harm, put_back
from deblur.restoration.memory_footprint import measure_footprint
from deblur.restoration.tiling import blend, measure_reach, plan_tiles

log = logging.getLogger(__name__)
PROBE = 256
"""The side, in pixels, of the image whose time is measured."""
LARGEST, SMALLEST = 1 << 23, 1 << 14
"""The most and the fewest pixels of a tile that is fitted into memory."""
MOST = 1 << 28
"""The most bytes of a CPU's memory that tiles may take."""
BESIDE = 1.3
"""The memory of kernels and features together, relative to the features'."""
TOLERANCE = 0.25 / 255
"""The largest change by a tile's cut that is ignored, relative to black to white."""
GLOBAL = 64
"""The reach of a cut, in pixels, assumed of networks whose values depend on the whole image."""


Watch = Callable[[int, int], None]
"""Called with the number of finished tiles of an image, and of all its tiles."""


@dataclass
class Findings:
    """What was found in an image while it was restored."""

    cells: int = 0
    """The number of parts, of 64x64 pixels, that were left unchanged: the output had diverged."""
    of: int = 0
    """The number of all parts."""
    noisy: bool | None = None
    """Whether it is noisy; None if that was not measured."""
    by: str = ""
    """The model that restored it because it is noisy."""

    @property
    def notes(self) -> list[str]:
        """Notes for the user, a sentence each."""
        notes = [f"noisy: restored by {self.by}"] if self.by else []
        if self.cells:
            left = f"left {self.cells} of {self.of} parts unchanged"
            notes.append(f"{left}: the network's output diverged there")
        return notes


class TiledNetwork:
    """Restores images with a network, in tiles where they are large.

    For its parameters see `deblur.restoration.restorer.Restorer`.
    """

    def __init__(
        self,
        generator: nn.Module,
        *,
        device: torch.device,
        precision: Precision,
        tile: int | None,
        self_ensemble: bool,
        guard: bool,
    ) -> None:
        self.device = device
        self.network = adapt(generator, device, precision)
        self.stride = int(getattr(generator, "stride", 1))
        self.tiling: Any = getattr(generator, "tiling", None)
        """The tiles that suit the network best (MAXIM): their `side` and `overlap`, in pixels."""
        self.tile = tile
        self.self_ensemble = self_ensemble
        self.guard = guard
        self.reach: int | None = None
        """How far, in pixels, a cut changes the output; measured when it is first needed."""
        self._bytes: float | None = None

    def renew(self, generator: nn.Module) -> "TiledNetwork":
        """Return the same for a generator with other weights, in the same arithmetic."""
        other = copy(self)
        other.network = adapt_like(self.network, generator, self.device)
        other.reach = other._bytes = None
        return other

    @torch.inference_mode()
    def measure_pace(self) -> float:
        """Measure the seconds that a megapixel takes, on a small image."""
        blur = torch.zeros(1, 3, PROBE, PROBE, device=self.device)
        self._restore_tile(blur, 1.0, Findings())  # the first one packs weights
        start = time.perf_counter()
        self._restore_tile(blur, 1.0, Findings()).cpu()
        return (time.perf_counter() - start) / PROBE**2 * 1e6

    def restore(
        self,
        image: Tensor,
        low: float,
        high: float,
        *,
        strength: float,
        findings: Findings,
        watch: Watch | None = None,
    ) -> Iterator[tuple[slice, Tensor]]:
        """Restore an image band by band.

        Args:
            image: (1 or 3, H, W), any dtype, on any device. Only a tile at a time is converted.
            low: The value of black.
            high: The value of white.
            strength: The share of the change to apply, above 0, at most 1.
            findings: Counts the parts that the guard leaves unchanged.
            watch: Called after each tile.

        Yields:
            The rows of each band, and the band, (C, h, W) on the CPU, in the image's range and
            dtype; whole numbers are rounded. After running out of memory it starts again at the
            first band, in smaller tiles.

        Raises:
            ValueError: The tile is too small for this network.
        """
        whole = not image.is_floating_point()
        grey = is_grey(image)
        detail = find_detail(image, low, high) if self.guard else None
        before = findings.cells, findings.of
        done = count = 0

        def normalize(part: Tensor) -> Tensor:
            """Convert values from low to high to float32 in [-1, 1]."""
            return (part.float() - low) * (2 / (high - low)) - 1

        def compute(rows: slice, columns: slice) -> Tensor:
            nonlocal done
            part = image[:, rows, columns]
            part = part.float() if part.dtype == torch.double else part  # which MPS does not have
            blur = normalize(part.to(self.device)).expand(3, -1, -1)[None]
            restored = self._restore_tile(blur, strength, findings)[0].float().cpu()
            done += 1
            if watch is not None:
                watch(done, count)
            return restored

        height, width = image.shape[-2:]
        least = 2 * self.stride
        if self.tile and self.tile < least and height * width > self.tile**2:
            raise ValueError(f"tile must be {least} or more for this network, got {self.tile}")
        area = self.tile**2 if self.tile else self._fit_area(height * width)
        if self.tiling and not self.tile:
            area = min(area, self.tiling.side**2)
        while True:
            overlap = 0 if height * width <= area else self._find_overlap(area)
            rows, columns = plan_tiles((height, width), area, overlap, self.stride)
            done, count = 0, len(rows) * len(columns)
            try:
                for span, band in blend(rows, columns, compute):
                    if grey:
                        band = band.mean(0, keepdim=True)
                    if detail is not None:
                        blur = normalize(image[: len(band), span].cpu())
                        band = keep_flat(blur, band, detail, span)
                    band.add_(1).mul_((high - low) / 2).add_(low).clamp_(low, high)
                    band = (band.round_() if whole else band).to(image.dtype)
                    yield span, band.expand(len(image), -1, -1)
                return
            except (RuntimeError, MemoryError) as error:
                if not is_out_of_memory(error) or area <= max(SMALLEST, least**2):
                    raise
            area = max(min(area, height * width) // 4, least**2)
            findings.cells, findings.of = before
            log.warning("out of memory: trying tiles of %d pixels in all", area)

    @torch.inference_mode()
    def _restore_tile(self, blur: Tensor, strength: float, findings: Findings) -> Tensor:
        """Restore (1, 3, h, w) in [-1, 1], on the device."""
        turned = [(turns, flip) for turns in range(4) for flip in (False, True)]
        images = []
        for turns, flip in turned if self.self_ensemble else turned[:1]:
            view = torch.rot90(blur.flip(-1) if flip else blur, turns, (-2, -1)).contiguous()
            back = torch.rot90(self._run(view), -turns, (-2, -1))
            images.append(back.flip(-1) if flip else back)
        restored = torch.stack(images).mean(0) if len(images) > 1 else images[0]
        if self.guard:
            broken = find_harm(blur, restored)
            findings.cells += int(broken.sum())
            findings.of += broken.numel()
            restored = put_back(blur, restored, broken)
        return blur.lerp(restored, strength) if strength < 1 else restored

    def _run(self, blur: Tensor) -> Tensor:
        restored: Tensor = self.network(blur)
        return restored.float()

    def _fit_area(self, wanted: int) -> int:
        """Return how many of the wanted pixels fit into memory at once."""
        if wanted <= SMALLEST:
            return wanted
        if self._bytes is None:
            footprint = measure_footprint(self.network, self.device, self.stride)
            self._bytes = max(1.0, BESIDE * footprint)  # nothing is measured of the identity
        free = free_memory(self.device) / 2
        if self.device.type == "cpu":
            free = min(free, MOST)
        return max(SMALLEST, min(LARGEST, int(free / self._bytes)))

    def _find_overlap(self, area: int) -> int:
        """Return the pixels that neighbouring tiles share: at best twice the reach of a cut."""
        if self.tiling:
            return min(int(self.tiling.overlap), math.isqrt(area) // 2 - self.stride)
        if self.reach is None:
            strips = show_examples(128, 1024)
            reach = measure_reach(self._run, self.stride, TOLERANCE, self.device, strips)
            self.reach = GLOBAL if reach is None else reach
            if reach is None:
                log.info("tiles have statistics of their own: the network has those of the whole")
        most = math.isqrt(area) // 2 - self.stride
        if 2 * self.reach > most:
            log.warning(
                "tiles of %d pixels in all are small for this network, seams may be seen: they "
                "share %d pixels and should share %d",
                area,
                most,
                2 * self.reach,
            )
        return min(2 * self.reach, most)


def is_grey(image: Tensor) -> bool:
    """Return whether all channels of an image (C, H, W) are equal."""
    return all(bool((image[0] == other).all()) for other in image[1:])
