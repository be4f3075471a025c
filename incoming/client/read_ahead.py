"""Reads small files in threads, some batches ahead of the connection.

To open a file and to read it takes a disk much longer than its bytes do. So several are read at a time, and
none of it while the connection waits.
"""

from __future__ import annotations

import os
from collections.abc import Container, Sequence
from typing import Final

from incoming.client.folder_files import FolderFiles
from incoming.client.folder_walk import Folder
from incoming.core.folder_manifest import FolderManifest
from incoming.runtime.native_threads import new_lock, new_queue, start_thread

THREADS: Final = 2
SMALL_BYTES: Final = 256 * 1024
"""Files up to this size are read as a whole."""
BATCH_BYTES: Final = 1024 * 1024
BATCH_ENTRIES: Final = 512


class Batch:
    """Small files that follow each other in the stream, and their bytes once a thread has read them."""

    def __init__(self, manifest: FolderManifest, first: int, left_out: Container[int]) -> None:
        """`first`: the index of its first entry, which must be small. It ends before one that is left out."""
        start, end = manifest.range_of(first)
        after = first + 1
        while after < len(manifest.entries) and after < first + BATCH_ENTRIES:
            next_end = manifest.ends[after]
            too_large = next_end - end > SMALL_BYTES or next_end - start > BATCH_BYTES
            if too_large or after in left_out:
                break
            after, end = after + 1, next_end
        self.first, self.after = first, after
        self.start, self.end = start, end
        self.content = bytearray()
        self.failures: dict[int, OSError | None] = {}
        """What could not be read, by entry. None: a file is not what it was."""
        self.is_wanted, self.is_read = True, False
        self._done = new_lock()
        self._done.acquire()

    def read(self, folder: Folder, manifest: FolderManifest, roots: Sequence[FolderFiles]) -> None:
        """Reads all of it. Only one thread may do so."""
        # The byte after a file shows whether it has grown. The next file's first one takes its place.
        content = memoryview(self.content)
        at = 0
        for index in range(self.first, self.after):
            size_bytes = manifest.entries[index].size_bytes
            if not size_bytes:
                continue
            try:
                buffer = content[at : at + size_bytes + 1]
                if not _read(folder, index, size_bytes, buffer, roots[folder.root_of[index]]):
                    self.failures[index] = None
            except OSError as exc:
                self.failures[index] = exc
            at += size_bytes
        self.is_read = True

    def finish(self) -> None:
        """It is read, or nobody wants it: `wait` returns."""
        self._done.release()

    def wait(self) -> None:
        """Waits until it is read."""
        self._done.acquire()
        self._done.release()


def _read(folder: Folder, index: int, size_bytes: int, buffer: memoryview, files: FolderFiles) -> bool:
    """Reads a file. Returns whether it is as it was. Raises OSError."""
    fd = files.open(folder.places[index])
    try:
        read_bytes = os.readv(fd, [buffer])
        while 0 < read_bytes < size_bytes:
            more_bytes = os.readv(fd, [buffer[read_bytes:]])
            if not more_bytes:
                break
            read_bytes += more_bytes
        now = os.fstat(fd)
    finally:
        os.close(fd)
    return read_bytes == size_bytes == now.st_size and now.st_mtime_ns == folder.modified_ns[index]


class ReadAhead:
    """The threads that read batches, in the order in which they are asked for."""

    def __init__(
        self, folder: Folder, manifest: FolderManifest, root_fds: Sequence[int], left_out: Container[int]
    ) -> None:
        self._folder, self._manifest, self._left_out = folder, manifest, left_out
        self._asked = new_queue()
        self._spare: list[bytearray] = []
        for _ in range(THREADS):
            roots = [FolderFiles(os.dup(fd)) for fd in root_fds]
            start_thread(self._work, (roots,))

    def ask(self, first: int) -> Batch:
        """Returns the batch that begins with this entry. A thread will read it."""
        batch = Batch(self._manifest, first, self._left_out)
        size_bytes = batch.end - batch.start + 1
        if size_bytes > BATCH_BYTES // 2:
            batch.content = self._spare.pop() if self._spare else bytearray(BATCH_BYTES + 1)
        else:
            batch.content = bytearray(size_bytes)
        self._asked.put(batch)
        return batch

    def take_back(self, batch: Batch) -> None:
        """This batch is no longer wanted. The next one gets its memory if no thread has it."""
        batch.is_wanted = False
        if batch.is_read and len(batch.content) == BATCH_BYTES + 1:
            self._spare.append(batch.content)

    def stop(self) -> None:
        """Ends the threads soon."""
        for _ in range(THREADS):
            self._asked.put(None)

    def _work(self, roots: Sequence[FolderFiles]) -> None:
        while (batch := self._asked.get()) is not None:
            try:
                if batch.is_wanted:
                    batch.read(self._folder, self._manifest, roots)
            finally:
                batch.finish()
        for files in roots:
            files.close()
