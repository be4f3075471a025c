"""What the local storage asks of the operating system, beside reading and writing."""

from __future__ import annotations

import ctypes
import errno
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from incoming.runtime.filesystem import sync_folder, sync_if_known
from incoming.runtime.gevent_runtime import close_descriptor

FALLOC_FL_KEEP_SIZE: Final = 1
REWRITE_BYTES: Final = 1024 * 1024
STEP_BYTES: Final = 2 * 1024 * 1024
"""What a large file is written to the disk in: one of 500 MB/s has done it in 4 ms."""
TURN_S: Final = 0.004
"""For how long steps are made before another file has its turn: of what is written already, many."""
_WRITE, _WAIT_AFTER = 2, 4  # SYNC_FILE_RANGE_*
_NOT_FOR_THIS_FILE: Final = (errno.ENOSYS, errno.EINVAL, errno.ESPIPE, errno.EOPNOTSUPP, errno.EPERM)
NO_LINK: Final = os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
"""How a file is opened that others may have put there: not through a link, nor waiting for a FIFO."""
STAT_BLOCK_BYTES: Final = 512
"""The unit of st_blocks, whatever the file system's own blocks are (stat(2))."""
ROUNDING_BYTES: Final = 4096
"""The last block of a file takes less than this after its end, on nearly all file systems."""
_libc: Final = ctypes.CDLL(None, use_errno=True)


def fallocate(fd: int, offset_bytes: int, size_bytes: int) -> int:
    """Reserves disk space without changing the file's length; returns 0 or the error number."""
    where = ctypes.c_int64(offset_bytes), ctypes.c_int64(size_bytes)
    failed = _libc.fallocate(ctypes.c_int(fd), ctypes.c_int(FALLOC_FL_KEEP_SIZE), *where)
    return ctypes.get_errno() if failed else 0


def sync_file_range(fd: int, offset_bytes: int, size_bytes: int, flags: int) -> int:
    """Writes pages to the disk, which may keep them in a cache of its own: see sync_file_range(2).

    `flags` are _WRITE and _WAIT_AFTER. Returns 0 or the error number.
    """
    where = ctypes.c_int64(offset_bytes), ctypes.c_int64(size_bytes)
    failed = _libc.sync_file_range(ctypes.c_int(fd), *where, ctypes.c_uint(flags))
    return ctypes.get_errno() if failed else 0


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
    """Gives an upload's folder as a descriptor: neither it nor what is opened in it is a link."""
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | NO_LINK)
    try:
        yield fd
    finally:
        close_descriptor(fd)


class Syncs:
    """Makes files and their names survive a power cut, and remembers what the disk has refused to keep.

    Linux takes what it could not write for written, and tells it once: a second fdatasync of the same bytes
    succeeds, and they are lost. So after a failure all bytes, which the page cache still has, are written
    anew before the next.
    """

    def __init__(self, directory: Path) -> None:
        """`directory` has the folders of the uploads."""
        self._directory_fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        self._failed: set[Path] = set()

    def write_out(self, file: Path, fd: int, position: int, end: int) -> int:
        """Has the disk write the next steps of a large file, one after the other, and empty its cache.

        So what another sync has to wait for is what one turn has written, not all of the file: a disk's own
        cache is emptied as a whole, by whoever asks for it first. Returns where the next turn begins. Raises
        OSError.
        """
        if file in self._failed:
            return end  # it will be written again anyway
        self._failed.add(file)
        until_s = time.monotonic() + TURN_S
        while position < end:
            error = sync_file_range(fd, position, STEP_BYTES, _WRITE | _WAIT_AFTER)
            if error and error not in _NOT_FOR_THIS_FILE:
                raise OSError(error, os.strerror(error))
            position = end if error else position + STEP_BYTES
            if time.monotonic() > until_s:
                break
        sync_if_known(os.fdatasync, self._directory_fd)  # has nothing to write, and empties the cache
        self._failed.discard(file)
        return position

    def sync(self, file: Path, fd: int) -> None:
        """Returns when the file, open as `fd`, survives. Raises OSError."""
        if file in self._failed:
            _write_again(fd)
        self._failed.add(file)
        os.fdatasync(fd)
        with folder(file.parent) as folder_fd:
            sync_folder(folder_fd)  # fsync(2): a file is not lost, and its name is
        sync_folder(self._directory_fd)
        self._failed.discard(file)

    def forget(self, file: Path) -> None:
        """The file is gone."""
        self._failed.discard(file)


def _write_again(fd: int) -> None:
    position = 0
    while part := os.pread(fd, REWRITE_BYTES, position):
        position += os.pwrite(fd, part, position)
