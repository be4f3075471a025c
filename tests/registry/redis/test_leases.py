"""Leases of several processes: what a dead one held is free, what a living one holds never is."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import gevent
import pytest

from incoming.core.errors import StorageFailed
from incoming.registry.redis import scripts
from incoming.registry.redis.instances import LIFE_S, this_instance
from tests.registry.redis.conftest import NewProcess, Process
from tests.support.redis_server import RedisServer
from tests.support.relay import Relay

ID: Final = "an upload"
OTHER: Final = "another one"
WORK: Final = "deliver/an upload"

Pass = Callable[[float], None]


@pytest.fixture
def pass_time(redis_server: RedisServer) -> Pass:
    """Lets the service's time pass, as instances that tick do."""

    def pass_time(duration_s: float) -> None:
        redis_server.client().hincrby(scripts.CLOCK, "ran_us", round(duration_s * 1_000_000))

    return pass_time


def test_what_a_dead_instance_held_is_free_once_its_life_is_over(
    new_process: NewProcess, pass_time: Pass
) -> None:
    dead, other = new_process("dead"), new_process("other")
    dead.leases.take(ID, "first")
    dead.leases.take(OTHER, "second", 1e9)
    assert dead.leases.acquire(WORK, "third", 1e9, now_s=0.0)
    pass_time(LIFE_S - 0.5)
    other.instances.beat()
    assert other.leases.holder(ID) == "first"
    assert dict(other.leases.expired(1e6)) == {}
    assert not other.leases.acquire(WORK, "fourth", 1e9, now_s=0.0)
    pass_time(0.5)
    assert other.leases.holder(ID) is None
    assert not other.leases.renew(OTHER, "second", 2e9)
    for _ in range(2):
        assert dict(other.leases.expired(1e6)) == {ID: "first", OTHER: "second"}
    assert other.leases.holder(WORK) is None
    assert other.leases.acquire(WORK, "fourth", 1e9, now_s=0.0)
    assert other.leases.take(ID, "fifth") is None
    assert other.leases.release(OTHER, "second", expired_at_s=0.0)
    assert dict(other.leases.expired(1e6)) == {}


def test_what_a_living_instance_holds_is_never_free(new_process: NewProcess, pass_time: Pass) -> None:
    living, other = new_process("living"), new_process("other")
    living.leases.take(ID, "first")
    for _ in range(20):
        pass_time(LIFE_S - 1.0)
        for process in (living, other):
            process.instances.beat()
        assert other.leases.holder(ID) == "first"
        assert dict(other.leases.expired(1e12)) == {}
        assert not other.leases.release(ID, "first", expired_at_s=1e12)
    assert other.leases.take(ID, "second") == "first"


def test_an_instance_that_slept_has_what_nobody_took_meanwhile(
    new_process: NewProcess, pass_time: Pass
) -> None:
    sleeper, other = new_process("sleeper"), new_process("other")
    sleeper.leases.take(ID, "first")
    sleeper.leases.take(OTHER, "second")
    pass_time(LIFE_S)
    other.instances.beat()
    other.leases.take(ID, "third")
    assert other.leases.holder(OTHER) is None
    sleeper.instances.beat()
    assert sleeper.leases.holder(ID) == "third"
    assert not sleeper.leases.release(ID, "first")
    assert other.leases.holder(OTHER) == "second"


def test_an_instance_that_leaves_holds_nothing_any_more(new_process: NewProcess) -> None:
    leaving, other = new_process("leaving"), new_process("other")
    leaving.leases.take(ID, "first")
    assert leaving.leases.acquire(WORK, "second", 1e9, now_s=0.0)
    assert [instance.name for instance in other.instances.living()] == ["leaving", "other"]
    leaving.instances.leave()
    assert [instance.name for instance in other.instances.living()] == ["other"]
    assert other.leases.holder(ID) is None
    assert other.leases.acquire(WORK, "third", 1e9, now_s=0.0)
    assert dict(other.leases.expired(0.0)) == {ID: "first"}


def test_the_next_process_of_the_same_name_is_another_instance(
    redis_server: RedisServer, new_process: NewProcess, pass_time: Pass
) -> None:
    before, after = this_instance("web 1\n"), this_instance("web 1\n")
    assert before.name == after.name == "web 1\n"
    assert before.id != after.id
    assert before.id.startswith("web-1-")
    dead, living = new_process(before.id), new_process(after.id)
    dead.leases.take(ID, "first")
    pass_time(LIFE_S)
    living.instances.beat()
    assert living.leases.holder(ID) is None
    assert dict(living.leases.expired(0.0)) == {ID: "first"}


