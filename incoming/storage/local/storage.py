"""`LocalStorage`: opens, reads and deletes the files of uploads, and has the capabilities of a local disk."""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from incoming.core.folder_manifest import USUAL_BOUNDS, Bounds
from incoming.core.storage_kinds import LOCAL
from incoming.runtime.base import Runtime
from incoming.runtime.filesystem import disk_errors, set_mode, try_to_write
from incoming.runtime.gevent_runtime import close_descriptor
from incoming.storage import KnownChecksums, OnDurable
from incoming.storage.local.boot_mark import boot_mark
from incoming.storage.local.deletion import Deletion
from incoming.storage.local.directory import DIR_MODE, FILE_MODE, NoOtherOwner, Owner, UploadDirectory
from incoming.storage.local.folders.deletion import FolderDeletion
from incoming.storage.local.folders.disk import FolderDisk
from incoming.storage.local.folders.storage import LocalFolderStorage, OfFiles
from incoming.storage.local.free_space import LocalFreeSpace
from incoming.storage.local.inventory import LocalInventory
from incoming.storage.local.ownership import FileGiver, LocalOwnership
from incoming.storage.local.parts.files import PartFiles, assembly_name, regions_name
from incoming.storage.local.parts.storage import LocalPartStorage
from incoming.storage.local.posix import GONE, NO_FOLLOW, FileSync, folder, has_inodes
from incoming.storage.local.reading import pieces
from incoming.storage.local.recovery import LocalRecovery
from incoming.storage.local.small_file import LocalSmallFiles
from incoming.storage.local.write_path import WritePath
from incoming.storage.local.writer import LocalWriter, OpenFile, Reserve

NO_OTHER_OWNER: Final = NoOtherOwner()


@dataclass(frozen=True, slots=True)
class DiskFacts:
    """What is known of the disk, and of power cuts.

    `tells_holes`, `counts_inodes` and `copies_on_write`: see probe.Findings. `boot_id`: see UploadContext.
    `syncs`: whether a file that was made of parts survives a power cut, and so does a folder.
    `folder_bounds`: how large the manifest of a folder may be.
    """

    tells_holes: bool = True
    counts_inodes: bool = True
    copies_on_write: bool = False
    boot_id: str = ""
    syncs: bool = True
    folder_bounds: Bounds = USUAL_BOUNDS


USUAL: Final = DiskFacts()


