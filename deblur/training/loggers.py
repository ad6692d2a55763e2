"""A run's loggers, TensorBoard events and a CSV table, and how a resumed run rewinds them."""

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
    """Add the path to a system error in writing a file."""
    try:
        yield
    except (OSError, ValueError) as error:
        cause = error if isinstance(error, OSError) else error.__cause__  # as Lightning raises it
        if not isinstance(cause, OSError):
            raise
        raise OSError(cause.errno, cause.strerror or str(cause), str(path)) from error


class Events(TensorBoardLogger):
    """Writes TensorBoard's events into a run's folder; its errors name the folder.

    TensorBoard's writing thread prints such errors, too, unless `threading.excepthook` prevents it.
    """

    def __init__(self, *, folder: str) -> None:
        super().__init__(save_dir=folder, name="", version="", default_hp_metric=False)

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Write scalars; raise OSError if that fails."""
        with _naming(Path(self.log_dir)):
            super().log_metrics(metrics, step)

    @rank_zero_only
    def save(self) -> None:
        """Wait until all is written; raise OSError if that fails."""
        with _naming(Path(self.log_dir)):
            super().save()

    @rank_zero_only
    def finalize(self, status: str) -> None:
        """Close the file; after a failed run ignore errors, since its own was reported."""
        with suppress(OSError) if status == "failed" else _naming(Path(self.log_dir)):
            super().finalize(status)


class Table(Logger):
    """Writes all scalars to a CSV file; an existing one is continued.

    Each row has a step; a new scalar adds a column.
    """

    def __init__(self, *, folder: str) -> None:
        super().__init__()
        self.path = Path(folder) / TABLE
        self.columns: list[str] | None = None

    @property
    def name(self) -> str:
        """Empty: the folder identifies the run."""
        return ""

    @property
    def version(self) -> str:
        """Empty, as the name."""
        return ""

    def log_hyperparams(
        self, params: dict[str, Any] | Namespace, *args: Any, **kwargs: Any
    ) -> None:
        """Do nothing: the table has no hyperparameters."""

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Append a row; raise OSError with the file's path if that fails."""
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
    """Drop what a run has logged at `step` or later: the resumed run logs it again."""
    columns, rows = _read(folder / "csv" / TABLE)
    kept = [row for row in rows if row["step"].isdigit() and int(row["step"]) < step]
    if columns:
        with _naming(folder / "csv" / TABLE):
            _write(folder / "csv" / TABLE, columns, kept)
    for file in folder.glob("events.out.tfevents.*"):
        _rewind_events(file, step)


def _rewind_events(path: Path, step: int) -> None:
    """Truncate a file before the first event of `step`, or at an incomplete event.

    Steps only increase in a file; an event is incomplete if the process was killed.
    """
    end = 0
    for record in event_file_loader.RawEventFileLoader(str(path)).Load():
        if event_pb2.Event.FromString(record).step >= step:
            break
        end += len(record) + 16  # 16 bytes: the record's length and two checksums
    if end:
        os.truncate(path, end)
    else:
        path.unlink()


def _read(path: Path) -> tuple[list[str], list[dict[str, str]]]:
    """Read a table; drop an incomplete last row, which a killed process may have left."""
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
