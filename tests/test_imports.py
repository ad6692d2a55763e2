"""Who may know whom (imports run downwards only), and what an import may cost."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT

import deblur

PACKAGE = Path(deblur.__file__).parent
MAY_KNOW = {
    "pair": set(),
    "hardware": set(),
    "statistics": set(),
    "images": {"formats", "pair"},
    "extras": set(),
    "formats": {"extras"},
    "photo": {"formats"},
    "registration": {"images"},
    "blur": {"pair"},
    "networks": {"extras", "pair"},
    "losses": {"exchange", "pair"},
    "metrics": {"extras", "pair", "registration"},
    "data": {"hardware", "pair", "blur", "images", "ranks", "video", "registration"},
    "lars": set(),
    "unsharp": {"pair", "metrics"},
    "published": set(),
    "results": {"statistics"},
    "evaluation": {"pair", "metrics", "images", "hardware", "results"},
    "matching": {"data", "images"},
    "gradients": set(),
    "gan": {"exchange", "gradients", "losses", "metrics", "networks", "pair"},
    "checkpoints": {"extras", "networks"},
    "provenance": {"checkpoints", "data"},
    "sheets": {"photo"},
    "tables": {"metrics", "published", "statistics"},
    "page": {"metrics", "plot"},
    "progress": set(),
    "plot": set(),
    "report": {
        *("evaluation", "metrics", "page", "pair", "published"),
        *("results", "sheets", "statistics", "tables"),
    },
    "saving": {"checkpoints"},
    "training": {"gan", "saving"},
    "callbacks": {"gan", "checkpoints", "hardware", "pair", "training"},
    "alarms": {"exchange", "pair"},
    "logs": set(),
    "resume": {"checkpoints", "outcome", "ranks"},
    "tensorboard": {"pair", "sheets"},
    "schema": set(),
    "mistakes": {"extras", "schema"},
    "settings": {"hardware", "pair", "schema"},
    "run": {"mistakes", "outcome", "ranks", "schema", "settings"},
    "commandline": {"mistakes"},
    "acceptance": {"ranks"},
    "recipe": {"run"},
    "outcome": set(),
    "exchange": set(),
    "ranks": set(),
    "apart": {"outcome", "ranks", "run"},
    "sweep": {"acceptance", "apart", "outcome", "ranks", "run"},
    "video": {"extras", "images"},
    "encoding": {"video"},
    "film": {"encoding", "video"},
    "tiles": set(),
    "flat": set(),
    "hidden": set(),
    "guard": set(),
    "footprint": set(),
    "examples": {"images", "pair"},
    "inference": {"examples", "hardware", "networks"},
    "restorer": {
        "checkpoints",
        "examples",
        "flat",
        "footprint",
        "formats",
        "guard",
        "hardware",
        "hidden",
        "inference",
        "photo",
        "tiles",
    },
    "terminal": set(),
    "workers": {"terminal"},
    "sources": set(),
    "before_after": {"formats", "photo", "sheets"},
    "batch": {"film", "photo", "sources"},
    "task": {"batch", "before_after", "film", "progress", "workers"},
    "passed": {"film", "formats", "photo"},
    "darkroom": {"checkpoints", "formats", "photo", "restorer"},
    "web": {"checkpoints", "darkroom", "extras"},
    "commands": {
        *("data", "extras", "images", "video", "evaluation", "matching"),
        *("metrics", "outcome", "pair", "results", "tables"),
        *("batch", "checkpoints", "film", "hardware", "inference", "networks"),
        *(
            "passed",
            "photo",
            "progress",
            "restorer",
            "sheets",
            "task",
            "terminal",
            "web",
            "workers",
        ),
    },
    "__main__": {"terminal"},
}
LIGHTNING = {
    *("data/datamodule.py", "gan.py", "saving.py", "logs.py"),
    *("callbacks.py", "alarms.py", "tensorboard.py", "training/budget.py", "training/precision.py"),
}
FILES = sorted(path.relative_to(PACKAGE).as_posix() for path in PACKAGE.rglob("*.py"))


def imported(file: str) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse((PACKAGE / file).read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


@pytest.mark.parametrize("file", [file for file in FILES if file != "__init__.py"])
def test_imports_run_downwards(file: str) -> None:
    part = file.split("/")[0].removesuffix(".py")
    known = {name.split(".")[1] for name in imported(file) if name.startswith("deblur.")}
    assert known - {part} <= MAY_KNOW[part]


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
