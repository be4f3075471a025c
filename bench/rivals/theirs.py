"""Other servers that a user could choose, set up as their documentation says."""

from __future__ import annotations

import re
import socket
import sys
from pathlib import Path
from typing import Any, ClassVar, Final

from bench.load import Http, Upload
from bench.rivals.base import HERE, PYTHON, Rival
from tests.support.tools import program

MAX_HEAD_BYTES: Final = 1 << 16
NGINX: Final = """
daemon off;
worker_processes 1;
{user}
pid {folder}/nginx.pid;
error_log {folder}/error.log;
events {{ worker_connections 512; }}
http {{
    access_log off;
    client_max_body_size 0;
    client_body_temp_path {folder}/temp;
    {tuning}
    server {{
        listen 127.0.0.1:{port};
        location / {{ root {folder}/files; dav_methods PUT; }}
    }}
}}
"""


class TusRival(Rival):
    """tus 1.0: a POST creates the upload, and one PATCH brings all of its bytes."""

    def upload(self, size_bytes: int) -> Upload:
        """See Rival."""
        fields = (
            f"Tus-Resumable: 1.0.0\r\nUpload-Length: {size_bytes}\r\nContent-Length: 0\r\nConnection: close"
        )
        head = _ask(
            self.port, f"POST {self.path} HTTP/1.1\r\nHost: 127.0.0.1:{self.port}\r\n{fields}\r\n\r\n"
        )
        fields = "Tus-Resumable: 1.0.0\r\nUpload-Offset: 0\r\nContent-Type: application/offset+octet-stream"
        return Http(self.port, f"PATCH {location(head)} HTTP/1.1\r\n{fields}", size_bytes)

    path: ClassVar[str] = "/files"


def location(head: str) -> str:
    """Returns the path in the Location of an answer."""
    found = re.search(r"(?im)^location: *(?:https?://[^/]+)?(\S+)", head)
    assert found, head
    return found[1]


def _ask(port: int, request: str) -> str:
    with socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
        connection.sendall(request.encode())
        head = b""
        while b"\r\n\r\n" not in head and (more := connection.recv(MAX_HEAD_BYTES)):
            head += more
    assert head.split(None, 2)[1].startswith(b"2"), head
    return head.decode("latin-1")


class TusNode(TusRival):
    """@tus/server with its file store."""

    title = "@tus/server (Node.js)"

    def _command(self) -> list[str]:
        return [program("node"), str(HERE / "tus_node.mjs"), str(self.files), str(self.port)]


class TusPython(TusRival):
    """tuspyserver under uvicorn."""

    title = "tuspyserver (Python)"
    path = "/files/"

    def _command(self) -> list[str]:
        return [str(PYTHON / "python"), str(HERE / "tus_python.py"), str(self.files), str(self.port)]


class Copyparty(Rival):
    """One PUT, with the checksum that the server computes by default."""

    title = "copyparty PUT, with its checksum (Python)"
    query: ClassVar[str] = ""

    def _command(self) -> list[str]:
        options = ["-q", "-i", "127.0.0.1", "-p", str(self.port), "--no-thumb", "-v", f"{self.files}::A"]
        return [str(PYTHON / "copyparty"), *options]

    def _environment(self) -> dict[str, str]:
        return super()._environment() | {"XDG_CONFIG_HOME": str(self.storage_dir.with_name("copyparty.conf"))}

    def upload(self, size_bytes: int) -> Upload:
        """See Rival."""
        return Http(self.port, f"PUT /file-{next(self._numbers)}{self.query} HTTP/1.1", size_bytes)


class CopypartyPlain(Copyparty):
    """One PUT, without any checksum."""

    title = "copyparty PUT, no checksum (Python)"
    query = "?ck=no"


class Nginx(Rival):
    """The dav module's PUT."""

    title = "nginx PUT"
    tuning: ClassVar[str] = ""

    def __init__(self, storage_dir: Path, **settings: Any) -> None:
        super().__init__(storage_dir, **settings)
        self.files = storage_dir / "files"
        for folder in (self.files, storage_dir / "temp"):
            folder.mkdir(mode=0o777)

    def _command(self) -> list[str]:
        fields = {"user": "user root;", "folder": self.storage_dir, "port": self.port, "tuning": self.tuning}
        file = self.storage_dir / "nginx.conf"
        file.write_text(NGINX.format(**fields))
        return [program("nginx"), "-c", str(file), "-p", str(self.storage_dir)]

    def upload(self, size_bytes: int) -> Upload:
        """See Rival."""
        return Http(self.port, f"PUT /file-{next(self._numbers)} HTTP/1.1", size_bytes)


class NginxTuned(Nginx):
    """The same with a larger buffer, the only setting that helps."""

    title = "nginx PUT, buffer of 1 MiB"
    tuning = "client_body_buffer_size 1m;"


class Floor(Rival):
    """A floor: it only receives and writes."""

    def upload(self, size_bytes: int) -> Upload:
        """See Rival."""
        return _ToFloor(self.port, self.files / f"file-{next(self._numbers)}", size_bytes)

    def finish(self, upload: Upload) -> Path:
        """See Rival."""
        assert isinstance(upload, _ToFloor)
        upload.socket.close()
        return upload.file


class _ToFloor(Http):
    """An upload to a floor: one line takes the place of HTTP."""

    def __init__(self, port: int, file: Path, size_bytes: int) -> None:
        super().__init__(port, "", size_bytes)
        self.file = file
        next(self._pieces)
        self.socket.sendall(f"{file} {size_bytes}\n".encode())
        assert self.socket.recv(1) == b"+"

    def hear(self) -> None:
        """See Upload."""
        assert self.socket.recv(1) == b".", "the floor hung up"
        self.acked_bytes = self.size_bytes


class FloorC(Floor):
    """The floor in C."""

    title = "floor: receive and write, in C"

    def _command(self) -> list[str]:
        binary = self.storage_dir / "floor"
        source = HERE.parent / "floors" / "floor.c"
        return [
            "sh",
            "-c",
            'gcc -O2 -o "$0" "$1" && exec "$0" "$2"',
            str(binary),
            str(source),
            str(self.port),
        ]


class FloorGevent(Floor):
    """The floor in Python, on gevent."""

    title = "floor: receive and write, in gevent"

    def _command(self) -> list[str]:
        return [sys.executable, "-m", "bench.floors.gevent_floor", str(self.port)]


class FloorSha256(FloorGevent):
    """The floor on gevent, with a thread that digests the bytes."""

    title = "floor and SHA-256, in gevent"

    def _command(self) -> list[str]:
        return [*super()._command(), "sha256"]


class FloorCrc32c(FloorGevent):
    """The floor on gevent, with the CRC-32C of all bytes."""

    title = "floor and CRC-32C, in gevent"

    def _command(self) -> list[str]:
        return [*super()._command(), "crc32c"]
