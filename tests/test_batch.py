from pathlib import Path

import pytest

from deblur.batch import Outcome, find_jobs, find_rank, summarize


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    for name in ("a.jpg", "b/c.PNG", "b/d/e.mp4", "b/notes.txt", ".hidden/f.jpg", "b/.g.jpg"):
        file = tmp_path / "photos" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()
    return tmp_path / "photos"


def test_a_folders_tree_is_kept(tree: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    expected = [(tree / name, out / name) for name in ("a.jpg", "b/c.PNG", "b/d/e.mp4")]
    assert find_jobs([str(tree)], out) == expected
    assert [job.moves for job in find_jobs([str(tree)], out)] == [False, False, True]


def test_several_folders_keep_their_names(tree: Path, tmp_path: Path) -> None:
    jobs = find_jobs([str(tree / "b"), str(tree / "a.jpg")], tmp_path)
    assert [job.target for job in jobs] == [
        *(tmp_path / "b" / name for name in ("c.PNG", "d/e.mp4")),
        tmp_path / "a.jpg",
    ]


def test_results_inside_the_source_are_not_restored_again(tree: Path) -> None:
    (tree / "restored").mkdir()
    (tree / "restored" / "a.jpg").touch()
    assert len(find_jobs([str(tree)], tree / "restored")) == 3


def test_a_single_file_may_have_a_name_of_its_own(tree: Path, tmp_path: Path) -> None:
    assert find_jobs([str(tree / "a.jpg")], tmp_path / "sharp.png")[0].target.name == "sharp.png"
    assert find_jobs([str(tree / "a.jpg")], tmp_path / "new")[0].target == tmp_path / "new/a.jpg"


def test_patterns_are_expanded_where_the_shell_did_not(tree: Path, tmp_path: Path) -> None:
    jobs = find_jobs([str(tree / "**" / "*.[jP]*")], tmp_path)
    assert [job.source.name for job in jobs] == ["a.jpg", "c.PNG"]
    with pytest.raises(FileNotFoundError, match=r"\*.bmp: no such file or folder"):
        find_jobs([str(tree / "*.bmp")], tmp_path)


def test_a_format_changes_the_endings_of_pictures_alone(tree: Path, tmp_path: Path) -> None:
    targets = [job.target.name for job in find_jobs([str(tree)], tmp_path, ".webp")]
    assert targets == ["a.webp", "c.webp", "e.mp4"]


def test_nothing_is_written_over_its_source_or_another(tree: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="a.jpg: would be written over itself"):
        find_jobs([str(tree / "a.jpg")], tree)
    (tree / "b" / "a.jpg").touch()
    with pytest.raises(ValueError, match="would both be written to"):
        find_jobs([str(tree / "a.jpg"), str(tree / "b/a.jpg")], tmp_path)


@pytest.mark.parametrize(
    "environment, expected",
    [
        ({}, (0, 1, 0)),
        ({"RANK": "3", "WORLD_SIZE": "8", "LOCAL_RANK": "1"}, (3, 8, 1)),
        ({"SLURM_PROCID": "2", "SLURM_NTASKS": "4", "SLURM_LOCALID": "0"}, (2, 4, 0)),
        ({"RANK": "1", "WORLD_SIZE": "2", "SLURM_PROCID": "0", "SLURM_NTASKS": "1"}, (1, 2, 1)),
    ],
)
def test_a_process_knows_its_rank(
    environment: dict[str, str], expected: tuple[int, int, int]
) -> None:
    assert find_rank(environment) == expected


def test_a_summary_counts() -> None:
    outcomes = [Outcome("a", "b", status) for status in ("restored", "skipped", "failed")]
    assert summarize(outcomes[:1]) == "1 restored"
    assert summarize(outcomes).startswith("1 restored, 1 skipped, there already")
    assert summarize(outcomes).endswith("1 failed")
