"""A data set may only read files inside its own folder.

A data set may come from an untrusted source, and its links and tables could name any file of this
computer. Both must stay inside the data set's folder, which may itself be a link. Users who collect
pictures by links of their own set DEBLUR_FOLLOW_LINKS=1 in the environment. A table that the user
names directly (data.root=FOLDER/pairs.csv) may list files anywhere.
"""

import os
from pathlib import Path

from deblur.media.images import list_pictures

FOLLOW = "DEBLUR_FOLLOW_LINKS"


def check_links(path: Path, root: Path) -> None:
    """Raise ValueError if a path's links lead out of a folder and FOLLOW is not set."""
    if os.environ.get(FOLLOW) == "1" or path.resolve().is_relative_to(root.resolve()):
        return
    raise ValueError(
        f"{path}: links to {path.resolve()}, which is outside of {root}: replace the link by a "
        f"copy, or set {FOLLOW}=1 in the environment"
    )


def check_name(path: Path, root: Path, table: Path) -> None:
    """Raise ValueError if a table names a file outside of a folder, or a link that leads out."""
    if not Path(os.path.abspath(path)).is_relative_to(os.path.abspath(root)):
        raise ValueError(
            f"{table}: names {path}, which is outside of {root} (data.root={table} allows that)"
        )
    check_links(path, root)


def leads_back(path: Path) -> bool:
    """Return whether a path is a link to one of its parent folders (following it never ends)."""
    return path.is_symlink() and path.parent.resolve().is_relative_to(path.resolve())


def list_own(root: Path) -> list[Path]:
    """List a folder's pictures by name; check that links among them stay inside the folder."""
    pictures = list_pictures(root)
    for path in filter(Path.is_symlink, pictures):
        check_links(path, root)
    return pictures
