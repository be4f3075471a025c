"""Our server with clients of plain HTTP.

The answer to the last byte of a file waits until the file is synced and the app has it. Others do neither.
So that the same is compared, the request that is timed brings all bytes but the last one. Its answer says
that they are stored, as an acknowledgement over a WebSocket does. `finish` sends the last byte.
"""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any, Final

from bench.content import RING_BYTES, file_crc32c, file_sha256, ring
from bench.keep_alive import KeepAliveConnection
from bench.load import Http, HttpRequests, Upload
from bench.rivals.ours import Ours
from tests.support.data import MIB
from tests.support.hosts import GunicornServer, UwsgiServer
from tests.support.http_upload import HttpUpload
from tests.support.server import new_upload
from tests.support.tus import MEDIA_TYPE

TUS: Final = f"Tus-Resumable: 1.0.0\r\nContent-Type: {MEDIA_TYPE}\r\n"
CHUNK_BYTES: Final = 4 * MIB


class OverHttp(Ours):
    """A client that sends all bytes except the last one, and then the last one."""

    def upload(self, size_bytes: int) -> Upload:
        """See Rival."""
        ticket_id = new_upload(self, self.app.url, lengthBytes=str(size_bytes))
        upload = self._request(HttpUpload(self.url, ticket_id).path, size_bytes)
        self._tickets[id(upload)] = ticket_id
        return upload

    def _request(self, path: str, size_bytes: int) -> Upload:
        """Returns the request, or the requests, that are timed."""
        raise NotImplementedError

    def _last(self, size_bytes: int) -> tuple[str, str]:
        """Returns the method and the fields of the request that brings the last byte."""
        raise NotImplementedError

    def finish(self, upload: Upload) -> Path:
        """See Rival."""
        upload.socket.close()
        ticket_id = self._tickets.pop(id(upload))
        at = upload.size_bytes
        method, fields = self._last(at + 1)
        with KeepAliveConnection(self.port) as connection:
            path = HttpUpload(self.url, ticket_id).path
            connection.ask(f"{method} {path}", ring()[at % RING_BYTES :][:1], fields)
        return self.storage_dir / ticket_id


class Put(OverHttp):
    """The file as a body, as curl sends it."""

    title = "Incoming!!, one PUT"

    def _request(self, path: str, size_bytes: int) -> Upload:
        head = f"PUT {path} HTTP/1.1\r\nContent-Range: bytes 0-{size_bytes - 2}/{size_bytes}"
        return Http(self.port, head, size_bytes - 1)

    def _last(self, size_bytes: int) -> tuple[str, str]:
        return "PUT", f"Content-Range: bytes {size_bytes - 1}-{size_bytes - 1}/{size_bytes}\r\n"


class PutUntilHandedOver(Ours):
    """The whole file in one PUT, whose answer says that the app has it."""

    title = "Incoming!!, one PUT until handed over, --fsync no"

    def __init__(self, storage_dir: Path, **settings: Any) -> None:
        super().__init__(storage_dir, fsync="no", **settings)

    def upload(self, size_bytes: int) -> Upload:
        """See Rival."""
        ticket_id = new_upload(self, self.app.url)
        upload = Http(self.port, f"PUT {HttpUpload(self.url, ticket_id).path} HTTP/1.1", size_bytes)
        self._tickets[id(upload)] = ticket_id
        return upload

    def finish(self, upload: Upload) -> Path:
        """See Rival."""
        upload.socket.close()
        return self.storage_dir / self._tickets.pop(id(upload))


class Patch(OverHttp):
    """tus, in one PATCH."""

    title = "Incoming!!, one PATCH of tus"

    def _head(self, path: str, start: int, checksum: str = "") -> str:
        fields = f"{TUS}Upload-Offset: {start}{checksum}"
        return f"PATCH {path} HTTP/1.1\r\n{fields}"

    def _request(self, path: str, size_bytes: int) -> Upload:
        return Http(self.port, self._head(path, 0), size_bytes - 1)

    def _last(self, size_bytes: int) -> tuple[str, str]:
        return "PATCH", f"{TUS}Upload-Offset: {size_bytes - 1}\r\n"


class PatchWithCrc32c(Patch):
    """The same with a checksum: the server stores all of it or nothing."""

    title = "Incoming!!, one PATCH with Upload-Checksum: crc32c"

    def _request(self, path: str, size_bytes: int) -> Upload:
        crc = base64.b64encode(file_crc32c(size_bytes - 1).to_bytes(4)).decode()
        head = self._head(path, 0, f"\r\nUpload-Checksum: crc32c {crc}")
        return Http(self.port, head, size_bytes - 1)


class ShortPatches(Patch):
    """tus, in requests of 4 MiB on one connection."""

    title = "Incoming!!, PATCHes of 4 MiB"

    def _request(self, path: str, size_bytes: int) -> Upload:
        return HttpRequests(self.port, lambda start, _: self._head(path, start), size_bytes - 1, CHUNK_BYTES)


class PutWithSha256(OverHttp):
    """The IETF's resumable upload, with the digest of the whole file."""

    title = "Incoming!!, one PUT with Repr-Digest: sha-256"

    def _request(self, path: str, size_bytes: int) -> Upload:
        digest = base64.b64encode(bytes.fromhex(file_sha256(size_bytes))).decode()
        fields = f"Upload-Complete: ?0\r\nUpload-Length: {size_bytes}\r\nRepr-Digest: sha-256=:{digest}:"
        return Http(self.port, f"PUT {path} HTTP/1.1\r\n{fields}", size_bytes - 1)

    def _last(self, size_bytes: int) -> tuple[str, str]:
        fields = f"Upload-Offset: {size_bytes - 1}\r\nContent-Type: application/partial-upload\r\n"
        return "PATCH", f"Upload-Complete: ?1\r\n{fields}"


class PatchUnderUwsgi(UwsgiServer, Patch):
    """One PATCH, under uWSGI."""

    title = "Incoming!!, one PATCH, uWSGI"


class PatchUnderGunicorn(GunicornServer, Patch):
    """One PATCH, under gunicorn."""

    title = "Incoming!!, one PATCH, gunicorn"


class ShortPatchesUnderGunicorn(GunicornServer, ShortPatches):
    """PATCHes of 4 MiB on one connection, under gunicorn."""

    title = "Incoming!!, PATCHes of 4 MiB, gunicorn"
