"""Compares the parts that a store lists with those that were sent."""

from __future__ import annotations

from collections.abc import Sequence

from incoming.storage.s3.metadata.manifest import StoredPart
from incoming.storage.s3.store.client import ListedPart


def etags_of_same_parts(sent: Sequence[StoredPart], listed: Sequence[ListedPart]) -> list[str]:
    """Returns the ETags under which the store has the first parts, up to one that is not as it was sent.

    Somebody has stored a part again: with other bytes, or with the same and another ETag (SSE-KMS).
    """
    found = {part.number: part for part in listed}
    etags: list[str] = []
    for part in sent:
        etag = _etag_of(part, found.get(part.number))
        if etag is None:
            break
        etags.append(etag)
    return etags


def _etag_of(part: StoredPart, listed: ListedPart | None) -> str | None:
    """Returns the ETag under which the store has a part of the manifest; None if it has another one."""
    if listed is None or listed.size_bytes != part.size_bytes:
        return None
    same = listed.etag == part.etag or listed.crc32c == part.crc32c
    return listed.etag if same else None
