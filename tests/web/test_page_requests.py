"""The page's own requests, over real HTTP."""

import errno
import json
import os
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from web_server import Answer, Client, Hold, count, form, running, wait_until

from deblur.web.server import Limits

Write = Callable[..., Path]


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    with running(tmp_path_factory.mktemp("page")) as started:
        yield started


def upload(client: Client, file: Path) -> str:
    return f"/page/photos/{client.send('/page/photos', file).json['key']}"


def restore(client: Client, photo: str, model: str) -> Any:
    """Restore a photo; return the last line that is told."""
    body = json.dumps({"model": model})
    answer = client.ask("POST", f"{photo}/results", body, Content_Type="application/json")
    assert answer.status == 200
    return json.loads(answer.body.splitlines()[-1])


def choose(client: Client, photo: str, mask: Path | None = None, **fields: str) -> Answer:
    kind, body = form(fields, mask, key="mask")
    return client.ask("PUT", f"{photo}/choice", body, Content_Type=kind)


def test_results_are_downloaded_in_any_order(
    client: Client, picture: Write, tmp_path: Path
) -> None:
    photo = upload(client, picture(tmp_path / "a.png"))
    for model in ("tiny", "wide"):
        assert restore(client, photo, model)["result"] == f"{model}@1"
    for result, strength in (("tiny@1", "1"), ("wide@1", "0.5"), ("tiny@1", "1")):
        assert choose(client, photo, result=result, strength=strength).status == 204
        answer = client.ask("GET", f"{photo}/file")
        assert (answer.status, answer.headers["Content-Type"]) == (200, "image/png")
        assert answer.headers["Content-Disposition"].endswith("a_restored.png")
        key = photo.rpartition("/")[2]
        assert client.ask("GET", f"/page/archive?key={key}").status == 200


@pytest.mark.parametrize("box", ["9" * 5000 + ",0,1,1", "0,0,0,1", "48,0,1,1", "1,2,3", "-1,0,1,1"])
def test_a_wrong_box_is_refused(client: Client, picture: Write, tmp_path: Path, box: str) -> None:
    photo = upload(client, picture(tmp_path / "a.png"))
    assert client.ask("GET", f"{photo}/pictures/original?box={box}").status == 422


@pytest.mark.parametrize("body", ['{"model": NaN}', '"\\ud800"', '{"model": [1e999]}', "{}", "["])
def test_a_wrong_wish_is_refused(client: Client, body: str) -> None:
    answer = client.ask("POST", "/page/photos/x/results", body, Content_Type="application/json")
    assert answer.status == 422
    assert {*answer.json["detail"][0]} == {"type", "loc", "msg"}


def test_a_results_name_may_have_slashes(client: Client, picture: Write, tmp_path: Path) -> None:
    photo = upload(client, picture(tmp_path / "a.png"))
    answer = client.ask("GET", f"{photo}/pictures/runs%2Fa%2Fg.safetensors%401")
    assert answer.json == {"detail": "no such picture"}


def test_a_download_is_named_by_its_content(client: Client, picture: Write, tmp_path: Path) -> None:
    answer = client.send("/page/photos", picture(tmp_path / "a.png"), name="a.jpg")
    assert answer.json["name"] == "a.png"


def test_refused_masks_leave_nothing(client: Client, picture: Write, tmp_path: Path) -> None:
    photo = upload(client, picture(tmp_path / "a.png"))
    restore(client, photo, "tiny")
    files = sorted(client.folder.rglob("*"))
    (tmp_path / "noise").write_bytes(os.urandom(5_000_000))
    answer = choose(client, photo, tmp_path / "noise", result="tiny@1", strength="1")
    assert (answer.status, "too large" in answer.json["detail"]) == (422, True)
    assert sorted(client.folder.rglob("*")) == files


def test_a_full_disk_restores_no_more_but_downloads(picture: Write, tmp_path: Path) -> None:
    """Room for the photo (6 kB), but not for its first result."""
    with running(tmp_path / "server", Limits(room=10_000)) as client:
        photo = upload(client, picture(tmp_path / "a.png"))
        assert "result" in restore(client, photo, "tiny")
        Image.new("L", (8, 8)).save(tmp_path / "mask.png")
        assert "no room" in restore(client, photo, "wide")["failed"]
        full = [
            choose(client, photo, tmp_path / "mask.png", result="tiny@1", strength="1"),
            client.send("/page/photos", tmp_path / "a.png"),
        ]
        assert [answer.status for answer in full] == [507, 507]
        assert count(client, "full") == 3
        assert choose(client, photo, result="tiny@1", strength="0.5").status == 204
        assert client.ask("GET", f"{photo}/file").status == 200


def test_what_waits_at_the_end_is_stopped_not_failed(picture: Write, tmp_path: Path) -> None:
    with running(tmp_path / "server") as client:
        photo, told = upload(client, picture(tmp_path / "a.png")), list[Any]()
        Hold(client)
        thread = threading.Thread(target=lambda: told.append(restore(client, photo, "tiny")))
        thread.start()
        wait_until(lambda: client.queue.waiting == 1)
        client.queue.halt()
        thread.join(60)
        assert told == [{"failed": "stopped"}]
        assert (count(client, "stopped"), count(client, "failed")) == (1, 0)


def test_who_closes_the_page_is_counted(client: Client, picture: Write, tmp_path: Path) -> None:
    photo, before = upload(client, picture(tmp_path / "a.png")), count(client, "stopped")
    held, body = Hold(client), b'{"model": "tiny"}'
    address = ("127.0.0.1", client.port)
    with socket.create_connection(address) as leaving, leaving.makefile("rb") as answer:
        head = (
            f"POST {photo}/results HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n"
        )
        leaving.sendall(f"{head}Content-Type: application/json\r\n\r\n".encode() + body)
        assert any(b"before" in line for line in answer)
    wait_until(lambda: count(client, "stopped") == before + 1)
    assert client.queue.waiting == 0
    held.go.set()


def test_a_full_disk_is_the_servers_fault(
    client: Client, picture: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fill_disk(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    before = count(client, "failed")
    monkeypatch.setattr("deblur.web.photo_store.shutil.copyfileobj", fill_disk)
    answer = client.send("/page/photos", picture(tmp_path / "a.png"))
    assert (answer.status, count(client, "failed")) == (500, before + 1)
    assert "No space left on device" in answer.json["detail"]
