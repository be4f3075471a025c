"""Tickets that several processes share: races, lost answers, kills of Redis, and what a sweep costs."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final
from uuid import UUID

import gevent
import pytest
from msgspec.structs import replace

from incoming.core.checkpoints import Checkpoint
from incoming.core.due import DELETION_LEFT_S
from incoming.core.errors import StorageFailed, StorageFull, TakenOver, UnknownTicket
from incoming.core.lifecycle import Cancel, Claim, Complete, Expire, Post, Record, Release, State
from incoming.core.redis_keys import ticket_key
from incoming.core.stats import Counters
from incoming.core.ticket import IllegalTransition, Ticket
from incoming.registry.redis import registry as registry_module
from incoming.registry.redis.registry import RedisRegistry
from tests.registry.contract.registry import APP, SETTINGS
from tests.registry.redis.conftest import NewProcess, Process
from tests.support.cpu_waits import Stopwatch
from tests.support.redis_server import RedisServer, wait_for_greenlets
from tests.support.relay import Relay
from tests.support.waiting import AT_ONCE_S

ID: Final = "2b1c5a06-3c5d-4a57-9f43-0d1f9a3f7c11"
TICKET: Final = Ticket(ID, APP)
CLAIM: Final = Claim(100, "holiday.mov", token="a token")


def new_id(number: int) -> str:
    """Returns an id for each number."""
    return str(UUID(int=number, version=4))


@pytest.fixture
def relay(redis_server: RedisServer) -> Iterator[Relay]:
    """A connection to Redis that loses answers."""
    with Relay(redis_server.port) as relay:
        yield relay


@pytest.fixture
def behind_the_relay(relay: Relay, new_process: NewProcess) -> Iterator[Process]:
    """A process that reaches Redis through the relay."""
    process = Process(f"redis://127.0.0.1:{relay.port}", "behind a relay")
    yield process
    process.close()


# --- several processes ---------------------------------------------------------------------------------


def test_each_change_of_two_processes_is_applied_once(new_process: NewProcess) -> None:
    processes = [new_process("one"), new_process("other")]
    processes[0].registry.add(TICKET)

    def claim_often(process: Process) -> None:
        for _ in range(50):
            process.registry.change(ID, CLAIM)

    gevent.joinall([gevent.spawn(claim_often, process) for process in processes * 3], raise_error=True)
    for process in processes:
        assert process.registry.get(ID).epoch == 300
        assert sum(process.counters.claims.values()) == 150


def test_of_two_processes_one_ends_an_upload_and_the_other_is_refused(new_process: NewProcess) -> None:
    processes = [new_process("one"), new_process("other")]
    ids = [new_id(number) for number in range(50)]
    refused: list[str] = []
    for ticket_id in ids:
        processes[0].registry.add(replace(TICKET, id=ticket_id))

    def end_all(process: Process, event: Cancel | Expire) -> None:
        for ticket_id in ids:
            try:
                process.registry.change(ticket_id, event)
            except IllegalTransition:
                refused.append(ticket_id)

    events = (Cancel("by the user"), Expire("idle"))
    greenlets = [gevent.spawn(end_all, *pair) for pair in zip(processes, events, strict=True)]
    gevent.joinall(greenlets, raise_error=True)
    assert sorted(refused) == sorted(ids)
    ended = sum((process.counters.ended for process in processes), start=type(processes[0].counters.ended)())
    assert sum(ended.values()) == len(ids)
    assert processes[0].registry.unfinished(TICKET.app) == 0


def test_a_change_in_one_process_is_refused_when_another_one_has_claimed_meanwhile(
    new_process: NewProcess,
) -> None:
    one, other = new_process("one"), new_process("other")
    one.registry.add(TICKET)
    one.registry.change(ID, CLAIM)
    other.registry.change(ID, dataclasses.replace(CLAIM, token="another token"))
    for event in (Complete(7), Release(), Record(Checkpoint(3, 4), "boot")):
        with pytest.raises(TakenOver):
            one.registry.change(ID, event, "a token")
    assert other.registry.change(ID, Complete(7), "another token").state is State.HANDING_OVER


def test_the_fence_holds_after_a_failover_that_forgot_a_claim(
    tmp_path: Path, redis_server: RedisServer, new_process: NewProcess
) -> None:
    primary = new_process("one")
    primary.registry.add(TICKET)
    with RedisServer(tmp_path / "replica", f"replicaof 127.0.0.1 {redis_server.port}") as replica:
        client = replica.client()
        wait_for_greenlets(lambda: ID in str(client.keys()), "the replica has the ticket")
        client.replicaof("NO", "ONE")  # it hears nothing of the claim, and becomes the primary
        forgotten = primary.registry.change(ID, CLAIM)
        survivor = Process(replica.url, "one")
        claimed = survivor.registry.change(ID, dataclasses.replace(CLAIM, token="another token"))
        assert claimed.epoch == forgotten.epoch, "a counter alone would let both claims in"
        with pytest.raises(TakenOver):
            survivor.registry.change(ID, Complete(7), forgotten.token)
        survivor.close()


# --- what a process remembers ------------------------------------------------------------------------------


def test_a_change_of_a_ticket_that_was_just_read_or_changed_here_is_one_call(
    new_process: NewProcess, redis_server: RedisServer
) -> None:
    one, other = new_process("one"), new_process("other")
    one.registry.add(TICKET)
    other.registry.get(ID)
    client = redis_server.client()
    client.config_resetstat()
    other.registry.change(ID, CLAIM)
    other.registry.change(ID, Record(Checkpoint(3, 4), "boot"), "a token")
    other.registry.change(ID, Release(), "a token")
    calls = client.info("commandstats")
    assert calls["cmdstat_evalsha"]["calls"] == 3
    assert "cmdstat_hget" not in calls
    assert calls["cmdstat_hmget"]["calls"] == 3, "by the script itself"


@pytest.mark.parametrize("meanwhile", [CLAIM, dataclasses.replace(CLAIM, token="another token")])
def test_a_change_counts_from_what_another_process_has_made_of_the_ticket(
    new_process: NewProcess, meanwhile: Claim
) -> None:
    """What is remembered may forbid it (another token), or allow it (the same one): it never decides."""
    one, other = new_process("one"), new_process("other")
    one.registry.add(TICKET)
    one.registry.change(ID, CLAIM)
    other.registry.change(ID, meanwhile)
    other.registry.change(ID, Record(Checkpoint(3, 4), "boot"), meanwhile.token)
    changed = one.registry.change(ID, Release(), meanwhile.token)
    assert (changed.epoch, changed.checkpoints) == (2, ((3, 4),))
    assert changed == other.registry.get(ID)


def test_a_ticket_that_another_process_has_forgotten_is_unknown_here_as_well(new_process: NewProcess) -> None:
    one, other = new_process("one"), new_process("other")
    one.registry.add(TICKET)
    one.registry.change(ID, CLAIM)
    other.registry.forget(ID)
    with pytest.raises(UnknownTicket):
        one.registry.change(ID, Complete(7), CLAIM.token)


def test_a_change_that_redis_has_lost_is_not_taken_for_the_one_that_came_instead(
    new_process: NewProcess, redis_server: RedisServer
) -> None:
    """Both have made the second version of the ticket. So the number alone would not tell them apart."""
    one, other = new_process("one"), new_process("other")
    one.registry.add(TICKET)
    client = redis_server.client()
    before = client.dump(ticket_key(ID))
    one.registry.change(ID, CLAIM)
    client.restore(ticket_key(ID), 0, before, replace=True)
    other.registry.change(ID, dataclasses.replace(CLAIM, name="other.mov", token="another token"))
    with pytest.raises(TakenOver):
        one.registry.change(ID, Complete(7), CLAIM.token)
    assert one.registry.change(ID, Complete(7), "another token").name == "other.mov"


def test_a_process_remembers_so_many_tickets_and_no_more(
    new_process: NewProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(registry_module, "MAX_REMEMBERED", 3)
    registry = new_process("one").registry
    ids = [new_id(number) for number in range(5)]
    for ticket_id in ids:
        registry.add(replace(TICKET, id=ticket_id))
        registry.get(ticket_id)
    registry.change(ids[2], CLAIM)
    assert list(registry._remembered) == [ids[3], ids[4], ids[2]]
    registry.forget(ids[4])
    assert list(registry._remembered) == [ids[3], ids[2]]


# --- answers that are lost -------------------------------------------------------------------------------


@pytest.mark.parametrize("times", [1, 2])
def test_a_change_whose_answer_was_lost_is_applied_once(
    behind_the_relay: Process, relay: Relay, times: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    registry = behind_the_relay.registry
    registry.add(TICKET)
    registry.change(ID, CLAIM)
    replace = registry._replace

    def losing_the_answer(*args: Any) -> bool:
        relay.answers_to_lose = times
        return replace(*args)

    monkeypatch.setattr(registry, "_replace", losing_the_answer)
    if times == 1:
        assert registry.change(ID, CLAIM).epoch == 2
    else:
        with pytest.raises(StorageFailed):
            registry.change(ID, CLAIM)
    assert registry.get(ID).epoch == 2


def test_a_ticket_is_added_once_though_the_answer_was_lost(behind_the_relay: Process, relay: Relay) -> None:
    behind_the_relay.registry.add(replace(TICKET, id=new_id(1)))  # Redis knows the script now
    relay.answers_to_lose = 1
    behind_the_relay.registry.add(TICKET)
    assert behind_the_relay.registry.get(ID) == TICKET
    assert behind_the_relay.counters.issued == 2
    assert behind_the_relay.registry.unfinished(TICKET.app) == 2


def test_an_id_that_is_in_use_is_not_given_to_another_ticket(new_process: NewProcess) -> None:
    registry = new_process("one").registry
    registry.add(TICKET)
    with pytest.raises(StorageFailed):
        registry.add(replace(TICKET, secret="another one"))
    assert registry.get(ID) == TICKET


# --- what a kill leaves ----------------------------------------------------------------------------------


def test_a_kill_of_redis_loses_no_change_that_was_acknowledged(tmp_path: Path) -> None:
    acknowledged: dict[str, int] = {}

    def claim_without_end(process: Process, ticket_id: str) -> None:
        with gevent.Timeout(30):
            while True:
                try:
                    acknowledged[ticket_id] = process.registry.change(ticket_id, CLAIM).epoch
                except StorageFailed:
                    return

    with RedisServer(tmp_path / "redis") as server:
        process = Process(server.url, "one")
        tickets = [replace(TICKET, id=new_id(number)) for number in range(8)]
        for _ in range(3):
            for ticket in tickets:
                process.registry.forget(ticket.id)
                process.registry.add(ticket)
            greenlets = [gevent.spawn(claim_without_end, process, ticket.id) for ticket in tickets]
            wait_for_greenlets(
                lambda: len(acknowledged) == len(tickets) and min(acknowledged.values()) > 3,
                "each ticket was changed several times",
            )
            server.kill()
            gevent.joinall(greenlets, raise_error=True)
            server.start()
            for ticket in tickets:
                assert process.registry.get(ticket.id).epoch - acknowledged[ticket.id] in (0, 1)
            acknowledged.clear()
        process.close()


def test_who_has_claimed_and_what_was_called_outlives_every_process(new_process: NewProcess) -> None:
    before = new_process("one")
    for number in (1, 2):
        before.registry.add(replace(TICKET, id=new_id(number)))
        before.registry.change(new_id(number), CLAIM)
    before.registry.change(new_id(2), Complete(7))
    before.registry.change(new_id(2), Post())
    after = new_process("other")
    uploading, called = after.registry.get(new_id(1)), after.registry.get(new_id(2))
    assert (uploading.state, uploading.token, uploading.epoch) == (State.UPLOADING, CLAIM.token, 1)
    assert (called.state, called.deliveries) == (State.HANDING_OVER, 1)
    after.registry.persist_recovered()
    assert after.registry.get(new_id(1)) == uploading


# --- an outage -------------------------------------------------------------------------------------------


def test_without_redis_every_call_fails_at_once_and_works_again_afterwards(tmp_path: Path) -> None:
    with RedisServer(tmp_path / "redis") as server:
        process = Process(server.url, "one")
        registry, leases = process.registry, process.leases
        registry.add(TICKET)
        calls: list[Callable[[], object]] = [
            lambda: registry.get(ID), lambda: registry.change(ID, CLAIM), registry.check,
            lambda: registry.add(replace(TICKET, id=new_id(1))),
            lambda: registry.forget(new_id(1)), lambda: list(registry.tickets()),
            lambda: list(registry.due(0.0)), lambda: registry.unfinished("a"),
            lambda: leases.take(ID, "a"), lambda: leases.acquire("work", "a", 1.0, 0.0),
            lambda: leases.renew(ID, "a", 1.0), lambda: leases.release(ID, "a"), lambda: leases.holder(ID),
            lambda: leases.expired(1.0), process.instances.beat, process.instances.living,
        ]  # fmt: skip
        server.kill()
        began_s = time.monotonic()
        for call in calls:
            with pytest.raises(StorageFailed) as failed:
                call()
            assert failed.value.__cause__
        assert time.monotonic() - began_s < AT_ONCE_S, "not after the limit of each call"
        assert process.connection.is_away
        server.start()
        for call in calls:
            call()
        assert not process.connection.is_away
        process.close()


def test_a_redis_that_does_not_answer_takes_no_longer_than_its_limit(
    redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("incoming.runtime.redis_connection.ANSWER_LIMIT_S", 0.3)
    monkeypatch.setattr("incoming.runtime.redis_connection.CALL_LIMIT_S", 0.6)
    process = Process(redis_server.url, "one")
    process.registry.add(TICKET)
    failed: list[float] = []

    def ask() -> None:
        stopwatch = Stopwatch()
        with pytest.raises(StorageFailed):
            process.registry.get(ID)
        failed.append(stopwatch.worked_s())

    redis_server.freeze()
    try:
        gevent.joinall([gevent.spawn(ask) for _ in range(100)], raise_error=True)  # more than connections
    finally:
        redis_server.thaw()
    assert max(failed) < 1.5
    assert process.registry.get(ID) == TICKET
    process.close()


def test_an_outage_is_logged_once_and_so_is_its_end(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    with RedisServer(tmp_path / "redis") as server:
        process = Process(server.url, "one")
        server.kill()
        for _ in range(3):
            with pytest.raises(StorageFailed):
                process.registry.get(ID)
        server.start()
        for _ in range(3):
            with pytest.raises(UnknownTicket):
                process.registry.get(ID)
        process.close()
    lines = [record.getMessage() for record in caplog.records if "Redis" in record.getMessage()]
    assert [line.split(")")[1].split(":")[0].strip() for line in lines] == ["failed", "answers again"]
    assert process.connection.failures.total() == 3


def test_a_redis_without_memory_is_full_and_has_room_again_later(tmp_path: Path) -> None:
    with RedisServer(tmp_path / "redis") as server:
        process = Process(server.url, "one")
        process.registry.add(TICKET)
        server.client().config_set("maxmemory", "1")
        with pytest.raises(StorageFull):
            process.registry.check()
        with pytest.raises(StorageFull):
            process.registry.change(ID, CLAIM)
        assert process.registry.get(ID) == TICKET
        process.registry.forget(ID)
        server.client().config_set("maxmemory", "0")
        process.registry.check()
        process.close()


# --- what is due -------------------------------------------------------------------------------------------


def calls_of_redis(server: RedisServer) -> dict[str, int]:
    """Returns how often Redis has run each command, scripts' own commands included."""
    stats = server.client().info("commandstats")
    return {name.removeprefix("cmdstat_"): facts["calls"] for name, facts in stats.items()}


