"""Files that exist nowhere: the same pseudo-random bytes at any offset, made as fast as they are sent.

A client that resumes has to produce the same bytes again from the middle, and a test has to know the SHA-256
of a gigabyte without keeping it. So a file is one random megabyte, repeated, each time XORed with a number
that belongs to its place: no two blocks are equal, so bytes stored at a wrong offset show.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterator
from functools import cached_property
from typing import Final

import numpy as np

MIB: Final = 1 << 20
BLOCK_BYTES: Final = MIB
_GOLDEN: Final = 0x9E3779B97F4A7C15
_WORD: Final = 2**64 - 1


class FileBytes:
    """A file of `length_bytes`; another `seed` gives another content."""

    def __init__(self, length_bytes: int, seed: int = 0) -> None:
        self.length_bytes = length_bytes
        self.seed = seed
        self._base = np.frombuffer(random.Random(seed).randbytes(BLOCK_BYTES), np.uint64)

    def read(self, offset_bytes: int, size_bytes: int) -> bytes:
        """Returns what a file would: fewer bytes at its end, none beyond."""
        end = min(offset_bytes + size_bytes, self.length_bytes)
        parts = []
        while offset_bytes < end:
            block, start = divmod(offset_bytes, BLOCK_BYTES)
            part = self._block(block, start, min(end - offset_bytes + start, BLOCK_BYTES))
            parts.append(part)
            offset_bytes += len(part)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def _block(self, index: int, start: int, end: int) -> bytes:
        """Returns the bytes from `start` to `end` of a block."""
        first, last = start // 8, (end + 7) // 8
        words = self._base[first:last] ^ np.uint64((index + 1) * _GOLDEN & _WORD)
        whole: bytes = words.tobytes()
        return whole if (start % 8, end % 8) == (0, 0) else whole[start - first * 8 : end - first * 8]

    def blocks(self) -> Iterator[bytes]:
        """Yields the whole content, a megabyte at a time."""
        for offset_bytes in range(0, self.length_bytes, BLOCK_BYTES):
            yield self.read(offset_bytes, BLOCK_BYTES)

    @cached_property
    def sha256(self) -> str:
        """The SHA-256 of the whole content, in hex."""
        digest = hashlib.sha256()
        for block in self.blocks():
            digest.update(block)
        return digest.hexdigest()
