import logging
import os
import sqlite3
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from deblur.blur.camera import Camera
from deblur.blur.trajectory import TrajectoryBlur
from deblur.data import decoding
from deblur.data.datamodule import DeblurData
from deblur.data.decoding import find_cache, find_damaged
from deblur.data.folder import PairedFolder
from deblur.data.listed import Listed
from deblur.data.photos import Photos
from deblur.data.snapshots import Snapshots
from deblur.media.images import decode


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("DEBLUR_CACHE", str(tmp_path / "cache"))
    return find_cache()


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Note the names of what is decoded."""
    names: list[str] = []

    def note(path: Path) -> None:
        names.append(path.name)
        decode(path)

    monkeypatch.setattr(decoding, "decode", note)
    return names


def cut(path: Path, share: float = 0.6) -> None:
    """Cut a file off in its pixel data; its head stays."""
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])


@pytest.mark.parametrize("ending", ["png", "jpg", "webp", "tif", "bmp"])
@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_a_picture_is_decoded_to_its_end(ending: str, mode: str, tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (120, 160, 3), np.uint8)
    path = tmp_path / f"a.{ending}"
    Image.fromarray(pixels).convert(mode).save(path)
    decode(path)
    cut(path, 0.98)
    with pytest.raises(ValueError, match=f"a.{ending}"):
        decode(path)


def test_what_has_not_changed_is_decoded_once(
    tmp_path: Path, picture: Callable[..., Path], decoded: list[str]
) -> None:
    good, bad = picture(tmp_path / "good.png"), picture(tmp_path / "bad.png")
    cut(bad)
    for _ in range(2):
        damaged = find_damaged([good, bad, good, tmp_path / "gone.png"])
        assert {*damaged} == {bad, tmp_path / "gone.png"} and str(bad) in damaged[bad]
    assert sorted(decoded) == ["bad.png", "bad.png", "gone.png", "gone.png", "good.png"]
    decoded.clear()
    os.utime(good, ns=(0, 1))
    assert find_damaged([good]) == find_damaged([good]) == {}
    assert decoded == ["good.png"]
    cut(good)  # of the same time, and another size
    os.utime(good, ns=(0, 1))
    assert {*find_damaged([good])} == {good}


@pytest.mark.parametrize("obstacle", ["damaged", "folder"])
def test_without_a_cache_all_is_decoded(
    obstacle: str,
    tmp_path: Path,
    cache: Path,
    picture: Callable[..., Path],
    decoded: list[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    path = picture(tmp_path / "a.png")
    if obstacle == "folder":
        cache.parent.write_text("")
    else:
        cache.parent.mkdir()
        cache.write_text("no data base at all")
    for _ in range(2):
        assert find_damaged([path]) == {}
    assert decoded == ["a.png"] * 2 and str(cache) in caplog.text


def test_names_that_are_no_text_are_kept(
    tmp_path: Path, picture: Callable[..., Path], decoded: list[str]
) -> None:
    odd = picture(tmp_path / "a.webp").rename(os.fsdecode(bytes(tmp_path) + b"/\xff.webp"))
    find_damaged([odd])
    find_damaged([odd])
    assert len(decoded) == 1


def test_several_runs_may_note_what_they_decoded(
    tmp_path: Path, cache: Path, picture: Callable[..., Path]
) -> None:
    find_damaged([picture(tmp_path / "a.png")])
    find_damaged([picture(tmp_path / "b.png")])
    assert sqlite3.connect(cache).execute("SELECT count(*) FROM decoded").fetchone() == (2,)


def fit(dataset: Callable[..., Any], root: Path, unreadable: Any) -> DeblurData:
    data = DeblurData(
        dataset=dataset, root=str(root), batch_size=1, crop=16, seed=0, unreadable=unreadable
    )
    data.setup("fit")
    return data


def test_pairs_are_decoded_before_a_training(gopro: Path, caplog: pytest.LogCaptureFixture) -> None:
    dataset = partial(PairedFolder, val_scenes=["GOPR0372_07_00"])
    fit(dataset, gopro, "stop")
    for scene in ("GOPR0372_07_00", "GOPR0374_11_00"):
        cut(gopro / "train" / scene / "blur" / "000001.png")
    with pytest.raises(ValueError, match=r"\S+GOPR0374_11_00\S+000001.png"):
        fit(dataset, gopro, "stop")
    with caplog.at_level(logging.INFO):
        data = fit(dataset, gopro, "skip")
    splits: dict[str, Any] = data.splits
    assert {name: len(pairs) for name, pairs in splits.items()} == {"train": 2, "val": 2}
    assert caplog.text.count("left out") == 2
    assert "decoded in advance: 1; decoded earlier: 5" in caplog.text


def test_photos_are_decoded_before_a_training(tmp_path: Path, picture: Callable[..., Path]) -> None:
    for number in range(12):
        picture(tmp_path / "photos" / f"{number:02}.png", (64, 64), number)
    dataset = partial(
        Photos,
        blur=Camera(motion=TrajectoryBlur(length=9, anxiety=0.005)),
        size=20,
        held_out={"crop": 32, "val": 4, "test": 4},
    )
    cut(tmp_path / "photos" / "07.png")
    with pytest.raises(ValueError, match=r"\S+07.png.*unreadable=skip"):
        fit(dataset, tmp_path / "photos", "stop")
    photos: Any = fit(dataset, tmp_path / "photos", "skip").splits["train"]
    assert "07" not in {path.stem for path in photos.photos} and len(photos.photos) > 6


def test_the_built_in_photos_are_taken_as_they_are(decoded: list[str]) -> None:
    camera = Camera(motion=TrajectoryBlur(length=9, anxiety=0.005))
    held_out = {"crop": 32, "val": 4, "test": 4}
    settings: dict[str, Any] = {"root": None, "crop": 32, "seed": 0, "size": 4}
    Photos(split="train", blur=camera, held_out=held_out, **settings).decode_all()
    assert not decoded


def test_snapshots_are_decoded_before_an_evaluation(
    tmp_path: Path, picture: Callable[..., Path]
) -> None:
    for name in ("a.png", "b.png"):
        picture(tmp_path / name)
    data = Snapshots(root=str(tmp_path))
    data.decode_all()
    cut(tmp_path / "b.png")
    with pytest.raises(ValueError, match="of 2, 1 cannot be used: .*b.png"):
        data.decode_all()


def test_listed_photos_of_the_users_own_are_decoded_before_an_evaluation(
    tmp_path: Path, picture: Callable[..., Path], decoded: list[str]
) -> None:
    rows = ["split,photo,blur,seed", "test,a.png,it,1", "test,dog.webp,it,1"]
    (tmp_path / "list.csv").write_text("\n".join(rows))
    picture(tmp_path / "a.png", (100, 90))
    camera = Camera(motion=TrajectoryBlur(length=9, anxiety=0.005))
    settings: dict[str, Any] = {"listed": str(tmp_path / "list.csv"), "cameras": {"it": camera}}
    data = Listed(root=str(tmp_path), split="test", crop=16, seed=0, **settings)
    data.decode_all()
    assert decoded == ["a.png"]
    blur = data[0].blur
    assert data.frame_sizes["it/a-1"] == (blur.shape[-1], blur.shape[-2]) != (100, 90)
    cut(tmp_path / "a.png")
    with pytest.raises(ValueError, match="a.png"):
        data.decode_all()
