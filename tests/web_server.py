"""A server in a thread of the tests, and a client that speaks HTTP to it."""

import http.client
import json
import secrets
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import uvicorn
from model_samples import save_model

from deblur.web.head_timeout import HeadTimeout
from deblur.web.restoration_queue import Job, RestorationQueue
from deblur.web.server import Limits, build_app

PATIENCE = 60
"""Seconds; machines can be busy."""


class Answer(NamedTuple):
    status: int
    headers: http.client.HTTPMessage
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Client:
    """Sends requests to a port of this computer."""

    def __init__(self, port: int, queue: RestorationQueue) -> None:
        self.port = port
        self.queue = queue
        self.folder = Path()

    def ask(self, method: str, path: str, body: Any = None, **headers: str) -> Answer:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        connection.request(method, path, body, sent)
        answer = connection.getresponse()
        received = Answer(answer.status, answer.headers, answer.read())
        connection.close()
        return received

    def send(
        self,
        path: str,
        file: Path | None = None,
        *,
        method: str = "POST",
        name: str = "",
        **fields: Any,
    ) -> Answer:
        """Send a form with a file; fields that begin with a capital are headers."""
        headers = {key: value for key, value in fields.items() if key[0].isupper()}
        plain = {key: str(value) for key, value in fields.items() if key not in headers}
        kind, body = form(plain, file, name)
        return self.ask(method, path, body, Content_Type=kind, **headers)


def form(
    fields: dict[str, str], file: Path | None = None, name: str = "", key: str = "file"
) -> tuple[str, bytes]:
    """Write a form as multipart/form-data: its content type, and its body."""
    mark = secrets.token_hex(8)
    parts = [
        f'--{mark}\r\nContent-Disposition: form-data; name="{field}"\r\n\r\n{value}\r\n'.encode()
        for field, value in fields.items()
    ]
    if file is not None:
        head = f'form-data; name="{key}"; filename="{name or file.name}"'
        parts += [f"--{mark}\r\nContent-Disposition: {head}\r\n\r\n".encode(), file.read_bytes()]
        parts.append(b"\r\n")
    return f"multipart/form-data; boundary={mark}", b"".join([*parts, f"--{mark}--\r\n".encode()])


@contextmanager
def running(folder: Path, limits: Limits = Limits(), **settings: Any) -> Iterator[Client]:
    """Run a server with two tiny networks, tiny and wide."""
    models = [str(save_model(folder / f"{name}.safetensors", width)) for name, width in MODELS]
    queue = RestorationQueue(models, most=limits.waiting)
    kept = folder / "kept"
    kept.mkdir(parents=True)
    app = build_app(queue, kept, limits, **settings)
    settings = {"log_level": "error", "lifespan": "off", "http": HeadTimeout}
    server = uvicorn.Server(uvicorn.Config(app, **settings))
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [bound]}, daemon=True)
        thread.start()
        while not server.started:
            time.sleep(0.01)
        client = Client(bound.getsockname()[1], queue)
        client.folder = kept
        yield client
        server.should_exit = True
        queue.close()
        thread.join(PATIENCE)


MODELS = (("tiny", 4), ("wide", 8))


class Hold:
    """Work that lasts until it is let go, or stopped."""

    def __init__(self, client: Client) -> None:
        self.go = threading.Event()
        self.begun = threading.Event()
        self.job = client.queue.submit(self.work)
        assert self.begun.wait(60)

    def work(self, job: Job[None]) -> None:
        self.begun.set()
        while not self.go.wait(0.01):
            job.check()


def count(client: Client, outcome: str) -> float:
    lines = client.ask("GET", "/metrics").body.decode().splitlines()
    start = f'deblur_restorations_total{{outcome="{outcome}"}} '
    return sum(float(line.removeprefix(start)) for line in lines if line.startswith(start))


def wait_until(condition: Callable[[], Any]) -> None:
    for _ in range(6000):
        if condition():
            return
        time.sleep(0.01)
    raise AssertionError("never came true")
