"""Small files that come as one chunk, and are then complete.

Each call in a thread wakes it up and then the event loop, which costs more than writing a few kilobytes. So
a chunk that is the whole file is held until the file is synced: then it is created, written, synced and
closed in one call. What is not synced within moments is stored as any other file is.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

from incoming.core.errors import IncomingError, StorageFailed
from incoming.runtime.base import Runtime, Task
from incoming.runtime.filesystem import disk_errors
from incoming.runtime.gevent_runtime import close_descriptor
from incoming.storage import OnDurable
from incoming.storage.local.directory import Owner, UploadDirectory
from incoming.storage.local.posix import FileSync, write_all
from incoming.storage.local.write_path import WritePath
from incoming.storage.local.writer import LocalWriter, OpenFile, Reserve

log = logging.getLogger(__name__)

MAX_BYTES: Final = 64 * 1024
"""The size of the largest file that is held."""
HELD_S: Final = 0.05
"""How long it is held at most."""


@dataclass(frozen=True, slots=True)
class NewFile:
    """A file that does not exist yet."""

    path: Path
    length_bytes: int
    create: Callable[[], OpenFile]
    """Blocks on the disk. Raises OSError, StorageFailed."""
    writer: Callable[[OpenFile], LocalWriter]


class LocalSmallFiles:
    """See storage.SmallFiles."""

    max_bytes: Final = MAX_BYTES

    def __init__(
        self, directory: UploadDirectory, create: Callable[[Path], OpenFile], write_path: WritePath,
        file_sync: FileSync, reserve_bytes: int,
    ) -> None:  # fmt: skip
        """`create` blocks on the disk, and may raise OSError and StorageFailed."""
        self._directory = directory
        self._create = create
        self._write_path = write_path
        self._file_sync = file_sync
        self._reserve_bytes = reserve_bytes

    def open(
        self, ticket_id: str, length_bytes: int, on_reserve: Callable[[int], object] = lambda _: None,
        on_durable: OnDurable = lambda _: None,
    ) -> SmallFileWriter:  # fmt: skip
        """See storage.SmallFiles."""
        file = self._directory.file(ticket_id)
        reserve = Reserve(self._reserve_bytes, length_bytes, on_reserve)

        def writer(opened: OpenFile) -> LocalWriter:
            return LocalWriter(opened, self._directory, self._write_path, self._file_sync, reserve)

        new = NewFile(file, length_bytes, partial(self._create, file), writer)
        owner, runtime = self._directory.owner, self._write_path.runtime
        return SmallFileWriter(new, runtime, owner, self._file_sync, on_durable)


class SmallFileWriter:
    """See storage.Writer. The file is created when it gets its bytes, or when all else is done."""

    def __init__(
        self, new: NewFile, runtime: Runtime, owner: Owner, file_sync: FileSync, on_durable: OnDurable
    ) -> None:
        """`on_durable`: see Storage.open."""
        self._new = new
        self._runtime = runtime
        self._owner = owner
        self._file_sync = file_sync
        self._on_durable = on_durable
        self._held = b""
        """The whole file, or nothing."""
        self._writer: LocalWriter | None = None
        """The writer of the file, once it was created without its bytes."""
        self._is_open = True
        self._is_finished = False
        self._storing: Task | None = None
        self._lock = runtime.lock()

    @property
    def taken_bytes(self) -> int:
        """See storage.Writer."""
        return self._writer.taken_bytes if self._writer else len(self._held)

    @property
    def durable_offset(self) -> int:
        """See storage.Writer."""
        return self._writer.durable_offset if self._writer else 0

    @property
    def accounted_bytes(self) -> int:
        """See storage.Writer."""
        return self._writer.accounted_bytes if self._writer else len(self._held)

    def fence(self, token: str) -> None:
        """See storage.Writer. What is held is not durable."""
        with self._lock:
            self._held = b""
            if self._writer:
                self._writer.fence(token)

    def wait_for_capacity(self) -> None:
        """See storage.Writer. Each `write` stores its chunk, or holds it."""

    def begin_unchecked(self) -> None:
        """See storage.Writer. The ticket has a mark."""

    def accept_unchecked(self) -> None:
        """See storage.Writer. The ticket had a mark."""

    def write(self, chunk: memoryview, crc32c: int | None = None) -> None:
        """See storage.Writer."""
        with self._lock:
            is_whole = self._writer is None and not self._held and len(chunk) == self._new.length_bytes
            if self._is_open and is_whole:
                self._held = bytes(chunk)
                self._storing = self._runtime.spawn_later(HELD_S, self._store_in_time)
            else:
                self._created().write(chunk)

    def _created(self) -> LocalWriter:
        """Returns the writer of the file, which has all that was taken."""
        if self._writer is None:
            if not self._is_open:
                raise StorageFailed
            with disk_errors:
                opened = self._runtime.in_pool(self._new.create)
            self._writer = self._new.writer(opened)
            if opened.status.st_size:
                self._writer.truncate(0)  # `finish` has failed
        if self._held:
            self._writer.write(memoryview(self._held))
            self._held = b""
        return self._writer

    def _store_in_time(self) -> None:
        """Runs in a task of its own."""
        self._storing = None
        try:
            with self._lock:
                if not self._held:
                    return
                self._created()
        except IncomingError as exc:  # `flush` tries it again, and raises it
            log.debug("a small file could not be stored: %(error)s", {"error": exc})
            self._on_durable(StorageFailed())
        else:
            self._on_durable(None)

    def _forget_timer(self) -> None:
        task, self._storing = self._storing, None
        if task:
            task.kill(block=False)

    def flush(self) -> None:
        """See storage.Writer."""
        with self._lock:
            if self._held:
                self._created()

    def truncate(self, length_bytes: int) -> None:
        """See storage.Writer."""
        with self._lock:
            self._created().truncate(length_bytes)

    def finish(self) -> None:
        """See storage.Writer."""
        with self._lock:
            if self._is_finished:
                return
            if self._writer or not self._held:
                self._created().finish()
                return
            with disk_errors:
                self._runtime.in_pool(self._store_and_sync)
            self._held, self._is_open, self._is_finished = b"", False, True
            self._forget_timer()

    def _store_and_sync(self) -> None:
        """Blocks on the disk. Raises OSError, StorageFailed. It may be repeated: see FileSync.sync."""
        opened = self._new.create()
        try:
            write_all(opened.fd, self._held, 0)
            self._owner.glance()
            self._file_sync.sync(self._new.path, opened.fd)
        finally:
            close_descriptor(opened.fd)

    def abort(self) -> None:
        """See storage.Writer."""
        with self._lock:
            self._held, self._is_open = b"", False
            self._forget_timer()
            if self._writer:
                self._writer.abort()

    def close(self) -> None:
        """See storage.Writer."""
        with self._lock:
            if not self._is_open:
                return
            try:
                self._created()
            finally:
                self._is_open = False
                self._forget_timer()
                if self._writer:
                    self._writer.close()
