"""The memory for parts that are on their way to the store: one budget for all uploads of the process.

A part that is not full yet always has memory for the bytes that have come. Full parts count against the
budget, and clients wait while it is used up. So the process needs at most the budget, and one part for each
upload that moves.
"""

from __future__ import annotations

from typing import Final

from incoming.runtime.base import Runtime
from incoming.runtime.buffer_pool import BufferPool

SEGMENT_BYTES: Final = 1024 * 1024
SPARE_BYTES: Final = 64 * 1024 * 1024
"""Memory that stays with the process when no part needs it."""
_LOOK_AGAIN_S: Final = 1.0


class MemoryBudget:
    """Hands out segments of one size, and counts the bytes of full parts."""

    def __init__(self, limit_bytes: int, runtime: Runtime) -> None:
        self.limit_bytes = limit_bytes
        self.full_part_bytes = 0
        """How much of the budget is used."""
        self._segments = BufferPool(SEGMENT_BYTES, min(limit_bytes, SPARE_BYTES))
        self._small_bytes = 0
        self._freed = runtime.signal()

    @property
    def buffered_bytes(self) -> int:
        """How much memory is in use."""
        return self._segments.in_use * SEGMENT_BYTES + self._small_bytes

    def new_segment(self, size_bytes: int = SEGMENT_BYTES) -> memoryview:
        """Returns a segment with arbitrary content. One that is smaller than usual is made for its part."""
        if size_bytes >= SEGMENT_BYTES:
            return self._segments.acquire()
        self._small_bytes += size_bytes
        return memoryview(bytearray(size_bytes))

    def release_segment(self, segment: memoryview) -> None:
        """Takes a segment of `new_segment` back."""
        if len(segment) == SEGMENT_BYTES:
            self._segments.release(segment, SEGMENT_BYTES)
        else:
            self._small_bytes -= len(segment)

    def has_room(self, size_bytes: int) -> bool:
        """Returns whether a full part of this size fits. A part that exceeds the budget goes alone."""
        return not self.full_part_bytes or self.full_part_bytes + size_bytes <= self.limit_bytes

    def take(self, size_bytes: int) -> None:
        """Counts a part that is full now."""
        self.full_part_bytes += size_bytes

    def give_back(self, size_bytes: int) -> None:
        """The memory of a full part is free again."""
        self.full_part_bytes -= size_bytes
        self._freed.set()

    def wait(self) -> None:
        """Returns when memory was freed, or after a while."""
        self._freed.clear()
        self._freed.wait(_LOOK_AGAIN_S)
