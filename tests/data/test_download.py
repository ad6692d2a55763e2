import hashlib
import zipfile
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest
from imitations import write

from deblur.data import download
from deblur.data.folder import PairedFolder


@pytest.fixture
def archive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Serve an imitation of Köhler's set from this machine."""
    write("kohler", tmp_path / "set")
    archive = tmp_path / "served" / "kohler.zip"
    archive.parent.mkdir()
    with zipfile.ZipFile(archive, "w") as file:
        for path in (tmp_path / "set").rglob("*.png"):
            file.write(path, path.relative_to(tmp_path / "set"))
    md5 = hashlib.md5(archive.read_bytes()).hexdigest()
    serve = partial(SimpleHTTPRequestHandler, directory=str(archive.parent))
    with ThreadingHTTPServer(("127.0.0.1", 0), serve) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}/kohler.zip"
        monkeypatch.setitem(download.ARCHIVES, "kohler", {url: md5})
        monkeypatch.setenv("no_proxy", "127.0.0.1")
        yield archive
        server.shutdown()


def folder(root: Path, layout: str = "kohler") -> PairedFolder:
    return PairedFolder(
        root=str(root), split="test", crop=8, seed=0, layout=layout, whole=True, download=True
    )


def test_a_set_is_fetched_once_and_read(archive: Path, tmp_path: Path) -> None:
    assert len(folder(tmp_path / "new")) == 3
    archive.unlink()
    assert len(folder(tmp_path / "new")) == 3


def test_an_archive_that_is_not_the_right_one_is_refused(archive: Path, tmp_path: Path) -> None:
    archive.write_bytes(archive.read_bytes() + b"more")
    with pytest.raises(ValueError, match="kohler.zip"):
        folder(tmp_path / "new")
    assert not list((tmp_path / "new").rglob("*.png"))


def test_what_cannot_be_fetched_gives_an_instruction(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="https://seungjunnah"):
        folder(tmp_path, "gopro")


def test_an_archive_writes_into_its_folder_alone(archive: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(archive, "a") as file:
        file.writestr("../../evil.txt", "out")
        file.writestr(str(tmp_path / "absolute.txt"), "out")
        link = zipfile.ZipInfo("link.png")
        link.external_attr = 0o120777 << 16  # a symbolic link, as Unix has it
        file.writestr(link, "/etc/passwd")
    [url] = download.ARCHIVES["kohler"]
    download.ARCHIVES["kohler"][url] = hashlib.md5(archive.read_bytes()).hexdigest()
    assert len(folder(tmp_path / "deep" / "new")) == 3
    assert not (tmp_path / "evil.txt").exists() and not (tmp_path / "absolute.txt").exists()
    assert not (tmp_path / "deep" / "new" / "link.png").is_symlink()
