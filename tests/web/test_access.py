"""Who is let in: hosts, origins, tokens, sizes and times, over real HTTP."""

import asyncio
import base64
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest.mock import AsyncMock

import pytest
from starlette.responses import Response
from web_server import Client, running

from deblur.web.access import Access
from deblur.web.server import Limits

Write = Callable[..., Path]


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    with running(tmp_path_factory.mktemp("open"), Limits(megabytes=0.1)) as started:
        yield started


@pytest.fixture(scope="module")
def locked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    folder = tmp_path_factory.mktemp("locked")
    with running(folder, token="päss", hosts=("deblur.example",)) as started:
        yield started


@pytest.mark.parametrize("host", ["localhost:7", "127.0.0.1", "[::1]:80", "192.168.1.5", "{name}"])
def test_own_names_are_served(client: Client, host: str) -> None:
    answer = client.ask("GET", "/healthz", Host=host.format(name=socket.gethostname()))
    assert (answer.status, answer.body) == (200, b"ok\n")


@pytest.mark.parametrize("host", ["evil.example", "localhost.evil.example", "[::1", ""])
@pytest.mark.parametrize("path", ["/", "/v1/models", "/static/page.js"])
def test_foreign_hosts_are_refused(client: Client, host: str, path: str) -> None:
    """A name that was pointed to this computer (DNS rebinding) is none of its names."""
    answer = client.ask("GET", path, Host=host, Origin=f"http://{host}")
    assert answer.status == 421
    assert "access-control-allow-origin" not in answer.headers


@pytest.mark.parametrize("path", ["/page/photos", "/v1/restore", "/page/discard"])
@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1:1"},
        {"Origin": "http://[::1"},
        {"Sec_Fetch_Site": "cross-site"},
        {"Sec_Fetch_Site": "same-site"},
    ],
    ids=str,
)
def test_pages_of_others_may_not_send(
    client: Client, picture: Write, tmp_path: Path, path: str, headers: dict[str, str]
) -> None:
    answer = client.send(path, picture(tmp_path / "a.png"), **headers)
    assert answer.status == 403
    assert not [*client.folder.iterdir()]


def test_no_answer_may_be_read_by_pages_of_others(client: Client) -> None:
    for method in ("GET", "OPTIONS", "POST"):
        answer = client.ask(method, "/v1/models", Origin="http://evil.example")
        assert not [name for name in answer.headers if name.lower().startswith("access-control")]
    answer = client.ask("GET", "/")
    assert "frame-ancestors 'none'" in answer.headers["Content-Security-Policy"]
    assert "default-src 'self'" in answer.headers["Content-Security-Policy"]


def test_the_own_page_may_send(client: Client, picture: Write, tmp_path: Path) -> None:
    own = f"http://127.0.0.1:{client.port}"
    answer = client.send("/page/photos", picture(tmp_path / "a.png"), Origin=own)
    assert answer.status == 200
    client.ask("POST", "/page/discard", answer.json["key"])


def test_what_is_too_large_is_refused(client: Client, tmp_path: Path) -> None:
    (tmp_path / "large.png").write_bytes(bytes(200_000))
    assert client.send("/v1/restore", tmp_path / "large.png").status == 413
    head = b'--x\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n'
    chunks = iter([head, *[b"x" * 50_000] * 4])
    kind = "multipart/form-data; boundary=x"
    answer = client.ask("POST", "/v1/restore", chunks, Content_Type=kind)
    assert answer.status == 413


def test_a_length_of_any_size_is_read() -> None:
    """HTTP servers differ in what they let through."""
    sent: list[dict[str, Any]] = []

    async def send(message: Any) -> None:
        sent.append(message)

    async def ask(length: str) -> int:
        sent.clear()
        headers = [(b"host", b"localhost"), (b"content-length", length.encode())]
        scope = {"type": "http", "method": "POST", "path": "/", "headers": headers}
        await Access(Response("ok"))(scope, AsyncMock(), send)
        return int(sent[0]["status"])

    lengths = ("5", "9" * 5000, "", "-1", "1e3")
    assert [asyncio.run(ask(length)) for length in lengths] == [200, *[413] * 4]


def test_what_never_arrives_is_given_up(tmp_path: Path) -> None:
    head = "POST /v1/restore HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n"
    with running(tmp_path, Limits(seconds=0.5)) as client:
        address = ("127.0.0.1", client.port)
        with socket.create_connection(address, timeout=60) as slow, slow.makefile("rb") as answer:
            kind = "multipart/form-data; boundary=x"
            slow.sendall(f"{head}Content-Type: {kind}\r\n\r\n--x".encode())
            assert b" 408 " in answer.readline()


def test_the_token_is_required(locked: Client) -> None:
    def status(path: str, **headers: str) -> int:
        return locked.ask("GET", path, **headers).status

    basic = {who: base64.b64encode(who.encode()).decode() for who in ("me:päss", "päss", "me:x")}
    assert status("/healthz") == 200
    for path in ("/", "/v1/models", "/docs", "/openapi.json", "/metrics", "/static/page.js"):
        assert status(path) == 401
        assert status(path, Authorization=f"Basic {basic['me:päss']}") == 200
    for wrong in (
        "Bearer x",
        "Bearer",
        f"Basic {basic['me:x']}",
        f"Basic {basic['päss']}",
        "Basic ä",
    ):
        assert status("/v1/models", Authorization=wrong.encode().decode("latin-1")) == 401
    assert status("/v1/models", Authorization="Bearer päss".encode().decode("latin-1")) == 200
    asked = locked.ask("GET", "/").headers["WWW-Authenticate"]
    assert asked.startswith("Basic ")


def test_named_hosts_are_served(locked: Client) -> None:
    assert locked.ask("GET", "/healthz", Host="deblur.example").status == 200
    assert locked.ask("GET", "/healthz", Host="other.example").status == 421
