"""Decides where a slice is written: on the event loop while the disk is fast, else in the pool.

The page cache takes a slice in 0.1 ms, and a thread would cost twice the CPU time. When the page cache is
full, write(2) waits for the disk, and the whole event loop would wait too: with a disk of 20 MB/s each slice
delayed every request by 50 ms.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from incoming.runtime.base import Runtime
from incoming.storage.local.directory import Owner
from incoming.storage.local.posix import FileSync

SLOW_WRITE_S: Final = 0.005
"""A slice that takes longer than this, and has the thread wait meanwhile, has waited for the disk."""
FAST_SLICES: Final = 32
"""How many slices in a row have to be fast before they are written on the event loop (again)."""


class WritePath:
    """Writes to the files of one disk. What one upload finds out about the disk holds for all others."""

    def __init__(self, runtime: Runtime, owner: Owner, *, writes_behind: bool = True) -> None:
        self.runtime = runtime
        self.writes_behind = writes_behind
        """Whether the disk writes what is stored while more comes in: files will be synced."""
        self._owner = owner
        self.large_sync = runtime.semaphore(1)
        """Large files take turns with their steps. The journal's syncs wait for what the disk is writing,
        and that took up to 1.7 s when four files were synced at once."""
        self._fast_to_come = FAST_SLICES
        """How many fast slices are missing before the event loop writes. At first the disk is unknown."""

    def write(self, fd: int, part: memoryview, position: int) -> int:
        """Returns how many bytes of a slice were written. Raises OSError, StorageFailed."""
        if self._fast_to_come:
            written, took_s = self.runtime.in_pool(self._timed, fd, part, position)
        else:
            written, took_s = self._timed(fd, part, position)
        self._fast_to_come = FAST_SLICES if took_s > SLOW_WRITE_S else max(self._fast_to_come - 1, 0)
        return written

    def _timed(self, fd: int, part: memoryview, position: int) -> tuple[int, float]:
        """Returns how many bytes were written, and how long that took if the thread had to wait.

        A thread that only lost its CPU to another process has not waited for the disk. A thread of the pool
        would lose it as well.
        """
        began_s, waits = self.runtime.now_s(), self.runtime.thread_waits()
        written = os.pwrite(fd, part, position)
        waited = self.runtime.thread_waits() > waits
        self._owner.glance()  # nothing is acknowledged once another process can own the files
        return written, self.runtime.now_s() - began_s if waited else 0.0

    def write_out(self, file_sync: FileSync, file: Path, fd: int, end: int, position: int = 0) -> None:
        """Writes a large file out up to `end`, in steps that take turns with those of other files.

        The file still has to be synced. Raises OSError.
        """
        while position < end:
            with self.large_sync:
                position = self.runtime.in_pool(file_sync.write_out, file, fd, position, end)
            self.runtime.sleep(0)  # the next file in line gets the lock, not this one again
