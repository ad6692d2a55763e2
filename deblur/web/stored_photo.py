"""A photo that the page keeps: its file, its restorations, and what of them is downloaded."""

import secrets
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from threading import RLock
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from deblur.atomic import replacing
from deblur.media.formats.frame import Frame, fit
from deblur.media.photo import open_photo
from deblur.restoration.restorer import Restorer
from deblur.restoration.tiled_network import Findings
from deblur.web.blending import blend, check_mask, load_mask

PREVIEW = 2048
"""The longer side of a preview, in pixels; browsers stall on photos of 24 megapixels."""
CROP = 2048
"""The longest side, in pixels, of a part that is shown as it is."""
LITTLE = 0.009
"""The root mean square change, of black to white, below which a photo is nearly unchanged.

With the model `small`, photos blurred by 15 to 60 pixels change by 0.011 to 0.046, those out of
focus by 12 pixels or blurred by 100 by 0.005 to 0.0095.
"""
UNCHANGED = (
    "little was changed: the photo is sharp, out of focus, or blurred further than this model can "
    "see; a longer blur (scale) or another model may do more"
)
ORIGINAL = "original"


class Choice(NamedTuple):
    """What of a restored photo is to be downloaded."""

    result: str
    strength: float = 1.0
    mask: Path | None = None
    """A grey picture: white where the restoration applies. None is everywhere."""
    format: str | None = None
    """An ending, as `Photo.write` takes it; None is the photo's own."""
    quality: int | None = None
    """1 to 100; None is the photo's own."""


class Written(NamedTuple):
    """A file as it was chosen."""

    choice: Choice
    file: Path
    notes: list[str]
    """What could not be kept as it was."""


class Result(NamedTuple):
    """A photo restored by one model at one scale."""

    file: Path
    """The photo with the whole change, written as the source is."""
    arrays: list[Path]
    """Files of the restored pixels, one for each frame."""
    seconds: float
    notes: list[str]
    """What could not be kept as it was, and what the guard did."""


