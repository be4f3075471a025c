"""What is sent: a ring of random data, repeated, so that the SHA-256 of any length is known.

Memory files hold it as it is, masked, and as whole frames. They are made once, before any measurement.
"""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from functools import cache
from typing import Final

import numpy as np
from crc32c import crc32c

from incoming.core.checksum import combine
from incoming.wire.frames import OP_BINARY, build_header
from tests.support.data import MIB, FileBytes

RING_BYTES: Final = 8 * MIB
MASK: Final = bytes.fromhex("9d3c71e5")
"""Any mask but 0 will do: with 0, masking would change nothing."""


@dataclass(frozen=True, slots=True)
class Span:
    """A range of a memory file."""

    fd: int
    start: int
    end: int


Piece = bytes | Span
"""What is sent next: a few bytes, or a range that the client never touches."""


def _memory_file(name: str, content: bytes) -> int:
    fd = os.memfd_create(name)
    os.write(fd, content)
    return fd


@cache
def ring() -> bytes:
    """Returns the content that files are made of."""
    return FileBytes(RING_BYTES, 1).read(0, RING_BYTES)


@cache
def plain_ring() -> int:
    return _memory_file("plain", ring())


def masked(data: bytes) -> bytes:
    masked: bytes = (np.frombuffer(data, np.uint32) ^ np.frombuffer(MASK, np.uint32)[0]).tobytes()
    return masked


@cache
def masked_ring() -> int:
    return _memory_file("masked", masked(ring()))


@cache
def framed_ring(chunk_bytes: int) -> int:
    """Returns the ring as masked version-1 chunks."""
    header = build_header(OP_BINARY, chunk_bytes, MASK)
    chunks = (ring()[at : at + chunk_bytes] for at in range(0, RING_BYTES, chunk_bytes))
    return _memory_file("framed", b"".join(header + masked(chunk) for chunk in chunks))


@cache
def ring_crcs(chunk_bytes: int) -> list[int]:
    return [crc32c(ring()[at : at + chunk_bytes]) for at in range(0, RING_BYTES, chunk_bytes)]


@cache
def file_sha256(size_bytes: int) -> str:
    """Returns the SHA-256 of a file of this length."""
    digest = hashlib.sha256()
    for at in range(0, size_bytes, RING_BYTES):
        digest.update(memoryview(ring())[: size_bytes - at])
    return digest.hexdigest()


def file_crc32c(size_bytes: int) -> int:
    """Returns the CRC-32C of a file of this length."""
    rings, rest = divmod(size_bytes, RING_BYTES)
    whole, crc = crc32c(ring()), 0
    for _ in range(rings):
        crc = combine(crc, whole, RING_BYTES)
    return combine(crc, crc32c(ring()[:rest]), rest)
