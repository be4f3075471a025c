"""The floor: what a gevent server can do at best when it takes bytes off a socket and puts them into a file.

It receives into one reused, page-aligned buffer and writes with pwrite; it knows no frames, no masks, no
acknowledgements and no other clients. A run is a connection: a line "FILE SIZE", then the bytes; the answer
is one byte when they are all written. `python -m bench.floors.gevent_floor PORT`.
"""

from __future__ import annotations

import mmap
import os
import socket
import sys

from gevent.server import StreamServer

BUFFER_BYTES = 512 * 1024


def receive(connection: socket.socket, _: object) -> None:
    """Stores one run in a new file."""
    line = connection.recv(4096).decode()
    if not line:
        return  # somebody has looked whether there is a floor
    path, size = line.split()
    connection.sendall(b"+")
    buffer = memoryview(mmap.mmap(-1, BUFFER_BYTES))
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL)
    offset, end = 0, int(size)
    while offset < end:
        got = connection.recv_into(buffer[: end - offset])
        if not got:
            break
        os.pwrite(fd, buffer[:got], offset)
        offset += got
    os.close(fd)
    connection.sendall(b".")


if __name__ == "__main__":
    StreamServer(("127.0.0.1", int(sys.argv[1])), receive).serve_forever()
