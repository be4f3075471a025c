"""The floor: a gevent server that only moves bytes from a socket into a file, as fast as it can.

It receives into one reused, page-aligned buffer and writes with pwrite; it knows no frames, no masks, no
acknowledgements and no other clients. A run is a connection: a line "FILE SIZE", then the bytes; the answer
is one byte when they are all written. `python -m bench.floors.gevent_floor PORT`. With `sha256` behind the
port a thread digests each block while the next one comes in; with `crc32c` the loop computes that of all.
"""

from __future__ import annotations

import hashlib
import mmap
import os
import socket
import sys
from collections.abc import Callable
from itertools import cycle

from crc32c import crc32c
from gevent.server import StreamServer
from gevent.threadpool import ThreadPool

BUFFER_BYTES = 512 * 1024
BLOCK_BYTES = 8 * BUFFER_BYTES
"""How much is digested at a time, as in a large chunk of our server."""
POOL = ThreadPool(1)
"""The thread stays, because the CPU time of a thread that has ended is lost."""


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
    """Writes this number of bytes to the file."""
    buffer = memoryview(mmap.mmap(-1, BUFFER_BYTES))
    offset = 0
    while offset < size_bytes:
        got = connection.recv_into(buffer[: size_bytes - offset])
        if not got:
            break
        os.pwrite(fd, buffer[:got], offset)
        offset += got


def write_and_checksum(connection: socket.socket, fd: int, size_bytes: int) -> None:
    """The same with a CRC-32C, computed while the bytes are in the cache."""
    buffer = memoryview(mmap.mmap(-1, BUFFER_BYTES))
    offset = crc = 0
    while offset < size_bytes:
        got = connection.recv_into(buffer[: size_bytes - offset])
        if not got:
            break
        crc = crc32c(buffer[:got], crc)
        os.pwrite(fd, buffer[:got], offset)
        offset += got


def write_and_digest(connection: socket.socket, fd: int, size_bytes: int) -> None:
    """The same with a digest. The answer comes once all bytes are digested."""
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
    how = {"sha256": write_and_digest, "crc32c": write_and_checksum}[sys.argv[2]] if sys.argv[2:] else write
    StreamServer(("127.0.0.1", int(sys.argv[1])), lambda sock, _: serve(sock, how)).serve_forever()
