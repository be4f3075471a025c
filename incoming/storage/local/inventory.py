"""Lists the directory of the uploads."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Collection, Container
from pathlib import Path

from incoming.runtime.base import Runtime
from incoming.runtime.filesystem import TRIAL_FILE, disk_errors
from incoming.storage import Strays
from incoming.storage.local.directory import UploadDirectory
from incoming.storage.local.folders.tree import everything
from incoming.storage.local.posix import folder


class LocalInventory:
    """See storage.Inventory."""

    def __init__(self, directory: UploadDirectory, runtime: Runtime) -> None:
        self._directory = directory
        self._runtime = runtime

    def names(self) -> frozenset[str]:
        """See storage.Inventory."""
        with disk_errors:
            return self._runtime.in_pool(self._names)

    def _names(self) -> frozenset[str]:
        return frozenset(os.listdir(self._directory.path)) - {TRIAL_FILE}  # noqa: PTH208 - no paths

    def strays(self, known: Callable[[Collection[str]], Container[str]]) -> Strays:
        """See storage.Inventory."""
        names = self.names()
        tickets = known(names)
        with disk_errors:
            return self._runtime.in_pool(self._strays, names, tickets)

    def _strays(self, names: frozenset[str], tickets: Container[str]) -> Strays:
        strays = sorted(name for name in names if name not in tickets)
        return Strays(tuple(strays), sum(_size_bytes(self._directory.path / name) for name in strays))


def _size_bytes(place: Path) -> int:
    """Returns the length of a file, or of all files in a folder; 0 if that can't be found out."""
    try:
        status = place.lstat()
        if not stat.S_ISDIR(status.st_mode):
            return status.st_size
        with folder(place) as folder_fd:
            files = (entry for _, entry in everything(folder_fd) if not entry.is_dir(follow_symlinks=False))
            return sum(file.stat(follow_symlinks=False).st_size for file in files)
    except OSError:
        return 0
