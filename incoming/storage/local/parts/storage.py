"""`LocalPartStorage`: a file that comes in parts, each written into its place in the file."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence

from incoming.core.checkpoints import Checkpoint
from incoming.core.parts import Part, are_adjacent
from incoming.runtime.base import Runtime
from incoming.runtime.filesystem import disk_errors
from incoming.storage.local.deletion import Deletion
from incoming.storage.local.parts.assembly import Assembler
from incoming.storage.local.parts.files import PartFiles
from incoming.storage.local.parts.writer import LocalPartWriter, OpenPart
from incoming.storage.local.posix import FileSync
from incoming.storage.local.write_path import WritePath
from incoming.storage.local.writer import OpenFile, Reserve


class LocalPartStorage:
    """See storage.PartStorage."""

    def __init__(
        self, files: PartFiles, write_path: WritePath, file_sync: FileSync | None, deletion: Deletion,
        reserve_bytes: int,
    ) -> None:  # fmt: skip
        """Without `file_sync` nothing is synced. `reserve_bytes`: see LocalStorage."""
        self._files = files
        self._write_path = write_path
        self._file_sync = file_sync
        self._deletion = deletion
        self._reserve_bytes = reserve_bytes
        self._runtime: Runtime = write_path.runtime

    def open(
        self, ticket_id: str, part: Part, on_reserve: Callable[[int], object] = lambda _: None
    ) -> LocalPartWriter:
        """See storage.PartStorage."""
        with disk_errors:
            opened = self._runtime.in_pool(self._open, ticket_id, part)
        reserve = Reserve(self._reserve_bytes, part.length_bytes, on_reserve)
        return LocalPartWriter(opened, self._files, self._write_path, reserve)

    def _open(self, ticket_id: str, part: Part) -> OpenPart:
        place, fd, offsets = self._files.create(ticket_id, part)
        try:
            known = self._files.verified(ticket_id, part, offsets)
            return OpenPart(ticket_id, part, OpenFile(place, fd, os.fstat(fd)), offsets, *known)
        except BaseException:
            self._files.close(fd, offsets)
            raise

    def sizes(self, ticket_id: str, parts: Sequence[Part]) -> tuple[int, ...]:
        """See storage.PartStorage."""
        with disk_errors:
            stored = self._runtime.in_pool(self._files.stored, ticket_id, parts)
        return tuple(one.end_bytes for one in stored)

    def accounted_bytes(self, ticket_id: str, part: Part) -> int:
        """See storage.PartStorage."""
        with disk_errors:
            return self._runtime.in_pool(self._files.accounted_bytes, ticket_id, part)

    def delete(self, ticket_id: str, part: Part) -> None:
        """See storage.PartStorage."""
        try:
            with disk_errors:
                self._runtime.in_pool(self._files.delete, ticket_id, part, self._deletion)
        finally:
            self._deletion.start()

    def needs_copy(self, parts: Sequence[Part]) -> bool:
        """See storage.PartStorage."""
        return not are_adjacent(parts)

    def assemble(
        self, ticket_id: str, parts: Sequence[Part], is_wanted: Callable[[], bool],
        on_reserve: Callable[[int], object] = lambda _: None,
    ) -> Checkpoint | None:  # fmt: skip
        """See storage.PartStorage."""
        with disk_errors:
            assembler = Assembler(ticket_id, parts, self._files, self._write_path, self._file_sync)
            return assembler.run(is_wanted, on_reserve, reserves=self._reserve_bytes > 0)

    def clean_up(self, ticket_id: str) -> None:
        """See storage.PartStorage."""
        try:
            with disk_errors:
                self._runtime.in_pool(self._files.delete_all, ticket_id, self._deletion)
        finally:
            self._deletion.start()
