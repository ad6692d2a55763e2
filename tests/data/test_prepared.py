import argparse
import json
import os
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from imitations import picture, write

from deblur.commands.prepare import add_arguments
from deblur.data.folder import PairedFolder
from deblur.data.prepared import keep, prepare


@pytest.fixture
def source(tmp_path: Path) -> Path:
    write("gopro", tmp_path / "gopro")
    return tmp_path / "gopro"


def run(source: Path, out: Path, splits: tuple[str, ...] = ()) -> list[tuple[int, int]]:
    steps = prepare(source, out, layout="gopro", blur=None, splits=[*splits], workers=2)
    return list(steps)


def folder(root: Path, split: str = "train") -> PairedFolder:
    return PairedFolder(root=str(root), split=split, crop=16, seed=0)  # type: ignore[arg-type]


def test_arrays_hold_what_the_files_do(source: Path, tmp_path: Path) -> None:
    assert run(source, tmp_path / "arrays")[-1] == (9, 9)
    for split in ("train", "val", "test"):
        plain, arrays = folder(source, split), folder(tmp_path / "arrays", split)
        assert [pair.name for pair in plain.pairs] == [pair.name for pair in arrays.pairs]
        for index in range(len(plain)):
            for one, other in zip(plain[2, index][:2], arrays[2, index][:2]):
                assert torch.equal(one, other)  # type: ignore[arg-type]


def test_the_data_set_itself_is_no_place_for_them(source: Path) -> None:
    before = {*source.rglob("*")}
    with pytest.raises(ValueError, match="is the data set itself"):
        run(source, source / ".." / source.name)
    assert {*source.rglob("*")} == before


def test_arrays_are_mapped_not_read(source: Path, tmp_path: Path) -> None:
    run(source, tmp_path / "arrays")
    assert isinstance(folder(tmp_path / "arrays").frames(0), np.memmap)


def test_one_split_can_be_unpacked_alone(source: Path, tmp_path: Path) -> None:
    assert run(source, tmp_path / "arrays", ("test",))[-1] == (3, 3)
    assert len(folder(tmp_path / "arrays", "test")) == 3
    with pytest.raises(FileNotFoundError, match="found no train pairs"):
        folder(tmp_path / "arrays")


def test_what_was_written_is_kept(source: Path, tmp_path: Path) -> None:
    out = tmp_path / "arrays"
    steps = prepare(source, out, layout="gopro", blur=None, splits=[], workers=1)
    next(steps)
    steps.close()  # type: ignore[attr-defined]
    assert not (out / "index.json").exists()
    first = out / "000000.npy"
    written = first.stat().st_mtime_ns
    assert run(source, out)[-1] == (9, 9)
    assert first.stat().st_mtime_ns == written
    assert run(source, out) == [(9, 9)]


def test_changed_files_are_refused_and_unpacked_anew(source: Path, tmp_path: Path) -> None:
    out = tmp_path / "arrays"
    run(source, out)
    sharp = source / "test/GOPR0384_11_00/sharp/000047.png"
    picture(sharp, 77)
    os.utime(sharp, ns=(1, 1))
    with pytest.raises(ValueError, match="deblur prepare"):
        folder(out)
    run(source, out)
    assert torch.equal(folder(out, "test")[0, 0].sharp, folder(source, "test")[0, 0].sharp)


def test_the_command_that_unpacks_anew_makes_the_same_arrays(source: Path, tmp_path: Path) -> None:
    out, settings = tmp_path / "my arrays", {"layout": "gopro", "blur": "blur_gamma"}
    splits = ["train", "test"]
    list(prepare(source, out, splits=splits, workers=1, **settings))  # type: ignore[arg-type]
    os.utime(source / "test/GOPR0384_11_00/sharp/000047.png", ns=(1, 1))
    with pytest.raises(ValueError, match="deblur prepare") as caught:
        folder(out, "test")
    words = shlex.split(str(caught.value).partition(": deblur ")[2])
    parser = argparse.ArgumentParser()
    parser.add_argument("verb")
    add_arguments(parser)
    options = parser.parse_args(words)
    assert (options.path, options.out) == (source, out)
    assert {"layout": options.layout, "blur": options.blur} == settings
    assert options.split == splits


def test_added_files_are_noticed(source: Path, tmp_path: Path) -> None:
    run(source, tmp_path / "arrays")
    for kind in ("blur", "sharp"):
        picture(source / f"test/GOPR0384_11_00/{kind}/000050.png", 5)
    with pytest.raises(ValueError, match="have changed since"):
        folder(tmp_path / "arrays")


def test_arrays_outlive_their_files(source: Path, tmp_path: Path) -> None:
    run(source, tmp_path / "arrays")
    source.rename(tmp_path / "elsewhere")
    assert len(folder(tmp_path / "arrays", "test")) == 3


