"""`LocalStorage`: opens, reads and deletes the files of uploads, and has the capabilities of a local disk."""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from incoming.runtime.base import Runtime
from incoming.runtime.filesystem import disk_errors, set_mode, try_to_write
from incoming.runtime.gevent_runtime import close_descriptor
from incoming.storage.local.deletion import Deletion
from incoming.storage.local.directory import DIR_MODE, FILE_MODE, NoOtherOwner, Owner, UploadDirectory
from incoming.storage.local.inventory import LocalInventory
from incoming.storage.local.offsets import boot_mark
from incoming.storage.local.ownership import FileGiver, LocalOwnership
from incoming.storage.local.part_files import PartFiles, assembly_name, regions_name
from incoming.storage.local.parts import LocalParts
from incoming.storage.local.posix import NO_FOLLOW, FileSync, folder, has_inodes
from incoming.storage.local.recovery import LocalRecovery
from incoming.storage.local.room import LocalRoom
from incoming.storage.local.write_path import WritePath
from incoming.storage.local.writer import LocalWriter, OpenFile, Reserve

READ_BYTES: Final = 1024 * 1024
NO_OTHER_OWNER: Final = NoOtherOwner()


@dataclass(frozen=True, slots=True)
class DiskFacts:
    """What is known of the disk, and of power cuts.

    `tells_holes`, `counts_inodes` and `copies_on_write`: see probe.Findings. `boot_id`: see UploadContext.
    `syncs`: whether a file that was made of parts survives a power cut.
    """

    tells_holes: bool = True
    counts_inodes: bool = True
    copies_on_write: bool = False
    boot_id: str = ""
    syncs: bool = True


USUAL: Final = DiskFacts()


