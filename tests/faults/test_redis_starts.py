"""A start with many tickets in Redis reads only those for which it may have work.

INCOMING_TEST_TICKETS says how many there are (400 unless set).
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final
from uuid import UUID

import pytest
from msgspec.structs import replace

from incoming.core.lifecycle import State
from incoming.core.stats import Counters
from incoming.core.ticket import Ticket
from incoming.registry.redis.registry import RedisRegistry
from incoming.runtime.base import ServiceClock
from incoming.runtime.gevent_runtime import GeventRuntime
from incoming.runtime.redis_connection import open_redis
from incoming.settings.table import Settings
from tests.support.app import ScriptedApp
from tests.support.cluster import ForkedS3Server
from tests.support.forked import ForkedServer, Launcher
from tests.support.ports import free_port
from tests.support.redis_server import RedisServer
from tests.support.s3_place import BUCKET
from tests.support.s3_server import REGION
from tests.support.server import RunningServer, cpu_s
from tests.support.tally import tally

TICKETS: Final = int(os.environ.get("INCOMING_TEST_TICKETS", "400"))
AT_REST: Final = (State.ISSUED, State.PAUSED, State.FINISHED, State.CANCELLED)
MAX_READS: Final = 60
"""So many reads may be of other tickets, or of the one whose app is called. Some follow each second."""


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[RedisServer]:
    with RedisServer(tmp_path / "redis") as server:
        yield server


def fill(redis: RedisServer, app: ScriptedApp) -> str:
    """Adds tickets in all states of rest, and one whose app has not been called. Returns the id of that."""
    connection, runtime = open_redis(redis.url, GeventRuntime()), GeventRuntime()
    clock = ServiceClock(runtime.now_s, 0.0)
    registry = RedisRegistry(connection, runtime, clock, Counters(), Settings())
    for number in range(TICKETS):
        ticket = Ticket(str(UUID(int=number)), app.url, length_bytes=10, app_told=True)
        registry.add(replace(ticket, state=AT_REST[number % len(AT_REST)]))
    waits = Ticket(str(UUID(int=TICKETS)), app.url, length_bytes=10, state=State.CANCELLED)
    registry.add(waits)
    connection.close()
    return waits.id


def started(launcher: Launcher, folder: Path, redis: RedisServer, storage: str) -> RunningServer:
    """Returns a server that is not started yet, with its files in S3, which is away, or in a directory."""
    settings: dict[str, Any] = {"registry": redis.url}
    if storage == "local":
        return ForkedServer(launcher, folder, **settings)
    settings |= {"storage": f"s3://{BUCKET}/starts", "s3_region": REGION}
    return ForkedS3Server(launcher, folder, **settings, s3_endpoint=f"http://127.0.0.1:{free_port()}")


def reads(redis: RedisServer) -> int:
    """Returns how many tickets were read so far."""
    found: dict[str, Any] = redis.client().info("commandstats")
    return int(found.get("cmdstat_hmget", {"calls": 0})["calls"])


@pytest.mark.parametrize("storage", ["s3", "local"])
def test_a_start_with_many_tickets_in_redis_reads_few_of_them(
    tmp_path: Path, launcher: Launcher, redis: RedisServer, app: ScriptedApp, storage: str
) -> None:
    waits = fill(redis, app)
    server = started(launcher, tmp_path / "storage", redis, storage)
    before = reads(redis)
    began_s = time.monotonic()
    with server:
        took_s = time.monotonic() - began_s
        had_s, _ = cpu_s(server.pid)
        [told] = app.wait_for(1)
        count = reads(redis) - before
    assert told.id == waits
    print(f"\n{storage}: a start with {TICKETS} tickets in Redis took {took_s:.2f} s")
    print(f"it took {had_s:.2f} s of CPU time, and read {count} tickets")
    paused = TICKETS // len(AT_REST) if storage == "local" else 0  # space is reserved for the rest of each
    # Each of those is read four times by the start and the first sweep, which may not be over yet.
    assert count <= 4 * paused + MAX_READS
    what = f"a start with {TICKETS:,} tickets in Redis"
    tally("fault", what, 1, "it read only the tickets that needed work")
