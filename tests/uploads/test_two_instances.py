"""Two instances with the same tickets, leases, news and store: what one does, the other respects."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import gevent
import pytest

from incoming.core.due import DELETION_LEFT_S
from incoming.core.errors import (
    IncomingError,
    StorageFailed,
    TakenOver,
    UnknownTicket,
    UploadCancelled,
    WrongFile,
)
from incoming.core.lifecycle import ENDED, Claim, State
from incoming.core.news import CalledOff, Durable, HandedOver, Interrupted, News
from incoming.core.redis_keys import ticket_key
from incoming.handover.answers import Answer, Done, NoAnswer, Refused, WillFinish
from incoming.http_uploads.answers import STATUSES
from incoming.http_uploads.transfer import LEASE_S
from incoming.http_uploads.transfers import Transfers
from incoming.runtime.buffer_pool import BufferPool
from incoming.uploads.deletion import QUIET_AFTER_S
from incoming.uploads.housekeeping import recover, sweep
from incoming.uploads.overview import Overview
from incoming.uploads.service import SWEEP
from tests.support.fakes import FakeAnswer
from tests.support.instances import Crash, Instance, RedisWorld, World
from tests.support.redis_server import RedisServer
from tests.support.slow_storage import SlowStorage, StoredFile
from tests.support.uploads import TIMES, Client, new_claim

CONTENT = bytes(range(256)) * 20
LENGTH_BYTES = len(CONTENT)


@pytest.fixture(scope="module")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with RedisServer(tmp_path_factory.mktemp("redis") / "data") as redis:
        yield redis


MakeWorld = Callable[..., World]


@pytest.fixture(params=["memory", "redis"])
def make_world(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[MakeWorld]:
    """Makes what the instances of a test share: tickets and leases in memory, or in a Redis."""
    with ExitStack() as stack:

        def make(*answers: FakeAnswer, **settings: Any) -> World:
            if request.param == "memory":
                return World(tmp_path, *answers, **settings)
            world = RedisWorld(tmp_path, request.getfixturevalue("redis"), *answers, **settings)
            stack.callback(world.close)
            return world

        yield make


in_memory = pytest.mark.parametrize("make_world", ["memory"], indirect=True)
"""For tests that break the leases which all instances have."""


@pytest.fixture
def world(make_world: MakeWorld) -> World:
    return make_world()


@pytest.fixture
def first(world: World) -> Instance:
    return Instance(world)


@pytest.fixture
def second(world: World) -> Instance:
    return Instance(world)


def write(instance: Instance, client: Client, content: bytes, flush: bool = True) -> None:
    instance.uploads.write(client.claim, memoryview(content))
    if flush:
        instance.uploads.flush(client.claim)


def write_rest(instance: Instance, client: Client) -> None:
    write(instance, client, CONTENT[client.claim.taken_bytes :])
    instance.uploads.complete(client.claim)
    instance.runtime.settle()


def endings(client: Client) -> list[News]:
    """Returns what a client has heard, without acknowledgements."""
    return [news for news in client.news if not isinstance(news, Durable)]


def in_progress(instance: Instance, stored: bytes = CONTENT[:3000]) -> tuple[str, Client]:
    client = instance.claim(ticket_id := instance.new_ticket(), LENGTH_BYTES)
    write(instance, client, stored)
    return ticket_id, client


def forms(*instances: Instance) -> list[dict[str, str]]:
    return [form for instance in instances for form in instance.app.forms]


# --- takeover ------------------------------------------------------------------------------------------


def test_an_upload_resumes_at_the_other_instance_at_what_is_durable(
    world: World, first: Instance, second: Instance
) -> None:
    ticket_id, old = in_progress(first)
    write(first, old, CONTENT[3000:3100], flush=False)
    new = second.claim(ticket_id, LENGTH_BYTES)
    assert new.claim.offset_bytes == 3000, "the other hundred bytes are in the memory of the first one"
    write_rest(second, new)
    assert second.state(ticket_id) is State.FINISHED
    assert int(forms(first, second)[0]["crc32c"], 16) == second.ticket(ticket_id).crc32c
    assert [type(news) for news in endings(old)] == [Interrupted]
    first.uploads.release(old.claim)
    second.uploads.release(new.claim)
    assert first.uploads.claims.count() == second.uploads.claims.count() == 0


def test_another_file_at_the_other_instance_tells_an_upload_of_unknown_length_nothing(
    world: World, first: Instance, second: Instance
) -> None:
    client, ticket_id = Client(), first.new_ticket()
    client.claim = first.uploads.claim(ticket_id, new_claim(None), client.listener)
    write(first, client, CONTENT[:3000])
    wrong, said = Client(), new_claim(LENGTH_BYTES - 1, proves=True)
    wrong.claim = second.uploads.claim(ticket_id, said, wrong.listener)
    with pytest.raises(WrongFile):
        second.uploads.check_same(wrong.claim, tuple(1 for _ in wrong.claim.compare))
    assert first.ticket(ticket_id).length_bytes is None
    right = first.claim(ticket_id, LENGTH_BYTES)
    write_rest(first, right)
    assert second.state(ticket_id) is State.FINISHED


@pytest.mark.parametrize("is_deaf", [False, True])
def test_a_claim_that_was_taken_over_elsewhere_stores_nothing_more(
    world: World, first: Instance, second: Instance, is_deaf: bool
) -> None:
    ticket_id, zombie = in_progress(first)
    first.is_deaf = is_deaf
    new = second.claim(ticket_id, LENGTH_BYTES)
    world.runtime.settle()
    with pytest.raises(TakenOver):
        write(first, zombie, b"?" * 2000)
    write(second, new, CONTENT[3000:4000])
    assert world.store.contents()[ticket_id] == CONTENT[:4000]
    for act in (first.uploads.complete, lambda claim: first.uploads.cancel_by_client(claim, "no")):
        with pytest.raises(IncomingError):
            act(zombie.claim)
    first.uploads.release(zombie.claim)
    assert second.state(ticket_id) is State.UPLOADING
    assert second.context.leases.holder(ticket_id) == new.claim.token
    write_rest(second, new)
    assert second.state(ticket_id) is State.FINISHED


def test_what_a_zombie_has_sent_to_the_store_in_vain_ends_its_connection(
    world: World, first: Instance, second: Instance
) -> None:
    """Its subscription may be lost, and its client may wait for acknowledgements only."""
    ticket_id, zombie = in_progress(first)
    first.is_deaf = True
    second.claim(ticket_id, LENGTH_BYTES)
    write(first, zombie, b"?" * 2000, flush=False)
    world.runtime.settle()
    assert [type(news) for news in endings(zombie)] == [Interrupted]
    assert isinstance(zombie.claim.lost, TakenOver)


def test_a_claim_that_was_taken_over_keeps_that_reason_when_the_upload_ends_later(
    world: World, first: Instance, second: Instance
) -> None:
    ticket_id, zombie = in_progress(first)
    second.claim(ticket_id, LENGTH_BYTES)
    world.runtime.settle()
    first.uploads.cancel_by_app(ticket_id, "")
    with pytest.raises(TakenOver):
        first.uploads.cancel_by_client(zombie.claim, "no")


def test_an_upload_may_go_to_and_fro(world: World, first: Instance, second: Instance) -> None:
    ticket_id = first.new_ticket(digest="sha256")
    for number, instance in enumerate((first, second) * 4):
        client = instance.claim(ticket_id, LENGTH_BYTES)
        assert client.claim.offset_bytes == number * 500
        write(instance, client, CONTENT[number * 500 : (number + 1) * 500])
    write_rest(second, client)
    assert second.state(ticket_id) is State.FINISHED


def test_a_look_at_the_instance_that_has_lost_an_upload_sees_what_the_other_has_stored(
    first: Instance, second: Instance
) -> None:
    ticket_id, _ = in_progress(first)
    first.is_deaf = True
    write(second, second.claim(ticket_id, LENGTH_BYTES), CONTENT[3000:4000])
    assert first.uploads.look(ticket_id).offset_bytes == 4000


@pytest.mark.parametrize("store_failed", [False, True])
def test_a_client_that_resumes_elsewhere_hears_of_all_that_its_closing_connection_stores(
    make_world: MakeWorld, store_failed: bool
) -> None:
    world = make_world()
    first, second = Instance(world), Instance(world)
    requests = Transfers(second.uploads, BufferPool(4096, 1 << 20))
    told: list[int] = []
    stored: list[int] = []

    def resume(ticket_id: str) -> None:
        told.append(requests.progress_to_resume(ticket_id).offset_bytes)

    for head_start in range(25):
        ticket_id, old = in_progress(first)
        write(first, old, CONTENT[3000:3100], flush=False)
        if store_failed:
            old.claim.lost = StorageFailed()
        world.runtime.spawn(resume, ticket_id)
        for _ in range(head_start):
            gevent.sleep(0)
        world.runtime.spawn(first.uploads.release, old.claim)
        world.runtime.settle()
        stored.append(len(world.store.contents()[ticket_id]))
    assert told == stored
    assert set(stored) == {3000, 3100}, "the connection is closed before, and after"


def test_clients_of_many_requests_may_meet_another_instance_at_each(
    world: World, first: Instance, second: Instance
) -> None:
    ticket_id, at = first.new_ticket(), 0
    for instance in (first, second, second, first):
        client = Client()
        asked = new_claim(LENGTH_BYTES)
        client.claim = instance.uploads.claim(ticket_id, asked, client.listener, lease_s=LEASE_S)
        assert client.claim.offset_bytes == at
        write(instance, client, CONTENT[at : at + 700])
        at += 700
    world.pass_time(LEASE_S + 1, first, second)
    assert first.state(ticket_id) is State.PAUSED
    assert first.uploads.claims.count() == second.uploads.claims.count() == 0


@in_memory
@pytest.mark.parametrize("failing", ["change", "take"])
def test_a_claim_that_fails_leaves_the_upload_to_the_client_that_had_it(
    world: World, first: Instance, second: Instance, monkeypatch: pytest.MonkeyPatch, failing: str
) -> None:
    ticket_id, client = in_progress(first)

    def fail(*_: object, **__: object) -> Any:
        raise StorageFailed

    target: Any = world.registry if failing == "change" else world.leases
    with monkeypatch.context() as broken, pytest.raises(StorageFailed):
        broken.setattr(target, failing, fail)
        second.claim(ticket_id, LENGTH_BYTES)
    world.runtime.settle()
    assert second.uploads.claims.count() == 0
    if endings(client):  # it was told to come back: its lease had been taken already
        first.uploads.release(client.claim)
        client = first.claim(ticket_id, LENGTH_BYTES)
    write_rest(first, client)
    assert first.state(ticket_id) is State.FINISHED


def test_a_file_that_can_not_be_fenced_is_held_by_nobody(
    world: World, first: Instance, second: Instance, monkeypatch: pytest.MonkeyPatch
) -> None:
    ticket_id, old = in_progress(first)
    files, world.store.files = world.store.files, {}
    with pytest.raises(StorageFailed), monkeypatch.context() as broken:
        broken.setattr("tests.support.slow_storage.SlowWriter.fence", _fail)
        second.claim(ticket_id, LENGTH_BYTES)
    world.store.files = files
    world.runtime.settle()
    first.uploads.release(old.claim)
    world.pass_time(1, first, second)
    assert first.state(ticket_id) is State.PAUSED
    write_rest(second, second.claim(ticket_id, LENGTH_BYTES))
    assert first.state(ticket_id) is State.FINISHED


def _fail(*_: object) -> None:
    raise StorageFailed


@in_memory
def test_no_sweep_takes_an_upload_for_abandoned_that_is_being_claimed(
    world: World, first: Instance, second: Instance, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A sweep of the other instance runs between any two steps of a claim."""
    ticket_id, _ = in_progress(first)
    real_change, real_take = world.registry.change, world.leases.take

    def change(*args: Any, **kwargs: Any) -> Any:
        changed = real_change(*args, **kwargs)
        if isinstance(args[1], Claim):
            sweep(first.uploads)
        return changed

    def take(*args: Any) -> Any:
        taken = real_take(*args)
        sweep(first.uploads)
        return taken

    monkeypatch.setattr(world.registry, "change", change)
    monkeypatch.setattr(world.leases, "take", take)
    new = second.claim(ticket_id, LENGTH_BYTES)
    assert second.state(ticket_id) is State.UPLOADING
    write_rest(second, new)
    assert second.state(ticket_id) is State.FINISHED


