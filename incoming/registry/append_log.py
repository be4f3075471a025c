"""An append log: a file that grows by groups of records, each durable when `append` returns.

Replacing a small file takes the disk a new file, two names and two syncs, and the file system journals all of
that together with whatever else waits. An append to this log takes one sync of a few kilobytes. The space is
written in advance, as blank lines of one block each, so the length and the blocks of the file do not change.

- A group begins on a block of its own. So a torn write can damage only unacknowledged records.
- The last block of the file is always blank. So a truncated file can be told from a whole one.
- After a failed write or sync nothing is appended. Linux counts a page that it could not write as written
  (fsync(2)): the next sync would succeed and mean nothing. A new file with all that counts has to replace
  this one. The same is done when the log has grown long, since most of its records are out of date then.

One thread at a time appends or replaces. Every method blocks on the disk and raises OSError.
"""

from __future__ import annotations

import contextlib
import errno
import os
import weakref
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Final

from incoming.registry.records import RecordReader, encode_record
from incoming.runtime.filesystem import sync_folder, sync_if_supported
from incoming.runtime.gevent_runtime import close_descriptor

BLOCK_BYTES: Final = 4096
BLANK: Final = b"%*s" % (BLOCK_BYTES, b"\n")
BUFFER_BYTES: Final = 256 * 1024
"""How much is read or written in one call."""
SPARE_BYTES: Final = 256 * 1024
"""Blank space that is kept at the end for more groups, so that uploads can end when the disk is full."""
MIN_GROWTH_BYTES: Final = 256 * 1024
MAX_GROWTH_BYTES: Final = 4 * 1024 * 1024
"""How much blank space is added to the spare space: as much as the file has, within these bounds."""
COMPACT_AFTER_BYTES: Final = 16 * 1024 * 1024
"""A log needs compaction when it has grown by this much and by as much as it had at first."""


class Appender:
    """Writes records to the end of an open file: without gaps at first, then by groups into blank space."""

    def __init__(self, fd: int = -1) -> None:
        """Takes an empty file, and closes it at the end of this object's life."""
        self.fd = fd
        self.records = 0
        self.end_bytes = 0
        """Where the next record begins."""
        self.size_bytes = 0
        """Up to here there is blank space after the last record."""
        self._close_fd = weakref.finalize(self, close_descriptor, fd) if fd >= 0 else None

    def add(self, payloads: Iterable[bytes]) -> None:
        """Writes records without a sync. Only before `add_space`."""
        buffer = bytearray()
        for payload in payloads:
            buffer += encode_record(self.records, payload)
            self.records += 1
            if len(buffer) >= BUFFER_BYTES:
                self._add_buffer(buffer)
                buffer = bytearray()
        self._add_buffer(buffer)

    def _add_buffer(self, buffer: bytearray) -> None:
        _write(self.fd, buffer, self.end_bytes)
        self.end_bytes += len(buffer)

    def add_space(self) -> None:
        """Writes blank space for groups after the records."""
        self.size_bytes = _write_blank(self.fd, self.end_bytes, self.end_bytes + _space_bytes(self.end_bytes))
        self.end_bytes = _next_block(self.end_bytes)

    def append(self, payloads: Sequence[bytes], *, sync: bool) -> None:
        """Writes a group into the blank space, and adds more space first if little is left."""
        group = b"".join(
            [encode_record(number, payload) for number, payload in enumerate(payloads, self.records)]
        )
        end_bytes = self.end_bytes + len(group)
        self._keep_space(end_bytes)
        try:
            _write(self.fd, group, self.end_bytes)
            if sync:
                os.fdatasync(self.fd)
        except OSError:
            self.close()
            raise
        self.end_bytes = _next_block(end_bytes)
        self.records += len(payloads)

    def _keep_space(self, end_bytes: int) -> None:
        """Raises OSError if a group that ends here would need the last block, which stays blank."""
        if end_bytes + SPARE_BYTES <= self.size_bytes:
            return
        try:
            self.size_bytes = _write_blank(self.fd, self.size_bytes, end_bytes + _space_bytes(end_bytes))
        except OSError:
            if _next_block(end_bytes) + BLOCK_BYTES > self.size_bytes:
                raise

    @property
    def has_space(self) -> bool:
        """Whether a group of one block fits even if the disk is full."""
        return self.end_bytes + 2 * BLOCK_BYTES <= self.size_bytes

    def close(self) -> None:
        """Closes the file. Nothing can be appended any more."""
        self.fd = -1
        if self._close_fd:
            self._close_fd()