@dataclass
class StoredPhoto:
    """An uploaded photo."""

    key: str
    name: str
    """The name that the visitor's file has, without folders."""
    folder: Path
    source: Path
    size: tuple[int, int]
    results: dict[str, Result] = field(default_factory=dict)
    choice: Choice | None = None
    written: Written | None = None
    """The last blend; its file is never a result's."""
    used: float = field(default_factory=time.monotonic)
    discarded: bool = False
    lock: RLock = field(default_factory=RLock, repr=False, compare=False)
    """Held while the chosen file is written or opened, or what it is made of is replaced."""

    @property
    def file_name(self) -> str:
        """What a download is called."""
        path = Path(self.name)
        chosen = self.choice.format if self.choice else None
        return f"{path.stem}_restored{f'.{chosen}' if chosen else path.suffix}"

    def touch(self) -> None:
        """Note that the photo is in use now."""
        self.used = time.monotonic()

    def restore(self, key: str, restorer: Restorer) -> Result:
        """Restore the whole photo and keep it under a key; a result that exists is returned.

        Raises ValueError and OSError, and then leaves no part of the result.
        """
        if key in self.results:
            return self.results[key]
        begin, findings = time.monotonic(), Findings()
        target = self._name_file(self.source.suffix)
        arrays: list[Path] = []
        changes: list[float] = []

        def restored() -> Iterator[Frame]:
            for frame in photo.frames():
                if not arrays:
                    self._keep_original(frame)
                (after,) = restorer.restore_frames([frame], findings)
                arrays.append(target.with_suffix(f".{len(arrays)}.npy"))
                np.save(arrays[-1], after.pixels)
                changes.append(measure_change(frame, after.pixels))
                yield after

        photo = open_photo(self.source)
        with self._writing():
            try:
                photo.write(target, restored())
            except BaseException:
                for path in arrays:
                    _delete(path)
                raise
        notes = [*photo.notes, *findings.notes]
        if max(changes) < LITTLE:
            notes.append(UNCHANGED)
        notes = [note.replace(str(self.source), self.name) for note in notes]
        self.results[key] = Result(target, arrays, time.monotonic() - begin, notes)
        return self.results[key]

    def show(self, key: str, box: tuple[int, int, int, int] | None = None) -> bytes:
        """Return a JPEG of the photo, or of a result of it, on white: small, or a part as it is.

        box: left, top, width and height, in pixels. Raises KeyError for a result that is not there.
        """
        path = self._original if key == ORIGINAL else self.results[key].arrays[0]
        pixels: NDArray[Any] = np.load(path, mmap_mode="r")
        alpha = np.load(self._alpha, mmap_mode="r") if self._alpha.exists() else None
        part = slice(None), slice(None)
        if box is not None:
            left, top, width, height = box
            part = slice(top, top + min(height, CROP)), slice(left, left + min(width, CROP))
        shown = Frame(pixels[part], None if alpha is None else alpha[part])
        return write_jpeg(open_photo(self.source), shown)

    def choose(self, choice: Choice, mask: bytes | None = None) -> None:
        """Set what is downloaded next; the earlier choice's mask is deleted.

        mask: a PNG, kept as the choice's mask. Raises ValueError for any other, and OSError.
        """
        with self.lock, self._writing():
            if mask is not None:
                check_mask(mask)
                path = self._name_file(".mask.png")
                with replacing(path) as file:
                    file.write(mask)
                choice = choice._replace(mask=path)
            before, self.choice = self.choice, choice
            if before is not None and before.mask is not None:
                _delete(before.mask)

    def write_choice(self) -> Written:
        """Write what was chosen, if that is not done; raises ValueError and OSError.

        The file may be replaced once `lock` is released. Raises KeyError before anything is chosen.
        """
        with self.lock, self._writing():
            choice, before = self.choice, self.written
            if choice is None:
                raise KeyError("choice")
            if choice == Choice(choice.result):
                return Written(choice, self.results[choice.result].file, [])
            if before is not None and before.choice == choice:
                return before
            self.written = self._blend(choice, self.results[choice.result])
            if before is not None:
                _delete(before.file)
            return self.written

    def _blend(self, choice: Choice, result: Result) -> Written:
        target = self._name_file(f".{choice.format}" if choice.format else self.source.suffix)

        def blended() -> Iterator[Frame]:
            for before, path in zip(photo.frames(), result.arrays):
                after: NDArray[Any] = np.load(path, mmap_mode="r")
                shape = before.pixels.shape[:2]
                where = None if choice.mask is None else load_mask(choice.mask, shape[::-1])
                yield before._replace(pixels=blend(before.pixels, after, choice.strength, where))

        photo = open_photo(self.source)
        photo.write(target, blended(), format=choice.format, quality=choice.quality)
        notes = [note.replace(str(self.source), self.name) for note in photo.notes]
        return Written(choice, target, notes)

    def explain(self, error: Exception) -> str | None:
        """Return a sentence on what went wrong, without folders; None for other errors."""
        if isinstance(error, (ValueError, OSError, ImportError)):
            reason = str(error).replace(str(self.source), self.name)
            return f"{reason.replace(f'{self.folder}/', '').rstrip('.')}."
        return None

    def discard(self) -> None:
        """Delete all files; what is being written is deleted at its end."""
        self.discarded = True
        shutil.rmtree(self.folder, ignore_errors=True)

    @contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        finally:
            if self.discarded:
                self.discard()

    @property
    def _original(self) -> Path:
        return self.folder / f"{ORIGINAL}.npy"

    @property
    def _alpha(self) -> Path:
        return self.folder / f"{ORIGINAL}.alpha.npy"

    def _keep_original(self, frame: Frame) -> None:
        """Save the first frame once: a file that others have mapped must never be truncated."""
        for path, values in ((self._alpha, frame.alpha), (self._original, frame.pixels)):
            if values is not None and not path.exists():
                with replacing(path) as file:
                    np.save(file, values)

    def _name_file(self, ending: str) -> Path:
        return self.folder / f"{secrets.token_hex(8)}{ending}"


def _delete(path: Path) -> None:
    with suppress(OSError):  # Windows keeps files that are open, until the photo is discarded
        path.unlink()


def is_of_disk(error: BaseException) -> bool:
    """Return whether an error is this computer's, such as a full disk, and not a photo's fault."""
    return isinstance(error, OSError) and error.errno is not None


def measure_change(before: Frame, after: NDArray[Any]) -> float:
    """Return the root mean square change, of black to white, of every fourth visible pixel."""
    top = np.iinfo(after.dtype).max
    apart = before.pixels[::4, ::4].astype(np.float32) - after[::4, ::4]
    if before.alpha is not None:
        apart = apart[before.alpha[::4, ::4] > 0]
    return float(np.sqrt(np.mean(np.square(apart / top)))) if apart.size else 0.0


def write_jpeg(photo: Any, shown: Frame) -> bytes:
    """Write a frame, of at most as many pixels as a preview has, in a photo's own colours."""
    pixels = fit(shown, "JPEG", lambda note: None, alpha=False, deep=True).pixels
    small = (pixels >> 8).astype(np.uint8) if pixels.dtype == np.uint16 else np.array(pixels)
    if max(small.shape[:2]) > PREVIEW:
        image = Image.fromarray(small[..., 0] if small.shape[2] == 1 else small)
        image.thumbnail((PREVIEW, PREVIEW), reducing_gap=2)
        small = np.asarray(image).reshape(image.height, image.width, -1)
    written = BytesIO()
    photo.write(written, [Frame(small)], format="JPEG", quality=92)
    return written.getvalue()
