"""A headless Chromium, and pages opened in it with an eye on what they ask for and complain of."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from browser_page import PATIENCE, SIZES, serving
from conftest import ROOT
from playwright.sync_api import (
    Browser,
    ConsoleMessage,
    Dialog,
    Page,
    Request,
    expect,
    sync_playwright,
)

expect.set_options(timeout=PATIENCE)
Load = Callable[[str], Page]
Launch = Callable[..., Browser]


@pytest.fixture(scope="session")
def launch() -> Iterator[Launch]:
    """Give a function that starts Chromium with further arguments."""
    names = ("chromium", "chromium-browser", "google-chrome")
    found = next((path for path in map(shutil.which, names) if path), None)
    if found is None:
        pytest.skip("no Chromium: scripts/install_chromium.sh installs it or says how")
    with sync_playwright() as playwright:

        def start(*arguments: str) -> Browser:
            common = ["--no-sandbox", "--disable-gpu"]
            return playwright.chromium.launch(executable_path=found, args=[*common, *arguments])

        yield start


@pytest.fixture(scope="session")
def browser(launch: Launch) -> Iterator[Browser]:
    """Start Chromium."""
    started = launch()
    yield started
    started.close()


class Watch:
    """Collects what a page must not do."""

    def __init__(self, page: Page) -> None:
        self.wrong: list[str] = []
        page.on("pageerror", lambda error: self.wrong.append(f"error: {error}"))
        page.on("console", self.console)
        page.on("dialog", self.dialog)
        page.on("request", self.request)

    def console(self, line: ConsoleMessage) -> None:
        if line.type in ("error", "warning"):
            self.wrong.append(f"console: {line.text}")

    def dialog(self, shown: Dialog) -> None:
        self.wrong.append(f"dialog: {shown.message}")
        shown.dismiss()

    def request(self, asked: Request) -> None:
        if not asked.url.startswith(("file:", "data:")):
            self.wrong.append(f"request: {asked.url}")


@pytest.fixture
def load(browser: Browser, tmp_path: Path) -> Iterator[Load]:
    """Give a function that opens HTML from a file; at the end nothing may have gone wrong."""
    opened = browser.new_page(viewport={"width": 1200, "height": 800})
    watch = Watch(opened)

    def go(text: str) -> Page:
        path = tmp_path / "report.html"
        path.write_text(text, encoding="utf-8")
        opened.goto(path.as_uri())
        return opened

    yield go
    opened.close()
    assert not watch.wrong


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the page."""
    if shutil.which("npm") is None:
        pytest.skip("no npm")
    folder = tmp_path_factory.mktemp("built")
    build = [sys.executable, ROOT / "scripts" / "build_browser.py", folder]
    subprocess.run(build, check=True, env={**os.environ, "PYTHONPATH": str(ROOT)})
    return folder


@pytest.fixture(scope="session")
def isolated(built: Path) -> Iterator[str]:
    """Serve the page with the two headers that threads require."""
    with serving(built / "serve.py", 0) as url:
        yield url


@pytest.fixture
def visit(browser: Browser) -> Iterator[Callable[..., Page]]:
    """Give a function that opens the page; at the end no other address was asked for."""
    contexts, wrong = [], []

    def go(url: str, size: str = "desktop") -> Page:
        width, height = SIZES[size]
        touch = {"has_touch": True, "is_mobile": True} if size == "phone" else {}
        viewport = {"width": width, "height": height}
        contexts.append(browser.new_context(viewport=viewport, **touch))
        page = contexts[-1].new_page()
        page.set_default_timeout(PATIENCE)
        page.on("pageerror", lambda error: wrong.append(f"error: {error}"))
        home = url if url.startswith("http") else url.rpartition("/")[0]
        own = (home, "data:", f"blob:{home}" if home == url else "blob:null/")
        contexts[-1].on("request", lambda one: one.url.startswith(own) or wrong.append(one.url))
        page.goto(url)
        return page

    yield go
    for context in contexts:
        context.close()
    assert not wrong
