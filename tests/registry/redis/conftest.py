"""One Redis for all tests of a module, emptied before each, and processes of a service that use it."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from incoming.core.instance import Instance
from incoming.core.stats import Counters
from incoming.registry.redis.clock import RedisClock
from incoming.registry.redis.instances import Instances
from incoming.registry.redis.leases import RedisLeases
from incoming.registry.redis.news import RedisNews
from incoming.registry.redis.registry import RedisRegistry
from incoming.runtime.gevent_runtime import GeventRuntime
from incoming.runtime.redis_connection import RedisConnection, open_redis
from tests.registry.contract.registry import SETTINGS
from tests.support.redis_server import RedisServer, let_greenlets_wait


class Process:
    """What a process of the service has of Redis, with connections of its own. Nothing runs by itself."""

    def __init__(self, url: str, name: str) -> None:
        self.runtime = GeventRuntime()
        self.connection: RedisConnection = open_redis(url, self.runtime)
        self.clock = RedisClock(self.connection, self.runtime.now_s)
        self.counters = Counters()
        self.registry = RedisRegistry(self.connection, self.runtime, self.clock, self.counters, SETTINGS)
        self.instances = Instances(self.connection, self.runtime, Instance(name, name, "host", 1, 0.0))
        self.instances.beat()
        self.leases = RedisLeases(self.connection, name)
        self.gaps: list[None] = []
        self.news = RedisNews(self.connection, self.runtime, name, lambda: self.gaps.append(None))

    def close(self) -> None:
        """Cuts its connections."""
        self.news.close()
        self.connection.close()


NewProcess = Callable[[str], Process]


@pytest.fixture(autouse=True)
def greenlets_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    """Greenlets that wait for Redis let others run."""
    let_greenlets_wait(monkeypatch)


@pytest.fixture(scope="module")
def running_redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """A Redis with whatever the tests before have left in it."""
    folder = tmp_path_factory.mktemp("redis") / "data"
    with RedisServer(folder, "repl-diskless-sync-delay 0") as server:
        yield server


@pytest.fixture
def redis_server(running_redis: RedisServer) -> RedisServer:
    """An empty Redis."""
    running_redis.client().flushall()
    return running_redis


@pytest.fixture
def new_process(redis_server: RedisServer) -> Iterator[NewProcess]:
    """Starts processes of the service by their names; each is closed after the test."""
    processes: list[Process] = []

    def start(name: str) -> Process:
        processes.append(Process(redis_server.url, name))
        return processes[-1]

    yield start
    for process in processes:
        process.close()
