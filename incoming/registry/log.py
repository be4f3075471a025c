"""A file that grows by groups of lines (`lines`), each of which survives a power cut once it is appended.

To replace a file costs the disk a new one, two names and two syncs, and the filesystem's own journal writes
all of it, with whatever else waits there. Here one sync of a few kilobytes is all, since the space is there
already: written in advance, as blank lines of a block each, so that length and blocks stay as they are.
A group begins on a block of its own: a write that the disk spoils spoils only lines that nobody was told of.
The last block of a file is always blank. So a file that was cut off can be told from a whole one.

After a failure nothing is appended any more: Linux takes what it could not write for written (fsync(2)), so
the next sync would succeed and mean nothing. A new file with all that counts has to take its place. So it
does now and then while all goes well, for what counts is a small part of a file that only grows.

One thread at a time appends or replaces. Every method blocks on the disk, and raises OSError.
"""

from __future__ import annotations

import contextlib
import errno
import os
import weakref
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Final

from incoming.registry.lines import Reader, numbered
from incoming.runtime.filesystem import sync_folder, sync_if_known
from incoming.runtime.gevent_runtime import close_descriptor

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


class Tail:
    """The end of an open file, where lines are added: first without gaps, then by groups."""

    def __init__(self, fd: int = -1) -> None:
        """Takes an empty file, and closes it with the end of this object."""
        self.fd = fd
        self.lines = 0
        self.end_bytes = 0
        """Where the next line begins."""
        self.size_bytes = 0
        """Behind the last line there are blank lines up to here."""
        self._let_go = weakref.finalize(self, close_descriptor, fd) if fd >= 0 else None

    def add(self, texts: Iterable[bytes]) -> None:
        """Writes lines, without a sync. Only before there is any room."""
        piece = bytearray()
        for text in texts:
            piece += numbered(self.lines, text)
            self.lines += 1
            if len(piece) >= PIECE_BYTES:
                self._add_piece(piece)
                piece = bytearray()
        self._add_piece(piece)

    def _add_piece(self, piece: bytearray) -> None:
        _write(self.fd, piece, self.end_bytes)
        self.end_bytes += len(piece)

    def make_room(self) -> None:
        """Makes room for groups behind what was added."""
        self.size_bytes = _blank(self.fd, self.end_bytes, self.end_bytes + _room_bytes(self.end_bytes))
        self.end_bytes = _next_block(self.end_bytes)

    def append(self, texts: Sequence[bytes], *, sync: bool) -> None:
        """Writes a group into the room, and makes more room first when that gets scarce."""
        group = b"".join([numbered(number, text) for number, text in enumerate(texts, self.lines)])
        end_bytes = self.end_bytes + len(group)
        self._keep_room(end_bytes)
        try:
            _write(self.fd, group, self.end_bytes)
            if sync:
                os.fdatasync(self.fd)
        except OSError:
            self.close()
            raise
        self.end_bytes = _next_block(end_bytes)
        self.lines += len(texts)

    def _keep_room(self, end_bytes: int) -> None:
        """Raises OSError when what ends there does not fit in front of the last block, which stays blank."""
        if end_bytes + SPARE_BYTES <= self.size_bytes:
            return
        try:
            self.size_bytes = _blank(self.fd, self.size_bytes, end_bytes + _room_bytes(end_bytes))
        except OSError:
            if _next_block(end_bytes) + BLOCK_BYTES > self.size_bytes:
                raise

    @property
    def has_room(self) -> bool:
        """Whether a group of one block fits, even where the disk has got full."""
        return self.end_bytes + 2 * BLOCK_BYTES <= self.size_bytes

    def close(self) -> None:
        """Nothing can be added any more."""
        self.fd = -1
        if self._let_go:
            self._let_go()


class Successor:
    """A file that is written beside a log to take its place: `Log.adopt` or `abandon` has to end that."""

    def __init__(self, place: Path, fsync: bool) -> None:
        """Raises OSError. `fsync`: a file system that does not know syncs is an error."""
        self.place = place
        self._fsync = fsync
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC
        self.tail = Tail(os.open(place, flags, 0o600))

    def sync(self) -> None:
        """Makes what it has so far survive a power cut."""
        if self._fsync:
            os.fdatasync(self.tail.fd)
        else:
            sync_if_known(os.fdatasync, self.tail.fd)

    def abandon(self) -> None:
        """Removes it: what is left of it would fill the disk."""
        self.tail.close()
        with contextlib.suppress(OSError):
            self.place.unlink()


