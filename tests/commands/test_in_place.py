import errno
import filecmp
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from conftest import fill
from PIL import Image

from deblur import Restorer
from deblur.__main__ import edit, main
from deblur.checkpoints import save_generator
from deblur.networks import ResNet
from deblur.restoration import diagnosis
from deblur.restoration.batch import Job
from deblur.restoration.diagnosis import Diagnosis
from deblur.restoration.in_place import SOURCES, replace_restored


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("model") / "tiny.safetensors"
    config = {"_target_": "deblur.networks.ResNet", "blocks": 1, "width": 4}
    save_generator(path, fill(ResNet(blocks=1, width=4)), config, {})
    return path


@pytest.fixture
def options(model: Path) -> list[str]:
    return ["--model", str(model), "--device", "cpu", "--precision", "float32"]


@pytest.fixture
def photo(tmp_path: Path, picture: Callable[..., Path]) -> Path:
    return picture(tmp_path / "photos" / "a.png", seed=1)


def names(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def test_a_photo_is_restored_in_place_and_kept(
    photo: Path, options: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    before = photo.read_bytes()
    photo.chmod(0o640)
    assert main([str(photo), "--in-place", *options]) == 0
    assert names(photo.parent) == {"a.png", "a.png~"}
    assert (photo.parent / "a.png~").read_bytes() == before
    after = photo.read_bytes()
    assert after != before and photo.stat().st_mode & 0o777 == 0o640
    # Once more does nothing; with --overwrite the copy is restored, not the result.
    assert main([str(photo), "--in-place", *options]) == 0
    assert "1 skipped" in capsys.readouterr().out and photo.read_bytes() == after
    assert main([str(photo), "--in-place", "--overwrite", *options]) == 0
    assert photo.read_bytes() == after and (photo.parent / "a.png~").read_bytes() == before
    assert names(photo.parent) == {"a.png", "a.png~"}


def test_another_picture_of_the_same_name_is_never_lost(
    photo: Path, options: list[str], picture: Callable[..., Path]
) -> None:
    assert main([str(photo), "--in-place", *options]) == 0
    after = photo.read_bytes()
    new = picture(photo, seed=7).read_bytes()
    for _ in range(2):
        assert main([str(photo.parent), "--in-place", "--overwrite", *options]) == 0
        assert photo.read_bytes() == after and (photo.parent / "a.png~~").read_bytes() == new
    assert names(photo.parent) == {"a.png", "a.png~", "a.png~~"}


def test_a_picture_under_anothers_ending_keeps_its_format(photo: Path, options: list[str]) -> None:
    renamed = photo.rename(photo.with_name("a.jpg"))
    for again in ([], ["--overwrite"]):
        assert main([str(renamed), "--in-place", *again, *options]) == 0
        with Image.open(renamed) as picture:
            assert picture.format == "PNG"


def test_the_original_is_kept_though_another_process_restores_it_meanwhile(photo: Path) -> None:
    job = Job(photo, photo, backup=photo.with_name("a.png~"))
    before = photo.read_bytes()

    def finish(source: Path, target: Path) -> list[str]:
        target.write_text("first")
        return []

    def work(source: Path, target: Path) -> list[str]:
        replace_restored(job, finish)
        target.write_text("second")
        return []

    with pytest.raises(FileExistsError, match="another process"):
        replace_restored(job, work)
    assert photo.read_text() == "first" and photo.with_name("a.png~").read_bytes() == before
    assert names(photo.parent) == {"a.png", "a.png~"}


def test_a_copy_of_another_folder_is_not_taken_for_ones_own(
    photo: Path,
    options: list[str],
    picture: Callable[..., Path],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    other = picture(tmp_path / "others" / "a.png", seed=7)
    before = other.read_bytes()
    backup = ["--in-place", "--backup", str(tmp_path / "kept")]
    assert main([str(photo.parent), *backup, *options]) == 0
    assert main([str(other.parent), *backup, "--overwrite", *options]) == 2
    assert "name another --backup" in capsys.readouterr().err and other.read_bytes() == before
    moved = photo.parent.rename(tmp_path / "moved")  # the same photos, under another name
    assert main([str(moved), *backup, *options]) == 0
    assert "1 skipped" in capsys.readouterr().out


@pytest.mark.parametrize("backup", [None, "originals"])
def test_a_copy_that_would_be_the_picture_itself_is_refused(
    backup: str | None, photo: Path, options: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    before, more = photo.read_bytes(), []
    named = photo
    if backup is None:
        photo.with_name("a.png~").symlink_to(photo)
    else:
        more = ["--backup", str(photo.parent)]
        named = photo.parent.with_name("picked") / "a.png"
        named.parent.mkdir()
        named.symlink_to(photo)
    assert main([str(named.parent), "--in-place", *more, *options]) == 1
    assert "would be the picture itself" in capsys.readouterr().err
    assert photo.read_bytes() == before


def test_the_copy_is_judged_where_it_is_restored_again(
    photo: Path, options: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    judged: list[Path] = []
    kinds = {True: "motion", False: "sharp"}

    def diagnose(path: Path) -> Diagnosis:
        judged.append(path)
        return Diagnosis(kinds[path.read_bytes() == before], 0.99, 9.0, 0.0, 0.4, 0.3)

    monkeypatch.setattr(diagnosis, "diagnose", diagnose)
    before = photo.read_bytes()
    command = [str(photo), "--in-place", "--only-blurred", *options]
    for more in ([], ["--overwrite"]):
        assert main([*command, *more]) == 0
    assert judged == [photo, photo.with_name("a.png~")]


def test_copies_go_to_a_folder_in_their_tree(
    photo: Path, options: list[str], picture: Callable[..., Path], tmp_path: Path
) -> None:
    other = picture(photo.parent / "b" / "c.png", seed=2)
    before = {"a.png": photo.read_bytes(), "b/c.png": other.read_bytes()}
    kept = photo.parent / "kept"
    for _ in range(2):  # the second time nothing of the copies is taken for a photo
        assert main([str(photo.parent), "--in-place", "--backup", str(kept), *options]) == 0
        copies = {name: (kept / name).read_bytes() for name in names(kept) - {SOURCES}}
        assert copies == before
    assert photo.read_bytes() != before["a.png"] and other.read_bytes() != before["b/c.png"]


@pytest.mark.parametrize("backup", [None, "kept"])
def test_copies_that_a_shell_names_are_left_out(
    backup: str | None,
    photo: Path,
    options: list[str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """As `deblur * --in-place` is given twice: the copy is what the photo was, and stays."""
    monkeypatch.chdir(photo.parent)
    before = photo.read_bytes()
    more = [f"--backup={backup}"] if backup else []
    for _ in range(2):
        assert main([*sorted(os.listdir()), "--in-place", *more, *options]) == 0
    copy = "kept/a.png" if backup else "a.png~"
    assert names(photo.parent) - {f"kept/{SOURCES}"} == {"a.png", copy}
    assert Path(copy).read_bytes() == before
    said = capsys.readouterr()
    assert "1 skipped" in said.out and (backup or copy) in said.err
    Path("only.png~").write_bytes(before)  # of no picture that is there
    assert main(["only.png~", "--in-place", *more, *options]) == 0
    assert Path("only.png~").read_bytes() != before


def test_what_a_killed_process_left_is_restored(photo: Path, options: list[str]) -> None:
    shutil.copy(photo, photo.parent / "a.png~")  # it kept the copy, and no more
    assert main([str(photo), "--in-place", *options]) == 0
    assert not filecmp.cmp(photo, photo.parent / "a.png~", shallow=False)


def test_a_photo_that_cannot_be_read_fails_alone(
    photo: Path,
    options: list[str],
    picture: Callable[..., Path],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    other = picture(photo.with_name("b.png"), seed=2)
    shutil.copy(photo, photo.with_name("a.png~"))
    compare = filecmp.cmp

    def refuse(one: Path, two: Path, **settings: bool) -> bool:
        if one == photo:
            raise PermissionError(errno.EACCES, "Permission denied", str(one))
        return compare(one, two, **settings)

    monkeypatch.setattr(filecmp, "cmp", refuse)
    before = other.read_bytes()
    assert main([str(photo.parent), "--in-place", *options]) == 1
    assert f"failed: {photo}: Permission denied" in capsys.readouterr().err
    assert other.read_bytes() != before


def test_a_photo_that_fails_stays(photo: Path, options: list[str]) -> None:
    photo.write_bytes(photo.read_bytes()[:200])
    before = photo.read_bytes()
    assert main([str(photo), "--in-place", *options]) == 1
    assert names(photo.parent) == {"a.png"} and photo.read_bytes() == before


def test_a_folder_that_may_not_be_written_is_told_before_the_work(
    photo: Path,
    options: list[str],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(path: Path) -> None:
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    monkeypatch.setattr(Path, "touch", refuse)
    monkeypatch.setattr(Restorer, "restore_file", None)
    assert main([str(photo), "--in-place", *options]) == 1
    assert capsys.readouterr().err == f"failed: {photo}: Permission denied\n"
    assert names(photo.parent) == {"a.png"}


def test_a_link_to_a_photo_stays_a_link(photo: Path, options: list[str], tmp_path: Path) -> None:
    before = photo.read_bytes()
    link = tmp_path / "link.png"
    link.symlink_to(photo)
    assert main([str(link), "--in-place", *options]) == 0
    assert link.is_symlink() and photo.read_bytes() != before
    assert (photo.parent / "a.png~").read_bytes() == before


def test_a_program_gives_an_input_and_an_output(
    photo: Path, options: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out.tif"
    out.write_bytes(b"")  # programs make the name first
    assert main(["--edit", str(photo), "--output", str(out), *options]) == 0
    assert capsys.readouterr() == ("", "")
    restored = Image.open(out)
    assert restored.format == "TIFF" and restored.size == Image.open(photo).size
    assert main(["--edit", str(photo), "--output", str(photo), *options]) == 0
    assert np.array_equal(np.asarray(Image.open(photo)), np.asarray(restored))
    assert names(photo.parent) == {"a.png"}


def test_a_program_is_told_by_the_status(
    photo: Path, options: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out.png"
    missing = str(tmp_path / "none.png")
    assert main(["--edit", missing, "--output", str(out), *options]) == 2
    photo.write_bytes(b"no picture")
    assert main(["--edit", str(photo), "--output", str(out), *options]) == 1
    told = capsys.readouterr()
    assert not told.out and str(photo) in told.err and not out.exists()


def test_an_editor_without_options(
    photo: Path, options: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    before = photo.read_bytes()
    monkeypatch.setenv("DEBLUR_EDIT", " ".join(options))
    monkeypatch.setattr("sys.argv", ["deblur-edit", str(photo)])
    assert edit() == 0 and photo.read_bytes() != before
    assert names(photo.parent) == {"a.png"}
    monkeypatch.setattr("sys.argv", ["deblur-edit"])
    assert edit() == 2


def test_other_programs_options_are_read_with_care(
    photo: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["deblur-edit", str(photo), str(photo)])
    monkeypatch.setenv("DEBLUR_EDIT", "--model 'mine")
    assert edit() == 2 and "error: DEBLUR_EDIT: " in capsys.readouterr().err
    monkeypatch.setenv("DEBLUR_EDIT", "--format jpg")
    before = photo.read_bytes()
    assert edit() == 2 and "contradicts the format jpg" in capsys.readouterr().err
    assert photo.read_bytes() == before
    calls: list[list[str]] = []
    monkeypatch.setattr("deblur.__main__.main", lambda rest: calls.append(rest) or 130)
    assert edit() == 130 and len(calls) == 1  # after Ctrl-C the next photo is not begun


@pytest.mark.parametrize(
    ("arguments", "key"),
    [
        (["--edit", "a.png"], "--output"),
        ([], "PATH"),
        (["a.png", "--edit", "a.png", "--output", "b.png"], "PATH"),
        (["a.png", "--in-place", "-o", "out"], "--in-place"),
        (["a.png", "--backup", "out"], "--in-place"),
        (["-", "--in-place"], "--in-place"),
        (["--edit", "a.png", "--output", "b.txt"], "b.txt"),
        (["--edit", "a.png", "--output", "b.png", "--in-place"], "--in-place"),
        (["--edit", "a.png", "--output", "b.png", "--json"], "--json"),
    ],
)
def test_what_contradicts_itself_is_refused(
    arguments: list[str], key: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["restore", *arguments]) == 2
    assert key in capsys.readouterr().err


def test_sharpness_is_told_before_and_after(
    photo: Path, options: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = [str(photo), "-o", str(tmp_path / "out"), "--sharpness", *options]
    assert main([*arguments, "--json"]) == 0
    (outcome,) = json.loads(capsys.readouterr().out)
    before, after = outcome["sharpness"]
    assert 0 <= before <= 1 and 0 <= after <= 1 and before != after
    assert main([*arguments, "--overwrite"]) == 0
    assert f"sharpness {before:.2f}, restored {after:.2f}" in capsys.readouterr().out
