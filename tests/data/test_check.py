import shutil
from pathlib import Path

import numpy as np
import pytest
from imitations import picture, write
from PIL import Image

from deblur.__main__ import main
from deblur.data.check import Checked, check
from deblur.data.photos import BUILT_IN
from deblur.media.images import read
from deblur.media.registration import offset

PHOTO = read(BUILT_IN / "colosseum.webp")


def natural(root: Path, shift: int = 0, gamma: float = 1.0) -> Path:
    """Write pairs of a photo and the mean of its shifted selves."""
    for split, left in (("train", 100), ("test", 500)):
        for frame in range(3):
            start = 20 * frame
            frames = [
                PHOTO[start : start + 200, left + x : left + x + 240].astype(float)
                for x in range(-3, 4)
            ]
            mean = np.mean([f**gamma for f in frames], axis=0) ** (1 / gamma)
            mean = np.roll(mean, shift, axis=1)
            for kind, pixels in (("blur", mean), ("sharp", frames[3])):
                path = root / split / f"GOPR{left:04}_11_00" / kind / f"{frame:06}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                Image.fromarray(pixels.round().astype(np.uint8)).save(path)
    return root


def found(root: Path, layout: str = "gopro") -> Checked:
    return check(root, layout)


def test_a_clean_subset_has_notes_and_no_faults(tmp_path: Path) -> None:
    result = found(natural(tmp_path))
    assert result.faults == []
    assert "train: 3 pairs, 1 scene (official: 2103 pairs, 22 scenes)" in result.counts
    assert "sizes: 240x200" in result.counts
    assert any("a subset" in note for note in result.notes)
    assert any("no validation split" in note for note in result.notes)


@pytest.mark.parametrize("gamma, kind", [(1.0, "pixels were averaged"), (2.2, "light was")])
def test_the_variant_shows_in_the_brightness(tmp_path: Path, gamma: float, kind: str) -> None:
    assert any(kind in line for line in found(natural(tmp_path, gamma=gamma)).counts)


def test_shifted_pictures_are_a_fault(tmp_path: Path) -> None:
    faults = found(natural(tmp_path, shift=2)).faults
    assert len(faults) == 2
    assert "+0.0 pixels down and +2.0 right" in faults[0] or "-0.0 pixels down" in faults[0]


def test_a_missing_partner_is_a_fault(tmp_path: Path) -> None:
    natural(tmp_path)
    (tmp_path / "test/GOPR0500_11_00/sharp/000001.png").unlink()
    assert found(tmp_path).faults == [
        "without a partner of the same name: test/GOPR0500_11_00/blur/000001.png"
    ]


def test_no_pairs_are_a_fault(tmp_path: Path) -> None:
    (fault,) = found(natural(tmp_path), "reds").faults
    assert fault == "no pairs: it is not laid out as reds; it has pairs in the layout gopro"


def test_two_sizes_are_a_fault(tmp_path: Path) -> None:
    natural(tmp_path)
    picture(tmp_path / "test/GOPR0500_11_00/sharp/000001.png", 0, (30, 30))
    assert "differ in size" in found(tmp_path).faults[0]


def test_sharp_to_sharp_is_a_fault(tmp_path: Path) -> None:
    natural(tmp_path)
    scene = tmp_path / "train/GOPR0100_11_00"
    shutil.rmtree(scene / "blur")
    shutil.copytree(scene / "sharp", scene / "blur")
    assert "blurred and sharp are the same picture: GOPR0100" in found(tmp_path).faults[0]


def test_the_same_picture_in_another_file_is_found_too(tmp_path: Path) -> None:
    natural(tmp_path)
    scene = tmp_path / "train/GOPR0100_11_00"
    Image.open(scene / "sharp/000000.png").save(scene / "blur/000000.png", compress_level=1)
    assert "the same picture: GOPR0100_11_00-000000" in found(tmp_path).faults[0]