class LocalStorage:
    """See storage.Storage. It is also the capability `pickup`: an app takes its file by moving it away."""

    name = LOCAL
    window_bytes = 0
    stores_later = False
    survives_power_cuts = False
    keeps_unchecked_apart = False
    checksums: KnownChecksums | None = None

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
        self._write_path = WritePath(runtime, owner, writes_behind=facts.syncs)
        self._deletion = Deletion(self._directory.path, runtime)
        self._folder_deletion = FolderDeletion(self._directory, self._deletion, runtime)
        above = directory.parent.resolve()
        is_directly_above = above == self._directory.path.parent
        giver = FileGiver(self._directory.path, above if is_directly_above else None, DIR_MODE)
        self.ownership = LocalOwnership(giver, self._directory.file, runtime)
        self.pickup = self
        self.objects = None
        self.recovery = LocalRecovery(self._directory) if facts.tells_holes else None
        self.free_space = LocalFreeSpace(
            self._directory, reserve_bytes, runtime, frees_later=facts.copies_on_write
        )
        self.inventory = LocalInventory(self._directory, runtime)
        self._part_files = PartFiles(self._directory, boot_mark(facts.boot_id), facts.syncs)
        file_sync = self._file_sync if facts.syncs else None
        self.parts = LocalPartStorage(
            self._part_files, self._write_path, file_sync, self._deletion, reserve_bytes
        )
        disk = FolderDisk(
            self._directory, self._deletion, facts.folder_bounds, boot_mark(facts.boot_id), facts.syncs
        )
        self.folders = LocalFolderStorage(
            disk,
            OfFiles(
                self, self.ownership, giver, self.free_space, self.inventory, self._write_path,
                self._file_sync, reserve_bytes, facts.tells_holes,
            ),
            runtime,
        )  # fmt: skip
        self._folder_disk = disk
        small = self._directory, self._open, self._write_path, self._file_sync, reserve_bytes
        self.small_files = LocalSmallFiles(*small)

    def location(self, ticket_id: str, destination: str = "") -> str:
        """See storage.Storage. It is the absolute path of the file."""
        return str(self._directory.file(ticket_id))

    def open(
        self, ticket_id: str, length_bytes: int | None, on_reserve: Callable[[int], object] = lambda _: None,
        on_durable: OnDurable = lambda _: None, destination: str = "",
    ) -> LocalWriter:  # fmt: skip
        """See storage.Storage. Nothing moves without a call: `on_durable` is never told anything."""
        with disk_errors:
            opened = self._runtime.in_pool(self._open, self._directory.file(ticket_id))
        reserve = Reserve(self._reserve_bytes, length_bytes, on_reserve)
        return LocalWriter(opened, self._directory, self._write_path, self._file_sync, reserve)

    def _open(self, file: Path) -> OpenFile:
        self._directory.owner.check()
        self._directory.check_not_replaced()
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

    def sizes(self, ticket_ids: Sequence[str]) -> dict[str, int | None]:
        """See storage.Storage."""
        return self._runtime.in_pool(self._sizes, ticket_ids)

    def _sizes(self, ticket_ids: Sequence[str]) -> dict[str, int | None]:
        return {ticket_id: self.size(ticket_id) for ticket_id in ticket_ids}

    def read(self, ticket_id: str, start: int, end: int, take: Callable[[memoryview], None]) -> None:
        """See storage.Storage."""
        with disk_errors:
            self._runtime.in_pool(self._read, ticket_id, start, end, take)

    def _read(self, ticket_id: str, start: int, end: int, take: Callable[[memoryview], None]) -> None:
        fd = self._directory.open(ticket_id, os.O_RDONLY)
        try:
            for piece in pieces(fd, start, end):
                take(piece)
        finally:
            close_descriptor(fd)

    def check(self) -> None:
        """See storage.Storage."""
        with disk_errors:
            self._runtime.in_pool(self._check)

    def _check(self) -> None:
        self._directory.check_not_replaced()
        try_to_write(self._directory.path)
        if self._counts_inodes and not has_inodes(self._directory.path):
            raise OSError(errno.ENOSPC, "No inodes are left", str(self._directory.path))

    def delete(self, ticket_id: str, destination: str = "") -> None:
        """See storage.Storage. Deletes only what the server has created: other files in the folder stay."""
        try:
            with disk_errors:
                self._runtime.in_pool(self._delete, ticket_id)
        finally:
            self._deletion.start()
            self._folder_deletion.start()

    def _delete(self, ticket_id: str) -> None:
        file = self._directory.file(ticket_id)
        self._directory.owner.check()
        self._directory.check_not_replaced()
        with contextlib.suppress(*GONE), folder(file.parent) as folder_fd:
            try:
                self._deletion.unlink(file.name, folder_fd)
            except (IsADirectoryError, PermissionError, FileNotFoundError):
                if not self._folder_deletion.remove(ticket_id, folder_fd):
                    raise
        for name in (ticket_id, regions_name(ticket_id), assembly_name(ticket_id)):
            self._file_sync.forget(file.with_name(name))
        self._delete_folder(ticket_id)

    def is_taken(self, ticket_id: str) -> bool:
        """See storage.Pickup. A file that is gone was moved away by its app."""
        return self.size(ticket_id) is None

    def may_be_taken(self, ticket_id: str) -> bool:
        """See storage.Pickup."""
        return self.is_taken(ticket_id)

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
        with contextlib.suppress(*GONE):
            if not _remove_folder(place):
                self._part_files.delete_all(ticket_id, self._deletion)
                with folder(place) as folder_fd:
                    self._folder_disk.delete_side_files(ticket_id, folder_fd)
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
