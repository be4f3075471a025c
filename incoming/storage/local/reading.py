"""Reads ranges of files. Every function blocks on the disk and raises OSError."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from typing import Final

from incoming.core.checksum import checksum

READ_BYTES: Final = 1024 * 1024


class EndOfFile(OSError):
    """A file has fewer bytes than were stored in it."""

    def __init__(self) -> None:
        super().__init__(errno.EIO, "The file is shorter than it was")


def pieces(fd: int, start: int, end: int) -> Iterator[memoryview]:
    """Yields the bytes from `start` to `end`, up to READ_BYTES at a time. Raises EndOfFile.

    All pieces are read into the same memory: use each before the next one.
    """
    buffer = memoryview(bytearray(max(min(READ_BYTES, end - start), 1)))
    while start < end:
        count = os.preadv(fd, [buffer[: end - start]], start)
        if not count:
            raise EndOfFile
        yield buffer[:count]
        start += count


def read_checksum(fd: int, start: int, end: int, crc: int = 0) -> int:
    """Returns the CRC-32C of the bytes from `start` to `end`, after bytes with the CRC-32C `crc`.

    Raises EndOfFile.
    """
    for piece in pieces(fd, start, end):
        crc = checksum(piece, crc)
    return crc