@in_memory
def test_no_sweep_takes_an_upload_for_abandoned_whose_closed_connection_still_stores_bytes(
    world: World, first: Instance, second: Instance
) -> None:
    """The last bytes are stored while the other instance sweeps. Then it knows that all are there."""
    ticket_id, client = in_progress(first)
    write(first, client, CONTENT[3000:], flush=False)
    client.claim.lost = StorageFailed()
    world.store.put_s = 5.0
    world.runtime.spawn(first.uploads.release, client.claim)
    world.pass_time(1, second)
    assert second.state(ticket_id) is State.UPLOADING
    world.pass_time(60, second)
    assert second.state(ticket_id) is State.FINISHED
    assert len(forms(first, second)) == 1


# --- an instance that dies -----------------------------------------------------------------------------


def test_uploads_of_a_dead_instance_pause_and_resume_at_another(
    world: World, first: Instance, second: Instance
) -> None:
    ticket_id, client = in_progress(first)
    write(first, client, CONTENT[3000:3500], flush=False)
    first.die()
    world.pass_time(1, second)
    assert second.state(ticket_id) is State.PAUSED
    client = second.claim(ticket_id, LENGTH_BYTES)
    assert client.claim.offset_bytes == 3000
    write_rest(second, client)
    assert second.state(ticket_id) is State.FINISHED


