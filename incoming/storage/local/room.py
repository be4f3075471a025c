"""How much space is left on the disk, and how much of it an upload's file has taken."""

from __future__ import annotations

import contextlib
import os
from typing import Final

from incoming.runtime.base import Runtime
from incoming.runtime.filesystem import disk_errors
from incoming.runtime.gevent_runtime import close_descriptor
from incoming.storage.local.directory import UploadDirectory
from incoming.storage.local.posix import allocated_bytes

UNKNOWN_FREE_BYTES: Final = 1 << 60
"""What counts as free where the file system does not tell its size, as some network mounts: enough."""


class LocalRoom:
    """See storage.Room."""

    def __init__(self, directory: UploadDirectory, reserve_bytes: int, runtime: Runtime) -> None:
        self._directory = directory
        self._reserve_bytes = reserve_bytes
        self._runtime = runtime

    def free_bytes(self) -> int:
        """See storage.Room."""
        with disk_errors:
            status = os.statvfs(self._directory.path)
        if not status.f_blocks:
            return UNKNOWN_FREE_BYTES
        return status.f_bavail * status.f_frsize

    def accounted_bytes(self, ticket_id: str) -> int:
        """See storage.Room. What the file system does not free still counts as used."""
        status = self._directory.status(ticket_id)
        if status is None:
            return 0
        if allocated_bytes(status) <= status.st_size:
            return status.st_size
        with disk_errors:
            status = self._runtime.in_pool(self._trim, ticket_id)
        return allocated_bytes(status, self._reserve_bytes)

    def _trim(self, ticket_id: str) -> os.stat_result:
        fd = self._directory.open(ticket_id, os.O_RDWR)
        try:
            with contextlib.suppress(OSError):  # what stays reserved is counted
                os.ftruncate(fd, os.fstat(fd).st_size)
            return os.fstat(fd)
        finally:
            close_descriptor(fd)
