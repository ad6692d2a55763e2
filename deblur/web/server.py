"""The server of `deblur web` and `deblur serve`: the page and the HTTP interface in one program."""

import asyncio
import os
import socket
import webbrowser
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from deblur.extras import check_versions, install_command
from deblur.web.restoration_queue import RestorationQueue

if TYPE_CHECKING:
    from fastapi import FastAPI
    from uvicorn import Server

    from deblur.web.photo_store import PhotoStore

Lifespan = Callable[[object], AbstractAsyncContextManager[None]]
LOOPBACK = ("127.0.0.1", "localhost", "::1")
SWEEP = 60
"""The seconds between two searches for photos that are old."""
CONNECTIONS = 200
"""The most connections at a time; each may hold an upload on the disk."""


@dataclass(frozen=True)
class Limits:
    """What the server takes, and for how long."""

    megapixels: float = 50
    """The largest photo, all frames counted."""
    megabytes: float = 60
    """The largest upload."""
    seconds: float = 600
    """The time in which an upload must arrive, and in which it must be answered."""
    waiting: int = 8
    """The number of photos that may wait while another is restored."""
    room: float = 8e9
    """The bytes of disk for the page's photos."""


def build_app(
    queue: RestorationQueue,
    folder: Path,
    limits: Limits,
    *,
    token: str | None = None,
    hosts: Sequence[str] = (),
    place: str = "this computer",
) -> "FastAPI":
    """Build the application.

    Args:
        queue: Restores the photos.
        folder: The folder for uploads and results.
        limits: What is accepted, and for how long.
        token: What clients must send; None lets everybody in.
        hosts: Names by which the server is called, beside its addresses and its computer's name.
        place: Where photos are restored, for the page's last line.
    """
    from fastapi import FastAPI, Request
    from fastapi.exceptions import RequestValidationError
    from fastapi.responses import FileResponse, JSONResponse

    import deblur
    from deblur.web import page, service
    from deblur.web.access import Access
    from deblur.web.metrics import Metrics
    from deblur.web.photo_store import PhotoStore

    metrics = Metrics(queue)
    about = "Remove motion blur from photographs. See docs/serving.md for examples."
    app = FastAPI(
        title="deblur", version=deblur.__version__, description=about, docs_url=None, redoc_url=None
    )
    app.add_middleware(
        Access, hosts=hosts, token=token, megabytes=limits.megabytes, seconds=limits.seconds
    )
    sizes = {"megapixels": limits.megapixels}
    app.include_router(
        service.make_router(queue, metrics, folder=folder, seconds=limits.seconds, **sizes)
    )
    app.state.store = store = PhotoStore(folder, room=limits.room)
    app.include_router(
        page.make_router(queue, metrics, store, place=place, megabytes=limits.megabytes, **sizes)
    )
    page.mount_files(app)

    @app.get("/docs", include_in_schema=False)
    def docs() -> FileResponse:
        """Return a page of our own: FastAPI's loads its scripts from other computers."""
        return FileResponse(page.FILES / "docs.html")

    @app.exception_handler(RequestValidationError)
    def explain(_: Request, error: RequestValidationError) -> JSONResponse:
        """Name the wrong fields, but not their values: JSON cannot hold all that was sent."""
        told = [{key: one[key] for key in ("type", "loc", "msg")} for one in error.errors()]
        return JSONResponse({"detail": told}, 422)

    return app


def serve(
    models: Sequence[str],
    *,
    host: str = "127.0.0.1",
    port: int = 7860,
    limits: Limits = Limits(),
    token: str | None = None,
    hosts: Sequence[str] = (),
    grace: float = 0,
    browse: bool = False,
) -> None:
    """Serve until a signal ends it; its temporary files go with it.

    Args:
        models: See `RestorationQueue`.
        host: The address to serve at.
        port: Its port; 0 is any that is free.
        limits: What is accepted, and for how long.
        token: See `build_app`; required for other addresses than this computer's own.
        hosts: See `build_app`.
        grace: The seconds in which what was begun may end.
        browse: Open the page in the browser.

    Raises:
        FileNotFoundError: There is no such model.
        ImportError: A package of the extra is missing, or its version is out of range.
        ValueError: A token is required, or a file holds no model.
        OSError: The address or the port cannot be used.
    """
    if host not in LOOPBACK and not token:
        raise ValueError(
            f"--host {host} lets others in: --token SECRET or --password SECRET is required "
            "(or the environment variable DEBLUR_TOKEN)"
        )
    try:
        import fastapi  # noqa: F401
        import prometheus_client  # noqa: F401
        import python_multipart  # noqa: F401
        import uvicorn

        from deblur.web.head_timeout import HeadTimeout
    except ImportError as error:
        raise ImportError(f"the server requires {error.name}: {install_command('web')}") from error
    check_versions("web")
    queue = RestorationQueue(models, most=limits.waiting)
    place = "this computer" if host in LOOPBACK else "the computer that serves this page"
    with (
        _bind(host, port) as bound,
        TemporaryDirectory(prefix="deblur-web-", ignore_cleanup_errors=True) as folder,
    ):
        app = build_app(queue, Path(folder), limits, token=token, hosts=(host, *hosts), place=place)
        server = uvicorn.Server(
            uvicorn.Config(
                app,
                http=HeadTimeout,
                log_level="warning",
                server_header=False,
                limit_concurrency=CONNECTIONS,
                timeout_graceful_shutdown=max(1, round(grace)),
            )
        )
        app.router.lifespan_context = _watching(server, queue, app.state.store, grace)
        url = _url(host, bound)
        print(f"{url} (Ctrl-C ends it)", flush=True)
        if browse:
            webbrowser.open(url)
        try:
            server.run(sockets=[bound])
        finally:
            queue.close()


def _bind(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    bound = socket.socket(family)
    try:
        if os.name == "posix":  # on Windows two servers could take one port
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind((host, port))
        bound.listen(CONNECTIONS)
    except OSError as error:
        bound.close()
        raise OSError(
            f"cannot serve at {host}, port {port}: it is taken (--port), or no address of this "
            "computer (--host)"
        ) from error
    return bound


def _url(host: str, bound: socket.socket) -> str:
    name = socket.gethostname() if host in ("0.0.0.0", "::") else host
    return f"http://{f'[{name}]' if ':' in name else name}:{bound.getsockname()[1]}/"


def _watching(
    server: "Server", queue: RestorationQueue, store: "PhotoStore", grace: float
) -> Lifespan:
    """Discard old photos, and tell the queue when the server is asked to end.

    The queue must hear of it while connections are open.
    """

    async def sweep() -> None:
        while True:
            await asyncio.sleep(SWEEP)
            await asyncio.to_thread(store.discard_old)

    async def watch() -> None:
        while not server.should_exit:
            await asyncio.sleep(0.1)
        if grace:
            queue.refuse()
        else:
            queue.halt()

    @asynccontextmanager
    async def lifespan(_: object) -> AsyncIterator[None]:
        tasks = [asyncio.create_task(watch()), asyncio.create_task(sweep())]
        yield
        for task in tasks:
            task.cancel()

    return lifespan
