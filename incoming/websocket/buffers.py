"""Buffers for payloads: page-aligned, reused, and borrowed only while a message is arriving.

10,000 idle connections then hold none. A new buffer costs page faults for each of its pages, a reused one
none; and what begins on a page is copied to a file at up to twice the speed of what does not.
"""

from __future__ import annotations

import mmap
from typing import cast

from incoming.protocol.flow_control import INITIAL_CHUNK_BYTES, RECEIVE_MEMORY_BYTES


class _Memory(mmap.mmap):
    """Pages, of which the system has given those only that were written to."""

    used_bytes = 0

    def shrink(self, used_bytes: int) -> int:
        """Gives the system back what lies behind these bytes. Returns how much less it takes now."""
        end = -(-used_bytes // mmap.PAGESIZE) * mmap.PAGESIZE
        if end < len(self):
            self.madvise(mmap.MADV_DONTNEED, end)
        before_bytes, self.used_bytes = self.used_bytes, used_bytes
        return before_bytes - used_bytes


class Buffers:
    """A stack of spare buffers of one size."""

    def __init__(self, size_bytes: int, spare_bytes: int = RECEIVE_MEMORY_BYTES) -> None:
        """`spare_bytes`: how much memory may be kept for those who come next; none counts as little."""
        self.size_bytes = size_bytes
        self.lent = 0
        """How many are borrowed: so many messages are just arriving."""
        self._spare: list[_Memory] = []
        self._room_bytes = spare_bytes

    def borrow(self, lead_bytes: int = 0) -> memoryview:
        """Returns a buffer that is the caller's until it is given back; its content is arbitrary.

        What comes behind its first `lead_bytes` (at most a page) begins on a page.
        """
        self.lent += 1
        if self._spare:
            memory = self._spare.pop()
            self._room_bytes += memory.used_bytes
        else:
            memory = _Memory(-1, mmap.PAGESIZE + self.size_bytes, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        start = mmap.PAGESIZE - lead_bytes
        return memoryview(memory)[start : start + self.size_bytes]

    def give_back(self, buffer: memoryview, used_bytes: int) -> None:
        """Takes a borrowed buffer back, whose first `used_bytes` were written to."""
        self.lent -= 1
        memory = cast(_Memory, buffer.obj)
        used_bytes = max(mmap.PAGESIZE + used_bytes, INITIAL_CHUNK_BYTES)
        memory.used_bytes = max(memory.used_bytes, used_bytes)
        if memory.used_bytes > self._room_bytes:
            self._make_room(used_bytes)
            if used_bytes > self._room_bytes:
                return
            memory.shrink(used_bytes)
        self._room_bytes -= memory.used_bytes
        self._spare.append(memory)

    def _make_room(self, used_bytes: int) -> None:
        """Shrinks buffers from when fewer were arriving, and chunks were larger: the longest unused first."""
        for memory in self._spare:
            if used_bytes <= self._room_bytes:
                return
            if memory.used_bytes > used_bytes:
                self._room_bytes += memory.shrink(used_bytes)
