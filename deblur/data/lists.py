"""Text files that name pairs: tables and lists."""

import csv
from collections.abc import Collection
from pathlib import Path

LISTS = Path(__file__).parent.parent / "assets" / "lists"


def read_rows(table: Path, columns: Collection[str]) -> list[dict[str, str]]:
    """Read a table's rows.

    columns: those that must have a value in every row. Missing values in others become "". Raises
    ValueError if a column or a value is missing.
    """
    try:
        with open(table, newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file, restval="")
            names = list(reader.fieldnames or ())
            rows = list(reader)
    except (csv.Error, UnicodeDecodeError) as error:
        raise ValueError(f"{table}: not a table ({error})") from error
    if not set(columns) <= set(names):
        raise ValueError(f"{table}: has columns {names}, expected {' and '.join(columns)}")
    for number, row in enumerate(rows, 2):
        if lacking := [column for column in columns if not row[column]]:
            raise ValueError(f"{table}: line {number} has no {lacking[0]}")
    return rows


def find_list(name_or_path: str) -> Path:
    """Return the path of a bundled list, by its name, or of the user's own, by its path."""
    own = LISTS / name_or_path
    return own if own.is_file() else Path(name_or_path)


def read_lines(path: Path) -> list[str]:
    """Read a text file's lines; raise ValueError if it is not text."""
    try:
        return path.read_text(encoding="utf-8").splitlines()
    except UnicodeDecodeError as error:
        raise ValueError(f"{path}: not a text file ({error})") from error
