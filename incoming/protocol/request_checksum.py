"""Checksums of the body of one request: what they are called, and how a body is compared with them.

tus has them in Upload-Checksum, RFC 9530 in Content-Digest and Repr-Digest. The names here are those of tus:
lower-case letters and digits. A CRC is sent as its bytes, the highest first.

A checksum may come after the body, as a trailer. Its algorithm is then unknown while the bytes pass, so
each one that the trailer may name is computed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from incoming.core.errors import ChecksumMismatch, UnsupportedChecksum
from incoming.core.hashes import SIZES_BYTES, new_hash

DIGEST_BYTES: Final[Mapping[str, int]] = SIZES_BYTES
"""How many bytes a checksum has, by the name of its algorithm."""

FAST: Final = frozenset({"crc32c"})
"""What the CPU has an instruction for: 20 GB/s and more, where the others have 0.7 to 1.7 GB/s."""


@dataclass(frozen=True, slots=True)
class Checksum:
    """What a client says of the bytes of a request: a name in DIGEST_BYTES, and that many bytes."""

    algorithm: str
    digest: bytes


Checksums = tuple[Checksum, ...]
ReadTrailers = Callable[[Mapping[str, str]], Checksums]
"""Returns the checksums in the trailers {name in lower case: value} of a request. May raise IncomingError."""


class RequestChecksums:
    """The checksums of one request's body, computed while it comes.

    `expected`: those that came in the headers. `read_trailers` is given when others follow as a trailer, and
    `in_trailers` has the names that they may have.
    """

    def __init__(
        self,
        expected: Checksums = (),
        read_trailers: ReadTrailers | None = None,
        in_trailers: Iterable[str] = (),
    ) -> None:
        self._expected = expected
        self._read_trailers = read_trailers
        names = {one.algorithm for one in expected}
        self._running = {name: new_hash(name) for name in names | set(in_trailers if read_trailers else ())}

    def __bool__(self) -> bool:
        """Whether the body is compared with anything."""
        return bool(self._expected) or self._read_trailers is not None

    @property
    def is_fast(self) -> bool:
        """Whether `update` is about as fast as memory, so that a thread would only cost time."""
        return set(self._running) <= FAST

    def update(self, data: memoryview) -> None:
        """Adds the next bytes of the body. It may be called in a thread."""
        for running in self._running.values():
            running.update(data)

    def verify(self, trailers: Mapping[str, str]) -> None:
        """The body has ended, with these trailers {name in lower case: value}.

        Raises ChecksumMismatch; UnsupportedChecksum and what `read_trailers` raises for a trailer.
        """
        trailing = self._read_trailers(trailers) if self._read_trailers else ()
        for one in self._expected + trailing:
            running = self._running.get(one.algorithm)
            if running is None:
                raise UnsupportedChecksum(", ".join(self._running))
            if running.digest() != one.digest:
                raise ChecksumMismatch
