"""The queue of restorations, and the photos that the page keeps."""

import threading
import time
from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from model_samples import save_model
from PIL import Image

from deblur.restoration.scale import Scale
from deblur.web import stored_photo
from deblur.web.photo_store import Full, PhotoStore, clean_name
from deblur.web.restoration_queue import Closing, Job, QueueFull, RestorationQueue, Stopped
from deblur.web.stored_photo import UNCHANGED, Choice, StoredPhoto

Write = Callable[..., Path]


@pytest.fixture
def queue(tmp_path: Path) -> Iterator[RestorationQueue]:
    made = RestorationQueue([str(save_model(tmp_path / "models" / "tiny.safetensors"))], most=1)
    yield made
    made.close()


@pytest.fixture
def store(tmp_path: Path) -> PhotoStore:
    folder = tmp_path / "kept"
    folder.mkdir()
    return PhotoStore(folder, room=1e9)


def keep(store: PhotoStore, path: Path, megapixels: float = 1) -> StoredPhoto:
    with open(path, "rb") as file:
        return store.add(path.name, file, megapixels)


def restore(queue: RestorationQueue, photo: StoredPhoto, scale: Scale = 1) -> None:
    def work(job: Job[None]) -> None:
        with queue.restorer(job, "tiny", scale) as restorer:
            photo.restore("tiny@1", restorer)

    queue.submit(work).future.result(60)


def test_the_pixels_of_all_pages_count(store: PhotoStore, tmp_path: Path) -> None:
    pages = [Image.new("L", (8, 8)), Image.new("L", (1200, 1000))]
    pages[0].save(tmp_path / "a.tif", save_all=True, append_images=pages[1:])
    with pytest.raises(ValueError, match=r"a.tif: 1\.2 megapixels, at most 1 are taken"):
        keep(store, tmp_path / "a.tif")
    assert keep(store, tmp_path / "a.tif", 1.21).size == (8, 8)


def test_few_wait_and_the_rest_is_refused(queue: RestorationQueue) -> None:
    go, order = threading.Event(), list[int]()
    jobs = [
        queue.submit(lambda _, place=place: (go.wait(60), order.append(place))) for place in (0, 1)
    ]
    with pytest.raises(QueueFull) as full:
        queue.submit(lambda _: None)
    assert 1 <= full.value.seconds <= 60
    assert [queue.place(job) for job in jobs] == [0, 1] and queue.waiting == 1
    go.set()
    for job in jobs:
        job.future.result(60)
    assert order == [0, 1] and queue.waiting == 0


def test_work_is_stopped_while_it_waits_and_between_layers(
    queue: RestorationQueue, store: PhotoStore, picture: Write, tmp_path: Path
) -> None:
    photo = keep(store, picture(tmp_path / "a.png"))
    begun = threading.Event()

    def work(job: Job[None]) -> None:
        with queue.restorer(job, "tiny", 1) as restorer:
            begun.set()
            while True:
                restorer.restore(np.zeros((16, 16, 3), np.uint8))

    running = queue.submit(work)
    waiting = queue.submit(lambda _: None)
    waiting.stop()
    assert waiting.future.cancelled() and queue.waiting == 0
    assert begun.wait(60)
    running.stop()
    assert isinstance(running.future.exception(60), Stopped)
    restore(queue, photo)  # the next one is not stopped
    assert photo.results


def test_tiles_are_counted(queue: RestorationQueue) -> None:
    seen = []

    def work(job: Job[None]) -> None:
        with queue.restorer(job, "tiny", 1) as restorer:
            restorer.tiles.tile = 64
            restorer.restore(np.zeros((100, 200, 3), np.uint8))
            seen.append((job.done, job.total))
            restorer.tiles.tile = None

    queue.submit(work).future.result(60)
    ((done, total),) = seen
    assert done == total > 1


def test_the_model_for_noisy_photos_is_watched_and_stopped_too() -> None:
    queue = RestorationQueue(["auto", "small"], most=1)
    assert [*queue.models] == ["auto", "small"]
    noisy = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    seen = []

    def work(job: Job[None]) -> None:
        with queue.restorer(job, "auto", 1) as restorer:
            restorer.restore(noisy)
            seen.append(job.total)
            job.stop()
            restorer.restore(noisy)

    job = queue.submit(work)
    assert isinstance(job.future.exception(300), Stopped) and seen == [1]
    queue.close()


def test_a_closed_queue_begins_nothing(queue: RestorationQueue) -> None:
    begun, go = threading.Event(), threading.Event()
    first = queue.submit(lambda _: begun.set() or go.wait(60))
    second = queue.submit(lambda _: None)
    assert begun.wait(60)
    queue.refuse()
    go.set()
    assert first.future.result(60) and isinstance(second.future.exception(60), Closing)
    with pytest.raises(Closing):
        queue.submit(lambda _: None)


def test_models_are_named_by_their_stems_where_those_differ(tmp_path: Path) -> None:
    paths = [str(save_model(tmp_path / name / "tiny.safetensors")) for name in "ab"]
    for models, names in ((paths[:1], ["tiny"]), (paths, paths)):
        queue = RestorationQueue(models, most=1)
        assert [*queue.models] == names
        queue.close()
    with pytest.raises(FileNotFoundError, match="nowhere"):
        RestorationQueue(["nowhere.ckpt"], most=1)
    (tmp_path / "a.safetensors").write_bytes(b"no model")
    with pytest.raises(ValueError, match="a.safetensors"):
        RestorationQueue([str(tmp_path / "a.safetensors")], most=1)


