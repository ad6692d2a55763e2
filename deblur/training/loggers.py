"""What a run logs: TensorBoard's events and a table, and how they go on after a stop."""

import csv
import os
from argparse import Namespace
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from lightning.pytorch.loggers import Logger, TensorBoardLogger
from lightning.pytorch.utilities import rank_zero_only
from tensorboard.backend.event_processing import (  # type: ignore[import-untyped]
    event_file_loader,
)
from tensorboard.compat.proto import event_pb2  # type: ignore[import-untyped]

from deblur.atomic import replacing_text

TABLE = "metrics.csv"


@contextmanager
def _naming(path: Path) -> Iterator[None]:
    """Say of an error of the system which file cannot be written."""
    try:
        yield
    except (OSError, ValueError) as error:
        cause = error if isinstance(error, OSError) else error.__cause__  # as Lightning raises it
        if not isinstance(cause, OSError):
            raise
        raise OSError(cause.errno, cause.strerror or str(cause), str(path)) from error


class Events(TensorBoardLogger):
    """Writes TensorBoard's events into a run's folder; its errors name it.

    TensorBoard's thread prints them, too, where `threading.excepthook` lets it.
    """

    def __init__(self, *, folder: str) -> None:
        super().__init__(save_dir=folder, name="", version="", default_hp_metric=False)

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Write scalars; raises OSError."""
        with _naming(Path(self.log_dir)):
            super().log_metrics(metrics, step)

    @rank_zero_only
    def save(self) -> None:
        """Wait until all is written; raises OSError."""
        with _naming(Path(self.log_dir)):
            super().save()

    @rank_zero_only
    def finalize(self, status: str) -> None:
        """Close the file; a run that has failed has told why."""
        with suppress(OSError) if status == "failed" else _naming(Path(self.log_dir)):
            super().finalize(status)


class Table(Logger):
    """Writes all scalars to a CSV file, and goes on with the one that is there.

    Each row has a step; a scalar that comes new adds a column.
    """

    def __init__(self, *, folder: str) -> None:
        super().__init__()
        self.path = Path(folder) / TABLE
        self.columns: list[str] | None = None

    @property
    def name(self) -> str:
        """Nothing: the folder says it."""
        return ""

    @property
    def version(self) -> str:
        """Nothing."""
        return ""

    def log_hyperparams(
        self, params: dict[str, Any] | Namespace, *args: Any, **kwargs: Any
    ) -> None:
        """Leave them out."""

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Append a row; raises OSError, which names the file."""
        with _naming(self.path):
            self._append({"step": step, **metrics})

    def _append(self, row: dict[str, Any]) -> None:
        if self.columns is None:
            self.columns = list(_read(self.path)[0])
        if lacking := sorted(row.keys() - set(self.columns)):
            self.columns += lacking
            _write(self.path, self.columns, _read(self.path)[1])
        with open(self.path, "a", newline="", encoding="utf-8") as file:
            csv.DictWriter(file, self.columns).writerow(row)


@rank_zero_only
def rewind(folder: Path, step: int) -> None:
    """Drop what the run in a folder has logged at a step or later, for it will be logged again."""
    columns, rows = _read(folder / "csv" / TABLE)
    kept = [row for row in rows if row["step"].isdigit() and int(row["step"]) < step]
    if columns:
        with _naming(folder / "csv" / TABLE):
            _write(folder / "csv" / TABLE, columns, kept)
    for file in folder.glob("events.out.tfevents.*"):
        _rewind_events(file, step)


def _rewind_events(path: Path, step: int) -> None:
    """Cut a file, whose steps only grow, where that step begins, or where a process was killed."""
    end = 0
    for record in event_file_loader.RawEventFileLoader(str(path)).Load():
        if event_pb2.Event.FromString(record).step >= step:
            break
        end += len(record) + 16  # with its length and two sums
    if end:
        os.truncate(path, end)
    else:
        path.unlink()


def _read(path: Path) -> tuple[list[str], list[dict[str, str]]]:
    """Read a table; a killed process may have left a last row that is not whole."""
    if not path.is_file():
        return [], []
    with open(path, newline="", encoding="utf-8") as file:
        text = file.read()
    reader = csv.DictReader(text[: text.rfind("\n") + 1].splitlines())
    return list(reader.fieldnames or ()), list(reader)


def _write(path: Path, columns: list[str], rows: list[dict[str, str]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing_text(path) as file:
        writer = csv.DictWriter(file, columns)
        writer.writeheader()
        writer.writerows(rows)
