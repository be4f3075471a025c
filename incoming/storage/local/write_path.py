"""How long a disk takes to write decides where that is done: on the event loop, or in the pool.

The page cache takes a slice in 0.1 ms, and then a thread costs twice the CPU. When it takes nothing any more,
write(2) waits for the disk, and so would everybody: on one of 20 MB/s, each slice was 50 ms for all requests.
"""

from __future__ import annotations

import os
from typing import Final

from incoming.runtime.base import Runtime

SLOW_WRITE_S: Final = 0.005
"""A slice that takes longer than this has waited for the disk."""
QUICK_SLICES: Final = 32
"""How many slices in a row have to be quick before the event loop is trusted with them (again)."""


class WritePath:
    """Writes to files of one disk: on the event loop while they are quick, else in the pool.

    What one upload finds out about the disk holds for the others, and for those that come later.
    """

    def __init__(self, runtime: Runtime) -> None:
        self.runtime = runtime
        self.large_sync = runtime.semaphore(1)
        """Large files take turns with their steps: the journal's syncs wait for what the disk has in hand,
        and that took it up to 1.7 s when four files were synced at once."""
        self._quick_to_come = QUICK_SLICES
        """Slices until the event loop is trusted; at first nobody knows the disk."""

    def write(self, fd: int, part: memoryview, position: int) -> int:
        """Returns how many bytes of a slice were written. Raises OSError."""
        if self._quick_to_come:
            written, took_s = self.runtime.in_pool(self._timed, fd, part, position)
        else:
            written, took_s = self._timed(fd, part, position)
        self._quick_to_come = QUICK_SLICES if took_s > SLOW_WRITE_S else max(self._quick_to_come - 1, 0)
        return written

    def _timed(self, fd: int, part: memoryview, position: int) -> tuple[int, float]:
        began_s = self.runtime.now_s()
        written = os.pwrite(fd, part, position)
        return written, self.runtime.now_s() - began_s
