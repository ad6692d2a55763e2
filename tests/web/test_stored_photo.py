"""Files of a photo that the page keeps: which are written, which deleted, and when."""

import os
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext, suppress
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from deblur.media.formats.frame import Frame
from deblur.web import stored_photo
from deblur.web.blending import MASK, MASK_BYTES
from deblur.web.photo_store import Full, PhotoStore
from deblur.web.stored_photo import Choice, StoredPhoto

Write = Callable[..., Path]


class Shift:
    """Stands for a restorer: adds to every pixel, and calls a function before each frame."""

    def __init__(self, amount: int, before: Callable[[], Any] = lambda: None) -> None:
        self.amount = np.uint8(amount)
        self.before = before

    def restore_frames(self, frames: Iterable[Frame], harm: Any) -> Iterator[Frame]:
        for frame in frames:
            self.before()
            yield frame._replace(pixels=frame.pixels + self.amount)


@pytest.fixture
def store(tmp_path: Path) -> PhotoStore:
    folder = tmp_path / "kept"
    folder.mkdir()
    return PhotoStore(folder, room=1e6)


@pytest.fixture
def photo(store: PhotoStore, picture: Write, tmp_path: Path) -> StoredPhoto:
    with open(picture(tmp_path / "a.png"), "rb") as file:
        return store.add("a.png", file, 1)


def draw_mask(size: tuple[int, int] = (8, 8), value: int = 128) -> bytes:
    file = BytesIO()
    Image.new("L", size, value).save(file, "PNG")
    return file.getvalue()


def list_files(photo: StoredPhoto) -> list[str]:
    return sorted(path.name for path in photo.folder.iterdir())


def test_a_picture_that_is_shown_is_never_rewritten(photo: StoredPhoto) -> None:
    """It is mapped into memory: a read past the end of a truncated file kills the process."""
    photo.restore("one@1", Shift(9))
    mapped = [photo.folder / "original.npy", *photo.results["one@1"].arrays]
    before = [(path.stat().st_ino, path.stat().st_mtime_ns) for path in mapped]
    photo.restore("two@1", Shift(20))
    photo.restore("one@1", Shift(30))
    assert [(path.stat().st_ino, path.stat().st_mtime_ns) for path in mapped] == before


