"""The notes of a storage in Redis. It needs redis-py."""

from __future__ import annotations

from incoming.runtime.base import Runtime
from incoming.runtime.redis_connection import RedisConnection
from incoming.storage.s3.notes.notes import Notes
from incoming.storage.s3.notes.redis_folder_notes import RedisFolderNotes
from incoming.storage.s3.notes.redis_manifests import RedisManifests


def notes_in_redis(redis: RedisConnection, runtime: Runtime) -> Notes:
    """Returns the notes in the Redis that also has the tickets."""
    return Notes(RedisManifests(redis), RedisFolderNotes(redis, runtime))
