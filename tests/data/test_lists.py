from pathlib import Path

import pytest

from deblur.data.lists import read_lines, read_rows


def test_rows_are_read_by_their_columns(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("blur,sharp,scene\na.png,b.png\n", encoding="utf-8-sig")
    assert read_rows(tmp_path / "a.csv", ["blur", "sharp"]) == [
        {"blur": "a.png", "sharp": "b.png", "scene": ""}
    ]


@pytest.mark.parametrize(
    "content, message",
    [
        (b"", r"has columns \[\], expected blur and sharp"),
        (b"left,right\na,b\n", "has columns .*expected blur and sharp"),
        (b"blur,sharp\na.png,b.png\nc.png\n", "line 3 has no sharp"),
        (b"blur,sharp\n\xff\xfe,b\n", "not a table"),
        (b"blur,sharp\n" + b"a" * 200_000 + b",b\n", "not a table"),
    ],
)
def test_what_is_no_such_table_is_named(content: bytes, message: str, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(content)
    with pytest.raises(ValueError, match=f"a.csv: {message}"):
        read_rows(tmp_path / "a.csv", ["blur", "sharp"])


def test_a_list_is_text(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(b"one two\nthree\n")
    assert read_lines(tmp_path / "a.txt") == ["one two", "three"]
    (tmp_path / "a.txt").write_bytes(b"\x89PNG\r\n")
    with pytest.raises(ValueError, match="a.txt"):
        read_lines(tmp_path / "a.txt")
