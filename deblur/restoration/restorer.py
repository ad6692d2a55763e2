"""Restores any picture, and returns it with the same kind, size and depth."""

from collections.abc import Iterable, Iterator
from copy import copy
from functools import cached_property, partial
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, TypeVar, overload

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn

from deblur.checkpoints import load_generator
from deblur.checkpoints.shipped import find_model, find_models
from deblur.hardware import pick_device
from deblur.inference import Precision
from deblur.media.formats.upright import make_upright
from deblur.media.photo import Frame, open_photo
from deblur.restoration.accepted import check_array, check_strength, check_tensor
from deblur.restoration.noise import is_noisy
from deblur.restoration.scale import SCALES, Scale, choose_scale, restore_shrunk
from deblur.restoration.tiled_network import Findings, TiledNetwork, Watch
from deblur.restoration.transparency import fill_hidden

T = TypeVar("T", Image.Image, NDArray[Any], Tensor)


class Restorer:
    """Restores pictures with a generator, in tiles where they are large.

    Args:
        generator: Maps (N, 3, H, W) to the same, in [-1, 1].
        device: The device to restore on; "auto" is the fastest available one.
        precision: The network's arithmetic, "float32", "winograd", "bfloat16" or "int8" (see
            `adapt`); "auto" is the fastest on this machine, by a race that is remembered. The
            picture itself stays float32.
        tile: The side of a tile in pixels, 16 or more (or another shape of that area). None chooses
            tiles as large as memory allows, or those that suit the network best (MAXIM, whose grid
            spans a tile). Tiles overlap by as much as a cut changes the output, so that no seam is
            visible. Networks with statistics of the whole picture (instance norm, NAFNet's
            attention, MAXIM) use each tile's own. If memory runs out, their sides are halved.
        strength: The share of the change to apply, 0 to 1.
        self_ensemble: Restore each picture in its eight orientations and take the mean: eight
            times slower, about 0.2 dB better.
        guard: Leave parts of a picture unchanged where the output diverges, and flat parts, which
            have nothing to restore.
        scale: 2 or 4 restores the picture at a half or a quarter of its size and adds the change
            to the whole, for blur that is longer than the network can see; "auto" chooses for each
            picture by what the network changes at each scale.
        noisy: A model for noisy pictures, by its name or file, which is loaded when the first of
            them comes; None restores them as all others. The frames of a photo are restored as
            the first one.

    Raises:
        ValueError: A value is out of its range, or the device is not available or does not support
            the precision.
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
        scale: Scale = 1,
        noisy: str | Path | None = None,
    ) -> None:
        check_strength(strength)
        if tile is not None and tile < 16:
            raise ValueError(f"tile must be of 16 pixels or more, got {tile}")
        if scale not in SCALES:
            raise ValueError(f"scale must be one of {', '.join(map(str, SCALES))}, got {scale}")
        self._prepare = partial(
            TiledNetwork,
            device=pick_device(device),
            precision=precision,
            tile=tile,
            self_ensemble=self_ensemble,
            guard=guard,
        )
        self.tiles = self._prepare(generator)
        self.strength = strength
        self.scale = scale
        self.noisy = noisy
        self.watch: Watch | None = None
        """Called after each tile."""

    @property
    def network(self) -> nn.Module:
        """The network, ready to restore on this device."""
        return self.tiles.network

    @property
    def networks(self) -> list[nn.Module]:
        """The network, and the one for noisy pictures if there is one."""
        return [self.network] if self.noisy is None else [self.network, self._noisy.network]

    @cached_property
    def _noisy(self) -> TiledNetwork:
        """What restores noisy pictures."""
        assert self.noisy is not None
        return self._prepare(load_generator(find_model(self.noisy)).network)

    @classmethod
    def load(
        cls,
        name_or_path: str | Path,
        *,
        trust: str | None = None,
        stages: int | None = None,
        **settings: Any,
    ) -> "Restorer":
        """Load a bundled generator by its name, or one from a file (see `load_generator`).

        "auto" is the default of `deblur` for photos: "maxim", with "fast" for the noisy ones.
        stages: the number of stages to use (MAXIM); None for the file's default.
        settings: the Restorer's other arguments.

        Raises FileNotFoundError or ValueError with the reason.
        """
        path, noisy = find_models(name_or_path)
        network = load_generator(path, trust=trust, stages=stages).network
        return cls(network, **{"noisy": noisy, **settings})

    def renew(self, generator: nn.Module) -> "Restorer":
        """Return a Restorer of the same settings and arithmetic for another generator."""
        other = copy(self)
        other.tiles = self.tiles.renew(generator)
        return other

    def restore_file(
        self,
        source: str | Path | BinaryIO,
        target: str | Path | BinaryIO,
        *,
        format: str | None = None,
        quality: int | None = None,
        overwrite: bool = False,
        strength: float | None = None,
    ) -> list[str]:
        """Restore a picture's file, and keep everything else that it holds.

        Args:
            source: A path, or an open file.
            target: Likewise.
            format: The target's format; None chooses it by the target's name.
            quality: The target's quality, 1 to 100; None for the source's.
            overwrite: Whether an existing target is overwritten.
            strength: As in the constructor; None for the constructor's value.

        Returns:
            Notes on what could not be kept as it was, on what the guard left unchanged, and on
            the model for noisy pictures if it was used.

        Raises:
            FileExistsError: The target exists, and `overwrite` is False.
            ValueError: The source is not a readable picture, an argument does not fit, or the
                target would overwrite the source.
            OSError: A file cannot be read or written.
        """
        source = Path(source) if isinstance(source, str) else source
        target = Path(target) if isinstance(target, str) else target
        if isinstance(target, Path) and target.exists():
            if isinstance(source, Path) and target.samefile(source):
                raise ValueError(f"{source}: would be written over itself")
            if not overwrite:
                raise FileExistsError(f"{target}: already exists")
        findings = Findings()
        photo = open_photo(source)
        restored = self.restore_frames(photo.frames(), findings, strength=strength)
        photo.write(target, restored, format=format, quality=quality)
        return [*photo.notes, *findings.notes]

    def restore_frames(
        self, frames: Iterable[Frame], findings: Findings, *, strength: float | None = None
    ) -> Iterator[Frame]:
        """Restore a photo's frames, one at a time; alpha stays as it is.

        findings: filled in; one object for all frames of a photo. strength: as in the constructor;
        None for the constructor's value. Raises ValueError for a strength out of range.
        """
        call = _Call(self.strength if strength is None else strength, findings)
        check_strength(call.strength)
        for frame in frames:
            yield frame._replace(pixels=self._restore_array(frame.pixels, call, frame.alpha))

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
        call = _Call(self.strength, Findings())
        if isinstance(image, Image.Image):
            ready = make_upright(image)
            restored = Image.fromarray(self._restore_array(np.asarray(ready), call))
            restored.info = ready.info
            return restored
        if isinstance(image, np.ndarray):
            if image.ndim == 4:
                return np.stack([self.restore(each) for each in image])
            return self._restore_array(image, call)
        if isinstance(image, Tensor):
            if image.ndim == 4:
                return torch.stack([self.restore(each) for each in image])
            return self._restore_tensor(image, call)
        raise TypeError(f"cannot restore a {type(image).__name__}, expected PIL, numpy or a tensor")

    def _restore_array(
        self, array: NDArray[Any], call: "_Call", alpha: NDArray[Any] | None = None
    ) -> NDArray[Any]:
        """Restore an array; alpha (H, W) is given where it is not the array's last channel."""
        if array.ndim == 2:
            flat: NDArray[Any] = self._restore_array(array[..., None], call, alpha)[..., 0]
            return flat
        check_array(array)
        colours = 1 if array.shape[2] < 3 else 3
        top = {"u1": 255.0, "u2": 65535.0}.get(array.dtype.str[1:], 1.0)
        plain = np.require(array[..., :colours], requirements=["C", "W"])
        if array.shape[2] in (2, 4):
            alpha = array[..., -1]
        if alpha is not None:
            plain = fill_hidden(plain, alpha)
        restored = np.empty_like(array)
        restored[..., colours:] = array[..., colours:]
        for rows, band in self._restore(torch.from_numpy(plain).permute(2, 0, 1), 0.0, top, call):
            restored[rows, :, :colours] = band.permute(1, 2, 0).numpy()
        if alpha is not None:
            np.copyto(restored, array, where=(alpha == 0)[..., None])
        return restored

    def _restore_tensor(self, image: Tensor, call: "_Call") -> Tensor:
        check_tensor(image)
        low, high = (0.0, 255.0) if image.dtype == torch.uint8 else (-1.0, 1.0)
        restored = torch.empty_like(image)
        for rows, band in self._restore(image, low, high, call):
            restored[:, rows] = band.to(image.device, image.dtype)
        return restored

    def _restore(
        self, image: Tensor, low: float, high: float, call: "_Call"
    ) -> Iterator[tuple[slice, Tensor]]:
        """Restore (C, H, W) with values from low (black) to high (white); return bands of rows."""
        if 0 in image.shape:
            raise ValueError(f"an image of no pixels: {tuple(image.shape)}")
        if call.strength == 0:
            return iter([(slice(None), image.clone())])
        tiles = self._choose_tiles(image, low, high, call.findings)
        restore = partial(
            tiles.restore, strength=call.strength, findings=call.findings, watch=self.watch
        )
        scale = self.scale
        if scale == "auto":
            trial = partial(restore, findings=Findings(), watch=None)
            scale = choose_scale(trial, image, low, high)
        if scale == 1:
            return restore(image, low, high)
        return restore_shrunk(restore, image, low, high, scale)

    def _choose_tiles(
        self, image: Tensor, low: float, high: float, findings: Findings
    ) -> TiledNetwork:
        """Return what restores (C, H, W), by its noise."""
        if self.noisy is None:
            return self.tiles
        if findings.noisy is None:
            findings.noisy = is_noisy(image, low, high)
        if not findings.noisy:
            return self.tiles
        findings.by = Path(self.noisy).stem
        return self._noisy


class _Call(NamedTuple):
    """The settings and the findings of one call."""

    strength: float
    findings: Findings
