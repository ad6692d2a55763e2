"""What the server leaves when it ends: nothing, and what was begun is answered."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from model_samples import save_model
from web_server import Answer, Client

Write = Callable[..., Path]
PROGRAM = """
import os
import signal
import sys
import time

signal.signal(signal.SIGINT, signal.default_int_handler)  # shells let it be ignored
from deblur.__main__ import main
from deblur.web.restoration_queue import Job
check = Job.check

def hold(job):
    check(job)
    while job.begun and os.path.exists(os.environ["HOLD"]):
        print("held", flush=True)
        time.sleep(0.05)
        check(job)

Job.check = hold
sys.exit(main(sys.argv[1:]))
"""
"""The command, and a file that holds its work up while it is there."""


class Server:
    """A server in a process of its own."""

    def __init__(self, folder: Path, verb: str) -> None:
        model = save_model(folder / "tiny.safetensors")
        self.hold, self.temporary = folder / "hold", folder / "temporary"
        self.temporary.mkdir()
        self.process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM, verb, "--port=0", f"--model={model}"],
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "TMPDIR": str(self.temporary), "HOLD": str(self.hold)},
        )
        queue: Any = None  # it is in the other process
        self.client = Client(int(self.read().split("/")[2].split(":")[1]), queue)

    def read(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline()

    def end(self, number: int) -> int:
        """Send a signal; return the exit status."""
        self.process.send_signal(number)
        assert self.process.stdout is not None
        self.process.stdout.read()
        return self.process.wait(60)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_page_takes_its_photos_with_it(number: int, tmp_path: Path, picture: Write) -> None:
    server = Server(tmp_path, "web")
    assert server.client.send("/page/photos", picture(tmp_path / "a.png")).status == 200
    assert [*server.temporary.glob("*/*/source.png")]
    assert server.end(number) == 128 + number
    assert not [*server.temporary.iterdir()]


def test_the_service_ends_what_is_begun(tmp_path: Path, picture: Write) -> None:
    server, answers = Server(tmp_path, "serve"), list[Answer]()
    server.hold.touch()
    photo = picture(tmp_path / "a.png")
    thread = threading.Thread(
        target=lambda: answers.append(server.client.send("/v1/restore", photo))
    )
    thread.start()
    assert server.read() == "held\n"
    server.process.send_signal(signal.SIGTERM)
    threading.Timer(1, server.hold.unlink).start()
    assert server.end(0) == 128 + signal.SIGTERM
    thread.join(60)
    assert [one.status for one in answers] == [200]
    assert not [*server.temporary.iterdir()]