@pytest.mark.parametrize("is_resumed", [False, True])
def test_a_request_of_an_instance_that_was_frozen_ends_for_good_only_if_another_client_came(
    world: World, first: Instance, second: Instance, is_resumed: bool
) -> None:
    ticket_id = first.new_ticket()
    zombie = Client()
    claim = new_claim(LENGTH_BYTES)
    zombie.claim = first.uploads.claim(ticket_id, claim, zombie.listener, lease_s=LEASE_S)
    write(first, zombie, CONTENT[:3000])
    first.is_deaf = True
    with first.frozen():
        world.pass_time(1, second)
        assert second.state(ticket_id) is State.PAUSED
        if is_resumed:
            second.uploads.release(second.claim(ticket_id, LENGTH_BYTES).claim)
    for _ in range(2):  # the same reason again
        with pytest.raises(TakenOver) as lost:
            write(first, zombie, CONTENT[3000:4000])
        assert STATUSES[lost.value.code] == (400 if is_resumed else 503)
    first.uploads.release(zombie.claim)
    assert second.state(ticket_id) is State.PAUSED
    resumed = second.claim(ticket_id, LENGTH_BYTES)
    assert resumed.claim.offset_bytes == 3000
    write_rest(second, resumed)
    assert second.state(ticket_id) is State.FINISHED


