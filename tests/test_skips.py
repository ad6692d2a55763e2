"""CI fails on a skip that is not allowed."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from skips import ALLOWED, pytest_report_header

CASES = """
import pytest

def test_package():
    pytest.importorskip("no_such_package")

@pytest.mark.skipif(True, reason="not Linux")
def test_linux():
    pass

@pytest.mark.xfail(reason="a known fault")
def test_known():
    assert False
"""
MODULE = "import pytest\npytest.importorskip('no_such_package')\n"


@pytest.mark.parametrize(
    "ci, outcome",
    [("true", "1 failed, 1 skipped, 1 xfailed, 1 error"), ("", "3 skipped, 1 xfailed")],
)
def test_a_skip_for_a_missing_package_fails_in_ci(ci: str, outcome: str, tmp_path: Path) -> None:
    (tmp_path / "test_cases.py").write_text(CASES)
    (tmp_path / "test_module.py").write_text(MODULE)
    options = ["-p", "skips", "-p", "no:cacheprovider", "--continue-on-collection-errors"]
    ran = subprocess.run(
        [sys.executable, "-m", "pytest", *options, tmp_path],
        cwd=tmp_path,
        env={**os.environ, "CI": ci, "PYTHONPATH": str(Path(__file__).parent)},
        capture_output=True,
        text=True,
    )
    assert ran.returncode == (1 if ci else 0)
    assert outcome in ran.stdout.splitlines()[-1]
    assert ("not allow in CI: could not import 'no_such_package'" in ran.stdout) == bool(ci)
    assert "versions: " in ran.stdout


def test_the_versions_that_ran_are_told() -> None:
    told = pytest_report_header()
    assert f"torch {torch.__version__.partition('+')[0]}, " in told and "fastapi 0." in told


def test_no_missing_package_is_allowed() -> None:
    assert not [reason for reason in ALLOWED if "import" in reason or "install" in reason]
