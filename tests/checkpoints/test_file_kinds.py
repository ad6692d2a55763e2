"""What files are: no message repeats torch's advice to load what runs programs."""

import os
import pickle
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from deblur.checkpoints import load_generator
from deblur.checkpoints.file_kinds import name_kind

Write = Callable[[Path], object]


def exported(path: Path) -> None:
    torch.export.save(torch.export.export(nn.Linear(2, 2), (torch.zeros(1, 2),)), path)


def archive(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("notes.txt", "text")


def cut_off(path: Path) -> None:
    torch.save({"weight": torch.zeros(100)}, path)
    path.write_bytes(path.read_bytes()[:400])


def pickled(content: Any) -> Write:
    return lambda path: path.write_bytes(pickle.dumps(content))


def saved(content: Any, **how: Any) -> Write:
    return lambda path: torch.save(content, path, **how)


def text(content: str) -> Write:
    return lambda path: path.write_text(content, encoding="utf-8")


def raw(content: bytes) -> Write:
    return lambda path: path.write_bytes(content)


FILES: dict[str, tuple[Write, str]] = {
    "model.onnx": (raw(b"\x08\x0a\x12\x07pytorch\x1a\x062.1.0"), "an ONNX model"),
    "notes.md": (text("# Blur\nwords äöü\n"), "a text file"),
    "page.pth": (text("\n<!DOCTYPE html><html>"), "a web page"),
    "pointer.ckpt": (text("version https://git-lfs.github.com/spec/v1\n"), "a pointer of Git LFS"),
    "empty.ckpt": (raw(b""), "an empty file"),
    "zeros.pth": (raw(bytes(5000)), "a file of unknown kind"),
    "photo.pth": (raw(b"\x89PNG\r\n\x1a\n" + bytes(9)), "a picture"),
    "packed.pth": (raw(b"\x1f\x8b\x08\x00"), "a packed archive"),
    "other.zip": (archive, "a ZIP archive of other files"),
    "cut.ckpt": (cut_off, "a truncated ZIP archive"),
    "program.pt2": (exported, "a program that PyTorch exported"),
    "module.pth": (saved(nn.Linear(2, 2)), "Python objects (torch.nn.modules.linear.Linear)"),
    "old.pth": (saved(nn.Linear(2, 2), _use_new_zipfile_serialization=False), "before version 1.6"),
    "plain.pkl": (pickled({"a": 1}), "a pickle of Python"),
    "evil.pkl": (pickled({"a": os.system}), "a pickle of Python"),
    "page.safetensors": (text("<html>"), "not a safetensors file: it is a web page"),
}


@pytest.mark.parametrize("name", FILES)
def test_a_file_that_holds_no_weights_is_named_for_what_it_is(name: str, tmp_path: Path) -> None:
    write, kind = FILES[name]
    write(tmp_path / name)
    with warnings.catch_warnings(action="error"), pytest.raises(ValueError) as caught:
        load_generator(tmp_path / name)
    said = str(caught.value)
    assert said.startswith(f"{tmp_path / name}: ") and kind in said
    assert "weights_only" not in said and "\n" not in said


def test_files_of_weights_are_named(tmp_path: Path) -> None:
    saved({"a": torch.zeros(1)})(tmp_path / "new.pth")
    saved({"a": torch.zeros(1)}, _use_new_zipfile_serialization=False)(tmp_path / "old.pth")
    assert name_kind(tmp_path / "new.pth") == "a checkpoint of PyTorch"
    assert name_kind(tmp_path / "old.pth").startswith("a checkpoint of PyTorch, in its form before")


def test_a_program_of_torchscript_is_named(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "script.pt", "w") as file:
        file.writestr("script/code/__torch__/linear.py", "")
        file.writestr("script/data.pkl", "")
    assert name_kind(tmp_path / "script.pt") == "a program of TorchScript"
