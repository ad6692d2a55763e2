"""Photos come out of packages as listed; here out of imitations, without a network."""

import csv
import hashlib
import importlib.util
import io
import re
import shutil
import struct
import sys
import tarfile
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from conftest import ROOT
from PIL import Image

POOL = "pool/main/i/imitation/imitation_1.0_all.deb"
RCC = "usr/share/imitation.rcc"
ROWS = """\
file,width,height,package,member,resource,cut,author,license,source
imitation-whole.webp,64,48,imitation,usr/share/ramp.png,,,Ann,CC0-1.0,here
imitation-small.webp,32,24,imitation,usr/share/ramp.png,,,Ann,CC0-1.0,here
imitation-cut.webp,16,16,imitation,usr/share/ramp.png,,40 8,Ann,CC0-1.0,here
imitation-inside.webp,64,48,imitation,usr/share/imitation.rcc,a/b/ramp.png,,Bob,GPL-2+,there
"""
Run = Callable[..., str]


def ramp() -> np.ndarray:
    """Make a smooth picture, which WebP hardly changes."""
    down, right = np.mgrid[:48, :64]
    return np.stack([4 * right, 5 * down, 2 * (down + right)], axis=2).astype(np.uint8)


def build_deb(files: dict[str, bytes], member: str = "data.tar.xz") -> bytes:
    """Make an `ar` archive as dpkg-deb does, after a member of odd length."""
    tar = io.BytesIO()
    with tarfile.open(fileobj=tar, mode="w:xz") as archive:
        for name, body in files.items():
            entry = tarfile.TarInfo("./" + name)
            entry.size = len(body)
            archive.addfile(entry, io.BytesIO(body))
    deb = b"!<arch>\n"
    for name, body in (("debian-binary", b"2.0"), (member, tar.getvalue())):
        deb += f"{name:<16}{0:<12}{0:<6}{0:<6}{100644:<8}{len(body):<10}`\n".encode()
        deb += body + b"\n" * (len(body) % 2)
    return deb


def build_rcc(root: dict[str, Any], version: int, squeeze: bool) -> bytes:
    """Make a Qt resource file of folders (dictionaries) and files (bytes)."""
    nodes: list[tuple[str, Any]] = [("", root)]
    tree = names = contents = b""
    for name, inside in nodes:  # grows meanwhile
        tree += struct.pack(">I", len(names))
        names += struct.pack(">HI", len(name), 0) + name.encode("utf-16-be")
        if isinstance(inside, dict):
            tree += struct.pack(">HII", 2, len(inside), len(nodes))
            nodes += inside.items()
        else:
            tree += struct.pack(">HHHI", squeeze, 0, 0, len(contents))
            body = struct.pack(">I", len(inside)) + zlib.compress(inside) if squeeze else inside
            contents += struct.pack(">I", len(body)) + body
        tree += bytes(8 if version > 1 else 0)
    places = (24, 24 + len(tree), 24 + len(tree) + len(contents))
    header = b"qres" + struct.pack(">5I", version, *places, 0)
    return header + tree + contents + names


