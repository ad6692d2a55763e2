"""The HTTP interface of `deblur serve`: a photo in, the restored photo out."""

import asyncio
import json
import logging
import shutil
import time
from base64 import b64encode
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory, TemporaryFile
from typing import Annotated, Any, BinaryIO, Literal, NamedTuple, TypeVar, cast
from urllib.parse import quote

from fastapi import APIRouter, Form, HTTPException, Request, Response, UploadFile
from fastapi.responses import JSONResponse, StreamingResponse
from pydantic import BaseModel, Field

from deblur.checkpoints.shipped import HINTS
from deblur.media.photo import FORMATS
from deblur.media.picture_kinds import ENDINGS, find_media_type
from deblur.restoration.scale import Scale
from deblur.web.metrics import Metrics
from deblur.web.photo_store import Full, check_photo, clean_ending, clean_name, name_by_content
from deblur.web.restoration_queue import Closing, Job, QueueFull, RestorationQueue, Stopped
from deblur.web.stored_photo import is_of_disk

T = TypeVar("T")
log = logging.getLogger(__name__)
SCALES: dict[str, Scale] = {"auto": "auto", "1": 1, "2": 2, "4": 4}
KINDS = {
    *(name.lower() for name in FORMATS),
    *(ending[1:] for endings in ENDINGS.values() for ending in endings),
}
"""The names by which a format may be requested."""
FIELDS = ("file", "model", "strength", "scale", "format", "quality")
"""The fields of a request."""
GONE = 499
"""nginx' status for a client that has not waited; nobody receives it."""
CHUNK = 1 << 20


class Model(BaseModel):
    """A model that this server has."""

    name: str
    about: str = Field(description="what it is good for, if that is known")
    default: bool


class Restoration(BaseModel):
    """A restored photo, for clients that ask for application/json."""

    name: str
    media_type: str
    model: str
    width: int
    height: int
    seconds: float
    notes: list[str] = Field(description="what could not be kept as it was, or was not restored")
    data: str = Field(description="the file, in base64")


class Order(NamedTuple):
    """What is asked of a photo."""

    model: str
    strength: float
    scale: Scale
    format: str | None
    quality: int | None


class Restored(NamedTuple):
    """A restored file, and what there is to say about it."""

    file: BinaryIO
    ending: str
    media_type: str
    size: tuple[int, int]
    seconds: float
    notes: list[str]


def make_router(
    queue: RestorationQueue, metrics: Metrics, *, folder: Path, megapixels: float, seconds: float
) -> APIRouter:
    """Make the routes.

    folder: for what is written meanwhile. megapixels: of the largest photo. seconds: in which an
    answer is ready or given up.
    """
    router = APIRouter()
    names = [*queue.models]

    @router.get("/v1/models", summary="List the models")
    def models() -> list[Model]:
        return [
            Model(name=name, about=HINTS.get(name, ""), default=name == names[0]) for name in names
        ]

    @router.get("/healthz", summary="Health check", response_class=Response)
    def health() -> Response:
        return Response("ok\n", media_type="text/plain")

    @router.get("/metrics", summary="Counters for Prometheus", response_class=Response)
    def measured() -> Response:
        return Response(metrics.write(), media_type="text/plain; version=0.0.4; charset=utf-8")

    @router.post(
        "/v1/restore",
        summary="Restore a photo",
        responses={
            200: {
                "description": "The restored file with all its metadata, or JSON where the client "
                "accepts only application/json.",
                "content": {"application/octet-stream": {}},
                "model": Restoration,
            },
            408: {"description": "The upload took too long."},
            413: {"description": "The upload is too large."},
            422: {"description": "No readable picture, too many pixels, or a wrong field."},
            429: {"description": "Too many photos are waiting; Retry-After says how long to wait."},
            503: {
                "description": "The server is shutting down, or the photo was not restored in time."
            },
        },
    )
    async def restore(
        request: Request,
        file: Annotated[UploadFile, Form(description="the photo")],
        model: Annotated[str, Form(description="a name of /v1/models")] = names[0],
        strength: Annotated[float, Form(ge=0, le=1, description="share of the change")] = 1.0,
        scale: Annotated[
            Literal["auto", "1", "2", "4"],
            Form(description="restore at a fraction of the size, for blur of over 30 pixels"),
        ] = "1",
        format: Annotated[
            str | None, Form(description=f"{', '.join(FORMATS).lower()}; default: the photo's own")
        ] = None,
        quality: Annotated[int | None, Form(ge=1, le=100, description="of JPEG, WebP ...")] = None,
    ) -> Response:
        if unknown := {*await request.form()}.difference(FIELDS):
            raise HTTPException(422, f"no field {min(unknown)!r}, expected {', '.join(FIELDS)}")
        if model not in queue.models:
            raise HTTPException(422, f"model {model!r}, expected one of {', '.join(names)}")
        if format and format.lower() not in KINDS:
            raise HTTPException(422, f"format {format!r}, expected one of {', '.join(FORMATS)}")
        order = Order(model, strength, SCALES[scale], format or None, quality)
        name = clean_name(file.filename or "")

        def work(job: Job[Restored]) -> Restored:
            with TemporaryDirectory(dir=folder) as place:
                source = Path(place) / f"source{clean_ending(name)}"
                with open(source, "wb") as written:
                    shutil.copyfileobj(file.file, written)
                try:
                    return restore_upload(queue, job, source, order, megapixels)
                except (ValueError, OSError) as error:
                    if is_of_disk(error):
                        raise
                    raise ValueError(str(error).replace(str(source), name)) from error

        done = await finish(request, queue, metrics, work, seconds)
        metrics.observe(model, done.seconds, done.size[0] * done.size[1])
        called = f"{Path(name).stem}_restored.{done.ending}"
        if request.headers.get("accept") == "application/json":
            return JSONResponse(_describe(done, called, model))
        answer = send_file(done.file, called, done.media_type)
        answer.headers["Deblur-Notes"] = json.dumps(done.notes)
        return answer

    return router


