"""One request on a connection of its own, sent piece by piece, with every interim answer to it."""

from __future__ import annotations

import contextlib
import http
import http.client
import json
import socket
import ssl
import time
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Final, Self

from incoming import __version__
from incoming.client.address import Address

CONNECT_TIMEOUT_S: Final = 15.0
ANSWER_TIMEOUT_S: Final = 15.0
MAX_INTERIM: Final = 10
MAX_BODY_BYTES: Final = 1024 * 1024
OF_A_FINAL_ANSWER: Final = ("Connection", "Content-Length", "Transfer-Encoding")
PAGE_PATH: Final = "/incoming/"


class NoAnswer(Exception):
    """No final answer came; the text says why, as part of a sentence."""


class TimedOut(NoAnswer):
    """Nothing came in time."""


@dataclass(frozen=True, slots=True)
class Reply:
    """A final answer."""

    status: int
    headers: dict[str, str]
    """{name in lower case: value}"""
    body: bytes
    interim: list[int]
    """The statuses of the interim answers before it."""
    interim_altered: bool
    """Whether an interim answer has headers of a final one, as when a proxy treats it as that."""
    spread_s: float
    """The time between the first byte of its body and the last."""

    @property
    def error_code(self) -> str:
        """The code of an error of ours; empty for any other answer."""
        error = self.content.get("error")
        return str(error.get("code", "")) if isinstance(error, dict) else ""

    @property
    def content(self) -> dict[str, Any]:
        """The body if it is a JSON object, else an empty one."""
        try:
            content = json.loads(self.body)
        except ValueError:
            return {}
        return content if isinstance(content, dict) else {}


@dataclass(slots=True)
class _SharedFile:
    """Gives the same buffered file to each http.client.HTTPResponse: an interim answer may precede one."""

    file: Any
    kept: list[http.client.HTTPResponse] = field(default_factory=list)
    """All answers: one that is freed closes the file."""

    def makefile(self, mode: str) -> Any:
        """See socket.makefile."""
        return self.file


class RawRequest:
    """A request whose head was sent. A context manager: it ends the connection."""

    def __init__(
        self, address: Address, context: ssl.SSLContext, method: str, path: str, *lines: str
    ) -> None:
        """Sends the head: `path` is below /incoming/, `lines` are headers. Raises OSError, ssl.SSLError."""
        self._method = method
        sock = socket.create_connection((address.host, address.port), CONNECT_TIMEOUT_S)
        try:
            self.peer = str(sock.getpeername()[0])
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.socket = context.wrap_socket(sock, server_hostname=address.host) if address.secure else sock
            head = (
                f"{method} {address.prefix}{PAGE_PATH}{path} HTTP/1.1",
                f"Host: {address.host_header}",
                f"User-Agent: incoming-doctor/{__version__}",
                *lines,
            )
            self.socket.sendall("".join(f"{line}\r\n" for line in (*head, "")).encode("ascii"))
        except BaseException:
            sock.close()
            raise
        self._file = _SharedFile(self.socket.makefile("rb"))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.socket.close()

    def send(self, data: bytes) -> None:
        """Sends bytes as they are. A connection that has ended is noticed when the answer is read."""
        with contextlib.suppress(OSError):
            self.socket.sendall(data)

    def receive(self, size_bytes: int) -> bytes:
        """Returns what follows an upgrade; less than `size_bytes` when the connection ends or is silent."""
        try:
            return bytes(self._file.file.read(size_bytes))
        except OSError:
            return b""

    def reply(self, timeout_s: float = ANSWER_TIMEOUT_S) -> Reply:
        """Waits for the final answer, or for the upgrade. Raises TimedOut, NoAnswer."""
        self.socket.settimeout(timeout_s)
        interim, altered = list[int](), False
        try:
            while True:
                response = http.client.HTTPResponse(self._file, method=self._method)  # type: ignore[arg-type]
                self._file.kept.append(response)
                response.begin()
                if not 102 <= response.status < 200 or len(interim) >= MAX_INTERIM:
                    return _read(response, interim, altered)
                interim.append(response.status)
                altered = altered or any(response.getheader(name) for name in OF_A_FINAL_ANSWER)
        except TimeoutError as exc:
            raise TimedOut("no answer came") from exc
        except (OSError, http.client.HTTPException) as exc:
            raise NoAnswer("the connection ended without an answer") from exc


def _read(response: http.client.HTTPResponse, interim: list[int], altered: bool) -> Reply:
    headers = {name.lower(): value for name, value in response.getheaders()}
    if response.status == http.HTTPStatus.SWITCHING_PROTOCOLS:  # what follows is not a body
        return Reply(response.status, headers, b"", interim, altered, 0.0)
    first = response.read(1)
    begun_s = time.monotonic()
    body = first + response.read(MAX_BODY_BYTES)
    spread_s = time.monotonic() - begun_s
    return Reply(response.status, headers, body, interim, altered, spread_s)
