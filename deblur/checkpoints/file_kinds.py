"""Detects a file's kind by its content, and loads the tensors of files that torch has saved."""

import warnings
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import torch

from deblur.checkpoints import keras

SAFETENSORS = "safetensors"
KERAS = "HDF5, of Keras"
CHECKPOINT = "a checkpoint of PyTorch"
OLD_CHECKPOINT = "a checkpoint of PyTorch, in its form before version 1.6"
PICKLE = "a pickle of Python"
EXPECTED = "our .ckpt or .safetensors, or a published .pth or .h5"
LOADED = (CHECKPOINT, OLD_CHECKPOINT, PICKLE)
"""The kinds that torch can load."""

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
"""The first bytes of each kind."""
ONNX = (b"\x12", b"\x1a", b"\x3a", b"\x42")
"""The field tags that may follow the version in an ONNX model."""
READ = 4096
"""The number of first bytes that are read."""


def name_kind(path: Path) -> str:
    """Return a file's kind, by its first bytes or by the list of files in a ZIP archive."""
    with open(path, "rb") as file:
        head = file.read(READ)
    if not head:
        return "an empty file"
    if known := next((kind for start, kind in HEADS.items() if head.startswith(start)), None):
        return known
    if head.startswith(b"PK\x03\x04"):
        return _name_archive(path)
    if head[:1] == b"\x80" and head[1:2] in (b"\2", b"\3", b"\4", b"\5"):
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
    except Exception:  # a damaged file can fail in any way
        return "a truncated ZIP archive, maybe a checkpoint"
    if any("/code/" in name for name in names):
        return "a program of TorchScript"
    if any(name.endswith("models/model.json") for name in names):
        return "a program that PyTorch exported (.pt2)"
    if any(name.endswith("/data.pkl") for name in names):
        return CHECKPOINT
    return "a ZIP archive of other files"


def _name_text(head: bytes) -> str:
    """Return the kind of a text or unknown file; `head` may end in the middle of a character."""
    text = head.decode("utf-8", "ignore")
    if b"\0" in head or len(text.encode()) < len(head) - 3:
        return "a file of unknown kind"
    if text.lstrip().lower().startswith(("<!doctype html", "<html")):
        return "a web page (HTML), not the file offered there"
    return "a text file"


def load_tensors(path: Path) -> Any:
    """Load tensors and plain containers; raise ValueError, in one line, for anything else."""
    kind = name_kind(path)
    if kind not in LOADED:
        raise ValueError(f"{path}: {kind}; expected {EXPECTED}")
    if kind == CHECKPOINT:
        _check_packing(path)
    try:
        with warnings.catch_warnings(action="ignore"):
            return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # its message would advise an unsafe load
        reason = _find_objects(path) or "damaged, or more than tensors and plain containers"
        raise ValueError(
            f"{path}: not a checkpoint that can be read safely ({kind}): {reason}"
        ) from error


def _find_objects(path: Path) -> str:
    """Return a hint that names a file's Python objects; "" if it has none or is damaged."""
    try:
        names = torch.serialization.get_unsafe_globals_in_checkpoint(path)
    except Exception:  # a damaged file can fail in any way
        return ""
    some = ", ".join(names[:3]) + ", ..." * (len(names) > 3)
    told = f"it holds Python objects ({some}); save the network's state_dict() instead"
    return told if names else ""


def _check_packing(path: Path) -> None:
    """Raise ValueError for a compressed archive, which torch would unpack but never writes."""
    with ZipFile(path) as file:
        size = sum(info.file_size for info in file.infolist())
    if size > path.stat().st_size:
        raise ValueError(f"{path}: compressed, {size:,} bytes when unpacked; expected uncompressed")
