"""Tickets in a Redis, as a server opens them: what a process does that has stood still."""

from __future__ import annotations

import uuid
from collections.abc import Iterator

import gevent
import pytest

from incoming.composition.redis_tickets import RedisTickets
from incoming.core.lifecycle import State
from incoming.core.stats import Counters
from incoming.core.ticket import Ticket
from incoming.registry.redis.instances import LIFE_S
from incoming.runtime.base import MAX_TICK_S
from incoming.runtime.gevent_runtime import GeventRuntime
from incoming.settings.table import Settings
from tests.support.redis_server import RedisServer, let_greenlets_wait, wait_for_greenlets


class Stopped(GeventRuntime):
    """A process that was stopped for a while: its monotonic clock has jumped."""

    jumped_s = 0.0

    def now_s(self) -> float:
        """Returns the monotonic time in seconds."""
        return super().now_s() + self.jumped_s


@pytest.fixture(scope="module")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with RedisServer(tmp_path_factory.mktemp("redis") / "data") as server:
        yield server


@pytest.mark.parametrize(("jumped_s", "times"), [(LIFE_S / 2, 0), (LIFE_S + MAX_TICK_S + 1, 1)])
def test_a_process_that_others_may_have_taken_for_dead_looks_at_its_uploads(
    redis: RedisServer, monkeypatch: pytest.MonkeyPatch, jumped_s: float, times: int
) -> None:
    let_greenlets_wait(monkeypatch)
    runtime = Stopped()
    looked: list[None] = []
    tickets = RedisTickets(Settings(registry=redis.url), runtime, Counters())
    tickets.start(lambda _: looked.append(None))
    wait_for_greenlets(lambda: looked, "the news are subscribed")
    looked.clear()
    tickets.tick()
    runtime.jumped_s += jumped_s
    tickets.tick()
    if times:
        wait_for_greenlets(lambda: looked, "it looks")
    gevent.sleep(0.01)
    assert len(looked) == times
    tickets.close()


def test_servers_with_one_redis_are_warned_of_another_endpoint_of_s3(
    redis: RedisServer, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    let_greenlets_wait(monkeypatch)
    for number, warnings in ((1, 0), (2, 1), (2, 1)):
        settings = Settings(registry=redis.url, storage="s3://bucket", s3_endpoint=f"http://s3-{number}:8333")
        tickets = RedisTickets(settings, GeventRuntime(), Counters())
        tickets.check_storages(settings.storage)
        if number == 1:
            tickets.registry.add(Ticket(str(uuid.uuid4()), "http://app.example.org/", state=State.PAUSED))
        tickets.close()
        assert len(caplog.messages) == warnings
    assert "was http://s3-1:8333 and is now http://s3-2:8333: 1 uploads" in caplog.text
