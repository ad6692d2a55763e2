from collections.abc import Sequence
from pathlib import Path

import pytest

from deblur.restoration.batch import Outcome, find_jobs, summarize


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    for name in ("a.jpg", "b/c.PNG", "b/d/e.mp4", "b/notes.txt", ".hidden/f.jpg", "b/.g.jpg"):
        file = tmp_path / "photos" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()
    return tmp_path / "photos"


def aims(sources: Sequence[str | Path], out: Path) -> list[Path]:
    return [job.target for job in find_jobs([*map(str, sources)], out).jobs]


def test_a_folders_tree_is_kept(tree: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    expected = [(tree / name, out / name) for name in ("a.jpg", "b/c.PNG", "b/d/e.mp4")]
    plan = find_jobs([str(tree)], out)
    assert [(job.source, job.target) for job in plan.jobs] == expected
    assert [job.moves for job in plan.jobs] == [False, False, True]
    assert plan.failed == [] and plan.results == []


def test_several_folders_keep_their_names(tree: Path, tmp_path: Path) -> None:
    targets = aims([tree / "b", tree / "a.jpg"], tmp_path)
    assert targets == [
        *(tmp_path / "b" / name for name in ("c.PNG", "d/e.mp4")),
        tmp_path / "a.jpg",
    ]
    out = tmp_path / "out"
    assert aims([tree / "b" / "d" / "..", tree / "a.jpg"], out)[0] == out / "b" / "c.PNG"


def test_results_inside_the_source_are_not_restored_again(tree: Path) -> None:
    (tree / "restored").mkdir()
    (tree / "restored" / "a.jpg").touch()
    assert len(aims([tree], tree / "restored")) == 3


def test_results_of_before_are_never_restored(
    tree: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tree)
    out = Path("restored")
    # Of a folder alone, as `deblur *` of the shell is at first, and of it and its results.
    first = aims(["b"], out)
    (tree / "restored").mkdir()
    (tree / "restored" / "c.PNG").touch()
    assert aims(["b", "restored"], out) == first
    assert find_jobs(["b", "restored"], out).results == [Path("restored")]
    (tree / "b" / "c.PNG").unlink()
    (tree / "b" / "g.png").touch()
    jobs = find_jobs(["**/*.[pP]*"], out).jobs
    assert [(job.source, job.target) for job in jobs] == [(Path("b/g.png"), out / "g.png")]
    (tree / "sharp.jpg").touch()
    jobs = find_jobs(["a.jpg", "sharp.jpg"], Path("sharp.jpg")).jobs
    assert [job.source for job in jobs] == [Path("a.jpg")]


def test_what_is_asked_for_where_results_go_is_restored(
    tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tree)
    assert aims(["b"], Path(".")) == [Path("c.PNG"), Path("d/e.mp4")]
    monkeypatch.chdir(tree.parent)
    assert aims([tree / "b" / "c.PNG"], tree) == [tree / "c.PNG"]
    with pytest.raises(ValueError, match="over itself"):
        aims([tree], tree)


def test_a_picture_that_is_asked_for_twice_is_one(
    tree: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tree)
    assert aims(["a.jpg", "./a.jpg", tree / "a.jpg"], tmp_path) == [tmp_path / "a.jpg"]
    assert aims(["a.jpg", "a.jpg"], tmp_path / "one.png") == [tmp_path / "one.png"]
    assert len(aims([".", "b", "b/c.PNG", "b/d"], tmp_path)) == 3


def test_a_single_file_may_have_a_name_of_its_own(tree: Path, tmp_path: Path) -> None:
    assert aims([tree / "a.jpg"], tmp_path / "sharp.png") == [tmp_path / "sharp.png"]
    assert aims([tree / "a.jpg"], tmp_path / "new") == [tmp_path / "new/a.jpg"]
    (tmp_path / "odd.png").mkdir()
    assert aims([tree / "a.jpg"], tmp_path / "odd.png") == [tmp_path / "odd.png/a.jpg"]


@pytest.mark.parametrize(
    ("sources", "out", "ending"),
    [
        (["a.jpg", "b/c.PNG"], "both.jpg", None),
        (["b"], "folder.jpg", None),
        (["a.jpg"], "film.mp4", None),
        (["b/d/e.mp4"], "film.jpg", None),
        (["a.jpg"], "a.png", ".webp"),
    ],
)
def test_a_name_that_does_not_fit_is_refused(
    sources: list[str], out: str, ending: str | None, tree: Path, tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match=out):
        find_jobs([str(tree / source) for source in sources], tmp_path / out, ending)


def test_patterns_are_expanded_where_the_shell_did_not(tree: Path, tmp_path: Path) -> None:
    jobs = find_jobs([str(tree / "**" / "*.[jP]*")], tmp_path).jobs
    assert [job.source.name for job in jobs] == ["a.jpg", "c.PNG"]
    with pytest.raises(FileNotFoundError, match=r"\*.bmp: no such file or folder"):
        find_jobs([str(tree / "*.bmp")], tmp_path)


def test_a_format_changes_the_endings_of_pictures_alone(tree: Path, tmp_path: Path) -> None:
    targets = [job.target.name for job in find_jobs([str(tree)], tmp_path, ".webp").jobs]
    assert targets == ["a.webp", "c.webp", "e.mp4"]
    targets = [job.target.name for job in find_jobs([str(tree)], tmp_path, ".jpeg").jobs]
    assert targets == ["a.jpg", "c.jpeg", "e.mp4"]


@pytest.mark.parametrize("system, refused", [("Darwin", True), ("Windows", True), ("Linux", False)])
def test_names_that_a_file_system_takes_for_one_are_two_targets_of_one_name(
    system: str, refused: bool, tree: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("platform.system", lambda: system)
    other = tmp_path / "others" / "A.JPG"
    other.parent.mkdir()
    other.touch()
    sources = [str(tree / "a.jpg"), str(other)]
    if not refused:
        assert len(find_jobs(sources, tmp_path / "out").jobs) == 2
        return
    with pytest.raises(ValueError, match="would both be written to"):
        find_jobs(sources, tmp_path / "out")


def test_a_sheet_never_has_the_name_of_a_target(tree: Path, tmp_path: Path) -> None:
    for name in ("p.jpg", "p.png", "p.jpg_compare.png"):
        (tree / name).touch()
    jobs = find_jobs([str(tree)], tmp_path, sheets=True).jobs
    files = [path for job in jobs for path in (job.target, job.sheet)]
    assert len(files) == len({*files})


def test_sheets_have_names_of_their_own(tree: Path, tmp_path: Path) -> None:
    for name in ("a.png", "x.jpg", "x_compare.png"):
        (tree / name).touch()
    jobs = find_jobs([str(tree)], tmp_path, sheets=True).jobs
    sheets = {job.source.name: job.sheet.name if job.sheet else None for job in jobs}
    assert sheets == {
        "a.jpg": "a.jpg_compare.png",
        "a.png": "a.png_compare.png",
        "x.jpg": "x.jpg_compare.png",
        "x_compare.png": "x_compare_compare.png",
        "c.PNG": "c_compare.png",
        "e.mp4": "e_compare.png",
    }
    assert not any(job.sheet for job in find_jobs([str(tree)], tmp_path).jobs)


def test_nothing_is_written_over_its_source_or_another(tree: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="a.jpg"):
        find_jobs([str(tree / "a.jpg")], tree)
    (tree / "b" / "a.jpg").touch()
    with pytest.raises(ValueError, match="would both be written to"):
        find_jobs([str(tree / "a.jpg"), str(tree / "b/a.jpg")], tmp_path)


def test_a_summary_counts() -> None:
    outcomes = [Outcome("a", "b", status) for status in ("restored", "skipped", "failed")]
    assert summarize(outcomes[:1]) == "1 restored"
    assert summarize(outcomes).startswith("1 restored, 1 skipped, already restored")
    assert summarize(outcomes).endswith("1 failed")
