import csv
import threading
from pathlib import Path

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch.utils.tensorboard import SummaryWriter

from deblur.jobs.entry_point import tell_of_thread
from deblur.training.loggers import Events, Table, rewind


def rows(folder: Path) -> list[dict[str, str]]:
    with open(folder / "csv" / "metrics.csv", newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_a_table_goes_on_with_new_columns(tmp_path: Path) -> None:
    folder = str(tmp_path / "csv")
    Table(folder=folder).log_metrics({"a": 1.5}, step=0)
    table = Table(folder=folder)
    table.log_metrics({"a": 2.0, "b": 3.0}, step=1)
    table.log_metrics({"b": 4.0}, step=2)
    assert rows(tmp_path) == [
        {"step": "0", "a": "1.5", "b": ""},
        {"step": "1", "a": "2.0", "b": "3.0"},
        {"step": "2", "a": "", "b": "4.0"},
    ]


def test_a_table_on_a_full_disk_is_named(tmp_path: Path) -> None:
    (tmp_path / "csv").write_text("no folder")
    with pytest.raises(OSError, match="metrics.csv"):
        Table(folder=str(tmp_path / "csv")).log_metrics({"a": 1.0}, step=0)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="not Linux")
def test_events_on_a_full_disk_are_named_and_end_with_the_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(threading, "excepthook", tell_of_thread)
    events = Events(folder=str(tmp_path))
    events.log_metrics({"a": 1.0}, step=0)
    events.save()
    [path] = tmp_path.glob("events*")
    path.unlink()
    path.symlink_to("/dev/full")
    for _ in range(2):
        with pytest.raises(OSError, match=f"No space left on device: .{tmp_path}"):
            events.log_metrics({"a": 2.0}, step=1)
            events.save()
    events.finalize("failed")
    assert not capsys.readouterr().err
    with pytest.raises(OSError, match=f"No space left on device: .{tmp_path}"):
        events.finalize("success")


def test_what_cannot_be_logged_is_still_told(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="you tried to log"):
        Events(folder=str(tmp_path)).log_metrics({"a": [1]}, step=0)  # type: ignore[dict-item]


@pytest.mark.parametrize("step, kept", [(0, []), (2, [0, 1]), (9, [0, 1, 2, 3])])
def test_what_comes_after_a_checkpoint_is_dropped(
    tmp_path: Path, step: int, kept: list[int]
) -> None:
    table = Table(folder=str(tmp_path / "csv"))
    for first in (0, 2):  # two processes, of which one went on with the run
        with SummaryWriter(str(tmp_path)) as events:
            for place in (first, first + 1):
                table.log_metrics({"a": place}, step=place)
                events.add_scalar("a", place, place)
                events.add_text("b", str(place), place)
    files = sorted(tmp_path.glob("events*"))
    assert len(files) == 2
    for path in (*files, tmp_path / "csv" / "metrics.csv"):  # killed in the middle of a write
        with open(path, "ab") as file:
            file.write(b"3")
    rewind(tmp_path, step)
    assert [int(row["step"]) for row in rows(tmp_path)] == kept
    found = EventAccumulator(str(tmp_path))
    found.Reload()
    scalars = [one.step for one in found.Scalars("a")] if found.Tags()["scalars"] else []
    assert sorted(scalars) == kept  # files of one second are read in the order of their names
    tensors = found.Tags()["tensors"]
    assert sorted(one.step for tag in tensors for one in found.Tensors(tag)) == kept


def test_nothing_is_there_to_be_dropped(tmp_path: Path) -> None:
    rewind(tmp_path, 0)
    assert not list(tmp_path.iterdir())
