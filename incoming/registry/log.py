"""A file that grows by groups of lines (`lines`), each of which survives a power cut once it is appended.

To replace a file costs the disk a new one, two names and two syncs, and the filesystem's own journal writes
all of it, with whatever else waits there. Here one sync of a few kilobytes is all, since the space is there
already: written in advance, as blank lines of a block each, so that length and blocks stay as they are.
A group begins on a block of its own: a write that the disk spoils spoils only lines that nobody was told of.

After a failure nothing is appended any more: Linux takes what it could not write for written (fsync(2)), so
the next sync would succeed and mean nothing. A new file with all that counts has to take its place. So it
does now and then while all goes well, for what counts is a small part of a file that only grows.

One thread at a time; every method blocks on the disk, and raises OSError.
"""

from __future__ import annotations

import errno
import os
import weakref
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Final

from incoming.filesystem import sync_folder, sync_if_known
from incoming.registry.lines import Reader, numbered
from incoming.runtime import close_descriptor

BLOCK_BYTES: Final = 4096
BLANK: Final = b"%*s" % (BLOCK_BYTES, b"\n")
PIECE_BYTES: Final = 256 * 1024
SPARE_BYTES: Final = 256 * 1024
"""Room for more groups that is kept at the end, so that uploads can end where the disk has got full."""
MIN_STEP_BYTES: Final = 256 * 1024
MAX_STEP_BYTES: Final = 4 * 1024 * 1024
"""By how much more room than that a file grows at a time."""
LONG_BYTES: Final = 16 * 1024 * 1024
"""By how much more than it began with (and again as much as that) a file may grow before it is long."""


