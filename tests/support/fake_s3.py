"""A small S3 in memory that fails on command: what no real server does when a test wants it to.

Apart from its faults it works like a real one, as far as uploads ask: parts, conditions, checksums. It
checks no signatures. A fault is due for the next calls of an operation, see `Fault`.
"""

from __future__ import annotations

import base64
import hashlib
import http.server
import socket
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, Literal, Self
from urllib.parse import parse_qs, quote, unquote, urlsplit
from xml.etree import ElementTree
from xml.sax.saxutils import escape

from crc32c import crc32c

from incoming.storage.s3.store.client import BucketConfig

Kind = Literal[
    "lost", "dropped", "cut", "refused", "forbidden", "not_implemented", "late_error", "error_after"
]
"""What goes wrong:

- lost: the work is done, and the connection closes without an answer;
- dropped: nothing is done, and the connection closes without an answer;
- cut: the connection is reset in the middle of a body, whichever way it goes;
- refused: 503 SlowDown;
- forbidden: 403 AccessDenied;
- not_implemented: 501 NotImplemented;
- late_error: 200, and an <Error> in its body; nothing is done;
- error_after: the same, though the work is done.

Any of them may take a while: `takes_s`.
"""
NAMESPACE: Final = "http://s3.amazonaws.com/doc/2006-03-01/"
TICKET_HEADER: Final = "x-amz-meta-incoming-ticket"
TIME_HEADER: Final = "x-amz-meta-mtime"
PAGE: Final = 1000


@dataclass(slots=True)
class Fault:
    """The calls of this operation from the `nth` one on go wrong, so many times."""

    operation: str
    kind: Kind
    times: int = 1
    takes_s: float = 0.0
    nth: int = 1
    code: str = "SlowDown"


@dataclass(slots=True)
class StoredObject:
    """An object, or a part."""

    content: bytes
    ticket_id: str = ""
    checksum: str | None = None
    modified: str = ""
    """The metadata `mtime`."""
    salt: bytes = b""
    """With SSE-KMS the ETag of the same bytes is another one each time."""

    etag_of_parts: str = ""

    @property
    def etag(self) -> str:
        """As S3 makes it."""
        digest = hashlib.md5(self.salt + self.content, usedforsecurity=False)
        return self.etag_of_parts or f'"{digest.hexdigest()}"'


@dataclass(slots=True)
class Multipart:
    """An unfinished multipart upload."""

    key: str
    ticket_id: str
    modified: str = ""
    parts: dict[int, StoredObject] = field(default_factory=dict)


class Refusal(Exception):
    """An answer that is an error."""

    def __init__(self, status: int, code: str) -> None:
        super().__init__(code)
        self.status = status
        self.code = code


