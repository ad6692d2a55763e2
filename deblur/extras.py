"""Optional packages: what each extra of this distribution requires, and how to install it."""

import shlex
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, requires, version

from packaging.requirements import Requirement

DISTRIBUTION = "deblur-lightning"
"""The name under which this package is installed; `deblur` on PyPI is another project."""


def list_required(extra: str) -> list[Requirement]:
    """List the requirements of an extra of the installed distribution.

    The list is empty if the package is not installed (a checkout on PYTHONPATH), or was installed
    before it had this extra.
    """
    try:
        lines = requires(DISTRIBUTION) or []
    except PackageNotFoundError:
        return []
    found = [Requirement(line) for line in lines]
    # A requirement without a marker belongs to the package itself, not to an extra.
    return [one for one in found if one.marker and one.marker.evaluate({"extra": extra})]


def install_command(extra: str) -> str:
    """Return the pip command that installs the packages of an extra, with their version ranges.

    It names the packages themselves, never this distribution: until that is published, anybody
    can upload a program of its name.
    """
    packages = [_write(one) for one in list_required(extra)]
    if not packages:
        return f"pip install -e '.[{extra}]' (in the checkout)"
    return shlex.join(["pip", "install", *packages])


def list_misfits(extra: str) -> list[str]:
    """List the packages of an extra that are installed in a version outside of its range."""
    misfits = []
    for one in list_required(extra):
        with suppress(PackageNotFoundError):
            if not one.specifier.contains(version(one.name), prereleases=True):
                misfits.append(f"{one.name} {version(one.name)}")
    return misfits


def check_versions(extra: str) -> None:
    """Raise ImportError if the installed version of an extra's package is out of its range."""
    if misfits := list_misfits(extra):
        raise ImportError(f"{', '.join(misfits)} is out of range: {install_command(extra)}")


def _write(requirement: Requirement) -> str:
    """Write a requirement without its marker, the lower bound first."""
    bounds = sorted(map(str, requirement.specifier), reverse=True)
    return f"{requirement.name}{','.join(bounds)}"
