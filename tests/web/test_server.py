"""What the server does beside its requests."""

import asyncio
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from deblur.web import server
from deblur.web.photo_store import PhotoStore


class Queue:
    """Notes what it is told."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def refuse(self) -> None:
        self.told.append("refuse")

    def halt(self) -> None:
        self.told.append("halt")


async def wait_until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not condition():
            await asyncio.sleep(0.01)


def test_old_photos_go_without_a_new_one(
    picture: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "SWEEP", 0.01)
    (tmp_path / "kept").mkdir()
    store = PhotoStore(tmp_path / "kept", room=1e9)
    with open(picture(tmp_path / "a.png"), "rb") as file:
        old, new = (store.add("a.png", file, 1) for _ in range(2) if file.seek(0) == 0)
    old.used = time.monotonic() - 4000
    running: Any = SimpleNamespace(should_exit=False)
    queue: Any = Queue()

    async def live() -> None:
        async with server._watching(running, queue, store, 0)(None):
            await wait_until(lambda: not old.folder.exists())
            running.should_exit = True
            await wait_until(lambda: bool(queue.told))

    asyncio.run(live())
    assert new.folder.exists() and queue.told == ["halt"]
