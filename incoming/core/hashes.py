"""Checksums and digests by the names that the protocols of uploads have for them, computed piece by piece.

A value is bytes, the first one the most significant: CRCs are four bytes, big-endian (tus 1.0, "Checksum";
RFC 9530 appendix A).
"""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Callable
from typing import Final, Protocol, Self

from crc32c import crc32c

CRC_BYTES: Final = 4
HASHED_IN_POOL_BYTES: Final = 64 * 1024
"""More bytes than this are hashed in a thread of the pool: others would wait too long."""


class Hash(Protocol):
    """What computes one checksum or digest of the bytes that it is given."""

    def update(self, data: memoryview | bytes, /) -> None:
        """Adds `data`."""

    def digest(self) -> bytes:
        """Returns the value for all bytes so far."""

    def copy(self) -> Self:
        """Returns another one of the same bytes, which continues apart from this one."""


class _Crc:
    """A CRC of 32 bits, by a function that takes the value for the bytes before."""

    def __init__(self, step: Callable[[memoryview | bytes, int], int]) -> None:
        self._step = step
        self._value = 0

    def update(self, data: memoryview | bytes, /) -> None:
        """Adds `data`."""
        self._value = self._step(data, self._value)

    def digest(self) -> bytes:
        """Returns the value for all bytes so far."""
        return self._value.to_bytes(CRC_BYTES)

    def copy(self) -> _Crc:
        """Returns another one of the same bytes."""
        other = _Crc(self._step)
        other._value = self._value
        return other


_NEW: Final[dict[str, Callable[[], Hash]]] = {
    "crc32c": lambda: _Crc(crc32c),
    "sha1": lambda: hashlib.sha1(usedforsecurity=False),
    "sha256": hashlib.sha256,
    "sha512": hashlib.sha512,
    "md5": lambda: hashlib.md5(usedforsecurity=False),
    "crc32": lambda: _Crc(zlib.crc32),
}
HASHES: Final = tuple(_NEW)
"""The names, the cheapest of each strength first."""
SIZES_BYTES: Final = {name: len(new().digest()) for name, new in _NEW.items()}
"""How long the value of each is."""


def new_hash(name: str) -> Hash:
    """Returns a fresh one of HASHES."""
    return _NEW[name]()
