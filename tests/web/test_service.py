"""The HTTP interface, over real HTTP."""

import errno
import json
import re
import socket
import threading
from base64 import b64decode
from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import ROOT
from PIL import Image
from web_server import Answer, Client, Hold, count, form, running, wait_until

from deblur.restoration.restorer import Restorer
from deblur.web import head_timeout
from deblur.web.server import Limits

Write = Callable[..., Path]


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    limits = Limits(megapixels=0.01, waiting=1, seconds=30)
    with running(tmp_path_factory.mktemp("service"), limits) as started:
        yield started


@pytest.fixture
def hold(client: Client) -> Iterator[Hold]:
    """Keep the server busy."""
    held = Hold(client)
    yield held
    held.go.set()
    held.job.future.exception(60)


def later(client: Client, file: Path, answers: list[Answer]) -> threading.Thread:
    thread = threading.Thread(target=lambda: answers.append(client.send("/v1/restore", file)))
    thread.start()
    return thread


def test_a_photo_comes_back_restored_with_its_metadata(client: Client, tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[271] = "Rollei"
    pixels = np.random.default_rng(0).integers(0, 256, (40, 48, 3), np.uint8)
    path = tmp_path / "Zoë # 1.png"
    Image.fromarray(pixels).save(path, exif=exif)
    answer = client.send("/v1/restore", path, model="wide")
    assert answer.status == 200
    assert answer.headers["Content-Type"] == "image/png"
    assert "Zo%C3%AB%20%23%201_restored.png" in answer.headers["Content-Disposition"]
    assert json.loads(answer.headers["Deblur-Notes"]) == []
    expected = Restorer.load(client.queue.models["wide"][0]).restore(pixels)
    with Image.open(BytesIO(answer.body)) as image:
        assert image.getexif()[271] == "Rollei"
        np.testing.assert_array_equal(np.asarray(image), expected)


def test_fields_are_obeyed(client: Client, picture: Write, tmp_path: Path) -> None:
    path = picture(tmp_path / "a.png")
    as_is = client.send("/v1/restore", path, strength=0, format="png")
    with Image.open(BytesIO(as_is.body)) as image, Image.open(path) as before:
        np.testing.assert_array_equal(np.asarray(image), np.asarray(before))
    sizes = {}
    for quality in (10, 90):
        answer = client.send("/v1/restore", path, format="jpeg", quality=quality, scale=2)
        assert answer.headers["Content-Type"] == "image/jpeg"
        assert answer.headers["Content-Disposition"].endswith("a_restored.jpeg")
        sizes[quality] = len(answer.body)
    assert sizes[10] < sizes[90]


def test_json_has_notes(client: Client, tmp_path: Path) -> None:
    Image.new("RGBA", (20, 30), (200, 10, 10, 50)).save(tmp_path / "a.png")
    answer = client.send("/v1/restore", tmp_path / "a.png", format="jpg", Accept="application/json")
    told = answer.json
    assert (told["name"], told["media_type"]) == ("a_restored.jpg", "image/jpeg")
    assert (told["width"], told["height"], told["model"]) == (20, 30, "tiny")
    assert any("alpha" in note for note in told["notes"])
    with Image.open(BytesIO(b64decode(told["data"]))) as image:
        assert (image.format, image.size) == ("JPEG", (20, 30))


@pytest.mark.parametrize(
    "fields",
    [
        *({"model": "x"}, {"strength": 2}, {"scale": 3}, {"quality": 0}, {"strenght": 1}),
        *({"format": name} for name in ("mp3", "x.png", "../../y.png", ".png")),
    ],
    ids=str,
)
def test_wrong_fields_are_named(
    client: Client, picture: Write, tmp_path: Path, fields: dict[str, Any]
) -> None:
    answer = client.send("/v1/restore", picture(tmp_path / "a.png"), **fields)
    assert answer.status == 422
    assert next(iter(fields)) in json.dumps(answer.json)


@pytest.mark.parametrize("name", ["a.jpg", "../../etc/passwd", "..\\a.png", "a.cr2", "", ".png"])
def test_what_is_no_picture_is_said_without_folders(
    client: Client, tmp_path: Path, name: str
) -> None:
    path = tmp_path / "letter"
    path.write_bytes(b"Dear Sir")
    answer = client.send("/v1/restore", path, name=name)
    assert answer.status == 422
    assert "not a readable picture" in answer.json["detail"]
    assert str(client.folder) not in answer.json["detail"]
    assert not [*client.folder.iterdir()]


def test_too_many_pixels_are_refused(client: Client, picture: Write, tmp_path: Path) -> None:
    answer = client.send("/v1/restore", picture(tmp_path / "a.png", (200, 100)))
    assert answer.status == 422 and "megapixels" in answer.json["detail"]
    assert client.ask("POST", "/v1/restore").status == 422


def test_the_queue_is_bounded(client: Client, hold: Hold, picture: Write, tmp_path: Path) -> None:
    path, answers = picture(tmp_path / "a.png"), list[Answer]()
    thread = later(client, path, answers)
    wait_until(lambda: client.queue.waiting == 1)
    refused = client.send("/v1/restore", path)
    assert refused.status == 429
    assert 1 <= int(refused.headers["Retry-After"]) <= 60
    assert b"deblur_waiting 1.0" in client.ask("GET", "/metrics").body
    hold.go.set()
    thread.join(60)
    assert answers[0].status == 200


def test_who_goes_away_leaves_the_queue(
    client: Client, hold: Hold, picture: Write, tmp_path: Path
) -> None:
    before = count(client, "stopped")
    kind, body = form({}, picture(tmp_path / "a.png"))
    with socket.create_connection(("127.0.0.1", client.port)) as leaving:
        head = f"POST /v1/restore HTTP/1.1\r\nHost: localhost\r\nContent-Type: {kind}\r\n"
        leaving.sendall(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
        wait_until(lambda: client.queue.waiting == 1)
    wait_until(lambda: client.queue.waiting == 0)
    wait_until(lambda: count(client, "stopped") == before + 1)
    assert not hold.job.future.done()


def test_what_takes_too_long_is_given_up(tmp_path: Path, picture: Write) -> None:
    with running(tmp_path / "server", Limits(seconds=2)) as client:
        held = Hold(client)
        answer = client.send("/v1/restore", picture(tmp_path / "a.png"))
        assert (answer.status, answer.headers["Retry-After"]) == (503, "60")
        held.go.set()


def test_at_the_end_what_waits_is_refused_and_what_runs_ends(
    tmp_path: Path, picture: Write
) -> None:
    with running(tmp_path / "server") as client:
        held, answers = Hold(client), list[Answer]()
        thread = later(client, picture(tmp_path / "a.png"), answers)
        wait_until(lambda: client.queue.waiting == 1)
        client.queue.refuse()
        held.go.set()
        thread.join(60)
        assert (answers[0].status, held.job.future.exception(60)) == (503, None)
        assert client.send("/v1/restore", picture(tmp_path / "b.png")).status == 503


def test_at_the_end_what_is_stopped_is_told_so(tmp_path: Path, picture: Write) -> None:
    with running(tmp_path / "server") as client:
        Hold(client)
        answers = list[Answer]()
        thread = later(client, picture(tmp_path / "a.png"), answers)
        wait_until(lambda: client.queue.waiting == 1)
        client.queue.halt()
        thread.join(60)
        assert answers[0].status == 503


@pytest.mark.parametrize("name", ["a.jpg", "a.heic", "a", "a.v2"])
def test_a_result_is_named_by_its_content(
    client: Client, picture: Write, tmp_path: Path, name: str
) -> None:
    answer = client.send("/v1/restore", picture(tmp_path / "a.png", (16, 16)), name=name)
    assert answer.headers["Content-Type"] == "image/png"
    assert answer.headers["Content-Disposition"].endswith("a_restored.png")
    with Image.open(BytesIO(answer.body)) as image:
        assert image.format == "PNG"


def test_a_full_disk_is_not_the_photos_fault(
    client: Client, picture: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fill_disk(*_: object, **settings: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Restorer, "restore_file", fill_disk)
    before = count(client, "failed")
    answer = client.send("/v1/restore", picture(tmp_path / "a.png", (16, 16)))
    assert answer.status == 500 and count(client, "failed") == before + 1
    assert answer.json == {"detail": "the server: No space left on device"}


def test_connections_without_a_request_are_ended(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    head, address = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n", ("127.0.0.1", client.port)
    with socket.create_connection(address, timeout=60) as kept, kept.makefile("rb") as answer:
        kept.sendall(head + b"\r\n")
        assert answer.readline().startswith(b"HTTP/1.1 200")
        monkeypatch.setattr(head_timeout, "SECONDS", 1)
        kept.sendall(head)  # which never ends
        assert b"HTTP/1.1" not in answer.read()
    for sent in (b"", b"GET /healthz HT"):
        with socket.create_connection(address, timeout=60) as idle, idle.makefile("rb") as answer:
            idle.sendall(sent)
            assert answer.read() == b""


def test_models_and_documents(client: Client) -> None:
    models = client.ask("GET", "/v1/models").json
    assert [(one["name"], one["default"]) for one in models] == [("tiny", True), ("wide", False)]
    described = client.ask("GET", "/openapi.json").json
    assert {*described["paths"]} == {"/v1/models", "/v1/restore", "/healthz", "/metrics"}
    assert b"http" not in client.ask("GET", "/docs").body.replace(b"HTTP", b"")
    assert client.ask("GET", "/nothing").status == 404


def test_metrics_are_prometheus_text(client: Client, picture: Write, tmp_path: Path) -> None:
    before = count(client, "ok")
    client.send("/v1/restore", picture(tmp_path / "a.png"))
    answer = client.ask("GET", "/metrics")
    assert answer.headers["Content-Type"].startswith("text/plain; version=0.0.4")
    assert count(client, "ok") == before + 1
    text = answer.body.decode()
    for name in ("deblur_restoration_seconds_bucket", "deblur_restored_pixels_total"):
        assert f"\n{name}" in text


def test_the_documented_client_works(
    client: Client, picture: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = (ROOT / "docs" / "serving.md").read_text("utf-8")
    (example,) = re.findall("```python\n(.*?)```", text, re.DOTALL)
    for theirs, ours in (("127.0.0.1:8000", f"127.0.0.1:{client.port}"), ("small", "tiny")):
        assert theirs in example
        example = example.replace(theirs, ours)
    monkeypatch.setenv("no_proxy", "*")
    monkeypatch.chdir(tmp_path)
    picture(tmp_path / "photo.jpg")
    exec(example, {})
    with Image.open("sharp.jpg") as image:
        assert image.size == Image.open("photo.jpg").size