@pytest.mark.parametrize("is_resumed", [False, True])
def test_a_request_whose_claim_has_lapsed_ends_for_good_only_if_another_client_came(
    world: World, first: Instance, is_resumed: bool
) -> None:
    ticket_id = first.new_ticket()
    silent = Client()
    silent.claim = first.uploads.claim(ticket_id, new_claim(LENGTH_BYTES), silent.listener, lease_s=LEASE_S)
    write(first, silent, CONTENT[:3000])
    world.pass_time(LEASE_S + 1, first)
    assert first.state(ticket_id) is State.PAUSED
    if is_resumed:
        first.uploads.release(first.claim(ticket_id, LENGTH_BYTES).claim)
    with pytest.raises(TakenOver) as lost:
        write(first, silent, CONTENT[3000:4000])
    assert STATUSES[lost.value.code] == (400 if is_resumed else 503)


@pytest.mark.parametrize("is_resumed", [False, True])
@pytest.mark.parametrize("lease_s", [None, LEASE_S])
def test_a_claim_that_a_failover_has_lost_was_taken_over_only_if_another_client_came(
    tmp_path: Path, redis: RedisServer, lease_s: float | None, is_resumed: bool
) -> None:
    world = RedisWorld(tmp_path, redis)
    first, second = Instance(world), Instance(world)
    ticket_id = first.new_ticket()
    key = ticket_key(ticket_id)
    earlier = first.claim(ticket_id, LENGTH_BYTES)
    write(first, earlier, CONTENT[:3000])
    first.uploads.release(earlier.claim)
    before = redis.client().hgetall(key)
    client = Client()
    client.claim = first.uploads.claim(ticket_id, new_claim(LENGTH_BYTES), client.listener, lease_s=lease_s)
    write(first, client, CONTENT[3000:-1])
    redis.client().delete(key)
    redis.client().hset(key, mapping=before)
    if is_resumed:
        second.claim(ticket_id, LENGTH_BYTES)
    with pytest.raises(TakenOver) as lost:
        write(first, client, CONTENT[-1:])
        first.uploads.complete(client.claim)
    assert STATUSES[lost.value.code] == (400 if is_resumed else 503)
    world.close()


