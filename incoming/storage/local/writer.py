"""Appends the chunks of one upload to its file, with disk space reserved ahead of them."""

from __future__ import annotations

import contextlib
import errno
import logging
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from incoming.runtime.filesystem import disk_errors
from incoming.runtime.gevent_runtime import close_descriptor
from incoming.storage.local.directory import UploadDirectory
from incoming.storage.local.posix import ROUNDING_BYTES, FileSync, allocated_bytes, fallocate
from incoming.storage.local.write_path import WritePath

log = logging.getLogger(__name__)

SLICE_BYTES: Final = 512 * 1024
"""How much is written before other greenlets may run: the page cache takes it in under a millisecond."""
SHORT_SYNC_BYTES: Final = 1024 * 1024
"""A file up to this size is synced in one call."""
BEHIND_BYTES: Final = 8 * 1024 * 1024
"""How many stored bytes may wait before the disk begins to write them."""
_NO_FALLOCATE: Final = (errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL)


@dataclass(frozen=True, slots=True)
class OpenFile:
    """An upload's file, its descriptor, and what fstat(2) said of it when it was opened."""

    path: Path
    fd: int
    status: os.stat_result


@dataclass(frozen=True, slots=True)
class Reserve:
    """How much space to reserve ahead of a writer, and who is told of it. See Storage.open."""

    ahead_bytes: int
    length_bytes: int | None
    """The final length, if it is known. No more is reserved."""
    on_reserve: Callable[[int], object]


class ReservingWriter:
    """Writes a range of a file from its beginning on, and reserves space in it. See storage.Writer."""

    def __init__(self, opened: OpenFile, start_bytes: int, write_path: WritePath, reserve: Reserve) -> None:
        """`start_bytes`: where the range begins in the file. All other offsets count from there.

        Nothing is reserved before the first byte: a client that sends none takes no space.
        """
        self._file = opened.path
        self._fd = opened.fd
        self._is_finished = False
        self._start_bytes = start_bytes
        self._write_path = write_path
        self._runtime = write_path.runtime
        self._length_bytes = reserve.length_bytes
        self._reserve_bytes = reserve.ahead_bytes
        self._on_reserve = reserve.on_reserve
        self.taken_bytes = self.durable_offset = self.accounted_bytes = 0
        self._torn = False
        """Whether bytes of a failed write may be in the file after `taken_bytes`."""
        self._reserving = False
        self._file_lock = self._runtime.lock()

    def _put(self, chunk: memoryview) -> int:
        """Writes the chunk after the bytes that are taken. Returns where it ends. Raises OSError."""
        position = self.taken_bytes
        self._torn = True
        while chunk:
            written = self._write_path.write(self._fd, chunk[:SLICE_BYTES], self._start_bytes + position)
            position += written
            chunk = chunk[written:]
            if chunk:
                self._runtime.yield_if_due(first=True)  # while the chunk is in the CPU cache
        return position

    def _took(self, position: int) -> None:
        """Everything up to this offset is stored."""
        self.taken_bytes = position
        self._torn = False
        self.accounted_bytes = max(self.accounted_bytes, position)
        self._reserve_ahead()

    def _reserve_ahead(self) -> None:
        """Keeps at least half of the reserve ahead of the writer, and does not wait for it."""
        end = self.taken_bytes + self._reserve_bytes
        if self._length_bytes is not None:
            end = min(end, self._length_bytes)
        ahead = self.accounted_bytes - self.taken_bytes
        if self._reserving or end <= self.accounted_bytes or ahead > self._reserve_bytes // 2:
            return
        if end - self.taken_bytes <= SLICE_BYTES:
            return  # one write needs all of it
        self._reserving = True
        self._runtime.spawn(self._reserve, end)

    def _reserve(self, end: int) -> None:
        with self._file_lock:
            start = self.accounted_bytes
            if self._fd >= 0 and end > start:
                error = self._runtime.in_pool(fallocate, self._fd, self._start_bytes + start, end - start)
                if not error:
                    self.accounted_bytes = max(self.accounted_bytes, end)
                    self._on_reserve(self.accounted_bytes)
                elif error in _NO_FALLOCATE:
                    self._reserve_bytes = 0  # this file system can't reserve; writes work without it
                else:
                    self._reserve_bytes //= 2  # nearly full: the next write finds out
        self._reserving = False

    def fence(self, token: str) -> None:
        """See storage.Writer. One process has the directory, so bytes come from this writer only."""
        if self.durable_offset < self.taken_bytes:
            self.truncate(self.durable_offset)

    def wait_for_capacity(self) -> None:
        """See storage.Writer. Each `write` stores its chunk."""

    def flush(self) -> None:
        """See storage.Writer. The system's page cache has each chunk, which a kill of the process leaves."""

    def begin_unchecked(self) -> None:
        """See storage.Writer. The ticket has a mark."""

    def accept_unchecked(self) -> None:
        """See storage.Writer. The ticket had a mark."""

    def truncate(self, length_bytes: int) -> None:
        """See storage.Writer."""
        raise NotImplementedError

    def abort(self) -> None:
        """See storage.Writer. The file system frees the space when the file is deleted."""
        with disk_errors, self._file_lock:
            fd, self._fd = self._fd, -1
            if fd >= 0:
                self._runtime.in_pool(self._close, fd)

    def close(self) -> None:
        """See storage.Writer."""
        with disk_errors, self._file_lock:
            fd, self._fd = self._fd, -1
            if fd >= 0:
                self._runtime.in_pool(self._trim_and_close, fd)

    def _trim_and_close(self, fd: int) -> None:
        try:
            if self.accounted_bytes > self.taken_bytes or self._torn:
                self._trim(fd)
        finally:
            self._close(fd)

    def _trim(self, fd: int) -> None:
        """Frees what was reserved after the stored bytes and not used. Raises OSError."""
        raise NotImplementedError

    def _close(self, fd: int) -> None:
        close_descriptor(fd)


