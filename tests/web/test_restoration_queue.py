from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from conftest import fill
from PIL import Image

from deblur.checkpoints import save_generator
from deblur.networks import ResNet
from deblur.web import restoration_queue
from deblur.web.restoration_queue import RestorationQueue, Stopped, explain

Write = Callable[..., Path]


@pytest.fixture
def model(tmp_path: Path) -> str:
    path = tmp_path / "models" / "tiny.safetensors"
    path.parent.mkdir()
    config = {"_target_": "deblur.networks.ResNet", "blocks": 1, "width": 4}
    save_generator(path, fill(ResNet(blocks=1, width=4)), config, {})
    return str(path)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "results"
    path.mkdir()
    return path


def ignore(done: int) -> None:
    pass


def test_a_photo_is_restored_and_shown_small(
    model: str, picture: Write, tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(restoration_queue, "PREVIEW", 40)
    queue = RestorationQueue([model], megapixels=1)
    source = picture(tmp_path / "a.b.png", (80, 60))
    developed = queue.restore(source, folder, "tiny", 1.0, ignore)
    assert developed.file == folder / "a.b_restored.png"
    assert developed.said[0].startswith("a.b.png: 80 × 60 pixels, restored in ")
    with Image.open(source) as blurred, Image.open(developed.file) as restored:
        assert restored.size == (80, 60)
        assert (np.asarray(restored) != np.asarray(blurred)).any()
    for preview in (developed.before, developed.after):
        with Image.open(preview) as image:
            assert (image.format, image.size) == ("JPEG", (40, 30))
    assert developed.before.read_bytes() != developed.after.read_bytes()


def test_the_strength_is_each_photos_own(
    model: str, picture: Write, tmp_path: Path, folder: Path
) -> None:
    queue = RestorationQueue([model], megapixels=1)
    source = picture(tmp_path / "a.png")
    results = []
    for strength in (1.0, 0.0, 1.0):
        target = folder / f"{len(results)}"
        target.mkdir()
        file = queue.restore(source, target, "tiny", strength, ignore).file
        results.append(np.asarray(Image.open(file)))
    np.testing.assert_array_equal(results[1], np.asarray(Image.open(source)))
    np.testing.assert_array_equal(results[0], results[2])
    assert (results[0] != results[1]).any()


def test_work_can_be_ended_and_goes_on_with_the_next(
    model: str, picture: Write, tmp_path: Path, folder: Path
) -> None:
    queue = RestorationQueue([model], megapixels=1)
    source = picture(tmp_path / "a.png")
    seen = []

    def stop(done: int) -> None:
        seen.append(done)
        if len(seen) > 5:
            raise Stopped

    with pytest.raises(Stopped):
        queue.restore(source, folder, "tiny", 1.0, stop)
    assert [*folder.iterdir()] == []
    queue.restore(source, folder, "tiny", 1.0, ignore).file.unlink()
    assert len(seen) == 6
    queue.close()
    with pytest.raises(Stopped):
        queue.restore(source, folder, "tiny", 1.0, ignore)


def test_previews_of_grey_transparent_and_deep_pictures(
    model: str, tmp_path: Path, folder: Path
) -> None:
    queue = RestorationQueue([model], megapixels=1)
    deep = np.linspace(0, 65535, 48 * 40, dtype=np.uint16).reshape(40, 48)
    for name, array in {
        "grey": (deep >> 8).astype(np.uint8),
        "deep": deep,
        "clear": np.dstack([deep >> 8] * 4).astype(np.uint8),
    }.items():
        Image.fromarray(array).save(tmp_path / f"{name}.png")
        developed = queue.restore(tmp_path / f"{name}.png", folder, "tiny", 1.0, ignore)
        with Image.open(developed.before) as image:
            assert image.size == (48, 40)


def test_photos_that_are_too_large_are_refused(
    model: str, picture: Write, tmp_path: Path, folder: Path
) -> None:
    queue = RestorationQueue([model], megapixels=0.002)
    source = picture(tmp_path / "a.png", (50, 50))
    with pytest.raises(ValueError, match="^a.png"):
        queue.restore(source, folder, "tiny", 1.0, ignore)


def test_models_are_named_by_their_stems_where_those_differ(model: str, tmp_path: Path) -> None:
    other = tmp_path / "tiny.safetensors"
    other.write_bytes(Path(model).read_bytes())
    assert [*RestorationQueue([model], megapixels=1).models] == ["tiny"]
    assert [*RestorationQueue([model, str(other)], megapixels=1).models] == [model, str(other)]
    with pytest.raises(FileNotFoundError, match="nowhere"):
        RestorationQueue(["nowhere.ckpt"], megapixels=1)


def test_reasons_name_no_folder_and_are_html(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    assert explain(ValueError(f"{tmp_path / 'a<b>.jpg'}: bad"), tmp_path) == "a&lt;b&gt;.jpg: bad."
    assert explain(OSError(28, "No space left", str(tmp_path)), tmp_path) == "No space left."
    assert not caplog.records
    assert "terminal" in explain(RuntimeError(f"{tmp_path}"), tmp_path)
    assert len(caplog.records) == 1
