"""The service on a directory and a store of objects, between which apps choose."""

from __future__ import annotations

from incoming.storage import Storage
from tests.support.piece_house import PieceHouse
from tests.support.piece_storage import PieceObjects
from tests.support.uploads import House


class BothHouse(PieceHouse):
    """See House."""

    objects = PieceObjects()

    def _make_storages(self) -> tuple[Storage, ...]:
        return House._make_storage(self), PieceHouse._make_storage(self)

    @property
    def local(self) -> Storage:
        """The directory."""
        return self.context.storages.named("local")

    @property
    def s3(self) -> Storage:
        """The store."""
        return self.context.storages.named("s3")
