"""The directory of the uploads: where each file is, and whether the directory is still ours."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Final, Protocol

from incoming.core.errors import StorageFailed
from incoming.runtime.filesystem import set_folder_mode
from incoming.storage.local.ownership import PASS
from incoming.storage.local.paths import upload_file
from incoming.storage.local.posix import GONE, NO_FOLLOW, folder

DIR_MODE: Final = 0o2770
FILE_MODE: Final = 0o660


class Owner(Protocol):
    """Knows whether the files still belong to this process: dir_lock.DirLock does."""

    def check(self) -> None:
        """Blocks on the disk. Raises StorageFailed if the files may belong to another process by now."""

    def glance(self) -> None:
        """Like `check`, but quick enough for the event loop."""


class NoOtherOwner:
    """The owner of a directory that no other process can use."""

    def check(self) -> None:
        """See Owner."""

    def glance(self) -> None:
        """See Owner."""


class UploadDirectory:
    """The directory of the uploads of one server. The methods block on the disk and raise OSError."""

    def __init__(self, path: Path, owner: Owner) -> None:
        """Creates the directory if there is none. Raises OSError."""
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        set_folder_mode(path, DIR_MODE, PASS)
        self.path = path.resolve()
        self.owner = owner
        self._identity = _identity(self.path)

    def file(self, ticket_id: str) -> Path:
        """Returns where the file of an upload is."""
        return upload_file(self.path, ticket_id)

    def check_not_replaced(self) -> None:
        """Raises FileNotFoundError if another folder is in the place of this one: it was unmounted or moved.

        A missing file may then be elsewhere, and a new file would be on the wrong disk.
        """
        if _identity(self.path) != self._identity:
            raise FileNotFoundError(errno.ENOENT, "Another folder is in its place", str(self.path))

    def status(self, ticket_id: str) -> os.stat_result | None:
        """Returns what stat(2) says of an upload's file; None if there is none. Raises StorageFailed."""
        try:
            return self._status(ticket_id)
        except OSError as exc:
            raise StorageFailed from exc

    def _status(self, ticket_id: str) -> os.stat_result | None:
        try:
            # A start does this for each ticket, and a Path takes longer than the call.
            return os.stat(f"{self.path}/{ticket_id}/{ticket_id}", follow_symlinks=False)  # noqa: PTH116
        except GONE:
            self.check_not_replaced()
            return None

    def open(self, ticket_id: str, flags: int) -> int:
        """Returns a descriptor of an upload's file. Neither the file nor its folder may be a link."""
        with folder(self.file(ticket_id).parent) as folder_fd:
            return os.open(ticket_id, flags | NO_FOLLOW, FILE_MODE, dir_fd=folder_fd)


def _identity(directory: Path) -> tuple[int, int]:
    status = directory.stat()
    return status.st_dev, status.st_ino
