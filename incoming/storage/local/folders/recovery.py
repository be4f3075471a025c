"""Finds what a power cut took of a folder without checkpoints: see `recovery`."""

from __future__ import annotations

import os

from incoming.runtime.filesystem import disk_errors
from incoming.storage.local.folders.disk import FolderDisk, head_name
from incoming.storage.local.folders.files import FolderFiles
from incoming.storage.local.folders.layout import FolderLayout
from incoming.storage.local.posix import GONE, NO_FOLLOW, closing, folder
from incoming.storage.local.recovery import truncate_at_first_hole


class LocalFolderRecovery:
    """See storage.Recovery."""

    def __init__(self, disk: FolderDisk) -> None:
        self._disk = disk

    def discard_lost(self, ticket_id: str) -> int:
        """See storage.Recovery. It blocks on the disk: it runs before the server serves anybody."""
        with disk_errors:
            before = self._disk.stored(ticket_id)
            if before is None:
                return 0
            self._discard_of_head(ticket_id)
            files = FolderFiles(self._disk, ticket_id, None)
            try:
                if files.layout:
                    hole_at = _first_hole(files, files.layout)
                    if hole_at < files.offset:
                        files.cut(hole_at)
                return max(before.offset - files.offset, 0)
            finally:
                files.close()

    def _discard_of_head(self, ticket_id: str) -> None:
        with folder(self._disk.upload_folder(ticket_id)) as folder_fd:
            try:
                fd = os.open(head_name(ticket_id), os.O_RDWR | NO_FOLLOW, dir_fd=folder_fd)
            except GONE:
                return
            with closing(fd):
                truncate_at_first_hole(fd)


def _first_hole(files: FolderFiles, layout: FolderLayout) -> int:
    """Returns where the first file has a hole in the stream; its end if none has one."""
    for index, entry in enumerate(layout.manifest.entries):
        start = layout.manifest.range_of(index)[0]
        if start >= files.offset:
            break
        if entry.size_bytes and index not in files.log.left_out:
            with closing(files.tree.open(layout.paths[index])) as fd:
                hole_at = start + os.lseek(fd, 0, os.SEEK_HOLE)
            if hole_at < min(layout.manifest.ends[index], files.offset):
                return hole_at
    return files.offset
