"""Reads the tickets in a Redis without a server. It needs redis-py: import it only where a Redis is set."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from typing import Final

from incoming.core.stats import Counters
from incoming.core.ticket import Ticket
from incoming.registry.redis.check import Fitness, examine
from incoming.registry.redis.instances import Instances, this_instance
from incoming.registry.redis.registry import RedisRegistry
from incoming.runtime.base import ServiceClock
from incoming.runtime.gevent_runtime import GeventRuntime
from incoming.runtime.redis_connection import RedisConnection, open_redis
from incoming.settings.table import Settings
from incoming.storage.s3.metadata.redis_metadata import metadata_in_redis

SIZES_AT_A_TIME: Final = 100


def read_tickets(settings: Settings) -> list[Ticket]:
    """Returns all tickets. Raises BadSetting, StorageFailed."""
    with _connected(settings) as (connection, runtime):
        return list(_registry(connection, runtime, settings).tickets())


def stored_bytes(settings: Settings, ticket_ids: Sequence[str]) -> dict[str, int | None]:
    """Returns how many bytes S3 has of each of these uploads. Raises BadSetting, StorageFailed."""
    found: dict[str, int | None] = {}
    with _connected(settings) as (connection, runtime):
        metadata = metadata_in_redis(connection, runtime)
        for start in range(0, len(ticket_ids), SIZES_AT_A_TIME):
            page = metadata.manifests.sizes(ticket_ids[start : start + SIZES_AT_A_TIME])
            folders = metadata.folders.states([one for one, size_bytes in page.items() if size_bytes is None])
            found |= page | {one: state.size_bytes for one, state in folders.items() if state}
    return found


def examine_redis(settings: Settings) -> tuple[Fitness, list[str]]:
    """Tries what a server needs of the Redis. Returns what that says of itself, and which servers use it.

    It stores nothing that stays. Raises BadSetting, StorageFailed, StorageFull.
    """
    with _connected(settings) as (connection, runtime):
        fitness = examine(connection)
        _registry(connection, runtime, settings).check()
        return fitness, [one.name for one in Instances(connection, runtime, this_instance()).living()]


def _registry(connection: RedisConnection, runtime: GeventRuntime, settings: Settings) -> RedisRegistry:
    return RedisRegistry(connection, runtime, ServiceClock(runtime.now_s), Counters(), settings)


@contextlib.contextmanager
def _connected(settings: Settings) -> Iterator[tuple[RedisConnection, GeventRuntime]]:
    runtime = GeventRuntime()
    connection = open_redis(settings.registry, runtime, insecure=settings.redis_insecure)
    try:
        yield connection, runtime
    finally:
        connection.close()
