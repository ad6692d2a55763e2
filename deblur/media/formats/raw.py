"""Raw files of cameras, recognized by their heads and names: they must be developed first."""

from pathlib import Path

REASON = "a camera's raw file: develop it first"
ENDINGS = frozenset(
    {
        *(".3fr", ".ari", ".arw", ".bay", ".cap", ".cr2", ".cr3", ".crw", ".dcr", ".dcs", ".dng"),
        *(".erf", ".fff", ".gpr", ".iiq", ".k25", ".kdc", ".mdc", ".mef", ".mos", ".mrw", ".nef"),
        *(".nrw", ".orf", ".pef", ".ptx", ".raf", ".raw", ".rw2", ".rwl", ".rwz", ".sr2", ".srf"),
        *(".srw", ".x3f"),
    }
)
HEADS = {
    **{b"FUJIFILMCCD-RAW": 0, b"FOVb": 0, b"\0MRM": 0, b"IIRO": 0, b"IIRS": 0, b"MMOR": 0},
    **{b"IIU\0": 0, b"ftypcrx ": 4, b"CR\2": 8, b"HEAPCCDR": 6},
}
"""What raw files of some makers begin with, and at which byte."""
PICTURES = (b"\xff\xd8\xff", b"\x89PNG", b"RIFF", b"GIF8", b"BM")
"""What other pictures begin with, whose names may be those of raw files by mistake."""


def is_raw_name(path: Path) -> bool:
    """Return whether a file's name is that of a camera's raw file."""
    return path.suffix.lower() in ENDINGS


def is_raw(head: bytes, path: Path | None) -> bool:
    """Return whether a file, of these first 64 bytes, is a camera's raw file.

    Many of them are TIFF files but for their name.
    """
    if any(head[place:].startswith(mark) for mark, place in HEADS.items()):
        return True
    return path is not None and is_raw_name(path) and not head.startswith(PICTURES)
