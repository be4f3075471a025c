"""The clock of the service: it stands still while nobody ticks, jumps with no clock, and never goes back."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Final

import pytest

from incoming.core.errors import StorageFailed
from incoming.registry.redis import scripts
from incoming.registry.redis.clock import RedisClock
from incoming.runtime.base import MAX_TICK_S
from incoming.runtime.gevent_runtime import GeventRuntime
from incoming.runtime.redis_connection import RedisConnection, open_redis
from tests.registry.redis.conftest import NewProcess
from tests.support.redis_server import RedisServer

US: Final = 1_000_000
SLACK_S: Final = 0.1
"""The time of Redis goes on meanwhile, too: on a busy machine, for longer."""


class Machine:
    """An instance whose monotonic time the test moves. Redis has its own time."""

    def __init__(self, connection: RedisConnection) -> None:
        self.time_s = 500.0
        self.clock = RedisClock(connection, lambda: self.time_s)


@pytest.fixture
def connection(new_process: NewProcess) -> RedisConnection:
    return new_process("one").connection


def pass_redis_time(server: RedisServer, duration_s: float) -> None:
    """Makes Redis think that this much more of its time has passed since the last tick."""
    server.client().hincrby(scripts.CLOCK, "at_us", -round(duration_s * US))


def test_time_passes_between_ticks_and_stands_still_without_them(connection: RedisConnection) -> None:
    machine = Machine(connection)
    began_s = machine.clock.now_s()
    machine.time_s += 1.5
    assert machine.clock.now_s() - began_s == pytest.approx(1.5)
    machine.time_s += 3600.0
    assert machine.clock.now_s() - began_s == pytest.approx(MAX_TICK_S)


def test_all_instances_have_the_same_time(redis_server: RedisServer, connection: RedisConnection) -> None:
    one, other = Machine(connection), Machine(connection)
    began_s = time.monotonic()
    for _ in range(30):
        for machine in (one, other):
            pass_redis_time(redis_server, 0.5)
            machine.time_s += 1.0
            machine.clock.tick()
    last_s = time.monotonic()
    for machine in (one, other):
        machine.clock.tick()
    ended_s = time.monotonic()
    assert 30.0 - SLACK_S <= one.clock.now_s() <= 30.0 + ended_s - began_s + SLACK_S
    assert 0.0 <= other.clock.now_s() - one.clock.now_s() <= ended_s - last_s + SLACK_S


@pytest.mark.parametrize("jump_s", [-86_400.0, 86_400.0])
def test_a_jump_of_the_time_of_redis_or_an_outage_is_a_tick_at_most(
    redis_server: RedisServer, connection: RedisConnection, jump_s: float
) -> None:
    machine = Machine(connection)
    before_s = machine.clock.now_s()
    pass_redis_time(redis_server, jump_s)
    began_s = time.monotonic()
    machine.clock.tick()
    assert 0.0 <= machine.clock.now_s() - before_s <= MAX_TICK_S + SLACK_S
    pass_redis_time(redis_server, 1.0)
    after_s = machine.clock.now_s()
    machine.clock.tick()
    took_s = time.monotonic() - began_s
    assert 1.0 - SLACK_S <= machine.clock.now_s() - after_s <= 1.0 + took_s + SLACK_S


def test_the_clock_never_goes_back_when_redis_loses_it(
    redis_server: RedisServer, connection: RedisConnection
) -> None:
    machine = Machine(connection)
    machine.clock.at_least(1000.0)
    before_s = machine.clock.now_s()
    redis_server.client().delete(scripts.CLOCK)
    machine.clock.tick()
    assert machine.clock.now_s() == before_s >= 1000.0


def test_it_can_be_set_forward_for_all_and_not_back(connection: RedisConnection) -> None:
    one, other = Machine(connection), Machine(connection)
    one.clock.at_least(5000.0)
    other.clock.tick()
    assert 5000.0 <= other.clock.now_s() <= 5000.0 + MAX_TICK_S
    one.clock.at_least(10.0)
    assert one.clock.now_s() >= 5000.0


def test_a_process_that_was_stopped_is_told_for_how_long(connection: RedisConnection) -> None:
    machine = Machine(connection)
    machine.time_s += 1.0
    assert machine.clock.tick() == 0.0
    machine.time_s += 60.0
    assert machine.clock.tick() == 58.0
    assert machine.clock.tick() == 0.0


def test_without_redis_it_stands_still_and_ticks_again_afterwards(tmp_path: Path) -> None:
    with RedisServer(tmp_path / "redis") as server:
        connection = open_redis(server.url, GeventRuntime())
        machine = Machine(connection)
        began_s = machine.clock.now_s()
        server.kill()
        for _ in range(100):
            machine.time_s += 1.0
            assert machine.clock.tick() == 0.0
        assert machine.clock.now_s() - began_s == pytest.approx(MAX_TICK_S)
        with pytest.raises(StorageFailed):
            RedisClock(connection, lambda: 0.0)
        server.start()
        started_s = time.monotonic()
        for _ in range(5):
            pass_redis_time(server, 1.0)
            machine.time_s += 1.0
            machine.clock.tick()
        took_s = time.monotonic() - started_s
        assert 5.0 - SLACK_S <= machine.clock.now_s() - began_s <= 6.0 + took_s + SLACK_S
        connection.close()