class LocalWriter(ReservingWriter):
    """The writer of a file that comes as a whole."""

    def __init__(
        self, opened: OpenFile, directory: UploadDirectory, write_path: WritePath, file_sync: FileSync,
        reserve: Reserve,
    ) -> None:  # fmt: skip
        """`file_sync` makes the file and its name durable."""
        super().__init__(opened, 0, write_path, reserve)
        self._directory = directory
        self._file_sync = file_sync
        self.taken_bytes = self.durable_offset = opened.status.st_size
        self.accounted_bytes = allocated_bytes(opened.status, reserve.ahead_bytes)
        self._written_out_bytes = 0
        """Up to which offset the disk was made to write the file. Only a sync makes it durable."""
        self._writes_behind = write_path.writes_behind
        self._is_writing_behind = False

    def write(self, chunk: memoryview, crc32c: int | None = None) -> None:
        """See storage.Writer. The offset moves when the whole chunk is in the file."""
        with disk_errors:
            position = self._put(chunk)
        self.durable_offset = position
        self._took(position)
        if self._writes_behind and not self._is_writing_behind and self._is_behind():
            self._is_writing_behind = True
            self._runtime.spawn(self._write_behind)

    def _is_behind(self) -> bool:
        return self.taken_bytes - self._written_out_bytes >= BEHIND_BYTES

    def _write_behind(self) -> None:
        """Nobody hears of an error here: `finish` writes everything again, and tells if that fails, too."""
        try:
            while self._fd >= 0 and self._is_behind():
                self._write_out(self.taken_bytes - self.taken_bytes % ROUNDING_BYTES)
        except OSError as exc:
            self._writes_behind = False
            about = {"path": self._file, "error": exc.strerror or exc}
            log.warning(
                "%(path)s: the disk did not write a part: %(error)s. The whole file is written again", about
            )
        finally:
            self._is_writing_behind = False

    def _write_out(self, end: int) -> None:
        """Writes the next steps of the file out, in its turn. Raises OSError."""
        with self._write_path.large_sync, self._file_lock:
            position, end = self._written_out_bytes, min(end, self.taken_bytes)
            if self._fd >= 0 and position < end:
                out = self._runtime.in_pool(self._file_sync.write_out, self._file, self._fd, position, end)
                self._written_out_bytes = out
        self._runtime.sleep(0)  # the next file in line gets its turn, not this one again

    def finish(self) -> None:
        """See storage.Writer. A large file is written out in steps, which take turns with those of others."""
        with disk_errors:
            if self.taken_bytes <= SHORT_SYNC_BYTES:
                self._sync_once()
                return
            while self._fd >= 0 and self._written_out_bytes < self.taken_bytes:
                self._write_out(self.taken_bytes)
            with self._write_path.large_sync:
                self._sync_once()

    def _sync_once(self) -> None:
        with self._file_lock:
            if not self._is_finished:
                self._runtime.in_pool(self._sync)

    def _sync(self) -> None:
        self._file_sync.sync(self._file, self._fd)
        fd, self._fd, self._is_finished = self._fd, -1, True
        with contextlib.suppress(OSError):  # the bytes are durable, whatever the disk says to this
            self._trim_and_close(fd)

    def truncate(self, length_bytes: int) -> None:
        """See storage.Writer."""
        with disk_errors, self._file_lock:
            self._runtime.in_pool(self._truncate, self._fd, length_bytes)
            self.taken_bytes = self.durable_offset = self.accounted_bytes = length_bytes
            self._written_out_bytes = min(self._written_out_bytes, length_bytes)
            self._torn = False

    def _trim(self, fd: int) -> None:
        """A truncation to the same length frees what was reserved after it."""
        self._truncate(fd, self.taken_bytes)

    def _truncate(self, fd: int, size_bytes: int) -> None:
        self._directory.owner.check()  # another process may have stored more
        os.ftruncate(fd, size_bytes)
