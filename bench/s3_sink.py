"""A store that discards: it reads requests as fast as it can, and answers what an S3 client wants to hear.

What a client costs shows against it, since the store costs little. It remembers the size and the checksum of
what is made of parts, and nothing else. `python -m bench.s3_sink PORT`
"""

from __future__ import annotations

import re
import socket
import sys
import threading
from dataclasses import dataclass
from typing import Final

from incoming.storage.s3.store.completion import etag_of_parts

BUFFER_BYTES: Final = 1 << 20
ETAG: Final = "d41d8cd98f00b204e9800998ecf8427e"
_LENGTH: Final = re.compile(rb"content-length: *(\d+)", re.IGNORECASE)
_CHECKSUM: Final = re.compile(rb"x-amz-checksum-crc32c: *\S+\r\n", re.IGNORECASE)
_METADATA: Final = re.compile(rb"x-amz-meta-\S+: *\S+\r\n", re.IGNORECASE)
_CREATED: Final = (
    b"<InitiateMultipartUploadResult xmlns='http://s3.amazonaws.com/doc/2006-03-01/'>"
    b"<UploadId>u</UploadId></InitiateMultipartUploadResult>"
)
_COMPLETED: Final = b"<CompleteMultipartUploadResult xmlns='http://s3.amazonaws.com/doc/2006-03-01/'/>"
_OK: Final = b"HTTP/1.1 200 OK\r\n"
_MISSING: Final = b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"


@dataclass(slots=True)
class Object:
    """What is known of an object that comes in parts."""

    size_bytes: int = 0
    parts: int = 0
    headers: bytes = b""
    is_complete: bool = False

    def etag(self) -> str:
        """Returns the ETag of the whole, as S3 computes it."""
        return etag_of_parts([ETAG] * self.parts) or ""


_objects: dict[bytes, Object] = {}


def serve(connection: socket.socket) -> None:
    """Answers the requests of one connection until it is closed."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
    buffer = memoryview(bytearray(BUFFER_BYTES))
    received = b""
    while True:
        while b"\r\n\r\n" not in received:
            piece = connection.recv(65_536)
            if not piece:
                return
            received += piece
        head, _, body = received.partition(b"\r\n\r\n")
        found = _LENGTH.search(head)
        size_bytes = int(found[1]) if found else 0
        left = size_bytes - len(body)
        received = b""
        while left > 0:
            count = connection.recv_into(buffer[: min(left, BUFFER_BYTES)])
            if not count:
                return
            left -= count
        connection.sendall(_answer(head + b"\r\n", size_bytes))


def _answer(head: bytes, size_bytes: int) -> bytes:
    method, target, _ = head.split(b" ", 2)
    path, _, query = target.partition(b"?")
    known = f'ETag: "{ETAG}"\r\n'.encode()
    one = _objects.get(path)
    if method == b"HEAD":
        if path.count(b"/") == 1:  # the bucket
            return _OK + b"Content-Length: 0\r\n\r\n"
        return _about(one) if one and one.is_complete else _MISSING
    body = b""
    checksum = _CHECKSUM.search(head)
    if method == b"POST" and query.startswith(b"uploads"):
        _objects[path] = Object(headers=b"".join(_METADATA.findall(head)))
        body = _CREATED
    elif method == b"POST" and one:
        one.is_complete = True
        one.headers += (checksum[0] if checksum else b"") + b"x-amz-checksum-type: FULL_OBJECT\r\n"
        body = _COMPLETED
    elif method == b"PUT":
        known += checksum[0] if checksum else b""
        if one and b"partNumber" in query:
            one.size_bytes += size_bytes
            one.parts += 1
    return _OK + b"%sContent-Length: %d\r\n\r\n%s" % (known, len(body), body)


def _about(one: Object) -> bytes:
    about = f'ETag: "{one.etag()}"\r\nContent-Length: {one.size_bytes}\r\n\r\n'
    return _OK + one.headers + about.encode()


def main(port: int) -> None:
    """Serves until it is killed."""
    listener = socket.create_server(("127.0.0.1", port), backlog=100)
    while True:
        threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()


if __name__ == "__main__":
    main(int(sys.argv[1]))
