"""What is imported is declared, and what a hint tells to install is what the metadata name."""

import ast
import re
import shlex
import sys
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, metadata, packages_distributions, requires
from pathlib import Path
from typing import NoReturn

import pytest
from conftest import ROOT
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from deblur import extras
from deblur.extras import DISTRIBUTION, install_command, list_misfits, list_required

EXTRAS = metadata(DISTRIBUTION).get_all("Provides-Extra", [])
REQUIRED = [Requirement(line) for line in requires(DISTRIBUTION) or []]
DECLARED = {canonicalize_name(one.name): one for one in REQUIRED if one.name != DISTRIBUTION}
APART = {"deepinv", "openvino", "tensorflow-cpu", "tf2onnx"}
"""Packages of comparisons with other projects, which those scripts tell to install apart."""
OTHERS = {"rapidocr_onnxruntime": "rapidocr-onnxruntime", "timm": "timm"}
"""Modules that the extra `dev` does not install, and their packages."""
OWNERS = packages_distributions()
OWN = {"deblur", "hydra_plugins", *(path.stem for path in ROOT.rglob("tests/*.py"))}
OWN |= {path.stem for folder in ("benchmarks", "scripts") for path in (ROOT / folder).glob("*.py")}
CODE = [*("deblur", "tests", "benchmarks", "scripts", "examples")]
HINT = re.compile(r"pip install (-e '?\.\[[a-z,]+\]'?|'[^'{]+'(?: '[^'{]+')*|\w[\w-]*(?![\w/-]))")
"""The checkout's extras, quoted requirements, or a package without a version."""
SAID = [*CODE, "docs", "conf", "README.md", "train.py", "eval.py"]


def files(places: list[str], *endings: str) -> list[Path]:
    """List the files of some folders."""
    found = [path for place in places for path in ((ROOT / place).rglob("*"), [ROOT / place])]
    return sorted({one for paths in found for one in paths if one.suffix in endings})


def imports(path: Path) -> Iterator[str]:
    """List the modules that a file imports, by name or by a call with a constant."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module
        elif isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant):
            called = ast.unparse(node.func).rpartition(".")[2]
            if called in ("import_module", "find_spec") and isinstance(node.args[0].value, str):
                yield node.args[0].value


def others(places: list[str]) -> dict[str, str]:
    """Map the modules of other projects that some folders import to a file that does."""
    found = {
        name.split(".")[0]: path.name for path in files(places, ".py") for name in imports(path)
    }
    return {name: file for name, file in found.items() if name not in sys.stdlib_module_names | OWN}


def is_declared(module: str, declared: set[str]) -> bool:
    owners = OWNERS.get(module, [OTHERS.get(module, module)])
    return bool({canonicalize_name(name) for name in owners} & declared)


@pytest.mark.parametrize("places", [["deblur", "train.py", "eval.py"], CODE], ids=["used", "all"])
def test_what_is_imported_is_declared(places: list[str]) -> None:
    """A package that another one happens to install is missing where that one changes its mind."""
    found = others(places)
    assert {"torch", "kornia_rs", "omegaconf", "markupsafe"} <= {*found}
    lacking = {name: file for name, file in found.items() if not is_declared(name, {*DECLARED})}
    assert {*lacking} - APART == set()


def test_what_the_tests_import_is_of_dev() -> None:
    """Nothing may be skipped for a missing package where `make` has installed `dev` and `docs`."""
    (own,) = [one for one in REQUIRED if one.name == DISTRIBUTION]
    groups = {"dev", "docs", *own.extras}
    core = {one for one in REQUIRED if one.marker is None}
    installed = core.union(*(list_required(group) for group in groups))
    names = {canonicalize_name(one.name) for one in installed}
    lacking = {name for name in others(["tests", "deblur"]) if not is_declared(name, names)}
    assert lacking == {*OTHERS}


def commands() -> Iterator[tuple[str, str]]:
    """List the hints of all files: the file, and what follows `pip install`."""
    for path in files(SAID, ".py", ".md", ".yaml", ".sh"):
        if path.name == Path(__file__).name:
            continue
        for found in HINT.finditer(path.read_text("utf-8")):
            yield str(path.relative_to(ROOT)), found[1]


HINTS = [*commands()]


def test_there_are_hints() -> None:
    assert len(HINTS) > 10 and ("README.md", "-e '.[heif,video,web]'") in HINTS


@pytest.mark.parametrize("file, hint", HINTS)
def test_hints_that_are_written_name_what_is_declared(file: str, hint: str) -> None:
    """Never this distribution: whoever owns its name on PyPI would be trusted with the machine."""
    words = shlex.split(hint)
    if words[0] == "-e":
        assert {*words[1][2:-1].split(",")} <= {*EXTRAS}
        return
    for word in words:
        asked = Requirement(word)
        assert canonicalize_name(asked.name) in {*DECLARED} | APART, file
        if asked.specifier:
            assert asked.specifier == DECLARED[canonicalize_name(asked.name)].specifier


def calls() -> set[str]:
    """List the extras for which a command is made, from the calls."""
    found = set()
    for path in files(["deblur", "scripts"], ".py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "install_command":
                argument = node.args[0]
                found |= {argument.value} if isinstance(argument, ast.Constant) else set()
    return found


def test_each_extra_of_a_user_has_a_hint() -> None:
    assert calls() == {*EXTRAS} - {"dev", "docs"}


@pytest.mark.parametrize("extra", sorted(calls()))
def test_hints_that_are_made_are_the_metadata(extra: str) -> None:
    words = shlex.split(install_command(extra))
    assert words[:2] == ["pip", "install"] and len(words) > 2
    asked = {str(Requirement(word)) for word in words[2:]}
    declared = [line.partition(";") for line in requires(DISTRIBUTION) or []]
    mark = f'extra == "{extra}"'
    assert asked == {str(Requirement(name)) for name, _, when in declared if mark in when}


def test_the_command_is_to_be_typed_as_it_is() -> None:
    assert install_command("video") == "pip install 'av>=18'"


def test_without_metadata_the_checkout_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> NoReturn:
        raise PackageNotFoundError(name)

    monkeypatch.setattr(extras, "requires", missing)
    assert install_command("web") == "pip install -e '.[web]' (in the checkout)"
    assert list_misfits("web") == []


def test_the_oldest_versions_are_those_that_are_declared() -> None:
    """After a change of setup.cfg, `make oldest` writes the file anew."""
    lines = (ROOT / "tests" / "oldest.txt").read_text().splitlines()
    pins = dict(line.split("==") for line in lines if not line.startswith("#"))
    for name, one in DECLARED.items():
        if str(one.marker) in ('extra == "ocr"', 'extra == "timm"'):
            continue
        (least,) = [bound.version for bound in one.specifier if bound.operator == ">="]
        release = Version(least).release
        assert one.specifier.contains(pins[name])
        assert (*Version(pins[name]).release, 0, 0)[: len(release)] == release, name
