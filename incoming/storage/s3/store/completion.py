"""Makes an object of what is stored, exactly once, and never in the place of another object.

S3 promises much of that with `If-None-Match: *` and a checksum of the whole object. Some stores ignore one of
them. So the object is looked at with HEAD, before and after. HEAD also tells what a lost answer has said.
"""

from __future__ import annotations

import hashlib
import logging
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from incoming.core.checkpoints import Checkpoint
from incoming.core.errors import DestinationTaken, StorageFailed
from incoming.storage.s3.metadata.manifest import Manifest
from incoming.storage.s3.part_buffer import PartBody
from incoming.storage.s3.store.client import ObjectFacts, PutOptions, S3Client, S3Error, s3_errors
from incoming.storage.s3.store.retrying import Retries
from incoming.storage.s3.store.stored_objects import StoredObjects

log = logging.getLogger(__name__)

FOREIGN: Final = "the object %(key)s is not of this upload, and is not replaced"
_PARTS_DIFFER: Final = frozenset(("InvalidPart", "InvalidPartOrder", "BadDigest"))
_IS_THERE: Final = frozenset((409, 412))
_SERVER_ERROR: Final = 500
_MD5: Final = re.compile("[0-9a-f]{32}")


IsWanted = Callable[[], bool]


def _always() -> bool:
    return True


class UploadGone(Exception):
    """The store does not have the multipart upload any more, nor an object that was made of it."""


class PartsDiffer(Exception):
    """The store has other parts than the manifest says."""


class Completion:
    """Completes uploads. Methods raise StorageFailed, and DestinationTaken if another object has the key."""

    def __init__(self, client: S3Client, retries: Retries) -> None:
        self._client = client
        self._retries = retries
        self._stored = StoredObjects(client, retries)

    def complete(
        self, ticket_id: str, manifest: Manifest, is_wanted: IsWanted = _always,
        check_claim: Callable[[], object] = _always,
    ) -> None:  # fmt: skip
        """Makes the object of its parts. Does nothing when it is there. `is_wanted`: see Retries.

        `check_claim` is called before an earlier object of the upload is deleted. It may raise TakenOver.
        Raises UploadGone, PartsDiffer as well.
        """
        key, upload_id = manifest.key, manifest.upload_id
        wanted = _Wanted(
            ticket_id, manifest.checkpoint, etag_of_parts([part.etag for part in manifest.parts])
        )

        def make() -> None:
            try:
                self._client.complete(key, upload_id, manifest.parts, wanted.whole.crc32c)
            except S3Error as exc:
                if exc.status == _SERVER_ERROR:
                    # Ceph says so, again and again, where the upload is gone. This raises NoSuchUpload then.
                    self._client.list_parts(key, upload_id)
                raise

        self._once(key, wanted, make, is_wanted, check_claim)

    def put(
        self, ticket_id: str, key: str, new_body: Callable[[], PartBody], whole: Checkpoint,
        is_wanted: IsWanted = _always,
    ) -> None:  # fmt: skip
        """Stores a file that needs no parts. Does nothing when it is there. `is_wanted`: see Retries."""

        def make() -> None:
            self._client.put(key, new_body(), whole.crc32c, ticket_id, PutOptions(only_if_new=True))

        self._once(key, _Wanted(ticket_id, whole, None), make, is_wanted)

    def _once(
        self, key: str, wanted: _Wanted, make: Callable[[], None], is_wanted: IsWanted,
        check_claim: Callable[[], object] = _always,
    ) -> None:  # fmt: skip
        found = self._stored.head(key, is_wanted)
        if found and found.ticket_id == wanted.ticket_id and not wanted.is_surely(found):
            check_claim()
            with s3_errors():
                self._retries.run(lambda: self._client.delete(key), is_wanted)  # it began anew
            found = None
        if found is None:
            try:
                self._retries.run(make, is_wanted)
            except S3Error as exc:
                self._judge(exc, self._stored.head(key, is_wanted))
            found = self._stored.head(key, is_wanted)
        if not found or not wanted.may_be(found):
            if found and found.ticket_id != wanted.ticket_id:
                log.error(FOREIGN, {"key": key})
                raise DestinationTaken
            log.error("the object %(key)s in the store differs from what was sent", {"key": key})
            raise StorageFailed

    def _judge(self, error: S3Error, found: ObjectFacts | None) -> None:
        """Returns if there is an object in spite of this answer. Otherwise raises what the answer means."""
        if found and (error.is_missing or error.status in _IS_THERE):
            return  # it is compared next
        if error.code in _PARTS_DIFFER and error.operation == "complete_multipart_upload":
            raise PartsDiffer from error
        if error.is_missing and error.code == "NoSuchUpload":
            raise UploadGone from error
        raise StorageFailed from error


@dataclass(frozen=True, slots=True)
class _Wanted:
    """What the object has to be."""

    ticket_id: str
    whole: Checkpoint
    etag: str | None
    """None where it can't be known."""

    def may_be(self, found: ObjectFacts) -> bool:
        """Returns whether all that the store knows of the object agrees with it."""
        same_crc = found.crc32c in (None, self.whole.crc32c)
        same_etag = found.crc32c is not None or self.etag is None or found.etag == self.etag
        same_size = found.size_bytes == self.whole.end_bytes
        return found.ticket_id == self.ticket_id and same_size and same_crc and same_etag

    def is_surely(self, found: ObjectFacts) -> bool:
        """Returns whether a checksum proves that an object that was there before is it."""
        return self.may_be(found) and (found.crc32c is not None or self.etag is not None)


def etag_of_parts(of_parts: Sequence[str]) -> str | None:
    """Returns the ETag of an object whose parts have these; None where they are not the MD5 of the parts.

    It is the MD5 of the MD5s, and the number of parts. AWS does not document that, and keeps to it.
    """
    etags = [etag.strip('"') for etag in of_parts]
    if not all(_MD5.fullmatch(etag) for etag in etags):
        return None
    joined = hashlib.md5(bytes.fromhex("".join(etags)), usedforsecurity=False)
    return f'"{joined.hexdigest()}-{len(etags)}"'