def test_the_original_is_whole_or_not_there(
    photo: StoredPhoto, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(file: Any, pixels: Any) -> None:
        with open(file, "wb") if isinstance(file, Path) else nullcontext(file) as target:
            target.write(b"half")
        raise OSError("full")

    with monkeypatch.context() as patched:
        patched.setattr(np, "save", fail)
        with pytest.raises(OSError, match="full"):
            photo.restore("one@1", Shift(9))
    assert list_files(photo) == ["source.png"]
    photo.restore("one@1", Shift(9))
    assert photo.show("original")


def test_a_result_outlives_downloads_of_others(photo: StoredPhoto) -> None:
    photo.restore("one@1", Shift(9))
    photo.restore("two@1", Shift(20))
    for choice in (Choice("one@1"), Choice("two@1", 0.5), Choice("one@1"), Choice("two@1")):
        photo.choose(choice)
        assert photo.write_choice().file.exists()
    assert all(result.file.exists() for result in photo.results.values())


def test_the_same_result_is_kept_once(photo: StoredPhoto) -> None:
    first = photo.restore("one@1", Shift(9))
    files = list_files(photo)
    assert photo.restore("one@1", Shift(9)) == first
    assert list_files(photo) == files


def test_a_restoration_that_fails_leaves_nothing(store: PhotoStore) -> None:
    frames = [Image.new("RGB", (20, 10), (value, 0, 0)) for value in (0, 50, 90)]
    file, calls = BytesIO(), iter((None, None, OSError("no more")))
    frames[0].save(file, "PNG", save_all=True, append_images=frames[1:])
    file.seek(0)
    photo = store.add("a.png", file, 1)

    def fail_at_last() -> None:
        if error := next(calls):
            raise error

    with pytest.raises(OSError, match="no more"):
        photo.restore("one@1", Shift(9, fail_at_last))
    assert list_files(photo) == ["original.npy", "source.png"] and not photo.results


def test_one_mask_is_kept_and_bad_ones_are_not(photo: StoredPhoto) -> None:
    photo.restore("one@1", Shift(9))
    files = list_files(photo)
    good = draw_mask()
    for bad in (b"Dear Sir", good[:-30], draw_mask((MASK + 1, 1)), good + bytes(MASK_BYTES)):
        with pytest.raises(ValueError, match="mask"):
            photo.choose(Choice("one@1"), bad)
    assert list_files(photo) == files and photo.choice is None
    for value in (0, 100, 200):
        photo.choose(Choice("one@1"), draw_mask(value=value))
        photo.write_choice()
        assert len(list_files(photo)) == len(files) + 2  # the mask, and the blend
    photo.choose(Choice("one@1"))
    assert len(list_files(photo)) == len(files) + 1


def test_a_choice_is_written_once_for_many(
    photo: StoredPhoto, monkeypatch: pytest.MonkeyPatch
) -> None:
    photo.restore("one@1", Shift(9))
    photo.choose(Choice("one@1", 0.5))
    together, blend = threading.Barrier(2), stored_photo.blend

    def wait_and_blend(*arguments: Any) -> Any:
        with suppress(threading.BrokenBarrierError):  # nobody else is blending
            together.wait(0.5)
        return blend(*arguments)

    monkeypatch.setattr(stored_photo, "blend", wait_and_blend)
    with ThreadPoolExecutor(2) as pool:
        one, other = (pool.submit(photo.write_choice) for _ in range(2))
    assert one.result() == other.result() and one.result().file.exists()


def test_what_is_discarded_while_it_is_restored_leaves_nothing(
    store: PhotoStore, photo: StoredPhoto
) -> None:
    def discard() -> None:
        store.discard(photo.key)
        photo.folder.mkdir(exist_ok=True)  # as where a file was written meanwhile

    with pytest.raises(FileNotFoundError):
        photo.restore("one@1", Shift(9, discard))
    assert not [*store.folder.iterdir()]


def test_results_count_for_the_room(store: PhotoStore, photo: StoredPhoto) -> None:
    store.check_room()
    store.room = 12_000
    photo.restore("one@1", Shift(9))
    with pytest.raises(Full, match="no room"):
        store.check_room()


def test_files_may_vanish_while_the_room_is_measured(
    store: PhotoStore, photo: StoredPhoto, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As parts of files do, and photos that others discard."""
    walk = os.walk

    def walk_and_discard(folder: Path) -> Iterator[Any]:
        for found in walk(folder):
            if found[2]:
                store.discard(photo.key)
            yield found

    monkeypatch.setattr(os, "walk", walk_and_discard)
    store.check_room()
    assert not len(store)


@pytest.mark.parametrize("box", [None, (0, 0, 40, 40)])
def test_what_is_hidden_is_shown_white_and_does_not_count(
    store: PhotoStore, tmp_path: Path, box: tuple[int, int, int, int] | None
) -> None:
    pixels = np.random.default_rng(0).integers(0, 100, (40, 80, 4), np.uint8)
    pixels[..., 3] = np.where(np.arange(80) < 40, 0, 255)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    with open(tmp_path / "a.png", "rb") as file:
        photo = store.add("a.png", file, 1)
    restorer: Any = Shift(10)
    photo.restore("tiny@1", restorer)
    for key in ("original", "tiny@1"):
        shown = np.asarray(Image.open(BytesIO(photo.show(key, box))).convert("L"))
        assert shown[:, :32].min() > 240 and (box or shown[:, 48:].mean() < 100)
    frame = Frame(pixels[..., :3], pixels[..., 3])
    half = np.where(pixels[..., 3:] > 0, pixels[..., :3] + np.uint8(10), pixels[..., :3])
    assert stored_photo.measure_change(frame, half) == pytest.approx(10 / 255)
