"""Where apps find the objects of their uploads, and which keys they may name for them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from incoming.core.object_address import ObjectAddress
from incoming.storage.s3.keys import BucketAddress, check_key
from incoming.storage.s3.store.client import S3Client, s3_errors
from incoming.storage.s3.store.stored_objects import StoredObjects

DESTINATION: Final = "destinationKey"


class S3Objects:
    """See storage.Objects."""

    def __init__(
        self,
        client: S3Client,
        stored: StoredObjects,
        address: BucketAddress,
        prefixes: Sequence[str],
        lifetime_s: float,
    ) -> None:
        """`prefixes`: an app may name a key below one of these. `lifetime_s`: how long a URL is valid."""
        self._client = client
        self._stored = stored
        self._address = address
        self._prefixes = prefixes
        self._lifetime_s = lifetime_s

    def check_destination(self, key: str) -> None:
        """See storage.Objects."""
        check_key(key, self._prefixes, self._address, DESTINATION)

    def address(self, ticket_id: str, destination: str = "") -> ObjectAddress:
        """See storage.Objects. It asks for nothing but credentials, if they have expired. Log no URL."""
        key = destination or self._address.object_key(ticket_id)
        with s3_errors():
            url = self._client.presigned_url(key, int(self._lifetime_s))
        return ObjectAddress(self._address.bucket, key, url)

    def is_there(self, ticket_id: str, destination: str = "") -> bool:
        """See storage.Objects."""
        return self._stored.is_there(destination or self._address.object_key(ticket_id), ticket_id)
