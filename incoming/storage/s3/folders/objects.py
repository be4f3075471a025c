"""Puts each file of a folder into an object of its own, with one call, and compares what the store has.

The keys are the paths of the files, so a process that was taken over may put an object with the same key. It
does no harm:

- An object is stored only where there is none, by `If-None-Match`. If one is there, it is compared.
- One with other bytes is replaced only by the newest claim, and only if nobody has replaced it since, by
  `If-Match`. A process that was frozen before it replaces one finds another one then, and stops.
- Before the list of the files is stored, the store is asked for everything that it has.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Final

from incoming.core.checkpoints import Checkpoint
from incoming.core.errors import DestinationTaken, StorageFailed
from incoming.storage.s3.part_buffer import PartBody
from incoming.storage.s3.store.client import ObjectFacts, PutOptions, S3Error
from incoming.storage.s3.store.completion import FOREIGN
from incoming.storage.s3.store.stored_objects import StoredObjects

log = logging.getLogger(__name__)

TIME_FIELD: Final = "mtime"
"""The metadata of an object that tells when its file was changed: seconds since 1970, as rclone has it."""
_NOT_STORED: Final = frozenset((404, 409, 412, 501))
"""Answers to a conditional put. Some stores do not know `If-Match`."""
_MAX_TRIES: Final = 10


@dataclass(frozen=True, slots=True)
class NewObject:
    """What an object is to be."""

    key: str
    ticket_id: str
    whole: Checkpoint
    """Its length and its CRC-32C."""
    body: Callable[[], PartBody]
    """Returns a new body each time."""
    modified_ms: int | None = None
    is_shared: bool = False
    """Whether others may have an object with this key. Some stores do not know `If-None-Match`."""

    def is_same(self, found: ObjectFacts) -> bool:
        """Returns whether the object that was found has these bytes."""
        if found.size_bytes != self.whole.end_bytes:
            return False
        if found.crc32c is not None:
            return found.crc32c == self.whole.crc32c
        return found.etag.strip('"') == self._md5()

    def _md5(self) -> str:
        digest, body = hashlib.md5(usedforsecurity=False), self.body()
        while piece := body.read():
            digest.update(piece)
        return digest.hexdigest()


def time_metadata(modified_ms: int | None) -> dict[str, str]:
    """Returns the metadata that tells when a file was changed."""
    return {} if modified_ms is None else {TIME_FIELD: f"{modified_ms / 1000:.3f}"}


class FolderObjects(StoredObjects):
    """The objects of folders. Methods raise StorageFailed, also DestinationTaken if another one has a key."""

    def put(self, new: NewObject, check_claim: Callable[[], object], is_wanted: Callable[[], bool]) -> str:
        """Stores an object, and returns its ETag. Does nothing when it is there.

        `check_claim` raises TakenOver if there is a newer claim. `is_wanted`: see Retries.
        """
        found = self.head(new.key, is_wanted) if new.is_shared else None
        compared = ""
        for _ in range(_MAX_TRIES):
            if found:
                if found.ticket_id != new.ticket_id:
                    log.error(FOREIGN, {"key": new.key})
                    raise DestinationTaken
                if new.is_same(found):
                    return found.etag
                check_claim()
            options = self._options(new, found, compared)
            try:
                return self._retries.run(partial(self._put, new, options), is_wanted)
            except S3Error as exc:
                if exc.status not in _NOT_STORED:
                    raise StorageFailed from exc
            compared, found = options.replaces_etag, self.head(new.key, is_wanted)
        raise StorageFailed

    def _options(self, new: NewObject, found: ObjectFacts | None, compared: str) -> PutOptions:
        metadata = time_metadata(new.modified_ms)
        if found is None:
            return PutOptions(only_if_new=True, metadata=metadata)
        if found.etag == compared:  # the store has refused to replace the very object that it has
            return PutOptions(metadata=metadata)
        return PutOptions(replaces_etag=found.etag, metadata=metadata)

    def _put(self, new: NewObject, options: PutOptions) -> str:
        return self._client.put(new.key, new.body(), new.whole.crc32c, new.ticket_id, options)
