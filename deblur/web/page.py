"""The page's own requests: upload a photo, restore it while telling how far it is, download it."""

import asyncio
import json
import secrets
import zipfile
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from tempfile import TemporaryFile
from typing import Annotated, Any, BinaryIO, Literal, cast, get_args

from fastapi import APIRouter, Form, HTTPException, Query, Request, Response, UploadFile
from fastapi.responses import FileResponse, StreamingResponse
from fastapi.staticfiles import StaticFiles
from pydantic import BaseModel

from deblur.checkpoints.shipped import HINTS
from deblur.web.blending import check_mask
from deblur.web.metrics import Metrics
from deblur.web.photo_store import Choice, Full, PhotoStore, Result, StoredPhoto, Written
from deblur.web.restoration_queue import Job, RestorationQueue
from deblur.web.service import SCALES, read_chunks, refuse

ASSETS = Path(__file__).parent.parent / "assets"
FILES = ASSETS / "web"
EXAMPLES = sorted((ASSETS / "examples").glob("*.[jp][pn]g"))
Ending = Literal["jpg", "png", "tif", "webp", "avif", "heic"]
"""Of the files that the page offers."""
BEAT = 0.3
"""Seconds between two lines about how far a restoration is."""


class Wish(BaseModel):
    """By what a photo is to be restored."""

    model: str
    scale: str = "1"


def make_router(
    queue: RestorationQueue,
    metrics: Metrics,
    store: PhotoStore,
    *,
    place: str,
    megabytes: float,
    megapixels: float,
) -> APIRouter:
    """Make the routes.

    place: where photos are restored, for the page's last line. megabytes, megapixels: of the
    largest photo.
    """
    router = APIRouter(include_in_schema=False)

    def find(key: str) -> StoredPhoto:
        try:
            return store[key]
        except KeyError:
            raise HTTPException(404, "this photo is not kept any more; add it again") from None

    @router.get("/")
    def page() -> FileResponse:
        return FileResponse(FILES / "index.html")

    @router.get("/page/settings")
    def settings() -> dict[str, Any]:
        return {
            "models": [{"name": name, "about": HINTS.get(name, "")} for name in queue.models],
            "examples": [f"/examples/{path.name}" for path in EXAMPLES],
            "endings": get_args(Ending),
            "place": place,
            "megabytes": megabytes,
            "megapixels": megapixels,
        }

    @router.post("/page/photos")
    def upload(file: UploadFile) -> dict[str, Any]:
        try:
            photo = store.add(file.filename or "", file.file, megapixels)
        except Full:
            reason = "no room for more photos here: download and remove some"
            raise HTTPException(507, reason) from None
        except ValueError as error:
            raise refuse(error, metrics) from error
        return {"key": photo.key, "name": photo.name, "size": photo.size}

    @router.post("/page/photos/{key}/results")
    async def restore(key: str, wish: Wish) -> Response:
        photo = find(key)
        if wish.model not in queue.models or wish.scale not in SCALES:
            raise HTTPException(422, "unknown model or scale")
        name = f"{wish.model}@{wish.scale}"

        def work(job: Job[Result]) -> Result:
            with queue.restorer(job, wish.model, SCALES[wish.scale]) as restorer:
                return photo.restore(name, restorer)

        try:
            job = queue.submit(work)
        except Exception as error:
            raise refuse(error, metrics) from error
        lines = report(job, queue, lambda: _tell(job, photo, name, metrics))
        return StreamingResponse(lines, media_type="application/x-ndjson")

    @router.get("/page/photos/{key}/pictures/{name}")
    def show(
        key: str, name: str, box: Annotated[str | None, Query(pattern=r"^\d+(,\d+){3}$")] = None
    ) -> Response:
        photo = find(key)
        left, top, width, height = map(int, box.split(",")) if box else (0, 0, 1, 1)
        right, bottom = photo.size
        if not (left < right and top < bottom and width and height):
            raise HTTPException(422, "a box outside of the photo")
        try:
            content = photo.show(name, (left, top, width, height) if box else None)
        except (KeyError, FileNotFoundError):
            raise HTTPException(404, "no such picture") from None
        return Response(content, media_type="image/jpeg")

    @router.put("/page/photos/{key}/choice", status_code=204)
    async def choose(
        key: str,
        result: Annotated[str, Form()],
        strength: Annotated[float, Form(ge=0, le=1)],
        mask: UploadFile | None = None,
        format: Annotated[Ending | None, Form()] = None,
        quality: Annotated[int | None, Form(ge=1, le=100)] = None,
    ) -> None:
        photo = find(key)
        if result not in photo.results:
            raise HTTPException(422, "no such result")
        path = None
        if mask is not None:
            path = photo.folder / f"mask-{secrets.token_hex(4)}.png"
            with open(path, "wb") as file:
                file.write(await mask.read())
            try:
                check_mask(path)
            except ValueError as error:
                raise refuse(error, metrics) from error
        photo.choice = Choice(result, strength, path, format, quality)

    @router.post("/page/photos/{key}/file")
    def write(key: str) -> dict[str, Any]:
        """Write what is downloaded next: what fails is said on the page, not by the browser."""
        return {"notes": _write(find(key), metrics).notes}

    @router.get("/page/photos/{key}/file")
    def download(key: str) -> FileResponse:
        photo = find(key)
        return FileResponse(_write(photo, metrics).file, filename=photo.file_name)

    @router.get("/page/archive")
    def archive(key: Annotated[list[str], Query()]) -> Response:
        photos = [find(one) for one in dict.fromkeys(key)]
        packed = pack(photos, metrics)
        headers = {
            "Content-Disposition": 'attachment; filename="restored.zip"',
            "Content-Length": str(packed.seek(0, 2)),
        }
        chunks = read_chunks(packed)
        return StreamingResponse(chunks, media_type="application/zip", headers=headers)

    @router.post("/page/discard", status_code=204)
    async def discard(request: Request) -> None:
        for key in (await request.body()).decode(errors="replace").split():
            store.discard(key)

    return router


