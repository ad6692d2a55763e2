"""A headless Chromium, and pages opened in it with an eye on what they ask for and complain of."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Dialog, Page, Request, sync_playwright

Load = Callable[[str], Page]


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Start Chromium."""
    names = ("chromium", "chromium-browser", "google-chrome")
    found = next((path for path in map(shutil.which, names) if path), None)
    if found is None:
        pytest.skip("no Chromium: scripts/install_chromium.sh installs it or says how")
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(
            executable_path=found, args=["--no-sandbox", "--disable-gpu"]
        )
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
