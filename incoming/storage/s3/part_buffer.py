"""The bytes of one part in memory, and the body of a request that sends them."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Callable, Iterator, Sequence
from typing import Final, NamedTuple

from incoming.core.checksum import checksum, combine
from incoming.core.errors import StorageFailed
from incoming.storage.s3.memory_budget import SEGMENT_BYTES, MemoryBudget
from incoming.storage.s3.metadata.manifest import HEAD_BYTES


class Extent(NamedTuple):
    """The first bytes of a part, and their checksums."""

    size_bytes: int = 0
    crc32c: int = 0
    head_crc32c: int = 0
    """Of the first HEAD_BYTES of them."""


NOTHING: Final = Extent()
SEND_BYTES: Final = 256 * 1024
"""How much is sent before other greenlets may run."""


class PartBuffer:
    """A part that grows up to its capacity.

    Its first bytes may be elsewhere still: `missing_bytes` of them have their place here and a checksum, and
    `fill` brings them.
    """

    def __init__(
        self, number: int, capacity_bytes: int, memory: MemoryBudget, begin: Extent = NOTHING
    ) -> None:
        """`begin`: what is elsewhere."""
        self.number = number
        self.capacity_bytes = capacity_bytes
        self.extent = begin
        self.missing_bytes = begin.size_bytes
        self._memory = memory
        self._segments: list[memoryview] = []
        self._lent = 0
        """How many requests may still read segments."""
        self._held: list[memoryview] = []
        """Segments that the part does not need any more, and that a request may still read."""

    @property
    def size_bytes(self) -> int:
        """How many bytes the part has."""
        return self.extent.size_bytes

    @property
    def is_full(self) -> bool:
        """Whether the part is as long as it may become."""
        return self.size_bytes >= self.capacity_bytes

    def append(self, chunk: memoryview, chunk_crc: int | None = None) -> int:
        """Copies as much of the chunk as there is room for. Returns how many bytes that is.

        `chunk_crc` is the chunk's CRC-32C if that is known.
        """
        taken = chunk[: self.capacity_bytes - self.size_bytes]
        self._copy(self.size_bytes, taken)
        size_bytes, crc, head_crc = self.extent
        if size_bytes < HEAD_BYTES:
            head_crc = checksum(taken[: HEAD_BYTES - size_bytes], head_crc)
        if chunk_crc is not None and len(taken) == len(chunk):
            crc = combine(crc, chunk_crc, len(taken))
        else:
            crc = checksum(taken, crc)
        self.extent = Extent(size_bytes + len(taken), crc, head_crc)
        return len(taken)

    def fill(self, at: int, data: memoryview) -> None:
        """Puts bytes that were elsewhere in their place. See `filled`."""
        self._copy(at, data)

    def filled(self) -> None:
        """Marks the part as complete in memory: `fill` has brought all bytes."""
        self.missing_bytes = 0

    def drop(self) -> None:
        """Returns the memory: all bytes are elsewhere, and `fill` has to bring them again."""
        extent = self.extent
        self.release()
        self.extent, self.missing_bytes = extent, extent.size_bytes

    @property
    def has_memory(self) -> bool:
        """Whether any of its bytes are here."""
        return bool(self._segments)

    def cut(self, extent: Extent) -> None:
        """Keeps the first bytes only, which have these checksums. Nobody sends the others any more."""
        self.extent = extent
        self.missing_bytes = min(self.missing_bytes, extent.size_bytes)
        needed = -(-extent.size_bytes // SEGMENT_BYTES)
        self._held += self._segments[needed:]
        del self._segments[needed:]
        self._release_held()

    @contextlib.contextmanager
    def lent(self, size_bytes: int) -> Iterator[Sequence[memoryview]]:
        """Gives the segments of the first `size_bytes`. No other part gets them before the block ends.

        So a request, with its repetitions, never sends bytes of another upload. Raises StorageFailed if some
        of the bytes are not here any more.
        """
        segments = self._segments[: -(-size_bytes // SEGMENT_BYTES)]
        if len(segments) * SEGMENT_BYTES < size_bytes:
            raise StorageFailed
        self._lent += 1
        try:
            yield segments
        finally:
            self._lent -= 1
            self._release_held()

    def _release_held(self) -> None:
        if not self._lent:
            for segment in self._held:
                self._memory.release_segment(segment)
            self._held.clear()

    def measure(self, size_bytes: int) -> Extent:
        """Returns the checksums of the first `size_bytes`, none of which is elsewhere."""
        crc = head_crc = at = 0
        while at < size_bytes:
            piece = self.piece(at, size_bytes - at)
            if at < HEAD_BYTES:
                head_crc = checksum(piece[: HEAD_BYTES - at], head_crc)
            crc = checksum(piece, crc)
            at += len(piece)
        return Extent(size_bytes, crc, head_crc)

    def piece(self, at: int, size_bytes: int) -> memoryview:
        """Returns at most `size_bytes` of the part from `at` on: what is in one piece."""
        return _piece(self._segments, at, size_bytes)

    def content(self) -> bytes:
        """Returns all bytes of the part, none of which is elsewhere."""
        ends = range(0, self.size_bytes, SEGMENT_BYTES)
        return b"".join(self.piece(at, self.size_bytes - at) for at in ends)

    def release(self) -> None:
        """Returns the memory, once no request reads it any more."""
        self.cut(NOTHING)

    def _copy(self, at: int, data: memoryview) -> None:
        while data:
            number, start = divmod(at, SEGMENT_BYTES)
            while number >= len(self._segments):
                self._segments.append(self._memory.new_segment(self.capacity_bytes))
            size_bytes = min(len(data), SEGMENT_BYTES - start)
            self._segments[number][start : start + size_bytes] = data[:size_bytes]
            data, at = data[size_bytes:], at + size_bytes


def _piece(segments: Sequence[memoryview], at: int, size_bytes: int) -> memoryview:
    number, start = divmod(at, SEGMENT_BYTES)
    if not size_bytes:
        return memoryview(b"")
    return segments[number][start : min(start + size_bytes, SEGMENT_BYTES)]


class PartBody:
    """The first bytes of a part as a file that can be read again. Before each piece others may run."""

    def __init__(
        self, segments: Sequence[memoryview], size_bytes: int, yield_if_due: Callable[[], object]
    ) -> None:
        """`segments`: see PartBuffer.lent."""
        self._segments = segments
        self._size_bytes = size_bytes
        self._yield_if_due = yield_if_due
        self._at = 0

    def __len__(self) -> int:
        return self._size_bytes

    def read(self, _: int = -1) -> memoryview:
        """Returns the next piece, of SEND_BYTES at most; nothing at the end.

        That is more than botocore asks for, which sends what it gets: that costs a fifth less CPU time.
        """
        self._yield_if_due()
        piece = _piece(self._segments, self._at, min(SEND_BYTES, self._size_bytes - self._at))
        self._at += len(piece)
        return piece

    def views(self) -> list[memoryview]:
        """Returns all bytes of the body, in order."""
        starts = range(0, self._size_bytes, SEGMENT_BYTES)
        return [_piece(self._segments, at, self._size_bytes - at) for at in starts]

    def tell(self) -> int:
        """See io.IOBase."""
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """See io.IOBase."""
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size_bytes}[whence]
        self._at = base + offset
        return self._at