class NewFile:
    """A file that is written to replace a log. `AppendLog.install` or `discard` has to follow."""

    def __init__(self, path: Path, fsync: bool) -> None:
        """With `fsync` a file system without syncs is an error. Raises OSError."""
        self.path = path
        self._fsync = fsync
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC
        self.appender = Appender(os.open(path, flags, 0o600))

    def sync(self) -> None:
        """Makes what was written so far survive a power cut."""
        if self._fsync:
            os.fdatasync(self.appender.fd)
        else:
            sync_if_supported(os.fdatasync, self.appender.fd)

    def discard(self) -> None:
        """Deletes the file, which would fill the disk."""
        self.appender.close()
        with contextlib.suppress(OSError):
            self.path.unlink()


class AppendLog:
    """The append log of one process. It has to be read, and then replaced, before the first `append`."""

    def __init__(self, file: Path, fsync: bool) -> None:
        """With `fsync` appended records survive a power cut, else a kill only."""
        self._file = file
        self._new_file = file.with_name(f"{file.name}.new")
        self._fsync = fsync
        self._appender = Appender()
        self._inode = 0
        self._compact_at_bytes = 0
        self._valid_bytes: int | None = None
        """Up to here records count. After it is a group whose write has failed."""
        self.lost_records = 0
        """How many records were damaged or missing in the last read."""
        self.unreadable_blocks = 0
        """How many blocks the disk did not return in the last read."""
        self.is_torn = False
        """Whether the last read found a torn write at the end. See RecordReader."""
        self.last_payload = b""
        """The payload of the last record in the last read."""
        self.is_truncated = False
        """Whether the end of the file was missing in the last read: a whole file ends with a blank block."""

    @property
    def is_open(self) -> bool:
        """Whether records can be appended: nothing has failed since the file was replaced."""
        return self._appender.fd >= 0

    @property
    def has_spare_space(self) -> bool:
        """Whether the blank space that is kept at the end is still there: the disk is not full."""
        space_bytes = self._appender.size_bytes - self._appender.end_bytes
        return self.is_open and space_bytes > SPARE_BYTES - 2 * BLOCK_BYTES

    @property
    def has_space(self) -> bool:
        """Whether a record can be appended even if the disk is full."""
        return self.is_open and self._appender.has_space

    @property
    def needs_compaction(self) -> bool:
        """Whether the log has grown so much that it should be replaced by one with the latest records."""
        return self._appender.end_bytes > self._compact_at_bytes

    @property
    def damage(self) -> int:
        """How many records and blocks were damaged or missing in the last read."""
        return self.lost_records + self.unreadable_blocks

    @property
    def end_bytes(self) -> int:
        """Where the next group begins. What is before it does not change any more."""
        return self._appender.end_bytes

    def exists(self) -> bool:
        """Returns whether there is a file."""
        return self._file.exists()

    def check_not_replaced(self) -> None:
        """Raises FileNotFoundError if the file is not in its place any more.

        Then its folder was moved or unmounted, or another process has begun a file.
        """
        if self._inode and self._file.stat().st_ino != self._inode:
            raise FileNotFoundError(errno.ENOENT, "Another file is in its place", str(self._file))

    # --- reading -------------------------------------------------------------------------------------

    def payloads(self) -> Iterator[bytes]:
        """Yields the payloads of all records, the oldest first; nothing if there is no file."""
        reader = RecordReader()
        self.unreadable_blocks, self.is_truncated = 0, False
        try:
            fd = os.open(self._file, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return
        try:
            end_bytes = self._valid_bytes
            if end_bytes is None:
                end_bytes = os.fstat(fd).st_size
                self.is_truncated = not self._ends_blank(fd, end_bytes)
            yield from reader.payloads(self._read_lines(fd, 0, end_bytes))
        finally:
            close_descriptor(fd)
            self.lost_records, self.is_torn = reader.lost, reader.is_torn
            self.last_payload = reader.last_payload

    def payloads_between(self, start_bytes: int, end_bytes: int, reader: RecordReader) -> Iterator[bytes]:
        """Yields the payloads of the records between two groups. `reader` has read all records before them.

        Another thread may append meanwhile.
        """
        fd = os.open(self._file, os.O_RDONLY | os.O_CLOEXEC)
        try:
            yield from reader.payloads(self._read_lines(fd, start_bytes, end_bytes))
        finally:
            close_descriptor(fd)

    def _ends_blank(self, fd: int, size_bytes: int) -> bool:
        """Returns whether the last whole block is blank. It is not if a part of the file is missing."""
        last_block = size_bytes // BLOCK_BYTES - 1
        if last_block < 0:
            return False
        try:
            return os.pread(fd, BLOCK_BYTES, last_block * BLOCK_BYTES) == BLANK
        except OSError:
            return True  # it is counted as an unreadable block

    def _read_lines(self, fd: int, start_bytes: int, end_bytes: int) -> Iterator[bytes]:
        rest = b""
        for start in range(start_bytes, end_bytes, BUFFER_BYTES):
            *lines, rest = (rest + self._read(fd, start, min(BUFFER_BYTES, end_bytes - start))).split(b"\n")
            yield from lines
        yield rest

    def _read(self, fd: int, position: int, size_bytes: int) -> bytes:
        """Returns bytes of the file; for an unreadable block, bytes that are no record."""
        try:
            return os.pread(fd, size_bytes, position)
        except OSError:
            if size_bytes <= BLOCK_BYTES:
                self.unreadable_blocks += 1
                return b"?\n"
        blocks = range(position, position + size_bytes, BLOCK_BYTES)
        end = position + size_bytes
        return b"".join(self._read(fd, start, min(BLOCK_BYTES, end - start)) for start in blocks)

    # --- a new file ----------------------------------------------------------------------------------

    def remove_unfinished(self) -> None:
        """Removes a new file that a killed process has not finished. Errors are ignored: it does no harm."""
        with contextlib.suppress(OSError):
            self._new_file.unlink()

    def new_file(self) -> NewFile:
        """Returns an empty file that may replace this one. There is one at a time."""
        return NewFile(self._new_file, self._fsync)

    def replace(self, payloads: Iterable[bytes]) -> None:
        """Replaces the file by one with these records. If that fails, the old file stays."""
        new_file = self.new_file()
        try:
            new_file.appender.add(payloads)
            new_file.appender.add_space()
            self.install(new_file)
        except BaseException:
            if self._appender is not new_file.appender:
                new_file.discard()
            raise

    def install(self, new_file: NewFile) -> None:
        """Replaces the old file by a complete new one. If that fails, the old one stays.

        The new file is synced first, whatever `fsync` says: a power cut must not take all records.
        """
        first_bytes = new_file.appender.end_bytes
        new_file.sync()
        os.replace(new_file.path, self._file)  # noqa: PTH105 - tests count the calls of `os`
        self._appender.close()
        self._appender = new_file.appender
        self._inode = os.fstat(self._appender.fd).st_ino
        self._valid_bytes = None
        self._compact_at_bytes = 2 * first_bytes + COMPACT_AFTER_BYTES
        try:
            sync_directory(self._file.parent)
        except OSError:
            self.close()
            raise

    def postpone_compaction(self) -> None:
        """Compaction has failed. It is needed again when the log has grown by as much again."""
        self._compact_at_bytes = self._appender.end_bytes + COMPACT_AFTER_BYTES

    # --- appending -----------------------------------------------------------------------------------

    def append(self, payloads: Sequence[bytes]) -> None:
        """Writes a group of records, which is durable when it returns. After an error it may be, or not."""
        self.check_not_replaced()
        try:
            self._appender.append(payloads, sync=self._fsync)
        except OSError:
            if not self.is_open:
                self._valid_bytes = self._appender.end_bytes
            raise

    def close(self) -> None:
        """Closes the file. Nothing can be appended until it is replaced."""
        self._appender.close()


def sync_directory(directory: Path) -> None:
    """Makes the names in a directory survive a power cut, if its file system can. Raises OSError."""
    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        sync_folder(fd)
    finally:
        close_descriptor(fd)


def _write(fd: int, content: bytes | bytearray, position: int) -> None:
    written = 0
    while written < len(content):
        written += os.pwrite(fd, content[written:], position + written)


def _write_blank(fd: int, start_bytes: int, until_bytes: int) -> int:
    """Writes blank lines, each up to the end of a block. Returns where they end."""
    first, end_bytes = _next_block(start_bytes), _next_block(until_bytes)
    rest = b"%*s" % (first - start_bytes, b"\n") if first > start_bytes else b""
    _write(fd, rest + BLANK * ((end_bytes - first) // BLOCK_BYTES), start_bytes)
    return end_bytes


def _space_bytes(end_bytes: int) -> int:
    """Returns how much blank space follows records that end here: less in a small file."""
    return SPARE_BYTES + min(max(end_bytes, MIN_GROWTH_BYTES), MAX_GROWTH_BYTES)


def _next_block(position: int) -> int:
    return -(-position // BLOCK_BYTES) * BLOCK_BYTES
