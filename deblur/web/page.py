"""The page's own requests: upload a photo, restore it while telling how far it is, download it."""

import asyncio
import json
import mimetypes
import os
import shutil
import time
import zipfile
from collections.abc import AsyncIterator
from pathlib import Path
from tempfile import TemporaryFile
from typing import Annotated, Any, BinaryIO, Literal, cast, get_args

from fastapi import APIRouter, Form, HTTPException, Query, Request, Response, UploadFile
from fastapi.responses import FileResponse, StreamingResponse
from fastapi.staticfiles import StaticFiles
from pydantic import BaseModel

from deblur.checkpoints.shipped import HINTS
from deblur.media.picture_kinds import find_media_type
from deblur.web.blending import MASK_BYTES
from deblur.web.metrics import Metrics
from deblur.web.photo_store import Full, PhotoStore
from deblur.web.restoration_queue import Job, RestorationQueue, Stopped
from deblur.web.service import SCALES, refuse, send_file
from deblur.web.stored_photo import Choice, Result, StoredPhoto, Written, is_of_disk

ASSETS = Path(__file__).parent.parent / "assets"
FILES = ASSETS / "web"
EXAMPLES = sorted((ASSETS / "examples").glob("*.[jp][pn]g"))
Ending = Literal["jpg", "png", "tif", "webp", "avif", "heic"]
"""The endings offered for downloads."""
BOX = r"^[0-9]{1,9}(,[0-9]{1,9}){3}$"
"""The pattern of a box: left, top, width and height in pixels."""
BEAT = 0.3
"""The seconds between two lines about how far a restoration is."""


class Wish(BaseModel):
    """The model and scale for a photo."""

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
            raise _gone() from None

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
        except (Full, ValueError, OSError) as error:
            raise refuse(error, metrics) from error
        return {"key": photo.key, "name": photo.name, "size": photo.size}

    @router.post("/page/photos/{key}/results")
    async def restore(key: str, wish: Wish) -> Response:
        photo = find(key)
        if wish.model not in queue.models or wish.scale not in SCALES:
            raise HTTPException(422, "unknown model or scale")
        name = f"{wish.model}@{wish.scale}"

        def work(job: Job[Result]) -> Result:
            store.check_room()
            with queue.restorer(job, wish.model, SCALES[wish.scale]) as restorer:
                return photo.restore(name, restorer)

        try:
            job = queue.submit(work)
        except Exception as error:
            raise refuse(error, metrics) from error
        lines = report(job, queue, photo, name, metrics)
        return StreamingResponse(lines, media_type="application/x-ndjson")

    @router.get("/page/photos/{key}/pictures/{name:path}")
    def show(
        key: str, name: str, box: Annotated[str | None, Query(pattern=BOX)] = None
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
    def choose(
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
        choice = Choice(result, strength, None, format, quality)
        try:
            if mask is None:
                photo.choose(choice)
            else:
                store.check_room()
                photo.choose(choice, mask.file.read(MASK_BYTES + 1))
        except Exception as error:
            raise _refuse(error, photo, metrics) from error

    @router.post("/page/photos/{key}/file")
    def write(key: str) -> dict[str, Any]:
        """Write what is downloaded next, so that the page, not the browser, says what failed."""
        return {"notes": _write(find(key), metrics).notes}

    @router.get("/page/photos/{key}/file")
    def download(key: str) -> Response:
        photo = find(key)
        with photo.lock:
            name, file = photo.file_name, _open(photo, metrics)
        return send_file(file, name, find_media_type(Path(name).suffix[1:]))

    @router.get("/page/archive")
    def archive(key: Annotated[list[str], Query()]) -> Response:
        photos = [find(one) for one in dict.fromkeys(key)]
        return send_file(pack(photos, metrics), "restored.zip", "application/zip")

    @router.post("/page/discard", status_code=204)
    async def discard(request: Request) -> None:
        for key in (await request.body()).decode(errors="replace").split():
            store.discard(key)

    return router


def mount_files(app: Any) -> None:
    """Let an application serve the page's files and its examples."""
    mimetypes.add_type("text/javascript", ".js")  # Windows' registry may say text/plain
    app.mount("/static", StaticFiles(directory=FILES))
    app.mount("/examples", StaticFiles(directory=ASSETS / "examples"))


async def report(
    job: Job[Result], queue: RestorationQueue, photo: StoredPhoto, name: str, metrics: Metrics
) -> AsyncIterator[str]:
    """Yield the progress and the outcome of a photo's restoration as lines of JSON.

    Where nobody listens any more, the job is stopped: a tab that is closed ends its work. name: the
    result's.
    """
    result = asyncio.wrap_future(job.future)
    told = None
    try:
        while not result.done():
            photo.touch()
            before = queue.place(job)
            if job.begun:
                yield json.dumps({"done": job.done, "total": job.total}) + "\n"
            else:
                yield json.dumps({"before": before}) + "\n"
            await asyncio.wait({result}, timeout=BEAT)
        told = json.dumps(_tell(job, photo, name, metrics))
        yield told + "\n"
    finally:
        if told is None:
            metrics.count("stopped")
        job.stop()
        result.add_done_callback(lambda one: one.cancelled() or one.exception())


def _tell(job: Job[Result], photo: StoredPhoto, name: str, metrics: Metrics) -> dict[str, Any]:
    """Return a job's outcome: a result, or a sentence about what failed."""
    error = Stopped() if job.future.cancelled() else job.future.exception()
    if error is not None:
        return {"failed": _refuse(error, photo, metrics).detail}
    result = job.future.result()
    metrics.observe(name.rpartition("@")[0], result.seconds, photo.size[0] * photo.size[1])
    return {"result": name, "seconds": round(result.seconds, 1), "notes": result.notes}


def _write(photo: StoredPhoto, metrics: Metrics) -> Written:
    try:
        return photo.write_choice()
    except KeyError:
        raise HTTPException(409, f"{photo.name} is not restored yet") from None
    except Exception as error:
        raise _refuse(error, photo, metrics) from error


def _open(photo: StoredPhoto, metrics: Metrics) -> BinaryIO:
    """Open what was chosen of a photo; it can be read even if the file is replaced meanwhile."""
    with photo.lock:
        written = _write(photo, metrics)
        try:
            return open(written.file, "rb")
        except OSError as error:
            raise _refuse(error, photo, metrics) from error


def _refuse(error: BaseException, photo: StoredPhoto, metrics: Metrics) -> HTTPException:
    """Return the answer for a photo with which something went wrong, and count it."""
    if photo.discarded:
        metrics.count("stopped")
        return _gone()
    if is_of_disk(error):
        return refuse(error, metrics)
    reason = photo.explain(error) if isinstance(error, Exception) else None
    return refuse(ValueError(reason) if reason else error, metrics)


def _gone() -> HTTPException:
    return HTTPException(404, "this photo is not kept any more; add it again")


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
            with _open(photo, metrics) as file, archive.open(_entry(name, file), "w") as entry:
                shutil.copyfileobj(file, entry)
    return packed


def _entry(name: str, file: BinaryIO) -> zipfile.ZipInfo:
    """Return the head of an archive's entry for an open file."""
    entry = zipfile.ZipInfo(name, time.localtime()[:6])
    entry.external_attr = 0o644 << 16
    entry.file_size = os.fstat(file.fileno()).st_size
    return entry
