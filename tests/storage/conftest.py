"""What the tests of several storages share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from incoming.runtime.gevent_runtime import GeventRuntime
from incoming.runtime.redis_connection import RedisConnection, open_redis
from tests.support.redis_server import RedisServer


@pytest.fixture(scope="session")
def redis_for_manifests(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """A Redis with whatever the tests before have left in it."""
    with RedisServer(tmp_path_factory.mktemp("redis") / "data") as server:
        yield server


@pytest.fixture
def redis(redis_for_manifests: RedisServer) -> Iterator[RedisConnection]:
    """Connections to an empty Redis."""
    redis_for_manifests.client().flushall()
    connection = open_redis(redis_for_manifests.url, GeventRuntime())
    yield connection
    connection.close()
