"""A second storage: it keeps whole pieces only, as an object store does, and has no capability.

What the tests of the storage seam prove with it: the service needs no more than `Storage` and `Writer`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from incoming.core.errors import StorageFailed

PIECE_BYTES: Final = 8


class PieceStorage:
    """See storage.Storage. `files` outlives the process that has this object: hand it to the next one."""

    ownership = pickup = recovery = room = inventory = parts = None

    def __init__(self, files: dict[str, bytearray] | None = None, piece_bytes: int = PIECE_BYTES) -> None:
        self.files: dict[str, bytearray] = {} if files is None else files
        self._piece_bytes = piece_bytes

    def location(self, ticket_id: str) -> str:
        """See storage.Storage."""
        return f"piece://{ticket_id}"

    def open(
        self, ticket_id: str, length_bytes: int | None, on_reserve: Callable[[int], object] = lambda _: None
    ) -> PieceWriter:
        """See storage.Storage."""
        return PieceWriter(self.files.setdefault(ticket_id, bytearray()), self._piece_bytes)

    def size(self, ticket_id: str) -> int | None:
        """See storage.Storage."""
        file = self.files.get(ticket_id)
        return None if file is None else len(file)

    def read(self, ticket_id: str, start: int, end: int, take: Callable[[memoryview], None]) -> None:
        """See storage.Storage."""
        part = bytes(self.files.get(ticket_id, b""))[start:end]
        if len(part) < end - start:
            raise StorageFailed
        for at in range(0, len(part), PIECE_BYTES):
            take(memoryview(part[at : at + PIECE_BYTES]))

    def delete(self, ticket_id: str) -> None:
        """See storage.Storage."""
        self.files.pop(ticket_id, None)

    def check(self) -> None:
        """See storage.Storage."""


class PieceWriter:
    """See storage.Writer. Bytes after the last whole piece are in the memory of the process."""

    def __init__(self, file: bytearray, piece_bytes: int) -> None:
        self._file = file
        self._piece_bytes = piece_bytes
        self._rest = bytearray()
        self._is_open = True
        self.taken_bytes = self.durable_offset = self.accounted_bytes = len(file)

    def write(self, chunk: memoryview) -> None:
        """See storage.Writer."""
        if not self._is_open:
            raise StorageFailed
        self._rest += chunk
        self.taken_bytes += len(chunk)
        whole_bytes = self.taken_bytes // self._piece_bytes * self._piece_bytes
        self._store(max(whole_bytes - len(self._file), 0))

    def _store(self, size_bytes: int) -> None:
        self._file += self._rest[:size_bytes]
        del self._rest[:size_bytes]
        self.durable_offset = len(self._file)
        self.accounted_bytes = self.taken_bytes

    def flush(self) -> None:
        """See storage.Writer. The piece at the end is stored as it is, and again once it is whole."""
        self._store(len(self._rest))

    def truncate(self, length_bytes: int) -> None:
        """See storage.Writer. The last piece is stored again if it was longer."""
        self._rest.clear()
        del self._file[length_bytes:]
        self.taken_bytes = self.durable_offset = self.accounted_bytes = len(self._file)

    def finish(self) -> None:
        """See storage.Writer."""
        self.close()

    def abort(self) -> None:
        """See storage.Writer."""
        self._is_open = False

    def close(self) -> None:
        """See storage.Writer."""
        if self._is_open:
            self._store(len(self._rest))
            self._is_open = False
