"""The other processes, as one of them knows them from their signs of life in a Redis."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from incoming.composition.several_processes import SeveralProcesses
from incoming.core.instance import Instance
from incoming.registry.redis.instances import Instances
from incoming.registry.redis.leases import RedisLeases
from incoming.runtime.gevent_runtime import GeventRuntime
from incoming.runtime.redis_connection import RedisConnection, open_redis
from tests.support.redis_server import RedisServer, let_greenlets_wait


@pytest.fixture
def connection(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> Iterator[RedisConnection]:
    let_greenlets_wait(monkeypatch)
    with RedisServer(tmp_path_factory.mktemp("redis") / "data") as redis:
        connection = open_redis(redis.url, GeventRuntime())
        yield connection
        connection.close()


def instances(connection: RedisConnection, name: str) -> Instances:
    started = Instances(connection, GeventRuntime(), Instance(name, name, "host", 1, 0.0))
    started.beat()
    return started


def test_an_upload_is_shown_with_its_holder_though_that_has_started_since_the_last_beat(
    connection: RedisConnection,
) -> None:
    shown = SeveralProcesses(instances(connection, "first"), RedisLeases(connection, "first"), ())
    assert shown.holders(["an upload"]) == {}
    second = instances(connection, "second")
    leases = RedisLeases(connection, "second")
    leases.take("an upload", "token")
    assert shown.holders(["an upload", "another one"]) == {"an upload": "second"}
    second.leave()
    third = instances(connection, "third")
    RedisLeases(connection, "third").take("another one", "token of the third")
    assert third.own.name == "third"
    assert shown.holders(["an upload", "another one"]) == {"another one": "third"}
