"""Deletes folders: small ones at once, and large ones file by file in the background.

The folder gets another name first, `ID.deleted-N`. So it is gone for everybody, and the caller
need not wait: a slow disk takes a millisecond and more for each file. A kill leaves the rest under that name,
and the next deletion of the same upload deletes it, too.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import os
from collections import deque
from itertools import count
from typing import Final

from incoming.core.errors import StorageFailed
from incoming.core.ticket import short_id
from incoming.runtime.base import Runtime
from incoming.storage.local.deletion import Deletion
from incoming.storage.local.directory import UploadDirectory
from incoming.storage.local.folders.tree import is_folder, remove_tree
from incoming.storage.local.posix import GONE, folder

log = logging.getLogger(__name__)

AT_ONCE: Final = 1000
"""How many files are deleted before the call returns. The rest follows in the background."""


class FolderDeletion:
    """Deletes the folders of one directory."""

    def __init__(self, directory: UploadDirectory, deletion: Deletion, runtime: Runtime) -> None:
        self._directory = directory
        self._deletion = deletion
        self._runtime = runtime
        self._waiting: deque[str] = deque()
        self._is_running = False

    def remove(self, ticket_id: str, folder_fd: int) -> bool:
        """Deletes the folder of an upload, and what was left of it. Returns False if there is neither.

        `start` has to follow. Blocks on the disk. Raises OSError.
        """
        with contextlib.suppress(FileNotFoundError):
            if is_folder(ticket_id, folder_fd):
                _rename(ticket_id, folder_fd)
        names = _renamed(ticket_id, folder_fd)
        for name in names:
            if not remove_tree(name, folder_fd, self._deletion, AT_ONCE):
                self._waiting.append(ticket_id)
                break
        return bool(names)

    def start(self) -> None:
        """Starts a task that deletes what `remove` has left."""
        if self._waiting and not self._is_running:
            self._is_running = True
            self._runtime.spawn(self._remove_all)

    def _remove_all(self) -> None:
        while self._waiting:
            ticket_id = self._waiting.popleft()
            try:
                self._runtime.in_pool(self._remove_rest, ticket_id)
            except (OSError, StorageFailed) as exc:
                about = {"ticket": short_id(ticket_id), "error": exc}
                log.warning("upload %(ticket)s: the rest of its folder is not deleted: %(error)s", about)
        self._is_running = False
        self._deletion.start()

    def _remove_rest(self, ticket_id: str) -> None:
        self._directory.owner.check()
        place = self._directory.file(ticket_id).parent
        with contextlib.suppress(*GONE), folder(place) as folder_fd:
            for name in _renamed(ticket_id, folder_fd):
                remove_tree(name, folder_fd, self._deletion)
        with contextlib.suppress(OSError):  # something else is in it
            place.rmdir()


def _prefix(ticket_id: str) -> str:
    return f"{ticket_id}.deleted-"


def _renamed(ticket_id: str, folder_fd: int) -> list[str]:
    """Returns the names of the folders that are being deleted."""
    names = os.listdir(folder_fd)
    return [name for name in names if name.startswith(_prefix(ticket_id)) and is_folder(name, folder_fd)]


def _rename(ticket_id: str, folder_fd: int) -> None:
    for number in count():
        try:
            os.rename(ticket_id, f"{_prefix(ticket_id)}{number}", src_dir_fd=folder_fd, dst_dir_fd=folder_fd)
        except OSError as exc:
            if exc.errno not in (errno.EEXIST, errno.ENOTEMPTY, errno.ENOTDIR):
                raise
            continue
        return
