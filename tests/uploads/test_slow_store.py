"""Uploads to a store that is slow, and whose unfinished files can't be read."""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from crc32c import crc32c

from incoming.core.errors import (
    Damaged,
    DigestMismatch,
    IncomingError,
    StorageFailed,
    TakenOver,
    WrongFile,
)
from incoming.core.lifecycle import Claim, State
from incoming.core.news import Durable, Interrupted
from incoming.core.resume_check import SAMPLE_BYTES
from incoming.uploads.claims import new_token
from incoming.uploads.deletion import QUIET_AFTER_S
from tests.support.fakes import FakeApp
from tests.support.slow_house import SlowHouse
from tests.support.slow_storage import GIVES_UP_AFTER_S, STANDSTILL_S
from tests.support.uploads import TIMES, Client, new_claim

CONTENT = bytes(range(256)) * 20
LENGTH_BYTES = len(CONTENT)
LARGE = zlib.compress(bytes(1), 0) + bytes(number * 7 % 251 for number in range(9 * SAMPLE_BYTES))
OTHER = LARGE[: 3 * SAMPLE_BYTES] + b"?" + LARGE[3 * SAMPLE_BYTES + 1 :]


@pytest.fixture
def house(tmp_path: Path) -> SlowHouse:
    return SlowHouse(tmp_path, FakeApp(), **TIMES)


def claim(house: SlowHouse, ticket_id: str, length_bytes: int = LENGTH_BYTES, **more: Any) -> Client:
    client = Client()
    asked = Claim(length_bytes, "a", token=new_token(), **more)
    client.claim = house.uploads.claim(ticket_id, asked, client.listener)
    return client


def proving(house: SlowHouse, ticket_id: str, last_modified_ms: int = 99) -> Client:
    return claim(house, ticket_id, len(LARGE), last_modified_ms=last_modified_ms, proves=True)


def send(house: SlowHouse, client: Client, content: bytes) -> None:
    house.uploads.write(client.claim, memoryview(content))


def beside(house: SlowHouse, function: Callable[..., object], *args: object) -> list[object]:
    """Runs something that may wait. Returns a list that gets its result, or its error."""
    ended: list[object] = []

    def run() -> None:
        try:
            ended.append(function(*args))
        except IncomingError as exc:
            ended.append(exc)

    house.runtime.spawn(run)
    house.runtime.settle()
    return ended


# --- acknowledgements ----------------------------------------------------------------------------------


def test_a_client_hears_when_its_bytes_are_durable(house: SlowHouse) -> None:
    house.store.put_s = 0.1
    client = claim(house, house.new_ticket())
    send(house, client, CONTENT[:1500])
    assert (client.claim.taken_bytes, client.claim.acknowledged_bytes) == (1500, 0)
    house.runtime.advance(0.1)
    assert client.news == [Durable(1024)]
    house.runtime.advance(STANDSTILL_S + 0.1)
    assert client.news == [Durable(1024), Durable(1500)]
    assert client.claim.acknowledged_bytes == 1500
    assert house.uploads.claims.take_moved() == {client.claim.ticket.id: 1500}


def test_a_client_that_stands_still_hears_that_the_store_has_given_up(house: SlowHouse) -> None:
    client = claim(house, ticket_id := house.new_ticket())
    house.store.is_away = True
    send(house, client, CONTENT[:100])
    house.runtime.advance(GIVES_UP_AFTER_S + 5)
    assert [type(news) for news in client.news] == [Interrupted]
    house.store.is_away = False
    house.uploads.release(client.claim)
    again = claim(house, ticket_id)
    send(house, again, CONTENT[again.claim.offset_bytes :])
    house.uploads.complete(again.claim)
    house.runtime.settle()
    assert house.state(ticket_id) is State.FINISHED


def test_a_write_waits_for_room_without_the_lock_of_its_upload(house: SlowHouse) -> None:
    """So a takeover does not wait for a store that is away."""
    ticket_id = house.new_ticket()
    old = claim(house, ticket_id)
    house.store.is_away = True
    send(house, old, CONTENT[:4096])
    writing = beside(house, send, house, old, CONTENT[4096:])
    assert writing == []
    new = claim(house, ticket_id)
    assert new.claim.offset_bytes == 0
    house.runtime.settle()
    assert isinstance(writing[0], TakenOver)
    house.store.is_away = False
    house.runtime.advance(2)
    send(house, new, CONTENT)
    house.uploads.complete(new.claim)
    house.runtime.settle()
    assert house.state(ticket_id) is State.FINISHED


