"""Files in S3. It needs botocore: import this module only where a bucket is configured."""

from __future__ import annotations

import contextlib
import logging
import secrets
import time
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from incoming.composition.directory import OwnedDirectory
from incoming.composition.folder_bounds import folder_bounds
from incoming.core.checksum import checksum
from incoming.core.errors import BadSetting
from incoming.core.units import MIB
from incoming.runtime.base import Runtime
from incoming.runtime.gevent_runtime import GeventRuntime
from incoming.runtime.redis_address import is_loopback
from incoming.settings.table import Settings
from incoming.storage.s3.keys import BucketAddress, check_prefixes, parse_address
from incoming.storage.s3.metadata.sqlite_file import SqliteFile
from incoming.storage.s3.metadata.sqlite_metadata import metadata_in_sqlite
from incoming.storage.s3.part_buffer import PartBody
from incoming.storage.s3.storage import S3Options, S3Storage
from incoming.storage.s3.store.client import BucketConfig, S3Client, S3Error

if TYPE_CHECKING:
    from incoming.composition.redis_tickets import RedisTickets

log = logging.getLogger(__name__)

MANIFESTS: Final = "manifests.sqlite"
TRIAL: Final = "doctor"
"""The object of `examine_bucket` is where this upload would have its remainders."""
CONTENT: Final = b"a trial"
EXPOSED: Final = (
    "%(endpoint)s is not encrypted: others in the network can read and replace the files of all uploads. "
    "Use https"
)


def s3_storage(
    settings: Settings, runtime: Runtime, redis: RedisTickets | None, directory: OwnedDirectory | None,
    undo: contextlib.ExitStack,
) -> S3Storage:  # fmt: skip
    """Returns the storage in the bucket of `settings.storage`. Its manifests are where the tickets are.

    Raises BadSetting.
    """
    bucket, client = _connect(settings, runtime)
    _warn_if_exposed(settings.s3_endpoint)
    _check_bucket(client, settings.storage)
    if redis:
        from incoming.storage.s3.metadata.redis_metadata import metadata_in_redis  # noqa: PLC0415 - it needs redis-py

        metadata = metadata_in_redis(redis.connection, runtime)
    else:
        assert directory
        file = SqliteFile(directory.path / MANIFESTS, runtime)
        metadata = metadata_in_sqlite(file)
        undo.callback(file.close)
    options = S3Options(
        part_bytes=settings.s3_part_mib * MIB,
        parallel=settings.s3_parallel_parts,
        memory_bytes=settings.s3_memory_mib * MIB,
        equal_parts=settings.s3_equal_parts,
        destination_prefixes=settings.s3_destination_prefixes,
        url_lifetime_s=settings.s3_url_lifetime_s,
        folder_bounds=folder_bounds(settings),
    )
    return S3Storage(client, metadata, bucket, runtime, options)


def examine_bucket(settings: Settings) -> float:
    """Tries what a server needs of the bucket: stores an object, and deletes it. Returns the seconds it took.

    Raises BadSetting, S3Error.
    """
    runtime = GeventRuntime()
    bucket, client = _connect(settings, runtime)
    client.check()
    key = f"{bucket.remainders(TRIAL)}{secrets.token_hex(8)}"
    began_s = time.monotonic()
    client.put(
        key, PartBody([memoryview(CONTENT)], len(CONTENT), runtime.yield_if_due), checksum(CONTENT), TRIAL
    )
    took_s = time.monotonic() - began_s
    client.delete(key)
    return took_s


def _connect(settings: Settings, runtime: Runtime) -> tuple[BucketAddress, S3Client]:
    """Returns the address of the bucket, and a client for it. It makes no call. Raises BadSetting."""
    bucket = parse_address(settings.storage)
    check_prefixes(settings.s3_destination_prefixes, bucket, "s3_destination_prefixes")
    return bucket, S3Client(BucketConfig(bucket.bucket, settings.s3_endpoint, settings.s3_region), runtime)


def _check_bucket(client: S3Client, name: str) -> None:
    """Asks for the bucket. A store that does not answer may do so later.

    Raises BadSetting if the store refuses it, has a certificate that is not trusted, or no credentials are
    found: botocore looks for them only once.
    """
    try:
        client.check()
    except S3Error as exc:
        if exc.needs_operator:
            raise BadSetting("storage", f"{name} can't be used: {exc}") from exc
        log.warning("%(storage)s does not answer yet: %(error)s", {"storage": name, "error": exc})


def _warn_if_exposed(endpoint: str) -> None:
    parts = urlsplit(endpoint)
    if parts.scheme == "http" and not is_loopback(parts.hostname or ""):
        log.warning(EXPOSED, {"endpoint": endpoint})
