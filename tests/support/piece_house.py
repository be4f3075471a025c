"""The service on a store of whole pieces, which outlives its processes."""

from __future__ import annotations

from pathlib import Path

from incoming.core.storage_kinds import LOCAL, S3
from incoming.storage import Storage
from tests.support.piece_storage import PIECE_BYTES, PieceObjects, PieceStorage
from tests.support.uploads import House


class PieceHouse(House):
    """See House. What its storage has taken of the last piece is lost in a kill."""

    stores: dict[Path, dict[str, bytearray]] = {}  # noqa: RUF012 - by directory, one for each test
    piece_bytes = PIECE_BYTES
    objects: PieceObjects | None = None

    @property
    def files(self) -> dict[str, bytearray]:
        """What is stored, by ticket."""
        return self.stores.setdefault(self.directory, {})

    def _make_storage(self) -> Storage:
        storage = PieceStorage(self.runtime, self.files, self.piece_bytes)
        storage.objects, storage.name = self.objects, S3 if self.objects else LOCAL
        return storage
