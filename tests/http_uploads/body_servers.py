"""`reading_app` under each web server, and a client that says exactly which bytes it sends."""

from __future__ import annotations

import contextlib
import fcntl
import json
import socket
import ssl
import struct
import sys
import termios
from typing import Any, ClassVar, Self

from tests.support.certificates import make_certificate
from tests.support.hosts import BIN, HostedServer
from tests.support.server import ROOT
from tests.support.waiting import wait_until

APP = "tests.http_uploads.reading_app"
READ_TIMEOUT_S = 60.0


class BodyServer(HostedServer):
    """Runs the app; what it writes is below `storage_dir`."""

    scheme: ClassVar[str] = "http"
    keeps_alive: ClassVar[bool] = True
    """Whether it serves several requests on a connection."""
    says_close: ClassVar[bool] = True
    """Whether it passes on what the app answers as `Connection`."""
    continues_by_itself: ClassVar[bool] = False
    """Whether it sends "100 Continue" before it calls the app."""

    @property
    def url(self) -> str:
        """See RunningServer."""
        return f"{self.scheme}://127.0.0.1:{self.port}"

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
        with self.connect() as client:
            return client.send(head(path, "Connection: close", method=method)).json()

    def connect(self) -> Client:
        """Returns a new connection."""
        sock = socket.create_connection(("127.0.0.1", self.port), READ_TIMEOUT_S)
        if self.scheme == "https":
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
            sock = context.wrap_socket(sock)
        return Client(sock)

    def wait_received(self, name: str, size_bytes: int) -> None:
        """Returns once the app has read so much of a body."""
        wait_until(lambda: self.ask("GET", name)["received"] == size_bytes, f"{size_bytes} bytes are read")

    def wait_begun(self, name: str) -> None:
        """Returns once the app has got a request."""
        wait_until(lambda: self.ask("GET", name)["received"] is not None, f"{name} has begun")

    def go(self, name: str) -> None:
        """Lets the app begin with a body that waits."""
        (self.storage_dir / name).with_suffix(".go").touch()

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


class TlsPywsgi(PlainPywsgi):
    """The same, with TLS."""

    title, kind = "TLS", "tls"
    scheme = "https"

    def _command(self) -> list[str]:
        folder = self.storage_dir.parent
        make_certificate(folder)
        return [*super()._command(), str(folder / "cert.pem"), str(folder / "key.pem")]


class Gunicorn(BodyServer):
    """gunicorn's gevent worker."""

    title = "gunicorn"
    says_close = False
    continues_by_itself = True

    def _command(self) -> list[str]:
        options = ["--worker-class", "gevent", "--no-control-socket", "--keep-alive", "30"]
        return [str(BIN / "gunicorn"), *options, "--bind", f"127.0.0.1:{self.port}", f"{APP}:application"]


class Uwsgi(BodyServer):
    """uWSGI with its gevent loop, as deploy/uwsgi.ini has it."""

    title = "uWSGI"
    keeps_alive = False

    def _command(self) -> list[str]:
        return [
            *(str(BIN / "uwsgi"), "--http-socket", f"127.0.0.1:{self.port}", "--gevent", "50"),
            *("--gevent-early-monkey-patch", "--master", "--lazy-apps", "--die-on-term"),
            *("--buffer-size", "32768", "--virtualenv", str(BIN.parent), "--disable-logging"),
            *("--chdir", str(ROOT), "--module", f"{APP}:application", *self._options),
        ]


BODY_SERVERS: tuple[type[BodyServer], ...] = (OurServer, PlainPywsgi, TlsPywsgi, Gunicorn, Uwsgi)


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

    def json(self) -> dict[str, Any]:
        """Returns the body of the final answer."""
        answer = self.answer()
        while answer[0] < 200:
            answer = self.answer()
        return dict(json.loads(answer[2]))

    def wait_delivered(self) -> None:
        """Returns once the server's kernel has everything that was sent."""

        def unsent_bytes() -> int:
            found = fcntl.ioctl(self.socket.fileno(), termios.TIOCOUTQ, bytes(4))
            return int.from_bytes(found, sys.byteorder)

        wait_until(lambda: not unsent_bytes(), "everything is delivered")

    def ends(self) -> bool:
        """Returns whether the server has ended the connection and sends nothing more."""
        return self._reader.read(1) == b""

    def rest(self) -> bytes:
        """Returns what the server sends until it ends the connection."""
        received = b""
        with contextlib.suppress(ConnectionError):
            while more := self._reader.read(1):
                received += more
        return received

    def shut(self) -> None:
        """Says that nothing more will be sent."""
        self.socket.shutdown(socket.SHUT_WR)

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