class Log:
    """The file of one process. It is to be read, and then replaced, before anything can be appended."""

    def __init__(self, file: Path, fsync: bool) -> None:
        """`fsync`: whether what is appended has to survive a power cut; else a kill."""
        self._file = file
        self._fsync = fsync
        self._fd = -1
        self._let_go: Callable[[], object] = lambda: None
        """Closes it, once; so does the end of this object."""
        self._inode = 0
        self._lines = 0
        self._end_bytes = 0
        """Where the next group begins."""
        self._size_bytes = 0
        """Behind the last group there are blank lines up to here."""
        self._long_bytes = 0
        self._counts_bytes: int | None = None
        """Up to where lines count; what stands behind it was not written as it should."""
        self.lost_lines = 0
        """What was damaged when it was read last."""
        self.unreadable_blocks = 0
        """What the disk did not give when it was read last."""

    @property
    def is_open(self) -> bool:
        """Whether lines can be appended: nothing has failed since the file was replaced."""
        return self._fd >= 0

    @property
    def is_long(self) -> bool:
        """Whether it has grown by so much that what counts should be written anew."""
        return self._end_bytes > self._long_bytes

    @property
    def damage(self) -> int:
        """How many lines and blocks were not to be had when it was read last."""
        return self.lost_lines + self.unreadable_blocks

    def check_place(self) -> None:
        """Raises FileNotFoundError where the file is not in its place any more.

        Then its folder was moved, or unmounted, or another process has begun a file.
        """
        if self._inode and self._file.stat().st_ino != self._inode:
            raise FileNotFoundError(errno.ENOENT, "Another file is in its place", str(self._file))

    def texts(self) -> Iterator[bytes]:
        """Yields what the lines say, the oldest first; nothing where there is no file."""
        reader = Reader()
        self.unreadable_blocks = 0
        try:
            fd = os.open(self._file, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return
        try:
            for line in self._read_lines(fd):
                text = reader.text(line)
                if text is not None:
                    yield text
        finally:
            close_descriptor(fd)
            self.lost_lines = reader.lost

    def _read_lines(self, fd: int) -> Iterator[bytes]:
        end_bytes = os.fstat(fd).st_size if self._counts_bytes is None else self._counts_bytes
        rest = b""
        for start in range(0, end_bytes, PIECE_BYTES):
            *lines, rest = (rest + self._read(fd, start, min(PIECE_BYTES, end_bytes - start))).split(b"\n")
            yield from lines
        yield rest

    def _read(self, fd: int, position: int, size_bytes: int) -> bytes:
        """Returns bytes of the file; for a block that the disk does not give some that are no line."""
        try:
            return os.pread(fd, size_bytes, position)
        except OSError:
            if size_bytes <= BLOCK_BYTES:
                self.unreadable_blocks += 1
                return b"?\n"
        blocks = range(position, position + size_bytes, BLOCK_BYTES)
        end = position + size_bytes
        return b"".join(self._read(fd, start, min(BLOCK_BYTES, end - start)) for start in blocks)

    def replace(self, texts: Iterable[bytes]) -> None:
        """Puts a new file with these lines in the place of the old one, which stays if that fails.

        That file is on the disk before, whatever `fsync` says: a power cut must not take all that counts.
        """
        beside = f"{self._file}.new"
        fd = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        try:
            lines, end_bytes = _write_all(fd, texts)
            size_bytes = _blank(fd, end_bytes, end_bytes + _room_bytes(end_bytes))
            if self._fsync:
                os.fdatasync(fd)
            else:
                sync_if_known(os.fdatasync, fd)
            os.replace(beside, self._file)  # noqa: PTH105 - as everywhere here; tests count these calls
        except BaseException:
            close_descriptor(fd)
            raise
        self.close()
        self._fd, self._inode = fd, os.fstat(fd).st_ino
        self._let_go = weakref.finalize(self, close_descriptor, fd)
        self._lines, self._counts_bytes = lines, None
        self._end_bytes, self._size_bytes = _next_block(end_bytes), size_bytes
        self._long_bytes = 2 * end_bytes + LONG_BYTES
        try:
            sync_directory(self._file.parent)
        except OSError:
            self.close()
            raise

    def append(self, texts: Sequence[bytes]) -> None:
        """Writes a group; when it returns, it survives. On an error it may or may not."""
        self.check_place()
        group = b"".join([numbered(number, text) for number, text in enumerate(texts, self._lines)])
        end_bytes = self._end_bytes + len(group)
        self._make_room(end_bytes)
        try:
            _write(self._fd, group, self._end_bytes)
            if self._fsync:
                os.fdatasync(self._fd)
        except OSError:
            self._counts_bytes = self._end_bytes
            self.close()
            raise
        self._end_bytes = _next_block(end_bytes)
        self._lines += len(texts)

    def _make_room(self, end_bytes: int) -> None:
        if end_bytes + SPARE_BYTES <= self._size_bytes:
            return
        try:
            until_bytes = end_bytes + _room_bytes(end_bytes)
            self._size_bytes = _blank(self._fd, self._size_bytes, until_bytes)
        except OSError:
            if end_bytes > self._size_bytes:
                raise

    def bear_with_length(self) -> None:
        """It could not be replaced, and is not long before it has grown as much once more."""
        self._long_bytes = self._end_bytes + LONG_BYTES

    def close(self) -> None:
        """Nothing can be appended until it is replaced."""
        self._let_go()
        self._fd = -1


def sync_directory(directory: Path) -> None:
    """Makes the names in a directory survive a power cut, where its file system can. Raises OSError."""
    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        sync_folder(fd)
    finally:
        close_descriptor(fd)


def _write_all(fd: int, texts: Iterable[bytes]) -> tuple[int, int]:
    """Writes lines from the beginning of a file. Returns how many, and where they end."""
    lines, position, piece = 0, 0, bytearray()
    for lines, text in enumerate(texts, 1):
        piece += numbered(lines - 1, text)
        if len(piece) >= PIECE_BYTES:
            _write(fd, piece, position)
            position += len(piece)
            piece = bytearray()
    _write(fd, piece, position)
    return lines, position + len(piece)


def _write(fd: int, content: bytes | bytearray, position: int) -> None:
    written = 0
    while written < len(content):
        written += os.pwrite(fd, content[written:], position + written)


def _blank(fd: int, start_bytes: int, until_bytes: int) -> int:
    """Writes blank lines, each up to the end of a block. Returns where they end."""
    first, end_bytes = _next_block(start_bytes), _next_block(until_bytes)
    rest = b"%*s" % (first - start_bytes, b"\n") if first > start_bytes else b""
    _write(fd, rest + BLANK * ((end_bytes - first) // BLOCK_BYTES), start_bytes)
    return end_bytes


def _room_bytes(end_bytes: int) -> int:
    """Returns how much room is made behind what ends here: less in a small file."""
    return SPARE_BYTES + min(max(end_bytes, MIN_STEP_BYTES), MAX_STEP_BYTES)


def _next_block(position: int) -> int:
    return -(-position // BLOCK_BYTES) * BLOCK_BYTES
