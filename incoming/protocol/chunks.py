"""The binary messages of protocol version 2: a header of 16 bytes, then a piece of the file."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Final

from incoming.core.checksum import checksum

_HEADER: Final = struct.Struct(">QLL")
HEADER_BYTES: Final = _HEADER.size


@dataclass(frozen=True, slots=True)
class Chunk:
    """A piece of the file and its header. `intact`: the checksum of the payload agrees with the header."""

    offset_bytes: int
    round: int
    payload: memoryview
    crc32c: int
    intact: bool


def write_header(into: memoryview, offset_bytes: int, crc32c: int, number: int) -> None:
    """Writes a chunk's header to the start of `into`; `number` is the round."""
    _HEADER.pack_into(into, 0, offset_bytes, crc32c, number)


def parse(message: memoryview, crc32c_of_content: int | None = None) -> Chunk:
    """Returns the chunk in a binary message. A message too short for a header and a byte is not intact.

    `crc32c_of_content`: the checksum of the bytes after the header, if the caller has computed it already.
    """
    if len(message) <= HEADER_BYTES:
        return Chunk(0, 0, message[:0], 0, False)
    offset_bytes, crc32c, number = _HEADER.unpack_from(message)
    payload = message[HEADER_BYTES:]
    actual = checksum(payload) if crc32c_of_content is None else crc32c_of_content
    return Chunk(offset_bytes, number, payload, crc32c, actual == crc32c)
