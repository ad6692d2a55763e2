"""The page's photos: adds them while there is room, finds them, and deletes old ones."""

import os
import re
import secrets
import shutil
import time
from contextlib import suppress
from pathlib import Path
from threading import Lock
from typing import BinaryIO

from deblur.media.photo import Photo, format_of, open_photo
from deblur.media.picture_kinds import ENDINGS
from deblur.web.stored_photo import StoredPhoto, is_of_disk

KEPT = 3600
"""The seconds that photos are kept after they were last asked for."""


class Full(Exception):
    """The disk space set aside for photos is used up."""

    def __init__(self) -> None:
        super().__init__("no room for more photos here: download and remove some")


class PhotoStore:
    """Keeps photos in a folder, for a while, and not more of them than there is room.

    room: the bytes that they may take; once they take more, nothing is added.
    """

    def __init__(self, folder: Path, *, room: float) -> None:
        self.folder = folder
        self.room = room
        self._photos: dict[str, StoredPhoto] = {}
        self._lock = Lock()

    def __getitem__(self, key: str) -> StoredPhoto:
        """Return a photo by its key; raise KeyError if it is not stored."""
        photo = self._photos[key]
        photo.touch()
        return photo

    def __len__(self) -> int:
        return len(self._photos)

    def add(self, name: str, content: BinaryIO, megapixels: float) -> StoredPhoto:
        """Keep an uploaded file.

        megapixels: of the largest photo, all frames counted. Raises ValueError for what is no
        picture, or too large, Full where there is no room, and OSError where it cannot be written.
        """
        self.discard_old()
        self.check_room()
        key = secrets.token_urlsafe(16)
        folder = self.folder / key
        folder.mkdir(parents=True)
        try:
            photo = StoredPhoto(key, clean_name(name), folder, folder / "source", (0, 0))
            photo.source = folder / f"source{clean_ending(name)}"
            with open(photo.source, "wb") as file:
                shutil.copyfileobj(content, file)
            checked = check_photo(photo.source, megapixels)
            photo.size, photo.name = checked.size, name_by_content(photo.name, checked.format)
            photo.source = photo.source.rename(folder / f"source{clean_ending(photo.name)}")
        except BaseException as error:
            shutil.rmtree(folder, ignore_errors=True)
            if isinstance(error, (ValueError, OSError)) and not is_of_disk(error):
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
            photo.discard()

    def discard_old(self) -> None:
        """Delete photos that nobody has asked for in a while.

        The folder is made to look new: systems clear their temporary folders of what looks old.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        os.utime(self.folder)
        start = time.monotonic() - KEPT
        for key in [key for key, photo in [*self._photos.items()] if photo.used < start]:
            self.discard(key)

    def check_room(self) -> None:
        """Raise Full where the photos, and all that became of them, take more than the room."""
        total = 0
        for folder, _, names in os.walk(self.folder):
            for name in names:
                with suppress(OSError):  # deleted meanwhile
                    total += os.stat(os.path.join(folder, name)).st_size
        if total > self.room:
            raise Full


def check_photo(source: Path, megapixels: float) -> Photo:
    """Open a picture's file; raise ValueError where its frames have too many pixels."""
    photo = open_photo(source)
    millions = photo.pixels / 1e6
    if millions > megapixels:
        raise ValueError(f"{source}: {millions:.1f} megapixels, at most {megapixels:g} are taken")
    return photo


def name_by_content(name: str, format: str) -> str:
    """Return a file's name with an ending of its format, if it has none, or another format's."""
    known = format_of(Path(name))
    if known == format:
        return name
    return f"{Path(name).stem if known else name}{ENDINGS[format][0]}"


def clean_name(name: str) -> str:
    """Return a file's name without folders, or characters that no file's name should have."""
    plain = re.sub(
        r'[\x00-\x1f\x7f<>:"|?*\ud800-\udfff]', "_", name.replace("\\", "/").rpartition("/")[2]
    )
    return plain[-200:].lstrip(".") or "photo"


def clean_ending(name: str) -> str:
    """Return a file's ending, if it is a usual one."""
    found = re.search(r"\.[A-Za-z0-9]{1,8}$", name)
    return found[0].lower() if found else ""
