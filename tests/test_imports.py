"""Who may know whom (imports run downwards only), and what an import may cost."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT

import deblur

PACKAGE = Path(deblur.__file__).parent
SHARED = {"atomic", "extras", "hardware", "pair", "terminal"}
"""Modules that know no others of ours, and that each package may know.

extras names the packages that are missing, terminal makes names printable: all need them.
"""
FLAT = {*SHARED, "distributed"}
"""All modules that are in no package."""
MAY_KNOW = {
    "distributed": set(),
    "blur": set(),
    "networks": set(),
    "media": set(),
    "losses": {"distributed"},
    "metrics": {"media"},
    "checkpoints": {"networks"},
    "inference": {"media", "networks"},
    "config": {"distributed"},
    "data": {"blur", "distributed", "media"},  # one process warns and decodes for all
    "jobs": {"checkpoints", "config", "distributed"},
    "training": {"checkpoints", "distributed", "losses", "media", "metrics", "networks"},
    "evaluation": {"checkpoints", "data", "inference", "media", "metrics"},
    # It learns from a film's own frames: blurs them, and has losses.
    "restoration": {"blur", "checkpoints", "distributed", "inference", "losses", "media"},
    "web": {"checkpoints", "media", "restoration"},
    "commands": {
        *("blur", "checkpoints", "data", "distributed", "evaluation", "inference", "jobs"),
        *("losses", "media", "metrics", "networks", "restoration", "web"),
    },
    "__main__": {"media"},
}
"""By the names of packages: which others each may know, besides the shared modules."""
LIGHTNING = {
    "data/datamodule.py",
    *(f"training/{name}.py" for name in ("callbacks", "checkpointing", "failure_checks", "gan")),
    *(f"training/{name}.py" for name in ("budget", "loggers", "precision", "tensorboard")),
}
LONGEST = 300
"""Lines of a file."""
FILES = sorted(path.relative_to(PACKAGE).as_posix() for path in PACKAGE.rglob("*.py"))


def imported(file: str) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse((PACKAGE / file).read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def test_no_file_is_long() -> None:
    long = {file for file in FILES if len((PACKAGE / file).read_text().splitlines()) > LONGEST}
    assert not long


@pytest.mark.parametrize("file", [file for file in FILES if file != "__init__.py"])
def test_imports_run_downwards(file: str) -> None:
    part = file.split("/")[0].removesuffix(".py")
    assert part in MAY_KNOW or part in FLAT, f"{file} has no room in the table"
    known = {name.split(".")[1] for name in imported(file) if name.startswith("deblur.")}
    assert known - {part} <= MAY_KNOW.get(part, set()) | (set() if part in SHARED else SHARED)


def test_the_house_has_few_modules_beside_its_packages() -> None:
    flat = {path.stem for path in PACKAGE.glob("*.py")} - {"__init__", "__main__"}
    assert flat <= FLAT
    rooms = {path.parent.name for path in PACKAGE.glob("*/__init__.py")}
    assert rooms == {*MAY_KNOW} - FLAT - {"__main__"}


@pytest.mark.parametrize("file", FILES)
def test_only_a_few_files_know_lightning(file: str) -> None:
    knows = any(name.split(".")[0] == "lightning" for name in imported(file))
    assert not knows or file in LIGHTNING


def test_the_public_names_are_there() -> None:
    assert sorted(deblur.__all__) == deblur.__all__
    for name in deblur.__all__:
        assert getattr(deblur, name) is not None
    assert {*deblur.__all__} <= {*dir(deblur)}
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        deblur.nothing


def test_a_notebook_needs_one_import() -> None:
    program = """if True:
        import sys, deblur
        assert not any(name.startswith(("deblur.", "torch")) for name in sys.modules)
        parts = (deblur.networks.ResNet, deblur.networks.DenseDiscriminator, deblur.losses.Minimax)
        parts += (deblur.losses.Perceptual, deblur.PairedFolder, deblur.Photos, deblur.EpochSampler)
        assert "lightning" not in sys.modules
        parts += (deblur.DeblurData, deblur.DeblurGAN)
        print(*(part.__name__ for part in parts))"""
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=ROOT)
    assert ran.stdout.split()[-2:] == ["DeblurData", "DeblurGAN"], ran.stderr


HEAVY = {"lightning", "torchvision", "torchmetrics", "kornia"}


@pytest.mark.parametrize(
    ("statement", "heavy"),
    [
        ("import deblur; from deblur import load_generator", HEAVY | {"hydra"}),
        ("import deblur; deblur.networks, deblur.losses", HEAVY | {"hydra"}),
        ("import train", HEAVY | {"torch"}),  # for its --help
        ("import eval", HEAVY | {"torch"}),
    ],
)
def test_what_is_slow_to_import_waits_until_it_is_used(statement: str, heavy: set[str]) -> None:
    program = f"import sys; {statement}; print(*sorted({heavy} & {{*sys.modules}}))"
    command = [sys.executable, "-c", program]
    loaded = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT)
    assert loaded.stdout.split() == []