def test_another_layout_is_refused(source: Path, tmp_path: Path) -> None:
    run(source, tmp_path / "arrays")
    with pytest.raises(ValueError, match="holds gopro, expected reds"):
        PairedFolder(root=str(tmp_path / "arrays"), split="test", crop=16, seed=0, layout="reds")
    with pytest.raises(ValueError, match="blur_gamma"):
        PairedFolder(
            root=str(tmp_path / "arrays"), split="test", crop=16, seed=0, blur="blur_gamma"
        )


def test_what_cannot_be_paired_is_not_unpacked(source: Path, tmp_path: Path) -> None:
    (source / "test/GOPR0384_11_00/sharp/000047.png").unlink()
    with pytest.raises(ValueError, match="have no partner"):
        run(source, tmp_path / "arrays")


@pytest.mark.parametrize("layout", ["a_b", "side_by_side", "csv"])
def test_splits_of_equal_names_are_kept_apart(layout: str, tmp_path: Path) -> None:
    source, out = tmp_path / "set", tmp_path / "arrays"
    write(layout, source)
    list(prepare(source, out, layout=layout, blur=None, splits=[], workers=1))
    for split in ("train", "test"):
        settings: dict[str, Any] = {"split": split, "crop": 16, "seed": 0, "layout": layout}
        plain, arrays = (PairedFolder(root=str(root), **settings) for root in (source, out))
        assert len(plain) == len(arrays) > 0
        for index in range(len(plain)):
            assert np.array_equal(plain.frames(index), arrays.frames(index))


@pytest.mark.parametrize(
    "change, message",
    [
        (
            lambda index: index["pairs"][0].update(array="../secret.npy"),
            "secret.npy, which is outside",
        ),
        (lambda index: index["pairs"][0].update(array="/etc/passwd"), "passwd, which is outside"),
        (lambda index: index.pop("layout"), "index.json: damaged"),
        (lambda index: index.pop("splits"), "index.json: damaged"),
        (lambda index: index.update(pairs=5), "index.json: damaged"),
        (lambda index: index["pairs"][0].pop("width"), "index.json: damaged"),
        (lambda index: index["pairs"][0].update(files=[5]), "index.json: damaged"),
        (lambda index: index.update(format=99), "index format 99"),
    ],
)
def test_an_index_of_a_strangers_is_not_trusted(
    change: Callable[[dict[str, Any]], object], message: str, source: Path, tmp_path: Path
) -> None:
    run(source, tmp_path / "arrays")
    index = json.loads((tmp_path / "arrays/index.json").read_text())
    change(index)
    (tmp_path / "arrays/index.json").write_text(json.dumps(index))
    with pytest.raises(ValueError, match=message):
        folder(tmp_path / "arrays")


@pytest.mark.parametrize("content", ["", "[]", "{", "[" * 100_000, "\x00"])
def test_a_broken_index_is_named(content: str, tmp_path: Path) -> None:
    (tmp_path / "index.json").write_text(content)
    with pytest.raises(ValueError, match="index.json"):
        folder(tmp_path)


def test_an_array_of_another_kind_is_named(source: Path, tmp_path: Path) -> None:
    run(source, tmp_path / "arrays", ("test",))
    path = tmp_path / "arrays" / "000000.npy"
    for array in (np.zeros((2, 40, 48, 3), np.float32), np.zeros((2, 4, 48, 3), np.uint8)):
        np.save(path, array)
        with pytest.raises(ValueError, match="000000.npy"):
            folder(tmp_path / "arrays", "test").frames(0)
    np.save(path, np.array([Path]), allow_pickle=True)
    with pytest.raises(ValueError, match="000000.npy"):
        folder(tmp_path / "arrays", "test").frames(0)


def test_pairs_that_come_from_no_files_are_kept_too(tmp_path: Path) -> None:
    pairs = {
        name: np.full((2, 20, 24, 3), 60 * place, np.uint8) for place, name in enumerate("abc")
    }
    assert [*keep(tmp_path, "train", pairs.items())] == [1, 2, 3]
    assert [*keep(tmp_path, "val", [("d", pairs["c"])])] == [1]
    assert len(folder(tmp_path, "val")) == 1
    found = folder(tmp_path)
    assert [(pair.name, pair.split) for pair in found.pairs] == [(name, "train") for name in "abc"]
    assert np.array_equal(found.frames(1), pairs["b"])
    with pytest.raises(ValueError, match="a: the name of two pairs"):
        [*keep(tmp_path / "twice", "train", [*pairs.items()] * 2)]
    with pytest.raises(FileExistsError, match="already holds train pairs"):
        next(keep(tmp_path, "train", pairs.items()))
