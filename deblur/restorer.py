"""Any picture in, the restored picture out: of the same kind, size and depth."""

import logging
import math
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, TypeVar, overload

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn

from deblur.checkpoints import load_generator
from deblur.checkpoints.shipped import find_model
from deblur.examples import show_examples
from deblur.flat import find_detail, keep_flat
from deblur.footprint import measure_footprint
from deblur.formats.upright import make_upright
from deblur.guard import find_harm, put_back
from deblur.hardware import free_memory, is_out_of_memory, pick_device
from deblur.hidden import fill_hidden
from deblur.inference import Precision, adapt
from deblur.photo import Frame, open_photo
from deblur.tiles import blend, measure_reach, plan_tiles

log = logging.getLogger(__name__)
PROBE = 256
"""Side of the picture whose time is measured."""
LARGEST, SMALLEST = 1 << 23, 1 << 14
"""Pixels of a tile that is chosen here."""
MOST = 1 << 28
"""Bytes that tiles may take of a CPU's memory, where there is more."""
BESIDE = 1.3
"""What kernels take beside a network's features."""
TOLERANCE = 0.25 / 255
"""What a tile's cut may change before it fades away, of black to white."""
GLOBAL = 64
"""Overlap for networks whose every value depends on the whole picture."""
T = TypeVar("T", Image.Image, NDArray[Any], Tensor)


class Harm(NamedTuple):
    """What the guard found in a picture."""

    cells: int
    """How many parts of the picture, of 64x64 pixels, are as they were, for they had blown up."""
    of: int


def is_grey(image: Tensor) -> bool:
    """Return whether a picture (C, H, W) has no colour, though it may have channels for it."""
    return all(bool((image[0] == other).all()) for other in image[1:])


