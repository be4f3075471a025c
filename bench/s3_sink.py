"""A store that discards: it reads requests as fast as it can, and answers what an S3 client wants to hear.

What a client costs shows against it, since the store costs little. `python -m bench.s3_sink PORT`
"""

from __future__ import annotations

import re
import socket
import sys
import threading
from typing import Final

BUFFER_BYTES: Final = 1 << 20
_LENGTH: Final = re.compile(rb"content-length: *(\d+)", re.IGNORECASE)
_CHECKSUM: Final = re.compile(rb"x-amz-checksum-crc32c: *\S+\r\n", re.IGNORECASE)
_CREATED: Final = (
    b"<InitiateMultipartUploadResult xmlns='http://s3.amazonaws.com/doc/2006-03-01/'>"
    b"<UploadId>u</UploadId></InitiateMultipartUploadResult>"
)
_COMPLETED: Final = b"<CompleteMultipartUploadResult xmlns='http://s3.amazonaws.com/doc/2006-03-01/'/>"


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
        left = (int(found[1]) if found else 0) - len(body)
        received = b""
        while left > 0:
            count = connection.recv_into(buffer[: min(left, BUFFER_BYTES)])
            if not count:
                return
            left -= count
        connection.sendall(_answer(head + b"\r\n"))


def _answer(head: bytes) -> bytes:
    request_line = head.partition(b"\r\n")[0]
    if request_line.startswith(b"HEAD"):
        return b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"
    body = b""
    if request_line.startswith(b"POST"):
        body = _CREATED if b"?uploads" in request_line else _COMPLETED
    checksum = _CHECKSUM.search(head) if request_line.startswith(b"PUT") else None
    known = b'ETag: "d41d8cd98f00b204e9800998ecf8427e"\r\n' + (checksum[0] if checksum else b"")
    return b"HTTP/1.1 200 OK\r\n%sContent-Length: %d\r\n\r\n%s" % (known, len(body), body)


def main(port: int) -> None:
    """Serves until it is killed."""
    listener = socket.create_server(("127.0.0.1", port), backlog=100)
    while True:
        threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()


if __name__ == "__main__":
    main(int(sys.argv[1]))