def mount_files(app: Any) -> None:
    """Let an application serve the page's files and its examples."""
    app.mount("/static", StaticFiles(directory=FILES))
    app.mount("/examples", StaticFiles(directory=ASSETS / "examples"))


async def report(
    job: Job[Any], queue: RestorationQueue, tell: Callable[[], dict[str, Any]]
) -> AsyncIterator[str]:
    """Yield a job's progress and its outcome as lines of JSON.

    Where nobody listens any more, the job is stopped: a tab that is closed ends its work.
    """
    result = asyncio.wrap_future(job.future)
    try:
        while not result.done():
            before = queue.place(job)
            if job.begun:
                yield json.dumps({"done": job.done, "total": job.total}) + "\n"
            else:
                yield json.dumps({"before": before}) + "\n"
            await asyncio.wait({result}, timeout=BEAT)
        yield json.dumps(tell()) + "\n"
    finally:
        job.stop()
        result.add_done_callback(lambda one: one.cancelled() or one.exception())


def _tell(job: Job[Result], photo: StoredPhoto, name: str, metrics: Metrics) -> dict[str, Any]:
    """Return a job's outcome: a result, or a sentence about what failed."""
    error = None if job.future.cancelled() else job.future.exception()
    if job.future.cancelled() or error is not None:
        reason = photo.explain(error) if isinstance(error, Exception) else None
        answer = refuse(
            ValueError(reason) if reason else error or asyncio.CancelledError(), metrics
        )
        return {"failed": answer.detail}
    result = job.future.result()
    metrics.observe(name.rpartition("@")[0], result.seconds, photo.size[0] * photo.size[1])
    return {"result": name, "seconds": round(result.seconds, 1), "notes": result.notes}


def _write(photo: StoredPhoto, metrics: Metrics) -> Written:
    try:
        return photo.write_choice()
    except KeyError:
        raise HTTPException(409, f"{photo.name} is not restored yet") from None
    except Exception as error:
        reason = photo.explain(error)
        raise refuse(ValueError(reason) if reason else error, metrics) from error


def pack(photos: list[StoredPhoto], metrics: Metrics) -> BinaryIO:
    """Pack what was chosen of each photo into one archive; equal names are numbered."""
    packed = cast(BinaryIO, TemporaryFile())
    names: set[str] = set()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_STORED) as archive:
        for photo in photos:
            path, number = Path(photo.file_name), 1
            name = path.name
            while name in names:
                number += 1
                name = f"{path.stem}_{number}{path.suffix}"
            names.add(name)
            archive.write(_write(photo, metrics).file, name)
    return packed
