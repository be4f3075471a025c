"""The lock on a storage directory: one process owns it. The kernel releases the lock when the process ends.

The lock is on the file `lock`. If that file is removed or replaced, a second process can lock the new one. So
the owner checks whether the file in the directory is still the one that it has locked. It glances at that
file before each acknowledgement: nobody else can own the directory before the file was removed or renamed.
"""

from __future__ import annotations

import errno
import fcntl
import os
from pathlib import Path

from incoming.core.errors import StorageFailed, StorageInUse, StorageLost
from incoming.runtime.gevent_runtime import close_descriptor
from incoming.storage.local.probe import unusable

LOCK_FILE = "lock"
NOT_LOCKED = "the file `lock` in it can't be locked, so nothing would keep a second server out"


class DirLock:
    """The lock on a storage directory, held until `release` or the end of the process."""

    def __init__(self, directory: Path) -> None:
        """Creates the directory if there is none. Raises OSError."""
        directory.mkdir(parents=True, exist_ok=True)
        self._directory = directory
        self.file = directory / LOCK_FILE
        self._lost = False
        self._glanced_at: tuple[int, int] | None = None
        self._directory_fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        self._open()

    def _open(self) -> None:
        self._fd = os.open(self.file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        # Both stay open: some file systems (FUSE) give a file a new number when it is not in use.
        self._places = _place(os.fstat(self._directory_fd)), _place(os.fstat(self._fd))

    def acquire(self) -> None:
        """Takes the lock. Raises StorageInUse if another process holds it, BadSetting if locks fail."""
        with unusable(self._directory, NOT_LOCKED):
            try:
                self._lock(fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as exc:
                raise StorageInUse(str(self._directory)) from exc

    def wait(self) -> None:
        """Takes the lock when the process that holds it releases it. Blocks: not for the event loop."""
        self._lock(fcntl.LOCK_EX)

    def _lock(self, how: int) -> None:
        """Locks the file that is in the directory at that time: the open one may have been removed."""
        fcntl.flock(self._fd, how)
        while not self._is_in_place():
            close_descriptor(self._fd)
            self._open()
            fcntl.flock(self._fd, how)

    def check(self) -> None:
        """Checks with two system calls whether the directory still belongs to this process.

        Raises StorageLost if the lock's file is missing or is another one, and then at every later call.
        Raises StorageFailed while the directory itself is missing (moved, unmounted) or can't be read.
        """
        try:
            self._lost = self._lost or not self._is_in_place()
        except OSError as exc:
            raise StorageFailed from exc
        if self._lost:
            raise StorageLost

    def glance(self) -> None:
        """Checks with one system call whether somebody has removed or renamed the lock's file.

        It looks no name up, and takes 1 µs on a local disk. Such a step changes the number of the file's
        names or the time of its last change (POSIX: unlink, rename). `check` then decides, and raises.
        """
        try:
            status = os.fstat(self._fd)
        except OSError as exc:
            raise StorageFailed from exc
        seen = status.st_nlink, status.st_ctime_ns
        if seen != self._glanced_at or self._lost:
            self.check()
            self._glanced_at = seen

    def _is_in_place(self) -> bool:
        """Returns whether the lock's file is still ours. Raises OSError if the directory is not."""
        directory, lock = self._places
        if _place(self._directory.stat()) != directory:
            raise FileNotFoundError(errno.ENOENT, "Another directory is in its place", str(self._directory))
        try:
            return _place(self.file.stat()) == lock
        except FileNotFoundError:
            return False

    def release(self) -> None:
        """Releases the lock: another process may own the directory."""
        close_descriptor(self._fd)
        close_descriptor(self._directory_fd)


def _place(status: os.stat_result) -> tuple[int, int]:
    """Returns what identifies a file among all that exist at the same time."""
    return status.st_dev, status.st_ino