def test_what_is_downloaded_is_blended_exactly(
    queue: RestorationQueue, store: PhotoStore, tmp_path: Path
) -> None:
    """16 bits stay; the network is not asked again."""
    deep = np.linspace(0, 65535, 48 * 40, dtype=np.uint16).reshape(40, 48)
    Image.fromarray(deep).save(tmp_path / "deep.png")
    photo = keep(store, tmp_path / "deep.png")
    with pytest.raises(KeyError):
        photo.write_choice()
    restore(queue, photo)
    whole = np.asarray(Image.open(photo.results["tiny@1"].file)).astype(float)
    photo.choice = Choice("tiny@1")
    assert photo.write_choice().file == photo.results["tiny@1"].file
    photo.choice = Choice("tiny@1", 0.25)
    part = np.asarray(Image.open(photo.write_choice().file)).astype(float)
    np.testing.assert_allclose(part, deep + (whole - deep) * 0.25, atol=0.51)
    mask = photo.folder / "mask.png"
    Image.fromarray(np.uint8([[0, 0, 255, 255]])).resize((48, 40), 0).save(mask)
    photo.choice = Choice("tiny@1", 1, mask)
    part = np.asarray(Image.open(photo.write_choice().file))
    np.testing.assert_array_equal(part[:, :24], deep[:, :24])
    np.testing.assert_array_equal(part[:, 24:], whole[:, 24:])
    assert (part != deep).any()
    assert photo.write_choice() is photo.write_choice()
    photo.choice = Choice("tiny@1", 1, None, "jpg", 10)
    small, notes = photo.write_choice()[1:]
    assert photo.file_name == "deep_restored.jpg" and any("16" in note for note in notes)
    photo.choice = Choice("tiny@1", 1, None, "jpg", 95)
    with Image.open(photo.write_choice().file) as image:
        assert (image.format, image.size) == ("JPEG", (48, 40))
    assert not small.exists() and photo.results["tiny@1"].file.exists()


def test_pictures_are_shown_small_or_in_part(
    queue: RestorationQueue,
    store: PhotoStore,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(stored_photo, "PREVIEW", 40)
    rng = np.random.default_rng(0)
    for name, shape, top in (
        ("colour", (60, 80, 3), 255),
        ("grey", (60, 80), 255),
        ("clear", (60, 80, 4), 255),
        ("deep", (60, 80), 65535),
    ):
        path = tmp_path / f"{name}.png"
        kind = np.uint8 if top == 255 else np.uint16
        Image.fromarray(rng.integers(0, top, shape, kind)).save(path)
        photo = keep(store, path)
        restore(queue, photo)
        shown = [photo.show(key) for key in ("original", "tiny@1")]
        assert shown[0] != shown[1]
        for jpeg in shown:
            with Image.open(BytesIO(jpeg)) as image:
                assert (image.format, image.size) == ("JPEG", (40, 30))
        with Image.open(BytesIO(photo.show("tiny@1", (60, 10, 100, 30)))) as image:
            assert image.size == (20, 30)
        with pytest.raises(KeyError):
            photo.show("gan@1")


def test_a_photo_that_hardly_changes_is_told(
    queue: RestorationQueue, store: PhotoStore, picture: Write, tmp_path: Path
) -> None:
    Image.new("RGB", (64, 64), (90, 120, 40)).save(tmp_path / "flat.png")
    flat, busy = keep(store, tmp_path / "flat.png"), keep(store, picture(tmp_path / "a.png"))
    for photo in (flat, busy):
        restore(queue, photo)
    assert flat.results["tiny@1"].notes == [UNCHANGED]
    assert busy.results["tiny@1"].notes == []


def test_what_is_no_photo_leaves_nothing(store: PhotoStore, picture: Write, tmp_path: Path) -> None:
    (tmp_path / "letter.jpg").write_text("Dear Sir")
    with pytest.raises(ValueError, match="^letter.jpg"):
        keep(store, tmp_path / "letter.jpg")
    with pytest.raises(ValueError, match="^a.png"):
        keep(store, picture(tmp_path / "a.png"), 0.001)
    assert not [*store.folder.iterdir()] and not len(store)


def test_photos_are_discarded(store: PhotoStore, picture: Write, tmp_path: Path) -> None:
    path = picture(tmp_path / "a.png")
    old, new = keep(store, path), keep(store, path)
    old.used = time.monotonic() - 4000
    store.discard_old()
    assert store[new.key] is new and len(store) == 1
    with pytest.raises(KeyError):
        store[old.key]
    for _ in range(2):
        store.discard(new.key)
    assert not [*store.folder.iterdir()]


def test_the_disk_is_not_filled(picture: Write, tmp_path: Path) -> None:
    store = PhotoStore(tmp_path / "kept", room=10)
    store.folder.mkdir()
    keep(store, picture(tmp_path / "a.png"))
    with pytest.raises(Full):
        keep(store, tmp_path / "a.png")


@pytest.mark.parametrize(
    ("name", "clean"),
    [
        ("# Paris *x*.jpg", "# Paris _x_.jpg"),
        ("../../etc/passwd", "passwd"),
        ("C:\\photos\\a.jpg", "a.jpg"),
        ("..", "photo"),
        ("a\r\nb<i>.jpg", "a__b_i_.jpg"),
        ("x" * 300 + ".jpg", "x" * 196 + ".jpg"),
        ("\ud800.jpg", "_.jpg"),
    ],
)
def test_names_are_only_names(name: str, clean: str) -> None:
    assert clean_name(name) == clean
