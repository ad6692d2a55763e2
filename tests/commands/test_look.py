import json
from pathlib import Path

import pytest
from conftest import fill
from PIL import Image

from deblur.__main__ import main
from deblur.checkpoints import save_generator
from deblur.networks import ResNet
from deblur.restoration import diagnosis
from deblur.restoration.diagnosis import Diagnosis


@pytest.fixture
def photos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make four photos, the width of which says what is wrong with them."""
    found = {
        40: Diagnosis("motion", 0.99, 12.4, 31.0, 1.5, 0.41),
        41: Diagnosis("defocus", 0.98, 9.0, 0.0, 0.4, 0.32),
        42: Diagnosis("sharp", 0.02, 0.0, 0.0, 0.4, 0.81),
        43: Diagnosis("motion", 0.99, 90.0, 31.0, 1.5, 0.1),
    }
    for width in found:
        (tmp_path / "photos").mkdir(exist_ok=True)
        Image.new("RGB", (width, 30)).save(tmp_path / "photos" / f"{width}.png")
    monkeypatch.setattr(diagnosis, "diagnose_luma", lambda luma: found[luma.shape[1]])
    return tmp_path / "photos"


def test_a_table_has_a_row_for_each_photo(photos: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["look", str(photos)]) == 1
    head, *rows = capsys.readouterr().out.splitlines()
    assert head.split()[:2] == ["verdict", "length"]
    assert [row.split()[0] for row in rows] == ["motion", "defocus", "sharp", "motion"]
    assert "12 px" in rows[0] and "31°" in rows[0] and rows[0].endswith("40.png")
    assert "scaled down first" in rows[3]


def test_a_photo_that_is_named_twice_is_looked_at_once(
    photos: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["look", str(photos), str(photos / "40.png")]) == 1
    assert len(capsys.readouterr().out.splitlines()) == 5


def test_the_status_says_whether_restoring_would_help(photos: Path) -> None:
    assert main(["look", str(photos / "40.png")]) == 1
    assert main(["look", *(str(photos / f"{width}.png") for width in (41, 42, 43))]) == 0


def test_json_is_for_programs(photos: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["look", str(photos), "--json"]) == 1
    told = {Path(one["photo"]).stem: one for one in json.loads(capsys.readouterr().out)}
    assert told["40"]["kind"] == "motion" and told["40"]["length"] == 12.4
    assert [told[name]["helps"] for name in ("40", "41", "42", "43")] == [True, False, False, False]


def test_what_cannot_be_read_is_told_and_the_rest_is_looked_at(
    photos: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (photos / "bad.jpg").write_bytes(b"no picture")
    assert main(["look", str(photos)]) == 2
    told = capsys.readouterr()
    assert len(told.out.splitlines()) == 5 and "bad.jpg" in told.err
    assert main(["look", str(photos / "none.jpg")]) == 2


def test_what_is_passed_over_is_counted(photos: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("raw.NEF", "notes.txt", "clip.mp4"):
        (photos / name).touch()
    (photos / "link").symlink_to(photos)
    assert main(["look", str(photos), "--json"]) == 1
    told = capsys.readouterr()
    assert len(json.loads(told.out)) == 4
    assert "1 raw file" in told.err and "1 linked folder" in told.err
    assert ".txt" in told.err and ".mp4" in told.err
    for path in photos.glob("*.png"):
        path.unlink()
    assert main(["look", str(photos)]) == 2
    assert "1 raw file" in capsys.readouterr().err


def test_only_the_blurred_are_restored(
    photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = tmp_path / "tiny.safetensors"
    config = {"_target_": "deblur.networks.ResNet", "blocks": 1, "width": 4}
    save_generator(model, fill(ResNet(blocks=1, width=4)), config, {})
    out = tmp_path / "out"
    options = ["--model", str(model), "--device", "cpu", "--precision", "float32"]
    assert main([str(photos), "-o", str(out), "--only-blurred", "--json", *options]) == 0
    assert sorted(path.name for path in out.iterdir()) == ["40.png", "43.png"]
    outcomes = {Path(one["source"]).stem: one for one in json.loads(capsys.readouterr().out)}
    assert outcomes["41"]["status"] == "kept" and "out of focus" in outcomes["41"]["reason"]
    assert outcomes["40"]["status"] == "restored" and len(outcomes["40"]["sharpness"]) == 2
    assert main([str(photos), "-o", str(out), "--only-blurred", *options]) == 0
    assert "2 not blurred by motion" in capsys.readouterr().out
