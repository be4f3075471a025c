"""A server in the test's own thread, its app, and raw HTTP requests to it."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from typing import Any

import gevent
import gevent.event
import gevent.socket

from incoming.http.server import Server

DEADLINE_S = 60.0
GET = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
HANDSHAKE = {
    "Upgrade": "websocket",
    "Connection": "Upgrade",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
}
ACCEPT = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
"""The answer to that key (RFC 6455 section 1.3)."""


class App:
    """A WSGI app that answers `hello`; `before` is what it does first."""

    def __init__(self) -> None:
        self.environs: list[dict[str, Any]] = []
        self.before: Callable[[dict[str, Any]], object] = lambda environ: None

    def __call__(self, environ: dict[str, Any], start_response: Any) -> list[bytes]:
        self.environs.append(environ)
        self.before(environ)
        start_response("200 OK", [("Content-Length", "5")])
        return [b"hello"]


def connect(server: Server) -> Any:
    return gevent.socket.create_connection(("127.0.0.1", server.port), timeout=DEADLINE_S)


def answer_to(client: Any) -> str:
    """Returns everything until the server closes the connection."""
    data = b""
    while more := client.recv(4096):
        data += more
    return data.decode("latin-1")  # a close frame may follow


def ask(server: Server, request: bytes) -> str:
    with closing(connect(server)) as client:
        client.sendall(request)
        return answer_to(client)


def handshake(path: str = "/", **changes: str) -> bytes:
    headers = {**HANDSHAKE, **{name.replace("_", "-"): value for name, value in changes.items()}}
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items() if value)
    return f"GET {path} HTTP/1.1\r\nHost: x\r\n{lines}\r\n".encode()
