"""What a data set may read: what lies in its folder.

A data set may be a stranger's, and links and tables in it can name any file of this computer. Both
must stay in its folder, which may be a link itself. Whoever has collected pictures by links of his
own sets DEBLUR_FOLLOW_LINKS=1 in the environment; a table that is named itself
(data.root=FOLDER/pairs.csv) may list files anywhere.
"""

import os
from pathlib import Path

from deblur.media.images import list_pictures

FOLLOW = "DEBLUR_FOLLOW_LINKS"


def check_links(path: Path, root: Path) -> None:
    """Raise ValueError where links lead out of a folder, unless they are to be followed."""
    if os.environ.get(FOLLOW) == "1" or path.resolve().is_relative_to(root.resolve()):
        return
    raise ValueError(
        f"{path}: a link leads to {path.resolve()}, outside of {root}: put a copy in its place, or "
        f"set {FOLLOW}=1 in the environment"
    )


def check_name(path: Path, root: Path, table: Path) -> None:
    """Raise ValueError where a table names a file outside of a folder, or one that leads there."""
    if not Path(os.path.abspath(path)).is_relative_to(os.path.abspath(root)):
        raise ValueError(
            f"{table}: names {path}, which lies outside of {root} (data.root={table} allows that)"
        )
    check_links(path, root)


def leads_back(path: Path) -> bool:
    """Say whether a path is a link to a folder that it lies in: following it would never end."""
    return path.is_symlink() and path.parent.resolve().is_relative_to(path.resolve())


def list_own(root: Path) -> list[Path]:
    """List a folder's pictures by name, and check those that are links."""
    pictures = list_pictures(root)
    for path in filter(Path.is_symlink, pictures):
        check_links(path, root)
    return pictures
