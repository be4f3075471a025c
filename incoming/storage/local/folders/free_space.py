"""How much of the disk's space a folder has taken."""

from __future__ import annotations

import contextlib
import os

from incoming.runtime.base import Runtime
from incoming.runtime.filesystem import disk_errors
from incoming.storage.local.folders.current_file import is_large
from incoming.storage.local.folders.disk import FolderDisk
from incoming.storage.local.free_space import LocalFreeSpace
from incoming.storage.local.posix import GONE, closing


class LocalFolderFreeSpace:
    """See storage.FreeSpace, and FolderWriter.accounted_bytes: files to come take whole blocks."""

    def __init__(self, disk: FolderDisk, of_files: LocalFreeSpace, runtime: Runtime) -> None:
        self._disk = disk
        self._of_files = of_files
        self._runtime = runtime

    def free_bytes(self) -> int:
        """See storage.FreeSpace."""
        return self._of_files.free_bytes()

    def reclaim(self) -> bool:
        """See storage.FreeSpace."""
        return self._of_files.reclaim()

    def accounted_bytes(self, ticket_id: str) -> int:
        """See storage.FreeSpace."""
        with disk_errors:
            return self._runtime.in_pool(self._accounted_bytes, ticket_id)

    def _accounted_bytes(self, ticket_id: str) -> int:
        known = self._disk.known(ticket_id)
        if known is None:
            return 0
        stored = self._disk.stored_of(ticket_id, known)
        if known.layout is None:
            return stored.offset
        index = known.layout.manifest.index_at(stored.offset)
        if stored.next_index > index and is_large(known.layout.manifest.entries[index]):
            self._trim(ticket_id, known.layout.paths[index])
        return stored.offset - known.layout.rounding_bytes(stored.offset)

    def _trim(self, ticket_id: str, path: str) -> None:
        """Frees what a killed writer had reserved in a large file. Only such a one has a reserve."""
        with (
            contextlib.suppress(*GONE),
            self._disk.tree(ticket_id) as tree,
            closing(tree.open(path, os.O_RDWR)) as fd,
            contextlib.suppress(OSError),
        ):
            os.ftruncate(fd, os.fstat(fd).st_size)
