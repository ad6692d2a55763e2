"""The page's photos: what was uploaded, what became of it, and what is to be downloaded."""

import re
import secrets
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from threading import Lock
from typing import Any, BinaryIO, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from deblur.media.formats.frame import Frame
from deblur.media.photo import open_photo
from deblur.restoration.restorer import Restorer
from deblur.restoration.tiled_network import Harm
from deblur.web.blending import blend, load_mask

PREVIEW = 2048
"""Pixels of a preview's longer side; browsers stall on photos of 24 megapixels."""
CROP = 2048
"""Pixels of the longest side of a part that is shown as it is."""
KEPT = 3600
"""Seconds that photos are kept after they were last asked for."""
LITTLE = 0.009
"""Root mean square change, of black to white, below which a photo was left nearly as it was.

By `small`, photos blurred by 15 to 60 pixels change by 0.011 to 0.046, those out of focus by 12
pixels or blurred by 100 by 0.005 to 0.0095.
"""
UNCHANGED = (
    "little was changed: the photo is sharp, out of focus, or blurred further than this model can "
    "see; a longer blur (scale) or another model may do more"
)
ORIGINAL = "original"


class Full(Exception):
    """The disk space set aside for photos is used up."""


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
    """The whole change, written as the source is."""
    arrays: list[Path]
    """Pixels of each frame, restored."""
    seconds: float
    notes: list[str]
    """What could not be kept as it was, and what the guard did."""


@dataclass
class StoredPhoto:
    """An uploaded photo."""

    key: str
    name: str
    """As the visitor calls it, without folders."""
    folder: Path
    source: Path
    size: tuple[int, int]
    results: dict[str, Result] = field(default_factory=dict)
    choice: Choice | None = None
    written: Written | None = None
    used: float = field(default_factory=time.monotonic)

    @property
    def file_name(self) -> str:
        """What a download is called."""
        path = Path(self.name)
        chosen = self.choice.format if self.choice else None
        return f"{path.stem}_restored{f'.{chosen}' if chosen else path.suffix}"

    def restore(self, key: str, restorer: Restorer) -> Result:
        """Restore the whole photo and keep it under a key; raises ValueError and OSError."""
        begin, harm = time.monotonic(), Harm()
        target = self.folder / f"{secrets.token_hex(4)}{self.source.suffix}"
        arrays: list[Path] = []
        changes: list[float] = []

        def restored() -> Iterator[Frame]:
            for frame in photo.frames():
                if not arrays:
                    np.save(self._array(ORIGINAL), frame.pixels)
                (after,) = restorer.restore_frames([frame], harm)
                arrays.append(target.with_suffix(f".{len(arrays)}.npy"))
                np.save(arrays[-1], after.pixels)
                changes.append(measure_change(frame.pixels, after.pixels))
                yield after

        with open_photo(self.source) as photo:
            photo.write(target, restored())
            notes = [*photo.notes, *harm.notes]
        if max(changes) < LITTLE:
            notes.append(UNCHANGED)
        notes = [note.replace(str(self.source), self.name) for note in notes]
        self.results[key] = Result(target, arrays, time.monotonic() - begin, notes)
        return self.results[key]

    def show(self, key: str, box: tuple[int, int, int, int] | None = None) -> bytes:
        """Return a JPEG of the photo, or of a result of it: small, or a part as it is.

        box: left, top, width and height, in pixels. Raises KeyError for a result that is not there.
        """
        path = self._array(ORIGINAL) if key == ORIGINAL else self.results[key].arrays[0]
        pixels: NDArray[Any] = np.load(path, mmap_mode="r")
        if box is not None:
            left, top, width, height = box
            pixels = pixels[top : top + min(height, CROP), left : left + min(width, CROP)]
        with open_photo(self.source) as photo:
            return write_jpeg(photo, pixels)

    def write_choice(self) -> Written:
        """Write what was chosen, if that is not done; raises ValueError and OSError.

        Raises KeyError before anything is restored.
        """
        if self.choice is None:
            raise KeyError("choice")
        if self.written is None or self.written.choice != self.choice:
            self.written = self._write(self.choice)
        return self.written

    def _write(self, choice: Choice) -> Written:
        result = self.results[choice.result]
        if choice == Choice(choice.result):
            return Written(choice, result.file, [])
        ending = f".{choice.format}" if choice.format else self.source.suffix
        target = self.folder / f"{secrets.token_hex(4)}{ending}"

        def blended() -> Iterator[Frame]:
            for before, path in zip(photo.frames(), result.arrays):
                after: NDArray[Any] = np.load(path, mmap_mode="r")
                shape = before.pixels.shape[:2]
                where = None if choice.mask is None else load_mask(choice.mask, shape[::-1])
                yield before._replace(pixels=blend(before.pixels, after, choice.strength, where))

        with open_photo(self.source) as photo:
            photo.write(target, blended(), format=choice.format, quality=choice.quality)
            notes = [note.replace(str(self.source), self.name) for note in photo.notes]
        if self.written is not None and self.written.file != result.file:
            self.written.file.unlink(missing_ok=True)
        return Written(choice, target, notes)

    def explain(self, error: Exception) -> str | None:
        """Return a sentence on what went wrong, without folders; None for other errors."""
        if isinstance(error, OSError) and error.strerror:
            return f"{self.name}: {error.strerror}."
        if isinstance(error, (ValueError, OSError, ImportError)):
            reason = str(error).replace(str(self.source), self.name)
            return f"{reason.replace(f'{self.folder}/', '').rstrip('.')}."
        return None

    def _array(self, name: str) -> Path:
        return self.folder / f"{name}.npy"


