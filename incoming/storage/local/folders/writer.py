"""Appends the chunks of a folder's stream to its files: many small ones in one call of the pool.

A large file is written by a writer of its own, as if it were an upload: on the event loop while the disk is
fast, with space reserved ahead, and written out while more comes in.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable

from incoming.core.errors import BytesLost, IncomingError, StorageFailed
from incoming.core.hashes import HASHED_IN_POOL_BYTES
from incoming.runtime.filesystem import disk_errors
from incoming.runtime.gevent_runtime import close_descriptor
from incoming.storage.local.folders.completion import complete
from incoming.storage.local.folders.files import FolderFiles
from incoming.storage.local.folders.sync import sync
from incoming.storage.local.posix import FileSync
from incoming.storage.local.write_path import WritePath
from incoming.storage.local.writer import LocalWriter, Reserve


class LocalFolderWriter:
    """See storage.FolderWriter. What `write` has stored survives a kill, so all offsets are equal."""

    def __init__(
        self, files: FolderFiles, write_path: WritePath, file_sync: FileSync, at_once: bool, reserve: Reserve
    ) -> None:  # fmt: skip
        """`at_once`: see sync.sync."""
        self._files = files
        self._write_path = write_path
        self._runtime = write_path.runtime
        self._file_sync = file_sync
        self._at_once = at_once
        self._reserve = reserve
        self._large: LocalWriter | None = None
        self._lock = self._runtime.lock()
        self._is_open = True
        self._is_finished = False
        self._torn = False
        """Whether bytes of a failed write may be stored after `taken_bytes`."""
        self.taken_bytes = files.offset

    @property
    def durable_offset(self) -> int:
        """See storage.Writer."""
        return self.taken_bytes

    @property
    def accounted_bytes(self) -> int:
        """See storage.FolderWriter."""
        layout, large = self._files.layout, self._large
        ahead_bytes = large.accounted_bytes - large.taken_bytes if large else 0
        rounding_bytes = layout.rounding_bytes(self.taken_bytes) if layout else 0
        return self.taken_bytes + ahead_bytes - rounding_bytes

    @property
    def left_out(self) -> tuple[int, ...]:
        """See storage.FolderWriter."""
        return tuple(sorted(self._files.log.left_out))

    def fence(self, token: str) -> None:
        """See storage.Writer. One process has the directory, so bytes come from this writer only."""

    def wait_for_capacity(self) -> None:
        """See storage.Writer. Each `write` stores its chunk."""

    def begin_unchecked(self) -> None:
        """See storage.Writer. The ticket has a mark."""

    def accept_unchecked(self) -> None:
        """See storage.Writer. The ticket had a mark."""

    def want_sha256(self) -> None:
        """See storage.FolderWriter."""
        with disk_errors, self._lock:
            self._runtime.in_pool(self._files.want_sha256)

    def set_length(self, length_bytes: int) -> None:
        """See storage.FolderWriter."""
        with self._lock:
            self._files.set_length(length_bytes)

    # --- writing ----------------------------------------------------------------------------------------

    def write(self, chunk: memoryview, crc32c: int | None = None) -> None:
        """See storage.FolderWriter. The offset moves when the whole chunk is in files."""
        with disk_errors, self._lock:
            self._check_open()
            had_layout = self._files.layout is not None
            if self._torn:
                self._repair()
            self._torn = True
            whole_bytes = len(chunk)
            while chunk:
                done = self._store(chunk, crc32c if len(chunk) == whole_bytes else None)
                chunk = chunk[done:]
            self._files.disk.directory.owner.glance()  # nothing is acknowledged once another can own it
            self._torn = False
            self.taken_bytes = self._files.offset
        if not had_layout and self._files.layout:
            self._reserve.on_reserve(self.accounted_bytes)

    def _check_open(self) -> None:
        if not self._is_open:
            raise StorageFailed

    def _store(self, chunk: memoryview, crc32c: int | None) -> int:
        """Stores the beginning of a chunk, at least a byte. Returns how many. Raises OSError, BadFolder."""
        files = self._files
        if files.layout is None:
            return self._runtime.in_pool(files.put_head, chunk)
        if self._large is None:
            done = self._runtime.in_pool(files.put, chunk)
            if done:
                return done
            self._large = self._open_large()
        current = files.current
        if current is None:
            raise StorageFailed
        piece = chunk[: current.missing_bytes]
        self._large.write(piece)
        crc = crc32c if len(piece) == len(chunk) else None
        if current.sha256 and len(piece) > HASHED_IN_POOL_BYTES:
            self._runtime.in_pool(current.add, piece, crc)
        else:
            current.add(piece, crc)
        files.offset += len(piece)
        if not current.missing_bytes:
            large, self._large = self._large, None
            large.close()
            self._runtime.in_pool(files.end_large)
        return len(piece)

    def _open_large(self) -> LocalWriter:
        opened = self._runtime.in_pool(self._files.opened_large)
        current = self._files.current
        length_bytes = current.entry.size_bytes if current else None

        def on_reserve(_: int) -> None:
            self._reserve.on_reserve(self.accounted_bytes)

        reserve = Reserve(self._reserve.ahead_bytes, length_bytes, on_reserve)
        return LocalWriter(opened, self._files.disk.directory, self._write_path, self._file_sync, reserve)

    def _close_large(self) -> None:
        """Closes the large file. The next byte opens it again."""
        large, self._large = self._large, None
        if large:
            self._files.current = None
            large.close()

    def _repair(self) -> None:
        """Deletes what a failed write may have left."""
        self._cut(self.taken_bytes)
        self._torn = False

    def _cut(self, length_bytes: int) -> None:
        with contextlib.suppress(IncomingError):  # it is cut off
            self._close_large()
        try:
            self._runtime.in_pool(self._files.cut, length_bytes)
        finally:
            self._files.disk.deletion.start()

    def truncate(self, length_bytes: int) -> None:
        """See storage.Writer, and FolderStorage about files that are left out."""
        with disk_errors, self._lock:
            self._check_open()
            self._cut(length_bytes)
            self.taken_bytes = self._files.offset
            self._torn = False

    def leave_out(self, index: int) -> None:
        """See storage.FolderWriter."""
        with disk_errors, self._lock:
            self._check_open()
            if self._torn:
                self._repair()
            self._close_large()
            try:
                self._runtime.in_pool(self._files.leave_out, index)
            finally:
                self.taken_bytes = self._files.offset
                self._files.disk.deletion.start()

    # --- the end ----------------------------------------------------------------------------------------

    def flush(self) -> None:
        """See storage.Writer. A folder that is not going to be synced is made complete when it is whole."""
        with disk_errors, self._lock:
            if self._is_open and self._files.is_whole and not self._files.disk.syncs:
                self._complete()

    def _complete(self) -> None:
        self._close_large()
        self._runtime.in_pool(complete, self._files)

    def finish(self) -> None:
        """See storage.Writer. Large files are written out in steps, which take turns with those of others."""
        with disk_errors:
            for step in (self._complete, self._write_out, self._sync):
                with self._lock:
                    if self._is_finished:
                        return
                    self._check_open()
                    if not self._files.is_whole:
                        raise StorageFailed
                    step()

    def _write_out(self) -> None:
        for index in sorted(self._files.large):
            opened = self._runtime.in_pool(self._files.open_again, index)
            try:
                self._write_path.write_out(self._file_sync, opened.path, opened.fd, opened.status.st_size)
            finally:
                if self._file_sync.has_failed(opened.path):
                    self._files.distrust()
                self._file_sync.forget(opened.path)
                self._runtime.in_pool(close_descriptor, opened.fd)

    def _sync(self) -> None:
        try:
            with self._write_path.large_sync:
                self._runtime.in_pool(sync, self._files, self._at_once)
        except BytesLost:
            self.taken_bytes = self._files.offset
            raise
        self._is_open, self._is_finished = False, True
        self._runtime.in_pool(self._files.close)

    def abort(self) -> None:
        """See storage.Writer."""

        def end_file() -> None:
            if self._large:
                self._large.abort()

        self._close(end_file)

    def close(self) -> None:
        """See storage.Writer."""

        def end_file() -> None:
            self._close_large()
            if self._torn:
                self._repair()

        self._close(end_file)

    def _close(self, end_file: Callable[[], object]) -> None:
        with disk_errors, self._lock:
            if not self._is_open:
                return
            self._is_open = False
            try:
                end_file()
            finally:
                self._runtime.in_pool(self._files.close)
