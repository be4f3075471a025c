"""Deletes large files in steps, so that the disk stays responsive.

With the mount option `discard`, a file system tells its disk at each commit which blocks are free now. That
keeps the disk busy: 100 ms for some hundred MB. Meanwhile no ticket is issued, since its sync has to wait.
So the name of a large file is deleted at once, and its space is freed in steps, with a commit for each. A
process that still reads the file, or has it under another name, keeps all of it, as unlink(2) promises. So a
file is truncated only if nothing else uses it.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import signal
from collections import deque
from pathlib import Path
from typing import Final

from incoming.runtime.base import Runtime
from incoming.runtime.filesystem import mount_id, mounted, mounts, sync_folder
from incoming.runtime.gevent_runtime import close_descriptor
from incoming.storage.local.posix import NO_FOLLOW, folder

STEP_BYTES: Final = 8 * 1024 * 1024
"""How much is freed in one step: some milliseconds of a slow disk. A pause of the same length follows."""
MAX_WAITING_FILES: Final = 64
"""How many large files may wait, each with a descriptor. More are deleted in one step."""


class Deletion:
    """Deletes the files of one directory."""

    def __init__(self, directory: Path, runtime: Runtime) -> None:
        """Raises OSError."""
        self._directory = directory
        self._in_steps = discards(mounts(), mount_id(directory))
        self._runtime = runtime
        self._large: deque[int] = deque()
        """Descriptors of files without a name. After a kill the kernel frees them."""
        self._is_running = False

    def unlink(self, name: str, folder_fd: int) -> None:
        """Deletes the name of a file. Call `start` next. Blocks on the disk. Raises OSError."""
        fd = self._open_large(name, folder_fd)
        try:
            os.unlink(name, dir_fd=folder_fd)
            if fd >= 0 and _is_unused(fd):
                self._large.append(fd)
                fd = -1
        finally:
            if fd >= 0:
                close_descriptor(fd)

    def _open_large(self, name: str, folder_fd: int) -> int:
        """Returns a descriptor of a large file, or -1 if it is to be deleted in one step."""
        if not self._in_steps or len(self._large) >= MAX_WAITING_FILES:
            return -1
        if os.stat(name, dir_fd=folder_fd, follow_symlinks=False).st_size <= STEP_BYTES:
            return -1
        try:
            return os.open(name, os.O_RDWR | NO_FOLLOW, dir_fd=folder_fd)
        except OSError:
            return -1

    def start(self) -> None:
        """Starts a task that frees the space of what `unlink` has left."""
        if self._large and not self._is_running:
            self._is_running = True
            self._runtime.spawn(self._free_all)

    def _free_all(self) -> None:
        while self._large:
            fd = self._large.popleft()
            try:
                with contextlib.suppress(OSError):
                    self._free(fd)
            finally:
                self._runtime.in_pool(close_descriptor, fd)
        self._is_running = False

    def _free(self, fd: int) -> None:
        size_bytes = os.fstat(fd).st_size
        while size_bytes > STEP_BYTES:
            size_bytes -= STEP_BYTES
            began_s = self._runtime.now_s()
            self._runtime.in_pool(self._truncate, fd, size_bytes)
            self._runtime.sleep(self._runtime.now_s() - began_s)

    def _truncate(self, fd: int, size_bytes: int) -> None:
        """Truncates a file, and returns when the file system has committed what is free. Raises OSError.

        A commit has everything of a moment, so a new time of the directory commits the truncation too. A sync
        of the file would first write the rest of it, which is freed next. The directory has its own
        descriptor here: Linux reports an error once for each, and uploads must not miss theirs.
        """
        os.ftruncate(fd, size_bytes)
        with folder(self._directory) as directory_fd:
            os.utime(directory_fd)
            sync_folder(directory_fd)


def _is_unused(fd: int) -> bool:
    """Returns whether nothing else uses a file whose name was deleted.

    It may have other names. A process that has it open or mapped prevents a write lease, which is taken only
    to find that out (fcntl(2)). Where there are no leases (NFS), or none for files of other users, the answer
    is no.
    """
    if os.fstat(fd).st_nlink:
        return False
    try:
        fcntl.fcntl(fd, fcntl.F_SETSIG, signal.SIGURG)  # ignored; the usual SIGIO ends a process
        fcntl.fcntl(fd, fcntl.F_SETLEASE, fcntl.F_WRLCK)
        fcntl.fcntl(fd, fcntl.F_SETLEASE, fcntl.F_UNLCK)
    except OSError:
        return False
    return True


def discards(table: str, number: str) -> bool:
    """Returns whether a file system is mounted with `discard`; see `mounted`."""
    return "discard" in mounted(table, number)[1]
