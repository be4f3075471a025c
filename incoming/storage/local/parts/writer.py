"""Writes one part of an upload into its range of the file. Writers of other parts write at the same time."""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass
from typing import Final

from incoming.core.checkpoints import START, Checkpoint, Checkpoints, added, last, up_to
from incoming.core.checksum import checksum
from incoming.core.parts import Part
from incoming.runtime.filesystem import disk_errors
from incoming.runtime.gevent_runtime import close_descriptor
from incoming.storage.local.parts.files import PartFiles
from incoming.storage.local.parts.offsets import OffsetsFile, Record, encode_record, record_at
from incoming.storage.local.posix import write_again
from incoming.storage.local.reading import read_checksum
from incoming.storage.local.write_path import WritePath
from incoming.storage.local.writer import OpenFile, Reserve, ReservingWriter

CHECKPOINT_INTERVAL_S: Final = 5.0
"""After a power cut, a client sends at most what it had sent in this time again."""


@dataclass(frozen=True, slots=True)
class OpenPart:
    """A part's file and its offsets, which are open, and what is stored of it."""

    ticket_id: str
    part: Part
    file: OpenFile
    offsets: OffsetsFile
    stored: Checkpoint
    checkpoints: Checkpoints


class LocalPartWriter(ReservingWriter):
    """See storage.PartWriter."""

    def __init__(self, opened: OpenPart, files: PartFiles, write_path: WritePath, reserve: Reserve) -> None:
        super().__init__(opened.file, opened.part.start_bytes or 0, write_path, reserve)
        self._ticket_id = opened.ticket_id
        self._part = opened.part
        self._files = files
        self._offsets = opened.offsets
        self._durable = opened.stored
        self._crc = opened.stored.crc32c
        """The CRC-32C of everything up to `taken_bytes`."""
        self._checkpoints = opened.checkpoints
        self._checkpoint_due_s = self._runtime.now_s() + CHECKPOINT_INTERVAL_S
        self._is_unchecked = False
        self._is_lost_in_cache = False
        """Whether a sync has failed, after which the system takes bytes for written that are not."""
        self.taken_bytes = self.durable_offset = self.accounted_bytes = opened.stored.end_bytes

    def write(self, chunk: memoryview, crc32c: int | None = None) -> None:
        """See storage.Writer. First the bytes, then the offset."""
        with disk_errors:
            position = self._put(chunk)
            crc = checksum(chunk, self._crc)
            if not self._is_unchecked:
                self._put_record(Checkpoint(position, crc))
        self._crc = crc
        self._took(position)
        if self._runtime.now_s() >= self._checkpoint_due_s:
            self._checkpoint_due_s = self._runtime.now_s() + CHECKPOINT_INTERVAL_S
            self._runtime.spawn(self._keep_checkpoint)

    def _put_record(self, stored: Checkpoint) -> None:
        record = memoryview(encode_record(self._part.number, Record(stored, self._files.mark)))
        position = record_at(self._part.number)
        while record:
            written = self._write_path.write(self._offsets.fd, record, position)
            record, position = record[written:], position + written
        self._durable = stored
        self.durable_offset = stored.end_bytes

    # --- bytes that do not count yet -------------------------------------------------------------------

    def begin_unchecked(self) -> None:
        """See storage.PartWriter."""
        self._is_unchecked = True

    def accept_unchecked(self) -> None:
        """See storage.PartWriter."""
        if self._is_unchecked:
            with disk_errors:
                self._put_record(Checkpoint(self.taken_bytes, self._crc))
            self._is_unchecked = False

    def truncate(self, length_bytes: int) -> None:
        """See storage.Writer. First the offset: later bytes do not count any more."""
        with disk_errors, self._file_lock:
            stored = self._durable
            if length_bytes < stored.end_bytes:
                stored = self._runtime.in_pool(self._shortened, length_bytes)
                self._put_record(stored)
            self._crc = stored.crc32c
            self.taken_bytes = self.accounted_bytes = stored.end_bytes
            self._checkpoints = up_to(self._checkpoints, stored.end_bytes)
            self._is_unchecked = False
            self._runtime.in_pool(self._trim, self._fd)
            self._torn = False

    def _shortened(self, length_bytes: int) -> Checkpoint:
        known = last(up_to(self._checkpoints, length_bytes))
        start, end = self._start_bytes + known.end_bytes, self._start_bytes + length_bytes
        return Checkpoint(length_bytes, read_checksum(self._fd, start, end, known.crc32c))

    # --- checkpoints and the end ------------------------------------------------------------------------

    def _keep_checkpoint(self) -> None:
        with self._file_lock:
            if self._fd >= 0:
                self._runtime.in_pool(self._try_to_sync_checkpoint)

    def _try_to_sync_checkpoint(self) -> None:
        """Without it, more is sent again after a power cut."""
        with contextlib.suppress(OSError):
            self._sync_checkpoint()

    def _sync_checkpoint(self) -> None:
        stored = self._durable
        if stored not in (START, last(self._checkpoints)):
            self._checkpoints = added(self._checkpoints, stored)
            self._files.keep_checkpoints(self._ticket_id, self._part, self._offsets, self._checkpoints)

    def finish(self) -> None:
        """See storage.Writer. Other parts of the file may be written meanwhile."""
        with disk_errors, self._file_lock:
            if not self._is_finished:
                self._runtime.in_pool(self._sync)

    def _sync(self) -> None:
        if self._is_lost_in_cache:
            write_again(self._fd, self._start_bytes, self._start_bytes + self.taken_bytes)
        self._is_lost_in_cache = True
        os.fdatasync(self._fd)
        self._sync_checkpoint()
        self._is_lost_in_cache = False
        fd, self._fd, self._is_finished = self._fd, -1, True
        with contextlib.suppress(OSError):  # the bytes are durable, whatever the disk says to this
            self._trim_and_close(fd)

    def _trim_and_close(self, fd: int) -> None:
        try:
            self._try_to_sync_checkpoint()
            if self.accounted_bytes > self.durable_offset or self._torn:
                self._trim(fd)
        finally:
            self._close(fd)

    def _trim(self, fd: int) -> None:
        self._files.free_after(fd, self._part, self.durable_offset)

    def _close(self, fd: int) -> None:
        close_descriptor(fd)
        close_descriptor(self._offsets.fd)
