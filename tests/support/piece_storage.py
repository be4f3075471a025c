"""A second storage: it keeps whole pieces only, as an object store does, and has no capability.

What the tests of the storage seam prove with it: the service needs no more than `Storage` and `Writer`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from incoming.core.errors import BadParameter, StorageFailed
from incoming.core.object_address import ObjectAddress
from incoming.core.storage_kinds import LOCAL
from incoming.runtime.base import Runtime, Task
from incoming.storage import Objects, OnDurable

PIECE_BYTES: Final = 8
DURABLE_AFTER_S: Final = 0.1
"""How long a store of larger pieces waits for more bytes. Then it stores what it has taken, so that clients
get their acknowledgements: a window may be smaller than a piece."""


class PieceStorage:
    """See storage.Storage. `files` outlives the process that has this object: hand it to the next one."""

    ownership = pickup = recovery = free_space = inventory = parts = folders = small_files = checksums = None
    name: str = LOCAL
    objects: Objects | None = None
    window_bytes = 0
    stores_later = False
    survives_power_cuts = keeps_unchecked_apart = False

    def __init__(
        self, runtime: Runtime, files: dict[str, bytearray] | None = None, piece_bytes: int = PIECE_BYTES
    ) -> None:
        self.files: dict[str, bytearray] = {} if files is None else files
        self._piece_bytes = piece_bytes
        self._runtime = runtime

    def location(self, ticket_id: str, destination: str = "") -> str:
        """See storage.Storage."""
        return f"piece://{destination or ticket_id}"

    def open(
        self, ticket_id: str, length_bytes: int | None, on_reserve: Callable[[int], object] = lambda _: None,
        on_durable: OnDurable = lambda _: None, destination: str = "",
    ) -> PieceWriter:  # fmt: skip
        """See storage.Storage."""
        file = self.files.setdefault(ticket_id, bytearray())
        return PieceWriter(file, self._piece_bytes, self._runtime, on_durable)

    def size(self, ticket_id: str) -> int | None:
        """See storage.Storage."""
        file = self.files.get(ticket_id)
        return None if file is None else len(file)

    def sizes(self, ticket_ids: Sequence[str]) -> dict[str, int | None]:
        """See storage.Storage."""
        return {ticket_id: self.size(ticket_id) for ticket_id in ticket_ids}

    def read(self, ticket_id: str, start: int, end: int, take: Callable[[memoryview], None]) -> None:
        """See storage.Storage."""
        part = bytes(self.files.get(ticket_id, b""))[start:end]
        if len(part) < end - start:
            raise StorageFailed
        for at in range(0, len(part), PIECE_BYTES):
            take(memoryview(part[at : at + PIECE_BYTES]))

    def delete(self, ticket_id: str, destination: str = "") -> None:
        """See storage.Storage."""
        self.files.pop(ticket_id, None)

    def check(self) -> None:
        """See storage.Storage."""


class PieceObjects:
    """See storage.Objects. Each URL is another one; an app may have keys below `inbox/`."""

    def __init__(self) -> None:
        self.urls = 0

    def check_destination(self, key: str) -> None:
        """See storage.Objects."""
        if not key.startswith("inbox/"):
            raise BadParameter("destinationKey", "must begin with inbox/")

    def address(self, ticket_id: str, destination: str = "") -> ObjectAddress:
        """See storage.Objects."""
        self.urls += 1
        key = destination or ticket_id
        return ObjectAddress(
            "pieces", key, f"https://s3.example.org/pieces/{key}?X-Amz-Signature=s{self.urls}"
        )

    def is_there(self, ticket_id: str, destination: str = "") -> bool:
        """See storage.Objects. There is none before the upload has arrived."""
        return False


class PieceWriter:
    """See storage.Writer. Bytes after the last whole piece are in the memory of the process."""

    def __init__(self, file: bytearray, piece_bytes: int, runtime: Runtime, on_durable: OnDurable) -> None:
        self._runtime = runtime
        self._on_durable = on_durable
        self._timer: Task | None = None
        self._file = file
        self._piece_bytes = piece_bytes
        self._rest = bytearray()
        self._is_open = True
        self.taken_bytes = self.durable_offset = self.accounted_bytes = len(file)

    def fence(self, token: str) -> None:
        """See storage.Writer."""
        self.truncate(self.durable_offset)

    def wait_for_capacity(self) -> None:
        """See storage.Writer."""

    def begin_unchecked(self) -> None:
        """See storage.Writer."""

    def accept_unchecked(self) -> None:
        """See storage.Writer."""

    def write(self, chunk: memoryview, crc32c: int | None = None) -> None:
        """See storage.Writer."""
        if not self._is_open:
            raise StorageFailed
        self._rest += chunk
        self.taken_bytes += len(chunk)
        whole_bytes = self.taken_bytes // self._piece_bytes * self._piece_bytes
        self._store(max(whole_bytes - len(self._file), 0))
        if self._rest and self._timer is None:
            self._timer = self._runtime.spawn_later(DURABLE_AFTER_S, self._store_rest)

    def _store_rest(self) -> None:
        self._timer = None
        error = None
        try:
            self.flush()
        except StorageFailed as exc:
            error = exc
        if self._is_open:
            self._on_durable(error)

    def _store(self, size_bytes: int) -> None:
        self._file += self._rest[:size_bytes]
        del self._rest[:size_bytes]
        self.durable_offset = len(self._file)
        self.accounted_bytes = self.taken_bytes

    def flush(self) -> None:
        """See storage.Writer. The piece at the end is stored as it is, and again once it is whole."""
        if self._is_open:
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
