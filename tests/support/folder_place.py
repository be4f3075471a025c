"""A storage of folders as a storage of files: the bytes of a file are those of the files of a folder.

So the tests of every storage test folders, too. The head of the stream is written when a file is opened, and
no offset counts it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Container, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from incoming.core.folder_manifest import Entry, FolderManifest, encode_head, parse_head
from incoming.core.folder_names import KEEPS_ALL
from incoming.runtime.base import Runtime
from incoming.storage import FolderStorage, FolderWriter, OnDurable, Storage, Strays, Writer
from incoming.storage.local.folders.layout import FolderLayout
from incoming.storage.local.storage import DiskFacts, LocalStorage

USUAL_BYTES: Final = 1280
SIZES: Final = (0, 1, 99, 0, 0, 233, 67, 1, 1)
PLACES: Final = ("", "a/", "a/b/", "a/", "c/d/e/", "", "c/")
MODIFIED_MS: Final = 1_600_000_000_000


def entries(length_bytes: int) -> list[Entry]:
    """Returns a folder whose files have so many bytes. Empty ones and folders are among them."""
    found: list[Entry] = []
    for number, size_bytes in enumerate(SIZES):
        found.append(Entry(f"{PLACES[number % len(PLACES)]}file {number}", size_bytes, MODIFIED_MS + number))
        length_bytes -= size_bytes
    return [Entry("empty/"), *found, Entry("a/empty/"), Entry("the rest", length_bytes), Entry("the end")]


class FolderAsFile:
    """See storage.Storage."""

    def __init__(self, folders: FolderStorage) -> None:
        self.folders_below = folders
        self.name = folders.name
        self.window_bytes, self.stores_later = folders.window_bytes, folders.stores_later
        self.survives_power_cuts = folders.survives_power_cuts
        self.keeps_unchecked_apart = folders.keeps_unchecked_apart
        self.ownership, self.pickup, self.recovery = folders.ownership, folders.pickup, folders.recovery
        self.free_space = _FreeSpace(self) if folders.free_space else None
        self.inventory = _Inventory(self) if folders.inventory else None
        self.parts = self.small_files = self.checksums = self.objects = self.folders = None
        self.location, self.delete, self.check = folders.location, folders.delete, folders.check

    def open(
        self, ticket_id: str, length_bytes: int | None, on_reserve: Callable[[int], object] = lambda _: None,
        on_durable: OnDurable = lambda _: None, destination: str = "",
    ) -> Writer:  # fmt: skip
        """See storage.Storage."""
        head = encode_head(entries(max(length_bytes or 0, USUAL_BYTES)))
        manifest = parse_head(head)
        whole_bytes = None if length_bytes is None else manifest.length_bytes
        writers: list[ShiftedWriter] = []

        def told(_: int) -> None:
            for writer in writers:
                on_reserve(writer.accounted_bytes)

        writer = self.folders_below.open(ticket_id, whole_bytes, told, on_durable, destination)
        if writer.taken_bytes < len(head):
            writer.write(memoryview(head)[writer.taken_bytes :])
        writers.append(ShiftedWriter(writer, manifest))
        return writers[0]

    def manifest(self, ticket_id: str) -> FolderManifest | None:
        """Returns that of a folder."""
        return self.folders_below.manifest_of(ticket_id)

    def size(self, ticket_id: str) -> int | None:
        """See storage.Storage."""
        return self.sizes([ticket_id])[ticket_id]

    def sizes(self, ticket_ids: Sequence[str]) -> dict[str, int | None]:
        """See storage.Storage."""
        found = self.folders_below.sizes(ticket_ids)
        return {one: None if size is None else size - self._head_bytes(one) for one, size in found.items()}

    def _head_bytes(self, ticket_id: str) -> int:
        manifest = self.manifest(ticket_id)
        return manifest.head_bytes if manifest else 0

    def read(self, ticket_id: str, start: int, end: int, take: Callable[[memoryview], None]) -> None:
        """See storage.Storage."""
        head_bytes = self._head_bytes(ticket_id)
        self.folders_below.read(ticket_id, head_bytes + start, head_bytes + end, take)


class ShiftedWriter:
    """See storage.Writer."""

    def __init__(self, writer: FolderWriter, manifest: FolderManifest) -> None:
        self.below = writer
        self._head_bytes = manifest.head_bytes
        self._layout = FolderLayout(manifest, KEEPS_ALL)

    @property
    def taken_bytes(self) -> int:
        """See storage.Writer."""
        return self.below.taken_bytes - self._head_bytes

    @property
    def durable_offset(self) -> int:
        """See storage.Writer."""
        return self.below.durable_offset - self._head_bytes

    @property
    def accounted_bytes(self) -> int:
        """See storage.Writer. What files to come take beyond their bytes does not count."""
        rounding_bytes = self._layout.rounding_bytes(self.below.taken_bytes)
        return self.below.accounted_bytes - self._head_bytes + rounding_bytes

    def truncate(self, length_bytes: int) -> None:
        """See storage.Writer."""
        self.below.truncate(self._head_bytes + length_bytes)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.below, name)


class _FreeSpace:
    """See storage.FreeSpace."""

    def __init__(self, folders: FolderAsFile) -> None:
        self._folders = folders
        assert folders.folders_below.free_space
        self._below = folders.folders_below.free_space
        self.free_bytes, self.reclaim = self._below.free_bytes, self._below.reclaim

    def accounted_bytes(self, ticket_id: str) -> int:
        """See storage.FreeSpace. What files to come take beyond their bytes does not count."""
        manifest = self._folders.manifest(ticket_id)
        accounted_bytes = self._below.accounted_bytes(ticket_id)
        if manifest is None:
            return accounted_bytes
        offset = self._folders.folders_below.size(ticket_id) or 0
        rounding_bytes = FolderLayout(manifest, KEEPS_ALL).rounding_bytes(offset)
        return accounted_bytes - manifest.head_bytes + rounding_bytes


class _Inventory:
    """See storage.Inventory. What is kept beside a folder does not count."""

    def __init__(self, folders: FolderAsFile) -> None:
        self._folders = folders
        assert folders.folders_below.inventory
        self._below = folders.folders_below.inventory
        self.names = self._below.names

    def strays(self, known: Callable[[Collection[str]], Container[str]]) -> Strays:
        """See storage.Inventory."""
        found = self._below.strays(known)
        places = [Path(self._folders.location(name)).parent for name in found.names]
        beside = [file.stat().st_size for place in places for file in place.iterdir() if file.is_file()]
        return replace(found, size_bytes=found.size_bytes - sum(beside))


class FolderDirectory:
    """A directory of this machine with folders in it, as a contract.Place."""

    def __init__(self, directory: Path, runtime: Runtime) -> None:
        self._directory = directory
        self._runtime: Any = runtime

    def local(self, boot_id: str = "the first") -> LocalStorage:
        """Returns the storage of a new process."""
        return LocalStorage(self._directory, 1 << 20, self._runtime, DiskFacts(boot_id=boot_id))

    def storage(self) -> Storage:
        """See contract.Place."""
        return FolderAsFile(self.local().folders)

    def settle(self) -> None:
        """See contract.Place."""
        self._runtime.settle()
