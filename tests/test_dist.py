"""The archives of `make dist`, and the package as it is installed without a checkout."""

import os
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path
from zipfile import ZipFile

import pytest
from conftest import ROOT

import deblur

LEFT_OUT = (".*", "runs", "datasets", "outputs", "dist", "build", "node_modules")
LEFT_OUT += ("*.egg-info", "__pycache__")
NAME = f"deblur_lightning-{deblur.__version__}"

pytestmark = pytest.mark.slow


def run(*command: object, folder: Path, **environment: str) -> str:
    ran = subprocess.run(
        [sys.executable, "-m", *map(str, command)],
        cwd=folder,
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert ran.returncode == 0, ran.stdout
    return ran.stdout


@pytest.fixture(scope="module")
def dist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build both archives, of a copy, as `make dist` does."""
    folder = tmp_path_factory.mktemp("dist")
    shutil.copytree(ROOT, folder / "source", ignore=shutil.ignore_patterns(*LEFT_OUT))
    run("build", "--no-isolation", "--outdir", folder, folder / "source", folder=folder)
    return folder


def test_the_archives_are_fit_to_be_uploaded(dist: Path) -> None:
    archives = sorted(path.name for path in dist.iterdir() if path.is_file())
    assert archives == [f"{NAME}-py3-none-any.whl", f"{NAME}.tar.gz"]
    run("twine", "check", "--strict", *archives, folder=dist)


def test_the_source_archive_trains_and_tests(dist: Path) -> None:
    with tarfile.open(dist / f"{NAME}.tar.gz") as archive:
        names = {name.removeprefix(f"{NAME}/") for name in archive.getnames()}
    parts = {"train.py", "eval.py", "Makefile", "conf/train.yaml", "scripts/search.py"}
    parts |= {
        "examples/mine.py",
        "tests/conftest.py",
        "tests/oldest.txt",
        "docs/data.md",
        "mkdocs.yml",
        "browser/package-lock.json",
    }
    assert parts <= names


def test_the_wheel_alone_restores_and_tells_where_training_is(dist: Path, tmp_path: Path) -> None:
    with ZipFile(dist / f"{NAME}-py3-none-any.whl") as archive:
        archive.extractall(tmp_path / "site")
    (tmp_path / "else").mkdir()
    shutil.copy(ROOT / "deblur" / "assets" / "examples" / "bear.jpg", tmp_path / "else" / "a.jpg")
    alone = {"PYTHONPATH": str(tmp_path / "site")}
    said = run("deblur", "doctor", "--device=cpu", "--seconds=0", folder=tmp_path / "else", **alone)
    assert "models: maxim, fast, gan, maxim-gopro, small" in said
    assert "training: not installed: " in said and f"{NAME}.tar.gz" in said
    run("deblur", "a.jpg", folder=tmp_path / "else", **alone)
    assert (tmp_path / "else" / "restored" / "a.jpg").stat().st_size > 10_000
