"""Ends multipart uploads for good."""

from __future__ import annotations

from incoming.storage.s3.store.client import S3Client, S3Error, s3_errors
from incoming.storage.s3.store.retrying import Retries


def abort_upload(client: S3Client, retries: Retries, key: str, upload_id: str) -> None:
    """Ends a multipart upload. Parts that were under way may come after the first call.

    A missing one is no error. Raises StorageFailed.
    """
    while True:
        try:
            retries.run(lambda: client.abort(key, upload_id))
            left = retries.run(lambda: client.list_parts(key, upload_id))
        except S3Error as exc:
            if exc.is_missing:
                return
            with s3_errors():
                raise
        if not left:
            return