@pytest.mark.parametrize("level", [6, 1])
def test_test_pictures_among_the_training_ones_are_a_fault(tmp_path: Path, level: int) -> None:
    natural(tmp_path)
    source = tmp_path / "test/GOPR0500_11_00"
    for kind in ("blur", "sharp"):
        target = tmp_path / f"train/GOPR0100_11_00/{kind}/000009.png"
        Image.open(source / f"{kind}/000001.png").save(target, compress_level=level)
    assert any("in two splits" in fault for fault in found(tmp_path).faults)


def test_an_unreadable_file_is_a_fault(tmp_path: Path) -> None:
    natural(tmp_path)
    file = tmp_path / "train/GOPR0100_11_00/blur/000000.png"
    file.write_bytes(file.read_bytes()[:4000])
    assert "000000.png: not a readable picture" in found(tmp_path).faults[0]


def test_every_layout_can_be_checked(tmp_path: Path) -> None:
    for layout in ("reds", "realblur_j", "rsblur", "hide", "dvd", "nfs", "kohler", "csv"):
        write(layout, tmp_path / layout)
        result = found(tmp_path / layout, layout)
        # Noise has neither brightness nor place.
        assert [fault for fault in result.faults if not fault.startswith("scene")] == []


def exchange(*scenes: Path) -> None:
    for scene in scenes:
        (scene / "blur").rename(scene / "once")
        (scene / "sharp").rename(scene / "blur")
        (scene / "once").rename(scene / "sharp")


def test_too_few_to_be_split_are_noted(tmp_path: Path) -> None:
    for number in (1, 2):
        for side in ("blur", "sharp"):
            picture(tmp_path / side / f"{number}.png", number)
    assert any("too few to train on" in note for note in found(tmp_path, "blur_sharp").notes)
    for side in ("blur", "sharp"):
        picture(tmp_path / side / "3.png", 3)
    assert not any("too few" in note for note in found(tmp_path, "blur_sharp").notes)


def test_exchanged_pictures_are_a_fault(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    exchange(*natural(tmp_path).glob("*/*"))
    (fault,) = found(tmp_path).faults
    assert fault.startswith("blurred and sharp look exchanged: in 6 of 6 pairs")
    assert "exchange the names of their folders" in fault
    assert main(["check-data", str(tmp_path)]) == 1
    assert "FAULT: blurred and sharp look exchanged" in capsys.readouterr().out


def test_a_few_exchanged_pictures_are_noted(tmp_path: Path) -> None:
    exchange(natural(tmp_path) / "test/GOPR0500_11_00")
    result = found(tmp_path)
    assert result.faults == []
    assert any("sharper: GOPR0500_11_00-000000" in note for note in result.notes)


@pytest.mark.parametrize(
    ("layout", "remedy"), [("csv", "exchange the columns"), ("side_by_side", "be the left half")]
)
def test_exchanged_sides_have_a_remedy_of_their_layout(
    layout: str, remedy: str, tmp_path: Path
) -> None:
    natural(tmp_path / "set")
    rows = ["blur,sharp"]
    for file in sorted(tmp_path.glob("set/train/*/blur/*.png")):
        other = file.parent.parent / "sharp" / file.name
        rows.append(f"{other.relative_to(tmp_path)},{file.relative_to(tmp_path)}")
        halves = np.concatenate([read(other), read(file)], axis=1)
        (tmp_path / "train").mkdir(exist_ok=True)
        Image.fromarray(halves).save(tmp_path / "train" / file.name)
    (tmp_path / "pairs.csv").write_text("\n".join(rows) + "\n")
    (
        shutil.rmtree(tmp_path / "set")
        if layout == "side_by_side"
        else shutil.rmtree(tmp_path / "train")
    )
    (fault,) = found(tmp_path, layout).faults
    assert "look exchanged: in 3 of 3 pairs" in fault and remedy in fault


@pytest.mark.parametrize("shift", [(0, 0), (1, 0), (0, -2), (13, 8), (-30, 20)])
def test_registration_finds_the_shift(shift: tuple[int, int]) -> None:
    down, right = shift
    sharp = PHOTO[100:500, 150:600]
    blurred = PHOTO[100 - down : 500 - down, 150 - right : 600 - right]
    assert offset(blurred, sharp) == pytest.approx(shift, abs=0.02)
