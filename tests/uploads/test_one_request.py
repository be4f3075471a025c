"""A small file that comes in one request needs no line for its claim. A kill at any moment loses nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from incoming.core.errors import IncomingError, StorageFailed
from incoming.core.lifecycle import State
from incoming.registry.append_log import AppendLog
from incoming.registry.entries import decode
from tests.support.uploads import Client, House, new_claim

CONTENT = bytes(range(256)) * 4
OTHER = CONTENT[::-1]
LARGER = bytes(70_000)
LEASE_S = 60.0


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path)


def request(house: House, ticket_id: str, length_bytes: int | None = len(CONTENT)) -> Client:
    """Returns the client of a request."""
    client = Client()
    claim = new_claim(length_bytes)
    client.claim = house.uploads.claim(ticket_id, claim, client.listener, lease_s=LEASE_S)
    return client


def send(house: House, client: Client, content: bytes = CONTENT) -> None:
    house.uploads.write(client.claim, memoryview(content))


def journaled(house: House, ticket_id: str) -> list[str]:
    """Returns the states of all entries that the journal has got for a ticket."""
    entries = AppendLog(house.directory / "journal" / "log", fsync=False).payloads()
    prefix = f"{ticket_id} ".encode()
    contents = [entry.removeprefix(prefix) for entry in entries if entry.startswith(prefix)]
    return [decode(content, ticket_id).state.value for content in contents]


def test_the_claim_of_a_file_that_is_complete_next_is_not_journaled_by_itself(house: House) -> None:
    client = request(house, ticket_id := house.new_ticket())
    send(house, client)
    house.uploads.complete(client.claim)
    house.runtime.settle()
    assert journaled(house, ticket_id) == ["issued", "handing_over", "finished"]


@pytest.mark.parametrize("sent", [False, True], ids=["before its bytes", "with all of its bytes"])
def test_a_kill_before_it_is_complete_leaves_the_ticket_as_it_was_issued(house: House, sent: bool) -> None:
    client = request(house, ticket_id := house.new_ticket())
    if sent:
        send(house, client)
    assert client.claim.acknowledged_bytes == house.uploads.look(ticket_id).offset_bytes == 0
    after = house.after_a_kill()
    assert after.state(ticket_id) is State.ISSUED
    client = request(after, ticket_id)
    assert client.claim.offset_bytes == 0
    send(after, client, OTHER)
    after.uploads.complete(client.claim)
    after.runtime.settle()
    assert after.state(ticket_id) is State.FINISHED


def test_nothing_that_a_kill_has_left_of_the_first_file_gets_into_the_second(house: House) -> None:
    client = request(house, ticket_id := house.new_ticket())
    send(house, client)
    with house.journal_broken(), pytest.raises(IncomingError):
        house.uploads.complete(client.claim)  # its bytes are synced, and nobody was told
    assert house.file(ticket_id).read_bytes() == CONTENT
    after = house.after_a_kill()
    assert (after.state(ticket_id), after.uploads.look(ticket_id).offset_bytes) == (State.ISSUED, 0)
    client = request(after, ticket_id, len(OTHER) - 1)
    assert client.claim.offset_bytes == 0
    assert after.file(ticket_id).read_bytes() == b""
    send(after, client, OTHER[:-1])
    after.uploads.flush(client.claim)
    assert after.file(ticket_id).read_bytes() == OTHER[:-1]


def test_what_is_acknowledged_survives_a_kill_with_its_claim(house: House) -> None:
    client = request(house, ticket_id := house.new_ticket())
    send(house, client)
    house.uploads.flush(client.claim)
    assert client.claim.acknowledged_bytes == house.uploads.look(ticket_id).offset_bytes == len(CONTENT)
    after = house.after_a_kill()
    assert after.uploads.look(ticket_id).offset_bytes == len(CONTENT)
    assert after.uploads.ticket(ticket_id).name == "a"


def test_a_claim_that_can_not_be_journaled_acknowledges_nothing(house: House) -> None:
    client = request(house, ticket_id := house.new_ticket())
    send(house, client)
    with house.journal_broken():
        with pytest.raises(IncomingError):
            house.uploads.flush(client.claim)
        assert client.claim.acknowledged_bytes == house.uploads.look(ticket_id).offset_bytes == 0
    house.uploads.flush(client.claim)
    assert house.after_a_kill().uploads.look(ticket_id).offset_bytes == len(CONTENT)


@pytest.mark.parametrize("length_bytes", [len(LARGER) + 1, None], ids=["a part", "of unknown length"])
def test_the_claim_of_any_other_file_is_journaled_before_its_first_byte(
    house: House, length_bytes: int | None
) -> None:
    client = request(house, ticket_id := house.new_ticket(), length_bytes)
    send(house, client, LARGER)
    assert client.claim.acknowledged_bytes == len(LARGER)
    assert house.after_a_kill().uploads.look(ticket_id).offset_bytes == len(LARGER)


def test_a_request_that_takes_over_starts_at_what_was_acknowledged(house: House) -> None:
    send(house, request(house, ticket_id := house.new_ticket()))
    client = request(house, ticket_id)
    assert client.claim.offset_bytes == house.uploads.look(ticket_id).offset_bytes == 0
    send(house, client, OTHER)
    house.uploads.flush(client.claim)
    client = request(house, ticket_id)
    assert client.claim.offset_bytes == house.uploads.look(ticket_id).offset_bytes == len(OTHER)
    assert house.file(ticket_id).read_bytes() == OTHER
    assert house.after_a_kill().uploads.look(ticket_id).offset_bytes == len(OTHER)


def test_bytes_that_the_storage_keeps_by_itself_are_not_acknowledged_before_their_claim(house: House) -> None:
    client = request(house, ticket_id := house.new_ticket())
    send(house, client)
    house.pass_time(1)
    assert house.file(ticket_id).read_bytes() == CONTENT
    assert client.claim.acknowledged_bytes == house.uploads.look(ticket_id).offset_bytes == 0
    house.uploads.flush(client.claim)
    assert client.claim.acknowledged_bytes == house.uploads.look(ticket_id).offset_bytes == len(CONTENT)


def test_a_claim_that_is_released_is_journaled_with_its_bytes(house: House) -> None:
    client = request(house, ticket_id := house.new_ticket())
    send(house, client)
    house.uploads.release(client.claim)
    after = house.after_a_kill()
    after.runtime.settle()
    assert after.state(ticket_id) is State.FINISHED


def test_a_file_without_a_byte_is_complete_without_a_claim_in_the_journal(house: House) -> None:
    client = request(house, ticket_id := house.new_ticket(), 0)
    house.uploads.complete(client.claim)
    house.runtime.settle()
    assert journaled(house, ticket_id) == ["issued", "handing_over", "finished"]


@pytest.mark.parametrize("fsync", [True, False])
def test_the_bytes_are_there_before_the_journal_says_so(tmp_path: Path, fsync: bool) -> None:
    house = House(tmp_path, fsync=fsync)
    client = request(house, ticket_id := house.new_ticket())
    send(house, client)
    data = tmp_path / "data"
    data.rename(tmp_path / "away")
    with pytest.raises(StorageFailed):
        house.uploads.complete(client.claim)
    (tmp_path / "away").rename(data)
    assert journaled(house, ticket_id) == ["issued"]
    client = request(house, ticket_id)
    send(house, client)
    house.uploads.complete(client.claim)
    house.runtime.settle()
    assert house.state(ticket_id) is State.FINISHED
