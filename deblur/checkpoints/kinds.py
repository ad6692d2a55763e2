"""What kind of file one is, by its content: names for messages, and for `deblur verify`."""

from pathlib import Path
from zipfile import BadZipFile, ZipFile

from deblur.checkpoints import keras

SAFETENSORS = "safetensors"
KERAS = "HDF5, of Keras"
CHECKPOINT = "a checkpoint of PyTorch"
OLD_CHECKPOINT = "a checkpoint of PyTorch, in its form before version 1.6"
PICKLE = "a pickle of Python"
LOADED = (CHECKPOINT, OLD_CHECKPOINT, PICKLE)
"""Those that torch may be asked to load."""

HEADS = {
    b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19": OLD_CHECKPOINT,
    keras.MAGIC: KERAS,
    b"GGUF": "a model of llama.cpp (GGUF)",
    b"\x93NUMPY": "an array of NumPy",
    b"\x89PNG\r\n\x1a\n": "a picture (PNG)",
    b"\xff\xd8\xff": "a picture (JPEG)",
    b"GIF8": "a picture (GIF)",
    b"\x1f\x8b": "a packed archive (gzip), to be unpacked first",
    b"7z\xbc\xaf'\x1c": "a packed archive (7z), to be unpacked first",
    b"Rar!": "a packed archive (RAR), to be unpacked first",
    b"version https://git-lfs": "a pointer of Git LFS, not the file: git lfs pull fetches it",
}
"""First bytes that tell a kind."""
ONNX = (b"\x12", b"\x1a", b"\x3a", b"\x42")
"""Which fields of an ONNX model come after its version."""
READ = 4096
"""Bytes that are looked at."""


def name_kind(path: Path) -> str:
    """Name what kind of file one is, as far as its first bytes or a ZIP archive's list tell."""
    with open(path, "rb") as file:
        head = file.read(READ)
    if not head:
        return "an empty file"
    if known := next((kind for start, kind in HEADS.items() if head.startswith(start)), None):
        return known
    if head.startswith(b"PK\x03\x04"):
        return _name_archive(path)
    if head[:1] == b"\x80" and head[1] in range(2, 6):
        return PICKLE
    if head[8:9] == b"{" and int.from_bytes(head[:8], "little") <= path.stat().st_size - 8:
        return SAFETENSORS
    if head[:1] == b"\x08" and head[2:3] in ONNX:
        return "an ONNX model"
    return _name_text(head)


def _name_archive(path: Path) -> str:
    try:
        with ZipFile(path) as file:
            names = file.namelist()
    except BadZipFile:
        return "a ZIP archive that is cut off, maybe a checkpoint"
    if any("/code/" in name for name in names):
        return "a program of TorchScript"
    if any(name.endswith("models/model.json") for name in names):
        return "a program that PyTorch exported (.pt2)"
    if any(name.endswith("/data.pkl") for name in names):
        return CHECKPOINT
    return "a ZIP archive of other files"


def _name_text(head: bytes) -> str:
    """Name text, or what is neither text nor known; its end may be in the middle of a letter."""
    text = head.decode("utf-8", "ignore")
    if b"\0" in head or len(text.encode()) < len(head) - 3:
        return "a file of no kind that is known"
    if text.lstrip().lower().startswith(("<!doctype html", "<html")):
        return "a web page (HTML), not the file that it offers"
    return "a text file"
