"""`LocalFolderStorage`: opens and reads the folders of uploads, and has the capabilities of a local disk."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from incoming.core.errors import StorageFailed
from incoming.core.folder_arrival import FolderArrival
from incoming.core.folder_manifest import FolderManifest
from incoming.core.storage_kinds import LOCAL
from incoming.runtime.base import Runtime
from incoming.runtime.filesystem import disk_errors
from incoming.storage import Inventory, KnownChecksums, OnDurable, Storage
from incoming.storage.local.folders.completion import complete
from incoming.storage.local.folders.disk import FolderDisk, Known, head_name, list_name
from incoming.storage.local.folders.files import FolderFiles
from incoming.storage.local.folders.free_space import LocalFolderFreeSpace
from incoming.storage.local.folders.layout import FolderLayout
from incoming.storage.local.folders.ownership import LocalFolderOwnership
from incoming.storage.local.folders.recovery import LocalFolderRecovery
from incoming.storage.local.folders.sync import syncs_at_once
from incoming.storage.local.folders.tree import is_folder
from incoming.storage.local.folders.writer import LocalFolderWriter
from incoming.storage.local.free_space import LocalFreeSpace
from incoming.storage.local.ownership import FileGiver, LocalOwnership
from incoming.storage.local.posix import GONE, NO_FOLLOW, FileSync, closing, folder
from incoming.storage.local.reading import READ_BYTES, EndOfFile
from incoming.storage.local.write_path import WritePath
from incoming.storage.local.writer import Reserve


@dataclass(frozen=True, slots=True)
class OfFiles:
    """What the storage of folders shares with that of files in the same directory."""

    storage: Storage
    ownership: LocalOwnership
    giver: FileGiver
    free_space: LocalFreeSpace
    inventory: Inventory
    write_path: WritePath
    file_sync: FileSync
    reserve_bytes: int
    tells_holes: bool


class LocalFolderStorage:
    """See storage.FolderStorage. It is also the capability `pickup`: an app moves a folder away."""

    name = LOCAL
    window_bytes = 0
    stores_later = False
    survives_power_cuts = False
    keeps_unchecked_apart = False
    objects = parts = folders = small_files = None
    checksums: KnownChecksums | None = None

    def __init__(self, disk: FolderDisk, of_files: OfFiles, runtime: Runtime) -> None:
        self._disk = disk
        self._of_files = of_files
        self._runtime = runtime
        self._at_once: bool | None = None
        self.ownership = LocalFolderOwnership(
            disk, of_files.giver, of_files.ownership, self._syncs_at_once, runtime
        )
        self.pickup = self
        self.recovery = LocalFolderRecovery(disk) if of_files.tells_holes else None
        self.free_space = LocalFolderFreeSpace(disk, of_files.free_space, runtime)
        self.inventory = of_files.inventory

    def _syncs_at_once(self) -> bool:
        """Blocks on the disk."""
        if self._at_once is None:
            self._at_once = syncs_at_once(self._disk.directory.path)
        return self._at_once

    def location(self, ticket_id: str, destination: str = "") -> str:
        """See storage.Storage. It is the absolute path of the folder."""
        return str(self._disk.directory.file(ticket_id))

    def open(
        self, ticket_id: str, length_bytes: int | None, on_reserve: Callable[[int], object] = lambda _: None,
        on_durable: OnDurable = lambda _: None, destination: str = "",
    ) -> LocalFolderWriter:  # fmt: skip
        """See storage.Storage. Nothing moves without a call: `on_durable` is never told anything."""
        with disk_errors:
            try:
                files = self._runtime.in_pool(FolderFiles, self._disk, ticket_id, length_bytes)
            finally:
                self._disk.deletion.start()
            at_once = self._runtime.in_pool(self._syncs_at_once)
        reserve = Reserve(self._of_files.reserve_bytes, length_bytes, on_reserve)
        of_files = self._of_files
        return LocalFolderWriter(files, of_files.write_path, of_files.file_sync, at_once, reserve)

    # --- looking ----------------------------------------------------------------------------------------

    def size(self, ticket_id: str) -> int | None:
        """See storage.Storage."""
        return self.sizes([ticket_id])[ticket_id]

    def sizes(self, ticket_ids: Sequence[str]) -> dict[str, int | None]:
        """See storage.Storage."""
        with disk_errors:
            return self._runtime.in_pool(self._sizes, ticket_ids)

    def _sizes(self, ticket_ids: Sequence[str]) -> dict[str, int | None]:
        found = {ticket_id: self._disk.stored(ticket_id) for ticket_id in ticket_ids}
        return {ticket_id: stored and stored.offset for ticket_id, stored in found.items()}

    def _known(self, ticket_id: str) -> Known | None:
        with disk_errors:
            return self._runtime.in_pool(self._disk.known, ticket_id)

    def left_out(self, ticket_id: str) -> tuple[int, ...]:
        """See storage.FolderStorage."""
        known = self._known(ticket_id)
        return tuple(sorted(known.log.left_out)) if known and known.layout else ()

    def manifest_of(self, ticket_id: str) -> FolderManifest | None:
        """See storage.FolderStorage."""
        with disk_errors:
            layout = self._runtime.in_pool(self._disk.layout, ticket_id)
        return layout.manifest if layout else None

    def arrival(self, ticket_id: str, destination: str = "") -> FolderArrival:
        """See storage.FolderStorage."""
        with disk_errors:
            return self._runtime.in_pool(self._arrival, ticket_id)

    def _arrival(self, ticket_id: str) -> FolderArrival:
        known = self._disk.known(ticket_id)
        if known is None or known.layout is None:
            raise StorageFailed
        if not self._disk.has_list(ticket_id):
            self._complete(ticket_id, known.log.wants_sha256)
        manifest = known.layout.manifest
        missing = [manifest.entries[index] for index in known.log.left_out]
        return FolderArrival(
            manifest.files - len(missing),
            str(self._disk.upload_folder(ticket_id) / list_name(ticket_id)),
            manifest.length_bytes - manifest.head_bytes - sum(entry.size_bytes for entry in missing),
            len(missing),
        )

    def _complete(self, ticket_id: str, wants_sha256: bool) -> None:
        """Makes the list of a folder that was not synced."""
        if self._is_taken(ticket_id):
            raise StorageFailed
        files = FolderFiles(self._disk, ticket_id, None)
        try:
            if not files.is_whole:
                raise StorageFailed
            if wants_sha256:
                files.want_sha256()
            complete(files)
        finally:
            files.close()

    # --- reading ----------------------------------------------------------------------------------------

    def read(self, ticket_id: str, start: int, end: int, take: Callable[[memoryview], None]) -> None:
        """See storage.Storage."""
        with disk_errors:
            self._runtime.in_pool(self._read, ticket_id, start, end, take)

    def _read(self, ticket_id: str, start: int, end: int, take: Callable[[memoryview], None]) -> None:
        known = self._disk.known(ticket_id)
        if known is None:
            raise FileNotFoundError
        buffer = _Buffer(min(READ_BYTES, max(end - start, 1)), take)
        head_end = min(end, known.head_bytes)
        if start < head_end:
            with folder(self._disk.upload_folder(ticket_id)) as folder_fd:
                fd = os.open(head_name(ticket_id), os.O_RDONLY | NO_FOLLOW, dir_fd=folder_fd)
            with closing(fd):
                buffer.read(fd, start, head_end)
        if end > known.head_bytes:
            if known.layout is None or end > known.layout.length_bytes:
                raise EndOfFile
            with contextlib.ExitStack() as opened:
                tree = None  # a power cut may have taken it, and what is left out is still known
                for piece in _pieces(known.layout, max(start, known.head_bytes), end):
                    if piece.entry in known.log.left_out:
                        buffer.zeros(piece.end - piece.start)
                        continue
                    tree = tree or opened.enter_context(self._disk.tree(ticket_id))
                    with closing(tree.open(known.layout.paths[piece.entry])) as fd:
                        buffer.read(fd, piece.start, piece.end)
        buffer.flush()

    # --- the end ----------------------------------------------------------------------------------------

    def check(self) -> None:
        """See storage.Storage."""
        self._of_files.storage.check()

    def delete(self, ticket_id: str, destination: str = "") -> None:
        """See storage.Storage. Everything in the folder goes, whoever has put it there."""
        self._of_files.storage.delete(ticket_id)

    def is_taken(self, ticket_id: str) -> bool:
        """See storage.Pickup. A folder that is gone was moved away by its app."""
        with disk_errors:
            return self._runtime.in_pool(self._is_taken, ticket_id)

    def _is_taken(self, ticket_id: str) -> bool:
        self._disk.directory.check_not_replaced()
        try:
            with folder(self._disk.upload_folder(ticket_id)) as folder_fd:
                return not is_folder(ticket_id, folder_fd)
        except GONE:
            return True

    def may_be_taken(self, ticket_id: str) -> bool:
        """See storage.Pickup. A folder that was complete has a list."""
        with disk_errors:
            return self._runtime.in_pool(self._may_be_taken, ticket_id)

    def _may_be_taken(self, ticket_id: str) -> bool:
        known = self._disk.known(ticket_id)
        had_all = known is None or (known.layout is not None and self._disk.has_list(ticket_id))
        return had_all and self._is_taken(ticket_id)

    def clean_up(self, ticket_id: str) -> None:
        """See storage.Pickup. The list of a folder that is still there stays, too: its app may want it."""
        try:
            with disk_errors:
                self._runtime.in_pool(self._clean_up, ticket_id)
        finally:
            self._disk.deletion.start()

    def _clean_up(self, ticket_id: str) -> None:
        self._disk.directory.owner.check()
        is_taken = self._is_taken(ticket_id)
        with contextlib.suppress(*GONE):
            with folder(self._disk.upload_folder(ticket_id)) as folder_fd:
                self._disk.delete_side_files(ticket_id, folder_fd, except_list=not is_taken)
            with contextlib.suppress(OSError):  # something is in it
                self._disk.upload_folder(ticket_id).rmdir()


class _Piece(NamedTuple):
    """A range of the file of an entry, from `start` to `end`."""

    entry: int
    start: int
    end: int


def _pieces(layout: FolderLayout, start: int, end: int) -> Iterator[_Piece]:
    """Yields which ranges of which files are between two offsets of the stream, both after the head."""
    index = layout.manifest.index_at(start)
    while start < end:
        first, last = layout.manifest.range_of(index)
        if last > start:
            yield _Piece(index, start - first, min(last, end) - first)
            start = last
        index += 1


class _Buffer:
    """Collects pieces of many files, and passes them on together."""

    def __init__(self, size_bytes: int, take: Callable[[memoryview], None]) -> None:
        self._memory = memoryview(bytearray(size_bytes))
        self._filled = 0
        self._take = take

    def _free(self) -> memoryview:
        if self._filled == len(self._memory):
            self.flush()
        return self._memory[self._filled :]

    def flush(self) -> None:
        """Passes on what was collected."""
        if self._filled:
            self._take(self._memory[: self._filled])
        self._filled = 0

    def read(self, fd: int, start: int, end: int) -> None:
        """Adds bytes of a file. Raises OSError if it is shorter."""
        while start < end:
            count = os.preadv(fd, [self._free()[: end - start]], start)
            if not count:
                raise EndOfFile
            self._filled += count
            start += count

    def zeros(self, size_bytes: int) -> None:
        """Adds zeros."""
        while size_bytes:
            free = self._free()[:size_bytes]
            free[:] = bytes(len(free))
            self._filled += len(free)
            size_bytes -= len(free)
