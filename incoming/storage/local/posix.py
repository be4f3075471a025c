"""System calls of the local storage beyond read and write: reserve space, write out, sync."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NoReturn

from incoming.runtime.filesystem import sync_folder, sync_if_supported
from incoming.runtime.gevent_runtime import close_descriptor

FALLOC_FL_KEEP_SIZE: Final = 1
FALLOC_FL_PUNCH_HOLE: Final = 2
REWRITE_BYTES: Final = 1024 * 1024
STEP_BYTES: Final = 2 * 1024 * 1024
"""How much of a large file a slow disk is given at a time: 4 ms at 500 MB/s."""
MAX_STEP_BYTES: Final = 8 * 1024 * 1024
"""How much a fast one is given."""
FLUSH_S: Final = 0.004
"""How long a disk writes before it has to empty its cache, and how long a step is to take."""
TURN_S: Final = 0.016
"""How long one file is written out before another file may be."""
_WRITE, _WAIT_AFTER = 2, 4  # SYNC_FILE_RANGE_*
_NOT_FOR_THIS_FILE: Final = (errno.ENOSYS, errno.EINVAL, errno.ESPIPE, errno.EOPNOTSUPP, errno.EPERM)
NO_FOLLOW: Final = os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
"""Flags for a file that another user may have put there: follow no link, and do not wait for a FIFO."""
FOLDER_FLAGS: Final = os.O_RDONLY | os.O_DIRECTORY | NO_FOLLOW
STAT_BLOCK_BYTES: Final = 512
"""The unit of st_blocks, whatever the file system's own blocks are (stat(2))."""
ROUNDING_BYTES: Final = 4096
"""The last block of a file takes less than this after its end, on nearly all file systems."""
GONE: Final = (FileNotFoundError, NotADirectoryError)
"""What is raised where a file, or a folder above it, does not exist."""
INODES: Final = 2
"""How many inodes an upload needs: one for its folder and one for its file."""
_libc: Final = ctypes.CDLL(None, use_errno=True)


def fallocate(fd: int, offset_bytes: int, size_bytes: int) -> int:
    """Reserves disk space without changing the file's length; returns 0 or the error number."""
    return _fallocate(fd, FALLOC_FL_KEEP_SIZE, offset_bytes, size_bytes)


def punch_hole(fd: int, offset_bytes: int, size_bytes: int) -> int:
    """Frees the space of a range, stored or reserved; returns 0 or the error number."""
    return _fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, offset_bytes, size_bytes)


def _fallocate(fd: int, mode: int, offset_bytes: int, size_bytes: int) -> int:
    where = ctypes.c_int64(offset_bytes), ctypes.c_int64(size_bytes)
    failed = _libc.fallocate(ctypes.c_int(fd), ctypes.c_int(mode), *where)
    return ctypes.get_errno() if failed else 0


def sync_file_range(fd: int, offset_bytes: int, size_bytes: int, flags: int) -> int:
    """Writes pages to the disk, which may keep them in its own cache: see sync_file_range(2).

    `flags` are _WRITE and _WAIT_AFTER. Returns 0 or the error number.
    """
    where = ctypes.c_int64(offset_bytes), ctypes.c_int64(size_bytes)
    failed = _libc.sync_file_range(ctypes.c_int(fd), *where, ctypes.c_uint(flags))
    return ctypes.get_errno() if failed else 0


def syncfs(fd: int) -> None:
    """Commits everything of the file system that a file is on: see syncfs(2). Raises OSError."""
    if _libc.syncfs(ctypes.c_int(fd)):
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def allocated_bytes(status: os.stat_result, max_ahead_bytes: int | None = None) -> int:
    """Returns up to which offset the disk counts a file's space as used: its length, and what is reserved.

    Where zeros become holes, or blocks are compressed or not counted yet, st_blocks is less than the length.
    Then the length counts. Where st_blocks is more than the server reserves (copies, metadata), at most
    `max_ahead_bytes` count after the length.
    """
    size_bytes = status.st_size
    ahead_bytes = status.st_blocks * STAT_BLOCK_BYTES - size_bytes
    if ahead_bytes < ROUNDING_BYTES:
        return size_bytes
    return size_bytes + (ahead_bytes if max_ahead_bytes is None else min(ahead_bytes, max_ahead_bytes))


@contextlib.contextmanager
def closing(fd: int) -> Iterator[int]:
    """Yields a descriptor, and closes it at the end."""
    try:
        yield fd
    finally:
        close_descriptor(fd)


def folder(path: Path) -> contextlib.AbstractContextManager[int]:
    """Opens an upload's folder, which may not be a link. Its descriptor is closed at the end."""
    return closing(os.open(path, FOLDER_FLAGS))