class FakeS3:
    """The server. A context manager. What it stores may be looked at, and changed."""

    def __init__(self) -> None:
        self.reset()
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.s3 = self
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self._lock = threading.RLock()

    def reset(self) -> None:
        """Makes a new one of it, without anything stored."""
        self.objects: dict[str, StoredObject] = {}
        self.uploads: dict[str, Multipart] = {}
        self.faults: list[Fault] = []
        self.calls: Counter[str] = Counter()
        self.on_call: Callable[[str], None] = lambda operation: None
        """Called before an operation does its work."""
        self.on_call_about: Callable[[str, str], None] = lambda operation, key: None
        """The same, with the key of the object."""
        self.forgets_uploads = False
        """Whether it answers NoSuchUpload to what was completed, as some stores do."""
        self.knows_conditions = True
        """Whether it heeds If-None-Match and If-Match."""
        self.mistakes_conditions = False
        """Whether it refuses If-Match with the ETag that the object has, as Ceph 16 does."""
        self.mistakes_lost_uploads = False
        """Whether it has other words for an upload that is not there, as Ceph 16 does."""
        self.knows_checksums = True
        """Whether it compares CRC-32C, and tells it. If not, it compares MD5 only, as Ceph 16 does."""
        self.damages = 0
        """How many of the next bodies are damaged on their way to it."""
        self.page = PAGE
        """How many objects a page of a list has."""
        self._made_of: dict[str, str] = {}

    @property
    def place(self) -> BucketConfig:
        """Where its only bucket is."""
        url = f"http://127.0.0.1:{self._server.server_port}"
        return BucketConfig("uploads", url, "us-east-1", "test", "secret")

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def fail(self, operation: str, kind: Kind, **about: object) -> Fault:
        """Adds a fault, and returns it: `times` counts down."""
        fault = Fault(operation, kind, **about)  # type: ignore[arg-type]
        self.faults.append(fault)
        return fault

    def content(self, key: str) -> bytes:
        """Returns the content of an object."""
        return self.objects[key].content

    def due(self, operation: str) -> Fault | None:
        """Counts a call, and returns what goes wrong with it."""
        with self._lock:
            self.calls[operation] += 1
            for fault in self.faults:
                if fault.operation == operation and fault.times:
                    if fault.nth > 1:
                        fault.nth -= 1
                        return None
                    fault.times -= 1
                    return fault
            return None

    # --- the operations: each returns the headers and the body of its answer -------------------------

    def do(self, call: _Call) -> tuple[dict[str, str], bytes]:
        """Does what a call asks for. Raises Refusal."""
        self.on_call(call.operation)
        self.on_call_about(call.operation, call.key)
        with self._lock:
            work: Callable[[_Call], tuple[dict[str, str], bytes]] = getattr(self, f"_{call.operation}")
            return work(call)

    def _create(self, call: _Call) -> tuple[dict[str, str], bytes]:
        upload_id = uuid.uuid4().hex
        self.uploads[upload_id] = Multipart(
            call.key, call.headers.get(TICKET_HEADER, ""), call.headers.get(TIME_HEADER, "")
        )
        return {}, _xml("InitiateMultipartUploadResult", f"<UploadId>{upload_id}</UploadId>")

    def _upload(self, call: _Call) -> Multipart:
        upload = self.uploads.get(call.query["uploadId"])
        if upload is None and self.mistakes_lost_uploads and call.operation == "complete":
            raise Refusal(500, "InternalError")
        if upload is None:
            mistakes = self.mistakes_lost_uploads and call.operation == "list_parts"
            raise Refusal(404, "NoSuchKey" if mistakes else "NoSuchUpload")
        return upload

    def _put_part(self, call: _Call) -> tuple[dict[str, str], bytes]:
        part = StoredObject(self._checked_body(call))
        self._upload(call).parts[int(call.query["partNumber"])] = part
        return {"ETag": part.etag, **self._checksum_of(part.content)}, b""

    def _list_parts(self, call: _Call) -> tuple[dict[str, str], bytes]:
        parts = sorted(self._upload(call).parts.items())
        listed = "".join(
            f"<Part><PartNumber>{number}</PartNumber><ETag>{escape(part.etag)}</ETag>"
            f"<Size>{len(part.content)}</Size>{_listed(part.checksum)}</Part>"
            for number, part in parts
        )
        return {}, _xml("ListPartsResult", f"<IsTruncated>false</IsTruncated>{listed}")

    def _complete(self, call: _Call) -> tuple[dict[str, str], bytes]:
        upload_id = call.query["uploadId"]
        if upload_id in self._made_of and not self.forgets_uploads:
            return {}, _xml("CompleteMultipartUploadResult", f"<Key>{escape(call.key)}</Key>")
        upload = self._upload(call)
        self._check_condition(call)
        content, etags = bytearray(), b""
        for listed in ElementTree.fromstring(call.body).iterfind("{*}Part"):
            part = upload.parts.get(int(listed.findtext("{*}PartNumber", "0")))
            if part is None or part.etag != listed.findtext("{*}ETag"):
                raise Refusal(400, "InvalidPart")
            content += part.content
            etags += bytes.fromhex(part.etag.strip('"'))
        checksum = checksum_header(bytes(content))
        if self.knows_checksums and checksum != call.headers.get("x-amz-checksum-crc32c"):
            raise Refusal(400, "BadDigest")
        known = checksum if self.knows_checksums else None
        made = self.objects[call.key] = StoredObject(bytes(content), upload.ticket_id, known, upload.modified)
        made.etag_of_parts = f'"{hashlib.md5(etags, usedforsecurity=False).hexdigest()}-{len(etags) // 16}"'
        del self.uploads[upload_id]
        self._made_of[upload_id] = call.key
        return {}, _xml("CompleteMultipartUploadResult", f"<Key>{escape(call.key)}</Key>")

    def _check_condition(self, call: _Call) -> None:
        if self.knows_conditions and call.headers.get("if-none-match") == "*" and call.key in self.objects:
            raise Refusal(412, "PreconditionFailed")
        wanted = call.headers.get("if-match")
        if self.knows_conditions and wanted:
            found = self._object(call)
            if found.etag != wanted or self.mistakes_conditions:
                raise Refusal(412, "PreconditionFailed")

    def _abort(self, call: _Call) -> tuple[dict[str, str], bytes]:
        self._upload(call)
        del self.uploads[call.query["uploadId"]]
        return {}, b""

    def _list_uploads(self, call: _Call) -> tuple[dict[str, str], bytes]:
        found = "".join(
            f"<Upload><Key>{escape(upload.key)}</Key><UploadId>{upload_id}</UploadId></Upload>"
            for upload_id, upload in self.uploads.items()
            if upload.key.startswith(call.query.get("prefix", ""))
        )
        return {}, _xml("ListMultipartUploadsResult", f"<IsTruncated>false</IsTruncated>{found}")

    def _put(self, call: _Call) -> tuple[dict[str, str], bytes]:
        content = self._checked_body(call)
        self._check_condition(call)
        ticket_id = call.headers.get(TICKET_HEADER, "")
        known = checksum_header(content) if self.knows_checksums else None
        modified = call.headers.get(TIME_HEADER, "")
        stored = self.objects[call.key] = StoredObject(content, ticket_id, known, modified)
        return {"ETag": stored.etag, **self._checksum_of(content)}, b""

    def _checksum_of(self, content: bytes) -> dict[str, str]:
        return {"x-amz-checksum-crc32c": checksum_header(content)} if self.knows_checksums else {}

    def _checked_body(self, call: _Call) -> bytes:
        """Returns the body, if it has the checksums that were sent with it and that this store compares."""
        body, headers = call.body, call.headers
        if self.damages:
            self.damages -= 1
            body = body[:-1] + bytes([body[-1] ^ 1])
        md5 = base64.b64encode(hashlib.md5(body, usedforsecurity=False).digest()).decode()
        is_same_crc = checksum_header(body) == headers.get("x-amz-checksum-crc32c")
        if headers.get("content-md5", md5) != md5 or (self.knows_checksums and not is_same_crc):
            raise Refusal(400, "BadDigest")
        return body

    def _object(self, call: _Call) -> StoredObject:
        found = self.objects.get(call.key)
        if found is None:
            raise Refusal(404, "NoSuchKey")
        return found

    def _head(self, call: _Call) -> tuple[dict[str, str], bytes]:
        found = self._object(call)
        headers = {"ETag": found.etag, "Content-Length": str(len(found.content))}
        if found.ticket_id:
            headers[TICKET_HEADER] = found.ticket_id
        if found.checksum:
            headers["x-amz-checksum-crc32c"] = found.checksum
        return headers, b""

    def _get(self, call: _Call) -> tuple[dict[str, str], bytes]:
        content = self._object(call).content
        first, last = call.headers["range"].removeprefix("bytes=").split("-")
        if int(first) >= len(content):
            raise Refusal(416, "InvalidRange")
        return {}, content[int(first) : int(last) + 1]

    def _delete(self, call: _Call) -> tuple[dict[str, str], bytes]:
        self._check_condition(call)
        self.objects.pop(call.key, None)
        return {}, b""

    def _list(self, call: _Call) -> tuple[dict[str, str], bytes]:
        after = call.query.get("continuation-token", "")
        prefix = call.query.get("prefix", "")
        keys = sorted(key for key in self.objects if key.startswith(prefix) and key > after)
        page = keys[: self.page]
        found = "".join(
            f"<Contents><Key>{quote(key)}</Key><ETag>{escape(self.objects[key].etag)}</ETag>"
            f"<Size>{len(self.objects[key].content)}</Size></Contents>"
            for key in page
        )
        more = f"<NextContinuationToken>{escape(page[-1])}</NextContinuationToken>" if page != keys else ""
        state = f"<IsTruncated>{'true' if more else 'false'}</IsTruncated><EncodingType>url</EncodingType>"
        return {}, _xml("ListBucketResult", f"{state}{more}{found}")

    def _delete_all(self, call: _Call) -> tuple[dict[str, str], bytes]:
        for listed in ElementTree.fromstring(call.body).iterfind("{*}Object"):
            self.objects.pop(listed.findtext("{*}Key", ""), None)
        return {}, _xml("DeleteResult", "")

    def _head_bucket(self, call: _Call) -> tuple[dict[str, str], bytes]:
        return {}, b""


