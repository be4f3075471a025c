"""A storage directory that one process owns: its lock, and what its file systems can do."""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import Callable
from pathlib import Path
from typing import Final

from incoming.core.errors import StorageFailed, StorageInUse, StorageLost
from incoming.runtime.base import Runtime
from incoming.runtime.gevent_runtime import TICK_S
from incoming.storage.local.dir_lock import DirLock
from incoming.storage.local.probe import unusable

log = logging.getLogger(__name__)

LOST: Final = (
    "%(lock)s was removed or replaced, so another server may use this directory. This server stores, "
    "acknowledges and hands over nothing any more, and tells its clients to reconnect later. Make sure that "
    "no other server uses the directory, then restart this one"
)


class OwnedDirectory:
    """A storage directory whose lock this process holds until `release`."""

    def __init__(self, path: Path, wait: bool, runtime: Runtime) -> None:
        """Creates the directory if it does not exist, and takes its lock.

        With `wait` it waits until another process releases the lock. Raises StorageInUse, BadSetting.
        """
        self.path = path
        self._runtime = runtime
        with unusable(path):
            self.lock = DirLock(path)
        try:
            self._acquire(wait)
        except BaseException:
            self.lock.release()
            raise

    def _acquire(self, wait: bool) -> None:
        with unusable(self.path):
            try:
                self.lock.acquire()
            except StorageInUse:
                if not wait:
                    raise
                log.info("waiting until another process releases %(directory)s", {"directory": self.path})
                self._runtime.in_pool(self.lock.wait)

    def watch(self, lose: Callable[[StorageLost], object]) -> None:
        """Calls `lose` once another process may own the directory, and returns then."""
        while True:
            try:
                self._runtime.in_pool(self.lock.check)
            except StorageLost as lost:
                log.error(LOST, {"lock": self.lock.file})
                lose(lost)
                return
            except StorageFailed as exc:
                log.debug("the storage lock can't be checked: %(error)s", {"error": exc.__cause__})
            self._runtime.sleep(TICK_S)

    def sync(self) -> None:
        """Syncs the directory and its parents, so that their entries survive a power cut."""
        for folder in (self.path, *self.path.parents):
            with contextlib.suppress(OSError):  # a directory of another user may not be readable
                fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
                try:
                    os.fsync(fd)
                finally:
                    os.close(fd)

    def release(self) -> None:
        """Releases the lock: another process may own the directory."""
        self.lock.release()