class Log:
    """The file of one process. It is to be read, and then replaced, before anything can be appended."""

    def __init__(self, file: Path, fsync: bool) -> None:
        """`fsync`: whether what is appended has to survive a power cut; else a kill."""
        self._file = file
        self._beside = file.with_name(f"{file.name}.new")
        self._fsync = fsync
        self._tail = Tail()
        self._inode = 0
        self._long_bytes = 0
        self._counts_bytes: int | None = None
        """Up to where lines count; what stands behind it was not written as it should."""
        self.lost_lines = 0
        """What was damaged when it was read last."""
        self.unreadable_blocks = 0
        """What the disk did not give when it was read last."""
        self.is_torn = False
        """Whether text that is no sound line stood at the end when it was read last."""
        self.last_text = b""
        """The last one when it was read last."""
        self.is_cut_off = False
        """Whether its end was missing when it was read last: a whole file ends in a blank block."""

    @property
    def is_open(self) -> bool:
        """Whether lines can be appended: nothing has failed since the file was replaced."""
        return self._tail.fd >= 0

    @property
    def has_spare_room(self) -> bool:
        """Whether the room that is kept at the end is still there: the disk is not full."""
        room_bytes = self._tail.size_bytes - self._tail.end_bytes
        return self.is_open and room_bytes > SPARE_BYTES - 2 * BLOCK_BYTES

    @property
    def has_room(self) -> bool:
        """Whether a line can be appended, even where the disk has got full."""
        return self.is_open and self._tail.has_room

    @property
    def is_long(self) -> bool:
        """Whether it has grown by so much that what counts should be written anew."""
        return self._tail.end_bytes > self._long_bytes

    @property
    def damage(self) -> int:
        """How many lines and blocks were not to be had when it was read last."""
        return self.lost_lines + self.unreadable_blocks

    @property
    def end_bytes(self) -> int:
        """Where the next group begins: what stands before it does not change any more."""
        return self._tail.end_bytes

    def exists(self) -> bool:
        """Returns whether there is a file."""
        return self._file.exists()

    def check_place(self) -> None:
        """Raises FileNotFoundError where the file is not in its place any more.

        Then its folder was moved, or unmounted, or another process has begun a file.
        """
        if self._inode and self._file.stat().st_ino != self._inode:
            raise FileNotFoundError(errno.ENOENT, "Another file is in its place", str(self._file))

    # --- reading -------------------------------------------------------------------------------------

    def texts(self) -> Iterator[bytes]:
        """Yields what the lines say, the oldest first; nothing where there is no file."""
        reader = Reader()
        self.unreadable_blocks, self.is_cut_off = 0, False
        try:
            fd = os.open(self._file, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return
        try:
            end_bytes = self._counts_bytes
            if end_bytes is None:
                end_bytes = os.fstat(fd).st_size
                self.is_cut_off = not self._ends_blank(fd, end_bytes)
            yield from reader.texts(self._read_lines(fd, 0, end_bytes))
        finally:
            close_descriptor(fd)
            self.lost_lines, self.is_torn, self.last_text = reader.lost, reader.is_torn, reader.last_text

    def texts_between(self, start_bytes: int, end_bytes: int, reader: Reader) -> Iterator[bytes]:
        """Yields what the lines between two groups say. `reader` has read all before them.

        Lines may be appended meanwhile.
        """
        fd = os.open(self._file, os.O_RDONLY | os.O_CLOEXEC)
        try:
            yield from reader.texts(self._read_lines(fd, start_bytes, end_bytes))
        finally:
            close_descriptor(fd)

    def _ends_blank(self, fd: int, size_bytes: int) -> bool:
        """Returns whether the last whole block is blank; it is not where a part of the file is missing."""
        last_block = size_bytes // BLOCK_BYTES - 1
        if last_block < 0:
            return False
        try:
            return os.pread(fd, BLOCK_BYTES, last_block * BLOCK_BYTES) == BLANK
        except OSError:
            return True  # it is counted as a block that can't be read

    def _read_lines(self, fd: int, start_bytes: int, end_bytes: int) -> Iterator[bytes]:
        rest = b""
        for start in range(start_bytes, end_bytes, PIECE_BYTES):
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

    # --- a new file ----------------------------------------------------------------------------------

    def successor(self) -> Successor:
        """Returns an empty file that may take the place of this one. There is one at a time."""
        return Successor(self._beside, self._fsync)

    def replace(self, texts: Iterable[bytes]) -> None:
        """Puts a new file with these lines in the place of the old one, which stays if that fails."""
        successor = self.successor()
        try:
            successor.tail.add(texts)
            successor.tail.make_room()
            self.adopt(successor)
        except BaseException:
            if self._tail is not successor.tail:
                successor.abandon()
            raise

    def adopt(self, successor: Successor) -> None:
        """Puts a file that has all that counts in the place of the old one, which stays if that fails.

        That file is on the disk before, whatever `fsync` says: a power cut must not take all that counts.
        """
        counted_bytes = successor.tail.end_bytes
        successor.sync()
        os.replace(successor.place, self._file)  # noqa: PTH105 - as everywhere here; tests count these calls
        self._tail.close()
        self._tail = successor.tail
        self._inode = os.fstat(self._tail.fd).st_ino
        self._counts_bytes = None
        self._long_bytes = 2 * counted_bytes + LONG_BYTES
        try:
            sync_directory(self._file.parent)
        except OSError:
            self.close()
            raise

    def bear_with_length(self) -> None:
        """It could not be replaced, and is not long before it has grown as much once more."""
        self._long_bytes = self._tail.end_bytes + LONG_BYTES

    # --- appending -----------------------------------------------------------------------------------

    def append(self, texts: Sequence[bytes]) -> None:
        """Writes a group; when it returns, it survives. On an error it may or may not."""
        self.check_place()
        try:
            self._tail.append(texts, sync=self._fsync)
        except OSError:
            if not self.is_open:
                self._counts_bytes = self._tail.end_bytes
            raise

    def close(self) -> None:
        """Nothing can be appended until it is replaced."""
        self._tail.close()


def sync_directory(directory: Path) -> None:
    """Makes the names in a directory survive a power cut, where its file system can. Raises OSError."""
    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        sync_folder(fd)
    finally:
        close_descriptor(fd)


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
