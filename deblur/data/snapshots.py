"""Blurred pictures without sharp partners."""

from pathlib import Path
from typing import Any

from torch.utils.data import Dataset

from deblur.data.bounds import list_own
from deblur.data.crops import Key, Split, locate
from deblur.data.decoding import find_damaged, refuse
from deblur.data.folder import PairedFolder, image
from deblur.data.names import tell_apart
from deblur.data.prepared import INDEX
from deblur.data.search import guess
from deblur.data.unreadable_files import sift
from deblur.media.images import list_pictures, read
from deblur.pair import Pair


class Snapshots(Dataset[Pair]):
    """Blurred pictures that have no sharp partners: they can be restored, but not scored.

    The pairs have the blurred picture in the place of the sharp one, too; `paired` is False.
    """

    paired = False

    def __init__(self, *, root: str) -> None:
        self.files = list_own(Path(root))
        self.scenes = tell_apart([f.stem for f in self.files], [f.name for f in self.files])
        """The pictures' names: each is a scene of its own."""

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, key: Key) -> Pair:
        _, index = locate(key, len(self))
        blur = image(read(self.files[index]))
        return Pair(blur, blur, self.scenes[index])

    def decode_all(self) -> None:
        """Decode all pictures once, before their use; raise ValueError that names damaged ones."""
        damaged = find_damaged(self.files)
        sift(self.files, lambda file: refuse(damaged, [file]), None)


def open_folder(
    *, root: str, split: Split, layout: str | None = None, **settings: Any
) -> PairedFolder | Snapshots:
    """Open a folder's pairs, or as `Snapshots` if it holds pictures but no pairs."""
    top = Path(root)
    if split == "test" and top.is_dir() and layout is None and list_pictures(top):
        if not (top / INDEX).is_file() and guess(top) is None:
            return Snapshots(root=root)
    return PairedFolder(root=root, split=split, layout=layout, **settings)