class PhotoStore:
    """Keeps photos in a folder, for a while, and not more of them than there is room.

    room: bytes that they may take.
    """

    def __init__(self, folder: Path, *, room: float) -> None:
        self.folder = folder
        self.room = room
        self._photos: dict[str, StoredPhoto] = {}
        self._lock = Lock()

    def __getitem__(self, key: str) -> StoredPhoto:
        """Return a photo by its key; raises KeyError where it is not there, or no more."""
        photo = self._photos[key]
        photo.used = time.monotonic()
        return photo

    def __len__(self) -> int:
        return len(self._photos)

    def add(self, name: str, content: BinaryIO, megapixels: float) -> StoredPhoto:
        """Keep an uploaded file.

        megapixels: of the largest photo, all frames counted. Raises ValueError for what is no
        picture, or too large, and Full where there is no room.
        """
        self.discard_old()
        if self._measure() > self.room:
            raise Full
        key = secrets.token_urlsafe(16)
        folder = self.folder / key
        folder.mkdir()
        try:
            photo = StoredPhoto(key, clean_name(name), folder, folder / "source", (0, 0))
            photo.source = folder / f"source{clean_ending(name)}"
            with open(photo.source, "wb") as file:
                shutil.copyfileobj(content, file)
            photo.size = check_size(photo.source, megapixels)
        except BaseException as error:
            shutil.rmtree(folder, ignore_errors=True)
            if isinstance(error, (ValueError, OSError)):
                raise ValueError(photo.explain(error)) from error
            raise
        with self._lock:
            self._photos[key] = photo
        return photo

    def discard(self, key: str) -> None:
        """Delete a photo and all that became of it, if it is there."""
        with self._lock:
            photo = self._photos.pop(key, None)
        if photo is not None:
            shutil.rmtree(photo.folder, ignore_errors=True)

    def discard_old(self) -> None:
        """Delete photos that nobody has asked for in a while."""
        start = time.monotonic() - KEPT
        for key in [key for key, photo in [*self._photos.items()] if photo.used < start]:
            self.discard(key)

    def _measure(self) -> int:
        return sum(path.stat().st_size for path in self.folder.rglob("*") if path.is_file())


def check_size(source: Path, megapixels: float) -> tuple[int, int]:
    """Return a picture's width and height; raise ValueError where it has too many pixels."""
    with open_photo(source) as photo:
        (width, height), count = photo.size, photo.count
    millions = width * height * count / 1e6
    if millions > megapixels:
        raise ValueError(f"{source}: {millions:.1f} megapixels, at most {megapixels:g} are taken")
    return width, height


def measure_change(before: NDArray[Any], after: NDArray[Any]) -> float:
    """Return the root mean square change, of black to white, of every fourth pixel."""
    top = np.iinfo(before.dtype).max
    apart = before[::4, ::4].astype(np.float32) - after[::4, ::4]
    return float(np.sqrt(np.mean(np.square(apart / top))))


def write_jpeg(photo: Any, pixels: NDArray[Any]) -> bytes:
    """Write pixels, at most as many as a preview has, in a photo's own colours."""
    small = (pixels >> 8).astype(np.uint8) if pixels.dtype == np.uint16 else np.array(pixels)
    if max(small.shape[:2]) > PREVIEW:
        image = Image.fromarray(small[..., 0] if small.shape[2] == 1 else small)
        image.thumbnail((PREVIEW, PREVIEW), reducing_gap=2)
        small = np.asarray(image).reshape(image.height, image.width, -1)
    written = BytesIO()
    photo.write(written, [Frame(small)], format="JPEG", quality=92)
    return written.getvalue()


def clean_name(name: str) -> str:
    """Return a file's name without folders, or characters that no file's name should have."""
    plain = re.sub(r'[\x00-\x1f\x7f<>:"|?*]', "_", name.replace("\\", "/").rpartition("/")[2])
    return plain[-200:].lstrip(".") or "photo"


def clean_ending(name: str) -> str:
    """Return a file's ending, if it is a usual one."""
    found = re.search(r"\.[A-Za-z0-9]{1,8}$", name)
    return found[0].lower() if found else ""
