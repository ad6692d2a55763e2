import hashlib
from pathlib import Path

from deblur.evaluation.provenance import digest


def test_a_folder_has_a_digest_of_its_names_and_contents(tmp_path: Path) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / "b" / "one").write_bytes(b"1")
    assert digest(tmp_path / "a" / "b" / "one") == hashlib.sha256(b"1").hexdigest()
    before = digest(tmp_path / "a")
    (tmp_path / "a" / "b" / "one").rename(tmp_path / "a" / "b" / "two")
    renamed = digest(tmp_path / "a")
    (tmp_path / "a" / "b" / "two").write_bytes(b"2")
    assert len({before, renamed, digest(tmp_path / "a")}) == 3
