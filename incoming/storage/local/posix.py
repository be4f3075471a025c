"""System calls of the local storage beyond read and write: reserve space, write out, sync."""

from __future__ import annotations

import ctypes
import errno
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from incoming.runtime.filesystem import sync_folder, sync_if_supported
from incoming.runtime.gevent_runtime import close_descriptor

FALLOC_FL_KEEP_SIZE: Final = 1
FALLOC_FL_PUNCH_HOLE: Final = 2
REWRITE_BYTES: Final = 1024 * 1024
STEP_BYTES: Final = 2 * 1024 * 1024
"""How much of a large file is written to the disk at a time: 4 ms on a disk of 500 MB/s."""
TURN_S: Final = 0.004
"""How long one file is written out before another file may be."""
_WRITE, _WAIT_AFTER = 2, 4  # SYNC_FILE_RANGE_*
_NOT_FOR_THIS_FILE: Final = (errno.ENOSYS, errno.EINVAL, errno.ESPIPE, errno.EOPNOTSUPP, errno.EPERM)
NO_FOLLOW: Final = os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
"""Flags for a file that another user may have put there: follow no link, and do not wait for a FIFO."""
STAT_BLOCK_BYTES: Final = 512
"""The unit of st_blocks, whatever the file system's own blocks are (stat(2))."""
ROUNDING_BYTES: Final = 4096
"""The last block of a file takes less than this after its end, on nearly all file systems."""
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


def allocated_bytes(status: os.stat_result, most_ahead_bytes: int | None = None) -> int:
    """Returns up to which offset the disk counts a file's space as used: its length, and what is reserved.

    Where zeros become holes, or blocks are compressed or not counted yet, st_blocks is less than the length.
    Then the length counts. Where st_blocks is more than the server reserves (copies, metadata), at most
    `most_ahead_bytes` count after the length.
    """
    size_bytes = status.st_size
    ahead_bytes = status.st_blocks * STAT_BLOCK_BYTES - size_bytes
    if ahead_bytes < ROUNDING_BYTES:
        return size_bytes
    return size_bytes + (ahead_bytes if most_ahead_bytes is None else min(ahead_bytes, most_ahead_bytes))


@contextmanager
def folder(path: Path) -> Iterator[int]:
    """Opens an upload's folder, which may not be a link. Yields its descriptor."""
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | NO_FOLLOW)
    try:
        yield fd
    finally:
        close_descriptor(fd)


def has_inodes(directory: Path) -> bool:
    """Returns whether there are inodes for one more upload: for its folder and its file. Raises OSError.

    A file system that does not count them has any number (statvfs(3): f_files is 0).
    """
    status = os.statvfs(directory)
    return not status.f_files or status.f_favail >= INODES


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

    def write_out(self, file: Path, fd: int, position: int, end: int) -> int:
        """Makes the disk write the next steps of a large file, one after the other, and flush its cache.

        A disk flushes its cache as a whole. So another sync waits for what one turn has written, and not for
        the whole file. Returns where the next turn begins. Raises OSError.
        """
        if file in self._failed:
            return end  # `sync` writes it again anyway
        self._failed.add(file)
        until_s = time.monotonic() + TURN_S
        while position < end:
            error = sync_file_range(fd, position, STEP_BYTES, _WRITE | _WAIT_AFTER)
            if error and error not in _NOT_FOR_THIS_FILE:
                raise OSError(error, os.strerror(error))
            position = end if error else position + STEP_BYTES
            if time.monotonic() > until_s:
                break
        sync_if_supported(os.fdatasync, self._directory_fd)  # has nothing to write, but flushes the cache
        self._failed.discard(file)
        return position

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

    def forget(self, file: Path) -> None:
        """Forgets a file that was deleted."""
        self._failed.discard(file)


def write_again(fd: int, position: int = 0, end: int = sys.maxsize) -> None:
    """Writes what a range of a file has once more, so that the next sync has to write it. Raises OSError."""
    while part := os.pread(fd, min(REWRITE_BYTES, end - position), position):
        position += os.pwrite(fd, part, position)