class LocalStorage:
    """See storage.Storage. It is also the capability `pickup`: an app takes its file by moving it away."""

    def __init__(
        self, directory: Path, reserve_bytes: int, runtime: Runtime, facts: DiskFacts = USUAL,
        owner: Owner = NO_OTHER_OWNER,
    ) -> None:  # fmt: skip
        """Creates the directory if there is none. Raises OSError.

        Once the files may belong to another process, none is opened, truncated or deleted any more, and no
        write succeeds: `owner` tells.
        """
        self._directory = UploadDirectory(directory, owner)
        self._counts_inodes = facts.counts_inodes
        if facts.copies_on_write:
            reserve_bytes = 0
        self._reserve_bytes = reserve_bytes
        self._runtime = runtime
        self._file_sync = FileSync(self._directory.path)
        self._write_path = WritePath(runtime, owner)
        self._deletion = Deletion(self._directory.path, runtime)
        above = directory.parent.resolve()
        is_directly_above = above == self._directory.path.parent
        giver = FileGiver(self._directory.path, above if is_directly_above else None, DIR_MODE)
        self.ownership = LocalOwnership(giver, self._directory.file, runtime)
        self.pickup = self
        self.recovery = LocalRecovery(self._directory) if facts.tells_holes else None
        self.room = LocalRoom(self._directory, reserve_bytes, runtime, frees_later=facts.copies_on_write)
        self.inventory = LocalInventory(self._directory, runtime)
        self._part_files = PartFiles(self._directory, boot_mark(facts.boot_id), facts.syncs)
        file_sync = self._file_sync if facts.syncs else None
        self.parts = LocalParts(self._part_files, self._write_path, file_sync, self._deletion, reserve_bytes)

    def location(self, ticket_id: str) -> str:
        """See storage.Storage. It is the absolute path of the file."""
        return str(self._directory.file(ticket_id))

    def open(
        self, ticket_id: str, length_bytes: int | None, on_reserve: Callable[[int], object] = lambda _: None
    ) -> LocalWriter:
        """See storage.Storage."""
        with disk_errors:
            opened = self._runtime.in_pool(self._open, self._directory.file(ticket_id))
        reserve = Reserve(self._reserve_bytes, length_bytes, on_reserve)
        return LocalWriter(opened, self._directory, self._write_path, self._file_sync, reserve)

    def _open(self, file: Path) -> OpenFile:
        self._directory.owner.check()
        self._directory.check_place()
        with contextlib.suppress(FileExistsError):
            os.mkdir(file.parent, 0o700)  # noqa: PTH102 - tests count the calls of `os`
        with folder(file.parent) as folder_fd:
            set_mode(folder_fd, DIR_MODE)  # mkdir sets neither the setgid bit nor a mode beyond the umask
            fd = os.open(file.name, os.O_RDWR | os.O_CREAT | NO_FOLLOW, FILE_MODE, dir_fd=folder_fd)
        set_mode(fd, FILE_MODE)
        return OpenFile(file, fd, os.fstat(fd))

    def size(self, ticket_id: str) -> int | None:
        """See storage.Storage."""
        status = self._directory.status(ticket_id)
        return None if status is None else status.st_size

    def read(self, ticket_id: str, start: int, end: int, take: Callable[[memoryview], None]) -> None:
        """See storage.Storage."""
        with disk_errors:
            self._runtime.in_pool(self._read, ticket_id, start, end, take)

    def _read(self, ticket_id: str, start: int, end: int, take: Callable[[memoryview], None]) -> None:
        buffer = memoryview(bytearray(min(READ_BYTES, end - start)))
        fd = self._directory.open(ticket_id, os.O_RDONLY)
        try:
            while start < end:
                count = os.preadv(fd, [buffer[: end - start]], start)
                if not count:
                    raise OSError(errno.EIO, "The file is shorter than it was")
                take(buffer[:count])
                start += count
        finally:
            close_descriptor(fd)

    def check(self) -> None:
        """See storage.Storage."""
        with disk_errors:
            self._runtime.in_pool(self._check)

    def _check(self) -> None:
        self._directory.check_place()
        try_to_write(self._directory.path)
        if self._counts_inodes and not has_inodes(self._directory.path):
            raise OSError(errno.ENOSPC, "No inodes are left", str(self._directory.path))

    def delete(self, ticket_id: str) -> None:
        """See storage.Storage. Deletes only what the server has created: other files in the folder stay."""
        try:
            with disk_errors:
                self._runtime.in_pool(self._delete, ticket_id)
        finally:
            self._deletion.start()

    def _delete(self, ticket_id: str) -> None:
        file = self._directory.file(ticket_id)
        self._directory.owner.check()
        self._directory.check_place()
        with contextlib.suppress(FileNotFoundError, NotADirectoryError), folder(file.parent) as folder_fd:
            self._deletion.unlink(file.name, folder_fd)
        for name in (ticket_id, regions_name(ticket_id), assembly_name(ticket_id)):
            self._file_sync.forget(file.with_name(name))
        self._delete_folder(ticket_id)

    def is_taken(self, ticket_id: str) -> bool:
        """See storage.Pickup. A file that is gone was moved away by its app."""
        return self.size(ticket_id) is None

    def clean_up(self, ticket_id: str) -> None:
        """See storage.Pickup. Deletes the folder if it is empty."""
        try:
            with disk_errors:
                self._runtime.in_pool(self._delete_folder, ticket_id)
        finally:
            self._deletion.start()

    def _delete_folder(self, ticket_id: str) -> None:
        """Deletes the folder, unless it holds a file that is not ours: the app may have put one there."""
        place = self._directory.file(ticket_id).parent
        self._directory.owner.check()
        with contextlib.suppress(FileNotFoundError, NotADirectoryError):
            if not _remove_folder(place):
                self._part_files.delete_all(ticket_id, self._deletion)
                _remove_folder(place)


def _remove_folder(place: Path) -> bool:
    """Returns False if the folder is not empty. Raises OSError."""
    try:
        place.rmdir()
    except OSError as exc:
        if exc.errno != errno.ENOTEMPTY:
            raise
        return False
    return True
