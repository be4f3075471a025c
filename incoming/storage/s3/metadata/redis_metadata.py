"""The metadata of a storage in Redis. It needs redis-py."""

from __future__ import annotations

from incoming.runtime.base import Runtime
from incoming.runtime.redis_connection import RedisConnection
from incoming.storage.s3.metadata.redis_folder_states import RedisFolderStates
from incoming.storage.s3.metadata.redis_manifests import RedisManifests
from incoming.storage.s3.metadata.upload_metadata import UploadMetadata


def metadata_in_redis(redis: RedisConnection, runtime: Runtime) -> UploadMetadata:
    """Returns the metadata in the Redis that also has the tickets."""
    return UploadMetadata(RedisManifests(redis), RedisFolderStates(redis, runtime))
