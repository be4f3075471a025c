"""What the store has: looks at objects, lists them and deletes them, and tells whose they are."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Final

from incoming.core.checkpoints import Checkpoint
from incoming.core.errors import StorageFailed
from incoming.storage.s3.store.client import (
    DELETED_AT_ONCE,
    ListedObject,
    ObjectFacts,
    S3Client,
    S3Error,
    s3_errors,
)
from incoming.storage.s3.store.retrying import Retries

_REFUSED: Final = frozenset((400, 409, 412, 501))
"""Answers to a conditional deletion. Some stores do not know `If-Match` there."""


class StoredObjects:
    """Each call is repeated while the store does not answer. Methods raise StorageFailed."""

    def __init__(self, client: S3Client, retries: Retries) -> None:
        self._client = client
        self._retries = retries

    def head(self, key: str, is_wanted: Callable[[], bool] = lambda: True) -> ObjectFacts | None:
        """Returns what the store knows of an object; None if there is none. `is_wanted`: see Retries."""
        with s3_errors():
            return self._retries.run(lambda: self._client.head(key), is_wanted)

    def has(self, key: str, ticket_id: str, whole: Checkpoint) -> bool:
        """Returns whether the store has this object of an upload, as far as it knows its checksum."""
        found = self.head(key)
        if found is None or found.ticket_id != ticket_id or found.size_bytes != whole.end_bytes:
            return False
        return found.crc32c == whole.crc32c

    def delete_own(self, key: str, ticket_id: str) -> None:
        """Deletes an object if it is of this upload. A missing one is not an error.

        Others may have objects with this key: one that is put there meanwhile stays, if the store knows
        conditions.
        """
        compared = ""
        while (found := self.head(key)) and found.ticket_id == ticket_id:
            # The store may refuse to delete the very object that it has.
            only_etag = found.etag if found.etag != compared else ""
            try:
                self._retries.run(partial(self._client.delete, key, only_etag))
            except S3Error as exc:
                if exc.is_missing:
                    return
                if exc.status not in _REFUSED or not only_etag:
                    raise StorageFailed from exc
                compared = only_etag
            else:
                return

    def is_there(self, key: str, ticket_id: str) -> bool:
        """Returns whether there is an object with this key, and it is of this upload."""
        found = self.head(key)
        return found is not None and found.ticket_id == ticket_id

    def list_below(self, prefix: str, take: Callable[[ListedObject], object]) -> None:
        """Passes each object to `take` whose key begins with this."""
        token, is_first = "", True
        with s3_errors():
            while token or is_first:
                page, token = self._retries.run(partial(self._client.page, prefix, token))
                is_first = False
                for item in page:
                    take(item)

    def delete(self, key: str) -> None:
        """Deletes an object. A missing one is not an error."""
        with s3_errors():
            self._retries.run(lambda: self._client.delete(key))

    def delete_all(self, keys: list[str]) -> None:
        """Deletes objects, many with each call. Missing ones are not an error."""
        with s3_errors():
            for at in range(0, len(keys), DELETED_AT_ONCE):
                self._retries.run(partial(self._client.delete_all, keys[at : at + DELETED_AT_ONCE]))

    def delete_below(self, prefix: str) -> None:
        """Deletes each object whose key begins with this."""
        with s3_errors():
            keys = self._retries.run(lambda: self._client.keys(prefix))
        for key in keys:
            self.delete(key)
