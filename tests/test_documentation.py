"""The documentation site: its links, its API reference, and that it needs no network."""

import re
import zlib
from html.parser import HTMLParser
from inspect import ismodule
from pathlib import Path

import pytest
from conftest import ROOT

import deblur

TARGET = re.compile(r"_target_: (deblur\.[\w.]+)")
LOADED = {"audio": "src", "iframe": "src", "img": "src", "link": "href", "script": "src"}
"""Elements whose address a browser loads by itself."""


@pytest.fixture(scope="module")
def documented(site: Path) -> set[str]:
    """Return the names in the inventory, which the API reference writes of what it shows."""
    *_, names = (site / "objects.inv").read_bytes().split(b"\n", 4)
    return {line.split()[0] for line in zlib.decompress(names).decode().splitlines()}


def test_every_public_name_is_in_the_reference(documented: set[str]) -> None:
    public = {f"deblur.{name}": getattr(deblur, name) for name in deblur.__all__}
    packages = {name: one for name, one in public.items() if ismodule(one)}
    names = {*public} - {*packages}
    for name, one in packages.items():
        names |= {f"{name}.{part}" for part in getattr(one, "__all__", [])}
    assert names - documented == set()


def test_every_part_that_a_config_names_is_in_the_reference(documented: set[str]) -> None:
    groups = ("blur", "data", "model", "trainer")
    files = [path for group in groups for path in (ROOT / "conf" / group).rglob("*.yaml")]
    named = {name for path in files for name in TARGET.findall(path.read_text("utf-8"))}
    assert len(named) > 30 and named - documented == set()


class Loads(HTMLParser):
    """Collects the addresses that a page loads."""

    def __init__(self, page: Path) -> None:
        super().__init__()
        self.found: set[str] = set()
        self.feed(page.read_text("utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found |= {value for name, value in attrs if name == LOADED.get(tag) and value}


def test_pages_load_their_own_files_only(site: Path) -> None:
    pages = sorted(site.rglob("*.html"))
    loads = {(page, address) for page in pages for address in Loads(page).found}
    assert len(pages) > 30 and any(address.endswith(".js") for _, address in loads)
    for page, address in loads:
        if page.name == "404.html":
            continue  # a server's page, whose addresses begin at its root
        assert (page.parent / address.partition("?")[0]).is_file(), (page, address)
    for sheet in site.rglob("*.css"):
        assert not re.search(r"url\(['\"]?(https?:)?//|@import", sheet.read_text("utf-8"))


def test_notebooks_are_pages(site: Path) -> None:
    page = (site / "examples" / "restore_your_photo.html").read_text("utf-8")
    assert 'href="restore_your_photo.ipynb"' in page and "exif_transpose" in page
    assert 'href="examples/restore_your_photo.html"' in (site / "index.html").read_text("utf-8")
