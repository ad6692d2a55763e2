"""Who may ask the server for what: hosts, origins, the token, and how much may be sent.

A page of a stranger can make its visitor's browser send requests to this server. Requests that
such a page causes are recognized by their Origin; where its name was pointed to this computer (DNS
rebinding), by their Host, which is then not one of ours.
"""

import asyncio
import base64
import binascii
import ipaddress
import re
import secrets
import socket
import time
from collections.abc import Iterable
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

OPEN = ("/healthz",)
"""Paths that require no token: load balancers know none."""
SAFE = ("GET", "HEAD")
HEADERS = {
    "Content-Security-Policy": "default-src 'self'; img-src 'self' blob: data:; object-src 'none'; "
    "base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
}


class Access:
    """Refuses what strangers send, and what is too large or too slow.

    Args:
        app: Answers the requests that are not refused.
        hosts: Names by which this server may be called, beside addresses and this computer's name.
        token: Expected as `Authorization: Bearer TOKEN`, or as the password of any user, which is
            what browsers ask for; None lets everybody in.
        megabytes: The most megabytes of a request's body.
        seconds: The time in which a body must arrive.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        hosts: Iterable[str] = (),
        token: str | None = None,
        megabytes: float = 60,
        seconds: float = 600,
    ) -> None:
        name = socket.gethostname().lower()
        self.app = app
        self.hosts = {"localhost", name, f"{name}.local", *(host.lower() for host in hosts)}
        self.token = token
        self.megabytes = megabytes
        self.seconds = seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Refuse a request, or pass it on."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return

        async def send_safely(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
                if scope["path"].startswith(("/page/", "/v1/")):
                    headers.setdefault("Cache-Control", "no-store")
            await send(message)

        refusal = self._refuse(scope)
        if refusal is not None:
            await refusal(scope, receive, send_safely)
            return
        await self.app(scope, self._limited(receive), send_safely)

    def _refuse(self, scope: Scope) -> JSONResponse | None:
        """Return the answer to a request that is refused by its head."""
        headers = Headers(scope=scope)
        host = headers.get("host", "")
        if not self._is_ours(host):
            return _answer(421, f"the host {host!r} is not served here (--allow-host)")
        if scope["method"] not in SAFE and is_foreign(headers, host):
            return _answer(403, "pages of other sites may not send anything here")
        if self.token and scope["path"] not in OPEN and not knows(headers, self.token):
            ask = {"WWW-Authenticate": 'Basic realm="deblur: any user, the token as password"'}
            return _answer(401, "expected `Authorization: Bearer TOKEN`", ask)
        length = headers.get("content-length", "0")
        if not re.fullmatch("[0-9]{1,18}", length) or int(length) > self.megabytes * 2**20:
            return _answer(413, self._too_large, {"Connection": "close"})
        return None

    @property
    def _too_large(self) -> str:
        return f"too large; at most {self.megabytes:g} MB may be sent"

    def _is_ours(self, host: str) -> bool:
        try:
            name = urlsplit(f"//{host}").hostname or ""
        except ValueError:
            return False
        try:
            ipaddress.ip_address(name)
            return True  # an address cannot be pointed elsewhere
        except ValueError:
            return name in self.hosts

    def _limited(self, receive: Receive) -> Receive:
        """Count what is received, and the time that it takes."""
        end = time.monotonic() + self.seconds
        taken, complete = 0, False

        async def limited() -> Message:
            nonlocal taken, complete
            if complete:
                return await receive()
            try:
                message = await asyncio.wait_for(receive(), max(0, end - time.monotonic()))
            except TimeoutError:
                raise HTTPException(
                    408, f"the upload was not complete after {self.seconds:g} seconds"
                ) from None
            taken += len(message.get("body", b""))
            if taken > self.megabytes * 2**20:
                raise HTTPException(413, self._too_large)
            complete = not message.get("more_body", False)
            return message

        return limited


def is_foreign(headers: Headers, host: str) -> bool:
    """Return whether a browser says that another site's page has caused the request."""
    if headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
        return True
    origin = headers.get("origin")
    try:
        return origin is not None and urlsplit(origin).netloc.lower() != host.lower()
    except ValueError:
        return True


def knows(headers: Headers, token: str) -> bool:
    """Return whether a request has the token."""
    scheme, _, text = headers.get("authorization", "").partition(" ")
    given = text.encode("latin-1")  # as it was sent
    if scheme.lower() == "basic":
        try:
            given = base64.b64decode(given, validate=True).partition(b":")[2]
        except binascii.Error:
            return False
    elif scheme.lower() != "bearer":
        return False
    return secrets.compare_digest(given, token.encode())


def _answer(status: int, detail: str, headers: dict[str, str] | None = None) -> JSONResponse:
    return JSONResponse({"detail": detail}, status, headers)
