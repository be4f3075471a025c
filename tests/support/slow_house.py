"""The service on a slow store that outlives its processes."""

from __future__ import annotations

from pathlib import Path

from incoming.storage import Storage
from tests.support.slow_storage import SlowStorage, SlowStore
from tests.support.uploads import House


class SlowHouse(House):
    """See House. What is on its way to the store is lost in a kill."""

    stores: dict[Path, SlowStore] = {}  # noqa: RUF012 - by directory, one for each test

    @property
    def store(self) -> SlowStore:
        """What is stored, and how fast that goes."""
        return self.stores[self.directory]

    def stored(self, ticket_id: str) -> bytes:
        """Returns what is stored of an upload."""
        return self.store.contents().get(ticket_id, b"")

    def _make_storage(self) -> Storage:
        before = self.stores.get(self.directory)
        store = self.stores[self.directory] = SlowStore(self.runtime, put_s=0.0)
        if before:
            store.files = before.files
        return SlowStorage(store)
