"""Requests for one upload over HTTP, byte by byte as the test wants them, without any client's own ideas."""

from __future__ import annotations

import fcntl
import http.client
import json
import os
import socket
import struct
import sys
import termios
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Self
from urllib.parse import urlsplit

from tests.support.waiting import wait_until

TIMEOUT_S: Final = 30.0
Headers = Mapping[str, str | int]


@dataclass(frozen=True, slots=True)
class HttpAnswer:
    """One answer; the names of its headers are in lower case."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def text(self) -> str:
        """The body as text."""
        return self.body.decode()

    @property
    def code(self) -> str:
        """The stable code of an error; empty for any other answer."""
        return self.headers.get("incoming-error", "")

    @property
    def offset_bytes(self) -> int:
        """What Upload-Offset says."""
        return int(self.headers["upload-offset"])


class OpenRequest:
    """A request whose body is still to be sent, on a connection of its own."""

    def __init__(self, host: str, port: int, head: bytes) -> None:
        self.socket = socket.create_connection((host, port), TIMEOUT_S)
        self.socket.sendall(head)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.socket.close()

    def send(self, data: bytes) -> None:
        """Sends bytes as they are."""
        self.socket.sendall(data)

    def send_chunk(self, data: bytes) -> None:
        """Sends a chunk of the chunked coding; an empty one is the last."""
        self.socket.sendall(b"%x\r\n%s\r\n" % (len(data), data))

    def break_off(self, *, reset: bool) -> None:
        """Ends the connection, with FIN or RST, once the peer's system has received all that was sent.

        Raises OSError if the peer has reset it.
        """

        def unsent_bytes() -> int:
            if number := self.socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
                raise OSError(number, os.strerror(number))
            found = fcntl.ioctl(self.socket.fileno(), termios.TIOCOUTQ, bytes(4))
            return int.from_bytes(found, sys.byteorder)

        wait_until(lambda: not unsent_bytes(), "everything is delivered")
        if reset:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()

    def answer(self) -> HttpAnswer:
        """Waits for the final answer."""
        response = http.client.HTTPResponse(self.socket)
        response.begin()
        body = response.read()
        return HttpAnswer(response.status, {k.lower(): v for k, v in response.getheaders()}, body)


class HttpUpload:
    """The address of one upload."""

    def __init__(self, server_url: str, ticket_id: str, prefix: str = "/incoming/") -> None:
        parts = urlsplit(server_url)
        self.host, self.port = parts.hostname or "", parts.port or 80
        self.ticket_id = ticket_id
        self.path = f"{prefix}frontend/uploads/{ticket_id}"

    @property
    def url(self) -> str:
        """The address as clients get it."""
        return f"http://{self.host}:{self.port}{self.path}"

    def look(self) -> dict[str, Any]:
        """Returns how the upload stands, as JSON tells it, and disturbs nobody."""
        told: dict[str, Any] = json.loads(self.ask("GET", {"Accept": "application/json"}).body)
        return told

    def open(self, method: str, headers: Headers | None = None, below: str = "") -> OpenRequest:
        """Sends the head of a request and nothing of its body. `below`: what follows the ticket's address."""
        lines = [f"{method} {self.path}{below} HTTP/1.1", f"Host: {self.host}:{self.port}"]
        lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
        head = "\r\n".join([*lines, "", ""]).encode("latin-1")
        return OpenRequest(self.host, self.port, head)

    def ask(
        self, method: str, headers: Headers | None = None, body: bytes | None = None, below: str = ""
    ) -> HttpAnswer:
        """Makes a whole request. A `body` gets its Content-Length unless the headers name a length."""
        given = dict(headers or {})
        names = {name.lower() for name in given}
        if body is not None and not names & {"content-length", "transfer-encoding"}:
            given["Content-Length"] = len(body)
        with self.open(method, given, below) as request:
            if body:
                request.send(body)
            if method != "HEAD":
                return request.answer()
            response = http.client.HTTPResponse(request.socket, method="HEAD")
            response.begin()
            return HttpAnswer(response.status, {k.lower(): v for k, v in response.getheaders()}, b"")
