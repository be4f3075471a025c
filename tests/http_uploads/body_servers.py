"""`reading_app` under each web server, and a client that says exactly which bytes it sends."""

from __future__ import annotations

import contextlib
import json
import socket
import ssl
import struct
import sys
import urllib.request
from typing import Any, ClassVar, Self

from tests.support.hosts import BIN, HostedServer
from tests.support.server import ROOT
from tests.support.waiting import wait_until

APP = "tests.http_uploads.reading_app"
READ_TIMEOUT_S = 10.0


class BodyServer(HostedServer):
    """Runs the app; what it writes is below `storage_dir`."""

    def _environment(self) -> dict[str, str]:
        self.storage_dir.mkdir(exist_ok=True)
        return super()._environment() | {"READING_APP_DIR": str(self.storage_dir)}

    def _announced_url(self) -> str:
        assert self._process and self._process.poll() is None, "the server ended at its start"
        with contextlib.suppress(OSError):  # it is still starting
            self.ask("GET", "ready")
            return self.url
        return ""

    def ask(self, method: str, path: str) -> dict[str, Any]:
        """Returns what the app answers to a request without a body."""
        request = urllib.request.Request(f"{self.url}/{path}", method=method)
        context = ssl._create_unverified_context() if self.url.startswith("https") else None
        with urllib.request.urlopen(request, timeout=READ_TIMEOUT_S, context=context) as answer:
            return dict(json.load(answer))

    def connect(self) -> Client:
        """Returns a new connection."""
        return Client(socket.create_connection(("127.0.0.1", self.port), READ_TIMEOUT_S))

    def found(self, name: str) -> dict[str, Any]:
        """Returns what came of a request, once it has ended."""
        file = self.storage_dir / f"{name}.json"
        wait_until(file.exists, f"the reading of {name} has ended")
        return dict(json.loads(file.read_text()))

    def stored(self, name: str) -> bytes:
        """Returns the bytes of a body that were read."""
        return (self.storage_dir / name).read_bytes()


class OurServer(BodyServer):
    """Our own HTTP server."""

    title = "ours"
    kind: ClassVar[str] = "ours"

    def _command(self) -> list[str]:
        return [sys.executable, "-m", APP, self.kind, str(self.port)]


class PlainPywsgi(OurServer):
    """gevent's server as it is."""

    title = kind = "pywsgi"


class Gunicorn(BodyServer):
    """gunicorn's gevent worker."""

    title = "gunicorn"

    def _command(self) -> list[str]:
        options = ["--worker-class", "gevent", "--no-control-socket", "--keep-alive", "30"]
        return [str(BIN / "gunicorn"), *options, "--bind", f"127.0.0.1:{self.port}", f"{APP}:application"]


class Uwsgi(BodyServer):
    """uWSGI with its gevent loop, as deploy/uwsgi.ini has it."""

    title = "uWSGI"

    def _command(self) -> list[str]:
        return [
            *(str(BIN / "uwsgi"), "--http-socket", f"127.0.0.1:{self.port}", "--gevent", "50"),
            *("--gevent-early-monkey-patch", "--master", "--lazy-apps", "--die-on-term"),
            *("--buffer-size", "32768", "--virtualenv", str(BIN.parent), "--disable-logging"),
            *("--chdir", str(ROOT), "--module", f"{APP}:application", *self._options),
        ]


BODY_SERVERS: tuple[type[BodyServer], ...] = (OurServer, PlainPywsgi, Gunicorn, Uwsgi)


class Client:
    """One connection to a server."""

    def __init__(self, sock: socket.socket) -> None:
        self.socket = sock
        self._reader = sock.makefile("rb")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._reader.close()
        self.socket.close()

    def send(self, *parts: bytes) -> Self:
        """Sends everything in one call."""
        self.socket.sendall(b"".join(parts))
        return self

    def answer(self) -> tuple[int, dict[str, str], bytes]:
        """Returns status, headers and body of the next answer, an interim one as well."""
        line = self._reader.readline()
        assert line, "the connection ended before an answer"
        status, headers = int(line.split()[1]), {}
        while field := self._reader.readline().strip():
            name, _, value = field.decode().partition(":")
            headers[name.lower()] = value.strip()
        if status < 200 or status == 204:
            return status, headers, b""
        length = headers.get("content-length")
        return status, headers, self._reader.read(int(length)) if length else self._reader.read()

    def ends(self) -> bool:
        """Returns whether the server has ended the connection and sends nothing more."""
        return self._reader.read(1) == b""

    def break_off(self, *, reset: bool) -> None:
        """Ends the connection with FIN, or with RST."""
        if reset:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._reader.close()
        self.socket.close()


def head(name: str, *fields: str, method: str = "PUT", version: str = "1.1") -> bytes:
    """Returns the head of a request."""
    return "\r\n".join((f"{method} /{name} HTTP/{version}", "Host: x", *fields, "", "")).encode()


def put(name: str, data: bytes, *fields: str) -> bytes:
    """Returns a whole request with a body of known length."""
    return head(name, f"Content-Length: {len(data)}", *fields) + data


def chunked(data: bytes, chunk_bytes: int, trailers: str = "") -> bytes:
    """Returns data in the chunked coding."""
    pieces = (data[at : at + chunk_bytes] for at in range(0, len(data), chunk_bytes))
    coded = b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces)
    return coded + b"0\r\n" + trailers.encode() + b"\r\n"
