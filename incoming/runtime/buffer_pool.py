"""A pool of payload buffers: page-aligned, reused, and acquired only while data is arriving.

So 10,000 idle connections hold none. A new buffer costs a page fault for each of its pages, a reused one
none. Content that begins on a page is copied to a file at up to twice the speed of other content.
"""

from __future__ import annotations

import mmap
from typing import Final, cast

SPARE_BYTES: Final = 128 * 1024 * 1024
"""How much memory spare buffers may take."""
MIN_BYTES: Final = 512 * 1024
"""What a spare buffer counts as at least, so that their number is limited, too."""


class _Memory(mmap.mmap):
    """Anonymous pages. The system allocates a page when it is first written to."""

    used_bytes = 0

    def shrink(self, used_bytes: int) -> int:
        """Returns the pages after these bytes to the system. Returns how many bytes that saves."""
        end = -(-used_bytes // mmap.PAGESIZE) * mmap.PAGESIZE
        if end < len(self):
            self.madvise(mmap.MADV_DONTNEED, end)
        before_bytes, self.used_bytes = self.used_bytes, used_bytes
        return before_bytes - used_bytes


class BufferPool:
    """A stack of spare buffers of one size."""

    def __init__(self, size_bytes: int, spare_bytes: int = SPARE_BYTES) -> None:
        """`spare_bytes`: the memory for spare buffers. Each counts as MIN_BYTES at least."""
        self.size_bytes = size_bytes
        self.in_use = 0
        """The number of acquired buffers: one for each message or body that is arriving."""
        self._spare: list[_Memory] = []
        self._room_bytes = spare_bytes

    def acquire(self, header_bytes: int = 0) -> memoryview:
        """Returns a buffer with arbitrary content. It is the caller's until `release`.

        What follows the first `header_bytes` (at most a page) begins on a page.
        """
        self.in_use += 1
        if self._spare:
            memory = self._spare.pop()
            self._room_bytes += memory.used_bytes
        else:
            memory = _Memory(-1, mmap.PAGESIZE + self.size_bytes, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        start = mmap.PAGESIZE - header_bytes
        return memoryview(memory)[start : start + self.size_bytes]

    def release(self, buffer: memoryview, used_bytes: int) -> None:
        """Returns an acquired buffer to the pool; its first `used_bytes` were written to."""
        self.in_use -= 1
        memory = cast(_Memory, buffer.obj)
        used_bytes = max(mmap.PAGESIZE + used_bytes, MIN_BYTES)
        memory.used_bytes = max(memory.used_bytes, used_bytes)
        if memory.used_bytes > self._room_bytes:
            self._make_room(used_bytes)
            if used_bytes > self._room_bytes:
                return
            memory.shrink(used_bytes)
        self._room_bytes -= memory.used_bytes
        self._spare.append(memory)

    def _make_room(self, used_bytes: int) -> None:
        """Shrinks spare buffers that were used for larger chunks, the longest unused first."""
        for memory in self._spare:
            if used_bytes <= self._room_bytes:
                return
            if memory.used_bytes > used_bytes:
                self._room_bytes += memory.shrink(used_bytes)
