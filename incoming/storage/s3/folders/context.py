"""What all folders of one storage share: their objects, and the plans of those that are in use."""

from __future__ import annotations

from typing import Final
from weakref import WeakValueDictionary

from incoming.core.checksum import checksum
from incoming.core.errors import StorageFailed
from incoming.core.folder_manifest import NO_BOUNDS, Bounds
from incoming.runtime.base import Lock
from incoming.storage.s3.folders.objects import FolderObjects
from incoming.storage.s3.folders.plan import FolderPlan, read_plan
from incoming.storage.s3.metadata.folder_states import FolderState, StoredPiece
from incoming.storage.s3.store.aborting import abort_upload
from incoming.storage.s3.store.client import S3Error
from incoming.storage.s3.stream_writer import WriterContext

MAX_CALLS: Final = 16
"""How many calls for one folder may be under way at a time."""


class HeadLost(Exception):
    """The store does not have the head of a folder any more."""


class FolderContext:
    """What the folders of one storage share. Methods raise StorageFailed."""

    def __init__(self, writers: WriterContext, bounds: Bounds) -> None:
        """`bounds`: how large the manifest of a folder may be."""
        self.writers = writers
        self.bounds = bounds
        self.objects = FolderObjects(writers.client, writers.retries)
        self._client = writers.client
        self._retries = writers.retries
        self._runtime = writers.runtime
        self._address = writers.address
        self._plans: WeakValueDictionary[str, FolderPlan] = WeakValueDictionary()
        """By the key of the head, which no other folder has."""

    def call_slots(self) -> Lock:
        """Returns what limits the calls for one folder."""
        return self._runtime.semaphore(MAX_CALLS)

    def is_shared(self, ticket_id: str, state: FolderState) -> bool:
        """Returns whether others may have objects below the key of a folder, because its app has named it."""
        return state.key != self._address.object_key(ticket_id)

    def keep(self, head_key: str, plan: FolderPlan) -> None:
        """Remembers the plan of a folder, for as long as anybody uses it."""
        self._plans[head_key] = plan

    def known(self, head_key: str) -> FolderPlan | None:
        """Returns the plan of a folder if somebody uses it."""
        return self._plans.get(head_key)

    def abort(self, key: str, upload_id: str) -> None:
        """Ends a multipart upload. Parts that were under way may come after the first call."""
        abort_upload(self._client, self._retries, key, upload_id)

    def plan(self, state: FolderState, head: StoredPiece) -> FolderPlan:
        """Returns the plan of a folder whose head is stored. Raises HeadLost."""
        found = self._plans.get(state.head_key)
        if found is None:
            content = self.head(state, head)
            found = self._runtime.in_pool(read_plan, content, state.key, state.part_bytes, NO_BOUNDS)
            self.keep(state.head_key, found)
        return found

    def head(self, state: FolderState, head: StoredPiece) -> bytes:
        """Returns the head of a folder as it came. Raises HeadLost."""
        content = bytearray()

        def read() -> None:
            content.clear()
            self._client.read(state.head_key, 0, head.size_bytes, content.extend)

        try:
            self._retries.run(read)
        except S3Error as exc:
            if exc.is_missing:
                raise HeadLost from exc
            raise StorageFailed from exc
        if checksum(memoryview(content)) != head.crc32c:
            raise HeadLost
        return bytes(content)