def test_a_sweep_of_3000_tickets_reads_those_that_are_due_and_no_other(
    redis_server: RedisServer, new_process: NewProcess
) -> None:
    process = new_process("one")
    registry = process.registry
    ids = [new_id(number) for number in range(3000)]
    for ticket_id in ids:
        registry.add(replace(TICKET, id=ticket_id, changed_at_s=1000.0))
    for ticket_id in ids[:300]:
        registry.change(ticket_id, Claim(100, "a", token=ticket_id))
        process.leases.take(ticket_id, ticket_id)
    for ticket_id in (*ids[:2], *ids[2990:]):
        registry.change(ticket_id, Cancel("no more", by_app=True))
    before = calls_of_redis(redis_server)
    assert list(registry.due(20.0)) == []
    assert sorted(ticket.id for ticket in registry.due(1099.0)) == sorted([*ids[:2], *ids[2990:]])
    calls = {name: count - before.get(name, 0) for name, count in calls_of_redis(redis_server).items()}
    assert calls["hmget"] == 12, "of each ticket that is due"
    assert calls["evalsha"] + calls.get("eval", 0) < 15


def test_an_upload_is_due_when_no_living_process_holds_it(new_process: NewProcess) -> None:
    one, other = new_process("one"), new_process("other")
    one.registry.add(TICKET)
    one.registry.change(ID, CLAIM)
    one.leases.take(ID, CLAIM.token)
    assert [list(process.registry.due(0.0)) for process in (one, other)] == [[], []]
    one.instances.leave()
    assert [ticket.id for ticket in other.registry.due(0.0)] == [ID]
    other.leases.take(ID, "another token")
    assert list(other.registry.due(0.0)) == []


