import gc
import logging
import os
import re
import signal
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from torch.utils.data import DataLoader, Dataset

from deblur.blur.camera import Camera
from deblur.blur.trajectory import TrajectoryBlur
from deblur.data import unreadable_files
from deblur.data.folder import PairedFolder
from deblur.data.photos import Photos
from deblur.data.unreadable_files import (
    UnreadableError,
    explain,
    hold,
    make_notes,
    read_or_next,
    sift,
    start_worker,
)


@pytest.fixture(autouse=True)
def nothing_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unreadable_files, "_known", set())
    monkeypatch.setattr(unreadable_files, "_note", None)


def look(name: str) -> int:
    if name.startswith("bad"):
        raise ValueError(f"{name}: not\n a picture")
    return len(name)


def test_all_faults_are_counted_at_the_start(caplog: pytest.LogCaptureFixture) -> None:
    names = ["a", "bad1", "bb", "bad2", "bad3", "bad4"]
    told = "of 6, 4 cannot be used: bad1: not a picture; bad2: not a picture; bad3: .*; ..."
    with pytest.raises(ValueError, match=f"^{told} .data.unreadable=skip"):
        sift(names, look, "stop")
    with pytest.raises(ValueError, match=f"^{told}$"):
        sift(names, look, None)
    with caplog.at_level(logging.WARNING):
        assert sift(names, look, "skip") == {"a": 1, "bb": 2}
    assert "of 6, 4 cannot be used: bad1" in caplog.text
    with pytest.raises(ValueError, match="of 1, 1 cannot be used"):
        sift(["bad"], look, "skip")


def test_the_next_one_takes_an_unreadable_ones_place(caplog: pytest.LogCaptureFixture) -> None:
    names = ["a", "bb", "bad1", "bad2"]
    with caplog.at_level(logging.WARNING):
        found = [read_or_next(lambda i: look(names[i]), place, 4, "skip") for place in range(4)]
    assert found == [(0, 1), (1, 2), (0, 1), (0, 1)]
    assert [record.getMessage() for record in caplog.records] == [
        "bad1: not a picture; left out (1 in this process)",
        "bad2: not a picture; left out (2 in this process)",
    ]
    with pytest.raises(UnreadableError, match="^bad1: .*data.unreadable=skip"):
        read_or_next(lambda i: look(names[i]), 2, 4, "stop")
    with pytest.raises(UnreadableError, match="2 files"):
        read_or_next(lambda i: look("bad"), 0, 2, "skip")


class Alone(Dataset[int]):
    """Reads its only file in a loading process, which may die of it."""

    def __init__(self, deadly: bool) -> None:
        self.deadly = deadly

    def __len__(self) -> int:
        return 1

    def __getitem__(self, index: int) -> int:
        hold("a/long/name.png", Path("b.png"))
        hold("b.png", Path(os.fsdecode(b"\xe9.png")))
        if self.deadly:
            os.kill(os.getpid(), signal.SIGKILL)
        raise UnreadableError("b.png: not a picture")


@pytest.mark.parametrize(
    "deadly, told",
    [
        (True, "a loading process has died .*; it held b.png, .udce9.png"),
        (False, "b.png: not a pict"),
    ],
)
def test_what_ended_a_loading_process_is_told_by_its_notes(deadly: bool, told: str) -> None:
    notes = make_notes(1)
    loader = DataLoader(Alone(deadly), num_workers=1, worker_init_fn=partial(start_worker, notes))
    loading: Any = iter(loader)
    with pytest.raises(Exception) as caught:
        next(loading)
    gc.collect()
    assert re.match(told, explain(caught.value, [make_notes(0), notes]))
    assert explain(RuntimeError("out of memory"), [make_notes(2)]) == ""
    loading._shutdown_workers()  # else the process lives as long as the error


def test_a_process_that_ended_in_order_is_not_to_blame() -> None:
    notes = make_notes(1)
    loader = DataLoader([1, 2], num_workers=1, worker_init_fn=partial(start_worker, notes))
    assert len(list(loader)) == 2
    gc.collect()
    assert explain(RuntimeError("out of memory"), [notes]) == ""


def test_without_a_loading_process_the_error_tells_itself() -> None:
    assert explain(UnreadableError("a.png: not a picture"), []) == "a.png: not a picture"


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:3000])


def test_pairs_that_are_cut_off_are_left_out(gopro: Path, caplog: pytest.LogCaptureFixture) -> None:
    for scene in ("GOPR0372_07_00", "GOPR0374_11_00"):
        cut(gopro / "train" / scene / "blur" / "000001.png")
    cut(gopro / "test" / "T1" / "sharp" / "000000.png")
    settings: dict[str, Any] = {"root": str(gopro), "crop": 16, "seed": 0, "layout": "gopro"}
    settings |= {"val_scenes": ["GOPR0372_07_00"], "unreadable": "skip"}
    with caplog.at_level(logging.WARNING):
        train, val, test = (PairedFolder(split=s, **settings) for s in ("train", "val", "test"))
    assert [len(train), len(val), len(test)] == [3, 2, 3]
    assert "of 3, 1 cannot be used" in caplog.text and "GOPR0372_07_00" in caplog.text
    names = [train[0, index].name for index in range(3)]
    assert names == ["GOPR0374_11_00-000000", "GOPR0374_11_00-000002", "GOPR0374_11_00-000002"]
    assert np.array_equal(train[0, 1].blur, train.sample(2, np.random.default_rng((0, 0, 1))).blur)
    with pytest.raises(UnreadableError, match="000000.png"):
        test[0, 0]


def test_photos_that_are_cut_off_are_left_out(tmp_path: Path, picture: Callable[..., Path]) -> None:
    for number in range(12):
        picture(tmp_path / f"{number:02}.png", (64, 64), number)
    for number in (7, 10):
        cut(tmp_path / f"{number:02}.png")
    settings: dict[str, Any] = {"root": str(tmp_path), "crop": 32, "seed": 0, "size": 20}
    settings |= {"held_out": {"crop": 32, "val": 4, "test": 4}, "unreadable": "skip"}
    settings["blur"] = Camera(motion=TrajectoryBlur(length=9, anxiety=0.005))
    train, val = (Photos(split=split, **settings) for split in ("train", "val"))
    assert [path.stem for path in val.photos] == ["00"]
    drawn = {train[0, index].name.split("-")[0] for index in range(60)}
    assert drawn == {f"{number:02}" for number in (2, 3, 4, 5, 6, 8, 9)}
    with pytest.raises(UnreadableError, match="07.png"):
        stops = Photos(split="train", **{**settings, "unreadable": "stop"})
        [stops[0, index] for index in range(60)]