def test_which_instance_holds_an_upload_is_known_to_all(new_process: NewProcess) -> None:
    one, other = new_process("one"), new_process("other")
    one.leases.take(ID, "first")
    other.leases.take(OTHER, "second", 9.0)
    assert one.leases.instances_of([ID, "a third one", OTHER]) == ["one", None, "other"]
    assert one.leases.instances_of([]) == []


def test_nothing_is_left_of_an_instance_that_died(
    redis_server: RedisServer, new_process: NewProcess, pass_time: Pass
) -> None:
    other = new_process("other")
    other.leases.take(OTHER, "third")
    before = set(redis_server.client().keys())
    dead = new_process("dead")
    dead.leases.take(ID, "first")
    assert dead.leases.acquire(WORK, "second", 1e9, now_s=0.0)
    pass_time(LIFE_S)
    other.instances.beat()
    for ticket_id, token in other.leases.expired(0.0):
        other.leases.release(ticket_id, token, expired_at_s=0.0)
    assert dict(other.leases.expired(0.0)) == {}
    assert set(redis_server.client().keys()) == before


def test_an_outage_of_redis_ends_no_lease(redis_server: RedisServer, new_process: NewProcess) -> None:
    """All instances missed their beats, since the clock stood still as well."""
    one, other = new_process("one"), new_process("other")
    one.leases.take(ID, "first")
    hour_ago_us = redis_server.client().time()[0] * 1_000_000 - 3_600_000_000
    redis_server.client().hset(scripts.CLOCK, "at_us", hour_ago_us)
    other.clock.tick()
    other.instances.beat()
    assert other.leases.holder(ID) == "first"
    assert dict(other.leases.expired(1e12)) == {}


def test_a_delivery_is_made_by_one_of_many(new_process: NewProcess) -> None:
    processes = [new_process(f"number {number}") for number in range(4)]
    makers: list[tuple[int, str]] = []

    def try_all(process: Process, token: str) -> None:
        for number in range(50):
            if process.leases.acquire(f"deliver/{number}", token, 30.0, now_s=0.0):
                makers.append((number, token))

    greenlets = [gevent.spawn(try_all, process, str(process)) for process in processes]
    gevent.joinall(greenlets, raise_error=True)
    assert sorted(number for number, _ in makers) == list(range(50))


def test_of_two_claims_at_once_each_knows_whom_it_took_the_upload_from(new_process: NewProcess) -> None:
    processes = [new_process("one"), new_process("other")]
    before: list[str | None] = []

    def take_often(process: Process, prefix: str) -> None:
        for number in range(50):
            before.append(process.leases.take(ID, f"{prefix} {number}"))

    gevent.joinall(
        [gevent.spawn(take_often, process, str(process)) for process in processes], raise_error=True
    )
    assert len(before) == len({*before}) == 100, "none twice"
    assert before.count(None) == 1


def test_a_release_whose_answer_was_lost_is_told_as_one(
    redis_server: RedisServer, new_process: NewProcess
) -> None:
    new_process("other")
    with Relay(redis_server.port) as relay:
        process = Process(f"redis://127.0.0.1:{relay.port}", "one")
        for ticket_id in (OTHER, ID):
            process.leases.take(ticket_id, "first")
        assert process.leases.release(OTHER, "first")
        relay.answers_to_lose = 1
        assert process.leases.release(ID, "first")
        relay.answers_to_lose = 1
        assert process.leases.take(ID, "second") is None
        relay.answers_to_lose = 1
        assert process.leases.acquire(WORK, "third", 1.0, now_s=0.0)
        relay.answers_to_lose = 2
        with pytest.raises(StorageFailed):
            process.leases.holder(ID)
        assert process.leases.holder(ID) == "second"
        process.close()


def test_the_facts_of_an_instance_are_known_to_the_others(
    redis_server: RedisServer, new_process: NewProcess
) -> None:
    one, other = new_process("one"), new_process("other")
    assert other.instances.living() == [one.instances.own, other.instances.own]
    redis_server.client().set(f"{scripts.INSTANCE}one", '{"a later version": 1}')
    assert [instance.name for instance in other.instances.living()] == ["one", "other"]


def test_instances_tell_each_other_where_many_connections_come_from(new_process: NewProcess) -> None:
    one, other = new_process("one").instances, new_process("other").instances
    asked: list[int] = []

    def count(processes: int) -> dict[str, int]:
        asked.append(processes)
        return {"203.0.113.5": 7}

    one.count_sources = count
    one.beat()
    other.known = other.living()
    assert other.connections_elsewhere("203.0.113.5") == 7
    assert other.connections_elsewhere("203.0.113.6") == 0
    one.known = one.living()
    assert one.connections_elsewhere("203.0.113.5") == 0, "its own"
    one.beat()
    assert asked == [1, 2]
    one.leave()
    other.known = other.living()
    assert other.connections_elsewhere("203.0.113.5") == 0
