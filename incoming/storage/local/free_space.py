"""How much space is left on the disk, and how much of it an upload's file has taken."""

from __future__ import annotations

import contextlib
import os
from typing import Final

from incoming.runtime.base import Runtime
from incoming.runtime.filesystem import disk_errors
from incoming.runtime.gevent_runtime import close_descriptor
from incoming.storage.local.directory import UploadDirectory
from incoming.storage.local.posix import NO_FOLLOW, allocated_bytes, syncfs

UNKNOWN_FREE_BYTES: Final = 1 << 60
"""The free space of a file system that does not report its size, such as some network mounts: enough."""
RECLAIM_INTERVAL_S: Final = 1.0
"""Clients that repeatedly ask for too much cause at most one sync in this time."""


class LocalFreeSpace:
    """See storage.FreeSpace."""

    def __init__(
        self, directory: UploadDirectory, reserve_bytes: int, runtime: Runtime, frees_later: bool
    ) -> None:
        """`frees_later`: whether freed space counts as free only after a commit."""
        self._directory = directory
        self._reserve_bytes = reserve_bytes
        self._runtime = runtime
        self._frees_later = frees_later
        self._reclaiming = runtime.lock()
        self._last_began_s = -RECLAIM_INTERVAL_S

    def free_bytes(self) -> int:
        """See storage.FreeSpace."""
        with disk_errors:
            status = os.statvfs(self._directory.path)
        if not status.f_blocks:
            return UNKNOWN_FREE_BYTES
        return status.f_bavail * status.f_frsize

    def accounted_bytes(self, ticket_id: str) -> int:
        """See storage.FreeSpace. What the file system does not free still counts as used."""
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

    def reclaim(self) -> bool:
        """See storage.FreeSpace. It takes up to RECLAIM_INTERVAL_S and a sync, which all callers share."""
        if not self._frees_later:
            return False
        asked_s = self._runtime.now_s()
        with self._reclaiming, disk_errors:
            if self._last_began_s < asked_s:
                self._runtime.sleep(max(self._last_began_s + RECLAIM_INTERVAL_S - self._runtime.now_s(), 0.0))
                self._last_began_s = self._runtime.now_s()
                self._runtime.in_pool(self._sync)
        return True

    def _sync(self) -> None:
        fd = os.open(self._directory.path, os.O_RDONLY | os.O_DIRECTORY | NO_FOLLOW)
        try:
            syncfs(fd)
        finally:
            close_descriptor(fd)
