"""Which tests may be skipped in CI, and with which versions the tests ran; hooks of pytest."""

import os
import platform
from collections.abc import Generator
from importlib.metadata import PackageNotFoundError, requires, version
from typing import Any

import pytest
from packaging.requirements import Requirement

ALLOWED = {
    "no GPU": "CUDA's kernels run on its GPUs alone",
    "no MPS": "Apple's kernels run on its GPUs alone",
    "no int8 units": "not every processor multiplies 8-bit integers fast",
    "not Linux": "/dev/full, /proc and glibc are Linux's",
    "Windows": "links require rights there",
    "no npm": "the page for browsers is built with npm, which pip cannot install",
    "peak memory unknown": "not every system tells a process its own",
}
"""The reasons for which CI allows a skip, and why; a missing package is none."""


def pytest_report_header() -> str:
    """Tell the versions of Python and of all packages that setup.cfg declares."""
    try:
        declared = requires("deblur-lightning") or []
    except PackageNotFoundError:
        return "versions: deblur-lightning is not installed"
    names = sorted({Requirement(line).name for line in declared}, key=str.lower)
    found = [f"python {platform.python_version()}"]
    for name in names:
        try:
            found.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            found.append(f"{name} -")
    return f"versions: {', '.join(found)}"


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, Any, Any]:
    """Let a module that skips itself fail in CI."""
    return judge((yield))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, Any, Any]:
    """Let a test that is skipped fail in CI."""
    return judge((yield))


def judge(report: Any) -> Any:
    """Turn a skip into a failure where CI runs and the reason is not allowed."""
    if report.skipped and not hasattr(report, "wasxfail") and os.environ.get("CI"):
        reason = report.longrepr[2].removeprefix("Skipped: ")
        if reason not in ALLOWED:
            report.outcome = "failed"
            report.longrepr = f"skipped, which tests/skips.py does not allow in CI: {reason}"
    return report
