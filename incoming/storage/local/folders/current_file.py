"""One file of a folder: how far it has come, and its digests."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from incoming.core.checksum import checksum, combine
from incoming.core.folder_manifest import Entry
from incoming.core.hashes import Hash, new_hash
from incoming.storage.local.folders.sums_log import Digests
from incoming.storage.local.reading import pieces
from incoming.storage.local.writer import BEHIND_BYTES

LARGE_BYTES: Final = BEHIND_BYTES
"""A file of at least this size is written like an upload that is a file: see `LocalWriter`."""


def is_large(entry: Entry) -> bool:
    """Returns whether a file is written apart from the others, and has space reserved ahead."""
    return entry.size_bytes >= LARGE_BYTES


@dataclass(slots=True)
class Current:
    """The file that gets the next byte. `crc32c` and `sha256` are None if its first bytes were not seen."""

    index: int
    entry: Entry
    fd: int
    position: int
    crc32c: int | None = None
    sha256: Hash | None = None

    @property
    def missing_bytes(self) -> int:
        """How many bytes it lacks."""
        return self.entry.size_bytes - self.position

    @property
    def is_large(self) -> bool:
        """Whether it is written apart from the others."""
        return is_large(self.entry)

    def add(self, piece: memoryview, crc: int | None = None) -> None:
        """Counts bytes that were written, with their CRC-32C if that is known."""
        if self.crc32c is not None:
            if crc is None:
                self.crc32c = checksum(piece, self.crc32c)
            else:
                self.crc32c = combine(self.crc32c, crc, len(piece))
        if self.sha256 is not None:
            self.sha256.update(piece)
        self.position += len(piece)

    @property
    def digests(self) -> Digests | None:
        """Those of the whole file, if they are known."""
        if self.crc32c is None:
            return None
        return Digests(self.crc32c, self.sha256.digest() if self.sha256 else b"")


def read_digests(fd: int, size_bytes: int, wants_sha256: bool) -> Digests:
    """Returns the digests of the first bytes of a file. Raises OSError if it has fewer."""
    crc, sha256 = 0, new_hash("sha256") if wants_sha256 else None
    for piece in pieces(fd, 0, size_bytes):
        crc = checksum(piece, crc)
        if sha256:
            sha256.update(piece)
    return Digests(crc, sha256.digest() if sha256 else b"")
