"""A Redis that would lose tickets is refused or warned of at the start."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from incoming.core.errors import BadSetting, StorageFailed
from incoming.registry.redis.check import check_server, parse_info, unfit
from incoming.runtime.gevent_runtime import GeventRuntime
from incoming.runtime.redis_connection import RedisConnection, open_redis
from tests.support.ports import free_port
from tests.support.redis_server import RedisServer


@pytest.fixture
def connection(redis_server: RedisServer) -> Iterator[RedisConnection]:
    connection = open_redis(redis_server.url, GeventRuntime())
    yield connection
    connection.close()


def test_a_redis_with_an_append_only_file_is_fit(
    connection: RedisConnection, caplog: pytest.LogCaptureFixture
) -> None:
    check_server(connection)
    assert caplog.text == ""


def test_a_redis_without_an_append_only_file_causes_a_warning(
    redis_server: RedisServer, connection: RedisConnection, caplog: pytest.LogCaptureFixture
) -> None:
    redis_server.client().config_set("appendonly", "no")
    try:
        check_server(connection)
    finally:
        redis_server.client().config_set("appendonly", "yes")
    assert "has no append-only file" in caplog.text


def test_a_redis_that_forgets_keys_when_its_memory_is_full_is_refused(
    redis_server: RedisServer, connection: RedisConnection
) -> None:
    client = redis_server.client()
    client.config_set("maxmemory-policy", "allkeys-lru")
    check_server(connection)  # its memory has no limit
    client.config_set("maxmemory", "100mb")
    try:
        with pytest.raises(BadSetting, match="noeviction"):
            check_server(connection)
    finally:
        client.config_set("maxmemory", "0")
        client.config_set("maxmemory-policy", "noeviction")


@pytest.mark.parametrize("key", ["incoming:all", "incoming:rest:finished", "incoming:clock"])
def test_a_redis_with_data_of_another_program_under_a_key_is_refused(
    redis_server: RedisServer, connection: RedisConnection, key: str
) -> None:
    client = redis_server.client()
    client.delete(key)
    client.rpush(key, "a list of another program")
    try:
        with pytest.raises(BadSetting, match=f"another program: {key}[.] Each service"):
            check_server(connection)
    finally:
        client.delete(key)


def test_a_replica_and_a_cluster_are_refused(redis_server: RedisServer, tmp_path: Path) -> None:
    with RedisServer(tmp_path / "replica", f"replicaof 127.0.0.1 {redis_server.port}") as replica:
        connection = open_redis(replica.url, GeventRuntime())
        with pytest.raises(BadSetting, match="is a replica"):
            check_server(connection)
        connection.close()
    # Its usual second port is 10,000 above its first: there, another worker or an outgoing connection may be.
    options = ("cluster-enabled yes", f"cluster-port {free_port()}")
    with RedisServer(tmp_path / "cluster", *options) as cluster:
        connection = open_redis(cluster.url, GeventRuntime())
        with pytest.raises(BadSetting, match="is a Cluster"):
            check_server(connection)
        connection.close()


@pytest.mark.parametrize(
    ("version", "is_fit"), [("5.0.14", False), ("6.0.0", True), ("7.2.4", True), ("10.1", True), ("", False)]
)
def test_an_old_redis_is_refused(version: str, is_fit: bool) -> None:
    assert (unfit({"redis_version": version}) == "") is is_fit


def test_the_reply_of_info_is_read_whatever_is_in_it() -> None:
    text = "# Server\r\nredis_version:7.0.15\r\n\r\nexecutable:/usr/bin/a:b\r\nodd\r\n"
    assert parse_info(text) == {"redis_version": "7.0.15", "executable": "/usr/bin/a:b", "odd": ""}


def test_a_redis_that_is_away_is_distinguished_from_one_that_is_unfit(tmp_path: Path) -> None:
    server = RedisServer(tmp_path / "never started")
    with pytest.raises(StorageFailed):
        check_server(open_redis(server.url, GeventRuntime()))