def restore_upload(
    queue: RestorationQueue, job: Job[Restored], source: Path, order: Order, megapixels: float
) -> Restored:
    """Restore a file, in the queue's thread; raises ValueError and OSError with the reason."""
    start = time.monotonic()
    photo = check_photo(source, megapixels)
    target = cast(BinaryIO, TemporaryFile())
    try:
        with queue.restorer(job, order.model, order.scale) as restorer:
            notes = restorer.restore_file(
                source,
                target,
                format=order.format,
                quality=order.quality,
                strength=order.strength,
            )
    except BaseException:
        target.close()
        raise
    ending = order.format or name_by_content(source.name, photo.format).rpartition(".")[2]
    seconds = time.monotonic() - start
    return Restored(target, ending, find_media_type(ending), photo.size, seconds, notes)


def _describe(done: Restored, name: str, model: str) -> dict[str, Any]:
    with done.file as file:
        file.seek(0)
        data = b64encode(file.read()).decode()
    width, height = done.size
    told = Restoration(
        name=name,
        media_type=done.media_type,
        model=model,
        width=width,
        height=height,
        seconds=round(done.seconds, 3),
        notes=done.notes,
        data=data,
    )
    return told.model_dump()


def send_file(file: BinaryIO, name: str, media_type: str) -> StreamingResponse:
    """Return an answer that sends an open file as a download, and closes it."""
    headers = {
        "Content-Disposition": f"attachment; filename*=utf-8''{quote(name)}",
        "Content-Length": str(file.seek(0, 2)),
    }
    return StreamingResponse(_read_chunks(file), media_type=media_type, headers=headers)


def _read_chunks(file: BinaryIO) -> Iterator[bytes]:
    """Read a file from its start, and close it."""
    with file:
        file.seek(0)
        while chunk := file.read(CHUNK):
            yield chunk


async def finish(
    request: Request,
    queue: RestorationQueue,
    metrics: Metrics,
    work: Callable[[Job[T]], T],
    seconds: float,
) -> T:
    """Do work in the queue; stop it where the client goes away, or it takes too long.

    Raises HTTPException with the answer for a client whose work was not done.
    """
    try:
        job = queue.submit(work)
    except (QueueFull, Closing) as error:
        raise refuse(error, metrics) from error
    left = asyncio.create_task(wait_until_gone(request))
    result = asyncio.wrap_future(job.future)
    try:
        either: set[asyncio.Future[Any]] = {left, result}
        await asyncio.wait(either, timeout=seconds, return_when="FIRST_COMPLETED")
        if not result.done() and not left.done():
            metrics.count("late")
            raise HTTPException(503, f"not done in {seconds:g} seconds", {"Retry-After": "60"})
        ended = result.done() and not result.cancelled()
        failure = result.exception() if ended else Stopped()
        if isinstance(failure, Stopped) and queue.closed and not left.done():
            failure = Closing()
        if failure is not None:
            raise refuse(failure, metrics) from failure
        return result.result()
    finally:
        left.cancel()
        job.stop()
        result.add_done_callback(lambda one: one.cancelled() or one.exception())


async def wait_until_gone(request: Request) -> None:
    """Wait until the client has closed the connection."""
    while (await request.receive())["type"] != "http.disconnect":
        pass


def refuse(error: BaseException, metrics: Metrics) -> HTTPException:
    """Return the answer for a photo that was not restored, and count it."""
    if isinstance(error, QueueFull):
        metrics.count("busy")
        return HTTPException(429, str(error), {"Retry-After": str(error.seconds)})
    if isinstance(error, Full):
        metrics.count("full")
        return HTTPException(507, str(error))
    if isinstance(error, Closing):
        metrics.count("closing")
        return HTTPException(503, "the server is about to end", {"Retry-After": "10"})
    if isinstance(error, Stopped):
        metrics.count("stopped")
        return HTTPException(GONE, "stopped")
    if isinstance(error, ValueError):
        metrics.count("bad")
        return HTTPException(422, str(error))
    metrics.count("failed")
    log.error("a photo could not be restored", exc_info=error)
    if isinstance(error, OSError) and error.strerror:
        return HTTPException(500, f"the server: {error.strerror}")
    return HTTPException(500, "something went wrong; the server's log says what")