def test_a_delivery_is_due_when_nobody_makes_it(new_process: NewProcess) -> None:
    one, other = new_process("one"), new_process("other")
    one.registry.add(TICKET)
    one.registry.change(ID, CLAIM)
    one.registry.change(ID, Complete(7))
    one.leases.take(ID, CLAIM.token)  # a client waits for the result
    assert [ticket.id for ticket in other.registry.due(0.0)] == [ID]
    assert one.leases.acquire(f"deliver/{ID}", "a call", 30.0, now_s=0.0)
    assert list(other.registry.due(29.9)) == []
    assert [ticket.id for ticket in other.registry.due(30.0)] == [ID]


def ended(process: Process, ticket_id: str = ID) -> None:
    """An upload ends that has left something, at the time 0 of the service."""
    process.registry.add(replace(TICKET, id=ticket_id))
    process.registry.change(ticket_id, Cancel("no more", by_app=True, to_delete=True))


def test_files_that_are_left_are_due_when_nobody_deletes_them(new_process: NewProcess) -> None:
    one, other = new_process("one"), new_process("other")
    ended(one)
    since_s = one.registry.get(ID).changed_at_s + DELETION_LEFT_S + 1
    assert one.leases.acquire(f"delete/{ID}", "a deletion", since_s + 30.0, now_s=since_s)
    assert list(other.registry.due(since_s + 29.9)) == []
    assert [ticket.id for ticket in other.registry.due(since_s + 30.1)] == [ID]
    one.instances.leave()
    assert [ticket.id for ticket in other.registry.due(since_s)] == [ID]


