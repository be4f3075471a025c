"""Gives a folder that has arrived to the user that its ticket names: each file, each folder, and the list.

What is inside a folder is given before the folder. So the user can't enter a folder and change what the
server is about to give away. The user enters `data/ID` at the very end.
"""

from __future__ import annotations

import os
from collections.abc import Callable

from incoming.runtime.base import Runtime
from incoming.runtime.filesystem import disk_errors
from incoming.storage.local import posix
from incoming.storage.local.folders.disk import FolderDisk, list_name
from incoming.storage.local.folders.tree import everything
from incoming.storage.local.ownership import FileGiver, LocalOwnership, give_file, give_folder
from incoming.storage.local.posix import FOLDER_FLAGS, NO_FOLLOW, closing, folder


class LocalFolderOwnership:
    """See storage.Ownership."""

    def __init__(
        self, disk: FolderDisk, giver: FileGiver, of_files: LocalOwnership, at_once: Callable[[], bool],
        runtime: Runtime,
    ) -> None:  # fmt: skip
        """`at_once`: whether one sync of the file system is enough, see `sync`."""
        self._disk = disk
        self._giver = giver
        self._of_files = of_files
        self._at_once = at_once
        self._runtime = runtime

    def can_give_to(self, owner_uid: int) -> bool:
        """See storage.Ownership."""
        return self._of_files.can_give_to(owner_uid)

    def give_to(self, ticket_id: str, owner_uid: int) -> None:
        """See storage.Ownership."""
        with disk_errors:
            self._runtime.in_pool(self._give_to, ticket_id, owner_uid)

    def _give_to(self, ticket_id: str, owner_uid: int) -> None:
        with folder(self._disk.upload_folder(ticket_id)) as folder_fd:
            syncs_each = self._disk.syncs and not self._at_once()
            self._give_tree(ticket_id, folder_fd, owner_uid, syncs_each)
            if self._disk.has_list(ticket_id):
                _give(list_name(ticket_id), folder_fd, owner_uid, syncs_each)
            if self._disk.syncs and not syncs_each:
                posix.syncfs(folder_fd)
            give_folder(folder_fd, owner_uid)
        self._giver.let_user_pass(owner_uid)

    def _give_tree(self, ticket_id: str, folder_fd: int, owner_uid: int, syncs_each: bool) -> None:
        with closing(os.open(ticket_id, FOLDER_FLAGS, dir_fd=folder_fd)) as fd:
            for parent_fd, entry in everything(fd):
                if entry.is_dir(follow_symlinks=False):
                    with closing(os.open(entry.name, FOLDER_FLAGS, dir_fd=parent_fd)) as inner_fd:
                        give_folder(inner_fd, owner_uid)
                else:
                    _give(entry.name, parent_fd, owner_uid, syncs_each)
            give_folder(fd, owner_uid)


def _give(name: str, folder_fd: int, owner_uid: int, syncs_each: bool) -> None:
    with closing(os.open(name, os.O_RDONLY | NO_FOLLOW, dir_fd=folder_fd)) as fd:
        give_file(fd, owner_uid, syncs_each)
