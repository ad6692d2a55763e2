from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

import deblur
from deblur.__main__ import main
from deblur.data.folder import PairedFolder
from deblur.data.frames import average
from deblur.media.images import Pixels, read

PHOTO = Path(deblur.__file__).parent / "assets" / "photos" / "petra.webp"
Frames = Callable[..., Path]


def frames_of(steps: list[int]) -> list[Pixels]:
    """See a photo move to the left by so many pixels from frame to frame."""
    photo = read(PHOTO)[100:236]
    return [photo[:, left : left + 140] for left in np.cumsum([100, *steps])]


@pytest.fixture
def frames(tmp_path: Path) -> Frames:
    """Give a function that writes the frames of a moving photo and returns their folder."""

    def write(*steps: int, name: str = "street") -> Path:
        folder = tmp_path / name
        folder.mkdir()
        for place, frame in enumerate(frames_of([*steps])):
            Image.fromarray(frame).save(folder / f"{place:04}.png")
        return folder

    return write


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "pairs"


def names(folder: Path) -> list[str]:
    files = (file for file in folder.rglob("*.*") if file.name != "frames.json")
    return sorted(file.relative_to(folder).as_posix() for file in files)


def test_pairs_lie_as_in_gopro(frames: Frames, out: Path) -> None:
    assert main(["frames", str(frames(*[1] * 6)), str(out), "--average", "3"]) == 0
    assert names(out) == [
        "train/street/blur/000001.png",
        "train/street/blur/000004.png",
        "train/street/sharp/000001.png",
        "train/street/sharp/000004.png",
    ]
    shown = frames_of([1] * 6)
    assert np.array_equal(read(out / "train/street/sharp/000004.png"), shown[4])
    assert np.array_equal(read(out / "train/street/blur/000004.png"), average(shown[3:6], "none"))
    data = PairedFolder(root=str(out), split="train", crop=64, seed=0)
    assert data[0, 0].blur.shape == (3, 64, 64)


def test_curves_have_folders_of_their_own(frames: Frames, out: Path) -> None:
    source = frames(1, 1)
    for curve, folder in (("none", "blur"), ("gamma", "blur_gamma"), ("srgb", "blur_srgb")):
        main(["frames", str(source), str(out), "--average", "3", "--curve", curve])
        blurred = read(out / f"train/street/{folder}/000001.png")
        assert np.array_equal(blurred, average(frames_of([1, 1]), curve))


def test_split_scene_and_part_are_chosen(frames: Frames, out: Path) -> None:
    choice = ["--split", "test", "--scene", "lane", "--start", "2", "--stop", "7", "--step", "1"]
    main(["frames", str(frames(*[1] * 9)), str(out), "--average", "3", *choice])
    assert [path.name for path in sorted((out / "test/lane/sharp").iterdir())] == [
        "000003.png",
        "000004.png",
        "000005.png",
    ]


def test_sizes_are_drawn_from_the_seed(frames: Frames, tmp_path: Path) -> None:
    source = frames(*[0] * 60)
    for folder, seed in (("a", "0"), ("b", "0"), ("c", "1")):
        main(["frames", str(source), str(tmp_path / folder), "--average", "3-9", "--seed", seed])
    assert names(tmp_path / "a") == names(tmp_path / "b") != names(tmp_path / "c")
    middles = [int(path.stem) for path in sorted((tmp_path / "a/train/street/blur").iterdir())]
    # From one middle to the next is half of both sizes.
    assert set(np.diff(middles)) <= {*range(3, 10)} and len({*np.diff(middles)}) > 2


