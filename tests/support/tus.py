"""tus 1.0 as its text has it: each request of one upload, with what a test adds or leaves out."""

from __future__ import annotations

import base64
import hashlib
import zlib
from collections.abc import Mapping
from typing import Final
from urllib.parse import urljoin, urlsplit

from crc32c import crc32c

from tests.support.app import Delivery, ScriptedApp
from tests.support.http_upload import HttpAnswer, HttpUpload, OpenRequest
from tests.support.server import RunningServer, new_upload

VERSION: Final = {"Tus-Resumable": "1.0.0"}
MEDIA_TYPE: Final = "application/offset+octet-stream"
CHUNKED: Final = {"Transfer-Encoding": "chunked"}
KEPT: Final = {"removeFileWhenFinished": "false"}
"""Parameters of a ticket whose file stays where it is."""


def in_base64(value: bytes | str) -> str:
    """Returns the value in base64."""
    return base64.b64encode(value if isinstance(value, bytes) else value.encode()).decode()


def checksum(algorithm: str, data: bytes) -> str:
    """Returns the value of Upload-Checksum for these bytes."""
    match algorithm:
        case "crc32c":
            digest = crc32c(data).to_bytes(4)
        case "crc32":
            digest = zlib.crc32(data).to_bytes(4)
        case _:
            digest = hashlib.new(algorithm, data).digest()
    return f"{algorithm} {in_base64(digest)}"


class TusUpload(HttpUpload):
    """The upload of one ticket. Each request is on a connection of its own."""

    def send(self, method: str, body: bytes = b"", **headers: str) -> HttpAnswer:
        """Makes a request. `Upload_Offset="5"` becomes a header. The version is sent, or another one."""
        has_body = bool(body) or method in ("POST", "PATCH")
        return self.ask(method, VERSION | _named(headers), body if has_body else None)

    def create(self, length_bytes: int | None = None, body: bytes = b"", **headers: str) -> HttpAnswer:
        """POST. A length of None is deferred.

        The next requests go to the address that the answer names, which may have the length. The address of a
        part is for the caller.
        """
        deferred = {"Upload_Defer_Length": "1"}
        length = deferred if length_bytes is None else {"Upload_Length": str(length_bytes)}
        content = {"Content_Type": MEDIA_TYPE} if body else {}
        answer = self.send("POST", body, **{**length, **content, **headers})
        named = urlsplit(urljoin(self.url, answer.headers.get("location", "")))
        if named.path == urlsplit(self.url).path:
            self.path = named._replace(scheme="", netloc="").geturl()
        return answer

    def head(self, **headers: str) -> HttpAnswer:
        """HEAD."""
        return self.send("HEAD", b"", **headers)

    def append(self, offset_bytes: int, body: bytes = b"", **headers: str) -> HttpAnswer:
        """PATCH."""
        about = {"Content_Type": MEDIA_TYPE, "Upload_Offset": str(offset_bytes)}
        return self.send("PATCH", body, **{**about, **headers})

    def terminate(self) -> HttpAnswer:
        """DELETE."""
        return self.send("DELETE")

    def begin(self, method: str, **headers: str) -> OpenRequest:
        """Sends the head of a request with a file's bytes. The caller sends them."""
        return self.open(method, {**VERSION, "Content-Type": MEDIA_TYPE, **_named(headers)})

    def begin_append(self, offset_bytes: int, **headers: str) -> OpenRequest:
        """Sends the head of a PATCH. The caller sends its body."""
        return self.begin("PATCH", **{"Upload_Offset": str(offset_bytes), **headers})

    def append_chunked(
        self, offset_bytes: int, *chunks: bytes, trailers: Mapping[str, str] | None = None, **headers: str
    ) -> HttpAnswer:
        """PATCH with a chunked body."""
        with self.begin_append(offset_bytes, **{"Transfer_Encoding": "chunked", **headers}) as request:
            for chunk in chunks:
                request.send_chunk(chunk)
            fields = "".join(f"{name}: {value}\r\n" for name, value in (trailers or {}).items())
            request.send(f"0\r\n{fields}\r\n".encode("latin-1"))
            return request.answer()


def _named(headers: Mapping[str, str]) -> dict[str, str]:
    return {name.replace("_", "-"): value for name, value in headers.items()}


class IssuedTusUpload(TusUpload):
    """An upload with its ticket, its server and its app."""

    def __init__(self, server: RunningServer, app: ScriptedApp, **params: str) -> None:
        self.server, self.app = server, app
        super().__init__(server.url, new_upload(server, app.url, **params))

    @property
    def state(self) -> str:
        """The state of the ticket in the journal."""
        return self.server.journaled_state(self.ticket_id)

    @property
    def delivery(self) -> Delivery:
        """The one call to the app."""
        (delivery,) = self.app.about(self.ticket_id)
        return delivery