def test_files_that_are_left_are_due_also_while_the_app_is_called(new_process: NewProcess) -> None:
    process = new_process("one")
    process.registry.add(TICKET)
    process.registry.change(ID, Cancel("no more", to_delete=True))
    assert process.leases.acquire(f"deliver/{ID}", "a call", 1e9, now_s=0.0)
    since_s = process.registry.get(ID).changed_at_s + DELETION_LEFT_S
    assert list(process.registry.due(since_s)) == []
    assert [ticket.id for ticket in process.registry.due(since_s + 1)] == [ID]


def test_a_process_of_an_older_version_does_not_lose_that_files_are_left(
    redis_server: RedisServer, new_process: NewProcess
) -> None:
    process, redis = new_process("one"), redis_server.client()
    ended(process)
    about = redis.hget(ticket_key(ID), "json")
    assert about and '"to_delete":true' in about
    redis.hset(ticket_key(ID), "json", about.replace('"to_delete":true', '"to_delete":false'))
    assert process.registry.get(ID).to_delete
    redis.delete(ticket_key(ID))  # that version forgets it, and knows no such index
    assert list(process.registry.due(1e9)) == []
    assert not redis.exists("incoming:to-delete")


def test_other_times_in_the_settings_count_at_once(new_process: NewProcess) -> None:
    process = new_process("one")
    process.registry.add(TICKET)
    shorter = dataclasses.replace(SETTINGS, idle_timeout_s=10.0)
    other = RedisRegistry(process.connection, process.runtime, process.clock, Counters(), shorter)
    assert list(process.registry.due(50.0)) == []
    assert [ticket.id for ticket in other.due(50.0)] == [ID]


