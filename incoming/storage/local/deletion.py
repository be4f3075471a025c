"""Removes large files so that the disk stays there for others.

A filesystem that is mounted with `discard` tells its disk what has become free with each commit, and the disk
is busy with that: 100 ms for some hundred MB, in which no ticket is issued, as its sync has to wait. So the
name of a large file goes at once, and its space in steps, with a commit for each. Whoever still reads it, or
has it under another name, keeps it as unlink(2) promises: nothing is cut off a file that is not ours alone.
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
from incoming.runtime.filesystem import mounted, mounts, sync_folder
from incoming.runtime.gevent_runtime import close_descriptor
from incoming.storage.local.posix import NO_LINK, folder

STEP_BYTES: Final = 8 * 1024 * 1024
"""What is given back in one go: some milliseconds of a disk that is slow at it. As long a pause follows."""
MAX_WAITING: Final = 64
"""So many large files wait for their turn, each with a descriptor; more are removed all at once."""


class Deletion:
    """Removes the files of one directory."""

    def __init__(self, directory: Path, runtime: Runtime) -> None:
        """Raises OSError."""
        self._directory = directory
        self._in_steps = discards(mounts(), directory.stat().st_dev)
        self._runtime = runtime
        self._large: deque[int] = deque()
        """Descriptors of what has no name any more; a kill leaves them to the kernel."""
        self._works = False

    def unlink(self, name: str, folder_fd: int) -> None:
        """Takes a file out of its folder; `start` has to follow. Blocks on the disk. Raises OSError."""
        fd = self._open_large(name, folder_fd)
        try:
            os.unlink(name, dir_fd=folder_fd)
            if fd >= 0 and _is_ours_alone(fd):
                self._large.append(fd)
                fd = -1
        finally:
            if fd >= 0:
                close_descriptor(fd)

    def _open_large(self, name: str, folder_fd: int) -> int:
        """Returns a descriptor, or -1 when there is no need for one."""
        if not self._in_steps or len(self._large) >= MAX_WAITING:
            return -1
        if os.stat(name, dir_fd=folder_fd, follow_symlinks=False).st_size <= STEP_BYTES:
            return -1
        try:
            return os.open(name, os.O_RDWR | NO_LINK, dir_fd=folder_fd)
        except OSError:
            return -1

    def start(self) -> None:
        """Gives the space of what `unlink` has left back, beside the caller."""
        if self._large and not self._works:
            self._works = True
            self._runtime.spawn(self._give_back_all)

    def _give_back_all(self) -> None:
        while self._large:
            fd = self._large.popleft()
            try:
                with contextlib.suppress(OSError):
                    self._give_back(fd)
            finally:
                self._runtime.in_pool(close_descriptor, fd)
        self._works = False

    def _give_back(self, fd: int) -> None:
        size_bytes = os.fstat(fd).st_size
        while size_bytes > STEP_BYTES:
            size_bytes -= STEP_BYTES
            began_s = self._runtime.now_s()
            self._runtime.in_pool(self._truncate, fd, size_bytes)
            self._runtime.sleep(self._runtime.now_s() - began_s)

    def _truncate(self, fd: int, size_bytes: int) -> None:
        """Cuts a file off, and returns when the filesystem has noted what has become free. Raises OSError.

        It notes all of a moment together, so that a new time of the directory takes everything with it. To
        sync the file would write the rest of it, just to be freed as well. The descriptor is our own: what
        goes wrong is told to each once, and uploads have to hear of it, too.
        """
        os.ftruncate(fd, size_bytes)
        with folder(self._directory) as directory_fd:
            os.utime(directory_fd)
            sync_folder(directory_fd)


def _is_ours_alone(fd: int) -> bool:
    """Returns whether nobody else can see what happens to a file whose name has gone.

    It may have other names. And whoever has it open, or mapped, stands in the way of a write lease, which is
    taken for this only (fcntl(2)). Where there are none (NFS), or not for files of others, nobody knows.
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


def discards(table: str, device: int) -> bool:
    """Returns whether the filesystem on this device is mounted with `discard`; see `mounted`."""
    return "discard" in mounted(table, device)[1]
