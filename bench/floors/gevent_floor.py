"""The floor: what a gevent server can do at best when it takes bytes off a socket and puts them into a file.

It receives into one reused, page-aligned buffer and writes with pwrite; it knows no frames, no masks, no
acknowledgements and no other clients. A run is a connection: a line "FILE SIZE", then the bytes; the answer
is one byte when they are all written. `python -m bench.floors.gevent_floor PORT`. With `sha256` behind the
port a thread digests each block while the next one comes in.
"""

from __future__ import annotations

import hashlib
import mmap
import os
import socket
import sys
from collections.abc import Callable
from itertools import cycle

from gevent.server import StreamServer
from gevent.threadpool import ThreadPool

BUFFER_BYTES = 512 * 1024
BLOCK_BYTES = 8 * BUFFER_BYTES
"""Of a digest; a large chunk of our server has as many."""
POOL = ThreadPool(1)
"""It stays: what a thread has cost is not known any more once it has ended."""


def serve(connection: socket.socket, receive: Callable[[socket.socket, int, int], None]) -> None:
    """Stores one run in a new file."""
    line = connection.recv(4096).decode()
    if not line:
        return  # somebody has looked whether there is a floor
    path, size = line.split()
    connection.sendall(b"+")
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL)
    receive(connection, fd, int(size))
    os.close(fd)
    connection.sendall(b".")


def write(connection: socket.socket, fd: int, size_bytes: int) -> None:
    """Writes so many bytes to the file."""
    buffer = memoryview(mmap.mmap(-1, BUFFER_BYTES))
    offset = 0
    while offset < size_bytes:
        got = connection.recv_into(buffer[: size_bytes - offset])
        if not got:
            break
        os.pwrite(fd, buffer[:got], offset)
        offset += got


def write_and_digest(connection: socket.socket, fd: int, size_bytes: int) -> None:
    """The same, and nothing is said before all is digested."""
    digest = hashlib.sha256()
    blocks = cycle([memoryview(mmap.mmap(-1, BLOCK_BYTES)) for _ in range(2)])
    digested = POOL.spawn(digest.update, b"")
    offset = 0
    while offset < size_bytes:
        block, used = next(blocks)[: size_bytes - offset], 0
        while used < len(block):
            got = connection.recv_into(block[used : used + BUFFER_BYTES])
            if not got:
                return
            os.pwrite(fd, block[used : used + got], offset + used)
            used += got
        digested.get()
        digested = POOL.spawn(digest.update, block)
        offset += used
    digested.get()


if __name__ == "__main__":
    how = write_and_digest if sys.argv[2:] == ["sha256"] else write
    StreamServer(("127.0.0.1", int(sys.argv[1])), lambda sock, _: serve(sock, how)).serve_forever()