OPERATIONS: Final = {
    ("POST", "uploads"): "create", ("PUT", "uploadId"): "put_part", ("GET", "uploadId"): "list_parts",
    ("POST", "uploadId"): "complete", ("DELETE", "uploadId"): "abort", ("GET", "uploads"): "list_uploads",
    ("PUT", ""): "put", ("HEAD", ""): "head", ("GET", ""): "get", ("DELETE", ""): "delete",
    ("POST", "delete"): "delete_all",
}  # fmt: skip


@dataclass(slots=True)
class _Call:
    """A request."""

    operation: str
    key: str
    query: dict[str, str]
    headers: dict[str, str]
    body: bytes = b""


class _Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    s3: FakeS3

    def handle_error(self, request: object, client_address: object) -> None:
        """A client has gone, as tests have it do."""


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name is inherited
        pass

    def _answer(self) -> None:
        call, length = self._call(), int(self.headers.get("content-length", 0))
        fault = self.server.s3.due(call.operation)
        kind = fault.kind if fault else None
        if kind == "cut" and length:
            self.rfile.read(length // 2)
            self._reset()
            return
        call.body = self.rfile.read(length)
        if fault:
            time.sleep(fault.takes_s)
        if kind == "dropped":
            self._reset()
            return
        if kind == "refused" and fault:
            self._send(503, {}, _error(fault.code))
            return
        if kind == "forbidden":
            self._send(403, {}, _error("AccessDenied"))
            return
        if kind == "not_implemented":
            self._send(501, {}, _error("NotImplemented"))
            return
        if kind == "late_error":
            self._send(200, {}, _error("InternalError"))
            return
        try:
            headers, body = self.server.s3.do(call)
            status = 200
        except Refusal as exc:
            status, headers, body = exc.status, {}, _error(exc.code)
        if kind == "lost":
            self._reset()
        elif kind == "error_after":
            self._send(200, {}, _error("InternalError"))
        else:
            self._send(status, headers, body, is_cut=kind == "cut")

    do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = _answer  # noqa: N815 - names of the base class

    def _call(self) -> _Call:
        url = urlsplit(self.path)
        _, _bucket, *key = unquote(url.path).split("/", 2)
        query = {name: values[0] for name, values in parse_qs(url.query, keep_blank_values=True).items()}
        what = next((name for name in ("uploads", "uploadId", "delete") if name in query), "")
        headers = {name.lower(): value for name, value in self.headers.items()}
        if not any(key) and not what:
            operation = "head_bucket" if self.command == "HEAD" else "list"
        else:
            operation = OPERATIONS[self.command, what]
        return _Call(operation, "/".join(key), query, headers)

    def _send(self, status: int, headers: dict[str, str], body: bytes, is_cut: bool = False) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body[: len(body) // 2] if is_cut else body)
        if is_cut:
            self._reset()

    def _reset(self) -> None:
        self.close_connection = True
        self.wfile.flush()
        self.connection.shutdown(socket.SHUT_RDWR)


def checksum_header(content: bytes) -> str:
    """Returns what x-amz-checksum-crc32c is of these bytes."""
    return base64.b64encode(crc32c(content).to_bytes(4)).decode()


def _listed(checksum: str | None) -> str:
    return f"<ChecksumCRC32C>{checksum}</ChecksumCRC32C>" if checksum else ""


def _xml(name: str, inner: str) -> bytes:
    return f'<?xml version="1.0"?><{name} xmlns="{NAMESPACE}">{inner}</{name}>'.encode()


def _error(code: str) -> bytes:
    return f'<?xml version="1.0"?><Error><Code>{code}</Code><Message>on command</Message></Error>'.encode()