def test_two_instances_that_find_a_whole_upload_complete_it_once(
    world: World, first: Instance, second: Instance, caplog: pytest.LogCaptureFixture
) -> None:
    third = Instance(world)
    client = third.claim(ticket_id := third.new_ticket(digest="sha256"), LENGTH_BYTES)
    write(third, client, CONTENT)
    third.die()
    assert first.uploads.paused.pause_abandoned(first.ticket(ticket_id)).is_whole
    for instance in (first, second):
        instance.uploads.retry_queue.add(ticket_id, 0.0)
    world.pass_time(1, first, second)
    assert first.state(ticket_id) is State.FINISHED
    assert len(forms(first, second)) == 1
    assert not [record for record in caplog.records if record.levelname == "ERROR"]
    assert first.uploads.claims.count() == second.uploads.claims.count() == 0


@pytest.mark.parametrize("digest", ["", "sha256"])
def test_an_upload_that_was_whole_when_its_instance_died_is_handed_over_by_another(
    world: World, first: Instance, second: Instance, digest: str
) -> None:
    asked = {"digest": digest} if digest else {}
    client = first.claim(ticket_id := first.new_ticket(**asked), LENGTH_BYTES)
    write(first, client, CONTENT)
    first.die()
    world.pass_time(1, second)
    world.pass_time(1, second)
    assert second.state(ticket_id) is State.FINISHED
    assert len(forms(first, second)) == 1


def test_a_delivery_of_an_instance_that_dies_in_the_middle_is_made_by_another(make_world: MakeWorld) -> None:
    world = make_world()
    first, second = Instance(world), Instance(world)
    first.app.answers = [_never(world)]
    ticket_id = first.new_ticket()
    client = first.claim(ticket_id, LENGTH_BYTES)
    write_rest(first, client)
    world.pass_time(1, first, second)
    assert (len(first.app.forms), len(second.app.forms)) == (1, 0), "only the one with the lease calls"
    first.die()
    world.pass_time(1, second)
    assert second.state(ticket_id) is State.FINISHED
    assert len(second.app.forms) == 1


def _never(world: World) -> Callable[[dict[str, str]], Any]:
    def answer(_: dict[str, str]) -> Any:
        world.runtime.signal().wait(1e6)

    return answer


@pytest.mark.parametrize("restarts", [False, True])
@pytest.mark.parametrize("end", ["cancelled", "expired"])
def test_what_an_instance_called_off_and_had_not_deleted_when_it_died_is_deleted_by_another(
    world: World, first: Instance, monkeypatch: pytest.MonkeyPatch, end: str, restarts: bool
) -> None:
    ticket_id, client = in_progress(first)

    def die(*_: object) -> None:
        first.die()
        raise Crash

    monkeypatch.setattr(first.uploads.deletion, "after_end", die)
    with pytest.raises(Crash):
        if end == "cancelled":
            first.uploads.cancel_by_client(client.claim, "no")
        else:
            first.uploads.release(client.claim)
            first.uploads.expire(first.ticket(ticket_id), "idle for too long")
    assert ticket_id in world.store.contents()
    second = Instance(world)
    if restarts:
        recover(second.uploads)
    world.pass_time(DELETION_LEFT_S + 1, second)
    assert ticket_id not in world.store.contents()
    assert [form["cancelled"] for form in forms(first, second)] == ["yes"]


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("end", ["finished", "cancelled", "expired"])
def test_killed_at_any_call_of_an_end_nothing_is_left_for_longer_than_a_sweep(
    make_world: MakeWorld, end: str, after: bool
) -> None:
    world = make_world(WillFinish())
    for calls in range(30):
        first, second = Instance(world), Instance(world)
        ticket_id, client = in_progress(first)
        if end == "finished":
            write_rest(first, client)
        first.uploads.release(client.claim)
        first.calls_to_live, first.after = calls, after
        world.runtime.spawn(_end, first, ticket_id, end)
        world.runtime.settle()
        world.runtime.advance(DELETION_LEFT_S)
        world.runtime.settle()
        was_killed, first.calls_to_live = first.is_dead, None
        world.pass_time(1, second)
        world.pass_time(1, second)
        ticket = second.ticket(ticket_id)
        if ticket.state in ENDED:  # else it was killed before the end
            assert ticket_id not in world.store.contents(), f"killed at call {calls}"
            assert not ticket.to_delete
        if not was_killed:
            break
    assert 5 < calls < 29