class Restorer:
    """Restores pictures with a generator, in tiles where they are large.

    generator: takes and gives (N, 3, H, W) in [-1, 1]. device: "auto" is the fastest that is there.
    precision: of the convolutions, "float32", "bfloat16" or "int8" (see `adapt`); "auto" is the
    fastest on this machine, by a race that is remembered. The picture itself stays float32.
    tile: the side of a tile in pixels (or another shape of that area); None for as large ones as
    memory allows, or as the network is best on (MAXIM, whose grid spans a tile). Tiles overlap by
    as much as a cut changes the output, so that no seam can be seen. Networks with statistics of
    the whole picture (instance norm, NAFNet's attention, MAXIM) have each tile's own. Out of
    memory, tiles are halved.
    strength: how much of the change is made, 0 to 1. self_ensemble: restores each picture in its
    eight orientations and gives the mean: eight times slower, about 0.2 dB better.
    guard: parts of a picture in which the output blows up, and flat parts, which have nothing to
    restore, are given back as they were.

    Raises ValueError for values out of range and devices that are not there.
    """

    def __init__(
        self,
        generator: nn.Module,
        *,
        device: str = "auto",
        precision: Precision = "auto",
        tile: int | None = None,
        strength: float = 1.0,
        self_ensemble: bool = False,
        guard: bool = True,
    ) -> None:
        if not 0 <= strength <= 1:
            raise ValueError(f"strength must lie in 0 to 1, got {strength}")
        if tile is not None and tile < 16:
            raise ValueError(f"tile must be of 16 pixels or more, got {tile}")
        self.device = pick_device(device)
        self.network = adapt(generator, self.device, precision)
        self.stride = int(getattr(generator, "stride", 1))
        self.tiling: Any = getattr(generator, "tiling", None)
        """Of a network with tiles of its own: their `side` and `overlap`, in pixels."""
        self.tile = tile
        self.strength = strength
        self.self_ensemble = self_ensemble
        self.guard = guard
        self.watch: Callable[[int, int], None] | None = None
        """Told how many of a picture's tiles are done, and how many there are."""
        self.harm = Harm(0, 0)
        self._reach: int | None = None
        self._bytes: float | None = None

    @classmethod
    def load(
        cls,
        name_or_path: str | Path,
        *,
        trust: str | None = None,
        stages: int | None = None,
        **settings: Any,
    ) -> "Restorer":
        """Load a shipped generator by its name, or one from a file (see `load_generator`).

        stages: of a network of several (MAXIM); None for as many as its file recommends.
        settings: of the Restorer. Raises FileNotFoundError or ValueError with the reason.
        """
        path = find_model(name_or_path)
        return cls(load_generator(path, trust=trust, stages=stages).network, **settings)

    def restore_file(
        self,
        source: Path | BinaryIO,
        target: Path | BinaryIO,
        *,
        format: str | None = None,
        quality: int | None = None,
        overwrite: bool = False,
    ) -> list[str]:
        """Restore a picture's file, and all that it holds beside the pixels: see `deblur.photo`.

        format, quality: of the target, else those of its name and of the source. Returns what
        could not be kept as it was, and what the guard did. Raises FileExistsError where the
        target is there, unless it may be overwritten; ValueError and OSError with the reason.
        """
        if isinstance(target, Path) and target.exists():
            if isinstance(source, Path) and target.samefile(source):
                raise ValueError(f"{source}: would be written over itself")
            if not overwrite:
                raise FileExistsError(f"{target}: is there already")
        harm = Harm(0, 0)

        def restored(frames: Iterable[Frame]) -> Iterator[Frame]:
            nonlocal harm
            for frame in frames:
                yield frame._replace(pixels=self._restore_array(frame.pixels))
                harm = Harm(harm.cells + self.harm.cells, harm.of + self.harm.of)

        with open_photo(source) as photo:
            photo.write(target, restored(photo.frames()), format=format, quality=quality)
            notes = [*photo.notes]
        if harm.cells:
            notes.append(f"left {harm.cells} of {harm.of} parts as they were: the network blew up")
        return notes

    @overload
    def restore(self, image: T) -> T: ...

    @overload
    def restore(self, image: list[T]) -> list[T]: ...

    def restore(self, image: Any) -> Any:
        """Restore a picture, or several.

        A PIL image comes back as one of its mode, upright, with its info (EXIF, ICC profile,
        density ...); palettes, bilevel images and CMYK become RGB or grey, a transparent colour
        becomes alpha. A numpy array is (H, W), (H, W, C) or (N, H, W, C) of 1 to 4 channels, uint8,
        uint16 or floats in [0, 1]; a second or fourth channel is alpha and stays as it is, and so
        do colours under an alpha of 0. A tensor is (C, H, W) or (N, C, H, W) of 1 or 3 channels,
        in [-1, 1] or uint8. A list gives a list. Colours that are all grey stay grey. Raises
        TypeError and ValueError for anything else.
        """
        if isinstance(image, list):
            return [self.restore(each) for each in image]
        if isinstance(image, np.ndarray | Tensor) and image.ndim == 4 and not len(image):
            return image  # a batch of no pictures: there is nothing to stack
        if isinstance(image, Image.Image):
            return self._restore_pil(image)
        if isinstance(image, np.ndarray):
            return self._restore_array(image)
        if isinstance(image, Tensor):
            if image.ndim == 4:
                return torch.stack([self.restore(each) for each in image])
            return self._restore_tensor(image)
        raise TypeError(f"cannot restore a {type(image).__name__}, expected PIL, numpy or a tensor")

    @torch.inference_mode()
    def measure_pace(self) -> float:
        """Measure the seconds that a megapixel takes, on a small picture."""
        blur = torch.zeros(1, 3, PROBE, PROBE, device=self.device)
        self._restore_tile(blur)  # the first one packs weights
        start = time.perf_counter()
        self._restore_tile(blur).cpu()
        return (time.perf_counter() - start) / PROBE**2 * 1e6

    def _restore_pil(self, image: Image.Image) -> Image.Image:
        ready = make_upright(image)
        restored = Image.fromarray(self._restore_array(np.asarray(ready)))
        restored.info = ready.info
        return restored

    def _restore_array(self, array: NDArray[Any]) -> NDArray[Any]:
        if array.ndim == 4:
            return np.stack([self._restore_array(each) for each in array])
        if array.ndim == 2:
            flat: NDArray[Any] = self._restore_array(array[..., None])[..., 0]
            return flat
        if array.ndim != 3 or not 1 <= array.shape[2] <= 4:
            raise ValueError(f"an array must be (H, W) or (H, W, 1 to 4), got {array.shape}")
        if array.dtype not in (np.uint8, np.uint16) and array.dtype.kind != "f":
            raise ValueError(f"an array must be uint8, uint16 or float, got {array.dtype}")
        colours = 1 if array.shape[2] < 3 else 3
        top = {"u1": 255.0, "u2": 65535.0}.get(array.dtype.str[1:], 1.0)
        plain = np.require(array[..., :colours], requirements=["C", "W"])
        alpha = array[..., -1] if array.shape[2] in (2, 4) else None
        if alpha is not None:
            plain = fill_hidden(plain, alpha)
        restored = np.empty_like(array)
        restored[..., colours:] = array[..., colours:]
        for rows, band in self._bands(torch.from_numpy(plain).permute(2, 0, 1), 0.0, top):
            restored[rows, :, :colours] = band.permute(1, 2, 0).numpy()
        if alpha is not None:
            np.copyto(restored, array, where=(alpha == 0)[..., None])
        return restored

    def _restore_tensor(self, image: Tensor) -> Tensor:
        if image.ndim != 3 or image.shape[0] not in (1, 3):
            raise ValueError(f"a tensor must be (1 or 3, H, W), got {tuple(image.shape)}")
        if image.dtype != torch.uint8 and not image.is_floating_point():
            raise ValueError(f"a tensor must be uint8 or float, got {image.dtype}")
        low, high = (0.0, 255.0) if image.dtype == torch.uint8 else (-1.0, 1.0)
        restored = torch.empty_like(image)
        for rows, band in self._bands(image, low, high):
            restored[:, rows] = band.to(image.device, image.dtype)
        return restored

    def _bands(self, image: Tensor, low: float, high: float) -> Iterator[tuple[slice, Tensor]]:
        """Restore (C, H, W), whose black is low and white high: give its rows, in its own range.

        Whole numbers are rounded.
        """
        if 0 in image.shape:
            raise ValueError(f"an image of no pixels: {tuple(image.shape)}")
        self.harm = Harm(0, 0)
        if self.strength == 0:
            yield slice(None), image.clone()
            return
        whole = not image.is_floating_point()
        grey = is_grey(image)
        detail = find_detail(image, low, high) if self.guard else None
        done = count = 0

        def compute(rows: slice, columns: slice) -> Tensor:
            nonlocal done
            part = image[:, rows, columns].to(self.device).float()
            blur = (part - low) * (2 / (high - low)) - 1
            restored = self._restore_tile(blur.expand(3, -1, -1)[None])[0].float().cpu()
            done += 1
            if self.watch is not None:
                self.watch(done, count)
            return restored

        height, width = image.shape[-2:]
        area = self.tile**2 if self.tile else self._room(height * width)
        if self.tiling and not self.tile:
            area = min(area, self.tiling.side**2)
        while True:
            overlap = 0 if height * width <= area else self._overlap(area)
            rows, columns = plan_tiles((height, width), area, overlap, self.stride)
            done, count = 0, len(rows) * len(columns)
            try:
                for span, band in blend(rows, columns, compute):
                    if grey:
                        band = band.mean(0, keepdim=True)
                    if detail is not None:
                        blur = image[: len(band), span].float().cpu()
                        blur = (blur - low) * (2 / (high - low)) - 1
                        band = keep_flat(blur, band, detail, span)
                    band.add_(1).mul_((high - low) / 2).add_(low).clamp_(low, high)
                    band = (band.round_() if whole else band).to(image.dtype)
                    yield span, band.expand(len(image), -1, -1)
                return
            except (RuntimeError, MemoryError) as error:
                if not is_out_of_memory(error) or area <= SMALLEST:
                    raise
            area = min(area, height * width) // 4
            self.harm = Harm(0, 0)
            log.warning("out of memory: trying tiles of %d pixels in all", area)

    @torch.inference_mode()
    def _restore_tile(self, blur: Tensor) -> Tensor:
        """Restore (1, 3, h, w) in [-1, 1], on the device."""
        turned = [(turns, flip) for turns in range(4) for flip in (False, True)]
        images = []
        for turns, flip in turned if self.self_ensemble else turned[:1]:
            view = torch.rot90(blur.flip(-1) if flip else blur, turns, (-2, -1)).contiguous()
            back = torch.rot90(self._run(view), -turns, (-2, -1))
            images.append(back.flip(-1) if flip else back)
        restored = torch.stack(images).mean(0) if len(images) > 1 else images[0]
        if self.guard:
            harm = find_harm(blur, restored)
            self.harm = Harm(self.harm.cells + int(harm.sum()), self.harm.of + harm.numel())
            restored = put_back(blur, restored, harm)
        return blur.lerp(restored, self.strength) if self.strength < 1 else restored

    def _run(self, blur: Tensor) -> Tensor:
        restored: Tensor = self.network(blur)
        return restored.float()

    def _room(self, wanted: int) -> int:
        """Give how many pixels fit into memory at once, of those wanted."""
        if wanted <= SMALLEST:
            return wanted
        if self._bytes is None:
            self._bytes = BESIDE * measure_footprint(self.network, self.device, self.stride)
        free = free_memory(self.device) / 2
        if self.device.type == "cpu":
            free = min(free, MOST)
        return max(SMALLEST, min(LARGEST, int(free / self._bytes)))

    def _overlap(self, area: int) -> int:
        """Give what tiles must share: what their cuts may change from both sides, if it fits."""
        if self.tiling:
            return min(int(self.tiling.overlap), math.isqrt(area) // 2 - self.stride)
        if self._reach is None:
            strips = show_examples(128, 1024)
            reach = measure_reach(self._run, self.stride, TOLERANCE, self.device, strips)
            self._reach = GLOBAL if reach is None else reach
            if reach is None:
                log.info("tiles have statistics of their own: the network has those of the whole")
        most = math.isqrt(area) // 2 - self.stride
        if 2 * self._reach > most:
            log.warning(
                "tiles of %d pixels in all are small for this network, seams may be seen: they "
                "share %d pixels and should share %d",
                area,
                most,
                2 * self._reach,
            )
        return min(2 * self._reach, most)