@pytest.mark.parametrize("wait", ["flush", "release", "complete"])
def test_whatever_waits_for_the_store_holds_no_newer_claim_up(house: SlowHouse, wait: str) -> None:
    ticket_id = house.new_ticket()
    old = claim(house, ticket_id)
    house.store.is_away = True
    send(house, old, CONTENT)
    ended = beside(house, getattr(house.uploads, wait), old.claim)
    assert ended == []
    new = claim(house, ticket_id)
    house.runtime.settle()
    assert len(ended) == 1
    assert new.claim.offset_bytes == 0
    house.store.is_away = False
    house.runtime.advance(2)
    send(house, new, CONTENT)
    house.uploads.complete(new.claim)
    house.runtime.settle()
    assert house.state(ticket_id) is State.FINISHED


def test_a_store_that_takes_long_to_finish_a_file_holds_no_newer_claim_up(house: SlowHouse) -> None:
    ticket_id = house.new_ticket()
    old = claim(house, ticket_id)
    send(house, old, CONTENT)
    house.store.finish_s = 5.0
    completing = beside(house, house.uploads.complete, old.claim)
    house.runtime.advance(1)
    assert completing == []
    new = claim(house, ticket_id)
    assert new.claim.offset_bytes == LENGTH_BYTES
    completing_too = beside(house, house.uploads.complete, new.claim)
    house.runtime.advance(10)
    assert isinstance(completing[0], TakenOver)
    assert completing_too == [None]
    assert house.state(ticket_id) is State.FINISHED


def test_a_client_that_comes_back_while_its_whole_file_is_finished_does_not_wait(house: SlowHouse) -> None:
    ticket_id = house.new_ticket()
    client = claim(house, ticket_id)
    send(house, client, CONTENT)
    house.uploads.flush(client.claim)
    house = house.after_a_kill()  # type: ignore[assignment]
    house.store.finish_s = 5.0
    house.runtime.advance(1)
    again = claim(house, ticket_id)
    assert again.claim.offset_bytes == LENGTH_BYTES
    beside(house, house.uploads.complete, again.claim)
    house.runtime.advance(10)
    assert house.state(ticket_id) is State.FINISHED
    assert len(house.app.forms) == 1


def test_a_takeover_keeps_what_is_durable_and_discards_what_is_not(house: SlowHouse) -> None:
    ticket_id = house.new_ticket()
    old = claim(house, ticket_id)
    send(house, old, CONTENT[:1500])
    house.runtime.settle()
    new = claim(house, ticket_id)
    assert new.claim.offset_bytes == 1024
    send(house, new, CONTENT[1024:])
    house.uploads.complete(new.claim)
    house.runtime.settle()
    assert house.state(ticket_id) is State.FINISHED
    assert int(house.app.forms[0]["crc32c"], 16) == crc32c(CONTENT)


def test_a_pause_keeps_every_byte(house: SlowHouse) -> None:
    ticket_id = house.paused(LENGTH_BYTES, CONTENT[:1234])
    assert house.stored(ticket_id) == CONTENT[:1234]
    assert house.uploads.look(ticket_id).offset_bytes == 1234


def test_a_stop_keeps_every_byte_of_clients_of_many_requests(house: SlowHouse) -> None:
    ticket_id, client = house.new_ticket(), Client()
    asked = new_claim(LENGTH_BYTES)
    client.claim = house.uploads.claim(ticket_id, asked, client.listener, lease_s=60.0)
    send(house, client, CONTENT[:1234])
    house.uploads.stop()
    house.runtime.settle()
    assert house.state(ticket_id) is State.PAUSED
    assert house.stored(ticket_id) == CONTENT[:1234]


def test_a_store_that_is_away_for_a_while_costs_no_byte(house: SlowHouse) -> None:
    client = claim(house, ticket_id := house.new_ticket())
    house.store.is_away = True
    send(house, client, CONTENT[:4096])
    writing = beside(house, send, house, client, CONTENT[4096:])
    house.runtime.advance(GIVES_UP_AFTER_S - 5)
    house.store.is_away = False
    house.runtime.advance(2)
    assert writing == [None]
    house.uploads.complete(client.claim)
    house.runtime.settle()
    assert house.state(ticket_id) is State.FINISHED