@pytest.fixture
def script() -> ModuleType:
    """Import the script."""
    path = ROOT / "scripts" / "fetch_photos.py"
    spec = importlib.util.spec_from_file_location("fetch_photos", path)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def mirror(script: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Give a mirror with one package, which is all that the script lists."""
    png = io.BytesIO()
    Image.fromarray(ramp()).save(png, "PNG")
    inside = {"z": {}, "a": {"c.png": b"", "b": {"ramp.png": png.getvalue()}}}
    files = {"usr/share/ramp.png": png.getvalue(), RCC: build_rcc(inside, 3, True)}
    deb = tmp_path / "mirror" / POOL
    deb.parent.mkdir(parents=True)
    deb.write_bytes(build_deb(files))
    photos = tmp_path / "photos.csv"
    photos.write_text(ROWS)
    digest = hashlib.sha256(deb.read_bytes()).hexdigest()
    monkeypatch.setattr(script, "PACKAGES", {"imitation": script.Package("1.0", digest, POOL)})
    monkeypatch.setattr(script, "LIST", photos)
    return tmp_path / "mirror"


@pytest.fixture
def run(
    script: ModuleType,
    mirror: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> Run:
    """Give a function that runs the script on the mirror and returns what it prints."""

    def start(*arguments: str) -> str:
        command = ["fetch_photos.py", str(tmp_path / "out"), "--mirror", mirror.as_uri()]
        monkeypatch.setattr(sys, "argv", [*command, *arguments])
        script.main()
        return capsys.readouterr().out

    return start


def test_photos_come_whole_shrunk_cut_and_out_of_a_resource(run: Run, tmp_path: Path) -> None:
    said = run()
    assert "imitation 1.0: 4 photos, 4 of them new" in said
    assert "4 photos, 0.0 megapixels" in said
    pixels = ramp()
    expected = {
        "whole": pixels,
        "small": pixels.reshape(24, 2, 32, 2, 3).mean(axis=(1, 3)),
        "cut": pixels[8:24, 40:56],
        "inside": pixels,
    }
    for name, values in expected.items():
        with Image.open(tmp_path / "out" / f"imitation-{name}.webp") as photo:
            assert photo.format == "WEBP"
            found = np.asarray(photo.convert("RGB"))
        assert found.shape == values.shape
        assert np.abs(found.astype(float) - values).mean() < 3
    assert not list((tmp_path / "out").glob("*.part"))


def test_the_sources_are_listed(run: Run, tmp_path: Path) -> None:
    run()
    with open(tmp_path / "out" / "SOURCES.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 4
    assert rows[3] == {
        "file": "imitation-inside.webp",
        "width": "64",
        "height": "48",
        "package": "imitation",
        "version": "1.0",
        "author": "Bob",
        "license": "GPL-2+",
        "source": "there",
    }


def test_bundled_photos_are_copied(run: Run, tmp_path: Path) -> None:
    assert "15 bundled photos" in run("--with-bundled")
    assert len([*(tmp_path / "out").glob("*.[jw]*")]) == 4 + 15


def test_what_is_there_is_kept(run: Run, mirror: Path, tmp_path: Path) -> None:
    run("--only", "imitation")
    whole = tmp_path / "out" / "imitation-whole.webp"
    Image.new("RGB", (64, 48)).save(whole)
    kept = whole.read_bytes()
    cut = tmp_path / "out" / "imitation-cut.webp"
    Image.new("RGB", (15, 16)).save(cut)
    assert "1 of them new" in run()
    assert whole.read_bytes() == kept
    with Image.open(cut) as photo:
        assert photo.size == (16, 16)
    shutil.rmtree(mirror)
    assert "0 of them new" in run()


def test_another_archive_is_refused(run: Run, mirror: Path, tmp_path: Path) -> None:
    (mirror / POOL).write_bytes(build_deb({}))
    with pytest.raises(SystemExit, match="imitation_1.0_all.deb") as end:
        run()
    assert "\n" not in str(end.value)
    assert not list((tmp_path / "out").glob("*.webp"))


def test_an_error_keeps_what_was_fetched(
    script: ModuleType, run: Run, mirror: Path, tmp_path: Path
) -> None:
    script.PACKAGES["absent"] = script.Package("2.0", "", "pool/absent.deb")
    with open(script.LIST, "a") as file:
        file.write("absent-x.webp,8,8,absent,x.png,,,Ann,CC0-1.0,here\n")
    with pytest.raises(SystemExit, match=f"absent: {mirror.as_uri()}/pool/absent.deb: ") as end:
        run()
    assert "\n" not in str(end.value)
    assert len(list((tmp_path / "out").glob("*.webp"))) == 4
    assert len((tmp_path / "out" / "SOURCES.csv").read_text().splitlines()) == 5


def test_a_version_that_apt_lacks_comes_from_the_snapshot(
    script: ModuleType, mirror: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def refuse(command: list[str], folder: Path) -> Path:
        assert command == ["apt-get", "download", "imitation=1.0"]
        raise OSError("E: Version '1.0' for 'imitation' was not found")

    monkeypatch.setattr(script, "call", refuse)
    monkeypatch.setattr(script.shutil, "which", lambda name: "/usr/bin/" + name)
    monkeypatch.setattr(script, "SNAPSHOT", mirror.as_uri())
    assert script.download("imitation", tmp_path, None) == tmp_path / "imitation_1.0_all.deb"
    shutil.rmtree(mirror)
    with pytest.raises(ConnectionError, match="; apt-get: E: Version '1.0' for"):
        script.download("imitation", tmp_path, None)


def test_a_wheel_is_downloaded_by_pip_and_read(
    script: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    body = io.BytesIO()
    with zipfile.ZipFile(body, "w") as archive:
        archive.writestr("imitation/a photo.jpg", b"pixels")

    def pip(command: list[str], folder: Path) -> Path:
        assert command[:4] == [sys.executable, "-m", "pip", "download"]
        assert command[-1] == "imitation==1.0" and "--no-deps" in command
        wheel = folder / "imitation-1.0-py3-none-any.whl"
        wheel.write_bytes(body.getvalue())
        return wheel

    package = script.Package("1.0", hashlib.sha256(body.getvalue()).hexdigest())
    monkeypatch.setattr(script, "PACKAGES", {"imitation": package})
    monkeypatch.setattr(script, "call", pip)
    wheel = script.download("imitation", tmp_path, None)
    assert script.unpack(wheel, {"imitation/a photo.jpg"}) == {"imitation/a photo.jpg": b"pixels"}
    with pytest.raises(ValueError, match="any.whl"):
        script.unpack(wheel, {"another"})


def test_a_program_gives_one_file_or_its_last_word(script: ModuleType, tmp_path: Path) -> None:
    write = [sys.executable, "-c", "open('x.deb', 'w')"]
    assert script.call(write, tmp_path) == tmp_path / "x.deb"
    fail = [sys.executable, "-c", "import sys; sys.exit('a warning\\nthe reason')"]
    with pytest.raises(OSError, match="^the reason$"):
        script.call(fail, tmp_path)


def test_an_unreadable_deb_says_why(script: ModuleType, tmp_path: Path) -> None:
    deb = tmp_path / "x.deb"
    for body, why in (
        (b"PK", "x.deb: not a .deb"),
        (b"!<arch>\n", "x.deb: has no data.tar"),
        (build_deb({}), "x.deb: has no a"),
        (build_deb({}).replace(b"\xfd7zXZ", b"(\xb5/\xfd!"), "x.deb: cannot read data.tar.xz"),
        (build_deb({}, "data.tar.zst").replace(b"\xfd7zXZ", b"wrong"), "zst needs Python 3.14"),
    ):
        deb.write_bytes(body)
        with pytest.raises(ValueError, match=re.escape(why)):
            script.unpack(deb, {"a"})


@pytest.mark.parametrize("version", [1, 2, 3])
@pytest.mark.parametrize("squeeze", [False, True])
def test_a_resource_is_found_by_its_path(script: ModuleType, version: int, squeeze: bool) -> None:
    files = {"a": {"é.png": b"1" * 99, "b": {"x.png": b"2"}}, "b": {"x.png": b"3"}, "x.png": b"4"}
    rcc = build_rcc(files, version, squeeze)
    assert script.read_resource(rcc, "a/é.png") == b"1" * 99
    assert script.read_resource(rcc, "a/b/x.png") == b"2"
    assert script.read_resource(rcc, "b/x.png") == b"3"
    assert script.read_resource(rcc, "x.png") == b"4"
    for path in ("a/x.png", "a", "c/x.png"):
        with pytest.raises(ValueError, match=path):
            script.read_resource(rcc, path)


def test_the_list_is_consistent(script: ModuleType) -> None:
    with open(script.LIST, newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 147
    assert len({row["file"] for row in rows}) == 147
    assert {row["package"] for row in rows} == set(script.PACKAGES)
    for row in rows:
        assert row["file"].startswith(row["package"] + "-") and row["file"].endswith(".webp")
        assert 0 < int(row["width"]) <= 2048 and 0 < int(row["height"]) <= 2048
        assert re.fullmatch(r"(\d+ \d+)?", row["cut"])
        assert bool(row["resource"]) == row["member"].endswith(".rcc")
        assert row["author"] and row["license"] and row["source"].startswith("https://")


def test_every_package_is_pinned(script: ModuleType) -> None:
    for name, package in script.PACKAGES.items():
        assert re.fullmatch("[0-9a-f]{64}", package.sha256)
        if package.pool:
            version = package.version.split(":")[-1]
            assert Path(package.pool).name.startswith(f"{name}_{version}_")