@pytest.mark.parametrize("changed_at_s", [1000.0, None])
def test_all_that_is_due_is_found_page_by_page(
    new_process: NewProcess, monkeypatch: pytest.MonkeyPatch, changed_at_s: float | None
) -> None:
    monkeypatch.setattr("incoming.registry.redis.registry.PAGE", 7)
    registry = new_process("one").registry
    ids = [new_id(number) for number in range(50)]
    for number, ticket_id in enumerate(ids):
        registry.add(replace(TICKET, id=ticket_id, changed_at_s=changed_at_s or number % 3 / 7))
    for ticket_id in ids[:30]:
        registry.change(ticket_id, CLAIM)
    assert sorted(ticket.id for ticket in registry.tickets()) == ids
    assert sorted(ticket.id for ticket in registry.due(2000.0)) == ids


def test_a_damaged_ticket_harms_no_other(
    redis_server: RedisServer, new_process: NewProcess, caplog: pytest.LogCaptureFixture
) -> None:
    registry = new_process("one").registry
    registry.add(TICKET)
    registry.add(replace(TICKET, id=new_id(1)))
    redis_server.client().hset(ticket_key(ID), "json", "rubbish")
    for _ in range(2):
        with pytest.raises(StorageFailed):
            registry.get(ID)
    assert [ticket.id for ticket in registry.tickets()] == [new_id(1)]
    assert [ticket.id for ticket in registry.due(1e9)] == [new_id(1)]
    assert f"ticket {ID[:8]} is damaged" in caplog.text


def test_a_forgotten_ticket_leaves_nothing_in_redis(
    redis_server: RedisServer, new_process: NewProcess
) -> None:
    registry = new_process("one").registry
    before = set(redis_server.client().keys())
    registry.add(TICKET)
    registry.change(ID, CLAIM)
    redis_server.client().set(f"incoming:{{{ID}}}:m", "a manifest")
    registry.change(ID, Cancel("no more", to_delete=True))
    registry.forget(ID)
    assert set(redis_server.client().keys()) == before