# --- digests -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("interrupted", [False, True])
def test_the_app_gets_the_sha256_also_of_a_file_that_was_taken_over(
    house: SlowHouse, interrupted: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    reads: list[int] = []
    real = type(house.context.storages.default).read

    def read(self: Any, ticket_id: str, start: int, *more: Any) -> None:
        reads.append(start)
        real(self, ticket_id, start, *more)

    monkeypatch.setattr(type(house.context.storages.default), "read", read)
    ticket_id = house.new_ticket(digest="sha256")
    client = claim(house, ticket_id)
    send(house, client, CONTENT[:3000])
    if interrupted:
        house = house.after_a_kill()  # type: ignore[assignment]
        client = claim(house, ticket_id)
    send(house, client, CONTENT[client.claim.taken_bytes :])
    house.uploads.complete(client.claim, crc32c(CONTENT))
    house.runtime.settle()
    assert house.app.forms[0]["sha256"] == hashlib.sha256(CONTENT).hexdigest()
    assert bool(reads) is interrupted, "it is read back once, where this process has not seen all of it"


@pytest.mark.parametrize("interrupted", [False, True])
@pytest.mark.parametrize("is_right", [False, True])
@pytest.mark.parametrize("hash_name", ["sha256", "crc32c"])
def test_a_file_with_a_named_digest_is_compared(
    house: SlowHouse, interrupted: bool, is_right: bool, hash_name: str
) -> None:
    value = hashlib.sha256(CONTENT).hexdigest() if hash_name == "sha256" else f"{crc32c(CONTENT):08x}"
    value = value if is_right else value[::-1]
    ticket_id = house.new_ticket()
    client = claim(house, ticket_id, file_digest=f"{hash_name}:{value}")
    send(house, client, CONTENT[:3000])
    if interrupted:
        house = house.after_a_kill()  # type: ignore[assignment]
        client = claim(house, ticket_id)
    send(house, client, CONTENT[client.claim.taken_bytes :])
    if is_right:
        house.uploads.complete(client.claim)
        house.runtime.settle()
        assert house.state(ticket_id) is State.FINISHED
    else:
        with pytest.raises(DigestMismatch):
            house.uploads.complete(client.claim)
        assert house.state(ticket_id) is State.CANCELLED
        house.pass_time(QUIET_AFTER_S)
        assert house.store.files == {}


def test_a_whole_file_whose_client_is_gone_is_read_once_it_is_finished(house: SlowHouse) -> None:
    ticket_id = house.new_ticket(digest="sha256")
    client = claim(house, ticket_id)
    send(house, client, CONTENT)
    house.uploads.flush(client.claim)
    house = house.after_a_kill()  # type: ignore[assignment]
    house.pass_time(1)
    assert house.state(ticket_id) is State.FINISHED
    assert house.app.forms[0]["sha256"] == hashlib.sha256(CONTENT).hexdigest()


def test_a_claim_that_comes_while_a_finished_file_is_read_completes_it_too(house: SlowHouse) -> None:
    ticket_id = house.new_ticket(digest="sha256")
    client = claim(house, ticket_id)
    send(house, client, CONTENT)
    house.uploads.flush(client.claim)
    house = house.restarted()  # type: ignore[assignment]
    old = claim(house, ticket_id)
    house.store.read_s = 1.0
    completing = beside(house, house.uploads.complete, old.claim)
    assert completing == []
    new = claim(house, ticket_id)
    assert new.claim.offset_bytes == LENGTH_BYTES
    completing_too = beside(house, house.uploads.complete, new.claim, crc32c(CONTENT))
    house.runtime.advance(10)
    assert isinstance(completing[0], TakenOver)
    assert completing_too == [None]
    assert house.state(ticket_id) is State.FINISHED
    assert house.app.forms[0]["sha256"] == hashlib.sha256(CONTENT).hexdigest()


# --- the same file -------------------------------------------------------------------------------------


def begun(house: SlowHouse, content: bytes = LARGE) -> str:
    """Returns the id of an upload of a client that proves what it has, with most of its bytes."""
    house.store.piece_bytes = 2 * SAMPLE_BYTES
    house.store.in_flight_bytes = 4 * SAMPLE_BYTES
    ticket_id = house.new_ticket()
    client = proving(house, ticket_id)
    for at in range(0, 8 * SAMPLE_BYTES, SAMPLE_BYTES):
        send(house, client, content[at : at + SAMPLE_BYTES])
        house.runtime.settle()
    house.uploads.release(client.claim)
    return ticket_id


def crcs(client: Client, content: bytes) -> tuple[int, ...]:
    return tuple(crc32c(content[start:end]) for start, end in client.claim.compare)


@pytest.mark.parametrize("last_modified_ms", [99, 100])
@pytest.mark.parametrize("is_killed", [False, True])
def test_a_client_proves_that_it_has_the_same_file(
    house: SlowHouse, last_modified_ms: int, is_killed: bool
) -> None:
    ticket_id = begun(house)
    house = house.after_a_kill() if is_killed else house  # type: ignore[assignment]
    client = proving(house, ticket_id, last_modified_ms)
    if last_modified_ms == 99:
        assert 1 < len(client.claim.compare) <= 5
        assert {end - start for start, end in client.claim.compare} == {SAMPLE_BYTES}
    else:
        assert client.claim.compare == ((0, 8 * SAMPLE_BYTES),)
    house.uploads.check_same(client.claim, crcs(client, LARGE))
    send(house, client, LARGE[8 * SAMPLE_BYTES :])
    house.uploads.complete(client.claim, crc32c(LARGE))
    house.runtime.settle()
    assert house.state(ticket_id) is State.FINISHED


def test_a_client_with_another_file_is_refused(house: SlowHouse) -> None:
    ticket_id = begun(house)
    client = proving(house, ticket_id, 100)
    with pytest.raises(WrongFile):
        house.uploads.check_same(client.claim, crcs(client, OTHER))
    assert house.stored(ticket_id) == LARGE[: 8 * SAMPLE_BYTES]


def test_a_file_that_mixes_two_is_found_at_the_end_and_begins_anew(house: SlowHouse) -> None:
    """The samples are the beginnings of pieces, and the change is in the middle of one."""
    ticket_id = begun(house)
    changed = LARGE[: SAMPLE_BYTES + 7] + b"?" + LARGE[SAMPLE_BYTES + 8 :]
    client = proving(house, ticket_id)
    house.uploads.check_same(client.claim, crcs(client, changed))
    send(house, client, changed[8 * SAMPLE_BYTES :])
    with pytest.raises(Damaged):
        house.uploads.complete(client.claim, crc32c(changed))
    house.uploads.release(client.claim)
    client = proving(house, ticket_id)
    assert client.claim.compare == ((0, len(LARGE)),)
    with pytest.raises(WrongFile):
        house.uploads.check_same(client.claim, crcs(client, changed))
    house.uploads.release(client.claim)
    client = proving(house, ticket_id)
    assert client.claim.offset_bytes == 0
    send(house, client, changed)
    house.uploads.complete(client.claim, crc32c(changed))
    house.runtime.settle()
    assert house.state(ticket_id) is State.FINISHED


def test_ranges_that_were_asked_for_long_ago_are_asked_for_again(house: SlowHouse) -> None:
    ticket_id = begun(house)
    client = proving(house, ticket_id)
    client.claim.compare = ((7, 9),)
    with pytest.raises(StorageFailed):
        house.uploads.check_same(client.claim, (1,))


# --- after a start -------------------------------------------------------------------------------------


def test_a_reboot_casts_no_doubt_on_what_is_in_the_store(house: SlowHouse) -> None:
    ticket_id = house.paused(LENGTH_BYTES, CONTENT[:1234])
    after = house.after_a_power_cut()
    assert not after.uploads.needs_power_cut_check(ticket_id)
    assert after.claim(ticket_id, LENGTH_BYTES).claim.offset_bytes == 1234


def test_a_start_deletes_nothing_that_it_can_not_list(
    house: SlowHouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With thousands of ended uploads in a store, each start would cost a request for each."""
    ticket_id = house.new_ticket()
    house.arrive(ticket_id, CONTENT)
    deleted: list[str] = []
    monkeypatch.setattr(
        type(house.context.storages.default), "delete", lambda _, one, at: deleted.append(one)
    )
    after = house.after_a_kill()
    assert deleted == []
    after.pass_time(TIMES["result_retention_s"] + 1)
    assert deleted == [ticket_id], "once, when it is forgotten"