def write_all(fd: int, content: bytes | bytearray | memoryview, position: int) -> int:
    """Writes all of this at a position. Returns where it ends. Raises OSError.

    A full disk may take a part of it. It says so at the next write.
    """
    rest = memoryview(content)
    while rest:
        written = os.pwrite(fd, rest, position)
        rest, position = rest[written:], position + written
    return position


def has_inodes(directory: Path) -> bool:
    """Returns whether there are inodes for one more upload: for its folder and its file. Raises OSError.

    A file system that does not count them has any number (statvfs(3): f_files is 0).
    """
    status = os.statvfs(directory)
    return not status.f_files or status.f_favail >= INODES


def start_writing(fd: int, size_bytes: int) -> int:
    """Tells the disk to write a file, and does not wait for it. Returns 0, or the disk's error number."""
    error = sync_file_range(fd, 0, size_bytes, _WRITE)
    return 0 if error in _NOT_FOR_THIS_FILE else error


class FileSync:
    """Makes files and their names survive a power cut, and remembers the files whose sync has failed.

    Linux counts a page that it could not write as written, and reports that once: a second fdatasync of the
    same bytes succeeds, and they are lost. So after a failure all bytes are written again before the next
    sync. The page cache still has them.
    """

    def __init__(self, directory: Path) -> None:
        """`directory` holds the folders of the uploads."""
        self._directory_fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        self._failed: set[Path] = set()
        self._step_bytes = STEP_BYTES

    def write_out(self, file: Path, fd: int, position: int, end: int) -> int:
        """Makes the disk write the next steps of a large file, and empty its cache every few milliseconds.

        A disk empties its cache as a whole. So another sync waits for what was written since the last time,
        and not for the whole file. Returns where the next turn begins. Raises OSError.

        One file at a time: what an error says is kept in `_failed`.
        """
        if file in self._failed:
            return end  # `sync` writes it again anyway
        self._failed.add(file)
        position = self._write_steps(fd, position, end)
        self._failed.discard(file)
        return position

    def _write_steps(self, fd: int, position: int, end: int) -> int:
        began = waited = position
        """The disk is writing what is between `waited` and `position`."""
        began_s = flushed_s = now_s = time.monotonic()
        while position < end:
            is_fast = self._step_bytes > STEP_BYTES
            step = position, min(self._step_bytes, end - position)
            error = sync_file_range(fd, *step, _WRITE)
            position += step[1]
            # A fast disk gets its next step before it is done with this one.
            if not error and (waited < step[0] or not is_fast):
                until = step[0] if is_fast else position
                error = sync_file_range(fd, waited, until - waited, _WAIT_AFTER)
                waited = until
            if error in _NOT_FOR_THIS_FILE:
                return end
            if error:
                _fail(fd, began, position, error)
            step_s, now_s = time.monotonic() - now_s, time.monotonic()
            self._set_pace(step_s)
            if position == end or now_s >= began_s + TURN_S:
                break
            if now_s > flushed_s + FLUSH_S:
                self._empty_cache()
                flushed_s = now_s = time.monotonic()
        if waited < position and (error := sync_file_range(fd, waited, position - waited, _WAIT_AFTER)):
            _fail(fd, began, position, error)
        self._empty_cache()
        return position

    def _set_pace(self, step_s: float) -> None:
        if step_s > 2 * FLUSH_S:
            self._step_bytes = max(self._step_bytes // 2, STEP_BYTES)
        elif step_s < FLUSH_S:
            self._step_bytes = min(self._step_bytes * 2, MAX_STEP_BYTES)

    def _empty_cache(self) -> None:
        sync_if_supported(os.fdatasync, self._directory_fd)  # has nothing to write

    def sync(self, file: Path, fd: int) -> None:
        """Returns when the file, open as `fd`, survives a power cut. Raises OSError."""
        if file in self._failed:
            write_again(fd)
        self._failed.add(file)
        os.fdatasync(fd)
        with folder(file.parent) as folder_fd:
            sync_folder(folder_fd)  # else the name can be lost, as fsync(2) says
        sync_folder(self._directory_fd)
        self._failed.discard(file)

    def has_failed(self, file: Path) -> bool:
        """Returns whether the disk has failed to write some of the file since its last sync."""
        return file in self._failed

    def forget(self, file: Path) -> None:
        """Forgets a file that was deleted, or that is written again anyway."""
        self._failed.discard(file)


def _fail(fd: int, position: int, end: int, error: int) -> NoReturn:
    """Raises the OSError of a range that could not be written.

    Nobody is told of it again, and a killed server does not remember it. So the range is written again first:
    the next sync, of whatever process, has to write it.
    """
    with contextlib.suppress(OSError):
        write_again(fd, position, end)
    raise OSError(error, os.strerror(error))


def write_again(fd: int, position: int = 0, end: int = sys.maxsize) -> None:
    """Writes the same bytes of a range again, so that the next sync has to write them. Raises OSError."""
    while part := os.pread(fd, min(REWRITE_BYTES, end - position), position):
        position += os.pwrite(fd, part, position)
