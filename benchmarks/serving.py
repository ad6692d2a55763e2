"""Does the service lose or mix up answers, or grow, under clients that behave badly?

python benchmarks/serving.py [--minutes 10] [--clients 8] [--model small]

Starts `deblur serve` on this computer's own address and sends it, from several threads, good photos
among malformed, huge, slow and aborted uploads. Each good photo has a size of its own, by which its
answer is known. Prints the answers by status, the 95th percentile of the time to a good answer, and
the memory of the server; the exit status is 1 where an answer was lost or another's, a bad upload
was not refused, or memory in the last quarter exceeds that of the second by over 10%.
"""

import argparse
import contextlib
import http.client
import os
import random
import secrets
import socket
import statistics
import subprocess
import sys
import threading
import time
from collections import Counter
from io import BytesIO

import numpy as np
from PIL import Image

KINDS = ("good", "good", "good", "good", "malformed", "huge", "slow", "aborted")
MEGABYTES = 4
PATIENCE = 300
"""Seconds that a client waits for an answer."""


def main() -> int:
    """Start the server, send, count."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--clients", type=int, default=8)
    parser.add_argument("--model", default="small")
    options = parser.parse_args()
    command = [sys.executable, "-m", "deblur", "serve", "--port=0", f"--model={options.model}"]
    command += [f"--queue={options.clients // 2}", f"--max-mb={MEGABYTES}", "--max-seconds=600"]
    # The clients send no token.
    env = {name: value for name, value in os.environ.items() if name != "DEBLUR_TOKEN"}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=env) as server:
        try:
            assert server.stdout is not None
            port = int(server.stdout.readline().split("/")[2].split(":")[1])
            load = Load(port)
            load.prepare(60 * options.minutes)
            memory = run(load, options.clients, server.pid)
            server.terminate()
            ended = server.wait(90)
        finally:
            server.kill()  # unless it has ended
    return report(load, memory, ended)


class Load:
    """What the clients send until an end, and what came of it."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.end = 0.0
        self.answers: Counter[str] = Counter()
        self.wrong: list[str] = []
        self.seconds: list[float] = []
        self._lock = threading.Lock()

    def prepare(self, seconds: float) -> None:
        """Let the model be loaded, as the first photo does, before the time begins."""
        status, _, _ = self.post(photograph((300, 200), random.Random(0)))
        assert status == 200, status
        self.end = time.monotonic() + seconds

    def client(self, number: int) -> None:
        """Send one upload after another."""
        rng = random.Random(number)
        while time.monotonic() < self.end:
            kind = rng.choice(KINDS)
            try:
                outcome = getattr(self, f"send_{kind}")(rng)
            except OSError as error:
                # A server that refuses by the head alone closes while the rest is being sent.
                outcome = f"{type(error).__name__}"
                if kind != "huge":
                    self.wrong.append(f"{kind}: {error}")
            with self._lock:
                self.answers[f"{kind}: {outcome}"] += 1

    def send_good(self, rng: random.Random) -> str:
        """Send a photo; its answer has its size, no other's."""
        size = rng.randint(200, 500), rng.randint(200, 400)
        start = time.monotonic()
        status, body, wait = self.post(photograph(size, rng))
        if status == 200:
            with Image.open(BytesIO(body)) as image:
                if image.size != size:
                    self.wrong.append(f"sent {size}, received {image.size}")
            self.seconds.append(time.monotonic() - start)
        elif status == 429:
            time.sleep(min(wait, 2))
        else:
            self.wrong.append(f"good: {status}")
        return str(status)

    def send_malformed(self, rng: random.Random) -> str:
        """Send half a photo, or none."""
        photo = photograph((300, 200), rng)
        status, _, _ = self.post(rng.choice([photo[: len(photo) // 3], b"Dear Sir", b""]))
        if status not in (422, 429):
            self.wrong.append(f"malformed: {status}")
        return str(status)

    def send_huge(self, rng: random.Random) -> str:
        """Send more than is taken."""
        status, _, _ = self.post(bytes((MEGABYTES + 1) << 20))
        if status != 413:
            self.wrong.append(f"huge: {status}")
        return str(status)

    def send_slow(self, rng: random.Random) -> str:
        """Send a photo bit by bit."""
        status, _, _ = self.post(photograph((200, 200), rng), pause=0.2)
        if status not in (200, 429):
            self.wrong.append(f"slow: {status}")
        return str(status)

    def send_aborted(self, rng: random.Random) -> str:
        """Go away in the middle of an upload, or right after it."""
        head, body = form(photograph((400, 300), rng))
        with socket.create_connection(("127.0.0.1", self.port), PATIENCE) as leaving:
            leaving.sendall(head + body[: rng.choice([len(body) // 2, len(body)])])
            time.sleep(0.1 * rng.random())
        return "left"

    def post(self, photo: bytes, pause: float = 0) -> tuple[int, bytes, float]:
        """Send a form; return the status, the body, and how long to wait."""
        head, body = form(photo)
        with socket.create_connection(("127.0.0.1", self.port), PATIENCE) as connection:
            with contextlib.suppress(ConnectionError):  # refused by its head; the answer is there
                connection.sendall(head)
                step = len(body) // 10 + 1 if pause else len(body)
                for start in range(0, len(body), step):
                    connection.sendall(body[start : start + step])
                    time.sleep(pause)
            answer = http.client.HTTPResponse(connection)
            answer.begin()
            wait = float(answer.headers.get("Retry-After") or 0)
            return answer.status, answer.read(), wait


def form(photo: bytes) -> tuple[bytes, bytes]:
    """Write a request's head, and its body."""
    mark = secrets.token_hex(8)
    field = 'Content-Disposition: form-data; name="file"; filename="a.jpg"'
    body = b"".join(
        [f"--{mark}\r\n{field}\r\n\r\n".encode(), photo, f"\r\n--{mark}--\r\n".encode()]
    )
    kind = f"Content-Type: multipart/form-data; boundary={mark}"
    head = f"POST /v1/restore HTTP/1.1\r\nHost: localhost\r\n{kind}\r\nConnection: close\r\n"
    return f"{head}Content-Length: {len(body)}\r\n\r\n".encode(), body


def photograph(size: tuple[int, int], rng: random.Random) -> bytes:
    """Make a photo of noise."""
    noise = np.random.default_rng(rng.randrange(1 << 30))
    pixels = noise.integers(0, 256, (size[1] // 8, size[0] // 8, 3), np.uint8)
    written = BytesIO()
    Image.fromarray(pixels).resize(size).save(written, "JPEG")
    return written.getvalue()


def run(load: Load, clients: int, process: int) -> list[float]:
    """Let clients send; return the server's memory in MB, twice a second."""
    threads = [  # daemons, which end with this process if the server fails or Ctrl-C is pressed
        threading.Thread(target=load.client, args=(number,), daemon=True)
        for number in range(clients)
    ]
    for thread in threads:
        thread.start()
    memory = []
    while any(thread.is_alive() for thread in threads):
        memory.append(read_memory(process))
        time.sleep(0.5)
    return memory


def read_memory(process: int) -> float:
    """Return the resident memory of a process in MB; Linux only."""
    with open(f"/proc/{process}/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


def report(load: Load, memory: list[float], ended: int) -> int:
    """Print what came of it; return the exit status."""
    for name, count in sorted(load.answers.items()):
        print(f"{name:28} {count:6}")
    quarter = max(1, len(memory) // 4)
    second = statistics.mean(memory[quarter : 2 * quarter] or memory)
    last = statistics.mean(memory[-quarter:])
    if len(load.seconds) > 1:
        slow = statistics.quantiles(load.seconds, n=20)[-1]
        middle = statistics.median(load.seconds)
        print(f"good answers: median {middle:.2f} s, 95th percentile {slow:.2f} s")
    print(f"memory: {second:.0f} MB in the second quarter, {last:.0f} MB in the last")
    print(f"lost, mixed up or wrong: {len(load.wrong)}", *load.wrong[:10], sep="\n  ")
    print(f"exit status after SIGTERM: {ended}")
    return int(bool(load.wrong) or last > 1.1 * second or not load.seconds)


if __name__ == "__main__":
    sys.exit(main())