def _end(instance: Instance, ticket_id: str, end: str) -> None:
    with contextlib.suppress(Crash):
        match end:
            case "finished":
                instance.uploads.finish(ticket_id, "")
            case "cancelled":
                instance.uploads.cancel_by_app(ticket_id, "")
            case _:
                instance.uploads.expire(instance.ticket(ticket_id), "idle for too long")


def test_what_the_store_refuses_to_delete_is_deleted_by_any_instance_when_it_answers(
    make_world: MakeWorld, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(*_: object) -> None:
        raise StorageFailed

    world = make_world(WillFinish())
    first, second = Instance(world), Instance(world)
    ticket_id, client = in_progress(first)
    write_rest(first, client)
    other_id, _ = in_progress(first)
    with monkeypatch.context() as patched:
        patched.setattr(SlowStorage, "delete", refuse)
        first.uploads.cancel_by_app(other_id, "")
        first.uploads.finish(ticket_id, "")
        for _ in range(2):
            world.pass_time(DELETION_LEFT_S + 1, first)
        assert {*world.store.contents()} == {ticket_id, other_id}
    assert caplog.text.count("its file is not deleted yet") == 2, "the log tells of each once"
    first.die()
    world.pass_time(1, second)
    world.pass_time(1, second)
    assert world.store.contents() == {}
    assert second.state(ticket_id) is State.FINISHED, "the result is kept as long as ever"


def test_one_instance_deletes_what_is_left_while_it_lives(
    make_world: MakeWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    deletions: list[str] = []
    world = make_world(result_retention_s=1000.0)
    first, second = Instance(world), Instance(world)

    def delete(_: object, ticket_id: str, destination: str) -> None:
        deletions.append(ticket_id)
        world.runtime.sleep(100)

    monkeypatch.setattr(SlowStorage, "delete", delete)
    ticket_id, client = in_progress(first)
    first.uploads.release(client.claim)
    first.uploads.cancel_by_app(ticket_id, "")
    for _ in range(8):
        world.pass_time(DELETION_LEFT_S + 1, first, second)
    assert second.ticket(ticket_id).to_delete
    for _ in range(2):
        world.pass_time(DELETION_LEFT_S + 1, first, second)
    assert not second.ticket(ticket_id).to_delete
    assert deletions == [ticket_id]


def test_what_was_being_sent_when_an_upload_was_called_off_elsewhere_is_deleted(
    world: World, first: Instance, second: Instance
) -> None:
    ticket_id, client = in_progress(first)
    second.uploads.cancel_by_app(ticket_id, "")
    world.runtime.settle()
    world.store.files.setdefault(ticket_id, StoredFile()).pieces.append(b"late")
    world.runtime.advance(QUIET_AFTER_S)
    world.runtime.settle()
    assert world.store.contents() == {}
    first.uploads.release(client.claim)


@pytest.mark.parametrize("end", ["finished", "cancelled"])
def test_what_a_zombie_stores_after_the_end_of_an_upload_is_deleted(make_world: MakeWorld, end: str) -> None:
    world = make_world(Done(), result_retention_s=1000.0)
    first, second = Instance(world), Instance(world)
    ticket_id, old = in_progress(first)
    first.is_deaf = True
    if end == "cancelled":
        second.uploads.cancel_by_app(ticket_id, "")
    else:
        new = second.claim(ticket_id, LENGTH_BYTES)
        write_rest(second, new)
        second.uploads.release(new.claim)
    world.pass_time(DELETION_LEFT_S + 1, second)
    assert world.store.contents() == {}
    world.store.files[ticket_id] = StoredFile([CONTENT])
    first.uploads.release(old.claim)
    world.pass_time(QUIET_AFTER_S)
    assert world.store.contents() == {}


def test_what_a_killed_zombie_has_stored_is_deleted_when_the_upload_is_forgotten(
    make_world: MakeWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If the store refuses that, it is tried again, and the ticket stays until then."""
    world = make_world(Done(), result_retention_s=1000.0)
    first, second = Instance(world), Instance(world)
    ticket_id, client = in_progress(first)
    write_rest(first, client)
    world.pass_time(1, second)
    assert world.store.contents() == {}
    world.store.files[ticket_id] = StoredFile([CONTENT])
    with monkeypatch.context() as patches:
        patches.setattr(SlowStorage, "delete", _refuse)
        world.pass_time(1001, second)
        assert second.state(ticket_id) is State.FINISHED
    world.pass_time(1, second)
    assert world.store.contents() == {}
    with pytest.raises(UnknownTicket):
        second.ticket(ticket_id)


def _refuse(*_: object) -> None:
    raise StorageFailed


# --- deliveries and sweeps -----------------------------------------------------------------------------


def test_one_instance_makes_a_delivery_and_repeats_it(
    world: World, first: Instance, second: Instance
) -> None:
    answers = _slowly(world)
    first.app.answers = second.app.answers = [answers]
    ticket_id, client = in_progress(first)
    write_rest(first, client)
    for _ in range(20):
        world.pass_time(6, first, second)
        recover(second.uploads)
        state = second.state(ticket_id)
        if state is State.FINISHED:
            break
    assert state is State.FINISHED
    assert len(forms(first, second)) == 1


@pytest.mark.parametrize("answer", [Done(), Refused("no room"), WillFinish()])
def test_a_client_at_another_instance_hears_at_once_why_the_app_is_late(
    make_world: MakeWorld, answer: Answer
) -> None:
    world = make_world(NoAnswer("down"), NoAnswer("busy"), answer)
    first, second = Instance(world), Instance(world)
    ticket_id, client = in_progress(first)
    seen: list[str] = []

    def reason() -> str:
        return second.uploads.outbox.why_no_answer(ticket_id, second.state(ticket_id))

    def watch() -> None:
        progress = Transfers(second.uploads, BufferPool(1000, 1000)).watch(ticket_id, 25.0)
        seen.append(f"{progress.state.value} {reason()}")

    write_rest(first, client)
    assert (second.state(ticket_id), reason()) == (State.HANDING_OVER, "down")
    (row,) = Overview(second.uploads)._rows([second.ticket(ticket_id)])
    assert row["reason"] == "down"
    world.runtime.spawn(watch)
    world.runtime.advance(2)
    assert seen == ["handing_over busy"]
    world.runtime.advance(10)
    assert reason() == "", "the app has answered"
    assert second.app.forms == []


def _slowly(world: World) -> Callable[[dict[str, str]], Any]:
    def answer(_: dict[str, str]) -> Any:
        world.runtime.sleep(90)
        return Done()

    return answer


def test_two_sweeps_at_once_do_each_act_once(world: World, first: Instance, second: Instance) -> None:
    waiting = [first.new_ticket() for _ in range(30)]
    paused = []
    for _ in range(5):
        ticket_id, client = in_progress(first)
        first.uploads.release(client.claim)
        paused.append(ticket_id)
    world.pass_time(TIMES["idle_timeout_s"] + 1, first, second)
    world.pass_time(1, first, second)
    assert {second.state(ticket_id) for ticket_id in waiting + paused} == {State.EXPIRED}
    told = [form["id"] for form in forms(first, second)]
    assert sorted(told) == sorted(waiting + paused), "each once"
    assert world.store.files == {}
    world.pass_time(TIMES["result_retention_s"] + 1, first, second)
    world.pass_time(1, first, second)
    assert list(world.registry.tickets()) == []


def test_a_start_whose_first_sweep_can_not_read_the_tickets_continues(
    world: World, first: Instance, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(world.registry, "due", _refuse)
    recover(first.uploads)
    world.runtime.settle()
    assert "housekeeping failed, it is repeated" in caplog.text


def test_a_sweep_of_an_instance_that_died_in_it_does_not_hold_up_the_others(
    world: World, first: Instance, second: Instance
) -> None:
    ticket_id = first.new_ticket()
    first.context.leases.acquire(SWEEP, "of the first", 1e9, 0.0)
    first.die()
    world.pass_time(TIMES["idle_timeout_s"] + 1, second)
    assert second.state(ticket_id) is State.EXPIRED


# --- what is said at the other instance ----------------------------------------------------------------


@pytest.mark.parametrize("answers_first", [True, False])
def test_finish_upload_at_the_other_instance_reaches_the_client(
    make_world: MakeWorld, answers_first: bool
) -> None:
    world = make_world(WillFinish())
    first, second = Instance(world), Instance(world)
    if not answers_first:
        first.app.answers = [_slowly(world)]
    ticket_id, client = in_progress(first)
    write_rest(first, client)
    second.uploads.finish(ticket_id, "")
    world.runtime.settle()
    assert [type(news) for news in endings(client)] == [HandedOver]
    assert world.store.files == {}
    world.pass_time(TIMES["result_retention_s"] - 1, first, second)
    assert first.state(ticket_id) is State.FINISHED
    world.pass_time(100, first, second)
    assert len(forms(first, second)) == 1


@pytest.mark.parametrize("is_deaf", [False, True])
def test_a_cancellation_at_the_other_instance_ends_the_upload(
    world: World, first: Instance, second: Instance, is_deaf: bool
) -> None:
    ticket_id, client = in_progress(first)
    first.is_deaf = is_deaf
    write(first, client, CONTENT[3000:3500], flush=False)
    second.uploads.cancel_by_app(ticket_id, "")
    world.runtime.settle()
    if not is_deaf:
        assert [type(news) for news in endings(client)] == [CalledOff]
        with pytest.raises(UploadCancelled):
            write(first, client, CONTENT[3500:])
    first.uploads.release(client.claim)
    world.pass_time(QUIET_AFTER_S, first, second)
    assert second.state(ticket_id) is State.CANCELLED
    assert world.store.files == {}, "nothing was stored after the deletion"
    assert first.uploads.claims.count() == 0
    assert first.uploads.admission.reserved_bytes() == 0


def test_a_client_may_watch_at_another_instance_what_has_arrived(make_world: MakeWorld) -> None:
    world = make_world(WillFinish())
    first, second = Instance(world), Instance(world)
    ticket_id, client = in_progress(first)
    write_rest(first, client)
    watching = second.claim(ticket_id, LENGTH_BYTES)
    assert watching.claim.offset_bytes == LENGTH_BYTES
    first.uploads.finish(ticket_id, "")
    world.runtime.settle()
    assert [type(news) for news in watching.news] == [HandedOver]


@in_memory
def test_a_claim_that_meets_the_end_of_an_upload_elsewhere_watches(
    world: World, first: Instance, second: Instance, monkeypatch: pytest.MonkeyPatch
) -> None:
    first.app.answers = [WillFinish()]
    ticket_id, client = in_progress(first)
    real_take = world.leases.take

    def take(ticket: str, token: str, until_s: float | None = None) -> str | None:
        monkeypatch.undo()
        write_rest(first, client)
        return real_take(ticket, token, until_s)

    monkeypatch.setattr(world.leases, "take", take)
    late = second.claim(ticket_id, LENGTH_BYTES)
    assert late.claim.ticket.state is State.WAITING
    assert late.claim.offset_bytes == LENGTH_BYTES
    assert second.uploads.admission.reserved_bytes() == 0


def test_each_instance_shows_the_uploads_of_all(first: Instance, second: Instance) -> None:
    ticket_id, _ = in_progress(first)
    overview = Overview(second.uploads)
    (row,) = overview._rows([second.ticket(ticket_id)])
    assert (row["connected"], row["offset_bytes"], row["state"]) == (True, 3000, "uploading")


# --- a registry that is away ---------------------------------------------------------------------------


@in_memory
def test_a_lease_that_could_not_be_released_is_released_later(
    world: World, first: Instance, second: Instance, monkeypatch: pytest.MonkeyPatch
) -> None:
    ticket_id, client = in_progress(first)
    with monkeypatch.context() as broken:
        broken.setattr(world.leases, "release", _fail_with_words)
        broken.setattr(world.registry, "change", _fail_with_words)
        first.uploads.release(client.claim)
    assert first.state(ticket_id) is State.UPLOADING
    world.pass_time(1, first)
    world.pass_time(1, second)
    assert first.state(ticket_id) is State.PAUSED


def _fail_with_words(*_: object, **__: object) -> Any:
    raise StorageFailed
