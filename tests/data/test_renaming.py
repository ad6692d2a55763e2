from pathlib import Path

import pytest
from imitations import picture

from deblur.__main__ import main
from deblur.data.folder import PairedFolder
from deblur.data.renaming import suggest


@pytest.mark.parametrize(
    ("names", "told"),
    [
        (
            ["blur/1.png", "sharp/0001.png", "blur/2.png", "sharp/0002.png"],
            ["blur/1.png and sharp/0001.png", "one of 2", "to blur/0001.png and sharp/0001.png"],
        ),
        (["a-blur.png", "a-sharp.jpg"], ["a-blur.png and a-sharp.jpg", "to blur/a.png", "p/a.jpg"]),
        (["blurry/x.png", "clear/x.png"], ["to blur/x.png and sharp/x.png"]),
        (["test/s/input/1.png", "test/s/gt/01.png"], ["to test/blur/s-01.png"]),
        (["Blurred/IMG 7.png", "Ground_Truth/IMG 7.png"], ["folders Blurred and Ground_Truth"]),
        (
            ["one/1.png", "one/2.png", "two/1.png", "two/2.png"],
            ["folders one and two have 2 file names"],
        ),
        (["one/1.png", "two/0001.png"], ["folders one and two have 1 file name"]),
    ],
)
def test_what_looks_like_pairs_is_named(names: list[str], told: list[str]) -> None:
    said = suggest(names)
    assert all(part in said for part in told), said


@pytest.mark.parametrize(
    "names",
    [[], ["a.png"], ["a.png", "b.png"], ["blur/1.png", "sharp/2.png"], ["x/1.png", "y/2.png"]],
)
def test_where_nothing_is_alike_nothing_is_said(names: list[str]) -> None:
    assert suggest(names) == ""


def test_unpadded_numbers_are_told_wherever_pairs_are_read(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for number in (1, 2, 3):
        picture(tmp_path / f"train/blur/{number}.png", number)
        picture(tmp_path / f"train/sharp/{number:04}.png", number)
    rename = "rename them to train/blur/0001.png and train/sharp/0001.png"
    assert main(["check-data", str(tmp_path)]) == 2
    assert rename in capsys.readouterr().err
    with pytest.raises(FileNotFoundError, match=rename):
        PairedFolder(root=str(tmp_path), split="train", crop=16, seed=0)
    assert main(["check-data", str(tmp_path), "--layout", "blur_sharp"]) == 1
    assert rename in capsys.readouterr().out
    picture(tmp_path / "train/blur/0003.png", 3)
    with pytest.raises(ValueError, match=f"without a partner.*{rename}"):
        PairedFolder(root=str(tmp_path), split="train", crop=16, seed=0)