def test_pairs_that_are_there_are_kept(
    frames: Frames, out: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["frames", str(frames(*[1] * 5)), str(out), "--average", "3"]
    main(command)
    kept, half = (out / f"train/street/blur/{name}.png" for name in ("000001", "000004"))
    Image.new("RGB", (140, 136)).save(kept)
    half.unlink()
    capsys.readouterr()
    assert main(command) == 0
    assert "written: 1 of 2 pairs" in (said := capsys.readouterr().out) and "kept: 1" in said
    assert half.exists() and not read(kept).any()
    main([*command, "--overwrite"])
    assert read(kept).any()
    assert not [name for name in names(out) if name.endswith(".part")]


def test_a_scene_is_made_in_one_way(
    frames: Frames, out: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = str(frames(*[1] * 20))
    command = ["frames", source, str(out), "--average", "3"]
    assert main(command) == 0
    before = names(out)
    other = str(frames(*[1] * 20, name="lane"))
    for changed in (
        ["frames", source, str(out), "--average", "5"],
        [*command, "--step", "2"],
        [*command, "--seed", "1", "--overwrite"],
        ["frames", other, str(out), "--average", "3", "--scene", "street"],
    ):
        assert main(changed) == 2
        assert "street: its pairs were made with" in capsys.readouterr().err
    assert names(out) == before
    assert main([*command, "--curve", "srgb", "--start", "1", "--max-step", "9"]) == 0
    assert main([*command, "--step", "2", "--scene", "second"]) == 0


def test_ghosts_are_left_out(frames: Frames, out: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["frames", str(frames(2, 2, 2, 2, 9)), str(out), "--average", "3"]
    assert main(command) == 0
    assert names(out / "train/street/blur") == ["000001.png"]
    said = capsys.readouterr().out
    assert "left out: 000004, 9.0 pixels from frame to frame\n" in said
    assert "left out: 1 with more than 6 pixels a step (--allow-ghosting writes them)" in said
    assert "motion from frame to frame: median 5.5, largest 9.0 pixels" in said
    assert f"python train.py experiment=paper data=gopro data.root={out}\n" in said


def test_ghosts_are_written_where_they_are_allowed(
    frames: Frames, out: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = str(frames(2, 2, 2, 2, 9))
    main(["frames", source, str(out / "a"), "--average", "3", "--allow-ghosting"])
    assert "ghosts: in 1 of those written, more than 6 pixels a step" in capsys.readouterr().out
    main(["frames", source, str(out / "b"), "--average", "3", "--max-step", "10"])
    assert "ghosts:" not in capsys.readouterr().out
    assert names(out / "a") == names(out / "b") and len(names(out / "a")) == 4


def test_the_next_command_names_the_folder_and_the_variant(
    frames: Frames, out: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    more = ["--average", "3", "--curve", "gamma", "--split", "test"]
    main(["frames", str(frames(1, 1)), str(out), *more])
    expected = f"eval.py ckpt=... data=gopro data.root={out} data.dataset.blur=blur_gamma\n"
    assert expected in capsys.readouterr().out


def test_without_pairs_the_status_is_1(
    frames: Frames, out: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["frames", str(frames(9, 9)), str(out), "--average", "3"]) == 1
    assert "next:" not in capsys.readouterr().out and not out.exists()
    assert main(["frames", str(frames(1, name="short")), str(out), "--average", "3"]) == 1
    assert "has too few frames for a pair of 3" in capsys.readouterr().out


def test_progress_is_told_sparsely(
    frames: Frames, out: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("deblur.commands.frames.OFTEN", 2)
    main(["frames", str(frames(*[0] * 14)), str(out), "--average", "3"])
    told = [line for line in capsys.readouterr().out.splitlines() if line.startswith("frame ")]
    assert told == ["frame 4: 2 pairs written, 0 ghosts", "frame 10: 4 pairs written, 0 ghosts"]


@pytest.mark.parametrize("average", ["6", "1", "9-7", "7-13-15", "7-", "many"])
def test_an_average_that_has_no_middle_is_refused(
    frames: Frames, out: Path, average: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["frames", str(frames(1)), str(out), "--average", average])
    assert "expected an odd number from 3, or as in 7-13" in capsys.readouterr().err


def test_wrong_names_are_named(
    frames: Frames, out: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["frames", "nowhere.mp4", str(out)]) == 2
    assert "nowhere.mp4: no such file" in capsys.readouterr().err
    assert main(["frames", str(frames(1)), str(out), "--scene", "../elsewhere"]) == 2
    assert "--scene ../elsewhere: expected a name" in capsys.readouterr().err


def test_a_video_becomes_pairs(tmp_path: Path, out: Path) -> None:
    file = tmp_path / "street.mov"
    shown = frames_of([1] * 6)
    with av.open(str(file), "w") as container:
        stream = container.add_stream("png", rate=60)
        stream.height, stream.width = shown[0].shape[:2]
        stream.pix_fmt = "rgb24"
        for pixels in shown:
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels), format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    assert main(["frames", str(file), str(out)]) == 0
    assert names(out / "train/street") == ["blur/000003.png", "sharp/000003.png"]
    assert np.array_equal(read(out / "train/street/sharp/000003.png"), shown[3])
    assert np.array_equal(read(out / "train/street/blur/000003.png"), average(shown, "none"))
