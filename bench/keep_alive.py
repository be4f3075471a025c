"""Persistent HTTP/1.1 connections, for clients that make thousands of small requests with little CPU."""

from __future__ import annotations

import socket
from typing import Self
from urllib.parse import quote

TIMEOUT_S = 60.0


class KeepAliveConnection:
    """One connection with one request at a time. Raises AssertionError for a failure."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._socket = self._connect()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._socket.close()

    def _connect(self) -> socket.socket:
        connection = socket.create_connection(("127.0.0.1", self._port), timeout=TIMEOUT_S)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return connection

    def ask(self, request_line: str, body: bytes = b"", fields: str = "") -> tuple[str, bytes]:
        """Returns head and body of the answer. `fields`: further header lines, each with its line end."""
        fields = f"Host: 127.0.0.1:{self._port}\r\nContent-Length: {len(body)}\r\n{fields}"
        self._socket.sendall(f"{request_line} HTTP/1.1\r\n{fields}\r\n".encode() + body)
        head, answer = self._answer()
        assert head.split(None, 2)[1].startswith("2"), head
        if "connection: close" in head.lower():
            self._socket.close()
            self._socket = self._connect()
        return head, answer

    def _answer(self) -> tuple[str, bytes]:
        data = b""
        while b"\r\n\r\n" not in data:
            data += self._more()
        raw, _, body = data.partition(b"\r\n\r\n")
        head = raw.decode("latin-1")
        lines = (line.partition(":") for line in head.lower().split("\r\n")[1:])
        fields = {name: value.strip() for name, _, value in lines}
        if fields.get("transfer-encoding") == "chunked":
            while not body.endswith(b"0\r\n\r\n"):
                body += self._more()
            return head, body
        size_bytes = int(fields.get("content-length", "0"))
        while len(body) < size_bytes:
            body += self._more()
        return head, body

    def _more(self) -> bytes:
        more = self._socket.recv(1 << 16)
        assert more, "the server hung up"
        return more


def new_ticket(backend: KeepAliveConnection, app_url: str) -> str:
    """Returns a new ticket's id, asked for as existing apps do."""
    query = f"signalFinishURL={quote(app_url, safe='')}"
    return backend.ask(f"POST /incoming/0.1/backend/new_upload?{query}")[1].decode()
