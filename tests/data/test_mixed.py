from pathlib import Path
from typing import Any

import pytest
import torch
from imitations import write

from deblur.blur.camera import Camera
from deblur.blur.trajectory import TrajectoryBlur
from deblur.data.device_blur import collate, develop
from deblur.data.folder import PairedFolder
from deblur.data.lists import LISTS
from deblur.data.mixed import Mixed
from deblur.data.photos import Photos
from deblur.evaluation.provenance import name_source

ROWS = """set,scene,frame,split
gopro,GOPR0372_07_00,000047,train
gopro,GOPR0372_07_00,000048,train
gopro,GOPR0374_11_00,000049,val
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write("gopro", tmp_path / "gopro")
    (tmp_path / "list.csv").write_text(ROWS)
    return tmp_path


def mixed(folder: Path, **changes: Any) -> Mixed:
    def photos(**keys: Any) -> Photos:
        camera = Camera(motion=TrajectoryBlur(length=5, anxiety=0), shares={"noise": 1})
        return Photos(**keys, blur=camera)

    def pairs(**keys: Any) -> PairedFolder:
        return PairedFolder(**keys, layout="gopro", whole=True)

    arguments: dict[str, Any] = {
        "root": None,
        "split": "train",
        "crop": 24,
        "seed": 0,
        "photos": photos,
        "pairs": {"gopro": pairs},
        "roots": {"gopro": str(folder / "gopro")},
        "shares": {"photos": 1, "gopro": 1},
        "size": 40,
        "held_out": {"crop": 32, "val": 3, "test": 3},
        "listed": str(folder / "list.csv"),
    }
    return Mixed(**{**arguments, **changes})


def test_what_is_measured_is_named_by_where_it_lies(folder: Path) -> None:
    apart = mixed(folder, split="test", without=["GOPR0374_11_00"])
    assert name_source(apart, None) == str(folder / "gopro")
    assert name_source(mixed(folder, split="test"), None) == "built-in photos"
    assert name_source(mixed(folder), "mine") == "mine"


def test_training_draws_from_photos_and_pairs(folder: Path) -> None:
    names = [mixed(folder)[0, index].name for index in range(40)]
    assert [pair.name for pair in mixed(folder)] == names
    real = [name for name in names if name.startswith("GOPR")]
    assert 8 < len(real) < 32
    assert set(real) == {"GOPR0372_07_00-000047", "GOPR0372_07_00-000048"}


def test_a_share_of_zero_leaves_a_part_out(folder: Path) -> None:
    data = mixed(folder, shares={"photos": 1, "gopro": 0}, roots={"gopro": "nowhere"})
    assert not any(data[0, index].name.startswith("GOPR") for index in range(20))


def test_validation_has_the_listed_pairs_and_testing_none(folder: Path) -> None:
    data = mixed(folder, split="val")
    assert [data[0, index].name for index in range(len(data))][3:] == ["GOPR0374_11_00-000049"]
    assert data[0, 3].sharp.shape == data[0, 0].sharp.shape == (3, 32, 32)
    assert len(mixed(folder, split="test")) == 3


def test_scenes_that_are_left_out_are_tested_on(folder: Path) -> None:
    def names(split: str) -> set[str]:
        data = mixed(folder, split=split, without=["GOPR0372_07_00"])
        pairs = [data[0, index] for index in range(len(data))]
        return {pair.name for pair in pairs if pair.name.startswith("GOPR")}

    assert names("train") == set()
    assert names("val") == {"GOPR0374_11_00-000049"}
    assert names("test") == {"GOPR0372_07_00-000047", "GOPR0372_07_00-000048"}
    test = mixed(folder, split="test", without=["GOPR0372_07_00"])
    assert len(test) == 2 and test.scenes == ["GOPR0372_07_00"] * 2
    assert test[0, 0].blur.shape[1] > 32  # whole frames
    assert [*test.frame_sizes.values()] == [(48, 40)] * 2
    with pytest.raises(ValueError, match="has no GOPR9999"):
        mixed(folder, without=["GOPR9999"])


def test_a_frame_of_two_parts_has_two_names(folder: Path) -> None:
    write("gopro", folder / "again")
    row = "again,GOPR0372_07_00,000047,train\n"
    (folder / "list.csv").write_text(ROWS + row)

    def pairs(**keys: Any) -> PairedFolder:
        return PairedFolder(**keys, layout="gopro", whole=True)

    test = mixed(
        folder,
        split="test",
        without=["GOPR0372_07_00"],
        pairs={"gopro": pairs, "again": pairs},
        roots={"gopro": str(folder / "gopro"), "again": str(folder / "again")},
        shares={"photos": 1, "gopro": 1, "again": 1},
    )
    names = [test[0, index].name for index in range(len(test))]
    assert names == [
        "gopro/GOPR0372_07_00-000047",
        "GOPR0372_07_00-000048",
        "again/GOPR0372_07_00-000047",
    ]
    assert [*test.frame_sizes] == names


def test_a_part_that_is_not_trained_on_can_be_tested_on(folder: Path) -> None:
    settings: dict[str, Any] = {"split": "test", "without": ["GOPR0372_07_00"]}
    shares = {"photos": 1, "gopro": 0}
    assert len(mixed(folder, shares=shares, **settings)) == 2
    other: dict[str, Any] = {"pairs": {"reds": PairedFolder}, "roots": {}}
    with pytest.raises(ValueError, match="GOPR0372_07_00.*list.csv.*reds"):
        mixed(folder, shares={"photos": 1, "reds": 1}, **other, **settings)


def test_samples_depend_on_seed_epoch_and_index(folder: Path) -> None:
    for index in range(10):
        item = mixed(folder)[2, index]
        assert torch.equal(item.blur, mixed(folder)[2, index].blur)
        assert item.blur.shape == (3, 24, 24)
    # The same real pair, drawn twice in an epoch, is cut in two ways.
    data = mixed(folder)
    cuts = {data[0, i].sharp.numpy().tobytes() for i in range(40)}
    assert len(cuts) == 40


def test_a_listed_pair_that_is_not_there_is_named(folder: Path) -> None:
    (folder / "gopro/train/GOPR0372_07_00/blur/000048.png").unlink()
    (folder / "gopro/train/GOPR0372_07_00/sharp/000048.png").unlink()
    with pytest.raises(FileNotFoundError, match="GOPR0372"):
        mixed(folder)


@pytest.mark.parametrize("shares", [{"photos": 1}, {"photos": 0, "gopro": 1}])
def test_shares_must_fit_the_parts(folder: Path, shares: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="photos, gopro"):
        mixed(folder, shares=shares)


def test_a_root_of_no_part_is_refused(folder: Path) -> None:
    with pytest.raises(ValueError, match="roots.*gopr0"):
        mixed(folder, roots={"gopro": "x", "gopr0": "y"})


def test_a_part_without_a_root_is_named(folder: Path) -> None:
    with pytest.raises(ValueError, match="data.dataset.roots.gopro=FOLDER"):
        mixed(folder, roots={})


def test_the_committed_list_names_official_frames() -> None:
    lines = (LISTS / "mixed.csv").read_text().splitlines()
    assert lines[0] == "set,scene,frame,split"
    assert len(lines) == len(set(lines)) == 82
    assert {line.split(",")[0] for line in lines[1:]} == {"gopro", "reds"}


def test_blur_made_late_is_the_same(folder: Path) -> None:
    data = mixed(folder)
    samples = [data[1, index] for index in range(12)]
    batch = develop(collate([data.window((1, index)) for index in range(12)]), data.photos.blur)
    late = {name: index for index, name in enumerate(batch.name)}
    assert len(batch.name) == len(batch.blur) == 12
    for sample in samples:
        if not sample.name.startswith("GOPR"):
            assert torch.equal(batch.blur[late[sample.name]], sample.blur)
            assert torch.equal(batch.sharp[late[sample.name]], sample.sharp)


@pytest.mark.parametrize("kind", ["photos", "gopro"])
def test_a_batch_of_one_kind_is_developed_too(folder: Path, kind: str) -> None:
    data = mixed(folder)
    samples = [data.window((0, index)) for index in range(30)]
    own = [s for s in samples if (s.name.startswith("GOPR")) == (kind == "gopro")]
    assert len(develop(collate(own), data.photos.blur).blur) == len(own)
